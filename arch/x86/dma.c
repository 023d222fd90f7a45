// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices of the host's that a guest drives, and whose DMA may go past the CPUs' caches
 * (PCI Express: "no snoop", where the IOMMU does not overrule it). VFIO's device tells
 * (module/vfio.c). While a VM has one:
 *
 * The guest says by its own page tables how its memory is cached: nested entries let it
 * (mmu_memory_type()), and shadow entries take over what the guest's say (mmu/shadow.c). All
 * mappings that were made before go.
 *
 * WBINVD does what it says (Intel SDM vol. 2; AMD APM vol. 3): memory is to have what the
 * guest wrote before. That may be in the caches of every CPU that the vCPU ran on since its
 * last WBINVD, so that all of them are written back. Which they are is noted always, since a
 * device may come when the guest runs already. A CPU on which WBINVD does not exit writes back
 * its own caches only; there, caches are written back when the vCPU leaves the CPU.
 *
 * INVD, which would throw away what the host itself has in the caches, is never carried out.
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/smp.h>
#include <asm/special_insns.h>

#include "arch/x86/dma.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/mmu/mmu.h"

#ifdef KVM_OOT_DEBUG
atomic_t kvm_dma_written_back;
EXPORT_SYMBOL_FOR_KUNIT(kvm_dma_written_back);
atomic_t kvm_dma_guest_types;
static struct dentry *debug_dir;
#endif

static void write_back(void *unused)
{
	wbinvd();
#ifdef KVM_OOT_DEBUG
	atomic_inc(&kvm_dma_written_back);
#endif
}

/**
 * kvm_arch_set_noncoherent_dma() - the first device comes that may write around the caches, or
 *	the last one goes
 * @kvm: the VM
 * @on: whether there is one
 */
void kvm_arch_set_noncoherent_dma(struct kvm *kvm, bool on)
{
	WRITE_ONCE(kvm->arch.noncoherent_dma, on);
	kvm_mmu_memory_types_changed(kvm);
}

/**
 * kvm_dma_vcpu_create() - a new vCPU
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_dma_vcpu_create(struct kvm_vcpu *vcpu)
{
	vcpu->arch.cached_on_cpu = -1;
	return zalloc_cpumask_var(&vcpu->arch.cached_on, GFP_KERNEL_ACCOUNT) ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_dma_vcpu_create);

/**
 * kvm_dma_vcpu_free() - a vCPU goes
 * @vcpu: the vCPU
 */
void kvm_dma_vcpu_free(struct kvm_vcpu *vcpu)
{
	free_cpumask_var(vcpu->arch.cached_on);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_dma_vcpu_free);

/**
 * kvm_dma_vcpu_load() - the vCPU writes into this CPU's caches from now on
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption is off, interrupts are on
 */
void kvm_dma_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	int old = vcpu->arch.cached_on_cpu;

	if (likely(old == cpu))
		return;
	vcpu->arch.cached_on_cpu = cpu;
	if (kvm_be.wbinvd_exits)
		cpumask_set_cpu(cpu, vcpu->arch.cached_on);
	else if (old >= 0 && kvm_has_noncoherent_dma(vcpu->kvm))
		smp_call_function_single(old, write_back, NULL, 1);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_dma_vcpu_load);

/**
 * kvm_wbinvd() - the guest executes WBINVD or WBNOINVD
 * @vcpu: the vCPU, loaded; interrupts are on
 */
void kvm_wbinvd(struct kvm_vcpu *vcpu)
{
	int cpu;

	/* every cache is coherent with all that looks at the guest's memory */
	if (!kvm_has_noncoherent_dma(vcpu->kvm))
		return;
	cpu = get_cpu();
	cpumask_set_cpu(cpu, vcpu->arch.cached_on);
	on_each_cpu_mask(vcpu->arch.cached_on, write_back, NULL, 1);
	/* it goes on here, and writes again */
	cpumask_copy(vcpu->arch.cached_on, cpumask_of(cpu));
	put_cpu();
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_wbinvd);

/**
 * kvm_dma_module_init() - with KVM_OOT_DEBUG: have the counters of tests in debugfs
 */
void kvm_dma_module_init(void)
{
#ifdef KVM_OOT_DEBUG
	debug_dir = debugfs_create_dir("kvm-oot-debug", NULL);
	debugfs_create_atomic_t("written_back", 0444, debug_dir, &kvm_dma_written_back);
	debugfs_create_atomic_t("guest_types", 0444, debug_dir, &kvm_dma_guest_types);
#endif
}

/**
 * kvm_dma_module_exit() - remove them
 */
void kvm_dma_module_exit(void)
{
#ifdef KVM_OOT_DEBUG
	debugfs_remove(debug_dir);
#endif
}
