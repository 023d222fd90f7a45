// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that knows that it is one. Test numbers: pv.h
 *
 * PV_APF reads pages that are not there: what faults asynchronously is left for later, and
 * looked at again when its token has come back.
 */
#include "guest.h"
#include "pv.h"

#define MSR_APF_EN	0x4b564d02
#define MSR_APF_INT	0x4b564d06
#define MSR_APF_ACK	0x4b564d07

static struct pv_shared *const sh = (struct pv_shared *)GUEST_SHARED;
static u32 *const apf = (u32 *)PV_DATA;		/* flags, token */
static u64 flags;

static void add(unsigned long *n)
{
	WRITE_ONCE(*n, READ_ONCE(*n) + 1);
}

static void on_page_fault(struct frame *f)
{
	u64 cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	GUEST_EQ(READ_ONCE(apf[0]), 1);
	GUEST_EQ(f->error, 0);
	GUEST_ASSERT(f->rflags & BIT(9));
	GUEST_ASSERT(READ_ONCE(fault_resume) && READ_ONCE(sh->faults) < PV_MAX);
	WRITE_ONCE(sh->tokens[READ_ONCE(sh->faults)], (u32)cr2);
	add(&sh->faults);
	WRITE_ONCE(apf[0], 0);
	WRITE_ONCE(fault_vec, 14);
	f->rip = READ_ONCE(fault_resume);
	WRITE_ONCE(fault_resume, 0);
}

static void on_ready(struct frame *f)
{
	u32 token = READ_ONCE(apf[1]);

	GUEST_ASSERT(token);
	if (token == ~0u) {
		add(&sh->all);
	} else {
		GUEST_ASSERT(READ_ONCE(sh->ready) < PV_MAX);
		WRITE_ONCE(sh->came[READ_ONCE(sh->ready)], token);
		add(&sh->ready);
	}
	apic_write(APIC_EOI, 0);
	if ((flags & PV_NO_ACK) && token != ~0u)
		return;
	WRITE_ONCE(apf[1], 0);
	wrmsr(MSR_APF_ACK, 1);
}

static void on_irq(struct frame *f)
{
	add(&sh->irqs);
	apic_write(APIC_EOI, 0);
	/* QEMU 7.2 lets it slip in between STI and HLT, where nothing else would come */
	if (*(u8 *)f->rip == 0xf4)
		f->rip++;
}

static void start(void)
{
	set_handler(PV_IRQ, on_irq);
	set_handler(PV_READY, on_ready);
	apic_write(APIC_SPIV, 0x1ff);
}

static void apf_enable(void)
{
	wrmsr(MSR_APF_EN, PV_DATA | 9 | (flags & PV_USER_ONLY ? 0 : 2));
}

static void check_tokens(void)
{
	u64 i, j, n = READ_ONCE(sh->faults);

	for (i = 0; i < n; i++) {
		u64 seen = 0;

		GUEST_ASSERT(sh->tokens[i] && sh->tokens[i] != ~0u);
		for (j = 0; j < n; j++)
			seen += sh->came[j] == sh->tokens[i];
		GUEST_EQ(seen, 1);
	}
}

static void async(u64 pages)
{
	u64 i, word;

	start();
	set_handler(14, on_page_fault);
	wrmsr(MSR_APF_INT, PV_READY);
	apf_enable();
	sti();
	while (!READ_ONCE(sh->all))
		cpu_pause();
	if (flags & PV_CLI)
		cli();
	WRITE_ONCE(sh->touching, 1);
	for (i = 0; i < pages; i++)
		TRY("movq (%1), %0", ARGS("=&r"(word)), ARGS("r"(PV_PAGES + i * 4096)));
	SYNC2(1, READ_ONCE(sh->faults), READ_ONCE(sh->ready));
	if (flags & PV_DISABLE) {
		wrmsr(MSR_APF_EN, 0);
		SYNC2(2, READ_ONCE(sh->faults), READ_ONCE(sh->ready));
	} else {
		while (READ_ONCE(sh->ready) < READ_ONCE(sh->faults) && !READ_ONCE(sh->stop))
			add(&sh->spins);
		if (!READ_ONCE(sh->stop))
			check_tokens();
	}
	for (i = 0; i < pages; i++)
		GUEST_EQ(READ_ONCE(*(u64 *)(PV_PAGES + i * 4096)), PV_WORD(i));
	SYNC2(3, READ_ONCE(sh->faults), READ_ONCE(sh->ready));
	/* what comes after the host has changed something */
	while (!READ_ONCE(sh->stop))
		add(&sh->spins);
	SYNC2(4, READ_ONCE(sh->all), READ_ONCE(sh->ready));
}

static u64 call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u32 a, b, c, d;
	u64 r = nr;

	cpuid(0, 0, &a, &b, &c, &d);
	if (b == 0x68747541)	/* "Auth" */
		asm volatile("vmmcall" : "+a"(r) : "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	else
		asm volatile("vmcall" : "+a"(r) : "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	return r;
}

/* the host puts the arguments there, one call after the other */
static void calls(void)
{
	u64 *arg = (u64 *)PV_DATA;

	start();
	sti();
	for (;;) {
		SYNC2(1, call(READ_ONCE(arg[0]), READ_ONCE(arg[1]), READ_ONCE(arg[2]),
			      READ_ONCE(arg[3]), READ_ONCE(arg[4])), READ_ONCE(sh->irqs));
	}
}

/* halts of 2 ms, @n of them, between two reports */
static void halts(u64 n)
{
	u64 i;

	start();
	apic_write(APIC_TDCR, 0xb);
	for (;;) {
		for (i = 0; i < n; i++) {
			apic_write(APIC_LVTT, PV_IRQ);
			apic_write(APIC_TMICT, 2000000);
			sti_hlt_cli();
		}
		SYNC2(1, READ_ONCE(sh->irqs), 0);
	}
}

void guest_main(u64 test, u64 a, u64 b)
{
	s64 wrote;
	u64 v;

	switch (test) {
	case PV_APF:
		flags = b;
		async(a);
		break;
	case PV_LOOP:
		for (;;) {
			for (v = 0; v < a; v++)
				cpu_pause();
			add(&sh->spins);
			SYNC(1);
		}
		break;
	case PV_CALL:
		calls();
		break;
	case PV_HALT:
		halts(a);
		break;
	case PV_CLI_HALT:
		asm volatile("cli; hlt");
		SYNC(1);
		break;
	case PV_MSR:
		wrote = wrmsr_safe(a, b);
		SYNC2(1, wrote, rdmsr_safe(a, &v));
		break;
	}
}
