// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers, segments, memory and stack as instructions use them, and the frame
 * around each: operands are read, the instruction is carried out on a copy of the
 * registers, results are written, faults leave everything as it was.
 *
 * AMD64 APM vol. 2, chapter 4 (segmentation), vol. 1, 2.2 (addresses).
 */
#include "arch/x86/emulate/internal.h"

/**
 * emul_fault() - raise a fault without an error code
 * @e: context
 * @vector: exception
 *
 * Return: PROPAGATE_FAULT.
 */
int emul_fault(struct x86_emul *e, u8 vector)
{
	e->fault = (struct x86_exception) { .vector = vector };
	return X86_EMUL_PROPAGATE_FAULT;
}

/**
 * emul_fault_code() - raise a fault with an error code
 * @e: context
 * @vector: exception
 * @code: error code; not pushed in real mode
 *
 * Return: PROPAGATE_FAULT.
 */
int emul_fault_code(struct x86_emul *e, u8 vector, u16 code)
{
	e->fault = (struct x86_exception) {
		.vector = vector,
		.error_code_valid = e->mode != X86_MODE_REAL,
		.error_code = code,
	};
	return X86_EMUL_PROPAGATE_FAULT;
}

/**
 * x86_emul_mode_of() - mode that registers put the CPU in
 * @cr0: CR0
 * @efer: EFER
 * @rflags: RFLAGS
 * @cs: CS
 */
enum x86_emul_mode x86_emul_mode_of(u64 cr0, u64 efer, u64 rflags,
				    const struct kvm_segment *cs)
{
	if (!(cr0 & X86_CR0_PE))
		return X86_MODE_REAL;
	if ((efer & EFER_LMA) && cs->l)
		return X86_MODE_PROT64;
	if (rflags & X86_EFLAGS_VM)
		return X86_MODE_VM86;
	return cs->db ? X86_MODE_PROT32 : X86_MODE_PROT16;
}
EXPORT_SYMBOL_GPL(x86_emul_mode_of);

/**
 * x86_emul_init() - forget the instruction before
 * @e: context; ops and priv stay
 */
void x86_emul_init(struct x86_emul *e)
{
	memset(&e->d, 0, sizeof(e->d));
	memset(&e->fault, 0, sizeof(e->fault));
	e->gpr_dirty = 0;
	e->insn_len = 0;
	e->tf = false;
	e->int_shadow = 0;
	e->soft_event = X86_EMUL_SOFT_NONE;
	e->mode_changed = false;
	e->seg_valid = 0;
	e->fetch_len = 0;
	e->fetch_pos = 0;
}
EXPORT_SYMBOL_GPL(x86_emul_init);

/* ---- registers ------------------------------------------------------------ */

struct kvm_segment *emul_seg(struct x86_emul *e, enum x86_emul_seg seg)
{
	if (!(e->seg_valid & BIT(seg))) {
		e->ops->get_segment(e, seg, &e->seg[seg]);
		e->seg_valid |= BIT(seg);
	}
	return &e->seg[seg];
}

void emul_put_seg(struct x86_emul *e, enum x86_emul_seg seg, const struct kvm_segment *s)
{
	e->seg[seg] = *s;
	e->seg_valid |= BIT(seg);
	e->ops->set_segment(e, seg, s);
}

u64 emul_gpr(const struct x86_emul *e, unsigned int reg, unsigned int bytes)
{
	return e->gpr[reg] & size_mask(bytes);
}

/* Before the first write: what a fault gives back. */
static void save_gpr(struct x86_emul *e, unsigned int reg)
{
	if (e->gpr_dirty & BIT(reg))
		return;
	e->saved_gpr[reg] = e->gpr[reg];
	e->gpr_dirty |= BIT(reg);
}

static void restore_gprs(struct x86_emul *e)
{
	unsigned int reg;

	for (reg = 0; reg < 16; reg++)
		if (e->gpr_dirty & BIT(reg))
			e->gpr[reg] = e->saved_gpr[reg];
	e->gpr_dirty = 0;
}

void emul_set_gpr(struct x86_emul *e, unsigned int reg, u64 val, unsigned int bytes)
{
	save_gpr(e, reg);
	/* 32 bits clear the upper half, 16 and 8 leave the rest */
	if (bytes >= 4)
		e->gpr[reg] = val & size_mask(bytes);
	else
		e->gpr[reg] = (e->gpr[reg] & ~size_mask(bytes)) | (val & size_mask(bytes));
}

