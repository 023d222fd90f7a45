// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every ioctl with wrong pointers, sizes, counts, ids, order and state. Two things
 * are asked of each: the errno of the ABI documentation (where it is silent, that
 * of the kernel's own module), and that a refused call has changed nothing, which
 * is told by reading all of the state before and after.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "basic.h"
#include "st.h"

#define PAGE		4096ul
#define VM_PIT		4	/* of make() */
#define GSIS		4096
#define MAX_VCPU_IDS	4096
#define SREGS2_BAD_FLAG	2

#ifndef KVM_SET_USER_MEMORY_REGION2
struct kvm_userspace_memory_region2 {
	__u32 slot, flags;
	__u64 guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
	__u32 guest_memfd, pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif

/* ---- state ------------------------------------------------------------------- */

static const uint32_t msrs_seen[] = {
	0x1b, 0x174, 0x175, 0x176, 0x277, 0x17a, 0x2ff, 0x200, 0x201, 0xc0000080,
	0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
	0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04, 0x1a0, 0x179,
};

#define NR_MSRS		ARRAY_SIZE(msrs_seen)
#define NR_CPUID	256

struct msrs {
	struct kvm_msrs m;
	struct kvm_msr_entry e[300];
};

struct cpuids {
	struct kvm_cpuid2 c;
	struct kvm_cpuid_entry2 e[NR_CPUID];
};

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct kvm_lapic_state lapic;
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
	struct cpuids cpuid;
	uint64_t msrs[NR_MSRS];
	uint64_t tsc_khz, vm_tsc_khz;
};

static void read_state(struct vcpu *v, struct state *s)
{
	int vm = v->vm->fd, i;

	memset(s, 0, sizeof(*s));
	OK(ioctl(v->fd, KVM_GET_REGS, &s->regs));
	OK(ioctl(v->fd, KVM_GET_SREGS, &s->sregs));
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &s->events));
	OK(ioctl(v->fd, KVM_GET_MP_STATE, &s->mp));
	OK(ioctl(v->fd, KVM_GET_DEBUGREGS, &s->debug));
	OK(ioctl(v->fd, KVM_GET_XCRS, &s->xcrs));
	OK(ioctl(v->fd, KVM_GET_FPU, &s->fpu));
	OK(ioctl(v->fd, KVM_GET_XSAVE, &s->xsave));
	ioctl(v->fd, KVM_GET_LAPIC, &s->lapic);
	for (i = 0; i < 3; i++) {
		s->chips[i].chip_id = i;
		ioctl(vm, KVM_GET_IRQCHIP, &s->chips[i]);
	}
	ioctl(vm, KVM_GET_PIT2, &s->pit);
	/* a count that its gate holds is as if loaded later and later */
	if (!s->pit.channels[2].gate)
		s->pit.channels[2].count_load_time = 0;
	s->cpuid.c.nent = NR_CPUID;
	OK(ioctl(v->fd, KVM_GET_CPUID2, &s->cpuid));
	for (i = 0; i < NR_MSRS; i++)
		s->msrs[i] = vcpu_get_msr(v, msrs_seen[i]);
	s->tsc_khz = OK(ioctl(v->fd, KVM_GET_TSC_KHZ));
	s->vm_tsc_khz = ioctl(vm, KVM_GET_TSC_KHZ);
}

static void same(const char *what, const void *a, const void *b, size_t size)
{
	if (memcmp(a, b, size))
		st_fail(__FILE__, __LINE__, "%s changed", what);
}

static void same_state(const struct state *a, const struct state *b)
{
	same("regs", &a->regs, &b->regs, sizeof(a->regs));
	same("sregs", &a->sregs, &b->sregs, sizeof(a->sregs));
	same("events", &a->events, &b->events, sizeof(a->events));
	same("mp", &a->mp, &b->mp, sizeof(a->mp));
	same("debug", &a->debug, &b->debug, sizeof(a->debug));
	same("xcrs", &a->xcrs, &b->xcrs, sizeof(a->xcrs));
	same("fpu", &a->fpu, &b->fpu, sizeof(a->fpu));
	same("xsave", &a->xsave, &b->xsave, sizeof(a->xsave));
	same("lapic", &a->lapic, &b->lapic, sizeof(a->lapic));
	same("chips", &a->chips, &b->chips, sizeof(a->chips));
	same("pit", &a->pit, &b->pit, sizeof(a->pit));
	same("cpuid", &a->cpuid, &b->cpuid, sizeof(a->cpuid));
	same("msrs", &a->msrs, &b->msrs, sizeof(a->msrs));
	same("tsc_khz", &a->tsc_khz, &b->tsc_khz, sizeof(a->tsc_khz));
	same("vm_tsc_khz", &a->vm_tsc_khz, &b->vm_tsc_khz, sizeof(a->vm_tsc_khz));
}

static struct state before, after;

static void unchanged_since(struct vcpu *v)
{
	read_state(v, &after);
	same_state(&before, &after);
}

static struct vcpu *make(unsigned int flags)
{
	struct vm *vm = vm_new(4 << 20, flags & (VM_IRQCHIP | VM_SPLIT));
	struct kvm_pit_config pit = {};
	struct vcpu *v;

	if (flags & VM_PIT)
		OK(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, basic);
	vcpu_start(v, BASIC_SPIN, 0, 0);
	return v;
}

/* ---- pointers ---------------------------------------------------------------- */

#define IN	1	/* the structure is read */
#define OUT	2	/* the structure is written */

struct call {
	const char *name;
	unsigned long request;
	size_t size;		/* that must be there in any case */
	int dir;
	int or_else;		/* another error that there may be instead */
};

#define C(x, type, dir)	{ #x, x, sizeof(struct type), dir, 0 }

static const struct call dev_calls[] = {
	C(KVM_GET_MSR_INDEX_LIST, kvm_msr_list, IN | OUT),
	C(KVM_GET_MSR_FEATURE_INDEX_LIST, kvm_msr_list, IN | OUT),
	C(KVM_GET_SUPPORTED_CPUID, kvm_cpuid2, IN | OUT),
	C(KVM_GET_EMULATED_CPUID, kvm_cpuid2, IN | OUT),
	C(KVM_GET_MSRS, kvm_msrs, IN),
	{ "KVM_X86_GET_MCE_CAP_SUPPORTED", KVM_X86_GET_MCE_CAP_SUPPORTED, 8, OUT },
	C(KVM_GET_DEVICE_ATTR, kvm_device_attr, IN),
	C(KVM_HAS_DEVICE_ATTR, kvm_device_attr, IN),
	{}
};

static const struct call vm_calls[] = {
	C(KVM_GET_DIRTY_LOG, kvm_dirty_log, IN),
	C(KVM_CLEAR_DIRTY_LOG, kvm_clear_dirty_log, IN),
	C(KVM_SET_USER_MEMORY_REGION, kvm_userspace_memory_region, IN),
	{ "KVM_SET_USER_MEMORY_REGION2", KVM_SET_USER_MEMORY_REGION2, 160, IN, ENOTTY },
	{ "KVM_SET_MEMORY_ATTRIBUTES", KVM_SET_MEMORY_ATTRIBUTES,
	  sizeof(struct kvm_memory_attributes), IN, ENOTTY },
	{ "KVM_CREATE_GUEST_MEMFD", KVM_CREATE_GUEST_MEMFD,
	  sizeof(struct kvm_create_guest_memfd), IN, ENOTTY },
	{ "KVM_SET_IDENTITY_MAP_ADDR", KVM_SET_IDENTITY_MAP_ADDR, 8, IN, EINVAL },
	C(KVM_IRQ_LINE, kvm_irq_level, IN),
	C(KVM_IRQ_LINE_STATUS, kvm_irq_level, IN | OUT),
	C(KVM_GET_IRQCHIP, kvm_irqchip, IN | OUT),
	C(KVM_SET_IRQCHIP, kvm_irqchip, IN),
	C(KVM_GET_PIT, kvm_pit_state, OUT),
	C(KVM_SET_PIT, kvm_pit_state, IN),
	C(KVM_GET_PIT2, kvm_pit_state2, OUT),
	C(KVM_SET_PIT2, kvm_pit_state2, IN),
	C(KVM_CREATE_PIT2, kvm_pit_config, IN),
	C(KVM_REINJECT_CONTROL, kvm_reinject_control, IN),
	C(KVM_REGISTER_COALESCED_MMIO, kvm_coalesced_mmio_zone, IN),
	C(KVM_UNREGISTER_COALESCED_MMIO, kvm_coalesced_mmio_zone, IN),
	C(KVM_SET_GSI_ROUTING, kvm_irq_routing, IN),
	C(KVM_IRQFD, kvm_irqfd, IN),
	C(KVM_CREATE_DEVICE, kvm_create_device, IN),
	C(KVM_IOEVENTFD, kvm_ioeventfd, IN),
	C(KVM_SET_CLOCK, kvm_clock_data, IN),
	C(KVM_GET_CLOCK, kvm_clock_data, OUT),
	C(KVM_ENABLE_CAP, kvm_enable_cap, IN),
	C(KVM_SIGNAL_MSI, kvm_msi, IN),
	C(KVM_X86_SET_MSR_FILTER, kvm_msr_filter, IN),
	{}
};

static const struct call vcpu_calls[] = {
	C(KVM_GET_REGS, kvm_regs, OUT),
	C(KVM_SET_REGS, kvm_regs, IN),
	C(KVM_GET_SREGS, kvm_sregs, OUT),
	C(KVM_SET_SREGS, kvm_sregs, IN),
	C(KVM_GET_SREGS2, kvm_sregs2, OUT),
	C(KVM_SET_SREGS2, kvm_sregs2, IN),
	C(KVM_TRANSLATE, kvm_translation, IN | OUT),
	C(KVM_INTERRUPT, kvm_interrupt, IN),
	C(KVM_GET_MSRS, kvm_msrs, IN),
	C(KVM_SET_MSRS, kvm_msrs, IN),
	C(KVM_GET_ONE_REG, kvm_one_reg, IN),
	C(KVM_SET_ONE_REG, kvm_one_reg, IN),
	C(KVM_GET_REG_LIST, kvm_reg_list, IN | OUT),
	C(KVM_SET_CPUID, kvm_cpuid, IN),
	C(KVM_SET_CPUID2, kvm_cpuid2, IN),
	C(KVM_GET_CPUID2, kvm_cpuid2, IN),
	C(KVM_GET_FPU, kvm_fpu, OUT),
	C(KVM_SET_FPU, kvm_fpu, IN),
	C(KVM_GET_LAPIC, kvm_lapic_state, OUT),
	C(KVM_SET_LAPIC, kvm_lapic_state, IN),
	C(KVM_SET_VAPIC_ADDR, kvm_vapic_addr, IN),
	C(KVM_TPR_ACCESS_REPORTING, kvm_tpr_access_ctl, IN | OUT),
	C(KVM_GET_MP_STATE, kvm_mp_state, OUT),
	C(KVM_SET_MP_STATE, kvm_mp_state, IN),
	C(KVM_SET_GUEST_DEBUG, kvm_guest_debug, IN),
	{ "KVM_X86_SETUP_MCE", KVM_X86_SETUP_MCE, 8, IN },
	C(KVM_X86_SET_MCE, kvm_x86_mce, IN),
	C(KVM_GET_VCPU_EVENTS, kvm_vcpu_events, OUT),
	C(KVM_SET_VCPU_EVENTS, kvm_vcpu_events, IN),
	C(KVM_GET_DEBUGREGS, kvm_debugregs, OUT),
	C(KVM_SET_DEBUGREGS, kvm_debugregs, IN),
	C(KVM_GET_XSAVE, kvm_xsave, OUT),
	C(KVM_GET_XSAVE2, kvm_xsave, OUT),
	C(KVM_SET_XSAVE, kvm_xsave, IN),
	C(KVM_GET_XCRS, kvm_xcrs, OUT),
	C(KVM_SET_XCRS, kvm_xcrs, IN),
	C(KVM_ENABLE_CAP, kvm_enable_cap, IN),
	C(KVM_GET_DEVICE_ATTR, kvm_device_attr, IN),
	C(KVM_SET_DEVICE_ATTR, kvm_device_attr, IN),
	C(KVM_HAS_DEVICE_ATTR, kvm_device_attr, IN),
	{}
};

#undef C

/* Two pages (four with their neighbours), of which the second is not there. */
static uint8_t *half_page(void)
{
	static uint8_t *p;

	if (!p) {
		p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		OK(mprotect(p + 2 * PAGE, PAGE, PROT_NONE));
	}
	memset(p, 0, 2 * PAGE);
	return p + 2 * PAGE;	/* where it ends */
}

