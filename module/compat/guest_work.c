// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work that waits for a thread on its way into the guest, see
 * <linux/entry-kvm.h>.
 *
 * Until 6.18 the kernel's function for it takes a struct kvm_vcpu of the
 * in-tree module, and on a signal writes two fields of it: run->exit_reason
 * and stat.signal_exits. Our vCPU has another layout, so such kernels are
 * given a stand-in with theirs, which holds nothing but the pointer to our
 * kvm_run page. This file alone sees the in-tree layout.
 */
#include <linux/version.h>
#include <linux/slab.h>

#if KERNEL_VERSION(6, 18, 0) > LINUX_VERSION_CODE
#include <linux/kvm_host.h>
#include <linux/entry-kvm.h>

#include "module/compat/guest_work.h"

/**
 * kvm_guest_work_alloc() - what kvm_guest_work_handle() needs for a vCPU
 * @run: the vCPU's kvm_run page
 *
 * Return: opaque, or NULL when out of memory.
 */
void *kvm_guest_work_alloc(struct kvm_run *run)
{
	struct kvm_vcpu *proxy = kvzalloc(sizeof(*proxy), GFP_KERNEL_ACCOUNT);

	if (proxy)
		proxy->run = run;
	return proxy;
}

/**
 * kvm_guest_work_free() - free it
 * @work: from kvm_guest_work_alloc(), or NULL
 */
void kvm_guest_work_free(void *work)
{
	kvfree(work);
}

/**
 * kvm_guest_work_handle() - do the work that waits
 * @work: from kvm_guest_work_alloc()
 *
 * Return: 0, or -EINTR with kvm_run.exit_reason set when a signal waits.
 */
int kvm_guest_work_handle(void *work)
{
	return xfer_to_guest_mode_handle_work(work);
}
#else
#include <linux/kvm.h>
#include <linux/entry-virt.h>

#include "module/compat/guest_work.h"

void *kvm_guest_work_alloc(struct kvm_run *run)
{
	return run;
}

void kvm_guest_work_free(void *work)
{
}

int kvm_guest_work_handle(void *work)
{
	struct kvm_run *run = work;
	int r = xfer_to_guest_mode_handle_work();

	if (r == -EINTR)
		run->exit_reason = KVM_EXIT_INTR;
	return r;
}
#endif
