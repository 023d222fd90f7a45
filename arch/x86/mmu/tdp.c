// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page tables: finding, setting and clearing entries (AMD APM vol. 2,
 * 15.25.5; Intel SDM vol. 3, 29.3).
 *
 * mmu_lock is held for reading by faults, which only add (an entry that was
 * empty, a right that was missing) and do so with compare-and-exchange, since
 * another fault may be at the same entry and the CPU itself sets accessed and
 * dirty bits. It is held for writing by everything that takes away. Without it,
 * by RCU alone, a fault may give back the right to write that the dirty log took
 * (fault.c): so with mmu_lock held for writing the CPU's own updates compete, and
 * this one, in entries that may not be written.
 *
 * A table that is unlinked has no entries any more. It is freed after all vCPUs
 * have flushed, when no CPU can be walking it, and a grace period of RCU later.
 */
#include <linux/mem_encrypt.h>
#include <linux/mm.h>

#include "arch/x86/mmu/internal.h"

/* tables that one callback of RCU frees */
#define FREE_BATCH	128

/**
 * tdp_page_of() - the table that a non-leaf entry points to
 * @spte: the entry
 */
struct tdp_page *tdp_page_of(u64 spte)
{
	return (void *)page_private(pfn_to_page(__sme_clr(spte & SPTE_ADDR) >>
						PAGE_SHIFT));
}

/**
 * mmu_count_leaf() - count leaves that come or go
 * @kvm: the VM; mmu_lock held
 * @level: of the leaf
 * @by: how many
 */
void mmu_count_leaf(struct kvm *kvm, int level, int by)
{
	u64 *stat = level == 1 ? &kvm->stat.pages_4k :
		    level == 2 ? &kvm->stat.pages_2m : &kvm->stat.pages_1g;

	atomic64_add(by, (atomic64_t *)stat);
}

/**
 * tdp_set_entry() - change an entry that is known to have a value
 * @kvm: the VM; mmu_lock held
 * @sptep: the entry
 * @old: value it should have; bits that the CPU sets by itself may differ
 * @new: value to give it
 * @level: of the table it is in
 *
 * Return: false when another fault was faster; with mmu_lock for writing that can be the
 * case only where @old may not be written.
 */
bool tdp_set_entry(struct kvm *kvm, u64 *sptep, u64 old, u64 new, int level)
{
	u64 seen = old;

	while (!try_cmpxchg64(sptep, &seen, new)) {
		/* only the CPU's own bits may have come in between */
		if ((seen ^ old) & ~(SPTE_ACCESSED | SPTE_DIRTY))
			return false;
	}
	if (!spte_present(old) && spte_present(new) && spte_leaf(new, level))
		mmu_count_leaf(kvm, level, 1);
	else if (spte_present(old) && spte_leaf(old, level) && !spte_present(new))
		mmu_count_leaf(kvm, level, -1);
	return true;
}

/**
 * tdp_find_leaf() - the entry that maps a frame
 * @kvm: the VM; mmu_lock held, or RCU's read side
 * @as_id: address space
 * @gfn: guest frame
 * @level: set to the level where the walk ended
 *
 * Return: the entry, or NULL when the frame is not mapped; then nothing within
 * the aligned range of *@level is.
 */
u64 *tdp_find_leaf(struct kvm *kvm, int as_id, gfn_t gfn, int *level)
{
	struct tdp_page *page = tdp_root(kvm, as_id);
	int l;

	for (l = page->level; ; l--) {
		u64 *sptep = &page->spt[level_index(gfn, l)];
		u64 spte = READ_ONCE(*sptep);

		*level = l;
		if (!spte_present(spte))
			return NULL;
		if (spte_leaf(spte, l))
			return sptep;
		page = tdp_page_of(spte);
	}
}

static u64 table_entry(const struct tdp_page *page)
{
	return __sme_set(__pa(page->spt)) | SPTE_PRESENT | SPTE_WRITABLE |
	       SPTE_USER_EXEC | SPTE_ACCESSED;
}

static struct tdp_page *take_cached(struct kvm_mmu *mmu)
{
	struct tdp_page *page = mmu->cache;

