// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's moves, memory, stack, near jumps, strings and ports, on the machine
 * of emul_mock.c: what changes, in which order it is accessed, and that a fault changes
 * nothing (AMD64 APM vol. 3, chapters 1 and 3).
 */
#include <kunit/test.h>

#include "tests/kunit/emul_mock.h"
#include "tests/kunit/suites.h"

#define GPR(m, r)	((m)->e.gpr[X86_GPR_##r])
#define N		0x5555555555555555ull

#define EXPECT_GPR(test, m, r, v) \
	KUNIT_EXPECT_EQ_MSG(test, GPR(m, r), (u64)(v), #r)
#define EXPECT_MEM	mock_expect_mem

/* ---- operands in memory ------------------------------------------------------------- */

static void memory_operands(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RSI) = 0x1000;
	GPR(m, RAX) = 0x1122334455667788;
	mock_poke(m, 0x1000, 0x8877665544332211, 8);

	EXPECT_DONE(test, m, "\x48\x89\x46\x08");		/* mov %rax, 8(%rsi) */
	EXPECT_MEM(test, m, 0x1008, 8, 0x1122334455667788);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 4);
	EXPECT_DONE(test, m, "\x88\x66\x10");			/* mov %ah, 16(%rsi) */
	EXPECT_MEM(test, m, 0x1010, 8, 0x77);
	EXPECT_DONE(test, m, "\x8a\x26");			/* mov (%rsi), %ah */
	EXPECT_GPR(test, m, RAX, 0x1122334455661188);
	EXPECT_DONE(test, m, "\x66\x8b\x06");			/* mov (%rsi), %ax */
	EXPECT_GPR(test, m, RAX, 0x1122334455662211);
	EXPECT_DONE(test, m, "\x8b\x06");			/* mov (%rsi), %eax */
	EXPECT_GPR(test, m, RAX, 0x44332211);
	KUNIT_EXPECT_EQ(test, m->e.gpr_dirty, BIT(X86_GPR_RAX));

	/* a plain store neither reads nor locks */
	m->writes = 0;
	EXPECT_DONE(test, m, "\xc7\x06\xff\xff\xff\x7f");	/* movl $, (%rsi) */
	EXPECT_MEM(test, m, 0x1000, 8, 0x887766557fffffff);
	KUNIT_EXPECT_EQ(test, m->writes, 1u);
	KUNIT_EXPECT_EQ(test, m->locked, 0u);
	EXPECT_DONE(test, m, "\x48\xc7\x06\xfe\xff\xff\xff");	/* movq $-2, (%rsi) */
	EXPECT_MEM(test, m, 0x1000, 8, -2ll);

	/* read, changed and written; with LOCK atomically */
	EXPECT_DONE(test, m, "\x01\x06");			/* add %eax, (%rsi) */
	EXPECT_MEM(test, m, 0x1000, 8, 0xffffffff4433220f);
	KUNIT_EXPECT_EQ(test, m->e.rflags & X86_EFLAGS_CF, X86_EFLAGS_CF);
	EXPECT_DONE(test, m, "\xf0\xff\x06");			/* lock incl (%rsi) */
	EXPECT_MEM(test, m, 0x1000, 4, 0x44332210);
	KUNIT_EXPECT_EQ(test, m->locked, 1u);
	m->writes = 0;
	EXPECT_DONE(test, m, "\x87\x06");			/* xchg locks by itself */
	KUNIT_EXPECT_EQ(test, m->locked, 2u);
	KUNIT_EXPECT_EQ(test, m->writes, 0u);
	EXPECT_GPR(test, m, RAX, 0x44332210);

	/* CMP and TEST write nothing */
	EXPECT_DONE(test, m, "\x83\x3e\x05");
	EXPECT_DONE(test, m, "\xf7\x06\x01\0\0\0");
	KUNIT_EXPECT_EQ(test, m->writes, 0u);

	/* MOVBE */
	mock_poke(m, 0x1000, 0x8877665544332211, 8);
	EXPECT_DONE(test, m, "\x48\x0f\x38\xf0\x06");
	EXPECT_GPR(test, m, RAX, 0x1122334455667788);
	EXPECT_DONE(test, m, "\x66\x0f\x38\xf1\x06");
	EXPECT_MEM(test, m, 0x1000, 2, 0x8877);

	/* FS and GS have a base in 64-bit mode, DS has none */
	m->seg[X86_SEG_GS].base = 0x200;
	m->seg[X86_SEG_DS].base = 0x300;
	mock_poke(m, 0x1200, 0x42, 1);
	EXPECT_DONE(test, m, "\x65\x8a\x06");
	EXPECT_GPR(test, m, RAX, 0x1122334455667742);
	EXPECT_DONE(test, m, "\x3e\x8a\x06");
	EXPECT_GPR(test, m, RAX, 0x1122334455667777);

	/* XLAT: AL is unsigned */
	GPR(m, RBX) = 0x1000;
	GPR(m, RAX) = 0xff;
	mock_poke(m, 0x10ff, 0x99, 1);
	EXPECT_DONE(test, m, "\xd7");
	EXPECT_GPR(test, m, RAX, 0x99);
}