static void expect_fault(const struct call *c, int fd, void *arg, const char *what)
{
	long r;

	errno = 0;
	r = ioctl(fd, c->request, arg);
	if (r < 0 && errno == EFAULT)
		return;
	if (c->or_else && r < 0 && errno == c->or_else)
		return;
	st_fail(__FILE__, __LINE__, "%s with %s: %ld, %s", c->name, what, r,
		r < 0 ? strerror(errno) : "no error");
}

static void bad_pointers(const struct call *c, int fd)
{
	for (; c->name; c++) {
		uint8_t *end = half_page(), *ro;

		expect_fault(c, fd, NULL, "NULL");
		expect_fault(c, fd, (void *)8, "a small number");
		expect_fault(c, fd, end, "a page that is not there");
		expect_fault(c, fd, end - c->size / 2, "half a structure");
		expect_fault(c, fd, end - 1, "one byte of a structure");
		expect_fault(c, fd, (void *)0xffff888000000000, "a kernel address");
		expect_fault(c, fd, (void *)0x8000000000000000, "no address");
		expect_fault(c, fd, (void *)0x7ffffffffff8, "the end of user space");
		expect_fault(c, fd, (void *)-1ul, "the last address");
		if (!(c->dir & OUT))
			continue;
		ro = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(ro != MAP_FAILED);
		if (c->request == KVM_GET_SUPPORTED_CPUID ||
		    c->request == KVM_GET_EMULATED_CPUID) {
			/* room for entries, so that there is something to write */
			OK(mprotect(ro, PAGE, PROT_READ | PROT_WRITE));
			((struct kvm_cpuid2 *)ro)->nent = 50;
			OK(mprotect(ro, PAGE, PROT_READ));
		}
		expect_fault(c, fd, ro, "memory that cannot be written");
		munmap(ro, 3 * PAGE);
	}
}

static void pointers_dev(void)
{
	bad_pointers(dev_calls, kvm_open());
}

static void pointers_vm(void)
{
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);

	read_state(v, &before);
	bad_pointers(vm_calls, v->vm->fd);
	unchanged_since(v);
}

static void pointers_vcpu(void)
{
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);

	read_state(v, &before);
	bad_pointers(vcpu_calls, v->fd);
	unchanged_since(v);
}

/* The same without the chips: no pointer is followed into what is not there. */
static void pointers_bare(void)
{
	struct vcpu *v = make(0);
	const struct call *c;
	uint8_t *end = half_page();

	read_state(v, &before);
	for (c = vm_calls; c->name; c++) {
		CHECK(ioctl(v->vm->fd, c->request, NULL) < 0);
		CHECK(ioctl(v->vm->fd, c->request, end - c->size / 2) < 0);
	}
	for (c = vcpu_calls; c->name; c++) {
		CHECK(ioctl(v->fd, c->request, (void *)8) < 0);
		CHECK(ioctl(v->fd, c->request, end - c->size / 2) < 0);
	}
	unchanged_since(v);
}

/* A structure at the end of memory, whose array is not there. */
static void *header(const void *head, size_t size)
{
	uint8_t *end = half_page();

	return memcpy(end - size, head, size);
}

static void arrays(void)
{
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);
	int vm = v->vm->fd, dev = v->vm->dev;
	struct kvm_cpuid2 cpuid = { .nent = 100 };
	struct kvm_cpuid cpuid1 = { .nent = 3 };
	struct kvm_msrs m = { .nmsrs = 3 };
	struct kvm_irq_routing routing = { .nr = 2 };
	struct kvm_msr_list list = { .nmsrs = 1000 };
	struct kvm_signal_mask mask = { .len = 8 };
	struct kvm_device_attr attr = { .attr = KVM_VCPU_TSC_OFFSET,
					.group = KVM_VCPU_TSC_CTRL };
	struct kvm_msr_filter filter = { .ranges = { {
		.flags = KVM_MSR_FILTER_READ, .nmsrs = 64, .base = 0x10 } } };
	struct kvm_dirty_log log = { .slot = 1 };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64 };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				      .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE } };
	uint64_t bits = 0;

	read_state(v, &before);
	FAILS(ioctl(dev, KVM_GET_MSR_INDEX_LIST, header(&list, sizeof(list))), EFAULT);
	FAILS(ioctl(dev, KVM_GET_MSR_FEATURE_INDEX_LIST, header(&list, sizeof(list))), EFAULT);
	FAILS(ioctl(dev, KVM_GET_SUPPORTED_CPUID, header(&cpuid, sizeof(cpuid))), EFAULT);
	FAILS(ioctl(dev, KVM_GET_EMULATED_CPUID, header(&cpuid, sizeof(cpuid))), EFAULT);
	FAILS(ioctl(dev, KVM_GET_MSRS, header(&m, sizeof(m))), EFAULT);
	FAILS(ioctl(v->fd, KVM_GET_MSRS, header(&m, sizeof(m))), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_MSRS, header(&m, sizeof(m))), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_CPUID, header(&cpuid1, sizeof(cpuid1))), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_CPUID2, header(&cpuid, sizeof(cpuid))), EFAULT);
	FAILS(ioctl(v->fd, KVM_GET_CPUID2, header(&cpuid, sizeof(cpuid))), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_SIGNAL_MASK, header(&mask, sizeof(mask))), EFAULT);
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, header(&routing, sizeof(routing))), EFAULT);
	/* the table is the old one: a GSI reaches somebody */
	{
		struct kvm_irq_level irq = { .irq = 4, .level = 1 };

		OK(ioctl(vm, KVM_IRQ_LINE_STATUS, &irq));
		CHECK((int)irq.status >= 0);
		irq.level = 0;
		OK(ioctl(vm, KVM_IRQ_LINE_STATUS, &irq));
		read_state(v, &before);
	}

	attr.addr = (uintptr_t)half_page();
	FAILS(ioctl(v->fd, KVM_GET_DEVICE_ATTR, &attr), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr), EFAULT);
	attr.addr = 1ull << 63;
	FAILS(ioctl(v->fd, KVM_GET_DEVICE_ATTR, &attr), EFAULT);
	FAILS(ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr), EFAULT);
	attr.attr = 17;
	FAILS(ioctl(v->fd, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	FAILS(ioctl(v->fd, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
	FAILS(ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr), ENXIO);
	attr.group = 77;
	attr.attr = 0;
	FAILS(ioctl(v->fd, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	FAILS(ioctl(dev, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	FAILS(ioctl(dev, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
	attr.group = 0;
	attr.addr = 8;
	FAILS(ioctl(dev, KVM_GET_DEVICE_ATTR, &attr), EFAULT);

	filter.ranges[0].bitmap = (void *)half_page();
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter), EFAULT);
	filter.ranges[0].bitmap = (void *)(half_page() - 4);
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter), EFAULT);

	vm_set_slot(v->vm, 1, 16 << 20, 64 * PAGE, v->vm->mem, KVM_MEM_LOG_DIRTY_PAGES);
	log.dirty_bitmap = half_page();
	FAILS(ioctl(vm, KVM_GET_DIRTY_LOG, &log), EFAULT);
	log.dirty_bitmap = half_page() - 4;
	FAILS(ioctl(vm, KVM_GET_DIRTY_LOG, &log), EFAULT);
	OK(ioctl(vm, KVM_ENABLE_CAP, &cap));
	clear.dirty_bitmap = half_page() - 4;
	FAILS(ioctl(vm, KVM_CLEAR_DIRTY_LOG, &clear), EFAULT);
	log.dirty_bitmap = &bits;
	OK(ioctl(vm, KVM_GET_DIRTY_LOG, &log));
	unchanged_since(v);
}

/* What a failed KVM_GET_DIRTY_LOG could not tell is told by the next one. */
static void dirty_log_is_kept(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	struct kvm_dirty_log log = { .slot = 1 };
	uint64_t bits = 0;

	PAYLOAD(vm, basic);
	vm_set_slot(vm, 1, 16 << 20, 64 * PAGE, vm->mem + (2 << 20), KVM_MEM_LOG_DIRTY_PAGES);
	vcpu_start(v, BASIC_WRITE, (16 << 20) + 5 * PAGE, 1);
	vcpu_expect_sync(v, 1);
	log.dirty_bitmap = half_page();
	FAILS(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), EFAULT);
	log.dirty_bitmap = &bits;
	OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bits, 1 << 5);
	OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bits, 0);
}

/* ---- counts ------------------------------------------------------------------ */

static void count_msrs(int fd, unsigned long request)
{
	static struct msrs m;

	memset(&m, 0, sizeof(m));
	CHECK_EQ(OK(ioctl(fd, request, &m)), 0);
	m.m.nmsrs = 256;
	FAILS(ioctl(fd, request, &m), E2BIG);
	m.m.nmsrs = 257;
	FAILS(ioctl(fd, request, &m), E2BIG);
	m.m.nmsrs = 1u << 31;
	FAILS(ioctl(fd, request, &m), E2BIG);
	m.m.nmsrs = ~0u;
	FAILS(ioctl(fd, request, &m), E2BIG);
	/* as many as work: none does */
	m.m.nmsrs = 255;
	m.e[0].index = 0xdeadbeef;
	CHECK_EQ(OK(ioctl(fd, request, &m)), 0);
}

static void count_list(int dev, unsigned long request)
{
	static struct {
		struct kvm_msr_list l;
		uint32_t index[1000];
	} list;
	uint32_t n;

	memset(&list, 0, sizeof(list));
	FAILS(ioctl(dev, request, &list), E2BIG);
	n = list.l.nmsrs;
	CHECK(n > 0 && n < 1000);
	list.l.nmsrs = n - 1;
	FAILS(ioctl(dev, request, &list), E2BIG);
	CHECK_EQ(list.l.nmsrs, n);
	CHECK_EQ(list.index[0], 0);
	list.index[n] = 0x12345678;
	list.l.nmsrs = ~0u;
	OK(ioctl(dev, request, &list));
	CHECK_EQ(list.l.nmsrs, n);
	CHECK_EQ(list.index[n], 0x12345678);
}

static void count_cpuids(int fd, unsigned long request)
{
	static struct cpuids c;
	uint32_t n;

	memset(&c, 0, sizeof(c));
	FAILS(ioctl(fd, request, &c), E2BIG);
	c.c.nent = NR_CPUID;
	OK(ioctl(fd, request, &c));
	n = c.c.nent;
	CHECK(n > 0 && n < NR_CPUID);
	memset(&c, 0, sizeof(c));
	c.c.nent = n - 1;
	if (n > 1 || request == KVM_GET_CPUID2)
		FAILS(ioctl(fd, request, &c), E2BIG);
	c.c.nent = n;
	c.e[n].eax = 0x12345678;
	OK(ioctl(fd, request, &c));
	CHECK_EQ(c.e[n].eax, 0x12345678);
	c.c.nent = 1u << 31;
	OK(ioctl(fd, request, &c));
	CHECK_EQ(c.c.nent, n);
	c.c.nent = ~0u;
	OK(ioctl(fd, request, &c));
	CHECK_EQ(c.c.nent, n);
	CHECK_EQ(c.e[n].eax, 0x12345678);
}

static void counts(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	static const uint32_t too_many[] = { NR_CPUID + 1, 1u << 31, ~0u };
	struct kvm_irq_routing *routing = calloc(1, sizeof(*routing) +
			(GSIS + 1) * sizeof(routing->entries[0]));
	static struct cpuids c;
	int dev = v->vm->dev, i;

	CHECK(routing);
	read_state(v, &before);
	count_msrs(dev, KVM_GET_MSRS);
	count_msrs(v->fd, KVM_GET_MSRS);
	count_msrs(v->fd, KVM_SET_MSRS);
	count_list(dev, KVM_GET_MSR_INDEX_LIST);
	count_list(dev, KVM_GET_MSR_FEATURE_INDEX_LIST);
	count_cpuids(dev, KVM_GET_SUPPORTED_CPUID);
	count_cpuids(dev, KVM_GET_EMULATED_CPUID);
	count_cpuids(v->fd, KVM_GET_CPUID2);
	for (i = 0; i < 3; i++) {
		c.c.nent = too_many[i];
		FAILS(ioctl(v->fd, KVM_SET_CPUID2, &c), E2BIG);
		FAILS(ioctl(v->fd, KVM_SET_CPUID, &c), E2BIG);
	}
	for (i = 0; i <= GSIS; i++) {
		routing->entries[i].gsi = i < GSIS ? i : 0;
		routing->entries[i].type = KVM_IRQ_ROUTING_MSI;
	}
	routing->nr = GSIS + 1;
	FAILS(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, routing), EINVAL);
	routing->nr = 1u << 31;
	FAILS(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, routing), EINVAL);
	routing->nr = ~0u;
	FAILS(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, routing), EINVAL);
	unchanged_since(v);
	routing->nr = GSIS;
	OK(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, routing));
	routing->nr = 0;
	OK(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, routing));

	/* no CPUID at all, and as much as there may be */
	v = vm_add_vcpu(v->vm, 1);
	memset(&c, 0, sizeof(c));
	OK(ioctl(v->fd, KVM_SET_CPUID2, &c));
	c.c.nent = NR_CPUID;
	for (i = 0; i < NR_CPUID; i++)
		c.e[i].function = i * 0x01010101u;
	OK(ioctl(v->fd, KVM_SET_CPUID2, &c));
	c.c.nent = 0;
	OK(ioctl(v->fd, KVM_SET_CPUID2, &c));
	c.c.nent = NR_CPUID;
	OK(ioctl(v->fd, KVM_GET_CPUID2, &c));
	CHECK_EQ(c.c.nent, 0);
}

