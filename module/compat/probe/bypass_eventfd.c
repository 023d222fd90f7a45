// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compiles where producers and consumers of interrupts are matched by an eventfd
 * that the registration is given.
 */
#include <linux/irqbypass.h>

int probe(struct irq_bypass_consumer *consumer, struct eventfd_ctx *ctx);
int probe(struct irq_bypass_consumer *consumer, struct eventfd_ctx *ctx)
{
	return irq_bypass_register_consumer(consumer, ctx);
}
