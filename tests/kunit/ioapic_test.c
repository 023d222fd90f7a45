// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC against the 82093AA data sheet: registers, edges and levels, remote IRR and
 * EOI, and the state that user space saves and restores.
 */
#include <kunit/test.h>

#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

#define SRC	KVM_USERSPACE_IRQ_SOURCE_ID
#define SRC2	KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID

#define MASKED	0x10000
#define LEVEL	0x8000
#define REMOTE	0x4000

static int ioapic_init(struct kunit *test)
{
	int r = vm_mock_create(test, KVM_IRQCHIP_KERNEL, NULL), i;
	struct vm_mock *vm = test->priv;

	for (i = 0; !r && i < MOCK_VCPUS; i++)
		kvm_lapic_reg_write(vm->vcpu[i]->arch.apic, APIC_SPIV, 0x1ff);
	return r;
}

static struct kvm_ioapic *chip(struct kunit *test)
{
	struct vm_mock *vm = test->priv;

	return vm->kvm.arch.vioapic;
}

/* as the guest does it: through the bus */
static int bus_write(struct kunit *test, gpa_t at, int len, u64 v)
{
	struct vm_mock *vm = test->priv;
	int idx = srcu_read_lock(&vm->kvm.srcu), r;

	r = kvm_io_bus_write(vm->vcpu[0], KVM_BUS_MMIO, at, len, &v);
	srcu_read_unlock(&vm->kvm.srcu, idx);
	return r;
}

static int bus_read(struct kunit *test, gpa_t at, int len, u64 *v)
{
	struct vm_mock *vm = test->priv;
	int idx = srcu_read_lock(&vm->kvm.srcu), r;

	r = kvm_io_bus_read(vm->vcpu[0], KVM_BUS_MMIO, at, len, v);
	srcu_read_unlock(&vm->kvm.srcu, idx);
	return r;
}

static u32 rd(struct kunit *test, u8 reg)
{
	u64 v = 0;

	bus_write(test, 0xfec00000, 4, reg);
	bus_read(test, 0xfec00010, 4, &v);
	return v;
}

static void wr(struct kunit *test, u8 reg, u32 v)
{
	bus_write(test, 0xfec00000, 4, reg);
	bus_write(test, 0xfec00010, 4, v);
}

static void set_rte(struct kunit *test, unsigned int pin, u32 low, u8 dest)
{
	wr(test, 0x10 + 2 * pin, MASKED);
	wr(test, 0x11 + 2 * pin, (u32)dest << 24);
	wr(test, 0x10 + 2 * pin, low);
}

static int line(struct kunit *test, unsigned int pin, int level)
{
	return kvm_ioapic_set_irq(chip(test), pin, SRC, level, false);
}

/* Take a vector that waits in a vCPU's IRR; false when it does not. */
static bool took(struct kunit *test, int cpu, u8 vector)
{
	struct vm_mock *vm = test->priv;
	struct kvm_lapic *a = vm->vcpu[cpu]->arch.apic;
	bool was = kvm_lapic_test_vec(a, vector, APIC_IRR);

	clear_bit(vector & 31, kvm_lapic_vec_word(a, vector, APIC_IRR));
	return was;
}

static void eoi(struct kunit *test, u8 vector, bool level)
{
	struct vm_mock *vm = test->priv;

	kvm_ioapic_eoi(&vm->kvm, vector, level);
}

/* ---- registers ------------------------------------------------------------------------- */

