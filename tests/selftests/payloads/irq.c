// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupt controllers of a PC as a guest sees them: each register, each way to send
 * and each way to be sent to, by the manuals (Intel SDM vol. 3, APIC chapter; AMD APM
 * vol. 2, ch. 16; 82093AA; 8259A; 8254). Test numbers: irq.h
 *
 * Each vCPU notes the vectors that it takes, in their order. What is to be seen is that
 * list, exactly: nothing lost, nothing twice, nothing else.
 */
#include "irq.h"
#include "guest.h"

#define ASSERT		BIT(14)
#define LEVEL		BIT(15)
#define LOGICAL		BIT(11)
#define MASKED		BIT(16)
#define LOWEST		BIT(8)
#define SMI		(2u << 8)
#define NMI		(4u << 8)
#define INIT		(5u << 8)
#define STARTUP		(6u << 8)
#define EXTINT		(7u << 8)
#define TO_SELF		BIT(18)
#define TO_ALL		(2u << 18)
#define TO_OTHERS	(3u << 18)
#define REMOTE_IRR	BIT(14)
#define APIC_APR	0x90
#define APIC_RRD	0xc0
#define APIC_CMCI	0x2f0
#define APIC_THERMAL	0x330
#define APIC_PERF	0x340
#define MODE_ENABLE	BIT(11)
#define MODE_X2		BIT(10)
#define PERIODIC	BIT(17)
#define DEADLINE	BIT(18)
#define GP		13

enum { EOI_LAPIC, EOI_NONE, EOI_PIC };

struct cpu {
	u64 count[256];
	u64 total;
	u64 n;			/* of log */
	u8 log[64];
} __aligned(64);

static struct cpu cpus[IRQ_MAX_CPUS];
static u64 eoi_by[IRQ_MAX_CPUS];
static u64 ready, stop, khz;
static bool x2;

/* its stack says which one this is */
static u64 me(void)
{
	u64 sp;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	return (GUEST_STACK_TOP - 1 - sp) / GUEST_STACK_SIZE;
}

#define RUN	((struct irq_run *)IRQ_RUNS + me())

static u64 call(u64 what, u64 b, u64 c)
{
	SYNC2(what, b, c);
	return READ_ONCE(((u64 *)GUEST_SHARED)[me()]);
}

static s64 line(u64 gsi, u64 level)
{
	return call(CALL_LINE, gsi, level);
}

static u32 rd(u32 reg)
{
	return x2 ? x2apic_read(reg) : apic_read(reg);
}

static void wr(u32 reg, u32 v)
{
	if (x2)
		x2apic_write(reg, v);
	else
		apic_write(reg, v);
}

static bool vec_is(u32 reg, u8 vec)
{
	return rd(reg + (vec >> 5) * 0x10) >> (vec & 31) & 1;
}

static void on_irq(struct frame *f)
{
	u64 cpu = me();
	struct cpu *c = &cpus[cpu];

	WRITE_ONCE(c->count[f->vector], READ_ONCE(c->count[f->vector]) + 1);
	if (READ_ONCE(c->n) < ARRAY_SIZE(c->log)) {
		WRITE_ONCE(c->log[c->n], f->vector);
		WRITE_ONCE(c->n, c->n + 1);
	}
	WRITE_ONCE(c->total, READ_ONCE(c->total) + 1);
	if (f->vector != 2 && READ_ONCE(eoi_by[cpu]) == EOI_LAPIC)
		wr(APIC_EOI, 0);
}

static void begin(u64 arg)
{
	unsigned int i;

	/* the table is everybody's: who sends has filled it before he sends */
	for (i = 32; i < 256 && !me(); i++)
		set_handler(i, on_irq);
	set_handler(2, on_irq);
	if (arg & IRQ_X2) {
		wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | MODE_X2);
		x2 = true;
	}
	wr(APIC_SPIV, 0x1ff);
	wr(APIC_TPR, 0);
	wr(APIC_LVT0, MASKED);
}

/* take all that can be taken */
static void window(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		asm volatile("sti; nop; nop; nop; nop; cli" : : : "memory");
}

static void forget(void)
{
	WRITE_ONCE(cpus[me()].n, 0);
	WRITE_ONCE(cpus[me()].total, 0);
}

static void expect(u64 where, const u8 *want, u64 n)
{
	struct cpu *c = &cpus[me()];
	u64 i, seen = 0;

	window();
	/* for a report: what came, the last in the lowest byte */
	for (i = 0; i < READ_ONCE(c->n); i++)
		seen = seen << 8 | READ_ONCE(c->log[i]);
	if (READ_ONCE(c->total) != n)
		report(REPORT_FAIL, where, seen, n);
	for (i = 0; i < n; i++)
		if (READ_ONCE(c->log[i]) != want[i])
			report(REPORT_FAIL, where, seen, want[i]);
	forget();
}

/* The vectors that came since the last time, first come first. */
#define EXPECT(...) do {						\
	static const u8 __want[] = { __VA_ARGS__ };			\
									\
	expect(__LINE__, __want, sizeof(__want));			\
} while (0)

static void icr(u32 dest, u32 low)
{
	if (x2) {
		x2apic_write(APIC_ICR, (u64)dest << 32 | low);
		return;
	}
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, low);
}

static void self(u8 vec)
{
	icr(0, TO_SELF | ASSERT | vec);
}

/* The TSC of a vCPU that moves to another VM may be a little behind what it was. */
static u64 since(u64 from)
{
	s64 d = rdtsc() - from;

	return d > 0 ? d : 0;
}

/*
 * The machine that runs the host may leave it alone for tens of milliseconds at any place, and
 * does. So what must come is waited for as long as it takes; of what must be seen in time only
 * those attempts count that were in time; and what ended before is waited for in the host, too.
 */
#define FOREVER		20000000	/* us */

static bool in_time(u64 from, u64 us)
{
	return since(from) < us * khz / 1000;
}

static void wait_us(u64 us)
{
	u64 from = rdtsc();

	while (in_time(from, us))
		cpu_pause();
}

/* The host has had the time for what it still had to do, and that has come. */
static void settle(void)
{
	call(CALL_SLEEP, 20000, 0);
	window();
	forget();
}

/* ---- LAPIC: registers ----------------------------------------------------------------- */

#define R	1	/* readable in xAPIC mode */
#define W	2
#define R2	4	/* in x2APIC mode, else #GP */
#define W2	8

struct reg {
	u16 at;
	u8 may;
	u32 ones, zeros;	/* what is read after those were written */
	u32 reserved;		/* x2APIC: #GP when one of them is written */
};

static const struct reg regs[] = {
	{ APIC_ID, R | W | R2, 0xff000000, 0, 0 },
	{ APIC_LVR, R | R2, 0, 0, 0 },
	{ APIC_TPR, R | W | R2 | W2, 0xff, 0, ~0xffu },
	{ APIC_APR, R, 0, 0, 0 },
	{ APIC_PPR, R | R2, 0, 0, 0 },
	{ APIC_EOI, W | W2, 0, 0, ~0u },
	{ APIC_RRD, 0, 0, 0, 0 },
	{ APIC_LDR, R | W | R2, 0xff000000, 0, 0 },
	{ APIC_DFR, R | W, 0xffffffff, 0x0fffffff, 0 },
	{ APIC_SPIV, R | W | R2 | W2, 0x3ff, 0, ~0x13ffu },
	{ APIC_ESR, R | W | R2 | W2, 0, 0, ~0u },
	/* the send pending bit does not stay; all ones would send something */
	{ APIC_ICR2, R | W, 0xff000000, 0, 0 },
	{ APIC_LVTT, R | W | R2 | W2, 0x700ff, 0, ~0x710ffu },
	{ APIC_THERMAL, R | W | R2 | W2, 0x107ff, 0, ~0x117ffu },
	{ APIC_PERF, R | W | R2 | W2, 0x107ff, 0, ~0x117ffu },
	{ APIC_LVT0, R | W | R2 | W2, 0x1a7ff, 0, ~0x1f7ffu },
	{ APIC_LVT1, R | W | R2 | W2, 0x1a7ff, 0, ~0x1f7ffu },
	{ APIC_LVTERR, R | W | R2 | W2, 0x100ff, 0, ~0x110ffu },
	{ APIC_TMICT, R | W | R2 | W2, 0xffffffff, 0, 0 },
	{ APIC_TMCCT, R | R2, 0, 0, 0 },
	{ APIC_TDCR, R | W | R2 | W2, 0xb, 0, ~0xbu },
};

static const struct reg *find(u16 at)
{
	static struct reg none;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].at == at)
			return &regs[i];
	if (at >= APIC_ISR && at < APIC_IRR + 0x80) {
		none.may = R | R2;
		return &none;
	}
	none.may = 0;
	return &none;
}

#define MSR_OF(reg)	(0x800 + ((reg) >> 4))

/* GUEST_EQ with the register in the upper half, so that a failure says which */
#define REG_EQ(at, seen, want) \
	GUEST_EQ((u64)(at) << 32 | (u32)(seen), (u64)(at) << 32 | (u32)(want))

static void registers_x2(void)
{
	const struct reg *r;
	unsigned int at, bit;
	u64 v;

	/* reads first: a write may change what others answer */
	for (at = 0; at < 0x1000; at += 0x10) {
		r = find(at);
		if (at == APIC_ICR)
			continue;
		if (at == APIC_CMCI)	/* up to MCG_CAP */
			continue;
		REG_EQ(at, rdmsr_safe(MSR_OF(at), &v), r->may & R2 ? -1 : GP);
		if (r->may & R2)
			REG_EQ(at, v >> 32, 0);
		if (at == APIC_SELF_IPI)
			continue;
		if (!(r->may & W2)) {
			REG_EQ(at, wrmsr_safe(MSR_OF(at), 0), GP);
			continue;
		}
		for (bit = 0; bit < 32; bit++)
			if (r->reserved & BIT(bit))
				REG_EQ(at, wrmsr_safe(MSR_OF(at), BIT(bit)), GP);
		REG_EQ(at, wrmsr_safe(MSR_OF(at), BIT(32)), GP);
		REG_EQ(at, wrmsr_safe(MSR_OF(at), BIT(63)), GP);
		if (at == APIC_EOI || at == APIC_ESR)
			continue;
		REG_EQ(at, wrmsr_safe(MSR_OF(at), r->ones & ~BIT(9)), -1);
		REG_EQ(at, rd(at), r->ones & ~BIT(9));
		REG_EQ(at, wrmsr_safe(MSR_OF(at), 0), -1);
		REG_EQ(at, rd(at), r->zeros);
		/* where a register wants an enabled APIC */
		wr(APIC_SPIV, 0x1ff);
	}
	for (bit = 8; bit < 64; bit++)
		GUEST_EQ(wrmsr_safe(MSR_OF(APIC_SELF_IPI), BIT(bit) | 0x40), GP);
	/* ICR is one register: nothing is sent to a CPU that is not there */
	x2apic_write(APIC_ICR, 0x1234567800000000ull | ASSERT | 0x40);
	GUEST_EQ(x2apic_read(APIC_ICR), 0x1234567800000000ull | ASSERT | 0x40);
	/* the logical id follows from the id, 0 */
	GUEST_EQ(rd(APIC_LDR), 1);
	GUEST_EQ(rd(APIC_ID), 0);
}

static void registers_x1(void)
{
	const struct reg *r;
	unsigned int at;
	u32 old;

	for (at = 0; at < 0x1000; at += 0x10) {
		r = find(at);
		if (at == APIC_ICR || at == APIC_CMCI || at == APIC_SELF_IPI)
			continue;
		/* what the reserved registers so far have left */
		if (at == APIC_ESR)
			wr(at, 0);
		old = rd(at);
		if (at == APIC_ESR)
			wr(at, old);
		if (!(r->may & W)) {
			wr(at, ~0u);
			if (at != APIC_LVR && at != APIC_PPR)
				REG_EQ(at, old, 0);
			REG_EQ(at, rd(at), old);
			continue;
		}
		if (at == APIC_EOI) {
			REG_EQ(at, old, 0);
			continue;
		}
		wr(at, ~0u);
		REG_EQ(at, rd(at) & ~(at == APIC_SPIV ? BIT(12) : 0), r->ones);
		wr(at, 0);
		REG_EQ(at, rd(at), r->zeros);
		wr(at, old);
	}
	wr(APIC_ESR, 0);
	/* sent by the write of the low half, to nobody */
	apic_write(APIC_ICR2, 0x12u << 24);
	apic_write(APIC_ICR, ASSERT | 0x40 | BIT(12));
	GUEST_EQ(apic_read(APIC_ICR), ASSERT | 0x40);
	GUEST_EQ(apic_read(APIC_ICR2), 0x12u << 24);
}

static void registers(u64 arg)
{
	begin(arg);
	GUEST_EQ(rd(APIC_LVR) & 0xff, 0x14);
	/* six of them, or five: CMCI's */
	GUEST_ASSERT((rd(APIC_LVR) >> 16 & 0xff) >= 5);
	if (x2)
		registers_x2();
	else
		registers_x1();
	EXPECT();
}

static void task_priority(u64 arg)
{
	unsigned int class, vec;
	u64 v;

	begin(arg);
	for (class = 0; class < 16; class++) {
		asm volatile("mov %0, %%cr8" : : "r"((u64)class));
		GUEST_EQ(rd(APIC_TPR), class << 4);
		GUEST_EQ(rd(APIC_PPR), class << 4);
		for (vec = 0x2f; vec < 0x100; vec += 0x10) {
			self(vec);
			window();
			GUEST_EQ(READ_ONCE(cpus[0].total), vec >> 4 > class);
			GUEST_EQ(vec_is(APIC_IRR, vec), vec >> 4 <= class);
			forget();
		}
		/* all those that waited, the highest first; by the register this time */
		wr(APIC_TPR, 0);
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), class < 2 ? 0 : class - 1);
		for (vec = 0; vec < READ_ONCE(cpus[0].total); vec++)
			GUEST_EQ(READ_ONCE(cpus[0].log[vec]), ((class - vec) << 4) + 0xf);
		forget();
	}
	/* raised while one waits: it waits on, and no spurious one comes in its place */
	self(0x3f);
	wr(APIC_TPR, 0x30);
	EXPECT();
	asm volatile("mov %%cr8, %0" : "=r"(v));
	GUEST_EQ(v, 3);
	wr(APIC_TPR, 0x20);
	EXPECT(0x3f);
}

