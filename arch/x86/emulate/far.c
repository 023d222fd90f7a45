// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment registers and far control flow: descriptors and their checks, far JMP,
 * CALL and RET, call gates, IRET, INT (AMD64 APM vol. 2, chapters 4 and 8, vol. 3;
 * Intel SDM vol. 3, chapters 5 and 6). Hardware tasks are in task.c.
 *
 * Everything is checked before the first register is loaded, so a fault leaves
 * the guest as it was, but for accessed bits of descriptors.
 *
 * Left out: virtual-8086 mode extensions (CR4.VME), shadow stacks. A stack frame
 * in device memory: its writes are repeated when user space is asked for a part.
 */
#include "arch/x86/emulate/internal.h"

#define DST	(&e->d.op[0])
#define SRC	(&e->d.op[1])

/* ---- descriptors ---------------------------------------------------------- */

void emul_unpack(const struct x86_descriptor *desc, u16 selector, struct kvm_segment *s)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->base = desc->low >> 16 | (desc->high & 0xff) << 16 | (desc->high & 0xff000000);
	s->limit = (desc->low & 0xffff) | (desc->high & 0xf0000);
	s->type = desc->high >> 8 & 0xf;
	s->s = desc->high >> 12 & 1;
	s->dpl = desc->high >> 13 & 3;
	s->present = desc->high >> 15 & 1;
	s->avl = desc->high >> 20 & 1;
	s->l = desc->high >> 21 & 1;
	s->db = desc->high >> 22 & 1;
	s->g = desc->high >> 23 & 1;
	if (s->g)
		s->limit = s->limit << 12 | 0xfff;
}

/**
 * emul_long_mode() - is EFER.LMA set
 * @e: context
 */
bool emul_long_mode(struct x86_emul *e)
{
	u64 efer = 0;

	if (e->mode == X86_MODE_PROT64)
		return true;
	if (emul_real(e))
		return false;
	e->ops->get_msr(e, MSR_EFER, &efer, true);
	return efer & EFER_LMA;
}

/* Where a selector's descriptor is; @found is false when beyond its table. */
static u64 descriptor_address(struct x86_emul *e, u16 selector, unsigned int bytes,
			      bool *found)
{
	u32 index = selector & ~7u;
	struct kvm_dtable gdt;

	if (selector & 4) {
		const struct kvm_segment *ldt = emul_seg(e, X86_SEG_LDTR);

		*found = !ldt->unusable && ldt->present && index + bytes - 1 <= ldt->limit;
		return ldt->base + index;
	}
	e->ops->get_gdt(e, &gdt);
	*found = index + bytes - 1 <= gdt.limit;
	return gdt.base + index;
}

/**
 * emul_read_descriptor() - read a descriptor from GDT or LDT
 * @e: context
 * @selector: which
 * @vector: fault when it lies beyond the table: #GP or #TS
 * @desc: filled
 * @bytes: 8, or 16 for a system descriptor of long mode
 * @linear: set to its address
 *
 * Return: CONTINUE or a fault.
 */
int emul_read_descriptor(struct x86_emul *e, u16 selector, u8 vector,
			 struct x86_descriptor *desc, unsigned int bytes, u64 *linear)
{
	bool found;

	*linear = descriptor_address(e, selector, bytes, &found);
	if (!found)
		return emul_fault_code(e, vector, selector & ~3);
	return emul_read_system(e, *linear, desc, bytes);
}

static int mark_accessed(struct x86_emul *e, u64 linear, const struct x86_descriptor *desc,
			 struct kvm_segment *s)
{
	u8 access = desc->high >> 8 | 1;

	s->type |= 1;
	if (desc->high & BIT(8))
		return X86_EMUL_CONTINUE;
	return emul_write_system(e, linear + 5, &access, 1);
}

/**
 * emul_find_data() - check a selector for a data segment register
 * @e: context
 * @selector: value
 * @seg: register, SS included
 * @cpl: level it is to be used at
 * @vector: #GP or #TS, when it does not fit
 * @null_ss: a null selector will do for SS
 * @s: filled
 *
 * Return: CONTINUE or a fault.
 */
