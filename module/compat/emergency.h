/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Being told, on each CPU, that the host crashes or reboots in an emergency:
 * with SVM on and GIF clear, or VMX on, a CPU would not take INIT.
 */
#ifndef KVM_OOT_EMERGENCY_H
#define KVM_OOT_EMERGENCY_H

#include <linux/version.h>
#include <asm/reboot.h>

#if KERNEL_VERSION(7, 1, 0) > LINUX_VERSION_CODE
#define kvm_emergency_register		cpu_emergency_register_virt_callback
#define kvm_emergency_unregister	cpu_emergency_unregister_virt_callback
#else
#include <asm/virt.h>
#define kvm_emergency_register		x86_virt_register_emergency_callback
#define kvm_emergency_unregister	x86_virt_unregister_emergency_callback
#endif

#endif /* KVM_OOT_EMERGENCY_H */
