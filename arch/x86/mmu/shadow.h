/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow pages: what shadow.c and shadow_page.c share.
 */
#ifndef KVM_OOT_MMU_SHADOW_H
#define KVM_OOT_MMU_SHADOW_H

#include <linux/build_bug.h>
#include <linux/list.h>

#include "arch/x86/mmu/internal.h"
#include "arch/x86/mmu/mmu.h"

/*
 * Entries have the form of the CPU's own (Intel SDM vol. 3, 4.4 and 4.5; AMD APM vol.
 * 2, 5.3 and 5.4). Those of PAE paging have nothing free above the address.
 */
#define SHADOW_PRESENT		_PAGE_PRESENT
#define SHADOW_WRITABLE		_PAGE_RW
#define SHADOW_USER		_PAGE_USER
#define SHADOW_ACCESSED		_PAGE_ACCESSED
#define SHADOW_DIRTY		_PAGE_DIRTY
#define SHADOW_LARGE		_PAGE_PSE
#define SHADOW_NX		BIT_ULL(63)
#define SHADOW_PKEY_SHIFT	59
#define SHADOW_PKEY		GENMASK_ULL(62, 59)
/* what the host's page attribute table has as uncached */
#define SHADOW_UNCACHED		(_PAGE_PCD | _PAGE_PWT)
/* ... and the third bit of an index into it, where no large page says so */
#define SHADOW_PAT		_PAGE_PAT
#define SHADOW_PAT_LARGE	_PAGE_PAT_LARGE

#define SHADOW_MAX_LEAF		3	/* 1 GiB */
#define SHADOW_PAE_ROOTS	4
#define SHADOW_HASH_BITS	10

/**
 * struct spte_link - where the reverse of an entry hangs
 * @node: on the list of the frame that the entry maps (a leaf), or of the page that it
 *	points to
 * @gfn: frame that it maps; never computed from anything else later
 * @index: of the entry in its page
 */
struct spte_link {
	struct hlist_node node;
	u64 gfn : 52;
	u64 index : 9;
};

/**
 * struct shadow_page - one table; everything (m)
 * @spt: its 512 entries
 * @gfn: key, with @role
 * @role: key
 * @unsync: the guest may write its table, which this page may differ from
 * @invalid: it was dropped while it was some vCPU's root; nothing may be mapped in it
 * @writes: emulated writes to the guest's table since the page was last used
 * @roots: vCPUs that have it as a root
 * @slot: arrays of the slot that the guest's table is in; NULL when direct
 * @hash: on the VM's hash, by @gfn
 * @link: on the list of all pages, the youngest first, or of those to be freed
 * @unsync_link: on the list of those with @unsync
 * @nx_link: on the VM's list of tables that only a fetch made necessary, or empty
 * @parents: links of the entries that point here
 * @links: of the entries
 */
struct shadow_page {
	u64 *spt;
	gfn_t gfn;
	union shadow_role role;
	bool unsync;
	bool invalid;
	u8 writes;
	unsigned int roots;
	struct shadow_slot *slot;
	struct hlist_node hash;
	struct list_head link;
	struct list_head unsync_link;
	struct list_head nx_link;
	struct hlist_head parents;
	struct spte_link links[TDP_ENTRIES];
};

/**
 * struct shadow_slot - what hangs on a memory slot: slot->arch
 * @base: first frame
 * @npages: frames
 * @rmap: (m) by level and frame (of a large page: its number): links of leaves
 * @tables: (m) by level and large page: shadow pages whose guest's table is within
 */
struct shadow_slot {
	gfn_t base;
	gfn_t npages;
	struct hlist_head *rmap[SHADOW_MAX_LEAF + 1];
	u32 *tables[SHADOW_MAX_LEAF + 1];
};

/* which of a slot's pages of a level a frame is in */
static inline unsigned long shadow_index(const struct shadow_slot *s, gfn_t gfn, int level)
{
	int shift = (level - 1) * 9;

	return (gfn >> shift) - (s->base >> shift);
}

/* of a VM */
struct shadow_vm {
	struct hlist_head hash[1 << SHADOW_HASH_BITS];	/* (m) pages by frame */
	struct list_head pages;		/* (m) all of them, the youngest first */
	struct list_head unsync;	/* (m) */
	unsigned long nr_pages;		/* (m) */
	unsigned long nr_tables;	/* (m), READ_ONCE elsewhere: those that are not direct */
	u64 buffer[TDP_ENTRIES];	/* (m) a guest's table, while it is compared */
};

static inline struct shadow_vm *to_shadow(struct kvm *kvm)
{
	return to_mmu_vm(kvm)->shadow;
}

/**
 * shadow_cache_bits() - how an entry says that memory is cached
 * @index: into the CPU's PAT
 * @level: of the entry
 */
static inline u64 shadow_cache_bits(unsigned int index, int level)
{
	return (index & 1 ? _PAGE_PWT : 0) | (index & 2 ? _PAGE_PCD : 0) |
	       (!(index & 4) ? 0 : level > 1 ? SHADOW_PAT_LARGE : SHADOW_PAT);
}

extern u64 shadow_host_pat;

unsigned int shadow_cache_index(struct kvm_vcpu *vcpu, u64 pte, int level);	/* shadow.c */
unsigned int kvm_pat_index(u64 pat, u8 type);

static inline bool shadow_leaf(u64 spte, int level)
{
	return level == 1 || (spte & SHADOW_LARGE);
}

/* shadow_page.c; mmu_lock held for writing unless it says otherwise */
int shadow_fill_cache(struct kvm_mmu *mmu, unsigned int n);	/* not held */
void shadow_free_cache(struct kvm_mmu *mmu);			/* not held */
struct shadow_page *shadow_get_page(struct kvm_vcpu *vcpu, gfn_t gfn, union shadow_role role,
				    bool *flush);
void shadow_put_root(struct kvm *kvm, struct shadow_page *sp);
struct shadow_page *shadow_child(u64 spte);
void shadow_link_child(struct shadow_page *sp, unsigned int index, struct shadow_page *child);
void shadow_set_leaf(struct kvm *kvm, struct shadow_slot *slot, struct shadow_page *sp,
		     unsigned int index, gfn_t gfn, u64 spte);
bool shadow_drop(struct kvm *kvm, struct shadow_page *sp, unsigned int index);
void shadow_empty(struct kvm *kvm, struct shadow_page *sp);
bool shadow_has_tables(struct kvm *kvm, int as_id, gfn_t gfn);
bool shadow_unsync(struct kvm *kvm, int as_id, gfn_t gfn);
void shadow_sync(struct kvm_vcpu *vcpu);
void shadow_make_room(struct kvm *kvm, unsigned long n);
bool shadow_read_guest(struct kvm *kvm, int as_id, gpa_t gpa, void *data, unsigned int len);

#endif /* KVM_OOT_MMU_SHADOW_H */
