/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations of payloads/bench.c */
#ifndef SELFTEST_BENCH_H
#define SELFTEST_BENCH_H

enum {
	BENCH_NOTHING, BENCH_CPUID, BENCH_RDMSR, BENCH_WRMSR, BENCH_VMCALL,
	BENCH_VMMCALL, BENCH_OUT, BENCH_IN, BENCH_MMIO_WRITE, BENCH_MMIO_READ,
	BENCH_TOUCH_4K, BENCH_TOUCH_2M, BENCH_SWITCH, BENCH_REMAP,
	BENCH_EOI, BENCH_EOI_MMIO, BENCH_IPI_SELF, BENCH_IPI, BENCH_TIMER, BENCH_TIMER_LATE,
	BENCH_IRQFD, BENCH_IOEVENTFD_MMIO, BENCH_IOEVENTFD_PIO,
};

/* the time of each operation, in ticks of the TSC: u64[] */
#define BENCH_SAMPLES	0x200000
#define BENCH_MAX	4096
/* tables and frames of BENCH_SWITCH and BENCH_REMAP */
#define BENCH_TABLES	0x300000
/* what BENCH_TOUCH_* touches */
#define BENCH_MEMORY	0x1000000
/* interrupt of BENCH_IPI* and BENCH_IRQFD */
#define BENCH_VECTOR	0x60
/* where BENCH_IRQFD leaves when its interrupt was taken, in ticks of the TSC */
#define BENCH_TAKEN	0x1f0000
/* a deadline of BENCH_TIMER_LATE, in ticks of the TSC from now */
#define BENCH_AHEAD	200000

#endif
