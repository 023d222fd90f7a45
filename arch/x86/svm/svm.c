// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-amd.ko: what the CPU has, what the administrator wants, and the table of
 * operations that common code calls.
 *
 * AMD APM vol. 2, 15.4 (is SVM there, has the firmware disabled it), vol. 3,
 * appendix E.4.9 (CPUID 8000_000A).
 */
#include <linux/cc_platform.h>
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <asm/cpu_device_id.h>
#include <asm/processor.h>
#include <asm/spec-ctrl.h>

#include "arch/x86/svm/svm.h"
#include "module/compat/virt.h"

#define pr_prefix "kvm_amd: "

/* CPUID 8000_000A, EDX */
#define SVM_CPUID_NP		BIT(0)
#define SVM_CPUID_NRIPS		BIT(3)
#define SVM_CPUID_TSC_RATE	BIT(4)
#define SVM_CPUID_VMCB_CLEAN	BIT(5)
#define SVM_CPUID_FLUSH_ASID	BIT(6)
#define SVM_CPUID_DECODE	BIT(7)
#define SVM_CPUID_PAUSE		BIT(10)
#define SVM_CPUID_PAUSE_THRESH	BIT(12)
#define SVM_CPUID_V_SPEC_CTRL	BIT(20)
#define SVM_CPUID_BUS_LOCK	BIT(29)

static bool npt = true;
module_param(npt, bool, 0444);
MODULE_PARM_DESC(npt, "Nested paging (default: on; off or without: shadow paging)");

static bool nrips = true;
module_param(nrips, bool, 0444);
MODULE_PARM_DESC(nrips, "Use the next RIP that the CPU saves (default: on)");

/* AVIC is not used; programs ask whether it is */
static bool avic;
module_param(avic, bool, 0444);
MODULE_PARM_DESC(avic, "Whether the CPU delivers interrupts by itself (stays 0)");

static bool tsc_scaling = true;
module_param(tsc_scaling, bool, 0444);
MODULE_PARM_DESC(tsc_scaling, "Let guests have another TSC frequency than the host (default: on)");

static bool nested;
module_param(nested, bool, 0444);
MODULE_PARM_DESC(nested, "Guests may have SVM, without nested paging (default: off)");

bool svm_dump_invalid_vmcb;
module_param_named(dump_invalid_vmcb, svm_dump_invalid_vmcb, bool, 0644);
MODULE_PARM_DESC(dump_invalid_vmcb, "Log the VMCB when the CPU refuses it (default: off)");

unsigned short svm_pause_filter_thresh = 128;
module_param_named(pause_filter_thresh, svm_pause_filter_thresh, ushort, 0444);
MODULE_PARM_DESC(pause_filter_thresh, "Cycles between two PAUSEs that still belong to one loop (0: no filter)");

unsigned short svm_pause_filter_count = 3000;
module_param_named(pause_filter_count, svm_pause_filter_count, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count, "PAUSEs in a loop before the guest exits (0: no PAUSE exits)");

unsigned short svm_pause_filter_count_grow = 2;
module_param_named(pause_filter_count_grow, svm_pause_filter_count_grow, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count_grow, "Factor by which the count grows with each PAUSE exit");

unsigned short svm_pause_filter_count_shrink;
module_param_named(pause_filter_count_shrink, svm_pause_filter_count_shrink, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count_shrink, "Divisor of the count when the vCPU was scheduled out (0: back to the start)");

unsigned short svm_pause_filter_count_max = USHRT_MAX;
module_param_named(pause_filter_count_max, svm_pause_filter_count_max, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count_max, "Largest count");

struct svm_features svm_feat __ro_after_init;
struct page *svm_iopm __ro_after_init;

/* There is no AVIC yet: the LAPIC is software's alone, and the other three are not called. */
static void svm_apic_changed(struct kvm_vcpu *vcpu)
{
}

static void svm_post_intr(struct kvm_vcpu *vcpu, u8 vector)
{
}

static int svm_device_posts(int host_irq, struct kvm_vcpu *vcpu, u8 vector)
{
	return -EOPNOTSUPP;
}

static void svm_sync_irr(struct kvm_vcpu *vcpu)
{
}

static struct kvm_backend_ops svm_ops __initdata = {
	.name			= "AMD SVM",
	.owner			= THIS_MODULE,
	.exit_reason_isa	= KVM_OOT_ISA_SVM,
	.hypercall_insn		= { 0x0f, 0x01, 0xd9 },	/* VMMCALL */

