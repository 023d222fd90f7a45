// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM for guests: its instructions, and whose an exit, an instruction or an event of
 * L2 is.
 *
 * AMD APM vol. 2, 15.9 to 15.14 (intercepts), 15.17 (GIF), 15.20 and 15.21 (events);
 * vol. 3 (the instructions).
 */
#include <linux/slab.h>
#include <asm/trapnr.h>

#include "arch/x86/nested.h"
#include "arch/x86/run.h"
#include "arch/x86/svm/nested.h"

/* ---- instructions -------------------------------------------------------------------------- */

/**
 * svm_nested_no_memory() - an address that a CPU would take, and nothing that it could do there
 * @vcpu: the vCPU, loaded
 *
 * Return: 0: user space is told.
 */
int svm_nested_no_memory(struct kvm_vcpu *vcpu)
{
	kvm_prepare_emulation_failure_exit(vcpu);
	return 0;
}

static int vmload(struct svm_vcpu *svm, struct kvm_exit *exit, gpa_t gpa)
{
	struct vmcb_save_area *s;
	int r = 1;

	s = kmalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	if (kvm_vcpu_read_guest(svm->vcpu, gpa + offsetof(struct vmcb, save), s, sizeof(*s))) {
		r = svm_nested_no_memory(svm->vcpu);
	} else {
		s->spec_ctrl = svm->vmcb->save.spec_ctrl;
		svm_nested_carry_over(&svm->vmcb->save, s);
		svm_mark_dirty(svm, SVM_CLEAN_SEG);
		r = kvm_skip_insn(svm->vcpu, exit);
	}
	kfree(s);
	return r;
}

static int store(struct svm_vcpu *svm, gpa_t gpa, unsigned int from, unsigned int to)
{
	return kvm_nested_write(svm->vcpu, gpa + offsetof(struct vmcb, save) + from,
				(u8 *)&svm->vmcb->save + from, to - from);
}

#define SAVED(field)	offsetof(struct vmcb_save_area, field)

static int vmsave(struct svm_vcpu *svm, struct kvm_exit *exit, gpa_t gpa)
{
	if (store(svm, gpa, SAVED(fs), SAVED(gdtr)) ||
	    store(svm, gpa, SAVED(ldtr), SAVED(idtr)) ||
	    store(svm, gpa, SAVED(tr), SAVED(tr) + sizeof(struct vmcb_seg)) ||
	    store(svm, gpa, SAVED(star), SAVED(cr2)))
		return svm_nested_no_memory(svm->vcpu);
	return kvm_skip_insn(svm->vcpu, exit);
}

/**
 * svm_virt_insn() - an instruction of SVM
 * @vcpu: the vCPU, loaded, kvm->srcu held; L1, or L2 where L1 does not intercept it
 * @exit: the exit
 *
 * Return: >0 to enter again, 0 to leave to user space, -ENOMEM.
 */
