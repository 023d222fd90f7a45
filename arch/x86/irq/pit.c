// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 programmable interval timer (Intel 8254 data sheet), and the port
 * 61h of a PC that gates its channel 2 and reads its output.
 *
 * A channel is not counted down: its counter and its output are computed from
 * the time since it was loaded. Only channel 0 has a timer behind it, since
 * only its output is an interrupt (IRQ0).
 *
 * Re-injection: an operating system that counts ticks must see each of them.
 * A tick is raised only when the guest has ended the one before; those that
 * come meanwhile are kept. KVM_REINJECT_CONTROL turns that off.
 *
 * The gates of channels 0 and 1 are always high, so nothing triggers them in modes
 * 1 and 5: there they count from when they are loaded, as the kernel's own do. Left
 * out: a new count is the present one at once in all modes, also where the chip would
 * first end the period (2 and 3) or the pulse (1) that has begun.
 */
#include <linux/math64.h>
#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/pit.h"

#define PIT_CONTROL	3		/* register number of the control word */
#define PIT_READ_BACK	3		/* channel number that means read-back */

/* the access modes of a control word */
#define PIT_LATCH	0
#define PIT_LSB		1
#define PIT_MSB		2
#define PIT_WORD	3

/* what a channel does: kvm_pit_regs.phase */
enum { PIT_NO_COUNT, PIT_WAITS, PIT_COUNTS };

#define PIT_STATUS_OUT	0x80
#define PIT_STATUS_NULL	0x40

/* ports 61h */
#define SPEAKER_GATE	0x01
#define SPEAKER_DATA	0x02
#define SPEAKER_REFRESH	0x10
#define SPEAKER_OUT2	0x20
#define REFRESH_NS	15085		/* half a period of the refresh toggle */

/* No guest may ask for more ticks than this: 1 ms / 5 */
#define PIT_MIN_PERIOD_NS	200000

/* A low gate: modes 0 and 4 stand still, 2 and 3 wait for it to rise, 1 and 5 go on. */
static bool pit_gate_counts(const struct kvm_pit_channel_state *c)
{
	return c->mode != 1 && c->mode != 5;
}

/* Clocks since the counter was loaded, without those that the gate has held. */
static u64 pit_elapsed(const struct kvm_pit_regs *regs, unsigned int n, u64 now)
{
	const struct kvm_pit_channel_state *c = &regs->chan[n];
	s64 ns;

	if (regs->phase[n] != PIT_COUNTS)
		return 0;
	if (!c->gate && pit_gate_counts(c))
		now = regs->stopped[n];
	ns = now - c->count_load_time;

	return ns > 0 ? mul_u64_u64_div_u64(ns, KVM_PIT_HZ, NSEC_PER_SEC) : 0;
}

static u32 pit_from_bcd(u32 v)
{
	return (v & 0xf) + (v >> 4 & 0xf) * 10 + (v >> 8 & 0xf) * 100 +
	       (v >> 12 & 0xf) * 1000;
}

static u16 pit_to_bcd(u32 v)
{
	v %= 10000;
	return v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 |
	       (v / 1000) << 12;
}

/* What the counting element shows: 0 stands for its largest value. */
static u16 pit_counter(const struct kvm_pit_regs *regs, unsigned int n, u64 now)
{
	const struct kvm_pit_channel_state *c = &regs->chan[n];
	u64 d = pit_elapsed(regs, n, now);
	u32 count = c->count, left;

	switch (c->mode) {
	case 2:
		left = count - (u32)(d % count);
		break;
	case 3:		/* counts by two */
		left = count - (u32)(2 * d % count);
		break;
	default:	/* wraps around and goes on */
		left = c->bcd ? (count + 10000 - (u32)(d % 10000)) % 10000
			      : count - (u32)d;
		break;
	}
	return c->bcd ? pit_to_bcd(left) : (u16)left;
}

/**
 * kvm_pit_out() - output of a channel
 * @regs: the chip
 * @n: number of the channel
 * @now: in ns
 *
 * Return: the level.
 */
