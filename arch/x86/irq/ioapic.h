/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The I/O APIC; see ioapic.c.
 */
#ifndef KVM_OOT_IOAPIC_H
#define KVM_OOT_IOAPIC_H

#include <linux/workqueue.h>

#include "module/kvm_host.h"

#define KVM_IOAPIC_BASE		0xfec00000ull
#define KVM_IOAPIC_SIZE		0x100

/* a redirection entry */
#define IOAPIC_RTE_VECTOR	GENMASK_ULL(7, 0)
#define IOAPIC_RTE_DELIVERY	GENMASK_ULL(10, 8)
#define IOAPIC_RTE_LOGICAL	BIT_ULL(11)
#define IOAPIC_RTE_STATUS	BIT_ULL(12)
#define IOAPIC_RTE_POLARITY	BIT_ULL(13)
#define IOAPIC_RTE_REMOTE_IRR	BIT_ULL(14)
#define IOAPIC_RTE_LEVEL	BIT_ULL(15)
#define IOAPIC_RTE_MASKED	BIT_ULL(16)
#define IOAPIC_RTE_DEST_SHIFT	56

/**
 * struct kvm_ioapic - the chip
 * @dev: on the MMIO bus
 * @kvm: its VM
 * @lock: guards what follows; interrupts off, taken from irqfd
 * @base: guest physical address
 * @ioregsel: selected register
 * @id: its APIC id, bits 27:24 as in the register
 * @irr: pins that are asserted (level) or whose edge waits
 * @lines: for each pin, the interrupt sources that hold it up
 * @rte: redirection table
 * @eoi_count: EOIs of a level pin in a row that found it still asserted
 * @open_ticks: CPUs that have not ended the last tick of the real-time clock
 * @again: asserts such pins again after a while
 */
struct kvm_ioapic {
	struct kvm_io_device dev;
	struct kvm *kvm;
	spinlock_t lock;	/* guards the registers and lines below */
	u64 base;
	u32 ioregsel;
	u32 id;
	u32 irr;
	u8 lines[KVM_OOT_IRQCHIP_PINS];
	u64 rte[KVM_OOT_IRQCHIP_PINS];
	u32 eoi_count[KVM_OOT_IRQCHIP_PINS];
	unsigned int open_ticks;
	struct delayed_work again;
};

struct kvm_lapic_irq;

int kvm_ioapic_create(struct kvm *kvm);
void kvm_ioapic_stop(struct kvm *kvm);
void kvm_ioapic_destroy(struct kvm *kvm);
int kvm_ioapic_set_irq(struct kvm_ioapic *ioapic, unsigned int pin, int source,
		       int level, bool line_status);
void kvm_ioapic_eoi(struct kvm *kvm, int vector, bool level);
void kvm_ioapic_forget_tick(struct kvm *kvm);
void kvm_ioapic_scan(struct kvm_vcpu *vcpu);
void kvm_ioapic_get_state(struct kvm_ioapic *ioapic, struct kvm_ioapic_state *s);
void kvm_ioapic_set_state(struct kvm_ioapic *ioapic, const struct kvm_ioapic_state *s);
void kvm_ioapic_init(struct kvm_ioapic *ioapic);
u32 kvm_ioapic_reg_read(struct kvm_ioapic *ioapic);
void kvm_ioapic_reg_write(struct kvm_ioapic *ioapic, u32 val);
void kvm_ioapic_rte_to_irq(u64 rte, struct kvm_lapic_irq *irq);

#endif /* KVM_OOT_IOAPIC_H */
