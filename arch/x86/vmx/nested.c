// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX for guests: from L1 to L2 and back.
 *
 * Intel SDM vol. 3, chapters 24 to 28. L1 has a VMCS of its own for each L2, vmcs12.c. Our
 * vCPU has one VMCS of the hardware's for both: a VM exit loads all of L1's state from
 * fields of vmcs12, or keeps L2's, so there is nothing of L1's to keep while L2 runs. An
 * entry writes the guest state of vmcs12 to the hardware's VMCS and the controls that both
 * of us want, an exit reads the one and writes host state of vmcs12 in its place.
 *
 * What we want is as for any guest, but that nothing of the LAPIC is left to the CPU, since
 * L2's interrupts are not those of the LAPIC. L1 adds to it:
 * - exits it wants (l1_cpu_ctl, l1_cpu2_ctl, l1_exceptions), which stay on whatever we
 *   switch; ports exit always, and the MSR bitmap is ours and L1's together, so that an MSR
 *   is reached without an exit if neither minds;
 * - instructions that it withholds (l1_cpu2_off);
 * - bits of CR0 and CR4 that it keeps (arch.nested_cr_mask), of which L2 reads what L1
 *   says; the rest is owned by L2 or us as it would be without.
 *
 * L2's physical addresses are L1's. Translations of the two share a VPID and are flushed
 * at each switch.
 */
#include <linux/gfp.h>
#include <linux/slab.h>
#include <asm/nospec-branch.h>
#include <asm/trapnr.h>

#include "arch/x86/irq/lapic.h"
#include "arch/x86/nested.h"
#include "arch/x86/run.h"
#include "arch/x86/vmx/nested.h"

/* exits that are on in the hardware when L1 has them on */
#define CPU_FORCED	(CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING |	\
			 CPU_BASED_HLT_EXITING | CPU_BASED_INVLPG_EXITING |		\
			 CPU_BASED_MWAIT_EXITING | CPU_BASED_RDPMC_EXITING |		\
			 CPU_BASED_RDTSC_EXITING | CPU_BASED_CR3_LOAD_EXITING |		\
			 CPU_BASED_CR3_STORE_EXITING | CPU_BASED_CR8_LOAD_EXITING |	\
			 CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING |	\
			 CPU_BASED_MONITOR_EXITING | CPU_BASED_PAUSE_EXITING)
#define CPU2_FORCED	(SECONDARY_EXEC_DESC | SECONDARY_EXEC_WBINVD_EXITING)
/* ... and that are off when L1 has them off */
#define CPU2_ENABLES	(SECONDARY_EXEC_ENABLE_RDTSCP | SECONDARY_EXEC_ENABLE_INVPCID | \
			 VMX_CPU2_XSAVES)

/* not changed by VM entries and exits */
#define CR0_KEPT	(X86_CR0_ET | X86_CR0_NW | X86_CR0_CD)

#define ABORT_SAVE_MSRS		1
#define ABORT_HOST_PDPTES	2
#define ABORT_LOAD_MSRS		4

/* exit qualification of an entry that failed */
#define FAIL_PDPTE		2

/* ---- life cycle, VMX operation ----------------------------------------------- */

/**
 * vmx_nested_create() - what a vCPU needs whose guest may have VMX
 * @v: the vCPU, being made
 *
 * Return: 0 or -ENOMEM; then vmx_nested_free() is still to be called.
 */
int vmx_nested_create(struct vmx_vcpu *v)
{
	struct vmx_nested *n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);

	if (!n)
		return -ENOMEM;
	v->nested = n;
	n->c = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	n->l1_msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	n->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!n->c || !n->l1_msr_bitmap || !n->msr_bitmap)
		return -ENOMEM;
	memset(n->l1_msr_bitmap, 0xff, PAGE_SIZE);
	memset(n->msr_bitmap, 0xff, PAGE_SIZE);
	n->vmxon_pa = VMX_NO_PTR;
	n->vmcs12_pa = VMX_NO_PTR;
	vmx_nested_caps_reset(n);
	return 0;
}

