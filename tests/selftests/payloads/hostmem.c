// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that knows what its memory holds. Test numbers: hostmem.h
 *
 * HM_PATTERN: page n belongs to vCPU n % vcpus, which checks every word of it and
 * writes every word anew, round after round; the others see to it that its pages
 * never go back in time. A page that comes back old, wrong or as zeroes ends it.
 *
 * HM_DIRTY: all pages are read in each round that the host begins, those that it names
 * are written. After its round the guest touches none until the next.
 */
#include "guest.h"
#include "hostmem.h"

static struct hm_shared *const sh = (struct hm_shared *)GUEST_SHARED;

/* the round that was last written to a page (own) or seen there; 0: nothing yet */
static u32 seen[HM_MAX_VCPUS][HM_MAX_PAGES];

static u64 *page_of(u64 page)
{
	return (u64 *)(READ_ONCE(sh->start) + page * 4096);
}

static void own_page(u64 id, u64 page, u64 round)
{
	u64 *p = page_of(page);
	u64 was = seen[id][page], j;

	if (was)
		for (j = 0; j < 512; j++)
			GUEST_EQ(READ_ONCE(p[j]), hm_word(page, was, j));
	if (was && HM_TWIN(page) && round % HM_TWIN_ROUNDS != 1)
		return;
	for (j = 0; j < 512; j++)
		WRITE_ONCE(p[j], hm_word(page, round, j));
	seen[id][page] = round;
}

/* The owner writes upwards, so what is read downwards must not get older. */
static void other_page(u64 id, u64 page)
{
	u64 *p = page_of(page);
	u64 last = READ_ONCE(p[511]), first = READ_ONCE(p[0]);

	if (!last && !seen[id][page])
		return;
	GUEST_EQ(last, hm_word(page, HM_ROUND(last), 511));
	GUEST_EQ(first, hm_word(page, HM_ROUND(first), 0));
	GUEST_ASSERT(HM_ROUND(last) >= seen[id][page]);
	GUEST_ASSERT(HM_ROUND(first) >= HM_ROUND(last));
	seen[id][page] = HM_ROUND(last);
}

static void hold_here(u64 id)
{
	u64 number = READ_ONCE(sh->hold), page, i;

	if (!number)	/* over already */
		return;
	WRITE_ONCE(sh->held[id], number);
	while (READ_ONCE(sh->hold) == number)
		cpu_pause();
	if (READ_ONCE(sh->zero_from) == READ_ONCE(sh->zero_to))
		return;
	for (page = READ_ONCE(sh->zero_from); page < READ_ONCE(sh->zero_to); page++) {
		for (i = 0; i < 512; i++)
			GUEST_EQ(READ_ONCE(page_of(page)[i]), 0);
		seen[id][page] = 0;
	}
	/* nobody writes before all have looked */
	WRITE_ONCE(sh->zeros[id], number);
	for (i = 0; i < READ_ONCE(sh->vcpus); i++)
		while (READ_ONCE(sh->zeros[i]) != number)
			cpu_pause();
}

static void pattern(u64 id)
{
	u64 pages = READ_ONCE(sh->pages), vcpus = READ_ONCE(sh->vcpus);
	u64 round, page;

	for (round = 1; !READ_ONCE(sh->stop); round++) {
		for (page = 0; page < pages; page++) {
			if (READ_ONCE(sh->hold))
				hold_here(id);
			if (page % vcpus == id)
				own_page(id, page, round);
			else
				other_page(id, page);
		}
		WRITE_ONCE(sh->rounds[id], round);
	}
}

/* All begin with the same page at the same moment, and count themselves in it. */
static void touch(u64 id)
{
	u64 pages = READ_ONCE(sh->pages), vcpus = READ_ONCE(sh->vcpus);
	u64 round, page;

	for (round = 1; !READ_ONCE(sh->stop); round++) {
		asm volatile("lock incq %0" : "+m"(sh->arrived) : : "memory");
		while (READ_ONCE(sh->arrived) < round * vcpus)
			cpu_pause();
		for (page = 0; page < pages; page++)
			asm volatile("lock incq %0" : "+m"(*page_of(page)) : : "memory");
		SYNC2(round, id, 0);
	}
}

static void epoch(u64 id)
{
	u64 round, oldest, now;

	for (round = 1; !READ_ONCE(sh->stop); round++) {
		oldest = READ_ONCE(sh->epoch);
		now = READ_ONCE(*page_of(0));
		GUEST_ASSERT(now >= oldest);
		WRITE_ONCE(sh->rounds[id], round);
	}
}

static void readonly(void)
{
	SYNC2(1, READ_ONCE(*page_of(0)), READ_ONCE(*page_of(1)));
	WRITE_ONCE(*page_of(0), 0x1122334455667788);
	SYNC2(2, READ_ONCE(*page_of(0)), READ_ONCE(*page_of(1)));
	asm volatile("lock incq %0" : "+m"(*page_of(1)) : : "memory");
	SYNC2(3, READ_ONCE(*page_of(0)), READ_ONCE(*page_of(1)));
}

static void dirty(u64 id)
{
	u64 pages = READ_ONCE(sh->pages), vcpus = READ_ONCE(sh->vcpus);
	u64 round, page;

	for (round = 1; ; round++) {
		while (READ_ONCE(sh->hold) != round) {
			if (READ_ONCE(sh->stop))
				return;
			cpu_pause();
		}
		for (page = 0; page < pages; page++) {
			READ_ONCE(*page_of(page));
			if (page % vcpus == id &&
			    READ_ONCE(sh->to_write[page / 64]) >> page % 64 & 1)
				WRITE_ONCE(page_of(page)[round % 512], round);
		}
		WRITE_ONCE(sh->held[id], round);
	}
}

void guest_main(u64 test, u64 id, u64 b)
{
	switch (test) {
	case HM_PATTERN:
		pattern(id);
		break;
	case HM_TOUCH:
		touch(id);
		break;
	case HM_EPOCH:
		epoch(id);
		break;
	case HM_READONLY:
		readonly();
		break;
	case HM_DIRTY:
		dirty(id);
		break;
	}
}
