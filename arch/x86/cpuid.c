// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: what this host and this module can give to guests, what a guest was
 * given, and what follows from it.
 *
 * Capabilities are kept as the kernel's X86_FEATURE_* words: what the CPU reports
 * and the kernel has not switched off, and what this module knows how to give
 * (the lists below). SVM and VMX come from the backend. Never offered: MONITOR, and
 * whatever needs state that we do not switch.
 */
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/types.h>
#include <asm/kvm_para.h>
#include <asm/processor.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/pmu.h"
#include "arch/x86/run.h"
#include "arch/x86/switch.h"

#define MAX_ENTRIES	256
#define B(name)		BIT(X86_FEATURE_##name & 31)
/* "KVMKVMKVM", and zeroes to fill (cpuid.rst) */
#define PV_SIGNATURE_EBX	0x4b4d564b
#define PV_SIGNATURE_ECX	0x564b4d56
#define PV_SIGNATURE_EDX	0x4d

/* Which register of which leaf a word of capabilities is. */
struct cpuid_word {
	u32 function;
	u32 index;
	u8 reg;			/* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
	bool known;
	u32 native;		/* given when the CPU has it */
	u32 emulated;		/* given always */
};

static const struct cpuid_word words[NCAPINTS] = {
	[CPUID_1_EDX] = { 1, 0, 3, true,
		B(FPU) | B(VME) | B(DE) | B(PSE) | B(TSC) | B(MSR) | B(PAE) |
		B(MCE) | B(CX8) | B(APIC) | B(SEP) | B(MTRR) | B(PGE) | B(MCA) |
		B(CMOV) | B(PAT) | B(PSE36) | B(CLFLUSH) | B(MMX) | B(FXSR) |
		B(XMM) | B(XMM2) | B(SELFSNOOP) },
	[CPUID_1_ECX] = { 1, 0, 2, true,
		B(XMM3) | B(PCLMULQDQ) | B(SSSE3) | B(FMA) | B(CX16) | B(PCID) |
		B(XMM4_1) | B(XMM4_2) | B(MOVBE) | B(POPCNT) | B(AES) |
		B(XSAVE) | B(AVX) | B(F16C) | B(RDRAND),
		/*
		 * Not the TSC-deadline timer: it takes a LAPIC in the kernel,
		 * which not every VM has; KVM_CAP_TSC_DEADLINE_TIMER tells of it.
		 */
		B(X2APIC) | B(HYPERVISOR) },
	[CPUID_7_0_EBX] = { 7, 0, 1, true,
		B(FSGSBASE) | B(BMI1) | B(AVX2) | B(FDP_EXCPTN_ONLY) | B(SMEP) |
		B(BMI2) | B(ERMS) | B(INVPCID) | B(ZERO_FCS_FDS) | B(AVX512F) |
		B(AVX512DQ) | B(RDSEED) | B(ADX) | B(SMAP) | B(AVX512IFMA) |
		B(CLFLUSHOPT) | B(CLWB) | B(AVX512PF) | B(AVX512ER) |
		B(AVX512CD) | B(SHA_NI) | B(AVX512BW) | B(AVX512VL),
		B(TSC_ADJUST) },
	[CPUID_7_ECX] = { 7, 0, 2, true,
		B(AVX512VBMI) | B(UMIP) | B(PKU) | B(AVX512_VBMI2) | B(GFNI) |
		B(VAES) | B(VPCLMULQDQ) | B(AVX512_VNNI) | B(AVX512_BITALG) |
		B(AVX512_VPOPCNTDQ) | B(LA57) | B(RDPID) | B(CLDEMOTE) |
		B(MOVDIRI) | B(MOVDIR64B) },
	[CPUID_7_EDX] = { 7, 0, 3, true,
		B(AVX512_4VNNIW) | B(AVX512_4FMAPS) | B(FSRM) |
		B(AVX512_VP2INTERSECT) | B(MD_CLEAR) | B(SERIALIZE) |
		B(AVX512_FP16) | B(SPEC_CTRL) | B(INTEL_STIBP) | B(SPEC_CTRL_SSBD) },
	[CPUID_7_1_EAX] = { 7, 1, 0, true, B(AVX_VNNI) | B(AVX512_BF16) },
	[CPUID_D_1_EAX] = { 0xd, 1, 0, true,
		B(XSAVEOPT) | B(XSAVEC) | B(XGETBV1) | B(XSAVES) },
	[CPUID_8000_0001_EDX] = { 0x80000001, 0, 3, true,
		/* the lower ones repeat leaf 1 */
		0x0183f3ff | B(SYSCALL) | B(NX) | B(MMXEXT) | B(FXSR_OPT) |
		B(GBPAGES) | B(RDTSCP) | B(LM) | B(3DNOWEXT) | B(3DNOW) },
	[CPUID_8000_0001_ECX] = { 0x80000001, 0, 2, true,
		B(LAHF_LM) | B(CMP_LEGACY) | B(CR8_LEGACY) | B(ABM) | B(SSE4A) |
		B(MISALIGNSSE) | B(3DNOWPREFETCH) | B(OSVW) | B(XOP) | B(FMA4) |
		B(TBM) | B(TOPOEXT) },
	[CPUID_8000_0008_EBX] = { 0x80000008, 0, 1, true,
		B(CLZERO) | B(XSAVEERPTR) | B(WBNOINVD) | B(AMD_IBPB) |
		B(AMD_IBRS) | B(AMD_SSBD) | B(VIRT_SSBD) | B(AMD_SSB_NO) |
		B(AMD_STIBP) | B(AMD_STIBP_ALWAYS_ON) },
};

