/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What both backends do on the way into a guest and back: the general registers,
 * and the MSRs that host and guest both use and that neither VMRUN nor VM entry
 * switches (SPEC_CTRL, TSC_AUX). Included by C and by entry.S.
 */
#ifndef KVM_OOT_SWITCH_H
#define KVM_OOT_SWITCH_H

/* struct kvm_switch as entry.S sees it; checked in switch.c */
#define KVM_SWITCH_REGS		0
#define KVM_SWITCH_HOST_SPEC	8
#define KVM_SWITCH_GUEST_SPEC	16
#define KVM_SWITCH_FLAGS	24
#define KVM_SWITCH_SIZE		32	/* what a backend adds begins here */

#define KVM_SWITCH_SPEC		1	/* SPEC_CTRL differs between host and guest */
#define KVM_SWITCH_READ_SPEC	2	/* the guest writes SPEC_CTRL unseen */
#define KVM_SWITCH_BACKEND_BIT	2	/* the first bit that is the backend's */

#ifndef __ASSEMBLER__

#include "arch/x86/kvm_x86.h"
#include <asm/spec-ctrl.h>

/**
 * struct kvm_switch - what entry.S needs; offsets are KVM_SWITCH_*
 * @regs: vcpu->arch.regs
 * @host_spec: host's SPEC_CTRL
 * @guest_spec: guest's SPEC_CTRL, in and out
 * @flags: KVM_SWITCH_SPEC, KVM_SWITCH_READ_SPEC, the backend's
 */
struct kvm_switch {
	unsigned long *regs;
	u64 host_spec;
	u64 guest_spec;
	u32 flags;
};

DECLARE_PER_CPU(u32, kvm_host_tsc_aux);
extern u64 kvm_spec_ctrl_bits;

void kvm_switch_backend_init(void);
int kvm_switch_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr);
int kvm_switch_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
void kvm_open_msr(struct kvm_vcpu *vcpu, u32 index, bool read, bool write,
		  void (*open)(struct kvm_vcpu *vcpu, u32 index, bool write));
void kvm_open_msrs(struct kvm_vcpu *vcpu, const u32 *own, unsigned int nr,
		   void (*open)(struct kvm_vcpu *vcpu, u32 index, bool write));

/* before an entry; interrupts off */
static inline void kvm_switch_prepare(struct kvm_vcpu *vcpu, struct kvm_switch *sw)
{
	u32 aux = vcpu->arch.tsc_aux;

	if (vcpu->arch.tsc_aux_used && vcpu->arch.hw_tsc_aux != aux) {
		wrmsrq(MSR_TSC_AUX, aux);
		vcpu->arch.hw_tsc_aux = aux;
	}
	sw->flags &= ~(KVM_SWITCH_SPEC | KVM_SWITCH_READ_SPEC);
	if (!kvm_spec_ctrl_bits || kvm_be.virtual_spec_ctrl)
		return;
	sw->flags |= KVM_SWITCH_SPEC;
	if (vcpu->arch.spec_ctrl_direct)
		sw->flags |= KVM_SWITCH_READ_SPEC;
	sw->host_spec = this_cpu_read(x86_spec_ctrl_current);
	sw->guest_spec = vcpu->arch.spec_ctrl;
}

/* after it; interrupts off */
static inline void kvm_switch_finish(struct kvm_vcpu *vcpu, struct kvm_switch *sw)
{
	if (sw->flags & KVM_SWITCH_SPEC)
		vcpu->arch.spec_ctrl = sw->guest_spec;
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	/* VMSCAPE: the VMM must not use branch predictions made by the guest */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

#else /* __ASSEMBLER__ */

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

/* The guest's SPEC_CTRL, unless it is equal or the CPU does it. Argument in RDI; RAX, RCX, RDX go. */
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

#endif /* __ASSEMBLER__ */
#endif /* KVM_OOT_SWITCH_H */
