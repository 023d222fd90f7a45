/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8254 interval timer and the speaker port of a PC. See pit.c.
 */
#ifndef KVM_OOT_PIT_H
#define KVM_OOT_PIT_H

#include "module/kvm_host.h"
#include <linux/hrtimer.h>
#include <linux/workqueue.h>

#define KVM_PIT_HZ	1193182
#define KVM_PIT_CHANNELS 3

struct kvm_pit_port {
	struct kvm_io_device dev;
	struct kvm_pit *pit;
};

/**
 * struct kvm_pit_regs - the chip and port 61h: a pure state machine of time
 * @chan: the channels in the form user space sees; count is in clocks, 1 to
 *	10000h, count_load_time in ns
 * @stopped: when the gate of a channel fell, or a count was written behind a low one, ns
 * @phase: has a channel its count, and its trigger
 * @speaker_on: bit 1 of port 61h
 * @reloaded: (out) channel 0 was loaded or stopped: its timer has to follow
 */
struct kvm_pit_regs {
	struct kvm_pit_channel_state chan[KVM_PIT_CHANNELS];
	u64 stopped[KVM_PIT_CHANNELS];
	u8 phase[KVM_PIT_CHANNELS];
	bool speaker_on;
	bool reloaded;
};

/**
 * struct kvm_pit - the timer of a VM
 * @kvm: the VM
 * @lock: guards @regs, @flags and starting the timer
 * @regs: the chip
 * @flags: KVM_PIT_FLAGS_*
 * @timer: channel 0
 * @period: of @timer in ns, 0 when it fires once
 * @work: raises IRQ0, which takes locks that a timer may not
 * @pending: ticks not yet delivered
 * @acked: the guest has ended the last tick
 * @reinject: no tick is dropped: the next one waits for the end of the last
 * @notifier: tells that end
 * @port: 40h to 43h
 * @speaker: 61h
 * @has_speaker: @speaker is on the bus (no KVM_PIT_SPEAKER_DUMMY: it is not)
 */
struct kvm_pit {
	struct kvm *kvm;
	struct mutex lock;	/* guards regs, flags, period and the timer's start */
	struct kvm_pit_regs regs;
	u32 flags;
	struct hrtimer timer;
	u64 period;
	struct work_struct work;
	atomic_t pending;
	atomic_t acked;
	bool reinject;
	struct kvm_irq_ack_notifier notifier;
	struct kvm_pit_port port;
	struct kvm_pit_port speaker;
	bool has_speaker;
};

void kvm_pit_regs_init(struct kvm_pit_regs *regs, u64 now);
void kvm_pit_regs_write(struct kvm_pit_regs *regs, unsigned int reg, u8 val, u64 now);
u8 kvm_pit_regs_read(struct kvm_pit_regs *regs, unsigned int reg, u64 now);
void kvm_pit_speaker_write(struct kvm_pit_regs *regs, u8 val, u64 now);
u8 kvm_pit_speaker_read(const struct kvm_pit_regs *regs, u64 now);
bool kvm_pit_out(const struct kvm_pit_regs *regs, unsigned int n, u64 now);

int kvm_pit_create(struct kvm *kvm, u32 flags);
void kvm_pit_stop(struct kvm *kvm);
void kvm_pit_destroy(struct kvm *kvm);
void kvm_pit_get_state2(struct kvm_pit *pit, struct kvm_pit_state2 *ps);
int kvm_pit_set_state2(struct kvm_pit *pit, const struct kvm_pit_state2 *ps);
void kvm_pit_set_reinject(struct kvm_pit *pit, bool on);

#endif /* KVM_OOT_PIT_H */
