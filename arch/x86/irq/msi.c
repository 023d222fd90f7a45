// SPDX-License-Identifier: GPL-2.0-only
/*
 * Message signalled interrupts: a write that a device makes to 0xfeeXXXXX is an
 * interrupt message (Intel SDM vol. 3, 11.11). Destinations wider than 8 bits
 * have their upper bits in the upper address word, as KVM_CAP_X2APIC_API says.
 */
#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/irq/msi.h"

#define MSI_ADDR_DEST		GENMASK(19, 12)
#define MSI_ADDR_REDIR_HINT	BIT(3)
#define MSI_ADDR_LOGICAL	BIT(2)
#define MSI_DATA_VECTOR		GENMASK(7, 0)
#define MSI_DATA_DELIVERY	GENMASK(10, 8)
#define MSI_DATA_LEVEL		BIT(15)

/**
 * kvm_msi_valid() - could this message be sent
 * @kvm: the VM
 * @e: route of type MSI
 */
bool kvm_msi_valid(struct kvm *kvm, const struct kvm_route *e)
{
	return !(kvm->arch.x2apic_format && (e->msi.address_hi & 0xff));
}

/**
 * kvm_msi_to_irq() - message that an MSI stands for
 * @kvm: the VM
 * @e: route of type MSI
 * @irq: filled
 */
void kvm_msi_to_irq(struct kvm *kvm, const struct kvm_route *e,
		    struct kvm_lapic_irq *irq)
{
	u32 addr = e->msi.address_lo, data = e->msi.data;

	*irq = (struct kvm_lapic_irq) {
		.vector = data & MSI_DATA_VECTOR,
		.delivery_mode = data & MSI_DATA_DELIVERY,
		.dest_mode = addr & MSI_ADDR_LOGICAL ? APIC_DEST_LOGICAL :
						       APIC_DEST_PHYSICAL,
		.level = true,
		.trig_mode = data & MSI_DATA_LEVEL ? 1 : 0,
		.dest_id = (addr & MSI_ADDR_DEST) >> 12,
		.msi_redir_hint = addr & MSI_ADDR_REDIR_HINT,
	};
	if (kvm->arch.x2apic_format)
		irq->dest_id |= e->msi.address_hi & ~0xffu;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_msi_to_irq);

/**
 * kvm_set_msi() - send it
 * @e: route of type MSI
 * @kvm: the VM
 * @source: not used: a message has no line
 * @level: 0 does nothing
 * @line_status: not used
 *
 * Return: how many CPUs took it, 0, or <0.
 */
int kvm_set_msi(struct kvm_route *e, struct kvm *kvm, int source, int level,
		bool line_status)
{
	struct kvm_lapic_irq irq;

	if (!kvm_msi_valid(kvm, e))
		return -EINVAL;
	if (!level)
		return -1;
	kvm_msi_to_irq(kvm, e, &irq);
	return kvm_irq_deliver(kvm, NULL, &irq);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_msi);
