// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may access what: the bits of a guest's page tables and the registers that have a say,
 * in all paging modes, each combination compared with a model of a CPU. Model, cases and
 * comparison are the payload's (payloads/access.c); here are the tables that it begins
 * with, and what is said of a difference.
 *
 * Each kind of page (4 KiB, 2 or 4 MiB, 1 GiB) of each mode has subtests:
 *
 *  NAME            P, W, U, A, D, NX and a reserved bit of the page's entry; the same (but
 *                  D) of the table's above it; CR0.WP, CR4.SMEP, CR4.SMAP with RFLAGS.AC,
 *                  EFER.NXE; read, write, fetch; CPL 0 and 3: the product of all of them.
 *                  The tables further above, by turns, with less: the cut, and P, A and
 *                  D with all registers on only.
 *  NAME_bits       each bit of each entry alone: reserved or not
 *  NAME_sequences  two accesses in a row; rights that change, with a flush by CR3 or
 *                  CR4.PGE; registers that change, without one: what the first access leaves
 *                  behind (in a TLB, in a shadow) is not seen by the second
 *  NAME_keys       protection keys: AD and WD of the page's key, the other keys' the
 *                  opposite; with W, U, NX, P, A and D, a reserved bit, CR4.PKE and the rest
 *  NAME_narrow     the bits again, in a guest whose MAXPHYADDR is less than the CPU's
 *  NAME_emulated   what the tables further above get, for all of them, each access by the
 *                  module's instruction emulator (forced by a prefix); a fetch only where the
 *                  page before can hold that prefix
 *
 * The cut, with shadow paging, where a case costs several exits: rights (W, U, NX of both
 * entries) meet all registers with the state (P, reserved, A, D) as it mostly is, and with A
 * and D clear. All states meet at most one right that is taken, with the registers all off
 * or all on. P and the reserved bits decide before rights are looked at, A and D are set
 * after that, so what can go wrong there is the order, which one right shows as well as six.
 * ACCESS_FULL=1 in the environment asks for the product.
 */
#include "access.h"
#include "st.h"

#define E_P	1ul
#define E_W	2ul
#define E_U	4ul
#define E_A	0x20ul
#define E_D	0x40ul
#define E_PS	0x80ul
#define ALL	(E_P | E_W | E_U | E_A)

#define MEM	(16ul << 20)

static const struct mode {
	const char *name;
	unsigned int top;
	uint64_t cr4;
	uint64_t va;		/* of the target; its index is not 0 at any level above 1 */
} modes[] = {
	[AC_32] = { "32-bit without PSE", 2, 0x600, 0x80400000 },
	[AC_PSE] = { "32-bit with PSE", 2, 0x610, 0x80400000 },
	[AC_PAE] = { "PAE", 3, 0x620, 0x80200000 },
	[AC_L4] = { "4 levels", 4, 0x620, 0x8040200000 },
	[AC_L5] = { "5 levels", 5, 0x1620, 0x1008040200000 },
};

/* ---- tables -------------------------------------------------------------------------- */

struct tables {
	struct vm *vm;
	int mode;
	uint64_t root, next;
};

static bool wide(int mode)
{
	return mode >= AC_PAE;
}

static int level_shift(int mode, int level)
{
	return 12 + (wide(mode) ? 9 : 10) * (level - 1);
}

static uint64_t entry_at(struct tables *t, uint64_t table, uint64_t va, int level)
{
	uint64_t i = va >> level_shift(t->mode, level) & (wide(t->mode) ? 511 : 1023);

	return table + i * (wide(t->mode) ? 8 : 4);
}

static uint64_t read_entry(struct tables *t, uint64_t at)
{
	return wide(t->mode) ? *(uint64_t *)vm_ptr(t->vm, at) : *(uint32_t *)vm_ptr(t->vm, at);
}

static void write_entry(struct tables *t, uint64_t at, uint64_t v)
{
	if (wide(t->mode))
		*(uint64_t *)vm_ptr(t->vm, at) = v;
	else
		*(uint32_t *)vm_ptr(t->vm, at) = v;
}

