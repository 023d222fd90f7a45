// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of the decoder: lengths and operands of instructions in all modes. No
 * instruction is carried out; all bytes are given, so nothing is fetched.
 */
#include <kunit/test.h>

#include "arch/x86/emulate/emulate.h"
#include "tests/kunit/suites.h"

static void get_segment(struct x86_emul *e, enum x86_emul_seg seg, struct kvm_segment *s)
{
	*s = (struct kvm_segment) { .limit = 0xffffffff, .present = 1 };
}

static int no_fetch(struct x86_emul *e, u64 linear, void *buf, unsigned int bytes,
		    struct x86_exception *fault)
{
	return X86_EMUL_UNHANDLEABLE;
}

static const struct x86_emul_ops ops = {
	.get_segment = get_segment,
	.fetch = no_fetch,
};

static struct x86_emul *decode(struct kunit *test, enum x86_emul_mode mode,
			       const char *bytes, unsigned int n, int want)
{
	struct x86_emul *e = kunit_kzalloc(test, sizeof(*e), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, e);
	e->ops = &ops;
	x86_emul_init(e);
	e->mode = mode;
	e->rip = 0x1000;
	for (i = 0; i < 16; i++)
		e->gpr[i] = 0x100 * (i + 1);
	KUNIT_EXPECT_EQ_MSG(test, x86_emul_decode(e, bytes, n), want, "%*ph", n, bytes);
	return e;
}

struct length {
	enum x86_emul_mode mode;
	const char *bytes;
	unsigned int len;
};

#define R	X86_MODE_REAL
#define P	X86_MODE_PROT32
#define L	X86_MODE_PROT64

