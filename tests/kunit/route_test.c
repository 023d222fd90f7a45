// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing (Documentation/virt/kvm/api.rst, KVM_SET_GSI_ROUTING) and messages (Intel SDM
 * vol. 3, 11.11): what is refused, that a refused table changes nothing, where a GSI goes,
 * and who hears of its end.
 */
#include <kunit/test.h>

#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

#define SRC	KVM_USERSPACE_IRQ_SOURCE_ID

static int route_init(struct kunit *test)
{
	int r = vm_mock_create(test, KVM_IRQCHIP_KERNEL, NULL), i;
	struct vm_mock *vm = test->priv;

	for (i = 0; !r && i < MOCK_VCPUS; i++)
		kvm_lapic_reg_write(vm->vcpu[i]->arch.apic, APIC_SPIV, 0x1ff);
	return r;
}

static struct kvm *kvm_of(struct kunit *test)
{
	return &((struct vm_mock *)test->priv)->kvm;
}

static bool took(struct kunit *test, int cpu, u8 vector)
{
	struct vm_mock *vm = test->priv;
	struct kvm_lapic *a = vm->vcpu[cpu]->arch.apic;
	bool was = kvm_lapic_test_vec(a, vector, APIC_IRR);

	clear_bit(vector & 31, kvm_lapic_vec_word(a, vector, APIC_IRR));
	return was;
}

#define PIN(_gsi, _chip, _pin) \
	{ .gsi = (_gsi), .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { (_chip), (_pin) } }
#define MSI(_gsi, lo, hi, _data)							\
	{ .gsi = (_gsi), .type = KVM_IRQ_ROUTING_MSI,					\
	  .u.msi = { .address_lo = (lo), .address_hi = (hi), .data = (_data) } }

static int set_routes(struct kunit *test, const struct kvm_irq_routing_entry *e, unsigned int n)
{
	return kvm_set_irq_routing(kvm_of(test), e, n, 0);
}

static int map_gsi(struct kunit *test, u32 gsi, struct kvm_route *out)
{
	struct kvm *kvm = kvm_of(test);
	int idx = srcu_read_lock(&kvm->irq_srcu), n;

	n = kvm_irq_map_gsi(kvm, out, gsi);
	srcu_read_unlock(&kvm->irq_srcu, idx);
	return n;
}

static int map_pin(struct kunit *test, unsigned int chip, unsigned int pin)
{
	struct kvm *kvm = kvm_of(test);
	int idx = srcu_read_lock(&kvm->irq_srcu), gsi;

	gsi = kvm_irq_map_chip_pin(kvm, chip, pin);
	srcu_read_unlock(&kvm->irq_srcu, idx);
	return gsi;
}

struct table {
	const char *name;
	struct kvm_irq_routing_entry e[3];
	unsigned int n;
	int want;
};

