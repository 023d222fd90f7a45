/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What perf tells hypervisors of the host's counters.
 */
#ifndef KVM_OOT_COMPAT_PMU_H
#define KVM_OOT_COMPAT_PMU_H

#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/perf_event.h>

/* perf warns when it is asked on a CPU whose cores differ: there are no counters there. */
static inline void kvm_compat_pmu_capability(struct x86_pmu_capability *cap)
{
	if (!boot_cpu_has(X86_FEATURE_HYBRID_CPU))
		perf_get_x86_pmu_capability(cap);
}

/*
 * MSRs that are to have other values while a guest's events count. On CPUs that let
 * guests use PEBS, perf looks into the in-tree module's struct kvm_pmu, newer kernels
 * without asking whether there is one: zeroes say that the guest uses none.
 */
static inline struct perf_guest_switch_msr *kvm_compat_guest_msrs(int *nr)
{
	*nr = 0;
	return perf_guest_get_msrs(nr, page_address(ZERO_PAGE(0)));
}

#endif /* KVM_OOT_COMPAT_PMU_H */
