// SPDX-License-Identifier: GPL-2.0-only
/* NMIs, interrupt windows, breakpoints, single steps, control registers. Test numbers: events.h */
#include "events.h"
#include "guest.h"

#define RF	BIT(16)
#define TF	BIT(8)
#define IF	BIT(9)

static u64 depth, count;

static inline u64 flags(void)
{
	u64 v;

	asm volatile("pushf; pop %0" : "=r"(v));
	return v;
}

static void on_nmi(struct frame *f)
{
	u64 n = READ_ONCE(count) + 1;
	u32 a, b, c, d;

	WRITE_ONCE(count, n);
	GUEST_EQ(READ_ONCE(depth), 0);
	WRITE_ONCE(depth, 1);
	GUEST_EQ(f->rflags & TF, 0);
	SYNC2(10, n, f->rip);
	/* exits of all kinds while NMIs are masked */
	cpuid(0, 0, &a, &b, &c, &d);
	inb(PIO_BASE);
	SYNC2(11, n, flags() & TF);
	GUEST_EQ(READ_ONCE(count), n);
	WRITE_ONCE(depth, 0);
}

static void nmi(void)
{
	set_handler(2, on_nmi);
	SYNC(1);
	GUEST_EQ(flags() & TF, 0);
	GUEST_EQ(READ_ONCE(depth), 0);
	SYNC2(2, READ_ONCE(count), 0);
	GUEST_EQ(flags() & TF, 0);
}

static void on_shadow_nmi(struct frame *f)
{
	SYNC2(10, f->rip, f->rflags & TF);
}

static void nmi_shadow(void)
{
	set_handler(2, on_shadow_nmi);
	SYNC(1);
	asm volatile("nop; nop; nop; nop");
	GUEST_EQ(flags() & TF, 0);
	SYNC(2);
}

static void on_irq(struct frame *f)
{
	WRITE_ONCE(count, READ_ONCE(count) + 1);
	GUEST_EQ(f->vector, 0x40);
	GUEST_EQ(f->rflags & IF, IF);
	GUEST_EQ(f->error, 0);
}

static void window(void)
{
	set_handler(0x40, on_irq);
	SYNC(1);
	sti();
	asm volatile("nop; nop");
	while (!READ_ONCE(count))
		cpu_pause();
	cli();
	SYNC2(2, READ_ONCE(count), 0);
}

static void step(void)
{
	u64 v;

	SYNC(1);
	asm volatile("nop\n\t"
		     "xor %%eax, %%eax\n\t"
		     "xor %%ecx, %%ecx\n\t"
		     "cpuid\n\t"
		     "mov $0xc0000080, %%ecx\n\t"
		     "rdmsr\n\t"
		     "pushf\n\t"
		     "pop %0\n\t"
		     "mov %%cr0, %%rax\n\t"
		     "mov %%rax, %%cr0\n\t"
		     "nop\n\t" : "=S"(v) : : "rax", "rbx", "rcx", "rdx", "memory");
	SYNC2(2, v & TF, 0);
}

/* ---- the guest's own breakpoints and steps --------------------------------------- */

static u64 db_count, db_dr6, db_rip;
static u64 watched;

static void on_db(struct frame *f)
{
	u64 v;

	asm volatile("mov %%dr6, %0" : "=r"(v));
	WRITE_ONCE(db_dr6, v);
	WRITE_ONCE(db_rip, f->rip);
	WRITE_ONCE(db_count, READ_ONCE(db_count) + 1);
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	f->rflags |= RF;
}

static noinline void target(void)
{
	asm volatile("nop");
}

static void breakpoints(void)
{
	u32 a, b, c, d;
	u64 v;
	int i;

	set_handler(1, on_db);
	asm volatile("mov %0, %%dr0" : : "r"((u64)target));
	asm volatile("mov %0, %%dr1" : : "r"((u64)&watched));
	/* L0, instruction; L1, write, 8 bytes */
	asm volatile("mov %0, %%dr7" : : "r"(0x400ul | 1 | 4 | 1ul << 20 | 2ul << 22));
	for (i = 0; i < 3; i++) {
		/* exits between the writes and the accesses */
		cpuid(0, 0, &a, &b, &c, &d);
		if (i)
			SYNC(i);
		WRITE_ONCE(db_count, 0);
		target();
		GUEST_EQ(READ_ONCE(db_count), 1);
		GUEST_EQ(READ_ONCE(db_dr6), 0xffff0ff1);
		GUEST_EQ(READ_ONCE(db_rip), target);
		WRITE_ONCE(watched, i);
		GUEST_EQ(READ_ONCE(db_count), 2);
		GUEST_EQ(READ_ONCE(db_dr6), 0xffff0ff2);
		asm volatile("mov %%dr7, %0" : "=r"(v));
		GUEST_EQ(v, 0x400ul | 1 | 4 | 1ul << 20 | 2ul << 22);
	}
	/* DR6 is written without #DB, and stays over an exit */
	asm volatile("mov %0, %%dr6" : : "r"(0xffff4ff4ul));
	cpuid(0, 0, &a, &b, &c, &d);
	asm volatile("mov %%dr6, %0" : "=r"(v));
	GUEST_EQ(v, 0xffff4ff4);
	SYNC(3);
	asm volatile("mov %%dr6, %0" : "=r"(v));
	GUEST_EQ(v, 0xffff4ff4);
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	asm volatile("mov %0, %%dr7" : : "r"(0x400ul));
	WRITE_ONCE(db_count, 0);
	target();
	WRITE_ONCE(watched, 9);
	GUEST_EQ(READ_ONCE(db_count), 0);
}

