// SPDX-License-Identifier: GPL-2.0-only
/*
 * Performance counters as a guest sees them. What they count is only known to grow.
 * Test numbers: pmu.h
 */
#include "guest.h"
#include "pmu.h"

#define APIC_LVTPC	0x340
#define LVT_MASKED	BIT(16)
#define LVT_NMI		0x400
#define GP		13
#define FIXED_BIT	32

static u64 interrupts;
static bool amd, fixed;

static s64 rdpmc_safe(u32 which, u64 *v)
{
	u32 lo = 0, hi = 0;
	s64 r = TRY("rdpmc", ARGS("+a"(lo), "+d"(hi)), ARGS("c"(which)));

	*v = lo | (u64)hi << 32;
	return r;
}

static u64 rdpmc(u32 which)
{
	u64 v;

	GUEST_EQ(rdpmc_safe(which, &v), -1);
	return v;
}

static void work(u64 n)
{
	while (n--)
		asm volatile("nop");
}

static u32 counter(void)
{
	return fixed ? MSR_FIXED0 : amd ? MSR_K7_CTR0 : MSR_PMC0;
}

static void enable(u64 flags)
{
	if (fixed) {
		wrmsr(MSR_FIXED_CTRL, 3 | (flags & SEL_INT ? 8 : 0));
		wrmsr(MSR_GLOBAL_CTRL, 1ul << FIXED_BIT);
	} else {
		wrmsr(amd ? MSR_K7_SEL0 : MSR_EVNTSEL0,
		      SEL_INSNS | SEL_OS | SEL_USR | SEL_EN | flags);
		if (!amd)
			wrmsr(MSR_GLOBAL_CTRL, 1);
	}
}

static void disable(void)
{
	if (fixed)
		wrmsr(MSR_FIXED_CTRL, 0);
	else
		wrmsr(amd ? MSR_K7_SEL0 : MSR_EVNTSEL0, 0);
}

static void nothing(void)
{
	static const u32 msrs[] = {
		MSR_PMC0 + 2, MSR_EVNTSEL0 + 2, MSR_FIXED0, MSR_FIXED_CTRL, MSR_GLOBAL_STATUS,
		MSR_GLOBAL_CTRL, MSR_OVF_CTRL, MSR_PMC0_FULL, MSR_CORE_SEL0, MSR_CORE_CTR0,
	}, old[] = { MSR_PMC0 + 1, MSR_EVNTSEL0 + 1, MSR_K7_SEL0 + 3, MSR_K7_CTR0 + 3 };
	unsigned int i;
	u64 v;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		GUEST_EQ(rdmsr_safe(msrs[i], &v), GP);
		GUEST_EQ(wrmsr_safe(msrs[i], 0), GP);
	}
	for (i = 0; i < ARRAY_SIZE(old); i++) {
		wrmsr(old[i], ~0ul);
		GUEST_EQ(rdmsr(old[i]), 0);
	}
	GUEST_EQ(rdpmc_safe(0, &v), GP);
	GUEST_EQ(rdpmc_safe(1u << 30, &v), GP);
}

static void counts(void)
{
	u32 which = fixed ? 1u << 30 : 0;
	u64 a, b;

	/* user space may have restored it while it ran */
	disable();
	wrmsr(counter(), 0);
	work(100);
	GUEST_EQ(rdmsr(counter()), 0);
	enable(0);
	work(1000);
	a = rdmsr(counter());
	GUEST_ASSERT(a > 0);
	work(1000);
	b = rdpmc(which);
	GUEST_ASSERT(b > a);
	disable();
	a = rdmsr(counter());
	GUEST_ASSERT(a >= b);
	work(1000);
	GUEST_EQ(rdmsr(counter()), a);
	GUEST_EQ(rdpmc(which), a);
	/* it goes on from where it was, and from what is written */
	enable(0);
	work(1000);
	GUEST_ASSERT(rdmsr(counter()) > a);
	wrmsr(counter(), 0x40000000);
	work(1000);
	a = rdmsr(counter());
	GUEST_ASSERT(a > 0x40000000 && a < 0x7fffffff);
	if (!amd) {
		wrmsr(MSR_GLOBAL_CTRL, 0);
		a = rdmsr(counter());
		work(1000);
		GUEST_EQ(rdmsr(counter()), a);
	}
	disable();
	/* an event that this CPU does not have counts nothing */
	if (!fixed) {
		wrmsr(counter(), 5);
		enable(0xff);
		work(1000);
		GUEST_EQ(rdmsr(counter()), 5);
		disable();
	}
}

