// SPDX-License-Identifier: GPL-2.0-only
/*
 * Performance counters: refused where the host's perf has none (no emulated CPU has), and
 * with the PMU of tests/system/fakepmu.c all that a guest and user space can do with them.
 */
#include "pmu.h"
#include "st.h"

#ifndef KVM_PMU_CAP_DISABLE
#define KVM_PMU_CAP_DISABLE	1
#endif

static bool available(void)
{
	return kvm_cap(kvm_open(), KVM_CAP_PMU_CAPABILITY);
}

static void need_pmu(void)
{
	if (!available())
		st_skip("the host has no performance counters");
}

static bool amd(void)
{
	return !host_is_intel();
}

static unsigned int nr_gp(void)
{
	if (amd())
		return kvm_cpu_has(kvm_open(), 0x80000001, 2, 23) ? 6 : 4;
	return cpuid_entry(kvm_supported_cpuid(kvm_open()), 0xa)->eax >> 8 & 0xff;
}

static struct vcpu *start_in(struct vm *vm, uint64_t test, uint64_t flags, uint64_t arg)
{
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, pmu);
	vcpu_start(v, test, flags | (amd() ? PMU_AMD : 0), arg);
	return v;
}

static struct vcpu *start(uint64_t test, uint64_t flags, uint64_t arg)
{
	return start_in(vm_new(64 << 20, VM_IRQCHIP), test, flags, arg);
}

/* ---- what there is ------------------------------------------------------------------ */

static bool listed(uint32_t index)
{
	return kvm_msr_listed(kvm_open(), index);
}

static struct kvm_pmu_event_filter *new_filter(uint32_t action, uint32_t flags, uint32_t n)
{
	struct kvm_pmu_event_filter *f = calloc(1, sizeof(*f) + n * sizeof(uint64_t));

	CHECK(f);
	f->action = action;
	f->flags = flags;
	f->nevents = n;
	return f;
}

/* No PMU in the host: nothing is told, everything is refused. */
static void refused(void)
{
	struct kvm_pmu_event_filter *f = new_filter(KVM_PMU_EVENT_DENY, 0, 0);
	struct vm *vm;
	struct kvm_cpuid_entry2 *leaf;
	struct vcpu *v;
	static const uint32_t msrs[] = {
		MSR_PMC0, MSR_EVNTSEL0, MSR_FIXED0, MSR_FIXED_CTRL, MSR_GLOBAL_CTRL,
		MSR_K7_SEL0, MSR_CORE_SEL0,
	};
	unsigned int i;
	bool old;

	if (!kvm_is_oot())
		st_skip("the kernel's own module has interfaces without counters");
	if (available())
		st_skip("the host has performance counters");
	v = start(PMU_NOTHING, 0, 0);
	vm = v->vm;
	CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_PMU_EVENT_FILTER), 0);
	CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_PMU_EVENT_MASKED_EVENTS), 0);
	FAILS(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f), ENOTTY);
	FAILS(kvm_enable(vm->fd, KVM_CAP_PMU_CAPABILITY, 0), EINVAL);
	FAILS(kvm_enable(vm_new(1 << 20, 0)->fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE),
	      EINVAL);
	leaf = cpuid_entry(kvm_supported_cpuid(vm->dev), 0xa);
	CHECK(!leaf->eax && !leaf->ebx && !leaf->ecx && !leaf->edx);
	CHECK(!kvm_cpu_has(vm->dev, 0x80000001, 2, 23));
	CHECK(!kvm_cpu_has(vm->dev, 1, 2, 15));
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		CHECK(!listed(msrs[i]));
		/* those that the first CPUs had take anything */
		old = msrs[i] == MSR_PMC0 || msrs[i] == MSR_EVNTSEL0 || msrs[i] == MSR_K7_SEL0;
		CHECK_EQ(vcpu_set_msr(v, msrs[i], 1), old);
	}
	CHECK_EQ(vcpu_set_msr(v, MSR_PERF_CAPABILITIES, 1 << 13), 0);
	CHECK(st_param_is("kvm", "enable_pmu", 'N'));
	vcpu_expect_done(v);
}