static void registers(struct kunit *test)
{
	unsigned int reg;

	KUNIT_EXPECT_EQ(test, rd(test, 0), 0u);
	KUNIT_EXPECT_EQ(test, rd(test, 1), 0x170011u);
	for (reg = 0x10; reg < 0x40; reg++)
		KUNIT_EXPECT_EQ(test, rd(test, reg), reg & 1 ? 0u : (u32)MASKED);
	/* four bits of id; arbitration shows it, and is read-only like the version */
	wr(test, 0, 0xffffffff);
	KUNIT_EXPECT_EQ(test, rd(test, 0), 0x0f000000u);
	KUNIT_EXPECT_EQ(test, rd(test, 2), 0x0f000000u);
	wr(test, 1, 0);
	wr(test, 2, 0);
	KUNIT_EXPECT_EQ(test, rd(test, 1), 0x170011u);
	KUNIT_EXPECT_EQ(test, rd(test, 0), 0x0f000000u);
	/* status and remote IRR are read-only, what is reserved is 0 */
	for (reg = 0x10; reg < 0x40; reg++) {
		wr(test, reg, reg & 1 ? 0xffffffff : 0xffffffff & ~LEVEL);
		KUNIT_EXPECT_EQ_MSG(test, rd(test, reg), reg & 1 ? 0xff000000 : 0x12fffu & ~LEVEL,
				    "%x", reg);
		wr(test, reg, 0xffffffff);
		KUNIT_EXPECT_EQ_MSG(test, rd(test, reg), reg & 1 ? 0xff000000 : 0x1afffu, "%x",
				    reg);
	}
	/* nothing there */
	for (reg = 3; reg < 256; reg++) {
		if (reg >= 0x10 && reg < 0x40)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, rd(test, reg), 0xffffffffu, "%x", reg);
		wr(test, reg, 0);
	}
	KUNIT_EXPECT_EQ(test, rd(test, 0x10), 0x1afffu);
	KUNIT_EXPECT_EQ(test, rd(test, 0x3f), 0xff000000u);
}

