// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events on their way into the guest: exceptions, interrupts and NMIs.
 *
 * An event is *pending* until it is handed to the hardware and *injected* from
 * then on until the hardware has delivered it. A VM exit in the middle of the
 * delivery brings the event back (struct kvm_exit.vectoring); it stays
 * injected and is handed over again before anything new.
 *
 * Order and combination of exceptions: Intel SDM vol. 3, 6.9 and 6.15 ("Double
 * Fault"); AMD APM vol. 2, 8.2.9 and 8.5. The payload of an exception (CR2 of
 * #PF, DR6 of #DB) is written to the register at the moment of delivery, so
 * that user space which reads the events in between can save it.
 */
#include <linux/bitmap.h>

#include "arch/x86/irq/lapic.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/run.h"
#include <asm/debugreg.h>
#include <asm/trapnr.h>

#ifndef X86_TRAP_VE
#define X86_TRAP_VE 20
#endif

#define EXC_CONTRIBUTORY (BIT(X86_TRAP_DE) | BIT(X86_TRAP_TS) |	\
			  BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) |	\
			  BIT(X86_TRAP_GP))

enum exc_class { EXC_BENIGN, EXC_CONTRIB, EXC_PF, EXC_DF };

static enum exc_class exc_class(u8 vector)
{
	if (vector == X86_TRAP_DF)
		return EXC_DF;
	if (vector == X86_TRAP_PF)
		return EXC_PF;
	if (vector < 32 && (EXC_CONTRIBUTORY & BIT(vector)))
		return EXC_CONTRIB;
	return EXC_BENIGN;
}

/* Faults restart the instruction: RF keeps an instruction breakpoint quiet. */
static bool exc_is_fault(u8 vector)
{
	switch (vector) {
	case X86_TRAP_DB:
	case X86_TRAP_BP:
	case X86_TRAP_OF:
	case X86_TRAP_DF:
	case X86_TRAP_MC:
		return false;
	default:
		return true;
	}
}

/*
 * In L2, with another exception on its way: does L1 intercept @vector? Then it is told of both,
 * and whether that is a double fault is its own affair.
 */
static bool is_for_l1(struct kvm_vcpu *vcpu, u8 vector)
{
	struct kvm_event first = {
		.type = KVM_EVENT_EXCEPTION,
		.vector = vcpu->arch.exception.vector,
		.has_error_code = vcpu->arch.exception.has_error_code,
		.error_code = vcpu->arch.exception.error_code,
	};

	if (likely(!vcpu->arch.guest_mode) || !vcpu->arch.exception.injected)
		return false;
	vcpu->arch.exception.vector = vector;
	if (kvm_be_call(nested_event)(vcpu, KVM_NESTED_EXCEPTION, false) != KVM_NESTED_L2) {
		vcpu->arch.l2_vectoring = first;
		return true;
	}
	vcpu->arch.exception.vector = first.vector;
	return false;
}

static void queue(struct kvm_vcpu *vcpu, u8 vector, bool has_error,
		  u32 error_code, bool has_payload, unsigned long payload)
{
	enum exc_class first, second;

	kvm_make_request(KVM_REQ_EVENT, vcpu);

	if ((vcpu->arch.exception.pending || vcpu->arch.exception.injected) &&
	    !is_for_l1(vcpu, vector)) {
		first = exc_class(vcpu->arch.exception.vector);
		second = exc_class(vector);

		if (first == EXC_DF) {
			vcpu->arch.exception.pending = false;
			vcpu->arch.exception.injected = false;
			kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
			return;
		}
		if ((first == EXC_CONTRIB && second == EXC_CONTRIB) ||
		    (first == EXC_PF && second != EXC_BENIGN)) {
			vector = X86_TRAP_DF;
			has_error = true;
			error_code = 0;
			has_payload = false;
			payload = 0;
		}
		/* else the first is raised again by the restarted instruction */
	}

	vcpu->arch.exception.pending = true;
	vcpu->arch.exception.injected = false;
	vcpu->arch.exception.at_rip = false;
	vcpu->arch.exception.vector = vector;
	/* real mode pushes no error codes */
	vcpu->arch.exception.has_error_code = has_error && is_protmode(vcpu);
	vcpu->arch.exception.error_code = has_error ? error_code : 0;
	vcpu->arch.exception.has_payload = has_payload;
	vcpu->arch.exception.payload = payload;
}

