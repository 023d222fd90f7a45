/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry of a C payload: RDI, RSI, RDX are the arguments of guest_main(); the
 * host has set the stack, the segments and the page tables.
 */
#include "layout.h"

	.section .text.start, "ax"
	.globl _start
_start:
	cld
	push %rdi
	push %rsi
	push %rdx
	call idt_init
	pop %rdx
	pop %rsi
	pop %rdi
	call guest_main
	mov $REPORT_DONE, %eax
	xor %edi, %edi
	outl %eax, $REPORT_PORT
1:	cli
	hlt
	jmp 1b

	.text
	.balign 16
	.globl vec_stubs
vec_stubs:
	vec = 0
	.rept 256
	.balign 16
	.if vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30
	.else
	push $0
	.endif
	push $vec
	jmp common
	vec = vec + 1
	.endr

common:
	push %rax
	push %rbx
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %rbp
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call guest_vector
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rbp
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rbx
	pop %rax
	add $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
