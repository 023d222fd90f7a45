// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC against Intel SDM vol. 3, chapter 11, and AMD APM vol. 2, chapter 16:
 * registers in both modes, priorities, destinations, IPIs, the timer, and the state that
 * user space saves and restores.
 */
#include <kunit/test.h>
#include <linux/delay.h>

#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

#define BASE	0xfee00000ull

static int lapic_init(struct kunit *test)
{
	return vm_mock_create(test, KVM_IRQCHIP_SPLIT, NULL);
}

static struct kvm_lapic *apic_of(struct kunit *test, int i)
{
	struct vm_mock *vm = test->priv;

	return vm->vcpu[i]->arch.apic;
}

static u32 rd(struct kvm_lapic *apic, u32 reg)
{
	u32 v = 0xdeadbeef;

	if (kvm_lapic_mmio_read(apic->vcpu, BASE + reg, 4, &v))
		return 0xbadbad;
	return v;
}

static void wr(struct kvm_lapic *apic, u32 reg, u32 v)
{
	kvm_lapic_mmio_write(apic->vcpu, BASE + reg, 4, &v);
}

static int set_base(struct kvm_lapic *apic, u64 v, bool host)
{
	struct kvm_msr_data msr = { .index = MSR_IA32_APICBASE, .data = v,
				    .host_initiated = host };

	return kvm_lapic_set_base(apic->vcpu, &msr);
}

static void to_x2apic(struct kunit *test, struct kvm_lapic *apic)
{
	KUNIT_ASSERT_EQ(test, set_base(apic, apic->vcpu->arch.apic_base | 0x400, false), 0);
}

static void enable(struct kvm_lapic *apic)
{
	kvm_lapic_reg_write(apic, 0xf0, 0x1ff);
}

static int send(struct kvm_lapic *apic, u32 vector, bool level)
{
	struct kvm_lapic_irq irq = {
		.vector = vector, .delivery_mode = APIC_DM_FIXED, .level = true,
		.trig_mode = level,
	};

	return kvm_lapic_accept(apic, &irq);
}

/* ---- registers, xAPIC --------------------------------------------------------------- */

static void after_reset(struct kunit *test)
{
	u32 reg;
	int i;

	for (i = 0; i < MOCK_VCPUS; i++) {
		struct kvm_lapic *a = apic_of(test, i);

		KUNIT_EXPECT_EQ(test, kvm_lapic_get_base(a->vcpu), BASE | 0x800 | (i ? 0 : 0x100));
		KUNIT_EXPECT_EQ(test, rd(a, 0x20), (u32)i << 24);
		KUNIT_EXPECT_EQ(test, rd(a, 0x30) & 0xff00ff, 0x50014u);
		KUNIT_EXPECT_EQ(test, rd(a, 0x80), 0u);
		KUNIT_EXPECT_EQ(test, rd(a, 0xd0), 0u);
		KUNIT_EXPECT_EQ(test, rd(a, 0xe0), 0xffffffffu);
		KUNIT_EXPECT_EQ(test, rd(a, 0xf0), 0xffu);
		for (reg = 0x100; reg < 0x280; reg += 0x10)
			KUNIT_EXPECT_EQ(test, rd(a, reg), 0u);
		for (reg = 0x320; reg <= 0x370; reg += 0x10)
			KUNIT_EXPECT_EQ(test, rd(a, reg),
					i == 0 && reg == 0x350 ? 0x700u : 0x10000u);
		KUNIT_EXPECT_EQ(test, rd(a, 0x380), 0u);
		KUNIT_EXPECT_EQ(test, rd(a, 0x390), 0u);
		KUNIT_EXPECT_EQ(test, rd(a, 0x3e0), 0u);
		KUNIT_EXPECT_EQ(test, kvm_lapic_get_cr8(a->vcpu), 0);
	}
}

/* What is left of all ones and of all zeros in each register. */
static void written_bits(struct kunit *test)
{
	static const struct {
		u32 reg, ones, zeros;
	} c[] = {
		{ 0x20, 0xff000000, 0 }, { 0x30, 0x50014, 0x50014 }, { 0x80, 0xff, 0 },
		{ 0x90, 0, 0 }, { 0xa0, 0, 0 }, { 0xd0, 0xff000000, 0 },
		{ 0xe0, 0xffffffff, 0x0fffffff }, { 0x280, 0, 0 }, { 0x310, 0xff000000, 0 },
		{ 0x320, 0x700ff, 0 }, { 0x330, 0x107ff, 0 }, { 0x340, 0x107ff, 0 },
		{ 0x350, 0x1a7ff, 0 }, { 0x360, 0x1a7ff, 0 }, { 0x370, 0x100ff, 0 },
		{ 0x3e0, 0xb, 0 },
		/* read-only */
		{ 0x100, 0, 0 }, { 0x170, 0, 0 }, { 0x180, 0, 0 }, { 0x200, 0, 0 },
		{ 0x270, 0, 0 }, { 0x390, 0, 0 },
		/* nothing there */
		{ 0x00, 0, 0 }, { 0x10, 0, 0 }, { 0x40, 0, 0 }, { 0x70, 0, 0 }, { 0xb0, 0, 0 },
		{ 0xc0, 0, 0 }, { 0x290, 0, 0 }, { 0x2e0, 0, 0 }, { 0x2f0, 0, 0 },
		{ 0x3a0, 0, 0 }, { 0x3d0, 0, 0 }, { 0x3f0, 0, 0 }, { 0x400, 0, 0 },
		{ 0xff0, 0, 0 },
	};
	struct kvm_lapic *a = apic_of(test, 1);
	unsigned int i;

	enable(a);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		u32 keep = c[i].reg == 0x30 ? 0xff00ff : ~0u;
		u32 old = rd(a, c[i].reg);

		wr(a, c[i].reg, ~0u);
		KUNIT_EXPECT_EQ_MSG(test, rd(a, c[i].reg) & keep, c[i].ones, "%x", c[i].reg);
		wr(a, c[i].reg, 0);
		KUNIT_EXPECT_EQ_MSG(test, rd(a, c[i].reg) & keep, c[i].zeros, "%x", c[i].reg);
		wr(a, c[i].reg, old);
	}
	/* EOI reads as nothing */
	KUNIT_EXPECT_EQ(test, rd(a, 0xb0), 0u);
}

static void spurious_and_lvts(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);
	u32 reg;

	/* off by software: LVTs are masked and stay so */
	wr(a, 0x350, 0x700);
	KUNIT_EXPECT_EQ(test, rd(a, 0x350), 0x10700u);
	wr(a, 0xf0, 0x1ff);
	wr(a, 0x350, 0x700);
	KUNIT_EXPECT_EQ(test, rd(a, 0x350), 0x700u);
	wr(a, 0x320, 0x20020);
	wr(a, 0xf0, 0x0ff);
	for (reg = 0x320; reg <= 0x370; reg += 0x10)
		KUNIT_EXPECT_TRUE(test, rd(a, reg) & 0x10000);
	wr(a, 0xf0, 0x1ff);
	KUNIT_EXPECT_EQ(test, rd(a, 0x320), 0x30020u);

	/* without the feature there is no deadline mode */
	((struct vm_mock *)test->priv)->cpuid[1].ecx &= ~BIT(24);
	wr(a, 0x320, 0x40020);
	KUNIT_EXPECT_EQ(test, rd(a, 0x320), 0x20u);
}

