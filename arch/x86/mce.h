/* SPDX-License-Identifier: GPL-2.0-only */
/* Machine checks of the guest; see mce.c. */
#ifndef KVM_OOT_MCE_H
#define KVM_OOT_MCE_H

#include <asm/mce.h>

#include "module/kvm_host.h"

struct kvm_msr_data;

u64 kvm_mce_cap_supported(void);
int kvm_mce_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int kvm_mce_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);

#endif /* KVM_OOT_MCE_H */
