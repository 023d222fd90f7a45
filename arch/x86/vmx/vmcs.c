// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMCS of a vCPU: what makes it exit, and the registers that live in it.
 *
 * Intel SDM vol. 3, chapters 25 (fields), 27.3 (checks on guest state), appendix
 * B. Guests run as unrestricted guests, so paging and protection are theirs to
 * turn on and off; CR0, CR4 and EFER values reach the CPU with the few bits that
 * VMX insists on, and the guest reads what it wrote.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/io.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "arch/x86/run.h"
#include "arch/x86/vmx/nested.h"

/* the fields of a segment are this far apart */
#define SEGMENT(f)	{ GUEST_##f##_SELECTOR, GUEST_##f##_BASE, GUEST_##f##_LIMIT, \
			  GUEST_##f##_AR_BYTES }

const struct vmx_seg_fields vmx_seg_fields[VCPU_NR_SEGS] = {
	[VCPU_SEG_ES] = SEGMENT(ES), [VCPU_SEG_CS] = SEGMENT(CS),
	[VCPU_SEG_SS] = SEGMENT(SS), [VCPU_SEG_DS] = SEGMENT(DS),
	[VCPU_SEG_FS] = SEGMENT(FS), [VCPU_SEG_GS] = SEGMENT(GS),
	[VCPU_SEG_TR] = SEGMENT(TR), [VCPU_SEG_LDTR] = SEGMENT(LDTR),
};

/**
 * vmx_update_intercepts() - which exceptions and debug register accesses to see
 * @vcpu: the vCPU, loaded
 */
void vmx_update_intercepts(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 bitmap = kvm_exceptions_to_intercept(vcpu) | v->l1_exceptions;

	/* none may go through the guest's IDT, which is that of real mode */
	if (unlikely(v->vm86))
		bitmap = ~0u;
	if (bitmap != v->exc_bitmap) {
		v->exc_bitmap = bitmap;
		vmcs_write(EXCEPTION_BITMAP, bitmap);
	}
	vmx_set_cpu_ctl(v, CPU_BASED_MOV_DR_EXITING,
			!(vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT));
}

static u32 cpu2_controls(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	u32 ctl = (vmx_caps.cpu2 & ~VMX_APIC_CPU2) | vmx_apic_cpu2(v);

	/* vmx_set_cr4() */
	ctl &= ~SECONDARY_EXEC_DESC;
	if (!vmx_feat.unrestricted)
		ctl &= ~SECONDARY_EXEC_UNRESTRICTED_GUEST;
	if (!v->vpid)
		ctl &= ~SECONDARY_EXEC_ENABLE_VPID;
	if (!v->pml_on)
		ctl &= ~SECONDARY_EXEC_ENABLE_PML;
	/* an instruction that the guest's CPUID does not have is #UD */
	if (!guest_has(vcpu, X86_FEATURE_RDTSCP) && !guest_has(vcpu, X86_FEATURE_RDPID))
		ctl &= ~SECONDARY_EXEC_ENABLE_RDTSCP;
	if (!guest_has(vcpu, X86_FEATURE_INVPCID))
		ctl &= ~SECONDARY_EXEC_ENABLE_INVPCID;
	if (!guest_has(vcpu, X86_FEATURE_XSAVES))
		ctl &= ~VMX_CPU2_XSAVES;
	if (!vmx_feat.ple || kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_PAUSE))
		ctl &= ~SECONDARY_EXEC_PAUSE_LOOP_EXITING;
	if (!vmx_feat.tsc_scaling)
		ctl &= ~SECONDARY_EXEC_TSC_SCALING;
	if (!v->bus_lock_exit)
		ctl &= ~SECONDARY_EXEC_BUS_LOCK_DETECTION;
	if (!vcpu->kvm->arch.notify_flags)
		ctl &= ~SECONDARY_EXEC_NOTIFY_VM_EXITING;
	return (ctl | v->l1_cpu2_ctl) & ~v->l1_cpu2_off;
}

