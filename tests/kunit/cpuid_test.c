// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: what is offered must exist on this host or be made by the module, what must never
 * be offered is not, and what a guest was given is found again, with the bits that follow
 * its own registers (AMD64 APM vol. 3, appendix E; Documentation/virt/kvm/api.rst).
 */
#include <kunit/test.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/processor.h>

#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

#define MAX_LEAVES	256

static int cpuid_init(struct kunit *test)
{
	return vm_mock_create(test, KVM_IRQCHIP_SPLIT, NULL);
}

static struct kvm_cpuid_entry2 *list(struct kunit *test, int *n)
{
	struct kvm_cpuid_entry2 *e = kunit_kzalloc(test, MAX_LEAVES * sizeof(*e), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, e);
	*n = kvm_cpuid_supported(e, MAX_LEAVES, false);
	KUNIT_ASSERT_GT(test, *n, 10);
	KUNIT_ASSERT_LE(test, *n, MAX_LEAVES);
	return e;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid_entry2 *e, int n, u32 function, u32 index)
{
	int i;

	for (i = 0; i < n; i++)
		if (e[i].function == function &&
		    (!(e[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e[i].index == index))
			return &e[i];
	return NULL;
}

static u32 reg_of(const struct kvm_cpuid_entry2 *e, int reg)
{
	const u32 r[4] = { e->eax, e->ebx, e->ecx, e->edx };

	return r[reg];
}

/* Room for 0, 1, one too few, exactly, one too many. */
static void room(struct kunit *test)
{
	int want, i, n;
	struct kvm_cpuid_entry2 *all = list(test, &want);
	struct kvm_cpuid_entry2 *e = kunit_kzalloc(test, MAX_LEAVES * sizeof(*e), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, e);
	for (i = 0; i <= want + 1; i++) {
		memset(e, 0x5a, MAX_LEAVES * sizeof(*e));
		n = kvm_cpuid_supported(e, i, false);
		KUNIT_EXPECT_EQ_MSG(test, n, i < want ? -E2BIG : want, "%d", i);
		/* nothing beyond the room */
		KUNIT_EXPECT_EQ(test, ((u8 *)&e[i])[0], 0x5a);
	}
	KUNIT_EXPECT_EQ(test, memcmp(e, all, want * sizeof(*e)), 0);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, kvm_cpuid_supported(e, i, true), -E2BIG);
	KUNIT_EXPECT_EQ(test, kvm_cpuid_supported(e, 3, true), 3);
	KUNIT_EXPECT_EQ(test, kvm_cpuid_supported(e, MAX_LEAVES, true), 3);
}

static void shape(struct kunit *test)
{
	int n, i, j;
	struct kvm_cpuid_entry2 *e = list(test, &n), *f;

	for (i = 0; i < n; i++) {
		/* no leaf twice, none beyond the last of its class, nothing uninitialized */
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_FALSE_MSG(test, e[i].function == e[j].function &&
					       e[i].index == e[j].index, "%x.%x", e[i].function,
					       e[i].index);
		f = find(e, n, e[i].function & 0xf0000000, 0);
		KUNIT_ASSERT_NOT_NULL(test, f);
		KUNIT_EXPECT_LE(test, e[i].function, f->eax);
		KUNIT_EXPECT_EQ(test, e[i].padding[0] | e[i].padding[1] | e[i].padding[2], 0u);
		KUNIT_EXPECT_EQ(test, e[i].flags & ~7u, 0u);
		if (e[i].index)
			KUNIT_EXPECT_TRUE(test, e[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	}
	/* the paravirtual class */
	f = find(e, n, 0x40000000, 0);
	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_EXPECT_EQ(test, memcmp(&f->ebx, "KVMK", 4), 0);
	KUNIT_EXPECT_EQ(test, memcmp(&f->ecx, "VMKV", 4), 0);
	KUNIT_EXPECT_EQ(test, memcmp(&f->edx, "M\0\0\0", 4), 0);
	f = find(e, n, 0x40000001, 0);
	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_EXPECT_TRUE(test, f->eax & BIT(KVM_FEATURE_CLOCKSOURCE2));
	/* the vendor is the host's */
	f = find(e, n, 0, 0);
	KUNIT_EXPECT_EQ(test, f->ebx, cpuid_ebx(0));
	KUNIT_EXPECT_EQ(test, f->ecx, cpuid_ecx(0));
	KUNIT_EXPECT_EQ(test, f->edx, cpuid_edx(0));
	f = find(e, n, 0x80000008, 0);
	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_EXPECT_LE(test, f->eax & 0xff, (u32)boot_cpu_data.x86_phys_bits);
}

/* Made by the module whatever the CPU has. */
static const struct {
	u32 function, index;
	int reg;
	u32 made;
} words[] = {
	{ 1, 0, 2, BIT(21) | BIT(24) | BIT(31) },	/* x2APIC, deadline timer, hypervisor */
	{ 1, 0, 3, 0 },
	{ 7, 0, 1, BIT(1) },				/* TSC_ADJUST */
	{ 7, 0, 2, 0 },
	{ 7, 0, 3, BIT(29) },				/* ARCH_CAPABILITIES, by the backend */
	{ 7, 1, 0, 0 },
	{ 0xd, 1, 0, 0 },
	{ 0x80000001, 0, 2, 0 },
	{ 0x80000001, 0, 3, 0 },
	{ 0x80000008, 0, 1, BIT(25) },			/* VIRT_SSBD, by the backend */
};

/* SPEC_CTRL's parts in the other vendor's leaf, and what the kernel knows by the model. */
static u32 made_by_speculation(u32 function, int reg)
{
	u32 bits = 0;

	if (function == 7 && reg == 3) {
		if (boot_cpu_has(X86_FEATURE_IBRS) && boot_cpu_has(X86_FEATURE_IBPB))
			bits |= BIT(26);
		if (boot_cpu_has(X86_FEATURE_STIBP))
			bits |= BIT(27);
		if (boot_cpu_has(X86_FEATURE_AMD_SSBD))
			bits |= BIT(31);
	}
	if (function == 0x80000008 && reg == 1) {
		if (boot_cpu_has(X86_FEATURE_IBPB))
			bits |= BIT(12);
		if (boot_cpu_has(X86_FEATURE_IBRS))
			bits |= BIT(14);
		if (boot_cpu_has(X86_FEATURE_STIBP))
			bits |= BIT(15);
		if (boot_cpu_has(X86_FEATURE_SPEC_CTRL_SSBD))
			bits |= BIT(24);
		if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
			bits |= BIT(26);
	}
	return bits;
}

static void offered_exists(struct kunit *test)
{
	int n;
	struct kvm_cpuid_entry2 *e = list(test, &n);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		struct kvm_cpuid_entry2 *f = find(e, n, words[i].function, words[i].index);
		struct kvm_cpuid_entry2 host = {};
		u32 got, made;

		if (!f)
			continue;
		made = words[i].made | made_by_speculation(words[i].function, words[i].reg);
		cpuid_count(words[i].function, words[i].index, &host.eax, &host.ebx, &host.ecx,
			    &host.edx);
		got = reg_of(f, words[i].reg);
		KUNIT_EXPECT_EQ_MSG(test, got & ~(reg_of(&host, words[i].reg) | made), 0u,
				    "leaf %x.%x register %d", words[i].function, words[i].index,
				    words[i].reg);
	}
	/* without these no guest of ours runs */
	KUNIT_EXPECT_EQ(test, find(e, n, 1, 0)->ecx & (BIT(21) | BIT(31)),
			(u32)(BIT(21) | BIT(31)));
	/* the deadline timer, which a VM without a LAPIC in the kernel does not have */
	KUNIT_EXPECT_FALSE(test, find(e, n, 1, 0)->ecx & BIT(24));
	KUNIT_EXPECT_TRUE(test, find(e, n, 1, 0)->edx & BIT(9));
	KUNIT_EXPECT_TRUE(test, find(e, n, 0x80000001, 0)->edx & BIT(29));
}

static void never_offered(struct kunit *test)
{
	static const struct {
		u32 function, index;
		int reg, bit;
		const char *name;
	} c[] = {
		{ 1, 0, 2, 3, "MONITOR" }, { 1, 0, 2, 5, "VMX" }, { 1, 0, 2, 6, "SMX" },
		{ 1, 0, 2, 15, "PDCM" }, { 1, 0, 2, 27, "OSXSAVE" }, { 1, 0, 3, 28, "HTT" },
		{ 1, 0, 3, 21, "DS" }, { 1, 0, 3, 22, "ACPI" }, { 7, 0, 1, 2, "SGX" },
		{ 7, 0, 1, 4, "HLE" }, { 7, 0, 1, 14, "MPX" }, { 7, 0, 1, 25, "PT" },
		{ 7, 0, 2, 4, "OSPKE" }, { 7, 0, 2, 7, "SHSTK" }, { 7, 0, 3, 20, "IBT" },
		{ 0x80000001, 0, 2, 2, "SVM" }, { 0x80000001, 0, 2, 10, "IBS" },
		{ 0x80000001, 0, 2, 12, "SKINIT" }, { 0x80000001, 0, 2, 15, "LWP" },
		{ 0x80000001, 0, 2, 23, "PERFCTR_CORE" }, { 0x80000001, 0, 2, 29, "MWAITX" },
	};
	int n;
	struct kvm_cpuid_entry2 *e = list(test, &n), *f;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		f = find(e, n, c[i].function, c[i].index);
		KUNIT_EXPECT_FALSE_MSG(test, f && reg_of(f, c[i].reg) & BIT(c[i].bit), "%s",
				       c[i].name);
	}
	/* no performance counters, no id of the CPU that answered */
	f = find(e, n, 0xa, 0);
	KUNIT_EXPECT_TRUE(test, !f || !(f->eax | f->ebx | f->ecx | f->edx));
	f = find(e, n, 0x8000000a, 0);
	KUNIT_EXPECT_TRUE(test, !f || !(f->eax | f->ebx | f->ecx | f->edx));
	KUNIT_EXPECT_EQ(test, find(e, n, 1, 0)->ebx >> 24, 0u);
	f = find(e, n, 0xb, 0);
	KUNIT_EXPECT_TRUE(test, !f || !f->edx);
}

/* State that XCR0 names must have its size and place. */
static void xsave_leaves(struct kunit *test)
{
	int n, i;
	struct kvm_cpuid_entry2 *e = list(test, &n), *f = find(e, n, 0xd, 0), *sub;
	u32 end = 576;
	u64 xcr0;

	if (!(find(e, n, 1, 0)->ecx & BIT(26))) {
		kunit_skip(test, "no XSAVE");
		return;
	}
	KUNIT_ASSERT_NOT_NULL(test, f);
	xcr0 = f->eax | (u64)f->edx << 32;
	KUNIT_EXPECT_EQ(test, xcr0 & 3, 3);
	for (i = 2; i < 63; i++) {
		sub = find(e, n, 0xd, i);
		KUNIT_EXPECT_EQ_MSG(test, !!sub, !!(xcr0 & BIT_ULL(i)), "feature %d", i);
		if (!sub)
			continue;
		KUNIT_EXPECT_NE(test, sub->eax, 0u);
		KUNIT_EXPECT_EQ(test, sub->ecx & 1, 0u);	/* not a supervisor's */
		end = max(end, sub->eax + sub->ebx);
	}
	KUNIT_EXPECT_EQ(test, f->ebx, end);
	KUNIT_EXPECT_EQ(test, f->ecx, end);
}

/* ---- a guest's CPUID ------------------------------------------------------------------- */

#define INDEXED	KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static struct kvm_vcpu *guest(struct kunit *test, struct kvm_cpuid_entry2 *e, int n)
{
	struct vm_mock *vm = test->priv;
	struct kvm_vcpu *vcpu = vm->vcpu[1];

	vcpu->arch.cpuid.entries = e;
	vcpu->arch.cpuid.nent = n;
	return vcpu;
}

static void lookup(struct kunit *test)
{
	struct kvm_cpuid_entry2 e[] = {
		{ .function = 0, .eax = 0xd, .ebx = 0x756e6547, .edx = 0x49656e69,
		  .ecx = 0x6c65746e },
		{ .function = 1, .ecx = BIT(21) },
		{ .function = 4, .index = 0, .flags = INDEXED, .eax = 0x40 },
		{ .function = 4, .index = 1, .flags = INDEXED, .eax = 0x41 },
		{ .function = 0xb, .index = 0, .flags = INDEXED, .edx = 7 },
		{ .function = 0xb, .index = 1, .flags = INDEXED, .edx = 7, .ecx = 0x201 },
		{ .function = 0xd, .index = 0, .flags = INDEXED, .eax = 0xd0 },
		{ .function = 0x40000000, .eax = 0x40000001 },
		{ .function = 0x40000001, .eax = 0x99 },
		{ .function = 0x80000000, .eax = 0x80000008 },
	};
	static const struct {
		u32 function, index;
		bool found;
		u32 eax, ecx, edx;
	} c[] = {
		{ 1, 77, true, 0, BIT(21), 0 },		/* the index does not matter */
		{ 4, 1, true, 0x41, 0, 0 },
		{ 4, 2, false, 0, 0, 0 },		/* in range: nothing */
		{ 0xb, 1, true, 0, 0x201, 7 },
		{ 0xb, 5, false, 0, 5, 7 },		/* the id is told beyond the last level */
		{ 0xe, 0, false, 0xd0, 0, 0 },		/* Intel: the last basic leaf */
		{ 0x7fffffff, 0, false, 0xd0, 0, 0 },
		{ 0x40000001, 0, true, 0x99, 0, 0 },
		{ 0x40000002, 0, false, 0xd0, 0, 0 },
		{ 0x80000003, 0, false, 0, 0, 0 },	/* in range */
		{ 0x80000009, 0, false, 0xd0, 0, 0 },
		{ 0xffffffff, 0, false, 0xd0, 0, 0 },
	};
	struct kvm_vcpu *vcpu = guest(test, e, ARRAY_SIZE(e));
	u32 eax, ebx, ecx, edx;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		eax = c[i].function;
		ecx = c[i].index;
		KUNIT_EXPECT_EQ_MSG(test, kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx, false),
				    c[i].found, "%x.%x", c[i].function, c[i].index);
		KUNIT_EXPECT_EQ_MSG(test, eax, c[i].eax, "%x.%x", c[i].function, c[i].index);
		KUNIT_EXPECT_EQ_MSG(test, ecx, c[i].ecx, "%x.%x", c[i].function, c[i].index);
		KUNIT_EXPECT_EQ_MSG(test, edx, c[i].edx, "%x.%x", c[i].function, c[i].index);
	}
	eax = 0xe;
	ecx = 0;
	KUNIT_EXPECT_FALSE(test, kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx, true));
	KUNIT_EXPECT_EQ(test, eax, 0u);
	/* AMD answers with zeros */
	memcpy(&e[0].ebx, "Auth", 4);
	memcpy(&e[0].edx, "enti", 4);
	memcpy(&e[0].ecx, "cAMD", 4);
	eax = 0xe;
	ecx = 0;
	KUNIT_EXPECT_FALSE(test, kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx, false));
	KUNIT_EXPECT_EQ(test, eax, 0u);

	KUNIT_EXPECT_TRUE(test, guest_has(vcpu, X86_FEATURE_X2APIC));
	KUNIT_EXPECT_FALSE(test, guest_has(vcpu, X86_FEATURE_XSAVE));
	KUNIT_EXPECT_FALSE(test, guest_has(vcpu, X86_FEATURE_NX));	/* there is no such leaf */
	/* no CPUID at all */
	vcpu = guest(test, NULL, 0);
	eax = 1;
	ecx = 0;
	KUNIT_EXPECT_FALSE(test, kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx, false));
	KUNIT_EXPECT_EQ(test, eax | ebx | ecx | edx, 0u);
	KUNIT_EXPECT_FALSE(test, guest_has(vcpu, X86_FEATURE_X2APIC));
}

