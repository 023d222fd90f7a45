// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that write rubbish into every register they can reach, run rubbish, or
 * nothing; and user space that scribbles on what it shares with the kernel and
 * changes a VM under a running vCPU. KVM_RUN must come back with one of the
 * documented exits or errors, every time, and afterwards the host is as before.
 *
 * All of it is random, and bounded by time: ST_SEED=number repeats a run,
 * ST_TIME=n makes it n times as long.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>

#include "rubbish.h"
#include "st.h"

#define PAGE	4096ul

static uint64_t seed_of_run(void)
{
	static uint64_t seed;
	struct timespec t;

	if (seed)
		return seed;
	if (getenv("ST_SEED")) {
		seed = strtoull(getenv("ST_SEED"), NULL, 0);
	} else {
		clock_gettime(CLOCK_REALTIME, &t);
		seed = t.tv_sec * 1000000007ull + t.tv_nsec;
	}
	seed = seed ?: 1;
	st_note("ST_SEED=%llu", (unsigned long long)seed);
	return seed;
}

static __thread uint64_t rng;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t n)
{
	return (rnd() >> 16) % n;
}

static uint64_t value(void)
{
	switch (below(5)) {
	case 0:
		return rnd();
	case 1:
		return rnd() & rnd() & rnd();
	case 2:
		return below(256);
	case 3:
		return (1ull << below(64)) - below(3);
	default:
		return (uint32_t)rnd();
	}
}

static void randomize(void *p, size_t n)
{
	uint8_t *b = p;

	while (n--)
		*b++ = rnd() >> 24;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static uint64_t until(unsigned int ms)
{
	const char *s = getenv("ST_TIME");

	return now_ms() + (uint64_t)ms * (s ? atoi(s) : 1);
}

/* ---- running ----------------------------------------------------------------- */

/* how a run of rubbish may end, if not by itself */
enum end { END_DONE, END_FAULT, END_SYNC, END_HALT, END_DEAD, END_EFAULT, END_TIME };

static atomic_bool stop;
static unsigned long ends[END_TIME + 1], exits_seen;

static void on_signal(int sig)
{
}

/*
 * Signals that end KVM_RUN: every few milliseconds, whatever the guest does. Not
 * before the VM is there: KVM_CREATE_VM too may be interrupted.
 */
static void start_timer(void)
{
	struct itimerval t = { { 0, 4000 }, { 0, 4000 } };

	OK(sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_signal }, NULL));
	OK(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL));
	OK(setitimer(ITIMER_REAL, &t, NULL));
}

static void stop_timer(void)
{
	OK(setitimer(ITIMER_REAL, &(struct itimerval){}, NULL));
}

static void answer_io(struct kvm_run *run)
{
	if (run->io.direction == KVM_EXIT_IO_IN)
		randomize((char *)run + run->io.data_offset, run->io.size * run->io.count);
}

/* @may_fault: guest memory may lack host memory */
static enum end drive(struct vcpu *v, unsigned int ms, bool may_fault, struct report *rep)
{
	uint64_t deadline = now_ms() + ms;
	struct kvm_run *run = v->run;
	struct kvm_regs r;
	int err;

	for (;;) {
		err = vcpu_run_raw(v);
		if (now_ms() >= deadline)
			return END_TIME;
		if (err == -EINTR || err == -EAGAIN)
			continue;
		if (err == -EFAULT && may_fault)
			return END_EFAULT;
		if (err)
			st_fail(__FILE__, __LINE__, "KVM_RUN: %s", strerror(-err));
		exits_seen++;
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == REPORT_PORT && run->io.size == 4 &&
			    run->io.direction == KVM_EXIT_IO_OUT) {
				vcpu_regs(v, &r);
				*rep = (struct report) { r.rax, r.rdi, r.rsi, r.rdx };
				if (rep->kind == REPORT_DONE)
					return END_DONE;
				if (rep->kind == REPORT_SYNC)
					return END_SYNC;
				return END_FAULT;
			}
			answer_io(run);
			break;
		case KVM_EXIT_MMIO:
			CHECK(run->mmio.len <= 8);
			if (!run->mmio.is_write)
				randomize(run->mmio.data, run->mmio.len);
			break;
		case KVM_EXIT_HLT:
			return END_HALT;
		case KVM_EXIT_INTERNAL_ERROR:
			CHECK(run->internal.suberror >= 1 && run->internal.suberror <= 4);
			CHECK(run->internal.ndata <= 16);
			return END_DEAD;
		case KVM_EXIT_SHUTDOWN:
		case KVM_EXIT_FAIL_ENTRY:
			return END_DEAD;
		case KVM_EXIT_IRQ_WINDOW_OPEN:
		case KVM_EXIT_SET_TPR:
		case KVM_EXIT_IOAPIC_EOI:
		case KVM_EXIT_INTR:
		case KVM_EXIT_DEBUG:
			break;
		case KVM_EXIT_X86_RDMSR:
		case KVM_EXIT_X86_WRMSR:
			run->msr.error = below(2);
			break;
		default:
			st_fail(__FILE__, __LINE__, "exit %u", run->exit_reason);
		}
	}
}

/* The state of a new vCPU that rubbish is undone with. */
struct fresh {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_lapic_state lapic;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	bool has_lapic;
	uint8_t mem[0x10000];	/* the tables */
};

static void save(struct vcpu *v, struct fresh *f)
{
	vcpu_set_cpuid(v);
	vcpu_long_mode(v);
	OK(ioctl(v->fd, KVM_GET_SREGS, &f->sregs));
	vcpu_regs(v, &f->regs);
	OK(ioctl(v->fd, KVM_GET_XSAVE, &f->xsave));
	OK(ioctl(v->fd, KVM_GET_XCRS, &f->xcrs));
	OK(ioctl(v->fd, KVM_GET_DEBUGREGS, &f->debug));
	f->has_lapic = !ioctl(v->fd, KVM_GET_LAPIC, &f->lapic);
	memcpy(f->mem, v->vm->mem, sizeof(f->mem));
}