static const struct table tables[] = {
	{ "nothing", {}, 0, 0 },
	{ "last pins", { PIN(0, 0, 7), PIN(1, 1, 7), PIN(2, 2, 23) }, 3, 0 },
	{ "last GSI", { PIN(4095, 2, 0) }, 1, 0 },
	{ "GSI too large", { PIN(4096, 2, 0) }, 1, -EINVAL },
	{ "GSI all ones", { PIN(~0u, 2, 0) }, 1, -EINVAL },
	{ "GSI too large, second", { PIN(0, 2, 0), MSI(~0u, 0xfee00000, 0, 0x40) }, 2, -EINVAL },
	{ "master pin 8", { PIN(0, 0, 8) }, 1, -EINVAL },
	{ "slave pin 8", { PIN(0, 1, 8) }, 1, -EINVAL },
	{ "IOAPIC pin 24", { PIN(0, 2, 24) }, 1, -EINVAL },
	{ "pin all ones", { PIN(0, 2, ~0u) }, 1, -EINVAL },
	{ "chip 3", { PIN(0, 3, 0) }, 1, -EINVAL },
	{ "chip all ones", { PIN(0, ~0u, 0) }, 1, -EINVAL },
	{ "type 0", { { .gsi = 1 } }, 1, -EINVAL },
	{ "S390 adapter", { { .gsi = 1, .type = KVM_IRQ_ROUTING_S390_ADAPTER } }, 1, -EINVAL },
	{ "Hyper-V", { { .gsi = 1, .type = KVM_IRQ_ROUTING_HV_SINT } }, 1, -EINVAL },
	{ "type all ones", { { .gsi = 1, .type = ~0u } }, 1, -EINVAL },
	{ "entry's flags", { { .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP, .flags = 2,
	  .u.irqchip = { 2, 1 } } }, 1, -EINVAL },
	{ "device id", { { .gsi = 1, .type = KVM_IRQ_ROUTING_MSI, .flags = KVM_MSI_VALID_DEVID,
	  .u.msi = { .address_lo = 0xfee00000 } } }, 1, -EINVAL },
	{ "pins of different chips", { PIN(5, 0, 5), PIN(5, 2, 5), PIN(5, 1, 0) }, 3, 0 },
	{ "the same pin twice", { PIN(5, 2, 5), PIN(5, 2, 5) }, 2, -EINVAL },
	{ "two pins of a chip", { PIN(5, 2, 5), PIN(5, 2, 6) }, 2, -EINVAL },
	{ "pin and message", { PIN(5, 2, 5), MSI(5, 0xfee00000, 0, 0x40) }, 2, -EINVAL },
	{ "message and pin", { MSI(5, 0xfee00000, 0, 0x40), PIN(5, 2, 5) }, 2, -EINVAL },
	{ "two messages", { MSI(5, 0xfee00000, 0, 0x40), MSI(5, 0xfee00000, 0, 0x40) }, 2,
	  -EINVAL },
	{ "two GSIs of a pin", { PIN(5, 2, 5), PIN(6, 2, 5) }, 2, 0 },
};

static void refused(struct kunit *test)
{
	static const struct kvm_irq_routing_entry good[] = { PIN(7, 2, 3) };
	struct kvm_route r[KVM_ROUTES_PER_GSI];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct table *t = &tables[i];

		KUNIT_ASSERT_EQ(test, set_routes(test, good, 1), 0);
		KUNIT_EXPECT_EQ_MSG(test, set_routes(test, t->e, t->n), t->want, "%s", t->name);
		if (!t->want)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, map_gsi(test, 7, r), 1, "%s", t->name);
		KUNIT_EXPECT_EQ_MSG(test, map_pin(test, 2, 3), 7, "%s", t->name);
	}
	KUNIT_EXPECT_EQ(test, kvm_set_irq_routing(kvm_of(test), good, 1, 1), -EINVAL);
	/* no pins without the chips */
	kvm_of(test)->arch.irqchip_mode = KVM_IRQCHIP_SPLIT;
	mutex_lock(&kvm_of(test)->slots_lock);
	kvm_ioapic_destroy(kvm_of(test));
	kvm_pic_destroy(kvm_of(test));
	mutex_unlock(&kvm_of(test)->slots_lock);
	KUNIT_EXPECT_EQ(test, set_routes(test, good, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_routes(test, good, 0), 0);
}

static void mapping(struct kunit *test)
{
	static const struct kvm_irq_routing_entry e[] = {
		PIN(5, 0, 5), PIN(5, 2, 20), MSI(100, 0xfee01000, 0, 0x44), PIN(9, 1, 1),
	};
	struct kvm_route r[KVM_ROUTES_PER_GSI];
	unsigned int pin, gsi;

	/* before there is a table nothing is routed */
	KUNIT_EXPECT_EQ(test, map_gsi(test, 0, r), 0);
	KUNIT_EXPECT_EQ(test, map_pin(test, 2, 0), -1);
	KUNIT_EXPECT_LT(test, kvm_set_irq(kvm_of(test), SRC, 0, 1, false), 0);

	KUNIT_ASSERT_EQ(test, set_routes(test, e, ARRAY_SIZE(e)), 0);
	KUNIT_EXPECT_EQ(test, map_gsi(test, 5, r), 2);
	KUNIT_EXPECT_EQ(test, r[0].irqchip.irqchip + r[1].irqchip.irqchip, 2u);
	KUNIT_EXPECT_EQ(test, r[0].irqchip.pin + r[1].irqchip.pin, 25u);
	KUNIT_EXPECT_EQ(test, map_gsi(test, 100, r), 1);
	KUNIT_EXPECT_EQ(test, r[0].type, (u32)KVM_IRQ_ROUTING_MSI);
	KUNIT_EXPECT_EQ(test, r[0].msi.address_lo, 0xfee01000u);
	KUNIT_EXPECT_EQ(test, r[0].msi.data, 0x44u);
	for (gsi = 0; gsi < 200; gsi++)
		if (gsi != 5 && gsi != 9 && gsi != 100)
			KUNIT_EXPECT_EQ_MSG(test, map_gsi(test, gsi, r), 0, "%u", gsi);
	KUNIT_EXPECT_EQ(test, map_gsi(test, 4095, r), 0);
	KUNIT_EXPECT_EQ(test, map_gsi(test, ~0u, r), 0);
	KUNIT_EXPECT_EQ(test, map_pin(test, 0, 5), 5);
	KUNIT_EXPECT_EQ(test, map_pin(test, 1, 1), 9);
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++)
		KUNIT_EXPECT_EQ(test, map_pin(test, 2, pin), pin == 20 ? 5 : -1);
	/* replaced as a whole */
	KUNIT_ASSERT_EQ(test, set_routes(test, e, 1), 0);
	KUNIT_EXPECT_EQ(test, map_gsi(test, 5, r), 1);
	KUNIT_EXPECT_EQ(test, map_gsi(test, 100, r), 0);
	KUNIT_EXPECT_EQ(test, map_pin(test, 2, 20), -1);
}

