/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The x86 part of a VM and of a vCPU. Lock letters as in module/kvm_host.h.
 */
#ifndef KVM_OOT_X86_TYPES_H
#define KVM_OOT_X86_TYPES_H

#include <linux/types.h>
#include <linux/kvm.h>
#include <linux/hrtimer.h>
#include <linux/spinlock.h>
#include <linux/seqlock.h>
#include <asm/fpu/types.h>
#include <asm/pvclock-abi.h>

struct kvm_lapic;
struct kvm_ioapic;
struct kvm_pic;
struct kvm_pit;
struct kvm_apic_map;
struct kvm_apf;
struct kvm_pmu;
struct kvm_oot_pmu_filter;
struct x86_emul;

/* Guest registers in the hardware's encoding order, then the lazily read ones. */
enum kvm_reg {
	VCPU_REG_RAX, VCPU_REG_RCX, VCPU_REG_RDX, VCPU_REG_RBX,
	VCPU_REG_RSP, VCPU_REG_RBP, VCPU_REG_RSI, VCPU_REG_RDI,
	VCPU_REG_R8, VCPU_REG_R9, VCPU_REG_R10, VCPU_REG_R11,
	VCPU_REG_R12, VCPU_REG_R13, VCPU_REG_R14, VCPU_REG_R15,
	VCPU_NR_GPRS,
	VCPU_REG_RIP = VCPU_NR_GPRS,
	VCPU_REG_RFLAGS,
	VCPU_REG_CR0, VCPU_REG_CR3, VCPU_REG_CR4,	/* those bits a guest may change unseen */
	VCPU_NR_REGS
};

/* Segments in the order of the ModRM sreg encoding. */
enum kvm_seg {
	VCPU_SEG_ES, VCPU_SEG_CS, VCPU_SEG_SS, VCPU_SEG_DS,
	VCPU_SEG_FS, VCPU_SEG_GS, VCPU_SEG_TR, VCPU_SEG_LDTR,
	VCPU_NR_SEGS,
	VCPU_SEG_GDTR = VCPU_NR_SEGS, VCPU_SEG_IDTR
};

enum kvm_event_type {
	KVM_EVENT_NONE,
	KVM_EVENT_INTR,		/* external interrupt */
	KVM_EVENT_NMI,
	KVM_EVENT_EXCEPTION,
	KVM_EVENT_SOFT_INTR,	/* INT n */
	KVM_EVENT_SOFT_EXC,	/* INT3, INTO, INT1 */
};

/**
 * struct kvm_event - one event to be delivered through the guest's IDT
 * @type: which
 * @vector: vector
 * @has_error_code: an error code is pushed
 * @error_code: that code
 * @insn_len: for software events, bytes to step over (0: unknown)
 * @at_rip: a software event that returns to RIP: nothing is to be stepped over
 */
struct kvm_event {
	u8 type;
	u8 vector;
	bool has_error_code;
	u8 insn_len;
	bool at_rip;
	u32 error_code;
};

/* A fault raised while a memory access was translated or carried out. */
struct kvm_fault {
	u8 vector;
	bool has_error_code;
	u16 error_code;
	u64 address;		/* CR2 of a #PF */
};

/* Guest physical address width limits and the like, derived at SET_CPUID2. */
struct kvm_cpuid_cache {
	struct kvm_cpuid_entry2 *entries;	/* (v) */
	int nent;
	u8 maxphyaddr;
	u64 reserved_gpa_bits;
	u64 cr4_reserved_bits;
	u64 supported_xcr0;
	bool gbpages;
};

/* PV clock as the guest set it up */
struct kvm_pvclock {
	u64 msr;		/* MSR_KVM_SYSTEM_TIME(_NEW) as written */
	bool enabled;
	gpa_t gpa;
	struct pvclock_vcpu_time_info hv;
	bool set_guest_stopped;
};

#define KVM_OOT_MCE_BANKS 32

struct kvm_mmu;

