/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/pmu.c, and the registers of both vendors */
#ifndef SELFTEST_PMU_H
#define SELFTEST_PMU_H

enum {
	PMU_NOTHING,		/* registers, but for the oldest, and RDPMC are #GP */
	PMU_COUNT, PMU_REGISTERS, PMU_OVERFLOW, PMU_INSNS, PMU_FILTER,
	PMU_SWITCHED,		/* what RDTSCP tells of TSC_AUX, twice */
};

/* first argument: bits */
#define PMU_AMD		1
#define PMU_FIXED	2	/* the first fixed counter; else the first general one */
#define PMU_NMI		4	/* the interrupt is an NMI */

#define MSR_PMC0		0xc1
#define MSR_EVNTSEL0		0x186
#define MSR_FIXED0		0x309
#define MSR_PERF_CAPABILITIES	0x345
#define MSR_FIXED_CTRL		0x38d
#define MSR_GLOBAL_STATUS	0x38e
#define MSR_GLOBAL_CTRL		0x38f
#define MSR_OVF_CTRL		0x390
#define MSR_PMC0_FULL		0x4c1
#define MSR_K7_SEL0		0xc0010000
#define MSR_K7_CTR0		0xc0010004
#define MSR_CORE_SEL0		0xc0010200
#define MSR_CORE_CTR0		0xc0010201

#define SEL_USR		BIT(16)
#define SEL_OS		BIT(17)
#define SEL_INT		BIT(20)
#define SEL_ANY		BIT(21)
#define SEL_EN		BIT(22)
#define SEL_INSNS	0xc0ul	/* instructions retired, with either vendor */

#define PMU_WIDTH	48
#define MSR_TSC_AUX	0xc0000103
#define FAKEPMU_AUX	0x5a5a	/* what fakepmu.c has for guests in there */
#define PMU_VECTOR	0x45

#endif
