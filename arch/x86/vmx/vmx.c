// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-intel.ko: what the administrator wants, and the table of operations that
 * common code calls.
 */
#include <linux/cc_platform.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <asm/cpu_device_id.h>
#include <asm/irq_remapping.h>
#include <asm/mtrr.h>
#include <asm/processor.h>
#include <asm/spec-ctrl.h>

#include "arch/x86/vmx/nested.h"
#include "module/compat/virt.h"

#define pr_prefix "kvm_intel: "

bool vmx_want_ept = true;
module_param_named(ept, vmx_want_ept, bool, 0444);
MODULE_PARM_DESC(ept, "Extended page tables (default: on; off or without: shadow paging)");

static bool unrestricted_guest = true;
module_param(unrestricted_guest, bool, 0444);
MODULE_PARM_DESC(unrestricted_guest, "Real mode on the CPU (default: on; off or without: virtual-8086 mode and emulation)");

bool vmx_emulate_invalid = true;
module_param_named(emulate_invalid_guest_state, vmx_emulate_invalid, bool, 0444);
MODULE_PARM_DESC(emulate_invalid_guest_state, "Without unrestricted guest: emulate what the CPU does not run (default: on; off: segments of real mode are forced into what it runs)");

static bool eptad = true;
module_param(eptad, bool, 0444);
MODULE_PARM_DESC(eptad, "Accessed and dirty bits of EPT entries (default: on)");

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "The CPU logs which pages it writes, for the dirty log (default: on)");

static bool preemption_timer = true;
module_param(preemption_timer, bool, 0444);
MODULE_PARM_DESC(preemption_timer, "The guest's APIC timer ends the guest by itself (default: on; off: by the host's timer)");

static bool vpid = true;
module_param(vpid, bool, 0444);
MODULE_PARM_DESC(vpid, "Tag translations with the vCPU that they are for (default: on)");

static bool flexpriority = true;
module_param(flexpriority, bool, 0444);
MODULE_PARM_DESC(flexpriority, "The CPU tells accesses to the APIC's registers apart (default: on)");

static bool enable_apicv = true;
module_param(enable_apicv, bool, 0444);
MODULE_PARM_DESC(enable_apicv, "The CPU itself delivers interrupts to guests and ends them (default: on)");

static bool enable_device_posted_irqs = true;
module_param(enable_device_posted_irqs, bool, 0444);
MODULE_PARM_DESC(enable_device_posted_irqs, "Interrupts of assigned devices go to guests by themselves, where the IOMMU can (default: on)");

#ifdef KVM_OOT_DEBUG
static bool posting_without_iommu;
module_param(posting_without_iommu, bool, 0444);
MODULE_PARM_DESC(posting_without_iommu, "For tests: something else than an IOMMU posts");
#else
#define posting_without_iommu	false
#endif

unsigned int vmx_ple_gap = 128;
module_param_named(ple_gap, vmx_ple_gap, uint, 0444);
MODULE_PARM_DESC(ple_gap, "Cycles between two PAUSEs that still belong to one loop (0: no PAUSE exits)");

unsigned int vmx_ple_window = 4096;
module_param_named(ple_window, vmx_ple_window, uint, 0444);
MODULE_PARM_DESC(ple_window, "Cycles that a loop of PAUSEs may take before the guest exits");

unsigned int vmx_ple_window_grow = 2;
module_param_named(ple_window_grow, vmx_ple_window_grow, uint, 0444);
MODULE_PARM_DESC(ple_window_grow, "Factor by which the window grows with each PAUSE exit");

unsigned int vmx_ple_window_shrink;
module_param_named(ple_window_shrink, vmx_ple_window_shrink, uint, 0444);
MODULE_PARM_DESC(ple_window_shrink, "Divisor of the window when the vCPU was scheduled out (0: back to the start)");

unsigned int vmx_ple_window_max = UINT_MAX;
module_param_named(ple_window_max, vmx_ple_window_max, uint, 0444);
MODULE_PARM_DESC(ple_window_max, "Largest window");

static bool vnmi = true;
module_param(vnmi, bool, 0444);
MODULE_PARM_DESC(vnmi, "NMIs masked by the CPU (default: on; off or without: an NMI counts as handled when interrupts open)");

static bool nested;
module_param(nested, bool, 0444);
MODULE_PARM_DESC(nested, "Guests have VMX, without EPT, for guests of their own (default: off)");