/**
 * vmx_nested_free() - free it
 * @v: the vCPU, on no CPU
 */
void vmx_nested_free(struct vmx_vcpu *v)
{
	struct vmx_nested *n = v->nested;

	if (!n)
		return;
	free_page((unsigned long)n->c);
	free_page((unsigned long)n->l1_msr_bitmap);
	free_page((unsigned long)n->msr_bitmap);
	kfree(n);
	v->nested = NULL;
}

/**
 * vmx_nested_vmx_on() - begin or end VMX operation
 * @vcpu: the vCPU, loaded, not in L2
 * @on: which
 */
void vmx_nested_vmx_on(struct kvm_vcpu *vcpu, bool on)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	n->vmxon = on;
	vcpu->arch.nested_cr_fixed[0] = on ? vmx_nested_cap(n, MSR_IA32_VMX_CR0_FIXED0) : 0;
	vcpu->arch.nested_cr_fixed[1] = on ? vmx_nested_cap(n, MSR_IA32_VMX_CR4_FIXED0) : 0;
	/* SDM vol. 3, 24.8: in VMX root operation INIT waits */
	WRITE_ONCE(vcpu->arch.init_blocked, on);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/**
 * vmx_nested_vmxoff() - end VMX operation; L1's memory gets nothing back
 * @vcpu: the vCPU, loaded, not in L2
 */
void vmx_nested_vmxoff(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	n->vmxon_pa = VMX_NO_PTR;
	n->vmcs12_pa = VMX_NO_PTR;
	vmx_nested_vmx_on(vcpu, false);
}

/* ---- controls ---------------------------------------------------------------- */

static u32 l1_exceptions(const struct vmx_nested *n)
{
	u32 bits = vmcs12_get(n->c, EXCEPTION_BITMAP);

	/* by error code: all exit, and are told apart then */
	if (vmcs12_get(n->c, PAGE_FAULT_ERROR_CODE_MASK) ||
	    vmcs12_get(n->c, PAGE_FAULT_ERROR_CODE_MATCH))
		bits |= BIT(X86_TRAP_PF);
	return bits;
}

/**
 * vmx_nested_switch_controls() - have the hardware's VMCS those of L1 or of L2
 * @vcpu: the vCPU, loaded
 * @to_l2: L2, by the current VMCS
 *
 * CR0 and CR4 are written after it: their masks have changed.
 */
void vmx_nested_switch_controls(struct kvm_vcpu *vcpu, bool to_l2)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	struct vmx_nested *n = v->nested;
	const struct vmcs12 *c = n->c;

	/* the bits that the guest owns are those of the old masks */
	kvm_read_cr0(vcpu);
	kvm_read_cr3(vcpu);
	kvm_read_cr4(vcpu);
	WRITE_ONCE(vcpu->arch.guest_mode, to_l2);
	WRITE_ONCE(vcpu->arch.init_blocked, n->vmxon && !to_l2);
	vcpu->stat.guest_mode = to_l2;

	v->l1_cpu_ctl = 0;
	v->l1_cpu2_ctl = 0;
	v->l1_cpu2_off = 0;
	v->l1_exceptions = 0;
	memset(vcpu->arch.nested_cr_mask, 0, sizeof(vcpu->arch.nested_cr_mask));
	vcpu->arch.nested_tsc_offset = 0;
	vcpu->arch.nested_tsc_ratio = 0;
	if (to_l2) {
		v->l1_cpu_ctl = vmcs12_get(c, CPU_BASED_VM_EXEC_CONTROL) & CPU_FORCED;
		v->l1_cpu2_ctl = vmx_l1_cpu2_ctl(n) & CPU2_FORCED;
		v->l1_cpu2_off = ~vmx_l1_cpu2_ctl(n) & CPU2_ENABLES;
		v->l1_exceptions = l1_exceptions(n);
		vcpu->arch.nested_cr_mask[0] = vmcs12_get(c, CR0_GUEST_HOST_MASK);
		vcpu->arch.nested_cr_mask[1] = vmcs12_get(c, CR4_GUEST_HOST_MASK);
		if (vmx_l1_cpu(n, CPU_BASED_USE_TSC_OFFSETTING))
			vcpu->arch.nested_tsc_offset = vmcs12_get(c, TSC_OFFSET);
		if (vmx_l1_cpu(n, CPU_BASED_USE_TSC_OFFSETTING) &&
		    (vmx_l1_cpu2_ctl(n) & SECONDARY_EXEC_TSC_SCALING))
			vcpu->arch.nested_tsc_ratio = vmcs12_get(c, TSC_MULTIPLIER);
		vmx_nested_merge_msrs(v);
	}
	vmx_write_controls(v);
	vmcs_write(MSR_BITMAP, __pa(to_l2 ? n->msr_bitmap : v->msr_bitmap));
	vmx_write_tsc(vcpu);
	kvm_lapic_hw_update(vcpu);
	/* with shadow paging there is more to it than the CPU's */
	if (vmx_feat.ept)
		v->flush_guest = true;
	else
		kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* ---- state ------------------------------------------------------------------- */

