// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: which guest physical ranges are backed by which host virtual
 * ranges (Documentation/virt/kvm/api.rst, KVM_SET_USER_MEMORY_REGION).
 *
 * There are two sets of slots per address space. Readers use the active one
 * under kvm->srcu. A change is made to the inactive one, which is then
 * published; after a grace period the other set, now without readers, gets the
 * same change. A slot is in both sets, each with its own tree nodes, and is
 * never modified once it is visible.
 *
 * A slot that goes or moves passes through a stage in which it cannot be found
 * by guest frame any more, so that no new mapping of it can come up, while it
 * is still found by host address, so that the MMU notifiers reach the mappings
 * which are being zapped. Only when they are gone is the slot dropped from the
 * second tree, too.
 *
 * A slot that is bound to a guest_memfd (guest_memfd.c) is never changed: it can
 * only be deleted.
 *
 * Frames are looked up in a red-black tree with a one-entry cache, ids in
 * another, host addresses in an interval tree: nothing is linear in the number
 * of slots.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "module/memslot.h"

/* 2^31 - 1: what a slot's frame offsets were always limited to by the ABI */
#define SLOT_MAX_PAGES	((1ul << 31) - 1)

/* ---- one set ---------------------------------------------------------------- */

/**
 * kvm_set_find_gfn() - the slot that covers a frame
 * @set: set of slots
 * @gfn: guest frame
 *
 * Return: the slot, or NULL.
 */
struct kvm_memory_slot *kvm_set_find_gfn(struct kvm_memslots *set, gfn_t gfn)
{
	struct kvm_memory_slot *slot = READ_ONCE(set->last_used);
	struct rb_node *n;

	if (slot && gfn - slot->base_gfn < slot->npages)
		return slot;

	for (n = set->gfn_tree.rb_node; n;) {
		slot = kvm_slot_of_node(set, n);
		if (gfn - slot->base_gfn < slot->npages) {
			WRITE_ONCE(set->last_used, slot);
			return slot;
		}
		n = gfn < slot->base_gfn ? n->rb_left : n->rb_right;
	}
	return NULL;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_find_gfn);

static struct kvm_memory_slot *slot_of_id_node(struct kvm_memslots *set, struct rb_node *node)
{
	return set->node ? rb_entry(node, struct kvm_memory_slot, id_node[1]) :
			   rb_entry(node, struct kvm_memory_slot, id_node[0]);
}

/**
 * kvm_set_find_id() - the slot with a number
 * @set: set of slots
 * @id: number, without the address space
 *
 * Return: the slot, or NULL.
 */
struct kvm_memory_slot *kvm_set_find_id(struct kvm_memslots *set, int id)
{
	struct rb_node *n = set->id_tree.rb_node;

	while (n) {
		struct kvm_memory_slot *slot = slot_of_id_node(set, n);

		if (slot->id == id)
			return slot;
		n = id < slot->id ? n->rb_left : n->rb_right;
	}
	return NULL;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_find_id);

/**
 * kvm_set_overlaps() - is any frame of a range covered by a slot
 * @set: set of slots
 * @start: first frame
 * @end: frame after the last
 * @except_id: slot that does not count, or -1
 *
 * Return: true when it is.
 */
bool kvm_set_overlaps(struct kvm_memslots *set, gfn_t start, gfn_t end,
		      int except_id)
{
	struct rb_node *n = set->gfn_tree.rb_node;
	struct kvm_memory_slot *slot, *last = NULL;

	/* the last slot that begins before the end; those before it are lower */
	while (n) {
		slot = kvm_slot_of_node(set, n);
		if (slot->base_gfn < end) {
			last = slot;
			n = n->rb_right;
		} else {
			n = n->rb_left;
		}
	}
	while (last && last->base_gfn + last->npages > start) {
		if (last->id != except_id)
			return true;
		last = kvm_slot_of_node(set, rb_prev(&last->gfn_node[set->node]));
	}
	return false;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_overlaps);

static void insert_gfn(struct kvm_memslots *set, struct kvm_memory_slot *slot)
{
	struct rb_node **link = &set->gfn_tree.rb_node, *parent = NULL;
	int node = set->node;

	while (*link) {
		parent = *link;
		if (slot->base_gfn < kvm_slot_of_node(set, parent)->base_gfn)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&slot->gfn_node[node], parent, link);
	rb_insert_color(&slot->gfn_node[node], &set->gfn_tree);

	link = &set->id_tree.rb_node;
	parent = NULL;
	while (*link) {
		parent = *link;
		if (slot->id < slot_of_id_node(set, parent)->id)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&slot->id_node[node], parent, link);
	rb_insert_color(&slot->id_node[node], &set->id_tree);
	set->nr_slots++;
}

