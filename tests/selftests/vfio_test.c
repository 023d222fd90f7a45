// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_DEVICE and VFIO's device, and what a VM does that has a device whose DMA may go
 * past the caches. Files of VFIO's are those of tests/host/vfiofile.c; the subtests "group" and
 * "guest" have real ones, where the host has an IOMMU and QEMU's device "edu".
 */
#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <linux/vfio.h>

#include "st.h"
#include "vfio.h"

#define PAGE		4096ul
#define MIB		(256 * PAGE)
#define NO_FILE		(-1)
#define ADD		KVM_DEV_VFIO_FILE_ADD
#define DEL		KVM_DEV_VFIO_FILE_DEL

/* ---- the device ------------------------------------------------------------------ */

/* 0 or -1 with errno; *fd as user space gets it */
static int create(int vm, uint32_t type, uint32_t flags, int *fd)
{
	struct kvm_create_device args = { .type = type, .fd = 0x1234, .flags = flags };
	int r = ioctl(vm, KVM_CREATE_DEVICE, &args);

	*fd = args.fd;
	return r;
}

static int device(struct vm *vm)
{
	int fd;

	OK(create(vm->fd, KVM_DEV_TYPE_VFIO, 0, &fd));
	return fd;
}

static int attr(int dev, unsigned long ioctl_nr, uint32_t group, uint64_t nr, const void *addr)
{
	struct kvm_device_attr a = { .group = group, .attr = nr, .addr = (uintptr_t)addr };

	return ioctl(dev, ioctl_nr, &a);
}

/* add a file or take it away */
static int set(int dev, uint64_t nr, int fd)
{
	int32_t arg = fd;

	return attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, nr, &arg);
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void create_errors(void)
{
	static const uint32_t no_types[] = { 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 0x80000004u, ~0u };
	struct vm *vm = vm_new(MIB, 0);
	int fd, other, n = open_files(), second = kvm_is_oot() ? EEXIST : EBUSY;
	unsigned int i;

	/* 6.1's own module has it, and does not say so */
	if (kvm_is_oot()) {
		CHECK_EQ(kvm_cap(vm->dev, KVM_CAP_DEVICE_CTRL), 1);
		CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_DEVICE_CTRL), 1);
	}
	for (i = 0; i < ARRAY_SIZE(no_types); i++) {
		FAILS(create(vm->fd, no_types[i], 0, &fd), ENODEV);
		FAILS(create(vm->fd, no_types[i], KVM_CREATE_DEVICE_TEST, &fd), ENODEV);
	}
	FAILS(ioctl(vm->fd, KVM_CREATE_DEVICE, NULL), EFAULT);
	FAILS(ioctl(vm->fd, KVM_CREATE_DEVICE, -8L), EFAULT);
	/* the kernel's own module looks at one flag only */
	for (i = 1; kvm_is_oot() && i < 32; i++) {
		uint32_t flag = BIT(i);

		FAILS(create(vm->fd, KVM_DEV_TYPE_VFIO, flag, &fd), EINVAL);
		flag |= KVM_CREATE_DEVICE_TEST;
		FAILS(create(vm->fd, KVM_DEV_TYPE_VFIO, flag, &fd), EINVAL);
		FAILS(create(vm->fd, 0, flag, &fd), ENODEV);
	}
	/* asking makes nothing */
	for (i = 0; i < 3; i++) {
		OK(create(vm->fd, KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST, &fd));
		CHECK_EQ(fd, 0x1234);
	}
	CHECK_EQ(open_files(), n);

	OK(create(vm->fd, KVM_DEV_TYPE_VFIO, 0, &fd));
	CHECK_EQ(open_files(), n + 1);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	FAILS(create(vm->fd, KVM_DEV_TYPE_VFIO, 0, &other), second);
	CHECK_EQ(other, 0x1234);
	CHECK_EQ(open_files(), n + 1);
	/* one is there, and it can be asked */
	OK(create(vm->fd, KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST, &other));
	FAILS(ioctl(vm->dev, KVM_CREATE_DEVICE, NULL), EINVAL);
}

