// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX and a physical CPU: VMXON and VMXOFF, which VMCSs the CPU holds, and what
 * follows a vCPU from one CPU to another.
 *
 * Intel SDM vol. 3, 24.7 (VMXON), 25.11 (use of VMCS regions), 29.4 (caching of
 * translations). A CPU may keep parts of any VMCS that was loaded on it, so
 * before another CPU loads it, or its memory goes, it is cleared there; each CPU
 * has a list of those. An exit does not restore all of the host's state: the
 * rest is saved by prepare_switch() and restored when the vCPU is put.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <asm/cpu_entry_area.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/io.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/tlbflush.h>

#include "arch/x86/vmx/vmx.h"
#include "module/compat/virt.h"

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);

const u32 vmx_syscall_msrs[VMX_NR_SYSCALL_MSRS] = {
	[VMX_MSR_STAR] = MSR_STAR,
	[VMX_MSR_LSTAR] = MSR_LSTAR,
	[VMX_MSR_SFMASK] = MSR_SYSCALL_MASK,
};

/* ---- regions ---------------------------------------------------------------------- */

/**
 * vmx_alloc_region() - memory for VMXON or a VMCS
 * @node: NUMA node, or NUMA_NO_NODE
 *
 * Return: the region, with its revision, or NULL.
 */
struct vmx_region *vmx_alloc_region(int node)
{
	struct page *page = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
	struct vmx_region *r;

	if (!page)
		return NULL;
	r = page_address(page);
	r->revision = vmx_caps.revision;
	return r;
}

/**
 * vmx_free_region() - free it; no CPU holds it
 * @r: the region, or NULL
 */
void vmx_free_region(struct vmx_region *r)
{
	free_page((unsigned long)r);
}

/**
 * vmx_cpu_alloc_all() - what every possible CPU needs
 *
 * Return: 0 or -ENOMEM; then vmx_cpu_free_all() still has to be called.
 */
int vmx_cpu_alloc_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpu, cpu);

		INIT_LIST_HEAD(&vc->loaded);
		vc->vmxon = vmx_alloc_region(cpu_to_node(cpu));
		if (!vc->vmxon)
			return -ENOMEM;
	}
	return 0;
}

/**
 * vmx_cpu_free_all() - free it; VMX is off on every CPU
 */
void vmx_cpu_free_all(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpu, cpu);

		vmx_free_region(vc->vmxon);
		vc->vmxon = NULL;
	}
}

/* ---- instructions ----------------------------------------------------------- */

/* None may fail; when VMX was taken away (reboot) they fault, and nothing matters any more. */
static void vmcs_clear(struct vmx_region *r)
{
	u64 pa = __pa(r);

	asm volatile("1: vmclear %0\n2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (pa) : "cc", "memory");
}

static void vmcs_load(struct vmx_region *r)
{
	u64 pa = __pa(r);

	asm volatile("1: vmptrld %0\n2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (pa) : "cc", "memory");
}

static void ept_invalidate(unsigned long type, u64 eptp)
{
	struct {
		u64 eptp, reserved;
	} what = { eptp, 0 };

	asm volatile("1: invept %0, %1\n2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (what), "r" (type) : "cc", "memory");
}

static void vpid_invalidate(unsigned long type, u16 vpid, gva_t gva)
{
	struct {
		u64 vpid, gva;
	} what = { vpid, gva };

	asm volatile("1: invvpid %0, %1\n2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (what), "r" (type) : "cc", "memory");
}

void vmcs_write_error(unsigned long field, unsigned long value)
{
	pr_err_ratelimited("kvm_intel: VMWRITE of %lx to field %lx failed, error %lu\n",
			   value, field, vmcs_read(VM_INSTRUCTION_ERROR));
}

/* ---- on and off --------------------------------------------------------------- */

/**
 * vmx_check_cpu() - does this CPU have what the boot CPU has, and is it free
 *
 * The caller says in the log what is returned.
 *
 * Return: 0; -EIO when VMX or something in use is missing here or differs; -EBUSY
 * when another hypervisor has it.
 */
int vmx_check_cpu(void)
{
	struct vmx_caps caps;
	u64 fc;

	if (!(cpuid_ecx(1) & BIT(5)) || rdmsrq_safe(MSR_IA32_FEAT_CTL, &fc) ||
	    !(fc & FEAT_CTL_LOCKED) || !(fc & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX) ||
	    vmx_read_caps(&caps) || memcmp(&caps, &vmx_caps, sizeof(caps)))
		return -EIO;
	return !this_cpu_read(vmx_cpu.enabled) && kvm_vmx_is_taken() ? -EBUSY : 0;
}

/**
 * vmx_enable_cpu() - VMXON on this CPU; interrupts off
 *
 * Return: 0, -EBUSY when another hypervisor has set CR4.VMXE already, -EIO when
 * VMXON fails.
 */
int vmx_enable_cpu(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpu);
	int r = kvm_vmx_get(__pa(vc->vmxon));

	if (r)
		return r;
	/* of whoever was here before, or of us before a suspend */
	if (vmx_feat.ept)
		ept_invalidate(VMX_EPT_EXTENT_GLOBAL, 0);
	if (vmx_feat.vpid)
		vpid_invalidate(VMX_VPID_EXTENT_ALL_CONTEXT, 0, 0);
	vc->current_vmcs = NULL;
	vc->enabled = true;
	return 0;
}

static void clear_on_this_cpu(void *arg)
{
	struct vmx_vcpu *v = arg;
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpu);

	if (v->loaded_cpu != smp_processor_id())
		return;		/* the CPU went offline, or was asked twice */
	vmcs_clear(v->vmcs);
	if (vc->current_vmcs == v->vmcs)
		vc->current_vmcs = NULL;
	list_del(&v->on_cpu);
	v->run.sw.flags &= ~BIT(VMX_RUN_LAUNCHED_BIT);
	/* before the new CPU may load it */
	smp_store_release(&v->loaded_cpu, -1);
}

/**
 * vmx_release_vmcs() - have no CPU hold the VMCS
 * @v: the vCPU, not running; the caller may be on any CPU
 */
void vmx_release_vmcs(struct vmx_vcpu *v)
{
	int cpu = READ_ONCE(v->loaded_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_on_this_cpu, v, 1);
}

/**
 * vmx_disable_cpu() - VMXOFF on this CPU; interrupts off
 *
 * Harmless where VMX was not taken.
 */
void vmx_disable_cpu(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpu);
	struct vmx_vcpu *v, *next;

	if (!vc->enabled)
		return;
	list_for_each_entry_safe(v, next, &vc->loaded, on_cpu)
		clear_on_this_cpu(v);
	if (vmx_feat.device_posting)
		vmx_posting_cpu_down();
	vc->enabled = false;
	kvm_vmx_put();
}

/**
 * vmx_emergency_disable() - the host crashes or reboots: INIT must get through
 *
 * Called on each CPU, possibly from NMI; nothing may be waited for, and a list
 * may be in the middle of a change. A VMCS whose cached parts are written back
 * after the memory is somebody else's would corrupt it: what can be, is cleared.
 */
void vmx_emergency_disable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpu);
	struct vmx_vcpu *v;

	if (!vc->enabled)
		return;
	list_for_each_entry(v, &vc->loaded, on_cpu)
		vmcs_clear(v->vmcs);
	kvm_vmx_emergency_off();
}

