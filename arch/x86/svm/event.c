// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events into an SVM guest, and when it can take them.
 *
 * AMD APM vol. 2, 15.20 (event injection), 15.21 (virtual interrupts), 15.7.2
 * (EXITINTINFO). Without V_NMI, the end of an NMI handler is found by
 * intercepting IRET; the interception comes before the instruction, so NMIs
 * are open once RIP has moved on, and when one waits for that, the IRET is
 * single-stepped. The TF set for this exists only inside svm_enter(): it is
 * set last thing before and taken away first thing after the guest ran.
 *
 * Software events need the return address behind the instruction. With NRIP
 * save it is given in the VMCB; without, RIP is moved over the instruction
 * before entry and moved back when the delivery did not happen.
 *
 * Left out: a guest PUSHF or POPF that is stepped because of an interrupt
 * shadow sees or drops the stepping TF.
 */
#include "arch/x86/svm/svm.h"
#include <asm/trapnr.h>

static bool soft_vector(u8 vector)
{
	return vector == X86_TRAP_BP || vector == X86_TRAP_OF;
}

static void set_nmi_mask(struct svm_vcpu *svm, bool masked)
{
	svm->nmi_masked = masked;
	svm->iret_seen = false;
	svm_set_intercept(svm, INTERCEPT_IRET, masked);
}

/* RIP behind an instruction; outside 64-bit code it has 32 bits */
static unsigned long rip_after(struct svm_vcpu *svm, unsigned long rip, u8 len)
{
	const struct vmcb_save_area *save = &svm->vmcb->save;

	rip += len;
	if (!(save->efer & EFER_LMA) || !(save->cs.attrib & SVM_SELECTOR_L_MASK))
		rip = (u32)rip;
	return rip;
}

static void prepare_soft(struct svm_vcpu *svm, const struct kvm_event *ev)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	u8 len = ev->insn_len;

	/* INT3 and INTO are one byte, INT n is two */
	if (ev->at_rip)
		len = 0;
	else if (!len)
		len = ev->type == KVM_EVENT_SOFT_INTR ? 2 : 1;

	svm->soft.active = true;
	svm->soft.ev = *ev;
	svm->soft.ev.insn_len = len;
	svm->soft.old_rip = vcpu->arch.regs[VCPU_REG_RIP];
	svm->soft.advanced = !svm_feat.nrips;
	/* a CPU that has it uses it, also when nrips=0 keeps us from reading it */
	svm->vmcb->control.next_rip = rip_after(svm, svm->soft.old_rip, len);
	if (svm->soft.advanced)
		vcpu->arch.regs[VCPU_REG_RIP] = svm->vmcb->control.next_rip;
}

static void rewind_soft(struct svm_vcpu *svm)
{
	if (svm->soft.advanced)
		svm->vcpu->arch.regs[VCPU_REG_RIP] = svm->soft.old_rip;
	svm->soft.active = false;
}

/**
 * svm_inject() - have the hardware deliver an event at the next entry
 * @vcpu: the vCPU, loaded
 * @ev: the event
 */
void svm_inject(struct kvm_vcpu *vcpu, const struct kvm_event *ev)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;
	u32 inj = SVM_EVTINJ_VALID | ev->vector;

	switch (ev->type) {
	case KVM_EVENT_INTR:
		inj |= SVM_EVTINJ_TYPE_INTR;
		break;
	case KVM_EVENT_NMI:
		inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_NMI | X86_TRAP_NMI;
		set_nmi_mask(svm, true);
		break;
	case KVM_EVENT_SOFT_INTR:
		inj |= SVM_EVTINJ_TYPE_SOFT;
		prepare_soft(svm, ev);
		break;
	case KVM_EVENT_SOFT_EXC:
	case KVM_EVENT_EXCEPTION:
		inj |= SVM_EVTINJ_TYPE_EXEPT;
		if (ev->has_error_code)
			inj |= SVM_EVTINJ_VALID_ERR;
		if (soft_vector(ev->vector))
			prepare_soft(svm, ev);
		break;
	default:
		return;
	}

	c->event_inj = inj;
	c->event_inj_err = ev->has_error_code ? ev->error_code : 0;
}