static u32 caps[NCAPINTS];

/* not MPX's: its BNDCFGS would have to be switched, and is not */
#define SUPPORTED_XCR0	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | \
			 XFEATURE_MASK_OPMASK | XFEATURE_MASK_ZMM_Hi256 |	\
			 XFEATURE_MASK_Hi16_ZMM | XFEATURE_MASK_PKRU)

/* ---- capabilities of the host --------------------------------------------- */

static u32 host_reg(u32 function, u32 index, u8 reg)
{
	u32 r[4] = {};

	if (cpuid_eax(function & 0x80000000) < function)
		return 0;
	cpuid_count(function, index, &r[0], &r[1], &r[2], &r[3]);
	return r[reg];
}

/*
 * One register, SPEC_CTRL, has bits for its parts in a leaf of Intel's and in one of AMD's: a
 * guest may look for them in either, whatever CPU it is told that it has.
 */
static void speculation_caps(void)
{
	static const struct {
		unsigned int host, intel, amd;
	} same[] = {
		{ X86_FEATURE_IBRS, X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBRS },
		{ X86_FEATURE_STIBP, X86_FEATURE_INTEL_STIBP, X86_FEATURE_AMD_STIBP },
		{ X86_FEATURE_SPEC_CTRL_SSBD, X86_FEATURE_SPEC_CTRL_SSBD, X86_FEATURE_AMD_SSBD },
		{ X86_FEATURE_AMD_SSBD, X86_FEATURE_SPEC_CTRL_SSBD, X86_FEATURE_AMD_SSBD },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(same); i++) {
		if (!boot_cpu_has(same[i].host))
			continue;
		/* Intel's bit for IBRS means IBPB, too */
		if (same[i].intel != X86_FEATURE_SPEC_CTRL || boot_cpu_has(X86_FEATURE_IBPB))
			kvm_cpuid_set_cap(same[i].intel);
		kvm_cpuid_set_cap(same[i].amd);
	}
	if (boot_cpu_has(X86_FEATURE_IBPB))
		kvm_cpuid_set_cap(X86_FEATURE_AMD_IBPB);
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		kvm_cpuid_set_cap(X86_FEATURE_AMD_SSB_NO);
}

/**
 * kvm_cpuid_module_init() - find out what can be given to guests
 */
void kvm_cpuid_module_init(void)
{
	int i;

	for (i = 0; i < NCAPINTS; i++) {
		const struct cpuid_word *w = &words[i];

		if (!w->known)
			continue;
		caps[i] = host_reg(w->function, w->index, w->reg) & w->native;
		caps[i] &= boot_cpu_data.x86_capability[i];
		caps[i] |= w->emulated;
	}
	/* a guest's tables may have five levels where those of the host have four */
	caps[CPUID_7_ECX] |= host_reg(7, 0, 2) & B(LA57);
	speculation_caps();
	if (boot_cpu_has(X86_FEATURE_XSAVE)) {
		kvm_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		kvm_supported_xcr0 = kvm_host_xcr0 & SUPPORTED_XCR0;
		/* a feature whose registers the host does not keep cannot be given */
		if (!(kvm_supported_xcr0 & XFEATURE_MASK_PKRU))
			kvm_cpuid_clear_cap(X86_FEATURE_PKU);
	} else {
		kvm_cpuid_clear_cap(X86_FEATURE_XSAVE);
	}
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrq(MSR_IA32_XSS, kvm_host_xss);
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		kvm_cpuid_clear_cap(X86_FEATURE_PKU);
}