/* ---- ids --------------------------------------------------------------------- */

static int boot_id(struct vm *vm, unsigned long id)
{
	return ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, id);
}

static void ids(void)
{
	struct vm *vm = vm_new(2 << 20, 0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MAX_VCPU_ID, .args = { 0 } };
	int max = kvm_cap(vm->dev, KVM_CAP_MAX_VCPU_ID);
	struct kvm_guest_debug dbg = {};
	long fd;

	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_MAX_VCPU_ID), max);
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = max + 1;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 1ull << 32 | 4;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 4;
	/* not below the boot CPU's (6.1's own module takes it, later ones do not) */
	OK(boot_id(vm, 5));
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	OK(boot_id(vm, 0));
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 5;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 4ul), EINVAL);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)max), EINVAL);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 1ul << 31), EINVAL);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 0xfffffffful), EINVAL);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, -1ul), EINVAL);
	OK(boot_id(vm, 2));
	fd = OK(ioctl(vm->fd, KVM_CREATE_VCPU, 3ul));
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 3ul), EEXIST);
	FAILS(boot_id(vm, 3), EBUSY);
	close(fd);
	/* its descriptor is gone, the vCPU is not */
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, 3ul), EEXIST);
	FAILS(ioctl(vm->fd, KVM_SET_GUEST_DEBUG, &dbg), ENOTTY);
}

/* As many vCPUs as there may be, and one more; of a VM, and of descriptors. */
static void too_many_vcpus(void)
{
	struct vm *vm = vm_new(2 << 20, 0);
	int n = kvm_cap(vm->dev, KVM_CAP_MAX_VCPUS), i;

	if (n > 64)
		n = 64;
	for (i = 0; i < n; i++)
		close(OK(ioctl(vm->fd, KVM_CREATE_VCPU, (long)i)));
	for (i = 0; i < n; i++)
		FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, (long)i), EEXIST);
	/* no descriptor left: the id is still free afterwards */
	while (dup(vm->fd) >= 0)
		;
	CHECK_EQ(errno, EMFILE);
	FAILS(ioctl(vm->fd, KVM_CREATE_VCPU, (long)n), EMFILE);
	FAILS(ioctl(vm->dev, KVM_CREATE_VM, 0ul), EMFILE);
	FAILS(ioctl(vm->fd, KVM_GET_STATS_FD, 0ul), EMFILE);
	close(1023);
	OK(ioctl(vm->fd, KVM_CREATE_VCPU, (long)n));
}

/* ---- memory slots ------------------------------------------------------------ */

static int set_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
		    uint64_t size, uint64_t hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static void slots(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	uint64_t hva = (uintptr_t)vm->mem, at = 16 << 20, sz = 1 << 20;
	int n = kvm_cap(vm->dev, KVM_CAP_NR_MEMSLOTS), bit;
	struct report rep;

	for (bit = 2; bit < 32; bit++)
		FAILS(set_slot(vm, 1, 1u << bit, at, sz, hva), EINVAL);
	/* alignment */
	FAILS(set_slot(vm, 1, 0, at + 1, sz, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at + 0x800, sz, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, sz + 1, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, 1, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, sz, hva + 1), EINVAL);
	/* numbers */
	FAILS(set_slot(vm, n, 0, at, sz, hva), EINVAL);
	FAILS(set_slot(vm, 0xffff, 0, at, sz, hva), EINVAL);
	FAILS(set_slot(vm, 0x7fffffff, 0, at, sz, hva), EINVAL);
	FAILS(set_slot(vm, ~0u, 0, at, sz, hva), EINVAL);
	FAILS(set_slot(vm, 0x80000001, 0, at, sz, hva), EINVAL);
	/* address spaces that are not there */
	if (kvm_cap(vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE) <= 1)
		FAILS(set_slot(vm, 1 << 16 | 1, 0, at, sz, hva), EINVAL);
	/* ranges */
	FAILS(set_slot(vm, 1, 0, -PAGE, 2 * PAGE, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, 1ull << 63, sz, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, 1ull << 63, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, -PAGE, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, 1ull << 44, PAGE), EINVAL);
	FAILS(set_slot(vm, 1, 0, 1ull << 52, sz, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, sz, 1ull << 63), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, sz, 0xffff888000000000), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, sz, 0x7fffffff0000), EINVAL);
	/* nothing to delete */
	FAILS(set_slot(vm, 1, 0, 0, 0, 0), EINVAL);
	/* overlap */
	FAILS(set_slot(vm, 1, 0, 0, sz, hva), EEXIST);
	FAILS(set_slot(vm, 1, 0, (4 << 20) - PAGE, sz, hva), EEXIST);
	FAILS(set_slot(vm, 1, 0, 0, 64 << 20, hva), EEXIST);
	/* what of an existing slot may not change */
	OK(set_slot(vm, 1, 0, at, sz, hva));
	OK(set_slot(vm, 1, 0, at, sz, hva));
	FAILS(set_slot(vm, 1, 0, at, sz + PAGE, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, at, sz, hva + PAGE), EINVAL);
	FAILS(set_slot(vm, 1, KVM_MEM_READONLY, at, sz, hva), EINVAL);
	FAILS(set_slot(vm, 1, 0, (4 << 20) - PAGE, sz, hva), EEXIST);
	OK(set_slot(vm, 1, 0, at + PAGE, sz, hva));
	OK(set_slot(vm, 1, 0, 0, 0, 0));
	FAILS(set_slot(vm, 1, 0, 0, 0, 0), EINVAL);
	/* the guest's memory is what it was */
	PAYLOAD(vm, basic);
	*(uint64_t *)(vm->mem + (3 << 20)) = 0x1122334455667788;
	vcpu_start(v, BASIC_READ, 3 << 20, 0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.b, 0x1122334455667788);
	vcpu_expect_done(v);
}

/* Memory that is no memory: KVM_RUN says so, and lives. */
static void slot_without_memory(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	uint8_t *p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct report rep;

	PAYLOAD(vm, basic);
	vm_set_slot(vm, 1, 16 << 20, PAGE, p, 0);
	vcpu_start(v, BASIC_READ, 16 << 20, 0);
	CHECK_EQ(-vcpu_run_raw(v), EFAULT);
	OK(munmap(p, PAGE));
	CHECK_EQ(-vcpu_run_raw(v), EFAULT);
	p = mmap(p, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(p != MAP_FAILED);
	*p = 7;
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.b, 7);
	vcpu_expect_done(v);
}

static enum { MEM_WORKS, MEM_FAULTS } try_slot(struct vcpu *v, void *mem, uint64_t test)
{
	struct kvm_userspace_memory_region r = {
		.slot = 1, .guest_phys_addr = 16 << 20, .memory_size = PAGE,
		.userspace_addr = (uintptr_t)mem,
	};
	struct report rep;
	int err;

	OK(ioctl(v->vm->fd, KVM_SET_USER_MEMORY_REGION, &r));
	/* what is under way, and then from the start */
	v->run->immediate_exit = 1;
	vcpu_run_raw(v);
	v->run->immediate_exit = 0;
	vcpu_start(v, test, 16 << 20, 0x1234);
	err = vcpu_run_raw(v);
	if (err)
		CHECK_EQ(-err, EFAULT);
	else
		CHECK(vcpu_is_report(v, &rep));
	r.memory_size = 0;
	OK(ioctl(v->vm->fd, KVM_SET_USER_MEMORY_REGION, &r));
	return err ? MEM_FAULTS : MEM_WORKS;
}

/* Memory of other kinds: what a page is taken by must be known to its owner. */
static void strange_memory(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	int prot = PROT_READ | PROT_WRITE, fd, ro;
	char name[] = "/tmp/badinputXXXXXX";
	uint8_t *p;

	PAYLOAD(vm, basic);
	/* read only: reads work, writes do not */
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_EQ(try_slot(v, p, BASIC_READ), MEM_WORKS);
	CHECK_EQ(try_slot(v, p, BASIC_WRITE), MEM_FAULTS);
	/* a file, at an offset, and beyond its end */
	fd = OK(mkstemp(name));
	OK(unlink(name));
	OK(ftruncate(fd, 2 * PAGE));
	p = mmap(NULL, 4 * PAGE, prot, MAP_SHARED, fd, PAGE);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(try_slot(v, p, BASIC_WRITE), MEM_WORKS);
	CHECK_EQ(*(uint64_t *)p, 0x1234);
	CHECK_EQ(try_slot(v, p + PAGE, BASIC_READ), MEM_FAULTS);
	CHECK_EQ(try_slot(v, p + PAGE, BASIC_WRITE), MEM_FAULTS);
	/* a file that may not be written must not be */
	ro = OK(open("/proc/self/exe", O_RDONLY));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(try_slot(v, p, BASIC_WRITE), MEM_FAULTS);
	CHECK(!memcmp(p, "\177ELF", 4));
	CHECK_EQ(try_slot(v, p, BASIC_READ), MEM_WORKS);
	/* a private mapping of it is a copy */
	p = mmap(NULL, PAGE, prot, MAP_PRIVATE, ro, 0);
	CHECK_EQ(try_slot(v, p, BASIC_WRITE), MEM_WORKS);
	CHECK_EQ(*(uint64_t *)p, 0x1234);
	OK(pread(ro, p, 4, 0));
	CHECK(!memcmp(p, "\177ELF", 4));
	/* the zero page is everybody's */
	p = mmap(NULL, 2 * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_EQ(try_slot(v, p + PAGE, BASIC_READ), MEM_WORKS);
	CHECK_EQ(try_slot(v, p + PAGE, BASIC_WRITE), MEM_WORKS);
	CHECK_EQ(p[PAGE], 0x34);
	CHECK_EQ(p[0], 0);
	/* the vCPU's own pages */
	try_slot(v, (uint8_t *)v->run + PAGE, BASIC_READ);
	try_slot(v, (uint8_t *)v->run + PAGE, BASIC_WRITE);
	/* device memory without pages behind it */
	fd = open("/dev/mem", O_RDWR);
	p = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0xa0000);
	if (p == MAP_FAILED) {
		st_note("no /dev/mem: device memory is not tested");
		return;
	}
	try_slot(v, p, BASIC_READ);
	try_slot(v, p, BASIC_WRITE);
	vm_set_slot(vm, 1, 16 << 20, PAGE, p, 0);
	vcpu_start(v, BASIC_READ, 16 << 20, 0);
	vcpu_run_raw(v);
	OK(munmap(p, PAGE));
	v->run->immediate_exit = 1;
	vcpu_run_raw(v);
	v->run->immediate_exit = 0;
	vcpu_start(v, BASIC_READ, 16 << 20, 0);
	CHECK_EQ(-vcpu_run_raw(v), EFAULT);
}

/*
 * Instructions that the host carries out for user mode: they touch no page that
 * is the kernel's, whether it is their target or their stack.
 */