static void widths(struct kunit *test)
{
	u64 v;

	/* the index has 8 bits whatever is written */
	bus_write(test, 0xfec00000, 4, 0xabcdef01);
	v = 0;
	KUNIT_EXPECT_EQ(test, bus_read(test, 0xfec00000, 4, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 1);
	v = ~0ull;
	KUNIT_EXPECT_EQ(test, bus_read(test, 0xfec00010, 1, &v), 0);
	KUNIT_EXPECT_EQ(test, v & 0xff, 0x11);
	KUNIT_EXPECT_EQ(test, v >> 8, ~0ull >> 8);
	v = ~0ull;
	KUNIT_EXPECT_EQ(test, bus_read(test, 0xfec00010, 8, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0x170011);
	bus_write(test, 0xfec00000, 1, 0x11);
	bus_write(test, 0xfec00010, 8, 0x1122334455667788);
	KUNIT_EXPECT_EQ(test, rd(test, 0x11), 0x55000000u);
	/* other addresses of the page read as 0 and take nothing */
	v = ~0ull;
	KUNIT_EXPECT_EQ(test, bus_read(test, 0xfec00020, 4, &v), 0);
	KUNIT_EXPECT_EQ(test, (u32)v, 0u);
	KUNIT_EXPECT_EQ(test, bus_write(test, 0xfec00040, 4, 0x30), 0);	/* no EOI register */
	KUNIT_EXPECT_EQ(test, bus_read(test, 0xfec00100, 4, &v), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, bus_write(test, 0xfebffffc, 4, 0), -EOPNOTSUPP);
}

static void messages(struct kunit *test)
{
	static const struct {
		u64 rte;
		struct kvm_lapic_irq irq;
	} c[] = {
		{ 0x0000000000000030, { .vector = 0x30, .level = true } },
		{ 0xff000000000089ff, { .vector = 0xff, .delivery_mode = 0x100, .level = true,
		  .dest_mode = 0x800, .trig_mode = 1, .dest_id = 255 } },
		{ 0x0300000000010400, { .delivery_mode = 0x400, .level = true, .dest_id = 3 } },
		/* ExtINT and NMI are edges */
		{ 0x800000000000e744, { .vector = 0x44, .delivery_mode = 0x700, .level = true,
		  .dest_id = 0x80 } },
		{ 0x0000000000008444, { .vector = 0x44, .delivery_mode = 0x400, .level = true } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		struct kvm_lapic_irq irq;

		kvm_ioapic_rte_to_irq(c[i].rte, &irq);
		KUNIT_EXPECT_EQ(test, irq.vector, c[i].irq.vector);
		KUNIT_EXPECT_EQ(test, irq.delivery_mode, c[i].irq.delivery_mode);
		KUNIT_EXPECT_EQ(test, irq.dest_mode, c[i].irq.dest_mode);
		KUNIT_EXPECT_EQ(test, irq.level, c[i].irq.level);
		KUNIT_EXPECT_EQ(test, irq.trig_mode, c[i].irq.trig_mode);
		KUNIT_EXPECT_EQ(test, irq.dest_id, c[i].irq.dest_id);
		KUNIT_EXPECT_EQ(test, irq.shorthand, 0u);
	}
}

/* ---- edges ------------------------------------------------------------------------------ */

static void edges(struct kunit *test)
{
	unsigned int pin;

	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++) {
		u8 vector = 0x40 + pin, cpu = pin % MOCK_VCPUS;

		set_rte(test, pin, vector, cpu);
		KUNIT_EXPECT_EQ(test, line(test, pin, 1), 1);
		KUNIT_EXPECT_TRUE(test, took(test, cpu, vector));
		KUNIT_EXPECT_EQ(test, line(test, pin, 1), 0);	/* no rise */
		KUNIT_EXPECT_FALSE(test, took(test, cpu, vector));
		line(test, pin, 0);
		KUNIT_EXPECT_FALSE(test, took(test, cpu, vector));
		KUNIT_EXPECT_EQ(test, line(test, pin, 1), 1);
		KUNIT_EXPECT_TRUE(test, took(test, cpu, vector));
		KUNIT_EXPECT_EQ(test, rd(test, 0x10 + 2 * pin), (u32)vector);
		line(test, pin, 0);
	}
	/* an edge at a masked pin is lost */
	set_rte(test, 3, MASKED | 0x50, 0);
	KUNIT_EXPECT_LT(test, line(test, 3, 1), 0);
	wr(test, 0x16, 0x50);
	KUNIT_EXPECT_FALSE(test, took(test, 0, 0x50));
	/* nobody there, or one that takes nothing */
	set_rte(test, 4, 0x51, 0x77);
	KUNIT_EXPECT_LT(test, line(test, 4, 1), 0);
	line(test, 4, 0);
	set_rte(test, 4, 0x0f, 1);
	KUNIT_EXPECT_EQ(test, line(test, 4, 1), 0);
	line(test, 4, 0);
	/* 255 is everybody */
	set_rte(test, 4, 0x52, 0xff);
	KUNIT_EXPECT_EQ(test, line(test, 4, 1), MOCK_VCPUS);
	for (pin = 0; pin < MOCK_VCPUS; pin++)
		KUNIT_EXPECT_TRUE(test, took(test, pin, 0x52));
	line(test, 4, 0);
	/* two that hold one line: the first rise counts */
	KUNIT_EXPECT_EQ(test, kvm_ioapic_set_irq(chip(test), 4, SRC, 1, false), MOCK_VCPUS);
	KUNIT_EXPECT_EQ(test, kvm_ioapic_set_irq(chip(test), 4, SRC2, 1, false), 0);
	kvm_ioapic_set_irq(chip(test), 4, SRC, 0, false);
	KUNIT_EXPECT_EQ(test, kvm_ioapic_set_irq(chip(test), 4, SRC, 1, false), 0);
	/* an EOI is nothing to an edge */
	took(test, 0, 0x52);
	eoi(test, 0x52, false);
	KUNIT_EXPECT_FALSE(test, took(test, 0, 0x52));
}

/* ---- levels -------------------------------------------------------------------------------- */

/* NMI is an edge whatever the trigger bit says: it waits for no EOI */
static void nmi_is_an_edge(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	unsigned int i;

	set_rte(test, 6, LEVEL | 0x400, 1);
	for (i = 1; i <= 3; i++) {
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 1);
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 0);
		line(test, 6, 0);
		KUNIT_EXPECT_EQ(test, rd(test, 0x1c), LEVEL | 0x400u);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&vm->vcpu[1]->arch.nmi_queued), 3);
}

