// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a CPU does with each combination of bits of a guest's page tables: a model of it,
 * and accesses that are compared with the model. Made for 64-bit and for 32-bit mode.
 *
 * The model (model()) is the text of the Intel SDM vol. 3, chapter 4 and the AMD APM
 * vol. 2, chapter 5, and knows nothing of the module:
 *
 *  - which bits must be zero, at each level, for a table and for a page (tables 4-1 ff.);
 *  - W and U must be set at all levels, NX at none; CR0.WP, CR4.SMEP, CR4.SMAP with
 *    RFLAGS.AC, EFER.NXE, CR4.PKE with PKRU;
 *  - the error code. I is told only with EFER.NXE and CR4.PAE, or CR4.SMEP; PK says what
 *    PKRU says, whatever else stands against the access;
 *  - A is set in all entries of a walk that ends well, and D in the last by a write. When
 *    it does not end well, A may or may not be set in the tables' entries that were good,
 *    by both manuals; nothing else may change.
 *
 * Each case: give the entries their values, INVLPG if they had others, go where the access
 * is made (by IRET, which also loads AC and the CPL), come back by #PF or by INT 0x80.
 * Compared are the vector, error code, CR2, the instruction's address, all entries of the
 * walk, and the data.
 *
 * Where QEMU's emulation of a CPU walks the tables (not with shadow paging), three faults of
 * its are let pass (docs/emulator-faults.md): P is missing in the error code of a reserved
 * bit, and A is set in PAE's page directory pointers and in the entry of a 1 GiB page that
 * cannot be accessed.
 *
 * Left out: tables in memory that cannot be written; PAE's page directory pointers, which are
 * loaded with CR3; supervisor accesses that a CPU makes by itself at CPL 3; PCID and
 * global pages; bit 8 of entries of the upper levels, in which the vendors differ.
 */
#include "guest.h"
#include "access.h"

#define E_P	1ull
#define E_W	2ull
#define E_U	4ull
#define E_A	0x20ull
#define E_D	0x40ull
#define E_PS	0x80ull
#define E_NX	0x8000000000000000ull
#define E_KEY	(5ull << 59)	/* key 5 */
#define KEY	5

#define F_P	1
#define F_W	2
#define F_U	4
#define F_R	8
#define F_I	0x10
#define F_PK	0x20

#define AC_FLAG	0x40000

#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

static struct ac_shared *const sh = (struct ac_shared *)GUEST_SHARED;

/* ---- how the guest pages, and what its CPU has --------------------------------------- */

static u32 mode, top, leaf, maxphyaddr, has;
static bool gbpages, pse36, amd;
static u64 va;

static void learn(void)
{
	u32 a, b, c, d, max;

	mode = sh->mode;
	top = sh->top;
	leaf = sh->leaf;
	va = sh->va;
	cpuid(0, 0, &max, &b, &c, &d);
	amd = b == 0x68747541;		/* "Auth" */
	has = AC_WP;
	if (max >= 7) {
		cpuid(7, 0, &a, &b, &c, &d);
		has |= (b >> 7 & 1 ? AC_SMEP : 0) | (b >> 20 & 1 ? AC_SMAP : 0);
		if (mode >= AC_L4 && (c >> 3 & 1))
			has |= AC_PKE;
	}
	cpuid(0x80000001, 0, &a, &b, &c, &d);
	has |= d >> 20 & 1 ? AC_NXE : 0;
	gbpages = d >> 26 & 1;
	cpuid(1, 0, &a, &b, &c, &d);
	pse36 = d >> 17 & 1;
	cpuid(0x80000008, 0, &a, &b, &c, &d);
	maxphyaddr = a & 0xff;
}

static bool wide(void)
{
	return mode >= AC_PAE;
}

static bool can_be_page(int level, u64 e)
{
	switch (level) {
	case 1:
		return true;
	case 2:
		return (e & E_PS) && mode != AC_32;
	case 3:
		return (e & E_PS) && mode >= AC_L4 && gbpages;
	}
	return false;
}

/* ---- registers ----------------------------------------------------------------------- */

static u32 regs;		/* AC_WP and so on, as they are now */
int may_repeat;			/* a MOV to CRn, after #GP */

#define READ_CR(n) ({							\
	unsigned long __v;						\
	asm volatile("mov %%cr" #n ", %0" : "=r"(__v));			\
	__v; })