static void emulated_user_mode(void)
{
	static const struct {
		uint8_t code[4];
		bool reads;		/* MMIO, and that comes first */
	} insn[] = {
		{ { 0xa4 }, true },		/* movsb: MMIO to the page */
		{ { 0x48, 0xa5 }, true },	/* movsq */
		{ { 0x6c }, false },		/* insb, IOPL 3 */
		{ { 0x6d }, false },
		{ { 0xff, 0x36 }, true },	/* push (MMIO) on a stack there */
		{ { 0x6e }, false },		/* outsb from there */
	};
	struct vm *vm = vm_new(8 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	uint64_t *pd = vm_ptr(vm, GUEST_PD), kernel = 2 << 20;
	struct kvm_sregs user;
	struct kvm_regs r = { .rflags = 0x3002 };
	unsigned int i, j;

	vcpu_set_cpuid(v);
	vcpu_long_mode(v);
	OK(ioctl(v->fd, KVM_GET_SREGS, &user));
	user.cs.selector = SEL_UCODE64 | 3;
	user.cs.dpl = 3;
	user.ss.selector = SEL_UDATA | 3;
	user.ss.dpl = 3;
	user.ds = user.ss;
	user.es = user.ss;
	user.idt.limit = 0;			/* a fault is the end */
	pd[kernel >> 21] &= ~4ull;		/* not the user's */
	for (i = 0; i < ARRAY_SIZE(insn); i++) {
		memset(vm->mem + kernel, 0x77, PAGE);
		memcpy(vm_ptr(vm, GUEST_CODE16), insn[i].code, 4);
		OK(ioctl(v->fd, KVM_SET_SREGS, &user));
		r.rip = GUEST_CODE16;
		r.rsi = insn[i].reads ? MMIO_BASE : kernel + 64;
		r.rdi = kernel + 64;
		r.rsp = kernel + 128;
		r.rdx = PIO_BASE;
		vcpu_set_regs(v, &r);
		for (j = 0; j < 8; j++) {
			uint32_t reason = vcpu_run(v);

			if (reason != KVM_EXIT_MMIO && reason != KVM_EXIT_IO)
				break;
			/* nothing of the kernel's comes out */
			if (reason == KVM_EXIT_IO && v->run->io.direction == KVM_EXIT_IO_OUT)
				st_fail(__FILE__, __LINE__, "instruction %u told %#x", i,
					((uint8_t *)v->run)[v->run->io.data_offset]);
			memset(v->run->mmio.data, 0x11, 8);
		}
		CHECK_EQ(v->run->exit_reason, KVM_EXIT_SHUTDOWN);
		for (j = 0; j < PAGE; j++)
			CHECK_EQ(vm->mem[kernel + j], 0x77);
	}
}

static int get_log(struct vm *vm, uint32_t slot)
{
	static uint64_t bits[1024];
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bits };

	return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(struct vm *vm, uint32_t slot, uint64_t first, uint32_t n)
{
	static uint64_t bits[1024];
	struct kvm_clear_dirty_log log = { .slot = slot, .first_page = first,
					   .num_pages = n, .dirty_bitmap = bits };

	return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log);
}

static void dirty_log(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	int n = kvm_cap(vm->dev, KVM_CAP_NR_MEMSLOTS);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };

	FAILS(get_log(vm, 0), ENOENT);
	FAILS(get_log(vm, 1), ENOENT);
	FAILS(get_log(vm, n), EINVAL);
	FAILS(get_log(vm, ~0u), EINVAL);
	if (kvm_cap(vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE) <= 1)
		FAILS(get_log(vm, 1 << 16), EINVAL);
	cap.args[0] = KVM_DIRTY_LOG_INITIALLY_SET;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 4;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 1ull << 32 | 1;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 1;
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	vm_set_slot(vm, 1, 16 << 20, 100 * PAGE, vm->mem, KVM_MEM_LOG_DIRTY_PAGES);
	FAILS(clear_log(vm, 0, 0, 64), ENOENT);
	FAILS(clear_log(vm, 2, 0, 64), ENOENT);
	FAILS(clear_log(vm, n, 0, 64), EINVAL);
	FAILS(clear_log(vm, 1, 1, 64), EINVAL);
	FAILS(clear_log(vm, 1, 0, 63), EINVAL);
	FAILS(clear_log(vm, 1, 0, 101), EINVAL);
	FAILS(clear_log(vm, 1, 0, 128), EINVAL);
	FAILS(clear_log(vm, 1, 64, 37), EINVAL);
	FAILS(clear_log(vm, 1, 128, 0), EINVAL);
	FAILS(clear_log(vm, 1, 0, ~0u), EINVAL);
	FAILS(clear_log(vm, 1, -64ull, 64), EINVAL);
	FAILS(clear_log(vm, 1, 1ull << 63, 64), EINVAL);
	OK(clear_log(vm, 1, 64, 36));
	OK(clear_log(vm, 1, 0, 100));
	OK(get_log(vm, 1));
}

static int enable_cap(struct vm *vm, uint32_t number, uint32_t flags, uint64_t arg)
{
	struct kvm_enable_cap cap = { .cap = number, .flags = flags, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static void *map_ring(struct vcpu *v, size_t size, int prot, int flags)
{
	return mmap(NULL, size, prot, flags, v->fd, 64 * PAGE);
}

static void pre_fault(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	static const struct {
		uint64_t gpa, size, flags;
		int error;
	} bad[] = {
		{ 0, 0, 0, EINVAL },
		{ 0, PAGE - 1, 0, EINVAL },
		{ 1, PAGE, 0, EINVAL },
		{ 0, PAGE, 1, EINVAL },
		{ 0, PAGE, 1ull << 63, EINVAL },
		{ -PAGE, PAGE, 0, EINVAL },
		{ PAGE, -PAGE, 0, EINVAL },
		{ 4 << 20, PAGE, 0, ENOENT },
		{ 1ull << 40, PAGE, 0, ENOENT },
		{ 1ull << 52, PAGE, 0, ENOENT },
		{ 1ull << 63, PAGE, 0, ENOENT },
	};
	struct kvm_pre_fault_memory p;
	unsigned int i;

	if (!kvm_cap(vm->fd, KVM_CAP_PRE_FAULT_MEMORY))
		st_skip("there is no KVM_PRE_FAULT_MEMORY");
	FAILS(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, NULL), EFAULT);
	FAILS(ioctl(vm->fd, KVM_PRE_FAULT_MEMORY, NULL), ENOTTY);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		p = (struct kvm_pre_fault_memory) { bad[i].gpa, bad[i].size, bad[i].flags };
		FAILS(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &p), bad[i].error);
		CHECK_EQ(p.gpa, bad[i].gpa);
		CHECK_EQ(p.size, bad[i].size);
	}
	/* a part of it is there; then none */
	p = (struct kvm_pre_fault_memory) { 2 << 20, 8 << 20 };
	OK(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &p));
	CHECK_EQ(p.gpa, 4 << 20);
	CHECK_EQ(p.size, 6 << 20);
	FAILS(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &p), ENOENT);
	/* a slot without memory behind it */
	OK(munmap(vm->mem + (3 << 20), 1 << 20));
	p = (struct kvm_pre_fault_memory) { 3 << 20, PAGE };
	FAILS(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &p), EFAULT);
}

static void dirty_ring(void)
{
	struct vm *vm = vm_new(4 << 20, 0);
	long max = kvm_cap(vm->fd, KVM_CAP_DIRTY_LOG_RING);
	struct vcpu *v;

	if (!max)
		st_skip("there is no dirty ring");
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL), max);
	vm_set_slot(vm, 1, 16 << 20, 100 * PAGE, vm->mem, KVM_MEM_LOG_DIRTY_PAGES);
	OK(get_log(vm, 1));
	FAILS(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, 0), EINVAL);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, max - 16), EINVAL);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, PAGE / 2), EINVAL);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, 16), EINVAL);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, 2 * max), E2BIG);
	if (kvm_is_oot()) {
		/* the kernel's own module looks at 32 bits, and not at the flags */
		FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 1, max), EINVAL);
		FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, 1ull << 32), E2BIG);
		FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, 1ull << 32 | max), EINVAL);
		FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0, 0), EINVAL);
	}
	OK(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0, max));
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, max), EINVAL);
	/* there are slots; and the kernel's own module has it on another architecture only */
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0, 0), EINVAL);
	FAILS(get_log(vm, 1), ENXIO);
	FAILS(clear_log(vm, 1, 0, 64), ENXIO);
	FAILS(get_log(vm, 7), ENXIO);
	CHECK_EQ(OK(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0)), 0);

	v = vm_add_vcpu(vm, 0);
	CHECK(map_ring(v, max, PROT_READ, MAP_PRIVATE) == MAP_FAILED && errno == EINVAL);
	CHECK(map_ring(v, max, PROT_READ | PROT_EXEC, MAP_SHARED) == MAP_FAILED &&
	      errno == EINVAL);
	CHECK(map_ring(v, max, PROT_READ | PROT_WRITE, MAP_SHARED) != MAP_FAILED);
	CHECK_EQ(OK(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0)), 0);

	/* too late */
	vm = vm_new(4 << 20, 0);
	v = vm_add_vcpu(vm, 0);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0, max), EINVAL);
	FAILS(enable_cap(vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0, 0), EINVAL);
}

/* ---- interrupt controllers: order and state ---------------------------------- */

static void chips_order(void)
{
	struct vm *vm = vm_new(2 << 20, 0);
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_pit_config pit = {};

	/* without an irqchip */
	if (kvm_is_oot()) {
		FAILS(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), ENOENT);
		FAILS(ioctl(vm->fd, KVM_CREATE_PIT, 0ul), ENOENT);
	}
	pit.flags = 2;
	if (kvm_is_oot())
		FAILS(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), EINVAL);
	pit.flags = 0;
	split.args[0] = GSIS + 1;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &split), EINVAL);
	split.args[0] = ~0ull;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &split), EINVAL);
	split.args[0] = 1ull << 32;
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &split), EINVAL);
	split.args[0] = 24;
	/* twice */
	OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0ul));
	FAILS(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0ul), EEXIST);
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &split), EEXIST);
	OK(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	FAILS(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), EEXIST);
	FAILS(ioctl(vm->fd, KVM_CREATE_PIT, 0ul), EEXIST);

	vm = vm_new(2 << 20, VM_SPLIT);
	FAILS(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0ul), EEXIST);
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &split), EEXIST);
	if (kvm_is_oot())
		FAILS(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), ENOENT);

	/* after a vCPU */
	vm = vm_new(2 << 20, 0);
	vm_add_vcpu(vm, 0);
	FAILS(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0ul), EINVAL);
	FAILS(ioctl(vm->fd, KVM_ENABLE_CAP, &split), EEXIST);
	{
		uint64_t addr = 0xfffbc000;

		FAILS(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr), EINVAL);
		FAILS(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffff000ul), EINVAL);
		FAILS(ioctl(vm->fd, KVM_SET_TSS_ADDR, 1ul << 32), EINVAL);
		FAILS(ioctl(vm->fd, KVM_SET_TSS_ADDR, -1ul), EINVAL);
	}
	/* as many pins as GSIs */
	vm = vm_new(2 << 20, 0);
	split.args[0] = GSIS;
	OK(ioctl(vm->fd, KVM_ENABLE_CAP, &split));
	vm_add_vcpu(vm, 0);
}

/* What there is no chip for. */
static void chips_missing(unsigned int flags)
{
	struct vcpu *v = make(flags);
	int vm = v->vm->fd;
	struct kvm_irqchip chip = {};
	struct kvm_pit_state pit = {};
	struct kvm_pit_state2 pit2 = {};
	struct kvm_reinject_control reinject = {};
	unsigned int id;

	read_state(v, &before);
	for (id = 0; id < 3; id++) {
		chip.chip_id = id;
		FAILS(ioctl(vm, KVM_GET_IRQCHIP, &chip), ENXIO);
		FAILS(ioctl(vm, KVM_SET_IRQCHIP, &chip), ENXIO);
	}
	FAILS(ioctl(vm, KVM_GET_PIT, &pit), ENXIO);
	FAILS(ioctl(vm, KVM_SET_PIT, &pit), ENXIO);
	FAILS(ioctl(vm, KVM_GET_PIT2, &pit2), ENXIO);
	FAILS(ioctl(vm, KVM_SET_PIT2, &pit2), ENXIO);
	FAILS(ioctl(vm, KVM_REINJECT_CONTROL, &reinject), ENXIO);
	unchanged_since(v);
}

