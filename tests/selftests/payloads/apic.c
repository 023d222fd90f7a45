// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC as a guest sees it, in both modes: every interrupt comes once, in the
 * order of priorities, and the registers say so. Test numbers: apic.h
 */
#include "apic.h"
#include "guest.h"

#define FIXED_SELF	BIT(18)
#define ASSERT		BIT(14)
#define MODE_ENABLE	BIT(11)
#define MODE_X2		BIT(10)

static u64 base = APIC_BASE;
static bool x2;
static u64 counts[256], total;
/* two vCPUs */
static u64 ready, received;

static u32 reg_read(u32 reg)
{
	return x2 ? x2apic_read(reg) : mmio_read32(base + reg);
}

static void reg_write(u32 reg, u32 v)
{
	if (x2)
		x2apic_write(reg, v);
	else
		mmio_write32(base + reg, v);
}

static bool vector_bit(u32 reg, u8 vec)
{
	return reg_read(reg + (vec >> 5) * 0x10) >> (vec & 31) & 1;
}

static void enable(u64 arg)
{
	if (arg & APIC_X2) {
		wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | MODE_X2);
		x2 = true;
	}
	reg_write(APIC_SPIV, 0x1ff);
	reg_write(APIC_TPR, 0);
}

static void self_ipi(u8 vec)
{
	if (x2)
		x2apic_write(APIC_SELF_IPI, vec);
	else
		reg_write(APIC_ICR, FIXED_SELF | ASSERT | vec);
}

static void count_it(struct frame *f)
{
	WRITE_ONCE(counts[f->vector], READ_ONCE(counts[f->vector]) + 1);
	WRITE_ONCE(total, READ_ONCE(total) + 1);
}

/* ---- IRR, ISR, PPR, TPR -------------------------------------------------------- */

static void on_checked(struct frame *f)
{
	u8 vec = f->vector;

	count_it(f);
	GUEST_EQ(vector_bit(APIC_ISR, vec), 1);
	GUEST_EQ(vector_bit(APIC_IRR, vec), 0);
	GUEST_EQ(vector_bit(APIC_TMR, vec), 0);
	GUEST_EQ(reg_read(APIC_PPR) & 0xf0, vec & 0xf0);
	/* the lower one waits, although interrupts are on */
	if (vec == 0x62) {
		sti_nop_cli();
		GUEST_EQ(vector_bit(APIC_IRR, 0x41), 1);
		GUEST_EQ(READ_ONCE(counts[0x41]), 0);
	}
	/* a higher one interrupts */
	if (vec == 0x41) {
		self_ipi(0x73);
		sti_nop_cli();
		GUEST_EQ(READ_ONCE(counts[0x73]), 1);
		GUEST_EQ(vector_bit(APIC_ISR, vec), 1);
	}
	reg_write(APIC_EOI, 0);
	GUEST_EQ(vector_bit(APIC_ISR, vec), 0);
}

