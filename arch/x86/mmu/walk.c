// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walking the guest's own page tables, as its CPU would: for the emulator and
 * KVM_TRANSLATE (Intel SDM vol. 3, chapter 4; AMD APM vol. 2, chapter 5).
 *
 * All modes: none, 32-bit with and without PSE, PAE, 4 and 5 levels. Permission
 * bits accumulate over the levels; accessed and dirty bits are set with a locked
 * compare-and-exchange, and the walk begins again when somebody was faster.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include <asm/pgtable_types.h>

#include "arch/x86/mmu/internal.h"
#include "arch/x86/mmu/mmu.h"

#define PTE_P		_PAGE_PRESENT
#define PTE_W		_PAGE_RW
#define PTE_U		_PAGE_USER
#define PTE_A		_PAGE_ACCESSED
#define PTE_D		_PAGE_DIRTY
#define PTE_PS		_PAGE_PSE
#define PTE_NX		BIT_ULL(63)
#define PTE_ADDR	GENMASK_ULL(51, 12)

/**
 * kvm_walk_describe() - how a guest pages now
 * @vcpu: the vCPU, loaded
 * @w: filled
 */
void kvm_walk_describe(struct kvm_vcpu *vcpu, struct guest_walk *w)
{
	unsigned long cr4 = kvm_read_cr4(vcpu);

	*w = (struct guest_walk) {
		.pae = cr4 & X86_CR4_PAE,
		.lma = is_long_mode(vcpu),
		.la57 = cr4 & X86_CR4_LA57,
		.pse = cr4 & X86_CR4_PSE,
		.nx = vcpu->arch.efer & EFER_NX,
		.smep = cr4 & X86_CR4_SMEP,
		.smap = cr4 & X86_CR4_SMAP,
		.wp = kvm_cr0_bit(vcpu, X86_CR0_WP),
		.pke = is_long_mode(vcpu) && (cr4 & X86_CR4_PKE),
		.ac = kvm_rflags_read(vcpu) & X86_EFLAGS_AC,
		.gbpages = vcpu->arch.cpuid.gbpages,
		.pkru = vcpu->arch.pkru,
		.reserved_gpa_bits = vcpu->arch.cpuid.reserved_gpa_bits,
		.maxphyaddr = kvm_maxphyaddr(vcpu),
		.cr3 = kvm_read_cr3(vcpu),
	};
}

static int top_level(const struct guest_walk *w)
{
	if (w->lma)
		return w->la57 ? 5 : 4;
	return w->pae ? 3 : 2;
}

static bool wide(const struct guest_walk *w)
{
	return w->pae || w->lma;
}

/* Does an entry of this level map a page when PS is set? */
static bool may_be_large(const struct guest_walk *w, int level)
{
	if (level == 2)
		return wide(w) || w->pse;
	return level == 3 && w->lma && w->gbpages;
}

static bool is_leaf(const struct guest_walk *w, int level, u64 pte)
{
	return level == 1 || ((pte & PTE_PS) && may_be_large(w, level));
}

/**
 * kvm_walk_reserved_bits() - bits of an entry that must be zero
 * @w: how the guest pages
 * @level: of the entry
 * @pte: the entry
 *
 * Return: those of them that are set.
 */
u64 kvm_walk_reserved_bits(const struct guest_walk *w, int level, u64 pte)
{
	u64 rsvd = 0;
	bool leaf = is_leaf(w, level, pte);

	if (!wide(w)) {
		/* a 4 MiB page: bits 39:32 of its address are in 20:13 */
		if (level == 2 && leaf)
			rsvd = GENMASK_ULL(21, 21) |
			       (w->maxphyaddr < 40 ?
				GENMASK_ULL(20, 13 + max(w->maxphyaddr, 32) - 32) : 0);
		return pte & rsvd;
	}

	rsvd = w->reserved_gpa_bits & PTE_ADDR;
	if (!w->nx)
		rsvd |= PTE_NX;
	if (!w->lma) {
		/* no protection keys, and nothing else is defined there */
		rsvd |= GENMASK_ULL(62, 52);
		if (level == 3)
			rsvd |= PTE_NX | GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1);
	}
	if (level == 2 && leaf)
		rsvd |= GENMASK_ULL(20, 13);
	if (level == 3 && w->lma) {
		if (leaf)
			rsvd |= GENMASK_ULL(29, 13);
		else
			rsvd |= PTE_PS;
	}
	if (level > 3)
		rsvd |= PTE_PS;
	return pte & rsvd;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_walk_reserved_bits);

/**
 * kvm_walk_permits() - may an access be made, given the accumulated rights
 * @w: how the guest pages
 * @access: PFERR_WRITE, PFERR_USER, PFERR_FETCH as wanted
 * @user_page: U was set on all levels
 * @writable: W was set on all levels
 * @nx: NX was set on any level
 * @pkey: protection key of the leaf
 * @pk_fault: set when the key stands against it, whatever else does
 */
