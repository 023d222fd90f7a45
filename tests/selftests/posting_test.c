// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of an assigned device that are posted to a vCPU: each comes once, whatever the
 * vCPU does then; and what cannot be posted comes through the irqfd. The device and its
 * IOMMU are a module (tests/kunit/poster.c).
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "../kunit/poster.h"
#include "posting.h"
#include "st.h"

#define GSI	24

struct device {
	int fd, eventfd;
	unsigned int gsi;
};

static struct vm *vm;

static bool can_post(void)
{
	return st_param_is("kvm_intel", "enable_device_posted_irqs", 'Y');
}

static struct device device_new(unsigned int gsi)
{
	struct device d = { .gsi = gsi, .eventfd = OK(eventfd(0, EFD_CLOEXEC)) };

	if (access("/dev/kvm-poster", F_OK) && system("modprobe kvm-poster 2>/dev/null"))
		st_skip("no module kvm-poster: it comes with KVM_KUNIT=1");
	d.fd = OK(open("/dev/kvm-poster", O_RDWR | O_CLOEXEC));
	OK(ioctl(d.fd, POSTER_CONNECT, &d.eventfd));
	return d;
}

static void assign(struct device *d, bool on)
{
	struct kvm_irqfd irqfd = {
		.fd = d->eventfd, .gsi = d->gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
}

struct message {
	uint32_t id, data;
	bool logical;
};

static void route(const struct message *m, unsigned int n)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + n * sizeof(r->entries[0]));
	unsigned int i;

	r->nr = n;
	for (i = 0; i < n; i++) {
		r->entries[i] = (struct kvm_irq_routing_entry) {
			.gsi = GSI + i, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {
				.address_lo = 0xfee00000 | (m[i].id & 0xff) << 12 |
					      m[i].logical << 2,
				.address_hi = m[i].id & ~0xff,
				.data = m[i].data,
			},
		};
	}
	OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, r));
	free(r);
}

static void route_one(uint32_t id, uint32_t data)
{
	struct message m = { .id = id, .data = data };

	route(&m, 1);
}

static uint64_t *counter(unsigned int vcpu, uint8_t vector)
{
	return (uint64_t *)vm_ptr(vm, POSTING_COUNTS) + vcpu * 256 + vector;
}

static void start(struct vcpu *v, uint64_t what)
{
	vcpu_start(v, 0, what, v->id);
	vcpu_make_runnable(v);
	vcpu_expect_sync(v, 1);
}

static struct vcpu *make(uint64_t what)
{
	struct vcpu *v;

	vm = vm_new(4 << 20, VM_SPLIT);
	OK(kvm_enable(vm->fd, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
		      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK));
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, posting);
	start(v, what);
	return v;
}

static void *run(void *arg)
{
	struct vcpu *v = arg;
	struct report rep;

	do {
		rep = vcpu_run_to_report(v);
	} while (rep.kind == REPORT_SYNC);
	return NULL;
}

static pthread_t run_in_thread(struct vcpu *v)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, run, v), 0);
	return t;
}

