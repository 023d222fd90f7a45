// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory: guest_memfd, memory attributes, VMs of type KVM_X86_SW_PROTECTED_VM
 * (payloads/gmem.c). What a guest writes to private memory is never seen in the shared
 * memory of the same address, nor the other way round, whatever user space does with
 * attributes, holes and descriptors in the meantime. And memory of a guest_memfd that user
 * space can map: it is the same for both.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gmem.h"
#include "st.h"

#define PAGE		4096ul
#define MIB		(1024 * 1024ul)
#define LARGE		(2 * MIB)
#define TESTED_GPA	0x40000000ul
#define TESTED_SLOT	1
#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define PRIVATE		KVM_MEMORY_ATTRIBUTE_PRIVATE
#define MEMFD		KVM_MEM_GUEST_MEMFD
#define MAPPED		(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

/* values of what is in shared and in private memory */
#define SHARED_VALUE	0x5a
#define PRIVATE_VALUE	0xb7

static bool has_private_vms(void)
{
	int dev = kvm_open();
	int types = kvm_cap(dev, KVM_CAP_VM_TYPES);

	close(dev);
	return types > 0 && (types & BIT(KVM_X86_SW_PROTECTED_VM));
}

static void need_private_vms(void)
{
	if (!has_private_vms())
		st_skip("there is no type of VM with private memory");
}

static int create_memfd(struct vm *vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd args = { .size = size, .flags = flags };

	return ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &args);
}

static int set_slot2(struct vm *vm, int slot, uint64_t gpa, uint64_t size, void *mem,
		     uint32_t flags, int memfd, uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)mem,
		.guest_memfd = memfd, .guest_memfd_offset = offset,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r);
}

static int set_attributes4(struct vm *vm, uint64_t gpa, uint64_t size, uint64_t attributes,
			   uint64_t flags)
{
	struct kvm_memory_attributes a = { gpa, size, attributes, flags };

	return ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

static void set_private(struct vm *vm, uint64_t gpa, uint64_t size, bool private)
{
	OK(set_attributes4(vm, gpa, size, private ? PRIVATE : 0, 0));
}

/* ---- a guest ------------------------------------------------------------------------ */

struct guest {
	struct vm *vm;
	uint8_t *mem;			/* shared memory behind TESTED_GPA */
	size_t size;
	int memfd;
	struct gm_shared *sh;
	unsigned int n;
	unsigned long syncs;
	pthread_t threads[GM_MAX_VCPUS];
};

static struct guest g;

static void add_vcpus(unsigned int vcpus, size_t size)
{
	unsigned int i;

	PAYLOAD(g.vm, gmem);
	g.sh = vm_ptr(g.vm, GUEST_SHARED);
	g.sh->start = TESTED_GPA;
	g.sh->pages = size / PAGE;
	g.sh->vcpus = vcpus;
	g.n = vcpus;
	g.syncs = 0;
	for (i = 0; i < vcpus; i++)
		vm_add_vcpu(g.vm, i);
}

/* A protected VM with @size bytes of either kind of memory; all of it is shared at first. */
static void new_guest(unsigned int vcpus, size_t size)
{
	need_private_vms();
	g.vm = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	g.size = size;
	g.mem = st_aligned_memory(size);
	g.memfd = OK(create_memfd(g.vm, size, 0));
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, MEMFD, g.memfd, 0));
	add_vcpus(vcpus, size);
}

static void map_memfd(void)
{
	g.mem = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_SHARED, g.memfd, 0);
	CHECK(g.mem != MAP_FAILED);
}

/* A plain VM whose memory is a guest_memfd that user space maps, too, elsewhere. */
static void new_mapped_guest(unsigned int vcpus, size_t size)
{
	g.vm = vm_new(2 * MIB, 0);
	if ((kvm_cap(g.vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS) & MAPPED) != MAPPED)
		st_skip("a guest_memfd cannot be mapped");
	g.size = size;
	g.memfd = OK(create_memfd(g.vm, size, MAPPED));
	map_memfd();
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, size, NULL, MEMFD, g.memfd, 0));
	add_vcpus(vcpus, size);
}

static void start_commands(void)
{
	vcpu_start(&g.vm->vcpus[0], GM_COMMANDS, 0, 0);
}

static void set_command(unsigned long op, unsigned long first, unsigned long count,
			unsigned long value)
{
	g.sh->op = op;
	g.sh->first = first;
	g.sh->count = count;
	g.sh->value = value;
}

static void command(unsigned long op, unsigned long first, unsigned long count,
		    unsigned long value)
{
	set_command(op, first, count, value);
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);
}

/* The command cannot be carried out: its first page has no memory of its kind. */
static void command_faults(uint64_t gpa, uint64_t flags)
{
	struct vcpu *v = &g.vm->vcpus[0];
	struct kvm_oot_memory_fault fault;
	int r;

	do {
		r = vcpu_run_raw(v);
	} while (r == -EINTR);
	CHECK_EQ(r, -EFAULT);
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	memcpy(&fault, &v->run->hw, sizeof(fault));
	CHECK_EQ(fault.flags, flags);
	CHECK_EQ(fault.gpa, gpa);
	CHECK_EQ(fault.size, PAGE);
}

static void shared_holds(unsigned long first, unsigned long count, unsigned long value)
{
	unsigned long page, j;

	for (page = first; page < first + count; page++)
		for (j = 0; j < 512; j++)
			CHECK_EQ(((uint64_t *)(g.mem + page * PAGE))[j], gm_word(page, value, j));
}

static bool all_zero(unsigned long first, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count * 512; i++)
		if (READ_ONCE(((uint64_t *)(g.mem + first * PAGE))[i]))
			return false;
	return true;
}

