// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves, stack, near control flow, ports, strings and vector moves (AMD64 APM
 * vol. 3, chapter 3).
 *
 * A repeated string instruction is carried out in rounds: one element of memory,
 * or up to X86_EMUL_PIO_MAX of a port within a page.
 */
#include "arch/x86/emulate/internal.h"

#define DST	(&e->d.op[0])
#define SRC	(&e->d.op[1])

int em_nop(struct x86_emul *e)
{
	return X86_EMUL_CONTINUE;
}

/* ---- moves ---------------------------------------------------------------- */

int em_mov(struct x86_emul *e)
{
	DST->val = SRC->val;
	return X86_EMUL_CONTINUE;
}

int em_movzx(struct x86_emul *e)
{
	DST->val = SRC->val & size_mask(SRC->bytes);
	return X86_EMUL_CONTINUE;
}

int em_movsx(struct x86_emul *e)
{
	DST->val = sign_extend(SRC->val, SRC->bytes);
	return X86_EMUL_CONTINUE;
}

int em_movsxd(struct x86_emul *e)
{
	DST->val = sign_extend(SRC->val, SRC->bytes);
	return X86_EMUL_CONTINUE;
}

int em_movbe(struct x86_emul *e)
{
	u64 v = SRC->val;

	if (!e->ops->has_feature(e, X86_EMUL_FEAT_MOVBE))
		return emul_ud(e);
	switch (DST->bytes) {
	case 2:
		v = __builtin_bswap16(v);
		break;
	case 4:
		v = __builtin_bswap32(v);
		break;
	default:
		v = __builtin_bswap64(v);
		break;
	}
	DST->val = v;
	return X86_EMUL_CONTINUE;
}

int em_xchg(struct x86_emul *e)
{
	u64 v = DST->val;

	/* 90 is NOP, without REX.B, and PAUSE: nothing is written, not even the upper half */
	if (e->d.opcode == 0x90 && !e->d.map &&
	    (DST->reg == X86_GPR_RAX || e->d.rep == 0xf3)) {
		e->no_writeback = true;
		return X86_EMUL_CONTINUE;
	}
	DST->val = SRC->val;
	if (SRC->high)
		emul_set_gpr_high(e, SRC->reg, v);
	else
		emul_set_gpr(e, SRC->reg, v, SRC->bytes);
	return X86_EMUL_CONTINUE;
}

int em_lea(struct x86_emul *e)
{
	DST->val = e->d.mem_ea;
	return X86_EMUL_CONTINUE;
}

int em_cbw(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes;

	emul_set_gpr(e, X86_GPR_RAX, sign_extend(emul_gpr(e, X86_GPR_RAX, n / 2), n / 2), n);
	return X86_EMUL_CONTINUE;
}

int em_cwd(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes;
	bool neg = emul_gpr(e, X86_GPR_RAX, n) & sign_bit(n);

	emul_set_gpr(e, X86_GPR_RDX, neg ? ~0ull : 0, n);
	return X86_EMUL_CONTINUE;
}

int em_xlat(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	u64 ea = (e->gpr[X86_GPR_RBX] + emul_gpr(e, X86_GPR_RAX, 1)) & size_mask(d->ad_bytes);
	u8 v;
	int r;

	r = emul_read(e, d->seg_override >= 0 ? d->seg_override : X86_SEG_DS, ea, &v, 1);
	if (r == X86_EMUL_CONTINUE)
		emul_set_gpr(e, X86_GPR_RAX, v, 1);
	return r;
}

/* ---- flags ---------------------------------------------------------------- */

#define FLAGS_LOW	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_SF)

int em_flag(struct x86_emul *e)
{
	switch (e->d.opcode) {
	case 0xf5:
		e->rflags ^= X86_EFLAGS_CF;
		break;
	case 0xf8:
		e->rflags &= ~(u64)X86_EFLAGS_CF;
		break;
	case 0xf9:
		e->rflags |= X86_EFLAGS_CF;
		break;
	case 0xfc:
		e->rflags &= ~(u64)X86_EFLAGS_DF;
		break;
	case 0xfd:
		e->rflags |= X86_EFLAGS_DF;
		break;
	}
	return X86_EMUL_CONTINUE;
}

