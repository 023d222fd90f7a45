// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO's device: user space says which of VFIO's files the VM's devices come from
 * (Documentation/virt/kvm/devices/vfio.rst).
 *
 * VFIO learns from it which VM a file belongs to, which drivers of such devices may want to
 * know when they are opened; and the VM learns whether DMA of a device may go past the CPUs'
 * caches (arch/x86/dma.c). A file is held until user space takes it away or closes the device.
 * Whether DMA is coherent VFIO knows, for a group, once it is in a container: all files are
 * asked again whenever one comes or goes.
 *
 * VFIO is a module that need not be there, and then there are no files of it: its functions
 * are looked up by name whenever they are called. A file keeps the module in the kernel.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "module/compat/vfio.h"
#include "module/device.h"

struct vfio_file {
	struct list_head link;
	struct file *file;
};

/* ---- VFIO's functions ---------------------------------------------------------------- */

static bool is_valid(struct file *file)
{
	bool (*fn)(struct file *file) = symbol_get(vfio_file_is_valid);
	bool r;

	if (!fn)
		return false;
	r = fn(file);
	symbol_put(vfio_file_is_valid);
	return r;
}

static bool enforced_coherent(struct file *file)
{
	bool (*fn)(struct file *file) = symbol_get(vfio_file_enforced_coherent);
	bool r;

	if (!fn)
		return false;
	r = fn(file);
	symbol_put(vfio_file_enforced_coherent);
	return r;
}

/* VFIO takes a reference by itself where it keeps the VM for longer. */
static void set_kvm(struct file *file, struct kvm *kvm)
{
	void (*fn)(struct file *file, struct kvm *kvm) = symbol_get(vfio_file_set_kvm);

	if (!fn)
		return;
	fn(file, kvm);
	symbol_put(vfio_file_set_kvm);
}

/* ---- files; the device's lock held ---------------------------------------------------- */

static struct vfio_file *find(struct kvm_device *dev, const struct file *file)
{
	struct vfio_file *f;

	list_for_each_entry(f, &dev->files, link)
		if (f->file == file)
			return f;
	return NULL;
}

static void update_coherency(struct kvm_device *dev)
{
	bool noncoherent = false;
	struct vfio_file *f;

	list_for_each_entry(f, &dev->files, link)
		noncoherent |= !enforced_coherent(f->file);
	if (noncoherent == dev->noncoherent)
		return;
	dev->noncoherent = noncoherent;
	kvm_arch_set_noncoherent_dma(dev->kvm, noncoherent);
}

static int add(struct kvm_device *dev, struct file *file)
{
	struct vfio_file *f;

	if (find(dev, file))
		return -EEXIST;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->file = get_file(file);
	list_add_tail(&f->link, &dev->files);
	set_kvm(file, dev->kvm);
	return 0;
}

static void drop(struct vfio_file *f)
{
	list_del(&f->link);
	set_kvm(f->file, NULL);
	fput(f->file);
	kfree(f);
}

static int del(struct kvm_device *dev, const struct file *file)
{
	struct vfio_file *f = find(dev, file);

	if (!f)
		return -ENOENT;
	drop(f);
	return 0;
}

/* ---- the device ----------------------------------------------------------------------- */

static int has_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	if (attr->group != KVM_DEV_VFIO_FILE)
		return -ENXIO;
	return attr->attr == KVM_DEV_VFIO_FILE_ADD || attr->attr == KVM_DEV_VFIO_FILE_DEL ?
		0 : -ENXIO;
}

static int set_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	struct file *file;
	s32 fd;
	int r;

	if (has_attr(dev, attr))
		return -ENXIO;
	if (get_user(fd, (s32 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;

	/* what is not VFIO's is not among the files, either */
	if (attr->attr == KVM_DEV_VFIO_FILE_ADD && !is_valid(file)) {
		fput(file);
		return -EINVAL;
	}
	mutex_lock(&dev->lock);
	r = attr->attr == KVM_DEV_VFIO_FILE_ADD ? add(dev, file) : del(dev, file);
	if (!r)
		update_coherency(dev);
	mutex_unlock(&dev->lock);
	fput(file);
	return r;
}

static void end(struct kvm_device *dev)
{
	struct vfio_file *f, *next;

	mutex_lock(&dev->lock);
	list_for_each_entry_safe(f, next, &dev->files, link)
		drop(f);
	update_coherency(dev);
	mutex_unlock(&dev->lock);
}

const struct kvm_device_ops kvm_vfio_ops = {
	.name		= "kvm-vfio",
	.set_attr	= set_attr,
	.has_attr	= has_attr,
	.end		= end,
};
