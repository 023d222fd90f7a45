// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose is it: exits of L2, its events, and its instructions that the emulator carries out.
 *
 * Intel SDM vol. 3, chapter 26 (what exits, by which control), 28.2 (what an exit tells).
 * Exits of the hardware tell L1 what they told us. What is not for L1 is left to the
 * handlers that any guest has.
 */
#include <linux/mm.h>
#include <asm/trapnr.h>

#include "arch/x86/nested.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/vmx/nested.h"

#define REASON_GETSEC		11

#define CR_MOV_TO		0
#define CR_MOV_FROM		1
#define CR_CLTS			2
#define CR_LMSW			3
#define CR0_LMSW		(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

/* ---- exceptions -------------------------------------------------------------- */

/**
 * vmx_l1_wants_exception() - does one of L2's exit to L1; 26.2
 * @n: the vCPU's state, in L2
 * @vector: exception
 * @error_code: of a #PF
 */
bool vmx_l1_wants_exception(const struct vmx_nested *n, u8 vector, u32 error_code)
{
	bool bit = vmcs12_get(n->c, EXCEPTION_BITMAP) & BIT(vector & 31);

	if (vector == X86_TRAP_PF &&
	    (error_code & vmcs12_get(n->c, PAGE_FAULT_ERROR_CODE_MASK)) !=
	    vmcs12_get(n->c, PAGE_FAULT_ERROR_CODE_MATCH))
		return !bit;
	return bit;
}

/* ---- what bitmaps and masks say ---------------------------------------------- */

static bool l1_wants_io(struct kvm_vcpu *vcpu, u16 port, unsigned int size)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	unsigned int i;

	if (!vmx_l1_cpu(n, CPU_BASED_USE_IO_BITMAPS))
		return vmx_l1_cpu(n, CPU_BASED_UNCOND_IO_EXITING);
	for (i = 0; i < size; i++) {
		unsigned int at = port + i;
		u64 map;
		u8 byte;

		if (at > 0xffff)
			return true;
		map = vmcs12_get(n->c, at < 0x8000 ? IO_BITMAP_A : IO_BITMAP_B);
		at &= 0x7fff;
		if (kvm_vcpu_read_guest(vcpu, map + at / 8, &byte, 1) || (byte & BIT(at % 8)))
			return true;
	}
	return false;
}

static bool l1_wants_msr(struct kvm_vcpu *vcpu, bool write)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u32 msr = kvm_gpr_read(vcpu, VCPU_REG_RCX), bit;

	if (!vmx_l1_cpu(n, CPU_BASED_USE_MSR_BITMAPS))
		return true;
	if (msr < 0x2000)
		bit = msr;
	else if (msr >= 0xc0000000 && msr < 0xc0002000)
		bit = 0x400 * 8 + (msr - 0xc0000000);
	else
		return true;
	return test_bit(bit + (write ? 0x800 * 8 : 0), n->l1_msr_bitmap);
}

/* VMREAD and VMWRITE of L2, 25.10: its own business where a bitmap says so */
static bool l1_wants_field(struct kvm_vcpu *vcpu, bool write)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 field = kvm_gpr_read(vcpu, vmcs_read(VMX_INSTRUCTION_INFO) >> 28 & 0xf);
	u64 map = vmcs12_get(n->c, write ? VMWRITE_BITMAP : VMREAD_BITMAP);
	u8 byte;

	if (!(vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_SHADOW_VMCS))
		return true;
	if (!vmx_is_64_bit_code(vcpu))
		field = (u32)field;
	return field >> 15 || kvm_vcpu_read_guest(vcpu, map + field / 8, &byte, 1) ||
	       (byte & BIT(field % 8));
}

