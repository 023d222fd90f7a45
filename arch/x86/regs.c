// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control, debug and segment registers: which values the architecture allows,
 * what follows from a change, reset, and how user space reads and writes them.
 *
 * Intel SDM vol. 3, 2.5 (control registers), 4.1.2 (paging-mode changes), 9.1
 * (state after RESET and INIT), 13.3 (XCR0), 17.2 (debug registers); AMD APM vol.
 * 2, chapters 3 and 13.
 */
#include <linux/uaccess.h>
#include <asm/fpu/types.h>

#include "arch/x86/async_pf.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/regs.h"
#include "arch/x86/run.h"

#define PDPTR_CR4_BITS	(X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP)

/* EFER bits that a guest may have, each with what its CPUID must say */
#define EFER_AUTOIBRS_BIT	BIT_ULL(21)

#define DR6_FIXED_1	0xffff0ff0ul
#define DR6_WRITABLE	0xe00ful
#define DR7_WRITABLE	0xffff2bfful

/**
 * is_64_bit_mode() - does the CPU execute 64-bit code
 * @vcpu: the vCPU
 */
bool is_64_bit_mode(struct kvm_vcpu *vcpu)
{
	return kvm_be_call(is_64_bit_code)(vcpu);
}

/**
 * kvm_get_linear_rip() - RIP as a linear address
 * @vcpu: the vCPU
 */
unsigned long kvm_get_linear_rip(struct kvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	if (is_64_bit_mode(vcpu))
		return kvm_rip_read(vcpu);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_CS, &cs);
	return (u32)(cs.base + kvm_rip_read(vcpu));
}

/* ---- CR0 ------------------------------------------------------------------------- */

/**
 * kvm_cr0_valid() - may CR0 have this value at all
 * @cr0: the value
 */
bool kvm_cr0_valid(unsigned long cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_cr0_valid);

/* LMA follows LME and PG. */
static void update_lma(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	u64 efer = vcpu->arch.efer & ~(u64)EFER_LMA;

	if ((efer & EFER_LME) && (cr0 & X86_CR0_PG))
		efer |= EFER_LMA;
	if (efer == vcpu->arch.efer)
		return;
	vcpu->arch.efer = efer;
	kvm_be_call(set_efer)(vcpu, efer);
}

static void put_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	unsigned long old = kvm_read_cr0(vcpu);

	kvm_be_call(set_cr0)(vcpu, cr0);
	vcpu->arch.regs[VCPU_REG_CR0] = cr0;
	kvm_reg_mark_avail(vcpu, VCPU_REG_CR0);
	if ((old ^ cr0) & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
		kvm_mmu_reset_context(vcpu);
}

/**
 * kvm_set_cr0() - MOV to CR0
 * @vcpu: the vCPU
 * @cr0: value
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	unsigned long old = kvm_read_cr0(vcpu);
	bool pg = cr0 & X86_CR0_PG, was_pg = old & X86_CR0_PG;
	struct kvm_segment cs;

	if (!kvm_cr0_valid(cr0) || kvm_cr_fixed_violated(vcpu, 0, cr0))
		return 1;
	/* what does not exist reads as zero; ET as one */
	cr0 = (cr0 & KVM_OOT_VALID_CR0) | X86_CR0_ET;

	if (pg && !was_pg && (vcpu->arch.efer & EFER_LME)) {
		if (!is_pae(vcpu))
			return 1;
		kvm_be_call(get_segment)(vcpu, VCPU_SEG_CS, &cs);
		if (cs.l)
			return 1;
	}
	if (pg && !(vcpu->arch.efer & EFER_LME) && is_pae(vcpu) &&
	    ((old ^ cr0) & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)) &&
	    !kvm_mmu_load_pdptrs(vcpu, kvm_read_cr3(vcpu)))
		return 1;
	if (!pg && (is_64_bit_mode(vcpu) || kvm_cr4_bit(vcpu, X86_CR4_PCIDE)))
		return 1;

	put_cr0(vcpu, cr0);
	update_lma(vcpu, cr0);
	return 0;
}

/* ---- CR3 --------------------------------------------------------------------------- */

static bool cr3_valid(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	return !(cr3 & vcpu->arch.cpuid.reserved_gpa_bits);
}

