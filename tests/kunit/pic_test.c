// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8259A pair (arch/x86/irq/pic.c), each case against the data sheet.
 */
#include <kunit/test.h>

#include "arch/x86/irq/pic.h"
#include "tests/kunit/suites.h"

#define SRC KVM_USERSPACE_IRQ_SOURCE_ID

struct pic_ctx {
	struct kvm_pic pic;
	unsigned int rose;
	unsigned int acked[KVM_PIC_PINS];
};

static void ctx_rose(struct kvm_pic *pic)
{
	container_of(pic, struct pic_ctx, pic)->rose++;
}

static void ctx_acked(struct kvm_pic *pic, unsigned int pin)
{
	container_of(pic, struct pic_ctx, pic)->acked[pin]++;
}

static const struct kvm_pic_ops ctx_ops = {
	.output_changed = ctx_rose,
	.acked = ctx_acked,
};

/* as a PC's firmware does it: vectors 20h and 28h, nothing masked */
static void program(struct kvm_pic *pic, u8 icw4)
{
	kvm_pic_port_write(pic, 0x20, 0x11);
	kvm_pic_port_write(pic, 0x21, 0x20);
	kvm_pic_port_write(pic, 0x21, 0x04);
	kvm_pic_port_write(pic, 0x21, icw4);
	kvm_pic_port_write(pic, 0xa0, 0x11);
	kvm_pic_port_write(pic, 0xa1, 0x28);
	kvm_pic_port_write(pic, 0xa1, 0x02);
	kvm_pic_port_write(pic, 0xa1, 0x01);
	kvm_pic_port_write(pic, 0x21, 0);
	kvm_pic_port_write(pic, 0xa1, 0);
}

static struct pic_ctx *setup(struct kunit *test, u8 icw4)
{
	struct pic_ctx *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, c);
	kvm_pic_init(&c->pic, &ctx_ops);
	program(&c->pic, icw4);
	return c;
}

static void pulse(struct kvm_pic *pic, unsigned int pin)
{
	kvm_pic_set_irq(pic, pin, SRC, 1);
	kvm_pic_set_irq(pic, pin, SRC, 0);
}

static void edge_is_latched(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	KUNIT_EXPECT_EQ(test, kvm_pic_set_irq(&c->pic, 3, SRC, 1), 1);
	KUNIT_EXPECT_TRUE(test, c->pic.output);
	KUNIT_EXPECT_EQ(test, c->rose, 1u);
	/* a second rise needs a fall before it, and coalesces then */
	kvm_pic_set_irq(&c->pic, 3, SRC, 0);
	KUNIT_EXPECT_EQ(test, kvm_pic_set_irq(&c->pic, 3, SRC, 1), 0);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x23);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 0);
	kvm_pic_port_write(&c->pic, 0x20, 0x0b);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 0x08);
	KUNIT_EXPECT_EQ(test, c->acked[3], 0u);
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_EQ(test, c->acked[3], 1u);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
}

static void level_follows_the_line(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	kvm_pic_port_write(&c->pic, 0x4d0, 0xff);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x4d0), 0xf8);
	kvm_pic_set_irq(&c->pic, 5, SRC, 1);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x25);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_TRUE(test, c->pic.output);	/* still asserted */
	kvm_pic_set_irq(&c->pic, 5, SRC, 0);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
}

static void sources_share_a_line(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	kvm_pic_port_write(&c->pic, 0x4d0, 0x20);
	kvm_pic_set_irq(&c->pic, 5, SRC, 1);
	kvm_pic_set_irq(&c->pic, 5, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, 1);
	kvm_pic_set_irq(&c->pic, 5, SRC, 0);
	KUNIT_EXPECT_TRUE(test, c->pic.output);
	kvm_pic_set_irq(&c->pic, 5, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, 0);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
}

static void priority_and_nesting(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	pulse(&c->pic, 6);
	pulse(&c->pic, 4);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x24);
	KUNIT_EXPECT_FALSE(test, c->pic.output);	/* 6 waits for 4 */
	pulse(&c->pic, 1);
	KUNIT_EXPECT_TRUE(test, c->pic.output);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x21);
	/* non-specific EOI ends the highest: 1, then 4 */
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_EQ(test, c->acked[1], 1u);
	kvm_pic_port_write(&c->pic, 0x20, 0x64);	/* specific, 4 */
	KUNIT_EXPECT_EQ(test, c->acked[4], 1u);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x26);
}

