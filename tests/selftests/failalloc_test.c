// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocations that fail: for each call, the first allocation on its way fails, then
 * the second, and so on until none is left. The call must say so, or do without, and
 * leave nothing half made; the next one with enough memory works.
 *
 * Needs a host whose kernel can do it (/proc/thread-self/fail-nth).
 */
#include <linux/falloc.h>
#include <sys/eventfd.h>

#include "basic.h"
#include "st.h"

#define PAGE		4096ul
#define MOST		400	/* allocations that a call may make */

static int nth = -1;

static void set_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		st_note("%s: %s", path, strerror(errno));
	close(fd);
}

static void prepare(void)
{
	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth < 0)
		st_skip("the host's kernel has no fault injection");
	/* also those that may sleep, which ours are */
	set_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	set_file("/sys/kernel/debug/failslab/verbose", "0");
	set_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	set_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	set_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	set_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	CHECK_EQ(pwrite(nth, text, len, 0), len);
}

/* Did it happen? Else it may happen to the calls that ask: that ends it as well. */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		return false;
	if (!atol(text))
		return true;
	if (pwrite(nth, "0", 1, 0) != 1)
		CHECK_EQ(pwrite(nth, "0", 1, 0), 1);
	return false;
}

struct things {
	struct vm *vm;
	struct vcpu *v;
	int e, e2, made;
};

/* What must work again, with memory, whatever failed before. */
static void check_alive(struct things *t)
{
	struct kvm_regs r;

	OK(ioctl(t->v->fd, KVM_GET_REGS, &r));
	CHECK(kvm_cap(t->vm->fd, KVM_CAP_IRQCHIP) == 1);
}

/*
 * @call returns <0 with errno, as a system call does; @undo takes back what it made
 * when it succeeded.
 */
static void each(const char *name, struct things *t, long (*call)(struct things *t),
		 void (*undo)(struct things *t))
{
	unsigned int n;
	long r;
	int err;

	for (n = 1; n < MOST; n++) {
		errno = 0;
		arm(n);
		r = call(t);
		err = errno;
		if (!disarm()) {
			if (r < 0)
				st_fail(__FILE__, __LINE__, "%s: %s without a fault", name,
					strerror(err));
			if (undo)
				undo(t);
			break;
		}
		if (r < 0 && err != ENOMEM && err != EFAULT && err != ENFILE)
			st_fail(__FILE__, __LINE__, "%s, allocation %u: %s", name, n,
				strerror(err));
		if (r >= 0 && undo)
			undo(t);
		if (t->vm)
			check_alive(t);
	}
	st_note("%s: %u", name, n - 1);
	CHECK(n < MOST);
	/* with memory */
	r = call(t);
	if (r < 0)
		st_fail(__FILE__, __LINE__, "%s: %s afterwards", name, strerror(errno));
	if (undo)
		undo(t);
}

static void make_things(struct things *t)
{
	memset(t, 0, sizeof(*t));
	t->vm = vm_new(4 << 20, VM_IRQCHIP);
	t->v = vm_add_vcpu(t->vm, 0);
	t->e = eventfd(0, 0);
	t->e2 = eventfd(0, 0);
	prepare();
}

static void close_made(struct things *t)
{
	OK(close(t->made));
}

static long create_vm(struct things *t)
{
	return t->made = ioctl(t->e, KVM_CREATE_VM, 0ul);
}

static void vms(void)
{
	struct things t = {};

	prepare();
	t.e = kvm_open();
	each("KVM_CREATE_VM", &t, create_vm, close_made);
}

static unsigned int next_id;

/* a vCPU stays when it was made: each gets a number of its own */
static long create_vcpu(struct things *t)
{
	t->made = ioctl(t->vm->fd, KVM_CREATE_VCPU, (long)next_id);
	if (t->made >= 0)
		next_id++;
	return t->made;
}

static void vcpus(void)
{
	struct things t;

	make_things(&t);
	next_id = 1;
	each("KVM_CREATE_VCPU", &t, create_vcpu, close_made);
}

