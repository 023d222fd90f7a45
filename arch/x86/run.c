// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN: from the ioctl into the guest and back.
 *
 * vcpu_run() alternates between entering the guest, waiting while it is
 * halted, and the host's own business (signals, rescheduling). A round through
 * vcpu_enter_guest() carries out requests, makes sure that there is a page
 * table root, hands over the next event, switches FPU control registers, and
 * stays in the inner loop as long as exits can be answered with interrupts
 * off.
 *
 * vcpu->mode tells other CPUs whether a kick needs an IPI: it is set to
 * KVM_IN_GUEST with interrupts off *before* the last look at requests, so a
 * request made before that look is seen, and one made after it finds the mode
 * and sends an IPI, which makes the guest exit at once.
 */
#include <linux/hw_breakpoint.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#include "arch/x86/async_pf.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/nested.h"
#include "arch/x86/pmu.h"
#include "arch/x86/run.h"
#include "module/compat/guest_state.h"
#include "module/compat/guest_work.h"
#include "module/compat/host_irq.h"
#include <asm/debugreg.h>

/**
 * kvm_run_vcpu_create() - what KVM_RUN needs for a vCPU
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_run_vcpu_create(struct kvm_vcpu *vcpu)
{
	vcpu->arch.guest_work = kvm_guest_work_alloc(vcpu->run);
	return vcpu->arch.guest_work ? 0 : -ENOMEM;
}

/**
 * kvm_run_vcpu_free() - free it
 * @vcpu: the vCPU
 */
void kvm_run_vcpu_free(struct kvm_vcpu *vcpu)
{
	kvm_guest_work_free(vcpu->arch.guest_work);
	vcpu->arch.guest_work = NULL;
}

/* Nothing but RUNNABLE executes; a HALTED vCPU, or one without its page, waits in vcpu_block(). */
static bool vcpu_running(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->arch.mp_state) == KVM_MP_STATE_RUNNABLE &&
	       !READ_ONCE(vcpu->arch.apf_halted);
}

/**
 * kvm_arch_vcpu_runnable() - is there a reason to leave the halted wait
 * @vcpu: the vCPU
 */
bool kvm_arch_vcpu_runnable(struct kvm_vcpu *vcpu)
{
	switch (READ_ONCE(vcpu->arch.mp_state)) {
	case KVM_MP_STATE_RUNNABLE:
		return !READ_ONCE(vcpu->arch.apf_halted) || kvm_vcpu_has_events(vcpu);
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		/* nothing but INIT and SIPI reaches it */
		return kvm_lapic_in_kernel(vcpu) &&
		       kvm_lapic_has_init_or_sipi(vcpu);
	default:
		return kvm_vcpu_has_events(vcpu);
	}
}

/**
 * kvm_arch_vcpu_in_kernel() - was the guest in its kernel when it was preempted
 * @vcpu: the vCPU, loaded by this thread
 */
bool kvm_arch_vcpu_in_kernel(struct kvm_vcpu *vcpu)
{
	return kvm_be_call(get_cpl)(vcpu) == 0;
}

/**
 * kvm_arch_no_poll() - did the guest ask the host not to poll for it
 * @vcpu: the vCPU
 */
bool kvm_arch_no_poll(struct kvm_vcpu *vcpu)
{
	return !(vcpu->arch.msr_kvm_poll_control & 1);
}

/**
 * kvm_arch_vcpu_pending_timer() - has the LAPIC timer expired meanwhile
 * @vcpu: the vCPU
 */
int kvm_arch_vcpu_pending_timer(struct kvm_vcpu *vcpu)
{
	return kvm_lapic_in_kernel(vcpu) && kvm_lapic_has_pending_timer(vcpu);
}

/**
 * kvm_arch_vcpu_has_work() - is there something to do, although the guest cannot run
 * @vcpu: the vCPU
 *
 * Return: true when a page that was waited for has come, or a counter has overflowed: the
 * guest may get an interrupt.
 */
bool kvm_arch_vcpu_has_work(struct kvm_vcpu *vcpu)
{
	u32 state = READ_ONCE(vcpu->arch.mp_state);

	return (kvm_test_request(KVM_REQ_APF_READY, vcpu) || kvm_test_request(KVM_REQ_PMU, vcpu)) &&
	       (state == KVM_MP_STATE_RUNNABLE || state == KVM_MP_STATE_HALTED);
}

