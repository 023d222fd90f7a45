// SPDX-License-Identifier: GPL-2.0-only
/* Compiles where a key of its own says whether to clear buffers for MMIO stale data. */
#include <asm/nospec-branch.h>

void probe(void);
void probe(void)
{
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
}