static void registers(u64 arg)
{
	static const u8 vecs[] = { 0x41, 0x62, 0x73, 0x55, 0x56 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vecs); i++)
		set_handler(vecs[i], on_checked);
	enable(arg);
	GUEST_EQ(reg_read(APIC_PPR), 0);
	self_ipi(0x41);
	self_ipi(0x62);
	/* one that is pending already is the same one */
	self_ipi(0x62);
	GUEST_EQ(vector_bit(APIC_IRR, 0x41), 1);
	GUEST_EQ(vector_bit(APIC_IRR, 0x62), 1);
	GUEST_EQ(READ_ONCE(total), 0);
	sti_nop_cli();
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(counts[0x41]), 1);
	GUEST_EQ(READ_ONCE(counts[0x62]), 1);
	GUEST_EQ(READ_ONCE(total), 3);

	/* held back by the TPR, let go by the register and by CR8; AMD keeps its class only */
	reg_write(APIC_TPR, 0x50);
	GUEST_EQ(reg_read(APIC_TPR), 0x50);
	GUEST_EQ(reg_read(APIC_PPR), 0x50);
	self_ipi(0x55);
	sti();
	asm volatile("nop; nop");
	GUEST_EQ(READ_ONCE(counts[0x55]), 0);
	GUEST_EQ(vector_bit(APIC_IRR, 0x55), 1);
	reg_write(APIC_TPR, 0x40);
	asm volatile("nop; nop");
	GUEST_EQ(READ_ONCE(counts[0x55]), 1);
	asm volatile("mov %0, %%cr8" : : "r"(5ul));
	GUEST_EQ(reg_read(APIC_TPR), 0x50);
	self_ipi(0x56);
	asm volatile("nop; nop");
	GUEST_EQ(READ_ONCE(counts[0x56]), 0);
	asm volatile("mov %0, %%cr8; nop; nop" : : "r"(4ul) : "memory");
	GUEST_EQ(READ_ONCE(counts[0x56]), 1);
	cli();
	GUEST_EQ(READ_ONCE(total), 5);
	for (i = 0; i < 8; i++) {
		GUEST_EQ(reg_read(APIC_IRR + 0x10 * i), 0);
		GUEST_EQ(reg_read(APIC_ISR + 0x10 * i), 0);
	}
}

/* ---- IPIs from vCPU 0 to vCPU 1 ------------------------------------------------ */

static void on_received(struct frame *f)
{
	count_it(f);
	reg_write(APIC_EOI, 0);
	WRITE_ONCE(received, READ_ONCE(received) + 1);
}

static void send(u32 id, u8 vec)
{
	if (x2) {
		x2apic_write(APIC_ICR, (u64)id << 32 | ASSERT | vec);
		return;
	}
	reg_write(APIC_ICR2, id << 24);
	reg_write(APIC_ICR, ASSERT | vec);
}

static void wait_for(u64 n, u64 arg)
{
	while (READ_ONCE(received) < n) {
		if (arg & APIC_HALTED) {
			sti_hlt_cli();
		} else {
			sti_nop_cli();
			cpu_pause();
		}
	}
}

static void ipi(u64 arg, u64 n)
{
	u64 i;

	enable(arg);
	for (i = 0x80; i < 0x90; i++)
		set_handler(i, on_received);
	if (arg & APIC_TARGET) {
		WRITE_ONCE(ready, 1);
		wait_for(n, arg);
		/* none may follow */
		for (i = 0; i < 100; i++)
			sti_nop_cli();
		for (i = 0; i < 16; i++)
			GUEST_EQ(READ_ONCE(counts[0x80 + i]), n / 16);
		GUEST_EQ(READ_ONCE(total), n);
		return;
	}
	while (!READ_ONCE(ready))
		cpu_pause();
	for (i = 0; i < n; i++) {
		send(1, 0x80 + (i & 15));
		while (READ_ONCE(received) == i)
			cpu_pause();
		GUEST_EQ(READ_ONCE(received), i + 1);
	}
}

/* ---- level-triggered, through the IOAPIC ---------------------------------------- */

static void on_level(struct frame *f)
{
	count_it(f);
	GUEST_EQ(vector_bit(APIC_TMR, f->vector), 1);
	GUEST_EQ(vector_bit(APIC_ISR, f->vector), 1);
	SYNC2(10, READ_ONCE(total), 0);		/* the host lowers the line, or does not */
	reg_write(APIC_EOI, 0);
}

static void level(u64 arg)
{
	u64 n;

	set_handler(0x55, on_level);
	enable(arg);
	ioapic_rte(APIC_LEVEL_PIN, BIT(15) | 0x55);
	for (n = 1; n <= 3; n++) {
		SYNC(n);		/* the host raises the line, which stays up for n rounds */
		sti();
		while (READ_ONCE(total) < n * (n + 1) / 2)
			cpu_pause();
		cli();
		for (unsigned int i = 0; i < 10; i++)
			sti_nop_cli();
		GUEST_EQ(READ_ONCE(total), n * (n + 1) / 2);
	}
	GUEST_EQ(vector_bit(APIC_IRR, 0x55), 0);
}

