// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest with private memory: it writes and checks pages when it is told to, or
 * watches them while user space turns private ones to shared ones, back, and punches
 * holes. Test numbers: gmem.h
 *
 * Watching is done as with a sequence lock: what was read between two looks at the same
 * phase must be what that phase says. In GM_CHANGING anything may be read, but it is.
 */
#include "guest.h"
#include "gmem.h"

static struct gm_shared *const sh = (struct gm_shared *)GUEST_SHARED;

static u64 *page_of(u64 page)
{
	return (u64 *)(READ_ONCE(sh->start) + page * 4096);
}

static void write_page(u64 page, u64 value)
{
	u64 j;

	for (j = 0; j < 512; j++)
		WRITE_ONCE(page_of(page)[j], gm_word(page, value, j));
}

static void commands(void)
{
	u64 n, page, value, j;

	for (n = 0; ; n++) {
		value = READ_ONCE(sh->value);
		for (page = READ_ONCE(sh->first);
		     page < READ_ONCE(sh->first) + READ_ONCE(sh->count); page++) {
			if (READ_ONCE(sh->op) == GM_WRITE) {
				write_page(page, value);
				continue;
			}
			for (j = 0; j < 512; j++)
				GUEST_EQ(READ_ONCE(page_of(page)[j]),
					 READ_ONCE(sh->op) == GM_ZEROES ? 0 :
					 gm_word(page, value, j));
		}
		SYNC(n);
	}
}

static void fill(u64 id, u64 phase)
{
	u64 page;

	for (page = id; page < READ_ONCE(sh->pages); page += READ_ONCE(sh->vcpus))
		write_page(page, GM_VALUE(phase));
	WRITE_ONCE(sh->filled[id], phase);
}

static void watch_page(u64 id, u64 page, u64 phase)
{
	u64 first = READ_ONCE(page_of(page)[0]), last = READ_ONCE(page_of(page)[511]);
	u64 kind = GM_KIND(phase);

	if ((kind != GM_HOLDS && kind != GM_EMPTY) || READ_ONCE(sh->phase) != phase)
		return;
	GUEST_EQ(first, kind == GM_EMPTY ? 0 : gm_word(page, GM_VALUE(phase), 0));
	GUEST_EQ(last, kind == GM_EMPTY ? 0 : gm_word(page, GM_VALUE(phase), 511));
	WRITE_ONCE(sh->checks[id], READ_ONCE(sh->checks[id]) + 1);
}

static void watch(u64 id)
{
	u64 phase, page;

	for (;;) {
		phase = READ_ONCE(sh->phase);
		if (GM_KIND(phase) == GM_STOP)
			return;
		if (GM_KIND(phase) == GM_FILL && READ_ONCE(sh->filled[id]) != phase)
			fill(id, phase);
		for (page = 0; page < READ_ONCE(sh->pages); page++) {
			if (READ_ONCE(sh->phase) != phase)
				break;
			watch_page(id, page, phase);
		}
	}
}

void guest_main(u64 test, u64 arg0, u64 arg1)
{
	idt_init();
	if (test == GM_COMMANDS)
		commands();
	else
		watch(arg0);
	report(REPORT_DONE, 0, 0, 0);
}