static void fill_shared(unsigned long value)
{
	unsigned long page, j;

	for (page = 0; page < g.size / PAGE; page++)
		for (j = 0; j < 512; j++)
			((uint64_t *)(g.mem + page * PAGE))[j] = gm_word(page, value, j);
}

/* ---- bad arguments --------------------------------------------------------------------- */

static void capabilities(void)
{
	struct vm *vm, *plain = vm_new(2 * MIB, 0);

	if (!has_private_vms()) {
		if (kvm_is_oot()) {
			CHECK_EQ(kvm_cap(plain->fd, KVM_CAP_GUEST_MEMFD), 1);
			CHECK_EQ(kvm_cap(plain->fd, KVM_CAP_GUEST_MEMFD_FLAGS), MAPPED);
			CHECK_EQ(kvm_cap(plain->dev, KVM_CAP_MEMORY_ATTRIBUTES), 0);
			CHECK(set_attributes4(plain, 0, PAGE, PRIVATE, 0) < 0);
		}
		FAILS(ioctl(plain->dev, KVM_CREATE_VM, (unsigned long)KVM_X86_SW_PROTECTED_VM),
		      EINVAL);
		return;
	}
	vm = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_USER_MEMORY2), 1);
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_GUEST_MEMFD), 1);
	CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_GUEST_MEMFD), 1);
	CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	CHECK_EQ(kvm_cap(plain->fd, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	CHECK(kvm_cap(vm->fd, KVM_CAP_VM_TYPES) & BIT(KVM_X86_DEFAULT_VM));
	if (kvm_is_oot()) {
		CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_VM_TYPES), 3);
		CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS), GUEST_MEMFD_FLAG_MMAP);
		CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_GUEST_MEMFD_FLAGS), MAPPED);
		CHECK_EQ(kvm_cap(plain->fd, KVM_CAP_GUEST_MEMFD_FLAGS), MAPPED);
		FAILS(ioctl(vm->dev, KVM_CREATE_VM, 2UL), EINVAL);
	}
	FAILS(ioctl(vm->dev, KVM_CREATE_VM, 63UL), EINVAL);
	FAILS(ioctl(vm->dev, KVM_CREATE_VM, 1UL << 32 | 1), EINVAL);
}

static void bad_create(void)
{
	struct vm *vm;
	unsigned long i;
	int fd;

	need_private_vms();
	vm = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	FAILS(ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, NULL), EFAULT);
	FAILS(create_memfd(vm, 0, 0), EINVAL);
	FAILS(create_memfd(vm, 1, 0), EINVAL);
	FAILS(create_memfd(vm, PAGE + 1, 0), EINVAL);
	FAILS(create_memfd(vm, PAGE - 1, 0), EINVAL);
	FAILS(create_memfd(vm, 1ul << 63, 0), EINVAL);
	FAILS(create_memfd(vm, -PAGE, 0), EINVAL);
	for (i = 0; i < 64; i++)
		if (!(kvm_cap(vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS) & 1ul << i))
			FAILS(create_memfd(vm, PAGE, 1ul << i), EINVAL);
	/* as large as a file can be costs nothing */
	fd = OK(create_memfd(vm, (1ul << 63) - PAGE, 0));
	OK(fallocate(fd, PUNCH, 0, (1ul << 63) - PAGE));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, (1ul << 63) - 2 * PAGE, PAGE));
	close(fd);
}

static void bad_slots(void)
{
	struct vm *vm, *other, *plain;
	int fd, alien, fds[2];
	uint8_t *mem;

	need_private_vms();
	vm = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	other = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	mem = st_aligned_memory(4 * MIB);
	fd = OK(create_memfd(vm, 8 * PAGE, 0));
	alien = OK(create_memfd(other, 8 * PAGE, 0));
#define BAD(err, size, flags, memfd, offset) \
	FAILS(set_slot2(vm, 1, TESTED_GPA, size, mem, flags, memfd, offset), err)
	/* what it is bound to */
	BAD(EBADF, PAGE, MEMFD, -1, 0);
	BAD(EINVAL, PAGE, MEMFD, alien, 0);
	BAD(EINVAL, PAGE, MEMFD, vm->fd, 0);
	BAD(EINVAL, PAGE, MEMFD, vm->dev, 0);
	OK(pipe(fds));
	BAD(EINVAL, PAGE, MEMFD, fds[0], 0);
	/* where in it */
	BAD(EINVAL, 9 * PAGE, MEMFD, fd, 0);
	BAD(EINVAL, PAGE, MEMFD, fd, 8 * PAGE);
	BAD(EINVAL, 2 * PAGE, MEMFD, fd, 7 * PAGE);
	BAD(EINVAL, PAGE, MEMFD, fd, 1);
	BAD(EINVAL, PAGE, MEMFD, fd, PAGE / 2);
	BAD(EINVAL, PAGE, MEMFD, fd, -PAGE);
	BAD(EINVAL, 2 * PAGE, MEMFD, fd, 1ul << 63);
	/* how */
	BAD(EINVAL, PAGE, MEMFD | KVM_MEM_READONLY, fd, 0);
	BAD(EINVAL, PAGE, MEMFD | KVM_MEM_LOG_DIRTY_PAGES, fd, 0);
	BAD(EINVAL, PAGE, MEMFD | 8, fd, 0);
	BAD(EINVAL, PAGE, 1u << 31, fd, 0);
	BAD(EINVAL, PAGE + 1, MEMFD, fd, 0);
	FAILS(set_slot2(vm, 1, TESTED_GPA, PAGE, mem + 1, MEMFD, fd, 0), EINVAL);
	FAILS(set_slot2(vm, 1, TESTED_GPA, PAGE, (void *)(1ul << 63), MEMFD, fd, 0), EINVAL);
	FAILS(set_slot2(vm, 1, 0, PAGE, mem, MEMFD, fd, 0), EEXIST);
	FAILS(set_slot2(vm, 1, TESTED_GPA, 0, mem, MEMFD, fd, 0), EINVAL);
	{
		struct kvm_userspace_memory_region r = {
			.slot = 1, .flags = MEMFD, .guest_phys_addr = TESTED_GPA,
			.memory_size = PAGE, .userspace_addr = (uintptr_t)mem,
		};

		FAILS(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r), EINVAL);
	}

	/* none of that has left anything behind */
	OK(set_slot2(vm, 1, TESTED_GPA, 4 * PAGE, mem, MEMFD, fd, 2 * PAGE));
	/* not twice the same page of the file */
