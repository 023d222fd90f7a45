/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the x86 files offer to each other, and the contract with a backend.
 *
 * A backend (arch/x86/svm, arch/x86/vmx) enables the CPU, keeps the hardware
 * state of one vCPU, enters the guest, says in struct kvm_exit what happened,
 * and injects events. Everything it reports is acted on by common code.
 */
#ifndef KVM_OOT_X86_H
#define KVM_OOT_X86_H

#include "module/kvm_host.h"
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/cpufeature.h>

/* ---- exits ------------------------------------------------------------------ */

enum kvm_exit_kind {
	KVM_XK_FAIL_ENTRY,	/* hardware refused the state: hw_reason */
	KVM_XK_UNKNOWN,		/* hw_reason has no meaning to the backend */
	KVM_XK_HANDLED,		/* nothing left to do (host interrupt, host NMI, stale) */
	KVM_XK_INTR,		/* host interrupt: host_vector, or still pending */
	KVM_XK_INTR_WINDOW,	/* the guest can take an interrupt now */
	KVM_XK_NMI_WINDOW,	/* ... an NMI */
	KVM_XK_EXCEPTION,	/* exc */
	KVM_XK_TDP_FAULT,	/* pf: nested page fault */
	KVM_XK_DOORBELL,	/* pf.gpa: kvm_mmu_mark_doorbell(); the length is known */
	KVM_XK_CPUID,
	KVM_XK_HLT,
	KVM_XK_IO,		/* io */
	KVM_XK_RDMSR,		/* ECX */
	KVM_XK_WRMSR,
	KVM_XK_CR,		/* cr */
	KVM_XK_DR,		/* dr */
	KVM_XK_INVLPG,		/* addr.gva */
	KVM_XK_INVPCID,
	KVM_XK_HYPERCALL,
	KVM_XK_RDPMC,
	KVM_XK_RDTSC,
	KVM_XK_RDTSCP,
	KVM_XK_WBINVD,
	KVM_XK_INVD,
	KVM_XK_MONITOR,
	KVM_XK_MWAIT,
	KVM_XK_PAUSE,
	KVM_XK_XSETBV,
	KVM_XK_TRIPLE_FAULT,
	KVM_XK_TASK_SWITCH,	/* task */
	KVM_XK_UD,		/* an instruction this guest does not have */
	KVM_XK_VIRT,		/* one of the virtualization extension, which this guest has */
	KVM_XK_EMULATE,		/* carry out the instruction at RIP */
	KVM_XK_CANNOT_EMULATE,	/* ... but nothing can: user space is told */
	KVM_XK_TIMER,		/* arch.timer_tsc may have come */
	KVM_XK_TPR_BELOW,	/* TPR dropped: an interrupt may be deliverable */
	KVM_XK_APIC_ACCESS,	/* apic: an access to the APIC page that hardware leaves to us */
	KVM_XK_APIC_EOI,	/* apic.vector: hardware has ended it, others want to know */
	KVM_XK_RSM,
	KVM_XK_INIT,
	KVM_XK_NOTIFY,		/* notify: the guest kept all events from itself for too long */
	KVM_XK_COUNT
};

/**
 * struct kvm_exit - what made the guest stop, in plain fields
 * @kind: selects the member of the union
 * @insn_len: bytes of the instruction, 0 when the CPU does not tell
 * @bus_lock: beside @kind: an instruction of the guest locked the bus, or is about to
 * @vectoring: event whose delivery was interrupted by this exit
 * @hw_reason: the hardware's own exit code, for traces and FAIL_ENTRY
 * @hw_info1: details that the hardware gives with it (SVM: EXITINFO1), for traces
 * @hw_info2: likewise (SVM: EXITINFO2)
 * @io: port I/O
 * @pf: nested page fault
 * @exc: intercepted exception
 * @cr: access to a control register
 * @dr: access to a debug register
 * @addr: INVLPG
 * @apic: access to the APIC page, or EOI
 * @host_vector: KVM_XK_INTR: what the CPU has taken from the host's APIC, 0: nothing
 * @task: task switch
 * @notify: no event could be delivered for as long as the VM's notify window
 * @nr_insn_bytes: how many of @insn_bytes there are
 * @insn_bytes: instruction bytes that the CPU fetched
 */
