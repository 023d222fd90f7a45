// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the VMCB's exit code to struct kvm_exit (AMD APM vol. 2, 15.6 to 15.14,
 * appendix C).
 *
 * Lengths of instructions come from the next RIP where the CPU saves it, operands
 * of CR, DR and INVLPG accesses and the instruction's bytes from the decode
 * assists; without them common code decodes the instruction.
 */

#include "arch/x86/svm/svm.h"

#define pr_prefix "kvm_amd: "

#define IOIO_IN			BIT(0)
#define IOIO_STRING		BIT(2)
#define IOIO_REP		BIT(3)
#define IOIO_SIZE_SHIFT		4
#define IOIO_PORT_SHIFT		16

#define MOV_CR_VALID		BIT_ULL(63)
#define MOV_GPR			GENMASK_ULL(3, 0)

#define TASK_IRET		BIT_ULL(36)
#define TASK_JMP		BIT_ULL(38)
#define TASK_ERROR_CODE		BIT_ULL(44)

static bool has_error_code(u8 vector)
{
	switch (vector) {
	case 8:
	case 10 ... 14:
	case 17:
	case 21:
	case 29:
	case 30:
		return true;
	default:
		return false;
	}
}

static void decode_cr(struct kvm_exit *exit, u8 cr, bool write)
{
	exit->kind = KVM_XK_CR;
	exit->cr.cr = cr;
	exit->cr.write = write;
	/* without the bit it was LMSW, CLTS or SMSW */
	exit->cr.decoded = svm_feat.decode_assists && (exit->hw_info1 & MOV_CR_VALID);
	exit->cr.gpr = exit->hw_info1 & MOV_GPR;
}

static void decode_dr(struct kvm_exit *exit, u8 dr, bool write)
{
	exit->kind = KVM_XK_DR;
	exit->dr.dr = dr;
	exit->dr.write = write;
	exit->dr.decoded = svm_feat.decode_assists;
	exit->dr.gpr = exit->hw_info1 & MOV_GPR;
}

static void decode_exception(struct svm_vcpu *svm, struct kvm_exit *exit,
			     u8 vector, bool stepping)
{
	exit->kind = KVM_XK_EXCEPTION;
	exit->exc.vector = vector;
	exit->exc.has_error_code = has_error_code(vector);
	exit->exc.error_code = exit->hw_info1;
	switch (vector) {
	case DB_VECTOR:
		exit->exc.payload = svm->vmcb->save.dr6 ^ SVM_DR6_INIT;
		/*
		 * The step that was to tell when NMIs are open: nothing but that,
		 * unless a condition came up that was not in DR6 before.
		 */
		if (stepping && svm->vmcb->save.dr6 == svm->entry_dr6)
			exit->kind = KVM_XK_HANDLED;
		break;
	case PF_VECTOR:
		exit->exc.payload = exit->hw_info2;
		break;
	case MC_VECTOR:
		/* the host has dealt with it */
		exit->kind = KVM_XK_HANDLED;
		break;
	}
}

static void decode_io(struct svm_vcpu *svm, struct kvm_exit *exit)
{
	u64 info = exit->hw_info1;

	exit->kind = KVM_XK_IO;
	exit->io.port = info >> IOIO_PORT_SHIFT;
	exit->io.size = (info >> IOIO_SIZE_SHIFT) & 7;
	exit->io.in = info & IOIO_IN;
	exit->io.string = info & IOIO_STRING;
	exit->io.rep = info & IOIO_REP;
	/* here every CPU tells where the next instruction is */
	exit->insn_len = exit->hw_info2 - svm->vmcb->save.rip;
}

static void decode_task_switch(struct kvm_exit *exit)
{
	exit->kind = KVM_XK_TASK_SWITCH;
	exit->task.selector = exit->hw_info1;
	if (exit->hw_info2 & TASK_IRET) {
		exit->task.reason = 1;
	} else if (exit->hw_info2 & TASK_JMP) {
		exit->task.reason = 2;
	} else if (exit->vectoring.type != KVM_EVENT_NONE) {
		exit->task.reason = 3;
		exit->task.gate_vector_type = exit->vectoring.type;
	} else {
		exit->task.reason = 0;
	}
	exit->task.has_error_code = exit->hw_info2 & TASK_ERROR_CODE;
	exit->task.error_code = exit->hw_info2;
}

static void decode_iret(struct svm_vcpu *svm, struct kvm_exit *exit)
{
	/* it executes now; NMIs open when RIP has moved on */
	svm_set_intercept(svm, INTERCEPT_IRET, false);
	svm->iret_seen = true;
	svm->iret_rip = svm->vmcb->save.rip;
	exit->kind = KVM_XK_NMI_WINDOW;
}

/* The guest spins: let it, longer and longer, before the next exit. */
static void grow_pause_window(struct svm_vcpu *svm)
{
	struct vmcb_control_area *c = &svm->vmcb->control;
	u32 count = c->pause_filter_count;

	if (svm_pause_filter_count_grow)
		count *= svm_pause_filter_count_grow;
	else
		count = svm_pause_filter_count;
	count = min_t(u32, count, svm_pause_filter_count_max);
	if (count != c->pause_filter_count) {
		c->pause_filter_count = count;
		svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);
	}
}