/* AH, CH, DH, BH: @reg is that of the whole register */
void emul_set_gpr_high(struct x86_emul *e, unsigned int reg, u8 val)
{
	save_gpr(e, reg);
	e->gpr[reg] = (e->gpr[reg] & ~0xff00ull) | val << 8;
}

/* ---- addresses ------------------------------------------------------------ */

/**
 * emul_canonical() - is that an address the guest's paging can translate
 * @e: context
 * @linear: address
 */
bool emul_canonical(struct x86_emul *e, u64 linear)
{
	return sign_extend(linear, 6) == linear ||
	       ((e->ops->get_cr(e, 4) & X86_CR4_LA57) &&
		(u64)((s64)(linear << 7) >> 7) == linear);
}

static int seg_fault(struct x86_emul *e, enum x86_emul_seg seg)
{
	return emul_fault_code(e, seg == X86_SEG_SS ? X86_VEC_SS : X86_VEC_GP, 0);
}

/**
 * emul_address() - check an access and give its linear address
 * @e: context
 * @seg: segment
 * @ea: offset
 * @bytes: size of the access; 0 checks nothing of the limit
 * @write: for writing
 * @linear: set to the address
 *
 * Return: CONTINUE or PROPAGATE_FAULT.
 */
int emul_address(struct x86_emul *e, enum x86_emul_seg seg, u64 ea,
		 unsigned int bytes, bool write, u64 *linear)
{
	const struct kvm_segment *s;
	u64 last, low, high;

	if (e->mode == X86_MODE_PROT64) {
		*linear = ea;
		if (seg == X86_SEG_FS || seg == X86_SEG_GS)
			*linear += emul_seg(e, seg)->base;
		/* the ends of a page are alike */
		if (!emul_canonical(e, *linear) ||
		    ((*linear & 4095) + bytes > 4096 &&
		     !emul_canonical(e, *linear + bytes - 1)))
			return seg_fault(e, seg);
		return X86_EMUL_CONTINUE;
	}

	s = emul_seg(e, seg);
	ea = (u32)ea;
	*linear = (u32)(s->base + ea);
	if (!emul_real(e)) {
		if (s->unusable || !s->present)
			return seg_fault(e, seg);
		/* code is never written, and read only when it may be; data written likewise */
		if (write ? ((s->type & 8) || !(s->type & 2)) :
			    ((s->type & 8) && !(s->type & 2)))
			return seg_fault(e, seg);
	}
	if (!bytes)
		return X86_EMUL_CONTINUE;
	last = ea + bytes - 1;
	low = 0;
	high = s->limit;
	/* expand-down: everything above the limit */
	if ((s->type & 0xc) == 4 && !emul_real(e)) {
		low = (u64)s->limit + 1;
		high = s->db ? 0xffffffff : 0xffff;
	}
	if (ea < low || last > high)
		return seg_fault(e, seg);
	return X86_EMUL_CONTINUE;
}

/**
 * x86_emul_linear() - linear address of the memory operand
 * @e: context, decoded
 * @write: for writing
 * @linear: set to the address
 *
 * Return: CONTINUE or PROPAGATE_FAULT.
 */
int x86_emul_linear(struct x86_emul *e, bool write, u64 *linear)
{
	return emul_address(e, e->d.mem_seg, e->d.mem_ea, e->d.mem_bytes, write, linear);
}
EXPORT_SYMBOL_GPL(x86_emul_linear);

int emul_read(struct x86_emul *e, enum x86_emul_seg seg, u64 ea, void *val,
	      unsigned int bytes)
{
	u64 linear;
	int r = emul_address(e, seg, ea, bytes, false, &linear);

	return r == X86_EMUL_CONTINUE ?
		e->ops->read(e, linear, val, bytes, false, &e->fault) : r;
}

int emul_write(struct x86_emul *e, enum x86_emul_seg seg, u64 ea, const void *val,
	       unsigned int bytes)
{
	u64 linear;
	int r = emul_address(e, seg, ea, bytes, true, &linear);

	return r == X86_EMUL_CONTINUE ?
		e->ops->write(e, linear, val, bytes, false, &e->fault) : r;
}

int emul_read_system(struct x86_emul *e, u64 linear, void *val, unsigned int bytes)
{
	return e->ops->read(e, linear, val, bytes, true, &e->fault);
}

int emul_write_system(struct x86_emul *e, u64 linear, const void *val, unsigned int bytes)
{
	return e->ops->write(e, linear, val, bytes, true, &e->fault);
}

