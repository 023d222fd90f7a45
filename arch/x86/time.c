// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time as guests see it: the TSC with its offset and scale, the paravirtual clock
 * and steal time (Documentation/virt/kvm/x86/{timekeeping,msr}.rst, KVM_GET_CLOCK
 * in api.rst).
 *
 * Where the host's TSC is the same on all CPUs and never stops, the clock of a VM
 * is one pair (host TSC, nanoseconds) taken once; from there on it goes by the
 * TSC alone, for every vCPU and for KVM_GET_CLOCK, so that no two readings can
 * contradict each other. The pair is taken anew only when user space sets the
 * clock or the host has slept. Elsewhere each vCPU gets a fresh pair of its own
 * whenever it comes to a CPU, and the guest is not told that it may compare them.
 */
#include <linux/irq_work.h>
#include <linux/kvm_para.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <asm/pvclock.h>
#include <asm/tsc.h>

#include "arch/x86/kvm_x86.h"
#include "module/internal.h"

#define STEAL_RESERVED		0x3eull
#define TSC_TOLERANCE_PPM	250

/* ---- the host's TSC --------------------------------------------------------------- */

/**
 * kvm_host_tsc_khz() - frequency of the host's TSC
 */
unsigned int kvm_host_tsc_khz(void)
{
	return tsc_khz;
}

static bool host_tsc_stable(void)
{
	/* the kernel's own judgement: it looks at constancy, CPUs and frequency scaling */
	return !check_tsc_unstable();
}

/* TSC and CLOCK_BOOTTIME at the same moment. */
static void read_pair(u64 *tsc, u64 *ns)
{
	unsigned long flags;

	local_irq_save(flags);
	*ns = ktime_get_boottime_ns();
	*tsc = rdtsc_ordered();
	local_irq_restore(flags);
}

/**
 * kvm_pvclock_scale() - multiplier and shift that turn TSC counts into ns
 * @khz: TSC frequency
 * @mult: set to the multiplier, 32 bits of fraction
 * @shift: set to the shift to be made first, negative for right
 */
void kvm_pvclock_scale(u32 khz, u32 *mult, s8 *shift)
{
	u64 hz = khz * 1000ull, target = NSEC_PER_SEC;
	s8 s = 0;

	/* bring the frequency close to 1 GHz, so that the quotient has 32 bits */
	while (hz > target * 2) {
		hz >>= 1;
		s--;
	}
	while (hz <= target) {
		hz <<= 1;
		s++;
	}
	*mult = div64_u64(target << 32, hz);
	*shift = s;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_pvclock_scale);

static u64 host_cycles_to_ns(u64 cycles)
{
	u32 mult;
	s8 shift;

	kvm_pvclock_scale(tsc_khz, &mult, &shift);
	return pvclock_scale_delta(cycles, mult, shift);
}

/* ---- the guest's TSC ------------------------------------------------------ */

static u64 scale_tsc(struct kvm_vcpu *vcpu, u64 tsc)
{
	u64 ratio = vcpu->arch.tsc_scaling_ratio;

	return ratio ? mul_u64_u64_shr(tsc, ratio, kvm_be.tsc_scaling_frac_bits) : tsc;
}

/**
 * kvm_read_guest_tsc() - the guest's TSC at a moment
 * @vcpu: the vCPU
 * @host_tsc: the host's at that moment
 */
u64 kvm_read_guest_tsc(struct kvm_vcpu *vcpu, u64 host_tsc)
{
	return scale_tsc(vcpu, host_tsc) + vcpu->arch.tsc_offset;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_read_guest_tsc);

/**
 * kvm_nested_tsc() - the TSC as L2 has it, if it is L2 that runs
 * @vcpu: the vCPU
 * @tsc: as L1 has it at that moment
 */
u64 kvm_nested_tsc(struct kvm_vcpu *vcpu, u64 tsc)
{
	u64 ratio = vcpu->arch.nested_tsc_ratio;

	if (unlikely(ratio))
		tsc = mul_u64_u64_shr(tsc, ratio, kvm_be.tsc_scaling_frac_bits);
	return tsc + vcpu->arch.nested_tsc_offset;
}