	.enable_cpu		= svm_enable_cpu,
	.disable_cpu		= svm_disable_cpu,
	.check_cpu		= svm_check_cpu,
	.vcpu_create		= svm_vcpu_create,
	.vcpu_free		= svm_vcpu_free,
	.vcpu_reset		= svm_vcpu_reset,
	.vcpu_load		= svm_vcpu_load,
	.vcpu_put		= svm_vcpu_put,
	.update_config		= svm_update_config,
	.enter			= svm_enter,
	.cache_reg		= svm_cache_reg,
	.get_segment		= svm_get_segment,
	.set_segment		= svm_set_segment,
	.get_cpl		= svm_get_cpl,
	.is_64_bit_code		= svm_is_64_bit_code,
	.set_cr0		= svm_set_cr0,
	.set_cr4		= svm_set_cr4,
	.set_efer		= svm_set_efer,
	.load_root		= svm_load_root,
	.sync_debugregs		= svm_sync_debugregs,
	.update_intercepts	= svm_update_intercepts,
	.inject			= svm_inject,
	.cancel_injection	= svm_cancel_injection,
	.get_blocking		= svm_get_blocking,
	.set_blocking		= svm_set_blocking,
	.request_window		= svm_request_window,
	.update_cr8_intercept	= svm_update_cr8_intercept,
	.apic_changed		= svm_apic_changed,
	.post_intr		= svm_post_intr,
	.sync_irr		= svm_sync_irr,
	.device_posts		= svm_device_posts,
	.flush_tlb		= svm_flush_tlb,
	.get_msr		= svm_get_msr,
	.set_msr		= svm_set_msr,
	.get_feature_msr	= svm_get_feature_msr,
	.write_tsc		= svm_write_tsc,
	.virt_insn		= svm_virt_insn,
	.nested_exit		= svm_nested_exit,
	.nested_event		= svm_nested_event,
	.nested_insn		= svm_nested_insn,
	.nested_leave		= svm_nested_leave,
	.nested_pages		= svm_nested_pages,
	.nested_smi		= svm_nested_smi,
	.nested_rsm		= svm_nested_rsm,
	.get_nested_state	= svm_get_nested_state,
	.set_nested_state	= svm_set_nested_state,
};

