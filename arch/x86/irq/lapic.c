// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: registers, priorities, acceptance and end of interrupts, in
 * xAPIC (memory-mapped) and x2APIC (MSR) mode.
 *
 * Intel SDM vol. 3, chapter 11 (APIC), AMD APM vol. 2, chapter 16. The timer is
 * in lapic_timer.c, destinations in lapic_map.c. Not modelled: the thermal LVT
 * holds what is written but nothing raises it. The LVT for corrected machine checks
 * is there when the vCPU's MCG_CAP says so (mce.c).
 *
 * An interrupt is accepted by setting its bit in IRR, from any thread. The vCPU
 * thread moves it to ISR when it is injected, and out of there at EOI.
 *
 * Hardware can do both by itself, on the same register page (hw_delivers). IRR is
 * then its and the vCPU thread's alone: other threads post the vector through the
 * backend, and it is moved to IRR when somebody looks there, or by the CPU.
 */
#include <linux/bitops.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/kvm_para.h>
#include <asm/mce.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/ioapic.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/irq/pic.h"
#include "arch/x86/run.h"

#define LAPIC_VERSION		0x14
#define LAPIC_MAX_LVT		5
#define LVT_MASKED		APIC_LVT_MASKED
#define ICR_BUSY		BIT(12)
#define REMOTE_IRR_BIT		14	/* of LVT LINT0 */
/* ICR of an x2APIC: what must be zero (SDM vol. 3, 11.12.9); the delivery status is ignored */
#define X2APIC_ICR_RESERVED	(GENMASK_ULL(31, 20) | GENMASK_ULL(17, 16) | BIT_ULL(13))
#define SPIV_SW_ENABLE		APIC_SPIV_APIC_ENABLED
/* SVR, with bits that some APICs do not have: focus checking, directed EOI */
#define SPIV_EXISTING		(APIC_VECTOR_MASK | SPIV_SW_ENABLE | BIT(9) | \
				 APIC_SPIV_DIRECTED_EOI)

/* bits of ESR */
#define ESR_SEND_ILLEGAL	5
#define ESR_RECEIVE_ILLEGAL	6
#define ESR_ILLEGAL_REGISTER	7

/* IA32_APIC_BASE: bits that are always reserved */
#define APIC_BASE_RESERVED	0x2ffull

static bool has_cmci(const struct kvm_lapic *apic)
{
	return apic->vcpu->arch.mcg_cap & MCG_CMCI_P;
}

/* The LVTs, of which CMCI's is apart from the others and may be missing. */
static u32 first_lvt(const struct kvm_lapic *apic)
{
	return has_cmci(apic) ? APIC_LVTCMCI : APIC_LVTT;
}

static u32 next_lvt(u32 reg)
{
	return reg == APIC_LVTCMCI ? APIC_LVTT : reg + 0x10;
}

#define lapic_for_each_lvt(reg, apic) \
	for ((reg) = first_lvt(apic); (reg) <= APIC_LVTERR; (reg) = next_lvt(reg))

/* LVT bits that exist, by register */
static u32 lvt_bits(u32 reg)
{
	u32 common = APIC_VECTOR_MASK | APIC_SEND_PENDING | LVT_MASKED;

	switch (reg) {
	case APIC_LVTT:
		return common | APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE;
	case APIC_LVTCMCI:
	case APIC_LVTTHMR:
	case APIC_LVTPC:
		return common | APIC_MODE_MASK;
	case APIC_LVT0:
	case APIC_LVT1:
		return common | APIC_MODE_MASK | APIC_INPUT_POLARITY |
		       APIC_LVT_REMOTE_IRR | APIC_LVT_LEVEL_TRIGGER;
	default:
		return common;
	}
}

/* ---- identity -------------------------------------------------------------------- */

/**
 * kvm_lapic_mode() - mode that a value of IA32_APIC_BASE selects
 * @base: the value
 *
 * Return: enum kvm_lapic_mode.
 */
unsigned int kvm_lapic_mode(u64 base)
{
	return base & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
}
EXPORT_SYMBOL_GPL(kvm_lapic_mode);

/**
 * kvm_vcpu_is_bsp() - is it the CPU that starts by itself
 * @vcpu: the vCPU
 */
bool kvm_vcpu_is_bsp(struct kvm_vcpu *vcpu)
{
	return vcpu->vcpu_id == READ_ONCE(vcpu->kvm->arch.bsp_vcpu_id);
}

/**
 * kvm_lapic_enabled() - enabled both by IA32_APIC_BASE and by software
 * @vcpu: the vCPU
 */
bool kvm_lapic_enabled(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	return apic && kvm_lapic_hw_enabled(apic) && READ_ONCE(apic->sw_enabled);
}

/* ---- priorities ----------------------------------------------------------- */

/**
 * kvm_lapic_highest() - highest bit of a 256-bit register
 * @apic: the APIC
 * @reg: APIC_IRR, APIC_ISR or APIC_TMR
 *
 * Return: the vector, or -1.
 */
int kvm_lapic_highest(struct kvm_lapic *apic, unsigned int reg)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 word = kvm_lapic_reg(apic, reg + i * 0x10);

		if (word)
			return i * 32 + __fls(word);
	}
	return -1;
}
EXPORT_SYMBOL_GPL(kvm_lapic_highest);

/* Have in IRR what was posted; for the vCPU's thread. */
static void sync_irr(struct kvm_vcpu *vcpu)
{
	if (kvm_be.posts_intr)
		kvm_be_call(sync_irr)(vcpu);
}

/**
 * kvm_lapic_find_highest_irr() - highest vector that waits
 * @vcpu: the vCPU, with a LAPIC in the kernel
 *
 * Return: the vector, or -1.
 */
int kvm_lapic_find_highest_irr(struct kvm_vcpu *vcpu)
{
	sync_irr(vcpu);
	return kvm_lapic_highest(vcpu->arch.apic, APIC_IRR);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_find_highest_irr);

/**
 * kvm_lapic_update_ppr() - compute the processor priority, SDM 11.8.3.1
 * @apic: the APIC
 *
 * A vector becomes deliverable when it falls: then the vCPU looks again.
 */
void kvm_lapic_update_ppr(struct kvm_lapic *apic)
{
	u32 tpr = kvm_lapic_reg(apic, APIC_TASKPRI) & 0xff;
	int isr = kvm_lapic_highest(apic, APIC_ISR);
	u32 old = kvm_lapic_reg(apic, APIC_PROCPRI), ppr;

	if (isr < 0 || (tpr & 0xf0) >= (isr & 0xf0))
		ppr = tpr;
	else
		ppr = isr & 0xf0;
	if (ppr == old)
		return;
	kvm_lapic_set_reg(apic, APIC_PROCPRI, ppr);
	if (ppr < old)
		kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_update_ppr);

/* The vector that may be delivered now, or -1. */
static int deliverable(struct kvm_lapic *apic)
{
	int vec = kvm_lapic_find_highest_irr(apic->vcpu);

	if (vec < 0)
		return -1;
	kvm_lapic_update_ppr(apic);
	return (vec & 0xf0) > (kvm_lapic_reg(apic, APIC_PROCPRI) & 0xf0) ? vec : -1;
}