static void lines(struct kunit *test)
{
	static const struct kvm_irq_routing_entry e[] = {
		PIN(5, 0, 5), PIN(5, 2, 20), MSI(100, 0xfee02000, 0, 0x44), PIN(9, 1, 1),
		MSI(101, 0xfeeff000, 0, 0x45), MSI(102, 0xfee55000, 0, 0x46),
	};
	struct kvm *kvm = kvm_of(test);

	KUNIT_ASSERT_EQ(test, set_routes(test, e, ARRAY_SIZE(e)), 0);
	/* both chips see the line */
	kvm->arch.vioapic->rte[20] = 0x0100000000000055;
	KUNIT_EXPECT_GT(test, kvm_set_irq(kvm, SRC, 5, 1, true), 0);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x55));
	KUNIT_EXPECT_EQ(test, kvm->arch.vioapic->irr, BIT(20));
	kvm_set_irq(kvm, SRC, 5, 1, true);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x55));
	kvm_set_irq(kvm, SRC, 5, 0, true);
	KUNIT_EXPECT_EQ(test, kvm->arch.vioapic->irr, 0u);
	/* a message goes when the line rises */
	KUNIT_EXPECT_EQ(test, kvm_set_irq(kvm, SRC, 100, 1, false), 1);
	KUNIT_EXPECT_TRUE(test, took(test, 2, 0x44));
	KUNIT_EXPECT_LT(test, kvm_set_irq(kvm, SRC, 100, 0, false), 0);
	KUNIT_EXPECT_FALSE(test, took(test, 2, 0x44));
	KUNIT_EXPECT_EQ(test, kvm_set_irq(kvm, SRC, 101, 1, false), MOCK_VCPUS);
	KUNIT_EXPECT_LT(test, kvm_set_irq(kvm, SRC, 102, 1, false), 0);	/* nobody */
	KUNIT_EXPECT_LT(test, kvm_set_irq(kvm, SRC, 4, 1, false), 0);
	KUNIT_EXPECT_LT(test, kvm_set_irq(kvm, SRC, ~0u, 1, false), 0);
}

struct listener {
	struct kvm_irq_ack_notifier kian;
	unsigned int heard;
};

static void heard(struct kvm_irq_ack_notifier *kian)
{
	container_of(kian, struct listener, kian)->heard++;
}

