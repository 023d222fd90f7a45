// SPDX-License-Identifier: GPL-2.0-only
/* Unit tests of the performance counters: which register an MSR and RDPMC mean, filters. */
#include <kunit/test.h>

#include "arch/x86/pmu.h"
#include "tests/kunit/suites.h"

static void msrs(struct kunit *test)
{
	static const struct {
		bool amd;
		u32 index;
		enum kvm_pmu_reg reg;
		unsigned int n;
	} cases[] = {
		{ false, 0xc1, KVM_PMU_COUNTER, 0 }, { false, 0xc8, KVM_PMU_COUNTER, 7 },
		{ false, 0xc0, KVM_PMU_NONE }, { false, 0xc9, KVM_PMU_NONE },
		{ false, 0x186, KVM_PMU_SELECT, 0 }, { false, 0x18d, KVM_PMU_SELECT, 7 },
		{ false, 0x185, KVM_PMU_NONE }, { false, 0x18e, KVM_PMU_NONE },
		{ false, 0x309, KVM_PMU_FIXED, 0 }, { false, 0x30b, KVM_PMU_FIXED, 2 },
		{ false, 0x30c, KVM_PMU_NONE }, { false, 0x4c3, KVM_PMU_COUNTER_FULL, 2 },
		{ false, 0x38d, KVM_PMU_FIXED_CTRL }, { false, 0x38e, KVM_PMU_STATUS },
		{ false, 0x38f, KVM_PMU_GLOBAL_CTRL }, { false, 0x390, KVM_PMU_OVF_CTRL },
		{ false, 0xc0010000, KVM_PMU_NONE },
		{ true, 0xc0010000, KVM_PMU_SELECT, 0 }, { true, 0xc0010003, KVM_PMU_SELECT, 3 },
		{ true, 0xc0010004, KVM_PMU_COUNTER, 0 }, { true, 0xc0010007, KVM_PMU_COUNTER, 3 },
		{ true, 0xc0010008, KVM_PMU_NONE }, { true, 0xc0010200, KVM_PMU_SELECT, 0 },
		{ true, 0xc001020a, KVM_PMU_SELECT, 5 }, { true, 0xc001020b, KVM_PMU_COUNTER, 5 },
		{ true, 0xc001020c, KVM_PMU_NONE }, { true, 0xc1, KVM_PMU_NONE },
		{ true, 0x38f, KVM_PMU_NONE },
	};
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		enum kvm_pmu_reg reg = kvm_pmu_decode_msr(cases[i].amd, cases[i].index, &n);

		KUNIT_EXPECT_EQ_MSG(test, reg, cases[i].reg, "MSR %#x", cases[i].index);
		if (reg)
			KUNIT_EXPECT_EQ_MSG(test, n, cases[i].n, "MSR %#x", cases[i].index);
	}
}

static void rdpmc_index(struct kunit *test)
{
	bool fixed;

	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(false, 3, &fixed), 3);
	KUNIT_EXPECT_FALSE(test, fixed);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(false, 0x40000002, &fixed), 2);
	KUNIT_EXPECT_TRUE(test, fixed);
	/* metrics, and the fast mode of CPUs before architectural counters */
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(false, 0x20000000, &fixed), -1);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(false, 0x80000000, &fixed), -1);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(false, 0xc0000000, &fixed), -1);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(false, 0x00010000, &fixed), -1);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(true, 5, &fixed), 5);
	KUNIT_EXPECT_FALSE(test, fixed);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(true, 0x40000000, &fixed), -1);
	KUNIT_EXPECT_EQ(test, kvm_pmu_decode_rdpmc(true, 0xffffffff, &fixed), -1);
}

#define M	KVM_PMU_ENCODE_MASKED_ENTRY
#define EXPECT_ALLOWS(f, amd, select, is)					\
	KUNIT_EXPECT_EQ(test, kvm_pmu_filter_allows(f, amd, select), is)

static void filter(struct kunit *test)
{
	struct kvm_oot_pmu_filter *f;

	f = kunit_kzalloc(test, struct_size(f, events, 3), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f);
	EXPECT_ALLOWS(f, false, 0xc0, true);
	f->allow = true;
	EXPECT_ALLOWS(f, false, 0xc0, false);
	f->nr = 1;
	f->events[0] = 0x1c0;
	/* only event and unit mask are compared */
	EXPECT_ALLOWS(f, false, 0xff5301c0, true);
	EXPECT_ALLOWS(f, false, 0x5300c0, false);
	f->allow = false;
	EXPECT_ALLOWS(f, false, 0x5301c0, false);
	EXPECT_ALLOWS(f, false, 0x5302c0, true);
	/* AMD's events have 12 bits */
	EXPECT_ALLOWS(f, true, 0x1005301c0ull, true);

	f->masked = true;
	f->allow = true;
	f->nr = 2;
	f->events[0] = M(0xc0, 0xf0, 0x10, false);
	f->events[1] = M(0xc0, 0x0f, 0x03, true);
	EXPECT_ALLOWS(f, false, 0x5310c0, true);
	EXPECT_ALLOWS(f, false, 0x5312c0, true);
	EXPECT_ALLOWS(f, false, 0x5313c0, false);
	EXPECT_ALLOWS(f, false, 0x5320c0, false);
	EXPECT_ALLOWS(f, false, 0x5310c1, false);
	EXPECT_ALLOWS(f, true, 0x1005310c0ull, false);
	f->events[2] = M(0x1c0, 0, 0, false);
	f->nr = 3;
	EXPECT_ALLOWS(f, true, 0x1005310c0ull, true);
	f->allow = false;
	EXPECT_ALLOWS(f, false, 0x5313c0, true);
	EXPECT_ALLOWS(f, false, 0x5310c0, false);

	KUNIT_EXPECT_TRUE(test, kvm_pmu_filter_event_valid(false, M(0xff, 0xff, 0xff, true)));
	KUNIT_EXPECT_FALSE(test, kvm_pmu_filter_event_valid(false, M(0x1ff, 0, 0, false)));
	KUNIT_EXPECT_TRUE(test, kvm_pmu_filter_event_valid(true, M(0xfff, 0, 0, false)));
	KUNIT_EXPECT_FALSE(test, kvm_pmu_filter_event_valid(true, BIT_ULL(16)));
	KUNIT_EXPECT_FALSE(test, kvm_pmu_filter_event_valid(true, BIT_ULL(54)));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(msrs),
	KUNIT_CASE(rdpmc_index),
	KUNIT_CASE(filter),
	{}
};

struct kunit_suite kvm_pmu_suite = {
	.name = "kvm-pmu",
	.test_cases = cases,
};