struct kvm_exit {
	enum kvm_exit_kind kind;
	u8 insn_len;
	u8 nr_insn_bytes;
	bool bus_lock;
	struct kvm_event vectoring;
	u64 hw_reason;
	u64 hw_info1;
	u64 hw_info2;
	union {
		struct {
			u16 port;
			u8 size;
			bool in, string, rep;
		} io;
		struct {
			gpa_t gpa;
			u64 error_code;		/* PFERR_* */
		} pf;
		struct {
			u8 vector;
			bool has_error_code;
			u32 error_code;
			u64 payload;		/* CR2 of #PF, DR6 bits of #DB */
		} exc;
		struct {
			bool decoded;		/* else emulate */
			bool write;
			u8 cr, gpr;		/* CR number or 16: LMSW, 17: CLTS */
		} cr;
		struct {
			bool decoded;
			bool write;
			u8 dr, gpr;
		} dr;
		struct {
			bool decoded;
			gva_t gva;
		} addr;
		struct {
			u16 selector;
			u8 reason;		/* 0 CALL, 1 IRET, 2 JMP, 3 gate */
			u8 gate_vector_type;	/* KVM_EVENT_* when reason is 3 */
			bool has_error_code;
			u32 error_code;
		} task;
		struct {
			u16 offset;
			u8 vector;
			bool write;
			bool done;	/* the page has the value, RIP is past it */
		} apic;
		struct {
			bool context_invalid;	/* the guest's state is lost */
		} notify;
		u8 host_vector;
	};
	u8 insn_bytes[16];
};

/* x86 page-fault error code, and the bits that nested paging adds */
#define PFERR_PRESENT		BIT_ULL(0)
#define PFERR_WRITE		BIT_ULL(1)
#define PFERR_USER		BIT_ULL(2)
#define PFERR_RSVD		BIT_ULL(3)
#define PFERR_FETCH		BIT_ULL(4)
#define PFERR_PK		BIT_ULL(5)
#define PFERR_GUEST_FINAL	BIT_ULL(32)	/* the final guest physical address */
#define PFERR_GUEST_PAGE	BIT_ULL(33)	/* a guest page table */

/* ---- backend -------------------------------------------------------------- */

enum kvm_tlb_scope {
	KVM_TLB_ALL,		/* everything of this vCPU, nested and guest */
	KVM_TLB_GUEST,		/* what a guest can flush: linear mappings */
	KVM_TLB_GVA,		/* one linear address */
};

/* with KVM_X86_SHADOW_INT_*: what get_blocking() and set_blocking() speak of */
#define KVM_BLOCKED_NMI		BIT(8)
#define KVM_BLOCKED_STATE	BIT(9)	/* everything: the backend cannot run this state */
#define KVM_BLOCKED_SHADOW	(KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS)

#define KVM_BLOCKED_GIF		BIT(10)	/* all events: SVM's global interrupt flag is clear */

/* events of a nested guest that may be L1's */
enum kvm_nested_event {
	KVM_NESTED_EXCEPTION,	/* arch.exception, pending */
	KVM_NESTED_INTR,
	KVM_NESTED_NMI,
	KVM_NESTED_SMI,
	KVM_NESTED_INIT,
	KVM_NESTED_TRIPLE_FAULT,
};

enum kvm_nested_answer {
	KVM_NESTED_L2,		/* L1 does not want it: L2 takes it as any guest */
	KVM_NESTED_L2_NOW,	/* likewise, an interrupt, whatever L2's IF is */
	KVM_NESTED_WAIT,	/* L1's, but L2 cannot be left now */
	KVM_NESTED_L1,		/* L1's now */
};

/* results of get_msr/set_msr style functions */
#define KVM_MSR_RET_INVALID	2	/* no such MSR: userspace, ignore_msrs or #GP */
#define KVM_MSR_RET_FILTERED	3
/* 0: done; 1: #GP / refused */

struct kvm_msr_data {
	bool host_initiated;
	u32 index;
	u64 data;
};

/* numbers that trace readers know */
#define KVM_OOT_ISA_VMX		1
#define KVM_OOT_ISA_SVM		2

/*
 * struct kvm_backend_ops: a CPU vendor's virtualization extension
 *
 * None is NULL. "preempt" = called with preemption off and the vCPU loaded,
 * "irqoff" = also with interrupts off, "load" = vCPU loaded, may sleep.
 */
struct kvm_backend_ops {
	const char *name;
	struct module *owner;
	unsigned int exit_reason_isa;	/* KVM_OOT_ISA_* */
	bool tdp;			/* nested/extended paging is used */
	bool has_bus_lock_exit;
	bool has_notify_exit;
	bool guest_timer;		/* @enter returns with KVM_XK_TIMER at arch.timer_tsc */
	bool real_mode_pages;		/* TSS and identity map for real mode, see realmode.c */
	bool has_tsc_aux;		/* a guest can be given TSC_AUX */
	bool virtual_spec_ctrl;		/* the hardware switches SPEC_CTRL */
	bool apic_page;			/* accesses to kvm->arch.apic_page are told apart */
	bool posts_intr;		/* vectors go to post_intr, not to IRR */
	bool devices_post;		/* device_posts can be asked */
	bool wbinvd_exits;		/* WBINVD is KVM_XK_WBINVD; else the CPU carries it out */
	bool pat_is_guests;		/* with shadow paging: the CPU's PAT is the guest's */
	bool ignores_guest_pat;		/* user space cannot have it otherwise */
	bool switches_pmu;		/* perf's events can count in the guest only */
	bool nested;			/* guests can have the extension for themselves */
	u32 svm_edx;			/* with SVM: CPUID 8000_000A, EDX, of guests */
	u8 tsc_scaling_frac_bits;	/* 0: no hardware scaling */
	u64 max_tsc_scaling_ratio;
	/* instruction that a hypercall is on this vendor: 3 bytes */
	u8 hypercall_insn[3];

