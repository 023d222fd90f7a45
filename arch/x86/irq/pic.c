// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two cascaded 8259A programmable interrupt controllers with the edge/level
 * control registers (ELCR) of a PC chipset. Intel 8259A data sheet; ELCR:
 * 82371AB (PIIX4) data sheet, ports 4D0h and 4D1h.
 *
 * The slave's INT output is the master's IR2, seen here as a level: an edge
 * can then not be lost between the chips. An edge is kept although its line
 * falls before the acknowledge, since users of KVM pulse lines; where that
 * would have INTR fall, and rise with the next one, it is told as a rise (a
 * LAPIC may take LINT0 as NMI: the NMI watchdog). Left out: MCS-80/85 mode,
 * buffered mode, a pair without a slave.
 *
 * Everything is done under a spin lock; what the outside has to learn (INTR
 * rose, an interrupt was ended) is noted there and told after it is dropped,
 * since the listener may raise the next interrupt at once.
 */
#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/pic.h"

#define PIC_MASTER	0
#define PIC_SLAVE	1
#define PIC_CASCADE	2	/* pin of the master */

#define PIC_ICW1	0x10
#define PIC_ICW1_IC4	0x01
#define PIC_ICW4_AEOI	0x02
#define PIC_ICW4_SFNM	0x10
#define PIC_OCW3	0x08
#define PIC_OCW3_RIS	0x01
#define PIC_OCW3_RR	0x02
#define PIC_OCW3_POLL	0x04
#define PIC_OCW3_SMM	0x20
#define PIC_OCW3_ESMM	0x40

/* pins whose trigger mode can be chosen: not timer, keyboard, cascade, RTC, FPU */
static const u8 elcr_mask[2] = { 0xf8, 0xde };

/* Distance of the first bit of @mask from the top priority; 8 when none. */
static unsigned int pic_priority(const struct kvm_pic_state *s, u8 mask)
{
	unsigned int n;

	for (n = 0; n < 8; n++)
		if (mask & BIT((n + s->priority_add) & 7))
			return n;
	return 8;
}

/* The pin that the chip asks service for, or -1. */
static int pic_request(const struct kvm_pic_state *s, bool master)
{
	unsigned int want = pic_priority(s, s->irr & ~s->imr);
	u8 isr = s->isr;

	if (want == 8)
		return -1;
	if (s->special_mask)
		isr &= ~s->imr;
	if (s->special_fully_nested_mode && master)
		isr &= ~BIT(PIC_CASCADE);
	if (want >= pic_priority(s, isr))
		return -1;
	return (want + s->priority_add) & 7;
}

static void pic_update(struct kvm_pic *pic)
{
	struct kvm_pic_state *m = &pic->chip[PIC_MASTER];
	bool out;

	if (pic_request(&pic->chip[PIC_SLAVE], false) >= 0)
		m->irr |= BIT(PIC_CASCADE);
	else
		m->irr &= ~BIT(PIC_CASCADE);

	out = pic_request(m, true) >= 0;
	if (out && !pic->output)
		pic->rose = true;
	WRITE_ONCE(pic->output, out);
}

static void pic_end(struct kvm_pic *pic, unsigned int chip, unsigned int pin)
{
	pic->chip[chip].isr &= ~BIT(pin);
	if (chip == PIC_SLAVE || pin != PIC_CASCADE)
		pic->acked |= BIT(chip * 8 + pin);
}

static void pic_unlock(struct kvm_pic *pic) __releases(&pic->lock)
{
	unsigned long acked = pic->acked;
	bool rose = pic->rose;
	unsigned int pin;

	pic->acked = 0;
	pic->rose = false;
	spin_unlock(&pic->lock);

	if (rose)
		pic->ops->output_changed(pic);
	for_each_set_bit(pin, &acked, KVM_PIC_PINS)
		pic->ops->acked(pic, pin);
}

/* The line of one pin of one chip: 0 when an edge was swallowed, else 1. */
static int pic_set_line(struct kvm_pic_state *s, unsigned int pin, bool level)
{
	u8 bit = BIT(pin);
	int ret = 1;

	if (!level) {
		if (s->elcr & bit)
			s->irr &= ~bit;
		s->last_irr &= ~bit;
		return 1;
	}
	if ((s->elcr & bit) || !(s->last_irr & bit)) {
		ret = !(s->irr & bit);
		s->irr |= bit;
	}
	s->last_irr |= bit;
	return ret;
}

/* Is it for this input that INTR is up? */
static bool pic_requests_first(const struct kvm_pic *pic, unsigned int pin)
{
	int first = pic_request(&pic->chip[PIC_MASTER], true);

	if (first == PIC_CASCADE)
		first = 8 + pic_request(&pic->chip[PIC_SLAVE], false);
	return first == pin;
}