int emul_find_data(struct x86_emul *e, u16 selector, enum x86_emul_seg seg,
		   unsigned int cpl, u8 vector, bool null_ss, struct kvm_segment *s)
{
	unsigned int rpl = selector & 3;
	struct x86_descriptor desc;
	u64 linear;
	int r;

	if (!(selector & ~3)) {
		memset(s, 0, sizeof(*s));
		s->selector = selector;
		s->unusable = 1;
		if (seg == X86_SEG_SS) {
			if (!null_ss || rpl != cpl)
				return emul_fault_code(e, vector, 0);
			s->type = 3;
			s->s = 1;
			s->dpl = cpl;
		}
		return X86_EMUL_CONTINUE;
	}
	r = emul_read_descriptor(e, selector, vector, &desc, 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc, selector, s);
	if (!s->s)
		return emul_fault_code(e, vector, selector & ~3);
	if (seg == X86_SEG_SS) {
		if (rpl != cpl || s->dpl != cpl || (s->type & 0xa) != 2)
			return emul_fault_code(e, vector, selector & ~3);
		if (!s->present)
			return emul_fault_code(e, X86_VEC_SS, selector & ~3);
	} else {
		/* data, or code that may be read; conforming code has no level */
		if ((s->type & 0xa) == 8)
			return emul_fault_code(e, vector, selector & ~3);
		if ((s->type & 0xc) != 0xc && (rpl > s->dpl || cpl > s->dpl))
			return emul_fault_code(e, vector, selector & ~3);
		if (!s->present)
			return emul_fault_code(e, X86_VEC_NP, selector & ~3);
	}
	return mark_accessed(e, linear, &desc, s);
}

/* How a code segment is reached. */
enum code_by {
	BY_JUMP,	/* directly: the level stays */
	BY_RETURN,	/* the selector's RPL is the new level */
	BY_GATE,	/* through a call gate, by CALL: the level may become that of the segment */
	BY_GATE_JUMP,
};

/* Is this code segment allowed? @cpl is the current level. The selector gets the new one. */
static int find_code(struct x86_emul *e, u16 selector, unsigned int cpl, enum code_by by,
		     struct kvm_segment *s)
{
	unsigned int rpl = selector & 3, level = cpl;
	bool conforming, wide = emul_long_mode(e), bad;
	struct x86_descriptor desc;
	u64 linear;
	int r;

	if (!(selector & ~3))
		return emul_gp(e, 0);
	r = emul_read_descriptor(e, selector, X86_VEC_GP, &desc, 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc, selector, s);
	if (!s->s || !(s->type & 8))
		return emul_gp(e, selector & ~3);

	conforming = s->type & 4;
	switch (by) {
	case BY_JUMP:
		bad = conforming ? s->dpl > cpl : rpl > cpl || s->dpl != cpl;
		break;
	case BY_RETURN:
		bad = rpl < cpl || (conforming ? s->dpl > rpl : s->dpl != rpl);
		level = rpl;
		break;
	case BY_GATE:
		bad = s->dpl > cpl || (wide && !s->l);
		if (!conforming)
			level = s->dpl;
		break;
	default:
		bad = (conforming ? s->dpl > cpl : s->dpl != cpl) || (wide && !s->l);
		break;
	}
	if (bad || (wide && s->l && s->db))
		return emul_gp(e, selector & ~3);
	if (!s->present)
		return emul_fault_code(e, X86_VEC_NP, selector & ~3);
	s->selector = (selector & ~3) | level;
	if (!wide)
		s->l = 0;
	return mark_accessed(e, linear, &desc, s);
}

static bool is_64bit(struct x86_emul *e, const struct kvm_segment *cs)
{
	return cs->l && emul_long_mode(e);
}

/* Does the new code segment contain the target? */
static int check_target(struct x86_emul *e, const struct kvm_segment *cs, u64 rip)
{
	if (is_64bit(e, cs) ? !emul_canonical(e, rip) : rip > cs->limit)
		return emul_gp(e, 0);
	return X86_EMUL_CONTINUE;
}

static void enter_code(struct x86_emul *e, const struct kvm_segment *cs, u64 rip)
{
	emul_put_seg(e, X86_SEG_CS, cs);
	e->next_rip = rip;
	e->mode_changed = true;
}

/**
 * emul_load_real() - load a segment register in real or virtual-8086 mode
 * @e: context
 * @selector: value
 * @seg: register
 * @vm86: virtual-8086 mode, which sets all of it; real mode keeps limit and rights
 */
void emul_load_real(struct x86_emul *e, u16 selector, enum x86_emul_seg seg, bool vm86)
{
	struct kvm_segment s = *emul_seg(e, seg);

	if (vm86) {
		memset(&s, 0, sizeof(s));
		s.limit = 0xffff;
		s.type = 3;
		s.s = 1;
		s.dpl = 3;
		s.present = 1;
	}
	s.selector = selector;
	s.base = (u64)selector << 4;
	emul_put_seg(e, seg, &s);
}

static void load_real(struct x86_emul *e, u16 selector, enum x86_emul_seg seg)
{
	emul_load_real(e, selector, seg, e->mode == X86_MODE_VM86);
}

/**
 * emul_load_segment() - load a data segment register, SS included
 * @e: context
 * @selector: value
 * @seg: which
 *
 * Return: CONTINUE or a fault.
 */
