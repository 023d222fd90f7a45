// SPDX-License-Identifier: GPL-2.0-only
/*
 * Performance counters for the guest: on Intel's CPUs architectural performance
 * monitoring, version 2 at most (Intel SDM vol. 3, chapter 20), on AMD's the four
 * counters that there have always been, or the six of PerfCtrExtCore (AMD APM
 * vol. 2, 13.2).
 *
 * No value of the guest's reaches the hardware. A counter that is to count has an
 * event of perf's, bound to the vCPU's thread, which counts in the guest only, and
 * perf is the one that knows the CPU, shares its counters with the host's users
 * and says when the period is over, which is when the guest's counter overflows.
 *
 * A register that is written makes counters *stale*; their events are made to fit
 * before the next entry, by the vCPU's thread, which may sleep. perf's handler runs
 * in an NMI: it notes the counter and asks for the same, and an irq_work makes the
 * guest exit. Nothing is done here for a guest that has no counter running.
 *
 * Not there: freezing (no bit of DEBUGCTL can be set), PEBS, LBR, AnyThread, AMD's
 * PerfMonV2 and northbridge counters.
 */
#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/perf_event.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/pmu.h"
#include "module/compat/pmu.h"

static bool enable_pmu = true;
module_param(enable_pmu, bool, 0444);
MODULE_PARM_DESC(enable_pmu, "Guests may have performance counters, where perf has (default: on)");

#define FILTER_MAX_EVENTS	300	/* api.rst, KVM_SET_PMU_EVENT_FILTER */
#define PMU_VERSION		2
#define PERF_CAP_FULL_WRITES	BIT_ULL(13)	/* of IA32_PERF_CAPABILITIES */

#define AMD_GP			4
#define AMD_GP_CORE		6
#define AMD_WIDTH		48

/* fields of a general counter's control */
#define SELECT_EVENT(amd)	(ARCH_PERFMON_EVENTSEL_EVENT | ((amd) ? GENMASK_ULL(35, 32) : 0))
#define SELECT_RAW(amd)		(X86_RAW_EVENT_MASK | SELECT_EVENT(amd))
#define INTEL_SELECT_RESERVED	(GENMASK_ULL(63, 32) | ARCH_PERFMON_EVENTSEL_ANY)
/* what has no meaning, or not for a guest: it reads as 0 */
#define AMD_SELECT_RESERVED	(GENMASK_ULL(63, 36) | ARCH_PERFMON_EVENTSEL_ANY |	\
				 ARCH_PERFMON_EVENTSEL_PIN_CONTROL)
/* of a fixed counter's four */
#define FIXED_KERNEL		BIT(0)
#define FIXED_USER		BIT(1)
#define FIXED_PMI		BIT(3)

/* beside the counters' bits, what IA32_PERF_GLOBAL_OVF_CTRL clears: SDM figure 20-3 */
#define OVF_EXTRA		GENMASK_ULL(63, 62)

/* instructions and branches retired, of which we carry out some: event and unit mask */
#define INTEL_INSNS		0x00c0
#define INTEL_BRANCHES		0x00c4
#define AMD_INSNS		0x00c0
#define AMD_BRANCHES		0x00c2

static const u64 fixed_events[KVM_PMU_MAX_FIXED] = {
	PERF_COUNT_HW_INSTRUCTIONS, PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_REF_CPU_CYCLES,
};

/* What this host can give: set when a backend comes; no version: nothing. */
static struct {
	u8 version;
	u8 nr_gp, nr_fixed;
	u8 gp_width, fixed_width;
	u8 mask_len;
	u32 events_mask;
	u64 perf_capabilities;
	bool amd;
} host;

/* ---- pure ---------------------------------------------------------------------- */

static bool one_of(u32 index, u32 first, unsigned int count, unsigned int *n)
{
	*n = index - first;
	return index >= first && *n < count;
}

static enum kvm_pmu_reg decode_amd(u32 index, unsigned int *n)
{
	if (one_of(index, MSR_K7_EVNTSEL0, AMD_GP, n))
		return KVM_PMU_SELECT;
	if (one_of(index, MSR_K7_PERFCTR0, AMD_GP, n))
		return KVM_PMU_COUNTER;
	if (one_of(index, MSR_F15H_PERF_CTL, 2 * AMD_GP_CORE, n)) {
		bool counter = *n & 1;

		*n /= 2;
		return counter ? KVM_PMU_COUNTER : KVM_PMU_SELECT;
	}
	return KVM_PMU_NONE;
}

/**
 * kvm_pmu_decode_msr() - which register of the counters an MSR is
 * @amd: on AMD's CPUs; else on Intel's
 * @index: MSR
 * @n: filled with the counter's number, where it belongs to one
 *
 * Return: which; KVM_PMU_NONE. There may be fewer counters than it knows.
 */
enum kvm_pmu_reg kvm_pmu_decode_msr(bool amd, u32 index, unsigned int *n)
{
	*n = 0;
	if (amd)
		return decode_amd(index, n);
	switch (index) {
	case MSR_CORE_PERF_FIXED_CTR_CTRL:
		return KVM_PMU_FIXED_CTRL;
	case MSR_CORE_PERF_GLOBAL_STATUS:
		return KVM_PMU_STATUS;
	case MSR_CORE_PERF_GLOBAL_CTRL:
		return KVM_PMU_GLOBAL_CTRL;
	case MSR_CORE_PERF_GLOBAL_OVF_CTRL:
		return KVM_PMU_OVF_CTRL;
	}
	if (one_of(index, MSR_P6_EVNTSEL0, KVM_PMU_MAX_GP, n))
		return KVM_PMU_SELECT;
	if (one_of(index, MSR_P6_PERFCTR0, KVM_PMU_MAX_GP, n))
		return KVM_PMU_COUNTER;
	if (one_of(index, MSR_IA32_PMC0, KVM_PMU_MAX_GP, n))
		return KVM_PMU_COUNTER_FULL;
	if (one_of(index, MSR_CORE_PERF_FIXED_CTR0, KVM_PMU_MAX_FIXED, n))
		return KVM_PMU_FIXED;
	return KVM_PMU_NONE;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pmu_decode_msr);

