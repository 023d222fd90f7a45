// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM for guests: which VMCBs VMRUN takes, and KVM_GET_NESTED_STATE and
 * KVM_SET_NESTED_STATE, which write and take one.
 *
 * AMD APM vol. 2, 15.5.1 (consistency checks), 15.20 (EVENTINJ).
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/trapnr.h>

#include "arch/x86/nested.h"
#include "arch/x86/svm/nested.h"

/* ---- checks ------------------------------------------------------------------------------ */

static bool event_inj_valid(u32 inj)
{
	u8 vector = inj & SVM_EVTINJ_VEC_MASK;

	if (!(inj & SVM_EVTINJ_VALID))
		return true;
	switch (inj & SVM_EVTINJ_TYPE_MASK) {
	case SVM_EVTINJ_TYPE_INTR:
	case SVM_EVTINJ_TYPE_NMI:
	case SVM_EVTINJ_TYPE_SOFT:
		return true;
	case SVM_EVTINJ_TYPE_EXEPT:
		return vector < 32 && vector != X86_TRAP_NMI;
	default:
		return false;
	}
}

static bool map_valid(struct kvm_vcpu *vcpu, gpa_t base, unsigned int bytes)
{
	base &= PAGE_MASK;
	return kvm_gpa_is_legal(vcpu, base) && kvm_gpa_is_legal(vcpu, base + bytes - 1);
}

/**
 * svm_nested_control_valid() - does VMRUN take a control area, APM vol. 2, 15.5.1
 * @vcpu: the vCPU
 * @vmcb: a copy of L1's VMCB
 */
bool svm_nested_control_valid(struct kvm_vcpu *vcpu, const struct vmcb *vmcb)
{
	const struct vmcb_control_area *c = &vmcb->control;

	return svm_test_bit(c, INTERCEPT_VMRUN) && c->asid &&
	       !(*svm_vmcb_u64((struct vmcb *)vmcb, SVM_VMCB_NP_CTL) & SVM_NP_ENABLE) &&
	       map_valid(vcpu, c->iopm_base_pa, 3 * PAGE_SIZE) &&
	       map_valid(vcpu, c->msrpm_base_pa, MSRPM_BYTES) &&
	       event_inj_valid(c->event_inj);
}

/**
 * svm_nested_efer_of() - EFER as VMRUN loads it: LMA follows from LME and CR0.PG
 * @s: save area
 */
u64 svm_nested_efer_of(const struct vmcb_save_area *s)
{
	bool lma = (s->efer & EFER_LME) && (s->cr0 & X86_CR0_PG);

	return (s->efer & ~(u64)EFER_LMA) | (lma ? EFER_LMA : 0);
}

/**
 * svm_nested_save_valid() - does VMRUN take a save area, APM vol. 2, 15.5.1
 * @vcpu: the vCPU
 * @s: a copy of L1's
 */
bool svm_nested_save_valid(struct kvm_vcpu *vcpu, const struct vmcb_save_area *s)
{
	u16 attrib = s->cs.attrib;

	if (!(s->efer & EFER_SVME) || !kvm_guest_efer_valid(vcpu, s->efer & ~(u64)EFER_LMA))
		return false;
	if ((!(s->cr0 & X86_CR0_CD) && (s->cr0 & X86_CR0_NW)) || s->cr0 >> 32)
		return false;
	if ((s->cr4 & vcpu->arch.cpuid.cr4_reserved_bits) || s->dr6 >> 32 || s->dr7 >> 32)
		return false;
	if (!(svm_nested_efer_of(s) & EFER_LMA))
		return true;
	return (s->cr4 & X86_CR4_PAE) && (s->cr0 & X86_CR0_PE) &&
	       !((attrib & SVM_SELECTOR_L_MASK) && (attrib & SVM_SELECTOR_DB_MASK)) &&
	       kvm_gpa_is_legal(vcpu, s->cr3);
}

/**
 * svm_nested_sanitize() - bits that no CPU of L1's has are as if they were not there
 * @vmcb12: a copy of L1's VMCB
 */
void svm_nested_sanitize(struct vmcb *vmcb12)
{
	u32 *intercepts = vmcb12->control.intercepts;

	intercepts[4] &= GENMASK(INTERCEPT_XSETBV - 128, 0);
	intercepts[5] &= BIT(INTERCEPT_INVPCID - 160);
	vmcb12->save.cpl &= 3;
}

/* ---- state for user space ------------------------------------------------------------------ */

/**
 * svm_get_nested_state() - KVM_GET_NESTED_STATE
 * @vcpu: the vCPU, loaded
 * @user: header and, for L2, a page with the control area of L1's VMCB and L1's registers
 * @size: bytes that there is room for
 *
 * Return: bytes that are needed, and were written if there was room; -ENOMEM; -EFAULT.
 */