	/* per CPU; on the CPU itself, irqoff. -EBUSY when something else has it */
	int (*enable_cpu)(void);
	void (*disable_cpu)(void);
	/* likewise: -EIO when it has less than the boot CPU, -EBUSY; nothing is logged */
	int (*check_cpu)(void);

	int (*vcpu_create)(struct kvm_vcpu *vcpu);
	void (*vcpu_free)(struct kvm_vcpu *vcpu);
	/* state after RESET (@init false) or INIT that only the backend holds; common
	 * code sets registers, segments, CRs and EFER itself through the ops below
	 */
	void (*vcpu_reset)(struct kvm_vcpu *vcpu, bool init);
	void (*vcpu_load)(struct kvm_vcpu *vcpu, int cpu);	/* preempt */
	void (*vcpu_put)(struct kvm_vcpu *vcpu);		/* preempt */
	/* what the guest may reach by itself: its CPUID or the MSR filter changed; load */
	void (*update_config)(struct kvm_vcpu *vcpu);

	/* run the guest until it exits, decode into @exit; irqoff. Host interrupts
	 * that ended it are taken when the caller opens IRQs, or named in @exit
	 * (host_vector). Updates regs, RIP, RFLAGS, CR2; marks the rest stale.
	 * @req_immediate: leave again as soon as pending injection is done.
	 */
	void (*enter)(struct kvm_vcpu *vcpu, struct kvm_exit *exit, bool req_immediate);

	/* load @reg (enum kvm_reg) into vcpu->arch.regs[]; preempt or load */
	void (*cache_reg)(struct kvm_vcpu *vcpu, enum kvm_reg reg);
	/* of the GDTR and IDTR only base and limit count */
	void (*get_segment)(struct kvm_vcpu *vcpu, enum kvm_seg seg,
			    struct kvm_segment *var);
	void (*set_segment)(struct kvm_vcpu *vcpu, enum kvm_seg seg,
			    const struct kvm_segment *var);
	int (*get_cpl)(struct kvm_vcpu *vcpu);
	bool (*is_64_bit_code)(struct kvm_vcpu *vcpu);	/* LMA and CS.L */
	/* values were checked by common code, which also keeps the guest's view */
	void (*set_cr0)(struct kvm_vcpu *vcpu, unsigned long cr0);
	void (*set_cr4)(struct kvm_vcpu *vcpu, unsigned long cr4);
	void (*set_efer)(struct kvm_vcpu *vcpu, u64 efer);
	/* guest CR3 changed under TDP (@cr3), and/or the TDP root is @root */
	void (*load_root)(struct kvm_vcpu *vcpu, hpa_t root, int level);
	void (*sync_debugregs)(struct kvm_vcpu *vcpu);	/* hardware -> arch.dr6/dr7 */
	/* guest_debug or switch_db_regs changed: which exceptions and DR accesses exit */
	void (*update_intercepts)(struct kvm_vcpu *vcpu);

	/* events */
	void (*inject)(struct kvm_vcpu *vcpu, const struct kvm_event *ev);
	/* take back what @inject set up and the hardware has not begun, as in exit->vectoring */
	void (*cancel_injection)(struct kvm_vcpu *vcpu, struct kvm_event *ev);
	/* KVM_X86_SHADOW_INT_* and KVM_BLOCKED_* that are in force; load */
	u32 (*get_blocking)(struct kvm_vcpu *vcpu);
	/* of those in @which, the ones in @blocked are in force from now on; load */
	void (*set_blocking)(struct kvm_vcpu *vcpu, u32 which, u32 blocked);
	/* exit, once, as soon as KVM_EVENT_INTR or KVM_EVENT_NMI can be delivered; load */
	void (*request_window)(struct kvm_vcpu *vcpu, enum kvm_event_type type);
	/* highest pending interrupt vs. TPR: when to be told that CR8 dropped */
	void (*update_cr8_intercept)(struct kvm_vcpu *vcpu, int tpr, int irr);
	/* mode of the LAPIC, apic->hw_delivers or ioapic_handled_vectors changed; load */
	void (*apic_changed)(struct kvm_vcpu *vcpu);
	/* where posts_intr: accept @vector for the vCPU and make it look; any context */
	void (*post_intr)(struct kvm_vcpu *vcpu, u8 vector);
	/* likewise: move what was accepted to IRR; the vCPU's thread, outside the guest */
	void (*sync_irr)(struct kvm_vcpu *vcpu);
	/* where devices_post: the host's interrupt comes to the vCPU as @vector, or, with NULL,
	 * to the host again; any context. 0, -errno
	 */
	int (*device_posts)(int host_irq, struct kvm_vcpu *vcpu, u8 vector);