static void slave_cascades(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	pulse(&c->pic, 12);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x2c);
	/* a higher one of the slave waits: the master's IR2 is in service */
	pulse(&c->pic, 9);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	kvm_pic_port_write(&c->pic, 0xa0, 0x20);
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_EQ(test, c->acked[12], 1u);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x29);
	/* the cascade itself is nobody's interrupt */
	KUNIT_EXPECT_EQ(test, c->acked[2], 0u);
}

static void special_fully_nested(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x11);

	pulse(&c->pic, 12);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x2c);
	pulse(&c->pic, 9);
	KUNIT_EXPECT_TRUE(test, c->pic.output);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x29);
}

static void masked_waits(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	kvm_pic_port_write(&c->pic, 0x21, 0xff);
	KUNIT_EXPECT_EQ(test, kvm_pic_set_irq(&c->pic, 0, SRC, 1), -1);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x21), 0xff);
	kvm_pic_port_write(&c->pic, 0x21, 0xfe);
	KUNIT_EXPECT_EQ(test, c->rose, 1u);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x20);
}

static void spurious(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x27);
	kvm_pic_port_write(&c->pic, 0x20, 0x0b);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 0);
}

/*
 * A level that falls after the acknowledge has begun. The slave's is spurious only when the
 * master has taken IR2 for it, which then is in service.
 */
static void spurious_of_the_slave(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	kvm_pic_port_write(&c->pic, 0x4d1, 0x04);
	kvm_pic_set_irq(&c->pic, 10, SRC, 1);
	kvm_pic_set_irq(&c->pic, 10, SRC, 0);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	/* as if it had fallen between the two pulses of the acknowledge */
	c->pic.chip[0].irr |= BIT(2);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x2f);
	kvm_pic_port_write(&c->pic, 0xa0, 0x0b);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0xa0), 0);
	kvm_pic_port_write(&c->pic, 0x20, 0x0b);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 4);
	/* an EOI of the slave alone ends nothing */
	kvm_pic_port_write(&c->pic, 0xa0, 0x20);
	pulse(&c->pic, 12);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x2c);
}

/* INTR as LINT0 sees it: each edge of the input that it is up for, acknowledged or not */
static void rises(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	pulse(&c->pic, 3);
	KUNIT_EXPECT_EQ(test, c->rose, 1u);
	pulse(&c->pic, 3);
	KUNIT_EXPECT_EQ(test, c->rose, 2u);
	/* up all the time */
	kvm_pic_set_irq(&c->pic, 3, SRC, 1);
	kvm_pic_set_irq(&c->pic, 3, SRC, 1);
	KUNIT_EXPECT_EQ(test, c->rose, 3u);
	kvm_pic_set_irq(&c->pic, 3, SRC, 0);
	/* not the first, masked, a level */
	pulse(&c->pic, 5);
	pulse(&c->pic, 5);
	KUNIT_EXPECT_EQ(test, c->rose, 3u);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x23);
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_EQ(test, c->rose, 4u);
	kvm_pic_port_write(&c->pic, 0x21, 0x20);
	pulse(&c->pic, 5);
	KUNIT_EXPECT_EQ(test, c->rose, 4u);
	kvm_pic_port_write(&c->pic, 0x4d0, 0x40);
	kvm_pic_set_irq(&c->pic, 6, SRC, 1);
	KUNIT_EXPECT_EQ(test, c->rose, 5u);
	kvm_pic_set_irq(&c->pic, 6, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, 1);
	KUNIT_EXPECT_EQ(test, c->rose, 5u);
	/* through the slave */
	c = setup(test, 0x01);
	pulse(&c->pic, 12);
	pulse(&c->pic, 12);
	KUNIT_EXPECT_EQ(test, c->rose, 2u);
	pulse(&c->pic, 13);
	pulse(&c->pic, 13);
	KUNIT_EXPECT_EQ(test, c->rose, 2u);
}

static void auto_eoi_and_rotation(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x03);

	kvm_pic_port_write(&c->pic, 0x20, 0x80);	/* rotate in AEOI mode */
	pulse(&c->pic, 0);
	pulse(&c->pic, 1);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x20);
	KUNIT_EXPECT_EQ(test, c->acked[0], 1u);
	pulse(&c->pic, 0);	/* now of the lowest priority */
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x21);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x20);
}

