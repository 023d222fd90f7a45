// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large pages that a guest cannot execute from.
 *
 * A CPU with the erratum "ITLB multihit" (CVE-2018-12207) can stop with a machine
 * check, and the host with it, when it fetches an instruction from a page whose
 * size was changed in the tables while its ITLB holds the old size. A guest may
 * do that to itself at will. It cannot where all that is executed is mapped in
 * 4 KiB pages: so large pages lack the right to execute, and a fetch from one
 * replaces it by a table for small ones. On a CPU without the erratum this is
 * off, unless it is forced.
 *
 * A page that was executed from once would stay in pieces for ever. The tables
 * that only a fetch made necessary are on a list of their VM, the oldest first;
 * now and then a part of them is dropped, and what is still used comes back as
 * its use demands.
 *
 * The names and values of the parameters are the in-tree module's.
 */
#include <linux/cpu.h>
#include <linux/moduleparam.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>

#include "arch/x86/mmu/internal.h"
#include "arch/x86/mmu/mmu.h"
#include "module/compat/compat.h"
#include "module/internal.h"

/* while no period is given, as many passes an hour as make one whole round */
#define HOUR_MS		(60u * 60 * 1000)
#define MAX_PASSES	3600u

static int nx_mode = -1;		/* -1: not decided yet: what this CPU needs */
static unsigned int recovery_ratio = 60;
static unsigned int recovery_period_ms;

static bool cpu_needs_it(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

static void set_mode(bool on)
{
	WRITE_ONCE(nx_mode, on);
	itlb_multihit_kvm_mitigation = on;
}

/* Milliseconds between two passes; 0: there are none. */
static unsigned int period_ms(void)
{
	unsigned int ratio = READ_ONCE(recovery_ratio);
	unsigned int period = READ_ONCE(recovery_period_ms);

	if (READ_ONCE(nx_mode) <= 0 || !ratio)
		return 0;
	return period ? period : HOUR_MS / min(ratio, MAX_PASSES);
}

/**
 * mmu_nx_on() - must large pages of a VM not be executable
 * @kvm: the VM; mmu_lock held, so the answer holds as long
 *
 * Return: true when they must not.
 */
bool mmu_nx_on(struct kvm *kvm)
{
	return READ_ONCE(nx_mode) > 0 && !kvm->arch.disable_nx_huge_pages;
}

/**
 * mmu_nx_split() - a table is there that only a fetch made necessary
 * @kvm: the VM; mmu_lock held
 * @link: nx_link of the table, which is linked, and dropped under the lock for writing
 */
void mmu_nx_split(struct kvm *kvm, struct list_head *link)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);
	unsigned int ms = period_ms();

	spin_lock(&mmu->nx_lock);
	list_add_tail(link, &mmu->nx_splits);
	kvm->stat.nx_lpage_splits++;
	spin_unlock(&mmu->nx_lock);
	/* does nothing when a pass is to come already */
	if (ms)
		queue_delayed_work(system_dfl_wq, &mmu->nx_work,
				   msecs_to_jiffies(ms));
}

/**
 * mmu_nx_unlinked() - a table goes
 * @kvm: the VM; mmu_lock held for writing
 * @link: its nx_link
 */
void mmu_nx_unlinked(struct kvm *kvm, struct list_head *link)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);

	if (list_empty(link))
		return;
	spin_lock(&mmu->nx_lock);
	list_del_init(link);
	kvm->stat.nx_lpage_splits--;
	spin_unlock(&mmu->nx_lock);
}

/* One pass: the oldest of a VM's split pages may be large again. */
static void recover(struct kvm *kvm, unsigned long n)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);
	struct tdp_page *garbage = NULL;
	bool flush = false;

	if (!kvm_be.tdp) {
		shadow_drop_splits(kvm, &mmu->nx_splits, n);
		return;
	}
	write_lock(&kvm->mmu_lock);
	while (n-- && !list_empty(&mmu->nx_splits)) {
		struct tdp_page *page = list_first_entry(&mmu->nx_splits,
							 struct tdp_page, nx_link);

		/* takes the table itself off the list, and those below it */
		flush |= tdp_zap_range(kvm, page->as_id, page->gfn,
				       page->gfn + level_pages(page->level + 1),
				       false, &garbage);
		tdp_yield(kvm, &flush);
	}
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	tdp_free_garbage(garbage);
}

static void nx_pass(struct work_struct *work)
{
	struct kvm_mmu_vm *mmu = container_of(to_delayed_work(work),
					      struct kvm_mmu_vm, nx_work);
	unsigned int ratio = READ_ONCE(recovery_ratio), ms = period_ms();
	struct kvm *kvm = mmu->kvm;

	if (!ms || !ratio)
		return;
	recover(kvm, DIV_ROUND_UP((unsigned long)READ_ONCE(kvm->stat.nx_lpage_splits),
				  ratio));
	if (READ_ONCE(kvm->stat.nx_lpage_splits))
		queue_delayed_work(system_dfl_wq, &mmu->nx_work,
				   msecs_to_jiffies(ms));
}