static void runtime_bits(struct kunit *test)
{
	struct kvm_cpuid_entry2 e[] = {
		{ .function = 1, .ecx = BIT(26) },
		{ .function = 7, .flags = INDEXED, .ecx = BIT(3) },
		{ .function = 0xd, .flags = INDEXED },
		/* behind another hypervisor's, whose leaf is not ours */
		{ .function = 0x40000101, .eax = BIT(KVM_FEATURE_PV_UNHALT) |
						 BIT(KVM_FEATURE_CLOCKSOURCE) },
		{ .function = 0x40000001, .eax = 0x31237648 },
		{ .function = 0x40000100, .eax = 0x40000101, .ebx = 0x4b4d564b,
		  .ecx = 0x564b4d56, .edx = 0x4d },
	};
	struct kvm_vcpu *vcpu = guest(test, e, ARRAY_SIZE(e));

	vcpu->arch.xcr0 = 3;
	vcpu->arch.regs[VCPU_REG_CR4] = 0;
	vcpu->arch.apic_base = 0xfee00800;
	kvm_update_cpuid_runtime(vcpu);
	KUNIT_EXPECT_EQ(test, e[0].ecx, BIT(26));
	KUNIT_EXPECT_EQ(test, e[0].edx, BIT(9));		/* APIC */
	KUNIT_EXPECT_EQ(test, e[1].ecx, BIT(3));
	KUNIT_EXPECT_EQ(test, e[2].ebx, 576u);
	vcpu->arch.regs[VCPU_REG_CR4] = X86_CR4_OSXSAVE | X86_CR4_PKE;
	vcpu->arch.apic_base = 0xfee00000;
	kvm_update_cpuid_runtime(vcpu);
	KUNIT_EXPECT_EQ(test, e[0].ecx, BIT(26) | BIT(27));
	KUNIT_EXPECT_EQ(test, e[0].edx, 0u);
	KUNIT_EXPECT_EQ(test, e[1].ecx, BIT(3) | BIT(4));
	/* not without the feature */
	e[0].ecx = BIT(27);
	e[1].ecx = BIT(4);
	kvm_update_cpuid_runtime(vcpu);
	KUNIT_EXPECT_EQ(test, e[0].ecx, 0u);
	KUNIT_EXPECT_EQ(test, e[1].ecx, 0u);
	/* AVX: what XCR0 has makes the area larger */
	if (boot_cpu_has(X86_FEATURE_AVX)) {
		vcpu->arch.xcr0 = 7;
		kvm_update_cpuid_runtime(vcpu);
		KUNIT_EXPECT_EQ(test, e[2].ebx, 832u);
	}
	/* a guest that halts for real is not kicked */
	KUNIT_EXPECT_TRUE(test, vcpu->arch.pv_cpuid.features & BIT(KVM_FEATURE_PV_UNHALT));
	vcpu->kvm->arch.disabled_exits = KVM_X86_DISABLE_EXITS_HLT;
	kvm_update_cpuid_runtime(vcpu);
	KUNIT_EXPECT_EQ(test, e[3].eax, BIT(KVM_FEATURE_CLOCKSOURCE));
	KUNIT_EXPECT_EQ(test, e[4].eax, 0x31237648u);
	KUNIT_EXPECT_EQ(test, vcpu->arch.pv_cpuid.features, BIT(KVM_FEATURE_CLOCKSOURCE));
	/* enforced, what was not offered may not be used */
	KUNIT_EXPECT_TRUE(test, kvm_pv_has(vcpu, KVM_FEATURE_STEAL_TIME));
	vcpu->arch.pv_cpuid.enforce = true;
	KUNIT_EXPECT_FALSE(test, kvm_pv_has(vcpu, KVM_FEATURE_STEAL_TIME));
	KUNIT_EXPECT_TRUE(test, kvm_pv_has(vcpu, KVM_FEATURE_CLOCKSOURCE));
	guest(test, NULL, 0);
}

