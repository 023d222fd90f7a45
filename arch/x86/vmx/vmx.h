/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the VMX backend share: Intel's virtualization extension,
 * Intel SDM vol. 3, chapters 24 to 31 and appendices A (capability MSRs), B
 * (encodings of VMCS fields) and C (exit reasons).
 *
 * Numbers and names of fields, controls and exit reasons are those of
 * <asm/vmx.h>.
 */
#ifndef KVM_OOT_VMX_H
#define KVM_OOT_VMX_H

#include "arch/x86/switch.h"

/* struct vmx_run as entry.S sees it; checked in enter.c */
#define VMX_RUN_HOST_RSP	KVM_SWITCH_SIZE
#define VMX_RUN_LAUNCHED_BIT	KVM_SWITCH_BACKEND_BIT	/* VMRESUME, not VMLAUNCH */

#define VMX_FIELD_HOST_RSP	0x6c14

#ifndef __ASSEMBLER__

#include "arch/x86/kvm_x86.h"
#include <asm/asm.h>
#include <asm/vmx.h>

#include "arch/x86/vmx/state.h"

#define VMX_EXIT_ENTRY_FAILED	BIT(31)		/* in the exit reason */
#define VMX_EXIT_BUS_LOCK	BIT(26)		/* likewise: beside another reason */
/* no exit: VMLAUNCH or VMRESUME failed, or VMX was taken away (reboot) */
#define VMX_REASON_VMFAIL	0xfffffffful

/* by value, since their names differ between kernels */
#define VMX_CPU2_XSAVES		BIT(20)			/* secondary control: enable XSAVES */
/* secondary controls that depend on the state of the LAPIC: apicv.c */
#define VMX_APIC_CPU2		(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES |	\
				 SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |	\
				 SECONDARY_EXEC_APIC_REGISTER_VIRT |		\
				 SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
#define VMX_QUAL_EPT_RIGHTS	GENMASK(5, 3)		/* EPT violation: what the entry allowed */

#define VMX_TSC_FRAC_BITS	48
#define VMX_DR6_INIT		0xffff0ff0ul
#define VMX_DR7_INIT		0x400ul

/* bits of CR0 and CR4 that a guest may change without an exit */
#define VMX_CR0_GUEST_OWNED	(X86_CR0_TS | X86_CR0_WP | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM)
#define VMX_CR4_GUEST_OWNED	(X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PGE | \
				 X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | \
				 X86_CR4_FSGSBASE)

/**
 * struct vmx_run - what entry.S needs; offsets are VMX_RUN_*
 * @sw: registers and MSRs, as for any backend; and the launched bit
 * @host_rsp: what HOST_RSP of the VMCS holds
 */
struct vmx_run {
	struct kvm_switch sw;
	unsigned long host_rsp;
};

/* the region that VMPTRLD takes; all but the first word is the CPU's own */
struct vmx_region {
	u32 revision;
	u32 abort;
	u8 data[PAGE_SIZE - 8];
};

/* MSRs that neither entry nor exit switches and that the host needs in user space only */
enum { VMX_MSR_STAR, VMX_MSR_LSTAR, VMX_MSR_SFMASK, VMX_NR_SYSCALL_MSRS };

/**
 * struct vmx_posted - vectors on their way to a vCPU, SDM 30.6
 * @pir: (a) those accepted and not in its IRR yet
 * @control: (a) bit 0: there are some; the rest is for devices, posting.c
 * @reserved: the hardware's
 */
struct vmx_posted {
	unsigned long pir[4];
	unsigned long control;
	u64 reserved[3];
} __aligned(64);

#define VMX_POSTED_ON		0
#define VMX_POSTED_SN		1	/* devices do not notify */

/* VMX state of one vCPU; everything (v): vcpu->mutex, but @on_cpu and @loaded_cpu */
struct vmx_vcpu {
	struct kvm_vcpu *vcpu;
	struct vmx_region *vmcs;
	unsigned long *msr_bitmap;	/* 4 KiB */
	struct vmx_posted posted;
	struct vmx_run run;

	int loaded_cpu;			/* CPU that may hold the VMCS, -1: none */
	struct list_head on_cpu;	/* of that CPU's list, interrupts off */
	int sleeps_on;			/* CPU whose list of sleepers has it, -1: none; posting.c */
	struct list_head sleeper;	/* of that list, its lock */
	u16 vpid;			/* 0: none */
	bool flush_all, flush_guest;	/* before the next entry */

