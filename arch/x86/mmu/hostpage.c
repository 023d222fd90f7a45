// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of a guest frame: which page is behind it, and how large the
 * host has mapped it.
 *
 * A page is referenced only until its mapping is in the guest's tables; from
 * then on the MMU notifier says when it goes, or the guest_memfd that it is in.
 * Nothing is pinned.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "arch/x86/async_pf.h"
#include "arch/x86/mmu/internal.h"
#include "module/compat/pfnmap.h"
#include "module/memslot.h"

/*
 * A mapping without page structures: device memory and the like. Its driver may map it on
 * demand only, as VFIO does, and take it away at any time. It tells the MMU notifier then,
 * and that is all that such a frame is safe by: there may be a page behind it, but the
 * mapping holds no reference to it, and so do we not.
 *
 * Return: 0; -EROFS: it is there, but user space itself must not write it; -EFAULT; -EINTR;
 * -EAGAIN: it was waited for, and everything may have changed.
 */
static int get_pfnmap(struct kvm *kvm, unsigned long hva, bool write,
		      struct host_page *hp)
{
	struct vm_area_struct *vma;
	bool unlocked = false;
	int r = -EFAULT;

	mmap_read_lock(kvm->mm);
	vma = vma_lookup(kvm->mm, hva);
	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)))
		goto out;
	if (write && !(vma->vm_flags & VM_WRITE)) {
		r = -EROFS;
		goto out;
	}
	r = kvm_compat_pfnmap(vma, hva, &hp->pfn, &hp->writable);
	if (!r && (hp->writable || !write))
		goto out;
	r = fixup_user_fault(kvm->mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	if (unlocked && !r)
		r = -EAGAIN;
	else if (!r)
		r = kvm_compat_pfnmap(vma, hva, &hp->pfn, &hp->writable);
	else if (r != -EINTR)
		r = -EFAULT;
	/* a driver that says that it mapped it and did not */
	if (!r && write && !hp->writable)
		r = -EFAULT;
out:
	mmap_read_unlock(kvm->mm);
	return r;
}

/**
 * host_page_get() - find the page behind a frame, bringing it in if need be
 * @vcpu: the vCPU that faults, and may do something else instead of waiting; the caller
 *	runs in its VM's address space and may sleep
 * @slot: slot of the frame
 * @gfn: the frame
 * @write: the guest wants to write
 * @hp: filled; given back with host_page_put()
 *
 * Return: 0; -EFAULT when there is none (or none writable); -EROFS: device memory that user
 * space must not write, which is for it to see, as MMIO; -EHWPOISON; -EINTR; -EAGAIN to
 * begin again: something has changed, or the page is being brought in (async_pf.c).
 */
int host_page_get(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn,
		  bool write, struct host_page *hp)
{
	unsigned int flags = FOLL_HWPOISON | (write ? FOLL_WRITE : 0);
	bool may_write = !(slot->flags & KVM_MEM_READONLY);
	struct page *page;
	long n;

	memset(hp, 0, sizeof(*hp));
	hp->hva = kvm_slot_hva(slot, gfn);

	/* mostly it is there, and a read fault may as well get it writable */
	if (may_write && get_user_page_fast_only(hp->hva, FOLL_WRITE, &page)) {
		hp->writable = true;
		goto found;
	}
	n = 0;
	if (kvm_apf_possible(vcpu)) {
		n = get_user_pages_unlocked(hp->hva, 1, &page, flags | FOLL_NOWAIT);
		/* 0: it would have waited */
		if (!n && kvm_apf_begin(vcpu, hp->hva, write))
			return -EAGAIN;
	}
	if (!n)
		n = get_user_pages_unlocked(hp->hva, 1, &page, flags);
	if (n == 1) {
		struct page *again;

		hp->writable = write;
		if (!write && may_write &&
		    get_user_page_fast_only(hp->hva, FOLL_WRITE, &again)) {
			/* another page now: then this one is stale already */
			put_page(page);
			page = again;
			hp->writable = true;
		}
		goto found;
	}
	if (n == -EHWPOISON || n == -EINTR)
		return n;
	return get_pfnmap(vcpu->kvm, hp->hva, write, hp);
found:
	hp->page = page;
	hp->pfn = page_to_pfn(page);
	return 0;
}

/**
 * private_page_get() - find the page of a guest_memfd behind a frame, making it if need be
 * @slot: slot of the frame, or NULL
 * @gfn: the frame
 * @hp: filled; given back with host_page_put()
 *
 * Return: 0; -EFAULT when the slot has no guest_memfd; -ENOMEM.
 */
int private_page_get(const struct kvm_memory_slot *slot, gfn_t gfn, struct host_page *hp)
{
	int r;

	memset(hp, 0, sizeof(*hp));
	hp->hva = KVM_HVA_ERR_BAD;
	hp->writable = true;
	r = slot ? kvm_gmem_get_page(slot, gfn, &hp->page) : -EFAULT;
	if (!r)
		hp->pfn = page_to_pfn(hp->page);
	return r;
}

/**
 * host_page_poisoned() - the page behind a frame has failed: the process is told
 * @slot: slot of the frame
 * @gfn: the frame
 */
void host_page_poisoned(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	/* as if it had touched the page itself */
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)kvm_slot_hva(slot, gfn), PAGE_SHIFT,
			current);
}

/**
 * host_page_put() - done with it
 * @hp: from host_page_get()
 * @may_be_written: the guest can write it from now on, or when it asks to
 */
void host_page_put(struct host_page *hp, bool may_be_written)
{
	struct page *page = hp->page;

	if (!page)
		return;
	/* nobody writes a private page back or swaps it out */
	if (hp->hva != KVM_HVA_ERR_BAD && !PageReserved(page)) {
		/*
		 * The guest's writes do not show in the host's tables: what it may
		 * write counts as written, until the notifier takes it away.
		 */
		if (may_be_written && !PageDirty(page)) {
			if (PageAnon(page))
				SetPageDirty(page);
			else
				set_page_dirty_lock(page);
		}
		mark_page_accessed(page);
	}
	put_page(page);
}

/**
 * host_mapping_level() - how large the host maps an address
 * @kvm: the VM; mmu_lock is held, and no invalidation is on its way
 * @hva: host address
 *
 * The tables cannot be freed while interrupts are off, and a huge mapping cannot
 * be split unseen while mmu_lock is held.
 *
 * Return: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
 */
int host_mapping_level(struct kvm *kvm, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(kvm->mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(pmd) || !pmd_present(pmd))
		goto out;
	if (pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}
