// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host does with a guest's memory what it does with any other: pages it out,
 * merges, moves, collapses and splits it, throws it away, protects it, forks. The
 * guest meanwhile writes and checks every byte of it (payloads/hostmem.c).
 *
 * Each subtest also shows by the host's own counters that the thing happened; if
 * the host cannot do it, the subtest is skipped.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>

#include "basic.h"
#include "hostmem.h"
#include "st.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define TESTED_GPA	0x40000000ul
#define TESTED_SLOT	1
#define MIB		(1024 * 1024ul)
#define LARGE		(2 * MIB)
#define PAGE		4096ul

/* ---- the host's files ---------------------------------------------------------- */

static long get_number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	return text[0] ? atol(text) : -1;
}

/* What get_number() has given; nothing, where there was no such file. */
static void put_number(const char *path, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	if (value >= 0)
		st_write(path, text);
}

static long vmstat(const char *name)
{
	return st_named("/proc/vmstat", name);
}

/* the counters of a VM, or of a vCPU, which must not be running then */
static int stats_of(int of)
{
	int fd = ioctl(of, KVM_GET_STATS_FD, 0UL);

	if (fd < 0)
		st_skip("no binary stats");
	return fd;
}

static uint64_t counter(int fd, const char *name)
{
	struct kvm_stats_header h;
	uint64_t value = 0;
	uint32_t i;

	CHECK_EQ(pread(fd, &h, sizeof(h), 0), sizeof(h));
	for (i = 0; i < h.num_desc; i++) {
		struct {
			struct kvm_stats_desc d;
			char name[64];
		} s;
		size_t size = sizeof(s.d) + h.name_size;

		CHECK(h.name_size <= sizeof(s.name));
		CHECK_EQ(pread(fd, &s, size, h.desc_offset + i * size), size);
		if (!strcmp(s.name, name)) {
			CHECK_EQ(pread(fd, &value, 8, h.data_offset + s.d.offset), 8);
			return value;
		}
	}
	st_fail(__FILE__, __LINE__, "no counter %s", name);
}

static uint64_t vm_stat(struct vm *vm, const char *name)
{
	int fd = stats_of(vm->fd);
	uint64_t value = counter(fd, name);

	close(fd);
	return value;
}

/* ---- the guest ------------------------------------------------------------------- */

struct guest {
	struct vm *vm;
	uint8_t *mem;			/* what is behind TESTED_GPA */
	size_t size;
	struct hm_shared *sh;
	unsigned int n;
	unsigned long holds;
	pthread_t threads[HM_MAX_VCPUS];
	bool may_fault;			/* KVM_RUN may say EFAULT: it is tried again */
	unsigned long faults;		/* how often it did */
	unsigned long mmio;		/* reads where no slot is */
	struct report last[HM_MAX_VCPUS];
	size_t ring_bytes;		/* of each vCPU's dirty ring; 0: none */
	bool with_bitmap;		/* and bitmaps beside them */
	struct kvm_dirty_gfn *rings[HM_MAX_VCPUS];
	unsigned int collected[HM_MAX_VCPUS];	/* entries, since the beginning */
};

static struct guest g;

/* The smallest rings of at least g.ring_bytes. */
static void enable_ring(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING };

	if (!kvm_cap(g.vm->fd, cap.cap))
		st_skip("there is no dirty ring");
	for (;; g.ring_bytes *= 2) {
		cap.args[0] = g.ring_bytes;
		if (!ioctl(g.vm->fd, KVM_ENABLE_CAP, &cap))
			break;
		if (errno != EINVAL)
			st_fail(__FILE__, __LINE__, "no ring of %zu bytes: %s", g.ring_bytes,
				strerror(errno));
	}
	if (!g.with_bitmap)
		return;
	/* before any slot */
	cap.cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP;
	vm_set_slot(g.vm, 0, 0, 0, NULL, 0);
	OK(ioctl(g.vm->fd, KVM_ENABLE_CAP, &cap));
	vm_set_slot(g.vm, 0, 0, g.vm->size, g.vm->mem, 0);
}

static void new_guest(unsigned int vcpus, uint8_t *mem, size_t size, unsigned int flags)
{
	unsigned int i;

	g.vm = vm_new(2 * MIB, 0);
	if (g.ring_bytes)
		enable_ring();
	g.mem = mem;
	g.size = size;
	g.n = vcpus;
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, mem, flags);
	PAYLOAD(g.vm, hostmem);
	g.sh = vm_ptr(g.vm, GUEST_SHARED);
	g.sh->start = TESTED_GPA;
	g.sh->pages = size / PAGE;
	g.sh->vcpus = vcpus;
	CHECK(g.sh->pages <= HM_MAX_PAGES);
	for (i = 0; i < vcpus; i++) {
		struct vcpu *v = vm_add_vcpu(g.vm, i);

		if (!g.ring_bytes)
			continue;
		g.rings[i] = mmap(NULL, g.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
				  64 * PAGE);
		CHECK(g.rings[i] != MAP_FAILED);
	}
}

/* KVM_RUN said EFAULT: of which page? */
static void check_memory_fault(struct vcpu *v)
{
	struct kvm_oot_memory_fault fault;

	if (!kvm_cap(v->vm->fd, KVM_CAP_MEMORY_FAULT_INFO))
		return;
	memcpy(&fault, &v->run->hw, sizeof(fault));
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	CHECK_EQ(fault.flags, 0);
	CHECK_EQ(fault.size, PAGE);
	CHECK(fault.gpa >= TESTED_GPA && fault.gpa < TESTED_GPA + g.size && !(fault.gpa % PAGE));
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	for (;;) {
		int r = vcpu_run_raw(v);

		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r == -EFAULT && READ_ONCE(g.may_fault)) {
			check_memory_fault(v);
			__atomic_add_fetch(&g.faults, 1, __ATOMIC_SEQ_CST);
			usleep(1000);
			continue;
		}
		if (r)
			st_fail(__FILE__, __LINE__, "KVM_RUN: %s", strerror(-r));
		if (v->run->exit_reason == KVM_EXIT_MMIO && !v->run->mmio.is_write) {
			/* newer than anything */
			memset(v->run->mmio.data, 0x7f, 8);
			__atomic_add_fetch(&g.mmio, 1, __ATOMIC_SEQ_CST);
			continue;
		}
		if (!vcpu_is_report(v, &g.last[v->id]))
			st_fail(__FILE__, __LINE__, "exit %s", exit_text(v));
		return NULL;
	}
}

static void resume(void)
{
	unsigned int i;

	for (i = 0; i < g.n; i++)
		CHECK(!pthread_create(&g.threads[i], NULL, vcpu_thread, &g.vm->vcpus[i]));
}

static void join(void)
{
	unsigned int i;

	for (i = 0; i < g.n; i++)
		CHECK(!pthread_join(g.threads[i], NULL));
}

static void start(int test)
{
	unsigned int i;

	for (i = 0; i < g.n; i++)
		vcpu_start(&g.vm->vcpus[i], test, i, 0);
	resume();
}

/* Every vCPU has begun and ended some whole rounds since the call. */
static void some_rounds(unsigned int rounds)
{
	unsigned long from[HM_MAX_VCPUS];
	unsigned int i;

	for (i = 0; i < g.n; i++)
		from[i] = READ_ONCE(g.sh->rounds[i]);
	for (i = 0; i < g.n; i++)
		if (!UNTIL(READ_ONCE(g.sh->rounds[i]) > from[i] + rounds, 60))
			st_fail(__FILE__, __LINE__, "vCPU %u stands still after %lu rounds", i,
				READ_ONCE(g.sh->rounds[i]));
}

static void hold(void)
{
	unsigned int i;

	WRITE_ONCE(g.sh->hold, ++g.holds);
	for (i = 0; i < g.n; i++)
		CHECK(UNTIL(READ_ONCE(g.sh->held[i]) == g.holds, 60));
}

static void release(void)
{
	__sync_synchronize();
	WRITE_ONCE(g.sh->hold, 0);
}

/* A guest of two vCPUs at HM_PATTERN, that has written all its memory. */
static void pattern_guest(size_t size)
{
	new_guest(2, st_aligned_memory(size), size, 0);
	start(HM_PATTERN);
	some_rounds(2);
}

/* The guest found nothing wrong; and what the host sees is what was written last. */
static void end_pattern(void)
{
	unsigned long page, j, round;
	unsigned int i;

	some_rounds(2);
	WRITE_ONCE(g.sh->stop, 1);
	join();
	for (i = 0; i < g.n; i++)
		CHECK_EQ(g.last[i].kind, REPORT_DONE);
	for (page = 0; page < g.size / PAGE; page++) {
		uint64_t *p = (uint64_t *)(g.mem + page * PAGE);

		round = HM_ROUND(p[0]);
		if (!HM_TWIN(page))
			CHECK_EQ(round, g.sh->rounds[page % g.n]);
		for (j = 0; j < 512; j++)
			CHECK_EQ(p[j], hm_word(page, round, j));
	}
	st_note("%lu and %lu rounds over %lu MiB", g.sh->rounds[0], g.sh->rounds[1],
		g.size / MIB);
	vm_free(g.vm);
}

/* ---- swap -------------------------------------------------------------------------- */

static bool own_swap;

static void swap_end(void)
{
	if (!own_swap)
		return;
	/* with a guest running all of it comes back */
	OK(swapoff("/dev/zram0"));
	st_write("/sys/block/zram0/reset", "1");
}

