/* SPDX-License-Identifier: GPL-2.0-only */
/* What smm_test.c shares with payloads/smm.c and payloads/smm_handler.S */
#ifndef SELFTEST_SMM_H
#define SELFTEST_SMM_H

#define SMM_BASE	0xa0000		/* memory in SMM only */
#define SMM_OTHER	0x300000	/* other memory in SMM than outside of it */
#define SMM_SAME	0x310000	/* the same memory */
#define SMM_SAY		0x99		/* port of the handler */
#define SMM_LOOP	0x98		/* port of sm_loop */

#ifndef __ASSEMBLER__

/* tests of payloads/smm.c */
enum { SMM_WATCH, SMM_XAPIC, SMM_X2APIC, SMM_PEEK, SMM_RSM, SMM_HLT };

extern const char sm_handler[], sm_handler_end[], sm_loop[], sm_loop_end[];

#endif
#endif