/**
 * kvm_pmu_decode_rdpmc() - which counter RDPMC means
 * @amd: on AMD's CPUs: ECX is its number. On Intel's with architectural counters the
 *	upper half of ECX is their kind (SDM vol. 2, RDPMC); bit 31 is no fast mode there
 * @ecx: the guest's ECX
 * @fixed: filled: a fixed one
 *
 * Return: its number, of counters that there may not be; -1: no kind that there is.
 */
int kvm_pmu_decode_rdpmc(bool amd, u32 ecx, bool *fixed)
{
	u32 kind = amd ? 0 : ecx >> 16;
	u32 n = amd ? ecx : (u16)ecx;

	*fixed = kind == INTEL_PMC_FIXED_RDPMC_BASE >> 16;
	if ((kind && !*fixed) || n > U16_MAX)
		return -1;
	return n;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pmu_decode_rdpmc);

/**
 * kvm_pmu_filter_event_valid() - may a filter with masks have this event
 * @amd: on AMD's CPUs, whose events have four more bits
 * @event: as user space gave it (KVM_PMU_ENCODE_MASKED_ENTRY)
 */
bool kvm_pmu_filter_event_valid(bool amd, u64 event)
{
	return !(event & ~(SELECT_EVENT(amd) | KVM_PMU_MASKED_ENTRY_UMASK_MASK |
			   KVM_PMU_MASKED_ENTRY_UMASK_MATCH | KVM_PMU_MASKED_ENTRY_EXCLUDE));
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pmu_filter_event_valid);

/* KVM_SET_PMU_EVENT_FILTER in api.rst: one that includes it, and none that excludes it */
static bool masked_match(const struct kvm_oot_pmu_filter *f, bool amd, u64 select)
{
	u64 unit = (select & ARCH_PERFMON_EVENTSEL_UMASK) >> 8;
	bool included = false;
	u32 i;

	for (i = 0; i < f->nr; i++) {
		u64 e = f->events[i];

		if ((e ^ select) & SELECT_EVENT(amd))
			continue;
		if ((unit & (e >> 56)) != ((e & KVM_PMU_MASKED_ENTRY_UMASK_MATCH) >> 8))
			continue;
		if (e & KVM_PMU_MASKED_ENTRY_EXCLUDE)
			return false;
		included = true;
	}
	return included;
}

/**
 * kvm_pmu_filter_allows() - may a general counter count this
 * @f: the filter
 * @amd: on AMD's CPUs
 * @select: its control
 */
bool kvm_pmu_filter_allows(const struct kvm_oot_pmu_filter *f, bool amd, u64 select)
{
	u64 event = select & (SELECT_EVENT(amd) | ARCH_PERFMON_EVENTSEL_UMASK);
	bool match = false;
	u32 i;

	if (f->masked)
		match = masked_match(f, amd, select);
	else
		for (i = 0; !match && i < f->nr; i++)
			match = f->events[i] == event;
	return match == f->allow;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pmu_filter_allows);

/* ---- what the host has ----------------------------------------------------------- */

/**
 * kvm_pmu_backend_init() - find out what can be given to guests; the backend is known
 *
 * The parameter enable_pmu then tells whether there is anything.
 */
void kvm_pmu_backend_init(void)
{
	struct x86_pmu_capability cap = {};

	memset(&host, 0, sizeof(host));
	host.amd = kvm_be.exit_reason_isa == KVM_OOT_ISA_SVM;
	kvm_cpuid_clear_cap(X86_FEATURE_PERFCTR_CORE);
	kvm_cpuid_clear_cap(X86_FEATURE_PDCM);
	if (enable_pmu && kvm_be.switches_pmu)
		kvm_compat_pmu_capability(&cap);
	/* on Intel's architectural ones; AMD's have no version before PerfMonV2 */
	if ((!host.amd && !cap.version) || cap.num_counters_gp < (host.amd ? AMD_GP : 1)) {
		enable_pmu = false;
		return;
	}

	if (host.amd) {
		bool core = boot_cpu_has(X86_FEATURE_PERFCTR_CORE) &&
			    cap.num_counters_gp >= AMD_GP_CORE;

		host.version = 1;
		host.nr_gp = core ? AMD_GP_CORE : AMD_GP;
		host.gp_width = AMD_WIDTH;
		if (core)
			kvm_cpuid_set_cap(X86_FEATURE_PERFCTR_CORE);
		return;
	}
	host.version = min(cap.version, PMU_VERSION);
	host.nr_gp = min(cap.num_counters_gp, KVM_PMU_MAX_GP);
	host.gp_width = clamp(cap.bit_width_gp, 32, 62);
	if (host.version > 1) {
		host.nr_fixed = min(cap.num_counters_fixed, KVM_PMU_MAX_FIXED);
		host.fixed_width = clamp(cap.bit_width_fixed, 32, 62);
	}
	host.events_mask = cap.events_mask;
	host.mask_len = cap.events_mask_len;
	/* counters are numbers here: they can be written in full on any CPU that can tell it */
	if (boot_cpu_has(X86_FEATURE_PDCM)) {
		host.perf_capabilities = PERF_CAP_FULL_WRITES;
		kvm_cpuid_set_cap(X86_FEATURE_PDCM);
	}
}

