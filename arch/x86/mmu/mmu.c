// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory manager's life: configuration, the root of a VM, a vCPU's stock of
 * tables, and what memory slots ask of it.
 *
 * All vCPUs of a VM share one set of nested tables for each address space, since
 * a guest physical address there means the same to each. Faults fill them with
 * mmu_lock held for reading, or give a right back without it (tdp.c, fault.c);
 * whatever takes mappings away holds it for writing.
 */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "arch/x86/dma.h"
#include "arch/x86/mmu/internal.h"
#include "arch/x86/mmu/mmu.h"
#include "arch/x86/mmu/shadow.h"
#include "module/memslot.h"

/* as in the ABI: fewer make no sense */
#define MIN_NR_MMU_PAGES	64
/* tables that are allocated at once for splitting large pages */
#define SPLIT_BATCH		16

static bool eager_page_split = true;
module_param(eager_page_split, bool, 0644);
MODULE_PARM_DESC(eager_page_split, "Split large pages when dirty logging begins, not by faults");

/* There is one way only to map guests with hardware paging; programs ask whether it is used. */
static int set_tdp_mmu(const char *val, const struct kernel_param *kp)
{
	bool on;
	int r = kstrtobool(val, &on);

	return r ? r : on ? 0 : -EINVAL;
}

static int get_tdp_mmu(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%c\n", kvm_be.tdp ? 'Y' : 'N');
}

static const struct kernel_param_ops tdp_mmu_ops = {
	.set = set_tdp_mmu,
	.get = get_tdp_mmu,
};
module_param_cb(tdp_mmu, &tdp_mmu_ops, NULL, 0444);
MODULE_PARM_DESC(tdp_mmu, "Whether guests are mapped with hardware paging (cannot be 0)");

int tdp_root_levels;
int tdp_max_page_level;
struct kvm_tdp_format tdp_format;
EXPORT_SYMBOL_FOR_KUNIT(tdp_format);
static struct kmem_cache *page_cache;

/* ---- tables ------------------------------------------------------------------------ */

/**
 * mmu_alloc_table() - an empty table
 * @owner: what tdp_page_of() and shadow_child() find by it
 *
 * It is among the SecPageTables of /proc/meminfo.
 *
 * Return: its entries or NULL. Charged to the caller's memory cgroup.
 */
u64 *mmu_alloc_table(void *owner)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return NULL;
	set_page_private(page, (unsigned long)owner);
	mod_node_page_state(page_pgdat(page), NR_SECONDARY_PAGETABLE, 1);
	return page_address(page);
}

/**
 * mmu_free_table() - free one
 * @spt: the page, which no CPU can see any more
 */
void mmu_free_table(u64 *spt)
{
	struct page *page = virt_to_page(spt);

	mod_node_page_state(page_pgdat(page), NR_SECONDARY_PAGETABLE, -1);
	set_page_private(page, 0);
	free_page((unsigned long)spt);
}

/**
 * tdp_alloc_page() - an empty table, not linked anywhere
 *
 * Return: the table or NULL. Charged to the caller's memory cgroup.
 */
struct tdp_page *tdp_alloc_page(void)
{
	struct tdp_page *page = kmem_cache_zalloc(page_cache, GFP_KERNEL_ACCOUNT);

	if (!page)
		return NULL;
	page->spt = mmu_alloc_table(page);
	if (!page->spt) {
		kmem_cache_free(page_cache, page);
		return NULL;
	}
	INIT_LIST_HEAD(&page->nx_link);
	return page;
}

/**
 * tdp_free_pages() - free tables that nobody can see any more, or ever could
 * @list: the tables, linked by @next
 */
void tdp_free_pages(struct tdp_page *list)
{
	while (list) {
		struct tdp_page *next = list->next;

		mmu_free_table(list->spt);
		kmem_cache_free(page_cache, list);
		list = next;
	}
}

