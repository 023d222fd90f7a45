// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM and a physical CPU: turning it on and off, the host save areas, address
 * space identifiers and what follows a vCPU from one CPU to another.
 *
 * AMD APM vol. 2, 15.4 (enabling), 15.30 (SVM MSRs), 15.16 (ASIDs and TLB
 * control). An ASID is never reused within a generation; when a CPU runs out
 * of them it begins a new generation with all its TLB entries flushed. So a
 * vCPU that comes to a CPU takes a new ASID and needs no flush.
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/percpu.h>
#include <asm/cpu_device_id.h>
#include <asm/desc.h>
#include <asm/io.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/processor.h>

#include "arch/x86/svm/svm.h"
#include "module/compat/virt.h"

DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

/**
 * svm_cpu_alloc_all() - the two pages of every possible CPU
 *
 * Return: 0 or -ENOMEM; then svm_cpu_free_all() still has to be called.
 */
int svm_cpu_alloc_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpu, cpu);
		int node = cpu_to_node(cpu);

		sc->hsave = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		sc->host_vmcb = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		if (!sc->hsave || !sc->host_vmcb)
			return -ENOMEM;
		sc->host_vmcb_pa = __sme_set(page_to_phys(sc->host_vmcb));
	}
	return 0;
}

/**
 * svm_cpu_free_all() - free them; SVM is off on every CPU
 */
void svm_cpu_free_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpu, cpu);

		if (sc->hsave)
			__free_page(sc->hsave);
		if (sc->host_vmcb)
			__free_page(sc->host_vmcb);
		sc->hsave = NULL;
		sc->host_vmcb = NULL;
	}
}

/**
 * svm_check_cpu() - does this CPU have what the boot CPU has, and is it free
 *
 * The caller says in the log what is returned.
 *
 * Return: 0; -EIO when SVM or one of the features in use is missing here; -EBUSY
 * when another hypervisor has it.
 */
int svm_check_cpu(void)
{
	u32 eax, ebx, ecx, edx;
	u64 vm_cr;

	if (cpuid_eax(0x80000000) < SVM_CPUID_FUNC ||
	    !(cpuid_ecx(0x80000001) & BIT(2)))
		goto bad;
	cpuid(SVM_CPUID_FUNC, &eax, &ebx, &ecx, &edx);
	if ((edx & svm_feat.cpuid_edx) != svm_feat.cpuid_edx || ebx < 2)
		goto bad;
	if (rdmsrq_safe(MSR_VM_CR, &vm_cr) || (vm_cr & SVM_VM_CR_SVM_DIS_MASK))
		goto bad;
	return !this_cpu_read(svm_cpu.enabled) && kvm_virt_is_taken() ? -EBUSY : 0;
bad:
	return -EIO;
}

/**
 * svm_enable_cpu() - take SVM on this CPU; interrupts off
 *
 * Return: 0, or -EBUSY when another hypervisor has set EFER.SVME already.
 */
int svm_enable_cpu(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);
	int r = x86_virt_get_ref(X86_FEATURE_SVM);

	if (r)
		return r;

	/* a vCPU that was here before SVM was last turned off must not match */
	sc->generation++;
	sc->max_asid = cpuid_ebx(SVM_CPUID_FUNC) - 1;
	/* the first user begins a new generation, and with that flushes */
	sc->next_asid = sc->max_asid + 1;
	sc->last_vmcb = NULL;

	wrmsrq(MSR_VM_HSAVE_PA, __sme_set(page_to_phys(sc->hsave)));

	if (svm_feat.tsc_scaling) {
		wrmsrq(MSR_AMD64_TSC_RATIO, SVM_TSC_RATIO_ONE);
		sc->tsc_ratio = SVM_TSC_RATIO_ONE;
	}
	/* perf may from now on count host and guest apart */
	amd_pmu_enable_virt();
	sc->enabled = true;
	return 0;
}

/**
 * svm_disable_cpu() - give SVM back on this CPU; interrupts off
 *
 * Harmless where it was not taken.
 */
void svm_disable_cpu(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);

	if (!sc->enabled)
		return;
	sc->enabled = false;
	if (svm_feat.tsc_scaling && sc->tsc_ratio != SVM_TSC_RATIO_ONE)
		wrmsrq(MSR_AMD64_TSC_RATIO, SVM_TSC_RATIO_ONE);
	wrmsrq(MSR_VM_HSAVE_PA, 0);
	x86_virt_put_ref(X86_FEATURE_SVM);
	amd_pmu_disable_virt();
}

/**
 * svm_emergency_disable() - the host crashes or reboots: INIT must get through
 *
 * Called on each CPU, possibly from NMI; nothing may be waited for. The newest
 * kernels do this themselves.
 */