static void swap_begin(void)
{
	if (st_named("/proc/meminfo", "SwapTotal") > 0)
		return;
	if (geteuid())
		st_skip("no swap, and it takes root to make some");
	if (system("modprobe zram >/dev/null 2>&1"))
		st_skip("no swap and no zram");
	st_write("/sys/block/zram0/reset", "1");
	if (!st_write("/sys/block/zram0/disksize", "128M") ||
	    system("mkswap /dev/zram0 >/dev/null 2>&1") || swapon("/dev/zram0", 0))
		st_skip("no swap on zram: %s", strerror(errno));
	own_swap = true;
}

/*
 * What the guest has touched since the kernel last asked stays in memory, the first
 * time: it loses its accessed bit by that, and goes the second time if the guest
 * rests in between.
 */
static void page_out_held(void *p, size_t size)
{
	OK(madvise(p, size, MADV_PAGEOUT));
	OK(madvise(p, size, MADV_PAGEOUT));
}

static void pageout(void)
{
	unsigned long times = 0;
	long out, in;
	double end;
	size_t at;

	swap_begin();
	pattern_guest(8 * MIB);
	out = vmstat("pswpout");
	in = vmstat("pswpin");
	end = st_now() + 3;
	do {
		/* while the guest runs, and while it rests */
		for (at = 0; at < g.size; at += MIB)
			OK(madvise(g.mem + at, MIB, MADV_PAGEOUT));
		hold();
		page_out_held(g.mem, g.size);
		/* the page that the payload and its tables are in, too */
		page_out_held(g.vm->mem, g.vm->size);
		release();
		some_rounds(0);
		times++;
	} while (st_now() < end || vmstat("pswpin") - in < 1000);
	out = vmstat("pswpout") - out;
	in = vmstat("pswpin") - in;
	swap_end();
	end_pattern();
	st_note("%lu times: %ld pages out, %ld in", times, out, in);
	CHECK(out > 500 && in > 500);
}

/* ---- KSM ---------------------------------------------------------------------------- */

#define KSM	"/sys/kernel/mm/ksm/"

static void ksm(void)
{
	long merged = 0, most = 0;
	bool broke = false;
	double end;

	if (get_number(KSM "run") < 0)
		st_skip("no KSM");
	pattern_guest(4 * MIB);
	st_write(KSM "pages_to_scan", "4000");
	st_write(KSM "sleep_millisecs", "5");
	if (!st_write(KSM "run", "1"))
		st_skip("KSM cannot be switched on: %s", strerror(errno));
	OK(madvise(g.mem, g.size, MADV_MERGEABLE));
	/* twins are alike until they are written anew, which parts them again */
	end = st_now() + 3;
	do {
		st_write(KSM "run", "1");
		some_rounds(1);
		hold();
		UNTIL((merged = get_number(KSM "pages_sharing")) > 100, 10);
		/* else it merges them again before the number is seen */
		st_write(KSM "run", "0");
		release();
		if (merged > most)
			most = merged;
		if (UNTIL(get_number(KSM "pages_sharing") < merged - 50, 5))
			broke = true;
	} while (st_now() < end);
	OK(madvise(g.mem, g.size / 2, MADV_UNMERGEABLE));
	some_rounds(2);
	st_write(KSM "run", "2");	/* part all of them */
	CHECK_EQ(get_number(KSM "pages_sharing"), 0);
	st_write(KSM "run", "0");
	end_pattern();
	st_note("up to %ld pages shared%s", most, broke ? ", and parted by writes" : "");
	CHECK(most > 100);
}

/* ---- moving ------------------------------------------------------------------------- */

static void migrate(void)
{
	static void *pages[HM_MAX_PAGES];
	static int nodes[HM_MAX_PAGES], status[HM_MAX_PAGES];
	unsigned long n, i, moved = 0;
	long before;
	int to = 0;
	double end;

	if (access("/sys/devices/system/node/node1", F_OK))
		st_skip("one NUMA node (boot the host with numa=fake=2)");
	pattern_guest(8 * MIB);
	n = g.size / PAGE;
	before = vmstat("pgmigrate_success");
	end = st_now() + 4;
	while (st_now() < end || (!moved && st_now() < end + 10)) {
		to = !to;
		for (i = 0; i < n; i++) {
			pages[i] = g.mem + i * PAGE;
			nodes[i] = to;
		}
		OK(syscall(SYS_move_pages, 0, n, pages, nodes, status, 2 /* MPOL_MF_MOVE */));
		for (i = 0; i < n; i++)
			moved += status[i] == to;
	}
	before = vmstat("pgmigrate_success") - before;
	end_pattern();
	st_note("%lu moves, the host counts %ld", moved, before);
	CHECK(moved > n / 4 && before > (long)n / 4);
}

static void compact(void)
{
	struct {
		long moved;
	} was = { vmstat("pgmigrate_success") };
	uint8_t *filler;
	double end;
	size_t at;

	if (access("/proc/sys/vm/compact_memory", W_OK))
		st_skip("no /proc/sys/vm/compact_memory");
	/* small pages with holes between them: something to tidy up */
	new_guest(2, st_aligned_memory(8 * MIB), 8 * MIB, 0);
	filler = st_aligned_memory(64 * MIB);
	OK(madvise(g.mem, g.size, MADV_NOHUGEPAGE));
	OK(madvise(filler, 64 * MIB, MADV_NOHUGEPAGE));
	for (at = 0; at < g.size; at += PAGE) {
		g.mem[at] = 0;
		memset(filler + at * 8, 1, 8 * PAGE);
	}
	for (at = 0; at < 64 * MIB; at += 2 * PAGE)
		OK(madvise(filler + at, PAGE, MADV_DONTNEED));
	start(HM_PATTERN);
	some_rounds(2);
	was.moved = vmstat("pgmigrate_success");
	end = st_now() + 2;
	do {
		st_write("/proc/sys/vm/compact_memory", "1");
		some_rounds(1);
	} while (st_now() < end);
	was.moved = vmstat("pgmigrate_success") - was.moved;
	end_pattern();
	st_note("the host counts %ld pages moved", was.moved);
	if (was.moved < 100)
		st_skip("memory was not fragmented enough: %ld pages moved", was.moved);
}

/* ---- huge pages --------------------------------------------------------------------- */

static void thp(void)
{
	long collapsed = vmstat("thp_collapse_alloc"), split = vmstat("thp_split_pmd");
	unsigned long mapped = 0, times = 0;
	bool large = false;
	double end;
	size_t at;

	if (collapsed < 0)
		st_skip("no transparent huge pages");
	new_guest(2, st_aligned_memory(8 * MIB), 8 * MIB, 0);
	OK(madvise(g.mem, g.size, MADV_NOHUGEPAGE));
	start(HM_PATTERN);
	some_rounds(2);
	CHECK_EQ(vm_stat(g.vm, "pages_2m"), 0);
	OK(madvise(g.mem, g.size, MADV_HUGEPAGE));
	end = st_now() + 4;
	do {
		for (at = 0; at < g.size; at += LARGE)
			if (madvise(g.mem + at, LARGE, MADV_COLLAPSE) && errno == EINVAL)
				st_skip("no MADV_COLLAPSE");
		some_rounds(1);
		mapped = vm_stat(g.vm, "pages_2m");
		if (mapped)
			large = true;
		times++;
		/* one page of each with other rights: it must be split */
		for (at = 0; at < g.size; at += LARGE) {
			uint8_t *page = g.mem + at + 5 * PAGE;

			OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
			OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
			OK(madvise(page + 4 * PAGE, PAGE, MADV_PAGEOUT));
		}
		some_rounds(1);
	} while (st_now() < end);
	collapsed = vmstat("thp_collapse_alloc") - collapsed;
	split = vmstat("thp_split_pmd") - split;
	end_pattern();
	st_note("%lu times; %ld collapsed, %ld split, the last time %lu mapped at 2 MiB", times,
		collapsed, split, mapped);
	CHECK(collapsed > 0 && split > 0);
	CHECK(large);
}

#define NUMA_BALANCING	"/proc/sys/kernel/numa_balancing"

/*
 * The host unmaps pages to see who uses them: not while those that are mapped are counted.
 * Return: the number to put back.
 */
static long no_numa_balancing(void)
{
	long was = get_number(NUMA_BALANCING);

	if (was > 0)
		put_number(NUMA_BALANCING, 0);
	return was;
}

#define NX_HUGE_PAGES	"/sys/module/kvm/parameters/nx_huge_pages"

static char nx_before[16];

static void set_nx_huge_pages(const char *value)
{
	CHECK(st_write(NX_HUGE_PAGES, value));
}

static void force_nx_huge_pages(void)
{
	int fd = open(NX_HUGE_PAGES, O_RDONLY);

	if (fd < 0)
		st_skip("no parameter nx_huge_pages");
	memset(nx_before, 0, sizeof(nx_before));
	CHECK(read(fd, nx_before, sizeof(nx_before) - 1) > 0);
	close(fd);
	set_nx_huge_pages("force");
}

/*
 * Guest page tables and code in one huge page that must not be executed from: the
 * code is mapped in small pages, and the next look at the tables does not undo that.
 */