/* Bits of CR4 that the guest changes by itself. A change of PGE flushes, which must be seen. */
static unsigned long cr4_owned(struct kvm_vcpu *vcpu)
{
	unsigned long bits = VMX_CR4_GUEST_OWNED & ~vcpu->arch.cpuid.cr4_reserved_bits;

	return vmx_feat.ept ? bits : bits & ~X86_CR4_PGE;
}

/**
 * vmx_update_config() - the guest's CPUID or the MSR filter changed
 * @vcpu: the vCPU, loaded
 */
void vmx_update_config(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	unsigned long cr4 = kvm_read_cr4(vcpu);

	v->cpu2_ctl = cpu2_controls(v);
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, v->cpu2_ctl);
	v->cr4_owned = cr4_owned(vcpu);
	vmcs_write(CR4_GUEST_HOST_MASK, ~vmx_cr4_owned(v));
	vmx_set_cr4(vcpu, cr4);
	vmx_update_msr_map(vcpu);
}

static u32 cpu_controls(struct vmx_vcpu *v)
{
	struct kvm *kvm = v->vcpu->kvm;
	u32 ctl = vmx_caps.cpu;

	if (vmx_feat.ept)
		ctl &= ~CPU_BASED_INVLPG_EXITING;
	else
		ctl |= CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING;

	/* with a virtual TPR that the CPU keeps, CR8 needs no exits */
	if (vmx_feat.tpr_shadow && kvm_lapic_in_kernel(v->vcpu) && !v->vcpu->arch.guest_mode)
		ctl &= ~(CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING);
	else
		ctl &= ~CPU_BASED_TPR_SHADOW;
	if (kvm_exit_disabled(kvm, KVM_X86_DISABLE_EXITS_HLT))
		ctl &= ~CPU_BASED_HLT_EXITING;
	if (kvm_exit_disabled(kvm, KVM_X86_DISABLE_EXITS_MWAIT))
		ctl &= ~(CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING);
	return ctl | v->l1_cpu_ctl;
}

/**
 * vmx_write_controls() - what makes the guest exit, as it is for who runs now: L1 or L2
 * @v: the vCPU, loaded
 *
 * Windows are closed: who wants one asks again.
 */
void vmx_write_controls(struct vmx_vcpu *v)
{
	v->cpu_ctl = cpu_controls(v);
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, v->cpu_ctl);
	v->cpu2_ctl = cpu2_controls(v);
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, v->cpu2_ctl);
	vmcs_write(CR0_GUEST_HOST_MASK, ~vmx_cr0_owned(v));
	vmcs_write(CR4_GUEST_HOST_MASK, ~vmx_cr4_owned(v));
	vmx_update_intercepts(v->vcpu);
}

