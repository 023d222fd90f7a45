// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done about each kind of VM exit. Both backends report the same
 * kinds (struct kvm_exit), so each is handled once, here.
 *
 * A handler returns >0 to enter the guest again, 0 to leave to user space with
 * kvm_run filled, <0 for -errno. What the CPU did not decode (older AMD CPUs
 * tell neither the length of an instruction nor its operands) goes through the
 * emulator.
 */
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "arch/x86/dma.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/pmu.h"
#include "arch/x86/run.h"
#include "arch/x86/irq/lapic.h"
#include <asm/debugreg.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#define DR6_BS		BIT(14)
#define DR6_BD		BIT(13)
#define DR6_LOW_ONES	0xffff0ff0ul

/**
 * kvm_debug_exit() - leave to user space with KVM_EXIT_DEBUG
 * @vcpu: the vCPU, loaded
 * @dr6: the conditions, DR6 bits
 *
 * Return: 0.
 */
int kvm_debug_exit(struct kvm_vcpu *vcpu, unsigned long dr6)
{
	struct kvm_run *run = vcpu->run;

	run->debug.arch.dr6 = dr6 | DR6_LOW_ONES;
	run->debug.arch.dr7 = vcpu->arch.guest_debug & KVM_GUESTDBG_USE_HW_BP ?
		vcpu->arch.eff_dr7 : vcpu->arch.dr7;
	run->debug.arch.pc = kvm_get_linear_rip(vcpu);
	run->debug.arch.exception = X86_TRAP_DB;
	run->exit_reason = KVM_EXIT_DEBUG;
	return 0;
}

/**
 * kvm_after_insn() - an instruction was carried out by common code: its traps
 * @vcpu: the vCPU, loaded
 * @rflags: before the instruction, with the debugger's TF
 *
 * Return: >0 to enter again, 0 to leave to user space.
 */
int kvm_after_insn(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	if (likely(!(rflags & X86_EFLAGS_TF)))
		return 1;
	if (vcpu->arch.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return kvm_debug_exit(vcpu, DR6_BS);
	kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR6_BS);
	return 1;
}

/**
 * kvm_skip_insn() - step over the instruction that made the guest exit
 * @vcpu: the vCPU, loaded, SRCU held
 * @exit: the exit
 *
 * Return: >0 to enter again, 0 to leave to user space.
 */
int kvm_skip_insn(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	unsigned long rip, rflags;

	if (!exit->insn_len)
		return kvm_emulate_insn(vcpu, 0, KVM_EMUL_SKIP, NULL, 0);

	rflags = kvm_rflags_read(vcpu);
	rip = kvm_rip_read(vcpu) + exit->insn_len;
	if (!is_64_bit_mode(vcpu))
		rip = (u32)rip;
	kvm_rip_write(vcpu, rip);
	kvm_set_int_shadow(vcpu, 0);
	if (rflags & X86_EFLAGS_RF)
		kvm_rflags_write(vcpu, rflags & ~X86_EFLAGS_RF);
	kvm_pmu_insn_done(vcpu);
	return kvm_after_insn(vcpu, rflags);
}
EXPORT_SYMBOL_GPL(kvm_skip_insn);

/**
 * kvm_skip_emulated_insn() - step over an instruction of unknown length
 * @vcpu: the vCPU, loaded, SRCU held
 *
 * Return: >0 to enter again, 0 to leave to user space.
 */
int kvm_skip_emulated_insn(struct kvm_vcpu *vcpu)
{
	return kvm_emulate_insn(vcpu, 0, KVM_EMUL_SKIP, NULL, 0);
}
EXPORT_SYMBOL_GPL(kvm_skip_emulated_insn);

/*
 * An event cannot be delivered, nor emulated: the IDT or the stack is not memory. The
 * words are those of the in-tree module, the address always among them as of 6.14.
 */
static int delivery_error(struct kvm_vcpu *vcpu, const struct kvm_exit *exit, gpa_t gpa)
{
	struct kvm_run *run = vcpu->run;
	__u64 *data = run->internal.data;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = 5;
	data[0] = exit->vectoring.vector | (u64)exit->vectoring.type << 8;
	data[1] = exit->hw_reason;
	data[2] = exit->hw_info1;
	data[3] = gpa;
	data[4] = READ_ONCE(vcpu->cpu);
	return 0;
}

