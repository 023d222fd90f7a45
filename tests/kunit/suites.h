/* SPDX-License-Identifier: GPL-2.0-only */
/* The suites that main.c hands to KUnit. */
#ifndef KVM_OOT_KUNIT_SUITES_H
#define KVM_OOT_KUNIT_SUITES_H

#include <kunit/test.h>

extern struct kunit_suite kvm_pic_suite;
extern struct kunit_suite kvm_pit_suite;
extern struct kunit_suite kvm_slot_suite;
extern struct kunit_suite kvm_regs_suite;
extern struct kunit_suite kvm_msr_suite;
extern struct kunit_suite kvm_walk_suite;
extern struct kunit_suite kvm_decode_suite;
extern struct kunit_suite kvm_emul_alu_suite;
extern struct kunit_suite kvm_emul_exec_suite;
extern struct kunit_suite kvm_lapic_suite;
extern struct kunit_suite kvm_ioapic_suite;
extern struct kunit_suite kvm_route_suite;
extern struct kunit_suite kvm_iobus_suite;
extern struct kunit_suite kvm_cpuid_suite;
extern struct kunit_suite kvm_vmx_suite;
extern struct kunit_suite kvm_exits_suite;
extern struct kunit_suite kvm_dma_suite;
extern struct kunit_suite kvm_pmu_suite;

#endif /* KVM_OOT_KUNIT_SUITES_H */
