// SPDX-License-Identifier: GPL-2.0-only
/* Port I/O, MMIO, memory, exceptions, halting, the FPU: a guest's daily life. */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "basic.h"
#include "st.h"

static struct vcpu *start(unsigned int flags, uint64_t test, uint64_t a, uint64_t b)
{
	struct vm *vm = vm_new(64 << 20, flags);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, basic);
	vcpu_start(v, test, a, b);
	return v;
}

static void expect_pio(struct vcpu *v, int dir, int port, int size, uint32_t value)
{
	uint32_t data = 0;

	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.direction, dir);
	CHECK_EQ(v->run->io.port, port);
	CHECK_EQ(v->run->io.size, size);
	CHECK_EQ(v->run->io.count, 1);
	if (dir == KVM_EXIT_IO_OUT) {
		memcpy(&data, (char *)v->run + v->run->io.data_offset, size);
		CHECK_EQ(data, value);
	} else {
		memset((char *)v->run + v->run->io.data_offset, 0x5a, size);
	}
}

static void ports(void)
{
	struct vcpu *v = start(0, BASIC_PORTS, 0, 0);
	int i;

	expect_pio(v, KVM_EXIT_IO_OUT, PIO_BASE, 1, 0x11);
	expect_pio(v, KVM_EXIT_IO_OUT, PIO_BASE + 2, 2, 0x2222);
	expect_pio(v, KVM_EXIT_IO_OUT, PIO_BASE + 4, 4, 0x44444444);
	expect_pio(v, KVM_EXIT_IO_IN, PIO_BASE, 1, 0);
	expect_pio(v, KVM_EXIT_IO_IN, PIO_BASE + 2, 2, 0);
	expect_pio(v, KVM_EXIT_IO_IN, PIO_BASE + 4, 4, 0);
	expect_pio(v, KVM_EXIT_IO_IN, PIO_BASE, 1, 0);
	expect_pio(v, KVM_EXIT_IO_IN, PIO_BASE + 4, 4, 0);
	for (i = 0; i < 3; i++)
		vcpu_expect_sync(v, i);
	vcpu_expect_done(v);
}

/* Strings come in chunks of any size; what counts is the sum. */
static void strings(void)
{
	struct vcpu *v = start(0, BASIC_STRINGS, 0, 0);
	struct report rep;
	unsigned int n = 0, i;

	while (vcpu_run(v) == KVM_EXIT_IO && !vcpu_is_report(v, &rep)) {
		uint8_t *p = (uint8_t *)v->run + v->run->io.data_offset;

		CHECK_EQ(v->run->io.port, PIO_BASE);
		CHECK_EQ(v->run->io.size, 1);
		for (i = 0; i < v->run->io.count; i++, n++)
			CHECK_EQ(p[i], (uint8_t)(n * 7));
	}
	CHECK_EQ(n, 600);
	CHECK_EQ(rep.a, 1);

	for (n = 0; vcpu_run(v) == KVM_EXIT_IO && !vcpu_is_report(v, &rep);) {
		CHECK_EQ(v->run->io.direction, KVM_EXIT_IO_IN);
		CHECK_EQ(v->run->io.size, 4);
		memset((char *)v->run + v->run->io.data_offset, 0x5a,
		       4 * v->run->io.count);
		n += v->run->io.count;
	}
	CHECK_EQ(n, 150);
	CHECK_EQ(rep.a, 2);

	for (n = 0; vcpu_run(v) == KVM_EXIT_IO && !vcpu_is_report(v, &rep);) {
		uint8_t *p = (uint8_t *)v->run + v->run->io.data_offset;

		for (i = 0; i < v->run->io.count; i++, n++)
			CHECK_EQ(p[i], n);
	}
	CHECK_EQ(n, 4);
	CHECK_EQ(rep.a, 3);
	vcpu_expect_done(v);
}

struct mmio_want {
	bool write;
	uint64_t off;
	unsigned int len;
	uint64_t value;
};

static void expect_mmio(struct vcpu *v, const struct mmio_want *w)
{
	uint64_t data = 0;

	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	if (v->run->mmio.phys_addr != MMIO_BASE + w->off ||
	    v->run->mmio.len != w->len || v->run->mmio.is_write != w->write)
		st_fail(__FILE__, __LINE__, "%s of %u at +%#llx; wanted %s of %u at +%#llx",
			v->run->mmio.is_write ? "write" : "read", v->run->mmio.len,
			(unsigned long long)(v->run->mmio.phys_addr - MMIO_BASE),
			w->write ? "write" : "read", w->len, (unsigned long long)w->off);
	if (w->write) {
		memcpy(&data, v->run->mmio.data, w->len);
		CHECK_EQ(data, w->value);
	} else {
		memset(v->run->mmio.data, 0xa1, w->len);
	}
}

