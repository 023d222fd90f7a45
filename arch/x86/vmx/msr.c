// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel's MSRs, the map of those that a guest reaches without an exit, and the
 * TSC fields of the VMCS (Intel SDM vol. 3, 25.6.9, 26.3; vol. 4).
 */
#include <linux/math64.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/spec-ctrl.h>

#include "arch/x86/run.h"
#include "arch/x86/vmx/nested.h"

/* Switched with the guest: its own, unless a filter says no. */
static const u32 direct[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* How long the core was in which C-state: KVM_X86_DISABLE_EXITS_CSTATE; no package's */
static const u32 cstate_residency[] = {
	MSR_CORE_C1_RES, MSR_CORE_C3_RESIDENCY, MSR_CORE_C6_RESIDENCY, MSR_CORE_C7_RESIDENCY,
};

/* Bit of the map for reads of an MSR, -1 when it is in neither range; writes: 0x800 bytes on. */
static int map_bit(u32 index)
{
	if (index < 0x2000)
		return index;
	if (index >= 0xc0000000 && index < 0xc0002000)
		return 0x400 * 8 + (index - 0xc0000000);
	return -1;
}

/**
 * vmx_open_msr() - let the guest reach an MSR without an exit
 * @vcpu: the vCPU
 * @index: MSR
 * @write: by WRMSR; else by RDMSR
 */
void vmx_open_msr(struct kvm_vcpu *vcpu, u32 index, bool write)
{
	int bit = map_bit(index);

	if (bit >= 0)
		__clear_bit(bit + (write ? 0x800 * 8 : 0), to_vmx(vcpu)->msr_bitmap);
}

/**
 * vmx_update_msr_map() - which MSRs the guest reaches by itself
 * @vcpu: the vCPU, loaded
 */
void vmx_update_msr_map(struct kvm_vcpu *vcpu)
{
	unsigned int i;
	int idx;

	memset(to_vmx(vcpu)->msr_bitmap, 0xff, PAGE_SIZE);
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	kvm_open_msrs(vcpu, direct, ARRAY_SIZE(direct), vmx_open_msr);
	vmx_open_apic_msrs(to_vmx(vcpu));
	/* one that this CPU does not have is #GP by itself */
	if (kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_CSTATE))
		for (i = 0; i < ARRAY_SIZE(cstate_residency); i++)
			kvm_open_msr(vcpu, cstate_residency[i], true, false, vmx_open_msr);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	if (unlikely(vcpu->arch.guest_mode))
		vmx_nested_merge_msrs(to_vmx(vcpu));
}

static int syscall_slot(u32 index)
{
	int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		if (vmx_syscall_msrs[i] == index)
			return i;
	return -1;
}

/* The field of the VMCS that holds an MSR, 0: none */
static unsigned int field_of(u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
		return GUEST_FS_BASE;
	case MSR_GS_BASE:
		return GUEST_GS_BASE;
	case MSR_IA32_SYSENTER_CS:
		return GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return GUEST_SYSENTER_EIP;
	default:
		return 0;
	}
}

/*
 * What can be enabled is what a guest can have. The guest's firmware locks it, or its
 * kernel (SDM vol. 3, 24.7).
 */
static bool feature_control_valid(struct kvm_vcpu *vcpu, u64 data)
{
	u64 valid = FEAT_CTL_LOCKED;

	if (vcpu->arch.mcg_cap & MCG_LMCE_P)
		valid |= FEAT_CTL_LMCE_ENABLED;
	if (to_vmx(vcpu)->nested && guest_has(vcpu, X86_FEATURE_VMX))
		valid |= FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
	return !(data & ~valid);
}

/* IA32_MCG_EXT_CTL is there for a guest whose firmware has enabled it (SDM vol. 3, 15.3.1.5). */
static bool lmce_denied(struct vmx_vcpu *v, const struct kvm_msr_data *msr)
{
	return !msr->host_initiated && !(v->feature_control & FEAT_CTL_LMCE_ENABLED);
}

/**
 * vmx_get_msr() - RDMSR of what is Intel's
 * @vcpu: the vCPU, loaded
 * @msr: index; value is filled
 *
 * Return: 0, 1 for #GP, KVM_MSR_RET_INVALID for an MSR that is not known.
 */
