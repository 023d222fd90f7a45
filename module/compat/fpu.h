/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of the kernel's FPU interface differs between kernels.
 */
#ifndef KVM_OOT_COMPAT_FPU_H
#define KVM_OOT_COMPAT_FPU_H

#include <linux/entry-common.h>
#include <linux/sched.h>
#include <linux/version.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/thread_info.h>

/* Are the thread's registers in the CPU? Interrupts are off. */
static inline void kvm_compat_fpregs_restore(void)
{
	fpregs_assert_state_consistent();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

/* Bits of MXCSR that every 64-bit CPU has. */
static inline u32 kvm_compat_mxcsr_mask(void)
{
	return 0xffff;
}

/* Debian's 6.1 and kernels from 6.7 on say which features to copy. */
#define kvm_compat_copy_to_uabi(gfpu, buf, size, xfeatures, pkru)	\
	fpu_copy_guest_fpstate_to_uabi(gfpu, buf, size, xfeatures, pkru)

#endif /* KVM_OOT_COMPAT_FPU_H */
