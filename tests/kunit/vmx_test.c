// SPDX-License-Identifier: GPL-2.0-only
/* Unit tests of what the VMX backend decides without a CPU (arch/x86/vmx/state.h). */
#include <kunit/test.h>

#include "arch/x86/vmx/state.h"
#include "tests/kunit/suites.h"

static void controls(struct kunit *test)
{
	/* high half: may be one; low half: must be */
	KUNIT_EXPECT_EQ(test, vmx_choose(0x000000ff00000000, 0x0f), 0x0fu);
	KUNIT_EXPECT_EQ(test, vmx_choose(0x000000ff00000010, 0x0f), 0x1fu);
	KUNIT_EXPECT_EQ(test, vmx_choose(0x0000000f00000001, 0xf0), 0x01u);
	KUNIT_EXPECT_EQ(test, vmx_choose(0xffffffff00000000, ~0u), ~0u);
	KUNIT_EXPECT_EQ(test, vmx_choose(0, ~0u), 0u);
}

static struct vmx_seg flat(u32 ar)
{
	return (struct vmx_seg) { .ar = ar, .limit = ~0u };
}

/* A protected-mode guest as an operating system makes it. */
static void protected(struct vmx_seg *s, u16 rpl)
{
	int i;

	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		s[i] = flat(0xc093 | rpl << 5);
		s[i].selector = 0x10 | rpl;
	}
	s[VCPU_SEG_CS] = flat(0xc09b | rpl << 5);
	s[VCPU_SEG_CS].selector = 0x8 | rpl;
	s[VCPU_SEG_TR] = (struct vmx_seg) { .selector = 0x30, .ar = 0x8b, .limit = 0x67 };
	s[VCPU_SEG_LDTR] = (struct vmx_seg) { .ar = VMX_AR_UNUSABLE_MASK };
}

static void valid_states(struct kunit *test)
{
	struct vmx_seg s[VCPU_NR_SEGS];

	protected(s, 0);
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, false, false));
	protected(s, 3);
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, false, false));
	/* null selectors */
	s[VCPU_SEG_FS] = (struct vmx_seg) { .ar = VMX_AR_UNUSABLE_MASK };
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, false, false));
	/* 64-bit code, and a base above 4 GiB where there may be one */
	protected(s, 0);
	s[VCPU_SEG_CS].ar = 0xa09b;
	s[VCPU_SEG_GS].base = 0xffff888000000000;
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, false, true));
	/* conforming code that the stack's level may call */
	protected(s, 3);
	s[VCPU_SEG_CS].ar = 0xc09f;
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, false, false));
}

#define REFUSED(change) do {					\
	protected(s, 0);					\
	change;							\
	KUNIT_EXPECT_FALSE(test, vmx_segs_valid(s, false, false)); \
} while (0)

static void invalid_states(struct kunit *test)
{
	struct vmx_seg s[VCPU_NR_SEGS];

	REFUSED(s[VCPU_SEG_CS].ar = 0x93);			/* as real mode leaves it */
	REFUSED(s[VCPU_SEG_CS].ar |= 3 << 5);			/* DPL is not that of SS */
	REFUSED(s[VCPU_SEG_CS].selector |= 3);			/* RPL is not that of SS */
	REFUSED(s[VCPU_SEG_CS].ar = 0xc09a);			/* not accessed */
	REFUSED(s[VCPU_SEG_CS].ar |= VMX_AR_UNUSABLE_MASK);
	REFUSED(s[VCPU_SEG_CS].base = 1ull << 32);
	REFUSED(s[VCPU_SEG_SS].selector = 0xf003);		/* RPL is not DPL */
	REFUSED(s[VCPU_SEG_SS].ar = 0xc091);			/* read-only */
	REFUSED(s[VCPU_SEG_SS].ar &= ~VMX_AR_P_MASK);
	REFUSED(s[VCPU_SEG_DS].selector |= 3);			/* RPL above DPL */
	REFUSED(s[VCPU_SEG_DS].ar = 0xc099);			/* code that cannot be read */
	REFUSED(s[VCPU_SEG_DS].ar &= ~VMX_AR_S_MASK);
	REFUSED(s[VCPU_SEG_DS].ar |= 0x100);			/* reserved */
	REFUSED(s[VCPU_SEG_ES].ar &= ~VMX_AR_G_MASK);		/* 4 GiB in bytes */
	REFUSED(s[VCPU_SEG_ES].limit = 0xffffe);		/* in pages, but no whole one */
	REFUSED(s[VCPU_SEG_TR].ar = 0x89);			/* not busy */
	REFUSED(s[VCPU_SEG_TR].selector = 0x34);		/* in the LDT */
	REFUSED(s[VCPU_SEG_TR].ar = VMX_AR_UNUSABLE_MASK);
	REFUSED(s[VCPU_SEG_LDTR] = flat(0x8082); s[VCPU_SEG_LDTR].selector = 4);
	REFUSED(s[VCPU_SEG_LDTR] = flat(0x8083));

	/* a 16-bit task register, and 64-bit code that is also of 32 bits, in long mode */
	protected(s, 0);
	s[VCPU_SEG_TR].ar = 0x83;
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, false, false));
	KUNIT_EXPECT_FALSE(test, vmx_segs_valid(s, false, true));
	protected(s, 0);
	s[VCPU_SEG_CS].ar = 0xe09b;
	KUNIT_EXPECT_FALSE(test, vmx_segs_valid(s, false, true));
}

