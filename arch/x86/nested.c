// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that is a hypervisor: what does not depend on the vendor.
 *
 * L1 is the guest, L2 a guest of its own. L1 finds SVM or VMX in its CPUID, and
 * whenever it enters L2, the backend loads L2's state into the vCPU, beside
 * controls that are those of L1 and ours together: an intercept that either wants
 * is on, and what L1 says is never enough to switch one of ours off.
 * vcpu->arch.guest_mode says that the vCPU's registers are L2's. An exit of L2 is
 * shown to the backend first (nested_exit), which either makes L1 run again, with
 * what its own CPU would tell it, or leaves it to the handlers, which treat L2 as
 * any guest.
 *
 * Guests have no nested paging for themselves: what L2 takes for physical addresses
 * are L1's, so that our tables, or shadows of L2's own, serve both. L1 has to shadow.
 *
 * Events ask the backend whose they are (nested_event). One that is L1's ends L2,
 * unless L2 has been entered by L1 but not yet by the CPU (arch.nested_entry): that
 * comes first.
 */
#include <linux/uaccess.h>
#include <asm/trapnr.h>

#include "arch/x86/nested.h"

/* ---- instructions that the emulator carries out ------------------------------------ */

/* 0F 00 and 0F 01: by the ModRM byte */
static enum kvm_insn_class group6(const struct x86_emul_insn *d)
{
	static const enum kvm_insn_class classes[] = {
		KVM_INSN_SLDT, KVM_INSN_STR, KVM_INSN_LLDT, KVM_INSN_LTR,
	};
	unsigned int reg = d->modrm >> 3 & 7;

	return reg < ARRAY_SIZE(classes) ? classes[reg] : KVM_INSN_PLAIN;
}

static enum kvm_insn_class group7(const struct x86_emul *e, struct kvm_insn *insn)
{
	const struct x86_emul_insn *d = &e->d;
	bool mem = d->modrm < 0xc0;

	switch (d->modrm) {
	case 0xc1:	/* VMCALL */
	case 0xd9:	/* VMMCALL */
		return KVM_INSN_HYPERCALL;
	case 0xc8:
	case 0xfa:
		return KVM_INSN_MONITOR;
	case 0xc9:
	case 0xfb:
		return KVM_INSN_MWAIT;
	case 0xd1:
		return KVM_INSN_XSETBV;
	case 0xf9:
		return KVM_INSN_RDTSCP;
	}
	switch (d->modrm >> 3 & 7) {
	case 0:
		return mem ? KVM_INSN_SGDT : KVM_INSN_PLAIN;
	case 1:
		return mem ? KVM_INSN_SIDT : KVM_INSN_PLAIN;
	case 2:
		return mem ? KVM_INSN_LGDT : KVM_INSN_PLAIN;
	case 3:
		return mem ? KVM_INSN_LIDT : KVM_INSN_PLAIN;
	case 4:
		return KVM_INSN_SMSW;
	case 6:
		if (!mem)
			insn->value = e->gpr[d->rm & 15];
		return KVM_INSN_LMSW;
	case 7:
		return mem ? KVM_INSN_INVLPG : KVM_INSN_PLAIN;
	default:
		return KVM_INSN_PLAIN;
	}
}

static enum kvm_insn_class two_byte(const struct x86_emul *e, struct kvm_insn *insn)
{
	const struct x86_emul_insn *d = &e->d;

	insn->reg = d->reg;
	insn->gpr = d->rm;
	switch (d->opcode) {
	case 0x00:
		return group6(d);
	case 0x01:
		return group7(e, insn);
	case 0x06:
		return KVM_INSN_CLTS;
	case 0x08:
		return KVM_INSN_INVD;
	case 0x09:
		return KVM_INSN_WBINVD;
	case 0x20:
		return KVM_INSN_CR_READ;
	case 0x21:
		return KVM_INSN_DR_READ;
	case 0x22:
		return KVM_INSN_CR_WRITE;
	case 0x23:
		return KVM_INSN_DR_WRITE;
	case 0x30:
		return KVM_INSN_WRMSR;
	case 0x31:
		return KVM_INSN_RDTSC;
	case 0x32:
		return KVM_INSN_RDMSR;
	case 0x33:
		return KVM_INSN_RDPMC;
	case 0xa2:
		return KVM_INSN_CPUID;
	case 0xaa:
		return KVM_INSN_RSM;
	case 0xc7:
		return d->modrm >= 0xf8 && d->rep == 0xf3 ? KVM_INSN_RDPID : KVM_INSN_PLAIN;
	default:
		return KVM_INSN_PLAIN;
	}
}