static void a_second_one(void)
{
	struct vm *vm = vm_new(MIB, 0), *vm2 = vm_new(MIB, 0);
	int fd, copy, i, other;

	if (!kvm_is_oot())
		st_skip("6.1's own module keeps the device until the VM goes");
	for (i = 0; i < 20; i++) {
		fd = device(vm);
		/* of another VM's that is no concern */
		close(device(vm2));
		copy = dup(fd);
		close(fd);
		FAILS(create(vm->fd, KVM_DEV_TYPE_VFIO, 0, &other), EEXIST);
		close(copy);
	}
}

/* What fails on the way leaves no descriptor and no device. */
static void nothing_stays(void)
{
	struct kvm_create_device *args;
	struct vm *vm = vm_new(MIB, 0);
	struct rlimit old, none;
	int fd, n = open_files();

	if (!kvm_is_oot())
		st_skip("the kernel's own module leaves the descriptor that it could not tell of");
	OK(getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 3;
	OK(setrlimit(RLIMIT_NOFILE, &none));
	FAILS(create(vm->fd, KVM_DEV_TYPE_VFIO, 0, &fd), EMFILE);
	OK(setrlimit(RLIMIT_NOFILE, &old));

	args = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(args != MAP_FAILED);
	args->type = KVM_DEV_TYPE_VFIO;
	OK(mprotect(args, PAGE, PROT_READ));
	FAILS(ioctl(vm->fd, KVM_CREATE_DEVICE, args), EFAULT);
	CHECK_EQ(open_files(), n);
	close(device(vm));
}

static void attributes(void)
{
	struct vm *vm = vm_new(MIB, 0);
	int dev = device(vm), null = OK(open("/dev/null", O_RDWR)), group, nr;

	for (group = 0; group < 4; group++) {
		for (nr = 0; nr < 5; nr++) {
			bool is = group == KVM_DEV_VFIO_FILE && (nr == ADD || nr == DEL);

			if (is)
				OK(attr(dev, KVM_HAS_DEVICE_ATTR, group, nr, NULL));
			else
				FAILS(attr(dev, KVM_HAS_DEVICE_ATTR, group, nr, NULL), ENXIO);
			if (!is)
				FAILS(attr(dev, KVM_SET_DEVICE_ATTR, group, nr, &null), ENXIO);
			FAILS(attr(dev, KVM_GET_DEVICE_ATTR, group, nr, &null), EPERM);
		}
	}
	FAILS(attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, 1ull << 32 | ADD, NULL), ENXIO);
	FAILS(ioctl(dev, KVM_SET_DEVICE_ATTR, NULL), EFAULT);
	FAILS(ioctl(dev, KVM_HAS_DEVICE_ATTR, NULL), EFAULT);
	for (nr = ADD; nr <= DEL; nr++) {
		FAILS(attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, nr, NULL), EFAULT);
		FAILS(attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, nr, (void *)-2l), EFAULT);
		FAILS(set(dev, nr, NO_FILE), EBADF);
		FAILS(set(dev, nr, 1000), EBADF);
		FAILS(set(dev, nr, INT_MIN), EBADF);
	}
	/* none of VFIO's; itself least of all */
	FAILS(set(dev, ADD, null), EINVAL);
	FAILS(set(dev, ADD, vm->fd), EINVAL);
	FAILS(set(dev, ADD, dev), EINVAL);
	FAILS(set(dev, DEL, null), ENOENT);
	FAILS(ioctl(dev, KVM_CREATE_VCPU, 0L), ENOTTY);
	FAILS(ioctl(dev, KVM_CHECK_EXTENSION, 0L), ENOTTY);
	FAILS(read(dev, &nr, sizeof(nr)), EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, 0) == MAP_FAILED);
}

/* A VM has a directory in debugfs, until nobody holds it any more. */
static bool has_vm(void)
{
	struct dirent *e;
	bool found = false;
	char name[32];
	DIR *d;

	d = opendir("/sys/kernel/debug/kvm");
	if (!d)
		st_skip("no debugfs");
	snprintf(name, sizeof(name), "%d-", getpid());
	while ((e = readdir(d)))
		found |= !strncmp(e->d_name, name, strlen(name));
	closedir(d);
	return found;
}