static void in_service(u64 arg)
{
	begin(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	/* nothing in service: EOI does nothing */
	wr(APIC_EOI, 0);
	self(0x41);
	EXPECT(0x41);
	self(0x4f);		/* the same class waits */
	EXPECT();
	self(0x62);
	EXPECT(0x62);
	self(0x61);
	self(0xf0);
	EXPECT(0xf0);
	self(0xe0);
	EXPECT();
	GUEST_EQ(rd(APIC_PPR), 0xf0);
	GUEST_EQ(vec_is(APIC_ISR, 0x41) && vec_is(APIC_ISR, 0x62) && vec_is(APIC_ISR, 0xf0), 1);
	/* one that is in service may wait once more */
	self(0x41);
	GUEST_EQ(vec_is(APIC_IRR, 0x41), 1);
	/* EOI ends the highest, whatever came last */
	wr(APIC_EOI, 0);
	GUEST_EQ(vec_is(APIC_ISR, 0xf0), 0);
	EXPECT(0xe0);
	wr(APIC_EOI, 0);
	GUEST_EQ(vec_is(APIC_ISR, 0xe0), 0);
	GUEST_EQ(rd(APIC_PPR), 0x60);
	EXPECT();
	wr(APIC_EOI, 0);
	GUEST_EQ(vec_is(APIC_ISR, 0x62), 0);
	EXPECT(0x61);
	wr(APIC_EOI, 0);
	GUEST_EQ(vec_is(APIC_ISR, 0x61), 0);
	EXPECT();
	GUEST_EQ(rd(APIC_PPR), 0x40);
	wr(APIC_EOI, 0);
	EXPECT(0x4f);
	wr(APIC_EOI, 0);
	EXPECT(0x41);
	wr(APIC_EOI, 0);
	wr(APIC_EOI, 0);
	EXPECT();
	GUEST_EQ(rd(APIC_PPR), 0);
}

static void software_disable(u64 arg)
{
	static const u16 lvts[] = {
		APIC_LVTT, APIC_THERMAL, APIC_PERF, APIC_LVT0, APIC_LVT1, APIC_LVTERR,
	};
	unsigned int i;

	begin(arg);
	for (i = 0; i < ARRAY_SIZE(lvts); i++) {
		wr(lvts[i], 0x40 + i);
		GUEST_EQ(rd(lvts[i]), 0x40 + i);
	}
	/* what is in IRR and ISR is kept */
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	self(0x51);
	EXPECT(0x51);
	self(0x52);
	wr(APIC_SPIV, 0xff);
	GUEST_EQ(vec_is(APIC_IRR, 0x52), 1);
	GUEST_EQ(vec_is(APIC_ISR, 0x51), 1);
	for (i = 0; i < ARRAY_SIZE(lvts); i++) {
		GUEST_EQ(rd(lvts[i]), MASKED | (0x40 + i));
		wr(lvts[i], 0x50 + i);
		GUEST_EQ(rd(lvts[i]), MASKED | (0x50 + i));
	}
	/* not accepted: fixed and lowest priority; NMI is */
	/* not by the shorthand: that is the CPU's own with APIC virtualization, and not asked */
	icr(0, ASSERT | 0x61);
	icr(0, ASSERT | LOWEST | 0x62);
	call(CALL_MSI, APIC_BASE, 0x63);
	GUEST_EQ(vec_is(APIC_IRR, 0x61), 0);
	GUEST_EQ(vec_is(APIC_IRR, 0x62), 0);
	GUEST_EQ(vec_is(APIC_IRR, 0x63), 0);
	icr(0, ASSERT | NMI);
	EXPECT(2);
	wr(APIC_EOI, 0);
	wr(APIC_SPIV, 0x1ff);
	/* still masked; what waited comes */
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		GUEST_EQ(rd(lvts[i]), MASKED | (0x50 + i));
	window();
	wr(APIC_EOI, 0);
	GUEST_EQ(READ_ONCE(cpus[0].count[0x52]), 1);
	GUEST_EQ(READ_ONCE(cpus[0].count[0x61]) + READ_ONCE(cpus[0].count[0x62]) +
		 READ_ONCE(cpus[0].count[0x63]), 0);
}

/* TMR is set by a level-triggered message, and cleared by the next edge of the vector */
static void trigger_mode(u64 arg)
{
	begin(arg);
	GUEST_EQ(call(CALL_MSI, APIC_BASE, LEVEL | ASSERT | 0x71), 1);
	GUEST_EQ(vec_is(APIC_IRR, 0x71), 1);
	GUEST_EQ(vec_is(APIC_TMR, 0x71), 1);
	EXPECT(0x71);
	GUEST_EQ(vec_is(APIC_IRR, 0x71), 0);
	GUEST_EQ(vec_is(APIC_ISR, 0x71), 0);
	GUEST_EQ(call(CALL_MSI, APIC_BASE, 0x71), 1);
	GUEST_EQ(vec_is(APIC_TMR, 0x71), 0);
	EXPECT(0x71);
	/* an IPI is an edge, whatever its trigger bit */
	icr(0, TO_SELF | ASSERT | LEVEL | 0x72);
	GUEST_EQ(vec_is(APIC_TMR, 0x72), 0);
	EXPECT(0x72);
}

#define ESR_SEND	BIT(5)
#define ESR_RECEIVE	BIT(6)
#define ESR_REGISTER	BIT(7)

static u32 errors(void)
{
	wr(APIC_ESR, 0);
	return rd(APIC_ESR);
}

static void esr(u64 arg)
{
	unsigned int vec;

	begin(arg);
	GUEST_EQ(errors(), 0);
	/* a sender that names such a vector sends nothing; it does not show before a write */
	for (vec = 0; vec < 16; vec++) {
		self(vec);
		GUEST_EQ(rd(APIC_ESR), 0);
		GUEST_EQ(errors(), ESR_SEND);
		GUEST_EQ(errors(), 0);
	}
	icr(0, ASSERT | LOWEST | 3);
	GUEST_EQ(errors(), ESR_SEND);
	icr(0, ASSERT | NMI | 3);	/* its vector does not matter */
	GUEST_EQ(errors(), 0);
	EXPECT(2);
	if (x2) {
		x2apic_write(APIC_SELF_IPI, 7);
		GUEST_EQ(errors(), ESR_SEND);
	}
	/* received: from a device, or by an LVT of its own */
	for (vec = 0; vec < 16; vec++) {
		call(CALL_MSI, APIC_BASE, vec);
		GUEST_EQ(errors(), ESR_RECEIVE);
	}
	GUEST_EQ(rd(APIC_IRR), 0);
	self(1);
	call(CALL_MSI, APIC_BASE, 1);
	GUEST_EQ(errors(), ESR_SEND | ESR_RECEIVE);
	/* LVT ERR tells of the first after each write of ESR */
	wr(APIC_LVTERR, 0x55);
	self(2);
	EXPECT(0x55);
	self(2);
	EXPECT();
	GUEST_EQ(errors(), ESR_SEND);
	self(2);
	EXPECT(0x55);
	GUEST_EQ(errors(), ESR_SEND);
	/* one that names an illegal vector itself tells nothing */
	wr(APIC_LVTERR, 3);
	self(2);
	GUEST_EQ(errors(), ESR_SEND | ESR_RECEIVE);
	wr(APIC_LVTERR, MASKED | 0x55);
	self(2);
	EXPECT();
	GUEST_EQ(errors(), ESR_SEND);
	/* a register that does not exist; in x2APIC mode that is #GP and no error */
	if (!x2) {
		apic_read(0x40);
		GUEST_EQ(errors(), ESR_REGISTER);
		apic_write(0x3f0, 0x44);
		GUEST_EQ(errors(), ESR_REGISTER);
	}
	EXPECT();
}

static void self_ipis(u64 arg)
{
	unsigned int vec, i;

	begin(arg);
	for (vec = 32; vec < 256; vec++) {
		if (x2 && (vec & 1))
			x2apic_write(APIC_SELF_IPI, vec);
		else
			self(vec);
		GUEST_EQ(vec_is(APIC_IRR, vec), 1);
	}
	forget();
	window();
	for (i = 0; i < 100 && READ_ONCE(cpus[0].total) < 224; i++)
		window();
	GUEST_EQ(READ_ONCE(cpus[0].total), 224);
	for (vec = 0; vec < 64; vec++)
		GUEST_EQ(READ_ONCE(cpus[0].log[vec]), 255 - vec);
	for (vec = 32; vec < 256; vec++)
		GUEST_EQ(READ_ONCE(cpus[0].count[vec]), 1);
	forget();
	/* physical, logical and broadcast to oneself */
	icr(0, ASSERT | 0x51);
	icr(x2 ? ~0u : 0xff, ASSERT | 0x52);
	icr(0, TO_ALL | ASSERT | 0x53);
	icr(0, TO_OTHERS | ASSERT | 0x54);
	EXPECT(0x53, 0x52, 0x51);
}

/* ---- LAPIC: timer --------------------------------------------------------------------- */

#define TIMER	0x71

/* How many of its counts the timer makes in @us. */
static u64 counts_in(u64 us, u64 *cycles)
{
	u64 t = rdtsc(), n;
	u32 from = rd(APIC_TMCCT);

	wait_us(us);
	n = from - rd(APIC_TMCCT);
	*cycles = rdtsc() - t;
	return n;
}

static void divide(u64 arg)
{
	static const u8 shift[8] = { 1, 2, 3, 4, 5, 6, 7, 0 };
	u64 n, cycles, want, best;
	unsigned int i, try;

	begin(arg);
	for (i = 0; i < 8; i++) {
		wr(APIC_TDCR, (i & 3) | (i & 4) << 1);
		wr(APIC_LVTT, TIMER);
		wr(APIC_TMICT, 0xf0000000);
		/* someone else may have the CPU between two reads: the best of some */
		best = ~0ul;
		for (try = 0; try < 100 && best > 50; try++) {
			n = counts_in(10000, &cycles);
			want = cycles * 1000000 / khz >> shift[i];
			n = n > want ? n - want : want - n;
			if (n * 1000 / want < best)
				best = n * 1000 / want;
		}
		/* of a thousand */
		GUEST_EQ(best > 50 ? best << 8 | i : 0, 0);
	}
	wr(APIC_TMICT, 0);
	GUEST_EQ(rd(APIC_TMCCT), 0);
	EXPECT();
}

static bool came_within(u64 us, u64 n)
{
	u64 from = rdtsc();

	while (READ_ONCE(cpus[0].total) < n && in_time(from, us))
		window();
	return READ_ONCE(cpus[0].total) >= n;
}

#define MUST_COME(n)	GUEST_EQ(came_within(FOREVER, n), 1)

/* The count has ended, and so has the host's timer. */
static void timer_over(void)
{
	while (rd(APIC_TMCCT))
		cpu_pause();
	call(CALL_SLEEP, 20000, 0);
}

static void timer_modes(u64 arg)
{
	u64 i, from;
	bool good;

	begin(arg);
	wr(APIC_TDCR, 0xb);
	/* one-shot: once, and the vector that LVTT has when it ends */
	do {
		from = rdtsc();
		wr(APIC_LVTT, TIMER);
		wr(APIC_TMICT, 3000000);
		GUEST_EQ(rd(APIC_TMICT), 3000000);
		wr(APIC_LVTT, TIMER + 1);
		good = in_time(from, 2000);
		timer_over();
		if (!good)
			settle();
	} while (!good);
	MUST_COME(1);
	GUEST_EQ(rd(APIC_TMCCT), 0);
	wait_us(6000);
	EXPECT(TIMER + 1);
	/* written again while it counts: anew */
	wr(APIC_TMICT, 4000000000u);
	wr(APIC_TMICT, 1000000);
	MUST_COME(1);
	timer_over();
	EXPECT(TIMER + 1);
	/* periodic from the next end on, and back: the present period is the last */
	do {
		from = rdtsc();
		wr(APIC_LVTT, TIMER);
		wr(APIC_TMICT, 1000000);
		wr(APIC_LVTT, PERIODIC | TIMER);
		good = in_time(from, 500);
	} while (!good);
	MUST_COME(4);
	wr(APIC_LVTT, TIMER);
	timer_over();
	settle();
	wait_us(4000);
	EXPECT();
	GUEST_EQ(rd(APIC_TMCCT), 0);
	/* a count of 0 stops it */
	wr(APIC_LVTT, PERIODIC | TIMER);
	wr(APIC_TMICT, 1000000);
	wr(APIC_TMICT, 0);
	window();
	GUEST_EQ(READ_ONCE(cpus[0].total) <= 1, 1);
	forget();
	wait_us(3000);
	EXPECT();

	/* not in deadline mode: that MSR is nothing */
	wrmsr(MSR_TSCDEADLINE, rdtsc() + khz);
	GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
	wait_us(2000);
	EXPECT();
	/* in deadline mode: TMICT is nothing; the past is now; once */
	wr(APIC_TMICT, 4000000000u);
	wr(APIC_LVTT, DEADLINE | TIMER);
	GUEST_EQ(rd(APIC_TMICT), 0);
	GUEST_EQ(rd(APIC_TMCCT), 0);
	wr(APIC_TMICT, 1000);
	GUEST_EQ(rd(APIC_TMICT), 0);
	wait_us(1000);
	EXPECT();
	for (i = 0; i < 3; i++) {
		wrmsr(MSR_TSCDEADLINE, i ? rdtsc() - i : 1);
		MUST_COME(1);
		GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
		EXPECT(TIMER);
	}
	wrmsr(MSR_TSCDEADLINE, rdtsc() + 3600000 * khz);
	wrmsr(MSR_TSCDEADLINE, 0);
	GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
	/* the mode changes: disarmed */
	do {
		from = rdtsc();
		wrmsr(MSR_TSCDEADLINE, from + 2 * khz);
		wr(APIC_LVTT, PERIODIC | TIMER);
		good = in_time(from, 1500);
		wr(APIC_LVTT, DEADLINE | TIMER);
		GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
		if (!good)
			settle();
	} while (!good);
	wait_us(4000);
	EXPECT();
}

/* What ends while LVTT is masked is lost; the timer itself goes on. */
static void timer_masked(u64 arg)
{
	u64 from;
	bool good;

	begin(arg);
	wr(APIC_TDCR, 0xb);
	wr(APIC_LVTT, MASKED | TIMER);
	wr(APIC_TMICT, 1000000);
	timer_over();
	EXPECT();
	wr(APIC_LVTT, TIMER);
	EXPECT();
	wait_us(1000);
	EXPECT();
	/* a deadline: it is over although nobody heard of it */
	wr(APIC_LVTT, DEADLINE | MASKED | TIMER);
	from = rdtsc();
	wrmsr(MSR_TSCDEADLINE, from + khz);
	while (rdmsr(MSR_TSCDEADLINE) && in_time(from, FOREVER))
		call(CALL_SLEEP, 1000, 0);
	GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
	wr(APIC_LVTT, DEADLINE | TIMER);
	wait_us(1000);
	EXPECT();
	/* unmasked in time */
	do {
		wr(APIC_LVTT, DEADLINE | MASKED | TIMER);
		from = rdtsc();
		wrmsr(MSR_TSCDEADLINE, from + 20 * khz);
		wr(APIC_LVTT, DEADLINE | TIMER);
		good = in_time(from, 15000);
		if (!good)
			settle();
	} while (!good);
	MUST_COME(1);
	EXPECT(TIMER);
	/* periods */
	wr(APIC_LVTT, PERIODIC | MASKED | TIMER);
	wr(APIC_TMICT, 2000000);
	wait_us(5000);
	EXPECT();
	wr(APIC_LVTT, PERIODIC | TIMER);
	MUST_COME(2);
	wr(APIC_LVTT, PERIODIC | MASKED | TIMER);
	window();
	forget();
	wait_us(5000);
	EXPECT();
	wr(APIC_TMICT, 0);
	wr(APIC_LVTT, PERIODIC | TIMER);
	wait_us(5000);
	EXPECT();
}

/* ---- the chips, as the tests of the LAPIC need them, too ----------------------------------- */

#define PINS	24

static u64 rte(int pin)
{
	return ioapic_read(0x10 + 2 * pin) | (u64)ioapic_read(0x11 + 2 * pin) << 32;
}

static void set_rte(int pin, u32 low, u8 dest)
{
	ioapic_write(0x10 + 2 * pin, MASKED);
	ioapic_rte(pin, (u64)dest << 56 | low);
}

static s64 pulse(int pin)
{
	s64 r = line(pin, 1);

	line(pin, 0);
	return r;
}

static void begin_ioapic(u64 arg)
{
	begin(arg);
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
}

static void pic_init(u8 icw4_master, u8 icw4_slave)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, icw4_master);
	outb(0xa0, 0x11);
	outb(0xa1, 0x28);
	outb(0xa1, 2);
	outb(0xa1, icw4_slave);
	outb(0x21, 0);
	outb(0xa1, 0);
}

static void begin_pic(u64 arg, u8 icw4)
{
	begin(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	call(CALL_ROUTES, ROUTE_PIC, 0);
	pic_init(icw4, 1);
	wr(APIC_LVT0, EXTINT);
}

static u8 irr(u16 port)
{
	outb(port, 0x0a);
	return inb(port);
}

static u8 isr(u16 port)
{
	outb(port, 0x0b);
	return inb(port);
}

#define EOI		0x20
#define SPECIFIC	0x60

/* ---- LAPIC: modes --------------------------------------------------------------------- */

static void base(u64 arg)
{
	u64 msr = rdmsr(MSR_APICBASE);
	u32 a, b, c, d, bit;

	begin(arg);
	msr = rdmsr(MSR_APICBASE);
	GUEST_EQ(msr & 0xfffffffff, APIC_BASE | BIT(8) | MODE_ENABLE | (x2 ? MODE_X2 : 0));
	for (bit = 0; bit < 8; bit++)
		GUEST_EQ(wrmsr_safe(MSR_APICBASE, msr | BIT(bit)), GP);
	GUEST_EQ(wrmsr_safe(MSR_APICBASE, msr | BIT(9)), GP);
	GUEST_EQ(wrmsr_safe(MSR_APICBASE, msr | BIT(63)), GP);
	GUEST_EQ(wrmsr_safe(MSR_APICBASE, (msr & ~MODE_ENABLE) | MODE_X2), GP);
	if (x2)
		GUEST_EQ(wrmsr_safe(MSR_APICBASE, msr & ~MODE_X2), GP);
	GUEST_EQ(rdmsr(MSR_APICBASE), msr);
	cpuid(1, 0, &a, &b, &c, &d);
	GUEST_EQ(d >> 9 & 1, 1);
	/* off: CPUID says so; messages are not for it; the MSRs are gone */
	wrmsr(MSR_APICBASE, msr & ~(MODE_ENABLE | MODE_X2));
	cpuid(1, 0, &a, &b, &c, &d);
	GUEST_EQ(d >> 9 & 1, 0);
	GUEST_EQ(wrmsr_safe(MSR_APICBASE, msr | MODE_ENABLE | MODE_X2), GP);
	GUEST_EQ(wrmsr_safe(0x808, 0), GP);
	GUEST_EQ((s64)call(CALL_MSI, APIC_BASE, 0x40) <= 0, 1);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	EXPECT();
	WRITE_ONCE(eoi_by[0], EOI_LAPIC);
	/* on again */
	wrmsr(MSR_APICBASE, (msr & ~MODE_X2) | MODE_ENABLE);
	cpuid(1, 0, &a, &b, &c, &d);
	GUEST_EQ(d >> 9 & 1, 1);
	x2 = false;
	GUEST_EQ(rd(APIC_ID), 0);
	begin(arg);
	self(0x41);
	GUEST_EQ(call(CALL_MSI, APIC_BASE, 0x42), 1);
	EXPECT(0x42, 0x41);
}

/* ---- LAPIC: others, by IPI ------------------------------------------------------------ */

#define FENCE	0x20	/* the lowest: what was sent before it has come before it */
static u64 fences[IRQ_MAX_CPUS];
static u64 ids_given;		/* they are not 0, 1, 2 ... */
static u32 id_of[IRQ_MAX_CPUS];

static void on_fence(struct frame *f)
{
	wr(APIC_EOI, 0);
	WRITE_ONCE(fences[me()], READ_ONCE(fences[me()]) + 1);
	/* QEMU 7.2 lets it slip in between STI and HLT: it may be the last that comes */
	if (*(u8 *)f->rip == 0xf4)
		f->rip++;
}

static void target(u64 arg)
{
	u32 i;

	begin(arg);
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!READ_ONCE(stop)) {
		/* both awake and asleep; and there are more of these than CPUs */
		sti();
		for (i = 0; i < 50; i++)
			cpu_pause();
		cli();
		if (!READ_ONCE(stop))
			sti_hlt_cli();
	}
}

