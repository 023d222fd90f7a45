// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM entry checks before it takes place (Intel SDM vol. 3, 27.2 and 27.3).
 *
 * The checks go by the capability MSRs of the vCPU, so that a control that is not offered
 * cannot be on; and what passes them our own CPU takes, too, since guests are offered no
 * more than it has. They work on the copy of the VMCS (struct vmx_nested), which only
 * VMWRITE changes.
 */
#include <linux/mm.h>
#include <asm/trapnr.h>

#include "arch/x86/vmx/nested.h"

#define ERROR_CONTROLS		7
#define ERROR_HOST_STATE	8

/* exit qualifications of an entry that failed, 27.8 */
#define FAIL_DEFAULT		0
#define FAIL_LINK_POINTER	4

#define RFLAGS_RESERVED		(~(u64)GENMASK(21, 0) | BIT(15) | BIT(5) | BIT(3))
#define DBG_PENDING_VALID	(0xful | BIT(12) | BIT(14))	/* 25.4.2; RTM is not offered */
#define DBG_PENDING_BS		BIT(14)
#define EFER_KNOWN		(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

static u64 get(const struct vmx_nested *n, u32 field)
{
	return vmcs12_get(n->c, field);
}

static bool controls_valid(u32 ctl, u64 cap)
{
	return (ctl & (u32)cap) == (u32)cap && !(ctl & ~(u32)(cap >> 32));
}

static bool canonical(struct kvm_vcpu *vcpu, u64 cr4, u64 addr)
{
	return sign_extend64(addr, cr4 & X86_CR4_LA57 ? 56 : 47) == addr;
}

/* An address of memory that a VMCS gives: aligned and within what the CPU has. */
static bool address_valid(struct kvm_vcpu *vcpu, u64 gpa, u64 align)
{
	return !(gpa & (align - 1)) && kvm_gpa_is_legal(vcpu, gpa);
}

static bool msr_list_valid(struct kvm_vcpu *vcpu, u64 gpa, u32 count)
{
	if (!count)
		return true;
	return count <= VMX_MAX_MSR_LIST && address_valid(vcpu, gpa, 16) &&
	       kvm_gpa_is_legal(vcpu, gpa + count * 16ull - 1);
}

