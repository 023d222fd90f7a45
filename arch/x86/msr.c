// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model specific registers: those that are the same on both vendors (the others
 * are the backend's), access by guest and by user space, filters, and the lists
 * of what there is (Intel SDM vol. 4; AMD APM vol. 2, appendix A;
 * Documentation/virt/kvm/x86/msr.rst; KVM_GET_MSRS in api.rst).
 *
 * MTRRs are kept for the guest to read; memory types come from its PAT alone,
 * as for any guest with nested paging.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/kvm_para.h>
#include <asm/mtrr.h>

#include "arch/x86/async_pf.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/mce.h"
#include "arch/x86/msr.h"
#include "arch/x86/pmu.h"
#include "arch/x86/switch.h"
#include "arch/x86/run.h"

#define MAX_IO_MSRS		256
#define FILTER_RANGES		KVM_MSR_FILTER_MAX_RANGES
#define FILTER_BITMAP_BYTES	KVM_MSR_FILTER_MAX_BITMAP_SIZE

/* of IA32_MISC_ENABLE: neither branch trace storage nor PEBS */
#define MISC_ENABLE_NO_PMU	(MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | \
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)
#define MTRR_CAP		(0x500ull | 8)	/* WC, fixed, 8 variable */
#define MTRR_VAR_FIRST		0x200
#define MTRR_VAR_LAST		0x20f
#define PAT_DEFAULT		0x0007040600070406ull

/* AMD MSRs that have no name in <asm/msr-index.h> of every kernel */
#define MSR_AMD_OSVW_ID_LENGTH	0xc0010140
#define MSR_AMD_OSVW_STATUS	0xc0010141
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))
#define HWCR_KEPT		(BIT_ULL(18) | BIT_ULL(24))

/* ---- lists ---------------------------------------------------------------- */

/* What user space has to save and restore. */
static const u32 msrs_all[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_STAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_SYSCALL_MASK, MSR_LSTAR,
	MSR_IA32_TSC, MSR_IA32_CR_PAT, MSR_TSC_AUX,
	MSR_IA32_SPEC_CTRL, MSR_AMD64_VIRT_SPEC_CTRL, MSR_VM_HSAVE_PA,
	MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK_NEW,
	MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_STEAL_TIME, MSR_KVM_PV_EOI_EN,
	MSR_KVM_POLL_CONTROL,
	MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT, MSR_KVM_ASYNC_PF_ACK,
	MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_DEADLINE, MSR_IA32_MISC_ENABLE,
	MSR_IA32_MCG_STATUS, MSR_IA32_MCG_CTL, MSR_PLATFORM_INFO,
	MSR_IA32_SMBASE, MSR_SMI_COUNT,
	MSR_MISC_FEATURES_ENABLES, MSR_IA32_POWER_CTL,
	MSR_IA32_UCODE_REV, MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_FEAT_CTL,
	MSR_IA32_MCG_EXT_CTL, MSR_IA32_XSS, MSR_K7_HWCR, MSR_AMD_OSVW_ID_LENGTH,
	MSR_AMD_OSVW_STATUS, MSR_MTRRcap, MSR_MTRRdefType,
	MSR_MTRRfix64K_00000, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000,
	MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_C8000, MSR_MTRRfix4K_D0000,
	MSR_MTRRfix4K_D8000, MSR_MTRRfix4K_E0000, MSR_MTRRfix4K_E8000,
	MSR_MTRRfix4K_F0000, MSR_MTRRfix4K_F8000,
	MSR_IA32_VMX_BASIC, MSR_IA32_VMX_MISC, MSR_IA32_VMX_CR0_FIXED0,
	MSR_IA32_VMX_CR4_FIXED0, MSR_IA32_VMX_VMCS_ENUM, MSR_IA32_VMX_PROCBASED_CTLS2,
	MSR_IA32_VMX_EPT_VPID_CAP, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	MSR_IA32_VMX_TRUE_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	MSR_IA32_VMX_TRUE_ENTRY_CTLS, MSR_IA32_VMX_VMFUNC,
	0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207,
	0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f,
};

/* What the host itself has to tell. */
static const u32 msrs_feature[] = {
	MSR_IA32_UCODE_REV, MSR_AMD64_DE_CFG, MSR_IA32_PERF_CAPABILITIES,
	MSR_IA32_ARCH_CAPABILITIES,
	MSR_IA32_VMX_BASIC, MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_PROCBASED_CTLS,
	MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_MISC,
	MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR0_FIXED1, MSR_IA32_VMX_CR4_FIXED0,
	MSR_IA32_VMX_CR4_FIXED1, MSR_IA32_VMX_VMCS_ENUM, MSR_IA32_VMX_PROCBASED_CTLS2,
	MSR_IA32_VMX_EPT_VPID_CAP, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	MSR_IA32_VMX_TRUE_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	MSR_IA32_VMX_TRUE_ENTRY_CTLS, MSR_IA32_VMX_VMFUNC,
};