#define TWICE(pages, offset) \
	FAILS(set_slot2(vm, 2, TESTED_GPA + MIB, (pages) * PAGE, mem + MIB, MEMFD, fd, \
			(offset) * PAGE), EEXIST)
	TWICE(4, 2);
	TWICE(1, 3);
	TWICE(3, 0);
	TWICE(3, 5);
	TWICE(8, 0);
	OK(set_slot2(vm, 2, TESTED_GPA + MIB, 2 * PAGE, mem + MIB, MEMFD, fd, 0));
	OK(set_slot2(vm, 3, TESTED_GPA + 2 * MIB, 2 * PAGE, mem + 2 * MIB, MEMFD, fd, 6 * PAGE));
	/* it is as it is */
	BAD(EINVAL, 4 * PAGE, MEMFD, fd, 2 * PAGE);
	BAD(EINVAL, 4 * PAGE, 0, -1, 0);
	BAD(EINVAL, 4 * PAGE, KVM_MEM_LOG_DIRTY_PAGES, -1, 0);
	FAILS(set_slot2(vm, 1, TESTED_GPA + 3 * MIB, 4 * PAGE, mem, MEMFD, fd, 2 * PAGE), EINVAL);
	FAILS(set_slot2(vm, 0, 0, 2 * MIB, vm->mem, MEMFD, fd, 0), EINVAL);
	/* but it can go, and its pages be bound again */
	OK(set_slot2(vm, 1, TESTED_GPA, 0, NULL, MEMFD, -1, 0));
	FAILS(set_slot2(vm, 4, TESTED_GPA, 8 * PAGE, mem, MEMFD, fd, 0), EEXIST);
	OK(set_slot2(vm, 4, TESTED_GPA, 3 * PAGE, mem, MEMFD, fd, 3 * PAGE));

	/* a plain VM may have such slots, but no private memory */
	plain = vm_new(2 * MIB, 0);
	if (kvm_cap(plain->fd, KVM_CAP_GUEST_MEMFD)) {
		fd = OK(create_memfd(plain, PAGE, 0));
		OK(set_slot2(plain, 1, TESTED_GPA, PAGE, mem, MEMFD, fd, 0));
		FAILS(set_attributes4(plain, TESTED_GPA, PAGE, PRIVATE, 0), EINVAL);
		OK(set_attributes4(plain, TESTED_GPA, PAGE, 0, 0));
		OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PAGE));
		OK(fallocate(fd, PUNCH, 0, PAGE));
	}
}

static void bad_attributes(void)
{
	struct vm *vm;
	unsigned long i;

	need_private_vms();
	vm = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	FAILS(ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, NULL), EFAULT);
	FAILS(set_attributes4(vm, 0, 0, PRIVATE, 0), EINVAL);
	FAILS(set_attributes4(vm, 1, PAGE, PRIVATE, 0), EINVAL);
	FAILS(set_attributes4(vm, 0, PAGE - 1, PRIVATE, 0), EINVAL);
	FAILS(set_attributes4(vm, 0, PAGE + 1, PRIVATE, 0), EINVAL);
	FAILS(set_attributes4(vm, PAGE, -PAGE, PRIVATE, 0), EINVAL);
	FAILS(set_attributes4(vm, -PAGE, 2 * PAGE, PRIVATE, 0), EINVAL);
	for (i = 0; i < 64; i++) {
		FAILS(set_attributes4(vm, 0, PAGE, PRIVATE, 1ul << i), EINVAL);
		if (1ul << i != PRIVATE)
			FAILS(set_attributes4(vm, 0, PAGE, 1ul << i, 0), EINVAL);
	}
	/* neither a slot nor memory need be there, and the whole of it is as good as a page */
	OK(set_attributes4(vm, 0, -PAGE, PRIVATE, 0));
	OK(set_attributes4(vm, 0, -PAGE, PRIVATE, 0));
	OK(set_attributes4(vm, -2 * PAGE, PAGE, 0, 0));
	OK(set_attributes4(vm, 0, -PAGE, 0, 0));
	for (i = 0; i < 2000; i++)
		set_private(vm, (i * 7919 % 4096) * PAGE, PAGE * (1 + i % 5), i % 3);
	OK(set_attributes4(vm, 0, -PAGE, 0, 0));
}