static void told(void)
{
	struct kvm_cpuid_entry2 *leaf;
	int dev = kvm_open();

	need_pmu();
	CHECK_EQ(kvm_cap(dev, KVM_CAP_PMU_CAPABILITY), KVM_PMU_CAP_DISABLE);
	CHECK_EQ(kvm_cap(dev, KVM_CAP_PMU_EVENT_FILTER), 1);
	CHECK(st_param_is("kvm", "enable_pmu", 'Y'));
	leaf = cpuid_entry(kvm_supported_cpuid(dev), 0xa);
	if (amd()) {
		CHECK_EQ(leaf->eax, 0);
		CHECK(listed(MSR_K7_SEL0) && listed(MSR_K7_CTR0 + 3));
	} else {
		CHECK_EQ(leaf->eax, 2 | 4 << 8 | 48 << 16 | 7 << 24);
		CHECK_EQ(leaf->ebx, 0);
		CHECK_EQ(leaf->ecx, 0);
		CHECK_EQ(leaf->edx, 3 | 48 << 5 | 1 << 15);
		CHECK(listed(MSR_PMC0 + 3) && !listed(MSR_PMC0 + 4));
		CHECK(listed(MSR_FIXED0 + 2) && listed(MSR_GLOBAL_CTRL));
	}
}

static void disabled(void)
{
	struct vm *vm;
	struct vcpu *v;

	need_pmu();
	vm = vm_new(64 << 20, VM_IRQCHIP);
	FAILS(kvm_enable(vm->fd, KVM_CAP_PMU_CAPABILITY, 2), EINVAL);
	OK(kvm_enable(vm->fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE));
	v = start_in(vm, PMU_NOTHING, 0, 0);
	FAILS(kvm_enable(vm->fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE), EINVAL);
	FAILS(kvm_enable(vm->fd, KVM_CAP_PMU_CAPABILITY, 0), EINVAL);
	if (kvm_is_oot()) {
		/* what is listed reads as 0 and takes 0, for a program that restores all */
		CHECK_EQ(vcpu_get_msr(v, amd() ? MSR_CORE_SEL0 : MSR_EVNTSEL0 + 2), 0);
		CHECK_EQ(vcpu_set_msr(v, amd() ? MSR_CORE_SEL0 : MSR_EVNTSEL0 + 2, 0), 1);
		CHECK_EQ(vcpu_set_msr(v, amd() ? MSR_CORE_SEL0 : MSR_EVNTSEL0 + 2, 1), 0);
		vcpu_expect_done(v);
	}
}

/* ---- counting ------------------------------------------------------------------------- */

static void need_fixed(void)
{
	need_pmu();
	if (amd())
		st_skip("AMD's CPUs have no fixed counters");
}

static void runs(uint64_t test, uint64_t flags, uint64_t arg)
{
	if (flags & PMU_FIXED)
		need_fixed();
	else
		need_pmu();
	vcpu_expect_done(start(test, flags, arg));
}

static void counts(void)
{
	runs(PMU_COUNT, 0, 0);
}

static void counts_fixed(void)
{
	runs(PMU_COUNT, PMU_FIXED, 0);
}

static void registers(void)
{
	runs(PMU_REGISTERS, 0, nr_gp());
}

static void overflow(void)
{
	runs(PMU_OVERFLOW, 0, 0);
}

static void overflow_nmi(void)
{
	runs(PMU_OVERFLOW, PMU_NMI, 0);
}

static void overflow_fixed(void)
{
	runs(PMU_OVERFLOW, PMU_FIXED, 0);
}

static void insns(void)
{
	runs(PMU_INSNS, 0, 0);
}

/* ---- filter ---------------------------------------------------------------------------- */

static void filter_errors(void)
{
	struct kvm_pmu_event_filter *f = new_filter(KVM_PMU_EVENT_ALLOW, 0, 301);
	struct vm *vm;

	need_pmu();
	vm = vm_new(1 << 20, 0);
	FAILS(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f), E2BIG);
	f->nevents = 300;
	OK(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f));
	f->nevents = 1;
	f->action = 2;
	FAILS(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f), EINVAL);
	f->action = KVM_PMU_EVENT_DENY;
	f->flags = 2;
	FAILS(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f), EINVAL);
	FAILS(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, NULL), EFAULT);
	if (!kvm_cap(vm->dev, KVM_CAP_PMU_EVENT_MASKED_EVENTS))
		return;		/* the kernel's own module of 6.1 */
	f->flags = KVM_PMU_EVENT_FLAG_MASKED_EVENTS;
	f->events[0] = 1ul << 54;
	FAILS(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f), EINVAL);
	f->events[0] = KVM_PMU_ENCODE_MASKED_ENTRY(0xc0, 0xff, 0x41, 0);
	OK(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f));
	/* without masks an event that cannot be is none */
	f->flags = 0;
	f->events[0] = 1ul << 54;
	OK(ioctl(vm->fd, KVM_SET_PMU_EVENT_FILTER, f));
}

static uint64_t stage;