/* ---- VPIDs and flushes ------------------------------------------------------- */

static DECLARE_BITMAP(vpids, VMX_NR_VPIDS) = { 1 };	/* 0 is the host's */
static DEFINE_SPINLOCK(vpid_lock);

/**
 * vmx_alloc_vpid() - a virtual-processor identifier
 *
 * Return: 1 to 65535; 0 when there is none: then each entry flushes.
 */
u16 vmx_alloc_vpid(void)
{
	unsigned long vpid;

	if (!vmx_feat.vpid)
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_first_zero_bit(vpids, VMX_NR_VPIDS);
	if (vpid < VMX_NR_VPIDS)
		__set_bit(vpid, vpids);
	else
		vpid = 0;
	spin_unlock(&vpid_lock);
	return vpid;
}

/**
 * vmx_free_vpid() - give it back
 * @vpid: from vmx_alloc_vpid()
 *
 * Its next owner flushes before its first entry on each CPU.
 */
void vmx_free_vpid(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(vpid, vpids);
	spin_unlock(&vpid_lock);
}

/**
 * vmx_flush_tlb() - forget translations of this vCPU
 * @vcpu: the vCPU, loaded
 * @scope: all, what the guest could flush, or one address
 * @gva: linear address for KVM_TLB_GVA
 */
void vmx_flush_tlb(struct kvm_vcpu *vcpu, enum kvm_tlb_scope scope, gva_t gva)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	switch (scope) {
	case KVM_TLB_ALL:
		v->flush_all = true;
		break;
	case KVM_TLB_GVA:
		/* an address that is not canonical would make it fail, and is mapped nowhere */
		if (v->vpid && vmx_caps.invvpid_addr && !v->flush_guest) {
			preempt_disable();
			if ((s64)(gva << 16) >> 16 == (s64)gva)
				vpid_invalidate(VMX_VPID_EXTENT_INDIVIDUAL_ADDR, v->vpid, gva);
			preempt_enable();
			break;
		}
		fallthrough;
	case KVM_TLB_GUEST:
		v->flush_guest = true;
		break;
	}
}

/**
 * vmx_flush_now() - carry out what was asked for
 * @v: the vCPU, about to enter; interrupts off
 */
void vmx_flush_now(struct vmx_vcpu *v)
{
	if (v->flush_all && vmx_feat.ept) {
		if (vmx_caps.invept_context)
			ept_invalidate(VMX_EPT_EXTENT_CONTEXT, v->eptp);
		else
			ept_invalidate(VMX_EPT_EXTENT_GLOBAL, 0);
	}
	/* without a VPID an entry flushes by itself */
	if (v->vpid)
		vpid_invalidate(VMX_VPID_EXTENT_SINGLE_CONTEXT, v->vpid, 0);
	v->flush_all = false;
	v->flush_guest = false;
}