	/* what the VMCS holds, so that only changes are written */
	u32 pin_ctl, cpu_ctl, cpu2_ctl, entry_ctl, exc_bitmap, tpr_threshold;
	unsigned long host_cr3, host_cr4, cr4_owned;
	unsigned long hw_dr7;
	u64 hw_pat;
	u64 eoi_exits[4];
	u64 eptp;

	/* the host's, saved by prepare_switch() */
	bool host_saved;
	u16 host_fs, host_gs, host_ds, host_es;
	u64 host_kernel_gs;
	u64 host_debugctl;
	bool syscall_loaded;		/* the CPU has the guest's STAR, LSTAR, SFMASK */
	unsigned long host_fs_base;	/* in the VMCS */

	u64 syscall_msr[VMX_NR_SYSCALL_MSRS];
	u64 cstar;			/* no Intel CPU uses it */
	u64 kernel_gs;
	u64 tsc_ratio;

	bool injecting;			/* VM_ENTRY_INTR_INFO_FIELD is valid */
	struct kvm_event injected;

	/* of the last exit */
	u32 exit_reason;
	u32 intr_info;			/* of EXCEPTION_NMI exits */

	u64 *pml_log;			/* pml.c; NULL: none */
	bool pml_on;

	bool timer_on;			/* the preemption timer counts */

	/* without virtual NMIs: what the CPU would do, event.c */
	bool nmi_masked;
	u64 nmi_masked_at;		/* ns */

	/* without a control that switches EFER: one MSR for entry, one for exit; or NULL */
	struct vmx_msr_entry *efer_lists;
	bool efer_listed;
	/* else: what perf switches; pmu.c; or NULL */
	struct vmx_msr_entry *pmu_lists;
	unsigned int nr_pmu_msrs;

	/* without unrestricted guest: rmode.c */
	bool vm86;			/* virtual-8086 mode stands for real mode */
	bool check_state;		/* see before the next entry whether it takes the state */
	bool must_emulate;		/* it does not */
	bool checked_vm;		/* RFLAGS.VM when that was seen */
	unsigned long guest_cr0;	/* PE and PG as the guest has them */
	u32 rm_ar[VCPU_SEG_GS + 1];	/* with @vm86: what the guest has */
	struct vmx_seg rm_tr;
	unsigned long rm_iopl;

	/* nested guests: nested.c; all 0 outside of L2 */
	struct vmx_nested *nested;	/* (c) NULL: guests have no VMX */
	u32 l1_cpu_ctl, l1_cpu2_ctl;	/* controls that are on since L1 wants them */
	u32 l1_cpu2_off;		/* ... off */
	u32 l1_exceptions;		/* vectors that it may want */

	bool bus_lock_exit;		/* as the VM wanted it when the vCPU was made */
	unsigned int ple_window;
	u64 feature_control;
	u64 mcg_ext_ctl;
};

