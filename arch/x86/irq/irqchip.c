// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupt controllers of a VM together: creating them, their ioctls, which
 * GSI goes where, and which EOIs somebody wants to hear of.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/ioapic.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/irq/msi.h"
#include "arch/x86/irq/pic.h"
#include "arch/x86/irq/pit.h"

/* ---- routes ---------------------------------------------------------------------- */

static int set_pic_irq(struct kvm_route *e, struct kvm *kvm, int source,
		       int level, bool line_status)
{
	unsigned int pin = e->irqchip.pin;

	if (e->irqchip.irqchip == KVM_IRQCHIP_PIC_SLAVE)
		pin += 8;
	return kvm_pic_set_irq(kvm->arch.vpic, pin, source, level);
}

static int set_ioapic_irq(struct kvm_route *e, struct kvm *kvm, int source,
			  int level, bool line_status)
{
	return kvm_ioapic_set_irq(kvm->arch.vioapic, e->irqchip.pin, source, level,
				  line_status);
}

/**
 * kvm_arch_set_routing_entry() - parse one entry of KVM_SET_GSI_ROUTING
 * @kvm: the VM
 * @e: filled
 * @ue: the entry
 *
 * Return: 0, or -EINVAL for a type, chip, pin or message that does not exist.
 */
int kvm_arch_set_routing_entry(struct kvm *kvm, struct kvm_route *e,
			       const struct kvm_irq_routing_entry *ue)
{
	switch (ue->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		/* they exist, or are about to: kvm->lock is held for the default */
		if (!kvm->arch.vioapic)
			return -EINVAL;
		e->irqchip.irqchip = ue->u.irqchip.irqchip;
		e->irqchip.pin = ue->u.irqchip.pin;
		switch (ue->u.irqchip.irqchip) {
		case KVM_IRQCHIP_PIC_MASTER:
		case KVM_IRQCHIP_PIC_SLAVE:
			if (ue->u.irqchip.pin >= KVM_PIC_PINS / 2)
				return -EINVAL;
			e->set = set_pic_irq;
			return 0;
		case KVM_IRQCHIP_IOAPIC:
			if (ue->u.irqchip.pin >= KVM_OOT_IRQCHIP_PINS)
				return -EINVAL;
			e->set = set_ioapic_irq;
			return 0;
		default:
			return -EINVAL;
		}
	case KVM_IRQ_ROUTING_MSI:
		e->set = kvm_set_msi;
		e->msi.address_lo = ue->u.msi.address_lo;
		e->msi.address_hi = ue->u.msi.address_hi;
		e->msi.data = ue->u.msi.data;
		return kvm_msi_valid(kvm, e) ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/**
 * kvm_arch_can_set_irq_routing() - is there anything to route to
 * @kvm: the VM
 */
bool kvm_arch_can_set_irq_routing(struct kvm *kvm)
{
	return kvm_irqchip_in_kernel(kvm);
}

/**
 * kvm_arch_post_irq_routing_update() - the routing table was replaced
 * @kvm: the VM
 *
 * With a split irqchip the routes of the first GSIs are user space's IOAPIC.
 */
void kvm_arch_post_irq_routing_update(struct kvm *kvm)
{
	if (kvm_irqchip_in_kernel(kvm))
		kvm_make_scan_ioapic_request(kvm);
}

/**
 * kvm_arch_set_irq_inatomic() - deliver without sleeping
 * @e: route
 * @kvm: the VM
 * @source: KVM_*_IRQ_SOURCE_ID
 * @level: line level
 * @line_status: the caller wants to know whether it was coalesced
 *
 * Return: as kvm_set_irq(), or -EWOULDBLOCK when that may not be done here.
 */
int kvm_arch_set_irq_inatomic(struct kvm_route *e, struct kvm *kvm, int source,
			      int level, bool line_status)
{
	if (e->type != KVM_IRQ_ROUTING_MSI)
		return -EWOULDBLOCK;
	return kvm_set_msi(e, kvm, source, level, line_status);
}

/**
 * kvm_arch_irqfd_allowed() - may there be such an irqfd
 * @kvm: the VM
 * @args: of KVM_IRQFD
 *
 * Return: false for resampling without an IOAPIC or PIC in the kernel, which
 * would have to hear of the EOI.
 */
bool kvm_arch_irqfd_allowed(struct kvm *kvm, struct kvm_irqfd *args)
{
	return !(args->flags & KVM_IRQFD_FLAG_RESAMPLE) || kvm_irqchip_full(kvm);
}

/* GSI 0-15 to the PIC and the IOAPIC, 16-23 to the IOAPIC. */
static int set_default_routing(struct kvm *kvm)
{
	struct kvm_irq_routing_entry *e;
	unsigned int n = 0, gsi;
	int r;

	e = kcalloc(KVM_PIC_PINS + KVM_OOT_IRQCHIP_PINS, sizeof(*e), GFP_KERNEL);
	if (!e)
		return -ENOMEM;
	for (gsi = 0; gsi < KVM_OOT_IRQCHIP_PINS; gsi++) {
		e[n].gsi = gsi;
		e[n].type = KVM_IRQ_ROUTING_IRQCHIP;
		e[n].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e[n++].u.irqchip.pin = gsi;
		if (gsi >= KVM_PIC_PINS)
			continue;
		e[n].gsi = gsi;
		e[n].type = KVM_IRQ_ROUTING_IRQCHIP;
		e[n].u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER :
						   KVM_IRQCHIP_PIC_SLAVE;
		e[n++].u.irqchip.pin = gsi & 7;
	}
	r = kvm_set_irq_routing(kvm, e, n, 0);
	kfree(e);
	return r;
}

/* ---- EOIs somebody wants to hear of --------------------------------------- */

/**
 * kvm_make_scan_ioapic_request() - what the EOIs are for has changed
 * @kvm: the VM
 */
void kvm_make_scan_ioapic_request(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
		/* before it can end an interrupt that the new entry sends */
		if (READ_ONCE(vcpu->mode) == KVM_IN_GUEST)
			kvm_vcpu_kick(vcpu);
	}
}

static void scan_routes(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_route routes[KVM_ROUTES_PER_GSI];
	u32 gsi, pins = kvm->arch.nr_reserved_ioapic_pins;
	int idx, n, i;

	idx = srcu_read_lock(&kvm->irq_srcu);
	for (gsi = 0; gsi < pins; gsi++) {
		n = kvm_irq_map_gsi(kvm, routes, gsi);
		for (i = 0; i < n; i++) {
			struct kvm_lapic_irq irq;

			if (routes[i].type != KVM_IRQ_ROUTING_MSI)
				continue;
			kvm_msi_to_irq(kvm, &routes[i], &irq);
			if (irq.trig_mode &&
			    (kvm_lapic_match(vcpu->arch.apic, NULL, &irq) ||
			     kvm_lapic_test_vec(vcpu->arch.apic, irq.vector, APIC_IRR) ||
			     kvm_lapic_test_vec(vcpu->arch.apic, irq.vector, APIC_ISR)))
				__set_bit(irq.vector, vcpu->arch.ioapic_handled_vectors);
		}
	}
	srcu_read_unlock(&kvm->irq_srcu, idx);
}

/**
 * kvm_scan_ioapic() - find the vectors whose EOI must be passed on
 * @vcpu: the vCPU, in its thread
 */
void kvm_scan_ioapic(struct kvm_vcpu *vcpu)
{
	if (!kvm_lapic_in_kernel(vcpu))
		return;
	/* also what is on its way here counts: have it in IRR */
	kvm_lapic_find_highest_irr(vcpu);
	bitmap_zero(vcpu->arch.ioapic_handled_vectors, 256);
	kvm_lapic_lint0_scan(vcpu->arch.apic);
	if (kvm_irqchip_split(vcpu->kvm))
		scan_routes(vcpu);
	else
		kvm_ioapic_scan(vcpu);
	kvm_lapic_hw_update(vcpu);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_scan_ioapic);

/**
 * kvm_pic_output_changed() - the PIC's INTR rose
 * @kvm: the VM; callable with interrupts off
 */
void kvm_pic_output_changed(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!vcpu->arch.apic)
			continue;
		if (!kvm_lapic_accepts_pic(vcpu->arch.apic)) {
			kvm_lapic_lint0(vcpu->arch.apic, true);
			continue;
		}
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}

