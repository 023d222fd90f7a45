// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested virtualization: a guest (L1) that runs a guest of its own (L2) with VMRUN or VMLAUNCH
 * and VMRESUME. L1 has no nested paging, so that L2's physical addresses are L1's. What is to come
 * is the manuals' (APM vol. 2, chapter 15; SDM vol. 3, chapters 24 to 30); most of it L1 checks by
 * itself, in payloads/nested.c.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include "nested.h"
#include "st.h"

#define MEM		(16ul << 20)
#define EX_SHUTDOWN	11	/* of nested_hv.h */
#define EX_INTR		8
#define EX_NMI		9
#define EX_INIT		22

static bool intel(void)
{
	return host_is_intel();
}

static void need_nested(void)
{
	int dev = kvm_open();

	if (!kvm_cpu_has(dev, 1, 2, 5) && !kvm_cpu_has(dev, 0x80000001, 2, 2))
		st_skip("KVM_GET_SUPPORTED_CPUID has neither SVM nor VMX");
	close(dev);
}

static void need_amd(void)
{
	need_nested();
	if (intel())
		st_skip("SVM only");
}

static void need_intel(void)
{
	need_nested();
	if (!intel())
		st_skip("VMX only");
}

static struct vcpu *start_on(struct vm *vm, int id, uint64_t test, uint64_t flags, uint64_t arg)
{
	struct vcpu *v = vm_add_vcpu(vm, id);

	vcpu_start(v, test, id | flags | (st_on_tcg() ? N_TCG : 0), arg);
	vcpu_make_runnable(v);
	return v;
}

static struct vm *new_vm(void)
{
	struct vm *vm;

	need_nested();
	vm = vm_new(MEM, VM_IRQCHIP);
	PAYLOAD(vm, nested);
	return vm;
}

static struct vcpu *start(uint64_t test, uint64_t flags)
{
	return start_on(new_vm(), 0, test, flags, 0);
}

static struct n_shared *shared_of(struct vm *vm)
{
	return vm_ptr(vm, GUEST_SHARED);
}

/* L1 does it all */
static void whole(uint64_t test, uint64_t flags)
{
	vcpu_expect_done(start(test, flags));
}

#define WHOLE(name, test)						\
static void name(void)							\
{									\
	whole(test, 0);							\
}

#define WHOLE_AMD(name, test)						\
static void name(void)							\
{									\
	need_amd();							\
	whole(test, 0);							\
}

#define WHOLE_INTEL(name, test)						\
static void name(void)							\
{									\
	need_intel();							\
	whole(test, 0);							\
}

WHOLE(exits, N_EXITS)
WHOLE(msrs, N_MSRS)
WHOLE(moves, N_MOVES)
WHOLE(control_registers, N_CONTROL)
WHOLE(insns, N_INSNS)
WHOLE_INTEL(msr_areas, N_AREAS)
WHOLE(tables, N_TABLES)
WHOLE(modes, N_MODES)
WHOLE(registers, N_REGISTERS)
WHOLE(exceptions, N_EXCEPTIONS)
WHOLE(own_exceptions, N_OWN_EXCEPTIONS)
WHOLE(injected, N_INJECTED)
WHOLE(double_fault, N_DOUBLE_FAULT)
WHOLE(shut_down, N_SHUTDOWN)
WHOLE(intr_exit, N_INTR_EXIT)
WHOLE(timer_exit, N_TIMER_EXIT)
WHOLE(intr_own, N_INTR_OWN)
WHOLE(nmi_exit, N_NMI_EXIT)
WHOLE(window, N_WINDOW)
WHOLE_AMD(masked, N_MASKED)
WHOLE_AMD(masked_on, N_MASKED_ON)
WHOLE_AMD(gif, N_GIF)
WHOLE_AMD(virtual_interrupt, N_VIRTUAL)
WHOLE_INTEL(acknowledged, N_ACK)
WHOLE(bad_state, N_BAD_STATE)
WHOLE_INTEL(bad_controls, N_BAD_CONTROLS)
WHOLE_INTEL(bad_host_state, N_BAD_HOST)
WHOLE_INTEL(fields, N_FIELDS)
WHOLE(pointers, N_POINTERS)
WHOLE(privileges, N_PRIVILEGES)
WHOLE(turned_off, N_OFF)
WHOLE_AMD(gif_turned_off, N_GIF_OFF)
WHOLE(l0_msrs, N_L0_MSRS)
WHOLE(halted, N_HALTED)

static void halted_intr(void)
{
	whole(N_HALTED, N_CATCH);
}

static void tsc_offset(void)
{
	struct vcpu *v = start(N_TSC, 0);
	struct report r = vcpu_run_to_report(v);

	if (r.kind == REPORT_SYNC)
		st_skip("no TSC offsetting");
	CHECK_EQ(r.kind, REPORT_DONE);
}

/* ---- ports ---------------------------------------------------------------------------- */

static void *io_data(struct vcpu *v)
{
	return (uint8_t *)v->run + v->run->io.data_offset;
}

/* the next exit is for a port, and has or gets a value */
static void expect_port(struct vcpu *v, uint16_t port, bool in, unsigned int size, uint32_t value)
{
	struct report rep;
	uint32_t seen = 0;

	vcpu_expect_exit(v, KVM_EXIT_IO);
	vcpu_is_report(v, &rep);
	CHECK_EQ(v->run->io.port, port);
	CHECK_EQ(v->run->io.direction, in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT);
	CHECK_EQ(v->run->io.size, size);
	if (in) {
		memcpy(io_data(v), &value, size);
		return;
	}
	memcpy(&seen, io_data(v), size);
	CHECK_EQ(seen, value);
}

