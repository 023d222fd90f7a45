// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps two branches switched on in QEMU's hosts, so that the kernel does not rewrite code
 * while other CPUs are in it: QEMU 7.2 can keep the breakpoint that stands there meanwhile
 * (docs/emulator-faults.md). One is for preempt notifiers, which KVM switches with its first
 * VM or its loading, in finish_task_switch(). The other is for the freezer, which a suspend
 * switches, in get_signal(), to which it calls all tasks at once. The same could happen when
 * they are switched here, so the other CPUs change no tasks meanwhile: each is held in a work
 * item, with interrupts on, as the rewriting CPU sends some.
 */
#include <linux/cpu.h>
#include <linux/freezer.h>
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
	static_branch_inc(&freezer_active);

	WRITE_ONCE(done, true);
	for_each_online_cpu(cpu)
		if (cpu != here)
			flush_work(per_cpu_ptr(&hold, cpu));
	migrate_enable();
	return 0;
}
module_init(notifiers_init);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Keeps branches of preempt notifiers and the freezer switched on");
MODULE_LICENSE("GPL");
