// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events into a VMX guest, and when it can take them.
 *
 * Intel SDM vol. 3, 27.6 (event injection), 25.9.3 (IDT vectoring), 26.2 and
 * 27.7 (virtual NMIs, windows). The CPU masks NMIs from the delivery of one to
 * the IRET, and says when that IRET faulted.
 *
 * A CPU without virtual NMIs (or vnmi=0) gives no sign of the guest's IRET. NMI handlers
 * run with interrupts off, so the mask ends when the guest has interrupts on, at an IRET
 * that the emulator carries out, or after a second at the latest, if one waits.
 */
#include <linux/ktime.h>
#include <asm/trapnr.h>

#include "arch/x86/vmx/vmx.h"

/**
 * vmx_inject() - have the hardware deliver an event at the next entry
 * @vcpu: the vCPU, loaded
 * @ev: the event
 */
void vmx_inject(struct kvm_vcpu *vcpu, const struct kvm_event *ev)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 info = INTR_INFO_VALID_MASK | ev->vector;
	u8 len = ev->insn_len;

	if (unlikely(vmx_is_fake_real_mode(v))) {
		vmx_rmode_inject(v, ev);
		return;
	}
	switch (ev->type) {
	case KVM_EVENT_INTR:
		info |= INTR_TYPE_EXT_INTR;
		break;
	case KVM_EVENT_NMI:
		info = INTR_INFO_VALID_MASK | INTR_TYPE_NMI_INTR | X86_TRAP_NMI;
		break;
	case KVM_EVENT_SOFT_INTR:
		info |= INTR_TYPE_SOFT_INTR;
		vmcs_write(VM_ENTRY_INSTRUCTION_LEN, len ?: 2);
		break;
	case KVM_EVENT_SOFT_EXC:
		info |= INTR_TYPE_SOFT_EXCEPTION;
		vmcs_write(VM_ENTRY_INSTRUCTION_LEN, len ?: 1);
		break;
	case KVM_EVENT_EXCEPTION:
		info |= INTR_TYPE_HARD_EXCEPTION;
		/* in real mode none is pushed, and asking for it is refused */
		if (ev->has_error_code && is_protmode(vcpu)) {
			info |= INTR_INFO_DELIVER_CODE_MASK;
			/* user space may have given it more bits, which are refused */
			vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE, (u16)ev->error_code);
		}
		break;
	default:
		return;
	}
	if (unlikely(ev->type == KVM_EVENT_NMI && !vmx_feat.vnmi))
		vmx_set_blocking(vcpu, KVM_BLOCKED_NMI, KVM_BLOCKED_NMI);
	v->injected = *ev;
	v->injecting = true;
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, info);
	/* a guest that halts by itself is woken by what is injected */
	if (!(v->cpu_ctl & CPU_BASED_HLT_EXITING))
		vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
}

/**
 * vmx_cancel_injection() - the entry did not take place: take the event back
 * @vcpu: the vCPU, loaded
 * @ev: filled; KVM_EVENT_NONE when there was none
 */
void vmx_cancel_injection(struct kvm_vcpu *vcpu, struct kvm_event *ev)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (!v->injecting) {
		ev->type = KVM_EVENT_NONE;
		return;
	}
	*ev = v->injected;
	v->injecting = false;
	if (ev->type == KVM_EVENT_NMI)
		v->nmi_masked = false;
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/*
 * The emulator is on its way through a state of protected mode that no entry takes, and
 * cannot deliver anything there. A guest that halts on the way is woken.
 */
static bool must_wait(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (likely(!(v->must_emulate | v->check_state)))
		return false;
	if (v->check_state)
		vmx_check_state(v);
	return v->must_emulate && is_protmode(vcpu) &&
	       READ_ONCE(vcpu->arch.mp_state) == KVM_MP_STATE_RUNNABLE;
}

#define NMI_MASK_LIMIT	NSEC_PER_SEC

/* The mask that a CPU without virtual NMIs does not keep. */
static bool soft_nmi_mask(struct vmx_vcpu *v, u32 shadow)
{
	struct kvm_vcpu *vcpu = v->vcpu;

	if (likely(!v->nmi_masked))
		return false;
	/* one that is still on its way finds them on, and turns them off */
	if (v->injecting)
		return true;
	if (!shadow && (kvm_rflags_read(vcpu) & X86_EFLAGS_IF)) {
		v->nmi_masked = false;
	} else if (vcpu->arch.nmi_pending &&
		   ktime_get_ns() - v->nmi_masked_at > NMI_MASK_LIMIT) {
		pr_warn_ratelimited("kvm_intel: vCPU %d has NMIs masked for more than a second: no longer\n",
				    vcpu->vcpu_id);
		v->nmi_masked = false;
	}
	return v->nmi_masked;
}

/**
 * vmx_get_blocking() - what keeps events from the guest
 * @vcpu: the vCPU, loaded
 *
 * Return: KVM_X86_SHADOW_INT_* and KVM_BLOCKED_* in force.
 */
