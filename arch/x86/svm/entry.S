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
#include "arch/x86/switch_macros.S"

.section .noinstr.text, "ax"

/*
 * void svm_enter_guest(struct svm_run *run)
 * run: RDI. Called with interrupts off and GIF clear.
 */
SYM_FUNC_START(svm_enter_guest)
	PUSH_HOST_REGS
	GUEST_SPEC_CTRL

	mov	SVM_RUN_VMCB_PA(%rdi), %rax
	mov	KVM_SWITCH_REGS(%rdi), %rdi
	sti
	vmload	%rax

	LOAD_GUEST_REGS %rdi
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
	mov	KVM_SWITCH_REGS(%rdi), %rax
	STORE_GUEST_REGS %rax
	pop	%rcx
	mov	%rcx, REG(7)(%rax)

	CLEAR_GUEST_REGS
	xor	%ebx, %ebx

	/* FS, GS, TR, LDTR and the system call MSRs of the host */
	mov	SVM_RUN_HOST_PA(%rdi), %rax
	vmload	%rax

	/* the guest's return predictions must not be the host's */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT

	HOST_SPEC_CTRL

	/* return predictions trained by the guest: retbleed, SRSO */
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif

	xor	%edi, %edi
	POP_HOST_REGS
	RET
SYM_FUNC_END(svm_enter_guest)
