// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer: one-shot, periodic and TSC deadline (Intel SDM vol. 3,
 * 11.5.4), on a high-resolution timer that follows the vCPU from CPU to CPU, or on one
 * that the hardware runs while it runs the guest (kvm_be.guest_timer).
 *
 * The bus clock is 1 GHz, or what user space has chosen before there were vCPUs
 * (KVM_CAP_X86_APIC_BUS_CYCLES_NS): a count is one of its cycles times the divisor.
 * Times beyond TIMER_MAX_NS, 146 years, are cut off there, so that no sum of two
 * overflows what a ktime_t holds. When the timer fires, the callback only notes it and
 * kicks the vCPU, whose thread then delivers LVTT; periods that were missed meanwhile
 * are one interrupt, as they are on a CPU which has the vector in IRR already.
 *
 * With the hardware's timer (vcpu->arch.timer_tsc is not 0) nothing of the host's is
 * armed: what is due while the vCPU's thread does something else is noticed when it next
 * enters the guest, which is when it could matter. While it waits for an interrupt the
 * host's timer is used.
 *
 * A host's timer for a TSC deadline is armed early by what it takes from there into the
 * guest, which is measured each time; the last bit before the deadline is waited for
 * just before the entry.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <asm/msr.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/run.h"

#define TIMER_MODE_MASK		(3u << 17)
#define NSEC_PER_MSEC_U64	1000000ull
#define TIMER_MAX_NS		((u64)KTIME_MAX / 2)
#define TIMER_MAX_DIVIDE	128

/* A guest must not keep the host busy with its timer alone: 200 us. */
static unsigned int min_timer_period_us = 200;
module_param(min_timer_period_us, uint, 0644);
MODULE_PARM_DESC(min_timer_period_us, "Shortest period of a periodic timer, in us");

/* what a guest may lose of its host's CPU by one timer */
#define ADVANCE_MAX_NS		5000
#define ADVANCE_START_NS	1000

static int lapic_timer_advance_ns = -1;
module_param(lapic_timer_advance_ns, int, 0644);
MODULE_PARM_DESC(lapic_timer_advance_ns, "How much earlier the host's timer is armed, in ns; -1: as measured");

static u32 timer_mode(struct kvm_lapic *apic)
{
	return kvm_lapic_reg(apic, APIC_LVTT) & TIMER_MODE_MASK;
}

static bool is_periodic(struct kvm_lapic *apic)
{
	return timer_mode(apic) == APIC_LVT_TIMER_PERIODIC;
}

static bool is_deadline(struct kvm_lapic *apic)
{
	return timer_mode(apic) == APIC_LVT_TIMER_TSCDEADLINE;
}

/**
 * kvm_lapic_bus_cycle_valid() - can the timer count with a bus clock like this
 * @ns: duration of a cycle
 *
 * Return: true when the longest count-down fits into 64 bits.
 */
bool kvm_lapic_bus_cycle_valid(u64 ns)
{
	return ns && ns <= U64_MAX / TIMER_MAX_DIVIDE / U32_MAX;
}

/* How long a count takes, in ns: at most 2^32, as kvm_lapic_bus_cycle_valid() sees to. */
static u64 count_ns(const struct kvm_lapic *apic)
{
	return apic->vcpu->kvm->arch.apic_bus_cycle_ns * apic->timer.divide;
}

/* @ns were counted with the divisor @old: as long as with @new */
static u64 rescale(u64 ns, u32 old, u32 new)
{
	return min_t(u64, div_u64(ns, old), TIMER_MAX_NS / new) * new;
}

/* TSC cycles beyond this are far enough for the host's timer: no product below overflows */
#define GUEST_TIMER_MAX		BIT_ULL(45)

/* From cycles of the guest's TSC to the host's, rounded up; false: too many. */
static bool to_host_cycles(const struct kvm_vcpu *vcpu, u64 *cycles)
{
	u64 ratio = vcpu->arch.tsc_scaling_ratio;
	u8 frac = kvm_be.tsc_scaling_frac_bits;

	if (*cycles > GUEST_TIMER_MAX)
		return false;
	if (!ratio)
		return true;
	if (ratio >> (frac - 16) == 0)
		return false;
	*cycles = mul_u64_u64_div_u64(*cycles, BIT_ULL(frac), ratio) + 1;
	return true;
}

