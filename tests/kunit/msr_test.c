// SPDX-License-Identifier: GPL-2.0-only
/* Unit tests of the rules for PAT and MTRRs, the clock's scale, and TSCs after the host's sleep. */
#include <kunit/test.h>
#include <linux/math64.h>
#include <asm/mtrr.h>
#include <asm/pvclock.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/msr.h"
#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

static void pat(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, kvm_types_valid(0x0007040600070406ull, true));
	KUNIT_EXPECT_TRUE(test, kvm_types_valid(0x0706050401000606ull, true));
	KUNIT_EXPECT_FALSE(test, kvm_types_valid(0x0000000000000002ull, true));
	KUNIT_EXPECT_FALSE(test, kvm_types_valid(0x0300000000000000ull, true));
	KUNIT_EXPECT_FALSE(test, kvm_types_valid(0x0000000000000800ull, true));
	/* UC- is the PAT's alone */
	KUNIT_EXPECT_FALSE(test, kvm_types_valid(7, false));
}

static void mtrr(struct kunit *test)
{
	u64 reserved = GENMASK_ULL(63, 40);

	KUNIT_EXPECT_TRUE(test, kvm_mtrr_valid(MSR_MTRRdefType, 0xc06, reserved));
	KUNIT_EXPECT_FALSE(test, kvm_mtrr_valid(MSR_MTRRdefType, 0xc02, reserved));
	KUNIT_EXPECT_FALSE(test, kvm_mtrr_valid(MSR_MTRRdefType, 0x106, reserved));
	KUNIT_EXPECT_TRUE(test, kvm_mtrr_valid(0x200, 0x80000006, reserved));
	KUNIT_EXPECT_FALSE(test, kvm_mtrr_valid(0x200, 0x80000106, reserved));
	KUNIT_EXPECT_FALSE(test, kvm_mtrr_valid(0x200, 1ull << 40, reserved));
	KUNIT_EXPECT_TRUE(test, kvm_mtrr_valid(0x201, 0xff80000800ull, reserved));
	KUNIT_EXPECT_FALSE(test, kvm_mtrr_valid(0x201, 0xff80000400ull, reserved));
	KUNIT_EXPECT_TRUE(test, kvm_mtrr_valid(MSR_MTRRfix4K_C0000, 0x0605050404010100ull,
					       reserved));
	KUNIT_EXPECT_FALSE(test, kvm_mtrr_valid(MSR_MTRRfix4K_C0000, 0x07, reserved));
}

static void clock_scale(struct kunit *test)
{
	static const u32 khz[] = { 1000, 999999, 1000000, 1000001, 2400000, 3999999, 4200000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		u64 ns, off;
		u32 mult;
		s8 shift;

		kvm_pvclock_scale(khz[i], &mult, &shift);
		/* ten seconds' worth of counts are ten seconds, to 1 in 10^8 */
		ns = pvclock_scale_delta(khz[i] * 10000ull, mult, shift);
		off = ns > 10000000000ull ? ns - 10000000000ull : 10000000000ull - ns;
		KUNIT_EXPECT_LT(test, off, 100);
	}
}

/* The host's TSC begins anew: those of a guest's vCPUs go on, and do not move apart. */
static void resume(struct kunit *test)
{
	const u64 ahead = 1ull << 50;
	struct vm_mock *vm;
	LIST_HEAD(vms);
	u64 now;
	int i;

	KUNIT_ASSERT_EQ(test, vm_mock_create(test, KVM_IRQCHIP_SPLIT, NULL), 0);
	vm = test->priv;
	list_add(&vm->kvm.vm_list, &vms);

	/* it went on */
	for (i = 0; i < MOCK_VCPUS; i++)
		vm->vcpu[i]->arch.last_host_tsc = i;
	kvm_arch_resume(&vms);
	for (i = 0; i < MOCK_VCPUS; i++) {
		KUNIT_EXPECT_EQ(test, vm->vcpu[i]->arch.tsc_slept, 0);
		KUNIT_EXPECT_EQ(test, vm->vcpu[i]->arch.last_host_tsc, i);
		KUNIT_EXPECT_TRUE(test, kvm_check_request(KVM_REQ_MASTERCLOCK_UPDATE, vm->vcpu[i]));
	}

	now = rdtsc();
	for (i = 0; i < MOCK_VCPUS; i++)
		vm->vcpu[i]->arch.last_host_tsc = now + ahead - 1000000 * i;
	vm->kvm.arch.last_tsc_khz = 1000000;
	kvm_arch_resume(&vms);
	for (i = 0; i < MOCK_VCPUS; i++) {
		struct kvm_vcpu_arch *arch = &vm->vcpu[i]->arch;

		KUNIT_EXPECT_EQ(test, arch->tsc_slept, vm->vcpu[0]->arch.tsc_slept);
		/* the one that was read last goes on from there */
		KUNIT_EXPECT_LE(test, arch->tsc_slept, ahead);
		KUNIT_EXPECT_GE(test, rdtsc() + arch->tsc_slept, now + ahead);
		/* and is not taken for one that went back once more */
		KUNIT_EXPECT_LE(test, arch->last_host_tsc, rdtsc());
		KUNIT_EXPECT_TRUE(test, kvm_check_request(KVM_REQ_MASTERCLOCK_UPDATE, vm->vcpu[i]));
	}
	/* what user space writes next is compared with nothing */
	KUNIT_EXPECT_EQ(test, vm->kvm.arch.last_tsc_khz, 0);
	vm_mock_destroy(test);
}

static struct kunit_case msr_cases[] = {
	KUNIT_CASE(pat),
	KUNIT_CASE(mtrr),
	KUNIT_CASE(clock_scale),
	KUNIT_CASE(resume),
	{}
};

struct kunit_suite kvm_msr_suite = {
	.name = "kvm-msr",
	.test_cases = msr_cases,
};