struct kvm_vcpu_arch {
	/* registers (v) */
	unsigned long regs[VCPU_NR_REGS];	/* VCPU_REG_CR*: through the accessors */
	u32 regs_avail;			/* bits of enum kvm_reg that @regs holds now */
	u32 regs_dirty;			/* ... that hardware does not know yet */
	u64 pdptrs[4];			/* as MOV to CR0, CR3 or CR4 loaded them */
	bool pdptrs_dirty;		/* hardware that keeps them does not know yet */
	unsigned long cr2;
	unsigned long cr8;		/* only without an in-kernel LAPIC */
	u64 efer;
	u64 apic_base;			/* IA32_APIC_BASE */
	unsigned long db[4];		/* DR0-3 */
	unsigned long dr6;
	unsigned long dr7;
	unsigned long eff_db[4];	/* what the hardware gets: guest's or the debugger's */
	unsigned long eff_dr7;
	u32 guest_debug;		/* KVM_GUESTDBG_* */
	u32 switch_db_regs;		/* KVM_DEBUGREG_* */
#define KVM_DEBUGREG_BP_ENABLED	1
#define KVM_DEBUGREG_WONT_EXIT	2
	u64 xcr0;
	u64 ia32_xss;
	u64 pat;
	u64 spec_ctrl;
	bool spec_ctrl_direct;		/* the guest used it: no more interception */
	bool pred_cmd_direct;
	u64 virt_spec_ctrl;
	u64 ia32_misc_enable_msr;
	u64 microcode_version;
	u64 arch_capabilities;
	u64 msr_platform_info;
	u64 msr_misc_features;
	u64 msr_power_ctl;
	u64 msr_hwcr;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 tsc_aux;
	bool tsc_aux_used;		/* the guest's CPUID has it */
	u32 hw_tsc_aux;			/* in the CPU while the vCPU is loaded */
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_var[16];
	u64 msr_kvm_poll_control;
	u64 smbase;
	u64 smi_count;
	u32 pkru, host_pkru;
	struct kvm_cpuid_cache cpuid;

	/* FPU */
	struct fpu_guest guest_fpu;
	bool fpu_loaded;

	/* MMU (arch/x86/mmu) */
	struct kvm_mmu *mmu;		/* (c) */
	cpumask_var_t cached_on;	/* (v) CPUs whose caches may have what it wrote; dma.c */
	int cached_on_cpu;		/* (v) the last of them, -1: none */

	/* interrupts */
	struct kvm_lapic *apic;		/* (c) NULL without an in-kernel LAPIC */
	u32 mp_state;			/* (a) KVM_MP_STATE_* */
	unsigned long pending_sipi;	/* (a) bit 0: INIT, bit 1: SIPI; with sipi_vector */
	u8 sipi_vector;
	struct {
		bool pending;		/* raised, not yet given to the hardware */
		bool injected;		/* given; back again when delivery was interrupted */
		u8 vector;
		bool has_error_code;
		bool at_rip;		/* as struct kvm_event has it */
		u32 error_code;
		bool has_payload;
		unsigned long payload;	/* DR6 bits of #DB, CR2 of #PF */
	} exception;
	struct {
		bool injected;
		bool soft;
		u8 vector;
		u8 insn_len;
		bool at_rip;		/* likewise */
	} interrupt;
	u8 handed_over;			/* KVM_EVENT_* given to the hardware for this entry */
	atomic_t nmi_queued;		/* (a) by KVM_NMI and the LAPIC */
	unsigned int nmi_pending;	/* (v) at most 2 */
	bool smm;			/* (v), READ_ONCE elsewhere; in SMM: kvm_vcpu_as_id() */
	bool smi_pending;		/* (v) one waits, or is latched while in SMM */
	bool smm_nmi_masked;		/* (v) NMIs were, before SMM masked them */
	bool nmi_injected;
	bool exception_payload_enabled;	/* copy of the VM's */
	int pending_external_vector;	/* split or user irqchip: from KVM_INTERRUPT; -1 none */
	int pending_ioapic_eoi;
	bool tpr_reporting;		/* (v) KVM_TPR_ACCESS_REPORTING */
	struct {
		u64 rip;		/* of the instruction */
		bool write;
	} tpr_report;			/* with KVM_REQ_REPORT_TPR */
	DECLARE_BITMAP(ioapic_handled_vectors, 256);
	bool bus_locked;		/* during this KVM_RUN, as an exit said */