static void nop_and_xchg(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RAX) = N;
	GPR(m, R8) = 0x77;
	EXPECT_DONE(test, m, "\x90");
	EXPECT_DONE(test, m, "\xf3\x90");
	EXPECT_GPR(test, m, RAX, N);			/* not even the upper half */
	EXPECT_DONE(test, m, "\x49\x90");		/* xchg %r8, %rax */
	EXPECT_GPR(test, m, RAX, 0x77);
	EXPECT_GPR(test, m, R8, N);
	EXPECT_DONE(test, m, "\x0f\x1f\x00");		/* a NOP that names memory reads none */
	EXPECT_DONE(test, m, "\x0f\x18\x00");
}

/* Nothing changes by an instruction that faults. */
static void faults_change_nothing(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);
	u64 before;

	m->readonly = 0x2000;
	GPR(m, RSI) = 0x2000;
	GPR(m, RDI) = MOCK_MEM;
	GPR(m, RAX) = 7;
	m->e.rflags |= X86_EFLAGS_CF | X86_EFLAGS_RF;
	before = m->e.rflags;

	EXPECT_FAULT_CODE(test, m, "\x01\x06", 14, 3);		/* add %eax, (%rsi) */
	KUNIT_EXPECT_EQ(test, m->e.fault.address, 0x2000);
	EXPECT_FAULT_CODE(test, m, "\x87\x06", 14, 3);		/* xchg */
	EXPECT_FAULT_CODE(test, m, "\xf0\x0f\xb1\x0e", 14, 3);	/* lock cmpxchg */
	EXPECT_FAULT_CODE(test, m, "\x0f\xc7\x0e", 14, 3);	/* cmpxchg8b */
	EXPECT_FAULT_CODE(test, m, "\x0f\xc1\x06", 14, 3);	/* xadd */
	EXPECT_FAULT_CODE(test, m, "\x03\x07", 14, 0);		/* add (%rdi), %eax */
	EXPECT_FAULT_CODE(test, m, "\x89\x07", 14, 2);		/* mov %eax, (%rdi) */
	EXPECT_FAULT_CODE(test, m, "\xa4", 14, 2);		/* movsb */
	EXPECT_FAULT_CODE(test, m, "\x6c", 14, 2);		/* insb: the device is not read */
	KUNIT_EXPECT_EQ(test, m->pio_calls, 0u);
	/* a non-canonical address is #GP, with the stack #SS */
	GPR(m, RDI) = 0x800000000000;
	EXPECT_FAULT_CODE(test, m, "\x03\x07", 13, 0);
	GPR(m, RBP) = 0x800000000000;
	EXPECT_FAULT_CODE(test, m, "\x03\x45\x00", 12, 0);
	GPR(m, RDI) = 0x7fffffffffff;			/* its last byte is not canonical */
	EXPECT_FAULT_CODE(test, m, "\x03\x07", 13, 0);
	EXPECT_GPR(test, m, RAX, 7);
	EXPECT_GPR(test, m, RSI, 0x2000);
	KUNIT_EXPECT_EQ(test, m->e.rflags, before);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE);
	KUNIT_EXPECT_EQ(test, m->e.gpr_dirty, 0u);
	KUNIT_EXPECT_EQ(test, m->writes, 0u);
	/* RF ends with the next instruction that is done */
	EXPECT_DONE(test, m, "\x90");
	KUNIT_EXPECT_EQ(test, m->e.rflags, before & ~(u64)X86_EFLAGS_RF);
}

/* Reads that user space answers: carried out anew, one read of the device. */
static void mmio(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RSI) = MOCK_MMIO;
	GPR(m, RAX) = 5;
	m->mmio_val = 0x11223344;
	KUNIT_EXPECT_EQ(test, RUN(m, "\x01\x06"), X86_EMUL_IO_NEEDED);
	EXPECT_GPR(test, m, RAX, 5);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE);
	KUNIT_EXPECT_EQ(test, m->writes, 0u);
	m->mmio_answers = true;
	KUNIT_EXPECT_EQ(test, x86_emul_execute(&m->e), X86_EMUL_CONTINUE);
	KUNIT_EXPECT_EQ(test, m->mmio_val, 0x11223349);
	KUNIT_EXPECT_EQ(test, m->mmio_reads, 1u);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 2);
	/* a write needs no answer */
	m->mmio_answers = false;
	EXPECT_DONE(test, m, "\x89\x06");
	KUNIT_EXPECT_EQ(test, m->mmio_val, 5);
	/* a source that is high: MOVZX, and PUSH of memory */
	m->mmio_answers = true;
	m->mmio_val = 0x80;
	EXPECT_DONE(test, m, "\x0f\xbe\x06");		/* movsbl (%rsi), %eax */
	EXPECT_GPR(test, m, RAX, 0xffffff80);
	EXPECT_DONE(test, m, "\xff\x36");
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, 0x80);
}

/* ---- compare and exchange, bits in memory ------------------------------------------- */

