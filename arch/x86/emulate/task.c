// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches (AMD64 APM vol. 2, chapter 12; Intel SDM vol. 3, chapter 8),
 * with 16-bit and 32-bit task state segments. Long mode has none.
 *
 * Up to a point everything is checked and a fault belongs to the old task. From there
 * on the new task runs, and what is wrong with its segments is a fault of its own:
 * then x86_emul_task_switch() and x86_emul_execute() return PROPAGATE_FAULT with
 * gpr_dirty not 0, and gpr[], rip and rflags are to be committed before the fault is
 * injected.
 *
 * Left out: the check of a task gate's DPL (the CPU did it before it told of the
 * switch, far.c does it for JMP and CALL) and the EXT bit of error codes.
 */
#include "arch/x86/emulate/internal.h"

#define TSS16_BYTES	0x2c
#define TSS32_BYTES	0x68

/* what is read of a TSS and what is saved to it */
struct task {
	u32 cr3, eip, eflags;
	u32 gpr[8];
	u16 seg[6];	/* as enum x86_emul_seg */
	u16 ldt;
	bool trap;
};

/* 32-bit: offsets in the TSS */
#define T32_CR3		0x1c
#define T32_EIP		0x20
#define T32_EFLAGS	0x24
#define T32_GPR		0x28
#define T32_SEG		0x48
#define T32_LDT		0x60
#define T32_TRAP	0x64

/* 16-bit */
#define T16_IP		0x0e
#define T16_FLAGS	0x10
#define T16_GPR		0x12
#define T16_SEG		0x22
#define T16_LDT		0x2a

static u16 get16(const u8 *tss, unsigned int off)
{
	return tss[off] | tss[off + 1] << 8;
}

static u32 get32(const u8 *tss, unsigned int off)
{
	return get16(tss, off) | (u32)get16(tss, off + 2) << 16;
}

static void put16(u8 *tss, unsigned int off, u16 v)
{
	tss[off] = v;
	tss[off + 1] = v >> 8;
}

static void put32(u8 *tss, unsigned int off, u32 v)
{
	put16(tss, off, v);
	put16(tss, off + 2, v >> 16);
}

static void unpack_task(const u8 *tss, bool tss32, struct task *t)
{
	unsigned int i;

	memset(t, 0, sizeof(*t));
	if (tss32) {
		t->cr3 = get32(tss, T32_CR3);
		t->eip = get32(tss, T32_EIP);
		t->eflags = get32(tss, T32_EFLAGS);
		for (i = 0; i < 8; i++)
			t->gpr[i] = get32(tss, T32_GPR + 4 * i);
		for (i = 0; i < 6; i++)
			t->seg[i] = get16(tss, T32_SEG + 4 * i);
		t->ldt = get16(tss, T32_LDT);
		t->trap = tss[T32_TRAP] & 1;
	} else {
		t->eip = get16(tss, T16_IP);
		t->eflags = get16(tss, T16_FLAGS);
		for (i = 0; i < 8; i++)
			t->gpr[i] = get16(tss, T16_GPR + 2 * i);
		for (i = 0; i < 4; i++)
			t->seg[i] = get16(tss, T16_SEG + 2 * i);
		t->ldt = get16(tss, T16_LDT);
	}
}

/* Save the old task: only the fields that change are written. */
static int save_task(struct x86_emul *e, u64 base, bool tss32, u32 eip, u32 eflags)
{
	u8 tss[TSS32_BYTES] = {};
	unsigned int i, from = tss32 ? T32_EIP : T16_IP, to = tss32 ? T32_LDT : T16_LDT;

	if (tss32) {
		put32(tss, T32_EIP, eip);
		put32(tss, T32_EFLAGS, eflags);
		for (i = 0; i < 8; i++)
			put32(tss, T32_GPR + 4 * i, e->gpr[i]);
		for (i = 0; i < 6; i++)
			put32(tss, T32_SEG + 4 * i, emul_seg(e, i)->selector);
	} else {
		put16(tss, T16_IP, eip);
		put16(tss, T16_FLAGS, eflags);
		for (i = 0; i < 8; i++)
			put16(tss, T16_GPR + 2 * i, e->gpr[i]);
		for (i = 0; i < 4; i++)
			put16(tss, T16_SEG + 2 * i, emul_seg(e, i)->selector);
	}
	return emul_write_system(e, base + from, tss + from, to - from);
}