/**
 * kvm_set_cr3() - MOV to CR3
 * @vcpu: the vCPU
 * @cr3: value
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	if (kvm_cr4_bit(vcpu, X86_CR4_PCIDE))
		cr3 &= ~BIT_ULL(63);	/* keep the TLB: a permission, not a duty */
	if (is_long_mode(vcpu)) {
		if (!cr3_valid(vcpu, cr3))
			return 1;
	} else if (is_paging(vcpu) && is_pae(vcpu)) {
		if (!kvm_mmu_load_pdptrs(vcpu, cr3))
			return 1;
	}
	kvm_reg_write_raw(vcpu, VCPU_REG_CR3, cr3);
	kvm_mmu_new_cr3(vcpu, cr3);
	return 0;
}

/* ---- CR4 --------------------------------------------------------------------------- */

static void put_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	unsigned long old = kvm_read_cr4(vcpu);

	kvm_be_call(set_cr4)(vcpu, cr4);
	vcpu->arch.regs[VCPU_REG_CR4] = cr4;
	kvm_reg_mark_avail(vcpu, VCPU_REG_CR4);
	if (old != cr4)
		kvm_mmu_reset_context(vcpu);
	if ((old ^ cr4) & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		kvm_update_cpuid_runtime(vcpu);
}

/**
 * kvm_set_cr4() - MOV to CR4
 * @vcpu: the vCPU
 * @cr4: value
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	unsigned long old = kvm_read_cr4(vcpu);

	if ((cr4 & vcpu->arch.cpuid.cr4_reserved_bits) || kvm_cr_fixed_violated(vcpu, 1, cr4))
		return 1;
	if (is_long_mode(vcpu)) {
		if (!(cr4 & X86_CR4_PAE) || ((old ^ cr4) & X86_CR4_LA57))
			return 1;
	} else if (is_paging(vcpu) && (cr4 & X86_CR4_PAE) &&
		   ((old ^ cr4) & PDPTR_CR4_BITS) &&
		   !kvm_mmu_load_pdptrs(vcpu, kvm_read_cr3(vcpu))) {
		return 1;
	}
	if ((cr4 & X86_CR4_PCIDE) && !(old & X86_CR4_PCIDE) &&
	    (!is_long_mode(vcpu) || (kvm_read_cr3(vcpu) & 0xfff)))
		return 1;
	put_cr4(vcpu, cr4);
	return 0;
}

/* ---- CR8, EFER, XCR0 ------------------------------------------------------ */

/**
 * kvm_set_cr8() - set the task priority
 * @vcpu: the vCPU
 * @cr8: value
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8)
{
	if (cr8 & ~0xful)
		return 1;
	if (kvm_lapic_in_kernel(vcpu))
		kvm_lapic_set_tpr(vcpu, cr8);
	else
		vcpu->arch.cr8 = cr8;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_set_cr8);

/**
 * kvm_get_cr8() - the task priority
 * @vcpu: the vCPU
 */
unsigned long kvm_get_cr8(struct kvm_vcpu *vcpu)
{
	return kvm_lapic_in_kernel(vcpu) ? kvm_lapic_get_cr8(vcpu) : vcpu->arch.cr8;
}
EXPORT_SYMBOL_GPL(kvm_get_cr8);

/**
 * kvm_efer_bits() - bits of EFER that there are
 * @has: says whether a feature is there
 * @ctx: for @has
 */
u64 kvm_efer_bits(bool (*has)(void *ctx, unsigned int feature), void *ctx)
{
	u64 bits = 0;

	if (has(ctx, X86_FEATURE_SYSCALL))
		bits |= EFER_SCE;
	if (has(ctx, X86_FEATURE_LM))
		bits |= EFER_LME | EFER_LMA | EFER_SCE;
	if (has(ctx, X86_FEATURE_NX))
		bits |= EFER_NX;
	if (has(ctx, X86_FEATURE_FXSR_OPT))
		bits |= EFER_FFXSR;
	if (has(ctx, X86_FEATURE_SVM))
		bits |= EFER_SVME;
	return bits;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_efer_bits);

static bool guest_has_feature(void *vcpu, unsigned int feature)
{
	return guest_has(vcpu, feature);
}

static bool host_has_feature(void *unused, unsigned int feature)
{
	return kvm_cpuid_host_cap(feature);
}