#define R(off, len)		{ false, off, len, 0 }
#define W(off, len, value)	{ true, off, len, value }

static void mmio(void)
{
	static const struct mmio_want first[] = {
		W(1, 1, 0x81), W(2, 2, 0x8282), W(4, 4, 0x84848484),
		W(8, 8, 0x8888888888888888), R(1, 1), R(2, 2), R(4, 4), R(8, 8),
	}, second[] = {
		R(1, 1), R(1, 1), R(2, 2), W(4, 4, 0x12345678), R(4, 4), R(4, 4),
		R(4, 4), W(4, 4, 0xa1), R(1, 1), W(1, 1, 0xe1),
		R(4, 4), W(4, 4, 0x77),
	}, third[] = {
		W(0xffc, 4, 0x55667788), W(0x1000, 4, 0x11223344),
		R(0xffc, 4), R(0x1000, 4),
		W(0x20, 4, 0), W(0x24, 4, 0x01010101), W(0x28, 4, 0x02020202),
		W(0x2c, 4, 0x03030303), R(0x20, 4), R(0x24, 4), R(0x28, 4), R(0x2c, 4),
	};
	struct vcpu *v = start(0, BASIC_MMIO, 0, 0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(first); i++)
		expect_mmio(v, &first[i]);
	vcpu_expect_sync(v, 1);
	for (i = 0; i < ARRAY_SIZE(second); i++)
		expect_mmio(v, &second[i]);
	vcpu_expect_sync(v, 2);
	for (i = 0; i < ARRAY_SIZE(third); i++)
		expect_mmio(v, &third[i]);
	vcpu_expect_sync(v, 3);
	vcpu_expect_done(v);
}

static void faults(void)
{
	struct vcpu *v = start(0, BASIC_FAULTS, 0, 0);

	vcpu_expect_sync(v, 0x55);
	vcpu_expect_done(v);
}

static void memory(void)
{
	struct vcpu *v = start(0, BASIC_MEMORY, 2 << 20, 60 << 20);
	uint64_t i;

	vcpu_expect_sync(v, 1);
	for (i = 0; i < (60 << 20) / 8; i += 512)
		CHECK_EQ(((uint64_t *)vm_ptr(v->vm, 2 << 20))[i],
			 i * 0x9e3779b97f4a7c15);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

/* The host throws the pages away in between: zeroes for the guest, no stale page. */
static void memory_discarded(void)
{
	struct vcpu *v = start(0, BASIC_MEMORY, 2 << 20, 32 << 20);
	struct report rep;

	vcpu_expect_sync(v, 1);
	OK(madvise(vm_ptr(v->vm, 4 << 20), 4 << 20, MADV_DONTNEED));
	for (uint64_t i = (2 << 20) / 8; i < (6 << 20) / 8; i += 512)
		((uint64_t *)vm_ptr(v->vm, 2 << 20))[i] = i * 0x9e3779b97f4a7c15;
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	vcpu_expect_done(v);
}

static void halt_without_irqchip(void)
{
	struct vcpu *v = start(0, BASIC_HALT, 0, 0);

	vcpu_expect_exit(v, KVM_EXIT_HLT);
	vcpu_expect_sync(v, 1);
	vcpu_expect_done(v);
}

static void on_alarm(int sig)
{
}

/* SIGALRM in 200 ms */
static void signal_soon(void)
{
	struct itimerval t = { .it_value = { .tv_usec = 200000 } };

	OK(sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL));
	OK(setitimer(ITIMER_REAL, &t, NULL));
}

static void halt_with_irqchip_is_interruptible(void)
{
	struct vcpu *v = start(VM_IRQCHIP, BASIC_HALT, 0, 0);

	signal_soon();
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_INTR);
}

static void spinning_guest_is_interruptible(void)
{
	struct vcpu *v = start(0, BASIC_SPIN, 0, 0);
	uint64_t *count = vm_ptr(v->vm, GUEST_SHARED);
	uint64_t seen;

	signal_soon();
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	seen = READ_ONCE(*count);
	CHECK(seen > 0);
	v->run->immediate_exit = 1;
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	CHECK_EQ(READ_ONCE(*count), seen);
}