/* ---- while halted --------------------------------------------------------------- */

static void halt(u64 arg, u64 n)
{
	set_handler(0x90, on_received);
	enable(arg);
	SYNC(1);
	while (READ_ONCE(total) < n) {
		/* the host sends the next one some time after it has read this */
		WRITE_ONCE(*(u64 *)GUEST_SHARED, READ_ONCE(total));
		sti_hlt_cli();
	}
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(total), n);
}

/* ---- another address, another mode ---------------------------------------------- */

static void once_more(u8 vec)
{
	u64 before = READ_ONCE(counts[vec]);

	self_ipi(vec);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(counts[vec]), before + 1);
	GUEST_EQ(vector_bit(APIC_ISR, vec), 0);
}

static void move_base(u64 to)
{
	wrmsr(MSR_APICBASE, (rdmsr(MSR_APICBASE) & 0xfff) | to);
	base = to;
}

static void base_moves(void)
{
	u32 version;

	set_handler(0x50, on_received);
	enable(0);
	version = reg_read(APIC_LVR);
	once_more(0x50);
	move_base(APIC_OTHER_BASE);
	GUEST_EQ(reg_read(APIC_LVR), version);
	once_more(0x50);
	SYNC(1);
	/* user space's now: it answers with what the APIC would not */
	GUEST_EQ(mmio_read32(APIC_BASE + APIC_LVR), 0x12345678);
	mmio_write32(APIC_BASE + APIC_EOI, 0);
	SYNC(2);
	move_base(APIC_BASE);
	GUEST_EQ(reg_read(APIC_LVR), version);
	once_more(0x50);
}

static void base_differs(u64 arg)
{
	u64 i;

	set_handler(0x80, on_received);
	if (arg & APIC_TARGET) {
		reg_write(APIC_SPIV, 0x1ff);
		/* vCPU 0 must not see @base of this one: it has 0xfee00000 in its code */
		move_base(APIC_OTHER_BASE);
		WRITE_ONCE(ready, 1);
		while (READ_ONCE(received) < 10)
			sti_nop_cli();
		GUEST_EQ(vector_bit(APIC_ISR, 0x80), 0);
		return;
	}
	apic_write(APIC_SPIV, 0x1ff);
	while (!READ_ONCE(ready))
		cpu_pause();
	SYNC(1);
	/* there is nothing at that address for this one */
	GUEST_EQ(mmio_read32(APIC_OTHER_BASE + APIC_LVR), 0x12345678);
	for (i = 0; i < 10; i++) {
		apic_write(APIC_ICR2, 1 << 24);
		apic_write(APIC_ICR, ASSERT | 0x80);
		while (READ_ONCE(received) == i)
			cpu_pause();
	}
	GUEST_EQ(READ_ONCE(received), 10);
}

static void modes(void)
{
	unsigned int i;
	u64 msr;

	set_handler(0x50, on_received);
	for (i = 0; i < 3; i++) {
		enable(0);
		once_more(0x50);
		enable(APIC_X2);
		once_more(0x50);
		/* nobody is there; what is read is up to a quirk */
		GUEST_EQ(mmio_read32(APIC_BASE + APIC_LVR), 0xffffffff);
		reg_write(APIC_TPR, 0x50);
		self_ipi(0x50);
		sti_nop_cli();
		GUEST_EQ(READ_ONCE(counts[0x50]), 2 + 3 * i);
		msr = rdmsr(MSR_APICBASE);
		reg_write(APIC_TPR, 0);
		sti_nop_cli();
		GUEST_EQ(READ_ONCE(counts[0x50]), 3 + 3 * i);
		wrmsr(MSR_APICBASE, msr & ~(MODE_ENABLE | MODE_X2));
		x2 = false;
		GUEST_EQ(mmio_read32(APIC_BASE + APIC_LVR), 0xffffffff);
		wrmsr(MSR_APICBASE, (msr & ~MODE_X2) | MODE_ENABLE);
	}
}

