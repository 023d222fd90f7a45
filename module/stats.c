// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters for user space: the binary stats descriptors (KVM_GET_STATS_FD in
 * Documentation/virt/kvm/api.rst) and files under debugfs' kvm/, one directory
 * per VM named PID-FD, with the sums of its vCPUs, and the sums of all VMs above.
 *
 * The descriptors and the files come from the lists in stats.h. A stats file is:
 * header, id string, descriptors with names, values, in this order.
 */
#include <linux/anon_inodes.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "module/internal.h"

#define NAME_SIZE	48

/* struct kvm_stats_desc with room for its name */
struct stat_desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[NAME_SIZE];
};

static_assert(offsetof(struct stat_desc, name) == offsetof(struct kvm_stats_desc, name));

#define FLAGS_C	(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define FLAGS_N	(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define FLAGS_I	(KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define FLAGS_B	(KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN | KVM_STATS_BASE_POW10)
#define FLAGS_P	(KVM_STATS_TYPE_PEAK | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define EXP_C	0
#define EXP_N	-9
#define EXP_I	0
#define EXP_B	0
#define EXP_P	0

#define DESC(st, field, type) {						\
	.flags = FLAGS_##type,						\
	.exponent = EXP_##type,						\
	.size = 1,							\
	.offset = offsetof(struct st, field),				\
	.name = #field,							\
},
#define VM_DESC(field, type)	DESC(kvm_vm_stat, field, type)
#define VCPU_DESC(field, type)	DESC(kvm_vcpu_stat, field, type)

static const struct stat_desc vm_descs[] = { KVM_VM_STATS(VM_DESC) };
static const struct stat_desc vcpu_descs[] = { KVM_VCPU_STATS(VCPU_DESC) };

#define HEADER_OF(descs) {						\
	.name_size = NAME_SIZE,						\
	.num_desc = ARRAY_SIZE(descs),					\
	.id_offset = sizeof(struct kvm_stats_header),			\
	.desc_offset = sizeof(struct kvm_stats_header) + NAME_SIZE,	\
	.data_offset = sizeof(struct kvm_stats_header) + NAME_SIZE +	\
		       sizeof(descs),					\
}

static const struct kvm_stats_header vm_header = HEADER_OF(vm_descs);
static const struct kvm_stats_header vcpu_header = HEADER_OF(vcpu_descs);

static struct file_operations vm_stats_fops, vcpu_stats_fops;

/* ---- binary stats ---------------------------------------------------------------- */

/* Copy the part of [@at, @at + @size) that the reader has come to. */
static int copy_part(char __user **dst, size_t *left, loff_t *pos, loff_t at,
		     const void *src, size_t size)
{
	size_t n;

	if (!*left || *pos < at || *pos >= at + size)
		return 0;
	n = min_t(size_t, *left, at + size - *pos);
	if (copy_to_user(*dst, src + (*pos - at), n))
		return -EFAULT;
	*dst += n;
	*left -= n;
	*pos += n;
	return 0;
}

static ssize_t stats_read(const struct kvm_stats_header *header, const char *id,
			  const struct stat_desc *descs, const void *data,
			  char __user *buf, size_t len, loff_t *pos)
{
	size_t data_size = header->num_desc * sizeof(u64), left = len;

	if (*pos < 0)
		return -EINVAL;
	if (copy_part(&buf, &left, pos, 0, header, sizeof(*header)) ||
	    copy_part(&buf, &left, pos, header->id_offset, id, NAME_SIZE) ||
	    copy_part(&buf, &left, pos, header->desc_offset, descs,
		      header->num_desc * sizeof(*descs)) ||
	    copy_part(&buf, &left, pos, header->data_offset, data, data_size))
		return -EFAULT;
	return len - left;
}

static ssize_t vm_stats_read(struct file *file, char __user *buf, size_t len,
			     loff_t *pos)
{
	struct kvm *kvm = file->private_data;

	return stats_read(&vm_header, kvm->stats_id, vm_descs, &kvm->stat, buf,
			  len, pos);
}

