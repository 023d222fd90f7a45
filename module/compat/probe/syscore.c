// SPDX-License-Identifier: GPL-2.0-only
/*
 * Never linked: compiles where the callbacks of suspend and resume take an
 * argument. Stable updates of 6.12 differ in this.
 */
#include <linux/syscore_ops.h>

static int probe_suspend(void *data)
{
	return data ? 0 : 1;
}

static const struct syscore_ops probe_ops = { .suspend = probe_suspend };
static struct syscore probe = { .ops = &probe_ops };

static int __used probe_register(void)
{
	register_syscore(&probe);
	return 0;
}
