/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/rubbish.c */
#ifndef SELFTEST_RUBBISH_H
#define SELFTEST_RUBBISH_H

enum {
	RUBBISH_XAPIC, RUBBISH_X2APIC, RUBBISH_IOAPIC, RUBBISH_PORTS, RUBBISH_MSRS,
	RUBBISH_CONTROL, RUBBISH_PV, RUBBISH_PAGES, RUBBISH_IDS, RUBBISH_STORM,
	RUBBISH_UD_LOOP, RUBBISH_DB_LOOP, RUBBISH_EXITS, RUBBISH_ZONE,
	RUBBISH_LEVEL,
};

/* what a byte that is written across pages must be, by its address */
#define RUBBISH_BYTE(addr)	((unsigned char)((addr) * 7 + 3))
#define RUBBISH_SLOT1		0x8000000UL	/* two slots of one page, if they are there */
#define RUBBISH_SLOT2		0x8001000UL
#define RUBBISH_RO		0x8100000UL	/* one that cannot be written */

#endif
