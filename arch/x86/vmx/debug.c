// SPDX-License-Identifier: GPL-2.0-only
/*
 * How often the VMCS is read and written, for the test that limits it: built with
 * KVM_OOT_DEBUG only. debugfs has kvm_intel/vmreads and kvm_intel/vmwrites, the sums
 * over all CPUs. entry.S writes HOST_RSP by itself when the stack has moved, which is
 * not counted.
 */
#include <linux/debugfs.h>
#include <linux/percpu.h>

#include "arch/x86/vmx/vmx.h"

DEFINE_PER_CPU(struct vmx_accesses, vmx_accesses);
static struct dentry *dir;

/* @offset: of the counter in struct vmx_accesses */
static int sum_get(void *offset, u64 *val)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		void *counters = per_cpu_ptr(&vmx_accesses, cpu);

		sum += *(u64 *)(counters + (unsigned long)offset);
	}
	*val = sum;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(sum_fops, sum_get, NULL, "%llu\n");

/**
 * vmx_debug_init() - make the files
 */
void vmx_debug_init(void)
{
	dir = debugfs_create_dir("kvm_intel", NULL);
	debugfs_create_file_unsafe("vmreads", 0444, dir,
				   (void *)offsetof(struct vmx_accesses, reads), &sum_fops);
	debugfs_create_file_unsafe("vmwrites", 0444, dir,
				   (void *)offsetof(struct vmx_accesses, writes), &sum_fops);
}

/**
 * vmx_debug_exit() - remove them
 */
void vmx_debug_exit(void)
{
	debugfs_remove(dir);
}