#define WRITE_CR(n, v) ({						\
	may_repeat = 10;						\
	asm volatile("call mov_cr" #n : : "a"((unsigned long)(v)) : "memory"); })

static unsigned long with(unsigned long v, unsigned long bit, bool on)
{
	return on ? v | bit : v & ~bit;
}

static void set_pkru(u32 v)
{
	asm volatile("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory");
}

/*
 * PAE's page directory pointers have no A. QEMU sets it, and a load of them, such as by MOV to
 * CR0 and CR4, is refused then. Twice: the first time may make QEMU walk and set it again. So
 * may an interrupt of the host's between here and the MOV, see on_gp.
 */
void clear_pdpte_a(void)
{
	u32 *p = (u32 *)AC_TABLES;
	int i;

	if (sh->tcg_walks && mode == AC_PAE)
		for (i = 0; i < 16; i++)
			WRITE_ONCE(p[2 * (i & 3)], READ_ONCE(p[2 * (i & 3)]) & ~E_A);
}

static void set_regs(u32 want)
{
	u32 change = regs ^ want;
	unsigned long cr0, cr4;

	if (change & AC_NXE)
		wrmsr(MSR_EFER, with(rdmsr(MSR_EFER), 1 << 11, want & AC_NXE));
	if (change & (AC_SMEP | AC_SMAP | AC_PKE)) {
		cr4 = with(READ_CR(4), 1 << 20, want & AC_SMEP);
		cr4 = with(cr4, 1 << 21, want & AC_SMAP);
		cr4 = with(cr4, 1 << 22, want & AC_PKE);
		clear_pdpte_a();
		WRITE_CR(4, cr4);
	}
	if (change & AC_WP) {
		cr0 = with(READ_CR(0), 1 << 16, want & AC_WP);
		clear_pdpte_a();
		WRITE_CR(0, cr0);
	}
	regs = want;
}

static void learn_regs(void)
{
	regs = (READ_CR(0) >> 16 & 1 ? AC_WP : 0) | (READ_CR(4) >> 20 & 1 ? AC_SMEP : 0) |
	       (READ_CR(4) >> 21 & 1 ? AC_SMAP : 0) | (READ_CR(4) >> 22 & 1 ? AC_PKE : 0) |
	       (rdmsr(MSR_EFER) >> 11 & 1 ? AC_NXE : 0);
}

/* ---- the model ----------------------------------------------------------------------- */

struct access {
	u32 kind;
	bool user, ac;
	u32 pkru;
	bool emulated;
};

struct answer {
	bool fault;
	u32 error;
	u64 entry[AC_LEVELS];		/* afterwards */
	u64 may[AC_LEVELS];		/* bits that may be set besides */
};

static u64 must_be_zero(int level, u64 e)
{
	bool page = can_be_page(level, e);
	u64 zero = 0;

	if (!wide()) {
		if (level == 1 || !page)
			return 0;
		if (!pse36)
			return BITS(21, 13);
		return BITS(21, 21) | (maxphyaddr < 40 ? BITS(20, maxphyaddr - 19) : 0);
	}
	if (maxphyaddr < 52)
		zero |= BITS(51, maxphyaddr);
	if (mode == AC_PAE)
		zero |= BITS(62, 52);
	if (!(regs & AC_NXE))
		zero |= E_NX;
	if (page && level == 2)
		zero |= BITS(20, 13);
	if (page && level == 3)
		zero |= BITS(29, 13);
	if (!page && level >= 3)
		zero |= E_PS;
	return zero;
}

static void model(const struct access *a, const u64 *entry, struct answer *w)
{
	bool write = a->kind == AC_WRITE, fetch = a->kind == AC_FETCH, user = a->user;
	bool u = true, rw = true, x = true, denied = false;
	u32 error = 0, level, key = 0, i;

	for (i = 0; i < AC_LEVELS; i++) {
		w->entry[i] = entry[i];
		w->may[i] = 0;
	}
	if (write)
		error |= F_W;
	if (user)
		error |= F_U;
	if (fetch && ((wide() && (regs & AC_NXE)) || (regs & AC_SMEP)))
		error |= F_I;
	w->fault = true;
	w->error = error;

	for (level = top; ; level--) {
		u64 e = entry[level];

		if (!(e & E_P))
			return;
		/* QEMU has only one way for entries of that level */
		if (level == 3 && sh->tcg_walks)
			w->may[3] = E_A;
		if (mode == AC_PAE && level == 3)
			continue;
		if (e & must_be_zero(level, e)) {
			w->error |= F_P | F_R;
			return;
		}
		u &= !!(e & E_U);
		rw &= !!(e & E_W);
		x &= !(e & E_NX);
		if (can_be_page(level, e)) {
			key = e >> 59 & 0xf;
			break;
		}
		w->may[level] = E_A;
	}

	if (user) {
		denied = !u || (write && !rw) || (fetch && !x);
	} else {
		if (write && !rw && (regs & AC_WP))
			denied = true;
		if (fetch && (!x || (u && (regs & AC_SMEP))))
			denied = true;
		if (!fetch && u && (regs & AC_SMAP) && !a->ac)
			denied = true;
	}
	if ((regs & AC_PKE) && u && !fetch) {
		bool ad = a->pkru >> (2 * key) & 1, wd = a->pkru >> (2 * key + 1) & 1;

		if (ad || (wd && write && (user || (regs & AC_WP)))) {
			denied = true;
			w->error |= F_PK;
		}
	}
	if (denied) {
		w->error |= F_P;
		return;
	}
	w->fault = false;
	for (i = level; i <= top; i++)
		if (mode != AC_PAE || i < 3)
			w->entry[i] |= E_A;
	if (write)
		w->entry[level] |= E_D;
}

/* ---- making an access ---------------------------------------------------------------- */

u32 seen_vec, seen_value;
unsigned long seen_err, seen_cr2, seen_ip, seen_cs, saved_sp;

/* MOV to CRn, where on_gp knows them */
#ifdef __x86_64__
#define AX "rax"
#else
#define AX "eax"
#endif
asm(".text\n"
	"mov_cr0:	mov %" AX ", %cr0; ret\n"
	"mov_cr3:	mov %" AX ", %cr3; ret\n"
	"mov_cr4:	mov %" AX ", %cr4; ret\n"
	"mov_cr_end:\n");

asm(".macro PREFIX\n"
	".byte 0x0f, 0x0b, 0x6b, 0x76, 0x6d\n"
	".endm\n"
	".text\n"
#ifdef __x86_64__
	"go:	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, saved_sp\n"
	"	mov %rsp, %rax\n"
	"	push %rdx; push %rax; push %rcx; push %rsi; push %rdi\n"
	"	mov %r8, %rdi\n"
	"	mov %r9, %rax\n"
	"	iretq\n"
	"on_pf:	pop seen_err\n"
	"	mov %cr2, %rax\n"
	"	mov %rax, seen_cr2\n"
	"	movl $14, seen_vec\n"
	"	jmp 1f\n"
	"on_int80:	mov %eax, seen_value\n"
	"	movl $0x80, seen_vec\n"
	"1:	pop seen_ip; pop seen_cs\n"
	"	mov saved_sp, %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	"2:	pop %rdi; pop %rsi; pop %rdx\n"
#define AT "(%rdi)"
#else
	".pushsection .text.start, \"ax\"\n"
	".globl _start\n"
	"_start:	cld\n"
	"	call guest_main\n"
	"	mov $1, %eax\n"			/* REPORT_DONE */
	"	outl %eax, $0x5e\n"
	".popsection\n"
	"go:	push %ebx; push %ebp; push %esi; push %edi\n"
	"	mov %esp, saved_sp\n"
	"	lea 20(%esp), %edx\n"
	"	mov %esp, %eax\n"
	"	pushl 8(%edx); push %eax; pushl 12(%edx); pushl 4(%edx); pushl (%edx)\n"
	"	mov 16(%edx), %edi\n"
	"	mov 20(%edx), %eax\n"
	"	iret\n"
	"on_pf:	popl seen_err\n"
	"	mov %cr2, %eax\n"
	"	mov %eax, seen_cr2\n"
	"	movl $14, seen_vec\n"
	"	jmp 1f\n"
	"on_int80:	mov %eax, seen_value\n"
	"	movl $0x80, seen_vec\n"
	"1:	popl seen_ip; popl seen_cs\n"
	"	mov saved_sp, %esp\n"
	"	pop %edi; pop %esi; pop %ebp; pop %ebx\n"
	"	ret\n"
	/* A is in the page directory pointers again: without it, once more */
	"on_gp:	cmpl $mov_cr0, 4(%esp)\n"
	"	jb 3f\n"
	"	cmpl $mov_cr_end, 4(%esp)\n"
	"	jae 3f\n"
	"	decl may_repeat\n"
	"	js 3f\n"
	"	pop seen_err\n"
	"	pusha\n"
	"	cld\n"
	"	call clear_pdpte_a\n"
	"	popa\n"
	"	iret\n"
	"3:	push $13\n"
	"2:	pop %edi; pop %esi; pop %edx\n"
#define AT "(%edi)"
#endif
	"	mov $4, %eax\n"	/* REPORT_FAULT: vector, and two words */
	"	outl %eax, $0x5e\n"
	"	.balign 8\n"
	"on_other:\n"
	"	vec = 0\n"
	"	.rept 32\n"
	"	.balign 8\n"
	"	push $vec\n"
	"	jmp 2b\n"
	"	vec = vec + 1\n"
	"	.endr\n"
	"stubs:\n"
	"stub_read:\n"
	"stub_read_ip:	mov " AT ", %eax\n"
	"	int $0x80\n"
	"stub_write:\n"
	"stub_write_ip:	mov %eax, " AT "\n"
	"	int $0x80\n"
	"stub_emul_read:	PREFIX\n"
	"stub_emul_read_ip:	mov " AT ", %eax\n"
	"	int $0x80\n"
	"stub_emul_write:	PREFIX\n"
	"stub_emul_write_ip:	mov %eax, " AT "\n"
	"	int $0x80\n"
	"stubs_end:\n");

struct gate {
	u16 off0, sel;
	u8 zero, type;
	u16 off1;
#ifdef __x86_64__
	u32 off2, zero2;
#endif
} __packed;

static struct gate idt[0x81] __aligned(16);

static void set_gate(int vec, const u8 *to, u8 type)
{
	unsigned long p = (unsigned long)to;

	idt[vec].off0 = p;
	idt[vec].off1 = p >> 16;
#ifdef __x86_64__
	idt[vec].sel = SEL_CODE64;
#else
	idt[vec].sel = SEL_CODE32;
#endif
	idt[vec].type = type;
}

#define DATA_AT		8	/* in the page, behind what is executed */

static u8 *const target = (u8 *)AC_TARGET;
static u32 in_memory;		/* what is at DATA_AT */

static void make_ready(void)
{
	struct {
		u16 limit;
		unsigned long base;
	} __packed d = { sizeof(idt) - 1, (unsigned long)idt };
	static const u8 prefix[] = { 0x0f, 0x0b, 0x6b, 0x76, 0x6d };
	u8 *p = (u8 *)AC_STUBS;
	unsigned int i;

	for (i = 0; i < 32; i++)
		set_gate(i, on_other + 8 * i, 0x8e);
	set_gate(14, on_pf, 0x8e);
#ifndef __x86_64__
	if (sh->tcg_walks && sh->mode == AC_PAE)
		set_gate(13, on_gp, 0x8e);
#endif
	set_gate(0x80, on_int80, 0xee);
	asm volatile("lidt %0" : : "m"(d));
#ifndef __x86_64__
	/* QEMU takes a busy TSS, which the host would have to give it, for none at all */
	asm volatile("ltr %w0" : : "r"(SEL_TSS));
#endif
	for (i = 0; stubs + i < stubs_end; i++)
		WRITE_ONCE(p[i], stubs[i]);
	p = (u8 *)(AC_PREFIX + 0x1000 - sizeof(prefix));
	for (i = 0; i < sizeof(prefix); i++)
		WRITE_ONCE(p[i], prefix[i]);
	/* NOP; INT 0x80 */
	WRITE_ONCE(target[0], 0x90);
	WRITE_ONCE(target[1], 0xcd);
	WRITE_ONCE(target[2], 0x80);
}

/* ---- entries ------------------------------------------------------------------------- */

static u64 get_entry(int level)
{
	unsigned long at = sh->entry[level];

	return wide() ? READ_ONCE(*(u64 *)at) : READ_ONCE(*(u32 *)at);
}

/* The two halves by themselves: a shadow of them is told of no more than has changed. */
static bool put_at(unsigned long at, u64 old, u64 v)
{
	if (old == v)
		return false;
#ifdef __x86_64__
	WRITE_ONCE(*(u64 *)at, v);
#else
	if ((u32)old != (u32)v)
		WRITE_ONCE(*(u32 *)at, v);
	if (wide() && old >> 32 != v >> 32)
		WRITE_ONCE(*(u32 *)(at + 4), v >> 32);
#endif
	return true;
}

static void invlpg(u64 addr)
{
	asm volatile("invlpg (%0)" : : "r"((unsigned long)addr) : "memory");
}

static u64 base[AC_LEVELS];	/* entries, as permissive as can be */
static u64 set[AC_LEVELS];	/* what they are to be */

static void write_entries(void)
{
	bool changed = false;
	u32 i;

	for (i = leaf; i <= top; i++)
		changed |= put_at(sh->entry[i], get_entry(i), set[i]);
	if (changed)
		invlpg(va);
}

static void keep_base(void)
{
	u32 i;

	for (i = leaf; i <= top; i++) {
		base[i] = get_entry(i);
		set[i] = base[i];
	}
}

/* What is fetched for the emulator is the prefix, from the page before. */
static void open_prefix_page(bool user)
{
	u64 v = AC_PREFIX | E_P | E_W | E_A | E_D | (user ? E_U : 0), old;
	unsigned long at = sh->prefix_entry;

	old = wide() ? READ_ONCE(*(u64 *)at) : READ_ONCE(*(u32 *)at);
	if (put_at(at, old, v))
		invlpg(va - 0x1000);
}

/* ---- a case -------------------------------------------------------------------------- */

static void tell(const struct access *a, const struct answer *w, u32 bad, const u64 *before,
		 const u64 *after, u64 want_cr2, u64 want_ip)
{
	u32 i;

	sh->wrong++;
	if (sh->wrong > AC_MAX_WRONG)
		return;
	sh->bad = bad;
	sh->regs = regs;
	sh->kind = a->kind;
	sh->user = a->user;
	sh->ac = a->ac;
	sh->pkru = a->pkru;
	sh->emulated = a->emulated;
	sh->seen_vec = seen_vec == 14 ? 14 : 0;
	sh->want_vec = w->fault ? 14 : 0;
	sh->seen_err = seen_err;
	sh->want_err = w->error;
	sh->seen_cr2 = seen_cr2;
	sh->want_cr2 = want_cr2;
	sh->seen_ip = seen_ip;
	sh->want_ip = want_ip;
	sh->seen_cs = seen_cs;
	sh->value = seen_value;
	sh->want_value = in_memory;
	for (i = 0; i < AC_LEVELS; i++) {
		sh->before[i] = before[i];
		sh->after[i] = after[i];
		sh->want[i] = w->entry[i];
	}
	SYNC(AC_STAGE_WRONG);
}

static unsigned long stub_at(const u8 *stub, bool user)
{
	return (user ? AC_USER_VA : AC_STUBS) + (stub - stubs);
}

/* The access, to the entries as they are. */
static void check(const struct access *a)
{
	u64 before[AC_LEVELS] = {}, after[AC_LEVELS] = {}, addr = va;
	u32 bad = 0, value = in_memory, i, found;
	unsigned long ip, insn_ip, cs, ss;
	struct answer w;
	bool faulted;

	for (i = leaf; i <= top; i++)
		before[i] = get_entry(i);
	model(a, before, &w);

	switch (a->kind) {
	case AC_READ:
		ip = stub_at(a->emulated ? stub_emul_read : stub_read, a->user);
		insn_ip = stub_at(a->emulated ? stub_emul_read_ip : stub_read_ip, a->user);
		addr += DATA_AT;
		value = ~in_memory;
		break;
	case AC_WRITE:
		ip = stub_at(a->emulated ? stub_emul_write : stub_write, a->user);
		insn_ip = stub_at(a->emulated ? stub_emul_write_ip : stub_write_ip, a->user);
		addr += DATA_AT;
		value = in_memory + 0x1234567;
		break;
	default:
		insn_ip = va;
		ip = va - (a->emulated ? 5 : 0);
		if (a->emulated)
			open_prefix_page(a->user);
	}
#ifdef __x86_64__
	cs = a->user ? SEL_UCODE64 : SEL_CODE64;
#else
	cs = a->user ? AC_SEL_UCODE32 : SEL_CODE32;
#endif
	ss = a->user ? SEL_UDATA : SEL_DATA;
	go(ip, cs, ss, 2 | (a->ac ? AC_FLAG : 0), addr, value);

	sh->cases++;
	faulted = seen_vec == 14;
	if (faulted != w.fault) {
		bad |= AC_BAD_VECTOR;
	} else if (w.fault) {
		sh->faults++;
		if (sh->tcg_walks && !a->emulated && (w.error & F_R) &&
		    seen_err == (w.error & ~F_P))
			sh->tcg_faults++;
		else if (seen_err != w.error)
			bad |= AC_BAD_ERROR;
		if (seen_cr2 != addr)
			bad |= AC_BAD_CR2;
		if (seen_ip != insn_ip || (u16)seen_cs != cs)
			bad |= AC_BAD_IP;
	}
	for (i = leaf; i <= top; i++) {
		after[i] = get_entry(i);
		if ((after[i] ^ w.entry[i]) & ~w.may[i])
			bad |= AC_BAD_ENTRY;
	}
	if (!w.fault && a->kind == AC_WRITE)
		in_memory = value;
	found = READ_ONCE(*(u32 *)(target + DATA_AT));
	if (found != in_memory ||
	    (!w.fault && a->kind == AC_READ && seen_value != in_memory))
		bad |= AC_BAD_DATA;
	if (bad)
		tell(a, &w, bad, before, after, addr, insn_ip);
	in_memory = found;
}

/* AC counts for data at CPL 0 with SMAP; for the others, with SMAP on, one case shows that not. */
static bool ac_matters(const struct access *a)
{
	return (regs & AC_SMAP) && (!a->user || a->kind == AC_READ);
}

/* The prefix of what is fetched is in the page before, below another page table. */
static bool can_emulate(const struct access *a)
{
	u32 i;

	if (a->kind != AC_FETCH)
		return true;
	if (!sh->prefix_entry)
		return false;
	for (i = 3; i <= top; i++)
		if (set[i] != base[i])
			return false;
	return true;
}

/* Each access to the entries in set[]. */
static void check_all(bool emulated, u32 pkru)
{
	struct access a = { .emulated = emulated, .pkru = pkru };
	u32 user, ac;

	for (user = 0; user < 2; user++) {
		for (a.kind = AC_READ; a.kind <= AC_FETCH; a.kind++) {
			a.user = user;
			if (emulated && !can_emulate(&a))
				continue;
			for (ac = 0; ac < 2; ac++) {
				a.ac = ac;
				if (ac && !ac_matters(&a))
					break;
				write_entries();
				check(&a);
			}
		}
	}
}

/* ---- what is tried ------------------------------------------------------------------- */

/* the next subset of a mask; 0 comes last */
static u64 next_subset(u64 sub, u64 mask)
{
	return (sub - mask) & mask;
}

static u64 lowest(u64 v)
{
	return v & -v;
}

/* One reserved bit of the entry; 0: it has none. */
static u64 a_reserved_bit(u32 level)
{
	u64 zero = must_be_zero(level, base[level]) & ~E_NX & ~E_PS;

	return lowest(zero);
}

/* The axes of an entry: bits that are turned from the permissive side to the other. */
static u64 axes(u32 level)
{
	u64 m = E_P | E_W | E_U | E_A | a_reserved_bit(level);

	if (level == leaf)
		m |= E_D;
	if (wide())
		m |= E_NX;
	if (mode == AC_32 && level == 2)
		m |= E_PS;
	return m;
}

static int weight(u64 v)
{
	int n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}

#define RIGHTS	(E_W | E_U | E_NX)

/*
 * The cut. Rights (W, U, NX of both entries, with all registers) are one thing, the state
 * of an entry (present, reserved bits, A, D) is another: all rights are tried with the state
 * as it is mostly, and with A and D clear; all states are tried with at most one right
 * taken, and registers all off or all on.
 */
static bool wanted(u64 l, u64 d, u32 r, u32 all_regs)
{
	u64 state = (l | d) & ~RIGHTS, ad = E_A | E_D;
	u64 of_leaf = l & ~RIGHTS, of_dir = d & ~RIGHTS;

	if (!state)
		return true;
	if (of_leaf == (ad & axes(leaf)) && !(of_dir & ~E_A))
		return true;
	return weight(l & RIGHTS) + weight(d & RIGHTS) <= 1 && (!r || r == all_regs);
}

/* All combinations of the bits of two entries, and of the registers. */
static void product(u32 dir, u32 cut, bool emulated)
{
	u32 all = has & ~AC_PKE, r;
	u64 l, d, lmask, dmask;

	r = 0;
	do {
		set_regs(r);
		lmask = axes(leaf);
		dmask = dir ? axes(dir) : 0;
		d = 0;
		do {
			l = 0;
			do {
				if (cut && !wanted(l, d, r, all))
					continue;
				if (cut > 1 && ((l | d) & (E_P | E_A | E_D)) && r != all)
					continue;
				set[leaf] = base[leaf] ^ l;
				if (dir)
					set[dir] = base[dir] ^ d;
				check_all(emulated, 0);
			} while ((l = next_subset(l, lmask)));
		} while ((d = next_subset(d, dmask)));
	} while ((r = next_subset(r, all)));
	if (dir)
		set[dir] = base[dir];
	set[leaf] = base[leaf];
}

/* Each entry, all its bits but those of an address, one at a time. */
static void bits(void)
{
	u32 level, r, i, all = has & ~AC_PKE;

	for (r = 0; r < 4; r++) {
		set_regs(((r & 1 ? all : 0) & ~AC_NXE) | (r & 2 ? all & AC_NXE : 0));
		for (level = leaf; level <= top; level++) {
			bool page = level == leaf;
			u32 low = !page || level == 1 ? 12 : !wide() ? 22 : level == 2 ? 21 : 30;

			if (mode == AC_PAE && level == 3)
				continue;
			for (i = 0; i < (wide() ? 64 : 32); i++) {
				if (i >= low && i < (wide() ? maxphyaddr : 32))
					continue;
				/* the PAT's bit; a page's address above 4 GiB */
				if (!wide() && page && level == 2 && i >= 13 &&
				    i < maxphyaddr - 19)
					continue;
				/* a table would become a page, or a page a table */
				if (i == 7 && (page ? level > 1 : can_be_page(level, E_PS)))
					continue;
				if (i == 8 && level >= 3 && !page && amd)
					continue;
				set[level] = base[level] ^ (1ull << i);
				check_all(false, 0);
			}
			set[level] = base[level];
		}
	}
}

static const struct access some[] = {
	{ .kind = AC_READ }, { .kind = AC_WRITE }, { .kind = AC_FETCH },
	{ .kind = AC_READ, .user = true }, { .kind = AC_WRITE, .user = true },
	{ .kind = AC_FETCH, .user = true },
	{ .kind = AC_READ, .ac = true }, { .kind = AC_WRITE, .ac = true },
};

static void check_some(u32 pkru)
{
	struct access a;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(some); i++) {
		a = some[i];
		a.pkru = pkru;
		check(&a);
	}
}