static u32 msr_list[ARRAY_SIZE(msrs_all) + KVM_PMU_MAX_MSRS];
static unsigned int nr_msr_list;

static bool msr_exists(u32 index)
{
	switch (index) {
	case MSR_TSC_AUX:
		return kvm_cpuid_host_cap(X86_FEATURE_RDTSCP) ||
		       kvm_cpuid_host_cap(X86_FEATURE_RDPID);
	case MSR_IA32_SPEC_CTRL:
		return kvm_cpuid_host_cap(X86_FEATURE_SPEC_CTRL) ||
		       kvm_cpuid_host_cap(X86_FEATURE_AMD_IBRS) ||
		       kvm_cpuid_host_cap(X86_FEATURE_AMD_STIBP) ||
		       kvm_cpuid_host_cap(X86_FEATURE_AMD_SSBD);
	case MSR_AMD64_VIRT_SPEC_CTRL:
		return kvm_cpuid_host_cap(X86_FEATURE_VIRT_SSBD);
	case MSR_VM_HSAVE_PA:
		return kvm_cpuid_host_cap(X86_FEATURE_SVM);
	case MSR_IA32_FEAT_CTL:
	case MSR_IA32_MCG_EXT_CTL:
		return kvm_be.exit_reason_isa == KVM_OOT_ISA_VMX;
	case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_VMFUNC:
		return kvm_be.exit_reason_isa == KVM_OOT_ISA_VMX && kvm_be.nested;
	case MSR_IA32_XSS:
		return kvm_supported_xss;
	default:
		return true;
	}
}

/**
 * kvm_msr_module_init() - nothing before a backend is there
 */
void kvm_msr_module_init(void)
{
}

static void make_list(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(msrs_all); i++)
		if (msr_exists(msrs_all[i]))
			msr_list[n++] = msrs_all[i];
	nr_msr_list = n + kvm_pmu_list_msrs(msr_list + n);
}

/* ---- what the CPU does not suffer from ------------------------------------- */

/* of the CPU's own: what does not speak of a register that guests do not have */
#define ARCH_CAPS_GIVEN	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA |	\
			 ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO |			\
			 ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |		\
			 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO |		\
			 ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA |	\
			 ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO |	\
			 ARCH_CAP_RFDS_NO | ARCH_CAP_RFDS_CLEAR | ARCH_CAP_ITS_NO)

/*
 * IA32_ARCH_CAPABILITIES (SDM vol. 4, table 2-2) as guests may have it. The kernel knows by
 * their models of CPUs that are not vulnerable and do not say so.
 */