/**
 * kvm_lapic_get_cr8() - the task priority as CR8 shows it
 * @vcpu: the vCPU
 */
u64 kvm_lapic_get_cr8(struct kvm_vcpu *vcpu)
{
	return (kvm_lapic_reg(vcpu->arch.apic, APIC_TASKPRI) & 0xf0) >> 4;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_get_cr8);

/**
 * kvm_lapic_set_tpr() - set the task priority through CR8
 * @vcpu: the vCPU
 * @cr8: 0 to 15
 */
void kvm_lapic_set_tpr(struct kvm_vcpu *vcpu, unsigned long cr8)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	kvm_lapic_set_reg(apic, APIC_TASKPRI, (cr8 & 0xf) << 4);
	kvm_lapic_update_ppr(apic);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_set_tpr);

/* ---- acceptance ----------------------------------------------------------- */

/*
 * An error, which ESR shows when it is written next. LVT ERR tells of the first since then
 * only (SDM 11.5.3), which also ends it when that entry itself names an illegal vector.
 */
static void raise_error(struct kvm_lapic *apic, unsigned int bit)
{
	bool armed = !READ_ONCE(apic->errors);

	if (!test_and_set_bit(bit, &apic->errors) && armed)
		kvm_lapic_local_deliver(apic, APIC_LVTERR);
}

/**
 * kvm_lapic_accept() - a message has arrived
 * @apic: the APIC that it is for
 * @irq: the message
 *
 * Callable from any context, interrupts off included.
 *
 * Return: 1 when it was taken, 0 when this APIC ignores it.
 */
int kvm_lapic_accept(struct kvm_lapic *apic, const struct kvm_lapic_irq *irq)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	u32 vec = irq->vector & 0xff;

	switch (irq->delivery_mode) {
	case APIC_DM_LOWEST:
	case APIC_DM_FIXED:
		if (!kvm_lapic_hw_enabled(apic) || !READ_ONCE(apic->sw_enabled))
			return 0;
		if (vec < 16) {
			raise_error(apic, ESR_RECEIVE_ILLEGAL);
			return 0;
		}
		if (irq->trig_mode)
			set_bit(vec & 31, kvm_lapic_vec_word(apic, vec, APIC_TMR));
		else
			clear_bit(vec & 31, kvm_lapic_vec_word(apic, vec, APIC_TMR));
		smp_mb__before_atomic();	/* the trigger mode before the request */
		if (kvm_be.posts_intr) {
			kvm_be_call(post_intr)(vcpu, vec);
			return 1;
		}
		set_bit(vec & 31, kvm_lapic_vec_word(apic, vec, APIC_IRR));
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
		return 1;
	case APIC_DM_NMI:
		kvm_inject_nmi(vcpu);
		kvm_vcpu_kick(vcpu);
		return 1;
	case APIC_DM_INIT:
		/* the level de-assert of old does nothing */
		if (irq->trig_mode && !irq->level)
			return 0;
		/* a start-up that came before it is void */
		WRITE_ONCE(vcpu->arch.pending_sipi, BIT(KVM_PENDING_INIT));
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
		return 1;
	case APIC_DM_STARTUP:
		WRITE_ONCE(vcpu->arch.sipi_vector, vec);
		smp_wmb();	/* the vector before the bit that announces it */
		set_bit(KVM_PENDING_SIPI, &vcpu->arch.pending_sipi);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
		return 1;
	case APIC_DM_SMI:
		return kvm_inject_smi(vcpu);
	default:
		/* ExtINT comes through LVT0 only */
		return 0;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_accept);

/**
 * kvm_lapic_local_deliver() - one of its own sources fires
 * @apic: the APIC
 * @lvt: APIC_LVTT, APIC_LVT0, ...
 *
 * Return: true when the entry was not masked.
 */
bool kvm_lapic_local_deliver(struct kvm_lapic *apic, unsigned int lvt)
{
	u32 reg = kvm_lapic_reg(apic, lvt);
	struct kvm_lapic_irq irq = {
		.vector = reg & APIC_VECTOR_MASK,
		.delivery_mode = reg & APIC_MODE_MASK,
		.trig_mode = reg & APIC_LVT_LEVEL_TRIGGER,
		.level = true,
	};

	if (!kvm_lapic_hw_enabled(apic) || (reg & LVT_MASKED))
		return false;
	/* those are no delivery modes of an LVT */
	if (irq.delivery_mode != APIC_DM_LOWEST && irq.delivery_mode != APIC_DM_STARTUP)
		kvm_lapic_accept(apic, &irq);
	return true;
}

/**
 * kvm_lapic_pmi() - a performance counter has overflowed
 * @vcpu: the vCPU, with a LAPIC in the kernel; by its thread
 *
 * Intel's masks the entry when it delivers (SDM vol. 3, 11.5.1), AMD's does not.
 */
void kvm_lapic_pmi(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	if (kvm_lapic_local_deliver(apic, APIC_LVTPC) && kvm_guest_is_intel(vcpu))
		kvm_lapic_set_reg(apic, APIC_LVTPC,
				  kvm_lapic_reg(apic, APIC_LVTPC) | LVT_MASKED);
}

/* Does LINT0 follow the level of the PIC's output? Only what ends with an EOI can. */
static bool lint0_is_level(u32 lvt0)
{
	return (lvt0 & APIC_LVT_LEVEL_TRIGGER) && (lvt0 & APIC_MODE_MASK) == APIC_DM_FIXED;
}

/**
 * kvm_lapic_lint0() - look at LINT0, to which the PIC's output goes
 * @apic: the APIC
 * @rose: it has just risen; else what has changed is on the side of the APIC
 *
 * For all modes but ExtINT, where the vector comes from the PIC: SDM vol. 3, 11.5.1. Callable
 * with interrupts off.
 */
void kvm_lapic_lint0(struct kvm_lapic *apic, bool rose)
{
	u32 lvt0 = kvm_lapic_reg(apic, APIC_LVT0);
	unsigned long *word = (unsigned long *)(apic->regs + APIC_LVT0);

	if (!kvm_lapic_hw_enabled(apic) || (lvt0 & LVT_MASKED))
		return;
	if (!lint0_is_level(lvt0)) {
		if (rose)
			kvm_lapic_local_deliver(apic, APIC_LVT0);
		return;
	}
	/* what is not accepted would wait for an EOI that never comes */
	if (kvm_pic_output(apic->vcpu->kvm) && READ_ONCE(apic->sw_enabled) &&
	    (lvt0 & APIC_VECTOR_MASK) >= 16 && !test_and_set_bit(REMOTE_IRR_BIT, word))
		kvm_lapic_local_deliver(apic, APIC_LVT0);
}

/**
 * kvm_lapic_lint0_scan() - does LINT0 want to hear of an EOI
 * @apic: the APIC; ioapic_handled_vectors of its vCPU has the vector then
 */
void kvm_lapic_lint0_scan(struct kvm_lapic *apic)
{
	u32 lvt0 = kvm_lapic_reg(apic, APIC_LVT0);

	if (lint0_is_level(lvt0) && kvm_irqchip_full(apic->vcpu->kvm))
		__set_bit(lvt0 & APIC_VECTOR_MASK, apic->vcpu->arch.ioapic_handled_vectors);
}