static enum kvm_insn_class io(const struct x86_emul *e, struct kvm_insn *insn)
{
	const struct x86_emul_insn *d = &e->d;
	u8 op = d->opcode;

	insn->string = op < 0x70;
	insn->in = insn->string ? op < 0x6e : !(op & 2);
	insn->port = op >= 0xe4 && op < 0xe8 ? (u8)d->imm : (u16)e->gpr[X86_GPR_RDX];
	insn->size = op & 1 ? min_t(u8, d->op_bytes, 4) : 1;
	insn->rep = d->is_rep;
	return KVM_INSN_IO;
}

static enum kvm_insn_class one_byte(const struct x86_emul *e, struct kvm_insn *insn)
{
	const struct x86_emul_insn *d = &e->d;

	switch (d->opcode) {
	case 0x6c ... 0x6f:
	case 0xe4 ... 0xe7:
	case 0xec ... 0xef:
		return io(e, insn);
	case 0x90:
		return d->rep == 0xf3 ? KVM_INSN_PAUSE : KVM_INSN_PLAIN;
	case 0x9c:
		return KVM_INSN_PUSHF;
	case 0x9d:
		return KVM_INSN_POPF;
	case 0xcd:
		insn->vector = d->imm;
		return KVM_INSN_INT;
	case 0xcf:
		return KVM_INSN_IRET;
	case 0xf1:
		return KVM_INSN_ICEBP;
	case 0xf4:
		return KVM_INSN_HLT;
	default:
		return KVM_INSN_PLAIN;
	}
}

/**
 * kvm_nested_classify() - which of those that can be intercepted an instruction is
 * @e: the instruction, decoded
 * @insn: filled
 */
void kvm_nested_classify(const struct x86_emul *e, struct kvm_insn *insn)
{
	const struct x86_emul_insn *d = &e->d;

	*insn = (struct kvm_insn) { .len = d->len, .mem = d->mem };
	switch (d->map) {
	case 0:
		insn->class = one_byte(e, insn);
		break;
	case 1:
		insn->class = two_byte(e, insn);
		break;
	case 2:
		insn->class = d->opcode == 0x82 ? KVM_INSN_INVPCID : KVM_INSN_PLAIN;
		break;
	}
}
EXPORT_SYMBOL_GPL(kvm_nested_classify);

/* ---- L1's memory ---------------------------------------------------------------------- */

/**
 * kvm_nested_write() - write L1's memory, as its CPU would
 * @vcpu: the vCPU, kvm->srcu held
 * @gpa: where to
 * @data: what
 * @len: bytes, within a page
 *
 * Return: 0, or -EFAULT where there is no memory.
 */
int kvm_nested_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	int r = kvm_vcpu_write_guest(vcpu, gpa, data, len);

	/* L1 may have a table there */
	if (!r)
		kvm_mmu_guest_wrote(vcpu->kvm, gpa, len);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_nested_write);

/* ---- events -------------------------------------------------------------------------- */

/**
 * kvm_nested_undelivered() - L2 is left: what it was given and has not got
 * @vcpu: the vCPU, loaded
 * @ev: filled, KVM_EVENT_NONE where there is nothing; it is L1's business from now on
 */
