/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts of devices that go to a guest by themselves: the manager that brings
 * their producers and consumers together (irqbypass.ko), whose tokens became
 * eventfds, and what Intel's IOMMU is given, whose name changed.
 */
#ifndef KVM_OOT_BYPASS_H
#define KVM_OOT_BYPASS_H

#include <linux/irqbypass.h>
#include <asm/irq_remapping.h>

static inline int kvm_bypass_register(struct irq_bypass_consumer *consumer,
				      struct eventfd_ctx *ctx)
{
#ifdef KVM_HAVE_BYPASS_EVENTFD
	return irq_bypass_register_consumer(consumer, ctx);
#else
	consumer->token = ctx;
	return irq_bypass_register_consumer(consumer);
#endif
}

static inline int kvm_bypass_register_producer(struct irq_bypass_producer *producer,
					       struct eventfd_ctx *ctx, int irq)
{
#ifdef KVM_HAVE_BYPASS_EVENTFD
	return irq_bypass_register_producer(producer, ctx, irq);
#else
	producer->token = ctx;
	producer->irq = irq;
	return irq_bypass_register_producer(producer);
#endif
}

#ifdef KVM_HAVE_INTEL_PI_DATA
#define KVM_INTEL_PI_DATA_T	struct intel_iommu_pi_data
#else
#define KVM_INTEL_PI_DATA_T	struct vcpu_data
#endif

#endif /* KVM_OOT_BYPASS_H */