/* An interrupt has ended; if it was LINT0's, its level counts again. */
static void lint0_eoi(struct kvm_lapic *apic, int vec)
{
	u32 lvt0 = kvm_lapic_reg(apic, APIC_LVT0);

	if (!lint0_is_level(lvt0) || (lvt0 & APIC_VECTOR_MASK) != vec)
		return;
	clear_bit(REMOTE_IRR_BIT, (unsigned long *)(apic->regs + APIC_LVT0));
	kvm_lapic_lint0(apic, false);
}

/**
 * kvm_lapic_accepts_pic() - does the PIC's output reach this CPU
 * @apic: the APIC
 *
 * Return: true with the APIC off, or LINT0 open in ExtINT mode.
 */
bool kvm_lapic_accepts_pic(struct kvm_lapic *apic)
{
	u32 lvt0 = kvm_lapic_reg(apic, APIC_LVT0);

	if (!kvm_lapic_hw_enabled(apic))
		return true;
	return !(lvt0 & LVT_MASKED) && (lvt0 & APIC_MODE_MASK) == APIC_DM_EXTINT;
}

/* ---- to the guest --------------------------------------------------------- */

/**
 * kvm_cpu_has_extint() - does the PIC, or user space in its place, have one
 * @vcpu: the vCPU
 */
bool kvm_cpu_has_extint(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;

	if (!kvm_lapic_in_kernel(vcpu))
		return vcpu->arch.pending_external_vector != -1;
	if (kvm_irqchip_split(kvm))
		return READ_ONCE(vcpu->arch.pending_external_vector) != -1 &&
		       kvm_lapic_accepts_pic(vcpu->arch.apic);
	return kvm_pic_output(kvm) && kvm_lapic_accepts_pic(vcpu->arch.apic);
}

/**
 * kvm_cpu_has_interrupt() - is there one that its priority lets through
 * @vcpu: the vCPU; IF is not considered
 */
bool kvm_cpu_has_interrupt(struct kvm_vcpu *vcpu)
{
	if (kvm_cpu_has_extint(vcpu))
		return true;
	return kvm_lapic_in_kernel(vcpu) &&
	       kvm_lapic_hw_enabled(vcpu->arch.apic) &&
	       deliverable(vcpu->arch.apic) >= 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_cpu_has_interrupt);

/**
 * kvm_cpu_has_injectable_intr() - is there one that must be injected by software
 * @vcpu: the vCPU
 */
bool kvm_cpu_has_injectable_intr(struct kvm_vcpu *vcpu)
{
	if (kvm_lapic_in_kernel(vcpu) && vcpu->arch.apic->hw_delivers)
		return kvm_cpu_has_extint(vcpu);
	return kvm_cpu_has_interrupt(vcpu);
}

/**
 * kvm_cpu_get_interrupt() - take the interrupt that is delivered next
 * @vcpu: the vCPU
 *
 * Return: its vector, or -1.
 */
int kvm_cpu_get_interrupt(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	int vec;

	if (kvm_cpu_has_extint(vcpu)) {
		if (kvm_irqchip_full(vcpu->kvm)) {
			vec = kvm_pic_read_irq(vcpu);
			if (vec >= 0)
				return vec;
		} else {
			return xchg(&vcpu->arch.pending_external_vector, -1);
		}
	}
	if (!apic || !kvm_lapic_hw_enabled(apic) || apic->hw_delivers)
		return -1;
	vec = deliverable(apic);
	if (vec < 0)
		return -1;
	clear_bit(vec & 31, kvm_lapic_vec_word(apic, vec, APIC_IRR));
	set_bit(vec & 31, kvm_lapic_vec_word(apic, vec, APIC_ISR));
	kvm_lapic_update_ppr(apic);
	return vec;
}
EXPORT_SYMBOL_GPL(kvm_cpu_get_interrupt);

/* ---- EOI ------------------------------------------------------------------ */

static void tell_ioapic(struct kvm_lapic *apic, int vec)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	bool level = kvm_lapic_test_vec(apic, vec, APIC_TMR);

	if (!test_bit(vec, vcpu->arch.ioapic_handled_vectors))
		return;
	if (level)
		lint0_eoi(apic, vec);
	if (kvm_irqchip_split(vcpu->kvm)) {
		if (READ_ONCE(vcpu->kvm->arch.eoi_broadcast) == KVM_EOI_BROADCAST_SUPPRESSIBLE &&
		    (kvm_lapic_reg(apic, APIC_SPIV) & APIC_SPIV_DIRECTED_EOI))
			return;
		vcpu->arch.pending_ioapic_eoi = vec;
		kvm_make_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu);
		return;
	}
	/* not offered, but user space may have set it */
	if (level && (kvm_lapic_reg(apic, APIC_SPIV) & APIC_SPIV_DIRECTED_EOI))
		return;
	kvm_ioapic_eoi(vcpu->kvm, vec, level);
}

/**
 * kvm_lapic_eoi() - the guest ends the interrupt of highest priority in service
 * @apic: the APIC
 */
void kvm_lapic_eoi(struct kvm_lapic *apic)
{
	int vec = kvm_lapic_highest(apic, APIC_ISR);

	if (vec < 0)
		return;
	clear_bit(vec & 31, kvm_lapic_vec_word(apic, vec, APIC_ISR));
	apic->hw_stale = true;
	kvm_lapic_update_ppr(apic);
	tell_ioapic(apic, vec);
	kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_eoi);

/**
 * kvm_lapic_hw_eoi() - hardware has ended an interrupt that others wait for
 * @apic: the APIC
 * @vec: vector, out of ISR already
 */
void kvm_lapic_hw_eoi(struct kvm_lapic *apic, u8 vec)
{
	tell_ioapic(apic, vec);
	kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
}

/* ---- PV EOI: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_PV_EOI_EN -------- */

/**
 * kvm_pv_eoi_set() - MSR_KVM_PV_EOI_EN is written
 * @vcpu: the vCPU
 * @data: bit 0 enables, the rest is the address of a word
 *
 * Return: 0, or 1 for #GP.
 */
int kvm_pv_eoi_set(struct kvm_vcpu *vcpu, u64 data)
{
	gpa_t gpa = data & ~KVM_MSR_ENABLED;
	struct kvm_hva_cache cache = {};

	if (data & 2)
		return 1;
	if (data & KVM_MSR_ENABLED) {
		/* a refused address leaves the old one in force */
		if (!kvm_lapic_in_kernel(vcpu) ||
		    kvm_hva_cache_init(vcpu->kvm, &cache, gpa, 1))
			return 1;
		vcpu->arch.pv_eoi.data = cache;
	}
	vcpu->arch.pv_eoi.msr_val = data;
	if (vcpu->arch.apic)
		vcpu->arch.apic->pv_eoi_pending = false;
	return 0;
}

static bool pv_eoi_enabled(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.pv_eoi.msr_val & KVM_MSR_ENABLED;
}

