// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paravirtual features: asynchronous page faults, clocks, steal time, hypercalls
 * (Documentation/virt/kvm/x86/{msr,cpuid,hypercalls}.rst).
 *
 * Pages that are not there are missing in a mapping with userfaultfd: they come when the
 * test says so, and not before.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/kvm_para.h>
#include <linux/userfaultfd.h>

#include "pv.h"
#include "st.h"

#define PAGE		4096ul
#define FAR		0x60000000ul	/* no memory */

static struct pv_shared *shared(struct vcpu *v)
{
	return vm_ptr(v->vm, GUEST_SHARED);
}

static struct vcpu *start(unsigned int flags, uint64_t test, uint64_t a, uint64_t b)
{
	struct vm *vm = vm_new(64 << 20, flags);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, pv);
	vcpu_start(v, test, a, b);
	return v;
}

/* ---- asynchronous page faults -------------------------------------------------------- */

static int uffd;
static uint8_t *missing;

/* a slot whose pages are not there */
static void missing_memory(struct vm *vm, unsigned long pages)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		st_skip("no userfaultfd: %s", strerror(errno));
	OK(ioctl(uffd, UFFDIO_API, &api));
	missing = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	CHECK(missing != MAP_FAILED);
	reg.range.start = (uintptr_t)missing;
	reg.range.len = pages * PAGE;
	OK(ioctl(uffd, UFFDIO_REGISTER, &reg));
	vm_set_slot(vm, 1, PV_PAGES, pages * PAGE, missing, 0);
}

static void provide(unsigned long page)
{
	static uint64_t data[512] __aligned(4096);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)missing + page * PAGE, .src = (uintptr_t)data, .len = PAGE,
	};

	data[0] = PV_WORD(page);
	OK(ioctl(uffd, UFFDIO_COPY, &copy));
}

static struct vcpu *start_apf(unsigned long pages, unsigned long flags)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_APF, pages, flags);

	missing_memory(v->vm, pages);
	return v;
}

/* the guest has touched all its pages and goes on */
static struct vcpu *outstanding(unsigned long pages, unsigned long flags)
{
	struct vcpu *v = start_apf(pages, flags);
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.a, 1);
	CHECK_EQ(rep.b, pages);
	CHECK_EQ(rep.c, 0);
	return v;
}

static void expect_end(struct vcpu *v, uint64_t faults, uint64_t ready, uint64_t all)
{
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.a, 3);
	CHECK_EQ(rep.b, faults);
	CHECK_EQ(rep.c, ready);
	shared(v)->stop = 1;
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 4);
	CHECK_EQ(rep.b, all);
	CHECK_EQ(rep.c, ready);
	vcpu_expect_done(v);
}

static void on_alarm(int sig)
{
}

/* run for some milliseconds, in which nothing is reported */
static void run_quietly(struct vcpu *v, int ms)
{
	struct sigaction act = { .sa_handler = on_alarm };
	timer_t timer;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	/* again and again: the first may come before the vCPU runs */
	struct itimerspec at = { .it_value = { ms / 1000, ms % 1000 * 1000000 },
				 .it_interval = { 0, 20000000 } };

	sigaction(SIGUSR1, &act, NULL);
	OK(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	OK(timer_settime(timer, 0, &at, NULL));
	CHECK_EQ(vcpu_run_raw(v), -EINTR);
	timer_delete(timer);
}

/* the same, until the guest has counted so far */
static void run_until(struct vcpu *v, const unsigned long *count, unsigned long n)
{
	int i;

	for (i = 0; i < 100 && READ_ONCE(*count) < n; i++)
		run_quietly(v, 100);
	CHECK(*count >= n);
}

/* the same, until it has got on */
static void run_on(struct vcpu *v)
{
	unsigned long spins = shared(v)->spins;
	int i;

	for (i = 0; i < 100 && shared(v)->spins == spins; i++)
		run_quietly(v, 200);
	CHECK(shared(v)->spins > spins);
	CHECK_EQ(shared(v)->ready, 0);
}

static void apf_page(void)
{
	struct vcpu *v = outstanding(1, 0);

	run_on(v);
	run_on(v);
	provide(0);
	expect_end(v, 1, 1, 1);
}

static void *provide_rest(void *arg)
{
	struct vcpu *v = arg;
	unsigned long i;

	/* the guest waits for a page that there is no token for */
	CHECK(UNTIL(shared(v)->faults == 64, 30));
	usleep(200000);
	CHECK_EQ(shared(v)->faults, 64);
	for (i = 64; i < 70; i++)
		provide(i);
	return NULL;
}

static void apf_many(void)
{
	struct vcpu *v = start_apf(70, 0);
	struct report rep;
	pthread_t t;
	long i;

	CHECK(!pthread_create(&t, NULL, provide_rest, v));
	rep = vcpu_run_to_report(v);
	pthread_join(t, NULL);
	CHECK_EQ(rep.a, 1);
	CHECK_EQ(rep.b, 64);
	for (i = 63; i >= 0; i--)
		provide(i);
	expect_end(v, 64, 64, 1);
}

static void send_irq(struct vcpu *v)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = PV_IRQ };

	CHECK_EQ(OK(ioctl(v->vm->fd, KVM_SIGNAL_MSI, &msi)), 1);
}