/* what L1 does not intercept is user space's */
static void expect_all_ports(struct vcpu *v)
{
	int n;

	expect_port(v, PIO_BASE, false, 1, 0x11);
	expect_port(v, PIO_BASE, false, 2, 0x2222);
	expect_port(v, PIO_BASE, false, 4, 0x33333333);
	expect_port(v, PIO_BASE, true, 1, 0x44);
	expect_port(v, PIO_BASE, true, 2, 0x5555);
	expect_port(v, PIO_BASE, true, 4, 0x66666666);
	for (n = 0; n < 3; n += v->run->io.count) {
		vcpu_expect_exit(v, KVM_EXIT_IO);
		CHECK_EQ(v->run->io.port, PIO_BASE);
		CHECK_EQ(v->run->io.size, 1);
		CHECK(v->run->io.count <= 3 - n);
		CHECK(!memcmp(io_data(v), "abc" + n, v->run->io.count));
	}
	expect_port(v, PIO_BASE - 3, false, 4, 0x77777777);
	expect_port(v, PIO_BASE + 1, false, 1, 0x88);
	expect_port(v, PIO_BASE - 4, false, 4, 0x99);
}

static void ports(void)
{
	struct vcpu *v = start(N_PORTS, 0);

	expect_port(v, PIO_BASE + 1, false, 1, 0x88);
	expect_port(v, PIO_BASE - 4, false, 4, 0x99);
	vcpu_expect_sync(v, 1);
	expect_all_ports(v);
	vcpu_expect_sync(v, 2);
	expect_all_ports(v);
	vcpu_expect_sync(v, 3);
	vcpu_expect_done(v);
}

/* Ports of the host's own devices stay closed: they are KVM's or user space's. */
static void l0_ports(void)
{
	static const uint16_t user[] = { 0x40, 0x61, 0x70, 0x71, 0xcf8, 0x3f8 };
	struct vcpu *v = start(N_L0_PORTS, 0);
	unsigned int i, round;

	for (round = 0; round < 2; round++) {
		/* three of the PIC, which the kernel has */
		for (i = 0; i < 3; i++) {
			vcpu_expect_exit(v, KVM_EXIT_IO);
			CHECK_EQ(v->run->io.port, PIO_BASE + 2);
		}
		for (i = 0; i < ARRAY_SIZE(user); i++) {
			expect_port(v, user[i], true, 1, 0xa0 + i);
			expect_port(v, PIO_BASE + 2, false, 1, 0xa0 + i);
		}
		expect_port(v, PIO_BASE, false, 2, 0x2222);
		if (round || !intel())
			expect_port(v, 0xffff, true, 2, 0x5a5a);
	}
	vcpu_expect_done(v);
}

/* ---- events of user space's -------------------------------------------------------------- */

static void finish_exit(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	CHECK_EQ(vcpu_run_raw(v), -EINTR);
	v->run->immediate_exit = 0;
}

/* L2 is at its port, and has had so many NMIs */
static void expect_l2(struct vcpu *v, uint32_t nmis)
{
	expect_port(v, PIO_BASE, false, 4, nmis);
}

static void expect_class(struct vcpu *v, uint64_t class, uint64_t l1_nmis)
{
	struct report r = vcpu_run_to_report(v);

	CHECK_EQ(r.kind, REPORT_SYNC);
	CHECK_EQ(r.a, class);
	CHECK_EQ(r.b, l1_nmis);
	CHECK_EQ(r.c, 0);
}

static void nmi_to_l1(void)
{
	struct vcpu *v = start(N_WATCH, N_CATCH);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		expect_l2(v, 0);
		OK(ioctl(v->fd, KVM_NMI));
		/* SVM: L1 has taken it by now, at its STGI */
		expect_class(v, EX_NMI, intel() ? 0 : i + 1);
	}
	expect_l2(v, 0);
}

static void nmi_to_l2(void)
{
	struct vcpu *v = start(N_WATCH, 0);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		expect_l2(v, i);
		OK(ioctl(v->fd, KVM_NMI));
		/* the instruction that has exited is over before it comes */
		expect_l2(v, i + 1);
	}
}

/* A VM without interrupt controllers: a window is asked for while L2 runs. */
static void interrupt(uint64_t flags)
{
	struct kvm_interrupt irq = { .irq = N_VECTOR };
	struct vcpu *v;
	struct vm *vm;
	unsigned int i, n;

	need_nested();
	vm = vm_new(MEM, 0);
	PAYLOAD(vm, nested);
	v = start_on(vm, 0, N_WATCH, flags | N_NO_CHIP, 0);
	for (i = 0; i < 4; i++) {
		expect_l2(v, flags & N_CATCH ? 0 : i);
		v->run->request_interrupt_window = 1;
		/* at once, but for what L2 has begun */
		for (n = 0; vcpu_run(v) == KVM_EXIT_IO && n < 3; n++)
			CHECK_EQ(v->run->io.port, PIO_BASE);
		if (v->run->exit_reason != KVM_EXIT_IRQ_WINDOW_OPEN)
			st_fail(__FILE__, __LINE__, "exit %s, not for a window", exit_text(v));
		CHECK(v->run->ready_for_interrupt_injection);
		v->run->request_interrupt_window = 0;
		OK(ioctl(v->fd, KVM_INTERRUPT, &irq));
		if (flags & N_CATCH)
			expect_class(v, EX_INTR, i + 1);
	}
	expect_l2(v, flags & N_CATCH ? 0 : i);
}

