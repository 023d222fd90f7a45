// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of a guest that change: by the guest (payloads/tables.c), and from
 * outside while it uses them. The CPU does that by itself with nested paging; with shadow
 * paging (npt=0, ept=0) each change must reach tables of KVM's making, and what user space
 * takes away must be gone from all of them.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "st.h"
#include "tables.h"

#define MIB		BIT(20)
#define PAGE		4096ul
#define TESTED_SLOT	1
#define LARGE		(2 * MIB)
#define LEAF		0x87ul		/* present, writable, user, large */
#define TABLE		7ul

static struct vm *vm;
static struct tt_shared *sh;

static void new_guest(int vcpus, unsigned long rounds)
{
	int i;

	vm = vm_new(32 * MIB, 0);
	PAYLOAD(vm, tables);
	sh = vm_ptr(vm, GUEST_SHARED);
	sh->rounds = rounds;
	for (i = 0; i < vcpus; i++) {
		vm_add_vcpu(vm, i);
		vcpu_set_cpuid(&vm->vcpus[i]);
		vcpu_long_mode(&vm->vcpus[i]);
	}
}

static void alone(unsigned long test, unsigned long rounds)
{
	new_guest(1, rounds);
	vcpu_start(&vm->vcpus[0], test, 0, 0);
	vcpu_expect_done(&vm->vcpus[0]);
}

static void remap(void)
{
	alone(TT_REMAP, 1000);
}

static void levels(void)
{
	alone(TT_LEVELS, 1000);
}

static void reuse(void)
{
	alone(TT_REUSE, 20);
}

static void recursive(void)
{
	alone(TT_RECURSIVE, 500);
}

static void bits(void)
{
	alone(TT_BITS, 200);
}

static void stores(void)
{
	alone(TT_STORES, 450);
}

static void spaces(void)
{
	alone(TT_SPACES, 1000);
}

/* So few shadow pages that most of what is there must go for anything new. */
static void spaces_in_little_room(void)
{
	new_guest(1, 500);
	OK(ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 64ul));
	vcpu_start(&vm->vcpus[0], TT_SPACES, 0, 0);
	vcpu_expect_done(&vm->vcpus[0]);
}

static void *run_to_done(void *arg)
{
	vcpu_expect_done(arg);
	return NULL;
}

static void shootdown(void)
{
	pthread_t t;

	new_guest(2, 300);
	vcpu_start(&vm->vcpus[0], TT_SHOOTDOWN, 0, 0);
	vcpu_start(&vm->vcpus[1], TT_SHOOTDOWN, 1, 0);
	vcpu_expect_sync(&vm->vcpus[0], 1);
	CHECK(!pthread_create(&t, NULL, run_to_done, &vm->vcpus[1]));
	vcpu_expect_done(&vm->vcpus[0]);
	pthread_join(t, NULL);
	CHECK(sh->reads > 0);
}

/* ---- from outside ------------------------------------------------------------------- */

static unsigned long mmio_reads;

/* The guest runs until it is done; where it finds no memory it reads ones. */
static void *run_watcher(void *arg)
{
	struct vcpu *v = arg;
	struct report r;

	for (;;) {
		if (vcpu_run(v) == KVM_EXIT_MMIO) {
			CHECK(!v->run->mmio.is_write);
			memset(v->run->mmio.data, 0xff, 8);
			__atomic_fetch_add(&mmio_reads, 1, __ATOMIC_RELAXED);
			continue;
		}
		CHECK(vcpu_is_report(v, &r));
		if (r.kind == REPORT_DONE)
			return NULL;
	}
}

static uint8_t *make_frames(void)
{
	uint8_t *p = st_aligned_memory(LARGE);
	uint64_t *table, i;

	madvise(p, LARGE, MADV_HUGEPAGE);
	for (i = 0; i < LARGE / PAGE; i++)
		*(uint64_t *)(p + i * PAGE) = TT_WORD(TT_SLOT_GPA + i * PAGE);
	/* the first is a table of all of them */
	table = (uint64_t *)p;
	for (i = 0; i < 512; i++)
		table[i] = (TT_SLOT_GPA + i * 7 % 512 * PAGE) | TABLE;
	return p;
}

static void some_reads(unsigned long n)
{
	unsigned long from = READ_ONCE(sh->reads), t;

	for (t = 0; READ_ONCE(sh->reads) < from + n; t++) {
		if (t > 100000)
			st_fail(__FILE__, __LINE__, "the guest stands still");
		usleep(100);
	}
}