static void set_offset(struct kvm_vcpu *vcpu, u64 offset)
{
	vcpu->arch.tsc_offset = offset;
	kvm_be_call(write_tsc)(vcpu);
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

/*
 * User space sets the TSCs of a VM's CPUs one after the other and means them to
 * be the same: a value that is about where another vCPU of the same frequency has
 * come to meanwhile gets that one's offset.
 */
static u64 synchronized_offset(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_arch *ka = &vcpu->kvm->arch;
	u64 offset = data - scale_tsc(vcpu, rdtsc()), ns = ktime_get_boottime_ns();
	u32 khz = vcpu->arch.virtual_tsc_khz;
	unsigned long flags;
	u64 expected, away;

	raw_spin_lock_irqsave(&ka->tsc_write_lock, flags);
	if (host_tsc_stable() && ka->last_tsc_khz == khz && khz) {
		expected = ka->last_tsc_write +
			   mul_u64_u64_div_u64(ns - ka->last_tsc_nsec, khz, 1000000);
		away = data > expected ? data - expected : expected - data;
		if (!data || away < (u64)khz * 1000)
			offset = ka->last_tsc_offset;
	}
	ka->last_tsc_nsec = ns;
	ka->last_tsc_write = scale_tsc(vcpu, rdtsc()) + offset;
	ka->last_tsc_khz = khz;
	ka->last_tsc_offset = offset;
	raw_spin_unlock_irqrestore(&ka->tsc_write_lock, flags);
	return offset;
}

/**
 * kvm_write_guest_tsc() - WRMSR of IA32_TSC
 * @vcpu: the vCPU
 * @data: value
 * @host: user space writes it
 */
void kvm_write_guest_tsc(struct kvm_vcpu *vcpu, u64 data, bool host)
{
	u64 delta;

	if (host) {
		set_offset(vcpu, synchronized_offset(vcpu, data));
		return;
	}
	/* SDM vol. 3, 17.17.3: IA32_TSC_ADJUST goes along */
	delta = data - kvm_read_guest_tsc(vcpu, rdtsc());
	vcpu->arch.ia32_tsc_adjust_msr += delta;
	set_offset(vcpu, vcpu->arch.tsc_offset + delta);
}

/**
 * kvm_adjust_guest_tsc() - move the guest's TSC
 * @vcpu: the vCPU
 * @delta: by so many counts
 */
void kvm_adjust_guest_tsc(struct kvm_vcpu *vcpu, s64 delta)
{
	set_offset(vcpu, vcpu->arch.tsc_offset + delta);
}

static void set_khz(struct kvm_vcpu *vcpu, u32 khz, u64 ratio)
{
	vcpu->arch.virtual_tsc_khz = khz;
	vcpu->arch.tsc_scaling_ratio = ratio;
	kvm_pvclock_scale(khz, &vcpu->arch.virtual_tsc_mult,
			  &vcpu->arch.virtual_tsc_shift);
}

static int check_khz(u32 khz, u64 *ratio)
{
	u32 tolerance = div_u64((u64)tsc_khz * TSC_TOLERANCE_PPM, 1000000);
	u8 frac = kvm_be.tsc_scaling_frac_bits;

	*ratio = 0;
	if (!khz || !tsc_khz)
		return -EINVAL;
	if (abs((s64)khz - (s64)tsc_khz) <= tolerance)
		return 0;
	if (!frac)
		return -EINVAL;
	*ratio = mul_u64_u32_div(1ull << frac, khz, tsc_khz);
	return *ratio && *ratio <= kvm_be.max_tsc_scaling_ratio ? 0 : -EINVAL;
}

static int set_vcpu_khz(struct kvm_vcpu *vcpu, u32 khz)
{
	u64 ratio, now;

	if (!khz)
		khz = tsc_khz;
	if (check_khz(khz, &ratio))
		return -EINVAL;
	now = kvm_read_guest_tsc(vcpu, rdtsc());
	set_khz(vcpu, khz, ratio);
	/* it goes on from where it is, at another pace */
	set_offset(vcpu, now - scale_tsc(vcpu, rdtsc()));
	return 0;
}

/* ---- the VM's clock ------------------------------------------------------- */

/* pvclock_sc's lock held */
static void take_base(struct kvm *kvm, u64 clock)
{
	u64 tsc, ns;

	read_pair(&tsc, &ns);
	kvm->arch.use_master_clock = host_tsc_stable();
	kvm->arch.master_cycle_now = tsc;
	kvm->arch.master_kernel_ns = ns;
	kvm->arch.kvmclock_offset = clock - ns;
}

struct clock_base {
	bool stable;
	u64 tsc, ns;		/* the pair; ns on the VM's clock */
	s64 offset;		/* from the host's to the VM's */
};

static void get_base(struct kvm *kvm, struct clock_base *b)
{
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&kvm->arch.pvclock_sc);
		b->stable = kvm->arch.use_master_clock;
		b->tsc = kvm->arch.master_cycle_now;
		b->offset = kvm->arch.kvmclock_offset;
		b->ns = kvm->arch.master_kernel_ns + b->offset;
	} while (read_seqcount_retry(&kvm->arch.pvclock_sc, seq));
}

