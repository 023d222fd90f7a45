/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the SVM backend share: AMD's virtualization extension, AMD
 * APM vol. 2, chapter 15 and appendices B (VMCB layout) and C (exit codes).
 *
 * The VMCB's layout is that of <asm/svm.h>. Three of its fields changed their
 * C names or types between kernels; those are reached by their architectural
 * offset, so that no kernel version has to be known here.
 */
#ifndef KVM_OOT_SVM_H
#define KVM_OOT_SVM_H

#include "arch/x86/switch.h"

/* struct svm_run as entry.S sees it; checked in enter.c */
#define SVM_RUN_VMCB_PA		KVM_SWITCH_SIZE
#define SVM_RUN_HOST_PA		(KVM_SWITCH_SIZE + 8)

#ifndef __ASSEMBLER__

#include "arch/x86/kvm_x86.h"
#include <asm/svm.h>

/* by offset: see above */
#define SVM_VMCB_EXITCODE	0x070	/* u64 */
#define SVM_VMCB_NP_CTL		0x090	/* u64: bit 0 nested paging */
#define SVM_VMCB_VIRT_EXT	0x0b8	/* u64: bit 0 LBR virtualization */

#define SVM_VMCB_BUS_LOCK_COUNTER 0x120	/* u16: how many may happen before one exits */

/* by value: older kernels have no names for them */
#define SVM_INTERCEPT_BUS_LOCK	(5 * 32 + 5)
#define SVM_EXIT_BUS_LOCK_BEFORE 0xa5	/* the instruction has not begun */

#define SVM_NP_ENABLE		BIT_ULL(0)
#define SVM_LBR_ENABLE		BIT_ULL(0)

/* EXITCODE is 64 bits wide; -1 is VMEXIT_INVALID */
#define SVM_EXITCODE_INVALID	(~0ull)

/* VMCB clean bits, APM vol. 2, 15.15.3: a clear bit makes the CPU reload the group */
#define SVM_CLEAN_INTERCEPTS	BIT(0)	/* intercepts, TSC offset, PAUSE filter */
#define SVM_CLEAN_PERM_MAP	BIT(1)	/* IOPM and MSRPM base */
#define SVM_CLEAN_ASID		BIT(2)
#define SVM_CLEAN_INTR		BIT(3)	/* V_TPR, V_IRQ and their like */
#define SVM_CLEAN_NPT		BIT(4)	/* nested CR3, G_PAT */
#define SVM_CLEAN_CR		BIT(5)	/* CR0, CR3, CR4, EFER */
#define SVM_CLEAN_DR		BIT(6)	/* DR6, DR7 */
#define SVM_CLEAN_DT		BIT(7)	/* GDT, IDT */
#define SVM_CLEAN_SEG		BIT(8)	/* ES, CS, SS, DS, CPL */
#define SVM_CLEAN_CR2		BIT(9)
#define SVM_CLEAN_LBR		BIT(10)
#define SVM_CLEAN_ALL		GENMASK(10, 0)

/* DR6 with no condition recorded; DR7 with nothing enabled */
#define SVM_DR6_INIT		0xffff0ff0ul
#define SVM_DR7_INIT		0x400ul
#define SVM_DR6_BS		BIT(14)

/* in an entry of nested page tables */
#define SVM_NPT_ACCESSED	BIT_ULL(5)
#define SVM_NPT_DIRTY		BIT_ULL(6)
#define SVM_NPT_NX		BIT_ULL(63)

/* STAR et al. and the permission map: APM vol. 2, 15.11 */
#define SVM_MSRPM_ORDER		1	/* 8 KiB */
#define SVM_IOPM_ORDER		2	/* 12 KiB are used */

/* what KVM_GET_NESTED_STATE writes at most */
#define SVM_NESTED_STATE_SIZE	(sizeof(struct kvm_nested_state) + KVM_STATE_NESTED_SVM_VMCB_SIZE)

#define SVM_TSC_FRAC_BITS	32
#define SVM_TSC_RATIO_ONE	BIT_ULL(32)
#define SVM_TSC_RATIO_LIMIT	GENMASK_ULL(39, 0)