/**
 * tdp_fill_cache() - have tables in stock, so that a fault need not allocate
 * @mmu: of the vCPU
 * @n: how many
 *
 * Return: 0 or -ENOMEM.
 */
int tdp_fill_cache(struct kvm_mmu *mmu, unsigned int n)
{
	while (mmu->nr_cached < n) {
		struct tdp_page *page = tdp_alloc_page();

		if (!page)
			return -ENOMEM;
		page->next = mmu->cache;
		mmu->cache = page;
		mmu->nr_cached++;
	}
	return 0;
}

/* ---- module, VM, vCPU ----------------------------------------------------- */

/**
 * kvm_mmu_module_init() - set up what all VMs share
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_mmu_module_init(void)
{
	page_cache = kmem_cache_create("kvm_mmu_page", sizeof(struct tdp_page), 0,
				       SLAB_ACCOUNT, NULL);
	if (!page_cache)
		return -ENOMEM;
	if (kvm_mmu_shadow_init())
		goto free_cache;
	if (kvm_mmu_shrink_init())
		goto free_shadow;
	kvm_mmu_nx_init();
	return 0;

free_shadow:
	kvm_mmu_shadow_exit();
free_cache:
	kmem_cache_destroy(page_cache);
	return -ENOMEM;
}

/**
 * kvm_mmu_module_exit() - undo it
 */
void kvm_mmu_module_exit(void)
{
	kvm_mmu_nx_exit();
	kvm_mmu_shrink_exit();
	kvm_mmu_shadow_exit();
	rcu_barrier();		/* tables that wait to be freed */
	kmem_cache_destroy(page_cache);
}

int kvm_mmu_configure(bool tdp, int root_levels, int max_level,
		      const struct kvm_tdp_format *format)
{
	if (!tdp) {
		/* entries of shadow tables may have NX, and have no encryption bit */
		if (!boot_cpu_has(X86_FEATURE_NX) || sme_me_mask)
			return -EOPNOTSUPP;
		rdmsrq(MSR_IA32_CR_PAT, shadow_host_pat);
		/* frames that slots may have */
		tdp_root_levels = 4;
		tdp_max_page_level = max_level;
		return 0;
	}
	if (root_levels < 4 || root_levels > TDP_MAX_LEVEL ||
	    max_level < 1 || max_level > 3)
		return -EOPNOTSUPP;
	tdp_root_levels = root_levels;
	tdp_max_page_level = max_level;
	tdp_format = *format;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_mmu_configure);

static int alloc_roots(struct kvm_mmu_vm *mmu)
{
	struct tdp_page *root;
	int as_id;

	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++) {
		root = tdp_alloc_page();
		if (!root)
			return -ENOMEM;
		root->level = tdp_root_levels;
		root->as_id = as_id;
		mmu->roots[as_id] = root;
	}
	return 0;
}

/**
 * kvm_mmu_vm_init() - give a VM its roots
 * @kvm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_mmu_vm_init(struct kvm *kvm)
{
	struct kvm_mmu_vm *mmu = kzalloc(sizeof(*mmu), GFP_KERNEL_ACCOUNT);
	int r;

	if (!mmu)
		return -ENOMEM;
	kvm->arch.mmu = mmu;
	mmu_nx_init(kvm);
	r = kvm_be.tdp ? alloc_roots(mmu) : shadow_vm_init(kvm);
	if (r) {
		tdp_free_roots(kvm);
		kvm->arch.mmu = NULL;
		kfree(mmu);
	}
	return r;
}

/**
 * kvm_mmu_vm_destroy() - free it; the mappings are gone
 * @kvm: a VM without vCPUs
 */
void kvm_mmu_vm_destroy(struct kvm *kvm)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);

	if (!mmu)
		return;
	if (kvm_be.tdp)
		tdp_free_roots(kvm);
	else
		shadow_vm_destroy(kvm);
	kvm->arch.mmu = NULL;
	kfree(mmu);
}