static bool irq_expected;

/* A vCPU without its page: interrupts reach it, if it lets them. */
static void *interrupt_and_provide(void *arg)
{
	struct vcpu *v = arg;

	CHECK(UNTIL(READ_ONCE(shared(v)->touching), 30));
	usleep(100000);
	send_irq(v);
	if (irq_expected) {
		CHECK(UNTIL(READ_ONCE(shared(v)->irqs) == 1, 20));
		send_irq(v);
		CHECK(UNTIL(READ_ONCE(shared(v)->irqs) == 2, 20));
	} else {
		usleep(200000);
		CHECK_EQ(READ_ONCE(shared(v)->irqs), 0);
	}
	CHECK_EQ(shared(v)->faults, 0);
	provide(0);
	return NULL;
}

static void without_token(unsigned long flags, bool irq)
{
	struct vcpu *v = start_apf(1, flags);
	struct report rep;
	pthread_t t;

	irq_expected = irq;
	CHECK(!pthread_create(&t, NULL, interrupt_and_provide, v));
	rep = vcpu_run_to_report(v);
	pthread_join(t, NULL);
	CHECK_EQ(rep.a, 1);
	CHECK_EQ(rep.b, 0);
	expect_end(v, 0, 0, 1);
}

static void apf_halt(void)
{
	without_token(PV_USER_ONLY, true);
}

static void apf_interrupts_off(void)
{
	without_token(PV_CLI, false);
}

/* One at a time: the next token comes when the last is gone, and that acknowledged. */
static void apf_acknowledged(void)
{
	struct vcpu *v = outstanding(2, PV_NO_ACK);

	provide(0);
	run_until(v, &shared(v)->ready, 1);
	run_quietly(v, 300);
	CHECK_EQ(shared(v)->ready, 1);
	provide(1);
	run_quietly(v, 300);
	CHECK_EQ(shared(v)->ready, 1);
	*(uint32_t *)vm_ptr(v->vm, PV_DATA + 4) = 0;
	/* user space in place of the guest */
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_ACK, 1), 1);
	expect_end(v, 2, 2, 1);
}

static void apf_disabled(void)
{
	struct vcpu *v;
	int i;

	if (!kvm_is_oot())
		st_skip("the kernel's own module waits for the pages");
	v = outstanding(3, PV_DISABLE);
	CHECK_EQ(vcpu_run_to_report(v).a, 2);
	for (i = 0; i < 3; i++)
		provide(i);
	expect_end(v, 3, 0, 1);
}

/* user space takes it away, resets or destroys: nobody waits for pages that never come */
static void given_up(void (*how)(struct vcpu *v))
{
	struct vcpu *v;
	double begin;

	if (!kvm_is_oot())
		st_skip("the kernel's own module waits for the pages");
	v = outstanding(8, 0);
	begin = st_now();
	how(v);
	CHECK(st_now() - begin < 10);
}

static void take_away(struct vcpu *v)
{
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, 0), 1);
	provide(0);
	run_quietly(v, 200);
	CHECK_EQ(shared(v)->ready, 0);
}

static void init(struct vcpu *v)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 5 << 8 };

	CHECK_EQ(OK(ioctl(v->vm->fd, KVM_SIGNAL_MSI, &msi)), 1);
	vcpu_run_raw(v);
	CHECK_EQ(vcpu_get_msr(v, MSR_KVM_ASYNC_PF_EN), 0);
	CHECK_EQ(vcpu_get_msr(v, MSR_KVM_ASYNC_PF_INT), 0);
	provide(0);
}

