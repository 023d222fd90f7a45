// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode, and the ways in and out of it. Some CPUs have no such mode for guests
 * (kvm_intel.unrestricted_guest=0 plays one): the guest and user space must not be able
 * to tell, so what is checked here is what a CPU does.
 *
 * The guest's code (payloads/rmode.S) says what it found with OUT to port 0x99.
 */
#include "rmode.h"
#include "st.h"

#define CODE_SEG	0x1000
#define CODE_GPA	(CODE_SEG << 4)
#define HIGH		0x300000	/* memory that only 32-bit addresses reach */

static void vector(struct vm *vm, unsigned int n, const char *handler)
{
	uint16_t *entry = vm_ptr(vm, n * 4);

	entry[0] = handler - rm_start;
	entry[1] = CODE_SEG;
}

static struct vcpu *real_guest(const char *code)
{
	struct vm *vm = vm_new(8 << 20, 0);
	struct kvm_regs r;
	struct vcpu *v;

	OK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul));
	memset(vm->mem, 0, vm->size);
	vm_load(vm, CODE_GPA, rm_start, rm_end - rm_start);
	vector(vm, 0, rm_on_de);
	vector(vm, 2, rm_on_nmi);
	vector(vm, 3, rm_on_bp);
	vector(vm, 6, rm_on_ud);
	vector(vm, 0x21, rm_on_int21);
	vector(vm, 0x30, rm_on_irq);
	v = vm_add_vcpu(vm, 0);
	vcpu_set_cpuid(v);
	vcpu_real_mode(v, CODE_SEG);
	vcpu_regs(v, &r);
	r.rip = code - rm_start;
	vcpu_set_regs(v, &r);
	return v;
}

static uint32_t said(struct vcpu *v)
{
	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, 0x99);
	CHECK_EQ(v->run->io.size, 4);
	return *(uint32_t *)((char *)v->run + v->run->io.data_offset);
}

#define SAYS(v, value)	CHECK_EQ(said(v), value)

static void same_segment(const char *name, const struct kvm_segment *a, const struct kvm_segment *b)
{
	if (memcmp(a, b, sizeof(*a)))
		st_fail(__FILE__, __LINE__,
			"%s: %04x base %llx limit %x type %x present %d dpl %d db %d s %d l %d g %d unusable %d",
			name, b->selector, b->base, b->limit, b->type, b->present, b->dpl, b->db,
			b->s, b->l, b->g, b->unusable);
}

/* User space sees what it set, but for the accessed bit, and DS as the guest loads it. */
static void flags(void)
{
	struct vcpu *v = real_guest(rm_flags);
	struct kvm_sregs was, is;
	struct kvm_regs r;

	OK(ioctl(v->fd, KVM_GET_SREGS, &was));
	SAYS(v, 0x2);
	SAYS(v, 0x7002);
	vcpu_regs(v, &r);
	CHECK_EQ(r.rflags, 0x7002);
	SAYS(v, 0x202);
	SAYS(v, 0x2);
	SAYS(v, 0x200002);
	SAYS(v, 0x40002);
	SAYS(v, was.cr0 & 0xffff);
	SAYS(v, was.cr0);
	SAYS(v, CODE_SEG);
	SAYS(v, 0x2345);
	OK(ioctl(v->fd, KVM_GET_SREGS, &is));
	/* real mode does not look at it, and an emulated CPU makes writable data of it */
	if (is.cs.type == 3)
		is.cs.type = was.cs.type;
	same_segment("cs", &was.cs, &is.cs);
	same_segment("es", &was.es, &is.es);
	same_segment("ss", &was.ss, &is.ss);
	same_segment("tr", &was.tr, &is.tr);
	same_segment("ldt", &was.ldt, &is.ldt);
	was.ds.selector = 0x2345;
	was.ds.base = 0x23450;
	same_segment("ds", &was.ds, &is.ds);
	CHECK_EQ(is.cr0, was.cr0);
	CHECK_EQ(is.cr3, was.cr3);
	CHECK_EQ(is.cr4, was.cr4);
	vcpu_expect_exit(v, KVM_EXIT_HLT);
}

