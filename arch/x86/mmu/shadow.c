// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging: where the CPU has no nested paging (or npt=0, ept=0), it walks tables
 * that map what the guest's own tables map, straight to the host's frames.
 *
 * The CPU runs with the guest's paging mode as far as its form goes: tables of long mode
 * for a guest in long mode, PAE's for any other, also for one that does not page (its
 * tables are direct). CR0.PG, CR0.WP, CR4.PAE and EFER.NX are on all the time; SMEP,
 * SMAP and protection keys are the guest's own, as they look at the rights in a leaf,
 * which are the guest's. CR3, INVLPG and #PF exit.
 *
 * A page fault: walk the guest's tables by software, which sets accessed and dirty bits
 * in them and finds what the guest is to be told. If the guest allows the access, find
 * the host's page and, with mmu_lock held, walk down the shadow tables, making pages
 * where there are none. At each level, when the guest's table cannot be written unseen
 * any more, see that its entry is still the one that was walked (shadow_page.c).
 *
 * An entry is writable only where the guest's entry is dirty, so that the first write
 * comes here to set that bit. Where CR0.WP is off in the guest, a supervisor's write to
 * a page that is read-only for it makes the page a writable one of the supervisor's; with
 * SMEP, SMAP or protection keys, which would look at that, the write is emulated.
 *
 * A write to a guest's table is emulated, if it is not one that may be unsync.
 *
 * Where there is no memory there is a device, and no entry: the translation is kept by the
 * vCPU, as in a TLB, until the guest flushes or a slot changes.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <asm/mtrr.h>

#include "arch/x86/dma.h"
#include "arch/x86/mmu/shadow.h"
#include "module/memslot.h"

/* pages for the roots, and for one fault */
#define STOCK		(TDP_MAX_LEVEL + SHADOW_PAE_ROOTS)

/* the CPU's PAT while the host runs */
u64 shadow_host_pat;
EXPORT_SYMBOL_FOR_KUNIT(shadow_host_pat);

/* One fault on its way to the tables. */
struct shadow_fault {
	gva_t gva;
	gfn_t gfn;
	bool write;
	bool fetch;
	struct kvm_memory_slot *slot;
	struct host_page hp;
	bool paging;			/* @walk and @res are valid */
	struct guest_walk walk;
	struct guest_walk_result res;
	u8 access;			/* of the mapping */
	unsigned int cached;		/* how: an index into the CPU's PAT */
	bool nx_large;			/* large pages are not executable (nx.c) */
	int nx_level;			/* it could be so large but that it is executed from */
	bool flush;
};

/* ---- roots -------------------------------------------------------------------------- */

static union shadow_role role_of(struct kvm_vcpu *vcpu)
{
	bool paging = is_paging(vcpu), lma = is_long_mode(vcpu);
	bool wp = !paging || kvm_cr0_bit(vcpu, X86_CR0_WP);

	return (union shadow_role) {
		.level = !lma ? 2 : kvm_cr4_bit(vcpu, X86_CR4_LA57) ? 5 : 4,
		.direct = !paging,
		.access = ACC_ALL,
		.wide = !paging || is_pae(vcpu),
		.lma = lma,
		.pse = paging && !is_pae(vcpu) && kvm_cr4_bit(vcpu, X86_CR4_PSE),
		.nx = paging && (vcpu->arch.efer & EFER_NX),
		.wp = wp,
		.strict = !wp && (kvm_read_cr4(vcpu) &
				  (X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)),
		.smm = kvm_vcpu_as_id(vcpu),
	};
}

static void put_roots(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	int i;

	for (i = 0; i < SHADOW_PAE_ROOTS; i++) {
		shadow_put_root(vcpu->kvm, mmu->roots[i]);
		mmu->roots[i] = NULL;
	}
}

static struct shadow_page *get_root(struct kvm_vcpu *vcpu, gfn_t gfn, union shadow_role role,
				    bool *flush)
{
	struct shadow_page *sp;

	/* tables in no memory: nothing will ever be mapped, as the walk fails */
	if (!role.direct && !kvm_vcpu_gfn_to_memslot(vcpu, gfn)) {
		role.direct = 1;
		role.access = 0;
		gfn = 0;
	}
	sp = shadow_get_page(vcpu, gfn, role, flush);
	sp->roots++;
	return sp;
}