/* ---- exceptions ------------------------------------------------------------------ */

static int handle_db(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	u32 dbg = vcpu->arch.guest_debug;

	if (dbg & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return kvm_debug_exit(vcpu, exit->exc.payload);
	kvm_queue_exception_p(vcpu, X86_TRAP_DB, exit->exc.payload);
	return 1;
}

static int handle_bp(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	if (!(vcpu->arch.guest_debug & KVM_GUESTDBG_USE_SW_BP)) {
		kvm_queue_exception(vcpu, X86_TRAP_BP);
		return 1;
	}
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.pc = kvm_get_linear_rip(vcpu);
	run->debug.arch.exception = X86_TRAP_BP;
	return 0;
}

static int handle_shadow_fault(struct kvm_vcpu *vcpu, struct kvm_exit *exit);

static int handle_exception(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_fault fault;

	vcpu->stat.exception_exits++;
	switch (exit->exc.vector) {
	case X86_TRAP_DB:
		return handle_db(vcpu, exit);
	case X86_TRAP_BP:
		return handle_bp(vcpu, exit);
	case X86_TRAP_UD:
		/* perhaps the other vendor's hypercall instruction */
		return kvm_emulate_insn(vcpu, 0, KVM_EMUL_UD, exit->insn_bytes,
					exit->nr_insn_bytes);
	case X86_TRAP_PF:
		if (!kvm_be.tdp)
			return handle_shadow_fault(vcpu, exit);
		fault = (struct kvm_fault) {
			.vector = X86_TRAP_PF,
			.has_error_code = true,
			.error_code = exit->exc.error_code,
			.address = exit->exc.payload,
		};
		kvm_inject_page_fault(vcpu, &fault);
		return 1;
	default:
		if (exit->exc.has_error_code)
			kvm_queue_exception_e(vcpu, exit->exc.vector,
					      exit->exc.error_code);
		else
			kvm_queue_exception(vcpu, exit->exc.vector);
		return 1;
	}
}

/* ---- memory ------------------------------------------------------------------------ */

/* Tell user space beside KVM_RUN's EFAULT which page it is that has no memory of its kind. */
static void memory_fault(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	/* older headers have no name for this place in the union */
	struct kvm_oot_memory_fault *f = (void *)&vcpu->run->hw;

	vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	f->flags = kvm_gfn_is_private(vcpu->kvm, gpa >> PAGE_SHIFT) ?
		   KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
	f->gpa = gpa & PAGE_MASK;
	f->size = PAGE_SIZE;
}

/* What is left to do when the memory manager has answered (@r, enum kvm_pf_result). */
static int after_fault(struct kvm_vcpu *vcpu, struct kvm_exit *exit, gpa_t gpa, u64 error_code,
		       int r)
{
	unsigned int flags = KVM_EMUL_FAULT;

	if (r == -EFAULT)
		memory_fault(vcpu, gpa);
	if (r < 0)
		return r;
	if (r == KVM_PF_RETRY)
		return 1;

	if (exit->vectoring.type != KVM_EVENT_NONE)
		return delivery_error(vcpu, exit, gpa);

	if (r == KVM_PF_MMIO) {
		/* a doorbell that needs neither the value nor the length */
		if ((error_code & PFERR_WRITE) &&
		    !kvm_io_bus_write(vcpu, KVM_BUS_FAST_MMIO, gpa, 0, NULL)) {
			kvm_mmu_mark_doorbell(vcpu, gpa);
			return kvm_skip_insn(vcpu, exit);
		}
		flags |= KVM_EMUL_MMIO;
	}
	if (r == KVM_PF_TABLE)
		flags |= KVM_EMUL_TABLE;

	return kvm_emulate_insn(vcpu, gpa, flags, exit->insn_bytes,
				exit->nr_insn_bytes);
}

static int handle_tdp_fault(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	gpa_t gpa = exit->pf.gpa;
	int r;

	vcpu->stat.tdp_fault_exits++;
	r = kvm_mmu_tdp_fault(vcpu, gpa, exit->pf.error_code);
	return after_fault(vcpu, exit, gpa, exit->pf.error_code, r);
}

/*
 * The page of a doorbell, where every access exits. One that reads the doorbell itself is
 * taken for a write, as the in-tree module does.
 */
static int handle_doorbell(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	gpa_t gpa = exit->pf.gpa;

	vcpu->stat.tdp_fault_exits++;
	if (exit->vectoring.type == KVM_EVENT_NONE && kvm_mmu_is_mmio(vcpu, gpa) &&
	    !kvm_io_bus_write(vcpu, KVM_BUS_FAST_MMIO, gpa, 0, NULL))
		return kvm_skip_insn(vcpu, exit);
	/* another register of the page, or there is memory by now */
	return after_fault(vcpu, exit, gpa, 0, kvm_mmu_tdp_fault(vcpu, gpa, 0));
}

static int handle_shadow_fault(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_fault fault;
	gpa_t gpa = 0;
	int r;

	r = kvm_mmu_shadow_fault(vcpu, exit->exc.payload, exit->exc.error_code, &gpa, &fault);
	if (r == KVM_PF_GUEST) {
		kvm_inject_page_fault(vcpu, &fault);
		return 1;
	}
	/* a stack that was a table: no emulator pushes an event's frame */
	if (r == KVM_PF_TABLE && exit->vectoring.type != KVM_EVENT_NONE) {
		kvm_mmu_unprotect(vcpu->kvm, gpa >> PAGE_SHIFT);
		return 1;
	}
	return after_fault(vcpu, exit, gpa, exit->exc.error_code, r);
}

static int emulate(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return kvm_emulate_insn(vcpu, 0, 0, exit->insn_bytes,
				exit->nr_insn_bytes);
}

static int handle_invlpg(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	if (!exit->addr.decoded)
		return emulate(vcpu, exit);
	vcpu->stat.invlpg++;
	kvm_mmu_invlpg(vcpu, exit->addr.gva);
	return kvm_skip_insn(vcpu, exit);
}

/* ---- instructions --------------------------------------------------------- */

static int handle_cpuid(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vcpu->stat.cpuid_exits++;
	if (kvm_cpuid_faults(vcpu)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	kvm_emulate_cpuid(vcpu);
	return kvm_skip_insn(vcpu, exit);
}

/**
 * kvm_emulate_halt() - the guest executed HLT; RIP is past it
 * @vcpu: the vCPU, loaded
 *
 * Return: 1 to wait in the kernel, 0 to leave with KVM_EXIT_HLT.
 */
int kvm_emulate_halt(struct kvm_vcpu *vcpu)
{
	vcpu->stat.halt_exits++;
	if (kvm_lapic_in_kernel(vcpu)) {
		if (vcpu->arch.pv_unhalted) {
			vcpu->arch.pv_unhalted = false;
			return 1;
		}
		WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_HALTED);
		return 1;
	}
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_emulate_halt);

static int handle_hlt(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	int r = kvm_skip_insn(vcpu, exit);

	/* both must be done: a single step over HLT is reported, then it halts */
	return kvm_emulate_halt(vcpu) && r;
}

static int handle_io(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	if (exit->io.string)
		return emulate(vcpu, exit);
	return kvm_fast_pio(vcpu, exit->io.port, exit->io.size, exit->io.in, exit);
}

static int handle_rdmsr(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vcpu->stat.msr_exits++;
	return kvm_emulate_rdmsr(vcpu, exit);
}

static int handle_wrmsr(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vcpu->stat.msr_exits++;
	return kvm_emulate_wrmsr(vcpu, exit);
}

/* MOV to CR8 lowered the TPR: user space that has the APIC wants to know. */
static int set_cr8_exit(struct kvm_vcpu *vcpu, unsigned long before)
{
	if (kvm_lapic_in_kernel(vcpu) || before <= kvm_get_cr8(vcpu))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

static int write_cr(struct kvm_vcpu *vcpu, unsigned int cr, unsigned long val)
{
	switch (cr) {
	case 0:
		return kvm_set_cr0(vcpu, kvm_nested_cr(vcpu, 0, val));
	case 2:
		vcpu->arch.cr2 = val;
		return 0;
	case 3:
		return kvm_set_cr3(vcpu, val);
	case 4:
		return kvm_set_cr4(vcpu, kvm_nested_cr(vcpu, 1, val));
	case 8:
		return kvm_set_cr8(vcpu, val);
	default:
		return 1;
	}
}

static unsigned long read_cr(struct kvm_vcpu *vcpu, unsigned int cr)
{
	switch (cr) {
	case 0:
		return kvm_read_cr0(vcpu);
	case 2:
		return vcpu->arch.cr2;
	case 3:
		return kvm_read_cr3(vcpu);
	case 4:
		return kvm_read_cr4(vcpu);
	case 8:
		return kvm_get_cr8(vcpu);
	default:
		return 0;
	}
}

static int handle_cr(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	unsigned long val, before;
	int r;

	vcpu->stat.cr_exits++;
	before = exit->cr.cr == 8 ? kvm_get_cr8(vcpu) : 0;
	if (!exit->cr.decoded || exit->cr.cr > 15) {
		r = emulate(vcpu, exit);
		if (r > 0 && exit->cr.cr == 8)
			r = set_cr8_exit(vcpu, before);
		return r;
	}

	if (!exit->cr.write) {
		val = read_cr(vcpu, exit->cr.cr);
		if (!is_64_bit_mode(vcpu))
			val = (u32)val;
		kvm_gpr_write(vcpu, exit->cr.gpr, val);
		return kvm_skip_insn(vcpu, exit);
	}

	val = kvm_gpr_read(vcpu, exit->cr.gpr);
	if (!is_64_bit_mode(vcpu))
		val = (u32)val;
	if (write_cr(vcpu, exit->cr.cr, val)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	r = kvm_skip_insn(vcpu, exit);
	if (r > 0 && exit->cr.cr == 8)
		r = set_cr8_exit(vcpu, before);
	return r;
}

static int handle_dr(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	unsigned int dr = exit->dr.dr;
	unsigned long val;

	vcpu->stat.dr_exits++;

	/* DR7.GD, the debugger's or the guest's own: #DB before the access */
	if ((vcpu->arch.guest_debug & KVM_GUESTDBG_USE_HW_BP) &&
	    (vcpu->arch.eff_dr7 & KVM_DR7_GD))
		return kvm_debug_exit(vcpu, DR6_BD);
	if (vcpu->arch.dr7 & KVM_DR7_GD) {
		kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR6_BD);
		return 1;
	}

	/*
	 * The first access since the vCPU was loaded: give the guest the real
	 * registers and let the instruction happen.
	 */
	if (!(vcpu->arch.guest_debug & KVM_GUESTDBG_USE_HW_BP) &&
	    !(vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT)) {
		vcpu->arch.switch_db_regs |= KVM_DEBUGREG_WONT_EXIT;
		kvm_be_call(update_intercepts)(vcpu);
		return 1;
	}

	if (!exit->dr.decoded)
		return emulate(vcpu, exit);
	if ((dr == 4 || dr == 5) && kvm_cr4_bit(vcpu, X86_CR4_DE)) {
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return 1;
	}
	if (!exit->dr.write) {
		kvm_gpr_write(vcpu, exit->dr.gpr, kvm_get_dr(vcpu, dr));
		return kvm_skip_insn(vcpu, exit);
	}
	val = kvm_gpr_read(vcpu, exit->dr.gpr);
	if (!is_64_bit_mode(vcpu))
		val = (u32)val;
	if (kvm_set_dr(vcpu, dr, val)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_insn(vcpu, exit);
}

static int handle_rdpmc(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	u64 data;

	/* SDM vol. 2, RDPMC: in real mode always */
	if ((!kvm_cr4_bit(vcpu, X86_CR4_PCE) && is_protmode(vcpu) &&
	     kvm_be_call(get_cpl)(vcpu)) ||
	    kvm_pmu_rdpmc(vcpu, kvm_gpr_read(vcpu, VCPU_REG_RCX), &data)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	kvm_write_edx_eax(vcpu, data);
	return kvm_skip_insn(vcpu, exit);
}

static int handle_rdtsc(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_write_edx_eax(vcpu, kvm_nested_tsc(vcpu, kvm_read_guest_tsc(vcpu, rdtsc())));
	if (exit->kind == KVM_XK_RDTSCP)
		kvm_gpr_write(vcpu, VCPU_REG_RCX, (u32)vcpu->arch.tsc_aux);
	return kvm_skip_insn(vcpu, exit);
}

static int handle_nop(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return kvm_skip_insn(vcpu, exit);
}

static int handle_wbinvd(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_wbinvd(vcpu);
	return kvm_skip_insn(vcpu, exit);
}

static int handle_mwait(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	if (!kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !guest_has(vcpu, X86_FEATURE_MWAIT)) {
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return 1;
	}
	/* a wake-up without cause is allowed at any time */
	return kvm_skip_insn(vcpu, exit);
}

static int handle_pause(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_vcpu_on_spin(vcpu, kvm_be_call(get_cpl)(vcpu) == 0);
	return kvm_skip_insn(vcpu, exit);
}

static int handle_xsetbv(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	if (!kvm_cr4_bit(vcpu, X86_CR4_OSXSAVE)) {
		kvm_queue_exception(vcpu, X86_TRAP_UD);
		return 1;
	}
	if (kvm_be_call(get_cpl)(vcpu) != 0 ||
	    kvm_set_xcr(vcpu, kvm_gpr_read(vcpu, VCPU_REG_RCX),
			kvm_read_edx_eax(vcpu))) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_insn(vcpu, exit);
}

static int handle_ud(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}

static int handle_rsm(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return vcpu->arch.smm ? emulate(vcpu, exit) : handle_ud(vcpu, exit);
}

static int handle_invpcid(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	/* intercepted only to refuse it */
	if (!guest_has(vcpu, X86_FEATURE_INVPCID))
		return handle_ud(vcpu, exit);
	return emulate(vcpu, exit);
}

/* ---- hypercalls ----------------------------------------------------------- */

static void directed_yield(struct kvm_vcpu *vcpu, struct kvm_vcpu *target)
{
	vcpu->stat.directed_yield_attempted++;
	if (!target || target == vcpu || !READ_ONCE(target->ready))
		return;
	if (kvm_vcpu_yield_to(target) > 0)
		vcpu->stat.directed_yield_successful++;
}

static long hc_kick_cpu(struct kvm_vcpu *vcpu, unsigned long apic_id)
{
	struct kvm_vcpu *target = kvm_vcpu_by_apic_id(vcpu->kvm, apic_id);

	if (!target)
		return 0;
	WRITE_ONCE(target->arch.pv_unhalted, true);
	kvm_make_request(KVM_REQ_EVENT, target);
	kvm_vcpu_kick(target);
	/* who kicks has nothing better to do than what it waits for */
	directed_yield(vcpu, target);
	return 0;
}

static long hc_send_ipi(struct kvm_vcpu *vcpu, unsigned long low,
			unsigned long high, u32 min, u32 icr, bool mode64)
{
	unsigned int bits = mode64 ? 64 : 32;
	struct kvm_lapic_irq irq = {};
	long count = 0;
	unsigned int i, half;

	if (!kvm_lapic_in_kernel(vcpu))
		return -KVM_ENOSYS;
	/* shorthands and logical destinations are not part of this call */
	if (icr & (APIC_DEST_MASK | APIC_SHORT_MASK))
		return -KVM_EINVAL;

	irq.vector = icr & APIC_VECTOR_MASK;
	irq.delivery_mode = icr & APIC_MODE_MASK;
	irq.level = icr & APIC_INT_ASSERT;
	irq.trig_mode = icr & APIC_INT_LEVELTRIG;

	for (half = 0; half < 2; half++) {
		unsigned long map = half ? high : low;

		for_each_set_bit(i, &map, bits) {
			u64 id = (u64)min + half * bits + i;
			struct kvm_vcpu *target;

			if (id >= KVM_OOT_MAX_VCPU_IDS)
				break;
			/* one CPU each: no id is a broadcast here */
			target = kvm_vcpu_by_apic_id(vcpu->kvm, id);
			if (target && kvm_lapic_accept(target->arch.apic, &irq))
				count++;
		}
	}
	return count;
}

static long hc_sched_yield(struct kvm_vcpu *vcpu, unsigned long id)
{
	directed_yield(vcpu, kvm_vcpu_by_apic_id(vcpu->kvm, id));
	return 0;
}

static void hypercall_result(struct kvm_vcpu *vcpu, unsigned long ret, bool mode64)
{
	kvm_gpr_write(vcpu, VCPU_REG_RAX, mode64 ? ret : (u32)ret);
}

static int complete_hypercall(struct kvm_vcpu *vcpu)
{
	const struct kvm_exit exit = { .insn_len = vcpu->arch.hypercall_len };

	hypercall_result(vcpu, READ_ONCE(vcpu->run->hypercall.ret), is_64_bit_mode(vcpu));
	return kvm_skip_insn(vcpu, &exit);
}

/* The guest wants memory to be private, or shared. Return: 0 when user space is asked. */
static long hc_map_gpa_range(struct kvm_vcpu *vcpu, const struct kvm_exit *exit,
			     gpa_t gpa, u64 npages, u64 attributes, bool mode64)
{
	struct kvm_run *run = vcpu->run;

	if (!(READ_ONCE(vcpu->kvm->arch.hypercall_exits) & BIT(KVM_HC_MAP_GPA_RANGE)))
		return -KVM_ENOSYS;
	/* no further than addresses go */
	if (!npages || !PAGE_ALIGNED(gpa) ||
	    npages > BIT_ULL(64 - PAGE_SHIFT) - (gpa >> PAGE_SHIFT))
		return -KVM_EINVAL;

	run->exit_reason = KVM_EXIT_HYPERCALL;
	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = npages;
	run->hypercall.args[2] = attributes;
	kvm_hypercall_set_flags(run, mode64 ? KVM_EXIT_HYPERCALL_LONG_MODE : 0);
	vcpu->arch.hypercall_len = exit->insn_len;
	vcpu->arch.complete_userspace_io = complete_hypercall;
	return 0;
}

/**
 * kvm_emulate_hypercall() - VMCALL or VMMCALL
 * @vcpu: the vCPU, loaded, SRCU held
 * @exit: the exit
 *
 * Documentation/virt/kvm/x86/hypercalls.rst. The result goes to RAX.
 * Return: >0 to enter again, 0 to leave to user space.
 */
int kvm_emulate_hypercall(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	unsigned long nr = kvm_gpr_read(vcpu, VCPU_REG_RAX);
	unsigned long a0 = kvm_gpr_read(vcpu, VCPU_REG_RBX);
	unsigned long a1 = kvm_gpr_read(vcpu, VCPU_REG_RCX);
	unsigned long a2 = kvm_gpr_read(vcpu, VCPU_REG_RDX);
	unsigned long a3 = kvm_gpr_read(vcpu, VCPU_REG_RSI);
	bool mode64 = is_64_bit_mode(vcpu);
	long ret = -KVM_ENOSYS;

	vcpu->stat.hypercalls++;
	if (!mode64) {
		nr = (u32)nr;
		a0 = (u32)a0;
		a1 = (u32)a1;
		a2 = (u32)a2;
		a3 = (u32)a3;
	}

	if (kvm_be_call(get_cpl)(vcpu) != 0) {
		ret = -KVM_EPERM;
		goto out;
	}

	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		ret = 0;
		break;
	case KVM_HC_KICK_CPU:
		if (kvm_pv_has(vcpu, KVM_FEATURE_PV_UNHALT))
			ret = hc_kick_cpu(vcpu, a1);
		break;
	case KVM_HC_CLOCK_PAIRING:
		ret = kvm_clock_pairing(vcpu, a0, a1);
		break;
	case KVM_HC_SEND_IPI:
		if (kvm_pv_has(vcpu, KVM_FEATURE_PV_SEND_IPI))
			ret = hc_send_ipi(vcpu, a0, a1, a2, a3, mode64);
		break;
	case KVM_HC_SCHED_YIELD:
		if (kvm_pv_has(vcpu, KVM_FEATURE_PV_SCHED_YIELD))
			ret = hc_sched_yield(vcpu, a0);
		break;
	case KVM_HC_MAP_GPA_RANGE:
		ret = hc_map_gpa_range(vcpu, exit, a0, a1, a2, mode64);
		if (!ret)
			return 0;
		break;
	}
out:
	hypercall_result(vcpu, ret, mode64);
	return kvm_skip_insn(vcpu, exit);
}

static int handle_hypercall(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return kvm_emulate_hypercall(vcpu, exit);
}

/* ---- the rest ------------------------------------------------------------- */

static int handle_nothing(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return 1;
}

static int handle_intr(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vcpu->stat.irq_exits++;
	return 1;
}

static int handle_intr_window(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vcpu->stat.irq_window_exits++;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

static int handle_nmi_window(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	vcpu->stat.nmi_window_exits++;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

static int handle_apic_access(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	gpa_t gpa = (vcpu->arch.apic_base & MSR_IA32_APICBASE_BASE) + exit->apic.offset;

	if (exit->apic.done) {
		kvm_lapic_hw_wrote(apic, exit->apic.offset);
		return 1;
	}
	if (exit->vectoring.type != KVM_EVENT_NONE)
		return delivery_error(vcpu, exit, gpa);
	/* the one register for which the value does not count */
	if (exit->apic.write && exit->apic.offset == APIC_EOI) {
		kvm_lapic_eoi(apic);
		return kvm_skip_insn(vcpu, exit);
	}
	return emulate(vcpu, exit);
}

static int handle_apic_eoi(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_lapic_hw_eoi(vcpu->arch.apic, exit->apic.vector);
	return 1;
}

static int handle_timer(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_lapic_timer_hw_fires(vcpu);
	return 1;
}

static int handle_tpr_below(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

/* Intel SDM vol. 3, 26.2; with KVM_CAP_X86_NOTIFY_VMEXIT only */
static int handle_notify(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	vcpu->stat.notify_window_exits++;
	/* the host got its CPU back, which was the point; a guest that is lost cannot go on */
	if (!(vcpu->kvm->arch.notify_flags & KVM_X86_NOTIFY_VMEXIT_USER) &&
	    !exit->notify.context_invalid)
		return 1;
	run->exit_reason = KVM_EXIT_NOTIFY;
	run->notify.flags = exit->notify.context_invalid ? KVM_NOTIFY_CONTEXT_INVALID : 0;
	return 0;
}

static int handle_triple_fault(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	/* AMD APM vol. 2, 15.14.3: the guest's state is undefined; INIT defines it */
	if (kvm_be.exit_reason_isa == KVM_OOT_ISA_SVM)
		kvm_vcpu_reset(vcpu, true);
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	vcpu->mmio_needed = false;
	return 0;
}

static int handle_task_switch(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return kvm_emulate_task_switch(vcpu, exit);
}

static int handle_virt(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	return kvm_be_call(virt_insn)(vcpu, exit);
}

static int handle_fail_entry(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = exit->hw_reason;
	run->fail_entry.cpu = READ_ONCE(vcpu->cpu);
	return 0;
}

static int handle_cannot_emulate(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	kvm_prepare_emulation_failure_exit(vcpu);
	return 0;
}

static int handle_unknown(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 2;
	run->internal.data[0] = exit->hw_reason;
	run->internal.data[1] = READ_ONCE(vcpu->cpu);
	return 0;
}

static int (*const handlers[KVM_XK_COUNT])(struct kvm_vcpu *, struct kvm_exit *) = {
	[KVM_XK_FAIL_ENTRY]	= handle_fail_entry,
	[KVM_XK_UNKNOWN]	= handle_unknown,
	[KVM_XK_HANDLED]	= handle_nothing,
	[KVM_XK_INTR]		= handle_intr,
	[KVM_XK_INTR_WINDOW]	= handle_intr_window,
	[KVM_XK_NMI_WINDOW]	= handle_nmi_window,
	[KVM_XK_EXCEPTION]	= handle_exception,
	[KVM_XK_TDP_FAULT]	= handle_tdp_fault,
	[KVM_XK_DOORBELL]	= handle_doorbell,
	[KVM_XK_CPUID]		= handle_cpuid,
	[KVM_XK_HLT]		= handle_hlt,
	[KVM_XK_IO]		= handle_io,
	[KVM_XK_RDMSR]		= handle_rdmsr,
	[KVM_XK_WRMSR]		= handle_wrmsr,
	[KVM_XK_CR]		= handle_cr,
	[KVM_XK_DR]		= handle_dr,
	[KVM_XK_INVLPG]		= handle_invlpg,
	[KVM_XK_INVPCID]	= handle_invpcid,
	[KVM_XK_HYPERCALL]	= handle_hypercall,
	[KVM_XK_RDPMC]		= handle_rdpmc,
	[KVM_XK_RDTSC]		= handle_rdtsc,
	[KVM_XK_RDTSCP]		= handle_rdtsc,
	[KVM_XK_WBINVD]		= handle_wbinvd,
	[KVM_XK_INVD]		= handle_nop,
	[KVM_XK_MONITOR]	= handle_mwait,
	[KVM_XK_MWAIT]		= handle_mwait,
	[KVM_XK_PAUSE]		= handle_pause,
	[KVM_XK_XSETBV]		= handle_xsetbv,
	[KVM_XK_TRIPLE_FAULT]	= handle_triple_fault,
	[KVM_XK_TASK_SWITCH]	= handle_task_switch,
	[KVM_XK_UD]		= handle_ud,
	[KVM_XK_VIRT]		= handle_virt,
	[KVM_XK_EMULATE]	= emulate,
	[KVM_XK_CANNOT_EMULATE]	= handle_cannot_emulate,
	[KVM_XK_TIMER]		= handle_timer,
	[KVM_XK_TPR_BELOW]	= handle_tpr_below,
	[KVM_XK_APIC_ACCESS]	= handle_apic_access,
	[KVM_XK_APIC_EOI]	= handle_apic_eoi,
	[KVM_XK_RSM]		= handle_rsm,
	[KVM_XK_INIT]		= handle_nothing,
	[KVM_XK_NOTIFY]		= handle_notify,
};

/* What else there is to tell user space when a bus lock is (KVM_BUS_LOCK_DETECTION_EXIT). */
static int bus_lock_exit(struct kvm_vcpu *vcpu, int r)
{
	vcpu->arch.bus_locked = true;
	if (r <= 0)
		return r;
	vcpu->run->exit_reason = KVM_EXIT_X86_BUS_LOCK;
	return 0;
}

/**
 * kvm_handle_exit() - act on an exit
 * @vcpu: the vCPU, loaded, SRCU held
 * @exit: what happened
 *
 * Return: >0 to enter again, 0 to leave to user space, <0 -errno.
 */
int kvm_handle_exit(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	int r;

	if (unlikely(vcpu->arch.guest_mode) && kvm_be_call(nested_exit)(vcpu, exit))
		r = 1;
	else if (exit->kind >= KVM_XK_COUNT)
		r = handle_unknown(vcpu, exit);
	else
		r = handlers[exit->kind](vcpu, exit);
	return unlikely(exit->bus_lock) ? bus_lock_exit(vcpu, r) : r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_handle_exit);

/**
 * kvm_exit_fastpath() - answer an exit with interrupts off, if that can be done
 * @vcpu: the vCPU, loaded; interrupts are off, SRCU is not held
 * @exit: what happened
 *
 * Only what touches neither guest memory nor anything that sleeps, and only
 * when the CPU told the length of the instruction.
 * Return: true when the guest can be entered again at once.
 */
bool kvm_exit_fastpath(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	if (!exit->insn_len || exit->bus_lock || exit->vectoring.type != KVM_EVENT_NONE ||
	    vcpu->arch.guest_debug || vcpu->arch.guest_mode ||
	    (kvm_rflags_read(vcpu) & X86_EFLAGS_TF))
		return false;

	switch (exit->kind) {
	case KVM_XK_CPUID:
		if (kvm_cpuid_faults(vcpu))
			return false;
		vcpu->stat.cpuid_exits++;
		kvm_emulate_cpuid(vcpu);
		break;
	default:
		return false;
	}
	kvm_skip_insn(vcpu, exit);
	return true;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_exit_fastpath);