static u64 clock_at(struct kvm *kvm, u64 host_tsc, u64 host_ns, bool *stable)
{
	struct clock_base b;

	get_base(kvm, &b);
	if (stable)
		*stable = b.stable;
	if (b.stable)
		return b.ns + host_cycles_to_ns(host_tsc - b.tsc);
	return host_ns + b.offset;
}

/**
 * kvm_get_kvmclock_ns() - the VM's clock now
 * @kvm: the VM
 *
 * Return: nanoseconds.
 */
u64 kvm_get_kvmclock_ns(struct kvm *kvm)
{
	u64 tsc, ns;

	read_pair(&tsc, &ns);
	return clock_at(kvm, tsc, ns, NULL);
}

static void set_clock(struct kvm *kvm, u64 clock)
{
	struct kvm_vcpu *vcpu;
	unsigned long i, flags;

	raw_spin_lock_irqsave(&kvm->arch.tsc_write_lock, flags);
	write_seqcount_begin(&kvm->arch.pvclock_sc);
	take_base(kvm, clock);
	write_seqcount_end(&kvm->arch.pvclock_sc);
	raw_spin_unlock_irqrestore(&kvm->arch.tsc_write_lock, flags);

	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}

/* Write the guest's copy, so that a reader on another CPU sees old or new. pvclock_lock held. */
static void write_pvclock(struct kvm_vcpu *vcpu)
{
	struct kvm_pvclock *pv = &vcpu->arch.pv_time;
	struct pvclock_vcpu_time_info *hv = &pv->hv;
	struct kvm *kvm = vcpu->kvm;
	struct clock_base b;
	bool stopped;
	u32 version;
	u64 tsc, ns;
	u8 flags;

	get_base(kvm, &b);
	if (b.stable) {
		tsc = b.tsc;
		ns = b.ns;
	} else {
		read_pair(&tsc, &ns);
		ns += b.offset;
	}
	/* whoever wrote there before us may have left any version */
	if (kvm_read_guest(kvm, pv->gpa, &version, sizeof(version)) ||
	    kvm_read_guest(kvm, pv->gpa + offsetof(struct pvclock_vcpu_time_info, flags), &flags,
			   sizeof(flags)))
		return;
	version = (version | 1) + (version & 1 ? 2 : 0);

	hv->version = version;
	hv->tsc_timestamp = kvm_read_guest_tsc(vcpu, tsc);
	hv->system_time = ns;
	hv->tsc_to_system_mul = vcpu->arch.virtual_tsc_mult;
	hv->tsc_shift = vcpu->arch.virtual_tsc_shift;
	/* that it was stopped stays until the guest has seen it */
	hv->flags = (b.stable ? PVCLOCK_TSC_STABLE_BIT : 0) | (flags & PVCLOCK_GUEST_STOPPED);
	if (kvm_write_guest(kvm, pv->gpa, &version, sizeof(version)))
		return;
	stopped = xchg(&pv->set_guest_stopped, false);
	if (stopped)
		hv->flags |= PVCLOCK_GUEST_STOPPED;
	smp_wmb();	/* odd, content, even: the guest's reader relies on it */
	if (kvm_write_guest(kvm, pv->gpa + sizeof(version), (void *)hv + sizeof(version),
			    sizeof(*hv) - sizeof(version)) && stopped)
		WRITE_ONCE(pv->set_guest_stopped, true);
	smp_wmb();	/* odd, content, even */
	version++;
	kvm_write_guest(kvm, pv->gpa, &version, sizeof(version));
}

/*
 * The clock's requests. Linux' vDSO reads the first CPU's copy on every CPU, so no vCPU may
 * enter on a new base before all copies are of that base: whoever comes first writes all.
 */