static void no_irqchip(void)
{
	struct vcpu *v;
	struct kvm_irq_level line = { .irq = 4, .level = 1 };
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x30 };
	struct kvm_irq_routing routing = {};
	struct kvm_irqfd irqfd = { .fd = eventfd(0, 0), .gsi = 4 };
	static struct kvm_lapic_state lapic;
	struct kvm_vapic_addr vapic = { .vapic_addr = 0xc000 };
	struct kvm_mp_state mp;
	unsigned int i;

	chips_missing(0);
	v = make(0);
	read_state(v, &before);
	FAILS(ioctl(v->vm->fd, KVM_IRQ_LINE, &line), ENXIO);
	FAILS(ioctl(v->vm->fd, KVM_IRQ_LINE_STATUS, &line), ENXIO);
	FAILS(ioctl(v->vm->fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	FAILS(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, &routing), EINVAL);
	FAILS(ioctl(v->vm->fd, KVM_IRQFD, &irqfd), EINVAL);
	irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
	irqfd.resamplefd = eventfd(0, 0);
	FAILS(ioctl(v->vm->fd, KVM_IRQFD, &irqfd), EINVAL);
	FAILS(ioctl(v->fd, KVM_GET_LAPIC, &lapic), EINVAL);
	FAILS(ioctl(v->fd, KVM_SET_LAPIC, &lapic), EINVAL);
	FAILS(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	for (i = 1; i < 20; i++) {
		mp.mp_state = i;
		FAILS(ioctl(v->fd, KVM_SET_MP_STATE, &mp), EINVAL);
	}
	mp.mp_state = 0;
	OK(ioctl(v->fd, KVM_SET_MP_STATE, &mp));
	/* x2APIC registers and PV EOI of an APIC that is not there */
	for (i = 0x800; i < 0x840; i++) {
		struct msrs m = { .m.nmsrs = 1, .e[0].index = i };

		CHECK_EQ(OK(ioctl(v->fd, KVM_GET_MSRS, &m)), 0);
		CHECK_EQ(OK(ioctl(v->fd, KVM_SET_MSRS, &m)), 0);
	}
	CHECK_EQ(vcpu_set_msr(v, 0x4b564d04, 0xc001), 0);
	unchanged_since(v);
}

static void split_irqchip(void)
{
	struct vcpu *v;
	struct kvm_irqfd irqfd = { .fd = eventfd(0, 0), .gsi = 4,
				   .flags = KVM_IRQFD_FLAG_RESAMPLE,
				   .resamplefd = eventfd(0, 0) };
	struct {
		struct kvm_irq_routing r;
		struct kvm_irq_routing_entry e;
	} route = { .r.nr = 1, .e = { .type = KVM_IRQ_ROUTING_IRQCHIP } };

	chips_missing(VM_SPLIT);
	v = make(VM_SPLIT);
	FAILS(ioctl(v->vm->fd, KVM_IRQFD, &irqfd), EINVAL);
	FAILS(ioctl(v->vm->fd, KVM_SET_GSI_ROUTING, &route), EINVAL);
}

static void with_irqchip(void)
{
	static const uint32_t ids[] = { 3, 4, 255, 1u << 31, ~0u };
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);
	struct kvm_irqchip chip = {};
	struct kvm_interrupt irq = { .irq = 0x30 };
	struct kvm_pit_state2 pit2;
	struct kvm_irq_level line = { .level = 1 };
	struct kvm_vapic_addr vapic;
	struct kvm_mp_state mp;
	static const uint32_t gsis[] = { 24, 25, 4095, 4096, 1u << 31, ~0u };
	unsigned int i;

	read_state(v, &before);
	for (i = 0; i < 5; i++) {
		chip.chip_id = ids[i];
		FAILS(ioctl(v->vm->fd, KVM_GET_IRQCHIP, &chip), EINVAL);
		FAILS(ioctl(v->vm->fd, KVM_SET_IRQCHIP, &chip), EINVAL);
	}
	FAILS(ioctl(v->fd, KVM_INTERRUPT, &irq), ENXIO);
	irq.irq = 256;
	FAILS(ioctl(v->fd, KVM_INTERRUPT, &irq), EINVAL);
	irq.irq = ~0u;
	FAILS(ioctl(v->fd, KVM_INTERRUPT, &irq), EINVAL);
	if (kvm_is_oot()) {
		pit2 = before.pit;
		pit2.flags = 0x80;
		FAILS(ioctl(v->vm->fd, KVM_SET_PIT2, &pit2), EINVAL);
	}
	/* lines that lead nowhere */
	for (i = 0; i < 6; i++) {
		line.irq = gsis[i];
		OK(ioctl(v->vm->fd, KVM_IRQ_LINE, &line));
		line.irq = gsis[i];
		OK(ioctl(v->vm->fd, KVM_IRQ_LINE_STATUS, &line));
		CHECK((int)line.status < 0);
	}
	mp.mp_state = 4;	/* none of x86's: the numbers go on with s390's */
	for (i = 5; i < 20; i++) {
		mp.mp_state = i;
		FAILS(ioctl(v->fd, KVM_SET_MP_STATE, &mp), EINVAL);
	}
	mp.mp_state = ~0u;
	FAILS(ioctl(v->fd, KVM_SET_MP_STATE, &mp), EINVAL);
	vapic.vapic_addr = 1 << 30;
	FAILS(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	vapic.vapic_addr = -2ull;
	FAILS(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	unchanged_since(v);
}

/* A refused address leaves the one that was there in force. */
static void refused_addresses(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct kvm_vapic_addr vapic = { .vapic_addr = GUEST_SHARED + 0x100 };
	uint32_t *word = vm_ptr(v->vm, GUEST_SHARED + 0x100);

	OK(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &vapic));
	vapic.vapic_addr = 1 << 30;
	FAILS(ioctl(v->fd, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	*word = 0xffffff20;
	vcpu_start(v, BASIC_WRITE, GUEST_SHARED, 1);
	vcpu_expect_sync(v, 1);
	/* TPR, class in service, nothing requested: not what we put there */
	CHECK(*word != 0xffffff20);

	/* PV EOI the same way */
	CHECK_EQ(vcpu_set_msr(v, 0x4b564d04, (GUEST_SHARED + 0x200) | 1), 1);
	CHECK_EQ(vcpu_set_msr(v, 0x4b564d04, (1ul << 30) | 1), 0);
	CHECK_EQ(vcpu_set_msr(v, 0x4b564d04, (GUEST_SHARED + 0x200) | 3), 0);
	CHECK_EQ(vcpu_get_msr(v, 0x4b564d04), (GUEST_SHARED + 0x200) | 1);
}

static void routing(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct {
		struct kvm_irq_routing r;
		struct kvm_irq_routing_entry e[4];
	} t;
	struct kvm_irq_level line = { .irq = 40, .level = 1 };
	struct kvm_enable_cap api = { .cap = KVM_CAP_X2APIC_API, .args = { 1 } };
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x30 };
	int vm = v->vm->fd;
	unsigned int i;

#define PUT(...) do {							\
	memset(&t, 0, sizeof(t));					\
	t.r.nr = 1;							\
	t.e[0] = (struct kvm_irq_routing_entry) { __VA_ARGS__ };	\
} while (0)
	PUT(.gsi = 40, .type = KVM_IRQ_ROUTING_IRQCHIP,
	    .u.irqchip = { KVM_IRQCHIP_PIC_MASTER, 5 });
	OK(ioctl(vm, KVM_SET_GSI_ROUTING, &t));
	t.r.flags = 1;
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	for (i = 1; i < 32; i++) {
		PUT(.gsi = 41, .type = KVM_IRQ_ROUTING_MSI, .flags = 1u << i);
		FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	}
	for (i = 0; i < 12; i++) {
		if (i == KVM_IRQ_ROUTING_IRQCHIP || i == KVM_IRQ_ROUTING_MSI)
			continue;
		/* types of Hyper-V and Xen are the kernel's own to know */
		if (!kvm_is_oot() && (i == KVM_IRQ_ROUTING_HV_SINT || i == 5))
			continue;
		PUT(.gsi = 41, .type = i);
		FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	}
	for (i = 3; i < 40; i++) {
		PUT(.gsi = 41, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { i, 0 });
		FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	}
	for (i = 0; i < 3; i++) {
		PUT(.gsi = 41, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { i, i < 2 ? 8 : 24 });
		FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
		t.e[0].u.irqchip.pin = ~0u;
		FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
		t.e[0].u.irqchip.pin = 1u << 31;
		FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	}
	PUT(.gsi = GSIS, .type = KVM_IRQ_ROUTING_MSI);
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.e[0].gsi = ~0u;
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	/* two that contradict each other */
	PUT(.gsi = 41, .type = KVM_IRQ_ROUTING_MSI);
	t.r.nr = 2;
	t.e[1] = t.e[0];
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	PUT(.gsi = 41, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_IOAPIC, 5 });
	t.r.nr = 2;
	t.e[1] = t.e[0];
	t.e[1].u.irqchip.pin = 6;
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	/* a good one, then a bad one: neither */
	t.e[1].gsi = 42;
	t.e[1].type = 99;
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);

	/* the first table is in force still */
	OK(ioctl(vm, KVM_IRQ_LINE_STATUS, &line));
	CHECK((int)line.status >= 0);
	line.irq = 41;
	OK(ioctl(vm, KVM_IRQ_LINE_STATUS, &line));
	CHECK((int)line.status < 0);

	/* messages */
	for (i = kvm_is_oot() ? 0 : 1; i < 32; i++) {
		msi.flags = 1u << i;
		FAILS(ioctl(vm, KVM_SIGNAL_MSI, &msi), EINVAL);
	}
	msi.flags = 0;
	api.args[0] = 4;
	FAILS(ioctl(vm, KVM_ENABLE_CAP, &api), EINVAL);
	api.args[0] = 1;
	OK(ioctl(vm, KVM_ENABLE_CAP, &api));
	msi.address_hi = 1;
	FAILS(ioctl(vm, KVM_SIGNAL_MSI, &msi), EINVAL);
	PUT(.gsi = 41, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_hi = 0xff });
	FAILS(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
#undef PUT
}

/* ---- eventfds and zones ------------------------------------------------------ */

static int irqfd(int vm, int fd, unsigned int gsi, unsigned int flags)
{
	struct kvm_irqfd a = { .fd = fd, .gsi = gsi, .flags = flags };

	return ioctl(vm, KVM_IRQFD, &a);
}

static void irqfds(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	int e = eventfd(0, 0), e2 = eventfd(0, 0), vm = v->vm->fd, bit;
	struct kvm_irqfd a = { .fd = e, .gsi = 4 };

	for (bit = 2; bit < 32; bit++) {
		a.flags = 1u << bit;
		FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
	}
	a.flags = 0;
	a.fd = -1;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBADF);
	a.fd = 1000;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBADF);
	a.fd = vm;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
	a.fd = open("/dev/null", O_RDWR);
	FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
	a.fd = e;
	a.flags = KVM_IRQFD_FLAG_RESAMPLE;
	a.resamplefd = -1;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBADF);
	a.resamplefd = vm;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
	a.flags = KVM_IRQFD_FLAG_DEASSIGN;
	OK(ioctl(vm, KVM_IRQFD, &a));	/* nothing to do */
	a.fd = -1;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBADF);
	a.fd = vm;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
	a.fd = e;
	a.flags = 0;
	if (kvm_is_oot()) {
		a.gsi = GSIS;
		FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
		a.gsi = ~0u;
		FAILS(ioctl(vm, KVM_IRQFD, &a), EINVAL);
	}
	a.gsi = 4;
	OK(ioctl(vm, KVM_IRQFD, &a));
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBUSY);
	a.gsi = 5;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBUSY);
	/* another VM's, too, which may have it when it is free */
	if (kvm_is_oot()) {
		int vm2 = vm_new(0x200000, VM_IRQCHIP)->fd;

		FAILS(irqfd(vm2, e, 5, 0), EBUSY);
		OK(irqfd(vm2, e, 5, KVM_IRQFD_FLAG_DEASSIGN));
		OK(irqfd(vm, e, 4, KVM_IRQFD_FLAG_DEASSIGN));
		OK(irqfd(vm2, e, 4, 0));
		FAILS(irqfd(vm, e, 4, 0), EBUSY);
		OK(irqfd(vm2, e, 4, KVM_IRQFD_FLAG_DEASSIGN));
		OK(irqfd(vm, e, 4, 0));
	}
	/* with a resampler, and busy: the resampler must not stay */
	a.flags = KVM_IRQFD_FLAG_RESAMPLE;
	a.resamplefd = e2;
	FAILS(ioctl(vm, KVM_IRQFD, &a), EBUSY);
	a.flags = KVM_IRQFD_FLAG_DEASSIGN;
	a.gsi = 4;
	OK(ioctl(vm, KVM_IRQFD, &a));
	a.flags = KVM_IRQFD_FLAG_RESAMPLE;
	OK(ioctl(vm, KVM_IRQFD, &a));
	/* closed in the wrong order */
	close(e2);
	close(vm);
	close(v->fd);
	close(e);
}