/**
 * kvm_set_efer() - WRMSR of EFER
 * @vcpu: the vCPU
 * @efer: value
 * @host: user space writes it: the guest's CPUID may not be set yet
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_efer(struct kvm_vcpu *vcpu, u64 efer, bool host)
{
	u64 old = vcpu->arch.efer;

	if (efer & ~kvm_efer_bits(host_has_feature, NULL))
		return 1;
	if (!host) {
		if (efer & ~kvm_efer_bits(guest_has_feature, vcpu))
			return 1;
		if (is_paging(vcpu) && ((old ^ efer) & EFER_LME))
			return 1;
	}
	/* LMA is not written, it is what it is */
	efer = (efer & ~(u64)EFER_LMA) | (old & EFER_LMA);
	vcpu->arch.efer = efer;
	kvm_be_call(set_efer)(vcpu, efer);
	if ((old ^ efer) & EFER_NX)
		kvm_mmu_reset_context(vcpu);
	return 0;
}

/**
 * kvm_xcr0_valid() - may XCR0 have this value
 * @xcr0: value
 * @supported: features that there are
 */
bool kvm_xcr0_valid(u64 xcr0, u64 supported)
{
	u64 avx512 = XFEATURE_MASK_OPMASK | XFEATURE_MASK_ZMM_Hi256 |
		     XFEATURE_MASK_Hi16_ZMM;
	u64 mpx = XFEATURE_MASK_BNDREGS | XFEATURE_MASK_BNDCSR;

	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~(supported | XFEATURE_MASK_FP)))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	if ((xcr0 & mpx) && (xcr0 & mpx) != mpx)
		return false;
	if (xcr0 & avx512) {
		if (!(xcr0 & XFEATURE_MASK_YMM) || (xcr0 & avx512) != avx512)
			return false;
	}
	return true;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_xcr0_valid);

/**
 * kvm_set_xcr() - XSETBV, CPL checked by the caller
 * @vcpu: the vCPU
 * @index: register
 * @xcr: value
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr)
{
	if (index || !kvm_xcr0_valid(xcr, vcpu->arch.cpuid.supported_xcr0))
		return 1;
	vcpu->arch.xcr0 = xcr;
	kvm_update_cpuid_runtime(vcpu);
	return 0;
}

/**
 * kvm_guest_efer_valid() - can the guest have this EFER
 * @vcpu: the vCPU
 * @efer: value, without LMA
 */
bool kvm_guest_efer_valid(struct kvm_vcpu *vcpu, u64 efer)
{
	return !(efer & ~kvm_efer_bits(host_has_feature, NULL)) &&
	       !(efer & ~kvm_efer_bits(guest_has_feature, vcpu));
}
EXPORT_SYMBOL_GPL(kvm_guest_efer_valid);

/**
 * kvm_load_control_regs() - another state of the CPU as a whole
 * @vcpu: the vCPU, loaded
 * @cr0: CR0; like the others it is one that goes with the rest
 * @cr3: CR3
 * @cr4: CR4
 * @efer: EFER, LMA included
 */
