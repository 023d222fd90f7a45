/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things are in the memory of a test guest, and how it talks to the
 * host. Shared by the host library and the payloads.
 */
#ifndef SELFTEST_LAYOUT_H
#define SELFTEST_LAYOUT_H

#define GUEST_PML4	0x2000	/* identity map of the first 4 GiB, 2 MiB pages */
#define GUEST_PDPT	0x3000
#define GUEST_PD	0x4000	/* four pages */
#define GUEST_GDT	0x8000
#define GUEST_TSS	0x9000	/* one for each vCPU, 128 bytes apart */
#define GUEST_PD32	0xb000	/* 32-bit page directory, PSE identity */
#define GUEST_SHARED	0xc000	/* one page of scratch known to both sides */
#define GUEST_CODE16	0x10000	/* where snippets are put */
#define GUEST_STACK_TOP	0x80000	/* vCPU n: minus n * GUEST_STACK_SIZE */
#define GUEST_STACK_SIZE 0x4000
#define GUEST_CODE	0x100000 /* C payloads */
#define GUEST_DATA	0x200000 /* free for the test */

#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_TSS		0x30
#define SEL_UCODE64	0x43
#define SEL_UDATA	0x4b

/* outl EAX = kind, with values in RDI, RSI, RDX */
#define REPORT_PORT	0x5e
#define REPORT_DONE	1
#define REPORT_SYNC	2	/* RDI: stage, RSI and RDX free */
#define REPORT_FAIL	3	/* RDI: line, RSI: seen, RDX: wanted */
#define REPORT_FAULT	4	/* RDI: vector, RSI: error code, RDX: RIP */

/* test devices that exist only as exits */
#define MMIO_BASE	0xd0000000ULL
#define PIO_BASE	0x5100

#endif