/**
 * mmu_forget_mmio() - with shadow paging: the guest has flushed, or pages in another way now
 * @mmu: of the vCPU
 */
void mmu_forget_mmio(struct kvm_mmu *mmu)
{
	int i;

	for (i = 0; i < NR_MMIO_HINTS; i++)
		mmu->mmio[i].page = KVM_INVALID_GPA;
}

/**
 * kvm_mmu_vcpu_create() - a new vCPU
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_mmu_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = kzalloc(sizeof(*mmu), GFP_KERNEL_ACCOUNT);

	if (!mmu)
		return -ENOMEM;
	if (!kvm_be.tdp && shadow_vcpu_create(mmu)) {
		kfree(mmu);
		return -ENOMEM;
	}
	mmu_forget_mmio(mmu);
	vcpu->arch.mmu = mmu;
	return 0;
}

/**
 * kvm_mmu_vcpu_destroy() - a vCPU goes
 * @vcpu: the vCPU
 */
void kvm_mmu_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;

	if (!mmu)
		return;
	if (kvm_be.tdp)
		tdp_free_pages(mmu->cache);
	else
		shadow_vcpu_destroy(vcpu);
	vcpu->arch.mmu = NULL;
	kfree(mmu);
}

/**
 * kvm_mmu_reset_context() - the guest pages in another way now
 * @vcpu: the vCPU
 *
 * With nested paging the CPU walks the guest's tables, and only has to forget
 * what it knows of them. Shadow tables are others.
 */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu)
{
	if (kvm_be.tdp)
		kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	else
		kvm_mmu_unload(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_reset_context);

int kvm_mmu_load(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;

	if (likely(mmu->loaded))
		return 0;
	if (kvm_be.tdp) {
		kvm_be_call(load_root)(vcpu, __pa(tdp_root(vcpu->kvm, kvm_vcpu_as_id(vcpu))->spt),
				       tdp_root_levels);
	} else {
		int r = shadow_load(vcpu);

		if (r)
			return r;
	}
	mmu->loaded = true;
	kvm_be_call(flush_tlb)(vcpu, KVM_TLB_ALL, 0);
	return 0;
}

/**
 * kvm_mmu_unload() - the backend must get the root again
 * @vcpu: the vCPU
 */
void kvm_mmu_unload(struct kvm_vcpu *vcpu)
{
	vcpu->arch.mmu->loaded = false;
	if (!kvm_be.tdp)
		mmu_forget_mmio(vcpu->arch.mmu);
}

/**
 * kvm_mmu_new_cr3() - CR3 was written on the guest's behalf
 * @vcpu: the vCPU
 * @cr3: its value
 */
void kvm_mmu_new_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	kvm_mmu_reset_context(vcpu);
}

/**
 * kvm_mmu_flush_guest() - the guest flushes its TLB; the caller flushes the CPU's
 * @vcpu: the vCPU, loaded; kvm->srcu is held
 */
void kvm_mmu_flush_guest(struct kvm_vcpu *vcpu)
{
	if (!kvm_be.tdp)
		shadow_flush_guest(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_flush_guest);

/**
 * kvm_mmu_invlpg() - INVLPG on the guest's behalf
 * @vcpu: the vCPU
 * @gva: linear address
 */
void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva)
{
	vcpu->stat.invlpg++;
	if (!kvm_be.tdp)
		shadow_invlpg(vcpu, gva);
	kvm_be_call(flush_tlb)(vcpu, KVM_TLB_GVA, gva);
}
EXPORT_SYMBOL_GPL(kvm_mmu_invlpg);

/**
 * kvm_mmu_vm_ioctl() - KVM_{SET,GET}_NR_MMU_PAGES
 * @kvm: the VM
 * @ioctl: request
 * @arg: number of pages
 *
 * The number limits shadow pages, of which nested paging has none: then it is kept
 * for user space to read back.
 *
 * Return: 0 or the number; -EINVAL when it is too small; -ENOTTY for any other
 * request.
 */