/**
 * kvm_arch_vcpu_blocking() - the vCPU is about to sleep
 * @vcpu: the vCPU
 */
void kvm_arch_vcpu_blocking(struct kvm_vcpu *vcpu)
{
}

/**
 * kvm_arch_vcpu_unblocking() - it is awake again
 * @vcpu: the vCPU
 */
void kvm_arch_vcpu_unblocking(struct kvm_vcpu *vcpu)
{
}

/* User space asked for KVM_EXIT_IRQ_WINDOW_OPEN: read the flag once. */
static bool user_wants_irq_window(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->run->request_interrupt_window) &&
	       !kvm_irqchip_full(vcpu->kvm) && kvm_accepts_user_interrupt(vcpu);
}

static bool irq_window_exit_due(struct kvm_vcpu *vcpu)
{
	return user_wants_irq_window(vcpu) &&
	       kvm_vcpu_ready_for_interrupt_injection(vcpu);
}

static void fill_run_state(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = (kvm_get_rflags(vcpu) & X86_EFLAGS_IF) != 0;
	run->cr8 = kvm_get_cr8(vcpu);
	run->apic_base = kvm_lapic_get_base(vcpu);
	run->ready_for_interrupt_injection =
		kvm_irqchip_full(vcpu->kvm) ||
		kvm_vcpu_ready_for_interrupt_injection(vcpu);
	run->flags = vcpu->arch.smm * KVM_RUN_X86_SMM |
		     vcpu->arch.guest_mode * KVM_OOT_RUN_GUEST_MODE |
		     vcpu->arch.bus_locked * KVM_RUN_X86_BUS_LOCK;
	if (READ_ONCE(run->kvm_valid_regs))
		kvm_sync_regs_store(vcpu);
}

/* Returns >0 to go on, 0 to leave to user space, <0 -errno. */
static int handle_requests(struct kvm_vcpu *vcpu)
{
	bool flush_guest;
	int r;

	if (kvm_check_request(KVM_REQ_VM_DEAD, vcpu))
		return -EIO;
	if (kvm_check_request(KVM_REQ_MMU_RELOAD, vcpu))
		kvm_mmu_unload(vcpu);

	r = kvm_time_handle_requests(vcpu);
	if (r < 0)
		return r;

	if (kvm_check_request(KVM_REQ_MSR_FILTER_CHANGED, vcpu))
		kvm_be_call(update_config)(vcpu);
	if (kvm_check_request(KVM_REQ_PMU, vcpu))
		kvm_pmu_handle_request(vcpu);
	flush_guest = kvm_check_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	if (flush_guest)
		kvm_mmu_flush_guest(vcpu);
	if (kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu)) {
		vcpu->stat.tlb_flush++;
		kvm_be_call(flush_tlb)(vcpu, KVM_TLB_ALL, 0);
	} else if (flush_guest) {
		vcpu->stat.tlb_flush++;
		kvm_be_call(flush_tlb)(vcpu, KVM_TLB_GUEST, 0);
	}
	if (kvm_check_request(KVM_REQ_NESTED_PAGES, vcpu)) {
		r = kvm_be_call(nested_pages)(vcpu);
		if (r)
			return r;
	}
	if (kvm_check_request(KVM_REQ_TRIPLE_FAULT, vcpu) && !kvm_nested_triple_fault(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		vcpu->mmio_needed = false;
		return 0;
	}
	if (kvm_check_request(KVM_REQ_REPORT_TPR, vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_TPR_ACCESS;
		memset(&vcpu->run->tpr_access, 0, sizeof(vcpu->run->tpr_access));
		vcpu->run->tpr_access.rip = vcpu->arch.tpr_report.rip;
		vcpu->run->tpr_access.is_write = vcpu->arch.tpr_report.write;
		return 0;
	}
	if (kvm_check_request(KVM_REQ_DIRTY_RING, vcpu) && !kvm_dirty_ring_has_room(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		return 0;
	}
	if (kvm_check_request(KVM_REQ_NMI, vcpu))
		kvm_process_nmi(vcpu);
	kvm_process_smi(vcpu);
	if (kvm_check_request(KVM_REQ_SCAN_IOAPIC, vcpu))
		kvm_scan_ioapic(vcpu);
	if (kvm_check_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu)) {
		int vector = READ_ONCE(vcpu->arch.pending_ioapic_eoi);

		if (vector >= 0 && vector < 256 &&
		    test_bit(vector, vcpu->arch.ioapic_handled_vectors)) {
			vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
			vcpu->run->eoi.vector = vector;
			return 0;
		}
	}
	return 1;
}

/* Tell the backend from which priority on a lower TPR unblocks an interrupt. */
static void update_cr8_intercept(struct kvm_vcpu *vcpu)
{
	int max_irr, tpr;

	if (!kvm_lapic_in_kernel(vcpu))
		return;
	/* hardware that delivers looks at the TPR by itself */
	max_irr = vcpu->arch.apic->hw_delivers ? -1 : kvm_lapic_find_highest_irr(vcpu);
	if (max_irr != -1)
		max_irr >>= 4;
	tpr = kvm_lapic_get_cr8(vcpu);
	kvm_be_call(update_cr8_intercept)(vcpu, tpr, max_irr);
}

/* The last look before the guest: interrupts are off, mode is IN_GUEST. */
static bool must_not_enter(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->mode) == KVM_EXITING_GUEST ||
	       kvm_request_pending(vcpu) || xfer_to_guest_mode_work_pending();
}

