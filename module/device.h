/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices made by KVM_CREATE_DEVICE: what device.c and their types share.
 */
#ifndef KVM_OOT_DEVICE_H
#define KVM_OOT_DEVICE_H

#include "module/kvm_host.h"

struct kvm_device;

/**
 * struct kvm_device_ops - a type of device
 * @name: of its descriptor
 * @set_attr: KVM_SET_DEVICE_ATTR; -ENXIO for an attribute that does not exist
 * @has_attr: KVM_HAS_DEVICE_ATTR; 0 or -ENXIO
 * @end: the descriptor is closed; nobody else uses the device any more
 */
struct kvm_device_ops {
	const char *name;
	int (*set_attr)(struct kvm_device *dev, const struct kvm_device_attr *attr);
	int (*has_attr)(struct kvm_device *dev, const struct kvm_device_attr *attr);
	void (*end)(struct kvm_device *dev);
};

/**
 * struct kvm_device - a device
 * @ops: its type
 * @kvm: the VM; the descriptor holds a reference
 * @link: on the VM's list; kvm->lock
 * @lock: guards the rest
 * @files: VFIO's files
 * @noncoherent: DMA of one of them may go past the caches, as the VM was told
 */
struct kvm_device {
	const struct kvm_device_ops *ops;
	struct kvm *kvm;
	struct list_head link;
	struct mutex lock;	/* guards what follows */
	struct list_head files;
	bool noncoherent;
};

extern const struct kvm_device_ops kvm_vfio_ops;	/* vfio.c */

#endif /* KVM_OOT_DEVICE_H */
