// SPDX-License-Identifier: GPL-2.0-only
/*
 * What perf wants switched between host and guest while it counts for the guest:
 * IA32_PERF_GLOBAL_CTRL before all, whose bits for events of the guest are off in the
 * host and the other way round (Intel SDM vol. 3, 25.7.2, 25.8.2, 27.4, 28.6).
 *
 * perf gives values for both sides, of which none is the guest's. They go to the lists
 * of MSRs that entry and exit load; nothing is listed while no event counts.
 */
#include "arch/x86/pmu.h"
#include "arch/x86/vmx/vmx.h"
#include "module/compat/pmu.h"

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
	struct perf_guest_switch_msr *msrs = NULL;
	unsigned int n = 0;
	int nr = 0, i;

	if (v->vcpu->arch.pmu_running)
		msrs = kvm_compat_guest_msrs(&nr);
	/* perf knows of five at most */
	for (i = 0; msrs && i < nr && n < VMX_PMU_MSRS; i++) {
		if (msrs[i].host == msrs[i].guest)
			continue;
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
