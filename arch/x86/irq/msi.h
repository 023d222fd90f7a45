/* SPDX-License-Identifier: GPL-2.0-only */
/* Message signalled interrupts; see msi.c. */
#ifndef KVM_OOT_MSI_H
#define KVM_OOT_MSI_H

#include "module/kvm_host.h"

struct kvm_lapic_irq;

bool kvm_msi_valid(struct kvm *kvm, const struct kvm_route *e);
void kvm_msi_to_irq(struct kvm *kvm, const struct kvm_route *e,
		    struct kvm_lapic_irq *irq);

#endif /* KVM_OOT_MSI_H */
