/* SPDX-License-Identifier: GPL-2.0-only */
/* What the long-mode C payloads share: reports, port I/O, IDT, APIC. */
#ifndef SELFTEST_GUEST_H
#define SELFTEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
#ifdef __x86_64__
typedef unsigned long u64;
typedef long s64;
#else
typedef unsigned long long u64;
typedef long long s64;
#endif

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ul << (n))
/* devices, and memory that handlers, other vCPUs or the host change */
#define READ_ONCE(x)	(*(const __volatile__ __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(__volatile__ __typeof__(x) *)&(x) = (v))
#define __packed	__attribute__((__packed__))
#define __aligned(n)	__attribute__((__aligned__(n)))
#define noinline	__attribute__((__noinline__))

struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

void guest_main(u64 test, u64 arg0, u64 arg1);
void idt_init(void);
void set_handler(int vec, void (*fn)(struct frame *f));

/* set by the catching form of an instruction, see TRY() */
extern u64 fault_resume;
extern u64 fault_vec, fault_err, fault_cr2;

extern const u8 vec_stubs[];	/* start.S: 16 bytes for each vector */

static inline void report(u32 kind, u64 a, u64 b, u64 c)
{
	asm volatile("outl %%eax, %0"
		     : : "i"(REPORT_PORT), "a"(kind), "D"((unsigned long)a),
		       "S"((unsigned long)b), "d"((unsigned long)c)
		     : "memory");
}

#define SYNC(stage)		report(REPORT_SYNC, stage, 0, 0)
#define SYNC2(stage, b, c)	report(REPORT_SYNC, stage, (u64)(b), (u64)(c))
#define GUEST_EQ(seen, want) do {					\
	u64 __s = (u64)(seen), __w = (u64)(want);			\
	if (__s != __w)							\
		report(REPORT_FAIL, __LINE__, __s, __w);		\
} while (0)
#define GUEST_ASSERT(cond)	GUEST_EQ(!!(cond), 1)

static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outw(u16 port, u16 v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u16 inw(u16 port)
{
	u16 v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u32 inl(u16 port)
{
	u32 v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "a"((u32)v), "d"((u32)(v >> 32)), "c"(msr) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (u64)hi << 32;
}

static inline void cpuid(u32 fn, u32 idx, u32 *a, u32 *b, u32 *c, u32 *d)
{
	asm volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d)
		     : "a"(fn), "c"(idx) : "memory");
}

static inline void cli(void) { asm volatile("cli" : : : "memory"); }
static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void cpu_pause(void) { asm volatile("pause" : : : "memory"); }
static inline void sti_nop_cli(void) { asm volatile("sti; nop; nop; cli" : : : "memory"); }
/* the shadow of STI keeps an interrupt from slipping in before HLT */
static inline void sti_hlt_cli(void) { asm volatile("sti; hlt; cli" : : : "memory"); }

static inline u32 mmio_read32(u64 addr)
{
	u32 v;

	asm volatile("movl (%1), %0" : "=r"(v) : "r"(addr) : "memory");
	return v;
}

static inline void mmio_write32(u64 addr, u32 v)
{
	asm volatile("movl %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

#define APIC_BASE	0xfee00000ULL
#define IOAPIC_BASE	0xfec00000ULL
static inline u32 apic_read(u32 reg) { return mmio_read32(APIC_BASE + reg); }
static inline void apic_write(u32 reg, u32 v) { mmio_write32(APIC_BASE + reg, v); }
static inline u64 x2apic_read(u32 reg) { return rdmsr(0x800 + (reg >> 4)); }
static inline void x2apic_write(u32 reg, u64 v) { wrmsr(0x800 + (reg >> 4), v); }

static inline u32 ioapic_read(u32 idx)
{
	mmio_write32(IOAPIC_BASE, idx);
	return mmio_read32(IOAPIC_BASE + 0x10);
}

static inline void ioapic_write(u32 idx, u32 v)
{
	mmio_write32(IOAPIC_BASE, idx);
	mmio_write32(IOAPIC_BASE + 0x10, v);
}

static inline void ioapic_rte(int pin, u64 rte)
{
	ioapic_write(0x11 + 2 * pin, rte >> 32);
	ioapic_write(0x10 + 2 * pin, (u32)rte);
}

#define APIC_ID		0x20
#define APIC_LVR	0x30
#define APIC_TPR	0x80
#define APIC_PPR	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SPIV	0xf0
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0

#define MSR_TSC		0x10
#define MSR_APICBASE	0x1b
#define MSR_TSC_ADJUST	0x3b
#define MSR_TSCDEADLINE	0x6e0
#define MSR_EFER	0xc0000080

#define STRX(x)	#x
/*
 * TRY(insn, outputs, inputs, clobbers...): run one instruction and give the
 * vector of the fault it raised, or -1.
 */
#define TRY(insn, out, in, ...) ({					\
	WRITE_ONCE(fault_vec, (u64)-1);					\
	asm volatile("movabs $771f, %%r11; mov %%r11, fault_resume\n\t"	\
		     insn "\n771:\n\t"					\
		     "movq $0, fault_resume"				\
		     : out : in : "r11", "memory", "cc", ##__VA_ARGS__);	\
	(s64)READ_ONCE(fault_vec); })
#define ARGS(...) __VA_ARGS__

static inline s64 rdmsr_safe(u32 msr, u64 *v)
{
	u32 lo = 0, hi = 0;
	s64 r;

	r = TRY("rdmsr", ARGS("+a"(lo), "+d"(hi)), ARGS("c"(msr)));
	*v = lo | (u64)hi << 32;
	return r;
}

static inline s64 wrmsr_safe(u32 msr, u64 v)
{
	return TRY("wrmsr", ARGS(), ARGS("a"((u32)v), "d"((u32)(v >> 32)), "c"(msr)));
}

#endif
