// SPDX-License-Identifier: GPL-2.0-only
/*
 * System management mode: into it and out of it (AMD APM vol. 2, chapter 10; Intel
 * SDM vol. 3, chapter 34).
 *
 * In SMM a vCPU uses another address space (kvm_vcpu_as_id()), into which user space
 * puts SMRAM and whatever of the other one is to be seen there. An SMI waits in
 * arch.smi_pending until nothing is being delivered to the guest and the vCPU is not in SMM
 * already; at most one does. The CPU's state goes to SMRAM, from which RSM, which the
 * emulator carries out, brings it back.
 *
 * The form of the state is AMD's for CPUs with long mode, also for a guest that says to be
 * Intel's, and the older one with entries of 32 bits for others. What lies at offsets
 * which the manuals reserve is where the in-tree module has it, so that a VM can move
 * in the middle of SMM. As there, I/O instructions are not restarted, and after an SMI that
 * ended HLT the guest goes on behind it: the fields for that are 0, and not looked at.
 */
#include <linux/build_bug.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "arch/x86/emulate/emulate.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/regs.h"
#include "arch/x86/run.h"

#define SMM_ENTRY		0x8000	/* from SMBASE */
#define SMM_STATE		0xfe00
#define SMM_STATE_BYTES		0x200
/* SMBASE can be moved */
#define SMM_REVISION_64		0x00020064
#define SMM_REVISION_32		0x00020000

#define RFLAGS_VALID		0x3f7fd5ul

/* Attributes have the place that they have in a descriptor, from bit 40 on. */
struct smm_seg64 {
	u16 selector;
	u16 attr;
	u32 limit;
	u64 base;
};

/* APM vol. 2, table 10-1 */
struct smm_state64 {
	struct smm_seg64 es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u64 io_restart[4];
	u32 io_trap;
	u32 local_smi_status;
	u8 io_insn_restart;
	u8 halt_restart;
	u8 nmi_mask;
	u8 int_shadow;			/* reserved in the manual */
	u32 reserved1;
	u64 efer;
	u64 svm_guest[3];
	u32 reserved2[3];
	u32 revision;
	u32 smbase;
	u32 reserved3[5];
	u64 ssp;
	u64 svm_host[5];
	u64 cr4, cr3, cr0;
	u64 dr7, dr6;
	u64 rflags, rip;
	u64 gpr[16];			/* R15 first */
};

static_assert(sizeof(struct smm_state64) == SMM_STATE_BYTES);
static_assert(offsetof(struct smm_state64, int_shadow) == 0xcb);
static_assert(offsetof(struct smm_state64, efer) == 0xd0);
static_assert(offsetof(struct smm_state64, smbase) == 0x100);
static_assert(offsetof(struct smm_state64, cr4) == 0x148);
static_assert(offsetof(struct smm_state64, gpr) == 0x180);

struct smm_seg32 {
	u32 attr;			/* from bit 32 of a descriptor on */
	u32 limit;
	u32 base;
};

enum { SEL_ES, SEL_CS, SEL_SS, SEL_DS, SEL_FS, SEL_GS, SEL_LDTR, SEL_TR, SEL_COUNT };

/* SDM vol. 3, table 34-1; what it reserves: APM vol. 2, 10.2.3, and the in-tree module */
struct smm_state32 {
	u32 reserved1[62];
	u32 smbase;
	u32 revision;
	u16 io_insn_restart;
	u16 halt_restart;
	u32 io_restart[4];
	u32 cr4;
	u16 reserved2;
	u8 int_shadow;
	u8 reserved3[17];
	struct smm_seg32 ds, fs, gs, idtr, tr;
	u32 reserved4;
	struct smm_seg32 gdtr, ldtr, es, cs, ss;
	u32 selector[SEL_COUNT];
	u32 dr7, dr6;
	u32 gpr[8];			/* EAX first */
	u32 eip, eflags;
	u32 cr3, cr0;
};

static_assert(sizeof(struct smm_state32) == SMM_STATE_BYTES);
static_assert(offsetof(struct smm_state32, smbase) == 0xf8);
static_assert(offsetof(struct smm_state32, cr4) == 0x114);
static_assert(offsetof(struct smm_state32, ds) == 0x12c);
static_assert(offsetof(struct smm_state32, gdtr) == 0x16c);
static_assert(offsetof(struct smm_state32, selector) == 0x1a8);
static_assert(offsetof(struct smm_state32, gpr) == 0x1d0);

