// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: /dev/kvm, and who has the CPUs' virtualization extension.
 *
 * kvm.ko alone offers nothing; a vendor module calls kvm_init(), which makes
 * /dev/kvm appear. The extension is taken on all CPUs by the first VM and given
 * back by the last one, so that another hypervisor may use it in between. CPUs
 * that come and go meanwhile, suspend, resume and reboot are followed.
 *
 * A VM holds a reference on the vendor module, which holds kvm.ko.
 */
#include <linux/anon_inodes.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/syscore_ops.h>

#include "module/internal.h"

#define CREATE_TRACE_POINTS
#include "module/trace.h"

/* guards kvm_vm_list */
DEFINE_MUTEX(kvm_lock);
LIST_HEAD(kvm_vm_list);

/* the longest time a vCPU polls before it sleeps, in nanoseconds */
unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "Longest time a halted vCPU polls before its thread sleeps, in ns (0: never)");

/* by what the time is multiplied when polling would have paid; 0: not at all */
unsigned int halt_poll_ns_grow = 2;
module_param(halt_poll_ns_grow, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow, "Factor by which the polling time grows after a short halt (0: never)");

unsigned int halt_poll_ns_grow_start = 10000;
module_param(halt_poll_ns_grow_start, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow_start, "Polling time that growing starts at, in ns");

/* by what it is divided after a long halt; 0: back to nothing */
unsigned int halt_poll_ns_shrink;
module_param(halt_poll_ns_shrink, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_shrink, "Divisor of the polling time after a long halt (0: no polling next time)");

/* ---- the CPUs ------------------------------------------------------------------ */

static DEFINE_MUTEX(hardware_lock);
static unsigned int hardware_users;	/* hardware_lock */
static bool rebooting;			/* hardware_lock */
static DEFINE_PER_CPU(bool, hardware_enabled);

/* On the CPU itself, interrupts off or pinned by the hotplug thread. */
static int enable_this_cpu(void)
{
	unsigned long flags;
	int r = 0;

	local_irq_save(flags);
	if (!__this_cpu_read(hardware_enabled)) {
		r = kvm_arch_enable_cpu();
		if (!r)
			__this_cpu_write(hardware_enabled, true);
	}
	local_irq_restore(flags);
	return r;
}

static void disable_this_cpu(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_read(hardware_enabled)) {
		__this_cpu_write(hardware_enabled, false);
		kvm_arch_disable_cpu();
	}
	local_irq_restore(flags);
}

/* What the first CPU that cannot be had says, and how many there are. */
struct refusal {
	atomic_t error, cpus;
	int cpu;
};

static void count_refusal(struct refusal *no, int r)
{
	if (!r)
		return;
	if (!atomic_cmpxchg(&no->error, 0, r))
		no->cpu = smp_processor_id();
	atomic_inc(&no->cpus);
}

static void enable_one(void *no)
{
	count_refusal(no, enable_this_cpu());
}

static void check_one(void *no)
{
	count_refusal(no, kvm_arch_check_cpu());
}

static void say_refusal(int cpu, int error, int more)
{
	pr_err_ratelimited("kvm: CPU %d%s: %s (%d)\n", cpu, more ? " and others" : "",
			   error == -EBUSY ?
			   "virtualization is in use by another hypervisor" :
			   "virtualization is not there as on the other CPUs", error);
}

/* One line in the log for all CPUs together; the error, or 0. */
static int refused(struct refusal *no)
{
	int r = atomic_read(&no->error);

	if (r)
		say_refusal(no->cpu, r, atomic_read(&no->cpus) - 1);
	return r;
}

/**
 * kvm_hardware_get() - a VM comes: the CPUs' extension is needed
 *
 * Return: 0; -EBUSY when something else has it on one of the CPUs.
 */
int kvm_hardware_get(void)
{
	struct refusal no = {};
	int r = 0;

	cpus_read_lock();
	mutex_lock(&hardware_lock);
	if (rebooting) {
		/* what was given back for the next kernel stays so */
		r = -EBUSY;
	} else if (!hardware_users++) {
		on_each_cpu(enable_one, &no, 1);
		r = refused(&no);
		if (r) {
			on_each_cpu(disable_this_cpu, NULL, 1);
			hardware_users--;
		}
	}
	mutex_unlock(&hardware_lock);
	cpus_read_unlock();
	return r;
}

