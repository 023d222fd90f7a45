// SPDX-License-Identifier: GPL-2.0-only
/* Unit tests of the rules for control registers (arch/x86/regs.c). */
#include <kunit/test.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "arch/x86/regs.h"
#include "tests/kunit/suites.h"

static void cr0(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, kvm_cr0_valid(0x60000010));
	KUNIT_EXPECT_TRUE(test, kvm_cr0_valid(X86_CR0_PE | X86_CR0_PG));
	KUNIT_EXPECT_FALSE(test, kvm_cr0_valid(X86_CR0_PG));
	KUNIT_EXPECT_FALSE(test, kvm_cr0_valid(X86_CR0_NW));
	KUNIT_EXPECT_TRUE(test, kvm_cr0_valid(X86_CR0_CD));
	KUNIT_EXPECT_FALSE(test, kvm_cr0_valid(1ul << 32));
}

static void xcr0(struct kunit *test)
{
	u64 all = XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM |
		  XFEATURE_MASK_BNDREGS | XFEATURE_MASK_BNDCSR |
		  XFEATURE_MASK_OPMASK | XFEATURE_MASK_ZMM_Hi256 |
		  XFEATURE_MASK_Hi16_ZMM;

	KUNIT_EXPECT_TRUE(test, kvm_xcr0_valid(1, 0));
	KUNIT_EXPECT_TRUE(test, kvm_xcr0_valid(all, all));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(0, all));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(2, all));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(7, 3));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(5, all));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(3 | XFEATURE_MASK_BNDREGS, all));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(7 | XFEATURE_MASK_OPMASK, all));
	KUNIT_EXPECT_FALSE(test, kvm_xcr0_valid(all & ~(u64)XFEATURE_MASK_YMM, all));
}

static bool has_nx_only(void *ctx, unsigned int feature)
{
	return feature == X86_FEATURE_NX;
}

static bool has_all(void *ctx, unsigned int feature)
{
	return true;
}

static bool has_all_but_svm(void *ctx, unsigned int feature)
{
	return feature != X86_FEATURE_SVM;
}

static void efer(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kvm_efer_bits(has_nx_only, NULL), (u64)EFER_NX);
	KUNIT_EXPECT_EQ(test, kvm_efer_bits(has_all, NULL),
			(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR | EFER_SVME));
	/* with the feature, which a parameter gives */
	KUNIT_EXPECT_EQ(test, kvm_efer_bits(has_all_but_svm, NULL),
			(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR));
}

static struct kunit_case regs_cases[] = {
	KUNIT_CASE(cr0),
	KUNIT_CASE(xcr0),
	KUNIT_CASE(efer),
	{}
};

struct kunit_suite kvm_regs_suite = {
	.name = "kvm-regs",
	.test_cases = regs_cases,
};
