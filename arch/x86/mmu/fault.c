// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nested page fault.
 *
 * 1. Which slot: none means MMIO, a write to a read-only one, or to device memory
 *    that user space has mapped read-only, likewise; or the
 *    page with which hardware knows accesses to the APIC (irq/apic_page.c). A
 *    private frame must have a slot with private memory: else user space is told.
 * 2. Is it only the dirty log that stands against a write: then the right is
 *    given back without a lock and without asking the host.
 * 3. Which page of the host, which may mean waiting for it.
 * 4. With mmu_lock held: if an invalidation came since before 1, begin again.
 *    Else map it as large as slot, host, dirty log and attributes allow; in small
 *    pages, where large ones must not be executed from (nx.c).
 */
#include <linux/mem_encrypt.h>
#include <linux/mm.h>

#include "arch/x86/dma.h"
#include "arch/x86/mmu/internal.h"
#include "arch/x86/mmu/mmu.h"
#include "arch/x86/run.h"
#include "module/memslot.h"

/**
 * mmu_stale() - did what is behind a frame change, or is it about to
 * @kvm: the VM; mmu_lock held
 * @seq: of invalidations, as it was before the host's page was asked for
 * @gfn: the frame
 * @hva: address of that page
 */
bool mmu_stale(struct kvm *kvm, unsigned long seq, gfn_t gfn, unsigned long hva)
{
	const struct kvm_invalidation *inv = &kvm->hva_invalidation;

	if (inv->in_progress && hva >= inv->start && hva < inv->end)
		return true;
	if (kvm_gfns_are_changing(kvm, gfn, gfn + 1))
		return true;
	smp_rmb();	/* pairs with the notifier's smp_wmb() */
	return kvm->mmu_invalidate_seq != seq;
}

/**
 * mmu_slot_level() - largest page whose frames can all lie in the slot and in one host page
 * @slot: the slot
 * @gfn: one of them
 *
 * Return: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
 */
int mmu_slot_level(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	gfn_t hfn = slot->userspace_addr >> PAGE_SHIFT;
	int level;

	if (slot->dirty_bitmap)
		return 1;
	for (level = tdp_max_page_level; level > 1; level--) {
		gfn_t pages = level_pages(level), first = gfn & ~(pages - 1);

		if (!((slot->base_gfn ^ hfn) & (pages - 1)) &&
		    first >= slot->base_gfn &&
		    first + pages <= slot->base_gfn + slot->npages)
			break;
	}
	return level;
}

/* Largest page up to @level all of whose frames are, and stay, shared; mmu_lock held. */
static int shared_level(struct kvm *kvm, gfn_t gfn, int level)
{
	if (!kvm_has_private_mem(kvm))
		return level;
	for (; level > 1; level--) {
		gfn_t first = gfn & ~(level_pages(level) - 1), end = first + level_pages(level);

		if (!kvm_gfns_are_changing(kvm, first, end) &&
		    kvm_gfns_have_attributes(kvm, first, end, 0))
			break;
	}
	return level;
}

/**
 * mmu_memory_type() - what a nested entry says of how memory is cached
 * @kvm: the VM; mmu_lock held
 *
 * Memory is write-back, whatever the guest's PAT says, where the CPU lets us say so: guests are
 * known that have it uncached where that is slow. Where a device's DMA may go past the caches, or
 * user space wants it, the PAT counts (KVM_X86_QUIRK_IGNORE_GUEST_PAT in api.rst).
 *
 * Return: bits of the entry.
 */
u64 mmu_memory_type(struct kvm *kvm)
{
	if (kvm_has_noncoherent_dma(kvm) || !kvm_quirk(kvm, KVM_X86_QUIRK_IGNORE_GUEST_PAT))
		return tdp_format.ram;
	return tdp_format.ram | tdp_format.ignore_pat;
}
EXPORT_SYMBOL_FOR_KUNIT(mmu_memory_type);

static u64 make_leaf(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		     const struct host_page *hp, int level, bool write)
{
	u64 spte = SPTE_PRESENT | SPTE_USER_EXEC | SPTE_ACCESSED;
	unsigned long pfn = hp->pfn & ~(level_pages(level) - 1);

	spte |= (u64)pfn << PAGE_SHIFT;
	spte |= hp->page ? mmu_memory_type(kvm) : tdp_format.io;
	if (hp->page && tdp_format.ignore_pat && !(spte & tdp_format.ignore_pat))
		kvm_dma_note_guest_type();
	if (level > 1)
		spte |= SPTE_LARGE;
	if (hp->writable && !(slot->flags & KVM_MEM_READONLY)) {
		spte |= SPTE_HOST_WRITABLE | SPTE_MMU_WRITABLE;
		/* what is logged becomes writable by a write only, or dirty by the CPU */
		if (write || !slot->dirty_bitmap)
			spte |= SPTE_WRITABLE | SPTE_DIRTY;
		else if (tdp_format.cpu_logs_dirty)
			spte |= SPTE_WRITABLE;
	}
	return spte;
}

