// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty ring: each vCPU tells in a ring of its own, which user space has mapped, which
 * pages were written (Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING). User space
 * sets KVM_DIRTY_GFN_F_RESET in what it has collected; KVM_RESET_DIRTY_RINGS then has
 * later writes to those pages told again.
 *
 * A page is told once: slot->ring_bitmap holds those that are in some ring and not reset
 * yet, so one that is written again and again on the guest's behalf takes one entry. What
 * is written while there is no ring to put it into (by an ioctl that belongs to no vCPU, or
 * in a full ring, when ioctls of a vCPU write many pages) goes to slot->dirty_bitmap: from
 * there user space fetches it with KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, or else the next
 * vCPU that has room tells it. So no write is lost, whatever user space does.
 *
 * The entries belong to user space as much as to us: what is read from them is checked,
 * and which of them are in use is known from two counters of our own.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "module/internal.h"
#include "module/memslot.h"

/* as in-tree: room for what is written between two looks at the ring */
#define RESERVED_ENTRIES	64
#define MAX_ENTRIES		65536

static u32 reserved_entries(void)
{
	return RESERVED_ENTRIES + kvm_arch_dirty_log_entries();
}

/**
 * kvm_dirty_ring_max_bytes() - largest ring that KVM_CAP_DIRTY_LOG_RING takes
 */
u32 kvm_dirty_ring_max_bytes(void)
{
	return MAX_ENTRIES * sizeof(struct kvm_dirty_gfn);
}

/* Give the slots that are logged already what the rings need. */
static int convert_slots(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int as_id, r;

	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++) {
		kvm_for_each_slot(slot, kvm_memslots(kvm, as_id)) {
			if (!slot->dirty_bitmap || slot->ring_bitmap)
				continue;
			r = kvm_alloc_ring_bitmap(slot);
			if (r)
				return r;
		}
	}
	return 0;
}

/**
 * kvm_enable_dirty_ring() - KVM_ENABLE_CAP of KVM_CAP_DIRTY_LOG_RING and _ACQ_REL
 * @kvm: the VM
 * @cap: the argument, a kernel copy; args[0]: bytes of a ring
 *
 * Return: 0; -EINVAL for flags, a size that is no power of two, less than a page or no more
 * than the entries that are kept in reserve, for a VM that has rings or vCPUs; -E2BIG for
 * a size above kvm_dirty_ring_max_bytes(); -ENOMEM.
 */
int kvm_enable_dirty_ring(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	u64 bytes = cap->args[0];
	int r = -EINVAL;

	if (cap->flags || !is_power_of_2(bytes) || bytes < PAGE_SIZE ||
	    bytes < reserved_entries() * sizeof(struct kvm_dirty_gfn))
		return -EINVAL;
	if (bytes > kvm_dirty_ring_max_bytes())
		return -E2BIG;

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->slots_lock);
	if (!kvm->dirty_ring_bytes && !kvm->created_vcpus)
		r = convert_slots(kvm);
	if (!r) {
		/* what their bitmaps hold already is for the first vCPU to tell */
		kvm->dirty_untold = true;
		/* the bitmaps of the slots before the size that says that they are there */
		smp_store_release(&kvm->dirty_ring_bytes, (u32)bytes);
	}
	mutex_unlock(&kvm->slots_lock);
	mutex_unlock(&kvm->lock);
	return r;
}

/**
 * kvm_enable_dirty_ring_bitmap() - KVM_ENABLE_CAP of KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
 * @kvm: the VM
 * @cap: the argument, a kernel copy
 *
 * Return: 0; -EINVAL for flags, and for a VM without rings or with memory slots.
 */
