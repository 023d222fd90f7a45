// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the exit reason to struct kvm_exit (Intel SDM vol. 3, 28.2, appendix C).
 *
 * Only what a reason comes with is read from the VMCS. An exit of an instruction
 * cannot be in the middle of an event's delivery, so the vectoring information is
 * read for the others only.
 */
#include <asm/trapnr.h>

#include "arch/x86/vmx/vmx.h"

#define pr_prefix "kvm_intel: "

/* exit qualifications, SDM vol. 3, 28.2.1 */
#define QUAL_IO_SIZE		7
#define QUAL_IO_IN		BIT(3)
#define QUAL_IO_STRING		BIT(4)
#define QUAL_IO_REP		BIT(5)
#define QUAL_IO_PORT_SHIFT	16
#define QUAL_CR_NUM		0xf
#define QUAL_CR_TYPE(q)		(((q) >> 4) & 3)	/* 0 MOV to, 1 MOV from, 2 CLTS, 3 LMSW */
#define QUAL_GPR(q)		(((q) >> 8) & 0xf)
#define QUAL_DR_NUM		7
#define QUAL_DR_FROM		BIT(4)
#define QUAL_TASK_REASON(q)	(((q) >> 30) & 3)
#define QUAL_IRET_NMI		BIT(12)
#define QUAL_APIC_OFFSET	0xfff
#define QUAL_APIC_TYPE(q)	(((q) >> 12) & 0xf)	/* 1: a write by an instruction */