static void stop(pthread_t t, struct device *d)
{
	WRITE_ONCE(*(uint64_t *)vm_ptr(vm, POSTING_STOP), 1);
	/* out of HLT */
	ioctl(d->fd, POSTER_FIRE);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void fire(struct device *d, bool posted)
{
	CHECK_EQ(OK(ioctl(d->fd, POSTER_FIRE)), posted);
}

/* One after the other: none is merged with the next. */
static void each_comes(struct device *d, unsigned int vcpu, uint8_t vector, unsigned int n,
		       bool posted)
{
	uint64_t *c = counter(vcpu, vector), from = READ_ONCE(*c);
	unsigned int i;

	for (i = 1; i <= n; i++) {
		fire(d, posted);
		if (!UNTIL(READ_ONCE(*c) == from + i, 20))
			st_fail(__FILE__, __LINE__, "%u of %u came as %#x to vCPU %u",
				(unsigned int)(READ_ONCE(*c) - from), i, vector, vcpu);
	}
}

/* It moves from CPU to CPU, and another thread wants the CPU, too. */
static void *disturb(void *arg)
{
	pthread_t *t = arg;
	cpu_set_t set;
	unsigned int i;

	for (i = 0; !READ_ONCE(*(uint64_t *)vm_ptr(vm, POSTING_STOP)); i++) {
		CPU_ZERO(&set);
		CPU_SET(i & 1, &set);
		pthread_setaffinity_np(*t, sizeof(set), &set);
		pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
		if (i % 3)
			usleep(300);
		else
			sched_yield();
	}
	return NULL;
}

static void one_vcpu(uint64_t what, bool moves)
{
	struct device d = device_new(GSI);
	struct vcpu *v = make(what);
	pthread_t t, other;

	route_one(0, POSTING_VECTOR);
	assign(&d, true);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), can_post() ? POSTING_VECTOR : 0);
	t = run_in_thread(v);
	if (moves)
		CHECK_EQ(pthread_create(&other, NULL, disturb, &t), 0);
	each_comes(&d, 0, POSTING_VECTOR, 300, can_post());
	stop(t, &d);
	if (moves)
		pthread_join(other, NULL);
}

static void running(void)
{
	one_vcpu(0, false);
}

static void halted(void)
{
	one_vcpu(POSTING_HALTS, false);
}

static void leaving(void)
{
	one_vcpu(POSTING_LEAVES, false);
}

static void moving_running(void)
{
	one_vcpu(0, true);
}

static void moving_halted(void)
{
	one_vcpu(POSTING_HALTS, true);
}

/* Raised while no thread has the vCPU. */
static void not_running(void)
{
	struct device d = device_new(GSI);
	struct vcpu *v = make(POSTING_LEAVES);
	uint64_t *c = counter(0, POSTING_VECTOR), i;

	route_one(0, POSTING_VECTOR);
	assign(&d, true);
	for (i = 1; i <= 20; i++) {
		struct kvm_lapic_state s;

		/* twice is once: it has not been taken yet */
		fire(&d, can_post());
		fire(&d, can_post());
		if (i & 1) {
			OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
			CHECK(lapic_has_vector(&s, LAPIC_IRR, POSTING_VECTOR));
			OK(ioctl(v->fd, KVM_SET_LAPIC, &s));
		}
		vcpu_expect_sync(v, 2);
		vcpu_expect_sync(v, 2);
		CHECK_EQ(READ_ONCE(*c), i);
	}
}

/* What hardware cannot do comes through the eventfd, and back. */
static void routes(void)
{
	struct device d = device_new(GSI), other = device_new(GSI + 1);
	bool post = can_post();
	struct vcpu *v = make(0), *second;
	const struct message both[] = {
		{ .id = 0, .data = POSTING_VECTOR }, { .id = 1, .data = POSTING_VECTOR + 1 },
	};
	const struct message everyone = { .id = 3, .data = POSTING_VECTOR + 5, .logical = true };
	const struct message lowest = {
		.id = 2, .data = (POSTING_VECTOR + 6) | 0x100, .logical = true,
	};
	pthread_t t, t2;
	unsigned int i;

	second = vm_add_vcpu(vm, 1);
	start(second, POSTING_HALTS);
	t = run_in_thread(v);
	t2 = run_in_thread(second);

	/* no route yet */
	assign(&d, true);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), 0);
	fire(&d, false);
	route(both, 2);
	each_comes(&d, 0, POSTING_VECTOR, 20, post);
	assign(&other, true);
	each_comes(&other, 1, POSTING_VECTOR + 1, 20, post);

	/* another vector, another vCPU */
	route_one(0, POSTING_VECTOR + 2);
	each_comes(&d, 0, POSTING_VECTOR + 2, 20, post);
	CHECK_EQ(ioctl(other.fd, POSTER_VECTOR), 0);
	route_one(1, POSTING_VECTOR + 2);
	each_comes(&d, 1, POSTING_VECTOR + 2, 20, post);
	/* one of a set that has one; lowest priority */
	route(&lowest, 1);
	each_comes(&d, 1, POSTING_VECTOR + 6, 20, post);

	/* two vCPUs; level; nobody */
	route(&everyone, 1);
	for (i = 1; i <= 20; i++) {
		each_comes(&d, 0, POSTING_VECTOR + 5, 1, false);
		CHECK(UNTIL(READ_ONCE(*counter(1, POSTING_VECTOR + 5)) == i, 20));
	}
	route_one(0, POSTING_VECTOR | 1 << 15);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), 0);
	route_one(0, POSTING_VECTOR | 4 << 8);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), 0);
	route_one(0, 15);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), 0);
	route_one(7, POSTING_VECTOR);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), 0);
	fire(&d, false);
	/* its APIC comes */
	vm_add_vcpu(vm, 7);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), post ? POSTING_VECTOR : 0);

	route_one(0, POSTING_VECTOR);
	each_comes(&d, 0, POSTING_VECTOR, 20, post);
	/* the irqfd goes: so does the posting */
	assign(&d, false);
	CHECK_EQ(ioctl(d.fd, POSTER_VECTOR), 0);
	assign(&d, true);
	each_comes(&d, 0, POSTING_VECTOR, 20, post);

	route_one(1, POSTING_VECTOR);
	stop(t2, &d);
	pthread_join(t, NULL);
	CHECK_EQ(READ_ONCE(*counter(0, POSTING_VECTOR + 1)), 0);
	CHECK_EQ(READ_ONCE(*counter(1, POSTING_VECTOR + 5)), 20);
}

