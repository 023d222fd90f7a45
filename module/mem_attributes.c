// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes of guest frames (Documentation/virt/kvm/api.rst,
 * KVM_SET_MEMORY_ATTRIBUTES). There is one so far: whether a frame is private,
 * so that its memory is in a guest_memfd, or shared, so that it is what user
 * space has mapped.
 *
 * They are kept as ranges in a maple tree; what is not in it has none. So it costs
 * the same whether one frame changes or a terabyte does, and a change is made as a
 * whole or not at all. Writers hold kvm->slots_lock, readers nothing: a fault reads
 * first and finds out under mmu_lock whether that was too early (notifier.c).
 */
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/xarray.h>

#include "module/kvm_host.h"

static u64 attributes_in(void *entry)
{
	return entry ? xa_to_value(entry) : 0;
}

/**
 * kvm_supported_mem_attributes() - KVM_CAP_MEMORY_ATTRIBUTES
 * @kvm: the VM, or NULL for those of any type of VM
 *
 * Return: KVM_MEMORY_ATTRIBUTE_* that may be set.
 */
u64 kvm_supported_mem_attributes(struct kvm *kvm)
{
	bool private = kvm ? kvm_has_private_mem(kvm) : kvm_arch_supports_private_mem();

	return private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

/**
 * kvm_gfns_have_attributes() - are the attributes of a range of frames all the same
 * @kvm: the VM
 * @start: first frame
 * @end: frame after the last
 * @attrs: what they should be
 *
 * Return: true when each frame has exactly these.
 */
bool kvm_gfns_have_attributes(struct kvm *kvm, gfn_t start, gfn_t end, u64 attrs)
{
	MA_STATE(mas, &kvm->mem_attributes, start, start);
	bool same;

	rcu_read_lock();
	for (;;) {
		same = attributes_in(mas_walk(&mas)) == attrs;
		if (!same || mas.last >= end - 1)
			break;
		mas_set(&mas, mas.last + 1);
	}
	rcu_read_unlock();
	return same;
}

/**
 * kvm_gfn_is_private() - is a frame's memory private now
 * @kvm: the VM
 * @gfn: guest frame
 *
 * Return: true when it is.
 */
bool kvm_gfn_is_private(struct kvm *kvm, gfn_t gfn)
{
	return kvm_has_private_mem(kvm) &&
	       attributes_in(mtree_load(&kvm->mem_attributes, gfn)) &
	       KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/**
 * kvm_set_mem_attributes() - KVM_SET_MEMORY_ATTRIBUTES
 * @kvm: the VM
 * @attrs: range and attributes, a kernel copy
 *
 * When it returns no vCPU reaches the memory that was there before, unless nothing
 * changes. Neither kind of memory is freed or written.
 *
 * Return: 0; -EINVAL for flags, attributes that the VM does not support, or a range
 * that is empty, wraps or is not of whole pages; -ENOMEM, then nothing has changed.
 */
int kvm_set_mem_attributes(struct kvm *kvm, const struct kvm_memory_attributes *attrs)
{
	gfn_t start = attrs->address >> PAGE_SHIFT;
	gfn_t end = (attrs->address + attrs->size) >> PAGE_SHIFT;
	int r = 0;

	if (attrs->flags || (attrs->attributes & ~kvm_supported_mem_attributes(kvm)))
		return -EINVAL;
	if (!attrs->size || attrs->address + attrs->size < attrs->address ||
	    !PAGE_ALIGNED(attrs->address) || !PAGE_ALIGNED(attrs->size))
		return -EINVAL;

	mutex_lock(&kvm->slots_lock);
	if (!kvm_gfns_have_attributes(kvm, start, end, attrs->attributes)) {
		kvm_invalidate_gfns_begin(kvm, start, end);
		kvm_arch_zap_gfns(kvm, start, end);
		r = mtree_store_range(&kvm->mem_attributes, start, end - 1,
				      attrs->attributes ? xa_mk_value(attrs->attributes) : NULL,
				      GFP_KERNEL_ACCOUNT);
		kvm_invalidate_gfns_end(kvm);
	}
	mutex_unlock(&kvm->slots_lock);
	return r;
}