static void update_pvclocks(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_vcpu *other;
	unsigned int base;
	unsigned long i;

	/* its holder may wait for user space, which may want this thread to leave */
	if (mutex_lock_interruptible(&kvm->arch.pvclock_lock)) {
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
		return;
	}
	base = read_seqcount_begin(&kvm->arch.pvclock_sc);
	if (kvm->arch.pvclock_written != base) {
		kvm_for_each_vcpu(i, other, kvm)
			if (other != vcpu && other->arch.pv_time.enabled)
				write_pvclock(other);
		kvm->arch.pvclock_written = base;
	}
	if (vcpu->arch.pv_time.enabled)
		write_pvclock(vcpu);
	mutex_unlock(&kvm->arch.pvclock_lock);
}

static void write_wall_clock(struct kvm *kvm, gpa_t gpa)
{
	struct pvclock_wall_clock wc = {};
	struct timespec64 ts;
	u32 version;

	if (!gpa || kvm_read_guest(kvm, gpa, &version, sizeof(version)))
		return;
	version = (version | 1) + (version & 1 ? 2 : 0);
	if (kvm_write_guest(kvm, gpa, &version, sizeof(version)))
		return;
	ts = ns_to_timespec64(ktime_get_real_ns() - kvm_get_kvmclock_ns(kvm));
	wc.sec = ts.tv_sec;
	wc.nsec = ts.tv_nsec;
	smp_wmb();	/* as above */
	kvm_write_guest(kvm, gpa + sizeof(version), (void *)&wc + sizeof(version),
			sizeof(wc) - sizeof(version));
	smp_wmb();	/* odd, content, even */
	version++;
	kvm_write_guest(kvm, gpa, &version, sizeof(version));
}

/* ---- pairs of times --------------------------------------------------------- */

/**
 * kvm_clock_pairing() - tell the guest its TSC and the host's wall clock at one moment
 * @vcpu: the vCPU, kvm->srcu held
 * @gpa: where to, a struct kvm_clock_pairing
 * @type: of clock
 *
 * Return: 0; -KVM_EOPNOTSUPP for another clock, or when the host does not go by its TSC;
 * -KVM_EFAULT.
 */
long kvm_clock_pairing(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned long type)
{
	struct kvm_clock_pairing pair = {};
	struct timespec64 ts;
	unsigned long flags;
	u64 tsc, ns;

	if (type != KVM_CLOCK_PAIRING_WALLCLOCK ||
	    !READ_ONCE(vcpu->kvm->arch.use_master_clock))
		return -KVM_EOPNOTSUPP;
	local_irq_save(flags);
	ns = ktime_get_real_ns();
	tsc = rdtsc_ordered();
	local_irq_restore(flags);

	ts = ns_to_timespec64(ns);
	pair.sec = ts.tv_sec;
	pair.nsec = ts.tv_nsec;
	pair.tsc = kvm_read_guest_tsc(vcpu, tsc);
	return kvm_write_guest(vcpu->kvm, gpa, &pair, sizeof(pair)) ? -KVM_EFAULT : 0;
}

/* ---- steal time ----------------------------------------------------------- */

static bool steal_enabled(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.st.msr_val & KVM_MSR_ENABLED;
}

static gpa_t steal_gpa(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.st.msr_val & ~(STEAL_RESERVED | KVM_MSR_ENABLED);
}

/* The vCPU runs again; did another one ask for a flush in the meantime? */
static void clear_preempted(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = steal_gpa(vcpu) + offsetof(struct kvm_steal_time, preempted);
	u8 old, new = 0;
	int r, tries = 10;

	do {
		if (kvm_read_guest(vcpu->kvm, gpa, &old, 1))
			return;
		r = old ? kvm_cmpxchg_guest(vcpu->kvm, gpa, &old, &new, 1) : 0;
	} while (r > 0 && --tries);
	/* others write there without end: not into the guest before it is 0 */
	if (r > 0) {
		kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
		return;
	}
	/* carried out before the entry: kvm_time_handle_requests() comes before it */
	if ((old & KVM_VCPU_FLUSH_TLB) && kvm_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH))
		kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	vcpu->arch.st.preempted = 0;
}

/* From now on count what this thread waits for a CPU: another one's time is no guest's. */
static void begin_steal(struct kvm_vcpu *vcpu)
{
	vcpu->arch.st.last_steal = current->sched_info.run_delay;
	vcpu->arch.st.tid = task_pid_nr(current);
}

