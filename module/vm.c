// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM: the object behind the descriptor that KVM_CREATE_VM returns, and its
 * ioctls (Documentation/virt/kvm/api.rst, "vm ioctls").
 *
 * References: the VM's own descriptor, that of each vCPU, of each guest_memfd, of each
 * device, and each stats descriptor hold one, and so do drivers of VFIO's, which find the
 * functions for that by name. The last one to go destroys the VM, vCPUs included. The
 * address space of the creator is held by its structure, not by its contents:
 * it can be torn down under us, which the MMU notifier tells. Only a task that
 * runs in it may use the descriptors.
 */
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "module/internal.h"

static struct file_operations vm_fops;

/**
 * kvm_vm_set_owner() - which module an open VM keeps in the kernel
 * @owner: the vendor module
 */
void kvm_vm_set_owner(struct module *owner)
{
	vm_fops.owner = owner;
}

/* ---- life cycle ------------------------------------------------------------------ */

static void destroy_vm(struct kvm *kvm)
{
	struct mm_struct *mm = kvm->mm;

	mutex_lock(&kvm_lock);
	list_del(&kvm->vm_list);
	mutex_unlock(&kvm_lock);

	kvm_stats_destroy_vm(kvm);
	kvm_arch_pre_destroy_vm(kvm);
	kvm_free_irq_routing(kvm);
	kvm_io_bus_destroy(kvm);
	kvm_coalesced_io_free(kvm);
	kvm_mmu_notifier_exit(kvm);
	kvm_arch_flush_shadow_all(kvm);
	kvm_destroy_vcpus(kvm);
	kvm_arch_destroy_vm(kvm);
	kvm_memslots_destroy(kvm);
	mtree_destroy(&kvm->mem_attributes);
	srcu_barrier(&kvm->irq_srcu);
	cleanup_srcu_struct(&kvm->irq_srcu);
	srcu_barrier(&kvm->srcu);	/* replaced buses */
	cleanup_srcu_struct(&kvm->srcu);
	xa_destroy(&kvm->vcpu_array);
	kvfree(kvm);
	kvm_hardware_put();
	mmdrop(mm);
	module_put(vm_fops.owner);
}

/**
 * kvm_get_kvm() - take a reference; the caller has one already
 * @kvm: the VM
 */
void kvm_get_kvm(struct kvm *kvm)
{
	refcount_inc(&kvm->users);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm);

/**
 * kvm_get_kvm_safe() - take a reference unless the VM is being destroyed
 * @kvm: the VM; its memory is known to be there
 *
 * Return: true when the reference was taken.
 */
bool kvm_get_kvm_safe(struct kvm *kvm)
{
	return refcount_inc_not_zero(&kvm->users);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm_safe);

/**
 * kvm_put_kvm() - drop a reference; the last one destroys the VM
 * @kvm: the VM
 */
void kvm_put_kvm(struct kvm *kvm)
{
	if (refcount_dec_and_test(&kvm->users))
		destroy_vm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_put_kvm);

/**
 * kvm_vm_bugged() - mark a VM dead after an internal contradiction
 * @kvm: the VM; every later ioctl on it returns -EIO, the host goes on
 */
void kvm_vm_bugged(struct kvm *kvm)
{
	if (!READ_ONCE(kvm->vm_bugged))
		pr_err("kvm: VM of pid %d: internal contradiction, stopped\n",
		       task_pid_nr(current));
	WRITE_ONCE(kvm->vm_bugged, true);
	WRITE_ONCE(kvm->vm_dead, true);
	kvm_make_all_cpus_request(kvm, KVM_REQ_VM_DEAD);
}

static void init_fields(struct kvm *kvm)
{
	rwlock_init(&kvm->mmu_lock);
	mutex_init(&kvm->lock);
	mutex_init(&kvm->slots_lock);
	mutex_init(&kvm->irq_lock);
	spin_lock_init(&kvm->ring_lock);
	xa_init(&kvm->vcpu_array);
	mt_init_flags(&kvm->mem_attributes, MT_FLAGS_USE_RCU);
	refcount_set(&kvm->users, 1);
	INIT_LIST_HEAD(&kvm->vm_list);
	INIT_LIST_HEAD(&kvm->devices);
	INIT_LIST_HEAD(&kvm->ioeventfds);
	INIT_LIST_HEAD(&kvm->coalesced_zones);
	INIT_HLIST_HEAD(&kvm->irq_ack_notifiers);
	kvm->max_vcpus = KVM_OOT_MAX_VCPUS;
	kvm->max_halt_poll_ns = READ_ONCE(halt_poll_ns);
	kvm_eventfd_init(kvm);
}