static u8 insn_len(void)
{
	return vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

static u64 qualification(struct kvm_exit *exit)
{
	exit->hw_info1 = vmcs_read(EXIT_QUALIFICATION);
	return exit->hw_info1;
}

static void decode_cr(struct kvm_exit *exit)
{
	u64 q = qualification(exit);

	exit->kind = KVM_XK_CR;
	exit->cr.cr = q & QUAL_CR_NUM;
	exit->cr.write = QUAL_CR_TYPE(q) != 1;
	/* CLTS and LMSW are left to the emulator */
	exit->cr.decoded = QUAL_CR_TYPE(q) < 2;
	exit->cr.gpr = QUAL_GPR(q);
}

static void decode_dr(struct kvm_exit *exit)
{
	u64 q = qualification(exit);

	exit->kind = KVM_XK_DR;
	exit->dr.decoded = true;
	exit->dr.dr = q & QUAL_DR_NUM;
	exit->dr.write = !(q & QUAL_DR_FROM);
	exit->dr.gpr = QUAL_GPR(q);
}

static void decode_exception(struct vmx_vcpu *v, struct kvm_exit *exit)
{
	u8 vector = v->intr_info & INTR_INFO_VECTOR_MASK;

	if ((v->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR ||
	    vector == MC_VECTOR) {
		/* the host has dealt with it */
		exit->kind = KVM_XK_HANDLED;
		return;
	}
	/* what real mode may do and virtual-8086 mode may not; else the emulator faults, too */
	if (unlikely(v->vm86) && (vector == GP_VECTOR || vector == SS_VECTOR)) {
		exit->kind = KVM_XK_EMULATE;
		return;
	}
	exit->kind = KVM_XK_EXCEPTION;
	exit->exc.vector = vector;
	if (v->intr_info & INTR_INFO_DELIVER_CODE_MASK) {
		exit->exc.has_error_code = true;
		exit->exc.error_code = vmcs_read(VM_EXIT_INTR_ERROR_CODE);
	}
	switch (vector) {
	case DB_VECTOR:
	case PF_VECTOR:
		exit->exc.payload = exit->hw_info1;
		break;
	case BP_VECTOR:
		exit->insn_len = insn_len();
		break;
	}
}

static void decode_io(struct kvm_exit *exit)
{
	u64 q = qualification(exit);

	exit->kind = KVM_XK_IO;
	exit->io.port = q >> QUAL_IO_PORT_SHIFT;
	exit->io.size = (q & QUAL_IO_SIZE) + 1;
	exit->io.in = q & QUAL_IO_IN;
	exit->io.string = q & QUAL_IO_STRING;
	exit->io.rep = q & QUAL_IO_REP;
}

static void decode_task_switch(struct kvm_exit *exit)
{
	exit->kind = KVM_XK_TASK_SWITCH;
	exit->task.selector = exit->hw_info1;
	exit->task.reason = QUAL_TASK_REASON(exit->hw_info1);
	if (exit->task.reason == 3) {
		exit->task.gate_vector_type = exit->vectoring.type;
		exit->task.has_error_code = exit->vectoring.has_error_code;
		exit->task.error_code = exit->vectoring.error_code;
	}
}

static void decode_ept_violation(struct kvm_exit *exit)
{
	u64 q = exit->hw_info1;

	exit->kind = KVM_XK_TDP_FAULT;
	exit->pf.gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	exit->hw_info2 = exit->pf.gpa;
	if (q & EPT_VIOLATION_ACC_WRITE)
		exit->pf.error_code |= PFERR_WRITE;
	if (q & EPT_VIOLATION_ACC_INSTR)
		exit->pf.error_code |= PFERR_FETCH;
	/* some right was there: so was the entry */
	if (q & VMX_QUAL_EPT_RIGHTS)
		exit->pf.error_code |= PFERR_PRESENT;
	exit->pf.error_code |= q & EPT_VIOLATION_GVA_TRANSLATED ? PFERR_GUEST_FINAL :
								  PFERR_GUEST_PAGE;
}

/* SDM 28.2.1, table 28-6. The length of an instruction that does not write is not used. */
static void decode_apic_access(struct kvm_exit *exit)
{
	exit->kind = KVM_XK_APIC_ACCESS;
	exit->apic.offset = exit->hw_info1 & QUAL_APIC_OFFSET;
	exit->apic.write = QUAL_APIC_TYPE(exit->hw_info1) == 1;
	if (exit->apic.write)
		exit->insn_len = insn_len();
}

/* The guest spins: let it, longer and longer, before the next exit. */
static void grow_ple_window(struct vmx_vcpu *v)
{
	u64 w = v->ple_window;

	w = vmx_ple_window_grow ? w * vmx_ple_window_grow : vmx_ple_window;
	w = min_t(u64, w, vmx_ple_window_max);
	if (w != v->ple_window) {
		v->ple_window = w;
		vmcs_write(PLE_WINDOW, w);
	}
}

static void dump(const char *name, unsigned int selector, unsigned int base,
		 unsigned int limit, unsigned int ar)
{
	pr_err(pr_prefix "%-5s sel %04lx attr %05lx limit %08lx base %016lx\n", name,
	       selector ? vmcs_read(selector) : 0, ar ? vmcs_read(ar) : 0, vmcs_read(limit),
	       vmcs_read(base));
}

#define DUMP(name, F) dump(name, GUEST_##F##_SELECTOR, GUEST_##F##_BASE, GUEST_##F##_LIMIT, \
			   GUEST_##F##_AR_BYTES)

/* The state that was refused, for whoever loaded the module with dump_invalid_vmcs=1. */
static void dump_vmcs(struct vmx_vcpu *v)
{
	if (!vmx_dump_invalid_vmcs) {
		pr_warn_ratelimited(pr_prefix "VM entry refused the state of vCPU %d; dump_invalid_vmcs=1 logs it\n",
				    v->vcpu->vcpu_id);
		return;
	}
	pr_err(pr_prefix "VMCS of vCPU %d, refused with %x, qualification %lx, instruction error %lu:\n",
	       v->vcpu->vcpu_id, v->exit_reason, vmcs_read(EXIT_QUALIFICATION),
	       vmcs_read(VM_INSTRUCTION_ERROR));
	pr_err(pr_prefix "pin %08lx cpu %08lx cpu2 %08lx exit %08lx entry %08lx exceptions %08lx\n",
	       vmcs_read(PIN_BASED_VM_EXEC_CONTROL), vmcs_read(CPU_BASED_VM_EXEC_CONTROL),
	       vmcs_read(SECONDARY_VM_EXEC_CONTROL), vmcs_read(VM_EXIT_CONTROLS),
	       vmcs_read(VM_ENTRY_CONTROLS), vmcs_read(EXCEPTION_BITMAP));
	pr_err(pr_prefix "inject %08lx err %lx len %lx interruptibility %lx activity %lx pending dbg %lx\n",
	       vmcs_read(VM_ENTRY_INTR_INFO_FIELD), vmcs_read(VM_ENTRY_EXCEPTION_ERROR_CODE),
	       vmcs_read(VM_ENTRY_INSTRUCTION_LEN), vmcs_read(GUEST_INTERRUPTIBILITY_INFO),
	       vmcs_read(GUEST_ACTIVITY_STATE), vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS));
	pr_err(pr_prefix "eptp %016lx vpid %lx tpr threshold %lx\n", vmcs_read(EPT_POINTER),
	       vmcs_read(VIRTUAL_PROCESSOR_ID), vmcs_read(TPR_THRESHOLD));
	DUMP("es", ES);
	DUMP("cs", CS);
	DUMP("ss", SS);
	DUMP("ds", DS);
	DUMP("fs", FS);
	DUMP("gs", GS);
	DUMP("ldtr", LDTR);
	DUMP("tr", TR);
	dump("gdtr", 0, GUEST_GDTR_BASE, GUEST_GDTR_LIMIT, 0);
	dump("idtr", 0, GUEST_IDTR_BASE, GUEST_IDTR_LIMIT, 0);
	pr_err(pr_prefix "cr0 %016lx (%016lx) cr3 %016lx cr4 %016lx (%016lx) efer %016lx\n",
	       vmcs_read(GUEST_CR0), vmcs_read(CR0_READ_SHADOW), vmcs_read(GUEST_CR3),
	       vmcs_read(GUEST_CR4), vmcs_read(CR4_READ_SHADOW), (unsigned long)v->vcpu->arch.efer);
	pr_err(pr_prefix "rip %016lx rsp %016lx rflags %016lx dr7 %016lx\n",
	       vmcs_read(GUEST_RIP), vmcs_read(GUEST_RSP), vmcs_read(GUEST_RFLAGS),
	       vmcs_read(GUEST_DR7));
	pr_err(pr_prefix "host cr0 %016lx cr3 %016lx cr4 %016lx rsp %016lx rip %016lx\n",
	       vmcs_read(HOST_CR0), vmcs_read(HOST_CR3), vmcs_read(HOST_CR4),
	       vmcs_read(HOST_RSP), vmcs_read(HOST_RIP));
}

static void refused(struct vmx_vcpu *v, struct kvm_exit *exit)
{
	exit->kind = KVM_XK_FAIL_ENTRY;
	if (v->exit_reason == VMX_REASON_VMFAIL)
		exit->hw_reason = vmcs_read(VM_INSTRUCTION_ERROR);
	dump_vmcs(v);
	kvm_make_request(KVM_REQ_EVENT, v->vcpu);
	/* nothing was delivered: what was to be is still there */
	vmx_cancel_injection(v->vcpu, &exit->vectoring);
}

/* reasons that mean an instruction and nothing else, and where it ends is told */
static const u8 instructions[] = {
	[EXIT_REASON_CPUID]		= KVM_XK_CPUID,
	[EXIT_REASON_HLT]		= KVM_XK_HLT,
	[EXIT_REASON_INVD]		= KVM_XK_INVD,
	[EXIT_REASON_INVLPG]		= KVM_XK_INVLPG,
	[EXIT_REASON_RDPMC]		= KVM_XK_RDPMC,
	[EXIT_REASON_RDTSC]		= KVM_XK_RDTSC,
	[EXIT_REASON_VMCALL]		= KVM_XK_HYPERCALL,
	[EXIT_REASON_VMCLEAR]		= KVM_XK_VIRT,
	[EXIT_REASON_VMLAUNCH]		= KVM_XK_VIRT,
	[EXIT_REASON_VMPTRLD]		= KVM_XK_VIRT,
	[EXIT_REASON_VMPTRST]		= KVM_XK_VIRT,
	[EXIT_REASON_VMREAD]		= KVM_XK_VIRT,
	[EXIT_REASON_VMRESUME]		= KVM_XK_VIRT,
	[EXIT_REASON_VMWRITE]		= KVM_XK_VIRT,
	[EXIT_REASON_VMOFF]		= KVM_XK_VIRT,
	[EXIT_REASON_VMON]		= KVM_XK_VIRT,
	[11]				= KVM_XK_UD,	/* GETSEC */
	[EXIT_REASON_CR_ACCESS]		= KVM_XK_CR,
	[EXIT_REASON_DR_ACCESS]		= KVM_XK_DR,
	[EXIT_REASON_IO_INSTRUCTION]	= KVM_XK_IO,
	[EXIT_REASON_MSR_READ]		= KVM_XK_RDMSR,
	[EXIT_REASON_MSR_WRITE]		= KVM_XK_WRMSR,
	[EXIT_REASON_MWAIT_INSTRUCTION]	= KVM_XK_MWAIT,
	[EXIT_REASON_MONITOR_INSTRUCTION] = KVM_XK_MONITOR,
	[EXIT_REASON_PAUSE_INSTRUCTION]	= KVM_XK_PAUSE,
	[EXIT_REASON_GDTR_IDTR]		= KVM_XK_EMULATE,
	[EXIT_REASON_LDTR_TR]		= KVM_XK_EMULATE,
	[EXIT_REASON_INVEPT]		= KVM_XK_UD,
	[EXIT_REASON_RDTSCP]		= KVM_XK_RDTSCP,
	[EXIT_REASON_INVVPID]		= KVM_XK_UD,
	[EXIT_REASON_WBINVD]		= KVM_XK_WBINVD,
	[EXIT_REASON_XSETBV]		= KVM_XK_XSETBV,
	[EXIT_REASON_INVPCID]		= KVM_XK_INVPCID,
	[EXIT_REASON_ENCLS]		= KVM_XK_UD,
};

static void decode_instruction(struct vmx_vcpu *v, struct kvm_exit *exit)
{
	exit->insn_len = insn_len();
	switch (exit->kind) {
	case KVM_XK_CR:
		decode_cr(exit);
		break;
	case KVM_XK_DR:
		decode_dr(exit);
		break;
	case KVM_XK_IO:
		decode_io(exit);
		break;
	case KVM_XK_INVLPG:
		exit->addr.decoded = true;
		exit->addr.gva = qualification(exit);
		break;
	case KVM_XK_PAUSE:
		grow_ple_window(v);
		break;
	default:
		break;
	}
}

/**
 * vmx_decode_must_emulate() - the CPU would refuse the state: the emulator's turn
 * @v: the vCPU, not entered; interrupts off
 * @exit: filled
 *
 * An interrupt or an NMI that was to be delivered waits. Without its exception the guest
 * cannot go on, and the emulator knows no delivery in protected mode.
 */
void vmx_decode_must_emulate(struct vmx_vcpu *v, struct kvm_exit *exit)
{
	memset(exit, 0, sizeof(*exit));
	exit->hw_reason = EXIT_REASON_INVALID_STATE | VMX_EXIT_ENTRY_FAILED;
	exit->kind = KVM_XK_EMULATE;
	vmx_cancel_injection(v->vcpu, &exit->vectoring);
	if (v->vcpu->arch.timer_tsc && rdtsc() >= v->vcpu->arch.timer_tsc) {
		exit->kind = KVM_XK_TIMER;
		return;
	}
	if (exit->vectoring.type == KVM_EVENT_EXCEPTION ||
	    exit->vectoring.type == KVM_EVENT_SOFT_EXC)
		exit->kind = KVM_XK_CANNOT_EMULATE;
}

/**
 * vmx_decode_exit() - say in common terms what made the guest stop
 * @v: the vCPU, just after the exit; interrupts off
 * @exit: filled
 */
void vmx_decode_exit(struct vmx_vcpu *v, struct kvm_exit *exit)
{
	u32 reason = v->exit_reason;

	memset(exit, 0, sizeof(*exit));
	exit->hw_reason = reason;
	if (unlikely(reason & VMX_EXIT_ENTRY_FAILED)) {
		refused(v, exit);
		return;
	}
	exit->bus_lock = reason & VMX_EXIT_BUS_LOCK;
	reason = (u16)reason;
	if (reason < ARRAY_SIZE(instructions) && instructions[reason]) {
		exit->kind = instructions[reason];
		decode_instruction(v, exit);
		return;
	}

	switch (reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		qualification(exit);
		exit->hw_info2 = v->intr_info;
		/* not of a #DF, which masks nothing */
		vmx_decode_vectoring(v, &exit->vectoring,
				     (v->intr_info & INTR_INFO_UNBLOCK_NMI) &&
				     (v->intr_info & INTR_INFO_VECTOR_MASK) != DF_VECTOR);
		decode_exception(v, exit);
		break;
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		exit->kind = KVM_XK_INTR;
		v->intr_info = vmcs_read(VM_EXIT_INTR_INFO);
		if (v->intr_info & INTR_INFO_VALID_MASK)
			exit->host_vector = v->intr_info & INTR_INFO_VECTOR_MASK;
		/* the tick: has an NMI been waited for long enough */
		if (unlikely(v->nmi_masked && v->vcpu->arch.nmi_pending))
			kvm_make_request(KVM_REQ_EVENT, v->vcpu);
		break;
	case EXIT_REASON_TRIPLE_FAULT:
		exit->kind = KVM_XK_TRIPLE_FAULT;
		break;
	case EXIT_REASON_INTERRUPT_WINDOW:
		vmx_set_cpu_ctl(v, CPU_BASED_INTR_WINDOW_EXITING, false);
		exit->kind = KVM_XK_INTR_WINDOW;
		break;
	case EXIT_REASON_NMI_WINDOW:
		vmx_set_cpu_ctl(v, CPU_BASED_NMI_WINDOW_EXITING, false);
		exit->kind = KVM_XK_NMI_WINDOW;
		break;
	case EXIT_REASON_TASK_SWITCH:
		vmx_decode_vectoring(v, &exit->vectoring, qualification(exit) & QUAL_IRET_NMI);
		decode_task_switch(exit);
		break;
	case EXIT_REASON_TPR_BELOW_THRESHOLD:
		exit->kind = KVM_XK_TPR_BELOW;
		break;
	case EXIT_REASON_APIC_ACCESS:
		qualification(exit);
		vmx_decode_vectoring(v, &exit->vectoring, false);
		decode_apic_access(exit);
		break;
	case EXIT_REASON_APIC_WRITE:
		exit->kind = KVM_XK_APIC_ACCESS;
		exit->apic.offset = qualification(exit) & QUAL_APIC_OFFSET;
		exit->apic.write = true;
		exit->apic.done = true;
		break;
	case EXIT_REASON_EOI_INDUCED:
		exit->kind = KVM_XK_APIC_EOI;
		exit->apic.vector = qualification(exit);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		vmx_decode_vectoring(v, &exit->vectoring, qualification(exit) & QUAL_IRET_NMI);
		decode_ept_violation(exit);
		break;
	case EXIT_REASON_EPT_MISCONFIG:
		/* without a qualification: read or written is not known */
		vmx_decode_vectoring(v, &exit->vectoring, false);
		exit->kind = KVM_XK_DOORBELL;
		exit->pf.gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
		exit->insn_len = insn_len();
		break;
	case EXIT_REASON_PML_FULL:
		/* it was emptied by now */
		vmx_decode_vectoring(v, &exit->vectoring, qualification(exit) & QUAL_IRET_NMI);
		exit->kind = KVM_XK_HANDLED;
		break;
	case EXIT_REASON_BUS_LOCK:
		/* RIP is past the instruction */
		vmx_decode_vectoring(v, &exit->vectoring, false);
		exit->kind = KVM_XK_HANDLED;
		exit->bus_lock = true;
		break;
	case EXIT_REASON_NOTIFY:
		vmx_decode_vectoring(v, &exit->vectoring, qualification(exit) & QUAL_IRET_NMI);
		exit->kind = KVM_XK_NOTIFY;
		exit->notify.context_invalid = exit->hw_info1 & NOTIFY_VM_CONTEXT_INVALID;
		break;
	case EXIT_REASON_PREEMPTION_TIMER:
		exit->kind = KVM_XK_TIMER;
		break;
	case EXIT_REASON_INIT_SIGNAL:
	case EXIT_REASON_SIPI_SIGNAL:
	case EXIT_REASON_MCE_DURING_VMENTRY:
		exit->kind = KVM_XK_HANDLED;
		break;
	default:
		exit->kind = KVM_XK_UNKNOWN;
		break;
	}
}