static void get_roots(struct kvm_vcpu *vcpu, bool *flush)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	union shadow_role role = mmu->role;
	unsigned long cr3 = kvm_read_cr3(vcpu);
	int i;

	if (role.lma) {
		mmu->roots[0] = get_root(vcpu, (cr3 & SPTE_ADDR) >> PAGE_SHIFT, role, flush);
		return;
	}
	for (i = 0; i < SHADOW_PAE_ROOTS; i++) {
		u64 pdpte = vcpu->arch.pdptrs[i];

		if (role.direct) {
			mmu->roots[i] = get_root(vcpu, i * level_pages(3), role, flush);
		} else if (!role.wide) {
			role.quadrant = i;
			mmu->roots[i] = get_root(vcpu, (u32)cr3 >> PAGE_SHIFT, role, flush);
		} else if (pdpte & _PAGE_PRESENT) {
			mmu->roots[i] = get_root(vcpu, (pdpte & SPTE_ADDR) >> PAGE_SHIFT, role,
						 flush);
		}
		mmu->pae_root[i] = mmu->roots[i] ?
			__pa(mmu->roots[i]->spt) | SHADOW_PRESENT : 0;
	}
}

/**
 * shadow_load() - have the CPU walk the tables that belong to the guest's registers
 * @vcpu: the vCPU, loaded; kvm->srcu is held
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_load(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	struct kvm *kvm = vcpu->kvm;
	bool flush = false;
	int r;

	r = shadow_fill_cache(mmu, STOCK);
	if (r)
		return r;
	write_lock(&kvm->mmu_lock);
	put_roots(vcpu);
	shadow_make_room(kvm, STOCK);
	mmu->role = role_of(vcpu);
	get_roots(vcpu, &flush);
	if (flush)
		kvm_flush_remote_tlbs(kvm);
	shadow_sync(vcpu);
	write_unlock(&kvm->mmu_lock);

	if (mmu->role.lma)
		kvm_be_call(load_root)(vcpu, __pa(mmu->roots[0]->spt), mmu->role.level);
	else
		kvm_be_call(load_root)(vcpu, __pa(mmu->pae_root), 3);
	return 0;
}

/**
 * shadow_vcpu_create() - a new vCPU
 * @mmu: of the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_vcpu_create(struct kvm_mmu *mmu)
{
	/* CR3 outside of long mode has 32 bits */
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_DMA32);

	if (!page)
		return -ENOMEM;
	INIT_LIST_HEAD(&mmu->shadow_cache);
	mmu->pae_root = page_address(page);
	return 0;
}

/**
 * shadow_vcpu_destroy() - a vCPU goes
 * @vcpu: the vCPU
 */
void shadow_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;

	write_lock(&vcpu->kvm->mmu_lock);
	put_roots(vcpu);
	write_unlock(&vcpu->kvm->mmu_lock);
	shadow_free_cache(mmu);
	free_page((unsigned long)mmu->pae_root);
}

static unsigned int entry_index(gva_t gva, int level)
{
	return level_index(gva >> PAGE_SHIFT, level);
}

static struct shadow_page *root_of(struct kvm_mmu *mmu, gva_t gva)
{
	return mmu->roots[mmu->role.lma ? 0 : gva >> 30 & 3];
}

/**
 * shadow_invlpg() - what the guest has written of one address counts from now on
 * @vcpu: the vCPU, loaded; kvm->srcu is held; the caller flushes the address
 * @gva: linear address
 */
void shadow_invlpg(struct kvm_vcpu *vcpu, gva_t gva)
{
	struct kvm *kvm = vcpu->kvm;
	struct shadow_page *sp;
	u64 spte;

	mmu_forget_mmio(vcpu->arch.mmu);
	write_lock(&kvm->mmu_lock);
	sp = list_empty(&to_shadow(kvm)->unsync) ? NULL : root_of(vcpu->arch.mmu, gva);
	while (sp && sp->role.level > 1) {
		spte = sp->spt[entry_index(gva, sp->role.level)];
		sp = spte_present(spte) && !shadow_leaf(spte, sp->role.level) ?
			shadow_child(spte) : NULL;
	}
	if (sp && sp->unsync && shadow_drop(kvm, sp, entry_index(gva, 1)))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
}