/**
 * struct svm_run - what entry.S needs; offsets are SVM_RUN_*
 * @sw: registers and MSRs, as for any backend
 * @vmcb_pa: physical address of the guest's VMCB
 * @host_pa: physical address of this CPU's VMCB with the host's VMSAVE state
 */
struct svm_run {
	struct kvm_switch sw;
	u64 vmcb_pa;
	u64 host_pa;
};

/**
 * struct svm_soft_event - a software event given to the hardware
 * @active: in this entry
 * @advanced: RIP was moved over the instruction (no NRIP save)
 * @old_rip: RIP of the instruction
 * @ev: the event as it was asked for
 */
struct svm_soft_event {
	bool active;
	bool advanced;
	unsigned long old_rip;
	struct kvm_event ev;
};

/**
 * struct svm_l1 - what L1 gets back at a #VMEXIT, APM vol. 2, 15.5.1 and 15.6; the rest of
 * that state stays in its VMCB
 * @rflags: RFLAGS
 * @rip: behind VMRUN
 * @rsp: RSP
 * @rax: RAX: the address of the VMCB
 * @cr0: CR0
 * @cr3: CR3
 * @cr4: CR4
 * @efer: EFER
 */
struct svm_l1 {
	u64 rflags, rip, rsp, rax;
	u64 cr0, cr3, cr4, efer;
};

/**
 * struct svm_nested - for a guest that uses SVM, see nested.c
 * @vmcb02: VMCB with which L2 runs
 * @msrpm: MSR permission map of L2: ours and L1's
 * @vmcb12: L1's VMCB, as VMRUN read it; the control area is what L2 runs by
 * @vmcb12_gpa: where it is
 * @l1: L1's registers while L2 runs
 * @smm: an SMI has interrupted L2
 */
struct svm_nested {
	struct vmcb *vmcb02;
	unsigned long *msrpm;
	struct vmcb *vmcb12;
	gpa_t vmcb12_gpa;
	struct svm_l1 l1;
	bool smm;
};

/* SVM state of one vCPU; everything (v): vcpu->mutex */
struct svm_vcpu {
	struct kvm_vcpu *vcpu;
	struct vmcb *vmcb;		/* the one in use: @vmcb01, or that of L2 */
	struct vmcb *vmcb01;		/* the guest's; has what we ourselves intercept */
	struct svm_nested *nested;	/* NULL until L1's first VMRUN */
	bool gif;			/* the guest's global interrupt flag: APM vol. 2, 15.17 */
	u64 hsave_pa;			/* the guest's MSR; what it is for stays in @vmcb01 */
	unsigned long *msrpm;		/* MSR permission map, 8 KiB */
	struct svm_run run;

	u64 asid_generation;		/* 0: none on this CPU */
	int loaded_cpu;			/* CPU of the last load, -1 */
	bool host_saved;		/* host VMSAVE state of this load is saved */
	u16 saved_ldt;

	unsigned long guest_cr0;	/* as set_cr0() got it */
	unsigned long guest_cr4;	/* likewise */
	hpa_t root;
	u8 entry_tpr;
	unsigned long entry_dr6;	/* DR6 that the last entry began with */

	/* interception that comes and goes with events */
	bool intr_window;
	bool cr8_intercept;

	/* NMI: masked from injection until after IRET, without V_NMI: APM vol. 2, 15.21 */
	bool nmi_masked;
	bool iret_seen;			/* IRET was intercepted and is about to execute */
	unsigned long iret_rip;
	bool nmi_step;			/* single-step to learn when NMIs are open */
	bool step_tf;			/* RFLAGS.TF is ours in this entry */

	bool bus_lock_exit;		/* as the VM wanted it when the vCPU was made */
	bool bus_lock_seen;		/* the last exit was one, at @bus_lock_at */
	unsigned long bus_lock_at;	/* linear address */

	struct svm_soft_event soft;

	u64 de_cfg;
	u64 tsc_ratio;			/* 32.32; SVM_TSC_RATIO_ONE: not scaled */
};