void kvm_load_control_regs(struct kvm_vcpu *vcpu, unsigned long cr0, unsigned long cr3,
			   unsigned long cr4, u64 efer)
{
	kvm_reg_write_raw(vcpu, VCPU_REG_CR3, cr3);
	vcpu->arch.efer = efer;
	kvm_be_call(set_efer)(vcpu, efer);
	put_cr0(vcpu, cr0);
	put_cr4(vcpu, cr4);
	kvm_mmu_reset_context(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_load_control_regs);

/**
 * kvm_load_pae_pointers() - load PAE's page directory pointers, if there are any
 * @vcpu: the vCPU, loaded, kvm->srcu held
 *
 * Return: false when they are in no memory, or a reserved bit is set.
 */
bool kvm_load_pae_pointers(struct kvm_vcpu *vcpu)
{
	if (!is_paging(vcpu) || !is_pae(vcpu) || is_long_mode(vcpu))
		return true;
	return kvm_mmu_load_pdptrs(vcpu, kvm_read_cr3(vcpu));
}
EXPORT_SYMBOL_GPL(kvm_load_pae_pointers);

/* ---- RFLAGS --------------------------------------------------------------- */

/**
 * kvm_get_rflags() - RFLAGS as the guest has them
 * @vcpu: the vCPU
 */
unsigned long kvm_get_rflags(struct kvm_vcpu *vcpu)
{
	unsigned long rflags = kvm_rflags_read(vcpu);

	if (vcpu->arch.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		rflags &= ~X86_EFLAGS_TF;
	return rflags;
}
EXPORT_SYMBOL_GPL(kvm_get_rflags);

/**
 * kvm_set_rflags() - set the guest's RFLAGS
 * @vcpu: the vCPU
 * @rflags: value
 */
void kvm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	if (vcpu->arch.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		rflags |= X86_EFLAGS_TF;
	kvm_rflags_write(vcpu, rflags);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_set_rflags);

/* ---- debug registers ------------------------------------------------------ */

/**
 * kvm_update_dr7() - whose breakpoints are in force, and are any
 * @vcpu: the vCPU
 */
void kvm_update_dr7(struct kvm_vcpu *vcpu)
{
	bool debugger = vcpu->arch.guest_debug & KVM_GUESTDBG_USE_HW_BP;

	if (!debugger) {
		memcpy(vcpu->arch.eff_db, vcpu->arch.db, sizeof(vcpu->arch.db));
		vcpu->arch.eff_dr7 = vcpu->arch.dr7;
	}
	vcpu->arch.switch_db_regs &= ~KVM_DEBUGREG_BP_ENABLED;
	if (vcpu->arch.eff_dr7 & 0xff)
		vcpu->arch.switch_db_regs |= KVM_DEBUGREG_BP_ENABLED;
}

/**
 * kvm_set_dr() - MOV to a debug register
 * @vcpu: the vCPU
 * @dr: 0 to 7; 4 and 5 are 6 and 7
 * @val: value
 *
 * Return: 0, or 1 for #GP(0).
 */
int kvm_set_dr(struct kvm_vcpu *vcpu, int dr, unsigned long val)
{
	switch (dr) {
	case 0 ... 3:
		vcpu->arch.db[dr] = val;
		if (!(vcpu->arch.guest_debug & KVM_GUESTDBG_USE_HW_BP))
			vcpu->arch.eff_db[dr] = val;
		return 0;
	case 4:
	case 6:
		if (val >> 32)
			return 1;
		vcpu->arch.dr6 = (val & DR6_WRITABLE) | DR6_FIXED_1;
		return 0;
	default:
		if (val >> 32)
			return 1;
		vcpu->arch.dr7 = (val & DR7_WRITABLE) | 0x400;
		kvm_update_dr7(vcpu);
		return 0;
	}
}
EXPORT_SYMBOL_GPL(kvm_set_dr);

/**
 * kvm_get_dr() - MOV from a debug register
 * @vcpu: the vCPU
 * @dr: 0 to 7; 4 and 5 are 6 and 7
 */
unsigned long kvm_get_dr(struct kvm_vcpu *vcpu, int dr)
{
	switch (dr) {
	case 0 ... 3:
		return vcpu->arch.db[dr];
	case 4:
	case 6:
		return vcpu->arch.dr6;
	default:
		return vcpu->arch.dr7;
	}
}
EXPORT_SYMBOL_GPL(kvm_get_dr);

static int get_debugregs(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_debugregs d = {};

	memcpy(d.db, vcpu->arch.db, sizeof(d.db));
	d.dr6 = vcpu->arch.dr6;
	d.dr7 = vcpu->arch.dr7;
	return copy_to_user(argp, &d, sizeof(d)) ? -EFAULT : 0;
}

static int set_debugregs(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_debugregs d;

	if (copy_from_user(&d, argp, sizeof(d)))
		return -EFAULT;
	if (d.flags || d.dr6 >> 32 || d.dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->arch.db, d.db, sizeof(d.db));
	vcpu->arch.dr6 = (d.dr6 & DR6_WRITABLE) | DR6_FIXED_1;
	vcpu->arch.dr7 = (d.dr7 & DR7_WRITABLE) | 0x400;
	kvm_update_dr7(vcpu);
	return 0;
}

static int set_guest_debug(struct kvm_vcpu *vcpu, void __user *argp)
{
	u32 inject = KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP;
	struct kvm_guest_debug dbg;
	unsigned long rflags;

	if (copy_from_user(&dbg, argp, sizeof(dbg)))
		return -EFAULT;
	if (dbg.control & ~KVM_GUESTDBG_VALID_MASK)
		return -EINVAL;
	if (dbg.control & inject) {
		if (vcpu->arch.exception.pending)
			return -EBUSY;
		kvm_queue_exception(vcpu, dbg.control & KVM_GUESTDBG_INJECT_DB ?
				    1 : 3);
	}

	/* the guest's own TF, before who may see it changes */
	rflags = kvm_get_rflags(vcpu);
	vcpu->arch.guest_debug = dbg.control & KVM_GUESTDBG_ENABLE ? dbg.control : 0;
	if (vcpu->arch.guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(vcpu->arch.eff_db, dbg.arch.debugreg, sizeof(vcpu->arch.eff_db));
		vcpu->arch.eff_dr7 = ((u32)dbg.arch.debugreg[7] & DR7_WRITABLE) | 0x400;
		/* they are the debugger's now: take them from the guest */
		vcpu->arch.switch_db_regs &= ~KVM_DEBUGREG_WONT_EXIT;
	}
	kvm_update_dr7(vcpu);
	kvm_set_rflags(vcpu, rflags);
	kvm_be_call(update_intercepts)(vcpu);
	kvm_lapic_hw_update(vcpu);
	return 0;
}

/* ---- KVM_{GET,SET}_REGS --------------------------------------------------- */

static void get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *r)
{
	r->rax = kvm_gpr_read(vcpu, VCPU_REG_RAX);
	r->rbx = kvm_gpr_read(vcpu, VCPU_REG_RBX);
	r->rcx = kvm_gpr_read(vcpu, VCPU_REG_RCX);
	r->rdx = kvm_gpr_read(vcpu, VCPU_REG_RDX);
	r->rsi = kvm_gpr_read(vcpu, VCPU_REG_RSI);
	r->rdi = kvm_gpr_read(vcpu, VCPU_REG_RDI);
	r->rsp = kvm_gpr_read(vcpu, VCPU_REG_RSP);
	r->rbp = kvm_gpr_read(vcpu, VCPU_REG_RBP);
	r->r8 = kvm_gpr_read(vcpu, VCPU_REG_R8);
	r->r9 = kvm_gpr_read(vcpu, VCPU_REG_R9);
	r->r10 = kvm_gpr_read(vcpu, VCPU_REG_R10);
	r->r11 = kvm_gpr_read(vcpu, VCPU_REG_R11);
	r->r12 = kvm_gpr_read(vcpu, VCPU_REG_R12);
	r->r13 = kvm_gpr_read(vcpu, VCPU_REG_R13);
	r->r14 = kvm_gpr_read(vcpu, VCPU_REG_R14);
	r->r15 = kvm_gpr_read(vcpu, VCPU_REG_R15);
	r->rip = kvm_rip_read(vcpu);
	r->rflags = kvm_get_rflags(vcpu);
}

static void set_regs(struct kvm_vcpu *vcpu, const struct kvm_regs *r)
{
	kvm_gpr_write(vcpu, VCPU_REG_RAX, r->rax);
	kvm_gpr_write(vcpu, VCPU_REG_RBX, r->rbx);
	kvm_gpr_write(vcpu, VCPU_REG_RCX, r->rcx);
	kvm_gpr_write(vcpu, VCPU_REG_RDX, r->rdx);
	kvm_gpr_write(vcpu, VCPU_REG_RSI, r->rsi);
	kvm_gpr_write(vcpu, VCPU_REG_RDI, r->rdi);
	kvm_gpr_write(vcpu, VCPU_REG_RSP, r->rsp);
	kvm_gpr_write(vcpu, VCPU_REG_RBP, r->rbp);
	kvm_gpr_write(vcpu, VCPU_REG_R8, r->r8);
	kvm_gpr_write(vcpu, VCPU_REG_R9, r->r9);
	kvm_gpr_write(vcpu, VCPU_REG_R10, r->r10);
	kvm_gpr_write(vcpu, VCPU_REG_R11, r->r11);
	kvm_gpr_write(vcpu, VCPU_REG_R12, r->r12);
	kvm_gpr_write(vcpu, VCPU_REG_R13, r->r13);
	kvm_gpr_write(vcpu, VCPU_REG_R14, r->r14);
	kvm_gpr_write(vcpu, VCPU_REG_R15, r->r15);
	kvm_rip_write(vcpu, r->rip);
	kvm_set_rflags(vcpu, r->rflags | X86_EFLAGS_FIXED);

	/* it belonged to the state that is gone */
	vcpu->arch.exception.pending = false;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* ---- KVM_{GET,SET}_SREGS(2) ----------------------------------------------- */

static void get_sregs_common(struct kvm_vcpu *vcpu, struct kvm_sregs *s)
{
	struct kvm_dtable dt = {};

	memset(s, 0, sizeof(*s));
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_CS, &s->cs);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_DS, &s->ds);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_ES, &s->es);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_FS, &s->fs);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_GS, &s->gs);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_SS, &s->ss);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_TR, &s->tr);
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_LDTR, &s->ldt);
	kvm_get_dtable(vcpu, VCPU_SEG_GDTR, &dt);
	s->gdt.base = dt.base;
	s->gdt.limit = dt.limit;
	kvm_get_dtable(vcpu, VCPU_SEG_IDTR, &dt);
	s->idt.base = dt.base;
	s->idt.limit = dt.limit;
	s->cr0 = kvm_read_cr0(vcpu);
	s->cr2 = vcpu->arch.cr2;
	s->cr3 = kvm_read_cr3(vcpu);
	s->cr4 = kvm_read_cr4(vcpu);
	s->cr8 = kvm_get_cr8(vcpu);
	s->efer = vcpu->arch.efer;
	s->apic_base = kvm_lapic_get_base(vcpu);
}

