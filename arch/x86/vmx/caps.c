// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a CPU's VMX can do, from its capability MSRs (Intel SDM vol. 3, appendix
 * A), and the controls chosen from it.
 *
 * vmx_read_caps() runs on each CPU; all must come to the same result as the boot
 * CPU, since a vCPU's VMCS is made once and runs on any of them.
 */
#include <asm/msr.h>
#include <asm/processor.h>

#include "arch/x86/vmx/vmx.h"

#define pr_prefix "kvm_intel: "

struct vmx_caps vmx_caps __ro_after_init;

static u32 choose(u32 msr, u32 want, u32 hide)
{
	u64 val;

	rdmsrq(msr, val);
	return vmx_choose(val, want & ~hide);
}

static bool has_all(u32 value, u32 bits)
{
	return (value & bits) == bits;
}

/* Nothing works without what is NEEDED; the rest of what is WANTED is used where it is. */
#define PIN_NEEDED	(PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING)
#define PIN_WANTED	(PIN_NEEDED | PIN_BASED_VIRTUAL_NMIS | PIN_BASED_VMX_PREEMPTION_TIMER | \
			 PIN_BASED_POSTED_INTR)
#define CPU_NEEDED	(CPU_BASED_HLT_EXITING | CPU_BASED_INVLPG_EXITING |		\
			 CPU_BASED_USE_TSC_OFFSETTING | CPU_BASED_MWAIT_EXITING |	\
			 CPU_BASED_RDPMC_EXITING | CPU_BASED_MOV_DR_EXITING |		\
			 CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS |	\
			 CPU_BASED_MONITOR_EXITING | CPU_BASED_CR8_LOAD_EXITING |	\
			 CPU_BASED_CR8_STORE_EXITING | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
#define CPU2_WANTED	(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST |	\
			 SECONDARY_EXEC_ENABLE_RDTSCP | SECONDARY_EXEC_ENABLE_VPID | \
			 SECONDARY_EXEC_WBINVD_EXITING | SECONDARY_EXEC_PAUSE_LOOP_EXITING | \
			 SECONDARY_EXEC_ENABLE_INVPCID | VMX_CPU2_XSAVES |	\
			 SECONDARY_EXEC_ENCLS_EXITING | SECONDARY_EXEC_TSC_SCALING |	\
			 SECONDARY_EXEC_ENABLE_PML | SECONDARY_EXEC_BUS_LOCK_DETECTION |	\
			 SECONDARY_EXEC_NOTIFY_VM_EXITING | SECONDARY_EXEC_DESC | VMX_APIC_CPU2)
#define EXIT_NEEDED	(VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_SAVE_DEBUG_CONTROLS | \
			 VM_EXIT_ACK_INTR_ON_EXIT)
#define EXIT_WANTED	(EXIT_NEEDED | VM_EXIT_LOAD_IA32_PAT | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY_NEEDED	VM_ENTRY_LOAD_DEBUG_CONTROLS
#define ENTRY_WANTED	(ENTRY_NEEDED | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)

/* Tables in write-back memory, four levels, and a way to flush. */
static bool ept_usable(u64 ept)
{
	return (ept & VMX_EPTP_WB_BIT) && (ept & VMX_EPT_PAGE_WALK_4_BIT) &&
	       (ept & VMX_EPT_INVEPT_BIT) && (ept & VMX_EPT_EXTENT_GLOBAL_BIT);
}

/**
 * vmx_read_caps() - read this CPU's capabilities and choose
 * @caps: filled
 *
 * Return: 0; -EIO when something that is needed is missing.
 */