long kvm_mmu_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg)
{
	switch (ioctl) {
	case KVM_SET_NR_MMU_PAGES:
		if (arg < MIN_NR_MMU_PAGES)
			return -EINVAL;
		mutex_lock(&kvm->slots_lock);
		WRITE_ONCE(kvm->arch.nr_mmu_pages_requested, arg);
		if (!kvm_be.tdp)
			shadow_trim(kvm);
		mutex_unlock(&kvm->slots_lock);
		return 0;
	case KVM_GET_NR_MMU_PAGES:
		return kvm->arch.nr_mmu_pages_requested;
	default:
		return -ENOTTY;
	}
}

/* ---- what slots and the MMU notifier ask ---------------------------------- */

static void zap_and_flush(struct kvm *kvm, int as_id, gfn_t start, gfn_t end)
{
	struct tdp_page *garbage = NULL;

	write_lock(&kvm->mmu_lock);
	if (tdp_zap_range(kvm, as_id, start, end, true, &garbage))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	tdp_free_garbage(garbage);
}

/**
 * kvm_arch_zap_gfns() - drop the mappings of a range of frames, and flush
 * @kvm: a VM with private memory, so with nested paging
 * @start: first frame
 * @end: frame after the last
 */
void kvm_arch_zap_gfns(struct kvm *kvm, gfn_t start, gfn_t end)
{
	zap_and_flush(kvm, 0, start, end);
}

/**
 * kvm_mmu_place_apic_page() - map the APIC page at another address, or nowhere
 * @kvm: the VM
 * @gfn: where, KVM_NO_APIC_PAGE: nowhere; a memory slot there comes first
 *
 * No vCPU has it at the old address when the function returns.
 */
void kvm_mmu_place_apic_page(struct kvm *kvm, gfn_t gfn)
{
	struct tdp_page *garbage = NULL;
	bool flush = false;
	int as_id;
	gfn_t old;

	write_lock(&kvm->mmu_lock);
	old = kvm->arch.apic_page_gfn;
	WRITE_ONCE(kvm->arch.apic_page_gfn, gfn);
	if (old != gfn && old != KVM_NO_APIC_PAGE) {
		for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++)
			flush |= tdp_zap_range(kvm, as_id, old, old + 1, false, &garbage);
	}
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	tdp_free_garbage(garbage);
}

/**
 * kvm_arch_prepare_slot() - may the change be made
 * @kvm: the VM
 * @old: slot that goes, or NULL
 * @new: slot that comes, or NULL
 * @change: what it is
 *
 * Return: 0; -EINVAL for frames that no guest can address; -ENOMEM.
 */
int kvm_arch_prepare_slot(struct kvm *kvm, const struct kvm_memory_slot *old,
			  struct kvm_memory_slot *new, enum kvm_slot_change change)
{
	/* four or five levels of tables */
	gfn_t limit = 1ull << (tdp_root_levels * 9);

	if (new && new->base_gfn + new->npages > limit)
		return -EINVAL;
	if (new && !new->arch && !kvm_be.tdp) {
		new->arch = shadow_slot_alloc(new->base_gfn, new->npages);
		if (!new->arch)
			return -ENOMEM;
	}
	/* each entry from here on lets the CPU log, before any mapping relies on it */
	if (new && new->dirty_bitmap && !kvm->arch.nr_logged_slots++ &&
	    tdp_format.cpu_logs_dirty)
		kvm_make_all_cpus_request(kvm, KVM_REQ_EVENT);
	return 0;
}

/* What an entry must not have for the next write to be seen: by a fault, or by the CPU. */
static u64 unseen_bits(int level)
{
	return tdp_format.cpu_logs_dirty && level == 1 ? SPTE_DIRTY : SPTE_WRITABLE;
}

