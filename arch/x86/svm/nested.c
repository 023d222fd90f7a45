// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM for guests: VMRUN and #VMEXIT as a guest's CPU would do them.
 *
 * AMD APM vol. 2, 15.5 (VMRUN), 15.6 (#VMEXIT), 15.9 to 15.14 (intercepts), 15.17
 * (GIF), 15.20 and 15.21 (events). Three VMCBs: vmcb01 is what L1 runs with, and
 * keeps, while L2 runs, what L1 gets back; vmcb12 is a copy of the one in L1's
 * memory, read once at VMRUN and checked; vmcb02 is made of both, and L2 runs with it.
 * What we intercept is on record in vmcb01; vmcb02 has that and what L1 intercepts.
 *
 * L1 has no nested paging, no AVIC, no LBR virtualization, no virtual GIF and no
 * virtual VMLOAD and VMSAVE: what it says of them is not looked at, but for nested
 * paging, with which VMRUN fails. Whatever ASID L1 names, L2 gets a new one of
 * ours at each change to or from it, so that nothing of the TLB is left.
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/slab.h>
#include <asm/io.h>
#include <asm/nospec-branch.h>

#include "arch/x86/nested.h"
#include "arch/x86/run.h"
#include "arch/x86/svm/nested.h"

/* SVM features that a CPU without them does not look at: of L1 only these count */
#define L1_INT_CTL		(V_TPR_MASK | V_IRQ_INJECTION_BITS_MASK | V_INTR_MASKING_MASK)

/* #VMEXIT writes: from V_IRQ to the instruction's bytes, and registers up to CR2 */
#define EXIT_CONTROL_FROM	offsetof(struct vmcb_control_area, int_ctl)
#define EXIT_CONTROL_TO		offsetof(struct vmcb_control_area, avic_backing_page)
#define EXIT_SAVE_TO		offsetof(struct vmcb_save_area, g_pat)

static_assert(EXIT_CONTROL_FROM == 0x60 && EXIT_CONTROL_TO == 0xe0);
static_assert(EXIT_SAVE_TO == 0x268);

/* ---- the VMCBs ----------------------------------------------------------------------- */

/**
 * svm_nested_alloc() - allocate what L1 needs for its guests, once
 * @svm: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int svm_nested_alloc(struct svm_vcpu *svm)
{
	struct svm_nested *n = svm->nested;

	if (n)
		return 0;
	n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);
	if (!n)
		return -ENOMEM;
	n->vmcb02 = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	n->vmcb12 = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	n->msrpm = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT, SVM_MSRPM_ORDER);
	svm->nested = n;
	if (n->vmcb02 && n->vmcb12 && n->msrpm)
		return 0;
	svm_nested_free(svm);
	return -ENOMEM;
}

/**
 * svm_nested_free() - free what L1 needed for its guests
 * @svm: the vCPU, in no use
 */
void svm_nested_free(struct svm_vcpu *svm)
{
	struct svm_nested *n = svm->nested;

	if (!n)
		return;
	svm_forget_vmcb(n->vmcb02);
	free_pages((unsigned long)n->msrpm, SVM_MSRPM_ORDER);
	free_page((unsigned long)n->vmcb12);
	free_page((unsigned long)n->vmcb02);
	kfree(n);
	svm->nested = NULL;
}

static void use_vmcb(struct svm_vcpu *svm, struct vmcb *vmcb)
{
	/* who comes back to this CPU with the other needs a barrier for its branches */
	preempt_disable();
	svm->vmcb = vmcb;
	this_cpu_write(svm_cpu.last_vmcb, vmcb);
	preempt_enable();
	svm->run.vmcb_pa = __sme_set(__pa(vmcb));
	vmcb->control.clean = 0;
	vmcb->control.event_inj = 0;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	/* a new ASID: nothing of the other's is in the TLB under it */
	svm->asid_generation = 0;
	/* the root may have changed since this VMCB was last used */
	svm_load_root(svm->vcpu, svm->root, 0);
}

/**
 * svm_nested_carry_over() - what VMLOAD loads, and neither VMRUN nor #VMEXIT changes
 * @to: save area
 * @from: save area
 */
void svm_nested_carry_over(struct vmcb_save_area *to, const struct vmcb_save_area *from)
{
	to->fs = from->fs;
	to->gs = from->gs;
	to->tr = from->tr;
	to->ldtr = from->ldtr;
	to->star = from->star;
	to->lstar = from->lstar;
	to->cstar = from->cstar;
	to->sfmask = from->sfmask;
	to->kernel_gs_base = from->kernel_gs_base;
	to->sysenter_cs = from->sysenter_cs;
	to->sysenter_esp = from->sysenter_esp;
	to->sysenter_eip = from->sysenter_eip;
	to->spec_ctrl = from->spec_ctrl;
}

/* Our map and L1's. Until L1's could be read, L2 reaches nothing by itself. */
static int merge_msrpm(struct svm_vcpu *svm)
{
	struct svm_nested *n = svm->nested;
	unsigned int i, words = MSRPM_BYTES / sizeof(long);
	gpa_t gpa = l1_control(svm)->msrpm_base_pa & PAGE_MASK;

	svm_mark_dirty(svm, SVM_CLEAN_PERM_MAP);
	if (!l1_intercepts(svm, INTERCEPT_MSR_PROT)) {
		memcpy(n->msrpm, svm->msrpm, MSRPM_BYTES);
		return 0;
	}
	if (kvm_vcpu_read_guest(svm->vcpu, gpa, n->msrpm, MSRPM_BYTES)) {
		memset(n->msrpm, 0xff, MSRPM_BYTES);
		return -EFAULT;
	}
	for (i = 0; i < words; i++)
		n->msrpm[i] |= svm->msrpm[i];
	return 0;
}

/**
 * svm_nested_control() - make the control area of vmcb02, and use that
 * @svm: the vCPU, loaded
 *
 * Where L2 was interrupted by an SMI, nothing of it is L1's.
 */
void svm_nested_control(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct svm_nested *n = svm->nested;
	struct vmcb_control_area *c = &n->vmcb02->control;
	const struct vmcb_control_area *l1 = &n->vmcb12->control;
	unsigned int i;

	memcpy(c, &svm->vmcb01->control, sizeof(*c));
	use_vmcb(svm, n->vmcb02);
	c->int_ctl = V_INTR_MASKING_MASK;
	c->int_vector = 0;
	c->int_state = 0;
	c->exit_int_info = 0;
	c->next_rip = 0;
	c->msrpm_base_pa = __sme_set(__pa(vcpu->arch.guest_mode ? n->msrpm : svm->msrpm));
	c->tsc_offset = vcpu->arch.tsc_offset + vcpu->arch.nested_tsc_offset;
	if (!vcpu->arch.guest_mode)
		return;

	for (i = 0; i < ARRAY_SIZE(c->intercepts); i++)
		c->intercepts[i] |= l1->intercepts[i];
	c->int_ctl |= l1->int_ctl & L1_INT_CTL;
	c->int_vector = (u8)l1->int_vector;
	c->int_state = l1->int_state & SVM_INTERRUPT_SHADOW_MASK;
	/* each PAUSE, when L1 wants to see them */
	if (svm_test_bit(l1, INTERCEPT_PAUSE)) {
		c->pause_filter_count = 0;
		c->pause_filter_thresh = 0;
	}
	/* CR8 may be L2's own */
	svm_update_cr8_intercept(vcpu, 0, -1);
}

/* ---- GIF, and interrupts that L1 gives to L2 by V_IRQ ------------------------------------ */

/**
 * svm_set_gif() - set or clear the guest's global interrupt flag
 * @svm: the vCPU, loaded
 * @gif: its value; APM vol. 2, 15.17
 */
void svm_set_gif(struct svm_vcpu *svm, bool gif)
{
	if (svm->gif == gif)
		return;
	svm->gif = gif;
	WRITE_ONCE(svm->vcpu->arch.init_blocked, !gif);
	if (gif)
		kvm_make_request(KVM_REQ_EVENT, svm->vcpu);
	else
		svm_set_intr_window(svm, false);
}

/**
 * svm_nested_int_ctl() - V_IRQ and V_TPR of L2 as they are now, beside what else L1 says
 * @svm: the vCPU in L2
 *
 * While there is a window of ours, the virtual interrupt is in vmcb12.
 */
u32 svm_nested_int_ctl(const struct svm_vcpu *svm)
{
	u32 l1 = l1_control(svm)->int_ctl, from_cpu = 0;

	if (!svm->intr_window)
		from_cpu |= V_IRQ_INJECTION_BITS_MASK;
	if (svm_l2_has_tpr(svm))
		from_cpu |= V_TPR_MASK;
	return (l1 & ~from_cpu) | (svm->vmcb->control.int_ctl & from_cpu);
}

/**
 * svm_nested_keep_virq() - L2's virtual interrupt has to wait: V_IRQ is needed for a window
 * @svm: the vCPU in L2
 */
void svm_nested_keep_virq(struct svm_vcpu *svm)
{
	l1_control(svm)->int_ctl = svm_nested_int_ctl(svm);
}

/**
 * svm_nested_give_virq() - the window is closed: L2 gets its virtual interrupt back
 * @svm: the vCPU in L2
 */
void svm_nested_give_virq(struct svm_vcpu *svm)
{
	struct vmcb_control_area *c = &svm->vmcb->control, *l1 = l1_control(svm);

	c->int_ctl |= l1->int_ctl & V_IRQ_INJECTION_BITS_MASK;
	c->int_vector = (u8)l1->int_vector;
}

/* ---- L1 into L2 -------------------------------------------------------------------------- */

/**
 * svm_nested_inject() - L1 injects an event into L2: it is as if the CPU had begun it
 * @vcpu: the vCPU in L2, loaded
 * @c: control area of L1's, with EVENTINJ; APM vol. 2, 15.20
 */
void svm_nested_inject(struct kvm_vcpu *vcpu, const struct vmcb_control_area *c)
{
	struct kvm_event ev = { .vector = c->event_inj & SVM_EVTINJ_VEC_MASK };
	u64 len = c->next_rip - kvm_rip_read(vcpu);

	if (!(c->event_inj & SVM_EVTINJ_VALID))
		return;
	switch (c->event_inj & SVM_EVTINJ_TYPE_MASK) {
	case SVM_EVTINJ_TYPE_INTR:
		ev.type = KVM_EVENT_INTR;
		break;
	case SVM_EVTINJ_TYPE_NMI:
		/* not kvm_requeue_event(), which unmasks what was not delivered */
		vcpu->arch.nmi_injected = true;
		return;
	case SVM_EVTINJ_TYPE_SOFT:
		ev.type = KVM_EVENT_SOFT_INTR;
		break;
	default:
		ev.type = KVM_EVENT_EXCEPTION;
		ev.has_error_code = c->event_inj & SVM_EVTINJ_VALID_ERR;
		ev.error_code = c->event_inj_err;
		break;
	}
	/* a software event returns to the next RIP where L1 has that, else to RIP */
	if (svm_feat.nrips && guest_has(vcpu, X86_FEATURE_NRIPS) && len && len <= 15)
		ev.insn_len = len;
	else
		ev.at_rip = true;
	kvm_requeue_event(vcpu, &ev);
}

/* Write back what #VMEXIT writes, and have nothing but L1 left. */
static void write_vmcb12(struct svm_vcpu *svm)
{
	struct svm_nested *n = svm->nested;
	u8 *page = (u8 *)n->vmcb12;
	gpa_t gpa = n->vmcb12_gpa;

	/* impossible to go on: L1 would take an old exit for this one */
	if (kvm_nested_write(svm->vcpu, gpa + EXIT_CONTROL_FROM, page + EXIT_CONTROL_FROM,
			     EXIT_CONTROL_TO - EXIT_CONTROL_FROM) ||
	    kvm_nested_write(svm->vcpu, gpa + offsetof(struct vmcb, save),
			     page + offsetof(struct vmcb, save), EXIT_SAVE_TO))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, svm->vcpu);
}