static void ioeventfds(void)
{
	struct vcpu *v = make(0);
	int e = eventfd(0, 0), e2 = eventfd(0, 0), vm = v->vm->fd, bit, len;
	struct kvm_ioeventfd a = { .fd = e, .addr = MMIO_BASE, .len = 8 };
	uint64_t signals;

	for (bit = 5; bit < 32; bit++) {
		a.flags = 1u << bit;
		FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	}
	a.flags = 0;
	for (len = 3; len < 70; len++) {
		if (len == 4 || len == 8)
			continue;
		a.len = len;
		FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	}
	a.len = ~0u;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	a.len = 1u << 31;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	a.len = 0;
	a.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	a.flags = 0;
	a.len = 8;
	a.addr = -2ull;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	a.addr = MMIO_BASE;
	a.fd = -1;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EBADF);
	a.fd = vm;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EINVAL);
	a.fd = e;
	a.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), ENOENT);
	a.flags = 0;
	OK(ioctl(vm, KVM_IOEVENTFD, &a));
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EEXIST);
	a.fd = e2;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), EEXIST);
	a.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), ENOENT);
	a.fd = e;
	a.len = 4;
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), ENOENT);
	/* it works still, and is gone after its removal */
	a.len = 8;
	vcpu_start(v, BASIC_WRITE, MMIO_BASE, 1);
	vcpu_expect_sync(v, 1);
	CHECK_EQ(OK(read(e, &signals, sizeof(signals))), sizeof(signals));
	CHECK_EQ(signals, 1);
	OK(ioctl(vm, KVM_IOEVENTFD, &a));
	FAILS(ioctl(vm, KVM_IOEVENTFD, &a), ENOENT);
	v->run->immediate_exit = 1;
	vcpu_run_raw(v);
	v->run->immediate_exit = 0;
	vcpu_start(v, BASIC_WRITE, MMIO_BASE, 1);
	vcpu_expect_exit(v, KVM_EXIT_MMIO);
}

static void zones(void)
{
	struct vcpu *v = make(0);
	struct kvm_coalesced_mmio_zone z = { .addr = MMIO_BASE, .size = 16 };
	int vm = v->vm->fd, i;

	for (i = 1; i < 32; i++) {
		z.pio = 1u << i;
		FAILS(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
		FAILS(ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, &z), EINVAL);
	}
	z.pio = 0;
	z.addr = -8ull;
	FAILS(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
	z.size = ~0u;
	FAILS(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
	z.addr = MMIO_BASE;
	FAILS(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
	z.size = 1u << 31;
	FAILS(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
	/* nothing to remove is nothing wrong */
	z.size = 16;
	OK(ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, &z));
	/* the bus is full some time; twice the same is allowed */
	for (i = 0; i < 2000; i++) {
		z.size = i % 3 ? 16 : 0;
		if (ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z))
			break;
	}
	CHECK_EQ(errno, ENOSPC);
	CHECK(i >= 900 && i < 2000);
	for (i = 0; i < 2; i++) {
		z.size = i ? 16 : 0;
		OK(ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, &z));
	}
	/* there is room again: all of them are gone */
	z.size = 16;
	for (i = 0; i < 900; i++)
		OK(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &z));
}

/* ---- registers --------------------------------------------------------------- */

static void bad_sregs(struct vcpu *v, size_t off, uint64_t value, const char *what)
{
	struct kvm_sregs2 s2;
	struct kvm_sregs s;

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	*(uint64_t *)((char *)&s + off) = value;
	errno = 0;
	if (!ioctl(v->fd, KVM_SET_SREGS, &s) || errno != EINVAL)
		st_fail(__FILE__, __LINE__, "%s: %s", what, strerror(errno));
	OK(ioctl(v->fd, KVM_GET_SREGS2, &s2));
	*(uint64_t *)((char *)&s2 + off) = value;
	errno = 0;
	if (!ioctl(v->fd, KVM_SET_SREGS2, &s2) || errno != EINVAL)
		st_fail(__FILE__, __LINE__, "SREGS2, %s: %s", what, strerror(errno));
}

static void sregs(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct kvm_sregs2 s2;
	struct kvm_sregs s;
	int bit;

	read_state(v, &before);
#define BAD(f, value) bad_sregs(v, offsetof(struct kvm_sregs, f), value, #f " = " #value)
	BAD(cr0, 1ull << 32 | 0x80000033);
	BAD(cr0, 1ull << 63 | 0x80000033);
	BAD(cr0, 0x80000000);			/* PG without PE */
	BAD(cr0, 0xa0000033);			/* NW without CD */
	BAD(cr4, 0x600);			/* no PAE in long mode */
	for (bit = 32; bit < 64; bit++)
		BAD(cr4, 0x620 | 1ull << bit);
	BAD(cr4, 0x620 | 1 << 13);		/* VMXE */
	BAD(cr4, 0x620 | 1 << 19);
	BAD(efer, 0x100);			/* LME, PG, not LMA */
	BAD(efer, 0x400);
	BAD(efer, 0x502);
	BAD(efer, 1ull << 63 | 0x500);
	BAD(cr3, 1ull << 63 | 0x2000);
	BAD(cr3, 1ull << 52 | 0x2000);
	BAD(apic_base, 0xfee00000 | 0x900 | 1);
	BAD(apic_base, 0xfee00000 | 0x400);	/* EXTD without EN */
	BAD(apic_base, 1ull << 63 | 0xfee00900);
	if (kvm_is_oot()) {
		BAD(cr8, 16);
		BAD(cr8, ~0ull);
	}
#undef BAD
	OK(ioctl(v->fd, KVM_GET_SREGS2, &s2));
	s2.flags = SREGS2_BAD_FLAG;
	FAILS(ioctl(v->fd, KVM_SET_SREGS2, &s2), EINVAL);
	s2.flags = 1ull << 63;
	FAILS(ioctl(v->fd, KVM_SET_SREGS2, &s2), EINVAL);
	s2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;	/* not in long mode */
	FAILS(ioctl(v->fd, KVM_SET_SREGS2, &s2), EINVAL);
	/* not long mode, but a long code segment or LMA */
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cr0 = 0x11;
	FAILS(ioctl(v->fd, KVM_SET_SREGS, &s), EINVAL);
	s.efer = 0;
	FAILS(ioctl(v->fd, KVM_SET_SREGS, &s), EINVAL);
	unchanged_since(v);
}

static void events(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct kvm_vcpu_events ok, e;
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	int bit, nr;

	read_state(v, &before);
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ok));
	for (bit = 4; bit < 32; bit++) {
		e = ok;
		e.flags |= 1u << bit;
		FAILS(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	}
	for (nr = 0; nr < 256; nr++) {
		if (nr < 32 && nr != 2)
			continue;
		e = ok;
		e.exception.injected = 1;
		e.exception.nr = nr;
		FAILS(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	}
	unchanged_since(v);
	OK(ioctl(v->vm->fd, KVM_ENABLE_CAP, &cap));
	read_state(v, &before);
	e = before.events;
	e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	e.exception.pending = 1;
	e.exception.nr = 32;
	FAILS(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	e.exception.nr = 2;
	FAILS(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	unchanged_since(v);
	/* it cannot be both: pending is what counts */
	e.exception.nr = 6;
	e.exception.injected = 1;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e));
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e));
	CHECK_EQ(e.exception.pending, 1);
	CHECK_EQ(e.exception.injected, 0);
}

static void other_registers(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct kvm_debugregs d;
	struct kvm_xcrs x;
	static struct kvm_xsave xs;
	static struct kvm_lapic_state lapic;
	struct kvm_guest_debug dbg = {};
	int bit;

	/* so that there is FPU state to lose */
	OK(ioctl(v->fd, KVM_GET_FPU, &before.fpu));
	memset(before.fpu.xmm, 0x5a, sizeof(before.fpu.xmm));
	OK(ioctl(v->fd, KVM_SET_FPU, &before.fpu));
	read_state(v, &before);

	d = before.debug;
	d.flags = 1;
	FAILS(ioctl(v->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
	for (bit = 32; bit < 64; bit++) {
		d = before.debug;
		d.dr6 |= 1ull << bit;
		FAILS(ioctl(v->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
		d = before.debug;
		d.dr7 |= 1ull << bit;
		FAILS(ioctl(v->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
	}

	x = before.xcrs;
	x.flags = 1;
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	x = before.xcrs;
	x.nr_xcrs = 17;
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	x.nr_xcrs = ~0u;
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	x = before.xcrs;
	x.xcrs[0].value = 0;			/* no x87 */
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	x.xcrs[0].value = 5;			/* AVX without SSE */
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	x.xcrs[0].value = 1ull << 63 | 1;
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	x.xcrs[0].value = 0x20 | 7;		/* part of AVX-512 */
	FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);

	/* XSTATE_BV, XCOMP_BV, reserved header, MXCSR */
	xs = before.xsave;
	xs.region[128 + 1] = 0x80000000;
	FAILS(ioctl(v->fd, KVM_SET_XSAVE, &xs), EINVAL);
	xs = before.xsave;
	xs.region[128 + 3] = 0x80000000;
	FAILS(ioctl(v->fd, KVM_SET_XSAVE, &xs), EINVAL);
	for (bit = 4; bit < 16; bit++) {
		xs = before.xsave;
		xs.region[128 + bit] = 1;
		FAILS(ioctl(v->fd, KVM_SET_XSAVE, &xs), EINVAL);
	}
	xs = before.xsave;
	xs.region[6] = 0xffff0000;
	xs.region[128] |= 3;
	FAILS(ioctl(v->fd, KVM_SET_XSAVE, &xs), EINVAL);

	/* in x2APIC mode the id is the vCPU's, whatever user space says that knows 8 bits of it */
	CHECK_EQ(vcpu_set_msr(v, 0x1b, 0xfee00d00), 1);
	read_state(v, &before);
	lapic = before.lapic;
	*(uint32_t *)(lapic.regs + 0x20) = 0x77000000;
	OK(ioctl(v->fd, KVM_SET_LAPIC, &lapic));

	if (kvm_is_oot()) {
		for (bit = 22; bit < 32; bit++) {
			dbg.control = KVM_GUESTDBG_ENABLE | 1u << bit;
			FAILS(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg), EINVAL);
		}
	}
	unchanged_since(v);
	dbg.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB;
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg));
	FAILS(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &dbg), EBUSY);
}

static void msr_values(void)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} bad[] = {
		{ 0xc0000080, 1ull << 63 }, { 0xc0000080, 2 }, { 0x277, 0x0202020202020202 },
		{ 0x277, 8 }, { 0x200, 0x0f07 }, { 0x2ff, 2 }, { 0x2ff, 1ull << 20 },
		{ 0x1b, 0xfee00401 }, { 0x1b, 0xfee00000 | 0x400 }, { 0x1b, 1ull << 63 },
		{ 0xc0000082, 1ull << 63 }, { 0xc0000100, 1ull << 63 },
		{ 0xc0000101, 1ull << 63 }, { 0xc0000102, 1ull << 63 },
		{ 0x175, 1ull << 63 }, { 0x176, 1ull << 63 },
		{ 0x4b564d02, 0x11 }, { 0x4b564d03, 3 }, { 0x4b564d04, 3 }, { 0x4b564d05, 2 },
		{ 0xdeadbeef, 0 }, { 0x40000000, 1 }, { 0x17b, 5 },
	};
	struct vcpu *v = make(VM_IRQCHIP);
	struct msrs m = { .m.nmsrs = 3 };
	unsigned int i;

	read_state(v, &before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!kvm_is_oot() && bad[i].index == 0x40000000)
			continue;
		/* user space's SYSENTER and bases may be anything that fits in them */
		if (!kvm_is_oot() && bad[i].index != 0x277 && bad[i].index != 0xc0000080 &&
		    bad[i].index != 0xdeadbeef)
			continue;
		if (bad[i].index == 0x175 || bad[i].index == 0x176 ||
		    bad[i].index == 0xc0000100 || bad[i].index == 0xc0000101)
			continue;
		if (vcpu_set_msr(v, bad[i].index, bad[i].value))
			st_fail(__FILE__, __LINE__, "MSR %#x takes %#llx", bad[i].index,
				(unsigned long long)bad[i].value);
	}
	unchanged_since(v);
	/* those before the bad one are written, those after it are not */
	m.e[0].index = 0xc0000102;
	m.e[0].data = 0x1111;
	m.e[1].index = 0xdeadbeef;
	m.e[2].index = 0xc0000082;
	m.e[2].data = 0x2222;
	CHECK_EQ(OK(ioctl(v->fd, KVM_SET_MSRS, &m)), 1);
	CHECK_EQ(vcpu_get_msr(v, 0xc0000102), 0x1111);
	CHECK(vcpu_get_msr(v, 0xc0000082) != 0x2222);
}

