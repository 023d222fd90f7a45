// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC: 24 pins, each with an entry that says which interrupt message
 * it sends (Intel 82093AA data sheet, version 0x11: no EOI register).
 *
 * A level-triggered pin sends again at EOI for as long as it is asserted. A
 * guest that does not quiet its device would never do anything else; after many
 * in a row the next one is sent a little later. Polarity is ignored: user space
 * gives lines as asserted or not (KVM_CAP_IOAPIC_POLARITY_IGNORED). An edge that
 * comes while its pin is masked is lost, as on the chip.
 */
#include <linux/slab.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/ioapic.h"
#include "arch/x86/irq/lapic.h"
#include "module/trace.h"

#define IOAPIC_VERSION		0x11
#define IOAPIC_REGSEL		0x00
#define IOAPIC_WINDOW		0x10
#define IOAPIC_REG_ID		0
#define IOAPIC_REG_VERSION	1
#define IOAPIC_REG_ARB		2
#define IOAPIC_REG_RTE		0x10

/* where a PC's real-time clock is */
#define RTC_PIN			8

#define EOIS_IN_A_ROW		10000
#define EOI_DELAY		(HZ / 100 ?: 1)

#define RTE_READ_ONLY		(IOAPIC_RTE_STATUS | IOAPIC_RTE_REMOTE_IRR)
#define RTE_EXISTING		(GENMASK_ULL(16, 0) | GENMASK_ULL(63, 56))

static struct kvm_ioapic *to_ioapic(struct kvm_io_device *dev)
{
	return container_of(dev, struct kvm_ioapic, dev);
}

/*
 * Does a pin follow its line's level? Only what ends with an EOI can: NMI, SMI, INIT and
 * ExtINT are edges whatever the entry says (82093AA, 3.2.4).
 */
static bool is_level(u64 rte)
{
	u64 mode = rte & IOAPIC_RTE_DELIVERY;

	return (rte & IOAPIC_RTE_LEVEL) && (mode == APIC_DM_FIXED || mode == APIC_DM_LOWEST);
}

/**
 * kvm_ioapic_rte_to_irq() - message that a redirection entry sends
 * @rte: the entry
 * @irq: filled
 */
void kvm_ioapic_rte_to_irq(u64 rte, struct kvm_lapic_irq *irq)
{
	*irq = (struct kvm_lapic_irq) {
		.vector = rte & IOAPIC_RTE_VECTOR,
		.delivery_mode = rte & IOAPIC_RTE_DELIVERY,
		.dest_mode = rte & IOAPIC_RTE_LOGICAL ? APIC_DEST_LOGICAL :
							APIC_DEST_PHYSICAL,
		.level = true,
		.trig_mode = is_level(rte),
		.dest_id = rte >> IOAPIC_RTE_DEST_SHIFT,
	};
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_rte_to_irq);

/* Send what pin @pin has to say, if it may. lock held. */
static int service(struct kvm_ioapic *ioapic, unsigned int pin)
{
	u64 *rte = &ioapic->rte[pin];
	struct kvm_lapic_irq irq;
	int r;

	if (*rte & IOAPIC_RTE_MASKED)
		return -1;
	if (is_level(*rte) && (*rte & IOAPIC_RTE_REMOTE_IRR))
		return 0;
	kvm_ioapic_rte_to_irq(*rte, &irq);
	r = kvm_irq_deliver(ioapic->kvm, NULL, &irq);
	if (r > 0 && is_level(*rte))
		*rte |= IOAPIC_RTE_REMOTE_IRR;
	return r;
}

/* Has a CPU not ended the last tick of the real-time clock? */
static bool tick_is_open(struct kvm_ioapic *ioapic)
{
	return ioapic->open_ticks && !(ioapic->rte[RTC_PIN] & IOAPIC_RTE_MASKED);
}

/**
 * kvm_ioapic_set_irq() - a source changes its hold on a pin
 * @ioapic: the chip
 * @pin: 0 to 23
 * @source: KVM_*_IRQ_SOURCE_ID
 * @level: 1 asserts
 * @line_status: the caller counts what is coalesced
 *
 * The real-time clock's ticks are counted by guests, so user space sends those again that
 * it hears were coalesced: with @line_status an edge of its pin is while the guest has not
 * ended the one before.
 *
 * Return: >0 delivered, 0 coalesced with one not taken yet, <0 masked.
 */