/* Other registers, and no INVLPG; a change of NXE would need one. */
static void switches(u32 all, u32 pkru)
{
	u64 l = 0, lmask = E_W | E_U | (wide() ? E_NX : 0), was = set[leaf];
	u32 r, to;

	do {
		set[leaf] = was ^ l;
		write_entries();
		r = 0;
		do {
			to = 0;
			do {
				set_regs(r | (has & AC_NXE));
				check_some(pkru);
				set_regs(to | (has & AC_NXE));
				check_some(pkru);
			} while ((to = next_subset(to, all)));
		} while ((r = next_subset(r, all)));
	} while ((l = next_subset(l, lmask)));
	set[leaf] = was;
	write_entries();
}

static void flush(bool by_cr4)
{
	unsigned long cr4 = READ_CR(4);

	clear_pdpte_a();
	if (by_cr4) {
		WRITE_CR(4, cr4 ^ 1 << 7);
		clear_pdpte_a();
		WRITE_CR(4, cr4);
	} else {
		WRITE_CR(3, READ_CR(3));
	}
}

/* An entry gets other rights, and all is flushed: by MOV to CR3, by a change of CR4.PGE. */
static void flushes(u32 level)
{
	u64 l, to, lmask = E_W | E_U | (wide() ? E_NX : 0);
	u32 all = has & ~AC_PKE, r = 0, n = 0;

	do {
		set_regs(r);
		l = 0;
		do {
			to = 0;
			do {
				set[level] = base[level] ^ l;
				write_entries();
				check_some(0);
				put_at(sh->entry[level], get_entry(level), base[level] ^ to);
				flush(n++ & 1);
				check_some(0);
			} while ((to = next_subset(to, lmask)));
		} while ((l = next_subset(l, lmask)));
	} while ((r = next_subset(r, all)));
	set[level] = base[level];
	write_entries();
}