static int probe(struct x86_emul *e, u64 linear, unsigned int bytes)
{
	return e->ops->probe_write(e, linear, bytes, true, &e->fault);
}

/* Set or clear the busy bit; @linear is the descriptor's address. */
static int set_busy(struct x86_emul *e, u64 linear, const struct x86_descriptor *desc, bool busy)
{
	u8 access = (desc->high >> 8 & ~2u) | (busy ? 2 : 0);

	return emul_write_system(e, linear + 5, &access, 1);
}

/* ---- the new task's segments: faults are its own -------------------------- */

static int load_ldt(struct x86_emul *e, u16 selector)
{
	struct kvm_segment s = { .unusable = 1, .selector = selector };
	struct x86_descriptor desc;
	u64 linear;
	int r;

	/* until it is known to be good there is none */
	emul_put_seg(e, X86_SEG_LDTR, &s);
	if (!(selector & ~3))
		return X86_EMUL_CONTINUE;
	if (selector & 4)
		return emul_fault_code(e, X86_VEC_TS, selector & ~3);
	r = emul_read_descriptor(e, selector, X86_VEC_TS, &desc, 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc, selector, &s);
	if (s.s || s.type != 2 || !s.present)
		return emul_fault_code(e, X86_VEC_TS, selector & ~3);
	emul_put_seg(e, X86_SEG_LDTR, &s);
	return X86_EMUL_CONTINUE;
}