/* Reads of any width within 4 bytes; writes of aligned 32 bits only. */
static void mmio_widths(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_vcpu *vcpu = a->vcpu;
	u32 ldr = 0x55000000;
	u64 v;
	u32 junk = ~0u;
	int len;

	wr(a, 0xd0, ldr);
	v = ~0ull;
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0xd3, 1, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0xffffffffffffff55ull);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0xd2, 2, &v), 0);
	KUNIT_EXPECT_EQ(test, v & 0xffff, 0x5500);
	/* between registers there is nothing */
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0xd4, 4, &v), 0);
	KUNIT_EXPECT_EQ(test, (u32)v, 0u);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0xd3, 2, &v), 0);
	KUNIT_EXPECT_EQ(test, v & 0xffff, 0);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0xffc, 4, &v), 0);
	KUNIT_EXPECT_EQ(test, (u32)v, 0u);
	for (len = 1; len <= 8; len *= 2) {
		v = 0;
		if (len != 4) {
			KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_write(vcpu, BASE + 0xd0, len, &v), 0);
			KUNIT_EXPECT_EQ(test, rd(a, 0xd0), ldr);
		}
		KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_write(vcpu, BASE + 0xd4, 4, &junk), 0);
		KUNIT_EXPECT_EQ(test, rd(a, 0xd0), ldr);
	}
	/* another page is not ours */
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0x1000, 4, &v), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_write(vcpu, BASE - 4, 4, &v), -EOPNOTSUPP);
	/* moved */
	KUNIT_EXPECT_EQ(test, set_base(a, 0xfed00800, false), 0);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0xd0, 4, &v), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, 0xfed000d0, 4, &v), 0);
	KUNIT_EXPECT_EQ(test, (u32)v, ldr);
	/* off: a hole that reads as ones, or nobody's address without the quirk */
	KUNIT_EXPECT_EQ(test, set_base(a, 0xfed00000, false), 0);
	v = 0;
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, 0xfed000d0, 4, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0xffffffffull);
	vcpu->kvm->arch.disabled_quirks = KVM_X86_QUIRK_LAPIC_MMIO_HOLE;
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, 0xfed000d0, 4, &v), -EOPNOTSUPP);
}

/* ---- IA32_APIC_BASE, x2APIC --------------------------------------------------------- */

static void base_transitions(struct kunit *test)
{
	static const struct {
		u32 from, to;	/* EN and EXTD */
		bool ok, host_ok;
	} c[] = {
		{ 0x000, 0x000, true, true }, { 0x000, 0x800, true, true },
		{ 0x000, 0xc00, false, true }, { 0x000, 0x400, false, false },
		{ 0x800, 0x000, true, true }, { 0x800, 0x800, true, true },
		{ 0x800, 0xc00, true, true }, { 0x800, 0x400, false, false },
		{ 0xc00, 0x000, true, true }, { 0xc00, 0x800, false, true },
		{ 0xc00, 0xc00, true, true }, { 0xc00, 0x400, false, false },
	};
	struct kvm_lapic *a = apic_of(test, 1);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		KUNIT_ASSERT_EQ(test, set_base(a, BASE | c[i].from, true), 0);
		KUNIT_EXPECT_EQ_MSG(test, set_base(a, BASE | c[i].to, false), c[i].ok ? 0 : 1,
				    "%x to %x", c[i].from, c[i].to);
		KUNIT_EXPECT_EQ(test, kvm_lapic_get_base(a->vcpu),
				BASE | (c[i].ok ? c[i].to : c[i].from));
		KUNIT_ASSERT_EQ(test, set_base(a, BASE | c[i].from, true), 0);
		KUNIT_EXPECT_EQ_MSG(test, set_base(a, BASE | c[i].to, true),
				    c[i].host_ok ? 0 : 1, "host: %x to %x", c[i].from, c[i].to);
	}
	KUNIT_ASSERT_EQ(test, set_base(a, BASE | 0x800, true), 0);
	/* reserved bits: 0-7, 9, and beyond the guest's addresses */
	for (i = 0; i < 64; i++) {
		bool reserved = i < 8 || i == 9 || i >= 40;

		if (i == 10 || i == 11)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, set_base(a, 0x800 | BIT_ULL(i), true), reserved,
				    "bit %u", i);
	}
	/* no x2APIC in CPUID */
	((struct vm_mock *)test->priv)->cpuid[1].ecx &= ~BIT(21);
	KUNIT_EXPECT_EQ(test, set_base(a, BASE | 0xc00, true), 1);
}

static void x2apic_registers(struct kunit *test)
{
	/* bits of each MSR that may be written; 0: not writable; ~0ull with @any */
	static const struct {
		u32 reg;
		bool readable, writable;
		u64 writable_bits;
	} c[] = {
		{ 0x02, true, false }, { 0x03, true, false }, { 0x08, true, true, 0xff },
		{ 0x0a, true, false }, { 0x0b, false, true, 0 }, { 0x0d, true, false },
		{ 0x0f, true, true, 0x1ff }, { 0x28, true, true, 0 },
		{ 0x32, true, true, 0x710ff }, { 0x33, true, true, 0x117ff },
		{ 0x34, true, true, 0x117ff }, { 0x35, true, true, 0x1f7ff },
		{ 0x36, true, true, 0x1f7ff }, { 0x37, true, true, 0x110ff },
		{ 0x38, true, true, 0xffffffff }, { 0x39, true, false },
		{ 0x3e, true, true, 0xb }, { 0x3f, false, true, 0xff },
	};
	struct kvm_lapic *a = apic_of(test, 3);
	struct kvm_vcpu *vcpu = a->vcpu;
	unsigned int reg, i, bit;
	u64 v;

	/* none of them in xAPIC mode */
	KUNIT_EXPECT_EQ(test, kvm_x2apic_read(vcpu, 0x802, &v), 1);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vcpu, 0x808, 0), 1);
	to_x2apic(test, a);
	KUNIT_EXPECT_EQ(test, kvm_lapic_mmio_read(vcpu, BASE + 0x20, 4, &v), 0);	/* quirk */
	KUNIT_EXPECT_EQ(test, (u32)v, 0xffffffffu);

	for (reg = 0; reg < 0x100; reg++) {
		bool isr = reg >= 0x10 && reg < 0x28, known = false;

		for (i = 0; i < ARRAY_SIZE(c) && !known; i++)
			known = c[i].reg == reg;
		if (reg == 0x30)
			continue;		/* ICR, below */
		KUNIT_EXPECT_EQ_MSG(test, kvm_x2apic_read(vcpu, 0x800 + reg, &v),
				    !(isr || (known && c[i - 1].readable)), "read %x", reg);
		if (!known) {
			KUNIT_EXPECT_EQ_MSG(test, kvm_x2apic_write(vcpu, 0x800 + reg, 0), 1,
					    "write %x", reg);
			continue;
		}
		i--;
		KUNIT_EXPECT_EQ_MSG(test, kvm_x2apic_write(vcpu, 0x800 + reg, 0),
				    !c[i].writable, "write %x", reg);
		if (!c[i].writable)
			continue;
		for (bit = 0; bit < 64; bit++) {
			bool ok = c[i].writable_bits & BIT_ULL(bit);

			/* what is reserved in SVR is ignored */
			if (reg == 0x0f && bit < 32)
				continue;
			KUNIT_EXPECT_EQ_MSG(test,
					    kvm_x2apic_write(vcpu, 0x800 + reg, BIT_ULL(bit)),
					    !ok, "write %x bit %u", reg, bit);
		}
		kvm_x2apic_write(vcpu, 0x800 + reg, 0);
	}

	KUNIT_EXPECT_EQ(test, kvm_x2apic_read(vcpu, 0x802, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 3);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_read(vcpu, 0x80d, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 8);
	/* ICR is one register of 64 bits */
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vcpu, 0x830, 0xaabbccdd000000ff), 0);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_read(vcpu, 0x830, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0xaabbccdd000000ffull);
	/* a write with a reserved bit leaves it alone; the delivery status is ignored */
	for (bit = 0; bit < 32; bit++)
		if (0xfff32000 & BIT(bit))
			KUNIT_EXPECT_EQ_MSG(test, kvm_x2apic_write(vcpu, 0x830, BIT(bit) | 0xfe),
					    1, "bit %u", bit);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_read(vcpu, 0x830, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0xaabbccdd000000ffull);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vcpu, 0x830, 0xaabbccdd000010ff), 0);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_read(vcpu, 0x830, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0xaabbccdd000000ffull);
}