/**
 * kvm_pic_set_irq() - drive an input
 * @pic: the pair
 * @pin: 0..15
 * @source: who drives it: KVM_*_IRQ_SOURCE_ID; the line is up while any does
 * @level: 0 or 1
 *
 * Return: 1 when the interrupt will be delivered, 0 when it fell together with
 * one that was pending already, -1 when the pin is masked.
 */
int kvm_pic_set_irq(struct kvm_pic *pic, unsigned int pin, int source, int level)
{
	struct kvm_pic_state *s;
	bool edge;
	int ret;

	if (pin >= KVM_PIC_PINS)
		return -1;
	s = &pic->chip[pin >> 3];
	spin_lock(&pic->lock);
	if (level)
		pic->lines[pin] |= BIT(source);
	else
		pic->lines[pin] &= ~BIT(source);
	edge = !(s->last_irr & BIT(pin & 7)) && !(s->elcr & BIT(pin & 7));
	ret = pic_set_line(s, pin & 7, pic->lines[pin]);
	/* the chip's request would have fallen with its line, and INTR with that */
	if (!ret && edge && pic_requests_first(pic, pin))
		pic->rose = true;
	if (s->imr & BIT(pin & 7))
		ret = -1;
	pic_update(pic);
	pic_unlock(pic);
	return ret;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_set_irq);

static void pic_accept(struct kvm_pic *pic, unsigned int chip, unsigned int pin)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	if (!(s->elcr & BIT(pin)))
		s->irr &= ~BIT(pin);
	s->isr |= BIT(pin);
	if (s->auto_eoi) {
		if (s->rotate_on_auto_eoi)
			s->priority_add = (pin + 1) & 7;
		pic_end(pic, chip, pin);
	}
}

/**
 * kvm_pic_intack() - the CPU's interrupt acknowledge cycle
 * @pic: the pair
 *
 * Return: the vector; that of IR7 when the request has gone (spurious).
 */
int kvm_pic_intack(struct kvm_pic *pic)
{
	struct kvm_pic_state *m = &pic->chip[PIC_MASTER];
	struct kvm_pic_state *s = &pic->chip[PIC_SLAVE];
	int pin, vector;

	spin_lock(&pic->lock);
	pin = pic_request(m, true);
	if (pin < 0) {
		vector = m->irq_base + 7;
	} else if (pin == PIC_CASCADE) {
		/* which pin it is must be known before the master's IR2 is taken */
		int spin = pic_request(s, false);

		pic_accept(pic, PIC_MASTER, pin);
		if (spin >= 0)
			pic_accept(pic, PIC_SLAVE, spin);
		vector = s->irq_base + (spin >= 0 ? spin : 7);
	} else {
		pic_accept(pic, PIC_MASTER, pin);
		vector = m->irq_base + pin;
	}
	pic_update(pic);
	pic_unlock(pic);
	return vector;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_intack);

/* ICW1: start of an initialization sequence */
static void pic_reset(struct kvm_pic *pic, unsigned int chip)
{
	struct kvm_pic_state *s = &pic->chip[chip];
	u8 was = s->irr | s->isr;
	unsigned int pin;

	s->last_irr = 0;
	s->irr &= s->elcr;
	s->imr = 0;
	s->isr = 0;
	s->priority_add = 0;
	s->special_mask = 0;
	s->read_reg_select = 0;
	s->poll = 0;
	s->auto_eoi = 0;
	s->rotate_on_auto_eoi = 0;
	s->special_fully_nested_mode = 0;
	s->init_state = 1;

	/* a source that waits for the end of its interrupt waits no longer */
	for (pin = 0; pin < 8; pin++)
		if (was & BIT(pin))
			pic_end(pic, chip, pin);
}

static void pic_ocw2(struct kvm_pic *pic, unsigned int chip, u8 val)
{
	struct kvm_pic_state *s = &pic->chip[chip];
	unsigned int pin = val & 7, n;
	u8 isr;

	switch (val >> 5) {
	case 0:		/* rotate in automatic EOI mode: clear */
	case 4:		/* ... set */
		s->rotate_on_auto_eoi = val >> 7;
		break;
	case 1:		/* non-specific EOI */
	case 5:		/* ... and rotate */
		isr = s->special_mask ? s->isr & ~s->imr : s->isr;
		n = pic_priority(s, isr);
		if (n == 8)
			break;
		pin = (n + s->priority_add) & 7;
		if (val & 0x80)
			s->priority_add = (pin + 1) & 7;
		pic_end(pic, chip, pin);
		break;
	case 7:		/* specific EOI and rotate */
		s->priority_add = (pin + 1) & 7;
		fallthrough;
	case 3:		/* specific EOI */
		if (s->isr & BIT(pin))
			pic_end(pic, chip, pin);
		break;
	case 6:		/* set priority */
		s->priority_add = (pin + 1) & 7;
		break;
	}
}