static u64 supported_arch_capabilities(void)
{
	static const struct {
		unsigned int bug;
		u64 no;
	} by_model[] = {
		{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
		{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
		{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
		{ X86_BUG_RFDS, ARCH_CAP_RFDS_NO },
		{ X86_BUG_GDS, ARCH_CAP_GDS_NO },
		{ X86_BUG_ITS, ARCH_CAP_ITS_NO },
	};
	unsigned int i;
	u64 caps = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrq(MSR_IA32_ARCH_CAPABILITIES, caps);
	caps &= ARCH_CAPS_GIVEN;
	for (i = 0; i < ARRAY_SIZE(by_model); i++)
		if (!boot_cpu_has_bug(by_model[i].bug))
			caps |= by_model[i].no;
	/* multihits of the instruction TLB are the host's to prevent: mmu/nx.c */
	caps |= ARCH_CAP_PSCHANGE_MC_NO;
	/* it may be there because the host has switched TSX off */
	if (!boot_cpu_has(X86_FEATURE_RTM))
		caps &= ~ARCH_CAP_TAA_NO;
	return caps;
}

/* ---- PAT and MTRRs -------------------------------------------------------- */

static bool memory_type_valid(u8 type, bool pat)
{
	/* UC, WC, WT, WP, WB; PAT also UC- */
	return type == 0 || type == 1 || (type >= 4 && type <= 6) ||
	       (pat && type == 7);
}

/**
 * kvm_types_valid() - are eight memory types all defined
 * @value: one in each byte
 * @pat: of the PAT; else of a fixed MTRR
 */
bool kvm_types_valid(u64 value, bool pat)
{
	int i;

	for (i = 0; i < 8; i++)
		if (!memory_type_valid(value >> (i * 8), pat))
			return false;
	return true;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_types_valid);

/**
 * kvm_mtrr_valid() - may an MTRR have this value
 * @index: MSR
 * @value: value
 * @reserved_gpa_bits: address bits the guest does not have
 */
bool kvm_mtrr_valid(u32 index, u64 value, u64 reserved_gpa_bits)
{
	if (index == MSR_MTRRdefType)
		return !(value & ~0xcffull) && memory_type_valid(value, false);
	if (index >= MTRR_VAR_FIRST && index <= MTRR_VAR_LAST) {
		if (index & 1)
			return !(value & (reserved_gpa_bits | 0x7ff));
		return !(value & (reserved_gpa_bits | 0xf00)) &&
		       memory_type_valid(value, false);
	}
	return kvm_types_valid(value, false);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_mtrr_valid);

static u64 *mtrr_reg(struct kvm_vcpu *vcpu, u32 index)
{
	switch (index) {
	case MSR_MTRRdefType:
		return &vcpu->arch.mtrr_def_type;
	case MTRR_VAR_FIRST ... MTRR_VAR_LAST:
		return &vcpu->arch.mtrr_var[index - MTRR_VAR_FIRST];
	case MSR_MTRRfix64K_00000:
		return &vcpu->arch.mtrr_fixed[0];
	case MSR_MTRRfix16K_80000:
	case MSR_MTRRfix16K_A0000:
		return &vcpu->arch.mtrr_fixed[1 + index - MSR_MTRRfix16K_80000];
	case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
		return &vcpu->arch.mtrr_fixed[3 + index - MSR_MTRRfix4K_C0000];
	default:
		return NULL;
	}
}

/* ---- one register --------------------------------------------------------- */

static int get_common(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	u64 *mtrr;
	int r;

	switch (msr->index) {
	case MSR_IA32_TSC:
		msr->data = kvm_read_guest_tsc(vcpu, rdtsc());
		if (!msr->host_initiated)
			msr->data = kvm_nested_tsc(vcpu, msr->data);
		return 0;
	case MSR_IA32_APICBASE:
		msr->data = kvm_lapic_get_base(vcpu);
		return 0;
	case APIC_BASE_MSR ... APIC_BASE_MSR + 0xff:
		return kvm_x2apic_read(vcpu, msr->index, &msr->data);
	case MSR_IA32_TSC_ADJUST:
		msr->data = vcpu->arch.ia32_tsc_adjust_msr;
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		return kvm_lapic_get_tscdeadline(vcpu, &msr->data);
	case MSR_EFER:
		msr->data = vcpu->arch.efer;
		return 0;
	case MSR_IA32_CR_PAT:
		msr->data = vcpu->arch.pat;
		return 0;
	case MSR_MTRRcap:
		msr->data = MTRR_CAP;
		return 0;
	case MSR_IA32_MISC_ENABLE:
		msr->data = vcpu->arch.ia32_misc_enable_msr;
		return 0;
	case MSR_PLATFORM_INFO:
		if (!msr->host_initiated && !vcpu->kvm->arch.guest_can_read_platform_info)
			return 1;
		msr->data = vcpu->arch.msr_platform_info;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		if (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_ARCH_CAPABILITIES))
			return 1;
		msr->data = vcpu->arch.arch_capabilities;
		return 0;
	case MSR_MISC_FEATURES_ENABLES:
		msr->data = vcpu->arch.msr_misc_features;
		return 0;
	case MSR_IA32_POWER_CTL:
		msr->data = vcpu->arch.msr_power_ctl;
		return 0;
	case MSR_IA32_UCODE_REV:
		msr->data = vcpu->arch.microcode_version;
		return 0;
	case MSR_IA32_XSS:
		if (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_XSAVES))
			return 1;
		msr->data = vcpu->arch.ia32_xss;
		return 0;
	case MSR_K7_HWCR:
		msr->data = vcpu->arch.msr_hwcr;
		return 0;
	case MSR_AMD_OSVW_ID_LENGTH:
	case MSR_AMD_OSVW_STATUS:
		/* no erratum is reported that a guest would have to care for */
		if (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_OSVW))
			return 1;
		msr->data = 0;
		return 0;
	/* read by every AMD guest at boot; nothing in them applies to one */
	case MSR_AMD64_SYSCFG:
	case MSR_K8_INT_PENDING_MSG:
	case MSR_AMD64_NB_CFG:
	case MSR_AMD64_DC_CFG:
	case MSR_FAM10H_MMIO_CONF_BASE:
	case MSR_K8_TSEG_ADDR:
	case MSR_K8_TSEG_MASK:
	case MSR_IA32_DEBUGCTLMSR:
	/* DEBUGCTL.LBR cannot be set, so nothing is ever recorded */
	case MSR_IA32_LASTBRANCHFROMIP:
	case MSR_IA32_LASTBRANCHTOIP:
	case MSR_IA32_LASTINTFROMIP:
	case MSR_IA32_LASTINTTOIP:
		msr->data = 0;
		return 0;
	case MSR_IA32_SMBASE:
		/* a guest's SMM code changes it in SMRAM */
		if (!msr->host_initiated)
			return 1;
		msr->data = vcpu->arch.smbase;
		return 0;
	case MSR_SMI_COUNT:
		msr->data = vcpu->arch.smi_count;
		return 0;
	case MSR_KVM_PV_EOI_EN:
		if (!msr->host_initiated && !kvm_pv_has(vcpu, KVM_FEATURE_PV_EOI))
			return 1;
		msr->data = vcpu->arch.pv_eoi.msr_val;
		return 0;
	case MSR_KVM_POLL_CONTROL:
		if (!msr->host_initiated && !kvm_pv_has(vcpu, KVM_FEATURE_POLL_CONTROL))
			return 1;
		msr->data = vcpu->arch.msr_kvm_poll_control;
		return 0;
	}

	mtrr = mtrr_reg(vcpu, msr->index);
	if (mtrr) {
		msr->data = *mtrr;
		return 0;
	}
	r = kvm_mce_get_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_apf_get_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_pmu_get_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_time_get_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_switch_get_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_be_call(get_msr)(vcpu, msr);
	return r;
}

/* KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT in api.rst: CPUID follows only without it. */
static int set_misc_enable(struct kvm_vcpu *vcpu, u64 data, bool host)
{
	u64 old = vcpu->arch.ia32_misc_enable_msr, changed;

	/* SDM vol. 4: the guest can only read which parts of performance monitoring there are */
	if (!host) {
		if ((old ^ data) & MISC_ENABLE_NO_PMU)
			return 1;
		data = (data & ~MSR_IA32_MISC_ENABLE_EMON) | (old & MSR_IA32_MISC_ENABLE_EMON);
	}
	changed = old ^ data;
	if ((changed & MSR_IA32_MISC_ENABLE_MWAIT) &&
	    !kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
		/* SDM vol. 4: the bit is there only with SSE3 */
		if (!guest_has(vcpu, X86_FEATURE_XMM3))
			return 1;
		vcpu->arch.ia32_misc_enable_msr = data;
		kvm_update_cpuid_runtime(vcpu);
		return 0;
	}
	vcpu->arch.ia32_misc_enable_msr = data;
	return 0;
}

static int set_common(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	bool host = msr->host_initiated;
	u64 data = msr->data, *mtrr;
	int r;

	switch (msr->index) {
	case MSR_IA32_TSC:
		/* L2's is L1's TSC: an offset counts for reads only, as on the CPU */
		kvm_write_guest_tsc(vcpu, data, host);
		return 0;
	case MSR_IA32_APICBASE:
		return kvm_lapic_set_base(vcpu, msr);
	case APIC_BASE_MSR ... APIC_BASE_MSR + 0xff:
		return kvm_x2apic_write(vcpu, msr->index, data);
	case MSR_IA32_TSC_ADJUST:
		if (!host && !guest_has(vcpu, X86_FEATURE_TSC_ADJUST))
			return 1;
		/* user space restores the TSC itself, too */
		if (!host)
			kvm_adjust_guest_tsc(vcpu, data - vcpu->arch.ia32_tsc_adjust_msr);
		vcpu->arch.ia32_tsc_adjust_msr = data;
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		kvm_lapic_set_tscdeadline(vcpu, data);
		return 0;
	case MSR_EFER:
		return kvm_set_efer(vcpu, data, host);
	case MSR_IA32_CR_PAT:
		if (!kvm_types_valid(data, true))
			return 1;
		if (vcpu->arch.pat != data) {
			vcpu->arch.pat = data;
			kvm_mmu_pat_changed(vcpu);
		}
		return 0;
	case MSR_MTRRcap:
		return host && data == MTRR_CAP ? 0 : 1;
	case MSR_IA32_MISC_ENABLE:
		return set_misc_enable(vcpu, data, host);
	case MSR_PLATFORM_INFO:
		/* what is switched on must be there */
		if (!host || (vcpu->arch.msr_misc_features &&
			      !(data & MSR_PLATFORM_INFO_CPUID_FAULT)))
			return 1;
		vcpu->arch.msr_platform_info = data;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		/* user space's may be another host's, of which less or more is true */
		if (!host)
			return 1;
		vcpu->arch.arch_capabilities = data;
		return 0;
	case MSR_MISC_FEATURES_ENABLES:
		if ((data & ~MSR_MISC_FEATURES_ENABLES_CPUID_FAULT) ||
		    (data && !(vcpu->arch.msr_platform_info & MSR_PLATFORM_INFO_CPUID_FAULT)))
			return 1;
		vcpu->arch.msr_misc_features = data;
		return 0;
	case MSR_IA32_POWER_CTL:
		/* kept for the guest; power is the host's business */
		vcpu->arch.msr_power_ctl = data;
		return 0;
	case MSR_IA32_UCODE_REV:
		if (host)
			vcpu->arch.microcode_version = data;
		return 0;
	case MSR_IA32_UCODE_WRITE:
	case MSR_AMD64_PATCH_LOADER:
		/* what an update writes; there is nothing to update */
		return 0;
	case MSR_IA32_XSS:
		if ((!host && !guest_has(vcpu, X86_FEATURE_XSAVES)) ||
		    (data & ~kvm_supported_xss))
			return 1;
		vcpu->arch.ia32_xss = data;
		kvm_update_cpuid_runtime(vcpu);
		return 0;
	case MSR_K7_HWCR:
		data &= ~HWCR_IGNORED;
		if (data & ~HWCR_KEPT)
			return 1;
		vcpu->arch.msr_hwcr = data;
		return 0;
	case MSR_AMD_OSVW_ID_LENGTH:
	case MSR_AMD_OSVW_STATUS:
		return host && !data ? 0 : 1;
	case MSR_AMD64_NB_CFG:
	case MSR_AMD64_DC_CFG:
		/* work-arounds for errata of the real chip */
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
	/* no last-branch record, no single-stepping on branches */
	case MSR_FAM10H_MMIO_CONF_BASE:
		return data ? 1 : 0;
	case MSR_IA32_SMBASE:
		if (!host || data >> 32)
			return 1;
		vcpu->arch.smbase = data;
		return 0;
	case MSR_SMI_COUNT:
		if (!host)
			return 1;
		vcpu->arch.smi_count = data;
		return 0;
	case MSR_KVM_PV_EOI_EN:
		if (!host && !kvm_pv_has(vcpu, KVM_FEATURE_PV_EOI))
			return 1;
		return kvm_pv_eoi_set(vcpu, data);
	case MSR_KVM_POLL_CONTROL:
		if (!host && !kvm_pv_has(vcpu, KVM_FEATURE_POLL_CONTROL))
			return 1;
		if (data & ~1ull)
			return 1;
		vcpu->arch.msr_kvm_poll_control = data;
		return 0;
	}

	mtrr = mtrr_reg(vcpu, msr->index);
	if (mtrr) {
		if (!kvm_mtrr_valid(msr->index, data, vcpu->arch.cpuid.reserved_gpa_bits))
			return 1;
		*mtrr = data;
		return 0;
	}
	r = kvm_mce_set_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_apf_set_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_pmu_set_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_time_set_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_switch_set_msr(vcpu, msr);
	if (r == KVM_MSR_RET_INVALID)
		r = kvm_be_call(set_msr)(vcpu, msr);
	return r;
}