static void record_steal(struct kvm_vcpu *vcpu)
{
	struct kvm_hva_cache *c = &vcpu->arch.st.cache;
	u64 delay = current->sched_info.run_delay;
	struct kvm *kvm = vcpu->kvm;
	u32 version;
	u64 steal;

	if (!steal_enabled(vcpu))
		return;
	clear_preempted(vcpu);
	if (vcpu->arch.st.tid != task_pid_nr(current))
		begin_steal(vcpu);
	if (kvm_read_guest_cached(kvm, c, &steal,
				  offsetof(struct kvm_steal_time, steal), sizeof(steal)) ||
	    kvm_read_guest_cached(kvm, c, &version,
				  offsetof(struct kvm_steal_time, version), sizeof(version)))
		return;
	version = (version | 1) + (version & 1 ? 2 : 0);
	kvm_write_guest_cached(kvm, c, &version,
			       offsetof(struct kvm_steal_time, version), sizeof(version));
	smp_wmb();	/* odd, content, even */
	steal += delay - vcpu->arch.st.last_steal;
	vcpu->arch.st.last_steal = delay;
	kvm_write_guest_cached(kvm, c, &steal,
			       offsetof(struct kvm_steal_time, steal), sizeof(steal));
	smp_wmb();	/* odd, content, even */
	version++;
	kvm_write_guest_cached(kvm, c, &version,
			       offsetof(struct kvm_steal_time, version), sizeof(version));
}

/* The thread was preempted: tell the guest's other CPUs, if that needs no sleep. */
static void note_preempted(struct kvm_vcpu *vcpu)
{
	u8 flag = KVM_VCPU_PREEMPTED;
	int idx;

	if (!steal_enabled(vcpu) || vcpu->arch.st.preempted ||
	    vcpu->kvm->mm != current->mm)
		return;
	vcpu->stat.preemption_reported++;
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	pagefault_disable();
	if (!kvm_write_guest_cached(vcpu->kvm, &vcpu->arch.st.cache, &flag,
				    offsetof(struct kvm_steal_time, preempted), 1))
		vcpu->arch.st.preempted = flag;
	pagefault_enable();
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

static int set_steal_msr(struct kvm_vcpu *vcpu, u64 data)
{
	if (!sched_info_on() || (data & STEAL_RESERVED))
		return 1;
	vcpu->arch.st.msr_val = data;
	if (!(data & KVM_MSR_ENABLED))
		return 0;
	kvm_hva_cache_init(vcpu->kvm, &vcpu->arch.st.cache, steal_gpa(vcpu),
			   sizeof(struct kvm_steal_time));
	begin_steal(vcpu);
	vcpu->arch.st.preempted = 0;
	kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
	return 0;
}

/* ---- MSRs and requests ---------------------------------------------------- */

/* Afterwards nobody writes to where the copy was. */
static void set_pvclock_msr(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_pvclock *pv = &vcpu->arch.pv_time;

	mutex_lock(&vcpu->kvm->arch.pvclock_lock);
	pv->msr = data;
	pv->gpa = data & ~(gpa_t)1;
	pv->enabled = data & 1;
	mutex_unlock(&vcpu->kvm->arch.pvclock_lock);
}

/**
 * kvm_time_handle_requests() - bring the guest's copies up to date
 * @vcpu: the vCPU, in its thread, kvm->srcu held
 *
 * Return: 1.
 */
int kvm_time_handle_requests(struct kvm_vcpu *vcpu)
{
	if (kvm_check_request(KVM_REQ_MASTERCLOCK_UPDATE, vcpu)) {
		struct clock_base b;

		/* the TSC of the base may be no more: by the host's clock */
		get_base(vcpu->kvm, &b);
		set_clock(vcpu->kvm, ktime_get_boottime_ns() + b.offset);
	}
	if (kvm_check_request(KVM_REQ_CLOCK_UPDATE, vcpu))
		update_pvclocks(vcpu);
	if (kvm_check_request(KVM_REQ_STEAL_UPDATE, vcpu))
		record_steal(vcpu);
	return 1;
}

/**
 * kvm_time_get_msr() - RDMSR of a clock MSR
 * @vcpu: the vCPU
 * @msr: index; value is filled
 *
 * Return: 0; 1 for #GP; KVM_MSR_RET_INVALID when it is none of these.
 */
int kvm_time_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	unsigned int feature;

	switch (msr->index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		feature = KVM_FEATURE_CLOCKSOURCE;
		break;
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_SYSTEM_TIME_NEW:
		feature = KVM_FEATURE_CLOCKSOURCE2;
		break;
	case MSR_KVM_STEAL_TIME:
		feature = KVM_FEATURE_STEAL_TIME;
		break;
	default:
		return KVM_MSR_RET_INVALID;
	}
	if (!msr->host_initiated && !kvm_pv_has(vcpu, feature))
		return 1;
	switch (msr->index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		msr->data = vcpu->kvm->arch.wall_clock_msr;
		break;
	case MSR_KVM_STEAL_TIME:
		msr->data = vcpu->arch.st.msr_val;
		break;
	default:
		msr->data = vcpu->arch.pv_time.msr;
		break;
	}
	return 0;
}

