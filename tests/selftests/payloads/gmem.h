/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/gmem.c, and what it shares with gmem_test.c */
#ifndef SELFTEST_GMEM_H
#define SELFTEST_GMEM_H

/*
 * GM_COMMANDS: do what gm_shared.op says, report a SYNC, and so on.
 * GM_WATCH: look at all pages, again and again, whether they hold what gm_shared.phase
 *	says; argument: the vCPU's number.
 */
enum { GM_COMMANDS, GM_WATCH };

enum { GM_WRITE, GM_CHECK, GM_ZEROES };

/* of a phase: what the pages hold; the rest of the number is the value */
enum { GM_CHANGING, GM_HOLDS, GM_EMPTY, GM_FILL, GM_STOP };
#define GM_PHASE(kind, value)	((kind) | (value) << 3)
#define GM_KIND(phase)		((phase) & 7)
#define GM_VALUE(phase)		((phase) >> 3)

#define GM_MAX_VCPUS	4

struct gm_shared {
	unsigned long start;		/* of the pages */
	unsigned long pages;
	unsigned long vcpus;
	/* commands */
	unsigned long op, first, count, value;
	/* watching */
	unsigned long phase;
	unsigned long filled[GM_MAX_VCPUS];	/* phase in which it filled its pages */
	unsigned long checks[GM_MAX_VCPUS];	/* pages seen in a phase that says what they hold */
};

/* word j of a page */
static inline unsigned long gm_word(unsigned long page, unsigned long value, unsigned long j)
{
	return value << 40 | page << 16 | j << 1 | 1;
}

#endif
