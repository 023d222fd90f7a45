// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic of the emulator: each instruction is also run by the CPU that the test
 * runs on, with the same operands and flags, and must give the same; what a kernel
 * cannot run (faults, instructions of 32-bit mode) is checked against a table of
 * results worked out from the manual (AMD64 APM vol. 3).
 */
#include <kunit/test.h>

#include "tests/kunit/emul_mock.h"
#include "tests/kunit/suites.h"

#define CF	X86_EFLAGS_CF
#define PF	X86_EFLAGS_PF
#define AF	X86_EFLAGS_AF
#define ZF	X86_EFLAGS_ZF
#define SF	X86_EFLAGS_SF
#define OF	X86_EFLAGS_OF
#define ARITH	(CF | PF | AF | ZF | SF | OF)

struct native {
	unsigned long a, c, d, b, flags;
	const u8 *insn, *end;
};

/* The CPU's own answer, and where the instruction's bytes are. */
#define NATIVE(name, text)							\
static void name(struct native *n)						\
{										\
	asm volatile("leaq 771f(%%rip), %[insn]\n\t"				\
		     "leaq 772f(%%rip), %[end]\n\t"				\
		     "pushfq\n\t"						\
		     "andq $~0x8d5, (%%rsp)\n\t"				\
		     "orq %[flags], (%%rsp)\n\t"				\
		     "popfq\n"							\
		     "771:\t" text "\n"						\
		     "772:\tpushfq\n\t"						\
		     "popq %[flags]"						\
		     : [insn] "=&r" (n->insn), [end] "=&r" (n->end),		\
		       [flags] "+r" (n->flags),					\
		       "+a" (n->a), "+c" (n->c), "+d" (n->d), "+b" (n->b)	\
		     : : "cc");							\
	n->flags &= ARITH;							\
}