int emul_load_segment(struct x86_emul *e, u16 selector, enum x86_emul_seg seg)
{
	unsigned int cpl;
	struct kvm_segment s;
	int r;

	if (emul_real(e)) {
		load_real(e, selector, seg);
		return X86_EMUL_CONTINUE;
	}
	cpl = e->ops->get_cpl(e);
	r = emul_find_data(e, selector, seg, cpl, X86_VEC_GP,
			   e->mode == X86_MODE_PROT64 && cpl != 3, &s);
	if (r == X86_EMUL_CONTINUE)
		emul_put_seg(e, seg, &s);
	return r;
}

/* ---- call gates ----------------------------------------------------------- */

/* SS:RSP of an inner level from the task state segment */
static int inner_stack(struct x86_emul *e, unsigned int level, u16 *ss, u64 *sp)
{
	const struct kvm_segment *tr = emul_seg(e, X86_SEG_TR);
	bool wide = emul_long_mode(e), tss32 = tr->type & 8;
	unsigned int off, n;
	u64 v[2] = {};
	int r;

	if (wide) {
		off = 4 + 8 * level;
		n = 8;
	} else {
		off = tss32 ? 4 + 8 * level : 2 + 4 * level;
		n = tss32 ? 6 : 4;
	}
	if (off + n - 1 > tr->limit)
		return emul_fault_code(e, X86_VEC_TS, tr->selector & ~3);
	r = emul_read_system(e, tr->base + off, v, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (wide) {
		*sp = v[0];
		*ss = level;
	} else {
		*sp = tss32 ? (u32)v[0] : (u16)v[0];
		*ss = v[0] >> (tss32 ? 32 : 16);
	}
	return X86_EMUL_CONTINUE;
}

/*
 * Push @nr values of @n bytes on a stack that is not in use yet, at the level of the
 * system; the lowest comes last. e->mode is that of the new code.
 */
static int push_frame(struct x86_emul *e, const struct kvm_segment *ss, u64 *sp,
		      const u64 *val, unsigned int nr, unsigned int n)
{
	unsigned int width = e->mode == X86_MODE_PROT64 ? 8 : ss->db ? 4 : 2, i;
	u64 linear;
	int r;

	e->seg[X86_SEG_SS] = *ss;
	e->seg_valid |= BIT(X86_SEG_SS);
	for (i = 0; i < nr; i++) {
		*sp = (*sp & ~size_mask(width)) | ((*sp - n) & size_mask(width));
		r = emul_address(e, X86_SEG_SS, *sp & size_mask(width), n, true, &linear);
		if (r != X86_EMUL_CONTINUE) {
			e->fault.error_code = ss->selector & ~3;
			return r;
		}
		r = emul_write_system(e, linear, &val[i], n);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	return X86_EMUL_CONTINUE;
}

/* CALL to an inner level: a new stack, with the old one's pointer and parameters. */
static int call_inner(struct x86_emul *e, const struct kvm_segment *cs, u64 rip,
		      unsigned int n, unsigned int params)
{
	const struct kvm_segment old_ss = *emul_seg(e, X86_SEG_SS);
	unsigned int level = cs->selector & 3, width = emul_stack_bytes(e), nr = 0, i;
	enum x86_emul_mode mode = e->mode;
	u64 frame[2 + 31 + 2], sp;
	struct kvm_segment ss;
	u16 selector;
	int r;

	r = inner_stack(e, level, &selector, &sp);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (is_64bit(e, cs)) {
		params = 0;
		r = emul_find_data(e, level, X86_SEG_SS, level, X86_VEC_TS, true, &ss);
	} else {
		r = emul_find_data(e, selector, X86_SEG_SS, level, X86_VEC_TS, false, &ss);
	}
	if (r != X86_EMUL_CONTINUE)
		return r;

	frame[nr++] = old_ss.selector;
	frame[nr++] = e->gpr[X86_GPR_RSP] & size_mask(width);
	/* parameters keep their order: the one that was pushed last comes last */
	for (i = params; i-- > 0; ) {
		frame[nr] = 0;
		r = emul_read(e, X86_SEG_SS, (e->gpr[X86_GPR_RSP] + i * n) & size_mask(width),
			      &frame[nr++], n);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	frame[nr++] = emul_seg(e, X86_SEG_CS)->selector;
	frame[nr++] = e->next_rip;

	if (is_64bit(e, cs))
		e->mode = X86_MODE_PROT64;
	r = push_frame(e, &ss, &sp, frame, nr, n);
	e->mode = mode;
	if (r != X86_EMUL_CONTINUE) {
		e->seg[X86_SEG_SS] = old_ss;
		return r;
	}
	emul_put_seg(e, X86_SEG_SS, &ss);
	enter_code(e, cs, rip);
	emul_set_gpr(e, X86_GPR_RSP, sp, 8);
	return X86_EMUL_CONTINUE;
}

static int through_gate(struct x86_emul *e, u16 selector, unsigned int type, bool call)
{
	unsigned int cpl = e->ops->get_cpl(e), n, dpl;
	bool wide = emul_long_mode(e);
	struct x86_descriptor gate[2] = {};
	enum x86_emul_mode mode = e->mode;
	struct kvm_segment cs;
	u64 linear, rip;
	u16 old;
	int r;

	if (wide && type != 0xc)
		return emul_gp(e, selector & ~3);
	r = emul_read_descriptor(e, selector, X86_VEC_GP, gate, wide ? 16 : 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	/* the upper half of a long gate must not look like a descriptor */
	if (wide && (gate[1].high & 0x1f00))
		return emul_gp(e, selector & ~3);
	dpl = gate[0].high >> 13 & 3;
	if (dpl < cpl || dpl < (selector & 3))
		return emul_gp(e, selector & ~3);
	if (!(gate[0].high & BIT(15)))
		return emul_fault_code(e, X86_VEC_NP, selector & ~3);

	rip = gate[0].low & 0xffff;
	if (type == 0xc)
		rip |= gate[0].high & 0xffff0000;
	if (wide)
		rip |= (u64)gate[1].low << 32;
	n = wide ? 8 : type == 0xc ? 4 : 2;

	r = find_code(e, gate[0].low >> 16, cpl, call ? BY_GATE : BY_GATE_JUMP, &cs);
	if (r == X86_EMUL_CONTINUE)
		r = check_target(e, &cs, rip);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if ((cs.selector & 3) != cpl)
		return call_inner(e, &cs, rip, n, gate[0].high & 31);
	if (call) {
		old = emul_seg(e, X86_SEG_CS)->selector;
		if (wide)
			e->mode = X86_MODE_PROT64;
		r = emul_push(e, old, n);
		if (r == X86_EMUL_CONTINUE)
			r = emul_push(e, e->next_rip, n);
		e->mode = mode;
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	enter_code(e, &cs, rip);
	return X86_EMUL_CONTINUE;
}

/* ---- far JMP, CALL, RET --------------------------------------------------- */

static int far_pointer(struct x86_emul *e, u64 *rip, u16 *selector)
{
	struct x86_emul_insn *d = &e->d;
	unsigned int n = d->op_bytes;
	u8 buf[10];
	int r;

	if (!d->has_modrm) {
		*rip = d->imm;
		*selector = d->imm2;
		return X86_EMUL_CONTINUE;
	}
	/* AMD knows no pointer with a 64-bit offset */
	if (n == 8 && e->ops->has_feature(e, X86_EMUL_FEAT_AMD))
		return X86_EMUL_UNHANDLEABLE;
	r = emul_read(e, d->mem_seg, d->mem_ea, buf, n + 2);
	if (r != X86_EMUL_CONTINUE)
		return r;
	*rip = 0;
	memcpy(rip, buf, n);
	memcpy(selector, buf + n, 2);
	return r;
}

static int transfer_real(struct x86_emul *e, u16 selector, u64 rip, bool call)
{
	unsigned int n = e->d.op_bytes;
	int r;

	if (rip > emul_seg(e, X86_SEG_CS)->limit)
		return emul_gp(e, 0);
	if (call) {
		r = emul_push(e, emul_seg(e, X86_SEG_CS)->selector, n);
		if (r == X86_EMUL_CONTINUE)
			r = emul_push(e, e->next_rip, n);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	load_real(e, selector, X86_SEG_CS);
	e->next_rip = rip;
	e->mode_changed = true;
	return X86_EMUL_CONTINUE;
}

static int transfer_system(struct x86_emul *e, u16 selector, const struct kvm_segment *s,
			   const struct x86_descriptor *desc, bool call)
{
	unsigned int cpl = e->ops->get_cpl(e);

	switch (s->type) {
	case 0x4:
	case 0xc:
		return through_gate(e, selector, s->type, call);
	case 0x1:
	case 0x5:
	case 0x9:
		break;
	default:
		return emul_gp(e, selector & ~3);
	}
	/* tasks */
	if (emul_long_mode(e) || s->dpl < cpl || s->dpl < (selector & 3))
		return emul_gp(e, selector & ~3);
	if (!s->present)
		return emul_fault_code(e, X86_VEC_NP, selector & ~3);
	if (s->type == 0x5)
		selector = desc->low >> 16;
	return emul_task_switch(e, selector, call ? X86_TASK_CALL : X86_TASK_JMP);
}

static int transfer(struct x86_emul *e, u16 selector, u64 rip, bool call)
{
	struct x86_descriptor desc;
	struct kvm_segment s;
	u64 linear;
	u16 old;
	int r;

	if (emul_real(e))
		return transfer_real(e, selector, rip, call);
	if (!(selector & ~3))
		return emul_gp(e, 0);
	r = emul_read_descriptor(e, selector, X86_VEC_GP, &desc, 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc, selector, &s);
	if (!s.s)
		return transfer_system(e, selector, &s, &desc, call);

	r = find_code(e, selector, e->ops->get_cpl(e), BY_JUMP, &s);
	if (r == X86_EMUL_CONTINUE)
		r = check_target(e, &s, rip);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (call) {
		old = emul_seg(e, X86_SEG_CS)->selector;
		r = emul_push(e, old, e->d.op_bytes);
		if (r == X86_EMUL_CONTINUE)
			r = emul_push(e, e->next_rip, e->d.op_bytes);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	enter_code(e, &s, rip);
	return X86_EMUL_CONTINUE;
}

int em_jmp_far(struct x86_emul *e)
{
	u16 selector;
	u64 rip;
	int r = far_pointer(e, &rip, &selector);

	e->no_writeback = true;
	return r == X86_EMUL_CONTINUE ? transfer(e, selector, rip, false) : r;
}

int em_call_far(struct x86_emul *e)
{
	u16 selector;
	u64 rip;
	int r = far_pointer(e, &rip, &selector);

	e->no_writeback = true;
	return r == X86_EMUL_CONTINUE ? transfer(e, selector, rip, true) : r;
}

/* A data segment register that the outer level must not have is made null. */
static void drop_inner_segments(struct x86_emul *e, unsigned int cpl)
{
	static const u8 regs[] = { X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	struct kvm_segment s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		s = *emul_seg(e, regs[i]);
		if (s.unusable || s.dpl >= cpl || (s.type & 0xc) == 0xc)
			continue;
		s.selector = 0;
		s.unusable = 1;
		s.present = 0;
		emul_put_seg(e, regs[i], &s);
	}
}

/* Return to an outer level, or anywhere from 64-bit mode: SS:RSP comes too. */
static int return_with_stack(struct x86_emul *e, u16 selector, u64 rip, u16 ss_selector,
			     u64 sp, u16 drop)
{
	unsigned int cpl = e->ops->get_cpl(e), level = selector & 3, width;
	struct kvm_segment cs, ss;
	bool wide;
	int r;

	r = find_code(e, selector, cpl, BY_RETURN, &cs);
	if (r == X86_EMUL_CONTINUE)
		r = check_target(e, &cs, rip);
	if (r != X86_EMUL_CONTINUE)
		return r;
	wide = is_64bit(e, &cs);
	r = emul_find_data(e, ss_selector, X86_SEG_SS, level, X86_VEC_GP, wide && level != 3, &ss);
	if (r != X86_EMUL_CONTINUE)
		return r;

	emul_put_seg(e, X86_SEG_SS, &ss);
	enter_code(e, &cs, rip);
	width = wide ? 8 : ss.db ? 4 : 2;
	emul_set_gpr(e, X86_GPR_RSP, sp + drop, width);
	if (level != cpl)
		drop_inner_segments(e, level);
	return X86_EMUL_CONTINUE;
}

int em_ret_far(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes, width = emul_stack_bytes(e);
	u16 drop = e->d.opcode == 0xca ? DST->val : 0;
	struct kvm_segment s;
	u64 rip, cs, sp, ss;
	int r;

	e->no_writeback = true;
	r = emul_pop(e, &rip, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &cs, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (!emul_real(e) && (cs & 3) > e->ops->get_cpl(e)) {
		emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RSP] + drop, width);
		r = emul_pop(e, &sp, n);
		if (r == X86_EMUL_CONTINUE)
			r = emul_pop(e, &ss, n);
		if (r != X86_EMUL_CONTINUE)
			return r;
		return return_with_stack(e, cs, rip, ss, sp, drop);
	}
	if (emul_real(e)) {
		if (rip > emul_seg(e, X86_SEG_CS)->limit)
			return emul_gp(e, 0);
		load_real(e, cs, X86_SEG_CS);
		e->next_rip = rip;
		e->mode_changed = true;
	} else {
		r = find_code(e, cs, e->ops->get_cpl(e), BY_RETURN, &s);
		if (r == X86_EMUL_CONTINUE)
			r = check_target(e, &s, rip);
		if (r != X86_EMUL_CONTINUE)
			return r;
		enter_code(e, &s, rip);
	}
	emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RSP] + drop, width);
	return X86_EMUL_CONTINUE;
}

/* ---- IRET ----------------------------------------------------------------- */

#define IRET_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_OF | \
			 X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID)

static void iret_flags(struct x86_emul *e, u64 flags, u64 change)
{
	change &= size_mask(e->d.op_bytes);
	e->rflags = (e->rflags & ~change) | (flags & change) | X86_EFLAGS_FIXED;
	/* RF as it was on the stack lasts until the next instruction is done */
	e->keep_rf = e->d.op_bytes != 2;
	e->ops->set_nmi_mask(e, false);
}

/* In real mode, and in virtual-8086 mode with IOPL 3. */
static int iret_real(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes;
	u64 rip, cs, flags;
	int r;

	r = emul_pop(e, &rip, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &cs, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &flags, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (rip > emul_seg(e, X86_SEG_CS)->limit)
		return emul_gp(e, 0);
	load_real(e, cs, X86_SEG_CS);
	e->next_rip = rip;
	iret_flags(e, flags, IRET_FLAGS | X86_EFLAGS_IF |
		   (e->mode == X86_MODE_REAL ? X86_EFLAGS_IOPL : 0));
	return X86_EMUL_CONTINUE;
}

static int iret_to_vm86(struct x86_emul *e, u64 rip, u16 cs, u64 flags)
{
	static const u8 regs[] = { X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	u64 sp, ss, data[4];
	unsigned int i;
	int r;

	r = emul_pop(e, &sp, 4);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &ss, 4);
	for (i = 0; i < 4 && r == X86_EMUL_CONTINUE; i++)
		r = emul_pop(e, &data[i], 4);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (rip > 0xffff)
		return emul_gp(e, 0);
	emul_load_real(e, ss, X86_SEG_SS, true);
	emul_load_real(e, cs, X86_SEG_CS, true);
	for (i = 0; i < 4; i++)
		emul_load_real(e, data[i], regs[i], true);
	emul_set_gpr(e, X86_GPR_RSP, sp, 4);
	e->next_rip = rip;
	e->mode_changed = true;
	iret_flags(e, flags, IRET_FLAGS | X86_EFLAGS_IF | X86_EFLAGS_IOPL | X86_EFLAGS_VM |
		   X86_EFLAGS_VIF | X86_EFLAGS_VIP);
	return X86_EMUL_CONTINUE;
}

/* Back to the task that this one was nested in. */
static int iret_task(struct x86_emul *e)
{
	u16 link;
	int r;

	if (emul_long_mode(e))
		return emul_gp(e, 0);
	r = emul_read_system(e, emul_seg(e, X86_SEG_TR)->base, &link, 2);
	return r == X86_EMUL_CONTINUE ? emul_task_switch(e, link, X86_TASK_IRET) : r;
}

int em_iret(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes, cpl = e->ops->get_cpl(e);
	unsigned int iopl = (e->rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
	u64 rip, cs, flags, sp, ss, change = IRET_FLAGS;
	struct kvm_segment s;
	int r;

	r = emul_check_vm86(e);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (emul_real(e))
		return iret_real(e);
	if (e->rflags & X86_EFLAGS_NT)
		return iret_task(e);
	r = emul_pop(e, &rip, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &cs, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &flags, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if ((flags & X86_EFLAGS_VM) && n == 4 && !cpl && !emul_long_mode(e))
		return iret_to_vm86(e, rip, cs, flags);

	if ((cs & 3) > cpl || e->mode == X86_MODE_PROT64) {
		r = emul_pop(e, &sp, n);
		if (r == X86_EMUL_CONTINUE)
			r = emul_pop(e, &ss, n);
		if (r == X86_EMUL_CONTINUE)
			r = return_with_stack(e, cs, rip, ss, sp, 0);
	} else {
		r = find_code(e, cs, cpl, BY_RETURN, &s);
		if (r == X86_EMUL_CONTINUE)
			r = check_target(e, &s, rip);
		if (r == X86_EMUL_CONTINUE)
			enter_code(e, &s, rip);
	}
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (!cpl)
		change |= X86_EFLAGS_IOPL | X86_EFLAGS_VIF | X86_EFLAGS_VIP;
	if (cpl <= iopl)
		change |= X86_EFLAGS_IF;
	iret_flags(e, flags, change);
	return X86_EMUL_CONTINUE;
}

/* ---- INT ------------------------------------------------------------------ */

/* Through the vector table of real mode; the frame says to go on at @back. */
static int int_real(struct x86_emul *e, u8 vector, u64 back)
{
	struct kvm_dtable idt;
	u16 entry[2];
	int r;

	e->ops->get_idt(e, &idt);
	if (vector * 4 + 3 > idt.limit)
		return emul_gp(e, 0);
	r = emul_read_system(e, idt.base + vector * 4, entry, sizeof(entry));
	if (r == X86_EMUL_CONTINUE)
		r = emul_push(e, e->rflags, 2);
	if (r == X86_EMUL_CONTINUE)
		r = emul_push(e, emul_seg(e, X86_SEG_CS)->selector, 2);
	if (r == X86_EMUL_CONTINUE)
		r = emul_push(e, back, 2);
	if (r != X86_EMUL_CONTINUE)
		return r;
	e->rflags &= ~(u64)(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_RF);
	load_real(e, entry[1], X86_SEG_CS);
	e->next_rip = entry[0];
	e->mode_changed = true;
	return X86_EMUL_CONTINUE;
}

/**
 * x86_emul_int_real() - deliver an event through the real-mode vector table
 * @e: context; x86_emul_init() done, registers set; the frame gets e->rip
 * @vector: vector
 *
 * Return: CONTINUE, with registers to be committed; else nothing has changed and it is
 * PROPAGATE_FAULT or IO_NEEDED.
 */
int x86_emul_int_real(struct x86_emul *e, u8 vector)
{
	u64 rsp = e->gpr[X86_GPR_RSP];
	int r;

	e->seg_valid = 0;
	e->gpr_dirty = 0;
	r = int_real(e, vector, e->rip);
	if (r == X86_EMUL_CONTINUE) {
		e->rip = e->next_rip;
	} else {
		e->gpr[X86_GPR_RSP] = rsp;
		e->gpr_dirty = 0;
	}
	return r;
}
EXPORT_SYMBOL_GPL(x86_emul_int_real);

int em_int(struct x86_emul *e)
{
	u8 vector, event;
	int r;

	e->no_writeback = true;
	switch (e->d.opcode) {
	case 0xcc:
		vector = 3;
		event = X86_EMUL_SOFT_INT3;
		break;
	case 0xce:
		if (!(e->rflags & X86_EFLAGS_OF))
			return X86_EMUL_CONTINUE;
		vector = 4;
		event = X86_EMUL_SOFT_INTO;
		break;
	case 0xf1:
		vector = 1;
		event = X86_EMUL_SOFT_INT1;
		break;
	default:
		r = emul_check_vm86(e);
		if (r != X86_EMUL_CONTINUE)
			return r;
		vector = DST->val;
		event = X86_EMUL_SOFT_INT;
		break;
	}
	/* the handler runs with TF clear: no trap after the instruction */
	e->no_trap = true;
	if (e->mode == X86_MODE_REAL)
		return int_real(e, vector, e->next_rip);
	e->soft_vector = vector;
	e->soft_event = event;
	return X86_EMUL_CONTINUE;
}

/* ---- moves of segment registers ------------------------------------------- */

static void after_ss(struct x86_emul *e)
{
	e->int_shadow = KVM_X86_SHADOW_INT_MOV_SS;
	e->no_trap = true;
}

int em_mov_sreg(struct x86_emul *e)
{
	int r;

	e->no_writeback = true;
	r = emul_load_segment(e, SRC->val, DST->reg);
	if (r == X86_EMUL_CONTINUE && DST->reg == X86_SEG_SS)
		after_ss(e);
	return r;
}

int em_mov_from_sreg(struct x86_emul *e)
{
	DST->val = emul_seg(e, SRC->reg)->selector;
	return X86_EMUL_CONTINUE;
}

/* which register PUSH and POP mean */
static enum x86_emul_seg stack_seg(const struct x86_emul *e)
{
	return e->d.map ? (e->d.opcode & 8 ? X86_SEG_GS : X86_SEG_FS) : e->d.opcode >> 3 & 3;
}

int em_push_sreg(struct x86_emul *e)
{
	return emul_push(e, emul_seg(e, stack_seg(e))->selector, e->d.op_bytes);
}

int em_pop_sreg(struct x86_emul *e)
{
	enum x86_emul_seg seg = stack_seg(e);
	unsigned int width = emul_stack_bytes(e);
	u64 v;
	/* two bytes are read, whatever the operand size */
	int r = emul_read(e, X86_SEG_SS, emul_gpr(e, X86_GPR_RSP, width), &v, 2);

	if (r == X86_EMUL_CONTINUE)
		r = emul_load_segment(e, v, seg);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RSP] + e->d.op_bytes, width);
	if (seg == X86_SEG_SS)
		after_ss(e);
	return r;
}

/* LES, LDS, LSS, LFS, LGS */
int em_lseg(struct x86_emul *e)
{
	enum x86_emul_seg seg;
	u16 selector;
	u64 v;
	int r = far_pointer(e, &v, &selector);

	switch (e->d.opcode) {
	case 0xc4:
		seg = X86_SEG_ES;
		break;
	case 0xc5:
		seg = X86_SEG_DS;
		break;
	case 0xb2:
		seg = X86_SEG_SS;
		break;
	case 0xb4:
		seg = X86_SEG_FS;
		break;
	default:
		seg = X86_SEG_GS;
		break;
	}
	if (r == X86_EMUL_CONTINUE)
		r = emul_load_segment(e, selector, seg);
	if (r == X86_EMUL_CONTINUE)
		DST->val = v;
	return r;
}

/* ---- LDTR, TR and what tells of descriptors ------------------------------- */

int em_sldt(struct x86_emul *e)
{
	bool tr = e->d.modrm >> 3 & 1;

	if ((e->ops->get_cr(e, 4) & X86_CR4_UMIP) && e->ops->get_cpl(e))
		return emul_gp(e, 0);
	DST->val = emul_seg(e, tr ? X86_SEG_TR : X86_SEG_LDTR)->selector;
	return X86_EMUL_CONTINUE;
}

static int load_system(struct x86_emul *e, u16 selector, enum x86_emul_seg seg)
{
	bool wide = emul_long_mode(e);
	struct x86_descriptor desc[2] = {};
	struct kvm_segment s;
	u64 linear;
	u8 access;
	int r;

	if (selector & 4)
		return emul_gp(e, selector & ~3);
	r = emul_read_descriptor(e, selector, X86_VEC_GP, desc, wide ? 16 : 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc[0], selector, &s);
	if (wide)
		s.base |= (u64)desc[1].low << 32;
	if (s.s || (seg == X86_SEG_LDTR ? s.type != 2 :
		    (s.type != 9 && (s.type != 1 || wide))))
		return emul_gp(e, selector & ~3);
	if (!s.present)
		return emul_fault_code(e, X86_VEC_NP, selector & ~3);
	if (wide && ((desc[1].high & 0x1f00) || !emul_canonical(e, s.base)))
		return emul_gp(e, selector & ~3);
	if (seg == X86_SEG_TR) {
		s.type |= 2;
		access = desc[0].high >> 8 | 2;
		r = emul_write_system(e, linear + 5, &access, 1);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	emul_put_seg(e, seg, &s);
	return X86_EMUL_CONTINUE;
}

int em_lldt(struct x86_emul *e)
{
	struct kvm_segment s = { .unusable = 1 };

	if (DST->val & ~3)
		return load_system(e, DST->val, X86_SEG_LDTR);
	s.selector = DST->val;
	emul_put_seg(e, X86_SEG_LDTR, &s);
	return X86_EMUL_CONTINUE;
}

int em_ltr(struct x86_emul *e)
{
	return DST->val & ~3 ? load_system(e, DST->val, X86_SEG_TR) : emul_gp(e, 0);
}

/*
 * LAR, LSL, VERR, VERW: may the current level see this descriptor? No fault tells
 * that it may not, only ZF; a page fault of the table is one.
 */
static int visible(struct x86_emul *e, u16 selector, u32 system_types, bool *yes,
		   struct x86_descriptor *desc, struct kvm_segment *s)
{
	unsigned int cpl = e->ops->get_cpl(e);
	bool found;
	u64 linear;
	int r;

	*yes = false;
	if (!(selector & ~3))
		return X86_EMUL_CONTINUE;
	linear = descriptor_address(e, selector, 8, &found);
	if (!found)
		return X86_EMUL_CONTINUE;
	r = emul_read_system(e, linear, desc, 8);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(desc, selector, s);
	if (!s->s && !(system_types & BIT(s->type)))
		return X86_EMUL_CONTINUE;
	*yes = (s->s && (s->type & 0xc) == 0xc) ||
	       (s->dpl >= cpl && s->dpl >= (selector & 3));
	return X86_EMUL_CONTINUE;
}

static void set_zf(struct x86_emul *e, bool on)
{
	e->rflags = on ? e->rflags | X86_EFLAGS_ZF : e->rflags & ~(u64)X86_EFLAGS_ZF;
}

int em_lar(struct x86_emul *e)
{
	bool lsl = e->d.opcode == 0x03, yes;
	/* gates have no limit; 16-bit ones do not exist in long mode */
	u32 types = BIT(2) | BIT(9) | BIT(0xb) | (lsl ? 0 : BIT(0xc));
	struct x86_descriptor desc;
	struct kvm_segment s;
	int r;

	if (!emul_long_mode(e))
		types |= BIT(1) | BIT(3) | (lsl ? 0 : BIT(4) | BIT(5));
	r = visible(e, SRC->val, types, &yes, &desc, &s);
	if (r != X86_EMUL_CONTINUE)
		return r;
	set_zf(e, yes);
	if (yes)
		DST->val = lsl ? s.limit : desc.high & 0x00ffff00;
	else
		e->no_writeback = true;
	return X86_EMUL_CONTINUE;
}

int em_verr(struct x86_emul *e)
{
	bool write = e->d.modrm & 8, yes;
	struct x86_descriptor desc;
	struct kvm_segment s;
	int r;

	r = visible(e, DST->val, 0, &yes, &desc, &s);
	if (r != X86_EMUL_CONTINUE)
		return r;
	/* written: data that may be; read: not code that may only be executed */
	if (yes)
		yes = write ? (s.type & 0xa) == 2 : (s.type & 0xa) != 8;
	set_zf(e, yes);
	return X86_EMUL_CONTINUE;
}

int em_arpl(struct x86_emul *e)
{
	bool less = (DST->val & 3) < (SRC->val & 3);

	set_zf(e, less);
	if (less)
		DST->val = (DST->val & ~3ull) | (SRC->val & 3);
	else if (DST->type == X86_OP_GPR)
		e->no_writeback = true;
	return X86_EMUL_CONTINUE;
}