static void decode_info(struct kvm_event *ev, u32 info, u32 err)
{
	memset(ev, 0, sizeof(*ev));
	ev->vector = info & SVM_EXITINTINFO_VEC_MASK;
	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_INTR:
		ev->type = KVM_EVENT_INTR;
		break;
	case SVM_EXITINTINFO_TYPE_NMI:
		ev->type = KVM_EVENT_NMI;
		break;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		ev->type = soft_vector(ev->vector) ? KVM_EVENT_SOFT_EXC :
						     KVM_EVENT_EXCEPTION;
		if (info & SVM_EXITINTINFO_VALID_ERR) {
			ev->has_error_code = true;
			ev->error_code = err;
		}
		break;
	case SVM_EXITINTINFO_TYPE_SOFT:
		ev->type = KVM_EVENT_SOFT_INTR;
		break;
	}
}

/**
 * svm_cancel_injection() - the entry did not take place: take the event back
 * @vcpu: the vCPU, loaded
 * @ev: filled; KVM_EVENT_NONE when there was none
 */
void svm_cancel_injection(struct kvm_vcpu *vcpu, struct kvm_event *ev)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	svm->nmi_step = false;
	if (!(c->event_inj & SVM_EVTINJ_VALID)) {
		ev->type = KVM_EVENT_NONE;
		return;
	}

	decode_info(ev, c->event_inj, c->event_inj_err);
	if (svm->soft.active) {
		*ev = svm->soft.ev;
		rewind_soft(svm);
	}
	if (ev->type == KVM_EVENT_NMI)
		set_nmi_mask(svm, false);
	c->event_inj = 0;
}

/**
 * svm_decode_vectoring() - was an event being delivered when the guest exited
 * @svm: the vCPU, after its exit
 * @exit: gets @vectoring
 *
 * A software event of the guest's own is not reported: RIP is still at its
 * instruction, which raises it again. Only a task switch wants to know.
 */
void svm_decode_vectoring(struct svm_vcpu *svm, struct kvm_exit *exit)
{
	struct vmcb_control_area *c = &svm->vmcb->control;
	struct kvm_event *ev = &exit->vectoring;
	u32 info = c->exit_int_info;
	bool ours = svm->soft.active;

	c->event_inj = 0;
	if (likely(!(info & SVM_EXITINTINFO_VALID))) {
		/* delivered, or the delivery raised a fault of its own */
		svm->soft.active = false;
		ev->type = KVM_EVENT_NONE;
		return;
	}

	decode_info(ev, info, c->exit_int_info_err);
	switch (ev->type) {
	case KVM_EVENT_NMI:
		set_nmi_mask(svm, false);
		break;
	case KVM_EVENT_SOFT_INTR:
	case KVM_EVENT_SOFT_EXC:
		if (ours && ev->vector == svm->soft.ev.vector) {
			*ev = svm->soft.ev;
			rewind_soft(svm);
		} else if (svm_exit_code(svm->vmcb) != SVM_EXIT_TASK_SWITCH) {
			ev->type = KVM_EVENT_NONE;
		}
		break;
	}
	svm->soft.active = false;
}

/**
 * svm_get_blocking() - what keeps events from the guest
 * @vcpu: the vCPU
 *
 * The hardware does not say whether it was STI or MOV SS.
 *
 * Return: KVM_X86_SHADOW_INT_*, KVM_BLOCKED_NMI and KVM_BLOCKED_GIF in force.
 */
u32 svm_get_blocking(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u32 blocked = svm->nmi_masked ? KVM_BLOCKED_NMI : 0;

	if (svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK)
		blocked |= KVM_BLOCKED_SHADOW;
	if (unlikely(!svm->gif))
		blocked |= KVM_BLOCKED_GIF;
	return blocked;
}

/**
 * svm_set_blocking() - change that
 * @vcpu: the vCPU
 * @which: bits of svm_get_blocking() to change
 * @blocked: their new values
 */
void svm_set_blocking(struct kvm_vcpu *vcpu, u32 which, u32 blocked)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (which & KVM_BLOCKED_NMI)
		set_nmi_mask(svm, blocked & KVM_BLOCKED_NMI);
	if (!(which & KVM_BLOCKED_SHADOW))
		return;
	if (blocked & KVM_BLOCKED_SHADOW)
		c->int_state |= SVM_INTERRUPT_SHADOW_MASK;
	else
		c->int_state &= ~(u32)SVM_INTERRUPT_SHADOW_MASK;
}

/*
 * A write to CR8 matters while an interrupt waits for a lower priority, and to
 * user space without a LAPIC in the kernel. It is intercepted for an open window
 * too, which lasts a moment only: QEMU's emulation of SVM aborts itself when CR8
 * is written with V_IRQ pending (docs/emulator-faults.md).
 */