int em_lahf(struct x86_emul *e)
{
	emul_set_gpr_high(e, X86_GPR_RAX, (e->rflags & FLAGS_LOW) | X86_EFLAGS_FIXED);
	return X86_EMUL_CONTINUE;
}

int em_sahf(struct x86_emul *e)
{
	u64 ah = e->gpr[X86_GPR_RAX] >> 8;

	e->rflags = (e->rflags & ~(u64)FLAGS_LOW) | (ah & FLAGS_LOW) | X86_EFLAGS_FIXED;
	return X86_EMUL_CONTINUE;
}

int em_salc(struct x86_emul *e)
{
	emul_set_gpr(e, X86_GPR_RAX, e->rflags & X86_EFLAGS_CF ? 0xff : 0, 1);
	return X86_EMUL_CONTINUE;
}

int em_setcc(struct x86_emul *e)
{
	DST->val = emul_condition(e, e->d.opcode);
	return X86_EMUL_CONTINUE;
}

int em_cmov(struct x86_emul *e)
{
	/* a 32-bit destination loses its upper half either way */
	if (emul_condition(e, e->d.opcode))
		DST->val = SRC->val;
	return X86_EMUL_CONTINUE;
}

/* ---- decimal arithmetic: DAA, DAS, AAA, AAS, AAM, AAD --------------------- */

static void ascii_flags(struct x86_emul *e, u8 al)
{
	u64 saved = e->rflags & (X86_EFLAGS_CF | X86_EFLAGS_AF | X86_EFLAGS_OF);

	emul_sub_flags(e, al, 0, 1);
	e->rflags &= ~(u64)(X86_EFLAGS_CF | X86_EFLAGS_AF | X86_EFLAGS_OF);
	e->rflags |= saved;
}

int em_daa(struct x86_emul *e)
{
	u8 al = e->gpr[X86_GPR_RAX], old = al;
	bool cf = e->rflags & X86_EFLAGS_CF, af = e->rflags & X86_EFLAGS_AF;
	bool low = (al & 0xf) > 9 || af;
	u16 ax = e->gpr[X86_GPR_RAX];

	e->rflags &= ~(u64)(X86_EFLAGS_CF | X86_EFLAGS_AF);
	switch (e->d.opcode) {
	case 0x27:
		if (low)
			al += 6;
		if (old > 0x99 || cf)
			al += 0x60;
		e->rflags |= (low ? X86_EFLAGS_AF : 0) |
			     (old > 0x99 || cf ? X86_EFLAGS_CF : 0);
		emul_set_gpr(e, X86_GPR_RAX, al, 1);
		ascii_flags(e, al);
		return X86_EMUL_CONTINUE;
	case 0x2f:
		if (low)
			al -= 6;
		if (old > 0x99 || cf)
			al -= 0x60;
		e->rflags |= (low ? X86_EFLAGS_AF : 0) |
			     (old > 0x99 || cf || (low && old < 6) ? X86_EFLAGS_CF : 0);
		emul_set_gpr(e, X86_GPR_RAX, al, 1);
		ascii_flags(e, al);
		return X86_EMUL_CONTINUE;
	case 0x37:
		if (low)
			ax += 0x106;
		break;
	default:
		if (low)
			ax -= 0x106;
		break;
	}
	emul_set_gpr(e, X86_GPR_RAX, ax & 0xff0f, 2);
	if (low)
		e->rflags |= X86_EFLAGS_AF | X86_EFLAGS_CF;
	return X86_EMUL_CONTINUE;
}

int em_aam(struct x86_emul *e)
{
	u8 al = e->gpr[X86_GPR_RAX], by = DST->val;

	e->no_writeback = true;
	if (!by)
		return emul_fault(e, X86_VEC_DE);
	emul_set_gpr(e, X86_GPR_RAX, (al / by) << 8 | al % by, 2);
	ascii_flags(e, al % by);
	return X86_EMUL_CONTINUE;
}

int em_aad(struct x86_emul *e)
{
	u16 ax = e->gpr[X86_GPR_RAX];
	u8 al = ax + (ax >> 8) * DST->val;

	e->no_writeback = true;
	emul_set_gpr(e, X86_GPR_RAX, al, 2);
	ascii_flags(e, al);
	return X86_EMUL_CONTINUE;
}

/* ---- stack ---------------------------------------------------------------- */