int vmx_read_caps(struct vmx_caps *caps)
{
	u64 basic, ept = 0;
	const unsigned int *hide = vmx_hide_controls;
	bool true_ctls;

	memset(caps, 0, sizeof(*caps));
	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	/* a region of one page, in memory that is cached write-back */
	if (((basic >> 32) & 0x1fff) > PAGE_SIZE || ((basic >> 50) & 0xf) != 6)
		return -EIO;
	caps->revision = basic & GENMASK(30, 0);
	true_ctls = basic & BIT_ULL(55);

	caps->pin = choose(true_ctls ? MSR_IA32_VMX_TRUE_PINBASED_CTLS :
				       MSR_IA32_VMX_PINBASED_CTLS, PIN_WANTED, hide[0]);
	caps->cpu = choose(true_ctls ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS :
				       MSR_IA32_VMX_PROCBASED_CTLS,
			   CPU_NEEDED | CPU_BASED_TPR_SHADOW, hide[1]);
	if (!has_all(caps->pin, PIN_NEEDED) || !has_all(caps->cpu, CPU_NEEDED))
		return -EIO;
	caps->cpu2 = choose(MSR_IA32_VMX_PROCBASED_CTLS2, CPU2_WANTED, hide[2]);
	if (caps->cpu2 & (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID))
		rdmsrq(MSR_IA32_VMX_EPT_VPID_CAP, ept);
	/* with EPT CR3 is the guest's own, which the oldest CPUs do not let it be */
	if (!vmx_want_ept || !ept_usable(ept) ||
	    caps->cpu & (CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING))
		caps->cpu2 &= ~SECONDARY_EXEC_ENABLE_EPT;
	/* what needs EPT goes with it */
	if (!(caps->cpu2 & SECONDARY_EXEC_ENABLE_EPT)) {
		caps->cpu2 &= ~(SECONDARY_EXEC_UNRESTRICTED_GUEST | SECONDARY_EXEC_ENABLE_PML);
		ept &= ~(u64)U32_MAX;
	}
	caps->exit = choose(true_ctls ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS,
			    EXIT_WANTED, hide[3]);
	caps->entry = choose(true_ctls ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS,
			     ENTRY_WANTED, hide[4]);
	if (!has_all(caps->exit, EXIT_NEEDED) || !has_all(caps->entry, ENTRY_NEEDED))
		return -EIO;
	/* both ways or not at all: there are CPUs with one half of it */
	if (!(caps->exit & VM_EXIT_LOAD_IA32_EFER) || !(caps->entry & VM_ENTRY_LOAD_IA32_EFER)) {
		caps->exit &= ~VM_EXIT_LOAD_IA32_EFER;
		caps->entry &= ~VM_ENTRY_LOAD_IA32_EFER;
	}
	if (!(caps->exit & VM_EXIT_LOAD_IA32_PAT) || !(caps->entry & VM_ENTRY_LOAD_IA32_PAT)) {
		caps->exit &= ~VM_EXIT_LOAD_IA32_PAT;
		caps->entry &= ~VM_ENTRY_LOAD_IA32_PAT;
	}

	rdmsrq(MSR_IA32_VMX_CR0_FIXED0, caps->cr0_fixed0);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED0, caps->cr4_fixed0);
	caps->invept_context = ept & VMX_EPT_EXTENT_CONTEXT_BIT;
	caps->ept_ad = ept & VMX_EPT_AD_BIT;
	caps->ept_5level = ept & VMX_EPT_PAGE_WALK_5_BIT;
	caps->ept_max_level = ept & VMX_EPT_1GB_PAGE_BIT ? 3 : ept & VMX_EPT_2MB_PAGE_BIT ? 2 : 1;
	ept >>= 32;
	caps->invvpid_addr = ept & VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT;
	/* no VPID without a way to flush one, and all */
	if (!(ept & VMX_VPID_INVVPID_BIT) || !(ept & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT) ||
	    !(ept & VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT))
		caps->cpu2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	return 0;
}

/**
 * vmx_check_support() - is there a VMX that may be used on the boot CPU
 *
 * Says in one line of the log when not.
 *
 * Return: 0; -EOPNOTSUPP.
 */
int vmx_check_support(void)
{
	u64 fc, basic, pin, cpu2;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_CENTAUR &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_ZHAOXIN) {
		pr_err(pr_prefix "not an Intel CPU: no VMX\n");
		return -EOPNOTSUPP;
	}
	/* the kernel's own flag is gone when the firmware has VMX locked: ask the CPU */
	if (!(cpuid_ecx(1) & BIT(5))) {
		pr_err(pr_prefix "this CPU has no VMX\n");
		return -EOPNOTSUPP;
	}
	if (rdmsrq_safe(MSR_IA32_FEAT_CTL, &fc)) {
		pr_err(pr_prefix "IA32_FEATURE_CONTROL cannot be read: VMX is not usable\n");
		return -EOPNOTSUPP;
	}
	if (!(fc & FEAT_CTL_LOCKED) || !(fc & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_err(pr_prefix "VMX is disabled by the firmware (IA32_FEATURE_CONTROL)\n");
		return -EOPNOTSUPP;
	}
	if (rdmsrq_safe(MSR_IA32_VMX_BASIC, &basic) ||
	    rdmsrq_safe(MSR_IA32_VMX_PINBASED_CTLS, &pin) ||
	    rdmsrq_safe(MSR_IA32_VMX_PROCBASED_CTLS2, &cpu2)) {
		pr_err(pr_prefix "this CPU's VMX has no secondary controls\n");
		return -EOPNOTSUPP;
	}
	if (vmx_read_caps(&vmx_caps)) {
		pr_err(pr_prefix "this CPU's VMX lacks controls that are needed\n");
		return -EOPNOTSUPP;
	}
	return 0;
}
