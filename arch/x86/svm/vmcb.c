// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMCB of a vCPU: what is intercepted, and the registers that live in it.
 *
 * AMD APM vol. 2, 15.5 (state), 15.7 to 15.13 (intercepts), 15.25 (nested paging),
 * appendix B. Segment attributes are kept as VMRUN wants them, which differs from
 * the ABI's form in a few places: CPL is separate and wins over SS.DPL, and what
 * is not present is what the ABI calls unusable.
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/io.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#include "arch/x86/run.h"
#include "arch/x86/svm/svm.h"

/* Always: what a guest must not do to the host, or what it cannot do by itself. */
static const u8 intercepts[] = {
	INTERCEPT_CR0_WRITE, INTERCEPT_CR4_WRITE,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
	INTERCEPT_TASK_SWITCH, INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN,
	INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI,
	INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_WBINVD, INTERCEPT_XSETBV,
	INTERCEPT_RDPRU, INTERCEPT_FERR_FREEZE,
};

static void intercept_debugregs(struct svm_vcpu *svm, bool on)
{
	unsigned int i;

	for (i = INTERCEPT_DR0_READ; i <= INTERCEPT_DR7_READ; i++)
		svm_set_intercept(svm, i, on);
	for (i = INTERCEPT_DR0_WRITE; i <= INTERCEPT_DR7_WRITE; i++)
		svm_set_intercept(svm, i, on);
}

/* An instruction that the guest's CPUID does not have is #UD, as far as can be. */
static void update_cpuid_intercepts(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;

	svm_set_intercept(svm, INTERCEPT_RDTSCP,
			  boot_cpu_has(X86_FEATURE_RDTSCP) &&
			  !guest_has(vcpu, X86_FEATURE_RDTSCP));
	svm_set_intercept(svm, INTERCEPT_INVPCID,
			  boot_cpu_has(X86_FEATURE_INVPCID) &&
			  (!svm_feat.npt || !guest_has(vcpu, X86_FEATURE_INVPCID)));
}

/**
 * svm_update_config() - the guest's CPUID or the MSR filter changed
 * @vcpu: the vCPU, loaded
 */
void svm_update_config(struct kvm_vcpu *vcpu)
{
	update_cpuid_intercepts(to_svm(vcpu));
	svm_update_msr_map(vcpu);
}

/**
 * svm_init_control() - control area of a new vCPU
 * @svm: the vCPU; its VMCB is zeroed
 */
void svm_init_control(struct svm_vcpu *svm)
{
	struct vmcb_control_area *c = &svm->vmcb->control;
	struct kvm *kvm = svm->vcpu->kvm;
	unsigned int i;

	memset(c->intercepts, 0, sizeof(c->intercepts));
	svm->intr_window = false;
	svm->cr8_intercept = false;
	for (i = 0; i < ARRAY_SIZE(intercepts); i++)
		svm_set_intercept(svm, intercepts[i], true);
	/* by their own right, not by a list: each may be left to the guest */
	svm_set_intercept(svm, INTERCEPT_HLT,
			  !kvm_exit_disabled(kvm, KVM_X86_DISABLE_EXITS_HLT));
	svm_set_intercept(svm, INTERCEPT_MONITOR,
			  !kvm_exit_disabled(kvm, KVM_X86_DISABLE_EXITS_MWAIT));
	svm_set_intercept(svm, INTERCEPT_MWAIT,
			  !kvm_exit_disabled(kvm, KVM_X86_DISABLE_EXITS_MWAIT));
	svm_set_intercept(svm, INTERCEPT_CR8_WRITE, !kvm_lapic_in_kernel(svm->vcpu));

	if (svm_feat.pause_filter &&
	    !kvm_exit_disabled(kvm, KVM_X86_DISABLE_EXITS_PAUSE)) {
		svm_set_intercept(svm, INTERCEPT_PAUSE, true);
		c->pause_filter_count = svm_pause_filter_count;
		c->pause_filter_thresh = svm_pause_filter_thresh;
	}

	if (svm->bus_lock_exit) {
		svm_set_intercept(svm, SVM_INTERCEPT_BUS_LOCK, true);
		*svm_bus_lock_counter(svm->vmcb) = 0;
	}

	c->iopm_base_pa = __sme_set(page_to_phys(svm_iopm));
	c->msrpm_base_pa = __sme_set(__pa(svm->msrpm));
	c->int_ctl = V_INTR_MASKING_MASK;
	*svm_vmcb_u64(svm->vmcb, SVM_VMCB_NP_CTL) = svm_feat.npt ? SVM_NP_ENABLE : 0;
	/* whatever changes translations must be seen where they are ours */
	svm_set_intercept(svm, INTERCEPT_CR3_READ, !svm_feat.npt);
	svm_set_intercept(svm, INTERCEPT_CR3_WRITE, !svm_feat.npt);
	svm_set_intercept(svm, INTERCEPT_INVLPG, !svm_feat.npt);
	c->clean = 0;
	update_cpuid_intercepts(svm);
	svm_update_intercepts(svm->vcpu);
}