#define NATIVE4(op, b, w, l, q)							\
	struct native;								\
	NATIVE(n_##op##_b, #op "b " b)						\
	NATIVE(n_##op##_w, #op "w " w)						\
	NATIVE(n_##op##_l, #op "l " l)						\
	NATIVE(n_##op##_q, #op "q " q)

/* with two registers, with one, by CL; and what has no form of 8 bits */
#define NATIVE_RR(op)	NATIVE4(op, "%%dl, %%al", "%%dx, %%ax", "%%edx, %%eax", "%%rdx, %%rax")
#define NATIVE_R(op)	NATIVE4(op, "%%al", "%%ax", "%%eax", "%%rax")
#define NATIVE_CL(op)	NATIVE4(op, "%%cl, %%al", "%%cl, %%ax", "%%cl, %%eax", "%%cl, %%rax")
#define NATIVE_WLQ(name, op)							\
	struct native;								\
	NATIVE(n_##name##_w, #op "w %%dx, %%ax")				\
	NATIVE(n_##name##_l, #op "l %%edx, %%eax")				\
	NATIVE(n_##name##_q, #op "q %%rdx, %%rax")

NATIVE_RR(add)
NATIVE_RR(or)
NATIVE_RR(adc)
NATIVE_RR(sbb)
NATIVE_RR(and)
NATIVE_RR(sub)
NATIVE_RR(xor)
NATIVE_RR(cmp)
NATIVE_RR(test)
NATIVE_RR(xadd)
NATIVE_RR(xchg)
NATIVE_RR(cmpxchg)
NATIVE_R(inc)
NATIVE_R(dec)
NATIVE_R(not)
NATIVE_R(neg)
NATIVE_R(mul)
NATIVE_R(imul)
NATIVE_CL(rol)
NATIVE_CL(ror)
NATIVE_CL(rcl)
NATIVE_CL(rcr)
NATIVE_CL(shl)
NATIVE_CL(shr)
NATIVE_CL(sar)
NATIVE_WLQ(imul2, imul)
NATIVE_WLQ(bt, bt)
NATIVE_WLQ(bts, bts)
NATIVE_WLQ(btr, btr)
NATIVE_WLQ(btc, btc)
NATIVE_WLQ(cmovbe, cmovbe)
NATIVE_WLQ(cmovl, cmovl)
NATIVE(n_imul3_w, "imulw $-3, %%dx, %%ax")
NATIVE(n_imul3_l, "imull $0x12345, %%edx, %%eax")
NATIVE(n_imul3_q, "imulq $-77, %%rdx, %%rax")
NATIVE(n_shld_w, "shldw %%cl, %%dx, %%ax")
NATIVE(n_shld_l, "shldl %%cl, %%edx, %%eax")
NATIVE(n_shld_q, "shldq %%cl, %%rdx, %%rax")
NATIVE(n_shrd_w, "shrdw %%cl, %%dx, %%ax")
NATIVE(n_shrd_l, "shrdl %%cl, %%edx, %%eax")
NATIVE(n_shrd_q, "shrdq %%cl, %%rdx, %%rax")
NATIVE(n_bsf_l, "bsfl %%edx, %%ebx")
NATIVE(n_bsf_q, "bsfq %%rdx, %%rbx")
NATIVE(n_bsr_l, "bsrl %%edx, %%ebx")
NATIVE(n_bsr_q, "bsrq %%rdx, %%rbx")
NATIVE(n_bswap_l, "bswapl %%eax")
NATIVE(n_bswap_q, "bswapq %%rax")
NATIVE(n_movzbl, "movzbl %%dl, %%eax")
NATIVE(n_movzwq, "movzwq %%dx, %%rax")
NATIVE(n_movsbw, "movsbw %%dl, %%ax")
NATIVE(n_movsbl, "movsbl %%dh, %%eax")
NATIVE(n_movswq, "movswq %%dx, %%rax")
NATIVE(n_movslq, "movslq %%edx, %%rax")
NATIVE(n_high, "addb %%dh, %%ah")
NATIVE(n_xchg_high, "xchgb %%dl, %%bh")
NATIVE(n_xadd_high, "xaddb %%dh, %%al")
NATIVE(n_cbw, "cbtw")
NATIVE(n_cwde, "cwtl")
NATIVE(n_cdqe, "cltq")
NATIVE(n_cwd, "cwtd")
NATIVE(n_cdq, "cltd")
NATIVE(n_cqo, "cqto")
NATIVE(n_lahf, "lahf")
NATIVE(n_sahf, "sahf")
NATIVE(n_cmc, "cmc")
NATIVE(n_clc, "clc")
NATIVE(n_stc, "stc")
NATIVE(n_setb, "setb %%dl")
NATIVE(n_setle, "setle %%bh")
NATIVE(n_setnp, "setnp %%al")
NATIVE(n_lea, "leaq 0x77(%%rax,%%rdx,8), %%rbx")
NATIVE(n_lea_32, "leal 0x77(%%eax,%%edx,4), %%ebx")
NATIVE(n_add_imm8, "addq $-5, %%rdx")
NATIVE(n_sub_imm32, "subq $0x12345678, %%rdx")
NATIVE(n_xor_imm16, "xorw $0x8001, %%bx")
NATIVE(n_mov_imm64, "movabsq $0x8877665544332211, %%rbx")
NATIVE(n_mov_high, "movb $0x5a, %%ch")

/* SHIFT: by CL; OF is defined for a count of 1 only */
enum { PLAIN, SHIFT, ROTATE, DOUBLE, ZERO_SOURCE };

struct arith {
	void (*native[4])(struct native *n);	/* by size, where there are several */
	const char *name;
	u32 undefined;				/* flags that the manual leaves undefined */
	u8 kind;
};

#define ONE(name, undef, kind)	{ { n_##name }, #name, undef, kind }
#define SIZES4(name, undef, kind) \
	{ { n_##name##_b, n_##name##_w, n_##name##_l, n_##name##_q }, #name, undef, kind }
#define SIZES3(name, undef, kind) \
	{ { NULL, n_##name##_w, n_##name##_l, n_##name##_q }, #name, undef, kind }

static const struct arith ariths[] = {
	SIZES4(add, 0, PLAIN), SIZES4(or, AF, PLAIN), SIZES4(adc, 0, PLAIN),
	SIZES4(sbb, 0, PLAIN), SIZES4(and, AF, PLAIN), SIZES4(sub, 0, PLAIN),
	SIZES4(xor, AF, PLAIN), SIZES4(cmp, 0, PLAIN), SIZES4(test, AF, PLAIN),
	SIZES4(xadd, 0, PLAIN), SIZES4(xchg, 0, PLAIN), SIZES4(cmpxchg, 0, PLAIN),
	SIZES4(inc, 0, PLAIN), SIZES4(dec, 0, PLAIN), SIZES4(not, 0, PLAIN),
	SIZES4(neg, 0, PLAIN), SIZES4(mul, SF | ZF | AF | PF, PLAIN),
	SIZES4(imul, SF | ZF | AF | PF, PLAIN), SIZES3(imul2, SF | ZF | AF | PF, PLAIN),
	SIZES3(imul3, SF | ZF | AF | PF, PLAIN),
	SIZES4(rol, 0, ROTATE), SIZES4(ror, 0, ROTATE), SIZES4(rcl, 0, ROTATE),
	SIZES4(rcr, 0, ROTATE), SIZES4(shl, AF, SHIFT), SIZES4(shr, AF, SHIFT),
	SIZES4(sar, AF, SHIFT), SIZES3(shld, AF, DOUBLE), SIZES3(shrd, AF, DOUBLE),
	SIZES3(bt, OF | SF | AF | PF, PLAIN), SIZES3(bts, OF | SF | AF | PF, PLAIN),
	SIZES3(btr, OF | SF | AF | PF, PLAIN), SIZES3(btc, OF | SF | AF | PF, PLAIN),
	SIZES3(cmovbe, 0, PLAIN), SIZES3(cmovl, 0, PLAIN),
	ONE(bsf_l, ARITH & ~ZF, ZERO_SOURCE), ONE(bsf_q, ARITH & ~ZF, ZERO_SOURCE),
	ONE(bsr_l, ARITH & ~ZF, ZERO_SOURCE), ONE(bsr_q, ARITH & ~ZF, ZERO_SOURCE),
	ONE(bswap_l, 0, PLAIN), ONE(bswap_q, 0, PLAIN), ONE(movzbl, 0, PLAIN),
	ONE(movzwq, 0, PLAIN), ONE(movsbw, 0, PLAIN), ONE(movsbl, 0, PLAIN),
	ONE(movswq, 0, PLAIN), ONE(movslq, 0, PLAIN), ONE(high, 0, PLAIN),
	ONE(xchg_high, 0, PLAIN), ONE(xadd_high, 0, PLAIN), ONE(cbw, 0, PLAIN),
	ONE(cwde, 0, PLAIN), ONE(cdqe, 0, PLAIN), ONE(cwd, 0, PLAIN), ONE(cdq, 0, PLAIN),
	ONE(cqo, 0, PLAIN), ONE(lahf, 0, PLAIN), ONE(sahf, 0, PLAIN), ONE(cmc, 0, PLAIN),
	ONE(clc, 0, PLAIN), ONE(stc, 0, PLAIN), ONE(setb, 0, PLAIN), ONE(setle, 0, PLAIN),
	ONE(setnp, 0, PLAIN), ONE(lea, 0, PLAIN), ONE(lea_32, 0, PLAIN),
	ONE(add_imm8, 0, PLAIN), ONE(sub_imm32, 0, PLAIN), ONE(xor_imm16, AF, PLAIN),
	ONE(mov_imm64, 0, PLAIN), ONE(mov_high, 0, PLAIN),
};

/* What is undefined for these operands beyond the instruction's own; ~0: do not compare. */
static u32 undefined(const struct arith *a, unsigned int size, u64 c, u64 d)
{
	unsigned int count = c & (size == 3 ? 63 : 31), bits = 8 << size;
	u32 of = count == 1 ? 0 : OF;

	switch (a->kind) {
	case ROTATE:
		return count ? of : 0;
	case SHIFT:
		if (!count)
			return 0;
		return a->undefined | of | (count >= bits ? CF : 0);
	case DOUBLE:
		if (!count)
			return 0;
		return count > bits ? ~0u : a->undefined | of;
	case ZERO_SOURCE:
		/* the vendors differ in what becomes of the destination, so b is not d's */
		return (u32)d ? a->undefined : ~0u;
	}
	return a->undefined;
}

static const u64 values[] = {
	0, 1, 2, 0x0f, 0x10, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x1234567, 0x7fffffff, 0x80000000,
	0xffffffff, 0x8000000000000000, 0x7fffffffffffffff, 0xffffffffffffffff, 0xa5a55a5a0ff01234,
};

/* One instruction with one set of operands: true when emulator and CPU agree. */
static bool agrees(struct kunit *test, struct mock *m, const struct arith *a, unsigned int size,
		   struct native n)
{
	u32 undef = undefined(a, size, n.c, n.d);
	struct native in = n;
	int r;

	if (undef == ~0u)
		return true;
	m->e.gpr[X86_GPR_RAX] = n.a;
	m->e.gpr[X86_GPR_RCX] = n.c;
	m->e.gpr[X86_GPR_RDX] = n.d;
	m->e.gpr[X86_GPR_RBX] = n.b;
	m->e.rflags = X86_EFLAGS_FIXED | n.flags;
	m->e.rip = MOCK_CODE;
	a->native[size](&n);
	r = mock_run(m, n.insn, n.end - n.insn);
	if (r == X86_EMUL_CONTINUE && m->e.rip == MOCK_CODE + (n.end - n.insn) &&
	    m->e.gpr[X86_GPR_RAX] == n.a && m->e.gpr[X86_GPR_RCX] == n.c &&
	    m->e.gpr[X86_GPR_RDX] == n.d && m->e.gpr[X86_GPR_RBX] == n.b &&
	    !((m->e.rflags ^ n.flags) & ARITH & ~undef))
		return true;
	kunit_info(test, "%s, size %u: a %lx c %lx d %lx flags %lx: result %d\n", a->name, size,
		   in.a, in.c, in.d, in.flags, r);
	kunit_info(test, " is  %llx %llx %llx %llx flags %llx\n", m->e.gpr[X86_GPR_RAX],
		   m->e.gpr[X86_GPR_RCX], m->e.gpr[X86_GPR_RDX], m->e.gpr[X86_GPR_RBX],
		   m->e.rflags & ARITH);
	kunit_info(test, " CPU %lx %lx %lx %lx flags %lx\n", n.a, n.c, n.d, n.b, n.flags);
	return false;
}

static void like_the_cpu(struct kunit *test)
{
	const unsigned int nr = ARRAY_SIZE(values);
	struct mock *m = mock_create(test, X86_MODE_PROT64);
	unsigned int i, size, x, done = 0, bad = 0;

	for (i = 0; i < ARRAY_SIZE(ariths); i++) {
		for (size = 0; size < 4; size++) {
			if (!ariths[i].native[size])
				continue;
			for (x = 0; x < nr * nr * 2 && bad < 20; x++) {
				struct native n = {
					.a = values[x % nr], .d = values[x / nr % nr],
					.b = 0x1122334455667788,
					.c = x % nr * 4 + x / nr % 5,
					.flags = x & 1 ? ARITH : 0,
				};

				if (!agrees(test, m, &ariths[i], size, n))
					bad++;
				done++;
			}
		}
	}
	KUNIT_EXPECT_EQ(test, bad, 0u);
	/* no table was cut short */
	KUNIT_EXPECT_GT(test, done, 120 * nr * nr * 2);
}

/* ---- what a kernel cannot run -------------------------------------------------------- */

struct known {
	enum x86_emul_mode mode;
	const char *name, *insn;
	u8 len;
	u64 a, d, b;		/* RAX, RDX, RBX before; RCX is b's */
	u32 f;
	int vector;		/* of a fault, or -1 */
	u64 want_a, want_d;
	u32 want_f, defined;
};

#define L	X86_MODE_PROT64
#define P	X86_MODE_PROT32
#define DE	0
#define OK	(-1)
#define N	0x5555555555555555ull

static const struct known knowns[] = {
	/* DIV: quotient in A, rest in D; too large or by nothing is #DE */
	{ L, "div bl", "\xf6\xf3", 2, 0x64, 0, 7, 0, OK, 0x020e, 0 },
	{ L, "div bl, largest", "\xf6\xf3", 2, 0x0ffe, 0, 0x10, 0, OK, 0x0eff, 0 },
	{ L, "div bl, too large", "\xf6\xf3", 2, 0x1000, 0, 0x10, 0, DE, 0x1000, 0 },
	{ L, "div bl, by 0", "\xf6\xf3", 2, 1, 0, 0x100, 0, DE, 1, 0 },
	{ L, "div bx", "\x66\xf7\xf3", 3, 0x10000ull << 16 | 5, 1, 0x10, 0, OK,
	  0x10000ull << 16 | 0x1000, 5 },
	{ L, "div bx, too large", "\x66\xf7\xf3", 3, 0, 1, 1, 0, DE, 0, 1 },
	{ L, "div ebx", "\xf7\xf3", 2, N << 32, 1, 0x10, 0, OK, 0x10000000, 0 },
	{ L, "div ebx, too large", "\xf7\xf3", 2, 0, 0x10, 0x10, 0, DE, 0, 0x10 },
	{ L, "div rbx", "\x48\xf7\xf3", 3, 1, 1, 3, 0, OK, 0x5555555555555555, 2 },
	{ L, "div rbx, top bit", "\x48\xf7\xf3", 3, ~0ull, ~1ull, ~0ull, 0, OK, ~0ull, ~1ull },
	{ L, "div rbx, too large", "\x48\xf7\xf3", 3, 0, 3, 3, 0, DE, 0, 3 },
	/* IDIV: towards zero, the rest has the sign of the dividend */
	{ L, "idiv bl", "\xf6\xfb", 2, 0xff9c, 0, 7, 0, OK, 0xfef2, 0 },
	{ L, "idiv bl, -128", "\xf6\xfb", 2, 0xff80, 0, 1, 0, OK, 0x0080, 0 },
	{ L, "idiv bl, 128", "\xf6\xfb", 2, 0x0080, 0, 1, 0, DE, 0x0080, 0 },
	{ L, "idiv bl, -128/-1", "\xf6\xfb", 2, 0xff80, 0, 0xff, 0, DE, 0xff80, 0 },
	{ L, "idiv bl, 127*-1", "\xf6\xfb", 2, 0x007f, 0, 0xff, 0, OK, 0x0081, 0 },
	{ L, "idiv bl, by 0", "\xf6\xfb", 2, 1, 0, 0x100, 0, DE, 1, 0 },
	{ L, "idiv ebx", "\xf7\xfb", 2, 0xffffff9c, 0xffffffff, 0xfffffff9, 0, OK,
	  14, 0xfffffffe },
	{ L, "idiv ebx, min/-1", "\xf7\xfb", 2, 0x80000000, 0xffffffff, 0xffffffff, 0, DE,
	  0x80000000, 0xffffffff },
	{ L, "idiv rbx", "\x48\xf7\xfb", 3, -100ll, ~0ull, 7, 0, OK, -14ll, -2ll },
	{ L, "idiv rbx, min", "\x48\xf7\xfb", 3, 1ull << 63, ~0ull, 1, 0, OK, 1ull << 63, 0 },
	{ L, "idiv rbx, min/-1", "\x48\xf7\xfb", 3, 1ull << 63, ~0ull, ~0ull, 0, DE,
	  1ull << 63, ~0ull },
	/* decimal adjustment: 32-bit mode only */
	{ P, "daa 79+35", "\x27", 1, 0xae, 0, 0, 0, OK, 0x14, 0, CF | AF | PF, ARITH & ~OF },
	{ P, "daa, nothing", "\x27", 1, 0x45, 0, 0, 0, OK, 0x45, 0, 0, ARITH & ~OF },
	{ P, "daa, AF", "\x27", 1, 0x12, 0, 0, AF, OK, 0x18, 0, AF | PF, ARITH & ~OF },
	{ P, "daa, CF", "\x27", 1, 0x12, 0, 0, CF, OK, 0x72, 0, CF | PF, ARITH & ~OF },
	{ P, "das 35-47", "\x2f", 1, 0xee, 0, 0, AF | CF, OK, 0x88, 0, CF | AF | SF | PF,
	  ARITH & ~OF },
	{ P, "das, borrow", "\x2f", 1, 0x03, 0, 0, AF, OK, 0xfd, 0, CF | AF | SF, ARITH & ~OF },
	{ P, "aaa", "\x37", 1, 0x000b, 0, 0, 0, OK, 0x0101, 0, AF | CF, AF | CF },
	{ P, "aaa, nothing", "\x37", 1, 0x0219, 0, 0, 0, OK, 0x0209, 0, 0, AF | CF },
	{ P, "aaa, carry into AH", "\x37", 1, 0x00ff, 0, 0, 0, OK, 0x0205, 0, AF | CF, AF | CF },
	{ P, "aas", "\x3f", 1, 0x02ff, 0, 0, AF, OK, 0x0109, 0, AF | CF, AF | CF },
	{ P, "aas, nothing", "\x3f", 1, 0x0204, 0, 0, CF, OK, 0x0204, 0, 0, AF | CF },
	{ P, "aam", "\xd4\x0a", 2, 0x1263, 0, 0, 0, OK, 0x0909, 0, PF, SF | ZF | PF },
	{ P, "aam, base 16", "\xd4\x10", 2, 0xa7, 0, 0, 0, OK, 0x0a07, 0, 0, SF | ZF | PF },
	{ P, "aam, base 0", "\xd4\x00", 2, 0xa7, 0, 0, 0, DE, 0xa7, 0 },
	{ P, "aad", "\xd5\x0a", 2, 0x0905, 0, 0, 0, OK, 0x5f, 0, PF, SF | ZF | PF },
	{ P, "salc", "\xd6", 1, 0x1234, 0, 0, CF, OK, 0x12ff, 0, CF, CF },
	{ P, "inc eax, one byte", "\x40", 1, 0x7fffffff, 0, 0, CF, OK, 0x80000000, 0,
	  OF | SF | AF | PF | CF, ARITH },
	{ P, "dec edx, one byte", "\x4a", 1, 0, 0, 0, 0, OK, 0, 0xffffffff, SF | AF | PF, ARITH },
	/* counted bits */
	{ L, "popcnt ebx", "\xf3\x0f\xb8\xc3", 4, N, 0, 0xf0f0f0f0f0f0f0f1, ARITH, OK, 17, 0,
	  0, ARITH },
	{ L, "popcnt rbx", "\xf3\x48\x0f\xb8\xc3", 5, N, 0, ~0ull, 0, OK, 64, 0, 0, ARITH },
	{ L, "popcnt 0", "\xf3\x0f\xb8\xc3", 4, N, 0, 0, 0, OK, 0, 0, ZF, ARITH },
	{ L, "tzcnt ebx", "\xf3\x0f\xbc\xc3", 4, N, 0, 0x100, 0, OK, 8, 0, 0, CF | ZF },
	{ L, "tzcnt 0", "\xf3\x0f\xbc\xc3", 4, N, 0, 0, 0, OK, 32, 0, CF, CF | ZF },
	{ L, "tzcnt 1", "\xf3\x48\x0f\xbc\xc3", 5, N, 0, 1, 0, OK, 0, 0, ZF, CF | ZF },
	{ L, "lzcnt ebx", "\xf3\x0f\xbd\xc3", 4, N, 0, 0x100, 0, OK, 23, 0, 0, CF | ZF },
	{ L, "lzcnt bx, 0", "\x66\xf3\x0f\xbd\xc3", 5, 0, 0, 0x10000, 0, OK, 16, 0, CF,
	  CF | ZF },
	{ L, "lzcnt top", "\xf3\x48\x0f\xbd\xc3", 5, N, 0, 1ull << 63, 0, OK, 0, 0, ZF, CF | ZF },
	/* the check value of CRC-32C: "123456789" is e3069283 after inversion */
	{ L, "crc32 rbx", "\xf2\x48\x0f\x38\xf1\xc3", 6, 0xffffffff, 0, 0x3837363534333231, 0, OK,
	  0x9f787f65, 0 },
	{ L, "crc32 bl", "\xf2\x0f\x38\xf0\xc3", 5, 0x9f787f65, 0, 0x39, 0, OK, 0x1cf96d7c, 0 },
};

static void known_results(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(knowns); i++) {
		const struct known *k = &knowns[i];
		struct mock *m = mock_create(test, k->mode);
		int r;

		m->e.gpr[X86_GPR_RAX] = k->a;
		m->e.gpr[X86_GPR_RDX] = k->d;
		m->e.gpr[X86_GPR_RBX] = k->b;
		m->e.rflags |= k->f;
		r = mock_run(m, k->insn, k->len);
		KUNIT_EXPECT_EQ_MSG(test, r, k->vector == OK ? X86_EMUL_CONTINUE :
				    X86_EMUL_PROPAGATE_FAULT, "%s", k->name);
		if (k->vector != OK) {
			KUNIT_EXPECT_EQ_MSG(test, m->e.fault.vector, k->vector, "%s", k->name);
			KUNIT_EXPECT_EQ_MSG(test, m->e.rip, MOCK_CODE, "%s", k->name);
		}
		KUNIT_EXPECT_EQ_MSG(test, m->e.gpr[X86_GPR_RAX], k->want_a, "%s", k->name);
		KUNIT_EXPECT_EQ_MSG(test, m->e.gpr[X86_GPR_RDX], k->want_d, "%s", k->name);
		KUNIT_EXPECT_EQ_MSG(test, m->e.rflags & k->defined, k->want_f & k->defined,
				    "%s", k->name);
	}
}

/* Jcc, SETcc and CMOVcc: all sixteen, with all that they look at */
static void conditions(struct kunit *test)
{
	struct mock *m = mock_create(test, L);
	unsigned int f, cc;

	for (f = 0; f < 32 * 16; f++) {
		bool c = f & 0x10, z = f & 0x20, s = f & 0x40, o = f & 0x80, p = f & 0x100;
		bool want[8] = { o, c, z, c || z, s, p, s != o, z || s != o };
		bool met;
		u8 jcc[2] = { 0x70, 0x10 }, near[6] = { 0x0f, 0x80, 0xf0, 0xff, 0xff, 0xff };
		u8 set[3] = { 0x0f, 0x90, 0xc3 }, cmov[3] = { 0x0f, 0x40, 0xc3 };

		cc = f & 15;
		met = want[cc / 2] != (cc & 1);
		jcc[0] += cc;
		near[1] += cc;
		set[1] += cc;
		cmov[1] += cc;
		m->e.rflags = X86_EFLAGS_FIXED | (c ? CF : 0) | (z ? ZF : 0) | (s ? SF : 0) |
			      (o ? OF : 0) | (p ? PF : 0);
		m->e.rip = MOCK_CODE;
		KUNIT_EXPECT_EQ(test, mock_run(m, jcc, 2), X86_EMUL_CONTINUE);
		KUNIT_EXPECT_EQ_MSG(test, m->e.rip, MOCK_CODE + (met ? 0x12 : 2), "j%x %x", cc, f);
		m->e.rip = MOCK_CODE;
		KUNIT_EXPECT_EQ(test, mock_run(m, near, 6), X86_EMUL_CONTINUE);
		KUNIT_EXPECT_EQ_MSG(test, m->e.rip, MOCK_CODE + (met ? -10 : 6), "j%x %x", cc, f);
		m->e.gpr[X86_GPR_RBX] = N;
		KUNIT_EXPECT_EQ(test, mock_run(m, set, 3), X86_EMUL_CONTINUE);
		KUNIT_EXPECT_EQ_MSG(test, m->e.gpr[X86_GPR_RBX], (N & ~0xffull) | met, "set%x %x",
				    cc, f);
		m->e.gpr[X86_GPR_RAX] = ~0ull;
		m->e.gpr[X86_GPR_RBX] = 0x77;
		KUNIT_EXPECT_EQ(test, mock_run(m, cmov, 3), X86_EMUL_CONTINUE);
		/* 32 bits: the upper half goes either way */
		KUNIT_EXPECT_EQ_MSG(test, m->e.gpr[X86_GPR_RAX], met ? 0x77ull : 0xffffffffull,
				    "cmov%x %x", cc, f);
	}
}

/* What CPUID does not offer is #UD, or the older instruction that it was made of. */
static void features(struct kunit *test)
{
	struct mock *m = mock_create(test, L);

	m->lacks = BIT_ULL(X86_EMUL_FEAT_POPCNT) | BIT_ULL(X86_EMUL_FEAT_SSE42) |
		   BIT_ULL(X86_EMUL_FEAT_BMI1) | BIT_ULL(X86_EMUL_FEAT_LZCNT) |
		   BIT_ULL(X86_EMUL_FEAT_MOVBE) | BIT_ULL(X86_EMUL_FEAT_CX16) |
		   BIT_ULL(X86_EMUL_FEAT_CX8);
	m->e.gpr[X86_GPR_RBX] = 0x100;
	m->e.gpr[X86_GPR_RSI] = 0x1000;
	EXPECT_FAULT(test, m, "\xf3\x0f\xb8\xc3", 6);
	EXPECT_FAULT(test, m, "\xf2\x0f\x38\xf0\xc3", 6);
	EXPECT_FAULT(test, m, "\x0f\x38\xf0\x06", 6);
	EXPECT_FAULT(test, m, "\x0f\xc7\x0e", 6);
	EXPECT_FAULT(test, m, "\x48\x0f\xc7\x0e", 6);
	EXPECT_DONE(test, m, "\xf3\x0f\xbc\xc3");
	KUNIT_EXPECT_EQ(test, m->e.gpr[X86_GPR_RAX], 8);
	EXPECT_DONE(test, m, "\xf3\x0f\xbd\xc3");		/* BSR */
	KUNIT_EXPECT_EQ(test, m->e.gpr[X86_GPR_RAX], 8);
}

static struct kunit_case alu_cases[] = {
	KUNIT_CASE(like_the_cpu),
	KUNIT_CASE(known_results),
	KUNIT_CASE(conditions),
	KUNIT_CASE(features),
	{}
};

struct kunit_suite kvm_emul_alu_suite = {
	.name = "kvm-emul-alu",
	.test_cases = alu_cases,
};
