/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asynchronous page faults, see async_pf.c.
 */
#ifndef KVM_OOT_ASYNC_PF_H
#define KVM_OOT_ASYNC_PF_H

#include "module/kvm_host.h"

struct kvm_msr_data;

int kvm_apf_module_init(void);
void kvm_apf_module_exit(void);
int kvm_apf_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_apf_vcpu_free(struct kvm_vcpu *vcpu);
void kvm_apf_vcpu_reset(struct kvm_vcpu *vcpu);
/* the fault path: would another way than waiting do, and have it so */
bool kvm_apf_possible(struct kvm_vcpu *vcpu);
bool kvm_apf_begin(struct kvm_vcpu *vcpu, unsigned long hva, bool write);
void kvm_apf_ready(struct kvm_vcpu *vcpu);	/* KVM_REQ_APF_READY */
/* 0, 1, KVM_MSR_RET_INVALID */
int kvm_apf_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int kvm_apf_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);

#endif /* KVM_OOT_ASYNC_PF_H */