static void lengths(struct kunit *test)
{
	static const struct length c[] = {
		{ L, "\x0f\xa2", 2 },				/* cpuid */
		{ L, "\x0f\x32", 2 },				/* rdmsr */
		{ L, "\xf4", 1 },				/* hlt */
		{ L, "\x0f\x22\xc0", 3 },			/* mov %rax, %cr0 */
		{ L, "\x44\x0f\x22\xc0", 4 },			/* mov %rax, %cr8 */
		{ L, "\x0f\x01\x38", 3 },			/* invlpg (%rax) */
		{ L, "\x0f\x01\xd9", 3 },			/* vmmcall */
		{ L, "\xe6\x80", 2 },				/* out %al, $0x80 */
		{ L, "\xf3\x6c", 2 },				/* rep insb */
		{ L, "\x8b\x05\x10\x00\x00\x00", 6 },		/* mov 0x10(%rip), %eax */
		{ L, "\x48\xb8\1\2\3\4\5\6\7\x08", 10 },	/* movabs */
		{ L, "\xa1\1\2\3\4\5\6\7\x08", 9 },		/* mov moffs, %eax */
		{ L, "\xc7\x84\x24\x78\x56\x34\x12\1\0\0\0", 11 }, /* movl $1, disp(%rsp) */
		{ L, "\x66\xc7\x00\x34\x12", 5 },		/* movw $, (%rax) */
		{ L, "\xf0\x48\x0f\xb1\x0f", 5 },		/* lock cmpxchg */
		{ L, "\x0f\xb6\x40\x08", 4 },			/* movzbl 8(%rax), %eax */
		{ L, "\x0f\x11\x00", 3 },			/* movups %xmm0, (%rax) */
		{ R, "\x8b\x07", 2 },				/* mov (%bx), %ax */
		{ R, "\x8b\x46\x02", 3 },			/* mov 2(%bp), %ax */
		{ R, "\xa1\x34\x12", 3 },			/* mov moffs16, %ax */
		{ R, "\x66\xb8\1\2\3\4", 6 },			/* mov $, %eax */
		{ R, "\xea\x00\x00\x00\xf0", 5 },		/* ljmp */
		{ R, "\x67\x8b\x44\x24\x04", 5 },		/* mov 4(%esp), %ax */
		{ P, "\xb8\1\2\3\4", 5 },
		{ P, "\x66\xb8\1\2", 4 },
		{ P, "\x8b\x04\x8d\x00\x00\x00\x10", 7 },	/* mov disp(,%ecx,4) */
		{ P, "\xf6\x05\0\0\0\x10\x01", 7 },		/* testb $1, disp32 */
		{ P, "\xf7\x00\1\0\0\0", 6 },			/* testl $1, (%eax) */
		{ P, "\xf7\x10", 2 },				/* notl (%eax) */
		{ P, "\xcd\x80", 2 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		struct x86_emul *e = decode(test, c[i].mode, c[i].bytes, c[i].len,
					    X86_EMUL_CONTINUE);

		KUNIT_EXPECT_EQ_MSG(test, e->insn_len, c[i].len, "case %d", i);
	}
}

static void addresses(struct kunit *test)
{
	struct x86_emul *e;

	/* mov 0x10(%rip), %eax: from the next instruction on */
	e = decode(test, L, "\x8b\x05\x10\0\0\0", 6, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_TRUE(test, e->d.mem && e->d.mem_read && !e->d.mem_write);
	KUNIT_EXPECT_EQ(test, e->d.mem_ea, 0x1016);
	KUNIT_EXPECT_EQ(test, e->d.mem_bytes, 4);

	/* mov %rax, 8(%rbx,%rcx,4) */
	e = decode(test, L, "\x48\x89\x44\x8b\x08", 5, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_EQ(test, e->d.mem_ea, 0x400 + 0x200 * 4 + 8);
	KUNIT_EXPECT_TRUE(test, e->d.mem_write && !e->d.mem_read);
	KUNIT_EXPECT_EQ(test, e->d.mem_bytes, 8);

	/* mov -1(%bp), %ax: SS, 16 bits */
	e = decode(test, R, "\x8b\x46\xff", 3, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_EQ(test, e->d.mem_ea, 0x5ff);
	KUNIT_EXPECT_EQ(test, e->d.mem_seg, X86_SEG_SS);

	/* movb $1, %es:(%edi) */
	e = decode(test, P, "\x26\xc6\x07\x01", 4, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_EQ(test, e->d.mem_seg, X86_SEG_ES);
	KUNIT_EXPECT_EQ(test, e->d.mem_bytes, 1);
	KUNIT_EXPECT_EQ(test, e->d.op[1].val, 1);

	/* with REX, register 4 is SPL, without it AH */
	e = decode(test, L, "\x88\x20", 2, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_TRUE(test, e->d.op[1].high);
	KUNIT_EXPECT_EQ(test, e->d.op[1].reg, 0);
	e = decode(test, L, "\x40\x88\x20", 3, X86_EMUL_CONTINUE);
	KUNIT_EXPECT_FALSE(test, e->d.op[1].high);
	KUNIT_EXPECT_EQ(test, e->d.op[1].reg, 4);
}

static void refused(struct kunit *test)
{
	/* 16 bytes: too long */
	decode(test, L, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90",
	       15, X86_EMUL_PROPAGATE_FAULT);
	/* PUSH ES is no instruction in 64-bit mode, UD2 is none anywhere */
	decode(test, L, "\x06\x90", 2, X86_EMUL_PROPAGATE_FAULT);
	decode(test, L, "\x0f\x0b", 2, X86_EMUL_PROPAGATE_FAULT);
	/* LEA with a register */
	decode(test, L, "\x8d\xc0", 2, X86_EMUL_PROPAGATE_FAULT);
}

static struct kunit_case decode_cases[] = {
	KUNIT_CASE(lengths),
	KUNIT_CASE(addresses),
	KUNIT_CASE(refused),
	{}
};

struct kunit_suite kvm_decode_suite = {
	.name = "kvm-decode",
	.test_cases = decode_cases,
};
