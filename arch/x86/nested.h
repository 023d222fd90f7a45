/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the virtualization of the virtualization extension has in common for both
 * vendors, see nested.c.
 */
#ifndef KVM_OOT_NESTED_H
#define KVM_OOT_NESTED_H

#include "arch/x86/kvm_x86.h"
#include "arch/x86/emulate/emulate.h"

/* KVM_RUN_X86_GUEST_MODE, which older headers do not have */
#define KVM_OOT_RUN_GUEST_MODE	BIT(2)

/* An instruction that a hypervisor can intercept, whichever its encoding. */
enum kvm_insn_class {
	KVM_INSN_PLAIN,		/* none of the below */
	KVM_INSN_CR_READ,	/* @reg, @gpr */
	KVM_INSN_CR_WRITE,
	KVM_INSN_CLTS,
	KVM_INSN_LMSW,		/* @value */
	KVM_INSN_SMSW,
	KVM_INSN_DR_READ,	/* @reg, @gpr */
	KVM_INSN_DR_WRITE,
	KVM_INSN_SGDT, KVM_INSN_SIDT, KVM_INSN_LGDT, KVM_INSN_LIDT,
	KVM_INSN_SLDT, KVM_INSN_STR, KVM_INSN_LLDT, KVM_INSN_LTR,
	KVM_INSN_IO,		/* @port, @size, @in, @string, @rep */
	KVM_INSN_CPUID, KVM_INSN_HLT,
	KVM_INSN_RDMSR, KVM_INSN_WRMSR,
	KVM_INSN_RDTSC, KVM_INSN_RDTSCP, KVM_INSN_RDPMC, KVM_INSN_RDPID,
	KVM_INSN_INVLPG, KVM_INSN_INVPCID,
	KVM_INSN_WBINVD, KVM_INSN_INVD,
	KVM_INSN_MONITOR, KVM_INSN_MWAIT, KVM_INSN_PAUSE,
	KVM_INSN_XSETBV, KVM_INSN_RSM, KVM_INSN_HYPERCALL,
	KVM_INSN_INT, KVM_INSN_ICEBP, KVM_INSN_IRET, KVM_INSN_PUSHF, KVM_INSN_POPF,
};

/**
 * struct kvm_insn - what is to be known of it to tell whether it is intercepted
 * @class: which
 * @reg: control or debug register
 * @gpr: general register that is its operand
 * @vector: of INT n
 * @port: of an access to ports
 * @size: bytes at a time, likewise
 * @in: IN or INS
 * @string: INS or OUTS
 * @rep: with a REP prefix
 * @len: bytes of the instruction
 * @value: operand of LMSW
 * @mem: it has an operand in memory, not a string's
 */
struct kvm_insn {
	enum kvm_insn_class class;
	u8 reg, gpr, vector, len;
	u16 port;
	u8 size;
	bool in, string, rep, mem;
	u16 value;
};

void kvm_nested_classify(const struct x86_emul *e, struct kvm_insn *insn);
int kvm_nested_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);
void kvm_nested_undelivered(struct kvm_vcpu *vcpu, struct kvm_event *ev);
bool kvm_nested_window(struct kvm_vcpu *vcpu, bool *req_immediate);
bool kvm_nested_triple_fault(struct kvm_vcpu *vcpu);
long kvm_nested_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);

#endif /* KVM_OOT_NESTED_H */