/**
 * kvm_hardware_put() - a VM is gone
 */
void kvm_hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&hardware_lock);
	if (!--hardware_users)
		on_each_cpu(disable_this_cpu, NULL, 1);
	mutex_unlock(&hardware_lock);
	cpus_read_unlock();
}

/*
 * CPU hotplug. hardware_users is stable: it changes under cpus_read_lock() only.
 * Where the kernel does not let this step fail, guests will not start on a CPU
 * that could not be taken: KVM_RUN says KVM_EXIT_FAIL_ENTRY there.
 */
static int cpu_comes(unsigned int cpu)
{
	int r = 0;

	if (READ_ONCE(hardware_users)) {
		r = enable_this_cpu();
		if (r)
			say_refusal(cpu, r, 0);
	}
	return KVM_CPUHP_CAN_FAIL ? r : 0;
}

static int cpu_goes(unsigned int cpu)
{
	disable_this_cpu(NULL);
	return 0;
}

/* Only one CPU is left when these are called, interrupts off. */
static int suspend_cpu(KVM_SYSCORE_ARG)
{
	disable_this_cpu(NULL);
	return 0;
}

static void resume_cpu(KVM_SYSCORE_ARG)
{
	int r = hardware_users ? enable_this_cpu() : 0;

	if (r)
		say_refusal(smp_processor_id(), r, 0);
	/* no other CPU and no thread runs: the list is whole */
	kvm_arch_resume(&kvm_vm_list);
}

static KVM_SYSCORE_DEFINE(kvm_syscore, suspend_cpu, resume_cpu);

/* The firmware or the next kernel must find the CPUs as they were at boot. */
static int reboot_event(struct notifier_block *nb, unsigned long event, void *v)
{
	mutex_lock(&hardware_lock);
	rebooting = true;
	on_each_cpu(disable_this_cpu, NULL, 1);
	mutex_unlock(&hardware_lock);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = {
	.notifier_call = reboot_event,
};

static int pm_event(struct notifier_block *nb, unsigned long event, void *v)
{
	struct kvm *kvm;

	if (event != PM_HIBERNATION_PREPARE && event != PM_SUSPEND_PREPARE)
		return NOTIFY_DONE;
	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &kvm_vm_list, vm_list)
		kvm_arch_sync_clocks_suspend(kvm);
	mutex_unlock(&kvm_lock);
	return NOTIFY_OK;
}

static struct notifier_block pm_notifier = {
	.notifier_call = pm_event,
};

/* ---- /dev/kvm -------------------------------------------------------------------- */

/**
 * kvm_check_extension() - KVM_CHECK_EXTENSION on /dev/kvm or a VM
 * @kvm: the VM, or NULL
 * @ext: KVM_CAP_*
 *
 * Return: 0 when it is not supported, else the documented value.
 */
long kvm_check_extension(struct kvm *kvm, long ext)
{
	switch (ext) {
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_USER_MEMORY2:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_SIGNAL_MSI:
	case KVM_CAP_DEVICE_CTRL:
	case KVM_CAP_IRQFD:
	case KVM_CAP_IRQFD_RESAMPLE:
	case KVM_CAP_IOEVENTFD:
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
	case KVM_CAP_IOEVENTFD_NO_LENGTH:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_HALT_POLL:
	case KVM_CAP_COALESCED_PIO:
	case KVM_CAP_BINARY_STATS_FD:
	case KVM_CAP_SYSTEM_EVENT_DATA:
	case KVM_CAP_MEMORY_FAULT_INFO:
	case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
		return 1;
	case KVM_CAP_COALESCED_MMIO:
		return KVM_COALESCED_MMIO_PAGE_OFFSET;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
		       KVM_DIRTY_LOG_INITIALLY_SET;
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return kvm_dirty_ring_max_bytes();
	case KVM_CAP_IRQ_ROUTING:
		return KVM_OOT_MAX_IRQ_ROUTES;
	case KVM_CAP_NR_MEMSLOTS:
		return KVM_OOT_MEM_SLOTS;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return kvm_supported_mem_attributes(kvm);
	case KVM_CAP_GUEST_MEMFD:
		return 1;
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		return kvm_gmem_flags(kvm);
	default:
		return kvm_arch_dev_check_extension(kvm, ext);
	}
}