/* Producers that come later, go earlier, and come again. */
static void producers(void)
{
	struct device d = { .gsi = GSI, .eventfd = OK(eventfd(0, EFD_CLOEXEC)) }, again;
	struct vcpu *v = make(POSTING_HALTS);
	bool post = can_post();
	uint64_t one = 1;
	pthread_t t;
	unsigned int i;

	close(device_new(GSI).fd);	/* or the test is passed over */
	route_one(0, POSTING_VECTOR);
	assign(&d, true);
	t = run_in_thread(v);
	for (i = 1; i <= 20; i++) {
		CHECK_EQ(write(d.eventfd, &one, 8), 8);
		CHECK(UNTIL(READ_ONCE(*counter(0, POSTING_VECTOR)) == i, 20));
	}
	for (i = 0; i < 5; i++) {
		again = d;
		again.fd = OK(open("/dev/kvm-poster", O_RDWR | O_CLOEXEC));
		OK(ioctl(again.fd, POSTER_CONNECT, &again.eventfd));
		each_comes(&again, 0, POSTING_VECTOR, 5, post);
		if (i < 4)
			close(again.fd);
	}
	/* VM and eventfd go first */
	stop(t, &again);
	close(v->fd);
	close(vm->fd);
	munmap(v->run, v->run_size);
	CHECK(UNTIL(ioctl(again.fd, POSTER_VECTOR) == 0, 20));
	close(d.eventfd);
	fire(&again, false);
}

/* A debugger holds interrupts back: the CPU does not deliver any more, what is posted waits. */
static void held_back(void)
{
	struct device d = device_new(GSI);
	struct vcpu *v = make(POSTING_LEAVES);
	struct kvm_guest_debug dbg = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ };
	uint64_t *c = counter(0, POSTING_VECTOR), i, n = 0;

	route_one(0, POSTING_VECTOR);
	assign(&d, true);
	for (i = 0; i < 10; i++) {
		OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg));
		fire(&d, can_post());
		vcpu_expect_sync(v, 2);
		vcpu_expect_sync(v, 2);
		CHECK_EQ(READ_ONCE(*c), n);
		dbg.control = 0;
		OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg));
		vcpu_expect_sync(v, 2);
		vcpu_expect_sync(v, 2);
		CHECK_EQ(READ_ONCE(*c), ++n);
		dbg.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ;
	}
}

static const struct st_test tests[] = {
	{ "running", running },
	{ "halted", halted },
	{ "leaving", leaving },
	{ "moving_running", moving_running },
	{ "moving_halted", moving_halted },
	{ "not_running", not_running },
	{ "routes", routes },
	{ "producers", producers },
	{ "held_back", held_back },
	{ }
};

ST_MAIN("posting", tests)