static void fence(u64 n)
{
	u64 i, before;

	for (i = 1; i < n; i++) {
		before = READ_ONCE(fences[i]);
		icr(READ_ONCE(ids_given) ? id_of[i] : i, ASSERT | FENCE);
		while (READ_ONCE(fences[i]) == before)
			cpu_pause();
	}
	window();
}

/* it may have seen it already, so that it takes no fence any more */
static void stop_others(u64 n)
{
	u64 i;

	WRITE_ONCE(stop, 1);
	for (i = 1; i < n; i++)
		icr(READ_ONCE(ids_given) ? id_of[i] : i, ASSERT | FENCE);
}

/* Who has taken it, once each? */
static u64 taken(u64 n, u8 vec)
{
	u64 i, who = 0;

	fence(n);
	for (i = 0; i < n; i++) {
		if (READ_ONCE(cpus[i].count[vec]) > 1)
			return ~0ul;
		who |= READ_ONCE(cpus[i].count[vec]) << i;
		WRITE_ONCE(cpus[i].count[vec], 0);
	}
	return who;
}

#define SENT(n, dest, how, vec, want) do {				\
	icr(dest, (how) | ASSERT | (vec));				\
	GUEST_EQ(taken(n, ((how) & 0x700) == NMI ? 2 : (vec)), want);	\
} while (0)

static u64 bits(u64 v)
{
	u64 n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

/* Lowest priority: exactly one of those that are meant. */
#define ONE_OF(n, dest, how, vec, of) do {				\
	u64 __who;							\
									\
	icr(dest, LOWEST | (how) | ASSERT | (vec));			\
	__who = taken(n, vec);						\
	GUEST_EQ(bits(__who), 1);					\
	GUEST_EQ(__who & ~(u64)(of), 0);				\
} while (0)

static u64 logical_flat, logical_phase;

/* each vCPU's part of a change of LDR and DFR, which only it can make */
static void on_logical(struct frame *f)
{
	u64 cpu = me();

	apic_write(APIC_EOI, 0);
	if (READ_ONCE(logical_flat)) {
		apic_write(APIC_DFR, 0xffffffff);
		apic_write(APIC_LDR, 1u << (24 + cpu));
	} else {
		/* two clusters of two */
		apic_write(APIC_DFR, 0x0fffffff);
		apic_write(APIC_LDR, (cpu / 2 << 4 | 1u << cpu % 2) << 24);
	}
	__atomic_fetch_add(&logical_phase, 1, __ATOMIC_SEQ_CST);
}

static void set_logical(u64 n, bool flat)
{
	WRITE_ONCE(logical_phase, 0);
	WRITE_ONCE(logical_flat, flat);
	icr(0, TO_ALL | ASSERT | 0x30);
	while (READ_ONCE(logical_phase) < n)
		window();
}

static void physical(u64 n, u32 how, u8 vec)
{
	u32 all = x2 ? ~0u : 0xff;
	u64 i;

	for (i = 0; i < n; i++)
		SENT(n, i, how, vec, BIT(i));
	SENT(n, n, how, vec, 0);
	SENT(n, all, how, vec, BIT(n) - 1);
	SENT(n, 0, TO_ALL | how, vec, BIT(n) - 1);
	SENT(n, 0, TO_OTHERS | how, vec, BIT(n) - 2);
	/* what the destination says does not matter then */
	SENT(n, 1, LOGICAL | TO_OTHERS | how, vec, BIT(n) - 2);
	if (x2)
		SENT(n, 0xff, how, vec, 0);
}

static void destinations(u64 arg)
{
	const u64 n = 4;
	u64 cpu = arg >> IRQ_CPU_SHIFT, i;

	if (cpu) {
		target(arg);
		return;
	}
	begin(arg);
	set_handler(FENCE, on_fence);
	set_handler(0x30, on_logical);
	while (READ_ONCE(ready) < n - 1)
		cpu_pause();

	physical(n, 0, 0x61);
	physical(n, NMI, 0);
	for (i = 0; i < n; i++)
		ONE_OF(n, i, 0, 0x62 + i, BIT(i));
	for (i = 0; i < 16; i++)
		ONE_OF(n, x2 ? ~0u : 0xff, 0, 0x70 + i, 15);
	if (x2) {
		/* one cluster has all four */
		for (i = 0; i < 16; i++)
			SENT(n, i, LOGICAL, 0x63, i);
		SENT(n, 0x1000f, LOGICAL, 0x63, 0);
		SENT(n, ~0u, LOGICAL, 0x63, 15);
		SENT(n, 0xffff, LOGICAL, 0x63, 15);
		SENT(n, 6, LOGICAL | NMI, 0, 6);
		for (i = 1; i < 16; i++)
			ONE_OF(n, i, LOGICAL, 0x80 + i, i);
		stop_others(n);
		return;
	}
	set_logical(n, true);
	for (i = 0; i < 16; i++)
		SENT(n, i, LOGICAL, 0x63, i);
	SENT(n, 0xf0, LOGICAL, 0x63, 0);
	SENT(n, 0xff, LOGICAL, 0x63, 15);
	SENT(n, 10, LOGICAL | NMI, 0, 10);
	for (i = 1; i < 16; i++)
		ONE_OF(n, i, LOGICAL, 0x80 + i, i);
	set_logical(n, false);
	for (i = 0; i < 4; i++) {
		SENT(n, i, LOGICAL, 0x64, i);
		SENT(n, 0x10 | i, LOGICAL, 0x64, i << 2);
		SENT(n, 0x20 | i, LOGICAL, 0x64, 0);
	}
	SENT(n, 0xff, LOGICAL, 0x64, 15);
	SENT(n, 0x13, LOGICAL | NMI, 0, 12);
	for (i = 0; i < 8; i++)
		ONE_OF(n, 0x13, LOGICAL, 0x90 + i, 12);
	stop_others(n);
}

#define STARTED(i)	READ_ONCE(((u16 *)IRQ_STARTED)[i])

static void started(u64 a, u64 b, u64 c)
{
	u64 from = rdtsc();

	while ((STARTED(1) < a || STARTED(2) < b || STARTED(3) < c) &&
	       in_time(from, FOREVER))
		cpu_pause();
	wait_us(2000);
	GUEST_EQ(STARTED(0), 0);
	GUEST_EQ(STARTED(1), a);
	GUEST_EQ(STARTED(2), b);
	GUEST_EQ(STARTED(3), c);
}

/* INIT and start-up, which the others wait for from the beginning */
static void start_up(u64 arg)
{
	u32 all = x2 ? ~0u : 0xff;

	begin(arg);
	started(0, 0, 0);
	/* the INIT level de-assert of old does nothing */
	icr(all, INIT | LEVEL);
	icr(1, INIT | ASSERT | LEVEL);
	icr(1, STARTUP | ASSERT | 0x11);
	started(1, 0, 0);
	/* to one that runs: nothing */
	icr(1, STARTUP | ASSERT | 0x11);
	started(1, 0, 0);
	/* it has had its INIT, and takes one start-up */
	icr(2, STARTUP | ASSERT | 0x11);
	icr(2, STARTUP | ASSERT | 0x11);
	started(1, 1, 0);
	icr(0, TO_OTHERS | INIT | ASSERT);
	started(1, 1, 0);
	icr(0, TO_OTHERS | STARTUP | ASSERT | 0x11);
	started(2, 2, 1);
	icr(0, TO_OTHERS | INIT | ASSERT);
	icr(3, STARTUP | ASSERT | 0x11);
	started(2, 2, 2);
	icr(2, STARTUP | ASSERT | 0x11);
	icr(1, STARTUP | ASSERT | 0x11);
	started(3, 3, 2);
	/* INIT by a redirection entry, an edge; and by a message */
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	set_rte(17, MASKED | INIT, 3);
	pulse(17);
	icr(3, STARTUP | ASSERT | 0x11);
	started(3, 3, 2);
	set_rte(17, INIT, 3);
	GUEST_EQ(pulse(17), 1);
	icr(3, STARTUP | ASSERT | 0x11);
	started(3, 3, 3);
	set_rte(17, INIT | LEVEL, 3);
	GUEST_EQ(line(17, 1), 1);
	GUEST_EQ(rte(17), 3ul << 56 | INIT | LEVEL);
	icr(3, STARTUP | ASSERT | 0x11);
	started(3, 3, 4);
	GUEST_EQ(line(17, 1), 0);
	icr(3, STARTUP | ASSERT | 0x11);
	started(3, 3, 4);
	line(17, 0);
	GUEST_EQ(call(CALL_MSI, APIC_BASE | 3 << 12, INIT), 1);
	icr(3, STARTUP | ASSERT | 0x11);
	started(3, 3, 5);
	if (!x2)
		return;
	/* their logical ids stay: that is all that differs */
	icr(0xc, LOGICAL | INIT | ASSERT);
	icr(0xa, LOGICAL | STARTUP | ASSERT | 0x11);
	started(3, 3, 6);
	icr(0x6, LOGICAL | STARTUP | ASSERT | 0x11);
	started(3, 4, 6);
}

/* for a CPU that sends to others: they are there */
static void begin_sender(u64 arg)
{
	begin(arg);
	set_handler(FENCE, on_fence);
	while (!READ_ONCE(ready))
		cpu_pause();
}

/* System management interrupts: one at a time, they share a save area. */
static void smi(u64 arg)
{
	u64 cpu = arg >> IRQ_CPU_SHIFT, n = 0;

	if (cpu) {
		target(arg);
		return;
	}
	begin_sender(arg);
	GUEST_EQ(READ_ONCE(*(u16 *)IRQ_SMIS), 0);
#define SMI_TO(dest, how) do {						\
	icr(dest, SMI | ASSERT | (how));				\
	fence(2);							\
	GUEST_EQ(READ_ONCE(*(u16 *)IRQ_SMIS), ++n);			\
} while (0)
	SMI_TO(1, 0);
	SMI_TO(0, 0);
	SMI_TO(0, TO_OTHERS);
	if (x2)
		SMI_TO(2, LOGICAL);
#define SMI_BY(how) do {						\
	how;								\
	fence(2);							\
	GUEST_EQ(READ_ONCE(*(u16 *)IRQ_SMIS), ++n);			\
} while (0)
	SMI_BY(call(CALL_MSI, APIC_BASE | 1 << 12, SMI));
	/* a redirection entry: an edge, also where it says level */
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	set_rte(17, SMI, 1);
	SMI_BY(pulse(17));
	set_rte(17, SMI, 0);
	SMI_BY(pulse(17));
	set_rte(17, SMI | LEVEL, 1);
	SMI_BY(line(17, 1));
	GUEST_EQ(rte(17), 1ul << 56 | SMI | LEVEL);
	line(17, 1);
	line(17, 0);
	set_rte(17, SMI | MASKED, 1);
	pulse(17);
	fence(2);
	GUEST_EQ(READ_ONCE(*(u16 *)IRQ_SMIS), n);
	/* an LVT entry: LINT0, at which the PIC is */
	call(CALL_ROUTES, ROUTE_PIC, 0);
	pic_init(1, 1);
	wr(APIC_LVT0, SMI);
	SMI_BY(pulse(3));
	wr(APIC_LVT0, SMI | MASKED);
	pulse(3);
	fence(2);
	GUEST_EQ(READ_ONCE(*(u16 *)IRQ_SMIS), n);
	stop_others(2);
}

/* vCPU 1 has an id that no 8 bits can name */
static void high_ids(u64 arg)
{
	const u32 cluster = IRQ_HIGH_ID >> 4 << 16, bit = 1u << (IRQ_HIGH_ID & 15);
	u64 cpu = arg >> IRQ_CPU_SHIFT, before;

	if (cpu) {
		begin(arg);
		GUEST_EQ(rd(APIC_ID), IRQ_HIGH_ID);
		GUEST_EQ(rd(APIC_LDR), cluster | bit);
		target(arg);
		return;
	}
	begin_sender(arg);
#define HIGH(dest, how, vec, a, b) do {					\
	icr(dest, (how) | ASSERT | (vec));				\
	before = READ_ONCE(fences[1]);					\
	icr(IRQ_HIGH_ID, ASSERT | FENCE);				\
	while (READ_ONCE(fences[1]) == before)				\
		cpu_pause();						\
	window();							\
	GUEST_EQ(READ_ONCE(cpus[0].count[vec]), a);			\
	GUEST_EQ(READ_ONCE(cpus[1].count[vec]), b);			\
	WRITE_ONCE(cpus[0].count[vec], 0);				\
	WRITE_ONCE(cpus[1].count[vec], 0);				\
} while (0)
	HIGH(IRQ_HIGH_ID, 0, 0x61, 0, 1);
	HIGH(IRQ_HIGH_ID & 0xff, 0, 0x61, 0, 0);
	HIGH(0, 0, 0x61, 1, 0);
	HIGH(~0u, 0, 0x61, 1, 1);
	HIGH(cluster | bit, LOGICAL, 0x61, 0, 1);
	HIGH(cluster | 0xffff, LOGICAL, 0x61, 0, 1);
	HIGH(cluster | (0xffff & ~bit), LOGICAL, 0x61, 0, 0);
	HIGH(bit, LOGICAL, 0x61, 0, 0);
	HIGH(1, LOGICAL, 0x61, 1, 0);
	HIGH(~0u, LOGICAL, 0x61, 1, 1);
	HIGH(0, TO_ALL, 0x61, 1, 1);
	HIGH(0, TO_OTHERS, 0x61, 0, 1);
	HIGH(cluster | bit, LOGICAL | LOWEST, 0x61, 0, 1);
	icr(IRQ_HIGH_ID, NMI | ASSERT);
	for (before = rdtsc(); !READ_ONCE(cpus[1].count[2]) && in_time(before, FOREVER);)
		cpu_pause();
	GUEST_EQ(READ_ONCE(cpus[1].count[2]), 1);
	/* from a device, whose message has 32 bits for it */
#define DEVICE(addr, data, b) do {					\
	call(CALL_MSI, (u64)(IRQ_HIGH_ID & ~0xffu) << 32 | APIC_BASE |	\
	     (IRQ_HIGH_ID & 0xff) << 12 | (addr), data);		\
	HIGH(IRQ_HIGH_ID, 0, 0x62, 0, 1);				\
	GUEST_EQ(READ_ONCE(cpus[1].count[0x71]), b);			\
	WRITE_ONCE(cpus[1].count[0x71], 0);				\
	GUEST_EQ(READ_ONCE(cpus[0].count[0x71]), 0);			\
} while (0)
	DEVICE(0, 0x71, 1);
	DEVICE(0, 0x71 | LOWEST, 1);
	WRITE_ONCE(stop, 1);
	icr(IRQ_HIGH_ID, ASSERT | FENCE);
}

/* ---- IOAPIC ----------------------------------------------------------------------------- */

static const u32 many_ids[] = IRQ_IDS;

/* From a device: through the IOAPIC's pin 17, or by a message. */
static void from_device(bool msi, u64 dest, u32 how, u8 vec)
{
	if (msi) {
		call(CALL_MSI, (dest & ~0xfful) << 32 | APIC_BASE | (dest & 0xff) << 12 |
		     (how & LOGICAL ? BIT(2) : 0), (how & 0x700) | vec);
		return;
	}
	set_rte(17, how | vec, dest);
	pulse(17);
}

#define DEVICE_SENT(n, msi, dest, how, vec, want) do {			\
	from_device(msi, dest, how, vec);				\
	GUEST_EQ(taken(n, ((how) & 0x700) == NMI ? 2 : (vec)), want);	\
} while (0)

#define DEVICE_ONE_OF(n, msi, dest, how, vec, of) do {			\
	u64 __who;							\
									\
	from_device(msi, dest, LOWEST | (how), vec);			\
	__who = taken(n, vec);						\
	GUEST_EQ(bits(__who), 1);					\
	GUEST_EQ(__who & ~(u64)(of), 0);				\
} while (0)