static void undo(struct vcpu *v, struct fresh *f)
{
	struct kvm_vcpu_events ev = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
						KVM_VCPUEVENT_VALID_SHADOW };
	/* so that nobody writes into the guest's memory any more */
	static const uint32_t pv[] = { 0x12, 0x4b564d01, 0x4b564d03, 0x4b564d04 };
	struct kvm_guest_debug dbg = {};
	struct kvm_vapic_addr va = {};
	struct kvm_vcpu_events was;
	int r;

	/* what is under way is finished with the old state */
	v->run->kvm_dirty_regs = 0;
	v->run->kvm_valid_regs = 0;
	v->run->request_interrupt_window = 0;
	v->run->cr8 = 0;
	v->run->immediate_exit = 1;
	r = vcpu_run_raw(v);
	/* a fragment of MMIO may follow another */
	for (int i = 0; !r && i < 64; i++)
		r = vcpu_run_raw(v);
	v->run->immediate_exit = 0;
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg));
	/* no SMM, and an SMI that was sent is forgotten */
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &was));
	ev.flags |= was.flags & KVM_VCPUEVENT_VALID_SMM;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	OK(ioctl(v->fd, KVM_SET_SREGS, &f->sregs));
	vcpu_set_regs(v, &f->regs);
	OK(ioctl(v->fd, KVM_SET_XCRS, &f->xcrs));
	OK(ioctl(v->fd, KVM_SET_XSAVE, &f->xsave));
	OK(ioctl(v->fd, KVM_SET_DEBUGREGS, &f->debug));
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	vcpu_make_runnable(v);
	for (r = 0; r < 4; r++)
		vcpu_set_msr(v, pv[r], 0);
	if (f->has_lapic) {
		OK(ioctl(v->fd, KVM_SET_LAPIC, &f->lapic));
		OK(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &va));
	}
	memcpy(v->vm->mem, f->mem, sizeof(f->mem));
}

static void begin(struct vcpu *v, struct fresh *f, uint64_t test, uint64_t n)
{
	struct kvm_regs r = f->regs;

	/* the page tables and the code may have been written over */
	undo(v, f);
	PAYLOAD(v->vm, rubbish);
	r.rdi = test;
	r.rsi = rnd();
	r.rdx = n;
	vcpu_set_regs(v, &r);
}

static struct vm *machine(unsigned int flags)
{
	struct vm *vm = vm_new(8 << 20, flags);
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint8_t *smram;

	/* an SMI is for firmware that has nothing to do: RSM */
	if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM) > 0) {
		smram = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(smram != MAP_FAILED);
		memcpy(smram + 0x8000, "\x0f\xaa", 2);
		vm_set_slot(vm, 1 << 16, 0x30000, 0x10000, smram, 0);
	}

	if (flags & VM_IRQCHIP)
		OK(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	return vm;
}

static struct fresh fresh;

/* A test of the payload again and again; it must come to its end by itself some time. */
static void rubbish(unsigned int flags, uint64_t test, uint64_t n, unsigned int ms)
{
	struct vm *vm;
	struct vcpu *v;
	struct report rep;
	uint64_t end;

	rng = seed_of_run();
	vm = machine(flags);
	v = vm_add_vcpu(vm, 0);
	vm_add_vcpu(vm, 1);		/* somebody to send interrupts to */
	save(v, &fresh);
	start_timer();
	end = until(ms);
	do {
		begin(v, &fresh, test, n);
		ends[drive(v, 3000, false, &rep)]++;
		/* at the latest now the vCPU works again */
	} while (now_ms() < end || (!ends[END_DONE] && now_ms() < end + 20000));
	st_note("%lu exits; ends: %lu done, %lu fault, %lu machine, %lu time", exits_seen,
		ends[END_DONE], ends[END_FAULT], ends[END_DEAD] + ends[END_HALT],
		ends[END_TIME]);
	CHECK(ends[END_DONE] > 0);
	begin(v, &fresh, RUBBISH_IOAPIC, 0);
	CHECK_EQ(drive(v, 10000, false, &rep), END_DONE);
}

static void xapic(void)
{
	rubbish(VM_IRQCHIP, RUBBISH_XAPIC, 300, 800);
}

static void x2apic(void)
{
	rubbish(VM_IRQCHIP, RUBBISH_X2APIC, 300, 800);
}

static void x2apic_split(void)
{
	rubbish(VM_SPLIT, RUBBISH_X2APIC, 300, 400);
}

static void ioapic(void)
{
	rubbish(VM_IRQCHIP, RUBBISH_IOAPIC, 300, 600);
}

static void ports(void)
{
	rubbish(VM_IRQCHIP, RUBBISH_PORTS, 300, 800);
}

static void msrs(void)
{
	rubbish(VM_IRQCHIP, RUBBISH_MSRS, 6, 1500);
}

static void msrs_without_apic(void)
{
	rubbish(0, RUBBISH_MSRS, 12, 400);
}

static void control(void)
{
	rubbish(0, RUBBISH_CONTROL, 60, 800);
}

static void storm(void)
{
	rubbish(VM_IRQCHIP, RUBBISH_STORM, 0, 300);
}

/* State that is restored ends what was under way: no interrupt of the old timer. */
static void restored_timer(void)
{
	struct kvm_lapic_state lapic, later;
	struct report rep;
	struct vcpu *v;
	struct vm *vm;
	int i;

	rng = seed_of_run();
	vm = machine(VM_IRQCHIP);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	for (i = 0; i < 5; i++) {
		begin(v, &fresh, RUBBISH_STORM, 0);
		drive(v, 40, false, &rep);
		OK(ioctl(v->fd, KVM_SET_LAPIC, &fresh.lapic));
		OK(ioctl(v->fd, KVM_GET_LAPIC, &lapic));
		usleep(30000);
		OK(ioctl(v->fd, KVM_GET_LAPIC, &later));
		CHECK(!memcmp(&lapic, &later, sizeof(lapic)));
		CHECK(!memcmp(&lapic, &fresh.lapic, sizeof(lapic)));
	}
}

/* The work that a level-triggered line makes is under way when the VM goes. */
static void level_and_gone(void)
{
	struct kvm_irq_level line = { .irq = 11, .level = 1 };
	struct report rep;
	struct vcpu *v;
	struct vm *vm;
	unsigned int i;

	rng = seed_of_run();
	for (i = 0; i < 3; i++) {
		vm = machine(VM_IRQCHIP);
		v = vm_add_vcpu(vm, 0);
		save(v, &fresh);
		start_timer();
		begin(v, &fresh, RUBBISH_LEVEL, 0);
		OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
		if (drive(v, 300, false, &rep) != END_TIME)
			st_fail(__FILE__, __LINE__, "exit %u, report %u: %#llx %#llx %#llx",
				v->run->exit_reason, rep.kind, (unsigned long long)rep.a,
				(unsigned long long)rep.b, (unsigned long long)rep.c);
		CHECK(READ_ONCE(*(uint64_t *)vm_ptr(vm, GUEST_SHARED)) > 10);
		stop_timer();
		if (i == 1)
			vm_free(vm);
	}
}

/* An eventfd is signalled while its route comes, changes and goes. */
static int signalled;

static void *signal_loop(void *arg)
{
	while (!atomic_load(&stop))
		eventfd_write(signalled, 1);
	return NULL;
}