/* ---- load, switch, put ---------------------------------------------------------- */

/* What of the host's state differs between CPUs. */
static void write_host_cpu_state(int cpu)
{
	unsigned long val;

	vmcs_write(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_write(HOST_GDTR_BASE, (unsigned long)get_cpu_gdt_ro(cpu));
	rdmsrq(MSR_GS_BASE, val);
	vmcs_write(HOST_GS_BASE, val);
	if (IS_ENABLED(CONFIG_IA32_EMULATION)) {
		rdmsrq(MSR_IA32_SYSENTER_ESP, val);
		vmcs_write(HOST_IA32_SYSENTER_ESP, val);
	}
}

/**
 * vmx_vcpu_load() - the vCPU is to run on this CPU
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption off
 */
void vmx_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpu, cpu);
	bool moved = READ_ONCE(v->loaded_cpu) != cpu;
	unsigned long flags;

	if (moved) {
		vmx_release_vmcs(v);
		/* after the old CPU's VMCLEAR */
		while (smp_load_acquire(&v->loaded_cpu) != -1)
			cpu_relax();
		local_irq_save(flags);
		v->loaded_cpu = cpu;
		list_add(&v->on_cpu, &vc->loaded);
		local_irq_restore(flags);
	}
	if (vc->current_vmcs != v->vmcs) {
		/* an interrupt may clear another vCPU's VMCS in between */
		local_irq_save(flags);
		vc->current_vmcs = v->vmcs;
		vmcs_load(v->vmcs);
		local_irq_restore(flags);
		indirect_branch_prediction_barrier();
	}
	if (moved) {
		write_host_cpu_state(cpu);
		/* what this CPU knows of the VM may be from long ago */
		v->flush_all = true;
	}
	v->host_debugctl = get_debugctlmsr();
	if (unlikely(vmx_feat.device_posting))
		vmx_posting_load(v, cpu);

	if (vcpu->scheduled_out && vmx_feat.ple) {
		unsigned int w = vmx_ple_window_shrink ? v->ple_window / vmx_ple_window_shrink : 0;

		w = max(w, vmx_ple_window);
		if (w != v->ple_window) {
			v->ple_window = w;
			vmcs_write(PLE_WINDOW, w);
		}
	}
}

static void write_syscall_msrs(const u64 *to, const u64 *from)
{
	int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		if (to[i] != from[i])
			wrmsrq(vmx_syscall_msrs[i], to[i]);
}

/**
 * vmx_load_syscall_msrs() - give the CPU the guest's, once the guest uses SYSCALL
 * @v: the vCPU; preemption off
 */
void vmx_load_syscall_msrs(struct vmx_vcpu *v)
{
	if (v->syscall_loaded || !(v->vcpu->arch.efer & EFER_SCE))
		return;
	write_syscall_msrs(v->syscall_msr, vmx_feat.host_syscall_msr);
	v->syscall_loaded = true;
}

/**
 * vmx_prepare_switch() - save what of the host's state an exit does not restore
 * @v: the vCPU; preemption off
 *
 * Once for each load. The kernel itself uses none of it.
 */
void vmx_prepare_switch(struct vmx_vcpu *v)
{
	unsigned long base;

	/* an exit loads null selectors, and the bases from the VMCS */
	savesegment(fs, v->host_fs);
	savesegment(gs, v->host_gs);
	savesegment(ds, v->host_ds);
	savesegment(es, v->host_es);
	rdmsrq(MSR_FS_BASE, base);
	if (base != v->host_fs_base) {
		v->host_fs_base = base;
		vmcs_write(HOST_FS_BASE, base);
	}
	rdmsrq(MSR_KERNEL_GS_BASE, v->host_kernel_gs);
	wrmsrq(MSR_KERNEL_GS_BASE, v->kernel_gs);
	v->host_saved = true;
	vmx_load_syscall_msrs(v);
}

/**
 * vmx_vcpu_put() - the vCPU leaves this CPU
 * @vcpu: the vCPU; preemption off
 */
void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (unlikely(vmx_feat.device_posting))
		vmx_posting_put(v);
	if (!v->host_saved)
		return;
	v->host_saved = false;
	vcpu->stat.host_state_reload++;

	rdmsrq(MSR_KERNEL_GS_BASE, v->kernel_gs);
	if (v->host_fs)
		loadsegment(fs, v->host_fs);
	if (v->host_gs)
		load_gs_index(v->host_gs);
	if (v->host_fs)
		wrmsrq(MSR_FS_BASE, v->host_fs_base);
	if (v->host_ds | v->host_es) {
		loadsegment(ds, v->host_ds);
		loadsegment(es, v->host_es);
	}
	wrmsrq(MSR_KERNEL_GS_BASE, v->host_kernel_gs);
	if (v->syscall_loaded) {
		write_syscall_msrs(vmx_feat.host_syscall_msr, v->syscall_msr);
		v->syscall_loaded = false;
	}
	/* an exit leaves the limits of TSS and GDT at 0x67 and 0xffff */
	invalidate_tss_limit();
	load_fixmap_gdt(smp_processor_id());
}
