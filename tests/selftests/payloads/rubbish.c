// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that writes rubbish wherever it can. What comes of it is for the host to
 * bear; the guest only tries to go on for long. Test numbers: rubbish.h
 */
#include "guest.h"
#include "rubbish.h"

static u64 state;

static u64 rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

static u64 below(u64 n)
{
	return (rnd() >> 16) % n;
}

/* all bits, few bits, small, or about a power of two */
static u64 value(void)
{
	switch (below(5)) {
	case 0:
		return rnd();
	case 1:
		return rnd() & rnd() & rnd();
	case 2:
		return below(256);
	case 3:
		return (1ul << below(64)) - below(3);
	default:
		return (u32)rnd();
	}
}

static u64 seen;
static bool well_behaved;

static void on_any(struct frame *f)
{
	seen++;
	if (well_behaved)
		WRITE_ONCE(*(u64 *)GUEST_SHARED, seen);
	if (well_behaved || (seen & 1))
		apic_write(APIC_EOI, 0);
}

static void on_db(struct frame *f)
{
	asm volatile("mov %0, %%dr7" : : "r"(0x400ul));
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	f->rflags &= ~0x100ul;
}

static void on_nmi(struct frame *f)
{
	seen++;
}

static void interrupts(void)
{
	if (!below(8))
		sti_nop_cli();
}

/* ---- memory-mapped registers ------------------------------------------------- */

static void access(u64 addr)
{
	u64 v = value(), *q = &v;

	switch (below(9)) {
	case 0:
		TRY("movb %b0, (%1)", ARGS(), ARGS("q"(v), "r"(addr)));
		break;
	case 1:
		TRY("movw %w0, (%1)", ARGS(), ARGS("r"(v), "r"(addr)));
		break;
	case 2:
	case 3:
		TRY("movl %k0, (%1)", ARGS(), ARGS("r"(v), "r"(addr)));
		break;
	case 4:
		TRY("movq %0, (%1)", ARGS(), ARGS("r"(v), "r"(addr)));
		break;
	case 5:
		TRY("movl (%1), %k0", ARGS("+r"(v)), ARGS("r"(addr)));
		break;
	case 6:
		TRY("movq (%1), %0", ARGS("+r"(v)), ARGS("r"(addr)));
		break;
	case 7:
		TRY("lock; xaddl %k0, (%1)", ARGS("+r"(v)), ARGS("r"(addr)));
		break;
	default:
		v = below(9);
		TRY("rep; movsb", ARGS("+c"(v), "+S"(q), "+D"(addr)), ARGS());
		break;
	}
}

static void xapic(u64 n)
{
	while (n--) {
		/* aligned registers, any byte, and over the end of the page */
		switch (below(4)) {
		case 0:
			access(APIC_BASE + below(0x1000));
			break;
		case 1:
			access(APIC_BASE + 0x1000 - below(16));
			break;
		case 2:
			apic_write(below(0x40) << 4, value());
			break;
		default:
			mmio_read32(APIC_BASE + (below(0x100) << 4));
			break;
		}
		interrupts();
	}
}

static void x2apic(u64 n)
{
	u64 v;

	wrmsr_safe(MSR_APICBASE, 0xfee00c00 | (rdmsr(MSR_APICBASE) & 0x100));
	while (n--) {
		u32 index = 0x800 + below(0x100);

		if (below(2))
			index = 0x800 + below(0x40);
		if (below(3))
			wrmsr_safe(index, value());
		else
			rdmsr_safe(index, &v);
		if (!below(64))
			wrmsr_safe(MSR_APICBASE, value());
		interrupts();
	}
}

static void ioapic(u64 n)
{
	while (n--) {
		switch (below(4)) {
		case 0:
			access(IOAPIC_BASE + below(0x110));
			break;
		case 1:
			access(IOAPIC_BASE + 0x1000 - below(16));
			break;
		case 2:
			ioapic_write(below(256), value());
			break;
		default:
			ioapic_rte(below(24), value());
			break;
		}
		interrupts();
	}
}

