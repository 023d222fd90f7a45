// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to guest memory by guest physical address, on the guest's behalf:
 * through the owner's mapping of it, so that protection, copy on write and
 * swapping are the host's usual business. The caller runs in the owner's mm and
 * holds kvm->srcu.
 *
 * What is written is marked in the dirty log; a read-only slot refuses writes.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/asm.h>

#include "module/memslot.h"

static unsigned long bytes_in_page(gpa_t gpa, unsigned long len)
{
	return min_t(unsigned long, len, PAGE_SIZE - offset_in_page(gpa));
}

static struct kvm_memslots *vcpu_memslots(struct kvm_vcpu *vcpu)
{
	return kvm_memslots(vcpu->kvm, kvm_vcpu_as_id(vcpu));
}

static int read_memory(struct kvm_memslots *set, gpa_t gpa, void *data, unsigned long len)
{
	while (len) {
		unsigned long n = bytes_in_page(gpa, len);
		gfn_t gfn = gpa >> PAGE_SHIFT;
		struct kvm_memory_slot *slot = kvm_set_find_gfn(set, gfn);

		if (!slot || copy_from_user(data, (void __user *)(kvm_slot_hva(slot, gfn) +
								  offset_in_page(gpa)), n))
			return -EFAULT;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

/**
 * kvm_read_guest() - read guest memory
 * @kvm: the VM
 * @gpa: guest physical address
 * @data: buffer
 * @len: bytes; may cross pages and slots
 *
 * Return: 0 or -EFAULT; then @data may be filled in part.
 */
int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *data, unsigned long len)
{
	return read_memory(kvm_memslots(kvm, 0), gpa, data, len);
}

/**
 * kvm_vcpu_read_guest() - read guest memory as a vCPU sees it
 * @vcpu: the vCPU
 * @gpa: guest physical address
 * @data: buffer
 * @len: bytes; may cross pages and slots
 *
 * Return: 0 or -EFAULT, as kvm_read_guest().
 */
int kvm_vcpu_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len)
{
	return read_memory(vcpu_memslots(vcpu), gpa, data, len);
}
EXPORT_SYMBOL_GPL(kvm_vcpu_read_guest);

static int write_memory(struct kvm *kvm, struct kvm_memslots *set, gpa_t gpa,
			const void *data, unsigned long len)
{
	while (len) {
		unsigned long n = bytes_in_page(gpa, len);
		gfn_t gfn = gpa >> PAGE_SHIFT;
		struct kvm_memory_slot *slot = kvm_set_find_gfn(set, gfn);

		if (!slot || (slot->flags & KVM_MEM_READONLY) ||
		    copy_to_user((void __user *)(kvm_slot_hva(slot, gfn) +
						 offset_in_page(gpa)), data, n))
			return -EFAULT;
		kvm_mark_page_dirty_in_slot(kvm, slot, gfn);
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

/**
 * kvm_write_guest() - write guest memory
 * @kvm: the VM
 * @gpa: guest physical address
 * @data: what to write
 * @len: bytes; may cross pages and slots
 *
 * Return: 0; -EFAULT for a hole, a read-only slot or no host memory; then a part
 * may have been written.
 */
int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *data,
		    unsigned long len)
{
	return write_memory(kvm, kvm_memslots(kvm, 0), gpa, data, len);
}

/**
 * kvm_vcpu_write_guest() - write guest memory as a vCPU sees it
 * @vcpu: the vCPU
 * @gpa: guest physical address
 * @data: what to write
 * @len: bytes; may cross pages and slots
 *
 * Return: 0 or -EFAULT, as kvm_write_guest().
 */
int kvm_vcpu_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data,
			 unsigned long len)
{
	return write_memory(vcpu->kvm, vcpu_memslots(vcpu), gpa, data, len);
}
EXPORT_SYMBOL_GPL(kvm_vcpu_write_guest);

/**
 * kvm_clear_guest() - fill guest memory with zeroes
 * @kvm: the VM
 * @gpa: guest physical address
 * @len: bytes
 *
 * Return: 0 or -EFAULT, as kvm_write_guest().
 */
