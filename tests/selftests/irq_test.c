// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupt controllers by their manuals, through a guest that programs them and takes
 * real interrupts: LAPIC in both modes, IOAPIC, PIC, PIT; what user space does with them
 * when they are not (all) in the kernel; irqfd and ioeventfd; and long runs, in which
 * interrupts are counted while the VM moves into another one.
 *
 * What is elsewhere: apic_test has the order of a few IPIs, EOIs of a level through its
 * whole life, IPIs to vCPUs that move and sleep, state while interrupts wait, and the base
 * that moves; events_test has NMIs, their masking, interrupt windows and LVT CMCI; smm_test
 * what an SMI does; badinput_test what the ioctls refuse. tests/kunit has the chips' state
 * machines, where a case can choose the time.
 *
 * Where the manuals leave a choice, or our module follows the kernel's own against them:
 * an edge that is pulsed low before the PIC's acknowledge is kept (the 8259A would answer
 * IR7: KVM's users pulse lines); ExtINT in an IOAPIC entry delivers nothing; LINT1 has no
 * device, user space has KVM_NMI for it; nothing fires the LVTs of the thermal sensor and of
 * performance counters, which are registers only; a spurious-interrupt vector of the LAPIC is
 * never sent, since acceptance and delivery are one step; the gates of channels 0 and 1 of
 * the PIT are high, which is no trigger to mode 5 and one to mode 1; a new count in modes 2
 * and 3 of the PIT counts at once, not at the end of the period. With APIC virtualization the
 * CPU itself delivers an IPI by the shorthand "self", also to an APIC that software has
 * disabled.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "irq.h"
#include "st.h"

#define PIT	4	/* with VM_IRQCHIP: and a PIT */

static struct vm *make_vm(unsigned int flags)
{
	struct vm *vm = vm_new(64 << 20, flags & ~PIT);
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (flags & PIT)
		OK(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	PAYLOAD(vm, irq);
	return vm;
}

/* Its place among the vCPUs chooses its stack, not its id, which may be large. */
static struct vcpu *add(struct vm *vm, int id, uint64_t test, uint64_t arg)
{
	int cpu = vm->nr_vcpus;
	struct vcpu *v = vm_add_vcpu(vm, id);
	struct kvm_regs r;

	vcpu_set_cpuid(v);
	vcpu_long_mode(v);
	vcpu_regs(v, &r);
	r.rsp = GUEST_STACK_TOP - cpu * GUEST_STACK_SIZE;
	r.rdi = test;
	r.rsi = arg | cpu << IRQ_CPU_SHIFT;
	r.rdx = OK(ioctl(v->fd, KVM_GET_TSC_KHZ, 0));
	vcpu_set_regs(v, &r);
	vcpu_make_runnable(v);
	return v;
}

static struct vcpu *start(unsigned int flags, uint64_t test, uint64_t arg)
{
	return add(make_vm(flags), 0, test, arg);
}

static int cpu_of(const struct vcpu *v)
{
	return v - v->vm->vcpus;
}

/* ---- what the guest asks for ----------------------------------------------------------- */

static void irqchip_route(struct kvm_irq_routing_entry *e, uint32_t gsi, uint32_t chip,
			  uint32_t pin)
{
	*e = (struct kvm_irq_routing_entry) {
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { chip, pin },
	};
}

static void set_routes(struct vm *vm, unsigned int what)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + 48 * sizeof(r->entries[0]));
	unsigned int gsi;

	CHECK(r);
	for (gsi = 0; gsi < 24; gsi++) {
		if (what != ROUTE_PIC)
			irqchip_route(&r->entries[r->nr++], gsi, KVM_IRQCHIP_IOAPIC,
				      what == ROUTE_OVERRIDE && !gsi ? 2 : gsi);
		if (gsi < 16 && (what == ROUTE_PIC || what == ROUTE_BOTH))
			irqchip_route(&r->entries[r->nr++], gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER :
				      KVM_IRQCHIP_PIC_SLAVE, gsi & 7);
	}
	OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, r));
	free(r);
}

static long send_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = addr, .address_hi = addr >> 32, .data = data,
	};

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

static int set_line(struct vm *vm, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	OK(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &l));
	return l.status;
}

/* MCG_CAP, MCi_STATUS */
#define MCG_CMCI_P		BIT(10)
#define MCI_VALID		BIT(63)
#define MCI_UNCORRECTED		BIT(61)

static uint64_t answer(struct vcpu *v, const struct report *rep)
{
	struct kvm_reinject_control rc = { .pit_reinject = rep->b };
	struct vm *vm = v->vm;
	struct kvm_lapic_state lapic;
	struct kvm_x86_mce mce = {};
	struct kvm_pit_state2 ps;
	uint32_t lvt;

	switch (rep->a) {
	case CALL_LINE:
		return (int64_t)set_line(vm, rep->b, rep->c);
	case CALL_MSI:
		return (int64_t)send_msi(vm, rep->b, rep->c);
	case CALL_ROUTES:
		set_routes(vm, rep->b);
		return 0;
	case CALL_SLEEP:
		usleep(rep->b);
		return 0;
	case CALL_REINJECT:
		OK(ioctl(vm->fd, KVM_REINJECT_CONTROL, &rc));
		return 0;
	case CALL_LINT1:
		OK(ioctl(v->fd, KVM_GET_LAPIC, &lapic));
		memcpy(&lvt, lapic.regs + 0x360, sizeof(lvt));
		if ((lvt & 0x10700) != 0x400)
			return 0;
		OK(ioctl(v->fd, KVM_NMI));
		return 1;
	case CALL_NMI:
		OK(ioctl(v->fd, KVM_NMI));
		return 0;
	case CALL_MCE:
		mce.bank = rep->b;
		mce.status = MCI_VALID | (rep->c ? MCI_UNCORRECTED : 0);
		OK(ioctl(v->fd, KVM_X86_SET_MCE, &mce));
		return 0;
	case CALL_PIT_STATE:
	case CALL_HPET:
		OK(ioctl(vm->fd, KVM_GET_PIT2, &ps));
		if (rep->a == CALL_HPET)
			ps.flags = rep->b ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
		OK(ioctl(vm->fd, KVM_SET_PIT2, &ps));
		return 0;
	}
	st_fail(__FILE__, __LINE__, "the guest asks for %#llx", (unsigned long long)rep->a);
}

