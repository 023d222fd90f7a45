// SPDX-License-Identifier: GPL-2.0-only
/* Ports, MMIO, memory, exceptions: what any guest does. Test numbers: basic.h */
#include "basic.h"
#include "guest.h"

static void ports(void)
{
	u32 i;

	outb(PIO_BASE, 0x11);
	outw(PIO_BASE + 2, 0x2222);
	outl(PIO_BASE + 4, 0x44444444);
	GUEST_EQ(inb(PIO_BASE), 0x5a);
	GUEST_EQ(inw(PIO_BASE + 2), 0x5a5a);
	GUEST_EQ(inl(PIO_BASE + 4), 0x5a5a5a5a);
	/* the upper half of RAX stays with 8 and 16 bits, goes with 32 */
	{
		u64 rax = 0x1122334455667788;

		asm volatile("inb %w1, %b0" : "+a"(rax) : "d"(PIO_BASE));
		GUEST_EQ(rax, 0x112233445566775a);
		asm volatile("inl %w1, %k0" : "+a"(rax) : "d"(PIO_BASE + 4));
		GUEST_EQ(rax, 0x5a5a5a5a);
	}
	for (i = 0; i < 3; i++)
		SYNC(i);
}

static u8 buffer[0x3000] __aligned(4096);

static void strings(void)
{
	u64 n = 600;
	u8 *p = buffer + 0x1000 - 300;	/* over a page boundary */
	u64 i;

	for (i = 0; i < n; i++)
		p[i] = i * 7;
	asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(PIO_BASE) : "memory");
	GUEST_EQ(n, 0);
	GUEST_EQ((u64)p, (u64)buffer + 0x1000 + 300);
	SYNC(1);

	n = 150;
	p = buffer + 0x2000 - 300;
	asm volatile("rep insl" : "+D"(p), "+c"(n) : "d"(PIO_BASE + 4) : "memory");
	GUEST_EQ(n, 0);
	GUEST_EQ((u64)p, (u64)buffer + 0x2000 + 300);
	for (i = 0; i < 600; i++)
		GUEST_EQ(buffer[0x2000 - 300 + i], 0x5a);
	SYNC(2);

	/* backwards */
	n = 4;
	p = buffer + 0x100;
	for (i = 0; i < 4; i++)
		buffer[0x100 - i] = i;
	asm volatile("std; rep outsb; cld" : "+S"(p), "+c"(n) : "d"(PIO_BASE) : "memory");
	GUEST_EQ((u64)p, (u64)buffer + 0xfc);
	SYNC(3);
}