/* ---- ports ------------------------------------------------------------------- */

static const u16 ports[] = {
	0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61,
	0x1f, 0x22, 0x9f, 0xa2, 0x3f, 0x44, 0x60, 0x62, 0x4cf, 0x4d2, 0x7e, 0x80, 0xcf8, 0xffff,
};

static u8 area[64] __aligned(64);

static void pio(u64 n)
{
	while (n--) {
		u16 port = ports[below(ARRAY_SIZE(ports))];
		u64 v = value(), count = below(20);
		void *p = area;

		/* not the one of the reports */
		if (port == REPORT_PORT)
			continue;
		switch (below(9)) {
		case 0:
		case 1:
		case 2:
			outb(port, v);
			break;
		case 3:
			outw(port, v);
			break;
		case 4:
			outl(port, v);
			break;
		case 5:
			inb(port);
			break;
		case 6:
			inl(port);
			break;
		case 7:
			asm volatile("rep outsb" : "+S"(p), "+c"(count) : "d"(port) : "memory");
			break;
		default:
			asm volatile("rep insb" : "+D"(p), "+c"(count) : "d"(port) : "memory");
			break;
		}
		interrupts();
	}
}

/* ---- MSRs -------------------------------------------------------------------- */

/*
 * Through some of KVM's own the host writes to memory. If it were that which the guest
 * lives in, hardly any run would come to its end.
 */
static u64 elsewhere(u32 index, u64 v)
{
	bool written = index == 0x11 || index == 0x12 || (index & ~0xfu) == 0x4b564d00;

	return written && v < (4 << 20) ? v | (4 << 20) : v;
}

static void one_msr(u32 index)
{
	u64 old, v;
	bool there = rdmsr_safe(index, &old) < 0;

	wrmsr_safe(index, elsewhere(index, value()));
	wrmsr_safe(index, elsewhere(index, rnd()));
	rdmsr_safe(index, &v);
	if (there)
		wrmsr_safe(index, old);
}

static void msr_range(u32 from, u32 n, u32 step)
{
	u32 i;

	for (i = below(step); i < n; i += 1 + below(2 * step - 1))
		one_msr(from + i);
}

static void msrs(u64 step)
{
	int i;

	msr_range(0, 0x800, step);
	msr_range(0x800, 0x100, 1);
	msr_range(0x900, 0x1800, 4 * step);
	msr_range(0x40000000, 0x110, step);
	msr_range(0x4b564d00, 0x20, 1);
	msr_range(0xc0000080, 0x90, 1);
	msr_range(0xc0010000, 0x300, step);
	msr_range(0xc0011000, 0x40, step);
	for (i = 0; i < 200; i++)
		one_msr(value());
}

/* ---- control registers ------------------------------------------------------- */