static void cmpxchg_memory(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RSI) = 0x1008;
	GPR(m, RAX) = 0xaa;
	GPR(m, RCX) = 0xbb;
	mock_poke(m, 0x1008, 0xaa, 4);
	EXPECT_DONE(test, m, "\xf0\x0f\xb1\x0e");	/* lock cmpxchg %ecx, (%rsi) */
	EXPECT_MEM(test, m, 0x1008, 4, 0xbb);
	KUNIT_EXPECT_TRUE(test, m->e.rflags & X86_EFLAGS_ZF);
	EXPECT_DONE(test, m, "\xf0\x0f\xb1\x0e");
	EXPECT_GPR(test, m, RAX, 0xbb);
	EXPECT_MEM(test, m, 0x1008, 4, 0xbb);
	KUNIT_EXPECT_FALSE(test, m->e.rflags & X86_EFLAGS_ZF);
	KUNIT_EXPECT_EQ(test, m->locked, 2u);

	/* another CPU was faster: the guest tries again */
	m->lose_races = 1;
	GPR(m, RCX) = 0xcc;
	KUNIT_EXPECT_EQ(test, RUN(m, "\xf0\x0f\xb1\x0e"), X86_EMUL_RETRY_INSTR);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 8);
	EXPECT_MEM(test, m, 0x1008, 4, 0xbb);
	m->lose_races = 1;
	KUNIT_EXPECT_EQ(test, RUN(m, "\xf0\xff\x06"), X86_EMUL_RETRY_INSTR);

	/* CMPXCHG8B and 16B */
	mock_poke(m, 0x1008, 0x1111111122222222, 8);
	GPR(m, RAX) = N << 32 | 0x22222222;
	GPR(m, RDX) = N << 32 | 0x11111111;
	GPR(m, RBX) = 0x33333333;
	GPR(m, RCX) = 0x44444444;
	EXPECT_DONE(test, m, "\xf0\x0f\xc7\x0e");
	EXPECT_MEM(test, m, 0x1008, 8, 0x4444444433333333);
	KUNIT_EXPECT_TRUE(test, m->e.rflags & X86_EFLAGS_ZF);
	EXPECT_DONE(test, m, "\xf0\x0f\xc7\x0e");
	EXPECT_GPR(test, m, RAX, 0x33333333);
	EXPECT_GPR(test, m, RDX, 0x44444444);
	KUNIT_EXPECT_FALSE(test, m->e.rflags & X86_EFLAGS_ZF);
	EXPECT_FAULT_CODE(test, m, "\xf0\x48\x0f\xc7\x0e", 13, 0);	/* not aligned */
	GPR(m, RSI) = 0x1010;
	mock_poke(m, 0x1010, 1, 8);
	mock_poke(m, 0x1018, 2, 8);
	GPR(m, RAX) = 1;
	GPR(m, RDX) = 2;
	EXPECT_DONE(test, m, "\xf0\x48\x0f\xc7\x0e");
	EXPECT_MEM(test, m, 0x1010, 8, 0x33333333);
	EXPECT_MEM(test, m, 0x1018, 8, 0x44444444);
	/* with a register it is no CMPXCHG8B; LOCK needs memory */
	KUNIT_EXPECT_NE(test, RUN(m, "\x0f\xc7\xc8"), X86_EMUL_CONTINUE);
	EXPECT_FAULT(test, m, "\xf0\x01\xc0", 6);
	EXPECT_FAULT(test, m, "\xf0\x39\x06", 6);			/* lock cmp */
	EXPECT_FAULT(test, m, "\xf0\x8b\x06", 6);			/* lock mov */
}

static void bits_in_memory(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RSI) = 0x1000;
	/* an index in a register reaches beyond the operand, both ways */
	GPR(m, RAX) = 67;
	EXPECT_DONE(test, m, "\x0f\xab\x06");		/* bts %eax, (%rsi) */
	EXPECT_MEM(test, m, 0x1008, 4, 8);
	GPR(m, RAX) = (u32)-1;
	EXPECT_DONE(test, m, "\xf0\x0f\xab\x06");
	EXPECT_MEM(test, m, 0xffc, 4, 0x80000000);
	KUNIT_EXPECT_FALSE(test, m->e.rflags & X86_EFLAGS_CF);
	EXPECT_DONE(test, m, "\x0f\xa3\x06");
	KUNIT_EXPECT_TRUE(test, m->e.rflags & X86_EFLAGS_CF);
	EXPECT_DONE(test, m, "\x0f\xb3\x06");		/* btr */
	EXPECT_MEM(test, m, 0xffc, 4, 0);
	GPR(m, RAX) = -64ll;
	EXPECT_DONE(test, m, "\x48\x0f\xbb\x06");	/* btc %rax */
	EXPECT_MEM(test, m, 0xff8, 8, 1);
	GPR(m, RAX) = 0xffff;				/* 16 bits: -1 */
	EXPECT_DONE(test, m, "\x66\x0f\xab\x06");
	EXPECT_MEM(test, m, 0xffe, 2, 0x8000);
	/* an immediate does not reach out */
	EXPECT_DONE(test, m, "\x0f\xba\x2e\x21");	/* btsl $33, (%rsi) */
	EXPECT_MEM(test, m, 0x1000, 4, 2);
}