/* How many cycles of the host's TSC from now until the timer is due; false: too far. */
static bool host_cycles_left(struct kvm_lapic *apic, u64 *cycles)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	u64 now, left;

	if (!is_deadline(apic)) {
		now = ktime_get_ns();
		left = apic->timer.target > now ? apic->timer.target - now : 0;
		if (left > GUEST_TIMER_MAX)
			return false;
		*cycles = mul_u64_u64_div_u64(left, kvm_host_tsc_khz(), NSEC_PER_MSEC_U64) + 1;
		return true;
	}
	now = kvm_read_guest_tsc(vcpu, rdtsc());
	*cycles = apic->timer.tscdeadline > now ? apic->timer.tscdeadline - now : 0;
	return to_host_cycles(vcpu, cycles);
}

/* Leave it to the hardware, if that can. */
static bool arm_guest_timer(struct kvm_lapic *apic)
{
	u64 cycles;

	/* in the deep sleep that MWAIT can ask for it may not count */
	if (!kvm_be.guest_timer ||
	    kvm_exit_disabled(apic->vcpu->kvm, KVM_X86_DISABLE_EXITS_MWAIT) ||
	    !host_cycles_left(apic, &cycles))
		return false;
	apic->vcpu->arch.timer_tsc = rdtsc() + cycles;
	return true;
}

static void arm_host_timer(struct kvm_lapic *apic)
{
	ktime_t early = is_deadline(apic) ? apic->timer.advance_ns : 0;

	hrtimer_start(&apic->timer.timer, apic->timer.target - early, HRTIMER_MODE_ABS_PINNED);
}

/* @target is set, nothing is armed */
static void arm(struct kvm_lapic *apic)
{
	if (!arm_guest_timer(apic))
		arm_host_timer(apic);
}

static void expired(struct kvm_lapic *apic)
{
	atomic_set(&apic->timer.pending, 1);
	kvm_make_request(KVM_REQ_UNBLOCK, apic->vcpu);
	kvm_vcpu_kick(apic->vcpu);
}

static enum hrtimer_restart timer_fires(struct hrtimer *data)
{
	struct kvm_lapic *apic = container_of(data, struct kvm_lapic, timer.timer);

	expired(apic);
	if (!is_periodic(apic) || !apic->timer.period)
		return HRTIMER_NORESTART;
	/* from when it was due, not from now: no drift; what was missed is lost */
	hrtimer_forward_now(data, ns_to_ktime(apic->timer.period));
	apic->timer.target = hrtimer_get_expires(data);
	return HRTIMER_RESTART;
}

/* A period is over: the next one's @target, as timer_fires() has it; false: there is none. */
static bool next_period(struct kvm_lapic *apic)
{
	u64 now = ktime_get_ns();

	if (!is_periodic(apic) || !apic->timer.period)
		return false;
	apic->timer.target += apic->timer.period;
	if (apic->timer.target <= now)
		apic->timer.target += div64_u64(now - apic->timer.target, apic->timer.period) *
				      apic->timer.period + apic->timer.period;
	return true;
}

/**
 * kvm_lapic_timer_init() - prepare the timer of a new APIC
 * @apic: the APIC
 */
void kvm_lapic_timer_init(struct kvm_lapic *apic)
{
	hrtimer_setup(&apic->timer.timer, timer_fires, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS);
	apic->timer.divide = 2;
	/* where the hardware has a timer, the host's is for vCPUs that wait */
	if (!kvm_be.guest_timer)
		apic->timer.advance_ns = clamp(READ_ONCE(lapic_timer_advance_ns), -1,
					       ADVANCE_MAX_NS);
	apic->timer.adapts = apic->timer.advance_ns < 0;
	if (apic->timer.adapts)
		apic->timer.advance_ns = ADVANCE_START_NS;
}

/**
 * kvm_lapic_timer_stop() - stop counting; the callback is not running after it
 * @apic: the APIC
 */
void kvm_lapic_timer_stop(struct kvm_lapic *apic)
{
	hrtimer_cancel(&apic->timer.timer);
	apic->vcpu->arch.timer_tsc = 0;
	apic->vcpu->arch.entry_tsc = 0;
}

/**
 * kvm_lapic_timer_reset() - stop, forget the deadline and what fired
 * @apic: the APIC
 */
