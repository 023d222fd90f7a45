// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts through the local APIC in the kernel: each comes once and in its turn,
 * in xAPIC and x2APIC mode, whether software or the CPU delivers it.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "apic.h"
#include "st.h"

#define NR_IPIS		1600	/* a multiple of 16: there are 16 vectors */
#define NR_HALTS	20

static struct vcpu *start(uint64_t test, uint64_t arg, uint64_t n)
{
	struct vm *vm = vm_new(64 << 20, VM_IRQCHIP);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, apic);
	vcpu_start(v, test, arg, n);
	return v;
}

/* vCPU 1 would wait for INIT and SIPI */
static struct vcpu *start_second(struct vcpu *first, uint64_t test, uint64_t arg, uint64_t n)
{
	struct vcpu *v = vm_add_vcpu(first->vm, 1);

	vcpu_start(v, test, arg, n);
	vcpu_make_runnable(v);
	return v;
}

static void send_msi(struct vm *vm, uint8_t vector)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = vector };

	OK(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
}

static void lapic_get(struct vcpu *v, struct kvm_lapic_state *s)
{
	OK(ioctl(v->fd, KVM_GET_LAPIC, s));
}

/* set or clear it in the vCPU's APIC */
static void change_vector(struct vcpu *v, unsigned int reg, uint8_t vec, bool set)
{
	struct kvm_lapic_state s;
	uint32_t w;

	lapic_get(v, &s);
	memcpy(&w, s.regs + reg + (vec >> 5) * 0x10, 4);
	w = set ? w | 1u << (vec & 31) : w & ~(1u << (vec & 31));
	memcpy(s.regs + reg + (vec >> 5) * 0x10, &w, 4);
	OK(ioctl(v->fd, KVM_SET_LAPIC, &s));
}

/* ---- one vCPU -------------------------------------------------------------------- */

static void registers_xapic(void)
{
	vcpu_expect_done(start(APIC_REGISTERS, 0, 0));
}

static void registers_x2apic(void)
{
	vcpu_expect_done(start(APIC_REGISTERS, APIC_X2, 0));
}