/* What cannot be done with the file, and what can. */
static void file(void)
{
	struct stat s, other;
	char path[64], c = 0;
	struct vm *vm;
	int fd, fd2;
	unsigned long i;

	need_private_vms();
	vm = vm_new_type(2 * MIB, 0, KVM_X86_SW_PROTECTED_VM);
	fd = OK(create_memfd(vm, 16 * PAGE, 0));
	fd2 = OK(create_memfd(vm, PAGE, 0));
	OK(fstat(fd, &s));
	OK(fstat(fd2, &other));
	CHECK_EQ(s.st_size, 16 * PAGE);
	CHECK_EQ(other.st_size, PAGE);
	CHECK_EQ(s.st_blksize, PAGE);
	CHECK(S_ISREG(s.st_mode));
	CHECK(s.st_ino != other.st_ino);
	FAILS(read(fd, &c, 1), EINVAL);
	FAILS(write(fd, &c, 1), EINVAL);
	CHECK(pread(fd, &c, 1, 0) < 0);
	CHECK(pwrite(fd, &c, 1, 0) < 0);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, ENODEV);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	FAILS(ftruncate(fd, PAGE), EINVAL);
	FAILS(ftruncate(fd, 32 * PAGE), EINVAL);
	FAILS(fchmod(fd, 0777), EINVAL);
	FAILS(fchown(fd, 1, 1), EINVAL);
	CHECK(ioctl(fd, KVM_RUN, 0) < 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(open(path, O_RDWR) < 0);
	OK(fstat(fd, &s));
	CHECK_EQ(s.st_size, 16 * PAGE);

	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 16 * PAGE));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 15 * PAGE, PAGE));
	FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 15 * PAGE, 2 * PAGE), EINVAL);
	FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 16 * PAGE, PAGE), EINVAL);
	FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 1ul << 62, PAGE), EINVAL);
	OK(fallocate(fd, PUNCH, 3 * PAGE, 2 * PAGE));
	OK(fallocate(fd, PUNCH, 15 * PAGE, 5 * PAGE));
	OK(fallocate(fd, PUNCH, 16 * PAGE, PAGE));
	OK(fallocate(fd, PUNCH, 17 * PAGE, PAGE));
	FAILS(fallocate(fd, PUNCH, 0, 0), EINVAL);
	FAILS(fallocate(fd, PUNCH, -PAGE, PAGE), EINVAL);
	for (i = 1; i < PAGE; i = i * 2 + 1) {
		FAILS(fallocate(fd, PUNCH, 0, i), EINVAL);
		FAILS(fallocate(fd, PUNCH, i, PAGE), EINVAL);
		FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, PAGE, i), EINVAL);
		FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, i, PAGE), EINVAL);
	}
	FAILS(fallocate(fd, 0, 0, PAGE), EOPNOTSUPP);
	FAILS(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EOPNOTSUPP);
	FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE), EOPNOTSUPP);
	OK(fstat(fd, &s));
	CHECK_EQ(s.st_size, 16 * PAGE);
}

/* ---- two kinds of memory ------------------------------------------------------------------- */

static void apart(void)
{
	unsigned long n = 1024, half = n / 2;

	new_guest(1, n * PAGE);
	start_commands();
	command(GM_WRITE, 0, n, SHARED_VALUE);
	shared_holds(0, n, SHARED_VALUE);

	set_private(g.vm, TESTED_GPA, g.size, true);
	command(GM_ZEROES, 0, n, 0);
	command(GM_WRITE, 0, n, PRIVATE_VALUE);
	command(GM_CHECK, 0, n, PRIVATE_VALUE);
	shared_holds(0, n, SHARED_VALUE);

	/* one half, back, every second page */
	set_private(g.vm, TESTED_GPA, half * PAGE, false);
	command(GM_CHECK, 0, half, SHARED_VALUE);
	command(GM_CHECK, half, half, PRIVATE_VALUE);
	command(GM_WRITE, 0, half, SHARED_VALUE + 1);
	shared_holds(0, half, SHARED_VALUE + 1);
	shared_holds(half, half, SHARED_VALUE);
	set_private(g.vm, TESTED_GPA, g.size, true);
	command(GM_CHECK, 0, n, PRIVATE_VALUE);

	OK(fallocate(g.memfd, PUNCH, half * PAGE, 10 * PAGE));
	command(GM_CHECK, 0, half, PRIVATE_VALUE);
	command(GM_ZEROES, half, 10, 0);
	command(GM_CHECK, half + 10, half - 10, PRIVATE_VALUE);
	shared_holds(0, half, SHARED_VALUE + 1);
	shared_holds(half, half, SHARED_VALUE);

	/* pages that are there already stay what they are */
	OK(fallocate(g.memfd, FALLOC_FL_KEEP_SIZE, 0, g.size));
	command(GM_CHECK, 0, half, PRIVATE_VALUE);
	command(GM_ZEROES, half, 10, 0);
	OK(fallocate(g.memfd, PUNCH, 0, g.size));
	command(GM_ZEROES, 0, n, 0);
	set_private(g.vm, TESTED_GPA, g.size, false);
	command(GM_CHECK, 0, half, SHARED_VALUE + 1);
}

/* A large page of shared memory must not reach over a private one. */
static void large(void)
{
	unsigned long n = 2048, page;

	new_guest(1, n * PAGE);
	madvise(g.mem, g.size, MADV_HUGEPAGE);
	fill_shared(SHARED_VALUE);
	start_commands();
	command(GM_CHECK, 0, n, SHARED_VALUE);
	/* the first, the last and one in the middle of 2 MiB; two at once across a border */
	static const unsigned long private[] = { 0, 511, 700, 1535, 1536, 2047 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(private); i++)
		set_private(g.vm, TESTED_GPA + private[i] * PAGE, PAGE, true);
	for (i = 0; i < ARRAY_SIZE(private); i++) {
		/* its neighbour first, with which it would come */
		page = private[i];
		command(GM_CHECK, page ^ 2, 1, SHARED_VALUE);
		command(GM_ZEROES, page, 1, 0);
		command(GM_WRITE, page, 1, PRIVATE_VALUE);
		command(GM_WRITE, page ^ 2, 1, SHARED_VALUE);
		command(GM_CHECK, page, 1, PRIVATE_VALUE);
	}
	shared_holds(0, n, SHARED_VALUE);
	set_private(g.vm, TESTED_GPA, g.size, false);
	command(GM_CHECK, 0, n, SHARED_VALUE);
	/* all of it, page by page, from the end */
	for (page = n; page--;)
		set_private(g.vm, TESTED_GPA + page * PAGE, PAGE, true);
	command(GM_WRITE, 0, n, PRIVATE_VALUE);
	shared_holds(0, n, SHARED_VALUE);
	set_private(g.vm, TESTED_GPA + 512 * PAGE, 512 * PAGE, false);
	command(GM_CHECK, 0, 512, PRIVATE_VALUE);
	command(GM_CHECK, 512, 512, SHARED_VALUE);
	command(GM_CHECK, 1024, 1024, PRIVATE_VALUE);
}