static void pic_command(struct kvm_pic *pic, unsigned int chip, u8 val)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	if (val & PIC_ICW1) {
		pic_reset(pic, chip);
		s->init4 = val & PIC_ICW1_IC4;
	} else if (val & PIC_OCW3) {
		s->poll = !!(val & PIC_OCW3_POLL);
		if (val & PIC_OCW3_RR)
			s->read_reg_select = val & PIC_OCW3_RIS;
		if (val & PIC_OCW3_ESMM)
			s->special_mask = !!(val & PIC_OCW3_SMM);
	} else {
		pic_ocw2(pic, chip, val);
	}
}

static void pic_data(struct kvm_pic *pic, unsigned int chip, u8 val)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	switch (s->init_state) {
	case 0:
		s->imr = val;
		break;
	case 1:		/* ICW2 */
		s->irq_base = val & 0xf8;
		s->init_state = 2;
		break;
	case 2:		/* ICW3: the wiring is fixed */
		s->init_state = s->init4 ? 3 : 0;
		break;
	case 3:		/* ICW4 */
		s->special_fully_nested_mode = !!(val & PIC_ICW4_SFNM);
		s->auto_eoi = !!(val & PIC_ICW4_AEOI);
		s->init_state = 0;
		break;
	}
}

/**
 * kvm_pic_port_write() - one byte to a port of the pair
 * @pic: the pair
 * @port: 20h, 21h, A0h, A1h, 4D0h or 4D1h; others are ignored
 * @val: the byte
 */
void kvm_pic_port_write(struct kvm_pic *pic, u16 port, u8 val)
{
	spin_lock(&pic->lock);
	switch (port) {
	case 0x20:
	case 0xa0:
		pic_command(pic, port >> 7, val);
		break;
	case 0x21:
	case 0xa1:
		pic_data(pic, port >> 7, val);
		break;
	case 0x4d0:
	case 0x4d1:
		pic->chip[port & 1].elcr = val & elcr_mask[port & 1];
		break;
	}
	pic_update(pic);
	pic_unlock(pic);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_port_write);

static u8 pic_poll(struct kvm_pic *pic, unsigned int chip)
{
	int pin = pic_request(&pic->chip[chip], chip == PIC_MASTER);

	pic->chip[chip].poll = 0;
	if (pin < 0)
		return 0;
	pic_accept(pic, chip, pin);
	return 0x80 | pin;
}

/**
 * kvm_pic_port_read() - one byte from a port of the pair
 * @pic: the pair
 * @port: as for kvm_pic_port_write()
 *
 * Return: the byte.
 */
u8 kvm_pic_port_read(struct kvm_pic *pic, u16 port)
{
	struct kvm_pic_state *s;
	u8 val = 0xff;

	spin_lock(&pic->lock);
	switch (port) {
	case 0x20:
	case 0x21:
	case 0xa0:
	case 0xa1:
		s = &pic->chip[port >> 7];
		if (s->poll)
			val = pic_poll(pic, port >> 7);
		else if (port & 1)
			val = s->imr;
		else
			val = s->read_reg_select ? s->isr : s->irr;
		break;
	case 0x4d0:
	case 0x4d1:
		val = pic->chip[port & 1].elcr;
		break;
	}
	pic_update(pic);
	pic_unlock(pic);
	return val;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_port_read);

/**
 * kvm_pic_get_state() - state of a chip for KVM_GET_IRQCHIP
 * @pic: the pair
 * @chip: 0 master, 1 slave
 * @out: where to
 */
void kvm_pic_get_state(struct kvm_pic *pic, unsigned int chip,
		       struct kvm_pic_state *out)
{
	spin_lock(&pic->lock);
	*out = pic->chip[chip];
	spin_unlock(&pic->lock);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_get_state);

/**
 * kvm_pic_set_state() - state of a chip from KVM_SET_IRQCHIP
 * @pic: the pair
 * @chip: 0 master, 1 slave
 * @in: the state; what the hardware cannot hold is reduced to what it can
 *
 * Return: 0.
 */