int kvm_clear_guest(struct kvm *kvm, gpa_t gpa, unsigned long len)
{
	while (len) {
		unsigned long n = bytes_in_page(gpa, len);
		gfn_t gfn = gpa >> PAGE_SHIFT;
		struct kvm_memory_slot *slot = kvm_gfn_to_memslot(kvm, gfn);

		if (!slot || (slot->flags & KVM_MEM_READONLY) ||
		    clear_user((void __user *)(kvm_slot_hva(slot, gfn) +
					       offset_in_page(gpa)), n))
			return -EFAULT;
		kvm_mark_page_dirty_in_slot(kvm, slot, gfn);
		gpa += n;
		len -= n;
	}
	return 0;
}

/**
 * kvm_hva_cache_init() - translate a range once for many accesses
 * @kvm: the VM
 * @c: cache to fill
 * @gpa: guest physical address
 * @len: bytes
 *
 * A range that spans slots is accepted; its accesses take the slow way.
 *
 * Return: 0, or -EFAULT when the range wraps or its first frame has no slot.
 */
int kvm_hva_cache_init(struct kvm *kvm, struct kvm_hva_cache *c, gpa_t gpa,
		       unsigned long len)
{
	gfn_t first = gpa >> PAGE_SHIFT, last;
	struct kvm_memory_slot *slot;

	c->hva = KVM_HVA_ERR_BAD;
	c->slot = NULL;
	if (!len || gpa + len - 1 < gpa)
		return -EFAULT;
	last = (gpa + len - 1) >> PAGE_SHIFT;

	c->generation = kvm_memslots_generation(kvm, 0);
	c->gpa = gpa;
	c->len = len;
	slot = kvm_gfn_to_memslot(kvm, first);
	if (!slot)
		return -EFAULT;
	if (last - slot->base_gfn < slot->npages) {
		c->slot = slot;
		c->hva = kvm_slot_hva(slot, first) + offset_in_page(gpa);
	}
	return 0;
}

static int cache_refresh(struct kvm *kvm, struct kvm_hva_cache *c,
			 unsigned int offset, unsigned long len)
{
	if (offset + len > c->len || offset + len < len)
		return -EFAULT;
	if (c->generation == kvm_memslots_generation(kvm, 0))
		return 0;
	return kvm_hva_cache_init(kvm, c, c->gpa, c->len);
}

/**
 * kvm_read_guest_cached() - read a range that kvm_hva_cache_init() translated
 * @kvm: the VM
 * @c: the cache
 * @data: buffer
 * @offset: bytes into the range
 * @len: bytes
 *
 * Return: 0 or -EFAULT.
 */
int kvm_read_guest_cached(struct kvm *kvm, struct kvm_hva_cache *c, void *data,
			  unsigned int offset, unsigned long len)
{
	if (cache_refresh(kvm, c, offset, len))
		return -EFAULT;
	if (kvm_is_error_hva(c->hva))
		return kvm_read_guest(kvm, c->gpa + offset, data, len);
	return copy_from_user(data, (void __user *)(c->hva + offset), len) ?
		-EFAULT : 0;
}

/**
 * kvm_write_guest_cached() - write a range that kvm_hva_cache_init() translated
 * @kvm: the VM
 * @c: the cache
 * @data: what to write
 * @offset: bytes into the range
 * @len: bytes
 *
 * Return: 0 or -EFAULT.
 */
int kvm_write_guest_cached(struct kvm *kvm, struct kvm_hva_cache *c,
			   const void *data, unsigned int offset,
			   unsigned long len)
{
	gpa_t gpa = c->gpa + offset;
	gfn_t gfn;

	if (cache_refresh(kvm, c, offset, len))
		return -EFAULT;
	if (kvm_is_error_hva(c->hva))
		return kvm_write_guest(kvm, gpa, data, len);
	if (c->slot->flags & KVM_MEM_READONLY)
		return -EFAULT;
	if (copy_to_user((void __user *)(c->hva + offset), data, len))
		return -EFAULT;
	for (gfn = gpa >> PAGE_SHIFT; len && gfn <= (gpa + len - 1) >> PAGE_SHIFT; gfn++)
		kvm_mark_page_dirty_in_slot(kvm, c->slot, gfn);
	return 0;
}