/* Slots show windows of one file; what is in it stays when they go. */
static void windows(void)
{
	new_guest(1, 16 * PAGE);
	set_private(g.vm, 0x20000000, 1ul << 30, true);
	start_commands();
	command(GM_WRITE, 0, 16, PRIVATE_VALUE);
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
	/* the second half first, far below; then the first half in its place, after a hole */
	OK(set_slot2(g.vm, 2, 0x30000000, 8 * PAGE, g.mem, MEMFD, g.memfd, 8 * PAGE));
	OK(set_slot2(g.vm, 3, TESTED_GPA, 8 * PAGE, g.mem, MEMFD, g.memfd, 0));
	command(GM_CHECK, 0, 8, PRIVATE_VALUE);
	g.sh->start = 0x30000000 - 8 * PAGE;
	command(GM_CHECK, 8, 8, PRIVATE_VALUE);
	/* a hole across both */
	OK(fallocate(g.memfd, PUNCH, 7 * PAGE, 2 * PAGE));
	command(GM_ZEROES, 8, 1, 0);
	command(GM_CHECK, 9, 7, PRIVATE_VALUE);
	g.sh->start = TESTED_GPA;
	command(GM_CHECK, 0, 7, PRIVATE_VALUE);
	command(GM_ZEROES, 7, 1, 0);
	/* a hole where no slot is */
	OK(set_slot2(g.vm, 3, TESTED_GPA, 0, NULL, 0, -1, 0));
	OK(fallocate(g.memfd, PUNCH, 0, 4 * PAGE));
	OK(set_slot2(g.vm, 3, TESTED_GPA, 8 * PAGE, g.mem, MEMFD, g.memfd, 0));
	command(GM_ZEROES, 0, 4, 0);
	command(GM_CHECK, 4, 3, PRIVATE_VALUE);
}

static void pre_fault(void)
{
	struct kvm_pre_fault_memory p;

	new_guest(1, 64 * PAGE);
	if (!kvm_cap(g.vm->fd, KVM_CAP_PRE_FAULT_MEMORY))
		st_skip("there is no KVM_PRE_FAULT_MEMORY");
	fill_shared(SHARED_VALUE);
	set_private(g.vm, TESTED_GPA + 8 * PAGE, 8 * PAGE, true);
	p = (struct kvm_pre_fault_memory) { TESTED_GPA, 64 * PAGE };
	while (p.size)
		OK(ioctl(g.vm->vcpus[0].fd, KVM_PRE_FAULT_MEMORY, &p));
	CHECK_EQ(p.gpa, TESTED_GPA + 64 * PAGE);
	start_commands();
	command(GM_CHECK, 0, 8, SHARED_VALUE);
	command(GM_ZEROES, 8, 8, 0);
	command(GM_CHECK, 16, 48, SHARED_VALUE);
	/* private memory that is not there */
	set_private(g.vm, GUEST_STACK_TOP, PAGE, true);
	p = (struct kvm_pre_fault_memory) { GUEST_STACK_TOP, PAGE };
	FAILS(ioctl(g.vm->vcpus[0].fd, KVM_PRE_FAULT_MEMORY, &p), EFAULT);
	CHECK_EQ(p.size, PAGE);
}

/* ---- no memory of the kind ----------------------------------------------------------------- */