/**
 * kvm_cpuid_clear_cap() - a backend cannot give a feature
 * @feature: X86_FEATURE_*
 */
void kvm_cpuid_clear_cap(unsigned int feature)
{
	caps[feature / 32] &= ~BIT(feature & 31);
}
EXPORT_SYMBOL_GPL(kvm_cpuid_clear_cap);

/**
 * kvm_cpuid_set_cap() - a backend gives a feature whatever the CPU has
 * @feature: X86_FEATURE_*
 */
void kvm_cpuid_set_cap(unsigned int feature)
{
	caps[feature / 32] |= BIT(feature & 31);
}
EXPORT_SYMBOL_GPL(kvm_cpuid_set_cap);

/**
 * kvm_cpuid_host_cap() - is a feature offered to guests
 * @feature: X86_FEATURE_*
 */
bool kvm_cpuid_host_cap(unsigned int feature)
{
	return caps[feature / 32] & BIT(feature & 31);
}
EXPORT_SYMBOL_GPL(kvm_cpuid_host_cap);

/* Size of an XSAVE area with these features, SDM vol. 1, 13.4. */
static u32 xsave_size(u64 features, bool compacted)
{
	u32 size = 576, eax, ebx, ecx, edx, at;
	int i;

	for (i = 2; i < 63; i++) {
		if (!(features & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		if (compacted)
			at = ecx & 2 ? ALIGN(size, 64) : size;
		else
			at = ebx;
		size = max(size, at + eax);
	}
	return size;
}

/* ---- KVM_GET_SUPPORTED_CPUID ---------------------------------------------- */

struct cpuid_list {
	struct kvm_cpuid_entry2 *entries;
	int nent;
	int max;
};

static struct kvm_cpuid_entry2 *add_raw(struct cpuid_list *l, u32 function,
					u32 index, bool indexed)
{
	struct kvm_cpuid_entry2 *e;

	if (l->nent >= l->max)
		return NULL;
	e = &l->entries[l->nent++];
	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	e->flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
	if ((function & 0xf0000000) != 0x40000000)
		cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

static void clear_regs(struct kvm_cpuid_entry2 *e)
{
	e->eax = 0;
	e->ebx = 0;
	e->ecx = 0;
	e->edx = 0;
}

static int add_cache_leaves(struct cpuid_list *l, u32 function)
{
	struct kvm_cpuid_entry2 *e;
	u32 i = 0;

	do {
		e = add_raw(l, function, i++, true);
		if (!e)
			return -E2BIG;
	} while ((e->eax & 0x1f) && i < 16);
	return 0;
}

static int add_xsave_leaves(struct cpuid_list *l)
{
	struct kvm_cpuid_entry2 *e = add_raw(l, 0xd, 0, true);
	int i;

	if (!e)
		return -E2BIG;
	e->eax = kvm_supported_xcr0;
	e->edx = kvm_supported_xcr0 >> 32;
	e->ebx = xsave_size(kvm_supported_xcr0, false);
	e->ecx = e->ebx;
	if (!kvm_supported_xcr0) {
		clear_regs(e);
		return 0;
	}
	e = add_raw(l, 0xd, 1, true);
	if (!e)
		return -E2BIG;
	e->eax = caps[CPUID_D_1_EAX];
	e->ebx = e->eax & (B(XSAVES) | B(XSAVEC)) ?
		xsave_size(kvm_supported_xcr0 | kvm_supported_xss, true) : 0;
	e->ecx = kvm_supported_xss;
	e->edx = kvm_supported_xss >> 32;
	for (i = 2; i < 63; i++) {
		if (!((kvm_supported_xcr0 | kvm_supported_xss) & BIT_ULL(i)))
			continue;
		e = add_raw(l, 0xd, i, true);
		if (!e)
			return -E2BIG;
		e->ecx &= kvm_supported_xss & BIT_ULL(i) ? 3 : 2;
		e->edx = 0;
	}
	return 0;
}

static u32 pv_features(void)
{
	u32 f = BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) |
		BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_PV_EOI) |
		BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_SEND_IPI) |
		BIT(KVM_FEATURE_POLL_CONTROL) | BIT(KVM_FEATURE_PV_SCHED_YIELD) |
		BIT(KVM_FEATURE_ASYNC_PF) | BIT(KVM_FEATURE_ASYNC_PF_INT) |
		BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);

	if (sched_info_on())
		f |= BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_PV_TLB_FLUSH);
	return f;
}

static u32 guest_phys_bits(void)
{
	/* the nested tables hold no more */
	return boot_cpu_data.x86_phys_bits;
}