static void irqfd_routes(void)
{
	struct {
		struct kvm_irq_routing r;
		struct kvm_irq_routing_entry e;
	} t = { .r.nr = 1, .e = { .gsi = 5, .type = KVM_IRQ_ROUTING_MSI,
				  .u.msi = { .address_lo = 0xfee00000, .data = 0x60 } } };
	struct kvm_irqfd fd = { .gsi = 5 };
	struct kvm_lapic_state lapic;
	unsigned int rounds = 0;
	struct vcpu *v;
	pthread_t thread;
	struct vm *vm;
	uint64_t end;

	rng = seed_of_run();
	vm = machine(VM_IRQCHIP);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	*(uint32_t *)(fresh.lapic.regs + 0xf0) = 0x1ff;
	signalled = OK(eventfd(0, EFD_NONBLOCK));
	fd.fd = signalled;
	CHECK_EQ(pthread_create(&thread, NULL, signal_loop, NULL), 0);
	end = until(600);
	do {
		fd.flags = 0;
		OK(ioctl(vm->fd, KVM_IRQFD, &fd));
		t.r.nr = 1;
		OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &t));
		usleep(below(500));
		t.r.nr = below(2);
		OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &t));
		fd.flags = KVM_IRQFD_FLAG_DEASSIGN;
		OK(ioctl(vm->fd, KVM_IRQFD, &fd));
		/* none comes after that */
		OK(ioctl(v->fd, KVM_SET_LAPIC, &fresh.lapic));
		usleep(below(1000));
		OK(ioctl(v->fd, KVM_GET_LAPIC, &lapic));
		CHECK_EQ(*(uint32_t *)(lapic.regs + 0x230), 0);
		rounds++;
	} while (now_ms() < end);
	/* and then the VM goes with one that is in use */
	fd.flags = 0;
	OK(ioctl(vm->fd, KVM_IRQFD, &fd));
	close(vm->fd);
	close(v->fd);
	munmap(v->run, v->run_size);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	CHECK(rounds > 3);
}

/* ---- addresses, and slots that go away --------------------------------------- */

static void pv_addresses(void)
{
	struct vm *vm;
	struct vcpu *v;
	struct report rep;
	uint8_t *mem;
	uint64_t end;
	int i;

	rng = seed_of_run();
	vm = machine(VM_IRQCHIP);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	mem = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	vm_set_slot(vm, 3, RUBBISH_RO, PAGE, mem + 2 * PAGE, KVM_MEM_READONLY);
	end = until(1500);
	do {
		begin(v, &fresh, RUBBISH_PV, 100);
		/* an address that the last round left in force is no business of this one */
		for (;;) {
			enum end e = drive(v, 3000, true, &rep);

			ends[e]++;
			if (e != END_SYNC)
				break;
			for (i = 0; i < 2; i++) {
				struct kvm_userspace_memory_region r = {
					.slot = 1 + i, .flags = below(2),
					.guest_phys_addr = i ? RUBBISH_SLOT2 : RUBBISH_SLOT1,
					.memory_size = below(3) ? PAGE : 0,
					.userspace_addr = (uintptr_t)mem + i * PAGE,
				};

				if (!below(8))
					r.guest_phys_addr += 16 * PAGE;
				ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
			}
			if (!below(4))
				OK(mprotect(mem, 2 * PAGE, PROT_READ * below(2)));
			else
				OK(mprotect(mem, 2 * PAGE, PROT_READ | PROT_WRITE));
			if (!below(4))
				madvise(mem, 2 * PAGE, MADV_DONTNEED);
			if (!below(4)) {
				struct kvm_vapic_addr va = { .vapic_addr =
					below(2) ? RUBBISH_SLOT2 - below(8) : value() };

				ioctl(v->fd, KVM_SET_VAPIC_ADDR, &va);
			}
		}
	} while (now_ms() < end || (!ends[END_DONE] && now_ms() < end + 20000));
	st_note("%lu rounds to the end, %lu changes of slots, %lu other ends", ends[END_DONE],
		ends[END_SYNC], ends[END_FAULT] + ends[END_DEAD] + ends[END_EFAULT]);
	CHECK(ends[END_DONE] > 0 && ends[END_SYNC] > 0);
	/* and what it cannot write was not written */
	for (i = 0; i < PAGE; i++)
		CHECK_EQ(mem[2 * PAGE + i], 0);
}

/* ---- over the border of pages ------------------------------------------------ */

/* Every byte that comes out has the value that belongs to its address. */
static void page_crossing(void)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	unsigned int writes = 0, stage = 0, i;
	struct kvm_run *run = v->run;
	struct report rep;

	rng = seed_of_run();
	PAYLOAD(vm, rubbish);
	vcpu_start(v, RUBBISH_PAGES, rnd(), vm->size);
	for (;;) {
		uint32_t reason = vcpu_run(v);

		if (reason == KVM_EXIT_IO && vcpu_is_report(v, &rep)) {
			if (rep.kind == REPORT_DONE)
				break;
			CHECK_EQ(rep.a, ++stage);
			continue;
		}
		if (reason != KVM_EXIT_MMIO)
			st_fail(__FILE__, __LINE__, "exit %s at stage %u", exit_text(v), stage);
		if (!run->mmio.is_write) {
			randomize(run->mmio.data, run->mmio.len);
			continue;
		}
		writes++;
		for (i = 0; i < run->mmio.len; i++)
			CHECK_EQ(run->mmio.data[i], RUBBISH_BYTE(run->mmio.phys_addr + i));
		memset(run->mmio.data, 0xee, 8);
	}
	CHECK_EQ(stage, 4);
	CHECK(writes > 200);
	for (i = 1; i < 16; i++)
		CHECK_EQ(vm->mem[vm->size - i], RUBBISH_BYTE(vm->size - i));
}

/* ---- destinations ------------------------------------------------------------ */