u32 vmx_get_blocking(struct kvm_vcpu *vcpu)
{
	u32 info = vmcs_read(GUEST_INTERRUPTIBILITY_INFO), blocked = 0;

	if (info & GUEST_INTR_STATE_STI)
		blocked |= KVM_X86_SHADOW_INT_STI;
	if (info & GUEST_INTR_STATE_MOV_SS)
		blocked |= KVM_X86_SHADOW_INT_MOV_SS;
	/* without virtual NMIs the bit is of the CPU's own, and no IRET of a guest clears it */
	if (vmx_feat.vnmi ? info & GUEST_INTR_STATE_NMI : soft_nmi_mask(to_vmx(vcpu), blocked))
		blocked |= KVM_BLOCKED_NMI;
	if (must_wait(vcpu))
		blocked |= KVM_BLOCKED_STATE;
	return blocked;
}

/**
 * vmx_set_blocking() - change that
 * @vcpu: the vCPU, loaded
 * @which: bits of vmx_get_blocking() to change
 * @blocked: their new values
 */
void vmx_set_blocking(struct kvm_vcpu *vcpu, u32 which, u32 blocked)
{
	u32 old = vmcs_read(GUEST_INTERRUPTIBILITY_INFO), new = old;

	if (!vmx_feat.vnmi && (which & KVM_BLOCKED_NMI)) {
		struct vmx_vcpu *v = to_vmx(vcpu);

		v->nmi_masked = blocked & KVM_BLOCKED_NMI;
		v->nmi_masked_at = ktime_get_ns();
		which &= ~KVM_BLOCKED_NMI;
	}
	if (which & KVM_BLOCKED_SHADOW) {
		new &= ~(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
		/* one of them at a time */
		if (blocked & KVM_X86_SHADOW_INT_MOV_SS)
			new |= GUEST_INTR_STATE_MOV_SS;
		else if (blocked & KVM_X86_SHADOW_INT_STI)
			new |= GUEST_INTR_STATE_STI;
	}
	if (which & KVM_BLOCKED_NMI) {
		new &= ~GUEST_INTR_STATE_NMI;
		if (blocked & KVM_BLOCKED_NMI)
			new |= GUEST_INTR_STATE_NMI;
	}
	if (new != old)
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO, new);
}

/* An IRET that faulted has opened NMIs, though the handler goes on. */
static void mask_nmis_again(struct vmx_vcpu *v)
{
	/* without virtual NMIs this is of the host's */
	if (vmx_feat.vnmi)
		vmx_set_blocking(v->vcpu, KVM_BLOCKED_NMI, KVM_BLOCKED_NMI);
}

/**
 * vmx_decode_vectoring() - was an event being delivered when the guest exited
 * @v: the vCPU, after an exit that can happen in the middle of a delivery
 * @ev: filled
 * @iret_faulted: the exit's "NMI unblocking due to IRET"
 */
void vmx_decode_vectoring(struct vmx_vcpu *v, struct kvm_event *ev, bool iret_faulted)
{
	u32 info = vmcs_read(IDT_VECTORING_INFO_FIELD);

	/* nothing is injected there: it is the INT n that faulted, to be emulated */
	if (unlikely(v->vm86))
		return;

	if (likely(!(info & VECTORING_INFO_VALID_MASK))) {
		if (unlikely(iret_faulted))
			mask_nmis_again(v);
		return;
	}

	ev->vector = info & VECTORING_INFO_VECTOR_MASK;
	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_EXT_INTR:
		ev->type = KVM_EVENT_INTR;
		break;
	case INTR_TYPE_NMI_INTR:
		/* it will be delivered again, and masks NMIs then */
		ev->type = KVM_EVENT_NMI;
		vmx_set_blocking(v->vcpu, KVM_BLOCKED_NMI, 0);
		break;
	case INTR_TYPE_SOFT_INTR:
		ev->type = KVM_EVENT_SOFT_INTR;
		ev->insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
		break;
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SOFT_EXCEPTION:
		ev->type = KVM_EVENT_SOFT_EXC;
		ev->insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
		break;
	case INTR_TYPE_HARD_EXCEPTION:
		ev->type = KVM_EVENT_EXCEPTION;
		if (info & VECTORING_INFO_DELIVER_CODE_MASK) {
			ev->has_error_code = true;
			ev->error_code = vmcs_read(IDT_VECTORING_ERROR_CODE);
		}
		break;
	}
}

/**
 * vmx_request_window() - exit as soon as the guest can take an event
 * @vcpu: the vCPU, loaded
 * @type: KVM_EVENT_INTR or KVM_EVENT_NMI
 */
void vmx_request_window(struct kvm_vcpu *vcpu, enum kvm_event_type type)
{
	/*
	 * Behind STI no CPU needs to give an NMI window: the other one comes as soon. One
	 * without virtual NMIs has no NMI window.
	 */
	if (type == KVM_EVENT_INTR || !vmx_feat.vnmi ||
	    (vmcs_read(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_STI))
		vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_INTR_WINDOW_EXITING, true);
	else
		vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_NMI_WINDOW_EXITING, true);
}

/**
 * vmx_update_cr8_intercept() - be told when CR8 drops below a waiting interrupt
 * @vcpu: the vCPU, loaded
 * @tpr: CR8
 * @irr: priority class of the highest waiting interrupt, -1: none
 */
void vmx_update_cr8_intercept(struct kvm_vcpu *vcpu, int tpr, int irr)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 threshold = irr >= 0 && tpr >= irr ? irr : 0;

	if (!(v->cpu_ctl & CPU_BASED_TPR_SHADOW) || threshold == v->tpr_threshold)
		return;
	v->tpr_threshold = threshold;
	vmcs_write(TPR_THRESHOLD, threshold);
}
