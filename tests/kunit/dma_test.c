// SPDX-License-Identifier: GPL-2.0-only
/* Unit tests of what DMA past the caches changes: memory types, and what is written back. */
#include <kunit/test.h>
#include <asm/mtrr.h>

#include "arch/x86/dma.h"
#include "arch/x86/mmu/shadow.h"
#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

/* as Linux has it, and after a reset */
#define LINUX_PAT	0x0407050600070106ull
#define RESET_PAT	0x0007040600070406ull

static void nested_entries(struct kunit *test)
{
	/* write-back in bits 5:3, ignore PAT in bit 6: SDM vol. 3, 29.3.7 */
	const struct kvm_tdp_format ept = { .ram = 6 << 3, .ignore_pat = BIT(6) };
	const struct kvm_tdp_format npt = { .exec = BIT(2) }, had = tdp_format;
	struct vm_mock *vm = test->priv;
	struct kvm *kvm = &vm->kvm;

	tdp_format = ept;
	KUNIT_EXPECT_EQ(test, mmu_memory_type(kvm), 0x70ull);
	kvm->arch.noncoherent_dma = true;
	KUNIT_EXPECT_EQ(test, mmu_memory_type(kvm), 0x30ull);
	kvm->arch.disabled_quirks = KVM_X86_QUIRK_IGNORE_GUEST_PAT;
	KUNIT_EXPECT_EQ(test, mmu_memory_type(kvm), 0x30ull);
	kvm->arch.noncoherent_dma = false;
	KUNIT_EXPECT_EQ(test, mmu_memory_type(kvm), 0x30ull);
	kvm->arch.disabled_quirks = ~(u64)KVM_X86_QUIRK_IGNORE_GUEST_PAT;
	KUNIT_EXPECT_EQ(test, mmu_memory_type(kvm), 0x70ull);
	tdp_format = npt;
	KUNIT_EXPECT_EQ(test, mmu_memory_type(kvm), 0ull);
	tdp_format = had;
}

static void pat_index(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kvm_pat_index(LINUX_PAT, MTRR_TYPE_WRBACK), 0u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(LINUX_PAT, MTRR_TYPE_WRCOMB), 1u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(LINUX_PAT, 7), 2u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(LINUX_PAT, MTRR_TYPE_UNCACHABLE), 3u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(LINUX_PAT, MTRR_TYPE_WRPROT), 5u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(LINUX_PAT, MTRR_TYPE_WRTHROUGH), 7u);
	/* what it has not is uncached */
	KUNIT_EXPECT_EQ(test, kvm_pat_index(RESET_PAT, MTRR_TYPE_WRCOMB), 3u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(0x0606060606060006ull, MTRR_TYPE_WRPROT), 1u);
	KUNIT_EXPECT_EQ(test, kvm_pat_index(0x0606060606060606ull, MTRR_TYPE_WRPROT), 3u);
}

static void shadow_entries(struct kunit *test)
{
	bool had = kvm_be.pat_is_guests;
	u64 host_pat = shadow_host_pat;
	struct vm_mock *vm = test->priv;
	struct kvm_vcpu *v = vm->vcpu[0];
	unsigned int i;

	shadow_host_pat = LINUX_PAT;
	v->arch.pat = RESET_PAT;
	kvm_be.pat_is_guests = false;
	KUNIT_EXPECT_EQ(test, shadow_cache_index(v, _PAGE_PCD | _PAGE_PWT, 1), 0u);
	vm->kvm.arch.noncoherent_dma = true;
	/* write-back, write-through, UC-, UC, twice over: by the host's PAT */
	for (i = 0; i < 8; i++) {
		static const unsigned int want[] = { 0, 7, 2, 3, 0, 7, 2, 3 };

		KUNIT_EXPECT_EQ(test, shadow_cache_index(v, shadow_cache_bits(i, 1), 1), want[i]);
		KUNIT_EXPECT_EQ(test, shadow_cache_index(v, shadow_cache_bits(i, 2), 2), want[i]);
	}
	/* each level has its own third bit, and another meaning for the other's */
	v->arch.pat = 0x0101010106060606ull;
	KUNIT_EXPECT_EQ(test, shadow_cache_index(v, BIT(7), 1), 1u);
	KUNIT_EXPECT_EQ(test, shadow_cache_index(v, BIT(12), 1), 0u);
	KUNIT_EXPECT_EQ(test, shadow_cache_index(v, BIT(7), 2), 0u);
	KUNIT_EXPECT_EQ(test, shadow_cache_index(v, BIT(7) | BIT(12), 3), 1u);
	/* the guest's own PAT is in the CPU */
	kvm_be.pat_is_guests = true;
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, shadow_cache_index(v, shadow_cache_bits(i, 1), 1), i);
	/* without paging memory is write-back, wherever the PAT has that */
	v->arch.pat = 0x0106010101010101ull;
	KUNIT_EXPECT_EQ(test, shadow_cache_index(v, 0, 0), 6u);
	kvm_be.pat_is_guests = had;
	shadow_host_pat = host_pat;
}

static void load(struct kvm_vcpu *v, int cpu)
{
	preempt_disable();
	kvm_dma_vcpu_load(v, cpu);
	preempt_enable();
}

/* CPUs that write their caches back while a vCPU is loaded, or executes WBINVD. */
#define WRITTEN(what) ({						\
	int __n = atomic_read(&kvm_dma_written_back);			\
	what;								\
	atomic_read(&kvm_dma_written_back) - __n; })

static void written_back(struct kunit *test)
{
	int here = cpumask_first(cpu_online_mask), there = cpumask_last(cpu_online_mask);
	struct vm_mock *vm = test->priv;
	struct kvm_vcpu *v = vm->vcpu[0];
	bool had = kvm_be.wbinvd_exits;

	KUNIT_ASSERT_EQ(test, kvm_dma_vcpu_create(v), 0);
	if (here == there)
		goto out;

	/* where WBINVD exits, moving is noted only */
	kvm_be.wbinvd_exits = true;
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, here)), 0);
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, there)), 0);
	KUNIT_EXPECT_EQ(test, WRITTEN(kvm_wbinvd(v)), 0);
	vm->kvm.arch.noncoherent_dma = true;
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, here)), 0);
	KUNIT_EXPECT_GE(test, WRITTEN(kvm_wbinvd(v)), 2);

	/* where it does not, the CPU that it leaves is written back */
	kvm_be.wbinvd_exits = false;
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, here)), 0);
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, there)), 1);
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, there)), 0);
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, here)), 1);
	vm->kvm.arch.noncoherent_dma = false;
	KUNIT_EXPECT_EQ(test, WRITTEN(load(v, there)), 0);
out:
	kvm_be.wbinvd_exits = had;
	kvm_dma_vcpu_free(v);
	if (here == there)
		kunit_skip(test, "one CPU only");
}

static int dma_init(struct kunit *test)
{
	return vm_mock_create(test, KVM_IRQCHIP_KERNEL, NULL);
}

static struct kunit_case dma_cases[] = {
	KUNIT_CASE(nested_entries),
	KUNIT_CASE(pat_index),
	KUNIT_CASE(shadow_entries),
	KUNIT_CASE(written_back),
	{}
};

struct kunit_suite kvm_dma_suite = {
	.name = "kvm-dma",
	.init = dma_init,
	.exit = vm_mock_destroy,
	.test_cases = dma_cases,
};