/* Run it, and answer what it asks, until it has something else to say. */
static struct report serve(struct vcpu *v)
{
	struct report rep;

	for (;;) {
		rep = vcpu_run_to_report(v);
		if (rep.kind != REPORT_SYNC || rep.a < CALL_LINE)
			return rep;
		((uint64_t *)vm_ptr(v->vm, GUEST_SHARED))[cpu_of(v)] = answer(v, &rep);
	}
}

static void serve_to(struct vcpu *v, uint64_t stage)
{
	struct report rep = serve(v);

	CHECK_EQ(rep.kind, REPORT_SYNC);
	CHECK_EQ(rep.a, stage);
}

static void serve_done(struct vcpu *v)
{
	struct report rep = serve(v);

	CHECK_EQ(rep.kind, REPORT_DONE);
}

struct runner {
	pthread_t thread;
	struct vcpu *vcpu;
};

static void *run_done(void *arg)
{
	serve_done(((struct runner *)arg)->vcpu);
	return NULL;
}

/* ---- one vCPU and chips ---------------------------------------------------------------- */

#define IN_BOTH_MODES(name, flags, test)				\
	static void name##_xapic(void) { serve_done(start(flags, test, 0)); }	\
	static void name##_x2apic(void) { serve_done(start(flags, test, IRQ_X2)); }
#define ALONE(name, flags, test)					\
	static void name(void) { serve_done(start(flags, test, 0)); }

IN_BOTH_MODES(registers, VM_IRQCHIP, IRQ_REGISTERS)
IN_BOTH_MODES(task_priority, VM_IRQCHIP, IRQ_TASK_PRIORITY)
IN_BOTH_MODES(in_service, VM_IRQCHIP, IRQ_IN_SERVICE)
IN_BOTH_MODES(software_disable, VM_IRQCHIP, IRQ_SOFTWARE_DISABLE)
IN_BOTH_MODES(trigger_mode, VM_IRQCHIP, IRQ_TRIGGER_MODE)
IN_BOTH_MODES(errors, VM_IRQCHIP, IRQ_ERRORS)
IN_BOTH_MODES(self_ipis, VM_IRQCHIP, IRQ_SELF)
IN_BOTH_MODES(timer_divide, VM_IRQCHIP, IRQ_DIVIDE)
IN_BOTH_MODES(timer_modes, VM_IRQCHIP, IRQ_TIMER_MODES)
IN_BOTH_MODES(timer_masked, VM_IRQCHIP, IRQ_TIMER_MASKED)
IN_BOTH_MODES(extint, VM_IRQCHIP, IRQ_EXTINT)
IN_BOTH_MODES(base, VM_IRQCHIP, IRQ_BASE)
IN_BOTH_MODES(lint0, VM_IRQCHIP | PIT, IRQ_LINT0)
IN_BOTH_MODES(lint1, VM_IRQCHIP, IRQ_LINT1)
ALONE(ioapic_registers, VM_IRQCHIP, IRQ_IOAPIC_REGISTERS)
ALONE(ioapic_pins, VM_IRQCHIP, IRQ_IOAPIC_PINS)
IN_BOTH_MODES(ioapic_level, VM_IRQCHIP, IRQ_IOAPIC_LEVEL)
ALONE(ioapic_mask, VM_IRQCHIP, IRQ_IOAPIC_MASK)
IN_BOTH_MODES(ioapic_delivery, VM_IRQCHIP, IRQ_IOAPIC_DELIVERY)
ALONE(ioapic_shared, VM_IRQCHIP, IRQ_IOAPIC_SHARED)
ALONE(ioapic_rewritten, VM_IRQCHIP, IRQ_IOAPIC_REWRITTEN)
ALONE(ioapic_override, VM_IRQCHIP | PIT, IRQ_IOAPIC_OVERRIDE)
ALONE(ioapic_rtc, VM_IRQCHIP, IRQ_IOAPIC_RTC)
ALONE(pic_init, VM_IRQCHIP, IRQ_PIC_INIT)
ALONE(pic_priorities, VM_IRQCHIP, IRQ_PIC_PRIORITIES)
ALONE(pic_rotation, VM_IRQCHIP, IRQ_PIC_ROTATION)
ALONE(pic_auto_eoi, VM_IRQCHIP, IRQ_PIC_AUTO_EOI)
ALONE(pic_special_mask, VM_IRQCHIP, IRQ_PIC_SPECIAL_MASK)
ALONE(pic_poll, VM_IRQCHIP, IRQ_PIC_POLL)
ALONE(pic_cascade, VM_IRQCHIP, IRQ_PIC_CASCADE)
ALONE(pic_level, VM_IRQCHIP, IRQ_PIC_LEVEL)
ALONE(pic_slave, VM_IRQCHIP, IRQ_PIC_SLAVE)
ALONE(pic_withdrawn, VM_IRQCHIP, IRQ_PIC_WITHDRAWN)
ALONE(pit_access, VM_IRQCHIP | PIT, IRQ_PIT_ACCESS)
ALONE(pit_modes, VM_IRQCHIP | PIT, IRQ_PIT_MODES)
ALONE(pit_gate, VM_IRQCHIP | PIT, IRQ_PIT_GATE)
ALONE(pit_interrupts, VM_IRQCHIP | PIT, IRQ_PIT_INTERRUPTS)
ALONE(pit_routes, VM_IRQCHIP | PIT, IRQ_PIT_ROUTES)
ALONE(pit_lost, VM_IRQCHIP | PIT, IRQ_PIT_LOST)
ALONE(pit_state, VM_IRQCHIP | PIT, IRQ_PIT_STATE)