/* DR7.GD: #DB before the access, and GD is gone in the handler */
static void general_detect(void)
{
	u64 v;

	set_handler(1, on_db);
	asm volatile("mov %0, %%dr0" : : "r"((u64)target));
	asm volatile("mov %0, %%dr7" : : "r"(0x400ul | 1ul << 13));
	asm volatile("mov %%dr0, %0" : "=r"(v));
	GUEST_EQ(READ_ONCE(db_count), 1);
	GUEST_EQ(READ_ONCE(db_dr6), 0xffff2ff0);
	GUEST_EQ(v, target);
	SYNC(1);
}

/* one access that a debugger may want to see */
static void dr_read(void)
{
	u64 v;

	asm volatile("mov %0, %%dr0" : : "r"((u64)target));
	SYNC(1);
	asm volatile("mov %%dr0, %0" : "=a"(v));	/* 0f 21 c0 */
	SYNC(2);
	GUEST_EQ(v, target);
}

static void on_step(struct frame *f)
{
	u64 v;

	asm volatile("mov %%dr6, %0" : "=r"(v));
	GUEST_EQ(v, 0xffff4ff0);
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	WRITE_ONCE(db_count, READ_ONCE(db_count) + 1);
}

static void self_step(void)
{
	u64 v;

	set_handler(1, on_step);
	/* POPF sets TF: a trap after each instruction that follows */
	asm volatile("pushf; orq $0x100, (%%rsp); popf\n\t"
		     "nop\n\t"				/* 1 */
		     "xor %%eax, %%eax\n\t"		/* 2 */
		     "cpuid\n\t"			/* 3 */
		     "mov $0x5100, %%edx\n\t"		/* 4 */
		     "inb %%dx, %%al\n\t"		/* 5 */
		     "pushf\n\t"			/* 6 */
		     "andq $~0x100, (%%rsp)\n\t"	/* 7 */
		     "popf\n\t"				/* 8 */
		     "nop"
		     : : : "rax", "rbx", "rcx", "rdx", "memory", "cc");
	GUEST_EQ(READ_ONCE(db_count), 8);
	asm volatile("mov %%dr6, %0" : "=r"(v));
	GUEST_EQ(v, 0xffff0ff0);
	SYNC(1);
}

static void on_bp(struct frame *f)
{
	WRITE_ONCE(count, READ_ONCE(count) + 1);
	GUEST_EQ(*(u8 *)(f->rip - 1), 0xcc);
}

static void int3(void)
{
	set_handler(3, on_bp);
	SYNC(1);
	asm volatile("int3");
	GUEST_EQ(READ_ONCE(count), 1);
	SYNC(2);
	asm volatile("int3; nop; nop; nop");
	SYNC2(3, READ_ONCE(count), 0);
}

/* ---- registers ------------------------------------------------------------------- */

#define CR0_ET	BIT(4)
#define CR0_TS	BIT(3)
#define CR0_NW	BIT(29)
#define CR0_CD	BIT(30)
#define CR4_MCE	BIT(6)
#define CR4_PGE	BIT(7)
#define CR4_DE	BIT(3)

static inline u64 read_cr0(void)
{
	u64 v;

	asm volatile("mov %%cr0, %0" : "=r"(v));
	return v;
}