static void log_next_write(struct kvm *kvm, u64 *sptep, int level)
{
	u64 spte = READ_ONCE(*sptep);

	tdp_set_entry(kvm, sptep, spte, spte & ~unseen_bits(level), level);
}

/* Tables for splitting, linked by @next; fewer or none when there is no memory. */
static struct tdp_page *alloc_stock(void)
{
	struct tdp_page *stock = NULL, *page;
	int i;

	for (i = 0; i < SPLIT_BATCH; i++) {
		page = tdp_alloc_page();
		if (!page)
			break;
		page->next = stock;
		stock = page;
	}
	return stock;
}

/*
 * Split the large pages of a range, so that the guest need not fault for what it only reads.
 * With @protect mappings that may be written unseen lose the right to; then large ones that
 * cannot be split, without eager_page_split or memory for it, go, and come back in small pages.
 */
static void split_range(struct kvm *kvm, int as_id, gfn_t gfn, gfn_t end, bool protect)
{
	struct tdp_page *garbage = NULL, *stock = NULL, *table;
	bool flush = false, eager = READ_ONCE(eager_page_split);

	write_lock(&kvm->mmu_lock);
	while (gfn < end) {
		int level;
		u64 *sptep = tdp_find_leaf(kvm, as_id, gfn, &level);
		gfn_t first = gfn & ~(level_pages(level) - 1);

		if (sptep && level > 1 && eager && !stock) {
			if (flush)
				kvm_flush_remote_tlbs(kvm);
			flush = false;
			write_unlock(&kvm->mmu_lock);
			stock = alloc_stock();
			eager = !!stock;
			cond_resched();
			write_lock(&kvm->mmu_lock);
			continue;
		}
		if (sptep && level > 1 && stock) {
			table = stock;
			stock = table->next;
			table->next = NULL;
			tdp_split_leaf(kvm, as_id, sptep, first, level, table,
				       protect ? unseen_bits(1) : 0);
			flush = true;
			/* of 1 GiB: the pages of 2 MiB are next */
			if (level > 2)
				continue;
		} else if (protect && sptep && level > 1) {
			flush |= tdp_zap_range(kvm, as_id, first, first + level_pages(level),
					       false, &garbage);
		} else if (protect && sptep && (READ_ONCE(*sptep) & SPTE_WRITABLE)) {
			log_next_write(kvm, sptep, 1);
			flush = true;
		}
		gfn = first + level_pages(level);
		tdp_yield(kvm, &flush);
	}
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	/* every flush that any of it needed is done */
	tdp_free_garbage(garbage);
	tdp_free_pages(stock);
}

static void commit_shadow(struct kvm *kvm, const struct kvm_memory_slot *old,
			  const struct kvm_memory_slot *new)
{
	/* large pages must go in either case, or may come back */
	if (new->dirty_bitmap && !old->dirty_bitmap)
		shadow_protect_slot(kvm, new->arch);
	else if (!new->dirty_bitmap && old->dirty_bitmap)
		shadow_zap_slot(kvm, new->arch, false);
}

/**
 * kvm_arch_commit_slot() - the change is visible
 * @kvm: the VM
 * @old: slot that went, or NULL
 * @new: slot that came, or NULL
 * @change: what it was
 */
void kvm_arch_commit_slot(struct kvm *kvm, struct kvm_memory_slot *old,
			  const struct kvm_memory_slot *new,
			  enum kvm_slot_change change)
{
	if (change == KVM_SLOT_CREATE || change == KVM_SLOT_MOVE) {
		gfn_t gfn = READ_ONCE(kvm->arch.apic_page_gfn);

		/* faults that look from now on find the slot */
		if (kvm->arch.apic_page && gfn >= new->base_gfn &&
		    gfn - new->base_gfn < new->npages)
			zap_and_flush(kvm, new->as_id, gfn, gfn + 1);
	}
	if (old && old->dirty_bitmap)
		WRITE_ONCE(kvm->arch.nr_logged_slots, kvm->arch.nr_logged_slots - 1);
	if (change != KVM_SLOT_FLAGS)
		return;
	if (!kvm_be.tdp) {
		commit_shadow(kvm, old, new);
		return;
	}
	/* pages that begin as dirty are told of anyway, until they are cleared */
	if (new->dirty_bitmap && !old->dirty_bitmap && !kvm_log_begins_dirty(kvm))
		split_range(kvm, new->as_id, new->base_gfn, new->base_gfn + new->npages, true);
	else if (!new->dirty_bitmap && old->dirty_bitmap)
		/* small pages were only for the log */
		zap_and_flush(kvm, new->as_id, new->base_gfn, new->base_gfn + new->npages);
}