/**
 * kvm_queue_exception() - raise an exception without error code
 * @vcpu: the vCPU, loaded
 * @vector: X86_TRAP_*
 */
void kvm_queue_exception(struct kvm_vcpu *vcpu, u8 vector)
{
	queue(vcpu, vector, false, 0, false, 0);
}
EXPORT_SYMBOL_GPL(kvm_queue_exception);

/**
 * kvm_queue_exception_e() - raise an exception with an error code
 * @vcpu: the vCPU, loaded
 * @vector: X86_TRAP_*
 * @error_code: what is pushed
 */
void kvm_queue_exception_e(struct kvm_vcpu *vcpu, u8 vector, u32 error_code)
{
	queue(vcpu, vector, true, error_code, false, 0);
}
EXPORT_SYMBOL_GPL(kvm_queue_exception_e);

/**
 * kvm_queue_exception_p() - raise an exception with a payload
 * @vcpu: the vCPU, loaded
 * @vector: X86_TRAP_DB
 * @payload: DR6 bits, inverted ones (BLD, RTM) as set when the condition holds
 */
void kvm_queue_exception_p(struct kvm_vcpu *vcpu, u8 vector,
			   unsigned long payload)
{
	queue(vcpu, vector, false, 0, true, payload);
}
EXPORT_SYMBOL_GPL(kvm_queue_exception_p);

/**
 * kvm_inject_gp() - raise #GP
 * @vcpu: the vCPU, loaded
 * @error_code: selector or 0
 */
void kvm_inject_gp(struct kvm_vcpu *vcpu, u32 error_code)
{
	kvm_queue_exception_e(vcpu, X86_TRAP_GP, error_code);
}
EXPORT_SYMBOL_GPL(kvm_inject_gp);

/**
 * kvm_inject_page_fault() - raise #PF
 * @vcpu: the vCPU, loaded
 * @fault: error code and address
 */
void kvm_inject_page_fault(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	vcpu->stat.pf_guest++;
	queue(vcpu, X86_TRAP_PF, true, fault->error_code, true, fault->address);
}
EXPORT_SYMBOL_GPL(kvm_inject_page_fault);

/**
 * kvm_inject_nmi() - send an NMI
 * @vcpu: the target; any context
 */