/*
 * The CPU refuses a state; a good one runs after it, without interrupts, and
 * still the host's timer ends it.
 */
static void spinning_guest_after_a_refused_entry(void)
{
	struct vcpu *v = start(0, BASIC_SPIN, 0, 0);
	uint64_t *count = vm_ptr(v->vm, GUEST_SHARED);
	struct kvm_sregs good, bad;
	struct kvm_regs r;
	int i;

	if (st_on_tcg() && !kvm_is_oot())
		st_skip("in-tree loses the host's CPU here (docs/emulator-faults.md)");
	if (st_shadow_paging())
		st_skip("the guest's CR3 is never the CPU's, so no entry is refused");
	if (st_param_is("kvm_intel", "unrestricted_guest", 'N'))
		st_skip("without paging the guest's CR3 is not used then, so no entry is refused");
	OK(ioctl(v->fd, KVM_GET_SREGS, &good));
	vcpu_regs(v, &r);
	CHECK(!(r.rflags & 0x200));
	bad = good;
	bad.cr0 &= ~0x80000000ul;
	bad.efer = 0;
	bad.cs.l = 0;
	bad.cr3 = 1ull << 62;
	for (i = 0; i < 3; i++) {
		OK(ioctl(v->fd, KVM_SET_SREGS, &bad));
		vcpu_expect_exit(v, KVM_EXIT_FAIL_ENTRY);
		OK(ioctl(v->fd, KVM_SET_SREGS, &good));
		vcpu_set_regs(v, &r);
		WRITE_ONCE(*count, 0);
		signal_soon();
		CHECK_EQ(-vcpu_run_raw(v), EINTR);
		CHECK(READ_ONCE(*count) > 0);
	}
}

/* EFER.LME is set before paging is on, and CR4.PAE is not: nothing of it may reach the host. */
static void long_mode_enabled_without_pae(void)
{
	struct vcpu *v = start(0, BASIC_SPIN, 0, 0);
	struct kvm_sregs s, seen;

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cr0 &= ~0x80000000ul;
	s.cr4 &= ~0x20ul;
	s.efer = 0x100;
	s.cs.l = 0;
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	memcpy(vm_ptr(v->vm, 0x1000), "\xeb\xfe", 2);	/* jmp . */
	vcpu_set_regs(v, &(struct kvm_regs){ .rip = 0x1000, .rflags = 2 });
	signal_soon();
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	OK(ioctl(v->fd, KVM_GET_SREGS, &seen));
	CHECK_EQ(seen.efer, s.efer);
	CHECK_EQ(seen.cr0, s.cr0);
}

/* A signal that only KVM_RUN lets through ends KVM_RUN, and is pending afterwards. */
static void signal_mask(void)
{
	struct vcpu *v = start(0, BASIC_SPIN, 0, 0);
	struct {
		struct kvm_signal_mask m;
		uint64_t set;
	} __packed arg = { .m = { .len = 8 }, .set = 0 };
	sigset_t blocked, pending;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
	OK(ioctl(v->fd, KVM_SET_SIGNAL_MASK, &arg));
	arg.m.len = 4;
	FAILS(ioctl(v->fd, KVM_SET_SIGNAL_MASK, &arg), EINVAL);
	signal_soon();
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGALRM));
}

static void triple_fault(void)
{
	struct vcpu *v = start(0, BASIC_PORTS, 0, 0);
	struct kvm_sregs s;
	struct kvm_regs r;

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.idt.limit = 0;
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	vcpu_regs(v, &r);
	r.rip = 0x8000000000ul;		/* not mapped */
	vcpu_set_regs(v, &r);
	vcpu_expect_exit(v, KVM_EXIT_SHUTDOWN);
}

static void fpu_survives(void)
{
	struct vcpu *v = start(0, BASIC_FPU, 0, 0);
	struct kvm_fpu f;
	int i;

	for (i = 0; i < 4; i++) {
		vcpu_expect_sync(v, i);
		OK(ioctl(v->fd, KVM_GET_FPU, &f));
		CHECK_EQ(*(uint64_t *)f.fpr[3], 0x0123456789abcdef);
		asm volatile("movq %0, %%mm3; emms" : : "r"(~0ul));
	}
	vcpu_expect_done(v);
}

