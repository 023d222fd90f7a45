// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMX instructions of a guest in VMX operation, and the way into it (Intel SDM vol. 3,
 * chapter 31).
 *
 * They all exit. An operand in memory is given by the exit's qualification (displacement)
 * and instruction information, 28.2.5. An instruction says what came of it in RFLAGS and,
 * if there is a current VMCS, in its VM-instruction error.
 */
#include <linux/mm.h>
#include <asm/trapnr.h>

#include "arch/x86/vmx/nested.h"

/* VM-instruction errors, 31.4 */
enum {
	ERR_VMCLEAR_ADDRESS = 2, ERR_VMCLEAR_VMXON = 3, ERR_LAUNCH_NOT_CLEAR = 4,
	ERR_RESUME_NOT_LAUNCHED = 5, ERR_VMPTRLD_ADDRESS = 9, ERR_VMPTRLD_VMXON = 10,
	ERR_VMPTRLD_REVISION = 11, ERR_NO_FIELD = 12, ERR_READ_ONLY = 13, ERR_VMXON_IN_ROOT = 15,
	ERR_BLOCKED_BY_MOV_SS = 26,
};

/* instruction information */
#define INFO_SCALE(i)		((i) & 3)
#define INFO_REG1(i)		((i) >> 3 & 0xf)
#define INFO_ADDRESS_SIZE(i)	((i) >> 7 & 7)	/* 0: 16 bits, 1: 32, 2: 64 */
#define INFO_REGISTER		BIT(10)
#define INFO_SEGMENT(i)		((i) >> 15 & 7)
#define INFO_INDEX(i)		((i) >> 18 & 0xf)
#define INFO_NO_INDEX		BIT(22)
#define INFO_BASE(i)		((i) >> 23 & 0xf)
#define INFO_NO_BASE		BIT(27)
#define INFO_REG2(i)		((i) >> 28 & 0xf)

#define RESULT_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF)

/* ---- results ----------------------------------------------------------------- */

static int result(struct kvm_vcpu *vcpu, const struct kvm_exit *exit, unsigned long flag)
{
	kvm_rflags_write(vcpu, (kvm_rflags_read(vcpu) & ~RESULT_FLAGS) | flag);
	return kvm_skip_insn(vcpu, exit);
}

static int succeed(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	return result(vcpu, exit, 0);
}

/*
 * A field of the shadow VMCS, which is in L1's memory and nowhere else: 25.10. False where
 * there is no such memory.
 */
static bool shadow_access(struct kvm_vcpu *vcpu, u32 field, u64 *val, bool write)
{
	u64 at = vmcs12_get(to_vmx(vcpu)->nested->c, VMCS_LINK_POINTER);
	unsigned int len = vmcs12_field_size(field);

	if (at == VMX_NO_PTR)
		return false;
	at += vmcs12_field_offset(field);
	if (!write) {
		*val = 0;
		return !kvm_vcpu_read_guest(vcpu, at, val, len);
	}
	/* natural fields have eight bytes always; a full 64-bit field gets both halves */
	if (kvm_vcpu_write_guest(vcpu, at, val, len))
		return false;
	kvm_mmu_guest_wrote(vcpu->kvm, at, len);
	return true;
}

static int fail_invalid(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	return result(vcpu, exit, X86_EFLAGS_CF);
}

static int fail(struct kvm_vcpu *vcpu, const struct kvm_exit *exit, u32 error)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	/* L2 has none of its own, but perhaps a shadow VMCS, where the error goes to */
	if (vcpu->arch.guest_mode)
		return shadow_access(vcpu, VM_INSTRUCTION_ERROR, &(u64){ error }, true) ?
		       result(vcpu, exit, X86_EFLAGS_ZF) : fail_invalid(vcpu, exit);
	if (n->vmcs12_pa == VMX_NO_PTR)
		return fail_invalid(vcpu, exit);
	vmcs12_set(n->c, VM_INSTRUCTION_ERROR, error);
	return result(vcpu, exit, X86_EFLAGS_ZF);
}

static int undefined(struct kvm_vcpu *vcpu)
{
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}

/* ---- operands in memory ------------------------------------------------------ */

static bool segment_fault(struct kvm_vcpu *vcpu, unsigned int seg)
{
	kvm_queue_exception_e(vcpu, seg == VCPU_SEG_SS ? X86_TRAP_SS : X86_TRAP_GP, 0);
	return false;
}

/* Outside of 64-bit mode: does the segment allow the access, and reach as far */
static bool segment_allows(const struct kvm_segment *s, u32 offset, unsigned int len, bool write)
{
	u64 last = (u64)offset + len - 1;
	bool code = s->type & 8;

	if (s->unusable || !s->present)
		return false;
	if (write ? code || !(s->type & 2) : code && !(s->type & 2))
		return false;
	if (!code && (s->type & 4))
		return offset > s->limit && last <= (s->db ? U32_MAX : 0xffff);
	return last <= s->limit;
}