static bool counts_with(struct vcpu *v, uint32_t action, uint32_t flags, uint32_t fixed, uint32_t n,
			const uint64_t *events)
{
	struct kvm_pmu_event_filter *f = new_filter(action, flags, n);
	struct report rep;

	if (n)
		memcpy(f->events, events, n * sizeof(*events));
	f->fixed_counter_bitmap = fixed;
	OK(ioctl(v->vm->fd, KVM_SET_PMU_EVENT_FILTER, f));
	free(f);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, stage);
	vcpu_expect_sync(v, ++stage);
	return rep.b;
}

#define ALLOW	KVM_PMU_EVENT_ALLOW
#define DENY	KVM_PMU_EVENT_DENY
#define MASKED	KVM_PMU_EVENT_FLAG_MASKED_EVENTS
#define COUNTS_WITH(v, action, flags, ...) ({				\
	const uint64_t __e[] = { __VA_ARGS__ };				\
	counts_with(v, action, flags, 0, ARRAY_SIZE(__e), __e); })
#define M	KVM_PMU_ENCODE_MASKED_ENTRY

/* The guest counts event 0xc0, unit mask 0x41. */
static void filter(void)
{
	struct vcpu *v;

	need_pmu();
	v = start(PMU_FILTER, 0, 0);
	stage = 1;
	vcpu_expect_sync(v, stage);
	CHECK(counts_with(v, DENY, 0, ~0, 0, NULL));
	CHECK(!counts_with(v, ALLOW, 0, ~0, 0, NULL));
	CHECK(COUNTS_WITH(v, ALLOW, 0, 0x3c, 0x41c0));
	CHECK(!COUNTS_WITH(v, ALLOW, 0, 0x3c, 0xc0));
	CHECK(!COUNTS_WITH(v, DENY, 0, 0x41c0));
	CHECK(COUNTS_WITH(v, DENY, 0, 0x40c0, 0x41c1));
	CHECK(COUNTS_WITH(v, DENY, 0, 0x41c0 | 1ul << 40));
	if (!kvm_cap(v->vm->dev, KVM_CAP_PMU_EVENT_MASKED_EVENTS))
		return;
	CHECK(COUNTS_WITH(v, ALLOW, MASKED, M(0xc0, 0xff, 0x41, 0)));
	CHECK(COUNTS_WITH(v, ALLOW, MASKED, M(0xc0, 0xf0, 0x40, 0)));
	CHECK(!COUNTS_WITH(v, ALLOW, MASKED, M(0xc0, 0xf0, 0x40, 0), M(0xc0, 0x0f, 1, 1)));
	CHECK(COUNTS_WITH(v, ALLOW, MASKED, M(0xc0, 0xf0, 0x40, 0), M(0xc0, 0x0f, 2, 1)));
	CHECK(!COUNTS_WITH(v, ALLOW, MASKED, M(0xc1, 0, 0, 0)));
	CHECK(!COUNTS_WITH(v, DENY, MASKED, M(0xc0, 0, 0, 0)));
	CHECK(COUNTS_WITH(v, DENY, MASKED, M(0xc0, 0, 0, 0), M(0xc0, 0xff, 0x41, 1)));
}

static void filter_fixed(void)
{
	struct vcpu *v;

	need_fixed();
	v = start(PMU_FILTER, PMU_FIXED, 0);
	stage = 1;
	vcpu_expect_sync(v, stage);
	CHECK(!counts_with(v, DENY, 0, 1, 0, NULL));
	CHECK(counts_with(v, DENY, 0, 6, 0, NULL));
	CHECK(counts_with(v, ALLOW, 0, 1, 0, NULL));
	CHECK(!counts_with(v, ALLOW, 0, 6, 0, NULL));
}

/* ---- migration --------------------------------------------------------------------------- */