/* ---- stack -------------------------------------------------------------------------- */

static void push_pop_64(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RAX) = N;
	EXPECT_DONE(test, m, "\x50");
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, N);
	EXPECT_DONE(test, m, "\x66\x50");
	EXPECT_GPR(test, m, RSP, MOCK_STACK - 10);
	EXPECT_DONE(test, m, "\x6a\xff");			/* sign-extended */
	EXPECT_MEM(test, m, MOCK_STACK - 18, 8, ~0ull);
	EXPECT_DONE(test, m, "\x41\x58");			/* pop %r8 */
	EXPECT_GPR(test, m, R8, ~0ull);
	EXPECT_GPR(test, m, RSP, MOCK_STACK - 10);

	/* PUSH RSP pushes the old value, POP RSP keeps what is popped */
	GPR(m, RSP) = MOCK_STACK;
	EXPECT_DONE(test, m, "\x54");
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, MOCK_STACK);
	mock_poke(m, MOCK_STACK - 8, 0x2800, 8);
	EXPECT_DONE(test, m, "\x5c");
	EXPECT_GPR(test, m, RSP, 0x2800);

	/* POP to memory that RSP names: RSP after the pop counts */
	GPR(m, RSP) = MOCK_STACK;
	mock_poke(m, MOCK_STACK, 0x1234, 8);
	EXPECT_DONE(test, m, "\x8f\x04\x24");			/* pop (%rsp) */
	EXPECT_MEM(test, m, MOCK_STACK + 8, 8, 0x1234);
	EXPECT_GPR(test, m, RSP, MOCK_STACK + 8);

	EXPECT_FAULT(test, m, "\x60", 6);			/* no PUSHA in 64-bit mode */
	GPR(m, RSP) = 0x800000000004;
	EXPECT_FAULT_CODE(test, m, "\x50", 12, 0);
	EXPECT_GPR(test, m, RSP, 0x800000000004);

	/* ENTER 16, 0 and LEAVE */
	GPR(m, RSP) = MOCK_STACK;
	GPR(m, RBP) = N;
	EXPECT_DONE(test, m, "\xc8\x10\x00\x00");
	EXPECT_GPR(test, m, RBP, MOCK_STACK - 8);
	EXPECT_GPR(test, m, RSP, MOCK_STACK - 24);
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, N);
	EXPECT_DONE(test, m, "\xc9");
	EXPECT_GPR(test, m, RBP, N);
	EXPECT_GPR(test, m, RSP, MOCK_STACK);

	/* ENTER 8, 2 copies one frame pointer and adds its own */
	GPR(m, RBP) = 0x2000;
	mock_poke(m, 0x2000 - 8, 0x77, 8);
	EXPECT_DONE(test, m, "\xc8\x08\x00\x02");
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, 0x2000);
	EXPECT_MEM(test, m, MOCK_STACK - 16, 8, 0x77);
	EXPECT_MEM(test, m, MOCK_STACK - 24, 8, MOCK_STACK - 8);
	EXPECT_GPR(test, m, RBP, MOCK_STACK - 8);
	EXPECT_GPR(test, m, RSP, MOCK_STACK - 32);
}

static void push_pop_16_32(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_REAL);
	static const u16 order[8] = { 1, 2, 3, 4, 0x100, 6, 7, 8 };
	int i;

	/* SP wraps at 64 KiB: the upper half of ESP is not touched */
	m->seg[X86_SEG_SS].base = 0x1000;
	for (i = 0; i < 8; i++)
		m->e.gpr[i] = i + 1;
	GPR(m, RSP) = 0xabcd0100;
	EXPECT_DONE(test, m, "\x60");			/* PUSHA */
	EXPECT_GPR(test, m, RSP, 0xabcd00f0);
	for (i = 0; i < 8; i++)
		EXPECT_MEM(test, m, 0x10fe - 2 * i, 2, order[i]);
	for (i = 0; i < 8; i++)
		if (i != X86_GPR_RSP)
			m->e.gpr[i] = 0xffff0000;
	mock_poke(m, 0x10f6, 0xdead, 2);		/* POPA skips SP */
	EXPECT_DONE(test, m, "\x61");
	EXPECT_GPR(test, m, RSP, 0xabcd0100);
	EXPECT_GPR(test, m, RAX, 0xffff0001);
	EXPECT_GPR(test, m, RDI, 0xffff0008);
	EXPECT_DONE(test, m, "\x66\x60");		/* PUSHAD */
	EXPECT_GPR(test, m, RSP, 0xabcd00e0);
	EXPECT_MEM(test, m, 0x10fc, 4, 0xffff0001);
	GPR(m, RSP) = 0xabcd0001;
	EXPECT_FAULT(test, m, "\x50", 12);		/* a word at FFFF */

	m = mock_create(test, X86_MODE_PROT32);
	/* a 16-bit stack in 32-bit code */
	m->seg[X86_SEG_SS].db = 0;
	GPR(m, RSP) = 0x50002000;
	EXPECT_DONE(test, m, "\x50");
	EXPECT_GPR(test, m, RSP, 0x50001ffc);
	/* the limit; and expand-down, where it is the other way round */
	m->seg[X86_SEG_SS].limit = 0x1fff;
	GPR(m, RSP) = 0x2002;
	EXPECT_FAULT_CODE(test, m, "\x50", 12, 0);
	m->seg[X86_SEG_SS].type = 7;
	GPR(m, RSP) = 0x2002;
	EXPECT_FAULT_CODE(test, m, "\x50", 12, 0);
	GPR(m, RSP) = 0x2004;
	EXPECT_DONE(test, m, "\x50");
	/* a segment that may not be written */
	m->seg[X86_SEG_DS].type = 1;
	GPR(m, RSI) = 0x1000;
	EXPECT_FAULT_CODE(test, m, "\x89\x06", 13, 0);
	EXPECT_DONE(test, m, "\x8b\x06");
	/* nor read; nor used at all */
	m->seg[X86_SEG_DS].type = 9;
	EXPECT_FAULT_CODE(test, m, "\x8b\x06", 13, 0);
	m->seg[X86_SEG_ES].unusable = 1;
	EXPECT_FAULT_CODE(test, m, "\x26\x8b\x06", 13, 0);
	/* addresses wrap at 4 GiB */
	m->seg[X86_SEG_FS].base = 0xfffff000;
	GPR(m, RSI) = 0x2000;
	mock_poke(m, 0x1000, 0x77, 4);
	EXPECT_DONE(test, m, "\x64\x8b\x06");
	EXPECT_GPR(test, m, RAX, 0x77);
}