static void apf_taken_away(void)
{
	given_up(take_away);
}

static void apf_reset(void)
{
	given_up(init);
}

static void destroy(struct vcpu *v)
{
	vm_free(v->vm);
	provide(0);
}

static void apf_destroyed(void)
{
	given_up(destroy);
}

static void apf_slot_deleted(void)
{
	struct vcpu *v = outstanding(2, 0);
	uint64_t *mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	struct uffdio_range gone = { (uintptr_t)missing, 2 * PAGE };
	double begin = st_now();

	vm_set_slot(v->vm, 1, PV_PAGES, 0, missing, 0);
	CHECK(st_now() - begin < 10);
	CHECK(mem != MAP_FAILED);
	mem[0] = PV_WORD(0);
	mem[512] = PV_WORD(1);
	vm_set_slot(v->vm, 1, PV_PAGES, 2 * PAGE, mem, 0);
	run_quietly(v, 200);
	CHECK_EQ(shared(v)->ready, 0);
	/* one comes, the other's memory goes */
	provide(0);
	munmap(missing, 2 * PAGE);
	OK(ioctl(uffd, UFFDIO_WAKE, &gone));
	expect_end(v, 2, 2, 1);
}

static void apf_killed(void)
{
	int status, fds[2];
	char c;
	pid_t pid;

	OK(pipe(fds));
	pid = OK(fork());
	if (!pid) {
		struct vcpu *v = outstanding(8, 0);

		CHECK_EQ(write(fds[1], "x", 1), 1);
		vcpu_run(v);
		_exit(1);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	usleep(100000);
	kill(pid, SIGKILL);
	CHECK(UNTIL(waitpid(pid, &status, WNOHANG) == pid, 20));
	CHECK(WIFSIGNALED(status));
}

/* What was written is read, and writing it tells the guest that all tokens are void. */
static void apf_restored(void)
{
	struct vcpu *v = outstanding(1, 0);
	struct report rep;
	uint64_t en = vcpu_get_msr(v, MSR_KVM_ASYNC_PF_EN);

	CHECK_EQ(en, PV_DATA | 0xb);
	CHECK_EQ(vcpu_get_msr(v, MSR_KVM_ASYNC_PF_INT), PV_READY);
	CHECK_EQ(vcpu_get_msr(v, MSR_KVM_ASYNC_PF_ACK), 0);
	provide(0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 3);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, en), 1);
	run_until(v, &shared(v)->all, 2);
	run_quietly(v, 100);
	shared(v)->stop = 1;
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 4);
	CHECK_EQ(rep.b, 2);
}

/* ---- MSRs --------------------------------------------------------------------------- */

static const uint32_t msrs[] = {
	MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW,
	MSR_KVM_ASYNC_PF_EN, MSR_KVM_STEAL_TIME, MSR_KVM_PV_EOI_EN, MSR_KVM_POLL_CONTROL,
	MSR_KVM_ASYNC_PF_INT, MSR_KVM_ASYNC_PF_ACK,
};

static void msr_list(void)
{
	int fd = kvm_open(), i;
	unsigned int seen;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		seen = kvm_msr_listed(fd, msrs[i]);
		if (seen != 1)
			st_fail(__FILE__, __LINE__, "MSR %#x: %u times", msrs[i], seen);
	}
	CHECK_EQ(kvm_cap(fd, KVM_CAP_ASYNC_PF), 1);
	CHECK_EQ(kvm_cap(fd, KVM_CAP_ASYNC_PF_INT), 1);
}