static void in_child(int dev, int32_t *fd)
{
	struct kvm_device_attr a = { .group = KVM_DEV_VFIO_FILE, .attr = ADD };
	int pid = fork(), status;

	if (!pid) {
		a.addr = (uintptr_t)fd;
		if (ioctl(dev, KVM_HAS_DEVICE_ATTR, &a) != -1 || errno != EIO)
			_exit(1);
		if (ioctl(dev, KVM_SET_DEVICE_ATTR, &a) != -1 || errno != EIO)
			_exit(2);
		if (ioctl(dev, KVM_GET_DEVICE_ATTR, &a) != -1 || errno != EIO)
			_exit(3);
		if (ioctl(dev, KVM_CREATE_VCPU, 0) != -1 || errno != EIO)
			_exit(4);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void lifetimes(void)
{
	struct vm *vm = vm_new(MIB, 0);
	int dev = device(vm), vcpu;
	int32_t null = OK(open("/dev/null", O_RDWR));
	struct kvm_regs regs;

	in_child(dev, &null);
	OK(attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, ADD, NULL));

	/* the VM's descriptor first: the device keeps the VM */
	vcpu = OK(ioctl(vm->fd, KVM_CREATE_VCPU, 0L));
	close(vm->fd);
	OK(attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, ADD, NULL));
	FAILS(set(dev, ADD, null), EINVAL);
	OK(ioctl(vcpu, KVM_GET_REGS, &regs));
	close(vcpu);
	CHECK(has_vm());
	close(dev);
	CHECK(!has_vm());

	/* the device first */
	vm = vm_new(MIB, 0);
	close(device(vm));
	OK(ioctl(vm->fd, KVM_CREATE_VCPU, 0L));
}

/* ---- files ------------------------------------------------------------------------- */

struct file_state {
	uint64_t has_vm, set, taken, held;
};

static int open_vfio(void)
{
	return st_host_device("vfiofile", "/dev/kvm-oot-vfio");
}

static struct file_state state_of(int file)
{
	struct file_state s;

	CHECK_EQ(read(file, &s, sizeof(s)), sizeof(s));
	return s;
}

static void tell(int file, char what)
{
	CHECK_EQ(write(file, &what, 1), 1);
}

static void check_state(int file, bool vm, unsigned int n, unsigned int taken)
{
	struct file_state s = state_of(file);

	CHECK_EQ(s.has_vm, vm);
	CHECK_EQ(s.set, n);
	CHECK_EQ(s.taken, taken);
}

static void files(void)
{
	int a = open_vfio(), b = open_vfio(), copy = dup(a), dev, dev2;
	struct vm *vm = vm_new(MIB, 0), *vm2 = vm_new(MIB, 0);

	dev = device(vm);
	FAILS(set(dev, DEL, a), ENOENT);
	OK(set(dev, ADD, a));
	check_state(a, true, 1, 0);
	check_state(b, false, 0, 0);
	/* the file, not its descriptor */
	FAILS(set(dev, ADD, a), EEXIST);
	FAILS(set(dev, ADD, copy), EEXIST);
	FAILS(set(dev, DEL, b), ENOENT);
	check_state(a, true, 1, 0);
	OK(set(dev, ADD, b));
	OK(set(dev, DEL, copy));
	check_state(a, false, 1, 1);
	check_state(b, true, 1, 0);
	FAILS(set(dev, DEL, a), ENOENT);
	OK(set(dev, ADD, a));
	check_state(a, true, 2, 1);

	/* each VM has a device of its own */
	dev2 = device(vm2);
	FAILS(set(dev2, DEL, a), ENOENT);
	if (!kvm_is_oot())
		return;

	/* with the device all of them go */
	close(dev);
	check_state(a, false, 2, 2);
	check_state(b, false, 1, 1);
	dev = device(vm);
	OK(set(dev, ADD, a));
	/* the file stays as long as the device has it: its release would complain */
	OK(set(dev, ADD, b));
	close(b);
	close(vm->fd);
	close(dev);
	check_state(a, false, 3, 3);
}