static bool l1_wants_cr_write(const struct vmx_nested *n, unsigned int cr, u64 val)
{
	unsigned int i, count;

	switch (cr) {
	case 0:
		return (val ^ vmcs12_get(n->c, CR0_READ_SHADOW)) &
		       vmcs12_get(n->c, CR0_GUEST_HOST_MASK);
	case 3:
		if (!vmx_l1_cpu(n, CPU_BASED_CR3_LOAD_EXITING))
			return false;
		count = min_t(u64, vmcs12_get(n->c, CR3_TARGET_COUNT), 4);
		for (i = 0; i < count; i++)
			if (vmcs12_get(n->c, CR3_TARGET_VALUE0 + 2 * i) == val)
				return false;
		return true;
	case 4:
		return (val ^ vmcs12_get(n->c, CR4_READ_SHADOW)) &
		       vmcs12_get(n->c, CR4_GUEST_HOST_MASK);
	case 8:
		return vmx_l1_cpu(n, CPU_BASED_CR8_LOAD_EXITING);
	default:
		return false;
	}
}

static bool l1_wants_clts(const struct vmx_nested *n)
{
	return vmcs12_get(n->c, CR0_GUEST_HOST_MASK) & vmcs12_get(n->c, CR0_READ_SHADOW) &
	       X86_CR0_TS;
}

/* PE can only be set by it */
static bool l1_wants_lmsw(const struct vmx_nested *n, u16 val)
{
	u64 shadow = vmcs12_get(n->c, CR0_READ_SHADOW);
	u64 differs = (val ^ shadow) & vmcs12_get(n->c, CR0_GUEST_HOST_MASK) & CR0_LMSW;

	if (shadow & X86_CR0_PE)
		differs &= ~(u64)X86_CR0_PE;
	return differs;
}

static bool l1_wants_cr_read(const struct vmx_nested *n, unsigned int cr)
{
	return (cr == 3 && vmx_l1_cpu(n, CPU_BASED_CR3_STORE_EXITING)) ||
	       (cr == 8 && vmx_l1_cpu(n, CPU_BASED_CR8_STORE_EXITING));
}

static bool l1_wants_cr_exit(struct kvm_vcpu *vcpu, u64 q)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	unsigned int cr = q & 0xf;
	u64 val;

	switch (q >> 4 & 3) {
	case CR_MOV_TO:
		val = kvm_gpr_read(vcpu, q >> 8 & 0xf);
		return l1_wants_cr_write(n, cr, vmx_is_64_bit_code(vcpu) ? val : (u32)val);
	case CR_MOV_FROM:
		return l1_wants_cr_read(n, cr);
	case CR_CLTS:
		return l1_wants_clts(n);
	default:
		return l1_wants_lmsw(n, q >> LMSW_SOURCE_DATA_SHIFT);
	}
}

/* ---- exits ------------------------------------------------------------------- */

/* A #PF of shadow paging: is it one that L2's own tables raise */
static bool is_guests_fault(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	u64 access = exit->exc.error_code & (PFERR_WRITE | PFERR_USER | PFERR_FETCH);
	struct kvm_fault fault;

	if (kvm_mmu_gva_to_gpa(vcpu, exit->exc.payload, access, &fault) != KVM_INVALID_GPA ||
	    fault.vector != X86_TRAP_PF)
		return false;
	exit->exc.error_code = fault.error_code;
	return true;
}

static bool l1_wants_exception_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;

	/* NMIs and machine checks are the host's */
	if (exit->kind != KVM_XK_EXCEPTION)
		return false;
	/* a debugger of L1's comes before L1 */
	if (vcpu->arch.guest_debug &&
	    (exit->exc.vector == X86_TRAP_DB || exit->exc.vector == X86_TRAP_BP))
		return false;
	if (exit->exc.vector == X86_TRAP_PF && !vmx_feat.ept && !is_guests_fault(vcpu, exit))
		return false;
	return vmx_l1_wants_exception(n, exit->exc.vector, exit->exc.error_code);
}

