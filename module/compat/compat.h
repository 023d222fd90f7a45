/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The source is written for the newest kernel; this header makes an older one
 * look like it. It is the only place that may know kernel versions, and it
 * prefers a probe (does a macro exist, does this compile) to a number.
 */
#ifndef KVM_OOT_COMPAT_H
#define KVM_OOT_COMPAT_H

#include <linux/version.h>
#include <linux/kernel.h>
#include <linux/overflow.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <asm/msr.h>
#if KERNEL_VERSION(6, 16, 0) <= LINUX_VERSION_CODE
#include <asm/cpuid/api.h>	/* cpuid() and its like have left asm/processor.h */
#endif
#if KERNEL_VERSION(6, 4, 0) <= LINUX_VERSION_CODE
#include <trace/events/ipi.h>	/* smp_send_reschedule() is a macro that traces */
#endif

#if KERNEL_VERSION(6, 8, 0) > LINUX_VERSION_CODE
/* 6.8 dropped the count: it was always 1. */
#define eventfd_signal(ctx)	((void)(eventfd_signal)((ctx), 1))
#endif

/*
 * Waiting before all others, and alone: a second one is refused with -EBUSY. An older
 * kernel's own KVM lets them be when two VMs are given one eventfd.
 */
static inline int kvm_wait_first(struct wait_queue_head *head, struct wait_queue_entry *entry)
{
#if KERNEL_VERSION(6, 17, 0) <= LINUX_VERSION_CODE
	return add_wait_queue_priority_exclusive(head, entry);
#else
	struct wait_queue_entry *first;
	unsigned long flags;
	int r = -EBUSY;

	spin_lock_irqsave(&head->lock, flags);
	first = list_first_entry_or_null(&head->head, struct wait_queue_entry, entry);
	if (!first || !(first->flags & WQ_FLAG_PRIORITY)) {
		entry->flags |= WQ_FLAG_EXCLUSIVE | WQ_FLAG_PRIORITY;
		__add_wait_queue(head, entry);
		r = 0;
	}
	spin_unlock_irqrestore(&head->lock, flags);
	return r;
#endif
}

#if KERNEL_VERSION(6, 13, 0) > LINUX_VERSION_CODE
static inline void kvm_compat_hrtimer_setup(struct hrtimer *timer,
					    enum hrtimer_restart (*fn)(struct hrtimer *),
					    clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}

#define hrtimer_setup kvm_compat_hrtimer_setup
#endif

#if KERNEL_VERSION(6, 10, 0) > LINUX_VERSION_CODE
/* The kernel's own code is warned by the name that user space may change it. */
#define immediate_exit__unsafe	immediate_exit
#endif

#ifndef rdmsrq
#if KERNEL_VERSION(6, 16, 0) > LINUX_VERSION_CODE
#define rdmsrq(msr, val)	rdmsrl(msr, val)
#define wrmsrq(msr, val)	wrmsrl(msr, val)
#define rdmsrq_safe(msr, p)	rdmsrl_safe(msr, p)
#define wrmsrq_safe(msr, v)	wrmsrl_safe(msr, v)
#endif
#endif

/* what a file system's calls are given beside the file: how its mount maps user ids */
#if KERNEL_VERSION(6, 3, 0) > LINUX_VERSION_CODE
#define KVM_MNT_IDMAP_T		struct user_namespace
#else
#define KVM_MNT_IDMAP_T		struct mnt_idmap
#endif

/* what the MMU notifier's calls about age return */
#if KERNEL_VERSION(7, 1, 0) > LINUX_VERSION_CODE
#define KVM_NOTIFIER_YOUNG_T	int
#else
#define KVM_NOTIFIER_YOUNG_T	bool
#endif

/* The step of CPU hotplug in which no task can run on the CPU any more, or yet. */
#if KERNEL_VERSION(6, 5, 0) > LINUX_VERSION_CODE
#define KVM_CPUHP_STATE		CPUHP_AP_KVM_STARTING
#define KVM_CPUHP_CAN_FAIL	false
#else
#define KVM_CPUHP_STATE		CPUHP_AP_KVM_ONLINE
#define KVM_CPUHP_CAN_FAIL	true
#endif

/*
 * May CR4 be restored before the guest has its CPUID? Before 6.14 KVM let any bit be set that
 * the host has, and its selftests want that; since then, none that CPUID does not tell of.
 */
#if KERNEL_VERSION(6, 14, 0) > LINUX_VERSION_CODE
#define KVM_CR4_BEFORE_CPUID	true
#else
#define KVM_CR4_BEFORE_CPUID	false
#endif

/*
 * May what the CPU says of itself in MSRs be changed once the guest has run? Since 6.4 not, and
 * the selftests from before and after want it so.
 */
#if KERNEL_VERSION(6, 4, 0) > LINUX_VERSION_CODE
#define KVM_FEATURE_MSRS_FIXED	false
#else
#define KVM_FEATURE_MSRS_FIXED	true
#endif

/* Suspend and resume of the last CPU; the callbacks have got an argument (see Kbuild.inc). */
#ifndef KVM_HAVE_SYSCORE_DATA
#define KVM_SYSCORE_ARG		void
#define KVM_SYSCORE_DEFINE(name, suspend_fn, resume_fn)			\
	struct syscore_ops name = { .suspend = (suspend_fn), .resume = (resume_fn) }
#define kvm_syscore_register	register_syscore_ops
#define kvm_syscore_unregister	unregister_syscore_ops
#else
#define KVM_SYSCORE_ARG		void *unused
#define KVM_SYSCORE_DEFINE(name, suspend_fn, resume_fn)			\
	struct syscore name = { .ops = &(const struct syscore_ops) {	\
		.suspend = (suspend_fn), .resume = (resume_fn) } }
#define kvm_syscore_register	register_syscore
#define kvm_syscore_unregister	unregister_syscore
#endif

/* What was a flag has become a word of flags, in the same place. */
static inline void kvm_hypercall_set_flags(struct kvm_run *run, u64 flags)
{
#if KERNEL_VERSION(6, 4, 0) > LINUX_VERSION_CODE
	run->hypercall.longmode = flags;
	run->hypercall.pad = 0;
#else
	run->hypercall.flags = flags;
#endif
}

/*
 * A workqueue is bound to a CPU or not: newer kernels want to be told which, and warn else
 * (see Kbuild.inc). The queue of the kernel's that is not bound has got another name.
 */
#ifndef KVM_HAVE_PERCPU_WQ
#define WQ_PERCPU		0
#define system_dfl_wq		system_unbound_wq
#endif

/* What sysfs says of the ITLB multihit erratum; exported to KVM, in no header. */
extern bool itlb_multihit_kvm_mitigation;

#endif /* KVM_OOT_COMPAT_H */
