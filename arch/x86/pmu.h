/* SPDX-License-Identifier: GPL-2.0-only */
/* Performance counters of the guest; see pmu.c. */
#ifndef KVM_OOT_PMU_H
#define KVM_OOT_PMU_H

#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/perf_event.h>

#include "arch/x86/kvm_x86.h"

#define KVM_PMU_MAX_GP		8
#define KVM_PMU_MAX_FIXED	3
#define KVM_PMU_FIXED_BIT	32	/* of the global registers: that of the first fixed one */
/* general ones thrice (control, counter, counter in full), fixed ones, four for all */
#define KVM_PMU_MAX_MSRS	(3 * KVM_PMU_MAX_GP + KVM_PMU_MAX_FIXED + 5)

/* ---- pure: what an MSR is, what a filter says ------------------------------- */

enum kvm_pmu_reg {
	KVM_PMU_NONE,
	KVM_PMU_SELECT,		/* what a general counter counts */
	KVM_PMU_COUNTER,
	KVM_PMU_COUNTER_FULL,	/* the same, written in full width */
	KVM_PMU_FIXED,
	KVM_PMU_FIXED_CTRL,
	KVM_PMU_STATUS,
	KVM_PMU_GLOBAL_CTRL,
	KVM_PMU_OVF_CTRL,
};

/**
 * struct kvm_oot_pmu_filter - KVM_SET_PMU_EVENT_FILTER
 * @allow: what matches is allowed, and nothing else; else it is denied, and nothing else
 * @masked: @events have masks (KVM_PMU_EVENT_FLAG_MASKED_EVENTS)
 * @fixed: fixed counters that match
 * @nr: how many @events
 * @events: as user space gave them
 */
struct kvm_oot_pmu_filter {
	bool allow;
	bool masked;
	u32 fixed;
	u32 nr;
	u64 events[];
};

enum kvm_pmu_reg kvm_pmu_decode_msr(bool amd, u32 index, unsigned int *n);
int kvm_pmu_decode_rdpmc(bool amd, u32 ecx, bool *fixed);
bool kvm_pmu_filter_allows(const struct kvm_oot_pmu_filter *f, bool amd, u64 select);
bool kvm_pmu_filter_event_valid(bool amd, u64 event);

/* ---- a vCPU's ------------------------------------------------------------------ */

/**
 * struct kvm_pmc - one counter
 * @vcpu: whose
 * @bit: in the global registers
 * @select: what it counts, as the guest wrote it; of a fixed one unused
 * @value: without what @event has counted since it was started, and without @emulated
 * @emulated: instructions that were carried out for the guest since then
 * @event: perf's, which counts for it, or is paused; NULL: none
 * @running: @event counts
 * @overflowed: (a) since it was started, as perf said
 * @type: of @event, as perf knows it
 * @config: likewise
 * @user: @event counts in the guest's rings 1 to 3
 * @kernel: in its ring 0
 *
 * (v), but for what perf's handler changes.
 */
struct kvm_pmc {
	struct kvm_vcpu *vcpu;
	u8 bit;
	bool running;
	bool overflowed;
	bool user, kernel;
	u32 type;
	u64 config;
	u64 select;
	u64 value;
	u64 emulated;
	struct perf_event *event;
};

/**
 * struct kvm_pmu - a vCPU's counters
 * @version: as the guest was told; 0: it has none
 * @nr_gp: general counters
 * @nr_fixed: fixed counters
 * @gp_mask: bits that a general counter has
 * @fixed_mask: bits that a fixed counter has
 * @select_reserved: of a general counter's control
 * @fixed_ctrl_reserved: of @fixed_ctrl
 * @all: counters that there are, by their bits in the global registers
 * @fixed_ctrl: control of the fixed counters
 * @global_ctrl: which may count
 * @global_status: which have overflowed
 * @count_insns: counters that count instructions, as they run now
 * @count_branches: likewise branches
 * @pmi: an interrupt is to be delivered
 * @owner: thread that the events are bound to
 * @stale: (a) counters whose event does not fit any more
 * @overflows: (a) counters that overflowed, not yet in @global_status
 * @kick: makes the vCPU look at a request that came from an NMI
 * @gp: general counters
 * @fixed: fixed counters
 */
struct kvm_pmu {
	u8 version;
	u8 nr_gp, nr_fixed;
	u64 gp_mask, fixed_mask;
	u64 select_reserved;
	u64 fixed_ctrl_reserved;
	u64 all;
	u64 fixed_ctrl;
	u64 global_ctrl;
	u64 global_status;
	u64 count_insns, count_branches;
	bool pmi;
	struct task_struct *owner;
	atomic64_t stale;
	atomic64_t overflows;
	struct irq_work kick;
	struct kvm_pmc gp[KVM_PMU_MAX_GP];
	struct kvm_pmc fixed[KVM_PMU_MAX_FIXED];
};

void kvm_pmu_backend_init(void);
bool kvm_pmu_available(void);
void kvm_pmu_cpuid_leaf(struct kvm_cpuid_entry2 *e);
u64 kvm_pmu_perf_capabilities(void);
unsigned int kvm_pmu_list_msrs(u32 *list);

int kvm_pmu_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_pmu_vcpu_free(struct kvm_vcpu *vcpu);
void kvm_pmu_vcpu_reset(struct kvm_vcpu *vcpu);
void kvm_pmu_cpuid_changed(struct kvm_vcpu *vcpu);
void kvm_pmu_set_thread(struct kvm_vcpu *vcpu);
void kvm_pmu_handle_request(struct kvm_vcpu *vcpu);
int kvm_pmu_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int kvm_pmu_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
int kvm_pmu_rdpmc(struct kvm_vcpu *vcpu, u32 ecx, u64 *data);
void kvm_pmu_count_insn(struct kvm_vcpu *vcpu, bool branch);

int kvm_pmu_set_cap(struct kvm *kvm, u64 arg);
int kvm_pmu_set_filter(struct kvm *kvm, void __user *argp);
void kvm_pmu_free_filter(struct kvm *kvm);

/* An instruction, no branch, was carried out for the guest: what counts them has to. */
static inline void kvm_pmu_insn_done(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->arch.pmu_counts_insns))
		kvm_pmu_count_insn(vcpu, false);
}

#endif /* KVM_OOT_PMU_H */
