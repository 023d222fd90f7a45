// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow pages: tables that the CPU walks in place of the guest's own.
 *
 * A page is found by (gfn, role) and by nothing less, and each entry has, beside its
 * value, a link with the frame that it maps: through it the entry hangs on the list of
 * that frame in its slot (the reverse map), or on the list of the page that it points
 * to. Both are found from an entry without computing, and from a frame or page its
 * entries are found, so whatever the host or the guest takes away goes everywhere.
 *
 * A guest's table that has shadow pages must not be written unseen. It is mapped
 * read-only, and a write is emulated and drops the entries that were made of what it
 * changed. That is dear for tables of 4 KiB pages, which are written most: their shadow
 * pages may be "unsync", the guest then writes the table freely, and they are compared
 * with it (shadow_sync()) before the vCPU that must see the change runs on. That is at
 * the next flush of its TLB, since before the guest cannot rely on it.
 *
 * Everything is under mmu_lock, held for writing. An entry that is dropped is dropped
 * from all TLBs before the lock is: the notifier would not find it any more. So is a
 * page before it is freed, as a CPU may be walking it.
 */
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "arch/x86/dma.h"
#include "arch/x86/mmu/shadow.h"
#include "module/memslot.h"

/* so many emulated writes without a use, and the frame is no table any more */
#define FLOOD			4
/* pages that a fault or a new root may need */
#define MIN_PAGES		64
/* of 1,000 pages of memory so many may be mapped by shadow pages at a time */
#define PAGES_PER_MILLE		20

static struct kmem_cache *shadow_cache;

/* ---- pages --------------------------------------------------------------------------- */

/**
 * kvm_mmu_shadow_init() - set up what all VMs share
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_mmu_shadow_init(void)
{
	shadow_cache = kmem_cache_create("kvm_shadow_page", sizeof(struct shadow_page), 0,
					 SLAB_ACCOUNT, NULL);
	return shadow_cache ? 0 : -ENOMEM;
}

/**
 * kvm_mmu_shadow_exit() - undo it
 */
void kvm_mmu_shadow_exit(void)
{
	kmem_cache_destroy(shadow_cache);
}

static void free_page_of(struct shadow_page *sp)
{
	mmu_free_table(sp->spt);
	kmem_cache_free(shadow_cache, sp);
}

static struct shadow_page *alloc_page_of(void)
{
	struct shadow_page *sp = kmem_cache_zalloc(shadow_cache, GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!sp)
		return NULL;
	sp->spt = mmu_alloc_table(sp);
	if (!sp->spt) {
		kmem_cache_free(shadow_cache, sp);
		return NULL;
	}
	for (i = 0; i < TDP_ENTRIES; i++)
		sp->links[i].index = i;
	INIT_LIST_HEAD(&sp->unsync_link);
	INIT_LIST_HEAD(&sp->nx_link);
	return sp;
}

/**
 * shadow_fill_cache() - have pages in stock, so that a fault need not allocate
 * @mmu: of the vCPU
 * @n: how many
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_fill_cache(struct kvm_mmu *mmu, unsigned int n)
{
	while (mmu->nr_cached < n) {
		struct shadow_page *sp = alloc_page_of();

		if (!sp)
			return -ENOMEM;
		list_add(&sp->link, &mmu->shadow_cache);
		mmu->nr_cached++;
	}
	return 0;
}

static void free_list(struct list_head *list)
{
	struct shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, list, link)
		free_page_of(sp);
	INIT_LIST_HEAD(list);
}

/**
 * shadow_free_cache() - give the stock back
 * @mmu: of the vCPU
 */
void shadow_free_cache(struct kvm_mmu *mmu)
{
	free_list(&mmu->shadow_cache);
	mmu->nr_cached = 0;
}

/**
 * shadow_child() - the page that an entry points to
 * @spte: the entry, not a leaf
 */
struct shadow_page *shadow_child(u64 spte)
{
	return (void *)page_private(pfn_to_page((spte & SPTE_ADDR) >> PAGE_SHIFT));
}

