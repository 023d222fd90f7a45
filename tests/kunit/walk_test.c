// SPDX-License-Identifier: GPL-2.0-only
/* Unit tests of the page walker's rules: reserved bits and permissions. */
#include <kunit/test.h>

#include "arch/x86/mmu/internal.h"
#include "tests/kunit/suites.h"

#define PTE(x)	((x) | 1)

static void reserved_long(struct kunit *test)
{
	struct guest_walk w = {
		.pae = true, .lma = true, .nx = true, .gbpages = true,
		.maxphyaddr = 40, .reserved_gpa_bits = GENMASK_ULL(63, 40),
	};

	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&w, 1, PTE(0xfffffff000ull)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&w, 1, PTE(1ull << 40)), 0);
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&w, 1, PTE(1ull << 63)), 0);
	/* protection key and ignored bits */
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&w, 1, PTE(0x7ff0000000000000ull)), 0);
	/* large pages have address bits that must be clear */
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&w, 2, PTE(0x80 | 1 << 12)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&w, 2, PTE(0x80 | 1 << 13)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&w, 3, PTE(0x80 | 1 << 29)), 0);
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&w, 3, PTE(0x80 | 1 << 30)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&w, 4, PTE(0x80)), 0);
	w.gbpages = false;
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&w, 3, PTE(0x80 | 1 << 30)), 0);
	w.nx = false;
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&w, 1, PTE(1ull << 63)), 0);
}

static void reserved_legacy(struct kunit *test)
{
	struct guest_walk pae = {
		.pae = true, .nx = true, .maxphyaddr = 40,
		.reserved_gpa_bits = GENMASK_ULL(63, 40),
	}, pse = { .pse = true, .maxphyaddr = 36 };

	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&pae, 1, PTE(1ull << 59)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&pae, 3, PTE(2)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&pae, 3, PTE(0x20)), 0);
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&pae, 3, PTE(0x18)), 0);
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&pse, 2, PTE(0x80 | 1 << 13)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&pse, 2, PTE(0x80 | 1 << 17)), 0);
	KUNIT_EXPECT_NE(test, kvm_walk_reserved_bits(&pse, 2, PTE(0x80 | 1 << 21)), 0);
	KUNIT_EXPECT_EQ(test, kvm_walk_reserved_bits(&pse, 1, PTE(0xfffff000)), 0);
}

struct access_case {
	u64 access;
	bool user, writable, nx, allowed;
};

static void check(struct kunit *test, const struct guest_walk *w,
		  const struct access_case *c, int n)
{
	bool pk;
	int i;

	for (i = 0; i < n; i++)
		KUNIT_EXPECT_EQ_MSG(test, c[i].allowed,
				    kvm_walk_permits(w, c[i].access, c[i].user,
						     c[i].writable, c[i].nx, 0, &pk),
				    "case %d", i);
}

static void permissions(struct kunit *test)
{
	static const struct access_case plain[] = {
		{ PFERR_USER, true, false, false, true },
		{ PFERR_USER, false, true, false, false },
		{ PFERR_USER | PFERR_WRITE, true, false, false, false },
		{ PFERR_WRITE, true, false, false, true },	/* WP clear */
		{ PFERR_FETCH, false, true, true, false },
		{ PFERR_FETCH, true, true, false, true },
	}, strict[] = {
		{ PFERR_WRITE, false, false, false, false },
		{ PFERR_WRITE, false, true, false, true },
		{ PFERR_FETCH, true, true, false, false },	/* SMEP */
		{ 0, true, true, false, false },		/* SMAP */
		{ PFERR_USER, true, true, false, true },
	};
	struct guest_walk w = { .pae = true, .lma = true, .nx = true };
	bool pk;

	check(test, &w, plain, ARRAY_SIZE(plain));
	w.wp = true;
	w.smep = true;
	w.smap = true;
	check(test, &w, strict, ARRAY_SIZE(strict));
	w.ac = true;
	KUNIT_EXPECT_TRUE(test, kvm_walk_permits(&w, 0, true, true, false, 0, &pk));

	/* protection keys: 1 denies access, 2 writes; not for fetches */
	w.pke = true;
	w.pkru = 1 << 2 | 2 << 4;
	KUNIT_EXPECT_FALSE(test, kvm_walk_permits(&w, PFERR_USER, true, true, false, 1, &pk));
	KUNIT_EXPECT_TRUE(test, pk);
	KUNIT_EXPECT_TRUE(test, kvm_walk_permits(&w, PFERR_USER, true, true, false, 2, &pk));
	KUNIT_EXPECT_FALSE(test, kvm_walk_permits(&w, PFERR_USER | PFERR_WRITE, true, true,
						  false, 2, &pk));
	KUNIT_EXPECT_TRUE(test, kvm_walk_permits(&w, PFERR_USER | PFERR_FETCH, true, true,
						 false, 1, &pk));
	KUNIT_EXPECT_FALSE(test, pk);
	/* it is told also when it is not the only reason */
	KUNIT_EXPECT_FALSE(test, kvm_walk_permits(&w, PFERR_USER | PFERR_WRITE, true, false,
						  false, 2, &pk));
	KUNIT_EXPECT_TRUE(test, pk);
}

static struct kunit_case walk_cases[] = {
	KUNIT_CASE(reserved_long),
	KUNIT_CASE(reserved_legacy),
	KUNIT_CASE(permissions),
	{}
};

struct kunit_suite kvm_walk_suite = {
	.name = "kvm-walk",
	.test_cases = walk_cases,
};
