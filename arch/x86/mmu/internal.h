/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the memory manager share.
 */
#ifndef KVM_OOT_MMU_INTERNAL_H
#define KVM_OOT_MMU_INTERNAL_H

#include <linux/build_bug.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

#include "arch/x86/kvm_x86.h"

/*
 * Entries of nested page tables. AMD's have the form of the CPU's own (APM vol.
 * 2, 15.25), Intel's their own (SDM vol. 3, 29.3.2); what both call present,
 * writable and large is in the same place, and bit 2, which AMD's nested walks
 * need as "user", is Intel's right to execute.
 */
#define SPTE_PRESENT		BIT_ULL(0)
#define SPTE_WRITABLE		BIT_ULL(1)
#define SPTE_USER_EXEC		BIT_ULL(2)
#define SPTE_LARGE		BIT_ULL(7)
/* software bits: the host lets us write; only the dirty log stands against it */
#define SPTE_HOST_WRITABLE	BIT_ULL(52)
#define SPTE_MMU_WRITABLE	BIT_ULL(53)
#define SPTE_ADDR		GENMASK_ULL(51, 12)

#define TDP_MAX_LEVEL		5
#define TDP_ENTRIES		512

static inline gfn_t level_pages(int level)
{
	return 1ull << ((level - 1) * 9);
}

static inline unsigned int level_index(gfn_t gfn, int level)
{
	return (gfn >> ((level - 1) * 9)) & (TDP_ENTRIES - 1);
}

static inline bool spte_present(u64 spte)
{
	return spte & SPTE_PRESENT;
}

static inline bool spte_leaf(u64 spte, int level)
{
	return level == 1 || (spte & SPTE_LARGE);
}

/**
 * struct tdp_page - one table
 * @spt: its 512 entries
 * @gfn: first guest frame that it maps
 * @level: 1 maps 4 KiB pages
 * @as_id: address space that it is of, once it is linked
 * @nx_link: on the VM's list of tables that only a fetch made necessary, or empty
 * @next: list of tables that were unlinked and wait to be freed
 * @rcu: of the first of such a list
 */
struct tdp_page {
	u64 *spt;
	gfn_t gfn;
	int level;
	int as_id;
	struct list_head nx_link;
	struct tdp_page *next;
	struct rcu_head rcu;
};

/**
 * union shadow_role - what beside a frame makes a shadow page what it is
 * @word: all of it, for comparing: it is never compared in parts
 * @level: 1 maps 4 KiB pages
 * @direct: it maps frames from @gfn of the page on, one after the other; else it stands
 *	for the guest's table in that frame
 * @access: ACC_*: rights that the levels above grant; of a direct page all of them
 * @pkey: of a direct page, the protection key
 * @cached: likewise, how its memory is cached: an index into the CPU's PAT
 * @quadrant: which part of a guest's table of 1,024 entries it stands for
 * @wide: entries of the guest's table have 8 bytes
 * @lma: it belongs to long mode
 * @pse: 4 MiB pages are on
 * @nx: EFER.NX is on
 * @wp: CR0.WP is on
 * @strict: it is off, but SMEP, SMAP or protection keys are on, which look at U: a user's
 *	page is not mapped as a supervisor's
 * @smm: it is of the address space of vCPUs in SMM
 */
union shadow_role {
	u32 word;
	struct {
		u32 level : 3;
		u32 direct : 1;
		u32 access : 3;
		u32 pkey : 4;
		u32 cached : 3;
		u32 quadrant : 2;
		u32 wide : 1;
		u32 lma : 1;
		u32 pse : 1;
		u32 nx : 1;
		u32 wp : 1;
		u32 strict : 1;
		u32 smm : 1;
	};
};

static_assert(sizeof(union shadow_role) == sizeof(u32));

struct shadow_page;
struct shadow_slot;
struct shadow_vm;

/* of a VM: kvm->arch.mmu */
struct kvm_mmu_vm {
	struct kvm *kvm;
	struct tdp_page *roots[KVM_OOT_ADDRESS_SPACES];	/* nested paging */
	struct shadow_vm *shadow;	/* shadow paging */
	spinlock_t nx_lock;		/* within mmu_lock for reading */
	struct list_head nx_splits;	/* nx_lock, or mmu_lock for writing */
	unsigned long nr_unmapped;	/* (m), READ_ONCE elsewhere: 4 KiB pages, see shrink.c */
	struct delayed_work nx_work;	/* drops some of them */
};