int em_push(struct x86_emul *e)
{
	return emul_push(e, sign_extend(DST->val, DST->bytes), e->d.op_bytes);
}

int em_pop(struct x86_emul *e)
{
	return emul_pop(e, &DST->val, e->d.op_bytes);
}

int em_pusha(struct x86_emul *e)
{
	u64 sp = e->gpr[X86_GPR_RSP];
	int i, r = X86_EMUL_CONTINUE;

	for (i = 0; i < 8 && r == X86_EMUL_CONTINUE; i++)
		r = emul_push(e, i == X86_GPR_RSP ? sp : e->gpr[i], e->d.op_bytes);
	return r;
}

int em_popa(struct x86_emul *e)
{
	int i, r = X86_EMUL_CONTINUE;
	u64 v;

	for (i = 7; i >= 0 && r == X86_EMUL_CONTINUE; i--) {
		r = emul_pop(e, &v, e->d.op_bytes);
		if (r == X86_EMUL_CONTINUE && i != X86_GPR_RSP)
			emul_set_gpr(e, i, v, e->d.op_bytes);
	}
	return r;
}

int em_pushf(struct x86_emul *e)
{
	u64 f = e->rflags & ~(u64)(X86_EFLAGS_RF | X86_EFLAGS_VM);
	int r = emul_check_vm86(e);

	return r == X86_EMUL_CONTINUE ? emul_push(e, f, e->d.op_bytes) : r;
}

int em_popf(struct x86_emul *e)
{
	u64 change = X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |
		     X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_OF |
		     X86_EFLAGS_NT | X86_EFLAGS_AC | X86_EFLAGS_ID;
	unsigned int cpl = e->ops->get_cpl(e);
	unsigned int iopl = (e->rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
	u64 v;
	int r;

	r = emul_check_vm86(e);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &v, e->d.op_bytes);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (!cpl) {
		change |= X86_EFLAGS_IOPL | X86_EFLAGS_VIF | X86_EFLAGS_VIP;
		v &= ~(u64)(X86_EFLAGS_VIF | X86_EFLAGS_VIP);
	}
	if (cpl <= iopl)
		change |= X86_EFLAGS_IF;
	change &= size_mask(e->d.op_bytes);
	e->rflags = (e->rflags & ~change) | (v & change) | X86_EFLAGS_FIXED;
	return X86_EMUL_CONTINUE;
}

int em_enter(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes, width = emul_stack_bytes(e);
	unsigned int level = SRC->val & 31, i;
	u64 link[32], frame, bp = e->gpr[X86_GPR_RBP], linear;
	int r = X86_EMUL_CONTINUE;

	e->no_writeback = true;
	/* the frame pointers of the levels around this one, read before anything is pushed */
	for (i = 1; i < level && r == X86_EMUL_CONTINUE; i++) {
		link[i] = 0;
		r = emul_read(e, X86_SEG_SS, (bp - (u64)i * n) & size_mask(width), &link[i], n);
	}
	if (r == X86_EMUL_CONTINUE)
		r = emul_push(e, bp, n);
	frame = e->gpr[X86_GPR_RSP];
	for (i = 1; i < level && r == X86_EMUL_CONTINUE; i++)
		r = emul_push(e, link[i], n);
	if (level && r == X86_EMUL_CONTINUE)
		r = emul_push(e, frame, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RSP] - DST->val, width);
	emul_set_gpr(e, X86_GPR_RBP, frame, n);
	/* the new top must be there too, though nothing is written to it */
	r = emul_address(e, X86_SEG_SS, emul_gpr(e, X86_GPR_RSP, width), n, true, &linear);
	return r == X86_EMUL_CONTINUE ?
		e->ops->probe_write(e, linear, n, false, &e->fault) : r;
}

int em_leave(struct x86_emul *e)
{
	u64 v;
	int r;

	emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RBP], emul_stack_bytes(e));
	r = emul_pop(e, &v, e->d.op_bytes);
	if (r == X86_EMUL_CONTINUE)
		emul_set_gpr(e, X86_GPR_RBP, v, e->d.op_bytes);
	return r;
}

