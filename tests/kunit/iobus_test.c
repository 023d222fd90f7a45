// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O buses: which device is asked, in which order, at the edges of its range; devices that
 * go while others stay; and that each is destroyed exactly once.
 */
#include <kunit/test.h>

#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

struct dev {
	struct kvm_io_device dev;
	bool declines;
	unsigned int reads, writes, destroyed;
	gpa_t addr;
	int len;
};

static int dev_read(struct kvm_vcpu *vcpu, struct kvm_io_device *io, gpa_t addr, int len,
		    void *val)
{
	struct dev *d = container_of(io, struct dev, dev);

	d->reads++;
	d->addr = addr;
	d->len = len;
	return d->declines ? -EOPNOTSUPP : 0;
}

static int dev_write(struct kvm_vcpu *vcpu, struct kvm_io_device *io, gpa_t addr, int len,
		     const void *val)
{
	struct dev *d = container_of(io, struct dev, dev);

	d->writes++;
	d->addr = addr;
	d->len = len;
	return d->declines ? -EOPNOTSUPP : 0;
}

static void dev_destroy(struct kvm_io_device *io)
{
	container_of(io, struct dev, dev)->destroyed++;
}

static const struct kvm_io_device_ops dev_ops = {
	.read = dev_read, .write = dev_write, .destructor = dev_destroy,
};

static const struct kvm_io_device_ops event_ops = {
	.write = dev_write, .destructor = dev_destroy, .is_ioeventfd = true,
};

static int iobus_init(struct kunit *test)
{
	return vm_mock_create(test, KVM_IRQCHIP_SPLIT, NULL);
}

static struct vm_mock *vm_of(struct kunit *test)
{
	return test->priv;
}

static int add(struct kunit *test, enum kvm_bus_id bus, gpa_t addr, int len, struct dev *d)
{
	struct kvm *kvm = &vm_of(test)->kvm;
	int r;

	if (!d->dev.ops)
		d->dev.ops = &dev_ops;
	mutex_lock(&kvm->slots_lock);
	r = kvm_io_bus_register_dev(kvm, bus, addr, len, &d->dev);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

static int take(struct kunit *test, enum kvm_bus_id bus, struct dev *d)
{
	struct kvm *kvm = &vm_of(test)->kvm;
	int r;

	mutex_lock(&kvm->slots_lock);
	r = kvm_io_bus_unregister_dev(kvm, bus, &d->dev);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

static int access(struct kunit *test, enum kvm_bus_id bus, gpa_t addr, int len)
{
	struct vm_mock *vm = vm_of(test);
	u64 v[2] = {};
	int idx = srcu_read_lock(&vm->kvm.srcu), w, r;

	w = kvm_io_bus_write(vm->vcpu[0], bus, addr, len, v);
	r = kvm_io_bus_read(vm->vcpu[0], bus, addr, len, v);
	srcu_read_unlock(&vm->kvm.srcu, idx);
	KUNIT_EXPECT_EQ_MSG(test, w, r, "%llx+%d", addr, len);
	return w;
}

static void edges(struct kunit *test)
{
	static const struct {
		gpa_t addr;
		int len;
		bool hit;
	} c[] = {
		{ 0xfff, 1, false }, { 0x1000, 1, true }, { 0x1000, 16, true },
		{ 0x1000, 17, false }, { 0xfff, 2, false }, { 0x100f, 1, true },
		{ 0x100f, 2, false }, { 0x100c, 4, true }, { 0x1010, 1, false },
		{ 0, 1, false }, { ~0ull, 1, false }, { ~0ull, 8, false },
		{ ~0ull - 7, 8, false },
	};
	struct dev d = {}, end = {};
	unsigned int i;

	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x1000, 4), -EOPNOTSUPP);
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x1000, 16, &d), 0);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		KUNIT_EXPECT_EQ_MSG(test, access(test, KVM_BUS_MMIO, c[i].addr, c[i].len),
				    c[i].hit ? 0 : -EOPNOTSUPP, "%llx+%d", c[i].addr, c[i].len);
		if (c[i].hit) {
			KUNIT_EXPECT_EQ(test, d.addr, c[i].addr);
			KUNIT_EXPECT_EQ(test, d.len, c[i].len);
		}
	}
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_PIO, 0x1000, 4), -EOPNOTSUPP);
	/* ranges that wrap, or have no length */
	KUNIT_EXPECT_EQ(test, add(test, KVM_BUS_MMIO, ~0ull, 2, &end), -EINVAL);
	KUNIT_EXPECT_EQ(test, add(test, KVM_BUS_MMIO, 0, -1, &end), -EINVAL);
	KUNIT_EXPECT_EQ(test, add(test, KVM_BUS_MMIO, ~0ull - 3, 4, &end), 0);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, ~0ull, 1), 0);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, ~0ull, 2), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_MMIO, &d), 0);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_MMIO, &d), -ENOENT);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_MMIO, &end), 0);
	KUNIT_EXPECT_EQ(test, d.destroyed, 1u);
	KUNIT_EXPECT_EQ(test, end.destroyed, 1u);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x1000, 4), -EOPNOTSUPP);
}

