// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiles where a workqueue is said to be bound to a CPU, and the kernel's own
 * that is not has its newer name.
 */
#include <linux/workqueue.h>

void probe(void);
void probe(void)
{
	system_dfl_wq = alloc_workqueue("probe", WQ_PERCPU, 0);
}
