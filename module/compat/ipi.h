/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An IPI with a vector of one's own choice: since 6.6 not through a pointer.
 */
#ifndef KVM_OOT_IPI_H
#define KVM_OOT_IPI_H

#include <linux/cpumask.h>
#include <linux/version.h>
#include <asm/apic.h>

static inline void kvm_send_ipi(int cpu, int vector)
{
#if KERNEL_VERSION(6, 6, 0) > LINUX_VERSION_CODE
	apic->send_IPI_mask(cpumask_of(cpu), vector);
#else
	__apic_send_IPI_mask(cpumask_of(cpu), vector);
#endif
}

#endif /* KVM_OOT_IPI_H */