static void flags_on_the_stack(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);
	const u64 may = 0x200 | 0x3000;		/* IF, IOPL */
	static const struct {
		u8 cpl, iopl;
		u64 kept;		/* of IF and IOPL: not changed */
	} c[] = {
		{ 0, 0, 0 }, { 0, 3, 0 }, { 1, 0, 0x3200 }, { 1, 1, 0x3000 }, { 3, 2, 0x3200 },
		{ 3, 3, 0x3000 },
	};
	unsigned int i;

	/* RF and VM are not seen */
	m->e.rflags = 0x30ed7 | X86_EFLAGS_ID;
	EXPECT_DONE(test, m, "\x9c");
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, 0xed7 | X86_EFLAGS_ID);

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		u64 old = X86_EFLAGS_FIXED | c[i].iopl << 12;

		m->cpl = c[i].cpl;
		m->e.rflags = old;
		GPR(m, RSP) = MOCK_STACK;
		/* all that may be set, and what must not: VM, VIF, VIP, reserved */
		mock_poke(m, MOCK_STACK, ~0ull, 8);
		EXPECT_DONE(test, m, "\x9d");
		KUNIT_EXPECT_EQ_MSG(test, m->e.rflags & may,
				    (may & ~c[i].kept) | (old & may & c[i].kept), "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, m->e.rflags & ~may, 0x244dd7 & ~may, "case %u", i);
		/* 16 bits leave the upper half */
		mock_poke(m, MOCK_STACK + 8, 0, 8);
		EXPECT_DONE(test, m, "\x66\x9d");
		KUNIT_EXPECT_EQ(test, m->e.rflags & 0xffff0000, 0x240000);
	}

	/* virtual-8086 mode: #GP below IOPL 3 */
	m = mock_create(test, X86_MODE_VM86);
	EXPECT_FAULT_CODE(test, m, "\x9c", 13, 0);
	EXPECT_FAULT_CODE(test, m, "\x9d", 13, 0);
	EXPECT_FAULT_CODE(test, m, "\xfa", 13, 0);
	m->e.rflags |= X86_EFLAGS_IOPL;
	mock_poke(m, MOCK_STACK, 0x202, 2);
	EXPECT_DONE(test, m, "\x9d");
	KUNIT_EXPECT_EQ(test, m->e.rflags, (u64)(X86_EFLAGS_VM | 0x3202));
}

/* ---- near jumps --------------------------------------------------------------------- */