static void destination_ids(void)
{
	static const uint32_t id[] = {
		0, 1, 2, 15, 16, 254, 255, 256, 299, 300, 301, 0xfff, 0x1000, 0xffff, 0x10001,
		0x7fffff00, 0x80000000, 0xffffff00, 0xfffffffe, 0xffffffff,
	};
	struct kvm_enable_cap api = { .cap = KVM_CAP_X2APIC_API, .args = { 3 } };
	struct vm *vm;
	struct vcpu *v;
	struct report rep;
	unsigned int wide, i, mode;
	struct kvm_msi msi;
	int r;

	rng = seed_of_run();
	for (wide = 0; wide < 2; wide++) {
		vm = machine(VM_IRQCHIP);
		if (wide)
			OK(ioctl(vm->fd, KVM_ENABLE_CAP, &api));
		v = vm_add_vcpu(vm, 0);
		vm_add_vcpu(vm, 1);
		vm_add_vcpu(vm, 300);
		save(v, &fresh);
	start_timer();
		for (i = 0; i < 2; i++) {
			begin(v, &fresh, RUBBISH_IDS, 0);
			ends[drive(v, 8000, false, &rep)]++;
		}
		/* and from outside */
		for (i = 0; i < ARRAY_SIZE(id); i++) {
			for (mode = 0; mode < 32; mode++) {
				struct {
					struct kvm_irq_routing r;
					struct kvm_irq_routing_entry e;
				} t = { .r.nr = 1, .e = { .gsi = i, .type = KVM_IRQ_ROUTING_MSI } };
				struct kvm_irq_level line = { .irq = i, .level = 1 };

				memset(&msi, 0, sizeof(msi));
				msi.address_lo = 0xfee00000 | (id[i] & 0xff) << 12 |
						 (mode >> 3) << 2;
				msi.address_hi = wide ? id[i] & ~0xffu : id[i];
				msi.data = (mode & 7) << 8 | (0x10 + below(0xf0));
				r = ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
				CHECK(r <= 3);
				if (mode % 8)
					continue;
				t.e.u.msi.address_lo = msi.address_lo;
				t.e.u.msi.address_hi = msi.address_hi;
				t.e.u.msi.data = rnd();
				OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &t));
				OK(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line));
				CHECK((int)line.status <= 3);
			}
		}
		stop_timer();
		/* a message for the one that there is arrives once */
		undo(v, &fresh);
		memset(&msi, 0, sizeof(msi));
		*(uint32_t *)(fresh.lapic.regs + 0xf0) = 0x1ff;
		OK(ioctl(v->fd, KVM_SET_LAPIC, &fresh.lapic));
		msi.address_lo = 0xfee00000;
		msi.data = 0x55;
		CHECK_EQ(OK(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)), 1);
	}
	st_note("ends: %lu done, %lu fault, %lu machine, %lu time", ends[END_SYNC],
		ends[END_FAULT], ends[END_DEAD] + ends[END_HALT], ends[END_TIME]);
	CHECK(ends[END_SYNC] > 0);
}

/* ---- instructions at random -------------------------------------------------- */

/* what a random byte would seldom make: instructions that the host has to do with */
static unsigned int instruction(uint8_t *p)
{
	static const uint8_t first[] = {
		0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0xcf, 0xcd, 0xcc, 0xf1, 0xe4, 0xe5, 0xe6, 0xe7,
		0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xae,
		0x8e, 0x8c, 0x9a, 0xea, 0xff, 0xfe, 0xf6, 0xf7, 0xf4, 0xfa, 0xfb, 0x9d, 0x9c, 0xc8,
		0xca, 0xcb, 0xc4, 0xc5, 0x62, 0x63, 0x8f, 0x0e, 0xd7, 0xdb, 0xdf, 0xd9, 0xc6, 0xc7,
		0x80, 0x81, 0x83, 0xd0, 0xd3, 0xc0, 0x87, 0x86, 0x89, 0x8b, 0x8a, 0x88, 0xa0, 0xa2,
	};
	static const uint8_t second[] = {
		0x00, 0x00, 0x01, 0x01, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x0d,
		0x18, 0x20, 0x20, 0x21, 0x22, 0x22, 0x23, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37,
		0xa2, 0xa3, 0xab, 0xae, 0xae, 0xb0, 0xb1, 0xb2, 0xb4, 0xb6, 0xba, 0xbb, 0xbc, 0xc0,
		0xc1, 0xc3, 0xc7, 0xc7, 0xe7, 0x2b, 0x6f, 0x7f, 0x11, 0x10, 0x28, 0x29, 0x38, 0x3a,
	};
	static const uint8_t prefix[] = {
		0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x64, 0x65, 0x48
	};
	unsigned int n = 0;

	while (!below(3) && n < 4)
		p[n++] = prefix[below(sizeof(prefix))];
	p[n] = first[below(sizeof(first))];
	if (p[n++] == 0x0f)
		p[n++] = second[below(sizeof(second))];
	randomize(p + n, 4);
	if (below(2))
		p[n] |= 0xc0;		/* registers, not memory */
	return n + 1 + below(4);
}

/* What follows the prefixes at p is LOCK's one-byte or 0f opcode with a register for operand. */
static bool lock_of_register(const uint8_t *p)
{
	static const uint8_t prefixes[] = "\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65";
	unsigned int n = 0;

	while (n < 12 && p[n] && (strchr((const char *)prefixes, p[n]) || (p[n] & 0xf0) == 0x40))
		n++;
	n += p[n] == 0x0f ? 2 : 1;
	return p[n] >= 0xc0;
}

/* QEMU 7.2 ends itself over some instructions, in whatever guest (docs/emulator-faults.md). */
static void spare_emulator(uint8_t *p, size_t size)
{
	size_t n;

	for (n = 0; n + 16 < size; n++) {
		if (p[n] == 0x0f && p[n + 1] == 0x23)
			p[n + 1] = 0x21;	/* MOV from, not to a debug register */
		else if (p[n] == 0xf0 && lock_of_register(p + n))
			p[n] = 0x90;
	}
	memset(p + n, 0x90, size - n);
}

static void soup(uint8_t *p, size_t size)
{
	size_t n = 0;

	randomize(p, size);
	while (n + 16 < size) {
		if (below(2))
			n += instruction(p + n);
		else
			n += 1 + below(4);
	}
	if (st_on_tcg())
		spare_emulator(p, size);
}

static uint64_t pointer(void)
{
	switch (below(6)) {
	case 0:
		return MMIO_BASE + below(0x2000);
	case 1:
		return 0xfee00000 + below(0x1010);
	case 2:
		return below(8 << 20);
	case 3:
		return (8 << 20) - below(64);
	case 4:
		return 0xfec00000 + below(32);
	default:
		return value();
	}
}

enum cpu_mode { REAL, FLAT32, PAGED32, LONG, NR_MODES };

static void all_data(struct kvm_sregs *s, struct kvm_segment data)
{
	s->ds = data;
	s->es = data;
	s->fs = data;
	s->gs = data;
	s->ss = data;
}