static void interrupt_to_l1(void)
{
	interrupt(N_CATCH | N_IF);
}

/* L2's IF means nothing to those that L1 intercepts */
static void interrupt_to_l1_if_clear(void)
{
	interrupt(N_CATCH);
}

static void interrupt_to_l2(void)
{
	interrupt(N_IF);
}

static bool is_dirty(struct vm *vm, uint64_t gpa)
{
	static uint64_t bits[MEM / 4096 / 64];
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bits };

	OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	return bits[gpa / 4096 / 64] >> (gpa / 4096 % 64) & 1;
}

/* What L2 writes, and what an exit writes for L1, is in the log. */
static void dirty_log(void)
{
	struct vcpu *v = start(N_WATCH, N_CATCH);
	struct vm *vm = v->vm;
	unsigned int i;

	expect_l2(v, 0);
	for (i = 0; i < 3; i++) {
		vm_set_slot(vm, 0, 0, MEM, vm->mem, KVM_MEM_LOG_DIRTY_PAGES);
		expect_l2(v, 0);
		CHECK(is_dirty(vm, N_DIRTIED));
		finish_exit(v);
		is_dirty(vm, 0);
		CHECK(!is_dirty(vm, N_DIRTIED));
		CHECK(!is_dirty(vm, N_DIRTIED + 0x1000));
		expect_l2(v, 0);
		CHECK(is_dirty(vm, N_DIRTIED));
		OK(ioctl(v->fd, KVM_NMI));
		expect_class(v, EX_NMI, intel() ? 0 : i + 1);
		/* VMX keeps its own until VMCLEAR */
		if (!intel())
			CHECK(is_dirty(vm, N_MEM));
		vm_set_slot(vm, 0, 0, MEM, vm->mem, 0);
		expect_l2(v, 0);
	}
}

static void expect_mmio(struct vcpu *v, uint64_t gpa, bool write, uint32_t value)
{
	struct report rep;

	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	vcpu_is_report(v, &rep);
	CHECK_EQ(v->run->mmio.phys_addr, gpa);
	CHECK_EQ(v->run->mmio.len, 4);
	CHECK_EQ(v->run->mmio.is_write, write);
	if (write)
		CHECK(!memcmp(v->run->mmio.data, &value, 4));
	else
		memcpy(v->run->mmio.data, &value, 4);
}

static void mmio(void)
{
	struct vcpu *v = start(N_MMIO, 0);
	int i;

	for (i = 0; i < 2; i++) {
		expect_mmio(v, MMIO_BASE, true, 0x12345678);
		expect_mmio(v, MMIO_BASE + 4, false, 0x87654321);
		expect_mmio(v, MMIO_BASE + 8, false, 0x5);
		expect_mmio(v, MMIO_BASE + 8, true, 0x15);
		expect_mmio(v, MMIO_BASE, true, 0x11);
	}
	vcpu_expect_done(v);
}

static void raise_triple_fault(struct vcpu *v)
{
	struct kvm_vcpu_events ev;

	finish_exit(v);
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK(ev.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	CHECK_EQ(ev.triple_fault.pending, 0);
	ev.triple_fault.pending = 1;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
}

static struct vcpu *triple_fault(uint64_t flags)
{
	struct vm *vm = new_vm();
	struct vcpu *v;

	if (!kvm_cap(vm->fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT))
		st_skip("no KVM_CAP_X86_TRIPLE_FAULT_EVENT");
	OK(kvm_enable(vm->fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1));
	v = start_on(vm, 0, N_WATCH, flags, 0);
	expect_l2(v, 0);
	raise_triple_fault(v);
	return v;
}

static void triple_fault_to_l1(void)
{
	struct vcpu *v = triple_fault(N_CATCH);

	expect_class(v, EX_SHUTDOWN, 0);
	expect_l2(v, 0);
	expect_l2(v, 0);
}

/* SVM: without the intercept it is the machine's end */
static void triple_fault_of_all(void)
{
	need_amd();
	vcpu_expect_exit(triple_fault(0), KVM_EXIT_SHUTDOWN);
}

static void send_init(struct vm *vm)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x4500 };

	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 1);
}

static void init(void)
{
	struct vcpu *v = start(N_INIT, 0);
	struct kvm_sregs s;

	expect_l2(v, 0);
	send_init(v->vm);
	expect_class(v, EX_INIT, 0);
	if (intel()) {
		/* it is gone, and L2 goes on */
		expect_l2(v, 0);
		expect_l2(v, 0);
		return;
	}
	/* it waits for GIF, and the vCPU begins anew, where no memory is */
	vcpu_run(v);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.cs.selector, 0xf000);
	CHECK_EQ(s.cr0 & 0x80000001, 0);
	CHECK_EQ(s.efer & BIT(12), 0);
}

/* mov $0x5a, %al; out %al, $0x99; rsm */
static const uint8_t smm_code[] = { 0xb0, 0x5a, 0xe6, 0x99, 0x0f, 0xaa };