/* There is nothing to execute: registers are no memory. */
static void executed(void)
{
	struct vcpu *v = start(APIC_REGISTERS, 0, 0);
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = 0xfee00000 + 0x320;
	vcpu_set_regs(v, &r);
	vcpu_expect_exit(v, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(v->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	vcpu_regs(v, &r);
	/* the kernel's own module has a page of zeroes there for Intel's CPUs, and runs them */
	if (kvm_is_oot())
		CHECK_EQ(r.rip, 0xfee00000 + 0x320);
}

static void set_line(struct vm *vm, int level)
{
	struct kvm_irq_level l = { .irq = APIC_LEVEL_PIN, .level = level };

	OK(ioctl(vm->fd, KVM_IRQ_LINE, &l));
}

/* The line stays up for n EOIs: each but the last brings the interrupt again. */
static void level(uint64_t arg)
{
	struct vcpu *v = start(APIC_LEVEL, arg, 0);
	unsigned int n, i, total = 0;
	struct report rep;

	for (n = 1; n <= 3; n++) {
		vcpu_expect_sync(v, n);
		set_line(v->vm, 1);
		for (i = 1; i <= n; i++) {
			rep = vcpu_run_to_report(v);
			CHECK_EQ(rep.a, 10);
			CHECK_EQ(rep.b, ++total);
			if (i == n)
				set_line(v->vm, 0);
		}
	}
	vcpu_expect_done(v);
}

static void level_xapic(void)
{
	level(0);
}

static void level_x2apic(void)
{
	level(APIC_X2);
}

static void *send_halted(void *arg)
{
	struct vcpu *v = arg;
	uint64_t *taken = vm_ptr(v->vm, GUEST_SHARED);
	unsigned int i;

	for (i = 0; i < NR_HALTS; i++) {
		/* the vCPU has taken the last one, and has the time to halt again */
		CHECK(UNTIL(READ_ONCE(*taken) == i, 20));
		usleep(20000);
		send_msi(v->vm, 0x90);
	}
	return NULL;
}

static void halted(uint64_t arg)
{
	struct vcpu *v = start(APIC_HALT, arg, NR_HALTS);
	pthread_t t;

	vcpu_expect_sync(v, 1);
	CHECK(!pthread_create(&t, NULL, send_halted, v));
	vcpu_expect_done(v);
	pthread_join(t, NULL);
}

static void halted_xapic(void)
{
	halted(0);
}

static void halted_x2apic(void)
{
	halted(APIC_X2);
}

static void answer_read(struct vcpu *v, uint64_t addr)
{
	const uint32_t answer = 0x12345678;

	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.phys_addr, addr);
	CHECK_EQ(v->run->mmio.is_write, 0);
	CHECK_EQ(v->run->mmio.len, 4);
	memcpy(v->run->mmio.data, &answer, 4);
}

static void base_moves(void)
{
	struct vcpu *v = start(APIC_BASE_MOVES, 0, 0);

	vcpu_expect_sync(v, 1);
	answer_read(v, 0xfee00030);
	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.phys_addr, 0xfee000b0);
	CHECK_EQ(v->run->mmio.is_write, 1);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

static void modes(void)
{
	vcpu_expect_done(start(APIC_MODES, 0, 0));
}

static void state(uint64_t arg)
{
	struct vcpu *v = start(APIC_STATE, arg, 0);
	static const uint8_t order[] = { 0x66, 0x45, 0x67, 0x45 };
	struct kvm_lapic_state s;
	unsigned int stage = 0, n = 0;
	struct report rep;

	while ((rep = vcpu_run_to_report(v)).kind != REPORT_DONE) {
		lapic_get(v, &s);
		if (rep.a == 10) {
			CHECK(n < ARRAY_SIZE(order));
			CHECK_EQ(rep.b, order[n]);
			CHECK_EQ(rep.c, ++n);
			CHECK(lapic_has_vector(&s, LAPIC_ISR, rep.b));
			CHECK(!lapic_has_vector(&s, LAPIC_IRR, rep.b));
			/* what is put back must still be in service */
			OK(ioctl(v->fd, KVM_SET_LAPIC, &s));
			continue;
		}
		CHECK_EQ(rep.a, ++stage);
		switch (stage) {
		case 1:
			CHECK(lapic_has_vector(&s, LAPIC_IRR, 0x45));
			CHECK(!lapic_has_vector(&s, LAPIC_IRR, 0x66));
			change_vector(v, LAPIC_IRR, 0x66, true);
			break;
		case 2:
			CHECK(lapic_has_vector(&s, LAPIC_IRR, 0x67));
			change_vector(v, LAPIC_IRR, 0x67, false);
			break;
		case 3:
			CHECK(!lapic_has_vector(&s, LAPIC_IRR, 0x67));
			send_msi(v->vm, 0x67);
			lapic_get(v, &s);
			CHECK(lapic_has_vector(&s, LAPIC_IRR, 0x67));
			break;
		case 4:
			change_vector(v, LAPIC_ISR, 0x66, true);
			break;
		}
	}
	CHECK_EQ(stage, 4);
	CHECK_EQ(n, ARRAY_SIZE(order));
}

static void state_xapic(void)
{
	state(0);
}

static void state_x2apic(void)
{
	state(APIC_X2);
}

/* A debugger that steps has interrupts wait, though the guest's IF is set. */
static void blocked_by_debugger(void)
{
	struct kvm_guest_debug d = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ,
	};
	struct vcpu *v = start(APIC_BLOCKED, 0, 0);
	unsigned int open = 0, i;
	struct kvm_regs r;

	vcpu_expect_sync(v, 1);
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d));
	for (i = 0; i < 64 && open < 8; i++) {
		vcpu_expect_exit(v, KVM_EXIT_DEBUG);
		vcpu_regs(v, &r);
		if (r.rflags & BIT(9))
			open++;
		else
			CHECK_EQ(open, 0);	/* a handler would have it clear again */
	}
	CHECK_EQ(open, 8);
	d.control = 0;
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d));
	vcpu_expect_done(v);
}

/* ---- two vCPUs ------------------------------------------------------------------- */

struct runner {
	pthread_t thread;
	struct vcpu *vcpu;
	pid_t tid;
	bool done;
};