static void vectors(void)
{
	struct vcpu *v = real_guest(rm_int);

	SAYS(v, 0x202);		/* what INT pushed: flags, CS */
	SAYS(v, CODE_SEG);
	SAYS(v, 0x2);		/* and IF is clear then */
	SAYS(v, 0x1235);
	SAYS(v, 0x202);
	SAYS(v, 0);		/* faults return to the instruction, the trap behind it */
	SAYS(v, 0);
	SAYS(v, 1);
	SAYS(v, 0x11);
	vcpu_expect_exit(v, KVM_EXIT_HLT);
}

static void interrupts(void)
{
	struct vcpu *v = real_guest(rm_wait);

	vcpu_expect_exit(v, KVM_EXIT_HLT);
	OK(ioctl(v->fd, KVM_INTERRUPT, &(struct kvm_interrupt){ 0x30 }));
	SAYS(v, 0x30);
	SAYS(v, 0x55);
	vcpu_expect_exit(v, KVM_EXIT_HLT);
	OK(ioctl(v->fd, KVM_NMI));
	SAYS(v, 0x02);
	SAYS(v, 0x56);
	vcpu_expect_exit(v, KVM_EXIT_HLT);
}

/* A segment that was given 4 GiB in protected mode keeps them. */
static void big_segments(void)
{
	struct vcpu *v = real_guest(rm_unreal);
	struct kvm_sregs s;

	SAYS(v, 0xcafe);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.ds.limit, 0xffffffff);
	CHECK_EQ(s.ds.base, 0);
	CHECK_EQ(s.cr0 & 1, 0);
	SAYS(v, 0xcafe);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.ds.limit, 0xffffffff);
	CHECK_EQ(s.ds.base, 0x20000);
	CHECK_EQ(s.ds.selector, 0x2000);
	SAYS(v, 0x2);
	SAYS(v, CODE_SEG);
	SAYS(v, 0x2);
	SAYS(v, 0x12);
	CHECK_EQ(*(uint32_t *)vm_ptr(v->vm, HIGH), 0xcafe);
	vcpu_expect_exit(v, KVM_EXIT_HLT);
}

static void protected_and_back(void)
{
	struct vcpu *v = real_guest(rm_prot);
	struct kvm_sregs was, is;

	OK(ioctl(v->fd, KVM_GET_SREGS, &was));
	SAYS(v, was.cr0 | 1);
	OK(ioctl(v->fd, KVM_GET_SREGS, &is));
	CHECK_EQ(is.cs.db, 1);
	CHECK_EQ(is.ss.limit, 0xffffffff);
	CHECK_EQ(is.cr3, was.cr3);
	SAYS(v, 0x123000);
	SAYS(v, was.cr4 | 0x20);
	SAYS(v, 0xbeef);
	SAYS(v, 0x2);
	SAYS(v, 0x123000);
	OK(ioctl(v->fd, KVM_GET_SREGS, &is));
	CHECK_EQ(is.cr3, 0x123000);
	CHECK_EQ(is.cr0, was.cr0);
	CHECK_EQ(is.ss.limit, 0xffff);
	SAYS(v, 0x2);
	SAYS(v, CODE_SEG);
	SAYS(v, 0x2);
	SAYS(v, 0x13);
	CHECK_EQ(*(uint32_t *)vm_ptr(v->vm, HIGH + 4), 0xbeef);
	vcpu_expect_exit(v, KVM_EXIT_HLT);
}

/* A task-state segment that nobody asked for: not where memory is, not twice. */
static void addresses(void)
{
	bool needed = st_param_is("kvm_intel", "unrestricted_guest", 'N');
	uint64_t identity = 0xfeffc000, in_the_way = 0x1000;
	struct vm *vm = vm_new(1 << 20, 0);

	if (!needed)
		st_skip("only remembered with a CPU that has real mode for guests");
	FAILS(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0x1000ul), EEXIST);
	FAILS(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd123ul), EINVAL);
	OK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul));
	FAILS(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffc0000ul), EEXIST);
	OK(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &in_the_way));
	/* shadow tables stand for an identity map */
	if (st_shadow_paging())
		return;
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 0ul), EEXIST);
	OK(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	vm_add_vcpu(vm, 0);
	FAILS(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity), EINVAL);
}

static const struct st_test tests[] = {
	{ "flags", flags },
	{ "vectors", vectors },
	{ "interrupts", interrupts },
	{ "big_segments", big_segments },
	{ "protected_and_back", protected_and_back },
	{ "addresses", addresses },
	{}
};

ST_MAIN("rmode", tests)