/* Every form of destination that a device has, to four CPUs. */
static void devices(u64 arg)
{
	const u64 n = 4;
	u64 cpu = arg >> IRQ_CPU_SHIFT, i;
	u32 msi;

	if (cpu) {
		target(arg);
		return;
	}
	begin_sender(arg);
	set_handler(0x30, on_logical);
	while (READ_ONCE(ready) < n - 1)
		cpu_pause();
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	for (msi = 0; msi < 2; msi++) {
		for (i = 0; i < n; i++) {
			DEVICE_SENT(n, msi, i, 0, 0x61, BIT(i));
			DEVICE_SENT(n, msi, i, NMI, 0, BIT(i));
			DEVICE_ONE_OF(n, msi, i, 0, 0x62 + i, BIT(i));
		}
		DEVICE_SENT(n, msi, n, 0, 0x61, 0);
		DEVICE_SENT(n, msi, 0xff, 0, 0x61, 15);
		DEVICE_SENT(n, msi, 0xff, NMI, 0, 15);
		DEVICE_SENT(n, msi, 2, MASKED | 0, 0x61, msi ? BIT(2) : 0);
		if (x2) {
			for (i = 1; i < 16; i++) {
				DEVICE_SENT(n, msi, i, LOGICAL, 0x63, i);
				DEVICE_ONE_OF(n, msi, i, LOGICAL, 0x80 + i, i);
			}
			DEVICE_SENT(n, msi, 0x10, LOGICAL, 0x63, 0);
			DEVICE_SENT(n, msi, 9, LOGICAL | NMI, 0, 9);
			continue;
		}
		set_logical(n, true);
		for (i = 1; i < 16; i++) {
			DEVICE_SENT(n, msi, i, LOGICAL, 0x63, i);
			DEVICE_ONE_OF(n, msi, i, LOGICAL, 0x80 + i, i);
		}
		DEVICE_SENT(n, msi, 0xf0, LOGICAL, 0x63, 0);
		DEVICE_SENT(n, msi, 0xff, LOGICAL, 0x63, 15);
		DEVICE_SENT(n, msi, 9, LOGICAL | NMI, 0, 9);
		set_logical(n, false);
		for (i = 1; i < 4; i++) {
			DEVICE_SENT(n, msi, i, LOGICAL, 0x64, i);
			DEVICE_SENT(n, msi, 0x10 | i, LOGICAL, 0x64, i << 2);
			DEVICE_SENT(n, msi, 0x20 | i, LOGICAL, 0x64, 0);
			DEVICE_ONE_OF(n, msi, 0x10 | i, LOGICAL, 0x90 + i, i << 2);
		}
		DEVICE_SENT(n, msi, 0xff, LOGICAL, 0x64, 15);
	}
	/* the hint of a message makes one of a fixed one */
	for (i = 0; i < 8; i++) {
		u64 who;

		call(CALL_MSI, APIC_BASE | 0xff000 | BIT(3), 0xa0 + i);
		who = taken(n, 0xa0 + i);
		GUEST_EQ(bits(who), 1);
	}
	/* a level to several: again at each EOI, for as long as it is up */
	set_rte(17, LEVEL | 0x65, 0xff);
	line(17, 1);
	line(17, 0);
	fence(n);
	fence(n);
	for (i = 0; i < n; i++)
		GUEST_ASSERT(READ_ONCE(cpus[i].count[0x65]));
	GUEST_EQ(rte(17) & REMOTE_IRR, 0);
	stop_others(n);
}

#define CLUSTER(id)	((id) >> 4 << 16)
#define MEMBER(id)	(1u << ((id) & 15))

static void begin_sender_of_ids(u64 arg)
{
	u64 i;

	for (i = 0; i < IRQ_NR_IDS; i++)
		id_of[i] = many_ids[i];
	WRITE_ONCE(ids_given, 1);
	begin_sender(arg);
	while (READ_ONCE(ready) < IRQ_NR_IDS - 1)
		cpu_pause();
}

/* The ends of what ids can be, and of what 8 bits can say. */
static void many(u64 arg)
{
	static const u32 nobody[] = { 1, 254, 257, 1000 & 0xff, 1001, 4094, 4096, 0x10000 | 255,
				      0xfffffffe };
	const u64 n = IRQ_NR_IDS, all = BIT(IRQ_NR_IDS) - 1;
	u64 cpu = arg >> IRQ_CPU_SHIFT, i;

	while (cpu && !READ_ONCE(ids_given))
		cpu_pause();
	if (cpu) {
		begin(arg);
		GUEST_EQ(rd(APIC_ID), many_ids[cpu]);
		GUEST_EQ(rd(APIC_LDR), CLUSTER(many_ids[cpu]) | MEMBER(many_ids[cpu]));
		target(arg);
		return;
	}
	begin_sender_of_ids(arg);
	for (i = 0; i < n; i++) {
		u32 id = many_ids[i], logical = CLUSTER(id) | MEMBER(id);

		SENT(n, id, 0, 0x61, BIT(i));
		SENT(n, id, NMI, 0, BIT(i));
		SENT(n, id, LOWEST, 0x62, BIT(i));
		SENT(n, logical, LOGICAL, 0x61, BIT(i));
		SENT(n, CLUSTER(id) | 0xffff, LOGICAL, 0x61, BIT(i));
		SENT(n, CLUSTER(id) | (0xffff & ~MEMBER(id)), LOGICAL, 0x61, 0);
		SENT(n, logical, LOGICAL | NMI, 0, BIT(i));
		SENT(n, logical, LOGICAL | LOWEST, 0x62, BIT(i));
		DEVICE_SENT(n, true, id, 0, 0x63, BIT(i));
		DEVICE_SENT(n, true, id, LOWEST, 0x64, BIT(i));
		DEVICE_SENT(n, true, id, NMI, 0, BIT(i));
		DEVICE_SENT(n, true, logical, LOGICAL, 0x63, BIT(i));
		DEVICE_SENT(n, true, logical, LOGICAL | LOWEST, 0x64, BIT(i));
	}
	for (i = 0; i < ARRAY_SIZE(nobody); i++) {
		SENT(n, nobody[i], 0, 0x61, 0);
		SENT(n, CLUSTER(nobody[i]), LOGICAL, 0x61, 0);
		DEVICE_SENT(n, true, nobody[i], 0, 0x63, 0);
	}
	SENT(n, ~0u, 0, 0x61, all);
	SENT(n, ~0u, NMI, 0, all);
	SENT(n, ~0u, LOGICAL, 0x61, all);
	SENT(n, 0, TO_ALL, 0x61, all);
	SENT(n, 0, TO_OTHERS, 0x61, all - 1);
	SENT(n, 0, TO_OTHERS | NMI, 0, all - 1);
	DEVICE_SENT(n, true, ~0u, 0, 0x63, all);
	DEVICE_SENT(n, true, ~0u, LOGICAL, 0x63, all);
	for (i = 0; i < 8; i++)
		DEVICE_ONE_OF(n, true, ~0u, 0, 0x70 + i, all);
	/* the lower bits of the upper half are none of the id */
	GUEST_ASSERT((s64)call(CALL_MSI, BIT(32) | APIC_BASE, 0x63) < 0);
	GUEST_EQ(taken(n, 0x63), 0);
	/* a redirection entry has 8 bits: 255 is one of them */
	if (!(arg & IRQ_NO_IOAPIC)) {
		call(CALL_ROUTES, ROUTE_IOAPIC, 0);
		DEVICE_SENT(n, false, 255, 0, 0x63, BIT(1));
		DEVICE_SENT(n, false, 0, 0, 0x63, 1);
		DEVICE_SENT(n, false, 256 & 0xff, LOWEST, 0x64, 1);
	}
	stop_others(n);
}

/* The same without KVM_CAP_X2APIC_API: the id of a message has 8 bits, and 255 is all. */
static void msi_8_bits(u64 arg)
{
	const u64 n = IRQ_NR_IDS, all = BIT(IRQ_NR_IDS) - 1;

	if (arg >> IRQ_CPU_SHIFT) {
		while (!READ_ONCE(ids_given))
			cpu_pause();
		target(arg);
		return;
	}
	begin_sender_of_ids(arg);
	DEVICE_SENT(n, true, 0, 0, 0x63, 1);
	DEVICE_SENT(n, true, 256, 0, 0x63, 1);
	DEVICE_SENT(n, true, 0x10000000, 0, 0x63, 1);
	DEVICE_SENT(n, true, 255, 0, 0x63, all);
	DEVICE_SENT(n, true, 4095, 0, 0x63, all);
	/* an IPI has all of them */
	SENT(n, 4095, 0, 0x61, BIT(4));
	SENT(n, 255, 0, 0x61, BIT(1));
	stop_others(n);
}

/* ---- many vCPUs ------------------------------------------------------------------------- */

static u8 ring_got[IRQ_RING_MAX];

static void on_ring(struct frame *f)
{
	u64 sp = (u64)f, i = (sp - IRQ_RING_STACKS) / IRQ_RING_STACK;

	x2apic_write(APIC_EOI, 0);
	WRITE_ONCE(ring_got[i], READ_ONCE(ring_got[i]) + 1);
	/* see on_storm() */
	if (*(u8 *)f->rip == 0xf4)
		f->rip++;
}

/* Each sleeps until the one before it sends, and sends to the next one; its id: irq_ring_id(). */
static void ring(u64 i, u64 n, u64 max)
{
	u32 next = i + 1 == n ? 0 : i + 1, round;

	set_handler(0x41, on_ring);
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | MODE_X2);
	x2apic_write(APIC_SPIV, 0x1ff);
	x2apic_write(APIC_LVT0, MASKED);
	GUEST_EQ(x2apic_read(APIC_ID), irq_ring_id(i, n, max));
	SYNC(1);
	next = irq_ring_id(next, n, max);
	for (round = 1; round <= IRQ_RING_ROUNDS; round++) {
		if (!i)
			x2apic_write(APIC_ICR, (u64)next << 32 | ASSERT | 0x41);
		while (READ_ONCE(ring_got[i]) < round)
			sti_hlt_cli();
		GUEST_EQ(READ_ONCE(ring_got[i]), round);
		if (i)
			x2apic_write(APIC_ICR, (u64)next << 32 | ASSERT | 0x41);
	}
}

/* ---- IOAPIC: registers and pins -------------------------------------------------------- */

static void ioapic_registers(u64 arg)
{
	u32 i, bit;

	begin_ioapic(arg);
	GUEST_EQ(ioapic_read(1), 0x170011);
	ioapic_write(1, ~0u);
	GUEST_EQ(ioapic_read(1), 0x170011);
	ioapic_write(0, ~0u);
	GUEST_EQ(ioapic_read(0), 0x0f000000);
	/* loaded with the id */
	GUEST_EQ(ioapic_read(2), 0x0f000000);
	ioapic_write(2, 0);
	GUEST_EQ(ioapic_read(2), 0x0f000000);
	ioapic_write(0, 0x05000000);
	GUEST_EQ(ioapic_read(0), 0x05000000);
	/* the select register has eight bits */
	mmio_write32(IOAPIC_BASE, 0x101);
	GUEST_EQ(mmio_read32(IOAPIC_BASE), 1);
	for (i = 0; i < PINS; i++) {
		GUEST_EQ(rte(i), MASKED);
		for (bit = 0; bit < 32; bit++) {
			/* delivery status and remote IRR are read-only; 17 to 31 reserved */
			ioapic_write(0x10 + 2 * i, BIT(bit) | MASKED);
			REG_EQ(i << 8 | bit, ioapic_read(0x10 + 2 * i),
			       MASKED | (bit == 12 || bit == 14 || bit > 16 ? 0 : BIT(bit)));
			ioapic_write(0x11 + 2 * i, BIT(bit));
			REG_EQ(i << 8 | bit, ioapic_read(0x11 + 2 * i), bit < 24 ? 0 : BIT(bit));
		}
		ioapic_rte(i, MASKED | (0x80 + i));
	}
	for (i = 0; i < PINS; i++)
		GUEST_EQ(rte(i), MASKED | (0x80 + i));
	EXPECT();
}

static void ioapic_pins(u64 arg)
{
	u32 pin;

	begin_ioapic(arg);
	for (pin = 0; pin < PINS; pin++)
		set_rte(pin, 0x40 + pin, 0);
	for (pin = 0; pin < PINS; pin++) {
		GUEST_EQ(line(pin, 1), 1);
		GUEST_EQ(vec_is(APIC_IRR, 0x40 + pin), 1);
		GUEST_EQ(vec_is(APIC_TMR, 0x40 + pin), 0);
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 1);
		GUEST_EQ(READ_ONCE(cpus[0].log[0]), 0x40 + pin);
		forget();
		/* up already: no edge */
		GUEST_EQ(line(pin, 1), 0);
		EXPECT();
		line(pin, 0);
		EXPECT();
		GUEST_EQ(rte(pin), 0x40 + pin);
	}
	/* the polarity is the host's: it says what is asserted */
	set_rte(20, BIT(13) | 0x55, 0);
	GUEST_EQ(pulse(20), 1);
	EXPECT(0x55);
	/* two edges before the first is taken are one interrupt; both were delivered */
	GUEST_EQ(pulse(21), 1);
	GUEST_EQ(pulse(21), 1);
	EXPECT(0x40 + 21);
}

static void ioapic_level(u64 arg)
{
	u32 pin;

	begin_ioapic(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	for (pin = 0; pin < PINS; pin++) {
		set_rte(pin, LEVEL | (0x40 + pin), 0);
		GUEST_EQ(line(pin, 1), 1);
		GUEST_EQ(rte(pin), LEVEL | REMOTE_IRR | (0x40 + pin));
		GUEST_EQ(vec_is(APIC_TMR, 0x40 + pin), 1);
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 1);
		/* it waits for EOI */
		GUEST_EQ(line(pin, 1), 0);
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 1);
		/* still asserted: again */
		wr(APIC_EOI, 0);
		GUEST_EQ(rte(pin), LEVEL | REMOTE_IRR | (0x40 + pin));
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 2);
		/* dropped before EOI: not again */
		line(pin, 0);
		GUEST_EQ(rte(pin), LEVEL | REMOTE_IRR | (0x40 + pin));
		wr(APIC_EOI, 0);
		GUEST_EQ(rte(pin), LEVEL | (0x40 + pin));
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 2);
		/* up and down before it is taken: the message has gone out */
		line(pin, 1);
		line(pin, 0);
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 3);
		wr(APIC_EOI, 0);
		/* down and up while it is in service: once more at EOI */
		line(pin, 1);
		window();
		line(pin, 0);
		line(pin, 1);
		wr(APIC_EOI, 0);
		line(pin, 0);
		window();
		wr(APIC_EOI, 0);
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 5);
		GUEST_EQ(rte(pin), LEVEL | (0x40 + pin));
		forget();
	}
}

static void ioapic_mask(u64 arg)
{
	begin_ioapic(arg);
	/* an edge on a masked pin is lost */
	set_rte(18, MASKED | 0x51, 0);
	GUEST_EQ((u64)line(18, 1) >> 63, 1);
	ioapic_write(0x10 + 36, 0x51);
	EXPECT();
	line(18, 0);
	GUEST_EQ(pulse(18), 1);
	EXPECT(0x51);
	/* a level is there still when the mask goes */
	set_rte(19, LEVEL | MASKED | 0x52, 0);
	GUEST_EQ((u64)line(19, 1) >> 63, 1);
	GUEST_EQ(rte(19), LEVEL | MASKED | 0x52);
	EXPECT();
	ioapic_write(0x10 + 38, LEVEL | 0x52);
	GUEST_EQ(rte(19), LEVEL | REMOTE_IRR | 0x52);
	line(19, 0);
	EXPECT(0x52);
	/* or not */
	ioapic_write(0x10 + 38, LEVEL | MASKED | 0x52);
	line(19, 1);
	line(19, 0);
	ioapic_write(0x10 + 38, LEVEL | 0x52);
	EXPECT();
	/* masked while in service: EOI finds the pin masked, and asserts it when it is not */
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	line(19, 1);
	EXPECT(0x52);
	ioapic_write(0x10 + 38, LEVEL | MASKED | 0x52);
	GUEST_EQ(rte(19), LEVEL | MASKED | REMOTE_IRR | 0x52);
	wr(APIC_EOI, 0);
	GUEST_EQ(rte(19), LEVEL | MASKED | 0x52);
	EXPECT();
	ioapic_write(0x10 + 38, LEVEL | 0x52);
	line(19, 0);
	EXPECT(0x52);
	wr(APIC_EOI, 0);
	/* masked and unmasked while it waits for EOI: not twice */
	line(19, 1);
	EXPECT(0x52);
	ioapic_write(0x10 + 38, LEVEL | MASKED | 0x52);
	ioapic_write(0x10 + 38, LEVEL | 0x52);
	EXPECT();
	line(19, 0);
	wr(APIC_EOI, 0);
	EXPECT();
}