static void msr_values(void)
{
	static const struct {
		uint32_t index;
		uint64_t value;
		int taken;
	} c[] = {
		{ MSR_KVM_ASYNC_PF_EN, PV_DATA | 0x10, 0 },
		{ MSR_KVM_ASYNC_PF_EN, PV_DATA | 0x29, 0 },
		{ MSR_KVM_ASYNC_PF_EN, FAR | 9, 0 },
		{ MSR_KVM_ASYNC_PF_EN, ~0x3full | 9, 0 },
		{ MSR_KVM_ASYNC_PF_EN, PV_DATA | 9, 1 },
		{ MSR_KVM_ASYNC_PF_EN, PV_DATA | 1, 1 },
		{ MSR_KVM_ASYNC_PF_EN, 0, 1 },
		{ MSR_KVM_ASYNC_PF_INT, 0x100, 0 },
		{ MSR_KVM_ASYNC_PF_INT, 0xff, 1 },
		{ MSR_KVM_ASYNC_PF_ACK, 1, 1 },
		{ MSR_KVM_ASYNC_PF_ACK, 0, 1 },
		{ MSR_KVM_STEAL_TIME, PV_DATA | 0x21, 0 },
		{ MSR_KVM_STEAL_TIME, PV_DATA | 3, 0 },
		{ MSR_KVM_STEAL_TIME, PV_DATA | 1, 1 },
		{ MSR_KVM_STEAL_TIME, FAR | 1, 1 },
		{ MSR_KVM_STEAL_TIME, ~0x3full | 1, 1 },
		{ MSR_KVM_PV_EOI_EN, PV_DATA | 3, 0 },
		{ MSR_KVM_PV_EOI_EN, PV_DATA | 1, 1 },
		{ MSR_KVM_PV_EOI_EN, FAR | 1, 0 },
		{ MSR_KVM_POLL_CONTROL, 2, 0 },
		{ MSR_KVM_POLL_CONTROL, 0, 1 },
		{ MSR_KVM_POLL_CONTROL, 1, 1 },
		{ MSR_KVM_SYSTEM_TIME_NEW, FAR | 1, 1 },
		{ MSR_KVM_SYSTEM_TIME_NEW, ~0ull, 1 },
		{ MSR_KVM_WALL_CLOCK_NEW, FAR, 1 },
		{ MSR_KVM_WALL_CLOCK_NEW, ~0ull, 1 },
	};
	struct vcpu *v = start(VM_IRQCHIP, PV_LOOP, 0, 0);
	int i, n;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		n = vcpu_set_msr(v, c[i].index, c[i].value);
		if (n != c[i].taken)
			st_fail(__FILE__, __LINE__, "MSR %#x, %#llx: %s", c[i].index,
				(unsigned long long)c[i].value, n ? "taken" : "refused");
		if (n && c[i].index != MSR_KVM_ASYNC_PF_ACK)
			CHECK_EQ(vcpu_get_msr(v, c[i].index), c[i].value);
		vcpu_expect_sync(v, 1);
	}
	if (kvm_is_oot())
		CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, PV_DATA | 0xd), 0);
}

static void msrs_without_lapic(void)
{
	struct vcpu *v = start(0, PV_LOOP, 0, 0);

	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, PV_DATA | 9), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, PV_DATA), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, 0), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_INT, PV_READY), 0);
	CHECK_EQ(vcpu_get_msr(v, MSR_KVM_ASYNC_PF_EN), 0);
	vcpu_expect_sync(v, 1);
}

/* With KVM_CAP_ENFORCE_PV_FEATURE_CPUID what the guest's CPUID does not offer is #GP. */
static void msrs_enforced(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	struct kvm_cpuid2 *c;
	struct report rep;
	int i, j, with;

	for (i = 0; i < 2 * ARRAY_SIZE(msrs); i++) {
		struct vcpu *v = start(VM_IRQCHIP, PV_MSR, msrs[i / 2], 0);

		with = i & 1;
		c = kvm_supported_cpuid(v->vm->dev);
		for (j = 0; j < c->nent; j++)
			if (c->entries[j].function == 0x40000001 && !with)
				c->entries[j].eax = 0;
		OK(ioctl(v->fd, KVM_SET_CPUID2, c));
		free(c);
		OK(ioctl(v->fd, KVM_ENABLE_CAP, &cap));
		rep = vcpu_run_to_report(v);
		if ((int64_t)rep.b != (with ? -1 : 13) || rep.b != rep.c)
			st_fail(__FILE__, __LINE__, "MSR %#x, %s: vectors %d, %d", msrs[i / 2],
				with ? "offered" : "not offered", (int)rep.b, (int)rep.c);
		vm_free(v->vm);
	}
}

/* MSR_KVM_MIGRATION_CONTROL is user space's. */
static void migration_control(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_MSR, MSR_KVM_MIGRATION_CONTROL, 1);
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.b, 13);
	CHECK_EQ(rep.c, 13);
	v = start(VM_IRQCHIP, PV_MSR, MSR_KVM_MIGRATION_CONTROL, 1);
	OK(kvm_enable(v->vm->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN));
	vcpu_expect_exit(v, KVM_EXIT_X86_WRMSR);
	CHECK_EQ(v->run->msr.index, MSR_KVM_MIGRATION_CONTROL);
	CHECK_EQ(v->run->msr.data, 1);
	v->run->msr.error = 0;
	vcpu_expect_exit(v, KVM_EXIT_X86_RDMSR);
	v->run->msr.error = 0;
	CHECK_EQ((int64_t)vcpu_run_to_report(v).b, -1);
}