static void write_control_regs(struct kvm_vcpu *vcpu, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	cr0 = (cr0 & ~(u64)CR0_KEPT) | (kvm_read_cr0(vcpu) & CR0_KEPT);
	kvm_load_control_regs(vcpu, (cr0 & KVM_OOT_VALID_CR0) | X86_CR0_ET, cr3, cr4, efer);
}

static u64 efer_of_mode(struct kvm_vcpu *vcpu, bool long_mode)
{
	return (vcpu->arch.efer & ~(u64)(EFER_LME | EFER_LMA)) |
	       (long_mode ? EFER_LME | EFER_LMA : 0);
}

static void load_pat(struct kvm_vcpu *vcpu, u64 pat)
{
	kvm_set_msr(vcpu, MSR_IA32_CR_PAT, pat, true);
}

/**
 * vmx_nested_load_l2() - L2's state, from the current VMCS; 27.3.2
 * @vcpu: the vCPU, loaded, its controls L2's
 */
void vmx_nested_load_l2(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	const struct vmcs12 *c = v->nested->c;
	u32 entry = vmcs12_get(c, VM_ENTRY_CONTROLS), info;
	int i;

	for (i = 0; i < VCPU_NR_SEGS; i++) {
		const struct vmx_seg_fields *f = &vmx_seg_fields[i];
		struct vmx_seg s = {
			.selector = vmcs12_get(c, f->selector), .base = vmcs12_get(c, f->base),
			.limit = vmcs12_get(c, f->limit), .ar = vmcs12_get(c, f->ar),
		};

		vmx_write_seg(i, &s);
	}
	vmcs_write(GUEST_GDTR_BASE, vmcs12_get(c, GUEST_GDTR_BASE));
	vmcs_write(GUEST_GDTR_LIMIT, vmcs12_get(c, GUEST_GDTR_LIMIT));
	vmcs_write(GUEST_IDTR_BASE, vmcs12_get(c, GUEST_IDTR_BASE));
	vmcs_write(GUEST_IDTR_LIMIT, vmcs12_get(c, GUEST_IDTR_LIMIT));
	vmcs_write(GUEST_SYSENTER_CS, vmcs12_get(c, GUEST_SYSENTER_CS));
	vmcs_write(GUEST_SYSENTER_ESP, vmcs12_get(c, GUEST_SYSENTER_ESP));
	vmcs_write(GUEST_SYSENTER_EIP, vmcs12_get(c, GUEST_SYSENTER_EIP));
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, vmcs12_get(c, GUEST_PENDING_DBG_EXCEPTIONS));

	write_control_regs(vcpu, vmcs12_get(c, GUEST_CR0), vmcs12_get(c, GUEST_CR3),
			   vmcs12_get(c, GUEST_CR4), entry & VM_ENTRY_LOAD_IA32_EFER ?
			   vmcs12_get(c, GUEST_IA32_EFER) :
			   efer_of_mode(vcpu, entry & VM_ENTRY_IA32E_MODE));
	if (entry & VM_ENTRY_LOAD_DEBUG_CONTROLS)
		kvm_set_dr(vcpu, 7, vmcs12_get(c, GUEST_DR7));
	if (entry & VM_ENTRY_LOAD_IA32_PAT)
		load_pat(vcpu, vmcs12_get(c, GUEST_IA32_PAT));
	kvm_gpr_write(vcpu, VCPU_REG_RSP, vmcs12_get(c, GUEST_RSP));
	kvm_rip_write(vcpu, vmcs12_get(c, GUEST_RIP));
	kvm_rflags_write(vcpu, vmcs12_get(c, GUEST_RFLAGS));
	info = vmcs12_get(c, GUEST_INTERRUPTIBILITY_INFO);
	vmx_set_blocking(vcpu, KVM_BLOCKED_SHADOW | KVM_BLOCKED_NMI,
			 (info & GUEST_INTR_STATE_STI ? KVM_X86_SHADOW_INT_STI : 0) |
			 (info & GUEST_INTR_STATE_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
			 (info & GUEST_INTR_STATE_NMI ? KVM_BLOCKED_NMI : 0));
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	v->check_state = !vmx_feat.unrestricted;
}

