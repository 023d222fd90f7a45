// SPDX-License-Identifier: GPL-2.0-only
/*
 * Integer arithmetic and its flags (AMD64 APM vol. 3, chapter 3). Flags that the
 * architecture leaves undefined are left as they were.
 */
#include "arch/x86/emulate/internal.h"

#define FLAGS_ARITH	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

static void set_flag(struct x86_emul *e, u64 flag, bool on)
{
	e->rflags = on ? e->rflags | flag : e->rflags & ~flag;
}

/* ZF, SF and PF of a result */
static void result_flags(struct x86_emul *e, u64 v, unsigned int bytes)
{
	u8 p = v;

	v &= size_mask(bytes);
	p ^= p >> 4;
	p ^= p >> 2;
	p ^= p >> 1;
	set_flag(e, X86_EFLAGS_ZF, !v);
	set_flag(e, X86_EFLAGS_SF, v & sign_bit(bytes));
	set_flag(e, X86_EFLAGS_PF, !(p & 1));
}

static u64 add_flags(struct x86_emul *e, u64 a, u64 b, bool carry, unsigned int bytes)
{
	u64 m = size_mask(bytes), r = (a + b + carry) & m;

	result_flags(e, r, bytes);
	set_flag(e, X86_EFLAGS_CF, r < (a & m) || (carry && r == (a & m)));
	set_flag(e, X86_EFLAGS_AF, (a ^ b ^ r) & 0x10);
	set_flag(e, X86_EFLAGS_OF, (~(a ^ b) & (a ^ r)) & sign_bit(bytes));
	return r;
}

static u64 sub_flags(struct x86_emul *e, u64 a, u64 b, bool borrow, unsigned int bytes)
{
	u64 m = size_mask(bytes), r = (a - b - borrow) & m;

	a &= m;
	b &= m;
	result_flags(e, r, bytes);
	set_flag(e, X86_EFLAGS_CF, a < b || (borrow && a == b));
	set_flag(e, X86_EFLAGS_AF, (a ^ b ^ r) & 0x10);
	set_flag(e, X86_EFLAGS_OF, ((a ^ b) & (a ^ r)) & sign_bit(bytes));
	return r;
}

/**
 * emul_sub_flags() - flags of a comparison
 * @e: context
 * @a: first value
 * @b: second value
 * @bytes: size
 */
void emul_sub_flags(struct x86_emul *e, u64 a, u64 b, unsigned int bytes)
{
	sub_flags(e, a, b, false, bytes);
}

static void logic_flags(struct x86_emul *e, u64 v, unsigned int bytes)
{
	result_flags(e, v, bytes);
	e->rflags &= ~(u64)(X86_EFLAGS_CF | X86_EFLAGS_OF);
}

#define DST	(&e->d.op[0])
#define SRC	(&e->d.op[1])
#define SRC2	(&e->d.op[2])
#define BYTES	(DST->bytes)

