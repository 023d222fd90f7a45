// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that is a hypervisor, with VMX: payloads/nvmx.c. Passed over where guests have
 * none (kvm_intel.nested=1 gives it).
 */
#include <pthread.h>
#include <stddef.h>

#include "nvmx.h"
#include "st.h"

#define MEM		(8ul << 20)
#define MSR_FEAT_CTL	0x3a
#define MSR_VMX_FIRST	0x480
#define MSR_TRUE_PIN	0x48d
#define MSR_TRUE_CPU	0x48e

static void need_vmx(void)
{
	int dev = kvm_open();

	if (!host_is_intel() || !kvm_cpu_has(dev, 1, 2, 5))
		st_skip("guests have no VMX");
	close(dev);
}

static struct vcpu *begin_with(uint64_t test, unsigned int flags)
{
	struct vm *vm;
	struct vcpu *v;

	need_vmx();
	vm = vm_new(MEM, flags);
	PAYLOAD(vm, nvmx);
	v = vm_add_vcpu(vm, 0);
	vcpu_start(v, test, 0, 0);
	return v;
}

static struct vcpu *begin(uint64_t test)
{
	return begin_with(test, VM_IRQCHIP);
}

/* ports that are L2's own business come here */
static void finish(struct vcpu *v)
{
	struct report r;

	for (;;) {
		vcpu_expect_exit(v, KVM_EXIT_IO);
		if (vcpu_is_report(v, &r))
			break;
	}
	if (r.kind == REPORT_SYNC)
		st_skip("not offered");
	CHECK_EQ(r.kind, REPORT_DONE);
}

#define SIMPLE(fn, test) static void fn(void) { finish(begin(test)); }
SIMPLE(errors, NVMX_ERRORS)
SIMPLE(checks, NVMX_CHECKS)
SIMPLE(insns, NVMX_INSNS)
SIMPLE(msrs, NVMX_MSRS)
SIMPLE(ports, NVMX_PORTS)
SIMPLE(crs, NVMX_CRS)
SIMPLE(exceptions, NVMX_EXCEPTIONS)
SIMPLE(inject, NVMX_INJECT)
SIMPLE(intr, NVMX_INTR)
SIMPLE(nmi, NVMX_NMI)
SIMPLE(window, NVMX_WINDOW)
SIMPLE(hlt, NVMX_HLT)
SIMPLE(tsc, NVMX_TSC)
SIMPLE(msr_lists, NVMX_MSR_LISTS)
SIMPLE(x2apic, NVMX_X2APIC)
SIMPLE(shadow, NVMX_SHADOW)

/* without a LAPIC in the kernel */
static void no_irqchip(void)
{
	finish(begin_with(NVMX_CRS, 0));
}

static void *send_init(void *vm)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x500 };

	usleep(200000);
	ioctl(((struct vm *)vm)->fd, KVM_SIGNAL_MSI, &msi);
	return NULL;
}

/* INIT ends L2, and waits in L1 until it leaves VMX operation. */
static void init(void)
{
	struct vcpu *v = begin(NVMX_INIT);
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x500 };
	struct kvm_regs regs;
	pthread_t t;

	vcpu_expect_sync(v, 1);
	CHECK_EQ(pthread_create(&t, NULL, send_init, v->vm), 0);
	vcpu_expect_sync(v, 2);
	pthread_join(t, NULL);
	ioctl(v->vm->fd, KVM_SIGNAL_MSI, &msi);
	vcpu_expect_sync(v, 3);
	/* the first vCPU begins anew, where there is nothing but zeroes at last */
	v->run->immediate_exit = 0;
	alarm(20);
	vcpu_run(v);
	vcpu_regs(v, &regs);
	CHECK(regs.rip < 0x10000 || regs.rip >= 0x200000);
}

struct nested {
	struct kvm_nested_state s;
	uint8_t data[2 * 4096];
};

/* everything that a vCPU of such a guest has */
struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct nested nested;
};

static void save(struct vcpu *v, struct state *s)
{
	memset(s, 0, sizeof(*s));
	s->nested.s.size = sizeof(s->nested);
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &s->events));
	OK(ioctl(v->fd, KVM_GET_NESTED_STATE, &s->nested));
	OK(ioctl(v->fd, KVM_GET_LAPIC, &s->lapic));
	OK(ioctl(v->fd, KVM_GET_SREGS, &s->sregs));
	vcpu_regs(v, &s->regs);
}

/* @last: the nested state after registers, not before them */
static struct vcpu *restored(struct vcpu *old, struct state *s, bool last)
{
	uint64_t fc = vcpu_get_msr(old, MSR_FEAT_CTL);
	struct vm *vm = vm_new(MEM, VM_IRQCHIP);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	memcpy(vm->mem, old->vm->mem, MEM);
	vcpu_set_cpuid(v);
	CHECK_EQ(vcpu_set_msr(v, MSR_FEAT_CTL, fc), 1);
	if (!last) {
		OK(ioctl(v->fd, KVM_SET_SREGS, &s->sregs));
		OK(ioctl(v->fd, KVM_SET_NESTED_STATE, &s->nested));
	}
	OK(ioctl(v->fd, KVM_SET_SREGS, &s->sregs));
	OK(ioctl(v->fd, KVM_SET_LAPIC, &s->lapic));
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events));
	vcpu_set_regs(v, &s->regs);
	if (last)
		OK(ioctl(v->fd, KVM_SET_NESTED_STATE, &s->nested));
	return v;
}