/* The address of the entry of @level, with the tables on the way made. */
static uint64_t find(struct tables *t, uint64_t va, int level)
{
	uint64_t table = t->root, at;
	int l;

	for (l = modes[t->mode].top; ; l--) {
		at = entry_at(t, table, va, l);
		if (l == level)
			return at;
		if (!read_entry(t, at)) {
			/* a page directory pointer of PAE has P only */
			write_entry(t, at, t->next | (t->mode == AC_PAE && l == 3 ? E_P : ALL));
			t->next += 0x1000;
		}
		table = read_entry(t, at) & 0xffffff000;
	}
}

static void map(struct tables *t, uint64_t va, uint64_t pa, int level, uint64_t rights)
{
	write_entry(t, find(t, va, level),
		    pa | rights | E_A | E_D | (level > 1 ? E_PS : 0));
}

static uint64_t page_size(int mode, int level)
{
	return 1ul << level_shift(mode, level);
}

static void make_tables(struct vm *vm, int mode, int leaf, struct ac_shared *sh)
{
	struct tables t = { vm, mode, AC_TABLES, AC_TABLES + 0x1000 };
	int level, small = mode == AC_32 ? 1 : 2;
	uint64_t at, size = page_size(mode, leaf);

	/* what the payload itself needs is the supervisor's */
	for (at = 0; at < MEM; at += page_size(mode, small))
		map(&t, at, at, small, E_P | E_W);
	map(&t, AC_USER_VA, AC_STUBS, 1, E_P | E_W | E_U);
	sh->va = (modes[mode].va & -size) | (AC_TARGET & (size - 1));
	map(&t, sh->va, AC_TARGET & -size, leaf, E_P | E_W | E_U);
	for (level = leaf; level <= modes[mode].top; level++)
		sh->entry[level] = find(&t, sh->va, level);
	if (leaf == 1) {
		map(&t, sh->va - 0x1000, AC_PREFIX, 1, E_P | E_W | E_U);
		sh->prefix_entry = find(&t, sh->va - 0x1000, 1);
	}
	CHECK(t.next < AC_TARGET - 0x5000);
}

/* ---- the guest ------------------------------------------------------------------------- */

/* Fewer bits of a physical address than the CPU has */
static void set_phyaddr_bits(struct vcpu *v, unsigned int bits)
{
	struct kvm_cpuid2 *c = kvm_supported_cpuid(v->vm->dev);
	struct kvm_cpuid_entry2 *e = cpuid_entry(c, 0x80000008);

	e->eax = (e->eax & ~0xffu) | bits;
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	free(c);
}

static void start(struct vcpu *v, int mode, unsigned int phyaddr_bits)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .present = 1, .s = 1, .g = 1, .db = 1,
	};
	uint32_t *tss = vm_ptr(v->vm, GUEST_TSS);
	struct kvm_sregs s;
	struct kvm_regs r;

	vcpu_set_cpuid(v);
	if (phyaddr_bits)
		set_phyaddr_bits(v, phyaddr_bits);
	vcpu_long_mode(v);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cr3 = AC_TABLES;
	s.cr4 = modes[mode].cr4;
	tss[1] = AC_RSP0;
	if (mode < AC_L4) {
		tss[2] = SEL_DATA;
		/* 32-bit code of CPL 3, which the library does not have */
		*(uint64_t *)vm_ptr(v->vm, GUEST_GDT + (AC_SEL_UCODE32 & ~7)) =
			0x00cffb000000ffff;
		*(uint64_t *)vm_ptr(v->vm, GUEST_GDT + SEL_TSS) =
			0x0000890000000067 | (uint64_t)GUEST_TSS << 16;
		s.efer = 0;
		s.cs = flat;
		s.cs.selector = SEL_CODE32;
		s.cs.type = 0xb;
		/* segments that CPL 3 may have, so that IRET leaves them alone */
		s.ds = flat;
		s.ds.selector = SEL_UDATA;
		s.ds.type = 3;
		s.ds.dpl = 3;
		s.es = s.ds;
	}
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	vcpu_regs(v, &r);
	r.rip = GUEST_CODE;
	vcpu_set_regs(v, &r);
}