static void write_host_state(void)
{
	struct desc_ptr idt;
	unsigned long val;

	vmcs_write(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmcs_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	store_idt(&idt);
	vmcs_write(HOST_IDTR_BASE, idt.address);
	vmcs_write(HOST_RIP, (unsigned long)vmx_vmexit);
	rdmsrq(MSR_IA32_SYSENTER_CS, val);
	vmcs_write(HOST_IA32_SYSENTER_CS, val);
	rdmsrq(MSR_IA32_SYSENTER_EIP, val);
	vmcs_write(HOST_IA32_SYSENTER_EIP, val);
	if (vmx_feat.efer_switch)
		vmcs_write(HOST_IA32_EFER, vmx_feat.host_efer);
	if (vmx_feat.pat_switch)
		vmcs_write(HOST_IA32_PAT, vmx_feat.host_pat);
}

/* Everything that is the same for the whole life of the vCPU, or has to begin somewhere. */
static void init_vmcs(struct vmx_vcpu *v)
{
	write_host_state();

	v->pin_ctl = (vmx_caps.pin & ~(PIN_BASED_VMX_PREEMPTION_TIMER | PIN_BASED_POSTED_INTR)) |
		     vmx_apic_pin(v);
	if (!vmx_feat.vnmi)
		v->pin_ctl &= ~PIN_BASED_VIRTUAL_NMIS;
	vmcs_write(PIN_BASED_VM_EXEC_CONTROL, v->pin_ctl);
	v->timer_on = false;
	vmx_pml_reset(v);
	v->cpu_ctl = cpu_controls(v);
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, v->cpu_ctl);
	v->cpu2_ctl = cpu2_controls(v);
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, v->cpu2_ctl);
	vmcs_write(VM_EXIT_CONTROLS, vmx_caps.exit);
	v->entry_ctl = vmx_caps.entry;
	vmcs_write(VM_ENTRY_CONTROLS, v->entry_ctl);

	vmcs_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	v->efer_listed = false;
	if (v->efer_lists) {
		vmcs_write(VM_ENTRY_MSR_LOAD_ADDR, __pa(&v->efer_lists[0]));
		vmcs_write(VM_EXIT_MSR_LOAD_ADDR, __pa(&v->efer_lists[1]));
	}
	vmx_pmu_reset(v);
	vmcs_write(CR3_TARGET_COUNT, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(VMCS_LINK_POINTER, ~0ul);
	vmcs_write(MSR_BITMAP, __pa(v->msr_bitmap));
	if (v->vpid)
		vmcs_write(VIRTUAL_PROCESSOR_ID, v->vpid);
	vmx_apic_init(v);
	if (vmx_caps.cpu2 & VMX_CPU2_XSAVES)
		vmcs_write(XSS_EXIT_BITMAP, 0);
	if (vmx_caps.cpu2 & SECONDARY_EXEC_ENCLS_EXITING)
		vmcs_write(ENCLS_EXITING_BITMAP, ~0ul);
	if (vmx_feat.tsc_scaling)
		vmcs_write(TSC_MULTIPLIER, v->tsc_ratio);
	if (v->cpu2_ctl & SECONDARY_EXEC_NOTIFY_VM_EXITING)
		vmcs_write(NOTIFY_WINDOW, v->vcpu->kvm->arch.notify_window);
	if (vmx_feat.ple) {
		v->ple_window = vmx_ple_window;
		vmcs_write(PLE_GAP, vmx_ple_gap);
		vmcs_write(PLE_WINDOW, v->ple_window);
	}

	vmcs_write(CR0_GUEST_HOST_MASK, ~vmx_cr0_owned(v));
	v->cr4_owned = cr4_owned(v->vcpu);
	vmcs_write(CR4_GUEST_HOST_MASK, ~vmx_cr4_owned(v));
	vmcs_write(GUEST_IA32_DEBUGCTL, 0);
	if (vmx_feat.pat_switch) {
		vmcs_write(GUEST_IA32_PAT, v->vcpu->arch.pat);
		v->hw_pat = v->vcpu->arch.pat;
	}
	v->exc_bitmap = 0;
}

/* ---- life cycle ----------------------------------------------------------- */

/* What it has of it: not all, when the vCPU could not be made. */
static void free_memory(struct vmx_vcpu *v)
{
	kfree(v->efer_lists);
	kfree(v->pmu_lists);
	vmx_nested_free(v);
	free_page((unsigned long)v->pml_log);
	free_page((unsigned long)v->msr_bitmap);
	vmx_free_region(v->vmcs);
	kfree(v);
}

/**
 * vmx_vcpu_create() - allocate what a vCPU needs
 * @vcpu: the vCPU
 *
 * Return: 0, -ENOMEM, or what kvm_alloc_identity_map() says.
 */