/* ---- pages that move ----------------------------------------------------------------- */

#define MOVED	0x10000000ul

/* The memory that a clock or counter is in is deleted, read-only, another's, back again. */
static void pages_move(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_LOOP, 0, 0);
	uint8_t *mem[2], zero[PAGE] = {};
	struct kvm_steal_time *st;
	int i, k;

	for (i = 0; i < 2; i++) {
		mem[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		CHECK(mem[i] != MAP_FAILED);
	}
	vm_set_slot(v->vm, 1, MOVED, PAGE, mem[0], 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_STEAL_TIME, MOVED | 1), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_SYSTEM_TIME_NEW, (MOVED + 0x100) | 1), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_PV_EOI_EN, (MOVED + 0x200) | 1), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_ASYNC_PF_EN, (MOVED + 0x300) | 9), 1);
	vcpu_expect_sync(v, 1);
	st = (void *)mem[0];
	CHECK(st->version && !(st->version & 1));
	CHECK(*(uint32_t *)(mem[0] + 0x100) && !(*(uint32_t *)(mem[0] + 0x100) & 1));
	for (k = 0; k < 20; k++) {
		/* gone */
		vm_set_slot(v->vm, 1, MOVED, 0, mem[0], 0);
		memset(mem[0], 0, PAGE);
		OK(ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0ul));
		vcpu_expect_sync(v, 1);
		CHECK(!memcmp(mem[0], zero, PAGE));
		/* read-only */
		vm_set_slot(v->vm, 1, MOVED, PAGE, mem[0], KVM_MEM_READONLY);
		OK(ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0ul));
		vcpu_expect_sync(v, 1);
		if (kvm_is_oot())
			CHECK(!memcmp(mem[0], zero, PAGE));
		/* elsewhere */
		vm_set_slot(v->vm, 1, MOVED, 0, mem[0], 0);
		memset(mem[0], 0, PAGE);
		vm_set_slot(v->vm, 1, MOVED, PAGE, mem[1], 0);
		OK(ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0ul));
		vcpu_expect_sync(v, 1);
		CHECK(!memcmp(mem[0], zero, PAGE));
		CHECK(((struct kvm_steal_time *)mem[1])->version);
		vm_set_slot(v->vm, 1, MOVED, 0, mem[1], 0);
		vm_set_slot(v->vm, 1, MOVED, PAGE, mem[0], 0);
	}
}

/* That it was stopped is there until the guest has seen it, however often the clock is written. */
static void clock_stopped(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_LOOP, 0, 0);
	uint8_t *flags = vm_ptr(v->vm, PV_DATA + 29);
	uint32_t *version = vm_ptr(v->vm, PV_DATA), before;
	struct kvm_clock_data clock = { .clock = 1000000000 };

	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_SYSTEM_TIME_NEW, PV_DATA | 1), 1);
	vcpu_expect_sync(v, 1);
	CHECK_EQ(*flags & 2, 0);
	OK(ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0ul));
	vcpu_expect_sync(v, 1);
	CHECK_EQ(*flags & 2, 2);
	before = *version;
	OK(ioctl(v->vm->fd, KVM_SET_CLOCK, &clock));
	vcpu_expect_sync(v, 1);
	CHECK(*version != before);
	CHECK_EQ(*flags & 2, 2);
	*flags &= ~2;
	OK(ioctl(v->vm->fd, KVM_SET_CLOCK, &clock));
	vcpu_expect_sync(v, 1);
	CHECK_EQ(*flags & 2, 0);
}

/*
 * The vDSO of one CPU reads the first CPU's clock: no CPU may run on a new clock before all
 * have it, whichever runs first. The kernel's own module writes each CPU's when that one runs.
 */
