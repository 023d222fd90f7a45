/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/apic.c */
#ifndef SELFTEST_APIC_H
#define SELFTEST_APIC_H

enum {
	APIC_REGISTERS, APIC_IPI, APIC_LEVEL, APIC_HALT, APIC_BASE_MOVES, APIC_BASE_DIFFERS,
	APIC_MODES, APIC_STATE, APIC_BLOCKED, APIC_DEADLINES, APIC_PERIODS,
	APIC_BUS_CLOCK, APIC_SUPPRESSION, APIC_TPR_REPORTS,
};

/* first argument of those tests that run in both modes: bits */
#define APIC_X2			1
#define APIC_HALTED		2	/* who waits for an interrupt sleeps meanwhile */
#define APIC_TARGET		4	/* this vCPU is it */

#define APIC_VAPIC_WORD		0x200000ULL	/* where user space shows TPR, ISR and IRR */

#define APIC_OTHER_BASE		0xfe000000ULL
#define APIC_LEVEL_PIN		17	/* beyond those that the PIC has, too */

#endif
