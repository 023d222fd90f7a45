// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which local APICs an interrupt message is for: physical and logical
 * destinations, shorthands, broadcast, lowest priority (Intel SDM vol. 3, 11.6
 * and 11.12.9).
 *
 * Destinations are looked up in a map: APICs by physical id, which in x2APIC mode
 * says what the logical one is, and APICs by their bit of LDR in xAPIC mode. What
 * the map cannot say, as it names one APIC at most for each, and broadcasts, asks
 * each APIC. The map is rebuilt when an id, a mode or a logical destination
 * changes, and read under RCU.
 */
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"

#define XAPIC_BROADCAST		0xffu
#define X2APIC_BROADCAST	0xffffffffu

/* in the place of an APIC: there is more than one, each must be asked */
#define SEVERAL			((struct kvm_lapic *)ERR_PTR(-EEXIST))

/* LDR's bits of the cluster model: 4 of each of 16 clusters; of the flat model: 8 */
#define XAPIC_LOGICAL		64

enum logical_model {
	LOGICAL_NONE,		/* no APIC has a logical destination */
	LOGICAL_FLAT,
	LOGICAL_CLUSTER,
	LOGICAL_X2APIC,
	LOGICAL_MIXED,		/* not all have the same: each must be asked */
};

/**
 * struct kvm_apic_map - APICs by destination
 * @rcu: for freeing
 * @model: what a logical destination means
 * @logical: by bits of LDR, in xAPIC mode
 * @max_id: highest id in @phys
 * @phys: by physical id; NULL where there is none, or SEVERAL
 */
struct kvm_apic_map {
	struct rcu_head rcu;
	enum logical_model model;
	struct kvm_lapic *logical[XAPIC_LOGICAL];
	u32 max_id;
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

/**
 * struct targets - APICs that a destination names
 * @apic: an array of the map, NULL where there is none
 * @bits: which of its elements, from the lowest on
 */
struct targets {
	struct kvm_lapic **apic;
	unsigned long bits;
};

#define for_each_target(i, t) for_each_set_bit(i, &(t)->bits, 16)

static void find_physical(struct kvm_apic_map *map, u32 dest, struct targets *t)
{
	if (dest > map->max_id)
		return;
	t->apic = &map->phys[dest];
	t->bits = 1;
}

static void find_logical(struct kvm_apic_map *map, u32 dest, struct targets *t)
{
	u32 first;

	switch (map->model) {
	case LOGICAL_FLAT:
		t->apic = map->logical;
		t->bits = dest & 0xff;
		break;
	case LOGICAL_CLUSTER:
		if (dest > 0xff)
			break;
		t->apic = &map->logical[(dest >> 4) * 4];
		t->bits = dest & 0xf;
		break;
	case LOGICAL_X2APIC:
		/* the id's low four bits say which bit of a cluster, the others which cluster */
		first = (dest >> 16) << 4;
		if (first > map->max_id)
			break;
		t->apic = &map->phys[first];
		t->bits = dest & GENMASK(min_t(u32, map->max_id - first, 15), 0);
		break;
	default:
		break;
	}
}

/* Return: false when the map cannot say it. */
static bool find_targets(struct kvm *kvm, struct kvm_apic_map *map, const struct kvm_lapic *src,
			 const struct kvm_lapic_irq *irq, struct targets *t)
{
	unsigned int i;

	if (!map || irq->shorthand || is_broadcast(kvm, src, irq->dest_id))
		return false;
	t->bits = 0;
	if (irq->dest_mode == APIC_DEST_PHYSICAL) {
		find_physical(map, irq->dest_id, t);
	} else {
		if (map->model == LOGICAL_MIXED)
			return false;
		find_logical(map, irq->dest_id, t);
	}
	for_each_target(i, t) {
		if (t->apic[i] == SEVERAL)
			return false;
		/* ids of xAPICs say nothing of their logical destinations */
		if (irq->dest_mode == APIC_DEST_LOGICAL && map->model == LOGICAL_X2APIC &&
		    t->apic[i] && !kvm_lapic_x2apic(t->apic[i]))
			t->bits &= ~BIT(i);
	}
	return true;
}

static bool is_lowest(const struct kvm_lapic_irq *irq)
{
	return irq->delivery_mode == APIC_DM_LOWEST || irq->msi_redir_hint;
}

/*
 * Lowest priority: which CPU has it is not the same on any two chips; vectors
 * are spread over those that are addressed and take interrupts.
 */
static unsigned int lowest_of(const struct kvm_lapic_irq *irq, unsigned int n,
			      struct kvm_lapic_irq *fixed)
{
	*fixed = *irq;
	if (irq->delivery_mode == APIC_DM_LOWEST)
		fixed->delivery_mode = APIC_DM_FIXED;
	return irq->vector % n;
}

static int deliver_lowest(struct kvm *kvm, struct kvm_lapic *src,
			  const struct kvm_lapic_irq *irq)
{
	struct kvm_lapic_irq fixed;
	unsigned int n = 0, pick;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (kvm_lapic_enabled(vcpu) && kvm_lapic_match(vcpu->arch.apic, src, irq))
			n++;
	if (!n)
		return -1;
	pick = lowest_of(irq, n, &fixed);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!kvm_lapic_enabled(vcpu) ||
		    !kvm_lapic_match(vcpu->arch.apic, src, irq))
			continue;
		if (!pick--)
			return kvm_lapic_accept(vcpu->arch.apic, &fixed);
	}
	return -1;
}

