// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: memory that the guest has and user space has not, or has only if it maps it
 * (Documentation/virt/kvm/api.rst, KVM_CREATE_GUEST_MEMFD).
 *
 * It is a file that cannot be read, written, resized or opened again. Its
 * pages are ours, in an XArray by their place in it; they are zeroed, and come when
 * the guest touches them or fallocate() asks for them. They stay where they are
 * until a hole is punched or the file is closed, so they are not swapped or moved.
 * The files have inodes of their own, in a file system that nobody sees: size and
 * fallocate() are those of a regular file.
 *
 * A memory slot is bound to a range of the file, and no two to the same page. The
 * file holds a reference to its VM. A slot holds none to the file: when that is
 * closed, its slots are left without private memory. A fault uses slot and file
 * with kvm->srcu held, so a file that is waited for a grace period after its slots
 * have forgotten it has no users any more.
 *
 * To punch a hole is to announce the change of all frames that are bound to it
 * (notifier.c), to drop their mappings, and then to free the pages: a fault that has
 * found one before finds out with mmu_lock held, and does not map it.
 *
 * A file with GUEST_MEMFD_FLAG_MMAP can be mapped, and with GUEST_MEMFD_FLAG_INIT_SHARED
 * there is something in the mapping; such a file is the memory of its slots, shared or
 * private, wherever userspace_addr points. A page that goes is out of the XArray first;
 * then its lock is taken and it is taken out of the mappings: a fault of user space's maps
 * a page with that lock held, and only if it is in the XArray.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/interval_tree.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/xarray.h>
#include <uapi/linux/falloc.h>

#include "module/internal.h"

#ifndef GUEST_MEMFD_MAGIC
#define GUEST_MEMFD_MAGIC	0x474d454d
#endif

/**
 * struct kvm_gmem - what is behind a guest_memfd
 * @kvm: (c) the VM, referenced
 * @flags: (c) GUEST_MEMFD_FLAG_*
 * @npages: (c) size of the file
 * @pages: (a) the pages that are there, each with a reference
 * @lock: guards @slots; within kvm->slots_lock
 * @slots: gmem_node of the slots that are bound to it, by page of the file
 */
struct kvm_gmem {
	struct kvm *kvm;
	u64 flags;
	unsigned long npages;
	struct xarray pages;
	struct mutex lock;	/* guards slots */
	struct rb_root_cached slots;
};

static struct file_operations gmem_fops;

/* ---- the file system ------------------------------------------------------------------ */

static int gmem_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, GUEST_MEMFD_MAGIC) ? 0 : -ENOMEM;
}

/*
 * It is there while there are files. The kernel closes a file, lets go of the module
 * that its operations are in, and only then takes the inode apart: until that is done
 * the file system holds this module.
 */
static struct file_system_type gmem_fs = {
	.owner			= THIS_MODULE,
	.name			= "kvm-gmem",
	.init_fs_context	= gmem_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static struct vfsmount *gmem_mount;	/* both belong to simple_pin_fs() */
static int gmem_files;

/* ---- pages -------------------------------------------------------------------------- */

/* A page that is there, with a reference more, or NULL. */
static struct page *find_page(struct kvm_gmem *gmem, unsigned long index)
{
	struct page *page;

	/* else it could be freed in between */
	xa_lock(&gmem->pages);
	page = xa_load(&gmem->pages, index);
	if (page)
		get_page(page);
	xa_unlock(&gmem->pages);
	return page;
}

/* A page, made when it is not there, with a reference more; or NULL. */
static struct page *get_or_make_page(struct kvm_gmem *gmem, unsigned long index)
{
	struct page *page;
	int r;