static void enter_mode(struct vcpu *v, enum cpu_mode mode, struct kvm_sregs *s)
{
	struct kvm_segment code = { .type = 11, .present = 1, .s = 1, .g = 1, .db = 1,
				    .limit = 0xffffffff, .selector = SEL_CODE32 };
	struct kvm_segment data = { .type = 3, .present = 1, .s = 1, .g = 1, .db = 1,
				    .limit = 0xffffffff, .selector = SEL_DATA };

	*s = fresh.sregs;
	if (mode == LONG)
		return;
	s->efer = 0;
	s->cr4 = 0x610;
	s->cr3 = GUEST_PD32;
	s->cr0 = mode == PAGED32 ? 0x80000031 : 0x31;
	s->cs = code;
	all_data(s, data);
	if (mode == REAL) {
		s->cr0 = 0x30;
		s->cs = (struct kvm_segment) { .type = 11, .present = 1, .s = 1, .limit = 0xffff,
					       .selector = 0x1000, .base = 0x10000 };
		data = (struct kvm_segment) { .type = 3, .present = 1, .s = 1, .limit = 0xffff };
		all_data(s, data);
		s->idt.base = 0;
		s->idt.limit = 0x3ff;
		/* "unreal": 32-bit addresses reach the devices */
		s->ds.limit = below(2) ? 0xffffffff : 0xffff;
		s->es.limit = s->ds.limit;
	}
}

static void instructions(enum cpu_mode mode)
{
	unsigned int rounds = 0;
	struct kvm_sregs s;
	struct kvm_regs r;
	struct report rep;
	uint64_t end, *q;
	struct vcpu *v;
	struct vm *vm;
	size_t i;

	rng = seed_of_run();
	vm = machine(below(3) ? VM_IRQCHIP : 0);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	end = until(700);
	while (now_ms() < end) {
		undo(v, &fresh);
		soup(vm->mem + 0x10000, 0x20000);
		if (mode == REAL)
			randomize(vm->mem, 0x400);
		for (i = 0; i < 24; i++) {
			enter_mode(v, mode, &s);
			OK(ioctl(v->fd, KVM_SET_SREGS, &s));
			q = (uint64_t *)&r;
			for (size_t k = 0; k < 16; k++)
				q[k] = pointer();
			r.rsp = below(4) ? 0x80000 - 8 * below(16) : pointer();
			if (!below(3))
				r.rcx = below(40);
			r.rip = below(0x10000);
			if (mode != REAL)
				r.rip += 0x10000;
			r.rflags = 2 | (value() & (below(4) ? 0x8d5 : 0x277fd5));
			vcpu_set_regs(v, &r);
			v->run->request_interrupt_window = !below(4);
			ends[drive(v, 15, false, &rep)]++;
			rounds++;
		}
	}
	st_note("%u starts, %lu exits: %lu died, %lu halted, %lu spun", rounds, exits_seen,
		ends[END_DEAD], ends[END_HALT], ends[END_TIME]);
	CHECK(rounds > 20);
	begin(v, &fresh, RUBBISH_IOAPIC, 0);
	CHECK_EQ(drive(v, 10000, false, &rep), END_DONE);
}

static void instructions_real(void)
{
	instructions(REAL);
}

static void instructions_flat(void)
{
	instructions(FLAT32);
}

static void instructions_paged(void)
{
	instructions(PAGED32);
}

static void instructions_long(void)
{
	instructions(LONG);
}

/* Segments, tables and control registers that no guest could have loaded. */
static void impossible_states(void)
{
	unsigned int tries = 0, taken = 0, i;
	struct kvm_vcpu_events ev;
	struct kvm_sregs s;
	struct kvm_regs r;
	struct report rep;
	struct vcpu *v;
	struct vm *vm;
	uint64_t end;

	rng = seed_of_run();
	vm = machine(VM_IRQCHIP);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	end = until(1000);
	while (now_ms() < end) {
		undo(v, &fresh);
		enter_mode(v, below(NR_MODES), &s);
		for (i = below(6); i; i--) {
			struct kvm_segment *seg = &s.cs + below(8);

			switch (below(7)) {
			case 0:
				randomize(seg, sizeof(*seg));
				break;
			case 1:
				((uint8_t *)seg)[below(sizeof(*seg))] = value();
				break;
			case 2:
				s.gdt.base = value();
				s.gdt.limit = value();
				break;
			case 3:
				s.idt.base = value();
				s.idt.limit = value();
				break;
			case 4:
				s.cr0 ^= value();
				break;
			case 5:
				s.cr4 ^= value() & 0xffffff;
				break;
			default:
				s.cr3 = value();
				break;
			}
		}
		if (!below(4))
			s.efer ^= value() & 0xffff;
		tries++;
		if (ioctl(v->fd, KVM_SET_SREGS, &s)) {
			CHECK_EQ(errno, EINVAL);
			continue;
		}
		taken++;
		r = fresh.regs;
		r.rip = below(3) ? below(8 << 20) : value();
		r.rflags = value();
		vcpu_set_regs(v, &r);
		if (!below(3)) {
			randomize(&ev, sizeof(ev));
			ev.flags &= 0x7;
			ev.exception.injected = below(2);
			ev.exception.nr &= 31;
			ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev);
		}
		ends[drive(v, 15, false, &rep)]++;
	}
	st_note("%u states, %u taken, %lu died", tries, taken, ends[END_DEAD]);
	CHECK(taken > 0);
	begin(v, &fresh, RUBBISH_IOAPIC, 0);
	CHECK_EQ(drive(v, 10000, false, &rep), END_DONE);
}

/* Jumps into nothing, and three faults on top of each other, in every mode. */
static void nothing(void)
{
	static const uint64_t where[] = {
		8 << 20, 0x20000000, MMIO_BASE, 0xfee00000, 0xfec00000, 0xfffffff0, 0x100000000,
		0x7ffffffff000, 0x8000000000000000, ~0ull - 14,
	};
	struct kvm_sregs s;
	struct kvm_regs r;
	struct report rep;
	struct vcpu *v;
	struct vm *vm;
	unsigned int mode, i, idt;
	enum end e;

	rng = seed_of_run();
	vm = machine(0);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	for (mode = 0; mode < NR_MODES; mode++) {
		for (i = 0; i < ARRAY_SIZE(where); i++) {
			for (idt = 0; idt < 2; idt++) {
				undo(v, &fresh);
				enter_mode(v, mode, &s);
				s.idt.limit = 0;
				/* or there is one, in nothing */
				if (idt) {
					s.idt.base = 0x30000000;
					s.idt.limit = 0xfff;
				}
				OK(ioctl(v->fd, KVM_SET_SREGS, &s));
				r = fresh.regs;
				r.rip = where[i];
				r.rsp = 0x40000000;	/* no stack either */
				vcpu_set_regs(v, &r);
				e = drive(v, 20, false, &rep);
				ends[e]++;
				if (e != END_DEAD && e != END_TIME && e != END_HALT)
					st_fail(__FILE__, __LINE__, "mode %u, %#llx: %u", mode,
						(unsigned long long)where[i], e);
			}
		}
	}
	CHECK(ends[END_DEAD] > 20);
	/* UD2 without an IDT is a shutdown */
	for (mode = REAL; mode < NR_MODES; mode++) {
		undo(v, &fresh);
		enter_mode(v, mode, &s);
		s.idt.limit = 0;
		OK(ioctl(v->fd, KVM_SET_SREGS, &s));
		vm->mem[0x10000] = 0x0f;
		vm->mem[0x10001] = 0x0b;
		r = fresh.regs;
		r.rip = mode == REAL ? 0 : 0x10000;
		vcpu_set_regs(v, &r);
		vcpu_expect_exit(v, KVM_EXIT_SHUTDOWN);
	}
	begin(v, &fresh, RUBBISH_IOAPIC, 0);
	CHECK_EQ(drive(v, 10000, false, &rep), END_DONE);
}