static void executed_huge_page(void)
{
	struct vcpu *v;
	struct vm *vm;
	uint8_t *mem;
	ssize_t n;

	if (st_shadow_paging())
		st_skip("a page with tables of the guest's is mapped in small ones");
	force_nx_huge_pages();
	vm = vm_new(4 * MIB, 0);
	mem = st_aligned_memory(4 * MIB);
	OK(madvise(mem, 4 * MIB, MADV_HUGEPAGE));
	memcpy(mem, vm->mem, 4 * MIB);
	vm_set_slot(vm, 0, 0, 0, NULL, 0);
	munmap(vm->mem, vm->size);
	vm->mem = mem;
	vm_set_slot(vm, 0, 0, vm->size, mem, 0);
	PAYLOAD(vm, basic);
	v = vm_add_vcpu(vm, 0);
	vcpu_start(v, BASIC_READ, GUEST_DATA, 0);
	memcpy(mem + GUEST_DATA, "\x2a\0\0\0\0\0\0", 8);
	alarm(20);		/* it did not end */
	CHECK_EQ(vcpu_run_to_report(v).b, 0x2a);
	alarm(0);
	n = vm_stat(vm, "nx_lpage_splits");
	set_nx_huge_pages(nx_before);
	if (!n)
		st_skip("the host gave no huge page");
	vm_free(vm);
}

static void guest_does(struct vcpu *v, uint64_t what, uint64_t gpa)
{
	vcpu_start(v, what, gpa, 0);
	vcpu_run_to_report(v);
}

/* Large pages stay, but those that are executed from, and those come back in time. */
static void recovered_huge_pages(void)
{
	long balancing = no_numa_balancing(), ratio = get_number(NX_HUGE_PAGES "_recovery_ratio");
	long period = get_number(NX_HUGE_PAGES "_recovery_period_ms");
	uint8_t *mem = st_aligned_memory(3 * LARGE);
	struct vm *vm = vm_new(LARGE - PAGE, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	unsigned long at;
	int round;

	PAYLOAD(vm, basic);
	OK(madvise(mem, 3 * LARGE, MADV_HUGEPAGE));
	memset(mem, 0xc3, 3 * LARGE);		/* RET */
	vm_set_slot(vm, TESTED_SLOT, TESTED_GPA, 3 * LARGE, mem, 0);
	force_nx_huge_pages();
	for (at = 0; at < 3 * LARGE; at += LARGE)
		guest_does(v, BASIC_READ, TESTED_GPA + at);
	if (vm_stat(vm, "pages_2m") != 3) {
		set_nx_huge_pages(nx_before);
		put_number(NUMA_BALANCING, balancing);
		st_skip("the host gave no huge pages");
	}
	st_write(NX_HUGE_PAGES "_recovery_ratio", "0");
	/* a change unmaps everything */
	set_nx_huge_pages("off");
	set_nx_huge_pages("force");
	guest_does(v, BASIC_READ, TESTED_GPA);
	guest_does(v, BASIC_READ, TESTED_GPA + LARGE);
	CHECK_EQ(vm_stat(vm, "pages_2m"), 2);
	CHECK_EQ(vm_stat(vm, "nx_lpage_splits"), 0);
	for (round = 0; round < 2; round++) {
		/* one that is mapped, and one that is not in the first round */
		guest_does(v, BASIC_CALL, TESTED_GPA + 8);
		CHECK_EQ(vm_stat(vm, "nx_lpage_splits"), 1);
		CHECK_EQ(vm_stat(vm, "pages_2m"), 1 + round);
		guest_does(v, BASIC_CALL, TESTED_GPA + 2 * LARGE + 8);
		CHECK_EQ(vm_stat(vm, "nx_lpage_splits"), 2);
		for (at = 0; at < LARGE; at += 16 * PAGE) {
			guest_does(v, BASIC_READ, TESTED_GPA + at);
			guest_does(v, BASIC_READ, TESTED_GPA + 2 * LARGE + at);
			guest_does(v, BASIC_CALL, TESTED_GPA + at + 8);
		}
		CHECK_EQ(vm_stat(vm, "nx_lpage_splits"), 2);
		CHECK_EQ(vm_stat(vm, "pages_2m"), 1);

		st_write(NX_HUGE_PAGES "_recovery_period_ms", "50");
		st_write(NX_HUGE_PAGES "_recovery_ratio", "1");
		CHECK(UNTIL(!vm_stat(vm, "nx_lpage_splits"), 30));
		st_write(NX_HUGE_PAGES "_recovery_ratio", "0");
		guest_does(v, BASIC_READ, TESTED_GPA);
		guest_does(v, BASIC_READ, TESTED_GPA + 2 * LARGE);
		CHECK_EQ(vm_stat(vm, "pages_2m"), 3);
		guest_does(v, BASIC_READ, TESTED_GPA + LARGE);
	}
	/* without it there are no such pages */
	set_nx_huge_pages("off");
	guest_does(v, BASIC_CALL, TESTED_GPA + 8);
	guest_does(v, BASIC_READ, TESTED_GPA + LARGE);
	guest_does(v, BASIC_CALL, TESTED_GPA + 2 * LARGE + 8);
	CHECK_EQ(vm_stat(vm, "pages_2m"), 3);
	CHECK_EQ(vm_stat(vm, "nx_lpage_splits"), 0);

	set_nx_huge_pages(nx_before);
	put_number(NX_HUGE_PAGES "_recovery_ratio", ratio);
	put_number(NX_HUGE_PAGES "_recovery_period_ms", period);
	put_number(NUMA_BALANCING, balancing);
	vm_free(vm);
}

static void hugetlb_size(size_t page, int shift, const char *counter, unsigned long want)
{
	size_t size = page > LARGE ? page : 8 * MIB;
	uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			    (shift ? MAP_HUGETLB | shift << 26 : 0), -1, 0);
	long balancing, mapped;
	struct vm *vm;
	struct vcpu *v;

	if (mem == MAP_FAILED)
		st_skip("no huge page of %lu MiB", page / MIB);
	if (!shift)
		OK(madvise(mem, size, MADV_NOHUGEPAGE));
	/* too small for a huge page of its own */
	vm = vm_new(LARGE - PAGE, 0);
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, basic);
	vm_set_slot(vm, TESTED_SLOT, TESTED_GPA, size, mem, 0);
	CHECK_EQ(vm_stat(vm, counter), 0);
	balancing = no_numa_balancing();
	vcpu_start(v, BASIC_MEMORY, TESTED_GPA, size < 64 * MIB ? size : 64 * MIB);
	vcpu_expect_sync(v, 1);
	mapped = vm_stat(vm, counter);
	put_number(NUMA_BALANCING, balancing);
	CHECK(mapped >= (long)want);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
	/* the owner takes it back: no mapping stays */
	OK(munmap(mem, size));
	if (shift)
		CHECK_EQ(vm_stat(vm, counter), 0);
	else
		CHECK(vm_stat(vm, counter) < 600);
	vm_free(vm);
}

static void pages_4k(void)
{
	hugetlb_size(PAGE, 0, "pages_4k", 2000);
}

#define HUGETLB	"/sys/kernel/mm/hugepages/hugepages-"

static void hugetlb_2m(void)
{
	long was = get_number(HUGETLB "2048kB/nr_hugepages");

	if (was < 8)
		st_write(HUGETLB "2048kB/nr_hugepages", "8");
	hugetlb_size(LARGE, 21, "pages_2m", 4);
	if (was >= 0 && was < 8)
		st_write(HUGETLB "2048kB/nr_hugepages", "0");
}

static void hugetlb_1g(void)
{
	long was = get_number(HUGETLB "1048576kB/nr_hugepages");

	if (was == 0)
		st_write(HUGETLB "1048576kB/nr_hugepages", "1");
	/* the guest's own tables have pages of 2 MiB, and a shadow of them no bigger ones */
	if (st_shadow_paging())
		hugetlb_size(1024 * MIB, 30, "pages_2m", 32);
	else
		hugetlb_size(1024 * MIB, 30, "pages_1g", 1);
	if (was == 0)
		st_write(HUGETLB "1048576kB/nr_hugepages", "0");
}

/* Tables that have nothing to do any more go when the host is short of memory. */
static void shrink(void)
{
	size_t size = 128 * MIB, at;
	long balancing = no_numa_balancing(), before, full, mapped;
	struct vcpu *v;
	struct vm *vm;
	uint8_t *mem;
	int i, quiet;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	OK(madvise(mem, size, MADV_NOHUGEPAGE));
	vm = vm_new(4 * MIB, 0);
	PAYLOAD(vm, basic);
	v = vm_add_vcpu(vm, 0);
	vm_set_slot(vm, TESTED_SLOT, TESTED_GPA, size, mem, 0);
	/* earlier tests' tables go after a grace period, which a busy host lets one wait for */
	for (before = st_table_memory(), quiet = 0; quiet < 8; quiet++) {
		usleep(250000);
		full = st_table_memory();
		if (full != before)
			quiet = 0;
		before = full;
	}
	for (i = 0; i < 2; i++) {
		/* and those of the first round */
		if (!st_shadow_paging())
			CHECK(UNTIL(st_table_memory() < before + 16 * 4, 60));
		vcpu_start(v, BASIC_MEMORY, TESTED_GPA, size);
		vcpu_expect_sync(v, 1);
		full = st_table_memory();
		if (!i || !st_shadow_paging())
			CHECK(full - before >= 62 * 4);

		if (st_shadow_paging()) {
			uint64_t dropped = vm_stat(vm, "mmu_recycled");

			st_write("/proc/sys/vm/drop_caches", "2");
			CHECK(UNTIL(vm_stat(vm, "mmu_recycled") > dropped, 20));
		} else {
			/* all but one page, by halves: a whole one would take its table along */
			for (at = 0; at < size; at += MIB)
				OK(madvise(mem + at + (at ? 0 : PAGE), MIB - (at ? 0 : PAGE),
					   MADV_DONTNEED));
			CHECK(full - st_table_memory() < 4 * 4);
			st_write("/proc/sys/vm/drop_caches", "2");
			CHECK(UNTIL(full - st_table_memory() >= 62 * 4, 20));
			mapped = vm_stat(vm, "pages_4k");
			st_write("/proc/sys/vm/drop_caches", "2");
			/* what is mapped stays */
			CHECK_EQ(vm_stat(vm, "pages_4k"), mapped);
			vcpu_start(v, BASIC_MEMORY, TESTED_GPA, size);
			vcpu_expect_sync(v, 1);
		}
		vcpu_expect_sync(v, 2);
		vcpu_expect_done(v);
		OK(madvise(mem, size, MADV_DONTNEED));
	}
	put_number(NUMA_BALANCING, balancing);
	vm_free(vm);
	OK(munmap(mem, size));
}