union smm_state {
	struct smm_state64 s64;
	struct smm_state32 s32;
};

/**
 * struct smm_regs - what RSM loads, whatever form it had
 * @seg: by enum kvm_seg
 * @gdt: GDTR
 * @idt: IDTR
 * @gpr: general registers, @nr_gprs of them
 * @nr_gprs: 8 or 16
 * @rip: RIP
 * @rflags: RFLAGS
 * @cr0: CR0
 * @cr3: CR3
 * @cr4: CR4
 * @efer: EFER
 * @dr6: DR6
 * @dr7: DR7
 * @smbase: SMBASE
 * @int_shadow: KVM_X86_SHADOW_INT_*
 */
struct smm_regs {
	struct kvm_segment seg[VCPU_NR_SEGS];
	struct kvm_dtable gdt, idt;
	u64 gpr[VCPU_NR_GPRS];
	unsigned int nr_gprs;
	u64 rip, rflags;
	u64 cr0, cr3, cr4, efer;
	u64 dr6, dr7;
	u32 smbase;
	u8 int_shadow;
};

/* ---- segments ---------------------------------------------------------------------- */

static u16 pack_attr(const struct kvm_segment *s)
{
	return s->type | s->s << 4 | s->dpl << 5 | s->present << 7 | s->avl << 12 |
	       s->l << 13 | s->db << 14 | s->g << 15;
}

static void unpack_attr(struct kvm_segment *s, u16 attr)
{
	s->type = attr & 0xf;
	s->s = attr >> 4 & 1;
	s->dpl = attr >> 5 & 3;
	s->present = attr >> 7 & 1;
	s->avl = attr >> 12 & 1;
	s->l = attr >> 13 & 1;
	s->db = attr >> 14 & 1;
	s->g = attr >> 15 & 1;
	s->unusable = !s->present;
}

static void save_seg64(struct kvm_vcpu *vcpu, enum kvm_seg seg, struct smm_seg64 *to)
{
	struct kvm_segment s;

	kvm_be_call(get_segment)(vcpu, seg, &s);
	to->selector = s.selector;
	to->attr = s.unusable ? 0 : pack_attr(&s);
	to->limit = s.limit;
	to->base = s.base;
}

static void save_seg32(struct kvm_vcpu *vcpu, enum kvm_seg seg, struct smm_seg32 *to,
		       u32 *selector)
{
	struct kvm_segment s;

	kvm_be_call(get_segment)(vcpu, seg, &s);
	*selector = s.selector;
	to->attr = s.unusable ? 0 : (u32)pack_attr(&s) << 8;
	to->limit = s.limit;
	to->base = s.base;
}

/* The bits above those that an address has are the highest of these: APM vol. 2, 10.3.5. */
static u64 canonical(struct kvm_vcpu *vcpu, u64 base)
{
	return sign_extend64(base, guest_has(vcpu, X86_FEATURE_LA57) ? 56 : 47);
}

static void load_seg64(struct kvm_vcpu *vcpu, const struct smm_seg64 *from,
		       struct kvm_segment *s)
{
	s->selector = from->selector;
	s->limit = from->limit;
	s->base = canonical(vcpu, from->base);
	unpack_attr(s, from->attr);
}

static void load_seg32(const struct smm_seg32 *from, u32 selector, struct kvm_segment *s)
{
	s->selector = selector;
	s->limit = from->limit;
	s->base = from->base;
	unpack_attr(s, from->attr >> 8);
}

/* ---- in ---------------------------------------------------------------------------- */

static void save64(struct kvm_vcpu *vcpu, struct smm_state64 *s)
{
	struct kvm_dtable dt;
	unsigned int i;

	save_seg64(vcpu, VCPU_SEG_ES, &s->es);
	save_seg64(vcpu, VCPU_SEG_CS, &s->cs);
	save_seg64(vcpu, VCPU_SEG_SS, &s->ss);
	save_seg64(vcpu, VCPU_SEG_DS, &s->ds);
	save_seg64(vcpu, VCPU_SEG_FS, &s->fs);
	save_seg64(vcpu, VCPU_SEG_GS, &s->gs);
	save_seg64(vcpu, VCPU_SEG_LDTR, &s->ldtr);
	save_seg64(vcpu, VCPU_SEG_TR, &s->tr);
	kvm_get_dtable(vcpu, VCPU_SEG_GDTR, &dt);
	s->gdtr.limit = dt.limit;
	s->gdtr.base = dt.base;
	kvm_get_dtable(vcpu, VCPU_SEG_IDTR, &dt);
	s->idtr.limit = dt.limit;
	s->idtr.base = dt.base;

	s->int_shadow = kvm_get_int_shadow(vcpu);
	s->efer = vcpu->arch.efer;
	s->revision = SMM_REVISION_64;
	s->smbase = vcpu->arch.smbase;
	s->cr4 = kvm_read_cr4(vcpu);
	s->cr3 = kvm_read_cr3(vcpu);
	s->cr0 = kvm_read_cr0(vcpu);
	s->dr7 = kvm_get_dr(vcpu, 7);
	s->dr6 = kvm_get_dr(vcpu, 6);
	s->rflags = kvm_get_rflags(vcpu);
	s->rip = kvm_rip_read(vcpu);
	for (i = 0; i < 16; i++)
		s->gpr[15 - i] = kvm_gpr_read(vcpu, i);
}