static ssize_t vcpu_stats_read(struct file *file, char __user *buf, size_t len,
			       loff_t *pos)
{
	struct kvm_vcpu *vcpu = file->private_data;

	return stats_read(&vcpu_header, vcpu->stats_id, vcpu_descs, &vcpu->stat,
			  buf, len, pos);
}

static int vm_stats_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(file->private_data);
	return 0;
}

static int vcpu_stats_release(struct inode *inode, struct file *file)
{
	struct kvm_vcpu *vcpu = file->private_data;

	kvm_put_kvm(vcpu->kvm);
	return 0;
}

static struct file_operations vm_stats_fops = {
	.read = vm_stats_read,
	.release = vm_stats_release,
	.llseek = noop_llseek,
};

static struct file_operations vcpu_stats_fops = {
	.read = vcpu_stats_read,
	.release = vcpu_stats_release,
	.llseek = noop_llseek,
};

static int stats_fd(const char *name, const struct file_operations *fops,
		    struct kvm *kvm, void *priv)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	kvm_get_kvm(kvm);
	file = kvm_make_file(name, fops, priv, O_RDONLY, FMODE_PREAD);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kvm_put_kvm(kvm);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

/**
 * kvm_vm_stats_fd() - KVM_GET_STATS_FD on a VM
 * @kvm: the VM
 *
 * Return: a descriptor or -errno.
 */
int kvm_vm_stats_fd(struct kvm *kvm)
{
	return stats_fd("kvm-vm-stats", &vm_stats_fops, kvm, kvm);
}

/**
 * kvm_vcpu_stats_fd() - KVM_GET_STATS_FD on a vCPU
 * @vcpu: the vCPU
 *
 * Return: a descriptor or -errno.
 */
int kvm_vcpu_stats_fd(struct kvm_vcpu *vcpu)
{
	return stats_fd("kvm-vcpu-stats", &vcpu_stats_fops, vcpu->kvm, vcpu);
}

/**
 * kvm_stats_set_owner() - which module an open stats file keeps in the kernel
 * @owner: the vendor module
 */
void kvm_stats_set_owner(struct module *owner)
{
	vm_stats_fops.owner = owner;
	vcpu_stats_fops.owner = owner;
}

/* ---- debugfs -------------------------------------------------------------- */

static struct dentry *debugfs_root;

/* What a file in a VM's directory shows; @kvm NULL: the sum of all VMs. */
struct stat_file {
	struct kvm *kvm;
	const struct stat_desc *desc;
	bool of_vcpus;
};

static struct stat_file *global_files;

#define NR_FILES	(ARRAY_SIZE(vm_descs) + ARRAY_SIZE(vcpu_descs))

static u64 stat_value(const void *stats, const struct stat_desc *desc)
{
	return READ_ONCE(*(const u64 *)(stats + desc->offset));
}

static u64 vm_value(struct kvm *kvm, const struct stat_file *f)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;

	if (!f->of_vcpus)
		return stat_value(&kvm->stat, f->desc);
	kvm_for_each_vcpu(i, vcpu, kvm)
		sum += stat_value(&vcpu->stat, f->desc);
	return sum;
}

static int stat_file_get(void *data, u64 *val)
{
	struct stat_file *f = data;
	struct kvm *kvm;
	u64 sum = 0;

	if (f->kvm) {
		/* the file is removed, and readers awaited, before the VM is freed */
		*val = vm_value(f->kvm, f);
		return 0;
	}
	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &kvm_vm_list, vm_list)
		sum += vm_value(kvm, f);
	mutex_unlock(&kvm_lock);
	*val = sum;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(stat_file_fops, stat_file_get, NULL, "%llu\n");

