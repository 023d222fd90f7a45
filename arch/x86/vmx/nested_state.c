// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a guest that is a hypervisor, for user space (KVM_GET_NESTED_STATE,
 * KVM_SET_NESTED_STATE: Documentation/virt/kvm/api.rst, 4.114, 4.115), and across SMM.
 *
 * The format is that of all KVM hosts with VMX up to the VMCS, whose content is this
 * module's own: vmcs12.h. Its revision says so, and one of another is refused, unless there
 * is nothing in it. In L2 the VMCS has L2's state, too, so that user space may restore
 * registers before or after it.
 *
 * An SMI in L2 (SDM vol. 3, 32.14.1) leaves neither L2 nor VMX operation to L1: the handler
 * runs with our controls alone, and RSM goes on where it was.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "arch/x86/vmx/nested.h"

#define SMM_FLAGS	(KVM_STATE_NESTED_SMM_GUEST_MODE | KVM_STATE_NESTED_SMM_VMXON)

/* ---- SMM --------------------------------------------------------------------- */

/**
 * vmx_nested_smi() - SMM interrupts L2
 * @vcpu: the vCPU, loaded; L2's registers have been saved to SMRAM
 */
void vmx_nested_smi(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	vmx_nested_save_l2(vcpu);
	n->smm_guest_mode = true;
	vmx_nested_switch_controls(vcpu, false);
}

static bool back_to_l2(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	unsigned long cr0 = kvm_read_cr0(vcpu), cr4 = kvm_read_cr4(vcpu);
	unsigned long ones0 = vmx_nested_cap(n, MSR_IA32_VMX_CR0_FIXED0);
	unsigned long ones4 = vmx_nested_cap(n, MSR_IA32_VMX_CR4_FIXED0);

	n->smm_guest_mode = false;
	/* SMRAM is the handler's to write */
	if ((cr0 & ones0) != ones0 || (cr4 & ones4) != ones4)
		return false;
	vmx_nested_switch_controls(vcpu, true);
	/* with the masks that are L2's */
	vmx_set_cr0(vcpu, cr0);
	vmx_set_cr4(vcpu, cr4);
	return true;
}

/**
 * vmx_nested_rsm() - RSM has restored the registers
 * @vcpu: the vCPU, loaded
 *
 * Return: false for a state that cannot be: the vCPU shuts down.
 */
bool vmx_nested_rsm(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	return !n || !n->smm_guest_mode || back_to_l2(vcpu);
}

/* ---- get --------------------------------------------------------------------- */

/**
 * vmx_get_nested_state() - KVM_GET_NESTED_STATE
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @user: where to
 * @size: bytes there
 *
 * Return: how many bytes there are, written if there is room for all; -EFAULT.
 */
int vmx_get_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user, u32 size)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	struct kvm_nested_state state = {
		.format = KVM_STATE_NESTED_FORMAT_VMX,
		.size = sizeof(state),
		.hdr.vmx.vmxon_pa = VMX_NO_PTR,
		.hdr.vmx.vmcs12_pa = VMX_NO_PTR,
	};
	bool has_vmcs = false;

	if (n && n->vmxon && guest_has(vcpu, X86_FEATURE_VMX)) {
		state.hdr.vmx.vmxon_pa = n->vmxon_pa;
		state.hdr.vmx.vmcs12_pa = n->vmcs12_pa;
		has_vmcs = n->vmcs12_pa != VMX_NO_PTR;
		if (has_vmcs)
			state.size += sizeof(*n->c);
		if (vcpu->arch.smm)
			state.hdr.vmx.smm.flags = KVM_STATE_NESTED_SMM_VMXON |
				(n->smm_guest_mode ? KVM_STATE_NESTED_SMM_GUEST_MODE : 0);
		if (vcpu->arch.guest_mode)
			state.flags |= KVM_STATE_NESTED_GUEST_MODE;
		if (vcpu->arch.nested_entry)
			state.flags |= KVM_STATE_NESTED_RUN_PENDING;
	}
	if (size < state.size)
		return state.size;
	if (vcpu->arch.guest_mode)
		vmx_nested_save_l2(vcpu);
	if (copy_to_user(user, &state, sizeof(state)))
		return -EFAULT;
	if (has_vmcs && copy_to_user(user->data.vmx, n->c, sizeof(*n->c)))
		return -EFAULT;
	return state.size;
}

/* ---- set --------------------------------------------------------------------- */

static bool region_valid(struct kvm_vcpu *vcpu, u64 pa)
{
	return PAGE_ALIGNED(pa) && kvm_gpa_is_legal(vcpu, pa);
}