/* ---- creation ------------------------------------------------------------- */

static int create_irqchip(struct kvm *kvm)
{
	int r;

	mutex_lock(&kvm->lock);
	r = -EEXIST;
	if (kvm_irqchip_in_kernel(kvm))
		goto out;
	r = -EINVAL;
	if (kvm->created_vcpus)
		goto out;

	mutex_lock(&kvm->slots_lock);
	r = kvm_pic_create(kvm);
	if (r)
		goto out_slots;
	r = kvm_ioapic_create(kvm);
	if (r) {
		kvm_pic_destroy(kvm);
		goto out_slots;
	}
	mutex_unlock(&kvm->slots_lock);

	r = set_default_routing(kvm);
	mutex_lock(&kvm->slots_lock);
	if (r) {
		kvm_ioapic_destroy(kvm);
		kvm_pic_destroy(kvm);
		goto out_slots;
	}
	/* the chips before the mode that lets others use them */
	smp_wmb();
	WRITE_ONCE(kvm->arch.irqchip_mode, KVM_IRQCHIP_KERNEL);
out_slots:
	mutex_unlock(&kvm->slots_lock);
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/**
 * kvm_irq_enable_split() - KVM_CAP_SPLIT_IRQCHIP
 * @kvm: the VM; kvm->lock is held
 * @nr_pins: GSIs that are pins of user space's IOAPIC, checked
 *
 * Return: 0; -EEXIST when there is an irqchip, or a vCPU; -ENOMEM.
 */
int kvm_irq_enable_split(struct kvm *kvm, unsigned int nr_pins)
{
	int r;

	lockdep_assert_held(&kvm->lock);
	if (kvm_irqchip_in_kernel(kvm) || kvm->created_vcpus)
		return -EEXIST;
	r = kvm_set_irq_routing(kvm, NULL, 0, 0);
	if (r)
		return r;
	kvm->arch.nr_reserved_ioapic_pins = nr_pins;
	smp_wmb();	/* as above */
	WRITE_ONCE(kvm->arch.irqchip_mode, KVM_IRQCHIP_SPLIT);
	return 0;
}

static int create_pit(struct kvm *kvm, u32 flags)
{
	int r;

	mutex_lock(&kvm->lock);
	r = -EEXIST;
	if (kvm->arch.vpit)
		goto out;
	r = -ENOENT;
	if (!kvm_irqchip_full(kvm))
		goto out;
	mutex_lock(&kvm->slots_lock);
	r = kvm_pit_create(kvm, flags);
	mutex_unlock(&kvm->slots_lock);
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/* ---- ioctls --------------------------------------------------------------- */

static long irq_line(struct kvm *kvm, void __user *argp, bool want_status)
{
	struct kvm_irq_level line;
	int r;

	if (copy_from_user(&line, argp, sizeof(line)))
		return -EFAULT;
	if (!kvm_irqchip_in_kernel(kvm))
		return -ENXIO;
	r = kvm_set_irq(kvm, KVM_USERSPACE_IRQ_SOURCE_ID, line.irq, !!line.level,
			want_status);
	if (!want_status)
		return 0;
	line.status = r;
	return copy_to_user(argp, &line, sizeof(line)) ? -EFAULT : 0;
}

static long get_irqchip(struct kvm *kvm, void __user *argp)
{
	struct kvm_irqchip *chip;
	long r = 0;

	chip = memdup_user(argp, sizeof(*chip));
	if (IS_ERR(chip))
		return PTR_ERR(chip);
	if (!kvm_irqchip_full(kvm)) {
		r = -ENXIO;
		goto out;
	}
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		kvm_pic_get_state(kvm->arch.vpic, chip->chip_id, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_IOAPIC:
		kvm_ioapic_get_state(kvm->arch.vioapic, &chip->chip.ioapic);
		break;
	default:
		r = -EINVAL;
	}
	if (!r && copy_to_user(argp, chip, sizeof(*chip)))
		r = -EFAULT;
out:
	kfree(chip);
	return r;
}

static long set_irqchip(struct kvm *kvm, void __user *argp)
{
	struct kvm_irqchip *chip;
	long r = 0;

	chip = memdup_user(argp, sizeof(*chip));
	if (IS_ERR(chip))
		return PTR_ERR(chip);
	if (!kvm_irqchip_full(kvm)) {
		r = -ENXIO;
		goto out;
	}
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		r = kvm_pic_set_state(kvm->arch.vpic, chip->chip_id, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_IOAPIC:
		kvm_ioapic_set_state(kvm->arch.vioapic, &chip->chip.ioapic);
		break;
	default:
		r = -EINVAL;
	}
out:
	kfree(chip);
	return r;
}

static long get_pit(struct kvm *kvm, void __user *argp, size_t size)
{
	struct kvm_pit_state2 ps = {};

	kvm_pit_get_state2(kvm->arch.vpit, &ps);
	return copy_to_user(argp, &ps, size) ? -EFAULT : 0;
}

static long set_pit(struct kvm *kvm, void __user *argp, size_t size)
{
	struct kvm_pit_state2 ps = {};

	/* the older structure is the beginning of the newer one */
	if (copy_from_user(&ps, argp, size))
		return -EFAULT;
	return kvm_pit_set_state2(kvm->arch.vpit, &ps);
}

static long pit_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	struct kvm_reinject_control control;
	long r = -ENXIO;

	mutex_lock(&kvm->lock);
	if (!kvm->arch.vpit)
		goto out;
	switch (ioctl) {
	case KVM_GET_PIT:
		r = get_pit(kvm, argp, sizeof(struct kvm_pit_state));
		break;
	case KVM_SET_PIT:
		r = set_pit(kvm, argp, sizeof(struct kvm_pit_state));
		break;
	case KVM_GET_PIT2:
		r = get_pit(kvm, argp, sizeof(struct kvm_pit_state2));
		break;
	case KVM_SET_PIT2:
		r = set_pit(kvm, argp, sizeof(struct kvm_pit_state2));
		break;
	case KVM_REINJECT_CONTROL:
		r = -EFAULT;
		if (copy_from_user(&control, argp, sizeof(control)))
			break;
		kvm_pit_set_reinject(kvm->arch.vpit, control.pit_reinject);
		r = 0;
		break;
	}
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/**
 * kvm_irq_vm_ioctl() - the VM ioctls of the interrupt controllers
 * @kvm: the VM
 * @ioctl: request
 * @arg: its argument
 *
 * Return: as documented; -ENXIO when the chip asked for is not in the kernel;
 * -ENOTTY for any other request.
 */
long kvm_irq_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	struct kvm_pit_config config;

	switch (ioctl) {
	case KVM_CREATE_IRQCHIP:
		return create_irqchip(kvm);
	case KVM_CREATE_PIT:
		return create_pit(kvm, KVM_PIT_SPEAKER_DUMMY);
	case KVM_CREATE_PIT2:
		if (copy_from_user(&config, argp, sizeof(config)))
			return -EFAULT;
		if (config.flags & ~KVM_PIT_SPEAKER_DUMMY)
			return -EINVAL;
		return create_pit(kvm, config.flags);
	case KVM_IRQ_LINE:
		return irq_line(kvm, argp, false);
	case KVM_IRQ_LINE_STATUS:
		return irq_line(kvm, argp, true);
	case KVM_GET_IRQCHIP:
		return get_irqchip(kvm, argp);
	case KVM_SET_IRQCHIP:
		return set_irqchip(kvm, argp);
	case KVM_GET_PIT:
	case KVM_SET_PIT:
	case KVM_GET_PIT2:
	case KVM_SET_PIT2:
	case KVM_REINJECT_CONTROL:
		return pit_ioctl(kvm, ioctl, argp);
	default:
		return -ENOTTY;
	}
}

/* ---- life cycle ----------------------------------------------------------- */

/**
 * kvm_irq_module_init() - set up what all VMs share
 *
 * Return: 0.
 */
int kvm_irq_module_init(void)
{
	return 0;
}

/**
 * kvm_irq_module_exit() - undo it
 */
void kvm_irq_module_exit(void)
{
}

/**
 * kvm_x2apic_flags() - KVM_CHECK_EXTENSION of KVM_CAP_X2APIC_API
 * @kvm: the VM, NULL when asked of none
 *
 * Return: KVM_X2APIC_* that can be set. Our IOAPIC has no EOI register, so a LAPIC's EOI
 * can be kept from those in user space only.
 */
u64 kvm_x2apic_flags(struct kvm *kvm)
{
	u64 flags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK |
		    KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST;

	if (!kvm || kvm_irqchip_split(kvm))
		flags |= KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST;
	return flags;
}

/**
 * kvm_set_x2apic_flags() - KVM_ENABLE_CAP of KVM_CAP_X2APIC_API
 * @kvm: the VM; kvm->lock is held
 * @flags: KVM_X2APIC_*; what is not named stays as it is
 *
 * Return: 0; -EINVAL for unknown flags, those that exclude each other, and suppression
 * with an IOAPIC in the kernel, or none yet.
 */
int kvm_set_x2apic_flags(struct kvm *kvm, u64 flags)
{
	const u64 both = KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST |
			 KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST;

	if ((flags & ~kvm_x2apic_flags(kvm)) || (flags & both) == both)
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		kvm->arch.x2apic_format = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		kvm->arch.x2apic_broadcast_quirk_disabled = true;
	if (flags & KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST)
		WRITE_ONCE(kvm->arch.eoi_broadcast, KVM_EOI_BROADCAST_SUPPRESSIBLE);
	if (flags & KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST)
		WRITE_ONCE(kvm->arch.eoi_broadcast, KVM_EOI_BROADCAST_ALWAYS);
	return 0;
}

/**
 * kvm_set_bus_cycle() - KVM_ENABLE_CAP of KVM_CAP_X86_APIC_BUS_CYCLES_NS
 * @kvm: the VM; kvm->lock is held
 * @ns: duration of a cycle of the bus clock, by which LAPIC timers count
 *
 * Return: 0; -EINVAL for a duration with which a timer overflows, or with vCPUs; -ENXIO
 * without LAPICs in the kernel.
 */
int kvm_set_bus_cycle(struct kvm *kvm, u64 ns)
{
	if (!kvm_lapic_bus_cycle_valid(ns))
		return -EINVAL;
	if (!kvm_irqchip_in_kernel(kvm))
		return -ENXIO;
	if (kvm->created_vcpus)
		return -EINVAL;
	WRITE_ONCE(kvm->arch.apic_bus_cycle_ns, ns);
	return 0;
}

/**
 * kvm_irq_vm_init() - a new VM: there is no irqchip yet
 * @kvm: the VM
 */
void kvm_irq_vm_init(struct kvm *kvm)
{
	kvm->arch.irqchip_mode = KVM_IRQCHIP_NONE;
	kvm->arch.apic_bus_cycle_ns = KVM_LAPIC_BUS_CYCLE_NS;
}

/**
 * kvm_irq_vm_pre_destroy() - stop timers and work
 * @kvm: a VM without users
 */
void kvm_irq_vm_pre_destroy(struct kvm *kvm)
{
	if (kvm->arch.vpit)
		kvm_pit_stop(kvm);
	kvm_ioapic_stop(kvm);
}

/**
 * kvm_irq_vm_destroy() - free the chips
 * @kvm: a VM without users
 */
void kvm_irq_vm_destroy(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	if (kvm->arch.vpit)
		kvm_pit_destroy(kvm);
	if (kvm->arch.vpic)
		kvm_pic_destroy(kvm);
	kvm_ioapic_destroy(kvm);
	mutex_unlock(&kvm->slots_lock);
	kvm_lapic_map_free(kvm);
	kvm_apic_page_free(kvm);
}
