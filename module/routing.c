// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing: which controller pins, or which message, a global system
 * interrupt stands for (Documentation/virt/kvm/api.rst, KVM_SET_GSI_ROUTING).
 *
 * The table is replaced whole and read under kvm->irq_srcu. A GSI may go to
 * several chips' pins (the PIC and the IOAPIC), but to one pin of each, or to
 * one MSI.
 */
#include <linux/slab.h>

#include "module/kvm_host.h"
#include "module/trace.h"

static struct kvm_routing_table *table_deref(struct kvm *kvm)
{
	return srcu_dereference_check(kvm->irq_routing, &kvm->irq_srcu,
				      lockdep_is_held(&kvm->irq_lock) ||
				      !refcount_read(&kvm->users));
}

/**
 * kvm_irq_map_gsi() - what a GSI stands for
 * @kvm: the VM; irq_srcu or irq_lock held
 * @out: KVM_ROUTES_PER_GSI entries to fill
 * @gsi: the GSI
 *
 * Return: the number of entries filled.
 */
int kvm_irq_map_gsi(struct kvm *kvm, struct kvm_route *out, u32 gsi)
{
	struct kvm_routing_table *table = table_deref(kvm);
	struct kvm_route *e;
	int n = 0;

	if (!table || gsi >= table->nr_gsis)
		return 0;
	hlist_for_each_entry(e, &table->map[gsi], link) {
		if (n < KVM_ROUTES_PER_GSI)
			out[n++] = *e;
	}
	return n;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_irq_map_gsi);

/**
 * kvm_irq_map_chip_pin() - the GSI that goes to a pin
 * @kvm: the VM; irq_srcu or irq_lock held
 * @irqchip: chip
 * @pin: pin of the chip
 *
 * Return: the GSI, or -1.
 */
int kvm_irq_map_chip_pin(struct kvm *kvm, unsigned int irqchip,
			 unsigned int pin)
{
	struct kvm_routing_table *table = table_deref(kvm);

	return table ? table->chip[irqchip][pin] : -1;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_irq_map_chip_pin);

/* The copies outlive the read section: nothing they point to goes away. */
static int copy_routes(struct kvm *kvm, struct kvm_route *routes, u32 gsi)
{
	int idx = srcu_read_lock(&kvm->irq_srcu);
	int n = kvm_irq_map_gsi(kvm, routes, gsi);

	srcu_read_unlock(&kvm->irq_srcu, idx);
	return n;
}

static int set_all(struct kvm *kvm, struct kvm_route *routes, int n, int source, int level,
		   bool line_status)
{
	int ret = -1;

	while (n--) {
		int r = routes[n].set(&routes[n], kvm, source, level, line_status);

		if (r < 0)
			continue;
		ret = r + max(ret, 0);
	}
	return ret;
}

/**
 * kvm_set_irq() - a source changes the level of a GSI
 * @kvm: the VM
 * @source: KVM_*_IRQ_SOURCE_ID
 * @gsi: the GSI
 * @level: 0 or 1
 * @line_status: the caller wants to know whether it was coalesced
 *
 * Return: >0 delivered to so many, 0 coalesced, <0 masked or not routed.
 */
int kvm_set_irq(struct kvm *kvm, int source, u32 gsi, int level,
		bool line_status)
{
	struct kvm_route routes[KVM_ROUTES_PER_GSI];

	trace_kvm_set_irq(gsi, level, source);
	return set_all(kvm, routes, copy_routes(kvm, routes, gsi), source, level, line_status);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_irq);

/**
 * kvm_pulse_irq() - a source raises a GSI and lowers it again
 * @kvm: the VM
 * @source: KVM_*_IRQ_SOURCE_ID
 * @gsi: the GSI
 *
 * By the same routes, also when the table is replaced meanwhile: a pin that stays up would take
 * no edge any more.
 *
 * Return: of the rise, as kvm_set_irq().
 */