void kvm_inject_nmi(struct kvm_vcpu *vcpu)
{
	atomic_inc(&vcpu->arch.nmi_queued);
	kvm_make_request(KVM_REQ_NMI, vcpu);
	kvm_vcpu_kick(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_inject_nmi);

/**
 * kvm_process_nmi() - take over the NMIs that were sent
 * @vcpu: the vCPU, loaded
 *
 * One can be latched while another is being handled, so at most two count.
 */
void kvm_process_nmi(struct kvm_vcpu *vcpu)
{
	unsigned int limit = 2;

	if ((kvm_be_call(get_blocking)(vcpu) & KVM_BLOCKED_NMI) || vcpu->arch.nmi_injected)
		limit = 1;

	vcpu->arch.nmi_pending += atomic_xchg(&vcpu->arch.nmi_queued, 0);
	vcpu->arch.nmi_pending = min(vcpu->arch.nmi_pending, limit);
	if (vcpu->arch.nmi_pending)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/**
 * kvm_deliver_exception_payload() - write CR2 or DR6 for the pending exception
 * @vcpu: the vCPU, loaded
 */
void kvm_deliver_exception_payload(struct kvm_vcpu *vcpu)
{
	unsigned long payload = vcpu->arch.exception.payload;

	if (!vcpu->arch.exception.has_payload)
		return;

	switch (vcpu->arch.exception.vector) {
	case X86_TRAP_DB:
		/*
		 * B0-B3 tell of this exception only; BD, BS and BT are sticky.
		 * BLD and RTM read as one unless they are the cause.
		 */
		vcpu->arch.dr6 &= ~0xful;
		vcpu->arch.dr6 |= 0xffff0ff0ul | payload;
		vcpu->arch.dr6 &= ~(payload & (BIT(16) | BIT(11)));
		break;
	case X86_TRAP_PF:
		vcpu->arch.cr2 = payload;
		break;
	}
	vcpu->arch.exception.has_payload = false;
	vcpu->arch.exception.payload = 0;
}
EXPORT_SYMBOL_GPL(kvm_deliver_exception_payload);

static void handed_over_is_done(struct kvm_vcpu *vcpu)
{
	switch (vcpu->arch.handed_over) {
	case KVM_EVENT_NMI:
		vcpu->arch.nmi_injected = false;
		break;
	case KVM_EVENT_EXCEPTION:
		vcpu->arch.exception.injected = false;
		break;
	case KVM_EVENT_INTR:
		vcpu->arch.interrupt.injected = false;
		break;
	}
	vcpu->arch.handed_over = KVM_EVENT_NONE;
	/* it waited for this */
	if (vcpu->arch.smi_pending && !vcpu->arch.smm)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/**
 * kvm_requeue_event() - an exit interrupted the delivery of an event
 * @vcpu: the vCPU, loaded
 * @ev: the event; KVM_EVENT_NONE when the last one went through
 */
void kvm_requeue_event(struct kvm_vcpu *vcpu, const struct kvm_event *ev)
{
	/* only what this entry was given is over; an older event may still wait */
	if (vcpu->arch.handed_over != KVM_EVENT_NONE)
		handed_over_is_done(vcpu);

	if (vcpu->arch.nmi_injected || vcpu->arch.interrupt.injected)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	if (ev->type == KVM_EVENT_NONE)
		return;

	kvm_make_request(KVM_REQ_EVENT, vcpu);
	switch (ev->type) {
	case KVM_EVENT_NMI:
		vcpu->arch.nmi_injected = true;
		/* the hardware set the mask at injection; delivery did not happen */
		kvm_set_nmi_mask(vcpu, false);
		break;
	case KVM_EVENT_SOFT_EXC:
	case KVM_EVENT_EXCEPTION:
		/* a pending one was raised by the same exit: #DF rules apply there */
		if (vcpu->arch.exception.pending)
			break;
		vcpu->arch.exception.injected = true;
		vcpu->arch.exception.vector = ev->vector;
		vcpu->arch.exception.has_error_code = ev->has_error_code;
		vcpu->arch.exception.error_code = ev->error_code;
		vcpu->arch.exception.has_payload = false;
		vcpu->arch.exception.at_rip = ev->at_rip;
		break;
	case KVM_EVENT_SOFT_INTR:
	case KVM_EVENT_INTR:
		vcpu->arch.interrupt.injected = true;
		vcpu->arch.interrupt.soft = ev->type == KVM_EVENT_SOFT_INTR;
		vcpu->arch.interrupt.vector = ev->vector;
		vcpu->arch.interrupt.insn_len = ev->insn_len;
		vcpu->arch.interrupt.at_rip = ev->at_rip;
		break;
	}
}
EXPORT_SYMBOL_GPL(kvm_requeue_event);

/**
 * kvm_clear_all_events() - forget everything pending or injected (RESET, INIT)
 * @vcpu: the vCPU, loaded
 */
void kvm_clear_all_events(struct kvm_vcpu *vcpu)
{
	memset(&vcpu->arch.exception, 0, sizeof(vcpu->arch.exception));
	memset(&vcpu->arch.interrupt, 0, sizeof(vcpu->arch.interrupt));
	vcpu->arch.l2_vectoring.type = KVM_EVENT_NONE;
	atomic_set(&vcpu->arch.nmi_queued, 0);
	vcpu->arch.nmi_pending = 0;
	vcpu->arch.nmi_injected = false;
	vcpu->arch.smi_pending = false;
	kvm_clear_request(KVM_REQ_SMI, vcpu);
	vcpu->arch.pending_external_vector = -1;
	kvm_clear_request(KVM_REQ_TRIPLE_FAULT, vcpu);
}

static void inject_exception(struct kvm_vcpu *vcpu)
{
	struct kvm_event ev = {
		.type = KVM_EVENT_EXCEPTION,
		.vector = vcpu->arch.exception.vector,
		.has_error_code = vcpu->arch.exception.has_error_code,
		.error_code = vcpu->arch.exception.error_code,
		.at_rip = vcpu->arch.exception.at_rip,
	};

	/* #BP and #OF are delivered as the instructions that raise them */
	if (ev.vector == X86_TRAP_BP || ev.vector == X86_TRAP_OF)
		ev.type = KVM_EVENT_SOFT_EXC;
	vcpu->arch.handed_over = KVM_EVENT_EXCEPTION;
	kvm_be_call(inject)(vcpu, &ev);
}

static void inject_interrupt(struct kvm_vcpu *vcpu)
{
	struct kvm_event ev = {
		.type = vcpu->arch.interrupt.soft ? KVM_EVENT_SOFT_INTR : KVM_EVENT_INTR,
		.vector = vcpu->arch.interrupt.vector,
		.insn_len = vcpu->arch.interrupt.insn_len,
		.at_rip = vcpu->arch.interrupt.at_rip,
	};

	vcpu->stat.irq_injections++;
	vcpu->arch.handed_over = KVM_EVENT_INTR;
	kvm_be_call(inject)(vcpu, &ev);
}

static void inject_nmi(struct kvm_vcpu *vcpu)
{
	struct kvm_event ev = { .type = KVM_EVENT_NMI, .vector = X86_TRAP_NMI };

	vcpu->stat.nmi_injections++;
	vcpu->arch.handed_over = KVM_EVENT_NMI;
	kvm_be_call(inject)(vcpu, &ev);
}

/* @nested: L1 has it now, or will when L2 can be left. */
static bool exception_is_l1s(struct kvm_vcpu *vcpu, enum kvm_nested_answer *nested)
{
	if (likely(!vcpu->arch.guest_mode))
		return false;
	*nested = kvm_be_call(nested_event)(vcpu, KVM_NESTED_EXCEPTION, true);
	return *nested != KVM_NESTED_L2;
}

/*
 * What the hardware has begun, or a new exception: at most one per entry. With KVM_NESTED_L1 in
 * @nested nothing is to be injected any more: it is L1 that is entered.
 */
static bool inject_in_flight(struct kvm_vcpu *vcpu, enum kvm_nested_answer *nested)
{
	if (vcpu->arch.exception.injected) {
		inject_exception(vcpu);
		return true;
	}

	if (vcpu->arch.exception.pending && !exception_is_l1s(vcpu, nested)) {
		/* 8.2.9 APM: a fault's saved RFLAGS.RF is set */
		if (exc_is_fault(vcpu->arch.exception.vector))
			kvm_rflags_write(vcpu, kvm_rflags_read(vcpu) | X86_EFLAGS_RF);
		if (vcpu->arch.exception.vector == X86_TRAP_DB) {
			kvm_deliver_exception_payload(vcpu);
			if (vcpu->arch.dr7 & KVM_DR7_GD) {
				vcpu->arch.dr7 &= ~KVM_DR7_GD;
				kvm_update_dr7(vcpu);
			}
		} else {
			kvm_deliver_exception_payload(vcpu);
		}
		vcpu->arch.exception.pending = false;
		vcpu->arch.exception.injected = true;
		inject_exception(vcpu);
		return true;
	}
	if (unlikely(*nested == KVM_NESTED_L1))
		return false;

	if (vcpu->arch.nmi_injected) {
		inject_nmi(vcpu);
		return true;
	}
	if (vcpu->arch.interrupt.injected) {
		inject_interrupt(vcpu);
		return true;
	}
	return false;
}

/**
 * kvm_exceptions_to_intercept() - those that must not reach the guest by themselves
 * @vcpu: the vCPU
 *
 * #MC belongs to the host. #AC and #DB could loop without end in their own
 * delivery and keep the CPU. #UD may be an instruction that we can carry out. With
 * shadow paging the tables that a #PF is about are ours.
 *
 * Return: a bit for each vector.
 */
u32 kvm_exceptions_to_intercept(struct kvm_vcpu *vcpu)
{
	u32 bits = BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC) | BIT(X86_TRAP_UD);

	if (vcpu->arch.guest_debug & KVM_GUESTDBG_USE_SW_BP)
		bits |= BIT(X86_TRAP_BP);
	if (!kvm_be.tdp)
		bits |= BIT(X86_TRAP_PF);
	return bits;
}
EXPORT_SYMBOL_GPL(kvm_exceptions_to_intercept);

/**
 * kvm_intr_allowed() - would the guest take an external interrupt now
 * @vcpu: the vCPU, loaded
 */
bool kvm_intr_allowed(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->arch.guest_mode)) {
		switch (kvm_be_call(nested_event)(vcpu, KVM_NESTED_INTR, false)) {
		case KVM_NESTED_WAIT:
			return false;
		case KVM_NESTED_L1:
		case KVM_NESTED_L2_NOW:
			return true;
		default:
			break;
		}
	}
	return (kvm_rflags_read(vcpu) & X86_EFLAGS_IF) &&
	       !(kvm_be_call(get_blocking)(vcpu) &
		 (KVM_BLOCKED_SHADOW | KVM_BLOCKED_STATE | KVM_BLOCKED_GIF));
}