static struct shadow_page *page_of_link(struct spte_link *link)
{
	return container_of(link - link->index, struct shadow_page, links[0]);
}

static struct hlist_head *bucket(struct kvm *kvm, gfn_t gfn)
{
	return &to_shadow(kvm)->hash[hash_64(gfn, SHADOW_HASH_BITS)];
}

/* ---- entries ----------------------------------------------------------------------- */

/**
 * shadow_link_child() - have an empty entry point to a page
 * @sp: page of the entry
 * @index: of the entry
 * @child: the page
 *
 * Rights are in the leaves.
 */
void shadow_link_child(struct shadow_page *sp, unsigned int index, struct shadow_page *child)
{
	sp->links[index].gfn = child->gfn;
	hlist_add_head(&sp->links[index].node, &child->parents);
	WRITE_ONCE(sp->spt[index], __pa(child->spt) | SHADOW_PRESENT | SHADOW_WRITABLE |
		   SHADOW_USER | SHADOW_ACCESSED);
}

/**
 * shadow_set_leaf() - map a frame by an empty entry, or change its mapping's rights
 * @kvm: the VM
 * @slot: of the frame
 * @sp: page of the entry
 * @index: of the entry
 * @gfn: first frame that the entry maps
 * @spte: value
 */
void shadow_set_leaf(struct kvm *kvm, struct shadow_slot *slot, struct shadow_page *sp,
		     unsigned int index, gfn_t gfn, u64 spte)
{
	int level = sp->role.level;

	if (!spte_present(sp->spt[index])) {
		sp->links[index].gfn = gfn;
		hlist_add_head(&sp->links[index].node,
			       &slot->rmap[level][shadow_index(slot, gfn, level)]);
		mmu_count_leaf(kvm, level, 1);
	}
	xchg(&sp->spt[index], spte);
}

/**
 * shadow_drop() - empty an entry
 * @kvm: the VM; the caller flushes before it drops the lock
 * @sp: page of the entry
 * @index: of the entry
 *
 * Return: true when there was something.
 */
bool shadow_drop(struct kvm *kvm, struct shadow_page *sp, unsigned int index)
{
	u64 old = xchg(&sp->spt[index], 0);

	if (!spte_present(old))
		return false;
	hlist_del(&sp->links[index].node);
	if (shadow_leaf(old, sp->role.level))
		mmu_count_leaf(kvm, sp->role.level, -1);
	return true;
}

/**
 * shadow_empty() - empty a page
 * @kvm: the VM; the caller flushes before it drops the lock
 * @sp: the page
 */
void shadow_empty(struct kvm *kvm, struct shadow_page *sp)
{
	unsigned int i;

	for (i = 0; i < TDP_ENTRIES; i++)
		shadow_drop(kvm, sp, i);
}

static bool drop_link(struct kvm *kvm, struct spte_link *link)
{
	return shadow_drop(kvm, page_of_link(link), link->index);
}

/* ---- the reverse map: entries by frame ----------------------------------------------- */

static bool drop_list(struct kvm *kvm, struct hlist_head *head)
{
	struct spte_link *link;
	struct hlist_node *next;
	bool flush = false;

	hlist_for_each_entry_safe(link, next, head, node)
		flush |= drop_link(kvm, link);
	return flush;
}

/* The frames lose the right to be written; what is large goes, to come back small. */
static bool protect_list(struct kvm *kvm, struct hlist_head *head, int level)
{
	struct spte_link *link;
	struct hlist_node *next;
	bool flush = false;

	hlist_for_each_entry_safe(link, next, head, node) {
		u64 *sptep = &page_of_link(link)->spt[link->index];

		if (!(READ_ONCE(*sptep) & SHADOW_WRITABLE))
			continue;
		flush = true;
		if (level > 1)
			drop_link(kvm, link);
		else
			clear_bit(_PAGE_BIT_RW, (unsigned long *)sptep);
	}
	return flush;
}