static void offer_pv_eoi(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	int isr;
	u8 flag;

	/* where hardware takes EOIs, one costs nothing */
	if (!pv_eoi_enabled(vcpu) || apic->pv_eoi_pending || apic->hw_delivers)
		return;
	isr = kvm_lapic_highest(apic, APIC_ISR);
	/* somebody waits for that EOI: the next interrupt, or the IOAPIC */
	if (isr < 0 || kvm_lapic_highest(apic, APIC_IRR) >= 0 ||
	    test_bit(isr, vcpu->arch.ioapic_handled_vectors))
		return;
	if (kvm_read_guest_cached(vcpu->kvm, &vcpu->arch.pv_eoi.data, &flag, 0, 1))
		return;
	flag |= KVM_PV_EOI_ENABLED;
	if (kvm_write_guest_cached(vcpu->kvm, &vcpu->arch.pv_eoi.data, &flag, 0, 1))
		return;
	apic->pv_eoi_pending = true;
}

/*
 * The word is taken back at each exit, so that an interrupt which arrives while
 * the guest is out is never delayed by an EOI that is not written.
 */
static void take_pv_eoi(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u8 flag, clear;

	if (!apic->pv_eoi_pending)
		return;
	apic->pv_eoi_pending = false;
	if (kvm_read_guest_cached(vcpu->kvm, &vcpu->arch.pv_eoi.data, &flag, 0, 1))
		return;
	if (flag & KVM_PV_EOI_ENABLED) {
		clear = flag & ~KVM_PV_EOI_ENABLED;
		kvm_write_guest_cached(vcpu->kvm, &vcpu->arch.pv_eoi.data, &clear, 0, 1);
		return;
	}
	kvm_lapic_eoi(apic);
}

/* TPR in byte 0, highest ISR class in byte 1, highest IRR in byte 3 */
static void show_vapic(struct kvm_lapic *apic)
{
	int irr = max(kvm_lapic_highest(apic, APIC_IRR), 0);
	int isr = max(kvm_lapic_highest(apic, APIC_ISR), 0);
	u32 word = (kvm_lapic_reg(apic, APIC_TASKPRI) & 0xff) | (isr & 0xf0) << 8 |
		   irr << 24;

	kvm_write_guest_cached(apic->vcpu->kvm, &apic->vapic, &word, 0, sizeof(word));
}

/**
 * kvm_lapic_sync_to_vapic() - before entry: what the guest finds in its memory
 * @vcpu: the vCPU; preemptible, kvm->srcu held
 */
void kvm_lapic_sync_to_vapic(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	if (!apic)
		return;
	offer_pv_eoi(vcpu);
	if (apic->vapic_addr)
		show_vapic(apic);
}

/**
 * kvm_lapic_sync_from_vapic() - after exit: what the guest left there
 * @vcpu: the vCPU; preemptible, kvm->srcu held
 */
void kvm_lapic_sync_from_vapic(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 word;

	take_pv_eoi(vcpu);
	if (!apic->vapic_addr ||
	    kvm_read_guest_cached(vcpu->kvm, &apic->vapic, &word, 0, sizeof(word)))
		return;
	kvm_lapic_set_reg(apic, APIC_TASKPRI, word & 0xff);
	kvm_lapic_update_ppr(apic);
}

/* ---- registers ------------------------------------------------------------ */

static bool reg_readable(struct kvm_lapic *apic, u32 reg)
{
	bool x2 = kvm_lapic_x2apic(apic);

	switch (reg) {
	case APIC_ID:
	case APIC_LVR:
	case APIC_TASKPRI:
	case APIC_PROCPRI:
	case APIC_LDR:
	case APIC_SPIV:
	case APIC_ISR ... APIC_ISR + 0x70:
	case APIC_TMR ... APIC_TMR + 0x70:
	case APIC_IRR ... APIC_IRR + 0x70:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_LVTT:
	case APIC_LVTTHMR:
	case APIC_LVTPC:
	case APIC_LVT0:
	case APIC_LVT1:
	case APIC_LVTERR:
	case APIC_TMICT:
	case APIC_TMCCT:
	case APIC_TDCR:
		return true;
	case APIC_ARBPRI:
	case APIC_DFR:
	case APIC_ICR2:
		return !x2;
	case APIC_LVTCMCI:
		return has_cmci(apic);
	default:
		return false;
	}
}

/*
 * User space wants to hear of accesses to the TPR, to patch the instructions that do it:
 * with KVM_CAP_VAPIC their substitute works on the word of KVM_SET_VAPIC_ADDR. Told after
 * the access; one that the CPU carries out by itself is none that has to be patched.
 */
static void report_tpr(struct kvm_vcpu *vcpu, bool write)
{
	if (!vcpu->arch.tpr_reporting)
		return;
	vcpu->arch.tpr_report.rip = kvm_rip_read(vcpu);
	vcpu->arch.tpr_report.write = write;
	kvm_make_request(KVM_REQ_REPORT_TPR, vcpu);
}

/**
 * kvm_lapic_reg_read() - value of a register as the guest sees it
 * @apic: the APIC
 * @reg: its offset, a multiple of 16
 */
u32 kvm_lapic_reg_read(struct kvm_lapic *apic, u32 reg)
{
	switch (reg) {
	case APIC_ID:
		if (kvm_lapic_x2apic(apic))
			return apic->vcpu->vcpu_id;
		break;
	case APIC_TASKPRI:
		report_tpr(apic->vcpu, false);
		break;
	case APIC_ARBPRI:
		return 0;
	case APIC_PROCPRI:
		kvm_lapic_update_ppr(apic);
		break;
	case APIC_IRR ... APIC_IRR + 0x70:
		sync_irr(apic->vcpu);
		break;
	case APIC_TMCCT:
		return kvm_lapic_timer_count(apic);
	}
	return kvm_lapic_reg(apic, reg);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_reg_read);

static void set_spiv(struct kvm_lapic *apic, u32 val)
{
	bool was = apic->sw_enabled;
	u32 mask = APIC_VECTOR_MASK | SPIV_SW_ENABLE | BIT(9);
	u32 reg;

	if (kvm_lapic_reg(apic, APIC_LVR) & APIC_LVR_DIRECTED_EOI)
		mask |= APIC_SPIV_DIRECTED_EOI;
	kvm_lapic_set_reg(apic, APIC_SPIV, val & mask);
	WRITE_ONCE(apic->sw_enabled, val & SPIV_SW_ENABLE);
	if (was == apic->sw_enabled)
		return;
	if (!apic->sw_enabled) {
		/* SDM 11.4.7.2: all LVTs are masked and stay so */
		lapic_for_each_lvt(reg, apic)
			kvm_lapic_set_reg(apic, reg, kvm_lapic_reg(apic, reg) | LVT_MASKED);
	}
}

static void send_ipi(struct kvm_lapic *apic, u32 icr, u32 icr2)
{
	struct kvm_lapic_irq irq = {
		.vector = icr & APIC_VECTOR_MASK,
		.delivery_mode = icr & APIC_MODE_MASK,
		.dest_mode = icr & APIC_DEST_MASK,
		.level = icr & APIC_INT_ASSERT,
		.trig_mode = icr & APIC_INT_LEVELTRIG,
		.shorthand = icr & APIC_SHORT_MASK,
		.dest_id = kvm_lapic_x2apic(apic) ? icr2 : icr2 >> 24,
	};

	if (irq.vector < 16 && (irq.delivery_mode == APIC_DM_FIXED ||
				irq.delivery_mode == APIC_DM_LOWEST)) {
		raise_error(apic, ESR_SEND_ILLEGAL);
		return;
	}
	/* the trigger mode counts for the INIT de-assert only */
	if (irq.delivery_mode != APIC_DM_INIT)
		irq.trig_mode = 0;
	kvm_irq_deliver(apic->vcpu->kvm, apic, &irq);
}

