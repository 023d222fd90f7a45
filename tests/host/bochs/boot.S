/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Boot sector of the emulated Intel host: loads what the table at its end
 * names from the first IDE disk, word by word, and enters the kernel in 64-bit
 * mode (RSI: boot_params, behind which are page tables). See bochs.py.
 */
	.code16
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7000, %sp
	inb	$0x92, %al		/* A20 on */
	orb	$2, %al
	andb	$0xfe, %al
	outb	%al, $0x92
	lgdtl	gdtr
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $protected

	.code32
protected:
	movw	$0x18, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x7000, %esp
	cld
	movw	$0x3f6, %dx
	movb	$2, %al
	outb	%al, %dx		/* no IDE interrupts */
	movl	$table, %ebx
next:
	movl	(%ebx), %esi		/* first sector */
	movl	4(%ebx), %ebp		/* number of sectors */
	movl	8(%ebx), %edi		/* address */
	addl	$12, %ebx
	testl	%ebp, %ebp
	jz	enter
chunk:
	movl	%ebp, %ecx
	cmpl	$255, %ecx
	jbe	1f
	movl	$255, %ecx
1:	call	wait
	movw	$0x1f2, %dx
	movb	%cl, %al
	outb	%al, %dx
	movl	%esi, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	orb	$0xe0, %al
	incw	%dx
	outb	%al, %dx
	incw	%dx
	movb	$0x20, %al
	outb	%al, %dx
	addl	%ecx, %esi
	subl	%ecx, %ebp
sector:
	call	wait
1:	inb	%dx, %al
	testb	$8, %al
	jz	1b
	pushl	%ecx
	movw	$0x1f0, %dx
	movl	$128, %ecx
	rep insl
	popl	%ecx
	decl	%ecx
	jnz	sector
	testl	%ebp, %ebp
	jnz	chunk
	jmp	next
enter:
	movl	%cr4, %eax		/* the last row: boot_params, 0, entry */
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	leal	0x2000(%esi), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$0x10, $long
long:	.byte	0xff, 0xe7		/* jmp *%rdi */

wait:
	movw	$0x1f7, %dx
1:	inb	%dx, %al
	testb	$0x80, %al
	jnz	1b
	ret

	.align	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff
	.quad	0x00af9a000000ffff
	.quad	0x00cf92000000ffff
gdtr:	.word	31
	.long	gdt
	.org	0x140
table:	.fill	45, 4, 0		/* rows of three, filled in by bochs.py */
	.org	510
	.word	0xaa55