	void (*flush_tlb)(struct kvm_vcpu *vcpu, enum kvm_tlb_scope scope, gva_t gva);
	/* vendor MSRs: 0, 1 (#GP), KVM_MSR_RET_INVALID */
	int (*get_msr)(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
	int (*set_msr)(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
	int (*get_feature_msr)(u32 index, u64 *data);
	/* arch.tsc_offset or arch.tsc_scaling_ratio changed; load */
	void (*write_tsc)(struct kvm_vcpu *vcpu);

	/* nested guests, see nested.h; load, SRCU held. All but the first are called where
	 * arch.guest_mode is set, or with @nested only.
	 */
	/* KVM_XK_VIRT: as any exit's handler */
	int (*virt_insn)(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
	/* L2 exited: true when it was for L1, which is what runs now */
	bool (*nested_exit)(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
	/* who gets @what; with @take, KVM_NESTED_L1 means that L1 runs now, and has it. Without,
	 * nothing changes
	 */
	enum kvm_nested_answer (*nested_event)(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					       bool take);
	/* L2's instruction is about to be emulated: true when L1 intercepts it and runs now */
	bool (*nested_insn)(struct kvm_vcpu *vcpu, const struct x86_emul *e);
	/* L1's state again, nothing is told to it: RESET, INIT; no-op outside L2 */
	void (*nested_leave)(struct kvm_vcpu *vcpu);
	/* KVM_REQ_NESTED_PAGES: what SET_NESTED_STATE could not read yet. 0, -errno */
	int (*nested_pages)(struct kvm_vcpu *vcpu);
	/* an SMI comes in L2: SMM's state is no guest's; RSM back to L2. 0: shut down */
	void (*nested_smi)(struct kvm_vcpu *vcpu);
	bool (*nested_rsm)(struct kvm_vcpu *vcpu);
	/* KVM_GET_NESTED_STATE: bytes that there are, written when @size is enough; @user may be
	 * NULL. KVM_SET_NESTED_STATE: @hdr was checked for what any vendor has
	 */
	int (*get_nested_state)(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
				u32 size);
	int (*set_nested_state)(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user,
				const struct kvm_nested_state *hdr);
	int nested_state_size;		/* the most that get_nested_state() writes */
};

extern struct kvm_backend_ops kvm_be;	/* copy of the loaded backend's; read-only data fields */

#define KVM_BE_CALL(op)		DECLARE_STATIC_CALL(kvm_be_##op, *kvm_be.op)
#include "arch/x86/backend_calls.h"

/* common code calls the backend with this: kvm_be_call(set_cr0)(vcpu, cr0) */
#define kvm_be_call(op)		static_call(kvm_be_##op)

/* arch/x86/main.c */
int kvm_x86_backend_init(const struct kvm_backend_ops *ops);	/* by kvm-amd / kvm-intel */
void kvm_x86_backend_exit(void);

/* ---- register access (inline) ------------------------------------------------ */

static inline bool kvm_reg_avail(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	return vcpu->arch.regs_avail & BIT(reg);
}

static inline void kvm_reg_mark_avail(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	vcpu->arch.regs_avail |= BIT(reg);
}

static inline void kvm_reg_mark_dirty(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	vcpu->arch.regs_avail |= BIT(reg);
	vcpu->arch.regs_dirty |= BIT(reg);
}

static inline unsigned long kvm_reg_read_raw(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	if (!kvm_reg_avail(vcpu, reg)) {
		kvm_be_call(cache_reg)(vcpu, reg);
		kvm_reg_mark_avail(vcpu, reg);
	}
	return vcpu->arch.regs[reg];
}

static inline void kvm_reg_write_raw(struct kvm_vcpu *vcpu, enum kvm_reg reg,
				     unsigned long val)
{
	vcpu->arch.regs[reg] = val;
	kvm_reg_mark_dirty(vcpu, reg);
}

static inline unsigned long kvm_gpr_read(struct kvm_vcpu *vcpu, int reg)
{
	return kvm_reg_read_raw(vcpu, reg);
}

static inline void kvm_gpr_write(struct kvm_vcpu *vcpu, int reg, unsigned long v)
{
	kvm_reg_write_raw(vcpu, reg, v);
}

/* RFLAGS with whatever is set in them; kvm_get_rflags() hides a debugger's TF */
static inline unsigned long kvm_rflags_read(struct kvm_vcpu *vcpu)
{
	return kvm_reg_read_raw(vcpu, VCPU_REG_RFLAGS);
}

static inline void kvm_rflags_write(struct kvm_vcpu *vcpu, unsigned long v)
{
	kvm_reg_write_raw(vcpu, VCPU_REG_RFLAGS, v);
}

static inline unsigned long kvm_rip_read(struct kvm_vcpu *vcpu)
{
	return kvm_reg_read_raw(vcpu, VCPU_REG_RIP);
}

static inline void kvm_rip_write(struct kvm_vcpu *vcpu, unsigned long v)
{
	kvm_reg_write_raw(vcpu, VCPU_REG_RIP, v);
}

/* CR0, CR3, CR4 as the guest sees them. Writing is kvm_set_crN() in regs.c. */
static inline unsigned long kvm_read_cr0(struct kvm_vcpu *vcpu)
{
	return kvm_reg_read_raw(vcpu, VCPU_REG_CR0);
}

static inline unsigned long kvm_read_cr3(struct kvm_vcpu *vcpu)
{
	return kvm_reg_read_raw(vcpu, VCPU_REG_CR3);
}

static inline unsigned long kvm_read_cr4(struct kvm_vcpu *vcpu)
{
	return kvm_reg_read_raw(vcpu, VCPU_REG_CR4);
}

static inline u32 kvm_get_int_shadow(struct kvm_vcpu *vcpu)
{
	return kvm_be_call(get_blocking)(vcpu) & KVM_BLOCKED_SHADOW;
}

static inline void kvm_set_int_shadow(struct kvm_vcpu *vcpu, u32 shadow)
{
	kvm_be_call(set_blocking)(vcpu, KVM_BLOCKED_SHADOW, shadow);
}

static inline void kvm_set_nmi_mask(struct kvm_vcpu *vcpu, bool masked)
{
	kvm_be_call(set_blocking)(vcpu, KVM_BLOCKED_NMI, masked ? KVM_BLOCKED_NMI : 0);
}

static inline void kvm_get_dtable(struct kvm_vcpu *vcpu, enum kvm_seg table,
				  struct kvm_dtable *dt)
{
	struct kvm_segment seg;

	kvm_be_call(get_segment)(vcpu, table, &seg);
	dt->base = seg.base;
	dt->limit = seg.limit;
}

static inline void kvm_set_dtable(struct kvm_vcpu *vcpu, enum kvm_seg table,
				  const struct kvm_dtable *dt)
{
	struct kvm_segment seg = { .base = dt->base, .limit = dt->limit };

	kvm_be_call(set_segment)(vcpu, table, &seg);
}

/* what L2 makes of CR0 (@i 0) or CR4 (1) by writing @val: bits that L1 keeps stay */
static inline unsigned long kvm_nested_cr(struct kvm_vcpu *vcpu, int i, unsigned long val)
{
	unsigned long mask = vcpu->arch.nested_cr_mask[i];

	if (likely(!mask))
		return val;
	return (val & ~mask) | (mask & (i ? kvm_read_cr4(vcpu) : kvm_read_cr0(vcpu)));
}

/* a bit of CR0 or CR4 is clear that must not be */
static inline bool kvm_cr_fixed_violated(struct kvm_vcpu *vcpu, int i, unsigned long val)
{
	return (vcpu->arch.nested_cr_fixed[i] & ~val) && !vcpu->arch.smm;
}

static inline bool kvm_cr0_bit(struct kvm_vcpu *vcpu, unsigned long bit)
{
	return kvm_read_cr0(vcpu) & bit;
}

static inline bool kvm_cr4_bit(struct kvm_vcpu *vcpu, unsigned long bit)
{
	return kvm_read_cr4(vcpu) & bit;
}

static inline bool is_protmode(struct kvm_vcpu *vcpu)
{
	return kvm_cr0_bit(vcpu, X86_CR0_PE);
}

static inline bool is_paging(struct kvm_vcpu *vcpu)
{
	return kvm_cr0_bit(vcpu, X86_CR0_PG);
}

static inline bool is_long_mode(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.efer & EFER_LMA;
}

static inline bool is_pae(struct kvm_vcpu *vcpu)
{
	return kvm_cr4_bit(vcpu, X86_CR4_PAE);
}

bool is_64_bit_mode(struct kvm_vcpu *vcpu);	/* LMA and CS.L; regs.c */

static inline void kvm_write_edx_eax(struct kvm_vcpu *vcpu, u64 data)
{
	kvm_gpr_write(vcpu, VCPU_REG_RAX, (u32)data);
	kvm_gpr_write(vcpu, VCPU_REG_RDX, data >> 32);
}

static inline u64 kvm_read_edx_eax(struct kvm_vcpu *vcpu)
{
	return (kvm_gpr_read(vcpu, VCPU_REG_RAX) & 0xffffffffu) |
	       ((u64)(kvm_gpr_read(vcpu, VCPU_REG_RDX) & 0xffffffffu) << 32);
}

/* ---- run loop and exits: arch/x86/run.c, exits.c ------------------------------ */

/* handlers: >0 re-enter the guest, 0 leave to user space, <0 -errno */
int kvm_handle_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit);
int kvm_skip_insn(struct kvm_vcpu *vcpu, const struct kvm_exit *exit);
int kvm_skip_emulated_insn(struct kvm_vcpu *vcpu);	/* decodes the length */
int kvm_emulate_halt(struct kvm_vcpu *vcpu);
/* hypercalls that user space may have for itself: KVM_CAP_EXIT_HYPERCALL */
#define KVM_OOT_HYPERCALL_EXITS	BIT(KVM_HC_MAP_GPA_RANGE)

int kvm_emulate_hypercall(struct kvm_vcpu *vcpu, const struct kvm_exit *exit);
void kvm_prepare_emulation_failure_exit(struct kvm_vcpu *vcpu);

/* ---- events: arch/x86/events.c -------------------------------------------------- */

void kvm_queue_exception(struct kvm_vcpu *vcpu, u8 vector);
void kvm_queue_exception_e(struct kvm_vcpu *vcpu, u8 vector, u32 error_code);
void kvm_queue_exception_p(struct kvm_vcpu *vcpu, u8 vector, unsigned long payload);
void kvm_inject_gp(struct kvm_vcpu *vcpu, u32 error_code);
void kvm_inject_page_fault(struct kvm_vcpu *vcpu, const struct kvm_fault *fault);
void kvm_inject_nmi(struct kvm_vcpu *vcpu);		/* from anywhere */
/* before entry: pick and inject; >0: the state is another one, begin again */
int kvm_inject_pending_events(struct kvm_vcpu *vcpu, bool *req_immediate);
void kvm_requeue_event(struct kvm_vcpu *vcpu, const struct kvm_event *ev);
bool kvm_vcpu_has_events(struct kvm_vcpu *vcpu);
void kvm_clear_all_events(struct kvm_vcpu *vcpu);
bool kvm_accepts_user_interrupt(struct kvm_vcpu *vcpu);
bool kvm_vcpu_ready_for_interrupt_injection(struct kvm_vcpu *vcpu);
bool kvm_intr_allowed(struct kvm_vcpu *vcpu);
void kvm_get_vcpu_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *ev);
int kvm_set_vcpu_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *ev);
int kvm_vcpu_ioctl_interrupt(struct kvm_vcpu *vcpu, struct kvm_interrupt *irq);

/* ---- system management mode: arch/x86/smm.c ------------------------------------- */

static inline bool kvm_has_smm(struct kvm *kvm)
{
	return kvm_address_spaces(kvm) > 1;
}

bool kvm_inject_smi(struct kvm_vcpu *vcpu);		/* from anywhere */
void kvm_process_smi(struct kvm_vcpu *vcpu);
void kvm_enter_smm(struct kvm_vcpu *vcpu);
bool kvm_leave_smm(struct kvm_vcpu *vcpu, struct x86_emul *e);
void kvm_smm_changed(struct kvm_vcpu *vcpu, bool smm);
void kvm_get_smm_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *ev);
bool kvm_smm_events_valid(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *ev);
void kvm_set_smm_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *ev);