/* The linear address of the operand; false: a fault has been raised. */
static bool operand_address(struct kvm_vcpu *vcpu, u32 info, unsigned int len, bool write,
			    u64 *linear)
{
	static const u64 masks[] = { 0xffff, U32_MAX, ~0ull };
	u64 offset = vmcs_read(EXIT_QUALIFICATION);
	unsigned int seg = INFO_SEGMENT(info), size = min(INFO_ADDRESS_SIZE(info), 2u);
	struct kvm_segment s;

	if (seg > VCPU_SEG_GS)
		return segment_fault(vcpu, VCPU_SEG_DS);
	if (!(info & INFO_NO_BASE))
		offset += kvm_gpr_read(vcpu, INFO_BASE(info));
	if (!(info & INFO_NO_INDEX))
		offset += (u64)kvm_gpr_read(vcpu, INFO_INDEX(info)) << INFO_SCALE(info);
	offset &= masks[size];

	vmx_get_segment(vcpu, seg, &s);
	if (vmx_is_64_bit_code(vcpu)) {
		unsigned int shift = kvm_cr4_bit(vcpu, X86_CR4_LA57) ? 56 : 47;

		if (seg >= VCPU_SEG_FS)
			offset += s.base;
		if (sign_extend64(offset, shift) != offset)
			return segment_fault(vcpu, seg);
		*linear = offset;
		return true;
	}
	if (!segment_allows(&s, offset, len, write))
		return segment_fault(vcpu, seg);
	*linear = (u32)(s.base + offset);
	return true;
}

/* Return: 1; 0 or less: what the instruction's handler is to return, negated where it is 1 */
static int access(struct kvm_vcpu *vcpu, u64 linear, void *val, unsigned int len, bool write)
{
	struct kvm_fault fault;

	while (len) {
		unsigned int part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(linear));
		gpa_t gpa = kvm_mmu_gva_to_gpa(vcpu, linear, write ? PFERR_WRITE : 0, &fault);
		int r;

		if (gpa == KVM_INVALID_GPA) {
			if (fault.vector == X86_TRAP_PF)
				kvm_inject_page_fault(vcpu, &fault);
			else
				kvm_queue_exception_e(vcpu, fault.vector, fault.error_code);
			return -1;
		}
		r = write ? kvm_vcpu_write_guest(vcpu, gpa, val, part) :
			    kvm_vcpu_read_guest(vcpu, gpa, val, part);
		if (r) {
			/* a device: no hypervisor has its structures there */
			kvm_prepare_emulation_failure_exit(vcpu);
			return 0;
		}
		if (write)
			kvm_mmu_guest_wrote(vcpu->kvm, gpa, part);
		linear += part;
		if (!vmx_is_64_bit_code(vcpu))
			linear = (u32)linear;
		val += part;
		len -= part;
	}
	return 1;
}

/* Read or write the operand; as access(). */
static int operand(struct kvm_vcpu *vcpu, void *val, unsigned int len, bool write)
{
	u64 linear;

	if (!operand_address(vcpu, vmcs_read(VMX_INSTRUCTION_INFO), len, write, &linear))
		return -1;
	return access(vcpu, linear, val, len, write);
}

#define STOPPED(r)	((r) < 0 ? 1 : 0)	/* what a handler returns for it */

/* ---- VMXON, VMXOFF ----------------------------------------------------------- */

/* #UD, and CPL: what all of them have in common */
static bool allowed(struct kvm_vcpu *vcpu)
{
	if ((kvm_rflags_read(vcpu) & X86_EFLAGS_VM) || !is_protmode(vcpu) ||
	    (is_long_mode(vcpu) && !vmx_is_64_bit_code(vcpu))) {
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return false;
	}
	if (vmx_get_cpl(vcpu)) {
		kvm_inject_gp(vcpu, 0);
		return false;
	}
	return true;
}

static bool region_valid(struct kvm_vcpu *vcpu, u64 pa)
{
	return PAGE_ALIGNED(pa) && kvm_gpa_is_legal(vcpu, pa);
}