static void dump_seg(const char *name, const struct vmcb_seg *s)
{
	pr_err(pr_prefix "%-5s sel %04x attr %04x limit %08x base %016llx\n", name,
	       s->selector, s->attrib, s->limit, s->base);
}

/* The state that VMRUN refused, for whoever loaded the module with dump_invalid_vmcb=1. */
static void dump_vmcb(struct svm_vcpu *svm)
{
	const struct vmcb_control_area *c = &svm->vmcb->control;
	const struct vmcb_save_area *s = &svm->vmcb->save;

	if (!svm_dump_invalid_vmcb) {
		pr_warn_ratelimited(pr_prefix "VMRUN refused the state of vCPU %d; dump_invalid_vmcb=1 logs it\n",
				    svm->vcpu->vcpu_id);
		return;
	}

	pr_err(pr_prefix "VMCB of vCPU %d, last CPU %d, refused by VMRUN:\n",
	       svm->vcpu->vcpu_id, svm->loaded_cpu);
	pr_err(pr_prefix "intercepts %08x %08x %08x %08x %08x %08x\n",
	       c->intercepts[0], c->intercepts[1], c->intercepts[2],
	       c->intercepts[3], c->intercepts[4], c->intercepts[5]);
	pr_err(pr_prefix "iopm %016llx msrpm %016llx ncr3 %016llx np_ctl %llx virt_ext %llx\n",
	       c->iopm_base_pa, c->msrpm_base_pa, c->nested_cr3,
	       *svm_vmcb_u64(svm->vmcb, SVM_VMCB_NP_CTL),
	       *svm_vmcb_u64(svm->vmcb, SVM_VMCB_VIRT_EXT));
	pr_err(pr_prefix "asid %u tlb_ctl %u int_ctl %08x int_vector %08x int_state %08x clean %08x\n",
	       c->asid, c->tlb_ctl, c->int_ctl, c->int_vector, c->int_state,
	       c->clean);
	pr_err(pr_prefix "event_inj %08x:%08x exit_int_info %08x:%08x next_rip %016llx\n",
	       c->event_inj, c->event_inj_err, c->exit_int_info,
	       c->exit_int_info_err, c->next_rip);
	dump_seg("es", &s->es);
	dump_seg("cs", &s->cs);
	dump_seg("ss", &s->ss);
	dump_seg("ds", &s->ds);
	dump_seg("fs", &s->fs);
	dump_seg("gs", &s->gs);
	dump_seg("gdtr", &s->gdtr);
	dump_seg("ldtr", &s->ldtr);
	dump_seg("idtr", &s->idtr);
	dump_seg("tr", &s->tr);
	pr_err(pr_prefix "cpl %u efer %016llx cr0 %016llx cr2 %016llx\n",
	       s->cpl, s->efer, s->cr0, s->cr2);
	pr_err(pr_prefix "cr3 %016llx cr4 %016llx dr6 %016llx dr7 %016llx\n",
	       s->cr3, s->cr4, s->dr6, s->dr7);
	pr_err(pr_prefix "rip %016llx rsp %016llx rax %016llx rflags %016llx\n",
	       s->rip, s->rsp, s->rax, s->rflags);
	pr_err(pr_prefix "star %016llx lstar %016llx cstar %016llx sfmask %016llx\n",
	       s->star, s->lstar, s->cstar, s->sfmask);
	pr_err(pr_prefix "kernel_gs_base %016llx g_pat %016llx dbgctl %016llx\n",
	       s->kernel_gs_base, s->g_pat, s->dbgctl);
}

static void copy_insn_bytes(struct svm_vcpu *svm, struct kvm_exit *exit)
{
	const struct vmcb_control_area *c = &svm->vmcb->control;

	if (!svm_feat.decode_assists)
		return;
	exit->nr_insn_bytes = min_t(u8, c->insn_len, sizeof(c->insn_bytes));
	memcpy(exit->insn_bytes, c->insn_bytes, exit->nr_insn_bytes);
}

/**
 * svm_decode_exit() - say in common terms what made the guest stop
 * @svm: the vCPU, just after the exit; interrupts off
 * @exit: filled
 */
