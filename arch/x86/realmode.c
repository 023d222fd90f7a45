// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that a CPU without real mode for guests needs in the guest's own memory:
 * KVM_SET_TSS_ADDR and KVM_SET_IDENTITY_MAP_ADDR.
 *
 * Intel CPUs before Westmere (or with unrestricted_guest=0) run real mode as
 * virtual-8086 mode, for which a task-state segment says that no port is forbidden
 * (Intel SDM vol. 3, 8.2.1, 19.5.2), and protected mode without paging on a page table
 * that maps 4 GiB onto themselves (4.3). Both are private slots at addresses which user
 * space chose, out of the guest's way. Other backends want neither, and the
 * addresses are only remembered.
 */
#include <linux/mm.h>

#include "arch/x86/kvm_x86.h"

enum { SLOT_TSS, SLOT_IDENTITY_MAP };

#define TSS_PAGES		3
#define TSS_IOMAP_FIELD		0x66		/* offset of the offset of the port permissions */
#define TSS_BYTES		0x68
#define TSS_REDIRECTION		(256 / 8)	/* of INT n; all through the guest's own table */
#define TSS_IOMAP		(65536 / 8)	/* a zero allows */
#define IDENTITY_MAP_DEFAULT	0xfffbc000
/* present, writable, user, accessed, dirty, 4 MiB */
#define IDENTITY_PDE		0xe7u

static int fill_tss(struct kvm *kvm, gpa_t addr)
{
	u16 iomap = TSS_BYTES + TSS_REDIRECTION;
	u8 end = 0xff;
	int r = kvm_clear_guest(kvm, addr, TSS_PAGES * PAGE_SIZE);

	if (!r)
		r = kvm_write_guest(kvm, addr + TSS_IOMAP_FIELD, &iomap, sizeof(iomap));
	/* the permissions end with a byte of ones */
	if (!r)
		r = kvm_write_guest(kvm, addr + iomap + TSS_IOMAP, &end, sizeof(end));
	return r;
}

static int fill_identity_map(struct kvm *kvm, gpa_t addr)
{
	u32 i, pde;
	int r = 0;

	for (i = 0; i < PAGE_SIZE / sizeof(pde) && !r; i++) {
		pde = i << 22 | IDENTITY_PDE;
		r = kvm_write_guest(kvm, addr + i * sizeof(pde), &pde, sizeof(pde));
	}
	return r;
}

static int make_slot(struct kvm *kvm, int id, gpa_t addr, u64 size,
		     int (*fill)(struct kvm *kvm, gpa_t addr))
{
	int r;

	if (!PAGE_ALIGNED(addr) || addr + size > BIT_ULL(32))
		return -EINVAL;
	r = kvm_set_private_slot(kvm, id, addr, size);
	if (r)
		return r;
	r = fill(kvm, addr);
	if (r)
		kvm_set_private_slot(kvm, id, 0, 0);
	return r;
}

/**
 * kvm_set_tss_addr() - KVM_SET_TSS_ADDR
 * @kvm: the VM
 * @addr: guest physical address; three pages from there end below 4 GiB
 *
 * Return: 0; where a slot is needed also -EINVAL for an address inside a page, -EEXIST
 * when it was set before or user space has memory there, -ENOMEM.
 */
int kvm_set_tss_addr(struct kvm *kvm, gpa_t addr)
{
	int r = 0;

	mutex_lock(&kvm->slots_lock);
	if (kvm_be.real_mode_pages)
		r = make_slot(kvm, SLOT_TSS, addr, TSS_PAGES * PAGE_SIZE, fill_tss);
	if (!r) {
		kvm->arch.tss_addr = addr;
		kvm->arch.has_tss = kvm_be.real_mode_pages;
	}
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/**
 * kvm_alloc_identity_map() - a vCPU is created: have the page table
 * @kvm: the VM
 *
 * Return: 0; -EEXIST when user space has memory there, -EINVAL for an address inside a page
 * or above 4 GiB, -ENOMEM.
 */
int kvm_alloc_identity_map(struct kvm *kvm)
{
	int r = 0;

	mutex_lock(&kvm->slots_lock);
	if (!kvm->arch.has_identity_map) {
		if (!kvm->arch.identity_map_addr)
			kvm->arch.identity_map_addr = IDENTITY_MAP_DEFAULT;
		r = make_slot(kvm, SLOT_IDENTITY_MAP, kvm->arch.identity_map_addr, PAGE_SIZE,
			      fill_identity_map);
		kvm->arch.has_identity_map = !r;
	}
	mutex_unlock(&kvm->slots_lock);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_alloc_identity_map);

/**
 * kvm_free_private_slots() - give their memory back to a process that lives on
 * @kvm: a VM without users
 */
void kvm_free_private_slots(struct kvm *kvm)
{
	int id;

	if (current->mm != kvm->mm)
		return;
	mutex_lock(&kvm->slots_lock);
	for (id = 0; id < KVM_OOT_PRIVATE_SLOTS; id++)
		kvm_set_private_slot(kvm, id, 0, 0);
	mutex_unlock(&kvm->slots_lock);
}