/**
 * shadow_flush_guest() - the guest flushes its TLB
 * @vcpu: the vCPU, loaded; kvm->srcu is held
 */
void shadow_flush_guest(struct kvm_vcpu *vcpu)
{
	mmu_forget_mmio(vcpu->arch.mmu);
	write_lock(&vcpu->kvm->mmu_lock);
	shadow_sync(vcpu);
	write_unlock(&vcpu->kvm->mmu_lock);
}

/* ---- devices ------------------------------------------------------------------------- */

static bool has_ac(struct kvm_vcpu *vcpu)
{
	return kvm_rflags_read(vcpu) & X86_EFLAGS_AC;
}

/* What the CPU does for itself, at CPL 3 as a supervisor, has its own rules. */
static bool implicit(struct kvm_vcpu *vcpu, u64 access)
{
	return !(access & PFERR_USER) && kvm_be_call(get_cpl)(vcpu) == 3;
}

/* Was this access, or one that needs more, to a device the last time? */
static bool known_mmio(struct kvm_vcpu *vcpu, gva_t gva, u64 access, gpa_t *gpa)
{
	const struct mmio_hint *m = mmu_mmio_hint(vcpu->arch.mmu, gva);

	if (m->page != (gva & PAGE_MASK) || (access & ~(m->access & PFERR_WRITE)) !=
	    (m->access & PFERR_USER) || m->pkru != vcpu->arch.pkru ||
	    m->ac != has_ac(vcpu) ||
	    m->generation != kvm_memslots_generation(vcpu->kvm, kvm_vcpu_as_id(vcpu)) ||
	    implicit(vcpu, access))
		return false;
	*gpa = m->gpa + offset_in_page(gva);
	return true;
}

static void remember_mmio(struct kvm_vcpu *vcpu, gva_t gva, u64 access, gpa_t gpa,
			  u64 generation)
{
	if ((access & PFERR_FETCH) || implicit(vcpu, access))
		return;
	*mmu_mmio_hint(vcpu->arch.mmu, gva) = (struct mmio_hint) {
		.page = gva & PAGE_MASK,
		.gpa = gpa & PAGE_MASK,
		.generation = generation,
		.access = access,
		.ac = has_ac(vcpu),
		.pkru = vcpu->arch.pkru,
	};
}

/* ---- faults --------------------------------------------------------------------------- */

/* Is the entry of this level another one than that which was walked? */
static bool changed(struct kvm_vcpu *vcpu, const struct shadow_fault *f, int level)
{
	const struct guest_pte *seen = &f->res.pte[level];
	u64 pte = 0;

	return !shadow_read_guest(vcpu->kvm, f->slot->as_id, seen->addr, &pte,
				  vcpu->arch.mmu->role.wide ? 8 : 4) || pte != seen->pte;
}

/* Can the page be as large as that: no guest's table in it may be written unseen. */
static bool has_tables(const struct shadow_fault *f, int level)
{
	const struct shadow_slot *slot = f->slot->arch;

	return slot->tables[level][shadow_index(slot, f->gfn, level)];
}

static int leaf_level(struct kvm *kvm, struct shadow_fault *f, bool lma)
{
	int level = min(mmu_slot_level(f->slot, f->gfn), lma ? SHADOW_MAX_LEAF : 2);

	if (f->paging)
		level = min(level, f->res.level);
	if (!f->hp.page || f->slot->gmem_only)
		level = 1;
	if (level > 1)
		level = min(level, host_mapping_level(kvm, f->hp.hva));
	while (level > 1 && has_tables(f, level))
		level--;
	f->nx_large = mmu_nx_on(kvm);
	f->nx_level = level;
	return f->nx_large && f->fetch ? 1 : level;
}

/* The page that an entry of this level must point to. */
static gfn_t child_of(const struct shadow_fault *f, const struct shadow_page *sp, int level,
		      union shadow_role *role)
{
	*role = sp->role;
	role->level = level - 1;
	role->quadrant = 0;
	if (!sp->role.direct && f->res.level < level) {
		role->access = f->res.access[level];
		if (!role->wide)
			role->quadrant = f->gva >> 21 & 1;
		return f->res.pte[level - 1].addr >> PAGE_SHIFT;
	}
	if (!sp->role.direct) {
		/* a large page of the guest's in smaller ones */
		role->direct = 1;
		role->access = f->access;
		role->pkey = f->res.pkey;
		role->cached = f->cached;
	}
	return f->gfn & ~(level_pages(level) - 1);
}