static bool pat_valid(u64 pat)
{
	int i;

	for (i = 0; i < 8; i++) {
		u8 type = pat >> (8 * i);

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool efer_valid(struct kvm_vcpu *vcpu, u64 efer, bool ia32e, bool paging)
{
	if ((efer & ~(u64)EFER_KNOWN) || !kvm_guest_efer_valid(vcpu, efer & ~(u64)EFER_LMA))
		return false;
	if (!!(efer & EFER_LMA) != ia32e)
		return false;
	return !paging || !!(efer & EFER_LME) == ia32e;
}

static bool cr0_fits(const struct vmx_nested *n, u64 cr0)
{
	u64 ones = vmx_nested_cap(n, MSR_IA32_VMX_CR0_FIXED0);

	return (cr0 & ones) == ones && !(cr0 & ~vmx_nested_cap(n, MSR_IA32_VMX_CR0_FIXED1));
}

static bool cr4_fits(struct kvm_vcpu *vcpu, u64 cr4)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 ones = vmx_nested_cap(n, MSR_IA32_VMX_CR4_FIXED0);

	return (cr4 & ones) == ones && !(cr4 & vcpu->arch.cpuid.cr4_reserved_bits) &&
	       !(cr4 & ~vmx_nested_cap(n, MSR_IA32_VMX_CR4_FIXED1));
}

/* ---- controls, 27.2.1 -------------------------------------------------------- */

static bool exec_controls_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u32 cpu = get(n, CPU_BASED_VM_EXEC_CONTROL);

	if (!controls_valid(get(n, PIN_BASED_VM_EXEC_CONTROL),
			    vmx_nested_cap(n, MSR_IA32_VMX_TRUE_PINBASED_CTLS)) ||
	    !controls_valid(cpu, vmx_nested_cap(n, MSR_IA32_VMX_TRUE_PROCBASED_CTLS)))
		return false;
	if ((cpu & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) &&
	    !controls_valid(get(n, SECONDARY_VM_EXEC_CONTROL),
			    vmx_nested_cap(n, MSR_IA32_VMX_PROCBASED_CTLS2)))
		return false;
	if (get(n, CR3_TARGET_COUNT) > vmx_misc_cr3_count(vmx_nested_cap(n, MSR_IA32_VMX_MISC)))
		return false;
	if ((cpu & CPU_BASED_USE_IO_BITMAPS) &&
	    (!address_valid(vcpu, get(n, IO_BITMAP_A), PAGE_SIZE) ||
	     !address_valid(vcpu, get(n, IO_BITMAP_B), PAGE_SIZE)))
		return false;
	if ((cpu & CPU_BASED_USE_MSR_BITMAPS) &&
	    !address_valid(vcpu, get(n, MSR_BITMAP), PAGE_SIZE))
		return false;
	if ((vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_SHADOW_VMCS) &&
	    (!address_valid(vcpu, get(n, VMREAD_BITMAP), PAGE_SIZE) ||
	     !address_valid(vcpu, get(n, VMWRITE_BITMAP), PAGE_SIZE)))
		return false;
	if ((vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_TSC_SCALING) && !get(n, TSC_MULTIPLIER))
		return false;
	if (!vmx_l1_pin(n, PIN_BASED_NMI_EXITING) && vmx_l1_pin(n, PIN_BASED_VIRTUAL_NMIS))
		return false;
	return vmx_l1_pin(n, PIN_BASED_VIRTUAL_NMIS) || !(cpu & CPU_BASED_NMI_WINDOW_EXITING);
}

static bool exit_controls_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;

	return controls_valid(get(n, VM_EXIT_CONTROLS),
			      vmx_nested_cap(n, MSR_IA32_VMX_TRUE_EXIT_CTLS)) &&
	       msr_list_valid(vcpu, get(n, VM_EXIT_MSR_STORE_ADDR),
			      get(n, VM_EXIT_MSR_STORE_COUNT)) &&
	       msr_list_valid(vcpu, get(n, VM_EXIT_MSR_LOAD_ADDR),
			      get(n, VM_EXIT_MSR_LOAD_COUNT));
}

/* Exceptions that push an error code; of control-flow protection guests have none. */
static bool has_error_code(u8 vector)
{
	return vector == X86_TRAP_DF || (vector >= X86_TRAP_TS && vector <= X86_TRAP_PF) ||
	       vector == X86_TRAP_AC;
}

static bool injection_valid(const struct vmx_nested *n)
{
	u32 info = get(n, VM_ENTRY_INTR_INFO_FIELD), type = info & INTR_INFO_INTR_TYPE_MASK;
	u8 vector = info & INTR_INFO_VECTOR_MASK;
	u32 len = get(n, VM_ENTRY_INSTRUCTION_LEN);
	bool deliver = info & INTR_INFO_DELIVER_CODE_MASK, want;

	if (!(info & INTR_INFO_VALID_MASK))
		return true;
	if (info & INTR_INFO_RESVD_BITS_MASK)
		return false;
	want = type == INTR_TYPE_HARD_EXCEPTION && (get(n, GUEST_CR0) & X86_CR0_PE) &&
	       has_error_code(vector);
	if (deliver != want || (deliver && get(n, VM_ENTRY_EXCEPTION_ERROR_CODE) >> 16))
		return false;
	switch (type) {
	case INTR_TYPE_EXT_INTR:
		return true;
	case INTR_TYPE_NMI_INTR:
		return vector == X86_TRAP_NMI;
	case INTR_TYPE_HARD_EXCEPTION:
		return vector < 32;
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SOFT_EXCEPTION:
		if (vector >= 32)
			return false;
		fallthrough;
	case INTR_TYPE_SOFT_INTR:
		return len >= 1 && len <= 15;
	default:
		/* other events need the monitor trap flag, which is not offered */
		return false;
	}
}