/* ---- emulator glue and I/O: arch/x86/emul_glue.c, io.c ---------------------------- */

int kvm_emul_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_emul_vcpu_free(struct kvm_vcpu *vcpu);
#define KVM_EMUL_SKIP		BIT(0)	/* only step over the instruction */
#define KVM_EMUL_FAULT		BIT(1)	/* because of a fault at @gpa */
#define KVM_EMUL_UD		BIT(2)	/* because of #UD: only what the guest may have patched */
#define KVM_EMUL_NO_DECODE	BIT(3)	/* re-execution after user space answered */
#define KVM_EMUL_MMIO		BIT(4)	/* there is no memory at @gpa */
#define KVM_EMUL_TABLE		BIT(5)	/* a table of the guest's is there, which is shadowed */
int kvm_emulate_insn(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int flags,
		     const void *insn, unsigned int insn_len);
int kvm_deliver_real_mode_event(struct kvm_vcpu *vcpu, u8 vector, unsigned int insn_len);
int kvm_fast_pio(struct kvm_vcpu *vcpu, u16 port, unsigned int size, bool in,
		 const struct kvm_exit *exit);
/* kernel devices first, then user space: 1 done, 0 user space needed */
int kvm_pio_in(struct kvm_vcpu *vcpu, unsigned int size, u16 port, void *val,
	       unsigned int count);