static u64 make_spte(const struct shadow_fault *f, int level, bool lma)
{
	unsigned long pfn = f->hp.pfn & ~(level_pages(level) - 1);
	u64 spte = (u64)pfn << PAGE_SHIFT | SHADOW_PRESENT | SHADOW_ACCESSED;

	if (level > 1)
		spte |= SHADOW_LARGE;
	if (f->access & ACC_USER)
		spte |= SHADOW_USER;
	if (!(f->access & ACC_EXEC) || (level > 1 && f->nx_large))
		spte |= SHADOW_NX;
	if (lma && f->paging)
		spte |= (u64)f->res.pkey << SHADOW_PKEY_SHIFT;
	if (f->hp.page && f->cached)
		kvm_dma_note_guest_type();
	spte |= f->hp.page ? shadow_cache_bits(f->cached, level) : SHADOW_UNCACHED;
	/* what is logged becomes writable by a write only */
	if ((f->access & ACC_WRITE) && f->hp.writable &&
	    !(f->slot->flags & KVM_MEM_READONLY) && (f->write || !f->slot->dirty_bitmap))
		spte |= SHADOW_WRITABLE | SHADOW_DIRTY;
	return spte;
}

/* Give the entry its value; what it had may be something else. */
static void put_leaf(struct kvm *kvm, struct shadow_fault *f, struct shadow_page *sp, u64 spte)
{
	int level = sp->role.level;
	unsigned int i = entry_index(f->gva, level);
	gfn_t gfn = f->gfn & ~(level_pages(level) - 1);
	u64 old = READ_ONCE(sp->spt[i]), lost;

	if (spte_present(old) && (((old ^ spte) & SPTE_ADDR) || sp->links[i].gfn != gfn)) {
		f->flush |= shadow_drop(kvm, sp, i);
	} else if (spte_present(old)) {
		/* a read must not take the right to write from who has it */
		if (f->access & ACC_WRITE)
			spte |= old & (SHADOW_WRITABLE | SHADOW_DIRTY);
		lost = (old & ~spte & (SHADOW_WRITABLE | SHADOW_USER)) | (~old & spte & SHADOW_NX) |
		       ((old ^ spte) & (SHADOW_PKEY | shadow_cache_bits(7, level)));
		f->flush |= lost;
	}
	shadow_set_leaf(kvm, f->slot->arch, sp, i, gfn, spte);
}

/**
 * kvm_pat_index() - which entry of a PAT has a memory type
 * @pat: the PAT
 * @type: memory type
 *
 * Return: the index of the first; where there is none, that of UC, or 3, which it is after a reset.
 */
unsigned int kvm_pat_index(u64 pat, u8 type)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if ((u8)(pat >> (i * 8)) == type)
			return i;
	return type == MTRR_TYPE_UNCACHABLE ? 3 : kvm_pat_index(pat, MTRR_TYPE_UNCACHABLE);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pat_index);

/**
 * shadow_cache_index() - how memory is cached that the guest maps
 * @vcpu: the vCPU
 * @pte: the guest's entry; 0: it does not page
 * @level: of the entry; of a guest that does not page 0
 *
 * Memory is what entry 0 of the PAT says, which is write-back, unless DMA of a device may go
 * past the caches: then the guest's entry counts, as its own PAT has it. The CPU has that, or
 * the host's, where the same type may be at another index.
 *
 * Return: an index into the CPU's PAT.
 */
unsigned int shadow_cache_index(struct kvm_vcpu *vcpu, u64 pte, int level)
{
	u64 pat = kvm_be.pat_is_guests ? vcpu->arch.pat : shadow_host_pat, bit;
	unsigned int index;

	if (likely(!kvm_has_noncoherent_dma(vcpu->kvm)))
		return 0;
	if (!level)
		return kvm_pat_index(pat, MTRR_TYPE_WRBACK);
	bit = level > 1 ? SHADOW_PAT_LARGE : SHADOW_PAT;
	index = (pte & _PAGE_PWT ? 1 : 0) | (pte & _PAGE_PCD ? 2 : 0) | (pte & bit ? 4 : 0);
	if (kvm_be.pat_is_guests)
		return index;
	return kvm_pat_index(pat, vcpu->arch.pat >> (index * 8));
}
EXPORT_SYMBOL_FOR_KUNIT(shadow_cache_index);

