/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interrupt controllers as the rest of the x86 code sees them. Device
 * state is in lapic.h, ioapic.h, pic.h and pit.h.
 */
#ifndef KVM_OOT_IRQ_H
#define KVM_OOT_IRQ_H

#include "module/kvm_host.h"

struct kvm_msr_data;

static inline bool kvm_irqchip_in_kernel(struct kvm *kvm)
{
	return READ_ONCE(kvm->arch.irqchip_mode) != KVM_IRQCHIP_NONE;
}

static inline bool kvm_irqchip_full(struct kvm *kvm)
{
	return READ_ONCE(kvm->arch.irqchip_mode) == KVM_IRQCHIP_KERNEL;
}

static inline bool kvm_irqchip_split(struct kvm *kvm)
{
	return READ_ONCE(kvm->arch.irqchip_mode) == KVM_IRQCHIP_SPLIT;
}

static inline bool kvm_lapic_in_kernel(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.apic;
}

int kvm_irq_module_init(void);
void kvm_irq_module_exit(void);

/* VM: ioctls CREATE_IRQCHIP, CREATE_PIT2, IRQ_LINE(_STATUS), GET/SET_IRQCHIP,
 * GET/SET_PIT(2), REINJECT_CONTROL; -ENOTTY when not one of them
 */
long kvm_irq_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg);
void kvm_irq_vm_init(struct kvm *kvm);
void kvm_irq_vm_pre_destroy(struct kvm *kvm);	/* stop timers and work */
void kvm_irq_vm_destroy(struct kvm *kvm);
int kvm_irq_enable_split(struct kvm *kvm, unsigned int nr_pins);	/* KVM_CAP_SPLIT_IRQCHIP */
u64 kvm_x2apic_flags(struct kvm *kvm);			/* KVM_CAP_X2APIC_API */
int kvm_set_x2apic_flags(struct kvm *kvm, u64 flags);
int kvm_set_bus_cycle(struct kvm *kvm, u64 ns);		/* KVM_CAP_X86_APIC_BUS_CYCLES_NS */

/* vCPU: GET/SET_LAPIC; -ENOTTY otherwise */
long kvm_lapic_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp);
int kvm_lapic_create(struct kvm_vcpu *vcpu);
void kvm_lapic_free(struct kvm_vcpu *vcpu);
void kvm_lapic_reset(struct kvm_vcpu *vcpu, bool init);
/* IA32_APIC_BASE: 0, or 1 for #GP */
int kvm_lapic_set_base(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr);
u64 kvm_lapic_get_base(struct kvm_vcpu *vcpu);
unsigned int kvm_lapic_mode(u64 base);	/* LAPIC_MODE_* */
/* x2APIC MSRs 0x800..0x8ff: 0, or 1 for #GP */
int kvm_x2apic_read(struct kvm_vcpu *vcpu, u32 msr, u64 *data);
int kvm_x2apic_write(struct kvm_vcpu *vcpu, u32 msr, u64 data);
int kvm_lapic_get_tscdeadline(struct kvm_vcpu *vcpu, u64 *data);
void kvm_lapic_set_tscdeadline(struct kvm_vcpu *vcpu, u64 data);
int kvm_pv_eoi_set(struct kvm_vcpu *vcpu, u64 data);	/* MSR_KVM_PV_EOI_EN: 0 or 1 */

u64 kvm_lapic_get_cr8(struct kvm_vcpu *vcpu);
void kvm_lapic_set_tpr(struct kvm_vcpu *vcpu, unsigned long cr8);

/* MMIO of the xAPIC page: 0 when the LAPIC took it, -EOPNOTSUPP otherwise */
int kvm_lapic_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, int len, void *val);
int kvm_lapic_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, int len, const void *val);

/* interrupts to the vCPU: PIC (ExtINT), KVM_INTERRUPT or LAPIC */
bool kvm_cpu_has_interrupt(struct kvm_vcpu *vcpu);	/* deliverable; whatever IF is */
bool kvm_cpu_has_injectable_intr(struct kvm_vcpu *vcpu);
bool kvm_cpu_has_extint(struct kvm_vcpu *vcpu);
int kvm_cpu_get_interrupt(struct kvm_vcpu *vcpu);	/* acknowledge; -1 none */
int kvm_lapic_find_highest_irr(struct kvm_vcpu *vcpu);	/* -1 none */
bool kvm_lapic_enabled(struct kvm_vcpu *vcpu);
bool kvm_lapic_has_pending_timer(struct kvm_vcpu *vcpu);
void kvm_lapic_inject_timer_irqs(struct kvm_vcpu *vcpu);
void kvm_lapic_timer_hw_fires(struct kvm_vcpu *vcpu);
void kvm_lapic_wait_deadline(struct kvm_vcpu *vcpu);
void kvm_lapic_timer_to_host(struct kvm_vcpu *vcpu);
void kvm_lapic_timer_to_guest(struct kvm_vcpu *vcpu);
/* INIT and SIPI taken by the vCPU thread; <0 on error */
int kvm_lapic_accept_events(struct kvm_vcpu *vcpu);
bool kvm_lapic_has_init_or_sipi(struct kvm_vcpu *vcpu);
void kvm_lapic_vcpu_load(struct kvm_vcpu *vcpu);	/* timer follows the CPU */
void kvm_lapic_sync_from_vapic(struct kvm_vcpu *vcpu);	/* PV EOI before/after entry */
void kvm_lapic_sync_to_vapic(struct kvm_vcpu *vcpu);
void kvm_lapic_cpuid_changed(struct kvm_vcpu *vcpu);	/* timer modes, version */
void kvm_lapic_hw_update(struct kvm_vcpu *vcpu);	/* may hardware deliver interrupts? */
void kvm_scan_ioapic(struct kvm_vcpu *vcpu);		/* KVM_REQ_SCAN_IOAPIC */
void kvm_make_scan_ioapic_request(struct kvm *kvm);
void kvm_recalculate_apic_map(struct kvm *kvm);
bool kvm_vcpu_is_bsp(struct kvm_vcpu *vcpu);
struct kvm_vcpu *kvm_vcpu_by_apic_id(struct kvm *kvm, u64 id);

/* deliver an interrupt message; see lapic.h for struct kvm_lapic_irq */
struct kvm_lapic_irq;
int kvm_irq_deliver(struct kvm *kvm, struct kvm_lapic *src, struct kvm_lapic_irq *irq);
struct kvm_vcpu *kvm_irq_only_target(struct kvm *kvm, const struct kvm_lapic_irq *irq);

#endif /* KVM_OOT_IRQ_H */