static void set_exit(struct vmcb *vmcb12, u64 code, u64 info1, u64 info2)
{
	*svm_vmcb_u64(vmcb12, SVM_VMCB_EXITCODE) = code;
	vmcb12->control.exit_info_1 = info1;
	vmcb12->control.exit_info_2 = info2;
	vmcb12->control.exit_int_info = 0;
	vmcb12->control.exit_int_info_err = 0;
}

static void save_l1(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct svm_l1 *l1 = &svm->nested->l1;

	l1->rflags = kvm_get_rflags(vcpu);
	l1->rip = kvm_rip_read(vcpu);
	l1->rsp = kvm_gpr_read(vcpu, VCPU_REG_RSP);
	l1->rax = kvm_gpr_read(vcpu, VCPU_REG_RAX);
	l1->cr0 = kvm_read_cr0(vcpu);
	l1->cr3 = kvm_read_cr3(vcpu);
	l1->cr4 = kvm_read_cr4(vcpu);
	l1->efer = vcpu->arch.efer;
}

/* With nested paging the CPU itself reads PAE's pointers, when it needs them. */
static bool pae_pointers_good(struct kvm_vcpu *vcpu)
{
	return svm_feat.npt || kvm_load_pae_pointers(vcpu);
}

/* L1's registers, 15.6: with PE, without VM, at CPL 0, with DR7 of RESET */
static bool load_l1(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	const struct svm_l1 *l1 = &svm->nested->l1;

	kvm_load_control_regs(vcpu, l1->cr0 | X86_CR0_PE, l1->cr3, l1->cr4, l1->efer);
	kvm_gpr_write(vcpu, VCPU_REG_RAX, l1->rax);
	kvm_gpr_write(vcpu, VCPU_REG_RSP, l1->rsp);
	kvm_rip_write(vcpu, l1->rip);
	kvm_set_rflags(vcpu, l1->rflags & ~(u64)X86_EFLAGS_VM);
	kvm_set_dr(vcpu, 7, SVM_DR7_INIT);
	svm->vmcb->save.cpl = 0;
	svm->vmcb->control.int_state = 0;
	return pae_pointers_good(vcpu);
}

