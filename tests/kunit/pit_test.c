// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 and port 61h (arch/x86/irq/pit.c), as functions of time.
 */
#include <kunit/test.h>

#include "arch/x86/irq/pit.h"
#include "tests/kunit/suites.h"

/* a bit more than n clocks, so that rounding does not matter */
static u64 clocks(u64 n)
{
	return DIV_ROUND_UP_ULL(n * NSEC_PER_SEC, KVM_PIT_HZ) + 100;
}

static struct kvm_pit_regs *setup(struct kunit *test)
{
	struct kvm_pit_regs *r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, r);
	kvm_pit_regs_init(r, 0);
	return r;
}

static void load16(struct kvm_pit_regs *r, unsigned int n, u8 mode, u16 count,
		   u64 now)
{
	kvm_pit_regs_write(r, 3, n << 6 | 0x30 | mode << 1, now);
	kvm_pit_regs_write(r, n, count, now);
	kvm_pit_regs_write(r, n, count >> 8, now);
}

static u16 read16(struct kvm_pit_regs *r, unsigned int n, u64 now)
{
	u16 lo = kvm_pit_regs_read(r, n, now);

	return lo | kvm_pit_regs_read(r, n, now) << 8;
}

static u8 status(struct kvm_pit_regs *r, unsigned int n, u64 now)
{
	kvm_pit_regs_write(r, 3, 0xe0 | 2 << n, now);
	return kvm_pit_regs_read(r, n, now);
}

static void mode0_counts_down(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	load16(r, 0, 0, 1000, 0);
	KUNIT_EXPECT_TRUE(test, r->reloaded);
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(10)), 990);
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 0, clocks(999)));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 0, clocks(1000)));
	/* goes on through zero */
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(1001)), 0xffff);
}

static void mode2_reloads(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	load16(r, 0, 2, 100, 0);
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(130)), 70);
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 0, clocks(98)));
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 0, clocks(99)));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 0, clocks(100)));
}

static void mode3_is_a_square(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	kvm_pit_speaker_write(r, 1, 0);
	load16(r, 2, 3, 100, 0);
	KUNIT_EXPECT_EQ(test, read16(r, 2, clocks(10)), 80);
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, clocks(49)));
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 2, clocks(50)));
	/* modes 6 and 7 are 2 and 3 */
	load16(r, 2, 7, 100, 0);
	KUNIT_EXPECT_EQ(test, r->chan[2].mode, 3);
}

static void zero_is_the_largest(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	load16(r, 0, 2, 0, 0);
	KUNIT_EXPECT_EQ(test, r->chan[0].count, 0x10000u);
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(1)), 0xffff);
}

static void access_modes(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	kvm_pit_regs_write(r, 3, 0x50, 0);	/* channel 1, low byte, mode 0 */
	kvm_pit_regs_write(r, 1, 0x12, 0);
	KUNIT_EXPECT_EQ(test, r->chan[1].count, 0x12u);
	kvm_pit_regs_write(r, 3, 0x60, 0);	/* high byte */
	kvm_pit_regs_write(r, 1, 0x12, 0);
	KUNIT_EXPECT_EQ(test, r->chan[1].count, 0x1200u);
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 1, clocks(1)), 0x11);
	KUNIT_EXPECT_FALSE(test, r->reloaded);	/* only channel 0 has a timer */
}

static void latched_count_stays(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	load16(r, 0, 2, 1000, 0);
	kvm_pit_regs_write(r, 3, 0x00, clocks(100));
	kvm_pit_regs_write(r, 3, 0x00, clocks(200));	/* ignored: still latched */
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(300)), 900);
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(300)), 700);
}

static void read_back(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	kvm_pit_speaker_write(r, 1, 0);
	load16(r, 0, 2, 1000, 0);
	load16(r, 2, 3, 1000, 0);
	/* count and status of channels 0 and 2 */
	kvm_pit_regs_write(r, 3, 0xca, clocks(100));
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 0, clocks(200)), 0xb4);
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(200)), 900);
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 2, clocks(200)), 0xb6);
	KUNIT_EXPECT_EQ(test, read16(r, 2, clocks(200)), 800);
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 3, 0), 0);
}

