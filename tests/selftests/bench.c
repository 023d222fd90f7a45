// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a round trip costs: each operation in a guest of its own, the median of
 * its samples, less that of no operation at all. tests/bench/run makes the table
 * from the lines "# bench NAME TICKS"; a tick is an instruction there (--count).
 */
#include "bench.h"
#include "st.h"

static struct vcpu *start(int op, uint64_t n, size_t mem)
{
	struct vm *vm = vm_new(mem, VM_IRQCHIP);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, bench);
	vcpu_start(v, op, n, 0);
	return v;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(struct vcpu *v, uint64_t n)
{
	uint64_t *samples = vm_ptr(v->vm, BENCH_SAMPLES);

	qsort(samples, n, sizeof(*samples), by_size);
	return samples[n / 2];
}

/* Runs until the payload is done; every exit but its report is the operation's. */
static uint64_t run(struct vcpu *v, uint64_t n, uint32_t reason)
{
	struct report rep;
	uint64_t exits = 0;

	while (ioctl(v->fd, KVM_RUN, 0UL) == 0 && v->run->exit_reason == reason &&
	       !(reason == KVM_EXIT_IO && v->run->io.port == REPORT_PORT))
		exits++;
	CHECK(vcpu_is_report(v, &rep));
	CHECK_EQ(rep.kind, REPORT_DONE);
	CHECK_EQ(exits, reason ? n : 0);
	return median(v, n);
}

static uint64_t nothing(void)
{
	struct vcpu *v = start(BENCH_NOTHING, 100, 4 << 20);

	vcpu_expect_sync(v, 1);
	return run(v, 100, 0);
}

static void measure(const char *name, int op, uint32_t reason)
{
	struct vcpu *v = start(op, BENCH_MAX, 4 << 20);

	vcpu_expect_sync(v, 1);
	st_note("bench %s %llu", name,
		(unsigned long long)(run(v, BENCH_MAX, reason) - nothing()));
}

static void cpuid(void)
{
	measure("cpuid", BENCH_CPUID, 0);
}

static void rdmsr(void)
{
	measure("rdmsr", BENCH_RDMSR, 0);
}

static void wrmsr(void)
{
	measure("wrmsr", BENCH_WRMSR, 0);
}

static bool is_intel(void)
{
	struct kvm_cpuid2 *c = kvm_supported_cpuid(kvm_open());
	unsigned int i;

	for (i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0)
			return c->entries[i].ecx == 0x6c65746e;	/* "ntel" */
	return false;
}

static void hypercall(void)
{
	measure("hypercall", is_intel() ? BENCH_VMCALL : BENCH_VMMCALL, 0);
}

static void port_out(void)
{
	measure("port_out", BENCH_OUT, KVM_EXIT_IO);
}

static void port_in(void)
{
	measure("port_in", BENCH_IN, KVM_EXIT_IO);
}

static void mmio_write(void)
{
	measure("mmio_write", BENCH_MMIO_WRITE, KVM_EXIT_MMIO);
}

static void mmio_read(void)
{
	measure("mmio_read", BENCH_MMIO_READ, KVM_EXIT_MMIO);
}

/* First touch of guest memory whose host memory is there already, or is not. */
static void touch(const char *name, int op, uint64_t n, size_t page, int advice, bool present)
{
	struct vcpu *v = start(op, n, BENCH_SAMPLES + (2 << 20));
	size_t size = n * page, align = 2 << 20, i;
	uint8_t *p = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	p += -(uintptr_t)p & (align - 1);
	OK(madvise(p, size, advice));
	for (i = 0; present && i < size; i += page)
		WRITE_ONCE(p[i], 1);
	vm_set_slot(v->vm, 1, BENCH_MEMORY, size, p, 0);
	vcpu_expect_sync(v, 1);
	st_note("bench %s %llu", name, (unsigned long long)(run(v, n, 0) - nothing()));
}

static void touch_4k(void)
{
	touch("touch_4k", BENCH_TOUCH_4K, BENCH_MAX, 4096, MADV_NOHUGEPAGE, true);
}

static void touch_4k_new(void)
{
	touch("touch_4k_new", BENCH_TOUCH_4K, BENCH_MAX, 4096, MADV_NOHUGEPAGE, false);
}

static void touch_2m(void)
{
	touch("touch_2m", BENCH_TOUCH_2M, 100, 2 << 20, MADV_HUGEPAGE, true);
}

static const struct st_test tests[] = {
	{ "cpuid", cpuid },
	{ "rdmsr", rdmsr },
	{ "wrmsr", wrmsr },
	{ "hypercall", hypercall },
	{ "port_out", port_out },
	{ "port_in", port_in },
	{ "mmio_write", mmio_write },
	{ "mmio_read", mmio_read },
	{ "touch_4k", touch_4k },
	{ "touch_4k_new", touch_4k_new },
	{ "touch_2m", touch_2m },
	{ }
};

ST_MAIN("bench", tests)
