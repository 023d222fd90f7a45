// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory as drivers such as VFIO map it: /dev/kvm-oot-pfnmap maps frames without
 * references to pages, each when it is touched first, and takes all mappings away when its
 * owner writes to the file. There are two sets of frames; a write changes to the other one.
 * The first word of each says which it is: set << 8 | number. Reading the file tells how
 * often a frame was mapped.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/version.h>

#define NR_FRAMES	16

static struct page *frames[2][NR_FRAMES];
static unsigned int set;
static atomic64_t faults;

static vm_fault_t pfnmap_fault(struct vm_fault *vmf)
{
	struct page *page = frames[READ_ONCE(set)][vmf->pgoff % NR_FRAMES];

	atomic64_inc(&faults);
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page));
}

static const struct vm_operations_struct pfnmap_vm_ops = {
	.fault = pfnmap_fault,
};

static int pfnmap_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long flags = VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
#if KERNEL_VERSION(6, 3, 0) > LINUX_VERSION_CODE
	vma->vm_flags |= flags;
#else
	vm_flags_set(vma, flags);
#endif
	vma->vm_ops = &pfnmap_vm_ops;
	return 0;
}

static ssize_t pfnmap_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	WRITE_ONCE(set, !set);
	unmap_mapping_range(file->f_mapping, 0, 0, 1);
	return n;
}

static ssize_t pfnmap_read(struct file *file, char __user *buf, size_t n, loff_t *pos)
{
	u64 v = atomic64_read(&faults);

	*pos = 0;
	return simple_read_from_buffer(buf, n, pos, &v, sizeof(v));
}

static const struct file_operations pfnmap_fops = {
	.owner = THIS_MODULE,
	.mmap = pfnmap_mmap,
	.read = pfnmap_read,
	.write = pfnmap_write,
};

static struct miscdevice pfnmap_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvm-oot-pfnmap",
	.fops = &pfnmap_fops,
};

static void free_frames(void)
{
	int i;

	for (i = 0; i < 2 * NR_FRAMES; i++)
		if (frames[i / NR_FRAMES][i % NR_FRAMES])
			__free_page(frames[i / NR_FRAMES][i % NR_FRAMES]);
}

static int __init pfnmap_init(void)
{
	int i, r = -ENOMEM;

	for (i = 0; i < 2 * NR_FRAMES; i++) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

		if (!page)
			goto out;
		*(u64 *)page_address(page) = i / NR_FRAMES << 8 | i % NR_FRAMES;
		frames[i / NR_FRAMES][i % NR_FRAMES] = page;
	}
	r = misc_register(&pfnmap_dev);
	if (!r)
		return 0;
out:
	free_frames();
	return r;
}
module_init(pfnmap_init);

static void __exit pfnmap_exit(void)
{
	misc_deregister(&pfnmap_dev);
	free_frames();
}
module_exit(pfnmap_exit);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Device memory that is mapped on demand");
MODULE_LICENSE("GPL");
