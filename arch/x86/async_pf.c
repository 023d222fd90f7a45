// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: what a vCPU does while the host fetches a page
 * (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_ASYNC_PF_EN, _INT and _ACK).
 *
 * When the host would have to wait for a page (swap, a file, userfaultfd), a work item
 * waits in place of the vCPU's thread. A guest that asked for it gets a #PF with a token
 * in CR2 and runs another task until an interrupt brings the token back. One that
 * did not, or cannot take a #PF now, waits in the kernel as if halted: interrupts still
 * reach it, and it meets the fault again when they are dealt with.
 *
 * An item belongs to struct kvm_apf and never to the vCPU. It holds no page, slot or VM; the
 * address space only while it faults the page in. Nobody waits for it: who has no use for it any
 * more (MSR, reset, the vCPU's end) takes it from the list, and it frees itself when its
 * work is over, which may be never, as user space may hold a page back for as long as it
 * likes. Until then it counts against the limit. What it found is not used: the guest meets the
 * fault again and finds the page there, or another slot, or none.
 *
 * Nothing is done for vCPUs without a LAPIC in the kernel, which there would be no
 * interrupt for, nor in SMM, whose handlers know nothing of this.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <asm/apicdef.h>
#include <asm/kvm_para.h>

#include "arch/x86/async_pf.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/run.h"

#define MAX_ITEMS		64
#define TOKEN_SHIFT		12	/* below it: the vCPU's id */
#define TOKEN_ALL		(~0u)

#define EN_RESERVED		0x30ull
#define EN_ADDRESS		(~0x3full)
#define EN_DELIVERS		(KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT)

/**
 * struct kvm_apf - the pages that a vCPU waits for
 * @users: the vCPU, and each item whose work is not over
 * @mm: (c) the VM's address space; its structure is held
 * @lock: guards @waiting, @done, @nr, @running and @failed_hva
 * @vcpu: (c) for items that are in a list
 * @waiting: items whose page is not there yet
 * @done: items that the guest is still to be told of
 * @nr: how many are in both lists
 * @running: how many are not over, those that nobody waits for included
 * @failed_hva: a page that could not be brought in: the next fault is to say why; 0: none
 * @msr_en: (v) MSR_KVM_ASYNC_PF_EN
 * @msr_int: (v) MSR_KVM_ASYNC_PF_INT
 * @data: (v) where the guest has its struct kvm_vcpu_pv_apf_data
 * @next_id: (v) of tokens
 * @wake_all: (v) the guest is to be told that all tokens are void
 * @ready_pending: (a) it has not acknowledged the last interrupt yet
 */
struct kvm_apf {
	refcount_t users;
	struct mm_struct *mm;
	spinlock_t lock;	/* guards the lists and what is counted of them */
	struct kvm_vcpu *vcpu;
	struct list_head waiting;
	struct list_head done;
	unsigned int nr;
	unsigned int running;
	unsigned long failed_hva;

	u64 msr_en;
	u64 msr_int;
	struct kvm_hva_cache data;
	u32 next_id;
	bool wake_all;
	bool ready_pending;
};

/**
 * struct apf_item - one page
 * @link: in a list of the kvm_apf, or empty when nobody waits for it
 * @work: brings it in
 * @apf: holds a reference
 * @hva: (c) host address of the page
 * @token: (c) what the guest knows it by
 * @write: (c) it is to be written
 * @told: (v) the guest knows of it
 */
struct apf_item {
	struct list_head link;
	struct work_struct work;
	struct kvm_apf *apf;
	unsigned long hva;
	u32 token;
	bool write;
	bool told;
};

static struct workqueue_struct *apf_wq;

static void apf_put(struct kvm_apf *apf)
{
	if (!refcount_dec_and_test(&apf->users))
		return;
	mmdrop(apf->mm);
	kfree(apf);
}

/* ---- the work ---------------------------------------------------------------------- */

static int fault_in(struct mm_struct *mm, unsigned long hva, bool write)
{
	bool unlocked = false;
	int r;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	mmap_read_lock(mm);
	r = fixup_user_fault(mm, hva, FAULT_FLAG_REMOTE | (write ? FAULT_FLAG_WRITE : 0),
			     &unlocked);
	mmap_read_unlock(mm);
	mmput(mm);
	return r;
}

static void bring_in(struct work_struct *work)
{
	struct apf_item *item = container_of(work, struct apf_item, work);
	struct kvm_apf *apf = item->apf;
	int r = fault_in(apf->mm, item->hva, item->write);
	bool wanted;

	spin_lock(&apf->lock);
	apf->running--;
	wanted = !list_empty(&item->link);
	if (wanted) {
		list_move_tail(&item->link, &apf->done);
		if (r)
			apf->failed_hva = item->hva;
		/* as long as an item is in a list, so is the vCPU there */
		kvm_make_request(KVM_REQ_APF_READY, apf->vcpu);
		if (!READ_ONCE(apf->ready_pending) || READ_ONCE(apf->vcpu->arch.apf_halted))
			kvm_vcpu_kick(apf->vcpu);
	}
	spin_unlock(&apf->lock);
	if (!wanted)
		kfree(item);
	apf_put(apf);
	/* the module's end waits for the rest of this function */
	module_put(THIS_MODULE);
}

/* Forget what was asked for; what is being fetched goes on by itself. */
static void give_up(struct kvm_vcpu *vcpu)
{
	struct kvm_apf *apf = vcpu->arch.apf;
	struct apf_item *item, *next;
	LIST_HEAD(done);

	spin_lock(&apf->lock);
	list_for_each_entry_safe(item, next, &apf->waiting, link)
		list_del_init(&item->link);
	list_splice_init(&apf->done, &done);
	apf->nr = 0;
	apf->failed_hva = 0;
	spin_unlock(&apf->lock);
	list_for_each_entry_safe(item, next, &done, link)
		kfree(item);
	apf->wake_all = false;
	WRITE_ONCE(apf->ready_pending, false);
	WRITE_ONCE(vcpu->arch.apf_halted, false);
}

/* ---- faults ------------------------------------------------------------------------ */

static bool delivers(const struct kvm_apf *apf)
{
	return (apf->msr_en & EN_DELIVERS) == EN_DELIVERS;
}

static bool may_tell(struct kvm_vcpu *vcpu)
{
	const struct kvm_apf *apf = vcpu->arch.apf;

	return delivers(apf) && ((apf->msr_en & KVM_ASYNC_PF_SEND_ALWAYS) ||
				 kvm_be_call(get_cpl)(vcpu));
}

/**
 * kvm_apf_possible() - need a fault of this vCPU not wait for its page
 * @vcpu: the vCPU, loaded
 *
 * Return: true when the guest can run something else meanwhile, or take interrupts.
 */
bool kvm_apf_possible(struct kvm_vcpu *vcpu)
{
	/* of pages the guest is told itself, not one of its own guests */
	if (!vcpu->arch.apf || !vcpu->wants_to_run || vcpu->arch.smm || vcpu->arch.guest_mode)
		return false;
	/* what is on its way would have to be kept beside another event */
	if (vcpu->arch.exception.pending || vcpu->arch.exception.injected ||
	    vcpu->arch.nmi_injected || vcpu->arch.interrupt.injected)
		return false;
	if (!kvm_intr_allowed(vcpu))
		return false;
	/* a guest whose CPU is never given to others when it halts */
	return !kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT) || may_tell(vcpu);
}