static bool young_list(struct hlist_head *head, bool clear)
{
	struct spte_link *link;
	bool young = false;

	hlist_for_each_entry(link, head, node) {
		unsigned long *sptep = (unsigned long *)&page_of_link(link)->spt[link->index];

		if (clear)
			young |= test_and_clear_bit(_PAGE_BIT_ACCESSED, sptep);
		else
			young |= test_bit(_PAGE_BIT_ACCESSED, sptep);
	}
	return young;
}

static bool protect_frame(struct kvm *kvm, struct shadow_slot *slot, gfn_t gfn)
{
	bool flush = false;
	int level;

	for (level = 1; level <= SHADOW_MAX_LEAF; level++)
		flush |= protect_list(kvm, &slot->rmap[level][shadow_index(slot, gfn, level)],
				      level);
	return flush;
}

enum what { DROP, PROTECT, TEST_YOUNG, CLEAR_YOUNG };

/* For all leaves of a range of a slot's frames. */
static bool for_range(struct kvm *kvm, struct shadow_slot *slot, gfn_t start, gfn_t end,
		      enum what what, bool may_yield)
{
	unsigned long i, last;
	bool found = false;
	int level;

	for (level = 1; level <= SHADOW_MAX_LEAF; level++) {
		last = shadow_index(slot, end - 1, level);
		for (i = shadow_index(slot, start, level); i <= last; i++) {
			struct hlist_head *head = &slot->rmap[level][i];

			if (hlist_empty(head))
				goto next;
			switch (what) {
			case DROP:
				found |= drop_list(kvm, head);
				break;
			case PROTECT:
				found |= protect_list(kvm, head, level);
				break;
			default:
				found |= young_list(head, what == CLEAR_YOUNG);
				break;
			}
next:
			if (may_yield && !(i & 1023))
				tdp_yield(kvm, &found);
		}
	}
	return found;
}

/* ---- guests' tables ------------------------------------------------------------------- */

static void count_tables(struct shadow_slot *slot, gfn_t gfn, int by)
{
	int level;

	for (level = 2; level <= SHADOW_MAX_LEAF; level++)
		slot->tables[level][shadow_index(slot, gfn, level)] += by;
}

/*
 * Whatever the address space: where both have the same memory in a frame, what is written
 * through one is news to the other.
 */
static bool is_table(const struct shadow_page *sp, gfn_t gfn)
{
	return sp->gfn == gfn && !sp->role.direct;
}

static bool is_table_of(const struct shadow_page *sp, int as_id, gfn_t gfn)
{
	return is_table(sp, gfn) && sp->role.smm == as_id;
}

/**
 * shadow_has_tables() - does a shadow page stand for a table in a frame
 * @kvm: the VM
 * @as_id: address space
 * @gfn: the frame
 */
bool shadow_has_tables(struct kvm *kvm, int as_id, gfn_t gfn)
{
	struct shadow_page *sp;

	hlist_for_each_entry(sp, bucket(kvm, gfn), hash)
		if (is_table_of(sp, as_id, gfn))
			return true;
	return false;
}

/**
 * shadow_unsync() - the guest is to write its table in a frame freely, if it can be
 * @kvm: the VM
 * @as_id: address space
 * @gfn: the frame
 *
 * Return: true when it can, and until the next shadow_sync() may; false when the table
 * must not be written unseen.
 */
bool shadow_unsync(struct kvm *kvm, int as_id, gfn_t gfn)
{
	struct shadow_vm *s = to_shadow(kvm);
	struct shadow_page *sp;

	hlist_for_each_entry(sp, bucket(kvm, gfn), hash)
		if (is_table_of(sp, as_id, gfn) && sp->role.level > 1)
			return false;
	hlist_for_each_entry(sp, bucket(kvm, gfn), hash) {
		if (!is_table_of(sp, as_id, gfn) || sp->unsync)
			continue;
		sp->unsync = true;
		list_add(&sp->unsync_link, &s->unsync);
		kvm->stat.mmu_unsync++;
	}
	return true;
}

static void no_longer_unsync(struct kvm *kvm, struct shadow_page *sp)
{
	if (!sp->unsync)
		return;
	sp->unsync = false;
	list_del_init(&sp->unsync_link);
	kvm->stat.mmu_unsync--;
}

