// SPDX-License-Identifier: GPL-2.0-only
/*
 * One entry into the guest: VMCS made up to date, VMLAUNCH or VMRESUME, state
 * taken back.
 *
 * Intel SDM vol. 3, chapters 27 and 28. Nothing is written to the VMCS that did
 * not change and nothing is read that nobody asks for: RSP, RIP, RFLAGS and the
 * control registers come when they are needed (vmx_cache_reg()).
 *
 * An interrupt that ended the guest is taken from the host's APIC by the exit, which
 * posted interrupts need: the caller runs its handler, when the host's state is
 * back. An NMI that ended it has masked NMIs: its handler runs here, and its IRET
 * opens them.
 */
#include <linux/instrumentation.h>
#include <linux/smp.h>
#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/spec-ctrl.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "arch/x86/vmx/vmx.h"
#include "module/compat/guest_state.h"
#include "module/compat/virt.h"

static_assert(offsetof(struct vmx_run, sw) == 0);
static_assert(offsetof(struct vmx_run, host_rsp) == VMX_RUN_HOST_RSP);
static_assert(HOST_RSP == VMX_FIELD_HOST_RSP);

static __always_inline bool is_nmi(u32 intr_info)
{
	return (intr_info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
	       (INTR_INFO_VALID_MASK | INTR_TYPE_NMI_INTR);
}

static noinstr void vmx_run_guest(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	unsigned long failed;

	kvm_guest_state_enter_irqoff();
	kvm_clear_stale_mmio_buffers();
	if (native_read_cr2() != vcpu->arch.cr2)
		native_write_cr2(vcpu->arch.cr2);

	failed = vmx_enter_guest(&v->run);

	vcpu->arch.cr2 = native_read_cr2();
	v->intr_info = 0;
	if (unlikely(failed)) {
		v->exit_reason = VMX_REASON_VMFAIL;
	} else {
		v->exit_reason = vmcs_read(VM_EXIT_REASON);
		if ((u16)v->exit_reason == EXIT_REASON_EXCEPTION_NMI) {
			v->intr_info = vmcs_read(VM_EXIT_INTR_INFO);
			if (is_nmi(v->intr_info))
				kvm_host_nmi();
		}
	}
	kvm_guest_state_exit_irqoff();
}

static void write_rflags(struct vmx_vcpu *v, unsigned long rflags)
{
	if (unlikely(v->vm86)) {
		v->rm_iopl = rflags & X86_EFLAGS_IOPL;
		rflags = (rflags & ~X86_EFLAGS_IOPL) | X86_EFLAGS_VM;
	}
	vmcs_write(GUEST_RFLAGS, rflags);
}

/* What may have changed since the last entry, from vcpu->arch to the VMCS. */
static void load_state(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	u32 dirty = vcpu->arch.regs_dirty;
	unsigned long *r = vcpu->arch.regs;

	if (dirty & BIT(VCPU_REG_RSP))
		vmcs_write(GUEST_RSP, r[VCPU_REG_RSP]);
	if (dirty & BIT(VCPU_REG_RIP))
		vmcs_write(GUEST_RIP, r[VCPU_REG_RIP]);
	if (dirty & BIT(VCPU_REG_RFLAGS))
		write_rflags(v, r[VCPU_REG_RFLAGS]);
	if ((dirty & BIT(VCPU_REG_CR3)) && vmx_feat.ept)
		vmcs_write(GUEST_CR3, unlikely(vmx_cr3_is_ours(v)) ?
			   vcpu->kvm->arch.identity_map_addr : r[VCPU_REG_CR3]);
	vcpu->arch.regs_dirty = 0;

	if (unlikely(vcpu->arch.pdptrs_dirty) && vmx_feat.ept) {
		/* only used by PAE paging; the CPU loads them itself at the guest's MOV CR3 */
		vmcs_write(GUEST_PDPTR0, vcpu->arch.pdptrs[0]);
		vmcs_write(GUEST_PDPTR1, vcpu->arch.pdptrs[1]);
		vmcs_write(GUEST_PDPTR2, vcpu->arch.pdptrs[2]);
		vmcs_write(GUEST_PDPTR3, vcpu->arch.pdptrs[3]);
		vcpu->arch.pdptrs_dirty = false;
	}
	if (vmx_feat.pat_switch && v->hw_pat != vcpu->arch.pat) {
		v->hw_pat = vcpu->arch.pat;
		vmcs_write(GUEST_IA32_PAT, v->hw_pat);
	}
	if (v->hw_dr7 != vcpu->arch.eff_dr7) {
		v->hw_dr7 = vcpu->arch.eff_dr7;
		vmcs_write(GUEST_DR7, v->hw_dr7);
	}
	/*
	 * A step that begins behind STI or MOV SS: such a state may only be entered
	 * with the trap pending, and a debugger's step must not wait.
	 */
	if (unlikely(vcpu->arch.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		vmx_set_blocking(vcpu, KVM_BLOCKED_SHADOW, 0);
}

static void load_host_state(struct vmx_vcpu *v)
{
	unsigned long cr3 = __read_cr3(), cr4 = __read_cr4();

	if (unlikely(cr3 != v->host_cr3)) {
		v->host_cr3 = cr3;
		vmcs_write(HOST_CR3, cr3);
	}
	if (unlikely(cr4 != v->host_cr4)) {
		v->host_cr4 = cr4;
		vmcs_write(HOST_CR4, cr4);
	}
}

/* The TPR is in the LAPIC's register page, for the CPU and for us. */
static void check_tpr(struct vmx_vcpu *v)
{
	/* a threshold above it is refused */
	if (unlikely(v->tpr_threshold && v->tpr_threshold > kvm_get_cr8(v->vcpu))) {
		v->tpr_threshold = 0;
		vmcs_write(TPR_THRESHOLD, 0);
		kvm_make_request(KVM_REQ_EVENT, v->vcpu);
	}
}

static bool was_machine_check(const struct vmx_vcpu *v)
{
	return (u16)v->exit_reason == EXIT_REASON_MCE_DURING_VMENTRY ||
	       (v->intr_info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK |
				INTR_INFO_VECTOR_MASK)) ==
	       (INTR_INFO_VALID_MASK | INTR_TYPE_HARD_EXCEPTION | MC_VECTOR);
}

/**
 * vmx_enter() - run the guest until it exits
 * @vcpu: the vCPU; loaded, interrupts off
 * @exit: filled with what made it stop
 * @req_immediate: come back as soon as the injected event is delivered
 *
 * A host interrupt that ended the guest is named in @exit, and the caller's to
 * handle; a host NMI has been taken.
 */
void vmx_enter(struct kvm_vcpu *vcpu, struct kvm_exit *exit, bool req_immediate)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	bool dr_direct = vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT;
	u16 ldt;

	if (unlikely(!vmx_feat.unrestricted) && vmx_rmode_prepare(v)) {
		vmx_decode_must_emulate(v, exit);
		return;
	}
	if (unlikely(!v->host_saved))
		vmx_prepare_switch(v);
	load_state(v);
	load_host_state(v);
	check_tpr(v);
	if (vmx_apicv_active(v))
		vmx_load_intr_status(v);
	else if (unlikely(vmx_feat.device_posting))
		vmx_posting_sync(v);
	if (unlikely(vcpu->arch.timer_tsc | v->timer_on))
		vmx_load_timer(v);
	if (vmx_feat.perf_switches)
		vmx_pmu_load(v);
	if (vmx_feat.pml && unlikely(v->pml_on != !!READ_ONCE(vcpu->kvm->arch.nr_logged_slots)))
		vmx_pml_switch(v, !v->pml_on);
	if (unlikely(v->flush_all | v->flush_guest))
		vmx_flush_now(v);
	if (unlikely(dr_direct))
		set_debugreg(vcpu->arch.dr6, 6);
	if (unlikely(req_immediate)) {
		/* pending when the guest begins: the event is delivered, then it exits */
		smp_send_reschedule(smp_processor_id());
	}
	if (unlikely(vcpu->arch.entry_tsc))
		kvm_lapic_wait_deadline(vcpu);
	kvm_switch_prepare(vcpu, &v->run.sw);
	if (static_branch_unlikely(&vmx_l1d_should_flush))
		vmx_l1d_flush(vcpu);
	/* an exit leaves none; another thread's change comes by an interrupt, so not before */
	store_ldt(ldt);

	vmx_run_guest(v);

	if (unlikely(ldt))
		asm volatile("lldt %0" : : "m" (ldt));
	if (unlikely(v->host_debugctl))
		update_debugctlmsr(v->host_debugctl);
	kvm_switch_finish(vcpu, &v->run.sw);

	if (likely(v->exit_reason != VMX_REASON_VMFAIL)) {
		if (unlikely(was_machine_check(v)))
			kvm_host_machine_check();
		if (likely(!(v->exit_reason & VMX_EXIT_ENTRY_FAILED))) {
			v->run.sw.flags |= BIT(VMX_RUN_LAUNCHED_BIT);
			v->injecting = false;
			vcpu->arch.regs_avail = (BIT(VCPU_NR_GPRS) - 1) & ~BIT(VCPU_REG_RSP);
			if (unlikely(dr_direct)) {
				/* written unseen; the next entry may follow without a sync */
				get_debugreg(vcpu->arch.dr6, 6);
				vcpu->arch.dr7 = vmcs_read(GUEST_DR7);
				vcpu->arch.eff_dr7 = vcpu->arch.dr7;
				v->hw_dr7 = vcpu->arch.dr7;
			}
			if (unlikely(v->pml_on))
				vmx_pml_flush(v);
		}
	}
	vmx_decode_exit(v, exit);
}