/* Corrected machine checks; AMD's CPUs have no interrupt for them. */
static void cmci(uint64_t arg)
{
	struct vcpu *v = start(VM_IRQCHIP, IRQ_NO_CMCI, arg);
	uint64_t cap;

	serve_done(v);
	OK(ioctl(v->vm->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	if (!(cap & MCG_CMCI_P))
		st_skip("this CPU has no interrupt for machine checks");
	v = start(VM_IRQCHIP, IRQ_CMCI, arg);
	cap = MCG_CMCI_P | 4;
	OK(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap));
	serve_done(v);
}

static void cmci_xapic(void)
{
	cmci(0);
}

static void cmci_x2apic(void)
{
	cmci(IRQ_X2);
}

/* ---- several vCPUs ---------------------------------------------------------------------- */

static void together(struct vm *vm)
{
	struct runner r[IRQ_MAX_CPUS];
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		r[i].vcpu = &vm->vcpus[i];
		CHECK(!pthread_create(&r[i].thread, NULL, run_done, &r[i]));
	}
	for (i = 0; i < vm->nr_vcpus; i++)
		pthread_join(r[i].thread, NULL);
}

static void destinations(uint64_t arg)
{
	struct vm *vm = make_vm(VM_IRQCHIP);
	int i;

	for (i = 0; i < 4; i++)
		add(vm, i, IRQ_DESTINATIONS, arg);
	together(vm);
}

static void destinations_xapic(void)
{
	destinations(0);
}

static void destinations_x2apic(void)
{
	destinations(IRQ_X2);
}

/* Real mode, at 11000h: count oneself by the APIC id of CPUID, and halt. */
static const uint8_t count_start[] = {
	0x66, 0xb8, 0x01, 0x00, 0x00, 0x00,	/* mov $1, %eax */
	0x0f, 0xa2,				/* cpuid */
	0x66, 0xc1, 0xeb, 0x18,			/* shr $24, %ebx */
	0x01, 0xdb,				/* add %bx, %bx */
	0x31, 0xc0,				/* xor %ax, %ax */
	0x8e, 0xd8,				/* mov %ax, %ds */
	0xf0, 0xff, 0x87, IRQ_STARTED & 0xff, IRQ_STARTED >> 8,	/* lock incw IRQ_STARTED(%bx) */
	0xf4, 0xeb, 0xfd,			/* 1: hlt; jmp 1b */
};

static void *run_forever(void *arg)
{
	struct runner *r = arg;

	for (;;)
		if (vcpu_run(r->vcpu) != KVM_EXIT_INTR)
			st_fail(__FILE__, __LINE__, "exit %s", exit_text(r->vcpu));
	return NULL;
}

static void start_up(uint64_t arg)
{
	struct kvm_mp_state wait;
	struct vcpu *first = start(VM_IRQCHIP, IRQ_START_UP, arg);
	static struct runner r[4];
	int i;

	memcpy(vm_ptr(first->vm, 0x11000), count_start, sizeof(count_start));
	for (i = 1; i < 4; i++) {
		r[i].vcpu = vm_add_vcpu(first->vm, i);
		vcpu_set_cpuid(r[i].vcpu);
		/* INIT keeps the mode */
		if (arg & IRQ_X2)
			CHECK_EQ(vcpu_set_msr(r[i].vcpu, 0x1b, 0xfee00c00), 1);
		/* one waits for its start-up, the others for INIT */
		wait.mp_state = i == 2 ? KVM_MP_STATE_INIT_RECEIVED : KVM_MP_STATE_UNINITIALIZED;
		OK(ioctl(r[i].vcpu->fd, KVM_SET_MP_STATE, &wait));
		CHECK(!pthread_create(&r[i].thread, NULL, run_forever, &r[i]));
	}
	serve_done(first);
}

static void start_up_xapic(void)
{
	start_up(0);
}

static void start_up_x2apic(void)
{
	start_up(IRQ_X2);
}

static void smi(uint64_t arg)
{
	/* incw IRQ_SMIS; rsm, with DS that begins at 0 */
	static const uint8_t handler[] = {
		0xff, 0x06, IRQ_SMIS & 0xff, IRQ_SMIS >> 8, 0x0f, 0xaa,
	};
	struct vm *vm = make_vm(VM_IRQCHIP);

	if (kvm_cap(vm->fd, KVM_CAP_X86_SMM) <= 0)
		st_skip("no system management mode");
	memcpy(vm_ptr(vm, 0x38000), handler, sizeof(handler));
	/* the memory of system management mode */
	vm_set_slot(vm, 1 << 16, 0, vm->size, vm->mem, 0);
	add(vm, 0, IRQ_SMI, arg);
	add(vm, 1, IRQ_SMI, arg);
	together(vm);
}

static void smi_xapic(void)
{
	smi(0);
}

static void smi_x2apic(void)
{
	smi(IRQ_X2);
}

static void x2apic_api(struct vm *vm)
{
	OK(kvm_enable(vm->fd, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
		      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK));
}

static void high_ids(unsigned int flags)
{
	struct vm *vm = make_vm(flags);
	struct vcpu *v;

	if (kvm_cap(vm->fd, KVM_CAP_MAX_VCPU_ID) <= IRQ_HIGH_ID)
		st_skip("no such ids");
	x2apic_api(vm);
	add(vm, 0, IRQ_HIGH_IDS, IRQ_X2);
	v = add(vm, IRQ_HIGH_ID, IRQ_HIGH_IDS, IRQ_X2);
	(void)v;
	together(vm);
}

static void high_ids_full(void)
{
	high_ids(VM_IRQCHIP);
}

/* As QEMU does it for KVM_FEATURE_MSI_EXT_DEST_ID, which is user space's to offer. */
static void high_ids_split(void)
{
	high_ids(VM_SPLIT);
}

static void devices(uint64_t arg)
{
	struct vm *vm = make_vm(VM_IRQCHIP);
	int i;

	for (i = 0; i < 4; i++)
		add(vm, i, IRQ_DEVICES, arg);
	together(vm);
}

static void devices_xapic(void)
{
	devices(0);
}

static void devices_x2apic(void)
{
	devices(IRQ_X2);
}

