// SPDX-License-Identifier: GPL-2.0-only
/*
 * One operation again and again, each timed by itself: a tick of the host or a
 * page table that has to be allocated spoils one sample and not all.
 */
#include "bench.h"
#include "guest.h"

#define MSR_MTRR_DEF_TYPE	0x2ff
#define APIC_LVTT_DEADLINE	(2 << 17)
#define X2APIC_ENABLE		0x400
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

/* ---- interrupts: what is measured ends in the handler ------------------------------- */

static u64 taken[2];	/* by vCPU: when an interrupt was, 0 not yet */

static void on_interrupt(struct frame *f)
{
	WRITE_ONCE(taken[0], rdtsc());
}

static void on_second(struct frame *f)
{
	WRITE_ONCE(taken[1], rdtsc());
}

static void x2apic_on(void)
{
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | X2APIC_ENABLE);
	x2apic_write(APIC_SPIV, 0x1ff);
}

/* From before @send to the handler, in which nothing is ended: that is done after it. */
#define TAKEN(n, send, base) do {			\
	u64 i;						\
							\
	for (i = 0; i < (n); i++) {			\
		u64 t = rdtsc();			\
							\
		WRITE_ONCE(taken[0], 0);		\
		send;					\
		while (!READ_ONCE(taken[0]))		\
			;				\
		samples[i] = READ_ONCE(taken[0]) - (base); \
		x2apic_write(APIC_EOI, 0);		\
	}						\
} while (0)

static void ipi_self(u64 n)
{
	TAKEN(n, x2apic_write(APIC_SELF_IPI, BENCH_VECTOR), t);
}

/* The end alone, of an interrupt that @send has sent to this CPU. */
#define ENDED(n, send, end) do {			\
	u64 i, t;					\
							\
	for (i = 0; i < (n); i++) {			\
		WRITE_ONCE(taken[0], 0);		\
		send;					\
		while (!READ_ONCE(taken[0]))		\
			;				\
		t = rdtsc();				\
		end;					\
		samples[i] = rdtsc() - t;		\
	}						\
} while (0)

static void eoi(u64 n)
{
	ENDED(n, x2apic_write(APIC_SELF_IPI, BENCH_VECTOR), x2apic_write(APIC_EOI, 0));
}

static void eoi_mmio(u64 n)
{
	ENDED(n, apic_write(APIC_ICR, 0x40000 | BENCH_VECTOR), apic_write(APIC_EOI, 0));
}

static void timer(u64 n, u64 ahead)
{
	x2apic_write(APIC_LVTT, APIC_LVTT_DEADLINE | BENCH_VECTOR);
	if (ahead)
		TAKEN(n, wrmsr(MSR_TSCDEADLINE, t + ahead), t + ahead);
	else
		TAKEN(n, wrmsr(MSR_TSCDEADLINE, 1), t);
}

/* Two that send to each other, and halt: half of what it takes there and back. */
static void ping(u64 n)
{
	u64 i, t;

	for (i = 0; i < n; i++) {
		t = rdtsc();
		WRITE_ONCE(taken[0], 0);
		x2apic_write(APIC_ICR, 1ul << 32 | (BENCH_VECTOR + 1));
		while (!READ_ONCE(taken[0]))
			sti_hlt_cli();
		samples[i] = (READ_ONCE(taken[0]) - t) / 2;
		x2apic_write(APIC_EOI, 0);
	}
}

static void pong(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++) {
		while (!READ_ONCE(taken[1]))
			sti_hlt_cli();
		WRITE_ONCE(taken[1], 0);
		x2apic_write(APIC_EOI, 0);
		x2apic_write(APIC_ICR, BENCH_VECTOR);
	}
}

/* User space signals the eventfd in each of these exits. */
static void irqfd(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++) {
		WRITE_ONCE(taken[0], 0);
		outb(PIO_BASE, 0);
		while (!READ_ONCE(taken[0]))
			;
		WRITE_ONCE(*(u64 *)BENCH_TAKEN, READ_ONCE(taken[0]));
		x2apic_write(APIC_EOI, 0);
	}
}

static void interrupts(u64 op, u64 n, u64 id)
{
	set_handler(BENCH_VECTOR, on_interrupt);
	set_handler(BENCH_VECTOR + 1, on_second);
	if (op == BENCH_EOI_MMIO)
		apic_write(APIC_SPIV, 0x1ff);
	else
		x2apic_on();
	/* who sends begins when who answers is there */
	SYNC(1);
	if (op != BENCH_IPI)
		sti();

	switch (op) {
	case BENCH_EOI:
		eoi(n);
		break;
	case BENCH_EOI_MMIO:
		eoi_mmio(n);
		break;
	case BENCH_IPI_SELF:
		ipi_self(n);
		break;
	case BENCH_IPI:
		if (id)
			pong(n);
		else
			ping(n);
		break;
	case BENCH_TIMER:
		timer(n, 0);
		break;
	case BENCH_TIMER_LATE:
		timer(n, BENCH_AHEAD);
		break;
	case BENCH_IRQFD:
		irqfd(n);
		break;
	}
	cli();
}

void guest_main(u64 op, u64 n, u64 id)
{
	u32 a, b, c, d;
	u64 i;

	/* the samples' own page faults are not the operation's */
	for (i = 0; i < n; i++)
		WRITE_ONCE(samples[i], 0);
	if (op >= BENCH_EOI && op <= BENCH_IRQFD) {
		interrupts(op, n, id);
		return;
	}
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
	case BENCH_IOEVENTFD_MMIO:
		TIMES(n, mmio_write32(MMIO_BASE, 0));
		break;
	case BENCH_IOEVENTFD_PIO:
		TIMES(n, outw(PIO_BASE, 0));
		break;
	case BENCH_TOUCH_2M:
		TIMES(n, WRITE_ONCE(*(u64 *)(BENCH_MEMORY + (i << 21)), 1));
		break;
	}
}