	/* a guest (L1) that runs guests of its own (L2): nested.h */
	bool guest_mode;		/* (v), READ_ONCE elsewhere; the state is L2's */
	bool nested_entry;		/* (v) L1 has entered L2, the CPU has not yet */
	bool init_blocked;		/* (v), READ_ONCE elsewhere; INIT waits: GIF 0, or VMXON */
	struct kvm_event l2_vectoring;	/* (v) on its way into L2 when what is pending came up */
	u64 nested_tsc_offset;		/* of L2's TSC against L1's, 0 outside of L2 */
	u64 nested_tsc_ratio;		/* ... its speed, as tsc_scaling_ratio; likewise */
	unsigned long nested_cr_mask[2];	/* bits of CR0, CR4 that L1 keeps; likewise */
	unsigned long nested_cr_fixed[2];	/* ... that must be one, for VMX operation */

	/* time */
	struct kvm_pvclock pv_time;
	u64 timer_tsc;			/* exit at this host TSC (guest_timer); 0: never */
	u64 entry_tsc;			/* enter with LVTT's interrupt no earlier; 0: at once */
	u64 tsc_offset;			/* host TSC (scaled) + offset = guest TSC */
	u64 tsc_scaling_ratio;		/* fixed point; 0 while not scaled */
	u64 ia32_tsc_adjust_msr;
	u64 last_host_tsc;
	u64 tsc_slept;			/* so far the host's TSC went back while it slept */
	u32 virtual_tsc_khz;
	u32 virtual_tsc_mult;
	s8 virtual_tsc_shift;
	struct {
		u64 msr_val;
		u8 preempted;
		u64 last_steal;		/* run_delay of the thread, up to which it counts */
		pid_t tid;		/* which thread's */
		struct kvm_hva_cache cache;
	} st;
	struct {
		u64 msr_val;		/* PV EOI */
		struct kvm_hva_cache data;
	} pv_eoi;

	/* MCE */
	u64 mcg_cap, mcg_status, mcg_ctl;
	u64 mce_banks[KVM_OOT_MCE_BANKS * 4];
	u64 mce_ctl2[KVM_OOT_MCE_BANKS];

	/* performance counters (pmu.c) */
	struct kvm_pmu *pmu;		/* (c) NULL: the VM has none */
	bool pmu_counts_insns;		/* (v) some count what we carry out, too */
	u64 perf_capabilities;

	/* emulation and its unfinished business with user space */
	struct x86_emul *emul;
	int (*complete_userspace_io)(struct kvm_vcpu *vcpu);
	u8 hypercall_len;		/* bytes of the instruction that user space answers */
	struct {
		u16 port;
		u8 size;
		u8 count;		/* elements this round */
		bool in;
		u8 insn_len;		/* to step over when user space is done */
		unsigned long linear_rip;
		void *data;		/* the vCPU's PIO page */
	} pio;
	/* MMIO reads of the instruction being emulated, kept for its re-execution */
	struct {
		gpa_t gpa;
		u8 len;
		u8 data[32];
	} mmio_reads[4];
	u8 nr_mmio_reads;
	u8 next_mmio_read;

	/* PV features */
	struct {
		bool enforce;
		u32 features;
	} pv_cpuid;
	bool pv_unhalted;		/* (a) KVM_HC_KICK_CPU */
	struct kvm_apf *apf;		/* (c) NULL without an in-kernel LAPIC; async_pf.c */
	bool apf_halted;		/* (a) waits for a page, or an event */

	/* backend's own state */
	void *backend;
	void *guest_work;		/* (c) module/compat/guest_work.c */
};

/* struct kvm_arch.irqchip_mode */
enum kvm_irqchip_mode {
	KVM_IRQCHIP_NONE,
	KVM_IRQCHIP_KERNEL,	/* PIC, IOAPIC and LAPIC in the kernel */
	KVM_IRQCHIP_SPLIT,	/* LAPIC only */
};