/**
 * kvm_pmu_available() - can guests have counters
 */
bool kvm_pmu_available(void)
{
	return host.version;
}

/**
 * kvm_pmu_perf_capabilities() - bits that a guest's IA32_PERF_CAPABILITIES may have
 */
u64 kvm_pmu_perf_capabilities(void)
{
	return host.perf_capabilities;
}

/**
 * kvm_pmu_cpuid_leaf() - leaf 0xa of KVM_GET_SUPPORTED_CPUID
 * @e: filled, but for its number (SDM vol. 2, CPUID)
 */
void kvm_pmu_cpuid_leaf(struct kvm_cpuid_entry2 *e)
{
	e->eax = 0;
	e->ebx = 0;
	e->ecx = 0;
	e->edx = 0;
	if (!host.version || host.amd)
		return;
	e->eax = host.version | host.nr_gp << 8 | host.gp_width << 16 | (u32)host.mask_len << 24;
	e->ebx = host.events_mask;
	/* AnyThread is deprecated: it is not there */
	e->edx = host.nr_fixed | host.fixed_width << 5 | BIT(15);
}

/**
 * kvm_pmu_list_msrs() - registers for KVM_GET_MSR_INDEX_LIST
 * @list: filled; room for KVM_PMU_MAX_MSRS
 *
 * Return: how many.
 */
unsigned int kvm_pmu_list_msrs(u32 *list)
{
	unsigned int n = 0, i;

	if (!host.version)
		return 0;
	if (host.amd) {
		for (i = 0; i < AMD_GP; i++) {
			list[n++] = MSR_K7_EVNTSEL0 + i;
			list[n++] = MSR_K7_PERFCTR0 + i;
		}
		for (i = 0; host.nr_gp == AMD_GP_CORE && i < 2 * AMD_GP_CORE; i++)
			list[n++] = MSR_F15H_PERF_CTL + i;
		return n;
	}
	for (i = 0; i < host.nr_gp; i++) {
		list[n++] = MSR_P6_EVNTSEL0 + i;
		list[n++] = MSR_P6_PERFCTR0 + i;
	}
	if (host.perf_capabilities)
		list[n++] = MSR_IA32_PERF_CAPABILITIES;
	if (host.version < 2)
		return n;
	for (i = 0; i < host.nr_fixed; i++)
		list[n++] = MSR_CORE_PERF_FIXED_CTR0 + i;
	list[n++] = MSR_CORE_PERF_FIXED_CTR_CTRL;
	list[n++] = MSR_CORE_PERF_GLOBAL_STATUS;
	list[n++] = MSR_CORE_PERF_GLOBAL_CTRL;
	list[n++] = MSR_CORE_PERF_GLOBAL_OVF_CTRL;
	return n;
}

/* ---- counters ---------------------------------------------------------------------- */

static bool is_fixed(const struct kvm_pmc *pmc)
{
	return pmc->bit >= KVM_PMU_FIXED_BIT;
}

static struct kvm_pmc *pmc_of_bit(struct kvm_pmu *pmu, unsigned int bit)
{
	return bit >= KVM_PMU_FIXED_BIT ? &pmu->fixed[bit - KVM_PMU_FIXED_BIT] : &pmu->gp[bit];
}

/* Counters that a guest has: a local variable walks over their bits. */
#define pmu_for_each_pmc(pmu, pmc, set, bits)						\
	for ((set) = (bits) & (pmu)->all;						\
	     (set) && ((pmc) = pmc_of_bit((pmu), __ffs64(set)));			\
	     (set) &= (set) - 1)

static u64 value_mask(const struct kvm_pmu *pmu, const struct kvm_pmc *pmc)
{
	return is_fixed(pmc) ? pmu->fixed_mask : pmu->gp_mask;
}

static u8 fixed_control(const struct kvm_pmu *pmu, const struct kvm_pmc *pmc)
{
	return (pmu->fixed_ctrl >> (4 * (pmc->bit - KVM_PMU_FIXED_BIT))) & 0xf;
}

static bool wants_pmi(const struct kvm_pmu *pmu, const struct kvm_pmc *pmc)
{
	return is_fixed(pmc) ? fixed_control(pmu, pmc) & FIXED_PMI :
			       pmc->select & ARCH_PERFMON_EVENTSEL_INT;
}

/* Any context, an NMI included. */
static void mark_stale(struct kvm_vcpu *vcpu, u64 bits)
{
	if (!bits)
		return;
	atomic64_or(bits, &vcpu->arch.pmu->stale);
	kvm_make_request(KVM_REQ_PMU, vcpu);
}

/* perf: the period is over. In an NMI, on the CPU where the vCPU's thread is. */
static void event_overflowed(struct perf_event *event, struct perf_sample_data *data,
			     struct pt_regs *regs)
{
	struct kvm_pmc *pmc = event->overflow_handler_context;
	struct kvm_pmu *pmu = pmc->vcpu->arch.pmu;

	WRITE_ONCE(pmc->overflowed, true);
	atomic64_or(BIT_ULL(pmc->bit), &pmu->overflows);
	mark_stale(pmc->vcpu, BIT_ULL(pmc->bit));
	irq_work_queue(&pmu->kick);
}