static bool l1_wants_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit, u16 reason)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 q;

	switch (reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		return l1_wants_exception_exit(vcpu, exit);
	case EXIT_REASON_TRIPLE_FAULT:
	case EXIT_REASON_TASK_SWITCH:
	case EXIT_REASON_CPUID:
	case REASON_GETSEC:
	case EXIT_REASON_INVD:
	case EXIT_REASON_XSETBV:
	case EXIT_REASON_VMCALL ... EXIT_REASON_VMPTRST:
	case EXIT_REASON_VMRESUME:
	case EXIT_REASON_VMOFF:
	case EXIT_REASON_VMON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
		return true;
	case EXIT_REASON_VMREAD:
		return l1_wants_field(vcpu, false);
	case EXIT_REASON_VMWRITE:
		return l1_wants_field(vcpu, true);
	case EXIT_REASON_INTERRUPT_WINDOW:
		return vmx_l1_cpu(n, CPU_BASED_INTR_WINDOW_EXITING);
	case EXIT_REASON_NMI_WINDOW:
		return vmx_l1_cpu(n, CPU_BASED_NMI_WINDOW_EXITING);
	case EXIT_REASON_HLT:
		return vmx_l1_cpu(n, CPU_BASED_HLT_EXITING);
	case EXIT_REASON_INVLPG:
	case EXIT_REASON_INVPCID:
		return vmx_l1_cpu(n, CPU_BASED_INVLPG_EXITING);
	case EXIT_REASON_RDPMC:
		return vmx_l1_cpu(n, CPU_BASED_RDPMC_EXITING);
	case EXIT_REASON_RDTSC:
	case EXIT_REASON_RDTSCP:
		return vmx_l1_cpu(n, CPU_BASED_RDTSC_EXITING);
	case EXIT_REASON_CR_ACCESS:
		q = vmcs_read(EXIT_QUALIFICATION);
		return l1_wants_cr_exit(vcpu, q);
	case EXIT_REASON_DR_ACCESS:
		return vmx_l1_cpu(n, CPU_BASED_MOV_DR_EXITING);
	case EXIT_REASON_IO_INSTRUCTION:
		return l1_wants_io(vcpu, exit->io.port, exit->io.size);
	case EXIT_REASON_MSR_READ:
		return l1_wants_msr(vcpu, false);
	case EXIT_REASON_MSR_WRITE:
		return l1_wants_msr(vcpu, true);
	case EXIT_REASON_MWAIT_INSTRUCTION:
		return vmx_l1_cpu(n, CPU_BASED_MWAIT_EXITING);
	case EXIT_REASON_MONITOR_INSTRUCTION:
		return vmx_l1_cpu(n, CPU_BASED_MONITOR_EXITING);
	case EXIT_REASON_PAUSE_INSTRUCTION:
		return vmx_l1_cpu(n, CPU_BASED_PAUSE_EXITING);
	case EXIT_REASON_GDTR_IDTR:
	case EXIT_REASON_LDTR_TR:
		return vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_DESC;
	case EXIT_REASON_WBINVD:
		return vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_WBINVD_EXITING;
	default:
		/* the rest is of controls that L1 is not offered */
		return false;
	}
}

/*
 * The CPU, or the emulator in its place, did not take L2's state. L1's entry was checked: if
 * something was overlooked, it is one that fails. Else user space has given L2 a state that
 * none can have.
 */
static bool refused(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct vmx_l1_exit x = { .reason = EXIT_REASON_TRIPLE_FAULT };

	if (exit->kind != KVM_XK_FAIL_ENTRY && exit->kind != KVM_XK_EMULATE &&
	    exit->kind != KVM_XK_CANNOT_EMULATE)
		return false;
	/* controls that the CPU does not take are our mistake, and user space's to know */
	if (exit->hw_reason != (EXIT_REASON_INVALID_STATE | VMX_EXIT_ENTRY_FAILED))
		return false;
	if (vcpu->arch.nested_entry)
		x.reason = EXIT_REASON_INVALID_STATE | VMX_EXIT_ENTRY_FAILED;
	vmx_nested_vmexit(vcpu, &x);
	return true;
}

/* Reasons whose exits have an interruption information, a length, an instruction information */
static void read_details(struct vmx_vcpu *v, struct kvm_exit *exit, struct vmx_l1_exit *x)
{
	x->qualification = vmcs_read(EXIT_QUALIFICATION);
	x->insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	x->insn_info = vmcs_read(VMX_INSTRUCTION_INFO);
	switch (x->reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		x->intr_info = v->intr_info & ~INTR_INFO_UNBLOCK_NMI;
		x->intr_error = exit->exc.error_code;
		if (exit->exc.vector == X86_TRAP_PF || exit->exc.vector == X86_TRAP_DB)
			x->qualification = exit->exc.payload;
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		x->linear = vmcs_read(GUEST_LINEAR_ADDRESS);
		break;
	}
}