void kvm_lapic_timer_reset(struct kvm_lapic *apic)
{
	kvm_lapic_timer_stop(apic);
	apic->timer.period = 0;
	apic->timer.target = 0;
	apic->timer.tscdeadline = 0;
	atomic_set(&apic->timer.pending, 0);
}

/**
 * kvm_lapic_timer_set_divide() - the divide configuration was written
 * @apic: the APIC
 *
 * What is left of a running count-down is kept in counts, so it ends sooner or
 * later than planned.
 */
void kvm_lapic_timer_set_divide(struct kvm_lapic *apic)
{
	u32 tdcr = kvm_lapic_reg(apic, APIC_TDCR);
	u32 shift = ((tdcr & 3) | (tdcr & 8) >> 1) + 1;
	u32 old = apic->timer.divide, new = 1u << (shift & 7);
	u64 now, left;

	apic->timer.divide = new;
	if (old == new || is_deadline(apic) || !apic->timer.period)
		return;

	kvm_lapic_timer_stop(apic);
	now = ktime_get_ns();
	left = apic->timer.target > now ? apic->timer.target - now : 0;
	apic->timer.period = rescale(apic->timer.period, old, new);
	if (!left)
		return;
	apic->timer.target = now + rescale(left, old, new);
	arm(apic);
}

static void start_deadline(struct kvm_lapic *apic)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	u64 deadline = apic->timer.tscdeadline, guest_tsc, ns;
	u32 khz = vcpu->arch.virtual_tsc_khz;
	unsigned long flags;
	u64 now;

	if (!deadline || !khz)
		return;
	local_irq_save(flags);
	now = ktime_get_ns();
	guest_tsc = kvm_read_guest_tsc(vcpu, rdtsc());
	local_irq_restore(flags);

	if (deadline <= guest_tsc) {
		apic->timer.target = now;
		expired(apic);
		return;
	}
	/* rounded up: the guest must not see an earlier TSC than it asked for */
	ns = mul_u64_u64_div_u64(deadline - guest_tsc, NSEC_PER_MSEC_U64, khz) + 1;
	ns = min_t(u64, ns, TIMER_MAX_NS);
	apic->timer.target = now + ns;
	if (ns <= apic->timer.advance_ns)
		expired(apic);
	else
		arm(apic);
}

/* Begin to count down @count, of a period of TMICT counts. */
static void start_count(struct kvm_lapic *apic, u32 count)
{
	u64 unit = count_ns(apic);
	u64 min_period = (u64)READ_ONCE(min_timer_period_us) * NSEC_PER_USEC;
	u64 first = min_t(u64, count * unit, TIMER_MAX_NS);

	apic->timer.period = min_t(u64, kvm_lapic_reg(apic, APIC_TMICT) * unit, TIMER_MAX_NS);
	apic->timer.target = 0;
	if (!apic->timer.period)
		return;
	if (is_periodic(apic) && apic->timer.period < min_period) {
		pr_info_ratelimited("kvm: vcpu %d: timer period of %llu ns is too short, using %llu\n",
				    apic->vcpu->vcpu_id, apic->timer.period, min_period);
		apic->timer.period = min_period;
		first = max(first, min_period);
	}
	apic->timer.target = ktime_get_ns() + first;
	arm(apic);
}

/**
 * kvm_lapic_timer_start() - the initial count or the deadline was written
 * @apic: the APIC
 */
void kvm_lapic_timer_start(struct kvm_lapic *apic)
{
	kvm_lapic_timer_stop(apic);
	atomic_set(&apic->timer.pending, 0);
	if (is_deadline(apic))
		start_deadline(apic);
	else
		start_count(apic, kvm_lapic_reg(apic, APIC_TMICT));
}

/**
 * kvm_lapic_timer_resume() - go on from the current count (KVM_SET_LAPIC)
 * @apic: the APIC
 */
void kvm_lapic_timer_resume(struct kvm_lapic *apic)
{
	u32 count = kvm_lapic_reg(apic, APIC_TMCCT);
	u32 initial = kvm_lapic_reg(apic, APIC_TMICT);

	kvm_lapic_timer_stop(apic);
	apic->timer.mode = timer_mode(apic);
	atomic_set(&apic->timer.pending, 0);
	if (is_deadline(apic)) {
		start_deadline(apic);
	} else if (count || is_periodic(apic)) {
		start_count(apic, count && count <= initial ? count : initial);
	} else {
		apic->timer.period = 0;
		apic->timer.target = 0;
	}
}

