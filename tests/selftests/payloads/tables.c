// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that changes its page tables in every way it may, and sees what it has
 * written: at each level, by stores of each kind, through mappings of the tables
 * themselves, in many address spaces, and while another vCPU uses them. What holds with
 * nested paging by itself is what shadow paging must keep up. Test numbers: tables.h
 *
 * The host has mapped the first 4 GiB onto themselves; the tests' own addresses begin
 * above 512 GiB.
 */
#include "guest.h"
#include "tables.h"

#define VA	TT_WATCHED
#define P	1ul
#define W	2ul
#define U	4ul
#define A	0x20ul
#define D	0x40ul
#define PS	0x80ul
#define PWU	(P | W | U)
#define ADDR	0xffffffffff000ul

static struct tt_shared *const sh = (struct tt_shared *)GUEST_SHARED;
static u64 next_frame = TT_FRAMES;
static u64 seed = 12345;

static u64 rnd(u64 n)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return (seed >> 33) % n;
}

static u64 *frame(void)
{
	u64 *f = (u64 *)next_frame, i;

	next_frame += 4096;
	for (i = 0; i < 512; i++)
		f[i] = 0;
	return f;
}

/* a frame that says which it is */
static u64 data(void)
{
	u64 *f = frame();

	*f = TT_WORD((u64)f);
	return (u64)f;
}