static void debug_registers(void)
{
	struct vcpu *v = start(0, BASIC_DEBUGREGS, 0, 0);
	struct kvm_debugregs d;
	struct report rep;

	vcpu_expect_sync(v, 1);
	OK(ioctl(v->fd, KVM_GET_DEBUGREGS, &d));
	CHECK_EQ(d.db[0], 0x1234);
	CHECK_EQ(d.dr7, 0x400);
	d.db[1] = 0x5678;
	OK(ioctl(v->fd, KVM_SET_DEBUGREGS, &d));
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.b, 0x5678);
	d.flags = 1;
	FAILS(ioctl(v->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
	d.flags = 0;
	d.dr7 = 1ull << 32;
	FAILS(ioctl(v->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
	d.dr7 = 0x400;
	d.dr6 = 1ull << 32;
	FAILS(ioctl(v->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
}

#define MAP_GPA_RANGE	12	/* KVM_HC_MAP_GPA_RANGE */

/* A hypercall that is user space's, if it wants it. */
static void hypercall_exit(void)
{
	static const struct {
		uint64_t gpa, pages;
	} bad[] = {
		{ 0x1001, 1 }, { 0x1800, 1 }, { 0x1000, 0 }, { 0x1000, ~0ull },
		{ ~0xfffull, ~0ull >> 12 },
	};
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL };
	struct vm *vm = vm_new(4 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	unsigned int i;

	PAYLOAD(vm, basic);
	vcpu_set_cpuid(v);
	vcpu_start(v, BASIC_MAP_GPA_RANGE, 0x5000, 3);
	CHECK_EQ((int64_t)vcpu_run_to_report(v).b, -1000);	/* -KVM_ENOSYS */

	CHECK_EQ(ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL), 1 << MAP_GPA_RANGE);
	for (i = 0; i < 64; i++) {
		cap.args[0] = 1ull << i;
		if (i == MAP_GPA_RANGE)
			continue;
		FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	}
	cap.args[0] = 1 << MAP_GPA_RANGE;
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		vcpu_start(v, BASIC_MAP_GPA_RANGE, bad[i].gpa, bad[i].pages);
		CHECK_EQ((int64_t)vcpu_run_to_report(v).b, -EINVAL);
	}
	for (i = 0; i < 2; i++) {
		vcpu_start(v, BASIC_MAP_GPA_RANGE, 0x5000, 3);
		vcpu_expect_exit(v, KVM_EXIT_HYPERCALL);
		CHECK_EQ(v->run->hypercall.nr, MAP_GPA_RANGE);
		CHECK_EQ(v->run->hypercall.args[0], 0x5000);
		CHECK_EQ(v->run->hypercall.args[1], 3);
		CHECK_EQ(v->run->hypercall.args[2], 0x10);
		CHECK_EQ(v->run->hypercall.args[3], 0);
		CHECK_EQ(v->run->hypercall.longmode, 1);
		CHECK_EQ(v->run->hypercall.ret, 0);
		if (i)
			v->run->hypercall.ret = 0x123456789abcdef;
		CHECK_EQ(vcpu_run_to_report(v).b, i ? 0x123456789abcdef : 0);
	}
	cap.args[0] = 0;
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	vcpu_start(v, BASIC_MAP_GPA_RANGE, 0x5000, 3);
	CHECK_EQ((int64_t)vcpu_run_to_report(v).b, -1000);
}

static const struct st_test tests[] = {
	{ "hypercall_exit", hypercall_exit },
	{ "ports", ports },
	{ "strings", strings },
	{ "mmio", mmio },
	{ "faults", faults },
	{ "memory", memory },
	{ "memory_discarded", memory_discarded },
	{ "halt_without_irqchip", halt_without_irqchip },
	{ "halt_with_irqchip_is_interruptible", halt_with_irqchip_is_interruptible },
	{ "spinning_guest_is_interruptible", spinning_guest_is_interruptible },
	{ "spinning_guest_after_a_refused_entry", spinning_guest_after_a_refused_entry },
	{ "long_mode_enabled_without_pae", long_mode_enabled_without_pae },
	{ "signal_mask", signal_mask },
	{ "triple_fault", triple_fault },
	{ "fpu_survives", fpu_survives },
	{ "debug_registers", debug_registers },
	{}
};

ST_MAIN("basic", tests)