static void *run_to_done(void *arg)
{
	struct runner *r = arg;

	WRITE_ONCE(r->tid, syscall(SYS_gettid));
	vcpu_expect_done(r->vcpu);
	WRITE_ONCE(r->done, true);
	return NULL;
}

/* Put it on another CPU, again and again, until it is through. */
static void keep_moving(struct runner *r)
{
	unsigned int moves = 0;
	cpu_set_t all, one;
	double before;
	int cpu = 0;

	OK(sched_getaffinity(0, sizeof(all), &all));
	while (!READ_ONCE(r->done)) {
		if (!READ_ONCE(r->tid))
			continue;
		do {
			cpu = (cpu + 1) % CPU_SETSIZE;
		} while (!CPU_ISSET(cpu, &all));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		before = st_now();
		/* it may have ended meanwhile */
		if (sched_setaffinity(r->tid, sizeof(one), &one))
			break;
		moves++;
		/* where a move takes long, it is to get on in between all the same */
		usleep(500 + 4e6 * (st_now() - before));
	}
	CHECK(moves > 0);
	st_note("%u times put on one of %u CPUs", moves, (unsigned int)CPU_COUNT(&all));
}

static void ipis(uint64_t arg, bool move)
{
	uint64_t n = move ? 2 * NR_IPIS : NR_IPIS;
	struct runner r[2] = {};
	unsigned int i;

	r[0].vcpu = start(APIC_IPI, arg, n);
	r[1].vcpu = start_second(r[0].vcpu, APIC_IPI, arg | APIC_TARGET, n);
	for (i = 0; i < 2; i++)
		CHECK(!pthread_create(&r[i].thread, NULL, run_to_done, &r[i]));
	if (move)
		keep_moving(&r[1]);
	for (i = 0; i < 2; i++)
		pthread_join(r[i].thread, NULL);
}

static void ipi_running_xapic(void)
{
	ipis(0, false);
}

static void ipi_running_x2apic(void)
{
	ipis(APIC_X2, false);
}

static void ipi_halted_xapic(void)
{
	ipis(APIC_HALTED, false);
}

static void ipi_halted_x2apic(void)
{
	ipis(APIC_X2 | APIC_HALTED, false);
}

static void ipi_to_a_moving_vcpu(void)
{
	ipis(APIC_X2, true);
}

static void ipi_to_a_moving_halted_vcpu(void)
{
	ipis(APIC_HALTED, true);
}

static void base_differs(void)
{
	struct vcpu *v = start(APIC_BASE_DIFFERS, 0, 0);
	struct runner r = { .vcpu = start_second(v, APIC_BASE_DIFFERS, APIC_TARGET, 0) };

	CHECK(!pthread_create(&r.thread, NULL, run_to_done, &r));
	vcpu_expect_sync(v, 1);
	answer_read(v, APIC_OTHER_BASE + 0x30);
	vcpu_expect_done(v);
	pthread_join(r.thread, NULL);
}

/* ---- the timer ------------------------------------------------------------------- */

static struct vcpu *start_timer(uint64_t test, uint64_t arg)
{
	struct vcpu *v = start(test, arg, 0);
	struct kvm_regs regs;

	/* the payload's third argument */
	vcpu_regs(v, &regs);
	regs.rdx = OK(ioctl(v->fd, KVM_GET_TSC_KHZ, 0));
	vcpu_set_regs(v, &regs);
	return v;
}

static void deadlines(void)
{
	vcpu_expect_done(start_timer(APIC_DEADLINES, 0));
}

static void deadlines_halted(void)
{
	vcpu_expect_done(start_timer(APIC_DEADLINES, APIC_HALTED));
}

static void deadlines_moving(void)
{
	struct runner r = { .vcpu = start_timer(APIC_DEADLINES, APIC_X2) };

	CHECK(!pthread_create(&r.thread, NULL, run_to_done, &r));
	keep_moving(&r);
	pthread_join(r.thread, NULL);
}

static void periods(void)
{
	vcpu_expect_done(start_timer(APIC_PERIODS, 0));
}

static void periods_halted(void)
{
	vcpu_expect_done(start_timer(APIC_PERIODS, APIC_X2 | APIC_HALTED));
}