/* ---- device memory -------------------------------------------------------------------- */

static void expect_mmio_write(struct vcpu *v, uint64_t gpa, uint64_t value)
{
	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK(v->run->mmio.is_write);
	CHECK_EQ(v->run->mmio.phys_addr, gpa);
	CHECK(!memcmp(v->run->mmio.data, &value, v->run->mmio.len));
	vcpu_expect_sync(v, 1);
}

/* That nothing was somewhere, is remembered no longer than it is so. */
static void devices_and_memory(void)
{
	struct vm *vm = vm_new(4 * MIB, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	uint64_t *mem = (uint64_t *)st_aligned_memory(MIB);
	int round, i;

	PAYLOAD(vm, basic);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 20; i++) {
			uint64_t gpa = TESTED_GPA + i * PAGE;

			vcpu_start(v, BASIC_WRITE, gpa, i);
			expect_mmio_write(v, gpa, i);
		}
		/* memory comes in half way, and goes */
		vm_set_slot(vm, TESTED_SLOT, TESTED_GPA + 10 * PAGE, MIB, mem, 0);
		for (i = 0; i < 20; i++) {
			uint64_t gpa = TESTED_GPA + i * PAGE;

			vcpu_start(v, BASIC_WRITE, gpa, round << 8 | i);
			if (i < 10)
				expect_mmio_write(v, gpa, round << 8 | i);
			else
				vcpu_expect_sync(v, 1);
		}
		for (i = 10; i < 20; i++)
			CHECK_EQ(READ_ONCE(mem[(i - 10) * PAGE / 8]), round << 8 | i);
		vm_set_slot(vm, TESTED_SLOT, TESTED_GPA + 10 * PAGE, 0, mem, 0);
	}
	vm_free(vm);
	OK(munmap(mem, MIB));
}

static uint64_t rings(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) < 0 ? 0 : n;
}

static void expect_read(struct vcpu *v, uint64_t gpa, uint64_t value)
{
	struct report r;

	vcpu_start(v, BASIC_READ, gpa, 0);
	r = vcpu_run_to_report(v);
	CHECK_EQ(r.kind, REPORT_SYNC);
	CHECK_EQ(r.b, value);
}

/*
 * A page where a guest writes to an eventfd of any length and value, for which there may be
 * an entry of its own: other registers are user space's, memory that comes is memory, of
 * both kinds, and when it and the eventfd have gone, nothing of them is left.
 */
static void doorbell(void)
{
	struct vm *vm = vm_new(4 * MIB, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	uint64_t *mem = (uint64_t *)st_aligned_memory(MIB);
	struct kvm_ioeventfd io = { .addr = TESTED_GPA + 8, .fd = OK(eventfd(0, EFD_NONBLOCK)) };
	int round, i, readonly;

	PAYLOAD(vm, basic);
	for (round = 0; round < 4; round++) {
		readonly = round & 1 ? KVM_MEM_READONLY : 0;
		OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
		for (i = 0; i < 5; i++) {
			vcpu_start(v, BASIC_WRITE, TESTED_GPA + 8, i);
			vcpu_expect_sync(v, 1);
			CHECK_EQ(rings(io.fd), 1);
			vcpu_start(v, BASIC_WRITE, TESTED_GPA + 16, i);
			expect_mmio_write(v, TESTED_GPA + 16, i);
			vcpu_start(v, BASIC_READ, TESTED_GPA + 16, 0);
			vcpu_expect_exit(v, KVM_EXIT_MMIO);
			CHECK(!v->run->mmio.is_write);
			memset(v->run->mmio.data, 0x5a, 8);
			CHECK_EQ(vcpu_run_to_report(v).b, 0x5a5a5a5a5a5a5a5aul);
		}
		mem[1] = 0x1234 + round;
		vm_set_slot(vm, TESTED_SLOT, TESTED_GPA, MIB, mem, readonly);
		if (round & 2)
			expect_read(v, TESTED_GPA + 8, 0x1234 + round);
		vcpu_start(v, BASIC_WRITE, TESTED_GPA + 8, round);
		vcpu_expect_sync(v, 1);
		/* to memory that is only read it is a write to the eventfd */
		CHECK_EQ(rings(io.fd), !!readonly);
		CHECK_EQ(READ_ONCE(mem[1]), readonly ? 0x1234 + round : round);
		expect_read(v, TESTED_GPA + 8, READ_ONCE(mem[1]));
		vm_set_slot(vm, TESTED_SLOT, TESTED_GPA, 0, mem, 0);
		vcpu_start(v, BASIC_WRITE, TESTED_GPA + 8, 1);
		vcpu_expect_sync(v, 1);
		CHECK_EQ(rings(io.fd), 1);
		io.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
		OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
		io.flags = 0;
		vcpu_start(v, BASIC_WRITE, TESTED_GPA + 8, 2);
		expect_mmio_write(v, TESTED_GPA + 8, 2);
		CHECK_EQ(rings(io.fd), 0);
	}
	vm_free(vm);
	OK(munmap(mem, MIB));
}

static uint64_t pfnmap_faults(int fd)
{
	uint64_t n;

	CHECK_EQ(pread(fd, &n, sizeof(n), 0), sizeof(n));
	return n;
}

/* Frames without page structures come when they are touched first, and are taken back. */
static void pfnmap(void)
{
	uint64_t *mem, faults;
	struct vcpu *v;
	struct vm *vm;
	int fd, i;

	fd = st_host_device("pfnmap", "/dev/kvm-oot-pfnmap");
	mem = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);

	vm = vm_new(4 * MIB, 0);
	PAYLOAD(vm, basic);
	v = vm_add_vcpu(vm, 0);
	vm_set_slot(vm, TESTED_SLOT, TESTED_GPA, 8 * PAGE, mem, 0);
	faults = pfnmap_faults(fd);
	for (i = 0; i < 6; i++) {
		uint64_t gpa = TESTED_GPA + i * PAGE, *here = mem + i * PAGE / 8, first;

		/* one that the owner has touched, too */
		if (i == 4)
			CHECK_EQ(READ_ONCE(*here) & 0xff, i);
		vcpu_start(v, BASIC_READ, gpa, 0);
		first = vcpu_run_to_report(v).b;
		CHECK_EQ(first & 0xff, i);
		CHECK_EQ(pfnmap_faults(fd), faults + i + 1);
		/* written first, another time */
		vcpu_start(v, BASIC_WRITE, gpa + 8, 0x1234);
		vcpu_expect_sync(v, 1);
		CHECK_EQ(READ_ONCE(here[1]), 0x1234);
		CHECK_EQ(pfnmap_faults(fd), faults + i + 1);

		/* taken away, others are behind it now */
		CHECK_EQ(write(fd, "x", 1), 1);
		WRITE_ONCE(here[1], 0);
		CHECK_EQ(pfnmap_faults(fd), faults + i + 2);
		vcpu_start(v, BASIC_READ, gpa, 0);
		CHECK_EQ(vcpu_run_to_report(v).b, first ^ 0x100);
		vcpu_start(v, BASIC_READ, gpa + 8, 0);
		CHECK_EQ(vcpu_run_to_report(v).b, 0);
		CHECK_EQ(write(fd, "x", 1), 1);
		faults++;
	}
	/* the first access is a write */
	vcpu_start(v, BASIC_WRITE, TESTED_GPA + 6 * PAGE + 8, 0x1234);
	vcpu_expect_sync(v, 1);
	CHECK_EQ(READ_ONCE(mem[6 * PAGE / 8]) & 0xff, 6);
	CHECK_EQ(READ_ONCE(mem[6 * PAGE / 8 + 1]), 0x1234);

	/* what may not be written is not: user space sees what was to be */
	OK(mprotect(mem, 8 * PAGE, PROT_READ));
	vcpu_start(v, BASIC_READ, TESTED_GPA + 7 * PAGE, 0);
	CHECK_EQ(vcpu_run_to_report(v).b & 0xff, 7);
	vcpu_start(v, BASIC_WRITE, TESTED_GPA + 7 * PAGE, 0x5678);
	expect_mmio_write(v, TESTED_GPA + 7 * PAGE, 0x5678);
	CHECK_EQ(READ_ONCE(mem[7 * PAGE / 8]) & 0xff, 7);

	/* without a mapping nothing is there */
	OK(munmap(mem, 8 * PAGE));
	vcpu_start(v, BASIC_READ, TESTED_GPA, 0);
	CHECK_EQ(-vcpu_run_raw(v), EFAULT);
	close(fd);
	vm_free(vm);
}

/* ---- thrown away, protected, moved, copied -------------------------------------------- */

static void zero_pages(void)
{
	unsigned long pages, from, n, i, times = 0;
	double end;

	pattern_guest(8 * MIB);
	pages = g.size / PAGE;
	end = st_now() + 3;
	do {
		hold();
		n = times % 3 == 2 ? 512 : 40;
		from = times * 97 % (pages - n);
		OK(madvise(g.mem + from * PAGE, n * PAGE, MADV_DONTNEED));
		WRITE_ONCE(g.sh->zero_from, from);
		WRITE_ONCE(g.sh->zero_to, from + n);
		release();
		for (i = 0; i < g.n; i++)
			CHECK(UNTIL(READ_ONCE(g.sh->zeros[i]) == g.holds, 60));
		some_rounds(1);
		times++;
	} while (st_now() < end || times < 4);
	end_pattern();
	st_note("%lu times", times);
}