static void calls(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	EXPECT_DONE(test, m, "\xe8\xfb\x00\x00\x00");		/* call +0xfb */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 0x100);
	EXPECT_MEM(test, m, MOCK_STACK - 8, 8, MOCK_CODE + 5);
	EXPECT_DONE(test, m, "\xc2\x10\x00");			/* ret 16 */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 5);
	EXPECT_GPR(test, m, RSP, MOCK_STACK + 16);
	GPR(m, RAX) = 0x400;
	EXPECT_DONE(test, m, "\xff\xd0");			/* call *%rax */
	KUNIT_EXPECT_EQ(test, m->e.rip, 0x400);
	EXPECT_DONE(test, m, "\xeb\xfe");			/* jmp . */
	KUNIT_EXPECT_EQ(test, m->e.rip, 0x400);
	mock_poke(m, 0x1000, 0x500, 8);
	GPR(m, RSI) = 0x1000;
	EXPECT_DONE(test, m, "\xff\x26");			/* jmp *(%rsi) */
	KUNIT_EXPECT_EQ(test, m->e.rip, 0x500);

	/* a target that is no address: nothing is pushed, nothing popped */
	GPR(m, RAX) = 0x800000000000;
	GPR(m, RSP) = MOCK_STACK;
	m->writes = 0;
	EXPECT_FAULT_CODE(test, m, "\xff\xd0", 13, 0);
	EXPECT_FAULT_CODE(test, m, "\xff\xe0", 13, 0);
	KUNIT_EXPECT_EQ(test, m->writes, 0u);
	mock_poke(m, MOCK_STACK, 0x800000000000, 8);
	EXPECT_FAULT_CODE(test, m, "\xc3", 13, 0);
	EXPECT_GPR(test, m, RSP, MOCK_STACK);

	m = mock_create(test, X86_MODE_PROT32);
	m->seg[X86_SEG_CS].limit = 0xfff;
	GPR(m, RAX) = 0x1000;
	EXPECT_FAULT_CODE(test, m, "\xff\xe0", 13, 0);
	GPR(m, RAX) = 0xfff;
	EXPECT_DONE(test, m, "\xff\xe0");
	m->e.rip = 0xfff;
	m->e.gpr[X86_GPR_RAX] = 0;
	/* 16-bit operands cut the target */
	m->e.rip = 0xff0;
	EXPECT_DONE(test, m, "\x66\xe9\x0f\xf0");		/* ff4 + f00f = 10003 */
	KUNIT_EXPECT_EQ(test, m->e.rip, 3);
}

static void loops(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	GPR(m, RCX) = 0x100000001;
	EXPECT_DONE(test, m, "\x67\xe2\x10");			/* ECX: 1 to 0 */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 3);
	EXPECT_GPR(test, m, RCX, 0);				/* 32 bits are written */
	EXPECT_DONE(test, m, "\xe2\xfe");			/* 0 to -1: taken */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 3);
	EXPECT_GPR(test, m, RCX, ~0ull);
	m->e.rflags &= ~(u64)X86_EFLAGS_ZF;
	EXPECT_DONE(test, m, "\xe1\x10");			/* LOOPE, ZF clear */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 5);
	EXPECT_DONE(test, m, "\xe0\x10");			/* LOOPNE */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 0x17);
	EXPECT_DONE(test, m, "\xe3\x10");			/* JRCXZ */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 0x19);
	GPR(m, RCX) = 1ull << 32;
	EXPECT_DONE(test, m, "\xe3\x10");
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 0x1b);
	EXPECT_DONE(test, m, "\x67\xe3\x10");			/* JECXZ */
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 0x2e);
}

/* ---- strings ------------------------------------------------------------------------ */

static void strings(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);
	int i, r, rounds = 0;

	for (i = 0; i < 64; i++)
		m->mem[0x1000 + i] = i;
	/* REP MOVSQ, a round an element, rip stays until the last */
	GPR(m, RSI) = 0x1000;
	GPR(m, RDI) = 0x1800;
	GPR(m, RCX) = 4;
	for (r = mock_once(m, "\xf3\x48\xa5", 3); r == X86_EMUL_RESTART; rounds++) {
		KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE);
		EXPECT_GPR(test, m, RCX, 3 - rounds);
		r = x86_emul_execute(&m->e);
	}
	KUNIT_EXPECT_EQ(test, r, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_EQ(test, rounds, 3);
	KUNIT_EXPECT_EQ(test, memcmp(m->mem + 0x1000, m->mem + 0x1800, 32), 0);
	EXPECT_MEM(test, m, 0x1820, 8, 0);
	EXPECT_GPR(test, m, RSI, 0x1020);
	EXPECT_GPR(test, m, RDI, 0x1820);
	EXPECT_GPR(test, m, RCX, 0);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE + 3);

	/* downwards; counts and addresses of 32 bits clear the upper halves */
	m->e.rflags |= X86_EFLAGS_DF;
	GPR(m, RSI) = N << 32 | 0x1003;
	GPR(m, RDI) = N << 32 | 0x1903;
	GPR(m, RCX) = N << 32 | 4;
	EXPECT_DONE(test, m, "\x67\xf3\xa4");
	EXPECT_MEM(test, m, 0x1900, 4, 0x03020100);
	EXPECT_GPR(test, m, RSI, 0xfff);
	EXPECT_GPR(test, m, RDI, 0x18ff);
	EXPECT_GPR(test, m, RCX, 0);
	m->e.rflags &= ~(u64)X86_EFLAGS_DF;

	/* no count: nothing is accessed or changed */
	GPR(m, RSI) = 0x800000000000;
	EXPECT_DONE(test, m, "\xf3\xa4");
	EXPECT_GPR(test, m, RSI, 0x800000000000);

	/* STOS, LODS */
	GPR(m, RAX) = 0x1122334455667788;
	GPR(m, RDI) = 0x1a00;
	GPR(m, RCX) = 3;
	EXPECT_DONE(test, m, "\xf3\x66\xab");
	EXPECT_MEM(test, m, 0x1a00, 8, 0x0000778877887788);
	EXPECT_GPR(test, m, RDI, 0x1a06);
	GPR(m, RSI) = 0x1010;
	EXPECT_DONE(test, m, "\xac");
	EXPECT_GPR(test, m, RAX, 0x1122334455667710);
	EXPECT_DONE(test, m, "\xad");
	EXPECT_GPR(test, m, RAX, 0x14131211);

	/* REPNE SCASB finds, and stops behind */
	GPR(m, RDI) = 0x1000;
	GPR(m, RCX) = 0x100;
	GPR(m, RAX) = 0x07;
	EXPECT_DONE(test, m, "\xf2\xae");
	EXPECT_GPR(test, m, RDI, 0x1008);
	EXPECT_GPR(test, m, RCX, 0xf8);
	KUNIT_EXPECT_TRUE(test, m->e.rflags & X86_EFLAGS_ZF);
	/* ... or not */
	GPR(m, RDI) = 0x1000;
	GPR(m, RCX) = 7;
	EXPECT_DONE(test, m, "\xf2\xae");
	EXPECT_GPR(test, m, RCX, 0);
	KUNIT_EXPECT_FALSE(test, m->e.rflags & X86_EFLAGS_ZF);

	/* REPE CMPSL: the flags are those of source minus destination */
	memcpy(m->mem + 0x1800, m->mem + 0x1000, 64);
	m->mem[0x1808] = 0x70;
	GPR(m, RSI) = 0x1000;
	GPR(m, RDI) = 0x1800;
	GPR(m, RCX) = 16;
	EXPECT_DONE(test, m, "\xf3\xa7");
	EXPECT_GPR(test, m, RCX, 13);
	EXPECT_GPR(test, m, RSI, 0x100c);
	KUNIT_EXPECT_EQ(test, m->e.rflags & (X86_EFLAGS_ZF | X86_EFLAGS_CF), X86_EFLAGS_CF);
}