static void smi(uint64_t flags)
{
	struct vcpu *v = start(N_WATCH, flags);
	int i;

	if (!kvm_cap(v->vm->dev, KVM_CAP_X86_SMM))
		st_skip("no KVM_CAP_X86_SMM");
	/* the same memory in SMM */
	vm_set_slot(v->vm, 1 << 16, 0, MEM, v->vm->mem, 0);
	memcpy(vm_ptr(v->vm, 0x38000), smm_code, sizeof(smm_code));
	for (i = 0; i < 5; i++) {
		expect_l2(v, 0);
		CHECK(!(v->run->flags & KVM_RUN_X86_SMM));
		OK(ioctl(v->fd, KVM_SMI));
		expect_port(v, 0x99, false, 1, 0x5a);
		CHECK(v->run->flags & KVM_RUN_X86_SMM);
	}
	/* and L1 is still what it was */
	expect_l2(v, 0);
	OK(ioctl(v->fd, KVM_NMI));
	if (flags & N_CATCH)
		expect_class(v, EX_NMI, intel() ? 0 : 1);
	else
		expect_l2(v, 1);
}

static void smi_in_l2(void)
{
	smi(N_CATCH);
}

static void smi_in_l2_own_nmi(void)
{
	smi(0);
}

/* ---- state --------------------------------------------------------------------------------- */

#define STATE_SIZE	0x10000

struct saved {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_lapic_state lapic;
	struct kvm_debugregs debug;
	struct kvm_fpu fpu;
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e[1000];
	} msrs;
	union {
		struct kvm_nested_state nested;
		uint8_t space[STATE_SIZE];
	};
};

static void get_nested(struct vcpu *v, struct kvm_nested_state *n)
{
	memset(n, 0, STATE_SIZE);
	n->size = STATE_SIZE;
	OK(ioctl(v->fd, KVM_GET_NESTED_STATE, n));
	CHECK(n->size <= STATE_SIZE);
	CHECK_EQ(n->format, intel() ? KVM_STATE_NESTED_FORMAT_VMX : KVM_STATE_NESTED_FORMAT_SVM);
}

static struct saved *save(struct vcpu *v)
{
	static struct {
		struct kvm_msr_list l;
		uint32_t index[1000];
	} list;
	struct saved *s = calloc(1, sizeof(*s));
	unsigned int i;

	CHECK(s);
	get_nested(v, &s->nested);
	OK(ioctl(v->fd, KVM_GET_REGS, &s->regs));
	OK(ioctl(v->fd, KVM_GET_SREGS, &s->sregs));
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &s->events));
	OK(ioctl(v->fd, KVM_GET_MP_STATE, &s->mp));
	OK(ioctl(v->fd, KVM_GET_LAPIC, &s->lapic));
	OK(ioctl(v->fd, KVM_GET_DEBUGREGS, &s->debug));
	OK(ioctl(v->fd, KVM_GET_FPU, &s->fpu));
	list.l.nmsrs = ARRAY_SIZE(list.index);
	OK(ioctl(v->vm->dev, KVM_GET_MSR_INDEX_LIST, &list));
	for (i = 0; i < list.l.nmsrs; i++) {
		struct {
			struct kvm_msrs m;
			struct kvm_msr_entry e;
		} one = { .m = { .nmsrs = 1 }, .e = { .index = list.index[i] } };

		if (ioctl(v->fd, KVM_GET_MSRS, &one) == 1)
			s->msrs.e[s->msrs.m.nmsrs++] = one.e;
	}
	return s;
}

/* in QEMU's order */
static void restore(struct vcpu *v, struct saved *s)
{
	unsigned int i;

	if (intel())
		CHECK_EQ(vcpu_set_msr(v, 0x3a, 5), 1);
	OK(ioctl(v->fd, KVM_SET_SREGS, &s->sregs));
	OK(ioctl(v->fd, KVM_SET_NESTED_STATE, &s->nested));
	OK(ioctl(v->fd, KVM_SET_REGS, &s->regs));
	OK(ioctl(v->fd, KVM_SET_FPU, &s->fpu));
	for (i = 0; i < s->msrs.m.nmsrs; i++)
		vcpu_set_msr(v, s->msrs.e[i].index, s->msrs.e[i].data);
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events));
	OK(ioctl(v->fd, KVM_SET_MP_STATE, &s->mp));
	OK(ioctl(v->fd, KVM_SET_LAPIC, &s->lapic));
	OK(ioctl(v->fd, KVM_SET_DEBUGREGS, &s->debug));
}

/* a VM with the same memory, and the vCPU's state */
static struct vcpu *moved(struct vcpu *v)
{
	struct saved *s = save(v);
	struct vm *vm = vm_new(MEM, VM_IRQCHIP);
	struct vcpu *w = vm_add_vcpu(vm, 0);

	memcpy(vm->mem, v->vm->mem, MEM);
	vcpu_set_cpuid(w);
	restore(w, s);
	free(s);
	vm_free(v->vm);
	return w;
}

static void need_state(void)
{
	int dev = kvm_open();

	need_nested();
	CHECK(kvm_cap(dev, KVM_CAP_NESTED_STATE) >= (int)sizeof(struct kvm_nested_state));
	close(dev);
}

static struct vcpu *again(struct vcpu *v, bool fresh)
{
	struct saved *s;

	finish_exit(v);
	if (fresh)
		return moved(v);
	s = save(v);
	restore(v, s);
	free(s);
	return v;
}

