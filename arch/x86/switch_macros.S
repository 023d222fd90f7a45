/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * switch.h for the backends' entry.S, which include this: the general registers
 * and SPEC_CTRL on the way into a guest and back.
 */
#include <asm/msr-index.h>

#define REG(n)	((n) * 8)	/* enum kvm_reg is the hardware's encoding */

/* The caller's registers and, on top, the argument. */
.macro PUSH_HOST_REGS
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi
.endm

/* The argument is gone from the stack already. */
.macro POP_HOST_REGS
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
.endm

/* All but RAX, RDI and RSP, from vcpu->arch.regs in \base, which is one of the first two. */
.macro LOAD_GUEST_REGS base
	mov	REG(1)(\base), %rcx
	mov	REG(2)(\base), %rdx
	mov	REG(3)(\base), %rbx
	mov	REG(5)(\base), %rbp
	mov	REG(6)(\base), %rsi
	mov	REG(8)(\base), %r8
	mov	REG(9)(\base), %r9
	mov	REG(10)(\base), %r10
	mov	REG(11)(\base), %r11
	mov	REG(12)(\base), %r12
	mov	REG(13)(\base), %r13
	mov	REG(14)(\base), %r14
	mov	REG(15)(\base), %r15
.endm

.macro STORE_GUEST_REGS base
	mov	%rcx, REG(1)(\base)
	mov	%rdx, REG(2)(\base)
	mov	%rbx, REG(3)(\base)
	mov	%rbp, REG(5)(\base)
	mov	%rsi, REG(6)(\base)
	mov	%r8,  REG(8)(\base)
	mov	%r9,  REG(9)(\base)
	mov	%r10, REG(10)(\base)
	mov	%r11, REG(11)(\base)
	mov	%r12, REG(12)(\base)
	mov	%r13, REG(13)(\base)
	mov	%r14, REG(14)(\base)
	mov	%r15, REG(15)(\base)
.endm

/* No guest value stays where speculation could use it; RAX, RBX and RDI are the caller's. */
.macro CLEAR_GUEST_REGS
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
.endm

/* The guest's, unless it is equal or the CPU does it. Argument in RDI; RAX, RCX, RDX go. */
.macro GUEST_SPEC_CTRL
	testl	$KVM_SWITCH_SPEC, KVM_SWITCH_FLAGS(%rdi)
	jz	.Lguest_spec_done_\@
	mov	KVM_SWITCH_GUEST_SPEC(%rdi), %rax
	cmp	KVM_SWITCH_HOST_SPEC(%rdi), %rax
	je	.Lguest_spec_done_\@
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lguest_spec_done_\@:
.endm

/*
 * The host's, before the first RET. With \fence, a value that is right already
 * must not be guessed past: what follows counts on the write to stop speculation.
 */
.macro HOST_SPEC_CTRL fence=0
	testl	$KVM_SWITCH_SPEC, KVM_SWITCH_FLAGS(%rdi)
	jz	.Lhost_spec_done_\@
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	testl	$KVM_SWITCH_READ_SPEC, KVM_SWITCH_FLAGS(%rdi)
	jz	.Lguest_spec_known_\@
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, KVM_SWITCH_GUEST_SPEC(%rdi)
.Lguest_spec_known_\@:
	mov	KVM_SWITCH_HOST_SPEC(%rdi), %rax
	cmp	KVM_SWITCH_GUEST_SPEC(%rdi), %rax
	je	.Lspec_equal_\@
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.if \fence
	jmp	.Lhost_spec_done_\@
.endif
.Lspec_equal_\@:
.if \fence
	lfence
.endif
.Lhost_spec_done_\@:
.endm
