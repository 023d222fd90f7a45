/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/pv.c, and the page that guest and host talk over. */
#ifndef SELFTEST_PV_H
#define SELFTEST_PV_H

#include "layout.h"

enum {
	PV_APF, PV_LOOP, PV_CALL, PV_HALT, PV_CLI_HALT, PV_MSR,
};

#define PV_DATA		0x300000ul	/* what the MSRs point to */
#define PV_PAGES	0x10000000ul	/* memory that is not there yet: another slot */
#define PV_MAX		80		/* pages */
#define PV_READY	0xf2		/* vector of 'page ready' */
#define PV_IRQ		0x51		/* another one, of the host's */

/* flags of PV_APF */
#define PV_CLI		1
#define PV_USER_ONLY	2	/* no #PF in ring 0 */
#define PV_DISABLE	4	/* while pages are outstanding */
#define PV_NO_ACK	8	/* tokens stay, and are not acknowledged */

/* at GUEST_SHARED */
struct pv_shared {
	unsigned long touching;		/* guest: the pages are being touched now */
	unsigned long faults;		/* guest: 'page not present' */
	unsigned long ready;		/* guest: 'page ready' */
	unsigned long all;		/* guest: 'all pages ready' */
	unsigned long irqs;		/* guest: PV_IRQ */
	unsigned long spins;		/* guest: it runs */
	unsigned long stop;		/* host: end */
	unsigned int tokens[PV_MAX];	/* guest: in the order of pages */
	unsigned int came[PV_MAX];	/* guest: in the order of interrupts */
};

#define PV_WORD(page)	(0x1122334455660000ul + (page))

#endif