/* N_STATE, saved and restored at each of its exits */
static void state(bool fresh)
{
	union {
		struct kvm_nested_state n;
		uint8_t space[STATE_SIZE];
	} now;
	struct vcpu *v;
	uint32_t i;

	need_state();
	v = start(N_STATE, 0);
	vcpu_expect_sync(v, 1);
	v = again(v, fresh);
	for (i = 1; i <= 5; i++) {
		expect_port(v, PIO_BASE, false, 4, i);
		get_nested(v, &now.n);
		CHECK(now.n.flags & KVM_STATE_NESTED_GUEST_MODE);
		if (intel()) {
			CHECK_EQ(now.n.hdr.vmx.vmxon_pa, N_MEM + 0x1000);
			CHECK_EQ(now.n.hdr.vmx.vmcs12_pa, N_MEM);
		} else {
			CHECK_EQ(now.n.hdr.svm.vmcb_pa, N_MEM);
			CHECK(now.n.flags & KVM_STATE_NESTED_GIF_SET);
		}
		v = again(v, fresh);
		expect_port(v, PIO_BASE, true, 4, i * 3);
		v = again(v, fresh);
		/* in L1 */
		expect_port(v, PIO_BASE + 4, false, 4, i);
		get_nested(v, &now.n);
		CHECK(!(now.n.flags & KVM_STATE_NESTED_GUEST_MODE));
		v = again(v, fresh);
	}
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

static void state_kept(void)
{
	state(false);
}

static void state_moved(void)
{
	state(true);
}

/* Nothing nested: the state is a header. */
static void state_empty(void)
{
	union {
		struct kvm_nested_state n;
		uint8_t space[STATE_SIZE];
	} now;
	struct vcpu *v;

	need_state();
	v = start(N_STATE, 0);
	get_nested(v, &now.n);
	CHECK(!(now.n.flags & KVM_STATE_NESTED_GUEST_MODE));
	if (intel()) {
		CHECK_EQ(now.n.hdr.vmx.vmxon_pa, -1ull);
		CHECK_EQ(now.n.hdr.vmx.vmcs12_pa, -1ull);
		CHECK_EQ(now.n.flags, 0);
	} else {
		CHECK_EQ(now.n.flags, KVM_STATE_NESTED_GIF_SET);
	}
	CHECK_EQ(now.n.size, sizeof(now.n));
	OK(ioctl(v->fd, KVM_SET_NESTED_STATE, &now));
	vcpu_expect_sync(v, 1);
}

static void state_errors(void)
{
	union {
		struct kvm_nested_state n;
		uint8_t space[STATE_SIZE];
	} now, good;
	struct vcpu *v;
	uint32_t size;

	need_state();
	v = start(N_STATE, 0);
	vcpu_expect_sync(v, 1);
	expect_port(v, PIO_BASE, false, 4, 1);
	finish_exit(v);
	get_nested(v, &good.n);
	size = good.n.size;
	CHECK(size > sizeof(good.n));
	CHECK((int)size <= kvm_cap(v->vm->dev, KVM_CAP_NESTED_STATE));

	/* too small, and it is told how much there is */
	memset(&now, 0, sizeof(now));
	now.n.size = size - 1;
	FAILS(ioctl(v->fd, KVM_GET_NESTED_STATE, &now), E2BIG);
	CHECK_EQ(now.n.size, size);
	now.n.size = sizeof(now.n);
	FAILS(ioctl(v->fd, KVM_GET_NESTED_STATE, &now), E2BIG);
	CHECK_EQ(now.n.size, size);
	now.n.size = size;
	OK(ioctl(v->fd, KVM_GET_NESTED_STATE, &now));
	FAILS(ioctl(v->fd, KVM_GET_NESTED_STATE, -4096l), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, -4096l), EFAULT);

	memcpy(&now, &good, sizeof(now));
	now.n.size = sizeof(now.n) - 1;
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	now.n.size = sizeof(now.n);
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	memcpy(&now, &good, sizeof(now));
	now.n.flags |= 0x8000;
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	/* L2 runs, but its entry was not done: that is a contradiction without GUEST_MODE */
	memcpy(&now, &good, sizeof(now));
	now.n.flags = (good.n.flags & ~KVM_STATE_NESTED_GUEST_MODE) | KVM_STATE_NESTED_RUN_PENDING;
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	memcpy(&now, &good, sizeof(now));
	now.n.format = good.n.format ^ 1;
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	now.n.format = 77;
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	/* addresses that are no page */
	memcpy(&now, &good, sizeof(now));
	if (intel())
		now.n.hdr.vmx.vmxon_pa |= 8;
	else
		now.n.hdr.svm.vmcb_pa |= 8;
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &now), EINVAL);
	/* none of it has changed anything */
	OK(ioctl(v->fd, KVM_SET_NESTED_STATE, &good));
	expect_port(v, PIO_BASE, true, 4, 3);
	expect_port(v, PIO_BASE + 4, false, 4, 1);
}