unsigned int vmx_hide_controls[VMX_NR_CONTROLS];
module_param_array_named(hide_controls, vmx_hide_controls, uint, NULL, 0444);
MODULE_PARM_DESC(hide_controls, "For tests: controls to do without: pin-based, processor-based, secondary, exit, entry");

bool vmx_dump_invalid_vmcs;
module_param_named(dump_invalid_vmcs, vmx_dump_invalid_vmcs, bool, 0644);
MODULE_PARM_DESC(dump_invalid_vmcs, "Log the VMCS when the CPU refuses it (default: off)");

struct vmx_features vmx_feat __ro_after_init;

static struct kvm_backend_ops vmx_ops __initdata = {
	.name			= "Intel VMX",
	.owner			= THIS_MODULE,
	.exit_reason_isa	= KVM_OOT_ISA_VMX,
	.hypercall_insn		= { 0x0f, 0x01, 0xc1 },	/* VMCALL */

	.enable_cpu		= vmx_enable_cpu,
	.disable_cpu		= vmx_disable_cpu,
	.check_cpu		= vmx_check_cpu,
	.vcpu_create		= vmx_vcpu_create,
	.vcpu_free		= vmx_vcpu_free,
	.vcpu_reset		= vmx_vcpu_reset,
	.vcpu_load		= vmx_vcpu_load,
	.vcpu_put		= vmx_vcpu_put,
	.update_config		= vmx_update_config,
	.enter			= vmx_enter,
	.cache_reg		= vmx_cache_reg,
	.get_segment		= vmx_get_segment,
	.set_segment		= vmx_set_segment,
	.get_cpl		= vmx_get_cpl,
	.is_64_bit_code		= vmx_is_64_bit_code,
	.set_cr0		= vmx_set_cr0,
	.set_cr4		= vmx_set_cr4,
	.set_efer		= vmx_set_efer,
	.load_root		= vmx_load_root,
	.sync_debugregs		= vmx_sync_debugregs,
	.update_intercepts	= vmx_update_intercepts,
	.inject			= vmx_inject,
	.cancel_injection	= vmx_cancel_injection,
	.get_blocking		= vmx_get_blocking,
	.set_blocking		= vmx_set_blocking,
	.request_window		= vmx_request_window,
	.update_cr8_intercept	= vmx_update_cr8_intercept,
	.apic_changed		= vmx_apic_changed,
	.post_intr		= vmx_post_intr,
	.sync_irr		= vmx_sync_irr,
	.device_posts		= vmx_device_posts,
	.flush_tlb		= vmx_flush_tlb,
	.get_msr		= vmx_get_msr,
	.set_msr		= vmx_set_msr,
	.get_feature_msr	= vmx_get_feature_msr,
	.write_tsc		= vmx_write_tsc,
	.virt_insn		= vmx_virt_insn,
	.nested_exit		= vmx_nested_exit,
	.nested_event		= vmx_nested_event,
	.nested_insn		= vmx_nested_insn,
	.nested_leave		= vmx_nested_leave,
	.nested_pages		= vmx_nested_pages,
	.nested_smi		= vmx_nested_smi,
	.nested_rsm		= vmx_nested_rsm,
	.get_nested_state	= vmx_get_nested_state,
	.set_nested_state	= vmx_set_nested_state,
};