/* A driver of VFIO's holds a VM for as long as its device is open. */
static void held_vm(void)
{
	struct vm *vm = vm_new(MIB, 0);
	int a = open_vfio(), dev = device(vm);

	FAILS(write(a, "o", 1), EINVAL);
	OK(set(dev, ADD, a));
	tell(a, 'o');
	CHECK_EQ(state_of(a).held, 1);
	OK(set(dev, DEL, a));
	close(vm->fd);
	CHECK(has_vm());
	close(dev);
	check_state(a, false, 1, 1);
	CHECK(has_vm());
	tell(a, 'x');
	CHECK(!has_vm());
}

/* ---- a guest ------------------------------------------------------------------------ */

#define MEM		(32 * MIB)
#define WHERE		(16 * MIB)	/* 2 MiB-aligned, and free */

static struct guest {
	struct vm *vm;
	struct vcpu *v;
	struct vf_order *o;
} g;

static void new_guest(void)
{
	g.vm = vm_new(MEM, VM_IRQCHIP);
	g.v = vm_add_vcpu(g.vm, 0);
	PAYLOAD(g.vm, vfio);
	g.o = vm_ptr(g.vm, GUEST_SHARED);
	vcpu_start(g.v, 0, 0, 0);
	vcpu_run_to_report(g.v);
}

static uint64_t order(uint64_t op, uint64_t addr, uint64_t count, uint64_t value)
{
	uint64_t r;

	*g.o = (struct vf_order) { op, addr, count, value };
	r = vcpu_run_to_report(g.v).b;
	vcpu_run_to_report(g.v);
	return r;
}

/* of all VMs, of which there is one */
static uint64_t mapped(void)
{
	return st_counter("/sys/kernel/debug/kvm/pages_4k") +
	       st_counter("/sys/kernel/debug/kvm/pages_2m") +
	       st_counter("/sys/kernel/debug/kvm/pages_1g");
}

/* Do mappings depend on what DMA does: not where the guest's PAT always counts. */
static bool mappings_go(void)
{
	return st_shadow_paging() || st_param_is("kvm_intel", "ept", 'Y');
}

static void touch(void)
{
	order(VF_WRITE, WHERE, 1024, 0x1000);
	order(VF_CHECK, WHERE, 1024, 0x1000);
	CHECK(mapped() > 0);
}

static void check_gone(bool gone)
{
	uint64_t n = mapped();

	if (gone)
		CHECK_EQ(n, 0);
	else
		CHECK(n > 0);
	order(VF_CHECK, WHERE, 1024, 0x1000);
	touch();
}

/* Mappings go with the first file that is not coherent, and with the last. */
static void coherency(void)
{
	int a = open_vfio(), b = open_vfio(), c = open_vfio(), dev;
	bool go = mappings_go();

	if (!kvm_is_oot())
		st_skip("how mappings go is the module's");
	new_guest();
	dev = device(g.vm);
	touch();
	OK(set(dev, ADD, a));
	check_gone(false);
	tell(b, 'n');
	tell(c, 'n');
	OK(set(dev, ADD, b));
	check_gone(go);
	OK(set(dev, ADD, c));
	check_gone(false);
	OK(set(dev, DEL, b));
	check_gone(false);
	/* that it is coherent now is seen when the next one comes or goes */
	tell(c, 'c');
	check_gone(false);
	OK(set(dev, DEL, a));
	check_gone(go);
	tell(c, 'n');
	OK(set(dev, ADD, a));
	check_gone(go);
	/* all files go with the device */
	close(dev);
	check_gone(go);
	close(device(g.vm));
	check_gone(false);
}

/* KVM_X86_QUIRK_IGNORE_GUEST_PAT: whose disabling is as good as such a device */
static void pat_quirk(void)
{
	int quirks;

	if (!kvm_is_oot())
		st_skip("6.1's own module does not have the quirk");
	new_guest();
	quirks = kvm_cap(g.vm->fd, KVM_CAP_DISABLE_QUIRKS2);
	if (!(quirks & KVM_X86_QUIRK_IGNORE_GUEST_PAT)) {
		FAILS(kvm_enable(g.vm->fd, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_IGNORE_GUEST_PAT),
		      EINVAL);
		st_skip("this CPU cannot let guests choose");
	}
	touch();
	OK(kvm_enable(g.vm->fd, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_OUT_7E_INC_RIP));
	check_gone(false);
	OK(kvm_enable(g.vm->fd, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_IGNORE_GUEST_PAT));
	check_gone(mappings_go());
	OK(kvm_enable(g.vm->fd, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_IGNORE_GUEST_PAT));
	check_gone(false);
}