int vmx_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v;

	if (vmx_feat.ept && !vmx_feat.unrestricted) {
		int r = kvm_alloc_identity_map(vcpu->kvm);

		if (r)
			return r;
	}
	v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;
	v->vmcs = vmx_alloc_region(NUMA_NO_NODE);
	v->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx_feat.efer_switch) {
		/* the two entries are aligned to their size, which is a power of two */
		v->efer_lists = kcalloc(2, sizeof(*v->efer_lists), GFP_KERNEL_ACCOUNT);
	}
	if (vmx_feat.perf_switches)
		v->pmu_lists = kcalloc(2 * VMX_PMU_MSRS, sizeof(*v->pmu_lists), GFP_KERNEL_ACCOUNT);
	if (vmx_feat.pml)
		v->pml_log = (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!v->vmcs || !v->msr_bitmap || (!v->efer_lists && !vmx_feat.efer_switch) ||
	    (!v->pml_log && vmx_feat.pml) || (!v->pmu_lists && vmx_feat.perf_switches) ||
	    (kvm_be.nested && vmx_nested_create(v))) {
		free_memory(v);
		return -ENOMEM;
	}
	memset(v->msr_bitmap, 0xff, PAGE_SIZE);
	v->vcpu = vcpu;
	v->loaded_cpu = -1;
	v->sleeps_on = -1;
	v->posted.control = BIT(VMX_POSTED_SN);
	v->vpid = vmx_alloc_vpid();
	v->tsc_ratio = BIT_ULL(VMX_TSC_FRAC_BITS);
	v->bus_lock_exit = READ_ONCE(vcpu->kvm->arch.bus_lock_exit);
	v->run.sw.regs = vcpu->arch.regs;
	vcpu->arch.backend = v;
	return 0;
}

/**
 * vmx_vcpu_free() - free it
 * @vcpu: the vCPU, on no CPU
 */
void vmx_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (!v)
		return;
	vmx_release_vmcs(v);
	vmx_free_vpid(v->vpid);
	vcpu->arch.backend = NULL;
	free_memory(v);
}

/**
 * vmx_vcpu_reset() - what of RESET and INIT only the backend knows
 * @vcpu: the vCPU, loaded
 * @init: INIT
 */
void vmx_vcpu_reset(struct kvm_vcpu *vcpu, bool init)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (!init) {
		init_vmcs(v);
		vmx_update_msr_map(vcpu);
		vmcs_write(GUEST_SYSENTER_CS, 0);
		vmcs_write(GUEST_SYSENTER_ESP, 0);
		vmcs_write(GUEST_SYSENTER_EIP, 0);
	}
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	v->injecting = false;
	v->nmi_masked = false;
	vmcs_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write(GUEST_DR7, VMX_DR7_INIT);
	v->hw_dr7 = VMX_DR7_INIT;
	vmx_set_cpu_ctl(v, CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING, false);
	vmx_set_cpu_ctl(v, CPU_BASED_MOV_DR_EXITING, true);
	v->flush_guest = true;
}

/* ---- registers ------------------------------------------------------------ */

/**
 * vmx_cache_reg() - bring a register from the VMCS to vcpu->arch.regs
 * @vcpu: the vCPU, loaded
 * @reg: the register
 */
void vmx_cache_reg(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	unsigned long *r = vcpu->arch.regs;

	switch (reg) {
	case VCPU_REG_RSP:
		r[reg] = vmcs_read(GUEST_RSP);
		break;
	case VCPU_REG_RIP:
		r[reg] = vmcs_read(GUEST_RIP);
		break;
	case VCPU_REG_RFLAGS:
		r[reg] = vmcs_read(GUEST_RFLAGS);
		if (unlikely(v->vm86))
			r[reg] = (r[reg] & ~(X86_EFLAGS_VM | X86_EFLAGS_IOPL)) | v->rm_iopl;
		break;
	case VCPU_REG_CR0:
		/* the array still has what set_cr0() was given */
		r[reg] = (r[reg] & ~vmx_cr0_owned(v)) | (vmcs_read(GUEST_CR0) & vmx_cr0_owned(v));
		break;
	case VCPU_REG_CR3:
		if (likely(!vmx_cr3_is_ours(v)))
			r[reg] = vmcs_read(GUEST_CR3);
		break;
	case VCPU_REG_CR4:
		r[reg] = (r[reg] & ~vmx_cr4_owned(v)) | (vmcs_read(GUEST_CR4) & vmx_cr4_owned(v));
		break;
	default:
		/* the rest is brought at each exit */
		break;
	}
}

