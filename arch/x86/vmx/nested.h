/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMX for guests: what the files nested*.c share. The essay is in nested.c.
 */
#ifndef KVM_OOT_VMX_NESTED_H
#define KVM_OOT_VMX_NESTED_H

#include "arch/x86/vmx/vmcs12.h"
#include "arch/x86/vmx/vmx.h"

#define VMX_NO_PTR		(~0ull)		/* no VMXON region, no current VMCS */

/* IA32_VMX_BASIC to IA32_VMX_VMFUNC */
#define VMX_FIRST_CAP_MSR	MSR_IA32_VMX_BASIC
#define VMX_LAST_CAP_MSR	MSR_IA32_VMX_VMFUNC
#define VMX_NR_CAP_MSRS		(VMX_LAST_CAP_MSR - VMX_FIRST_CAP_MSR + 1)

/* entries of an MSR list; IA32_VMX_MISC says as much */
#define VMX_MAX_MSR_LIST	512

/**
 * struct vmx_nested - of a vCPU whose guest may have VMX; (v) all of it
 * @caps: capability MSRs, by number
 * @vmxon: in VMX operation
 * @vmxon_pa: VMXON region
 * @vmcs12_pa: current VMCS
 * @c: the content of the current VMCS. L1's memory gets it back with VMCLEAR, or when
 *	another one becomes the current one
 * @l1_msr_bitmap: L1's MSR bitmap as it was when L2 was entered; all ones without one
 * @msr_bitmap: the CPU's while L2 runs: it and ours together
 * @smm_vmxon: in SMM: VMX operation goes on after RSM
 * @smm_guest_mode: likewise: in L2
 */
struct vmx_nested {
	u64 caps[VMX_NR_CAP_MSRS];
	bool vmxon;
	u64 vmxon_pa, vmcs12_pa;
	struct vmcs12 *c;
	unsigned long *l1_msr_bitmap, *msr_bitmap;
	bool smm_vmxon, smm_guest_mode;
};

/* an exit of L2 to L1 */
struct vmx_l1_exit {
	u32 reason;
	u64 qualification;
	u32 intr_info, intr_error;	/* valid: INTR_INFO_VALID_MASK */
	u32 insn_len, insn_info;
	u64 linear;
};

static inline u64 vmx_nested_cap(const struct vmx_nested *n, u32 msr)
{
	return n->caps[msr - VMX_FIRST_CAP_MSR];
}

/* a control of L1's that is on; @ctl: of the primary and secondary processor-based ones */
static inline bool vmx_l1_cpu(const struct vmx_nested *n, u32 ctl)
{
	return vmcs12_get(n->c, CPU_BASED_VM_EXEC_CONTROL) & ctl;
}

static inline u32 vmx_l1_cpu2_ctl(const struct vmx_nested *n)
{
	return vmx_l1_cpu(n, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) ?
	       vmcs12_get(n->c, SECONDARY_VM_EXEC_CONTROL) : 0;
}

static inline bool vmx_l1_pin(const struct vmx_nested *n, u32 ctl)
{
	return vmcs12_get(n->c, PIN_BASED_VM_EXEC_CONTROL) & ctl;
}

/* what L2 reads of a CR0 (@i 0) or CR4 (1) that is @val */
static inline unsigned long vmx_cr_shadow(const struct vmx_vcpu *v, int i, unsigned long val)
{
	unsigned long mask = v->vcpu->arch.nested_cr_mask[i];

	if (likely(!mask))
		return val;
	return (val & ~mask) |
	       (vmcs12_get(v->nested->c, i ? CR4_READ_SHADOW : CR0_READ_SHADOW) & mask);
}

/* nested_caps.c */
void vmx_nested_caps_init(void);
void vmx_nested_caps_reset(struct vmx_nested *n);
int vmx_nested_get_cap(struct vmx_vcpu *v, struct kvm_msr_data *msr);
int vmx_nested_set_cap(struct vmx_vcpu *v, const struct kvm_msr_data *msr);
int vmx_nested_feature_msr(u32 index, u64 *data);

/* nested_check.c: VM-instruction errors, 0: none */
u32 vmx_check_vmcs12(struct kvm_vcpu *vcpu, bool in_l1);
bool vmx_check_vmcs12_guest(struct kvm_vcpu *vcpu, u64 *qualification);

/* nested.c */
int vmx_nested_create(struct vmx_vcpu *v);
void vmx_nested_free(struct vmx_vcpu *v);
void vmx_nested_vmxoff(struct kvm_vcpu *vcpu);
void vmx_nested_vmx_on(struct kvm_vcpu *vcpu, bool on);
void vmx_nested_switch_controls(struct kvm_vcpu *vcpu, bool to_l2);
void vmx_nested_load_l2(struct kvm_vcpu *vcpu);
void vmx_nested_save_l2(struct kvm_vcpu *vcpu);
int vmx_nested_enter(struct kvm_vcpu *vcpu);
void vmx_nested_inject_entry(struct kvm_vcpu *vcpu);
void vmx_nested_vmexit(struct kvm_vcpu *vcpu, const struct vmx_l1_exit *x);

/* nested_msr.c */
void vmx_nested_merge_msrs(struct vmx_vcpu *v);
void vmx_nested_read_msr_bitmap(struct kvm_vcpu *vcpu);
u32 vmx_nested_load_msrs(struct kvm_vcpu *vcpu, u64 list, u32 count);
bool vmx_nested_store_msrs(struct kvm_vcpu *vcpu, u64 list, u32 count);

/* nested_exit.c */
bool vmx_l1_wants_exception(const struct vmx_nested *n, u8 vector, u32 error_code);

#endif /* KVM_OOT_VMX_NESTED_H */