/* What a redirection entry can send beside interrupts: edges, all of them. */
static void other_modes(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_vcpu *vcpu = vm->vcpu[1];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		/* SMI */
		set_rte(test, 6, 0x200 | (i ? LEVEL : 0), 1);
		vm_mock_requests_done(vm);
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 1);
		KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_SMI, vcpu));
		vm_mock_requests_done(vm);
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 0);
		line(test, 6, 0);
		KUNIT_EXPECT_FALSE(test, kvm_test_request(KVM_REQ_SMI, vcpu));
		/* INIT */
		set_rte(test, 6, 0x500 | (i ? LEVEL : 0), 1);
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 1);
		KUNIT_EXPECT_TRUE(test, kvm_lapic_has_init_or_sipi(vcpu));
		vcpu->arch.pending_sipi = 0;
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 0);
		line(test, 6, 0);
		KUNIT_EXPECT_FALSE(test, kvm_lapic_has_init_or_sipi(vcpu));
		/* ExtINT has no vector of its own */
		set_rte(test, 6, 0x700 | (i ? LEVEL : 0) | 0x40, 1);
		KUNIT_EXPECT_LE(test, line(test, 6, 1), 0);
		line(test, 6, 0);
		KUNIT_EXPECT_FALSE(test, took(test, 1, 0x40));
		/* none of them waits for an EOI */
		KUNIT_EXPECT_EQ(test, rd(test, 0x1c) & REMOTE, 0u);
	}
	/* masked */
	for (i = 2; i < 8; i++) {
		set_rte(test, 6, MASKED | i << 8 | 0x40, 1);
		KUNIT_EXPECT_LT(test, line(test, 6, 1), 0);
		line(test, 6, 0);
	}
	KUNIT_EXPECT_FALSE(test, kvm_test_request(KVM_REQ_SMI, vcpu));
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_init_or_sipi(vcpu));
	KUNIT_EXPECT_EQ(test, atomic_read(&vcpu->arch.nmi_queued), 0);
	/* lowest priority: one of them */
	for (i = 0; i < 16; i++) {
		unsigned int cpu, n = 0;

		set_rte(test, 6, 0x100 | (0x40 + i), 0xff);
		KUNIT_EXPECT_EQ(test, line(test, 6, 1), 1);
		line(test, 6, 0);
		for (cpu = 0; cpu < MOCK_VCPUS; cpu++)
			n += took(test, cpu, 0x40 + i);
		KUNIT_EXPECT_EQ(test, n, 1u);
	}
}

/* The other chip of such a VM: the PIC's output is LINT0 of each LAPIC. */
static void pic_at_lint0(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_pic *pic = vm->kvm.arch.vpic;
	struct kvm_lapic *a = vm->vcpu[1]->arch.apic, *b = vm->vcpu[2]->arch.apic;
	static const u8 words[][2] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 },
		{ 0xa0, 0x11 }, { 0xa1, 0x28 }, { 0xa1, 2 }, { 0xa1, 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		kvm_pic_port_write(pic, words[i][0], words[i][1]);
#define PULSE() do { kvm_pic_set_irq(pic, 3, SRC, 1); kvm_pic_set_irq(pic, 3, SRC, 0); } while (0)
	/* masked in all but the first, where it is ExtINT */
	PULSE();
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x61));
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_EVENT, vm->vcpu[0]));
	/* an edge in one, NMI in another */
	kvm_lapic_reg_write(a, APIC_LVT0, 0x61);
	kvm_lapic_reg_write(b, APIC_LVT0, 0x400);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x61));
	PULSE();
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x61));
	KUNIT_EXPECT_EQ(test, atomic_read(&vm->vcpu[2]->arch.nmi_queued), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&vm->vcpu[3]->arch.nmi_queued), 0);
	/* modes that no LVT has */
	kvm_lapic_reg_write(a, APIC_LVT0, 0x161);
	kvm_lapic_reg_write(b, APIC_LVT0, 0x611);
	PULSE();
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x61));
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_init_or_sipi(vm->vcpu[2]));
	/* a level, which is up: at once */
	kvm_lapic_reg_write(a, APIC_LVT0, LEVEL | 0x62);
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, APIC_LVT0), (u32)LEVEL | REMOTE | 0x62);
	PULSE();
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x62));
	KUNIT_EXPECT_TRUE(test, kvm_lapic_test_vec(a, 0x62, APIC_TMR));
	/* masked and unmasked: it waits for its EOI still */
	kvm_lapic_reg_write(a, APIC_LVT0, MASKED | LEVEL | 0x62);
	kvm_lapic_reg_write(a, APIC_LVT0, LEVEL | 0x62);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x62));
	/* ended: up, and so it comes again; then it is down */
	for (i = 0; i < 2; i++) {
		set_bit(0x62 & 31, kvm_lapic_vec_word(a, 0x62, APIC_ISR));
		kvm_scan_ioapic(vm->vcpu[1]);
		if (i)
			KUNIT_EXPECT_EQ(test, kvm_pic_intack(pic), 0x23);
		kvm_lapic_eoi(a);
		KUNIT_EXPECT_EQ(test, took(test, 1, 0x62), !i);
	}
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, APIC_LVT0), (u32)LEVEL | 0x62);
	/* as an edge it waits for nothing */
	kvm_pic_port_write(pic, 0x20, 0x20);
	PULSE();
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, APIC_LVT0), (u32)LEVEL | REMOTE | 0x62);
	kvm_lapic_reg_write(a, APIC_LVT0, 0x62);
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, APIC_LVT0), 0x62u);
	/* off, by software and at all */
	took(test, 1, 0x62);
	kvm_lapic_reg_write(a, APIC_SPIV, 0xff);
	PULSE();
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x62));
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, APIC_LVT0), (u32)MASKED | 0x62);
#undef PULSE
}