/**
 * vmx_get_segment() - a segment register, in the ABI's form
 * @vcpu: the vCPU, loaded
 * @seg: which
 * @var: filled
 */
void vmx_get_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg, struct kvm_segment *var)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	struct vmx_seg s;

	if (seg >= VCPU_NR_SEGS) {
		var->base = vmcs_read(seg == VCPU_SEG_GDTR ? GUEST_GDTR_BASE : GUEST_IDTR_BASE);
		var->limit = vmcs_read(seg == VCPU_SEG_GDTR ? GUEST_GDTR_LIMIT : GUEST_IDTR_LIMIT);
		return;
	}
	vmx_read_seg(seg, &s);
	if (unlikely(v->vm86))
		vmx_rmode_get_seg(v, seg, &s);
	*var = vmx_seg_to_abi(&s);
}

/**
 * vmx_set_segment() - set a segment register
 * @vcpu: the vCPU, loaded
 * @seg: which
 * @var: value in the ABI's form
 */
void vmx_set_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg, const struct kvm_segment *var)
{
	struct vmx_seg s;

	if (seg >= VCPU_NR_SEGS) {
		vmcs_write(seg == VCPU_SEG_GDTR ? GUEST_GDTR_BASE : GUEST_IDTR_BASE, var->base);
		vmcs_write(seg == VCPU_SEG_GDTR ? GUEST_GDTR_LIMIT : GUEST_IDTR_LIMIT, var->limit);
		return;
	}
	s = vmx_seg_from_abi(seg, var);
	if (!vmx_feat.unrestricted && vmx_rmode_set_seg(to_vmx(vcpu), seg, &s))
		return;
	vmx_write_seg(seg, &s);
}

/**
 * vmx_get_cpl() - current privilege level
 * @vcpu: the vCPU, loaded
 */
int vmx_get_cpl(struct kvm_vcpu *vcpu)
{
	if (unlikely(vmx_is_fake_real_mode(to_vmx(vcpu))))
		return 0;
	return VMX_AR_DPL(vmcs_read(GUEST_SS_AR_BYTES));
}

/**
 * vmx_is_64_bit_code() - CS.L in long mode
 * @vcpu: the vCPU, loaded
 */
bool vmx_is_64_bit_code(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu) && (vmcs_read(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK);
}

/**
 * vmx_set_cr0() - set CR0
 * @vcpu: the vCPU, loaded
 * @cr0: value, as the guest sees it
 */
void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	unsigned long hw = cr0;

	if (!vmx_feat.unrestricted)
		vmx_rmode_set_cr0(to_vmx(vcpu), cr0);
	/* a guest that runs uncached, as firmware does, would be far too slow */
	if (kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED))
		hw &= ~(X86_CR0_CD | X86_CR0_NW);
	hw |= vmx_caps.cr0_fixed0;
	/* some entries of shadow tables must not be written by anybody */
	if (!vmx_feat.ept)
		hw |= X86_CR0_WP;
	if (vmx_feat.unrestricted)
		hw = (hw & ~(X86_CR0_PE | X86_CR0_PG)) | (cr0 & (X86_CR0_PE | X86_CR0_PG));
	else if (!(cr0 & X86_CR0_PE))
		hw &= ~X86_CR0_AM;	/* real mode, being of CPL 0, checks no alignment */
	vmcs_write(GUEST_CR0, hw);
	vmcs_write(CR0_READ_SHADOW, vmx_cr_shadow(to_vmx(vcpu), 0, cr0));
}

