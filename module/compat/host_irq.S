/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls an interrupt's entry point in the way that the CPU does in 64-bit mode
 * (Intel SDM vol. 3, 6.14.2): on an aligned stack, above a frame of SS, RSP, RFLAGS
 * and CS, to which the call adds RIP. Its IRET comes back here.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

.text

/* void kvm_call_irq_entry(unsigned long entry) - RDI; interrupts are off */
SYM_FUNC_START(kvm_call_irq_entry)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	CALL_NOSPEC rdi
	/* IRET has set RSP from the frame; for whoever reads along, once more */
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(kvm_call_irq_entry)