/**
 * struct mmio_hint - a page that is no memory; with shadow paging, kept as a TLB would
 * @page: address that faulted: linear with shadow paging, else guest physical;
 *	KVM_INVALID_GPA: none
 * @generation: of the slots; the page was in none then
 * @gpa: shadow paging: its guest physical address
 * @access: shadow paging: PFERR_WRITE and PFERR_USER of the access that was allowed
 * @ac: shadow paging: RFLAGS.AC was set
 * @pkru: shadow paging: protection keys were these
 */
struct mmio_hint {
	gva_t page;
	u64 generation;
	gpa_t gpa;
	u64 access;
	bool ac;
	u32 pkru;
};

#define NR_MMIO_HINTS	8

/* of a vCPU: vcpu->arch.mmu */
struct kvm_mmu {
	bool loaded;			/* the backend has the root */
	struct tdp_page *cache;		/* tables ready for use, linked by @next */
	struct list_head shadow_cache;	/* likewise, of shadow paging */
	unsigned int nr_cached;
	struct mmio_hint mmio[NR_MMIO_HINTS];	/* by address */

	/* shadow paging */
	union shadow_role role;		/* of the roots */
	struct shadow_page *roots[4];	/* (m) one; outside of long mode one for each GiB */
	u64 *pae_root;			/* then the CPU's entries for them */
};

/**
 * mmu_mmio_hint() - where it is remembered that a page is no memory
 * @mmu: of the vCPU
 * @addr: address that faulted
 *
 * Return: the hint, which may be another page's.
 */
static inline struct mmio_hint *mmu_mmio_hint(struct kvm_mmu *mmu, gva_t addr)
{
	return &mmu->mmio[(addr >> PAGE_SHIFT) % NR_MMIO_HINTS];
}

extern int tdp_root_levels;
extern int tdp_max_page_level;
extern struct kvm_tdp_format tdp_format;

#define SPTE_ACCESSED		(tdp_format.accessed)
#define SPTE_DIRTY		(tdp_format.dirty)

static inline struct kvm_mmu_vm *to_mmu_vm(struct kvm *kvm)
{
	return kvm->arch.mmu;
}

static inline struct tdp_page *tdp_root(struct kvm *kvm, int as_id)
{
	return to_mmu_vm(kvm)->roots[as_id];
}

/* fault.c */
bool mmu_stale(struct kvm *kvm, unsigned long seq, gfn_t gfn, unsigned long hva);
u64 mmu_memory_type(struct kvm *kvm);
int mmu_slot_level(const struct kvm_memory_slot *slot, gfn_t gfn);

/* mmu.c */
void mmu_forget_mmio(struct kvm_mmu *mmu);
u64 *mmu_alloc_table(void *owner);
void mmu_free_table(u64 *spt);
struct tdp_page *tdp_alloc_page(void);
void tdp_free_pages(struct tdp_page *list);
int tdp_fill_cache(struct kvm_mmu *mmu, unsigned int n);

/* tdp.c; mmu_lock held */
void mmu_count_leaf(struct kvm *kvm, int level, int by);
struct tdp_page *tdp_page_of(u64 spte);
u64 *tdp_find_leaf(struct kvm *kvm, int as_id, gfn_t gfn, int *level);
int tdp_map(struct kvm_vcpu *vcpu, gfn_t gfn, int level, int nx_level, u64 spte);
bool tdp_set_entry(struct kvm *kvm, u64 *sptep, u64 old, u64 new, int level);
bool tdp_zap_range(struct kvm *kvm, int as_id, gfn_t start, gfn_t end, bool may_resched,
		   struct tdp_page **garbage);
void tdp_split_leaf(struct kvm *kvm, int as_id, u64 *sptep, gfn_t gfn, int level,
		    struct tdp_page *table, u64 clear);
void tdp_yield(struct kvm *kvm, bool *flush);
void tdp_free_garbage(struct tdp_page *garbage);
unsigned long tdp_free_empty(struct kvm *kvm, unsigned long nr);
void tdp_free_roots(struct kvm *kvm);

/* shadow.c */
int shadow_load(struct kvm_vcpu *vcpu);
int shadow_vcpu_create(struct kvm_mmu *mmu);
void shadow_vcpu_destroy(struct kvm_vcpu *vcpu);
void shadow_invlpg(struct kvm_vcpu *vcpu, gva_t gva);
void shadow_flush_guest(struct kvm_vcpu *vcpu);

