// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that post interrupts: an IOMMU that writes them into the descriptor of a
 * vCPU, as vmx_post_intr() does, and sends a notification.
 *
 * Intel VT-d specification, 5.2 (Interrupt Posting), and SDM vol. 3, 30.6. The
 * descriptor says who gets the notification: a vector (NV) of a CPU (NDST); or
 * nobody (SN).
 * - While the vCPU is on a CPU, that CPU gets the vector that posted interrupts
 *   have: in guest mode it delivers by itself, else whoever enters next looks.
 * - While the vCPU sleeps because its guest has nothing to do, the CPU on which it
 *   went to sleep gets another vector, whose handler wakes those sleepers for which
 *   something was posted.
 * - At all other times nobody does; whoever puts the vCPU on a CPU looks.
 *
 * Only where the host's IOMMU posts is anything of it done.
 */
#include <linux/cpumask.h>
#include <linux/irq.h>
#include <linux/percpu.h>
#include <linux/rcuwait.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <asm/apic.h>
#include <asm/irq.h>
#include <asm/irq_vectors.h>

#include "arch/x86/irq/lapic.h"
#include "arch/x86/vmx/vmx.h"
#include "module/compat/bypass.h"
#include "module/compat/ipi.h"

#define CONTROL_SN		BIT(VMX_POSTED_SN)
#define CONTROL_NV_SHIFT	16
#define CONTROL_NV		GENMASK(23, 16)
#define CONTROL_NDST		GENMASK(63, 32)

struct sleepers {
	/*
	 * Innermost but for the scheduler's locks, on both sides: sched_out takes it within
	 * them, the handler takes them within it. Each has its own CPU's with interrupts off,
	 * so the two never meet; others take it with none of the scheduler's held.
	 */
	raw_spinlock_t lock;
	struct list_head vcpus;
};

static DEFINE_PER_CPU(struct sleepers, sleepers);

static void change_control(struct vmx_posted *p, u64 clear, u64 set)
{
	unsigned long old = READ_ONCE(p->control);

	while (!try_cmpxchg(&p->control, &old, (old & ~clear) | set))
		;
}

/* How the descriptor names a CPU: VT-d specification, 9.11. */
static u64 control_ndst(int cpu)
{
	u32 id = cpu_physical_id(cpu);

	return (u64)(x2apic_mode ? id : (id & 0xff) << 8) << 32;
}

static bool anything_posted(const struct vmx_posted *p)
{
	return READ_ONCE(p->pir[0]) | READ_ONCE(p->pir[1]) |
	       READ_ONCE(p->pir[2]) | READ_ONCE(p->pir[3]);
}

static void stop_sleeping(struct vmx_vcpu *v)
{
	struct sleepers *s;
	unsigned long flags;

	if (v->sleeps_on < 0)
		return;
	s = per_cpu_ptr(&sleepers, v->sleeps_on);
	raw_spin_lock_irqsave(&s->lock, flags);
	list_del(&v->sleeper);
	raw_spin_unlock_irqrestore(&s->lock, flags);
	v->sleeps_on = -1;
}

/**
 * vmx_posting_load() - notifications go to this CPU
 * @v: the vCPU, being loaded; preemption off
 * @cpu: this CPU
 */
void vmx_posting_load(struct vmx_vcpu *v, int cpu)
{
	stop_sleeping(v);
	change_control(&v->posted, CONTROL_NDST | CONTROL_NV | CONTROL_SN,
		       control_ndst(cpu) | POSTED_INTR_VECTOR << CONTROL_NV_SHIFT);
	/* the change is a full barrier: what was posted without notification is seen */
	if (anything_posted(&v->posted))
		set_bit(VMX_POSTED_ON, &v->posted.control);
}

/**
 * vmx_posting_put() - the vCPU leaves its CPU
 * @v: the vCPU; preemption off, and interrupts where it sleeps
 */
