// SPDX-License-Identifier: GPL-2.0-only
/*
 * One entry into the guest: VMCB made up to date, VMRUN, state taken back.
 *
 * AMD APM vol. 2, 15.5 (VMRUN), 15.17 (GIF), 15.15 (state caching), 15.21
 * (interrupts). Nothing is written to the VMCB that did not change, and what
 * is written takes its clean bit away.
 *
 * CLGI comes before anything of the guest's is loaded and STGI after all of
 * the host's is back: an NMI that ended the guest is taken at the STGI, an
 * interrupt when the caller sets IF. A machine check that ended it is handed
 * to the host's handler here.
 */
#include <linux/instrumentation.h>
#include <linux/mem_encrypt.h>
#include <linux/smp.h>
#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/spec-ctrl.h>

#include "arch/x86/svm/svm.h"
#include "module/compat/guest_state.h"

static_assert(offsetof(struct svm_run, sw) == 0);
static_assert(offsetof(struct svm_run, vmcb_pa) == SVM_RUN_VMCB_PA);
static_assert(offsetof(struct svm_run, host_pa) == SVM_RUN_HOST_PA);

/* False when SVM was taken from this CPU meanwhile (reboot): #UD. */
static __always_inline bool svm_clgi(void)
{
	asm goto("1: clgi\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : : "memory" : fault);
	return true;
fault:
	return false;
}

static __always_inline void svm_stgi(void)
{
	asm volatile("stgi" : : : "memory");
}

static noinstr bool svm_run_guest(struct svm_vcpu *svm)
{
	bool ok;

	kvm_guest_state_enter_irqoff();
	ok = svm_clgi();
	if (likely(ok)) {
		svm_enter_guest(&svm->run);
		svm_stgi();
	}
	kvm_guest_state_exit_irqoff();
	return ok;
}

/* The software-switched form of SSBD; the other is in SPEC_CTRL. */
static void svm_switch_virt_spec_ctrl(struct kvm_vcpu *vcpu, bool to_guest)
{
	if (!static_cpu_has(X86_FEATURE_LS_CFG_SSBD) &&
	    !static_cpu_has(X86_FEATURE_VIRT_SSBD))
		return;
	x86_virt_spec_ctrl(vcpu->arch.virt_spec_ctrl, to_guest);
}

static void svm_load_tpr(struct svm_vcpu *svm)
{
	struct vmcb_control_area *c = &svm->vmcb->control;
	u8 tpr;
	u32 int_ctl;

	if (unlikely(svm_l2_has_tpr(svm)))
		return;
	tpr = kvm_get_cr8(svm->vcpu) & V_TPR_MASK;

	/* the host depends on it: else a guest with IF clear keeps the CPU */
	int_ctl = (c->int_ctl & ~V_TPR_MASK) | tpr | V_INTR_MASKING_MASK;
	svm->entry_tpr = tpr;
	if (c->int_ctl != int_ctl) {
		c->int_ctl = int_ctl;
		svm_mark_dirty(svm, SVM_CLEAN_INTR);
	}
}

static void svm_store_tpr(struct svm_vcpu *svm)
{
	u8 tpr = svm->vmcb->control.int_ctl & V_TPR_MASK;

	if (unlikely(svm_l2_has_tpr(svm)))
		return;
	if (tpr != svm->entry_tpr)
		kvm_set_cr8(svm->vcpu, tpr);
}

/* What may have changed since the last entry, from vcpu->arch to the VMCB. */
static void svm_load_state(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct vmcb_save_area *save = &svm->vmcb->save;
	unsigned long dr6;

	save->rax = vcpu->arch.regs[VCPU_REG_RAX];
	save->rsp = vcpu->arch.regs[VCPU_REG_RSP];
	save->rip = vcpu->arch.regs[VCPU_REG_RIP];

	if (vcpu->arch.regs_dirty & BIT(VCPU_REG_RFLAGS))
		save->rflags = vcpu->arch.regs[VCPU_REG_RFLAGS];
	if ((vcpu->arch.regs_dirty & BIT(VCPU_REG_CR3)) && svm_feat.npt &&
	    save->cr3 != vcpu->arch.regs[VCPU_REG_CR3]) {
		save->cr3 = vcpu->arch.regs[VCPU_REG_CR3];
		svm_mark_dirty(svm, SVM_CLEAN_CR);
	}
	vcpu->arch.regs_dirty = 0;

	if (save->cr2 != vcpu->arch.cr2) {
		save->cr2 = vcpu->arch.cr2;
		svm_mark_dirty(svm, SVM_CLEAN_CR2);
	}
	if (save->g_pat != vcpu->arch.pat) {
		save->g_pat = vcpu->arch.pat;
		svm_mark_dirty(svm, SVM_CLEAN_NPT);
	}

	/*
	 * While accesses to debug registers are intercepted the guest's DR6
	 * lives in arch.dr6, and the VMCB's collects the cause of the next #DB.
	 */
	dr6 = vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT ?
		vcpu->arch.dr6 : SVM_DR6_INIT;
	svm->entry_dr6 = dr6;
	if (save->dr6 != dr6 || save->dr7 != vcpu->arch.eff_dr7) {
		save->dr6 = dr6;
		save->dr7 = vcpu->arch.eff_dr7;
		svm_mark_dirty(svm, SVM_CLEAN_DR);
	}

	if (svm_feat.v_spec_ctrl)
		save->spec_ctrl = vcpu->arch.spec_ctrl;
	svm_load_tpr(svm);
}

static void svm_store_state(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct vmcb_save_area *save = &svm->vmcb->save;

	vcpu->arch.cr2 = save->cr2;
	vcpu->arch.regs[VCPU_REG_RAX] = save->rax;
	vcpu->arch.regs[VCPU_REG_RSP] = save->rsp;
	vcpu->arch.regs[VCPU_REG_RIP] = save->rip;
	vcpu->arch.regs[VCPU_REG_RFLAGS] = save->rflags;
	vcpu->arch.regs_avail |= BIT(VCPU_NR_REGS) - 1;
	vcpu->arch.regs_avail &= ~(BIT(VCPU_REG_CR0) | BIT(VCPU_REG_CR3));
	vcpu->arch.regs_dirty = 0;
	if (vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT) {
		/* written unseen; the next entry may follow without a sync */
		vcpu->arch.dr6 = save->dr6;
		vcpu->arch.dr7 = save->dr7;
		vcpu->arch.eff_dr7 = save->dr7;
	}
	if (svm_feat.v_spec_ctrl)
		vcpu->arch.spec_ctrl = save->spec_ctrl;
	svm_store_tpr(svm);
}

/*
 * VMLOAD after the exit brings back the LDTR that prepare_switch() saved. Where
 * the process uses an LDT it may have been replaced since (by another thread,
 * through an IPI), so it is saved again on each entry.
 */
static void svm_resave_ldt(struct svm_vcpu *svm)
{
	u16 ldt;

	store_ldt(ldt);
	if (unlikely(ldt | svm->saved_ldt)) {
		asm volatile("vmsave %%rax" : : "a" (svm->run.host_pa) : "memory");
		svm->saved_ldt = ldt;
	}
}

/*
 * APM vol. 2, 15.14.5: a bus lock exits before it happens while the count is 0. It is to
 * happen now that user space has heard of it, unless that has set another RIP.
 */
static void svm_let_bus_lock_pass(struct svm_vcpu *svm)
{
	svm->bus_lock_seen = false;
	if (svm_linear_rip(svm->vmcb) == svm->bus_lock_at)
		*svm_bus_lock_counter(svm->vmcb) = 1;
}

/**
 * svm_enter() - run the guest until it exits
 * @vcpu: the vCPU; loaded, interrupts off
 * @exit: filled with what made it stop
 * @req_immediate: come back as soon as the injected event is delivered
 *
 * A host interrupt that ended the guest is still pending on return and is
 * taken when the caller opens interrupts; a host NMI has been taken.
 */
void svm_enter(struct kvm_vcpu *vcpu, struct kvm_exit *exit, bool req_immediate)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (unlikely(!svm->host_saved))
		svm_prepare_switch(svm);
	svm_load_state(svm);
	if (unlikely(svm->asid_generation != sc->generation))
		svm_assign_asid(svm, sc);
	svm_resave_ldt(svm);
	if (unlikely(svm->bus_lock_seen))
		svm_let_bus_lock_pass(svm);
	if (unlikely(svm->nmi_step) && !svm_step_before_entry(svm))
		req_immediate = true;
	if (unlikely(req_immediate)) {
		/* pending behind VMRUN: the event is delivered, then the guest exits */
		smp_send_reschedule(smp_processor_id());
	}
	if (unlikely(!svm_feat.clean_bits))
		c->clean = 0;

	kvm_switch_prepare(vcpu, &svm->run.sw);
	if (unlikely(vcpu->arch.entry_tsc))
		kvm_lapic_wait_deadline(vcpu);
	amd_clear_divider();
	svm_switch_virt_spec_ctrl(vcpu, true);

	if (unlikely(!svm_run_guest(svm))) {
		svm_switch_virt_spec_ctrl(vcpu, false);
		svm->nmi_step = false;
		svm->step_tf = false;
		memset(exit, 0, sizeof(*exit));
		exit->kind = KVM_XK_FAIL_ENTRY;
		exit->hw_reason = SVM_EXITCODE_INVALID;
		return;
	}

	svm_switch_virt_spec_ctrl(vcpu, false);
	kvm_switch_finish(vcpu, &svm->run.sw);
	if (unlikely(vcpu->arch.guest_mode))
		vcpu->arch.nested_entry = false;
	if (unlikely(svm_exit_code(svm->vmcb) == SVM_EXIT_EXCP_BASE + MC_VECTOR))
		kvm_host_machine_check();

	c->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	c->clean = SVM_CLEAN_ALL;
	svm_store_state(svm);
	if (unlikely(svm->nmi_masked || svm->nmi_step))
		svm_step_after_exit(svm);
	svm_decode_exit(svm, exit);
}