static void remove_gfn(struct kvm_memslots *set, struct kvm_memory_slot *slot)
{
	int node = set->node;

	rb_erase(&slot->gfn_node[node], &set->gfn_tree);
	rb_erase(&slot->id_node[node], &set->id_tree);
	set->nr_slots--;
	WRITE_ONCE(set->last_used, NULL);
}

static void insert_hva(struct kvm_memslots *set, struct kvm_memory_slot *slot)
{
	interval_tree_insert(&slot->hva_node[set->node], &set->hva_tree);
}

static void remove_hva(struct kvm_memslots *set, struct kvm_memory_slot *slot)
{
	interval_tree_remove(&slot->hva_node[set->node], &set->hva_tree);
}

/**
 * kvm_set_insert() - add a slot to a set that has no readers
 * @set: the set
 * @slot: the slot; does not overlap another
 */
void kvm_set_insert(struct kvm_memslots *set, struct kvm_memory_slot *slot)
{
	insert_gfn(set, slot);
	insert_hva(set, slot);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_insert);

/**
 * kvm_set_remove() - take a slot out of a set that has no readers
 * @set: the set
 * @slot: the slot
 */
void kvm_set_remove(struct kvm_memslots *set, struct kvm_memory_slot *slot)
{
	remove_gfn(set, slot);
	remove_hva(set, slot);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_remove);

/* ---- lookups ------------------------------------------------------------------ */

/**
 * kvm_gfn_to_memslot() - the slot that backs a guest frame outside of SMM
 * @kvm: the VM
 * @gfn: guest frame
 *
 * Return: the slot, or NULL. Valid while kvm->srcu is held.
 */
struct kvm_memory_slot *kvm_gfn_to_memslot(struct kvm *kvm, gfn_t gfn)
{
	return kvm_set_find_gfn(kvm_memslots(kvm, 0), gfn);
}

/**
 * kvm_vcpu_gfn_to_memslot() - the slot that backs a guest frame for a vCPU
 * @vcpu: the vCPU
 * @gfn: guest frame
 *
 * Return: the slot, or NULL. Valid while kvm->srcu is held.
 */
struct kvm_memory_slot *kvm_vcpu_gfn_to_memslot(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return kvm_set_find_gfn(kvm_memslots(vcpu->kvm, kvm_vcpu_as_id(vcpu)), gfn);
}

/**
 * kvm_memslots_generation() - generation of the slots that are valid now
 * @kvm: the VM
 * @as_id: address space
 *
 * Return: a number that changes with every change of a slot there; no two address
 * spaces ever have the same.
 */
u64 kvm_memslots_generation(struct kvm *kvm, int as_id)
{
	return kvm_memslots(kvm, as_id)->generation;
}

/**
 * kvm_vcpu_is_visible_gfn() - does user space back a guest frame
 * @vcpu: the vCPU that would use it
 * @gfn: guest frame
 *
 * Return: true for a frame of a slot that user space created.
 */
bool kvm_vcpu_is_visible_gfn(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);

	return slot && slot->id < KVM_OOT_MEM_SLOTS;
}

/**
 * kvm_gfn_to_hva() - host address of a guest frame, for reading
 * @kvm: the VM
 * @as_id: address space
 * @gfn: guest frame
 *
 * Return: the address, or KVM_HVA_ERR_BAD.
 */
unsigned long kvm_gfn_to_hva(struct kvm *kvm, int as_id, gfn_t gfn)
{
	struct kvm_memory_slot *slot = kvm_set_find_gfn(kvm_memslots(kvm, as_id), gfn);

	return slot ? kvm_slot_hva(slot, gfn) : KVM_HVA_ERR_BAD;
}

/* ---- changes -------------------------------------------------------------------- */

static struct kvm_memslots *inactive_set(struct kvm *kvm, int as_id)
{
	int node = kvm_memslots(kvm, as_id)->node;

	return kvm->memslot_sets[as_id][!node];
}

/*
 * Publish the inactive set and wait until nobody uses the other one, which
 * becomes the inactive one.
 */