static int tick(struct kunit *test)
{
	int r = kvm_ioapic_set_irq(chip(test), 8, SRC, 1, true);

	kvm_ioapic_set_irq(chip(test), 8, SRC, 0, true);
	return r;
}

/* The real-time clock's: coalesced until each CPU that has it has ended it. */
static void ticks(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	unsigned int i;

	set_rte(test, 8, 0x58, 0xff);
	KUNIT_EXPECT_EQ(test, tick(test), MOCK_VCPUS);
	for (i = 0; i < MOCK_VCPUS; i++) {
		KUNIT_EXPECT_TRUE(test, took(test, i, 0x58));
		KUNIT_EXPECT_EQ(test, tick(test), 0);
		eoi(test, 0x58, false);
	}
	KUNIT_EXPECT_EQ(test, tick(test), MOCK_VCPUS);
	KUNIT_EXPECT_EQ(test, tick(test), 0);
	/* who does not ask has it sent in any case */
	KUNIT_EXPECT_EQ(test, line(test, 8, 1), MOCK_VCPUS);
	line(test, 8, 0);
	/* nobody waits for ever: the entry is another, or an APIC was reset */
	wr(test, 0x20, 0x59);
	KUNIT_EXPECT_GT(test, tick(test), 0);
	KUNIT_EXPECT_EQ(test, tick(test), 0);
	kvm_lapic_reset(vm->vcpu[1], true);
	KUNIT_EXPECT_GT(test, tick(test), 0);
}