static int load_code(struct x86_emul *e, u16 selector)
{
	unsigned int rpl = selector & 3;
	struct x86_descriptor desc;
	struct kvm_segment s;
	u64 linear;
	u8 access;
	int r;

	if (!(selector & ~3))
		return emul_fault_code(e, X86_VEC_TS, 0);
	r = emul_read_descriptor(e, selector, X86_VEC_TS, &desc, 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc, selector, &s);
	if (!s.s || !(s.type & 8) || (s.type & 4 ? s.dpl > rpl : s.dpl != rpl))
		return emul_fault_code(e, X86_VEC_TS, selector & ~3);
	if (!s.present)
		return emul_fault_code(e, X86_VEC_NP, selector & ~3);
	if (!(s.type & 1)) {
		access = desc.high >> 8 | 1;
		r = emul_write_system(e, linear + 5, &access, 1);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	s.type |= 1;
	s.l = 0;
	emul_put_seg(e, X86_SEG_CS, &s);
	return X86_EMUL_CONTINUE;
}

static int load_segments(struct x86_emul *e, const struct task *t)
{
	static const u8 order[] = { X86_SEG_SS, X86_SEG_DS, X86_SEG_ES, X86_SEG_FS, X86_SEG_GS };
	unsigned int i, cpl = t->eflags & X86_EFLAGS_VM ? 3 : t->seg[X86_SEG_CS] & 3;
	struct kvm_segment s;
	int r;

	/* the selectors are there at once, the descriptors as they prove good */
	for (i = 0; i < 6; i++) {
		s = (struct kvm_segment) { .selector = t->seg[i], .unusable = 1 };
		if (i == X86_SEG_SS || i == X86_SEG_CS) {
			s.type = i == X86_SEG_SS ? 3 : 0xb;
			s.s = 1;
			s.dpl = cpl;
		}
		emul_put_seg(e, i, &s);
	}
	r = load_ldt(e, t->ldt);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (t->eflags & X86_EFLAGS_VM) {
		for (i = 0; i < 6; i++)
			emul_load_real(e, t->seg[i], i, true);
		return X86_EMUL_CONTINUE;
	}
	r = load_code(e, t->seg[X86_SEG_CS]);
	for (i = 0; i < ARRAY_SIZE(order) && r == X86_EMUL_CONTINUE; i++) {
		r = emul_find_data(e, t->seg[order[i]], order[i], cpl, X86_VEC_TS, false, &s);
		if (r == X86_EMUL_CONTINUE)
			emul_put_seg(e, order[i], &s);
	}
	return r;
}

/* ---- the switch ----------------------------------------------------------- */

static int enter_task(struct x86_emul *e, const struct task *t, bool tss32,
		      bool has_error_code, u32 error_code)
{
	u64 dr6;
	int r;

	r = load_segments(e, t);
	if (r != X86_EMUL_CONTINUE)
		return r;
	e->mode = x86_emul_mode_of(e->ops->get_cr(e, 0), 0, e->rflags, emul_seg(e, X86_SEG_CS));
	if (has_error_code) {
		r = emul_push(e, error_code, tss32 ? 4 : 2);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	if (t->eip > emul_seg(e, X86_SEG_CS)->limit)
		return emul_gp(e, 0);
	if (t->trap) {
		dr6 = e->ops->get_dr(e, 6);
		e->ops->set_dr(e, 6, dr6 | BIT(15));
		return emul_fault(e, 1);
	}
	return X86_EMUL_CONTINUE;
}

static int task_switch(struct x86_emul *e, u16 selector, enum x86_emul_task_reason reason,
		       u64 old_rip, bool has_error_code, u32 error_code)
{
	const struct kvm_segment old = *emul_seg(e, X86_SEG_TR);
	bool nests = reason == X86_TASK_CALL || reason == X86_TASK_GATE;
	bool returns = reason == X86_TASK_IRET, tss32, old32 = old.type & 8;
	struct x86_descriptor desc, old_desc = {};
	u64 linear, old_linear = 0;
	struct kvm_segment tr;
	u32 old_flags = e->rflags;
	u8 tss[TSS32_BYTES];
	struct task t;
	unsigned int i;
	u16 link;
	int r;

	if (emul_long_mode(e))
		return emul_gp(e, selector & ~3);

	/* the new TSS */
	if (!(selector & ~3) || (selector & 4))
		return emul_fault_code(e, returns ? X86_VEC_TS : X86_VEC_GP, selector & ~3);
	r = emul_read_descriptor(e, selector, returns ? X86_VEC_TS : X86_VEC_GP, &desc, 8, &linear);
	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_unpack(&desc, selector, &tr);
	if (tr.s || (tr.type & ~8) != (returns ? 3 : 1))
		return emul_fault_code(e, returns ? X86_VEC_TS : X86_VEC_GP, selector & ~3);
	if (!tr.present)
		return emul_fault_code(e, X86_VEC_NP, selector & ~3);
	tss32 = tr.type & 8;
	if (tr.limit < (tss32 ? TSS32_BYTES : TSS16_BYTES) - 1)
		return emul_fault_code(e, X86_VEC_TS, selector & ~3);
	r = emul_read_system(e, tr.base, tss, tss32 ? TSS32_BYTES : TSS16_BYTES);
	if (r != X86_EMUL_CONTINUE)
		return r;
	unpack_task(tss, tss32, &t);

	/* the old one, which must be there to be written */
	if (old.limit < (old32 ? T32_LDT : T16_LDT) - 1)
		return emul_fault_code(e, X86_VEC_TS, old.selector & ~3);
	if (!nests) {
		r = emul_read_descriptor(e, old.selector, X86_VEC_TS, &old_desc, 8, &old_linear);
		if (r == X86_EMUL_CONTINUE)
			r = probe(e, old_linear + 5, 1);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	r = old32 ? probe(e, old.base + T32_EIP, T32_LDT - T32_EIP) :
		    probe(e, old.base + T16_IP, T16_LDT - T16_IP);
	if (r == X86_EMUL_CONTINUE && nests)
		r = probe(e, tr.base, 2);
	if (r == X86_EMUL_CONTINUE)
		r = probe(e, linear + 5, 1);
	if (r != X86_EMUL_CONTINUE)
		return r;

	/* now it happens */
	if (returns)
		old_flags &= ~(u32)X86_EFLAGS_NT;
	r = save_task(e, old.base, old32, old_rip, old_flags);
	if (r == X86_EMUL_CONTINUE && !nests)
		r = set_busy(e, old_linear, &old_desc, false);
	link = old.selector;
	if (r == X86_EMUL_CONTINUE && nests)
		r = emul_write_system(e, tr.base, &link, 2);
	if (r == X86_EMUL_CONTINUE && !returns)
		r = set_busy(e, linear, &desc, true);
	if (r != X86_EMUL_CONTINUE)
		return r;

	tr.type |= 2;
	emul_put_seg(e, X86_SEG_TR, &tr);
	if (nests)
		t.eflags |= X86_EFLAGS_NT;
	e->rflags = t.eflags | X86_EFLAGS_FIXED;
	for (i = 0; i < 8; i++)
		/* the upper halves mean nothing to a 16-bit task */
		emul_set_gpr(e, i, t.gpr[i], 4);
	e->next_rip = t.eip;
	e->keep_rf = true;
	e->no_trap = true;
	e->mode_changed = true;
	e->task_switched = true;
	e->ops->set_cr(e, 0, e->ops->get_cr(e, 0) | X86_CR0_TS);
	/* breakpoints of one task only */
	e->ops->set_dr(e, 7, e->ops->get_dr(e, 7) & ~0x55ull);
	if (tss32 && (e->ops->get_cr(e, 0) & X86_CR0_PG) && e->ops->set_cr(e, 3, t.cr3))
		return emul_fault_code(e, X86_VEC_TS, selector & ~3);
	return enter_task(e, &t, tss32, has_error_code, error_code);
}

/**
 * emul_task_switch() - task switch by the instruction that is being carried out
 * @e: context
 * @selector: of the new task's TSS
 * @reason: JMP, CALL or IRET
 *
 * Return: as x86_emul_execute().
 */
int emul_task_switch(struct x86_emul *e, u16 selector, enum x86_emul_task_reason reason)
{
	e->no_writeback = true;
	return task_switch(e, selector, reason, e->next_rip, false, 0);
}

/**
 * x86_emul_task_switch() - carry out a hardware task switch
 * @e: context; x86_emul_init() done, registers set, e->rip is what the old task
 *	goes on with
 * @selector: of the new task's TSS
 * @idt_index: vector whose gate it is, or -1
 * @reason: why
 * @has_error_code: push one
 * @error_code: that
 *
 * Return: CONTINUE: commit; PROPAGATE_FAULT: if gpr_dirty is not 0 the new task is
 * entered: commit, then inject; IO_NEEDED or UNHANDLEABLE: nothing has changed.
 */
int x86_emul_task_switch(struct x86_emul *e, u16 selector, int idt_index,
			 enum x86_emul_task_reason reason,
			 bool has_error_code, u32 error_code)
{
	int r;

	e->seg_valid = 0;
	e->gpr_dirty = 0;
	e->task_switched = false;
	r = task_switch(e, selector, reason, e->rip, has_error_code, error_code);
	if (!e->task_switched) {
		e->gpr_dirty = 0;
		return r;
	}
	e->rip = e->next_rip;
	/* there is no way back to ask user space for a device */
	return r == X86_EMUL_CONTINUE || r == X86_EMUL_PROPAGATE_FAULT ? r : X86_EMUL_UNHANDLEABLE;
}
EXPORT_SYMBOL_GPL(x86_emul_task_switch);