/* Is there an SVM that may be used? One line in the log when not. */
static int __init svm_check_support(void)
{
	u64 vm_cr;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_AMD &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_HYGON) {
		pr_err(pr_prefix "not an AMD CPU: no SVM\n");
		return -EOPNOTSUPP;
	}
	/* the kernel's own flag may be gone for other reasons: ask the CPU */
	if (cpuid_eax(0x80000000) < SVM_CPUID_FUNC ||
	    !(cpuid_ecx(0x80000001) & BIT(2))) {
		pr_err(pr_prefix "this CPU has no SVM\n");
		return -EOPNOTSUPP;
	}
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT)) {
		pr_err(pr_prefix "cannot run inside an encrypted guest\n");
		return -EOPNOTSUPP;
	}
	if (rdmsrq_safe(MSR_VM_CR, &vm_cr)) {
		pr_err(pr_prefix "VM_CR cannot be read: SVM is not usable\n");
		return -EOPNOTSUPP;
	}
	if (vm_cr & SVM_VM_CR_SVM_DIS_MASK) {
		pr_err(pr_prefix "SVM is disabled by the firmware (VM_CR.SVMDIS)\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static void __init svm_detect_features(void)
{
	u32 edx = cpuid_edx(SVM_CPUID_FUNC), used = 0;

	/* what the parameter then says is what is used */
	npt = npt && (edx & SVM_CPUID_NP);
	svm_feat.npt = npt;
	if (avic)
		pr_warn(pr_prefix "AVIC is not supported\n");
	avic = false;
	svm_feat.nrips = nrips && (edx & SVM_CPUID_NRIPS);
	svm_feat.decode_assists = edx & SVM_CPUID_DECODE;
	svm_feat.flush_by_asid = edx & SVM_CPUID_FLUSH_ASID;
	svm_feat.clean_bits = edx & SVM_CPUID_VMCB_CLEAN;
	svm_feat.tsc_scaling = tsc_scaling && (edx & SVM_CPUID_TSC_RATE);
	svm_feat.v_spec_ctrl = edx & SVM_CPUID_V_SPEC_CTRL;
	svm_feat.bus_lock = edx & SVM_CPUID_BUS_LOCK;
	svm_feat.pause_filter = svm_pause_filter_count && (edx & SVM_CPUID_PAUSE);
	svm_feat.pause_threshold = svm_feat.pause_filter &&
				   svm_pause_filter_thresh &&
				   (edx & SVM_CPUID_PAUSE_THRESH);
	if (!svm_feat.pause_filter)
		svm_pause_filter_count = 0;
	if (!svm_feat.pause_threshold)
		svm_pause_filter_thresh = 0;

	/* the guest's MSR stands for LS_CFG, which differs between models */
	if (boot_cpu_has(X86_FEATURE_LS_CFG_SSBD))
		kvm_cpuid_set_cap(X86_FEATURE_VIRT_SSBD);

	/* what must be there on every other CPU, too */
	used |= svm_feat.npt ? SVM_CPUID_NP : 0;
	used |= svm_feat.nrips ? SVM_CPUID_NRIPS : 0;
	used |= svm_feat.decode_assists ? SVM_CPUID_DECODE : 0;
	used |= svm_feat.flush_by_asid ? SVM_CPUID_FLUSH_ASID : 0;
	used |= svm_feat.clean_bits ? SVM_CPUID_VMCB_CLEAN : 0;
	used |= svm_feat.tsc_scaling ? SVM_CPUID_TSC_RATE : 0;
	used |= svm_feat.v_spec_ctrl ? SVM_CPUID_V_SPEC_CTRL : 0;
	used |= svm_feat.bus_lock ? SVM_CPUID_BUS_LOCK : 0;
	used |= svm_feat.pause_filter ? SVM_CPUID_PAUSE : 0;
	used |= svm_feat.pause_threshold ? SVM_CPUID_PAUSE_THRESH : 0;
	svm_feat.cpuid_edx = used;
}

static int __init svm_configure_mmu(void)
{
	struct kvm_tdp_format format = {
		.accessed = SVM_NPT_ACCESSED,
		.dirty = SVM_NPT_DIRTY,
		.noexec = SVM_NPT_NX,
	};
	int r;

	/* nested tables have the form of the host's own */
	format.ram = __sme_set(0);
	r = kvm_mmu_configure(npt, pgtable_l5_enabled() ? 5 : 4,
			      boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2, &format);
	if (r && !npt)
		pr_err(pr_prefix "shadow paging needs NX, and no memory encryption\n");
	else if (r)
		pr_err(pr_prefix "the memory manager refuses the configuration (%d)\n",
		       r);
	return r;
}

static int __init svm_init(void)
{
	int r = svm_check_support();

	if (r)
		return r;
	svm_detect_features();
	r = svm_configure_mmu();
	if (r)
		return r;

	r = -ENOMEM;
	svm_iopm = alloc_pages(GFP_KERNEL, SVM_IOPM_ORDER);
	if (!svm_iopm)
		return r;
	/* every port is ours */
	memset(page_address(svm_iopm), 0xff, PAGE_SIZE << SVM_IOPM_ORDER);
	r = svm_cpu_alloc_all();
	if (r)
		goto out;

	svm_feat.nested = nested;
	if (nested) {
		kvm_cpuid_set_cap(X86_FEATURE_SVM);
		svm_ops.nested = true;
		svm_ops.nested_state_size = SVM_NESTED_STATE_SIZE;
		/* all are flushed at each entry; clean bits are not looked at */
		svm_ops.svm_edx = SVM_CPUID_VMCB_CLEAN | SVM_CPUID_FLUSH_ASID |
				  (svm_feat.nrips ? SVM_CPUID_NRIPS : 0);
	}
	svm_ops.tdp = svm_feat.npt;
	svm_ops.wbinvd_exits = true;
	svm_ops.switches_pmu = true;
	svm_ops.has_bus_lock_exit = svm_feat.bus_lock;
	svm_ops.virtual_spec_ctrl = svm_feat.v_spec_ctrl;
	svm_ops.has_tsc_aux = boot_cpu_has(X86_FEATURE_RDTSCP) ||
			      boot_cpu_has(X86_FEATURE_RDPID);
	if (svm_feat.tsc_scaling) {
		svm_ops.tsc_scaling_frac_bits = SVM_TSC_FRAC_BITS;
		svm_ops.max_tsc_scaling_ratio = SVM_TSC_RATIO_LIMIT;
	}
	kvm_emergency_register(svm_emergency_disable);
	r = kvm_x86_backend_init(&svm_ops);
	if (r)
		goto out_emergency;
	return 0;

out_emergency:
	kvm_emergency_unregister(svm_emergency_disable);
out:
	svm_cpu_free_all();
	__free_pages(svm_iopm, SVM_IOPM_ORDER);
	return r;
}
module_init(svm_init);

static void __exit svm_exit(void)
{
	kvm_x86_backend_exit();
	kvm_emergency_unregister(svm_emergency_disable);
	svm_cpu_free_all();
	__free_pages(svm_iopm, SVM_IOPM_ORDER);
}
module_exit(svm_exit);

static const struct x86_cpu_id svm_cpu_ids[] = {
	X86_MATCH_FEATURE(X86_FEATURE_SVM, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, svm_cpu_ids);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("AMD SVM for kvm-oot");
MODULE_LICENSE("GPL");