static void kick(struct irq_work *work)
{
	struct kvm_pmu *pmu = container_of(work, struct kvm_pmu, kick);

	kvm_vcpu_kick(pmu->gp[0].vcpu);
}

/* Which have overflowed, and with an interrupt, by the controls that they had. */
static void take_overflows(struct kvm_pmu *pmu)
{
	u64 bits, set;
	struct kvm_pmc *pmc;

	if (!atomic64_read(&pmu->overflows))
		return;
	bits = atomic64_xchg(&pmu->overflows, 0);
	if (pmu->version > 1)
		pmu->global_status |= bits & pmu->all;
	pmu_for_each_pmc(pmu, pmc, set, bits)
		if (wants_pmi(pmu, pmc))
			pmu->pmi = true;
}

/*
 * Stop the event, if it runs, and take over what was counted. perf does not always get to
 * say that the period is over: not when it is stopped at that moment.
 */
static void stop(struct kvm_pmu *pmu, struct kvm_pmc *pmc)
{
	u64 mask = value_mask(pmu, pmc), counted = 0;

	if (pmc->running) {
		counted = perf_event_pause(pmc->event, true);
		pmc->running = false;
	}
	counted += pmc->emulated;
	pmc->emulated = 0;
	if (counted > mask - pmc->value && !READ_ONCE(pmc->overflowed))
		atomic64_or(BIT_ULL(pmc->bit), &pmu->overflows);
	WRITE_ONCE(pmc->overflowed, false);
	pmc->value = (pmc->value + counted) & mask;
}

static void drop_event(struct kvm_pmu *pmu, struct kvm_pmc *pmc)
{
	stop(pmu, pmc);
	if (pmc->event)
		perf_event_release_kernel(pmc->event);
	pmc->event = NULL;
}

static u64 read_value(struct kvm_pmu *pmu, struct kvm_pmc *pmc)
{
	u64 value = pmc->value + pmc->emulated, enabled, running;

	if (pmc->running)
		value += perf_event_read_value(pmc->event, &enabled, &running);
	return value & value_mask(pmu, pmc);
}

static bool filter_allows(struct kvm_vcpu *vcpu, const struct kvm_pmc *pmc)
{
	const struct kvm_oot_pmu_filter *f;

	f = srcu_dereference(vcpu->kvm->arch.pmu_filter, &vcpu->kvm->srcu);
	if (!f)
		return true;
	if (is_fixed(pmc))
		return !!(f->fixed & BIT(pmc->bit - KVM_PMU_FIXED_BIT)) == f->allow;
	return kvm_pmu_filter_allows(f, host.amd, pmc->select);
}

/* Is it to count? Then @want says what, and where. */
static bool is_to_count(struct kvm_pmu *pmu, struct kvm_pmc *pmc, struct kvm_pmc *want)
{
	if (pmu->version > 1 && !(pmu->global_ctrl & BIT_ULL(pmc->bit)))
		return false;
	if (is_fixed(pmc)) {
		u8 control = fixed_control(pmu, pmc);

		want->type = PERF_TYPE_HARDWARE;
		want->config = fixed_events[pmc->bit - KVM_PMU_FIXED_BIT];
		want->user = control & FIXED_USER;
		want->kernel = control & FIXED_KERNEL;
	} else {
		if (!(pmc->select & ARCH_PERFMON_EVENTSEL_ENABLE))
			return false;
		want->type = PERF_TYPE_RAW;
		want->config = pmc->select & SELECT_RAW(host.amd);
		want->user = pmc->select & ARCH_PERFMON_EVENTSEL_USR;
		want->kernel = pmc->select & ARCH_PERFMON_EVENTSEL_OS;
	}
	return (want->user || want->kernel) && filter_allows(pmc->vcpu, pmc);
}

/* Until it overflows; not 1, which with some events means something else to perf: BTS. */
static u64 period(struct kvm_pmu *pmu, const struct kvm_pmc *pmc)
{
	return max(value_mask(pmu, pmc) - pmc->value + 1, 2ull);
}

static void make_event(struct kvm_pmu *pmu, struct kvm_pmc *pmc, const struct kvm_pmc *want)
{
	struct perf_event_attr attr = {
		.type = want->type,
		.size = sizeof(attr),
		.config = want->config,
		.sample_period = period(pmu, pmc),
		.pinned = true,
		.exclude_host = true,
		.exclude_user = !want->user,
		.exclude_kernel = !want->kernel,
	};
	struct perf_event *event;

	event = perf_event_create_kernel_counter(&attr, -1, current, event_overflowed, pmc);
	if (IS_ERR(event)) {
		/* no such event on this CPU, or no counter for it: it does not count */
		pr_debug_ratelimited("kvm: vcpu %d: no event for counter %u: %ld\n",
				     pmc->vcpu->vcpu_id, pmc->bit, PTR_ERR(event));
		return;
	}
	pmc->event = event;
	pmc->type = want->type;
	pmc->config = want->config;
	pmc->user = want->user;
	pmc->kernel = want->kernel;
	pmc->running = true;
}

static bool resume_event(struct kvm_pmu *pmu, struct kvm_pmc *pmc, const struct kvm_pmc *want)
{
	if (!pmc->event || pmc->type != want->type || pmc->config != want->config ||
	    pmc->user != want->user || pmc->kernel != want->kernel ||
	    perf_event_period(pmc->event, period(pmu, pmc)))
		return false;
	perf_event_enable(pmc->event);
	pmc->running = true;
	return true;
}

