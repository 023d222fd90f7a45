// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that host and guest both use and that neither VMRUN nor VM entry switches
 * by itself: SPEC_CTRL, PRED_CMD and TSC_AUX; and the list of MSRs that a guest
 * reaches without an exit.
 *
 * SPEC_CTRL and PRED_CMD (Intel SDM vol. 4, table 2-2; AMD's document "Indirect
 * Branch Control Extension") are intercepted until the guest uses them: a guest
 * that never does costs no RDMSR at each exit. TSC_AUX is the guest's from an entry
 * on and the host's again when the vCPU leaves the CPU: the kernel reads it in user
 * space only.
 */
#include <linux/export.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>

#include "arch/x86/run.h"
#include "arch/x86/switch.h"

static_assert(offsetof(struct kvm_switch, regs) == KVM_SWITCH_REGS);
static_assert(offsetof(struct kvm_switch, host_spec) == KVM_SWITCH_HOST_SPEC);
static_assert(offsetof(struct kvm_switch, guest_spec) == KVM_SWITCH_GUEST_SPEC);
static_assert(offsetof(struct kvm_switch, flags) == KVM_SWITCH_FLAGS);
static_assert(sizeof(struct kvm_switch) == KVM_SWITCH_SIZE);

/* the host's, read when the CPU was taken; set in main.c */
DEFINE_PER_CPU(u32, kvm_host_tsc_aux);
EXPORT_PER_CPU_SYMBOL_GPL(kvm_host_tsc_aux);

/* bits of SPEC_CTRL that this CPU has; 0: it has none */
u64 kvm_spec_ctrl_bits __read_mostly;
EXPORT_SYMBOL_GPL(kvm_spec_ctrl_bits);

/**
 * kvm_switch_backend_init() - find what the CPU has
 */
void kvm_switch_backend_init(void)
{
	kvm_spec_ctrl_bits = 0;
	if (boot_cpu_has(X86_FEATURE_SPEC_CTRL) || boot_cpu_has(X86_FEATURE_AMD_IBRS))
		kvm_spec_ctrl_bits |= SPEC_CTRL_IBRS;
	if (boot_cpu_has(X86_FEATURE_INTEL_STIBP) || boot_cpu_has(X86_FEATURE_AMD_STIBP))
		kvm_spec_ctrl_bits |= SPEC_CTRL_STIBP;
	if (boot_cpu_has(X86_FEATURE_SPEC_CTRL_SSBD) || boot_cpu_has(X86_FEATURE_AMD_SSBD))
		kvm_spec_ctrl_bits |= SPEC_CTRL_SSBD;
#ifdef X86_FEATURE_AMD_PSFD
	if (boot_cpu_has(X86_FEATURE_AMD_PSFD))
		kvm_spec_ctrl_bits |= BIT(7);	/* PSFD */
#endif
}

static bool has_spec_ctrl(struct kvm_vcpu *vcpu)
{
	return guest_has(vcpu, X86_FEATURE_SPEC_CTRL) ||
	       guest_has(vcpu, X86_FEATURE_INTEL_STIBP) ||
	       guest_has(vcpu, X86_FEATURE_SPEC_CTRL_SSBD) ||
	       guest_has(vcpu, X86_FEATURE_AMD_IBRS) ||
	       guest_has(vcpu, X86_FEATURE_AMD_STIBP) ||
	       guest_has(vcpu, X86_FEATURE_AMD_SSBD);
}

static bool has_pred_cmd(struct kvm_vcpu *vcpu)
{
	return guest_has(vcpu, X86_FEATURE_SPEC_CTRL) ||
	       guest_has(vcpu, X86_FEATURE_AMD_IBPB);
}

static bool has_tsc_aux(struct kvm_vcpu *vcpu, bool host)
{
	if (host)
		return kvm_be.has_tsc_aux;
	return guest_has(vcpu, X86_FEATURE_RDTSCP) || guest_has(vcpu, X86_FEATURE_RDPID);
}

/**
 * kvm_switch_cpuid_changed() - the guest's CPUID was set
 * @vcpu: the vCPU
 */
void kvm_switch_cpuid_changed(struct kvm_vcpu *vcpu)
{
	vcpu->arch.tsc_aux_used = kvm_be.has_tsc_aux && has_tsc_aux(vcpu, false);
}

/**
 * kvm_switch_get_msr() - RDMSR of one of them
 * @vcpu: the vCPU, loaded
 * @msr: index; value is filled
 *
 * Return: 0, 1 for #GP, KVM_MSR_RET_INVALID when it is none of them.
 */
int kvm_switch_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	switch (msr->index) {
	case MSR_TSC_AUX:
		if (!has_tsc_aux(vcpu, msr->host_initiated))
			return 1;
		msr->data = vcpu->arch.tsc_aux;
		return 0;
	case MSR_IA32_SPEC_CTRL:
		if (!kvm_spec_ctrl_bits || (!msr->host_initiated && !has_spec_ctrl(vcpu)))
			return 1;
		msr->data = vcpu->arch.spec_ctrl;
		return 0;
	default:
		return KVM_MSR_RET_INVALID;
	}
}