void vmx_posting_put(struct vmx_vcpu *v)
{
	struct kvm_vcpu *vcpu = v->vcpu;
	int cpu = smp_processor_id();
	struct sleepers *s;

	if (!rcuwait_active(&vcpu->wait) || !atomic_read(&vcpu->kvm->arch.nr_posting)) {
		change_control(&v->posted, 0, CONTROL_SN);
		return;
	}
	lockdep_assert_irqs_disabled();
	s = per_cpu_ptr(&sleepers, cpu);
	raw_spin_lock_nested(&s->lock, SINGLE_DEPTH_NESTING);
	list_add_tail(&v->sleeper, &s->vcpus);
	raw_spin_unlock(&s->lock);
	v->sleeps_on = cpu;
	change_control(&v->posted, CONTROL_NV, POSTED_INTR_WAKEUP_VECTOR << CONTROL_NV_SHIFT);
	/* posted since it was looked for: nobody else tells */
	if (test_bit(VMX_POSTED_ON, &v->posted.control))
		kvm_send_ipi(cpu, POSTED_INTR_WAKEUP_VECTOR);
}

/* Of those that sleep on this CPU; interrupts are off. */
static void wake_sleepers(bool all)
{
	struct sleepers *s = this_cpu_ptr(&sleepers);
	struct vmx_vcpu *v;

	raw_spin_lock(&s->lock);
	list_for_each_entry(v, &s->vcpus, sleeper)
		if (all || test_bit(VMX_POSTED_ON, &v->posted.control))
			kvm_vcpu_wake_up(v->vcpu);
	raw_spin_unlock(&s->lock);
}

/* POSTED_INTR_WAKEUP_VECTOR came */
static void wake_posted(void)
{
	wake_sleepers(false);
}

/**
 * vmx_posting_cpu_down() - this CPU takes no notifications any more
 *
 * Who sleeps on it looks again and sleeps on another. Interrupts are off.
 */
void vmx_posting_cpu_down(void)
{
	wake_sleepers(true);
}

/**
 * vmx_posting_sync() - look for what was posted, where the CPU does not deliver
 * @v: the vCPU, about to enter; interrupts off
 *
 * The entry is of no use then; an interrupt that waits ends it, and the caller looks for
 * events.
 */
void vmx_posting_sync(struct vmx_vcpu *v)
{
	if (!v->vcpu->arch.apic || !test_bit(VMX_POSTED_ON, &v->posted.control))
		return;
	vmx_sync_irr(v->vcpu);
	kvm_make_request(KVM_REQ_EVENT, v->vcpu);
	smp_send_reschedule(smp_processor_id());
}

/**
 * vmx_device_posts() - have a device's interrupt posted to a vCPU, or not any more
 * @host_irq: the host's number of the interrupt
 * @vcpu: the vCPU; NULL: to the host, as before
 * @vector: as which it comes to the guest, 16 to 255
 *
 * Any context that allows spinlocks.
 *
 * Return: 0, or what irq_set_vcpu_affinity() says.
 */
int vmx_device_posts(int host_irq, struct kvm_vcpu *vcpu, u8 vector)
{
	KVM_INTEL_PI_DATA_T data;

	if (!vcpu)
		return irq_set_vcpu_affinity(host_irq, NULL);
	data.pi_desc_addr = __pa(&to_vmx(vcpu)->posted);
	data.vector = vector;
	return irq_set_vcpu_affinity(host_irq, &data);
}

/**
 * vmx_posting_init() - take the vector that wakes
 */
void vmx_posting_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct sleepers *s = per_cpu_ptr(&sleepers, cpu);

		raw_spin_lock_init(&s->lock);
		INIT_LIST_HEAD(&s->vcpus);
	}
	if (vmx_feat.device_posting)
		kvm_set_posted_intr_wakeup_handler(wake_posted);
}

/**
 * vmx_posting_exit() - give it back; no VM is left
 */
void vmx_posting_exit(void)
{
	if (vmx_feat.device_posting)
		kvm_set_posted_intr_wakeup_handler(NULL);
}