/* ---- stack and RIP -------------------------------------------------------- */

/**
 * emul_stack_bytes() - width of the stack pointer
 * @e: context
 */
unsigned int emul_stack_bytes(struct x86_emul *e)
{
	if (e->mode == X86_MODE_PROT64)
		return 8;
	return emul_seg(e, X86_SEG_SS)->db ? 4 : 2;
}

int emul_push(struct x86_emul *e, u64 val, unsigned int bytes)
{
	unsigned int width = emul_stack_bytes(e);
	u64 sp = (e->gpr[X86_GPR_RSP] - bytes) & size_mask(width);
	int r = emul_write(e, X86_SEG_SS, sp, &val, bytes);

	if (r == X86_EMUL_CONTINUE)
		emul_set_gpr(e, X86_GPR_RSP, sp, width);
	return r;
}

int emul_pop(struct x86_emul *e, u64 *val, unsigned int bytes)
{
	unsigned int width = emul_stack_bytes(e);
	u64 sp = emul_gpr(e, X86_GPR_RSP, width);
	int r;

	*val = 0;
	r = emul_read(e, X86_SEG_SS, sp, val, bytes);
	if (r == X86_EMUL_CONTINUE)
		emul_set_gpr(e, X86_GPR_RSP, sp + bytes, width);
	return r;
}

/**
 * emul_jump() - where to go on
 * @e: context
 * @rip: offset in CS
 * @bytes: operand size, to which it is cut
 */
int emul_jump(struct x86_emul *e, u64 rip, unsigned int bytes)
{
	rip &= size_mask(bytes);
	if (e->mode == X86_MODE_PROT64) {
		if (!emul_canonical(e, rip))
			return emul_gp(e, 0);
	} else if (rip > emul_seg(e, X86_SEG_CS)->limit) {
		return emul_gp(e, 0);
	}
	e->next_rip = rip;
	return X86_EMUL_CONTINUE;
}

/**
 * emul_check_vm86() - virtual-8086 mode: PUSHF, POPF, CLI, STI, INT n, IRET need IOPL 3
 * @e: context
 *
 * Return: CONTINUE, #GP, or UNHANDLEABLE with the mode's extensions.
 */
int emul_check_vm86(struct x86_emul *e)
{
	if (e->mode != X86_MODE_VM86 || (e->rflags & X86_EFLAGS_IOPL) == X86_EFLAGS_IOPL)
		return X86_EMUL_CONTINUE;
	return e->ops->get_cr(e, 4) & X86_CR4_VME ? X86_EMUL_UNHANDLEABLE : emul_gp(e, 0);
}

/* ---- one instruction ------------------------------------------------------ */

static int read_operand(struct x86_emul *e, struct x86_operand *op)
{
	u64 linear;
	int r;

	switch (op->type) {
	case X86_OP_GPR:
		op->val = emul_gpr(e, op->reg, 8);
		if (op->high)
			op->val >>= 8;
		op->val &= size_mask(op->bytes);
		break;
	case X86_OP_MEM:
		op->v[0] = 0;
		op->v[1] = 0;
		r = x86_emul_linear(e, e->d.mem_write, &linear);
		/* what will be written faults as a write does, before it is read */
		if (r == X86_EMUL_CONTINUE && e->d.mem_write)
			r = e->ops->probe_write(e, linear, op->bytes, false, &e->fault);
		if (r == X86_EMUL_CONTINUE)
			r = e->ops->read(e, linear, op->v, op->bytes, false, &e->fault);
		if (r != X86_EMUL_CONTINUE)
			return r;
		op->orig = op->val;
		break;
	case X86_OP_XMM:
	case X86_OP_MMX:
		op->v[0] = 0;
		op->v[1] = 0;
		e->ops->get_fpu(e);
		e->ops->read_vec(e, op->type == X86_OP_MMX, op->reg, op->v);
		e->ops->put_fpu(e);
		break;
	}
	return X86_EMUL_CONTINUE;
}

