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

/* The vCPU that a route's message is for, if it can only be one and hardware can say so. */
static struct kvm_vcpu *only_target(struct kvm *kvm, const struct kvm_route *route, u8 *vector)
{
	struct kvm_lapic_irq irq;

	if (route->type != KVM_IRQ_ROUTING_MSI || !kvm_msi_valid(kvm, route))
		return NULL;
	kvm_msi_to_irq(kvm, route, &irq);
	/* the vectors below are errors, which hardware would not report */
	if (irq.trig_mode || irq.vector < 16 ||
	    (irq.delivery_mode != APIC_DM_FIXED && irq.delivery_mode != APIC_DM_LOWEST))
		return NULL;
	*vector = irq.vector;
	return kvm_irq_only_target(kvm, &irq);
}

/* Before the first is posted: vCPUs that sleep have to be told of it in another way. */
static void count_posting(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (atomic_inc_return(&kvm->arch.nr_posting) != 1)
		return;
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_vcpu_wake_up(vcpu);
}

/**
 * kvm_arch_can_bypass() - can hardware bring devices' interrupts to vCPUs by itself
 */
bool kvm_arch_can_bypass(void)
{
	return kvm_be.devices_post;
}

/**
 * kvm_arch_bypass_update() - have a device's interrupt go where its route says
 * @kvm: the VM
 * @b: the interrupt; the caller's lock guards it; changed
 * @route: the route, or NULL: to the host
 *
 * Callable with interrupts off. What hardware cannot do goes to the host.
 */
void kvm_arch_bypass_update(struct kvm *kvm, struct kvm_bypass *b, const struct kvm_route *route)
{
	u8 vector = 0;
	struct kvm_vcpu *vcpu = route ? only_target(kvm, route, &vector) : NULL;
	bool was = b->vcpu;

	if (vcpu == b->vcpu && (!vcpu || vector == b->vector))
		return;
	/* it is counted from before it is posted until it is not any more */
	if (!was)
		count_posting(kvm);
	if (vcpu && kvm_be_call(device_posts)(b->host_irq, vcpu, vector))
		vcpu = NULL;
	if (!vcpu) {
		if (was)
			kvm_be_call(device_posts)(b->host_irq, NULL, 0);
		atomic_dec(&kvm->arch.nr_posting);
	}
	b->vcpu = vcpu;
	b->vector = vector;
}

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