/**
 * shadow_read_guest() - read of a guest's table with mmu_lock held
 * @kvm: the VM; kvm->srcu is held
 * @as_id: address space
 * @gpa: guest physical address
 * @data: filled
 * @len: bytes, within a page
 *
 * Return: false when it is not in memory just now.
 */
bool shadow_read_guest(struct kvm *kvm, int as_id, gpa_t gpa, void *data, unsigned int len)
{
	unsigned long hva = kvm_gfn_to_hva(kvm, as_id, gpa >> PAGE_SHIFT);
	unsigned long left;

	if (kvm_is_error_hva(hva))
		return false;
	pagefault_disable();
	left = __copy_from_user_inatomic(data, (void __user *)(hva + offset_in_page(gpa)), len);
	pagefault_enable();
	return !left;
}

/* May an entry stay that was made of what the guest's table had then? */
static bool still_right(struct kvm_vcpu *vcpu, const struct shadow_page *sp,
			const struct guest_walk *w, unsigned int i, u64 pte)
{
	u64 spte = READ_ONCE(sp->spt[i]);
	u8 access = sp->role.access & kvm_pte_access(pte, sp->role.nx);
	u64 addr = sp->role.wide ? SPTE_ADDR : 0xfffff000;

	if (!(pte & _PAGE_PRESENT) || !(pte & _PAGE_ACCESSED) ||
	    kvm_walk_reserved_bits(w, 1, pte) || (pte & addr) >> PAGE_SHIFT != sp->links[i].gfn)
		return false;
	if (!(pte & _PAGE_DIRTY))
		access &= ~ACC_WRITE;
	/* CR0.WP is off: what only supervisors reach they may write */
	if (!sp->role.wp && !(spte & SHADOW_USER) && (pte & _PAGE_DIRTY))
		access |= ACC_WRITE;
	if (((spte & SHADOW_WRITABLE) && !(access & ACC_WRITE)) ||
	    !(spte & SHADOW_USER) != !(access & ACC_USER) ||
	    (!(spte & SHADOW_NX) && !(access & ACC_EXEC)))
		return false;
	/* what the host has uncached goes, too, and comes back */
	if (kvm_has_noncoherent_dma(vcpu->kvm) &&
	    (spte & shadow_cache_bits(7, 1)) !=
	    shadow_cache_bits(shadow_cache_index(vcpu, pte, 1), 1))
		return false;
	return !sp->role.lma || !((spte ^ pte) & SHADOW_PKEY);
}

/* The guest's table is write-protected again: entries that it has changed go. */
static bool compare(struct kvm_vcpu *vcpu, struct shadow_page *sp)
{
	unsigned int i, size = sp->role.wide ? 8 : 4;
	struct kvm *kvm = vcpu->kvm;
	u64 *buffer = to_shadow(kvm)->buffer;
	bool flush = false, known;
	struct guest_walk w;

	kvm_walk_describe(vcpu, &w);
	w.lma = sp->role.lma;
	w.pae = sp->role.wide;
	w.pse = sp->role.pse;
	w.nx = sp->role.nx;
	known = shadow_read_guest(kvm, sp->role.smm, (sp->gfn << PAGE_SHIFT) +
				  sp->role.quadrant * TDP_ENTRIES * size,
				  buffer, TDP_ENTRIES * size);
	for (i = 0; i < TDP_ENTRIES; i++) {
		u64 pte = size == 8 ? buffer[i] : ((u32 *)buffer)[i];

		if (spte_present(sp->spt[i]) && !(known && still_right(vcpu, sp, &w, i, pte)))
			flush |= shadow_drop(kvm, sp, i);
	}
	return flush;
}

/**
 * shadow_sync() - what the guest has written into its tables counts from now on
 * @vcpu: the vCPU; kvm->srcu is held
 */