static bool header_valid(struct kvm_vcpu *vcpu, const struct kvm_nested_state *hdr)
{
	const struct kvm_vmx_nested_state_hdr *h = &hdr->hdr.vmx;
	u16 smm = h->smm.flags;

	if (hdr->format != KVM_STATE_NESTED_FORMAT_VMX)
		return false;
	/* neither enlightened VMCSs nor the monitor trap flag are there */
	if (hdr->flags & ~(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING))
		return false;
	if (h->vmxon_pa == VMX_NO_PTR)
		return h->vmcs12_pa == VMX_NO_PTR && !smm && !hdr->flags;
	if (!guest_has(vcpu, X86_FEATURE_VMX) || !region_valid(vcpu, h->vmxon_pa))
		return false;
	/* there is no preemption timer, whose deadline a flag would tell of */
	if (h->flags)
		return false;
	if (smm & ~SMM_FLAGS)
		return false;
	if ((smm & KVM_STATE_NESTED_SMM_GUEST_MODE) &&
	    ((hdr->flags & KVM_STATE_NESTED_GUEST_MODE) || !(smm & KVM_STATE_NESTED_SMM_VMXON)))
		return false;
	if (smm && !vcpu->arch.smm)
		return false;
	if (vcpu->arch.smm && hdr->flags)
		return false;
	if (h->vmcs12_pa == VMX_NO_PTR)
		return !hdr->flags && !(smm & KVM_STATE_NESTED_SMM_GUEST_MODE);
	return h->vmcs12_pa != h->vmxon_pa && region_valid(vcpu, h->vmcs12_pa) &&
	       hdr->size >= sizeof(*hdr) + sizeof(struct vmcs12);
}

/* Of another revision there can be nothing but the number of it. */
static bool content_valid(const struct vmcs12 *c, bool used)
{
	/* L2 is not of a shadow VMCS */
	if (c->revision == VMCS12_REVISION ||
	    (c->revision == (VMCS12_REVISION | VMCS12_SHADOW) && !used))
		return true;
	return !used && !memchr_inv((const u8 *)c + sizeof(c->revision), 0,
				    sizeof(*c) - sizeof(c->revision));
}

/* Into L2, as user space says that it was. */
static int enter_l2(struct kvm_vcpu *vcpu, const struct kvm_nested_state *hdr)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 qualification;

	if (vmx_check_vmcs12(vcpu, false) || !vmx_check_vmcs12_guest(vcpu, &qualification))
		return -EINVAL;
	/* L1's memory may not be there yet */
	memset(n->l1_msr_bitmap, 0xff, PAGE_SIZE);
	kvm_make_request(KVM_REQ_NESTED_PAGES, vcpu);
	vmx_nested_switch_controls(vcpu, true);
	vmx_nested_load_l2(vcpu);
	/* read when they are there, if not now: KVM_SET_SREGS, or nested_pages */
	kvm_load_pae_pointers(vcpu);
	if (hdr->flags & KVM_STATE_NESTED_RUN_PENDING) {
		vmx_nested_inject_entry(vcpu);
		vcpu->arch.nested_entry = true;
	}
	return 0;
}

static int set_state(struct kvm_vcpu *vcpu, const struct kvm_nested_state *hdr)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	bool smm_l2 = hdr->hdr.vmx.smm.flags & KVM_STATE_NESTED_SMM_GUEST_MODE;
	int r = 0;

	if (hdr->hdr.vmx.vmxon_pa == VMX_NO_PTR)
		return 0;
	n->vmxon_pa = hdr->hdr.vmx.vmxon_pa;
	n->vmcs12_pa = hdr->hdr.vmx.vmcs12_pa;
	vmx_nested_vmx_on(vcpu, true);
	if (hdr->flags & KVM_STATE_NESTED_GUEST_MODE)
		r = enter_l2(vcpu, hdr);
	else if (smm_l2 && vmx_check_vmcs12(vcpu, false))
		r = -EINVAL;
	if (r) {
		vmx_nested_vmxoff(vcpu);
		return r;
	}
	n->smm_guest_mode = smm_l2;
	if (smm_l2)
		kvm_make_request(KVM_REQ_NESTED_PAGES, vcpu);
	return 0;
}

/**
 * vmx_set_nested_state() - KVM_SET_NESTED_STATE
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @user: the whole
 * @hdr: its header, a kernel copy
 *
 * Return: 0; -EINVAL for a state that cannot be; -ENOMEM; -EFAULT.
 */
int vmx_set_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *hdr)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	bool used = hdr->flags || (hdr->hdr.vmx.smm.flags & KVM_STATE_NESTED_SMM_GUEST_MODE);
	struct vmcs12 *c = NULL;
	int r;

	if (!n || !header_valid(vcpu, hdr))
		return -EINVAL;
	if (hdr->hdr.vmx.vmcs12_pa != VMX_NO_PTR) {
		c = memdup_user(user->data.vmx, sizeof(*c));
		if (IS_ERR(c))
			return PTR_ERR(c);
		if (!content_valid(c, used)) {
			kfree(c);
			return -EINVAL;
		}
	}
	/* out of L2 with the VMCS that brought it there */
	vmx_nested_leave(vcpu);
	if (c) {
		memcpy(n->c, c, sizeof(*c));
		if ((n->c->revision & ~VMCS12_SHADOW) != VMCS12_REVISION)
			n->c->revision = VMCS12_REVISION;
		kfree(c);
	}
	r = set_state(vcpu, hdr);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return r;
}

/**
 * vmx_nested_pages() - read what could not be read when the state was set
 * @vcpu: the vCPU, loaded, kvm->srcu held
 *
 * Return: 0.
 */
int vmx_nested_pages(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (!v->nested || v->nested->vmcs12_pa == VMX_NO_PTR ||
	    !(vcpu->arch.guest_mode || v->nested->smm_guest_mode))
		return 0;
	/* in no memory: then all MSRs stay L1's */
	vmx_nested_read_msr_bitmap(vcpu);
	vmx_nested_merge_msrs(v);
	return 0;
}