static void get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *s)
{
	get_sregs_common(vcpu, s);
	if (vcpu->arch.interrupt.injected && !vcpu->arch.interrupt.soft)
		set_bit(vcpu->arch.interrupt.vector,
			(unsigned long *)s->interrupt_bitmap);
}

static bool sregs_valid(struct kvm_vcpu *vcpu, const struct kvm_sregs *s)
{
	if (!kvm_cr0_valid(s->cr0) || (s->cr4 & vcpu->arch.cpuid.cr4_reserved_bits) ||
	    (s->efer & ~kvm_efer_bits(host_has_feature, NULL)))
		return false;
	if ((s->efer & EFER_LME) && (s->cr0 & X86_CR0_PG))
		return (s->cr4 & X86_CR4_PAE) && (s->efer & EFER_LMA) &&
		       cr3_valid(vcpu, s->cr3);
	return !(s->efer & EFER_LMA) && !s->cs.l;
}

static int set_sregs_common(struct kvm_vcpu *vcpu, struct kvm_sregs *s)
{
	struct kvm_msr_data base = { .host_initiated = true, .data = s->apic_base };
	struct kvm_dtable dt = {};

	if (!sregs_valid(vcpu, s) || (s->cr8 & ~0xfull) ||
	    kvm_lapic_set_base(vcpu, &base))
		return -EINVAL;

	dt.limit = s->idt.limit;
	dt.base = s->idt.base;
	kvm_set_dtable(vcpu, VCPU_SEG_IDTR, &dt);
	dt.limit = s->gdt.limit;
	dt.base = s->gdt.base;
	kvm_set_dtable(vcpu, VCPU_SEG_GDTR, &dt);

	vcpu->arch.cr2 = s->cr2;
	kvm_set_cr8(vcpu, s->cr8);
	kvm_load_control_regs(vcpu, (s->cr0 & KVM_OOT_VALID_CR0) | X86_CR0_ET, s->cr3, s->cr4,
			      s->efer);
	/* user space may put them there later than this: then the entry tells */
	kvm_load_pae_pointers(vcpu);

	kvm_be_call(set_segment)(vcpu, VCPU_SEG_CS, &s->cs);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_DS, &s->ds);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_ES, &s->es);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_FS, &s->fs);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_GS, &s->gs);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_SS, &s->ss);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_TR, &s->tr);
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_LDTR, &s->ldt);

	/* user space that knows no MP state resets the first CPU this way */
	if (kvm_vcpu_is_bsp(vcpu) && kvm_rip_read(vcpu) == 0xfff0 &&
	    s->cs.selector == 0xf000 && s->cs.base == 0xffff0000 &&
	    !(s->cr0 & X86_CR0_PE))
		WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_RUNNABLE);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