static void publish(struct kvm *kvm, struct kvm_memslots *set)
{
	int as_id = set->as_id;

	set->generation = kvm_memslots(kvm, as_id)->generation +
			  KVM_OOT_ADDRESS_SPACES;
	rcu_assign_pointer(kvm->memslots[as_id], set);
	synchronize_srcu_expedited(&kvm->srcu);
	kvm_arch_memslots_updated(kvm, set->generation);
}

static void free_dirty_bitmap(struct kvm_memory_slot *slot)
{
	kvfree(slot->dirty_bitmap);
	kvfree(slot->ring_bitmap);
	slot->dirty_bitmap = NULL;
	slot->ring_bitmap = NULL;
}

static void free_slot(struct kvm_memory_slot *slot)
{
	if (!slot)
		return;
	kvm_gmem_unbind(slot);
	free_dirty_bitmap(slot);
	kvm_arch_free_slot(slot);
	kfree(slot);
}

/**
 * kvm_alloc_ring_bitmap() - give a logged slot what it needs in a VM with dirty rings
 * @slot: the slot
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_alloc_ring_bitmap(struct kvm_memory_slot *slot)
{
	slot->ring_bitmap = __vcalloc(1, kvm_dirty_bitmap_bytes(slot), GFP_KERNEL_ACCOUNT);
	return slot->ring_bitmap ? 0 : -ENOMEM;
}

static int alloc_dirty_bitmap(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	unsigned long bytes = kvm_dirty_bitmap_bytes(slot);

	slot->dirty_bitmap = __vcalloc(2, bytes, GFP_KERNEL_ACCOUNT);
	if (!slot->dirty_bitmap)
		return -ENOMEM;
	if (kvm->dirty_ring_bytes && kvm_alloc_ring_bitmap(slot)) {
		free_dirty_bitmap(slot);
		return -ENOMEM;
	}
	if (kvm_log_begins_dirty(kvm))
		bitmap_set(slot->dirty_bitmap, 0, slot->npages);
	return 0;
}

/*
 * A slot leaves the guest's view, its mappings go, and then it goes itself from
 * the set that is left inactive. On return the active set holds it in the tree
 * by host address only.
 */
static void retire(struct kvm *kvm, struct kvm_memory_slot *old)
{
	struct kvm_memslots *set = inactive_set(kvm, old->as_id);

	remove_gfn(set, old);
	publish(kvm, set);
	kvm_arch_flush_shadow_slot(kvm, old);
	kvm_set_remove(inactive_set(kvm, old->as_id), old);
}

/* Bring the set that was just replaced level with the active one. */
static void finish(struct kvm *kvm, struct kvm_memory_slot *old, bool retired,
		   struct kvm_memory_slot *new, int as_id)
{
	struct kvm_memslots *set = inactive_set(kvm, as_id);

	if (old && retired)
		remove_hva(set, old);
	else if (old)
		kvm_set_remove(set, old);
	if (new)
		kvm_set_insert(set, new);
}

static int change_slot(struct kvm *kvm, struct kvm_memory_slot *old,
		       struct kvm_memory_slot *new, enum kvm_slot_change change)
{
	bool retired = change == KVM_SLOT_DELETE || change == KVM_SLOT_MOVE;
	bool was_logged = old && old->dirty_bitmap;
	int as_id = old ? old->as_id : new->as_id;
	struct kvm_memslots *set;
	int r;