/**
 * vmx_nested_save_l2() - L2's state to the current VMCS; 28.3
 * @vcpu: the vCPU, loaded, in L2
 */
void vmx_nested_save_l2(struct kvm_vcpu *vcpu)
{
	struct vmcs12 *c = to_vmx(vcpu)->nested->c;
	u32 exit = vmcs12_get(c, VM_EXIT_CONTROLS), entry = vmcs12_get(c, VM_ENTRY_CONTROLS);
	unsigned long rflags = kvm_rflags_read(vcpu);
	u32 blocked;
	int i;

	for (i = 0; i < VCPU_NR_SEGS; i++) {
		const struct vmx_seg_fields *f = &vmx_seg_fields[i];
		struct vmx_seg s;

		vmx_read_seg(i, &s);
		vmcs12_set(c, f->selector, s.selector);
		vmcs12_set(c, f->base, s.base);
		vmcs12_set(c, f->limit, s.limit);
		vmcs12_set(c, f->ar, s.ar);
	}
	vmcs12_set(c, GUEST_GDTR_BASE, vmcs_read(GUEST_GDTR_BASE));
	vmcs12_set(c, GUEST_GDTR_LIMIT, vmcs_read(GUEST_GDTR_LIMIT));
	vmcs12_set(c, GUEST_IDTR_BASE, vmcs_read(GUEST_IDTR_BASE));
	vmcs12_set(c, GUEST_IDTR_LIMIT, vmcs_read(GUEST_IDTR_LIMIT));
	vmcs12_set(c, GUEST_SYSENTER_CS, vmcs_read(GUEST_SYSENTER_CS));
	vmcs12_set(c, GUEST_SYSENTER_ESP, vmcs_read(GUEST_SYSENTER_ESP));
	vmcs12_set(c, GUEST_SYSENTER_EIP, vmcs_read(GUEST_SYSENTER_EIP));
	vmcs12_set(c, GUEST_PENDING_DBG_EXCEPTIONS, vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS));

	vmcs12_set(c, GUEST_CR0, kvm_read_cr0(vcpu));
	vmcs12_set(c, GUEST_CR3, kvm_read_cr3(vcpu));
	vmcs12_set(c, GUEST_CR4, kvm_read_cr4(vcpu));
	if (exit & VM_EXIT_SAVE_DEBUG_CONTROLS) {
		vmcs12_set(c, GUEST_DR7, vcpu->arch.dr7);
		vmcs12_set(c, GUEST_IA32_DEBUGCTL, 0);
	}
	if (exit & VM_EXIT_SAVE_IA32_PAT)
		vmcs12_set(c, GUEST_IA32_PAT, vcpu->arch.pat);
	if (exit & VM_EXIT_SAVE_IA32_EFER)
		vmcs12_set(c, GUEST_IA32_EFER, vcpu->arch.efer);
	entry &= ~VM_ENTRY_IA32E_MODE;
	if (vcpu->arch.efer & EFER_LMA)
		entry |= VM_ENTRY_IA32E_MODE;
	vmcs12_set(c, VM_ENTRY_CONTROLS, entry);

	if (vcpu->arch.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		rflags &= ~X86_EFLAGS_TF;
	vmcs12_set(c, GUEST_RSP, kvm_gpr_read(vcpu, VCPU_REG_RSP));
	vmcs12_set(c, GUEST_RIP, kvm_rip_read(vcpu));
	vmcs12_set(c, GUEST_RFLAGS, rflags);
	blocked = vmcs_read(GUEST_INTERRUPTIBILITY_INFO) &
		  (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
	if (vmx_get_blocking(vcpu) & KVM_BLOCKED_NMI)
		blocked |= GUEST_INTR_STATE_NMI;
	vmcs12_set(c, GUEST_INTERRUPTIBILITY_INFO, blocked);
	/* the CPU's own where a guest may halt by itself, else ours */
	vmcs12_set(c, GUEST_ACTIVITY_STATE,
		   READ_ONCE(vcpu->arch.mp_state) == KVM_MP_STATE_HALTED ||
		   vmcs_read(GUEST_ACTIVITY_STATE) == GUEST_ACTIVITY_HLT ? GUEST_ACTIVITY_HLT :
									   GUEST_ACTIVITY_ACTIVE);
}

static void host_segment(const struct vmcs12 *c, enum kvm_seg seg, u32 selector_field, u64 base)
{
	struct vmx_seg s = {
		.selector = vmcs12_get(c, selector_field), .base = base, .limit = U32_MAX,
		/* present, DPL 0, writable, 4 GiB */
		.ar = VMX_AR_P_MASK | VMX_AR_S_MASK | VMX_AR_G_MASK | VMX_AR_DB_MASK | 3,
	};

	if (!s.selector)
		s.ar = VMX_AR_UNUSABLE_MASK;
	vmx_write_seg(seg, &s);
}

/* 28.5.2: what is not in the VMCS is fixed */
static void load_host_segments(const struct vmcs12 *c, bool host64)
{
	struct vmx_seg s = {
		.selector = vmcs12_get(c, HOST_CS_SELECTOR), .limit = U32_MAX,
		.ar = VMX_AR_P_MASK | VMX_AR_S_MASK | VMX_AR_G_MASK | 11 |
		      (host64 ? VMX_AR_L_MASK : VMX_AR_DB_MASK),
	};

	vmx_write_seg(VCPU_SEG_CS, &s);
	host_segment(c, VCPU_SEG_SS, HOST_SS_SELECTOR, 0);
	host_segment(c, VCPU_SEG_DS, HOST_DS_SELECTOR, 0);
	host_segment(c, VCPU_SEG_ES, HOST_ES_SELECTOR, 0);
	host_segment(c, VCPU_SEG_FS, HOST_FS_SELECTOR, vmcs12_get(c, HOST_FS_BASE));
	host_segment(c, VCPU_SEG_GS, HOST_GS_SELECTOR, vmcs12_get(c, HOST_GS_BASE));
	s = (struct vmx_seg) {
		.selector = vmcs12_get(c, HOST_TR_SELECTOR), .base = vmcs12_get(c, HOST_TR_BASE),
		.limit = 0x67, .ar = VMX_AR_P_MASK | VMX_AR_TYPE_BUSY_32_TSS,
	};
	vmx_write_seg(VCPU_SEG_TR, &s);
	s = (struct vmx_seg) { .ar = VMX_AR_UNUSABLE_MASK };
	vmx_write_seg(VCPU_SEG_LDTR, &s);
	vmcs_write(GUEST_GDTR_BASE, vmcs12_get(c, HOST_GDTR_BASE));
	vmcs_write(GUEST_GDTR_LIMIT, 0xffff);
	vmcs_write(GUEST_IDTR_BASE, vmcs12_get(c, HOST_IDTR_BASE));
	vmcs_write(GUEST_IDTR_LIMIT, 0xffff);
}

/* Without the registers that it would leave in an unknown state: a VMX abort, 28.7 */
static void vmx_abort(struct kvm_vcpu *vcpu, u32 indicator)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	n->c->abort = indicator;
	kvm_vcpu_write_guest(vcpu, n->vmcs12_pa + offsetof(struct vmcs12, abort), &indicator,
			     sizeof(indicator));
	kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
}