static bool load_l2(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	const struct vmcb_save_area *s = &svm->nested->vmcb12->save;

	svm_copy_segments(&svm->vmcb->save, s);
	svm->vmcb->save.cpl = s->cpl;
	kvm_load_control_regs(vcpu, s->cr0 | X86_CR0_ET, s->cr3, s->cr4, svm_nested_efer_of(s));
	vcpu->arch.cr2 = s->cr2;
	kvm_set_dr(vcpu, 6, s->dr6);
	kvm_set_dr(vcpu, 7, s->dr7);
	kvm_gpr_write(vcpu, VCPU_REG_RAX, s->rax);
	kvm_gpr_write(vcpu, VCPU_REG_RSP, s->rsp);
	kvm_rip_write(vcpu, s->rip);
	kvm_set_rflags(vcpu, s->rflags | X86_EFLAGS_FIXED);
	return pae_pointers_good(vcpu);
}

/**
 * svm_nested_begin() - the vCPU is L2 from here on
 * @svm: the vCPU, loaded; vmcb12 has been checked
 *
 * Registers are the caller's business.
 */
void svm_nested_begin(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;

	svm_set_intr_window(svm, false);
	vcpu->arch.guest_mode = true;
	vcpu->stat.guest_mode = 1;
	vcpu->arch.nested_tsc_offset = l1_control(svm)->tsc_offset;
	svm_nested_control(svm);
}