void shadow_sync(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct shadow_vm *s = to_shadow(kvm);
	struct shadow_page *sp, *next;
	bool flush = false;

	/* no vCPU writes them any more, unseen, before they are read */
	list_for_each_entry(sp, &s->unsync, unsync_link)
		flush |= protect_frame(kvm, sp->slot, sp->gfn);
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	flush = false;
	list_for_each_entry_safe(sp, next, &s->unsync, unsync_link) {
		no_longer_unsync(kvm, sp);
		flush |= compare(vcpu, sp);
	}
	if (flush)
		kvm_flush_remote_tlbs(kvm);
}

/* ---- finding, dropping ----------------------------------------------------------- */

/**
 * shadow_get_page() - the page of a frame and role, a new one if there is none
 * @vcpu: the vCPU, its stock filled; kvm->srcu is held
 * @gfn: the frame; of a guest's table: it has a slot
 * @role: the role
 * @flush: set when the caller must flush
 *
 * Return: the page; its guest's table is write-protected, or the page is unsync.
 */
struct shadow_page *shadow_get_page(struct kvm_vcpu *vcpu, gfn_t gfn, union shadow_role role,
				    bool *flush)
{
	struct kvm *kvm = vcpu->kvm;
	struct shadow_vm *s = to_shadow(kvm);
	struct shadow_page *sp, *found = NULL;
	bool written = false;

	hlist_for_each_entry(sp, bucket(kvm, gfn), hash) {
		if (sp->gfn != gfn)
			continue;
		if (sp->role.word == role.word)
			found = sp;
		written |= sp->unsync && !role.direct;
	}
	/* what one page of a table does not know is no news to another */
	if (written)
		shadow_sync(vcpu);
	if (found) {
		found->writes = 0;
		return found;
	}

	sp = list_first_entry(&vcpu->arch.mmu->shadow_cache, struct shadow_page, link);
	list_move(&sp->link, &s->pages);
	vcpu->arch.mmu->nr_cached--;
	sp->gfn = gfn;
	sp->role = role;
	hlist_add_head(&sp->hash, bucket(kvm, gfn));
	s->nr_pages++;
	kvm->stat.mmu_cache_miss++;
	if (!role.direct) {
		sp->slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn)->arch;
		count_tables(sp->slot, gfn, 1);
		WRITE_ONCE(s->nr_tables, s->nr_tables + 1);
		*flush |= protect_frame(kvm, sp->slot, gfn);
	}
	return sp;
}

/* Empty a page, and drop it unless it is a root. The caller flushes, then frees the list. */
static void zap_page(struct kvm *kvm, struct shadow_page *sp, struct list_head *garbage)
{
	struct shadow_vm *s = to_shadow(kvm);
	struct spte_link *link;
	struct hlist_node *next;

	shadow_empty(kvm, sp);
	hlist_for_each_entry_safe(link, next, &sp->parents, node)
		drop_link(kvm, link);
	no_longer_unsync(kvm, sp);
	mmu_nx_unlinked(kvm, &sp->nx_link);
	hlist_del(&sp->hash);
	if (!sp->role.direct) {
		count_tables(sp->slot, sp->gfn, -1);
		WRITE_ONCE(s->nr_tables, s->nr_tables - 1);
	}
	s->nr_pages--;
	kvm->stat.mmu_shadow_zapped++;
	if (!sp->roots) {
		list_move(&sp->link, garbage);
		return;
	}
	/* whose root it is leaves it before it enters the guest again */
	sp->invalid = true;
	list_del_init(&sp->link);
	kvm_make_all_cpus_request(kvm, KVM_REQ_MMU_RELOAD);
}

static void flush_and_free(struct kvm *kvm, bool flush, struct list_head *garbage)
{
	if (flush || !list_empty(garbage))
		kvm_flush_remote_tlbs(kvm);
	free_list(garbage);
}

/* Others may want the lock or the CPU. */
static void give_way(struct kvm *kvm, struct list_head *garbage)
{
	if (!rwlock_needbreak(&kvm->mmu_lock) && !need_resched())
		return;
	flush_and_free(kvm, false, garbage);
	cond_resched_rwlock_write(&kvm->mmu_lock);
}

/**
 * shadow_put_root() - a vCPU does not use a root any more
 * @kvm: the VM
 * @sp: the root; NULL: nothing is done. The vCPU flushes before it enters the guest.
 */