	if (new && (new->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
		if (was_logged && change == KVM_SLOT_FLAGS) {
			new->dirty_bitmap = old->dirty_bitmap;
			new->ring_bitmap = old->ring_bitmap;
		} else {
			r = alloc_dirty_bitmap(kvm, new);
			if (r)
				return r;
		}
	}
	if (change == KVM_SLOT_FLAGS)
		new->arch = old->arch;

	r = kvm_arch_prepare_slot(kvm, old, new, change);
	if (r) {
		if (new && (!old || new->dirty_bitmap != old->dirty_bitmap))
			free_dirty_bitmap(new);
		return r;
	}

	if (retired)
		retire(kvm, old);
	set = inactive_set(kvm, as_id);
	if (old && !retired)
		kvm_set_remove(set, old);
	if (new)
		kvm_set_insert(set, new);
	publish(kvm, set);
	finish(kvm, old, retired, new, as_id);

	if (change == KVM_SLOT_CREATE)
		kvm->nr_memslot_pages += new->npages;
	else if (change == KVM_SLOT_DELETE)
		kvm->nr_memslot_pages -= old->npages;

	kvm_arch_commit_slot(kvm, old, new, change);

	if (change == KVM_SLOT_FLAGS) {
		/* these live on in the new slot */
		old->arch = NULL;
		if (new->dirty_bitmap == old->dirty_bitmap) {
			old->dirty_bitmap = NULL;
			old->ring_bitmap = NULL;
		}
	}
	free_slot(old);
	return 0;
}

static struct kvm_memory_slot *
make_slot(const struct kvm_userspace_memory_region2 *mem, int as_id, int id)
{
	struct kvm_memory_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	int i;

	if (!slot)
		return NULL;
	slot->as_id = as_id;
	slot->id = id;
	slot->flags = mem->flags;
	slot->base_gfn = mem->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = mem->memory_size >> PAGE_SHIFT;
	slot->userspace_addr = mem->userspace_addr;
	for (i = 0; i < 2; i++) {
		slot->hva_node[i].start = slot->userspace_addr;
		slot->hva_node[i].last = slot->userspace_addr +
					 slot->npages * PAGE_SIZE - 1;
	}
	return slot;
}

static int set_region(struct kvm *kvm,
		      const struct kvm_userspace_memory_region2 *mem,
		      int as_id, int id)
{
	struct kvm_memslots *set = kvm_memslots(kvm, as_id);
	struct kvm_memory_slot *old = kvm_set_find_id(set, id), *new;
	gfn_t base = mem->guest_phys_addr >> PAGE_SHIFT;
	unsigned long npages = mem->memory_size >> PAGE_SHIFT;
	enum kvm_slot_change change;
	int r;

	if (!npages) {
		if (!old)
			return -EINVAL;
		return change_slot(kvm, old, NULL, KVM_SLOT_DELETE);
	}

	if (!old) {
		change = KVM_SLOT_CREATE;
		if (kvm->nr_memslot_pages + npages < kvm->nr_memslot_pages)
			return -EINVAL;
	} else {
		if (mem->userspace_addr != old->userspace_addr ||
		    npages != old->npages ||
		    ((mem->flags ^ old->flags) & KVM_MEM_READONLY) ||
		    ((mem->flags | old->flags) & KVM_MEM_GUEST_MEMFD))
			return -EINVAL;
		if (base != old->base_gfn)
			change = KVM_SLOT_MOVE;
		else if (mem->flags != old->flags)
			change = KVM_SLOT_FLAGS;
		else
			return 0;
	}
	if (change != KVM_SLOT_FLAGS &&
	    kvm_set_overlaps(set, base, base + npages, id))
		return -EEXIST;

	new = make_slot(mem, as_id, id);
	if (!new)
		return -ENOMEM;
	if (new->flags & KVM_MEM_GUEST_MEMFD) {
		r = kvm_gmem_bind(kvm, new, mem->guest_memfd, mem->guest_memfd_offset);
		if (r)
			goto out_free;
	}
	r = change_slot(kvm, old, new, change);
	if (!r)
		return 0;
	kvm_gmem_unbind(new);
out_free:
	kfree(new);
	return r;
}

static bool flags_are_valid(u32 flags)
{
	/* neither a log of private pages, nor writes that are to be emulated */
	if (flags & KVM_MEM_GUEST_MEMFD)
		return flags == KVM_MEM_GUEST_MEMFD;
	return !(flags & ~(u32)(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY));
}

/**
 * kvm_set_memory_region() - KVM_SET_USER_MEMORY_REGION and its second form
 * @kvm: the VM
 * @mem: what user space asks for, a kernel copy
 *
 * Return: 0; -EINVAL for bad flags, alignment, range, slot number, a deleted
 * slot that is not there, a change of size, host address or KVM_MEM_READONLY
 * of an existing slot, or of anything of a slot with a guest_memfd; -EEXIST when
 * it overlaps another slot; -ENOMEM; and what kvm_gmem_bind() says.
 */
int kvm_set_memory_region(struct kvm *kvm,
			  const struct kvm_userspace_memory_region2 *mem)
{
	int as_id = mem->slot >> 16, id = (u16)mem->slot;
	int r;

	if (!flags_are_valid(mem->flags))
		return -EINVAL;
	if (mem->memory_size & (PAGE_SIZE - 1) ||
	    mem->guest_phys_addr & (PAGE_SIZE - 1) ||
	    mem->userspace_addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (mem->memory_size != (unsigned long)mem->memory_size ||
	    mem->userspace_addr != untagged_addr(mem->userspace_addr) ||
	    !access_ok((void __user *)(unsigned long)mem->userspace_addr,
		       mem->memory_size))
		return -EINVAL;
	if (as_id >= kvm_address_spaces(kvm) || id >= KVM_OOT_MEM_SLOTS)
		return -EINVAL;
	if (mem->guest_phys_addr + mem->memory_size < mem->guest_phys_addr)
		return -EINVAL;
	if (mem->memory_size >> PAGE_SHIFT > SLOT_MAX_PAGES)
		return -EINVAL;

	mutex_lock(&kvm->slots_lock);
	r = set_region(kvm, mem, as_id, id);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

static int delete_private_slots(struct kvm *kvm, int id)
{
	struct kvm_memory_slot *old;
	unsigned long hva = 0, bytes = 0;
	int as_id, r = 0;

	for (as_id = 0; as_id < kvm_address_spaces(kvm) && !r; as_id++) {
		old = kvm_set_find_id(kvm_memslots(kvm, as_id), id);
		if (!old)
			continue;
		hva = old->userspace_addr;
		bytes = old->npages * PAGE_SIZE;
		r = change_slot(kvm, old, NULL, KVM_SLOT_DELETE);
	}
	if (!r && bytes && current->mm == kvm->mm)
		vm_munmap(hva, bytes);
	return r;
}

static int make_private_slots(struct kvm *kvm, const struct kvm_userspace_memory_region2 *mem,
			      int id)
{
	int as_id, r;

	for (as_id = 0; as_id < kvm_address_spaces(kvm); as_id++) {
		r = set_region(kvm, mem, as_id, id);
		if (r)
			goto undo;
	}
	return 0;
undo:
	while (as_id--)
		change_slot(kvm, kvm_set_find_id(kvm_memslots(kvm, as_id), id), NULL,
			    KVM_SLOT_DELETE);
	return r;
}

/**
 * kvm_set_private_slot() - create or delete a slot that user space cannot see
 * @kvm: the VM; slots_lock is held
 * @id: 0 to KVM_OOT_PRIVATE_SLOTS - 1
 * @gpa: guest physical address, page aligned
 * @size: bytes, a multiple of the page size; 0 deletes
 *
 * It is in all of the VM's address spaces. The memory is an anonymous mapping in the owner's.
 *
 * Return: 0; -EEXIST when it overlaps or is there already; -EINVAL; -ENOMEM.
 */
int kvm_set_private_slot(struct kvm *kvm, int id, gpa_t gpa, u64 size)
{
	struct kvm_userspace_memory_region2 mem = {
		.guest_phys_addr = gpa,
		.memory_size = size,
	};
	int r;

	lockdep_assert_held(&kvm->slots_lock);
	if (id < 0 || id >= KVM_OOT_PRIVATE_SLOTS)
		return -EINVAL;
	id += KVM_OOT_MEM_SLOTS;

	if (!size)
		return delete_private_slots(kvm, id);
	if (kvm_set_find_id(kvm_memslots(kvm, 0), id))
		return -EEXIST;

	mem.userspace_addr = vm_mmap(NULL, 0, size, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE((unsigned long)mem.userspace_addr))
		return mem.userspace_addr;
	r = make_private_slots(kvm, &mem, id);
	if (r)
		vm_munmap(mem.userspace_addr, size);
	return r;
}

/* ---- dirty log --------------------------------------------------------------------- */

/**
 * kvm_mark_page_dirty_in_slot() - a page was written on the guest's behalf
 * @kvm: the VM
 * @slot: slot of the page; may be NULL
 * @gfn: guest frame in @slot
 */
void kvm_mark_page_dirty_in_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
				 gfn_t gfn)
{
	if (!slot || !slot->dirty_bitmap)
		return;
	/* pairs with kvm_enable_dirty_ring() */
	if (smp_load_acquire(&kvm->dirty_ring_bytes))
		kvm_dirty_ring_mark(kvm, slot, gfn - slot->base_gfn);
	else
		set_bit_le(gfn - slot->base_gfn, slot->dirty_bitmap);
}

/**
 * kvm_vcpu_mark_page_dirty() - a vCPU wrote a page
 * @vcpu: the vCPU
 * @gfn: guest frame
 */
void kvm_vcpu_mark_page_dirty(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	kvm_mark_page_dirty_in_slot(vcpu->kvm, kvm_vcpu_gfn_to_memslot(vcpu, gfn), gfn);
}
EXPORT_SYMBOL_GPL(kvm_vcpu_mark_page_dirty);

/**
 * kvm_logged_slot() - find a slot that has a dirty log
 * @kvm: the VM; slots_lock is held
 * @slot_id: user space's number: address space << 16 | slot
 * @slot: filled
 *
 * Return: 0; -EINVAL for a number that no slot can have; -ENOENT.
 */
int kvm_logged_slot(struct kvm *kvm, u32 slot_id, struct kvm_memory_slot **slot)
{
	int as_id = slot_id >> 16, id = (u16)slot_id;

	if (as_id >= kvm_address_spaces(kvm) || id >= KVM_OOT_MEM_SLOTS)
		return -EINVAL;
	*slot = kvm_set_find_id(kvm_memslots(kvm, as_id), id);
	return *slot && (*slot)->dirty_bitmap ? 0 : -ENOENT;
}

/* The log is told in rings, and nowhere else. */
static bool rings_only(struct kvm *kvm)
{
	return READ_ONCE(kvm->dirty_ring_bytes) && !READ_ONCE(kvm->dirty_ring_with_bitmap);
}

/* Mostly so, and much to look at: eight words at a time. */
static bool log_is_empty(const struct kvm_memory_slot *slot)
{
	unsigned long words = kvm_dirty_bitmap_bytes(slot) / sizeof(long), i;
	const unsigned long *w = slot->dirty_bitmap;

	for (; words >= 8; words -= 8, w += 8)
		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			return false;
	for (i = 0; i < words; i++)
		if (w[i])
			return false;
	return true;
}

/* Harvest @slot's bitmap into @buffer and protect the pages again. */
static bool harvest(struct kvm *kvm, struct kvm_memory_slot *slot,
		    unsigned long *buffer)
{
	unsigned long i, words = kvm_dirty_bitmap_bytes(slot) / sizeof(long);
	bool flush = false;

	write_lock(&kvm->mmu_lock);
	for (i = 0; i < words; i++) {
		buffer[i] = 0;
		if (!READ_ONCE(slot->dirty_bitmap[i]))
			continue;
		buffer[i] = xchg(&slot->dirty_bitmap[i], 0);
		kvm_arch_dirty_log_protect(kvm, slot, i * BITS_PER_LONG,
					   buffer[i]);
		flush = true;
		cond_resched_rwlock_write(&kvm->mmu_lock);
	}
	write_unlock(&kvm->mmu_lock);
	return flush;
}

/**
 * kvm_get_dirty_log() - KVM_GET_DIRTY_LOG
 * @kvm: the VM
 * @log: slot and user's bitmap, a kernel copy
 *
 * With KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 the log is only read.
 *
 * Return: 0; -EINVAL for a bad slot number; -ENOENT for a slot that is not
 * there or not logged; -EFAULT; -ENXIO when the log is in dirty rings only.
 */
int kvm_get_dirty_log(struct kvm *kvm, struct kvm_dirty_log *log)
{
	struct kvm_memory_slot *slot;
	unsigned long *from, bytes, i;
	int r;

	if (rings_only(kvm))
		return -ENXIO;
	mutex_lock(&kvm->slots_lock);
	r = kvm_logged_slot(kvm, log->slot, &slot);
	if (r)
		goto out;
	kvm_arch_sync_dirty_log(kvm);
	bytes = kvm_dirty_bitmap_bytes(slot);
	if (log_is_empty(slot)) {
		if (clear_user(log->dirty_bitmap, bytes))
			r = -EFAULT;
		goto out;
	}
	if (kvm->manual_dirty_log_protect) {
		from = slot->dirty_bitmap;
	} else {
		from = slot->dirty_bitmap + bytes / sizeof(long);
		/* a page is reported once it cannot be written unseen any more */
		if (harvest(kvm, slot, from))
			kvm_flush_remote_tlbs(kvm);
	}
	if (copy_to_user(log->dirty_bitmap, from, bytes)) {
		r = -EFAULT;
		/* what was not told is told the next time */
		if (from != slot->dirty_bitmap)
			for (i = 0; i < bytes / sizeof(long); i++)
				atomic_long_or(from[i],
					       (atomic_long_t *)&slot->dirty_bitmap[i]);
	}
out:
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_clear_dirty_log() - KVM_CLEAR_DIRTY_LOG
 * @kvm: the VM
 * @log: slot, range and user's bitmap, a kernel copy
 *
 * Return: 0; -EINVAL for a bad slot number or range; -ENOENT for a slot that is
 * not there or not logged; -EFAULT; -ENXIO when the log is in dirty rings only.
 */
int kvm_clear_dirty_log(struct kvm *kvm, struct kvm_clear_dirty_log *log)
{
	unsigned long i, first, words, *buffer;
	struct kvm_memory_slot *slot;
	bool flush = false;
	int r;

	if (log->first_page & (BITS_PER_LONG - 1))
		return -EINVAL;

	if (rings_only(kvm))
		return -ENXIO;
	mutex_lock(&kvm->slots_lock);
	r = kvm_logged_slot(kvm, log->slot, &slot);
	if (r)
		goto out;
	r = -EINVAL;
	if (log->first_page > slot->npages ||
	    log->num_pages > slot->npages - log->first_page ||
	    (log->num_pages < slot->npages - log->first_page &&
	     log->num_pages & (BITS_PER_LONG - 1)))
		goto out;

	words = DIV_ROUND_UP(log->num_pages, BITS_PER_LONG);
	first = log->first_page / BITS_PER_LONG;
	buffer = slot->dirty_bitmap + kvm_dirty_bitmap_bytes(slot) / sizeof(long);
	r = -EFAULT;
	if (copy_from_user(buffer, log->dirty_bitmap,
			   DIV_ROUND_UP(log->num_pages, 8)))
		goto out;
	if (log->num_pages % BITS_PER_LONG)
		buffer[words - 1] &= BIT(log->num_pages % BITS_PER_LONG) - 1;

	/* it was left as it was when the log began */
	if (kvm_log_begins_dirty(kvm))
		kvm_arch_dirty_log_split(kvm, slot, log->first_page, log->num_pages);
	write_lock(&kvm->mmu_lock);
	for (i = 0; i < words; i++) {
		unsigned long mask = buffer[i];

		if (!mask)
			continue;
		mask &= atomic_long_fetch_andnot(mask,
				(atomic_long_t *)&slot->dirty_bitmap[first + i]);
		if (mask) {
			kvm_arch_dirty_log_protect(kvm, slot,
						   (first + i) * BITS_PER_LONG,
						   mask);
			flush = true;
		}
		cond_resched_rwlock_write(&kvm->mmu_lock);
	}
	write_unlock(&kvm->mmu_lock);
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	r = 0;
out:
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/* ---- life cycle ----------------------------------------------------------- */

/**
 * kvm_memslots_create() - give a new VM its empty sets
 * @kvm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_memslots_create(struct kvm *kvm)
{
	int as_id, node;

	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++) {
		for (node = 0; node < 2; node++) {
			struct kvm_memslots *set;

			set = kzalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);
			if (!set) {
				kvm_memslots_destroy(kvm);
				return -ENOMEM;
			}
			set->gfn_tree = RB_ROOT;
			set->hva_tree = RB_ROOT_CACHED;
			set->id_tree = RB_ROOT;
			set->as_id = as_id;
			set->node = node;
			set->generation = as_id;
			kvm->memslot_sets[as_id][node] = set;
		}
		RCU_INIT_POINTER(kvm->memslots[as_id], kvm->memslot_sets[as_id][0]);
	}
	return 0;
}

/**
 * kvm_memslots_destroy() - free all slots of a VM without users
 * @kvm: the VM; its mappings are gone
 */
void kvm_memslots_destroy(struct kvm *kvm)
{
	int as_id;

	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++) {
		struct kvm_memslots *set = kvm->memslot_sets[as_id][0];
		struct rb_node *n;

		while (set && (n = rb_first(&set->gfn_tree))) {
			struct kvm_memory_slot *slot = kvm_slot_of_node(set, n);

			rb_erase(n, &set->gfn_tree);
			free_slot(slot);
		}
		kfree(kvm->memslot_sets[as_id][0]);
		kfree(kvm->memslot_sets[as_id][1]);
		kvm->memslot_sets[as_id][0] = NULL;
		kvm->memslot_sets[as_id][1] = NULL;
		RCU_INIT_POINTER(kvm->memslots[as_id], NULL);
	}
}