static int vmxon(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	const u64 enabled = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
	struct vmx_vcpu *v = to_vmx(vcpu);
	struct vmx_nested *n = v->nested;
	unsigned long cr0_ones = vmx_nested_cap(n, MSR_IA32_VMX_CR0_FIXED0);
	u32 revision;
	u64 pa;
	int r;

	if (!kvm_cr4_bit(vcpu, X86_CR4_VMXE))
		return undefined(vcpu);
	if (!allowed(vcpu))
		return 1;
	if (n->vmxon)
		return fail(vcpu, exit, ERR_VMXON_IN_ROOT);
	if ((v->feature_control & enabled) != enabled ||
	    (kvm_read_cr0(vcpu) & cr0_ones) != cr0_ones) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	r = operand(vcpu, &pa, sizeof(pa), false);
	if (r <= 0)
		return STOPPED(r);
	if (!region_valid(vcpu, pa) ||
	    kvm_vcpu_read_guest(vcpu, pa, &revision, sizeof(revision)) ||
	    revision != VMCS12_REVISION)
		return fail_invalid(vcpu, exit);
	n->vmxon_pa = pa;
	n->vmcs12_pa = VMX_NO_PTR;
	vmx_nested_vmx_on(vcpu, true);
	return succeed(vcpu, exit);
}

static int vmxoff(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vmx_nested_vmxoff(vcpu);
	return succeed(vcpu, exit);
}

/* ---- VMCLEAR, VMPTRLD, VMPTRST ----------------------------------------------- */

/* L1's memory gets the content of the current VMCS, which is none any more. */
static void write_back(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	if (n->vmcs12_pa == VMX_NO_PTR)
		return;
	/* memory that has gone keeps nothing */
	if (!kvm_vcpu_write_guest(vcpu, n->vmcs12_pa, n->c, sizeof(*n->c)))
		kvm_mmu_guest_wrote(vcpu->kvm, n->vmcs12_pa, sizeof(*n->c));
	n->vmcs12_pa = VMX_NO_PTR;
}

static int vmclear(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	const u32 launched = 0;
	u64 pa;
	int r = operand(vcpu, &pa, sizeof(pa), false);

	if (r <= 0)
		return STOPPED(r);
	if (!region_valid(vcpu, pa))
		return fail(vcpu, exit, ERR_VMCLEAR_ADDRESS);
	if (pa == n->vmxon_pa)
		return fail(vcpu, exit, ERR_VMCLEAR_VMXON);
	if (pa == n->vmcs12_pa) {
		n->c->launched = launched;
		write_back(vcpu);
	} else {
		pa += offsetof(struct vmcs12, launched);
		if (!kvm_vcpu_write_guest(vcpu, pa, &launched, sizeof(launched)))
			kvm_mmu_guest_wrote(vcpu->kvm, pa, sizeof(launched));
	}
	return succeed(vcpu, exit);
}

static bool can_shadow(const struct vmx_nested *n)
{
	return vmx_nested_cap(n, MSR_IA32_VMX_PROCBASED_CTLS2) >> 32 & SECONDARY_EXEC_SHADOW_VMCS;
}

static int vmptrld(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	u32 revision;
	u64 pa;
	int r = operand(vcpu, &pa, sizeof(pa), false);

	if (r <= 0)
		return STOPPED(r);
	if (!region_valid(vcpu, pa))
		return fail(vcpu, exit, ERR_VMPTRLD_ADDRESS);
	if (pa == n->vmxon_pa)
		return fail(vcpu, exit, ERR_VMPTRLD_VMXON);
	if (pa == n->vmcs12_pa)
		return succeed(vcpu, exit);
	if (kvm_vcpu_read_guest(vcpu, pa, &revision, sizeof(revision)) ||
	    (revision & ~VMCS12_SHADOW) != VMCS12_REVISION ||
	    ((revision & VMCS12_SHADOW) && !can_shadow(n)))
		return fail(vcpu, exit, ERR_VMPTRLD_REVISION);
	write_back(vcpu);
	/* all at once; whatever it is, every entry checks it */
	if (kvm_vcpu_read_guest(vcpu, pa, n->c, sizeof(*n->c)))
		memset(n->c, 0, sizeof(*n->c));
	n->c->revision = revision;
	n->vmcs12_pa = pa;
	return succeed(vcpu, exit);
}

static int vmptrst(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	u64 pa = to_vmx(vcpu)->nested->vmcs12_pa;
	int r = operand(vcpu, &pa, sizeof(pa), true);

	return r <= 0 ? STOPPED(r) : succeed(vcpu, exit);
}

/* ---- VMREAD, VMWRITE --------------------------------------------------------- */

static bool field_valid(u64 field)
{
	return !(field >> 32) && vmcs12_field_exists(field);
}

/* A field of the current VMCS, or of L2's shadow VMCS; false: there is none */
static bool access_field(struct kvm_vcpu *vcpu, u32 field, u64 *val, bool write)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	if (vcpu->arch.guest_mode)
		return shadow_access(vcpu, field, val, write);
	if (write)
		vmcs12_set(n->c, field, *val);
	else
		*val = vmcs12_get(n->c, field);
	return true;
}

static bool has_vmcs(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	return vcpu->arch.guest_mode ? vmcs12_get(n->c, VMCS_LINK_POINTER) != VMX_NO_PTR :
				       n->vmcs12_pa != VMX_NO_PTR;
}