static bool gif_is_clear(struct kvm_vcpu *vcpu)
{
	return kvm_be_call(get_blocking)(vcpu) & KVM_BLOCKED_GIF;
}

/* An NMI waits for the IRET of the one before, and behind STI and MOV SS. */
static bool nmi_blocked(struct kvm_vcpu *vcpu)
{
	return kvm_be_call(get_blocking)(vcpu) != 0;
}

/* L1's NMIs do not wait for L2. */
static bool nmi_is_l1s(struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.guest_mode) &&
	       kvm_be_call(nested_event)(vcpu, KVM_NESTED_NMI, false) == KVM_NESTED_L1;
}

/* The debugger asked that interrupts and NMIs wait while it single-steps. */
static bool debugger_blocks_irqs(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.guest_debug & KVM_GUESTDBG_BLOCKIRQ;
}

/*
 * Who gets @what, which is pending. An event for L1 waits, while L2 is given an older one (@busy),
 * or has yet to be entered: L2 is left right after that.
 */
static enum kvm_nested_answer ask_nested(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					 bool busy, bool *req_immediate)
{
	enum kvm_nested_answer to;

	if (likely(!vcpu->arch.guest_mode))
		return KVM_NESTED_L2;
	to = kvm_be_call(nested_event)(vcpu, what, !busy);
	if (to == KVM_NESTED_L1 && busy)
		to = KVM_NESTED_WAIT;
	if (to == KVM_NESTED_WAIT && (busy || vcpu->arch.nested_entry))
		*req_immediate = true;
	return to;
}