/* shadow_page.c */
int kvm_mmu_shadow_init(void);
void kvm_mmu_shadow_exit(void);
int shadow_vm_init(struct kvm *kvm);
void shadow_vm_destroy(struct kvm *kvm);
struct shadow_slot *shadow_slot_alloc(gfn_t base, gfn_t npages);
void shadow_drop_splits(struct kvm *kvm, struct list_head *splits, unsigned long n);
void shadow_slot_free(struct shadow_slot *slot);
void shadow_zap_slot(struct kvm *kvm, struct shadow_slot *slot, bool tables);
void shadow_zap_all(struct kvm *kvm);
void shadow_trim(struct kvm *kvm);
unsigned long shadow_nr_pages(struct kvm *kvm);
unsigned long shadow_shrink(struct kvm *kvm, unsigned long nr);
void shadow_protect_slot(struct kvm *kvm, struct shadow_slot *slot);
void shadow_protect_frame(struct kvm *kvm, struct shadow_slot *slot, gfn_t gfn);
bool shadow_unmap_range(struct kvm *kvm, struct kvm_gfn_range *range);
bool shadow_age_range(struct kvm *kvm, struct kvm_gfn_range *range, bool clear);

/* nx.c */
bool mmu_nx_on(struct kvm *kvm);
void mmu_nx_split(struct kvm *kvm, struct list_head *link);
void mmu_nx_unlinked(struct kvm *kvm, struct list_head *link);
void mmu_nx_init(struct kvm *kvm);
void kvm_mmu_nx_init(void);
void kvm_mmu_nx_exit(void);

/* shrink.c */
int kvm_mmu_shrink_init(void);
void kvm_mmu_shrink_exit(void);

/* hostpage.c */

/**
 * struct host_page - the host's page behind a guest frame
 * @hva: host address; KVM_HVA_ERR_BAD: it has none, since it is private
 * @pfn: its frame
 * @page: referenced, or NULL for a mapping without page structures
 * @writable: it may be mapped writable
 */
struct host_page {
	unsigned long hva;
	unsigned long pfn;
	struct page *page;
	bool writable;
};

int host_page_get(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn,
		  bool write, struct host_page *hp);
int private_page_get(const struct kvm_memory_slot *slot, gfn_t gfn, struct host_page *hp);
void host_page_put(struct host_page *hp, bool may_be_written);
void host_page_poisoned(const struct kvm_memory_slot *slot, gfn_t gfn);
int host_mapping_level(struct kvm *kvm, unsigned long hva);

/* walk.c: also for tests */
struct guest_walk {
	bool pae, lma, la57, pse, nx, smep, smap, wp, pke, ac;
	bool gbpages;
	u32 pkru;
	u64 reserved_gpa_bits;
	int maxphyaddr;
	unsigned long cr3;
};

#define ACC_WRITE	BIT(0)
#define ACC_USER	BIT(1)
#define ACC_EXEC	BIT(2)
#define ACC_ALL		(ACC_WRITE | ACC_USER | ACC_EXEC)

/* What an entry of a guest's table grants, wherever it has these bits. */
static inline u8 kvm_pte_access(u64 pte, bool nx)
{
	return (pte & _PAGE_RW ? ACC_WRITE : 0) | (pte & _PAGE_USER ? ACC_USER : 0) |
	       (nx && (pte & _PAGE_NX) ? 0 : ACC_EXEC);
}

/* an entry of a guest's table, and where it is */
struct guest_pte {
	gpa_t addr;
	u64 pte;
};

/**
 * struct guest_walk_result - what a walk has seen
 * @gpa: of the address
 * @level: where the walk ended: 1, or that of a large page
 * @top: where it began
 * @pte: entries by level
 * @access: rights that the entries of this level and those above grant together
 * @dirty: D is set in the last one
 * @pkey: protection key
 */
struct guest_walk_result {
	gpa_t gpa;
	int level, top;
	struct guest_pte pte[TDP_MAX_LEVEL + 1];
	u8 access[TDP_MAX_LEVEL + 1];
	bool dirty;
	u8 pkey;
};

void kvm_walk_describe(struct kvm_vcpu *vcpu, struct guest_walk *w);
int kvm_walk_guest(struct kvm_vcpu *vcpu, const struct guest_walk *w, gva_t gva,
		   u64 access, struct kvm_fault *fault, struct guest_walk_result *res);
u64 kvm_walk_reserved_bits(const struct guest_walk *w, int level, u64 pte);
bool kvm_walk_permits(const struct guest_walk *w, u64 access, bool user_page,
		      bool writable, bool nx, u32 pkey, bool *pk_fault);

#endif /* KVM_OOT_MMU_INTERNAL_H */