/* The vCPU is L1 from here on; which registers it has is the caller's business. */
static void end_l2(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;

	svm_set_intr_window(svm, false);
	vcpu->arch.guest_mode = false;
	vcpu->stat.guest_mode = 0;
	vcpu->arch.nested_entry = false;
	vcpu->arch.nested_tsc_offset = 0;
	svm->nested->smm = false;
	use_vmcb(svm, svm->vmcb01);
	svm_update_cr8_intercept(vcpu, 0, -1);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* What L2 was given and has not got: EXITINTINFO of L1's VMCB, APM vol. 2, 15.7.2 */
static void undelivered(struct kvm_vcpu *vcpu, struct vmcb_control_area *c)
{
	u32 info = SVM_EXITINTINFO_VALID;
	struct kvm_event ev;

	kvm_nested_undelivered(vcpu, &ev);
	switch (ev.type) {
	case KVM_EVENT_NONE:
		return;
	case KVM_EVENT_INTR:
		info |= SVM_EXITINTINFO_TYPE_INTR;
		break;
	case KVM_EVENT_NMI:
		info |= SVM_EXITINTINFO_TYPE_NMI;
		break;
	case KVM_EVENT_SOFT_INTR:
		info |= SVM_EXITINTINFO_TYPE_SOFT;
		break;
	default:
		info |= SVM_EXITINTINFO_TYPE_EXEPT;
		break;
	}
	if (ev.has_error_code) {
		info |= SVM_EXITINTINFO_VALID_ERR;
		c->exit_int_info_err = ev.error_code;
	}
	c->exit_int_info = info | ev.vector;
}

static void save_l2(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct vmcb *vmcb12 = svm->nested->vmcb12;
	struct vmcb_control_area *c = &vmcb12->control;
	struct vmcb_save_area *s = &vmcb12->save;

	svm_copy_segments(s, &svm->vmcb->save);
	s->cpl = svm->vmcb->save.cpl;
	s->efer = vcpu->arch.efer;
	s->cr0 = kvm_read_cr0(vcpu);
	s->cr2 = vcpu->arch.cr2;
	s->cr3 = kvm_read_cr3(vcpu);
	s->cr4 = kvm_read_cr4(vcpu);
	s->dr6 = kvm_get_dr(vcpu, 6);
	s->dr7 = kvm_get_dr(vcpu, 7);
	s->rflags = kvm_get_rflags(vcpu);
	s->rip = kvm_rip_read(vcpu);
	s->rsp = kvm_gpr_read(vcpu, VCPU_REG_RSP);
	s->rax = kvm_gpr_read(vcpu, VCPU_REG_RAX);

	c->int_ctl = svm_nested_int_ctl(svm);
	c->int_state = svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK;
	c->event_inj &= ~SVM_EVTINJ_VALID;
}

/**
 * svm_nested_vmexit() - #VMEXIT from L2 to L1, APM vol. 2, 15.6
 * @svm: the vCPU in L2, loaded, kvm->srcu held
 * @code: EXITCODE
 * @info1: EXITINFO1
 * @info2: EXITINFO2
 * @next_rip: RIP behind the instruction, 0 where L1 is not told
 */
void svm_nested_vmexit(struct svm_vcpu *svm, u64 code, u64 info1, u64 info2, u64 next_rip)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct vmcb *vmcb12 = svm->nested->vmcb12, *vmcb02 = svm->vmcb;

	set_exit(vmcb12, code, info1, info2);
	undelivered(vcpu, &vmcb12->control);
	save_l2(svm);
	vmcb12->control.next_rip = next_rip;
	vmcb12->control.insn_len = 0;

	end_l2(svm);
	svm_set_gif(svm, false);
	svm_nested_carry_over(&svm->vmcb->save, &vmcb02->save);
	WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_RUNNABLE);
	if (!load_l1(svm))
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	kvm_mmu_flush_guest(vcpu);
	write_vmcb12(svm);
	/* what L2 taught the branch predictor is not for L1 */
	indirect_branch_prediction_barrier();
}