static struct vmx_seg real(u16 selector, u32 ar)
{
	return (struct vmx_seg) { .selector = selector, .ar = ar, .limit = 0xffff,
				  .base = (u64)selector << 4 };
}

static void virtual_8086(struct kunit *test)
{
	struct vmx_seg s[VCPU_NR_SEGS], x;
	int i;

	protected(s, 0);
	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
		s[i] = real(0x1234 + i, VMX_AR_VM86);
	KUNIT_EXPECT_TRUE(test, vmx_segs_valid(s, true, false));
	KUNIT_EXPECT_FALSE(test, vmx_segs_valid(s, false, false));
	s[VCPU_SEG_DS].limit = ~0u;
	KUNIT_EXPECT_FALSE(test, vmx_segs_valid(s, true, false));
	s[VCPU_SEG_DS] = real(0x1234, 0x93);
	KUNIT_EXPECT_FALSE(test, vmx_segs_valid(s, true, false));

	/* which real mode it can stand in for */
	x = real(0xf000, 0x93);
	KUNIT_EXPECT_TRUE(test, vmx_seg_fits_vm86(VCPU_SEG_DS, &x));
	KUNIT_EXPECT_TRUE(test, vmx_seg_fits_vm86(VCPU_SEG_CS, &x));
	x.ar = 0x9b;
	KUNIT_EXPECT_TRUE(test, vmx_seg_fits_vm86(VCPU_SEG_CS, &x));
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_DS, &x));
	x = real(0xf000, 0x91);
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_DS, &x));
	x = real(0xf000, 0x97);
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_DS, &x));
	x = real(0xf000, 0x4093);
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_CS, &x));
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_SS, &x));
	KUNIT_EXPECT_TRUE(test, vmx_seg_fits_vm86(VCPU_SEG_DS, &x));
	x = real(0xf000, 0x93);
	x.base = 0xffff0000;		/* RESET */
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_CS, &x));
	x = real(0, 0x8093);
	x.limit = ~0u;			/* big real mode */
	KUNIT_EXPECT_FALSE(test, vmx_seg_fits_vm86(VCPU_SEG_DS, &x));
}

static void access_rights(struct kunit *test)
{
	struct kvm_segment a = {
		.selector = 0x13, .base = 0x1000, .limit = 0xfffff, .type = 3, .present = 1,
		.dpl = 3, .db = 1, .s = 1, .avl = 1,
	}, b;
	struct vmx_seg s = vmx_seg_from_abi(VCPU_SEG_DS, &a);

	KUNIT_EXPECT_EQ(test, s.ar, 0x50f3u);
	b = vmx_seg_to_abi(&s);
	KUNIT_EXPECT_EQ(test, memcmp(&a, &b, sizeof(a)), 0);
	/* what can be in pages only is */
	a.limit = ~0u;
	s = vmx_seg_from_abi(VCPU_SEG_DS, &a);
	KUNIT_EXPECT_EQ(test, s.ar, 0xd0f3u);
	b = vmx_seg_to_abi(&s);
	KUNIT_EXPECT_EQ(test, b.g, 1);
	/* ... and what cannot is not */
	a.limit = 0x1234;
	a.g = 1;
	KUNIT_EXPECT_EQ(test, vmx_seg_from_abi(VCPU_SEG_DS, &a).ar, 0x50f3u);
	/* accessed, busy */
	a.type = 2;
	KUNIT_EXPECT_EQ(test, vmx_seg_from_abi(VCPU_SEG_DS, &a).ar & 0xf, 3u);
	KUNIT_EXPECT_EQ(test, vmx_seg_from_abi(VCPU_SEG_LDTR, &a).ar & 0xf, 2u);
	a.type = 9;
	KUNIT_EXPECT_EQ(test, vmx_seg_from_abi(VCPU_SEG_TR, &a).ar & 0xf, 0xbu);
	/* unusable, by either of two ways; the CPL stays */
	a.present = 0;
	KUNIT_EXPECT_EQ(test, vmx_seg_from_abi(VCPU_SEG_SS, &a).ar, VMX_AR_UNUSABLE_MASK | 0x60u);
	a.present = 1;
	a.unusable = 1;
	s = vmx_seg_from_abi(VCPU_SEG_SS, &a);
	KUNIT_EXPECT_EQ(test, s.ar, VMX_AR_UNUSABLE_MASK | 0x60u);
	b = vmx_seg_to_abi(&s);
	KUNIT_EXPECT_EQ(test, b.unusable, 1);
	KUNIT_EXPECT_EQ(test, b.present, 0);
	KUNIT_EXPECT_EQ(test, b.dpl, 3);
}

static struct kunit_case vmx_cases[] = {
	KUNIT_CASE(controls),
	KUNIT_CASE(valid_states),
	KUNIT_CASE(invalid_states),
	KUNIT_CASE(virtual_8086),
	KUNIT_CASE(access_rights),
	{}
};

struct kunit_suite kvm_vmx_suite = {
	.name = "kvm-vmx",
	.test_cases = vmx_cases,
};