/*
 * The right to write was taken by the dirty log alone: give it back, without mmu_lock.
 *
 * Who takes the right away again first clears the page's bit in the log and then looks at the
 * entry; here the entry comes first and then the bit (each step is ordered). So either the
 * right is seen there, and taken, or the bit stays for the next look at the log.
 */
static bool fast_write_fault(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			     gfn_t gfn)
{
	struct kvm *kvm = vcpu->kvm;
	bool done = false;
	u64 *sptep, spte;
	int level;

	rcu_read_lock();
	sptep = tdp_find_leaf(kvm, slot->as_id, gfn, &level);
	if (!sptep)
		goto out;
	/* if its table is unlinked meanwhile, the entry is 0 by then */
	spte = READ_ONCE(*sptep);
	if (spte & SPTE_WRITABLE) {
		/* another vCPU was here, or the CPU had an old entry */
		vcpu->stat.pf_spurious++;
		done = true;
	} else if (level == 1 && (spte & SPTE_MMU_WRITABLE) &&
		   (spte & SPTE_HOST_WRITABLE)) {
		done = tdp_set_entry(kvm, sptep, spte,
				     spte | SPTE_WRITABLE | SPTE_DIRTY, level);
		if (done) {
			kvm_mark_page_dirty_in_slot(kvm, slot, gfn);
			vcpu->stat.pf_fast++;
		}
	}
out:
	rcu_read_unlock();
	return done;
}

/*
 * A larger page is in the way of small ones: dirty logging began, or it is executed from.
 * The small page comes in the same step (@spte, 0: none): if it were left to the next
 * fault, an access to another page of the large one, such as a page table on the way to
 * the instruction, would bring the large one back, without end.
 */
static int split_by_zap(struct kvm_vcpu *vcpu, gfn_t gfn, int nx_level, u64 spte,
			unsigned long seq, unsigned long hva)
{
	struct kvm *kvm = vcpu->kvm;
	struct tdp_page *garbage = NULL;
	int level, r = 1, as_id = kvm_vcpu_as_id(vcpu);

	write_lock(&kvm->mmu_lock);
	if (tdp_find_leaf(kvm, as_id, gfn, &level) && level > 1) {
		gfn_t first = gfn & ~(level_pages(level) - 1);

		if (tdp_zap_range(kvm, as_id, first, first + level_pages(level), false,
				  &garbage))
			kvm_flush_remote_tlbs(kvm);
	}
	if (spte && !mmu_stale(kvm, seq, gfn, hva))
		r = tdp_map(vcpu, gfn, 1, nx_level, spte);
	write_unlock(&kvm->mmu_lock);
	tdp_free_garbage(garbage);
	return r;
}

/*
 * Where there is no memory there may be the page that stands for the APIC's
 * registers. Return: 1 to try again, 0 when it is not here, -ENOMEM.
 */
static int map_apic_page(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm *kvm = vcpu->kvm;
	u64 spte = SPTE_PRESENT | SPTE_WRITABLE | SPTE_USER_EXEC | SPTE_ACCESSED |
		   SPTE_DIRTY | tdp_format.ram | tdp_format.ignore_pat;
	int r;

	if (!READ_ONCE(kvm->arch.apic_page) || READ_ONCE(kvm->arch.apic_page_gfn) != gfn)
		return 0;
	r = tdp_fill_cache(vcpu->arch.mmu, TDP_MAX_LEVEL);
	if (r)
		return r;
	spte |= (u64)page_to_pfn(kvm->arch.apic_page) << PAGE_SHIFT;
	read_lock(&kvm->mmu_lock);
	/* a slot that has come since is in front */
	if (kvm->arch.apic_page_gfn == gfn && !kvm_vcpu_gfn_to_memslot(vcpu, gfn))
		r = tdp_map(vcpu, gfn, 1, 1, spte);
	read_unlock(&kvm->mmu_lock);
	if (r == -EAGAIN)
		split_by_zap(vcpu, gfn, 1, 0, 0, 0);
	return 1;
}

/* Devices are looked for in slots once only, until these change. */
static struct kvm_memory_slot *find_slot(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	u64 generation = kvm_memslots_generation(vcpu->kvm, kvm_vcpu_as_id(vcpu));
	gpa_t page = gfn << PAGE_SHIFT;
	struct mmio_hint *hint = mmu_mmio_hint(vcpu->arch.mmu, page);
	struct kvm_memory_slot *slot;

	if (hint->page == page && hint->generation == generation)
		return NULL;
	slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
	if (!slot) {
		hint->page = page;
		hint->generation = generation;
	}
	return slot;
}

/**
 * kvm_mmu_is_mmio() - is there no memory at an address
 * @vcpu: the vCPU, kvm->srcu held
 * @gpa: guest physical address
 */
bool kvm_mmu_is_mmio(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;

	return !find_slot(vcpu, gfn) && !kvm_gfn_is_private(vcpu->kvm, gfn);
}

/**
 * kvm_mmu_mark_doorbell() - a page of MMIO is one that a guest only writes to
 * @vcpu: the vCPU, loaded, kvm->srcu held; it has just written there
 * @gpa: guest physical address
 *
 * From now on an access there comes as KVM_XK_DOORBELL, where the CPU can do that, until a
 * fault finds memory. It is only faster: what cannot be noted is left.
 */