static void update_cr8_intercept(struct svm_vcpu *svm)
{
	/* with V_INTR_MASKING, CR8 of L2 is its own */
	svm_set_intercept(svm, INTERCEPT_CR8_WRITE,
			  svm->intr_window || (!svm_l2_has_tpr(svm) &&
			  (svm->cr8_intercept || !kvm_lapic_in_kernel(svm->vcpu))));
}

/**
 * svm_set_intr_window() - exit as soon as the guest can take an interrupt
 * @svm: the vCPU, loaded
 * @on: ask for it, or no longer
 *
 * A virtual interrupt of the highest priority is made pending and its delivery
 * intercepted; its vector never matters.
 */
void svm_set_intr_window(struct svm_vcpu *svm, bool on)
{
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (svm->intr_window == on)
		return;
	/* a virtual interrupt that L1 has for L2 has to wait meanwhile */
	if (on && unlikely(svm->vcpu->arch.guest_mode))
		svm_nested_keep_virq(svm);
	svm->intr_window = on;
	svm_set_intercept(svm, INTERCEPT_VINTR, on);
	update_cr8_intercept(svm);
	c->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	if (on)
		c->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	c->int_vector = 0;
	if (!on && unlikely(svm->vcpu->arch.guest_mode))
		svm_nested_give_virq(svm);
	svm_mark_dirty(svm, SVM_CLEAN_INTR);
}

/**
 * svm_request_window() - exit as soon as the guest can take an event
 * @vcpu: the vCPU, loaded
 * @type: KVM_EVENT_INTR or KVM_EVENT_NMI
 */
void svm_request_window(struct kvm_vcpu *vcpu, enum kvm_event_type type)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	/* STGI exits, and asks again */
	if (unlikely(!svm->gif))
		return;
	if (type == KVM_EVENT_INTR)
		svm_set_intr_window(svm, true);
	else if (!svm->nmi_masked || svm->iret_seen)
		svm->nmi_step = true;
	/* else IRET is intercepted, and that exit comes first */
}

/**
 * svm_update_cr8_intercept() - be told when CR8 drops below a waiting interrupt
 * @vcpu: the vCPU, loaded
 * @tpr: CR8
 * @irr: priority class of the highest waiting interrupt, -1: none
 */
void svm_update_cr8_intercept(struct kvm_vcpu *vcpu, int tpr, int irr)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->cr8_intercept = irr >= 0 && tpr >= irr;
	update_cr8_intercept(svm);
}

/**
 * svm_step_before_entry() - set TF to learn when NMIs open
 * @svm: the vCPU, about to enter, nmi_step set
 *
 * Return: false when an event is injected in the same entry: TF would be
 * pushed with RFLAGS, so the guest has to leave at once instead.
 */
bool svm_step_before_entry(struct svm_vcpu *svm)
{
	struct vmcb *vmcb = svm->vmcb;

	if (vmcb->control.event_inj & SVM_EVTINJ_VALID)
		return false;
	svm->step_tf = !(vmcb->save.rflags & X86_EFLAGS_TF);
	vmcb->save.rflags |= X86_EFLAGS_TF;
	return true;
}

/**
 * svm_step_after_exit() - follow IRET, and hide the TF that was set
 * @svm: the vCPU, after an exit; state is stored already
 */
void svm_step_after_exit(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	bool iret_done;

	iret_done = svm->iret_seen &&
		    vcpu->arch.regs[VCPU_REG_RIP] != svm->iret_rip;

	/* DR6.BS is of our step; the guest's own is kept */
	if (svm->step_tf && !(svm->entry_dr6 & SVM_DR6_BS) &&
	    svm_exit_code(svm->vmcb) == SVM_EXIT_EXCP_BASE + DB_VECTOR) {
		svm->vmcb->save.dr6 &= ~(u64)SVM_DR6_BS;
		if (vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT)
			vcpu->arch.dr6 = svm->vmcb->save.dr6;
	}

	/* a completed IRET has loaded the guest's own TF */
	if (svm->step_tf && !iret_done) {
		svm->vmcb->save.rflags &= ~(u64)X86_EFLAGS_TF;
		vcpu->arch.regs[VCPU_REG_RFLAGS] = svm->vmcb->save.rflags;
	}
	if (iret_done) {
		svm->nmi_masked = false;
		svm->iret_seen = false;
	}
	if (iret_done || svm->nmi_step)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	svm->nmi_step = false;
}