/* Each pin may be made the lowest; the order follows. */
static void rotation(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 1);
	unsigned int low, i, pin;

	for (low = 0; low < 8; low++) {
		kvm_pic_port_write(&c->pic, 0x20, 0xc0 | low);
		for (i = 0; i < 8; i++)
			if (i != 2)
				pulse(&c->pic, i);
		for (i = 1; i <= 8; i++) {
			pin = (low + i) & 7;
			if (pin == 2)
				continue;
			KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x20 + pin);
			kvm_pic_port_write(&c->pic, 0x20, 0x60 | pin);
		}
		KUNIT_EXPECT_FALSE(test, c->pic.output);
	}
}

static void poll_mode(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	kvm_pic_port_write(&c->pic, 0x20, 0x0c);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 0);
	pulse(&c->pic, 6);
	kvm_pic_port_write(&c->pic, 0x20, 0x0c);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 0x86);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
}

/* A poll of the master acknowledges IR2, one of the slave the pin; each has to be ended. */
static void poll_of_the_slave(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	pulse(&c->pic, 12);
	kvm_pic_port_write(&c->pic, 0x20, 0x0c);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x21), 0x82);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	kvm_pic_port_write(&c->pic, 0xa0, 0x0c);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0xa0), 0x84);
	/* one read only */
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0xa0), 0);
	kvm_pic_port_write(&c->pic, 0xa0, 0x20);
	KUNIT_EXPECT_EQ(test, c->acked[12], 1u);
	KUNIT_EXPECT_EQ(test, c->acked[2], 0u);
	kvm_pic_port_write(&c->pic, 0x20, 0x20);
	KUNIT_EXPECT_EQ(test, c->acked[2], 0u);
	/* masked: there is nothing to be seen */
	kvm_pic_port_write(&c->pic, 0x21, 0x40);
	pulse(&c->pic, 6);
	kvm_pic_port_write(&c->pic, 0x20, 0x0c);
	KUNIT_EXPECT_EQ(test, kvm_pic_port_read(&c->pic, 0x20), 0);
}

static void special_mask(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	pulse(&c->pic, 1);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x21);
	pulse(&c->pic, 6);
	KUNIT_EXPECT_FALSE(test, c->pic.output);
	kvm_pic_port_write(&c->pic, 0x21, 0x02);
	kvm_pic_port_write(&c->pic, 0x20, 0x68);
	KUNIT_EXPECT_TRUE(test, c->pic.output);
	KUNIT_EXPECT_EQ(test, kvm_pic_intack(&c->pic), 0x26);
}

static void reset_ends_what_was_open(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);

	pulse(&c->pic, 0);
	kvm_pic_intack(&c->pic);
	kvm_pic_port_write(&c->pic, 0x20, 0x11);
	KUNIT_EXPECT_EQ(test, c->acked[0], 1u);
}

static void rubbish_state_is_tamed(struct kunit *test)
{
	struct pic_ctx *c = setup(test, 0x01);
	struct kvm_pic_state s, got;

	memset(&s, 0xff, sizeof(s));
	KUNIT_EXPECT_EQ(test, kvm_pic_set_state(&c->pic, 0, &s), 0);
	KUNIT_EXPECT_EQ(test, kvm_pic_set_state(&c->pic, 1, &s), 0);
	kvm_pic_get_state(&c->pic, 0, &got);
	KUNIT_EXPECT_LE(test, got.priority_add, 7);
	KUNIT_EXPECT_EQ(test, got.elcr, 0xf8);
	kvm_pic_intack(&c->pic);
	kvm_pic_port_write(&c->pic, 0x20, 0xa0);
	kvm_pic_port_read(&c->pic, 0xa0);
}

static struct kunit_case pic_cases[] = {
	KUNIT_CASE(edge_is_latched),
	KUNIT_CASE(level_follows_the_line),
	KUNIT_CASE(sources_share_a_line),
	KUNIT_CASE(priority_and_nesting),
	KUNIT_CASE(slave_cascades),
	KUNIT_CASE(special_fully_nested),
	KUNIT_CASE(masked_waits),
	KUNIT_CASE(spurious),
	KUNIT_CASE(spurious_of_the_slave),
	KUNIT_CASE(rises),
	KUNIT_CASE(auto_eoi_and_rotation),
	KUNIT_CASE(rotation),
	KUNIT_CASE(poll_mode),
	KUNIT_CASE(poll_of_the_slave),
	KUNIT_CASE(special_mask),
	KUNIT_CASE(reset_ends_what_was_open),
	KUNIT_CASE(rubbish_state_is_tamed),
	{}
};

struct kunit_suite kvm_pic_suite = {
	.name = "kvm-pic",
	.test_cases = pic_cases,
};