static void memory_faults(void)
{
	uint64_t plain = 0x50000000;
	uint8_t *mem;

	new_guest(1, 16 * PAGE);
	mem = st_aligned_memory(16 * PAGE);
	OK(set_slot2(g.vm, 2, plain, 16 * PAGE, mem, 0, -1, 0));
	start_commands();
	command(GM_WRITE, 0, 16, SHARED_VALUE);

	/* private, where the slot has shared memory only */
	g.sh->start = plain;
	set_private(g.vm, plain + 4 * PAGE, PAGE, true);
	command(GM_WRITE, 0, 4, 1);
	set_command(GM_WRITE, 4, 2, 1);
	command_faults(plain + 4 * PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	command_faults(plain + 4 * PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	set_private(g.vm, plain + 4 * PAGE, PAGE, false);
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);
	CHECK_EQ(((uint64_t *)(mem + 4 * PAGE))[1], gm_word(4, 1, 1));
	/* read-only: a write is not MMIO, as it would be to shared memory */
	OK(set_slot2(g.vm, 2, plain, 0, mem, 0, -1, 0));
	OK(set_slot2(g.vm, 2, plain, 16 * PAGE, mem, KVM_MEM_READONLY, -1, 0));
	set_private(g.vm, plain + 5 * PAGE, PAGE, true);
	set_command(GM_WRITE, 5, 1, 1);
	command_faults(plain + 5 * PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	set_private(g.vm, plain + 5 * PAGE, PAGE, false);
	OK(set_slot2(g.vm, 2, plain, 0, mem, 0, -1, 0));
	/* no slot: private memory is no device */
	set_private(g.vm, plain, 16 * PAGE, true);
	command_faults(plain + 5 * PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	OK(set_slot2(g.vm, 2, plain, 16 * PAGE, mem, 0, -1, 0));
	set_private(g.vm, plain, 16 * PAGE, false);
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);

	/* the slot goes under private memory that is mapped */
	g.sh->start = TESTED_GPA;
	set_private(g.vm, TESTED_GPA, g.size, true);
	command(GM_WRITE, 0, 16, PRIVATE_VALUE);
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
	set_command(GM_CHECK, 3, 1, PRIVATE_VALUE);
	command_faults(TESTED_GPA + 3 * PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, g.size, g.mem, MEMFD, g.memfd, 0));
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);

	/* shared memory that the host has not */
	OK(mprotect(g.mem, g.size, PROT_NONE));
	command(GM_CHECK, 0, 16, PRIVATE_VALUE);
	set_private(g.vm, TESTED_GPA, PAGE, false);
	set_command(GM_CHECK, 0, 1, SHARED_VALUE);
	command_faults(TESTED_GPA, 0);
	OK(mprotect(g.mem, g.size, PROT_READ | PROT_WRITE));
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);

	/* the file goes */
	close(g.memfd);
	set_command(GM_CHECK, 0, 2, SHARED_VALUE);
	command_faults(TESTED_GPA + PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	set_private(g.vm, TESTED_GPA, g.size, false);
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);
	command(GM_CHECK, 0, 16, SHARED_VALUE);
	/* and what is left of the slot can be replaced */
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
	g.memfd = OK(create_memfd(g.vm, g.size, 0));
	OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, g.size, g.mem, MEMFD, g.memfd, 0));
	set_private(g.vm, TESTED_GPA, g.size, true);
	command(GM_ZEROES, 0, 16, 0);
}

/* ---- while the guest runs ------------------------------------------------------------------ */

static void *watcher(void *arg)
{
	struct vcpu *v = arg;

	vcpu_expect_done(v);
	return NULL;
}

static void start_watching(void)
{
	unsigned int i;

	for (i = 0; i < g.n; i++) {
		vcpu_start(&g.vm->vcpus[i], GM_WATCH, i, 0);
		CHECK(!pthread_create(&g.threads[i], NULL, watcher, &g.vm->vcpus[i]));
	}
}

static void phase(unsigned long kind, unsigned long value)
{
	__sync_synchronize();
	WRITE_ONCE(g.sh->phase, GM_PHASE(kind, value));
}

/* Each vCPU has seen some pages in the present phase. */
static void some_checks(unsigned long checks)
{
	unsigned long from[GM_MAX_VCPUS];
	unsigned int i;

	for (i = 0; i < g.n; i++)
		from[i] = READ_ONCE(g.sh->checks[i]);
	for (i = 0; i < g.n; i++)
		CHECK(UNTIL(READ_ONCE(g.sh->checks[i]) > from[i] + checks, 60));
}

static void have_filled(unsigned long value)
{
	unsigned int i;

	phase(GM_FILL, value);
	for (i = 0; i < g.n; i++)
		CHECK(UNTIL(READ_ONCE(g.sh->filled[i]) == GM_PHASE(GM_FILL, value), 60));
}

static void stop_watching(void)
{
	unsigned int i;

	phase(GM_STOP, 0);
	for (i = 0; i < g.n; i++)
		CHECK(!pthread_join(g.threads[i], NULL));
}

static void convert_running(void)
{
	unsigned long times = 0, page, j;
	double end;

	new_guest(2, 2 * LARGE);
	madvise(g.mem, g.size, MADV_HUGEPAGE);
	fill_shared(SHARED_VALUE);
	set_private(g.vm, TESTED_GPA, g.size, true);
	start_watching();
	have_filled(PRIVATE_VALUE);
	end = st_now() + 5;
	do {
		phase(GM_HOLDS, PRIVATE_VALUE);
		some_checks(20);
		phase(GM_CHANGING, 0);
		if (times % 2) {
			set_private(g.vm, TESTED_GPA, g.size, false);
		} else {
			/* in pieces, from the end; large pages come in between */
			for (page = g.size / PAGE; page; page -= 64)
				set_private(g.vm, TESTED_GPA + (page - 64) * PAGE, 64 * PAGE,
					    false);
		}
		phase(GM_HOLDS, SHARED_VALUE);
		some_checks(20);
		phase(GM_CHANGING, 0);
		if (times % 3 == 2)
			OK(madvise(g.mem, LARGE, MADV_DONTNEED));
		for (page = 0; page < g.size / PAGE; page += 32)
			set_private(g.vm, TESTED_GPA + page * PAGE, 32 * PAGE, true);
		for (page = 0; page < LARGE / PAGE && times % 3 == 2; page++)
			for (j = 0; j < 512; j++)
				((uint64_t *)(g.mem + page * PAGE))[j] =
					gm_word(page, SHARED_VALUE, j);
		times++;
	} while (st_now() < end || times < 6);
	stop_watching();
	shared_holds(0, g.size / PAGE, SHARED_VALUE);
	st_note("%lu times there and back", times);
}

/* All pages go, at once or 16 by 16. */
static void punch_all(bool at_once)
{
	size_t step = at_once ? g.size : 16 * PAGE, at;

	for (at = 0; at < g.size; at += step)
		OK(fallocate(g.memfd, PUNCH, at, step));
}