static bool takes_interrupts(const struct kvm_lapic *apic)
{
	return apic && kvm_lapic_enabled(apic->vcpu);
}

static int deliver_lowest_of(const struct targets *t, const struct kvm_lapic_irq *irq)
{
	struct kvm_lapic_irq fixed;
	unsigned int n = 0, pick, i;

	for_each_target(i, t)
		n += takes_interrupts(t->apic[i]);
	if (!n)
		return -1;
	pick = lowest_of(irq, n, &fixed);
	for_each_target(i, t)
		if (takes_interrupts(t->apic[i]) && !pick--)
			return kvm_lapic_accept(t->apic[i], &fixed);
	return -1;
}

static int deliver_to(const struct targets *t, const struct kvm_lapic_irq *irq)
{
	unsigned int i;
	int r = -1;

	if (is_lowest(irq))
		return deliver_lowest_of(t, irq);
	for_each_target(i, t)
		if (t->apic[i] && kvm_lapic_hw_enabled(t->apic[i]))
			r = max(r, 0) + kvm_lapic_accept(t->apic[i], irq);
	return r;
}

static int deliver_asking_each(struct kvm *kvm, struct kvm_lapic *src,
			       const struct kvm_lapic_irq *irq)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r = -1;

	if (is_lowest(irq))
		return deliver_lowest(kvm, src, irq);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct kvm_lapic *apic = vcpu->arch.apic;

		if (apic && kvm_lapic_hw_enabled(apic) && kvm_lapic_match(apic, src, irq))
			r = max(r, 0) + kvm_lapic_accept(apic, irq);
	}
	return r;
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
	struct targets t;
	bool found;
	int r = -1;

	if (irq->shorthand == APIC_DEST_SELF)
		return src ? kvm_lapic_accept(src, irq) : -1;
	rcu_read_lock();
	found = find_targets(kvm, rcu_dereference(kvm->arch.apic_map), src, irq, &t);
	if (found)
		r = deliver_to(&t, irq);
	rcu_read_unlock();
	return found ? r : deliver_asking_each(kvm, src, irq);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_irq_deliver);

/**
 * kvm_irq_only_target() - the vCPU that a message is for, if there can be just one
 * @kvm: the VM
 * @irq: fixed, or lowest priority; from an MSI
 *
 * Callable with interrupts off.
 *
 * Return: the vCPU, or NULL. The answer is good until the map is replaced.
 */
struct kvm_vcpu *kvm_irq_only_target(struct kvm *kvm, const struct kvm_lapic_irq *irq)
{
	struct kvm_lapic *only = NULL;
	unsigned int n = 0, i;
	struct targets t;