int kvm_ioapic_set_irq(struct kvm_ioapic *ioapic, unsigned int pin, int source,
		       int level, bool line_status)
{
	unsigned long flags;
	u32 mask = BIT(pin);
	bool was, is;
	int r = 1;

	spin_lock_irqsave(&ioapic->lock, flags);
	was = ioapic->irr & mask;
	if (level)
		ioapic->lines[pin] |= BIT(source);
	else
		ioapic->lines[pin] &= ~BIT(source);
	is = ioapic->lines[pin];

	if (!is) {
		ioapic->irr &= ~mask;
	} else if (!level) {
		/* others hold it up still */
	} else if (!is_level(ioapic->rte[pin])) {
		/* an edge needs the line to have been down */
		ioapic->irr |= mask;
		if (was || (pin == RTC_PIN && line_status && tick_is_open(ioapic)))
			r = 0;
		else
			r = service(ioapic, pin);
		if (pin == RTC_PIN && r > 0)
			ioapic->open_ticks = r;
	} else {
		ioapic->irr |= mask;
		r = service(ioapic, pin);
	}
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_set_irq);

/**
 * kvm_ioapic_forget_tick() - a LAPIC loses what it had: no EOI of a tick may be waited for
 * @kvm: the VM, with an IOAPIC in the kernel or without
 */
void kvm_ioapic_forget_tick(struct kvm *kvm)
{
	struct kvm_ioapic *ioapic = kvm->arch.vioapic;

	if (!ioapic)
		return;
	spin_lock_irq(&ioapic->lock);
	ioapic->open_ticks = 0;
	spin_unlock_irq(&ioapic->lock);
}

static void assert_again(struct work_struct *work)
{
	struct kvm_ioapic *ioapic = container_of(work, struct kvm_ioapic, again.work);
	unsigned int pin;

	spin_lock_irq(&ioapic->lock);
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		u64 rte = ioapic->rte[pin];

		if (is_level(rte) && (ioapic->irr & BIT(pin)) &&
		    !(rte & IOAPIC_RTE_REMOTE_IRR))
			service(ioapic, pin);
	}
	spin_unlock_irq(&ioapic->lock);
}

static void eoi_level(struct kvm_ioapic *ioapic, unsigned int pin)
{
	ioapic->rte[pin] &= ~IOAPIC_RTE_REMOTE_IRR;
	if (!(ioapic->irr & BIT(pin)) || (ioapic->rte[pin] & IOAPIC_RTE_MASKED)) {
		ioapic->eoi_count[pin] = 0;
		return;
	}
	if (++ioapic->eoi_count[pin] < EOIS_IN_A_ROW) {
		service(ioapic, pin);
		return;
	}
	ioapic->eoi_count[pin] = 0;
	schedule_delayed_work(&ioapic->again, EOI_DELAY);
}

/**
 * kvm_ioapic_eoi() - a local APIC ended an interrupt
 * @kvm: the VM, with an IOAPIC in the kernel
 * @vector: its vector
 * @level: it was level-triggered
 */
void kvm_ioapic_eoi(struct kvm *kvm, int vector, bool level)
{
	struct kvm_ioapic *ioapic = kvm->arch.vioapic;
	unsigned int pin;

	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		u64 rte;

		spin_lock_irq(&ioapic->lock);
		rte = ioapic->rte[pin];
		spin_unlock_irq(&ioapic->lock);
		if ((rte & IOAPIC_RTE_VECTOR) != vector)
			continue;

		if (pin == RTC_PIN) {
			spin_lock_irq(&ioapic->lock);
			if (ioapic->open_ticks)
				ioapic->open_ticks--;
			spin_unlock_irq(&ioapic->lock);
		}
		/* may call back to lower the line, so the lock is not held */
		kvm_notify_acked_irq(kvm, KVM_IRQCHIP_IOAPIC, pin);

		spin_lock_irq(&ioapic->lock);
		if (level && (ioapic->rte[pin] & IOAPIC_RTE_LEVEL) &&
		    (ioapic->rte[pin] & IOAPIC_RTE_VECTOR) == vector)
			eoi_level(ioapic, pin);
		spin_unlock_irq(&ioapic->lock);
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_eoi);

/**
 * kvm_ioapic_scan() - which vectors' EOI the IOAPIC wants from a vCPU
 * @vcpu: the vCPU; its ioapic_handled_vectors is filled
 */