/* While the owner may not write, nobody does; and who tries is told. */
static void protect(void)
{
	static const int rights[] = { PROT_READ, PROT_NONE, PROT_READ };
	uint8_t *copy = st_aligned_memory(4 * MIB);
	unsigned long before;
	unsigned int i;

	pattern_guest(4 * MIB);
	WRITE_ONCE(g.may_fault, true);
	for (i = 0; i < 2 * ARRAY_SIZE(rights); i++) {
		int prot = rights[i % ARRAY_SIZE(rights)];

		before = READ_ONCE(g.faults);
		OK(mprotect(g.mem, g.size, prot));
		if (prot & PROT_READ)
			memcpy(copy, g.mem, g.size);
		CHECK(UNTIL(READ_ONCE(g.faults) >= before + 6, 30));
		if (prot & PROT_READ)
			CHECK(!memcmp(copy, g.mem, g.size));
		OK(mprotect(g.mem, g.size, PROT_READ | PROT_WRITE));
		some_rounds(1);
	}
	WRITE_ONCE(g.may_fault, false);
	end_pattern();
	st_note("KVM_RUN said EFAULT %lu times", g.faults);
}

/* The memory is elsewhere for a while: what is there does not change, then it goes on. */
static void moved_away(void)
{
	uint8_t *copy = st_aligned_memory(2 * MIB), *other = st_aligned_memory(2 * MIB), *part;
	unsigned long before;
	unsigned int i;

	pattern_guest(8 * MIB);
	for (i = 0; i < 6; i++) {
		/* whole page tables in one go, and one page after the other */
		size_t n = i & 1 ? 37 * PAGE : LARGE;

		part = g.mem + (i & 1 ? 3 * MIB + 5 * PAGE : LARGE);
		before = READ_ONCE(g.faults);
		WRITE_ONCE(g.may_fault, true);
		CHECK(mremap(part, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other);
		memcpy(copy, other, n);
		CHECK(UNTIL(READ_ONCE(g.faults) >= before + 4, 30));
		CHECK(!memcmp(copy, other, n));
		CHECK(mremap(other, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, part) == part);
		some_rounds(1);
		WRITE_ONCE(g.may_fault, false);
	}
	end_pattern();
	st_note("KVM_RUN said EFAULT %lu times", g.faults);
}

/* Copy on write both ways: the child's memory is not the guest's any more. */
static void forked(void)
{
	unsigned int i;

	pattern_guest(4 * MIB);
	for (i = 0; i < 6; i++) {
		int to_child[2], status;
		unsigned long at;
		pid_t pid;
		char c;

		OK(pipe(to_child));
		pid = OK(fork());
		if (!pid) {
			uint8_t *copy = mmap(NULL, g.size, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (copy == MAP_FAILED)
				_exit(2);
			memcpy(copy, g.mem, g.size);
			/* the guest has written all of it meanwhile */
			if (read(to_child[0], &c, 1) != 1 || memcmp(copy, g.mem, g.size))
				_exit(3);
			if (i & 1)
				memset(g.mem, 0xee, g.size);
			if (read(to_child[0], &c, 1) != 1)
				_exit(4);
			for (at = 0; (i & 1) && at < g.size; at++)
				if (g.mem[at] != 0xee)
					_exit(5);
			/* a VM belongs to the process that made it */
			errno = 0;
			if (ioctl(g.vm->fd, KVM_CHECK_EXTENSION, 0UL) != -1 || errno != EIO)
				_exit(6);
			_exit(0);
		}
		some_rounds(2);
		CHECK_EQ(write(to_child[1], "a", 1), 1);
		some_rounds(1);
		CHECK_EQ(write(to_child[1], "b", 1), 1);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		close(to_child[0]);
		close(to_child[1]);
		some_rounds(1);
	}
	end_pattern();
}

static void add_bits(uint64_t *to, const uint64_t *log, size_t words)
{
	while (words--)
		*to++ |= *log++;
}

/* ---- slots ---------------------------------------------------------------------------- */

/* A page that differs from the last look is in the log of the time between. */
static void dirty_log_while_paging(void)
{
	size_t size = 4 * MIB, n = size / PAGE, i;
	uint8_t *copy = st_aligned_memory(size);
	uint64_t *log = calloc(n / 64, 8), *sum = calloc(n / 64, 8);
	struct kvm_dirty_log d = { .slot = TESTED_SLOT, .dirty_bitmap = log };
	unsigned long changed = 0, clean = 0, times;
	long in;

	swap_begin();
	new_guest(2, st_aligned_memory(size), size, 0);
	start(HM_PATTERN);
	some_rounds(2);
	in = vmstat("pswpin");
	hold();
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, KVM_MEM_LOG_DIRTY_PAGES);
	memcpy(copy, g.mem, size);
	OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
	for (times = 0; times < 12; times++) {
		unsigned int k;

		memset(sum, 0, n / 8);
		if (times % 3 == 1)
			page_out_held(g.mem, size);
		release();
		for (k = 0; k < times % 4; k++) {
			/* fetched while it runs, and with pages that go and come */
			OK(madvise(g.mem, size, MADV_PAGEOUT));
			usleep(times % 5 * 3000);
			OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
			add_bits(sum, log, n / 64);
		}
		hold();
		OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
		add_bits(sum, log, n / 64);
		for (i = 0; i < n; i++) {
			bool dirty = sum[i / 64] >> i % 64 & 1;

			if (memcmp(copy + i * PAGE, g.mem + i * PAGE, PAGE)) {
				changed++;
				if (!dirty)
					st_fail(__FILE__, __LINE__,
						"page %zu changed in time %lu and is not in the log",
						i, times);
				memcpy(copy + i * PAGE, g.mem + i * PAGE, PAGE);
			} else if (!dirty) {
				clean++;
			}
		}
	}
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, 0);
	release();
	swap_end();
	in = vmstat("pswpin") - in;
	end_pattern();
	st_note("%lu pages changed, %lu stayed clean, %ld came back from swap", changed, clean, in);
	CHECK(changed > n && clean > 0 && in > 100);
}

/* One round of HM_DIRTY: pages by chance, the denser the higher @density of 8. */
static void write_pages(unsigned int round, unsigned int density, uint64_t *expect, size_t words)
{
	static uint64_t seed = 1;
	unsigned int i, j;

	for (i = 0; i < words; i++) {
		uint64_t w = 0;

		for (j = 0; j < 64; j++) {
			seed = seed * 6364136223846793005ul + 1442695040888963407ul;
			w |= (uint64_t)((seed >> 61) < density) << j;
		}
		g.sh->to_write[i] = w;
		expect[i] |= w;
	}
	WRITE_ONCE(g.sh->hold, round);
	for (i = 0; i < g.n; i++)
		CHECK(UNTIL(READ_ONCE(g.sh->held[i]) == round, 60));
}

static void log_is(const uint64_t *log, const uint64_t *expect, size_t words, unsigned int round)
{
	size_t i;

	for (i = 0; i < words; i++)
		if (log[i] != expect[i])
			st_fail(__FILE__, __LINE__,
				"round %u, pages from %zu: log %016lx, written %016lx",
				round, i * 64, log[i], expect[i]);
}

/*
 * The log has what the guest wrote and nothing else, although it is still in the guest
 * when the log is fetched. More pages than a CPU's own log has room for (512).
 */
static void dirty_log(bool manual, bool initially_set)
{
	size_t words = HM_MAX_DIRTY / 64, size = HM_MAX_DIRTY * PAGE, i, half = words / 2;
	uint64_t log[HM_MAX_DIRTY / 64], expect[HM_MAX_DIRTY / 64] = {};
	struct kvm_dirty_log d = { .slot = TESTED_SLOT, .dirty_bitmap = log };
	struct kvm_clear_dirty_log c = { .slot = TESTED_SLOT, .dirty_bitmap = log,
					 .num_pages = HM_MAX_DIRTY };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				     .args = { initially_set ? 3 : 1 } };
	int begin = initially_set ? 0xff : 0;
	unsigned int round, vcpus = 2;

	new_guest(vcpus, st_aligned_memory(size), size, 0);
	if (manual)
		OK(ioctl(g.vm->fd, KVM_ENABLE_CAP, &cap));
	start(HM_DIRTY);
	/* mapped before there is a log */
	write_pages(1, 4, expect, words);
	memset(expect, begin, sizeof(expect));
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, KVM_MEM_LOG_DIRTY_PAGES);
	for (round = 2; round < 20; round++) {
		if (round == 9) {
			/* and thrown away while there is one */
			OK(madvise(g.mem, size / 2, MADV_DONTNEED));
		} else if (round == 12) {
			vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, 0);
			write_pages(round, 5, expect, words);
			memset(expect, begin, sizeof(expect));
			vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem,
				    KVM_MEM_LOG_DIRTY_PAGES);
			continue;
		}
		write_pages(round, round % 3 ? round % 9 : 1, expect, words);
		OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
		log_is(log, expect, words, round);
		if (!manual) {
			memset(expect, 0, sizeof(expect));
			continue;
		}
		/* half of it; the rest is there the next time, too */
		c.first_page = round % 2 ? 0 : half * 64;
		c.num_pages = half * 64;
		c.dirty_bitmap = log + c.first_page / 64;
		OK(ioctl(g.vm->fd, KVM_CLEAR_DIRTY_LOG, &c));
		for (i = 0; i < half; i++)
			expect[c.first_page / 64 + i] = 0;
	}
	WRITE_ONCE(g.sh->stop, 1);
	join();
}