/* SDM vol. 2, CPUID: those that look at ECX */
static bool has_subleaves(u32 function)
{
	switch (function) {
	case 7:
	case 0xb:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d ... 0x1f:
		return true;
	default:
		return false;
	}
}

static int add_leaf(struct cpuid_list *l, u32 function)
{
	struct kvm_cpuid_entry2 *e;
	int r = 0;

	switch (function) {
	case 4:
		return add_cache_leaves(l, 4);
	case 0xd:
		return add_xsave_leaves(l);
	case 0x8000001d:
		return add_cache_leaves(l, function);
	}

	e = add_raw(l, function, 0, has_subleaves(function));
	if (!e)
		return -E2BIG;
	switch (function) {
	case 0:
		e->eax = min(e->eax, 0x1fu);
		break;
	case 1:
		e->ebx = (e->ebx & 0x0000ff00) | BIT(16);	/* CLFLUSH size, one CPU */
		e->ecx = caps[CPUID_1_ECX];
		e->edx = caps[CPUID_1_EDX];
		break;
	case 2:
		/* AL: how often to ask; all CPUs that have the leaf say 1 */
		if (e->eax & 0xff)
			e->eax = (e->eax & ~0xffu) | 1;
		break;
	case 6:
		clear_regs(e);
		e->eax = 4;				/* ARAT: the timer never stops */
		break;
	case 7:
		e->eax = min(e->eax, 1u);
		e->ebx = caps[CPUID_7_0_EBX];
		e->ecx = caps[CPUID_7_ECX];
		e->edx = caps[CPUID_7_EDX];
		if (e->eax) {
			e = add_raw(l, 7, 1, true);
			if (!e)
				return -E2BIG;
			clear_regs(e);
			e->eax = caps[CPUID_7_1_EAX];
		}
		break;
	case 0xa:
		kvm_pmu_cpuid_leaf(e);
		break;
	case 0xb:
	case 0x1f:
		/* user space knows the topology */
		clear_regs(e);
		break;
	case 0x40000000:
		e->eax = 0x40000001;
		e->ebx = PV_SIGNATURE_EBX;
		e->ecx = PV_SIGNATURE_ECX;
		e->edx = PV_SIGNATURE_EDX;
		break;
	case 0x40000001:
		e->eax = pv_features();
		break;
	case 0x80000000:
		e->eax = clamp(e->eax, 0x80000008u, 0x80000021u);
		break;
	case 0x80000001:
		e->ebx &= ~GENMASK(27, 16);
		e->ecx = caps[CPUID_8000_0001_ECX];
		e->edx = caps[CPUID_8000_0001_EDX];
		break;
	case 0x80000002 ... 0x80000006:
		break;
	case 0x80000007:
		clear_regs(e);
		if (boot_cpu_has(X86_FEATURE_CONSTANT_TSC) &&
		    boot_cpu_has(X86_FEATURE_NONSTOP_TSC))
			e->edx = BIT(8);		/* invariant TSC */
		break;
	case 0x80000008:
		e->eax = guest_phys_bits() | (e->eax & 0xff00);
		e->ebx = caps[CPUID_8000_0008_EBX];
		e->ecx = 0;
		e->edx = 0;
		break;
	case 0x8000000a:
		clear_regs(e);
		if (kvm_cpuid_host_cap(X86_FEATURE_SVM)) {
			e->eax = 1;		/* revision */
			e->ebx = 8;		/* ASIDs; each entry flushes anyway */
			e->edx = kvm_be.svm_edx;
		}
		break;
	case 0x80000019:
		e->ecx = 0;
		e->edx = 0;
		break;
	case 0x8000001a:
		e->eax &= 7;
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	case 0x80000021:
		/* LFENCE serializes; loading a null selector clears the base */
		e->eax &= BIT(2) | BIT(6);
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	default:
		clear_regs(e);
		break;
	}
	return r;
}

static int add_class(struct cpuid_list *l, u32 first)
{
	u32 function, last;
	int r;

	if (first != 0x40000000 && cpuid_eax(first) < first)
		return 0;
	r = add_leaf(l, first);
	if (r)
		return r;
	last = l->entries[l->nent - 1].eax;
	for (function = first + 1; function <= last; function++) {
		r = add_leaf(l, function);
		if (r)
			return r;
	}
	return 0;
}