static void control(u64 n)
{
	u64 cr0, cr3, cr4, v, lo, hi;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	while (n--) {
		v = value();
		switch (below(14)) {
		case 0:
			TRY("mov %0, %%cr0", ARGS(), ARGS("r"(v)));
			break;
		case 1:
			/* flip what does not end the guest at once */
			TRY("mov %0, %%cr0", ARGS(), ARGS("r"(cr0 ^ (v & 0x6005002e))));
			break;
		case 2:
			TRY("mov %0, %%cr4", ARGS(), ARGS("r"(v)));
			break;
		case 3:
			TRY("mov %0, %%cr4", ARGS(), ARGS("r"(cr4 ^ (v & 0xc7bdf))));
			break;
		case 4:
			TRY("mov %0, %%cr3", ARGS(), ARGS("r"(cr3 | (v & ~0xffffffffful))));
			break;
		case 5:
			TRY("mov %0, %%cr8", ARGS(), ARGS("r"(v)));
			break;
		case 6:
			TRY("mov %0, %%cr2", ARGS(), ARGS("r"(v)));
			break;
		case 7:
			TRY("mov %0, %%dr0", ARGS(), ARGS("r"(v)));
			TRY("mov %0, %%dr3", ARGS(), ARGS("r"(v)));
			break;
		case 8:
			TRY("mov %0, %%dr6", ARGS(), ARGS("r"(v)));
			break;
		case 9:
			TRY("mov %0, %%dr7", ARGS(), ARGS("r"(v)));
			TRY("mov %0, %%dr7", ARGS(), ARGS("r"(0x400ul)));
			break;
		case 10:
			TRY("mov %0, %%cr4", ARGS(), ARGS("r"(cr4 | 1ul << 18)));
			lo = value();
			hi = below(2) ? 0 : value();
			v = below(4) ? 0 : value();
			TRY("xsetbv", ARGS(), ARGS("a"((u32)lo), "d"((u32)hi), "c"((u32)v)));
			break;
		case 11:
			TRY("lmsw %w0", ARGS(), ARGS("r"(v | 1)));
			break;
		case 12:
			TRY("invlpg (%0)", ARGS(), ARGS("r"(v)));
			TRY("wbinvd", ARGS(), ARGS());
			break;
		default:
			TRY("vmmcall", ARGS("+a"(v)), ARGS("b"(rnd()), "c"(rnd()), "d"(rnd())));
			break;
		}
		TRY("mov %0, %%cr0", ARGS(), ARGS("r"(cr0)));
		TRY("mov %0, %%cr4", ARGS(), ARGS("r"(cr4)));
		TRY("mov %0, %%cr3", ARGS(), ARGS("r"(cr3)));
		asm volatile("clts");
	}
}

/* ---- addresses given to the host --------------------------------------------- */

static u64 pv_address(void)
{
	switch (below(8)) {
	case 0:
		return RUBBISH_SLOT1 + below(0x1000);
	case 1:
		return RUBBISH_SLOT2 - below(80);	/* over a border of slots */
	case 2:
		return RUBBISH_SLOT2 + 0x1000 - below(80);
	case 3:
		return RUBBISH_RO + below(0x1000);
	case 4:
		return GUEST_DATA + 0x10000 + below(0x10000);
	case 5:
		return GUEST_DATA + 0x20000 - below(80);
	case 6:
		return -below(4096);
	default:
		return value();
	}
}

static void pv(u64 n)
{
	static const u32 index[] = {
		0x4b564d00, 0x4b564d01, 0x11, 0x12, 0x4b564d02, 0x4b564d03, 0x4b564d03,
		0x4b564d04, 0x4b564d04, 0x4b564d05, 0x4b564d06, 0x4b564d07,
	};
	u32 a, b, c, d;
	u64 i, v;

	/* interrupts to end by PV EOI */
	apic_write(APIC_SPIV, 0x1ff);
	for (i = 0; i < n; i++) {
		u32 msr = index[below(ARRAY_SIZE(index))];

		v = pv_address();
		if (below(4))
			v &= ~0x3ful;	/* what steal time takes */
		wrmsr_safe(msr, v | (below(4) ? 1 : 0));
		cpuid(0, 0, &a, &b, &c, &d);
		apic_write(APIC_ICR, 0x40000 | (0x40 + below(0x80)));
		sti_nop_cli();
		if (!below(4)) {
			/* the host does something to the slots now */
			SYNC2(10, i, 0);
			cpuid(0, 0, &a, &b, &c, &d);
			apic_write(APIC_ICR, 0x40000 | (0x40 + below(0x80)));
			sti_nop_cli();
		}
	}
}

/* ---- over the border of pages ------------------------------------------------ */

static void pattern(u8 *p, u64 addr, u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		p[i] = RUBBISH_BYTE(addr + i);
}