static void amd_registers(u64 nr)
{
	u32 sel = nr > 4 ? MSR_CORE_SEL0 : MSR_K7_SEL0;
	unsigned int i, step = nr > 4 ? 2 : 1;
	u64 v;

	for (i = 0; i < nr; i++) {
		/* what is reserved is not kept */
		wrmsr(sel + i * step, ~0ul & ~SEL_EN);
		GUEST_EQ(rdmsr(sel + i * step), 0xffffffffful & ~SEL_EN & ~SEL_ANY & ~BIT(19));
		wrmsr(sel + i * step, 0);
		wrmsr(sel + i * step + (nr > 4 ? 1 : 4), ~0ul);
		GUEST_EQ(rdmsr(sel + i * step + (nr > 4 ? 1 : 4)), BIT(PMU_WIDTH) - 1);
		GUEST_EQ(rdpmc(i), BIT(PMU_WIDTH) - 1);
	}
	GUEST_EQ(rdpmc_safe(nr, &v), GP);
	GUEST_EQ(rdpmc_safe(1u << 30, &v), GP);
	if (nr > 4) {
		/* one register by two numbers */
		wrmsr(MSR_CORE_CTR0 + 2, 77);
		GUEST_EQ(rdmsr(MSR_K7_CTR0 + 1), 77);
	} else {
		GUEST_EQ(rdmsr_safe(MSR_CORE_SEL0, &v), GP);
	}
	GUEST_EQ(rdmsr_safe(MSR_PMC0 + 2, &v), GP);
	GUEST_EQ(rdmsr_safe(MSR_GLOBAL_CTRL, &v), GP);
}

static void intel_registers(u64 nr)
{
	u64 all = (BIT(nr) - 1) | 7ul << FIXED_BIT, v;
	unsigned int i;

	GUEST_EQ(rdmsr(MSR_GLOBAL_CTRL), BIT(nr) - 1);
	for (i = 0; i < nr; i++) {
		GUEST_EQ(wrmsr_safe(MSR_EVNTSEL0 + i, SEL_ANY), GP);
		GUEST_EQ(wrmsr_safe(MSR_EVNTSEL0 + i, 1ul << 32), GP);
		wrmsr(MSR_EVNTSEL0 + i, 0xffdfffff & ~SEL_EN);
		GUEST_EQ(rdmsr(MSR_EVNTSEL0 + i), 0xffdfffff & ~SEL_EN);
		wrmsr(MSR_EVNTSEL0 + i, 0);
		/* 32 bits, with their sign */
		wrmsr(MSR_PMC0 + i, 0x1280000000);
		GUEST_EQ(rdmsr(MSR_PMC0 + i), 0xffff80000000);
		GUEST_EQ(rdpmc(i), 0xffff80000000);
		wrmsr(MSR_PMC0 + i, 7);
		GUEST_EQ(rdmsr(MSR_PMC0 + i), 7);
	}
	for (i = 0; i < 3; i++) {
		wrmsr(MSR_FIXED0 + i, BIT(40) + i);
		GUEST_EQ(rdmsr(MSR_FIXED0 + i), BIT(40) + i);
		GUEST_EQ(rdpmc(1u << 30 | i), BIT(40) + i);
	}
	GUEST_EQ(rdmsr_safe(MSR_PMC0 + nr, &v), GP);
	GUEST_EQ(rdmsr_safe(MSR_EVNTSEL0 + nr, &v), GP);
	GUEST_EQ(rdmsr_safe(MSR_FIXED0 + 3, &v), GP);
	GUEST_EQ(rdpmc_safe(nr, &v), GP);
	GUEST_EQ(rdpmc_safe(1u << 30 | 3, &v), GP);
	GUEST_EQ(rdpmc_safe(1u << 29, &v), GP);
	GUEST_EQ(wrmsr_safe(MSR_FIXED_CTRL, 4), GP);
	GUEST_EQ(wrmsr_safe(MSR_FIXED_CTRL, 0x1000), GP);
	GUEST_EQ(wrmsr_safe(MSR_GLOBAL_CTRL, all + 1), GP);
	GUEST_EQ(wrmsr_safe(MSR_GLOBAL_CTRL, 8ul << FIXED_BIT), GP);
	GUEST_EQ(wrmsr_safe(MSR_GLOBAL_STATUS, 0), GP);
	GUEST_EQ(wrmsr_safe(MSR_OVF_CTRL, BIT(nr)), GP);
	wrmsr(MSR_OVF_CTRL, all | 3ul << 62);
	wrmsr(MSR_GLOBAL_CTRL, all);
	GUEST_EQ(rdmsr(MSR_GLOBAL_CTRL), all);
	GUEST_EQ(rdmsr_safe(MSR_CORE_SEL0, &v), GP);
}

static void on_pmi(struct frame *f)
{
	WRITE_ONCE(interrupts, interrupts + 1);
	disable();
	if (f->vector != 2)
		apic_write(APIC_EOI, 0);
}