void kvm_nested_undelivered(struct kvm_vcpu *vcpu, struct kvm_event *ev)
{
	*ev = (struct kvm_event) { .type = KVM_EVENT_NONE };
	if (vcpu->arch.l2_vectoring.type != KVM_EVENT_NONE) {
		*ev = vcpu->arch.l2_vectoring;
	} else if (vcpu->arch.exception.injected) {
		ev->type = KVM_EVENT_EXCEPTION;
		ev->vector = vcpu->arch.exception.vector;
		ev->has_error_code = vcpu->arch.exception.has_error_code;
		ev->error_code = vcpu->arch.exception.error_code;
	} else if (vcpu->arch.nmi_injected) {
		ev->type = KVM_EVENT_NMI;
		ev->vector = X86_TRAP_NMI;
	} else if (vcpu->arch.interrupt.injected) {
		ev->type = vcpu->arch.interrupt.soft ? KVM_EVENT_SOFT_INTR : KVM_EVENT_INTR;
		ev->vector = vcpu->arch.interrupt.vector;
		ev->insn_len = vcpu->arch.interrupt.insn_len;
	}
	vcpu->arch.l2_vectoring.type = KVM_EVENT_NONE;
	/* one that L2 has raised and not taken is raised again, if L1 goes on with it */
	vcpu->arch.exception.pending = false;
	vcpu->arch.exception.injected = false;
	vcpu->arch.nmi_injected = false;
	vcpu->arch.interrupt.injected = false;
}
EXPORT_SYMBOL_GPL(kvm_nested_undelivered);

/**
 * kvm_nested_window() - user space waits until an interrupt can be taken: by L1, instead of L2
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @req_immediate: set when L2 has to be entered and left before that
 *
 * Return: false when it is L2 that has to open the window, as any guest.
 */
bool kvm_nested_window(struct kvm_vcpu *vcpu, bool *req_immediate)
{
	enum kvm_nested_answer to;

	if (likely(!vcpu->arch.guest_mode))
		return false;
	to = kvm_be_call(nested_event)(vcpu, KVM_NESTED_INTR, false);
	if (to == KVM_NESTED_L2)
		return false;
	if (to != KVM_NESTED_WAIT || vcpu->arch.nested_entry)
		*req_immediate = true;
	return true;
}

/**
 * kvm_nested_triple_fault() - is a triple fault one of L2's, and L1's business
 * @vcpu: the vCPU, loaded, kvm->srcu held; KVM_REQ_TRIPLE_FAULT was taken
 *
 * Return: true when L1 has been told, or will be; false: the VM is to shut down.
 */
bool kvm_nested_triple_fault(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.guest_mode)
		return false;
	/* before the CPU has entered L2 there is nothing that L1's CPU could have left */
	vcpu->arch.nested_entry = false;
	return kvm_be_call(nested_event)(vcpu, KVM_NESTED_TRIPLE_FAULT, true) != KVM_NESTED_L2;
}

/* ---- ioctls -------------------------------------------------------------------------- */

#define NESTED_FLAGS	(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | \
			 KVM_STATE_NESTED_EVMCS | KVM_STATE_NESTED_MTF_PENDING | \
			 KVM_STATE_NESTED_GIF_SET)

static long get_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user)
{
	u32 size;
	int r;

	if (get_user(size, &user->size))
		return -EFAULT;
	r = kvm_be_call(get_nested_state)(vcpu, user, size);
	if (r < 0)
		return r;
	if (r <= size)
		return 0;
	return put_user(r, &user->size) ? -EFAULT : -E2BIG;
}

static long set_state(struct kvm_vcpu *vcpu, struct kvm_nested_state __user *user)
{
	struct kvm_nested_state hdr;

	if (copy_from_user(&hdr, user, sizeof(hdr)))
		return -EFAULT;
	if (hdr.size < sizeof(hdr) || (hdr.flags & ~NESTED_FLAGS))
		return -EINVAL;
	if ((hdr.flags & KVM_STATE_NESTED_RUN_PENDING) &&
	    !(hdr.flags & KVM_STATE_NESTED_GUEST_MODE))
		return -EINVAL;
	return kvm_be_call(set_nested_state)(vcpu, user, &hdr);
}

/**
 * kvm_nested_vcpu_ioctl() - KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0; -E2BIG with the size that is needed in the header; -EINVAL for a state that
 * cannot be, and where guests have no virtualization extension; -EFAULT; -ENOTTY for any
 * other request.
 */
long kvm_nested_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	if (ioctl != KVM_GET_NESTED_STATE && ioctl != KVM_SET_NESTED_STATE)
		return -ENOTTY;
	if (!kvm_be.nested)
		return -EINVAL;
	return ioctl == KVM_GET_NESTED_STATE ? get_state(vcpu, argp) : set_state(vcpu, argp);
}