void shadow_put_root(struct kvm *kvm, struct shadow_page *sp)
{
	if (sp && !--sp->roots && sp->invalid)
		free_page_of(sp);
}

static unsigned long max_pages(struct kvm *kvm)
{
	unsigned long n = READ_ONCE(kvm->arch.nr_mmu_pages_requested);

	if (!n)
		n = READ_ONCE(kvm->nr_memslot_pages) * PAGES_PER_MILLE / 1000;
	return max_t(unsigned long, n, MIN_PAGES);
}

/* Drop the oldest pages, but roots in use, until there are so many. */
static void drop_oldest(struct kvm *kvm, unsigned long keep)
{
	struct shadow_vm *s = to_shadow(kvm);
	struct shadow_page *sp, *prev;
	LIST_HEAD(garbage);

	list_for_each_entry_safe_reverse(sp, prev, &s->pages, link) {
		if (s->nr_pages <= keep)
			break;
		if (sp->roots)
			continue;
		zap_page(kvm, sp, &garbage);
		kvm->stat.mmu_recycled++;
	}
	flush_and_free(kvm, false, &garbage);
}

/**
 * shadow_make_room() - drop the oldest pages if there are too many
 * @kvm: the VM
 * @n: how many are to come
 */
void shadow_make_room(struct kvm *kvm, unsigned long n)
{
	unsigned long max = max_pages(kvm);

	if (likely(to_shadow(kvm)->nr_pages + n <= max))
		return;
	/* some more, so that it is not for each fault */
	max -= max / 8;
	drop_oldest(kvm, max - min(max, n));
}

/* Entries of a shadow page that a write to a guest's table changes. */
static bool drop_written(struct kvm *kvm, struct shadow_page *sp, unsigned int offset,
			 unsigned int len)
{
	unsigned int size = sp->role.wide ? 8 : 4, first = offset / size;
	unsigned int last = (offset + len - 1) / size, i;
	bool flush = false;

	for (i = first; i <= last; i++) {
		if (sp->role.wide) {
			flush |= shadow_drop(kvm, sp, i);
		} else if (sp->role.level == 1) {
			/* a table of 4 MiB is two of 2 MiB */
			if (i / TDP_ENTRIES == sp->role.quadrant)
				flush |= shadow_drop(kvm, sp, i % TDP_ENTRIES);
		} else if (i / (TDP_ENTRIES / 2) == sp->role.quadrant) {
			flush |= shadow_drop(kvm, sp, i * 2 % TDP_ENTRIES);
			flush |= shadow_drop(kvm, sp, i * 2 % TDP_ENTRIES + 1);
		}
	}
	return flush;
}

/* A whole entry, or several, or the bits in the first byte of one, as Linux clears them. */
static bool like_a_table(const struct shadow_page *sp, gpa_t gpa, unsigned int len)
{
	unsigned int size = sp->role.wide ? 8 : 4;

	return IS_ALIGNED(gpa, 4) && (len == 1 ? IS_ALIGNED(gpa, size) : IS_ALIGNED(len, 4));
}

/**
 * kvm_mmu_guest_wrote() - memory was written on the guest's behalf: was it a table
 * @kvm: the VM
 * @gpa: guest physical address; kvm->srcu is held
 * @len: bytes, within a page
 */
void kvm_mmu_guest_wrote(struct kvm *kvm, gpa_t gpa, unsigned int len)
{
	struct shadow_page *sp;
	struct hlist_node *next;
	LIST_HEAD(garbage);
	bool flush = false;

	if (kvm_be.tdp)
		return;
	/* one that comes at the same time reads what was written */
	smp_mb();
	if (!READ_ONCE(to_shadow(kvm)->nr_tables))
		return;
	write_lock(&kvm->mmu_lock);
	hlist_for_each_entry_safe(sp, next, bucket(kvm, gpa >> PAGE_SHIFT), hash) {
		if (!is_table(sp, gpa >> PAGE_SHIFT))
			continue;
		kvm->stat.mmu_pte_write++;
		/* written over and over, or not as a table is: it is one no longer */
		if (++sp->writes >= FLOOD || !like_a_table(sp, gpa, len)) {
			zap_page(kvm, sp, &garbage);
			kvm->stat.mmu_flooded++;
		} else {
			flush |= drop_written(kvm, sp, offset_in_page(gpa), len);
		}
	}
	flush_and_free(kvm, flush, &garbage);
	write_unlock(&kvm->mmu_lock);
}
EXPORT_SYMBOL_GPL(kvm_mmu_guest_wrote);