static int reg_io(struct vcpu *v, unsigned long request, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	return ioctl(v->fd, request, &reg);
}

/* What an MSR's id may be, api.rst 4.68: 0x2030 0002 and the MSR's number. */
static void one_reg(void)
{
	const uint64_t base = 0x2030000200000000;
	static const uint64_t others[] = {
		0, 0x277, 0x2000000200000277, 0x2020000200000277, 0x2040000200000277,
		0x1030000200000277, 0x2030000000000277, 0x2030000100000277, 0x2030000300000000,
		0x2030000300000001, 0x2030000400000277, 0x20300002ull << 24 | 0x277,
		0x2030010200000277, 0x2038000200000277, 0x203f000200000277, -1ull,
	};
	struct vcpu *v = make(VM_IRQCHIP);
	uint64_t value = 0x0007040600070406, kept = value, list[2] = { 1, 2 };
	unsigned int i;

	if (!kvm_cap(v->vm->dev, KVM_CAP_ONE_REG)) {
		CHECK(!kvm_is_oot());
		st_skip("the kernel's own module has no KVM_CAP_ONE_REG");
	}
	CHECK_EQ(KVM_X86_REG_MSR(0x277), base | 0x277);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		FAILS(reg_io(v, KVM_GET_ONE_REG, others[i], &value), EINVAL);
		FAILS(reg_io(v, KVM_SET_ONE_REG, others[i], &value), EINVAL);
	}
	FAILS(reg_io(v, KVM_GET_ONE_REG, base | 0xdeadbeef, &value), EINVAL);
	FAILS(reg_io(v, KVM_SET_ONE_REG, base | 0xdeadbeef, &value), EINVAL);
	CHECK_EQ(value, kept);
	FAILS(reg_io(v, KVM_GET_ONE_REG, base | 0x277, NULL), EFAULT);
	FAILS(reg_io(v, KVM_SET_ONE_REG, base | 0x277, NULL), EFAULT);
	FAILS(reg_io(v, KVM_SET_ONE_REG, base | 0x277, (void *)0xffff888000000000), EFAULT);
	/* both ways are one register; what a KVM_SET_MSRS refuses is refused */
	OK(reg_io(v, KVM_SET_ONE_REG, base | 0x277, &value));
	CHECK_EQ(vcpu_get_msr(v, 0x277), kept);
	value = 8;
	FAILS(reg_io(v, KVM_SET_ONE_REG, base | 0x277, &value), EINVAL);
	CHECK_EQ(vcpu_set_msr(v, 0xc0000082, 0xffffffff81000000), 1);
	OK(reg_io(v, KVM_GET_ONE_REG, base | 0xc0000082, &value));
	CHECK_EQ(value, 0xffffffff81000000);
	OK(reg_io(v, KVM_GET_ONE_REG, base | 0x277, &value));
	CHECK_EQ(value, kept);
	/* MSRs are not listed, and there is nothing else */
	OK(ioctl(v->fd, KVM_GET_REG_LIST, list));
	CHECK_EQ(list[0], 0);
	CHECK_EQ(list[1], 2);
}

static void msr_filter(void)
{
	struct vcpu *v = make(0);
	struct kvm_msr_filter f;
	uint64_t bits = 0;
	int vm = v->vm->fd, i;

	for (i = 1; i < 32; i++) {
		memset(&f, 0, sizeof(f));
		f.flags = 1u << i;
		if (kvm_is_oot())
			FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);
		memset(&f, 0, sizeof(f));
		f.ranges[15].flags = 1u << (i < 2 ? 2 : i);
		f.ranges[15].nmsrs = 64;
		f.ranges[15].bitmap = (void *)&bits;
		FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);
	}
	memset(&f, 0, sizeof(f));
	f.ranges[0].nmsrs = 64;
	f.ranges[0].bitmap = (void *)&bits;
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);	/* for nothing */
	f.ranges[0].flags = 3;
	f.ranges[0].nmsrs = KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8 + 1;
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);
	f.ranges[0].nmsrs = 1u << 31;
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);
	f.ranges[0].nmsrs = ~0u;
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);
	memset(&f, 0, sizeof(f));
	f.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	FAILS(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f), EINVAL);
	/* a range over the end of the indices */
	f.ranges[0].flags = 3;
	f.ranges[0].nmsrs = 64;
	f.ranges[0].base = ~0u;
	f.ranges[0].bitmap = (void *)&bits;
	f.flags = 0;
	OK(ioctl(vm, KVM_X86_SET_MSR_FILTER, &f));
}

static void mce_and_time(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct kvm_x86_mce mce = { .status = 1ull << 63 };
	struct kvm_clock_data clock = {};
	uint64_t cap;
	int bit, i;

	read_state(v, &before);
	cap = 0;
	FAILS(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
	cap = 33;
	FAILS(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
	cap = 255;
	FAILS(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
	for (bit = 28; bit < 64; bit++) {
		cap = 10 | 1ull << bit;
		FAILS(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
	}
	unchanged_since(v);
	cap = 10;
	OK(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap));
	read_state(v, &before);
	for (i = 10; i < 256; i++) {
		mce.bank = i;
		FAILS(ioctl(v->fd, KVM_X86_SET_MCE, &mce), EINVAL);
	}
	mce.bank = 0;
	mce.status = 0;
	FAILS(ioctl(v->fd, KVM_X86_SET_MCE, &mce), EINVAL);

	for (bit = 0; bit < 32; bit++) {
		if (1u << bit == KVM_CLOCK_REALTIME)
			continue;
		clock.flags = 1u << bit;
		/* those that tell something are ignored by the kernel's own */
		if (kvm_is_oot() || bit > 3)
			FAILS(ioctl(v->vm->fd, KVM_SET_CLOCK, &clock), EINVAL);
	}
	/* a CPU that scales can do any of it but the last */
	if (ioctl(v->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) <= 0) {
		FAILS(ioctl(v->fd, KVM_SET_TSC_KHZ, 1ul), EINVAL);
		if (kvm_is_oot()) {
			FAILS(ioctl(v->fd, KVM_SET_TSC_KHZ, ~0u), EINVAL);
			FAILS(ioctl(v->vm->fd, KVM_SET_TSC_KHZ, 1ul), EINVAL);
		}
	}
	if (kvm_is_oot())
		FAILS(ioctl(v->fd, KVM_SET_TSC_KHZ, ~0ul), EINVAL);
	FAILS(ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0ul), EINVAL);	/* no clock in use */
	unchanged_since(v);
}

static void signal_masks(void)
{
	struct vcpu *v = make(0);
	struct {
		struct kvm_signal_mask m;
		uint64_t set[16];
	} __packed a = {};
	static const uint32_t len[] = { 0, 1, 4, 7, 9, 16, 128, 1u << 31, ~0u };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(len); i++) {
		a.m.len = len[i];
		FAILS(ioctl(v->fd, KVM_SET_SIGNAL_MASK, &a), EINVAL);
	}
	/* also those that cannot be blocked */
	a.m.len = 8;
	a.set[0] = ~0ull;
	OK(ioctl(v->fd, KVM_SET_SIGNAL_MASK, &a));
	OK(ioctl(v->fd, KVM_SET_SIGNAL_MASK, NULL));
}

/* Once it has run, a guest's CPUID is what it is. */
static void cpuid_after_run(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	static struct cpuids c, d;
	struct kvm_cpuid_entry2 *e;

	c.c.nent = NR_CPUID;
	OK(ioctl(v->fd, KVM_GET_CPUID2, &c));
	/* an address width that no CPU has */
	d = c;
	e = cpuid_entry(&d.c, 0x80000008);
	e->eax = (e->eax & ~0xff00) | 40 << 8;
	FAILS(ioctl(v->fd, KVM_SET_CPUID2, &d), EINVAL);
	vcpu_start(v, BASIC_WRITE, GUEST_SHARED, 1);
	vcpu_expect_sync(v, 1);
	read_state(v, &before);
	OK(ioctl(v->fd, KVM_SET_CPUID2, &before.cpuid));
	/* without the paravirtual features: refused, and they are there still */
	d = before.cpuid;
	cpuid_entry(&d.c, 0x40000001)->eax = 0;
	FAILS(ioctl(v->fd, KVM_SET_CPUID2, &d), EINVAL);
	d = before.cpuid;
	d.c.nent--;
	FAILS(ioctl(v->fd, KVM_SET_CPUID2, &d), EINVAL);
	d.c.nent = 0;
	FAILS(ioctl(v->fd, KVM_SET_CPUID2, &d), EINVAL);
	d.c.nent = 1;
	FAILS(ioctl(v->fd, KVM_SET_CPUID, &d), EINVAL);
	unchanged_since(v);
}

/* A refused CPUID must not decide which paravirtual MSRs the guest may use. */
static void refused_cpuid_keeps_features(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	static struct cpuids c;
	struct kvm_regs r;
	/* mov $0x4b564d01, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; out %al, $0x5e; hlt */
	static const uint8_t code[] = { 0xb9, 0x01, 0x4d, 0x56, 0x4b, 0x31, 0xc0, 0x31, 0xd2,
					0x0f, 0x30, 0xe6, 0x5e, 0xf4 };

	OK(ioctl(v->fd, KVM_ENABLE_CAP, &cap));
	vcpu_start(v, BASIC_WRITE, GUEST_SHARED, 1);
	vcpu_expect_sync(v, 1);
	c.c.nent = NR_CPUID;
	OK(ioctl(v->fd, KVM_GET_CPUID2, &c));
	cpuid_entry(&c.c, 0x40000001)->eax = 0;
	FAILS(ioctl(v->fd, KVM_SET_CPUID2, &c), EINVAL);
	memcpy(vm_ptr(v->vm, GUEST_CODE16), code, sizeof(code));
	v->run->immediate_exit = 1;
	vcpu_run_raw(v);
	v->run->immediate_exit = 0;
	vcpu_regs(v, &r);
	r.rip = GUEST_CODE16;
	vcpu_set_regs(v, &r);
	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.size, 1);
}

/* ---- capabilities ------------------------------------------------------------ */

static bool enabled_on_vcpu(unsigned int cap)
{
	return cap == KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
}