/**
 * mmu_nx_init() - a new VM
 * @kvm: the VM
 */
void mmu_nx_init(struct kvm *kvm)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);

	mmu->kvm = kvm;
	spin_lock_init(&mmu->nx_lock);
	INIT_LIST_HEAD(&mmu->nx_splits);
	INIT_DELAYED_WORK(&mmu->nx_work, nx_pass);
}

/**
 * kvm_mmu_vm_pre_destroy() - no pass begins any more
 * @kvm: a VM without users that is on no list
 */
void kvm_mmu_vm_pre_destroy(struct kvm *kvm)
{
	cancel_delayed_work_sync(&to_mmu_vm(kvm)->nx_work);
}

/**
 * kvm_mmu_nx_init() - decide what "auto" means here
 */
void kvm_mmu_nx_init(void)
{
	if (nx_mode < 0)
		set_mode(cpu_needs_it());
}

/**
 * kvm_mmu_nx_exit() - without this module nothing is mitigated
 */
void kvm_mmu_nx_exit(void)
{
	itlb_multihit_kvm_mitigation = false;
}

/**
 * kvm_mmu_disable_nx_huge_pages() - KVM_CAP_VM_DISABLE_NX_HUGE_PAGES
 * @kvm: the VM; kvm->lock is held
 * @arg: 0
 *
 * Its guests could stop the host, so it takes the right to do that.
 *
 * Return: 0; -EPERM without CAP_SYS_BOOT; -EINVAL for an argument, or when there
 * are vCPUs.
 */
int kvm_mmu_disable_nx_huge_pages(struct kvm *kvm, u64 arg)
{
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	if (arg || kvm->created_vcpus)
		return -EINVAL;
	kvm->arch.disable_nx_huge_pages = true;
	return 0;
}

/* ---- parameters ------------------------------------------------------------------ */

/* Passes of all VMs that have something to recover begin a period from now. */
static void reschedule(void)
{
	unsigned int ms = period_ms();
	struct kvm *kvm;

	lockdep_assert_held(&kvm_lock);
	list_for_each_entry(kvm, &kvm_vm_list, vm_list) {
		struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);

		if (ms && READ_ONCE(kvm->stat.nx_lpage_splits))
			mod_delayed_work(system_dfl_wq, &mmu->nx_work,
					 msecs_to_jiffies(ms));
	}
}

static int set_nx_huge_pages(const char *val, const struct kernel_param *kp)
{
	bool on, was;

	if (sysfs_streq(val, "auto"))
		on = cpu_needs_it();
	else if (sysfs_streq(val, "force"))
		on = true;
	else if (sysfs_streq(val, "off"))
		on = false;
	else if (kstrtobool(val, &on))
		return -EINVAL;

	mutex_lock(&kvm_lock);
	was = nx_mode > 0;
	set_mode(on);
	if (on != was) {
		struct kvm *kvm;

		/* what is mapped has the other rights */
		list_for_each_entry(kvm, &kvm_vm_list, vm_list)
			kvm_arch_flush_shadow_all(kvm);
		reschedule();
	}
	mutex_unlock(&kvm_lock);
	return 0;
}

static int get_nx_huge_pages(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%c\n", READ_ONCE(nx_mode) > 0 ? 'Y' : 'N');
}

static const struct kernel_param_ops nx_huge_pages_ops = {
	.set = set_nx_huge_pages,
	.get = get_nx_huge_pages,
};

static int set_recovery(const char *val, const struct kernel_param *kp)
{
	int r;

	mutex_lock(&kvm_lock);
	r = param_set_uint(val, kp);
	if (!r)
		reschedule();
	mutex_unlock(&kvm_lock);
	return r;
}

static const struct kernel_param_ops recovery_ops = {
	.set = set_recovery,
	.get = param_get_uint,
};

module_param_cb(nx_huge_pages, &nx_huge_pages_ops, NULL, 0644);
MODULE_PARM_DESC(nx_huge_pages, "Guests execute from 4 KiB pages only: off, force, auto (where the CPU has the ITLB multihit erratum)");
module_param_cb(nx_huge_pages_recovery_ratio, &recovery_ops, &recovery_ratio, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_ratio, "A pass drops this part of the split pages: 1/N (0: no passes)");
module_param_cb(nx_huge_pages_recovery_period_ms, &recovery_ops, &recovery_period_ms, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_period_ms, "Time between two passes, in ms (0: so that a round takes an hour)");