	for (;;) {
		page = find_page(gmem, index);
		if (page)
			return page;
		page = alloc_page(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT);
		if (!page)
			return NULL;
		get_page(page);
		r = xa_insert(&gmem->pages, index, page, GFP_KERNEL_ACCOUNT);
		if (!r)
			return page;
		put_page(page);
		put_page(page);
		/* another vCPU was faster */
		if (r != -EBUSY)
			return NULL;
	}
}

/* Of the file that @mapping is of; NULL: user space has nothing mapped. */
static void free_pages_in(struct kvm_gmem *gmem, struct address_space *mapping,
			  unsigned long first, unsigned long last)
{
	struct page *page;
	unsigned long i;

	xa_for_each_range(&gmem->pages, i, page, first, last) {
		page = xa_erase(&gmem->pages, i);
		if (page && mapping) {
			lock_page(page);
			if (folio_mapped(page_folio(page)))
				unmap_mapping_range(mapping, (loff_t)i << PAGE_SHIFT,
						    PAGE_SIZE, 1);
			unlock_page(page);
		}
		if (page)
			put_page(page);
		cond_resched();
	}
}

/**
 * kvm_gmem_get_page() - the private page of a frame
 * @slot: slot of the frame; kvm->srcu is held
 * @gfn: the frame
 * @page: set to it, with a reference
 *
 * Return: 0; -EFAULT when the slot has no private memory; -ENOMEM.
 */
int kvm_gmem_get_page(const struct kvm_memory_slot *slot, gfn_t gfn, struct page **page)
{
	struct kvm_gmem *gmem = READ_ONCE(slot->gmem);

	if (!gmem)
		return -EFAULT;
	*page = get_or_make_page(gmem, slot->gmem_node.start + (gfn - slot->base_gfn));
	return *page ? 0 : -ENOMEM;
}

/* ---- slots ---------------------------------------------------------------------------- */

static struct kvm_memory_slot *slot_of(struct interval_tree_node *node)
{
	return container_of(node, struct kvm_memory_slot, gmem_node);
}

/* the next one of those that are bound to a range after @n, or the first of them */
static struct interval_tree_node *next_bound(struct kvm_gmem *gmem, struct interval_tree_node *n,
					     unsigned long first, unsigned long last)
{
	return n ? interval_tree_iter_next(n, first, last) :
		   interval_tree_iter_first(&gmem->slots, first, last);
}

/* The frames of a bound slot that pages of a range of the file are behind; there are some. */
static void frames_of(struct interval_tree_node *n, unsigned long first, unsigned long last,
		      gfn_t *start, gfn_t *end)
{
	struct kvm_memory_slot *slot = slot_of(n);

	*start = slot->base_gfn + (max(first, n->start) - n->start);
	*end = slot->base_gfn + (min(last, n->last) - n->start) + 1;
}

/**
 * kvm_gmem_bind() - have private pages of a new slot come from a guest_memfd
 * @kvm: the VM; slots_lock is held
 * @slot: the slot, not visible yet
 * @fd: descriptor of the file
 * @offset: where in the file the slot begins
 *
 * Return: 0; -EBADF when there is no such descriptor; -EINVAL when it is not a
 * guest_memfd of this VM, or the range is not of whole pages or not in the file;
 * -EEXIST when a part of it is bound already.
 */
int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot, unsigned int fd, u64 offset)
{
	unsigned long first = offset >> PAGE_SHIFT;
	struct file *file = fget(fd);
	struct kvm_gmem *gmem;
	int r = -EINVAL;

	if (!file)
		return -EBADF;
	if (file->f_op != &gmem_fops || !PAGE_ALIGNED(offset))
		goto out;
	gmem = file->private_data;
	if (gmem->kvm != kvm || first > gmem->npages || slot->npages > gmem->npages - first)
		goto out;

	slot->gmem_node.start = first;
	slot->gmem_node.last = first + slot->npages - 1;
	mutex_lock(&gmem->lock);
	if (interval_tree_iter_first(&gmem->slots, first, slot->gmem_node.last)) {
		r = -EEXIST;
	} else {
		interval_tree_insert(&slot->gmem_node, &gmem->slots);
		slot->gmem = gmem;
		slot->gmem_only = gmem->flags & GUEST_MEMFD_FLAG_MMAP;
		r = 0;
	}
	mutex_unlock(&gmem->lock);
out:
	/* once user space has closed it, too, gmem_release() waits for slots_lock */
	fput(file);
	return r;
}

/**
 * kvm_gmem_unbind() - a slot goes
 * @slot: the slot, not visible any more; slots_lock is held, or the VM has no users
 */
void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
	struct kvm_gmem *gmem = slot->gmem;

	if (!gmem)
		return;
	mutex_lock(&gmem->lock);
	interval_tree_remove(&slot->gmem_node, &gmem->slots);
	mutex_unlock(&gmem->lock);
	slot->gmem = NULL;
}

/* ---- the file ------------------------------------------------------------------------- */

/* Can the guest have anything of it? Else its slots have it for nothing. */
static bool guest_has(const struct kvm_gmem *gmem)
{
	return kvm_has_private_mem(gmem->kvm) || (gmem->flags & GUEST_MEMFD_FLAG_MMAP);
}

