// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMX that guests are told they have: the capability MSRs (Intel SDM vol. 3, appendix
 * A), computed once from what is carried out here and what the CPU can do of it.
 *
 * A vCPU has a copy, which user space may restrict: offer less, or insist on more. The
 * checks of a VM entry go by the copy.
 *
 * Not offered: EPT, VPID and unrestricted guest; everything that virtualizes an APIC; the
 * preemption timer; the dual-monitor treatment of SMM; VM functions, and
 * what belongs to features that guests do not have.
 */
#include <asm/msr.h>

#include "arch/x86/vmx/nested.h"

/* what must be one, unless the "true" MSRs say otherwise: appendix A.2 */
#define PIN_DEFAULT1	0x16u
#define CPU_DEFAULT1	0x0401e172u
#define EXIT_DEFAULT1	0x00036dffu
#define ENTRY_DEFAULT1	0x000011ffu

#define CPU_OFFERED	(CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_USE_TSC_OFFSETTING |	\
			 CPU_BASED_HLT_EXITING | CPU_BASED_INVLPG_EXITING |		\
			 CPU_BASED_MWAIT_EXITING | CPU_BASED_RDPMC_EXITING |		\
			 CPU_BASED_RDTSC_EXITING | CPU_BASED_CR3_LOAD_EXITING |		\
			 CPU_BASED_CR3_STORE_EXITING | CPU_BASED_CR8_LOAD_EXITING |	\
			 CPU_BASED_CR8_STORE_EXITING | CPU_BASED_NMI_WINDOW_EXITING |	\
			 CPU_BASED_MOV_DR_EXITING | CPU_BASED_UNCOND_IO_EXITING |	\
			 CPU_BASED_USE_IO_BITMAPS | CPU_BASED_USE_MSR_BITMAPS |		\
			 CPU_BASED_MONITOR_EXITING | CPU_BASED_PAUSE_EXITING |		\
			 CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
/* carried out by other means than the control itself */
#define CPU_SOFTWARE	CPU_BASED_USE_IO_BITMAPS
#define CPU2_OFFERED	(SECONDARY_EXEC_DESC | SECONDARY_EXEC_ENABLE_RDTSCP |	\
			 SECONDARY_EXEC_WBINVD_EXITING | SECONDARY_EXEC_ENABLE_INVPCID)
/* VMREAD and VMWRITE of L2 exit, and are carried out here: nested_insn.c */
#define CPU2_SOFTWARE	SECONDARY_EXEC_SHADOW_VMCS
#define EXIT_OFFERED	(VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_ACK_INTR_ON_EXIT |	\
			 VM_EXIT_SAVE_IA32_PAT | VM_EXIT_LOAD_IA32_PAT |		\
			 VM_EXIT_SAVE_IA32_EFER | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY_OFFERED	(VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)

#define BASIC_INOUT	BIT_ULL(54)	/* instruction information of INS and OUTS */
#define BASIC_TRUE	BIT_ULL(55)
/* a single bit: there are so many, or none, which is what QEMU wants */
#define MISC_CR3_TARGETS	(4ull << 16)
#define CR0_FIXED	(X86_CR0_PE | X86_CR0_NE | X86_CR0_PG)

#define SLOT(msr)	((msr) - VMX_FIRST_CAP_MSR)

static u64 offered[VMX_NR_CAP_MSRS] __ro_after_init;

static u64 controls(u32 ones, u32 may)
{
	return ones | (u64)(ones | may) << 32;
}

/**
 * vmx_nested_caps_init() - compute what is offered; once, when the features are known
 */