/**
 * kvm_time_set_msr() - WRMSR of a clock MSR
 * @vcpu: the vCPU, kvm->srcu held
 * @msr: index and value
 *
 * Return: as kvm_time_get_msr().
 */
int kvm_time_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	struct kvm_msr_data allowed = *msr;
	int r = kvm_time_get_msr(vcpu, &allowed);

	if (r)
		return r;
	switch (msr->index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		vcpu->kvm->arch.wall_clock_msr = msr->data;
		write_wall_clock(vcpu->kvm, msr->data);
		return 0;
	case MSR_KVM_STEAL_TIME:
		return set_steal_msr(vcpu, msr->data);
	default:
		set_pvclock_msr(vcpu, msr->data);
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
		return 0;
	}
}

/**
 * kvm_time_vcpu_reset() - RESET or INIT: where the guest's copies were is another one's soon
 * @vcpu: the vCPU
 */
void kvm_time_vcpu_reset(struct kvm_vcpu *vcpu)
{
	set_pvclock_msr(vcpu, 0);
	vcpu->arch.st.msr_val = 0;
}

/* ---- ioctls --------------------------------------------------------------- */

static int get_clock_ioctl(struct kvm *kvm, void __user *argp)
{
	struct kvm_clock_data data = {};
	u64 tsc, ns;
	bool stable;

	read_pair(&tsc, &ns);
	data.clock = clock_at(kvm, tsc, ns, &stable);
	if (stable) {
		data.flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME |
			     KVM_CLOCK_HOST_TSC;
		data.host_tsc = tsc;
		data.realtime = ktime_get_real_ns();
	}
	return copy_to_user(argp, &data, sizeof(data)) ? -EFAULT : 0;
}

static int set_clock_ioctl(struct kvm *kvm, void __user *argp)
{
	struct kvm_clock_data data;
	u64 now;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	/* TSC_STABLE and HOST_TSC tell something, they cannot be asked for */
	if (data.flags & ~(u32)KVM_CLOCK_REALTIME)
		return -EINVAL;
	if (data.flags & KVM_CLOCK_REALTIME) {
		now = ktime_get_real_ns();
		/* the time since it was read; a clock that went back does not count */
		if (now > data.realtime)
			data.clock += now - data.realtime;
	}
	set_clock(kvm, data.clock);
	return 0;
}

/**
 * kvm_time_vm_ioctl() - KVM_{GET,SET}_CLOCK, KVM_{GET,SET}_TSC_KHZ on a VM
 * @kvm: the VM
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0 or the frequency in kHz; -EINVAL; -EFAULT; -ENOTTY for any other request.
 */
long kvm_time_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	unsigned long khz = (unsigned long)argp;
	u64 ratio;

	switch (ioctl) {
	case KVM_GET_CLOCK:
		return get_clock_ioctl(kvm, argp);
	case KVM_SET_CLOCK:
		return set_clock_ioctl(kvm, argp);
	case KVM_SET_TSC_KHZ:
		if (!khz)
			khz = tsc_khz;
		if (khz > U32_MAX || check_khz(khz, &ratio))
			return -EINVAL;
		WRITE_ONCE(kvm->arch.default_tsc_khz, khz);
		return 0;
	case KVM_GET_TSC_KHZ:
		return READ_ONCE(kvm->arch.default_tsc_khz);
	default:
		return -ENOTTY;
	}
}