/* Drop the mappings of some frames of a bound slot, and flush. */
static void zap_bound(struct kvm *kvm, struct interval_tree_node *n, gfn_t start, gfn_t end)
{
	struct kvm_gfn_range range = { .slot = slot_of(n), .start = start, .end = end };

	write_lock(&kvm->mmu_lock);
	if (kvm_arch_unmap_gfn_range(kvm, &range))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
}

static void punch_hole(struct file *file, unsigned long first, unsigned long last)
{
	struct kvm_gmem *gmem = file->private_data;
	struct interval_tree_node *n = NULL;
	gfn_t start, end;
	unsigned int i, changes = 0;

	mutex_lock(&gmem->lock);
	while (guest_has(gmem) && (n = next_bound(gmem, n, first, last))) {
		frames_of(n, first, last, &start, &end);
		kvm_invalidate_gfns_begin(gmem->kvm, start, end);
		zap_bound(gmem->kvm, n, start, end);
		changes++;
	}
	/* mostly at once; then those that are being mapped */
	unmap_mapping_range(file->f_mapping, (loff_t)first << PAGE_SHIFT,
			    (loff_t)(last - first + 1) << PAGE_SHIFT, 1);
	free_pages_in(gmem, file->f_mapping, first, last);
	for (i = 0; i < changes; i++)
		kvm_invalidate_gfns_end(gmem->kvm);
	mutex_unlock(&gmem->lock);
}

static long allocate(struct kvm_gmem *gmem, unsigned long first, unsigned long last)
{
	unsigned long i;

	for (i = first; i <= last; i++) {
		struct page *page;

		if (signal_pending(current))
			return -EINTR;
		page = get_or_make_page(gmem, i);
		if (!page)
			return -ENOMEM;
		put_page(page);
		cond_resched();
	}
	return 0;
}

/* The caller has checked that the range is not empty, negative or too long for a file. */
static long gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct kvm_gmem *gmem = file->private_data;
	unsigned long first = offset >> PAGE_SHIFT, last;

	/* its size never changes */
	if (!(mode & FALLOC_FL_KEEP_SIZE) ||
	    (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)))
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(len))
		return -EINVAL;
	last = ((offset + len) >> PAGE_SHIFT) - 1;

	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		return last < gmem->npages ? allocate(gmem, first, last) : -EINVAL;
	if (first < gmem->npages)
		punch_hole(file, first, min(last, gmem->npages - 1));
	return 0;
}

static int gmem_release(struct inode *inode, struct file *file)
{
	struct kvm_gmem *gmem = file->private_data;
	struct interval_tree_node *n = NULL;
	struct kvm *kvm = gmem->kvm;
	gfn_t start, end;

	mutex_lock(&kvm->slots_lock);
	while ((n = next_bound(gmem, n, 0, ULONG_MAX)))
		WRITE_ONCE(slot_of(n)->gmem, NULL);
	if (!RB_EMPTY_ROOT(&gmem->slots.rb_root) && guest_has(gmem)) {
		/* afterwards no fault has the file in its hands, and none can get it */
		synchronize_srcu_expedited(&kvm->srcu);
		while ((n = next_bound(gmem, n, 0, ULONG_MAX))) {
			frames_of(n, 0, ULONG_MAX, &start, &end);
			zap_bound(kvm, n, start, end);
		}
	}
	mutex_unlock(&kvm->slots_lock);

	free_pages_in(gmem, NULL, 0, ULONG_MAX);
	put_write_access(inode);
	xa_destroy(&gmem->pages);
	mutex_destroy(&gmem->lock);
	kfree(gmem);
	kvm_put_kvm(kvm);
	/* the file itself still has the mount */
	simple_release_fs(&gmem_mount, &gmem_files);
	return 0;
}

static vm_fault_t gmem_fault(struct vm_fault *vmf)
{
	struct kvm_gmem *gmem = vmf->vma->vm_file->private_data;
	struct page *page;

	/* private memory has no place in a mapping, nor has what is behind the end */
	if (!(gmem->flags & GUEST_MEMFD_FLAG_INIT_SHARED) || vmf->pgoff >= gmem->npages)
		return VM_FAULT_SIGBUS;
	page = get_or_make_page(gmem, vmf->pgoff);
	if (!page)
		return VM_FAULT_OOM;
	lock_page(page);
	if (xa_load(&gmem->pages, vmf->pgoff) != page) {
		/* gone meanwhile: begin again */
		unlock_page(page);
		put_page(page);
		return VM_FAULT_NOPAGE;
	}
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct gmem_vm_ops = {
	.fault = gmem_fault,
};

static int gmem_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kvm_gmem *gmem = file->private_data;

	if (!(gmem->flags & GUEST_MEMFD_FLAG_MMAP))
		return -ENODEV;
	/* copies of its pages would be nobody's memory */
	if ((vma->vm_flags & (VM_SHARED | VM_MAYSHARE)) != (VM_SHARED | VM_MAYSHARE))
		return -EINVAL;
	vma->vm_ops = &gmem_vm_ops;
	return 0;
}