static void ioapic_delivery(u64 arg)
{
	u32 i;

	begin_ioapic(arg);
	set_rte(17, LOWEST | 0x61, 0);
	GUEST_EQ(pulse(17), 1);
	EXPECT(0x61);
	set_rte(17, NMI | 0x61, 0);
	GUEST_EQ(pulse(17), 1);
	EXPECT(2);
	/* NMI is an edge, also where the entry says level: 82093AA, 3.2.4 */
	set_rte(17, NMI | LEVEL | 0x61, 0);
	for (i = 0; i < 3; i++) {
		GUEST_EQ(line(17, 1), 1);
		EXPECT(2);
		GUEST_EQ(line(17, 1), 0);
		EXPECT();
		line(17, 0);
		GUEST_EQ(rte(17), NMI | LEVEL | 0x61);
	}
	/* destinations: physical, of nobody, of all; logical */
	set_rte(17, 0x62, 7);
	GUEST_EQ(pulse(17) > 0, 0);
	EXPECT();
	set_rte(17, 0x62, 0xff);
	GUEST_EQ(pulse(17), 1);
	EXPECT(0x62);
	if (!x2) {
		apic_write(APIC_DFR, ~0u);
		apic_write(APIC_LDR, 0x04000000);
		for (i = 0; i < 8; i++) {
			set_rte(17, LOGICAL | 0x63, BIT(i));
			GUEST_EQ(pulse(17) > 0, i == 2);
			window();
			GUEST_EQ(READ_ONCE(cpus[0].total), i == 2);
			forget();
		}
	} else {
		set_rte(17, LOGICAL | 0x63, 1);
		GUEST_EQ(pulse(17), 1);
		EXPECT(0x63);
		set_rte(17, LOGICAL | 0x63, 2);
		GUEST_EQ(pulse(17) > 0, 0);
		EXPECT();
	}
	/* a level that nobody took waits for nobody's EOI */
	set_rte(17, LEVEL | 0x64, 7);
	line(17, 1);
	GUEST_EQ(rte(17) & REMOTE_IRR, 0);
	ioapic_rte(17, LEVEL | 0x64);
	line(17, 0);
	EXPECT(0x64);
	/* vectors that are none */
	set_rte(17, 0x0f, 0);
	GUEST_EQ(pulse(17) > 0, 0);
	EXPECT();
}

/* Pins that share a vector: EOI is for all of them. */
static void ioapic_shared(u64 arg)
{
	begin_ioapic(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	set_rte(16, LEVEL | 0x71, 0);
	set_rte(17, LEVEL | 0x71, 0);
	set_rte(18, 0x71, 0);
	GUEST_EQ(line(16, 1), 1);
	GUEST_EQ(line(17, 1), 1);
	EXPECT(0x71);
	GUEST_EQ(rte(16) & rte(17) & REMOTE_IRR, REMOTE_IRR);
	line(16, 0);
	wr(APIC_EOI, 0);
	GUEST_EQ(rte(16) & REMOTE_IRR, 0);
	GUEST_EQ(rte(17) & REMOTE_IRR, REMOTE_IRR);
	EXPECT(0x71);
	line(17, 0);
	wr(APIC_EOI, 0);
	EXPECT();
	/* the edge makes the vector one: the EOI is an edge's, and both pins have said it */
	GUEST_EQ(pulse(18), 1);
	EXPECT(0x71);
	wr(APIC_EOI, 0);
	GUEST_EQ((rte(16) | rte(17) | rte(18)) & REMOTE_IRR, 0);
	EXPECT();
}

static void ioapic_rewritten(u64 arg)
{
	begin_ioapic(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	set_rte(16, LEVEL | 0x71, 0);
	line(16, 1);
	EXPECT(0x71);
	/* the way to lose a remote IRR: to an edge and back, as Linux does it */
	ioapic_write(0x10 + 32, MASKED | 0x71);
	GUEST_EQ(rte(16), MASKED | 0x71);
	ioapic_write(0x10 + 32, MASKED | LEVEL | 0x71);
	GUEST_EQ(rte(16), MASKED | LEVEL | 0x71);
	wr(APIC_EOI, 0);
	line(16, 0);
	ioapic_write(0x10 + 32, LEVEL | 0x71);
	EXPECT();
	/* written in place: remote IRR stays, and the EOI of the old vector is another's */
	line(16, 1);
	EXPECT(0x71);
	ioapic_write(0x10 + 32, LEVEL | 0x72);
	GUEST_EQ(rte(16), LEVEL | REMOTE_IRR | 0x72);
	EXPECT();
	wr(APIC_EOI, 0);
	GUEST_EQ(rte(16), LEVEL | REMOTE_IRR | 0x72);
	EXPECT();
	/* an EOI of the new one */
	line(16, 0);
	call(CALL_MSI, APIC_BASE, LEVEL | ASSERT | 0x72);
	EXPECT(0x72);
	wr(APIC_EOI, 0);
	GUEST_EQ(rte(16), LEVEL | 0x72);
	/* another destination: it is on its way to this one all the same, whose EOI counts */
	line(16, 1);
	EXPECT(0x72);
	ioapic_write(0x11 + 32, 3u << 24);
	line(16, 0);
	wr(APIC_EOI, 0);
	GUEST_EQ(rte(16), 3ul << 56 | LEVEL | 0x72);
	EXPECT();
}

/* GSI 0 goes to pin 2, as ACPI's override says on a PC */
static void ioapic_override(u64 arg)
{
	begin(arg);
	call(CALL_ROUTES, ROUTE_OVERRIDE, 0);
	set_rte(0, 0x50, 0);
	set_rte(2, 0x52, 0);
	GUEST_EQ(pulse(0), 1);
	EXPECT(0x52);
	/* PIT channel 0 is GSI 0: mode 0, 1 ms */
	outb(0x43, 0x30);
	outb(0x40, 0xa9);
	outb(0x40, 0x04);
	MUST_COME(1);
	EXPECT(0x52);
}

/* Pin 8: the host hears whether the guest will see a tick of its own. */
static void ioapic_rtc(u64 arg)
{
	u32 i;

	begin_ioapic(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	set_rte(8, 0x58, 0);
	for (i = 0; i < 3; i++) {
		GUEST_EQ(pulse(8), 1);
		GUEST_EQ(pulse(8), 0);
		EXPECT(0x58);
		GUEST_EQ(pulse(8), 0);
		wr(APIC_EOI, 0);
		EXPECT();
	}
	GUEST_EQ(pulse(8), 1);
	EXPECT(0x58);
	wr(APIC_EOI, 0);
}

/* ---- PIC -------------------------------------------------------------------------------- */

/* LINT0 of the APIC, in front of which the PIC is */
static void extint(u64 arg)
{
	u64 msr;

	begin_pic(arg, 1);
	wr(APIC_LVT0, MASKED | EXTINT);
	GUEST_EQ(pulse(3), 1);
	GUEST_EQ(irr(0x20), 8);
	EXPECT();
	wr(APIC_LVT0, EXTINT);
	EXPECT(0x23);
	/* the APIC does not know it: nothing in service, nothing to end */
	GUEST_EQ(vec_is(APIC_ISR, 0x23), 0);
	GUEST_EQ(rd(APIC_PPR), 0);
	GUEST_EQ(isr(0x20), 8);
	outb(0x20, EOI);
	/* nor does a priority hold it back */
	wr(APIC_TPR, 0xff);
	self(0xf1);
	pulse(3);
	EXPECT(0x23);
	outb(0x20, EOI);
	wr(APIC_TPR, 0);
	EXPECT(0xf1);
	wr(APIC_EOI, 0);
	/* before one of the APIC's own */
	self(0xf1);
	pulse(3);
	EXPECT(0x23, 0xf1);
	outb(0x20, EOI);
	wr(APIC_EOI, 0);
	/* the APIC switched off by software masks LINT0, by its base it is out of the way */
	wr(APIC_SPIV, 0xff);
	pulse(3);
	EXPECT();
	wr(APIC_SPIV, 0x1ff);
	wr(APIC_LVT0, EXTINT);
	EXPECT(0x23);
	outb(0x20, EOI);
	wr(APIC_LVT0, MASKED);
	msr = rdmsr(MSR_APICBASE);
	wrmsr(MSR_APICBASE, msr & ~(MODE_ENABLE | MODE_X2));
	pulse(3);
	EXPECT(0x23);
	outb(0x20, EOI);
	EXPECT();
}

static void pic_words(u64 arg)
{
	u32 i;

	begin_pic(arg, 1);
	for (i = 0; i < 256; i++) {
		outb(0x21, i);
		outb(0xa1, ~i);
		GUEST_EQ(inb(0x21), i);
		GUEST_EQ(inb(0xa1), (u8)~i);
		outb(0x4d0, i);
		outb(0x4d1, i);
		/* not timer, keyboard, cascade; not RTC, FPU */
		GUEST_EQ(inb(0x4d0), i & 0xf8);
		GUEST_EQ(inb(0x4d1), i & 0xde);
	}
	outb(0x4d0, 0);
	outb(0x4d1, 0);
	outb(0x21, 0);
	outb(0xa1, 0);
	/* ICW2 has the upper five bits of the vector; ICW1 ends what was in service */
	GUEST_EQ(pulse(4), 1);
	EXPECT(0x24);
	GUEST_EQ(isr(0x20), 0x10);
	pulse(6);
	GUEST_EQ(irr(0x20), 0x40);
	outb(0x21, 0xff);
	outb(0x20, 0x11);
	outb(0x21, 0x47);
	outb(0x21, 4);
	outb(0x21, 1);
	GUEST_EQ(inb(0x21), 0);
	GUEST_EQ(isr(0x20), 0);
	GUEST_EQ(irr(0x20), 0);
	EXPECT();
	pulse(4);
	EXPECT(0x44);
	/* without ICW4: as if it were 0, so no automatic EOI */
	outb(0x20, 0x10);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, 0xf7);	/* OCW1 already */
	GUEST_EQ(inb(0x21), 0xf7);
	pulse(3);
	EXPECT(0x23);
	GUEST_EQ(isr(0x20), 8);
	outb(0x20, EOI);
	GUEST_EQ(isr(0x20), 0);
	/* IRR is read until ISR is chosen */
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, 1);
	pulse(5);
	GUEST_EQ(inb(0x20), 0x20);
	outb(0x20, 0x0b);
	GUEST_EQ(inb(0x20), 0);
	outb(0x20, 0x08);	/* neither */
	GUEST_EQ(inb(0x20), 0);
	outb(0x20, 0x0a);
	GUEST_EQ(inb(0x20), 0x20);
	EXPECT(0x25);
	outb(0x20, EOI);
}

static void pic_priorities(u64 arg)
{
	u32 pin;

	begin_pic(arg, 1);
	for (pin = 8; pin-- > 0;)
		if (pin != 2)
			GUEST_EQ(pulse(pin), 1);
	GUEST_EQ(pulse(7), 0);		/* it waits already */
	GUEST_EQ(irr(0x20), 0xfb);
	for (pin = 0; pin < 8; pin++) {
		if (pin == 2)
			continue;
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 1);
		GUEST_EQ(READ_ONCE(cpus[0].log[0]), 0x20 + pin);
		forget();
		GUEST_EQ(isr(0x20), BIT(pin));
		outb(0x20, EOI);
	}
	EXPECT();
	/* nested: higher ones only */
	pulse(5);
	EXPECT(0x25);
	pulse(6);
	pulse(5);
	EXPECT();
	pulse(1);
	EXPECT(0x21);
	GUEST_EQ(isr(0x20), 0x22);
	/* the highest in service ends, or the one that is named */
	outb(0x20, SPECIFIC | 5);
	GUEST_EQ(isr(0x20), 2);
	EXPECT();
	outb(0x20, SPECIFIC | 4);	/* is not in service */
	GUEST_EQ(isr(0x20), 2);
	outb(0x20, EOI);
	EXPECT(0x25);
	outb(0x20, EOI);
	EXPECT(0x26);
	outb(0x20, EOI);
	outb(0x20, EOI);
	/* masked: it waits in IRR */
	outb(0x21, 8);
	GUEST_EQ((u64)pulse(3) >> 63, 1);
	GUEST_EQ(irr(0x20), 8);
	EXPECT();
	outb(0x21, 0);
	EXPECT(0x23);
	outb(0x20, EOI);
	EXPECT();
}

static void pic_rotation(u64 arg)
{
	begin_pic(arg, 1);
	/* 4 is made the lowest: 5 is the highest */
	outb(0x20, 0xc4);
	pulse(1);
	pulse(3);
	pulse(4);
	pulse(6);
	EXPECT(0x26);
	outb(0x20, EOI);
	EXPECT(0x21);
	outb(0x20, EOI);
	EXPECT(0x23);
	/* by its end it becomes the lowest: 4 is the highest now */
	outb(0x20, 0xa0);
	pulse(0);
	pulse(3);
	EXPECT(0x24);
	outb(0x20, EOI);
	EXPECT(0x20);
	outb(0x20, EOI);
	EXPECT(0x23);
	/* named, ended and made the lowest: 0 */
	outb(0x20, 0xe3);
	GUEST_EQ(isr(0x20), 0);
	outb(0x20, 0xc0 | 7);	/* back to the usual order */
	pulse(7);
	pulse(0);
	EXPECT(0x20);
	outb(0x20, 0xe0 | 0);
	EXPECT(0x27);
	pulse(0);
	EXPECT();
	pulse(1);
	EXPECT(0x21);
	GUEST_EQ(isr(0x20), 0x82);
	outb(0x20, 0x40);	/* no operation */
	GUEST_EQ(isr(0x20), 0x82);
	outb(0x20, EOI);
	GUEST_EQ(isr(0x20), 0x80);
	outb(0x20, EOI);
	EXPECT(0x20);
}

static void pic_auto_eoi(u64 arg)
{
	begin_pic(arg, 3);
	pulse(3);
	pulse(5);
	EXPECT(0x23, 0x25);
	GUEST_EQ(isr(0x20), 0);
	GUEST_EQ(pulse(3), 1);
	EXPECT(0x23);
	/* with rotation: each that was served is the lowest */
	outb(0x20, 0x80);
	pulse(3);
	EXPECT(0x23);
	pulse(1);
	pulse(5);
	EXPECT(0x25, 0x21);
	pulse(0);
	pulse(7);
	pulse(3);
	EXPECT(0x23, 0x27, 0x20);
	outb(0x20, 0);
	/* stays as it was last: 1 is the highest */
	pulse(0);
	pulse(1);
	EXPECT(0x21, 0x20);
	pulse(0);
	pulse(1);
	EXPECT(0x21, 0x20);
}

static void pic_special_mask(u64 arg)
{
	begin_pic(arg, 1);
	pulse(3);
	EXPECT(0x23);
	pulse(5);
	EXPECT();
	outb(0x21, 8);
	EXPECT();
	outb(0x20, 0x68);
	EXPECT(0x25);
	/* the masked one is passed over */
	outb(0x20, EOI);
	GUEST_EQ(isr(0x20), 8);
	pulse(6);
	EXPECT(0x26);
	outb(0x20, 0x48);
	pulse(7);
	outb(0x20, SPECIFIC | 6);
	EXPECT();
	outb(0x20, EOI);
	GUEST_EQ(isr(0x20), 0);
	EXPECT(0x27);
	outb(0x20, EOI);
	outb(0x21, 0);
	EXPECT();
}

static void pic_poll(u64 arg)
{
	begin_pic(arg, 1);
	wr(APIC_LVT0, MASKED);
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x20) & 0x80, 0);
	pulse(6);
	pulse(3);
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x20), 0x83);
	/* it was an acknowledgment, and one only */
	GUEST_EQ(isr(0x20), 8);
	GUEST_EQ(irr(0x20), 0x40);
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x20) & 0x80, 0);
	outb(0x20, EOI);
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x21), 0x86);
	outb(0x20, EOI);
	pulse(12);
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x20), 0x82);
	outb(0xa0, 0x0c);
	GUEST_EQ(inb(0xa0), 0x84);
	GUEST_EQ(isr(0x20), 4);
	GUEST_EQ(isr(0xa0), 0x10);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	wr(APIC_LVT0, EXTINT);
	EXPECT();
}

static void pic_cascade(u64 arg)
{
	u32 pin;

	begin_pic(arg, 1);
	for (pin = 16; pin-- > 8;)
		GUEST_EQ(pulse(pin), 1);
	GUEST_EQ(irr(0x20), 4);
	GUEST_EQ(irr(0xa0), 0xff);
	/* between 1 and 3 of the master */
	pulse(3);
	pulse(1);
	EXPECT(0x21);
	outb(0x20, EOI);
	for (pin = 8; pin < 16; pin++) {
		window();
		GUEST_EQ(READ_ONCE(cpus[0].total), 1);
		GUEST_EQ(READ_ONCE(cpus[0].log[0]), 0x20 + pin);
		forget();
		GUEST_EQ(isr(0xa0), BIT(pin - 8));
		GUEST_EQ(isr(0x20), 4);
		/* the slave alone is not enough: the master has IR2 in service */
		outb(0xa0, EOI);
		EXPECT();
		outb(0x20, EOI);
	}
	EXPECT(0x23);
	outb(0x20, EOI);
	/* a higher one of the slave waits for the master, but for special fully nested mode */
	pulse(12);
	EXPECT(0x2c);
	pulse(9);
	EXPECT();
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT(0x29);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	pic_init(0x11, 1);
	pulse(12);
	EXPECT(0x2c);
	pulse(14);
	EXPECT();
	pulse(9);
	EXPECT(0x29);
	outb(0xa0, EOI);
	GUEST_EQ(isr(0xa0), 0x10);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT(0x2e);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	/* masked at the master, all wait */
	pic_init(1, 1);
	outb(0x21, 4);
	pulse(10);
	EXPECT();
	outb(0x21, 0);
	EXPECT(0x2a);
	outb(0xa0, SPECIFIC | 2);
	outb(0x20, SPECIFIC | 2);
	GUEST_EQ(isr(0x20) | isr(0xa0), 0);
	EXPECT();
}

