// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs of nested guests: which L2 reaches by itself, and the lists that entries and exits
 * load and store.
 *
 * Intel SDM vol. 3, 25.6.9 (bitmap), 27.4, 28.4, 28.6 (lists). Those of a list are read and
 * written as L1 itself could, so that a filter of user space's holds for them, too.
 */
#include "arch/x86/irq/lapic.h"
#include "arch/x86/vmx/nested.h"

struct vmx_msr_list_entry {
	u32 index, reserved;
	u64 value;
};

/* ---- bitmap ------------------------------------------------------------------ */

/**
 * vmx_nested_read_msr_bitmap() - read L1's MSR bitmap, once for each entry
 * @vcpu: the vCPU, loaded, kvm->srcu held
 *
 * Without one, or when it is in no memory, all MSRs are L1's.
 */
void vmx_nested_read_msr_bitmap(struct kvm_vcpu *vcpu)
{
	struct vmx_nested *n = to_vmx(vcpu)->nested;

	if (!vmx_l1_cpu(n, CPU_BASED_USE_MSR_BITMAPS) ||
	    kvm_vcpu_read_guest(vcpu, vmcs12_get(n->c, MSR_BITMAP), n->l1_msr_bitmap, PAGE_SIZE))
		memset(n->l1_msr_bitmap, 0xff, PAGE_SIZE);
}

/**
 * vmx_nested_merge_msrs() - the bitmap that is used while L2 runs
 * @v: the vCPU
 */
void vmx_nested_merge_msrs(struct vmx_vcpu *v)
{
	struct vmx_nested *n = v->nested;
	const unsigned int x2apic = APIC_BASE_MSR / BITS_PER_LONG, half = 0x800 / sizeof(long);
	unsigned int i;

	for (i = 0; i < PAGE_SIZE / sizeof(long); i++)
		n->msr_bitmap[i] = v->msr_bitmap[i] | n->l1_msr_bitmap[i];
	/* what the CPU would answer for L1 is of the host's APIC now */
	for (i = 0; i < 0x100 / BITS_PER_LONG; i++) {
		n->msr_bitmap[x2apic + i] = ~0ul;
		n->msr_bitmap[half + x2apic + i] = ~0ul;
	}
}

/* ---- lists of MSRs, 27.4, 28.4, 28.6 ----------------------------------------- */

static bool msr_loadable(const struct vmx_msr_list_entry *e)
{
	switch (e->index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_IA32_UCODE_WRITE:
	case MSR_IA32_SMM_MONITOR_CTL:
		return false;
	default:
		return e->index >> 8 != APIC_BASE_MSR >> 8 && !e->reserved;
	}
}

/**
 * vmx_nested_load_msrs() - load MSRs from a list of L1's, at an entry or an exit
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @list: address of the list
 * @count: entries
 *
 * Return: 0; the number of the entry that cannot be loaded, from 1.
 */
u32 vmx_nested_load_msrs(struct kvm_vcpu *vcpu, u64 list, u32 count)
{
	struct vmx_msr_list_entry e;
	u32 i;

	for (i = 0; i < count; i++)
		if (i >= VMX_MAX_MSR_LIST ||
		    kvm_vcpu_read_guest(vcpu, list + i * sizeof(e), &e, sizeof(e)) ||
		    !msr_loadable(&e) || kvm_set_msr(vcpu, e.index, e.value, false))
			return i + 1;
	return 0;
}

/**
 * vmx_nested_store_msrs() - store MSRs to a list of L1's, at an exit
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @list: address of the list
 * @count: entries
 *
 * Return: false when one cannot be read, or its entry not be written.
 */
bool vmx_nested_store_msrs(struct kvm_vcpu *vcpu, u64 list, u32 count)
{
	struct vmx_msr_list_entry e;
	u32 i;

	for (i = 0; i < count; i++, list += sizeof(e)) {
		if (i >= VMX_MAX_MSR_LIST || kvm_vcpu_read_guest(vcpu, list, &e, sizeof(e)) ||
		    e.reserved || e.index >> 8 == APIC_BASE_MSR >> 8 ||
		    e.index == MSR_IA32_SMBASE ||
		    kvm_get_msr(vcpu, e.index, &e.value, false) ||
		    kvm_vcpu_write_guest(vcpu, list, &e, sizeof(e)))
			return false;
		kvm_mmu_guest_wrote(vcpu->kvm, list, sizeof(e));
	}
	return true;
}