/* Does it count what we carry out, too? */
static void note_insns(struct kvm_pmu *pmu, struct kvm_pmc *pmc, bool counts)
{
	u64 bit = BIT_ULL(pmc->bit);
	u64 what = pmc->select & (SELECT_EVENT(host.amd) | ARCH_PERFMON_EVENTSEL_UMASK);

	pmu->count_insns &= ~bit;
	pmu->count_branches &= ~bit;
	if (!counts)
		return;
	if (is_fixed(pmc) ? pmc->bit == KVM_PMU_FIXED_BIT :
	    what == (host.amd ? AMD_INSNS : INTEL_INSNS))
		pmu->count_insns |= bit;
	else if (!is_fixed(pmc) && what == (host.amd ? AMD_BRANCHES : INTEL_BRANCHES))
		pmu->count_branches |= bit;
}

/* Have a counter's event as the guest's registers and the filter want it. */
static void program(struct kvm_pmu *pmu, struct kvm_pmc *pmc)
{
	struct kvm_pmc want = {};
	bool count = is_to_count(pmu, pmc, &want);

	stop(pmu, pmc);
	note_insns(pmu, pmc, count);
	if (!count || resume_event(pmu, pmc, &want))
		return;
	drop_event(pmu, pmc);
	make_event(pmu, pmc, &want);
}

/**
 * kvm_pmu_handle_request() - KVM_REQ_PMU: make events fit, deliver the interrupt
 * @vcpu: the vCPU, loaded by the thread that runs it, SRCU held; may sleep
 */
void kvm_pmu_handle_request(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	struct kvm_pmc *pmc;
	u64 set;

	if (!pmu)
		return;
	take_overflows(pmu);
	pmu_for_each_pmc(pmu, pmc, set, atomic64_xchg(&pmu->stale, 0))
		program(pmu, pmc);
	vcpu->arch.pmu_counts_insns = pmu->count_insns | pmu->count_branches;
	take_overflows(pmu);
	if (pmu->pmi) {
		pmu->pmi = false;
		if (kvm_lapic_in_kernel(vcpu))
			kvm_lapic_pmi(vcpu);
	}
}

/**
 * kvm_pmu_set_thread() - KVM_RUN begins: perf's events are those of a thread
 * @vcpu: the vCPU, loaded
 */
void kvm_pmu_set_thread(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	struct kvm_pmc *pmc;
	u64 set;

	if (pmu->owner == current)
		return;
	pmu_for_each_pmc(pmu, pmc, set, pmu->all) {
		if (!pmc->event)
			continue;
		drop_event(pmu, pmc);
		mark_stale(vcpu, BIT_ULL(pmc->bit));
	}
	pmu->owner = current;
}

/**
 * kvm_pmu_count_insn() - an instruction was carried out for the guest
 * @vcpu: the vCPU, loaded; interrupts may be off
 * @branch: it was a branch
 */
void kvm_pmu_count_insn(struct kvm_vcpu *vcpu, bool branch)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	u64 bits = pmu->count_insns | (branch ? pmu->count_branches : 0), set, counted = 0;
	bool kernel = kvm_be_call(get_cpl)(vcpu) == 0;
	struct kvm_pmc *pmc;

	pmu_for_each_pmc(pmu, pmc, set, bits) {
		u8 control = is_fixed(pmc) ? fixed_control(pmu, pmc) :
			(pmc->select & ARCH_PERFMON_EVENTSEL_USR ? FIXED_USER : 0) |
			(pmc->select & ARCH_PERFMON_EVENTSEL_OS ? FIXED_KERNEL : 0);

		if (!(control & (kernel ? FIXED_KERNEL : FIXED_USER)))
			continue;
		pmc->emulated++;
		counted |= BIT_ULL(pmc->bit);
	}
	/* it may have overflowed */
	mark_stale(vcpu, counted);
}

/* ---- registers --------------------------------------------------------------------- */

/* The counter of a register that this vCPU has; NULL: it has no such one. */
static struct kvm_pmc *find_pmc(struct kvm_vcpu *vcpu, enum kvm_pmu_reg reg, u32 index,
				unsigned int n)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;

	if (reg == KVM_PMU_FIXED)
		return n < pmu->nr_fixed ?
			&pmu->fixed[array_index_nospec(n, KVM_PMU_MAX_FIXED)] : NULL;
	if (n >= pmu->nr_gp)
		return NULL;
	if (host.amd && index >= MSR_F15H_PERF_CTL && !guest_has(vcpu, X86_FEATURE_PERFCTR_CORE))
		return NULL;
	if (reg == KVM_PMU_COUNTER_FULL &&
	    !(guest_has(vcpu, X86_FEATURE_PDCM) &&
	      vcpu->arch.perf_capabilities & PERF_CAP_FULL_WRITES))
		return NULL;
	return &pmu->gp[array_index_nospec(n, KVM_PMU_MAX_GP)];
}

/*
 * A register that this vCPU has not. Those of the first CPUs with counters read as 0 and drop
 * what is written, as with the in-tree module, since old guests do not ask for them. Of the
 * others user space may read as 0, and write 0 to, what was listed.
 */