static void many_ids(unsigned int flags, uint64_t test, uint64_t arg)
{
	static const int ids[] = IRQ_IDS;
	struct vm *vm = make_vm(flags);
	int i;

	if (kvm_cap(vm->fd, KVM_CAP_MAX_VCPU_ID) <= ids[IRQ_NR_IDS - 1])
		st_skip("no such ids");
	if (test == IRQ_MANY_IDS)
		x2apic_api(vm);
	for (i = 0; i < IRQ_NR_IDS; i++)
		add(vm, ids[i], test, IRQ_X2 | arg);
	together(vm);
}

static void many_ids_full(void)
{
	many_ids(VM_IRQCHIP, IRQ_MANY_IDS, 0);
}

static void many_ids_split(void)
{
	many_ids(VM_SPLIT, IRQ_MANY_IDS, IRQ_NO_IOAPIC);
}

static void msi_8_bits(void)
{
	many_ids(VM_IRQCHIP, IRQ_MSI_8_BITS, 0);
}

/*
 * Many vCPUs with ids over all of the range, each in its thread: an IPI goes around. ST_VCPUS
 * says how many, up to KVM_CAP_MAX_VCPUS; those take a while to be made on an emulated host.
 */
static void ring(void)
{
	struct rlimit files = { 16384, 16384 };
	struct vm *vm = make_vm(VM_IRQCHIP);
	uint64_t max = kvm_cap(vm->fd, KVM_CAP_MAX_VCPU_ID);
	int n = kvm_cap(vm->fd, KVM_CAP_MAX_VCPUS), i;
	int wanted = getenv("ST_VCPUS") ? atoi(getenv("ST_VCPUS")) : st_on_tcg() ? 200 : 64;
	double begun = st_now(), made;
	struct runner *r;
	struct vcpu *v;
	struct kvm_regs regs;
	pthread_attr_t attr;

	CHECK(n >= kvm_cap(vm->fd, KVM_CAP_NR_VCPUS));
	CHECK(max >= n);
	CHECK(n <= IRQ_RING_MAX);
	if (wanted < n)
		n = wanted;
	CHECK(n > 1);
	OK(setrlimit(RLIMIT_NOFILE, &files));
	x2apic_api(vm);
	r = calloc(n, sizeof(*r));
	v = calloc(n, sizeof(*v));
	CHECK(r && v);
	CHECK(!pthread_attr_init(&attr));
	CHECK(!pthread_attr_setstacksize(&attr, 64 << 10));
	for (i = 0; i < n; i++) {
		/* made as the first of the VM is, for its place in the structure is one of few */
		vm->nr_vcpus = 0;
		v[i] = *vm_add_vcpu(vm, irq_ring_id(i, n, max));
		r[i].vcpu = &v[i];
		vcpu_set_cpuid(&v[i]);
		vcpu_long_mode(&v[i]);
		vcpu_regs(&v[i], &regs);
		regs.rsp = IRQ_RING_STACKS + (i + 1) * IRQ_RING_STACK;
		regs.rdi = IRQ_RING;
		regs.rsi = i | n << 16 | max << 32;
		vcpu_set_regs(&v[i], &regs);
		vcpu_make_runnable(&v[i]);
		vcpu_expect_sync(&v[i], 1);
	}
	made = st_now();
	for (i = n; i-- > 0;)
		CHECK(!pthread_create(&r[i].thread, &attr, run_done, &r[i]));
	for (i = 0; i < n; i++)
		pthread_join(r[i].thread, NULL);
	st_note("%d times around %d vCPUs in %.2f s, made in %.2f s", IRQ_RING_ROUNDS, n,
		st_now() - made, made - begun);
}

/* ---- chips in user space ---------------------------------------------------------------- */

static void msi_route(struct kvm_irq_routing_entry *e, uint32_t gsi, uint32_t data)
{
	*e = (struct kvm_irq_routing_entry) {
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = 0xfee00000, .data = data },
	};
}

static void expect_eoi(struct vcpu *v, uint8_t vector)
{
	vcpu_expect_exit(v, KVM_EXIT_IOAPIC_EOI);
	CHECK_EQ(v->run->eoi.vector, vector);
}

static void split(uint64_t arg)
{
	struct vcpu *v = start(VM_SPLIT, IRQ_SPLIT, arg);
	struct {
		struct kvm_irq_routing r;
		struct kvm_irq_routing_entry e[3];
	} t = { .r = { .nr = 3 } };
	struct report rep;

	/* pins of user space's IOAPIC: a level, an edge; and a level that is no pin of it */
	msi_route(&t.e[0], 5, 0xc000 | 0x61);
	msi_route(&t.e[1], 6, 0x62);
	msi_route(&t.e[2], 30, 0xc000 | 0x63);
	OK(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, &t));
	vcpu_expect_sync(v, 1);
	set_line(v->vm, 5, 1);
	expect_eoi(v, 0x61);
	vcpu_expect_sync(v, 2);
	set_line(v->vm, 6, 1);
	set_line(v->vm, 30, 1);
	vcpu_expect_sync(v, 3);
	/* the entry is gone when EOI comes: it is of that vector all the same */
	set_line(v->vm, 5, 1);
	set_line(v->vm, 6, 1);
	expect_eoi(v, 0x61);
	vcpu_expect_sync(v, 4);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 5);
	CHECK_EQ(rep.b, 2);
	CHECK_EQ(rep.c, 2);
	vcpu_expect_done(v);
}

static void split_xapic(void)
{
	split(0);
}

static void split_x2apic(void)
{
	split(IRQ_X2);
}

static void inject(struct vcpu *v, uint32_t vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	OK(ioctl(v->fd, KVM_INTERRUPT, &irq));
}