/* chips cannot be taken away: a VM for each try */
static int bare_vm = -1;

static long create_irqchip(struct things *t)
{
	return ioctl(bare_vm, KVM_CREATE_IRQCHIP, 0ul);
}

static long create_split(struct things *t)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	return ioctl(bare_vm, KVM_ENABLE_CAP, &cap);
}

static long create_pit(struct things *t)
{
	struct kvm_pit_config pit = {};

	return ioctl(bare_vm, KVM_CREATE_PIT2, &pit);
}

static void each_chip(const char *name, long (*call)(struct things *t), bool irqchip)
{
	struct things t = {};
	unsigned int n;
	int dev = kvm_open();
	bool more = true;

	prepare();
	for (n = 1; more && n < MOST; n++) {
		long r;
		int err;

		bare_vm = OK(ioctl(dev, KVM_CREATE_VM, 0ul));
		if (irqchip)
			OK(ioctl(bare_vm, KVM_CREATE_IRQCHIP, 0ul));
		arm(n);
		r = call(&t);
		err = errno;
		more = disarm();
		if (r < 0 && (!more || (err != ENOMEM && err != EFAULT)))
			st_fail(__FILE__, __LINE__, "%s, allocation %u: %s", name, n,
				strerror(err));
		/* the second try, with memory, finds nothing of the first */
		if (r < 0)
			OK(call(&t));
		else
			FAILS(call(&t), EEXIST);
		close(OK(ioctl(bare_vm, KVM_CREATE_VCPU, 0ul)));
		close(bare_vm);
	}
	st_note("%s: %u", name, n - 2);
	CHECK(n < MOST);
}

static void chips(void)
{
	each_chip("KVM_CREATE_IRQCHIP", create_irqchip, false);
	each_chip("KVM_CAP_SPLIT_IRQCHIP", create_split, false);
	each_chip("KVM_CREATE_PIT2", create_pit, true);
}

