// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the branch for preempt notifiers switched on in QEMU's hosts, so that KVM, which
 * switches it with its first VM or its loading, does not rewrite finish_task_switch() while
 * other CPUs are in it: QEMU 7.2 can keep the breakpoint that stands there meanwhile
 * (docs/emulator-faults.md). The same could happen when it is switched here, so the other
 * CPUs change no tasks meanwhile: each is held in a work item, with interrupts on, as the
 * rewriting CPU sends some.
 */
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/workqueue.h>

static DEFINE_PER_CPU(struct work_struct, hold);
static atomic_t held;
static bool done;

static void hold_cpu(struct work_struct *work)
{
	preempt_disable();
	atomic_inc(&held);
	while (!READ_ONCE(done))
		cpu_relax();
	preempt_enable();
}

static int __init notifiers_init(void)
{
	int cpu, here, others = 0;

	migrate_disable();
	here = smp_processor_id();
	for_each_online_cpu(cpu) {
		if (cpu == here)
			continue;
		INIT_WORK(per_cpu_ptr(&hold, cpu), hold_cpu);
		schedule_work_on(cpu, per_cpu_ptr(&hold, cpu));
		others++;
	}
	while (atomic_read(&held) < others)
		cond_resched();

	preempt_notifier_inc();

	WRITE_ONCE(done, true);
	for_each_online_cpu(cpu)
		if (cpu != here)
			flush_work(per_cpu_ptr(&hold, cpu));
	migrate_enable();
	return 0;
}
module_init(notifiers_init);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Keeps preempt notifiers switched on");
MODULE_LICENSE("GPL");