/* What one access leaves behind must not be seen by the next. */
static void sequences(void)
{
	u32 all = has & ~AC_PKE, r, i, j, n = ARRAY_SIZE(some);
	u64 l, lmask = E_W | E_U | (wide() ? E_NX : 0);

	/* two accesses, A and D clear at first */
	r = 0;
	do {
		set_regs(r);
		l = 0;
		do {
			set[leaf] = (base[leaf] ^ l) & ~(E_A | E_D);
			if (leaf < top && !(mode == AC_PAE && leaf == 2))
				set[leaf + 1] = base[leaf + 1] & ~E_A;
			for (i = 0; i < n; i++) {
				for (j = 0; j < n; j++) {
					write_entries();
					check(&some[i]);
					check(&some[j]);
				}
			}
		} while ((l = next_subset(l, lmask)));
	} while ((r = next_subset(r, all)));

	if (leaf < top)
		set[leaf + 1] = base[leaf + 1];
	set[leaf] = base[leaf];

	flushes(leaf);
	if (leaf < top && !(mode == AC_PAE && leaf == 2))
		flushes(leaf + 1);
	switches(all & ~AC_NXE, 0);
}

/* Protection keys: those of the page with all that they can meet. */
static void keys(void)
{
	u32 all = has & ~AC_NXE, r, mine, dir = leaf < top ? leaf + 1 : 0;
	u64 l, d, lmask = axes(leaf), dmask = E_W | E_U;

	set_regs((has & AC_NXE) | AC_PKE);
	r = 0;
	do {
		set_regs(r | (has & AC_NXE));
		d = 0;
		do {
			l = 0;
			do {
				/* A and D together; those not there, with all registers */
				if (!(l & E_A) != !(l & E_D))
					continue;
				if ((l & ~RIGHTS) && r != all)
					continue;
				set[leaf] = (base[leaf] ^ l) | E_KEY;
				if (dir)
					set[dir] = base[dir] ^ d;
				for (mine = 0; mine < 4; mine++) {
					u32 others = mine * 0x55555555 ^ ~0u;
					u32 pkru = (others & ~(3u << 2 * KEY)) | mine << 2 * KEY;

					/* no WRPKRU without CR4.PKE: what is there stays */
					if (r & AC_PKE)
						set_pkru(pkru);
					else if (mine)
						break;
					check_all(sh->emulate, pkru);
				}
			} while ((l = next_subset(l, lmask)));
		} while ((d = next_subset(d, dmask)));
	} while ((r = next_subset(r, all)));

	if (sh->emulate)
		return;
	if (dir)
		set[dir] = base[dir];
	set[leaf] = base[leaf] | E_KEY;
	for (mine = 1; mine < 4; mine++) {
		set_regs((has & AC_NXE) | AC_PKE);
		set_pkru(mine << 2 * KEY);
		switches(sh->cut ? all & (AC_WP | AC_PKE) : all, mine << 2 * KEY);
	}
}

void guest_main(u64 test, u64 a, u64 b)
{
	u32 dir;

	make_ready();
	learn();
	learn_regs();
	set_regs(0);
	keep_base();
	switch (sh->what) {
	case AC_PRODUCT:
		dir = leaf + 1;
		if (dir > top || (mode == AC_PAE && dir == 3))
			dir = 0;
		product(dir, sh->cut, sh->emulate);
		/* the tables above it */
		while (dir && ++dir <= top && !(mode == AC_PAE && dir == 3))
			product(dir, 2, sh->emulate);
		break;
	case AC_BITS:
		bits();
		break;
	case AC_SEQUENCES:
		sequences();
		break;
	case AC_KEYS:
		keys();
		break;
	}
}