/* ---- what went wrong ----------------------------------------------------------------------- */

static const char *fault_text(char *text, size_t size, unsigned int vec, unsigned int err)
{
	if (vec)
		snprintf(text, size, "#PF(%#x)", err);
	else
		snprintf(text, size, "no fault");
	return text;
}

static void say(const struct ac_shared *sh)
{
	static const char * const kinds[] = { "read", "write", "fetch" };
	char seen[32], want[32], entries[200] = "", where[120] = "";
	unsigned int level;
	int n = 0;

	for (level = sh->top; level >= sh->leaf; level--)
		n += snprintf(entries + n, sizeof(entries) - n, " %llx->%llx(%llx)",
			      sh->before[level], sh->after[level], sh->want[level]);
	if (sh->bad & (AC_BAD_CR2 | AC_BAD_IP | AC_BAD_ERROR))
		snprintf(where, sizeof(where), ", CR2 %llx (%llx), at %x:%llx (%llx)",
			 sh->seen_cr2, sh->want_cr2, sh->seen_cs, sh->seen_ip, sh->want_ip);
	st_note("%s%s at CPL %d,%s%s%s%s%s AC=%d PKRU=%#x: %s, wanted %s%s%s; entries%s",
		sh->emulated ? "emulated " : "", kinds[sh->kind], sh->user ? 3 : 0,
		sh->regs & AC_WP ? " WP" : "", sh->regs & AC_SMEP ? " SMEP" : "",
		sh->regs & AC_SMAP ? " SMAP" : "", sh->regs & AC_NXE ? " NXE" : "",
		sh->regs & AC_PKE ? " PKE" : "", sh->ac, sh->pkru,
		fault_text(seen, sizeof(seen), sh->seen_vec, sh->seen_err),
		fault_text(want, sizeof(want), sh->want_vec, sh->want_err),
		sh->bad & AC_BAD_DATA ? ", wrong data" : "", where, entries);
}