static void notifiers(struct kunit *test)
{
	static const struct kvm_irq_routing_entry e[] = { PIN(5, 2, 20), PIN(6, 2, 21) };
	struct listener a = { { .gsi = 5, .irq_acked = heard } };
	struct listener b = { { .gsi = 5, .irq_acked = heard } };
	struct listener c = { { .gsi = 6, .irq_acked = heard } };
	struct kvm *kvm = kvm_of(test);

	KUNIT_ASSERT_EQ(test, set_routes(test, e, ARRAY_SIZE(e)), 0);
	KUNIT_EXPECT_FALSE(test, kvm_irq_has_notifier(kvm, 2, 20));
	kvm_register_irq_ack_notifier(kvm, &a.kian);
	kvm_register_irq_ack_notifier(kvm, &b.kian);
	kvm_register_irq_ack_notifier(kvm, &c.kian);
	KUNIT_EXPECT_TRUE(test, kvm_irq_has_notifier(kvm, 2, 20));
	KUNIT_EXPECT_FALSE(test, kvm_irq_has_notifier(kvm, 2, 22));
	KUNIT_EXPECT_FALSE(test, kvm_irq_has_notifier(kvm, 0, 5));
	kvm_notify_acked_irq(kvm, 2, 20);
	kvm_notify_acked_irq(kvm, 2, 22);
	KUNIT_EXPECT_EQ(test, a.heard, 1u);
	KUNIT_EXPECT_EQ(test, b.heard, 1u);
	KUNIT_EXPECT_EQ(test, c.heard, 0u);
	kvm_unregister_irq_ack_notifier(kvm, &a.kian);
	kvm_notify_acked_irq(kvm, 2, 20);
	KUNIT_EXPECT_EQ(test, a.heard, 1u);
	KUNIT_EXPECT_EQ(test, b.heard, 2u);
	kvm_unregister_irq_ack_notifier(kvm, &b.kian);
	KUNIT_EXPECT_FALSE(test, kvm_irq_has_notifier(kvm, 2, 20));
	kvm_unregister_irq_ack_notifier(kvm, &c.kian);
}

/* ---- messages ---------------------------------------------------------------------------- */

static void msi_fields(struct kunit *test)
{
	static const struct {
		u32 lo, hi, data;
		bool x2;
		struct kvm_lapic_irq irq;
	} c[] = {
		{ 0xfee00000, 0, 0x30, false, { .vector = 0x30 } },
		{ 0xfeeff000, 0, 0x41ff, false, { .vector = 0xff, .delivery_mode = 0x100,
		  .dest_id = 0xff } },
		{ 0xfee03004, 0, 0xc044, false, { .vector = 0x44, .trig_mode = 1,
		  .dest_mode = APIC_DEST_LOGICAL, .dest_id = 3 } },
		{ 0xfee03008, 0, 0x44, false, { .vector = 0x44, .msi_redir_hint = true,
		  .dest_id = 3 } },
		{ 0xfee01000, 0, 0x400, false, { .delivery_mode = APIC_DM_NMI, .dest_id = 1 } },
		/* the upper word counts with KVM_CAP_X2APIC_API only */
		{ 0xfee2c000, 0x00000100, 0x50, false, { .vector = 0x50, .dest_id = 0x2c } },
		{ 0xfee2c000, 0x00000100, 0x50, true, { .vector = 0x50, .dest_id = 0x12c } },
		{ 0xfeeff000, 0xffffff00, 0x50, true, { .vector = 0x50, .dest_id = 0xffffffff } },
		{ 0xfee00000, 0xffffff00, 0x50, true, { .vector = 0x50, .dest_id = 0xffffff00 } },
	};
	struct kvm *kvm = kvm_of(test);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		struct kvm_route e = {
			.msi = { .address_lo = c[i].lo, .address_hi = c[i].hi, .data = c[i].data },
		};
		struct kvm_lapic_irq irq;

		kvm->arch.x2apic_format = c[i].x2;
		kvm_msi_to_irq(kvm, &e, &irq);
		KUNIT_EXPECT_EQ_MSG(test, irq.vector, c[i].irq.vector, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, irq.delivery_mode, c[i].irq.delivery_mode, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, irq.dest_mode, c[i].irq.dest_mode, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, irq.trig_mode, c[i].irq.trig_mode, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, irq.dest_id, c[i].irq.dest_id, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, irq.msi_redir_hint, c[i].irq.msi_redir_hint, "%u", i);
		KUNIT_EXPECT_TRUE(test, irq.level);
	}
}