/**
 * kvm_lapic_timer_mode_changed() - LVTT was written
 * @apic: the APIC
 *
 * SDM 11.5.4.1: changing to or from deadline mode disarms the timer.
 */
void kvm_lapic_timer_mode_changed(struct kvm_lapic *apic)
{
	u32 was = apic->timer.mode, is = timer_mode(apic);

	if (was == is)
		return;
	apic->timer.mode = is;
	if (was == APIC_LVT_TIMER_TSCDEADLINE || is == APIC_LVT_TIMER_TSCDEADLINE) {
		kvm_lapic_timer_reset(apic);
		kvm_lapic_set_reg(apic, APIC_TMICT, 0);
	}
}

/**
 * kvm_lapic_timer_count() - what is left to count
 * @apic: the APIC
 */
u32 kvm_lapic_timer_count(struct kvm_lapic *apic)
{
	u64 unit = count_ns(apic);
	u64 now, target = apic->timer.target, left;

	if (is_deadline(apic) || !apic->timer.period || !target)
		return 0;
	now = ktime_get_ns();
	if (now < target) {
		left = target - now;
	} else if (is_periodic(apic)) {
		/* the callback has not come yet */
		div64_u64_rem(now - target, apic->timer.period, &left);
		left = apic->timer.period - left;
	} else {
		return 0;
	}
	return min_t(u64, div64_u64(left, unit), U32_MAX);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_timer_count);

/**
 * kvm_lapic_get_tscdeadline() - RDMSR of IA32_TSC_DEADLINE
 * @vcpu: the vCPU
 * @data: filled; 0 when it is not armed
 *
 * Return: 0.
 */
int kvm_lapic_get_tscdeadline(struct kvm_vcpu *vcpu, u64 *data)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	*data = apic && is_deadline(apic) ? apic->timer.tscdeadline : 0;
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_get_tscdeadline);

/**
 * kvm_lapic_set_tscdeadline() - WRMSR of IA32_TSC_DEADLINE
 * @vcpu: the vCPU
 * @data: guest TSC; 0 disarms; ignored in another mode
 */
void kvm_lapic_set_tscdeadline(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	if (!apic || !is_deadline(apic))
		return;
	kvm_lapic_timer_stop(apic);
	apic->timer.tscdeadline = data;
	kvm_lapic_timer_start(apic);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_set_tscdeadline);

/**
 * kvm_lapic_has_pending_timer() - has it fired, undelivered
 * @vcpu: the vCPU
 */
bool kvm_lapic_has_pending_timer(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	return atomic_read(&apic->timer.pending) &&
	       !(kvm_lapic_reg(apic, APIC_LVTT) & APIC_LVT_MASKED) &&
	       kvm_lapic_enabled(vcpu);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_has_pending_timer);

/**
 * kvm_lapic_timer_save() - the present moment of the timer, for KVM_GET_LAPIC
 * @apic: the APIC, in its vCPU's thread
 *
 * What has ended is delivered, so that IRR has it and whoever loads the state need not
 * guess. Not a deadline: as long as it is undelivered its MSR says so, which user space
 * saves, too, before or after this.
 *
 * Return: the current count.
 */
u32 kvm_lapic_timer_save(struct kvm_lapic *apic)
{
	bool armed;
	u32 count;

	if (is_deadline(apic))
		return 0;
	/* with the timer at rest, ended and counted cannot both be true, nor neither */
	armed = hrtimer_cancel(&apic->timer.timer) || apic->vcpu->arch.timer_tsc;
	apic->vcpu->arch.timer_tsc = 0;
	if (armed && ktime_get_ns() >= apic->timer.target) {
		atomic_set(&apic->timer.pending, 1);
		armed = next_period(apic);
	}
	kvm_lapic_inject_timer_irqs(apic->vcpu);
	/* before it counts on: it may end, which is no longer part of this state */
	count = armed ? max(kvm_lapic_timer_count(apic), 1u) : 0;
	if (armed)
		arm(apic);
	return count;
}