static void dirty_log_exact(void)
{
	dirty_log(false, false);
}

static void dirty_log_cleared_by_halves(void)
{
	dirty_log(true, false);
}

static void dirty_log_initially_set(void)
{
	dirty_log(true, true);
}

/* Shadow tables come to small pages by faults. */
static bool splits_eagerly(void)
{
	return !st_shadow_paging() && st_param_is("kvm", "eager_page_split", 'Y');
}

/* Large pages are left alone while all is dirty, and split where that is cleared. */
static void split_by_clear(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 3 } };
	size_t size = HM_MAX_DIRTY * PAGE, words = HM_MAX_DIRTY / 64;
	uint64_t expect[HM_MAX_DIRTY / 64] = {}, all[512 / 64], small, large;
	struct kvm_clear_dirty_log c = { .slot = TESTED_SLOT, .dirty_bitmap = all,
					 .first_page = 512, .num_pages = 512 };

	memset(all, 0xff, sizeof(all));
	new_guest(1, st_aligned_memory(size), size, 0);
	OK(ioctl(g.vm->fd, KVM_ENABLE_CAP, &cap));
	madvise(g.mem, size, MADV_HUGEPAGE);
	memset(g.mem, 1, size);
	start(HM_DIRTY);
	write_pages(1, 0, expect, words);
	large = vm_stat(g.vm, "pages_2m");
	small = vm_stat(g.vm, "pages_4k");
	if (large < size / LARGE)
		st_skip("the host has no huge pages for it");
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, KVM_MEM_LOG_DIRTY_PAGES);
	write_pages(2, 8, expect, words);
	if (!st_shadow_paging()) {
		CHECK_EQ(vm_stat(g.vm, "pages_2m"), large);
		CHECK_EQ(vm_stat(g.vm, "pages_4k"), small);
	}
	OK(ioctl(g.vm->fd, KVM_CLEAR_DIRTY_LOG, &c));
	if (splits_eagerly()) {
		CHECK_EQ(vm_stat(g.vm, "pages_2m"), large - 1);
		CHECK_EQ(vm_stat(g.vm, "pages_4k"), small + 512);
	}
	WRITE_ONCE(g.sh->stop, 1);
	join();
}

/* Large pages in pieces at once when there is a log: what is only read takes no fault. */
static void split_for_log(void)
{
	size_t size = HM_MAX_DIRTY * PAGE, words = HM_MAX_DIRTY / 64;
	uint64_t expect[HM_MAX_DIRTY / 64] = {}, small, large, faults;
	bool eager = splits_eagerly();
	int stats;

	new_guest(1, st_aligned_memory(size), size, 0);
	madvise(g.mem, size, MADV_HUGEPAGE);
	memset(g.mem, 1, size);
	stats = stats_of(g.vm->vcpus[0].fd);
	start(HM_DIRTY);
	write_pages(1, 0, expect, words);
	large = vm_stat(g.vm, "pages_2m");
	small = vm_stat(g.vm, "pages_4k");
	if (!large)
		st_skip("the host has no huge pages for it");
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, KVM_MEM_LOG_DIRTY_PAGES);
	if (eager)
		CHECK(vm_stat(g.vm, "pages_4k") >= small + 512 * (size / LARGE - 1));
	/* what cannot be written may stay */
	if (!st_shadow_paging())
		CHECK(vm_stat(g.vm, "pages_2m") <= large - (size / LARGE - 1));
	faults = counter(stats, "pf_taken");
	write_pages(2, 0, expect, words);
	faults = counter(stats, "pf_taken") - faults;
	st_note("%u large pages, then %u faults for %u pages that are read", (unsigned int)large,
		(unsigned int)faults, HM_MAX_DIRTY);
	if (eager)
		CHECK(faults < 32);
	/* and large again */
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, 0);
	write_pages(3, 0, expect, words);
	CHECK(UNTIL(vm_stat(g.vm, "pages_2m") >= size / LARGE - 1, 30));
	WRITE_ONCE(g.sh->stop, 1);
	join();
}

/* ---- the dirty ring ------------------------------------------------------------------- */

/*
 * What vCPU @id's ring tells that has not been collected, at most @max entries; into a bitmap. Each
 * page comes once before it is reset; in-tree what the CPU logs may come twice.
 */
static unsigned int collect(unsigned int id, uint64_t *log, unsigned int max)
{
	unsigned int n, entries = g.ring_bytes / sizeof(struct kvm_dirty_gfn);

	for (n = 0; n < max; n++, g.collected[id]++) {
		struct kvm_dirty_gfn *e = &g.rings[id][g.collected[id] % entries];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		CHECK_EQ(e->slot, TESTED_SLOT);
		CHECK(e->offset < g.size / PAGE);
		if (kvm_is_oot() && log[e->offset / 64] >> e->offset % 64 & 1)
			st_fail(__FILE__, __LINE__, "page %llu twice", e->offset);
		log[e->offset / 64] |= 1ull << e->offset % 64;
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	return n;
}

static unsigned int collect_all(uint64_t *log)
{
	unsigned int i, n = 0;

	for (i = 0; i < g.n; i++)
		n += collect(i, log, ~0u);
	return n;
}

static unsigned int count_bits(const uint64_t *log, size_t words)
{
	unsigned int n = 0;

	while (words--)
		n += __builtin_popcountll(*log++);
	return n;
}

/* Each page that was written is told once, in the ring of the vCPU that wrote it. */
static void ring_exact(void)
{
	size_t words = HM_MAX_DIRTY / 64, size = HM_MAX_DIRTY * PAGE, i;
	uint64_t log[HM_MAX_DIRTY / 64], expect[HM_MAX_DIRTY / 64] = {};
	unsigned int round, id, n;

	g.ring_bytes = 4 * HM_MAX_DIRTY * sizeof(struct kvm_dirty_gfn);
	new_guest(2, st_aligned_memory(size), size, 0);
	start(HM_DIRTY);
	write_pages(1, 4, expect, words);
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, KVM_MEM_LOG_DIRTY_PAGES);
	for (round = 2; round < 14; round++) {
		memset(expect, 0, sizeof(expect));
		memset(log, 0, sizeof(log));
		if (round == 8)
			OK(madvise(g.mem, size / 2, MADV_DONTNEED));
		write_pages(round, round % 3 ? round % 9 : 1, expect, words);
		/* what the CPU logs comes when the guest is left for some reason */
		n = 0;
		UNTIL((n += collect_all(log)) == count_bits(expect, words), 20);
		log_is(log, expect, words, round);
		for (id = 0; id < 2; id++)
			for (i = 0; i < g.ring_bytes / sizeof(**g.rings); i++)
				if (g.rings[id][i].flags)
					CHECK_EQ(g.rings[id][i].offset % 2, id);
		CHECK_EQ(OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0)), n);
		CHECK_EQ(OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0)), 0);
	}
	WRITE_ONCE(g.sh->stop, 1);
	join();
}

/* One vCPU that will write all pages in one round, and end. */
static struct vcpu *ring_writer(void)
{
	size_t size = HM_MAX_DIRTY * PAGE;
	struct vcpu *v;

	g.ring_bytes = PAGE;
	new_guest(1, st_aligned_memory(size), size, KVM_MEM_LOG_DIRTY_PAGES);
	v = &g.vm->vcpus[0];
	vcpu_start(v, HM_DIRTY, 0, 0);
	memset(g.sh->to_write, 0xff, sizeof(g.sh->to_write));
	g.sh->hold = 1;
	g.sh->stop = 1;
	return v;
}

/* A vCPU whose ring is full does not go on before there is room. */
static void ring_full(void)
{
	uint64_t log[HM_MAX_DIRTY / 64], all[HM_MAX_DIRTY / 64] = {};
	unsigned int entries, full = 0, n;
	struct vcpu *v = ring_writer();
	struct kvm_regs regs, again;

	entries = g.ring_bytes / sizeof(struct kvm_dirty_gfn);
	while (vcpu_run(v) == KVM_EXIT_DIRTY_RING_FULL) {
		vcpu_regs(v, &regs);
		vcpu_expect_exit(v, KVM_EXIT_DIRTY_RING_FULL);
		vcpu_regs(v, &again);
		CHECK_EQ(again.rip, regs.rip);
		CHECK_EQ(again.rcx, regs.rcx);
		/* first what is not given back, then less than all */
		CHECK_EQ(OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0)), 0);
		vcpu_expect_exit(v, KVM_EXIT_DIRTY_RING_FULL);
		memset(log, 0, sizeof(log));
		n = collect(0, log, full++ % 2 ? entries / 2 : ~0u);
		CHECK(n > 0 && n < entries);
		CHECK_EQ(OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0)), n);
		/* the last one may be told again: it is written only when the vCPU goes on */
		add_bits(all, log, ARRAY_SIZE(all));
	}
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IO);
	memset(log, 0, sizeof(log));
	collect(0, log, ~0u);
	add_bits(all, log, ARRAY_SIZE(all));
	CHECK_EQ(count_bits(all, ARRAY_SIZE(all)), HM_MAX_DIRTY);
	CHECK(full >= 2);
	st_note("%u entries, full %u times", entries, full);
}

#define MSR_WALL_CLOCK	0x4b564d00

/*
 * Ioctls of a vCPU write more pages than its ring has room for, each twice. With @bitmap the rest
 * is in the bitmap; without, the vCPU tells it as soon as there is room.
 */
