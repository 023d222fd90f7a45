/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM that only the interrupt controllers know of; see vm_mock.c. */
#ifndef KVM_OOT_KUNIT_VM_MOCK_H
#define KVM_OOT_KUNIT_VM_MOCK_H

#include <kunit/test.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/ioapic.h"
#include "arch/x86/irq/irq.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/irq/msi.h"
#include "arch/x86/irq/pic.h"

#define MOCK_VCPUS	4

/**
 * struct vm_mock - the VM
 * @kvm: of it, what interrupt controllers, buses and routes use
 * @vcpu: its vCPUs
 * @cpuid: CPUID of each, with x2APIC and the deadline timer
 */
struct vm_mock {
	struct kvm kvm;
	struct kvm_vcpu *vcpu[MOCK_VCPUS];
	struct kvm_cpuid_entry2 cpuid[MOCK_VCPUS];
};

int vm_mock_create(struct kunit *test, enum kvm_irqchip_mode mode, const u32 *ids);
void vm_mock_destroy(struct kunit *test);
void vm_mock_requests_done(struct vm_mock *vm);

#endif /* KVM_OOT_KUNIT_VM_MOCK_H */