static void __init detect_features(void)
{
	int i;

	vmx_feat.ept = vmx_caps.cpu2 & SECONDARY_EXEC_ENABLE_EPT;
	/* what the parameters then say is what is used */
	vmx_want_ept = vmx_feat.ept;
	vmx_feat.unrestricted = unrestricted_guest &&
				(vmx_caps.cpu2 & SECONDARY_EXEC_UNRESTRICTED_GUEST);
	vmx_feat.vnmi = vnmi && (vmx_caps.pin & PIN_BASED_VIRTUAL_NMIS);
	vmx_feat.efer_switch = vmx_caps.entry & VM_ENTRY_LOAD_IA32_EFER;
	vmx_feat.perf_switches = vmx_pmu_switched();
	vmx_feat.vpid = vpid && (vmx_caps.cpu2 & SECONDARY_EXEC_ENABLE_VPID);
	vmx_feat.ept_ad = eptad && vmx_caps.ept_ad;
	vmx_feat.pml = pml && vmx_feat.ept_ad && (vmx_caps.cpu2 & SECONDARY_EXEC_ENABLE_PML);
	unrestricted_guest = vmx_feat.unrestricted;
	vpid = vmx_feat.vpid;
	eptad = vmx_feat.ept_ad;
	pml = vmx_feat.pml;
	vmx_feat.preemption_timer = preemption_timer && vmx_preemption_timer_usable();
	vmx_feat.tpr_shadow = vmx_caps.cpu & CPU_BASED_TPR_SHADOW;
	/* its page is mapped by EPT, at an address of the guest's */
	flexpriority = flexpriority && vmx_feat.tpr_shadow && vmx_feat.ept &&
		       (vmx_caps.cpu2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES);
	vmx_feat.apic_page = flexpriority;
	vmx_feat.x2apic_mode = vmx_feat.tpr_shadow &&
			       (vmx_caps.cpu2 & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE);
	/* what the CPU delivers by itself in virtual-8086 mode goes to the wrong table */
	enable_apicv = enable_apicv && vmx_feat.tpr_shadow && vmx_feat.unrestricted &&
		       (vmx_caps.cpu2 & SECONDARY_EXEC_APIC_REGISTER_VIRT) &&
		       (vmx_caps.cpu2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) &&
		       (vmx_caps.pin & PIN_BASED_POSTED_INTR);
	vmx_feat.apicv = enable_apicv;
	enable_device_posted_irqs = enable_device_posted_irqs && enable_apicv &&
				    (irq_remapping_cap(IRQ_POSTING_CAP) || posting_without_iommu);
	vmx_feat.device_posting = enable_device_posted_irqs;
	vmx_feat.tsc_scaling = vmx_caps.cpu2 & SECONDARY_EXEC_TSC_SCALING;
	vmx_feat.ple = vmx_ple_gap && (vmx_caps.cpu2 & SECONDARY_EXEC_PAUSE_LOOP_EXITING);
	vmx_feat.pat_switch = vmx_caps.entry & VM_ENTRY_LOAD_IA32_PAT;

	rdmsrq(MSR_EFER, vmx_feat.host_efer);
	if (vmx_feat.pat_switch)
		rdmsrq(MSR_IA32_CR_PAT, vmx_feat.host_pat);
	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		rdmsrq(vmx_syscall_msrs[i], vmx_feat.host_syscall_msr[i]);

	/* instructions and registers that need a control which this CPU has not */
	if (!(vmx_caps.cpu2 & SECONDARY_EXEC_ENABLE_RDTSCP)) {
		kvm_cpuid_clear_cap(X86_FEATURE_RDTSCP);
		kvm_cpuid_clear_cap(X86_FEATURE_RDPID);
	}
	if (!(vmx_caps.cpu2 & SECONDARY_EXEC_ENABLE_INVPCID))
		kvm_cpuid_clear_cap(X86_FEATURE_INVPCID);
	if (!(vmx_caps.cpu2 & VMX_CPU2_XSAVES))
		kvm_cpuid_clear_cap(X86_FEATURE_XSAVES);
	/*
	 * Exits for SGDT, SIDT, SLDT and STR do for UMIP, but for SMSW, which tells what is in
	 * a CR0 that is the same for all.
	 */
	vmx_feat.umip_by_exits = !boot_cpu_has(X86_FEATURE_UMIP) &&
				 (vmx_caps.cpu2 & SECONDARY_EXEC_DESC);
	if (vmx_feat.umip_by_exits)
		kvm_cpuid_set_cap(X86_FEATURE_UMIP);
	if (nested)
		kvm_cpuid_set_cap(X86_FEATURE_VMX);
	else
		kvm_cpuid_clear_cap(X86_FEATURE_VMX);
	/* a register of Intel's: there for guests even where the CPU has none */
	kvm_cpuid_set_cap(X86_FEATURE_ARCH_CAPABILITIES);
}