static void clock_of_all(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_LOOP, 0, 0), *still = vm_add_vcpu(v->vm, 1);
	struct pvclock_vcpu_time_info {
		uint32_t version, pad0;
		uint64_t tsc_timestamp, system_time;
		uint32_t mul;
		int8_t shift;
		uint8_t flags, pad[2];
	} *mine = vm_ptr(v->vm, PV_DATA), *its = vm_ptr(v->vm, PV_DATA + 0x40);
	struct kvm_clock_data clock = { .clock = 5000000000 };

	if (!kvm_is_oot())
		st_skip("this module writes each CPU's clock when that one runs");
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_SYSTEM_TIME_NEW, PV_DATA | 1), 1);
	CHECK_EQ(vcpu_set_msr(still, MSR_KVM_SYSTEM_TIME_NEW, (PV_DATA + 0x40) | 1), 1);
	vcpu_expect_sync(v, 1);
	OK(ioctl(v->vm->fd, KVM_SET_CLOCK, &clock));
	vcpu_expect_sync(v, 1);
	CHECK(mine->system_time >= clock.clock && mine->system_time < 2 * clock.clock);
	CHECK(its->version && !(its->version & 1));
	if (its->flags & 1) {
		CHECK_EQ(its->system_time, mine->system_time);
		CHECK_EQ(its->tsc_timestamp, mine->tsc_timestamp);
	} else {
		CHECK(its->system_time >= clock.clock && its->system_time < 2 * clock.clock);
	}
	/* not where there is none any more */
	CHECK_EQ(vcpu_set_msr(still, MSR_KVM_SYSTEM_TIME_NEW, 0), 1);
	memset(its, 0, sizeof(*its));
	OK(ioctl(v->vm->fd, KVM_SET_CLOCK, &clock));
	vcpu_expect_sync(v, 1);
	CHECK(!its->version && !its->system_time);
}

/* ---- steal time ----------------------------------------------------------------------- */

static bool compete;

static void *competitor(void *arg)
{
	while (READ_ONCE(compete))
		;
	return NULL;
}

static void steal_time(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_LOOP, 20000, 0);
	struct kvm_steal_time *st = vm_ptr(v->vm, PV_DATA);
	cpu_set_t one;
	pthread_t t;
	double end;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	OK(sched_setaffinity(0, sizeof(one), &one));
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_STEAL_TIME, PV_DATA | 1), 1);
	vcpu_expect_sync(v, 1);
	CHECK(st->version && !(st->version & 1));
	WRITE_ONCE(compete, true);
	CHECK(!pthread_create(&t, NULL, competitor, NULL));
	for (end = st_now() + 20; st_now() < end && st->steal < 20000000; )
		vcpu_expect_sync(v, 1);
	WRITE_ONCE(compete, false);
	pthread_join(t, NULL);
	CHECK(st->steal >= 20000000);
	CHECK_EQ(st->flags, 0);
	/* another CPU of the guest's asked for a flush while this one was away */
	st->preempted = KVM_VCPU_PREEMPTED | KVM_VCPU_FLUSH_TLB;
	vcpu_expect_sync(v, 1);
	CHECK_EQ(st->preempted & KVM_VCPU_FLUSH_TLB, 0);
}

static void *run_once(void *arg)
{
	vcpu_expect_sync(arg, 1);
	return NULL;
}

/* A thread that has waited less does not give time back. */
static void steal_time_of_threads(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_LOOP, 0, 0);
	struct kvm_steal_time *st = vm_ptr(v->vm, PV_DATA);
	pthread_t t;
	uint64_t last = 0;
	int i;

	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_STEAL_TIME, PV_DATA | 1), 1);
	for (i = 0; i < 20; i++) {
		CHECK(!pthread_create(&t, NULL, run_once, v));
		pthread_join(t, NULL);
		CHECK(st->steal >= last);
		CHECK(st->steal - last < 5000000000ul);
		last = st->steal;
		vcpu_expect_sync(v, 1);
		CHECK(st->steal >= last);
		last = st->steal;
	}
}

/* ---- polling --------------------------------------------------------------------------- */

static uint64_t stat_of(struct vcpu *v, const char *name)
{
	int fd = OK(ioctl(v->fd, KVM_GET_STATS_FD, NULL));
	struct kvm_stats_header h;
	struct kvm_stats_desc *d;
	uint64_t value = 0;
	uint32_t i;

	CHECK_EQ(pread(fd, &h, sizeof(h), 0), sizeof(h));
	d = malloc(sizeof(*d) + h.name_size);
	CHECK(d);
	for (i = 0; i < h.num_desc; i++) {
		CHECK_EQ(pread(fd, d, sizeof(*d) + h.name_size, h.desc_offset +
			       i * (sizeof(*d) + h.name_size)), sizeof(*d) + h.name_size);
		if (!strcmp(d->name, name))
			break;
	}
	CHECK(i < h.num_desc);
	CHECK_EQ(pread(fd, &value, sizeof(value), h.data_offset + d->offset), sizeof(value));
	free(d);
	close(fd);
	return value;
}