static void save_restore(void)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} intel[] = {
		/* in no order that means something */
		{ MSR_GLOBAL_STATUS, 3ul << 32 | 5 }, { MSR_GLOBAL_CTRL, 7ul << 32 | 9 },
		{ MSR_PMC0, 0x123456789abc }, { MSR_EVNTSEL0, 0x5300c0 },
		{ MSR_PMC0 + 3, 0xffffffffffff }, { MSR_EVNTSEL0 + 3, 0x13003c },
		{ MSR_FIXED0 + 2, 0xabcdef012345 }, { MSR_FIXED_CTRL, 0xb0a },
		{ MSR_OVF_CTRL, 0 },
	}, k7[] = {
		{ MSR_K7_CTR0, 0x123456789abc }, { MSR_K7_SEL0, 0x5300c0 },
		{ MSR_K7_SEL0 + 3, 0x13003c }, { MSR_K7_CTR0 + 3, 0xffffffffffff },
	};
	const typeof(intel[0]) *regs = amd() ? (const void *)k7 : intel;
	unsigned int n = amd() ? ARRAY_SIZE(k7) : ARRAY_SIZE(intel), i, round;
	struct vcpu *v = NULL, *last;
	uint64_t value;

	need_pmu();
	for (round = 0; round < 2; round++) {
		last = v;
		v = start(PMU_COUNT, 0, 0);
		for (i = 0; i < n; i++) {
			value = last ? vcpu_get_msr(last, regs[i].index) : regs[i].value;
			CHECK_EQ(value, regs[i].value);
			CHECK_EQ(vcpu_set_msr(v, regs[i].index, value), 1);
		}
		for (i = 0; i < n; i++)
			CHECK_EQ(vcpu_get_msr(v, regs[i].index), regs[i].value);
	}
	if (!amd()) {
		CHECK_EQ(vcpu_set_msr(v, MSR_GLOBAL_CTRL, 1 << 4), 0);
		CHECK_EQ(vcpu_set_msr(v, MSR_FIXED_CTRL, 4), 0);
		CHECK_EQ(vcpu_set_msr(v, MSR_EVNTSEL0, SEL_ANY), 0);
		CHECK_EQ(vcpu_set_msr(v, MSR_OVF_CTRL, 1 << 4), 0);
	}
	/* the guest does not mind what it is given */
	vcpu_expect_done(v);
}

/* User space may take the PMU away by CPUID, or give less of it. */
static void smaller(void)
{
	struct vm *vm;
	struct vcpu *v;
	struct kvm_cpuid2 *c;

	need_pmu();
	if (amd())
		st_skip("CPUID of AMD's has no number");
	vm = vm_new(64 << 20, VM_IRQCHIP);
	v = vm_add_vcpu(vm, 0);
	c = kvm_supported_cpuid(vm->dev);
	cpuid_entry(c, 0xa)->eax = 2 | 2 << 8 | 40 << 16 | 7 << 24;
	cpuid_entry(c, 0xa)->edx = 1 | 32 << 5;
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	CHECK_EQ(vcpu_set_msr(v, MSR_PMC0 + 1, ~0ul), 1);
	CHECK_EQ(vcpu_get_msr(v, MSR_PMC0 + 1), (1ul << 40) - 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_FIXED0, ~0ul), 1);
	CHECK_EQ(vcpu_get_msr(v, MSR_FIXED0), (1ul << 32) - 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_PMC0 + 2, 1), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_FIXED0 + 1, 1), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_GLOBAL_CTRL, 4), 0);
	/* version 1: neither fixed counters nor global registers */
	cpuid_entry(c, 0xa)->eax = 1 | 2 << 8 | 40 << 16 | 7 << 24;
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	CHECK_EQ(vcpu_set_msr(v, MSR_PMC0, 5), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_GLOBAL_CTRL, 1), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_FIXED0, 1), 0);
}

/*
 * What perf wants in a guest is there, and gone in the host: fakepmu.c. Without counters
 * for the guest, too.
 */
static void switched(void)
{
	unsigned int disabled, i;

	need_pmu();
	if (amd())
		st_skip("AMD's CPUs tell host and guest apart themselves");
	if (!kvm_cpu_has(kvm_open(), 0x80000001, 3, 27))
		st_skip("no RDTSCP");
	for (disabled = 0; disabled < 2; disabled++) {
		struct vm *vm = vm_new(64 << 20, VM_IRQCHIP);
		struct vcpu *v;

		if (disabled)
			OK(kvm_enable(vm->fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE));
		v = start_in(vm, PMU_SWITCHED, 0, 0);
		CHECK_EQ(vcpu_set_msr(v, MSR_TSC_AUX, 0x77), 1);
		for (i = 1; i <= 2; i++) {
			struct report r = vcpu_run_to_report(v);

			CHECK_EQ(r.kind, REPORT_SYNC);
			CHECK_EQ(r.a, i);
			CHECK_EQ(r.b, FAKEPMU_AUX);
			CHECK_EQ(vcpu_get_msr(v, MSR_TSC_AUX), 0x77);
		}
		vcpu_expect_done(v);
	}
}

static const struct st_test tests[] = {
	{ "refused", refused },
	{ "told", told },
	{ "disabled", disabled },
	{ "counts", counts },
	{ "counts_fixed", counts_fixed },
	{ "registers", registers },
	{ "overflow", overflow },
	{ "overflow_nmi", overflow_nmi },
	{ "overflow_fixed", overflow_fixed },
	{ "insns", insns },
	{ "filter_errors", filter_errors },
	{ "filter", filter },
	{ "filter_fixed", filter_fixed },
	{ "save_restore", save_restore },
	{ "smaller", smaller },
	{ "switched", switched },
	{}
};

ST_MAIN("pmu", tests)