static int missing(const struct kvm_msr_data *msr, bool write)
{
	enum kvm_pmu_reg reg;
	unsigned int n;

	switch (msr->index) {
	case MSR_P6_PERFCTR0 ... MSR_P6_PERFCTR1:
	case MSR_P6_EVNTSEL0 ... MSR_P6_EVNTSEL1:
	case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3:
		return 0;
	}
	if (!msr->host_initiated || !host.version || (write && msr->data))
		return KVM_MSR_RET_INVALID;
	reg = kvm_pmu_decode_msr(host.amd, msr->index, &n);
	if (reg == KVM_PMU_NONE || reg == KVM_PMU_COUNTER_FULL ||
	    n >= (reg == KVM_PMU_FIXED ? host.nr_fixed : host.nr_gp) ||
	    (reg >= KVM_PMU_FIXED && host.version < 2))
		return KVM_MSR_RET_INVALID;
	return 0;
}

/* Which register it is of a vCPU that has such ones. Its number may be too high. */
static enum kvm_pmu_reg find_reg(const struct kvm_pmu *pmu, u32 index, unsigned int *n)
{
	enum kvm_pmu_reg reg;

	if (!pmu || !pmu->version)
		return KVM_PMU_NONE;
	reg = kvm_pmu_decode_msr(host.amd, index, n);
	return reg >= KVM_PMU_FIXED && pmu->version < 2 ? KVM_PMU_NONE : reg;
}

static int get_perf_capabilities(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	if (!msr->host_initiated && !guest_has(vcpu, X86_FEATURE_PDCM))
		return 1;
	msr->data = vcpu->arch.perf_capabilities;
	return 0;
}

/**
 * kvm_pmu_get_msr() - RDMSR of a register of the counters
 * @vcpu: the vCPU, loaded
 * @msr: index; value is filled
 *
 * Return: 0, 1 for #GP, KVM_MSR_RET_INVALID when it is none that there is.
 */
int kvm_pmu_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	enum kvm_pmu_reg reg;
	struct kvm_pmc *pmc;
	unsigned int n;

	if (msr->index == MSR_IA32_PERF_CAPABILITIES)
		return get_perf_capabilities(vcpu, msr);
	reg = find_reg(pmu, msr->index, &n);
	msr->data = 0;
	if (reg == KVM_PMU_NONE)
		return missing(msr, false);

	switch (reg) {
	case KVM_PMU_FIXED_CTRL:
		msr->data = pmu->fixed_ctrl;
		return 0;
	case KVM_PMU_STATUS:
		take_overflows(pmu);
		msr->data = pmu->global_status;
		return 0;
	case KVM_PMU_GLOBAL_CTRL:
		msr->data = pmu->global_ctrl;
		return 0;
	case KVM_PMU_OVF_CTRL:
		return 0;
	default:
		break;
	}
	pmc = find_pmc(vcpu, reg, msr->index, n);
	if (!pmc)
		return missing(msr, false);
	msr->data = reg == KVM_PMU_SELECT ? pmc->select : read_value(pmu, pmc);
	return 0;
}

static void set_counter(struct kvm_pmu *pmu, struct kvm_pmc *pmc, u64 data)
{
	stop(pmu, pmc);
	/* by the controls that it has */
	take_overflows(pmu);
	pmc->value = data & value_mask(pmu, pmc);
	mark_stale(pmc->vcpu, BIT_ULL(pmc->bit));
}

static int set_pmc(struct kvm_pmu *pmu, struct kvm_pmc *pmc, enum kvm_pmu_reg reg,
		   const struct kvm_msr_data *msr)
{
	u64 data = msr->data;

	switch (reg) {
	case KVM_PMU_SELECT:
		if (host.amd)
			data &= ~pmu->select_reserved;
		else if (data & pmu->select_reserved)
			return 1;
		if (data == pmc->select)
			return 0;
		pmc->select = data;
		mark_stale(pmc->vcpu, BIT_ULL(pmc->bit));
		return 0;
	case KVM_PMU_COUNTER_FULL:
		if (data & ~pmu->gp_mask)
			return 1;
		break;
	case KVM_PMU_COUNTER:
		/* SDM 20.2.8: a guest writes 32 bits, which are extended by their sign */
		if (!host.amd && !msr->host_initiated)
			data = (s64)(s32)data;
		break;
	default:
		break;
	}
	set_counter(pmu, pmc, data);
	return 0;
}

static int set_fixed_ctrl(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	u64 changed = pmu->fixed_ctrl ^ data, bits = 0;
	unsigned int i;

	if (data & pmu->fixed_ctrl_reserved)
		return 1;
	for (i = 0; i < pmu->nr_fixed; i++)
		if ((changed >> (4 * i)) & 0xf)
			bits |= BIT_ULL(KVM_PMU_FIXED_BIT + i);
	pmu->fixed_ctrl = data;
	mark_stale(vcpu, bits);
	return 0;
}

static int set_global(struct kvm_vcpu *vcpu, enum kvm_pmu_reg reg, const struct kvm_msr_data *msr)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	u64 data = msr->data, changed;

	switch (reg) {
	case KVM_PMU_STATUS:
		if (!msr->host_initiated || data & ~(pmu->all | OVF_EXTRA))
			return 1;
		pmu->global_status = data;
		return 0;
	case KVM_PMU_GLOBAL_CTRL:
		if (data & ~pmu->all)
			return 1;
		changed = pmu->global_ctrl ^ data;
		pmu->global_ctrl = data;
		mark_stale(vcpu, changed);
		return 0;
	default:
		if (data & ~(pmu->all | OVF_EXTRA))
			return 1;
		/* it holds nothing: user space has nothing to restore */
		if (!msr->host_initiated)
			pmu->global_status &= ~data;
		return 0;
	}
}

static int set_perf_capabilities(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	if (!msr->host_initiated || msr->data & ~host.perf_capabilities)
		return 1;
	if (KVM_FEATURE_MSRS_FIXED && vcpu->stat.exits && msr->data != vcpu->arch.perf_capabilities)
		return 1;
	vcpu->arch.perf_capabilities = msr->data;
	return 0;
}