static void load_guest_debugregs(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.switch_db_regs)
		return;
	set_debugreg(0, 7);
	set_debugreg(vcpu->arch.eff_db[0], 0);
	set_debugreg(vcpu->arch.eff_db[1], 1);
	set_debugreg(vcpu->arch.eff_db[2], 2);
	set_debugreg(vcpu->arch.eff_db[3], 3);
}

static void put_guest_debugregs(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.switch_db_regs & KVM_DEBUGREG_WONT_EXIT) {
		/* the guest wrote them unseen */
		get_debugreg(vcpu->arch.db[0], 0);
		get_debugreg(vcpu->arch.db[1], 1);
		get_debugreg(vcpu->arch.db[2], 2);
		get_debugreg(vcpu->arch.db[3], 3);
		kvm_be_call(sync_debugregs)(vcpu);
		vcpu->arch.switch_db_regs &= ~KVM_DEBUGREG_WONT_EXIT;
		kvm_update_dr7(vcpu);
	}
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

/*
 * Enter the guest once (or, for exits that need nothing, several times) and
 * handle what made it stop. Returns >0 to enter again, 0 to leave to user
 * space, <0 -errno.
 */
static int vcpu_enter_guest(struct kvm_vcpu *vcpu)
{
	bool req_immediate = false;
	struct kvm_exit exit;
	int r;

	/* events are looked for below; the others are rare */
	if (unlikely(READ_ONCE(vcpu->requests) & ~BIT(KVM_REQ_EVENT))) {
		r = handle_requests(vcpu);
		if (r <= 0)
			return r;
	}

	/* the root first: it can fail, and an injected event could not be undone */
	r = kvm_mmu_load(vcpu);
	if (r)
		return r;

	if (kvm_check_request(KVM_REQ_EVENT, vcpu) || vcpu->arch.exception.pending ||
	    user_wants_irq_window(vcpu)) {
		vcpu->stat.req_event++;
		if (kvm_lapic_in_kernel(vcpu)) {
			r = kvm_lapic_accept_events(vcpu);
			if (r < 0)
				return r;
			if (!vcpu_running(vcpu))
				return 1;
			/* an INIT for L1, or one that ends both, comes behind L2's entry */
			if (unlikely(vcpu->arch.nested_entry) && kvm_lapic_has_init_or_sipi(vcpu))
				req_immediate = true;
		}
		if (kvm_inject_pending_events(vcpu, &req_immediate))
			return 1;
		if (user_wants_irq_window(vcpu) && !kvm_nested_window(vcpu, &req_immediate))
			kvm_be_call(request_window)(vcpu, KVM_EVENT_INTR);
		update_cr8_intercept(vcpu);
		kvm_lapic_sync_to_vapic(vcpu);
	}

	preempt_disable();
	local_irq_disable();

	/* no SRCU in the guest: a memslot change must not wait for its exit */
	kvm_vcpu_srcu_read_unlock(vcpu);
	/* the mode before the look at the requests, see docs/locking.md */
	smp_store_mb(vcpu->mode, KVM_IN_GUEST);

	if (must_not_enter(vcpu)) {
		struct kvm_event ev = { .type = KVM_EVENT_NONE };

		WRITE_ONCE(vcpu->mode, KVM_OUTSIDE_GUEST);
		local_irq_enable();
		preempt_enable();
		kvm_vcpu_srcu_read_lock(vcpu);
		kvm_be_call(cancel_injection)(vcpu, &ev);
		kvm_requeue_event(vcpu, &ev);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		return 1;
	}

	/* what it is for has to be looked for again */
	if (unlikely(req_immediate))
		kvm_make_request(KVM_REQ_EVENT, vcpu);

	kvm_load_guest_xsave_state(vcpu);
	load_guest_debugregs(vcpu);
	kvm_guest_timing_enter_irqoff();

	for (;;) {
		exit.kind = KVM_XK_UNKNOWN;
		kvm_be_call(enter)(vcpu, &exit, req_immediate);
		vcpu->stat.exits++;
		if (!kvm_exit_fastpath(vcpu, &exit))
			break;
		vcpu->stat.fastpath_exits++;
		req_immediate = false;
		/* that entry delivered what was injected */
		kvm_requeue_event(vcpu, &exit.vectoring);
		if (must_not_enter(vcpu)) {
			exit.kind = KVM_XK_HANDLED;
			break;
		}
	}

	put_guest_debugregs(vcpu);
	kvm_load_host_xsave_state(vcpu);
	/* pairs with the sender of a request, which looks at the mode */
	smp_store_release(&vcpu->mode, KVM_OUTSIDE_GUEST);

	/*
	 * Let the host take the interrupt that made the guest exit while the
	 * time still counts as the guest's: a tick belongs to it.
	 */
	if (exit.kind == KVM_XK_INTR && exit.host_vector)
		kvm_host_irq(exit.host_vector);
	local_irq_enable();
	nop();		/* STI opens only after the instruction that follows it */
	local_irq_disable();
	kvm_guest_timing_exit_irqoff();
	local_irq_enable();
	preempt_enable();

	kvm_vcpu_srcu_read_lock(vcpu);
	kvm_requeue_event(vcpu, &exit.vectoring);
	if (kvm_lapic_in_kernel(vcpu))
		kvm_lapic_sync_from_vapic(vcpu);

	return kvm_handle_exit(vcpu, &exit);
}