/* Bits 31:20 of an id are its cluster, the lower four its bit. */
static void x2apic_logical_ids(struct kunit *test)
{
	static const u32 c[][2] = {
		{ 0, 1 }, { 1, 2 }, { 15, 0x8000 }, { 16, 0x10001 }, { 255, 0xf8000 },
		{ 256, 0x100001 }, { 4095, 0xff8000 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++)
		KUNIT_EXPECT_EQ_MSG(test, kvm_x2apic_ldr(c[i][0]), c[i][1], "id %u", c[i][0]);
}

/* ---- priorities --------------------------------------------------------------------- */

static void priorities(struct kunit *test)
{
	static const struct {
		u8 tpr;
		int isr;	/* -1: none */
		u8 ppr;
	} c[] = {
		{ 0x00, -1, 0x00 }, { 0x2f, -1, 0x2f }, { 0x00, 0x31, 0x30 },
		{ 0x3f, 0x31, 0x3f }, { 0x30, 0x3f, 0x30 }, { 0x2f, 0x31, 0x30 },
		{ 0x40, 0x31, 0x40 }, { 0xff, 0xf1, 0xff }, { 0x00, 0xff, 0xf0 },
	};
	struct kvm_lapic *a = apic_of(test, 1);
	unsigned int i;
	int vec;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		wr(a, 0x80, 0);
		if (c[i].isr >= 0)
			set_bit(c[i].isr & 31, kvm_lapic_vec_word(a, c[i].isr, APIC_ISR));
		wr(a, 0x80, c[i].tpr);
		KUNIT_EXPECT_EQ_MSG(test, rd(a, 0xa0), (u32)c[i].ppr, "case %u", i);
		KUNIT_EXPECT_EQ(test, kvm_lapic_get_cr8(a->vcpu), c[i].tpr >> 4);
		if (c[i].isr >= 0)
			clear_bit(c[i].isr & 31, kvm_lapic_vec_word(a, c[i].isr, APIC_ISR));
	}

	/* CR8 is the upper half of TPR, and clears the lower */
	wr(a, 0x80, 0x5a);
	kvm_lapic_set_tpr(a->vcpu, 0x3);
	KUNIT_EXPECT_EQ(test, rd(a, 0x80), 0x30u);

	/* for each vector and task priority: let through above its class only */
	enable(a);
	for (vec = 16; vec < 256; vec++) {
		u32 word = 0x200 + (vec >> 5) * 0x10;

		for (i = 0; i < 16; i++) {
			wr(a, 0x80, i << 4 | (vec & 0xf));
			KUNIT_ASSERT_EQ(test, send(a, vec, false), 1);
			KUNIT_ASSERT_EQ_MSG(test, rd(a, word), 1u << (vec & 31), "%x", vec);
			KUNIT_ASSERT_EQ_MSG(test, kvm_cpu_has_interrupt(a->vcpu), vec >> 4 > i,
					    "vector %x at %x", vec, i);
			if (vec >> 4 <= i)
				KUNIT_ASSERT_EQ(test, kvm_cpu_get_interrupt(a->vcpu), -1);
		}
		wr(a, 0x80, 0);
		KUNIT_ASSERT_EQ(test, kvm_cpu_get_interrupt(a->vcpu), vec);
		KUNIT_ASSERT_EQ(test, rd(a, word), 0u);
		KUNIT_ASSERT_EQ(test, rd(a, word - 0x100), 1u << (vec & 31));
		KUNIT_ASSERT_EQ(test, rd(a, 0xa0), vec & 0xf0u);
		wr(a, 0xb0, 0);
		KUNIT_ASSERT_EQ(test, rd(a, word - 0x100), 0u);
		KUNIT_ASSERT_EQ(test, rd(a, 0xa0), 0u);
	}
}

static void nesting(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_vcpu *vcpu = a->vcpu;

	enable(a);
	send(a, 0x31, false);
	send(a, 0x51, false);
	send(a, 0x52, false);
	KUNIT_EXPECT_EQ(test, kvm_lapic_find_highest_irr(vcpu), 0x52);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x52);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), -1);	/* the same class waits */
	send(a, 0x61, true);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x61);
	/* the same vector may wait while it is in service */
	send(a, 0x61, true);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), -1);
	KUNIT_EXPECT_EQ(test, kvm_lapic_highest(a, APIC_ISR), 0x61);
	wr(a, 0xb0, 0);
	KUNIT_EXPECT_EQ(test, kvm_lapic_highest(a, APIC_ISR), 0x52);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x61);
	wr(a, 0xb0, 0);
	wr(a, 0xb0, 0);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x51);
	wr(a, 0xb0, 0);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), 0x31);
	wr(a, 0xb0, 0);
	wr(a, 0xb0, 0);		/* nothing in service: nothing happens */
	KUNIT_EXPECT_EQ(test, kvm_lapic_highest(a, APIC_ISR), -1);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(vcpu), -1);
}

