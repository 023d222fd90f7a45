// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests on a CPU without unrestricted guest mode (or with unrestricted_guest=0).
 *
 * Such a CPU enters a guest with CR0.PE and CR0.PG set only (Intel SDM vol. 3,
 * 24.8), so:
 *
 * - Protected mode without paging runs on a page table that maps all of the 4 GiB
 *   onto themselves, and MOV to and from CR3 exits, since the guest's CR3 is another.
 * - Real mode runs as virtual-8086 mode, if its segments are what that mode has
 *   (vmx_seg_fits_vm86()). IOPL is 0 and CR4.VME off there: CLI, STI, PUSHF, POPF,
 *   INT n and IRET fault, as everything that needs CPL 0 does, and the emulator
 *   carries them out as real mode does. All exceptions exit, and every event is
 *   delivered through the guest's vector table by software.
 * - A state that a VM entry does not take is left to the emulator, instruction by
 *   instruction, until it is one that it takes: big real mode, and the way from
 *   setting CR0.PE to the last load of a segment register. Real mode of a VM for which
 *   nobody said where the task-state segment may be (KVM_SET_TSS_ADDR) is one, too.
 *
 * What the guest believes is kept apart from what the VMCS holds: the rights of its
 * segments and all of TR in rm_ar[] and rm_tr while @vm86 is set, IOPL in rm_iopl, CR0
 * and CR4 in real_cr0 and the read shadows. Selectors and bases in the VMCS are the
 * guest's own all the time.
 */
#include <asm/trapnr.h>

#include "arch/x86/vmx/vmx.h"
#include "arch/x86/run.h"

/* SDM vol. 3, 8.2.1, 19.5.2: TSS, redirection of software interrupts, port permissions */
#define TSS_LIMIT	(0x68 + 256 / 8 + 65536 / 8)

static void read_segs(struct vmx_seg *segs)
{
	int i;

	for (i = 0; i < VCPU_NR_SEGS; i++)
		vmx_read_seg(i, &segs[i]);
}

/* The VMCS takes on virtual-8086 mode; the guest is in real mode. */
static void enter_vm86(struct vmx_vcpu *v, const struct vmx_seg *segs)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	const struct vmx_seg tr = {
		.base = vcpu->kvm->arch.tss_addr,
		.limit = TSS_LIMIT,
		.ar = VMX_AR_P_MASK | VMX_AR_TYPE_BUSY_32_TSS,
	};
	int i;

	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		v->rm_ar[i] = segs[i].ar;
		vmcs_write(vmx_seg_fields[i].ar, VMX_AR_VM86);
	}
	v->rm_tr = segs[VCPU_SEG_TR];
	vmx_write_seg(VCPU_SEG_TR, &tr);
	/* written anew, with what belongs to the mode */
	kvm_reg_read_raw(vcpu, VCPU_REG_RFLAGS);
	kvm_reg_mark_dirty(vcpu, VCPU_REG_RFLAGS);
	v->vm86 = true;
	vmx_update_intercepts(vcpu);
}

/* ... and has the guest's own segments again */
static void leave_vm86(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	int i;

	kvm_reg_read_raw(vcpu, VCPU_REG_RFLAGS);
	kvm_reg_mark_dirty(vcpu, VCPU_REG_RFLAGS);
	v->vm86 = false;
	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
		vmcs_write(vmx_seg_fields[i].ar, v->rm_ar[i]);
	vmx_write_seg(VCPU_SEG_TR, &v->rm_tr);
	vmx_update_intercepts(vcpu);
	v->check_state = true;
}

/*
 * emulate_invalid_guest_state=0: make the state one that fits, at the price of a guest
 * whose segments are not what it thinks.
 */
static void round_to_vm86(struct vmx_seg *segs)
{
	int i;

	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		segs[i].selector = segs[i].base >> 4;
		segs[i].base = (u64)segs[i].selector << 4;
		segs[i].limit = VMX_VM86_LIMIT;
		vmx_write_seg(i, &segs[i]);
	}
}

/**
 * vmx_check_state() - can the CPU run the guest as it is
 * @v: the vCPU, loaded
 *
 * Sets @v->must_emulate when it cannot.
 */
void vmx_check_state(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	struct vmx_seg segs[VCPU_NR_SEGS];
	bool fits = vcpu->kvm->arch.has_tss;
	int i;

	v->check_state = false;
	v->must_emulate = false;
	if (v->vm86)
		return;
	read_segs(segs);
	if (v->guest_cr0 & X86_CR0_PE) {
		v->checked_vm = kvm_rflags_read(vcpu) & X86_EFLAGS_VM;
		v->must_emulate = vmx_emulate_invalid &&
			!vmx_segs_valid(segs, v->checked_vm, vcpu->arch.efer & EFER_LMA);
		return;
	}
	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
		fits &= vmx_seg_fits_vm86(i, &segs[i]);
	/* the rest of the checks of virtual-8086 mode is that of protected mode */
	fits &= vmx_ldtr_valid(&segs[VCPU_SEG_LDTR]);
	if (!fits && vmx_emulate_invalid) {
		v->must_emulate = true;
		return;
	}
	if (!fits)
		round_to_vm86(segs);
	enter_vm86(v, segs);
}