/* Unknown ones: as the administrator wants it. */
static int unknown(struct kvm_vcpu *vcpu, u32 index, u64 data, bool write)
{
	if (!READ_ONCE(kvm_ignore_msrs))
		return KVM_MSR_RET_INVALID;
	if (READ_ONCE(kvm_report_ignored_msrs))
		pr_debug_ratelimited("kvm: vcpu %d: ignored %s of MSR %#x (%#llx)\n",
				     vcpu->vcpu_id, write ? "write" : "read", index, data);
	return 0;
}

/**
 * kvm_get_msr() - read a register
 * @vcpu: the vCPU, loaded
 * @index: MSR
 * @data: filled
 * @host: user space reads it: no filter, no feature checks
 *
 * Return: 0; 1 for #GP; KVM_MSR_RET_INVALID; KVM_MSR_RET_FILTERED.
 */
int kvm_get_msr(struct kvm_vcpu *vcpu, u32 index, u64 *data, bool host)
{
	struct kvm_msr_data msr = { .index = index, .host_initiated = host };
	int r;

	if (!host && !kvm_msr_allowed(vcpu, index, KVM_MSR_FILTER_READ))
		return KVM_MSR_RET_FILTERED;
	r = get_common(vcpu, &msr);
	if (r == KVM_MSR_RET_INVALID) {
		msr.data = 0;
		r = unknown(vcpu, index, 0, false);
	}
	*data = msr.data;
	return r;
}
EXPORT_SYMBOL_GPL(kvm_get_msr);

/**
 * kvm_set_msr() - write a register
 * @vcpu: the vCPU, loaded
 * @index: MSR
 * @data: value
 * @host: user space writes it
 *
 * Return: as kvm_get_msr().
 */
int kvm_set_msr(struct kvm_vcpu *vcpu, u32 index, u64 data, bool host)
{
	struct kvm_msr_data msr = {
		.index = index, .data = data, .host_initiated = host,
	};
	bool upper;
	int r;

	if (!host && !kvm_msr_allowed(vcpu, index, KVM_MSR_FILTER_WRITE))
		return KVM_MSR_RET_FILTERED;

	/* addresses: SDM vol. 2, WRMSR: #GP for one that is not canonical */
	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_LSTAR:
	case MSR_CSTAR:
		upper = kvm_cr4_bit(vcpu, X86_CR4_LA57);
		if (sign_extend64(data, upper ? 56 : 47) != data)
			return 1;
		break;
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		/* Intel faults, AMD cuts off: never a value that would fault later */
		upper = kvm_cr4_bit(vcpu, X86_CR4_LA57);
		msr.data = sign_extend64(data, upper ? 56 : 47);
		break;
	case MSR_TSC_AUX:
		/* the upper half: AMD cuts it off, Intel faults */
		if (data >> 32 && kvm_guest_is_intel(vcpu))
			return 1;
		msr.data = (u32)data;
		break;
	}
	r = set_common(vcpu, &msr);
	return r == KVM_MSR_RET_INVALID ? unknown(vcpu, index, data, true) : r;
}
EXPORT_SYMBOL_GPL(kvm_set_msr);

/* ---- the guest's instructions --------------------------------------------- */