void kvm_ioapic_scan(struct kvm_vcpu *vcpu)
{
	struct kvm_ioapic *ioapic = vcpu->kvm->arch.vioapic;
	struct kvm_lapic *apic = vcpu->arch.apic;
	unsigned int pin;

	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		struct kvm_lapic_irq irq;
		u64 rte;

		spin_lock_irq(&ioapic->lock);
		rte = ioapic->rte[pin];
		spin_unlock_irq(&ioapic->lock);
		kvm_ioapic_rte_to_irq(rte, &irq);

		if (!irq.trig_mode && pin != RTC_PIN &&
		    !kvm_irq_has_notifier(vcpu->kvm, KVM_IRQCHIP_IOAPIC, pin))
			continue;
		/* also what is on its way here although the entry points elsewhere now */
		if (kvm_lapic_match(apic, NULL, &irq) ||
		    kvm_lapic_test_vec(apic, irq.vector, APIC_IRR) ||
		    kvm_lapic_test_vec(apic, irq.vector, APIC_ISR))
			__set_bit(irq.vector, vcpu->arch.ioapic_handled_vectors);
	}
}

/* ---- registers ------------------------------------------------------------------- */

/**
 * kvm_ioapic_reg_read() - read the selected register
 * @ioapic: the chip; lock held
 *
 * Return: its value; all ones for one that does not exist.
 */
u32 kvm_ioapic_reg_read(struct kvm_ioapic *ioapic)
{
	u32 sel = ioapic->ioregsel, i;

	switch (sel) {
	case IOAPIC_REG_VERSION:
		return (KVM_OOT_IRQCHIP_PINS - 1) << 16 | IOAPIC_VERSION;
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARB:
		return ioapic->id;
	default:
		i = (sel - IOAPIC_REG_RTE) >> 1;
		if (sel < IOAPIC_REG_RTE || i >= KVM_OOT_IRQCHIP_PINS)
			return ~0u;
		return sel & 1 ? ioapic->rte[i] >> 32 : (u32)ioapic->rte[i];
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_reg_read);

/**
 * kvm_ioapic_reg_write() - write the selected register
 * @ioapic: the chip; lock held
 * @val: value
 */
void kvm_ioapic_reg_write(struct kvm_ioapic *ioapic, u32 val)
{
	u32 sel = ioapic->ioregsel, pin;
	u64 *rte, new;

	if (sel == IOAPIC_REG_ID) {
		ioapic->id = val & 0x0f000000;
		return;
	}
	pin = (sel - IOAPIC_REG_RTE) >> 1;
	if (sel < IOAPIC_REG_RTE || pin >= KVM_OOT_IRQCHIP_PINS)
		return;

	rte = &ioapic->rte[pin];
	if (sel & 1)
		new = (u64)val << 32 | (u32)*rte;
	else
		new = (*rte & GENMASK_ULL(63, 32)) | val;
	new &= RTE_EXISTING & ~RTE_READ_ONLY;
	new |= *rte & RTE_READ_ONLY;
	/* an entry that becomes an edge forgets what it waited for */
	if (!is_level(new))
		new &= ~IOAPIC_RTE_REMOTE_IRR;
	*rte = new;
	/* the EOI of a tick's old vector tells nothing any more */
	if (pin == RTC_PIN)
		ioapic->open_ticks = 0;
	/* first: whoever takes what is sent now must know to pass on its EOI */
	kvm_make_scan_ioapic_request(ioapic->kvm);
	if (is_level(new) && (ioapic->irr & BIT(pin)))
		service(ioapic, pin);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_reg_write);

static int ioapic_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		       gpa_t addr, int len, void *val)
{
	struct kvm_ioapic *ioapic = to_ioapic(dev);
	u32 data = 0;

	if (addr - ioapic->base >= KVM_IOAPIC_SIZE)
		return -EOPNOTSUPP;

	spin_lock_irq(&ioapic->lock);
	switch (addr & 0xff) {
	case IOAPIC_REGSEL:
		data = ioapic->ioregsel;
		break;
	case IOAPIC_WINDOW:
		data = kvm_ioapic_reg_read(ioapic);
		break;
	}
	spin_unlock_irq(&ioapic->lock);

	memset(val, 0, len);
	memcpy(val, &data, min_t(int, len, sizeof(data)));
	return 0;
}

static int ioapic_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			gpa_t addr, int len, const void *val)
{
	struct kvm_ioapic *ioapic = to_ioapic(dev);
	u32 data = 0;

	if (addr - ioapic->base >= KVM_IOAPIC_SIZE)
		return -EOPNOTSUPP;
	memcpy(&data, val, min_t(int, len, sizeof(data)));

	spin_lock_irq(&ioapic->lock);
	switch (addr & 0xff) {
	case IOAPIC_REGSEL:
		ioapic->ioregsel = data & 0xff;
		break;
	case IOAPIC_WINDOW:
		kvm_ioapic_reg_write(ioapic, data);
		break;
	}
	spin_unlock_irq(&ioapic->lock);
	return 0;
}

static const struct kvm_io_device_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

