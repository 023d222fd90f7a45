// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the memory manager gives back when the host is short of memory.
 *
 * The host takes a guest's pages by the MMU notifier. What it takes page by page leaves
 * nested tables behind that map nothing; they are freed here. Shadow pages are freed that
 * are the oldest, at any rate some of them: each can be made again from the guest's tables,
 * but that is dear, so they are told of as if there were fewer.
 *
 * It is called while memory is being allocated, maybe with locks held, so of locks that
 * are held while memory is allocated it takes none unless it is free.
 */
#include "arch/x86/mmu/internal.h"
#include "module/compat/shrinker.h"
#include "module/internal.h"

/* of so many shadow pages one is told of */
#define SHADOW_SHARE	8

static struct shrinker *shrinker;

static unsigned long freeable(struct kvm *kvm)
{
	struct kvm_mmu_vm *mmu = to_mmu_vm(kvm);

	if (!kvm_be.tdp)
		return shadow_nr_pages(kvm) / SHADOW_SHARE;
	/* at most: they may have been parts of tables, or mapped again since */
	return READ_ONCE(mmu->nr_unmapped) / TDP_ENTRIES;
}

static unsigned long shrink_count(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = 0;
	struct kvm *kvm;

	if (!mutex_trylock(&kvm_lock))
		return 0;
	list_for_each_entry(kvm, &kvm_vm_list, vm_list)
		n += freeable(kvm);
	mutex_unlock(&kvm_lock);
	return n ?: SHRINK_EMPTY;
}

static unsigned long shrink_scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = SHRINK_STOP;
	struct kvm *kvm;

	if (!mutex_trylock(&kvm_lock))
		return SHRINK_STOP;
	list_for_each_entry(kvm, &kvm_vm_list, vm_list) {
		if (!freeable(kvm))
			continue;
		if (kvm_be.tdp)
			n = tdp_free_empty(kvm, sc->nr_to_scan);
		else
			n = shadow_shrink(kvm, sc->nr_to_scan);
		/* the next time another one's */
		list_move_tail(&kvm->vm_list, &kvm_vm_list);
		break;
	}
	mutex_unlock(&kvm_lock);
	return n;
}

/**
 * kvm_mmu_shrink_init() - let the host ask for memory
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_mmu_shrink_init(void)
{
	shrinker = kvm_compat_shrinker("x86-mmu", shrink_count, shrink_scan);
	return shrinker ? 0 : -ENOMEM;
}

/**
 * kvm_mmu_shrink_exit() - it does not ask any more
 */
void kvm_mmu_shrink_exit(void)
{
	kvm_compat_shrinker_free(shrinker);
}
