// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of exits that no emulated CPU has: bus locks and notify exits, from the
 * capability that asks for them to what user space is told.
 */
#include <kunit/test.h>

#include "arch/x86/run.h"
#include "tests/kunit/suites.h"
#include "tests/kunit/vm_mock.h"

struct exits_mock {
	struct vm_mock *vm;
	struct kvm_vcpu *vcpu;
	struct kvm_run *run;
	bool had_bus_lock, had_notify;
};

static int enable(struct kvm *kvm, u32 which, u64 arg)
{
	struct kvm_enable_cap cap = { .cap = which, .args = { arg } };

	return kvm_arch_vm_enable_cap(kvm, &cap);
}

/* The mock VM, of a CPU that has both or none. */
static struct exits_mock make(struct kunit *test, bool has)
{
	struct exits_mock m = { .vm = test->priv };

	m.vcpu = m.vm->vcpu[0];
	m.run = kunit_kzalloc(test, sizeof(*m.run), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.run);
	m.vcpu->run = m.run;
	m.had_bus_lock = kvm_be.has_bus_lock_exit;
	m.had_notify = kvm_be.has_notify_exit;
	kvm_be.has_bus_lock_exit = has;
	kvm_be.has_notify_exit = has;
	return m;
}

static void unmake(struct exits_mock *m)
{
	kvm_be.has_bus_lock_exit = m->had_bus_lock;
	kvm_be.has_notify_exit = m->had_notify;
}

static void bus_lock_cap(struct kunit *test)
{
	const u64 off = KVM_BUS_LOCK_DETECTION_OFF, on = KVM_BUS_LOCK_DETECTION_EXIT;
	struct exits_mock m = make(test, true);
	struct kvm *kvm = &m.vm->kvm;

	KUNIT_EXPECT_EQ(test, kvm_arch_dev_check_extension(kvm, KVM_CAP_X86_BUS_LOCK_EXIT), 3);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_BUS_LOCK_EXIT, off | on), -EINVAL);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_BUS_LOCK_EXIT, 4), -EINVAL);
	KUNIT_EXPECT_FALSE(test, kvm->arch.bus_lock_exit);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_BUS_LOCK_EXIT, on), 0);
	KUNIT_EXPECT_TRUE(test, kvm->arch.bus_lock_exit);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_BUS_LOCK_EXIT, off), 0);
	KUNIT_EXPECT_FALSE(test, kvm->arch.bus_lock_exit);

	kvm_be.has_bus_lock_exit = false;
	KUNIT_EXPECT_EQ(test, kvm_arch_dev_check_extension(kvm, KVM_CAP_X86_BUS_LOCK_EXIT), 0);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_BUS_LOCK_EXIT, on), -EINVAL);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_BUS_LOCK_EXIT, off), 0);
	KUNIT_EXPECT_FALSE(test, kvm->arch.bus_lock_exit);
	unmake(&m);
}