static void across(u64 border)
{
	static u8 buf[32] __aligned(32);
	u64 before, n, v, to;
	void *from;

	for (before = 1; before < 16; before++) {
		u64 addr = border - before;

		pattern(buf, addr, 16);
		v = *(u16 *)buf;
		TRY("movw %w0, (%1)", ARGS(), ARGS("r"(v), "r"(addr)));
		v = *(u32 *)buf;
		TRY("movl %k0, (%1)", ARGS(), ARGS("r"(v), "r"(addr)));
		v = *(u64 *)buf;
		TRY("movq %0, (%1)", ARGS(), ARGS("r"(v), "r"(addr)));
		TRY("movups (%0), %%xmm0; movups %%xmm0, (%1)", ARGS(), ARGS("r"(buf), "r"(addr)));
		n = 16;
		from = buf;
		to = addr;
		TRY("rep movsb", ARGS("+c"(n), "+S"(from), "+D"(to)), ARGS());
		n = 2;
		from = buf;
		to = addr;
		TRY("rep movsq", ARGS("+c"(n), "+S"(from), "+D"(to)), ARGS());
		TRY("movq (%1), %0", ARGS("=r"(v)), ARGS("r"(addr)));
		TRY("movups (%0), %%xmm0", ARGS(), ARGS("r"(addr)));
	}
}

static void pages(u64 end_of_memory)
{
	across(MMIO_BASE + 0x1000);
	SYNC(1);
	across(end_of_memory);
	SYNC(2);
	across(IOAPIC_BASE);
	SYNC(3);
	across(0x100000000ul);		/* the rest is not mapped */
	SYNC(4);
}

/* ---- destinations ------------------------------------------------------------ */

static void ids(void)
{
	static const u32 id[] = {
		1, 2, 15, 16, 254, 255, 256, 299, 300, 301, 0x400, 0xfff, 0x1000, 0xffff,
		0x10001, 0x7fffffff, 0x80000000, 0xffffff00, 0xfffffffe, 0xffffffff,
	};
	u32 i, mode;

	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | 0xc00);
	for (i = 0; i < ARRAY_SIZE(id) + 10; i++) {
		u64 dest = i < ARRAY_SIZE(id) ? id[i] : rnd() | 2;

		for (mode = 0; mode < 64; mode++) {
			/* delivery mode, logical, assert, level; no INIT to ourselves */
			u64 icr = (mode & 7) << 8 | (mode & 8) << 8 | (mode & 16) << 10 |
				  (mode & 32) << 10 | (0x30 + below(0xc0));

			if ((mode & 7) == 5 && (dest & 1))
				continue;
			wrmsr_safe(0x830, dest << 32 | icr);
			if (mode < 8)
				ioapic_rte(below(24), dest << 56 | icr | below(2) << 16);
		}
	}
	SYNC(1);
}

/* ---- as many interrupts as a timer gives ------------------------------------- */

static void storm(void)
{
	u64 i;

	well_behaved = true;
	/* its vectors would be exceptions */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	apic_write(APIC_SPIV, 0x1ff);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0x20040);
	apic_write(APIC_TMICT, 1);
	outb(0x43, 0x34);
	outb(0x40, 2);
	outb(0x40, 0);
	outb(0x43, 0x10);
	ioapic_rte(2, 0x41);
	ioapic_rte(0, 0x8042);
	sti();
	for (i = 0; i < 200000; i++)
		cpu_pause();
	cli();
	GUEST_ASSERT(READ_ONCE(seen) > 0);
}

/* A level-triggered interrupt whose line nobody lowers: again at each EOI. */
static void level(void)
{
	well_behaved = true;
	/* the PIC has that line too */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	apic_write(APIC_SPIV, 0x1ff);
	ioapic_rte(11, 0x8050);
	/* the next one comes before the instruction after IRET */
	for (;;)
		sti_nop_cli();
}

static u8 *idt_gate(unsigned int vec)
{
	struct {
		u16 limit;
		u64 base;
	} __packed d;

	asm volatile("sidt %0" : "=m"(d));
	return (u8 *)d.base + 16 * vec;
}

static u8 loop_stack[4096] __aligned(16);

