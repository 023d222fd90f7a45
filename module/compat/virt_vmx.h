/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX half of virt.h, and two things that the kernel offers to VMX users
 * under changing names: the handler of a host NMI that ended the guest, and the
 * buffers that a guest with a device could read.
 */
#ifndef KVM_OOT_VIRT_VMX_H
#define KVM_OOT_VIRT_VMX_H

#ifdef KVM_HAVE_ENTRY_FROM_KVM
#include <linux/entry-common.h>
#endif
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#ifdef KVM_HAVE_ASM_VIRT
static inline bool kvm_vmx_is_taken(void)
{
	return false;
}

/* The kernel has its own region. */
static inline int kvm_vmx_get(phys_addr_t region)
{
	return x86_virt_get_ref(X86_FEATURE_VMX);
}

static inline void kvm_vmx_put(void)
{
	x86_virt_put_ref(X86_FEATURE_VMX);
}

static inline void kvm_vmx_emergency_off(void)
{
}

#define kvm_vmx_emergency_register	x86_virt_register_emergency_callback
#define kvm_vmx_emergency_unregister	x86_virt_unregister_emergency_callback
#else
#define kvm_vmx_emergency_register	kvm_emergency_register
#define kvm_vmx_emergency_unregister	kvm_emergency_unregister

/* Has another hypervisor, or one that we know nothing of, this CPU? */
static inline bool kvm_vmx_is_taken(void)
{
	return __read_cr4() & X86_CR4_VMXE;
}

static inline int kvm_vmx_get(phys_addr_t region)
{
	u64 pa = region;

	if (kvm_vmx_is_taken())
		return -EBUSY;
	/* a trace of what the CPU does cannot go on, on CPUs without support for it */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	asm goto("1: vmxon %0\n\t"
		 "jna %l[fault]\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : "m" (pa) : "cc", "memory" : fault);
	return 0;
fault:
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
	return -EIO;
}

/* VMXOFF faults when VMX is off already, by a reboot. */
static inline void kvm_vmx_emergency_off(void)
{
	if (!kvm_vmx_is_taken())
		return;
	asm goto("1: vmxoff\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : : "cc", "memory" : fault);
fault:
	cr4_clear_bits(X86_CR4_VMXE);
}

static inline void kvm_vmx_put(void)
{
	kvm_vmx_emergency_off();
	intel_pt_handle_vmx(0);
}
#endif

/* Is NMI delivery of a kind that kvm_host_nmi() cannot do? */
static inline bool kvm_vmx_unsupported_host(void)
{
#if defined(X86_FEATURE_FRED) && !defined(KVM_HAVE_ENTRY_FROM_KVM)
	return cpu_feature_enabled(X86_FEATURE_FRED);
#else
	return false;
#endif
}

/*
 * An NMI ended the guest; its handler runs as if it came now. On older kernels through
 * the IDT, so on the NMI's own stack: what is done there for an NMI within an NMI
 * holds. Newer ones have a function for it, which knows FRED.
 */
static __always_inline void kvm_host_nmi(void)
{
#ifdef KVM_HAVE_ENTRY_FROM_KVM
	x86_entry_from_kvm(EVENT_TYPE_NMI, X86_TRAP_NMI);
#else
	asm volatile("int $2" : : : "memory");
#endif
}

/*
 * CPUs that are not open to MDS, but whose buffers can be read through a device's
 * memory (Documentation/admin-guide/hw-vuln/processor_mmio_stale_data.rst). Where
 * MDS counts, entry.S clears them.
 */
static __always_inline void kvm_clear_stale_mmio_buffers(void)
{
#ifdef KVM_HAVE_MMIO_STALE_KEY
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
#elif defined(X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO)
	if (cpu_feature_enabled(X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO))
		x86_clear_cpu_buffers();
#endif
}

#endif /* KVM_OOT_VIRT_VMX_H */