/* Back to the beginning: no L2 any more. */
static void state_left(void)
{
	union {
		struct kvm_nested_state n;
		uint8_t space[STATE_SIZE];
	} now, empty;
	struct saved *s;
	struct vcpu *v;
	int i;

	need_state();
	v = start(N_STATE, 0);
	get_nested(v, &empty.n);
	s = save(v);
	for (i = 0; i < 3; i++) {
		vcpu_expect_sync(v, 1);
		expect_port(v, PIO_BASE, false, 4, 1);
		finish_exit(v);
		OK(ioctl(v->fd, KVM_SET_NESTED_STATE, &empty));
		get_nested(v, &now.n);
		CHECK(!(now.n.flags & KVM_STATE_NESTED_GUEST_MODE));
		PAYLOAD(v->vm, nested);
		memset(vm_ptr(v->vm, N_MEM), 0, N_MEM_SIZE);
		restore(v, s);
	}
	vcpu_expect_sync(v, 1);
}

/* ---- long ones ------------------------------------------------------------------------------- */

struct runner {
	struct vcpu *v;
	pthread_t thread;
	bool halt;		/* end it */
	bool over, done;	/* it has ended; by REPORT_DONE */
	bool wild;		/* whatever the guest says is no failure */
};

static void on_signal(int sig)
{
}

static void *runner(void *arg)
{
	struct runner *r = arg;
	struct report rep;
	int err;

	for (;;) {
		err = vcpu_run_raw(r->v);
		if (err == -EINTR || err == -EAGAIN) {
			if (READ_ONCE(r->halt))
				break;
			continue;
		}
		if (err && !r->wild)
			st_fail(__FILE__, __LINE__, "KVM_RUN: %s", strerror(-err));
		if (err || r->v->run->exit_reason != KVM_EXIT_IO)
			break;
		if (r->wild) {
			uint32_t kind;

			memcpy(&kind, io_data(r->v), 4);
			if (r->v->run->io.port == REPORT_PORT && kind != REPORT_SYNC)
				break;
			continue;
		}
		if (vcpu_is_report(r->v, &rep) && rep.kind == REPORT_DONE) {
			WRITE_ONCE(r->done, true);
			break;
		}
	}
	if (!r->wild && !r->done && !r->halt)
		st_fail(__FILE__, __LINE__, "exit %s instead of a report", exit_text(r->v));
	WRITE_ONCE(r->over, true);
	return NULL;
}

static void run(struct runner *r, struct vcpu *v, bool wild)
{
	struct sigaction sa = { .sa_handler = on_signal };

	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	*r = (struct runner) { .v = v, .wild = wild };
	CHECK(!pthread_create(&r->thread, NULL, runner, r));
}

static void stop(struct runner *r)
{
	while (!READ_ONCE(r->over)) {
		WRITE_ONCE(r->halt, true);
		r->v->run->immediate_exit = 1;
		pthread_kill(r->thread, SIGUSR1);
		usleep(2000);
	}
	CHECK(!pthread_join(r->thread, NULL));
}

static double seconds(void)
{
	const char *s = getenv("ST_SECONDS");

	return s ? atof(s) : 2;
}

/* the thread of a vCPU runs on that CPU, if there is one */
static void move_to(struct runner *r, int cpu)
{
	cpu_set_t now, set;
	int i, n = 0;

	CHECK(!sched_getaffinity(0, sizeof(now), &now));
	cpu %= CPU_COUNT(&now);
	CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &now) && n++ == cpu)
			CPU_SET(i, &set);
	CHECK(!pthread_setaffinity_np(r->thread, sizeof(set), &set));
}

static void stress(uint64_t flags)
{
	struct vm *vm = new_vm();
	struct n_shared *sh = shared_of(vm);
	struct runner r[2];
	unsigned long before[2];
	double end;
	int i;

	for (i = 0; i < 2; i++)
		run(&r[i], start_on(vm, i, N_STRESS, flags, 0), false);
	end = st_now() + seconds();
	while (st_now() < end) {
		for (i = 0; i < 2; i++)
			before[i] = READ_ONCE(sh->rounds[i]);
		/* the host write-protects what they use, and takes it away */
		for (i = 0; i < 10; i++) {
			vm_set_slot(vm, 0, 0, MEM, vm->mem, i & 1 ? 0 : KVM_MEM_LOG_DIRTY_PAGES);
			if (!(i & 1))
				is_dirty(vm, 0);
			move_to(&r[i & 1], i / 2);
			usleep(50000);
		}
		for (i = 0; i < 2; i++)
			CHECK(UNTIL(READ_ONCE(sh->rounds[i]) > before[i], 20));
	}
	WRITE_ONCE(sh->stop, 1);
	for (i = 0; i < 2; i++) {
		CHECK(UNTIL(READ_ONCE(r[i].over), 20));
		CHECK(!pthread_join(r[i].thread, NULL));
		CHECK(r[i].done);
		st_note("vCPU %d: %lu exits, %lu interrupts sent, %lu taken, by L2 %lu", i,
			sh->rounds[i], sh->exits[i], sh->irqs[i], sh->l2_irqs[i]);
		/* L2 was left behind the last one, or before it */
		CHECK(sh->irqs[i] == sh->exits[i] || sh->irqs[i] == sh->exits[i] + 1);
		CHECK(flags & N_CATCH ? !sh->l2_irqs[i] : sh->l2_irqs[i]);
	}
}

static void stress_intercepted(void)
{
	stress(N_CATCH);
}

static void stress_own(void)
{
	stress(0);
}