/* what older kernels' own modules do not have, and ours must */
static void need(bool has, const char *what)
{
	if (!has && !kvm_is_oot())
		st_skip("the kernel's own module has no %s", what);
}

static void need_bus_clock(const struct vm *vm)
{
	need(kvm_cap(vm->fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS), "KVM_CAP_X86_APIC_BUS_CYCLES_NS");
}

#define BUS_CYCLES(fd, ns)	kvm_enable(fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS, ns)

static void bus_clock(uint64_t ns)
{
	struct vm *vm = vm_new(64 << 20, VM_IRQCHIP);
	struct report rep;
	struct vcpu *v;
	double khz, ms;

	need_bus_clock(vm);
	OK(BUS_CYCLES(vm->fd, ns));
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, apic);
	khz = OK(ioctl(v->fd, KVM_GET_TSC_KHZ, 0));
	vcpu_start(v, APIC_BUS_CLOCK, khz, ns);
	/* between the shortest and the longest time that the TSC has seen */
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 1);
	ms = rep.b * ns / 1e6;
	CHECK(ms >= rep.c / khz * 0.95 - ns / 1e6);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	CHECK(ms <= rep.c / khz * 1.05 + ns / 1e6);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 3);
	CHECK(rep.b / khz >= 10 * 0.95);
	/* what went by before the divisor was changed is not doubled */
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 4);
	CHECK(rep.b / khz >= (20 - rep.c / khz) * 0.95);
	vcpu_expect_done(v);
}

static void bus_clock_default(void)
{
	bus_clock(1);
}

static void bus_clock_40_ns(void)
{
	bus_clock(40);
}

static void bus_clock_slow(void)
{
	bus_clock(50000);
}

static void bus_clock_refused(void)
{
	/* with it 2^32 - 1 counts of 128 cycles just fit into 64 bits */
	const uint64_t longest = 1 << 25;
	struct vm *vm = vm_new(0x200000, 0), *split;

	need_bus_clock(vm);
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1);
	FAILS(BUS_CYCLES(vm->fd, 0), EINVAL);
	FAILS(BUS_CYCLES(vm->fd, 25), ENXIO);
	OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0UL));
	FAILS(BUS_CYCLES(vm->fd, 0), EINVAL);
	FAILS(BUS_CYCLES(vm->fd, longest + 1), EINVAL);
	FAILS(BUS_CYCLES(vm->fd, -1ull), EINVAL);
	FAILS(BUS_CYCLES(vm->fd, 1ull << 32 | 25), EINVAL);
	OK(BUS_CYCLES(vm->fd, longest));
	OK(BUS_CYCLES(vm->fd, 25));
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 25);
	CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1);
	vm_add_vcpu(vm, 0);
	FAILS(BUS_CYCLES(vm->fd, 25), EINVAL);
	split = vm_new(0x200000, VM_SPLIT);
	OK(BUS_CYCLES(split->fd, 25));
}

/* Sums and products that would overflow: of a clock that no guest has */
static void bus_clock_slowest(void)
{
	struct vm *vm = vm_new(64 << 20, VM_IRQCHIP);
	struct kvm_lapic_state s = {};
	static const uint32_t divide[] = { 0xa, 0xb, 0x0, 0xa };
	uint32_t count = ~0u, lvtt, left;
	struct vcpu *v;
	unsigned int i;

	need_bus_clock(vm);
	OK(BUS_CYCLES(vm->fd, 1 << 25));
	v = vm_add_vcpu(vm, 0);
	for (i = 0; i < 2 * ARRAY_SIZE(divide); i++) {
		lapic_get(v, &s);
		lvtt = 0x71 | (i & 1 ? 1 << 17 : 0);
		memcpy(s.regs + 0x320, &lvtt, 4);
		memcpy(s.regs + 0x380, &count, 4);
		memcpy(s.regs + 0x390, &count, 4);
		memcpy(s.regs + 0x3e0, &divide[i % ARRAY_SIZE(divide)], 4);
		OK(ioctl(v->fd, KVM_SET_LAPIC, &s));
		usleep(20000);
		lapic_get(v, &s);
		memcpy(&left, s.regs + 0x390, 4);
		CHECK(left > count / 8);
		/* none has come */
		CHECK(!lapic_has_vector(&s, LAPIC_IRR, 0x71));
	}
}