int kvm_pio_out(struct kvm_vcpu *vcpu, unsigned int size, u16 port,
		const void *val, unsigned int count);

/* ---- pages for real mode without the hardware's help: arch/x86/realmode.c ---- */

int kvm_set_tss_addr(struct kvm *kvm, gpa_t addr);
int kvm_alloc_identity_map(struct kvm *kvm);
void kvm_free_private_slots(struct kvm *kvm);

/* ---- registers: arch/x86/regs.c ------------------------------------------- */

int kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);	/* 0, or 1: #GP */
int kvm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3);
int kvm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
int kvm_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8);
unsigned long kvm_get_cr8(struct kvm_vcpu *vcpu);
int kvm_set_efer(struct kvm_vcpu *vcpu, u64 efer, bool host);
bool kvm_guest_efer_valid(struct kvm_vcpu *vcpu, u64 efer);
/* all at once, checked */
void kvm_load_control_regs(struct kvm_vcpu *vcpu, unsigned long cr0, unsigned long cr3,
			   unsigned long cr4, u64 efer);
bool kvm_load_pae_pointers(struct kvm_vcpu *vcpu);
int kvm_set_dr(struct kvm_vcpu *vcpu, int dr, unsigned long val);	/* 0, or 1: #GP */
unsigned long kvm_get_dr(struct kvm_vcpu *vcpu, int dr);
void kvm_update_dr7(struct kvm_vcpu *vcpu);
int kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr);
unsigned long kvm_get_rflags(struct kvm_vcpu *vcpu);	/* hides the debugger's TF */
void kvm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags);
unsigned long kvm_get_linear_rip(struct kvm_vcpu *vcpu);
void kvm_vcpu_reset(struct kvm_vcpu *vcpu, bool init);
/* GET/SET_REGS, SREGS(2), DEBUGREGS, GUEST_DEBUG, TRANSLATE...; -ENOTTY when not one of them */
long kvm_regs_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);
void kvm_sync_regs_store(struct kvm_vcpu *vcpu);	/* kvm_run->s.regs; sync_regs */
int kvm_sync_regs_load(struct kvm_vcpu *vcpu);