static int complete_wrmsr(struct kvm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->run->msr.error)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_emulated_insn(vcpu);
}

static int complete_rdmsr(struct kvm_vcpu *vcpu)
{
	if (!READ_ONCE(vcpu->run->msr.error))
		kvm_write_edx_eax(vcpu, READ_ONCE(vcpu->run->msr.data));
	return complete_wrmsr(vcpu);
}

/**
 * kvm_msr_user_space() - does user space want to decide
 * @vcpu: the vCPU
 * @index: MSR
 * @exit_reason: KVM_EXIT_X86_RDMSR or KVM_EXIT_X86_WRMSR
 * @data: value to be written
 * @ret: what the access was refused with
 *
 * The instruction has not been stepped over: that is done with user space's answer.
 *
 * Return: true when the exit was prepared.
 */
bool kvm_msr_user_space(struct kvm_vcpu *vcpu, u32 index, u32 exit_reason,
			u64 data, int ret)
{
	struct kvm_run *run = vcpu->run;
	u32 reason;

	switch (ret) {
	case KVM_MSR_RET_INVALID:
		reason = KVM_MSR_EXIT_REASON_UNKNOWN;
		break;
	case KVM_MSR_RET_FILTERED:
		reason = KVM_MSR_EXIT_REASON_FILTER;
		break;
	default:
		reason = KVM_MSR_EXIT_REASON_INVAL;
		break;
	}
	if (!(READ_ONCE(vcpu->kvm->arch.user_space_msr_mask) & reason))
		return false;
	run->exit_reason = exit_reason;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = index;
	run->msr.data = data;
	vcpu->arch.complete_userspace_io = exit_reason == KVM_EXIT_X86_RDMSR ? complete_rdmsr :
									       complete_wrmsr;
	return true;
}

/**
 * kvm_emulate_rdmsr() - carry out RDMSR
 * @vcpu: the vCPU, loaded
 * @exit: the exit
 *
 * Return: >0 to enter again, 0 for user space.
 */
int kvm_emulate_rdmsr(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	u32 index = kvm_gpr_read(vcpu, VCPU_REG_RCX);
	u64 data;
	int r = kvm_get_msr(vcpu, index, &data, false);

	if (!r) {
		kvm_write_edx_eax(vcpu, data);
		return kvm_skip_insn(vcpu, exit);
	}
	if (kvm_msr_user_space(vcpu, index, KVM_EXIT_X86_RDMSR, 0, r))
		return 0;
	kvm_inject_gp(vcpu, 0);
	return 1;
}

/**
 * kvm_emulate_wrmsr() - carry out WRMSR
 * @vcpu: the vCPU, loaded
 * @exit: the exit
 *
 * Return: >0 to enter again, 0 for user space.
 */
int kvm_emulate_wrmsr(struct kvm_vcpu *vcpu, const struct kvm_exit *exit)
{
	u32 index = kvm_gpr_read(vcpu, VCPU_REG_RCX);
	u64 data = kvm_read_edx_eax(vcpu);
	int r = kvm_set_msr(vcpu, index, data, false);

	if (!r)
		return kvm_skip_insn(vcpu, exit);
	if (kvm_msr_user_space(vcpu, index, KVM_EXIT_X86_WRMSR, data, r))
		return 0;
	kvm_inject_gp(vcpu, 0);
	return 1;
}

/* ---- filter: KVM_X86_SET_MSR_FILTER --------------------------------------- */

struct filter_range {
	u32 flags;
	u32 nmsrs;
	u32 base;
	unsigned long *bitmap;
};

struct kvm_oot_msr_filter {
	bool default_allow;
	unsigned int count;
	struct filter_range ranges[FILTER_RANGES];
};

static void free_filter(struct kvm_oot_msr_filter *f)
{
	unsigned int i;

	if (!f)
		return;
	for (i = 0; i < f->count; i++)
		kfree(f->ranges[i].bitmap);
	kfree(f);
}

/**
 * kvm_msr_allowed() - does the VM's filter let the guest at a register
 * @vcpu: the vCPU; kvm->srcu held
 * @index: MSR
 * @type: KVM_MSR_FILTER_READ or KVM_MSR_FILTER_WRITE
 */
bool kvm_msr_allowed(struct kvm_vcpu *vcpu, u32 index, u32 type)
{
	struct kvm_oot_msr_filter *f;
	unsigned int i;

	/* the APIC's are never filtered, as documented */
	if (index >= 0x800 && index <= 0x8ff)
		return true;
	f = (void *)srcu_dereference_check(vcpu->kvm->arch.msr_filter,
					   &vcpu->kvm->srcu, 1);
	if (!f)
		return true;
	for (i = 0; i < f->count; i++) {
		struct filter_range *r = &f->ranges[i];

		if (index >= r->base && index - r->base < r->nmsrs && (r->flags & type))
			return test_bit(index - r->base, r->bitmap);
	}
	return f->default_allow;
}
EXPORT_SYMBOL_GPL(kvm_msr_allowed);