/* ---- EOIs that the guest keeps from the IOAPIC ------------------------------------ */

#define X2APIC(fd, flags)	kvm_enable(fd, KVM_CAP_X2APIC_API, flags)
#define SUPPRESS		KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST
#define NO_SUPPRESS		KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST
#define LVR_SUPPRESSION		BIT(24)
#define SPIV_SUPPRESSION	BIT(12)

static void suppression_refused(void)
{
	struct vm *none = vm_new(0x200000, 0), *full = vm_new(0x200000, VM_IRQCHIP);
	struct vm *split = vm_new(0x200000, VM_SPLIT);

	need(kvm_cap(none->dev, KVM_CAP_X2APIC_API) & SUPPRESS, "EOI suppression");
	CHECK_EQ(kvm_cap(none->dev, KVM_CAP_X2APIC_API), 0xf);
	CHECK_EQ(kvm_cap(split->fd, KVM_CAP_X2APIC_API), 0xf);
	CHECK_EQ(kvm_cap(none->fd, KVM_CAP_X2APIC_API), 0xb);
	CHECK_EQ(kvm_cap(full->fd, KVM_CAP_X2APIC_API), 0xb);
	FAILS(X2APIC(none->fd, SUPPRESS), EINVAL);
	FAILS(X2APIC(full->fd, SUPPRESS), EINVAL);
	FAILS(X2APIC(split->fd, SUPPRESS | NO_SUPPRESS), EINVAL);
	FAILS(X2APIC(split->fd, 1ull << 4), EINVAL);
	OK(X2APIC(none->fd, NO_SUPPRESS));
	OK(X2APIC(full->fd, NO_SUPPRESS));
	OK(X2APIC(split->fd, NO_SUPPRESS));
	OK(X2APIC(split->fd, SUPPRESS));
}

/* Is it offered, does the bit stay, does the EOI of a level-triggered interrupt come out? */
static void suppression(unsigned int irqchip, uint64_t flags, uint32_t spiv, bool offered,
			bool told)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e;
	} route = { .head.nr = 1, .e = {
		.gsi = 5, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = 0xfee00000, .data = 0xc055 },
	} };
	struct kvm_irq_level line = { .irq = 5, .level = 1 };
	struct vm *vm = vm_new(64 << 20, irqchip);
	struct kvm_msi edge = { .address_lo = 0xfee00000, .data = 0x55 };
	struct report rep;
	struct vcpu *v;

	need(!flags || (kvm_cap(vm->dev, KVM_CAP_X2APIC_API) & flags), "EOI suppression");
	if (flags)
		OK(X2APIC(vm->fd, flags));
	if (irqchip == VM_SPLIT)
		OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &route));
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, apic);
	vcpu_set_cpuid(v);
	vcpu_start(v, APIC_SUPPRESSION, spiv, 0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 1);
	CHECK_EQ(!!(rep.b & LVR_SUPPRESSION), offered);
	CHECK_EQ(!!(rep.c & SPIV_SUPPRESSION), offered && spiv);
	if (irqchip == VM_SPLIT)
		OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	else
		OK(ioctl(vm->fd, KVM_SIGNAL_MSI, &edge));
	if (told) {
		vcpu_expect_exit(v, KVM_EXIT_IOAPIC_EOI);
		CHECK_EQ(v->run->eoi.vector, 0x55);
	}
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

static void suppression_quirk(void)
{
	suppression(VM_SPLIT, 0, 0, true, true);
	/* offered, and not done */
	suppression(VM_SPLIT, 0, SPIV_SUPPRESSION, true, true);
	suppression(VM_IRQCHIP, 0, SPIV_SUPPRESSION, false, false);
}

static void suppression_enabled(void)
{
	suppression(VM_SPLIT, SUPPRESS, 0, true, true);
	suppression(VM_SPLIT, SUPPRESS, SPIV_SUPPRESSION, true, false);
}

