/* SPDX-License-Identifier: GPL-2.0-only */
/* What access_test.c asks of payloads/access.c, and what it is told. */
#ifndef SELFTEST_ACCESS_H
#define SELFTEST_ACCESS_H

#include "layout.h"

/* how the guest pages */
enum {
	AC_32, AC_PSE, AC_PAE, AC_L4, AC_L5,
};

/* what is done */
enum {
	AC_PRODUCT, AC_BITS, AC_SEQUENCES, AC_KEYS,
};

/* kinds of access */
enum {
	AC_READ, AC_WRITE, AC_FETCH,
};

/* registers that take part, a bit each */
#define AC_WP		1
#define AC_SMEP		2
#define AC_SMAP		4
#define AC_NXE		8
#define AC_PKE		16

#define AC_LEVELS	6	/* indices are levels, 1 is a page table */

#define AC_STUBS	0x300000ul	/* code that makes the accesses */
#define AC_PREFIX	0x301000ul	/* ends with the prefix that forces emulation */
#define AC_TABLES	0x400000ul	/* all page tables */
#define AC_TARGET	0x805000ul	/* the page that is accessed */
#define AC_USER_VA	0x40000000ul	/* AC_STUBS for CPL 3; CPL 0 has physical addresses */
#define AC_RSP0		0x7c000

#define AC_SEL_UCODE32	0x53

/* of each record of a failure: what differs */
#define AC_BAD_VECTOR	1
#define AC_BAD_ERROR	2
#define AC_BAD_CR2	4
#define AC_BAD_IP	8
#define AC_BAD_ENTRY	16
#define AC_BAD_DATA	32

/* stages of REPORT_SYNC */
#define AC_STAGE_WRONG	1
#define AC_MAX_WRONG	12	/* the payload tells no more of them */

/* at GUEST_SHARED; no longs, as 32-bit code sees it too */
struct ac_shared {
	/* host: what to do */
	unsigned int mode, leaf, what, cut;
	unsigned int top, emulate;
	unsigned int tcg_walks;		/* QEMU walks the tables, with a fault of its own */
	unsigned int tcg_faults;	/* guest: how often it showed */
	unsigned long long va;
	unsigned long long entry[AC_LEVELS];	/* physical addresses of va's entries */
	unsigned long long prefix_entry;	/* of the page before va; 0: none */

	/* guest: what was done */
	unsigned int cases, wrong;
	unsigned int faults, pad2;

	/* guest: one failure */
	unsigned int bad, regs, kind, user, ac, pkru, emulated, value;
	unsigned int seen_vec, want_vec;
	unsigned int seen_err, want_err;
	unsigned int want_value, seen_cs;
	unsigned long long seen_cr2, want_cr2, seen_ip, want_ip;
	unsigned long long before[AC_LEVELS], after[AC_LEVELS], want[AC_LEVELS];
};

#ifdef SELFTEST_GUEST_H
/* assembler in access.c */
/* returns when the access faults, or has been made */
void go(unsigned long ip, unsigned long cs, unsigned long ss, unsigned long flags,
	unsigned long addr, unsigned long value);
/* called from there */
void clear_pdpte_a(void);
extern const u8 on_gp[], on_pf[], on_int80[], on_other[];
extern const u8 stubs[], stubs_end[], stub_read[], stub_read_ip[], stub_write[],
	stub_write_ip[], stub_emul_read[], stub_emul_read_ip[], stub_emul_write[],
	stub_emul_write_ip[];
#endif

#endif