/* ---- user space reads and writes the state -------------------------------------- */

static void on_state(struct frame *f)
{
	count_it(f);
	SYNC2(10, f->vector, READ_ONCE(total));
	reg_write(APIC_EOI, 0);
	GUEST_EQ(vector_bit(APIC_ISR, f->vector), 0);
}

static void state(u64 arg)
{
	set_handler(0x45, on_state);
	set_handler(0x66, on_state);
	set_handler(0x67, on_state);
	enable(arg);
	self_ipi(0x45);
	SYNC(1);		/* 0x66 is added */
	GUEST_EQ(vector_bit(APIC_IRR, 0x45), 1);
	GUEST_EQ(vector_bit(APIC_IRR, 0x66), 1);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(total), 2);
	self_ipi(0x67);
	SYNC(2);		/* 0x67 is taken away */
	GUEST_EQ(vector_bit(APIC_IRR, 0x67), 0);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(total), 2);
	SYNC(3);		/* 0x67 is sent while the vCPU does not run */
	GUEST_EQ(vector_bit(APIC_IRR, 0x67), 1);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(counts[0x67]), 1);
	SYNC(4);		/* 0x66 is put into ISR: it holds back what is lower */
	self_ipi(0x45);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(counts[0x45]), 1);
	GUEST_EQ(reg_read(APIC_PPR), 0x60);
	reg_write(APIC_EOI, 0);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(counts[0x45]), 2);
	GUEST_EQ(reg_read(APIC_PPR), 0);
}

static void blocked(u64 arg)
{
	set_handler(0x45, on_received);
	enable(arg);
	self_ipi(0x45);
	SYNC(1);
	sti();
	asm volatile("nop; nop; nop; nop; nop; nop; nop; nop;"
		     "nop; nop; nop; nop; nop; nop; nop; nop");
	GUEST_EQ(READ_ONCE(total), 1);
	cli();
	once_more(0x45);
}

/* ---- its timer ------------------------------------------------------------------ */

#define TIMER_VECTOR	0x71
#define TIMER_PERIODIC	BIT(17)
#define TIMER_DEADLINE	BIT(18)
#define PERIOD		1000000		/* ns: a tick of KVM's is one, if not divided */

static u64 came_at;

static void on_timer(struct frame *f)
{
	WRITE_ONCE(came_at, rdtsc());
	on_received(f);
}

static void none_within(u64 cycles)
{
	u64 n = READ_ONCE(received), from = rdtsc();

	while (rdtsc() - from < cycles)
		sti_nop_cli();
	GUEST_EQ(READ_ONCE(received), n);
}