/* struct kvm_arch.eoi_broadcast: does a LAPIC's EOI go to IOAPICs though the guest says no */
enum kvm_eoi_broadcast {
	KVM_EOI_BROADCAST_QUIRK,	/* it does; offered with IOAPICs in user space */
	KVM_EOI_BROADCAST_SUPPRESSIBLE,	/* it does not, which is offered */
	KVM_EOI_BROADCAST_ALWAYS,	/* it does; nothing is offered */
};

struct kvm_msr_filter;

struct kvm_arch {
	/* irqchip */
	enum kvm_irqchip_mode irqchip_mode;	/* (l), READ_ONCE elsewhere */
	struct kvm_pic *vpic;			/* (l) */
	struct kvm_ioapic *vioapic;		/* (l) */
	struct kvm_pit *vpit;			/* (l) */
	u16 nr_reserved_ioapic_pins;
	struct mutex apic_map_lock;		/* to replace apic_map */
	struct kvm_apic_map __rcu *apic_map;	/* apic_map_lock; RCU */
	atomic_t apic_map_dirty;
	struct page *apic_page;			/* (a) set once; irq/apic_page.c */
	gfn_t apic_page_gfn;			/* (m) where it is mapped; KVM_NO_APIC_PAGE */
	bool x2apic_format;			/* KVM_CAP_X2APIC_API */
	bool x2apic_broadcast_quirk_disabled;
	enum kvm_eoi_broadcast eoi_broadcast;	/* (l), READ_ONCE elsewhere */
	u32 bsp_vcpu_id;			/* (l) */
	u32 max_vcpu_ids;			/* (l) KVM_CAP_MAX_VCPU_ID */
	atomic_t nr_posting;			/* interrupts of devices that are posted */
	u64 apic_bus_cycle_ns;			/* (l); no vCPU yet when it is set */

	/* MMU (arch/x86/mmu) */
	void *mmu;				/* (c) its per-VM state */
	bool has_private_mem;			/* (c) by its type */
	u64 nr_mmu_pages_requested;
	unsigned int nr_logged_slots;		/* (s), READ_ONCE elsewhere */
	bool noncoherent_dma;			/* (a) of a device: it may go past the caches */

	/* backend */
	void *backend;				/* (c) */
	gpa_t tss_addr;				/* (s) */
	gpa_t identity_map_addr;		/* (s) */
	bool has_tss, has_identity_map;		/* (s) their slots are there */

	/* time */
	raw_spinlock_t tsc_write_lock;
	u64 last_tsc_nsec, last_tsc_write;
	u32 last_tsc_khz;
	u64 last_tsc_offset;
	u32 default_tsc_khz;
	seqcount_raw_spinlock_t pvclock_sc;
	bool use_master_clock;
	u64 master_kernel_ns;
	u64 master_cycle_now;
	s64 kvmclock_offset;
	struct mutex pvclock_lock;		/* whoever writes a vCPU's copy, or moves it */
	unsigned int pvclock_written;		/* (pvclock_lock) pvclock_sc of all copies */
	u64 wall_clock_msr;

	/* policy given by user space (l), READ_ONCE elsewhere */
	u64 disabled_quirks;
	u64 disabled_exits;			/* KVM_X86_DISABLE_EXITS_* */
	bool exception_payload_enabled;
	bool triple_fault_event;
	bool guest_can_read_platform_info;
	u32 user_space_msr_mask;		/* KVM_MSR_EXIT_REASON_* */
	u32 hypercall_exits;			/* bits of KVM_HC_*: for user space */
	struct kvm_msr_filter __rcu *msr_filter;
	struct kvm_oot_pmu_filter __rcu *pmu_filter;	/* (l), kvm->srcu for reading */
	bool pmu_disabled;			/* (l); no vCPU yet when it is set */
	bool exit_on_emulation_error;
	bool bus_lock_exit;			/* KVM_BUS_LOCK_DETECTION_EXIT, for new vCPUs */
	u32 notify_window;			/* with @notify_flags; no vCPU yet when it is set */
	u32 notify_flags;			/* KVM_X86_NOTIFY_VMEXIT_* */
	bool disable_nx_huge_pages;		/* (l); no vCPU yet when it is set */
};

#endif /* KVM_OOT_X86_TYPES_H */