/* Events that cause each other without end: a signal ends KVM_RUN all the same. */
static void endless_events(void)
{
	struct report rep;
	struct vcpu *v;
	struct vm *vm;

	rng = seed_of_run();
	vm = machine(0);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	begin(v, &fresh, RUBBISH_UD_LOOP, 0);
	CHECK_EQ(drive(v, 200, false, &rep), END_TIME);
	/* QEMU 7.2 aborts at a breakpoint on the stack that an exception is pushed to */
	if (!st_on_tcg()) {
		begin(v, &fresh, RUBBISH_DB_LOOP, 0);
		ends[drive(v, 300, false, &rep)]++;
		CHECK_EQ(ends[END_TIME] + ends[END_DEAD], 1);
	}
	begin(v, &fresh, RUBBISH_IOAPIC, 0);
	CHECK_EQ(drive(v, 10000, false, &rep), END_DONE);
}

/* ---- what is shared with user space ------------------------------------------ */

static void scribble_words(uint32_t *p, size_t words)
{
	size_t i = below(words);

	WRITE_ONCE(p[i], below(2) ? rnd() : below(4));
}

static void *scribble_ring(void *arg)
{
	struct vcpu *v = arg;
	struct kvm_coalesced_mmio_ring *ring = (void *)((char *)v->run + 2 * PAGE);

	rng = seed_of_run() ^ 0x5555;
	while (!atomic_load(&stop)) {
		WRITE_ONCE(ring->first, value());
		if (below(2))
			WRITE_ONCE(ring->last, value());
		else
			WRITE_ONCE(ring->last, 165 + below(8));
		scribble_words((void *)ring, PAGE / 4);
	}
	return NULL;
}

static void coalesced_ring(void)
{
	struct kvm_coalesced_mmio_zone z = { .addr = MMIO_BASE, .size = PAGE };
	struct kvm_coalesced_mmio_zone p = { .addr = PIO_BASE, .size = 8, .pio = 1 };
	struct kvm_coalesced_mmio_ring *ring;
	struct report rep;
	struct vcpu *v;
	pthread_t t;
	struct vm *vm;
	uint64_t end;

	rng = seed_of_run();
	vm = machine(0);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	OK(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &z));
	OK(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &p));
	ring = (void *)((char *)v->run + 2 * PAGE);
	begin(v, &fresh, RUBBISH_ZONE, 0);
	/* indices that cannot be, one after the other */
	static const uint32_t index[] = { 169, 170, 171, 255, 4096, 0x7fffffff, 0x80000000, ~0u };

	for (unsigned int i = 0; i < ARRAY_SIZE(index); i++) {
		ring->first = 0;
		ring->last = index[i];
		CHECK_EQ(drive(v, 20, false, &rep), END_TIME);
		CHECK_EQ(ring->last, index[i]);
		ring->first = index[i];
		ring->last = 0;
		drive(v, 20, false, &rep);
		CHECK(ring->last < 170);
	}
	CHECK_EQ(pthread_create(&t, NULL, scribble_ring, v), 0);
	end = until(600);
	while (now_ms() < end) {
		ends[drive(v, 100, false, &rep)]++;
		/* the zone goes and comes */
		OK(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &z));
		OK(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &z));
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	/* healed, it works again */
	memset(ring, 0, PAGE);
	drive(v, 50, false, &rep);
	CHECK(ring->last > 0 && ring->last < 170);
}

static void *scribble_run(void *arg)
{
	struct vcpu *v = arg;
	struct kvm_run *run = v->run;

	rng = seed_of_run() ^ 0x3333;
	while (!atomic_load(&stop)) {
		switch (below(8)) {
		case 0:
			WRITE_ONCE(run->kvm_valid_regs, below(8));
			break;
		case 1:
			WRITE_ONCE(run->kvm_dirty_regs, below(8));
			break;
		case 2:
			WRITE_ONCE(run->immediate_exit, !below(4));
			break;
		case 3:
			WRITE_ONCE(run->cr8, below(16));
			break;
		case 4:
			scribble_words((void *)&run->io, 16);
			break;
		case 5:
			scribble_words((void *)((char *)v->run + PAGE), PAGE / 4);
			break;
		case 6:
			WRITE_ONCE(run->request_interrupt_window, below(2));
			break;
		default:
			if (!below(4))
				scribble_words((void *)v->run, PAGE / 4);
			break;
		}
	}
	return NULL;
}

static void shared_page(unsigned int flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { 7 } };
	unsigned long runs = 0, good = 0;
	struct report rep;
	struct vcpu *v;
	pthread_t t;
	struct vm *vm;
	uint64_t end;
	int r;

	rng = seed_of_run();
	vm = machine(flags);
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	begin(v, &fresh, RUBBISH_EXITS, 0);
	CHECK_EQ(pthread_create(&t, NULL, scribble_run, v), 0);
	end = until(800);
	while (now_ms() < end) {
		r = -vcpu_run_raw(v);
		runs++;
		good += !r;
		if (r && r != EINTR && r != EINVAL && r != EAGAIN)
			st_fail(__FILE__, __LINE__, "KVM_RUN: %s", strerror(r));
		if (runs % 64)
			continue;
		/* registers may be anything by now */
		struct kvm_regs regs = fresh.regs;

		OK(ioctl(v->fd, KVM_SET_SREGS, &fresh.sregs));
		regs.rdi = RUBBISH_EXITS;
		regs.rsi = rnd();
		vcpu_set_regs(v, &regs);
		vcpu_make_runnable(v);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	st_note("%lu runs, %lu exits", runs, good);
	CHECK(good > 0);
	memset(v->run, 0, PAGE);
	begin(v, &fresh, RUBBISH_IOAPIC, 0);
	CHECK_EQ(drive(v, 10000, false, &rep), END_DONE);
}