static void run_with(int mode, int leaf, int what, bool emulate, unsigned int phyaddr_bits)
{
	struct vm *vm = vm_new(MEM, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	struct ac_shared *sh = vm_ptr(vm, GUEST_SHARED);
	const char *full = getenv("ACCESS_FULL");
	char tcg[60] = "";
	struct report rep;

	if (mode == AC_L5 && !kvm_cpu_has(vm->dev, 7, 2, 16))
		st_skip("the CPU has no LA57");
	if (leaf == 3 && !kvm_cpu_has(vm->dev, 0x80000001, 3, 26))
		st_skip("the CPU has no pages of 1 GiB");
	if (what == AC_KEYS && !kvm_cpu_has(vm->dev, 7, 2, 3))
		st_skip("the CPU has no protection keys");
	sh->mode = mode;
	sh->top = modes[mode].top;
	sh->leaf = leaf;
	sh->what = what;
	sh->cut = emulate ? 2 : st_shadow_paging() && !full;
	sh->emulate = emulate;
	sh->tcg_walks = st_on_tcg() && !st_shadow_paging();
	make_tables(vm, mode, leaf, sh);
	if (mode >= AC_L4)
		PAYLOAD(vm, access);
	else
		PAYLOAD(vm, access32);
	start(v, mode, phyaddr_bits);
	for (;;) {
		rep = vcpu_run_to_report(v);
		if (rep.kind == REPORT_DONE)
			break;
		CHECK_EQ(rep.kind, REPORT_SYNC);
		CHECK_EQ(rep.a, AC_STAGE_WRONG);
		say(sh);
	}
	if (sh->tcg_faults)
		snprintf(tcg, sizeof(tcg), ", %u of them without P, a fault of QEMU's",
			 sh->tcg_faults);
	st_note("%u accesses, %u faults%s", sh->cases, sh->faults, tcg);
	if (sh->wrong)
		st_fail(__FILE__, __LINE__, "%u of %u accesses differ from the model", sh->wrong,
			sh->cases);
	CHECK(sh->cases > 100 && sh->faults);
	vm_free(vm);
}

static void run(int mode, int leaf, int what, bool emulate)
{
	run_with(mode, leaf, what, emulate, 0);
}

/* A narrow guest: bits that the CPU takes for an address are reserved in its tables. */
static void run_narrow(int mode, int leaf)
{
	if (!kvm_cap(kvm_open(), KVM_CAP_SMALLER_MAXPHYADDR)) {
		CHECK(!kvm_is_oot() || !st_shadow_paging());
		st_skip("no KVM_CAP_SMALLER_MAXPHYADDR");
	}
	run_with(mode, leaf, AC_BITS, false, 36);
}

#define FORCE	"/sys/module/kvm/parameters/force_emulation_prefix"

/* The instruction emulator, if the module lets it be asked for: main() has done that. */
static void run_emulated(int mode, int leaf, int what)
{
	static const char name[] = "force_emulation_prefix";

	if (!st_param_is("kvm", name, 'Y') && !st_param_is("kvm", name, '1'))
		st_skip("kvm.force_emulation_prefix cannot be set");
	run(mode, leaf, what, true);
}

#define PAGES(name, mode, leaf)							\
	static void name(void) { run(mode, leaf, AC_PRODUCT, false); }		\
	static void name##_bits(void) { run(mode, leaf, AC_BITS, false); }	\
	static void name##_sequences(void) { run(mode, leaf, AC_SEQUENCES, false); } \
	static void name##_emulated(void) { run_emulated(mode, leaf, AC_PRODUCT); }
#define KEYS(name, mode, leaf)							\
	static void name##_keys(void) { run(mode, leaf, AC_KEYS, false); }	\
	static void name##_keys_emulated(void) { run_emulated(mode, leaf, AC_KEYS); }

PAGES(bare32_4k, AC_32, 1)
PAGES(pse_4k, AC_PSE, 1)
PAGES(pse_4m, AC_PSE, 2)
PAGES(pae_4k, AC_PAE, 1)
PAGES(pae_2m, AC_PAE, 2)
PAGES(four_4k, AC_L4, 1)
PAGES(four_2m, AC_L4, 2)
PAGES(four_1g, AC_L4, 3)
PAGES(five_4k, AC_L5, 1)
PAGES(five_2m, AC_L5, 2)
PAGES(five_1g, AC_L5, 3)
KEYS(four_4k, AC_L4, 1)
KEYS(four_2m, AC_L4, 2)
KEYS(five_1g, AC_L5, 3)

static void pae_4k_narrow(void)
{
	run_narrow(AC_PAE, 1);
}

static void four_4k_narrow(void)
{
	run_narrow(AC_L4, 1);
}

#define TIMEOUT	240
#define LIST(name)								\
	{ #name, name, TIMEOUT },						\
	{ #name "_bits", name##_bits, TIMEOUT },				\
	{ #name "_sequences", name##_sequences, TIMEOUT },			\
	{ #name "_emulated", name##_emulated, TIMEOUT }
#define LIST_KEYS(name)								\
	{ #name "_keys", name##_keys, TIMEOUT },				\
	{ #name "_keys_emulated", name##_keys_emulated, TIMEOUT }

static const struct st_test tests[] = {
	LIST(bare32_4k),
	LIST(pse_4k),
	LIST(pse_4m),
	LIST(pae_4k),
	LIST(pae_2m),
	LIST(four_4k),
	LIST(four_2m),
	LIST(four_1g),
	LIST_KEYS(four_4k),
	LIST_KEYS(four_2m),
	LIST(five_4k),
	LIST(five_2m),
	LIST(five_1g),
	LIST_KEYS(five_1g),
	{ "pae_4k_narrow", pae_4k_narrow, TIMEOUT },
	{ "four_4k_narrow", four_4k_narrow, TIMEOUT },
	{}
};

int main(void)
{
	int fd = open(FORCE, O_RDWR), status;
	char was;
	bool changed = fd >= 0 && read(fd, &was, 1) == 1 && pwrite(fd, "1", 1, 0) == 1;

	status = st_main("access", tests);
	if (changed && pwrite(fd, &was, 1, 0) != 1)
		perror(FORCE);
	return status;
}
