/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/posting.c */
#ifndef SELFTEST_POSTING_H
#define SELFTEST_POSTING_H

#define POSTING_VECTOR	0x61	/* and those up to */
#define POSTING_LAST	0x6f

/* where the guest counts interrupts: a word for each vector and vCPU */
#define POSTING_COUNTS	0x200000ULL
#define POSTING_STOP	0x201ff8ULL	/* set: the guest ends */

/* first argument: bits */
#define POSTING_HALTS	1	/* sleeps between two interrupts */
#define POSTING_LEAVES	4	/* goes to user space each time */

#endif