bool kvm_pit_out(const struct kvm_pit_regs *regs, unsigned int n, u64 now)
{
	const struct kvm_pit_channel_state *c = &regs->chan[n];
	u64 d = pit_elapsed(regs, n, now);

	/* as the control word has set it; a gate that falls does it, too, in modes 2 and 3 */
	if (regs->phase[n] != PIT_COUNTS ||
	    (!c->gate && (c->mode == 2 || c->mode == 3)))
		return c->mode != 0;

	switch (c->mode) {
	case 0:
		return d >= c->count;
	case 1:
		return d >= c->count;
	case 2:		/* low for the last clock */
		return d % c->count != c->count - 1;
	case 3:
		return d % c->count < (c->count + 1) / 2;
	default:	/* a strobe of one clock */
		return d != c->count;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pit_out);

static void pit_load(struct kvm_pit_regs *regs, unsigned int n, u16 val, u64 now)
{
	struct kvm_pit_channel_state *c = &regs->chan[n];
	u32 count = c->bcd ? pit_from_bcd(val) : val;

	if (!count)
		count = c->bcd ? 10000 : 0x10000;
	c->count = count;
	regs->reloaded |= !n;
	/* these count from their next trigger on */
	if (n == 2 && !pit_gate_counts(c)) {
		regs->phase[n] = PIT_WAITS;
		return;
	}
	c->count_load_time = now;
	regs->stopped[n] = now;
	regs->phase[n] = PIT_COUNTS;
}

static void pit_latch_count(struct kvm_pit_regs *regs, unsigned int n, u64 now)
{
	struct kvm_pit_channel_state *c = &regs->chan[n];

	if (c->count_latched)
		return;		/* the first latch stays until it is read */
	c->latched_count = pit_counter(regs, n, now);
	c->count_latched = c->rw_mode;
}

static void pit_latch_status(struct kvm_pit_regs *regs, unsigned int n, u64 now)
{
	struct kvm_pit_channel_state *c = &regs->chan[n];

	if (c->status_latched)
		return;
	c->status = (kvm_pit_out(regs, n, now) ? PIT_STATUS_OUT : 0) |
		    (regs->phase[n] != PIT_COUNTS ? PIT_STATUS_NULL : 0) |
		    c->rw_mode << 4 | c->mode << 1 | c->bcd;
	c->status_latched = 1;
}

static void pit_control(struct kvm_pit_regs *regs, u8 val, u64 now)
{
	struct kvm_pit_channel_state *c;
	unsigned int n = val >> 6, access = val >> 4 & 3;

	if (n == PIT_READ_BACK) {
		for (n = 0; n < KVM_PIT_CHANNELS; n++) {
			if (!(val & BIT(n + 1)))
				continue;
			if (!(val & 0x20))
				pit_latch_count(regs, n, now);
			if (!(val & 0x10))
				pit_latch_status(regs, n, now);
		}
		return;
	}

	c = &regs->chan[n];
	if (access == PIT_LATCH) {
		pit_latch_count(regs, n, now);
		return;
	}
	c->rw_mode = access;
	c->read_state = access;
	c->write_state = access;
	c->count_latched = 0;
	c->status_latched = 0;
	c->mode = val >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;	/* bit 2 does not matter for modes 2 and 3 */
	c->bcd = val & 1;
	if (c->bcd && c->count > 10000)
		c->count = 10000;
	/* it does not count before it has a count */
	regs->phase[n] = PIT_NO_COUNT;
	regs->reloaded |= !n;
}

/**
 * kvm_pit_regs_write() - write a port of the chip
 * @regs: the chip
 * @reg: 0 to 2 channel, 3 control word
 * @val: the byte
 * @now: in ns
 */
void kvm_pit_regs_write(struct kvm_pit_regs *regs, unsigned int reg, u8 val,
			u64 now)
{
	struct kvm_pit_channel_state *c;

	if (reg == PIT_CONTROL) {
		pit_control(regs, val, now);
		return;
	}
	c = &regs->chan[reg];
	switch (c->write_state) {
	case PIT_LSB:
		pit_load(regs, reg, val, now);
		break;
	case PIT_MSB:
		pit_load(regs, reg, val << 8, now);
		break;
	case PIT_WORD:		/* low byte, then high byte */
		c->write_latch = val;
		c->write_state = PIT_WORD + 1;
		break;
	case PIT_WORD + 1:
		pit_load(regs, reg, c->write_latch | val << 8, now);
		c->write_state = PIT_WORD;
		break;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pit_regs_write);

/**
 * kvm_pit_regs_read() - read a port of the chip
 * @regs: the chip
 * @reg: 0 to 2 channel; the control word cannot be read
 * @now: in ns
 *
 * Return: the byte.
 */
u8 kvm_pit_regs_read(struct kvm_pit_regs *regs, unsigned int reg, u64 now)
{
	struct kvm_pit_channel_state *c;
	u16 count;

	if (reg == PIT_CONTROL)
		return 0;
	c = &regs->chan[reg];
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	switch (c->count_latched) {
	case PIT_LSB:
		c->count_latched = 0;
		return c->latched_count;
	case PIT_MSB:
		c->count_latched = 0;
		return c->latched_count >> 8;
	case PIT_WORD:
		c->count_latched = PIT_MSB;
		return c->latched_count;
	}

	count = pit_counter(regs, reg, now);
	switch (c->read_state) {
	case PIT_WORD:
		c->read_state = PIT_WORD + 1;
		return count;
	case PIT_WORD + 1:
		c->read_state = PIT_WORD;
		return count >> 8;
	case PIT_MSB:
		return count >> 8;
	default:
		return count;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pit_regs_read);

/**
 * kvm_pit_speaker_write() - write port 61h
 * @regs: the chip
 * @val: the byte: bit 0 gate of channel 2, bit 1 speaker data
 * @now: in ns
 */
void kvm_pit_speaker_write(struct kvm_pit_regs *regs, u8 val, u64 now)
{
	struct kvm_pit_channel_state *c = &regs->chan[2];
	bool gate = val & SPEAKER_GATE;

	if (gate && !c->gate) {
		/* it starts the count anew, except where it has only held it */
		if (c->mode == 0 || c->mode == 4)
			c->count_load_time += now - regs->stopped[2];
		else
			c->count_load_time = now;
		if (regs->phase[2] == PIT_WAITS)
			regs->phase[2] = PIT_COUNTS;
	} else if (!gate && c->gate) {
		regs->stopped[2] = now;
	}
	c->gate = gate;
	regs->speaker_on = val & SPEAKER_DATA;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pit_speaker_write);

/**
 * kvm_pit_speaker_read() - read port 61h
 * @regs: the chip
 * @now: in ns
 *
 * Return: the byte.
 */
u8 kvm_pit_speaker_read(const struct kvm_pit_regs *regs, u64 now)
{
	const struct kvm_pit_channel_state *c = &regs->chan[2];

	return (c->gate ? SPEAKER_GATE : 0) |
	       (regs->speaker_on ? SPEAKER_DATA : 0) |
	       (div_u64(now, REFRESH_NS) & 1 ? SPEAKER_REFRESH : 0) |
	       (kvm_pit_out(regs, 2, now) ? SPEAKER_OUT2 : 0);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pit_speaker_read);

/**
 * kvm_pit_regs_init() - power-up state
 * @regs: the chip, zeroed
 * @now: in ns
 */
void kvm_pit_regs_init(struct kvm_pit_regs *regs, u64 now)
{
	unsigned int n;

	for (n = 0; n < KVM_PIT_CHANNELS; n++) {
		struct kvm_pit_channel_state *c = &regs->chan[n];

		c->mode = 0xff;		/* not programmed yet */
		c->gate = n != 2;
		pit_load(regs, n, 0, now);
	}
	regs->reloaded = false;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pit_regs_init);

/* ---- in a VM ------------------------------------------------------------------- */

static u64 pit_now(void)
{
	return ktime_get_ns();
}

/* Set the timer by channel 0, from now on. */
static void pit_start_timer(struct kvm_pit *pit)
{
	const struct kvm_pit_channel_state *c = &pit->regs.chan[0];
	u64 ns;

	pit->regs.reloaded = false;
	hrtimer_cancel(&pit->timer);
	cancel_work_sync(&pit->work);
	atomic_set(&pit->pending, 0);
	atomic_set(&pit->acked, 1);

	if (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY)
		return;		/* the HPET drives IRQ0 */
	if (pit->regs.phase[0] != PIT_COUNTS)
		return;

	ns = div_u64((u64)c->count * NSEC_PER_SEC, KVM_PIT_HZ);
	switch (c->mode) {
	case 0:
	case 1:
	case 4:
		pit->period = 0;
		break;
	case 2:
	case 3:
		if (ns < PIT_MIN_PERIOD_NS)
			ns = PIT_MIN_PERIOD_NS;
		pit->period = ns;
		break;
	default:
		return;
	}
	hrtimer_start(&pit->timer, ns_to_ktime(c->count_load_time + ns),
		      HRTIMER_MODE_ABS);
}

static enum hrtimer_restart pit_timer(struct hrtimer *timer)
{
	struct kvm_pit *pit = container_of(timer, struct kvm_pit, timer);

	atomic_inc(&pit->pending);
	queue_work(system_highpri_wq, &pit->work);
	if (!pit->period)
		return HRTIMER_NORESTART;
	hrtimer_add_expires_ns(timer, pit->period);
	return HRTIMER_RESTART;
}

static void pit_work(struct work_struct *work)
{
	struct kvm_pit *pit = container_of(work, struct kvm_pit, work);
	bool reinject = READ_ONCE(pit->reinject);
	int r;

	if (!atomic_read(&pit->pending))
		return;
	if (reinject && !atomic_xchg(&pit->acked, 0))
		return;

	r = kvm_pulse_irq(pit->kvm, KVM_PIT_IRQ_SOURCE_ID, 0);

	if (!reinject) {
		atomic_set(&pit->pending, 0);
	} else if (r < 0) {
		/* masked everywhere: nobody will end it, and nobody missed it */
		atomic_set(&pit->pending, 0);
		atomic_set(&pit->acked, 1);
	}
}

static void pit_irq_acked(struct kvm_irq_ack_notifier *kian)
{
	struct kvm_pit *pit = container_of(kian, struct kvm_pit, notifier);

	atomic_dec_if_positive(&pit->pending);
	atomic_set(&pit->acked, 1);
	if (atomic_read(&pit->pending))
		queue_work(system_highpri_wq, &pit->work);
}

static int pit_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		    gpa_t addr, int len, void *val)
{
	struct kvm_pit *pit = container_of(dev, struct kvm_pit_port, dev)->pit;
	u8 *p = val;
	int i;

	mutex_lock(&pit->lock);
	for (i = 0; i < len; i++)
		p[i] = kvm_pit_regs_read(&pit->regs, (addr + i) & 3, pit_now());
	mutex_unlock(&pit->lock);
	return 0;
}

static int pit_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		     gpa_t addr, int len, const void *val)
{
	struct kvm_pit *pit = container_of(dev, struct kvm_pit_port, dev)->pit;
	const u8 *p = val;
	int i;

	mutex_lock(&pit->lock);
	for (i = 0; i < len; i++)
		kvm_pit_regs_write(&pit->regs, (addr + i) & 3, p[i], pit_now());
	if (pit->regs.reloaded)
		pit_start_timer(pit);
	mutex_unlock(&pit->lock);
	return 0;
}

static int speaker_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			gpa_t addr, int len, void *val)
{
	struct kvm_pit *pit = container_of(dev, struct kvm_pit_port, dev)->pit;

	mutex_lock(&pit->lock);
	memset(val, 0xff, len);
	*(u8 *)val = kvm_pit_speaker_read(&pit->regs, pit_now());
	mutex_unlock(&pit->lock);
	return 0;
}

