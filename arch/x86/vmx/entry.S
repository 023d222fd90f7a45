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
#include "arch/x86/switch_macros.S"

.section .noinstr.text, "ax"

/*
 * unsigned long vmx_enter_guest(struct vmx_run *run)
 * run: RDI. Called with interrupts off. Returns 0 after an exit, 1 when the
 * instruction failed, 2 when it faulted: VMX is off (reboot).
 */
SYM_FUNC_START(vmx_enter_guest)
	PUSH_HOST_REGS

	cmp	%rsp, VMX_RUN_HOST_RSP(%rdi)
	je	.Lrsp_known
	mov	%rsp, VMX_RUN_HOST_RSP(%rdi)
	mov	$VMX_FIELD_HOST_RSP, %eax
.Lwrite_rsp:
	vmwrite	%rsp, %rax
.Lrsp_known:

	GUEST_SPEC_CTRL

	/* CF stays until the jump: nothing in between touches it, VERW only ZF */
	btl	$VMX_RUN_LAUNCHED_BIT, KVM_SWITCH_FLAGS(%rdi)
	mov	KVM_SWITCH_REGS(%rdi), %rax
	LOAD_GUEST_REGS %rax
	mov	REG(7)(%rax), %rdi
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
	mov	KVM_SWITCH_REGS(%rax), %rax
	STORE_GUEST_REGS %rax
	mov	%rdi, REG(7)(%rax)
	pop	REG(0)(%rax)
	pop	%rdi
	xor	%eax, %eax

.Lclear:
	mov	%eax, %ebx
	CLEAR_GUEST_REGS

	/* the guest's return predictions must not be the host's */
#ifdef X86_FEATURE_RSB_VMEXIT_LITE
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
#else
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
#endif

	HOST_SPEC_CTRL fence=1

	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%rbx, %rax
	xor	%edi, %edi
	POP_HOST_REGS
	RET
SYM_FUNC_END(vmx_enter_guest)