static void write_lvt(struct kvm_lapic *apic, u32 reg, u32 val)
{
	/* what has ended so far was for the entry as it is */
	if (reg == APIC_LVTT)
		kvm_lapic_inject_timer_irqs(apic->vcpu);
	val &= lvt_bits(reg) & ~(u32)(APIC_SEND_PENDING | APIC_LVT_REMOTE_IRR);
	if (!apic->sw_enabled)
		val |= LVT_MASKED;
	if (reg == APIC_LVTT && !guest_has(apic->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER))
		val &= ~APIC_LVT_TIMER_TSCDEADLINE;
	/* an entry that becomes an edge forgets what it waited for */
	if (reg == APIC_LVT0 && lint0_is_level(val))
		val |= kvm_lapic_reg(apic, reg) & APIC_LVT_REMOTE_IRR;
	kvm_lapic_set_reg(apic, reg, val);
	if (reg == APIC_LVTT) {
		kvm_lapic_timer_mode_changed(apic);
	} else if (reg == APIC_LVT0) {
		kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
		if (lint0_is_level(val)) {
			/* before it can end what is sent now */
			kvm_make_request(KVM_REQ_SCAN_IOAPIC, apic->vcpu);
			kvm_lapic_lint0(apic, false);
		}
	}
}

/**
 * kvm_lapic_reg_write() - the guest writes a register
 * @apic: the APIC
 * @reg: its offset, a multiple of 16
 * @val: value
 *
 * Return: 0, or 1 when there is no such register to write in this mode: #GP in
 * x2APIC mode, ignored in xAPIC mode.
 */
int kvm_lapic_reg_write(struct kvm_lapic *apic, u32 reg, u32 val)
{
	struct kvm *kvm = apic->vcpu->kvm;
	bool x2 = kvm_lapic_x2apic(apic);

	switch (reg) {
	case APIC_ID:
		if (x2)
			return 1;
		kvm_lapic_set_reg(apic, APIC_ID, val & 0xff000000);
		atomic_set(&kvm->arch.apic_map_dirty, 1);
		break;
	case APIC_TASKPRI:
		if (x2 && val & ~0xffu)
			return 1;
		report_tpr(apic->vcpu, true);
		kvm_lapic_set_reg(apic, APIC_TASKPRI, val & 0xff);
		kvm_lapic_update_ppr(apic);
		break;
	case APIC_EOI:
		if (x2 && val)
			return 1;
		kvm_lapic_eoi(apic);
		break;
	case APIC_LDR:
		if (x2)
			return 1;
		kvm_lapic_set_reg(apic, APIC_LDR, val & 0xff000000);
		atomic_set(&kvm->arch.apic_map_dirty, 1);
		break;
	case APIC_DFR:
		if (x2)
			return 1;
		kvm_lapic_set_reg(apic, APIC_DFR, val | 0x0fffffff);
		atomic_set(&kvm->arch.apic_map_dirty, 1);
		break;
	case APIC_SPIV:
		if (x2 && val & ~(u32)SPIV_EXISTING)
			return 1;
		set_spiv(apic, val);
		break;
	case APIC_ESR:
		/* writing latches the errors since the last time */
		if (x2 && val)
			return 1;
		kvm_lapic_set_reg(apic, APIC_ESR, xchg(&apic->errors, 0));
		break;
	case APIC_ICR:
		val &= ~ICR_BUSY;
		kvm_lapic_set_reg(apic, APIC_ICR, val);
		send_ipi(apic, val, kvm_lapic_reg(apic, APIC_ICR2));
		break;
	case APIC_ICR2:
		if (x2)
			return 1;
		kvm_lapic_set_reg(apic, APIC_ICR2, val & 0xff000000);
		break;
	case APIC_LVTCMCI:
		if (!has_cmci(apic))
			return 1;
		fallthrough;
	case APIC_LVTT:
	case APIC_LVTTHMR:
	case APIC_LVTPC:
	case APIC_LVT0:
	case APIC_LVT1:
	case APIC_LVTERR:
		if (x2 && val & ~lvt_bits(reg))
			return 1;
		write_lvt(apic, reg, val);
		break;
	case APIC_TMICT:
		/* nothing to count in deadline mode */
		if ((kvm_lapic_reg(apic, APIC_LVTT) & (3 << 17)) ==
		    APIC_LVT_TIMER_TSCDEADLINE) {
			kvm_lapic_set_reg(apic, APIC_TMICT, 0);
			break;
		}
		kvm_lapic_set_reg(apic, APIC_TMICT, val);
		kvm_lapic_timer_start(apic);
		break;
	case APIC_TDCR:
		if (x2 && val & ~0xbu)
			return 1;
		kvm_lapic_set_reg(apic, APIC_TDCR, val & 0xb);
		kvm_lapic_timer_set_divide(apic);
		break;
	case APIC_SELF_IPI:
		if (!x2 || val & ~0xffu)
			return 1;
		send_ipi(apic, APIC_DEST_SELF | APIC_DM_FIXED | val, 0);
		break;
	default:
		return 1;
	}
	kvm_recalculate_apic_map(kvm);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_reg_write);

/**
 * kvm_lapic_hw_wrote() - the guest has written to the register page itself
 * @apic: the APIC
 * @reg: offset of the register
 */
void kvm_lapic_hw_wrote(struct kvm_lapic *apic, u32 reg)
{
	reg &= 0xff0;
	kvm_lapic_reg_write(apic, reg, kvm_lapic_reg(apic, reg));
}

/* ---- xAPIC: memory-mapped ------------------------------------------------- */

/* An access to a register that is reserved; EOI is one that is only written. */
static void illegal_register(struct kvm_lapic *apic, u32 reg)
{
	if (reg != APIC_EOI)
		raise_error(apic, ESR_ILLEGAL_REGISTER);
}

/* 0 it answers, 1 the hole of the quirk answers, -EOPNOTSUPP not its address */
static int mmio_target(struct kvm_lapic *apic, gpa_t gpa)
{
	u64 base = apic->vcpu->arch.apic_base;

	if ((gpa & PAGE_MASK) != (base & MSR_IA32_APICBASE_BASE))
		return -EOPNOTSUPP;
	if (kvm_lapic_mode(base) == LAPIC_MODE_XAPIC)
		return 0;
	return kvm_quirk(apic->vcpu->kvm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE) ?
		1 : -EOPNOTSUPP;
}

/**
 * kvm_lapic_mmio_read() - the guest reads from the APIC page
 * @vcpu: the vCPU
 * @gpa: guest physical address
 * @len: bytes
 * @val: filled
 *
 * Return: 0, or -EOPNOTSUPP when the address is not the APIC's.
 */