static void poll_control(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_HALT, 50, 0);
	uint64_t polls;

	OK(kvm_enable(v->vm->fd, KVM_CAP_HALT_POLL, 100000000));
	CHECK_EQ(vcpu_get_msr(v, MSR_KVM_POLL_CONTROL), 1);
	vcpu_expect_sync(v, 1);
	polls = stat_of(v, "halt_attempted_poll");
	CHECK(polls);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_POLL_CONTROL, 0), 1);
	vcpu_expect_sync(v, 1);
	CHECK_EQ(stat_of(v, "halt_attempted_poll"), polls);
	CHECK_EQ(vcpu_set_msr(v, MSR_KVM_POLL_CONTROL, 1), 1);
	vcpu_expect_sync(v, 1);
	CHECK(stat_of(v, "halt_attempted_poll") > polls);
}

/* ---- hypercalls ------------------------------------------------------------------------- */

static int64_t call(struct vcpu *v, uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2,
		    uint64_t a3)
{
	uint64_t *arg = vm_ptr(v->vm, PV_DATA);
	struct report rep;

	arg[0] = nr;
	arg[1] = a0;
	arg[2] = a1;
	arg[3] = a2;
	arg[4] = a3;
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 1);
	return rep.b;
}

static void enable_apic(struct vcpu *v)
{
	struct kvm_lapic_state s;

	OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
	s.regs[0xf1] |= 1;	/* SPIV: enabled */
	OK(ioctl(v->fd, KVM_SET_LAPIC, &s));
}

static bool has_irq(struct vcpu *v)
{
	struct kvm_lapic_state s;

	OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
	/* IRR, one word each 16 bytes */
	return s.regs[0x200 + PV_IRQ / 32 * 16 + PV_IRQ % 32 / 8] >> (PV_IRQ % 8) & 1;
}

static void send_ipi(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_CALL, 0, 0), *other[3];
	static const int ids[] = { 1, 70, 4095 };
	int i;

	for (i = 0; i < 2; i++) {
		other[i] = vm_add_vcpu(v->vm, ids[i]);
		enable_apic(other[i]);
	}
	/* nobody there */
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 0, 0, 0, PV_IRQ), 0);
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, ~0ul, ~0ul, 0xffffffff, PV_IRQ), 0);
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, ~0ul, ~0ul, 4096, PV_IRQ), 0);
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, ~0ul, ~0ul, 128, PV_IRQ), 0);
	/* 255 is no broadcast */
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 1, 0, 255, PV_IRQ), 0);
	for (i = 0; i < 2; i++)
		CHECK(!has_irq(other[i]));
	/* in xAPIC mode it has the id 255, too */
	other[2] = vm_add_vcpu(v->vm, ids[2]);
	enable_apic(other[2]);
	/* shorthand, logical destination */
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 1, 0, 0, PV_IRQ | 1 << 18), -KVM_EINVAL);
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 1, 0, 0, PV_IRQ | 1 << 11), -KVM_EINVAL);
	CHECK_EQ(shared(v)->irqs, 0);
	/* itself */
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 1, 0, 0, PV_IRQ), 1);
	CHECK(UNTIL(shared(v)->irqs || (call(v, KVM_HC_SEND_IPI, 0, 0, 0, 0), false), 10));
	/* ids of both words; the last of all */
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 2, 1 << 6, 0, PV_IRQ), 2);
	CHECK(has_irq(other[0]) && has_irq(other[1]) && !has_irq(other[2]));
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, ~0ul, ~0ul, 4095, PV_IRQ), 1);
	CHECK(has_irq(other[2]));
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 0, 1ul << 63, 4095 - 127, PV_IRQ), 1);
	CHECK_EQ(call(v, KVM_HC_SEND_IPI, 0, 1ul << 63, 4095 - 126, PV_IRQ), 0);
}

static void ids_of_calls(void)
{
	static const uint64_t ids[] = { 0, 1, 255, 4095, 4096, 0xffffffff, 1ul << 32, ~0ul };
	struct vcpu *v = start(VM_IRQCHIP, PV_CALL, 0, 0);
	int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		CHECK_EQ(call(v, KVM_HC_KICK_CPU, 0, ids[i], 0, 0), 0);
		CHECK_EQ(call(v, KVM_HC_SCHED_YIELD, ids[i], 0, 0, 0), 0);
	}
	CHECK_EQ(call(v, 999, 0, 0, 0, 0), -KVM_ENOSYS);
}