int kvm_pulse_irq(struct kvm *kvm, int source, u32 gsi)
{
	struct kvm_route routes[KVM_ROUTES_PER_GSI];
	int n = copy_routes(kvm, routes, gsi), r;

	trace_kvm_set_irq(gsi, 1, source);
	r = set_all(kvm, routes, n, source, 1, false);
	trace_kvm_set_irq(gsi, 0, source);
	set_all(kvm, routes, n, source, 0, false);
	return r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pulse_irq);

/* ---- acknowledgment ------------------------------------------------------ */

/**
 * kvm_notify_acked_gsi() - the guest has ended an interrupt of a GSI
 * @kvm: the VM; irq_srcu held
 * @gsi: the GSI
 */
void kvm_notify_acked_gsi(struct kvm *kvm, u32 gsi)
{
	struct kvm_irq_ack_notifier *kian;

	hlist_for_each_entry_srcu(kian, &kvm->irq_ack_notifiers, link,
				  srcu_read_lock_held(&kvm->irq_srcu)) {
		if (kian->gsi == gsi)
			kian->irq_acked(kian);
	}
}

/**
 * kvm_notify_acked_irq() - the guest has ended an interrupt of a pin
 * @kvm: the VM
 * @irqchip: chip
 * @pin: pin of the chip
 */
void kvm_notify_acked_irq(struct kvm *kvm, unsigned int irqchip,
			  unsigned int pin)
{
	int gsi, idx;

	trace_kvm_ack_irq(irqchip, pin);
	idx = srcu_read_lock(&kvm->irq_srcu);
	gsi = kvm_irq_map_chip_pin(kvm, irqchip, pin);
	if (gsi != -1)
		kvm_notify_acked_gsi(kvm, gsi);
	srcu_read_unlock(&kvm->irq_srcu, idx);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_notify_acked_irq);

/**
 * kvm_irq_has_notifier() - does anybody wait for the end of a pin's interrupts
 * @kvm: the VM
 * @irqchip: chip
 * @pin: pin of the chip
 */
bool kvm_irq_has_notifier(struct kvm *kvm, unsigned int irqchip,
			  unsigned int pin)
{
	struct kvm_irq_ack_notifier *kian;
	bool found = false;
	int gsi, idx;

	idx = srcu_read_lock(&kvm->irq_srcu);
	gsi = kvm_irq_map_chip_pin(kvm, irqchip, pin);
	if (gsi != -1) {
		hlist_for_each_entry_srcu(kian, &kvm->irq_ack_notifiers, link,
					  srcu_read_lock_held(&kvm->irq_srcu))
			found |= kian->gsi == gsi;
	}
	srcu_read_unlock(&kvm->irq_srcu, idx);
	return found;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_irq_has_notifier);

/**
 * kvm_register_irq_ack_notifier() - begin to listen
 * @kvm: the VM
 * @kian: GSI and function
 */
void kvm_register_irq_ack_notifier(struct kvm *kvm,
				   struct kvm_irq_ack_notifier *kian)
{
	mutex_lock(&kvm->irq_lock);
	hlist_add_head_rcu(&kian->link, &kvm->irq_ack_notifiers);
	mutex_unlock(&kvm->irq_lock);
	kvm_arch_post_irq_routing_update(kvm);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_register_irq_ack_notifier);

/**
 * kvm_unregister_irq_ack_notifier() - stop listening; it is not called any more
 * @kvm: the VM
 * @kian: as registered
 */
void kvm_unregister_irq_ack_notifier(struct kvm *kvm,
				     struct kvm_irq_ack_notifier *kian)
{
	mutex_lock(&kvm->irq_lock);
	hlist_del_init_rcu(&kian->link);
	mutex_unlock(&kvm->irq_lock);
	synchronize_srcu(&kvm->irq_srcu);
	kvm_arch_post_irq_routing_update(kvm);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_unregister_irq_ack_notifier);

/* ---- the table ------------------------------------------------------------ */

static void free_table(struct kvm_routing_table *table)
{
	if (!table)
		return;
	kvfree(table->entries);
	kvfree(table);
}