static int add_filter_range(struct kvm_oot_msr_filter *f,
			    const struct kvm_msr_filter_range *user)
{
	struct filter_range *r = &f->ranges[f->count];
	size_t bytes;

	if (!user->nmsrs)
		return 0;
	if (!user->flags || user->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return -EINVAL;
	bytes = BITS_TO_LONGS((u64)user->nmsrs) * sizeof(long);
	if (bytes > FILTER_BITMAP_BYTES)
		return -EINVAL;
	r->bitmap = memdup_user((void __user *)user->bitmap, bytes);
	if (IS_ERR(r->bitmap))
		return PTR_ERR(r->bitmap);
	r->flags = user->flags;
	r->nmsrs = user->nmsrs;
	r->base = user->base;
	f->count++;
	return 0;
}

static void install_filter(struct kvm *kvm, struct kvm_oot_msr_filter *new)
{
	struct kvm_oot_msr_filter *old;

	mutex_lock(&kvm->lock);
	old = (void *)rcu_dereference_protected(kvm->arch.msr_filter, 1);
	rcu_assign_pointer(kvm->arch.msr_filter, (struct kvm_msr_filter *)new);
	synchronize_srcu(&kvm->srcu);
	free_filter(old);
	kvm_make_all_cpus_request(kvm, KVM_REQ_MSR_FILTER_CHANGED);
	mutex_unlock(&kvm->lock);
}

/**
 * kvm_vm_set_msr_filter() - KVM_X86_SET_MSR_FILTER
 * @kvm: the VM
 * @argp: user's struct kvm_msr_filter
 *
 * Return: 0; -EINVAL for flags, a range that is too long, or a filter that denies all;
 * -EFAULT; -ENOMEM.
 */
int kvm_vm_set_msr_filter(struct kvm *kvm, void __user *argp)
{
	struct kvm_msr_filter *user;
	struct kvm_oot_msr_filter *f;
	int i, r;

	user = memdup_user(argp, sizeof(*user));
	if (IS_ERR(user))
		return PTR_ERR(user);
	r = -EINVAL;
	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY) {
		kfree(user);
		return r;
	}
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f) {
		kfree(user);
		return -ENOMEM;
	}
	f->default_allow = !(user->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	r = 0;
	for (i = 0; !r && i < FILTER_RANGES; i++)
		r = add_filter_range(f, &user->ranges[i]);
	kfree(user);
	if (!r && !f->count && !f->default_allow)
		r = -EINVAL;
	if (r) {
		free_filter(f);
		return r;
	}
	install_filter(kvm, f);
	return 0;
}

/**
 * kvm_vm_free_msr_filter() - free it
 * @kvm: a VM without users
 */
void kvm_vm_free_msr_filter(struct kvm *kvm)
{
	free_filter((void *)rcu_dereference_protected(kvm->arch.msr_filter, 1));
	RCU_INIT_POINTER(kvm->arch.msr_filter, NULL);
}

/* ---- ioctls --------------------------------------------------------------- */

static int get_feature(u32 index, u64 *data)
{
	if (index == MSR_IA32_UCODE_REV)
		return rdmsrq_safe(MSR_IA32_UCODE_REV, data) ? 1 : 0;
	if (index == MSR_IA32_ARCH_CAPABILITIES) {
		*data = supported_arch_capabilities();
		return 0;
	}
	if (index == MSR_IA32_PERF_CAPABILITIES) {
		*data = kvm_pmu_perf_capabilities();
		return 0;
	}
	return kvm_be_call(get_feature_msr)(index, data);
}

static int one_msr(struct kvm_vcpu *vcpu, struct kvm_msr_entry *e, bool write)
{
	if (!vcpu)
		return get_feature(e->index, &e->data);
	return write ? kvm_set_msr(vcpu, e->index, e->data, true) :
		       kvm_get_msr(vcpu, e->index, &e->data, true);
}

/* As many as work, in order; how many that were. */
static long msr_io(struct kvm_vcpu *vcpu, void __user *argp, bool write)
{
	struct kvm_msrs __user *user = argp;
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	unsigned int i;
	size_t size;
	long r;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_IO_MSRS)
		return -E2BIG;
	size = head.nmsrs * sizeof(*entries);
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (i = 0; i < head.nmsrs; i++)
		if (one_msr(vcpu, &entries[i], write))
			break;
	r = i;
	if (!write && copy_to_user(user->entries, entries, size))
		r = -EFAULT;
	kfree(entries);
	return r;
}

static long index_list(void __user *argp, const u32 *list, unsigned int n)
{
	struct kvm_msr_list __user *user = argp;
	struct kvm_msr_list head;
	unsigned int room;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;
	head.nmsrs = n;
	if (copy_to_user(argp, &head, sizeof(head)))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(user->indices, list, n * sizeof(u32)) ? -EFAULT : 0;
}