/* An address of any length: exactly there, whatever the access. */
static void any_length(struct kunit *test)
{
	struct dev d = {};
	int len;

	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_FAST_MMIO, 0x2004, 0, &d), 0);
	for (len = 0; len <= 8; len++)
		KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_FAST_MMIO, 0x2004, len), 0);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_FAST_MMIO, 0x2003, 4), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_FAST_MMIO, 0x2005, 0), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_FAST_MMIO, &d), 0);
}

/* Ranges within ranges: the one that begins last is asked first, and may decline. */
static void overlaps(struct kunit *test)
{
	struct dev outer = {}, mid = {}, inner = {}, event = { { &event_ops } };
	int i;

	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x3008, 4, &inner), 0);
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x3000, 0x1000, &outer), 0);
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x3004, 0x10, &mid), 0);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3008, 4), 0);
	KUNIT_EXPECT_EQ(test, inner.writes, 1u);
	KUNIT_EXPECT_EQ(test, mid.writes + outer.writes, 0u);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x300a, 4), 0);
	KUNIT_EXPECT_EQ(test, mid.writes, 1u);
	/* beyond both smaller ones the walk backwards still finds the largest */
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3ffc, 4), 0);
	KUNIT_EXPECT_EQ(test, outer.writes, 1u);
	inner.declines = true;
	mid.declines = true;
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3008, 4), 0);
	KUNIT_EXPECT_EQ(test, inner.writes, 2u);
	KUNIT_EXPECT_EQ(test, mid.writes, 2u);
	KUNIT_EXPECT_EQ(test, outer.writes, 2u);
	outer.declines = true;
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3008, 4), -EOPNOTSUPP);
	outer.declines = false;

	/* a device that cannot be read hands on */
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x3040, 4, &event), 0);
	i = outer.reads;
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3040, 4), 0);
	KUNIT_EXPECT_EQ(test, event.writes, 1u);
	KUNIT_EXPECT_EQ(test, event.reads, 0u);
	KUNIT_EXPECT_EQ(test, outer.reads, i + 1u);

	/* taken from the middle: the others are found as before */
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_MMIO, &mid), 0);
	inner.declines = false;
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3008, 4), 0);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x300a, 4), 0);
	KUNIT_EXPECT_EQ(test, mid.destroyed, 1u);
	take(test, KVM_BUS_MMIO, &outer);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3ffc, 4), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x3008, 4), 0);
	take(test, KVM_BUS_MMIO, &inner);
	take(test, KVM_BUS_MMIO, &event);
}

static void several_places(struct kunit *test)
{
	struct dev d = {};

	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x1000, 4, &d), 0);
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x2000, 4, &d), 0);
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_PIO, 0x60, 1, &d), 0);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_MMIO, &d), 0);
	KUNIT_EXPECT_EQ(test, d.destroyed, 0u);		/* there is a bus left */
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_MMIO, 0x2000, 4), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, access(test, KVM_BUS_PIO, 0x60, 1), 0);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_PIO, &d), 0);
	KUNIT_EXPECT_EQ(test, d.destroyed, 1u);
	/* and what is still there when the VM goes */
	d.destroyed = 0;
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_MMIO, 0x1000, 4, &d), 0);
	KUNIT_ASSERT_EQ(test, add(test, KVM_BUS_PIO, 0x60, 1, &d), 0);
	vm_mock_destroy(test);
	KUNIT_EXPECT_EQ(test, d.destroyed, 1u);
}

/* A thousand devices and no more, but ioeventfds as many as there is memory for. */
static void full(struct kunit *test)
{
	struct dev d = {}, event = { { &event_ops } }, more = {};
	int i, r = 0;

	for (i = 0; i < 1000 && !r; i++)
		r = add(test, KVM_BUS_MMIO, 0x10000 + (i * 7919 % 1000) * 8, 8, &d);
	KUNIT_EXPECT_EQ(test, r, 0);
	KUNIT_EXPECT_EQ(test, add(test, KVM_BUS_MMIO, 0, 8, &more), -ENOSPC);
	for (i = 0; i < 1000 && !r; i++)
		r = access(test, KVM_BUS_MMIO, 0x10000 + i * 8, 8);
	KUNIT_EXPECT_EQ(test, r, 0);
	KUNIT_EXPECT_EQ(test, d.writes, 1000u);
	for (i = 0; i < 10 && !r; i++)
		r = add(test, KVM_BUS_MMIO, 0x100000 + i * 8, 8, &event);
	KUNIT_EXPECT_EQ(test, r, 0);
	KUNIT_EXPECT_EQ(test, take(test, KVM_BUS_MMIO, &d), 0);
	KUNIT_EXPECT_EQ(test, add(test, KVM_BUS_MMIO, 0, 8, &more), 0);
	take(test, KVM_BUS_MMIO, &more);
	take(test, KVM_BUS_MMIO, &event);
}

static struct kunit_case iobus_cases[] = {
	KUNIT_CASE(edges),
	KUNIT_CASE(any_length),
	KUNIT_CASE(overlaps),
	KUNIT_CASE(several_places),
	KUNIT_CASE(full),
	{}
};

struct kunit_suite kvm_iobus_suite = {
	.name = "kvm-iobus",
	.init = iobus_init,
	.exit = vm_mock_destroy,
	.test_cases = iobus_cases,
};