int em_add(struct x86_emul *e)
{
	DST->val = add_flags(e, DST->val, SRC->val, false, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_adc(struct x86_emul *e)
{
	DST->val = add_flags(e, DST->val, SRC->val, e->rflags & X86_EFLAGS_CF, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_sub(struct x86_emul *e)
{
	DST->val = sub_flags(e, DST->val, SRC->val, false, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_sbb(struct x86_emul *e)
{
	DST->val = sub_flags(e, DST->val, SRC->val, e->rflags & X86_EFLAGS_CF, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_cmp(struct x86_emul *e)
{
	sub_flags(e, DST->val, SRC->val, false, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_or(struct x86_emul *e)
{
	DST->val |= SRC->val;
	logic_flags(e, DST->val, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_and(struct x86_emul *e)
{
	DST->val &= SRC->val;
	logic_flags(e, DST->val, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_xor(struct x86_emul *e)
{
	DST->val ^= SRC->val;
	logic_flags(e, DST->val, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_test(struct x86_emul *e)
{
	logic_flags(e, DST->val & SRC->val, BYTES);
	return X86_EMUL_CONTINUE;
}

/* INC and DEC leave CF alone. */
int em_inc(struct x86_emul *e)
{
	u64 cf = e->rflags & X86_EFLAGS_CF;

	DST->val = add_flags(e, DST->val, 1, false, BYTES);
	e->rflags = (e->rflags & ~(u64)X86_EFLAGS_CF) | cf;
	return X86_EMUL_CONTINUE;
}

int em_dec(struct x86_emul *e)
{
	u64 cf = e->rflags & X86_EFLAGS_CF;

	DST->val = sub_flags(e, DST->val, 1, false, BYTES);
	e->rflags = (e->rflags & ~(u64)X86_EFLAGS_CF) | cf;
	return X86_EMUL_CONTINUE;
}

int em_not(struct x86_emul *e)
{
	DST->val = ~DST->val & size_mask(BYTES);
	return X86_EMUL_CONTINUE;
}

int em_neg(struct x86_emul *e)
{
	DST->val = sub_flags(e, 0, DST->val, false, BYTES);
	return X86_EMUL_CONTINUE;
}

/* ---- shifts and rotates ----------------------------------------------------------- */

static void rotate(struct x86_emul *e, unsigned int count, bool left)
{
	unsigned int bits = BYTES * 8, n = count % bits;
	u64 v = DST->val;

	if (n)
		v = left ? v << n | v >> (bits - n) : v >> n | v << (bits - n);
	v &= size_mask(BYTES);
	DST->val = v;
	set_flag(e, X86_EFLAGS_CF, left ? v & 1 : v & sign_bit(BYTES));
	if (count != 1)
		return;
	if (left)
		set_flag(e, X86_EFLAGS_OF, !!(v & sign_bit(BYTES)) ^ (v & 1));
	else
		set_flag(e, X86_EFLAGS_OF,
			 (v ^ v << 1) & sign_bit(BYTES));
}

/* Through the carry flag, a bit at a time: counts are small. */
static void rotate_carry(struct x86_emul *e, unsigned int count, bool left)
{
	unsigned int bits = BYTES * 8, n = count % (bits + 1);
	bool cf = e->rflags & X86_EFLAGS_CF;
	u64 v = DST->val, top = sign_bit(BYTES);

	if (!left && count == 1)
		set_flag(e, X86_EFLAGS_OF, !!(v & top) ^ cf);
	while (n--) {
		bool out = left ? v & top : v & 1;

		v = left ? v << 1 | cf : v >> 1 | (cf ? top : 0);
		v &= size_mask(BYTES);
		cf = out;
	}
	DST->val = v;
	set_flag(e, X86_EFLAGS_CF, cf);
	if (left && count == 1)
		set_flag(e, X86_EFLAGS_OF, !!(v & top) ^ cf);
}

static void shift(struct x86_emul *e, unsigned int count, unsigned int kind)
{
	unsigned int bits = BYTES * 8;
	u64 v = DST->val, top = sign_bit(BYTES), r;
	bool cf;

	switch (kind) {
	case 5:		/* SHR */
		cf = count <= bits && (v >> (count - 1) & 1);
		r = count < bits ? v >> count : 0;
		if (count == 1)
			set_flag(e, X86_EFLAGS_OF, v & top);
		break;
	case 7:		/* SAR */
		r = sign_extend(v, BYTES);
		cf = (s64)r >> min(count - 1, 63u) & 1;
		r = (s64)r >> min(count, 63u);
		if (count == 1)
			set_flag(e, X86_EFLAGS_OF, false);
		break;
	default:	/* SHL */
		cf = count <= bits && (v >> (bits - count) & 1);
		r = count < bits ? v << count : 0;
		if (count == 1)
			set_flag(e, X86_EFLAGS_OF, !!(r & top) ^ cf);
		break;
	}
	DST->val = r & size_mask(BYTES);
	set_flag(e, X86_EFLAGS_CF, cf);
	result_flags(e, r, BYTES);
}

int em_shift(struct x86_emul *e)
{
	unsigned int count = SRC->val & (BYTES == 8 ? 63 : 31);
	unsigned int kind = e->d.modrm >> 3 & 7;

	if (!count)
		return X86_EMUL_CONTINUE;
	switch (kind) {
	case 0:
	case 1:
		rotate(e, count, !kind);
		break;
	case 2:
	case 3:
		rotate_carry(e, count, kind == 2);
		break;
	default:
		shift(e, count, kind);
		break;
	}
	return X86_EMUL_CONTINUE;
}

int em_shld(struct x86_emul *e)
{
	unsigned int bits = BYTES * 8, count = SRC2->val & (BYTES == 8 ? 63 : 31);
	bool left = e->d.opcode < 0xa8;
	u64 v = DST->val, s = SRC->val, r;

	/* more than the size: undefined for 16 bits */
	if (!count || count > bits)
		return X86_EMUL_CONTINUE;
	if (count == bits)
		r = s;
	else if (left)
		r = v << count | s >> (bits - count);
	else
		r = v >> count | s << (bits - count);
	r &= size_mask(BYTES);
	set_flag(e, X86_EFLAGS_CF, left ? v >> (bits - count) & 1 : v >> (count - 1) & 1);
	result_flags(e, r, BYTES);
	if (count == 1)
		set_flag(e, X86_EFLAGS_OF, (v ^ r) & sign_bit(BYTES));
	DST->val = r;
	return X86_EMUL_CONTINUE;
}

/* ---- multiplication and division --------------------------------------------------- */

static void set_double(struct x86_emul *e, u64 low, u64 high)
{
	if (BYTES == 1) {
		emul_set_gpr(e, X86_GPR_RAX, (low & 0xff) | (high & 0xff) << 8, 2);
		return;
	}
	emul_set_gpr(e, X86_GPR_RAX, low, BYTES);
	emul_set_gpr(e, X86_GPR_RDX, high, BYTES);
}

static void set_overflow(struct x86_emul *e, bool on)
{
	set_flag(e, X86_EFLAGS_CF, on);
	set_flag(e, X86_EFLAGS_OF, on);
}

int em_mul(struct x86_emul *e)
{
	unsigned __int128 p = (unsigned __int128)emul_gpr(e, X86_GPR_RAX, BYTES) * DST->val;
	u64 high = p >> (BYTES * 8);

	set_double(e, p, high);
	set_overflow(e, high);
	return X86_EMUL_CONTINUE;
}

int em_imul1(struct x86_emul *e)
{
	s64 a = sign_extend(emul_gpr(e, X86_GPR_RAX, BYTES), BYTES);
	s64 b = sign_extend(DST->val, BYTES);
	__int128 p = (__int128)a * b;
	u64 low = (u64)p & size_mask(BYTES);

	set_double(e, low, p >> (BYTES * 8));
	set_overflow(e, p != (s64)sign_extend(low, BYTES));
	return X86_EMUL_CONTINUE;
}

static int imul(struct x86_emul *e, u64 x, u64 y)
{
	__int128 p = (__int128)(s64)sign_extend(x, BYTES) * (s64)sign_extend(y, BYTES);

	DST->val = (u64)p & size_mask(BYTES);
	set_overflow(e, p != (s64)sign_extend(DST->val, BYTES));
	return X86_EMUL_CONTINUE;
}

int em_imul2(struct x86_emul *e)
{
	return imul(e, DST->val, SRC->val);
}

int em_imul3(struct x86_emul *e)
{
	return imul(e, SRC->val, SRC2->val);
}

/* There is no 128-bit division in the kernel: bit by bit. */
static bool divide(u64 high, u64 low, u64 by, u64 *quotient, u64 *rest)
{
	u64 q = 0, r = high;
	int i;

	if (!by || high >= by)
		return false;
	for (i = 63; i >= 0; i--) {
		bool over = r >> 63;

		r = r << 1 | (low >> i & 1);
		if (over || r >= by) {
			r -= by;
			q |= 1ull << i;
		}
	}
	*quotient = q;
	*rest = r;
	return true;
}

static void get_double(struct x86_emul *e, u64 *low, u64 *high)
{
	if (BYTES == 1) {
		*low = emul_gpr(e, X86_GPR_RAX, 1);
		*high = emul_gpr(e, X86_GPR_RAX, 2) >> 8;
	} else {
		*low = emul_gpr(e, X86_GPR_RAX, BYTES);
		*high = emul_gpr(e, X86_GPR_RDX, BYTES);
	}
}

int em_div(struct x86_emul *e)
{
	u64 low, high, q, r;

	get_double(e, &low, &high);
	if (BYTES < 8) {
		low |= high << (BYTES * 8);
		high = 0;
	}
	if (!divide(high, low, DST->val, &q, &r) || (q & ~size_mask(BYTES)))
		return emul_fault(e, X86_VEC_DE);
	set_double(e, q, r);
	return X86_EMUL_CONTINUE;
}

int em_idiv(struct x86_emul *e)
{
	u64 low, high, q, r, by = sign_extend(DST->val, BYTES);
	bool neg, neg_by = (s64)by < 0;

	get_double(e, &low, &high);
	if (BYTES < 8) {
		low = low | high << (BYTES * 8);
		low = BYTES == 4 ? low : sign_extend(low, BYTES * 2);
		high = (s64)low < 0 ? ~0ull : 0;
	}
	neg = (s64)high < 0;
	if (neg) {
		low = -low;
		high = ~high + !low;
	}
	if (neg_by)
		by = -by;
	if (!divide(high, low, by, &q, &r))
		return emul_fault(e, X86_VEC_DE);
	/* the most negative quotient exists, its positive does not */
	if (neg != neg_by ? q > sign_bit(BYTES) : q >= sign_bit(BYTES))
		return emul_fault(e, X86_VEC_DE);
	set_double(e, neg != neg_by ? -q : q, neg ? -r : r);
	return X86_EMUL_CONTINUE;
}

/* ---- bits ----------------------------------------------------------------- */

/* The decoder has moved a memory operand to where a register's index says. */
int em_bt(struct x86_emul *e)
{
	unsigned int bits = BYTES * 8, kind, bit;
	bool by_imm = e->d.opcode == 0xba;
	u64 v = DST->val;

	kind = by_imm ? e->d.modrm >> 3 & 3 : e->d.opcode >> 3 & 3;
	bit = SRC->val & (bits - 1);
	set_flag(e, X86_EFLAGS_CF, v >> bit & 1);
	switch (kind) {
	case 1:
		v |= 1ull << bit;
		break;
	case 2:
		v &= ~(1ull << bit);
		break;
	case 3:
		v ^= 1ull << bit;
		break;
	}
	DST->val = v;
	return X86_EMUL_CONTINUE;
}

int em_bsf(struct x86_emul *e)
{
	u64 v = SRC->val;

	if (e->d.rep == 0xf3 && e->ops->has_feature(e, X86_EMUL_FEAT_BMI1)) {
		set_flag(e, X86_EFLAGS_CF, !v);
		DST->val = v ? __builtin_ctzll(v) : BYTES * 8;
		set_flag(e, X86_EFLAGS_ZF, !DST->val);
		return X86_EMUL_CONTINUE;
	}
	set_flag(e, X86_EFLAGS_ZF, !v);
	if (v)
		DST->val = __builtin_ctzll(v);
	else
		e->no_writeback = true;
	return X86_EMUL_CONTINUE;
}

int em_bsr(struct x86_emul *e)
{
	u64 v = SRC->val;

	if (e->d.rep == 0xf3 && e->ops->has_feature(e, X86_EMUL_FEAT_LZCNT)) {
		set_flag(e, X86_EFLAGS_CF, !v);
		DST->val = v ? __builtin_clzll(v) - (64 - BYTES * 8) : BYTES * 8;
		set_flag(e, X86_EFLAGS_ZF, !DST->val);
		return X86_EMUL_CONTINUE;
	}
	set_flag(e, X86_EFLAGS_ZF, !v);
	if (v)
		DST->val = 63 - __builtin_clzll(v);
	else
		e->no_writeback = true;
	return X86_EMUL_CONTINUE;
}

int em_popcnt(struct x86_emul *e)
{
	u64 v = SRC->val, n = 0;

	if (e->d.rep != 0xf3 || !e->ops->has_feature(e, X86_EMUL_FEAT_POPCNT))
		return emul_ud(e);
	for (; v; v &= v - 1)
		n++;
	DST->val = n;
	e->rflags &= ~(u64)FLAGS_ARITH;
	set_flag(e, X86_EFLAGS_ZF, !n);
	return X86_EMUL_CONTINUE;
}

int em_bswap(struct x86_emul *e)
{
	DST->val = BYTES == 8 ? __builtin_bswap64(DST->val) : BYTES == 4 ?
		__builtin_bswap32(DST->val) : 0;
	return X86_EMUL_CONTINUE;
}

/* CRC-32C, polynomial reflected; the accumulator is not inverted */
int em_crc32(struct x86_emul *e)
{
	unsigned int i, bits = SRC->bytes * 8;
	u32 crc = DST->val;
	u64 v = SRC->val;

	if (!e->ops->has_feature(e, X86_EMUL_FEAT_SSE42))
		return emul_ud(e);
	for (i = 0; i < bits; i++) {
		bool low = (crc ^ v >> i) & 1;

		crc = crc >> 1 ^ (low ? 0x82f63b78 : 0);
	}
	DST->val = crc;
	return X86_EMUL_CONTINUE;
}

/* ---- read-modify-write ---------------------------------------------------- */

int em_xadd(struct x86_emul *e)
{
	u64 old = DST->val;

	DST->val = add_flags(e, old, SRC->val, false, BYTES);
	/* the source register gets the old value; the same register the sum */
	if (SRC->high)
		emul_set_gpr_high(e, SRC->reg, old);
	else
		emul_set_gpr(e, SRC->reg, old, BYTES);
	return X86_EMUL_CONTINUE;
}

int em_cmpxchg(struct x86_emul *e)
{
	u64 acc = emul_gpr(e, X86_GPR_RAX, BYTES), old = DST->val;

	sub_flags(e, acc, old, false, BYTES);
	if (acc == old) {
		DST->val = SRC->val;
	} else {
		emul_set_gpr(e, X86_GPR_RAX, old, BYTES);
		/* memory is written all the same, with what it had */
		if (DST->type != X86_OP_MEM)
			e->no_writeback = true;
	}
	return X86_EMUL_CONTINUE;
}

int em_cmpxchg8b(struct x86_emul *e)
{
	unsigned int half = e->d.op_bytes == 8 ? 8 : 4, bytes = half * 2;
	u64 mem[2] = {}, new[2], linear;
	bool same;
	int r;

	if (!e->ops->has_feature(e, half == 8 ? X86_EMUL_FEAT_CX16 : X86_EMUL_FEAT_CX8))
		return emul_ud(e);
	r = emul_address(e, e->d.mem_seg, e->d.mem_ea, bytes, true, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (half == 8 && (linear & 15))
		return emul_gp(e, 0);
	r = e->ops->probe_write(e, linear, bytes, false, &e->fault);
	if (r != X86_EMUL_CONTINUE)
		return r;
	r = e->ops->read(e, linear, mem, bytes, false, &e->fault);
	if (r != X86_EMUL_CONTINUE)
		return r;

	if (half == 8) {
		same = mem[0] == e->gpr[X86_GPR_RAX] && mem[1] == e->gpr[X86_GPR_RDX];
		new[0] = e->gpr[X86_GPR_RBX];
		new[1] = e->gpr[X86_GPR_RCX];
	} else {
		same = mem[0] == (emul_gpr(e, X86_GPR_RAX, 4) |
				  emul_gpr(e, X86_GPR_RDX, 4) << 32);
		new[0] = emul_gpr(e, X86_GPR_RBX, 4) | emul_gpr(e, X86_GPR_RCX, 4) << 32;
		new[1] = 0;
	}
	set_flag(e, X86_EFLAGS_ZF, same);
	if (!same) {
		emul_set_gpr(e, X86_GPR_RAX, mem[0], half);
		emul_set_gpr(e, X86_GPR_RDX, half == 8 ? mem[1] : mem[0] >> 32, half);
		memcpy(new, mem, sizeof(new));
	}
	e->no_writeback = true;
	r = (e->ops->cmpxchg)(e, linear, mem, new, bytes, &e->fault);
	return r == X86_EMUL_CMPXCHG_FAILED ? X86_EMUL_RETRY_INSTR : r;
}

/**
 * emul_condition() - is a condition code met
 * @e: context
 * @cond: lower four bits of Jcc's opcode
 */
bool emul_condition(const struct x86_emul *e, unsigned int cond)
{
	u64 f = e->rflags;
	bool sf = f & X86_EFLAGS_SF, of = f & X86_EFLAGS_OF, zf = f & X86_EFLAGS_ZF;
	bool cf = f & X86_EFLAGS_CF, r;

	switch (cond >> 1 & 7) {
	case 0:
		r = of;
		break;
	case 1:
		r = cf;
		break;
	case 2:
		r = zf;
		break;
	case 3:
		r = cf || zf;
		break;
	case 4:
		r = sf;
		break;
	case 5:
		r = f & X86_EFLAGS_PF;
		break;
	case 6:
		r = sf != of;
		break;
	default:
		r = zf || sf != of;
		break;
	}
	return r ^ (cond & 1);
}
