/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rescheduling, signals, task work and the like, before guest mode is entered.
 */
#ifndef KVM_OOT_GUEST_WORK_H
#define KVM_OOT_GUEST_WORK_H

#include <linux/version.h>
#if KERNEL_VERSION(6, 18, 0) > LINUX_VERSION_CODE
#include <linux/entry-kvm.h>
#else
#include <linux/entry-virt.h>
#endif

struct kvm_run;

void *kvm_guest_work_alloc(struct kvm_run *run);
void kvm_guest_work_free(void *work);
int kvm_guest_work_handle(void *work);

#endif /* KVM_OOT_GUEST_WORK_H */