void __init vmx_nested_caps_init(void)
{
	u32 pin = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING, cpu = CPU_OFFERED;
	u64 basic, hw;

	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	rdmsrq(basic & BASIC_TRUE ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS :
				    MSR_IA32_VMX_PROCBASED_CTLS, hw);
	cpu &= ((u32)(hw >> 32) & ~vmx_hide_controls[1]) | CPU_SOFTWARE;
	if (vmx_feat.vnmi)
		pin |= PIN_BASED_VIRTUAL_NMIS;
	else
		cpu &= ~CPU_BASED_NMI_WINDOW_EXITING;

	offered[SLOT(MSR_IA32_VMX_BASIC)] = VMCS12_REVISION | BASIC_TRUE | BASIC_INOUT |
		(u64)PAGE_SIZE << 32 | 6ull << 50;
	offered[SLOT(MSR_IA32_VMX_TRUE_PINBASED_CTLS)] = controls(PIN_DEFAULT1, pin);
	offered[SLOT(MSR_IA32_VMX_TRUE_PROCBASED_CTLS)] =
		controls(CPU_DEFAULT1 & ~(CPU_BASED_CR3_LOAD_EXITING |
					  CPU_BASED_CR3_STORE_EXITING), cpu);
	offered[SLOT(MSR_IA32_VMX_PROCBASED_CTLS2)] =
		controls(0, (CPU2_OFFERED & vmx_caps.cpu2) | CPU2_SOFTWARE |
			 (vmx_feat.tsc_scaling ? SECONDARY_EXEC_TSC_SCALING : 0));
	offered[SLOT(MSR_IA32_VMX_TRUE_EXIT_CTLS)] =
		controls(EXIT_DEFAULT1 & ~VM_EXIT_SAVE_DEBUG_CONTROLS,
			 EXIT_OFFERED | VM_EXIT_SAVE_DEBUG_CONTROLS);
	offered[SLOT(MSR_IA32_VMX_TRUE_ENTRY_CTLS)] =
		controls(ENTRY_DEFAULT1 & ~VM_ENTRY_LOAD_DEBUG_CONTROLS,
			 ENTRY_OFFERED | VM_ENTRY_LOAD_DEBUG_CONTROLS);
	offered[SLOT(MSR_IA32_VMX_MISC)] = VMX_MISC_SAVE_EFER_LMA | VMX_MISC_ACTIVITY_HLT |
					   MISC_CR3_TARGETS;
	offered[SLOT(MSR_IA32_VMX_CR0_FIXED0)] = CR0_FIXED;
	offered[SLOT(MSR_IA32_VMX_CR0_FIXED1)] = U32_MAX;
	offered[SLOT(MSR_IA32_VMX_CR4_FIXED0)] = X86_CR4_VMXE;
	rdmsrq(MSR_IA32_VMX_CR4_FIXED1, offered[SLOT(MSR_IA32_VMX_CR4_FIXED1)]);
	if (vmx_feat.umip_by_exits)
		offered[SLOT(MSR_IA32_VMX_CR4_FIXED1)] |= X86_CR4_UMIP;
	offered[SLOT(MSR_IA32_VMX_VMCS_ENUM)] = vmcs12_highest_index() << 1;
}

/**
 * vmx_nested_caps_reset() - a new vCPU has all that is offered
 * @n: its state
 */
void vmx_nested_caps_reset(struct vmx_nested *n)
{
	memcpy(n->caps, offered, sizeof(offered));
}

/* The older MSRs are those with more that must be one; 0 for others. */
static u32 true_msr(u32 index, u32 *ones)
{
	switch (index) {
	case MSR_IA32_VMX_PINBASED_CTLS:
		*ones = PIN_DEFAULT1;
		return MSR_IA32_VMX_TRUE_PINBASED_CTLS;
	case MSR_IA32_VMX_PROCBASED_CTLS:
		*ones = CPU_DEFAULT1;
		return MSR_IA32_VMX_TRUE_PROCBASED_CTLS;
	case MSR_IA32_VMX_EXIT_CTLS:
		*ones = EXIT_DEFAULT1;
		return MSR_IA32_VMX_TRUE_EXIT_CTLS;
	case MSR_IA32_VMX_ENTRY_CTLS:
		*ones = ENTRY_DEFAULT1;
		return MSR_IA32_VMX_TRUE_ENTRY_CTLS;
	default:
		return 0;
	}
}