static void pic_level(u64 arg)
{
	begin_pic(arg, 1);
	outb(0x4d0, 0x20);
	outb(0x4d1, 0x04);
	/* gone before it was taken: never there */
	pulse(5);
	GUEST_EQ(irr(0x20), 0);
	EXPECT();
	line(5, 1);
	GUEST_EQ(irr(0x20), 0x20);
	EXPECT(0x25);
	outb(0x20, EOI);
	EXPECT(0x25);
	line(5, 0);
	outb(0x20, EOI);
	EXPECT();
	line(10, 1);
	EXPECT(0x2a);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT(0x2a);
	line(10, 0);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT();
	/* an edge stays, though the line does not */
	pulse(4);
	GUEST_EQ(irr(0x20), 0x10);
	EXPECT(0x24);
	outb(0x20, EOI);
	line(4, 1);
	EXPECT(0x24);
	outb(0x20, EOI);
	line(4, 1);
	EXPECT();
	line(4, 0);
}

/* What the master can do the slave can, too. */
static void pic_slave(u64 arg)
{
	begin_pic(arg, 1);
	/* 4 is its lowest: 5 is the highest */
	outb(0xa0, 0xc4);
	pulse(9);
	pulse(12);
	pulse(14);
	EXPECT(0x2e);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT(0x29);
	/* ended, and the lowest now: 10 is the highest */
	outb(0xa0, 0xa0);
	outb(0x20, EOI);
	EXPECT(0x2c);
	outb(0xa0, 0xe4);
	outb(0x20, EOI);
	GUEST_EQ(isr(0xa0), 0);
	outb(0xa0, 0xc7);
	/* special mask mode: behind one that is in service and masked */
	pulse(9);
	EXPECT(0x29);
	outb(0x20, EOI);
	pulse(12);
	EXPECT();
	outb(0xa1, 2);
	outb(0xa0, 0x68);
	EXPECT(0x2c);
	outb(0xa0, EOI);
	GUEST_EQ(isr(0xa0), 2);
	outb(0xa0, 0x48);
	outb(0xa0, SPECIFIC | 1);
	outb(0x20, EOI);
	outb(0xa1, 0);
	/* masked there, all or one */
	outb(0xa1, 0x10);
	GUEST_EQ((u64)pulse(12) >> 63, 1);
	GUEST_EQ(irr(0x20), 0);
	pulse(13);
	EXPECT(0x2d);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	outb(0xa1, 0);
	EXPECT(0x2c);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT();
	/* automatic EOI there: the master's is another matter */
	pic_init(1, 3);
	pulse(10);
	EXPECT(0x2a);
	GUEST_EQ(isr(0xa0), 0);
	GUEST_EQ(isr(0x20), 4);
	pulse(9);
	EXPECT();
	outb(0x20, EOI);
	EXPECT(0x29);
	outb(0x20, EOI);
	/* in both */
	pic_init(3, 3);
	pulse(10);
	pulse(3);
	EXPECT(0x2a, 0x23);
	GUEST_EQ(isr(0x20) | isr(0xa0), 0);
	/* its own vectors */
	pic_init(1, 1);
	outb(0xa0, 0x11);
	outb(0xa1, 0x77);
	outb(0xa1, 2);
	outb(0xa1, 1);
	pulse(15);
	EXPECT(0x77);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT();
}

/*
 * A level that falls before it is acknowledged: it was never there. The chip would answer an
 * acknowledge that has begun with IR7; here it does not begin, but for pic_race().
 */
static void pic_withdrawn(u64 arg)
{
	begin_pic(arg, 1);
	outb(0x4d0, 0x20);
	outb(0x4d1, 0x04);
	line(5, 1);
	line(5, 0);
	EXPECT();
	line(10, 1);
	GUEST_EQ(irr(0x20), 4);
	line(10, 0);
	GUEST_EQ(irr(0x20) | irr(0xa0), 0);
	EXPECT();
	/* one behind it comes in its place */
	line(5, 1);
	pulse(6);
	line(5, 0);
	EXPECT(0x26);
	outb(0x20, EOI);
	/* with interrupts off in the PIC: as if it were not there */
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x20) & 0x80, 0);
	GUEST_EQ(isr(0x20), 0);
	/* the acknowledge of the master, and then nothing is left of the slave: IR2 has to end */
	wr(APIC_LVT0, MASKED | EXTINT);
	line(10, 1);
	outb(0x20, 0x0c);
	GUEST_EQ(inb(0x20), 0x82);
	line(10, 0);
	outb(0xa0, 0x0c);
	GUEST_EQ(inb(0xa0) & 0x80, 0);
	GUEST_EQ(isr(0xa0), 0);
	GUEST_EQ(isr(0x20), 4);
	wr(APIC_LVT0, EXTINT);
	pulse(3);
	pulse(12);
	EXPECT();
	outb(0x20, EOI);
	EXPECT(0x2c);
	outb(0xa0, EOI);
	outb(0x20, EOI);
	EXPECT(0x23);
	outb(0x20, EOI);
	/* the ELCR changes: what is up is a level, and is none as an edge that was */
	outb(0x4d0, 0);
	line(5, 1);
	EXPECT(0x25);
	outb(0x20, EOI);
	EXPECT();
	line(5, 0);
	outb(0x4d0, 0x20);
	line(5, 1);
	outb(0x4d0, 0);
	line(5, 0);
	EXPECT(0x25);
	outb(0x20, EOI);
	EXPECT();
}

static void on_pic_race(struct frame *f)
{
	u64 *n = &cpus[0].count[f->vector];

	WRITE_ONCE(*n, READ_ONCE(*n) + 1);
	switch (f->vector) {
	case 0x25:
		GUEST_EQ(isr(0x20) & 0x20, 0x20);
		outb(0x20, EOI);
		break;
	case 0x27:	/* spurious: nothing in service, nothing to end */
		GUEST_EQ(isr(0x20) & 0x80, 0);
		break;
	case 0x2a:
		GUEST_EQ(isr(0xa0), 4);
		GUEST_EQ(isr(0x20) & 4, 4);
		outb(0xa0, EOI);
		outb(0x20, EOI);
		break;
	case 0x2f:	/* of the slave: the master does not know */
		GUEST_EQ(isr(0xa0), 0);
		GUEST_EQ(isr(0x20) & 4, 4);
		outb(0x20, EOI);
		break;
	default:
		GUEST_EQ(f->vector, 0);
	}
}

/* The host raises and lowers two levels while their interrupts are taken. */
static void pic_race(u64 arg)
{
	u32 i;

	begin_pic(arg, 1);
	outb(0x4d0, 0x20);
	outb(0x4d1, 0x04);
	for (i = 0x20; i < 0x30; i++)
		set_handler(i, on_pic_race);
	SYNC(1);
	while (!READ_ONCE(RUN->stop))
		window();
	GUEST_EQ(isr(0x20) | isr(0xa0), 0);
	GUEST_EQ(irr(0x20) | irr(0xa0), 0);
	for (i = 0x20; i < 0x30; i++)
		set_handler(i, on_irq);
	pulse(3);
	EXPECT(0x23);
	WRITE_ONCE(RUN->received, READ_ONCE(cpus[0].count[0x25]) + READ_ONCE(cpus[0].count[0x2a]));
	WRITE_ONCE(RUN->sent, READ_ONCE(cpus[0].count[0x27]) + READ_ONCE(cpus[0].count[0x2f]));
}

/* ---- PIT -------------------------------------------------------------------------------- */

#define PIT_HZ	1193182

/* clocks of the PIT in a time of the TSC */
static u64 clocks(u64 cycles)
{
	return cycles * (PIT_HZ / 1000) / khz;
}

/* a bit more of them than that: the host's clocks are not the same */
static u64 about(u64 cycles)
{
	u64 n = clocks(cycles);

	return n + n / 50 + 100;
}

static bool out2(void)
{
	return inb(0x61) >> 5 & 1;
}

static void gate2(bool on)
{
	outb(0x61, on);
}

static void count(u8 n, u8 mode, u16 v)
{
	outb(0x43, n << 6 | 0x30 | mode << 1);
	outb(0x40 + n, v);
	outb(0x40 + n, v >> 8);
}

static u16 latched(u8 n)
{
	u8 low;

	outb(0x43, n << 6);
	low = inb(0x40 + n);
	return low | inb(0x40 + n) << 8;
}

static u8 status(u8 n)
{
	outb(0x43, 0xe0 | 2 << n);
	return inb(0x40 + n);
}

static u32 from_bcd(u16 v)
{
	return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
}

#define NULL_COUNT	0x40

static void pit_access(u64 arg)
{
	static const u8 chans[] = { 0, 1, 2 };
	u64 from, n;
	u32 i, c, mode;
	u16 a, b;

	begin(arg);
	gate2(true);
	for (i = 0; i < ARRAY_SIZE(chans); i++) {
		c = chans[i];
		for (mode = 0; mode < 8; mode++) {
			u8 is = mode > 5 ? mode & 3 : mode;

			/* the count is not there before it is written whole */
			outb(0x43, c << 6 | 0x30 | mode << 1);
			GUEST_EQ(status(c), NULL_COUNT | 0x30 | is << 1 | (is ? 0x80 : 0));
			outb(0x40 + c, 0xff);
			GUEST_EQ(status(c) & ~0x80, NULL_COUNT | 0x30 | is << 1);
			outb(0x40 + c, 0xff);
			/* modes 1 and 5 load it when they are triggered */
			if (is != 1 && is != 5)
				GUEST_EQ(status(c) & ~0x80, 0x30 | is << 1);
		}
		/* one byte only; the other is 0 */
		outb(0x43, c << 6 | 0x20 | 4);
		outb(0x40 + c, 0x80);
		GUEST_ASSERT(inb(0x40 + c) <= 0x80);
		GUEST_EQ(status(c) & ~0x80, 0x24);
		/* and so is what a latch holds */
		outb(0x43, c << 6);
		GUEST_ASSERT(inb(0x40 + c) <= 0x80);
		GUEST_EQ(status(c) & ~0x80, 0x24);
		outb(0x43, c << 6 | 0x10 | 4);
		GUEST_EQ(status(c) & ~0xc0, 0x14);
		outb(0x40 + c, 0x40);
		for (n = 0; n < 20; n++)
			GUEST_ASSERT(inb(0x40 + c) <= 0x40);
		/* a latch stays until it is read, and the counter goes on behind it */
		do {
			from = rdtsc();
			count(c, 2, 0xffff);
			outb(0x43, c << 6);
			n = rdtsc();
			wait_us(300);
			outb(0x43, c << 6);
			a = inb(0x40 + c);
			a |= inb(0x40 + c) << 8;
			b = latched(c);
		} while (!in_time(from, 40000));
		GUEST_ASSERT(a - b >= 300);
		GUEST_ASSERT(0xffffu - a <= about(n - from));
		/* count and status by read-back: status first */
		do {
			from = rdtsc();
			count(c, 2, 0xffff);
			outb(0x43, 0xc0 | 2 << c);
			GUEST_EQ(inb(0x40 + c), 0xb4);
			a = inb(0x40 + c);
			a |= inb(0x40 + c) << 8;
			n = rdtsc();
		} while (!in_time(from, 40000));
		GUEST_ASSERT(0xffffu - a <= about(n - from));
		/* BCD: 0 is 10000; all digits are digits */
		outb(0x43, c << 6 | 0x35);
		outb(0x40 + c, 0);
		outb(0x40 + c, 0);
		for (n = 0, from = 0; n < 50 || (!from && n < 100000); n++) {
			a = latched(c);
			GUEST_ASSERT((a & 15) < 10 && (a >> 4 & 15) < 10 && (a >> 8 & 15) < 10 &&
				     a >> 12 < 10);
			from |= from_bcd(a) > 5000;
		}
		GUEST_EQ(from, 1);
		GUEST_EQ(status(c) & 0x7f, 0x35);
	}
	/* 0 is 65536: still in its first half after 2 ms */
	do {
		from = rdtsc();
		count(2, 0, 0);
		wait_us(2000);
		a = latched(2);
	} while (!in_time(from, 25000));
	GUEST_ASSERT(a > 0x8000 && a < 0xffff - 2000);
	/* read-back of all three: each keeps its own until it is read */
	for (c = 0; c < 3; c++)
		count(c, 4, 0x1000 * (c + 1));
	outb(0x43, 0xce);
	for (c = 3; c-- > 0;)
		GUEST_EQ(inb(0x40 + c) & ~0xc0, 0x38);
	wait_us(100);
	for (c = 3; c-- > 0;) {
		a = inb(0x40 + c);
		a |= inb(0x40 + c) << 8;
		b = latched(c);
		GUEST_ASSERT((u16)(a - b) >= 100);
	}
	/* of none */
	outb(0x43, 0xc0);
	outb(0x43, 0xf0);
	EXPECT();
}

/* A half of channel 2's period, in clocks: its output was @high. */
static u64 half(bool high)
{
	u64 from;

	while (out2() == high)
		cpu_pause();
	while (out2() != high)
		cpu_pause();
	from = rdtsc();
	while (out2() == high)
		cpu_pause();
	return clocks(rdtsc() - from);
}

/* The pace of a mode, by its output and its counter; channel 2, whose output can be read. */
static void pit_modes(u64 arg)
{
	u64 from, n, good;
	u16 c;

	begin(arg);
	gate2(true);
	/* 0: low from the control word on, high when it is through, and so it stays */
	do {
		outb(0x43, 0xb0);
		GUEST_EQ(out2(), 0);
		outb(0x42, 0x00);
		GUEST_EQ(out2(), 0);
		from = rdtsc();
		outb(0x42, 0x10);
		while (!out2())
			GUEST_ASSERT(in_time(from, FOREVER));
		GUEST_ASSERT(about(rdtsc() - from) >= 0x1000);
		wait_us(1000);
		GUEST_EQ(out2(), 1);
		c = latched(2);
	} while (!in_time(from, 25000));
	/* through zero */
	GUEST_ASSERT(c > 0x8000);
	/* a new count begins anew */
	do {
		outb(0x42, 0x00);
		from = rdtsc();
		outb(0x42, 0x80);
		n = out2();
	} while (!in_time(from, 25000));
	GUEST_EQ(n, 0);
	/* 2: high but for a clock; the counter never shows more than the count */
	count(2, 2, 1000);
	for (n = 0; n < 200; n++) {
		c = latched(2);
		GUEST_ASSERT(c != 0 && c <= 1000);
	}
	/* 3: high and low for the same time, but for a clock when the count is odd */
	for (c = 20000; c <= 20001; c++) {
		count(2, 3, c);
		for (n = 0, good = 0; n < 1000 && good != 3; n++) {
			from = half(n & 1);
			if (from > 9000 && from < 11000)
				good |= 1 << (n & 1);
		}
		GUEST_EQ(good, 3);
	}
	do {
		from = rdtsc();
		count(2, 3, 60000);
		n = out2();
		c = latched(2);
	} while (!in_time(from, 20000));
	GUEST_EQ(n, 1);
	GUEST_EQ(c & 1, 0);
	/* 4: high, a strobe that a read hardly sees */
	count(2, 4, 2000);
	for (n = 0, from = 0; n < 100; n++)
		from += out2();
	GUEST_ASSERT(from >= 98);
	/* 1: high until it is triggered, low for the count, again at each trigger */
	do {
		gate2(false);
		count(2, 1, 60000);
		GUEST_EQ(out2(), 1);
		from = rdtsc();
		gate2(true);
		good = !out2();
		wait_us(8000);
		good &= !out2();
		gate2(false);
		good &= !out2();
		if (!in_time(from, 45000))
			continue;
		GUEST_EQ(good, 1);
		n = rdtsc();
		gate2(true);
		good = !out2();
	} while (!in_time(from, 45000));
	GUEST_EQ(good, 1);
	while (!out2())
		GUEST_ASSERT(in_time(n, FOREVER));
	GUEST_ASSERT(about(rdtsc() - n) >= 60000);
	/* a new count is the next trigger's */
	outb(0x42, 0x00);
	outb(0x42, 0x20);
	GUEST_EQ(out2(), 1);
	/* 5: as 4, but for its trigger */
	gate2(false);
	count(2, 5, 60000);
	wait_us(60000);
	GUEST_EQ(out2(), 1);
	GUEST_EQ(latched(2), 60000);
	gate2(true);
	GUEST_ASSERT(latched(2) <= 60000);
	EXPECT();
}