/* 0 and ~0 mean something else. */
static u32 new_token(struct kvm_vcpu *vcpu)
{
	struct kvm_apf *apf = vcpu->arch.apf;
	u32 token;

	do {
		token = ++apf->next_id << TOKEN_SHIFT | vcpu->vcpu_id;
	} while (token >> TOKEN_SHIFT == 0 || token == TOKEN_ALL);
	return token;
}

/* Page not present. The guest has dealt with the last one when its flags are 0 again. */
static bool tell_not_present(struct kvm_vcpu *vcpu, u32 token)
{
	struct kvm_fault fault = { .error_code = 0, .address = token };
	struct kvm_apf *apf = vcpu->arch.apf;
	u32 flags;

	if (!may_tell(vcpu) ||
	    kvm_read_guest_cached(vcpu->kvm, &apf->data, &flags,
				  offsetof(struct kvm_vcpu_pv_apf_data, flags), sizeof(flags)) ||
	    flags)
		return false;
	flags = KVM_PV_REASON_PAGE_NOT_PRESENT;
	if (kvm_write_guest_cached(vcpu->kvm, &apf->data, &flags,
				   offsetof(struct kvm_vcpu_pv_apf_data, flags), sizeof(flags)))
		return false;
	kvm_inject_page_fault(vcpu, &fault);
	return true;
}

static struct apf_item *new_item(struct kvm_vcpu *vcpu, unsigned long hva, bool write)
{
	struct apf_item *item = kzalloc(sizeof(*item), GFP_KERNEL_ACCOUNT);

	if (!item)
		return NULL;
	INIT_WORK(&item->work, bring_in);
	item->apf = vcpu->arch.apf;
	item->hva = hva;
	item->write = write;
	item->token = new_token(vcpu);
	return item;
}