/* EPT, VPID and VM functions are not there, and with them neither are these */
static bool exists(u32 index)
{
	return index != MSR_IA32_VMX_EPT_VPID_CAP && index != MSR_IA32_VMX_VMFUNC;
}

static u64 value(const u64 *caps, u32 index)
{
	u32 ones, true_index = true_msr(index, &ones);

	return true_index ? caps[SLOT(true_index)] | ones : caps[SLOT(index)];
}

/**
 * vmx_nested_get_cap() - RDMSR of a capability MSR
 * @v: the vCPU, loaded
 * @msr: index, in the range; value is filled
 *
 * Return: 0; 1 for #GP; KVM_MSR_RET_INVALID where guests have no VMX.
 */
int vmx_nested_get_cap(struct vmx_vcpu *v, struct kvm_msr_data *msr)
{
	if (!v->nested)
		return KVM_MSR_RET_INVALID;
	if (!msr->host_initiated &&
	    (!guest_has(v->vcpu, X86_FEATURE_VMX) || !exists(msr->index)))
		return 1;
	msr->data = value(v->nested->caps, msr->index);
	/* bits that MOV to CR4 takes */
	if (msr->index == MSR_IA32_VMX_CR4_FIXED1 && !msr->host_initiated)
		msr->data &= ~v->vcpu->arch.cpuid.cr4_reserved_bits;
	return 0;
}

/* bits of the MSR that tell of something being there: each may be taken away */
static u64 droppable(u32 index)
{
	switch (index) {
	case MSR_IA32_VMX_BASIC:
		return BASIC_INOUT | BASIC_TRUE;
	case MSR_IA32_VMX_MISC:
		return VMX_MISC_SAVE_EFER_LMA | VMX_MISC_ACTIVITY_HLT | MISC_CR3_TARGETS;
	case MSR_IA32_VMX_CR0_FIXED1:
	case MSR_IA32_VMX_CR4_FIXED1:
		return ~0ull;
	default:
		return 0;
	}
}

static bool acceptable(u32 index, u64 data)
{
	u64 most = value(offered, index);

	switch (index) {
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
	case MSR_IA32_VMX_TRUE_EXIT_CTLS:
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
	case MSR_IA32_VMX_PROCBASED_CTLS2:
		/* no fewer that must be one, no more that may be */
		return !((u32)most & ~(u32)data) && !(data >> 32 & ~(most >> 32));
	case MSR_IA32_VMX_VMCS_ENUM:
		return true;
	default:
		return !(data & ~most) && !((data ^ most) & ~droppable(index));
	}
}

/**
 * vmx_nested_set_cap() - user space restricts a capability MSR
 * @v: the vCPU, loaded
 * @msr: index, in the range, and value
 *
 * Return: 0; 1 for what is not offered, for a guest's WRMSR, and in VMX operation;
 * KVM_MSR_RET_INVALID where guests have no VMX.
 */
int vmx_nested_set_cap(struct vmx_vcpu *v, const struct kvm_msr_data *msr)
{
	struct vmx_nested *n = v->nested;
	u32 ones;

	if (!n)
		return KVM_MSR_RET_INVALID;
	if (!msr->host_initiated)
		return 1;
	if (msr->data == value(n->caps, msr->index))
		return 0;
	/* the older ones follow from the newer */
	if (n->vmxon || n->smm_vmxon || true_msr(msr->index, &ones) ||
	    !acceptable(msr->index, msr->data))
		return 1;
	n->caps[SLOT(msr->index)] = msr->data;
	return 0;
}

/**
 * vmx_nested_feature_msr() - KVM_GET_MSRS of /dev/kvm
 * @index: MSR
 * @data: filled
 *
 * Return: 0; KVM_MSR_RET_INVALID for others, and when no guest has VMX.
 */
int vmx_nested_feature_msr(u32 index, u64 *data)
{
	if (!kvm_be.nested || index < VMX_FIRST_CAP_MSR || index > VMX_LAST_CAP_MSR)
		return KVM_MSR_RET_INVALID;
	*data = value(offered, index);
	return 0;
}
