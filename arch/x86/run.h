/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between main.c, run.c, exits.c, events.c, emul_glue.c and io.c.
 */
#ifndef KVM_OOT_RUN_H
#define KVM_OOT_RUN_H

#include "arch/x86/kvm_x86.h"

/* bits of vcpu->arch.pending_sipi */
#define KVM_PENDING_INIT	0
#define KVM_PENDING_SIPI	1

/* DR7.GD: general detect, any access to a debug register traps */
#define KVM_DR7_GD	BIT(13)

#ifndef KVM_GUESTDBG_VALID_MASK
#define KVM_GUESTDBG_VALID_MASK						\
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |		\
	 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_USE_SW_BP |		\
	 KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_INJECT_DB |		\
	 KVM_GUESTDBG_BLOCKIRQ)
#endif

int kvm_x86_module_init(void);
void kvm_x86_module_exit(void);

int kvm_run_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_run_vcpu_free(struct kvm_vcpu *vcpu);

static inline bool kvm_quirk(struct kvm *kvm, u64 quirk)
{
	return !(READ_ONCE(kvm->arch.disabled_quirks) & quirk);
}

static inline bool kvm_exit_disabled(struct kvm *kvm, u64 which)
{
	return kvm->arch.disabled_exits & which;
}

/* exits.c */
int kvm_debug_exit(struct kvm_vcpu *vcpu, unsigned long dr6);
int kvm_after_insn(struct kvm_vcpu *vcpu, unsigned long rflags);
bool kvm_exit_fastpath(struct kvm_vcpu *vcpu, struct kvm_exit *exit);

/* events.c */
void kvm_deliver_exception_payload(struct kvm_vcpu *vcpu);
void kvm_process_nmi(struct kvm_vcpu *vcpu);
u32 kvm_exceptions_to_intercept(struct kvm_vcpu *vcpu);

/* emul_glue.c */
int kvm_emulate_task_switch(struct kvm_vcpu *vcpu, struct kvm_exit *exit);

/* io.c: MMIO as the emulator asks for it; returns X86_EMUL_* */
int kvm_mmio_exit(struct kvm_vcpu *vcpu);
int kvm_emul_mmio(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, void *val,
		  bool write);

#endif /* KVM_OOT_RUN_H */