static int vmread(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	u32 info = vmcs_read(VMX_INSTRUCTION_INFO);
	bool is64 = vmx_is_64_bit_code(vcpu);
	u64 field = kvm_gpr_read(vcpu, INFO_REG2(info)), val;
	int r;

	if (!has_vmcs(vcpu))
		return fail_invalid(vcpu, exit);
	if (!is64)
		field = (u32)field;
	if (!field_valid(field))
		return fail(vcpu, exit, ERR_NO_FIELD);
	if (!access_field(vcpu, field, &val, false))
		return fail_invalid(vcpu, exit);
	if (!is64)
		val = (u32)val;
	if (info & INFO_REGISTER) {
		kvm_gpr_write(vcpu, INFO_REG1(info), val);
		return succeed(vcpu, exit);
	}
	r = operand(vcpu, &val, is64 ? 8 : 4, true);
	return r <= 0 ? STOPPED(r) : succeed(vcpu, exit);
}

static int vmwrite(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	u32 info = vmcs_read(VMX_INSTRUCTION_INFO);
	bool is64 = vmx_is_64_bit_code(vcpu);
	u64 field = kvm_gpr_read(vcpu, INFO_REG2(info)), val = 0;
	int r;

	if (!has_vmcs(vcpu))
		return fail_invalid(vcpu, exit);
	if (info & INFO_REGISTER) {
		val = kvm_gpr_read(vcpu, INFO_REG1(info));
		if (!is64)
			val = (u32)val;
	} else {
		r = operand(vcpu, &val, is64 ? 8 : 4, false);
		if (r <= 0)
			return STOPPED(r);
	}
	if (!is64)
		field = (u32)field;
	if (!field_valid(field))
		return fail(vcpu, exit, ERR_NO_FIELD);
	/* what tells of an exit cannot be written: IA32_VMX_MISC has bit 29 clear */
	if (VMCS12_KIND(field) == VMCS12_INFO)
		return fail(vcpu, exit, ERR_READ_ONLY);
	return access_field(vcpu, field, &val, true) ? succeed(vcpu, exit) :
						       fail_invalid(vcpu, exit);
}

/* ---- VMLAUNCH, VMRESUME ------------------------------------------------------ */

static int enter(struct kvm_vcpu *vcpu, struct kvm_exit *exit, bool launch)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	u32 error;

	if (n->vmcs12_pa == VMX_NO_PTR || (n->c->revision & VMCS12_SHADOW))
		return fail_invalid(vcpu, exit);
	if (vmx_get_blocking(vcpu) & KVM_X86_SHADOW_INT_MOV_SS)
		return fail(vcpu, exit, ERR_BLOCKED_BY_MOV_SS);
	if (launch && n->c->launched)
		return fail(vcpu, exit, ERR_LAUNCH_NOT_CLEAR);
	if (!launch && !n->c->launched)
		return fail(vcpu, exit, ERR_RESUME_NOT_LAUNCHED);
	error = vmx_check_vmcs12(vcpu, true);
	if (error)
		return fail(vcpu, exit, error);
	return vmx_nested_enter(vcpu);
}

/**
 * vmx_virt_insn() - carry out a VMX instruction
 * @vcpu: the vCPU, loaded, kvm->srcu held; not in L2, or L1 does not want it
 * @exit: the exit
 *
 * Return: as any exit's handler.
 */
int vmx_virt_insn(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	u16 reason = exit->hw_reason;

	if (!n || !guest_has(vcpu, X86_FEATURE_VMX) || vcpu->arch.smm)
		return undefined(vcpu);
	/* of L2 only those come here that are for its shadow VMCS */
	if (vcpu->arch.guest_mode && reason != EXIT_REASON_VMREAD && reason != EXIT_REASON_VMWRITE)
		return undefined(vcpu);
	if (reason == EXIT_REASON_VMON)
		return vmxon(vcpu, exit);
	if (!n->vmxon)
		return undefined(vcpu);
	if (!allowed(vcpu))
		return 1;
	switch (reason) {
	case EXIT_REASON_VMOFF:
		return vmxoff(vcpu, exit);
	case EXIT_REASON_VMCLEAR:
		return vmclear(vcpu, exit);
	case EXIT_REASON_VMPTRLD:
		return vmptrld(vcpu, exit);
	case EXIT_REASON_VMPTRST:
		return vmptrst(vcpu, exit);
	case EXIT_REASON_VMREAD:
		return vmread(vcpu, exit);
	case EXIT_REASON_VMWRITE:
		return vmwrite(vcpu, exit);
	case EXIT_REASON_VMLAUNCH:
		return enter(vcpu, exit, true);
	case EXIT_REASON_VMRESUME:
		return enter(vcpu, exit, false);
	default:
		return undefined(vcpu);
	}
}