/* What is taken, by the two switches of an APIC. */
static void acceptance(struct kunit *test)
{
	static const struct {
		u16 mode;
		u8 vector;
		bool off, sw_off, on;	/* taken: hardware off; software off; on */
	} c[] = {
		{ APIC_DM_FIXED, 0x10, false, false, true },
		{ APIC_DM_FIXED, 0xff, false, false, true },
		{ APIC_DM_FIXED, 0x0f, false, false, false },
		{ APIC_DM_LOWEST, 0x40, false, false, true },
		{ APIC_DM_LOWEST, 0x00, false, false, false },
		{ APIC_DM_SMI, 0, true, true, true },
		{ APIC_DM_REMRD, 0x40, false, false, false },
		{ APIC_DM_EXTINT, 0x40, false, false, false },
		{ APIC_DM_NMI, 0, true, true, true },
		{ APIC_DM_INIT, 0, true, true, true },
		{ APIC_DM_STARTUP, 0x9a, true, true, true },
	};
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_vcpu *vcpu = a->vcpu;
	struct kvm_lapic_irq irq = { .level = true };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		irq.vector = c[i].vector;
		irq.delivery_mode = c[i].mode;
		set_base(a, BASE, true);
		KUNIT_EXPECT_EQ_MSG(test, kvm_lapic_accept(a, &irq), c[i].off, "off, case %u", i);
		set_base(a, BASE | 0x800, true);
		wr(a, 0xf0, 0xff);
		KUNIT_EXPECT_EQ_MSG(test, kvm_lapic_accept(a, &irq), c[i].sw_off,
				    "software off, case %u", i);
		enable(a);
		KUNIT_EXPECT_EQ_MSG(test, kvm_lapic_accept(a, &irq), c[i].on, "case %u", i);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&vcpu->arch.nmi_queued), 3);
	KUNIT_EXPECT_EQ(test, vcpu->arch.sipi_vector, 0x9a);
	KUNIT_EXPECT_TRUE(test, kvm_lapic_has_init_or_sipi(vcpu));
	/* INIT makes a start-up before it void; its de-assert is ignored */
	irq = (struct kvm_lapic_irq) { .delivery_mode = APIC_DM_INIT, .level = true };
	KUNIT_EXPECT_EQ(test, kvm_lapic_accept(a, &irq), 1);
	KUNIT_EXPECT_EQ(test, vcpu->arch.pending_sipi, BIT(0));
	vcpu->arch.pending_sipi = 0;
	irq.level = false;
	irq.trig_mode = 1;
	KUNIT_EXPECT_EQ(test, kvm_lapic_accept(a, &irq), 0);
	KUNIT_EXPECT_EQ(test, vcpu->arch.pending_sipi, 0ul);
	/* TMR says of each how it came */
	send(a, 0x77, true);
	KUNIT_EXPECT_TRUE(test, kvm_lapic_test_vec(a, 0x77, APIC_TMR));
	send(a, 0x77, false);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_test_vec(a, 0x77, APIC_TMR));
}

/* Split: user space's IOAPIC hears of the EOIs that it asked for, and only of them. */
/* ESR shows at its write what has happened since the last one; LVT ERR tells of the first. */
static void errors(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);

	enable(a);
	wr(a, 0x370, 0x91);
	send(a, 3, false);
	send(a, 4, true);
	KUNIT_EXPECT_EQ(test, kvm_lapic_highest(a, APIC_IRR), 0x91);
	clear_bit(0x11, kvm_lapic_vec_word(a, 0x91, APIC_IRR));
	KUNIT_EXPECT_EQ(test, rd(a, 0x280), 0u);
	wr(a, 0x280, 0);
	KUNIT_EXPECT_EQ(test, rd(a, 0x280), 0x40u);
	KUNIT_EXPECT_EQ(test, rd(a, 0x280), 0x40u);
	wr(a, 0x280, 0);
	KUNIT_EXPECT_EQ(test, rd(a, 0x280), 0u);
	wr(a, 0x310, 0x02000000);
	wr(a, 0x300, 0x400f);			/* to another: not sent */
	KUNIT_EXPECT_EQ(test, rd(a, 0x40), 0u);	/* no such register */
	KUNIT_EXPECT_EQ(test, rd(a, 0xb0), 0u);	/* one that is only written */
	KUNIT_EXPECT_EQ(test, apic_of(test, 2)->errors, 0ul);
	KUNIT_EXPECT_EQ(test, kvm_lapic_highest(a, APIC_IRR), 0x91);
	wr(a, 0x280, 0);
	KUNIT_EXPECT_EQ(test, rd(a, 0x280), 0xa0u);
	/* an LVT ERR that is wrong itself does not go on for ever */
	wr(a, 0x370, 0x01);
	send(a, 3, false);
	wr(a, 0x280, 0);
	KUNIT_EXPECT_EQ(test, rd(a, 0x280), 0x40u);
	KUNIT_EXPECT_EQ(test, a->errors, 0ul);
}

static void eoi_to_user_space(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_vcpu *vcpu = a->vcpu;

	enable(a);
	set_bit(0x41, vcpu->arch.ioapic_handled_vectors);
	send(a, 0x42, true);
	kvm_cpu_get_interrupt(vcpu);
	vm_mock_requests_done(test->priv);
	wr(a, 0xb0, 0);
	KUNIT_EXPECT_FALSE(test, kvm_test_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu));
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_EVENT, vcpu));
	send(a, 0x41, true);
	kvm_cpu_get_interrupt(vcpu);
	wr(a, 0xb0, 0);
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu));
	KUNIT_EXPECT_EQ(test, vcpu->arch.pending_ioapic_eoi, 0x41);
}

/* ---- destinations ------------------------------------------------------------------- */

enum src { NOBODY, XAPIC, X2APIC };

struct dest {
	u32 id;			/* of the APIC */
	bool x2;
	u32 ldr, dfr;
	enum src src;		/* who sends */
	bool logical;
	u32 dest;
	bool match;
};

#define FLAT	0xffffffff
#define CLUSTER	0x0fffffff