static void pit_gate(u64 arg)
{
	u64 from;
	u16 a, b = 0;

	begin(arg);
	/* 0: holds the counter */
	do {
		gate2(true);
		from = rdtsc();
		count(2, 0, 40000);
		wait_us(1000);
		gate2(false);
		a = latched(2);
		if (!in_time(from, 25000))
			continue;
		GUEST_ASSERT(a < 40000 - 1000);
		wait_us(2000);
		GUEST_EQ(latched(2), a);
		GUEST_EQ(out2(), 0);
		from = rdtsc();
		gate2(true);
		wait_us(1000);
		b = latched(2);
	} while (a < 15000 || !in_time(from, 10000));
	GUEST_ASSERT(b <= a - 1000);
	/* a count that is written meanwhile waits, too */
	gate2(false);
	count(2, 0, 1000);
	wait_us(3000);
	GUEST_EQ(out2(), 0);
	GUEST_EQ(latched(2), 1000);
	gate2(true);
	wait_us(3000);
	GUEST_EQ(out2(), 1);
	/* 2 and 3: output high, and from the beginning */
	count(2, 3, 60000);
	wait_us(30000);
	gate2(false);
	GUEST_EQ(out2(), 1);
	wait_us(1000);
	GUEST_EQ(out2(), 1);
	do {
		gate2(false);
		from = rdtsc();
		gate2(true);
		a = latched(2);
	} while (!in_time(from, 7000));
	GUEST_ASSERT(a > 40000);
	count(2, 2, 60000);
	wait_us(5000);
	do {
		gate2(false);
		wait_us(1000);
		from = rdtsc();
		gate2(true);
		a = latched(2);
	} while (!in_time(from, 4000));
	GUEST_ASSERT(a > 55000);
	/* the speaker's bit is kept; the refresh toggles */
	outb(0x61, 3);
	GUEST_EQ(inb(0x61) & 3, 3);
	outb(0x61, 0);
	GUEST_EQ(inb(0x61) & 3, 0);
	for (from = rdtsc(), a = 0; a != 3 && in_time(from, FOREVER);)
		a |= 1 << (inb(0x61) >> 4 & 1);
	GUEST_EQ(a, 3);
	EXPECT();
}

/* A channel that counts nothing yet, and what it has sent is gone. */
static void pit_quiet(u8 mode)
{
	outb(0x43, 0x30 | mode << 1);
	settle();
}

static void load0(u16 v)
{
	outb(0x40, v);
	outb(0x40, v >> 8);
}

static u64 due(u64 from, u64 period_us)
{
	return since(from) * 1000 / khz / period_us;
}

/* Ticks of a channel 0 that was loaded at @from: half of them at least, and none too many. */
static void ticks(u64 from, u64 us, u64 period_us)
{
	u64 least = us / period_us / 2, n;

	MUST_COME(least);
	came_within(us, ~0ul);
	n = READ_ONCE(cpus[0].total);
	/* by another clock, and one that was on its way */
	GUEST_ASSERT(n <= due(from, period_us) * 102 / 100 + 2);
}

/* Channel 0 is an interrupt. */
static void pit_interrupts(u64 arg)
{
	static const u8 once[] = { 0, 1, 4 };
	u64 from, n;
	u32 i;

	begin(arg);
	set_rte(0, 0x50, 0);
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	for (i = 2; i <= 3; i++) {
		pit_quiet(i);
		from = rdtsc();
		load0(5966);
		ticks(from, 100000, 5000);
		/* faster, before the old one is through */
		load0(59660);
		settle();
		from = rdtsc();
		load0(2387);
		ticks(from, 50000, 2000);
	}
	/* once; the gate is high, and so that of mode 1 counts as if it had been triggered */
	for (i = 0; i < ARRAY_SIZE(once); i++) {
		pit_quiet(once[i]);
		load0(2387);
		MUST_COME(1);
		came_within(10000, 2);
		EXPECT(0x50);
	}
	/* the same count once more: once more */
	load0(2387);
	MUST_COME(1);
	came_within(5000, 2);
	EXPECT(0x50);
	/* 5 waits for a trigger that never comes */
	pit_quiet(5);
	load0(1193);
	call(CALL_SLEEP, 5000, 0);
	EXPECT();
	/* decimal: 1000 are 838 us, where 1000h would be 3433 */
	outb(0x43, 0x31);
	settle();
	for (i = 0; i < 200; i++) {
		from = rdtsc();
		load0(0x1000);
		MUST_COME(1);
		n = rdtsc() - from;
		GUEST_ASSERT(about(n) >= 1000);
		EXPECT(0x50);
		if (clocks(n) < 3500)
			break;
	}
	GUEST_ASSERT(i < 200);
	/* one byte of it: 4 is 1024 */
	outb(0x43, 0x20);
	settle();
	outb(0x40, 4);
	MUST_COME(1);
	EXPECT(0x50);
	outb(0x43, 0x10);
	settle();
	outb(0x40, 200);
	MUST_COME(1);
	EXPECT(0x50);
	/* 0 is 65536: 55 ms */
	pit_quiet(2);
	from = rdtsc();
	load0(0);
	MUST_COME(2);
	GUEST_ASSERT(about(rdtsc() - from) >= 2 * 65536);
	/* the control word alone stops it */
	pit_quiet(0);
	came_within(120000, 1);
	EXPECT();
}

/* Channel 0 through a level entry, a masked one, the PIC; each tick is a pulse. */
static void pit_routes(u64 arg)
{
	u64 from;

	begin(arg);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	call(CALL_REINJECT, 0, 0);
	/* a level: once for all ticks until EOI, and then no more of those */
	set_rte(0, LEVEL | BIT(13) | 0x50, 0);
	pit_quiet(2);
	load0(1193);
	MUST_COME(1);
	call(CALL_SLEEP, 5000, 0);
	outb(0x43, 0x34);
	call(CALL_SLEEP, 20000, 0);
	GUEST_EQ(rte(0), LEVEL | BIT(13) | REMOTE_IRR | 0x50);
	EXPECT(0x50);
	wr(APIC_EOI, 0);
	GUEST_EQ(rte(0), LEVEL | BIT(13) | 0x50);
	EXPECT();
	load0(1193);
	MUST_COME(1);
	outb(0x43, 0x34);
	call(CALL_SLEEP, 20000, 0);
	EXPECT(0x50);
	wr(APIC_EOI, 0);
	/* masked: those ticks are nobody's */
	set_rte(0, MASKED | 0x50, 0);
	load0(1193);
	call(CALL_SLEEP, 20000, 0);
	outb(0x43, 0x34);
	call(CALL_SLEEP, 20000, 0);
	ioapic_rte(0, 0x50);
	EXPECT();
	/* and none of them is made good, although ticks are kept */
	call(CALL_REINJECT, 1, 0);
	ioapic_rte(0, MASKED | 0x50);
	load0(59659);
	call(CALL_SLEEP, 120000, 0);
	from = rdtsc();
	WRITE_ONCE(eoi_by[0], EOI_LAPIC);
	ioapic_rte(0, 0x50);
	came_within(1000, ~0ul);
	GUEST_ASSERT(READ_ONCE(cpus[0].total) <= due(from, 50000) + 1);
	outb(0x43, 0x34);
	settle();
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	/* the PIC: one waits there for as long as it is masked, and is acknowledged */
	call(CALL_ROUTES, ROUTE_PIC, 0);
	pic_init(1, 1);
	wr(APIC_LVT0, EXTINT);
	outb(0x21, 1);
	load0(1193);
	call(CALL_SLEEP, 20000, 0);
	GUEST_EQ(irr(0x20), 1);
	EXPECT();
	outb(0x43, 0x34);
	outb(0x21, 0);
	EXPECT(0x20);
	GUEST_EQ(isr(0x20), 1);
	outb(0x20, EOI);
	/* kept ticks come one at a time, by its EOI */
	settle();
	from = rdtsc();
	load0(2387);
	wait_us(20000);
	MUST_COME(1);
	window();
	GUEST_EQ(READ_ONCE(cpus[0].total), 1);
	outb(0x20, EOI);
	MUST_COME(2);
	GUEST_ASSERT(READ_ONCE(cpus[0].total) == 2);
	outb(0x43, 0x34);
	window();
	outb(0x20, EOI);
	settle();
}

/* Ticks that the guest was too slow for. */
static void pit_lost(u64 arg)
{
	u64 from, late;
	u32 on;

	begin(arg);
	set_rte(0, 0x50, 0);
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	for (on = 2; on-- > 0;) {
		call(CALL_REINJECT, on, 0);
		pit_quiet(2);
		from = rdtsc();
		load0(4773);
		wait_us(100000);
		late = rdtsc();
		if (on) {
			/* all of them in the end */
			do {
				window();
				GUEST_ASSERT(in_time(from, FOREVER));
			} while (READ_ONCE(cpus[0].total) + 2 < due(from, 4000) * 98 / 100);
		} else {
			MUST_COME(1);
			came_within(500, ~0ul);
			/* the last of those, and what was due since */
			GUEST_ASSERT(READ_ONCE(cpus[0].total) <= due(late, 4000) + 3);
		}
	}
	pit_quiet(0);
}

static void pit_state(u64 arg)
{
	u64 from;
	u32 i;

	begin(arg);
	set_rte(0, 0x50, 0);
	call(CALL_ROUTES, ROUTE_IOAPIC, 0);
	count(0, 2, 5966);
	for (i = 0; i < 10; i++) {
		MUST_COME(1);
		forget();
		call(CALL_PIT_STATE, 0, 0);
		GUEST_EQ(status(0) & 0x3f, 0x34);
		GUEST_ASSERT(latched(0) <= 5966);
	}
	/* the HPET has IRQ0 */
	call(CALL_HPET, 1, 0);
	settle();
	came_within(50000, 1);
	EXPECT();
	GUEST_ASSERT(latched(0) <= 5966);
	call(CALL_HPET, 0, 0);
	MUST_COME(3);
	/* a counter whose gate is low stays where it is */
	gate2(true);
	count(2, 0, 40000);
	wait_us(1000);
	gate2(false);
	i = latched(2);
	from = rdtsc();
	call(CALL_PIT_STATE, 0, 0);
	/* but for what lies between the two ioctls */
	GUEST_ASSERT((u16)(i - latched(2)) <= about(rdtsc() - from));
	i = latched(2);
	wait_us(1000);
	GUEST_EQ(latched(2), i);
	/* half of a word is written */
	outb(0x43, 0xb0);
	outb(0x42, 0x34);
	call(CALL_PIT_STATE, 0, 0);
	outb(0x42, 0x12);
	GUEST_EQ(latched(2), 0x1234);
	/* latched and not read */
	outb(0x43, 0x80);
	call(CALL_PIT_STATE, 0, 0);
	GUEST_EQ(inb(0x42), 0x34);
	call(CALL_PIT_STATE, 0, 0);
	GUEST_EQ(inb(0x42), 0x12);
}

/* ---- LAPIC: its own pins, and machine checks --------------------------------------------- */

/* a poll acknowledges what the PIC asks for, and ends it */
static void pic_take(u16 port, u8 want)
{
	outb(port, 0x0c);
	GUEST_EQ(inb(port), 0x80 | want);
	outb(port, EOI);
}

/*
 * LINT0, where it is not ExtINT: the PIC's output is an edge or a level like any other. The
 * PIC itself hears of nothing then.
 */
static void lint0_edges(void)
{
	static const u32 none[] = {
		MASKED | 0x61, MASKED | NMI, LOWEST | 0x61, STARTUP | 0x61, MASKED | LEVEL | 0x61,
	};
	u32 i;

	WRITE_ONCE(eoi_by[0], EOI_LAPIC);
	wr(APIC_LVT0, 0x61);
	line(3, 1);
	GUEST_EQ(vec_is(APIC_IRR, 0x61), 1);
	GUEST_EQ(vec_is(APIC_TMR, 0x61), 0);
	EXPECT(0x61);
	GUEST_EQ(irr(0x20), 8);
	GUEST_EQ(isr(0x20), 0);
	line(3, 1);
	EXPECT();
	line(3, 0);
	/* what is not acknowledged follows its line: INTR falls and rises */
	pulse(3);
	EXPECT(0x61);
	pic_take(0x20, 3);
	/* of lower priority: INTR is up */
	pulse(3);
	EXPECT(0x61);
	pulse(5);
	EXPECT();
	/* the acknowledge lowers it, the end of interrupt raises it again */
	pic_take(0x20, 3);
	EXPECT(0x61);
	pic_take(0x20, 5);
	EXPECT();
	pulse(12);
	EXPECT(0x61);
	pulse(12);
	EXPECT(0x61);
	pic_take(0xa0, 4);
	EXPECT();
	/* masked in the PIC: the edge is its mask's */
	outb(0x21, 0xff);
	pulse(3);
	EXPECT();
	outb(0x21, 0);
	EXPECT(0x61);
	pic_take(0x20, 3);
	/* NMI, an edge whatever the entry says */
	for (i = 0; i < 2; i++) {
		wr(APIC_LVT0, NMI | (i ? LEVEL : 0));
		line(3, 1);
		EXPECT(2);
		line(3, 1);
		line(3, 0);
		EXPECT();
		pulse(3);
		EXPECT(2);
		GUEST_EQ(rd(APIC_LVT0), NMI | (i ? LEVEL : 0));
		pic_take(0x20, 3);
	}
	/* masked, and modes that an LVT does not have; the edge does not come later */
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		wr(APIC_LVT0, none[i]);
		pulse(3);
		EXPECT();
		wr(APIC_LVT0, i & 1 ? NMI : 0x61);
		EXPECT();
		pic_take(0x20, 3);
	}
	/* an illegal vector is received */
	wr(APIC_LVT0, 5);
	pulse(3);
	GUEST_EQ(errors(), ESR_RECEIVE);
	pic_take(0x20, 3);
	/* an APIC that software has disabled */
	wr(APIC_LVT0, NMI);
	wr(APIC_SPIV, 0xff);
	pulse(3);
	EXPECT();
	wr(APIC_SPIV, 0x1ff);
	EXPECT();
	pic_take(0x20, 3);
}

static void lint0_level(void)
{
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	wr(APIC_LVT0, LEVEL | 0x62);
	pulse(3);
	GUEST_EQ(vec_is(APIC_TMR, 0x62), 1);
	GUEST_EQ(rd(APIC_LVT0), LEVEL | REMOTE_IRR | 0x62);
	EXPECT(0x62);
	/* it waits for EOI, and then INTR is up still */
	pulse(3);
	EXPECT();
	wr(APIC_EOI, 0);
	EXPECT(0x62);
	GUEST_EQ(rd(APIC_LVT0), LEVEL | REMOTE_IRR | 0x62);
	pic_take(0x20, 3);
	wr(APIC_EOI, 0);
	GUEST_EQ(rd(APIC_LVT0), LEVEL | 0x62);
	EXPECT();
	/* an EOI of another vector */
	pulse(3);
	EXPECT(0x62);
	self(0x75);
	EXPECT(0x75);
	wr(APIC_EOI, 0);
	EXPECT();
	pic_take(0x20, 3);
	wr(APIC_EOI, 0);
	/* masked while it is up: when the mask goes */
	wr(APIC_LVT0, MASKED | LEVEL | 0x62);
	pulse(3);
	EXPECT();
	wr(APIC_LVT0, LEVEL | 0x62);
	EXPECT(0x62);
	/* an edge waits for nothing */
	wr(APIC_LVT0, 0x62);
	GUEST_EQ(rd(APIC_LVT0), 0x62);
	pic_take(0x20, 3);
	wr(APIC_EOI, 0);
	EXPECT();
}

/* Ticks of the PIT through LINT0, with nobody to acknowledge them in the PIC. */
static void lint0_ticks(void)
{
	u32 i;

	WRITE_ONCE(eoi_by[0], EOI_LAPIC);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	call(CALL_REINJECT, 0, 0);
	for (i = 0; i < 2; i++) {
		wr(APIC_LVT0, i ? NMI : 0x63);
		pit_quiet(2);
		load0(2387);
		MUST_COME(5);
		GUEST_EQ(READ_ONCE(cpus[0].log[4]), i ? 2 : 0x63);
		wr(APIC_LVT0, MASKED);
		settle();
		call(CALL_SLEEP, 5000, 0);
		EXPECT();
	}
	pit_quiet(2);
	/* an NMI watchdog: the ticks are taken through the IOAPIC, and kept until they are */
	call(CALL_ROUTES, ROUTE_BOTH, 0);
	call(CALL_REINJECT, 1, 0);
	set_rte(0, 0x50, 0);
	wr(APIC_LVT0, NMI);
	WRITE_ONCE(cpus[0].count[2], 0);
	load0(2387);
	while (READ_ONCE(cpus[0].count[0x50]) < 20)
		window();
	wr(APIC_LVT0, MASKED);
	pit_quiet(2);
	/* two may have become one, while one is handled */
	GUEST_ASSERT(READ_ONCE(cpus[0].count[2]) >= 10);
	GUEST_ASSERT(READ_ONCE(cpus[0].count[2]) <= READ_ONCE(cpus[0].count[0x50]) + 1);
}

static void lint0(u64 arg)
{
	begin_pic(arg, 1);
	lint0_edges();
	lint0_level();
	lint0_ticks();
}