/* What is emulated whether or not it is in the other list: instructions that are #UD else. */
static int add_emulated(struct cpuid_list *l)
{
	struct kvm_cpuid_entry2 *e;
	static const u32 functions[] = { 0, 1, 7 };
	int i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		e = add_raw(l, functions[i], 0, functions[i] == 7);
		if (!e)
			return -E2BIG;
		clear_regs(e);
		switch (functions[i]) {
		case 0:
			e->eax = 7;
			break;
		case 1:
			e->ecx = B(MOVBE);
			break;
		case 7:
			if (kvm_cpuid_host_cap(X86_FEATURE_RDTSCP))
				e->ecx = B(RDPID);
			break;
		}
	}
	return 0;
}

/**
 * kvm_cpuid_supported() - the entries of KVM_GET_{SUPPORTED,EMULATED}_CPUID
 * @entries: filled
 * @max: how many there is room for
 * @emulated: which of the two
 *
 * Return: how many were filled; -E2BIG when there is not enough room.
 */
int kvm_cpuid_supported(struct kvm_cpuid_entry2 *entries, int max, bool emulated)
{
	struct cpuid_list l = { .entries = entries, .max = max };
	int r;

	if (emulated) {
		r = add_emulated(&l);
	} else {
		r = add_class(&l, 0);
		if (!r)
			r = add_class(&l, 0x80000000);
		if (!r)
			r = add_class(&l, 0x40000000);
	}
	return r ?: l.nent;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_cpuid_supported);

/**
 * kvm_get_supported_cpuid() - KVM_GET_{SUPPORTED,EMULATED}_CPUID
 * @cpuid: header; nent is the room there is, and then what was filled
 * @entries: user's array
 * @emulated: which of the two
 *
 * Return: 0; -E2BIG when there is not enough room; -EFAULT; -ENOMEM.
 */
int kvm_get_supported_cpuid(struct kvm_cpuid2 *cpuid,
			    struct kvm_cpuid_entry2 __user *entries, bool emulated)
{
	struct kvm_cpuid_entry2 *list;
	int max, r;

	if (cpuid->nent < 1)
		return -E2BIG;
	max = min_t(u32, cpuid->nent, MAX_ENTRIES);
	list = kvcalloc(max, sizeof(*list), GFP_KERNEL_ACCOUNT);
	if (!list)
		return -ENOMEM;
	r = kvm_cpuid_supported(list, max, emulated);
	if (r >= 0) {
		cpuid->nent = r;
		r = copy_to_user(entries, list, r * sizeof(*list)) ? -EFAULT : 0;
	}
	kvfree(list);
	return r;
}

/* ---- a guest's CPUID ------------------------------------------------------ */

/**
 * kvm_find_cpuid() - entry of a guest's CPUID
 * @vcpu: the vCPU
 * @function: leaf
 * @index: subleaf
 *
 * Return: the entry or NULL.
 */