static int set_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *s)
{
	unsigned long vector;
	int r = set_sregs_common(vcpu, s);

	if (r)
		return r;
	vector = find_first_bit((unsigned long *)s->interrupt_bitmap, 256);
	if (vector < 256) {
		vcpu->arch.interrupt.injected = true;
		vcpu->arch.interrupt.soft = false;
		vcpu->arch.interrupt.vector = vector;
	}
	return 0;
}

static bool pae_paging(const struct kvm_sregs2 *s)
{
	return (s->cr0 & X86_CR0_PG) && (s->cr4 & X86_CR4_PAE) &&
	       !(s->efer & EFER_LMA);
}

/* The two structures are the same up to the interrupt bitmap. */
static_assert(offsetof(struct kvm_sregs2, flags) ==
	      offsetof(struct kvm_sregs, interrupt_bitmap));

static void get_sregs2(struct kvm_vcpu *vcpu, struct kvm_sregs2 *s2)
{
	struct kvm_sregs s;

	get_sregs_common(vcpu, &s);
	memset(s2, 0, sizeof(*s2));
	memcpy(s2, &s, offsetof(struct kvm_sregs, interrupt_bitmap));
	if (pae_paging(s2) &&
	    !kvm_vcpu_read_guest(vcpu, s2->cr3 & 0xffffffe0, s2->pdptrs,
				 sizeof(s2->pdptrs)))
		s2->flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

static int set_sregs2(struct kvm_vcpu *vcpu, const struct kvm_sregs2 *s2)
{
	struct kvm_sregs s = {};

	if (s2->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	/*
	 * The pointers themselves are in guest memory, where a CPU with nested
	 * paging reads them whenever it needs them.
	 */
	if ((s2->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) && !pae_paging(s2))
		return -EINVAL;
	memcpy(&s, s2, offsetof(struct kvm_sregs, interrupt_bitmap));
	return set_sregs_common(vcpu, &s);
}

/* ---- reset ---------------------------------------------------------------- */

static void reset_segments(struct kvm_vcpu *vcpu)
{
	struct kvm_segment seg = { .limit = 0xffff, .type = 3, .present = 1, .s = 1 };
	struct kvm_dtable dt = { .limit = 0xffff };
	int i;

	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
		if (i != VCPU_SEG_CS)
			kvm_be_call(set_segment)(vcpu, i, &seg);
	seg.type = 0xb;
	seg.selector = 0xf000;
	seg.base = 0xffff0000;
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_CS, &seg);

	seg = (struct kvm_segment) { .limit = 0xffff, .type = 0xb, .present = 1 };
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_TR, &seg);
	seg.type = 2;
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_LDTR, &seg);
	kvm_set_dtable(vcpu, VCPU_SEG_GDTR, &dt);
	kvm_set_dtable(vcpu, VCPU_SEG_IDTR, &dt);
}