void kvm_mmu_mark_doorbell(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	if (!kvm_be.tdp || !tdp_format.doorbell || tdp_fill_cache(vcpu->arch.mmu, TDP_MAX_LEVEL))
		return;
	read_lock(&vcpu->kvm->mmu_lock);
	if (kvm_mmu_is_mmio(vcpu, gpa))
		tdp_map(vcpu, gpa >> PAGE_SHIFT, 1, 1, tdp_format.doorbell);
	read_unlock(&vcpu->kvm->mmu_lock);
}

int kvm_mmu_tdp_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	bool write = error_code & PFERR_WRITE;
	struct kvm *kvm = vcpu->kvm;
	struct kvm_memory_slot *slot;
	struct host_page hp;
	unsigned long seq;
	u64 spte = 0;
	int r, level, nx_level = 1;
	bool private;

	vcpu->stat.pf_taken++;
	seq = READ_ONCE(kvm->mmu_invalidate_seq);
	smp_rmb();	/* the sequence before attributes and the host's tables */
	slot = find_slot(vcpu, gfn);
	private = kvm_gfn_is_private(kvm, gfn) || (slot && slot->gmem_only);
	if (private)
		goto map;
	if (!slot) {
		r = map_apic_page(vcpu, gfn);
		if (r)
			return r < 0 ? r : KVM_PF_RETRY;
	}
	if (!slot || (write && (slot->flags & KVM_MEM_READONLY))) {
		vcpu->stat.pf_emulate++;
		return slot ? KVM_PF_EMULATE : KVM_PF_MMIO;
	}
	if (write && (error_code & PFERR_PRESENT) &&
	    fast_write_fault(vcpu, slot, gfn))
		return KVM_PF_RETRY;
map:
	r = tdp_fill_cache(vcpu->arch.mmu, TDP_MAX_LEVEL);
	if (r)
		return r;

	r = private ? private_page_get(slot, gfn, &hp) :
		      host_page_get(vcpu, slot, gfn, write, &hp);
	if (r == -EHWPOISON) {
		host_page_poisoned(slot, gfn);
		return KVM_PF_RETRY;
	}
	if (r == -EINTR || r == -EAGAIN)
		return KVM_PF_RETRY;
	if (r == -EROFS) {
		vcpu->stat.pf_emulate++;
		return KVM_PF_EMULATE;
	}
	if (r)
		return r;

	r = 1;
	read_lock(&kvm->mmu_lock);
	if (mmu_stale(kvm, seq, gfn, hp.hva))
		goto out;
	level = private ? 1 : shared_level(kvm, gfn, mmu_slot_level(slot, gfn));
	if (level > 1)
		level = hp.page ? min(level, host_mapping_level(kvm, hp.hva)) : 1;
	if ((error_code & PFERR_FETCH) && mmu_nx_on(kvm)) {
		nx_level = level;
		level = 1;
	}
	spte = make_leaf(kvm, slot, gfn, &hp, level, write);
	r = tdp_map(vcpu, gfn, level, nx_level, spte);
	if (r == -EAGAIN) {
		read_unlock(&kvm->mmu_lock);
		r = split_by_zap(vcpu, gfn, nx_level, level == 1 ? spte : 0, seq, hp.hva);
		read_lock(&kvm->mmu_lock);
	}
	if (!r) {
		vcpu->stat.pf_fixed++;
		if ((spte & SPTE_WRITABLE) && (write || !tdp_format.cpu_logs_dirty))
			kvm_mark_page_dirty_in_slot(kvm, slot, gfn);
	}
out:
	read_unlock(&kvm->mmu_lock);
	host_page_put(&hp, !r && (spte & SPTE_MMU_WRITABLE));
	return KVM_PF_RETRY;
}

/**
 * kvm_arch_vcpu_pre_fault() - map what is at an address, as a read would
 * @vcpu: the vCPU, loaded
 * @gpa: guest physical address of a page
 * @size: bytes that are wanted
 *
 * Return: bytes that are mapped from @gpa on, at most @size; 0: try again; -ENOENT outside
 * of user space's slots; -EOPNOTSUPP with shadow paging; -EFAULT, -ENOMEM.
 */
long kvm_arch_vcpu_pre_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 size)
{
	gfn_t gfn = gpa >> PAGE_SHIFT, pages = 0;
	struct kvm *kvm = vcpu->kvm;
	int level;
	long r;

	/* a shadow table maps linear addresses */
	if (!kvm_be.tdp)
		return -EOPNOTSUPP;
	if (!kvm_vcpu_is_visible_gfn(vcpu, gfn))
		return -ENOENT;
	r = kvm_mmu_tdp_fault(vcpu, gpa, 0);
	if (r < 0)
		return r;
	read_lock(&kvm->mmu_lock);
	if (tdp_find_leaf(kvm, kvm_vcpu_as_id(vcpu), gfn, &level))
		pages = level_pages(level) - (gfn & (level_pages(level) - 1));
	read_unlock(&kvm->mmu_lock);
	return min(size, pages << PAGE_SHIFT);
}