/* @khz: of the TSC */
static void deadlines(u64 arg, u64 khz)
{
	static const u32 us[] = { 0, 1, 20, 100, 500, 3000 };
	unsigned int i, n = 0;
	u64 at, v;

	set_handler(TIMER_VECTOR, on_timer);
	enable(arg);
	reg_write(APIC_LVTT, TIMER_DEADLINE | TIMER_VECTOR);
	GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
	while (n < 20 * ARRAY_SIZE(us)) {
		at = rdtsc() + us[n % ARRAY_SIZE(us)] * khz / 1000;
		wrmsr(MSR_TSCDEADLINE, at);
		v = rdmsr(MSR_TSCDEADLINE);
		if (v)				/* else it has come already */
			GUEST_EQ(v, at);
		wait_for(++n, arg);
		GUEST_EQ(READ_ONCE(received), n);
		GUEST_EQ(READ_ONCE(came_at) >= at, 1);
		GUEST_EQ(rdmsr(MSR_TSCDEADLINE), 0);
	}
	/* put off, called off, and gone with the mode */
	for (i = 0; i < 3;) {
		v = rdtsc();
		wrmsr(MSR_TSCDEADLINE, v + 50 * khz);
		at = rdtsc() + 70 * khz;
		if (i < 2)
			wrmsr(MSR_TSCDEADLINE, i ? 0 : at);
		else
			reg_write(APIC_LVTT, TIMER_VECTOR);
		/* the host was away meanwhile: what has come may be the first deadline's */
		if (rdtsc() - v > 45 * khz) {
			for (v = rdtsc(); rdtsc() - v < 100 * khz;)
				sti_nop_cli();
			n = READ_ONCE(received);
			reg_write(APIC_LVTT, TIMER_DEADLINE | TIMER_VECTOR);
			continue;
		}
		if (i == 0) {
			wait_for(++n, arg);
			GUEST_EQ(READ_ONCE(came_at) >= at, 1);
		} else {
			none_within(70 * khz);
		}
		i++;
	}
}

static void periods(u64 arg, u64 khz)
{
	u64 from;

	set_handler(TIMER_VECTOR, on_timer);
	enable(arg);
	reg_write(APIC_TDCR, 0xb);
	reg_write(APIC_LVTT, TIMER_PERIODIC | TIMER_VECTOR);
	from = rdtsc();
	reg_write(APIC_TMICT, PERIOD);
	/* periods that were missed come one right after the other */
	while (READ_ONCE(received) < 20) {
		GUEST_EQ(reg_read(APIC_TMCCT) <= PERIOD, 1);
		wait_for(READ_ONCE(received) + 1, arg);
	}
	/* the host's clocks differ a little */
	GUEST_EQ(READ_ONCE(came_at) - from >= 19 * khz, 1);
	reg_write(APIC_TMICT, 0);
	sti_nop_cli();
	none_within(5 * khz);
	GUEST_EQ(reg_read(APIC_TMCCT), 0);

	reg_write(APIC_LVTT, TIMER_VECTOR);
	from = rdtsc();
	reg_write(APIC_TMICT, PERIOD);
	wait_for(READ_ONCE(received) + 1, arg);
	GUEST_EQ(READ_ONCE(came_at) - from >= khz * 9 / 10, 1);
	GUEST_EQ(reg_read(APIC_TMCCT), 0);
	none_within(5 * khz);
}

/* How far the timer counts in some time, and when a count that was set ends. */
static void bus_clock(u64 khz, u64 ns)
{
	const u32 ms10 = 10000000 / ns, all = ~0u;
	u64 begin, from, to, end, n = 0;
	u32 left;

	set_handler(TIMER_VECTOR, on_timer);
	enable(0);
	reg_write(APIC_LVTT, TIMER_VECTOR);
	reg_write(APIC_TDCR, 0xb);
	/* the counter starts somewhere in its write, and is read somewhere in its read */
	begin = rdtsc();
	reg_write(APIC_TMICT, all);
	from = rdtsc();
	while (rdtsc() - from < 20 * khz)
		cpu_pause();
	to = rdtsc();
	left = reg_read(APIC_TMCCT);
	end = rdtsc();
	SYNC2(1, all - left, to - from);
	SYNC2(2, all - left, end - begin);

	from = rdtsc();
	reg_write(APIC_TMICT, ms10);
	wait_for(++n, 0);
	SYNC2(3, READ_ONCE(came_at) - from, 0);
	/* each count is twice as long as before; so the end is, which was 10 ms away */
	reg_write(APIC_TDCR, 0xb);
	from = rdtsc();
	reg_write(APIC_TMICT, ms10);
	reg_write(APIC_TDCR, 0);
	to = rdtsc();
	wait_for(++n, 0);
	SYNC2(4, READ_ONCE(came_at) - from, to - from);
	/* as long as can be, whatever the clock */
	reg_write(APIC_TDCR, 0xa);
	reg_write(APIC_TMICT, all);
	GUEST_EQ(reg_read(APIC_TMCCT) > all / 8, 1);
	reg_write(APIC_TDCR, 0xb);
	reg_write(APIC_LVTT, TIMER_PERIODIC | TIMER_VECTOR);
	reg_write(APIC_TMICT, all);
	none_within(2 * khz);
	GUEST_EQ(reg_read(APIC_TMCCT) > all / 8, 1);
	reg_write(APIC_TMICT, 0);
}