/* BOUND: is the index within two signed limits in memory */
int em_bound(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes;
	s64 index = sign_extend(DST->val, n);
	u64 limit[2] = {};
	u8 buf[8];
	int r = emul_read(e, e->d.mem_seg, e->d.mem_ea, buf, 2 * n);

	if (r != X86_EMUL_CONTINUE)
		return r;
	memcpy(&limit[0], buf, n);
	memcpy(&limit[1], buf + n, n);
	if (index < (s64)sign_extend(limit[0], n) || index > (s64)sign_extend(limit[1], n))
		return emul_fault(e, X86_VEC_BR);
	return X86_EMUL_CONTINUE;
}

/* ---- near control flow ---------------------------------------------------- */

static int jump_rel(struct x86_emul *e)
{
	return emul_jump(e, e->next_rip + DST->val, e->d.op_bytes);
}

int em_jmp_rel(struct x86_emul *e)
{
	e->no_writeback = true;
	return jump_rel(e);
}

int em_jmp_abs(struct x86_emul *e)
{
	return emul_jump(e, DST->val, e->d.op_bytes);
}

int em_jcc(struct x86_emul *e)
{
	e->no_writeback = true;
	return emul_condition(e, e->d.opcode) ? jump_rel(e) : X86_EMUL_CONTINUE;
}

int em_jcxz(struct x86_emul *e)
{
	e->no_writeback = true;
	return emul_gpr(e, X86_GPR_RCX, e->d.ad_bytes) ? X86_EMUL_CONTINUE : jump_rel(e);
}

int em_loop(struct x86_emul *e)
{
	u64 count = emul_gpr(e, X86_GPR_RCX, e->d.ad_bytes) - 1;
	bool zf = e->rflags & X86_EFLAGS_ZF;

	e->no_writeback = true;
	emul_set_gpr(e, X86_GPR_RCX, count, e->d.ad_bytes);
	if (!(count & size_mask(e->d.ad_bytes)) ||
	    (e->d.opcode == 0xe0 && zf) || (e->d.opcode == 0xe1 && !zf))
		return X86_EMUL_CONTINUE;
	return jump_rel(e);
}

static int call(struct x86_emul *e, u64 target)
{
	u64 back = e->next_rip;
	int r = emul_jump(e, target, e->d.op_bytes);

	return r == X86_EMUL_CONTINUE ? emul_push(e, back, e->d.op_bytes) : r;
}

int em_call_rel(struct x86_emul *e)
{
	e->no_writeback = true;
	return call(e, e->next_rip + DST->val);
}

int em_call_abs(struct x86_emul *e)
{
	return call(e, DST->val);
}

int em_ret(struct x86_emul *e)
{
	u64 rip, drop = e->d.opcode == 0xc2 ? DST->val : 0;
	unsigned int width = emul_stack_bytes(e);
	int r;

	e->no_writeback = true;
	r = emul_pop(e, &rip, e->d.op_bytes);
	if (r == X86_EMUL_CONTINUE)
		r = emul_jump(e, rip, e->d.op_bytes);
	if (r == X86_EMUL_CONTINUE && drop)
		emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RSP] + drop, width);
	return r;
}

/* ---- ports: APM vol. 1, 3.8.3 --------------------------------------------- */