static struct file_operations gmem_fops = {
	.mmap		= gmem_mmap,
	.release	= gmem_release,
	.fallocate	= gmem_fallocate,
};

/* Neither size nor owner nor times are user space's to change. */
static int gmem_setattr(KVM_MNT_IDMAP_T *idmap, struct dentry *dentry, struct iattr *attr)
{
	return -EINVAL;
}

static const struct inode_operations gmem_inode_ops = {
	.setattr	= gmem_setattr,
};

/* The file takes over @gmem when it works. */
static struct file *make_file(struct kvm_gmem *gmem, u64 size)
{
	struct inode *inode;
	struct file *file;
	int r;

	r = simple_pin_fs(&gmem_fs, &gmem_mount, &gmem_files);
	if (r)
		return ERR_PTR(r);
	inode = alloc_anon_inode(gmem_mount->mnt_sb);
	if (IS_ERR(inode)) {
		file = ERR_CAST(inode);
		goto out_fs;
	}
	inode->i_mode |= S_IFREG;
	inode->i_op = &gmem_inode_ops;
	i_size_write(inode, size);
	/* who makes huge pages of files leaves those alone that somebody may write */
	get_write_access(inode);

	/* closing the file gives that back */
	if (!try_module_get(gmem_fops.owner)) {
		file = ERR_PTR(-ENODEV);
		goto out_inode;
	}
	file = alloc_file_pseudo(inode, gmem_mount, "kvm-gmem", O_RDWR | O_LARGEFILE, &gmem_fops);
	if (IS_ERR(file))
		goto out_module;
	file->private_data = gmem;
	return file;

out_module:
	module_put(gmem_fops.owner);
out_inode:
	iput(inode);
out_fs:
	simple_release_fs(&gmem_mount, &gmem_files);
	return file;
}

/**
 * kvm_gmem_flags() - what a guest_memfd can be made with
 * @kvm: the VM, or NULL for one of some type
 *
 * Memory that may become private cannot begin as shared: there is no way to say later that
 * a page of a mapping has become private.
 *
 * Return: GUEST_MEMFD_FLAG_*.
 */
u64 kvm_gmem_flags(struct kvm *kvm)
{
	return GUEST_MEMFD_FLAG_MMAP |
	       (kvm && kvm_has_private_mem(kvm) ? 0 : GUEST_MEMFD_FLAG_INIT_SHARED);
}

/**
 * kvm_gmem_create() - KVM_CREATE_GUEST_MEMFD
 * @kvm: the VM
 * @args: size and flags, a kernel copy
 *
 * Return: a descriptor; -EINVAL for flags that kvm_gmem_flags() has not, or a size that is
 * 0, too large for a file or not of whole pages; -EMFILE; -ENFILE; -ENOMEM.
 */
long kvm_gmem_create(struct kvm *kvm, const struct kvm_create_guest_memfd *args)
{
	struct kvm_gmem *gmem;
	struct file *file;
	int fd;

	if (args->flags & ~kvm_gmem_flags(kvm))
		return -EINVAL;
	if (!args->size || args->size > MAX_LFS_FILESIZE || !PAGE_ALIGNED(args->size))
		return -EINVAL;

	gmem = kzalloc(sizeof(*gmem), GFP_KERNEL_ACCOUNT);
	if (!gmem)
		return -ENOMEM;
	gmem->flags = args->flags;
	gmem->npages = args->size >> PAGE_SHIFT;
	xa_init(&gmem->pages);
	mutex_init(&gmem->lock);
	gmem->slots = RB_ROOT_CACHED;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto out_free;
	file = make_file(gmem, args->size);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto out_free;
	}
	kvm_get_kvm(kvm);
	gmem->kvm = kvm;
	fd_install(fd, file);
	return fd;

out_free:
	kfree(gmem);
	return fd;
}

/**
 * kvm_gmem_set_owner() - which module an open guest_memfd keeps in the kernel
 * @owner: the vendor module
 */
void kvm_gmem_set_owner(struct module *owner)
{
	gmem_fops.owner = owner;
}