static void capabilities(void)
{
	/* capabilities that are enabled without being answered to by that name */
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);
	struct kvm_enable_cap cap;
	unsigned int i, n;

	if (!kvm_is_oot())
		st_skip("the kernel's own module has others");
	read_state(v, &before);
	for (i = 0; i < 1200; i++) {
		n = i < 1000 ? i : 1u << (i % 32);
		memset(&cap, i & 1 ? 0xff : 0, sizeof(cap));
		cap.cap = n;
		cap.flags = 0;
		if (kvm_cap(v->vm->fd, n) == 0)
			FAILS(ioctl(v->vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
		if (!enabled_on_vcpu(n))
			FAILS(ioctl(v->fd, KVM_ENABLE_CAP, &cap), EINVAL);
		/* flags are none, whatever the capability */
		cap.flags = 1u << (i % 32);
		FAILS(ioctl(v->vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
		FAILS(ioctl(v->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	}
	unchanged_since(v);
}

static void capability_arguments(void)
{
	struct vcpu *v = make(VM_IRQCHIP);
	static const struct {
		unsigned int cap;
		uint64_t arg;
	} bad[] = {
		{ KVM_CAP_DISABLE_QUIRKS2, 1ull << 40 },
		{ KVM_CAP_X2APIC_API, 1ull << 32 },
		{ KVM_CAP_X2APIC_API, 0x10 },
		/* not with an IOAPIC in the kernel; they exclude each other */
		{ KVM_CAP_X2APIC_API, KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST },
		{ KVM_CAP_X2APIC_API, KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST |
				      KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST },
		{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, 0 },
		{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, 25 },				/* too late */
		{ KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_OFF |
					     KVM_BUS_LOCK_DETECTION_EXIT },
		{ KVM_CAP_X86_NOTIFY_VMEXIT, KVM_X86_NOTIFY_VMEXIT_ENABLED },	/* too late */
		{ KVM_CAP_X86_NOTIFY_VMEXIT, 1ull << 31 },
		{ KVM_CAP_X86_DISABLE_EXITS, 1ull << 20 },
		{ KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT },	/* too late */
		{ KVM_CAP_X86_USER_SPACE_MSR, 1ull << 20 },
		{ KVM_CAP_X86_USER_SPACE_MSR, 1ull << 32 },
		{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2 },
		{ KVM_CAP_HALT_POLL, 1ull << 32 },
	};
	struct kvm_enable_cap cap;
	unsigned int i;

	read_state(v, &before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* the kernel's own module does not mind vCPUs that there are */
		if (!kvm_is_oot() && bad[i].arg == KVM_X86_DISABLE_EXITS_HLT)
			continue;
		memset(&cap, 0, sizeof(cap));
		cap.cap = bad[i].cap;
		cap.args[0] = bad[i].arg;
		errno = 0;
		if (!ioctl(v->vm->fd, KVM_ENABLE_CAP, &cap) || errno != EINVAL)
			st_fail(__FILE__, __LINE__, "capability %u, %#llx: %s", bad[i].cap,
				(unsigned long long)bad[i].arg, strerror(errno));
	}
	unchanged_since(v);
}

/* ---- requests that are not offered ------------------------------------------- */

static bool offered(const struct call *c, unsigned int request, const unsigned int *more)
{
	for (; c->name; c++)
		if (c->request == request)
			return true;
	for (; *more; more++)
		if (*more == request)
			return true;
	return false;
}

static void unoffered(void)
{
	static const unsigned int dev_more[] = {
		KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION,
		KVM_GET_VCPU_MMAP_SIZE, 0
	};
	static const unsigned int vm_more[] = {
		KVM_CREATE_VCPU, KVM_CHECK_EXTENSION, KVM_SET_TSS_ADDR, KVM_SET_BOOT_CPU_ID,
		KVM_CREATE_IRQCHIP, KVM_CREATE_PIT, KVM_GET_STATS_FD, KVM_SET_TSC_KHZ,
		KVM_GET_TSC_KHZ, KVM_SET_NR_MMU_PAGES, KVM_GET_NR_MMU_PAGES,
		KVM_RESET_DIRTY_RINGS, 0
	};
	static const unsigned int vcpu_more[] = {
		KVM_RUN, KVM_NMI, KVM_SMI, KVM_SET_SIGNAL_MASK, KVM_GET_STATS_FD, KVM_SET_TSC_KHZ,
		KVM_GET_TSC_KHZ, KVM_KVMCLOCK_CTRL, KVM_PRE_FAULT_MEMORY, 0
	};
	static const unsigned int sizes[] = {
		0, 1, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 104, 112, 128, 144, 160,
		312, 320, 392, 416, 520, 1024, 4096, 16383
	};
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);
	struct {
		int fd, error;
		const struct call *calls;
		const unsigned int *more;
	} fds[] = {
		{ v->vm->dev, EINVAL, dev_calls, dev_more },
		{ v->vm->fd, ENOTTY, vm_calls, vm_more },
		{ v->fd, EINVAL, vcpu_calls, vcpu_more },
	};
	unsigned int f, nr, s, dir;
	static uint8_t arg[32768];

	if (!kvm_is_oot())
		st_skip("the kernel's own module offers others");
	read_state(v, &before);
	for (f = 0; f < 3; f++) {
		for (nr = 0; nr < 256; nr++) {
			for (s = 0; s < ARRAY_SIZE(sizes); s++) {
				for (dir = 0; dir < 4; dir++) {
					unsigned int request = _IOC(dir, KVMIO, nr, sizes[s]);
					long r;

					if (offered(fds[f].calls, request, fds[f].more))
						continue;
					errno = 0;
					r = ioctl(fds[f].fd, request, arg);
					if (r >= 0 || errno != fds[f].error)
						st_fail(__FILE__, __LINE__, "%#x on %u: %ld, %s",
							request, f, r, strerror(errno));
				}
			}
		}
		/* and of another type */
		FAILS(ioctl(fds[f].fd, _IO('T', 0x80), arg), fds[f].error);
	}
	unchanged_since(v);
}

/* ---- state: running, other processes, other uses of the descriptors ---------- */

static void on_signal(int sig)
{
}

static int waiting, back;
static long result;

static void *call_thread(void *arg)
{
	struct vcpu *v = arg;
	struct kvm_regs r;

	WRITE_ONCE(waiting, 1);
	WRITE_ONCE(result, ioctl(v->fd, KVM_GET_REGS, &r));
	WRITE_ONCE(back, 1);
	return NULL;
}

static pthread_t runner;
static struct vcpu *other;

static void *wait_thread(void *arg)
{
	uint64_t *count = vm_ptr(other->vm, GUEST_SHARED);
	pthread_t t;

	while (!READ_ONCE(*count))
		usleep(1000);
	pthread_create(&t, NULL, call_thread, other);
	while (!READ_ONCE(waiting))
		usleep(1000);
	usleep(150000);
	CHECK(!READ_ONCE(back));
	pthread_kill(runner, SIGUSR1);
	pthread_join(t, NULL);
	return NULL;
}

/* An ioctl on a vCPU that runs waits until KVM_RUN returns. */
static void while_running(void)
{
	struct vcpu *v = make(0);
	pthread_t t;

	OK(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL));
	other = v;
	runner = pthread_self();
	result = -1;
	CHECK_EQ(pthread_create(&t, NULL, wait_thread, NULL), 0);
	CHECK_EQ(-vcpu_run_raw(v), EINTR);
	pthread_join(t, NULL);
	CHECK(back);
	CHECK_EQ(result, 0);
}

/* Another process has the descriptors, but not the memory. */
static void other_process(void)
{
	struct vcpu *v = make(VM_IRQCHIP | VM_PIT);
	const struct call *c;
	static uint8_t arg[8192];
	int status;
	pid_t pid;

	read_state(v, &before);
	pid = fork();
	if (!pid) {
		for (c = vm_calls; c->name; c++)
			FAILS(ioctl(v->vm->fd, c->request, arg), EIO);
		for (c = vcpu_calls; c->name; c++)
			FAILS(ioctl(v->fd, c->request, arg), EIO);
		FAILS(ioctl(v->fd, KVM_RUN, 0ul), EIO);
		FAILS(ioctl(v->fd, KVM_NMI, 0ul), EIO);
		FAILS(ioctl(v->vm->fd, KVM_CREATE_VCPU, 1ul), EIO);
		FAILS(ioctl(v->vm->fd, KVM_CHECK_EXTENSION, 1ul), EIO);
		FAILS(ioctl(v->vm->fd, 0x1234, 1ul), EIO);
		CHECK(kvm_cap(v->vm->dev, KVM_CAP_IRQCHIP) == 1);
		_exit(0);
	}
	CHECK(pid > 0);
	OK(waitpid(pid, &status, 0));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		_exit(1);	/* it has said why */
	unchanged_since(v);
	vcpu_start(v, BASIC_WRITE, GUEST_SHARED, 1);
	vcpu_expect_sync(v, 1);
}

static void mappings(void)
{
	struct vcpu *v = make(0);
	size_t size = v->run_size;
	uint8_t *p;
	char buf[64] = "";
	unsigned int i;

	/* pages that there are not */
	for (i = 0; i < 40; i++) {
		off_t off = size + (i < 20 ? i * PAGE : PAGE << (i - 4));

		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, off);
		if (p == MAP_FAILED)
			continue;
		if (!st_bus_error(p))
			st_fail(__FILE__, __LINE__, "page at %#lx", (long)off);
		munmap(p, PAGE);
	}
	FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, v->vm->fd, 0), ENODEV);
	FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, v->vm->dev, 0), ENODEV);
	FAILS(write(v->fd, buf, 64), EINVAL);
	FAILS(read(v->vm->fd, buf, 64), EINVAL);
	FAILS(write(v->vm->dev, buf, 64), EINVAL);
	/* a private copy of kvm_run is a copy */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, v->fd, 0);
	CHECK(p != MAP_FAILED);
	memset(p, 0xff, PAGE);
	vcpu_start(v, BASIC_WRITE, GUEST_SHARED, 1);
	vcpu_expect_sync(v, 1);
}

static void stats_fd(void)
{
	struct vcpu *v = make(0);
	struct kvm_stats_header h;
	char buf[64];
	int i, fds[2];

	fds[0] = OK(ioctl(v->vm->fd, KVM_GET_STATS_FD, 0ul));
	fds[1] = OK(ioctl(v->fd, KVM_GET_STATS_FD, 0ul));
	for (i = 0; i < 2; i++) {
		CHECK_EQ(OK(pread(fds[i], &h, sizeof(h), 0)), sizeof(h));
		CHECK(write(fds[i], buf, 1) < 0);
		CHECK_EQ(OK(pread(fds[i], buf, 64, 1 << 30)), 0);
		CHECK(pread(fds[i], buf, 64, -1) < 0);
		CHECK_EQ(OK(pread(fds[i], buf, 0, 0)), 0);
		FAILS(pread(fds[i], half_page(), 64, 0), EFAULT);
		CHECK(ioctl(fds[i], KVM_GET_STATS_FD, 0ul) < 0);
	}
	/* they outlive both */
	close(v->fd);
	munmap(v->run, v->run_size);
	close(v->vm->fd);
	for (i = 0; i < 2; i++)
		CHECK_EQ(OK(pread(fds[i], &h, sizeof(h), 0)), sizeof(h));
}

static void run_arguments(void)
{
	struct vcpu *v = make(0);
	struct kvm_interrupt irq = { .irq = 256 };
	int i;

	FAILS(ioctl(v->fd, KVM_RUN, 1ul), EINVAL);
	FAILS(ioctl(v->fd, KVM_RUN, -1ul), EINVAL);
	for (i = 3; i < 64; i++) {
		v->run->kvm_valid_regs = 1ull << i;
		CHECK_EQ(-vcpu_run_raw(v), EINVAL);
		v->run->kvm_valid_regs = 0;
		v->run->kvm_dirty_regs = 1ull << i;
		CHECK_EQ(-vcpu_run_raw(v), EINVAL);
		v->run->kvm_dirty_regs = 0;
	}
	/* synced registers that cannot be */
	v->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	memset(&v->run->s.regs.sregs, 0xff, sizeof(v->run->s.regs.sregs));
	CHECK_EQ(-vcpu_run_raw(v), EINVAL);
	v->run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	memset(&v->run->s.regs.events, 0xff, sizeof(v->run->s.regs.events));
	CHECK_EQ(-vcpu_run_raw(v), EINVAL);
	v->run->kvm_dirty_regs = 0;
	v->run->cr8 = 16;
	CHECK_EQ(-vcpu_run_raw(v), EINVAL);
	v->run->cr8 = 0;
	FAILS(ioctl(v->fd, KVM_INTERRUPT, &irq), EINVAL);
	irq.irq = 0x40;
	OK(ioctl(v->fd, KVM_INTERRUPT, &irq));
	/* documented: one at a time */
	FAILS(ioctl(v->fd, KVM_INTERRUPT, &irq), EEXIST);
	vcpu_start(v, BASIC_WRITE, GUEST_SHARED, 1);
	vcpu_expect_sync(v, 1);
}

static const struct st_test tests[] = {
	{ "pointers_dev", pointers_dev },
	{ "pointers_vm", pointers_vm },
	{ "pointers_vcpu", pointers_vcpu },
	{ "pointers_bare", pointers_bare },
	{ "arrays", arrays },
	{ "dirty_log_is_kept", dirty_log_is_kept },
	{ "counts", counts },
	{ "ids", ids },
	{ "too_many_vcpus", too_many_vcpus },
	{ "slots", slots },
	{ "slot_without_memory", slot_without_memory },
	{ "strange_memory", strange_memory },
	{ "emulated_user_mode", emulated_user_mode },
	{ "dirty_log", dirty_log },
	{ "dirty_ring", dirty_ring },
	{ "pre_fault", pre_fault },
	{ "chips_order", chips_order },
	{ "no_irqchip", no_irqchip },
	{ "split_irqchip", split_irqchip },
	{ "with_irqchip", with_irqchip },
	{ "refused_addresses", refused_addresses },
	{ "routing", routing },
	{ "irqfds", irqfds },
	{ "ioeventfds", ioeventfds },
	{ "zones", zones },
	{ "sregs", sregs },
	{ "events", events },
	{ "other_registers", other_registers },
	{ "msr_values", msr_values },
	{ "one_reg", one_reg },
	{ "msr_filter", msr_filter },
	{ "mce_and_time", mce_and_time },
	{ "signal_masks", signal_masks },
	{ "cpuid_after_run", cpuid_after_run },
	{ "refused_cpuid_keeps_features", refused_cpuid_keeps_features },
	{ "capabilities", capabilities },
	{ "capability_arguments", capability_arguments },
	{ "unoffered", unoffered },
	{ "while_running", while_running },
	{ "other_process", other_process },
	{ "mappings", mappings },
	{ "stats_fd", stats_fd },
	{ "run_arguments", run_arguments },
	{}
};

ST_MAIN("badinput", tests)
