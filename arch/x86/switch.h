/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What both backends do on the way into a guest and back: the general registers,
 * and the MSRs that host and guest both use and that neither VMRUN nor VM entry
 * switches (SPEC_CTRL, TSC_AUX). For C; entry.S has the same from switch_macros.S.
 */
#ifndef KVM_OOT_SWITCH_H
#define KVM_OOT_SWITCH_H

/* struct kvm_switch as entry.S sees it; checked in switch.c */
#define KVM_SWITCH_REGS		0
#define KVM_SWITCH_HOST_SPEC	8
#define KVM_SWITCH_GUEST_SPEC	16
#define KVM_SWITCH_FLAGS	24
#define KVM_SWITCH_SIZE		32	/* what a backend adds begins here */

#define KVM_SWITCH_SPEC		1	/* SPEC_CTRL differs between host and guest */
#define KVM_SWITCH_READ_SPEC	2	/* the guest writes SPEC_CTRL unseen */
#define KVM_SWITCH_BACKEND_BIT	2	/* the first bit that is the backend's */

#ifndef __ASSEMBLER__

#include "arch/x86/kvm_x86.h"
#include <asm/spec-ctrl.h>

/**
 * struct kvm_switch - what entry.S needs; offsets are KVM_SWITCH_*
 * @regs: vcpu->arch.regs
 * @host_spec: host's SPEC_CTRL
 * @guest_spec: guest's SPEC_CTRL, in and out
 * @flags: KVM_SWITCH_SPEC, KVM_SWITCH_READ_SPEC, the backend's
 */
struct kvm_switch {
	unsigned long *regs;
	u64 host_spec;
	u64 guest_spec;
	u32 flags;
};

DECLARE_PER_CPU(u32, kvm_host_tsc_aux);
extern u64 kvm_spec_ctrl_bits;

void kvm_switch_backend_init(void);
void kvm_switch_cpuid_changed(struct kvm_vcpu *vcpu);
int kvm_switch_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int kvm_switch_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
void kvm_open_msr(struct kvm_vcpu *vcpu, u32 index, bool read, bool write,
		  void (*open)(struct kvm_vcpu *vcpu, u32 index, bool write));
void kvm_open_msrs(struct kvm_vcpu *vcpu, const u32 *own, unsigned int nr,
		   void (*open)(struct kvm_vcpu *vcpu, u32 index, bool write));

/* before an entry; interrupts off */
static inline void kvm_switch_prepare(struct kvm_vcpu *vcpu, struct kvm_switch *sw)
{
	u32 aux = vcpu->arch.tsc_aux;

	if (vcpu->arch.tsc_aux_used && vcpu->arch.hw_tsc_aux != aux) {
		wrmsrq(MSR_TSC_AUX, aux);
		vcpu->arch.hw_tsc_aux = aux;
	}
	sw->flags &= ~(KVM_SWITCH_SPEC | KVM_SWITCH_READ_SPEC);
	if (!kvm_spec_ctrl_bits || kvm_be.virtual_spec_ctrl)
		return;
	sw->flags |= KVM_SWITCH_SPEC;
	if (vcpu->arch.spec_ctrl_direct)
		sw->flags |= KVM_SWITCH_READ_SPEC;
	sw->host_spec = this_cpu_read(x86_spec_ctrl_current);
	sw->guest_spec = vcpu->arch.spec_ctrl;
}

/* after it; interrupts off */
static inline void kvm_switch_finish(struct kvm_vcpu *vcpu, struct kvm_switch *sw)
{
	if (sw->flags & KVM_SWITCH_SPEC)
		vcpu->arch.spec_ctrl = sw->guest_spec;
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	/* VMSCAPE: the VMM must not use branch predictions made by the guest */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

#endif /* __ASSEMBLER__ */
#endif /* KVM_OOT_SWITCH_H */
