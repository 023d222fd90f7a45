// SPDX-License-Identifier: GPL-2.0-only
/* Is the clearing of buffers for MMIO stale data a key of its own, or part of VM_CLEAR_CPU_BUFFERS? */
#include <asm/nospec-branch.h>

void probe(void);
void probe(void)
{
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
}