/**
 * kvm_mmu_unprotect() - let a frame be written, whatever it was as a table
 * @kvm: the VM, with shadow paging
 * @gfn: the frame
 *
 * Return: true when it was one.
 */
bool kvm_mmu_unprotect(struct kvm *kvm, gfn_t gfn)
{
	struct shadow_page *sp;
	struct hlist_node *next;
	LIST_HEAD(garbage);
	bool was = false;

	write_lock(&kvm->mmu_lock);
	hlist_for_each_entry_safe(sp, next, bucket(kvm, gfn), hash) {
		if (!is_table(sp, gfn))
			continue;
		zap_page(kvm, sp, &garbage);
		was = true;
	}
	flush_and_free(kvm, was, &garbage);
	write_unlock(&kvm->mmu_lock);
	return was;
}

/* ---- VM, slots, the host ------------------------------------------------------------ */

/**
 * shadow_vm_init() - a new VM
 * @kvm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_vm_init(struct kvm *kvm)
{
	struct shadow_vm *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	INIT_LIST_HEAD(&s->pages);
	INIT_LIST_HEAD(&s->unsync);
	to_mmu_vm(kvm)->shadow = s;
	return 0;
}

/**
 * shadow_vm_destroy() - free it
 * @kvm: a VM without vCPUs
 */
void shadow_vm_destroy(struct kvm *kvm)
{
	shadow_zap_all(kvm);
	kvfree(to_shadow(kvm));
	to_mmu_vm(kvm)->shadow = NULL;
}

/**
 * shadow_slot_free() - a slot goes; nothing maps its frames
 * @slot: what hangs on it, or NULL
 */
void shadow_slot_free(struct shadow_slot *slot)
{
	int level;

	if (!slot)
		return;
	for (level = 1; level <= SHADOW_MAX_LEAF; level++) {
		kvfree(slot->rmap[level]);
		kvfree(slot->tables[level]);
	}
	kfree(slot);
}

/**
 * shadow_slot_alloc() - a slot comes
 * @base: first frame
 * @npages: frames
 *
 * Return: what is to hang on it, or NULL when there is no memory for it.
 */
struct shadow_slot *shadow_slot_alloc(gfn_t base, gfn_t npages)
{
	struct shadow_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	int level;

	if (!slot)
		return NULL;
	slot->base = base;
	slot->npages = npages;
	for (level = 1; level <= SHADOW_MAX_LEAF; level++) {
		unsigned long n = shadow_index(slot, base + npages - 1, level) + 1;

		slot->rmap[level] = __vcalloc(n, sizeof(*slot->rmap[level]), GFP_KERNEL_ACCOUNT);
		if (level > 1)
			slot->tables[level] = __vcalloc(n, sizeof(*slot->tables[level]),
							GFP_KERNEL_ACCOUNT);
		if (!slot->rmap[level] || (level > 1 && !slot->tables[level])) {
			shadow_slot_free(slot);
			return NULL;
		}
	}
	return slot;
}

/**
 * shadow_zap_slot() - drop all that is made of a slot's memory
 * @kvm: the VM
 * @slot: of the slot
 * @tables: it goes: the guest's tables in it, too
 */
void shadow_zap_slot(struct kvm *kvm, struct shadow_slot *slot, bool tables)
{
	struct shadow_page *sp, *next;
	LIST_HEAD(garbage);
	bool flush;

	write_lock(&kvm->mmu_lock);
	flush = for_range(kvm, slot, slot->base, slot->base + slot->npages, DROP, true);
	if (tables) {
		list_for_each_entry_safe(sp, next, &to_shadow(kvm)->pages, link)
			if (sp->slot == slot)
				zap_page(kvm, sp, &garbage);
	}
	flush_and_free(kvm, flush, &garbage);
	write_unlock(&kvm->mmu_lock);
}