/* Address widths, CR4 and XCR0 that follow from it. */
static void limits(struct kunit *test)
{
	static const struct {
		u32 last, eax;
		u8 want;
	} c[] = {
		{ 0x80000008, 0x3028, 40 }, { 0x80000008, 0x3034, 52 }, { 0x80000008, 0x3040, 52 },
		{ 0x80000008, 0x3010, 32 }, { 0x80000008, 0x3000, 36 }, { 0x80000004, 0x3028, 36 },
	};
	struct kvm_cpuid_entry2 e[] = {
		{ .function = 0x80000000 },
		{ .function = 0x80000008 },
		{ .function = 7, .flags = INDEXED },
		{ .function = 0xd, .flags = INDEXED, .eax = ~0u, .edx = ~0u },
	};
	struct kvm_vcpu *vcpu = guest(test, e, ARRAY_SIZE(e));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c); i++) {
		e[0].eax = c[i].last;
		e[1].eax = c[i].eax;
		kvm_cpuid_vcpu_init(vcpu);
		KUNIT_EXPECT_EQ_MSG(test, vcpu->arch.cpuid.maxphyaddr, c[i].want, "%u", i);
		KUNIT_EXPECT_EQ(test, vcpu->arch.cpuid.reserved_gpa_bits,
				GENMASK_ULL(63, c[i].want));
	}
	/* what neither host nor guest has is reserved in CR4 */
	KUNIT_EXPECT_TRUE(test, vcpu->arch.cpuid.cr4_reserved_bits & X86_CR4_SMEP);
	KUNIT_EXPECT_FALSE(test, vcpu->arch.cpuid.cr4_reserved_bits & X86_CR4_PAE);
	KUNIT_EXPECT_TRUE(test, vcpu->arch.cpuid.cr4_reserved_bits & X86_CR4_VMXE);
	e[2].ebx = BIT(7);
	kvm_cpuid_vcpu_init(vcpu);
	KUNIT_EXPECT_EQ(test, !(vcpu->arch.cpuid.cr4_reserved_bits & X86_CR4_SMEP),
			boot_cpu_has(X86_FEATURE_SMEP));
	/* nor is XCR0 more than the host's */
	KUNIT_EXPECT_EQ(test, vcpu->arch.cpuid.supported_xcr0, kvm_supported_xcr0);
	e[3].eax = 3;
	e[3].edx = 0;
	kvm_cpuid_vcpu_init(vcpu);
	KUNIT_EXPECT_EQ(test, vcpu->arch.cpuid.supported_xcr0, kvm_supported_xcr0 & 3);
	guest(test, NULL, 0);
}

static struct kunit_case cpuid_cases[] = {
	KUNIT_CASE(room),
	KUNIT_CASE(shape),
	KUNIT_CASE(offered_exists),
	KUNIT_CASE(never_offered),
	KUNIT_CASE(xsave_leaves),
	KUNIT_CASE(lookup),
	KUNIT_CASE(runtime_bits),
	KUNIT_CASE(limits),
	{}
};

struct kunit_suite kvm_cpuid_suite = {
	.name = "kvm-cpuid",
	.init = cpuid_init,
	.exit = vm_mock_destroy,
	.test_cases = cpuid_cases,
};