#define COUNTERS	"/sys/kernel/debug/kvm-oot-debug/"

static bool counts(void)
{
	return !access(COUNTERS "guest_types", R_OK);
}

static uint64_t guest_types(void)
{
	return counts() ? st_counter(COUNTERS "guest_types") : 0;
}

/* Memory of every type, by small pages and large ones, and types that change: it is memory. */
static void memory_types(void)
{
	/* as Linux has it, and another */
	static const uint64_t pats[] = { 0x0407050600070106, 0x0007040600070406, 0x0606060606060606,
					 0x0001040506070001 };
	int a = open_vfio(), dev;
	uint64_t value = 1, types;
	unsigned int on, p, i;

	new_guest();
	dev = device(g.vm);
	tell(a, 'n');
	for (on = 0; on < 3; on++) {
		if (on != 1 || set(dev, ADD, a))
			CHECK(on != 1);
		types = guest_types();
		for (p = 0; p < ARRAY_SIZE(pats); p++) {
			order(VF_PAT, 0, 1, pats[p]);
			for (i = 0; i < 8; i++) {
				order(VF_LARGE, WHERE, 1, i);
				order(VF_WRITE, WHERE, 512, value += 1000);
				order(VF_SMALL, WHERE, 1, 7 - i);
				order(VF_CHECK, WHERE, 512, value);
				order(VF_WRITE, WHERE, 256, value += 1000);
				/* entries that are in use, one by one */
				order(VF_CACHED, WHERE, 256, i);
				order(VF_CHECK, WHERE, 256, value);
				order(VF_WRITE, WHERE, 512, value += 1000);
				order(VF_LARGE, WHERE, 1, i);
				order(VF_CHECK, WHERE, 512, value);
			}
		}
		/* entries of ours that leave it to the guest, if the module counts them */
		if (on == 1 && mappings_go() && counts())
			CHECK(guest_types() > types);
		else
			CHECK_EQ(guest_types(), types);
		if (on == 1)
			OK(set(dev, DEL, a));
	}
}

/* ---- WBINVD -------------------------------------------------------------------------- */

static uint64_t written_back(void)
{
	return st_counter(COUNTERS "written_back");
}

/* The CPUs that this thread may run on; true when there are two. */
static bool two_cpus(int cpus[2])
{
	cpu_set_t all;
	int i, n = 0;

	OK(sched_getaffinity(0, sizeof(all), &all));
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &all))
			cpus[n++] = i;
	return n == 2;
}

static void run_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	OK(sched_setaffinity(0, sizeof(one), &one));
}

/* How many CPUs' caches an order to the guest writes back. */
static uint64_t writes_back(uint64_t op, uint64_t count)
{
	uint64_t n = written_back();

	order(op, 0, count, 0);
	return written_back() - n;
}

static void wbinvd(void)
{
	int a = open_vfio(), dev, cpus[2];
	bool two = two_cpus(cpus);

	written_back();
	run_on(cpus[0]);
	new_guest();
	dev = device(g.vm);
	/* nothing to do for coherent devices */
	CHECK_EQ(writes_back(VF_WBINVD, 10), 0);
	OK(set(dev, ADD, a));
	CHECK_EQ(writes_back(VF_WBINVD, 10), 0);
	OK(set(dev, DEL, a));

	tell(a, 'n');
	/* before the device comes the guest runs elsewhere, too */
	if (two) {
		run_on(cpus[1]);
		order(VF_WRITE, WHERE, 1, 1);
		run_on(cpus[0]);
		order(VF_WRITE, WHERE, 1, 1);
	}
	OK(set(dev, ADD, a));
	CHECK_EQ(writes_back(VF_WBINVD, 1), two ? 2 : 1);
	CHECK_EQ(writes_back(VF_WBINVD, 1), 1);
	CHECK_EQ(writes_back(VF_WBINVD, 10), 10);
	CHECK_EQ(writes_back(VF_WBNOINVD, 3), 3);
	/* QEMU says that INVD was WBINVD: docs/emulator-faults.md */
	if (!st_on_tcg())
		CHECK_EQ(writes_back(VF_INVD, 3), 0);
	if (two) {
		/* what it wrote after the last one is on the other CPU */
		run_on(cpus[1]);
		CHECK_EQ(writes_back(VF_WBINVD, 1), 2);
		CHECK_EQ(writes_back(VF_WBINVD, 1), 1);
		order(VF_WRITE, WHERE, 1, 1);
		run_on(cpus[0]);
		order(VF_WRITE, WHERE, 1, 1);
		run_on(cpus[1]);
		CHECK_EQ(writes_back(VF_WBINVD, 2), 3);
	}
	OK(set(dev, DEL, a));
	CHECK_EQ(writes_back(VF_WBINVD, 10), 0);
}