/**
 * shadow_zap_all() - drop everything
 * @kvm: the VM
 */
void shadow_zap_all(struct kvm *kvm)
{
	struct shadow_vm *s = to_shadow(kvm);
	struct shadow_page *sp;
	LIST_HEAD(garbage);

	write_lock(&kvm->mmu_lock);
	while (!list_empty(&s->pages)) {
		sp = list_first_entry(&s->pages, struct shadow_page, link);
		zap_page(kvm, sp, &garbage);
		give_way(kvm, &garbage);
	}
	flush_and_free(kvm, false, &garbage);
	write_unlock(&kvm->mmu_lock);
}

/**
 * shadow_drop_splits() - drop some of the pages that only fetches made necessary
 * @kvm: the VM; mmu_lock is not held
 * @splits: the list of them, the oldest first
 * @n: how many
 */
void shadow_drop_splits(struct kvm *kvm, struct list_head *splits, unsigned long n)
{
	LIST_HEAD(garbage);

	write_lock(&kvm->mmu_lock);
	while (n-- && !list_empty(splits)) {
		zap_page(kvm, list_first_entry(splits, struct shadow_page, nx_link), &garbage);
		give_way(kvm, &garbage);
	}
	flush_and_free(kvm, false, &garbage);
	write_unlock(&kvm->mmu_lock);
}

/**
 * shadow_trim() - there may be fewer pages now
 * @kvm: the VM
 */
void shadow_trim(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	shadow_make_room(kvm, 0);
	write_unlock(&kvm->mmu_lock);
}

/**
 * shadow_nr_pages() - how many pages a VM has
 * @kvm: the VM
 */
unsigned long shadow_nr_pages(struct kvm *kvm)
{
	return READ_ONCE(to_shadow(kvm)->nr_pages);
}

/**
 * shadow_shrink() - drop some of the oldest pages
 * @kvm: the VM
 * @nr: how many
 *
 * Return: how many it were.
 */
unsigned long shadow_shrink(struct kvm *kvm, unsigned long nr)
{
	unsigned long before, n;

	write_lock(&kvm->mmu_lock);
	before = shadow_nr_pages(kvm);
	drop_oldest(kvm, before - min(before, nr));
	n = before - shadow_nr_pages(kvm);
	write_unlock(&kvm->mmu_lock);
	return n;
}

/**
 * shadow_protect_slot() - writes to a slot's frames must be seen from now on
 * @kvm: the VM
 * @slot: of the slot
 */
void shadow_protect_slot(struct kvm *kvm, struct shadow_slot *slot)
{
	write_lock(&kvm->mmu_lock);
	if (for_range(kvm, slot, slot->base, slot->base + slot->npages, PROTECT, true))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
}

/**
 * shadow_protect_frame() - the next write to a frame must be seen
 * @kvm: the VM; mmu_lock is held for writing; the caller flushes
 * @slot: of its slot
 * @gfn: the frame
 */
void shadow_protect_frame(struct kvm *kvm, struct shadow_slot *slot, gfn_t gfn)
{
	protect_frame(kvm, slot, gfn);
}

/**
 * shadow_unmap_range() - the host takes pages away
 * @kvm: the VM; mmu_lock is held for writing
 * @range: frames
 *
 * Return: true when the caller must flush.
 */
bool shadow_unmap_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return for_range(kvm, range->slot->arch, range->start, range->end, DROP, false);
}

/**
 * shadow_age_range() - were pages used
 * @kvm: the VM; mmu_lock is held for writing
 * @range: frames
 * @clear: forget it
 *
 * Return: true when one was.
 */
bool shadow_age_range(struct kvm *kvm, struct kvm_gfn_range *range, bool clear)
{
	return for_range(kvm, range->slot->arch, range->start, range->end,
			 clear ? CLEAR_YOUNG : TEST_YOUNG, false);
}
