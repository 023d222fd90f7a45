// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O buses: which in-kernel device answers at an address.
 *
 * A bus is an array of ranges sorted by first address. Each range also keeps
 * the highest address that it or any range before it covers, so a look-up is
 * a binary search for the last range that begins at or below the access, and
 * then a walk backwards which ends as soon as nothing further down can reach
 * that far. Ranges may overlap (an ioeventfd inside a coalesced zone): the one
 * that begins last is asked first, and one that says -EOPNOTSUPP hands on to
 * the next.
 *
 * Readers hold kvm->srcu. A device is added by publishing a larger copy of the
 * array. A device is removed in place: its pointer in the array becomes NULL,
 * readers are waited for, and the empty range goes when the array is copied
 * next. So removal needs no memory and cannot fail, which is where bugs were
 * (CVE-2021-47060, CVE-2023-54024: what to do with a bus that cannot shrink).
 *
 * A length of 0 stands for "any length at exactly this address"; so does an
 * access of length 0, which is a fast MMIO event whose length is not known.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "module/kvm_host.h"

#define KVM_IOBUS_MAX_DEVS	1000	/* without ioeventfds */

/* Every bus begins as this one; it is never freed. */
static struct kvm_io_bus empty_bus;

static struct kvm_io_bus *bus_deref(struct kvm *kvm, enum kvm_bus_id id)
{
	return rcu_dereference_protected(kvm->buses[id],
					 lockdep_is_held(&kvm->slots_lock) ||
					 !refcount_read(&kvm->users));
}

static gpa_t last_byte(gpa_t addr, int len)
{
	return len ? addr + len - 1 : addr;
}

static bool range_takes(const struct kvm_io_range *range, gpa_t addr, int len)
{
	if (!range->len)
		return range->addr == addr;
	return range->addr <= addr && last_byte(addr, len) >= addr &&
	       last_byte(addr, len) <= last_byte(range->addr, range->len);
}

/* How many ranges begin at or below @addr. */
static int ranges_upto(const struct kvm_io_bus *bus, gpa_t addr)
{
	int lo = 0, hi = bus->dev_count;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;

		if (bus->range[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/**
 * kvm_io_bus_write() - offer a guest write to the devices of a bus
 * @vcpu: who writes; kvm->srcu is held for reading
 * @id: bus
 * @addr: guest physical address or port
 * @len: bytes, 0 for a fast MMIO event
 * @val: @len bytes
 *
 * Return: 0 when a device took it, -EOPNOTSUPP when none did.
 */
int kvm_io_bus_write(struct kvm_vcpu *vcpu, enum kvm_bus_id id, gpa_t addr,
		     int len, const void *val)
{
	struct kvm_io_bus *bus;
	int i;

	bus = srcu_dereference(vcpu->kvm->buses[id], &vcpu->kvm->srcu);
	for (i = ranges_upto(bus, addr) - 1; i >= 0; i--) {
		struct kvm_io_range *range = &bus->range[i];
		struct kvm_io_device *dev;

		if (range->reach < addr)
			break;
		dev = READ_ONCE(range->dev);
		if (!dev || !range_takes(range, addr, len))
			continue;
		if (dev->ops->write && !dev->ops->write(vcpu, dev, addr, len, val))
			return 0;
	}
	return -EOPNOTSUPP;
}
EXPORT_SYMBOL_GPL(kvm_io_bus_write);

/**
 * kvm_io_bus_read() - offer a guest read to the devices of a bus
 * @vcpu: who reads; kvm->srcu is held for reading
 * @id: bus
 * @addr: guest physical address or port
 * @len: bytes
 * @val: room for @len bytes
 *
 * Return: 0 when a device took it, -EOPNOTSUPP when none did.
 */
int kvm_io_bus_read(struct kvm_vcpu *vcpu, enum kvm_bus_id id, gpa_t addr,
		    int len, void *val)
{
	struct kvm_io_bus *bus;
	int i;

	bus = srcu_dereference(vcpu->kvm->buses[id], &vcpu->kvm->srcu);
	for (i = ranges_upto(bus, addr) - 1; i >= 0; i--) {
		struct kvm_io_range *range = &bus->range[i];
		struct kvm_io_device *dev;

		if (range->reach < addr)
			break;
		dev = READ_ONCE(range->dev);
		if (!dev || !range_takes(range, addr, len))
			continue;
		if (dev->ops->read && !dev->ops->read(vcpu, dev, addr, len, val))
			return 0;
	}
	return -EOPNOTSUPP;
}
EXPORT_SYMBOL_GPL(kvm_io_bus_read);

static void bus_free(struct kvm_io_bus *bus)
{
	if (bus != &empty_bus)
		kvfree(bus);
}

static void bus_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct kvm_io_bus, rcu));
}

static void bus_append(struct kvm_io_bus *bus, gpa_t addr, int len,
		       struct kvm_io_device *dev)
{
	struct kvm_io_range *range = &bus->range[bus->dev_count];