static void levels(struct kunit *test)
{
	set_rte(test, 10, LEVEL | 0x60, 1);
	KUNIT_EXPECT_EQ(test, line(test, 10, 1), 1);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x60));
	KUNIT_EXPECT_EQ(test, rd(test, 0x24), (u32)(LEVEL | REMOTE | 0x60));
	KUNIT_EXPECT_EQ(test, line(test, 10, 1), 0);		/* not before the EOI */
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x60));
	/* still up at EOI: again; an EOI of another vector or of an edge is not it */
	eoi(test, 0x61, true);
	eoi(test, 0x60, false);
	KUNIT_EXPECT_TRUE(test, rd(test, 0x24) & REMOTE);
	eoi(test, 0x60, true);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x60));
	KUNIT_EXPECT_TRUE(test, rd(test, 0x24) & REMOTE);
	line(test, 10, 0);
	KUNIT_EXPECT_TRUE(test, rd(test, 0x24) & REMOTE);
	eoi(test, 0x60, true);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x60));
	KUNIT_EXPECT_EQ(test, rd(test, 0x24), (u32)(LEVEL | 0x60));

	/* masked, it waits until it may */
	set_rte(test, 10, LEVEL | MASKED | 0x60, 1);
	KUNIT_EXPECT_LT(test, line(test, 10, 1), 0);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x60));
	wr(test, 0x24, LEVEL | 0x60);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x60));
	/* masked while it is in service: the EOI does not send it again */
	wr(test, 0x24, LEVEL | MASKED | 0x60);
	KUNIT_EXPECT_TRUE(test, rd(test, 0x24) & REMOTE);
	eoi(test, 0x60, true);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x60));
	wr(test, 0x24, LEVEL | 0x60);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x60));
	/* made an edge it forgets that it waits */
	wr(test, 0x24, 0x60);
	KUNIT_EXPECT_EQ(test, rd(test, 0x24), 0x60u);
	line(test, 10, 0);

	/* two pins of one vector and two sources of one pin */
	set_rte(test, 11, LEVEL | 0x63, 2);
	set_rte(test, 12, LEVEL | 0x63, 2);
	kvm_ioapic_set_irq(chip(test), 11, SRC, 1, false);
	kvm_ioapic_set_irq(chip(test), 11, SRC2, 1, false);
	kvm_ioapic_set_irq(chip(test), 12, SRC, 1, false);
	took(test, 2, 0x63);
	kvm_ioapic_set_irq(chip(test), 11, SRC, 0, false);
	kvm_ioapic_set_irq(chip(test), 12, SRC, 0, false);
	eoi(test, 0x63, true);
	KUNIT_EXPECT_TRUE(test, took(test, 2, 0x63));		/* the second source of 11 */
	KUNIT_EXPECT_TRUE(test, rd(test, 0x26) & REMOTE);
	KUNIT_EXPECT_FALSE(test, rd(test, 0x28) & REMOTE);
	kvm_ioapic_set_irq(chip(test), 11, SRC2, 0, false);
	eoi(test, 0x63, true);
	KUNIT_EXPECT_FALSE(test, took(test, 2, 0x63));

	/* nobody takes it: it does not wait for an EOI that cannot come */
	set_rte(test, 13, LEVEL | 0x64, 0x55);
	KUNIT_EXPECT_LT(test, line(test, 13, 1), 0);
	KUNIT_EXPECT_FALSE(test, rd(test, 0x2a) & REMOTE);
	wr(test, 0x2b, 3u << 24);
	KUNIT_EXPECT_TRUE(test, took(test, 3, 0x64));
	line(test, 13, 0);
}

/* From the pin through IRR and ISR to the EOI register and back. */
static void eoi_from_the_lapic(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_vcpu *vcpu = vm->vcpu[1];
	struct kvm_lapic *a = vcpu->arch.apic;

	vm_mock_requests_done(vm);
	set_rte(test, 9, LEVEL | 0x70, 1);
	set_rte(test, 7, 0x71, 1);
	set_rte(test, 8, 0x72, 1);
	/* the entries are looked at anew before the next entry of any vCPU */
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_SCAN_IOAPIC, vcpu));
	kvm_scan_ioapic(vcpu);
	KUNIT_EXPECT_TRUE(test, test_bit(0x70, vcpu->arch.ioapic_handled_vectors));
	KUNIT_EXPECT_FALSE(test, test_bit(0x71, vcpu->arch.ioapic_handled_vectors));
	/* an edge, but the real-time clock's */
	KUNIT_EXPECT_TRUE(test, test_bit(0x72, vcpu->arch.ioapic_handled_vectors));
	kvm_scan_ioapic(vm->vcpu[2]);
	KUNIT_EXPECT_FALSE(test, test_bit(0x70, vm->vcpu[2]->arch.ioapic_handled_vectors));

	line(test, 9, 1);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x70);
	line(test, 9, 0);
	kvm_lapic_reg_write(a, APIC_EOI, 0);
	KUNIT_EXPECT_FALSE(test, rd(test, 0x22) & REMOTE);
	/* moved away while it is in service: its EOI is still wanted */
	line(test, 9, 1);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x70);
	wr(test, 0x23, 2u << 24);
	kvm_scan_ioapic(vcpu);
	KUNIT_EXPECT_TRUE(test, test_bit(0x70, vcpu->arch.ioapic_handled_vectors));
	kvm_lapic_reg_write(a, APIC_EOI, 0);
	KUNIT_EXPECT_TRUE(test, took(test, 2, 0x70));
	kvm_scan_ioapic(vcpu);
	KUNIT_EXPECT_FALSE(test, test_bit(0x70, vcpu->arch.ioapic_handled_vectors));
	line(test, 9, 0);
	/* there is no EOI register that a directed EOI could be written to */
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, APIC_LVR) & BIT(24), 0u);
}