/* Per physical CPU */
struct svm_cpu {
	bool enabled;
	u64 generation;
	u32 next_asid;
	u32 max_asid;
	u64 tsc_ratio;			/* in MSR TSC_RATIO */
	struct page *hsave;		/* VM_HSAVE_PA: the CPU's own */
	struct page *host_vmcb;		/* host state by VMSAVE */
	u64 host_vmcb_pa;
	struct vmcb *last_vmcb;		/* for the branch predictor barrier */
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

static inline struct svm_vcpu *to_svm(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.backend;
}

static inline u64 *svm_vmcb_u64(struct vmcb *vmcb, unsigned int offset)
{
	return (u64 *)((u8 *)vmcb + offset);
}

static inline u16 *svm_bus_lock_counter(struct vmcb *vmcb)
{
	return (u16 *)((u8 *)vmcb + SVM_VMCB_BUS_LOCK_COUNTER);
}

static inline unsigned long svm_linear_rip(const struct vmcb *vmcb)
{
	return vmcb->save.cs.base + vmcb->save.rip;
}

static inline u64 svm_exit_code(const struct vmcb *vmcb)
{
	return *(const u64 *)((const u8 *)vmcb + SVM_VMCB_EXITCODE);
}

/* a group of the VMCB was changed by software */
static inline void svm_mark_dirty(struct svm_vcpu *svm, u32 groups)
{
	svm->vmcb->control.clean &= ~groups;
}

static inline bool svm_test_bit(const struct vmcb_control_area *c, unsigned int bit)
{
	return c->intercepts[bit / 32] & BIT(bit % 32);
}

/* L1 has given L2 a TPR of its own */
static inline bool svm_l2_has_tpr(const struct svm_vcpu *svm)
{
	return unlikely(svm->vcpu->arch.guest_mode) &&
	       (svm->nested->vmcb12->control.int_ctl & V_INTR_MASKING_MASK);
}

/* do we ourselves intercept it; L1 may do so beside us */
static inline bool svm_intercepted(const struct svm_vcpu *svm, unsigned int bit)
{
	return svm_test_bit(&svm->vmcb01->control, bit);
}

/* one word of what we ourselves intercept */
static inline void svm_set_intercepts(struct svm_vcpu *svm, unsigned int word, u32 bits)
{
	u32 *ours = &svm->vmcb01->control.intercepts[word];

	if (bits == *ours)
		return;
	*ours = bits;
	if (unlikely(svm->vmcb != svm->vmcb01)) {
		if (svm->vcpu->arch.guest_mode)
			bits |= svm->nested->vmcb12->control.intercepts[word];
		svm->vmcb->control.intercepts[word] = bits;
	}
	svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);
}

static inline void svm_set_intercept(struct svm_vcpu *svm, unsigned int bit,
				     bool on)
{
	u32 word = svm->vmcb01->control.intercepts[bit / 32];

	svm_set_intercepts(svm, bit / 32,
			   on ? word | BIT(bit % 32) : word & ~BIT(bit % 32));
}

/* what this module was loaded with and what the CPU has; constant after init */
struct svm_features {
	bool npt;
	bool nrips;
	bool decode_assists;
	bool flush_by_asid;
	bool clean_bits;
	bool pause_filter;
	bool pause_threshold;
	bool tsc_scaling;
	bool v_spec_ctrl;
	bool bus_lock;
	bool nested;		/* guests may have SVM */
	u32 cpuid_edx;		/* 8000_000A, of the boot CPU */
};

extern struct svm_features svm_feat;
extern bool svm_dump_invalid_vmcb;
extern unsigned short svm_pause_filter_count;
extern unsigned short svm_pause_filter_thresh;
extern unsigned short svm_pause_filter_count_grow;
extern unsigned short svm_pause_filter_count_shrink;
extern unsigned short svm_pause_filter_count_max;
extern struct page *svm_iopm;