	mmu->cache = page->next;
	mmu->nr_cached--;
	page->next = NULL;
	return page;
}

static void give_back(struct kvm_mmu *mmu, struct tdp_page *page)
{
	page->next = mmu->cache;
	mmu->cache = page;
	mmu->nr_cached++;
}

/**
 * tdp_map() - map a frame, or give its mapping more rights
 * @vcpu: the vCPU; mmu_lock held for reading, its cache filled
 * @gfn: guest frame, any within the page
 * @level: of the page
 * @nx_level: of the page that it could be but that it is executed from
 * @spte: leaf entry, with the right to execute
 *
 * Return: 0; 1 when somebody else changed the tables meanwhile: the access is
 * tried again.
 */
int tdp_map(struct kvm_vcpu *vcpu, gfn_t gfn, int level, int nx_level, u64 spte)
{
	struct kvm *kvm = vcpu->kvm;
	bool nx = mmu_nx_on(kvm);
	struct tdp_page *page = tdp_root(kvm, kvm_vcpu_as_id(vcpu));
	int l;

	for (l = page->level; ; l--) {
		u64 *sptep = &page->spt[level_index(gfn, l)];
		u64 old = READ_ONCE(*sptep);

		if (l == level) {
			u64 new = spte;

			if (spte_present(old) && !spte_leaf(old, l)) {
				/* small pages are there already: map one of them */
				level--;
				spte = (spte & ~SPTE_LARGE);
				if (level > 1)
					spte |= SPTE_LARGE;
				spte += (gfn & (level_pages(level + 1) - 1) &
					 ~(level_pages(level) - 1)) << PAGE_SHIFT;
				page = tdp_page_of(old);
				continue;
			}
			if (nx && l > 1)
				new = (new & ~tdp_format.exec) | tdp_format.noexec;
			if (spte_present(old)) {
				/* what is no mapping never takes the place of one */
				if (!spte_present(new))
					return 1;
				/* the same frame, since the notifier would have cleared it */
				if ((old ^ new) & SPTE_ADDR)
					return 1;
				/* never take a right away: that would need a flush */
				new |= old & (SPTE_WRITABLE | SPTE_ACCESSED | SPTE_DIRTY);
				if (new == old) {
					vcpu->stat.pf_spurious++;
					return 0;
				}
			}
			return tdp_set_entry(kvm, sptep, old, new, l) ? 0 : 1;
		}

		if (spte_present(old)) {
			/* a larger page than asked for: it must go first */
			if (spte_leaf(old, l))
				return -EAGAIN;
			page = tdp_page_of(old);
			continue;
		}
		{
			struct tdp_page *table = take_cached(vcpu->arch.mmu);

			table->level = l - 1;
			table->as_id = page->as_id;
			table->gfn = gfn & ~(level_pages(l) - 1);
			if (!tdp_set_entry(kvm, sptep, old, table_entry(table), l)) {
				give_back(vcpu->arch.mmu, table);
				return 1;
			}
			if (l <= nx_level)
				mmu_nx_split(kvm, &table->nx_link);
			page = table;
		}
	}
}

/* ---- taking away: mmu_lock held for writing ------------------------------- */

/**
 * tdp_split_leaf() - have a table of smaller pages in place of a large one
 * @kvm: the VM; mmu_lock held for writing; the caller flushes
 * @as_id: address space
 * @sptep: the entry of the large page
 * @gfn: its first frame
 * @level: its level
 * @table: an empty one, which is linked
 * @clear: bits that entries of 4 KiB pages do not get
 *
 * All that is mapped stays mapped. What large pages may not be executed from, small
 * ones may (nx.c).
 */
void tdp_split_leaf(struct kvm *kvm, int as_id, u64 *sptep, gfn_t gfn, int level,
		    struct tdp_page *table, u64 clear)
{
	u64 spte = READ_ONCE(*sptep), size = level_pages(level - 1) << PAGE_SHIFT;
	int i;