static void invlpg(u64 va)
{
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static u64 read_cr3(void)
{
	u64 v;

	asm volatile("mov %%cr3, %0" : "=r"(v) : : "memory");
	return v;
}

static void write_cr3(u64 v)
{
	asm volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static u64 peek(u64 va)
{
	return READ_ONCE(*(u64 *)va);
}

static s64 try_read(u64 va)
{
	return TRY("movq (%0), %%rax", ARGS(), ARGS("r"(va)), "rax");
}

static void expect(u64 va, u64 gpa)
{
	GUEST_EQ(peek(va), TT_WORD(gpa));
}

static u64 *const pml4 = (u64 *)GUEST_PML4;
static u64 *pdpt, *pd, *pt;

/* tables for 2 MiB from VA on */
static void make_tables(void)
{
	pdpt = frame();
	pd = frame();
	pt = frame();
	pd[0] = (u64)pt | PWU;
	pdpt[0] = (u64)pd | PWU;
	pml4[1] = (u64)pdpt | PWU;
}

/* The last level, with each way to flush. */
static void remap(void)
{
	u64 f[64], i, round, page;

	make_tables();
	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = data();
	for (i = 0; i < 64; i++)
		pt[i] = f[i] | PWU;
	for (round = 0; round < sh->rounds; round++) {
		page = rnd(64);
		i = rnd(ARRAY_SIZE(f));
		pt[page] = f[i] | PWU;
		if (round % 3)
			invlpg(VA + page * 4096);
		else
			write_cr3(read_cr3());
		expect(VA + page * 4096, f[i]);
		/* gone, and there again */
		if (round % 5 == 0) {
			pt[page] = 0;
			invlpg(VA + page * 4096);
			GUEST_EQ(try_read(VA + page * 4096), 14);
			GUEST_EQ(fault_err, 0);
			GUEST_EQ(fault_cr2, VA + page * 4096);
			/* what becomes present needs no flush */
			pt[page] = f[i] | PWU;
			expect(VA + page * 4096, f[i]);
		}
	}
}

/* Entries of the upper levels, between tables, large pages and nothing. */
static void levels(void)
{
	u64 *pds[2], *pts[2], f[2][4], i, j, round, want;
	/* frames of large pages, in the memory that is mapped onto itself */
	u64 large = 0x800000, both = 0xa00000;

	make_tables();
	for (i = 0; i < 2; i++) {
		pds[i] = frame();
		pts[i] = frame();
		for (j = 0; j < 4; j++) {
			f[i][j] = data();
			pts[i][j] = f[i][j] | PWU;
		}
		pds[i][0] = (u64)pts[i] | PWU;
	}
	for (j = 0; j < 4; j++)
		*(u64 *)(large + j * 4096) = TT_WORD(large + j * 4096);
	/* a large page whose first frame is also the table that it is exchanged for */
	for (j = 1; j < 4; j++) {
		*(u64 *)(both + j * 4096) = TT_WORD(both + j * 4096);
		((u64 *)both)[j] = (both + (4 - j) * 4096) | PWU;
	}
	for (round = 0; round < sh->rounds; round++) {
		i = rnd(2);
		j = rnd(4);
		want = f[i][j];
		switch (rnd(6)) {
		case 0:
			pd[0] = (u64)pts[i] | PWU;
			pdpt[0] = (u64)pd | PWU;
			break;
		case 1:
			pdpt[0] = (u64)pds[i] | PWU;
			break;
		case 2:
			pd[0] = large | PWU | PS;
			pdpt[0] = (u64)pd | PWU;
			want = large + j * 4096;
			break;
		case 3:
			/* the large page has a table of the others in it */
			pd[0] = 0x400000 | PWU | PS;
			pdpt[0] = (u64)pd | PWU;
			want = 0;
			break;
		case 4:
			pd[0] = both | PWU | PS;
			pdpt[0] = (u64)pd | PWU;
			j = 1 + rnd(3);
			want = both + j * 4096;
			break;
		case 5:
			pd[0] = both | PWU;
			pdpt[0] = (u64)pd | PWU;
			j = 1 + rnd(3);
			want = both + (4 - j) * 4096;
			break;
		}
		write_cr3(read_cr3());
		if (want)
			expect(VA + j * 4096, want);
		else
			GUEST_EQ(peek(VA + ((u64)pts[i] & 0x1fffff) + j * 8), pts[i][j]);
	}
}

/* A frame is a table, then data, then a table: whatever is written to it stays. */
static void reuse(void)
{
	u64 f = data(), g = data(), *t, round, i;

	make_tables();
	t = frame();
	for (round = 0; round < sh->rounds; round++) {
		for (i = 0; i < 512; i++)
			WRITE_ONCE(t[i], (i & 1 ? f : g) | PWU);
		pd[0] = (u64)t | PWU;
		invlpg(VA);
		expect(VA, g);
		expect(VA + 4096, f);
		expect(VA + 511 * 4096, f);
		pd[0] = (u64)pt | PWU;
		write_cr3(read_cr3());
		for (i = 0; i < 512; i++)
			WRITE_ONCE(t[i], i * round);
		for (i = 0; i < 512; i++)
			GUEST_EQ(READ_ONCE(t[i]), i * round);
		/* and as the table of another level */
		for (i = 0; i < 512; i++)
			WRITE_ONCE(t[i], 0);
		pt[0] = f | PWU;
		t[0] = (u64)pt | PWU;
		pdpt[0] = (u64)t | PWU;
		write_cr3(read_cr3());
		expect(VA, f);
		t[0] = 0;
		pdpt[0] = (u64)pd | PWU;
		write_cr3(read_cr3());
	}
}

/* The last entry of the root is the root: tables are written through their own mapping. */
static void recursive(void)
{
	u64 f[8], i, round, page, slot = 2;
	u64 base = slot << 39;
	/* the entry for a page of VA, as the tables' own mapping has it */
	u64 *ptes = (u64 *)(base | (1ul << 30));
	u64 *pdes = (u64 *)(base | (slot << 30) | (1ul << 21));

	make_tables();
	pml4[slot] = (u64)pml4 | P | W;
	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = data();
	for (round = 0; round < sh->rounds; round++) {
		page = rnd(512);
		i = rnd(ARRAY_SIZE(f));
		WRITE_ONCE(ptes[page], f[i] | PWU);
		invlpg(VA + page * 4096);
		expect(VA + page * 4096, f[i]);
		GUEST_EQ(pt[page] & ADDR, f[i]);
		if (round % 16)
			continue;
		/* one level up: the table itself is exchanged under its mapping */
		GUEST_EQ(READ_ONCE(pdes[0]) & ADDR, (u64)pt);
		WRITE_ONCE(pdes[0], 0);
		write_cr3(read_cr3());
		GUEST_EQ(try_read(VA), 14);
		WRITE_ONCE(pdes[0], (u64)pt | PWU);
		expect(VA + page * 4096, f[i]);
	}
	pml4[slot] = 0;
	write_cr3(read_cr3());
}

/* Many roots, whose tables are changed while another is in use. */
static void spaces(void)
{
	static u64 *roots[TT_SPACES_NR], *ptes[TT_SPACES_NR], now[TT_SPACES_NR];
	u64 f[16], i, s, round, *t, home = read_cr3();

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = data();
	for (s = 0; s < TT_SPACES_NR; s++) {
		roots[s] = frame();
		roots[s][0] = pml4[0];
		t = frame();
		roots[s][1] = (u64)t | PWU;
		t[0] = (u64)frame() | PWU;
		ptes[s] = frame();
		((u64 *)(t[0] & ADDR))[0] = (u64)ptes[s] | PWU;
		now[s] = f[s % ARRAY_SIZE(f)];
		ptes[s][s] = now[s] | PWU;
	}
	for (round = 0; round < sh->rounds; round++) {
		s = rnd(TT_SPACES_NR);
		i = rnd(TT_SPACES_NR);
		if (s != i && round % 2) {
			now[i] = f[rnd(ARRAY_SIZE(f))];
			ptes[i][i] = now[i] | PWU;
		}
		write_cr3((u64)roots[s]);
		expect(VA + s * 4096, now[s]);
	}
	write_cr3(home);
}

/* Accessed and dirty bits come with use, and again when they were cleared. */
static void bits(void)
{
	u64 f = data(), round, write;

	make_tables();
	for (round = 0; round < sh->rounds; round++) {
		write = round & 1;
		pt[0] = f | PWU;
		pd[0] &= ~A;
		pdpt[0] &= ~A;
		pml4[1] &= ~A;
		if (round % 3)
			invlpg(VA);
		else
			write_cr3(read_cr3());
		expect(VA, f);
		GUEST_EQ(pt[0], f | PWU | A);
		if (write) {
			WRITE_ONCE(*(u64 *)VA, TT_WORD(f));
			GUEST_EQ(pt[0], f | PWU | A | D);
		}
		GUEST_EQ(pd[0] & A, A);
		GUEST_EQ(pdpt[0] & A, A);
		GUEST_EQ(pml4[1] & A, A);
		/* only D: the next write sets it again */
		pt[0] = f | PWU | A;
		invlpg(VA);
		expect(VA, f);
		GUEST_EQ(pt[0], f | PWU | A);
		WRITE_ONCE(*(u64 *)VA, TT_WORD(f));
		GUEST_EQ(pt[0], f | PWU | A | D);
	}
}

/* Instructions that write two entries of a table of the second level. */
static void store(u64 kind, u64 *to, u64 lo, u64 hi)
{
	u64 from[2] __aligned(16) = { lo, hi }, was;

	switch (kind) {
	case 0:
		WRITE_ONCE(to[0], lo);
		WRITE_ONCE(to[1], hi);
		break;
	case 1:
		asm volatile("movups %0, %%xmm0; movups %%xmm0, %1"
			     : : "m"(from), "m"(*(u64 (*)[2])to) : "memory");
		break;
	case 2:
		asm volatile("xchg %0, (%1)" : "+r"(lo) : "r"(to) : "memory");
		asm volatile("xchg %0, (%1)" : "+r"(hi) : "r"(to + 1) : "memory");
		break;
	case 3: {
		u64 a = to[0], d = to[1];

		asm volatile("1: lock cmpxchg16b (%2); jnz 1b"
			     : "+a"(a), "+d"(d) : "r"(to), "b"(lo), "c"(hi) : "memory", "cc");
		break;
	}
	case 4: {
		u64 n = 16, s = (u64)from, t = (u64)to;

		asm volatile("rep movsb" : "+c"(n), "+S"(s), "+D"(t) : : "memory");
		break;
	}
	case 5:
		/* halves, the upper one first */
		WRITE_ONCE(((u32 *)to)[1], lo >> 32);
		WRITE_ONCE(((u32 *)to)[0], lo);
		WRITE_ONCE(((u32 *)to)[3], hi >> 32);
		WRITE_ONCE(((u32 *)to)[2], hi);
		break;
	case 6:
		/* across the two: an access that is not aligned */
		was = lo >> 32 | hi << 32;
		WRITE_ONCE(((u32 *)to)[0], lo);
		asm volatile("mov %0, 4(%1)" : : "r"(was), "r"(to) : "memory");
		WRITE_ONCE(((u32 *)to)[3], hi >> 32);
		break;
	case 7:
		/* bits of the first byte only */
		to[0] = lo & ~P;
		to[1] = hi & ~P;
		asm volatile("lock orb %1, (%0)" : : "r"(to), "i"(P) : "memory", "cc");
		asm volatile("lock btsq $0, (%0)" : : "r"(to + 1) : "memory", "cc");
		break;
	case 8:
		asm volatile("movnti %0, (%1)" : : "r"(lo), "r"(to) : "memory");
		asm volatile("movnti %0, (%1); sfence" : : "r"(hi), "r"(to + 1) : "memory");
		break;
	}
}

static void stores(void)
{
	u64 *pts[8], f[8], i, j, round;

	make_tables();
	for (i = 0; i < 8; i++) {
		pts[i] = frame();
		f[i] = data();
		pts[i][0] = f[i] | PWU;
	}
	for (round = 0; round < sh->rounds; round++) {
		i = rnd(8);
		j = rnd(8);
		store(round % 9, pd, (u64)pts[i] | PWU, (u64)pts[j] | PWU);
		write_cr3(read_cr3());
		expect(VA, f[i]);
		expect(VA + 0x200000, f[j]);
	}
}

/* vCPU 0 takes pages away from the others, who say when they have flushed. */
static void shootdown(u64 id)
{
	static u64 pages[8];
	u64 i, j, round, seen;

	if (id) {
		while (!READ_ONCE(sh->stop)) {
			if (READ_ONCE(sh->flush)) {
				invlpg(VA);
				WRITE_ONCE(sh->flush, 0);
			}
			/* a frame is marked once no vCPU can reach it any more */
			seen = READ_ONCE(*(u64 *)VA);
			GUEST_EQ(seen >> 48, 0x5eed);
			sh->reads++;
		}
		return;
	}
	for (i = 0; i < 8; i++)
		pages[i] = data();
	make_tables();
	pt[0] = pages[0] | PWU;
	write_cr3(read_cr3());
	SYNC(1);
	for (round = 0, i = 0; round < sh->rounds; round++) {
		j = (i + 1 + rnd(7)) % 8;
		*(u64 *)pages[j] = TT_WORD(pages[j]);
		WRITE_ONCE(pt[0], pages[j] | PWU);
		WRITE_ONCE(sh->flush, 1);
		invlpg(VA);
		while (READ_ONCE(sh->flush))
			cpu_pause();
		*(u64 *)pages[i] = 0xdead;
		i = j;
	}
	WRITE_ONCE(sh->stop, 1);
}

/* The host changes an entry of ours; whatever is read must be of frames there are. */
static void watch(void)
{
	u64 v, page;

	make_tables();
	sh->pde = (u64)pd;
	SYNC(1);
	while (!READ_ONCE(sh->stop)) {
		page = rnd(512);
		write_cr3(read_cr3());
		v = peek(VA + page * 4096);
		/* a frame's word, or an entry of the table that is among the frames */
		GUEST_ASSERT(v >> 48 == 0x5eed || (v & ~ADDR & ~(A | D)) == PWU || v == ~0ul);
		sh->reads++;
	}
}

void guest_main(u64 test, u64 id, u64 unused)
{
	switch (test) {
	case TT_REMAP:
		remap();
		break;
	case TT_LEVELS:
		levels();
		break;
	case TT_REUSE:
		reuse();
		break;
	case TT_RECURSIVE:
		recursive();
		break;
	case TT_SPACES:
		spaces();
		break;
	case TT_BITS:
		bits();
		break;
	case TT_STORES:
		stores();
		break;
	case TT_SHOOTDOWN:
		shootdown(id);
		break;
	case TT_WATCH:
		watch();
		break;
	}
}
