/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules for memory type registers, as pure functions; see msr.c. */
#ifndef KVM_OOT_MSR_H
#define KVM_OOT_MSR_H

#include <linux/types.h>

bool kvm_types_valid(u64 value, bool pat);
bool kvm_mtrr_valid(u32 index, u64 value, u64 reserved_gpa_bits);

#endif /* KVM_OOT_MSR_H */
