/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sm_handler: SMM_BASE + 0x8000, where the CPU begins in SMM. It says 1, what it finds in
 * memory, and 2 when it has written there; and leaves.
 *
 * sm_loop: a guest that does nothing, in 64-bit and 32-bit mode alike.
 */
#include "smm.h"

#define SAY		out %eax, $SMM_SAY

	.section .rodata
	.globl sm_handler, sm_handler_end, sm_loop, sm_loop_end
	.code16
sm_handler:
	mov $1, %eax; SAY
	addr32 mov SMM_OTHER, %eax; SAY
	addr32 mov SMM_SAME, %eax; SAY
	addr32 movl $0x5b5b5b5b, SMM_OTHER + 4
	mov $2, %eax; SAY
	rsm
sm_handler_end:

	.code32
sm_loop:
	out %eax, $SMM_LOOP
	jmp sm_loop
sm_loop_end:

	.section .note.GNU-stack, "", @progbits