/**
 * kvm_arch_free_slot() - free what hangs on a slot
 * @slot: the slot
 */
void kvm_arch_free_slot(struct kvm_memory_slot *slot)
{
	shadow_slot_free(slot->arch);
	slot->arch = NULL;
}

/**
 * kvm_arch_memslots_updated() - nothing here remembers a generation
 * @kvm: the VM
 * @gen: new generation
 */
void kvm_arch_memslots_updated(struct kvm *kvm, u64 gen)
{
}

/**
 * kvm_arch_flush_shadow_slot() - drop all mappings of a slot that goes
 * @kvm: the VM
 * @slot: the slot; no fault can find it any more
 */
void kvm_arch_flush_shadow_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	if (kvm_be.tdp)
		zap_and_flush(kvm, slot->as_id, slot->base_gfn, slot->base_gfn + slot->npages);
	else
		shadow_zap_slot(kvm, slot->arch, true);
}

/**
 * kvm_arch_flush_shadow_all() - drop all mappings
 * @kvm: the VM
 */
void kvm_arch_flush_shadow_all(struct kvm *kvm)
{
	int as_id;

	if (!to_mmu_vm(kvm))
		return;
	if (!kvm_be.tdp) {
		shadow_zap_all(kvm);
		return;
	}
	for (as_id = 0; as_id < KVM_OOT_ADDRESS_SPACES; as_id++)
		zap_and_flush(kvm, as_id, 0, 1ull << (tdp_root_levels * 9));
}

/**
 * kvm_mmu_memory_types_changed() - what decides on memory types has changed
 * @kvm: the VM
 *
 * Faults look at it with mmu_lock held, so that what is mapped from now on is right, and what
 * was mapped before goes. AMD's nested entries say nothing of it.
 */
void kvm_mmu_memory_types_changed(struct kvm *kvm)
{
	if (!kvm_be.tdp || tdp_format.ignore_pat)
		kvm_arch_flush_shadow_all(kvm);
}

/**
 * kvm_mmu_pat_changed() - the guest has written its PAT
 * @vcpu: the vCPU
 *
 * Only where the CPU has another one do shadow entries depend on what was in it.
 */
void kvm_mmu_pat_changed(struct kvm_vcpu *vcpu)
{
	if (!kvm_be.tdp && !kvm_be.pat_is_guests && kvm_has_noncoherent_dma(vcpu->kvm))
		kvm_arch_flush_shadow_all(vcpu->kvm);
}

/**
 * kvm_arch_dirty_log_split() - pages of a range will lose the right to be written
 * @kvm: the VM; slots_lock is held
 * @slot: the slot
 * @offset: first frame in the slot
 * @pages: how many
 */
void kvm_arch_dirty_log_split(struct kvm *kvm, struct kvm_memory_slot *slot,
			      gfn_t offset, gfn_t pages)
{
	gfn_t first = slot->base_gfn + offset;

	if (kvm_be.tdp && READ_ONCE(eager_page_split))
		split_range(kvm, slot->as_id, first, first + pages, false);
}

/**
 * kvm_arch_dirty_log_protect() - the log was read: writes must be seen again
 * @kvm: the VM; mmu_lock is held for writing; the caller flushes
 * @slot: the slot
 * @offset: frame in the slot that bit 0 is for
 * @mask: frames
 */