static bool entry_controls_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;

	return controls_valid(get(n, VM_ENTRY_CONTROLS),
			      vmx_nested_cap(n, MSR_IA32_VMX_TRUE_ENTRY_CTLS)) &&
	       msr_list_valid(vcpu, get(n, VM_ENTRY_MSR_LOAD_ADDR),
			      get(n, VM_ENTRY_MSR_LOAD_COUNT)) &&
	       injection_valid(n);
}

/* ---- host state, 27.2.2 to 27.2.4 -------------------------------------------- */

static bool host_selectors_valid(const struct vmx_nested *n, bool host64)
{
	static const u16 fields[] = {
		HOST_ES_SELECTOR, HOST_CS_SELECTOR, HOST_SS_SELECTOR, HOST_DS_SELECTOR,
		HOST_FS_SELECTOR, HOST_GS_SELECTOR, HOST_TR_SELECTOR,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (get(n, fields[i]) & 7)
			return false;
	return get(n, HOST_CS_SELECTOR) && get(n, HOST_TR_SELECTOR) &&
	       (host64 || get(n, HOST_SS_SELECTOR));
}

static bool host_state_valid(struct kvm_vcpu *vcpu, bool in_l1)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u32 exit = get(n, VM_EXIT_CONTROLS), entry = get(n, VM_ENTRY_CONTROLS);
	static const u16 addresses[] = {
		HOST_FS_BASE, HOST_GS_BASE, HOST_TR_BASE, HOST_GDTR_BASE, HOST_IDTR_BASE,
		HOST_IA32_SYSENTER_ESP, HOST_IA32_SYSENTER_EIP,
	};
	bool host64 = exit & VM_EXIT_HOST_ADDR_SPACE_SIZE;
	u64 cr0 = get(n, HOST_CR0), cr4 = get(n, HOST_CR4);
	int i;

	if (!cr0_fits(n, cr0) || !cr4_fits(vcpu, cr4) || !kvm_gpa_is_legal(vcpu, get(n, HOST_CR3)))
		return false;
	/* combinations that MOV to CR0 and CR4 refuse */
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	for (i = 0; i < ARRAY_SIZE(addresses); i++)
		if (!canonical(vcpu, cr4, get(n, addresses[i])))
			return false;
	if ((exit & VM_EXIT_LOAD_IA32_PAT) && !pat_valid(get(n, HOST_IA32_PAT)))
		return false;
	if ((exit & VM_EXIT_LOAD_IA32_EFER) &&
	    !efer_valid(vcpu, get(n, HOST_IA32_EFER), host64, true))
		return false;
	if (!host_selectors_valid(n, host64))
		return false;
	if ((in_l1 && host64 != is_long_mode(vcpu)) || (!host64 && (entry & VM_ENTRY_IA32E_MODE)))
		return false;
	if (!host64)
		return !(cr4 & X86_CR4_PCIDE) && !(get(n, HOST_RIP) >> 32);
	return (cr4 & X86_CR4_PAE) && canonical(vcpu, cr4, get(n, HOST_RIP));
}

/**
 * vmx_check_vmcs12() - the checks that come before anything is loaded
 * @vcpu: the vCPU, with a current VMCS
 * @in_l1: its mode is L1's; else L1's is what the VMCS says
 *
 * Return: 0, or the VM-instruction error.
 */
u32 vmx_check_vmcs12(struct kvm_vcpu *vcpu, bool in_l1)
{
	if (!exec_controls_valid(vcpu) || !exit_controls_valid(vcpu) ||
	    !entry_controls_valid(vcpu))
		return ERROR_CONTROLS;
	return host_state_valid(vcpu, in_l1) ? 0 : ERROR_HOST_STATE;
}