int kvm_pic_set_state(struct kvm_pic *pic, unsigned int chip,
		      const struct kvm_pic_state *in)
{
	struct kvm_pic_state s = *in;

	s.priority_add &= 7;
	s.irq_base &= 0xf8;
	s.init_state &= 3;
	s.read_reg_select &= 1;
	s.poll = !!s.poll;
	s.special_mask = !!s.special_mask;
	s.auto_eoi = !!s.auto_eoi;
	s.rotate_on_auto_eoi = !!s.rotate_on_auto_eoi;
	s.special_fully_nested_mode = !!s.special_fully_nested_mode;
	s.init4 = !!s.init4;
	s.elcr_mask = elcr_mask[chip];
	s.elcr &= s.elcr_mask;

	spin_lock(&pic->lock);
	pic->chip[chip] = s;
	/* INTR may stay up for another reason now: say so in any case */
	pic->output = false;
	pic_update(pic);
	pic_unlock(pic);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_set_state);

/**
 * kvm_pic_init() - power-up state
 * @pic: zeroed memory
 * @ops: side effects
 */
void kvm_pic_init(struct kvm_pic *pic, const struct kvm_pic_ops *ops)
{
	spin_lock_init(&pic->lock);
	pic->ops = ops;
	pic->chip[PIC_MASTER].elcr_mask = elcr_mask[PIC_MASTER];
	pic->chip[PIC_SLAVE].elcr_mask = elcr_mask[PIC_SLAVE];
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_init);

/* ---- in a VM ------------------------------------------------------------------- */

static void vm_output_changed(struct kvm_pic *pic)
{
	kvm_pic_output_changed(pic->kvm);
}

static void vm_acked(struct kvm_pic *pic, unsigned int pin)
{
	kvm_notify_acked_irq(pic->kvm, pin >> 3, pin & 7);
}

static const struct kvm_pic_ops vm_ops = {
	.output_changed = vm_output_changed,
	.acked = vm_acked,
};

static int port_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		     gpa_t addr, int len, void *val)
{
	struct kvm_pic *pic = container_of(dev, struct kvm_pic_port, dev)->pic;
	u8 *p = val;
	int i;

	for (i = 0; i < len; i++)
		p[i] = kvm_pic_port_read(pic, addr + i);
	return 0;
}

static int port_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		      gpa_t addr, int len, const void *val)
{
	struct kvm_pic *pic = container_of(dev, struct kvm_pic_port, dev)->pic;
	const u8 *p = val;
	int i;

	for (i = 0; i < len; i++)
		kvm_pic_port_write(pic, addr + i, p[i]);
	return 0;
}

static const struct kvm_io_device_ops port_ops = {
	.read = port_read,
	.write = port_write,
};

static const u16 port_base[3] = { 0x20, 0xa0, 0x4d0 };

/**
 * kvm_pic_create() - give a VM its PICs
 * @kvm: the VM; slots_lock held, no PIC yet
 *
 * Return: 0, -ENOMEM, or what registering on the I/O bus returned.
 */
int kvm_pic_create(struct kvm *kvm)
{
	struct kvm_pic *pic;
	int i, r;

	pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	if (!pic)
		return -ENOMEM;
	kvm_pic_init(pic, &vm_ops);
	pic->kvm = kvm;
	for (i = 0; i < 3; i++) {
		pic->port[i].pic = pic;
		pic->port[i].dev.ops = &port_ops;
		r = kvm_io_bus_register_dev(kvm, KVM_BUS_PIO, port_base[i], 2,
					    &pic->port[i].dev);
		if (r)
			goto fail;
	}
	kvm->arch.vpic = pic;
	return 0;

fail:
	while (i--)
		kvm_io_bus_unregister_dev(kvm, KVM_BUS_PIO, &pic->port[i].dev);
	kfree(pic);
	return r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_create);

/**
 * kvm_pic_destroy() - take the PICs from a VM
 * @kvm: the VM; slots_lock held unless nobody else can reach it
 */
void kvm_pic_destroy(struct kvm *kvm)
{
	struct kvm_pic *pic = kvm->arch.vpic;
	int i;

	if (!pic)
		return;
	for (i = 0; i < 3; i++)
		kvm_io_bus_unregister_dev(kvm, KVM_BUS_PIO, &pic->port[i].dev);
	kvm->arch.vpic = NULL;
	kfree(pic);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pic_destroy);

/**
 * kvm_pic_read_irq() - acknowledge the PICs' interrupt for a vCPU
 * @vcpu: the vCPU, of a VM with PICs
 *
 * Return: the vector.
 */
int kvm_pic_read_irq(struct kvm_vcpu *vcpu)
{
	return kvm_pic_intack(vcpu->kvm->arch.vpic);
}

/**
 * kvm_pic_output() - the INTR line of the pair
 * @kvm: the VM, with PICs or not
 *
 * Return: true when a CPU should acknowledge.
 */
bool kvm_pic_output(struct kvm *kvm)
{
	struct kvm_pic *pic = READ_ONCE(kvm->arch.vpic);

	return pic && READ_ONCE(pic->output);
}
