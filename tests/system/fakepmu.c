// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays a PMU, for tests/system/pmu: neither emulator's CPUs have one. A PMU of perf's
 * whose events, whatever they are called, count ticks of the TSC while they are on the
 * CPU; a timer plays the interrupt when a period is over. perf's function that tells
 * hypervisors what there is says: version 2, four general and three fixed counters of 48
 * bits; on AMD's CPUs six. On Intel's, perf wants an MSR switched at entry and exit, too:
 * TSC_AUX, as if it were a PMU's. Whether the host has its own again is looked at here.
 *
 * To be loaded before kvm.ko. Guest and host are not told apart.
 */
#include <linux/hrtimer.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/perf_event.h>
#include <asm/irq_regs.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tsc.h>

static bool pdcm;
module_param(pdcm, bool, 0444);
MODULE_PARM_DESC(pdcm, "The CPU has IA32_PERF_CAPABILITIES; nothing may read it");

/* ---- events ----------------------------------------------------------------------- */

/* Count up to now; is the period over? */
static bool count(struct perf_event *event)
{
	struct hw_perf_event *hw = &event->hw;
	u64 now = rdtsc(), ticks = now - local64_xchg(&hw->prev_count, now);

	local64_add(ticks, &event->count);
	if (!hw->sample_period)
		return false;
	local64_sub(ticks, &hw->period_left);
	if ((s64)local64_read(&hw->period_left) > 0)
		return false;
	/* once, however many have gone by */
	local64_set(&hw->period_left, hw->sample_period);
	return true;
}

static ktime_t until_over(const struct perf_event *event)
{
	u64 ticks = min_t(u64, local64_read(&event->hw.period_left), 1ull << 40);

	return ns_to_ktime(max(mul_u64_u32_div(ticks, 1000000, tsc_khz), 1000ull));
}

static enum hrtimer_restart expired(struct hrtimer *timer)
{
	struct perf_event *event = container_of(timer, struct perf_event, hw.hrtimer);
	struct pt_regs *regs = get_irq_regs();
	struct perf_sample_data data;

	if (event->state != PERF_EVENT_STATE_ACTIVE)
		return HRTIMER_NORESTART;
	if (count(event) && regs && event->overflow_handler) {
		perf_sample_data_init(&data, 0, event->hw.last_period);
		/* perf's own function is not for modules */
		event->overflow_handler(event, &data, regs);
	}
	hrtimer_forward_now(timer, until_over(event));
	return HRTIMER_RESTART;
}

static void start(struct perf_event *event, int flags)
{
	struct hw_perf_event *hw = &event->hw;

	hw->state = 0;
	local64_set(&hw->prev_count, rdtsc());
	if (!hw->sample_period)
		return;
	hw->last_period = hw->sample_period;
	if ((s64)local64_read(&hw->period_left) <= 0)
		local64_set(&hw->period_left, hw->sample_period);
	hrtimer_start(&hw->hrtimer, until_over(event), HRTIMER_MODE_REL_PINNED_HARD);
}

static void stop(struct perf_event *event, int flags)
{
	if (event->hw.state & PERF_HES_STOPPED)
		return;
	hrtimer_cancel(&event->hw.hrtimer);
	count(event);
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
}

static int add(struct perf_event *event, int flags)
{
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
	if (flags & PERF_EF_START)
		start(event, PERF_EF_RELOAD);
	return 0;
}

static void del(struct perf_event *event, int flags)
{
	stop(event, PERF_EF_UPDATE);
}

static void read_event(struct perf_event *event)
{
	if (!(event->hw.state & PERF_HES_STOPPED) && count(event))
		local64_set(&event->hw.period_left, 1);	/* the timer says so */
}

static int event_init(struct perf_event *event)
{
	if (event->attr.type != PERF_TYPE_RAW && event->attr.type != PERF_TYPE_HARDWARE)
		return -ENOENT;
	/* the tests want some that no CPU has: this one, and any with a counter mask */
	if (event->attr.type == PERF_TYPE_RAW &&
	    ((event->attr.config & 0xff) == 0xff ||
	     event->attr.config & ARCH_PERFMON_EVENTSEL_CMASK))
		return -EINVAL;
	hrtimer_init(&event->hw.hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	event->hw.hrtimer.function = expired;
	return 0;
}

static struct pmu pmu = {
	.module		= THIS_MODULE,
	.task_ctx_nr	= perf_hw_context,
	.event_init	= event_init,
	.add		= add,
	.del		= del,
	.start		= start,
	.stop		= stop,
	.read		= read_event,
};

/* ---- what there is ------------------------------------------------------------------- */

static bool amd;

static int called(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	*(void **)ri->data = (void *)regs->di;
	return 0;
}

static int returns(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct x86_pmu_capability *cap = *(void **)ri->data;

	cap->version = amd ? 0 : 2;
	cap->num_counters_gp = amd ? 6 : 4;
	cap->num_counters_fixed = amd ? 0 : 3;
	cap->bit_width_gp = 48;
	cap->bit_width_fixed = amd ? 0 : 48;
	cap->events_mask = 0;
	cap->events_mask_len = 7;
	return 0;
}

static struct kretprobe probe = {
	.kp.symbol_name	= "perf_get_x86_pmu_capability",
	.entry_handler	= called,
	.handler	= returns,
	.data_size	= sizeof(void *),
};

/* ---- what is switched ------------------------------------------------------------- */

#define IN_GUEST	0x5a5a

static struct perf_guest_switch_msr switched;

static int wants_returns(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	u64 aux;

	rdmsrl(MSR_TSC_AUX, aux);
	WARN_ONCE(aux == IN_GUEST, "fakepmu: the host has the guest's value");
	switched = (struct perf_guest_switch_msr) {
		.msr = MSR_TSC_AUX, .host = aux, .guest = IN_GUEST };
	**(int **)ri->data = 1;
	regs->ax = (unsigned long)&switched;
	return 0;
}

static struct kretprobe wants = {
	.kp.symbol_name	= "perf_guest_get_msrs",
	.entry_handler	= called,
	.handler	= wants_returns,
	.data_size	= sizeof(void *),
};

static int __init fakepmu_init(void)
{
	int r = perf_pmu_register(&pmu, "cpu", PERF_TYPE_RAW);

	if (r)
		return r;
	amd = boot_cpu_data.x86_vendor == X86_VENDOR_AMD;
	r = register_kretprobe(&probe);
	if (r)
		goto out_pmu;
	if (!amd) {
		r = register_kretprobe(&wants);
		if (r)
			goto out_probe;
	}
	if (amd)
		set_cpu_cap(&boot_cpu_data, X86_FEATURE_PERFCTR_CORE);
	else
		set_cpu_cap(&boot_cpu_data, X86_FEATURE_ARCH_PERFMON);
	if (pdcm)
		set_cpu_cap(&boot_cpu_data, X86_FEATURE_PDCM);
	return 0;

out_probe:
	unregister_kretprobe(&probe);
out_pmu:
	perf_pmu_unregister(&pmu);
	return r;
}
module_init(fakepmu_init);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Pretends that the CPU has performance counters");
MODULE_LICENSE("GPL");
