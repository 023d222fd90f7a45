// SPDX-License-Identifier: GPL-2.0-only
/*
 * One operation again and again, each timed by itself: a tick of the host or a
 * page table that has to be allocated spoils one sample and not all.
 */
#include "bench.h"
#include "guest.h"

#define MSR_MTRR_DEF_TYPE	0x2ff
#define KVM_HC_VAPIC_POLL_IRQ	1

static u64 *const samples = (u64 *)BENCH_SAMPLES;

#define TIMES(n, operation) do {			\
	u64 i, t;					\
							\
	for (i = 0; i < (n); i++) {			\
		t = rdtsc();				\
		operation;				\
		samples[i] = rdtsc() - t;		\
	}						\
} while (0)

static inline void vmcall(void)
{
	u64 nr = KVM_HC_VAPIC_POLL_IRQ;

	asm volatile("vmcall" : "+a"(nr) : : "memory");
	GUEST_EQ(nr, 0);
}

static inline void vmmcall(void)
{
	u64 nr = KVM_HC_VAPIC_POLL_IRQ;

	asm volatile("vmmcall" : "+a"(nr) : : "memory");
	GUEST_EQ(nr, 0);
}

/* tables that map what the second entry of the root stands for, and nothing else */
static u64 *make_tables(u64 *root)
{
	u64 *t = (u64 *)BENCH_TABLES;

	root[1] = (u64)t | 7;
	t[0] = (u64)(t + 512) | 7;
	t[512] = (u64)(t + 1024) | 7;
	return t + 1024;
}

static void write_cr3(void *root)
{
	asm volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

/* To the other address space, in which something is read that both have. */
static void switch_spaces(u64 n)
{
	u64 *root[2] = { (u64 *)GUEST_PML4, (u64 *)(BENCH_TABLES + 0x10000) };

	root[1][0] = root[0][0];
	TIMES(n, write_cr3(root[i & 1]); READ_ONCE(samples[0]));
	write_cr3(root[0]);
}

/* A page is mapped to the other frame, and read. */
static void remap(u64 n)
{
	u64 *pt = make_tables((u64 *)GUEST_PML4), va = 1ul << 39;
	u64 frame = BENCH_TABLES + 0x20000;

	TIMES(n, WRITE_ONCE(pt[0], (frame + (i & 1) * 4096) | 7);
	      asm volatile("invlpg (%0)" : : "r"(va) : "memory"); READ_ONCE(*(u64 *)va));
}

void guest_main(u64 op, u64 n, u64 unused)
{
	u32 a, b, c, d;
	u64 i;

	/* the samples' own page faults are not the operation's */
	for (i = 0; i < n; i++)
		WRITE_ONCE(samples[i], 0);
	SYNC(1);

	switch (op) {
	case BENCH_NOTHING:
		TIMES(n, asm volatile("" : : : "memory"));
		break;
	case BENCH_CPUID:
		TIMES(n, cpuid(1, 0, &a, &b, &c, &d));
		break;
	case BENCH_RDMSR:
		TIMES(n, rdmsr(MSR_MTRR_DEF_TYPE));
		break;
	case BENCH_WRMSR:
		TIMES(n, wrmsr(MSR_MTRR_DEF_TYPE, 0));
		break;
	case BENCH_VMCALL:
		TIMES(n, vmcall());
		break;
	case BENCH_VMMCALL:
		TIMES(n, vmmcall());
		break;
	case BENCH_OUT:
		TIMES(n, outb(PIO_BASE, 0));
		break;
	case BENCH_IN:
		TIMES(n, inb(PIO_BASE));
		break;
	case BENCH_MMIO_WRITE:
		TIMES(n, mmio_write32(MMIO_BASE, 0));
		break;
	case BENCH_MMIO_READ:
		TIMES(n, mmio_read32(MMIO_BASE));
		break;
	case BENCH_TOUCH_4K:
		TIMES(n, WRITE_ONCE(*(u64 *)(BENCH_MEMORY + (i << 12)), 1));
		break;
	case BENCH_SWITCH:
		switch_spaces(n);
		break;
	case BENCH_REMAP:
		remap(n);
		break;
	case BENCH_TOUCH_2M:
		TIMES(n, WRITE_ONCE(*(u64 *)(BENCH_MEMORY + (i << 21)), 1));
		break;
	}
}
