// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a round trip costs: each operation in a guest of its own, the median of
 * its samples, less that of no operation at all. tests/bench/run makes the table
 * from the lines "# bench NAME TICKS"; a tick is an instruction there (--count).
 */
#include <pthread.h>
#include <sys/eventfd.h>

#include "bench.h"
#include "st.h"

static void report(const char *name, uint64_t ticks)
{
	st_note("bench %s %llu", name, (unsigned long long)ticks);
}

static void *some_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static struct vcpu *start(int op, uint64_t n, size_t mem)
{
	struct vm *vm = vm_new(mem, VM_IRQCHIP);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, bench);
	vcpu_start(v, op, n, 0);
	return v;
}

static uint64_t ticks(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *samples, uint64_t n)
{
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
	return median(vm_ptr(v->vm, BENCH_SAMPLES), n);
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
	report(name, run(v, BENCH_MAX, reason) - nothing());
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

static void hypercall(void)
{
	measure("hypercall", host_is_intel() ? BENCH_VMCALL : BENCH_VMMCALL, 0);
}

static void switch_spaces(void)
{
	measure("switch_spaces", BENCH_SWITCH, 0);
}

static void remap(void)
{
	measure("remap", BENCH_REMAP, 0);
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

/* ---- interrupts ------------------------------------------------------------------- */

#define INTERRUPTS	500

static void interrupt(const char *name, int op)
{
	struct vcpu *v = start(op, INTERRUPTS, 4 << 20);

	vcpu_expect_sync(v, 1);
	report(name, run(v, INTERRUPTS, 0));
}

static void eoi(void)
{
	interrupt("eoi", BENCH_EOI);
}

static void eoi_mmio(void)
{
	interrupt("eoi_mmio", BENCH_EOI_MMIO);
}

static void ipi_self(void)
{
	interrupt("ipi_self", BENCH_IPI_SELF);
}

static void timer(void)
{
	interrupt("timer", BENCH_TIMER);
}

static void timer_late(void)
{
	interrupt("timer_late", BENCH_TIMER_LATE);
}

static void *answer(void *vcpu)
{
	run(vcpu, INTERRUPTS, 0);
	return NULL;
}

static void ipi(void)
{
	struct vcpu *v = start(BENCH_IPI, INTERRUPTS, 4 << 20), *other = vm_add_vcpu(v->vm, 1);
	pthread_t thread;

	vcpu_start(other, BENCH_IPI, INTERRUPTS, 1);
	vcpu_make_runnable(other);
	vcpu_expect_sync(v, 1);
	vcpu_expect_sync(other, 1);
	CHECK(!pthread_create(&thread, NULL, answer, other));
	report("ipi", run(v, INTERRUPTS, 0));
	pthread_join(thread, NULL);
}

/* From the write to the eventfd to the guest's handler, system call and entry included. */
static void irqfd(void)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e;
	} routes = {
		.head.nr = 1,
		.e = { .gsi = 24, .type = KVM_IRQ_ROUTING_MSI,
		       .u.msi = { .address_lo = 0xfee00000, .data = BENCH_VECTOR } },
	};
	struct vcpu *v = start(BENCH_IRQFD, INTERRUPTS, 4 << 20);
	uint64_t *taken = vm_ptr(v->vm, BENCH_TAKEN), samples[INTERRUPTS], t, one = 1;
	struct kvm_irqfd args = { .fd = OK(eventfd(0, EFD_NONBLOCK)), .gsi = 24 };
	uint64_t offset;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };
	unsigned int i;

	OK(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, &routes));
	OK(ioctl(v->vm->fd, KVM_IRQFD, &args));
	vcpu_expect_sync(v, 1);
	vcpu_expect_exit(v, KVM_EXIT_IO);
	OK(ioctl(v->fd, KVM_GET_DEVICE_ATTR, &attr));
	for (i = 0; i < INTERRUPTS; i++) {
		t = ticks() + offset;
		CHECK_EQ(write(args.fd, &one, sizeof(one)), sizeof(one));
		OK(ioctl(v->fd, KVM_RUN, 0UL));
		CHECK_EQ(v->run->exit_reason, KVM_EXIT_IO);
		samples[i] = *taken - t;
	}
	report("irqfd", median(samples, INTERRUPTS));
}