static void save32(struct kvm_vcpu *vcpu, struct smm_state32 *s)
{
	struct kvm_dtable dt;
	unsigned int i;

	save_seg32(vcpu, VCPU_SEG_ES, &s->es, &s->selector[SEL_ES]);
	save_seg32(vcpu, VCPU_SEG_CS, &s->cs, &s->selector[SEL_CS]);
	save_seg32(vcpu, VCPU_SEG_SS, &s->ss, &s->selector[SEL_SS]);
	save_seg32(vcpu, VCPU_SEG_DS, &s->ds, &s->selector[SEL_DS]);
	save_seg32(vcpu, VCPU_SEG_FS, &s->fs, &s->selector[SEL_FS]);
	save_seg32(vcpu, VCPU_SEG_GS, &s->gs, &s->selector[SEL_GS]);
	save_seg32(vcpu, VCPU_SEG_LDTR, &s->ldtr, &s->selector[SEL_LDTR]);
	save_seg32(vcpu, VCPU_SEG_TR, &s->tr, &s->selector[SEL_TR]);
	kvm_get_dtable(vcpu, VCPU_SEG_GDTR, &dt);
	s->gdtr.limit = dt.limit;
	s->gdtr.base = dt.base;
	kvm_get_dtable(vcpu, VCPU_SEG_IDTR, &dt);
	s->idtr.limit = dt.limit;
	s->idtr.base = dt.base;

	s->smbase = vcpu->arch.smbase;
	s->revision = SMM_REVISION_32;
	s->cr4 = kvm_read_cr4(vcpu);
	s->int_shadow = kvm_get_int_shadow(vcpu);
	s->dr7 = kvm_get_dr(vcpu, 7);
	s->dr6 = kvm_get_dr(vcpu, 6);
	for (i = 0; i < 8; i++)
		s->gpr[i] = kvm_gpr_read(vcpu, i);
	s->eip = kvm_rip_read(vcpu);
	s->eflags = kvm_get_rflags(vcpu);
	s->cr3 = kvm_read_cr3(vcpu);
	s->cr0 = kvm_read_cr0(vcpu);
}

/* What the handler begins with: APM vol. 2, 10.3.1; SDM vol. 3, 34.5.1. */
static void load_entry_state(struct kvm_vcpu *vcpu)
{
	unsigned long cr0 = kvm_read_cr0(vcpu);
	struct kvm_segment seg = {
		.limit = 0xffffffff,
		.type = 3,
		.s = 1,
		.present = 1,
		.g = 1,
	};
	struct kvm_dtable none = {};
	int i;

	kvm_set_rflags(vcpu, X86_EFLAGS_FIXED);
	kvm_rip_write(vcpu, SMM_ENTRY);
	kvm_set_int_shadow(vcpu, 0);
	kvm_set_nmi_mask(vcpu, true);
	kvm_set_dr(vcpu, 7, 0);
	kvm_load_control_regs(vcpu, cr0 & ~(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG),
			      kvm_read_cr3(vcpu), 0,
			      guest_has(vcpu, X86_FEATURE_LM) ? 0 : vcpu->arch.efer);
	kvm_set_dtable(vcpu, VCPU_SEG_IDTR, &none);

	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
		if (i != VCPU_SEG_CS)
			kvm_be_call(set_segment)(vcpu, i, &seg);
	seg.type = 0xb;
	seg.selector = vcpu->arch.smbase >> 4;
	seg.base = vcpu->arch.smbase;
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_CS, &seg);
}

