// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment registers and far control flow (AMD64 APM vol. 2, chapter 4 and 8).
 *
 * Within one privilege level, and IRET to an outer one. Not carried out, so that
 * the caller says so: call gates, task gates and hardware task switches, far
 * returns to an outer level, IRET to a nested task or to virtual-8086 mode. A stack
 * frame in device memory is not repeated correctly when user space is asked.
 */
#include "arch/x86/emulate/internal.h"

#define DST	(&e->d.op[0])
#define SRC	(&e->d.op[1])

#define VECTOR_NP	11
#define VECTOR_SS	12

struct descriptor {
	u32 low, high;
};

static void unpack(const struct descriptor *desc, u16 selector, struct kvm_segment *s)
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

static int descriptor_address(struct x86_emul *e, u16 selector, unsigned int bytes,
			      u64 *linear)
{
	u32 index = selector & ~7u;

	if (selector & 4) {
		struct kvm_segment *ldt = emul_seg(e, X86_SEG_LDTR);

		if (ldt->unusable || !ldt->present || index + bytes - 1 > ldt->limit)
			return emul_gp(e, selector & ~3);
		*linear = ldt->base + index;
	} else {
		struct kvm_dtable gdt;

		e->ops->get_gdt(e, &gdt);
		if (index + bytes - 1 > gdt.limit)
			return emul_gp(e, selector & ~3);
		*linear = gdt.base + index;
	}
	return X86_EMUL_CONTINUE;
}

static int read_descriptor(struct x86_emul *e, u16 selector, struct descriptor *desc,
			   u64 *linear)
{
	int r = descriptor_address(e, selector, sizeof(*desc), linear);

	return r == X86_EMUL_CONTINUE ?
		emul_read_system(e, *linear, desc, sizeof(*desc)) : r;
}

static int mark_accessed(struct x86_emul *e, u64 linear, struct descriptor *desc)
{
	u8 access = desc->high >> 8 | 1;

	if (desc->high & BIT(8))
		return X86_EMUL_CONTINUE;
	desc->high |= BIT(8);
	return emul_write_system(e, linear + 5, &access, 1);
}

static void load_real(struct x86_emul *e, u16 selector, enum x86_emul_seg seg)
{
	struct kvm_segment s = *emul_seg(e, seg);

	s.selector = selector;
	s.base = (u64)selector << 4;
	if (e->mode == X86_MODE_VM86) {
		s.limit = 0xffff;
		s.type = 3;
		s.s = 1;
		s.dpl = 3;
		s.present = 1;
		s.db = 0;
		s.l = 0;
		s.g = 0;
		s.unusable = 0;
	}
	emul_put_seg(e, seg, &s);
}

/**
 * emul_load_segment() - load a data segment register, SS included
 * @e: context
 * @selector: value
 * @seg: which
 */