/**
 * vmx_nested_exit() - L2 has exited
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @exit: why
 *
 * Return: true when L1 runs now.
 */
bool vmx_nested_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct vmx_l1_exit x = {};

	/* without the bit it is no exit reason, but a VM-instruction error */
	if (unlikely(exit->kind == KVM_XK_FAIL_ENTRY ||
		     (exit->hw_reason & VMX_EXIT_ENTRY_FAILED)))
		return refused(vcpu, exit);
	x.reason = (u16)exit->hw_reason;
	/* an event for L1 may have waited for the entry, or the delivery of another */
	if (vcpu->arch.nested_entry || x.reason == EXIT_REASON_EXTERNAL_INTERRUPT)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	vcpu->arch.nested_entry = false;

	if (!l1_wants_exit(vcpu, exit, x.reason))
		return false;
	read_details(to_vmx(vcpu), exit, &x);
	vmx_nested_vmexit(vcpu, &x);
	return true;
}

/* ---- events ------------------------------------------------------------------ */

static void exception_to_l1(struct kvm_vcpu *vcpu)
{
	u8 vector = vcpu->arch.exception.vector;
	struct vmx_l1_exit x = {
		.reason = EXIT_REASON_EXCEPTION_NMI,
		.intr_info = vector | INTR_TYPE_HARD_EXCEPTION | INTR_INFO_VALID_MASK,
	};

	if (vector == X86_TRAP_BP || vector == X86_TRAP_OF) {
		x.intr_info = vector | INTR_TYPE_SOFT_EXCEPTION | INTR_INFO_VALID_MASK;
		x.insn_len = 1;
	}
	if (vcpu->arch.exception.has_error_code) {
		x.intr_info |= INTR_INFO_DELIVER_CODE_MASK;
		x.intr_error = (u16)vcpu->arch.exception.error_code;
	}
	/* CR2 and DR6 are as they were: the qualification has what would be there */
	if (vcpu->arch.exception.has_payload)
		x.qualification = vcpu->arch.exception.payload;
	else if (vector == X86_TRAP_PF)
		x.qualification = vcpu->arch.cr2;
	else if (vector == X86_TRAP_DB)
		x.qualification = vcpu->arch.dr6 & (0xf | BIT(13) | BIT(14));
	vmx_nested_vmexit(vcpu, &x);
}

static enum kvm_nested_answer intr_to_l1(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	struct vmx_l1_exit x = { .reason = EXIT_REASON_EXTERNAL_INTERRUPT };

	if (vmcs12_get(n->c, VM_EXIT_CONTROLS) & VM_EXIT_ACK_INTR_ON_EXIT) {
		int vector = kvm_cpu_get_interrupt(vcpu);

		/* it was withdrawn */
		if (vector < 0)
			return KVM_NESTED_L2;
		x.intr_info = vector | INTR_TYPE_EXT_INTR | INTR_INFO_VALID_MASK;
	}
	vmx_nested_vmexit(vcpu, &x);
	return KVM_NESTED_L1;
}

static void nmi_to_l1(struct kvm_vcpu *vcpu)
{
	const struct vmx_l1_exit x = {
		.reason = EXIT_REASON_EXCEPTION_NMI,
		.intr_info = X86_TRAP_NMI | INTR_TYPE_NMI_INTR | INTR_INFO_VALID_MASK,
	};

	vcpu->arch.nmi_pending--;
	vmx_nested_vmexit(vcpu, &x);
	/* as its delivery would: 28.5.5 */
	vmx_set_blocking(vcpu, KVM_BLOCKED_NMI, KVM_BLOCKED_NMI);
}

/**
 * vmx_nested_event() - who gets an event that comes while L2 runs
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @what: which
 * @take: L1 gets it now, if it is L1's
 *
 * Return: whose it is.
 */