int vmx_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	unsigned int field = field_of(msr->index);

	if (field) {
		msr->data = vmcs_read(field);
		return 0;
	}
	switch (msr->index) {
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_SYSCALL_MASK:
		msr->data = v->syscall_msr[syscall_slot(msr->index)];
		return 0;
	case MSR_CSTAR:
		msr->data = v->cstar;
		return 0;
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		if (v->host_saved)
			rdmsrq(MSR_KERNEL_GS_BASE, v->kernel_gs);
		msr->data = v->kernel_gs;
		preempt_enable();
		return 0;
	case MSR_IA32_FEAT_CTL:
		msr->data = v->feature_control;
		return 0;
	case MSR_IA32_MCG_EXT_CTL:
		if (lmce_denied(v, msr))
			return 1;
		msr->data = v->mcg_ext_ctl;
		return 0;
	case VMX_FIRST_CAP_MSR ... VMX_LAST_CAP_MSR:
		return vmx_nested_get_cap(v, msr);
	default:
		return KVM_MSR_RET_INVALID;
	}
}

static void set_syscall_msr(struct vmx_vcpu *v, u32 index, u64 data)
{
	int slot = syscall_slot(index);

	preempt_disable();
	v->syscall_msr[slot] = data;
	if (v->syscall_loaded)
		wrmsrq(index, data);
	preempt_enable();
}

/**
 * vmx_set_msr() - WRMSR of what is Intel's
 * @vcpu: the vCPU, loaded
 * @msr: index and value; an address is canonical
 *
 * Return: as vmx_get_msr().
 */
int vmx_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	unsigned int field = field_of(msr->index);

	/* virtual-8086 mode has the bases that belong to the selectors */
	if (unlikely(v->vm86) && (field == GUEST_FS_BASE || field == GUEST_GS_BASE)) {
		enum kvm_seg seg = field == GUEST_FS_BASE ? VCPU_SEG_FS : VCPU_SEG_GS;
		struct kvm_segment s;

		vmx_get_segment(vcpu, seg, &s);
		s.base = msr->data;
		vmx_set_segment(vcpu, seg, &s);
		return 0;
	}
	if (field) {
		vmcs_write(field, msr->index == MSR_IA32_SYSENTER_CS ? (u32)msr->data : msr->data);
		return 0;
	}
	switch (msr->index) {
	case MSR_STAR:
	case MSR_LSTAR:
		set_syscall_msr(v, msr->index, msr->data);
		return 0;
	case MSR_SYSCALL_MASK:
		/* the upper half is reserved, and would fault the host's WRMSR */
		if (msr->data >> 32)
			return 1;
		set_syscall_msr(v, msr->index, msr->data);
		return 0;
	case MSR_CSTAR:
		v->cstar = msr->data;
		return 0;
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		v->kernel_gs = msr->data;
		if (v->host_saved)
			wrmsrq(MSR_KERNEL_GS_BASE, msr->data);
		preempt_enable();
		return 0;
	case MSR_IA32_FEAT_CTL:
		if (!feature_control_valid(vcpu, msr->data) ||
		    (!msr->host_initiated && (v->feature_control & FEAT_CTL_LOCKED)))
			return 1;
		v->feature_control = msr->data;
		return 0;
	case MSR_IA32_MCG_EXT_CTL:
		if (lmce_denied(v, msr) || (msr->data & ~MCG_EXT_CTL_LMCE_EN))
			return 1;
		v->mcg_ext_ctl = msr->data;
		return 0;
	case VMX_FIRST_CAP_MSR ... VMX_LAST_CAP_MSR:
		return vmx_nested_set_cap(v, msr);
	default:
		return KVM_MSR_RET_INVALID;
	}
}

/**
 * vmx_get_feature_msr() - what the host says of itself through an MSR
 * @index: MSR
 * @data: filled
 *
 * Return: 0; KVM_MSR_RET_INVALID for all but the capabilities of nested VMX.
 */
int vmx_get_feature_msr(u32 index, u64 *data)
{
	return vmx_nested_feature_msr(index, data);
}

/**
 * vmx_write_tsc() - how the guest's TSC follows from the host's has changed
 * @vcpu: the vCPU, loaded
 */
void vmx_write_tsc(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u64 ratio = vcpu->arch.tsc_scaling_ratio ?: BIT_ULL(VMX_TSC_FRAC_BITS);
	u64 offset = vcpu->arch.tsc_offset, more = vcpu->arch.nested_tsc_ratio;

	/* L2's: that of L1, scaled and moved again */
	if (unlikely(more)) {
		ratio = mul_u64_u64_shr(ratio, more, VMX_TSC_FRAC_BITS) ?: 1;
		offset = (s64)offset < 0 ? -mul_u64_u64_shr(-offset, more, VMX_TSC_FRAC_BITS) :
					   mul_u64_u64_shr(offset, more, VMX_TSC_FRAC_BITS);
	}
	vmcs_write(TSC_OFFSET, offset + vcpu->arch.nested_tsc_offset);
	if (vmx_feat.tsc_scaling && v->tsc_ratio != ratio) {
		v->tsc_ratio = ratio;
		vmcs_write(TSC_MULTIPLIER, ratio);
	}
}
