/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules for control registers, as pure functions; see regs.c. */
#ifndef KVM_OOT_REGS_H
#define KVM_OOT_REGS_H

#include <linux/types.h>

bool kvm_cr0_valid(unsigned long cr0);
bool kvm_xcr0_valid(u64 xcr0, u64 supported);
u64 kvm_efer_bits(bool (*has)(void *ctx, unsigned int feature), void *ctx);

#endif /* KVM_OOT_REGS_H */