static void ioeventfd(const char *name, int op, struct kvm_ioeventfd args)
{
	struct vcpu *v = start(op, BENCH_MAX, 4 << 20);
	uint64_t count;

	args.fd = OK(eventfd(0, EFD_NONBLOCK));
	OK(ioctl(v->vm->fd, KVM_IOEVENTFD, &args));
	vcpu_expect_sync(v, 1);
	report(name, run(v, BENCH_MAX, 0) - nothing());
	CHECK_EQ(read(args.fd, &count, sizeof(count)), sizeof(count));
	CHECK_EQ(count, BENCH_MAX);
}

/* as virtio devices have them: any write to an address; a queue's number to a port */
static void ioeventfds(void)
{
	ioeventfd("ioeventfd_mmio", BENCH_IOEVENTFD_MMIO, (struct kvm_ioeventfd) {
		  .addr = MMIO_BASE });
	ioeventfd("ioeventfd_pio", BENCH_IOEVENTFD_PIO, (struct kvm_ioeventfd) {
		  .addr = PIO_BASE, .len = 2,
		  .flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH });
}

/* First touch of guest memory whose host memory is there already, or is not. */
static void touch(const char *name, int op, uint64_t n, size_t page, int advice, bool present)
{
	struct vcpu *v = start(op, n, BENCH_SAMPLES + (2 << 20));
	size_t size = n * page, align = 2 << 20, i;
	uint8_t *p = some_memory(size + align);

	p += -(uintptr_t)p & (align - 1);
	OK(madvise(p, size, advice));
	for (i = 0; present && i < size; i += page)
		WRITE_ONCE(p[i], 1);
	vm_set_slot(v->vm, 1, BENCH_MEMORY, size, p, 0);
	vcpu_expect_sync(v, 1);
	report(name, run(v, n, 0) - nothing());
}

static void touch_4k(void)
{
	touch("touch_4k", BENCH_TOUCH_4K, BENCH_MAX, 4096, MADV_NOHUGEPAGE, true);
}

static void touch_4k_new(void)
{
	touch("touch_4k_new", BENCH_TOUCH_4K, BENCH_MAX, 4096, MADV_NOHUGEPAGE, false);
}

/* Page tables for 1 GiB in pages of 4 KiB, by those for 16 MiB. */
static void tables(void)
{
	struct vcpu *v = start(BENCH_TOUCH_4K, BENCH_MAX, BENCH_SAMPLES + (2 << 20));
	size_t size = BENCH_MAX * 4096;
	void *p = some_memory(size);
	long before;

	OK(madvise(p, size, MADV_NOHUGEPAGE));
	vm_set_slot(v->vm, 1, BENCH_MEMORY, size, p, 0);
	vcpu_expect_sync(v, 1);
	before = st_table_memory();
	run(v, BENCH_MAX, 0);
	report("tables", (st_table_memory() - before) * 1024 * ((1ul << 30) / size));
}

static void touch_2m(void)
{
	touch("touch_2m", BENCH_TOUCH_2M, 100, 2 << 20, MADV_HUGEPAGE, true);
}

/* ---- memory slots, from outside: with what the C library and a system call cost ---- */

#define TIMES	101

#define EACH_TIME(samples, before, operation) do {			\
	unsigned int k;							\
	uint64_t t;							\
									\
	for (k = 0; k < TIMES; k++) {					\
		before;							\
		t = ticks();						\
		operation;						\
		(samples)[k] = ticks() - t;				\
	}								\
} while (0)

/* A guest whose first write to a page that is mapped is to be seen. */
static struct vcpu *protected(void)
{
	struct vcpu *v = start(BENCH_TOUCH_4K, BENCH_MAX, BENCH_SAMPLES + (2 << 20));
	size_t size = BENCH_MAX * 4096;
	void *p = some_memory(size);