enum kvm_nested_answer vmx_nested_event(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					bool take)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	const struct vmx_l1_exit init = { .reason = EXIT_REASON_INIT_SIGNAL };
	const struct vmx_l1_exit triple_fault = { .reason = EXIT_REASON_TRIPLE_FAULT };

	switch (what) {
	case KVM_NESTED_EXCEPTION:
		if (!vmx_l1_wants_exception(n, vcpu->arch.exception.vector,
					    vcpu->arch.exception.error_code))
			return KVM_NESTED_L2;
		break;
	case KVM_NESTED_INTR:
		if (!vmx_l1_pin(n, PIN_BASED_EXT_INTR_MASK))
			return KVM_NESTED_L2;
		break;
	case KVM_NESTED_NMI:
		if (!vmx_l1_pin(n, PIN_BASED_NMI_EXITING))
			return KVM_NESTED_L2;
		/* without virtual NMIs the mask is that of NMIs: common code waits for its end */
		if (!vmx_l1_pin(n, PIN_BASED_VIRTUAL_NMIS) &&
		    (vmx_get_blocking(vcpu) & KVM_BLOCKED_NMI))
			return KVM_NESTED_L2;
		break;
	case KVM_NESTED_SMI:
		return vcpu->arch.nested_entry ? KVM_NESTED_WAIT : KVM_NESTED_L2;
	case KVM_NESTED_INIT:
	case KVM_NESTED_TRIPLE_FAULT:
		break;
	}
	if (vcpu->arch.nested_entry)
		return KVM_NESTED_WAIT;
	if (!take)
		return KVM_NESTED_L1;
	switch (what) {
	case KVM_NESTED_EXCEPTION:
		exception_to_l1(vcpu);
		break;
	case KVM_NESTED_INTR:
		return intr_to_l1(vcpu);
	case KVM_NESTED_NMI:
		nmi_to_l1(vcpu);
		break;
	case KVM_NESTED_INIT:
		vmx_nested_vmexit(vcpu, &init);
		break;
	default:
		vmx_nested_vmexit(vcpu, &triple_fault);
		break;
	}
	return KVM_NESTED_L1;
}

/* ---- instructions that the emulator carries out ------------------------------ */