/**
 * kvm_pmu_set_msr() - WRMSR of a register of the counters
 * @vcpu: the vCPU, loaded
 * @msr: index and value
 *
 * Return: as kvm_pmu_get_msr().
 */
int kvm_pmu_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	enum kvm_pmu_reg reg;
	struct kvm_pmc *pmc;
	unsigned int n;

	if (msr->index == MSR_IA32_PERF_CAPABILITIES)
		return set_perf_capabilities(vcpu, msr);
	reg = find_reg(pmu, msr->index, &n);
	if (reg == KVM_PMU_NONE)
		return missing(msr, true);
	/* what has overflowed did so by the controls as they are now */
	take_overflows(pmu);
	if (reg == KVM_PMU_FIXED_CTRL)
		return set_fixed_ctrl(vcpu, msr->data);
	if (reg > KVM_PMU_FIXED_CTRL)
		return set_global(vcpu, reg, msr);
	pmc = find_pmc(vcpu, reg, msr->index, n);
	if (!pmc)
		return missing(msr, true);
	return set_pmc(pmu, pmc, reg, msr);
}

/**
 * kvm_pmu_rdpmc() - carry out RDPMC, whose permission has been checked
 * @vcpu: the vCPU, loaded
 * @ecx: which counter
 * @data: filled
 *
 * Return: 0, 1 for #GP.
 */
int kvm_pmu_rdpmc(struct kvm_vcpu *vcpu, u32 ecx, u64 *data)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	bool fixed;
	int n = kvm_pmu_decode_rdpmc(host.amd, ecx, &fixed);

	if (!pmu || !pmu->version || n < 0 || n >= (fixed ? pmu->nr_fixed : pmu->nr_gp))
		return 1;
	n = array_index_nospec(n, fixed ? KVM_PMU_MAX_FIXED : KVM_PMU_MAX_GP);
	*data = read_value(pmu, fixed ? &pmu->fixed[n] : &pmu->gp[n]);
	return 0;
}

/* ---- vCPU ---------------------------------------------------------------------------- */

/**
 * kvm_pmu_vcpu_create() - counters for a vCPU, where its VM has them
 * @vcpu: a new vCPU
 *
 * Return: 0; -ENOMEM.
 */
int kvm_pmu_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu;
	unsigned int i;

	if (!host.version || vcpu->kvm->arch.pmu_disabled)
		return 0;
	pmu = kzalloc(sizeof(*pmu), GFP_KERNEL_ACCOUNT);
	if (!pmu)
		return -ENOMEM;
	init_irq_work(&pmu->kick, kick);
	for (i = 0; i < KVM_PMU_MAX_GP; i++) {
		pmu->gp[i].vcpu = vcpu;
		pmu->gp[i].bit = i;
	}
	for (i = 0; i < KVM_PMU_MAX_FIXED; i++) {
		pmu->fixed[i].vcpu = vcpu;
		pmu->fixed[i].bit = KVM_PMU_FIXED_BIT + i;
	}
	vcpu->arch.pmu = pmu;
	/* before it is given one */
	kvm_pmu_cpuid_changed(vcpu);
	return 0;
}

/* Everything off, as after RESET. */
static void clear_state(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	struct kvm_pmc *pmc;
	u64 set;

	pmu_for_each_pmc(pmu, pmc, set, pmu->all) {
		drop_event(pmu, pmc);
		pmc->value = 0;
		pmc->select = 0;
	}
	irq_work_sync(&pmu->kick);
	atomic64_set(&pmu->stale, 0);
	atomic64_set(&pmu->overflows, 0);
	pmu->pmi = false;
	pmu->fixed_ctrl = 0;
	pmu->global_status = 0;
	pmu->count_insns = 0;
	pmu->count_branches = 0;
	vcpu->arch.pmu_counts_insns = false;
	/* SDM table 10-1: the bits of the general ones are set */
	pmu->global_ctrl = pmu->version > 1 && pmu->nr_gp ? GENMASK_ULL(pmu->nr_gp - 1, 0) : 0;
}

/**
 * kvm_pmu_vcpu_free() - free them
 * @vcpu: the vCPU, which does not run any more
 */
void kvm_pmu_vcpu_free(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.pmu)
		return;
	clear_state(vcpu);
	kfree(vcpu->arch.pmu);
	vcpu->arch.pmu = NULL;
}

/**
 * kvm_pmu_vcpu_reset() - state after RESET; INIT changes nothing
 * @vcpu: the vCPU
 */
void kvm_pmu_vcpu_reset(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.pmu)
		clear_state(vcpu);
}

