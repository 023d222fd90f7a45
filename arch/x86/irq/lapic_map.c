// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which local APICs an interrupt message is for: physical and logical
 * destinations, shorthands, broadcast, lowest priority (Intel SDM vol. 3, 11.6
 * and 11.12.9).
 *
 * A physical destination, which is what Linux mostly uses, is looked up in an
 * array; everything else asks each APIC. The array is rebuilt when an id, a mode
 * or an enable bit changes, and read under RCU.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"

#define XAPIC_BROADCAST		0xffu
#define X2APIC_BROADCAST	0xffffffffu

/**
 * struct kvm_apic_map - APICs by physical id
 * @rcu: for freeing
 * @max_id: highest id in @phys
 * @phys: NULL where there is none; @ambiguous says where not to look
 * @ambiguous: two APICs have the same id, or one cannot be named by it alone
 */
struct kvm_apic_map {
	struct rcu_head rcu;
	u32 max_id;
	bool ambiguous;
	struct kvm_lapic *phys[];
};

static bool is_broadcast(struct kvm *kvm, const struct kvm_lapic *src, u32 dest)
{
	if (src)
		return dest == (kvm_lapic_x2apic(src) ? X2APIC_BROADCAST :
							XAPIC_BROADCAST);
	/* from the IOAPIC or an MSI: what it means depends on who reads it */
	if (dest == X2APIC_BROADCAST)
		return true;
	return dest == XAPIC_BROADCAST &&
	       !kvm->arch.x2apic_broadcast_quirk_disabled;
}

static bool match_physical(struct kvm_lapic *apic, u32 dest)
{
	if (kvm_lapic_x2apic(apic))
		return dest == apic->vcpu->vcpu_id;
	/* an id beyond 8 bits can only be meant as it was given to the vCPU */
	if (dest > XAPIC_BROADCAST)
		return dest == apic->vcpu->vcpu_id;
	return dest == kvm_lapic_reg(apic, APIC_ID) >> 24;
}

static bool match_logical(struct kvm_lapic *apic, u32 dest)
{
	u32 ldr = kvm_lapic_reg(apic, APIC_LDR);

	if (kvm_lapic_x2apic(apic))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	switch (kvm_lapic_reg(apic, APIC_DFR)) {
	case APIC_DFR_FLAT:
		return ldr & dest & 0xff;
	case APIC_DFR_CLUSTER:
		return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
	default:
		return false;
	}
}

/**
 * kvm_lapic_match() - is a message for this APIC
 * @apic: the APIC
 * @src: APIC that sent it, or NULL for the IOAPIC and MSIs
 * @irq: the message
 */
bool kvm_lapic_match(struct kvm_lapic *apic, const struct kvm_lapic *src,
		     const struct kvm_lapic_irq *irq)
{
	switch (irq->shorthand) {
	case APIC_DEST_SELF:
		return apic == src;
	case APIC_DEST_ALLINC:
		return true;
	case APIC_DEST_ALLBUT:
		return apic != src;
	}
	if (is_broadcast(apic->vcpu->kvm, src, irq->dest_id))
		return true;
	return irq->dest_mode == APIC_DEST_LOGICAL ?
		match_logical(apic, irq->dest_id) :
		match_physical(apic, irq->dest_id);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_match);

/* The APIC with a physical id when that is all there is to it; else -1. */
static int deliver_by_map(struct kvm *kvm, struct kvm_lapic *src,
			  const struct kvm_lapic_irq *irq)
{
	struct kvm_apic_map *map;
	int r = -1;

	if (irq->shorthand || irq->dest_mode != APIC_DEST_PHYSICAL ||
	    is_broadcast(kvm, src, irq->dest_id))
		return -1;

	rcu_read_lock();
	map = rcu_dereference(kvm->arch.apic_map);
	if (map && !map->ambiguous && irq->dest_id <= map->max_id) {
		struct kvm_lapic *apic = map->phys[irq->dest_id];

		if (apic)
			r = kvm_lapic_accept(apic, irq);
	}
	rcu_read_unlock();
	return r;
}

static bool is_lowest(const struct kvm_lapic_irq *irq)
{
	return irq->delivery_mode == APIC_DM_LOWEST || irq->msi_redir_hint;
}

/*
 * Lowest priority: which CPU has it is not the same on any two chips; vectors
 * are spread over those that are addressed and take interrupts.
 */
static int deliver_lowest(struct kvm *kvm, struct kvm_lapic *src,
			  const struct kvm_lapic_irq *irq)
{
	struct kvm_lapic_irq fixed = *irq;
	unsigned int n = 0, pick;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (kvm_lapic_enabled(vcpu) && kvm_lapic_match(vcpu->arch.apic, src, irq))
			n++;
	if (!n)
		return -1;
	pick = irq->vector % n;
	if (irq->delivery_mode == APIC_DM_LOWEST)
		fixed.delivery_mode = APIC_DM_FIXED;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!kvm_lapic_enabled(vcpu) ||
		    !kvm_lapic_match(vcpu->arch.apic, src, irq))
			continue;
		if (!pick--)
			return kvm_lapic_accept(vcpu->arch.apic, &fixed);
	}
	return -1;
}

