/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory manager as the rest of the x86 code sees it. Everything behind it
 * is private to arch/x86/mmu (mmu_internal.h).
 */
#ifndef KVM_OOT_MMU_H
#define KVM_OOT_MMU_H

#include "module/kvm_host.h"

#define KVM_INVALID_GPA	(~(gpa_t)0)
#define KVM_NO_APIC_PAGE	(~(gfn_t)0)

struct kvm_fault;
struct kvm_exit;

/**
 * kvm_shadow_cr4() - CR4 that a guest runs with when shadow tables are walked
 * @cr0: the guest's CR0
 * @cr4: the guest's CR4
 *
 * The tables have PAE's form, or long mode's; they are not tagged; and without paging they
 * are a user's, while the guest is not.
 */
static inline unsigned long kvm_shadow_cr4(unsigned long cr0, unsigned long cr4)
{
	cr4 = (cr4 | X86_CR4_PAE) & ~X86_CR4_PCIDE;
	if (!(cr0 & X86_CR0_PG))
		cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57);
	return cr4;
}

/* module and backend set-up */
int kvm_mmu_module_init(void);
void kvm_mmu_module_exit(void);

/**
 * struct kvm_tdp_format - where the two vendors' nested entries differ
 * @accessed: bit that the CPU sets when it uses an entry; 0: it sets none
 * @dirty: bit that it sets when it writes through a leaf; 0: it sets none
 * @ram: bits of every leaf that maps memory
 * @ignore_pat: bits with which memory is cached as @ram says, whatever the guest's PAT says;
 *	0: there are none such, the PAT always counts
 * @io: bits of every leaf that maps what is not memory
 * @cpu_logs_dirty: the backend marks pages dirty that the CPU sets @dirty of, as long as
 *	kvm->arch.nr_logged_slots is not 0; how many at once at most, 0: it does not
 * @exec: bits that a leaf must have to be executed from
 * @noexec: bits that it must have not to be
 * @doorbell: an entry that is not present, and at which every access exits with the length
 *	of its instruction; 0: there is none such
 */
struct kvm_tdp_format {
	u64 accessed;
	u64 dirty;
	u64 ram;
	u64 ignore_pat;
	u64 io;
	u32 cpu_logs_dirty;
	u64 exec;
	u64 noexec;
	u64 doorbell;
};

/**
 * kvm_mmu_configure() - tell the MMU what the backend's hardware walks
 * @tdp: nested paging is on; else shadow paging is
 * @root_levels: levels of the nested table (4 or 5)
 * @max_level: largest page: 1 4 KiB, 2 2 MiB, 3 1 GiB
 * @format: of nested entries; copied; NULL with shadow paging
 * Return: 0 or -EOPNOTSUPP: the CPU has not what shadow paging needs
 */
int kvm_mmu_configure(bool tdp, int root_levels, int max_level,
		      const struct kvm_tdp_format *format);

int kvm_mmu_vm_init(struct kvm *kvm);
void kvm_mmu_vm_pre_destroy(struct kvm *kvm);
void kvm_mmu_vm_destroy(struct kvm *kvm);
int kvm_mmu_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_mmu_vcpu_destroy(struct kvm_vcpu *vcpu);

/* after a change of CR0/CR4/EFER/CPUID that alters how the guest pages */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu);
/* make sure the vCPU has a valid root and the backend has it; 0 or -errno */
int kvm_mmu_load(struct kvm_vcpu *vcpu);
void kvm_mmu_unload(struct kvm_vcpu *vcpu);
void kvm_mmu_new_cr3(struct kvm_vcpu *vcpu, unsigned long cr3);
void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva);

enum kvm_pf_result {
	KVM_PF_RETRY,	/* mapped, or raced: re-enter */
	KVM_PF_MMIO,	/* nothing is there */
	KVM_PF_EMULATE,	/* a write to read-only memory */
	KVM_PF_TABLE,	/* shadow paging: a write to a table of the guest's */
	KVM_PF_GUEST,	/* likewise: the guest's tables do not allow it */
};

/**
 * kvm_mmu_tdp_fault() - handle a nested page fault
 * @vcpu: the vCPU
 * @gpa: faulting guest physical address
 * @error_code: PFERR_*
 *
 * Return: enum kvm_pf_result, or -errno (-EFAULT: no host memory there; user space is told)
 */
int kvm_mmu_tdp_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code);
bool kvm_mmu_is_mmio(struct kvm_vcpu *vcpu, gpa_t gpa);
void kvm_mmu_mark_doorbell(struct kvm_vcpu *vcpu, gpa_t gpa);

int kvm_mmu_shadow_fault(struct kvm_vcpu *vcpu, gva_t gva, u64 error_code, gpa_t *gpa,
			 struct kvm_fault *fault);
/* memory was written on the guest's behalf */
void kvm_mmu_guest_wrote(struct kvm *kvm, gpa_t gpa, unsigned int len);
bool kvm_mmu_unprotect(struct kvm *kvm, gfn_t gfn);
/* the guest flushes its TLB: before the backend does */
void kvm_mmu_flush_guest(struct kvm_vcpu *vcpu);

/**
 * kvm_mmu_gva_to_gpa() - walk the guest's page tables in its current mode
 * @vcpu: the vCPU
 * @gva: linear address
 * @access: PFERR_WRITE, PFERR_USER, PFERR_FETCH as wanted; CPL is the caller's
 *	business (pass PFERR_USER for CPL 3 accesses)
 * @fault: filled with the #PF on failure; may be NULL
 *
 * Return: the guest physical address, or KVM_INVALID_GPA
 */
gpa_t kvm_mmu_gva_to_gpa(struct kvm_vcpu *vcpu, gva_t gva, u64 access,
			 struct kvm_fault *fault);
/* PDPTEs of PAE paging, loaded at MOV CR3/CR0/CR4: false when a reserved bit is set */
bool kvm_mmu_load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3);
/* KVM_CAP_VM_DISABLE_NX_HUGE_PAGES */
int kvm_mmu_disable_nx_huge_pages(struct kvm *kvm, u64 arg);
/* what decides on memory types has changed: nothing that was mapped before stays */
void kvm_mmu_memory_types_changed(struct kvm *kvm);
/* the guest has written its PAT */
void kvm_mmu_pat_changed(struct kvm_vcpu *vcpu);
/* have kvm->arch.apic_page where there is no memory at @gfn, and nowhere else */
void kvm_mmu_place_apic_page(struct kvm *kvm, gfn_t gfn);
/* KVM_SET_NR_MMU_PAGES, KVM_GET_NR_MMU_PAGES */
long kvm_mmu_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg);

#endif /* KVM_OOT_MMU_H */
