// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM knows of VFIO, without VFIO: a file of /dev/kvm-oot-vfio passes for one of VFIO's,
 * where there is no IOMMU, or no VFIO in the kernel. Its functions have the names and the
 * meaning that drivers/vfio gives them.
 *
 * A byte written to a file is a command: 'c' DMA is coherent from now on (as at first), 'n' it
 * is not; 'o' a device is opened, which takes a reference on the file's VM as VFIO's drivers do,
 * 'x' it is closed. Reading gives a struct of four words: is there a VM, how often one was set,
 * how often it was taken away, is a reference held.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/vfio.h>

/* of kvm.ko, found by name as VFIO finds them */
bool kvm_get_kvm_safe(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);

struct vfiofile {
	struct mutex lock;	/* guards what follows */
	bool noncoherent;
	struct kvm *kvm, *held;
	u64 set, taken;
};

static const struct file_operations fops;

#if KERNEL_VERSION(6, 6, 0) > LINUX_VERSION_CODE
bool vfio_file_is_group(struct file *file)
{
	return file->f_op == &fops;
}
EXPORT_SYMBOL_GPL(vfio_file_is_group);
#else
bool vfio_file_is_valid(struct file *file)
{
	return file->f_op == &fops;
}
EXPORT_SYMBOL_GPL(vfio_file_is_valid);
#endif

bool vfio_file_enforced_coherent(struct file *file)
{
	struct vfiofile *v = file->private_data;

	return file->f_op != &fops || !READ_ONCE(v->noncoherent);
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

void vfio_file_set_kvm(struct file *file, struct kvm *kvm)
{
	struct vfiofile *v = file->private_data;

	if (file->f_op != &fops)
		return;
	mutex_lock(&v->lock);
	v->kvm = kvm;
	if (kvm)
		v->set++;
	else
		v->taken++;
	mutex_unlock(&v->lock);
}
EXPORT_SYMBOL_GPL(vfio_file_set_kvm);

static void let_go(struct vfiofile *v)
{
	void (*put)(struct kvm *kvm);

	if (!v->held)
		return;
	put = symbol_get(kvm_put_kvm);
	if (!WARN_ON(!put)) {
		put(v->held);
		symbol_put(kvm_put_kvm);
	}
	v->held = NULL;
	/* the module was kept for this */
	symbol_put(kvm_put_kvm);
}

static int hold(struct vfiofile *v)
{
	bool (*get)(struct kvm *kvm);

	if (!v->kvm || v->held)
		return -EINVAL;
	if (!symbol_get(kvm_put_kvm))
		return -ENOENT;
	get = symbol_get(kvm_get_kvm_safe);
	if (get && get(v->kvm))
		v->held = v->kvm;
	if (get)
		symbol_put(kvm_get_kvm_safe);
	if (v->held)
		return 0;
	symbol_put(kvm_put_kvm);
	return -ENOENT;
}

static ssize_t vfiofile_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	struct vfiofile *v = file->private_data;
	int r = 0;
	char c;

	if (get_user(c, buf))
		return -EFAULT;
	mutex_lock(&v->lock);
	if (c == 'c' || c == 'n')
		WRITE_ONCE(v->noncoherent, c == 'n');
	else if (c == 'o')
		r = hold(v);
	else if (c == 'x')
		let_go(v);
	else
		r = -EINVAL;
	mutex_unlock(&v->lock);
	return r ? r : n;
}

static ssize_t vfiofile_read(struct file *file, char __user *buf, size_t n, loff_t *pos)
{
	struct vfiofile *v = file->private_data;
	u64 state[4];

	mutex_lock(&v->lock);
	state[0] = !!v->kvm;
	state[1] = v->set;
	state[2] = v->taken;
	state[3] = !!v->held;
	mutex_unlock(&v->lock);
	*pos = 0;
	return simple_read_from_buffer(buf, n, pos, state, sizeof(state));
}

static int vfiofile_open(struct inode *inode, struct file *file)
{
	struct vfiofile *v = kzalloc(sizeof(*v), GFP_KERNEL);

	if (!v)
		return -ENOMEM;
	mutex_init(&v->lock);
	file->private_data = v;
	return 0;
}

static int vfiofile_release(struct inode *inode, struct file *file)
{
	struct vfiofile *v = file->private_data;

	/* whoever holds a file has taken the VM back before it lets go */
	WARN_ON(v->kvm);
	let_go(v);
	kfree(v);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = vfiofile_open,
	.release = vfiofile_release,
	.read = vfiofile_read,
	.write = vfiofile_write,
};

static struct miscdevice vfiofile_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvm-oot-vfio",
	.fops = &fops,
};

module_misc_device(vfiofile_dev);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Files that pass for VFIO's");
MODULE_LICENSE("GPL");