int kvm_lapic_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, int len, void *val)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 reg = gpa & 0xff0, at = gpa & 0xf, data = 0;
	int r = mmio_target(apic, gpa);

	if (r < 0)
		return r;
	if (r) {
		memset(val, 0xff, len);
		return 0;
	}
	memset(val, 0, len);
	if (!reg_readable(apic, reg)) {
		illegal_register(apic, reg);
		return 0;
	}
	if (at + len > 4)
		return 0;
	data = kvm_lapic_reg_read(apic, reg);
	memcpy(val, (u8 *)&data + at, len);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_mmio_read);

/**
 * kvm_lapic_mmio_write() - the guest writes to the APIC page
 * @vcpu: the vCPU
 * @gpa: guest physical address
 * @len: bytes
 * @val: value
 *
 * Return: 0, or -EOPNOTSUPP when the address is not the APIC's.
 */
int kvm_lapic_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, int len, const void *val)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	int r = mmio_target(apic, gpa);
	u32 data;

	if (r < 0)
		return r;
	/* SDM 11.4.1: registers are written with aligned 32 bits only */
	if (r || len != 4 || gpa & 0xf)
		return 0;
	/* the one that is written most */
	if ((gpa & 0xff0) == APIC_EOI) {
		kvm_lapic_eoi(apic);
		return 0;
	}
	memcpy(&data, val, 4);
	if (kvm_lapic_reg_write(apic, gpa & 0xff0, data) && !reg_readable(apic, gpa & 0xff0))
		illegal_register(apic, gpa & 0xff0);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_mmio_write);

/* ---- x2APIC: MSRs 0x800 to 0x8ff ------------------------------------------ */

/**
 * kvm_x2apic_read() - RDMSR of the APIC's range
 * @vcpu: the vCPU
 * @msr: 0x800 to 0x8ff
 * @data: filled
 *
 * Return: 0, or 1 for #GP.
 */
int kvm_x2apic_read(struct kvm_vcpu *vcpu, u32 msr, u64 *data)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 reg = (msr - APIC_BASE_MSR) << 4;

	if (!apic || kvm_lapic_mode(vcpu->arch.apic_base) != LAPIC_MODE_X2APIC ||
	    !reg_readable(apic, reg))
		return 1;
	*data = kvm_lapic_reg_read(apic, reg);
	if (reg == APIC_ICR)
		*data |= (u64)kvm_lapic_reg(apic, APIC_ICR2) << 32;
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_x2apic_read);

/**
 * kvm_x2apic_write() - WRMSR of the APIC's range
 * @vcpu: the vCPU
 * @msr: 0x800 to 0x8ff
 * @data: value
 *
 * Return: 0, or 1 for #GP.
 */
int kvm_x2apic_write(struct kvm_vcpu *vcpu, u32 msr, u64 data)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 reg = (msr - APIC_BASE_MSR) << 4;

	if (!apic || kvm_lapic_mode(vcpu->arch.apic_base) != LAPIC_MODE_X2APIC)
		return 1;
	if (data & (reg == APIC_ICR ? X2APIC_ICR_RESERVED : GENMASK_ULL(63, 32)))
		return 1;
	if (reg == APIC_ICR)
		kvm_lapic_set_reg(apic, APIC_ICR2, data >> 32);
	return kvm_lapic_reg_write(apic, reg, data);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_x2apic_write);

/* ---- IA32_APIC_BASE ------------------------------------------------------- */

/**
 * kvm_lapic_get_base() - value of IA32_APIC_BASE
 * @vcpu: the vCPU
 */
u64 kvm_lapic_get_base(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.apic_base;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_get_base);