/* LINT1 is user space's: it looks at the entry and uses KVM_NMI (api.rst), which does not. */
static void lint1(u64 arg)
{
	static const u32 nmi[] = { NMI, NMI | LEVEL, NMI | BIT(13), NMI | 0x55 };
	static const u32 none[] = { MASKED | NMI, MASKED, 0x55, EXTINT };
	u32 i;

	begin(arg);
	GUEST_EQ(rd(APIC_LVT1), MASKED);
	GUEST_EQ(call(CALL_LINT1, 0, 0), 0);
	for (i = 0; i < ARRAY_SIZE(nmi); i++) {
		wr(APIC_LVT1, nmi[i]);
		GUEST_EQ(call(CALL_LINT1, 0, 0), 1);
		EXPECT(2);
	}
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		wr(APIC_LVT1, none[i]);
		GUEST_EQ(call(CALL_LINT1, 0, 0), 0);
		EXPECT();
		call(CALL_NMI, 0, 0);
		EXPECT(2);
	}
	wr(APIC_LVT1, NMI);
	wr(APIC_SPIV, 0xff);
	GUEST_EQ(rd(APIC_LVT1), MASKED | NMI);
	GUEST_EQ(call(CALL_LINT1, 0, 0), 0);
	wr(APIC_SPIV, 0x1ff);
	GUEST_EQ(call(CALL_LINT1, 0, 0), 0);
	wr(APIC_LVT1, NMI);
	GUEST_EQ(call(CALL_LINT1, 0, 0), 1);
	/* no priority holds it back */
	wr(APIC_TPR, 0xff);
	EXPECT(2);
	wr(APIC_TPR, 0);
	EXPECT();
}

#define MC_CTL2(bank)	(0x280 + (bank))
#define MC_STATUS(bank)	(0x401 + 4 * (bank))
#define CTL2_CMCI	BIT(30)

/* Without it in MCG_CAP there is no such entry. */
static void no_cmci(u64 arg)
{
	u64 v;

	begin(arg);
	GUEST_EQ(rd(APIC_LVR) >> 16 & 0xff, 5);
	if (x2) {
		GUEST_EQ(rdmsr_safe(MSR_OF(APIC_CMCI), &v), GP);
		GUEST_EQ(wrmsr_safe(MSR_OF(APIC_CMCI), MASKED), GP);
	} else {
		apic_write(APIC_CMCI, 0x55);
		GUEST_EQ(apic_read(APIC_CMCI), 0);
	}
}

static u64 corrected(u32 bank)
{
	return rdmsr(MC_STATUS(bank)) >> 38 & 0x7fff;
}

static void cmci(u64 arg)
{
	u32 i;

	begin(arg);
	GUEST_EQ(rd(APIC_LVR) >> 16 & 0xff, 6);
	GUEST_EQ(rd(APIC_CMCI), MASKED);
	wr(APIC_CMCI, 0x107ff);
	GUEST_EQ(rd(APIC_CMCI), 0x107ff);
	for (i = 0; i < 32; i++)
		if (x2 && (~0x117ffu & BIT(i)))
			REG_EQ(i, wrmsr_safe(MSR_OF(APIC_CMCI), BIT(i)), GP);
	wr(APIC_CMCI, 0x55);
	GUEST_EQ(rd(APIC_CMCI), 0x55);
	/* not asked for; and of another bank */
	wrmsr(MC_CTL2(1), 1);
	call(CALL_MCE, 1, 0);
	EXPECT();
	wrmsr(MC_STATUS(1), 0);
	wrmsr(MC_CTL2(1), CTL2_CMCI | 1);
	GUEST_EQ(rdmsr(MC_CTL2(1)), CTL2_CMCI | 1);
	call(CALL_MCE, 2, 0);
	EXPECT();
	call(CALL_MCE, 1, 0);
	EXPECT(0x55);
	GUEST_EQ(rdmsr(MC_STATUS(1)) >> 63, 1);
	GUEST_EQ(corrected(1), 1);
	/* the count is past it, until the guest clears it */
	call(CALL_MCE, 1, 0);
	EXPECT();
	GUEST_EQ(corrected(1), 2);
	wrmsr(MC_STATUS(1), 0);
	call(CALL_MCE, 1, 0);
	EXPECT(0x55);
	wrmsr(MC_STATUS(1), 0);
	/* the third only */
	wrmsr(MC_CTL2(1), CTL2_CMCI | 3);
	for (i = 1; i <= 3; i++) {
		GUEST_EQ(READ_ONCE(cpus[0].total), 0);
		call(CALL_MCE, 1, 0);
		window();
	}
	EXPECT(0x55);
	wrmsr(MC_STATUS(1), 0);
	/* uncorrected, and nothing to be done: each */
	for (i = 0; i < 3; i++) {
		call(CALL_MCE, 1, 1);
		EXPECT(0x55);
	}
	/* it waits for its turn, and two are one */
	wr(APIC_TPR, 0x50);
	call(CALL_MCE, 1, 1);
	call(CALL_MCE, 1, 1);
	GUEST_EQ(vec_is(APIC_IRR, 0x55), 1);
	EXPECT();
	wr(APIC_TPR, 0);
	EXPECT(0x55);
	/* masked: it is lost */
	wr(APIC_CMCI, MASKED | 0x55);
	call(CALL_MCE, 1, 1);
	wr(APIC_CMCI, 0x55);
	EXPECT();
	wr(APIC_CMCI, NMI);
	call(CALL_MCE, 1, 1);
	EXPECT(2);
	/* modes that it does not have */
	wr(APIC_CMCI, LOWEST | 0x55);
	call(CALL_MCE, 1, 1);
	wr(APIC_CMCI, EXTINT | 0x55);
	call(CALL_MCE, 1, 1);
	EXPECT();
	wr(APIC_CMCI, 7);
	call(CALL_MCE, 1, 1);
	GUEST_EQ(errors(), ESR_RECEIVE);
	wr(APIC_CMCI, 0x55);
	wr(APIC_SPIV, 0xff);
	call(CALL_MCE, 1, 1);
	wr(APIC_SPIV, 0x1ff);
	EXPECT();
}

/* ---- what the host drives ------------------------------------------------------------- */

static void on_counted(struct frame *f)
{
	WRITE_ONCE(RUN->received, READ_ONCE(RUN->received) + 1);
	wr(APIC_EOI, 0);
}

static void counts(u64 arg, bool level)
{
	begin(arg);
	set_handler(IRQ_VECTOR, on_counted);
	set_rte(IRQ_GSI, (level ? LEVEL : 0) | IRQ_VECTOR, 0);
	SYNC(1);
	sti();
	while (!READ_ONCE(RUN->stop))
		cpu_pause();
	cli();
}

static void split(u64 arg)
{
	u32 i;

	begin(arg);
	for (i = 1; i <= 4; i++) {
		SYNC(i);	/* something is sent */
		window();
	}
	SYNC2(5, READ_ONCE(cpus[0].count[0x61]), READ_ONCE(cpus[0].count[0x62]));
}

static void no_chip(void)
{
	u64 v, i;

	for (i = 32; i < 256; i++)
		set_handler(i, on_irq);
	WRITE_ONCE(eoi_by[0], EOI_NONE);
	SYNC(1);		/* CR8 is 5 now */
	asm volatile("mov %%cr8, %0" : "=r"(v));
	GUEST_EQ(v, 5);
	asm volatile("mov %0, %%cr8" : : "r"(7ul));	/* higher: no exit */
	SYNC(2);
	asm volatile("mov %0, %%cr8" : : "r"(3ul));	/* lower: KVM_EXIT_SET_TPR */
	SYNC(3);		/* 0x21 is queued: the TPR is the host's affair */
	EXPECT(0x21);
	SYNC(4);
	sti();
	SYNC(5);		/* one after the other, at once */
	SYNC(6);
	SYNC(7);
	cli();
	EXPECT(0xf0, 0x20, 0x90);
}

static void writes(void)
{
	u8 *p = (u8 *)MMIO_BASE;
	u32 i;

	for (i = 0; i < 2; i++) {
		SYNC(1 + i);
		WRITE_ONCE(*p, 0x11);
		WRITE_ONCE(*(u16 *)p, 0x2222);
		WRITE_ONCE(*(u32 *)p, 0x33333333);
		WRITE_ONCE(*(u64 *)p, 0x4444444444444444ul);
		WRITE_ONCE(*(u64 *)p, 0x4444444444444445ul);
		outb(PIO_BASE, 0x11);
		outw(PIO_BASE, 0x2222);
		outl(PIO_BASE, 0x33333333);
		outl(PIO_BASE, 0x33333334);
	}
}

/* ---- long ones -------------------------------------------------------------------------- */

static u64 here[IRQ_MAX_CPUS];

/* The first makes the table of handlers, before the others can be interrupted. */
static void begin_together(u64 arg, void (*fn)(struct frame *f), u32 vec, u32 n)
{
	while (me() && !READ_ONCE(here[0]))
		cpu_pause();
	begin(arg);
	while (!me() && n--)
		set_handler(vec + n, fn);
	WRITE_ONCE(here[me()], 1);
}

#define PING	0x80

static u64 got[IRQ_MAX_CPUS];	/* of one CPU, by its handler */
static u64 ended[IRQ_MAX_CPUS];	/* it has sent its last */

static void on_ping(struct frame *f)
{
	u64 i = me();

	wr(APIC_EOI, 0);
	WRITE_ONCE(got[i], READ_ONCE(got[i]) + 1);
	/* the next in turn, or it is another one that is lost or there twice */
	GUEST_EQ(f->vector, PING + (READ_ONCE(got[i]) & 15));
}

/* CPUs 0 and 1, 2 and 3 ... send to each other; the next when the last was taken. */
static void ping_pong(u64 arg)
{
	u64 cpu = arg >> IRQ_CPU_SHIFT, other = cpu ^ 1, sent = 0, from;
	u32 i;

	begin_together(arg, on_ping, PING, 16);
	while (!READ_ONCE(here[other]))
		cpu_pause();
	while (!READ_ONCE(RUN->stop)) {
		sent++;
		icr(other, ASSERT | (PING + (sent & 15)));
		from = rdtsc();
		while (READ_ONCE(got[other]) < sent && since(from) < 20000 * khz) {
			/* asleep now and then */
			if (sent % 8 == 0 && READ_ONCE(got[other]) < sent)
				asm volatile("sti; nop; nop; cli" : : : "memory");
			else
				window();
		}
		GUEST_EQ(READ_ONCE(got[other]), sent);
		WRITE_ONCE(RUN->sent, sent);
	}
	/* the other may wait for this one still */
	WRITE_ONCE(ended[cpu], 1);
	while (!READ_ONCE(ended[other]))
		window();
	for (i = 0; i < 100; i++)
		window();
	GUEST_EQ(READ_ONCE(got[other]), sent);
	WRITE_ONCE(RUN->received, READ_ONCE(got[cpu]));
}

static u64 fired[IRQ_MAX_CPUS];

static void on_storm(struct frame *f)
{
	u64 i = me();

	wr(APIC_EOI, 0);
	WRITE_ONCE(fired[i], READ_ONCE(fired[i]) + 1);
	/* between STI and HLT nothing may come; who then sleeps all the same sleeps for ever */
	if (*(u8 *)f->rip == 0xf4) {
		f->rip++;
		WRITE_ONCE(RUN->shadows, READ_ONCE(RUN->shadows) + 1);
	}
}

/* Each CPU has its timer: one-shot, deadline, periodic in turn, by its number. */
static void timer_storm(u64 arg)
{
	u64 cpu = arg >> IRQ_CPU_SHIFT, n = 0, from, us, seen;
	u32 kind = cpu % 3;

	begin_together(arg, on_storm, TIMER, 1);
	wr(APIC_TDCR, 0xb);
	wr(APIC_LVTT, TIMER | (kind == 1 ? DEADLINE : kind == 2 ? PERIODIC : 0));
	if (kind == 2)
		wr(APIC_TMICT, 1000000);
	while (!READ_ONCE(RUN->stop)) {
		n++;
		us = 50 + n * 37 % 700;
		from = rdtsc();
		if (!kind)
			wr(APIC_TMICT, us * 1000);
		else if (kind == 1)
			wrmsr(MSR_TSCDEADLINE, from + us * khz / 1000);
		seen = READ_ONCE(fired[cpu]);
		while (READ_ONCE(fired[cpu]) == seen && since(from) < 10000 * khz) {
			if (n & 1)
				window();
			else
				sti_hlt_cli();
			if (kind != 2 && READ_ONCE(fired[cpu]) > n)
				break;
		}
		if (kind == 2) {
			/* it may have missed some, but has not stopped */
			GUEST_ASSERT(READ_ONCE(fired[cpu]) != seen);
		} else {
			GUEST_EQ(READ_ONCE(fired[cpu]), n);
		}
		WRITE_ONCE(RUN->sent, n);
	}
	if (kind == 2) {
		/* whether they are too many is for the host, whose clock does not move */
		wr(APIC_TMICT, 0);
		window();
	} else {
		wait_us(3000);
		window();
		GUEST_EQ(READ_ONCE(fired[cpu]), n);
	}
	WRITE_ONCE(RUN->received, READ_ONCE(fired[cpu]));
}

void guest_main(u64 test, u64 arg, u64 tsc_khz)
{
	khz = tsc_khz;
	switch (test) {
	case IRQ_REGISTERS:
		registers(arg);
		break;
	case IRQ_TASK_PRIORITY:
		task_priority(arg);
		break;
	case IRQ_IN_SERVICE:
		in_service(arg);
		break;
	case IRQ_SOFTWARE_DISABLE:
		software_disable(arg);
		break;
	case IRQ_TRIGGER_MODE:
		trigger_mode(arg);
		break;
	case IRQ_ERRORS:
		esr(arg);
		break;
	case IRQ_SELF:
		self_ipis(arg);
		break;
	case IRQ_DIVIDE:
		divide(arg);
		break;
	case IRQ_TIMER_MODES:
		timer_modes(arg);
		break;
	case IRQ_TIMER_MASKED:
		timer_masked(arg);
		break;
	case IRQ_EXTINT:
		extint(arg);
		break;
	case IRQ_BASE:
		base(arg);
		break;
	case IRQ_LINT0:
		lint0(arg);
		break;
	case IRQ_LINT1:
		lint1(arg);
		break;
	case IRQ_NO_CMCI:
		no_cmci(arg);
		break;
	case IRQ_CMCI:
		cmci(arg);
		break;
	case IRQ_DESTINATIONS:
		destinations(arg);
		break;
	case IRQ_START_UP:
		start_up(arg);
		break;
	case IRQ_SMI:
		smi(arg);
		break;
	case IRQ_HIGH_IDS:
		high_ids(arg);
		break;
	case IRQ_DEVICES:
		devices(arg);
		break;
	case IRQ_MANY_IDS:
		many(arg);
		break;
	case IRQ_MSI_8_BITS:
		msi_8_bits(arg);
		break;
	case IRQ_RING:
		ring(arg & 0xffff, arg >> 16 & 0xffff, arg >> 32);
		break;
	case IRQ_IOAPIC_REGISTERS:
		ioapic_registers(arg);
		break;
	case IRQ_IOAPIC_PINS:
		ioapic_pins(arg);
		break;
	case IRQ_IOAPIC_LEVEL:
		ioapic_level(arg);
		break;
	case IRQ_IOAPIC_MASK:
		ioapic_mask(arg);
		break;
	case IRQ_IOAPIC_DELIVERY:
		ioapic_delivery(arg);
		break;
	case IRQ_IOAPIC_SHARED:
		ioapic_shared(arg);
		break;
	case IRQ_IOAPIC_REWRITTEN:
		ioapic_rewritten(arg);
		break;
	case IRQ_IOAPIC_OVERRIDE:
		ioapic_override(arg);
		break;
	case IRQ_IOAPIC_RTC:
		ioapic_rtc(arg);
		break;
	case IRQ_PIC_INIT:
		pic_words(arg);
		break;
	case IRQ_PIC_PRIORITIES:
		pic_priorities(arg);
		break;
	case IRQ_PIC_ROTATION:
		pic_rotation(arg);
		break;
	case IRQ_PIC_AUTO_EOI:
		pic_auto_eoi(arg);
		break;
	case IRQ_PIC_SPECIAL_MASK:
		pic_special_mask(arg);
		break;
	case IRQ_PIC_POLL:
		pic_poll(arg);
		break;
	case IRQ_PIC_CASCADE:
		pic_cascade(arg);
		break;
	case IRQ_PIC_LEVEL:
		pic_level(arg);
		break;
	case IRQ_PIC_SLAVE:
		pic_slave(arg);
		break;
	case IRQ_PIC_WITHDRAWN:
		pic_withdrawn(arg);
		break;
	case IRQ_PIC_RACE:
		pic_race(arg);
		break;
	case IRQ_PIT_ACCESS:
		pit_access(arg);
		break;
	case IRQ_PIT_MODES:
		pit_modes(arg);
		break;
	case IRQ_PIT_GATE:
		pit_gate(arg);
		break;
	case IRQ_PIT_INTERRUPTS:
		pit_interrupts(arg);
		break;
	case IRQ_PIT_ROUTES:
		pit_routes(arg);
		break;
	case IRQ_PIT_LOST:
		pit_lost(arg);
		break;
	case IRQ_PIT_STATE:
		pit_state(arg);
		break;
	case IRQ_SPLIT:
		split(arg);
		break;
	case IRQ_NO_CHIP:
		no_chip();
		break;
	case IRQ_COUNTS:
		counts(arg, false);
		break;
	case IRQ_LEVEL_COUNTS:
		counts(arg, true);
		break;
	case IRQ_WRITES:
		writes();
		break;
	case IRQ_PING_PONG:
		ping_pong(arg);
		break;
	case IRQ_TIMER_STORM:
		timer_storm(arg);
		break;
	default:
		GUEST_ASSERT(0);
	}
}
