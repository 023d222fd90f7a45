// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD's MSRs, the map of those that a guest reaches without an exit, and the TSC
 * fields of the VMCB (AMD APM vol. 2, 15.11, 15.30, appendix A).
 */
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/spec-ctrl.h>

#include "arch/x86/svm/svm.h"

#ifndef MSR_AMD64_DE_CFG_LFENCE_SERIALIZE
#define MSR_AMD64_DE_CFG_LFENCE_SERIALIZE BIT_ULL(1)
#endif

/* In the VMCB and switched with it: the guest's own, unless a filter says no. */
static const u32 direct[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE,
	MSR_FS_BASE, MSR_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
};

/**
 * svm_msrpm_bit() - where an MSR is in a permission map, APM vol. 2, 15.11
 * @index: MSR
 *
 * Return: the bit for reads, behind which is the one for writes; -1 when it is in none of the
 * three ranges.
 */
int svm_msrpm_bit(u32 index)
{
	if (index < 0x2000)
		return index * 2;
	if (index >= 0xc0000000 && index < 0xc0002000)
		return 0x800 * 8 + (index - 0xc0000000) * 2;
	if (index >= 0xc0010000 && index < 0xc0012000)
		return 0x1000 * 8 + (index - 0xc0010000) * 2;
	return -1;
}

static void open_msr(struct kvm_vcpu *vcpu, u32 index, bool write)
{
	int bit = svm_msrpm_bit(index);

	if (bit >= 0)
		__clear_bit(bit + write, to_svm(vcpu)->msrpm);
}

/**
 * svm_update_msr_map() - which MSRs the guest reaches by itself
 * @vcpu: the vCPU
 */
void svm_update_msr_map(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int idx;

	memset(svm->msrpm, 0xff, PAGE_SIZE << SVM_MSRPM_ORDER);
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	kvm_open_msrs(vcpu, direct, ARRAY_SIZE(direct), open_msr);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	svm_mark_dirty(svm, SVM_CLEAN_PERM_MAP);
	/* L2's has to follow */
	if (unlikely(svm->nested))
		kvm_make_request(KVM_REQ_NESTED_PAGES, vcpu);
}

/**
 * svm_supported_de_cfg() - bits of DE_CFG that a guest's may have; after RESET it has none
 *
 * Return: that LFENCE serializes, if it does on this host.
 */
u64 svm_supported_de_cfg(void)
{
	return boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ?
		MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
}

static u64 *saved_msr(struct svm_vcpu *svm, u32 index)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	switch (index) {
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	default:
		return NULL;
	}
}

/**
 * svm_get_msr() - RDMSR of what is AMD's
 * @vcpu: the vCPU, loaded
 * @msr: index; value is filled
 *
 * Return: 0, 1 for #GP, KVM_MSR_RET_INVALID for an MSR that is not known.
 */
int svm_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *saved = saved_msr(svm, msr->index);

	if (saved) {
		msr->data = *saved;
		return 0;
	}
	switch (msr->index) {
	case MSR_AMD64_VIRT_SPEC_CTRL:
		if (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_VIRT_SSBD))
			return 1;
		msr->data = vcpu->arch.virt_spec_ctrl;
		return 0;
	case MSR_AMD64_DE_CFG:
		msr->data = svm->de_cfg;
		return 0;
	case MSR_VM_CR:
		msr->data = 0;
		return 0;
	case MSR_VM_HSAVE_PA:
		msr->data = svm->hsave_pa;
		return 0;
	default:
		return KVM_MSR_RET_INVALID;
	}
}

/**
 * svm_set_msr() - WRMSR of what is AMD's
 * @vcpu: the vCPU, loaded
 * @msr: index and value
 *
 * Return: as svm_get_msr().
 */
int svm_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *saved = saved_msr(svm, msr->index);

	if (saved) {
		*saved = msr->data;
		return 0;
	}
	switch (msr->index) {
	case MSR_AMD64_VIRT_SPEC_CTRL:
		if (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_VIRT_SSBD))
			return 1;
		if (msr->data & ~(u64)SPEC_CTRL_SSBD)
			return 1;
		vcpu->arch.virt_spec_ctrl = msr->data;
		return 0;
	case MSR_AMD64_DE_CFG:
		if (msr->data & ~svm_supported_de_cfg())
			return 1;
		svm->de_cfg = msr->data;
		return 0;
	case MSR_VM_CR:
		/* SVM cannot be locked, nor disabled for good */
		return (msr->host_initiated || guest_has(vcpu, X86_FEATURE_SVM)) && !msr->data ?
			0 : 1;
	case MSR_VM_HSAVE_PA:
		if (!svm_feat.nested ||
		    (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_SVM)))
			return msr->host_initiated && !msr->data ? 0 : 1;
		/* #GP only for what cannot be an address, as the page is never written */
		if (!IS_ALIGNED(msr->data, PAGE_SIZE) || !kvm_gpa_is_legal(vcpu, msr->data))
			return 1;
		svm->hsave_pa = msr->data;
		return 0;
	default:
		return KVM_MSR_RET_INVALID;
	}
}

/**
 * svm_get_feature_msr() - what the host says of itself through an MSR
 * @index: MSR
 * @data: filled
 *
 * Return: 0, or KVM_MSR_RET_INVALID.
 */
int svm_get_feature_msr(u32 index, u64 *data)
{
	if (index != MSR_AMD64_DE_CFG)
		return KVM_MSR_RET_INVALID;
	*data = svm_supported_de_cfg();
	return 0;
}

/**
 * svm_write_tsc() - how the guest's TSC follows from the host's has changed
 * @vcpu: the vCPU, loaded
 */
void svm_write_tsc(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc;

	svm->vmcb01->control.tsc_offset = vcpu->arch.tsc_offset;
	if (unlikely(svm->vmcb != svm->vmcb01))
		svm->vmcb->control.tsc_offset = vcpu->arch.tsc_offset +
						vcpu->arch.nested_tsc_offset;
	svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);

	svm->tsc_ratio = vcpu->arch.tsc_scaling_ratio ?: SVM_TSC_RATIO_ONE;
	if (!svm_feat.tsc_scaling)
		return;
	/* svm_prepare_switch() does it for the next load */
	preempt_disable();
	sc = this_cpu_ptr(&svm_cpu);
	if (svm->host_saved && sc->tsc_ratio != svm->tsc_ratio) {
		wrmsrq(MSR_AMD64_TSC_RATIO, svm->tsc_ratio);
		sc->tsc_ratio = svm->tsc_ratio;
	}
	preempt_enable();
}