int svm_virt_insn(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	gpa_t gpa = kvm_gpr_read(vcpu, VCPU_REG_RAX);

	if (!guest_has(vcpu, X86_FEATURE_SVM) || !(vcpu->arch.efer & EFER_SVME) ||
	    !is_protmode(vcpu) || (kvm_rflags_read(vcpu) & X86_EFLAGS_VM)) {
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return 1;
	}
	if (svm_get_cpl(vcpu)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	if (!svm_is_64_bit_code(vcpu))
		gpa = (u32)gpa;

	switch (exit->hw_reason) {
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
		svm_set_gif(svm, exit->hw_reason == SVM_EXIT_STGI);
		return kvm_skip_insn(vcpu, exit);
	case SVM_EXIT_INVLPGA:
		/* of L1 itself when ASID (ECX) is 0; of others nothing stays */
		kvm_mmu_invlpg(vcpu, gpa);
		return kvm_skip_insn(vcpu, exit);
	}

	if (!IS_ALIGNED(gpa, PAGE_SIZE) || !kvm_gpa_is_legal(vcpu, gpa)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	switch (exit->hw_reason) {
	case SVM_EXIT_VMLOAD:
		return vmload(svm, exit, gpa);
	case SVM_EXIT_VMSAVE:
		return vmsave(svm, exit, gpa);
	default:
		/* there is one level: L1 must intercept it, and does */
		if (vcpu->arch.guest_mode || vcpu->arch.smm) {
			kvm_queue_exception(vcpu, X86_TRAP_UD);
			return 1;
		}
		return svm_nested_vmrun(svm, exit, gpa);
	}
}

/* ---- exits of L2 ------------------------------------------------------------------------- */

/* One or more ports: does L1's map have one of them. APM vol. 2, 15.10.1 */
static bool l1_wants_port(struct svm_vcpu *svm, u16 port, u8 size)
{
	gpa_t gpa = (l1_control(svm)->iopm_base_pa & PAGE_MASK) + port / 8;
	u8 map[2];

	if (!l1_intercepts(svm, INTERCEPT_IOIO_PROT))
		return false;
	if (kvm_vcpu_read_guest(svm->vcpu, gpa, map, sizeof(map)))
		return true;
	return ((map[0] | map[1] << 8) >> port % 8) & GENMASK(size - 1, 0);
}

static bool l1_wants_msr(struct svm_vcpu *svm, u32 index, bool write)
{
	int bit = svm_msrpm_bit(index);
	u8 map;

	if (!l1_intercepts(svm, INTERCEPT_MSR_PROT))
		return false;
	if (bit < 0 || kvm_vcpu_read_guest(svm->vcpu, (l1_control(svm)->msrpm_base_pa & PAGE_MASK) +
					   bit / 8, &map, 1))
		return true;
	return map & BIT(bit % 8 + write);
}

/* CR0_SEL_WRITE: anything but TS and MP changes. APM vol. 2, 15.9 */
static bool l1_wants_cr0(struct svm_vcpu *svm, unsigned long value)
{
	return l1_intercepts(svm, INTERCEPT_SELECTIVE_CR0) &&
	       ((value ^ kvm_read_cr0(svm->vcpu)) & ~(X86_CR0_TS | X86_CR0_MP));
}

/* A debugger of user space's, or our own single step, comes before L1. */
static bool exception_is_ours(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	switch (exit->hw_reason - SVM_EXIT_EXCP_BASE) {
	case X86_TRAP_DB:
		return exit->kind == KVM_XK_HANDLED ||
		       (vcpu->arch.guest_debug &
			(KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP));
	case X86_TRAP_BP:
		return vcpu->arch.guest_debug & KVM_GUESTDBG_USE_SW_BP;
	case X86_TRAP_PF:
		/* what is left of it comes by svm_nested_event() */
		return !svm_feat.npt;
	case X86_TRAP_MC:
		return true;
	default:
		return false;
	}
}

/* DR6 of a #DB that L1 intercepts; what else is on its way is in arch.exception. */
static void put_dr6(struct kvm_vcpu *vcpu, u64 payload)
{
	typeof(vcpu->arch.exception) kept = vcpu->arch.exception;

	vcpu->arch.exception.vector = X86_TRAP_DB;
	vcpu->arch.exception.has_payload = true;
	vcpu->arch.exception.payload = payload;
	kvm_deliver_exception_payload(vcpu);
	vcpu->arch.exception = kept;
}

/* Is there a virtual interrupt of L1's that L2 would take now? */
static bool virq_open(struct svm_vcpu *svm)
{
	u32 ctl = svm->vmcb->control.int_ctl;
	u8 prio = (ctl & V_INTR_PRIO_MASK) >> V_INTR_PRIO_SHIFT;

	return !svm->intr_window && (ctl & V_IRQ_MASK) &&
	       (kvm_rflags_read(svm->vcpu) & X86_EFLAGS_IF) &&
	       ((ctl & V_IGN_TPR_MASK) || prio > (ctl & V_TPR_MASK));
}

static bool exit_is_l1s(struct svm_vcpu *svm, struct kvm_exit *exit, u64 *code)
{
	struct kvm_vcpu *vcpu = svm->vcpu;

	switch (*code) {
	case SVM_EXITCODE_INVALID:
		return true;
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_FERR_FREEZE:
	case SVM_EXIT_NPF:
		/* the host's */
		return false;
	case SVM_EXIT_VINTR:
		return exit->kind != KVM_XK_INTR_WINDOW;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
		if (exception_is_ours(vcpu, exit))
			return false;
		break;
	case SVM_EXIT_IOIO:
		return l1_wants_port(svm, exit->io.port, exit->io.size);
	case SVM_EXIT_MSR:
		return l1_wants_msr(svm, kvm_gpr_read(vcpu, VCPU_REG_RCX), exit->hw_info1 & 1);
	case SVM_EXIT_WRITE_CR0:
		if (l1_intercepts(svm, INTERCEPT_CR0_WRITE) || !exit->cr.decoded)
			break;
		if (!l1_wants_cr0(svm, kvm_gpr_read(vcpu, exit->cr.gpr)))
			return false;
		*code = SVM_EXIT_CR0_SEL_WRITE;
		return true;
	}
	return *code < 32 * MAX_INTERCEPT && l1_intercepts(svm, *code);
}

/**
 * svm_nested_exit() - L2 has exited: is that L1's business
 * @vcpu: the vCPU in L2, loaded, kvm->srcu held
 * @exit: the exit
 *
 * Return: true when L1 has been told and runs next, or L2 was dealt with; false: to be handled
 * as any guest's.
 */
bool svm_nested_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 code = exit->hw_reason;

	/* a VMCB that the CPU refuses has 32 or 64 bits of ones */
	if ((u32)code == (u32)SVM_EXITCODE_INVALID)
		code = SVM_EXITCODE_INVALID;
	if (!exit_is_l1s(svm, exit, &code)) {
		/* what would end it at once is nothing that others see */
		if (code == SVM_EXIT_HLT && virq_open(svm)) {
			kvm_skip_insn(vcpu, exit);
			return true;
		}
		/* of L2 it is no hypercall, and nobody else's either */
		if (code != SVM_EXIT_VMMCALL)
			return false;
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return true;
	}
	/* it does not execute now: NMIs stay as they are */
	if (code == SVM_EXIT_IRET)
		svm_set_blocking(vcpu, KVM_BLOCKED_NMI, svm->nmi_masked ? KVM_BLOCKED_NMI : 0);
	if (code == SVM_EXIT_EXCP_BASE + X86_TRAP_DB)
		put_dr6(vcpu, exit->exc.payload);
	svm_nested_vmexit(svm, code, exit->hw_info1, exit->hw_info2,
			  svm_feat.nrips ? svm->vmcb->control.next_rip : 0);
	return true;
}

/* ---- instructions of L2 that the emulator carries out ---------------------------------------- */

static u64 io_info(const struct kvm_insn *insn, const struct x86_emul *e)
{
	u64 info = (u64)insn->port << 16 | insn->size << SVM_IOIO_SIZE_SHIFT |
		   e->d.ad_bytes / 2 << SVM_IOIO_ASIZE_SHIFT;

	if (insn->string)
		info |= SVM_IOIO_STR_MASK |
			(u64)(insn->in ? X86_SEG_ES :
			      e->d.seg_override >= 0 ? e->d.seg_override : X86_SEG_DS) << 10;
	if (insn->rep)
		info |= BIT(SVM_IOIO_REP_SHIFT);
	if (insn->in)
		info |= SVM_IOIO_TYPE_MASK;
	return info;
}

/* exit codes of what needs nothing but its bit among the intercepts */
static const u16 insn_exits[] = {
	[KVM_INSN_SGDT]		= INTERCEPT_STORE_GDTR,
	[KVM_INSN_SIDT]		= INTERCEPT_STORE_IDTR,
	[KVM_INSN_LGDT]		= INTERCEPT_LOAD_GDTR,
	[KVM_INSN_LIDT]		= INTERCEPT_LOAD_IDTR,
	[KVM_INSN_SLDT]		= INTERCEPT_STORE_LDTR,
	[KVM_INSN_STR]		= INTERCEPT_STORE_TR,
	[KVM_INSN_LLDT]		= INTERCEPT_LOAD_LDTR,
	[KVM_INSN_LTR]		= INTERCEPT_LOAD_TR,
	[KVM_INSN_CPUID]	= INTERCEPT_CPUID,
	[KVM_INSN_HLT]		= INTERCEPT_HLT,
	[KVM_INSN_RDTSC]	= INTERCEPT_RDTSC,
	[KVM_INSN_RDTSCP]	= INTERCEPT_RDTSCP,
	[KVM_INSN_RDPMC]	= INTERCEPT_RDPMC,
	[KVM_INSN_INVLPG]	= INTERCEPT_INVLPG,
	[KVM_INSN_INVPCID]	= INTERCEPT_INVPCID,
	[KVM_INSN_WBINVD]	= INTERCEPT_WBINVD,
	[KVM_INSN_INVD]		= INTERCEPT_INVD,
	[KVM_INSN_MONITOR]	= INTERCEPT_MONITOR,
	[KVM_INSN_MWAIT]	= INTERCEPT_MWAIT,
	[KVM_INSN_PAUSE]	= INTERCEPT_PAUSE,
	[KVM_INSN_XSETBV]	= INTERCEPT_XSETBV,
	[KVM_INSN_RSM]		= INTERCEPT_RSM,
	[KVM_INSN_HYPERCALL]	= INTERCEPT_VMMCALL,
	[KVM_INSN_INT]		= INTERCEPT_INTn,
	[KVM_INSN_ICEBP]	= INTERCEPT_ICEBP,
	[KVM_INSN_IRET]		= INTERCEPT_IRET,
	[KVM_INSN_PUSHF]	= INTERCEPT_PUSHF,
	[KVM_INSN_POPF]		= INTERCEPT_POPF,
};

/**
 * svm_nested_insn() - an instruction of L2 is about to be carried out by the emulator
 * @vcpu: the vCPU in L2, loaded, kvm->srcu held
 * @e: the instruction, its privileges checked
 *
 * It need not be the one for which L2 has exited: another CPU may have changed it.
 *
 * Return: true when L1 intercepts it, and runs next; false: go on.
 */
bool svm_nested_insn(struct kvm_vcpu *vcpu, const struct x86_emul *e)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 next = svm_feat.nrips ? e->rip + e->d.len : 0;
	unsigned int code = 0;
	struct kvm_insn insn;
	u64 info1 = 0;

	kvm_nested_classify(e, &insn);
	switch (insn.class) {
	case KVM_INSN_PLAIN:
	case KVM_INSN_RDPID:
		return false;
	case KVM_INSN_CR_READ:
		code = SVM_EXIT_READ_CR0 + insn.reg;
		break;
	case KVM_INSN_SMSW:
		code = SVM_EXIT_READ_CR0;
		break;
	case KVM_INSN_CR_WRITE:
		code = SVM_EXIT_WRITE_CR0 + insn.reg;
		if (!insn.reg && !l1_intercepts(svm, code) && l1_wants_cr0(svm, e->gpr[insn.gpr]))
			code = SVM_EXIT_CR0_SEL_WRITE;
		break;
	case KVM_INSN_CLTS:
		code = SVM_EXIT_WRITE_CR0;
		break;
	case KVM_INSN_LMSW:
		/* one in memory may have any value */
		code = SVM_EXIT_WRITE_CR0;
		if (!l1_intercepts(svm, code) &&
		    (insn.mem ||
		     l1_wants_cr0(svm, (kvm_read_cr0(vcpu) & ~0xful) | (insn.value & 0xf))))
			code = SVM_EXIT_CR0_SEL_WRITE;
		break;
	case KVM_INSN_DR_READ:
		code = SVM_EXIT_READ_DR0 + insn.reg;
		break;
	case KVM_INSN_DR_WRITE:
		code = SVM_EXIT_WRITE_DR0 + insn.reg;
		break;
	case KVM_INSN_IO:
		if (!l1_wants_port(svm, insn.port, insn.size))
			return false;
		svm_nested_vmexit(svm, SVM_EXIT_IOIO, io_info(&insn, e), e->rip + e->d.len, next);
		return true;
	case KVM_INSN_RDMSR:
	case KVM_INSN_WRMSR:
		info1 = insn.class == KVM_INSN_WRMSR;
		if (!l1_wants_msr(svm, e->gpr[X86_GPR_RCX], info1))
			return false;
		svm_nested_vmexit(svm, SVM_EXIT_MSR, info1, 0, next);
		return true;
	default:
		code = insn_exits[insn.class];
		break;
	}
	if (l1_intercepts(svm, code)) {
		svm_nested_vmexit(svm, code, info1, 0, next);
		return true;
	}
	if (insn.class != KVM_INSN_HYPERCALL)
		return false;
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return true;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void exception_exit(struct svm_vcpu *svm)
{
	struct kvm_vcpu *vcpu = svm->vcpu;
	u8 vector = vcpu->arch.exception.vector;
	u64 info1 = 0, info2 = 0;

	if (vcpu->arch.exception.has_error_code)
		info1 = vcpu->arch.exception.error_code;
	if (vector == X86_TRAP_PF) {
		/* CR2 is as it was, 15.12.15 */
		info2 = vcpu->arch.exception.has_payload ? vcpu->arch.exception.payload :
							   vcpu->arch.cr2;
		vcpu->arch.exception.has_payload = false;
	} else {
		kvm_deliver_exception_payload(vcpu);
	}
	vcpu->arch.exception.pending = false;
	svm_nested_vmexit(svm, SVM_EXIT_EXCP_BASE + vector, info1, info2, 0);
}

/* Of interrupts L1 says by V_INTR_MASKING whose IF counts: 15.21.1 */
static bool intr_open(struct svm_vcpu *svm)
{
	if (svm_l2_has_tpr(svm))
		return svm->nested->l1.rflags & X86_EFLAGS_IF;
	return (kvm_rflags_read(svm->vcpu) & X86_EFLAGS_IF) &&
	       !(svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK);
}

static enum kvm_nested_answer intr_answer(struct svm_vcpu *svm, bool take)
{
	bool open = intr_open(svm);

	if (!l1_intercepts(svm, INTERCEPT_INTR)) {
		if (!svm_l2_has_tpr(svm))
			return KVM_NESTED_L2;
		return open ? KVM_NESTED_L2_NOW : KVM_NESTED_WAIT;
	}
	if (open)
		return KVM_NESTED_L1;
	/* until L2 sets IF; L1's own is looked at when L2 has ended */
	if (take && !svm_l2_has_tpr(svm))
		svm_set_intr_window(svm, true);
	return KVM_NESTED_WAIT;
}

/**
 * svm_nested_event() - an event has come while L2 runs: whose is it
 * @vcpu: the vCPU in L2, loaded, kvm->srcu held
 * @what: the event
 * @take: leave L2 for it, if it is L1's
 *
 * Interrupts, NMIs, SMIs and INIT stay pending then: L1 takes them when it sets GIF.
 *
 * Return: see enum kvm_nested_answer.
 */
enum kvm_nested_answer svm_nested_event(struct kvm_vcpu *vcpu, enum kvm_nested_event what,
					bool take)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	enum kvm_nested_answer answer = KVM_NESTED_L1;
	u64 code;

	switch (what) {
	case KVM_NESTED_EXCEPTION:
		code = SVM_EXIT_EXCP_BASE + vcpu->arch.exception.vector;
		break;
	case KVM_NESTED_INTR:
		code = SVM_EXIT_INTR;
		answer = intr_answer(svm, take);
		break;
	case KVM_NESTED_NMI:
		code = SVM_EXIT_NMI;
		/* one that is masked waits for IRET, as everywhere */
		if (svm->nmi_masked)
			return KVM_NESTED_L2;
		break;
	case KVM_NESTED_SMI:
		code = SVM_EXIT_SMI;
		break;
	case KVM_NESTED_INIT:
		code = SVM_EXIT_INIT;
		break;
	default:
		code = SVM_EXIT_SHUTDOWN;
		break;
	}
	if (what != KVM_NESTED_INTR && !l1_intercepts(svm, code))
		answer = KVM_NESTED_L2;
	if (what != KVM_NESTED_EXCEPTION && what != KVM_NESTED_TRIPLE_FAULT && !svm->gif)
		return KVM_NESTED_WAIT;
	if (answer == KVM_NESTED_L1 && vcpu->arch.nested_entry)
		return KVM_NESTED_WAIT;
	if (answer != KVM_NESTED_L1 || !take)
		return answer;

	if (what == KVM_NESTED_EXCEPTION)
		exception_exit(svm);
	else
		svm_nested_vmexit(svm, code, 0, 0, 0);
	return answer;
}