static void ring_by_ioctls(bool bitmap)
{
	size_t words = HM_MAX_DIRTY / 64, i;
	uint64_t log[HM_MAX_DIRTY / 64] = {}, rest[HM_MAX_DIRTY / 64] = {};
	struct kvm_dirty_log d = { .slot = TESTED_SLOT, .dirty_bitmap = rest };
	struct vcpu *v;
	unsigned int n;

	if (!kvm_is_oot())
		st_skip("the kernel's own module warns, and loses them");
	g.with_bitmap = bitmap;
	v = ring_writer();
	memset(g.sh->to_write, 0, sizeof(g.sh->to_write));
	for (i = 0; i < 2 * HM_MAX_DIRTY; i++)
		CHECK_EQ(vcpu_set_msr(v, MSR_WALL_CLOCK, TESTED_GPA + i / 2 * PAGE), 1);
	n = collect(0, log, ~0u);
	CHECK_EQ(n, g.ring_bytes / sizeof(struct kvm_dirty_gfn));
	CHECK_EQ(OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0)), n);
	if (bitmap) {
		OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
		for (i = 0; i < words; i++)
			CHECK_EQ(rest[i], ~log[i]);
		OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
		CHECK_EQ(count_bits(rest, words), 0);
	}
	while (vcpu_run(v) == KVM_EXIT_DIRTY_RING_FULL) {
		n += collect(0, log, ~0u);
		OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	}
	n += collect(0, log, ~0u);
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IO);
	if (!bitmap)
		CHECK_EQ(n, HM_MAX_DIRTY);
}

static void ring_overrun(void)
{
	ring_by_ioctls(false);
}

static void ring_with_bitmap(void)
{
	ring_by_ioctls(true);
}

/* The entries are user space's: whatever is in them, only user space is the worse for it. */
static void ring_of_rubbish(void)
{
	size_t words = HM_MAX_DIRTY / 64, size = HM_MAX_DIRTY * PAGE, i;
	uint64_t expect[HM_MAX_DIRTY / 64] = {}, seed = 7;
	unsigned int round, entries, j;

	g.ring_bytes = 4 * HM_MAX_DIRTY * sizeof(struct kvm_dirty_gfn);
	new_guest(2, st_aligned_memory(size), size, KVM_MEM_LOG_DIRTY_PAGES);
	entries = g.ring_bytes / sizeof(struct kvm_dirty_gfn);
	start(HM_DIRTY);
	for (round = 1; round < 12; round++) {
		write_pages(round, 3, expect, words);
		for (i = 0; i < entries; i++) {
			struct kvm_dirty_gfn *e = &g.rings[round & 1][i];

			seed = seed * 6364136223846793005ul + 1442695040888963407ul;
			switch (seed >> 60) {
			case 0 ... 3:
				e->flags = seed >> 8;
				e->slot = seed >> 16 & 0x10003;
				e->offset = seed >> 20 & (8 * HM_MAX_DIRTY - 1);
				break;
			case 4:
				e->flags = KVM_DIRTY_GFN_F_RESET;
				e->slot = seed;
				e->offset = -(seed >> 50);
				break;
			default:
				e->flags = KVM_DIRTY_GFN_F_RESET;
			}
		}
		for (j = 0; j < 3; j++) {
			int n = OK(ioctl(g.vm->fd, KVM_RESET_DIRTY_RINGS, 0));

			CHECK(n <= 2 * entries);
		}
		if (round == 6)
			vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem, 0);
		if (round == 8)
			vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, size, g.mem,
				    KVM_MEM_LOG_DIRTY_PAGES);
	}
	WRITE_ONCE(g.sh->stop, 1);
	join();
}

static void readonly_slot(void)
{
	uint64_t *mem = (uint64_t *)st_aligned_memory(LARGE);
	struct report rep;
	struct vcpu *v;

	new_guest(1, (uint8_t *)mem, LARGE, KVM_MEM_READONLY);
	v = &g.vm->vcpus[0];
	mem[0] = 111;
	mem[512] = 222;
	vcpu_start(v, HM_READONLY, 0, 0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.b, 111);
	CHECK_EQ(rep.c, 222);
	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK(v->run->mmio.is_write);
	CHECK_EQ(v->run->mmio.phys_addr, TESTED_GPA);
	CHECK_EQ(v->run->mmio.len, 8);
	CHECK_EQ(*(uint64_t *)v->run->mmio.data, 0x1122334455667788);
	CHECK_EQ(mem[0], 111);
	mem[0] = 333;			/* what the host writes is seen */
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	CHECK_EQ(rep.b, 333);
	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK(v->run->mmio.is_write);
	CHECK_EQ(v->run->mmio.phys_addr, TESTED_GPA + PAGE);
	CHECK_EQ(*(uint64_t *)v->run->mmio.data, 223);
	CHECK_EQ(mem[512], 222);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.c, 222);
	vcpu_expect_done(v);
}

/*
 * The slot goes, comes back with other memory, moves away and back: what the
 * guest reads there is never older than the last change that is finished.
 */
static void slot_changes(void)
{
	uint8_t *mem[2] = { st_aligned_memory(LARGE), st_aligned_memory(LARGE) };
	unsigned long e = 1, k;
	double end;

	*(uint64_t *)mem[0] = e;
	new_guest(2, mem[0], LARGE, 0);
	g.sh->epoch = e;
	start(HM_EPOCH);
	some_rounds(1);
	end = st_now() + 3;
	for (k = 0; st_now() < end || k < 20; k++) {
		uint8_t *next = mem[++e & 1];

		/* the old memory is not written: only a stale translation shows it */
		*(uint64_t *)next = e;
		if (k % 3 == 2) {
			/* moved away; the new place shows the same memory */
			vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA + 64 * MIB, LARGE, g.mem, 0);
			WRITE_ONCE(g.sh->epoch, e);
			if (k & 1)
				some_rounds(1);
		}
		vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, 0, NULL, 0);
		WRITE_ONCE(g.sh->epoch, e);
		if (k & 1)
			some_rounds(1);
		vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, LARGE, next, 0);
		g.mem = next;
		some_rounds(1);
	}
	WRITE_ONCE(g.sh->stop, 1);
	join();
	st_note("%lu changes, %lu reads without a slot", k, g.mmio);
	CHECK(g.mmio > 0);
	CHECK(g.sh->rounds[0] > k && g.sh->rounds[1] > k);
}

/* ---- many at once ---------------------------------------------------------------------- */

/* Mapped before it is touched, as large as it would be; the guest then takes no fault there. */
static void pre_fault(void)
{
	struct kvm_pre_fault_memory p = { TESTED_GPA, 8 * MIB };
	uint64_t small, large, taken;
	struct vcpu *v;
	int stats;

	new_guest(1, st_aligned_memory(8 * MIB), 8 * MIB, 0);
	if (!kvm_cap(g.vm->fd, KVM_CAP_PRE_FAULT_MEMORY))
		st_skip("there is no KVM_PRE_FAULT_MEMORY");
	v = &g.vm->vcpus[0];
	memset(g.mem, 1, g.size);
	/* a page in the middle first: the rest of what it is in comes with it, or later */
	p.gpa += 3 * MIB;
	p.size = PAGE;
	OK(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &p));
	CHECK_EQ(p.gpa, TESTED_GPA + 3 * MIB + PAGE);
	CHECK_EQ(p.size, 0);
	p = (struct kvm_pre_fault_memory) { TESTED_GPA, 8 * MIB };
	OK(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &p));
	CHECK_EQ(p.gpa, TESTED_GPA + 8 * MIB);
	CHECK_EQ(p.size, 0);
	small = vm_stat(g.vm, "pages_4k");
	large = vm_stat(g.vm, "pages_2m");
	CHECK_EQ(small + 512 * large, 8 * MIB / PAGE);
	stats = stats_of(v->fd);
	taken = counter(stats, "pf_fixed");
	CHECK(taken > 0);
	g.sh->arrived = 0;
	vcpu_start(v, HM_TOUCH, 0, 0);
	CHECK_EQ(vcpu_run_to_report(v).kind, REPORT_SYNC);
	CHECK_EQ(vm_stat(g.vm, "pages_2m"), large);
	/* its own code and data are 2 MiB at most */
	CHECK(vm_stat(g.vm, "pages_4k") <= small + 512);
	taken = counter(stats, "pf_fixed") - taken;
	st_note("%u pages of 4 KiB, %u of 2 MiB, then %u faults", (unsigned int)small,
		(unsigned int)large, (unsigned int)taken);
	CHECK(taken < 64);
}

static void parallel_faults(void)
{
	unsigned long rounds = 12, round, page, spent;
	unsigned int i;

	new_guest(8, st_aligned_memory(8 * MIB), 8 * MIB, 0);
	for (round = 1; round <= rounds; round++) {
		OK(madvise(g.mem, g.size, MADV_DONTNEED));
		OK(madvise(g.mem, g.size, round & 1 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE));
		if (round == 1)
			start(HM_TOUCH);
		else
			resume();
		join();
		for (i = 0; i < g.n; i++) {
			CHECK_EQ(g.last[i].kind, REPORT_SYNC);
			CHECK_EQ(g.last[i].a, round);
		}
		for (page = 0; page < g.size / PAGE; page++)
			CHECK_EQ(*(uint64_t *)(g.mem + page * PAGE), g.n);
	}
	spent = vm_stat(g.vm, "pages_4k") + 512 * vm_stat(g.vm, "pages_2m");
	CHECK(spent >= g.size / PAGE);
	WRITE_ONCE(g.sh->stop, 1);
}