/* One register by its id; KVM's own (GUEST_SSP) come with features that no guest has. */
static long one_reg(struct kvm_vcpu *vcpu, void __user *argp, bool write)
{
	const u64 msrs = KVM_X86_REG_MSR(0);
	struct kvm_one_reg reg;
	u64 __user *user;
	u64 data = 0;

	if (copy_from_user(&reg, argp, sizeof(reg)))
		return -EFAULT;
	if ((reg.id & ~(u64)U32_MAX) != msrs)
		return -EINVAL;
	user = u64_to_user_ptr(reg.addr);
	if (write) {
		if (get_user(data, user))
			return -EFAULT;
		return kvm_set_msr(vcpu, (u32)reg.id, data, true) ? -EINVAL : 0;
	}
	if (kvm_get_msr(vcpu, (u32)reg.id, &data, true))
		return -EINVAL;
	return put_user(data, user);
}

/* MSRs are not in it, KVM_GET_MSR_INDEX_LIST has them; nothing has room anywhere. */
static long reg_list(void __user *argp)
{
	struct kvm_reg_list __user *user = argp;

	return put_user(0ull, &user->n);
}

/**
 * kvm_msr_dev_ioctl() - the MSR lists, feature MSRs and MCE capabilities of /dev/kvm
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0 or a count; -E2BIG; -EFAULT; -ENOTTY for any other request.
 */
long kvm_msr_dev_ioctl(unsigned int ioctl, void __user *argp)
{
	u32 features[ARRAY_SIZE(msrs_feature)];
	u64 cap = kvm_mce_cap_supported(), data;
	unsigned int i, n = 0;

	switch (ioctl) {
	case KVM_GET_MSR_INDEX_LIST:
		if (!nr_msr_list)
			make_list();
		return index_list(argp, msr_list, nr_msr_list);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		for (i = 0; i < ARRAY_SIZE(msrs_feature); i++)
			if (!get_feature(msrs_feature[i], &data))
				features[n++] = msrs_feature[i];
		return index_list(argp, features, n);
	case KVM_GET_MSRS:
		return msr_io(NULL, argp, false);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return copy_to_user(argp, &cap, sizeof(cap)) ? -EFAULT : 0;
	default:
		return -ENOTTY;
	}
}

/**
 * kvm_msr_vcpu_ioctl() - KVM_{GET,SET}_MSRS, KVM_{GET,SET}_ONE_REG, KVM_GET_REG_LIST
 * @vcpu: the vCPU, loaded, kvm->srcu held
 * @ioctl: request
 * @argp: its argument
 *
 * Return: how many registers were read or written, of the latter three 0; -E2BIG; -EFAULT;
 * -ENOMEM; -EINVAL for an id of no register and for a value that is refused; -ENOTTY for any other
 * request.
 */
long kvm_msr_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	switch (ioctl) {
	case KVM_GET_MSRS:
		return msr_io(vcpu, argp, false);
	case KVM_SET_MSRS:
		return msr_io(vcpu, argp, true);
	case KVM_GET_ONE_REG:
		return one_reg(vcpu, argp, false);
	case KVM_SET_ONE_REG:
		return one_reg(vcpu, argp, true);
	case KVM_GET_REG_LIST:
		return reg_list(argp);
	default:
		return -ENOTTY;
	}
}

/**
 * kvm_msr_vcpu_reset() - state after RESET or INIT
 * @vcpu: the vCPU
 * @init: INIT
 */
void kvm_msr_vcpu_reset(struct kvm_vcpu *vcpu, bool init)
{
	struct kvm_vcpu_arch *a = &vcpu->arch;

	kvm_time_vcpu_reset(vcpu);
	if (init)
		return;
	kvm_pmu_vcpu_reset(vcpu);
	a->pat = PAT_DEFAULT;
	a->ia32_misc_enable_msr = MISC_ENABLE_NO_PMU;
	if (kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_STUFF_FEATURE_MSRS)) {
		/* one that does not exist: as in-tree, where the CPU has it */
		a->microcode_version = kvm_be.exit_reason_isa == KVM_OOT_ISA_VMX ? BIT_ULL(32) :
				       0x01000065;
		a->msr_platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
		a->arch_capabilities = supported_arch_capabilities();
		a->perf_capabilities = kvm_pmu_perf_capabilities();
	} else {
		a->microcode_version = 0;
		a->msr_platform_info = 0;
		a->arch_capabilities = 0;
		a->perf_capabilities = 0;
	}
	a->msr_misc_features = 0;
	a->msr_power_ctl = 0;
	a->msr_hwcr = 0;
	a->spec_ctrl = 0;
	a->spec_ctrl_direct = false;
	a->pred_cmd_direct = false;
	a->virt_spec_ctrl = 0;
	a->tsc_aux = 0;
	a->smbase = 0x30000;
	a->msr_kvm_poll_control = 1;
	a->mtrr_def_type = 0;
	memset(a->mtrr_fixed, 0, sizeof(a->mtrr_fixed));
	memset(a->mtrr_var, 0, sizeof(a->mtrr_var));
}
