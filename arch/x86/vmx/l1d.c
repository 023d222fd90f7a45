// SPDX-License-Identifier: GPL-2.0-only
/*
 * L1TF: a guest may read by speculation what the host left in the L1 data cache,
 * so it is flushed before entries (Documentation/admin-guide/hw-vuln/l1tf.rst).
 *
 * "always" is before each entry. "cond" is after what may have brought secrets into
 * the cache: the process was in user space, another task ran, an interrupt came (the
 * kernel notes that itself), an instruction was emulated. Not after an exit that was
 * answered by code which touches nothing but the VM's own state and the host's page
 * tables. Where the CPU has no command for it, as much memory as any such cache holds
 * is read instead.
 */
#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <asm/bugs.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "arch/x86/vmx/vmx.h"

#define FILL_ORDER	4	/* 64 KiB */

static char *vmentry_l1d_flush = "auto";
module_param(vmentry_l1d_flush, charp, 0444);
MODULE_PARM_DESC(vmentry_l1d_flush, "Flush the L1 data cache at entries: auto, never, cond or always (default: auto, as l1tf= says)");

DEFINE_STATIC_KEY_FALSE(vmx_l1d_should_flush);
static DEFINE_STATIC_KEY_FALSE(l1d_flush_always);
static unsigned long fill;

static enum vmx_l1d_flush_state by_kernel(void)
{
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return VMENTER_L1D_FLUSH_NEVER;
	case L1TF_MITIGATION_FULL_FORCE:
		return VMENTER_L1D_FLUSH_ALWAYS;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FLUSH:
	case L1TF_MITIGATION_FLUSH_NOSMT:
	case L1TF_MITIGATION_FLUSH_NOWARN:
	default:
		return VMENTER_L1D_FLUSH_COND;
	}
}

/**
 * vmx_l1d_setup() - decide whether to flush
 *
 * Return: 0; -EINVAL for an unknown value of the parameter; -ENOMEM.
 */
int vmx_l1d_setup(void)
{
	enum vmx_l1d_flush_state state;
	u64 caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF)) {
		l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_NOT_REQUIRED;
		return 0;
	}
	/* no table that a guest writes is walked */
	if (!vmx_feat.ept) {
		l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_EPT_DISABLED;
		return 0;
	}
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrq(MSR_IA32_ARCH_CAPABILITIES, caps);

	if (caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		state = VMENTER_L1D_FLUSH_NOT_REQUIRED;
	else if (!strcmp(vmentry_l1d_flush, "auto"))
		state = by_kernel();
	else if (!strcmp(vmentry_l1d_flush, "never"))
		state = VMENTER_L1D_FLUSH_NEVER;
	else if (!strcmp(vmentry_l1d_flush, "cond"))
		state = VMENTER_L1D_FLUSH_COND;
	else if (!strcmp(vmentry_l1d_flush, "always"))
		state = VMENTER_L1D_FLUSH_ALWAYS;
	else
		return -EINVAL;

	l1tf_vmx_mitigation = state;
	if (state == VMENTER_L1D_FLUSH_NEVER || state == VMENTER_L1D_FLUSH_NOT_REQUIRED)
		return 0;
	if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		fill = __get_free_pages(GFP_KERNEL, FILL_ORDER);
		if (!fill)
			return -ENOMEM;
		/* no page of it may be merged or be the zero page's twin */
		memset((void *)fill, 0x5a, PAGE_SIZE << FILL_ORDER);
	}
	if (state == VMENTER_L1D_FLUSH_ALWAYS)
		static_branch_enable(&l1d_flush_always);
	static_branch_enable(&vmx_l1d_should_flush);
	return 0;
}

/**
 * vmx_l1d_teardown() - nobody flushes any more
 */
void vmx_l1d_teardown(void)
{
	static_branch_disable(&vmx_l1d_should_flush);
	static_branch_disable(&l1d_flush_always);
	free_pages(fill, FILL_ORDER);
	fill = 0;
	l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_AUTO;
}

/**
 * vmx_l1d_flush() - flush this CPU's L1 data cache if there is need to
 * @vcpu: the vCPU about to be entered; interrupts off
 */
void vmx_l1d_flush(struct kvm_vcpu *vcpu)
{
	unsigned long at;

	if (!static_branch_unlikely(&l1d_flush_always)) {
		if (!kvm_get_cpu_l1tf_flush_l1d())
			return;
		kvm_clear_cpu_l1tf_flush_l1d();
	}
	vcpu->stat.l1d_flush++;
	if (!fill) {
		wrmsrq(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* first the translations, so that walking the tables takes no cache line */
	for (at = 0; at < PAGE_SIZE << FILL_ORDER; at += PAGE_SIZE)
		READ_ONCE(*(u8 *)(fill + at));
	for (at = 0; at < PAGE_SIZE << FILL_ORDER; at += 64)
		READ_ONCE(*(u8 *)(fill + at));
	/* all of it was read before the guest runs */
	asm volatile("lfence" : : : "memory");
}