/**
 * kvm_vcpu_reset() - state after RESET or INIT, SDM vol. 3, table 9-1
 * @vcpu: the vCPU, loaded
 * @init: INIT
 */
void kvm_vcpu_reset(struct kvm_vcpu *vcpu, bool init)
{
	unsigned long old_cr0 = init ? kvm_read_cr0(vcpu) : 0, cr0;
	struct kvm_cpuid_entry2 *e;

	kvm_be_call(nested_leave)(vcpu);
	kvm_clear_all_events(vcpu);
	/* INIT waits while the CPU is in SMM; not so where SHUTDOWN means INIT */
	kvm_smm_changed(vcpu, false);
	vcpu->arch.smi_count = 0;
	atomic_set(&vcpu->arch.nmi_queued, 0);
	vcpu->arch.nmi_pending = 0;
	vcpu->arch.nmi_injected = false;
	vcpu->arch.pv_unhalted = false;
	kvm_apf_vcpu_reset(vcpu);

	memset(vcpu->arch.db, 0, sizeof(vcpu->arch.db));
	vcpu->arch.dr6 = DR6_FIXED_1;
	vcpu->arch.dr7 = 0x400;
	kvm_update_dr7(vcpu);
	vcpu->arch.cr2 = 0;

	kvm_lapic_reset(vcpu, init);
	kvm_fpu_vcpu_reset(vcpu, init);
	kvm_msr_vcpu_reset(vcpu, init);

	memset(vcpu->arch.regs, 0, VCPU_NR_GPRS * sizeof(vcpu->arch.regs[0]));
	vcpu->arch.regs_avail = ~0u;
	vcpu->arch.regs_dirty = ~0u;
	e = kvm_find_cpuid(vcpu, 1, 0);
	kvm_gpr_write(vcpu, VCPU_REG_RDX, e ? e->eax : 0x600);

	kvm_be_call(vcpu_reset)(vcpu, init);

	kvm_rip_write(vcpu, 0xfff0);
	kvm_reg_write_raw(vcpu, VCPU_REG_CR3, 0);
	vcpu->arch.efer = 0;
	kvm_be_call(set_efer)(vcpu, 0);
	cr0 = X86_CR0_ET | (init ? old_cr0 & (X86_CR0_CD | X86_CR0_NW) :
				   X86_CR0_CD | X86_CR0_NW);
	put_cr0(vcpu, cr0);
	put_cr4(vcpu, 0);
	reset_segments(vcpu);
	kvm_rflags_write(vcpu, X86_EFLAGS_FIXED);
	kvm_be_call(update_intercepts)(vcpu);

	kvm_mmu_reset_context(vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* ---- ioctls --------------------------------------------------------------- */

static int translate(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_translation tr;
	gpa_t gpa;

	if (copy_from_user(&tr, argp, sizeof(tr)))
		return -EFAULT;
	gpa = kvm_mmu_gva_to_gpa(vcpu, tr.linear_address, 0, NULL);
	tr.physical_address = gpa;
	tr.valid = gpa != KVM_INVALID_GPA;
	tr.writeable = 1;
	tr.usermode = 0;
	return copy_to_user(argp, &tr, sizeof(tr)) ? -EFAULT : 0;
}

/**
 * kvm_regs_ioctl() - the vCPU ioctls that read and write registers
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0; -EINVAL for a state that cannot be; -EFAULT; -EBUSY; -ENOTTY for any
 * other request.
 */
long kvm_regs_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_sregs2 sregs2;
	} u;

	switch (ioctl) {
	case KVM_GET_REGS:
		memset(&u.regs, 0, sizeof(u.regs));
		get_regs(vcpu, &u.regs);
		return copy_to_user(argp, &u.regs, sizeof(u.regs)) ? -EFAULT : 0;
	case KVM_SET_REGS:
		if (copy_from_user(&u.regs, argp, sizeof(u.regs)))
			return -EFAULT;
		set_regs(vcpu, &u.regs);
		return 0;
	case KVM_GET_SREGS:
		get_sregs(vcpu, &u.sregs);
		return copy_to_user(argp, &u.sregs, sizeof(u.sregs)) ? -EFAULT : 0;
	case KVM_SET_SREGS:
		if (copy_from_user(&u.sregs, argp, sizeof(u.sregs)))
			return -EFAULT;
		return set_sregs(vcpu, &u.sregs);
	case KVM_GET_SREGS2:
		get_sregs2(vcpu, &u.sregs2);
		return copy_to_user(argp, &u.sregs2, sizeof(u.sregs2)) ? -EFAULT : 0;
	case KVM_SET_SREGS2:
		if (copy_from_user(&u.sregs2, argp, sizeof(u.sregs2)))
			return -EFAULT;
		return set_sregs2(vcpu, &u.sregs2);
	case KVM_GET_DEBUGREGS:
		return get_debugregs(vcpu, argp);
	case KVM_SET_DEBUGREGS:
		return set_debugregs(vcpu, argp);
	case KVM_SET_GUEST_DEBUG:
		return set_guest_debug(vcpu, argp);
	case KVM_TRANSLATE:
		return translate(vcpu, argp);
	default:
		return -ENOTTY;
	}
}