static void no_chip(void)
{
	struct vcpu *v = start(0, IRQ_NO_CHIP, 0);
	struct kvm_interrupt irq = { .irq = 0x22 };

	v->run->cr8 = 0;
	vcpu_expect_sync(v, 1);
	CHECK_EQ(v->run->cr8, 0);
	v->run->cr8 = 5;
	vcpu_expect_sync(v, 2);
	CHECK_EQ(v->run->cr8, 7);
	vcpu_expect_exit(v, KVM_EXIT_SET_TPR);
	CHECK_EQ(v->run->cr8, 3);
	vcpu_expect_sync(v, 3);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 0);
	CHECK_EQ(v->run->if_flag, 0);
	inject(v, 0x21);
	if (kvm_is_oot())	/* the kernel's own replaces the first */
		FAILS(ioctl(v->fd, KVM_INTERRUPT, &irq), EEXIST);
	v->run->request_interrupt_window = 0;
	vcpu_expect_sync(v, 4);
	/* a window is open again and again, until one is put in */
	v->run->request_interrupt_window = 1;
	vcpu_expect_exit(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 1);
	CHECK_EQ(v->run->if_flag, 1);
	inject(v, 0xf0);
	vcpu_expect_exit(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	inject(v, 0x20);
	vcpu_expect_exit(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	v->run->request_interrupt_window = 0;
	vcpu_expect_sync(v, 5);
	vcpu_expect_sync(v, 6);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 1);
	inject(v, 0x90);
	vcpu_expect_sync(v, 7);
	vcpu_expect_done(v);
}

/* ---- irqfd ------------------------------------------------------------------------------ */

static struct irq_run *run_of(struct vm *vm, int cpu)
{
	return (struct irq_run *)vm_ptr(vm, IRQ_RUNS) + cpu;
}

static uint64_t received(struct vm *vm)
{
	return READ_ONCE(run_of(vm, 0)->received);
}

static void irqfd(struct vm *vm, int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd i = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resample };

	OK(ioctl(vm->fd, KVM_IRQFD, &i));
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, 8), 8);
}

static int event_fd(void)
{
	return OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static struct runner counting(unsigned int test)
{
	struct runner r = { .vcpu = start(VM_IRQCHIP, test, 0) };

	serve_to(r.vcpu, 1);
	return r;
}

static void stop_counting(struct runner *r)
{
	WRITE_ONCE(run_of(r->vcpu->vm, 0)->stop, 1);
	pthread_join(r->thread, NULL);
}

/* Two levels go up and down at any time: what is withdrawn while the PIC is asked is spurious. */
static void pic_race(void)
{
	struct runner r = counting(IRQ_PIC_RACE);
	struct vm *vm = r.vcpu->vm;
	double end = st_now() + 0.4;
	unsigned int i;

	CHECK(!pthread_create(&r.thread, NULL, run_done, &r));
	for (i = 0; st_now() < end || i < 50; i++) {
		set_line(vm, i & 1 ? 10 : 5, 1);
		if (i & 2)
			set_line(vm, i & 1 ? 5 : 10, 1);
		/* some of them for longer than that takes */
		if (i % 16 == 0)
			usleep(500);
		set_line(vm, 5, 0);
		set_line(vm, 10, 0);
	}
	stop_counting(&r);
	CHECK(received(vm));
	st_note("%llu taken, %llu spurious, of %u", (unsigned long long)received(vm),
		(unsigned long long)run_of(vm, 0)->sent, i);
}

/* exactly n, and none that comes late */
static void counted(struct vm *vm, uint64_t n)
{
	CHECK(UNTIL(received(vm) >= n, 10));
	usleep(3000);
	CHECK_EQ(received(vm), n);
}

static void irqfd_edge(void)
{
	struct runner r = counting(IRQ_COUNTS);
	struct vm *vm = r.vcpu->vm;
	int a = event_fd(), b = event_fd(), c = event_fd(), i;
	uint64_t n = 0, v;

	CHECK(!pthread_create(&r.thread, NULL, run_done, &r));
	irqfd(vm, a, IRQ_GSI, 0, 0);
	irqfd(vm, b, IRQ_GSI, 0, 0);
	for (i = 0; i < 50; i++) {
		signal_fd(i & 1 ? a : b);
		counted(vm, ++n);
	}
	/* signalled before it was given: comes with it */
	signal_fd(c);
	irqfd(vm, c, IRQ_GSI, 0, 0);
	counted(vm, ++n);
	/* taken away while it is signalled: no more of it; the count is user space's again */
	for (i = 0; i < 20; i++) {
		signal_fd(c);
		irqfd(vm, c, IRQ_GSI, KVM_IRQFD_FLAG_DEASSIGN, 0);
		UNTIL(received(vm) > n, 0.02);
		v = received(vm);
		CHECK(v == n || v == n + 1);
		n = v;
		CHECK(!read(c, &v, 8) || errno == EAGAIN || v == 1);
		signal_fd(c);
		usleep(1000);
		CHECK_EQ(received(vm), n);
		CHECK_EQ(read(c, &v, 8), 8);
		irqfd(vm, c, IRQ_GSI, 0, 0);
	}
	/* closed: it goes by itself, and the GSI lives on */
	close(a);
	for (i = 0; i < 20; i++) {
		a = event_fd();
		irqfd(vm, a, IRQ_GSI, 0, 0);
		signal_fd(a);
		close(a);
	}
	/* taking one down awaits all of them */
	irqfd(vm, b, IRQ_GSI, KVM_IRQFD_FLAG_DEASSIGN, 0);
	irqfd(vm, b, IRQ_GSI, 0, 0);
	usleep(50000);
	v = received(vm);
	CHECK(v >= n && v <= n + 20);
	n = v;
	signal_fd(b);
	counted(vm, n + 1);
	stop_counting(&r);
}

/* Two devices share a level: each EOI lowers the line and asks both. */
static void irqfd_resample(void)
{
	struct runner r = counting(IRQ_LEVEL_COUNTS);
	struct vm *vm = r.vcpu->vm;
	int a = event_fd(), b = event_fd(), ra = event_fd(), rb = event_fd(), i;
	uint64_t n = 0, v;

	CHECK(!pthread_create(&r.thread, NULL, run_done, &r));
	irqfd(vm, a, IRQ_GSI, KVM_IRQFD_FLAG_RESAMPLE, ra);
	irqfd(vm, b, IRQ_GSI, KVM_IRQFD_FLAG_RESAMPLE, rb);
	for (i = 0; i < 50; i++) {
		struct pollfd p[] = { { ra, POLLIN }, { rb, POLLIN } };

		signal_fd(i & 1 ? a : b);
		CHECK_EQ(poll(&p[0], 1, 5000), 1);
		CHECK_EQ(poll(&p[1], 1, 5000), 1);
		CHECK_EQ(read(ra, &v, 8), 8);
		CHECK_EQ(read(rb, &v, 8), 8);
		counted(vm, ++n);
	}
	/* one goes: the other works on */
	irqfd(vm, a, IRQ_GSI, KVM_IRQFD_FLAG_DEASSIGN, 0);
	signal_fd(b);
	counted(vm, ++n);
	CHECK(read(ra, &v, 8) < 0);
	close(b);
	usleep(10000);
	/* beside an ordinary line of user space */
	set_line(vm, IRQ_GSI, 1);
	CHECK(UNTIL(received(vm) > n + 3, 10));
	set_line(vm, IRQ_GSI, 0);
	stop_counting(&r);
}

#define NR_ROUTES	4096

struct changer {
	struct vm *vm;
	bool stop;
	unsigned int rounds;
};

/* All routes anew, again and again; the one that is used is another kind each time. */
static void *change_routes(void *arg)
{
	struct changer *c = arg;
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + NR_ROUTES * sizeof(r->entries[0]));
	unsigned int i;

	CHECK(r);
	r->nr = NR_ROUTES;
	while (!READ_ONCE(c->stop)) {
		for (i = 0; i < NR_ROUTES; i++)
			msi_route(&r->entries[i], i, 0x30 + c->rounds % 16);
		if (c->rounds & 1)
			msi_route(&r->entries[IRQ_GSI], IRQ_GSI, IRQ_VECTOR);
		else
			irqchip_route(&r->entries[IRQ_GSI], IRQ_GSI, KVM_IRQCHIP_IOAPIC, IRQ_GSI);
		OK(ioctl(c->vm->fd, KVM_SET_GSI_ROUTING, r));
		c->rounds++;
	}
	free(r);
	return NULL;
}