	OK(madvise(p, size, MADV_NOHUGEPAGE));
	vm_set_slot(v->vm, 1, BENCH_MEMORY, size, p, 0);
	vcpu_expect_sync(v, 1);
	run(v, BENCH_MAX, 0);
	vm_set_slot(v->vm, 1, BENCH_MEMORY, size, p, KVM_MEM_LOG_DIRTY_PAGES);
	vcpu_start(v, BENCH_TOUCH_4K, BENCH_MAX, 0);
	vcpu_expect_sync(v, 1);
	return v;
}

static void write_protect(void)
{
	struct vcpu *v = protected();

	report("write_protect", run(v, BENCH_MAX, 0) - nothing());
}

/* 1 GiB that nobody writes */
static void log_clean(void)
{
	struct vm *vm = vm_new(2 << 20, 0);
	size_t size = 1 << 30;
	void *bits = calloc(size / 4096, 1);
	struct kvm_dirty_log d = { .slot = 1, .dirty_bitmap = bits };
	uint64_t samples[TIMES];

	CHECK(bits);
	vm_set_slot(vm, 1, BENCH_MEMORY, size, some_memory(size), KVM_MEM_LOG_DIRTY_PAGES);
	EACH_TIME(samples, (void)0, OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &d)));
	report("log_clean", median(samples, TIMES));
}

/* 16 MiB, each page of which was written: once is all there is */
static void log_dirty(void)
{
	static uint64_t bits[BENCH_MAX / 64];
	struct kvm_dirty_log d = { .slot = 1, .dirty_bitmap = bits };
	struct vcpu *v = protected();
	uint64_t t;

	run(v, BENCH_MAX, 0);
	t = ticks();
	OK(ioctl(v->vm->fd, KVM_GET_DIRTY_LOG, &d));
	t = ticks() - t;
	CHECK_EQ(bits[0], ~0ull);
	report("log_dirty", t);
}

static void clear_dirty(void)
{
	static uint64_t bits[BENCH_MAX / 64];
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };
	struct kvm_clear_dirty_log c = { .slot = 1, .dirty_bitmap = bits, .num_pages = BENCH_MAX };
	struct vcpu *v = protected();
	uint64_t t;

	OK(ioctl(v->vm->fd, KVM_ENABLE_CAP, &cap));
	run(v, BENCH_MAX, 0);
	memset(bits, 0xff, sizeof(bits));
	t = ticks();
	OK(ioctl(v->vm->fd, KVM_CLEAR_DIRTY_LOG, &c));
	t = ticks() - t;
	report("clear_dirty", t);
}

/* A slot goes, and one comes, beside 1,000 others. */
static void slots(void)
{
	struct vm *vm = vm_new(2 << 20, 0);
	uint64_t gone[TIMES], come[TIMES];
	uint8_t *p = some_memory(1001 * 4096);
	unsigned int i;

	for (i = 0; i < 1000; i++)
		vm_set_slot(vm, 1 + i, BENCH_MEMORY + i * 8192ul, 4096, p + i * 4096, 0);
	EACH_TIME(come, vm_set_slot(vm, 500, 0, 0, NULL, 0),
		  vm_set_slot(vm, 500, BENCH_MEMORY + 499 * 8192, 4096, p + 499 * 4096, 0));
	EACH_TIME(gone, vm_set_slot(vm, 500, BENCH_MEMORY + 499 * 8192, 4096, p + 499 * 4096, 0),
		  vm_set_slot(vm, 500, 0, 0, NULL, 0));
	report("slot_create", median(come, TIMES));
	report("slot_delete", median(gone, TIMES));
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
	{ "eoi", eoi },
	{ "eoi_mmio", eoi_mmio },
	{ "ipi_self", ipi_self },
	{ "ipi", ipi },
	{ "timer", timer },
	{ "timer_late", timer_late },
	{ "irqfd", irqfd },
	{ "ioeventfds", ioeventfds },
	{ "touch_4k", touch_4k },
	{ "touch_4k_new", touch_4k_new },
	{ "touch_2m", touch_2m },
	{ "tables", tables },
	{ "write_protect", write_protect },
	{ "log_clean", log_clean },
	{ "log_dirty", log_dirty },
	{ "clear_dirty", clear_dirty },
	{ "slots", slots },
	{ "switch_spaces", switch_spaces },
	{ "remap", remap },
	{ }
};

ST_MAIN("bench", tests)