/* ---- VFIO's own ------------------------------------------------------------------------ */

/* QEMU's device for lessons: docs/specs/edu.txt */
#define EDU_ID		0x0	/* 0x010000ed */
#define EDU_NOT		0x4	/* reads as what was written, inverted */
#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_RUN		1
#define EDU_TO_MEMORY	2
#define EDU_BUFFER	0x40000

#define BAR_GPA		MMIO_BASE

static struct real {
	int container, group, device;
	char name[64];
	bool coherent;
} real;

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY), n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

static void load_module(const char *name)
{
	int status, pid = fork();

	if (!pid) {
		execlp("modprobe", "modprobe", name, NULL);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (status)
		st_skip("no module %s", name);
}

static void find_edu(void)
{
	struct dirent *e;
	DIR *d = opendir("/sys/bus/pci/devices");
	char path[400], text[16];

	real.name[0] = 0;
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/device", e->d_name);
		if (read_text(path, text, sizeof(text)) && !strcmp(text, "0x11e8\n"))
			snprintf(real.name, sizeof(real.name), "%.40s", e->d_name);
	}
	if (d)
		closedir(d);
	if (!real.name[0])
		st_skip("the host has no device for this");
}

static void open_group(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[400], link[400];
	int n;

	find_edu();
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", real.name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		st_skip("the host has no IOMMU");
	link[n] = 0;
	load_module("vfio-pci");
	load_module("vfio_iommu_type1");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", real.name);
	CHECK(st_write(path, "vfio-pci"));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", real.name);
	if (access(path, F_OK))
		CHECK(st_write("/sys/bus/pci/drivers_probe", real.name));

	real.container = OK(open("/dev/vfio/vfio", O_RDWR));
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	real.group = OK(open(path, O_RDWR));
	OK(ioctl(real.group, VFIO_GROUP_GET_STATUS, &status));
	CHECK(status.flags & VFIO_GROUP_FLAGS_VIABLE);
	OK(ioctl(real.group, VFIO_GROUP_SET_CONTAINER, &real.container));
	OK(ioctl(real.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	real.coherent = OK(ioctl(real.container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU));
	st_note("DMA of %s is%s coherent", real.name, real.coherent ? "" : " not");
}

static void open_device(void)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command = 6;	/* memory, bus master */

	real.device = OK(ioctl(real.group, VFIO_GROUP_GET_DEVICE_FD, real.name));
	OK(ioctl(real.device, VFIO_DEVICE_GET_REGION_INFO, &info));
	CHECK_EQ(pwrite(real.device, &command, 2, info.offset + 4), 2);
}

static bool kernel_since(long major, long minor)
{
	char text[64], *dot;
	long is;

	CHECK(read_text("/proc/sys/kernel/osrelease", text, sizeof(text)));
	is = strtol(text, &dot, 10);
	CHECK_EQ(*dot, '.');
	return is > major || (is == major && strtol(dot + 1, NULL, 10) >= minor);
}

static void group(void)
{
	bool go;
	int dev;

	open_group();
	new_guest();
	go = mappings_go() && !real.coherent && kvm_is_oot();
	dev = device(g.vm);
	touch();
	FAILS(set(dev, DEL, real.group), ENOENT);
	FAILS(set(dev, ADD, real.container), EINVAL);
	OK(set(dev, ADD, real.group));
	check_gone(go);
	FAILS(set(dev, ADD, real.group), EEXIST);
	OK(set(dev, DEL, real.group));
	check_gone(go);
	OK(set(dev, ADD, real.group));
	check_gone(go);
	open_device();
	/* in newer kernels a device's file is as good */
	if (kernel_since(6, 6)) {
		OK(set(dev, ADD, real.device));
		FAILS(set(dev, ADD, real.device), EEXIST);
		OK(set(dev, DEL, real.device));
	} else {
		FAILS(set(dev, ADD, real.device), EINVAL);
	}

	close(g.v->fd);
	OK(munmap(g.v->run, g.v->run_size));
	close(g.vm->fd);
	close(dev);
	/* newer kernels hold the VM whatever the device's driver */
	CHECK_EQ(has_vm(), kernel_since(6, 2));
	close(real.device);
	CHECK(!has_vm());
}

static void wait_for_dma(void)
{
	CHECK(UNTIL(!(order(VF_READ32, BAR_GPA + EDU_COMMAND, 1, 0) & EDU_RUN), 20));
}

static void dma(uint32_t from, uint32_t to, uint32_t bytes, uint32_t command)
{
	order(VF_WRITE32, BAR_GPA + EDU_SRC, 1, from);
	order(VF_WRITE32, BAR_GPA + EDU_DST, 1, to);
	order(VF_WRITE32, BAR_GPA + EDU_COUNT, 1, bytes);
	order(VF_WRITE32, BAR_GPA + EDU_COMMAND, 1, EDU_RUN | command);
	wait_for_dma();
}

/* A guest drives a device of the host's: its registers, and DMA from and to the guest's memory. */
static void guest_drives(void)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
	};
	int dev, cpus[2], i;
	void *regs;

	open_group();
	new_guest();
	dev = device(g.vm);
	OK(set(dev, ADD, real.group));
	open_device();
	OK(ioctl(real.device, VFIO_DEVICE_GET_REGION_INFO, &bar));
	CHECK(bar.flags & VFIO_REGION_INFO_FLAG_MMAP);
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, real.device, bar.offset);
	CHECK(regs != MAP_FAILED);
	vm_set_slot(g.vm, 1, BAR_GPA, bar.size, regs, 0);
	map.vaddr = (uintptr_t)g.vm->mem;
	map.size = MEM;
	OK(ioctl(real.container, VFIO_IOMMU_MAP_DMA, &map));

	CHECK_EQ(order(VF_READ32, BAR_GPA + EDU_ID, 1, 0), 0x010000ed);
	order(VF_WRITE32, BAR_GPA + EDU_NOT, 1, 0x12345678);
	CHECK_EQ(order(VF_READ32, BAR_GPA + EDU_NOT, 1, 0), 0xedcba987);
	for (i = 0; i < 3; i++) {
		order(VF_WRITE, WHERE, 1, 0xabcd0000 + i);
		order(VF_WRITE, WHERE + PAGE, 1, 0);
		order(VF_WBINVD, 0, 1, 0);
		dma(WHERE, EDU_BUFFER, 8, 0);
		dma(EDU_BUFFER, WHERE + PAGE, 8, EDU_TO_MEMORY);
		order(VF_CHECK, WHERE + PAGE, 1, 0xabcd0000 + i);
		/* with mappings of another kind */
		if (i == 0)
			OK(set(dev, DEL, real.group));
		else if (i == 1)
			OK(set(dev, ADD, real.group));
	}
	if (!access(COUNTERS "written_back", R_OK) && two_cpus(cpus))
		CHECK_EQ(writes_back(VF_WBINVD, 1) > 0, !real.coherent);
}

static const struct st_test tests[] = {
	{ "create_errors", create_errors },
	{ "a_second_one", a_second_one },
	{ "nothing_stays", nothing_stays },
	{ "attributes", attributes },
	{ "lifetimes", lifetimes },
	{ "files", files },
	{ "held_vm", held_vm },
	{ "coherency", coherency },
	{ "pat_quirk", pat_quirk },
	{ "memory_types", memory_types, 300 },
	{ "wbinvd", wbinvd },
	{ "group", group },
	{ "guest", guest_drives },
	{ }
};

ST_MAIN("vfio", tests)