static const struct dest dests[] = {
	/* physical */
	{ 1, false, 0, FLAT, NOBODY, false, 1, true },
	{ 1, false, 0, FLAT, NOBODY, false, 2, false },
	{ 1, false, 0, FLAT, NOBODY, false, 0, false },
	{ 1, true, 0, 0, NOBODY, false, 1, true },
	{ 1, true, 0, 0, X2APIC, false, 0x101, false },
	{ 254, false, 0, FLAT, XAPIC, false, 254, true },
	/* broadcast: FF to an xAPIC, all ones from an x2APIC */
	{ 1, false, 0, FLAT, NOBODY, false, 0xff, true },
	{ 1, false, 0, FLAT, XAPIC, false, 0xff, true },
	{ 1, true, 0, 0, X2APIC, false, 0xff, false },
	{ 1, true, 0, 0, X2APIC, false, 0xffffffff, true },
	{ 1, true, 0, 0, NOBODY, false, 0xffffffff, true },
	{ 1, true, 0, 0, X2APIC, true, 0xffffffff, true },
	{ 1, false, 0, FLAT, XAPIC, true, 0xff, true },
	{ 300, true, 0, 0, NOBODY, false, 0x12c, true },
	{ 300, true, 0, 0, NOBODY, false, 0x2c, false },
	{ 300, false, 0, FLAT, NOBODY, false, 0x12c, true },
	/* logical, flat: any bit */
	{ 1, false, 0x02000000, FLAT, NOBODY, true, 0x02, true },
	{ 1, false, 0x02000000, FLAT, NOBODY, true, 0x07, true },
	{ 1, false, 0x02000000, FLAT, NOBODY, true, 0x05, false },
	{ 1, false, 0x00000000, FLAT, NOBODY, true, 0x7f, false },
	{ 1, false, 0x80000000, FLAT, XAPIC, true, 0x80, true },
	/* logical, cluster: four bits of cluster, four of members */
	{ 1, false, 0x32000000, CLUSTER, NOBODY, true, 0x32, true },
	{ 1, false, 0x32000000, CLUSTER, NOBODY, true, 0x36, true },
	{ 1, false, 0x32000000, CLUSTER, NOBODY, true, 0x31, false },
	{ 1, false, 0x32000000, CLUSTER, NOBODY, true, 0x22, false },
	{ 1, false, 0x32000000, CLUSTER, NOBODY, true, 0x30, false },
	/* a model that does not exist */
	{ 1, false, 0x32000000, 0x7fffffff, NOBODY, true, 0x32, false },
	/* logical, x2APIC: 16 bits of cluster, 16 of members */
	{ 1, true, 0, 0, X2APIC, true, 0x00000002, true },
	{ 1, true, 0, 0, X2APIC, true, 0x00000003, true },
	{ 1, true, 0, 0, X2APIC, true, 0x00000001, false },
	{ 1, true, 0, 0, X2APIC, true, 0x00010002, false },
	{ 300, true, 0, 0, X2APIC, true, 0x00121000, true },
	{ 300, true, 0, 0, X2APIC, true, 0x00120fff, false },
	{ 300, true, 0, 0, NOBODY, true, 0x00001000, false },
	{ 1, true, 0, 0, X2APIC, true, 0x00000000, false },
};

static void destinations(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1), *xapic = apic_of(test, 2), *x2 = apic_of(test, 3);
	unsigned int i;

	to_x2apic(test, x2);
	for (i = 0; i < ARRAY_SIZE(dests); i++) {
		const struct dest *d = &dests[i];
		struct kvm_lapic_irq irq = {
			.dest_mode = d->logical ? APIC_DEST_LOGICAL : APIC_DEST_PHYSICAL,
			.dest_id = d->dest,
		};

		a->vcpu->vcpu_id = d->id;
		KUNIT_ASSERT_EQ(test, set_base(a, BASE, true), 0);
		KUNIT_ASSERT_EQ(test, set_base(a, BASE | (d->x2 ? 0xc00 : 0x800), true), 0);
		if (!d->x2) {
			wr(a, 0xd0, d->ldr);
			kvm_lapic_set_reg(a, 0xe0, d->dfr);
		}
		KUNIT_EXPECT_EQ_MSG(test, kvm_lapic_match(a, d->src == NOBODY ? NULL :
				    d->src == XAPIC ? xapic : x2, &irq), d->match, "case %u", i);
	}
	a->vcpu->vcpu_id = 1;
	set_base(a, BASE | 0x800, true);
}

static void broadcast_quirk(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_lapic_irq irq = { .dest_id = 0xff };

	to_x2apic(test, a);
	KUNIT_EXPECT_TRUE(test, kvm_lapic_match(a, NULL, &irq));
	vm->kvm.arch.x2apic_broadcast_quirk_disabled = true;
	KUNIT_EXPECT_FALSE(test, kvm_lapic_match(a, NULL, &irq));
	irq.dest_id = 0xffffffff;
	KUNIT_EXPECT_TRUE(test, kvm_lapic_match(a, NULL, &irq));
}

/* Who has a vector in IRR, as a bit mask; it is taken out. */
static unsigned int got(struct kunit *test, u32 vector)
{
	unsigned int who = 0, i;

	for (i = 0; i < MOCK_VCPUS; i++) {
		struct kvm_lapic *a = apic_of(test, i);

		if (kvm_lapic_test_vec(a, vector, APIC_IRR))
			who |= BIT(i);
		clear_bit(vector & 31, kvm_lapic_vec_word(a, vector, APIC_IRR));
	}
	return who;
}

static int deliver(struct kunit *test, struct kvm_lapic_irq irq)
{
	struct vm_mock *vm = test->priv;

	irq.level = true;
	return kvm_irq_deliver(&vm->kvm, NULL, &irq);
}

static void delivery(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_lapic_irq lowest = {
		.vector = 0x50, .delivery_mode = APIC_DM_LOWEST, .dest_mode = APIC_DEST_LOGICAL,
		.dest_id = 0xe,
	};
	unsigned int i, who, seen = 0;

	for (i = 0; i < MOCK_VCPUS; i++) {
		enable(apic_of(test, i));
		wr(apic_of(test, i), 0xd0, BIT(24 + i));
	}
#define TO(...)	deliver(test, (struct kvm_lapic_irq) { .vector = 0x44, __VA_ARGS__ })
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 2), 1);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), BIT(2));
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0xff), 4);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 0xfu);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0xffffffff), 4);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 0xfu);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 5, .dest_mode = APIC_DEST_LOGICAL), 2);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 5u);
	/* nobody: ids beyond any array */
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 4), -1);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 254), -1);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0x1000), -1);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0xfffffffe), -1);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0x80000002), -1);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0xf0, .dest_mode = APIC_DEST_LOGICAL), -1);
	KUNIT_EXPECT_EQ(test, TO(.shorthand = APIC_DEST_SELF), -1);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 0u);

	/* addressed, but off by software */
	wr(apic_of(test, 2), 0xf0, 0xff);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 2), 0);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0xff), 3);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 0xbu);

	/* lowest priority: one of them, never one that is off, all of them in time */
	for (lowest.vector = 0x50; lowest.vector < 0x60; lowest.vector++) {
		KUNIT_EXPECT_EQ(test, deliver(test, lowest), 1);
		who = got(test, lowest.vector);
		KUNIT_EXPECT_EQ(test, hweight32(who), 1u);
		seen |= who;
	}
	KUNIT_EXPECT_EQ(test, seen, 0xau);
	lowest.dest_id = 0xf0;
	KUNIT_EXPECT_EQ(test, deliver(test, lowest), -1);
	enable(apic_of(test, 2));

	/* ids that guests write: two with the same get both */
	wr(apic_of(test, 2), 0x20, 3u << 24);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 3), 2);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 0xcu);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 2), -1);
	wr(apic_of(test, 2), 0x20, 0xaau << 24);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 0xaa), 1);
	KUNIT_EXPECT_EQ(test, got(test, 0x44), 4u);
	/* an APIC that is off has no id */
	set_base(apic_of(test, 3), BASE, true);
	KUNIT_EXPECT_EQ(test, TO(.dest_id = 3), -1);
	KUNIT_EXPECT_EQ(test, vm->vcpu[3]->arch.pending_sipi, 0ul);