static void string_faults(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);

	/* the third element faults: what was done before it stays */
	m->readonly = 0x2000;
	GPR(m, RAX) = 0x77;
	GPR(m, RDI) = 0x1ffe;
	GPR(m, RCX) = 5;
	EXPECT_FAULT_CODE(test, m, "\xf3\xaa", 14, 3);
	EXPECT_GPR(test, m, RDI, 0x2000);
	EXPECT_GPR(test, m, RCX, 3);
	EXPECT_MEM(test, m, 0x1ffe, 4, 0x7777);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE);

	/* single-stepped, each round is a step */
	GPR(m, RDI) = 0x1000;
	GPR(m, RCX) = 3;
	m->e.rflags |= X86_EFLAGS_TF;
	KUNIT_EXPECT_EQ(test, mock_once(m, "\xf3\xaa", 2), X86_EMUL_CONTINUE);
	KUNIT_EXPECT_TRUE(test, m->e.tf);
	KUNIT_EXPECT_EQ(test, m->e.rip, MOCK_CODE);
	EXPECT_GPR(test, m, RCX, 2);

	/* in real mode offsets wrap; the override changes the source only */
	m = mock_create(test, X86_MODE_REAL);
	m->seg[X86_SEG_FS].base = 0x1000;
	m->seg[X86_SEG_ES].base = 0x2000;
	m->mem[0x1005] = 0x42;
	GPR(m, RSI) = 0xffff0005;
	GPR(m, RDI) = 0xffff0006;
	EXPECT_DONE(test, m, "\x64\xa4");
	EXPECT_MEM(test, m, 0x2006, 1, 0x42);
	EXPECT_GPR(test, m, RSI, 0xffff0006);
	GPR(m, RDI) = 0x7fff0000;
	m->e.rflags |= X86_EFLAGS_DF;
	EXPECT_DONE(test, m, "\xaa");
	EXPECT_GPR(test, m, RDI, 0x7fffffff);
}

/* ---- ports -------------------------------------------------------------------------- */

