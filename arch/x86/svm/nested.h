/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SVM for guests: what the files nested*.c share. The essay is in nested.c.
 */
#ifndef KVM_OOT_SVM_NESTED_H
#define KVM_OOT_SVM_NESTED_H

#include "arch/x86/svm/svm.h"

#define MSRPM_BYTES		(PAGE_SIZE << SVM_MSRPM_ORDER)

static inline struct vmcb_control_area *l1_control(const struct svm_vcpu *svm)
{
	return &svm->nested->vmcb12->control;
}

static inline bool l1_intercepts(const struct svm_vcpu *svm, unsigned int bit)
{
	return svm_test_bit(l1_control(svm), bit);
}

/* ES, CS, SS, DS, GDTR and IDTR: which both VMRUN and #VMEXIT load */
static inline void svm_copy_segments(struct vmcb_save_area *to, const struct vmcb_save_area *from)
{
	to->es = from->es;
	to->cs = from->cs;
	to->ss = from->ss;
	to->ds = from->ds;
	to->gdtr = from->gdtr;
	to->idtr = from->idtr;
}

/* nested.c */
int svm_nested_alloc(struct svm_vcpu *svm);
void svm_nested_carry_over(struct vmcb_save_area *to, const struct vmcb_save_area *from);
void svm_nested_control(struct svm_vcpu *svm);
u32 svm_nested_int_ctl(const struct svm_vcpu *svm);
void svm_nested_begin(struct svm_vcpu *svm);
void svm_nested_inject(struct kvm_vcpu *vcpu, const struct vmcb_control_area *c);
int svm_nested_vmrun(struct svm_vcpu *svm, struct kvm_exit *exit, gpa_t gpa);
void svm_nested_vmexit(struct svm_vcpu *svm, u64 code, u64 info1, u64 info2, u64 next_rip);

/* nested_exit.c */
int svm_nested_no_memory(struct kvm_vcpu *vcpu);

/* nested_state.c */
u64 svm_nested_efer_of(const struct vmcb_save_area *s);
void svm_nested_sanitize(struct vmcb *vmcb12);
bool svm_nested_control_valid(struct kvm_vcpu *vcpu, const struct vmcb *vmcb);
bool svm_nested_save_valid(struct kvm_vcpu *vcpu, const struct vmcb_save_area *s);

#endif /* KVM_OOT_SVM_NESTED_H */