static struct stat_file *make_files(struct dentry *dir, struct kvm *kvm)
{
	struct stat_file *files = kcalloc(NR_FILES, sizeof(*files),
					  GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!files)
		return NULL;
	for (i = 0; i < NR_FILES; i++) {
		struct stat_file *f = &files[i];

		f->kvm = kvm;
		f->of_vcpus = i >= ARRAY_SIZE(vm_descs);
		f->desc = f->of_vcpus ? &vcpu_descs[i - ARRAY_SIZE(vm_descs)] :
					&vm_descs[i];
		debugfs_create_file(f->desc->name, 0444, dir, f,
				    &stat_file_fops);
	}
	return files;
}

/**
 * kvm_stats_create_vm() - name a new VM and give it its directory
 * @kvm: the VM
 * @fd: its descriptor
 *
 * debugfs is for looking only: when it fails, the VM works without.
 */
void kvm_stats_create_vm(struct kvm *kvm, int fd)
{
	char name[24];

	snprintf(kvm->stats_id, sizeof(kvm->stats_id), "kvm-%d",
		 task_pid_nr(current));
	if (IS_ERR_OR_NULL(debugfs_root))
		return;
	snprintf(name, sizeof(name), "%d-%d", task_pid_nr(current), fd);
	/*
	 * A VM that lost its descriptor, but not its vCPUs', has the name still:
	 * the kernel would complain about a second one.
	 */
	kvm->debugfs = debugfs_lookup(name, debugfs_root);
	if (kvm->debugfs) {
		dput(kvm->debugfs);
		kvm->debugfs = NULL;
		return;
	}
	kvm->debugfs = debugfs_create_dir(name, debugfs_root);
	if (IS_ERR(kvm->debugfs)) {
		kvm->debugfs = NULL;
		return;
	}
	kvm->debugfs_totals = make_files(kvm->debugfs, kvm);
}

/**
 * kvm_stats_destroy_vm() - remove its directory
 * @kvm: the VM
 */
void kvm_stats_destroy_vm(struct kvm *kvm)
{
	debugfs_remove(kvm->debugfs);
	kfree(kvm->debugfs_totals);
}

static int vcpu_tsc_offset_get(void *data, u64 *val)
{
	struct kvm_vcpu *vcpu = data;

	*val = vcpu->arch.tsc_offset;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(tsc_offset_fops, vcpu_tsc_offset_get, NULL, "%lld\n");

static int vcpu_pid_get(void *data, u64 *val)
{
	struct kvm_vcpu *vcpu = data;

	rcu_read_lock();
	*val = pid_nr(rcu_dereference(vcpu->pid));
	rcu_read_unlock();
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(pid_fops, vcpu_pid_get, NULL, "%llu\n");

/**
 * kvm_stats_create_vcpu() - name a new vCPU and give it its directory
 * @vcpu: the vCPU; its directory goes with the VM's
 */
void kvm_stats_create_vcpu(struct kvm_vcpu *vcpu)
{
	char name[16];

	snprintf(vcpu->stats_id, sizeof(vcpu->stats_id), "%.20s/vcpu-%d",
		 vcpu->kvm->stats_id, vcpu->vcpu_id);
	if (!vcpu->kvm->debugfs)
		return;
	snprintf(name, sizeof(name), "vcpu%d", vcpu->vcpu_id);
	vcpu->debugfs = debugfs_create_dir(name, vcpu->kvm->debugfs);
	debugfs_create_file("tsc-offset", 0444, vcpu->debugfs, vcpu,
			    &tsc_offset_fops);
	debugfs_create_file("pid", 0444, vcpu->debugfs, vcpu, &pid_fops);
}

/**
 * kvm_stats_module_init() - the directory of all VMs
 *
 * Return: 0.
 */
int kvm_stats_module_init(void)
{
	debugfs_root = debugfs_create_dir("kvm", NULL);
	if (!IS_ERR_OR_NULL(debugfs_root))
		global_files = make_files(debugfs_root, NULL);
	return 0;
}

/**
 * kvm_stats_module_exit() - remove it
 */
void kvm_stats_module_exit(void)
{
	debugfs_remove(debugfs_root);
	kfree(global_files);
}