static void irqfd_routes_change(void)
{
	struct runner r = counting(IRQ_COUNTS);
	struct vm *vm = r.vcpu->vm;
	struct changer c = { .vm = vm };
	int fd = event_fd();
	pthread_t t;
	unsigned int i;

	irqfd(vm, fd, IRQ_GSI, 0, 0);
	CHECK(!pthread_create(&r.thread, NULL, run_done, &r));
	CHECK(!pthread_create(&t, NULL, change_routes, &c));
	for (i = 1; i <= 300; i++) {
		signal_fd(fd);
		CHECK(UNTIL(received(vm) >= i, 10));
		CHECK_EQ(received(vm), i);
	}
	WRITE_ONCE(c.stop, true);
	pthread_join(t, NULL);
	CHECK(c.rounds > 1);
	st_note("%u times %u routes", c.rounds, NR_ROUTES);
	stop_counting(&r);
}

/* ---- ioeventfd -------------------------------------------------------------------------- */

struct doorbell {
	uint64_t addr, match;
	uint32_t len, flags;
	int fd;
	unsigned int rings;	/* in one round of the guest's writes */
};

#define ANY	0
#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define PIO	KVM_IOEVENTFD_FLAG_PIO

static bool is_access(const struct vcpu *v)
{
	return v->run->exit_reason == KVM_EXIT_MMIO || v->run->exit_reason == KVM_EXIT_IO;
}

static void ioeventfds(void)
{
	/* @rings: of 1, 2, 4 bytes and two of 8; 1, 2 and two of 4 bytes to the port */
	static struct doorbell all[][5] = {
		{ { MMIO_BASE, 0, 0, ANY, 0, 5 }, { PIO_BASE, 0, 0, PIO, 0, 4 } },
		{ { MMIO_BASE, 0, 1, ANY, 0, 1 }, { MMIO_BASE, 0, 2, ANY, 0, 1 },
		  { MMIO_BASE, 0, 4, ANY, 0, 1 }, { MMIO_BASE, 0, 8, ANY, 0, 2 } },
		{ { MMIO_BASE, 0x11, 1, MATCH, 0, 1 }, { MMIO_BASE, 0x2222, 2, MATCH, 0, 1 },
		  { MMIO_BASE, 0x33333333, 4, MATCH, 0, 1 },
		  { MMIO_BASE, 0x4444444444444444, 8, MATCH, 0, 1 },
		  { MMIO_BASE, 0x4444444444444445, 8, MATCH, 0, 1 } },
		{ { MMIO_BASE, 0x12, 1, MATCH, 0, 0 }, { MMIO_BASE, 0x22, 2, MATCH, 0, 0 },
		  { MMIO_BASE, 0x3333333333333333, 8, MATCH, 0, 0 },
		  { MMIO_BASE + 1, 0, 1, ANY, 0, 0 } },
		{ { PIO_BASE, 0x11, 1, PIO | MATCH, 0, 1 },
		  { PIO_BASE, 0x2222, 2, PIO | MATCH, 0, 1 },
		  { PIO_BASE, 0x33333333, 4, PIO | MATCH, 0, 1 }, { MMIO_BASE, 0, 8, ANY, 0, 2 } },
	};
	unsigned int i, j, rings, exits;
	struct kvm_ioeventfd e;
	struct report rep;
	uint64_t v;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		struct vcpu *c = start(VM_IRQCHIP, IRQ_WRITES, 0);

		vcpu_expect_sync(c, 1);
		for (j = 0, rings = 0; j < 5 && all[i][j].addr; j++) {
			all[i][j].fd = event_fd();
			e = (struct kvm_ioeventfd) {
				.addr = all[i][j].addr, .datamatch = all[i][j].match,
				.len = all[i][j].len, .flags = all[i][j].flags, .fd = all[i][j].fd,
			};
			OK(ioctl(c->vm->fd, KVM_IOEVENTFD, &e));
			rings += all[i][j].rings;
		}
		/* what rings does not leave; the rest does, each once */
		for (exits = 0; vcpu_run(c), !vcpu_is_report(c, &rep); exits++)
			CHECK(is_access(c));
		CHECK_EQ(rep.a, 2);
		CHECK_EQ(exits + rings, 9);
		for (j = 0; j < 5 && all[i][j].addr; j++) {
			v = 0;
			if (read(all[i][j].fd, &v, 8) < 0)
				CHECK_EQ(errno, EAGAIN);
			CHECK_EQ(v, all[i][j].rings);
			e = (struct kvm_ioeventfd) {
				.addr = all[i][j].addr, .datamatch = all[i][j].match,
				.len = all[i][j].len, .fd = all[i][j].fd,
				.flags = all[i][j].flags | KVM_IOEVENTFD_FLAG_DEASSIGN,
			};
			OK(ioctl(c->vm->fd, KVM_IOEVENTFD, &e));
		}
		for (exits = 0; vcpu_run(c), !vcpu_is_report(c, &rep); exits++)
			CHECK(is_access(c));
		CHECK_EQ(exits, 9);
		CHECK_EQ(rep.kind, REPORT_DONE);
		vm_free(c->vm);
	}
}

