// SPDX-License-Identifier: GPL-2.0-only
/* The VMCS is not touched more than an exit needs. Counted by a module built with KVM_OOT_DEBUG. */
#include "bench.h"
#include "st.h"

#define READS	"/sys/kernel/debug/kvm_intel/vmreads"
#define WRITES	"/sys/kernel/debug/kvm_intel/vmwrites"

/* All accesses while a guest executes CPUID n times. */
static void count(uint64_t n, uint64_t *reads, uint64_t *writes)
{
	struct vm *vm = vm_new(4 << 20, VM_IRQCHIP);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, bench);
	vcpu_start(v, BENCH_CPUID, n, 0);
	vcpu_expect_sync(v, 1);
	*reads = st_counter(READS);
	*writes = st_counter(WRITES);
	vcpu_expect_done(v);
	*reads = st_counter(READS) - *reads;
	*writes = st_counter(WRITES) - *writes;
	vm_free(vm);
}

static void cpuid_exit(void)
{
	uint64_t reads, writes, more_reads, more_writes, n = 1000;

	count(n, &reads, &writes);
	count(2 * n, &more_reads, &more_writes);
	reads = more_reads - reads;
	writes = more_writes - writes;
	st_note("a CPUID exit: %llu.%02llu VMREAD, %llu.%02llu VMWRITE",
		(unsigned long long)(reads / n), (unsigned long long)(reads % n / 10),
		(unsigned long long)(writes / n), (unsigned long long)(writes % n / 10));
	/* one at least: else nothing was counted */
	CHECK(reads >= n && reads <= 10 * n);
	CHECK(writes >= n && writes <= 6 * n);
}

static const struct st_test tests[] = {
	{ "cpuid_exit", cpuid_exit },
	{ }
};

ST_MAIN("vmcs", tests)