static void bus_lock_exit(struct kunit *test)
{
	struct exits_mock m = make(test, true);
	struct kvm_exit exit = { .kind = KVM_XK_HANDLED };

	KUNIT_EXPECT_GT(test, kvm_handle_exit(m.vcpu, &exit), 0);
	KUNIT_EXPECT_FALSE(test, m.vcpu->arch.bus_locked);

	/* by itself, or beside what needs nothing of user space's */
	exit.bus_lock = true;
	KUNIT_EXPECT_EQ(test, kvm_handle_exit(m.vcpu, &exit), 0);
	KUNIT_EXPECT_EQ(test, m.run->exit_reason, KVM_EXIT_X86_BUS_LOCK);
	KUNIT_EXPECT_TRUE(test, m.vcpu->arch.bus_locked);

	/* beside another exit to user space, which keeps its reason */
	m.vcpu->arch.bus_locked = false;
	exit.kind = KVM_XK_FAIL_ENTRY;
	KUNIT_EXPECT_EQ(test, kvm_handle_exit(m.vcpu, &exit), 0);
	KUNIT_EXPECT_EQ(test, m.run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	KUNIT_EXPECT_TRUE(test, m.vcpu->arch.bus_locked);

	/* what is handled in a hurry is not, with it */
	exit = (struct kvm_exit) { .kind = KVM_XK_CPUID, .insn_len = 2, .bus_lock = true };
	KUNIT_EXPECT_FALSE(test, kvm_exit_fastpath(m.vcpu, &exit));
	unmake(&m);
}

static void notify_cap(struct kunit *test)
{
	const u64 on = KVM_X86_NOTIFY_VMEXIT_ENABLED, user = KVM_X86_NOTIFY_VMEXIT_USER;
	struct exits_mock m = make(test, true);
	struct kvm *kvm = &m.vm->kvm;

	KUNIT_EXPECT_EQ(test, kvm_arch_dev_check_extension(kvm, KVM_CAP_X86_NOTIFY_VMEXIT), 1);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_NOTIFY_VMEXIT, user), -EINVAL);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_NOTIFY_VMEXIT, on | 4), -EINVAL);
	KUNIT_EXPECT_EQ(test, kvm->arch.notify_flags, 0);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_NOTIFY_VMEXIT, 0x12345678ull << 32 | on), 0);
	KUNIT_EXPECT_EQ(test, kvm->arch.notify_flags, on);
	KUNIT_EXPECT_EQ(test, kvm->arch.notify_window, 0x12345678);
	kvm->created_vcpus = 1;
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_NOTIFY_VMEXIT, on), -EINVAL);
	KUNIT_EXPECT_EQ(test, kvm->arch.notify_window, 0x12345678);
	kvm->created_vcpus = 0;

	kvm_be.has_notify_exit = false;
	KUNIT_EXPECT_EQ(test, kvm_arch_dev_check_extension(kvm, KVM_CAP_X86_NOTIFY_VMEXIT), 0);
	KUNIT_EXPECT_EQ(test, enable(kvm, KVM_CAP_X86_NOTIFY_VMEXIT, on), -EINVAL);
	unmake(&m);
}

static void notify_exit(struct kunit *test)
{
	struct exits_mock m = make(test, true);
	struct kvm_exit exit = { .kind = KVM_XK_NOTIFY };
	u32 *flags = &m.vm->kvm.arch.notify_flags;

	*flags = KVM_X86_NOTIFY_VMEXIT_ENABLED;
	KUNIT_EXPECT_GT(test, kvm_handle_exit(m.vcpu, &exit), 0);
	KUNIT_EXPECT_EQ(test, m.vcpu->stat.notify_window_exits, 1);

	*flags |= KVM_X86_NOTIFY_VMEXIT_USER;
	KUNIT_EXPECT_EQ(test, kvm_handle_exit(m.vcpu, &exit), 0);
	KUNIT_EXPECT_EQ(test, m.run->exit_reason, KVM_EXIT_NOTIFY);
	KUNIT_EXPECT_EQ(test, m.run->notify.flags, 0);

	/* lost: user space hears of it, wanted or not */
	*flags = KVM_X86_NOTIFY_VMEXIT_ENABLED;
	m.run->exit_reason = 0;
	exit.notify.context_invalid = true;
	KUNIT_EXPECT_EQ(test, kvm_handle_exit(m.vcpu, &exit), 0);
	KUNIT_EXPECT_EQ(test, m.run->exit_reason, KVM_EXIT_NOTIFY);
	KUNIT_EXPECT_EQ(test, m.run->notify.flags, KVM_NOTIFY_CONTEXT_INVALID);
	unmake(&m);
}

static int exits_init(struct kunit *test)
{
	return vm_mock_create(test, KVM_IRQCHIP_KERNEL, NULL);
}

static struct kunit_case exits_cases[] = {
	KUNIT_CASE(bus_lock_cap),
	KUNIT_CASE(bus_lock_exit),
	KUNIT_CASE(notify_cap),
	KUNIT_CASE(notify_exit),
	{}
};

struct kunit_suite kvm_exits_suite = {
	.name = "kvm-exits",
	.init = exits_init,
	.exit = vm_mock_destroy,
	.test_cases = exits_cases,
};