/**
 * kvm_inject_pending_events() - hand the next event to the hardware
 * @vcpu: the vCPU, loaded, about to enter
 * @req_immediate: set when the guest must exit again right after delivery
 *
 * Return: 0; 1 when the guest is in SMM now instead, or L1 instead of L2, with nothing handed
 * over.
 */
int kvm_inject_pending_events(struct kvm_vcpu *vcpu, bool *req_immediate)
{
	enum kvm_nested_answer to = KVM_NESTED_L2;
	bool busy = inject_in_flight(vcpu, &to);
	int vector;

	if (unlikely(to == KVM_NESTED_L1))
		return 1;
	if (unlikely(to == KVM_NESTED_WAIT))
		*req_immediate = true;

	if (busy && (vcpu->arch.exception.injected &&
		     (vcpu->arch.nmi_injected || vcpu->arch.interrupt.injected)))
		/* an older event still waits behind the exception */
		*req_immediate = true;

	if (debugger_blocks_irqs(vcpu))
		return 0;

	if (unlikely(vcpu->arch.smi_pending) && !vcpu->arch.smm && !gif_is_clear(vcpu)) {
		to = ask_nested(vcpu, KVM_NESTED_SMI, busy, req_immediate);
		if (to == KVM_NESTED_L1)
			return 1;
		if (to == KVM_NESTED_L2 && !busy) {
			kvm_enter_smm(vcpu);
			return 1;
		}
		*req_immediate = true;
	}

	if (vcpu->arch.nmi_pending) {
		to = ask_nested(vcpu, KVM_NESTED_NMI, busy, req_immediate);
		if (to == KVM_NESTED_L1)
			return 1;
	}
	if (vcpu->arch.nmi_pending && to == KVM_NESTED_L2) {
		if (!busy && !nmi_blocked(vcpu)) {
			vcpu->arch.nmi_pending--;
			vcpu->arch.nmi_injected = true;
			inject_nmi(vcpu);
			busy = true;
		}
		if (vcpu->arch.nmi_pending)
			kvm_be_call(request_window)(vcpu, KVM_EVENT_NMI);
	}

	if (!kvm_cpu_has_injectable_intr(vcpu))
		return 0;
	to = ask_nested(vcpu, KVM_NESTED_INTR, busy, req_immediate);
	if (to == KVM_NESTED_L1)
		return 1;
	if (to != KVM_NESTED_WAIT) {
		if (!busy && kvm_intr_allowed(vcpu)) {
			vector = kvm_cpu_get_interrupt(vcpu);
			if (vector >= 0) {
				vcpu->arch.interrupt.injected = true;
				vcpu->arch.interrupt.soft = false;
				vcpu->arch.interrupt.at_rip = false;
				vcpu->arch.interrupt.vector = vector;
				inject_interrupt(vcpu);
			}
		}
		if (kvm_cpu_has_injectable_intr(vcpu))
			kvm_be_call(request_window)(vcpu, KVM_EVENT_INTR);
	}
	return 0;
}