/**
 * svm_nested_vmrun() - VMRUN, its operand and privileges checked; APM vol. 2, 15.5
 * @svm: the vCPU in L1, loaded, kvm->srcu held
 * @exit: the exit
 * @gpa: guest physical address of the VMCB
 *
 * Return: >0 to enter again, 0 to leave to user space, -ENOMEM.
 */
int svm_nested_vmrun(struct svm_vcpu *svm, struct kvm_exit *exit, gpa_t gpa)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	struct svm_nested *n;
	int r = svm_nested_alloc(svm);

	if (r)
		return r;
	n = svm->nested;
	/* the only time that it is read */
	if (kvm_vcpu_read_guest(vcpu, gpa, n->vmcb12, sizeof(*n->vmcb12)))
		return svm_nested_no_memory(vcpu);
	r = kvm_skip_insn(vcpu, exit);
	/* a single step over it would be L1's #DB, and L2 is where it would arrive */
	vcpu->arch.exception.pending = false;
	n->vmcb12_gpa = gpa;
	svm_nested_sanitize(n->vmcb12);
	vcpu->stat.nested_run++;
	if (!svm_nested_control_valid(vcpu, n->vmcb12) ||
	    !svm_nested_save_valid(vcpu, &n->vmcb12->save)) {
		set_exit(n->vmcb12, SVM_EXITCODE_INVALID, 0, 0);
		svm_set_gif(svm, false);
		write_vmcb12(svm);
		return r;
	}

	save_l1(svm);
	svm_nested_begin(svm);
	svm_nested_carry_over(&svm->vmcb->save, &svm->vmcb01->save);
	svm_set_gif(svm, true);
	vcpu->arch.nested_entry = true;
	if (!load_l2(svm) || merge_msrpm(svm)) {
		svm_nested_vmexit(svm, SVM_EXITCODE_INVALID, 0, 0, 0);
		return r;
	}
	kvm_mmu_flush_guest(vcpu);
	svm_nested_inject(vcpu, l1_control(svm));
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return r;
}