/* @arg: bits of SPIV to set with the enable bit. Level-triggered, from user space's IOAPIC. */
static void suppression(u64 arg)
{
	set_handler(0x55, on_received);
	reg_write(APIC_SPIV, 0x1ff | arg);
	reg_write(APIC_TPR, 0);
	SYNC2(1, reg_read(APIC_LVR), reg_read(APIC_SPIV));
	sti();
	while (!READ_ONCE(received))
		cpu_pause();
	cli();
	SYNC(2);
	GUEST_EQ(READ_ONCE(total), 1);
}

static noinline u32 tpr_read(void)
{
	u32 v;

	asm volatile("tpr_read_insn: mov (%1), %0"
		     : "=r"(v) : "r"(APIC_BASE + APIC_TPR) : "memory");
	return v;
}

static noinline void tpr_write(u32 v)
{
	asm volatile("tpr_write_insn: mov %0, (%1)"
		     : : "r"(v), "r"(APIC_BASE + APIC_TPR) : "memory");
}

extern const u8 tpr_read_insn[], tpr_write_insn[];

static void tpr(void)
{
	u8 *word = (u8 *)APIC_VAPIC_WORD;

	set_handler(0x45, on_received);
	enable(0);
	SYNC2(1, tpr_read_insn, tpr_write_insn);	/* reports begin */
	tpr_write(0x30);
	GUEST_EQ(tpr_read(), 0x30);
	asm volatile("mov %0, %%cr8" : : "r"(2ul));	/* not told */
	tpr_write(0);
	SYNC(2);					/* reports end, the word begins */
	GUEST_EQ(tpr_read(), 0);
	/* without an access to the APIC; the host looks at the word at the next exit */
	WRITE_ONCE(*word, 0x50);
	SYNC(3);
	self_ipi(0x45);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(total), 0);
	GUEST_EQ(tpr_read(), 0x50);
	SYNC(4);					/* the host has looked at the word, too */
	WRITE_ONCE(*word, 0);
	SYNC(5);
	sti_nop_cli();
	GUEST_EQ(READ_ONCE(total), 1);
	GUEST_EQ(tpr_read(), 0);
}

void guest_main(u64 test, u64 arg, u64 n)
{
	switch (test) {
	case APIC_REGISTERS:
		registers(arg);
		break;
	case APIC_IPI:
		ipi(arg, n);
		break;
	case APIC_LEVEL:
		level(arg);
		break;
	case APIC_HALT:
		halt(arg, n);
		break;
	case APIC_BASE_MOVES:
		base_moves();
		break;
	case APIC_BASE_DIFFERS:
		base_differs(arg);
		break;
	case APIC_MODES:
		modes();
		break;
	case APIC_STATE:
		state(arg);
		break;
	case APIC_BLOCKED:
		blocked(arg);
		break;
	case APIC_DEADLINES:
		deadlines(arg, n);
		break;
	case APIC_PERIODS:
		periods(arg, n);
		break;
	case APIC_BUS_CLOCK:
		bus_clock(arg, n);
		break;
	case APIC_SUPPRESSION:
		suppression(arg);
		break;
	case APIC_TPR_REPORTS:
		tpr();
		break;
	default:
		GUEST_ASSERT(0);
	}
}