	rcu_read_lock();
	if (find_targets(kvm, rcu_dereference(kvm->arch.apic_map), NULL, irq, &t)) {
		for_each_target(i, &t) {
			if (t.apic[i] && kvm_lapic_hw_enabled(t.apic[i])) {
				only = t.apic[i];
				n++;
			}
		}
	}
	rcu_read_unlock();
	return n == 1 ? only->vcpu : NULL;
}

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
	unsigned long i;

	if (id >= KVM_OOT_MAX_VCPU_IDS)
		return NULL;
	if (!kvm_irqchip_in_kernel(kvm))
		return kvm_get_vcpu_by_id(kvm, id);
	rcu_read_lock();
	map = rcu_dereference(kvm->arch.apic_map);
	if (!map)
		apic = SEVERAL;
	else if (id <= map->max_id)
		apic = map->phys[id];
	rcu_read_unlock();
	/* an APIC goes with its vCPU, and that with the VM */
	if (apic != SEVERAL)
		return apic ? apic->vcpu : NULL;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.apic && kvm_lapic_hw_enabled(vcpu->arch.apic) &&
		    match_physical(vcpu->arch.apic, id))
			return vcpu;
	return NULL;
}

/* ---- the map -------------------------------------------------------------- */

static void put_physical(struct kvm_apic_map *map, u32 id, struct kvm_lapic *apic)
{
	/* a mode may have changed since the maximum was found: then it is rebuilt once more */
	if (id <= map->max_id)
		map->phys[id] = map->phys[id] ? SEVERAL : apic;
}

static bool has_model(struct kvm_apic_map *map, enum logical_model model)
{
	if (map->model == LOGICAL_NONE)
		map->model = model;
	if (map->model != model)
		map->model = LOGICAL_MIXED;
	return map->model == model;
}

static void put_logical(struct kvm_apic_map *map, struct kvm_lapic *apic)
{
	u32 ldr = kvm_lapic_reg(apic, APIC_LDR) >> 24, first = 0, bits = ldr;
	bool cluster = false;
	unsigned int bit;

	switch (kvm_lapic_reg(apic, APIC_DFR)) {
	case APIC_DFR_FLAT:
		break;
	case APIC_DFR_CLUSTER:
		cluster = true;
		first = (ldr >> 4) * 4;
		bits = ldr & 0xf;
		break;
	default:
		return;
	}
	if (!bits || !has_model(map, cluster ? LOGICAL_CLUSTER : LOGICAL_FLAT))
		return;
	/* with two bits it would be found twice */
	bit = first + __ffs(bits);
	if (!is_power_of_2(bits) || map->logical[bit])
		map->model = LOGICAL_MIXED;
	map->logical[bit] = apic;
}

static void put(struct kvm_apic_map *map, struct kvm_lapic *apic)
{
	u32 id = apic->vcpu->vcpu_id;

	if (!kvm_lapic_hw_enabled(apic))
		return;
	if (kvm_lapic_x2apic(apic)) {
		put_physical(map, id, apic);
		has_model(map, LOGICAL_X2APIC);
		return;
	}
	put_physical(map, kvm_lapic_reg(apic, APIC_ID) >> 24, apic);
	/* as match_physical() has it */
	if (id > XAPIC_BROADCAST)
		put_physical(map, id, apic);
	put_logical(map, apic);
}

/**
 * kvm_recalculate_apic_map() - rebuild the map if something changed
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
				      kvm_lapic_reg(vcpu->arch.apic, APIC_ID) >> 24);
	new = kvzalloc(struct_size(new, phys, max_id + 1), GFP_KERNEL_ACCOUNT);
	if (new) {
		new->max_id = max_id;
		kvm_for_each_vcpu(i, vcpu, kvm)
			if (vcpu->arch.apic)
				put(new, vcpu->arch.apic);
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
	if (READ_ONCE(kvm->irqfds.nr_producers))
		kvm_irqfd_routing_update(kvm);
}

/**
 * kvm_lapic_map_free() - free the map of a VM without vCPUs
 * @kvm: the VM
 */
void kvm_lapic_map_free(struct kvm *kvm)
{
	struct kvm_apic_map *map = rcu_dereference_protected(kvm->arch.apic_map, 1);

	RCU_INIT_POINTER(kvm->arch.apic_map, NULL);
	kvfree(map);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_map_free);
