// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU does of a LAPIC by itself.
 *
 * Intel SDM vol. 3, chapter 30. The virtual-APIC page is the LAPIC's register page.
 * With the TPR shadow CR8 is its TPR. With the APIC page (parameter flexpriority) an
 * access to the registers is an exit of its own, or none: the TPR. With APIC
 * virtualization (parameter enable_apicv) the CPU reads and writes registers there,
 * takes the highest vector of IRR as soon as the guest can have it, ends it at EOI,
 * and exits for what others have to hear of: an EOI whose vector is in the EOI-exit
 * bitmap, a write with effects.
 *
 * It keeps the highest vector of IRR (RVI) and of ISR (SVI) in the VMCS. Where
 * software changes IRR or ISR, hw_stale of the LAPIC has them computed before the next
 * entry.
 *
 * A vector for a vCPU is posted: set in its descriptor, from where vmx_sync_irr()
 * moves it to IRR, or the CPU, when the notification vector reaches it in guest
 * mode. Outside of it the notification does nothing. A vCPU that sleeps is simply
 * woken, without the vector for that which devices need: those are in posting.c.
 */
#include <linux/mm.h>
#include <linux/smp.h>
#include <asm/io.h>
#include <asm/irq_vectors.h>

#include "arch/x86/irq/lapic.h"
#include "arch/x86/vmx/vmx.h"
#include "module/compat/ipi.h"

static_assert(sizeof(struct vmx_posted) == 64);
static_assert(offsetof(struct vmx_posted, control) == 32);
/* from kmalloc(), which aligns what is as large to more than the descriptor needs */
static_assert(sizeof(struct vmx_vcpu) > 256);

#define X2APIC_MSR(reg)		(APIC_BASE_MSR + ((reg) >> 4))

static bool delivers(const struct vmx_vcpu *v)
{
	return vmx_feat.apicv && v->vcpu->arch.apic && v->vcpu->arch.apic->hw_delivers;
}

/**
 * vmx_apic_cpu2() - secondary controls for the present state of the LAPIC
 * @v: the vCPU
 *
 * Return: of VMX_APIC_CPU2 what applies.
 */
u32 vmx_apic_cpu2(struct vmx_vcpu *v)
{
	struct kvm_lapic *lapic = v->vcpu->arch.apic;
	u32 ctl = 0;

	if (!lapic)
		return 0;
	/* what L2 does to the APIC page it does to L1's APIC, and the rest it has not */
	if (unlikely(v->vcpu->arch.guest_mode))
		return vmx_feat.apic_page && kvm_lapic_mode(v->vcpu->arch.apic_base) !=
		       LAPIC_MODE_X2APIC ? SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES : 0;
	if (delivers(v))
		ctl |= SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
	/* never both */
	if (kvm_lapic_mode(v->vcpu->arch.apic_base) == LAPIC_MODE_X2APIC) {
		if (vmx_feat.x2apic_mode)
			ctl |= SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
	} else if (vmx_feat.apic_page) {
		ctl |= SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	}
	return ctl;
}

/**
 * vmx_apic_pin() - likewise: pin-based controls
 * @v: the vCPU
 *
 * Return: PIN_BASED_POSTED_INTR or 0.
 */
u32 vmx_apic_pin(struct vmx_vcpu *v)
{
	return delivers(v) ? PIN_BASED_POSTED_INTR : 0;
}

static void write_eoi_exits(struct vmx_vcpu *v, bool all)
{
	unsigned long *want = v->vcpu->arch.ioapic_handled_vectors;
	int i;

	/* the high halves of the fields are the odd encodings between */
	for (i = 0; i < 4; i++) {
		if (!all && v->eoi_exits[i] == want[i])
			continue;
		v->eoi_exits[i] = want[i];
		vmcs_write(EOI_EXIT_BITMAP0 + 2 * i, want[i]);
	}
}

/**
 * vmx_apic_init() - fields of a new VMCS
 * @v: the vCPU, loaded
 */
void vmx_apic_init(struct vmx_vcpu *v)
{
	struct kvm_lapic *lapic = v->vcpu->arch.apic;

	v->tpr_threshold = 0;
	if (!lapic || !vmx_feat.tpr_shadow)
		return;
	vmcs_write(VIRTUAL_APIC_PAGE_ADDR, __pa(lapic->regs));
	vmcs_write(TPR_THRESHOLD, 0);
	if (vmx_feat.apic_page)
		vmcs_write(APIC_ACCESS_ADDR, page_to_phys(v->vcpu->kvm->arch.apic_page));
	if (vmx_feat.apicv) {
		write_eoi_exits(v, true);
		vmcs_write(GUEST_INTR_STATUS, 0);
		lapic->hw_stale = true;
		vmcs_write(POSTED_INTR_NV, POSTED_INTR_VECTOR);
		vmcs_write(POSTED_INTR_DESC_ADDR, __pa(&v->posted));
	}
}

/**
 * vmx_apic_changed() - the LAPIC's mode, hw_delivers or the vectors to hear of changed
 * @vcpu: the vCPU, loaded
 */