/* ---- FPU: arch/x86/fpu.c -------------------------------------------------- */

int kvm_fpu_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_fpu_vcpu_free(struct kvm_vcpu *vcpu);
void kvm_fpu_vcpu_reset(struct kvm_vcpu *vcpu, bool init);
void kvm_load_guest_fpu(struct kvm_vcpu *vcpu);	/* KVM_RUN begins */
void kvm_put_guest_fpu(struct kvm_vcpu *vcpu);
void kvm_load_guest_xsave_state(struct kvm_vcpu *vcpu);	/* XCR0/XSS/PKRU around entry, irqoff */
void kvm_load_host_xsave_state(struct kvm_vcpu *vcpu);
int kvm_xsave2_size(struct kvm *kvm);	/* bytes, KVM_CAP_XSAVE2; kvm may be NULL */
long kvm_fpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);

/* ---- CPUID: arch/x86/cpuid.c ---------------------------------------------- */

void kvm_cpuid_module_init(void);		/* capabilities of this host */
void kvm_cpuid_clear_cap(unsigned int feature);	/* backend: X86_FEATURE_* that it cannot give */
void kvm_cpuid_set_cap(unsigned int feature);	/* ... or emulates without host support */
bool kvm_cpuid_host_cap(unsigned int feature);	/* offered to guests? */
int kvm_cpuid_supported(struct kvm_cpuid_entry2 *entries, int max, bool emulated);
int kvm_get_supported_cpuid(struct kvm_cpuid2 *cpuid,
			    struct kvm_cpuid_entry2 __user *entries, bool emulated);
struct kvm_cpuid_entry2 *kvm_find_cpuid(struct kvm_vcpu *vcpu, u32 function,
					u32 index);
bool kvm_guest_is_amd(struct kvm_vcpu *vcpu);
bool kvm_guest_is_intel(struct kvm_vcpu *vcpu);
bool guest_has(struct kvm_vcpu *vcpu, unsigned int feature);	/* X86_FEATURE_*, from its CPUID */
bool kvm_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx,
	       bool exact);