static pthread_t watcher;

/* A guest that reads what its entry maps, which is @value; returns where the entry is. */
static uint64_t *start_watching(uint8_t *frames, uint64_t value)
{
	uint64_t *pde;

	new_guest(1, 0);
	vcpu_start(&vm->vcpus[0], TT_WATCH, 0, 0);
	vm_set_slot(vm, TESTED_SLOT, TT_SLOT_GPA, LARGE, frames, 0);
	vcpu_expect_sync(&vm->vcpus[0], 1);
	pde = vm_ptr(vm, sh->pde);
	WRITE_ONCE(*pde, value);
	CHECK(!pthread_create(&watcher, NULL, run_watcher, &vm->vcpus[0]));
	return pde;
}

static void stop_watching(void)
{
	WRITE_ONCE(sh->stop, 1);
	pthread_join(watcher, NULL);
}

/*
 * The entry is changed between a large page, the table that is in that page, and another
 * table, without the guest's doing and without a flush; then the memory goes.
 */
static void swapped_from_outside(void)
{
	uint8_t *p = make_frames();
	uint64_t *pde = start_watching(p, TT_SLOT_GPA | LEAF), *other, i, round;

	other = vm_ptr(vm, 30 * MIB);
	for (i = 0; i < 512; i++)
		other[i] = (TT_SLOT_GPA + (511 - i) * PAGE) | TABLE;
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 12; i++) {
			switch ((i + round) % 3) {
			case 0:
				WRITE_ONCE(*pde, TT_SLOT_GPA | LEAF);
				break;
			case 1:
				WRITE_ONCE(*pde, TT_SLOT_GPA | TABLE);
				break;
			case 2:
				WRITE_ONCE(*pde, (30 * MIB) | TABLE);
				break;
			}
			some_reads(3);
		}
		/* no walk needs the table in memory that is about to go */
		WRITE_ONCE(*pde, round & 1 ? TT_SLOT_GPA | LEAF : (30 * MIB) | TABLE);
		some_reads(200);
		vm_set_slot(vm, TESTED_SLOT, TT_SLOT_GPA, 0, p, 0);
		/* who reads this reads what is not the guest's any more */
		for (i = 0; i < LARGE / PAGE; i++)
			*(uint64_t *)(p + i * PAGE) = 0xdead;
		some_reads(5);
		munmap(p, LARGE);
		some_reads(5);
		p = make_frames();
		vm_set_slot(vm, TESTED_SLOT, TT_SLOT_GPA, LARGE, p, 0);
	}
	stop_watching();
	CHECK(mmio_reads > 0);
}

/* Each page of the process gets another frame, with the same in it. */
static void new_frames(uint8_t *p, size_t size)
{
	pid_t child = OK(fork());
	size_t at;

	if (!child) {
		pause();
		_exit(0);
	}
	for (at = 0; at < size; at += PAGE)
		__atomic_fetch_or((uint64_t *)(p + at), 0, __ATOMIC_SEQ_CST);
	kill(child, SIGKILL);
	OK(waitpid(child, NULL, 0));
}

/* Tables and what they map are swapped out, copied on write, and come back. */
static void tables_paged(void)
{
	uint8_t *p = make_frames();
	unsigned long round;

	start_watching(p, TT_SLOT_GPA | TABLE);
	for (round = 0; round < 12; round++) {
		madvise(vm->mem, vm->size, MADV_PAGEOUT);
		madvise(p, LARGE, MADV_PAGEOUT);
		some_reads(20);
		new_frames(p, LARGE);
		some_reads(20);
	}
	stop_watching();
	CHECK_EQ(mmio_reads, 0);
}

static const struct st_test tests[] = {
	{ "remap", remap, 120 },
	{ "levels", levels, 120 },
	{ "reuse", reuse, 120 },
	{ "recursive", recursive, 120 },
	{ "bits", bits, 120 },
	{ "stores", stores, 120 },
	{ "spaces", spaces, 120 },
	{ "spaces_in_little_room", spaces_in_little_room, 120 },
	{ "shootdown", shootdown, 120 },
	{ "swapped_from_outside", swapped_from_outside, 240 },
	{ "tables_paged", tables_paged, 240 },
	{}
};

ST_MAIN("tables", tests)