static void punch_running(void)
{
	unsigned long value = 1;
	double end;

	new_guest(2, 256 * PAGE);
	fill_shared(SHARED_VALUE);
	set_private(g.vm, TESTED_GPA, g.size, true);
	start_watching();
	end = st_now() + 5;
	do {
		have_filled(value);
		phase(GM_HOLDS, value);
		some_checks(20);
		phase(GM_CHANGING, 0);
		punch_all(value % 2);
		phase(GM_EMPTY, 0);
		some_checks(20);
		value++;
	} while (st_now() < end);
	stop_watching();
	shared_holds(0, g.size / PAGE, SHARED_VALUE);
	st_note("%lu holes", value);
}

/* ---- memory that is mapped, too ------------------------------------------------------------ */

static void mapped(void)
{
	struct vcpu *v;
	uint8_t *p;
	int fd;

	new_mapped_guest(1, 64 * PAGE);
	v = &g.vm->vcpus[0];
	fill_shared(SHARED_VALUE);
	start_commands();
	command(GM_CHECK, 0, 64, SHARED_VALUE);
	command(GM_WRITE, 0, 64, PRIVATE_VALUE);
	shared_holds(0, 64, PRIVATE_VALUE);
	/* a hole is one for both */
	OK(fallocate(g.memfd, PUNCH, 8 * PAGE, 8 * PAGE));
	CHECK(all_zero(8, 8));
	command(GM_ZEROES, 8, 8, 0);
	command(GM_CHECK, 16, 48, PRIVATE_VALUE);
	command(GM_WRITE, 8, 4, SHARED_VALUE);
	shared_holds(8, 4, SHARED_VALUE);
	OK(fallocate(g.memfd, PUNCH, 0, g.size));
	command(GM_ZEROES, 0, 64, 0);
	fill_shared(SHARED_VALUE);
	command(GM_CHECK, 0, 64, SHARED_VALUE);
	/* the mapping is nothing to the guest */
	OK(madvise(g.mem, g.size, MADV_DONTNEED));
	command(GM_CHECK, 0, 64, SHARED_VALUE);
	shared_holds(0, 64, SHARED_VALUE);
	OK(munmap(g.mem, g.size));
	command(GM_WRITE, 0, 64, PRIVATE_VALUE);
	map_memfd();
	shared_holds(0, 64, PRIVATE_VALUE);

	/* not a copy, not behind the end, and nothing is made of it */
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, g.memfd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	p = mmap(NULL, 66 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g.memfd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(!st_bus_error(p + 63 * PAGE));
	CHECK(st_bus_error(p + 64 * PAGE));
	CHECK(st_bus_error(p + 65 * PAGE));
	FAILS(madvise(p, 64 * PAGE, MADV_COLLAPSE), EINVAL);
	OK(munmap(p, 66 * PAGE));
	/* without something in it */
	fd = OK(create_memfd(g.vm, PAGE, GUEST_MEMFD_FLAG_MMAP));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(st_bus_error(p));
	OK(munmap(p, PAGE));
	close(fd);
	fd = OK(create_memfd(g.vm, PAGE, GUEST_MEMFD_FLAG_INIT_SHARED));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, ENODEV);
	close(fd);

	/* the mapping keeps the file, and the file the memory */
	close(g.memfd);
	command(GM_WRITE, 0, 64, SHARED_VALUE);
	shared_holds(0, 64, SHARED_VALUE);
	OK(munmap(g.mem, g.size));
	set_command(GM_CHECK, 0, 1, SHARED_VALUE);
	CHECK_EQ(-vcpu_run_raw(v), EFAULT);
}

static bool touched_enough;

static void *touch(void *arg)
{
	unsigned long page;

	while (!READ_ONCE(touched_enough))
		for (page = 0; page < g.size / PAGE; page++)
			(void)READ_ONCE(g.mem[page * PAGE]);
	return NULL;
}

/* Both go on using what is being thrown away. */
static void mapped_running(void)
{
	unsigned long value = 1;
	pthread_t toucher;
	double end;

	new_mapped_guest(2, 64 * PAGE);
	start_watching();
	CHECK(!pthread_create(&toucher, NULL, touch, NULL));
	end = st_now() + 5;
	do {
		have_filled(value);
		phase(GM_HOLDS, value);
		some_checks(20);
		shared_holds(0, 64, value);
		phase(GM_CHANGING, 0);
		punch_all(value % 2);
		phase(GM_EMPTY, 0);
		CHECK(all_zero(0, 64));
		some_checks(20);
		value++;
	} while (st_now() < end || value < 4);
	stop_watching();
	WRITE_ONCE(touched_enough, true);
	CHECK(!pthread_join(toucher, NULL));
	st_note("%lu holes", value);
}

/* Slots and files come and go under a guest that is told, and asks again. */
static bool stop_churn;

static void *faulting(void *arg)
{
	struct vcpu *v = arg;
	struct report rep;

	for (;;) {
		int r = vcpu_run_raw(v);

		if (r == -EFAULT || r == -EINTR) {
			if (READ_ONCE(stop_churn))
				return NULL;
			if (r == -EFAULT && v->run->exit_reason != KVM_EXIT_MEMORY_FAULT)
				st_fail(__FILE__, __LINE__, "exit %s", exit_text(v));
			continue;
		}
		CHECK_EQ(r, 0);
		if (v->run->exit_reason == KVM_EXIT_MMIO) {
			memset(v->run->mmio.data, 0, 8);
			continue;
		}
		if (vcpu_is_report(v, &rep))
			return NULL;
		st_fail(__FILE__, __LINE__, "exit %s", exit_text(v));
	}
}