void svm_decode_exit(struct svm_vcpu *svm, struct kvm_exit *exit)
{
	const struct vmcb_control_area *c = &svm->vmcb->control;
	u64 code = svm_exit_code(svm->vmcb);
	bool stepping = svm->step_tf;

	memset(exit, 0, sizeof(*exit));
	svm->step_tf = false;
	exit->hw_reason = code;
	exit->hw_info1 = c->exit_info_1;
	exit->hw_info2 = c->exit_info_2;
	if (code == SVM_EXITCODE_INVALID || (u32)code == (u32)SVM_EXITCODE_INVALID) {
		exit->kind = KVM_XK_FAIL_ENTRY;
		/* L2's is told to L1 */
		if (likely(!svm->vcpu->arch.guest_mode))
			dump_vmcb(svm);
		/* there are CPUs that write a VMCB which they refuse */
		svm->vmcb->control.clean = 0;
		svm_set_intr_window(svm, false);
		kvm_make_request(KVM_REQ_EVENT, svm->vcpu);
		/* nothing was delivered: what was to be is still there */
		svm_cancel_injection(svm->vcpu, &exit->vectoring);
		return;
	}
	svm_decode_vectoring(svm, exit);
	if (svm_feat.nrips && c->next_rip) {
		u64 len = c->next_rip - svm->vmcb->save.rip;

		if (len <= 15)
			exit->insn_len = len;
	}

	switch (code) {
	case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 15:
		decode_cr(exit, code - SVM_EXIT_READ_CR0, false);
		break;
	case SVM_EXIT_WRITE_CR0 ... SVM_EXIT_WRITE_CR0 + 15:
		decode_cr(exit, code - SVM_EXIT_WRITE_CR0, true);
		break;
	case SVM_EXIT_CR0_SEL_WRITE:
		decode_cr(exit, 0, true);
		break;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 15:
		decode_dr(exit, code - SVM_EXIT_READ_DR0, false);
		break;
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR0 + 15:
		decode_dr(exit, code - SVM_EXIT_WRITE_DR0, true);
		break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
		decode_exception(svm, exit, code - SVM_EXIT_EXCP_BASE, stepping);
		break;
	case SVM_EXIT_INTR:
		exit->kind = KVM_XK_INTR;
		break;
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_FERR_FREEZE:
		/* the host has taken it with STGI */
		exit->kind = KVM_XK_HANDLED;
		break;
	case SVM_EXIT_VINTR:
		/* or L1's */
		if (unlikely(!svm->intr_window)) {
			exit->kind = KVM_XK_HANDLED;
			break;
		}
		svm_set_intr_window(svm, false);
		exit->kind = KVM_XK_INTR_WINDOW;
		break;
	case SVM_EXIT_IRET:
		decode_iret(svm, exit);
		break;
	case SVM_EXIT_IOIO:
		decode_io(svm, exit);
		break;
	case SVM_EXIT_MSR:
		exit->kind = exit->hw_info1 & 1 ? KVM_XK_WRMSR : KVM_XK_RDMSR;
		break;
	case SVM_EXIT_NPF:
		exit->kind = KVM_XK_TDP_FAULT;
		exit->pf.gpa = exit->hw_info2;
		exit->pf.error_code = exit->hw_info1;
		copy_insn_bytes(svm, exit);
		break;
	case SVM_EXIT_TASK_SWITCH:
		decode_task_switch(exit);
		break;
	case SVM_EXIT_INVLPG:
		exit->kind = KVM_XK_INVLPG;
		exit->addr.decoded = svm_feat.decode_assists;
		exit->addr.gva = exit->hw_info1;
		break;
	case SVM_EXIT_INVPCID:
		exit->kind = KVM_XK_INVPCID;
		break;
	case SVM_EXIT_CPUID:
		exit->kind = KVM_XK_CPUID;
		break;
	case SVM_EXIT_HLT:
		exit->kind = KVM_XK_HLT;
		break;
	case SVM_EXIT_VMMCALL:
		exit->kind = KVM_XK_HYPERCALL;
		break;
	case SVM_EXIT_RDPMC:
		exit->kind = KVM_XK_RDPMC;
		break;
	case SVM_EXIT_RDTSC:
		exit->kind = KVM_XK_RDTSC;
		break;
	case SVM_EXIT_RDTSCP:
		/* intercepted only to refuse it */
		exit->kind = KVM_XK_UD;
		break;
	case SVM_EXIT_WBINVD:
		exit->kind = KVM_XK_WBINVD;
		break;
	case SVM_EXIT_INVD:
		exit->kind = KVM_XK_INVD;
		break;
	case SVM_EXIT_MONITOR:
		exit->kind = KVM_XK_MONITOR;
		break;
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_COND:
		exit->kind = KVM_XK_MWAIT;
		break;
	case SVM_EXIT_PAUSE:
		if (likely(!svm->vcpu->arch.guest_mode))
			grow_pause_window(svm);
		exit->kind = KVM_XK_PAUSE;
		break;
	case SVM_EXIT_XSETBV:
		exit->kind = KVM_XK_XSETBV;
		break;
	case SVM_EXIT_SHUTDOWN:
		if (likely(svm->vmcb == svm->vmcb01))
			svm_vmcb_undefined(svm);
		else
			svm_nested_undefined(svm);
		exit->kind = KVM_XK_TRIPLE_FAULT;
		break;
	case SVM_EXIT_BUS_LOCK_BEFORE:
		svm->bus_lock_seen = true;
		svm->bus_lock_at = svm_linear_rip(svm->vmcb);
		exit->kind = KVM_XK_HANDLED;
		exit->bus_lock = true;
		break;
	case SVM_EXIT_RSM:
		exit->kind = KVM_XK_RSM;
		break;
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_INVLPGA:
		exit->kind = KVM_XK_VIRT;
		break;
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_RDPRU:
		exit->kind = KVM_XK_UD;
		break;
	default:
		exit->kind = KVM_XK_UNKNOWN;
		break;
	}
}
