// SPDX-License-Identifier: GPL-2.0-only
/*
 * The APIC page: a page of ours at the guest's APIC base, by which hardware knows
 * accesses to the APIC's registers (Intel SDM vol. 3, 30.4; AMD APM vol. 2, 15.29.3).
 * It answers some from the vCPU's register page and reports the others, so what is
 * in this page is never read or written.
 *
 * All vCPUs share one set of nested tables. The page is therefore mapped while the
 * APICs of all of them are in xAPIC mode and at the same address, which is what
 * guests do who use that mode at all. Else it is nowhere: each access is a nested
 * fault that common code answers, as it does where memory slots say that there is
 * memory, which comes first.
 *
 * It is kernel memory: nothing of it moves or is swapped, nothing of the host's
 * user space is pinned.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"

/**
 * kvm_apic_page_create() - give the VM its page, if it has none
 * @kvm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_apic_page_create(struct kvm *kvm)
{
	struct page *page;

	if (READ_ONCE(kvm->arch.apic_page))
		return 0;
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	/* two vCPUs may be created at once */
	mutex_lock(&kvm->arch.apic_map_lock);
	if (!kvm->arch.apic_page) {
		kvm_mmu_place_apic_page(kvm, KVM_NO_APIC_PAGE);
		/* the place before the page: who sees the one reads the other */
		smp_store_release(&kvm->arch.apic_page, page);
		page = NULL;
	}
	mutex_unlock(&kvm->arch.apic_map_lock);
	if (page)
		__free_page(page);
	return 0;
}

/**
 * kvm_apic_page_free() - free it
 * @kvm: a VM without vCPUs
 */
void kvm_apic_page_free(struct kvm *kvm)
{
	if (kvm->arch.apic_page)
		__free_page(kvm->arch.apic_page);
	kvm->arch.apic_page = NULL;
}

/**
 * kvm_apic_page_place() - map it where all vCPUs have their APIC
 * @kvm: the VM; apic_map_lock is held
 */
void kvm_apic_page_place(struct kvm *kvm)
{
	gfn_t gfn = KVM_NO_APIC_PAGE;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(&kvm->arch.apic_map_lock);
	if (!kvm->arch.apic_page)
		return;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		u64 base = READ_ONCE(vcpu->arch.apic_base);
		gfn_t at = (base & MSR_IA32_APICBASE_BASE) >> PAGE_SHIFT;

		if (kvm_lapic_mode(base) != LAPIC_MODE_XAPIC ||
		    (gfn != KVM_NO_APIC_PAGE && gfn != at)) {
			gfn = KVM_NO_APIC_PAGE;
			break;
		}
		gfn = at;
	}
	if (gfn != kvm->arch.apic_page_gfn)
		kvm_mmu_place_apic_page(kvm, gfn);
}