static void suppression_disabled(void)
{
	suppression(VM_SPLIT, NO_SUPPRESS, SPIV_SUPPRESSION, false, true);
	suppression(VM_IRQCHIP, NO_SUPPRESS, SPIV_SUPPRESSION, false, false);
}

/* ---- KVM_CAP_VAPIC ---------------------------------------------------------------- */

static void report_tpr(struct vcpu *v, bool on)
{
	struct kvm_tpr_access_ctl ctl = { .enabled = on };

	OK(ioctl(v->fd, KVM_TPR_ACCESS_REPORTING, &ctl));
}

static void expect_tpr(struct vcpu *v, uint64_t rip, bool write)
{
	vcpu_expect_exit(v, KVM_EXIT_TPR_ACCESS);
	CHECK_EQ(v->run->tpr_access.rip, rip);
	CHECK_EQ(v->run->tpr_access.is_write, write);
}

static void tpr_reports(void)
{
	struct vcpu *v = start(APIC_TPR_REPORTS, 0, 0);
	struct kvm_tpr_access_ctl ctl = { .enabled = 1, .flags = 1 };
	struct kvm_vapic_addr word = { .vapic_addr = APIC_VAPIC_WORD };
	bool told = kvm_cap(v->vm->fd, KVM_CAP_VAPIC);
	struct report rep;

	st_note("KVM_CAP_VAPIC is %d", told);
	FAILS(ioctl(v->fd, KVM_TPR_ACCESS_REPORTING, &ctl), EINVAL);
	FAILS(ioctl(v->fd, KVM_TPR_ACCESS_REPORTING, NULL), EFAULT);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 1);
	report_tpr(v, true);
	/* a CPU that keeps the TPR has nothing to tell */
	if (told) {
		expect_tpr(v, rep.c, true);
		expect_tpr(v, rep.b, false);
		expect_tpr(v, rep.c, true);
	}
	vcpu_expect_sync(v, 2);
	report_tpr(v, false);
	OK(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &word));
	vcpu_expect_sync(v, 3);
	vcpu_expect_sync(v, 4);
	/* where the CPU delivers, nothing enters to show what waits */
	if (told)
		CHECK_EQ(*(uint32_t *)vm_ptr(v->vm, APIC_VAPIC_WORD), 0x45000050);
	vcpu_expect_sync(v, 5);
	vcpu_expect_done(v);
}

static const struct st_test tests[] = {
	{ "registers_xapic", registers_xapic },
	{ "registers_x2apic", registers_x2apic },
	{ "executed", executed },
	{ "level_xapic", level_xapic },
	{ "level_x2apic", level_x2apic },
	{ "halted_xapic", halted_xapic },
	{ "halted_x2apic", halted_x2apic },
	{ "state_xapic", state_xapic },
	{ "state_x2apic", state_x2apic },
	{ "blocked_by_debugger", blocked_by_debugger },
	{ "modes", modes },
	{ "base_moves", base_moves },
	{ "base_differs", base_differs },
	{ "ipi_running_xapic", ipi_running_xapic },
	{ "ipi_running_x2apic", ipi_running_x2apic },
	{ "ipi_halted_xapic", ipi_halted_xapic },
	{ "ipi_halted_x2apic", ipi_halted_x2apic },
	{ "ipi_to_a_moving_vcpu", ipi_to_a_moving_vcpu, 240 },
	{ "ipi_to_a_moving_halted_vcpu", ipi_to_a_moving_halted_vcpu, 240 },
	{ "deadlines", deadlines },
	{ "deadlines_halted", deadlines_halted },
	{ "deadlines_moving", deadlines_moving },
	{ "periods", periods },
	{ "periods_halted", periods_halted },
	{ "bus_clock_default", bus_clock_default },
	{ "bus_clock_40_ns", bus_clock_40_ns },
	{ "bus_clock_slow", bus_clock_slow },
	{ "bus_clock_slowest", bus_clock_slowest },
	{ "bus_clock_refused", bus_clock_refused },
	{ "suppression_refused", suppression_refused },
	{ "suppression_quirk", suppression_quirk },
	{ "suppression_enabled", suppression_enabled },
	{ "suppression_disabled", suppression_disabled },
	{ "tpr_reports", tpr_reports },
	{}
};

ST_MAIN("apic", tests)