int kvm_enable_dirty_ring_bitmap(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	int as_id, r = 0;

	if (cap->flags)
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	if (!kvm->dirty_ring_bytes)
		r = -EINVAL;
	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++)
		if (kvm_memslots(kvm, as_id)->nr_slots)
			r = -EINVAL;
	if (!r)
		WRITE_ONCE(kvm->dirty_ring_with_bitmap, true);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_dirty_ring_create() - give a new vCPU its ring, if its VM has them
 * @vcpu: the vCPU, not published yet
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_dirty_ring_create(struct kvm_vcpu *vcpu)
{
	u32 bytes = READ_ONCE(vcpu->kvm->dirty_ring_bytes);

	if (!bytes)
		return 0;
	vcpu->dirty_ring.gfns = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vcpu->dirty_ring.gfns)
		return -ENOMEM;
	vcpu->dirty_ring.size = bytes / sizeof(struct kvm_dirty_gfn);
	kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
	return 0;
}

/**
 * kvm_dirty_ring_free() - free a vCPU's ring
 * @vcpu: the vCPU, without users
 */
void kvm_dirty_ring_free(struct kvm_vcpu *vcpu)
{
	vfree(vcpu->dirty_ring.gfns);
}

/**
 * kvm_dirty_ring_page() - a page of the ring, for a mapping of user space
 * @vcpu: the vCPU
 * @offset: pages from the beginning of the ring
 *
 * Return: the page, NULL when there is none.
 */
struct page *kvm_dirty_ring_page(struct kvm_vcpu *vcpu, unsigned long offset)
{
	if (offset >= vcpu->kvm->dirty_ring_bytes >> PAGE_SHIFT)
		return NULL;
	return vmalloc_to_page((void *)vcpu->dirty_ring.gfns + (offset << PAGE_SHIFT));
}

static u32 entries_used(const struct kvm_dirty_ring *ring)
{
	return ring->pushed - READ_ONCE(ring->reset);
}

static bool soft_full(const struct kvm_dirty_ring *ring)
{
	return entries_used(ring) >= ring->size - reserved_entries();
}

/* By the vCPU's own thread only. Return: false when there is no room. */
static bool push(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot, u64 offset)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *e;

	if (entries_used(ring) >= ring->size)
		return false;
	e = &ring->gfns[ring->pushed & (ring->size - 1)];
	WRITE_ONCE(e->slot, slot->as_id << 16 | slot->id);
	WRITE_ONCE(e->offset, offset);
	/* user space looks at the flags first */
	smp_store_release(&e->flags, KVM_DIRTY_GFN_F_DIRTY);
	WRITE_ONCE(ring->pushed, ring->pushed + 1);
	if (soft_full(ring))
		kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
	return true;
}

/* In a ring once, until it is reset. Return: false when it is in none. */
static bool tell(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, u64 offset)
{
	if (test_and_set_bit(offset, slot->ring_bitmap) || push(vcpu, slot, offset))
		return true;
	clear_bit(offset, slot->ring_bitmap);
	return false;
}

/**
 * kvm_dirty_ring_mark() - a page of a logged slot was written
 * @kvm: the VM, which has rings
 * @slot: the slot
 * @offset: frame in @slot
 */
void kvm_dirty_ring_mark(struct kvm *kvm, struct kvm_memory_slot *slot, u64 offset)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();
	unsigned long i;

	if (vcpu && vcpu->kvm == kvm && tell(vcpu, slot, offset))
		return;
	/* it is in a ring already, and will be looked at after its reset */
	if (test_bit(offset, slot->ring_bitmap))
		return;
	set_bit(offset, slot->dirty_bitmap);
	if (READ_ONCE(kvm->dirty_ring_with_bitmap))
		return;
	smp_mb__after_atomic();	/* the bit before the word that it is there */
	WRITE_ONCE(kvm->dirty_untold, true);
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
}