/**
 * kvm_irq_deliver() - bring a message to the APICs that it is for
 * @kvm: the VM
 * @src: APIC that sends it, or NULL for the IOAPIC and MSIs
 * @irq: the message
 *
 * Callable with interrupts off.
 *
 * Return: how many took it; 0 when those addressed ignore it; -1 when none is
 * addressed.
 */
int kvm_irq_deliver(struct kvm *kvm, struct kvm_lapic *src, struct kvm_lapic_irq *irq)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r;

	if (irq->shorthand == APIC_DEST_SELF)
		return src ? kvm_lapic_accept(src, irq) : -1;
	r = deliver_by_map(kvm, src, irq);
	if (r >= 0)
		return r;
	if (is_lowest(irq))
		return deliver_lowest(kvm, src, irq);

	r = -1;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct kvm_lapic *apic = vcpu->arch.apic;

		if (!apic || !kvm_lapic_hw_enabled(apic) ||
		    !kvm_lapic_match(apic, src, irq))
			continue;
		r = max(r, 0) + kvm_lapic_accept(apic, irq);
	}
	return r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_irq_deliver);

/**
 * kvm_vcpu_by_apic_id() - the vCPU that a hypercall means
 * @kvm: the VM
 * @id: physical id of its APIC
 *
 * Return: the vCPU, which has a LAPIC in the kernel if any has; NULL when there is none.
 */
struct kvm_vcpu *kvm_vcpu_by_apic_id(struct kvm *kvm, u64 id)
{
	struct kvm_lapic *apic = NULL;
	struct kvm_apic_map *map;
	struct kvm_vcpu *vcpu;
	bool known = false;
	unsigned long i;

	if (id >= KVM_OOT_MAX_VCPU_IDS)
		return NULL;
	if (!kvm_irqchip_in_kernel(kvm))
		return kvm_get_vcpu_by_id(kvm, id);
	rcu_read_lock();
	map = rcu_dereference(kvm->arch.apic_map);
	if (map && !map->ambiguous) {
		known = true;
		apic = id <= map->max_id ? map->phys[id] : NULL;
	}
	rcu_read_unlock();
	/* an APIC goes with its vCPU, and that with the VM */
	if (known)
		return apic ? apic->vcpu : NULL;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.apic && kvm_lapic_hw_enabled(vcpu->arch.apic) &&
		    match_physical(vcpu->arch.apic, id))
			return vcpu;
	return NULL;
}

/**
 * kvm_recalculate_apic_map() - rebuild the array if something changed
 * @kvm: the VM; may sleep
 */
void kvm_recalculate_apic_map(struct kvm *kvm)
{
	struct kvm_apic_map *new, *old;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u32 max_id = 0;

	if (!atomic_read(&kvm->arch.apic_map_dirty))
		return;

	mutex_lock(&kvm->arch.apic_map_lock);
	if (!atomic_xchg(&kvm->arch.apic_map_dirty, 0))
		goto out;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.apic)
			max_id = max3(max_id, (u32)vcpu->vcpu_id,
				      kvm_lapic_id(vcpu->arch.apic));
	new = kvzalloc(struct_size(new, phys, max_id + 1), GFP_KERNEL_ACCOUNT);
	if (new) {
		new->max_id = max_id;
		kvm_for_each_vcpu(i, vcpu, kvm) {
			struct kvm_lapic *apic = vcpu->arch.apic;
			u32 id;

			if (!apic || !kvm_lapic_hw_enabled(apic))
				continue;
			id = kvm_lapic_id(apic);
			/* a mode may have changed since the maximum was found: next time */
			if (id > max_id)
				continue;
			if (new->phys[id] || vcpu->vcpu_id > XAPIC_BROADCAST)
				new->ambiguous = true;
			new->phys[id] = apic;
		}
	}
	/* without memory every APIC is asked: slower, still right */
	old = rcu_dereference_protected(kvm->arch.apic_map,
					lockdep_is_held(&kvm->arch.apic_map_lock));
	rcu_assign_pointer(kvm->arch.apic_map, new);
	if (old)
		kvfree_rcu(old, rcu);
	kvm_apic_page_place(kvm);
out:
	mutex_unlock(&kvm->arch.apic_map_lock);
	kvm_make_scan_ioapic_request(kvm);
}

/**
 * kvm_lapic_map_free() - free the array of a VM without vCPUs
 * @kvm: the VM
 */
void kvm_lapic_map_free(struct kvm *kvm)
{
	struct kvm_apic_map *map = rcu_dereference_protected(kvm->arch.apic_map, 1);

	RCU_INIT_POINTER(kvm->arch.apic_map, NULL);
	kvfree(map);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_map_free);