/* Down to the entry, and map. KVM_PF_RETRY also when something changed meanwhile. */
static int map(struct kvm_vcpu *vcpu, struct shadow_fault *f, u64 *sptep)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	struct kvm *kvm = vcpu->kvm;
	struct shadow_page *sp, *child;
	union shadow_role role;
	int level, leaf, r = KVM_PF_RETRY;
	u64 spte;
	gfn_t gfn;

	f->cached = shadow_cache_index(vcpu, f->paging ? f->res.pte[f->res.level].pte : 0,
				       f->paging ? f->res.level : 0);
	sp = root_of(mmu, f->gva);
	if (!mmu->loaded || !sp || sp->invalid) {
		/* it was dropped, and the request to leave it is there already, or comes now */
		kvm_make_request(KVM_REQ_MMU_RELOAD, vcpu);
		return KVM_PF_RETRY;
	}
	leaf = leaf_level(kvm, f, mmu->role.lma);
	for (level = sp->role.level; ; level--, sp = child) {
		unsigned int i = entry_index(f->gva, level);

		sp->writes = 0;
		if (!sp->role.direct && changed(vcpu, f, level))
			return KVM_PF_RETRY;
		spte = READ_ONCE(sp->spt[i]);
		child = spte_present(spte) && !shadow_leaf(spte, level) ? shadow_child(spte) : NULL;
		/* what was executed from stays in small pages */
		if (level == leaf && child && !list_empty(&child->nx_link))
			leaf = level - 1;
		if (level == leaf) {
			/* small pages of what is large now go */
			if (child) {
				shadow_empty(kvm, child);
				f->flush |= shadow_drop(kvm, sp, i);
			}
			break;
		}
		gfn = child_of(f, sp, level, &role);
		if (!child || child->gfn != gfn || child->role.word != role.word) {
			f->flush |= shadow_drop(kvm, sp, i);
			child = shadow_get_page(vcpu, gfn, role, &f->flush);
			shadow_link_child(sp, i, child);
		}
		if (f->fetch && f->nx_large && level <= f->nx_level && list_empty(&child->nx_link))
			mmu_nx_split(kvm, &child->nx_link);
	}

	spte = make_spte(f, level, mmu->role.lma);
	if (level == 1 && (spte & SHADOW_WRITABLE) &&
	    shadow_has_tables(kvm, f->slot->as_id, f->gfn) &&
	    !(f->write && shadow_unsync(kvm, f->slot->as_id, f->gfn))) {
		spte &= ~SHADOW_WRITABLE;
		if (f->write)
			r = KVM_PF_TABLE;
	}
	put_leaf(kvm, f, sp, spte);
	*sptep = spte;
	return r;
}

/* What the guest lets be done; KVM_PF_RETRY to go on. */
static int guest_allows(struct kvm_vcpu *vcpu, struct shadow_fault *f, u64 access,
			struct kvm_fault *fault)
{
	int r;

	f->paging = is_paging(vcpu);
	if (!f->paging) {
		f->gva = (u32)f->gva;
		f->gfn = f->gva >> PAGE_SHIFT;
		f->access = ACC_ALL;
		return 0;
	}
	kvm_walk_describe(vcpu, &f->walk);
	/* AC is a program's */
	if (implicit(vcpu, access))
		f->walk.ac = false;
	r = kvm_walk_guest(vcpu, &f->walk, f->gva, access, fault, &f->res);
	if (r)
		return r;
	f->gfn = f->res.gpa >> PAGE_SHIFT;
	f->access = f->res.access[f->res.level];
	/* without D only where the guest's table could not be written */
	if (!f->res.dirty && !f->write)
		f->access &= ~ACC_WRITE;
	return 0;
}

/* Does the key forbid writes to all but supervisors with CR0.WP off? The CPU's is on. */
static bool key_forbids(const struct shadow_fault *f)
{
	return f->paging && f->walk.pke && !f->walk.wp && (f->access & ACC_USER) &&
	       (f->walk.pkru >> (2 * f->res.pkey) & 2);
}