static inline void write_cr0(u64 v)
{
	asm volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static inline u64 read_cr4(void)
{
	u64 v;

	asm volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

static inline void write_cr4(u64 v)
{
	asm volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

static void control(bool irqchip)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4(), v;

	GUEST_EQ(cr0 & CR0_ET, CR0_ET);
	write_cr0(cr0 | CR0_CD);
	GUEST_EQ(read_cr0(), cr0 | CR0_CD);
	asm volatile("smsw %0" : "=r"(v));
	GUEST_EQ(v, cr0 | CR0_CD);
	write_cr0(cr0 | CR0_CD | CR0_NW);
	GUEST_EQ(read_cr0(), cr0 | CR0_CD | CR0_NW);
	GUEST_EQ(TRY("mov %0, %%cr0", ARGS(), ARGS("r"(cr0 | CR0_NW))), 13);
	GUEST_EQ(read_cr0(), cr0 | CR0_CD | CR0_NW);
	write_cr0(cr0);
	GUEST_EQ(read_cr0(), cr0);
	/* LMSW and CLTS have exits of their own */
	asm volatile("lmsw %w0" : : "r"((u16)(cr0 | CR0_TS)));
	GUEST_EQ(read_cr0(), cr0 | CR0_TS);
	asm volatile("clts");
	GUEST_EQ(read_cr0(), cr0 & ~CR0_TS);
	write_cr0(cr0);

	write_cr4(cr4 & ~CR4_MCE);
	GUEST_EQ(read_cr4(), cr4 & ~CR4_MCE);
	write_cr4(cr4 | CR4_MCE | CR4_PGE);
	GUEST_EQ(read_cr4(), cr4 | CR4_MCE | CR4_PGE);
	write_cr4(cr4);
	GUEST_EQ(read_cr4(), cr4);
	/* with CR4.DE, DR4 and DR5 are no aliases */
	write_cr4(cr4 | CR4_DE);
	GUEST_EQ(TRY("mov %%dr4, %0", ARGS("=r"(v)), ARGS()), 6);
	write_cr4(cr4);
	/* CR8 against the task priority of the APIC, if there is one */
	asm volatile("mov %0, %%cr8" : : "r"(5ul));
	asm volatile("mov %%cr8, %0" : "=r"(v));
	GUEST_EQ(v, 5);
	/* with the APIC in the kernel that is for the CPU to check; QEMU's does not */
	if (!irqchip)
		GUEST_EQ(TRY("mov %0, %%cr8", ARGS(), ARGS("r"(16ul))), 13);
	asm volatile("mov %0, %%cr8" : : "r"(0ul));
	asm volatile("mov %%cr8, %0" : "=r"(v));
	GUEST_EQ(v, 0);
	SYNC(1);
}

#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_CSTAR	0xc0000083
#define MSR_SFMASK	0xc0000084
#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101
#define MSR_KERNEL_GS	0xc0000102
#define MSR_SYSENTER_CS	0x174
#define MSR_VM_CR	0xc0010114
#define MSR_VM_HSAVE	0xc0010117
#define EFER_SVME	BIT(12)

/*
 * Read and write MSRs that the host names, until it names none: MSR, bits READ_MSRS_*, value.
 * Told back: the fault's vector or -1, and what was read.
 */
static void read_msrs(void)
{
	u64 *ask = (u64 *)GUEST_SHARED;
	u64 v, n;
	s64 r;

	for (n = 1; ; n++) {
		u32 lo, hi, index;

		SYNC(n);
		index = READ_ONCE(ask[0]);
		if (!index)
			break;
		v = READ_ONCE(ask[2]);
		lo = v;
		hi = v >> 32;
		switch (READ_ONCE(ask[1])) {
		case READ_MSRS_WRITE:
			r = wrmsr_safe(index, v);
			break;
		case READ_MSRS_FORCED:
			r = TRY("ud2; .ascii \"kvm\"; rdmsr", ARGS("+a"(lo), "+d"(hi)),
				ARGS("c"(index)));
			v = r == -1 ? lo | (u64)hi << 32 : 0;
			break;
		case READ_MSRS_FORCED | READ_MSRS_WRITE:
			r = TRY("ud2; .ascii \"kvm\"; wrmsr", ARGS(),
				ARGS("a"(lo), "d"(hi), "c"(index)));
			break;
		default:
			r = rdmsr_safe(index, &v);
			break;
		}
		SYNC2(100, r, v);
	}
}

/* an addition that is atomic over two cache lines: the CPU locks the bus */
static void split_lock(void)
{
	static u8 lines[128] __aligned(64);
	u32 *p = (u32 *)(lines + 62);
	unsigned int i;

	SYNC(1);
	for (i = 1; i <= 3; i++) {
		asm volatile("lock incl %0" : "+m"(*p) : : "memory", "cc");
		GUEST_EQ(READ_ONCE(*p), i);
	}
	SYNC(2);
}

/* by the CPU, or by the module where the CPU has it not; #UD without the feature */
static void rdpid(u64 aux)
{
	u64 seen = ~0ull;
	s64 r = TRY("rdpid %0", ARGS("+r"(seen)), ARGS());

	SYNC2(1, r, seen);
	GUEST_EQ(r == -1 ? seen == aux : seen == ~0ull, 1);
}

static void movbe(void)
{
	static u64 mem = 0x1122334455667788;
	u64 seen = ~0ull;
	s64 r = TRY("movbe %1, %0", ARGS("+r"(seen)), ARGS("m"(mem)));

	SYNC2(1, r, seen);
	if (r != -1)
		return;
	GUEST_EQ(seen, 0x8877665544332211);
	seen = 0x0102030405060708;
	r = TRY("movbe %k1, %0", ARGS("+m"(mem)), ARGS("r"(seen)));
	GUEST_EQ(r, -1);
	GUEST_EQ(READ_ONCE(mem), 0x1122334408070605);
	r = TRY("movbe %1, %w0", ARGS("+r"(seen)), ARGS("m"(mem)));
	GUEST_EQ(r, -1);
	GUEST_EQ(seen, 0x0102030405060506);
}

static void msrs(void)
{
	static const u32 plain[] = {
		MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE,
		MSR_GS_BASE, MSR_KERNEL_GS, MSR_SYSENTER_CS,
		MSR_SYSENTER_CS + 1, MSR_SYSENTER_CS + 2,
	};
	unsigned int i;
	u32 r[4];
	u64 v;

	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		wrmsr(plain[i], 0x1200 + i);
		GUEST_EQ(rdmsr(plain[i]), 0x1200 + i);
	}
	/* the host looks at them, and writes others */
	SYNC(1);
	for (i = 0; i < ARRAY_SIZE(plain); i++)
		GUEST_EQ(rdmsr(plain[i]), 0x5600 + i);
	asm volatile("swapgs");
	GUEST_EQ(rdmsr(MSR_GS_BASE), 0x5600 + 6);
	GUEST_EQ(rdmsr(MSR_KERNEL_GS), 0x5600 + 5);
	asm volatile("swapgs");
	/* without nested virtualization SVM is the host's, and not to be had */
	GUEST_EQ(rdmsr(MSR_EFER) & EFER_SVME, 0);
	cpuid(0x80000001, 0, &r[0], &r[1], &r[2], &r[3]);
	if (r[2] & 4) {
		SYNC(2);
		return;
	}
	GUEST_EQ(wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME), 13);
	GUEST_EQ(wrmsr_safe(MSR_VM_HSAVE, 0x1000), 13);
	GUEST_EQ(wrmsr_safe(MSR_VM_CR, 8), 13);
	GUEST_EQ(TRY("vmrun", ARGS(), ARGS("a"(0ul))), 6);
	GUEST_EQ(TRY("vmload", ARGS(), ARGS("a"(0ul))), 6);
	GUEST_EQ(TRY("stgi", ARGS(), ARGS()), 6);
	GUEST_EQ(TRY("clgi", ARGS(), ARGS()), 6);
	GUEST_EQ(TRY("rdpru", ARGS(), ARGS("c"(0)), "rax", "rdx"), 6);
	rdmsr_safe(MSR_VM_CR, &v);
	SYNC(2);
}