/* Per physical CPU */
struct vmx_cpu {
	bool enabled;
	struct vmx_region *vmxon;
	struct vmx_region *current_vmcs;
	struct list_head loaded;	/* vCPUs whose VMCS may be in this CPU */
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

static inline struct vmx_vcpu *to_vmx(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.backend;
}

/* What this CPU has and what is used of it; constant after init. */
struct vmx_caps {
	u32 revision;
	u32 pin;			/* controls, as they are written */
	u32 cpu, cpu2;
	u32 exit, entry;
	u64 cr0_fixed0, cr4_fixed0;
	bool ept_ad, ept_5level;
	int ept_max_level;		/* largest page, as kvm_mmu_configure() counts */
	bool invept_context, invvpid_addr;
};

extern struct vmx_caps vmx_caps;

/* pin-based, primary and secondary processor-based, exit, entry */
#define VMX_NR_CONTROLS	5

/* further: what was found or chosen */
struct vmx_features {
	bool ept;
	bool unrestricted;
	bool vnmi;
	bool pml;
	bool preemption_timer;
	u8 preemption_timer_shift;	/* it counts the TSC's bit of this number */
	bool efer_switch;		/* by controls of the VMCS, else by lists of MSRs */
	bool vpid;
	bool ept_ad;
	bool tpr_shadow;
	bool apic_page;			/* flexpriority */
	bool x2apic_mode;		/* at least the TPR's MSR needs no exits */
	bool apicv;
	bool device_posting;		/* the IOMMU posts interrupts */
	bool tsc_scaling;
	bool ple;
	bool pat_switch;
	bool umip_by_exits;		/* the CPU has none */
	bool perf_switches;		/* MSRs, for events of its own: pmu.c */
	u64 host_efer, host_pat;
	u64 host_syscall_msr[VMX_NR_SYSCALL_MSRS];
};

extern struct vmx_features vmx_feat;
extern const u32 vmx_syscall_msrs[VMX_NR_SYSCALL_MSRS];
extern unsigned int vmx_ple_gap, vmx_ple_window, vmx_ple_window_grow, vmx_ple_window_shrink,
	vmx_ple_window_max;
extern bool vmx_dump_invalid_vmcs, vmx_emulate_invalid, vmx_want_ept;
extern unsigned int vmx_hide_controls[VMX_NR_CONTROLS];

/* ---- VMCS access: the vCPU is loaded, its VMCS the CPU's current one --------- */

/* With KVM_OOT_DEBUG accesses to the VMCS are counted: see debug.c. */
#ifdef KVM_OOT_DEBUG
struct vmx_accesses {
	u64 reads, writes;
};

DECLARE_PER_CPU(struct vmx_accesses, vmx_accesses);
#define vmx_count_access(what)	this_cpu_inc(vmx_accesses.what)
void vmx_debug_init(void);
void vmx_debug_exit(void);
#else
#define vmx_count_access(what)	do { } while (0)
static inline void vmx_debug_init(void) { }
static inline void vmx_debug_exit(void) { }
#endif

/*
 * When the host reboots, VMX may be gone at any moment: then the instruction
 * faults, and the value is 0.
 */
static __always_inline unsigned long vmcs_read(unsigned long field)
{
	unsigned long value = 0;

	vmx_count_access(reads);
	asm volatile("1: vmread %1, %0\n2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : "+r" (value) : "r" (field) : "cc");
	return value;
}

void vmcs_write_error(unsigned long field, unsigned long value);

static __always_inline void vmcs_write(unsigned long field, unsigned long value)
{
	vmx_count_access(writes);
	asm goto("1: vmwrite %1, %0\n\t"
		 "jna %l[error]\n\t"
		 _ASM_EXTABLE(1b, %l[gone])
		 : : "r" (field), "r" (value) : "cc" : error, gone);
	return;
error:
	vmcs_write_error(field, value);
gone:
	return;
}

static inline void vmx_set_cpu_ctl(struct vmx_vcpu *v, u32 bits, bool on)
{
	u32 new = on ? v->cpu_ctl | bits : v->cpu_ctl & ~bits;

	new |= v->l1_cpu_ctl;
	if (new != v->cpu_ctl) {
		v->cpu_ctl = new;
		vmcs_write(CPU_BASED_VM_EXEC_CONTROL, new);
	}
}

static inline void vmx_set_cpu2_ctl(struct vmx_vcpu *v, u32 bits, bool on)
{
	u32 new = on ? v->cpu2_ctl | bits : v->cpu2_ctl & ~bits;

	new |= v->l1_cpu2_ctl;
	if (new != v->cpu2_ctl) {
		v->cpu2_ctl = new;
		vmcs_write(SECONDARY_VM_EXEC_CONTROL, new);
	}
}

/* bits of CR0 and CR4 that are the guest's alone: none in real mode that is not one */
static inline bool vmx_is_fake_real_mode(struct vmx_vcpu *v)
{
	return !vmx_feat.unrestricted && !(v->guest_cr0 & X86_CR0_PE);
}

static inline unsigned long vmx_cr0_owned(struct vmx_vcpu *v)
{
	unsigned long owned = vmx_feat.ept ? VMX_CR0_GUEST_OWNED :
					     VMX_CR0_GUEST_OWNED & ~X86_CR0_WP;

	return vmx_is_fake_real_mode(v) ? 0 : owned & ~v->vcpu->arch.nested_cr_mask[0];
}

static inline unsigned long vmx_cr4_owned(struct vmx_vcpu *v)
{
	return vmx_is_fake_real_mode(v) ? 0 : v->cr4_owned & ~v->vcpu->arch.nested_cr_mask[1];
}

/* CR3 of the VMCS is the identity map's, or that of shadow tables */
static inline bool vmx_cr3_is_ours(struct vmx_vcpu *v)
{
	return !vmx_feat.unrestricted && (!vmx_feat.ept || !(v->guest_cr0 & X86_CR0_PG));
}

/* where the VMCS has a segment register */
struct vmx_seg_fields {
	unsigned int selector, base, limit, ar;
};

extern const struct vmx_seg_fields vmx_seg_fields[VCPU_NR_SEGS];

static inline void vmx_read_seg(enum kvm_seg seg, struct vmx_seg *s)
{
	s->selector = vmcs_read(vmx_seg_fields[seg].selector);
	s->base = vmcs_read(vmx_seg_fields[seg].base);
	s->limit = vmcs_read(vmx_seg_fields[seg].limit);
	s->ar = vmcs_read(vmx_seg_fields[seg].ar);
}

static inline void vmx_write_seg(enum kvm_seg seg, const struct vmx_seg *s)
{
	vmcs_write(vmx_seg_fields[seg].selector, s->selector);
	vmcs_write(vmx_seg_fields[seg].base, s->base);
	vmcs_write(vmx_seg_fields[seg].limit, s->limit);
	vmcs_write(vmx_seg_fields[seg].ar, s->ar);
}

/* caps.c */
int vmx_read_caps(struct vmx_caps *caps);
int vmx_check_support(void);

/* cpu.c */
int vmx_cpu_alloc_all(void);
void vmx_cpu_free_all(void);
int vmx_enable_cpu(void);
void vmx_disable_cpu(void);
int vmx_check_cpu(void);
void vmx_emergency_disable(void);
void vmx_vcpu_load(struct kvm_vcpu *vcpu, int cpu);
void vmx_vcpu_put(struct kvm_vcpu *vcpu);
void vmx_prepare_switch(struct vmx_vcpu *v);
void vmx_load_syscall_msrs(struct vmx_vcpu *v);
void vmx_release_vmcs(struct vmx_vcpu *v);
struct vmx_region *vmx_alloc_region(int node);
void vmx_free_region(struct vmx_region *r);
u16 vmx_alloc_vpid(void);
void vmx_free_vpid(u16 vpid);
void vmx_flush_tlb(struct kvm_vcpu *vcpu, enum kvm_tlb_scope scope, gva_t gva);
void vmx_flush_now(struct vmx_vcpu *v);

/* vmcs.c */
int vmx_vcpu_create(struct kvm_vcpu *vcpu);
void vmx_vcpu_free(struct kvm_vcpu *vcpu);
void vmx_vcpu_reset(struct kvm_vcpu *vcpu, bool init);
void vmx_update_intercepts(struct kvm_vcpu *vcpu);
void vmx_write_controls(struct vmx_vcpu *v);
void vmx_update_config(struct kvm_vcpu *vcpu);
void vmx_cache_reg(struct kvm_vcpu *vcpu, enum kvm_reg reg);
void vmx_get_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg, struct kvm_segment *var);
void vmx_set_segment(struct kvm_vcpu *vcpu, enum kvm_seg seg, const struct kvm_segment *var);
int vmx_get_cpl(struct kvm_vcpu *vcpu);
bool vmx_is_64_bit_code(struct kvm_vcpu *vcpu);
void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
void vmx_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer);
void vmx_load_root(struct kvm_vcpu *vcpu, hpa_t root, int level);
void vmx_sync_debugregs(struct kvm_vcpu *vcpu);

