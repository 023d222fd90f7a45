/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Telling the kernel that a CPU is in guest mode: time accounting, context
 * tracking (RCU), and lockdep's view of interrupts. The kernel's own helpers
 * for it stand in the header that also holds the in-tree module's structures.
 *
 * Timing brackets all inner entries of one round; state brackets the entry
 * instruction itself, is called with interrupts off from noinstr code, and
 * nothing that may be traced or instrumented may run between the two.
 */
#ifndef KVM_OOT_GUEST_STATE_H
#define KVM_OOT_GUEST_STATE_H

#include <linux/context_tracking.h>
#include <linux/ftrace.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/version.h>
#include <linux/vtime.h>

#if KERNEL_VERSION(6, 4, 0) > LINUX_VERSION_CODE
#define kvm_rcu_virt_note_context_switch() \
	rcu_virt_note_context_switch(smp_processor_id())
#else
#define kvm_rcu_virt_note_context_switch()	rcu_virt_note_context_switch()
#endif

static __always_inline void kvm_guest_timing_enter_irqoff(void)
{
	instrumentation_begin();
	vtime_account_guest_enter();
	instrumentation_end();
}

static __always_inline void kvm_guest_timing_exit_irqoff(void)
{
	instrumentation_begin();
	vtime_account_guest_exit();
	instrumentation_end();
}

static __always_inline void kvm_guest_state_enter_irqoff(void)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();

	if (!context_tracking_guest_enter()) {
		instrumentation_begin();
		kvm_rcu_virt_note_context_switch();
		instrumentation_end();
	}
	lockdep_hardirqs_on(CALLER_ADDR0);
}

static __always_inline void kvm_guest_state_exit_irqoff(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();

	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

#endif /* KVM_OOT_GUEST_STATE_H */
