// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMX-preemption timer: an exit when the host's TSC reaches vcpu->arch.timer_tsc
 * (Intel SDM vol. 3, 26.5.1, appendix A.6).
 *
 * It counts down by one whenever bit N of the TSC changes, N from IA32_VMX_MISC, and ends
 * the guest at zero. It is written at each entry from the absolute time that common code
 * wants, so its value need not be saved at exits. A time that is too far for it comes in
 * several rounds; common code looks at the TSC in any case.
 */
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "arch/x86/vmx/vmx.h"

/*
 * CPUs whose timer does not count at the rate that they claim, by the signature of CPUID
 * leaf 1, from Intel's specification updates (errata AAJ124, AAK139, AAM126, AAN92, AAO95,
 * AAP86, AAT59, AAU65, AAX65, BA86). The last one (Xeon E3-1220 V2) is known for it, too.
 */
static const u32 broken[] = {
	0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5, 0x20652, 0x20655, 0x206e6, 0x306a8,
};

/* Larger values may expire early: erratum EMR158, without the factor of its limit, above 1. */
#define MAX_TICKS	BIT(25)

/**
 * vmx_preemption_timer_usable() - does this host's CPU have one that can be relied on
 *
 * Sets vmx_feat.preemption_timer_shift.
 */
bool vmx_preemption_timer_usable(void)
{
	/* without the reserved bits */
	u32 signature = cpuid_eax(1) & (GENMASK(27, 16) | GENMASK(13, 0));
	u64 misc;
	int i;

	if (!(vmx_caps.pin & PIN_BASED_VMX_PREEMPTION_TIMER))
		return false;
	for (i = 0; i < ARRAY_SIZE(broken); i++)
		if (signature == broken[i])
			return false;
	if (check_tsc_unstable() || !boot_cpu_has(X86_FEATURE_CONSTANT_TSC))
		return false;
	rdmsrq(MSR_IA32_VMX_MISC, misc);
	vmx_feat.preemption_timer_shift = misc & 0x1f;
	return true;
}

/**
 * vmx_load_timer() - have the guest exit in time
 * @v: the vCPU, loaded, about to enter; interrupts off
 */
void vmx_load_timer(struct vmx_vcpu *v)
{
	u64 at = v->vcpu->arch.timer_tsc, now, ticks = 0;
	bool on = at != 0;

	if (on != v->timer_on) {
		v->timer_on = on;
		v->pin_ctl ^= PIN_BASED_VMX_PREEMPTION_TIMER;
		vmcs_write(PIN_BASED_VM_EXEC_CONTROL, v->pin_ctl);
	}
	if (!on)
		return;
	now = rdtsc();
	/* the first tick is a part of one: one more, so as not to be early */
	if (at > now)
		ticks = ((at - now) >> vmx_feat.preemption_timer_shift) + 1;
	vmcs_write(VMX_PREEMPTION_TIMER_VALUE, min_t(u64, ticks, MAX_TICKS));
}