static int __init configure_mmu(void)
{
	struct kvm_tdp_format format = {
		.accessed = vmx_feat.ept_ad ? VMX_EPT_ACCESS_BIT : 0,
		.dirty = vmx_feat.ept_ad ? VMX_EPT_DIRTY_BIT : 0,
		.cpu_logs_dirty = vmx_feat.pml ? VMX_PML_ENTRIES : 0,
		.exec = VMX_EPT_EXECUTABLE_MASK,
		.ram = (u64)MTRR_TYPE_WRBACK << VMX_EPT_MT_EPTE_SHIFT,
		.ignore_pat = VMX_EPT_IPAT_BIT,
		.io = (u64)MTRR_TYPE_UNCACHABLE << VMX_EPT_MT_EPTE_SHIFT,
		/*
		 * SDM 29.3.3.1: writable and not readable is a misconfiguration. CPUs give the
		 * instruction's length, which no manual promises, so hypervisors may not.
		 */
		.doorbell = boot_cpu_has(X86_FEATURE_HYPERVISOR) ? 0 : VMX_EPT_WRITABLE_MASK,
	};
	int levels = vmx_caps.ept_5level && boot_cpu_data.x86_phys_bits > 48 ? 5 : 4;
	int r;

	if (vmx_feat.ept)
		r = kvm_mmu_configure(true, levels, vmx_caps.ept_max_level, &format);
	else
		r = kvm_mmu_configure(false, 0, boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2, NULL);
	if (r && !vmx_feat.ept)
		pr_err(pr_prefix "shadow paging needs NX, and no memory encryption\n");
	else if (r)
		pr_err(pr_prefix "the memory manager refuses the configuration (%d)\n", r);
	return r;
}

static int __init vmx_init(void)
{
	int r = vmx_check_support();

	if (r)
		return r;
	if (kvm_vmx_unsupported_host()) {
		pr_err(pr_prefix "this host takes interrupts by FRED, for which there is no NMI path here\n");
		return -EOPNOTSUPP;
	}
	detect_features();
	r = configure_mmu();
	if (r)
		return r;
	r = vmx_l1d_setup();
	if (r) {
		pr_err(pr_prefix "vmentry_l1d_flush: %d\n", r);
		return r;
	}
	r = vmx_cpu_alloc_all();
	if (r)
		goto out;

	vmx_ops.tdp = vmx_feat.ept;
	vmx_ops.wbinvd_exits = vmx_caps.cpu2 & SECONDARY_EXEC_WBINVD_EXITING;
	vmx_ops.pat_is_guests = vmx_feat.pat_switch;
	/* two types of one frame need self-snoop: SDM vol. 3, "Programming the PAT" */
	vmx_ops.ignores_guest_pat = !boot_cpu_has(X86_FEATURE_SELFSNOOP);
	vmx_ops.guest_timer = vmx_feat.preemption_timer;
	vmx_ops.real_mode_pages = !vmx_feat.unrestricted;
	vmx_ops.has_tsc_aux = (vmx_caps.cpu2 & SECONDARY_EXEC_ENABLE_RDTSCP) &&
			      (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID));
	vmx_ops.switches_pmu = vmx_feat.perf_switches;
	vmx_ops.apic_page = vmx_feat.apic_page;
	vmx_ops.posts_intr = vmx_feat.apicv;
	vmx_ops.devices_post = vmx_feat.device_posting;
	vmx_ops.has_bus_lock_exit = vmx_caps.cpu2 & SECONDARY_EXEC_BUS_LOCK_DETECTION;
	vmx_ops.has_notify_exit = vmx_caps.cpu2 & SECONDARY_EXEC_NOTIFY_VM_EXITING;
	if (nested) {
		vmx_nested_caps_init();
		vmx_ops.nested = true;
		vmx_ops.nested_state_size = sizeof(struct kvm_nested_state) + sizeof(struct vmcs12);
	}
	if (vmx_feat.tsc_scaling) {
		vmx_ops.tsc_scaling_frac_bits = VMX_TSC_FRAC_BITS;
		vmx_ops.max_tsc_scaling_ratio = ~0ull;
	}
	vmx_posting_init();
	kvm_vmx_emergency_register(vmx_emergency_disable);
	r = kvm_x86_backend_init(&vmx_ops);
	if (!r) {
		vmx_debug_init();
		return 0;
	}
	kvm_vmx_emergency_unregister(vmx_emergency_disable);
	vmx_posting_exit();
out:
	vmx_cpu_free_all();
	vmx_l1d_teardown();
	return r;
}
module_init(vmx_init);

static void __exit vmx_exit(void)
{
	vmx_debug_exit();
	kvm_x86_backend_exit();
	kvm_vmx_emergency_unregister(vmx_emergency_disable);
	vmx_posting_exit();
	vmx_cpu_free_all();
	vmx_l1d_teardown();
}
module_exit(vmx_exit);

static const struct x86_cpu_id vmx_cpu_ids[] = {
	X86_MATCH_FEATURE(X86_FEATURE_VMX, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, vmx_cpu_ids);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Intel VMX for kvm-oot");
MODULE_LICENSE("GPL");
