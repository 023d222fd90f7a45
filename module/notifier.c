// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MMU notifier: the owner's page tables change (unmap, swap-out, migration,
 * copy on write, KSM, collapse), so what the guest has mapped of them must go.
 *
 * Each invalidation holds the count in kvm->hva_invalidation up from before the
 * mappings are dropped until the host has changed its tables. A fault that
 * looked its page up before or within that time sees, under mmu_lock, the count
 * or a changed mmu_invalidate_seq, and looks again (arch/x86/mmu). The count is
 * raised for every range of the address space, whether or not a slot lies there:
 * a slot may be created while an invalidation is on its way.
 *
 * What changes by guest frame, which is where private memory is and what belongs
 * to it, is announced in the same way in kvm->gfn_invalidation.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>

#include "module/memslot.h"

static struct kvm *notifier_kvm(struct mmu_notifier *mn)
{
	return container_of(mn, struct kvm, mmu_notifier);
}

/* Call @fn for the frames of each slot in a host range; true when any was. */
static bool call_on_range(struct kvm *kvm, unsigned long start,
			  unsigned long end, bool may_block,
			  bool (*fn)(struct kvm *kvm, struct kvm_gfn_range *range))
{
	bool ret = false;
	int as_id;

	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++) {
		struct kvm_memslots *set = kvm_memslots(kvm, as_id);
		struct interval_tree_node *n;

		for (n = interval_tree_iter_first(&set->hva_tree, start, end - 1); n;
		     n = interval_tree_iter_next(n, start, end - 1)) {
			struct kvm_memory_slot *slot = set->node ?
				container_of(n, struct kvm_memory_slot, hva_node[1]) :
				container_of(n, struct kvm_memory_slot, hva_node[0]);
			unsigned long from = max(start, n->start);
			unsigned long to = min(end - 1, n->last);
			struct kvm_gfn_range range = {
				.slot = slot,
				.may_block = may_block,
				.start = slot->base_gfn +
					((from - n->start) >> PAGE_SHIFT),
				.end = slot->base_gfn +
					((to - n->start) >> PAGE_SHIFT) + 1,
			};

			ret |= fn(kvm, &range);
		}
	}
	return ret;
}

/* mmu_lock held for writing */
static void raise(struct kvm_invalidation *inv, unsigned long start, unsigned long end)
{
	if (!inv->in_progress++) {
		inv->start = start;
		inv->end = end;
	} else {
		inv->start = min(inv->start, start);
		inv->end = max(inv->end, end);
	}
}

static void lower(struct kvm *kvm, struct kvm_invalidation *inv)
{
	write_lock(&kvm->mmu_lock);
	/*
	 * The sequence goes up first: a fault that does not see the count any
	 * more must see that something happened (it reads them in this order).
	 */
	kvm->mmu_invalidate_seq++;
	smp_wmb();	/* pairs with the read barrier of the fault path */
	inv->in_progress--;
	write_unlock(&kvm->mmu_lock);
}

/**
 * kvm_invalidate_gfns_begin() - what is behind guest frames will change
 * @kvm: the VM
 * @start: first frame
 * @end: frame after the last
 *
 * Until kvm_invalidate_gfns_end() no fault maps any of them; what is mapped is the
 * caller's to drop. Any number of changes may be on their way at once.
 */
void kvm_invalidate_gfns_begin(struct kvm *kvm, gfn_t start, gfn_t end)
{
	write_lock(&kvm->mmu_lock);
	raise(&kvm->gfn_invalidation, start, end);
	write_unlock(&kvm->mmu_lock);
}

/**
 * kvm_invalidate_gfns_end() - it has changed
 * @kvm: the VM
 */
void kvm_invalidate_gfns_end(struct kvm *kvm)
{
	lower(kvm, &kvm->gfn_invalidation);
}

static int invalidate_range_start(struct mmu_notifier *mn,
				  const struct mmu_notifier_range *range)
{
	struct kvm *kvm = notifier_kvm(mn);
	int idx = srcu_read_lock(&kvm->srcu);

	write_lock(&kvm->mmu_lock);
	raise(&kvm->hva_invalidation, range->start, range->end);
	if (call_on_range(kvm, range->start, range->end,
			  mmu_notifier_range_blockable(range),
			  kvm_arch_unmap_gfn_range))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return 0;
}

static void invalidate_range_end(struct mmu_notifier *mn,
				 const struct mmu_notifier_range *range)
{
	struct kvm *kvm = notifier_kvm(mn);

	lower(kvm, &kvm->hva_invalidation);
}

static bool age(struct mmu_notifier *mn, unsigned long start, unsigned long end,
		bool flush,
		bool (*fn)(struct kvm *kvm, struct kvm_gfn_range *range))
{
	struct kvm *kvm = notifier_kvm(mn);
	int idx = srcu_read_lock(&kvm->srcu);
	bool young;

	write_lock(&kvm->mmu_lock);
	young = call_on_range(kvm, start, end, false, fn);
	if (young && flush)
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return young;
}

static KVM_NOTIFIER_YOUNG_T clear_flush_young(struct mmu_notifier *mn,
					      struct mm_struct *mm,
					      unsigned long start,
					      unsigned long end)
{
	return age(mn, start, end, true, kvm_arch_age_gfn);
}

/* Without a flush a page in use may look old once: that is the caller's choice. */
static KVM_NOTIFIER_YOUNG_T clear_young(struct mmu_notifier *mn,
					struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	return age(mn, start, end, false, kvm_arch_age_gfn);
}

static KVM_NOTIFIER_YOUNG_T test_young(struct mmu_notifier *mn,
				       struct mm_struct *mm,
				       unsigned long address)
{
	return age(mn, address, address + 1, false, kvm_arch_test_age_gfn);
}

/* The owner's memory goes for good, while the VM's descriptor lives elsewhere. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvm *kvm = notifier_kvm(mn);
	int idx = srcu_read_lock(&kvm->srcu);

	kvm_arch_flush_shadow_all(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start	= invalidate_range_start,
	.invalidate_range_end	= invalidate_range_end,
	.clear_flush_young	= clear_flush_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.release		= release,
};

/**
 * kvm_mmu_notifier_init() - watch the owner's address space
 * @kvm: a new VM; the caller is its owner
 *
 * Return: 0, -EINTR or -ENOMEM.
 */
int kvm_mmu_notifier_init(struct kvm *kvm)
{
	kvm->mmu_notifier.ops = &notifier_ops;
	return mmu_notifier_register(&kvm->mmu_notifier, kvm->mm);
}

/**
 * kvm_mmu_notifier_exit() - stop watching
 * @kvm: a VM without users
 */
void kvm_mmu_notifier_exit(struct kvm *kvm)
{
	mmu_notifier_unregister(&kvm->mmu_notifier, kvm->mm);
}
