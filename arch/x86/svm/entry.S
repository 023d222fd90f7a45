/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way into an SVM guest and back, AMD APM vol. 2, 15.5 and 15.6.
 *
 * VMRUN swaps RAX, RSP, RIP, RFLAGS, control registers and the visible
 * segments; VMLOAD and VMSAVE move FS, GS, TR, LDTR and the system call MSRs;
 * every other general register is moved here.
 *
 * GIF is clear all the way, so neither NMI nor interrupt arrives while GS
 * base is the guest's. IF is set around VMRUN: with V_INTR_MASKING it decides
 * whether a host interrupt ends the guest (15.21.1).
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/bitsperlong.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>

#include "svm.h"

#define REG(n)	((n) * 8)	/* enum kvm_reg is the hardware's encoding */

.section .noinstr.text, "ax"

/*
 * void svm_enter_guest(struct svm_run *run)
 * run: RDI. Called with interrupts off and GIF clear.
 */
SYM_FUNC_START(svm_enter_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi

	/* the guest's SPEC_CTRL, unless it is equal or the CPU does it */
	testl	$SVM_RUN_SWITCH_SPEC, SVM_RUN_FLAGS(%rdi)
	jz	.Lguest_spec_done
	mov	SVM_RUN_GUEST_SPEC(%rdi), %rax
	cmp	SVM_RUN_HOST_SPEC(%rdi), %rax
	je	.Lguest_spec_done
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lguest_spec_done:

	mov	SVM_RUN_VMCB_PA(%rdi), %rax
	mov	SVM_RUN_REGS(%rdi), %rdi
	sti
	vmload	%rax

	mov	REG(1)(%rdi), %rcx
	mov	REG(2)(%rdi), %rdx
	mov	REG(3)(%rdi), %rbx
	mov	REG(5)(%rdi), %rbp
	mov	REG(6)(%rdi), %rsi
	mov	REG(8)(%rdi), %r8
	mov	REG(9)(%rdi), %r9
	mov	REG(10)(%rdi), %r10
	mov	REG(11)(%rdi), %r11
	mov	REG(12)(%rdi), %r12
	mov	REG(13)(%rdi), %r13
	mov	REG(14)(%rdi), %r14
	mov	REG(15)(%rdi), %r15
	mov	REG(7)(%rdi), %rdi

	/* TSA: what the host left in the CPU's buffers. ZF goes, and is not the guest's */
#if defined(VM_CLEAR_CPU_BUFFERS)
	VM_CLEAR_CPU_BUFFERS
#elif defined(X86_FEATURE_CLEAR_CPU_BUF_VM)
	ALTERNATIVE "", __CLEAR_CPU_BUFFERS, X86_FEATURE_CLEAR_CPU_BUF_VM
#endif
	vmrun	%rax

	/* RAX is the VMCB's address again, RSP the host's */
	vmsave	%rax
	cli

	/* guest's RDI onto the stack, the argument back */
	xchg	%rdi, (%rsp)
	mov	SVM_RUN_REGS(%rdi), %rax
	mov	%rcx, REG(1)(%rax)
	mov	%rdx, REG(2)(%rax)
	mov	%rbx, REG(3)(%rax)
	mov	%rbp, REG(5)(%rax)
	mov	%rsi, REG(6)(%rax)
	mov	%r8,  REG(8)(%rax)
	mov	%r9,  REG(9)(%rax)
	mov	%r10, REG(10)(%rax)
	mov	%r11, REG(11)(%rax)
	mov	%r12, REG(12)(%rax)
	mov	%r13, REG(13)(%rax)
	mov	%r14, REG(14)(%rax)
	mov	%r15, REG(15)(%rax)
	pop	%rcx
	mov	%rcx, REG(7)(%rax)

	/* no guest value stays where speculation could use it */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
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

	/* FS, GS, TR, LDTR and the system call MSRs of the host */
	mov	SVM_RUN_HOST_PA(%rdi), %rax
	vmload	%rax

	/* the guest's return predictions must not be the host's */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT

	/* the host's SPEC_CTRL before the first RET */
	testl	$SVM_RUN_SWITCH_SPEC, SVM_RUN_FLAGS(%rdi)
	jz	.Lhost_spec_done
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	testl	$SVM_RUN_READ_SPEC, SVM_RUN_FLAGS(%rdi)
	jz	.Lguest_spec_known
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, SVM_RUN_GUEST_SPEC(%rdi)
.Lguest_spec_known:
	mov	SVM_RUN_HOST_SPEC(%rdi), %rax
	cmp	SVM_RUN_GUEST_SPEC(%rdi), %rax
	je	.Lhost_spec_done
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lhost_spec_done:

	/* return predictions trained by the guest: retbleed, SRSO */
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif

	xor	%edi, %edi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_enter_guest)