static int add_entry(struct kvm *kvm, struct kvm_routing_table *table,
		     struct kvm_route *e, const struct kvm_irq_routing_entry *ue)
{
	struct kvm_route *other;
	int r;

	if (ue->flags)
		return -EINVAL;
	e->gsi = ue->gsi;
	e->type = ue->type;
	r = kvm_arch_set_routing_entry(kvm, e, ue);
	if (r)
		return r;

	/* a GSI is one message, or at most one pin of each chip */
	hlist_for_each_entry(other, &table->map[ue->gsi], link) {
		if (other->type != KVM_IRQ_ROUTING_IRQCHIP ||
		    ue->type != KVM_IRQ_ROUTING_IRQCHIP ||
		    other->irqchip.irqchip == e->irqchip.irqchip)
			return -EINVAL;
	}
	if (e->type == KVM_IRQ_ROUTING_IRQCHIP)
		table->chip[e->irqchip.irqchip][e->irqchip.pin] = ue->gsi;
	hlist_add_head(&e->link, &table->map[ue->gsi]);
	return 0;
}

/**
 * kvm_set_irq_routing() - replace the table
 * @kvm: the VM
 * @entries: new entries
 * @nr: how many
 * @flags: 0
 *
 * Return: 0; -EINVAL for flags or an entry that is bad or contradicts another;
 * -ENOMEM. Nothing changes on failure.
 */
int kvm_set_irq_routing(struct kvm *kvm,
			const struct kvm_irq_routing_entry *entries,
			unsigned int nr, unsigned int flags)
{
	struct kvm_routing_table *new, *old;
	u32 nr_gsis = 0;
	unsigned int i;
	int r;

	if (flags)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (entries[i].gsi >= KVM_OOT_MAX_IRQ_ROUTES)
			return -EINVAL;
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}

	new = kvzalloc(struct_size(new, map, nr_gsis), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	new->nr_gsis = nr_gsis;
	memset(new->chip, -1, sizeof(new->chip));
	r = -ENOMEM;
	if (nr) {
		new->entries = kvcalloc(nr, sizeof(*new->entries), GFP_KERNEL_ACCOUNT);
		if (!new->entries)
			goto out;
	}
	new->nr_entries = nr;
	for (i = 0; i < nr; i++) {
		r = add_entry(kvm, new, &new->entries[i], &entries[i]);
		if (r)
			goto out;
	}

	mutex_lock(&kvm->irq_lock);
	old = rcu_dereference_protected(kvm->irq_routing, 1);
	rcu_assign_pointer(kvm->irq_routing, new);
	kvm_irqfd_routing_update(kvm);
	mutex_unlock(&kvm->irq_lock);

	kvm_arch_post_irq_routing_update(kvm);
	synchronize_srcu_expedited(&kvm->irq_srcu);
	free_table(old);
	return 0;
out:
	free_table(new);
	return r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_set_irq_routing);

/**
 * kvm_free_irq_routing() - free the table of a VM without users
 * @kvm: the VM
 */
void kvm_free_irq_routing(struct kvm *kvm)
{
	free_table(rcu_dereference_protected(kvm->irq_routing, 1));
	RCU_INIT_POINTER(kvm->irq_routing, NULL);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_free_irq_routing);

/**
 * kvm_send_userspace_msi() - KVM_SIGNAL_MSI
 * @kvm: the VM
 * @msi: the message, a kernel copy
 *
 * Return: >0 delivered, 0 blocked by the guest; -EINVAL without an irqchip in the
 * kernel or for flags.
 */
int kvm_send_userspace_msi(struct kvm *kvm, struct kvm_msi *msi)
{
	struct kvm_route route = {
		.type = KVM_IRQ_ROUTING_MSI,
		.msi = {
			.address_lo = msi->address_lo,
			.address_hi = msi->address_hi,
			.data = msi->data,
		},
	};

	if (!kvm_arch_irqchip_in_kernel(kvm) || msi->flags)
		return -EINVAL;
	return kvm_set_msi(&route, kvm, KVM_USERSPACE_IRQ_SOURCE_ID, 1, false);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_send_userspace_msi);