static void mmio(void)
{
	u64 v;

	WRITE_ONCE(*(u8 *)(MMIO_BASE + 1), 0x81);
	WRITE_ONCE(*(u16 *)(MMIO_BASE + 2), 0x8282);
	WRITE_ONCE(*(u32 *)(MMIO_BASE + 4), 0x84848484);
	WRITE_ONCE(*(u64 *)(MMIO_BASE + 8), 0x8888888888888888);
	GUEST_EQ(READ_ONCE(*(u8 *)(MMIO_BASE + 1)), 0xa1);
	GUEST_EQ(READ_ONCE(*(u16 *)(MMIO_BASE + 2)), 0xa1a1);
	GUEST_EQ(READ_ONCE(*(u32 *)(MMIO_BASE + 4)), 0xa1a1a1a1);
	GUEST_EQ(READ_ONCE(*(u64 *)(MMIO_BASE + 8)), 0xa1a1a1a1a1a1a1a1);
	SYNC(1);

	/* forms that compilers use on device registers */
	asm volatile("movzbl %1, %k0" : "=r"(v) : "m"(*(u8 *)(MMIO_BASE + 1)));
	GUEST_EQ(v, 0xa1);
	asm volatile("movsbq %1, %0" : "=r"(v) : "m"(*(u8 *)(MMIO_BASE + 1)));
	GUEST_EQ(v, 0xffffffffffffffa1);
	asm volatile("movswl %1, %k0" : "=r"(v) : "m"(*(u16 *)(MMIO_BASE + 2)));
	GUEST_EQ(v, 0xffffa1a1);
	asm volatile("movl $0x12345678, %0" : "=m"(*(u32 *)(MMIO_BASE + 4)));
	v = 0x10;
	asm volatile("addl %1, %k0" : "+r"(v) : "m"(*(u32 *)(MMIO_BASE + 4)));
	GUEST_EQ(v, 0xa1a1a1b1);
	asm volatile("testl $1, %1; setnz %b0" : "=q"(v) : "m"(*(u32 *)(MMIO_BASE + 4)), "0"(0ul));
	GUEST_EQ(v, 1);
	asm volatile("andl $0xff, %0" : "+m"(*(u32 *)(MMIO_BASE + 4)));
	asm volatile("orb $0x40, %0" : "+m"(*(u8 *)(MMIO_BASE + 1)));
	v = 0x77;
	asm volatile("xchgl %k0, %1" : "+r"(v), "+m"(*(u32 *)(MMIO_BASE + 4)));
	GUEST_EQ(v, 0xa1a1a1a1);
	SYNC(2);

	/* over the end of a page, and a string */
	WRITE_ONCE(*(u64 *)(MMIO_BASE + 0xffc), 0x1122334455667788);
	GUEST_EQ(READ_ONCE(*(u64 *)(MMIO_BASE + 0xffc)), 0xa1a1a1a1a1a1a1a1);
	{
		u64 n = 4;
		void *s = buffer, *d = (void *)(MMIO_BASE + 0x20);
		u32 i;

		for (i = 0; i < 4; i++)
			((u32 *)buffer)[i] = 0x01010101 * i;
		asm volatile("rep movsl" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
		GUEST_EQ(n, 0);
		n = 4;
		s = (void *)(MMIO_BASE + 0x20);
		d = buffer;
		asm volatile("rep movsl" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
		for (i = 0; i < 4; i++)
			GUEST_EQ(((u32 *)buffer)[i], 0xa1a1a1a1);
	}
	SYNC(3);
}

static void faults(void)
{
	u64 v;

	GUEST_EQ(TRY("ud2", ARGS(), ARGS()), 6);
	GUEST_EQ(TRY("movq $0, (%0)", ARGS(), ARGS("r"(0x100000000ul))), 14);
	GUEST_EQ(READ_ONCE(fault_cr2), 0x100000000);
	GUEST_EQ(READ_ONCE(fault_err), 2);
	GUEST_EQ(TRY("xor %%eax, %%eax; div %%eax", ARGS(), ARGS(), "rax", "rdx"), 0);
	GUEST_EQ(TRY("mov %0, %%ds", ARGS(), ARGS("r"(0x1000))), 13);
	GUEST_EQ(READ_ONCE(fault_err), 0x1000);
	GUEST_EQ(TRY("movq $1, (%0)", ARGS(), ARGS("r"(1ul << 63))), 13);
	GUEST_EQ(rdmsr_safe(0xdeadbeef, &v), 13);
	GUEST_EQ(wrmsr_safe(0xdeadbeef, 1), 13);
	GUEST_EQ(wrmsr_safe(MSR_EFER, 1ul << 40), 13);
	GUEST_EQ(TRY("mov %0, %%cr4", ARGS(), ARGS("r"(1ul << 63))), 13);
	GUEST_EQ(TRY("mov %0, %%cr0", ARGS(), ARGS("r"(0x80000000ul))), 13);
	GUEST_EQ(TRY("int3", ARGS(), ARGS()), 3);
	GUEST_EQ(TRY("int $0x55", ARGS(), ARGS()), (u64)-1);
}

static void on_0x55(struct frame *f)
{
	SYNC2(f->vector, 0, 0);
}

static void memory(u64 start, u64 bytes)
{
	u64 *p = (u64 *)start;
	u64 i, n = bytes / 8;

	for (i = 0; i < n; i += 512)
		WRITE_ONCE(p[i], i * 0x9e3779b97f4a7c15);
	SYNC(1);
	for (i = 0; i < n; i += 512)
		GUEST_EQ(READ_ONCE(p[i]), i * 0x9e3779b97f4a7c15);
	SYNC(2);
}

static void spin(void)
{
	u64 *count = (u64 *)GUEST_SHARED;

	for (;;)
		WRITE_ONCE(*count, READ_ONCE(*count) + 1);
}

static void halt(void)
{
	asm volatile("hlt");
	SYNC(1);
}

static void debug_regs(void)
{
	u64 v;

	asm volatile("mov %0, %%dr0" : : "r"(0x1234ul));
	asm volatile("mov %0, %%dr7" : : "r"(0x400ul));
	asm volatile("mov %%dr0, %0" : "=r"(v));
	GUEST_EQ(v, 0x1234);
	asm volatile("mov %%dr6, %0" : "=r"(v));
	GUEST_EQ(v & 0xf, 0);
	SYNC(1);
	asm volatile("mov %%dr1, %0" : "=r"(v));
	SYNC2(2, v, 0);
}

static void fpu(void)
{
	u64 a = 0x0123456789abcdef, b = 0, i;

	asm volatile("movq %0, %%mm3" : : "r"(a));
	for (i = 0; i < 4; i++) {
		SYNC(i);
		asm volatile("movq %%mm3, %0" : "=r"(b));
		GUEST_EQ(b, a);
	}
	asm volatile("emms");
}

static void write_pages(u64 start, u64 n)
{
	u64 i, round;

	for (round = 0; ; round++) {
		for (i = 0; i < n; i++)
			WRITE_ONCE(*(u64 *)(start + i * 4096), round);
		SYNC2(round, 0, 0);
	}
}

/* KVM_HC_MAP_GPA_RANGE, as private memory */
static void map_gpa_range(u64 gpa, u64 pages)
{
	u64 ret = 12, attributes = 0x10;
	u32 max, vendor, c, d;

	cpuid(0, 0, &max, &vendor, &c, &d);
	if (vendor == 0x756e6547)		/* "Genu" */
		asm volatile("vmcall" : "+a"(ret) : "b"(gpa), "c"(pages), "d"(attributes)
			     : "memory");
	else
		asm volatile("vmmcall" : "+a"(ret) : "b"(gpa), "c"(pages), "d"(attributes)
			     : "memory");
	SYNC2(1, ret, 0);
}

void guest_main(u64 test, u64 a, u64 b)
{
	switch (test) {
	case BASIC_PORTS:
		ports();
		break;
	case BASIC_STRINGS:
		strings();
		break;
	case BASIC_MMIO:
		mmio();
		break;
	case BASIC_FAULTS:
		set_handler(0x55, on_0x55);
		faults();
		break;
	case BASIC_MEMORY:
		memory(a, b);
		break;
	case BASIC_SPIN:
		spin();
		break;
	case BASIC_HALT:
		halt();
		break;
	case BASIC_DEBUGREGS:
		debug_regs();
		break;
	case BASIC_FPU:
		fpu();
		break;
	case BASIC_WRITE_PAGES:
		write_pages(a, b);
		break;
	case BASIC_READ:
		SYNC2(1, READ_ONCE(*(u64 *)a), 0);
		break;
	case BASIC_CALL:
		((void (*)(void))a)();
		SYNC(1);
		break;
	case BASIC_MAP_GPA_RANGE:
		map_gpa_range(a, b);
		break;
	case BASIC_WRITE:
		WRITE_ONCE(*(u64 *)a, b);
		SYNC(1);
		break;
	}
}