static long slot(struct things *t, uint64_t gpa, uint64_t size, uint32_t flags)
{
	struct kvm_userspace_memory_region r = {
		.slot = 1, .guest_phys_addr = gpa, .memory_size = size, .flags = flags,
		.userspace_addr = (uintptr_t)t->vm->mem,
	};

	return ioctl(t->vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static long add_slot(struct things *t)
{
	return slot(t, 16 << 20, 64 * PAGE, KVM_MEM_LOG_DIRTY_PAGES);
}

static void delete_slot(struct things *t)
{
	OK(slot(t, 0, 0, 0));
}

static long move_slot(struct things *t)
{
	return slot(t, 32 << 20, 64 * PAGE, KVM_MEM_LOG_DIRTY_PAGES);
}

static void move_back(struct things *t)
{
	OK(slot(t, 16 << 20, 64 * PAGE, KVM_MEM_LOG_DIRTY_PAGES));
}

static long log_slot(struct things *t)
{
	return slot(t, 16 << 20, 64 * PAGE, KVM_MEM_LOG_DIRTY_PAGES);
}

static void unlog_slot(struct things *t)
{
	OK(slot(t, 16 << 20, 64 * PAGE, 0));
}

static long remove_slot(struct things *t)
{
	return slot(t, 0, 0, 0);
}

static void slots(void)
{
	struct things t;

	make_things(&t);
	each("a slot", &t, add_slot, delete_slot);
	OK(add_slot(&t));
	each("a slot moves", &t, move_slot, move_back);
	unlog_slot(&t);
	each("a slot is logged", &t, log_slot, unlog_slot);
	each("a slot goes", &t, remove_slot, unlog_slot);
}

static long add_routing(struct things *t)
{
	struct {
		struct kvm_irq_routing r;
		struct kvm_irq_routing_entry e[3];
	} table = { .r.nr = 3, .e = {
		{ .gsi = 1, .type = KVM_IRQ_ROUTING_MSI },
		{ .gsi = 2, .type = KVM_IRQ_ROUTING_MSI },
		{ .gsi = 3000, .type = KVM_IRQ_ROUTING_MSI } } };

	return ioctl(t->vm->fd, KVM_SET_GSI_ROUTING, &table);
}

static long irqfd(struct things *t)
{
	struct kvm_irqfd a = { .fd = t->e, .gsi = 1, .flags = KVM_IRQFD_FLAG_RESAMPLE,
			       .resamplefd = t->e2 };

	return ioctl(t->vm->fd, KVM_IRQFD, &a);
}

static void un_irqfd(struct things *t)
{
	struct kvm_irqfd a = { .fd = t->e, .gsi = 1, .flags = KVM_IRQFD_FLAG_DEASSIGN };

	OK(ioctl(t->vm->fd, KVM_IRQFD, &a));
}

static long ioeventfd(struct things *t)
{
	struct kvm_ioeventfd a = { .fd = t->e, .addr = MMIO_BASE };

	return ioctl(t->vm->fd, KVM_IOEVENTFD, &a);
}

static void un_ioeventfd(struct things *t)
{
	struct kvm_ioeventfd a = { .fd = t->e, .addr = MMIO_BASE,
				   .flags = KVM_IOEVENTFD_FLAG_DEASSIGN };

	OK(ioctl(t->vm->fd, KVM_IOEVENTFD, &a));
}

static long remove_ioeventfd(struct things *t)
{
	struct kvm_ioeventfd a = { .fd = t->e, .addr = MMIO_BASE,
				   .flags = KVM_IOEVENTFD_FLAG_DEASSIGN };

	return ioctl(t->vm->fd, KVM_IOEVENTFD, &a);
}

static void add_ioeventfd(struct things *t)
{
	OK(ioeventfd(t));
}

static long zone(struct things *t)
{
	struct kvm_coalesced_mmio_zone z = { .addr = MMIO_BASE, .size = 64 };

	return ioctl(t->vm->fd, KVM_REGISTER_COALESCED_MMIO, &z);
}

static long remove_zone(struct things *t)
{
	struct kvm_coalesced_mmio_zone z = { .addr = MMIO_BASE, .size = 64 };

	return ioctl(t->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &z);
}

static void un_zone(struct things *t)
{
	OK(remove_zone(t));
}

static void add_zone(struct things *t)
{
	OK(zone(t));
}

static void buses(void)
{
	struct things t;

	make_things(&t);
	each("KVM_SET_GSI_ROUTING", &t, add_routing, NULL);
	each("KVM_IRQFD", &t, irqfd, un_irqfd);
	each("KVM_IOEVENTFD", &t, ioeventfd, un_ioeventfd);
	OK(ioeventfd(&t));
	each("KVM_IOEVENTFD, away", &t, remove_ioeventfd, add_ioeventfd);
	each("KVM_REGISTER_COALESCED_MMIO", &t, zone, un_zone);
	OK(zone(&t));
	/* removal cannot fail, and what was removed does not answer */
	each("KVM_UNREGISTER_COALESCED_MMIO", &t, remove_zone, add_zone);
}

static long filter(struct things *t)
{
	static uint64_t bits[8];
	struct kvm_msr_filter f = { .ranges = {
		{ .flags = 3, .nmsrs = 64, .base = 0x10, .bitmap = (void *)bits },
		{ .flags = 1, .nmsrs = 128, .base = 0x1000, .bitmap = (void *)bits } } };

	return ioctl(t->vm->fd, KVM_X86_SET_MSR_FILTER, &f);
}

static struct kvm_cpuid2 *cpuid;

static long set_cpuid(struct things *t)
{
	return ioctl(t->v->fd, KVM_SET_CPUID2, cpuid);
}

static long get_cpuid(struct things *t)
{
	cpuid->nent = 256;
	return ioctl(t->vm->dev, KVM_GET_SUPPORTED_CPUID, cpuid);
}

static long get_xsave(struct things *t)
{
	static struct kvm_xsave x;

	return ioctl(t->v->fd, KVM_GET_XSAVE, &x);
}

static long set_xsave(struct things *t)
{
	static struct kvm_xsave x;

	return ioctl(t->v->fd, KVM_SET_XSAVE, &x);
}

static long get_lapic(struct things *t)
{
	static struct kvm_lapic_state s;

	return ioctl(t->v->fd, KVM_GET_LAPIC, &s);
}

static long get_chip(struct things *t)
{
	static struct kvm_irqchip c;

	return ioctl(t->vm->fd, KVM_GET_IRQCHIP, &c);
}

static long stats(struct things *t)
{
	return t->made = ioctl(t->v->fd, KVM_GET_STATS_FD, 0ul);
}

static long x2apic(struct things *t)
{
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e;
	} msr = { .m.nmsrs = 1, .e = { .index = 0x1b, .data = 0xfee00d00 } };
	int r = ioctl(t->v->fd, KVM_SET_MSRS, &msr);

	/* without memory for the map, the old one is used: it works all the same */
	CHECK(r);
	return r;
}

static void xapic(struct things *t)
{
	CHECK_EQ(vcpu_set_msr(t->v, 0x1b, 0xfee00100), 1);
	CHECK_EQ(vcpu_set_msr(t->v, 0x1b, 0xfee00900), 1);
}

static void state(void)
{
	struct things t;

	make_things(&t);
	cpuid = kvm_supported_cpuid(t.vm->dev);
	each("KVM_X86_SET_MSR_FILTER", &t, filter, NULL);
	each("KVM_GET_SUPPORTED_CPUID", &t, get_cpuid, NULL);
	each("KVM_SET_CPUID2", &t, set_cpuid, NULL);
	each("KVM_GET_XSAVE", &t, get_xsave, NULL);
	each("KVM_SET_XSAVE", &t, set_xsave, NULL);
	each("KVM_GET_LAPIC", &t, get_lapic, NULL);
	each("KVM_GET_IRQCHIP", &t, get_chip, NULL);
	each("KVM_GET_STATS_FD", &t, stats, close_made);
	each("x2APIC", &t, x2apic, xapic);
}

/* KVM_RUN: the page tables of the guest, its memory, and the exit. */
static long run(struct things *t)
{
	int r = vcpu_run_raw(t->v);

	errno = -r;
	return r;
}

static void begin(struct things *t)
{
	OK(madvise(t->vm->mem + (2 << 20), 2 << 20, MADV_DONTNEED));
	/* new tables at the next entry */
	OK(slot(t, 16 << 20, 64 * PAGE, 0));
	OK(slot(t, 0, 0, 0));
	vcpu_start(t->v, BASIC_MEMORY, 2 << 20, 1 << 20);
}

static void runs(void)
{
	struct things t;

	make_things(&t);
	PAYLOAD(t.vm, basic);
	begin(&t);
	each("KVM_RUN", &t, run, begin);
}

/* ---- private memory --------------------------------------------------------------- */

#define PRIVATE_GPA	0x40000000ul

static int memfd = -1;

static long create_memfd(struct things *t)
{
	struct kvm_create_guest_memfd args = { .size = 64 * PAGE };

	return t->made = ioctl(t->vm->fd, KVM_CREATE_GUEST_MEMFD, &args);
}

static long private_slot(struct things *t)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = 1, .guest_phys_addr = PRIVATE_GPA, .memory_size = 64 * PAGE,
		.flags = KVM_MEM_GUEST_MEMFD, .userspace_addr = (uintptr_t)t->vm->mem,
		.guest_memfd = memfd,
	};

	return ioctl(t->vm->fd, KVM_SET_USER_MEMORY_REGION2, &r);
}