static void run_page(void)
{
	shared_page(0);
}

static void run_page_irqchip(void)
{
	shared_page(VM_IRQCHIP);
}

/* ---- ioctls at random, against a vCPU that runs ------------------------------ */

static pthread_t run_thread;

static void *run_loop(void *arg)
{
	struct vcpu *v = arg;
	struct kvm_run *run = v->run;
	unsigned long n = 0;

	rng = seed_of_run() ^ (0x7777 + v->id);
	while (!atomic_load(&stop)) {
		int r = -vcpu_run_raw(v);

		if (r && r != EINTR && r != EINVAL && r != EAGAIN && r != EFAULT && r != EBADF)
			st_fail(__FILE__, __LINE__, "KVM_RUN: %s", strerror(r));
		if (!r && run->exit_reason == KVM_EXIT_IO)
			answer_io(run);
		if (!r && (run->exit_reason == KVM_EXIT_SHUTDOWN ||
			   run->exit_reason == KVM_EXIT_FAIL_ENTRY ||
			   run->exit_reason == KVM_EXIT_INTERNAL_ERROR || !(++n % 512))) {
			struct kvm_regs regs = fresh.regs;
			struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

			ioctl(v->fd, KVM_SET_SREGS, &fresh.sregs);
			regs.rdi = below(2) ? RUBBISH_EXITS : RUBBISH_ZONE;
			regs.rsi = rnd();
			ioctl(v->fd, KVM_SET_REGS, &regs);
			ioctl(v->fd, KVM_SET_MP_STATE, &mp);
		}
	}
	return NULL;
}

static void mutate(void *p, size_t n)
{
	unsigned int i = below(4);

	while (i--)
		((uint8_t *)p)[below(n)] = value();
}

static int some_eventfd(void)
{
	static int e[4];
	int i = below(4);

	if (!e[i])
		e[i] = eventfd(0, EFD_NONBLOCK);
	return e[i];
}

static void random_slot(struct vm *vm, uint8_t *mem)
{
	struct kvm_userspace_memory_region r = {
		.slot = 1 + below(4), .flags = below(4),
		.guest_phys_addr = below(2) ? MMIO_BASE + below(4) * PAGE :
					      (16 + below(8)) << 20,
		.memory_size = below(3) * PAGE * (1 + below(8)),
		.userspace_addr = (uintptr_t)mem + below(8) * PAGE,
	};

	ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static void vm_call(struct vm *vm, uint8_t *mem)
{
	union {
		struct kvm_irqchip chip;
		struct kvm_pit_state2 pit;
		struct kvm_irq_level line;
		struct kvm_msi msi;
		struct kvm_irqfd irqfd;
		struct kvm_ioeventfd io;
		struct kvm_coalesced_mmio_zone zone;
		struct kvm_clock_data clock;
		struct kvm_enable_cap cap;
		struct kvm_dirty_log log;
		struct kvm_msr_filter filter;
		struct {
			struct kvm_irq_routing r;
			struct kvm_irq_routing_entry e[32];
		} routing;
		uint8_t bytes[1024];
	} u;
	static uint64_t bits[1024];
	unsigned int i;

	memset(&u, 0, sizeof(u));
	switch (below(17)) {
	case 0:
	case 1:
		random_slot(vm, mem);
		break;
	case 2:
		u.log.slot = below(5);
		u.log.dirty_bitmap = bits;
		ioctl(vm->fd, KVM_GET_DIRTY_LOG, &u.log);
		break;
	case 3:
		u.chip.chip_id = below(3);
		ioctl(vm->fd, KVM_GET_IRQCHIP, &u.chip);
		mutate(&u.chip.chip, 300);
		ioctl(vm->fd, KVM_SET_IRQCHIP, &u.chip);
		break;
	case 4:
		ioctl(vm->fd, KVM_GET_PIT2, &u.pit);
		mutate(&u.pit, sizeof(u.pit));
		ioctl(vm->fd, KVM_SET_PIT2, &u.pit);
		break;
	case 5:
	case 6:
		u.line.irq = below(40);
		u.line.level = below(2);
		ioctl(vm->fd, KVM_IRQ_LINE, &u.line);
		break;
	case 7:
		u.msi.address_lo = 0xfee00000 | value();
		u.msi.data = value();
		ioctl(vm->fd, KVM_SIGNAL_MSI, &u.msi);
		break;
	case 8:
	case 9:
		u.irqfd.fd = some_eventfd();
		u.irqfd.gsi = below(24);
		u.irqfd.flags = below(4);
		u.irqfd.resamplefd = some_eventfd();
		ioctl(vm->fd, KVM_IRQFD, &u.irqfd);
		eventfd_write(some_eventfd(), 1);
		break;
	case 10:
		u.io.fd = some_eventfd();
		u.io.addr = below(2) ? MMIO_BASE + 4 * below(8) : PIO_BASE + below(4);
		u.io.len = below(3) * 4;
		u.io.flags = below(8);
		u.io.datamatch = below(2);
		ioctl(vm->fd, KVM_IOEVENTFD, &u.io);
		break;
	case 11:
		u.zone.pio = below(2);
		u.zone.addr = u.zone.pio ? PIO_BASE : MMIO_BASE + below(PAGE);
		u.zone.size = below(64);
		ioctl(vm->fd, below(2) ? KVM_REGISTER_COALESCED_MMIO :
					 KVM_UNREGISTER_COALESCED_MMIO, &u.zone);
		break;
	case 12:
		u.clock.clock = value();
		ioctl(vm->fd, KVM_SET_CLOCK, &u.clock);
		break;
	case 13:
		u.routing.r.nr = below(32);
		for (i = 0; i < u.routing.r.nr; i++) {
			u.routing.e[i].gsi = below(24);
			u.routing.e[i].type = 1 + below(2);
			if (u.routing.e[i].type == 1) {
				u.routing.e[i].u.irqchip.irqchip = below(3);
				u.routing.e[i].u.irqchip.pin = below(8);
			} else {
				u.routing.e[i].u.msi.address_lo = value();
				u.routing.e[i].u.msi.data = value();
			}
		}
		ioctl(vm->fd, KVM_SET_GSI_ROUTING, &u.routing);
		break;
	case 14:
		u.filter.ranges[0].flags = 1 + below(3);
		u.filter.ranges[0].base = below(2) ? 0xc0000080 : value();
		u.filter.ranges[0].nmsrs = below(64);
		u.filter.ranges[0].bitmap = (void *)bits;
		ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &u.filter);
		break;
	case 15:
		switch (below(4)) {
		case 0:
			madvise(mem, 16 * PAGE, MADV_DONTNEED);
			break;
		case 1:
			mprotect(mem + below(8) * PAGE, PAGE, below(4));
			break;
		case 2:
			munmap(mem + below(8) * PAGE, PAGE);
			break;
		default:
			mmap(mem, 16 * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		}
		break;
	default:
		madvise(vm->mem + (2 << 20), 4 << 20, MADV_DONTNEED);
		break;
	}
}

static void vcpu_call(struct vcpu *v)
{
	static const struct {
		unsigned long get, set;
		size_t size;
	} pairs[] = {
		{ KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs) },
		{ KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) },
		{ KVM_GET_SREGS2, KVM_SET_SREGS2, sizeof(struct kvm_sregs2) },
		{ KVM_GET_FPU, KVM_SET_FPU, sizeof(struct kvm_fpu) },
		{ KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) },
		{ KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) },
		{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state) },
		{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events) },
		{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs) },
		{ KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
		{ KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs) },
	};
	static uint8_t buf[8192];
	struct kvm_guest_debug dbg = { .control = below(2) ? value() & 0x3f0003 : 0 };
	struct kvm_x86_mce mce = { .status = value(), .bank = below(12), .addr = value() };
	struct kvm_vapic_addr va = {
		.vapic_addr = below(2) ? GUEST_SHARED + below(4096) : value(),
	};
	uint64_t cap = below(12) | below(2) << 8;
	unsigned int i = below(ARRAY_SIZE(pairs) + 6);

	if (i < ARRAY_SIZE(pairs)) {
		memset(buf, 0, sizeof(buf));
		ioctl(v->fd, pairs[i].get, buf);
		mutate(buf, pairs[i].size);
		ioctl(v->fd, pairs[i].set, buf);
		return;
	}
	switch (i - ARRAY_SIZE(pairs)) {
	case 0:
		ioctl(v->fd, below(2) ? KVM_NMI : KVM_SMI, 0ul);
		break;
	case 1:
		ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg);
		break;
	case 2:
		ioctl(v->fd, KVM_X86_SETUP_MCE, &cap);
		ioctl(v->fd, KVM_X86_SET_MCE, &mce);
		break;
	case 3:
		ioctl(v->fd, KVM_SET_VAPIC_ADDR, &va);
		break;
	case 4:
		ioctl(v->fd, KVM_SET_TSC_KHZ, value());
		break;
	default: {
		struct {
			struct kvm_msrs m;
			struct kvm_msr_entry e;
		} m = { .m.nmsrs = 1, .e.data = value() };

		m.e.index = below(2) ? 0x4b564d00 + below(8) : below(2) ? value() :
			    0xc0000080 + below(0x90);
		ioctl(v->fd, KVM_SET_MSRS, &m);
		ioctl(v->fd, KVM_GET_MSRS, &m);
		break;
	}
	}
}