/**
 * kvm_accepts_user_interrupt() - does KVM_INTERRUPT reach this vCPU at all
 * @vcpu: the vCPU, loaded
 *
 * With a LAPIC in the kernel the vector comes in through LINT0, as ExtINT.
 *
 * Return: false while LINT0 would not let it through.
 */
bool kvm_accepts_user_interrupt(struct kvm_vcpu *vcpu)
{
	return !kvm_lapic_in_kernel(vcpu) || kvm_lapic_accepts_pic(vcpu->arch.apic);
}

/**
 * kvm_vcpu_ready_for_interrupt_injection() - may KVM_INTERRUPT be used now
 * @vcpu: the vCPU, loaded
 */
bool kvm_vcpu_ready_for_interrupt_injection(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.exception.pending || vcpu->arch.exception.injected ||
	    vcpu->arch.nmi_injected || vcpu->arch.interrupt.injected ||
	    vcpu->arch.pending_external_vector >= 0)
		return false;
	return kvm_accepts_user_interrupt(vcpu) && kvm_intr_allowed(vcpu);
}

/**
 * kvm_vcpu_has_events() - is there anything that ends a HLT
 * @vcpu: the vCPU
 */
bool kvm_vcpu_has_events(struct kvm_vcpu *vcpu)
{
	if (kvm_lapic_has_init_or_sipi(vcpu))
		return true;
	if ((vcpu->arch.smi_pending || kvm_test_request(KVM_REQ_SMI, vcpu)) &&
	    !READ_ONCE(vcpu->arch.smm) && !debugger_blocks_irqs(vcpu) && !gif_is_clear(vcpu))
		return true;
	if (vcpu->arch.exception.pending)
		return true;
	/* a kick ends HLT, not the wait for a page */
	if (READ_ONCE(vcpu->arch.pv_unhalted) &&
	    READ_ONCE(vcpu->arch.mp_state) != KVM_MP_STATE_RUNNABLE)
		return true;
	if (kvm_test_request(KVM_REQ_NMI, vcpu) ||
	    (vcpu->arch.nmi_pending && (!nmi_blocked(vcpu) || nmi_is_l1s(vcpu))))
		return true;
	if (vcpu->arch.interrupt.injected || vcpu->arch.nmi_injected)
		return true;
	if (kvm_intr_allowed(vcpu) && !debugger_blocks_irqs(vcpu) &&
	    kvm_cpu_has_interrupt(vcpu))
		return true;
	return kvm_test_request(KVM_REQ_TRIPLE_FAULT, vcpu);
}