static long attributes(struct things *t, uint64_t page, uint64_t pages, uint64_t attrs)
{
	struct kvm_memory_attributes a = { PRIVATE_GPA + page * PAGE, pages * PAGE, attrs };

	return ioctl(t->vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

static unsigned int nr_private;

/* one more each time, apart from the others: the tree must grow */
static long make_private(struct things *t)
{
	return attributes(t, 2 * nr_private++ + 64, 1, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

static long make_shared(struct things *t)
{
	return attributes(t, 3, 2, 0);
}

static void all_private(struct things *t)
{
	OK(attributes(t, 0, 64, KVM_MEMORY_ATTRIBUTE_PRIVATE));
}

static long allocate(struct things *t)
{
	return fallocate(memfd, FALLOC_FL_KEEP_SIZE, 0, 64 * PAGE);
}

static void punch(struct things *t)
{
	OK(fallocate(memfd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 64 * PAGE));
}

static long pre_fault(struct things *t)
{
	struct kvm_pre_fault_memory p = { PRIVATE_GPA, PAGE };

	return ioctl(t->v->fd, KVM_PRE_FAULT_MEMORY, &p);
}

static void private_memory(void)
{
	struct things t = {};
	unsigned int i;
	int dev = kvm_open(), types = kvm_cap(dev, KVM_CAP_VM_TYPES);

	if (types <= 0 || !(types & BIT(KVM_X86_SW_PROTECTED_VM)))
		st_skip("there is no type of VM with private memory");
	t.vm = vm_new_type(4 << 20, VM_IRQCHIP, KVM_X86_SW_PROTECTED_VM);
	t.v = vm_add_vcpu(t.vm, 0);
	prepare();
	/* also those for the guest's pages */
	set_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	each("KVM_CREATE_GUEST_MEMFD", &t, create_memfd, close_made);
	memfd = OK(create_memfd(&t));
	each("a slot with private memory", &t, private_slot, delete_slot);
	OK(private_slot(&t));
	for (i = 0; i < 16; i++)
		each("KVM_SET_MEMORY_ATTRIBUTES", &t, make_private, NULL);
	all_private(&t);
	each("KVM_SET_MEMORY_ATTRIBUTES, in the middle", &t, make_shared, all_private);
	each("fallocate", &t, allocate, punch);
	each("KVM_PRE_FAULT_MEMORY", &t, pre_fault, punch);
}

static long create_device(struct things *t)
{
	struct kvm_create_device args = { .type = KVM_DEV_TYPE_VFIO };
	int r = ioctl(t->vm->fd, KVM_CREATE_DEVICE, &args);

	t->made = args.fd;
	return r;
}

static long set_file_of(struct things *t, int attr)
{
	int32_t fd = t->e;
	struct kvm_device_attr args = {
		.group = KVM_DEV_VFIO_FILE, .attr = attr, .addr = (uintptr_t)&fd,
	};

	return ioctl(t->made, KVM_SET_DEVICE_ATTR, &args);
}

static long add_file(struct things *t)
{
	return set_file_of(t, KVM_DEV_VFIO_FILE_ADD);
}

static void take_file(struct things *t)
{
	OK(set_file_of(t, KVM_DEV_VFIO_FILE_DEL));
}

static void devices(void)
{
	struct things t;

	make_things(&t);
	each("KVM_CREATE_DEVICE", &t, create_device, close_made);
	t.e = st_host_device("vfiofile", "/dev/kvm-oot-vfio");
	/* what is not coherent */
	CHECK_EQ(write(t.e, "n", 1), 1);
	OK(create_device(&t));
	each("KVM_DEV_VFIO_FILE_ADD", &t, add_file, take_file);
}

static const struct st_test tests[] = {
	{ "vms", vms, 300 },
	{ "vcpus", vcpus, 300 },
	{ "chips", chips, 300 },
	{ "slots", slots, 300 },
	{ "buses", buses, 300 },
	{ "state", state, 300 },
	{ "runs", runs, 300 },
	{ "private_memory", private_memory, 300 },
	{ "devices", devices, 300 },
	{}
};

ST_MAIN("failalloc", tests)