static struct kvm *create_vm(unsigned long type)
{
	struct kvm *kvm;
	int r;

	kvm = kvzalloc(sizeof(*kvm), GFP_KERNEL_ACCOUNT);
	if (!kvm)
		return ERR_PTR(-ENOMEM);
	init_fields(kvm);
	/* the opener of /dev/kvm holds it: this cannot fail for long */
	if (!try_module_get(vm_fops.owner)) {
		kvfree(kvm);
		return ERR_PTR(-ENODEV);
	}
	mmgrab(current->mm);
	kvm->mm = current->mm;

	r = init_srcu_struct(&kvm->srcu);
	if (r)
		goto out_free;
	r = init_srcu_struct(&kvm->irq_srcu);
	if (r)
		goto out_srcu;
	r = kvm_memslots_create(kvm);
	if (r)
		goto out_irq_srcu;
	kvm_io_bus_init(kvm);
	r = kvm_set_irq_routing(kvm, NULL, 0, 0);
	if (r)
		goto out_slots;
	r = kvm_hardware_get();
	if (r)
		goto out_routing;
	r = kvm_arch_init_vm(kvm, type);
	if (r)
		goto out_hardware;
	r = kvm_coalesced_io_init(kvm);
	if (r)
		goto out_arch;
	r = kvm_mmu_notifier_init(kvm);
	if (r)
		goto out_coalesced;

	mutex_lock(&kvm_lock);
	list_add(&kvm->vm_list, &kvm_vm_list);
	mutex_unlock(&kvm_lock);
	return kvm;

out_coalesced:
	kvm_coalesced_io_free(kvm);
out_arch:
	kvm_arch_pre_destroy_vm(kvm);
	kvm_arch_destroy_vm(kvm);
out_hardware:
	kvm_hardware_put();
out_routing:
	refcount_set(&kvm->users, 0);	/* nobody else ever saw it */
	kvm_free_irq_routing(kvm);
out_slots:
	refcount_set(&kvm->users, 0);
	kvm_io_bus_destroy(kvm);
	kvm_memslots_destroy(kvm);
out_irq_srcu:
	srcu_barrier(&kvm->irq_srcu);
	cleanup_srcu_struct(&kvm->irq_srcu);
out_srcu:
	srcu_barrier(&kvm->srcu);
	cleanup_srcu_struct(&kvm->srcu);
out_free:
	mmdrop(kvm->mm);
	module_put(vm_fops.owner);
	kvfree(kvm);
	return ERR_PTR(r);
}

/**
 * kvm_create_vm_fd() - KVM_CREATE_VM
 * @type: machine type, KVM_X86_*_VM
 *
 * Return: a descriptor, or -errno: -EINVAL for another type, -EBUSY when the
 * CPUs' virtualization extension is in use, -ENOMEM, -EMFILE.
 */
long kvm_create_vm_fd(unsigned long type)
{
	struct file *file;
	struct kvm *kvm;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	kvm = create_vm(type);
	if (IS_ERR(kvm)) {
		put_unused_fd(fd);
		return PTR_ERR(kvm);
	}
	file = kvm_make_file("kvm-vm", &vm_fops, kvm, O_RDWR, 0);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kvm_put_kvm(kvm);
		return PTR_ERR(file);
	}
	kvm_stats_create_vm(kvm, fd);
	fd_install(fd, file);
	return fd;
}

/* ---- ioctls ------------------------------------------------------------------------ */