/* L1 runs again, with the host state of the current VMCS; 28.5 */
static void load_l1(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	const struct vmcs12 *c = v->nested->c;
	u32 exit = vmcs12_get(c, VM_EXIT_CONTROLS);
	bool host64 = exit & VM_EXIT_HOST_ADDR_SPACE_SIZE;
	/* L2's mask of NMIs is L1's, too, unless there are virtual NMIs */
	u32 keep = vmx_l1_pin(v->nested, PIN_BASED_VIRTUAL_NMIS) ? 0 : KVM_BLOCKED_NMI;

	vmx_nested_switch_controls(vcpu, false);
	vcpu->arch.nested_entry = false;
	WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_RUNNABLE);

	load_host_segments(c, host64);
	vmcs_write(GUEST_SYSENTER_CS, vmcs12_get(c, HOST_IA32_SYSENTER_CS));
	vmcs_write(GUEST_SYSENTER_ESP, vmcs12_get(c, HOST_IA32_SYSENTER_ESP));
	vmcs_write(GUEST_SYSENTER_EIP, vmcs12_get(c, HOST_IA32_SYSENTER_EIP));
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	write_control_regs(vcpu, vmcs12_get(c, HOST_CR0), vmcs12_get(c, HOST_CR3),
			   vmcs12_get(c, HOST_CR4), exit & VM_EXIT_LOAD_IA32_EFER ?
			   vmcs12_get(c, HOST_IA32_EFER) : efer_of_mode(vcpu, host64));
	kvm_set_dr(vcpu, 7, VMX_DR7_INIT);
	if (exit & VM_EXIT_LOAD_IA32_PAT)
		load_pat(vcpu, vmcs12_get(c, HOST_IA32_PAT));
	kvm_gpr_write(vcpu, VCPU_REG_RSP, vmcs12_get(c, HOST_RSP));
	kvm_rip_write(vcpu, vmcs12_get(c, HOST_RIP));
	kvm_rflags_write(vcpu, X86_EFLAGS_FIXED);
	vmx_set_blocking(vcpu, (KVM_BLOCKED_SHADOW | KVM_BLOCKED_NMI) & ~keep, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	v->check_state = !vmx_feat.unrestricted;
	/* L2 must not have taught L1's branches where to go */
	indirect_branch_prediction_barrier();
	if (!kvm_load_pae_pointers(vcpu))
		vmx_abort(vcpu, ABORT_HOST_PDPTES);
}