/* With one byte of a count, a latch has one byte, too. */
static void latches_by_access(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);
	unsigned int n;

	kvm_pit_speaker_write(r, 1, 0);
	for (n = 0; n < KVM_PIT_CHANNELS; n++) {
		kvm_pit_regs_write(r, 3, n << 6 | 0x14, 0);
		kvm_pit_regs_write(r, n, 200, 0);
		kvm_pit_regs_write(r, 3, n << 6, clocks(10));
		KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, n, clocks(50)), 190);
		KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, n, clocks(50)), 150);
		kvm_pit_regs_write(r, 3, n << 6 | 0x24, 0);
		kvm_pit_regs_write(r, n, 3, 0);
		kvm_pit_regs_write(r, 3, n << 6, clocks(10));
		KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, n, clocks(300)), 2);
		KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, n, clocks(600)), 0);
		KUNIT_EXPECT_EQ(test, r->chan[n].count, 768u);
	}
	/* a word that is half read goes on where it was, behind the latch */
	load16(r, 0, 4, 0x1234, 0);
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 0, 0), 0x34);
	kvm_pit_regs_write(r, 3, 0, clocks(0x34));
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 0, clocks(0x100)), 0);
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 0, clocks(0x100)), 0x12);
	KUNIT_EXPECT_EQ(test, kvm_pit_regs_read(r, 0, clocks(0x134)), 0x11);
	/* a control word ends a latch, and a half of a word */
	kvm_pit_regs_write(r, 3, 0, 0);
	kvm_pit_regs_write(r, 3, 0xe2, 0);
	kvm_pit_regs_write(r, 0, 0x55, 0);
	load16(r, 0, 4, 0x4321, 0);
	KUNIT_EXPECT_EQ(test, read16(r, 0, 0), 0x4321);
}

/* Decimal in each mode: from 10000, wrapping to 9999. */
static void bcd_modes(struct kunit *test)
{
	static const u16 after[] = { 0x9900, 0x9900, 0x9900, 0x9800, 0x9900, 0x9900 };
	static const u16 wrapped[] = { 0x9995, 0x9995, 0x9995, 0x9990, 0x9995, 0x9995 };
	struct kvm_pit_regs *r = setup(test);
	unsigned int mode;

	for (mode = 0; mode < 6; mode++) {
		kvm_pit_regs_write(r, 3, 0x31 | mode << 1, 0);
		kvm_pit_regs_write(r, 0, 0, 0);
		kvm_pit_regs_write(r, 0, 0, 0);
		KUNIT_EXPECT_EQ(test, r->chan[0].count, 10000u);
		KUNIT_EXPECT_EQ_MSG(test, read16(r, 0, clocks(100)), after[mode], "%u", mode);
		KUNIT_EXPECT_EQ_MSG(test, read16(r, 0, clocks(10005)), wrapped[mode], "%u", mode);
		KUNIT_EXPECT_EQ(test, status(r, 0, clocks(1)) & 0x3f, 0x31 | mode << 1);
	}
}

static void bcd(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	kvm_pit_regs_write(r, 3, 0x35, 0);	/* channel 0, word, mode 2, BCD */
	kvm_pit_regs_write(r, 0, 0x00, 0);
	kvm_pit_regs_write(r, 0, 0x10, 0);
	KUNIT_EXPECT_EQ(test, r->chan[0].count, 1000u);
	KUNIT_EXPECT_EQ(test, read16(r, 0, clocks(1)), 0x0999);
}

static void speaker_port(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	load16(r, 2, 3, 1000, 0);
	KUNIT_EXPECT_EQ(test, kvm_pit_speaker_read(r, 0) & 3, 0);
	kvm_pit_speaker_write(r, 0xff, clocks(300));
	KUNIT_EXPECT_EQ(test, kvm_pit_speaker_read(r, clocks(300)) & 0xe3, 0x23);
	/* the rising gate started the period */
	KUNIT_EXPECT_EQ(test, (u64)r->chan[2].count_load_time, clocks(300));
	KUNIT_EXPECT_EQ(test, kvm_pit_speaker_read(r, clocks(300) + clocks(600)) & 0x20, 0);
	KUNIT_EXPECT_NE(test, kvm_pit_speaker_read(r, 0) & 0x10,
			kvm_pit_speaker_read(r, 15100) & 0x10);
}

