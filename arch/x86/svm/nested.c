// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM for guests: not yet.
 */
#include <asm/trapnr.h>

#include "arch/x86/svm/svm.h"

int svm_virt_insn(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}

bool svm_nested_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return false;
}

enum kvm_nested_answer svm_nested_event(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					bool take)
{
	return KVM_NESTED_L2;
}

bool svm_nested_insn(struct kvm_vcpu *vcpu, const struct x86_emul *e)
{
	return false;
}

void svm_nested_leave(struct kvm_vcpu *vcpu)
{
}

int svm_nested_pages(struct kvm_vcpu *vcpu)
{
	return 0;
}

void svm_nested_smi(struct kvm_vcpu *vcpu)
{
}

bool svm_nested_rsm(struct kvm_vcpu *vcpu)
{
	return true;
}

int svm_get_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user, u32 size)
{
	return -EINVAL;
}

int svm_set_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *hdr)
{
	return -EINVAL;
}
