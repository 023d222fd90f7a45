// SPDX-License-Identifier: GPL-2.0-only
/* kvm-kunit.ko: the unit tests of kvm.ko's pure parts; runs them when loaded. */
#include <linux/module.h>

#include "tests/kunit/suites.h"

kunit_test_suites(&kvm_pic_suite, &kvm_pit_suite, &kvm_slot_suite,
		  &kvm_regs_suite, &kvm_msr_suite, &kvm_walk_suite,
		  &kvm_decode_suite, &kvm_emul_alu_suite, &kvm_emul_exec_suite,
		  &kvm_lapic_suite, &kvm_ioapic_suite, &kvm_route_suite,
		  &kvm_iobus_suite, &kvm_cpuid_suite, &kvm_vmx_suite, &kvm_exits_suite,
		  &kvm_dma_suite, &kvm_pmu_suite);

MODULE_DESCRIPTION("Unit tests of kvm-oot");
MODULE_LICENSE("GPL");