#undef TO
}

/* Each destination reaches those of which kvm_lapic_match() says so, whatever the APICs are. */
static void check_map(struct kunit *test, const char *what)
{
	struct vm_mock *vm = test->priv;
	u32 i, who, n;
	int k, r;

	for (i = 0; i < 0x4000; i++) {
		struct kvm_lapic_irq irq = {
			.vector = 0x44, .level = true,
			.dest_mode = i & 1 ? APIC_DEST_LOGICAL : APIC_DEST_PHYSICAL,
			/* clusters 0 to 0x1f of x2APIC mode; ids up to 0x1ff */
			.dest_id = i & 0x2000 ? (i >> 8 & 0x1f) << 16 | BIT(i >> 1 & 0xf) :
						i >> 1 & 0x1ff,
		};

		who = 0;
		for (k = 0; k < MOCK_VCPUS; k++)
			if (kvm_lapic_hw_enabled(apic_of(test, k)) &&
			    kvm_lapic_match(apic_of(test, k), NULL, &irq))
				who |= BIT(k);
		n = hweight32(who);
		r = kvm_irq_deliver(&vm->kvm, NULL, &irq);
		KUNIT_ASSERT_EQ_MSG(test, r, n ? (int)n : -1, "%s, %#x", what, i);
		KUNIT_ASSERT_EQ_MSG(test, got(test, 0x44), who, "%s, %#x", what, i);
		if (!n)
			continue;
		irq.delivery_mode = APIC_DM_LOWEST;
		KUNIT_ASSERT_EQ(test, kvm_irq_deliver(&vm->kvm, NULL, &irq), 1);
		who &= got(test, 0x44);
		KUNIT_ASSERT_EQ_MSG(test, hweight32(who), 1u, "%s, %#x", what, i);
	}
}

static void map(struct kunit *test)
{
	static const u8 flat[] = { 1, 2, 4, 8 }, twice[] = { 1, 2, 2, 8 };
	static const u8 bits[] = { 1, 6, 8, 0x10 }, none[] = { 0, 0x40, 0, 0x80 };
	static const u8 cluster[] = { 0x11, 0x12, 0x24, 0xf8 };
	static const struct {
		const char *name;
		const u8 *ldr;
		u32 dfr;
	} models[] = {
		{ "flat", flat, FLAT }, { "flat, two with one bit", twice, FLAT },
		{ "flat, two bits", bits, FLAT }, { "flat, none", none, FLAT },
		{ "cluster", cluster, CLUSTER }, { "cluster, two bits", bits, CLUSTER },
		{ "cluster, no member", none, CLUSTER },
	};
	static const u32 ids[MOCK_VCPUS] = { 300, 44, 0, 17 };
	unsigned int i, k;

	/* the first two have the same id as long as it has 8 bits */
	for (k = 0; k < MOCK_VCPUS; k++) {
		apic_of(test, k)->vcpu->vcpu_id = ids[k];
		KUNIT_ASSERT_EQ(test, set_base(apic_of(test, k), BASE, true), 0);
		KUNIT_ASSERT_EQ(test, set_base(apic_of(test, k), BASE | 0x800, true), 0);
		enable(apic_of(test, k));
	}
	for (i = 0; i < ARRAY_SIZE(models); i++) {
		for (k = 0; k < MOCK_VCPUS; k++) {
			wr(apic_of(test, k), 0xd0, models[i].ldr[k] << 24);
			wr(apic_of(test, k), 0xe0, models[i].dfr);
		}
		check_map(test, models[i].name);
	}
	wr(apic_of(test, 0), 0xe0, FLAT);
	wr(apic_of(test, 1), 0xe0, 0x7fffffff);
	check_map(test, "both models, and one that does not exist");
	for (k = 0; k < MOCK_VCPUS; k++) {
		to_x2apic(test, apic_of(test, k));
		check_map(test, "x2APIC, step by step");
	}
	set_base(apic_of(test, 2), BASE, true);
	check_map(test, "x2APIC, one off");
}

/* Inter-processor interrupts, in the words of both modes' ICR. */
static void ipis(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_lapic *a = apic_of(test, 0);
	unsigned int i;

	for (i = 0; i < MOCK_VCPUS; i++) {
		enable(apic_of(test, i));
		wr(apic_of(test, i), 0xd0, BIT(24 + i));
	}
	wr(a, 0x310, 2u << 24);
	wr(a, 0x300, 0x4055);
	KUNIT_EXPECT_EQ(test, got(test, 0x55), 4u);
	KUNIT_EXPECT_EQ(test, rd(a, 0x300), 0x4055u);
	wr(a, 0x300, 0x5055);				/* busy reads as idle */
	KUNIT_EXPECT_EQ(test, rd(a, 0x300), 0x4055u);
	got(test, 0x55);
	wr(a, 0x310, 0x0e000000);
	wr(a, 0x300, 0x4855);				/* logical */
	KUNIT_EXPECT_EQ(test, got(test, 0x55), 0xeu);
	wr(a, 0x300, 0x44055);				/* self */
	KUNIT_EXPECT_EQ(test, got(test, 0x55), 1u);
	wr(a, 0x300, 0x84055);				/* all */
	KUNIT_EXPECT_EQ(test, got(test, 0x55), 0xfu);
	wr(a, 0x300, 0xc4055);				/* all but self */
	KUNIT_EXPECT_EQ(test, got(test, 0x55), 0xeu);
	/* a level-triggered IPI is sent as an edge */
	wr(a, 0x310, 1u << 24);
	wr(a, 0x300, 0xc055);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_test_vec(apic_of(test, 1), 0x55, APIC_TMR));
	KUNIT_EXPECT_EQ(test, got(test, 0x55), 2u);
	/* INIT, its de-assert to all, SIPI */
	wr(a, 0x300, 0x4500);
	KUNIT_EXPECT_EQ(test, vm->vcpu[1]->arch.pending_sipi, BIT(0));
	wr(a, 0x300, 0x88500);
	for (i = 0; i < MOCK_VCPUS; i++)
		KUNIT_EXPECT_EQ(test, vm->vcpu[i]->arch.pending_sipi, i == 1 ? BIT(0) : 0ul);
	wr(a, 0x300, 0x469a);
	KUNIT_EXPECT_EQ(test, vm->vcpu[1]->arch.pending_sipi, BIT(0) | BIT(1));
	KUNIT_EXPECT_EQ(test, vm->vcpu[1]->arch.sipi_vector, 0x9a);
	/* NMI to all but self */
	wr(a, 0x300, 0xc4400);
	for (i = 0; i < MOCK_VCPUS; i++)
		KUNIT_EXPECT_EQ(test, atomic_read(&vm->vcpu[i]->arch.nmi_queued), i ? 1 : 0);
	/* no such vector */
	wr(a, 0x300, 0x8400f);
	KUNIT_EXPECT_EQ(test, got(test, 0x0f), 0u);

	for (i = 0; i < MOCK_VCPUS; i++)
		to_x2apic(test, apic_of(test, i));
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x830, 0x0000000300004056), 0);
	KUNIT_EXPECT_EQ(test, got(test, 0x56), 8u);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x830, 0x0000000600004856), 0);
	KUNIT_EXPECT_EQ(test, got(test, 0x56), 6u);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x830, 0xffffffff00004056), 0);
	KUNIT_EXPECT_EQ(test, got(test, 0x56), 0xfu);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x830, 0x000000ff00004056), 0);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x830, 0xfffffffe00004056), 0);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x830, 0x0100000000004056), 0);
	KUNIT_EXPECT_EQ(test, got(test, 0x56), 0u);
	KUNIT_EXPECT_EQ(test, kvm_x2apic_write(vm->vcpu[0], 0x83f, 0x56), 0);
	KUNIT_EXPECT_EQ(test, got(test, 0x56), 1u);
}