/* ---- entry ------------------------------------------------------------------- */

/* An entry that has failed after the controls were found to be good; 27.8 */
static int entry_failed(struct kvm_vcpu *vcpu, u32 reason, u64 qualification)
{
	struct vmcs12 *c = to_vmx(vcpu)->nested->c;

	vmcs12_set(c, VM_EXIT_REASON, reason | VMX_EXIT_ENTRY_FAILED);
	vmcs12_set(c, EXIT_QUALIFICATION, qualification);
	load_l1(vcpu);
	if (vmx_nested_load_msrs(vcpu, vmcs12_get(c, VM_EXIT_MSR_LOAD_ADDR),
				 vmcs12_get(c, VM_EXIT_MSR_LOAD_COUNT)))
		vmx_abort(vcpu, ABORT_LOAD_MSRS);
	return 1;
}

/**
 * vmx_nested_inject_entry() - the event that L1 has the entry deliver
 * @vcpu: the vCPU, loaded, in L2
 *
 * It is one that the hardware has begun, for common code.
 */
void vmx_nested_inject_entry(struct kvm_vcpu *vcpu)
{
	const struct vmcs12 *c = to_vmx(vcpu)->nested->c;
	u32 info = vmcs12_get(c, VM_ENTRY_INTR_INFO_FIELD);
	u32 len = vmcs12_get(c, VM_ENTRY_INSTRUCTION_LEN);
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if (!(info & INTR_INFO_VALID_MASK))
		return;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	switch (info & INTR_INFO_INTR_TYPE_MASK) {
	case INTR_TYPE_EXT_INTR:
	case INTR_TYPE_SOFT_INTR:
		vcpu->arch.interrupt.injected = true;
		vcpu->arch.interrupt.soft = (info & INTR_INFO_INTR_TYPE_MASK) ==
					    INTR_TYPE_SOFT_INTR;
		vcpu->arch.interrupt.vector = vector;
		vcpu->arch.interrupt.insn_len = len;
		break;
	case INTR_TYPE_NMI_INTR:
		vcpu->arch.nmi_injected = true;
		break;
	default:
		/* INT1 is past its instruction when it is delivered; INT3 and INTO get there */
		if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
			kvm_rip_write(vcpu, kvm_rip_read(vcpu) + len);
		vcpu->arch.exception.injected = true;
		vcpu->arch.exception.pending = false;
		vcpu->arch.exception.vector = vector;
		vcpu->arch.exception.has_error_code = info & INTR_INFO_DELIVER_CODE_MASK;
		vcpu->arch.exception.error_code = vmcs12_get(c, VM_ENTRY_EXCEPTION_ERROR_CODE);
		vcpu->arch.exception.has_payload = false;
		break;
	}
}