void kvm_arch_dirty_log_protect(struct kvm *kvm, struct kvm_memory_slot *slot,
				gfn_t offset, unsigned long mask)
{
	while (mask) {
		gfn_t gfn = slot->base_gfn + offset + __ffs(mask);
		u64 *sptep;
		int level;

		mask &= mask - 1;
		if (!kvm_be.tdp) {
			shadow_protect_frame(kvm, slot->arch, gfn);
			continue;
		}
		sptep = tdp_find_leaf(kvm, slot->as_id, gfn, &level);
		/* a large page loses the right for all of it: it is split by the next write */
		if (sptep && (READ_ONCE(*sptep) & SPTE_WRITABLE))
			log_next_write(kvm, sptep, level);
	}
}

/**
 * kvm_arch_sync_dirty_log() - have in the bitmaps what was written until now
 * @kvm: the VM
 *
 * What the CPU has logged so far is taken over when the vCPUs leave the guest.
 */
void kvm_arch_sync_dirty_log(struct kvm *kvm)
{
	if (tdp_format.cpu_logs_dirty)
		kvm_make_all_cpus_request(kvm, KVM_REQ_EVENT);
}

/**
 * kvm_arch_dirty_log_entries() - of the log that the CPU may keep, which is read at once
 */
u32 kvm_arch_dirty_log_entries(void)
{
	return tdp_format.cpu_logs_dirty;
}

/**
 * kvm_arch_unmap_gfn_range() - the host takes pages away
 * @kvm: the VM; mmu_lock is held for writing
 * @range: frames
 *
 * Return: true when the caller must flush. Tables below the range that become
 * empty stay: freeing them would need the flush first.
 */
bool kvm_arch_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct tdp_page *garbage = NULL;
	bool flush;

	if (!kvm_be.tdp)
		return shadow_unmap_range(kvm, range);
	flush = tdp_zap_range(kvm, range->slot->as_id, range->start, range->end, false, &garbage);
	if (garbage) {
		kvm_flush_remote_tlbs(kvm);
		tdp_free_garbage(garbage);
		flush = false;
	}
	return flush;
}

static bool age_range(struct kvm *kvm, struct kvm_gfn_range *range, bool clear)
{
	gfn_t gfn = range->start;
	bool young = false;

	if (!kvm_be.tdp)
		return shadow_age_range(kvm, range, clear);
	while (gfn < range->end) {
		int level;
		u64 *sptep = tdp_find_leaf(kvm, range->slot->as_id, gfn, &level), spte;

		/* where the CPU does not tell, what is mapped counts as used */
		if (sptep && (!SPTE_ACCESSED || (READ_ONCE(*sptep) & SPTE_ACCESSED))) {
			young = true;
			if (!clear || !SPTE_ACCESSED)
				break;
			spte = READ_ONCE(*sptep);
			tdp_set_entry(kvm, sptep, spte, spte & ~SPTE_ACCESSED, level);
		}
		gfn = (gfn & ~(level_pages(level) - 1)) + level_pages(level);
	}
	/* ... until it is used again */
	if (young && clear && !SPTE_ACCESSED && kvm_arch_unmap_gfn_range(kvm, range))
		kvm_flush_remote_tlbs(kvm);
	return young;
}

/**
 * kvm_arch_age_gfn() - were pages used since the last time; forget it
 * @kvm: the VM; mmu_lock is held for writing
 * @range: frames
 *
 * Return: true when one was.
 */
bool kvm_arch_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return age_range(kvm, range, true);
}

/**
 * kvm_arch_test_age_gfn() - were pages used since kvm_arch_age_gfn()
 * @kvm: the VM; mmu_lock is held for writing
 * @range: frames
 *
 * Return: true when one was.
 */
bool kvm_arch_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return age_range(kvm, range, false);
}