/* ---- the timer ---------------------------------------------------------------------- */

static void timer_divide(struct kunit *test)
{
	static const u8 c[][2] = {
		{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 }, { 0x8, 32 }, { 0x9, 64 },
		{ 0xa, 128 }, { 0xb, 1 },
	};
	struct kvm_lapic *a = apic_of(test, 1);
	unsigned int i;

	enable(a);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		const u32 count = 0x70000000;
		u64 start, took;
		u32 left;

		wr(a, 0x3e0, c[i][0]);
		start = ktime_get_ns();
		wr(a, 0x380, count);
		KUNIT_EXPECT_EQ(test, rd(a, 0x380), count);
		usleep_range(2000, 3000);
		left = rd(a, 0x390);
		took = ktime_get_ns() - start;
		/* a count is a nanosecond times the divisor */
		KUNIT_EXPECT_LE_MSG(test, (u64)(count - left) * c[i][1], took + c[i][1], "%u", i);
		KUNIT_EXPECT_GE_MSG(test, (u64)(count - left) * c[i][1], 2000000ull - c[i][1],
				    "%u", i);
	}
	wr(a, 0x380, 0);
	KUNIT_EXPECT_EQ(test, rd(a, 0x390), 0u);
}

/* Wait until the timer has fired; false after a second. */
static bool fires(struct kvm_lapic *a)
{
	int i;

	for (i = 0; i < 1000 && !kvm_lapic_has_pending_timer(a->vcpu); i++)
		usleep_range(1000, 1100);
	return kvm_lapic_has_pending_timer(a->vcpu);
}

static void timer_modes(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_vcpu *vcpu = a->vcpu;

	enable(a);
	wr(a, 0x3e0, 0xb);
	/* one-shot: once, then 0 */
	wr(a, 0x320, 0x41);
	wr(a, 0x380, 1000000);
	KUNIT_EXPECT_TRUE(test, fires(a));
	kvm_lapic_inject_timer_irqs(vcpu);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_pending_timer(vcpu));
	KUNIT_EXPECT_EQ(test, got(test, 0x41), 2u);
	KUNIT_EXPECT_EQ(test, rd(a, 0x390), 0u);
	usleep_range(3000, 4000);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_pending_timer(vcpu));

	/* periodic: again and again */
	wr(a, 0x320, 0x20042);
	wr(a, 0x380, 1000000);
	KUNIT_EXPECT_TRUE(test, fires(a));
	kvm_lapic_inject_timer_irqs(vcpu);
	KUNIT_EXPECT_EQ(test, got(test, 0x42), 2u);
	KUNIT_EXPECT_TRUE(test, fires(a));
	KUNIT_EXPECT_LE(test, rd(a, 0x390), 1000000u);
	KUNIT_EXPECT_NE(test, rd(a, 0x380), 0u);
	/* masked, it counts but says nothing; what ended before is delivered */
	wr(a, 0x320, 0x30042);
	KUNIT_EXPECT_EQ(test, got(test, 0x42), 2u);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_pending_timer(vcpu));
	usleep_range(2000, 3000);
	KUNIT_EXPECT_EQ(test, atomic_read(&a->timer.pending), 1);
	kvm_lapic_inject_timer_irqs(vcpu);
	KUNIT_EXPECT_EQ(test, got(test, 0x42), 0u);
	wr(a, 0x380, 0);
	usleep_range(3000, 4000);
	KUNIT_EXPECT_EQ(test, atomic_read(&a->timer.pending), 0);

	/* a new count starts anew */
	wr(a, 0x320, 0x43);
	wr(a, 0x380, 2000000000);
	usleep_range(1000, 1100);
	wr(a, 0x380, 500000000);
	KUNIT_EXPECT_GT(test, rd(a, 0x390), 300000000u);
	KUNIT_EXPECT_LE(test, rd(a, 0x390), 500000000u);
	/* to and from deadline mode it is disarmed */
	wr(a, 0x320, 0x40043);
	KUNIT_EXPECT_EQ(test, rd(a, 0x390), 0u);
	KUNIT_EXPECT_EQ(test, rd(a, 0x380), 0u);
	wr(a, 0x380, 5);				/* and takes no count */
	KUNIT_EXPECT_EQ(test, rd(a, 0x380), 0u);
}

/* What ends while LVTT is masked is lost, and what ended is in the state that is saved. */
static void timer_masked_and_saved(struct kunit *test)
{
	struct kvm_lapic_state *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct kvm_lapic *a = apic_of(test, 1);

	KUNIT_ASSERT_NOT_NULL(test, s);
	enable(a);
	wr(a, 0x3e0, 0xb);
	wr(a, 0x320, 0x10041);
	wr(a, 0x380, 1000000);
	usleep_range(3000, 4000);
	wr(a, 0x320, 0x41);
	kvm_lapic_inject_timer_irqs(a->vcpu);
	KUNIT_EXPECT_EQ(test, got(test, 0x41), 0u);
	/* one-shot: in IRR, and nothing left to count */
	wr(a, 0x380, 1000000);
	usleep_range(3000, 4000);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + 0x220), 2u);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + 0x390), 0u);
	KUNIT_EXPECT_EQ(test, got(test, 0x41), 2u);
	/* it counts on when it has not ended; a period does in any case */
	wr(a, 0x380, 2000000000);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_GT(test, *(u32 *)(s->regs + 0x390), 1000000000u);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + 0x220), 0u);
	KUNIT_EXPECT_TRUE(test, hrtimer_active(&a->timer.timer) || a->vcpu->arch.timer_tsc);
	wr(a, 0x320, 0x20042);
	wr(a, 0x380, 1000000);
	usleep_range(3000, 4000);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + 0x220), 4u);
	KUNIT_EXPECT_NE(test, *(u32 *)(s->regs + 0x390), 0u);
	KUNIT_EXPECT_TRUE(test, fires(a));
}