/* ---- state and life cycle ------------------------------------------------- */

/**
 * kvm_ioapic_get_state() - KVM_GET_IRQCHIP
 * @ioapic: the chip
 * @s: filled
 *
 * An edge is sent or lost when it comes: only level-triggered pins have anything
 * left to send, so only they are in @s->irr.
 */
void kvm_ioapic_get_state(struct kvm_ioapic *ioapic, struct kvm_ioapic_state *s)
{
	unsigned int pin;

	memset(s, 0, sizeof(*s));
	spin_lock_irq(&ioapic->lock);
	s->base_address = ioapic->base;
	s->ioregsel = ioapic->ioregsel;
	s->id = ioapic->id >> 24;
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		s->redirtbl[pin].bits = ioapic->rte[pin];
		if (ioapic->rte[pin] & IOAPIC_RTE_LEVEL)
			s->irr |= ioapic->irr & BIT(pin);
	}
	spin_unlock_irq(&ioapic->lock);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_get_state);

/**
 * kvm_ioapic_set_state() - KVM_SET_IRQCHIP
 * @ioapic: the chip
 * @s: state; the address cannot be changed, and what the chip cannot hold is
 *	reduced to what it can
 *
 * Pins that are asserted in it send again.
 */
void kvm_ioapic_set_state(struct kvm_ioapic *ioapic, const struct kvm_ioapic_state *s)
{
	unsigned int pin;

	spin_lock_irq(&ioapic->lock);
	ioapic->ioregsel = s->ioregsel & 0xff;
	ioapic->id = (s->id & 0xf) << 24;
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		u64 rte = s->redirtbl[pin].bits & RTE_EXISTING & ~IOAPIC_RTE_STATUS;

		/* an edge that waited for an EOI would block the pin as a level */
		if (!is_level(rte))
			rte &= ~IOAPIC_RTE_REMOTE_IRR;
		ioapic->rte[pin] = rte;
		ioapic->eoi_count[pin] = 0;
	}
	ioapic->open_ticks = 0;
	kvm_make_scan_ioapic_request(ioapic->kvm);	/* before anything is sent */
	ioapic->irr = s->irr & (BIT(KVM_OOT_IRQCHIP_PINS) - 1);
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		if (ioapic->irr & BIT(pin))
			service(ioapic, pin);
		else if (ioapic->lines[pin] &&
			 !(ioapic->rte[pin] & IOAPIC_RTE_LEVEL))
			ioapic->irr |= BIT(pin);	/* up, its edge is past */
	}
	spin_unlock_irq(&ioapic->lock);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_set_state);

/**
 * kvm_ioapic_init() - state after RESET
 * @ioapic: the chip
 */
void kvm_ioapic_init(struct kvm_ioapic *ioapic)
{
	unsigned int pin;

	spin_lock_init(&ioapic->lock);
	ioapic->base = KVM_IOAPIC_BASE;
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++)
		ioapic->rte[pin] = IOAPIC_RTE_MASKED;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_init);

/**
 * kvm_ioapic_create() - give a VM its IOAPIC
 * @kvm: the VM; slots_lock held
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_ioapic_create(struct kvm *kvm)
{
	struct kvm_ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	int r;

	if (!ioapic)
		return -ENOMEM;
	ioapic->kvm = kvm;
	ioapic->dev.ops = &ioapic_ops;
	INIT_DELAYED_WORK(&ioapic->again, assert_again);
	kvm_ioapic_init(ioapic);
	r = kvm_io_bus_register_dev(kvm, KVM_BUS_MMIO, ioapic->base,
				    KVM_IOAPIC_SIZE, &ioapic->dev);
	if (r) {
		kfree(ioapic);
		return r;
	}
	kvm->arch.vioapic = ioapic;
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_create);

/**
 * kvm_ioapic_stop() - no work of it runs after this
 * @kvm: the VM
 */
void kvm_ioapic_stop(struct kvm *kvm)
{
	if (kvm->arch.vioapic)
		cancel_delayed_work_sync(&kvm->arch.vioapic->again);
}

/**
 * kvm_ioapic_destroy() - take it away
 * @kvm: the VM; slots_lock held
 */
void kvm_ioapic_destroy(struct kvm *kvm)
{
	struct kvm_ioapic *ioapic = kvm->arch.vioapic;

	if (!ioapic)
		return;
	cancel_delayed_work_sync(&ioapic->again);
	kvm_io_bus_unregister_dev(kvm, KVM_BUS_MMIO, &ioapic->dev);
	kvm->arch.vioapic = NULL;
	kfree(ioapic);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_ioapic_destroy);