/* cpu.c */
int svm_cpu_alloc_all(void);
void svm_cpu_free_all(void);
int svm_enable_cpu(void);
void svm_disable_cpu(void);
int svm_check_cpu(void);
void svm_emergency_disable(void);
void svm_vcpu_load(struct kvm_vcpu *vcpu, int cpu);
void svm_vcpu_put(struct kvm_vcpu *vcpu);
void svm_prepare_switch(struct svm_vcpu *svm);
void svm_flush_tlb(struct kvm_vcpu *vcpu, enum kvm_tlb_scope scope, gva_t gva);
void svm_assign_asid(struct svm_vcpu *svm, struct svm_cpu *sc);
void svm_forget_vmcb(struct vmcb *vmcb);

/* vmcb.c */
int svm_vcpu_create(struct kvm_vcpu *vcpu);
void svm_vcpu_free(struct kvm_vcpu *vcpu);
void svm_vcpu_reset(struct kvm_vcpu *vcpu, bool init);
void svm_init_control(struct svm_vcpu *svm);
void svm_vmcb_undefined(struct svm_vcpu *svm);
void svm_update_intercepts(struct kvm_vcpu *vcpu);
void svm_update_config(struct kvm_vcpu *vcpu);
void svm_cache_reg(struct kvm_vcpu *vcpu, enum kvm_reg reg);
void svm_get_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg,
		     struct kvm_segment *var);
void svm_set_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg,
		     const struct kvm_segment *var);
int svm_get_cpl(struct kvm_vcpu *vcpu);
bool svm_is_64_bit_code(struct kvm_vcpu *vcpu);
void svm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
void svm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
void svm_set_efer(struct kvm_vcpu *vcpu, u64 efer);
void svm_load_root(struct kvm_vcpu *vcpu, hpa_t root, int level);
void svm_sync_debugregs(struct kvm_vcpu *vcpu);

/* event.c */
void svm_inject(struct kvm_vcpu *vcpu, const struct kvm_event *ev);
void svm_cancel_injection(struct kvm_vcpu *vcpu, struct kvm_event *ev);
void svm_decode_vectoring(struct svm_vcpu *svm, struct kvm_exit *exit);
u32 svm_get_blocking(struct kvm_vcpu *vcpu);
void svm_set_blocking(struct kvm_vcpu *vcpu, u32 which, u32 blocked);
void svm_set_intr_window(struct svm_vcpu *svm, bool on);
void svm_request_window(struct kvm_vcpu *vcpu, enum kvm_event_type type);
void svm_update_cr8_intercept(struct kvm_vcpu *vcpu, int tpr, int irr);
bool svm_step_before_entry(struct svm_vcpu *svm);
void svm_step_after_exit(struct svm_vcpu *svm);

/* enter.c, entry.S */
void svm_enter(struct kvm_vcpu *vcpu, struct kvm_exit *exit, bool req_immediate);
asmlinkage void svm_enter_guest(struct svm_run *run);

/* exit.c */
void svm_decode_exit(struct svm_vcpu *svm, struct kvm_exit *exit);

/* msr.c */
void svm_update_msr_map(struct kvm_vcpu *vcpu);
int svm_msrpm_bit(u32 index);
int svm_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int svm_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
int svm_get_feature_msr(u32 index, u64 *data);
u64 svm_supported_de_cfg(void);
void svm_write_tsc(struct kvm_vcpu *vcpu);

/* nested.c */
void svm_nested_free(struct svm_vcpu *svm);
void svm_nested_keep_virq(struct svm_vcpu *svm);
void svm_nested_give_virq(struct svm_vcpu *svm);
void svm_nested_undefined(struct svm_vcpu *svm);
void svm_nested_efer(struct kvm_vcpu *vcpu, u64 efer);
void svm_set_gif(struct svm_vcpu *svm, bool gif);
int svm_virt_insn(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
bool svm_nested_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
enum kvm_nested_answer svm_nested_event(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					bool take);
bool svm_nested_insn(struct kvm_vcpu *vcpu, const struct x86_emul *e);
void svm_nested_leave(struct kvm_vcpu *vcpu);
int svm_nested_pages(struct kvm_vcpu *vcpu);
void svm_nested_smi(struct kvm_vcpu *vcpu);
bool svm_nested_rsm(struct kvm_vcpu *vcpu);
int svm_get_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user, u32 size);
int svm_set_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *hdr);

#endif /* __ASSEMBLER__ */
#endif /* KVM_OOT_SVM_H */
