// SPDX-License-Identifier: GPL-2.0-only
/*
 * What perf wants switched between host and guest: IA32_PERF_GLOBAL_CTRL before all,
 * whose bits for events of the guest are off in the host and the other way round (Intel
 * SDM vol. 3, 25.7.2, 25.8.2, 27.4, 28.6). It does whether or not the guest has
 * counters: an event of the host's that leaves guests out is not to count in one, and
 * with PEBS the CPU would write its records to the host's address in the guest's memory.
 *
 * perf gives values for both sides, of which none is the guest's. They go to the lists
 * of MSRs that entry and exit load; nothing is listed while both sides have the same.
 */
#include "arch/x86/pmu.h"
#include "arch/x86/vmx/vmx.h"
#include "module/compat/pmu.h"

/**
 * vmx_pmu_switched() - may perf want MSRs switched on this host
 *
 * Not where the lists of MSRs are needed for EFER, as no control switches it: CPUs from
 * before 2008.
 */
bool vmx_pmu_switched(void)
{
	struct x86_pmu_capability cap = {};

	if (!vmx_feat.efer_switch)
		return false;
	/* nothing is told of those with different cores */
	if (boot_cpu_has(X86_FEATURE_HYBRID_CPU))
		return true;
	kvm_compat_pmu_capability(&cap);
	return cap.version;
}

/**
 * vmx_pmu_reset() - no MSR is listed, in a VMCS that is being made
 * @v: the vCPU, its VMCS the current one
 */
void vmx_pmu_reset(struct vmx_vcpu *v)
{
	v->nr_pmu_msrs = 0;
	if (!v->pmu_lists)
		return;
	vmcs_write(VM_ENTRY_MSR_LOAD_ADDR, __pa(&v->pmu_lists[0]));
	vmcs_write(VM_EXIT_MSR_LOAD_ADDR, __pa(&v->pmu_lists[VMX_PMU_MSRS]));
}

/**
 * vmx_pmu_load() - list what perf wants switched at this entry
 * @v: the vCPU, loaded, about to enter; interrupts off
 */
void vmx_pmu_load(struct vmx_vcpu *v)
{
	struct perf_guest_switch_msr *msrs;
	unsigned int n = 0;
	int nr, i;

	msrs = kvm_compat_guest_msrs(&nr);
	/* perf knows of five at most */
	for (i = 0; msrs && i < nr && n < VMX_PMU_MSRS; i++) {
		if (msrs[i].host == msrs[i].guest)
			continue;
		/* a record may be under way: its end takes time, which an entry does not give */
		if (msrs[i].msr == MSR_IA32_PEBS_ENABLE)
			wrmsrq(MSR_IA32_PEBS_ENABLE, 0);
		v->pmu_lists[n] = (struct vmx_msr_entry) {
			.index = msrs[i].msr, .value = msrs[i].guest };
		v->pmu_lists[VMX_PMU_MSRS + n] = (struct vmx_msr_entry) {
			.index = msrs[i].msr, .value = msrs[i].host };
		n++;
	}
	if (n == v->nr_pmu_msrs)
		return;
	v->nr_pmu_msrs = n;
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, n);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, n);
}