static int speaker_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			 gpa_t addr, int len, const void *val)
{
	struct kvm_pit *pit = container_of(dev, struct kvm_pit_port, dev)->pit;

	mutex_lock(&pit->lock);
	kvm_pit_speaker_write(&pit->regs, *(const u8 *)val, pit_now());
	mutex_unlock(&pit->lock);
	return 0;
}

static const struct kvm_io_device_ops pit_ops = {
	.read = pit_read,
	.write = pit_write,
};

static const struct kvm_io_device_ops speaker_ops = {
	.read = speaker_read,
	.write = speaker_write,
};

/**
 * kvm_pit_create() - give a VM its timer: KVM_CREATE_PIT, KVM_CREATE_PIT2
 * @kvm: the VM; slots_lock held, no timer yet, PIC and IOAPIC there
 * @flags: KVM_PIT_SPEAKER_DUMMY: port 61h is answered here too
 *
 * Return: 0, -ENOMEM, or what registering on the I/O bus returned.
 */
int kvm_pit_create(struct kvm *kvm, u32 flags)
{
	struct kvm_pit *pit;
	int r;

	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	pit->kvm = kvm;
	mutex_init(&pit->lock);
	kvm_pit_regs_init(&pit->regs, pit_now());
	hrtimer_setup(&pit->timer, pit_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	INIT_WORK(&pit->work, pit_work);
	atomic_set(&pit->acked, 1);
	pit->notifier.gsi = 0;
	pit->notifier.irq_acked = pit_irq_acked;
	pit->port.pit = pit;
	pit->port.dev.ops = &pit_ops;
	pit->speaker.pit = pit;
	pit->speaker.dev.ops = &speaker_ops;

	r = kvm_io_bus_register_dev(kvm, KVM_BUS_PIO, 0x40, 4, &pit->port.dev);
	if (r)
		goto fail;
	if (flags & KVM_PIT_SPEAKER_DUMMY) {
		r = kvm_io_bus_register_dev(kvm, KVM_BUS_PIO, 0x61, 1,
					    &pit->speaker.dev);
		if (r)
			goto fail_speaker;
		pit->has_speaker = true;
	}
	kvm->arch.vpit = pit;
	kvm_pit_set_reinject(pit, true);
	return 0;

fail_speaker:
	kvm_io_bus_unregister_dev(kvm, KVM_BUS_PIO, &pit->port.dev);
fail:
	kfree(pit);
	return r;
}

/**
 * kvm_pit_stop() - no interrupt comes any more
 * @kvm: the VM, about to be destroyed, with a timer or without
 */
void kvm_pit_stop(struct kvm *kvm)
{
	struct kvm_pit *pit = kvm->arch.vpit;

	if (!pit)
		return;
	kvm_pit_set_reinject(pit, false);
	hrtimer_cancel(&pit->timer);
	cancel_work_sync(&pit->work);
}

/**
 * kvm_pit_destroy() - take the timer from a VM
 * @kvm: the VM, with a timer or without; slots_lock held unless nobody else
 *	can reach it
 */
void kvm_pit_destroy(struct kvm *kvm)
{
	struct kvm_pit *pit = kvm->arch.vpit;

	if (!pit)
		return;
	if (pit->has_speaker)
		kvm_io_bus_unregister_dev(kvm, KVM_BUS_PIO, &pit->speaker.dev);
	kvm_io_bus_unregister_dev(kvm, KVM_BUS_PIO, &pit->port.dev);
	kvm_pit_stop(kvm);
	kvm->arch.vpit = NULL;
	kfree(pit);
}

/**
 * kvm_pit_set_reinject() - KVM_REINJECT_CONTROL
 * @pit: the timer
 * @on: keep ticks that the guest was too slow for
 */
void kvm_pit_set_reinject(struct kvm_pit *pit, bool on)
{
	mutex_lock(&pit->lock);
	if (on != pit->reinject) {
		atomic_set(&pit->pending, 0);
		atomic_set(&pit->acked, 1);
		if (on)
			kvm_register_irq_ack_notifier(pit->kvm, &pit->notifier);
		else
			kvm_unregister_irq_ack_notifier(pit->kvm, &pit->notifier);
		WRITE_ONCE(pit->reinject, on);
	}
	mutex_unlock(&pit->lock);
}

/**
 * kvm_pit_get_state2() - KVM_GET_PIT, KVM_GET_PIT2
 * @pit: the timer
 * @ps: where to, zeroed
 */
void kvm_pit_get_state2(struct kvm_pit *pit, struct kvm_pit_state2 *ps)
{
	mutex_lock(&pit->lock);
	memcpy(ps->channels, pit->regs.chan, sizeof(ps->channels));
	/* where a gate holds it, as if it had been loaded that much later */
	if (!ps->channels[2].gate && pit_gate_counts(&ps->channels[2]))
		ps->channels[2].count_load_time += pit_now() - pit->regs.stopped[2];
	ps->flags = pit->flags;
	if (pit->regs.speaker_on)
		ps->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	mutex_unlock(&pit->lock);
}

/**
 * kvm_pit_set_state2() - KVM_SET_PIT, KVM_SET_PIT2
 * @pit: the timer
 * @ps: the state. What the chip cannot hold is reduced to what it can;
 *	channel 0 starts anew
 *
 * Return: 0, or -EINVAL for an unknown flag.
 */
int kvm_pit_set_state2(struct kvm_pit *pit, const struct kvm_pit_state2 *ps)
{
	unsigned int n;

	if (ps->flags & ~(KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON))
		return -EINVAL;

	mutex_lock(&pit->lock);
	for (n = 0; n < KVM_PIT_CHANNELS; n++) {
		struct kvm_pit_channel_state *c = &pit->regs.chan[n];

		*c = ps->channels[n];
		if (c->mode > 5 && c->mode != 0xff)
			c->mode &= 3;
		c->bcd = !!c->bcd;
		if (!c->count || c->count > (c->bcd ? 10000 : 0x10000))
			c->count = c->bcd ? 10000 : 0x10000;
		c->rw_mode &= 3;
		c->count_latched &= 3;
		if (c->read_state > PIT_WORD + 1)
			c->read_state = 0;
		if (c->write_state > PIT_WORD + 1)
			c->write_state = 0;
		c->gate = !!c->gate;
		/* the state does not say that a channel waits for its count or its trigger */
		pit->regs.phase[n] = PIT_COUNTS;
		pit->regs.stopped[n] = pit_now();
	}
	pit->regs.speaker_on = ps->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	pit->flags = ps->flags & KVM_PIT_FLAGS_HPET_LEGACY;
	pit->regs.chan[0].count_load_time = pit_now();
	pit_start_timer(pit);
	mutex_unlock(&pit->lock);
	return 0;
}
