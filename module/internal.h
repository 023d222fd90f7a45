/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What main.c, vm.c, vcpu.c and stats.c share, and nobody else needs.
 */
#ifndef KVM_OOT_INTERNAL_H
#define KVM_OOT_INTERNAL_H

#include "module/kvm_host.h"

struct module;

/* main.c */
extern struct mutex kvm_lock;		/* guards kvm_vm_list */
extern struct list_head kvm_vm_list;
extern unsigned int halt_poll_ns;
extern unsigned int halt_poll_ns_grow;
extern unsigned int halt_poll_ns_grow_start;
extern unsigned int halt_poll_ns_shrink;

int kvm_hardware_get(void);
void kvm_hardware_put(void);
long kvm_check_extension(struct kvm *kvm, long ext);
struct file *kvm_make_file(const char *name, const struct file_operations *fops,
			   void *priv, int flags, fmode_t mode);

/* vm.c */
long kvm_create_vm_fd(unsigned long type);
void kvm_vm_set_owner(struct module *owner);

/* vcpu.c */
int kvm_vcpu_module_init(void);
void kvm_vcpu_module_exit(void);
void kvm_vcpu_set_owner(struct module *owner);
long kvm_create_vcpu_fd(struct kvm *kvm, unsigned long id);
void kvm_destroy_vcpus(struct kvm *kvm);

/* guest_memfd.c */
u64 kvm_gmem_flags(struct kvm *kvm);
void kvm_gmem_set_owner(struct module *owner);

/* device.c */
long kvm_create_device(struct kvm *kvm, struct kvm_create_device __user *user);
void kvm_device_set_owner(struct module *owner);

/* stats.c */
void kvm_stats_set_owner(struct module *owner);

#endif /* KVM_OOT_INTERNAL_H */