bool kvm_walk_permits(const struct guest_walk *w, u64 access, bool user_page,
		      bool writable, bool nx, u32 pkey, bool *pk_fault)
{
	bool user = access & PFERR_USER, write = access & PFERR_WRITE;
	bool fetch = access & PFERR_FETCH;
	u32 pk;

	*pk_fault = false;
	if (w->pke && user_page && !fetch) {
		pk = w->pkru >> (pkey * 2);
		*pk_fault = (pk & 1) || (write && (pk & 2) && (user || w->wp));
	}
	if (user && !user_page)
		return false;
	if (write && !writable && (user || w->wp))
		return false;
	if (fetch && wide(w) && w->nx && nx)
		return false;
	if (!user && user_page) {
		if (fetch && w->smep)
			return false;
		if (!fetch && w->smap && !w->ac)
			return false;
	}
	return !*pk_fault;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_walk_permits);

static void set_fault(const struct guest_walk *w, struct kvm_fault *fault,
		      gva_t gva, u64 access, u64 code)
{
	if (!fault)
		return;
	code |= access & (PFERR_WRITE | PFERR_USER);
	/* a fetch is told apart only where it can make a difference */
	if ((access & PFERR_FETCH) && ((wide(w) && w->nx) || w->smep))
		code |= PFERR_FETCH;
	*fault = (struct kvm_fault) {
		.vector = 14,
		.has_error_code = true,
		.error_code = code,
		.address = gva,
	};
}

/* Most entries of long mode's tables have nothing that needs a closer look. */
static bool plain(const struct guest_walk *w, u64 rsvd, u64 pte)
{
	return w->lma && !(pte & rsvd);
}

static int read_entry(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 *pte)
{
	unsigned long hva = kvm_gfn_to_hva(vcpu->kvm, kvm_vcpu_as_id(vcpu), gpa >> PAGE_SHIFT);
	u32 narrow;

	if (kvm_is_error_hva(hva))
		return -EFAULT;
	hva += offset_in_page(gpa);
	if (size == 8)
		return get_user(*pte, (u64 __user *)hva);
	if (get_user(narrow, (u32 __user *)hva))
		return -EFAULT;
	*pte = narrow;
	return 0;
}

/* Set A (and D in the leaf); false when an entry has changed meanwhile. */
static int set_ad_bits(struct kvm_vcpu *vcpu, const struct guest_walk *w,
		       struct guest_pte *seen, int from, int to, bool write)
{
	int level, r;

	for (level = from; level >= to; level--) {
		struct guest_pte *s = &seen[level];
		u64 new = s->pte | PTE_A;

		/* PAE's page directory pointers have none */
		if (level == 3 && w->pae && !w->lma)
			continue;
		if (level == to && write)
			new |= PTE_D;
		if (new == s->pte)
			continue;
		r = kvm_vcpu_cmpxchg_guest(vcpu, s->addr, &s->pte, &new, wide(w) ? 8 : 4);
		if (r > 0)
			return 1;
		if (r < 0)
			return r;
		s->pte = new;
	}
	return 0;
}

static gpa_t leaf_address(const struct guest_walk *w, int level, u64 pte, gva_t gva)
{
	int shift = wide(w) ? 12 + 9 * (level - 1) : 12 + 10 * (level - 1);
	u64 mask = (1ull << shift) - 1;
	gpa_t gpa;

	if (wide(w))
		gpa = pte & PTE_ADDR & ~mask;
	else
		gpa = pte & ~mask & 0xffffffff;
	if (!wide(w) && level == 2)
		gpa |= (pte & GENMASK_ULL(20, 13)) << 19;	/* PSE-36 */
	return gpa | (gva & mask);
}

/* PAE's page directory pointers are loaded with CR3; where CR3 is the CPU's own, look. */
static int read_pdpte(struct kvm_vcpu *vcpu, gpa_t addr, unsigned int i, u64 *pte)
{
	if (kvm_be.tdp) {
		if (read_entry(vcpu, addr, 8, pte))
			return -EFAULT;
		/* QEMU sets it there, and does not mind */
		*pte &= ~PTE_A;
		return 0;
	}
	*pte = vcpu->arch.pdptrs[i];
	return 0;
}

/* What shadow paging wants to know beside the address. */
static void tell(struct guest_walk_result *res, const struct guest_walk *w,
		 const struct guest_pte *seen, int top, int level)
{
	u8 access = ACC_ALL;
	int l;

	res->level = level;
	res->top = top;
	for (l = top; l >= level; l--) {
		res->pte[l] = seen[l];
		if (l != 3 || w->lma)
			access &= kvm_pte_access(seen[l].pte, wide(w) && w->nx);
		res->access[l] = access;
	}
	res->dirty = seen[level].pte & PTE_D;
	res->pkey = w->lma ? seen[level].pte >> 59 & 0xf : 0;
}