static void ports(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT64);
	unsigned int i;

	GPR(m, RAX) = N;
	m->pio_next = 0x10;
	EXPECT_DONE(test, m, "\xe4\x80");			/* in $0x80, %al */
	EXPECT_GPR(test, m, RAX, (N & ~0xffull) | 0x10);
	KUNIT_EXPECT_EQ(test, m->port, 0x80);
	GPR(m, RDX) = 0x12345678;
	EXPECT_DONE(test, m, "\x66\xed");
	EXPECT_GPR(test, m, RAX, (N & ~0xffffull) | 0x1211);
	KUNIT_EXPECT_EQ(test, m->port, 0x5678);
	EXPECT_DONE(test, m, "\x48\xed");			/* never wider than 32 bits */
	EXPECT_GPR(test, m, RAX, 0x16151413);
	KUNIT_EXPECT_EQ(test, m->pio_size, 4u);
	EXPECT_DONE(test, m, "\xef");
	KUNIT_EXPECT_EQ(test, memcmp(m->pio_buf, "\x13\x14\x15\x16", 4), 0);

	/* user space is asked; then the same again */
	m->pio_pending = true;
	GPR(m, RAX) = 0;
	KUNIT_EXPECT_EQ(test, RUN(m, "\xec"), X86_EMUL_IO_NEEDED);
	EXPECT_GPR(test, m, RAX, 0);
	KUNIT_EXPECT_EQ(test, x86_emul_execute(&m->e), X86_EMUL_CONTINUE);
	EXPECT_GPR(test, m, RAX, 0x17);

	/* REP INSW: in transfers of at most 128, none across a page */
	m->pio_calls = 0;
	m->pio_next = 0;
	GPR(m, RDI) = 0x1f00;
	GPR(m, RCX) = 300;
	EXPECT_DONE(test, m, "\xf3\x66\x6d");
	EXPECT_GPR(test, m, RDI, 0x1f00 + 600);
	EXPECT_GPR(test, m, RCX, 0);
	KUNIT_EXPECT_EQ(test, m->pio_calls, 3u);
	for (i = 0; i < 600; i++)
		if (m->mem[0x1f00 + i] != (u8)i)
			KUNIT_FAIL(test, "byte %u is %x", i, m->mem[0x1f00 + i]);

	/* REP OUTSB downwards: one by one */
	m->pio_calls = 0;
	m->e.rflags |= X86_EFLAGS_DF;
	GPR(m, RSI) = 0x1f04;
	GPR(m, RCX) = 3;
	EXPECT_DONE(test, m, "\xf3\x6e");
	KUNIT_EXPECT_EQ(test, m->pio_calls, 3u);
	KUNIT_EXPECT_EQ(test, m->pio_buf[0], 2);
	EXPECT_GPR(test, m, RSI, 0x1f01);
}

static void port_permission(struct kunit *test)
{
	struct mock *m = mock_create(test, X86_MODE_PROT32);
	const unsigned int map = 0x88;

	/* CPL above IOPL: the map in the TSS decides */
	m->cpl = 3;
	mock_poke(m, MOCK_TSS + 102, map, 2);
	memset(m->mem + MOCK_TSS + map, 0xff, 0x20);
	m->mem[MOCK_TSS + map + 0x60 / 8] = 0xfe;		/* port 60 is open */
	EXPECT_DONE(test, m, "\xe4\x60");
	EXPECT_FAULT_CODE(test, m, "\xe4\x61", 13, 0);
	EXPECT_FAULT_CODE(test, m, "\x66\xe5\x60", 13, 0);	/* 61 is not */
	m->mem[MOCK_TSS + map + 0x60 / 8] = 0x7f;		/* 67: a word needs 68 as well */
	EXPECT_DONE(test, m, "\xe4\x67");
	EXPECT_FAULT_CODE(test, m, "\x66\xe5\x67", 13, 0);
	m->mem[MOCK_TSS + map + 0x68 / 8] = 0xfe;
	EXPECT_DONE(test, m, "\x66\xe5\x67");
	KUNIT_EXPECT_EQ(test, m->pio_calls, 3u);

	/* both bytes of the map must be within the limit */
	m->seg[X86_SEG_TR].limit = map + 0x60 / 8 + 1;
	m->mem[MOCK_TSS + map + 0x60 / 8] = 0xfe;
	EXPECT_DONE(test, m, "\xe4\x60");
	m->seg[X86_SEG_TR].limit = map + 0x60 / 8;
	EXPECT_FAULT_CODE(test, m, "\xe4\x60", 13, 0);
	/* a TSS of 16 bits has no map */
	m->seg[X86_SEG_TR].limit = 0x1fff;
	m->seg[X86_SEG_TR].type = 3;
	EXPECT_FAULT_CODE(test, m, "\xe4\x60", 13, 0);
	/* with IOPL the map is not looked at; in virtual-8086 mode always */
	m->e.rflags |= X86_EFLAGS_IOPL;
	EXPECT_DONE(test, m, "\xe4\x61");
	m = mock_create(test, X86_MODE_VM86);
	m->e.rflags |= X86_EFLAGS_IOPL;
	mock_poke(m, MOCK_TSS + 102, map, 2);
	memset(m->mem + MOCK_TSS + map, 0xff, 0x20);
	EXPECT_FAULT_CODE(test, m, "\xe4\x61", 13, 0);
}

static struct kunit_case exec_cases[] = {
	KUNIT_CASE(memory_operands),
	KUNIT_CASE(nop_and_xchg),
	KUNIT_CASE(faults_change_nothing),
	KUNIT_CASE(mmio),
	KUNIT_CASE(cmpxchg_memory),
	KUNIT_CASE(bits_in_memory),
	KUNIT_CASE(push_pop_64),
	KUNIT_CASE(push_pop_16_32),
	KUNIT_CASE(flags_on_the_stack),
	KUNIT_CASE(calls),
	KUNIT_CASE(loops),
	KUNIT_CASE(strings),
	KUNIT_CASE(string_faults),
	KUNIT_CASE(ports),
	KUNIT_CASE(port_permission),
	{}
};

struct kunit_suite kvm_emul_exec_suite = {
	.name = "kvm-emul-exec",
	.test_cases = exec_cases,
};