/* What another vCPU writes into a VMCB or VMCS that is in use does no harm to the host. */
static void hammered(void)
{
	double end = st_now() + seconds() / 2;
	unsigned long entries = 0, writes = 0, vms = 0;
	struct runner r[2];

	need_nested();
	while (st_now() < end) {
		struct vm *vm = new_vm();
		struct n_shared *sh = shared_of(vm);

		run(&r[0], start_on(vm, 0, N_HAMMERED, 0, 0), true);
		run(&r[1], start_on(vm, 1, N_HAMMER, 0, 0), true);
		UNTIL(READ_ONCE(r[0].over) || READ_ONCE(r[1].over), end - st_now());
		WRITE_ONCE(sh->stop, 1);
		stop(&r[0]);
		stop(&r[1]);
		entries += sh->rounds[0];
		writes += sh->rounds[1];
		vms++;
		vm_free(vm);
	}
	st_note("%lu entries, %lu writes, %lu VMs", entries, writes, vms);
	CHECK(entries > 0 && writes > 0);
}

/* Pages that L1 names where no memory is: L1 or the VM pays for it, not the host. */
static void no_memory(void)
{
	unsigned int i, done = 0;
	struct runner r;

	need_nested();
	if (!kvm_is_oot() && (!intel() || st_shadow_paging()))
		st_skip("the kernel's own module warns: nested_run_pending at an exit to L1");
	for (i = 0; i < N_NOWHERES; i++) {
		struct vm *vm = new_vm();

		run(&r, start_on(vm, 0, N_NO_MEMORY, 0, i), true);
		done += UNTIL(READ_ONCE(r.over), 2);
		stop(&r);
		vm_free(vm);
	}
	st_note("%u of %u came to an end by themselves", done, i);
}

/* The memory that all of it is in goes while L2 runs. */
static void slot_deleted(void)
{
	struct vcpu *v;
	struct runner r;
	int i;

	need_nested();
	if (!kvm_is_oot() && !intel() && st_shadow_paging())
		st_skip("the kernel's own module warns: an exception while L2 is left");
	for (i = 0; i < 3; i++) {
		v = start(N_WATCH, i == 1 ? 0 : N_CATCH);
		expect_l2(v, 0);
		vm_set_slot(v->vm, 0, 0, 0, NULL, 0);
		if (i == 2)
			finish_exit(v);
		OK(ioctl(v->fd, KVM_NMI));
		run(&r, v, true);
		UNTIL(READ_ONCE(r.over), 1);
		stop(&r);
		vm_free(v->vm);
	}
}

/* L2's instructions one by one, in spite of L1. */
static void single_step(void)
{
	struct kvm_guest_debug dbg = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
	};
	struct vcpu *v = start(N_WATCH, N_CATCH);
	struct kvm_regs a, b;
	int i, steps = 0;

	expect_l2(v, 0);
	finish_exit(v);
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg));
	vcpu_regs(v, &a);
	for (i = 0; i < 30; i++) {
		if (vcpu_run(v) == KVM_EXIT_IO) {
			CHECK_EQ(v->run->io.port, PIO_BASE);
			continue;
		}
		if (v->run->exit_reason != KVM_EXIT_DEBUG)
			st_fail(__FILE__, __LINE__, "exit %s", exit_text(v));
		vcpu_regs(v, &b);
		CHECK_EQ(v->run->debug.arch.pc, b.rip);
		CHECK_EQ(v->run->debug.arch.exception, 1);
		CHECK(b.rip != a.rip);
		CHECK(b.rip > a.rip - 200 && b.rip < a.rip + 200);
		CHECK(b.rsp > N_MEM && b.rsp < N_MEM_END);
		a = b;
		steps++;
	}
	CHECK(steps >= 20);
	dbg.control = 0;
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg));
	vcpu_regs(v, &a);
	CHECK(!(a.rflags & BIT(8)));
	expect_l2(v, 0);
	OK(ioctl(v->fd, KVM_NMI));
	expect_class(v, EX_NMI, intel() ? 0 : 1);
}

/* back to where a state was saved, with the memory that it had; false: another VM is needed */
static bool back_to(struct vcpu *v, struct saved *s, struct kvm_nested_state *empty,
		    const uint8_t *mem)
{
	memcpy(v->vm->mem, mem, N_MEM_END);
	v->run->immediate_exit = 0;
	return !ioctl(v->fd, KVM_SET_NESTED_STATE, empty) &&
	       !ioctl(v->fd, KVM_SET_SREGS, &s->sregs) &&
	       !ioctl(v->fd, KVM_SET_NESTED_STATE, &s->nested) &&
	       !ioctl(v->fd, KVM_SET_REGS, &s->regs) &&
	       !ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events) &&
	       !ioctl(v->fd, KVM_SET_MP_STATE, &s->mp) && !ioctl(v->fd, KVM_SET_LAPIC, &s->lapic);
}

/* a bit of a nested state, more often one of its header or of what has fields */
static void spoil(uint8_t *state, unsigned int size)
{
	unsigned int at = random() % 3 ? random() % 0x180 : random() % size;

	state[at] ^= 1 << random() % 8;
}