/* ---- state ----------------------------------------------------------------------------------- */

static void state(struct kunit *test)
{
	struct kvm_ioapic_state s, t;
	unsigned int pin;

	set_rte(test, 5, LEVEL | 0x80, 1);
	set_rte(test, 6, LEVEL | MASKED | 0x81, 2);
	set_rte(test, 7, 0x82, 3);
	wr(test, 0, 0x05000000);
	line(test, 5, 1);
	line(test, 6, 1);
	line(test, 7, 1);
	took(test, 1, 0x80);
	took(test, 3, 0x82);
	kvm_ioapic_get_state(chip(test), &s);
	KUNIT_EXPECT_EQ(test, s.base_address, 0xfec00000);
	KUNIT_EXPECT_EQ(test, s.id, 5u);
	KUNIT_EXPECT_EQ(test, s.irr, 0x60u);
	KUNIT_EXPECT_EQ(test, s.redirtbl[5].bits, 0x010000000000c080ull);
	KUNIT_EXPECT_EQ(test, s.redirtbl[6].bits, 0x0200000000018081ull);
	KUNIT_EXPECT_EQ(test, s.redirtbl[7].bits, 0x0300000000000082ull);

	/* the same again; what waits for its EOI is not sent twice */
	kvm_ioapic_set_state(chip(test), &s);
	KUNIT_EXPECT_FALSE(test, took(test, 1, 0x80));
	KUNIT_EXPECT_FALSE(test, took(test, 3, 0x82));
	kvm_ioapic_get_state(chip(test), &t);
	KUNIT_EXPECT_EQ(test, memcmp(&s, &t, sizeof(s)), 0);
	KUNIT_EXPECT_EQ(test, line(test, 7, 1), 0);		/* no second rise */
	eoi(test, 0x80, true);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x80));

	/* a level that nobody has taken yet is sent */
	s.redirtbl[5].bits &= ~(u64)REMOTE;
	kvm_ioapic_set_state(chip(test), &s);
	KUNIT_EXPECT_TRUE(test, took(test, 1, 0x80));

	/* what no chip holds */
	memset(&s, 0xff, sizeof(s));
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++)
		s.redirtbl[pin].bits &= ~(u64)LEVEL;
	kvm_ioapic_set_state(chip(test), &s);
	kvm_ioapic_get_state(chip(test), &t);
	KUNIT_EXPECT_EQ(test, t.base_address, 0xfec00000);
	KUNIT_EXPECT_EQ(test, t.id, 15u);
	KUNIT_EXPECT_EQ(test, t.ioregsel, 0xffu);
	KUNIT_EXPECT_EQ(test, t.irr & 0xff000000, 0u);
	for (pin = 0; pin < KVM_OOT_IRQCHIP_PINS; pin++)
		KUNIT_EXPECT_EQ(test, t.redirtbl[pin].bits, 0xff00000000012fffull);
}

static struct kunit_case ioapic_cases[] = {
	KUNIT_CASE(registers),
	KUNIT_CASE(widths),
	KUNIT_CASE(messages),
	KUNIT_CASE(edges),
	KUNIT_CASE(nmi_is_an_edge),
	KUNIT_CASE(other_modes),
	KUNIT_CASE(pic_at_lint0),
	KUNIT_CASE(ticks),
	KUNIT_CASE(levels),
	KUNIT_CASE(eoi_from_the_lapic),
	KUNIT_CASE(state),
	{}
};

struct kunit_suite kvm_ioapic_suite = {
	.name = "kvm-ioapic",
	.init = ioapic_init,
	.exit = vm_mock_destroy,
	.test_cases = ioapic_cases,
};