static long set_user_memory_region(struct kvm *kvm, void __user *argp, bool v2)
{
	struct kvm_userspace_memory_region2 mem = {};
	unsigned long size = v2 ? sizeof(mem) :
				  sizeof(struct kvm_userspace_memory_region);

	/* the second form begins like the first */
	if (copy_from_user(&mem, argp, size))
		return -EFAULT;
	if (!v2 && (mem.flags & KVM_MEM_GUEST_MEMFD))
		return -EINVAL;
	return kvm_set_memory_region(kvm, &mem);
}

static long set_memory_attributes(struct kvm *kvm, void __user *argp)
{
	struct kvm_memory_attributes attrs;

	if (copy_from_user(&attrs, argp, sizeof(attrs)))
		return -EFAULT;
	return kvm_set_mem_attributes(kvm, &attrs);
}

static long create_guest_memfd(struct kvm *kvm, void __user *argp)
{
	struct kvm_create_guest_memfd args;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	return kvm_gmem_create(kvm, &args);
}

static long get_dirty_log(struct kvm *kvm, void __user *argp)
{
	struct kvm_dirty_log log;

	if (copy_from_user(&log, argp, sizeof(log)))
		return -EFAULT;
	return kvm_get_dirty_log(kvm, &log);
}

static long clear_dirty_log(struct kvm *kvm, void __user *argp)
{
	struct kvm_clear_dirty_log log;

	if (copy_from_user(&log, argp, sizeof(log)))
		return -EFAULT;
	return kvm_clear_dirty_log(kvm, &log);
}

static long coalesced_zone(struct kvm *kvm, void __user *argp, bool add)
{
	struct kvm_coalesced_mmio_zone zone;

	if (copy_from_user(&zone, argp, sizeof(zone)))
		return -EFAULT;
	return add ? kvm_coalesced_io_register(kvm, &zone) :
		     kvm_coalesced_io_unregister(kvm, &zone);
}

