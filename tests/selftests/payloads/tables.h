/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/tables.c, and the page that guest and host talk over. */
#ifndef SELFTEST_TABLES_H
#define SELFTEST_TABLES_H

#include "layout.h"

enum {
	TT_REMAP, TT_LEVELS, TT_REUSE, TT_RECURSIVE, TT_SPACES, TT_BITS, TT_STORES,
	TT_SHOOTDOWN, TT_WATCH,
};

/* frames that the tests make tables and data of, from GUEST_DATA on */
#define TT_FRAMES	0x400000ul
#define TT_SPACES_NR	48

/* at GUEST_SHARED */
struct tt_shared {
	unsigned long rounds;		/* host: how many */
	unsigned long stop;		/* host: end */
	unsigned long flush;		/* vCPU 0: what is to be flushed; others: 0 when done */
	unsigned long reads;		/* guest: how many reads were good */
	unsigned long pde;		/* guest, TT_WATCH: where the entry is */
};

/* TT_WATCH: the host changes the entry for this address */
#define TT_WATCHED	0x8000000000ul
/* ... between a large page of these frames, and a table, which is in them */
#define TT_SLOT_GPA	0x40000000ul
/* the first word of each frame there */
#define TT_WORD(gpa)	(0x5eed000000000000ul | (gpa))

#endif
