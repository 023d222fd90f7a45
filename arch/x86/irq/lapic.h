/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC; see lapic.c.
 */
#ifndef KVM_OOT_LAPIC_H
#define KVM_OOT_LAPIC_H

#include <linux/hrtimer.h>
#include <asm/apicdef.h>

#include "module/kvm_host.h"

#define KVM_LAPIC_REGS_SIZE	PAGE_SIZE
/* the bus clock, unless KVM_CAP_X86_APIC_BUS_CYCLES_NS says otherwise */
#define KVM_LAPIC_BUS_CYCLE_NS	1

/* ICR fields for which <asm/apicdef.h> has no name */
#define APIC_DEST_MASK		0x800
#define APIC_SHORT_MASK		0xc0000

/* what IA32_APIC_BASE says */
enum kvm_lapic_mode {
	LAPIC_MODE_DISABLED	= 0,
	LAPIC_MODE_INVALID	= X2APIC_ENABLE,
	LAPIC_MODE_XAPIC	= MSR_IA32_APICBASE_ENABLE,
	LAPIC_MODE_X2APIC	= MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE,
};

/**
 * struct kvm_lapic_irq - an interrupt message
 * @vector: vector
 * @delivery_mode: APIC_DM_*
 * @dest_mode: APIC_DEST_PHYSICAL or APIC_DEST_LOGICAL
 * @level: assert; false only for the INIT level de-assert
 * @trig_mode: nonzero for level-triggered
 * @shorthand: APIC_DEST_{NOSHORT, SELF, ALLINC, ALLBUT}
 * @dest_id: destination; 8 bits, or 32 in x2APIC format
 * @msi_redir_hint: MSI asked for lowest priority
 */
struct kvm_lapic_irq {
	u32 vector;
	u16 delivery_mode;
	u16 dest_mode;
	bool level;
	u16 trig_mode;
	u32 shorthand;
	u32 dest_id;
	bool msi_redir_hint;
};

/**
 * struct kvm_lapic_timer - its timer (lapic_timer.c)
 * @timer: fires at @target
 * @period: of one count-down, ns
 * @target: when the count-down ends
 * @tscdeadline: guest TSC at which the deadline timer fires, 0 when it is off
 * @divide: divisor of the bus clock
 * @mode: of LVTT, as the timer knows it
 * @advance_ns: the host's timer fires so much before a TSC deadline
 * @adapts: that follows what it takes into the guest
 * @pending: (a) times it fired and was not delivered yet
 */
struct kvm_lapic_timer {
	struct hrtimer timer;
	u64 period;
	ktime_t target;
	u64 tscdeadline;
	u32 divide;
	u32 mode;
	s32 advance_ns;
	bool adapts;
	atomic_t pending;
};

/**
 * struct kvm_lapic - one local APIC
 * @vcpu: its CPU
 * @regs: the register page, laid out as in memory, which hardware may use; IRR
 *	and TMR are changed by any thread with atomic bit operations, the rest is
 *	(v). With a backend that posts interrupts IRR is (v), too.
 * @timer: the timer
 * @sw_enabled: (a) bit 8 of the spurious vector register
 * @hw_delivers: (a) the CPU itself delivers from IRR and ends interrupts
 * @hw_stale: IRR or ISR was changed behind its back
 * @pv_eoi_pending: the guest was told that it need not write EOI
 * @errors: (a) what the error status register will show when it is written next
 * @vapic_addr: word where TPR, ISR and IRR are shown to the guest's own code in
 *	place of the APIC page (KVM_SET_VAPIC_ADDR); 0: nowhere
 * @vapic: its translation
 */
struct kvm_lapic {
	struct kvm_vcpu *vcpu;
	u8 *regs;
	struct kvm_lapic_timer timer;
	bool sw_enabled;
	bool hw_delivers;
	bool hw_stale;
	bool pv_eoi_pending;
	unsigned long errors;
	gpa_t vapic_addr;
	struct kvm_hva_cache vapic;
};

