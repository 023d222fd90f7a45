// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that user space makes with KVM_CREATE_DEVICE and sets up by attributes
 * (Documentation/virt/kvm/api.rst, "KVM_CREATE_DEVICE"; Documentation/virt/kvm/devices/).
 * On x86 there is one type, VFIO's (vfio.c), and a VM has one device of a type at most.
 *
 * The descriptor is the device: closing it ends the device, after which another one may be
 * made. It holds a reference on the VM, taken before anybody can see it. Who makes it must
 * be told its number; if that cannot be, there is neither descriptor nor device.
 *
 * Two errors are those of the documentation and not those of the kernel's own module: a second
 * device is -EEXIST (there: -EBUSY), and a flag that is not defined -EINVAL (there: no error).
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "module/device.h"
#include "module/internal.h"

static const struct kvm_device_ops *find_type(u32 type)
{
	return type == KVM_DEV_TYPE_VFIO ? &kvm_vfio_ops : NULL;
}

static long device_ioctl(struct file *filp, unsigned int ioctl, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	struct kvm_device *dev = filp->private_data;
	struct kvm_device_attr attr;

	if (dev->kvm->mm != current->mm || READ_ONCE(dev->kvm->vm_dead))
		return -EIO;

	switch (ioctl) {
	case KVM_SET_DEVICE_ATTR:
		if (copy_from_user(&attr, argp, sizeof(attr)))
			return -EFAULT;
		return dev->ops->set_attr(dev, &attr);
	case KVM_GET_DEVICE_ATTR:
		/* no device has an attribute that can be read */
		return -EPERM;
	case KVM_HAS_DEVICE_ATTR:
		if (copy_from_user(&attr, argp, sizeof(attr)))
			return -EFAULT;
		return dev->ops->has_attr(dev, &attr);
	default:
		return -ENOTTY;
	}
}

/* Files are closed and users of the VM are told before another device can be made. */
static void end_device(struct kvm_device *dev)
{
	struct kvm *kvm = dev->kvm;

	dev->ops->end(dev);
	mutex_lock(&kvm->lock);
	list_del(&dev->link);
	mutex_unlock(&kvm->lock);
	kfree(dev);
	kvm_put_kvm(kvm);
}

static int device_release(struct inode *inode, struct file *filp)
{
	end_device(filp->private_data);
	return 0;
}

static struct file_operations device_fops = {
	.release	= device_release,
	.unlocked_ioctl	= device_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static int add_to_vm(struct kvm *kvm, struct kvm_device *dev)
{
	struct kvm_device *other;
	int r = 0;

	mutex_lock(&kvm->lock);
	list_for_each_entry(other, &kvm->devices, link)
		if (other->ops == dev->ops)
			r = -EEXIST;
	if (!r)
		list_add(&dev->link, &kvm->devices);
	mutex_unlock(&kvm->lock);
	return r;
}

static struct kvm_device *make_device(struct kvm *kvm, const struct kvm_device_ops *ops)
{
	struct kvm_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	int r;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->ops = ops;
	dev->kvm = kvm;
	mutex_init(&dev->lock);
	INIT_LIST_HEAD(&dev->files);
	r = add_to_vm(kvm, dev);
	if (r) {
		kfree(dev);
		return ERR_PTR(r);
	}
	kvm_get_kvm(kvm);
	return dev;
}

/**
 * kvm_create_device() - KVM_CREATE_DEVICE
 * @kvm: the VM
 * @user: which type; gets the descriptor's number
 *
 * Return: 0; -EFAULT; -ENODEV for a type that does not exist here; -EINVAL for flags; and unless
 * it is only asked whether the type exists, -EEXIST when the VM has one, -ENOMEM, -EMFILE, -ENFILE.
 */
long kvm_create_device(struct kvm *kvm, struct kvm_create_device __user *user)
{
	const struct kvm_device_ops *ops;
	struct kvm_create_device args;
	struct kvm_device *dev;
	struct file *file;
	int fd;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	ops = find_type(args.type);
	if (!ops)
		return -ENODEV;
	if (args.flags & ~KVM_CREATE_DEVICE_TEST)
		return -EINVAL;
	if (args.flags & KVM_CREATE_DEVICE_TEST)
		return 0;

	dev = make_device(kvm, ops);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		end_device(dev);
		return fd;
	}
	file = kvm_make_file(ops->name, &device_fops, dev, O_RDWR, 0);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		end_device(dev);
		return PTR_ERR(file);
	}
	args.fd = fd;
	if (copy_to_user(user, &args, sizeof(args))) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/**
 * kvm_device_set_owner() - which module an open device keeps in the kernel
 * @owner: the vendor module
 */
void kvm_device_set_owner(struct module *owner)
{
	device_fops.owner = owner;
}