void vmx_apic_changed(struct kvm_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 cpu2 = (v->cpu2_ctl & ~VMX_APIC_CPU2) | vmx_apic_cpu2(v);
	u32 pin = (v->pin_ctl & ~PIN_BASED_POSTED_INTR) | vmx_apic_pin(v);

	if (vmx_feat.apicv)
		write_eoi_exits(v, false);
	if (pin != v->pin_ctl) {
		v->pin_ctl = pin;
		vmcs_write(PIN_BASED_VM_EXEC_CONTROL, pin);
	}
	if (cpu2 == v->cpu2_ctl)
		return;
	v->cpu2_ctl = cpu2;
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, cpu2);
	vmx_update_msr_map(vcpu);
}

/**
 * vmx_open_apic_msrs() - MSRs of the LAPIC that the CPU answers from the page
 * @v: the vCPU; kvm->srcu is held
 *
 * An MSR that is not intercepted reads whatever is at its place: no more than the
 * registers that exist and have their value there. The identity, the ICR and the
 * current count have not.
 */
void vmx_open_apic_msrs(struct vmx_vcpu *v)
{
	unsigned int reg;

	if (!(v->cpu2_ctl & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE))
		return;
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_TASKPRI), true, true, vmx_open_msr);
	if (!vmx_apicv_active(v))
		return;
	for (reg = APIC_ISR; reg < APIC_ISR + 3 * 0x80; reg += 0x10)
		kvm_open_msr(v->vcpu, X2APIC_MSR(reg), true, false, vmx_open_msr);
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_PROCPRI), true, false, vmx_open_msr);
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_LVR), true, false, vmx_open_msr);
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_LDR), true, false, vmx_open_msr);
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_SPIV), true, false, vmx_open_msr);
	for (reg = APIC_LVTT; reg <= APIC_LVTERR; reg += 0x10)
		kvm_open_msr(v->vcpu, X2APIC_MSR(reg), true, false, vmx_open_msr);
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_EOI), false, true, vmx_open_msr);
	kvm_open_msr(v->vcpu, X2APIC_MSR(APIC_SELF_IPI), false, true, vmx_open_msr);
}

static void notify(struct kvm_vcpu *vcpu)
{
	int cpu, me;

	/* not in the guest: it looks before it enters, or before it sleeps */
	if (READ_ONCE(vcpu->mode) != KVM_IN_GUEST) {
		kvm_vcpu_wake_up(vcpu);
		return;
	}
	me = get_cpu();
	smp_rmb();	/* the CPU on which it is in that mode */
	cpu = READ_ONCE(vcpu->cpu);
	if (cpu >= 0 && cpu != me && cpu_online(cpu))
		kvm_send_ipi(cpu, POSTED_INTR_VECTOR);
	put_cpu();
}

/**
 * vmx_post_intr() - a vector for a vCPU
 * @vcpu: the vCPU; any context
 * @vector: 16 to 255
 *
 * Who finds it posted already, or others on their way, leaves the rest to the thread
 * that posted those.
 */
void vmx_post_intr(struct kvm_vcpu *vcpu, u8 vector)
{
	struct vmx_posted *p = &to_vmx(vcpu)->posted;

	if (test_and_set_bit(vector, p->pir) || test_and_set_bit(VMX_POSTED_ON, &p->control))
		return;
	/* both are full barriers: hw_delivers, mode and the wait queue are read after them */
	if (READ_ONCE(vcpu->arch.apic->hw_delivers)) {
		notify(vcpu);
	} else {
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}

/**
 * vmx_sync_irr() - move what was posted to IRR
 * @vcpu: the vCPU, in its thread, not in guest mode
 */
void vmx_sync_irr(struct kvm_vcpu *vcpu)
{
	struct vmx_posted *p = &to_vmx(vcpu)->posted;
	struct kvm_lapic *lapic = vcpu->arch.apic;
	unsigned int i;

	if (!test_bit(VMX_POSTED_ON, &p->control))
		return;
	clear_bit(VMX_POSTED_ON, &p->control);
	smp_mb__after_atomic();		/* before the vectors: a later one sets it again */
	for (i = 0; i < 4; i++) {
		unsigned int reg = APIC_IRR + 0x20 * i;
		u64 pir;

		if (!READ_ONCE(p->pir[i]))
			continue;
		pir = xchg(&p->pir[i], 0);
		kvm_lapic_set_reg(lapic, reg, kvm_lapic_reg(lapic, reg) | (u32)pir);
		kvm_lapic_set_reg(lapic, reg + 0x10, kvm_lapic_reg(lapic, reg + 0x10) | pir >> 32);
	}
	lapic->hw_stale = true;
}

/**
 * vmx_load_intr_status() - let the CPU know what is in IRR and ISR
 * @v: the vCPU, about to enter, with APIC virtualization; interrupts off
 *
 * What is posted from now on comes with a notification that the CPU itself takes.
 */
void vmx_load_intr_status(struct vmx_vcpu *v)
{
	struct kvm_lapic *lapic = v->vcpu->arch.apic;
	int irr, isr;

	vmx_sync_irr(v->vcpu);
	if (!lapic->hw_stale)
		return;
	lapic->hw_stale = false;
	irr = kvm_lapic_highest(lapic, APIC_IRR);
	isr = kvm_lapic_highest(lapic, APIC_ISR);
	vmcs_write(GUEST_INTR_STATUS, max(isr, 0) << 8 | max(irr, 0));
}