static long tsc_offset_attr(struct kvm_vcpu *vcpu, unsigned int ioctl,
			    void __user *argp)
{
	struct kvm_device_attr attr;
	u64 __user *addr;
	u64 offset;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	if (attr.group != KVM_VCPU_TSC_CTRL || attr.attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	addr = (u64 __user *)(unsigned long)attr.addr;
	if ((unsigned long)addr != attr.addr)
		return -EFAULT;
	switch (ioctl) {
	case KVM_GET_DEVICE_ATTR:
		return put_user(vcpu->arch.tsc_offset, addr);
	case KVM_SET_DEVICE_ATTR:
		if (get_user(offset, addr))
			return -EFAULT;
		set_offset(vcpu, offset);
		return 0;
	default:
		return 0;
	}
}

/**
 * kvm_time_vcpu_ioctl() - KVM_{GET,SET}_TSC_KHZ, KVM_KVMCLOCK_CTRL, TSC offset
 * @vcpu: the vCPU, loaded
 * @ioctl: request
 * @arg: its argument
 *
 * Return: 0 or the frequency in kHz; -EINVAL for a frequency the CPU cannot give, or
 * a guest without the clock; -ENXIO for another attribute; -EFAULT; -ENOTTY for any
 * other request.
 */
long kvm_time_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, unsigned long arg)
{
	switch (ioctl) {
	case KVM_SET_TSC_KHZ:
		return arg > U32_MAX ? -EINVAL : set_vcpu_khz(vcpu, arg);
	case KVM_GET_TSC_KHZ:
		return vcpu->arch.virtual_tsc_khz;
	case KVM_KVMCLOCK_CTRL:
		if (!vcpu->arch.pv_time.enabled)
			return -EINVAL;
		vcpu->arch.pv_time.set_guest_stopped = true;
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
		return 0;
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return tsc_offset_attr(vcpu, ioctl, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* ---- life cycle ----------------------------------------------------------- */

/*
 * The host's TSC is not to be trusted any more. vCPUs that come to a CPU see it by
 * themselves; those that stay on theirs are told.
 */
static void tell_unstable(struct work_struct *work)
{
	struct kvm *kvm;

	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &kvm_vm_list, vm_list)
		kvm_make_all_cpus_request(kvm, KVM_REQ_MASTERCLOCK_UPDATE);
	mutex_unlock(&kvm_lock);
}

static DECLARE_WORK(unstable_work, tell_unstable);

static void queue_unstable(struct irq_work *work)
{
	schedule_work(&unstable_work);
}

static DEFINE_IRQ_WORK(unstable_irq_work, queue_unstable);

/* At each tick of the host's timekeeping, whose locks are held. */
static int timekeeping_event(struct notifier_block *nb, unsigned long unused, void *data)
{
	static bool told;

	if (unlikely(!host_tsc_stable()) && !told) {
		told = true;
		irq_work_queue(&unstable_irq_work);
	}
	return NOTIFY_OK;
}

static struct notifier_block timekeeping_notifier = {
	.notifier_call = timekeeping_event,
};

/**
 * kvm_time_module_init() - hear of the host's TSC
 *
 * Return: 0.
 */
int kvm_time_module_init(void)
{
	pvclock_gtod_register_notifier(&timekeeping_notifier);
	return 0;
}

/**
 * kvm_time_module_exit() - no more
 */
void kvm_time_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&timekeeping_notifier);
	irq_work_sync(&unstable_irq_work);
	cancel_work_sync(&unstable_work);
}

/**
 * kvm_time_vm_init() - a VM's clock begins at 0
 * @kvm: the VM
 */
void kvm_time_vm_init(struct kvm *kvm)
{
	raw_spin_lock_init(&kvm->arch.tsc_write_lock);
	seqcount_raw_spinlock_init(&kvm->arch.pvclock_sc, &kvm->arch.tsc_write_lock);
	mutex_init(&kvm->arch.pvclock_lock);
	kvm->arch.default_tsc_khz = tsc_khz;
	set_clock(kvm, 0);
}

/**
 * kvm_time_vm_destroy() - nothing to free
 * @kvm: the VM
 */
void kvm_time_vm_destroy(struct kvm *kvm)
{
}

/**
 * kvm_time_vcpu_create() - a vCPU's TSC has the VM's frequency
 * @vcpu: the vCPU
 */
