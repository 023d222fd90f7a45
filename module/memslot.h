/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The set of memory slots of one address space; see memslot.c.
 */
#ifndef KVM_OOT_MEMSLOT_H
#define KVM_OOT_MEMSLOT_H

#include <linux/rbtree.h>

#include "module/kvm_host.h"

/**
 * struct kvm_memslots - all slots of one address space
 * @generation: changes with every publication; no two sets have the same
 * @last_used: (a) the slot found last; a hint
 * @gfn_tree: slots that a guest frame is looked up in, by base_gfn
 * @hva_tree: slots that may have mappings, by host address
 * @id_tree: the same slots by id
 * @as_id: (c) address space
 * @node: (c) which of a slot's two nodes this set uses
 * @nr_slots: in @gfn_tree
 */
struct kvm_memslots {
	u64 generation;
	struct kvm_memory_slot *last_used;
	struct rb_root gfn_tree;
	struct rb_root_cached hva_tree;
	struct rb_root id_tree;
	u16 as_id;
	u16 node;
	unsigned int nr_slots;
};

/* the active set; kvm->srcu or slots_lock held */
static inline struct kvm_memslots *kvm_memslots(struct kvm *kvm, int as_id)
{
	return srcu_dereference_check(kvm->memslots[as_id], &kvm->srcu,
				      lockdep_is_held(&kvm->slots_lock) ||
				      !refcount_read(&kvm->users));
}

static inline struct kvm_memory_slot *
kvm_slot_of_node(struct kvm_memslots *set, struct rb_node *node)
{
	if (!node)
		return NULL;
	return set->node ? rb_entry(node, struct kvm_memory_slot, gfn_node[1]) :
			   rb_entry(node, struct kvm_memory_slot, gfn_node[0]);
}

#define kvm_for_each_slot(slot, set)					\
	for ((slot) = kvm_slot_of_node((set), rb_first(&(set)->gfn_tree)); (slot); \
	     (slot) = kvm_slot_of_node((set), rb_next(&(slot)->gfn_node[(set)->node])))

struct kvm_memory_slot *kvm_set_find_gfn(struct kvm_memslots *set, gfn_t gfn);
struct kvm_memory_slot *kvm_set_find_id(struct kvm_memslots *set, int id);
bool kvm_set_overlaps(struct kvm_memslots *set, gfn_t start, gfn_t end,
		      int except_id);
void kvm_set_insert(struct kvm_memslots *set, struct kvm_memory_slot *slot);
void kvm_set_remove(struct kvm_memslots *set, struct kvm_memory_slot *slot);

static inline unsigned long kvm_slot_hva(const struct kvm_memory_slot *slot,
					 gfn_t gfn)
{
	return slot->userspace_addr + (gfn - slot->base_gfn) * PAGE_SIZE;
}

/* bytes of one copy of the dirty bitmap, as GET_DIRTY_LOG hands it out */
static inline unsigned long kvm_dirty_bitmap_bytes(const struct kvm_memory_slot *slot)
{
	return ALIGN(slot->npages, BITS_PER_LONG) / 8;
}

/* KVM_DIRTY_LOG_INITIALLY_SET; rings begin empty */
static inline bool kvm_log_begins_dirty(struct kvm *kvm)
{
	return kvm->manual_dirty_log_protect & KVM_DIRTY_LOG_INITIALLY_SET &&
	       !kvm->dirty_ring_bytes;
}

int kvm_alloc_ring_bitmap(struct kvm_memory_slot *slot);
int kvm_logged_slot(struct kvm *kvm, u32 slot_id, struct kvm_memory_slot **slot);

#endif /* KVM_OOT_MEMSLOT_H */