/* CR0.WP is off, and a supervisor writes what is read-only: can an entry say that? */
static bool make_writable(struct shadow_fault *f)
{
	if (!f->write)
		return true;
	if (f->access & ACC_WRITE)
		return !key_forbids(f);
	if ((f->access & ACC_USER) && (f->walk.smep || f->walk.smap || f->walk.pke))
		return false;
	f->access = (f->access | ACC_WRITE) & ~ACC_USER;
	return true;
}

/**
 * kvm_mmu_shadow_fault() - handle a page fault of a guest with shadow paging
 * @vcpu: the vCPU, loaded; kvm->srcu is held
 * @gva: faulting linear address
 * @error_code: PFERR_*
 * @gpa: set to the guest physical address, if the guest has one there
 * @fault: filled when the guest is to be told
 *
 * Return: enum kvm_pf_result, or -errno as kvm_mmu_tdp_fault().
 */
int kvm_mmu_shadow_fault(struct kvm_vcpu *vcpu, gva_t gva, u64 error_code, gpa_t *gpa,
			 struct kvm_fault *fault)
{
	struct shadow_fault f = {
		.gva = gva,
		.write = error_code & PFERR_WRITE,
		.fetch = error_code & PFERR_FETCH,
	};
	u64 access = error_code & (PFERR_WRITE | PFERR_USER | PFERR_FETCH);
	u64 generation = kvm_memslots_generation(vcpu->kvm, kvm_vcpu_as_id(vcpu));
	struct kvm *kvm = vcpu->kvm;
	unsigned long seq;
	u64 spte = 0;
	int r;

	vcpu->stat.pf_taken++;
	if (!(error_code & PFERR_PRESENT) && known_mmio(vcpu, gva, access, gpa)) {
		vcpu->stat.pf_emulate++;
		return KVM_PF_MMIO;
	}
	r = guest_allows(vcpu, &f, access, fault);
	if (r == -EAGAIN)
		return KVM_PF_RETRY;
	if (r) {
		vcpu->stat.pf_guest++;
		return KVM_PF_GUEST;
	}
	*gpa = f.paging ? f.res.gpa : f.gva;
	f.slot = kvm_vcpu_gfn_to_memslot(vcpu, f.gfn);
	if (!f.slot || (f.write && (f.slot->flags & KVM_MEM_READONLY)) || !make_writable(&f)) {
		vcpu->stat.pf_emulate++;
		if (f.slot)
			return KVM_PF_EMULATE;
		remember_mmio(vcpu, gva, access, *gpa, generation);
		return KVM_PF_MMIO;
	}

	r = shadow_fill_cache(vcpu->arch.mmu, STOCK);
	if (r)
		return r;
	seq = READ_ONCE(kvm->mmu_invalidate_seq);
	smp_rmb();	/* the sequence before the host's tables */
	r = f.slot->gmem_only ? private_page_get(f.slot, f.gfn, &f.hp) :
	    host_page_get(vcpu, f.slot, f.gfn, f.write, &f.hp);
	if (r == -EHWPOISON)
		host_page_poisoned(f.slot, f.gfn);
	if (r == -EINTR || r == -EAGAIN || r == -EHWPOISON)
		return KVM_PF_RETRY;
	if (r == -EROFS) {
		vcpu->stat.pf_emulate++;
		return KVM_PF_EMULATE;
	}
	if (r)
		return r;

	r = KVM_PF_RETRY;
	write_lock(&kvm->mmu_lock);
	if (!mmu_stale(kvm, seq, f.gfn, f.hp.hva)) {
		shadow_make_room(kvm, STOCK);
		r = map(vcpu, &f, &spte);
		if (f.flush)
			kvm_flush_remote_tlbs(kvm);
		if (spte)
			vcpu->stat.pf_fixed++;
		if (spte & SHADOW_WRITABLE)
			kvm_mark_page_dirty_in_slot(kvm, f.slot, f.gfn);
	}
	write_unlock(&kvm->mmu_lock);
	host_page_put(&f.hp, spte & SHADOW_WRITABLE);
	if (r == KVM_PF_TABLE)
		vcpu->stat.pf_emulate++;
	return r;
}