static int write_state(struct kvm_vcpu *vcpu, const union smm_state *state)
{
	gpa_t gpa = vcpu->arch.smbase + SMM_STATE;
	unsigned int first = min_t(unsigned int, SMM_STATE_BYTES,
				   PAGE_SIZE - offset_in_page(gpa));
	int r = kvm_vcpu_write_guest(vcpu, gpa, state, sizeof(*state));

	/* a guest may have a table there */
	kvm_mmu_guest_wrote(vcpu->kvm, gpa, first);
	if (first < SMM_STATE_BYTES)
		kvm_mmu_guest_wrote(vcpu->kvm, gpa + first, SMM_STATE_BYTES - first);
	return r;
}

/**
 * kvm_smm_changed() - the vCPU is in SMM now, or not any more
 * @vcpu: the vCPU, loaded
 * @smm: it is
 *
 * It sees other memory, and what waited while it was in SMM is looked at.
 */
void kvm_smm_changed(struct kvm_vcpu *vcpu, bool smm)
{
	if (vcpu->arch.smm == smm)
		return;
	WRITE_ONCE(vcpu->arch.smm, smm);
	vcpu->arch.smm_nmi_masked = false;
	kvm_mmu_unload(vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/**
 * kvm_enter_smm() - deliver an SMI
 * @vcpu: the vCPU, loaded, kvm->srcu held; nothing is on its way to the guest
 *
 * Without memory that its state can be written to it shuts down.
 */
void kvm_enter_smm(struct kvm_vcpu *vcpu)
{
	bool masked = kvm_be_call(get_blocking)(vcpu) & KVM_BLOCKED_NMI;
	union smm_state state = {};

	vcpu->arch.smi_pending = false;
	vcpu->arch.smi_count++;
	if (guest_has(vcpu, X86_FEATURE_LM))
		save64(vcpu, &state.s64);
	else
		save32(vcpu, &state.s32);

	if (vcpu->arch.guest_mode)
		kvm_be_call(nested_smi)(vcpu);
	kvm_smm_changed(vcpu, true);
	vcpu->arch.smm_nmi_masked = masked;
	if (write_state(vcpu, &state))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	load_entry_state(vcpu);
}

/* ---- out --------------------------------------------------------------------------- */

static void load64(struct kvm_vcpu *vcpu, const struct smm_state64 *s, struct smm_regs *r)
{
	unsigned int i;

	load_seg64(vcpu, &s->es, &r->seg[VCPU_SEG_ES]);
	load_seg64(vcpu, &s->cs, &r->seg[VCPU_SEG_CS]);
	load_seg64(vcpu, &s->ss, &r->seg[VCPU_SEG_SS]);
	load_seg64(vcpu, &s->ds, &r->seg[VCPU_SEG_DS]);
	load_seg64(vcpu, &s->fs, &r->seg[VCPU_SEG_FS]);
	load_seg64(vcpu, &s->gs, &r->seg[VCPU_SEG_GS]);
	load_seg64(vcpu, &s->ldtr, &r->seg[VCPU_SEG_LDTR]);
	load_seg64(vcpu, &s->tr, &r->seg[VCPU_SEG_TR]);
	r->gdt.base = canonical(vcpu, s->gdtr.base);
	r->gdt.limit = s->gdtr.limit;
	r->idt.base = canonical(vcpu, s->idtr.base);
	r->idt.limit = s->idtr.limit;
	r->int_shadow = s->int_shadow;
	r->efer = s->efer;
	r->smbase = s->smbase;
	r->cr4 = s->cr4;
	r->cr3 = s->cr3;
	r->cr0 = s->cr0;
	r->dr7 = s->dr7;
	r->dr6 = s->dr6;
	r->rflags = s->rflags;
	r->rip = s->rip;
	r->nr_gprs = 16;
	for (i = 0; i < 16; i++)
		r->gpr[i] = s->gpr[15 - i];
}

static void load32(struct kvm_vcpu *vcpu, const struct smm_state32 *s, struct smm_regs *r)
{
	unsigned int i;

	load_seg32(&s->es, s->selector[SEL_ES], &r->seg[VCPU_SEG_ES]);
	load_seg32(&s->cs, s->selector[SEL_CS], &r->seg[VCPU_SEG_CS]);
	load_seg32(&s->ss, s->selector[SEL_SS], &r->seg[VCPU_SEG_SS]);
	load_seg32(&s->ds, s->selector[SEL_DS], &r->seg[VCPU_SEG_DS]);
	load_seg32(&s->fs, s->selector[SEL_FS], &r->seg[VCPU_SEG_FS]);
	load_seg32(&s->gs, s->selector[SEL_GS], &r->seg[VCPU_SEG_GS]);
	load_seg32(&s->ldtr, s->selector[SEL_LDTR], &r->seg[VCPU_SEG_LDTR]);
	load_seg32(&s->tr, s->selector[SEL_TR], &r->seg[VCPU_SEG_TR]);
	r->gdt.base = s->gdtr.base;
	r->gdt.limit = s->gdtr.limit;
	r->idt.base = s->idtr.base;
	r->idt.limit = s->idtr.limit;
	r->int_shadow = s->int_shadow;
	/* there is no place for it, and without long mode the entry leaves it */
	r->efer = vcpu->arch.efer;
	r->smbase = s->smbase;
	r->cr4 = s->cr4;
	r->cr3 = s->cr3;
	r->cr0 = s->cr0;
	r->dr7 = s->dr7;
	r->dr6 = s->dr6;
	r->rflags = s->eflags;
	r->rip = s->eip;
	r->nr_gprs = 8;
	for (i = 0; i < 8; i++)
		r->gpr[i] = s->gpr[i];
}

/* Is it a state that a CPU can be in? APM vol. 2, 10.3.5; SDM vol. 3, 34.4.1. */
static bool complete_state(struct kvm_vcpu *vcpu, struct smm_regs *r)
{
	struct kvm_segment *cs = &r->seg[VCPU_SEG_CS];
	bool paging = r->cr0 & X86_CR0_PG, code64 = false;

	/* LMA follows from the others */
	r->efer &= ~(u64)EFER_LMA;
	if (!kvm_cr0_valid(r->cr0) || !kvm_guest_efer_valid(vcpu, r->efer) ||
	    (r->cr4 & vcpu->arch.cpuid.cr4_reserved_bits) || r->dr6 >> 32 || r->dr7 >> 32)
		return false;
	r->cr0 = (r->cr0 & KVM_OOT_VALID_CR0) | X86_CR0_ET;

	r->rflags = (r->rflags & RFLAGS_VALID) | X86_EFLAGS_FIXED;
	if (!(r->cr0 & X86_CR0_PE))
		r->rflags &= ~(u64)X86_EFLAGS_VM;
	/* one of them, and that of STI only with interrupts on: VMX insists on it */
	if (r->int_shadow & KVM_X86_SHADOW_INT_MOV_SS)
		r->int_shadow = KVM_X86_SHADOW_INT_MOV_SS;
	else if (r->rflags & X86_EFLAGS_IF)
		r->int_shadow &= KVM_X86_SHADOW_INT_STI;
	else
		r->int_shadow = 0;

	if (paging && (r->efer & EFER_LME)) {
		if (!(r->cr4 & X86_CR4_PAE) || (r->rflags & X86_EFLAGS_VM) ||
		    (r->cr3 & vcpu->arch.cpuid.reserved_gpa_bits) || (cs->l && cs->db))
			return false;
		r->efer |= EFER_LMA;
		code64 = cs->l;
	} else {
		if (r->cr4 & X86_CR4_PCIDE)
			return false;
		cs->l = 0;
	}
	if (!code64)
		r->rip = (u32)r->rip;
	else if (canonical(vcpu, r->rip) != r->rip)
		return false;
	return true;
}

static void load_segments(struct kvm_vcpu *vcpu, const struct smm_regs *r)
{
	int i;

	kvm_set_dtable(vcpu, VCPU_SEG_GDTR, &r->gdt);
	kvm_set_dtable(vcpu, VCPU_SEG_IDTR, &r->idt);
	for (i = 0; i < VCPU_NR_SEGS; i++)
		kvm_be_call(set_segment)(vcpu, i, &r->seg[i]);
}

/* With AMD's nested paging they are read when they are used, and a bad one faults then. */
static bool cpu_reads_pae_pointers(void)
{
	return kvm_be.tdp && kvm_be.exit_reason_isa == KVM_OOT_ISA_SVM;
}

/**
 * kvm_leave_smm() - RSM
 * @vcpu: the vCPU in SMM, loaded, kvm->srcu held
 * @e: emulation of the instruction; gets general registers, RIP, RFLAGS and the interrupt
 *	shadow
 *
 * Return: false when there is no good state in SMRAM: the vCPU shuts down.
 */
bool kvm_leave_smm(struct kvm_vcpu *vcpu, struct x86_emul *e)
{
	bool masked = vcpu->arch.smm_nmi_masked;
	struct smm_regs r = {};
	union smm_state state;

	if (kvm_vcpu_read_guest(vcpu, vcpu->arch.smbase + SMM_STATE, &state, sizeof(state)))
		return false;
	if (guest_has(vcpu, X86_FEATURE_LM))
		load64(vcpu, &state.s64, &r);
	else
		load32(vcpu, &state.s32, &r);
	if (!complete_state(vcpu, &r))
		return false;

	/* page directory pointers are in the memory that the guest has from now on */
	kvm_smm_changed(vcpu, false);
	kvm_set_nmi_mask(vcpu, masked);
	kvm_load_control_regs(vcpu, r.cr0, r.cr3, r.cr4, r.efer);
	load_segments(vcpu, &r);
	kvm_set_dr(vcpu, 6, r.dr6);
	kvm_set_dr(vcpu, 7, r.dr7);
	vcpu->arch.smbase = r.smbase;
	if (!kvm_load_pae_pointers(vcpu) && !cpu_reads_pae_pointers())
		return false;

	if (!kvm_be_call(nested_rsm)(vcpu))
		return false;

	memcpy(e->gpr, r.gpr, r.nr_gprs * sizeof(r.gpr[0]));
	e->rip = r.rip;
	e->rflags = r.rflags;
	e->int_shadow = r.int_shadow;
	return true;
}

/* ---- where SMIs come from -------------------------------------------------------------- */

/**
 * kvm_inject_smi() - send an SMI
 * @vcpu: the target; any context
 *
 * Return: false for a VM without SMM.
 */
bool kvm_inject_smi(struct kvm_vcpu *vcpu)
{
	if (!kvm_has_smm(vcpu->kvm))
		return false;
	kvm_make_request(KVM_REQ_SMI, vcpu);
	kvm_vcpu_kick(vcpu);
	return true;
}

/**
 * kvm_process_smi() - take over an SMI that was sent, if one was
 * @vcpu: the vCPU, loaded
 */
void kvm_process_smi(struct kvm_vcpu *vcpu)
{
	if (!kvm_check_request(KVM_REQ_SMI, vcpu))
		return;
	vcpu->arch.smi_pending = true;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* ---- for user space -------------------------------------------------------------------- */

/**
 * kvm_get_smm_events() - SMM's part of KVM_GET_VCPU_EVENTS
 * @vcpu: the vCPU, loaded
 * @ev: filled
 */
void kvm_get_smm_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	if (!kvm_has_smm(vcpu->kvm))
		return;
	kvm_process_smi(vcpu);
	ev->smi.smm = vcpu->arch.smm;
	ev->smi.pending = vcpu->arch.smi_pending;
	ev->smi.smm_inside_nmi = vcpu->arch.smm_nmi_masked;
	ev->smi.latched_init = test_bit(KVM_PENDING_INIT, &vcpu->arch.pending_sipi);
	ev->flags |= KVM_VCPUEVENT_VALID_SMM;
}

/**
 * kvm_smm_events_valid() - can a vCPU get this state
 * @vcpu: the vCPU, loaded
 * @ev: from user space, a kernel copy, with KVM_VCPUEVENT_VALID_SMM
 */
bool kvm_smm_events_valid(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	/* one that waits for a start-up IPI is not in SMM, nor does it enter it */
	return !(ev->smi.smm || ev->smi.pending) ||
	       READ_ONCE(vcpu->arch.mp_state) != KVM_MP_STATE_INIT_RECEIVED;
}

/**
 * kvm_set_smm_events() - SMM's part of KVM_SET_VCPU_EVENTS
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @ev: from user space, a kernel copy, checked
 */
void kvm_set_smm_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	bool smm = ev->smi.smm;

	if (vcpu->arch.smm != smm) {
		/* another state; the nested one of it comes behind this */
		kvm_be_call(nested_leave)(vcpu);
		kvm_smm_changed(vcpu, smm);
		/* CR3 may have been set before: then they came from other memory */
		kvm_load_pae_pointers(vcpu);
	}
	/* one that was sent meanwhile is not lost */
	vcpu->arch.smi_pending = ev->smi.pending;
	vcpu->arch.smm_nmi_masked = smm && ev->smi.smm_inside_nmi;
	if (!kvm_lapic_in_kernel(vcpu))
		return;
	if (ev->smi.latched_init)
		set_bit(KVM_PENDING_INIT, &vcpu->arch.pending_sipi);
	else
		clear_bit(KVM_PENDING_INIT, &vcpu->arch.pending_sipi);
}