static void apply_base(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u64 old = vcpu->arch.apic_base;

	WRITE_ONCE(vcpu->arch.apic_base, data);
	if ((old ^ data) & MSR_IA32_APICBASE_ENABLE)
		kvm_update_cpuid_runtime(vcpu);
	if (!apic || !((old ^ data) & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE |
				       MSR_IA32_APICBASE_BASE)))
		return;

	if ((data & MSR_IA32_APICBASE_ENABLE) && !(old & MSR_IA32_APICBASE_ENABLE))
		kvm_lapic_set_reg(apic, APIC_ID, vcpu->vcpu_id << 24);
	if ((data & X2APIC_ENABLE) && !(old & X2APIC_ENABLE))
		kvm_lapic_set_reg(apic, APIC_LDR, kvm_x2apic_ldr(vcpu->vcpu_id));
	atomic_set(&vcpu->kvm->arch.apic_map_dirty, 1);
	kvm_recalculate_apic_map(vcpu->kvm);
	/* nor may another thread's round that has seen the change be under way still */
	mutex_lock(&vcpu->kvm->arch.apic_map_lock);
	mutex_unlock(&vcpu->kvm->arch.apic_map_lock);
	kvm_lapic_hw_update(vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/**
 * kvm_lapic_hw_update() - may the CPU deliver this LAPIC's interrupts by itself
 * @vcpu: the vCPU, loaded
 *
 * Not while the APIC is off, nor while a debugger holds interrupts back. L2's are not those
 * of the LAPIC.
 */
void kvm_lapic_hw_update(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	bool on;

	/* during its creation: the backend looks at all of this by itself */
	if (!apic || !vcpu->arch.backend)
		return;
	on = kvm_be.posts_intr && kvm_lapic_hw_enabled(apic) && !vcpu->arch.guest_mode &&
	     !(vcpu->arch.guest_debug & KVM_GUESTDBG_BLOCKIRQ);
	if (on != apic->hw_delivers) {
		WRITE_ONCE(apic->hw_delivers, on);
		apic->hw_stale = true;
		/* who posts looks at hw_delivers after that: what he took for true is seen now */
		smp_mb();
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	}
	kvm_be_call(apic_changed)(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_lapic_hw_update);

/**
 * kvm_lapic_set_base() - IA32_APIC_BASE is written, SDM 11.12.5
 * @vcpu: the vCPU
 * @msr: value, and whether user space writes it
 *
 * Return: 0, or 1 for #GP.
 */
int kvm_lapic_set_base(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	unsigned int old = kvm_lapic_mode(vcpu->arch.apic_base);
	unsigned int new = kvm_lapic_mode(msr->data);
	u64 reserved = APIC_BASE_RESERVED | vcpu->arch.cpuid.reserved_gpa_bits;

	if (!guest_has(vcpu, X86_FEATURE_X2APIC))
		reserved |= X2APIC_ENABLE;
	if ((msr->data & reserved) || new == LAPIC_MODE_INVALID)
		return 1;
	if (!msr->host_initiated) {
		if (old == LAPIC_MODE_X2APIC && new == LAPIC_MODE_XAPIC)
			return 1;
		if (old == LAPIC_MODE_DISABLED && new == LAPIC_MODE_X2APIC)
			return 1;
	}
	apply_base(vcpu, msr->data);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_set_base);

/* ---- INIT and SIPI -------------------------------------------------------- */

/**
 * kvm_lapic_has_init_or_sipi() - does one wait to be taken
 * @vcpu: the vCPU
 */
bool kvm_lapic_has_init_or_sipi(struct kvm_vcpu *vcpu)
{
	/* in SMM, INIT waits for RSM */
	return vcpu->arch.apic && READ_ONCE(vcpu->arch.pending_sipi) &&
	       !READ_ONCE(vcpu->arch.smm) && !READ_ONCE(vcpu->arch.init_blocked);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_has_init_or_sipi);

static void start_at(struct kvm_vcpu *vcpu, u8 vector)
{
	struct kvm_segment cs;

	kvm_be_call(get_segment)(vcpu, VCPU_SEG_CS, &cs);
	cs.selector = vector << 8;
	cs.base = (u64)vector << 12;
	kvm_be_call(set_segment)(vcpu, VCPU_SEG_CS, &cs);
	kvm_rip_write(vcpu, 0);
}

/**
 * kvm_lapic_accept_events() - take INIT and SIPI, SDM 9.4
 * @vcpu: the vCPU, loaded
 *
 * Return: 0.
 */
int kvm_lapic_accept_events(struct kvm_vcpu *vcpu)
{
	u8 vector;

	/* a start-up IPI is for one that waits for it, which none in SMM does */
	if (vcpu->arch.smm)
		clear_bit(KVM_PENDING_SIPI, &vcpu->arch.pending_sipi);
	if (!kvm_lapic_has_init_or_sipi(vcpu))
		return 0;

	if (test_bit(KVM_PENDING_INIT, &vcpu->arch.pending_sipi) && vcpu->arch.guest_mode) {
		switch (kvm_be_call(nested_event)(vcpu, KVM_NESTED_INIT, true)) {
		case KVM_NESTED_WAIT:
			return 0;
		case KVM_NESTED_L1:
			/* with SVM it is still pending, until L1 sets GIF */
			if (kvm_be.exit_reason_isa == KVM_OOT_ISA_VMX)
				clear_bit(KVM_PENDING_INIT, &vcpu->arch.pending_sipi);
			return 0;
		default:
			break;
		}
	}
	if (test_and_clear_bit(KVM_PENDING_INIT, &vcpu->arch.pending_sipi)) {
		kvm_vcpu_reset(vcpu, true);
		WRITE_ONCE(vcpu->arch.mp_state, kvm_vcpu_is_bsp(vcpu) ?
			   KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED);
	}
	if (test_and_clear_bit(KVM_PENDING_SIPI, &vcpu->arch.pending_sipi) &&
	    vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED) {
		smp_rmb();	/* the vector was written before the bit */
		vector = READ_ONCE(vcpu->arch.sipi_vector);
		start_at(vcpu, vector);
		WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_RUNNABLE);
	}
	return 0;
}

/* ---- life cycle, and state for user space --------------------------------- */

/* Can the guest keep an EOI from the IOAPICs, to end the interrupt there by itself? */
static bool offers_eoi_suppression(struct kvm *kvm)
{
	switch (READ_ONCE(kvm->arch.eoi_broadcast)) {
	case KVM_EOI_BROADCAST_SUPPRESSIBLE:
		return true;
	case KVM_EOI_BROADCAST_ALWAYS:
		return false;
	default:
		/* our own has no EOI register for that */
		return !kvm_irqchip_full(kvm);
	}
}

/**
 * kvm_lapic_cpuid_changed() - what the guest's CPUID says of the APIC
 * @vcpu: the vCPU
 */
void kvm_lapic_cpuid_changed(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 lvr;

	if (!apic)
		return;
	lvr = LAPIC_VERSION | (LAPIC_MAX_LVT + has_cmci(apic)) << 16;
	if (guest_has(vcpu, X86_FEATURE_X2APIC) && offers_eoi_suppression(vcpu->kvm))
		lvr |= APIC_LVR_DIRECTED_EOI;
	kvm_lapic_set_reg(apic, APIC_LVR, lvr);
}

/**
 * kvm_lapic_mcg_cap_changed() - MCG_CAP was set, by which there is LVT CMCI or not
 * @vcpu: the vCPU
 */
void kvm_lapic_mcg_cap_changed(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	bool had;

	if (!apic)
		return;
	had = (kvm_lapic_reg(apic, APIC_LVR) >> 16 & 0xff) > LAPIC_MAX_LVT;
	if (had != has_cmci(apic))
		kvm_lapic_set_reg(apic, APIC_LVTCMCI, has_cmci(apic) ? LVT_MASKED : 0);
	kvm_lapic_cpuid_changed(vcpu);
}

/**
 * kvm_lapic_reset() - RESET or INIT, SDM 11.4.7
 * @vcpu: the vCPU
 * @init: INIT, which keeps id and mode
 */
void kvm_lapic_reset(struct kvm_vcpu *vcpu, bool init)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u64 base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
	u32 reg;

	if (!init) {
		vcpu->arch.pending_sipi = 0;
		if (kvm_vcpu_is_bsp(vcpu))
			base |= MSR_IA32_APICBASE_BSP;
		if (!apic)
			vcpu->arch.apic_base = base;
	}
	if (!apic)
		return;

	kvm_lapic_timer_reset(apic);
	apic->timer.mode = 0;
	if (!init) {
		apply_base(vcpu, base);
		kvm_lapic_set_reg(apic, APIC_ID, vcpu->vcpu_id << 24);
	}
	kvm_lapic_cpuid_changed(vcpu);
	lapic_for_each_lvt(reg, apic)
		kvm_lapic_set_reg(apic, reg, LVT_MASKED);
	if (kvm_vcpu_is_bsp(vcpu) && kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_LINT0_REENABLED))
		kvm_lapic_set_reg(apic, APIC_LVT0, APIC_DM_EXTINT);

	kvm_lapic_set_reg(apic, APIC_DFR, 0xffffffff);
	kvm_lapic_set_reg(apic, APIC_SPIV, 0xff);
	WRITE_ONCE(apic->sw_enabled, false);
	kvm_lapic_set_reg(apic, APIC_TASKPRI, 0);
	if (!kvm_lapic_x2apic(apic))
		kvm_lapic_set_reg(apic, APIC_LDR, 0);
	kvm_lapic_set_reg(apic, APIC_ESR, 0);
	WRITE_ONCE(apic->errors, 0);
	kvm_lapic_set_reg(apic, APIC_ICR, 0);
	kvm_lapic_set_reg(apic, APIC_ICR2, 0);
	kvm_lapic_set_reg(apic, APIC_TDCR, 0);
	kvm_lapic_set_reg(apic, APIC_TMICT, 0);
	sync_irr(vcpu);
	apic->hw_stale = true;
	for (reg = 0; reg < 0x80; reg += 0x10) {
		kvm_lapic_set_reg(apic, APIC_IRR + reg, 0);
		kvm_lapic_set_reg(apic, APIC_ISR + reg, 0);
		kvm_lapic_set_reg(apic, APIC_TMR + reg, 0);
	}
	kvm_lapic_timer_set_divide(apic);
	kvm_lapic_update_ppr(apic);
	/* what was the guest's at these addresses may be another one's now */
	kvm_pv_eoi_set(vcpu, 0);
	apic->vapic_addr = 0;
	kvm_ioapic_forget_tick(vcpu->kvm);
	atomic_set(&vcpu->kvm->arch.apic_map_dirty, 1);
	kvm_recalculate_apic_map(vcpu->kvm);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_reset);

