/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pair of 8259A interrupt controllers of a PC. See pic.c.
 */
#ifndef KVM_OOT_PIC_H
#define KVM_OOT_PIC_H

#include "module/kvm_host.h"

#define KVM_PIC_PINS	16

struct kvm_pic;

/**
 * struct kvm_pic_ops - what the pair does to the world
 * @output_changed: INTR towards the CPU rose
 * @acked: the interrupt of pin 0..15 was ended (or dropped by a reset)
 *
 * Both are called without the lock.
 */
struct kvm_pic_ops {
	void (*output_changed)(struct kvm_pic *pic);
	void (*acked)(struct kvm_pic *pic, unsigned int pin);
};

struct kvm_pic_port {
	struct kvm_io_device dev;
	struct kvm_pic *pic;
};

/**
 * struct kvm_pic - both chips
 * @kvm: the VM, NULL in unit tests
 * @ops: side effects
 * @lock: guards the rest
 * @chip: master and slave, in the form user space sees
 * @lines: for each pin, the sources that hold it up (KVM_*_IRQ_SOURCE_ID bits)
 * @output: INTR
 * @acked: pins whose end has to be told once @lock is dropped
 * @rose: INTR rose, or would have on the chip, and that has to be told likewise
 * @port: master, slave and edge/level registers on the I/O bus
 */
struct kvm_pic {
	struct kvm *kvm;
	const struct kvm_pic_ops *ops;
	spinlock_t lock;	/* guards chip and lines */
	struct kvm_pic_state chip[2];
	u8 lines[KVM_PIC_PINS];
	bool output;
	u16 acked;
	bool rose;
	struct kvm_pic_port port[3];
};

void kvm_pic_init(struct kvm_pic *pic, const struct kvm_pic_ops *ops);
int kvm_pic_set_irq(struct kvm_pic *pic, unsigned int pin, int source, int level);
int kvm_pic_intack(struct kvm_pic *pic);
void kvm_pic_port_write(struct kvm_pic *pic, u16 port, u8 val);
u8 kvm_pic_port_read(struct kvm_pic *pic, u16 port);
void kvm_pic_get_state(struct kvm_pic *pic, unsigned int chip,
		       struct kvm_pic_state *out);
int kvm_pic_set_state(struct kvm_pic *pic, unsigned int chip,
		      const struct kvm_pic_state *in);

int kvm_pic_create(struct kvm *kvm);
void kvm_pic_destroy(struct kvm *kvm);
int kvm_pic_read_irq(struct kvm_vcpu *vcpu);
bool kvm_pic_output(struct kvm *kvm);

/* irqchip.c: INTR rose; the LAPICs have to look, by their LINT0 */
void kvm_pic_output_changed(struct kvm *kvm);

#endif /* KVM_OOT_PIC_H */
