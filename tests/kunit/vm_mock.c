// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that only the interrupt controllers know of: no file descriptors, no memory, no
 * threads; vCPUs that never run. It is made for a test case and taken down after it, so
 * that the leak checker sees what the controllers left behind.
 */
#include "tests/kunit/vm_mock.h"

static struct kvm_vcpu *add_vcpu(struct kunit *test, struct vm_mock *vm, int i, u32 id)
{
	struct kvm_vcpu *vcpu = kunit_kzalloc(test, sizeof(*vcpu), GFP_KERNEL);
	struct kvm_cpuid_entry2 *e = &vm->cpuid[i];

	if (!vcpu)
		return NULL;
	vcpu->kvm = &vm->kvm;
	vcpu->vcpu_id = id;
	vcpu->vcpu_idx = i;
	vcpu->cpu = -1;
	rcuwait_init(&vcpu->wait);
	vcpu->arch.regs_avail = ~0u;
	vcpu->arch.pending_external_vector = -1;
	e->function = 1;
	e->ecx = BIT(X86_FEATURE_X2APIC & 31) | BIT(X86_FEATURE_TSC_DEADLINE_TIMER & 31);
	vcpu->arch.cpuid.entries = e;
	vcpu->arch.cpuid.nent = 1;
	vcpu->arch.cpuid.reserved_gpa_bits = GENMASK_ULL(63, 40);
	if (kvm_lapic_create(vcpu))
		return NULL;
	if (xa_err(xa_store(&vm->kvm.vcpu_array, i, vcpu, GFP_KERNEL))) {
		kvm_lapic_free(vcpu);
		return NULL;
	}
	atomic_inc(&vm->kvm.online_vcpus);
	kvm_lapic_reset(vcpu, false);
	return vcpu;
}

/**
 * vm_mock_create() - make the VM of a test case, its priv
 * @test: the test
 * @mode: which controllers are in the kernel
 * @ids: ids of the vCPUs, MOCK_VCPUS of them; NULL: 0 to 3
 *
 * Return: 0, or -ENOMEM.
 */
int vm_mock_create(struct kunit *test, enum kvm_irqchip_mode mode, const u32 *ids)
{
	struct vm_mock *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	struct kvm *kvm;
	int i, r;

	if (!vm)
		return -ENOMEM;
	kvm = &vm->kvm;
	rwlock_init(&kvm->mmu_lock);
	mutex_init(&kvm->lock);
	mutex_init(&kvm->slots_lock);
	mutex_init(&kvm->irq_lock);
	mutex_init(&kvm->arch.apic_map_lock);
	refcount_set(&kvm->users, 1);
	xa_init(&kvm->vcpu_array);
	INIT_HLIST_HEAD(&kvm->irq_ack_notifiers);
	kvm_eventfd_init(kvm);
	kvm_io_bus_init(kvm);
	r = init_srcu_struct(&kvm->srcu);
	if (r)
		return r;
	r = init_srcu_struct(&kvm->irq_srcu);
	if (r) {
		cleanup_srcu_struct(&kvm->srcu);
		return r;
	}
	test->priv = vm;

	if (mode == KVM_IRQCHIP_KERNEL) {
		mutex_lock(&kvm->slots_lock);
		r = kvm_pic_create(kvm);
		if (!r)
			r = kvm_ioapic_create(kvm);
		mutex_unlock(&kvm->slots_lock);
		if (r)
			return r;
	}
	kvm->arch.irqchip_mode = mode;
	kvm->arch.apic_bus_cycle_ns = KVM_LAPIC_BUS_CYCLE_NS;
	for (i = 0; i < MOCK_VCPUS; i++) {
		vm->vcpu[i] = add_vcpu(test, vm, i, ids ? ids[i] : i);
		if (!vm->vcpu[i])
			return -ENOMEM;
	}
	vm_mock_requests_done(vm);
	return 0;
}

/**
 * vm_mock_destroy() - take it down
 * @test: the test
 */
void vm_mock_destroy(struct kunit *test)
{
	struct vm_mock *vm = test->priv;
	struct kvm *kvm;
	int i;

	if (!vm)
		return;
	kvm = &vm->kvm;
	for (i = 0; i < MOCK_VCPUS; i++)
		if (vm->vcpu[i])
			kvm_lapic_free(vm->vcpu[i]);
	xa_destroy(&kvm->vcpu_array);
	kvm_lapic_map_free(kvm);
	mutex_lock(&kvm->slots_lock);
	kvm_ioapic_destroy(kvm);
	kvm_pic_destroy(kvm);
	mutex_unlock(&kvm->slots_lock);
	refcount_set(&kvm->users, 0);
	kvm_free_irq_routing(kvm);
	/* old copies of the buses are freed by callbacks */
	srcu_barrier(&kvm->srcu);
	kvm_io_bus_destroy(kvm);
	cleanup_srcu_struct(&kvm->irq_srcu);
	cleanup_srcu_struct(&kvm->srcu);
	test->priv = NULL;
}

/**
 * vm_mock_requests_done() - forget what was asked of the vCPUs
 * @vm: the VM
 */
void vm_mock_requests_done(struct vm_mock *vm)
{
	int i;

	for (i = 0; i < MOCK_VCPUS; i++)
		vm->vcpu[i]->requests = 0;
}