/* A #UD handler that begins with UD2, on a stack that is always the same. */
static void ud_loop(void)
{
	u8 *gate = idt_gate(6);
	u64 p;

	asm volatile("lea 772f(%%rip), %0" : "=r"(p));

	*(u64 *)(GUEST_TSS + 36) = (u64)loop_stack + sizeof(loop_stack);
	*(u16 *)gate = p;
	*(u16 *)(gate + 6) = p >> 16;
	gate[4] = 1;
	asm volatile("772: ud2");
}

/* A #DB handler whose stack has a breakpoint: each delivery is the next one's cause. */
static void db_loop(void)
{
	u64 top = (u64)loop_stack + sizeof(loop_stack);

	idt_gate(1)[4] = 1;
	*(u64 *)(GUEST_TSS + 36) = top;
	asm volatile("mov %0, %%dr0" : : "r"(top - 8));
	/* write, 8 bytes */
	asm volatile("mov %0, %%dr7" : : "r"(0x402ul | 9ul << 16));
	asm volatile("pushf; orq $0x100, (%rsp); popf; nop; nop");
	for (;;)
		asm volatile("push %rax; pop %rax");
}

/* ---- exits of every kind ----------------------------------------------------- */

static void exits(void)
{
	u32 a, b, c, d;
	u64 v, n;
	void *p;

	for (;;) {
		outb(PIO_BASE, 1);
		inl(PIO_BASE);
		n = 8;
		p = area;
		asm volatile("rep insb" : "+D"(p), "+c"(n) : "d"(PIO_BASE) : "memory");
		n = 8;
		p = area;
		asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(PIO_BASE) : "memory");
		mmio_write32(MMIO_BASE, 2);
		TRY("movq (%1), %0", ARGS("=r"(v)), ARGS("r"(MMIO_BASE + 0xffc)));
		TRY("movq %0, (%1)", ARGS(), ARGS("r"(v), "r"(MMIO_BASE + 0xffc)));
		cpuid(0, 0, &a, &b, &c, &d);
		rdmsr_safe(0xdeadbeef, &v);
		wrmsr_safe(0xdeadbeef, v);
		TRY("mov %%cr8, %0", ARGS("=r"(v)), ARGS());
		if (!below(16))
			sti_nop_cli();
	}
}

static void zone(void)
{
	for (;;) {
		mmio_write32(MMIO_BASE + (below(0x400) << 2), rnd());
		TRY("movq %0, (%1)", ARGS(), ARGS("r"(rnd()), "r"(MMIO_BASE + below(0xff9))));
		outb(PIO_BASE, rnd());
	}
}

void guest_main(u64 test, u64 seed, u64 n)
{
	int i;

	state = seed * 2 + 1;
	for (i = 0; i < 4; i++)
		rnd();
	set_handler(1, on_db);
	set_handler(2, on_nmi);
	for (i = 32; i < 256; i++)
		set_handler(i, on_any);

	switch (test) {
	case RUBBISH_XAPIC:
		xapic(n);
		break;
	case RUBBISH_X2APIC:
		x2apic(n);
		break;
	case RUBBISH_IOAPIC:
		ioapic(n);
		break;
	case RUBBISH_PORTS:
		pio(n);
		break;
	case RUBBISH_MSRS:
		msrs(n);
		break;
	case RUBBISH_CONTROL:
		control(n);
		break;
	case RUBBISH_PV:
		pv(n);
		break;
	case RUBBISH_PAGES:
		pages(n);
		break;
	case RUBBISH_IDS:
		ids();
		break;
	case RUBBISH_STORM:
		storm();
		break;
	case RUBBISH_UD_LOOP:
		ud_loop();
		break;
	case RUBBISH_DB_LOOP:
		db_loop();
		break;
	case RUBBISH_EXITS:
		exits();
		break;
	case RUBBISH_LEVEL:
		level();
		break;
	case RUBBISH_ZONE:
		zone();
		break;
	}
}
