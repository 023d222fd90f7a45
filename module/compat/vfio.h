/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What VFIO offers to KVM, by the newest kernel's names. Each is had with symbol_get() while
 * it is called, so that kvm.ko does not need vfio.ko.
 */
#ifndef KVM_OOT_COMPAT_VFIO_H
#define KVM_OOT_COMPAT_VFIO_H

#include <linux/version.h>
#include <linux/vfio.h>

/* Before 6.6 there were files of groups only. */
#if KERNEL_VERSION(6, 6, 0) > LINUX_VERSION_CODE
#define vfio_file_is_valid	vfio_file_is_group
#endif

#endif /* KVM_OOT_COMPAT_VFIO_H */