/* Wait while the guest is halted, or not started yet. */
static int vcpu_block(struct kvm_vcpu *vcpu)
{
	if (!kvm_arch_vcpu_runnable(vcpu)) {
		/* a timer that only counts in the guest would never come */
		kvm_lapic_timer_to_host(vcpu);
		kvm_vcpu_srcu_read_unlock(vcpu);
		if (READ_ONCE(vcpu->arch.mp_state) == KVM_MP_STATE_HALTED)
			kvm_vcpu_halt(vcpu);
		else
			kvm_vcpu_block(vcpu);
		kvm_vcpu_srcu_read_lock(vcpu);
		kvm_lapic_timer_to_guest(vcpu);

		/* told to look again: only user space's or the host's business */
		if (!kvm_arch_vcpu_runnable(vcpu) &&
		    !kvm_arch_vcpu_pending_timer(vcpu))
			return 1;
	}

	if (kvm_lapic_in_kernel(vcpu) && kvm_lapic_accept_events(vcpu) < 0)
		return 0;

	switch (READ_ONCE(vcpu->arch.mp_state)) {
	case KVM_MP_STATE_HALTED:
		if (kvm_vcpu_has_events(vcpu)) {
			WRITE_ONCE(vcpu->arch.pv_unhalted, false);
			WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_RUNNABLE);
			WRITE_ONCE(vcpu->arch.apf_halted, false);
		}
		return 1;
	case KVM_MP_STATE_RUNNABLE:
		if (kvm_vcpu_has_events(vcpu))
			WRITE_ONCE(vcpu->arch.apf_halted, false);
		return 1;
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_UNINITIALIZED:
		return 1;
	default:
		return -EINTR;
	}
}