/* ---- out of L2 without an exit ------------------------------------------------------------- */

/**
 * svm_nested_leave() - L2 is over; its registers stay until others are loaded
 * @vcpu: the vCPU, loaded
 */
void svm_nested_leave(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->vmcb == svm->vmcb01)
		return;
	svm->vmcb01->save = svm->vmcb->save;
	svm->vmcb01->control.int_state = svm->vmcb->control.int_state;
	vcpu->arch.l2_vectoring.type = KVM_EVENT_NONE;
	end_l2(svm);
	kvm_clear_request(KVM_REQ_NESTED_PAGES, vcpu);
}

/**
 * svm_nested_efer() - EFER is about to change: nothing is left of SVM without SVME
 * @vcpu: the vCPU, loaded
 * @efer: its new value
 *
 * In L2 the manual leaves open what happens: the VM shuts down, as with the in-tree module.
 */
void svm_nested_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	/* SMM has an EFER of its own */
	if ((efer & EFER_SVME) || vcpu->arch.smm)
		return;
	/* by the guest itself; user space may do what it likes with a CPU */
	if (vcpu->arch.guest_mode && vcpu->wants_to_run)
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	svm_nested_leave(vcpu);
	svm_set_gif(svm, true);
}

/**
 * svm_nested_undefined() - the CPU shut down in L2 and left its VMCB undefined
 * @svm: the vCPU in L2, or in the SMM that has interrupted it; interrupts off
 */
void svm_nested_undefined(struct svm_vcpu *svm)
{
	svm_set_intr_window(svm, false);
	svm_nested_control(svm);
	memset(&svm->vmcb->save, 0, sizeof(svm->vmcb->save));
	svm_load_root(svm->vcpu, svm->root, 0);
	svm_nested_carry_over(&svm->vmcb->save, &svm->vmcb01->save);
}

/**
 * svm_nested_pages() - L1's MSR permission map and VMCB are to be read (again)
 * @vcpu: the vCPU, loaded, kvm->srcu held
 *
 * Return: 0. Where there is no memory L2 exits for each MSR, and L1 is told of it.
 */
int svm_nested_pages(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!vcpu->arch.guest_mode)
		return 0;
	merge_msrpm(svm);
	/* so that #VMEXIT leaves what it does not write as L1 has it */
	kvm_vcpu_read_guest(vcpu, svm->nested->vmcb12_gpa + offsetof(struct vmcb, save),
			    &svm->nested->vmcb12->save, EXIT_SAVE_TO);
	return 0;
}

/**
 * svm_nested_smi() - an SMI is delivered in L2, whose registers have been saved
 * @vcpu: the vCPU in L2, loaded
 *
 * SMM's handler goes on with L2's VMCB, of whose control area nothing is L1's. So what L1
 * gets back at a #VMEXIT stays where it is.
 */
void svm_nested_smi(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	/* a virtual interrupt that L2 has not taken */
	svm_set_intr_window(svm, false);
	svm_nested_keep_virq(svm);
	vcpu->arch.guest_mode = false;
	vcpu->stat.guest_mode = 0;
	vcpu->arch.nested_entry = false;
	vcpu->arch.nested_tsc_offset = 0;
	svm->nested->smm = true;
	svm_nested_control(svm);
}

/**
 * svm_nested_rsm() - RSM: back to L2, if that was interrupted
 * @vcpu: the vCPU, loaded; the registers are those of before the SMI
 *
 * Return: true; false when that state cannot be L2's: the vCPU shuts down.
 */
bool svm_nested_rsm(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->nested || !svm->nested->smm)
		return true;
	svm->nested->smm = false;
	if (!(vcpu->arch.efer & EFER_SVME))
		return false;
	svm_nested_begin(svm);
	merge_msrpm(svm);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return true;
}