/* ---- guest state, 27.3.1 ----------------------------------------------------- */

static bool guest_control_regs_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u32 entry = get(n, VM_ENTRY_CONTROLS);
	u64 cr0 = get(n, GUEST_CR0), cr4 = get(n, GUEST_CR4);
	bool ia32e = entry & VM_ENTRY_IA32E_MODE;

	if (!cr0_fits(n, cr0) || !cr4_fits(vcpu, cr4) || !kvm_gpa_is_legal(vcpu, get(n, GUEST_CR3)))
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	if (entry & VM_ENTRY_LOAD_DEBUG_CONTROLS) {
		/* no bit of IA32_DEBUGCTL can be set */
		if (get(n, GUEST_IA32_DEBUGCTL) || get(n, GUEST_DR7) >> 32)
			return false;
	}
	if (ia32e ? !(cr4 & X86_CR4_PAE) : !!(cr4 & X86_CR4_PCIDE))
		return false;
	if (!canonical(vcpu, cr4, get(n, GUEST_SYSENTER_ESP)) ||
	    !canonical(vcpu, cr4, get(n, GUEST_SYSENTER_EIP)))
		return false;
	if ((entry & VM_ENTRY_LOAD_IA32_PAT) && !pat_valid(get(n, GUEST_IA32_PAT)))
		return false;
	return !(entry & VM_ENTRY_LOAD_IA32_EFER) ||
	       efer_valid(vcpu, get(n, GUEST_IA32_EFER), ia32e, true);
}

static bool guest_segments_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	bool ia32e = get(n, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;
	u64 cr4 = get(n, GUEST_CR4);
	struct vmx_seg segs[VCPU_NR_SEGS];
	int i;

	for (i = 0; i < VCPU_NR_SEGS; i++) {
		const struct vmx_seg_fields *f = &vmx_seg_fields[i];

		segs[i] = (struct vmx_seg) {
			.selector = get(n, f->selector), .base = get(n, f->base),
			.limit = get(n, f->limit), .ar = get(n, f->ar),
		};
	}
	if (!vmx_segs_valid(segs, get(n, GUEST_RFLAGS) & X86_EFLAGS_VM, ia32e))
		return false;
	if (!canonical(vcpu, cr4, segs[VCPU_SEG_FS].base) ||
	    !canonical(vcpu, cr4, segs[VCPU_SEG_GS].base) ||
	    !canonical(vcpu, cr4, segs[VCPU_SEG_TR].base))
		return false;
	if (!(segs[VCPU_SEG_LDTR].ar & VMX_AR_UNUSABLE_MASK) &&
	    !canonical(vcpu, cr4, segs[VCPU_SEG_LDTR].base))
		return false;
	return canonical(vcpu, cr4, get(n, GUEST_GDTR_BASE)) &&
	       canonical(vcpu, cr4, get(n, GUEST_IDTR_BASE)) &&
	       !(get(n, GUEST_GDTR_LIMIT) >> 16) && !(get(n, GUEST_IDTR_LIMIT) >> 16);
}

static bool guest_rip_rflags_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 rip = get(n, GUEST_RIP), rflags = get(n, GUEST_RFLAGS);
	bool ia32e = get(n, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;
	u32 info = get(n, VM_ENTRY_INTR_INFO_FIELD);

	if (ia32e && (get(n, GUEST_CS_AR_BYTES) & VMX_AR_L_MASK)) {
		if (!canonical(vcpu, get(n, GUEST_CR4), rip))
			return false;
	} else if (rip >> 32) {
		return false;
	}
	if ((rflags & RFLAGS_RESERVED) || !(rflags & X86_EFLAGS_FIXED))
		return false;
	if ((rflags & X86_EFLAGS_VM) && ia32e)
		return false;
	/* an external interrupt that is injected */
	return (info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) !=
	       (INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR) || (rflags & X86_EFLAGS_IF);
}