/* The walk; -EAGAIN when it must begin again. */
static int walk(struct kvm_vcpu *vcpu, const struct guest_walk *w, gva_t gva,
		u64 access, struct kvm_fault *fault, gpa_t *out,
		struct guest_walk_result *res)
{
	int top = top_level(w), level, bits = wide(w) ? 9 : 10;
	u64 pte = 0, all = ~0ull, forbid = 0, rsvd;
	unsigned int size = wide(w) ? 8 : 4;
	struct guest_pte seen[TDP_MAX_LEVEL + 1];
	bool pk_fault;
	gpa_t table;
	int r;

	rsvd = (w->reserved_gpa_bits & PTE_ADDR) | PTE_PS | (w->nx ? 0 : PTE_NX);

	if (w->lma || !w->pae)
		table = w->cr3 & (wide(w) ? PTE_ADDR : 0xfffff000ull);
	else
		table = w->cr3 & 0xffffffe0ull;

	for (level = top; ; level--) {
		unsigned int shift = 12 + bits * (level - 1);
		u64 index = gva >> shift & ((1u << bits) - 1);

		if (level == 3 && !w->lma)
			index = gva >> 30 & 3;
		seen[level].addr = table + index * size;
		if (unlikely(level == 3 && !w->lma) ?
		    read_pdpte(vcpu, seen[level].addr, index, &pte) :
		    read_entry(vcpu, seen[level].addr, size, &pte)) {
			/* the CPU would read all ones from nowhere */
			set_fault(w, fault, gva, access, 0);
			return -EFAULT;
		}
		seen[level].pte = pte;
		if (!(pte & PTE_P)) {
			set_fault(w, fault, gva, access, 0);
			return -EFAULT;
		}
		if (!plain(w, rsvd, pte) && kvm_walk_reserved_bits(w, level, pte)) {
			set_fault(w, fault, gva, access, PFERR_PRESENT | PFERR_RSVD);
			return -EFAULT;
		}
		/* PAE's page directory pointers have no rights and no A bit */
		if (level != 3 || w->lma)
			all &= pte;
		forbid |= pte;
		if (is_leaf(w, level, pte))
			break;
		table = pte & PTE_ADDR;
		if (!wide(w))
			table &= 0xfffff000;
	}

	if (!kvm_walk_permits(w, access, all & PTE_U, all & PTE_W, forbid & PTE_NX,
			      pte >> 59 & 0xf, &pk_fault)) {
		set_fault(w, fault, gva, access,
			  PFERR_PRESENT | (pk_fault ? PFERR_PK : 0));
		return -EFAULT;
	}
	if (!(all & PTE_A) || ((access & PFERR_WRITE) && !(pte & PTE_D))) {
		r = set_ad_bits(vcpu, w, seen, top, level, access & PFERR_WRITE);
		if (r > 0)
			return -EAGAIN;
	}
	/* tables in read-only memory: the CPU could not set them either */
	*out = leaf_address(w, level, pte, gva);
	if (res)
		tell(res, w, seen, top, level);
	return 0;
}

/**
 * kvm_walk_guest() - walk the guest's page tables, and say what was seen
 * @vcpu: the vCPU; it has paging on
 * @w: from kvm_walk_describe()
 * @gva: linear address
 * @access: as for kvm_mmu_gva_to_gpa()
 * @fault: filled with the #PF on failure
 * @res: filled on success
 *
 * Return: 0; -EFAULT with @fault; -EAGAIN when the tables changed meanwhile.
 */
int kvm_walk_guest(struct kvm_vcpu *vcpu, const struct guest_walk *w, gva_t gva,
		   u64 access, struct kvm_fault *fault, struct guest_walk_result *res)
{
	return walk(vcpu, w, gva, access, fault, &res->gpa, res);
}

gpa_t kvm_mmu_gva_to_gpa(struct kvm_vcpu *vcpu, gva_t gva, u64 access,
			 struct kvm_fault *fault)
{
	struct guest_walk w;
	gpa_t gpa;
	int r, tries = 100;

	if (!is_paging(vcpu))
		return gva;
	kvm_walk_describe(vcpu, &w);
	if (!w.lma)
		gva &= 0xffffffff;
	do {
		r = walk(vcpu, &w, gva, access, fault, &gpa, NULL);
	} while (r == -EAGAIN && --tries);
	return r ? KVM_INVALID_GPA : gpa;
}
EXPORT_SYMBOL_GPL(kvm_mmu_gva_to_gpa);

bool kvm_mmu_load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	struct guest_walk w;
	u64 pdpte[4];
	int i;

	kvm_walk_describe(vcpu, &w);
	w.lma = false;
	w.pae = true;
	if (kvm_vcpu_read_guest(vcpu, cr3 & 0xffffffe0ul, pdpte, sizeof(pdpte)))
		return false;
	for (i = 0; i < 4; i++)
		if ((pdpte[i] & PTE_P) && kvm_walk_reserved_bits(&w, 3, pdpte[i]))
			return false;
	/* VMX has them in the VMCS; with SVM the CPU reads them when it needs them */
	memcpy(vcpu->arch.pdptrs, pdpte, sizeof(pdpte));
	vcpu->arch.pdptrs_dirty = true;
	return true;
}