/* event.c */
void vmx_inject(struct kvm_vcpu *vcpu, const struct kvm_event *ev);
void vmx_cancel_injection(struct kvm_vcpu *vcpu, struct kvm_event *ev);
void vmx_decode_vectoring(struct vmx_vcpu *v, struct kvm_event *ev, bool iret_faulted);
u32 vmx_get_blocking(struct kvm_vcpu *vcpu);
void vmx_set_blocking(struct kvm_vcpu *vcpu, u32 which, u32 blocked);
void vmx_request_window(struct kvm_vcpu *vcpu, enum kvm_event_type type);
void vmx_update_cr8_intercept(struct kvm_vcpu *vcpu, int tpr, int irr);

/* enter.c, entry.S */
void vmx_enter(struct kvm_vcpu *vcpu, struct kvm_exit *exit, bool req_immediate);
asmlinkage unsigned long vmx_enter_guest(struct vmx_run *run);
extern const char vmx_vmexit[];

/* apicv.c */
u32 vmx_apic_cpu2(struct vmx_vcpu *v);
u32 vmx_apic_pin(struct vmx_vcpu *v);
void vmx_apic_init(struct vmx_vcpu *v);
void vmx_apic_changed(struct kvm_vcpu *vcpu);
void vmx_post_intr(struct kvm_vcpu *vcpu, u8 vector);
void vmx_sync_irr(struct kvm_vcpu *vcpu);
void vmx_load_intr_status(struct vmx_vcpu *v);
void vmx_open_apic_msrs(struct vmx_vcpu *v);