#ifdef CONFIG_X86_64
/* 0 exchanged, 1 differed, -EFAULT; user access is open */
static int cmpxchg16_user(void __user *ptr, const u64 *old, const u64 *new)
{
	u64 lo = old[0], hi = old[1];
	u8 same = 0;
	int err = 0;

	asm volatile("\n1:	lock cmpxchg16b %[ptr]\n"
		     "	sete %[same]\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_EFAULT_REG, %[err])
		     : [ptr] "+m" (*(__force struct { u64 v[2]; } *)ptr),
		       "+a" (lo), "+d" (hi), [same] "+q" (same), [err] "+r" (err)
		     : "b" (new[0]), "c" (new[1])
		     : "memory");
	return err ? -EFAULT : !same;
}
#endif

/*
 * Each size needs its own type and label. The kernel's macro has variables called
 * __old and __new inside: arguments of these names would be them, not ours.
 */
#define CMPXCHG_USER(type, uptr, oldp, newp) ({				\
	type expected, wanted;						\
									\
	memcpy(&expected, (oldp), sizeof(type));			\
	memcpy(&wanted, (newp), sizeof(type));				\
	__try_cmpxchg_user((type __user *)(uptr), &expected, wanted,	\
			   fault_##type);				\
})

static int cmpxchg_memory(struct kvm *kvm, struct kvm_memslots *set, gpa_t gpa,
			  const void *old, const void *new, unsigned int len)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct kvm_memory_slot *slot;
	void __user *ptr;
	int r;

	if (!is_power_of_2(len) || len > 16 || gpa & (len - 1))
		return -EINVAL;
	slot = kvm_set_find_gfn(set, gfn);
	if (!slot || (slot->flags & KVM_MEM_READONLY))
		return -EFAULT;
	ptr = (void __user *)(kvm_slot_hva(slot, gfn) + offset_in_page(gpa));
	if (!access_ok(ptr, len))
		return -EFAULT;

	switch (len) {
	case 1:
		r = CMPXCHG_USER(u8, ptr, old, new);
		break;
	case 2:
		r = CMPXCHG_USER(u16, ptr, old, new);
		break;
	case 4:
		r = CMPXCHG_USER(u32, ptr, old, new);
		break;
	case 8:
		r = CMPXCHG_USER(u64, ptr, old, new);
		break;
	default:
		if (!boot_cpu_has(X86_FEATURE_CX16))
			return -EINVAL;
		if (!user_access_begin(ptr, len))
			return -EFAULT;
		r = cmpxchg16_user(ptr, old, new);
		user_access_end();
		break;
	}
	if (r < 0)
		return r;
	/* a failed one writes the old value back: the page counts as written */
	kvm_mark_page_dirty_in_slot(kvm, slot, gfn);
	return r;
}

/**
 * kvm_cmpxchg_guest() - compare and exchange guest memory in one step
 * @kvm: the VM
 * @gpa: guest physical address, naturally aligned
 * @old: expected bytes
 * @new: bytes to store
 * @len: 1, 2, 4, 8 or, where the CPU has CMPXCHG16B, 16
 *
 * Return: 0 exchanged; 1 memory differs from @old; -EFAULT for a hole, a
 * read-only slot or no host memory; -EINVAL for another @len or alignment.
 */
int kvm_cmpxchg_guest(struct kvm *kvm, gpa_t gpa, const void *old,
		      const void *new, unsigned int len)
{
	return cmpxchg_memory(kvm, kvm_memslots(kvm, 0), gpa, old, new, len);
}

/**
 * kvm_vcpu_cmpxchg_guest() - compare and exchange guest memory as a vCPU sees it
 * @vcpu: the vCPU
 * @gpa: guest physical address, naturally aligned
 * @old: expected bytes
 * @new: bytes to store
 * @len: as kvm_cmpxchg_guest()
 *
 * Return: as kvm_cmpxchg_guest().
 */
int kvm_vcpu_cmpxchg_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *old,
			   const void *new, unsigned int len)
{
	return cmpxchg_memory(vcpu->kvm, vcpu_memslots(vcpu), gpa, old, new, len);
}