static void *kick_loop(void *arg)
{
	while (!atomic_load(&stop)) {
		pthread_kill(run_thread, SIGUSR1);
		usleep(300);
	}
	return NULL;
}

static void two_threads(unsigned int flags, unsigned int ms)
{
	unsigned long calls = 0;
	struct vcpu *v, *w;
	pthread_t kicker;
	struct vm *vm;
	uint8_t *mem;
	uint64_t end;

	rng = seed_of_run();
	vm = machine(flags);
	v = vm_add_vcpu(vm, 0);
	w = vm_add_vcpu(vm, 1);
	mem = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	save(w, &fresh);
	save(v, &fresh);
	start_timer();
	begin(v, &fresh, RUBBISH_EXITS, 0);
	CHECK_EQ(pthread_create(&run_thread, NULL, run_loop, v), 0);
	CHECK_EQ(pthread_create(&kicker, NULL, kick_loop, NULL), 0);
	end = until(ms);
	while (now_ms() < end) {
		switch (below(4)) {
		case 0:
			vcpu_call(v);
			break;
		case 1:
			vcpu_call(w);
			break;
		default:
			vm_call(vm, mem);
			break;
		}
		calls++;
	}
	/* the descriptors go, and the memory, under the running vCPU */
	close(vm->fd);
	munmap(vm->mem, vm->size / 2);
	munmap((char *)v->run + 2 * PAGE, PAGE);
	usleep(20000);
	close(v->fd);
	usleep(20000);
	atomic_store(&stop, true);
	pthread_join(kicker, NULL);
	pthread_kill(run_thread, SIGUSR1);
	pthread_join(run_thread, NULL);
	st_note("%lu calls", calls);
	CHECK(calls > 50);
}

static void ioctls(void)
{
	two_threads(VM_IRQCHIP, 2500);
}

static void ioctls_split(void)
{
	two_threads(VM_SPLIT, 800);
}

static void ioctls_bare(void)
{
	two_threads(0, 800);
}

/* Two threads that both want to run the same vCPU, and one that ends them all. */
static void one_vcpu_two_runners(void)
{
	struct vcpu *v;
	struct vm *vm;
	pthread_t t[3];
	int i;

	rng = seed_of_run();
	vm = machine(VM_IRQCHIP);
	v = vm_add_vcpu(vm, 0);
	save(v, &fresh);
	start_timer();
	begin(v, &fresh, RUBBISH_EXITS, 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, run_loop, v), 0);
	usleep(200000);
	/* the process ends while all of them are in the kernel; so do the descriptors */
}

static const struct st_test tests[] = {
	{ "xapic", xapic },
	{ "x2apic", x2apic },
	{ "x2apic_split", x2apic_split },
	{ "ioapic", ioapic },
	{ "ports", ports },
	{ "msrs", msrs },
	{ "msrs_without_apic", msrs_without_apic },
	{ "control", control },
	{ "storm", storm },
	{ "restored_timer", restored_timer },
	{ "level_and_gone", level_and_gone },
	{ "irqfd_routes", irqfd_routes },
	{ "pv_addresses", pv_addresses },
	{ "page_crossing", page_crossing },
	{ "destination_ids", destination_ids },
	{ "instructions_real", instructions_real },
	{ "instructions_flat", instructions_flat },
	{ "instructions_paged", instructions_paged },
	{ "instructions_long", instructions_long },
	{ "impossible_states", impossible_states },
	{ "nothing", nothing },
	{ "endless_events", endless_events },
	{ "coalesced_ring", coalesced_ring },
	{ "run_page", run_page },
	{ "run_page_irqchip", run_page_irqchip },
	{ "ioctls", ioctls },
	{ "ioctls_split", ioctls_split },
	{ "ioctls_bare", ioctls_bare },
	{ "one_vcpu_two_runners", one_vcpu_two_runners },
	{}
};

ST_MAIN("rubbish", tests)