static long dev_ioctl(struct file *filp, unsigned int ioctl, unsigned long arg)
{
	long r;

	switch (ioctl) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return kvm_create_vm_fd(arg);
	case KVM_CHECK_EXTENSION:
		return kvm_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : KVM_VCPU_MMAP_PAGES * PAGE_SIZE;
	default:
		r = kvm_arch_dev_ioctl(filp, ioctl, arg);
		return r == -ENOTTY ? -EINVAL : r;
	}
}

static struct file_operations dev_fops = {
	.unlocked_ioctl	= dev_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice dev_kvm = {
	.minor	= KVM_MINOR,
	.name	= "kvm",
	.fops	= &dev_fops,
};

/**
 * kvm_make_file() - an anonymous file of ours, not yet installed
 * @name: shown in /proc/PID/fd
 * @fops: its operations; release drops the reference that @priv is
 * @priv: private_data; the caller has taken the reference already
 * @flags: O_*
 * @mode: FMODE_* bits to add
 *
 * Return: the file or an ERR_PTR().
 */
struct file *kvm_make_file(const char *name, const struct file_operations *fops,
			   void *priv, int flags, fmode_t mode)
{
	struct file *file = anon_inode_getfile(name, fops, priv, flags);

	if (!IS_ERR(file))
		file->f_mode |= mode;
	return file;
}

/**
 * kvm_init() - a vendor module is ready: offer /dev/kvm
 * @owner: the vendor module
 *
 * The CPUs are not taken yet, but it is said at once when they could not be.
 *
 * Return: 0 or -errno; -EBUSY when there is a /dev/kvm already or another
 * hypervisor has a CPU, -EIO when the CPUs differ.
 */
int kvm_init(struct module *owner)
{
	struct refusal no = {};
	int r;

	on_each_cpu(check_one, &no, 1);
	r = refused(&no);
	if (r)
		return r;

	dev_fops.owner = owner;
	kvm_vm_set_owner(owner);
	kvm_vcpu_set_owner(owner);
	kvm_stats_set_owner(owner);
	kvm_gmem_set_owner(owner);
	kvm_device_set_owner(owner);

	r = cpuhp_setup_state_nocalls(KVM_CPUHP_STATE, "kvm-oot:online",
				      cpu_comes, cpu_goes);
	if (r < 0)
		return r;
	register_reboot_notifier(&reboot_notifier);
	register_pm_notifier(&pm_notifier);
	kvm_syscore_register(&kvm_syscore);

	r = misc_register(&dev_kvm);
	if (r) {
		pr_err("kvm: /dev/kvm cannot be made: is there one already? (%d)\n", r);
		goto out;
	}
	return 0;
out:
	kvm_syscore_unregister(&kvm_syscore);
	unregister_pm_notifier(&pm_notifier);
	unregister_reboot_notifier(&reboot_notifier);
	cpuhp_remove_state_nocalls(KVM_CPUHP_STATE);
	return r;
}

/**
 * kvm_exit() - the vendor module goes; there is no VM any more
 */
void kvm_exit(void)
{
	misc_deregister(&dev_kvm);
	kvm_syscore_unregister(&kvm_syscore);
	unregister_pm_notifier(&pm_notifier);
	unregister_reboot_notifier(&reboot_notifier);
	cpuhp_remove_state_nocalls(KVM_CPUHP_STATE);
}

static int __init kvm_module_init(void)
{
	int r = kvm_vcpu_module_init();

	if (r)
		return r;
	r = kvm_eventfd_module_init();
	if (r)
		goto out_vcpu;
	r = kvm_stats_module_init();
	if (r)
		goto out_eventfd;
	r = kvm_x86_module_init();
	if (r)
		goto out_stats;
	/* a static key: once, instead of patching the scheduler with each VM */
	preempt_notifier_inc();
	return 0;

out_stats:
	kvm_stats_module_exit();
out_eventfd:
	kvm_eventfd_module_exit();
out_vcpu:
	kvm_vcpu_module_exit();
	return r;
}
module_init(kvm_module_init);

static void __exit kvm_module_exit(void)
{
	preempt_notifier_dec();
	kvm_x86_module_exit();
	kvm_stats_module_exit();
	kvm_eventfd_module_exit();
	kvm_vcpu_module_exit();
}
module_exit(kvm_module_exit);

MODULE_ALIAS_MISCDEV(KVM_MINOR);
MODULE_ALIAS("devname:kvm");