static long available(void)
{
	/* what is freed later has been */
	usleep(400000);
	return st_named("/proc/meminfo", "MemAvailable");
}

/* Two hundred guests that have run: nothing is left of them. */
static void come_and_go(void)
{
	/* what is freed stays with KASAN for long; kmemleak finds what is lost */
	bool checkers = !access("/sys/kernel/debug/kmemleak", F_OK);
	long after[5], i, n = checkers ? 10 : 50;

	/* one that stays, so that the CPUs are not taken and given back each time */
	vm_new(LARGE, 0);
	for (i = 0; i < 5 * n; i++) {
		struct vm *vm = vm_new(4 * MIB, VM_IRQCHIP);
		struct vcpu *a = vm_add_vcpu(vm, 0), *b = vm_add_vcpu(vm, 1);

		PAYLOAD(vm, basic);
		vcpu_start(a, BASIC_WRITE, GUEST_DATA, i);
		vcpu_expect_sync(a, 1);
		vcpu_make_runnable(b);
		vcpu_start(b, BASIC_READ, GUEST_DATA, 0);
		CHECK_EQ(vcpu_run_to_report(b).b, i);
		vm_free(vm);
		if (i % n == n - 1)
			after[i / n] = available();
	}
	st_note("KiB free after each %ld guests: %ld, %ld, %ld, %ld, %ld", n, after[0], after[1],
		after[2], after[3], after[4]);
	if (checkers) {
		st_note("a kernel with checkers: the free memory is not compared");
		return;
	}
	/* a page lost with each guest would be 200 KiB each time; caches fill up once */
	for (i = 1; i < 5; i++)
		if (after[i] > after[i - 1] - 150)
			return;
	st_fail(__FILE__, __LINE__, "less memory after each 50 guests");
}

/* ---- all of it at once ------------------------------------------------------------------ */

static int uffd;

static size_t some_offset(unsigned int *seed, size_t size, size_t unit)
{
	return rand_r(seed) % (size / unit) * unit;
}

static void rest(unsigned int *seed, unsigned int us)
{
	usleep(rand_r(seed) % us);
}

static void trouble_pageout(unsigned int *seed)
{
	madvise(g.mem + some_offset(seed, g.size, MIB), MIB, MADV_PAGEOUT);
	madvise(g.vm->mem, g.vm->size, MADV_PAGEOUT);
	rest(seed, 20000);
}

/* Huge pages in the first half of the memory, and one page of each with other rights. */
static void trouble_thp(unsigned int *seed)
{
	uint8_t *p = g.mem + some_offset(seed, g.size / 2, LARGE);

	madvise(p, LARGE, MADV_COLLAPSE);
	rest(seed, 30000);
	p += some_offset(seed, LARGE, PAGE);
	OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
}

/* A slot beside the tested one comes, moves and goes. */
static void trouble_slots(unsigned int *seed)
{
	static uint8_t *other;
	int slot = 2 + rand_r(seed) % 6;
	uint64_t gpa = 0x80000000ul + slot * 16 * MIB;

	if (!other)
		other = st_aligned_memory(LARGE);
	vm_set_slot(g.vm, slot, gpa, LARGE, other, 0);
	vm_set_slot(g.vm, slot, gpa + 4 * MIB, LARGE, other, 0);
	vm_set_slot(g.vm, slot, gpa + 4 * MIB, LARGE, other, KVM_MEM_LOG_DIRTY_PAGES);
	vm_set_slot(g.vm, slot, 0, 0, NULL, 0);
	rest(seed, 20000);
}

static void trouble_log(unsigned int *seed)
{
	static uint64_t log[HM_MAX_PAGES / 64];
	struct kvm_dirty_log d = { .slot = TESTED_SLOT, .dirty_bitmap = log };
	unsigned int i;

	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, g.size, g.mem, KVM_MEM_LOG_DIRTY_PAGES);
	for (i = 0; i < 8; i++) {
		rest(seed, 10000);
		OK(ioctl(g.vm->fd, KVM_GET_DIRTY_LOG, &d));
	}
	vm_set_slot(g.vm, TESTED_SLOT, TESTED_GPA, g.size, g.mem, 0);
	rest(seed, 40000);
}

static void trouble_fork(unsigned int *seed)
{
	pid_t child = OK(fork());

	if (!child) {
		rest(seed, 20000);
		_exit(0);
	}
	OK(waitpid(child, NULL, 0));
	rest(seed, 50000);
}

/*
 * A pager in user space: write-protected pages are saved, thrown away and put back, while
 * who wants one waits.
 */
static void trouble_uffd(unsigned int *seed)
{
	static uint8_t saved[64 * PAGE];
	uint8_t *p = g.mem + g.size / 2 + some_offset(seed, g.size / 2, sizeof(saved));
	struct uffdio_range range = { (uintptr_t)p, sizeof(saved) };
	struct uffdio_writeprotect wp = { range, UFFDIO_WRITEPROTECT_MODE_WP };
	size_t at;

	OK(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
	memcpy(saved, p, sizeof(saved));
	OK(madvise(p, sizeof(saved), MADV_DONTNEED));
	rest(seed, 3000);
	for (at = 0; at < sizeof(saved);) {
		struct uffdio_copy copy = { (uintptr_t)p + at, (uintptr_t)saved + at, PAGE };

		/* the address space is just being changed */
		if (ioctl(uffd, UFFDIO_COPY, &copy)) {
			CHECK_EQ(errno, EAGAIN);
			continue;
		}
		at += PAGE;
	}
	OK(ioctl(uffd, UFFDIO_WAKE, &range));
	rest(seed, 30000);
}

static struct trouble {
	const char *name;
	void (*once)(unsigned int *seed);
	pthread_t thread;
	unsigned long times;
} troubles[] = {
	{ "pageout", trouble_pageout }, { "thp", trouble_thp }, { "slots", trouble_slots },
	{ "log", trouble_log }, { "fork", trouble_fork }, { "userfaultfd", trouble_uffd },
};

static bool calm;

static void *make_trouble(void *arg)
{
	struct trouble *t = arg;
	unsigned int seed = t - troubles;

	while (!READ_ONCE(calm)) {
		t->once(&seed);
		t->times++;
	}
	return NULL;
}

/* The second half of the memory is paged by user space, if the host has that. */
static bool open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = {
		.range = { (uintptr_t)g.mem + g.size / 2, g.size / 2 },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	return uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg);
}

/* ST_SECONDS=600 for ten minutes of it. */
static void everything(void)
{
	const char *seconds = getenv("ST_SECONDS");
	unsigned int i, n = ARRAY_SIZE(troubles);

	swap_begin();
	new_guest(8, st_aligned_memory(16 * MIB), 16 * MIB, 0);
	start(HM_PATTERN);
	some_rounds(1);
	OK(madvise(g.mem, g.size / 2, MADV_HUGEPAGE));
	st_write(KSM "pages_to_scan", "500");
	if (st_write(KSM "run", "1"))
		madvise(g.mem, g.size / 2, MADV_MERGEABLE);
	if (!open_uffd()) {
		st_note("no userfaultfd with write protection: %s", strerror(errno));
		n--;
	}
	for (i = 0; i < n; i++)
		CHECK(!pthread_create(&troubles[i].thread, NULL, make_trouble, &troubles[i]));
	sleep(seconds ? atoi(seconds) : 12);
	WRITE_ONCE(calm, true);
	for (i = 0; i < n; i++)
		CHECK(!pthread_join(troubles[i].thread, NULL));
	st_write(KSM "run", "2");
	st_write(KSM "run", "0");
	swap_end();
	end_pattern();
	for (i = 0; i < n; i++) {
		st_note("%s: %lu times", troubles[i].name, troubles[i].times);
		CHECK(troubles[i].times > 2);
	}
}

static const struct st_test tests[] = {
	{ "pageout", pageout, 200 },
	{ "ksm", ksm, 200 },
	{ "migrate", migrate, 200 },
	{ "compact", compact, 200 },
	{ "thp", thp, 200 },
	{ "executed_huge_page", executed_huge_page },
	{ "recovered_huge_pages", recovered_huge_pages, 100 },
	{ "pages_4k", pages_4k, 100 },
	{ "hugetlb_2m", hugetlb_2m, 100 },
	{ "shrink", shrink, 200 },
	{ "pfnmap", pfnmap },
	{ "devices_and_memory", devices_and_memory },
	{ "doorbell", doorbell },
	{ "hugetlb_1g", hugetlb_1g, 200 },
	{ "zero_pages", zero_pages, 200 },
	{ "protect", protect, 200 },
	{ "moved_away", moved_away, 200 },
	{ "forked", forked, 200 },
	{ "dirty_log_while_paging", dirty_log_while_paging, 200 },
	{ "dirty_log_exact", dirty_log_exact, 200 },
	{ "dirty_log_cleared_by_halves", dirty_log_cleared_by_halves, 200 },
	{ "dirty_log_initially_set", dirty_log_initially_set, 200 },
	{ "split_for_log", split_for_log },
	{ "split_by_clear", split_by_clear },
	{ "ring_exact", ring_exact, 200 },
	{ "ring_full", ring_full },
	{ "ring_overrun", ring_overrun },
	{ "ring_with_bitmap", ring_with_bitmap },
	{ "ring_of_rubbish", ring_of_rubbish, 200 },
	{ "readonly_slot", readonly_slot },
	{ "slot_changes", slot_changes, 200 },
	{ "pre_fault", pre_fault },
	{ "parallel_faults", parallel_faults, 200 },
	{ "everything", everything, 1000 },
	{ "come_and_go", come_and_go, 200 },
	{}
};

ST_MAIN("hostmem", tests)