	table->level = level - 1;
	table->as_id = as_id;
	table->gfn = gfn;
	if (level == 2) {
		spte &= ~(SPTE_LARGE | tdp_format.noexec | clear);
		spte |= tdp_format.exec & ~clear;
	}
	for (i = 0; i < TDP_ENTRIES; i++)
		table->spt[i] = spte + i * size;
	/* what the CPU notes in the old entry meanwhile is in the new ones already, or @clear */
	xchg(sptep, table_entry(table));
	mmu_count_leaf(kvm, level, -1);
	mmu_count_leaf(kvm, level - 1, TDP_ENTRIES);
}

static u64 clear_entry(u64 *sptep)
{
	/* atomically: the CPU may be setting its bits */
	return xchg(sptep, 0);
}

/* Unlink everything below a table and put it on the list. */
static void unlink_table(struct kvm *kvm, struct tdp_page *page,
			 struct tdp_page **garbage)
{
	int i;

	for (i = 0; i < TDP_ENTRIES; i++) {
		u64 spte = page->spt[i];

		if (!spte_present(spte))
			continue;
		spte = clear_entry(&page->spt[i]);
		if (spte_leaf(spte, page->level))
			mmu_count_leaf(kvm, page->level, -1);
		else
			unlink_table(kvm, tdp_page_of(spte), garbage);
	}
	mmu_nx_unlinked(kvm, &page->nx_link);
	page->next = *garbage;
	*garbage = page;
	kvm->stat.mmu_shadow_zapped++;
}

static void count_unmapped(struct kvm *kvm)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);

	WRITE_ONCE(mmu->nr_unmapped, mmu->nr_unmapped + 1);
}

static bool zap_in_table(struct kvm *kvm, struct tdp_page *page, gfn_t start,
			 gfn_t end, struct tdp_page **garbage)
{
	gfn_t size = level_pages(page->level), gfn;
	bool flush = false;

	for (gfn = start & ~(size - 1); gfn < end; gfn += size) {
		u64 *sptep = &page->spt[level_index(gfn, page->level)];
		u64 spte = READ_ONCE(*sptep);

		if (spte_present(spte)) {
			if (spte_leaf(spte, page->level)) {
				/* also a large page that is hit in part */
				clear_entry(sptep);
				mmu_count_leaf(kvm, page->level, -1);
				if (page->level == 1)
					count_unmapped(kvm);
				flush = true;
			} else if (gfn >= start && gfn + size <= end) {
				clear_entry(sptep);
				unlink_table(kvm, tdp_page_of(spte), garbage);
				flush = true;
			} else {
				flush |= zap_in_table(kvm, tdp_page_of(spte),
						      max(start, gfn),
						      min(end, gfn + size), garbage);
			}
		}
		/* the last one of the table */
		if (level_index(gfn, page->level) == TDP_ENTRIES - 1)
			break;
	}
	return flush;
}

/**
 * tdp_yield() - let others have the lock or the CPU, if they want it
 * @kvm: the VM; mmu_lock held for writing, which may be dropped meanwhile
 * @flush: whether mappings that are gone need a flush; done before the lock is dropped
 */
void tdp_yield(struct kvm *kvm, bool *flush)
{
	if (!rwlock_needbreak(&kvm->mmu_lock) && !need_resched())
		return;
	if (*flush)
		kvm_flush_remote_tlbs(kvm);
	*flush = false;
	cond_resched_rwlock_write(&kvm->mmu_lock);
}

/**
 * tdp_zap_range() - drop the mappings of a range of frames
 * @kvm: the VM; mmu_lock held for writing
 * @as_id: address space
 * @start: first frame
 * @end: frame after the last
 * @may_resched: the lock may be dropped in between
 * @garbage: list to which unlinked tables are added, to be freed when all vCPUs
 *	have flushed
 *
 * Return: true when the caller must flush.
 */
bool tdp_zap_range(struct kvm *kvm, int as_id, gfn_t start, gfn_t end, bool may_resched,
		   struct tdp_page **garbage)
{
	struct tdp_page *root = tdp_root(kvm, as_id);
	gfn_t limit = 1ull << (root->level * 9);
	bool flush = false;
	gfn_t gfn;