/**
 * kvm_vcpu_ioctl_interrupt() - KVM_INTERRUPT
 * @vcpu: the vCPU, loaded
 * @irq: vector
 *
 * Return: 0; -EINVAL for a vector above 255; -ENXIO with a PIC in the kernel;
 * -EEXIST when one is pending already.
 */
int kvm_vcpu_ioctl_interrupt(struct kvm_vcpu *vcpu, struct kvm_interrupt *irq)
{
	if (irq->irq >= 256)
		return -EINVAL;
	if (kvm_irqchip_full(vcpu->kvm))
		return -ENXIO;
	if (vcpu->arch.pending_external_vector != -1)
		return -EEXIST;

	vcpu->arch.pending_external_vector = irq->irq;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/**
 * kvm_get_vcpu_events() - KVM_GET_VCPU_EVENTS
 * @vcpu: the vCPU, loaded
 * @ev: zeroed; filled
 */
void kvm_get_vcpu_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	u32 blocking = kvm_be_call(get_blocking)(vcpu);

	kvm_process_nmi(vcpu);

	/*
	 * User space that does not know of payloads (and of pending as against
	 * injected) must not lose CR2 or DR6: they are written first.
	 */
	if (!vcpu->kvm->arch.exception_payload_enabled &&
	    vcpu->arch.exception.pending)
		kvm_deliver_exception_payload(vcpu);

	ev->exception.injected = vcpu->arch.exception.injected;
	ev->exception.pending = vcpu->arch.exception.pending;
	if (!vcpu->kvm->arch.exception_payload_enabled) {
		ev->exception.injected |= vcpu->arch.exception.pending;
		ev->exception.pending = 0;
	}
	ev->exception.nr = vcpu->arch.exception.vector;
	ev->exception.has_error_code = vcpu->arch.exception.has_error_code;
	ev->exception.error_code = vcpu->arch.exception.error_code;
	ev->exception_has_payload = vcpu->arch.exception.has_payload;
	ev->exception_payload = vcpu->arch.exception.payload;

	ev->interrupt.injected = vcpu->arch.interrupt.injected &&
				 !vcpu->arch.interrupt.soft;
	ev->interrupt.nr = vcpu->arch.interrupt.vector;
	ev->interrupt.shadow = blocking & KVM_BLOCKED_SHADOW;

	ev->nmi.injected = vcpu->arch.nmi_injected;
	ev->nmi.pending = vcpu->arch.nmi_pending != 0;
	ev->nmi.masked = !!(blocking & KVM_BLOCKED_NMI);

	ev->sipi_vector = vcpu->arch.sipi_vector;
	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	kvm_get_smm_events(vcpu, ev);
	if (vcpu->kvm->arch.exception_payload_enabled)
		ev->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->kvm->arch.triple_fault_event) {
		ev->triple_fault.pending = kvm_test_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		ev->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

/**
 * kvm_set_vcpu_events() - KVM_SET_VCPU_EVENTS
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @ev: from user space, a kernel copy
 *
 * Return: 0; -EINVAL for unknown or not enabled flags, for an exception that
 * does not exist, for SMM in a VM without it or of a vCPU that waits for its start.
 */
int kvm_set_vcpu_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	struct kvm *kvm = vcpu->kvm;
	u32 valid = KVM_VCPUEVENT_VALID_NMI_PENDING |
		    KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW;
	bool pending, injected, has_payload;

	if (kvm_has_smm(kvm))
		valid |= KVM_VCPUEVENT_VALID_SMM;
	if (kvm->arch.exception_payload_enabled)
		valid |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (kvm->arch.triple_fault_event)
		valid |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (ev->flags & ~valid)
		return -EINVAL;
	if ((ev->flags & KVM_VCPUEVENT_VALID_SMM) && !kvm_smm_events_valid(vcpu, ev))
		return -EINVAL;

	injected = ev->exception.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD) {
		pending = ev->exception.pending;
		has_payload = pending && ev->exception_has_payload;
		/* it cannot be both: the hardware has not seen one that is pending */
		if (pending)
			injected = false;
	} else {
		pending = false;
		has_payload = false;
	}
	if ((pending || injected) &&
	    (ev->exception.nr > 31 || ev->exception.nr == X86_TRAP_NMI))
		return -EINVAL;
	if ((ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) &&
	    ev->triple_fault.pending > 1)
		return -EINVAL;

	kvm_process_nmi(vcpu);

	vcpu->arch.exception.injected = injected;
	vcpu->arch.exception.pending = pending;
	vcpu->arch.exception.vector = ev->exception.nr;
	vcpu->arch.exception.at_rip = false;
	vcpu->arch.l2_vectoring.type = KVM_EVENT_NONE;
	vcpu->arch.exception.has_error_code = ev->exception.has_error_code;
	vcpu->arch.exception.error_code = ev->exception.error_code;
	vcpu->arch.exception.has_payload = has_payload;
	vcpu->arch.exception.payload = has_payload ? ev->exception_payload : 0;

	/* a software interrupt that L1 injects came with the nested state */
	if (ev->interrupt.injected || !vcpu->arch.nested_entry || !vcpu->arch.interrupt.soft) {
		vcpu->arch.interrupt.injected = ev->interrupt.injected;
		vcpu->arch.interrupt.vector = ev->interrupt.nr;
		vcpu->arch.interrupt.soft = ev->interrupt.soft;
		vcpu->arch.interrupt.insn_len = 0;
		vcpu->arch.interrupt.at_rip = false;
	}
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW)
		kvm_set_int_shadow(vcpu, ev->interrupt.shadow);

	vcpu->arch.nmi_injected = ev->nmi.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		vcpu->arch.nmi_pending = ev->nmi.pending ? 1 : 0;
	kvm_set_nmi_mask(vcpu, ev->nmi.masked);

	if ((ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) &&
	    kvm_lapic_in_kernel(vcpu))
		vcpu->arch.sipi_vector = ev->sipi_vector;

	if (ev->flags & KVM_VCPUEVENT_VALID_SMM)
		kvm_set_smm_events(vcpu, ev);

	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (ev->triple_fault.pending)
			kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		else
			kvm_clear_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	}

	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}