/**
 * kvm_apf_begin() - have a page brought in while the vCPU does something else
 * @vcpu: the vCPU, loaded, kvm->srcu held; kvm_apf_possible() said so
 * @hva: host address of the page
 * @write: it is to be written
 *
 * Return: true when the guest is to go on: it was told, or will not run until the page is
 * there or an event comes; false when the page must be waited for.
 */
bool kvm_apf_begin(struct kvm_vcpu *vcpu, unsigned long hva, bool write)
{
	struct kvm_apf *apf = vcpu->arch.apf;
	bool failed, full, known = false;
	struct apf_item *item;

	spin_lock(&apf->lock);
	failed = apf->failed_hva == hva;
	if (failed)
		apf->failed_hva = 0;
	full = apf->nr >= MAX_ITEMS || apf->running >= MAX_ITEMS;
	list_for_each_entry(item, &apf->waiting, link)
		known |= item->hva == hva;
	spin_unlock(&apf->lock);
	if (failed)
		return false;
	if (known) {
		/* another task of the guest's, or one that could not be told */
		WRITE_ONCE(vcpu->arch.apf_halted, true);
		return true;
	}
	item = full ? NULL : new_item(vcpu, hva, write);
	if (!item)
		return false;
	item->told = tell_not_present(vcpu, item->token);
	if (!item->told)
		WRITE_ONCE(vcpu->arch.apf_halted, true);

	refcount_inc(&apf->users);
	__module_get(THIS_MODULE);
	spin_lock(&apf->lock);
	list_add_tail(&item->link, &apf->waiting);
	apf->nr++;
	apf->running++;
	spin_unlock(&apf->lock);
	queue_work(apf_wq, &item->work);
	return true;
}

/* ---- pages that are there ------------------------------------------------------------ */

static bool slot_is_free(struct kvm_vcpu *vcpu)
{
	u32 token;

	return !kvm_read_guest_cached(vcpu->kvm, &vcpu->arch.apf->data, &token,
				      offsetof(struct kvm_vcpu_pv_apf_data, token),
				      sizeof(token)) && !token;
}

static void tell_ready(struct kvm_vcpu *vcpu, u32 token)
{
	struct kvm_apf *apf = vcpu->arch.apf;
	const struct kvm_lapic_irq irq = {
		.delivery_mode = APIC_DM_FIXED,
		.vector = apf->msr_int & KVM_ASYNC_PF_VEC_MASK,
	};

	if (kvm_write_guest_cached(vcpu->kvm, &apf->data, &token,
				   offsetof(struct kvm_vcpu_pv_apf_data, token), sizeof(token)))
		return;
	WRITE_ONCE(apf->ready_pending, true);
	kvm_lapic_accept(vcpu->arch.apic, &irq);
}

/**
 * kvm_apf_ready() - tell the guest of pages that have come, one at a time
 * @vcpu: the vCPU, loaded, kvm->srcu held
 */
void kvm_apf_ready(struct kvm_vcpu *vcpu)
{
	struct kvm_apf *apf = vcpu->arch.apf;
	struct apf_item *item;

	if (!apf)
		return;
	/* if it is not the page that it waits for, it will wait again */
	WRITE_ONCE(vcpu->arch.apf_halted, false);
	for (;;) {
		if (delivers(apf) && (!kvm_lapic_enabled(vcpu) || !slot_is_free(vcpu)))
			return;
		if (apf->wake_all) {
			apf->wake_all = false;
			if (delivers(apf))
				tell_ready(vcpu, TOKEN_ALL);
			continue;
		}
		spin_lock(&apf->lock);
		item = list_first_entry_or_null(&apf->done, struct apf_item, link);
		if (item) {
			list_del(&item->link);
			apf->nr--;
		}
		spin_unlock(&apf->lock);
		if (!item)
			return;
		if (item->told && delivers(apf))
			tell_ready(vcpu, item->token);
		kfree(item);
	}
}

/* ---- MSRs --------------------------------------------------------------------------- */