/**
 * svm_vmcb_undefined() - the CPU shut down and left the VMCB undefined
 * @svm: the vCPU
 *
 * AMD APM vol. 2, 15.14.3. The control area is written anew; the guest's
 * registers are what INIT makes of them, which common code sees to.
 */
void svm_vmcb_undefined(struct svm_vcpu *svm)
{
	struct vmcb_control_area *c = &svm->vmcb->control;

	svm_init_control(svm);
	memset(&svm->vmcb->save, 0, sizeof(svm->vmcb->save));
	c->event_inj = 0;
	c->int_state = 0;
	c->int_vector = 0;
	c->exit_int_info = 0;
	c->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	c->tsc_offset = svm->vcpu->arch.tsc_offset;
	svm_load_root(svm->vcpu, svm->root, 0);
	*svm_vmcb_u64(svm->vmcb, SVM_VMCB_VIRT_EXT) = 0;
	svm->asid_generation = 0;
}

/**
 * svm_update_intercepts() - which exceptions and debug register accesses to see
 * @vcpu: the vCPU
 */
void svm_update_intercepts(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	static_assert(INTERCEPT_EXCEPTION_OFFSET % 32 == 0);
	svm_set_intercepts(svm, INTERCEPT_EXCEPTION_OFFSET / 32,
			   kvm_exceptions_to_intercept(vcpu));
	intercept_debugregs(svm, !(vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT));
}

/* ---- life cycle ----------------------------------------------------------- */

/**
 * svm_vcpu_create() - allocate what a vCPU needs
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int svm_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	svm->msrpm = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT, SVM_MSRPM_ORDER);
	if (!svm->vmcb || !svm->msrpm) {
		free_pages((unsigned long)svm->msrpm, SVM_MSRPM_ORDER);
		free_page((unsigned long)svm->vmcb);
		kfree(svm);
		return -ENOMEM;
	}
	svm->vcpu = vcpu;
	svm->loaded_cpu = -1;
	svm->tsc_ratio = SVM_TSC_RATIO_ONE;
	svm->bus_lock_exit = READ_ONCE(vcpu->kvm->arch.bus_lock_exit);
	svm->run.sw.regs = vcpu->arch.regs;
	svm->run.vmcb_pa = __sme_set(__pa(svm->vmcb));
	svm->vmcb01 = svm->vmcb;
	svm->gif = true;
	vcpu->arch.backend = svm;
	return 0;
}

/**
 * svm_vcpu_free() - free it
 * @vcpu: the vCPU, on no CPU
 */
void svm_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm)
		return;
	svm_nested_free(svm);
	svm_forget_vmcb(svm->vmcb01);
	free_pages((unsigned long)svm->msrpm, SVM_MSRPM_ORDER);
	free_page((unsigned long)svm->vmcb01);
	vcpu->arch.backend = NULL;
	kfree(svm);
}

/**
 * svm_vcpu_reset() - what of RESET and INIT only the backend knows
 * @vcpu: the vCPU, loaded
 * @init: INIT
 */
void svm_vcpu_reset(struct kvm_vcpu *vcpu, bool init)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (!init) {
		svm->hsave_pa = 0;
		svm_init_control(svm);
		svm_update_msr_map(vcpu);
	}
	svm_set_gif(svm, true);
	c->event_inj = 0;
	c->int_state = 0;
	svm->soft.active = false;
	svm->nmi_step = false;
	svm->step_tf = false;
	svm_set_blocking(vcpu, KVM_BLOCKED_NMI, 0);
	svm->vmcb->save.dr6 = SVM_DR6_INIT;
	svm->vmcb->save.dr7 = SVM_DR7_INIT;
	svm->vmcb->save.cpl = 0;
	c->clean = 0;
}

