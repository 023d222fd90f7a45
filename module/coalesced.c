// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced I/O: writes to zones that user space has named are put into a ring
 * that it reads at its next exit, instead of causing an exit each.
 * Documentation/virt/kvm/api.rst, KVM_REGISTER_COALESCED_MMIO.
 *
 * The ring is a page shared with user space. It owns "first", we own "last";
 * both are indices that it may have overwritten with anything, so each is read
 * once and checked. A full ring, or a damaged one, is an ordinary exit.
 */
#include <linux/mm.h>

#include "module/kvm_host.h"

#define RING_ENTRIES	((PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / \
			 sizeof(struct kvm_coalesced_mmio))

struct kvm_coalesced_zone {
	struct kvm_io_device dev;
	struct list_head link;		/* kvm->coalesced_zones (s) */
	struct kvm *kvm;
	struct kvm_coalesced_mmio_zone zone;
};

static struct kvm_coalesced_zone *to_zone(struct kvm_io_device *dev)
{
	return container_of(dev, struct kvm_coalesced_zone, dev);
}

static bool zone_holds(const struct kvm_coalesced_zone *z, gpa_t addr, u32 len)
{
	gpa_t start = z->zone.addr;

	return addr >= start && addr + len >= addr &&
	       addr + len <= start + z->zone.size;
}

static int coalesced_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			  gpa_t addr, int len, void *val)
{
	return -EOPNOTSUPP;
}

static int coalesced_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			   gpa_t addr, int len, const void *val)
{
	struct kvm_coalesced_zone *z = to_zone(dev);
	struct kvm_coalesced_mmio_ring *ring = z->kvm->coalesced_ring;
	struct kvm_coalesced_mmio *e;
	u32 first, last, next;

	if (len <= 0 || len > sizeof(e->data) || !zone_holds(z, addr, len))
		return -EOPNOTSUPP;

	spin_lock(&z->kvm->ring_lock);
	first = READ_ONCE(ring->first);
	last = READ_ONCE(ring->last);
	next = (last + 1) % RING_ENTRIES;
	if (last >= RING_ENTRIES || next == first) {
		spin_unlock(&z->kvm->ring_lock);
		return -EOPNOTSUPP;
	}

	e = &ring->coalesced_mmio[last];
	e->phys_addr = addr;
	e->len = len;
	memcpy(e->data, val, len);
	e->pio = z->zone.pio;
	smp_wmb();	/* the entry before the index that shows it */
	WRITE_ONCE(ring->last, next);
	spin_unlock(&z->kvm->ring_lock);
	return 0;
}

static void coalesced_destructor(struct kvm_io_device *dev)
{
	struct kvm_coalesced_zone *z = to_zone(dev);

	list_del(&z->link);
	kfree(z);
}

static const struct kvm_io_device_ops coalesced_ops = {
	.read = coalesced_read,
	.write = coalesced_write,
	.destructor = coalesced_destructor,
};

/**
 * kvm_coalesced_io_init() - give a new VM its ring
 * @kvm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_coalesced_io_init(struct kvm *kvm)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return -ENOMEM;
	spin_lock_init(&kvm->ring_lock);
	INIT_LIST_HEAD(&kvm->coalesced_zones);
	kvm->coalesced_ring = page_address(page);
	return 0;
}

/**
 * kvm_coalesced_io_free() - free the ring
 * @kvm: the VM; its buses are gone, and no mapping of the ring is left
 */
void kvm_coalesced_io_free(struct kvm *kvm)
{
	if (kvm->coalesced_ring)
		free_page((unsigned long)kvm->coalesced_ring);
	kvm->coalesced_ring = NULL;
}

/**
 * kvm_coalesced_io_register() - KVM_REGISTER_COALESCED_MMIO
 * @kvm: the VM
 * @zone: address, bytes, and whether it is a port
 *
 * Return: 0; -EINVAL when zone->pio is neither 0 nor 1; -ENOMEM; -ENOSPC when
 * the bus is full.
 */
int kvm_coalesced_io_register(struct kvm *kvm,
			      struct kvm_coalesced_mmio_zone *zone)
{
	struct kvm_coalesced_zone *z;
	int r;

	if (zone->pio > 1)
		return -EINVAL;

	z = kzalloc(sizeof(*z), GFP_KERNEL_ACCOUNT);
	if (!z)
		return -ENOMEM;
	z->dev.ops = &coalesced_ops;
	z->kvm = kvm;
	z->zone = *zone;

	mutex_lock(&kvm->slots_lock);
	r = kvm_io_bus_register_dev(kvm, zone->pio ? KVM_BUS_PIO : KVM_BUS_MMIO,
				    zone->addr, zone->size, &z->dev);
	if (!r)
		list_add_tail(&z->link, &kvm->coalesced_zones);
	mutex_unlock(&kvm->slots_lock);
	if (r)
		kfree(z);
	return r;
}

/**
 * kvm_coalesced_io_unregister() - KVM_UNREGISTER_COALESCED_MMIO
 * @kvm: the VM
 * @zone: every registered zone that holds this range is removed
 *
 * Return: 0, also when there was none; -EINVAL when zone->pio is neither 0 nor
 * 1.
 */
int kvm_coalesced_io_unregister(struct kvm *kvm,
				struct kvm_coalesced_mmio_zone *zone)
{
	struct kvm_coalesced_zone *z, *next;

	if (zone->pio > 1)
		return -EINVAL;

	mutex_lock(&kvm->slots_lock);
	list_for_each_entry_safe(z, next, &kvm->coalesced_zones, link) {
		if (z->zone.pio == zone->pio &&
		    zone_holds(z, zone->addr, zone->size))
			kvm_io_bus_unregister_dev(kvm, zone->pio ? KVM_BUS_PIO :
						  KVM_BUS_MMIO, &z->dev);
	}
	mutex_unlock(&kvm->slots_lock);
	return 0;
}