static void msi_delivery(struct kunit *test)
{
	struct kvm *kvm = kvm_of(test);
	struct kvm_msi msi = { .address_lo = 0xfee03000, .data = 0x44 };
	struct kvm_irq_routing_entry wide = MSI(1, 0xfee00000, 0xff, 0x44);
	static const u32 nobody[] = { 0x00000004, 0x000000fe, 0x00001000, 0x7fffffff, 0xfffffffe };
	unsigned int i;

	KUNIT_EXPECT_EQ(test, kvm_send_userspace_msi(kvm, &msi), 1);
	KUNIT_EXPECT_TRUE(test, took(test, 3, 0x44));
	msi.flags = KVM_MSI_VALID_DEVID;
	KUNIT_EXPECT_EQ(test, kvm_send_userspace_msi(kvm, &msi), -EINVAL);
	msi.flags = 0;
	msi.data = 0x0f;			/* no such vector: blocked */
	KUNIT_EXPECT_EQ(test, kvm_send_userspace_msi(kvm, &msi), 0);

	/* bits 7:0 of the upper word are reserved in the wide format */
	KUNIT_EXPECT_EQ(test, set_routes(test, &wide, 1), 0);
	kvm->arch.x2apic_format = true;
	KUNIT_EXPECT_EQ(test, set_routes(test, &wide, 1), -EINVAL);
	msi.address_hi = 1;
	KUNIT_EXPECT_EQ(test, kvm_send_userspace_msi(kvm, &msi), -EINVAL);

	/* ids beyond any array: nobody is addressed */
	msi.data = 0x44;
	for (i = 0; i < ARRAY_SIZE(nobody); i++) {
		msi.address_lo = 0xfee00000 | (nobody[i] & 0xff) << 12;
		msi.address_hi = nobody[i] & 0xffffff00;
		KUNIT_EXPECT_LT_MSG(test, kvm_send_userspace_msi(kvm, &msi), 0, "%x", nobody[i]);
	}
	msi.address_lo = 0xfeeff000;
	msi.address_hi = 0xffffff00;
	KUNIT_EXPECT_EQ(test, kvm_send_userspace_msi(kvm, &msi), MOCK_VCPUS);
	for (i = 0; i < MOCK_VCPUS; i++)
		KUNIT_EXPECT_TRUE(test, took(test, i, 0x44));

	kvm->arch.irqchip_mode = KVM_IRQCHIP_NONE;
	KUNIT_EXPECT_EQ(test, kvm_send_userspace_msi(kvm, &msi), -EINVAL);
	kvm->arch.irqchip_mode = KVM_IRQCHIP_KERNEL;
}

static int (*pin_set)(struct kvm_route *route, struct kvm *kvm, int source, int level,
		      bool line_status);

/* The pin's GSI becomes a message right after the pin rose. */
static int set_and_replace(struct kvm_route *route, struct kvm *kvm, int source, int level,
			   bool line_status)
{
	static const struct kvm_irq_routing_entry message[] = { MSI(7, 0xfee00000, 0, 0x41) };
	int r = pin_set(route, kvm, source, level, line_status);

	if (level)
		kvm_set_irq_routing(kvm, message, 1, 0);
	return r;
}

/* A pulse lowers the pin that it has raised: else that takes no edge any more. */
static void pulse(struct kunit *test)
{
	static const struct kvm_irq_routing_entry pin[] = { PIN(7, 2, 3) };
	struct kvm *kvm = kvm_of(test);
	struct kvm_routing_table *table;

	KUNIT_ASSERT_EQ(test, set_routes(test, pin, 1), 0);
	table = rcu_dereference_protected(kvm->irq_routing, 1);
	pin_set = table->entries[0].set;
	table->entries[0].set = set_and_replace;

	kvm_pulse_irq(kvm, SRC, 7);
	KUNIT_EXPECT_EQ(test, map_pin(test, 2, 3), -1);
	KUNIT_EXPECT_EQ(test, kvm->arch.vioapic->lines[3], 0);
	/* now the message */
	KUNIT_EXPECT_EQ(test, kvm_pulse_irq(kvm, SRC, 7), 1);
	KUNIT_EXPECT_TRUE(test, took(test, 0, 0x41));
	KUNIT_EXPECT_EQ(test, kvm_pulse_irq(kvm, SRC, 8), -1);
}

static struct kunit_case route_cases[] = {
	KUNIT_CASE(refused),
	KUNIT_CASE(mapping),
	KUNIT_CASE(lines),
	KUNIT_CASE(pulse),
	KUNIT_CASE(notifiers),
	KUNIT_CASE(msi_fields),
	KUNIT_CASE(msi_delivery),
	{}
};

struct kunit_suite kvm_route_suite = {
	.name = "kvm-route",
	.init = route_init,
	.exit = vm_mock_destroy,
	.test_cases = route_cases,
};
