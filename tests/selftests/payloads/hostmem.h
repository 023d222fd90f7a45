/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/hostmem.c, and the page that guest and host talk over. */
#ifndef SELFTEST_HOSTMEM_H
#define SELFTEST_HOSTMEM_H

#include "layout.h"

enum {
	HM_PATTERN, HM_TOUCH, HM_EPOCH, HM_READONLY, HM_DIRTY,
};

#define HM_MAX_VCPUS	8
#define HM_MAX_PAGES	8192
#define HM_MAX_DIRTY	2048	/* pages of HM_DIRTY */
#define HM_TWIN_ROUNDS	16	/* twins are written anew each so many rounds */

/* at GUEST_SHARED */
struct hm_shared {
	unsigned long start, pages;	/* host: the memory under test */
	unsigned long vcpus;		/* host: how many take part */
	unsigned long stop;		/* host: end after this round */
	unsigned long hold;		/* host: touch no memory; another number each time */
	unsigned long zero_from, zero_to; /* host, while held: these pages were thrown away */
	unsigned long epoch;		/* host: nothing older may be seen */
	unsigned long held[HM_MAX_VCPUS]; /* guest: answer to hold */
	unsigned long zeros[HM_MAX_VCPUS]; /* guest: the zeroes of that hold were seen */
	unsigned long rounds[HM_MAX_VCPUS]; /* guest: how many are done */
	unsigned long arrived;		/* guest: barrier */
	unsigned long to_write[HM_MAX_DIRTY / 64]; /* host: pages to write in this round */
};

/* What stands in word @j of page @page since round @round; twins are all alike. */
#define HM_TWIN(page)	((page) % 4 >= 2)

static inline unsigned long hm_word(unsigned long page, unsigned long round, unsigned long j)
{
	return round << 40 | (HM_TWIN(page) ? 0xffffffUL : page) << 16 | j;
}

#define HM_ROUND(word)	((word) >> 40)

#endif