/**
 * kvm_sync_regs_store() - put what user space asked for into kvm_run
 * @vcpu: the vCPU, loaded
 */
void kvm_sync_regs_store(struct kvm_vcpu *vcpu)
{
	struct kvm_sync_regs *s = &vcpu->run->s.regs;
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);

	if (valid & KVM_SYNC_X86_REGS)
		get_regs(vcpu, &s->regs);
	if (valid & KVM_SYNC_X86_SREGS)
		get_sregs(vcpu, &s->sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		kvm_get_vcpu_events(vcpu, &s->events);
}

/**
 * kvm_sync_regs_load() - take what user space changed in kvm_run
 * @vcpu: the vCPU, loaded
 *
 * The page is shared: everything is copied before it is looked at.
 *
 * Return: 0 or -EINVAL.
 */
int kvm_sync_regs_load(struct kvm_vcpu *vcpu)
{
	struct kvm_sync_regs *s = &vcpu->run->s.regs;
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_vcpu_events events;
	} u;

	if (dirty & KVM_SYNC_X86_REGS) {
		memcpy(&u.regs, &s->regs, sizeof(u.regs));
		barrier();	/* the copy is what is used */
		set_regs(vcpu, &u.regs);
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		memcpy(&u.sregs, &s->sregs, sizeof(u.sregs));
		barrier();
		if (set_sregs(vcpu, &u.sregs))
			return -EINVAL;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		memcpy(&u.events, &s->events, sizeof(u.events));
		barrier();
		if (kvm_set_vcpu_events(vcpu, &u.events))
			return -EINVAL;
	}
	vcpu->run->kvm_dirty_regs = 0;
	return 0;
}
