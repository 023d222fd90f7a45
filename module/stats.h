/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of a VM and of a vCPU. One list each, from which the structure, the
 * binary stats descriptors and the debugfs files are made. All are u64 and
 * written by one CPU at a time (vCPU) or under mmu_lock or by atomics (VM).
 *
 * X(name, type): C cumulative, N cumulative nanoseconds, I instant, B instant
 * boolean, P peak
 */
#ifndef KVM_OOT_STATS_H
#define KVM_OOT_STATS_H

#include <linux/types.h>

#define KVM_VM_STATS(X)			\
	X(remote_tlb_flush, C)		\
	X(remote_tlb_flush_requests, C)	\
	X(mmu_shadow_zapped, C)		\
	X(mmu_pte_write, C)		\
	X(mmu_flooded, C)		\
	X(mmu_recycled, C)		\
	X(mmu_cache_miss, C)		\
	X(mmu_unsync, I)		\
	X(pages_4k, I)			\
	X(pages_2m, I)			\
	X(pages_1g, I)			\
	X(nx_lpage_splits, I)		\
	X(max_mmu_page_hash_collisions, P) \
	X(max_mmu_rmap_size, P)

#define KVM_VCPU_STATS(X)		\
	X(halt_successful_poll, C)	\
	X(halt_attempted_poll, C)	\
	X(halt_poll_invalid, C)		\
	X(halt_wakeup, C)		\
	X(halt_poll_success_ns, N)	\
	X(halt_poll_fail_ns, N)		\
	X(halt_wait_ns, N)		\
	X(blocking, B)			\
	X(pf_taken, C)			\
	X(pf_fixed, C)			\
	X(pf_emulate, C)		\
	X(pf_spurious, C)		\
	X(pf_fast, C)			\
	X(pf_mmio_spte_created, C)	\
	X(pf_guest, C)			\
	X(tlb_flush, C)			\
	X(invlpg, C)			\
	X(exits, C)			\
	X(io_exits, C)			\
	X(mmio_exits, C)		\
	X(signal_exits, C)		\
	X(irq_window_exits, C)		\
	X(nmi_window_exits, C)		\
	X(l1d_flush, C)			\
	X(halt_exits, C)		\
	X(request_irq_exits, C)		\
	X(irq_exits, C)			\
	X(host_state_reload, C)		\
	X(fpu_reload, C)		\
	X(insn_emulation, C)		\
	X(insn_emulation_fail, C)	\
	X(hypercalls, C)		\
	X(irq_injections, C)		\
	X(nmi_injections, C)		\
	X(req_event, C)			\
	X(nested_run, C)		\
	X(directed_yield_attempted, C)	\
	X(directed_yield_successful, C)	\
	X(preemption_reported, C)	\
	X(preemption_other, C)		\
	X(guest_mode, B)		\
	X(notify_window_exits, C)	\
	X(cpuid_exits, C)		\
	X(msr_exits, C)			\
	X(cr_exits, C)			\
	X(dr_exits, C)			\
	X(tdp_fault_exits, C)		\
	X(exception_exits, C)		\
	X(fastpath_exits, C)

#define KVM_STAT_FIELD(name, type) u64 name;

struct kvm_vm_stat {
	KVM_VM_STATS(KVM_STAT_FIELD)
};

struct kvm_vcpu_stat {
	KVM_VCPU_STATS(KVM_STAT_FIELD)
};

struct kvm;
struct kvm_vcpu;

int kvm_stats_module_init(void);
void kvm_stats_module_exit(void);
void kvm_stats_create_vm(struct kvm *kvm, int fd);
void kvm_stats_destroy_vm(struct kvm *kvm);
void kvm_stats_create_vcpu(struct kvm_vcpu *vcpu);
int kvm_vm_stats_fd(struct kvm *kvm);
int kvm_vcpu_stats_fd(struct kvm_vcpu *vcpu);

#endif /* KVM_OOT_STATS_H */