static int vcpu_run(struct kvm_vcpu *vcpu)
{
	int r;

	/* what an error means is told by the reason, too: not by the last one's */
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	/* user space may have changed what it waits for */
	WRITE_ONCE(vcpu->arch.apf_halted, false);
	for (;;) {
		r = vcpu_running(vcpu) ? vcpu_enter_guest(vcpu) : vcpu_block(vcpu);
		if (r <= 0)
			return r;

		if (unlikely(kvm_request_pending(vcpu))) {
			kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
			if (kvm_check_request(KVM_REQ_APF_READY, vcpu))
				kvm_apf_ready(vcpu);
			/* before it sleeps: there may be an interrupt */
			if (kvm_check_request(KVM_REQ_PMU, vcpu))
				kvm_pmu_handle_request(vcpu);
		}
		/* masked or not: what ends while LVTT is masked is lost */
		if (kvm_lapic_in_kernel(vcpu) && atomic_read(&vcpu->arch.apic->timer.pending))
			kvm_lapic_inject_timer_irqs(vcpu);

		if (irq_window_exit_due(vcpu)) {
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			vcpu->stat.request_irq_exits++;
			return 0;
		}

		if (__xfer_to_guest_mode_work_pending()) {
			kvm_vcpu_srcu_read_unlock(vcpu);
			r = kvm_guest_work_handle(vcpu->arch.guest_work);
			kvm_vcpu_srcu_read_lock(vcpu);
			if (r) {
				vcpu->stat.signal_exits++;
				return r;
			}
		}
	}
}

/* A vCPU that waits for INIT/SIPI sleeps here, interruptibly. */
static int wait_for_start(struct kvm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->run->immediate_exit__unsafe))
		return -EINTR;

	kvm_vcpu_srcu_read_unlock(vcpu);
	kvm_vcpu_block(vcpu);
	kvm_vcpu_srcu_read_lock(vcpu);

	if (kvm_lapic_accept_events(vcpu) < 0)
		return 0;
	kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
	if (signal_pending(current)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stat.signal_exits++;
		return -EINTR;
	}
	return -EAGAIN;
}

static int run_loaded(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);
	int r;

	if (READ_ONCE(vcpu->arch.mp_state) == KVM_MP_STATE_UNINITIALIZED &&
	    kvm_lapic_in_kernel(vcpu))
		return wait_for_start(vcpu);

	if ((valid | dirty) & ~(u64)KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	if (dirty) {
		r = kvm_sync_regs_load(vcpu);
		if (r)
			return r;
	}

	/* without a LAPIC in the kernel, CR8 is handed over on every call */
	if (!kvm_lapic_in_kernel(vcpu) && kvm_set_cr8(vcpu, READ_ONCE(run->cr8)))
		return -EINVAL;

	if (vcpu->arch.complete_userspace_io) {
		int (*complete)(struct kvm_vcpu *) = vcpu->arch.complete_userspace_io;

		vcpu->arch.complete_userspace_io = NULL;
		r = complete(vcpu);
		if (r <= 0)
			return r;
	}

	if (READ_ONCE(run->immediate_exit__unsafe))
		return -EINTR;

	return vcpu_run(vcpu);
}

/**
 * kvm_arch_vcpu_run() - KVM_RUN
 * @vcpu: the vCPU; its mutex is held, the signal mask is in force
 *
 * Return: 0 with kvm_run filled; -EINTR for a signal or immediate_exit;
 * -EAGAIN when the vCPU was waiting to be started and now is, or looked in
 * vain; -EINVAL for bad synced registers; -EIO for a dead VM; -EFAULT when
 * guest memory has no host memory behind it.
 */
int kvm_arch_vcpu_run(struct kvm_vcpu *vcpu)
{
	int r;

	kvm_vcpu_load(vcpu);
	vcpu->arch.bus_locked = false;
	kvm_load_guest_fpu(vcpu);
	kvm_vcpu_srcu_read_lock(vcpu);
	if (vcpu->arch.pmu)
		kvm_pmu_set_thread(vcpu);

	r = run_loaded(vcpu);

	kvm_put_guest_fpu(vcpu);
	fill_run_state(vcpu);
	kvm_vcpu_srcu_read_unlock(vcpu);
	kvm_vcpu_put(vcpu);
	return r;
}
