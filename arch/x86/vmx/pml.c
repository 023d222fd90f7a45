// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-modification logging: the CPU writes down which pages it sets the dirty bit of
 * (Intel SDM vol. 3, 29.3.6).
 *
 * While a VM has a memory slot that is logged, its pages are mapped writable with the
 * dirty bit clear, and the first write to one costs an entry in a log of 512 instead of
 * an exit. The log is read at each exit, before anybody can see that the guest has
 * exited: whoever kicks all vCPUs and waits for them (kvm_arch_sync_dirty_log()) finds
 * in the dirty bitmap what they wrote until then. Without such a slot logging is off;
 * then dirty bits are set in the entries from the start.
 */
#include "arch/x86/vmx/vmx.h"

#define LOG_EMPTY	(VMX_PML_ENTRIES - 1)	/* the index counts down */

/**
 * vmx_pml_reset() - begin with an empty log; logging is off
 * @v: the vCPU, loaded
 */
void vmx_pml_reset(struct vmx_vcpu *v)
{
	if (!vmx_feat.pml)
		return;
	v->pml_on = false;
	vmcs_write(PML_ADDRESS, __pa(v->pml_log));
	vmcs_write(GUEST_PML_INDEX, LOG_EMPTY);
}

/**
 * vmx_pml_switch() - turn logging on or off
 * @v: the vCPU, loaded, about to enter
 * @on: whether
 */
void vmx_pml_switch(struct vmx_vcpu *v, bool on)
{
	v->pml_on = on;
	vmx_set_cpu2_ctl(v, SECONDARY_EXEC_ENABLE_PML, on);
}

/**
 * vmx_pml_flush() - from the log to the dirty bitmaps
 * @v: the vCPU, just after an exit; interrupts off, SRCU not held
 */
void vmx_pml_flush(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	struct kvm *kvm = vcpu->kvm;
	u16 index = vmcs_read(GUEST_PML_INDEX);
	int srcu;

	if (likely(index == LOG_EMPTY))
		return;
	srcu = srcu_read_lock(&kvm->srcu);
	/* that of the next entry; it has wrapped when all are used */
	for (index = index < VMX_PML_ENTRIES ? index + 1 : 0; index < VMX_PML_ENTRIES; index++)
		kvm_vcpu_mark_page_dirty(vcpu, v->pml_log[index] >> PAGE_SHIFT);
	srcu_read_unlock(&kvm->srcu, srcu);
	vmcs_write(GUEST_PML_INDEX, LOG_EMPTY);
}