static void set_shape(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;
	struct kvm_cpuid_entry2 *leaf;
	unsigned int width;
	int i;

	pmu->version = 0;
	pmu->nr_gp = 0;
	pmu->nr_fixed = 0;
	if (host.amd) {
		pmu->version = 1;
		pmu->nr_gp = guest_has(vcpu, X86_FEATURE_PERFCTR_CORE) ? host.nr_gp : AMD_GP;
		pmu->gp_mask = GENMASK_ULL(AMD_WIDTH - 1, 0);
		pmu->select_reserved = AMD_SELECT_RESERVED;
		return;
	}
	leaf = kvm_find_cpuid(vcpu, 0xa, 0);
	width = leaf ? (leaf->eax >> 16) & 0xff : 0;
	if (!leaf || !(leaf->eax & 0xff) || !width)
		return;
	pmu->version = min_t(u8, leaf->eax, host.version);
	pmu->nr_gp = min_t(u8, leaf->eax >> 8, host.nr_gp);
	pmu->gp_mask = GENMASK_ULL(min_t(unsigned int, width, host.gp_width) - 1, 0);
	pmu->select_reserved = INTEL_SELECT_RESERVED;
	pmu->fixed_ctrl_reserved = ~0ull;
	width = (leaf->edx >> 5) & 0xff;
	if (pmu->version < 2 || !width || !host.nr_fixed)
		return;
	pmu->nr_fixed = min_t(u8, leaf->edx & 0x1f, host.nr_fixed);
	pmu->fixed_mask = GENMASK_ULL(min_t(unsigned int, width, host.fixed_width) - 1, 0);
	for (i = 0; i < pmu->nr_fixed; i++)
		pmu->fixed_ctrl_reserved &=
			~((u64)(FIXED_KERNEL | FIXED_USER | FIXED_PMI) << (4 * i));
}

/**
 * kvm_pmu_cpuid_changed() - the guest was given its CPUID, and has not run yet
 * @vcpu: the vCPU, loaded
 */
void kvm_pmu_cpuid_changed(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu->arch.pmu;

	if (!pmu)
		return;
	clear_state(vcpu);
	set_shape(vcpu);
	pmu->all = pmu->nr_gp ? GENMASK_ULL(pmu->nr_gp - 1, 0) : 0;
	if (pmu->nr_fixed)
		pmu->all |= GENMASK_ULL(pmu->nr_fixed - 1, 0) << KVM_PMU_FIXED_BIT;
	clear_state(vcpu);
	/* SDM vol. 4: performance monitoring is available */
	vcpu->arch.ia32_misc_enable_msr &= ~(u64)MSR_IA32_MISC_ENABLE_EMON;
	if (pmu->version && !host.amd)
		vcpu->arch.ia32_misc_enable_msr |= MSR_IA32_MISC_ENABLE_EMON;
}

/* ---- VM ------------------------------------------------------------------------------ */

/**
 * kvm_pmu_set_cap() - KVM_CAP_PMU_CAPABILITY on a VM
 * @kvm: the VM; kvm->lock is held
 * @arg: KVM_PMU_CAP_DISABLE, or 0
 *
 * Return: 0; -EINVAL for other bits, for a VM that has vCPUs already, and where there are no
 * counters in any VM.
 */
int kvm_pmu_set_cap(struct kvm *kvm, u64 arg)
{
	if (!host.version || (arg & ~(u64)KVM_PMU_CAP_DISABLE) || kvm->created_vcpus)
		return -EINVAL;
	kvm->arch.pmu_disabled = arg & KVM_PMU_CAP_DISABLE;
	return 0;
}

static void install_filter(struct kvm *kvm, struct kvm_oot_pmu_filter *new)
{
	struct kvm_oot_pmu_filter *old;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	mutex_lock(&kvm->lock);
	old = rcu_dereference_protected(kvm->arch.pmu_filter, lockdep_is_held(&kvm->lock));
	rcu_assign_pointer(kvm->arch.pmu_filter, new);
	synchronize_srcu(&kvm->srcu);
	/* whoever looked at the old one did so before this */
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->arch.pmu)
			atomic64_or(~0ull, &vcpu->arch.pmu->stale);
	kvm_make_all_cpus_request(kvm, KVM_REQ_PMU);
	mutex_unlock(&kvm->lock);
	kvfree(old);
}

/**
 * kvm_pmu_set_filter() - KVM_SET_PMU_EVENT_FILTER
 * @kvm: the VM
 * @argp: user's struct kvm_pmu_event_filter
 *
 * Return: 0; -EINVAL for an action or a flag that there is not, and for an event with masks
 * that is none; -E2BIG for too many events; -EFAULT; -ENOMEM.
 */
int kvm_pmu_set_filter(struct kvm *kvm, void __user *argp)
{
	struct kvm_pmu_event_filter __user *user = argp;
	struct kvm_pmu_event_filter head;
	struct kvm_oot_pmu_filter *f;
	u32 i;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if ((head.action != KVM_PMU_EVENT_ALLOW && head.action != KVM_PMU_EVENT_DENY) ||
	    (head.flags & ~(u32)KVM_PMU_EVENT_FLAG_MASKED_EVENTS))
		return -EINVAL;
	if (head.nevents > FILTER_MAX_EVENTS)
		return -E2BIG;
	f = kvzalloc(struct_size(f, events, head.nevents), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->allow = head.action == KVM_PMU_EVENT_ALLOW;
	f->masked = head.flags & KVM_PMU_EVENT_FLAG_MASKED_EVENTS;
	f->fixed = head.fixed_counter_bitmap;
	f->nr = head.nevents;
	if (copy_from_user(f->events, user->events, array_size(f->nr, sizeof(u64)))) {
		kvfree(f);
		return -EFAULT;
	}
	for (i = 0; f->masked && i < f->nr; i++) {
		if (!kvm_pmu_filter_event_valid(host.amd, f->events[i])) {
			kvfree(f);
			return -EINVAL;
		}
	}
	install_filter(kvm, f);
	return 0;
}

/**
 * kvm_pmu_free_filter() - free it
 * @kvm: a VM without users
 */
void kvm_pmu_free_filter(struct kvm *kvm)
{
	kvfree(rcu_dereference_protected(kvm->arch.pmu_filter, 1));
	RCU_INIT_POINTER(kvm->arch.pmu_filter, NULL);
}