/**
 * vmx_rmode_prepare() - about to enter: have the VMCS a state that the CPU takes
 * @v: the vCPU, loaded; interrupts off
 *
 * Return: true when it does not, and the emulator has to go on.
 */
bool vmx_rmode_prepare(struct vmx_vcpu *v)
{
	struct kvm_vcpu_arch *arch = &v->vcpu->arch;

	/* protected mode may have become virtual-8086 mode, or the other way round */
	if (v->check_state ||
	    (!v->vm86 && (arch->regs_dirty & BIT(VCPU_REG_RFLAGS)) &&
	     !!(arch->regs[VCPU_REG_RFLAGS] & X86_EFLAGS_VM) != v->checked_vm))
		vmx_check_state(v);
	return v->must_emulate;
}

/**
 * vmx_rmode_get_seg() - a segment register as the guest has it
 * @v: the vCPU, loaded; @v->vm86 is set
 * @seg: which
 * @s: what the VMCS has; changed where the guest has another
 */
void vmx_rmode_get_seg(struct vmx_vcpu *v, enum kvm_seg seg, struct vmx_seg *s)
{
	if (seg == VCPU_SEG_TR)
		*s = v->rm_tr;
	else if (seg <= VCPU_SEG_GS)
		s->ar = v->rm_ar[seg];
}

/**
 * vmx_rmode_set_seg() - the guest is given a segment register
 * @v: the vCPU, loaded
 * @seg: which
 * @s: value, in the form of the VMCS
 *
 * Return: true when that was all; else the caller writes it to the VMCS.
 */
bool vmx_rmode_set_seg(struct vmx_vcpu *v, enum kvm_seg seg, const struct vmx_seg *s)
{
	if (!v->vm86) {
		v->check_state = true;
		return false;
	}
	if (seg == VCPU_SEG_TR) {
		v->rm_tr = *s;
		return true;
	}
	if (seg <= VCPU_SEG_GS && vmx_seg_fits_vm86(seg, s)) {
		struct vmx_seg hw = *s;

		v->rm_ar[seg] = s->ar;
		hw.ar = VMX_AR_VM86;
		vmx_write_seg(seg, &hw);
		return true;
	}
	leave_vm86(v);
	return false;
}

/**
 * vmx_rmode_set_cr0() - CR0.PE or CR0.PG may be about to change
 * @v: the vCPU, loaded; CR0, CR3 and CR4 have their old values
 * @cr0: the new one
 */
void vmx_rmode_set_cr0(struct vmx_vcpu *v, unsigned long cr0)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	unsigned long cr4;

	/* the VMCS has them for the last time, or has them from now on */
	kvm_read_cr0(vcpu);
	kvm_read_cr3(vcpu);
	cr4 = kvm_read_cr4(vcpu);
	kvm_reg_mark_dirty(vcpu, VCPU_REG_CR3);
	if (v->vm86 && (cr0 & X86_CR0_PE))
		leave_vm86(v);
	v->check_state = true;
	v->guest_cr0 = cr0;
	vmx_set_cpu_ctl(v, CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING,
			vmx_cr3_is_ours(v));
	vmcs_write(CR0_GUEST_HOST_MASK, ~vmx_cr0_owned(v));
	vmcs_write(CR4_GUEST_HOST_MASK, ~vmx_cr4_owned(v));
	vmx_set_cr4(vcpu, cr4);
}

/**
 * vmx_rmode_hw_cr4() - CR4 to run with
 * @v: the vCPU
 * @cr4: as the guest has it
 */
unsigned long vmx_rmode_hw_cr4(struct vmx_vcpu *v, unsigned long cr4)
{
	if (!vmx_feat.ept) {
		cr4 = kvm_shadow_cr4(v->guest_cr0, cr4);
	} else if (!(v->guest_cr0 & X86_CR0_PG)) {
		/* the identity map has 4 MiB pages that user code may use */
		cr4 &= ~(X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
		cr4 |= X86_CR4_PSE;
	}
	/* what virtual-8086 mode would obey, being of CPL 3, and real mode does not */
	if (!(v->guest_cr0 & X86_CR0_PE))
		cr4 &= ~(X86_CR4_VME | X86_CR4_TSD | X86_CR4_UMIP);
	return cr4;
}

/**
 * vmx_rmode_inject() - deliver an event in real mode
 * @v: the vCPU, loaded, SRCU held
 * @ev: the event
 */
void vmx_rmode_inject(struct vmx_vcpu *v, const struct kvm_event *ev)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	u8 vector = ev->vector, len = 0;

	switch (ev->type) {
	case KVM_EVENT_NMI:
		vector = X86_TRAP_NMI;
		break;
	case KVM_EVENT_SOFT_INTR:
		len = ev->insn_len ?: 2;
		break;
	case KVM_EVENT_SOFT_EXC:
		len = ev->insn_len ?: 1;
		break;
	}
	/* a CPU that cannot push the frame shuts down */
	if (kvm_deliver_real_mode_event(vcpu, vector, len)) {
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return;
	}
	if (ev->type == KVM_EVENT_NMI)
		vmx_set_blocking(vcpu, KVM_BLOCKED_NMI, KVM_BLOCKED_NMI);
}