static void move(bool last)
{
	struct vcpu *v = begin(NVMX_LOOP), *next;
	struct state s;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		struct report r = vcpu_run_to_report(v);
		bool in_l2 = !(i & 1);

		CHECK_EQ(r.a, in_l2 ? 1 : 2);
		CHECK_EQ(r.b, in_l2 ? i / 2 : i / 2 + 1);
		v->run->immediate_exit = 1;
		CHECK_EQ(vcpu_run_raw(v), -EINTR);
		save(v, &s);
		CHECK_EQ(!!(s.nested.s.flags & KVM_STATE_NESTED_GUEST_MODE), in_l2);
		CHECK_EQ(s.nested.s.hdr.vmx.vmxon_pa, GUEST_DATA);
		CHECK_EQ(s.nested.s.hdr.vmx.vmcs12_pa, GUEST_DATA + 0x1000);
		next = restored(v, &s, last);
		vm_free(v->vm);
		v = next;
	}
}

static void move_first(void)
{
	move(false);
}

static void move_last(void)
{
	move(true);
}

/* States that cannot be, made of one that is L2's. */
static void bad_states(void)
{
	struct vcpu *v = begin(NVMX_LOOP);
	struct nested n;
	struct state s;

	vcpu_expect_sync(v, 1);
	save(v, &s);
	v = restored(v, &s, true);
	/* a size that is too small says which is needed */
	n = s.nested;
	n.s.size = sizeof(n.s);
	FAILS(ioctl(v->fd, KVM_GET_NESTED_STATE, &n), E2BIG);
	CHECK(n.s.size >= sizeof(n.s) + 4096);
#define BAD(change) do {						\
	n = s.nested;							\
	change;								\
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, &n), EINVAL);		\
} while (0)
	BAD(n.s.size = sizeof(n.s));
	BAD(n.s.size = 8);
	BAD(n.s.format = 1);
	BAD(n.s.flags |= 0x8000);
	BAD(n.s.hdr.vmx.vmxon_pa = -1);
	BAD(n.s.hdr.vmx.vmxon_pa = 0x1001);
	BAD(n.s.hdr.vmx.vmcs12_pa = n.s.hdr.vmx.vmxon_pa);
	BAD(n.s.hdr.vmx.vmcs12_pa = -1);
	BAD(n.s.hdr.vmx.vmcs12_pa = 1ull << 60);
	BAD(n.s.hdr.vmx.smm.flags = 1);
	BAD(n.s.hdr.vmx.smm.flags = 4);
	/* another content; and controls that are not offered */
	BAD(n.data[0] ^= 1);
	BAD(memset(n.data + 4, 0xff, 4092));
	BAD(memset(n.data + 4, 0, 4092));
	FAILS(ioctl(v->fd, KVM_SET_NESTED_STATE, NULL), EFAULT);
}

/* Capabilities: as offered, or less. */
static void capabilities(void)
{
	struct vm *vm;
	struct vcpu *v;
	uint64_t pin, cpu;

	need_vmx();
	vm = vm_new(MEM, 0);
	v = vm_add_vcpu(vm, 0);
	vcpu_set_cpuid(v);
	pin = vcpu_get_msr(v, MSR_TRUE_PIN);
	cpu = vcpu_get_msr(v, MSR_TRUE_CPU);
	CHECK((pin & 0x16) == 0x16);
	CHECK_EQ((uint32_t)pin & ~(pin >> 32), 0);
	CHECK_EQ((uint32_t)cpu & ~(cpu >> 32), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_TRUE_PIN, pin | 1ull << 63), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_TRUE_PIN, pin & ~2ull), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_TRUE_PIN, pin & ~(1ull << 32)), 1);
	CHECK_EQ(vcpu_get_msr(v, MSR_TRUE_PIN), pin & ~(1ull << 32));
	CHECK_EQ(vcpu_set_msr(v, MSR_VMX_FIRST, 1), 0);
	CHECK_EQ(kvm_msr_listed(vm->dev, MSR_VMX_FIRST), 1);
}

/* VMX without its being in CPUID: none of it */
static void without(void)
{
	struct kvm_cpuid2 *c;
	struct kvm_sregs sregs;
	struct vm *vm;
	struct vcpu *v;

	need_vmx();
	vm = vm_new(MEM, 0);
	v = vm_add_vcpu(vm, 0);
	c = kvm_supported_cpuid(vm->dev);
	cpuid_entry(c, 1)->ecx &= ~BIT(5);
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	CHECK_EQ(vcpu_set_msr(v, MSR_FEAT_CTL, 5), 0);
	OK(ioctl(v->fd, KVM_GET_SREGS, &sregs));
	sregs.cr4 |= 1 << 13;
	FAILS(ioctl(v->fd, KVM_SET_SREGS, &sregs), EINVAL);
}

static const struct st_test tests[] = {
	{ "errors", errors },
	{ "checks", checks },
	{ "insns", insns },
	{ "msrs", msrs },
	{ "ports", ports },
	{ "crs", crs },
	{ "no_irqchip", no_irqchip },
	{ "exceptions", exceptions },
	{ "inject", inject },
	{ "intr", intr },
	{ "nmi", nmi },
	{ "window", window },
	{ "hlt", hlt },
	{ "tsc", tsc },
	{ "msr_lists", msr_lists },
	{ "x2apic", x2apic },
	{ "init", init },
	{ "shadow", shadow },
	{ "move_first", move_first },
	{ "move_last", move_last },
	{ "bad_states", bad_states },
	{ "capabilities", capabilities },
	{ "without", without },
	{}
};

ST_MAIN("nvmx", tests)
