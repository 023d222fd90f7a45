// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of slot arithmetic: lookup by frame and id, overlap, removal, at
 * the ends of ranges and of the address space (module/memslot.c).
 */
#include <kunit/test.h>

#include "module/memslot.h"
#include "tests/kunit/suites.h"

static struct kvm_memslots *new_set(struct kunit *test)
{
	struct kvm_memslots *set = kunit_kzalloc(test, sizeof(*set), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, set);
	set->gfn_tree = RB_ROOT;
	set->hva_tree = RB_ROOT_CACHED;
	set->id_tree = RB_ROOT;
	return set;
}

static struct kvm_memory_slot *add(struct kunit *test, struct kvm_memslots *set,
				   int id, gfn_t base, unsigned long npages)
{
	struct kvm_memory_slot *slot = kunit_kzalloc(test, sizeof(*slot), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, slot);
	slot->id = id;
	slot->base_gfn = base;
	slot->npages = npages;
	slot->userspace_addr = 0x7f0000000000ul + base * PAGE_SIZE;
	for (i = 0; i < 2; i++) {
		slot->hva_node[i].start = slot->userspace_addr;
		slot->hva_node[i].last = slot->userspace_addr + npages * PAGE_SIZE - 1;
	}
	kvm_set_insert(set, slot);
	return slot;
}

static void find_at_edges(struct kunit *test)
{
	struct kvm_memslots *set = new_set(test);
	struct kvm_memory_slot *a = add(test, set, 1, 0x100, 0x10);
	struct kvm_memory_slot *b = add(test, set, 2, 0x110, 1);
	struct kvm_memory_slot *c = add(test, set, 3, 0, 1);

	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0), c);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 1), NULL);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0xff), NULL);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x100), a);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x10f), a);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x110), b);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x111), NULL);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, ~0ull), NULL);
}

static void last_used_is_only_a_hint(struct kunit *test)
{
	struct kvm_memslots *set = new_set(test);
	struct kvm_memory_slot *a = add(test, set, 1, 0x100, 0x10);
	struct kvm_memory_slot *b = add(test, set, 2, 0x200, 0x10);

	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x105), a);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x205), b);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0xfe), NULL);
	kvm_set_remove(set, b);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x205), NULL);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, 0x105), a);
}

static void overlap(struct kunit *test)
{
	struct kvm_memslots *set = new_set(test);

	add(test, set, 1, 0x100, 0x10);
	add(test, set, 2, 0x200, 0x10);
	KUNIT_EXPECT_FALSE(test, kvm_set_overlaps(set, 0, 0x100, -1));
	KUNIT_EXPECT_TRUE(test, kvm_set_overlaps(set, 0, 0x101, -1));
	KUNIT_EXPECT_TRUE(test, kvm_set_overlaps(set, 0x10f, 0x110, -1));
	KUNIT_EXPECT_FALSE(test, kvm_set_overlaps(set, 0x110, 0x200, -1));
	KUNIT_EXPECT_TRUE(test, kvm_set_overlaps(set, 0x104, 0x105, -1));
	KUNIT_EXPECT_TRUE(test, kvm_set_overlaps(set, 0, 0x1000, -1));
	/* a slot that moves may overlap itself, not another */
	KUNIT_EXPECT_FALSE(test, kvm_set_overlaps(set, 0x104, 0x114, 1));
	KUNIT_EXPECT_TRUE(test, kvm_set_overlaps(set, 0x108, 0x208, 1));
	KUNIT_EXPECT_TRUE(test, kvm_set_overlaps(set, 0x108, 0x208, 2));
	KUNIT_EXPECT_FALSE(test, kvm_set_overlaps(set, 0x208, 0x218, 2));
}

static void ids(struct kunit *test)
{
	struct kvm_memslots *set = new_set(test);
	struct kvm_memory_slot *slots[100];
	int i;

	for (i = 0; i < ARRAY_SIZE(slots); i++)
		slots[i] = add(test, set, i * 100, i * 16, 8);
	KUNIT_EXPECT_EQ(test, set->nr_slots, ARRAY_SIZE(slots));
	for (i = 0; i < ARRAY_SIZE(slots); i++)
		KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_id(set, i * 100), slots[i]);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_id(set, 50), NULL);
	for (i = 0; i < ARRAY_SIZE(slots); i += 2)
		kvm_set_remove(set, slots[i]);
	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		struct kvm_memory_slot *want = i & 1 ? slots[i] : NULL;

		KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_id(set, i * 100), want);
		KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, i * 16 + 7), want);
		KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(set, i * 16 + 8), NULL);
	}
}

static void both_nodes(struct kunit *test)
{
	struct kvm_memslots *zero = new_set(test), *one = new_set(test);
	struct kvm_memory_slot *slot;

	one->node = 1;
	slot = add(test, zero, 7, 0x40, 4);
	kvm_set_insert(one, slot);
	kvm_set_remove(zero, slot);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(zero, 0x41), NULL);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_gfn(one, 0x41), slot);
	KUNIT_EXPECT_PTR_EQ(test, kvm_set_find_id(one, 7), slot);
}

static void dirty_log_bytes(struct kunit *test)
{
	struct kvm_memory_slot slot = { .npages = 1 };

	KUNIT_EXPECT_EQ(test, kvm_dirty_bitmap_bytes(&slot), 8);
	slot.npages = 64;
	KUNIT_EXPECT_EQ(test, kvm_dirty_bitmap_bytes(&slot), 8);
	slot.npages = 65;
	KUNIT_EXPECT_EQ(test, kvm_dirty_bitmap_bytes(&slot), 16);
}

static struct kunit_case slot_cases[] = {
	KUNIT_CASE(find_at_edges),
	KUNIT_CASE(last_used_is_only_a_hint),
	KUNIT_CASE(overlap),
	KUNIT_CASE(ids),
	KUNIT_CASE(both_nodes),
	KUNIT_CASE(dirty_log_bytes),
	{}
};

struct kunit_suite kvm_slot_suite = {
	.name = "kvm-slot",
	.test_cases = slot_cases,
};