static bool tell_word(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, unsigned long word)
{
	unsigned long bits;
	bool all = true;

	if (!READ_ONCE(slot->dirty_bitmap[word]))
		return true;
	for (bits = xchg(&slot->dirty_bitmap[word], 0); bits; bits &= bits - 1) {
		u64 offset = word * BITS_PER_LONG + __ffs(bits);

		if (tell(vcpu, slot, offset))
			continue;
		set_bit(offset, slot->dirty_bitmap);
		all = false;
	}
	return all;
}

/* Tell what could not be told when it was written. */
static void tell_rest(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_memory_slot *slot;
	unsigned long word;
	bool all = true;
	int as_id;

	if (READ_ONCE(kvm->dirty_ring_with_bitmap) || !xchg(&kvm->dirty_untold, false))
		return;
	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++) {
		kvm_for_each_slot(slot, kvm_memslots(kvm, as_id)) {
			if (!slot->dirty_bitmap)
				continue;
			for (word = 0; word < BITS_TO_LONGS(slot->npages); word++)
				all &= tell_word(vcpu, slot, word);
		}
	}
	if (!all)
		WRITE_ONCE(kvm->dirty_untold, true);
}

/**
 * kvm_dirty_ring_has_room() - may the vCPU go on
 * @vcpu: the vCPU, in its thread, kvm->srcu held, about to enter; KVM_REQ_DIRTY_RING was made
 *
 * Return: false when user space has to empty the ring first: KVM_EXIT_DIRTY_RING_FULL.
 */
bool kvm_dirty_ring_has_room(struct kvm_vcpu *vcpu)
{
	tell_rest(vcpu);
	if (!soft_full(&vcpu->dirty_ring))
		return true;
	kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
	return false;
}

/* Have the next writes to pages of a slot seen; mmu_lock held for writing. */
static void reset_pages(struct kvm *kvm, u32 id, u64 word, unsigned long mask)
{
	struct kvm_memory_slot *slot;

	if (!mask || kvm_logged_slot(kvm, id, &slot) ||
	    word >= BITS_TO_LONGS(slot->npages))
		return;
	mask &= atomic_long_fetch_andnot(mask, (atomic_long_t *)&slot->ring_bitmap[word]);
	if (mask)
		kvm_arch_dirty_log_protect(kvm, slot, word * BITS_PER_LONG, mask);
}

static int reset_ring(struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	u32 begin = ring->reset, at, id = 0;
	unsigned long mask = 0;
	u64 word = 0;

	write_lock(&kvm->mmu_lock);
	for (at = begin; at != READ_ONCE(ring->pushed); at++) {
		struct kvm_dirty_gfn *e = &ring->gfns[at & (ring->size - 1)];
		u32 slot;
		u64 offset;

		/* what user space says of the entry before it gives it back */
		if (!(smp_load_acquire(&e->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(e->slot);
		offset = READ_ONCE(e->offset);
		WRITE_ONCE(e->flags, 0);
		if (slot != id || offset / BITS_PER_LONG != word) {
			reset_pages(kvm, id, word, mask);
			cond_resched_rwlock_write(&kvm->mmu_lock);
			id = slot;
			word = offset / BITS_PER_LONG;
			mask = 0;
		}
		mask |= BIT(offset % BITS_PER_LONG);
	}
	reset_pages(kvm, id, word, mask);
	write_unlock(&kvm->mmu_lock);
	/* the flags are 0 before the entry is used again */
	smp_store_release(&ring->reset, at);
	return at - begin;
}

/**
 * kvm_reset_dirty_rings() - KVM_RESET_DIRTY_RINGS
 * @kvm: the VM
 *
 * Return: how many entries were reset; -EINVAL without rings.
 */
int kvm_reset_dirty_rings(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int n = 0;

	if (!READ_ONCE(kvm->dirty_ring_bytes))
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	kvm_for_each_vcpu(i, vcpu, kvm)
		n += reset_ring(kvm, &vcpu->dirty_ring);
	if (n)
		kvm_flush_remote_tlbs(kvm);
	mutex_unlock(&kvm->slots_lock);
	return n;
}