static bool blocking_valid(const struct vmx_nested *n)
{
	u32 blocked = get(n, GUEST_INTERRUPTIBILITY_INFO), activity = get(n, GUEST_ACTIVITY_STATE);
	u32 info = get(n, VM_ENTRY_INTR_INFO_FIELD), type = info & INTR_INFO_INTR_TYPE_MASK;
	const u32 shadow = GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS;
	u64 rflags = get(n, GUEST_RFLAGS), dbg = get(n, GUEST_PENDING_DBG_EXCEPTIONS);
	bool stepping;

	if (blocked & ~(shadow | GUEST_INTR_STATE_NMI) || (blocked & shadow) == shadow)
		return false;
	if ((blocked & GUEST_INTR_STATE_STI) && !(rflags & X86_EFLAGS_IF))
		return false;
	if (info & INTR_INFO_VALID_MASK) {
		if (type == INTR_TYPE_EXT_INTR && (blocked & shadow))
			return false;
		if (type == INTR_TYPE_NMI_INTR &&
		    ((blocked & shadow) || (vmx_l1_pin(n, PIN_BASED_VIRTUAL_NMIS) &&
					    (blocked & GUEST_INTR_STATE_NMI))))
			return false;
	}
	if (activity > GUEST_ACTIVITY_HLT ||
	    (activity && !(vmx_nested_cap(n, MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_HLT)))
		return false;
	if (activity == GUEST_ACTIVITY_HLT) {
		if ((blocked & shadow) || VMX_AR_DPL(get(n, GUEST_SS_AR_BYTES)))
			return false;
		if ((info & INTR_INFO_VALID_MASK) && type != INTR_TYPE_EXT_INTR &&
		    type != INTR_TYPE_NMI_INTR &&
		    !(type == INTR_TYPE_HARD_EXCEPTION &&
		      ((info & INTR_INFO_VECTOR_MASK) == X86_TRAP_DB ||
		       (info & INTR_INFO_VECTOR_MASK) == X86_TRAP_MC)))
			return false;
	}
	if (dbg & ~DBG_PENDING_VALID)
		return false;
	if (!(blocked & shadow) && activity != GUEST_ACTIVITY_HLT)
		return true;
	/* IA32_DEBUGCTL.BTF is never set */
	stepping = rflags & X86_EFLAGS_TF;
	return stepping == !!(dbg & DBG_PENDING_BS);
}

/* None, or that of a shadow VMCS if they are in use */
static bool link_pointer_valid(struct kvm_vcpu *vcpu)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;
	bool shadowing = vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_SHADOW_VMCS;
	u64 link = get(n, VMCS_LINK_POINTER);
	u32 revision;

	if (link == VMX_NO_PTR)
		return true;
	return address_valid(vcpu, link, PAGE_SIZE) &&
	       !kvm_vcpu_read_guest(vcpu, link, &revision, sizeof(revision)) &&
	       revision == (VMCS12_REVISION | (shadowing ? VMCS12_SHADOW : 0));
}

/**
 * vmx_check_vmcs12_guest() - the checks of the guest's state
 * @vcpu: the vCPU, in L1; vmx_check_vmcs12() found nothing
 * @qualification: for the exit, when there is something
 *
 * The page directory pointers of PAE are checked as they are loaded.
 *
 * Return: false: the entry fails with exit reason 33.
 */
bool vmx_check_vmcs12_guest(struct kvm_vcpu *vcpu, u64 *qualification)
{
	const struct vmx_nested *n = to_vmx(vcpu)->nested;

	*qualification = FAIL_DEFAULT;
	if (!guest_control_regs_valid(vcpu) || !guest_segments_valid(vcpu) ||
	    !guest_rip_rflags_valid(vcpu) || !blocking_valid(n))
		return false;
	*qualification = FAIL_LINK_POINTER;
	return link_pointer_valid(vcpu);
}