static void overflows(u64 nmi)
{
	u64 bit = fixed ? 1ul << FIXED_BIT : 1, i, value;

	set_handler(nmi ? 2 : PMU_VECTOR, on_pmi);
	apic_write(APIC_SPIV, 0x1ff);
	apic_write(APIC_LVTPC, nmi ? LVT_NMI : PMU_VECTOR);
	sti();
	/* without INT it overflows and says nothing */
	wrmsr(counter(), (u64)-200 & (BIT(PMU_WIDTH) - 1));
	enable(0);
	for (i = 0; i < 5000 && rdmsr(counter()) > BIT(47); i++)
		work(1000);
	disable();
	GUEST_ASSERT(rdmsr(counter()) < BIT(47));
	work(1000);
	GUEST_EQ(READ_ONCE(interrupts), 0);
	if (!amd) {
		GUEST_EQ(rdmsr(MSR_GLOBAL_STATUS), bit);
		wrmsr(MSR_OVF_CTRL, bit);
		GUEST_EQ(rdmsr(MSR_GLOBAL_STATUS), 0);
	}

	wrmsr(counter(), (u64)-20000 & (BIT(PMU_WIDTH) - 1));
	enable(SEL_INT);
	for (i = 0; i < 5000 && !READ_ONCE(interrupts); i++)
		work(1000);
	value = rdmsr(counter());
	GUEST_EQ(READ_ONCE(interrupts), 1);
	GUEST_ASSERT(value < BIT(47));
	if (amd) {
		GUEST_EQ(apic_read(APIC_LVTPC) & LVT_MASKED, 0);
		return;
	}
	GUEST_EQ(rdmsr(MSR_GLOBAL_STATUS), bit);
	GUEST_EQ(apic_read(APIC_LVTPC) & LVT_MASKED, LVT_MASKED);
	/* masked: nobody is told of the next one */
	wrmsr(MSR_OVF_CTRL, bit);
	wrmsr(counter(), (u64)-200 & (BIT(PMU_WIDTH) - 1));
	enable(SEL_INT);
	for (i = 0; i < 5000 && !(rdmsr(MSR_GLOBAL_STATUS) & bit); i++)
		work(1000);
	GUEST_EQ(rdmsr(MSR_GLOBAL_STATUS), bit);
	GUEST_EQ(READ_ONCE(interrupts), 1);
	disable();
}

static void do_cpuid(unsigned int n)
{
	u32 a, b, c, d;

	while (n--)
		cpuid(0, 0, &a, &b, &c, &d);
}

/*
 * Instructions that the host carries out, and those alone: perf has no event with a
 * counter mask. The WRMSR that sets the counter is the first of them.
 */
static void insns(void)
{
	u64 last = BIT(PMU_WIDTH) - 1;

	set_handler(PMU_VECTOR, on_pmi);
	apic_write(APIC_SPIV, 0x1ff);
	apic_write(APIC_LVTPC, PMU_VECTOR);
	enable(1 << 24);
	wrmsr(counter(), 0);
	do_cpuid(3);
	GUEST_EQ(rdmsr(counter()), 4);
	GUEST_EQ(rdpmc(0), 5);
	disable();
	GUEST_ASSERT(rdmsr(counter()) < 8);

	enable(SEL_INT | 1 << 24);
	sti();
	wrmsr(counter(), last - 2);
	do_cpuid(1);
	GUEST_EQ(READ_ONCE(interrupts), 0);
	do_cpuid(1);
	GUEST_EQ(READ_ONCE(interrupts), 1);
	/* that which halts wakes itself */
	cli();
	apic_write(APIC_LVTPC, PMU_VECTOR);
	if (!amd)
		wrmsr(MSR_OVF_CTRL, 1);
	enable(SEL_INT | 1 << 24);
	wrmsr(counter(), last - 1);
	sti_hlt_cli();
	GUEST_EQ(READ_ONCE(interrupts), 2);
}

/* User space changes the filter at each SYNC and is told whether it counts. */
static void filter(void)
{
	u64 a, i;

	for (i = 1;; i++) {
		disable();
		enable(0x4100);		/* unit mask 0x41 */
		SYNC(i);
		a = rdmsr(counter());
		work(1000);
		SYNC2(i, rdmsr(counter()) > a, 0);
	}
}

static u64 tsc_aux(void)
{
	u32 aux;

	asm volatile("rdtscp" : "=c"(aux) : : "eax", "edx");
	return aux;
}

void guest_main(u64 test, u64 arg0, u64 arg1)
{
	idt_init();
	amd = arg0 & PMU_AMD;
	fixed = arg0 & PMU_FIXED;
	switch (test) {
	case PMU_NOTHING:
		nothing();
		break;
	case PMU_COUNT:
		counts();
		break;
	case PMU_REGISTERS:
		if (amd)
			amd_registers(arg1);
		else
			intel_registers(arg1);
		break;
	case PMU_OVERFLOW:
		overflows(arg0 & PMU_NMI);
		break;
	case PMU_INSNS:
		insns();
		break;
	case PMU_FILTER:
		filter();
		break;
	case PMU_SWITCHED:
		SYNC2(1, tsc_aux(), 0);
		SYNC2(2, tsc_aux(), 0);
		break;
	}
	report(REPORT_DONE, 0, 0, 0);
}