static void clock_pairing(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_CALL, 0, 0);
	struct kvm_clock_pairing *pair = vm_ptr(v->vm, PV_DATA + 0x400);
	struct timespec before, after;
	uint64_t tsc;
	int64_t r;

	CHECK_EQ(call(v, KVM_HC_CLOCK_PAIRING, PV_DATA + 0x400, 1, 0, 0), -KVM_EOPNOTSUPP);
	tsc = vcpu_get_msr(v, 0x10);
	clock_gettime(CLOCK_REALTIME, &before);
	r = call(v, KVM_HC_CLOCK_PAIRING, PV_DATA + 0x400, 0, 0, 0);
	clock_gettime(CLOCK_REALTIME, &after);
	if (r == -KVM_EOPNOTSUPP)
		st_skip("the host's clock is not its TSC");
	CHECK_EQ(r, 0);
	CHECK(pair->sec >= before.tv_sec && pair->sec <= after.tv_sec);
	CHECK(pair->nsec < 1000000000);
	CHECK(pair->tsc >= tsc && pair->tsc <= vcpu_get_msr(v, 0x10));
	CHECK_EQ(call(v, KVM_HC_CLOCK_PAIRING, FAR, 0, 0, 0), -KVM_EFAULT);
}

static bool woken;

static void *run_halted(void *arg)
{
	vcpu_expect_sync(arg, 1);
	WRITE_ONCE(woken, true);
	return NULL;
}

/* HLT with interrupts off: nothing ends it but the kick. */
static void kick(void)
{
	struct vcpu *v = start(VM_IRQCHIP, PV_CALL, 0, 0), *w = vm_add_vcpu(v->vm, 1);
	struct kvm_mp_state run = { KVM_MP_STATE_RUNNABLE }, now;
	pthread_t t;

	vcpu_start(w, PV_CLI_HALT, 0, 0);
	OK(ioctl(w->fd, KVM_SET_MP_STATE, &run));
	CHECK(!pthread_create(&t, NULL, run_halted, w));
	usleep(300000);
	CHECK(!READ_ONCE(woken));
	/* another one's, and none's */
	CHECK_EQ(call(v, KVM_HC_KICK_CPU, 0, 0, 0, 0), 0);
	CHECK_EQ(call(v, KVM_HC_KICK_CPU, 0, 2, 0, 0), 0);
	usleep(200000);
	CHECK(!READ_ONCE(woken));
	CHECK_EQ(call(v, KVM_HC_KICK_CPU, 0, 1, 0, 0), 0);
	CHECK(UNTIL(READ_ONCE(woken), 20));
	pthread_join(t, NULL);
	OK(ioctl(w->fd, KVM_GET_MP_STATE, &now));
	CHECK_EQ(now.mp_state, KVM_MP_STATE_RUNNABLE);
}

static const struct st_test tests[] = {
	{ "apf_page", apf_page },
	{ "apf_many", apf_many },
	{ "apf_halt", apf_halt },
	{ "apf_interrupts_off", apf_interrupts_off },
	{ "apf_acknowledged", apf_acknowledged },
	{ "apf_disabled", apf_disabled },
	{ "apf_taken_away", apf_taken_away },
	{ "apf_reset", apf_reset },
	{ "apf_destroyed", apf_destroyed },
	{ "apf_slot_deleted", apf_slot_deleted },
	{ "apf_killed", apf_killed },
	{ "apf_restored", apf_restored },
	{ "msr_list", msr_list },
	{ "msr_values", msr_values },
	{ "msrs_without_lapic", msrs_without_lapic },
	{ "msrs_enforced", msrs_enforced },
	{ "migration_control", migration_control },
	{ "pages_move", pages_move },
	{ "clock_stopped", clock_stopped },
	{ "clock_of_all", clock_of_all },
	{ "steal_time", steal_time },
	{ "steal_time_of_threads", steal_time_of_threads },
	{ "poll_control", poll_control },
	{ "send_ipi", send_ipi },
	{ "ids_of_calls", ids_of_calls },
	{ "clock_pairing", clock_pairing },
	{ "kick", kick },
	{}
};

ST_MAIN("pv", tests)