/**
 * vmx_set_cr4() - set CR4
 * @vcpu: the vCPU, loaded
 * @cr4: value, as the guest sees it
 */
void vmx_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	unsigned long hw = cr4;

	if (!vmx_feat.unrestricted)
		hw = vmx_rmode_hw_cr4(to_vmx(vcpu), cr4);
	if (vmx_feat.umip_by_exits) {
		vmx_set_cpu2_ctl(to_vmx(vcpu), SECONDARY_EXEC_DESC, cr4 & X86_CR4_UMIP);
		hw &= ~X86_CR4_UMIP;
	}
	/* a machine check must reach the host, not shut the CPU down */
	vmcs_write(GUEST_CR4, hw | vmx_caps.cr4_fixed0 | (__read_cr4() & X86_CR4_MCE));
	vmcs_write(CR4_READ_SHADOW, vmx_cr_shadow(to_vmx(vcpu), 1, cr4));
}

/*
 * Without a control that switches EFER (SDM vol. 3, 27.4, 28.6): an entry of the list that
 * VM entry loads and one of the list that VM exit loads, unless the two are equal. Entry
 * and exit themselves set LMA and LME, by what the guest and the host are.
 */
static void list_efer(struct vmx_vcpu *v, u64 efer)
{
	bool differs = efer != vmx_feat.host_efer;

	v->efer_lists[0] = (struct vmx_msr_entry) { .index = MSR_EFER, .value = efer };
	v->efer_lists[1] = (struct vmx_msr_entry) { .index = MSR_EFER,
						    .value = vmx_feat.host_efer };
	if (differs == v->efer_listed)
		return;
	v->efer_listed = differs;
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, differs);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, differs);
}

/**
 * vmx_set_efer() - set EFER
 * @vcpu: the vCPU, loaded
 * @efer: value, as the guest sees it
 */
void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 ctl = v->entry_ctl & ~VM_ENTRY_IA32E_MODE;

	if (efer & EFER_LMA)
		ctl |= VM_ENTRY_IA32E_MODE;
	if (ctl != v->entry_ctl) {
		v->entry_ctl = ctl;
		vmcs_write(VM_ENTRY_CONTROLS, ctl);
	}
	if (!vmx_feat.ept)
		efer |= EFER_NX;
	/* where the CPU always pages, LMA and LME are one */
	if (!vmx_feat.unrestricted) {
		v->check_state = true;
		if (!(efer & EFER_LMA))
			efer &= ~(u64)EFER_LME;
	}
	if (vmx_feat.efer_switch)
		vmcs_write(GUEST_IA32_EFER, efer);
	else
		list_efer(v, efer);
	preempt_disable();
	if (v->host_saved)
		vmx_load_syscall_msrs(v);
	preempt_enable();
}

/**
 * vmx_load_root() - use an EPT, or shadow tables
 * @vcpu: the vCPU, loaded
 * @root: physical address of its root
 * @level: levels
 */
void vmx_load_root(struct kvm_vcpu *vcpu, hpa_t root, int level)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (!vmx_feat.ept) {
		vmcs_write(GUEST_CR3, root);
		return;
	}
	v->eptp = root | VMX_EPTP_MT_WB | (level == 5 ? VMX_EPTP_PWL_5 : VMX_EPTP_PWL_4);
	if (vmx_feat.ept_ad)
		v->eptp |= VMX_EPTP_AD_ENABLE_BIT;
	vmcs_write(EPT_POINTER, v->eptp);
}

/**
 * vmx_sync_debugregs() - take DR6 that the guest wrote without an exit
 * @vcpu: the vCPU; interrupts off, the guest's registers in the CPU
 *
 * DR7 was read after the exit: the CPU has the host's by now.
 */
void vmx_sync_debugregs(struct kvm_vcpu *vcpu)
{
	get_debugreg(vcpu->arch.dr6, 6);
	set_debugreg(VMX_DR6_INIT, 6);
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_MOV_DR_EXITING, true);
}