	range->addr = addr;
	range->len = len;
	range->dev = dev;
	range->reach = last_byte(addr, len);
	if (bus->dev_count)
		range->reach = max(range->reach, range[-1].reach);
	bus->dev_count++;
	if (dev->ops->is_ioeventfd)
		bus->ioeventfd_count++;
}

/**
 * kvm_io_bus_register_dev() - let a device answer at an address range
 * @kvm: the VM; kvm->slots_lock is held
 * @id: bus
 * @addr: first address
 * @len: bytes, 0 for accesses of any length at exactly @addr
 * @dev: the device; it may have several ranges and be on several buses
 *
 * Return: 0; -EINVAL for a range that wraps, -ENOSPC when the bus is full,
 * -ENOMEM.
 */
int kvm_io_bus_register_dev(struct kvm *kvm, enum kvm_bus_id id, gpa_t addr,
			    int len, struct kvm_io_device *dev)
{
	struct kvm_io_bus *old, *new;
	int i, live = 0, counted = 0;
	bool placed = false;

	lockdep_assert_held(&kvm->slots_lock);

	if (len < 0 || last_byte(addr, len) < addr)
		return -EINVAL;

	old = bus_deref(kvm, id);
	for (i = 0; i < old->dev_count; i++) {
		if (!old->range[i].dev)
			continue;
		live++;
		if (!old->range[i].dev->ops->is_ioeventfd)
			counted++;
	}
	if (!dev->ops->is_ioeventfd && counted >= KVM_IOBUS_MAX_DEVS)
		return -ENOSPC;

	new = kvzalloc(struct_size(new, range, live + 1), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;

	for (i = 0; i < old->dev_count; i++) {
		const struct kvm_io_range *range = &old->range[i];

		if (!range->dev)
			continue;
		if (!placed && range->addr > addr) {
			bus_append(new, addr, len, dev);
			placed = true;
		}
		bus_append(new, range->addr, range->len, range->dev);
	}
	if (!placed)
		bus_append(new, addr, len, dev);

	rcu_assign_pointer(kvm->buses[id], new);
	if (old != &empty_bus)
		call_srcu(&kvm->srcu, &old->rcu, bus_free_rcu);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_io_bus_register_dev);

/* Take @dev out of one bus; true when it was there. */
static bool bus_forget(struct kvm_io_bus *bus, const struct kvm_io_device *dev)
{
	bool found = false;
	int i;

	for (i = 0; i < bus->dev_count; i++) {
		if (bus->range[i].dev != dev)
			continue;
		WRITE_ONCE(bus->range[i].dev, NULL);
		if (dev->ops->is_ioeventfd)
			bus->ioeventfd_count--;
		found = true;
	}
	return found;
}

static bool on_any_bus(struct kvm *kvm, const struct kvm_io_device *dev)
{
	int id, i;

	for (id = 0; id < KVM_BUS_COUNT; id++) {
		struct kvm_io_bus *bus = bus_deref(kvm, id);

		for (i = 0; i < bus->dev_count; i++) {
			if (bus->range[i].dev == dev)
				return true;
		}
	}
	return false;
}

/**
 * kvm_io_bus_unregister_dev() - take all ranges of a device off a bus
 * @kvm: the VM; kvm->slots_lock is held
 * @id: bus
 * @dev: the device; its destructor is called when this was its last bus
 *
 * When it returns no vCPU uses the device through this bus any more.
 *
 * Return: 0, or -ENOENT when the device was not on the bus.
 */
int kvm_io_bus_unregister_dev(struct kvm *kvm, enum kvm_bus_id id,
			      struct kvm_io_device *dev)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (!bus_forget(bus_deref(kvm, id), dev))
		return -ENOENT;

	synchronize_srcu_expedited(&kvm->srcu);
	if (dev->ops->destructor && !on_any_bus(kvm, dev))
		dev->ops->destructor(dev);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_io_bus_unregister_dev);

/**
 * kvm_io_bus_init() - give a new VM its empty buses
 * @kvm: the VM
 */
void kvm_io_bus_init(struct kvm *kvm)
{
	int id;

	for (id = 0; id < KVM_BUS_COUNT; id++)
		RCU_INIT_POINTER(kvm->buses[id], &empty_bus);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_io_bus_init);

/**
 * kvm_io_bus_destroy() - destroy the buses and the devices still on them
 * @kvm: a VM without users
 *
 * Unregistering a device afterwards is harmless: the buses are empty then.
 */
void kvm_io_bus_destroy(struct kvm *kvm)
{
	int id, i;

	for (id = 0; id < KVM_BUS_COUNT; id++) {
		struct kvm_io_bus *bus = bus_deref(kvm, id);

		for (i = 0; i < bus->dev_count; i++) {
			struct kvm_io_device *dev = bus->range[i].dev;

			if (!dev)
				continue;
			bus_forget(bus, dev);
			if (dev->ops->destructor && !on_any_bus(kvm, dev))
				dev->ops->destructor(dev);
		}
		RCU_INIT_POINTER(kvm->buses[id], &empty_bus);
		bus_free(bus);
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_io_bus_destroy);
