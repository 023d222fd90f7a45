// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiles where what irq_set_vcpu_affinity() is given for Intel's IOMMU has its
 * newer name.
 */
#include <asm/irq_remapping.h>

void probe(void);
void probe(void)
{
	struct intel_iommu_pi_data data = { .vector = 32 };

	(void)data;
}