static void churn(void)
{
	unsigned long times = 0;
	unsigned int i;
	double end;

	new_guest(2, 64 * PAGE);
	set_private(g.vm, TESTED_GPA, g.size, true);
	phase(GM_CHANGING, 0);
	for (i = 0; i < g.n; i++) {
		vcpu_start(&g.vm->vcpus[i], GM_WATCH, i, 0);
		CHECK(!pthread_create(&g.threads[i], NULL, faulting, &g.vm->vcpus[i]));
	}
	end = st_now() + 5;
	do {
		switch (times % 4) {
		case 0:
			close(g.memfd);
			OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
			break;
		case 1:
			OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
			close(g.memfd);
			break;
		case 2:
			OK(fallocate(g.memfd, PUNCH, 0, g.size));
			close(g.memfd);
			set_private(g.vm, TESTED_GPA, g.size, false);
			OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
			break;
		default:
			set_private(g.vm, TESTED_GPA, g.size / 2, false);
			OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
			set_private(g.vm, TESTED_GPA, g.size, true);
			close(g.memfd);
			break;
		}
		g.memfd = OK(create_memfd(g.vm, g.size, 0));
		OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, g.size, g.mem, MEMFD, g.memfd, 0));
		set_private(g.vm, TESTED_GPA, g.size, true);
		usleep(1000);
		times++;
	} while (st_now() < end);
	WRITE_ONCE(stop_churn, true);
	phase(GM_STOP, 0);
	for (i = 0; i < g.n; i++)
		CHECK(!pthread_join(g.threads[i], NULL));
	st_note("%lu files", times);
}

/* ---- lifetimes ----------------------------------------------------------------------------- */

/* One guest that has used its private memory, and is taken apart in one of six orders. */
static void one_life(unsigned int order)
{
	static const char orders[6][4] = { "fsv", "fvs", "sfv", "svf", "vfs", "vsf" };
	const char *o = orders[order % 6];
	int i;

	new_guest(1, 512 * PAGE);
	set_private(g.vm, TESTED_GPA, g.size, true);
	start_commands();
	command(GM_WRITE, 0, 512, PRIVATE_VALUE);
	if (order % 5 == 0)
		OK(fallocate(g.memfd, PUNCH, 100 * PAGE, 50 * PAGE));
	for (i = 0; i < 3; i++) {
		switch (o[i]) {
		case 'f':
			close(g.memfd);
			break;
		case 's':
			if (g.vm)
				OK(set_slot2(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0, -1, 0));
			break;
		case 'v':
			vm_free(g.vm);
			g.vm = NULL;
			/* the file is still one */
			if (i == 0 || (i == 1 && o[0] == 's')) {
				OK(fallocate(g.memfd, PUNCH, 0, 8 * PAGE));
				OK(fallocate(g.memfd, FALLOC_FL_KEEP_SIZE, 0, 16 * PAGE));
			}
			break;
		}
	}
	munmap(g.mem, g.size);
}

static void lifetimes(void)
{
	long before, after;
	unsigned int i;

	need_private_vms();
	/* what is kept for reuse is there after some */
	for (i = 0; i < 12; i++)
		one_life(i);
	before = st_named("/proc/meminfo", "MemAvailable");
	for (i = 0; i < 100; i++)
		one_life(i);
	/* 100 times 2 MiB */
	CHECK(UNTIL((after = st_named("/proc/meminfo", "MemAvailable")) > before - 40 * 1024, 20));
	st_note("%ld KiB available before, %ld after", before, after);
}

static void forked(void)
{
	int to[2], from[2], status;
	char c;
	pid_t pid;

	new_guest(1, 16 * PAGE);
	set_private(g.vm, TESTED_GPA, g.size, true);
	start_commands();
	command(GM_WRITE, 0, 16, PRIVATE_VALUE);
	OK(pipe(to));
	OK(pipe(from));
	pid = OK(fork());
	if (!pid) {
		/* the VM is not its, the file is */
		FAILS(set_attributes4(g.vm, TESTED_GPA, PAGE, 0, 0), EIO);
		FAILS(create_memfd(g.vm, PAGE, 0), EIO);
		OK(fallocate(g.memfd, PUNCH, 0, 4 * PAGE));
		OK(write(from[1], "p", 1));
		OK(read(to[0], &c, 1));
		_exit(0);
	}
	CHECK_EQ(read(from[0], &c, 1), 1);
	command(GM_ZEROES, 0, 4, 0);
	command(GM_CHECK, 4, 12, PRIVATE_VALUE);
	/* the child still has it */
	close(g.memfd);
	command(GM_CHECK, 4, 12, PRIVATE_VALUE);
	OK(write(to[1], "e", 1));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	set_command(GM_CHECK, 4, 1, PRIVATE_VALUE);
	command_faults(TESTED_GPA + 4 * PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	set_private(g.vm, TESTED_GPA, g.size, false);
	set_command(GM_ZEROES, 4, 1, 0);
	vcpu_expect_sync(&g.vm->vcpus[0], g.syncs++);
}

static const struct st_test tests[] = {
	{ "capabilities", capabilities },
	{ "bad_create", bad_create },
	{ "bad_slots", bad_slots },
	{ "bad_attributes", bad_attributes },
	{ "file", file },
	{ "apart", apart },
	{ "large", large },
	{ "windows", windows },
	{ "pre_fault", pre_fault },
	{ "memory_faults", memory_faults },
	{ "convert_running", convert_running, 120 },
	{ "punch_running", punch_running, 120 },
	{ "mapped", mapped },
	{ "mapped_running", mapped_running, 120 },
	{ "churn", churn, 120 },
	{ "lifetimes", lifetimes, 240 },
	{ "fork", forked },
	{}
};

ST_MAIN("gmem", tests)