static int write_operand(struct x86_emul *e, struct x86_operand *op, bool lock)
{
	u64 linear;
	int r;

	switch (op->type) {
	case X86_OP_GPR:
		if (op->high)
			emul_set_gpr_high(e, op->reg, op->val);
		else
			emul_set_gpr(e, op->reg, op->val, op->bytes);
		break;
	case X86_OP_MEM:
		r = x86_emul_linear(e, true, &linear);
		if (r != X86_EMUL_CONTINUE)
			return r;
		if (!lock)
			return e->ops->write(e, linear, op->v, op->bytes, false, &e->fault);
		/* in brackets: cmpxchg() is a macro */
		r = (e->ops->cmpxchg)(e, linear, &op->orig, op->v, op->bytes, &e->fault);
		return r == X86_EMUL_CMPXCHG_FAILED ? X86_EMUL_RETRY_INSTR : r;
	case X86_OP_XMM:
	case X86_OP_MMX:
		e->ops->get_fpu(e);
		e->ops->write_vec(e, op->type == X86_OP_MMX, op->reg, op->v);
		e->ops->put_fpu(e);
		break;
	}
	return X86_EMUL_CONTINUE;
}

static int intercept(struct x86_emul *e, enum x86_emul_stage stage)
{
	return unlikely(e->nested) ? e->ops->intercept(e, stage) : X86_EMUL_CONTINUE;
}

static int carry_out(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	u32 flags = e->flags;
	bool lock;
	int r, i;

	if ((flags & F_PRIV) && e->ops->get_cpl(e))
		return emul_gp(e, 0);
	r = intercept(e, X86_EMUL_STAGE_CHECKED);
	/* a device must not be read for an instruction that then faults */
	if (r == X86_EMUL_CONTINUE && (flags & F_VEC))
		r = emul_check_vec(e);
	if (r != X86_EMUL_CONTINUE)
		return r;
	/* XCHG with memory locks by itself */
	lock = d->lock || (d->desc->exec == em_xchg && d->op[0].type == X86_OP_MEM);

	for (i = 0; i < 3; i++) {
		if (d->op[i].type == X86_OP_MEM && (flags & F_NOACCESS))
			continue;
		/* a vector register may keep a part of what it has */
		if (!i && (flags & F_NOREAD) &&
		    (!(flags & F_VEC) || d->op[0].type == X86_OP_MEM))
			continue;
		r = read_operand(e, &d->op[i]);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	e->no_writeback = (flags & F_NOWRITE) ||
			  ((flags & F_NOACCESS) && d->op[0].type == X86_OP_MEM);
	r = d->desc->exec(e);
	if (r != X86_EMUL_CONTINUE || e->no_writeback)
		return r;
	return write_operand(e, &d->op[0], lock);
}

/**
 * x86_emul_execute() - carry the decoded instruction out
 * @e: context, decoded
 *
 * Return: see emulate.h.
 */
int x86_emul_execute(struct x86_emul *e)
{
	int r;

	e->saved_rip = e->rip;
	e->saved_rflags = e->rflags;
	e->gpr_dirty = 0;
	e->no_trap = false;
	e->keep_rf = false;
	e->task_switched = false;
	e->int_shadow = 0;
	e->soft_event = X86_EMUL_SOFT_NONE;
	e->seg_valid = 0;
	e->next_rip = (e->rip + e->d.len) & (e->mode == X86_MODE_PROT64 ? ~0ull : 0xffffffff);

	r = intercept(e, X86_EMUL_STAGE_DECODED);
	if (r == X86_EMUL_CONTINUE)
		r = carry_out(e);

	/* single-stepped, each round of a repeated instruction is a step */
	if (r == X86_EMUL_RESTART && e->d.is_rep && (e->saved_rflags & X86_EFLAGS_TF)) {
		e->next_rip = e->rip;
		r = X86_EMUL_CONTINUE;
	}
	/* the new task has faulted */
	if (e->task_switched && r != X86_EMUL_CONTINUE) {
		e->rip = e->next_rip;
		return r == X86_EMUL_PROPAGATE_FAULT ? r : X86_EMUL_UNHANDLEABLE;
	}

	switch (r) {
	case X86_EMUL_CONTINUE:
		e->rip = e->next_rip;
		if (!e->keep_rf)
			e->rflags &= ~(u64)X86_EFLAGS_RF;
		e->tf = (e->saved_rflags & X86_EFLAGS_TF) && !e->no_trap;
		break;
	case X86_EMUL_RESTART:
		break;
	default:
		/*
		 * Carried out again, it finds its operands as they were decoded:
		 * nothing but values is written to them, never to an immediate,
		 * and all other values are read or made anew.
		 */
		restore_gprs(e);
		e->rip = e->saved_rip;
		e->rflags = e->saved_rflags;
		break;
	}
	return r;
}
EXPORT_SYMBOL_GPL(x86_emul_execute);