/**
 * kvm_lapic_create() - give a vCPU its APIC
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_lapic_create(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);

	if (!apic)
		return -ENOMEM;
	apic->regs = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!apic->regs || (kvm_be.apic_page && kvm_apic_page_create(vcpu->kvm))) {
		free_page((unsigned long)apic->regs);
		kfree(apic);
		return -ENOMEM;
	}
	apic->vcpu = vcpu;
	kvm_lapic_timer_init(apic);
	vcpu->arch.apic = apic;
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_create);

/**
 * kvm_lapic_free() - take it away
 * @vcpu: the vCPU; not visible, or its VM is being destroyed
 */
void kvm_lapic_free(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	if (!apic)
		return;
	kvm_lapic_timer_stop(apic);
	vcpu->arch.apic = NULL;
	free_page((unsigned long)apic->regs);
	kfree(apic);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_free);

/*
 * In x2APIC mode the id is 32 bits wide and cannot be changed. User space may know 8 of them
 * only: then what it says is not looked at.
 */
static bool state_id(struct kvm_vcpu *vcpu, struct kvm_lapic_state *s, bool set)
{
	u32 *id = (u32 *)(s->regs + APIC_ID);
	u32 x2id = vcpu->vcpu_id;

	if (kvm_lapic_mode(vcpu->arch.apic_base) != LAPIC_MODE_X2APIC)
		return true;
	if (!vcpu->kvm->arch.x2apic_format)
		x2id <<= 24;
	else if (set && *id != x2id)
		return false;
	*id = x2id;
	return true;
}

/**
 * kvm_lapic_get_state() - KVM_GET_LAPIC
 * @vcpu: the vCPU, with a LAPIC in the kernel
 * @s: filled
 *
 * Return: 0.
 */
int kvm_lapic_get_state(struct kvm_vcpu *vcpu, struct kvm_lapic_state *s)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 count;

	/* it may deliver LVTT: before IRR is read */
	count = kvm_lapic_timer_save(apic);
	sync_irr(vcpu);
	kvm_lapic_update_ppr(apic);
	memcpy(s->regs, apic->regs, sizeof(s->regs));
	*(u32 *)(s->regs + APIC_TMCCT) = count;
	state_id(vcpu, s, false);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_get_state);

/**
 * kvm_lapic_set_state() - KVM_SET_LAPIC
 * @vcpu: the vCPU, with a LAPIC in the kernel
 * @s: state; what the chip cannot hold is reduced to what it can
 *
 * Return: 0, or -EINVAL for another vCPU's id in x2APIC mode, from who knows all of its bits.
 */
int kvm_lapic_set_state(struct kvm_vcpu *vcpu, struct kvm_lapic_state *s)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	u32 reg;

	if (!state_id(vcpu, s, true))
		return -EINVAL;

	kvm_lapic_timer_stop(apic);
	WRITE_ONCE(apic->errors, 0);
	/* what was accepted so far is part of the state that goes */
	sync_irr(vcpu);
	apic->hw_stale = true;
	/* a guest could read what lies between the registers */
	for (reg = 0; reg < sizeof(s->regs); reg += 4)
		kvm_lapic_set_reg(apic, reg, reg & 0xf ? 0 : *(u32 *)(s->regs + reg));

	/* nothing that the guest could not have written itself */
	kvm_lapic_cpuid_changed(vcpu);
	lapic_for_each_lvt(reg, apic)
		kvm_lapic_set_reg(apic, reg, kvm_lapic_reg(apic, reg) & lvt_bits(reg));
	if (!has_cmci(apic))
		kvm_lapic_set_reg(apic, APIC_LVTCMCI, 0);
	kvm_lapic_set_reg(apic, APIC_TASKPRI, kvm_lapic_reg(apic, APIC_TASKPRI) & 0xff);
	kvm_lapic_set_reg(apic, APIC_TDCR, kvm_lapic_reg(apic, APIC_TDCR) & 0xb);
	kvm_lapic_set_reg(apic, APIC_ICR, kvm_lapic_reg(apic, APIC_ICR) & ~ICR_BUSY);
	WRITE_ONCE(apic->sw_enabled, kvm_lapic_reg(apic, APIC_SPIV) & SPIV_SW_ENABLE);
	if (kvm_lapic_x2apic(apic))
		kvm_lapic_set_reg(apic, APIC_LDR, kvm_x2apic_ldr(vcpu->vcpu_id));
	else
		kvm_lapic_set_reg(apic, APIC_ID, kvm_lapic_reg(apic, APIC_ID) & 0xff000000);

	kvm_lapic_timer_set_divide(apic);
	kvm_lapic_timer_resume(apic);
	kvm_lapic_update_ppr(apic);
	kvm_ioapic_forget_tick(vcpu->kvm);
	atomic_set(&vcpu->kvm->arch.apic_map_dirty, 1);
	kvm_recalculate_apic_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
	/* a level that the PIC holds up */
	kvm_lapic_lint0(apic, false);
	return 0;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_lapic_set_state);

static long set_tpr_reporting(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_tpr_access_ctl ctl;

	if (copy_from_user(&ctl, argp, sizeof(ctl)))
		return -EFAULT;
	if (ctl.flags)
		return -EINVAL;
	vcpu->arch.tpr_reporting = ctl.enabled;
	return copy_to_user(argp, &ctl, sizeof(ctl)) ? -EFAULT : 0;
}

static long set_vapic_addr(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	struct kvm_hva_cache cache = {};
	struct kvm_vapic_addr va;

	if (copy_from_user(&va, argp, sizeof(va)))
		return -EFAULT;
	if (va.vapic_addr) {
		if (kvm_hva_cache_init(vcpu->kvm, &cache, va.vapic_addr, sizeof(u32)))
			return -EINVAL;
		apic->vapic = cache;
	}
	apic->vapic_addr = va.vapic_addr;
	return 0;
}

/**
 * kvm_lapic_vcpu_ioctl() - KVM_{GET,SET}_LAPIC, KVM_SET_VAPIC_ADDR, KVM_TPR_ACCESS_REPORTING
 * @vcpu: the vCPU, loaded
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0; -EINVAL without a LAPIC in the kernel (but KVM_TPR_ACCESS_REPORTING needs none),
 * for another vCPU's id or for flags; -EFAULT; -ENOMEM; -ENOTTY for any other request.
 */
long kvm_lapic_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	struct kvm_lapic_state *s;
	long r;

	if (ioctl == KVM_TPR_ACCESS_REPORTING)
		return set_tpr_reporting(vcpu, argp);
	if (ioctl != KVM_GET_LAPIC && ioctl != KVM_SET_LAPIC &&
	    ioctl != KVM_SET_VAPIC_ADDR)
		return -ENOTTY;
	if (!kvm_lapic_in_kernel(vcpu))
		return -EINVAL;
	if (ioctl == KVM_SET_VAPIC_ADDR)
		return set_vapic_addr(vcpu, argp);
	if (ioctl == KVM_SET_LAPIC) {
		s = memdup_user(argp, sizeof(*s));
		if (IS_ERR(s))
			return PTR_ERR(s);
		r = kvm_lapic_set_state(vcpu, s);
	} else {
		s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
		if (!s)
			return -ENOMEM;
		r = kvm_lapic_get_state(vcpu, s);
		if (!r && copy_to_user(argp, s, sizeof(*s)))
			r = -EFAULT;
	}
	kfree(s);
	return r;
}