static void null_count(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);
	unsigned int mode;

	for (mode = 0; mode < 6; mode++) {
		r->reloaded = false;
		kvm_pit_regs_write(r, 3, 0x30 | mode << 1, 0);
		KUNIT_EXPECT_TRUE(test, r->reloaded);	/* its timer stops */
		KUNIT_EXPECT_EQ(test, status(r, 0, 0), 0x70 | mode << 1 | (mode ? 0x80 : 0));
		kvm_pit_regs_write(r, 0, 100, 0);
		KUNIT_EXPECT_EQ(test, status(r, 0, clocks(5000)) & 0x40, 0x40);
		kvm_pit_regs_write(r, 0, 0, 0);
		KUNIT_EXPECT_EQ(test, status(r, 0, 0) & 0x40, 0);
	}
}

static void strobe(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	load16(r, 0, 4, 100, 0);
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 0, clocks(99)));
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 0, clocks(100)));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 0, clocks(101)));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 0, clocks(100 + 65536 / 2)));
}

static void gate_holds(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);
	u64 t = clocks(10);

	/* mode 0: it stands still, and goes on */
	kvm_pit_speaker_write(r, 1, 0);
	load16(r, 2, 0, 1000, 0);
	kvm_pit_speaker_write(r, 0, clocks(400));
	KUNIT_EXPECT_EQ(test, read16(r, 2, clocks(5000)), 600);
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 2, clocks(5000)));
	kvm_pit_speaker_write(r, 1, clocks(5000));
	KUNIT_EXPECT_EQ(test, read16(r, 2, clocks(5100)), 500);
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, clocks(5601)));
	/* loaded behind a low gate */
	kvm_pit_speaker_write(r, 0, clocks(6000));
	load16(r, 2, 0, 50, clocks(6000));
	KUNIT_EXPECT_EQ(test, read16(r, 2, clocks(7000)), 50);
	/* mode 3: high while it is low, and anew */
	load16(r, 2, 3, 1000, 0);
	kvm_pit_speaker_write(r, 1, 0);
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 2, clocks(700)));
	kvm_pit_speaker_write(r, 0, clocks(700));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, clocks(700)));
	kvm_pit_speaker_write(r, 1, t + clocks(2000));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, t + clocks(2499)));
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 2, t + clocks(2501)));
}

static void gate_triggers(struct kunit *test)
{
	struct kvm_pit_regs *r = setup(test);

	/* mode 1: nothing before its trigger; each begins the pulse again */
	load16(r, 2, 1, 100, 0);
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, clocks(50)));
	KUNIT_EXPECT_EQ(test, status(r, 2, clocks(50)), 0xf2);
	kvm_pit_speaker_write(r, 1, clocks(1000));
	KUNIT_EXPECT_EQ(test, status(r, 2, clocks(1001)), 0x32);
	kvm_pit_speaker_write(r, 0, clocks(1050));
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 2, clocks(1060)));
	kvm_pit_speaker_write(r, 1, clocks(1060));
	KUNIT_EXPECT_FALSE(test, kvm_pit_out(r, 2, clocks(1150)));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, clocks(1161)));
	/* mode 5: a strobe at its end */
	kvm_pit_speaker_write(r, 0, clocks(2000));
	load16(r, 2, 5, 100, clocks(2000));
	kvm_pit_speaker_write(r, 1, clocks(2000));
	KUNIT_EXPECT_TRUE(test, kvm_pit_out(r, 2, clocks(2050)));
	KUNIT_EXPECT_EQ(test, read16(r, 2, clocks(2040)), 60);
}

static struct kunit_case pit_cases[] = {
	KUNIT_CASE(null_count),
	KUNIT_CASE(strobe),
	KUNIT_CASE(gate_holds),
	KUNIT_CASE(gate_triggers),
	KUNIT_CASE(mode0_counts_down),
	KUNIT_CASE(mode2_reloads),
	KUNIT_CASE(mode3_is_a_square),
	KUNIT_CASE(zero_is_the_largest),
	KUNIT_CASE(access_modes),
	KUNIT_CASE(latched_count_stays),
	KUNIT_CASE(read_back),
	KUNIT_CASE(bcd),
	KUNIT_CASE(bcd_modes),
	KUNIT_CASE(latches_by_access),
	KUNIT_CASE(speaker_port),
	{}
};

struct kunit_suite kvm_pit_suite = {
	.name = "kvm-pit",
	.test_cases = pit_cases,
};
