// SPDX-License-Identifier: GPL-2.0-only
/* What a VMM asks before it creates anything, and what creating gives it. */
#include "st.h"

static void version_and_sizes(void)
{
	int dev = kvm_open();

	CHECK_EQ(OK(ioctl(dev, KVM_GET_API_VERSION, 0UL)), 12);
	FAILS(ioctl(dev, KVM_GET_API_VERSION, 1UL), EINVAL);
	CHECK(OK(ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0UL)) >= 3 * 4096);
	FAILS(ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 1UL), EINVAL);
	FAILS(ioctl(dev, KVM_CREATE_VM, 0x1000UL), EINVAL);
}

/* The union of what QEMU, kvmtool, Firecracker and cloud-hypervisor require. */
static void capabilities(void)
{
	static const struct {
		int cap;
		const char *name;
	} need[] = {
#define C(x) { KVM_CAP_##x, #x }
		C(IRQCHIP), C(HLT), C(USER_MEMORY), C(SET_TSS_ADDR), C(EXT_CPUID),
		C(CLOCKSOURCE), C(NR_VCPUS), C(NR_MEMSLOTS), C(PIT2), C(PIT_STATE2),
		C(MP_STATE), C(COALESCED_MMIO), C(USER_NMI), C(SET_GUEST_DEBUG),
		C(IRQ_ROUTING), C(IRQ_INJECT_STATUS), C(REINJECT_CONTROL), C(MCE),
		C(IRQFD), C(SET_IDENTITY_MAP_ADDR), C(IOEVENTFD), C(ADJUST_CLOCK),
		C(INTERNAL_ERROR_DATA), C(VCPU_EVENTS), C(DEBUGREGS), C(XSAVE), C(XCRS),
		C(GET_TSC_KHZ), C(MAX_VCPUS), C(TSC_DEADLINE_TIMER), C(SIGNAL_MSI),
		C(READONLY_MEM), C(IRQFD_RESAMPLE), C(IOEVENTFD_ANY_LENGTH),
		C(DESTROY_MEMORY_REGION_WORKS), C(JOIN_MEMORY_REGIONS_WORKS),
		C(CHECK_EXTENSION_VM), C(ENABLE_CAP_VM), C(IMMEDIATE_EXIT),
		C(GET_MSR_FEATURES), C(MAX_VCPU_ID), C(SPLIT_IRQCHIP), C(X2APIC_API),
		C(SYNC_MMU), C(ENABLE_CAP), C(SYS_ATTRIBUTES), C(VCPU_ATTRIBUTES),
#undef C
	};
	int dev = kvm_open(), vm = OK(ioctl(dev, KVM_CREATE_VM, 0UL));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(need); i++) {
		if (kvm_cap(dev, need[i].cap) <= 0)
			st_fail(__FILE__, __LINE__, "KVM_CAP_%s on /dev/kvm", need[i].name);
		if (kvm_cap(vm, need[i].cap) <= 0)
			st_fail(__FILE__, __LINE__, "KVM_CAP_%s on a VM", need[i].name);
	}
	CHECK(kvm_cap(dev, KVM_CAP_NR_MEMSLOTS) >= 509);
	CHECK_EQ(kvm_cap(dev, 0x7ffffff), 0);
	CHECK_EQ(kvm_cap(dev, -1), 0);
}

/*
 * api.rst: the TSC-deadline timer is never in KVM_GET_SUPPORTED_CPUID,
 * KVM_CAP_TSC_DEADLINE_TIMER tells of it. A VMM whose own LAPIC lacks it would
 * pass it on to a guest, which then has no timer.
 */
static void tsc_deadline_not_listed(void)
{
	struct kvm_cpuid2 *c = kvm_supported_cpuid(kvm_open());
	unsigned int i, found = 0;

	for (i = 0; i < c->nent; i++) {
		if (c->entries[i].function != 1)
			continue;
		found++;
		CHECK_EQ(c->entries[i].ecx & BIT(24), 0);
	}
	CHECK_EQ(found, 1);
	free(c);
}

static void unknown_ioctls(void)
{
	struct vm *vm = vm_new(0x200000, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	FAILS(ioctl(vm->dev, _IO(KVMIO, 0xfe), 0UL), EINVAL);
	FAILS(ioctl(vm->fd, _IO(KVMIO, 0xfe), 0UL), ENOTTY);
	FAILS(ioctl(v->fd, _IO(KVMIO, 0xfe), 0UL), EINVAL);
	FAILS(ioctl(v->fd, _IO('x', 1), 0UL), EINVAL);
}

static void create_vcpus(void)
{
	struct vm *vm = vm_new(0x200000, 0);
	int max = kvm_cap(vm->fd, KVM_CAP_MAX_VCPU_ID);

	CHECK(max > 0);
	vm_add_vcpu(vm, 0);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 0L), EEXIST);
	vm_add_vcpu(vm, max - 1);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, (long)max), EINVAL);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, -1L), EINVAL);
	CHECK(ioctl(vm->fd, KVM_CREATE_VCPU, 1L << 32) < 0);
}

static void mmap_vcpu(void)
{
	struct vm *vm = vm_new(0x200000, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	CHECK_EQ(v->run->exit_reason, 0);
	v->run->immediate_exit = 1;
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	FAILS(ioctl(v->fd, KVM_RUN, 1UL), EINVAL);
}

static void fds_outlive_each_other(void)
{
	struct vm *vm = vm_new(0x200000, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	struct kvm_regs r;

	close(vm->fd);
	vcpu_regs(v, &r);
	CHECK_EQ(r.rip, 0xfff0);
}

static void churn(int n)
{
	int dev = kvm_open(), i;

	for (i = 0; i < n; i++) {
		int vm = OK(ioctl(dev, KVM_CREATE_VM, 0UL));
		int v = OK(ioctl(vm, KVM_CREATE_VCPU, 0L));

		close(i & 1 ? vm : v);
		close(i & 1 ? v : vm);
	}
}

static void many_vms(void)
{
	/* one that stays, so that the CPUs are not taken and given back each time */
	vm_new(0x200000, 0);
	churn(200);
}

/*
 * With the kernel's own module and two emulated CPUs this ends in a host whose
 * CPUs do nothing but take interrupts.
 */
static void many_first_vms(void)
{
	if (!kvm_is_oot() && sysconf(_SC_NPROCESSORS_ONLN) > 1)
		st_skip("the in-tree module and two emulated CPUs hang the host");
	churn(100);
}

static const struct st_test tests[] = {
	{ "version_and_sizes", version_and_sizes },
	{ "capabilities", capabilities },
	{ "tsc_deadline_not_listed", tsc_deadline_not_listed },
	{ "unknown_ioctls", unknown_ioctls },
	{ "create_vcpus", create_vcpus },
	{ "mmap_vcpu", mmap_vcpu },
	{ "fds_outlive_each_other", fds_outlive_each_other },
	{ "many_vms", many_vms, 120 },
	{ "many_first_vms", many_first_vms, 120 },
	{}
};

ST_MAIN("api", tests)