struct kvm_cpuid_entry2 *kvm_find_cpuid(struct kvm_vcpu *vcpu, u32 function,
					u32 index)
{
	int i;

	for (i = 0; i < vcpu->arch.cpuid.nent; i++) {
		struct kvm_cpuid_entry2 *e = &vcpu->arch.cpuid.entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_find_cpuid);

static u32 *entry_reg(struct kvm_cpuid_entry2 *e, u8 reg)
{
	switch (reg) {
	case 0:
		return &e->eax;
	case 1:
		return &e->ebx;
	case 2:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

/**
 * guest_has() - does a guest's CPUID say that it has a feature
 * @vcpu: the vCPU
 * @feature: X86_FEATURE_*, in one of the words above
 */
bool guest_has(struct kvm_vcpu *vcpu, unsigned int feature)
{
	const struct cpuid_word *w = &words[feature / 32];
	struct kvm_cpuid_entry2 *e;

	if (!w->known)
		return false;
	e = kvm_find_cpuid(vcpu, w->function, w->index);
	return e && (*entry_reg(e, w->reg) & BIT(feature & 31));
}
EXPORT_SYMBOL_GPL(guest_has);

/**
 * kvm_pv_has() - may a guest use a paravirtual feature
 * @vcpu: the vCPU
 * @feature: KVM_FEATURE_*
 *
 * Return: true unless KVM_CAP_ENFORCE_PV_FEATURE_CPUID is on and it was not told.
 */
bool kvm_pv_has(struct kvm_vcpu *vcpu, unsigned int feature)
{
	return !vcpu->arch.pv_cpuid.enforce ||
	       (vcpu->arch.pv_cpuid.features & BIT(feature));
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pv_has);

static bool names_amd(const struct kvm_cpuid_entry2 *leaf0)
{
	/* "Auth"enticAMD, "Hygo"nGenuine */
	return leaf0->ebx == 0x68747541 || leaf0->ebx == 0x6f677948;
}

/**
 * kvm_guest_is_amd() - does a guest's CPUID name AMD or Hygon
 * @vcpu: the vCPU
 */
bool kvm_guest_is_amd(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *leaf = kvm_find_cpuid(vcpu, 0, 0);

	return leaf && names_amd(leaf);
}

/**
 * kvm_guest_is_intel() - does a guest's CPUID name Intel, or who makes CPUs like Intel's
 * @vcpu: the vCPU
 */
bool kvm_guest_is_intel(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *leaf = kvm_find_cpuid(vcpu, 0, 0);

	return leaf && !names_amd(leaf);
}

/* Intel answers for a leaf beyond the last with the last basic one. */
static struct kvm_cpuid_entry2 *out_of_range(struct kvm_vcpu *vcpu, u32 function,
					     u32 index)
{
	struct kvm_cpuid_entry2 *basic = kvm_find_cpuid(vcpu, 0, 0);
	struct kvm_cpuid_entry2 *class;

	if (!basic || !kvm_guest_is_intel(vcpu))
		return NULL;
	if (function >= 0x40000000 && function < 0x50000000)
		class = kvm_find_cpuid(vcpu, function & 0xffffff00, 0);
	else
		class = kvm_find_cpuid(vcpu, function & 0x80000000, 0);
	if (class && function <= class->eax)
		return NULL;
	return kvm_find_cpuid(vcpu, basic->eax, index);
}

/**
 * kvm_cpuid() - what the guest's CPUID instruction gives
 * @vcpu: the vCPU
 * @eax: leaf in, value out
 * @ebx: value out
 * @ecx: subleaf in, value out
 * @edx: value out
 * @exact: do not answer for leaves out of range
 *
 * Return: true when there is an entry.
 */
bool kvm_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx,
	       bool exact)
{
	u32 function = *eax, index = *ecx;
	struct kvm_cpuid_entry2 *e = kvm_find_cpuid(vcpu, function, index);
	bool found = e;

	if (!e && !exact)
		e = out_of_range(vcpu, function, index);
	if (e) {
		*eax = e->eax;
		*ebx = e->ebx;
		*ecx = e->ecx;
		*edx = e->edx;
		return found;
	}
	*eax = 0;
	*ebx = 0;
	*ecx = 0;
	*edx = 0;
	/* beyond the last level of topology, the id is still told */
	if (function == 0xb || function == 0x1f) {
		e = kvm_find_cpuid(vcpu, function, 1);
		if (e) {
			*ecx = index & 0xff;
			*edx = e->edx;
		}
	}
	return false;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_cpuid);

/**
 * kvm_cpuid_faults() - has the guest asked for #GP at CPUID outside of ring 0
 * @vcpu: the vCPU, loaded
 *
 * Return: true when it has, and is there.
 */
bool kvm_cpuid_faults(struct kvm_vcpu *vcpu)
{
	return (vcpu->arch.msr_misc_features & MSR_MISC_FEATURES_ENABLES_CPUID_FAULT) &&
	       kvm_be_call(get_cpl)(vcpu);
}

/**
 * kvm_emulate_cpuid() - carry out CPUID; the caller steps over it
 * @vcpu: the vCPU
 *
 * Return: 1.
 */
int kvm_emulate_cpuid(struct kvm_vcpu *vcpu)
{
	u32 eax = kvm_gpr_read(vcpu, VCPU_REG_RAX), ebx;
	u32 ecx = kvm_gpr_read(vcpu, VCPU_REG_RCX), edx;

	kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx, false);
	kvm_gpr_write(vcpu, VCPU_REG_RAX, eax);
	kvm_gpr_write(vcpu, VCPU_REG_RBX, ebx);
	kvm_gpr_write(vcpu, VCPU_REG_RCX, ecx);
	kvm_gpr_write(vcpu, VCPU_REG_RDX, edx);
	return 1;
}

/*
 * The features' leaf. Where user space offers another hypervisor's interface as well, that one
 * comes first and ours at a later multiple of 0x100 (cpuid.rst).
 */
static struct kvm_cpuid_entry2 *pv_leaf(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid_cache *c = &vcpu->arch.cpuid;
	u32 base = 0;
	int i;

	for (i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if ((e->function & ~0xff00u) == 0x40000000 && e->ebx == PV_SIGNATURE_EBX &&
		    e->ecx == PV_SIGNATURE_ECX && e->edx == PV_SIGNATURE_EDX &&
		    (!base || e->function < base) && e == kvm_find_cpuid(vcpu, e->function, 0))
			base = e->function;
	}
	return base ? kvm_find_cpuid(vcpu, base + 1, 0) : NULL;
}

/**
 * kvm_update_cpuid_runtime() - bits that follow the guest's own registers
 * @vcpu: the vCPU
 */
void kvm_update_cpuid_runtime(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *e;

	e = kvm_find_cpuid(vcpu, 1, 0);
	if (e) {
		e->ecx &= ~(B(OSXSAVE));
		if ((e->ecx & B(XSAVE)) && kvm_cr4_bit(vcpu, X86_CR4_OSXSAVE))
			e->ecx |= B(OSXSAVE);
		e->edx &= ~B(APIC);
		if (vcpu->arch.apic_base & MSR_IA32_APICBASE_ENABLE)
			e->edx |= B(APIC);
		if (!kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
			e->ecx &= ~B(MWAIT);
			if (vcpu->arch.ia32_misc_enable_msr & MSR_IA32_MISC_ENABLE_MWAIT)
				e->ecx |= B(MWAIT);
		}
	}
	e = kvm_find_cpuid(vcpu, 7, 0);
	if (e) {
		e->ecx &= ~B(OSPKE);
		if ((e->ecx & B(PKU)) && kvm_cr4_bit(vcpu, X86_CR4_PKE))
			e->ecx |= B(OSPKE);
	}
	e = kvm_find_cpuid(vcpu, 0xd, 0);
	if (e)
		e->ebx = xsave_size(vcpu->arch.xcr0, false);
	e = kvm_find_cpuid(vcpu, 0xd, 1);
	if (e && (e->eax & (B(XSAVES) | B(XSAVEC))))
		e->ebx = xsave_size(vcpu->arch.xcr0 | vcpu->arch.ia32_xss, true);
	e = pv_leaf(vcpu);
	if (e) {
		/* a guest that halts for real is not woken by a kick */
		if (kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT))
			e->eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
		vcpu->arch.pv_cpuid.features = e->eax;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_update_cpuid_runtime);

static u64 cr4_reserved(bool (*has)(struct kvm_vcpu *vcpu, unsigned int feature),
			struct kvm_vcpu *vcpu)
{
	u64 valid = X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE |
		    X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE |
		    X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	static const struct {
		u64 bit;
		unsigned int feature;
	} bits[] = {
		{ X86_CR4_OSXSAVE, X86_FEATURE_XSAVE },
		{ X86_CR4_SMEP, X86_FEATURE_SMEP },
		{ X86_CR4_SMAP, X86_FEATURE_SMAP },
		{ X86_CR4_FSGSBASE, X86_FEATURE_FSGSBASE },
		{ X86_CR4_PKE, X86_FEATURE_PKU },
		{ X86_CR4_LA57, X86_FEATURE_LA57 },
		{ X86_CR4_UMIP, X86_FEATURE_UMIP },
		{ X86_CR4_PCIDE, X86_FEATURE_PCID },
		{ X86_CR4_VMXE, X86_FEATURE_VMX },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		if (has(vcpu, bits[i].feature))
			valid |= bits[i].bit;
	return ~valid;
}

static bool has_by_host(struct kvm_vcpu *vcpu, unsigned int feature)
{
	return kvm_cpuid_host_cap(feature);
}

static bool has_by_both(struct kvm_vcpu *vcpu, unsigned int feature)
{
	return kvm_cpuid_host_cap(feature) && guest_has(vcpu, feature);
}

static void update_cache(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid_cache *c = &vcpu->arch.cpuid;
	struct kvm_cpuid_entry2 *e = kvm_find_cpuid(vcpu, 0x80000000, 0);

	c->maxphyaddr = 36;
	if (e && e->eax >= 0x80000008) {
		e = kvm_find_cpuid(vcpu, 0x80000008, 0);
		if (e && (e->eax & 0xff))
			c->maxphyaddr = clamp_t(u32, e->eax & 0xff, 32, 52);
	}
	c->reserved_gpa_bits = GENMASK_ULL(63, c->maxphyaddr);
	c->cr4_reserved_bits = cr4_reserved(c->nent || !KVM_CR4_BEFORE_CPUID ? has_by_both :
					    has_by_host, vcpu);
	c->supported_xcr0 = 0;
	e = kvm_find_cpuid(vcpu, 0xd, 0);
	if (e)
		c->supported_xcr0 = (e->eax | (u64)e->edx << 32) & kvm_supported_xcr0;
	c->gbpages = guest_has(vcpu, X86_FEATURE_GBPAGES);
}

/**
 * kvm_cpuid_vcpu_init() - what holds before a guest is given its CPUID
 * @vcpu: a new vCPU
 */
void kvm_cpuid_vcpu_init(struct kvm_vcpu *vcpu)
{
	update_cache(vcpu);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_cpuid_vcpu_init);

/**
 * kvm_cpuid_vcpu_free() - free it
 * @vcpu: the vCPU
 */
void kvm_cpuid_vcpu_free(struct kvm_vcpu *vcpu)
{
	kvfree(vcpu->arch.cpuid.entries);
	vcpu->arch.cpuid.entries = NULL;
	vcpu->arch.cpuid.nent = 0;
}

/* Takes over @entries on success. */
static int install(struct kvm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, int nent)
{
	struct kvm_cpuid_cache *c = &vcpu->arch.cpuid, old = *c;
	struct kvm_cpuid_entry2 *e;
	u32 vaddr;

	c->entries = entries;
	c->nent = nent;
	e = kvm_find_cpuid(vcpu, 0x80000008, 0);
	vaddr = e ? (e->eax >> 8) & 0xff : 0;
	if (vaddr && vaddr != 48 && vaddr != 57) {
		*c = old;
		return -EINVAL;
	}
	kvm_update_cpuid_runtime(vcpu);

	/* once it has run, a guest has seen it: only the same again */
	if (vcpu->stat.exits) {
		bool same = old.nent == nent &&
			    !memcmp(old.entries, entries, nent * sizeof(*entries));

		if (!same) {
			*c = old;
			/* what else it set goes back too */
			kvm_update_cpuid_runtime(vcpu);
			return -EINVAL;
		}
	}
	kvfree(old.entries);
	update_cache(vcpu);
	kvm_lapic_cpuid_changed(vcpu);
	kvm_switch_cpuid_changed(vcpu);
	if (!vcpu->stat.exits)
		kvm_pmu_cpuid_changed(vcpu);
	kvm_be_call(update_config)(vcpu);
	kvm_mmu_reset_context(vcpu);
	return 0;
}

static int set_cpuid2(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_cpuid2 __user *user = argp;
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;
	int r;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (head.nent > MAX_ENTRIES)
		return -E2BIG;
	if (head.nent) {
		entries = vmemdup_user(user->entries,
				       array_size(head.nent, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = install(vcpu, entries, head.nent);
	if (r)
		kvfree(entries);
	return r;
}

/* The first form of the ioctl knows no subleaves. */
static int set_cpuid(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_cpuid __user *user = argp;
	struct kvm_cpuid_entry *from;
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid head;
	unsigned int i;
	int r;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (head.nent > MAX_ENTRIES)
		return -E2BIG;
	if (!head.nent)
		return install(vcpu, NULL, 0);
	from = vmemdup_user(user->entries, array_size(head.nent, sizeof(*from)));
	if (IS_ERR(from))
		return PTR_ERR(from);
	entries = kvcalloc(head.nent, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	r = entries ? 0 : -ENOMEM;
	for (i = 0; !r && i < head.nent; i++) {
		entries[i].function = from[i].function;
		entries[i].eax = from[i].eax;
		entries[i].ebx = from[i].ebx;
		entries[i].ecx = from[i].ecx;
		entries[i].edx = from[i].edx;
	}
	kvfree(from);
	if (!r)
		r = install(vcpu, entries, head.nent);
	if (r)
		kvfree(entries);
	return r;
}

static int get_cpuid2(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_cpuid2 __user *user = argp;
	struct kvm_cpuid2 head;
	int nent = vcpu->arch.cpuid.nent;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (head.nent < nent)
		return -E2BIG;
	if (copy_to_user(user->entries, vcpu->arch.cpuid.entries,
			 nent * sizeof(struct kvm_cpuid_entry2)))
		return -EFAULT;
	return put_user(nent, &user->nent);
}

/**
 * kvm_cpuid_ioctl() - KVM_SET_CPUID, KVM_SET_CPUID2, KVM_GET_CPUID2
 * @vcpu: the vCPU, loaded
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0; -E2BIG for too many entries, or too little room; -EINVAL for an
 * address width no CPU has, or a change after the guest has run; -EFAULT; -ENOMEM;
 * -ENOTTY for any other request.
 */
long kvm_cpuid_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	switch (ioctl) {
	case KVM_SET_CPUID:
		return set_cpuid(vcpu, argp);
	case KVM_SET_CPUID2:
		return set_cpuid2(vcpu, argp);
	case KVM_GET_CPUID2:
		return get_cpuid2(vcpu, argp);
	default:
		return -ENOTTY;
	}
}