void svm_emergency_disable(void)
{
	if (this_cpu_read(svm_cpu.enabled)) {
		wrmsrq(MSR_VM_HSAVE_PA, 0);
		x86_virt_put_ref(X86_FEATURE_SVM);
	}
}

/**
 * svm_assign_asid() - give a vCPU an ASID of this CPU
 * @svm: the vCPU
 * @sc: this CPU; interrupts off
 */
void svm_assign_asid(struct svm_vcpu *svm, struct svm_cpu *sc)
{
	if (sc->next_asid > sc->max_asid) {
		sc->generation++;
		sc->next_asid = 1;
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->asid_generation = sc->generation;
	svm->vmcb->control.asid = sc->next_asid++;
	svm_mark_dirty(svm, SVM_CLEAN_ASID);
}

/**
 * svm_flush_tlb() - forget translations of this vCPU
 * @vcpu: the vCPU, loaded
 * @scope: all, what the guest could flush, or one address
 * @gva: linear address for KVM_TLB_GVA
 *
 * Entries of an ASID hold guest and nested translation combined, so the first
 * two are the same.
 */
void svm_flush_tlb(struct kvm_vcpu *vcpu, enum kvm_tlb_scope scope, gva_t gva)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (scope == KVM_TLB_GVA) {
		unsigned long flags;

		/* without a current ASID here there is nothing to forget */
		local_irq_save(flags);
		if (svm->asid_generation == this_cpu_read(svm_cpu.generation) &&
		    svm->loaded_cpu == smp_processor_id() &&
		    this_cpu_read(svm_cpu.enabled))
			asm volatile("invlpga %0, %1"
				     : : "a" (gva), "c" (c->asid) : "memory");
		local_irq_restore(flags);
		return;
	}

	if (svm_feat.flush_by_asid) {
		if (c->tlb_ctl == TLB_CONTROL_DO_NOTHING)
			c->tlb_ctl = TLB_CONTROL_FLUSH_ASID;
	} else {
		svm->asid_generation = 0;
	}
}

/**
 * svm_forget_vmcb() - a VMCB is freed and its address may come back as another
 * @vmcb: the VMCB
 */
void svm_forget_vmcb(struct vmcb *vmcb)
{
	int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(per_cpu_ptr(&svm_cpu.last_vmcb, cpu), vmcb, NULL);
}

/**
 * svm_vcpu_load() - the vCPU is to run on this CPU
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption off
 */
void svm_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc = per_cpu_ptr(&svm_cpu, cpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (svm->loaded_cpu != cpu) {
		/* another CPU may have an old copy of the VMCB in its cache */
		c->clean = 0;
		svm->asid_generation = 0;
		svm->loaded_cpu = cpu;
	}

	if (sc->last_vmcb != svm->vmcb) {
		sc->last_vmcb = svm->vmcb;
		indirect_branch_prediction_barrier();
	}

	/* the guest did not run for a while: its PAUSEs are no sign of spinning */
	if (vcpu->scheduled_out && svm_feat.pause_filter && !vcpu->arch.guest_mode &&
	    svm_intercepted(svm, INTERCEPT_PAUSE)) {
		u32 count = svm_pause_filter_count_shrink ?
			c->pause_filter_count / svm_pause_filter_count_shrink : 0;

		count = max_t(u32, count, svm_pause_filter_count);
		if (count != c->pause_filter_count) {
			c->pause_filter_count = count;
			svm_mark_dirty(svm, SVM_CLEAN_INTERCEPTS);
		}
	}
}

/**
 * svm_prepare_switch() - save what of the host's state VMEXIT does not restore
 * @svm: the vCPU; preemption off
 *
 * Once for each load: until the next one, nothing of it changes but the LDT.
 */
void svm_prepare_switch(struct svm_vcpu *svm)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpu);

	svm->run.host_pa = sc->host_vmcb_pa;
	store_ldt(svm->saved_ldt);

	/* #UD when SVM was taken away (reboot): CLGI will tell */
	asm goto("1: vmsave %%rax\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : "a" (sc->host_vmcb_pa) : "memory" : fault);
fault:
	if (svm_feat.tsc_scaling && sc->tsc_ratio != svm->tsc_ratio) {
		wrmsrq(MSR_AMD64_TSC_RATIO, svm->tsc_ratio);
		sc->tsc_ratio = svm->tsc_ratio;
	}
	svm->host_saved = true;
}

/**
 * svm_vcpu_put() - the vCPU leaves this CPU
 * @vcpu: the vCPU; preemption off
 */
void svm_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->host_saved)
		return;
	svm->host_saved = false;
	vcpu->stat.host_state_reload++;
}