int emul_load_segment(struct x86_emul *e, u16 selector, enum x86_emul_seg seg)
{
	unsigned int cpl = e->ops->get_cpl(e), rpl = selector & 3;
	struct descriptor desc;
	struct kvm_segment s;
	u64 linear;
	int r;

	if (emul_real(e)) {
		load_real(e, selector, seg);
		return X86_EMUL_CONTINUE;
	}
	if (!(selector & ~3)) {
		if (seg == X86_SEG_SS &&
		    (e->mode != X86_MODE_PROT64 || rpl != cpl || cpl == 3))
			return emul_gp(e, 0);
		memset(&s, 0, sizeof(s));
		s.selector = selector;
		s.unusable = 1;
		if (seg == X86_SEG_SS) {
			s.type = 3;
			s.s = 1;
			s.dpl = cpl;
		}
		emul_put_seg(e, seg, &s);
		return X86_EMUL_CONTINUE;
	}
	r = read_descriptor(e, selector, &desc, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	unpack(&desc, selector, &s);
	if (!s.s)
		return emul_gp(e, selector & ~3);
	if (seg == X86_SEG_SS) {
		if (rpl != cpl || s.dpl != cpl || (s.type & 0xa) != 2)
			return emul_gp(e, selector & ~3);
		if (!s.present)
			return emul_fault_code(e, VECTOR_SS, selector & ~3);
	} else {
		/* data, or code that may be read; conforming code has no level */
		if ((s.type & 0xa) == 8)
			return emul_gp(e, selector & ~3);
		if ((s.type & 0xc) != 0xc && (rpl > s.dpl || cpl > s.dpl))
			return emul_gp(e, selector & ~3);
		if (!s.present)
			return emul_fault_code(e, VECTOR_NP, selector & ~3);
	}
	r = mark_accessed(e, linear, &desc);
	if (r != X86_EMUL_CONTINUE)
		return r;
	s.type |= 1;
	emul_put_seg(e, seg, &s);
	return X86_EMUL_CONTINUE;
}

/* A code segment for a transfer to level @cpl; checked, not loaded. */
static int find_code(struct x86_emul *e, u16 selector, unsigned int cpl, bool is_return,
		     struct kvm_segment *s)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	u64 linear;
	int r;

	if (!(selector & ~3))
		return emul_gp(e, 0);
	r = read_descriptor(e, selector, &desc, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	unpack(&desc, selector, s);
	/* gates and tasks */
	if (!s->s)
		return X86_EMUL_UNHANDLEABLE;
	if (!(s->type & 8))
		return emul_gp(e, selector & ~3);
	if (s->type & 4) {
		if (s->dpl > (is_return ? rpl : cpl))
			return emul_gp(e, selector & ~3);
	} else if (is_return ? s->dpl != rpl : (rpl > cpl || s->dpl != cpl)) {
		return emul_gp(e, selector & ~3);
	}
	if (!s->present)
		return emul_fault_code(e, VECTOR_NP, selector & ~3);
	if (s->l && s->db)
		return emul_gp(e, selector & ~3);
	r = mark_accessed(e, linear, &desc);
	if (r != X86_EMUL_CONTINUE)
		return r;
	s->type |= 1;
	s->selector = (selector & ~3) | (is_return ? rpl : cpl);
	return X86_EMUL_CONTINUE;
}

/* Is the target in the new code segment; which mode does that bring? */
static int enter_code(struct x86_emul *e, struct kvm_segment *s, u64 rip)
{
	u64 efer = 0;

	e->ops->get_msr(e, MSR_EFER, &efer, true);
	if ((efer & EFER_LMA) && s->l) {
		if (sign_extend(rip & size_mask(6), 6) != rip &&
		    !(e->ops->get_cr(e, 4) & X86_CR4_LA57))
			return emul_gp(e, 0);
	} else {
		rip = (u32)rip;
		if (rip > s->limit)
			return emul_gp(e, 0);
	}
	emul_put_seg(e, X86_SEG_CS, s);
	e->next_rip = rip;
	e->mode_changed = true;
	return X86_EMUL_CONTINUE;
}

static int far_pointer(struct x86_emul *e, u64 *rip, u16 *selector)
{
	struct x86_emul_insn *d = &e->d;
	int r;

	if (!d->has_modrm) {
		*rip = d->imm;
		*selector = d->imm2;
		return X86_EMUL_CONTINUE;
	}
	*rip = 0;
	r = emul_read(e, d->mem_seg, d->mem_ea, rip, d->op_bytes);
	if (r == X86_EMUL_CONTINUE)
		r = emul_read(e, d->mem_seg, (d->mem_ea + d->op_bytes) &
			      size_mask(d->ad_bytes), selector, 2);
	return r;
}

static int transfer(struct x86_emul *e, u16 selector, u64 rip, bool call)
{
	unsigned int n = e->d.op_bytes, cpl;
	u16 old = emul_seg(e, X86_SEG_CS)->selector;
	u64 back = e->next_rip;
	struct kvm_segment s;
	int r;

	if (emul_real(e)) {
		if ((rip & size_mask(n)) > emul_seg(e, X86_SEG_CS)->limit)
			return emul_gp(e, 0);
	} else {
		cpl = e->ops->get_cpl(e);
		r = find_code(e, selector, cpl, false, &s);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	if (call) {
		r = emul_push(e, old, n);
		if (r == X86_EMUL_CONTINUE)
			r = emul_push(e, back, n);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	if (!emul_real(e))
		return enter_code(e, &s, rip);
	load_real(e, selector, X86_SEG_CS);
	e->next_rip = rip & size_mask(n);
	e->mode_changed = true;
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

int em_ret_far(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes, width = emul_stack_bytes(e);
	u64 rip, cs, drop = e->d.opcode == 0xca ? DST->val : 0;
	struct kvm_segment s;
	int r;

	e->no_writeback = true;
	r = emul_pop(e, &rip, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &cs, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (emul_real(e)) {
		if (rip > emul_seg(e, X86_SEG_CS)->limit)
			return emul_gp(e, 0);
		load_real(e, cs, X86_SEG_CS);
		e->next_rip = rip;
	} else {
		if ((cs & 3) != e->ops->get_cpl(e))
			return X86_EMUL_UNHANDLEABLE;
		r = find_code(e, cs, cs & 3, true, &s);
		if (r == X86_EMUL_CONTINUE)
			r = enter_code(e, &s, rip);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	emul_set_gpr(e, X86_GPR_RSP, e->gpr[X86_GPR_RSP] + drop, width);
	e->mode_changed = true;
	return X86_EMUL_CONTINUE;
}

/* ---- interrupts ------------------------------------------------------------------------- */

static int iret_real(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes;
	u64 change = X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |
		     X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |
		     X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT |
		     X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID;
	u64 rip, cs, flags;
	int r;

	r = emul_pop(e, &rip, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &cs, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &flags, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (rip > 0xffff)
		return emul_gp(e, 0);
	change &= size_mask(n);
	e->rflags = (e->rflags & ~change) | (flags & change) | X86_EFLAGS_FIXED;
	load_real(e, cs, X86_SEG_CS);
	e->next_rip = rip;
	e->ops->set_nmi_mask(e, false);
	return X86_EMUL_CONTINUE;
}

int em_iret(struct x86_emul *e)
{
	unsigned int n = e->d.op_bytes, cpl = e->ops->get_cpl(e), iopl;
	u64 rip, cs, flags, sp = 0, ss = 0, change;
	struct kvm_segment s;
	int r;

	if (e->mode == X86_MODE_REAL)
		return iret_real(e);
	if (e->mode == X86_MODE_VM86 || (e->rflags & X86_EFLAGS_NT))
		return X86_EMUL_UNHANDLEABLE;
	r = emul_pop(e, &rip, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &cs, n);
	if (r == X86_EMUL_CONTINUE)
		r = emul_pop(e, &flags, n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if ((flags & X86_EFLAGS_VM) && n == 4 && !cpl)
		return X86_EMUL_UNHANDLEABLE;
	if ((cs & 3) < cpl)
		return emul_gp(e, cs & ~3);
	if ((cs & 3) != cpl || e->mode == X86_MODE_PROT64) {
		r = emul_pop(e, &sp, n);
		if (r == X86_EMUL_CONTINUE)
			r = emul_pop(e, &ss, n);
		if (r != X86_EMUL_CONTINUE)
			return r;
		if ((cs & 3) != cpl)
			return X86_EMUL_UNHANDLEABLE;
	}
	r = find_code(e, cs, cs & 3, true, &s);
	if (r == X86_EMUL_CONTINUE && e->mode == X86_MODE_PROT64)
		r = emul_load_segment(e, ss, X86_SEG_SS);
	if (r == X86_EMUL_CONTINUE)
		r = enter_code(e, &s, rip);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (e->mode == X86_MODE_PROT64)
		emul_set_gpr(e, X86_GPR_RSP, sp, n == 8 ? 8 : 4);

	iopl = (e->rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
	change = X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |
		 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_OF |
		 X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID;
	if (!cpl)
		change |= X86_EFLAGS_IOPL;
	if (cpl <= iopl)
		change |= X86_EFLAGS_IF;
	change &= size_mask(n);
	e->rflags = (e->rflags & ~change) | (flags & change) | X86_EFLAGS_FIXED;
	e->ops->set_nmi_mask(e, false);
	return X86_EMUL_CONTINUE;
}

/**
 * x86_emul_int_real() - deliver an event through the real-mode vector table
 * @e: context; registers set
 * @vector: vector
 *
 * Return: CONTINUE, with registers to be committed; PROPAGATE_FAULT.
 */
int x86_emul_int_real(struct x86_emul *e, u8 vector)
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
		r = emul_push(e, e->next_rip, 2);
	if (r != X86_EMUL_CONTINUE)
		return r;
	e->rflags &= ~(u64)(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_RF);
	load_real(e, entry[1], X86_SEG_CS);
	e->next_rip = entry[0];
	return X86_EMUL_CONTINUE;
}
EXPORT_SYMBOL_GPL(x86_emul_int_real);

int em_int(struct x86_emul *e)
{
	u8 vector;

	e->no_writeback = true;
	switch (e->d.opcode) {
	case 0xcc:
		vector = 3;
		e->soft_event = X86_EMUL_SOFT_INT3;
		break;
	case 0xce:
		if (!(e->rflags & X86_EFLAGS_OF))
			return X86_EMUL_CONTINUE;
		vector = 4;
		e->soft_event = X86_EMUL_SOFT_INTO;
		break;
	case 0xf1:
		vector = 1;
		e->soft_event = X86_EMUL_SOFT_INT1;
		break;
	default:
		vector = DST->val;
		e->soft_event = X86_EMUL_SOFT_INT;
		break;
	}
	e->soft_vector = vector;
	if (e->mode == X86_MODE_REAL) {
		e->soft_event = X86_EMUL_SOFT_NONE;
		return x86_emul_int_real(e, vector);
	}
	if (e->mode == X86_MODE_VM86)
		return X86_EMUL_UNHANDLEABLE;
	return X86_EMUL_CONTINUE;
}

/**
 * x86_emul_task_switch() - carry out a hardware task switch
 * @e: context
 * @selector: of the new task's TSS
 * @idt_index: vector whose gate it is, or -1
 * @reason: why
 * @has_error_code: push one
 * @error_code: that
 *
 * Return: UNHANDLEABLE: it is not carried out; user space is told.
 */
int x86_emul_task_switch(struct x86_emul *e, u16 selector, int idt_index,
			 enum x86_emul_task_reason reason,
			 bool has_error_code, u32 error_code)
{
	return X86_EMUL_UNHANDLEABLE;
}
EXPORT_SYMBOL_GPL(x86_emul_task_switch);

/* ---- moves of segment registers -------------------------------------------------------------- */

int em_mov_sreg(struct x86_emul *e)
{
	int r;

	e->no_writeback = true;
	if (DST->reg == X86_SEG_CS || DST->reg > X86_SEG_GS)
		return emul_ud(e);
	r = emul_load_segment(e, SRC->val, DST->reg);
	if (r == X86_EMUL_CONTINUE && DST->reg == X86_SEG_SS) {
		e->int_shadow = KVM_X86_SHADOW_INT_MOV_SS;
		e->no_trap = true;
	}
	return r;
}

int em_mov_from_sreg(struct x86_emul *e)
{
	if (SRC->reg > X86_SEG_GS)
		return emul_ud(e);
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
	u64 v;
	int r = emul_pop(e, &v, e->d.op_bytes);

	if (r == X86_EMUL_CONTINUE)
		r = emul_load_segment(e, v, seg);
	if (r == X86_EMUL_CONTINUE && seg == X86_SEG_SS) {
		e->int_shadow = KVM_X86_SHADOW_INT_MOV_SS;
		e->no_trap = true;
	}
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
	DST->val = v;
	return r;
}

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
	bool wide = e->mode == X86_MODE_PROT64;
	struct descriptor desc[2] = {};
	struct kvm_segment s;
	u64 linear;
	u8 access;
	int r;

	r = selector & 4 ? emul_gp(e, selector & ~3) :
		descriptor_address(e, selector, wide ? 16 : 8, &linear);
	if (r == X86_EMUL_CONTINUE)
		r = emul_read_system(e, linear, desc, wide ? 16 : 8);
	if (r != X86_EMUL_CONTINUE)
		return r;
	unpack(&desc[0], selector, &s);
	if (wide)
		s.base |= (u64)desc[1].low << 32;
	if (s.s || (seg == X86_SEG_LDTR ? s.type != 2 :
		    (s.type != 9 && (s.type != 1 || wide))))
		return emul_gp(e, selector & ~3);
	if (!s.present)
		return emul_fault_code(e, VECTOR_NP, selector & ~3);
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
