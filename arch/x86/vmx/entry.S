/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way into a VMX guest and back, Intel SDM vol. 3, chapters 27 and 28.
 *
 * Entry and exit swap RSP, RIP, RFLAGS, control registers, segments and the
 * MSRs that the controls name; every other general register is moved here.
 * Interrupts are off all the way: one that arrives ends the guest and is taken
 * when the caller opens them.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/bitsperlong.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "vmx.h"

#define REG(n)	((n) * 8)	/* enum kvm_reg is the hardware's encoding */

.section .noinstr.text, "ax"

/*
 * unsigned long vmx_enter_guest(struct vmx_run *run)
 * run: RDI. Called with interrupts off. Returns 0 after an exit, 1 when the
 * instruction failed, 2 when it faulted: VMX is off (reboot).
 */
SYM_FUNC_START(vmx_enter_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi

	cmp	%rsp, VMX_RUN_HOST_RSP(%rdi)
	je	.Lrsp_known
	mov	%rsp, VMX_RUN_HOST_RSP(%rdi)
	mov	$VMX_FIELD_HOST_RSP, %eax
.Lwrite_rsp:
	vmwrite	%rsp, %rax
.Lrsp_known:

	/* the guest's SPEC_CTRL, unless it is equal */
	testl	$VMX_RUN_SWITCH_SPEC, VMX_RUN_FLAGS(%rdi)
	jz	.Lguest_spec_done
	mov	VMX_RUN_GUEST_SPEC(%rdi), %rax
	cmp	VMX_RUN_HOST_SPEC(%rdi), %rax
	je	.Lguest_spec_done
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lguest_spec_done:

	/* CF stays until the jump: nothing in between touches it, VERW only ZF */
	btl	$VMX_RUN_LAUNCHED_BIT, VMX_RUN_FLAGS(%rdi)
	mov	VMX_RUN_REGS(%rdi), %rax
	mov	REG(1)(%rax), %rcx
	mov	REG(2)(%rax), %rdx
	mov	REG(3)(%rax), %rbx
	mov	REG(5)(%rax), %rbp
	mov	REG(6)(%rax), %rsi
	mov	REG(7)(%rax), %rdi
	mov	REG(8)(%rax), %r8
	mov	REG(9)(%rax), %r9
	mov	REG(10)(%rax), %r10
	mov	REG(11)(%rax), %r11
	mov	REG(12)(%rax), %r12
	mov	REG(13)(%rax), %r13
	mov	REG(14)(%rax), %r14
	mov	REG(15)(%rax), %r15
	mov	REG(0)(%rax), %rax

	/* MDS, TAA, RFDS: what the host left in the CPU's buffers */
#if defined(VM_CLEAR_CPU_BUFFERS)
	VM_CLEAR_CPU_BUFFERS
#elif defined(CLEAR_CPU_BUFFERS)
	CLEAR_CPU_BUFFERS
#endif
	jnc	.Llaunch
	/* an exit goes on at vmx_vmexit: for objtool, with the stack as it is here */
	UNWIND_HINT_SAVE
.Lresume:
	vmresume
	jmp	.Lfailed
.Llaunch:
	vmlaunch
.Lfailed:
	/* nothing was entered: the guest's registers are where they were */
	pop	%rdi
	mov	$1, %eax
	jmp	.Lclear
.Lfaulted:
	pop	%rdi
	mov	$2, %eax
	jmp	.Lclear

	_ASM_EXTABLE(.Lwrite_rsp, .Lfaulted)
	_ASM_EXTABLE(.Lresume, .Lfaulted)
	_ASM_EXTABLE(.Llaunch, .Lfaulted)

SYM_INNER_LABEL_ALIGN(vmx_vmexit, SYM_L_GLOBAL)
	/* HOST_RSP: the argument is on top */
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	mov	VMX_RUN_REGS(%rax), %rax
	mov	%rcx, REG(1)(%rax)
	mov	%rdx, REG(2)(%rax)
	mov	%rbx, REG(3)(%rax)
	mov	%rbp, REG(5)(%rax)
	mov	%rsi, REG(6)(%rax)
	mov	%rdi, REG(7)(%rax)
	mov	%r8,  REG(8)(%rax)
	mov	%r9,  REG(9)(%rax)
	mov	%r10, REG(10)(%rax)
	mov	%r11, REG(11)(%rax)
	mov	%r12, REG(12)(%rax)
	mov	%r13, REG(13)(%rax)
	mov	%r14, REG(14)(%rax)
	mov	%r15, REG(15)(%rax)
	pop	REG(0)(%rax)
	pop	%rdi
	xor	%eax, %eax

	/* no guest value stays where speculation could use it */
.Lclear:
	mov	%eax, %ebx
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

	/* the guest's return predictions must not be the host's */
#ifdef X86_FEATURE_RSB_VMEXIT_LITE
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
#else
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
#endif

	/* the host's SPEC_CTRL before the first RET */
	testl	$VMX_RUN_SWITCH_SPEC, VMX_RUN_FLAGS(%rdi)
	jz	.Lhost_spec_done
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	testl	$VMX_RUN_READ_SPEC, VMX_RUN_FLAGS(%rdi)
	jz	.Lguest_spec_known
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, VMX_RUN_GUEST_SPEC(%rdi)
.Lguest_spec_known:
	mov	VMX_RUN_HOST_SPEC(%rdi), %rax
	cmp	VMX_RUN_GUEST_SPEC(%rdi), %rax
	je	.Lspec_equal
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
	jmp	.Lhost_spec_done
.Lspec_equal:
	/* the value is right; the branch must not be guessed past */
	lfence
.Lhost_spec_done:

	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%rbx, %rax
	xor	%edi, %edi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(vmx_enter_guest)