bool kvm_cpuid_faults(struct kvm_vcpu *vcpu);
int kvm_emulate_cpuid(struct kvm_vcpu *vcpu);	/* registers only; caller skips */
void kvm_update_cpuid_runtime(struct kvm_vcpu *vcpu);	/* OSXSAVE, APIC bit, PV ... */
void kvm_cpuid_vcpu_init(struct kvm_vcpu *vcpu);
void kvm_cpuid_vcpu_free(struct kvm_vcpu *vcpu);
long kvm_cpuid_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);
bool kvm_pv_has(struct kvm_vcpu *vcpu, unsigned int feature);	/* KVM_FEATURE_* */
static inline int kvm_maxphyaddr(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.cpuid.maxphyaddr;
}

static inline bool kvm_gpa_is_legal(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	return !(gpa & vcpu->arch.cpuid.reserved_gpa_bits);
}

/* ---- MSRs: arch/x86/msr.c ------------------------------------------------- */

void kvm_msr_module_init(void);
/* guest or host access incl. filter for guests: 0, 1 (#GP), KVM_MSR_RET_* */
int kvm_get_msr(struct kvm_vcpu *vcpu, u32 index, u64 *data, bool host);
int kvm_set_msr(struct kvm_vcpu *vcpu, u32 index, u64 data, bool host);
int kvm_emulate_rdmsr(struct kvm_vcpu *vcpu, const struct kvm_exit *exit);
int kvm_emulate_wrmsr(struct kvm_vcpu *vcpu, const struct kvm_exit *exit);
bool kvm_msr_allowed(struct kvm_vcpu *vcpu, u32 index, u32 type);
/* ask user space about a refused access: true when the exit was prepared */
bool kvm_msr_user_space(struct kvm_vcpu *vcpu, u32 index, u32 exit_reason,
			u64 data, int ret);
int kvm_vm_set_msr_filter(struct kvm *kvm, void __user *argp);
void kvm_vm_free_msr_filter(struct kvm *kvm);
long kvm_msr_dev_ioctl(unsigned int ioctl, void __user *argp);
long kvm_msr_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);
long kvm_mce_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);
void kvm_msr_vcpu_reset(struct kvm_vcpu *vcpu, bool init);
int kvm_mce_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_host_machine_check(void);	/* a backend, after such an exit */

/* ---- time: arch/x86/time.c ------------------------------------------------ */

int kvm_time_module_init(void);
void kvm_time_module_exit(void);
void kvm_time_vm_init(struct kvm *kvm);
void kvm_time_vm_destroy(struct kvm *kvm);
void kvm_time_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_time_vcpu_postcreate(struct kvm_vcpu *vcpu);
void kvm_time_vcpu_reset(struct kvm_vcpu *vcpu);
void kvm_time_vcpu_load(struct kvm_vcpu *vcpu, int cpu);
void kvm_time_vcpu_put(struct kvm_vcpu *vcpu);
u64 kvm_read_guest_tsc(struct kvm_vcpu *vcpu, u64 host_tsc);
u64 kvm_nested_tsc(struct kvm_vcpu *vcpu, u64 tsc);	/* L2's, when L1's is @tsc */
void kvm_write_guest_tsc(struct kvm_vcpu *vcpu, u64 data, bool host);	/* MSR_IA32_TSC */
void kvm_adjust_guest_tsc(struct kvm_vcpu *vcpu, s64 delta);
void kvm_pvclock_scale(u32 khz, u32 *mult, s8 *shift);
int kvm_time_handle_requests(struct kvm_vcpu *vcpu);	/* CLOCK_UPDATE, MASTERCLOCK, STEAL */
/* pvclock, wall clock and steal MSRs: 0, 1, KVM_MSR_RET_INVALID */
int kvm_time_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int kvm_time_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
long kvm_time_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp);
long kvm_time_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, unsigned long arg);
u64 kvm_get_kvmclock_ns(struct kvm *kvm);
long kvm_clock_pairing(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned long type);
unsigned int kvm_host_tsc_khz(void);

/* ---- MMU: arch/x86/mmu ---------------------------------------------------- */

#include "arch/x86/mmu/mmu.h"

/* ---- interrupt controllers: arch/x86/irq ---------------------------------- */

#include "arch/x86/irq/irq.h"

/* ---- module parameters (arch/x86/main.c) ---------------------------------- */
extern bool kvm_ignore_msrs;
extern bool kvm_report_ignored_msrs;
extern bool kvm_force_emulation_prefix;
extern u64 kvm_supported_xcr0, kvm_supported_xss;	/* what guests can be given */
extern u64 kvm_host_xcr0, kvm_host_xss;			/* what the host runs with */

#define KVM_OOT_VALID_CR0 (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | \
	X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | \
	X86_CR0_CD | X86_CR0_PG)

#endif /* KVM_OOT_X86_H */