/* ---- long runs, through which the VM moves ---------------------------------------------- */

#define SIG_STOP	SIGUSR1

struct mover {
	int n;
	bool pause;
	unsigned int parked;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

struct player {
	struct mover *m;
	pthread_t thread;
	struct vcpu *vcpu;	/* changes while it is parked */
};

static __thread struct kvm_run *own_run;

static void on_stop(int sig)
{
	if (own_run)
		own_run->immediate_exit = 1;
}

/* Run a vCPU; when all are to stop, finish what has exited and wait for another vCPU. */
static void *play(void *arg)
{
	struct player *p = arg;
	struct mover *m = p->m;
	struct report rep;
	int r;

	for (;;) {
		own_run = p->vcpu->run;
		if (READ_ONCE(m->pause))
			own_run->immediate_exit = 1;
		r = vcpu_run_raw(p->vcpu);
		CHECK(!r || r == -EINTR || r == -EAGAIN);
		if (!r) {
			if (!vcpu_is_report(p->vcpu, &rep))
				st_fail(__FILE__, __LINE__, "exit %s", exit_text(p->vcpu));
			CHECK_EQ(rep.kind, REPORT_DONE);
			return NULL;
		}
		own_run->immediate_exit = 0;
		pthread_mutex_lock(&m->lock);
		if (m->pause) {
			own_run = NULL;
			m->parked++;
			pthread_cond_broadcast(&m->cond);
			while (m->pause)
				pthread_cond_wait(&m->cond, &m->lock);
			m->parked--;
		}
		pthread_mutex_unlock(&m->lock);
	}
}

/* Another VM over the same memory. */
static struct vm *vm_over(struct vm *old)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	CHECK(vm);
	vm->dev = kvm_open();
	vm->fd = vm_create_fd(vm->dev, 0);
	vm->size = old->size;
	vm->mem = old->mem;
	vm_set_slot(vm, 0, 0, vm->size, vm->mem, 0);
	OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0UL));
	return vm;
}

#define MSR_TSC			0x10
#define MSR_TSC_DEADLINE	0x6e0

/* In the order in which QEMU saves and loads it. */
static void move_vcpu(struct vcpu *from, struct vcpu *to)
{
	struct kvm_vcpu_events ev;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t tsc, deadline;

	OK(ioctl(from->fd, KVM_GET_VCPU_EVENTS, &ev));
	OK(ioctl(from->fd, KVM_GET_MP_STATE, &mp));
	OK(ioctl(from->fd, KVM_GET_REGS, &regs));
	OK(ioctl(from->fd, KVM_GET_SREGS, &sregs));
	tsc = vcpu_get_msr(from, MSR_TSC);
	deadline = vcpu_get_msr(from, MSR_TSC_DEADLINE);
	OK(ioctl(from->fd, KVM_GET_LAPIC, &lapic));

	vcpu_set_cpuid(to);
	OK(ioctl(to->fd, KVM_SET_SREGS, &sregs));
	OK(ioctl(to->fd, KVM_SET_REGS, &regs));
	CHECK_EQ(vcpu_set_msr(to, MSR_TSC, tsc), 1);
	OK(ioctl(to->fd, KVM_SET_LAPIC, &lapic));
	OK(ioctl(to->fd, KVM_SET_VCPU_EVENTS, &ev));
	OK(ioctl(to->fd, KVM_SET_MP_STATE, &mp));
	CHECK_EQ(vcpu_set_msr(to, MSR_TSC_DEADLINE, deadline), 1);
}

static struct vm *move_all(struct mover *m, struct player *p, struct vm *vm)
{
	struct vm *to = vm_over(vm);
	int i;

	for (i = 0; i < m->n; i++)
		move_vcpu(&vm->vcpus[i], vm_add_vcpu(to, vm->vcpus[i].id));
	for (i = 0; i < m->n; i++)
		p[i].vcpu = &to->vcpus[i];
	vm_close(vm);
	return to;
}

static void stop_all(struct mover *m, struct player *p)
{
	struct timespec soon;
	int i;

	/* those of the last time may not have looked yet */
	UNTIL(!READ_ONCE(m->parked), 10);
	pthread_mutex_lock(&m->lock);
	WRITE_ONCE(m->pause, true);
	while (m->parked < m->n) {
		for (i = 0; i < m->n; i++)
			pthread_kill(p[i].thread, SIG_STOP);
		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec += 10000000;
		soon.tv_sec += soon.tv_nsec / 1000000000;
		soon.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&m->cond, &m->lock, &soon);
	}
	pthread_mutex_unlock(&m->lock);
}

static void go_on(struct mover *m)
{
	pthread_mutex_lock(&m->lock);
	WRITE_ONCE(m->pause, false);
	pthread_cond_broadcast(&m->cond);
	pthread_mutex_unlock(&m->lock);
}

static unsigned int seconds(void)
{
	const char *s = getenv("ST_SECONDS");

	return s && atoi(s) > 0 ? atoi(s) : 5;
}

