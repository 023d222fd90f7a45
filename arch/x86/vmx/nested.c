// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX for guests: not yet.
 */
#include <asm/trapnr.h>

#include "arch/x86/vmx/vmx.h"

int vmx_virt_insn(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}

bool vmx_nested_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return false;
}

enum kvm_nested_answer vmx_nested_event(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					bool take)
{
	return KVM_NESTED_L2;
}

bool vmx_nested_insn(struct kvm_vcpu *vcpu, const struct x86_emul *e)
{
	return false;
}

void vmx_nested_leave(struct kvm_vcpu *vcpu)
{
}

int vmx_nested_pages(struct kvm_vcpu *vcpu)
{
	return 0;
}

void vmx_nested_smi(struct kvm_vcpu *vcpu)
{
}

bool vmx_nested_rsm(struct kvm_vcpu *vcpu)
{
	return true;
}

int vmx_get_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user, u32 size)
{
	return -EINVAL;
}

int vmx_set_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *hdr)
{
	return -EINVAL;
}