static long set_gsi_routing(struct kvm *kvm, void __user *argp)
{
	struct kvm_irq_routing __user *user = argp;
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routing head;
	long r;

	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (!kvm_arch_can_set_irq_routing(kvm) || head.flags ||
	    head.nr > KVM_OOT_MAX_IRQ_ROUTES)
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(user->entries,
				       array_size(head.nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = kvm_set_irq_routing(kvm, entries, head.nr, head.flags);
	kvfree(entries);
	return r;
}

static long enable_manual_protect(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	long r = -EINVAL;

	/* pages that begin dirty are of use only if they are cleared by hand */
	if (cap->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (cap->flags || (cap->args[0] & ~allowed))
		return r;

	mutex_lock(&kvm->slots_lock);
	kvm->manual_dirty_log_protect = cap->args[0];
	mutex_unlock(&kvm->slots_lock);
	return 0;
}

static long enable_cap(struct kvm *kvm, void __user *argp)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;

	switch (cap.cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return enable_manual_protect(kvm, &cap);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return kvm_enable_dirty_ring(kvm, &cap);
	case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
		return kvm_enable_dirty_ring_bitmap(kvm, &cap);
	case KVM_CAP_HALT_POLL:
		if (cap.flags || cap.args[0] != (unsigned int)cap.args[0])
			return -EINVAL;
		WRITE_ONCE(kvm->max_halt_poll_ns, cap.args[0]);
		/* the limit before the word that it counts */
		smp_wmb();
		WRITE_ONCE(kvm->override_halt_poll_ns, true);
		return 0;
	default:
		return kvm_arch_vm_enable_cap(kvm, &cap);
	}
}

static long irqfd(struct kvm *kvm, void __user *argp)
{
	struct kvm_irqfd data;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	return kvm_irqfd(kvm, &data);
}

static long ioeventfd(struct kvm *kvm, void __user *argp)
{
	struct kvm_ioeventfd data;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	return kvm_ioeventfd(kvm, &data);
}

static long signal_msi(struct kvm *kvm, void __user *argp)
{
	struct kvm_msi msi;

	if (copy_from_user(&msi, argp, sizeof(msi)))
		return -EFAULT;
	return kvm_send_userspace_msi(kvm, &msi);
}

static long vm_ioctl(struct file *filp, unsigned int ioctl, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	struct kvm *kvm = filp->private_data;

	if (kvm->mm != current->mm || READ_ONCE(kvm->vm_dead))
		return -EIO;

	switch (ioctl) {
	case KVM_CREATE_VCPU:
		return kvm_create_vcpu_fd(kvm, arg);
	case KVM_ENABLE_CAP:
		return enable_cap(kvm, argp);
	case KVM_CHECK_EXTENSION:
		return kvm_check_extension(kvm, arg);
	case KVM_SET_USER_MEMORY_REGION:
		return set_user_memory_region(kvm, argp, false);
	case KVM_SET_USER_MEMORY_REGION2:
		return set_user_memory_region(kvm, argp, true);
	case KVM_SET_MEMORY_ATTRIBUTES:
		return set_memory_attributes(kvm, argp);
	case KVM_CREATE_GUEST_MEMFD:
		return create_guest_memfd(kvm, argp);
	case KVM_CREATE_DEVICE:
		return kvm_create_device(kvm, argp);
	case KVM_GET_DIRTY_LOG:
		return get_dirty_log(kvm, argp);
	case KVM_CLEAR_DIRTY_LOG:
		return clear_dirty_log(kvm, argp);
	case KVM_RESET_DIRTY_RINGS:
		return kvm_reset_dirty_rings(kvm);
	case KVM_REGISTER_COALESCED_MMIO:
		return coalesced_zone(kvm, argp, true);
	case KVM_UNREGISTER_COALESCED_MMIO:
		return coalesced_zone(kvm, argp, false);
	case KVM_IRQFD:
		return irqfd(kvm, argp);
	case KVM_IOEVENTFD:
		return ioeventfd(kvm, argp);
	case KVM_SIGNAL_MSI:
		return signal_msi(kvm, argp);
	case KVM_SET_GSI_ROUTING:
		return set_gsi_routing(kvm, argp);
	case KVM_GET_STATS_FD:
		return kvm_vm_stats_fd(kvm);
	default:
		return kvm_arch_vm_ioctl(kvm, ioctl, arg);
	}
}

#ifdef CONFIG_COMPAT
/* The two structures that end in a pointer and are longer here than there. */
struct compat_dirty_log {
	u32 slot;
	u32 padding1;
	union {
		compat_uptr_t dirty_bitmap;
		u64 padding2;
	};
};

struct compat_clear_dirty_log {
	u32 slot;
	u32 num_pages;
	u64 first_page;
	union {
		compat_uptr_t dirty_bitmap;
		u64 padding2;
	};
};

static long vm_compat_ioctl(struct file *filp, unsigned int ioctl,
			    unsigned long arg)
{
	struct kvm *kvm = filp->private_data;
	void __user *argp = compat_ptr(arg);

	if (kvm->mm != current->mm || READ_ONCE(kvm->vm_dead))
		return -EIO;

	switch (ioctl) {
	case KVM_GET_DIRTY_LOG: {
		struct compat_dirty_log c;
		struct kvm_dirty_log log = {};

		if (copy_from_user(&c, argp, sizeof(c)))
			return -EFAULT;
		log.slot = c.slot;
		log.dirty_bitmap = compat_ptr(c.dirty_bitmap);
		return kvm_get_dirty_log(kvm, &log);
	}
	case KVM_CLEAR_DIRTY_LOG: {
		struct compat_clear_dirty_log c;
		struct kvm_clear_dirty_log log = {};

		if (copy_from_user(&c, argp, sizeof(c)))
			return -EFAULT;
		log.slot = c.slot;
		log.num_pages = c.num_pages;
		log.first_page = c.first_page;
		log.dirty_bitmap = compat_ptr(c.dirty_bitmap);
		return kvm_clear_dirty_log(kvm, &log);
	}
	default:
		return vm_ioctl(filp, ioctl, arg);
	}
}
#endif

static int vm_release(struct inode *inode, struct file *filp)
{
	struct kvm *kvm = filp->private_data;

	/* these hold eventfds that user space wants back when it closes the VM */
	kvm_irqfd_release(kvm);
	kvm_put_kvm(kvm);
	return 0;
}

static struct file_operations vm_fops = {
	.release	= vm_release,
	.unlocked_ioctl	= vm_ioctl,
	.llseek		= noop_llseek,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= vm_compat_ioctl,
#endif
};