/* The deadline in terms of the host's TSC, if it is about now. */
static void note_deadline(struct kvm_lapic *apic)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	u64 tsc = rdtsc(), cycles;
	s64 left = apic->timer.tscdeadline - kvm_read_guest_tsc(vcpu, tsc);
	s64 limit = mul_u64_u32_div(kvm_host_tsc_khz(), 2 * ADVANCE_MAX_NS, NSEC_PER_MSEC);

	if (left > 0) {
		cycles = left;
		if (!to_host_cycles(vcpu, &cycles))
			return;
		left = cycles;
	}
	/* the guest's TSC may have been set meanwhile: nothing is waited for that long */
	if (abs(left) < limit)
		vcpu->arch.entry_tsc = tsc + left;
}

/**
 * kvm_lapic_wait_deadline() - enter the guest no earlier than its timer is due
 * @vcpu: the vCPU, about to be entered, with arch.entry_tsc; interrupts off
 *
 * How long it waits, or is late, tells whether the next timer is armed earlier or later.
 */
void kvm_lapic_wait_deadline(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 vector = kvm_lapic_reg(apic, APIC_LVTT) & APIC_VECTOR_MASK;
	s64 late = rdtsc() - vcpu->arch.entry_tsc, ns;

	/* an interrupt that the guest does not take yet waits with it */
	if (!apic->hw_delivers &&
	    !(vcpu->arch.interrupt.injected && vcpu->arch.interrupt.vector == vector))
		return;
	while ((s64)(rdtsc() - vcpu->arch.entry_tsc) < 0)
		cpu_relax();
	vcpu->arch.entry_tsc = 0;
	if (!apic->timer.adapts)
		return;
	ns = div_s64(late * 1000, (s32)(kvm_host_tsc_khz() / 1000) ?: 1);
	/* it was something else that took so long */
	if (abs(ns) <= 2 * ADVANCE_MAX_NS)
		apic->timer.advance_ns = clamp_t(s64, apic->timer.advance_ns + ns / 8, 0,
						 ADVANCE_MAX_NS);
}
EXPORT_SYMBOL_GPL(kvm_lapic_wait_deadline);

/**
 * kvm_lapic_inject_timer_irqs() - deliver LVTT if it has
 * @vcpu: the vCPU, in its thread
 */
void kvm_lapic_inject_timer_irqs(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	if (!apic || !atomic_read(&apic->timer.pending))
		return;
	atomic_set(&apic->timer.pending, 0);
	if (kvm_lapic_local_deliver(apic, APIC_LVTT) && is_deadline(apic) &&
	    apic->timer.advance_ns)
		note_deadline(apic);
	if (is_deadline(apic))
		apic->timer.tscdeadline = 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_inject_timer_irqs);

/**
 * kvm_lapic_timer_hw_fires() - the hardware's timer ended the guest
 * @vcpu: the vCPU, in its thread
 */
void kvm_lapic_timer_hw_fires(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	/* a far one comes in several steps */
	if (!vcpu->arch.timer_tsc || rdtsc() < vcpu->arch.timer_tsc)
		return;
	vcpu->arch.timer_tsc = 0;
	atomic_set(&apic->timer.pending, 1);
	if (next_period(apic))
		arm(apic);
}

/**
 * kvm_lapic_timer_to_host() - the vCPU is about to wait: its timer must wake it
 * @vcpu: the vCPU, in its thread
 */
void kvm_lapic_timer_to_host(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	if (!vcpu->arch.timer_tsc)
		return;
	vcpu->arch.timer_tsc = 0;
	arm_host_timer(apic);
}

/**
 * kvm_lapic_timer_to_guest() - it has waited, and will run
 * @vcpu: the vCPU, in its thread
 */
void kvm_lapic_timer_to_guest(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	/* one that has fired stays as it is, and goes on by itself if it is periodic */
	if (kvm_be.guest_timer && apic && hrtimer_cancel(&apic->timer.timer))
		arm(apic);
}

/**
 * kvm_lapic_vcpu_load() - the vCPU came to this CPU: so does its timer
 * @vcpu: the vCPU; preemption off
 */
void kvm_lapic_vcpu_load(struct kvm_vcpu *vcpu)
{
	struct hrtimer *timer = &vcpu->arch.apic->timer.timer;

	if (vcpu->cpu == smp_processor_id() || vcpu->cpu < 0)
		return;
	if (hrtimer_cancel(timer))
		hrtimer_start_expires(timer, HRTIMER_MODE_ABS_PINNED);
}