static int set_pred_cmd(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	if (!msr->host_initiated && !has_pred_cmd(vcpu))
		return 1;
	if ((msr->data & ~(u64)PRED_CMD_IBPB) || !boot_cpu_has(X86_FEATURE_IBPB))
		return 1;
	if (!msr->data)
		return 0;
	wrmsrq(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	if (!vcpu->arch.pred_cmd_direct) {
		vcpu->arch.pred_cmd_direct = true;
		kvm_be_call(update_config)(vcpu);
	}
	return 0;
}

static int set_spec_ctrl(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	if (!kvm_spec_ctrl_bits || (!msr->host_initiated && !has_spec_ctrl(vcpu)) ||
	    (msr->data & ~kvm_spec_ctrl_bits))
		return 1;
	vcpu->arch.spec_ctrl = msr->data;
	/* a guest that uses it does so often */
	if (msr->data && !vcpu->arch.spec_ctrl_direct) {
		vcpu->arch.spec_ctrl_direct = true;
		kvm_be_call(update_config)(vcpu);
	}
	return 0;
}

/**
 * kvm_switch_set_msr() - WRMSR of one of them
 * @vcpu: the vCPU, loaded
 * @msr: index and value
 *
 * Return: as kvm_switch_get_msr().
 */
int kvm_switch_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	switch (msr->index) {
	case MSR_TSC_AUX:
		if (!has_tsc_aux(vcpu, msr->host_initiated))
			return 1;
		vcpu->arch.tsc_aux = msr->data;
		return 0;
	case MSR_IA32_SPEC_CTRL:
		return set_spec_ctrl(vcpu, msr);
	case MSR_IA32_PRED_CMD:
		return set_pred_cmd(vcpu, msr);
	default:
		return KVM_MSR_RET_INVALID;
	}
}

/**
 * kvm_open_msr() - let a guest reach one MSR without an exit, unless a filter says no
 * @vcpu: the vCPU; kvm->srcu is held
 * @index: MSR
 * @read: by RDMSR
 * @write: by WRMSR
 * @open: called for each access that needs no exit
 */
void kvm_open_msr(struct kvm_vcpu *vcpu, u32 index, bool read, bool write,
		  void (*open)(struct kvm_vcpu *vcpu, u32 index, bool write))
{
	if (read && kvm_msr_allowed(vcpu, index, KVM_MSR_FILTER_READ))
		open(vcpu, index, false);
	if (write && kvm_msr_allowed(vcpu, index, KVM_MSR_FILTER_WRITE))
		open(vcpu, index, true);
}
EXPORT_SYMBOL_GPL(kvm_open_msr);

/**
 * kvm_open_msrs() - the MSRs that a guest reaches without an exit
 * @vcpu: the vCPU, loaded; kvm->srcu is held
 * @own: those that the hardware switches with the guest
 * @nr: how many
 * @open: called for each access that needs no exit and that no filter forbids
 */
void kvm_open_msrs(struct kvm_vcpu *vcpu, const u32 *own, unsigned int nr,
		   void (*open)(struct kvm_vcpu *vcpu, u32 index, bool write))
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		kvm_open_msr(vcpu, own[i], true, true, open);
	if (kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_APERFMPERF)) {
		kvm_open_msr(vcpu, MSR_IA32_APERF, true, false, open);
		kvm_open_msr(vcpu, MSR_IA32_MPERF, true, false, open);
	}
	/* user space may have set it for a guest that has none */
	if (vcpu->arch.spec_ctrl_direct && has_spec_ctrl(vcpu))
		kvm_open_msr(vcpu, MSR_IA32_SPEC_CTRL, true, true, open);
	if (vcpu->arch.pred_cmd_direct && has_pred_cmd(vcpu))
		kvm_open_msr(vcpu, MSR_IA32_PRED_CMD, false, true, open);
}
EXPORT_SYMBOL_GPL(kvm_open_msrs);
