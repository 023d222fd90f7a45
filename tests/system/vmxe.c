// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows on which CPUs VMX is enabled, for tests/system/handover: the parameter
 * "cpus" reads as one digit for each CPU that is there, its CR4.VMXE. No program
 * can see that bit.
 */
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>

static void look(void *set)
{
	*(bool *)set = __read_cr4() & X86_CR4_VMXE;
}

static int cpus_get(char *buf, const struct kernel_param *kp)
{
	int cpu, n = 0;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		bool set = false;

		smp_call_function_single(cpu, look, &set, 1);
		buf[n++] = set ? '1' : '0';
	}
	cpus_read_unlock();
	buf[n++] = '\n';
	return n;
}

static const struct kernel_param_ops cpus_ops = { .get = cpus_get };

module_param_cb(cpus, &cpus_ops, NULL, 0444);
MODULE_PARM_DESC(cpus, "CR4.VMXE of each CPU that is there");

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Shows on which CPUs VMX is enabled");
MODULE_LICENSE("GPL");
