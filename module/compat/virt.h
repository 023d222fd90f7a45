/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who owns SVM or VMX on a CPU. On the newest kernels the core kernel does: it sets
 * and clears EFER.SVME behind a reference count for each CPU, and when the host
 * crashes or reboots it turns SVM off by itself. Older kernels leave both to
 * the module: here are the same functions for them, and a callback for the
 * emergency, since with SVM on and GIF clear a CPU would not take INIT.
 */
#ifndef KVM_OOT_VIRT_H
#define KVM_OOT_VIRT_H

#include <asm/msr.h>
#include <asm/reboot.h>
#include "module/compat/compat.h"

#ifdef KVM_HAVE_ASM_VIRT
#include <asm/virt.h>

static inline void kvm_emergency_register(void (*off)(void))
{
}

static inline void kvm_emergency_unregister(void (*off)(void))
{
}

/* It is shared, by the count. */
static inline bool kvm_virt_is_taken(void)
{
	return false;
}
#else
#include <linux/errno.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>

#define kvm_emergency_register		cpu_emergency_register_virt_callback
#define kvm_emergency_unregister	cpu_emergency_unregister_virt_callback

/* Has another hypervisor, or one that we know nothing of, this CPU? */
static inline bool kvm_virt_is_taken(void)
{
	u64 efer;

	rdmsrq(MSR_EFER, efer);
	return efer & EFER_SVME;
}

/* Turn SVM on here, unless another hypervisor has it; interrupts off. */
static inline int x86_virt_get_ref(int feat)
{
	u64 efer;

	if (feat != X86_FEATURE_SVM)
		return -EOPNOTSUPP;
	if (kvm_virt_is_taken())
		return -EBUSY;
	rdmsrq(MSR_EFER, efer);
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	return 0;
}

/*
 * GIF must be set before SVM goes: NMI and INIT would stay blocked. STGI
 * faults when SVM is off already, and then GIF is set.
 */
static inline void x86_virt_put_ref(int feat)
{
	u64 efer;

	rdmsrq(MSR_EFER, efer);
	if (!(efer & EFER_SVME))
		return;
	asm goto("1: stgi\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : : "memory" : fault);
fault:
	wrmsrq(MSR_EFER, efer & ~EFER_SVME);
}
#endif

#include "module/compat/virt_vmx.h"

#endif /* KVM_OOT_VIRT_H */