	end = min(end, limit);
	for (gfn = start; gfn < end;) {
		/* a GiB at a time */
		gfn_t next = min(end, (gfn | (level_pages(3) - 1)) + 1);
		u64 spte = READ_ONCE(root->spt[level_index(gfn, root->level)]);

		if (!spte_present(spte)) {
			/* nothing below this entry of the root */
			next = min(end, (gfn | (level_pages(root->level) - 1)) + 1);
		} else {
			flush |= zap_in_table(kvm, root, gfn, next, garbage);
		}
		gfn = next;
		if (may_resched)
			tdp_yield(kvm, &flush);
	}
	return flush || *garbage;
}

static bool is_empty(const struct tdp_page *page)
{
	return !memchr_inv(page->spt, 0, PAGE_SIZE);
}

/* Unlink at most about @nr, and count them. Return: those of the space are all looked at. */
static bool unlink_empty(struct kvm *kvm, int as_id, unsigned long nr, unsigned long *n,
			 struct tdp_page **garbage)
{
	struct tdp_page *root = tdp_root(kvm, as_id), *page;
	gfn_t limit = 1ull << (root->level * 9), gfn = 0;
	bool flush = false;
	int l, i;

	while (gfn < limit && *n < nr) {
		u64 spte = 0;

		/* the next table of level 2 */
		for (page = root, l = page->level; l > 2; l--) {
			spte = READ_ONCE(page->spt[level_index(gfn, l)]);
			if (!spte_present(spte) || spte_leaf(spte, l))
				break;
			page = tdp_page_of(spte);
		}
		for (i = 0; l == 2 && i < TDP_ENTRIES; i++) {
			spte = READ_ONCE(page->spt[i]);
			if (!spte_present(spte) || spte_leaf(spte, l) ||
			    !is_empty(tdp_page_of(spte)))
				continue;
			clear_entry(&page->spt[i]);
			unlink_table(kvm, tdp_page_of(spte), garbage);
			flush = true;
			++*n;
		}
		/* level 2: to the next table */
		gfn = (gfn | (level_pages(max(l, 3)) - 1)) + 1;
		tdp_yield(kvm, &flush);
	}
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	return gfn >= limit;
}

/**
 * tdp_free_empty() - free tables of 4 KiB pages that map nothing
 * @kvm: the VM
 * @nr: about how many
 *
 * Return: how many it were.
 */
unsigned long tdp_free_empty(struct kvm *kvm, unsigned long nr)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);
	struct tdp_page *garbage = NULL;
	unsigned long n = 0, left;
	bool all = true;
	int as_id;

	write_lock(&kvm->mmu_lock);
	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++)
		all &= unlink_empty(kvm, as_id, nr, &n, &garbage);
	left = all ? 0 : mmu->nr_unmapped - min(mmu->nr_unmapped, n * TDP_ENTRIES);
	WRITE_ONCE(mmu->nr_unmapped, left);
	write_unlock(&kvm->mmu_lock);
	tdp_free_garbage(garbage);
	return n;
}

static void free_rcu(struct rcu_head *rcu)
{
	tdp_free_pages(container_of(rcu, struct tdp_page, rcu));
}

/**
 * tdp_free_garbage() - free tables that no CPU can walk any more, a grace period from now
 * @garbage: list
 */
void tdp_free_garbage(struct tdp_page *garbage)
{
	while (garbage) {
		struct tdp_page *first = garbage, *last = garbage;
		int n;

		/* not so many that freeing them keeps a CPU */
		for (n = 1; n < FREE_BATCH && last->next; n++)
			last = last->next;
		garbage = last->next;
		last->next = NULL;
		call_rcu(&first->rcu, free_rcu);
	}
}

/**
 * tdp_free_roots() - free the roots and every table below them
 * @kvm: a VM without vCPUs
 *
 * Zapping a range leaves the tables that cover more than 1 GiB.
 */
void tdp_free_roots(struct kvm *kvm)
{
	struct tdp_page *garbage = NULL;
	int as_id;

	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++)
		if (tdp_root(kvm, as_id))
			unlink_table(kvm, tdp_root(kvm, as_id), &garbage);
	tdp_free_pages(garbage);
}