int svm_get_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user, u32 size)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct kvm_nested_state hdr;
	struct vmcb_save_area *s;
	const struct svm_l1 *l1;
	struct vmcb *page;
	int r = 0;

	memset(&hdr, 0, sizeof(hdr));
	hdr.format = KVM_STATE_NESTED_FORMAT_SVM;
	hdr.size = sizeof(hdr);
	hdr.flags = svm->gif ? KVM_STATE_NESTED_GIF_SET : 0;
	if (svm->vmcb != svm->vmcb01) {
		hdr.flags |= KVM_STATE_NESTED_GUEST_MODE;
		if (vcpu->arch.nested_entry)
			hdr.flags |= KVM_STATE_NESTED_RUN_PENDING;
		hdr.hdr.svm.vmcb_pa = svm->nested->vmcb12_gpa;
		hdr.size += KVM_STATE_NESTED_SVM_VMCB_SIZE;
	}
	if (size < hdr.size)
		return hdr.size;
	if (copy_to_user(user, &hdr, sizeof(hdr)))
		return -EFAULT;
	if (!(hdr.flags & KVM_STATE_NESTED_GUEST_MODE))
		return hdr.size;

	page = kzalloc(KVM_STATE_NESTED_SVM_VMCB_SIZE, GFP_KERNEL_ACCOUNT);
	if (!page)
		return -ENOMEM;
	page->control = *l1_control(svm);
	if (vcpu->arch.guest_mode)
		page->control.int_ctl = svm_nested_int_ctl(svm);
	/* that is among KVM_GET_VCPU_EVENTS, which knows no software interrupts */
	if (!vcpu->arch.nested_entry || !vcpu->arch.interrupt.injected ||
	    !vcpu->arch.interrupt.soft)
		page->control.event_inj &= ~SVM_EVTINJ_VALID;
	page->control.int_state = svm->vmcb->control.int_state;

	s = &page->save;
	l1 = &svm->nested->l1;
	svm_copy_segments(s, &svm->vmcb01->save);
	s->efer = l1->efer;
	s->cr0 = l1->cr0;
	s->cr3 = l1->cr3;
	s->cr4 = l1->cr4;
	s->dr6 = SVM_DR6_INIT;
	s->dr7 = SVM_DR7_INIT;
	s->rflags = l1->rflags;
	s->rip = l1->rip;
	s->rsp = l1->rsp;
	s->rax = l1->rax;
	if (copy_to_user(user->data.svm, page, KVM_STATE_NESTED_SVM_VMCB_SIZE))
		r = -EFAULT;
	kfree(page);
	return r ?: hdr.size;
}

static int load_state(struct svm_vcpu *svm, struct vmcb *page, const struct kvm_nested_state *hdr)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	const struct vmcb_save_area *s = &page->save;
	struct svm_nested *n;
	int r;

	svm_nested_sanitize(page);
	if (!svm_nested_control_valid(vcpu, page) || !svm_nested_save_valid(vcpu, s) ||
	    !(s->cr0 & X86_CR0_PE) || !(s->cr0 & X86_CR0_PG) || s->cpl ||
	    (s->rflags & X86_EFLAGS_VM))
		return -EINVAL;
	r = svm_nested_alloc(svm);
	if (r)
		return r;

	n = svm->nested;
	/* the registers that the vCPU has are L2's, whether they came before this or come after */
	if (svm->vmcb == svm->vmcb01)
		n->vmcb02->save = svm->vmcb01->save;
	svm_set_intr_window(svm, false);
	memcpy(n->vmcb12, page, sizeof(*page));
	n->vmcb12_gpa = hdr->hdr.svm.vmcb_pa;
	svm_copy_segments(&svm->vmcb01->save, s);
	svm->vmcb01->save.cpl = 0;
	n->l1 = (struct svm_l1) {
		.rflags = s->rflags | X86_EFLAGS_FIXED,
		.rip = s->rip, .rsp = s->rsp, .rax = s->rax,
		.cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = svm_nested_efer_of(s),
	};
	svm_set_gif(svm, hdr->flags & KVM_STATE_NESTED_GIF_SET);
	if (vcpu->arch.smm) {
		n->smm = true;
		svm_nested_control(svm);
	} else {
		n->smm = false;
		svm_nested_begin(svm);
		memset(n->msrpm, 0xff, MSRPM_BYTES);
		kvm_make_request(KVM_REQ_NESTED_PAGES, vcpu);
		vcpu->arch.nested_entry = hdr->flags & KVM_STATE_NESTED_RUN_PENDING;
		if (vcpu->arch.nested_entry)
			svm_nested_inject(vcpu, l1_control(svm));
	}
	kvm_mmu_reset_context(vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/**
 * svm_set_nested_state() - KVM_SET_NESTED_STATE
 * @vcpu: the vCPU, loaded
 * @user: as for svm_get_nested_state()
 * @hdr: its header
 *
 * Return: 0; -EINVAL for another vendor's state, one that is too short, one that VMRUN would
 * not take, or L2's without EFER.SVME; -ENOMEM; -EFAULT.
 */
int svm_set_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *hdr)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb *page;
	int r;

	if (hdr->format != KVM_STATE_NESTED_FORMAT_SVM ||
	    (hdr->flags & ~(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING |
			    KVM_STATE_NESTED_GIF_SET)))
		return -EINVAL;
	/* SMM has an EFER of its own, and interrupts L2 */
	if (!(vcpu->arch.efer & EFER_SVME) && !vcpu->arch.smm &&
	    (hdr->flags & KVM_STATE_NESTED_GUEST_MODE))
		return -EINVAL;
	if (!(hdr->flags & KVM_STATE_NESTED_GUEST_MODE)) {
		svm_nested_leave(vcpu);
		svm_set_gif(svm, hdr->flags & KVM_STATE_NESTED_GIF_SET);
		return 0;
	}
	if (!IS_ALIGNED(hdr->hdr.svm.vmcb_pa, PAGE_SIZE) ||
	    !kvm_gpa_is_legal(vcpu, hdr->hdr.svm.vmcb_pa) ||
	    hdr->size < SVM_NESTED_STATE_SIZE)
		return -EINVAL;

	page = memdup_user(user->data.svm, KVM_STATE_NESTED_SVM_VMCB_SIZE);
	if (IS_ERR(page))
		return PTR_ERR(page);
	r = load_state(svm, page, hdr);
	kfree(page);
	return r;
}