/* ---- registers ------------------------------------------------------------ */

/**
 * svm_cache_reg() - bring a register from the VMCB to vcpu->arch.regs
 * @vcpu: the vCPU
 * @reg: the register
 */
void svm_cache_reg(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	switch (reg) {
	case VCPU_REG_CR0:
		/* every write is intercepted */
		vcpu->arch.regs[reg] = svm->guest_cr0;
		break;
	case VCPU_REG_CR3:
		/* without nested paging likewise */
		if (svm_feat.npt)
			vcpu->arch.regs[reg] = svm->vmcb->save.cr3;
		break;
	default:
		/* the rest is brought at each exit */
		break;
	}
}

static struct vmcb_seg *segment(struct svm_vcpu *svm, enum kvm_seg seg)
{
	struct vmcb_save_area *s = &svm->vmcb->save;

	switch (seg) {
	case VCPU_SEG_ES:
		return &s->es;
	case VCPU_SEG_CS:
		return &s->cs;
	case VCPU_SEG_SS:
		return &s->ss;
	case VCPU_SEG_DS:
		return &s->ds;
	case VCPU_SEG_FS:
		return &s->fs;
	case VCPU_SEG_GS:
		return &s->gs;
	case VCPU_SEG_TR:
		return &s->tr;
	case VCPU_SEG_GDTR:
		return &s->gdtr;
	case VCPU_SEG_IDTR:
		return &s->idtr;
	default:
		return &s->ldtr;
	}
}

/**
 * svm_get_segment() - a segment register, in the ABI's form
 * @vcpu: the vCPU
 * @seg: which
 * @var: filled
 */
void svm_get_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg,
		     struct kvm_segment *var)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_seg *s = segment(svm, seg);

	*var = (struct kvm_segment) {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attrib & SVM_SELECTOR_TYPE_MASK,
		.s = !!(s->attrib & SVM_SELECTOR_S_MASK),
		.dpl = (s->attrib >> SVM_SELECTOR_DPL_SHIFT) & 3,
		.present = !!(s->attrib & SVM_SELECTOR_P_MASK),
		.avl = !!(s->attrib & SVM_SELECTOR_AVL_MASK),
		.l = !!(s->attrib & SVM_SELECTOR_L_MASK),
		.db = !!(s->attrib & SVM_SELECTOR_DB_MASK),
		/* the CPU keeps the limit in bytes and need not keep G */
		.g = s->limit > 0xfffff,
		.unusable = !(s->attrib & SVM_SELECTOR_P_MASK),
	};

	switch (seg) {
	case VCPU_SEG_TR:
		/* a loaded task register is busy */
		var->type |= 2;
		break;
	case VCPU_SEG_SS:
		if (var->unusable)
			var->db = 0;
		var->dpl = svm->vmcb->save.cpl;
		break;
	case VCPU_SEG_ES:
	case VCPU_SEG_DS:
	case VCPU_SEG_FS:
	case VCPU_SEG_GS:
		/* what is loaded has been accessed */
		if (!var->unusable)
			var->type |= 1;
		break;
	default:
		break;
	}
}

/**
 * svm_set_segment() - set a segment register
 * @vcpu: the vCPU
 * @seg: which
 * @var: value in the ABI's form
 */
void svm_set_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg,
		     const struct kvm_segment *var)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_seg *s = segment(svm, seg);
	u16 old = s->attrib;

	s->base = var->base;
	s->limit = var->limit;
	if (seg == VCPU_SEG_GDTR || seg == VCPU_SEG_IDTR) {
		svm_mark_dirty(svm, SVM_CLEAN_DT);
		return;
	}
	s->selector = var->selector;
	s->attrib = (var->type & SVM_SELECTOR_TYPE_MASK) |
		    (var->s & 1) << SVM_SELECTOR_S_SHIFT |
		    (var->dpl & 3) << SVM_SELECTOR_DPL_SHIFT |
		    ((var->present & 1) && !var->unusable) << SVM_SELECTOR_P_SHIFT |
		    (var->avl & 1) << SVM_SELECTOR_AVL_SHIFT |
		    (var->l & 1) << SVM_SELECTOR_L_SHIFT |
		    (var->db & 1) << SVM_SELECTOR_DB_SHIFT |
		    (var->g & 1) << SVM_SELECTOR_G_SHIFT;
	/* the busy bit that svm_get_segment() adds: QEMU's CPU has none, and wants none back */
	if (seg == VCPU_SEG_TR && s->attrib == (old | 2))
		s->attrib = old;
	if (seg == VCPU_SEG_SS)
		svm->vmcb->save.cpl = var->dpl & 3;
	svm_mark_dirty(svm, SVM_CLEAN_SEG);
}

