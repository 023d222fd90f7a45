// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a guest that is migrated (tests/system/migrate): two processes
 * write pages as fast as they can and know what each must hold. A page that is found as it
 * was in an earlier round is a write that the migration lost.
 *
 * Each has every second page. It goes through them in rounds: what the last round wrote is
 * checked, then this round's is written; all words in each sixteenth round, else some.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGES	8192ul
#define WORDS	512ul

static unsigned long *memory;

static unsigned long word(unsigned long page, unsigned long round, unsigned long i)
{
	return (round << 32 | page << 12 | i) * 0x9e3779b97f4a7c15ul;
}

static void wrong(unsigned long page, unsigned long round, unsigned long i,
		  unsigned long seen)
{
	for (;;) {
		printf("WRONG: page %lu, word %lu after round %lu: %016lx, not %016lx\n",
		       page, i, round, seen, word(page, round, i));
		fflush(stdout);
		sleep(1);
	}
}

static void one_page(unsigned long page, unsigned long round)
{
	unsigned long step = round % 16 ? 73 : 1, written = (round - 1) % 16 ? 73 : 1, i, seen;
	unsigned long *p = memory + page * WORDS;

	/* what both the last round and this one look at: every word, or each 73rd */
	for (i = 0; round > 1 && i < WORDS; i += written) {
		seen = __atomic_load_n(&p[i], __ATOMIC_RELAXED);
		if (seen != word(page, round - 1, i))
			wrong(page, round - 1, i, seen);
	}
	for (i = 0; i < WORDS; i += step)
		__atomic_store_n(&p[i], word(page, round, i), __ATOMIC_RELAXED);
}

int main(void)
{
	unsigned long round, page, me;
	time_t said = 0;

	memory = mmap(NULL, PAGES * WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED) {
		printf("WRONG: no memory\n");
		return 1;
	}
	me = fork() == 0;
	for (round = 1; ; round++) {
		for (page = me; page < PAGES; page += 2)
			one_page(page, round);
		if (time(NULL) == said)
			continue;
		said = time(NULL);
		printf("process %lu round %lu\n", me, round);
		fflush(stdout);
	}
}