static void long_run(uint64_t test, uint64_t arg, int n)
{
	struct sigaction sa = { .sa_handler = on_stop };
	struct mover m = { .n = n, .lock = PTHREAD_MUTEX_INITIALIZER,
			   .cond = PTHREAD_COND_INITIALIZER };
	struct vm *vm = make_vm(VM_IRQCHIP);
	struct player p[IRQ_MAX_CPUS];
	unsigned int moves = 0;
	uint64_t sent = 0, shadows = 0;
	double begun, end;
	int i;

	alarm(60 + 10 * seconds());
	CHECK(!sigaction(SIG_STOP, &sa, NULL));
	for (i = 0; i < n; i++) {
		p[i].m = &m;
		p[i].vcpu = add(vm, i, test, arg);
	}
	begun = st_now();
	for (i = 0; i < n; i++)
		CHECK(!pthread_create(&p[i].thread, NULL, play, &p[i]));
	for (end = st_now() + seconds(); st_now() < end;) {
		usleep(100000);
		stop_all(&m, p);
		vm = move_all(&m, p, vm);
		moves++;
		go_on(&m);
	}
	for (i = 0; i < n; i++)
		WRITE_ONCE(run_of(vm, i)->stop, 1);
	for (i = 0; i < n; i++)
		pthread_join(p[i].thread, NULL);
	for (i = 0; i < n; i++) {
		const struct irq_run *a = run_of(vm, i), *b = run_of(vm, i ^ 1);

		CHECK(a->sent);
		/* QEMU 7.2 loses the interrupt shadow at VMRUN */
		CHECK(!a->shadows || st_on_tcg());
		shadows += a->shadows;
		if (test == IRQ_PING_PONG)
			CHECK_EQ(a->sent, b->received);
		else if (i % 3 != 2)
			CHECK_EQ(a->sent, a->received);
		else	/* periods of a millisecond */
			CHECK(a->received <= 1000 * (st_now() - begun) + 2);
		sent += a->sent;
	}
	CHECK(moves > 0);
	st_note("%llu sent and taken by %d vCPUs, which moved %u times",
		(unsigned long long)sent, n, moves);
	if (shadows)
		st_note("%llu of them came between STI and HLT", (unsigned long long)shadows);
}

static void stress_ping_pong_2(void)
{
	long_run(IRQ_PING_PONG, IRQ_X2, 2);
}

static void stress_ping_pong_8(void)
{
	long_run(IRQ_PING_PONG, 0, 8);
}

static void stress_timers_1(void)
{
	long_run(IRQ_TIMER_STORM, 0, 1);
}

static void stress_timers_6(void)
{
	long_run(IRQ_TIMER_STORM, IRQ_X2, 6);
}

#define WAKE_ALARM	"/sys/class/rtc/rtc0/wakealarm"

/* Suspend to memory: all CPUs but one go, their extension is given back and taken again. */
static void *host_sleeps(void *arg)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		sleep(1);
		CHECK(st_write(WAKE_ALARM, "0") && st_write(WAKE_ALARM, "+2"));
		CHECK(st_write("/sys/power/state", "mem"));
	}
	return NULL;
}

static void stress_asleep(void)
{
	char states[64] = "";
	int fd = open("/sys/power/mem_sleep", O_RDONLY | O_CLOEXEC);
	pthread_t t;

	if (fd >= 0) {
		CHECK(read(fd, states, sizeof(states) - 1) > 0);
		close(fd);
	}
	if (!strstr(states, "[deep]") || access(WAKE_ALARM, W_OK))
		st_skip("this host cannot be suspended to memory, or not be woken by its clock");
	CHECK(!pthread_create(&t, NULL, host_sleeps, NULL));
	long_run(IRQ_TIMER_STORM, IRQ_X2, 6);
	CHECK(!pthread_join(t, NULL));
}

#define BOTH(name)	{ #name "_xapic", name##_xapic }, { #name "_x2apic", name##_x2apic }
#define ONE(name)	{ #name, name }

static const struct st_test tests[] = {
	BOTH(registers),
	BOTH(task_priority),
	BOTH(in_service),
	BOTH(software_disable),
	BOTH(trigger_mode),
	BOTH(errors),
	BOTH(self_ipis),
	BOTH(timer_divide),
	BOTH(timer_modes),
	BOTH(timer_masked),
	BOTH(extint),
	BOTH(base),
	BOTH(lint0),
	BOTH(lint1),
	BOTH(cmci),
	BOTH(destinations),
	BOTH(start_up),
	BOTH(smi),
	ONE(high_ids_full),
	ONE(high_ids_split),
	BOTH(devices),
	ONE(many_ids_full),
	ONE(many_ids_split),
	ONE(msi_8_bits),
	ONE(ring),
	ONE(ioapic_registers),
	ONE(ioapic_pins),
	BOTH(ioapic_level),
	ONE(ioapic_mask),
	BOTH(ioapic_delivery),
	ONE(ioapic_shared),
	ONE(ioapic_rewritten),
	ONE(ioapic_override),
	ONE(ioapic_rtc),
	ONE(pic_init),
	ONE(pic_priorities),
	ONE(pic_rotation),
	ONE(pic_auto_eoi),
	ONE(pic_special_mask),
	ONE(pic_poll),
	ONE(pic_cascade),
	ONE(pic_level),
	ONE(pic_slave),
	ONE(pic_withdrawn),
	ONE(pic_race),
	ONE(pit_access),
	ONE(pit_modes),
	ONE(pit_gate),
	ONE(pit_interrupts),
	ONE(pit_routes),
	ONE(pit_lost),
	ONE(pit_state),
	BOTH(split),
	ONE(no_chip),
	ONE(irqfd_edge),
	ONE(irqfd_resample),
	{ "irqfd_routes_change", irqfd_routes_change, 120 },
	ONE(ioeventfds),
	/* ST_SECONDS each; they set their own alarm */
	ONE(stress_ping_pong_2),
	ONE(stress_ping_pong_8),
	ONE(stress_timers_1),
	ONE(stress_timers_6),
	ONE(stress_asleep),
	{}
};

ST_MAIN("irq", tests)