/* Nested states of which some bits are random are refused, or they are the guest's misfortune. */
static void state_fuzz(void)
{
	union {
		struct kvm_nested_state n;
		uint8_t space[STATE_SIZE];
	} now, empty;
	unsigned long taken = 0, refused = 0, vms = 0, seed = 1;
	double end = st_now() + seconds();
	uint8_t *mem = malloc(N_MEM_END);
	struct saved *good = NULL;
	struct vcpu *v = NULL;
	unsigned int n, size;
	struct runner r;

	need_state();
	CHECK(mem);
	/* enough of them on a slow host, too */
	while (st_now() < end || !taken || !refused) {
		if (!v || !back_to(v, good, &empty.n, mem)) {
			if (v)
				vm_free(v->vm);
			free(good);
			v = start(N_STATE, 0);
			vms++;
			get_nested(v, &empty.n);
			vcpu_expect_sync(v, 1);
			expect_port(v, PIO_BASE, false, 4, 1);
			finish_exit(v);
			good = save(v);
			memcpy(mem, v->vm->mem, N_MEM_END);
		}
		srandom(seed++);
		memcpy(&now, &good->space, STATE_SIZE);
		size = now.n.size;
		for (n = 1 + random() % 3; n; n--)
			spoil(now.space, size);
		if (now.n.size > STATE_SIZE)
			now.n.size = STATE_SIZE;
		if (ioctl(v->fd, KVM_SET_NESTED_STATE, &now)) {
			refused++;
			continue;
		}
		taken++;
		run(&r, v, true);
		UNTIL(READ_ONCE(r.over), 0.01);
		stop(&r);
	}
	st_note("%lu taken, %lu refused, %lu VMs", taken, refused, vms);
}

/* VMCBs or VMCSs of which some bits are random: each entry comes back to L1, or ends the VM. */
static void fuzz(void)
{
	unsigned long from = 0, returned = 0, refused = 0, ended = 0, stuck = 0;
	double end = st_now() + seconds();
	struct runner r;

	need_nested();
	while (st_now() < end) {
		struct vm *vm = new_vm();
		struct n_shared *sh = shared_of(vm);
		unsigned long at = from;
		double since = st_now();

		sh->entered = from;
		run(&r, start_on(vm, 0, N_FUZZ, 0, from), true);
		while (st_now() < end && !READ_ONCE(r.over)) {
			usleep(10000);
			if (READ_ONCE(sh->entered) != at) {
				at = READ_ONCE(sh->entered);
				since = st_now();
			} else if (st_now() > since + 1) {
				stuck++;
				break;
			}
		}
		ended += READ_ONCE(r.over);
		stop(&r);
		/* L2 may have written there */
		if (sh->entered >= from && sh->entered < from + 1000000)
			from = sh->entered;
		from++;
		returned += sh->returned;
		refused += sh->refused;
		vm_free(vm);
	}
	st_note("%lu entries: %lu came back, %lu refused of them; %lu ended the VM, %lu stuck",
		from, returned, refused, ended, stuck);
	CHECK(returned > refused && refused > 0);
}

static const struct st_test tests[] = {
	{ "exits", exits },
	{ "ports", ports },
	{ "msrs", msrs },
	{ "moves", moves },
	{ "control_registers", control_registers },
	{ "tsc_offset", tsc_offset },
	{ "insns", insns },
	{ "msr_areas", msr_areas },
	{ "tables", tables },
	{ "modes", modes },
	{ "registers", registers },
	{ "exceptions", exceptions },
	{ "own_exceptions", own_exceptions },
	{ "injected", injected },
	{ "double_fault", double_fault },
	{ "shutdown", shut_down },
	{ "intr_exit", intr_exit },
	{ "timer_exit", timer_exit },
	{ "intr_own", intr_own },
	{ "nmi_exit", nmi_exit },
	{ "window", window },
	{ "masked", masked },
	{ "masked_on", masked_on },
	{ "gif", gif },
	{ "virtual_interrupt", virtual_interrupt },
	{ "acknowledged", acknowledged },
	{ "halted", halted },
	{ "halted_intr", halted_intr },
	{ "bad_state", bad_state },
	{ "bad_controls", bad_controls },
	{ "bad_host_state", bad_host_state },
	{ "fields", fields },
	{ "pointers", pointers },
	{ "privileges", privileges },
	{ "turned_off", turned_off },
	{ "gif_turned_off", gif_turned_off },
	{ "l0_ports", l0_ports },
	{ "l0_msrs", l0_msrs },
	{ "hammered", hammered },
	{ "state_empty", state_empty },
	{ "state_kept", state_kept },
	{ "state_moved", state_moved },
	{ "state_left", state_left },
	{ "state_errors", state_errors },
	{ "nmi_to_l1", nmi_to_l1 },
	{ "nmi_to_l2", nmi_to_l2 },
	{ "interrupt_to_l1", interrupt_to_l1 },
	{ "interrupt_to_l1_if_clear", interrupt_to_l1_if_clear },
	{ "interrupt_to_l2", interrupt_to_l2 },
	{ "dirty_log", dirty_log },
	{ "mmio", mmio },
	{ "triple_fault_to_l1", triple_fault_to_l1 },
	{ "triple_fault_of_all", triple_fault_of_all },
	{ "init", init },
	{ "smi_in_l2", smi_in_l2 },
	{ "smi_in_l2_own_nmi", smi_in_l2_own_nmi },
	{ "stress_intercepted", stress_intercepted, 120 },
	{ "stress_own", stress_own, 120 },
	{ "single_step", single_step },
	{ "no_memory", no_memory },
	{ "slot_deleted", slot_deleted },
	{ "state_fuzz", state_fuzz, 120 },
	{ "fuzz", fuzz, 120 },
	{ }
};

ST_MAIN("nested", tests)