static void canonical(void)
{
	GUEST_EQ(wrmsr_safe(MSR_LSTAR, 1ul << 63), 13);
	GUEST_EQ(wrmsr_safe(MSR_KERNEL_GS, 1ul << 63), 13);
}

void guest_main(u64 test, u64 a, u64 b)
{
	switch (test) {
	case EVENTS_NMI:
		nmi();
		break;
	case EVENTS_NMI_SHADOW:
		nmi_shadow();
		break;
	case EVENTS_WINDOW:
		window();
		break;
	case EVENTS_STEP:
		step();
		break;
	case EVENTS_BREAKPOINTS:
		breakpoints();
		break;
	case EVENTS_SELF_STEP:
		self_step();
		break;
	case EVENTS_INT3:
		int3();
		break;
	case EVENTS_CONTROL:
		control(a);
		break;
	case EVENTS_MSRS:
		msrs();
		break;
	case EVENTS_GENERAL_DETECT:
		general_detect();
		break;
	case EVENTS_DR_READ:
		dr_read();
		break;
	case EVENTS_CANONICAL:
		canonical();
		break;
	case EVENTS_READ_MSRS:
		read_msrs();
		break;
	case EVENTS_SPLIT_LOCK:
		split_lock();
		break;
	case EVENTS_MOVBE:
		movbe();
		break;
	case EVENTS_RDPID:
		rdpid(a);
		break;
	}
}
