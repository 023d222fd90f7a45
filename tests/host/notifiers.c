// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the branch for preempt notifiers switched on in QEMU's hosts, so that KVM, which
 * switches it with its first VM or its loading, does not rewrite finish_task_switch() while
 * other CPUs are in it: QEMU 7.2 can keep the breakpoint that stands there meanwhile
 * (docs/emulator-faults.md).
 */
#include <linux/module.h>
#include <linux/preempt.h>

static int __init notifiers_init(void)
{
	preempt_notifier_inc();
	return 0;
}
module_init(notifiers_init);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Keeps preempt notifiers switched on");
MODULE_LICENSE("GPL");
