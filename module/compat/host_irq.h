/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A host interrupt that ended the guest and that the exit has acknowledged: its
 * handler has to run as if the interrupt came now. Newer kernels have a function
 * for it; with older ones the handler is the IDT's, which is given the frame that
 * the CPU would have pushed (host_irq.S).
 */
#ifndef KVM_OOT_HOST_IRQ_H
#define KVM_OOT_HOST_IRQ_H

#include <linux/cpumask.h>
#include <linux/types.h>
#include <linux/version.h>
#include <asm/apic.h>

#ifdef KVM_HAVE_ENTRY_FROM_KVM
#include <linux/entry-common.h>
#include <asm/trapnr.h>

static inline void kvm_host_irq(u8 vector)
{
	x86_entry_from_kvm(EVENT_TYPE_EXTINT, vector);
}
#else
#include <linux/linkage.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#ifdef CONFIG_X86_FRED
#include <asm/fred.h>
#endif

asmlinkage void kvm_call_irq_entry(unsigned long entry);

/* Interrupts are off, and still are when it returns. */
static inline void kvm_host_irq(u8 vector)
{
	struct desc_ptr idt;

#ifdef CONFIG_X86_FRED
	if (cpu_feature_enabled(X86_FEATURE_FRED)) {
		fred_entry_from_kvm(EVENT_TYPE_EXTINT, vector);
		return;
	}
#endif
	store_idt(&idt);
	kvm_call_irq_entry(gate_offset((gate_desc *)idt.address + vector));
}
#endif

/* An IPI with a vector of one's own choice. */
static inline void kvm_send_ipi(int cpu, int vector)
{
#if KERNEL_VERSION(6, 6, 0) > LINUX_VERSION_CODE
	apic->send_IPI_mask(cpumask_of(cpu), vector);
#else
	__apic_send_IPI_mask(cpumask_of(cpu), vector);
#endif
}

#endif /* KVM_OOT_HOST_IRQ_H */
