/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA that may go past the caches, see dma.c.
 */
#ifndef KVM_OOT_DMA_H
#define KVM_OOT_DMA_H

#include "module/kvm_host.h"

void kvm_dma_module_init(void);
void kvm_dma_module_exit(void);
int kvm_dma_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_dma_vcpu_free(struct kvm_vcpu *vcpu);
void kvm_dma_vcpu_load(struct kvm_vcpu *vcpu, int cpu);
void kvm_wbinvd(struct kvm_vcpu *vcpu);

#ifdef KVM_OOT_DEBUG
/* for tests: CPUs that have written their caches back; entries with the guest's memory type */
extern atomic_t kvm_dma_written_back;
extern atomic_t kvm_dma_guest_types;

static inline void kvm_dma_note_guest_type(void)
{
	atomic_inc(&kvm_dma_guest_types);
}
#else
static inline void kvm_dma_note_guest_type(void)
{
}
#endif

static inline bool kvm_has_noncoherent_dma(struct kvm *kvm)
{
	return READ_ONCE(kvm->arch.noncoherent_dma);
}

#endif /* KVM_OOT_DMA_H */