/* posting.c; all but the last two: vmx_feat.device_posting only */
void vmx_posting_load(struct vmx_vcpu *v, int cpu);
void vmx_posting_put(struct vmx_vcpu *v);
void vmx_posting_sync(struct vmx_vcpu *v);
void vmx_posting_cpu_down(void);
int vmx_device_posts(int host_irq, struct kvm_vcpu *vcpu, u8 vector);
void vmx_posting_init(void);
void vmx_posting_exit(void);

static inline bool vmx_apicv_active(const struct vmx_vcpu *v)
{
	return v->cpu2_ctl & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
}

/* exit.c */
void vmx_decode_exit(struct vmx_vcpu *v, struct kvm_exit *exit);
void vmx_decode_must_emulate(struct vmx_vcpu *v, struct kvm_exit *exit);

/* l1d.c */
int vmx_l1d_setup(void);
void vmx_l1d_teardown(void);
void vmx_l1d_flush(struct kvm_vcpu *vcpu);
extern struct static_key_false vmx_l1d_should_flush;

/* pml.c */
#define VMX_PML_ENTRIES	512
void vmx_pml_reset(struct vmx_vcpu *v);
void vmx_pml_switch(struct vmx_vcpu *v, bool on);
void vmx_pml_flush(struct vmx_vcpu *v);

/* pmu.c */
#define VMX_PMU_MSRS	8
bool vmx_pmu_switched(void);
void vmx_pmu_reset(struct vmx_vcpu *v);
void vmx_pmu_load(struct vmx_vcpu *v);

/* preempt.c */
bool vmx_preemption_timer_usable(void);
void vmx_load_timer(struct vmx_vcpu *v);

/* rmode.c */
void vmx_check_state(struct vmx_vcpu *v);
bool vmx_rmode_prepare(struct vmx_vcpu *v);
void vmx_rmode_get_seg(struct vmx_vcpu *v, enum kvm_seg seg, struct vmx_seg *s);
bool vmx_rmode_set_seg(struct vmx_vcpu *v, enum kvm_seg seg, const struct vmx_seg *s);
void vmx_rmode_set_cr0(struct vmx_vcpu *v, unsigned long cr0);
unsigned long vmx_rmode_hw_cr4(struct vmx_vcpu *v, unsigned long cr4);
void vmx_rmode_inject(struct vmx_vcpu *v, const struct kvm_event *ev);

/* msr.c */
void vmx_open_msr(struct kvm_vcpu *vcpu, u32 index, bool write);
void vmx_update_msr_map(struct kvm_vcpu *vcpu);
int vmx_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int vmx_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
int vmx_get_feature_msr(u32 index, u64 *data);
void vmx_write_tsc(struct kvm_vcpu *vcpu);

/* nested_insn.c, nested_exit.c, nested.c, nested_state.c */
int vmx_virt_insn(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
bool vmx_nested_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
enum kvm_nested_answer vmx_nested_event(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					bool take);
bool vmx_nested_insn(struct kvm_vcpu *vcpu, const struct x86_emul *e);
void vmx_nested_leave(struct kvm_vcpu *vcpu);
int vmx_nested_pages(struct kvm_vcpu *vcpu);
void vmx_nested_smi(struct kvm_vcpu *vcpu);
bool vmx_nested_rsm(struct kvm_vcpu *vcpu);
int vmx_get_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user, u32 size);
int vmx_set_nested_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
			 const struct kvm_nested_state *hdr);

#endif /* __ASSEMBLER__ */
#endif /* KVM_OOT_VMX_H */