static int set_enable(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_apf *apf = vcpu->arch.apf;
	struct kvm_hva_cache cache = {};

	/* there is no guest's guest to tell */
	if (data & (EN_RESERVED | KVM_ASYNC_PF_DELIVERY_AS_PF_VMEXIT))
		return 1;
	if ((data & KVM_ASYNC_PF_DELIVERY_AS_INT) && !kvm_pv_has(vcpu, KVM_FEATURE_ASYNC_PF_INT))
		return 1;
	if (!apf)
		return data ? 1 : 0;
	if ((data & EN_DELIVERS) != EN_DELIVERS) {
		apf->msr_en = data;
		give_up(vcpu);
		return 0;
	}
	/* a refused address leaves the old one in force */
	if (kvm_hva_cache_init(vcpu->kvm, &cache, data & EN_ADDRESS,
			       sizeof(struct kvm_vcpu_pv_apf_data) - sizeof(u32)))
		return 1;
	apf->data = cache;
	apf->msr_en = data;
	/* it may have come from another host, where pages were waited for */
	apf->wake_all = true;
	WRITE_ONCE(apf->ready_pending, false);
	kvm_make_request(KVM_REQ_APF_READY, vcpu);
	return 0;
}

/**
 * kvm_apf_get_msr() - RDMSR of an asynchronous page fault MSR
 * @vcpu: the vCPU
 * @msr: index; value is filled
 *
 * Return: 0; 1 for #GP; KVM_MSR_RET_INVALID when it is none of these.
 */
int kvm_apf_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	const struct kvm_apf *apf = vcpu->arch.apf;
	unsigned int feature;

	switch (msr->index) {
	case MSR_KVM_ASYNC_PF_EN:
		feature = KVM_FEATURE_ASYNC_PF;
		msr->data = apf ? apf->msr_en : 0;
		break;
	case MSR_KVM_ASYNC_PF_INT:
		feature = KVM_FEATURE_ASYNC_PF_INT;
		msr->data = apf ? apf->msr_int : 0;
		break;
	case MSR_KVM_ASYNC_PF_ACK:
		feature = KVM_FEATURE_ASYNC_PF_INT;
		msr->data = 0;
		break;
	default:
		return KVM_MSR_RET_INVALID;
	}
	return msr->host_initiated || kvm_pv_has(vcpu, feature) ? 0 : 1;
}

/**
 * kvm_apf_set_msr() - WRMSR of an asynchronous page fault MSR
 * @vcpu: the vCPU, kvm->srcu held
 * @msr: index and value
 *
 * Return: as kvm_apf_get_msr().
 */
int kvm_apf_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	struct kvm_msr_data allowed = *msr;
	struct kvm_apf *apf = vcpu->arch.apf;
	int r = kvm_apf_get_msr(vcpu, &allowed);

	if (r)
		return r;
	switch (msr->index) {
	case MSR_KVM_ASYNC_PF_EN:
		return set_enable(vcpu, msr->data);
	case MSR_KVM_ASYNC_PF_INT:
		if (!apf || msr->data >> 8)
			return 1;
		apf->msr_int = msr->data;
		return 0;
	default:
		if (apf && (msr->data & 1)) {
			WRITE_ONCE(apf->ready_pending, false);
			kvm_apf_ready(vcpu);
		}
		return 0;
	}
}

/* ---- life cycle --------------------------------------------------------------------- */

/**
 * kvm_apf_vcpu_create() - a vCPU with a LAPIC in the kernel waits for no page
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_apf_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_apf *apf = kzalloc(sizeof(*apf), GFP_KERNEL_ACCOUNT);

	if (!apf)
		return -ENOMEM;
	refcount_set(&apf->users, 1);
	spin_lock_init(&apf->lock);
	INIT_LIST_HEAD(&apf->waiting);
	INIT_LIST_HEAD(&apf->done);
	apf->vcpu = vcpu;
	apf->mm = vcpu->kvm->mm;
	mmgrab(apf->mm);
	vcpu->arch.apf = apf;
	return 0;
}

/**
 * kvm_apf_vcpu_free() - no item knows the vCPU any more
 * @vcpu: the vCPU, not running
 */
void kvm_apf_vcpu_free(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.apf)
		return;
	give_up(vcpu);
	apf_put(vcpu->arch.apf);
	vcpu->arch.apf = NULL;
}

/**
 * kvm_apf_vcpu_reset() - RESET or INIT: the guest that asked is no more
 * @vcpu: the vCPU
 */
void kvm_apf_vcpu_reset(struct kvm_vcpu *vcpu)
{
	struct kvm_apf *apf = vcpu->arch.apf;

	if (!apf)
		return;
	apf->msr_en = 0;
	apf->msr_int = 0;
	give_up(vcpu);
}

/**
 * kvm_apf_module_init() - have somebody to wait
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_apf_module_init(void)
{
	/* items do nothing but wait: one must not keep another from it */
	apf_wq = alloc_workqueue("kvm-async-pf", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return apf_wq ? 0 : -ENOMEM;
}

/**
 * kvm_apf_module_exit() - every item has dropped its reference to the module
 */
void kvm_apf_module_exit(void)
{
	destroy_workqueue(apf_wq);
}