static inline u32 kvm_lapic_reg(const struct kvm_lapic *apic, unsigned int reg)
{
	return READ_ONCE(*(u32 *)(apic->regs + reg));
}

static inline void kvm_lapic_set_reg(struct kvm_lapic *apic, unsigned int reg,
				     u32 val)
{
	WRITE_ONCE(*(u32 *)(apic->regs + reg), val);
}

static inline unsigned long *kvm_lapic_vec_word(struct kvm_lapic *apic,
						unsigned int vec, unsigned int reg)
{
	return (unsigned long *)(apic->regs + reg + (vec >> 5) * 0x10);
}

static inline bool kvm_lapic_test_vec(struct kvm_lapic *apic, unsigned int vec,
				      unsigned int reg)
{
	return kvm_lapic_reg(apic, reg + (vec >> 5) * 0x10) & BIT(vec & 31);
}

/* IA32_APIC_BASE of a vCPU */
static inline bool kvm_lapic_hw_enabled(const struct kvm_lapic *apic)
{
	return READ_ONCE(apic->vcpu->arch.apic_base) & MSR_IA32_APICBASE_ENABLE;
}

static inline bool kvm_lapic_x2apic(const struct kvm_lapic *apic)
{
	return READ_ONCE(apic->vcpu->arch.apic_base) & X2APIC_ENABLE;
}

static inline u32 kvm_x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | BIT(id & 0xf);
}

/* lapic.c */
int kvm_lapic_highest(struct kvm_lapic *apic, unsigned int reg);
void kvm_lapic_update_ppr(struct kvm_lapic *apic);
int kvm_lapic_accept(struct kvm_lapic *apic, const struct kvm_lapic_irq *irq);
void kvm_lapic_mcg_cap_changed(struct kvm_vcpu *vcpu);
bool kvm_lapic_local_deliver(struct kvm_lapic *apic, unsigned int lvt);
void kvm_lapic_pmi(struct kvm_vcpu *vcpu);
void kvm_lapic_lint0(struct kvm_lapic *apic, bool rose);
void kvm_lapic_lint0_scan(struct kvm_lapic *apic);
bool kvm_lapic_accepts_pic(struct kvm_lapic *apic);
int kvm_lapic_reg_write(struct kvm_lapic *apic, u32 reg, u32 val);
u32 kvm_lapic_reg_read(struct kvm_lapic *apic, u32 reg);
void kvm_lapic_eoi(struct kvm_lapic *apic);
void kvm_lapic_hw_eoi(struct kvm_lapic *apic, u8 vec);
void kvm_lapic_hw_wrote(struct kvm_lapic *apic, u32 reg);
int kvm_lapic_get_state(struct kvm_vcpu *vcpu, struct kvm_lapic_state *s);
int kvm_lapic_set_state(struct kvm_vcpu *vcpu, struct kvm_lapic_state *s);

/* lapic_timer.c */
bool kvm_lapic_bus_cycle_valid(u64 ns);
void kvm_lapic_timer_init(struct kvm_lapic *apic);
void kvm_lapic_timer_stop(struct kvm_lapic *apic);
void kvm_lapic_timer_reset(struct kvm_lapic *apic);
void kvm_lapic_timer_start(struct kvm_lapic *apic);
void kvm_lapic_timer_resume(struct kvm_lapic *apic);
void kvm_lapic_timer_set_divide(struct kvm_lapic *apic);
void kvm_lapic_timer_mode_changed(struct kvm_lapic *apic);
u32 kvm_lapic_timer_count(struct kvm_lapic *apic);
u32 kvm_lapic_timer_save(struct kvm_lapic *apic);

/* lapic_map.c */
bool kvm_lapic_match(struct kvm_lapic *apic, const struct kvm_lapic *src,
		     const struct kvm_lapic_irq *irq);
void kvm_lapic_map_free(struct kvm *kvm);

/* apic_page.c */
int kvm_apic_page_create(struct kvm *kvm);
void kvm_apic_page_free(struct kvm *kvm);
void kvm_apic_page_place(struct kvm *kvm);

#endif /* KVM_OOT_LAPIC_H */
