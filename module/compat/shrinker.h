/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shrinkers are allocated by the kernel since 6.7.
 */
#ifndef KVM_OOT_SHRINKER_H
#define KVM_OOT_SHRINKER_H

#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

typedef unsigned long (*kvm_shrinker_fn)(struct shrinker *shrinker,
					 struct shrink_control *sc);

/**
 * kvm_compat_shrinker() - have a new shrinker called
 * @name: what debugfs calls it
 * @count: its count_objects
 * @scan: its scan_objects
 *
 * Return: the shrinker, or NULL: no memory.
 */
static inline struct shrinker *kvm_compat_shrinker(const char *name, kvm_shrinker_fn count,
						   kvm_shrinker_fn scan)
{
	struct shrinker *s;

#if KERNEL_VERSION(6, 7, 0) > LINUX_VERSION_CODE
	s = kzalloc(sizeof(*s), GFP_KERNEL);
#else
	s = shrinker_alloc(0, "%s", name);
#endif
	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->seeks = DEFAULT_SEEKS;
#if KERNEL_VERSION(6, 7, 0) > LINUX_VERSION_CODE
	if (register_shrinker(s, "%s", name)) {
		kfree(s);
		return NULL;
	}
#else
	shrinker_register(s);
#endif
	return s;
}

/**
 * kvm_compat_shrinker_free() - it is not called any more
 * @s: from kvm_compat_shrinker()
 */
static inline void kvm_compat_shrinker_free(struct shrinker *s)
{
#if KERNEL_VERSION(6, 7, 0) > LINUX_VERSION_CODE
	unregister_shrinker(s);
	kfree(s);
#else
	shrinker_free(s);
#endif
}

#endif /* KVM_OOT_SHRINKER_H */