/* Exit reason of an instruction that L1 intercepts, 0 where it does not; and qualification */
static u32 l1_wants_insn(struct kvm_vcpu *vcpu, const struct kvm_insn *insn, u64 *q)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 val = kvm_gpr_read(vcpu, insn->gpr & 15);

	switch (insn->class) {
	case KVM_INSN_CR_READ:
		*q = insn->reg | CR_MOV_FROM << 4 | (insn->gpr & 15) << 8;
		return l1_wants_cr_read(n, insn->reg) ? EXIT_REASON_CR_ACCESS : 0;
	case KVM_INSN_CR_WRITE:
		*q = insn->reg | (insn->gpr & 15) << 8;
		return l1_wants_cr_write(n, insn->reg, vmx_is_64_bit_code(vcpu) ? val : (u32)val) ?
		       EXIT_REASON_CR_ACCESS : 0;
	case KVM_INSN_CLTS:
		*q = CR_CLTS << 4;
		return l1_wants_clts(n) ? EXIT_REASON_CR_ACCESS : 0;
	case KVM_INSN_LMSW:
		/* of memory its value is not known: one exit too many is harmless */
		*q = CR_LMSW << 4 | insn->mem << 6 | (u64)insn->value << LMSW_SOURCE_DATA_SHIFT;
		return (insn->mem ? vmcs12_get(n->c, CR0_GUEST_HOST_MASK) & CR0_LMSW :
				    l1_wants_lmsw(n, insn->value)) ? EXIT_REASON_CR_ACCESS : 0;
	case KVM_INSN_DR_READ:
	case KVM_INSN_DR_WRITE:
		*q = (insn->reg & 7) | (insn->class == KVM_INSN_DR_READ) << 4 |
		     (insn->gpr & 15) << 8;
		return vmx_l1_cpu(n, CPU_BASED_MOV_DR_EXITING) ? EXIT_REASON_DR_ACCESS : 0;
	case KVM_INSN_SGDT:
	case KVM_INSN_SIDT:
	case KVM_INSN_LGDT:
	case KVM_INSN_LIDT:
		return vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_DESC ? EXIT_REASON_GDTR_IDTR : 0;
	case KVM_INSN_SLDT:
	case KVM_INSN_STR:
	case KVM_INSN_LLDT:
	case KVM_INSN_LTR:
		return vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_DESC ? EXIT_REASON_LDTR_TR : 0;
	case KVM_INSN_IO:
		*q = (insn->size - 1) | insn->in << 3 | insn->string << 4 | insn->rep << 5 |
		     (u32)insn->port << 16;
		return l1_wants_io(vcpu, insn->port, insn->size) ? EXIT_REASON_IO_INSTRUCTION : 0;
	case KVM_INSN_CPUID:
		return EXIT_REASON_CPUID;
	case KVM_INSN_HLT:
		return vmx_l1_cpu(n, CPU_BASED_HLT_EXITING) ? EXIT_REASON_HLT : 0;
	case KVM_INSN_RDMSR:
		return l1_wants_msr(vcpu, false) ? EXIT_REASON_MSR_READ : 0;
	case KVM_INSN_WRMSR:
		return l1_wants_msr(vcpu, true) ? EXIT_REASON_MSR_WRITE : 0;
	case KVM_INSN_RDTSC:
		return vmx_l1_cpu(n, CPU_BASED_RDTSC_EXITING) ? EXIT_REASON_RDTSC : 0;
	case KVM_INSN_RDTSCP:
		return vmx_l1_cpu(n, CPU_BASED_RDTSC_EXITING) ? EXIT_REASON_RDTSCP : 0;
	case KVM_INSN_RDPMC:
		return vmx_l1_cpu(n, CPU_BASED_RDPMC_EXITING) ? EXIT_REASON_RDPMC : 0;
	case KVM_INSN_INVLPG:
		return vmx_l1_cpu(n, CPU_BASED_INVLPG_EXITING) ? EXIT_REASON_INVLPG : 0;
	case KVM_INSN_INVPCID:
		return vmx_l1_cpu(n, CPU_BASED_INVLPG_EXITING) ? EXIT_REASON_INVPCID : 0;
	case KVM_INSN_WBINVD:
		return vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_WBINVD_EXITING ? EXIT_REASON_WBINVD : 0;
	case KVM_INSN_INVD:
		return EXIT_REASON_INVD;
	case KVM_INSN_MONITOR:
		return vmx_l1_cpu(n, CPU_BASED_MONITOR_EXITING) ? EXIT_REASON_MONITOR_INSTRUCTION :
								  0;
	case KVM_INSN_MWAIT:
		return vmx_l1_cpu(n, CPU_BASED_MWAIT_EXITING) ? EXIT_REASON_MWAIT_INSTRUCTION : 0;
	case KVM_INSN_PAUSE:
		return vmx_l1_cpu(n, CPU_BASED_PAUSE_EXITING) ? EXIT_REASON_PAUSE_INSTRUCTION : 0;
	case KVM_INSN_XSETBV:
		return EXIT_REASON_XSETBV;
	case KVM_INSN_HYPERCALL:
		return EXIT_REASON_VMCALL;
	default:
		return 0;
	}
}

/**
 * vmx_nested_insn() - L2's instruction is about to be emulated
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @e: the instruction, decoded
 *
 * The registers are as they were before it. What is known of an operand in memory only the
 * CPU tells (instruction information): L1 has to decode it.
 *
 * Return: true when L1 runs now.
 */
bool vmx_nested_insn(struct kvm_vcpu *vcpu, const struct x86_emul *e)
{
	struct vmx_l1_exit x = {};
	struct kvm_insn insn;

	kvm_nested_classify(e, &insn);
	if (insn.class == KVM_INSN_PLAIN)
		return false;
	if (insn.class == KVM_INSN_HYPERCALL && e->d.modrm == 0xd9) {
		/* VMMCALL, which is no instruction of this CPU */
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return true;
	}
	x.reason = l1_wants_insn(vcpu, &insn, &x.qualification);
	if (!x.reason)
		return false;
	x.insn_len = insn.len;
	vmx_nested_vmexit(vcpu, &x);
	return true;
}