void kvm_time_vcpu_create(struct kvm_vcpu *vcpu)
{
	u32 khz = READ_ONCE(vcpu->kvm->arch.default_tsc_khz) ?: 1000000;
	u64 ratio = 0;

	check_khz(khz, &ratio);
	set_khz(vcpu, khz, ratio);
}

/**
 * kvm_time_vcpu_postcreate() - its TSC begins with those of the other vCPUs
 * @vcpu: the vCPU, visible; its mutex is held
 */
void kvm_time_vcpu_postcreate(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_load(vcpu);
	kvm_write_guest_tsc(vcpu, 0, true);
	kvm_vcpu_put(vcpu);
}

/* The host's TSC went back while the host slept: the guest's goes on, and its timer. */
static void catch_up(struct kvm_vcpu *vcpu)
{
	u64 delta = vcpu->arch.tsc_slept;

	vcpu->arch.tsc_slept = 0;
	if (vcpu->arch.timer_tsc)
		vcpu->arch.timer_tsc -= delta;
	if (vcpu->arch.entry_tsc)
		vcpu->arch.entry_tsc -= delta;
	set_offset(vcpu, vcpu->arch.tsc_offset + scale_tsc(vcpu, delta));
}

/**
 * kvm_time_vcpu_load() - the vCPU came to this CPU
 * @vcpu: the vCPU; preemption off
 * @cpu: this CPU
 */
void kvm_time_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	u64 tsc = rdtsc(), last = vcpu->arch.last_host_tsc;

	if (unlikely(vcpu->arch.tsc_slept))
		catch_up(vcpu);
	/* the host's TSCs differ: a guest's never goes back */
	if (unlikely(tsc < last) &&
	    (!host_tsc_stable() || last - tsc > (u64)tsc_khz * 1000)) {
		set_offset(vcpu, vcpu->arch.tsc_offset +
			   scale_tsc(vcpu, last) - scale_tsc(vcpu, tsc));
		kvm_make_request(KVM_REQ_MASTERCLOCK_UPDATE, vcpu);
	}
	/* no more to be trusted: every guest must learn that */
	if (unlikely(READ_ONCE(vcpu->kvm->arch.use_master_clock) && !host_tsc_stable()))
		kvm_make_request(KVM_REQ_MASTERCLOCK_UPDATE, vcpu);
	if (vcpu->cpu != cpu && !READ_ONCE(vcpu->kvm->arch.use_master_clock))
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
	if (steal_enabled(vcpu))
		kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
}

/**
 * kvm_time_vcpu_put() - the vCPU leaves this CPU
 * @vcpu: the vCPU; preemption off
 */
void kvm_time_vcpu_put(struct kvm_vcpu *vcpu)
{
	vcpu->arch.last_host_tsc = rdtsc();
	if (READ_ONCE(vcpu->preempted))
		note_preempted(vcpu);
}

/**
 * kvm_arch_sync_clocks_suspend() - the host is about to sleep
 * @kvm: the VM
 *
 * Its guests' watchdogs are told that the time lost is not their fault.
 */
void kvm_arch_sync_clocks_suspend(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		vcpu->arch.pv_time.set_guest_stopped = true;
		kvm_make_request(KVM_REQ_MASTERCLOCK_UPDATE, vcpu);
	}
}

/**
 * kvm_arch_resume() - the host has slept: its TSC may have begun anew
 * @vms: the list of VMs; nothing else runs, interrupts are off
 *
 * All TSCs of guests go on where the one that was read last was, by the same amount, so that
 * those of one guest do not differ. A TSC that went on is left as it is.
 */
void kvm_arch_resume(struct list_head *vms)
{
	u64 now = rdtsc(), last = now;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	struct kvm *kvm;

	list_for_each_entry(kvm, vms, vm_list)
		kvm_for_each_vcpu(i, vcpu, kvm)
			last = max(last, vcpu->arch.last_host_tsc);

	list_for_each_entry(kvm, vms, vm_list) {
		kvm_for_each_vcpu(i, vcpu, kvm) {
			vcpu->arch.tsc_slept += last - now;
			vcpu->arch.last_host_tsc = min(vcpu->arch.last_host_tsc, now);
			kvm_make_request(KVM_REQ_MASTERCLOCK_UPDATE, vcpu);
		}
		/* what comes next is no continuation of what was written before */
		kvm->arch.last_tsc_khz = 0;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_arch_resume);
