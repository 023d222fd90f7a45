/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's code of rmode_test.c, at address 0x10000, which is 1000:0. */
#define SAY		out %eax, $0x99
#define SAY_AX		movzwl %ax, %eax; SAY
#define OFF(label)	(label - rm_start)

	.section .rodata
	.code16
	.globl rm_start, rm_end, rm_flags, rm_int, rm_wait, rm_unreal, rm_prot
	.globl rm_on_int21, rm_on_de, rm_on_ud, rm_on_bp, rm_on_irq, rm_on_nmi
rm_start:

rm_flags:
	pushf; pop %ax; SAY_AX
	pushw $0x7002; popf; pushf; pop %ax; SAY_AX
	pushw $2; popf
	sti; pushf; pop %ax; SAY_AX
	cli; pushf; pop %ax; SAY_AX
	pushfl; xorl $0x200000, (%esp); popfl; pushfl; pop %eax; SAY
	pushl $0x40002; popfl	/* AC: nobody checks alignment at CPL 0 */
	mov $0x4001, %si; mov (%si), %eax
	pushfl; pop %eax; SAY
	pushl $2; popfl
	smsw %ax; SAY_AX
	mov %cr0, %eax; SAY
	mov %cs, %ax; SAY_AX
	mov $0x2345, %bx; mov %bx, %ds; mov %ds, %ax; SAY_AX
	hlt

rm_int:
	sti; mov $0x1234, %bx
	int $0x21
	mov %bx, %ax; SAY_AX
	pushf; pop %ax; SAY_AX
	xor %cl, %cl
rm_div:	div %cl
rm_after_div:
rm_bad:	ud2
rm_after_bad:
rm_trap: int3
	mov $0x11, %ax; SAY_AX
	hlt
rm_on_int21:
	mov %sp, %bp
	mov 4(%bp), %ax; SAY_AX
	mov 2(%bp), %ax; SAY_AX
	pushf; pop %ax; SAY_AX
	inc %bx; iret
rm_on_de:
	pop %ax; sub $OFF(rm_div), %ax; SAY_AX
	push $OFF(rm_after_div); iret
rm_on_ud:
	pop %ax; sub $OFF(rm_bad), %ax; SAY_AX
	push $OFF(rm_after_bad); iret
rm_on_bp:
	mov %sp, %bp; mov (%bp), %ax; sub $OFF(rm_trap), %ax; SAY_AX
	iret

rm_wait:
	sti; hlt
	mov $0x55, %ax; SAY_AX
	cli; hlt
	mov $0x56, %ax; SAY_AX
	hlt
rm_on_irq:
	mov $0x30, %ax; SAY_AX
	iret
rm_on_nmi:
	mov $0x02, %ax; SAY_AX
	iret

rm_unreal:
	lgdtl %cs:OFF(rm_gdtr)
	mov %cr0, %eax; or $1, %al; mov %eax, %cr0
	mov $8, %bx; mov %bx, %ds
	and $0xfe, %al; mov %eax, %cr0
	mov $0x300000, %esi; movl $0xcafe, (%esi); mov (%esi), %eax; SAY
	mov $0x2000, %bx; mov %bx, %ds	/* the limit stays */
	mov $0x2e0000, %esi; mov (%esi), %eax; SAY
	int $0x21
	mov $0x12, %ax; SAY_AX
	hlt

rm_prot:
	lgdtl %cs:OFF(rm_gdtr)
	mov %cr0, %eax; or $1, %al; mov %eax, %cr0
	ljmpl $0x10, $(rm_32 - rm_start + 0x10000)
.code32
rm_32:
	mov $8, %bx; mov %bx, %ds; mov %bx, %es; mov %bx, %ss; mov %bx, %fs; mov %bx, %gs
	mov %cr0, %eax; SAY
	mov $0x123000, %eax; mov %eax, %cr3; xor %eax, %eax; mov %cr3, %eax; SAY
	mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4; xor %eax, %eax; mov %cr4, %eax; SAY
	and $~0x20, %eax; mov %eax, %cr4
	movl $0xbeef, 0x300004; mov 0x300004, %eax; SAY
	pushl $2; popfl; pushfl; pop %eax; SAY
	ljmpl $0x18, $OFF(rm_16)
.code16
rm_16:
	mov $0x20, %bx; mov %bx, %ds; mov %bx, %es; mov %bx, %ss; mov %bx, %fs; mov %bx, %gs
	mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0
	ljmp $0x1000, $OFF(rm_back)
rm_back:
	mov $0, %bx; mov %bx, %ds; mov %bx, %es; mov %bx, %ss; mov %bx, %fs; mov %bx, %gs
	mov %cr3, %eax; SAY
	int $0x21
	mov $0x13, %ax; SAY_AX
	hlt

.balign 8
rm_gdt: .quad 0, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00009b010000ffff, 0x000093000000ffff
rm_gdtr: .word 39; .long rm_gdt - rm_start + 0x10000
rm_end:
	.section .note.GNU-stack,"",@progbits