/* HLT as activity state, with nothing that ends it at once */
static bool stays_halted(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	return vmcs12_get(n->c, GUEST_ACTIVITY_STATE) == GUEST_ACTIVITY_HLT &&
	       !(vmcs12_get(n->c, VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK) &&
	       !vmx_l1_cpu(n, CPU_BASED_NMI_WINDOW_EXITING) &&
	       !(vmx_l1_cpu(n, CPU_BASED_INTR_WINDOW_EXITING) &&
		 (kvm_rflags_read(vcpu) & X86_EFLAGS_IF));
}

/**
 * vmx_nested_enter() - VMLAUNCH, VMRESUME, when nothing speaks against it but guest state
 * @vcpu: the vCPU, loaded, kvm->srcu held, in L1; vmx_check_vmcs12() found nothing
 *
 * Return: as an exit's handler.
 */
int vmx_nested_enter(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;
	u64 qualification;
	u32 bad;

	vcpu->stat.nested_run++;
	if (!vmx_check_vmcs12_guest(vcpu, &qualification))
		return entry_failed(vcpu, EXIT_REASON_INVALID_STATE, qualification);
	vmx_nested_read_msr_bitmap(vcpu);
	vmx_nested_switch_controls(vcpu, true);
	vmx_nested_load_l2(vcpu);
	if (!kvm_load_pae_pointers(vcpu))
		return entry_failed(vcpu, EXIT_REASON_INVALID_STATE, FAIL_PDPTE);
	bad = vmx_nested_load_msrs(vcpu, vmcs12_get(n->c, VM_ENTRY_MSR_LOAD_ADDR),
				   vmcs12_get(n->c, VM_ENTRY_MSR_LOAD_COUNT));
	if (bad)
		return entry_failed(vcpu, EXIT_REASON_MSR_LOAD_FAIL, bad);
	n->c->launched = 1;
	vmx_nested_inject_entry(vcpu);
	if (stays_halted(vcpu))
		return kvm_emulate_halt(vcpu);
	vcpu->arch.nested_entry = true;
	return 1;
}

/* ---- exit -------------------------------------------------------------------- */

/* The event whose delivery the exit has interrupted, 28.2.4 */
static void save_vectoring(struct kvm_vcpu *vcpu, struct vmcs12 *c)
{
	struct kvm_event ev;
	u32 info;

	kvm_nested_undelivered(vcpu, &ev);
	info = ev.vector | INTR_INFO_VALID_MASK;
	switch (ev.type) {
	case KVM_EVENT_NONE:
		info = 0;
		break;
	case KVM_EVENT_INTR:
		info |= INTR_TYPE_EXT_INTR;
		break;
	case KVM_EVENT_NMI:
		info |= INTR_TYPE_NMI_INTR;
		break;
	case KVM_EVENT_SOFT_INTR:
		info |= INTR_TYPE_SOFT_INTR;
		vmcs12_set(c, VM_EXIT_INSTRUCTION_LEN, ev.insn_len);
		break;
	default:
		if (ev.vector == X86_TRAP_BP || ev.vector == X86_TRAP_OF) {
			info |= INTR_TYPE_SOFT_EXCEPTION;
			vmcs12_set(c, VM_EXIT_INSTRUCTION_LEN, 1);
		} else {
			info |= INTR_TYPE_HARD_EXCEPTION;
		}
		break;
	}
	if (ev.has_error_code) {
		info |= VECTORING_INFO_DELIVER_CODE_MASK;
		vmcs12_set(c, IDT_VECTORING_ERROR_CODE, (u16)ev.error_code);
	}
	vmcs12_set(c, IDT_VECTORING_INFO_FIELD, info);
}

/**
 * vmx_nested_vmexit() - L2 exits to L1
 * @vcpu: the vCPU, loaded, kvm->srcu held, in L2
 * @x: why
 */
void vmx_nested_vmexit(struct kvm_vcpu *vcpu, const struct vmx_l1_exit *x)
{
	struct vmcs12 *c = to_vmx(vcpu)->nested->c;

	vmx_nested_save_l2(vcpu);
	vmcs12_set(c, VM_EXIT_REASON, x->reason);
	vmcs12_set(c, EXIT_QUALIFICATION, x->qualification);
	vmcs12_set(c, VM_EXIT_INTR_INFO, x->intr_info);
	vmcs12_set(c, VM_EXIT_INTR_ERROR_CODE, x->intr_error);
	vmcs12_set(c, VM_EXIT_INSTRUCTION_LEN, x->insn_len);
	vmcs12_set(c, VMX_INSTRUCTION_INFO, x->insn_info);
	vmcs12_set(c, GUEST_LINEAR_ADDRESS, x->linear);
	save_vectoring(vcpu, c);
	vmcs12_set(c, VM_ENTRY_INTR_INFO_FIELD,
		   vmcs12_get(c, VM_ENTRY_INTR_INFO_FIELD) & ~INTR_INFO_VALID_MASK);

	if (!vmx_nested_store_msrs(vcpu, vmcs12_get(c, VM_EXIT_MSR_STORE_ADDR),
				   vmcs12_get(c, VM_EXIT_MSR_STORE_COUNT)))
		vmx_abort(vcpu, ABORT_SAVE_MSRS);
	load_l1(vcpu);
	if (vmx_nested_load_msrs(vcpu, vmcs12_get(c, VM_EXIT_MSR_LOAD_ADDR),
				 vmcs12_get(c, VM_EXIT_MSR_LOAD_COUNT)))
		vmx_abort(vcpu, ABORT_LOAD_MSRS);
}

/**
 * vmx_nested_leave() - out of L2, and of VMX operation: RESET, INIT
 * @vcpu: the vCPU, loaded
 */
void vmx_nested_leave(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	if (!n)
		return;
	n->smm_guest_mode = false;
	n->smm_vmxon = false;
	if (vcpu->arch.guest_mode)
		load_l1(vcpu);
	if (n->vmxon)
		vmx_nested_vmxoff(vcpu);
}