/**
 * svm_get_cpl() - current privilege level
 * @vcpu: the vCPU
 */
int svm_get_cpl(struct kvm_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->save.cpl;
}

/**
 * svm_is_64_bit_code() - CS.L in long mode
 * @vcpu: the vCPU
 */
bool svm_is_64_bit_code(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu) &&
	       (to_svm(vcpu)->vmcb->save.cs.attrib & SVM_SELECTOR_L_MASK);
}

/**
 * svm_set_cr0() - set CR0
 * @vcpu: the vCPU
 * @cr0: value, as the guest sees it
 */
void svm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	unsigned long hw = cr0;

	svm->guest_cr0 = cr0;
	if (!svm_feat.npt) {
		/* shadow tables are always walked, and some entries must not be written */
		hw |= X86_CR0_PG | X86_CR0_WP;
		svm_set_cr4(vcpu, svm->guest_cr4);
	}
	/* a guest that runs uncached, as firmware does, would be far too slow */
	if (kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_CD_NW_CLEARED))
		hw &= ~(X86_CR0_CD | X86_CR0_NW);
	svm->vmcb->save.cr0 = hw;
	/* the guest reads what it wrote */
	svm_set_intercept(svm, INTERCEPT_CR0_READ, hw != cr0);
	svm_mark_dirty(svm, SVM_CLEAN_CR);
}

/**
 * svm_set_cr4() - set CR4
 * @vcpu: the vCPU
 * @cr4: value, as the guest sees it
 */
void svm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	unsigned long hw = cr4;

	svm->guest_cr4 = cr4;
	if (!svm_feat.npt)
		hw = kvm_shadow_cr4(svm->guest_cr0, cr4);
	/* a machine check must reach the host, not shut the CPU down */
	hw |= __read_cr4() & X86_CR4_MCE;
	svm->vmcb->save.cr4 = hw;
	svm_set_intercept(svm, INTERCEPT_CR4_READ, hw != cr4);
	svm_mark_dirty(svm, SVM_CLEAN_CR);
}

/**
 * svm_set_efer() - set EFER
 * @vcpu: the vCPU
 * @efer: value, as the guest sees it
 */
void svm_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (unlikely(svm_feat.nested))
		svm_nested_efer(vcpu, efer);
	/*
	 * Without paging LME means nothing: when that is turned on, common code
	 * sets EFER anew. QEMU's CPU takes a guest's LME for the host's when it
	 * loads the host's CR0.
	 */
	if (!(efer & EFER_LMA))
		efer &= ~(u64)EFER_LME;
	if (!svm_feat.npt)
		efer |= EFER_NX;
	/* VMRUN insists on SVME */
	svm->vmcb->save.efer = efer | EFER_SVME;
	svm_mark_dirty(svm, SVM_CLEAN_CR);
}

/**
 * svm_load_root() - use a nested page table, or shadow tables
 * @vcpu: the vCPU
 * @root: physical address of its root
 * @level: levels; nested: the same as the host's own, shadow: the guest's mode
 */
void svm_load_root(struct kvm_vcpu *vcpu, hpa_t root, int level)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->root = root;
	if (!svm_feat.npt) {
		svm->vmcb->save.cr3 = root;
		svm_mark_dirty(svm, SVM_CLEAN_CR);
		return;
	}
	svm->vmcb->control.nested_cr3 = __sme_set(root);
	svm_mark_dirty(svm, SVM_CLEAN_NPT);
}

/**
 * svm_sync_debugregs() - take DR6 and DR7 that the guest wrote without an exit
 * @vcpu: the vCPU; interrupts off, the guest's registers in the CPU
 */
void svm_sync_debugregs(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	vcpu->arch.dr6 = svm->vmcb->save.dr6;
	vcpu->arch.dr7 = svm->vmcb->save.dr7;
	intercept_debugregs(svm, true);
}
