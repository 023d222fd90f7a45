/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame behind an address of a VM_PFNMAP or VM_IO mapping.
 */
#ifndef KVM_OOT_PFNMAP_H
#define KVM_OOT_PFNMAP_H

#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/version.h>

/**
 * kvm_compat_pfnmap() - the frame that an address is mapped to
 * @vma: the mapping; mmap_lock held for reading
 * @addr: address in it
 * @pfn: set to the frame
 * @writable: set to whether it is mapped writable
 *
 * Return: 0, or -EFAULT when it is not mapped.
 */
static inline int kvm_compat_pfnmap(struct vm_area_struct *vma, unsigned long addr,
				    unsigned long *pfn, bool *writable)
{
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
	spinlock_t *lock;	/* of the page table, taken by follow_pte() */
	pte_t *ptep, pte;
	int r;

#if KERNEL_VERSION(6, 10, 0) > LINUX_VERSION_CODE
	r = follow_pte(vma->vm_mm, addr, &ptep, &lock);
#else
	r = follow_pte(vma, addr, &ptep, &lock);
#endif
	if (r)
		return -EFAULT;
	__acquire(lock);	/* sparse is not told by follow_pte() */
	pte = *ptep;
	*writable = pte_write(pte);
	*pfn = pte_pfn(pte);
	pte_unmap_unlock(ptep, lock);
#else
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };

	if (follow_pfnmap_start(&args))
		return -EFAULT;
	*writable = args.writable;
	*pfn = args.pfn;
	follow_pfnmap_end(&args);
#endif
	return 0;
}

#endif /* KVM_OOT_PFNMAP_H */