static int check_port(struct x86_emul *e, u16 port, unsigned int bytes)
{
	unsigned int iopl = (e->rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
	struct kvm_segment *tr;
	u16 base = 0, map = 0;
	int r;

	if (e->mode == X86_MODE_REAL ||
	    (e->mode != X86_MODE_VM86 && e->ops->get_cpl(e) <= iopl))
		return X86_EMUL_CONTINUE;
	/* the task's permission map */
	tr = emul_seg(e, X86_SEG_TR);
	if (tr->unusable || !tr->present || (tr->type & ~2) != 9 || tr->limit < 103)
		return emul_gp(e, 0);
	r = emul_read_system(e, tr->base + 102, &base, 2);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (base + port / 8 + 1 > tr->limit)
		return emul_gp(e, 0);
	r = emul_read_system(e, tr->base + base + port / 8, &map, 2);
	if (r != X86_EMUL_CONTINUE)
		return r;
	return map >> (port & 7) & ((1 << bytes) - 1) ? emul_gp(e, 0) : X86_EMUL_CONTINUE;
}

/* no port is wider than 32 bits */
static unsigned int port_bytes(struct x86_emul *e)
{
	if (!(e->d.opcode & 1))
		return 1;
	return e->d.op_bytes == 2 ? 2 : 4;
}

int em_in(struct x86_emul *e)
{
	unsigned int n = port_bytes(e), count = 1;
	u32 v = 0;
	int r = check_port(e, SRC->val, n);

	if (r == X86_EMUL_CONTINUE)
		r = e->ops->pio_in(e, n, SRC->val, &v, &count);
	if (r == X86_EMUL_CONTINUE)
		emul_set_gpr(e, X86_GPR_RAX, v, n);
	e->no_writeback = true;
	return r;
}

int em_out(struct x86_emul *e)
{
	unsigned int n = port_bytes(e);
	u32 v = emul_gpr(e, X86_GPR_RAX, n);
	int r = check_port(e, SRC->val, n);

	return r == X86_EMUL_CONTINUE ? e->ops->pio_out(e, n, SRC->val, &v, 1) : r;
}

/* ---- strings -------------------------------------------------------------- */

struct string_op {
	unsigned int bytes;
	u64 si, di;		/* offsets */
	enum x86_emul_seg seg;	/* of the source; the destination's is ES */
	bool down;
};

static void advance(struct x86_emul *e, const struct string_op *s, unsigned int reg,
		    unsigned int count)
{
	u64 by = (u64)s->bytes * count;

	emul_set_gpr(e, reg, s->down ? e->gpr[reg] - by : e->gpr[reg] + by, e->d.ad_bytes);
}

/* Elements of one transfer: as many as lie in the page, going up. */
static unsigned int port_count(struct x86_emul *e, const struct string_op *s, u64 at,
			       enum x86_emul_seg seg)
{
	u64 left = e->d.is_rep ? emul_gpr(e, X86_GPR_RCX, e->d.ad_bytes) : 1, linear;
	unsigned int room;

	if (s->down || !e->d.is_rep ||
	    emul_address(e, seg, at, s->bytes, false, &linear) != X86_EMUL_CONTINUE)
		return 1;
	room = (4096 - (linear & 4095)) / s->bytes;
	/* the offset must not wrap within the transfer either */
	if (e->mode != X86_MODE_PROT64) {
		u64 limit = emul_seg(e, seg)->limit;

		room = min_t(u64, room, at <= limit ? (limit - at + 1) / s->bytes : 1);
	}
	room = min_t(u64, room, left);
	return min(room ?: 1u, (unsigned int)X86_EMUL_PIO_MAX);
}

static int ins(struct x86_emul *e, const struct string_op *s, unsigned int *done)
{
	u16 port = e->gpr[X86_GPR_RDX];
	unsigned int n;
	u64 linear;
	int r = check_port(e, port, s->bytes);

	if (r != X86_EMUL_CONTINUE)
		return r;
	n = port_count(e, s, s->di, X86_SEG_ES);
	r = emul_address(e, X86_SEG_ES, s->di, n * s->bytes, true, &linear);
	/* what is read from a device is gone: the place for it must be there */
	if (r == X86_EMUL_CONTINUE)
		r = e->ops->probe_write(e, linear, n * s->bytes, false, &e->fault);
	if (r == X86_EMUL_CONTINUE)
		r = e->ops->pio_in(e, s->bytes, port, e->buf, &n);
	if (r == X86_EMUL_CONTINUE)
		r = e->ops->write(e, linear, e->buf, n * s->bytes, false, &e->fault);
	if (r == X86_EMUL_CONTINUE)
		advance(e, s, X86_GPR_RDI, n);
	*done = n;
	return r;
}

static int outs(struct x86_emul *e, const struct string_op *s, unsigned int *done)
{
	u16 port = e->gpr[X86_GPR_RDX];
	unsigned int n;
	int r = check_port(e, port, s->bytes);

	if (r != X86_EMUL_CONTINUE)
		return r;
	n = port_count(e, s, s->si, s->seg);
	r = emul_read(e, s->seg, s->si, e->buf, n * s->bytes);
	if (r == X86_EMUL_CONTINUE)
		r = e->ops->pio_out(e, s->bytes, port, e->buf, n);
	if (r == X86_EMUL_CONTINUE)
		advance(e, s, X86_GPR_RSI, n);
	*done = n;
	return r;
}

static int string_element(struct x86_emul *e, const struct string_op *s,
			  unsigned int *done)
{
	u64 a = 0, b = 0;
	int r = X86_EMUL_CONTINUE;

	*done = 1;
	switch (e->d.opcode & 0xfe) {
	case 0x6c:
		return ins(e, s, done);
	case 0x6e:
		return outs(e, s, done);
	case 0xa4:
		r = emul_read(e, s->seg, s->si, &a, s->bytes);
		if (r == X86_EMUL_CONTINUE)
			r = emul_write(e, X86_SEG_ES, s->di, &a, s->bytes);
		break;
	case 0xa6:
		r = emul_read(e, s->seg, s->si, &a, s->bytes);
		if (r == X86_EMUL_CONTINUE)
			r = emul_read(e, X86_SEG_ES, s->di, &b, s->bytes);
		if (r == X86_EMUL_CONTINUE)
			emul_sub_flags(e, a, b, s->bytes);
		break;
	case 0xaa:
		a = e->gpr[X86_GPR_RAX];
		r = emul_write(e, X86_SEG_ES, s->di, &a, s->bytes);
		break;
	case 0xac:
		r = emul_read(e, s->seg, s->si, &a, s->bytes);
		if (r == X86_EMUL_CONTINUE)
			emul_set_gpr(e, X86_GPR_RAX, a, s->bytes);
		break;
	case 0xae:
		r = emul_read(e, X86_SEG_ES, s->di, &b, s->bytes);
		if (r == X86_EMUL_CONTINUE)
			emul_sub_flags(e, emul_gpr(e, X86_GPR_RAX, s->bytes), b, s->bytes);
		break;
	}
	if (r != X86_EMUL_CONTINUE)
		return r;
	switch (e->d.opcode & 0xfe) {
	case 0xa4:
	case 0xa6:
		advance(e, s, X86_GPR_RSI, 1);
		fallthrough;
	case 0xaa:
	case 0xae:
		advance(e, s, X86_GPR_RDI, 1);
		break;
	case 0xac:
		advance(e, s, X86_GPR_RSI, 1);
		break;
	}
	return r;
}

int em_string(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	struct string_op s = {
		.bytes = !(d->opcode & 1) ? 1 : d->op_bytes,
		.si = emul_gpr(e, X86_GPR_RSI, d->ad_bytes),
		.di = emul_gpr(e, X86_GPR_RDI, d->ad_bytes),
		.seg = d->seg_override >= 0 ? d->seg_override : X86_SEG_DS,
		.down = e->rflags & X86_EFLAGS_DF,
	};
	bool compares = (d->opcode & 0xfe) == 0xa6 || (d->opcode & 0xfe) == 0xae;
	bool repe = d->rep == 0xf3;
	unsigned int done = 1;
	u64 count;
	int r;

	e->no_writeback = true;
	if (d->is_io && s.bytes == 8)
		s.bytes = 4;
	count = emul_gpr(e, X86_GPR_RCX, d->ad_bytes);
	if (d->is_rep && !count)
		return X86_EMUL_CONTINUE;

	r = string_element(e, &s, &done);
	if (r != X86_EMUL_CONTINUE || !d->is_rep)
		return r;
	count -= done;
	emul_set_gpr(e, X86_GPR_RCX, count, d->ad_bytes);
	if (!count)
		return X86_EMUL_CONTINUE;
	if (compares && !(e->rflags & X86_EFLAGS_ZF) == repe)
		return X86_EMUL_CONTINUE;
	return X86_EMUL_RESTART;
}

/* ---- vectors and x87 ------------------------------------------------------ */

/* What the guest's CPUID must offer. */
static enum x86_emul_feature vec_feature(const struct x86_emul_insn *d)
{
	if (d->op[0].type == X86_OP_MMX || d->op[1].type == X86_OP_MMX)
		return X86_EMUL_FEAT_MMX;
	if (d->map == 2)
		return X86_EMUL_FEAT_SSE41;
	if (d->opcode == 0xf0)
		return X86_EMUL_FEAT_SSE3;
	if (d->opcode >= 0x60 || d->opsize || d->rep == 0xf2)
		return X86_EMUL_FEAT_SSE2;
	return X86_EMUL_FEAT_SSE;
}

/* The aligned forms insist on 16 bytes. */
static bool vec_aligned(const struct x86_emul_insn *d)
{
	if (d->mem_bytes != 16)
		return false;
	switch (d->opcode) {
	case 0x28:
	case 0x29:
	case 0x2a:	/* 0F 38: MOVNTDQA */
	case 0x2b:
	case 0xe7:
		return true;
	case 0x6f:
	case 0x7f:
		return d->rep != 0xf3;
	}
	return false;
}

/**
 * emul_check_vec() - may the vector move be carried out
 * @e: context
 *
 * Return: CONTINUE or a fault.
 */
int emul_check_vec(struct x86_emul *e)
{
	const struct x86_emul_insn *d = &e->d;
	enum x86_emul_feature feature = vec_feature(d);
	u64 cr0 = e->ops->get_cr(e, 0), linear;
	int r;

	if (!e->ops->has_feature(e, feature) || (cr0 & X86_CR0_EM))
		return emul_ud(e);
	if (feature != X86_EMUL_FEAT_MMX && !(e->ops->get_cr(e, 4) & X86_CR4_OSFXSR))
		return emul_ud(e);
	if (cr0 & X86_CR0_TS)
		return emul_fault(e, X86_VEC_NM);
	if (feature == X86_EMUL_FEAT_MMX) {
		e->ops->get_fpu(e);
		r = e->ops->x87(e, X86_EMUL_FWAIT, NULL);
		e->ops->put_fpu(e);
		if (r != X86_EMUL_CONTINUE)
			return emul_fault(e, X86_VEC_MF);
	}
	if (vec_aligned(d)) {
		r = x86_emul_linear(e, d->mem_write, &linear);
		if (r != X86_EMUL_CONTINUE)
			return r;
		if (linear & 15)
			return emul_gp(e, 0);
	}
	return X86_EMUL_CONTINUE;
}

int em_vec(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;

	switch (d->map == 1 ? d->opcode : 0) {
	case 0x12:	/* MOVLPS, MOVLPD: the other half stays */
		DST->v[0] = SRC->v[0];
		break;
	case 0x16:	/* MOVHPS, MOVHPD */
		DST->v[1] = SRC->v[0];
		break;
	case 0x17:
		DST->v[0] = SRC->v[1];
		break;
	default:	/* a load of less than 16 bytes clears the rest */
		DST->v[0] = SRC->v[0];
		DST->v[1] = SRC->v[1];
		break;
	}
	return X86_EMUL_CONTINUE;
}

int em_fwait(struct x86_emul *e)
{
	u64 cr0 = e->ops->get_cr(e, 0);
	int r;

	if ((cr0 & X86_CR0_MP) && (cr0 & X86_CR0_TS))
		return emul_fault(e, X86_VEC_NM);
	e->ops->get_fpu(e);
	r = e->ops->x87(e, X86_EMUL_FWAIT, NULL);
	e->ops->put_fpu(e);
	return r == X86_EMUL_CONTINUE ? r : emul_fault(e, X86_VEC_MF);
}

/* Of the x87 only what boot code and context switches use: FNINIT, FNSTCW, FNSTSW. */
int em_x87(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	u64 cr0 = e->ops->get_cr(e, 0);
	enum x86_emul_x87 what;
	u16 v = 0;

	e->no_writeback = true;
	if (d->opcode == 0xdb && d->modrm == 0xe3)
		what = X86_EMUL_FNINIT;
	else if (d->opcode == 0xdf && d->modrm == 0xe0)
		what = X86_EMUL_FNSTSW;
	else if (d->mem && (d->modrm >> 3 & 7) == 7 && d->opcode == 0xd9)
		what = X86_EMUL_FNSTCW;
	else if (d->mem && (d->modrm >> 3 & 7) == 7 && d->opcode == 0xdd)
		what = X86_EMUL_FNSTSW;
	else
		return X86_EMUL_UNHANDLEABLE;
	if (cr0 & (X86_CR0_EM | X86_CR0_TS))
		return emul_fault(e, X86_VEC_NM);
	e->ops->get_fpu(e);
	e->ops->x87(e, what, &v);
	e->ops->put_fpu(e);
	if (d->mem)
		return emul_write(e, d->mem_seg, d->mem_ea, &v, 2);
	if (what == X86_EMUL_FNSTSW)
		emul_set_gpr(e, X86_GPR_RAX, v, 2);
	return X86_EMUL_CONTINUE;
}