static void timer_deadline(struct kunit *test)
{
	struct kvm_lapic *a = apic_of(test, 1);
	struct kvm_vcpu *vcpu = a->vcpu;
	u64 v, now;

	vcpu->arch.virtual_tsc_khz = tsc_khz;
	enable(a);
	/* the MSR means nothing in another mode */
	kvm_lapic_set_tscdeadline(vcpu, 1);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_tscdeadline(vcpu, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 0);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_pending_timer(vcpu));

	wr(a, 0x320, 0x40041);
	now = kvm_read_guest_tsc(vcpu, rdtsc());
	kvm_lapic_set_tscdeadline(vcpu, now + tsc_khz * 5);
	kvm_lapic_get_tscdeadline(vcpu, &v);
	KUNIT_EXPECT_EQ(test, v, now + tsc_khz * 5);
	KUNIT_EXPECT_TRUE(test, fires(a));
	KUNIT_EXPECT_GE(test, kvm_read_guest_tsc(vcpu, rdtsc()), now + tsc_khz * 4);
	kvm_lapic_inject_timer_irqs(vcpu);
	KUNIT_EXPECT_EQ(test, got(test, 0x41), 2u);
	kvm_lapic_get_tscdeadline(vcpu, &v);
	KUNIT_EXPECT_EQ(test, v, 0);
	/* past: at once; 0: not at all */
	kvm_lapic_set_tscdeadline(vcpu, 1);
	KUNIT_EXPECT_TRUE(test, kvm_lapic_has_pending_timer(vcpu));
	kvm_lapic_set_tscdeadline(vcpu, 0);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_pending_timer(vcpu));
	kvm_lapic_set_tscdeadline(vcpu, ~0ull);
	usleep_range(2000, 3000);
	KUNIT_EXPECT_FALSE(test, kvm_lapic_has_pending_timer(vcpu));
	wr(a, 0x320, 0x41);
	kvm_lapic_get_tscdeadline(vcpu, &v);
	KUNIT_EXPECT_EQ(test, v, 0);
}

/* ---- KVM_GET_LAPIC, KVM_SET_LAPIC --------------------------------------------------- */

static u32 *state_reg(struct kvm_lapic_state *s, unsigned int reg)
{
	return (u32 *)(s->regs + reg);
}

static void state(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm_lapic *a = apic_of(test, 1), *b = apic_of(test, 2);
	struct kvm_lapic_state *s = kunit_kzalloc(test, 2 * sizeof(*s), GFP_KERNEL), *t = s + 1;
	u32 reg;

	KUNIT_ASSERT_NOT_NULL(test, s);
	enable(a);
	wr(a, 0x80, 0x20);
	wr(a, 0xd0, 0x40000000);
	wr(a, 0xe0, CLUSTER);
	wr(a, 0x320, 0x20077);
	wr(a, 0x350, 0x8700);
	wr(a, 0x3e0, 0x3);
	wr(a, 0x380, 0x30000000);
	send(a, 0x91, true);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(a->vcpu), 0x91);
	send(a, 0x33, false);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x20), 1u << 24);
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0xa0), 0x90u);
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x140), BIT(0x11));
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x1c0), BIT(0x11));
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x210), BIT(0x13));
	KUNIT_EXPECT_NE(test, *state_reg(s, 0x390), 0u);

	/* moved to another vCPU it is the same, and counts on */
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(b->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(b->vcpu, t), 0);
	KUNIT_EXPECT_LE(test, *state_reg(t, 0x390), *state_reg(s, 0x390));
	KUNIT_EXPECT_NE(test, *state_reg(t, 0x390), 0u);
	for (reg = 0; reg < 0x400; reg += 4)
		if (reg != 0x390)
			KUNIT_EXPECT_EQ_MSG(test, *state_reg(t, reg), *state_reg(s, reg),
					    "%x", reg);
	KUNIT_EXPECT_TRUE(test, b->sw_enabled);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(b->vcpu), -1);
	wr(b, 0xb0, 0);
	KUNIT_EXPECT_EQ(test, kvm_cpu_get_interrupt(b->vcpu), 0x33);

	/* bits that no guest could have written */
	memset(s, 0xff, sizeof(*s));
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(b->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, rd(b, 0x20), 0xff000000u);
	KUNIT_EXPECT_EQ(test, rd(b, 0x30) & 0xff00ff, 0x50014u);
	KUNIT_EXPECT_EQ(test, rd(b, 0x80), 0xffu);
	KUNIT_EXPECT_EQ(test, rd(b, 0x320) & ~0x1000u, 0x700ffu);
	KUNIT_EXPECT_EQ(test, rd(b, 0x370) & ~0x1000u, 0x100ffu);
	KUNIT_EXPECT_EQ(test, rd(b, 0x3e0), 0xbu);
	KUNIT_EXPECT_EQ(test, rd(b, 0x300) & 0x1000, 0u);
	memset(s, 0, sizeof(*s));
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(b->vcpu, s), 0);
	KUNIT_EXPECT_FALSE(test, b->sw_enabled);

	/* x2APIC: the id is the vCPU's, shifted unless user space knows better */
	to_x2apic(test, a);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x20), 1u << 24);
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(a->vcpu, s), 0);
	*state_reg(s, 0x20) = 2u << 24;
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x20), 1u << 24);
	vm->kvm.arch.x2apic_format = true;
	*state_reg(s, 0x20) = 1u << 24;
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(a->vcpu, s), -EINVAL);
	KUNIT_EXPECT_EQ(test, kvm_lapic_get_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, *state_reg(s, 0x20), 1u);
	*state_reg(s, 0xd0) = 0x77777777;		/* LDR follows the id */
	KUNIT_EXPECT_EQ(test, kvm_lapic_set_state(a->vcpu, s), 0);
	KUNIT_EXPECT_EQ(test, kvm_lapic_reg_read(a, 0xd0), 2u);
}

static struct kunit_case lapic_cases[] = {
	KUNIT_CASE(after_reset),
	KUNIT_CASE(written_bits),
	KUNIT_CASE(spurious_and_lvts),
	KUNIT_CASE(mmio_widths),
	KUNIT_CASE(base_transitions),
	KUNIT_CASE(x2apic_registers),
	KUNIT_CASE(x2apic_logical_ids),
	KUNIT_CASE(priorities),
	KUNIT_CASE(nesting),
	KUNIT_CASE(acceptance),
	KUNIT_CASE(errors),
	KUNIT_CASE(eoi_to_user_space),
	KUNIT_CASE(destinations),
	KUNIT_CASE(broadcast_quirk),
	KUNIT_CASE(delivery),
	KUNIT_CASE(map),
	KUNIT_CASE(ipis),
	KUNIT_CASE(timer_divide),
	KUNIT_CASE(timer_modes),
	KUNIT_CASE(timer_masked_and_saved),
	KUNIT_CASE(timer_deadline),
	KUNIT_CASE(state),
	{}
};

struct kunit_suite kvm_lapic_suite = {
	.name = "kvm-lapic",
	.init = lapic_init,
	.exit = vm_mock_destroy,
	.test_cases = lapic_cases,
};
