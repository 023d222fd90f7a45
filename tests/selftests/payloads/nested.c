// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest (L1) that runs a guest of its own (L2) by nested_hv.h. L2's functions are called l2_*;
 * what they check they report to the host by an I/O instruction that L1 does not intercept. Test
 * numbers: nested.h
 */
#include "nested_hv.h"
#include "nested.h"

#define RFL_IF		BIT(9)
#define RFL_TF		BIT(8)
#define RFL_IOPL	(3ul << 12)
#define RFL_ID		BIT(21)
#define EFER_NXE	BIT(11)
#define CR0_NW		BIT(29)
#define CR0_CD		BIT(30)
#define CR0_PG		BIT(31)
#define NOWHERE		0x10000000000ul		/* not mapped */
#define NON_CANONICAL	0x800000000000ul
#define UD		6
#define NP		11
#define GP		13
#define PF		14

void *memset(void *p, int c, unsigned long n);
void *memcpy(void *d, const void *s, unsigned long n);

static struct hv hvs[4];
static struct n_shared *const shared = (struct n_shared *)GUEST_SHARED;
static bool tcg;

/* ---- what both L1 and L2 use ------------------------------------------------------- */

#define V_IRQ_NOW	(V_INTR_MASKING | V_IRQ | V_IGN_TPR | (u64)N_VECTOR << 32)

/* events that L1 [0] and L2 [1] have taken on a vCPU */
static u32 taken[4][2][256];
static u64 taken_rip, taken_error, taken_cr2, taken_flags;

static u32 cpu_of(u64 stack)
{
	return stack >= N_MEM ? (stack - N_MEM) / N_MEM_SIZE
			      : (GUEST_STACK_TOP - 1 - stack) / GUEST_STACK_SIZE;
}

static void on_event(struct frame *f)
{
	u64 at = (u64)f;
	u32 *n = &taken[cpu_of(at)][at >= N_MEM][f->vector];

	WRITE_ONCE(taken_rip, f->rip);
	WRITE_ONCE(taken_error, f->error);
	WRITE_ONCE(taken_flags, f->rflags);
	WRITE_ONCE(taken_cr2, read_cr(2));
	WRITE_ONCE(*n, READ_ONCE(*n) + 1);
}

static void on_irq(struct frame *f)
{
	on_event(f);
	apic_write(APIC_EOI, 0);
}

#define L1_TOOK(cpu, vec)	READ_ONCE(taken[cpu][0][vec])
#define L2_TOOK(cpu, vec)	READ_ONCE(taken[cpu][1][vec])

static void forget(void)
{
	int i, j;

	for (i = 0; i < 2; i++)
		for (j = 0; j < 256; j++)
			WRITE_ONCE(taken[0][i][j], 0);
}

static void apic_on(void)
{
	apic_write(APIC_SPIV, 0x1ff);
}

static void self_ipi(u32 vec)
{
	apic_write(APIC_ICR, 0x44000 | vec);	/* fixed, asserted, self */
}

static void self_nmi(void)
{
	/* a NMI has no shorthand for oneself */
	apic_write(APIC_ICR2, apic_read(APIC_ID));
	apic_write(APIC_ICR, 0x4400);
}

static bool is_pending(u32 reg, u32 vec)
{
	return apic_read(reg + vec / 32 * 0x10) >> (vec & 31) & 1;
}

static inline u64 flags(void)
{
	u64 v;

	asm volatile("pushf; pop %0" : "=r"(v));
	return v;
}

/* L2 until its next exit, which has to be of a class; else the report has the exit's code, too */
#define RUN(h, want) do {						\
	struct hv *__h = (h);						\
	u64 __want = (want);						\
	hv_run(__h);							\
	GUEST_EQ(__h->class == __want ? __want : __h->class | __h->reason << 8, __want); \
} while (0)
#define RUN_DONE(h) do {						\
	struct hv *__l2 = (h);						\
	RUN(__l2, EX_HYPERCALL);					\
	GUEST_EQ(__l2->regs[RAX], L2_DONE);				\
} while (0)
/* the exit is an instruction's, which stands where L2 is; go past it */
#define INSN(h, n, bytes) do {						\
	struct hv *__h = (h);						\
	u32 __n = (n);							\
	GUEST_EQ(__h->len, __n);					\
	GUEST_EQ(*(u64 *)hv_get(__h, R_RIP) & (~0ul >> (64 - 8 * __n)), bytes); \
	hv_skip(__h);							\
} while (0)

static void l2_nop(u64 arg)
{
	asm volatile("nop; nop; nop; nop");
}

/* ---- what ends L2 -------------------------------------------------------------------- */

static void l2_exits(u64 arg)
{
	u32 a, b, c, d;

	GUEST_EQ(hypercall(0x1234), 0x4321);
	cpuid(0x5a5a, 7, &a, &b, &c, &d);
	GUEST_EQ(a, 0x11);
	GUEST_EQ(b, 0x22);
	GUEST_EQ(c, 0x33);
	GUEST_EQ(d, 0x44);
	asm volatile("hlt");
	GUEST_EQ(flags() & RFL_IF, 0);
	hypercall(1);
}

static void exits(struct hv *h)
{
	int i;

	for (i = 0; i < 3; i++) {
		hv_begin(h, l2_exits, 0);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 0x1234);
		h->regs[RAX] = 0x4321;
		INSN(h, 3, hv_intel ? 0xc1010f : 0xd9010f);
		RUN(h, EX_CPUID);
		GUEST_EQ(h->regs[RAX], 0x5a5a);
		GUEST_EQ(h->regs[RCX], 7);
		h->regs[RAX] = 0x11;
		h->regs[RBX] = 0x22;
		h->regs[RCX] = 0x33;
		h->regs[RDX] = 0x44;
		INSN(h, 2, 0xa20f);
		RUN(h, EX_HLT);
		INSN(h, 1, 0xf4);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 1);
		hv_skip(h);
		RUN_DONE(h);
	}
}

static void l2_ports(u64 arg)
{
	char text[] = "abc";
	void *p = text;
	u64 n = 3;

	outb(PIO_BASE, 0x11);
	outw(PIO_BASE, 0x2222);
	outl(PIO_BASE, 0x33333333);
	GUEST_EQ(inb(PIO_BASE), 0x44);
	GUEST_EQ(inw(PIO_BASE), 0x5555);
	GUEST_EQ(inl(PIO_BASE), 0x66666666);
	asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(PIO_BASE) : "memory");
	/* ends at the port that is intercepted */
	outl(PIO_BASE - 3, 0x77777777);
	/* does not reach it */
	outb(PIO_BASE + 1, 0x88);
	outl(PIO_BASE - 4, 0x99);
}

static void expect_io(struct hv *h, u16 port, u32 in, u32 size, u64 value, int line)
{
	u64 mask = size == 4 ? 0xffffffff : (1ul << 8 * size) - 1;

	hv_run(h);
	if (h->class != EX_IO || h->port != port || h->in != in || h->size != size ||
	    (!in && (h->regs[RAX] & mask) != value))
		report(REPORT_FAIL, line, h->class | h->reason << 8,
		       h->port | h->size << 16 | (u64)h->in << 24);
	if (in)
		h->regs[RAX] = (h->regs[RAX] & ~mask) | value;
	if (*(u8 *)hv_get(h, R_RIP) == 0xf3)
		return;
	hv_skip(h);
}

static void ports(struct hv *h)
{
	hv_begin(h, l2_ports, 0);
	hv_catch(h, C_DEFAULT | C_IO);
	hv_port(h, PIO_BASE, true);
	expect_io(h, PIO_BASE, 0, 1, 0x11, __LINE__);
	expect_io(h, PIO_BASE, 0, 2, 0x2222, __LINE__);
	expect_io(h, PIO_BASE, 0, 4, 0x33333333, __LINE__);
	expect_io(h, PIO_BASE, 1, 1, 0x44, __LINE__);
	expect_io(h, PIO_BASE, 1, 2, 0x5555, __LINE__);
	expect_io(h, PIO_BASE, 1, 4, 0x66666666, __LINE__);
	RUN(h, EX_IO);
	GUEST_EQ(*(u16 *)hv_get(h, R_RIP), 0x6ef3);
	GUEST_EQ(h->regs[RCX], 3);
	/* string, REP */
	if (hv_intel)
		GUEST_EQ(h->qual & 0x38, 0x30);
	else
		GUEST_EQ(h->qual & 0xd, 0xc);
	GUEST_EQ(h->size, 1);
	GUEST_EQ(h->len, 2);
	hv_skip(h);
	expect_io(h, PIO_BASE - 3, 0, 4, 0x77777777, __LINE__);
	/* the last two are the host's */
	RUN_DONE(h);
	SYNC(1);
	/* and so are all without the intercept, and without the bits */
	hv_begin(h, l2_ports, 0);
	hv_port(h, PIO_BASE, false);
	RUN_DONE(h);
	SYNC(2);
	hv_begin(h, l2_ports, 0);
	hv_catch(h, C_DEFAULT);
	hv_port(h, PIO_BASE, true);
	RUN_DONE(h);
	SYNC(3);
}

#define MSR_LSTAR	0xc0000082
#define MSR_SYSENTER_EIP 0x176

static void l2_msrs(u64 arg)
{
	u64 v;

	wrmsr(MSR_LSTAR, 0x1234567);
	GUEST_EQ(rdmsr(MSR_LSTAR), arg ? 0x1234567 : 0x9876543);
	wrmsr(MSR_SYSENTER_EIP, 0x2345678);
	GUEST_EQ(rdmsr(MSR_SYSENTER_EIP), arg ? 0x2345678 : 0x8765432);
	/* not in any bitmap's range */
	if (!arg) {
		rdmsr_safe(0x12345678, &v);
		GUEST_EQ(v, 0x55);
	} else if (!hv_intel) {
		GUEST_EQ(rdmsr_safe(0x12345678, &v), GP);
	}
}

static void expect_msr(struct hv *h, u32 class, u32 msr, u64 v, int line)
{
	hv_run(h);
	if (h->class != class || (u32)h->regs[RCX] != msr ||
	    (class == EX_WRMSR && ((u32)h->regs[RAX] | h->regs[RDX] << 32) != v))
		report(REPORT_FAIL, line, h->class | h->reason << 8, h->regs[RCX]);
	if (class == EX_RDMSR) {
		h->regs[RAX] = (u32)v;
		h->regs[RDX] = v >> 32;
	}
	hv_skip(h);
}

static void msrs(struct hv *h)
{
	wrmsr(MSR_LSTAR, 0);
	wrmsr(MSR_SYSENTER_EIP, 0);
	hv_begin(h, l2_msrs, 0);
	hv_msr(h, MSR_LSTAR, true, true);
	hv_msr(h, MSR_SYSENTER_EIP, true, true);
	expect_msr(h, EX_WRMSR, MSR_LSTAR, 0x1234567, __LINE__);
	expect_msr(h, EX_RDMSR, MSR_LSTAR, 0x9876543, __LINE__);
	expect_msr(h, EX_WRMSR, MSR_SYSENTER_EIP, 0x2345678, __LINE__);
	expect_msr(h, EX_RDMSR, MSR_SYSENTER_EIP, 0x8765432, __LINE__);
	expect_msr(h, EX_RDMSR, 0x12345678, 0x55, __LINE__);
	RUN_DONE(h);
	GUEST_EQ(rdmsr(MSR_LSTAR), 0);
	GUEST_EQ(rdmsr(MSR_SYSENTER_EIP), 0);
	/* only the half that is intercepted */
	hv_begin(h, l2_msrs, 0);
	hv_msr(h, MSR_LSTAR, true, false);
	hv_msr(h, MSR_SYSENTER_EIP, true, false);
	expect_msr(h, EX_RDMSR, MSR_LSTAR, 0x9876543, __LINE__);
	expect_msr(h, EX_RDMSR, MSR_SYSENTER_EIP, 0x8765432, __LINE__);
	expect_msr(h, EX_RDMSR, 0x12345678, 0x55, __LINE__);
	RUN_DONE(h);
	/* not intercepted */
	hv_msr(h, MSR_LSTAR, false, false);
	hv_msr(h, MSR_SYSENTER_EIP, false, false);
	if (!hv_intel)
		hv_catch(h, C_DEFAULT & ~C_MSR);
	hv_begin(h, l2_msrs, 1);
	RUN_DONE(h);
	if (!hv_intel)
		GUEST_EQ(rdmsr(MSR_LSTAR), 0x1234567);
}

static void l2_moves(u64 arg)
{
	u64 v;

	asm volatile("invlpg (%0)" : : "r"(0x123000ul) : "memory");
	asm volatile("mov %0, %%cr3" : : "a"(read_cr(3)) : "memory");
	asm volatile("mov %%dr7, %0" : "=a"(v));
	asm volatile("mov %0, %%dr0" : : "a"(0x1000ul));
	asm volatile("rdtsc" : : : "rax", "rdx");
	cpu_pause();
}

static void moves(struct hv *h)
{
	/* some controls cannot be off */
	bool cr3 = hv_intel && vmx_cap(0x482) & BIT(15);
	int i;

	for (i = 0; i < 2; i++) {
		hv_begin(h, l2_moves, 0);
		hv_catch(h, i ? C_DEFAULT : C_DEFAULT | C_INVLPG | C_CR3_WRITE | C_DR | C_RDTSC |
			 C_PAUSE);
		if (!i) {
			RUN(h, EX_INVLPG);
			if (hv_intel)
				GUEST_EQ(h->qual, 0x123000);
			hv_skip(h);
		}
		if (!i || cr3) {
			/* the compiler may have read CR3 first, which VMX lets pass */
			hv_run(h);
			if (h->class == EX_CR_READ) {
				h->regs[h->qual >> 8 & 15] = read_cr(3);
				hv_skip(h);
				hv_run(h);
			}
			GUEST_EQ(h->class, EX_CR_WRITE);
			GUEST_EQ(h->cr, 3);
			INSN(h, 3, 0xd8220f);
		}
		if (!i) {
			RUN(h, EX_DR_READ);
			GUEST_EQ(h->cr, 7);
			INSN(h, 3, 0xf8210f);
			RUN(h, EX_DR_WRITE);
			GUEST_EQ(h->cr, 0);
			GUEST_EQ(h->regs[RAX], 0x1000);
			INSN(h, 3, 0xc0230f);
			RUN(h, EX_RDTSC);
			INSN(h, 2, 0x310f);
			RUN(h, EX_PAUSE);
			INSN(h, 2, 0x90f3);
		}
		RUN_DONE(h);
	}
}

static void l2_cr0(u64 arg)
{
	u64 cr0 = read_cr(0);

	/* what is not masked, or intercepted, is L2's */
	asm volatile("mov %0, %%cr0" : : "a"(cr0 ^ BIT(3)) : "memory");
	hypercall(read_cr(0));
	asm volatile("mov %0, %%cr0" : : "a"(cr0 ^ BIT(1)) : "memory");
	hypercall(read_cr(0));
}

static void control_registers(struct hv *h)
{
	u64 cr0 = read_cr(0) & ~BIT(3);
	u32 i;

	for (i = 0; i < 2; i++) {
		hv_begin(h, l2_cr0, 0);
		hv_catch(h, C_DEFAULT | (i ? C_CR0 : 0));
		hv_set(h, R_CR0, cr0);
		if (hv_intel)
			vmwrite(F_CR0_SHADOW, 0);
		if (i) {
			RUN(h, EX_CR_WRITE);
			GUEST_EQ(h->cr, 0);
			GUEST_EQ(h->regs[RAX], cr0 ^ BIT(3));
			INSN(h, 3, 0xc0220f);
			/* it has not done anything */
			GUEST_EQ(hv_get(h, R_CR0), cr0);
			if (hv_intel) {
				/* L2 sees the shadow */
				vmwrite(F_CR0_SHADOW, BIT(3));
				RUN(h, EX_HYPERCALL);
				GUEST_EQ(h->regs[RAX], cr0 | BIT(3));
				vmwrite(F_CR0_SHADOW, 0);
			} else {
				RUN(h, EX_HYPERCALL);
				GUEST_EQ(h->regs[RAX], cr0);
			}
			hv_skip(h);
			if (!hv_intel) {
				RUN(h, EX_CR_WRITE);
				hv_set(h, R_CR0, cr0 ^ BIT(1));
				hv_skip(h);
			}
			RUN(h, EX_HYPERCALL);
			GUEST_EQ(h->regs[RAX], cr0 ^ BIT(1));
		} else {
			RUN(h, EX_HYPERCALL);
			GUEST_EQ(h->regs[RAX], cr0 | BIT(3));
			GUEST_EQ(hv_get(h, R_CR0), cr0 | BIT(3));
			hv_skip(h);
			RUN(h, EX_HYPERCALL);
			GUEST_EQ(h->regs[RAX], cr0 ^ BIT(1));
		}
		GUEST_EQ(hv_get(h, R_CR0), cr0 ^ BIT(1));
		hv_skip(h);
		RUN_DONE(h);
	}
}

static void l2_tsc(u64 arg)
{
	hypercall(rdtsc());
}

static void tsc_offset(struct hv *h)
{
	static const u64 offset[] = { BIT(50), -BIT(40), 0 };
	u64 from;
	u32 i;

	if (hv_intel && !(vmx_cap(0x482) & BIT(3 + 32))) {
		SYNC(77);
		return;
	}
	/* room for a negative one */
	wrmsr(MSR_TSC, BIT(42));
	for (i = 0; i < ARRAY_SIZE(offset); i++) {
		hv_begin(h, l2_tsc, 0);
		hv_catch(h, C_DEFAULT | C_TSC_OFFSET);
		if (hv_intel)
			vmwrite(F_TSC_OFFSET, offset[i]);
		else
			VMCB64(h, VMCB_TSC_OFFSET) = offset[i];
		from = rdtsc();
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX] - offset[i] >= from, 1);
		GUEST_EQ(h->regs[RAX] - offset[i] <= rdtsc(), 1);
		hv_skip(h);
		RUN_DONE(h);
	}
	/* L1's is its own */
	GUEST_EQ(rdtsc() - from < BIT(39), 1);
}

/* A hypervisor's instructions in L2: L1's exits. */
static void insns(struct hv *h)
{
	static const u8 svm[] = { 0x80, 0x82, 0x83, 0x84, 0x85, 0x7a };
	static const u8 vmx[] = { 27, 19, 21, 22, 23, 25, 20, 24, 26 };
	u32 i, n = hv_intel ? sizeof(vmx) : sizeof(svm);

	hv_catch(h, C_DEFAULT | C_INSNS);
	for (i = 0; i < n; i++) {
		hv_begin(h, (void *)((hv_intel ? vmx_insns : svm_insns) + 8 * i), 0);
		h->regs[RAX] = h->page + 0x7000;
		RUN(h, EX_VMX_SVM);
		GUEST_EQ(h->reason, hv_intel ? vmx[i] : svm[i]);
		GUEST_EQ(hv_get(h, R_RIP), (hv_intel ? vmx_insns : svm_insns) + 8 * i);
		GUEST_EQ(h->regs[RAX], h->page + 0x7000);
	}
}

struct msr_entry {
	u32 index, reserved;
	u64 value;
};

static void l2_areas(u64 arg)
{
	GUEST_EQ(rdmsr(MSR_LSTAR), 0x1111);
	GUEST_EQ(rdmsr(MSR_LSTAR + 1), 0x2222);
	wrmsr(MSR_LSTAR, 0x3333);
	wrmsr(MSR_LSTAR + 1, 0x4444);
}

/* VMX: MSRs that come with an entry, and that are stored and loaded at an exit */
static void msr_areas(struct hv *h)
{
	struct msr_entry *load = (void *)(h->page + 0x20000), *store = load + 8, *back = load + 16;
	int i;

	for (i = 0; i < 2; i++) {
		load[i] = (struct msr_entry) { MSR_LSTAR + i, 0, i ? 0x2222 : 0x1111 };
		store[i] = (struct msr_entry) { MSR_LSTAR + i, 0, 0 };
		back[i] = (struct msr_entry) { MSR_LSTAR + i, 0, 0x5555 + i };
	}
	hv_begin(h, l2_areas, 0);
	vmwrite(0x2006, (u64)store);
	vmwrite(F_EXIT_STORE, 2);
	vmwrite(0x2008, (u64)back);
	vmwrite(F_EXIT_LOAD, 2);
	vmwrite(0x200a, (u64)load);
	vmwrite(F_ENTRY_LOAD, 2);
	RUN_DONE(h);
	GUEST_EQ(store[0].value, 0x3333);
	GUEST_EQ(store[1].value, 0x4444);
	GUEST_EQ(rdmsr(MSR_LSTAR), 0x5555);
	GUEST_EQ(rdmsr(MSR_LSTAR + 1), 0x5556);
	/* one that cannot be loaded: the entry fails, SDM 26.4 */
	load[1].index = 0xc0000100;		/* FS_BASE has a field */
	hv_begin(h, l2_areas, 0);
	RUN(h, EX_INVALID);
	GUEST_EQ(h->reason, 0x80000022);
	GUEST_EQ(h->qual, 2);
	GUEST_EQ(rdmsr(MSR_LSTAR), 0x5555);
	load[1].index = MSR_LSTAR + 1;
	load[0].value = NON_CANONICAL;
	hv_begin(h, l2_areas, 0);
	RUN(h, EX_INVALID);
	GUEST_EQ(h->reason, 0x80000022);
	GUEST_EQ(h->qual, 1);
	vmwrite(F_EXIT_STORE, 0);
	vmwrite(F_EXIT_LOAD, 0);
	vmwrite(F_ENTRY_LOAD, 0);
}

/* ---- L2's own tables ------------------------------------------------------------------ */

#define WINDOW		0x40000000ul	/* what L2 maps there is not what L1 does */

static void l2_tables(u64 pte)
{
	__volatile__ u64 *p = (u64 *)WINDOW, *e = (u64 *)pte;
	u64 frame = *e & ~0xffful;
	int i;

	for (i = 0; i < 4; i++) {
		GUEST_EQ(p[0], 0x1000 + i);
		p[1] = 0x2000 + i;
		hypercall(i);		/* L1 has another frame there */
	}
	/* L2 itself changes it */
	GUEST_EQ(*e & 0x60, 0x60);
	*e = (frame + 0x4000) | 3;
	asm volatile("invlpg %0" : : "m"(*p));
	GUEST_EQ(p[0], 0x1004);
	GUEST_EQ(*e & 0x60, 0x20);
	p[1] = 0x2004;
	GUEST_EQ(*e & 0x60, 0x60);
	*e = (frame + 0x5000) | 3;
	asm volatile("mov %0, %%cr3" : : "r"(read_cr(3)) : "memory");
	GUEST_EQ(p[0], 0x1005);
	*e = (frame + 0x5000) | 1;
	asm volatile("invlpg %0" : : "m"(*p));
	GUEST_EQ(TRY("movl $1, (%0)", ARGS(), ARGS("r"(p))), PF);
	GUEST_EQ(READ_ONCE(fault_err), 3);
	*e = 0;
	asm volatile("invlpg %0" : : "m"(*p));
	GUEST_EQ(TRY("mov (%0), %%eax", ARGS(), ARGS("r"(p)), "rax"), PF);
	GUEST_EQ(READ_ONCE(fault_err), 0);
	hypercall(4);
	GUEST_EQ(p[0], 0x1000);
}

static void tables(struct hv *h)
{
	u64 mem = h->page + 0x20000, *pml4 = (u64 *)mem, *pdpt = pml4 + 512, *pd = pdpt + 512,
	    *pt = pd + 512, frame = mem + 0x8000, *f = (u64 *)frame, cr3 = read_cr(3);
	int i, round;

	for (round = 0; round < 3; round++) {
		/* the first GiB is L1's, in the second one has a page of L2's */
		pml4[0] = (u64)pdpt | 7;
		pdpt[0] = *(u64 *)(*(u64 *)cr3 & ~0xffful);
		pdpt[1] = (u64)pd | 7;
		pdpt[3] = ((u64 *)(*(u64 *)cr3 & ~0xffful))[3];
		pd[0] = (u64)pt | 7;
		for (i = 0; i < 6; i++)
			f[512 * i] = 0x1000 + i;
		hv_begin(h, l2_tables, (u64)pt);
		hv_set(h, R_CR3, (u64)pml4);
		hv_set(h, R_CR0, read_cr(0) | BIT(16));	/* WP */
		hv_flush(h);
		for (i = 0; i < 4; i++) {
			pt[0] = (frame + 0x1000 * i) | 3;
			RUN(h, EX_HYPERCALL);
			GUEST_EQ(h->regs[RAX], i);
			GUEST_EQ(f[512 * i + 1], 0x2000 + i);
			GUEST_EQ(pt[0] & 0x60, 0x60);
			hv_skip(h);
			hv_flush(h);
		}
		/* A and D are set */
		pt[0] = frame | 0x63;
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 4);
		GUEST_EQ(f[512 * 4 + 1], 0x2004);
		hv_skip(h);
		pt[0] = frame | 3;
		hv_flush(h);
		RUN_DONE(h);
		GUEST_EQ(read_cr(3), cr3);
		if (!hv_intel)
			VMCB8(h, VMCB_ASID + 4) = 0;
	}
}

asm(".text\n"
	/* EBX: where to read; then a hypercall, of either vendor */
"	.code32\n"
"l2_code32:\n"
"	mov (%ebx), %eax\n"
"	add $0x1000, %eax\n"
"	mov %eax, 8(%ebx)\n"
"	mov %cr0, %ecx\n"
"	test %edi, %edi\n"
"	jnz 1f\n"
"	vmmcall\n"
"1:	vmcall\n"
"	.code16\n"
"l2_code16:\n"
"	mov %cs:(%bx), %ax\n"
"	add $0x1000, %ax\n"
"	mov %eax, %cr2\n"
"	vmmcall\n"
"	.code64\n");

/* L2 without long mode: PAE, PSE, and with SVM no paging at all, and real mode */
static void modes(struct hv *h)
{
	u64 *pdpt = (u64 *)(h->page + 0x20000), *data = (u64 *)(h->page + 0x21000);
	u64 cr0 = read_cr(0), cr4 = read_cr(4);
	int i, j, mode;

	for (mode = 0; mode < (hv_intel ? 2 : 4); mode++) {
		for (i = 0; i < 3; i++) {
			/* anew: QEMU 7.2 sets A there, which is reserved */
			for (j = 0; j < 4; j++)
				pdpt[j] = (GUEST_PD + 0x1000 * j) | 1;
			data[0] = 0x5432100 + mode * 16 + i;
			hv_begin(h, (void *)l2_code32, hv_intel);
			hv_long_mode(h, false);
			hv_seg(h, R_CS, SEL_CODE32, 0, -1u, 0xc09b);
			h->regs[RBX] = (u64)data;
			switch (mode) {
			case 0:
				hv_set(h, R_CR3, (u64)pdpt);
				break;
			case 1:
				hv_set(h, R_CR3, GUEST_PD32);
				hv_set(h, R_CR4, (cr4 & ~BIT(5)) | BIT(4));
				break;
			case 2:
				hv_set(h, R_CR0, cr0 & ~CR0_PG);
				hv_set(h, R_CR4, cr4 & ~BIT(5));
				break;
			case 3:
				data[0] &= 0xffff;
				memcpy((void *)GUEST_CODE16, l2_code16, 32);
				*(u64 *)(GUEST_CODE16 + 0x100) = data[0];
				hv_set(h, R_CR0, cr0 & ~(CR0_PG | 1));
				hv_set(h, R_CR4, cr4 & ~BIT(5));
				hv_seg(h, R_CS, GUEST_CODE16 >> 4, GUEST_CODE16, 0xffff, 0x9b);
				hv_seg(h, R_SS, 0, 0, 0xffff, 0x93);
				hv_set(h, R_RIP, 0);
				h->regs[RBX] = 0x100;
				break;
			}
			hv_flush(h);
			RUN(h, EX_HYPERCALL);
			GUEST_EQ((u32)h->regs[RAX], data[0] + 0x1000);
			if (mode < 3) {
				GUEST_EQ((u32)data[1], data[0] + 0x1000);
				GUEST_EQ((u32)h->regs[RCX] & CR0_PG, mode < 2 ? CR0_PG : 0);
			}
			GUEST_EQ(read_cr(4), cr4);
			GUEST_EQ(read_cr(0), cr0);
			GUEST_EQ(rdmsr(MSR_EFER) & EFER_LONG, EFER_LONG);
			/* long mode in between */
			hv_begin(h, l2_nop, 0);
			hv_flush(h);
			RUN_DONE(h);
		}
	}
	if (!hv_intel)
		VMCB8(h, VMCB_ASID + 4) = 0;
}

/* ---- registers ---------------------------------------------------------------------- */

static u64 other_gdt[16];

asm(".text\n"
"l2_registers:\n"	/* all of them are 0x5a00 + number; one more when it goes on */
"	vmcall_or_vmmcall: .byte 0x0f, 0x01, 0xc1\n"
"	inc %rax; inc %rcx; inc %rdx; inc %rbx; inc %rbp; inc %rsi; inc %rdi; inc %r8\n"
"	inc %r9; inc %r10; inc %r11; inc %r12; inc %r13; inc %r14; inc %r15\n"
"	jmp l2_registers\n");

static void l2_state(u64 arg)
{
	struct table_reg gdt = read_gdtr(), idt = read_idtr();
	u64 v;
	u32 sel;

	GUEST_EQ(gdt.base, other_gdt);
	GUEST_EQ(gdt.limit, 0x77);
	GUEST_EQ(idt.limit, 0xfef);
	GUEST_EQ(read_cr(0) & (BIT(3) | BIT(16) | BIT(18)), BIT(3) | BIT(16) | BIT(18));
	GUEST_EQ(read_cr(3), arg);
	if (!hv_intel)
		GUEST_EQ(rdmsr(MSR_EFER) & EFER_NXE, EFER_NXE);
	GUEST_EQ(read_cr(4) & (BIT(2) | BIT(7)), BIT(2) | BIT(7));
	asm volatile("mov %%dr7, %0" : "=r"(v));
	GUEST_EQ(v, 0x402);
	GUEST_EQ(flags() & (RFL_IF | RFL_TF | RFL_ID | RFL_IOPL), RFL_ID | RFL_IOPL);
	asm volatile("mov %%es, %0" : "=r"(sel));
	GUEST_EQ((u16)sel, SEL_DATA16);
	asm volatile("mov %%cs, %0" : "=r"(sel));
	GUEST_EQ((u16)sel, SEL_CODE64);
	asm volatile("str %0" : "=r"(sel));
	GUEST_EQ((u16)sel, 0x38);
	asm volatile("mov %%fs:0, %0" : "=r"(v));
	GUEST_EQ(v, 0xf5f5f5f5f5f5f5f5);
	asm volatile("mov %0, %%dr7; mov %0, %%cr2" : : "r"(0x400ul));
	asm volatile("lidt %0; lgdt %0" : : "m"(gdt));
	asm volatile("mov %0, %%es" : : "r"(0));
	asm volatile("mov %0, %%cr4" : : "r"(read_cr(4) & ~BIT(7)));
}

static u64 words[512] __aligned(4096);

static void registers(struct hv *h)
{
	struct table_reg gdt = read_gdtr(), idt = read_idtr();
	u64 *pml4 = (u64 *)words, dr7, cr0 = read_cr(0), cr4 = read_cr(4), cr3 = read_cr(3);
	static u64 fs[2];
	int i, j;
	u32 sel;

	/* general registers, both ways */
	if (!hv_intel)
		vmcall_or_vmmcall[2] = 0xd9;
	hv_begin(h, l2_registers, 0);
	for (i = 0; i < 16; i++)
		h->regs[i] = 0x5a00 + i;
	for (j = 0; j < 4; j++) {
		RUN(h, EX_HYPERCALL);
		for (i = 0; i < 16; i++)
			if (i != RSP)
				GUEST_EQ(h->regs[i], (0x5a00ul + 16 * j + i + j) | (u64)j << 56);
		for (i = 0; i < 16; i++)
			h->regs[i] = (0x5a00ul + 16 * (j + 1) + i + j) | (u64)(j + 1) << 56;
		hv_skip(h);
	}

	/* the others */
	for (i = 0; i < 16; i++)
		other_gdt[i] = ((u64 *)GUEST_GDT)[i];
	pml4[0] = *(u64 *)cr3;
	fs[0] = 0xf5f5f5f5f5f5f5f5;
	asm volatile("mov %0, %%dr7" : : "r"(0x401ul));
	hv_begin(h, l2_state, (u64)pml4);
	hv_set(h, R_CR0, read_cr(0) | BIT(3) | BIT(16) | BIT(18));	/* TS, WP, AM */
	hv_set(h, R_CR3, (u64)pml4);
	hv_set(h, R_CR4, read_cr(4) | BIT(2) | BIT(7));			/* TSD, PGE */
	hv_set(h, R_DR7, 0x402);
	hv_set(h, R_RFLAGS, RFL_ID | RFL_IOPL | 2);
	hv_seg(h, R_GDTR, 0, (u64)other_gdt, 0x77, 0);
	hv_seg(h, R_IDTR, 0, idt.base, 0xfef, 0);
	hv_seg(h, R_ES, SEL_DATA16, 0, 0xffff, 0x93);
	if (!hv_intel) {
		/* VMLOAD's */
		u64 mine = h->page + 0x7000;

		hv_set(h, R_EFER, rdmsr(MSR_EFER) | EFER_NXE);
		hv_catch(h, C_DEFAULT & ~C_MSR);
		hv_seg(h, R_FS, SEL_DATA, (u64)fs, -1u, 0xc093);
		hv_seg(h, R_TR, 0x38, GUEST_TSS, 103, 0x8b);
		asm volatile("vmsave %0" : : "a"(mine) : "memory");
		GUEST_EQ(*(u16 *)(mine + 0x490), SEL_TSS);
		asm volatile("vmload %0" : : "a"(h->page) : "memory");
		RUN_DONE(h);
		asm volatile("vmsave %0" : : "a"(h->page) : "memory");
		asm volatile("vmload %0" : : "a"(mine) : "memory");
		GUEST_EQ(rdmsr(MSR_EFER) & EFER_NXE, 0);
		GUEST_EQ(VMCB16(h, 0x490), 0x38);
		GUEST_EQ(VMCB64(h, 0x448), fs);
	} else {
		hv_seg(h, R_FS, SEL_DATA, (u64)fs, -1u, 0xc093);
		hv_seg(h, R_TR, 0x38, GUEST_TSS, 103, 0x8b);
		RUN_DONE(h);
	}
	/* L1's own are back */
	GUEST_EQ(read_gdtr().base, gdt.base);
	GUEST_EQ(read_idtr().base, idt.base);
	if (!hv_intel) {
		GUEST_EQ(read_gdtr().limit, gdt.limit);
		GUEST_EQ(read_idtr().limit, idt.limit);
	} else {
		/* SDM 27.5.2 */
		GUEST_EQ(read_gdtr().limit, 0xffff);
		GUEST_EQ(read_idtr().limit, 0xffff);
	}
	GUEST_EQ(read_cr(0), cr0);
	GUEST_EQ(read_cr(3), cr3);
	GUEST_EQ(read_cr(4), cr4);
	asm volatile("mov %%dr7, %0" : "=r"(dr7));
	GUEST_EQ(dr7, 0x400);
	asm volatile("mov %%es, %0" : "=r"(sel));
	GUEST_EQ((u16)sel, SEL_DATA);
	asm volatile("mov %%ss, %0" : "=r"(sel));
	GUEST_EQ((u16)sel, SEL_DATA);
	asm volatile("str %0" : "=r"(sel));
	GUEST_EQ((u16)sel, SEL_TSS);
	GUEST_EQ(flags() & (RFL_IF | RFL_TF | RFL_ID | RFL_IOPL), 0);
	/* and L2's is what it left */
	GUEST_EQ(hv_get(h, R_CR3), pml4);
	GUEST_EQ(hv_get(h, R_CR4) & (BIT(2) | BIT(7)), BIT(2));
	GUEST_EQ(hv_get(h, R_CR0) & (BIT(3) | BIT(16) | BIT(18)), BIT(3) | BIT(16) | BIT(18));
	if (!hv_intel) {
		GUEST_EQ(hv_get(h, R_DR7), 0x400);
		GUEST_EQ(VMCB64(h, VMCB_CR2), 0x400);
		GUEST_EQ(VMCB16(h, svm_seg[R_ES]), 0);
		GUEST_EQ(VMCB8(h, VMCB_CPL), 0);
		GUEST_EQ(VMCB64(h, svm_seg[R_GDTR] + 8), other_gdt);
	} else {
		GUEST_EQ(vmread(F_ES_SEL), 0);
		GUEST_EQ(vmread(F_ES_BASE + 2 * R_GDTR), other_gdt);
	}
}

/* ---- exceptions ----------------------------------------------------------------------- */

static void l2_faults(u64 arg)
{
	u64 fs = 0xdead0ul;

	asm volatile("mov %0, %%cr2" : : "r"(0x777000ul));
	asm volatile("ud2");
	asm volatile("mov %0, %%fs" : : "r"(0xdead0));	/* beyond the GDT's limit */
	asm volatile("movl $1, (%0)" : : "r"(NOWHERE + 0x123) : "memory");
	asm volatile("mov (%0), %%eax" : : "r"(NON_CANONICAL) : "memory", "rax");
	GUEST_EQ(read_cr(2), 0x777000);
	if (arg)
		asm volatile("int3");
	(void)fs;
}

static void exceptions(struct hv *h)
{
	/* QEMU 7.2 does not offer INT3 to the intercept */
	bool int3 = !tcg;

	hv_begin(h, l2_faults, int3);
	hv_exceptions(h, BIT(UD) | BIT(GP) | BIT(PF) | BIT(3));
	RUN(h, EX_EXCEPTION);
	GUEST_EQ(h->vector, UD);
	GUEST_EQ(*(u16 *)hv_get(h, R_RIP), 0x0b0f);
	h->len = 2;
	hv_skip(h);
	RUN(h, EX_EXCEPTION);
	GUEST_EQ(h->vector, GP);
	GUEST_EQ(h->error, 0xead0);
	GUEST_EQ(*(u8 *)hv_get(h, R_RIP), 0x8e);
	h->len = 2;
	hv_skip(h);
	RUN(h, EX_EXCEPTION);
	GUEST_EQ(h->vector, PF);
	GUEST_EQ(h->error, 2);
	GUEST_EQ(h->address, NOWHERE + 0x123);
	GUEST_EQ(h->event & EV_VALID, 0);
	GUEST_EQ(*(u8 *)hv_get(h, R_RIP), 0xc7);
	h->len = 6;
	hv_skip(h);
	RUN(h, EX_EXCEPTION);
	GUEST_EQ(h->vector, GP);
	GUEST_EQ(h->error, 0);
	GUEST_EQ(*(u8 *)hv_get(h, R_RIP), 0x8b);
	h->len = 2;
	hv_skip(h);
	if (int3) {
		RUN(h, EX_EXCEPTION);
		GUEST_EQ(h->vector, 3);
		GUEST_EQ(*(u8 *)hv_get(h, R_RIP), 0xcc);
		h->len = 1;
		hv_skip(h);
	}
	RUN_DONE(h);
	/* L1's handlers saw none of it */
	GUEST_EQ(L1_TOOK(0, UD) | L1_TOOK(0, GP) | L1_TOOK(0, PF) | L1_TOOK(0, 3), 0);
	GUEST_EQ(L2_TOOK(0, UD) | L2_TOOK(0, GP) | L2_TOOK(0, PF) | L2_TOOK(0, 3), 0);
}

static void l2_own_exceptions(u64 arg)
{
	GUEST_EQ(TRY("ud2", ARGS(), ARGS()), UD);
	GUEST_EQ(TRY("mov %0, %%fs", ARGS(), ARGS("r"(0xdead0))), GP);
	GUEST_EQ(READ_ONCE(fault_err), 0xead0);
	GUEST_EQ(TRY("movl $1, (%0)", ARGS(), ARGS("r"(NOWHERE + 0x123))), PF);
	GUEST_EQ(READ_ONCE(fault_err), 2);
	GUEST_EQ(READ_ONCE(fault_cr2), NOWHERE + 0x123);
	GUEST_EQ(TRY("mov (%0), %%eax", ARGS(), ARGS("r"(NON_CANONICAL)), "rax"), GP);
	GUEST_EQ(TRY("int3", ARGS(), ARGS()), 3);
	hypercall(1);
	GUEST_EQ(read_cr(2), NOWHERE + 0x123);
}

static void own_exceptions(struct hv *h)
{
	hv_begin(h, l2_own_exceptions, 0);
	RUN(h, EX_HYPERCALL);
	GUEST_EQ(h->regs[RAX], 1);
	hv_skip(h);
	/* #VMEXIT leaves CR2 as it is, VMRUN loads it: VMX has no field for it */
	if (!hv_intel)
		GUEST_EQ(VMCB64(h, VMCB_CR2), NOWHERE + 0x123);
	RUN_DONE(h);
	/* an intercept for another one changes nothing */
	hv_begin(h, l2_own_exceptions, 0);
	hv_exceptions(h, BIT(0) | BIT(12));
	RUN(h, EX_HYPERCALL);
	hv_skip(h);
	RUN_DONE(h);
}

/* once round for each event that comes with the entry */
asm(".text\n"
"l2_injected:\n"
"	nop\n"
"	call l2_hypercall\n"
"	jmp l2_injected\n");

void l2_hypercall(void)
{
	hypercall(0x77);
}

static void injected(struct hv *h)
{
	static const struct {
		u32 kind, vec, error, len;
	} ev[] = {
		{ EV_INTR, N_VECTOR, 0, 0 }, { EV_INTR, 0xff, 0, 0 }, { EV_INTR, 0x20, 0, 0 },
		{ EV_EXCEPTION, UD, 0, 0 }, { EV_EXCEPTION, 0, 0, 0 },
		{ EV_EXCEPTION | EV_ERROR, GP, 0x1238, 0 }, { EV_EXCEPTION | EV_ERROR, 12, 0, 0 },
		{ EV_EXCEPTION | EV_ERROR, 17, 0, 0 },
		{ EV_EXCEPTION | EV_ERROR, PF, 3, 0 },
		{ EV_NMI, 2, 0, 0 },
		{ EV_SOFT_INT, 0x80, 0, 2 },
	};
	u64 rip, at = 0;
	u32 i, j;

	for (i = 0; i < 256; i++)
		set_handler(i, on_event);
	hv_begin(h, l2_injected, 0);
	for (i = 0; i < ARRAY_SIZE(ev); i++) {
		forget();
		hv_set(h, R_RFLAGS, RFL_IF | 2);
		rip = hv_get(h, R_RIP);
		if (!hv_intel) {
			VMCB64(h, VMCB_CR2) = 0xc0de000 + i;
			VMCB64(h, VMCB_NRIP) = rip;
		}
		hv_inject(h, ev[i].kind, ev[i].vec, ev[i].error, ev[i].len);
		if (hv_intel && ev[i].kind == EV_SOFT_INT)
			hv_set(h, R_RIP, rip - ev[i].len);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 0x77);
		hv_skip(h);
		GUEST_EQ(i << 16 | L2_TOOK(0, ev[i].vec), i << 16 | 1);
		GUEST_EQ(READ_ONCE(taken_rip), rip);
		GUEST_EQ(READ_ONCE(taken_flags) & RFL_IF, RFL_IF);
		GUEST_EQ(READ_ONCE(taken_error), ev[i].error);
		if (!hv_intel && ev[i].vec == PF)
			GUEST_EQ(READ_ONCE(taken_cr2), 0xc0de000 + i);
		/* no bit of it is left, and nothing else came */
		if (hv_intel)
			GUEST_EQ(vmread(F_INJECT) & EV_VALID, 0);
		else
			GUEST_EQ(VMCB64(h, VMCB_EVENTINJ) & EV_VALID, 0);
		GUEST_EQ(h->event & EV_VALID, 0);
		for (j = 0; j < 256; j++) {
			at += L1_TOOK(0, j);
			at += j != ev[i].vec && L2_TOOK(0, j);
		}
		GUEST_EQ(at, 0);
		RUN(h, EX_HYPERCALL);
		hv_skip(h);
		GUEST_EQ(L2_TOOK(0, ev[i].vec), 1);
	}
}

static void l2_ud(u64 arg)
{
	asm volatile("ud2");
	hypercall(2);
}

static void on_df(struct frame *f)
{
	on_event(f);
	f->rip += 2;
}

/* A fault on the way to a handler of L2's: #NP, and if that has none either, #DF. */
static void double_fault(struct hv *h)
{
	static u64 gates[2 * 16];
	struct table_reg idt = read_idtr();
	int i;

	for (i = 0; i < 32; i++)
		gates[i] = ((u64 *)idt.base)[i];
	gates[2 * UD] &= ~BIT(47);	/* not present */
	gates[2 * NP] &= ~BIT(47);
	set_handler(8, on_df);
	for (i = 0; i < 3; i++) {
		/* QEMU 7.2 does not offer #DF to the intercept */
		if (i == 1 && tcg)
			continue;
		hv_begin(h, l2_ud, 0);
		hv_seg(h, R_IDTR, 0, (u64)gates, sizeof(gates) - 1, 0);
		hv_exceptions(h, i == 0 ? BIT(NP) : i == 1 ? BIT(8) : 0);
		if (i == 2) {
			RUN(h, EX_HYPERCALL);
			GUEST_EQ(h->regs[RAX], 2);
			break;
		}
		RUN(h, EX_EXCEPTION);
		GUEST_EQ(h->vector, i == 0 ? NP : 8);
		GUEST_EQ(*(u16 *)hv_get(h, R_RIP), 0x0b0f);
		if (i == 0) {
			/* what was on its way; QEMU has another index in the error code */
			GUEST_EQ(h->event & (EV_VALID | 0x7ff), EV_VALID | EV_EXCEPTION | UD);
			if (!tcg)
				GUEST_EQ(h->error | 1, UD * 8 + 3);
		} else {
			GUEST_EQ(h->error, 0);
		}
		GUEST_EQ(L2_TOOK(0, 8), 0);
	}
	GUEST_EQ(L1_TOOK(0, 8), 0);
	GUEST_EQ(L2_TOOK(0, 8), 1);
}

static void shutdown(struct hv *h)
{
	int i;

	for (i = 0; i < 4; i++) {
		hv_begin(h, l2_ud, 0);
		hv_seg(h, R_IDTR, 0, 0, 0, 0);
		RUN(h, EX_SHUTDOWN);
		/* and L2 can go on */
		hv_begin(h, l2_exits, 0);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 0x1234);
	}
	GUEST_EQ(L1_TOOK(0, 8), 0);
}

/* ---- interrupts ------------------------------------------------------------------------ */

static u64 spins;

static void l2_spin(u64 arg)
{
	for (;;)
		WRITE_ONCE(spins, READ_ONCE(spins) + 1);
}

static void intr_setup(void)
{
	apic_on();
	set_handler(N_VECTOR, on_irq);
	set_handler(N_TIMER, on_irq);
	set_handler(2, on_event);
}

/* What is pending before the entry: L2 does nothing. */
static void intr_exit(struct hv *h)
{
	int i;

	intr_setup();
	hv_catch(h, C_DEFAULT | C_INTR);
	hv_begin(h, l2_nop, 0);
	for (i = 1; i <= 5; i++) {
		/* of L2's IF there is no need */
		hv_set(h, R_RFLAGS, i & 1 ? 2 | RFL_IF : 2);
		hv_set(h, R_RIP, (u64)l2_nop);
		self_ipi(N_VECTOR);
		RUN(h, EX_INTR);
		GUEST_EQ(hv_get(h, R_RIP), l2_nop);
		GUEST_EQ(L1_TOOK(0, N_VECTOR), i - 1);
		GUEST_EQ(is_pending(APIC_IRR, N_VECTOR), 1);
		GUEST_EQ(flags() & RFL_IF, 0);
		sti_nop_cli();
		GUEST_EQ(L1_TOOK(0, N_VECTOR), i);
		GUEST_EQ(is_pending(APIC_IRR, N_VECTOR) | is_pending(APIC_ISR, N_VECTOR), 0);
	}
	RUN_DONE(h);
	GUEST_EQ(L2_TOOK(0, N_VECTOR), 0);
}

static void start_timer(u32 count)
{
	apic_write(APIC_TDCR, 0xb);	/* by 1 */
	apic_write(APIC_LVTT, N_TIMER);
	apic_write(APIC_TMICT, count);
}

/* What comes while L2 runs. */
static void timer_exit(struct hv *h)
{
	u64 at;
	int i;

	intr_setup();
	hv_catch(h, C_DEFAULT | C_INTR);
	hv_begin(h, l2_spin, 0);
	for (i = 1; i <= 20; i++) {
		start_timer(2000000);
		RUN(h, EX_INTR);
		GUEST_EQ(L1_TOOK(0, N_TIMER), i - 1);
		sti_nop_cli();
		GUEST_EQ(L1_TOOK(0, N_TIMER), i);
		at = hv_get(h, R_RIP);
		GUEST_EQ(at >= (u64)l2_spin && at < (u64)l2_spin + 64, 1);
	}
	GUEST_EQ(READ_ONCE(spins) > 0, 1);
	GUEST_EQ(L2_TOOK(0, N_TIMER), 0);
}

static void l2_take(u64 arg)
{
	u32 n = L2_TOOK(0, N_VECTOR);

	/* pending since before the entry */
	GUEST_EQ(is_pending(APIC_IRR, N_VECTOR), 1);
	asm volatile("nop");
	GUEST_EQ(L2_TOOK(0, N_VECTOR), n);
	sti_nop_cli();
	GUEST_EQ(L2_TOOK(0, N_VECTOR), n + 1);
	self_ipi(N_VECTOR);
	sti_nop_cli();
	GUEST_EQ(L2_TOOK(0, N_VECTOR), n + 2);
	GUEST_EQ(is_pending(APIC_IRR, N_VECTOR) | is_pending(APIC_ISR, N_VECTOR), 0);
	start_timer(100000);
	sti();
	while (L2_TOOK(0, N_TIMER) * 2 < n + 2)
		cpu_pause();
	cli();
	self_nmi();
	asm volatile("nop");
	GUEST_EQ(L2_TOOK(0, 2) * 2, n + 2);
}

/* L1 does not care: L2's IDT has it. */
static void intr_own(struct hv *h)
{
	int i;

	intr_setup();
	if (!hv_intel)
		VMCB32(h, VMCB_INT_CTL) = 0;
	for (i = 1; i <= 3; i++) {
		hv_begin(h, l2_take, 0);
		self_ipi(N_VECTOR);
		h->host_if = 0;
		RUN_DONE(h);
		GUEST_EQ(L2_TOOK(0, N_VECTOR), 2 * i);
		GUEST_EQ(L2_TOOK(0, N_TIMER), i);
		GUEST_EQ(L2_TOOK(0, 2), i);
	}
	GUEST_EQ(L1_TOOK(0, N_VECTOR) | L1_TOOK(0, N_TIMER) | L1_TOOK(0, 2), 0);
}

static void l2_nmi(u64 arg)
{
	self_nmi();
	asm volatile("nop");
	hypercall(1);
}

static void iret_here(void)
{
	asm volatile("mov %%rsp, %%rax; pushq %0; push %%rax; pushfq\n\t"
		     "pushq %1; pushq $1f; iretq; 1:"
		     : : "i"(SEL_DATA), "i"(SEL_CODE64) : "rax", "memory");
}

static void nmi_exit(struct hv *h)
{
	int i;

	intr_setup();
	hv_catch(h, C_DEFAULT | C_NMI);
	for (i = 1; i <= 4; i++) {
		hv_begin(h, l2_nmi, 0);
		RUN(h, EX_NMI);
		GUEST_EQ(L2_TOOK(0, 2), 0);
		if (hv_intel) {
			/* it is gone, and others are blocked until IRET */
			GUEST_EQ(vmread(F_INTR_INFO) & 0x800007ff, EV_VALID | EV_NMI | 2);
			GUEST_EQ(L1_TOOK(0, 2), i - 1);
			self_nmi();
			asm volatile("nop");
			GUEST_EQ(L1_TOOK(0, 2), i - 1);
			iret_here();
		}
		/* SVM: it was pending still, and came with STGI */
		asm volatile("nop");
		GUEST_EQ(L1_TOOK(0, 2), i);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 1);
		hv_skip(h);
		RUN_DONE(h);
	}
	GUEST_EQ(L2_TOOK(0, 2), 0);
}

asm(".text\n"
"l2_window:\n"
"	cli; nop; nop; incq l2_window_count(%rip)\n"
"	sti; nop\n"
"l2_window_open:\n"
"	nop; incq l2_window_count(%rip); cli\n"
"l2_window_end:\n"
"	ret\n"
".data; .balign 8; l2_window_count: .quad 0; .text\n");

/* An exit when L2 can be interrupted: VMX's interrupt window, SVM's intercept of V_IRQ. */
static void window(struct hv *h)
{
	int i;

	intr_setup();
	hv_catch(h, C_DEFAULT | C_WINDOW);
	for (i = 1; i <= 4; i++) {
		WRITE_ONCE(l2_window_count, 0);
		hv_begin(h, l2_window, 0);
		if (!hv_intel)
			VMCB64(h, VMCB_INT_CTL) = V_IRQ_NOW;
		RUN(h, EX_WINDOW);
		GUEST_EQ(hv_get(h, R_RIP), l2_window_open);
		GUEST_EQ(READ_ONCE(l2_window_count), 1);
		GUEST_EQ(hv_get(h, R_RFLAGS) & RFL_IF, RFL_IF);
		GUEST_EQ(L2_TOOK(0, N_VECTOR) + 1, i);
		/* now it can be injected */
		if (!hv_intel)
			VMCB64(h, VMCB_INT_CTL) = V_INTR_MASKING;
		else
			hv_catch(h, C_DEFAULT);
		set_handler(N_VECTOR, on_event);
		hv_inject(h, EV_INTR, N_VECTOR, 0, 0);
		RUN_DONE(h);
		GUEST_EQ(L2_TOOK(0, N_VECTOR), i);
		GUEST_EQ(READ_ONCE(taken_rip), l2_window_open);
		hv_catch(h, C_DEFAULT | C_WINDOW);
		/* open from the beginning: at once */
		hv_begin(h, l2_nop, 0);
		hv_set(h, R_RFLAGS, 2 | RFL_IF);
		if (!hv_intel)
			VMCB64(h, VMCB_INT_CTL) = V_IRQ_NOW;
		RUN(h, EX_WINDOW);
		GUEST_EQ(hv_get(h, R_RIP), l2_nop);
	}
	GUEST_EQ(L1_TOOK(0, N_VECTOR), 0);
}

/* VMX: an exit that takes the interrupt from the APIC; the handler is L1's to call */
static void ack(struct hv *h)
{
	int i;

	intr_setup();
	hv_catch(h, C_DEFAULT | C_INTR | C_ACK);
	hv_begin(h, l2_spin, 0);
	for (i = 0; i < 5; i++) {
		if (i & 1)
			start_timer(1000000);
		else
			self_ipi(N_VECTOR);
		RUN(h, EX_INTR);
		GUEST_EQ(h->vector, i & 1 ? N_TIMER : N_VECTOR);
		GUEST_EQ(vmread(F_INTR_INFO) & 0x80000700, EV_VALID | EV_INTR);
		GUEST_EQ(is_pending(APIC_IRR, h->vector), 0);
		GUEST_EQ(is_pending(APIC_ISR, h->vector), 1);
		apic_write(APIC_EOI, 0);
		sti_nop_cli();
		GUEST_EQ(L1_TOOK(0, N_TIMER) | L1_TOOK(0, N_VECTOR), 0);
	}
	GUEST_EQ(L2_TOOK(0, N_TIMER) | L2_TOOK(0, N_VECTOR), 0);
}

static void l2_masked(u64 arg)
{
	sti();
	asm volatile("nop; nop; nop");
	GUEST_EQ(is_pending(APIC_IRR, N_VECTOR), 1);
	GUEST_EQ(L2_TOOK(0, N_VECTOR), 0);
	cli();
}

/* SVM: V_INTR_MASKING, and interrupts off in L1: L2's IF means nothing. */
static void masked(struct hv *h)
{
	int i;

	intr_setup();
	for (i = 0; i < 2; i++) {
		hv_begin(h, l2_masked, 0);
		hv_catch(h, C_DEFAULT | (i ? C_INTR : 0));
		h->host_if = 0;
		self_ipi(N_VECTOR);
		RUN_DONE(h);
		GUEST_EQ(L1_TOOK(0, N_VECTOR), i);
		sti_nop_cli();
		GUEST_EQ(L1_TOOK(0, N_VECTOR), i + 1);
	}
}

/* ... and on in L1, but not intercepted: L2 has them even with IF clear. */
static void masked_on(struct hv *h)
{
	int i;

	intr_setup();
	for (i = 1; i <= 3; i++) {
		hv_begin(h, l2_nop, 0);
		hv_catch(h, C_DEFAULT);
		self_ipi(N_VECTOR);
		RUN_DONE(h);
		GUEST_EQ(L1_TOOK(0, N_VECTOR), 0);
		GUEST_EQ(L2_TOOK(0, N_VECTOR), i);
	}
}

static void gif(struct hv *h)
{
	intr_setup();
	asm volatile("clgi");
	sti();
	self_ipi(N_VECTOR);
	self_nmi();
	asm volatile("nop; nop");
	GUEST_EQ(L1_TOOK(0, N_VECTOR) | L1_TOOK(0, 2), 0);
	asm volatile("stgi; nop");
	GUEST_EQ(L1_TOOK(0, N_VECTOR), 1);
	GUEST_EQ(L1_TOOK(0, 2), 1);
	cli();
	/* clear behind #VMEXIT, whatever it was before */
	hv_begin(h, l2_nop, 0);
	h->keep_gif = 1;
	RUN_DONE(h);
	sti();
	self_ipi(N_VECTOR);
	self_nmi();
	asm volatile("nop; nop");
	GUEST_EQ(L1_TOOK(0, N_VECTOR), 1);
	GUEST_EQ(L1_TOOK(0, 2), 1);
	asm volatile("stgi; nop");
	GUEST_EQ(L1_TOOK(0, N_VECTOR), 2);
	GUEST_EQ(L1_TOOK(0, 2), 2);
	cli();
}

static void l2_virtual(u64 arg)
{
	/*
	 * All that is read on the way to the handler is there: when QEMU 7.2 leaves L2 on that
	 * way it says that the virtual interrupt was an exception, and the next VMRUN, which has
	 * it, is refused.
	 */
	GUEST_EQ(TRY("ud2", ARGS(), ARGS()), UD);
	READ_ONCE(*(u64 *)(read_idtr().base + 16 * N_VECTOR));
	asm volatile("nop; nop");
	GUEST_EQ(L2_TOOK(0, N_VECTOR), arg);
	hypercall(1);
	sti_nop_cli();
	GUEST_EQ(L2_TOOK(0, N_VECTOR), arg + 1);
	hypercall(2);
	sti_nop_cli();
	GUEST_EQ(L2_TOOK(0, N_VECTOR), arg + 1);
}

/* SVM: a virtual interrupt. */
static void virtual(struct hv *h)
{
	u64 tpr;
	int i;

	intr_setup();
	set_handler(N_VECTOR, on_event);
	hv_catch(h, C_DEFAULT | C_INTR);
	for (i = 0; i < 3; i++) {
		hv_begin(h, l2_virtual, i);
		VMCB64(h, VMCB_INT_CTL) = V_IRQ_NOW;
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 1);
		/* still pending */
		GUEST_EQ(VMCB64(h, VMCB_INT_CTL) & V_IRQ, V_IRQ);
		hv_skip(h);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], 2);
		GUEST_EQ(VMCB64(h, VMCB_INT_CTL) & V_IRQ, 0);
		hv_skip(h);
		RUN_DONE(h);
		GUEST_EQ(L2_TOOK(0, N_VECTOR), i + 1);
	}
	/* priority 3 is not above V_TPR 3; QEMU 7.2 thinks that it is */
	tpr = tcg ? 4 : 3;
	hv_begin(h, l2_nop, 0);
	hv_set(h, R_RFLAGS, 2 | RFL_IF);
	VMCB64(h, VMCB_INT_CTL) = V_INTR_MASKING | V_IRQ | tpr | 3 << 16 | (u64)N_VECTOR << 32;
	RUN_DONE(h);
	GUEST_EQ(L2_TOOK(0, N_VECTOR), 3);
	GUEST_EQ(VMCB64(h, VMCB_INT_CTL) & V_IRQ, V_IRQ);
	GUEST_EQ(VMCB64(h, VMCB_INT_CTL) & 15, tpr);
	/* but above 2 */
	hv_begin(h, l2_nop, 0);
	hv_set(h, R_RFLAGS, 2 | RFL_IF);
	VMCB64(h, VMCB_INT_CTL) = V_INTR_MASKING | V_IRQ | 2 | 3 << 16 | (u64)N_VECTOR << 32;
	RUN_DONE(h);
	GUEST_EQ(L2_TOOK(0, N_VECTOR), 4);
	GUEST_EQ(VMCB64(h, VMCB_INT_CTL) & V_IRQ, 0);
	GUEST_EQ(L1_TOOK(0, N_VECTOR), 0);
}

/* ---- what is refused -------------------------------------------------------------------- */

static void good_entry(struct hv *h, int line)
{
	hv_begin(h, l2_exits, 0);
	hv_run(h);
	if (h->class != EX_HYPERCALL || h->regs[RAX] != 0x1234)
		report(REPORT_FAIL, line, h->class | h->reason << 8, 0x1234);
}

/* One change to a good VMCB or VMCS, and the entry fails. */
#define BAD(h, change) do {						\
	struct hv *__bad = (h);						\
	hv_begin(__bad, l2_nop, 0);					\
	change;								\
	RUN(__bad, EX_INVALID);						\
	GUEST_EQ(flags() & RFL_IF, 0);					\
} while (0)

static void svm_bad_state(struct hv *h)
{
	u64 keep;

	BAD(h, hv_set(h, R_CR0, (read_cr(0) & ~CR0_CD) | CR0_NW));
	BAD(h, hv_set(h, R_CR0, read_cr(0) | BIT(32)));
	BAD(h, hv_set(h, R_EFER, rdmsr(MSR_EFER) & ~EFER_SVME));
	BAD(h, hv_set(h, R_EFER, rdmsr(MSR_EFER) | BIT(63)));
	BAD(h, hv_set(h, R_CR4, read_cr(4) | BIT(63)));
	BAD(h, hv_set(h, R_CR4, read_cr(4) & ~BIT(5)));		/* LME, PG, no PAE */
	BAD(h, hv_set(h, R_CR0, read_cr(0) & ~1ul));		/* LME, PG, no PE */
	BAD(h, hv_seg(h, R_CS, SEL_CODE64, 0, -1u, 0xe09b));	/* CS.L and CS.D */
	BAD(h, VMCB64(h, VMCB_DR6) = BIT(40));
	VMCB64(h, VMCB_DR6) = 0xffff0ff0;
	BAD(h, hv_set(h, R_DR7, BIT(40)));
	BAD(h, VMCB32(h, VMCB_ASID) = 0);
	VMCB32(h, VMCB_ASID) = 1;
	BAD(h, VMCB32(h, VMCB_MISC2) = 2);			/* VMRUN not intercepted */
	VMCB32(h, VMCB_MISC2) = 3;
	if (tcg)
		return;
	keep = VMCB64(h, VMCB_IOPM);
	BAD(h, VMCB64(h, VMCB_IOPM) = BIT(52));
	VMCB64(h, VMCB_IOPM) = keep;
	BAD(h, VMCB64(h, VMCB_EVENTINJ) = EV_VALID | 1 << 8);	/* reserved type */
	BAD(h, VMCB64(h, VMCB_EVENTINJ) = EV_VALID | EV_EXCEPTION | 2);
	VMCB64(h, VMCB_EVENTINJ) = 0;
}

static void vmx_bad_state(struct hv *h)
{
	BAD(h, hv_set(h, R_CR0, read_cr(0) & ~CR0_PG));
	GUEST_EQ(h->reason, 0x80000021);
	GUEST_EQ(h->qual, 0);
	BAD(h, hv_set(h, R_CR0, read_cr(0) & ~1ul));
	BAD(h, hv_set(h, R_CR4, read_cr(4) & ~CR4_VMXE));
	BAD(h, hv_set(h, R_CR4, read_cr(4) & ~BIT(5)));
	BAD(h, hv_set(h, R_CR4, read_cr(4) | BIT(31)));
	BAD(h, hv_set(h, R_CR3, BIT(60)));
	BAD(h, hv_set(h, R_RFLAGS, 0));
	BAD(h, hv_set(h, R_RFLAGS, 2 | BIT(17)));		/* VM86 in long mode */
	BAD(h, hv_seg(h, R_CS, SEL_CODE64, 0, -1u, 0xe09b));
	BAD(h, hv_seg(h, R_CS, SEL_CODE64, 0, -1u, 0xa093));
	BAD(h, hv_seg(h, R_CS, SEL_CODE64, 0, -1u, 0xa01b));	/* not present */
	BAD(h, hv_seg(h, R_SS, SEL_DATA, 0, -1u, 0xc0f3));	/* DPL 3 */
	BAD(h, hv_seg(h, R_TR, SEL_TSS, 0, 103, 0x89));		/* not busy */
	hv_seg(h, R_TR, SEL_TSS, GUEST_TSS, 103, 0x8b);
	BAD(h, hv_seg(h, R_TR, SEL_TSS, NON_CANONICAL, 103, 0x8b));
	hv_seg(h, R_TR, SEL_TSS, GUEST_TSS, 103, 0x8b);
	BAD(h, hv_seg(h, R_LDTR, 0, 0, 0, 0x93));
	BAD(h, hv_seg(h, R_GDTR, 0, NON_CANONICAL, 0x7f, 0));
	BAD(h, vmwrite(F_INTERRUPTIBILITY, 3));			/* STI and MOV SS */
	BAD(h, vmwrite(F_INTERRUPTIBILITY, BIT(7)));
	vmwrite(F_INTERRUPTIBILITY, 0);
	BAD(h, vmwrite(F_ACTIVITY, 7));
	vmwrite(F_ACTIVITY, 0);
	BAD(h, vmwrite(F_LINK, 0x123));
	vmwrite(F_LINK, -1ul);
	BAD(h, vmwrite(F_PENDING_DBG, BIT(4)));
	vmwrite(F_PENDING_DBG, 0);
	/* an interrupt with IF clear, or with STI's shadow */
	BAD(h, hv_inject(h, EV_INTR, N_VECTOR, 0, 0));
	vmwrite(F_INTERRUPTIBILITY, 1);
	BAD(h, hv_set(h, R_RFLAGS, 2 | RFL_IF));
	vmwrite(F_INTERRUPTIBILITY, 0);
	vmwrite(F_INJECT, 0);
	/* an entry that failed has not launched it, and L2 is as it was */
	hv_begin(h, l2_nop, 0);
	GUEST_EQ(h->launched, 0);
}

static void bad_state(struct hv *h)
{
	if (hv_intel)
		vmx_bad_state(h);
	else
		svm_bad_state(h);
	good_entry(h, __LINE__);
}

/* VMX: an entry that ends with VMfailValid and an error number */
#define VMFAIL(h, number) do {						\
	struct hv *__h = (h);						\
	hv_run(__h);							\
	GUEST_EQ(__h->class == EX_VMFAIL ? __h->reason : __h->class | __h->reason << 8, number); \
} while (0)

static void try_field(struct hv *h, u64 field, u64 v, u32 number, int line)
{
	u64 keep = vmread(field);

	hv_begin(h, l2_nop, 0);
	vmwrite(field, v);
	hv_run(h);
	if (h->class != EX_VMFAIL || h->reason != number)
		report(REPORT_FAIL, line, h->class | h->reason << 8, number);
	vmwrite(field, keep);
}

#define BAD_FIELD(h, field, v, number)	try_field(h, field, v, number, __LINE__)

static void bad_controls(struct hv *h)
{
	u64 pin = vmread(F_PIN), proc = vmread(F_PROC);
	u64 entry = vmread(F_ENTRY), exit = vmread(F_EXIT);

	/* reserved ones that must be set, and those that must be clear */
	BAD_FIELD(h, F_PIN, pin & ~BIT(1), 7);
	BAD_FIELD(h, F_PIN, pin | BIT(31), 7);
	BAD_FIELD(h, F_PROC, proc & ~BIT(1), 7);
	BAD_FIELD(h, F_PROC, proc | BIT(0), 7);
	BAD_FIELD(h, F_EXIT, exit & ~BIT(0), 7);
	BAD_FIELD(h, F_EXIT, exit | BIT(31), 7);
	BAD_FIELD(h, F_ENTRY, entry & ~BIT(0), 7);
	BAD_FIELD(h, F_ENTRY, entry | BIT(31), 7);
	BAD_FIELD(h, F_CR3_COUNT, 5, 7);
	BAD_FIELD(h, F_INJECT, EV_VALID | 1 << 8, 7);
	BAD_FIELD(h, F_INJECT, EV_VALID | EV_NMI | 3, 7);
	BAD_FIELD(h, F_INJECT, EV_VALID | EV_EXCEPTION | 32, 7);
	BAD_FIELD(h, F_INJECT, EV_VALID | EV_EXCEPTION | EV_ERROR | UD, 7);
	BAD_FIELD(h, F_INJECT, EV_VALID | EV_INTR | BIT(12), 7);
	vmwrite(F_PROC, proc | BIT(28));
	BAD_FIELD(h, F_MSR_BITMAP, h->msrbm | 0x10, 7);
	BAD_FIELD(h, F_MSR_BITMAP, BIT(60), 7);
	vmwrite(F_PROC, proc | BIT(25));
	BAD_FIELD(h, F_IO_A, h->iobm | 0x10, 7);
	vmwrite(F_PROC, proc);
	vmwrite(F_EXIT_STORE, 1);
	BAD_FIELD(h, 0x2006, 0x10008, 7);	/* address not a multiple of 16 */
	vmwrite(F_EXIT_STORE, 0);
	good_entry(h, __LINE__);
}

static void bad_host(struct hv *h)
{
	BAD_FIELD(h, F_HOST_CR0, read_cr(0) & ~1ul, 8);
	BAD_FIELD(h, F_HOST_CR4, read_cr(4) & ~CR4_VMXE, 8);
	BAD_FIELD(h, F_HOST_CR4, read_cr(4) & ~BIT(5), 8);
	BAD_FIELD(h, F_HOST_CR3, BIT(60), 8);
	BAD_FIELD(h, F_HOST_ES_SEL + 2, 0, 8);			/* CS */
	BAD_FIELD(h, F_HOST_ES_SEL, SEL_DATA | 3, 8);
	BAD_FIELD(h, F_HOST_ES_SEL + 12, 0, 8);			/* TR */
	BAD_FIELD(h, F_HOST_ES_SEL + 12, SEL_TSS | 4, 8);
	BAD_FIELD(h, F_HOST_FS_BASE, NON_CANONICAL, 8);
	BAD_FIELD(h, F_HOST_GDTR, NON_CANONICAL, 8);
	BAD_FIELD(h, F_HOST_TR_BASE, NON_CANONICAL, 8);
	BAD_FIELD(h, F_HOST_SYSENTER_EIP, NON_CANONICAL, 8);
	/* a host of 32 bits for one of 64 */
	BAD_FIELD(h, F_EXIT, vmread(F_EXIT) & ~BIT(9), 8);
	good_entry(h, __LINE__);
}

static void fields(struct hv *h)
{
	u64 v;

	/* there is no such field */
	GUEST_EQ(vmread_try(0x7ffe, &v), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 12);
	GUEST_EQ(vmwrite_try(0x2ffe, 1), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 12);
	GUEST_EQ(vmread_try(BIT(40) | F_RIP, &v), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 12);
	/* what an exit tells can be written where IA32_VMX_MISC says so */
	if (!(rdmsr(0x485) & BIT(29))) {
		GUEST_EQ(vmwrite_try(F_REASON, 1), RF_ZF);
		GUEST_EQ(vmread(F_ERROR), 13);
	} else {
		GUEST_EQ(vmwrite_try(F_REASON, 0x1234), 0);
		GUEST_EQ(vmread(F_REASON), 0x1234);
	}
	/* each field is as wide as it is */
	vmwrite(F_ES_SEL, -1ul);
	GUEST_EQ(vmread(F_ES_SEL), 0xffff);
	vmwrite(F_ES_LIMIT, -1ul);
	GUEST_EQ(vmread(F_ES_LIMIT), 0xffffffff);
	vmwrite(F_RIP, 0x123456789abcdef0);
	GUEST_EQ(vmread(F_RIP), 0x123456789abcdef0);
	vmwrite(F_TSC_OFFSET, 0x1122334455667788);
	GUEST_EQ(vmread(F_TSC_OFFSET + 1), 0x11223344);
	vmwrite(F_TSC_OFFSET + 1, 0x99);
	GUEST_EQ(vmread(F_TSC_OFFSET), 0x9955667788);
	vmwrite(F_TSC_OFFSET, 0);
	good_entry(h, __LINE__);
}

static void vmx_pointers(struct hv *h)
{
	u32 rev = rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	u64 pa, fl, second = h->page + 0x7000, third = h->page + 0x20000;

	GUEST_EQ(VMX_PTR_INSN("vmptrld", h->page | 8), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 9);
	GUEST_EQ(VMX_PTR_INSN("vmptrld", BIT(60)), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 9);
	GUEST_EQ(VMX_PTR_INSN("vmptrld", h->other), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 10);
	*(u32 *)second = rev + 1;
	GUEST_EQ(VMX_PTR_INSN("vmptrld", second), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 11);
	GUEST_EQ(VMX_PTR_INSN("vmclear", h->page | 8), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 2);
	GUEST_EQ(VMX_PTR_INSN("vmclear", BIT(60)), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 2);
	GUEST_EQ(VMX_PTR_INSN("vmclear", h->other), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 3);
	GUEST_EQ(VMX_PTR_INSN("vmxon", h->other), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 15);
	asm volatile("vmptrst %0" : "=m"(pa));
	GUEST_EQ(pa, h->page);

	/* resumed before it is launched, and launched twice */
	hv_begin(h, l2_nop, 0);
	h->launched = 1;
	VMFAIL(h, 5);
	h->launched = 0;
	RUN_DONE(h);
	h->launched = 0;
	VMFAIL(h, 4);
	h->launched = 1;
	hv_begin(h, l2_nop, 0);
	RUN_DONE(h);
	/* in the shadow of MOV SS */
	hv_begin(h, l2_nop, 0);
	asm volatile("mov %%ss, %%eax; mov %%eax, %%ss; vmresume; pushf; pop %0"
		     : "=r"(fl) : : "rax", "memory", "cc");
	GUEST_EQ(fl & (RF_ZF | RF_CF), RF_ZF);
	GUEST_EQ(vmread(F_ERROR), 26);

	/* what was written is there when it is current again */
	*(u32 *)third = rev;
	vmwrite(F_TSC_OFFSET, 0x5555);
	GUEST_EQ(VMX_PTR_INSN("vmclear", third), 0);
	GUEST_EQ(VMX_PTR_INSN("vmptrld", third), 0);
	vmwrite(F_TSC_OFFSET, 0x6666);
	asm volatile("vmptrst %0" : "=m"(pa));
	GUEST_EQ(pa, third);
	GUEST_EQ(VMX_PTR_INSN("vmptrld", h->page), 0);
	GUEST_EQ(vmread(F_TSC_OFFSET), 0x5555);
	GUEST_EQ(VMX_PTR_INSN("vmptrld", third), 0);
	GUEST_EQ(vmread(F_TSC_OFFSET), 0x6666);
	/* none is: VMfailInvalid */
	GUEST_EQ(VMX_PTR_INSN("vmclear", third), 0);
	asm volatile("vmptrst %0" : "=m"(pa));
	GUEST_EQ(pa, -1ul);
	GUEST_EQ(vmread_try(F_RIP, &pa), RF_CF);
	GUEST_EQ(vmwrite_try(F_RIP, 1), RF_CF);
	asm volatile("vmlaunch; pushf; pop %0" : "=r"(fl) : : "memory", "cc");
	GUEST_EQ(fl & (RF_ZF | RF_CF), RF_CF);
	/* cleared, it is launched again */
	GUEST_EQ(VMX_PTR_INSN("vmclear", h->page), 0);
	GUEST_EQ(VMX_PTR_INSN("vmptrld", h->page), 0);
	vmwrite(F_TSC_OFFSET, 0);
	hv_begin(h, l2_nop, 0);
	h->launched = 1;
	VMFAIL(h, 5);
	h->launched = 0;
	RUN_DONE(h);
}

static void svm_pointers(struct hv *h)
{
	/* beyond what a CPU has, and not a page */
	GUEST_EQ(TRY("vmrun %%rax", ARGS(), ARGS("a"(BIT(52)))), GP);
	GUEST_EQ(TRY("vmload %%rax", ARGS(), ARGS("a"(BIT(52)))), GP);
	GUEST_EQ(TRY("vmsave %%rax", ARGS(), ARGS("a"(BIT(52)))), GP);
	GUEST_EQ(TRY("vmrun %%rax", ARGS(), ARGS("a"(h->page + 8))), GP);
	GUEST_EQ(TRY("vmload %%rax", ARGS(), ARGS("a"(h->page + 8))), GP);
	GUEST_EQ(TRY("vmsave %%rax", ARGS(), ARGS("a"(h->page + 8))), GP);
	GUEST_EQ(wrmsr_safe(MSR_VM_HSAVE, h->other + 8), GP);
	GUEST_EQ(wrmsr_safe(MSR_VM_HSAVE, BIT(52)), GP);
	GUEST_EQ(rdmsr(MSR_VM_HSAVE), h->other);
	GUEST_EQ(flags() & RFL_IF, 0);
	good_entry(h, __LINE__);
}

static void pointers(struct hv *h)
{
	if (hv_intel)
		vmx_pointers(h);
	else
		svm_pointers(h);
}

/* ---- privileges ------------------------------------------------------------------------- */

/* code at CPL 3 ends with its fault, in on_user_fault */
static u64 user_rsp;
asm(".text\n"
"user_go:\n"
"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
"	mov %rsp, user_rsp\n"
"	mov %rsi, %rax\n"
"	pushq $0x4b; push %rsp; pushq $2; pushq $0x43; push %rdi\n"
"	iretq\n"
"user_back:\n"
"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
"	ret\n");

static u64 user_vec, user_err;

static void on_user_fault(struct frame *f)
{
	if (!(f->cs & 3)) {
		/* TRY() */
		WRITE_ONCE(fault_vec, f->vector);
		WRITE_ONCE(fault_err, f->error);
		if (!READ_ONCE(fault_resume))
			report(REPORT_FAULT, f->vector, f->error, f->rip);
		f->rip = READ_ONCE(fault_resume);
		WRITE_ONCE(fault_resume, 0);
		return;
	}
	WRITE_ONCE(user_vec, f->vector);
	WRITE_ONCE(user_err, f->error);
	f->rip = (u64)user_back;
	f->cs = SEL_CODE64;
	f->ss = SEL_DATA;
	f->rsp = READ_ONCE(user_rsp);
}

static u64 at_user(const u8 *code, u64 rax)
{
	WRITE_ONCE(user_vec, -1ul);
	user_go((u64)code, rax);
	return READ_ONCE(user_vec);
}

asm(".text\n"
	/* each in 8 bytes, then UD2 for those that do not fault */
"	.balign 8\nsvm_insns: vmrun %rax; ud2\n"
"	.balign 8; vmload %rax; ud2\n"
"	.balign 8; vmsave %rax; ud2\n"
"	.balign 8; stgi; ud2\n"
"	.balign 8; clgi; ud2\n"
"	.balign 8; invlpga %rax, %ecx; ud2\n"
"	.balign 8\nvmx_insns: vmxon (%rax); ud2\n"
"	.balign 8; vmclear (%rax); ud2\n"
"	.balign 8; vmptrld (%rax); ud2\n"
"	.balign 8; vmptrst (%rax); ud2\n"
"	.balign 8; vmread %rax, %rax; ud2\n"
"	.balign 8; vmwrite %rax, %rax; ud2\n"
"	.balign 8; vmlaunch; ud2\n"
"	.balign 8; vmresume; ud2\n"
"	.balign 8; vmxoff; ud2\n");

#define SVM_INSNS	6
#define VMX_INSNS	9

static void user_setup(void)
{
	set_handler(UD, on_user_fault);
	set_handler(GP, on_user_fault);
	*(u64 *)(GUEST_TSS + 4) = GUEST_STACK_TOP - 2 * GUEST_STACK_SIZE;	/* RSP0 */
}

static void privileges(struct hv *h)
{
	const u8 *code = hv_intel ? vmx_insns : svm_insns;
	int i, n = hv_intel ? VMX_INSNS : SVM_INSNS;

	user_setup();
	for (i = 0; i < n; i++) {
		GUEST_EQ(at_user(code + 8 * i, h->page) << 8 | i, GP << 8 | i);
		GUEST_EQ(READ_ONCE(user_err), 0);
	}
	good_entry(h, __LINE__);
}

/* Not turned on, or off again: there are no such instructions. */
static void off(struct hv *h)
{
	u64 v, mem = h->page;

	user_setup();
	if (hv_intel) {
		GUEST_EQ(VMX_PTR_INSN("vmclear", h->page), 0);
		asm volatile("vmxoff");
		GUEST_EQ(TRY("vmptrld %0", ARGS(), ARGS("m"(mem))), UD);
		GUEST_EQ(TRY("vmclear %0", ARGS(), ARGS("m"(mem))), UD);
		GUEST_EQ(TRY("vmptrst %0", ARGS("=m"(v)), ARGS()), UD);
		GUEST_EQ(TRY("vmread %1, %0", ARGS("=r"(v)), ARGS("r"(F_RIP + 0ul))), UD);
		GUEST_EQ(TRY("vmwrite %1, %0", ARGS(), ARGS("r"(F_RIP + 0ul), "r"(0ul))), UD);
		GUEST_EQ(TRY("vmlaunch", ARGS(), ARGS()), UD);
		GUEST_EQ(TRY("vmresume", ARGS(), ARGS()), UD);
		GUEST_EQ(TRY("vmxoff", ARGS(), ARGS()), UD);
		GUEST_EQ(at_user(vmx_insns + 8, h->page), UD);
		/* VMXON itself: bad addresses */
		v = h->other | 8;
		asm volatile("vmxon %1; pushf; pop %0" : "=r"(v) : "m"(v) : "cc", "memory");
		GUEST_EQ(v & (RF_CF | RF_ZF), RF_CF);
		v = BIT(60);
		asm volatile("vmxon %1; pushf; pop %0" : "=r"(v) : "m"(v) : "cc", "memory");
		GUEST_EQ(v & (RF_CF | RF_ZF), RF_CF);
		asm volatile("mov %0, %%cr4" : : "r"(read_cr(4) & ~CR4_VMXE));
		mem = h->other;
		GUEST_EQ(TRY("vmxon %0", ARGS(), ARGS("m"(mem))), UD);
		GUEST_EQ(at_user(vmx_insns, h->other), UD);
		/* on again, CR4 keeps VMXE */
		asm volatile("mov %0, %%cr4" : : "r"(read_cr(4) | CR4_VMXE));
		GUEST_EQ(VMX_PTR_INSN("vmxon", h->other), 0);
		GUEST_EQ(TRY("mov %0, %%cr4", ARGS(), ARGS("r"(read_cr(4) & ~CR4_VMXE))), GP);
		GUEST_EQ(TRY("mov %0, %%cr0", ARGS(), ARGS("r"(read_cr(0) & ~CR0_PG))), GP);
		/* locked */
		GUEST_EQ(wrmsr_safe(MSR_FEAT_CTL, 0), GP);
		GUEST_EQ(VMX_PTR_INSN("vmptrld", h->page), 0);
		good_entry(h, __LINE__);
		return;
	}
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
	GUEST_EQ(TRY("vmrun %%rax", ARGS(), ARGS("a"(mem))), UD);
	GUEST_EQ(TRY("vmload %%rax", ARGS(), ARGS("a"(mem))), UD);
	GUEST_EQ(TRY("vmsave %%rax", ARGS(), ARGS("a"(mem))), UD);
	GUEST_EQ(TRY("invlpga %%rax, %%ecx", ARGS(), ARGS("a"(0ul), "c"(0ul))), UD);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	good_entry(h, __LINE__);
}

static void gif_off(struct hv *h)
{
	user_setup();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
	GUEST_EQ(TRY("clgi", ARGS(), ARGS()), UD);
	GUEST_EQ(TRY("stgi", ARGS(), ARGS()), UD);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	good_entry(h, __LINE__);
}

/* ---- kept apart ---------------------------------------------------------------------------- */

static void l2_l0_ports(u64 arg)
{
	u32 i;

	/* the host's PIC, PIT and RTC; L2 has no way to them but KVM's */
	static const u16 port[] = { 0x20, 0x21, 0xa1, 0x40, 0x61, 0x70, 0x71, 0xcf8, 0x3f8 };

	for (i = 0; i < ARRAY_SIZE(port); i++)
		outb(PIO_BASE + 2, inb(port[i]));
	outb(0x4d0, 0x18);
	GUEST_EQ(inb(0x4d0), 0x18);
	outw(PIO_BASE, 0x2222);
	GUEST_EQ(inw(0xffff) & 0xff, 0x5a);
}

/* All bits of L1's bitmaps are clear: what is not KVM's own is user space's. */
static void l0_ports(struct hv *h)
{
	hv_begin(h, l2_l0_ports, 0);
	hv_catch(h, C_DEFAULT | C_IO);
	if (hv_intel) {
		/* SDM 25.1.3: behind the last port there are no bits, but an exit */
		RUN(h, EX_IO);
		GUEST_EQ(h->port, 0xffff);
		h->regs[RAX] = 0x5a5a;
		hv_skip(h);
	}
	RUN_DONE(h);
	hv_begin(h, l2_l0_ports, 0);
	hv_catch(h, C_DEFAULT);
	RUN_DONE(h);
}

static void l2_l0_msrs(u64 arg)
{
	/* none of these exists for a guest, or only L1 may have it */
	static const u32 gone[] = { 0x12345678, 0x1fff, 0xc0001fff, 0xc0011fff, 0x40001234 };
	u64 v;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(gone); i++) {
		GUEST_EQ(rdmsr_safe(gone[i], &v), GP);
		GUEST_EQ(wrmsr_safe(gone[i], 0), GP);
	}
	if (!hv_intel) {
		/* L1's own, not the host's */
		GUEST_EQ(rdmsr(MSR_VM_HSAVE), arg);
		GUEST_EQ(wrmsr_safe(MSR_VM_HSAVE, arg + 8), GP);
		GUEST_EQ(rdmsr(MSR_EFER) & EFER_SVME, EFER_SVME);
	}
	/* what is KVM's is L1's APIC and TSC, not the host's */
	GUEST_EQ(rdmsr(MSR_APICBASE), 0xfee00900);
	GUEST_EQ(wrmsr_safe(MSR_APICBASE, BIT(60)), GP);
	GUEST_EQ(wrmsr_safe(MSR_LSTAR, NON_CANONICAL), tcg ? -1 : GP);
	GUEST_EQ(wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | BIT(63)), GP);
	hypercall(1);
}

static void l0_msrs(struct hv *h)
{
	u64 tsc = rdtsc();

	if (hv_intel) {
		/* MSRs beyond the two ranges exit always */
		u32 i;

		hv_begin(h, l2_l0_msrs, 0);
		for (i = 0; i < 3; i++) {
			hv_run(h);
			if (h->class == EX_RDMSR || h->class == EX_WRMSR) {
				hv_inject(h, EV_EXCEPTION | EV_ERROR, GP, 0, 0);
				i--;
				continue;
			}
			break;
		}
		GUEST_EQ(h->class, EX_HYPERCALL);
		hv_skip(h);
		RUN_DONE(h);
		GUEST_EQ(rdtsc() > tsc, 1);
		return;
	}
	hv_begin(h, l2_l0_msrs, h->other);
	hv_catch(h, C_DEFAULT & ~C_MSR);
	RUN(h, EX_HYPERCALL);
	hv_skip(h);
	RUN_DONE(h);
	GUEST_EQ(rdmsr(MSR_VM_HSAVE), h->other);
}

static void l2_round(u64 arg)
{
	u64 n = 0;

	for (;; n++)
		GUEST_EQ(hypercall(n), n + 1);
}

/* One runs L2, another scribbles over its VMCB or VMCS all the time. */
static void hammered(struct hv *h)
{
	u64 n = 0;

	hv_begin(h, l2_round, 0);
	while (!READ_ONCE(shared->stop)) {
		if (!hv_intel) {
			/* what the other has left there */
			VMCB64(h, VMCB_IOPM) = h->iobm;
			VMCB64(h, VMCB_MSRPM) = h->msrbm;
			VMCB32(h, VMCB_ASID) = 1;
			VMCB32(h, VMCB_MISC2) = 3;
			VMCB64(h, VMCB_NP) = 0;
			VMCB64(h, VMCB_EVENTINJ) = 0;
			VMCB64(h, VMCB_INT_CTL) = V_INTR_MASKING;
			hv_begin(h, l2_round, 0);
			hv_catch(h, C_DEFAULT | C_INTR);
			hv_exceptions(h, -1u);
		}
		hv_run(h);
		n++;
		WRITE_ONCE(shared->rounds[0], n);
		if (!hv_intel)
			continue;
		/* the VMCS is in the CPU, whatever memory says */
		if (h->class != EX_HYPERCALL)
			continue;
		GUEST_EQ(h->regs[RAX] + 1 < n + 2, 1);
		h->regs[RAX]++;
		hv_skip(h);
	}
}

static void hammer(u64 cpu)
{
	__volatile__ u32 *p = (u32 *)N_MEM;		/* that of vCPU 0 */
	u64 x = 0x2545f4914f6cdd1d;

	while (!READ_ONCE(shared->stop)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[x % 1024] = x >> 32;
		shared->rounds[cpu]++;
	}
}

/* A page that L1 names, and that is no memory. What comes of it is nobody's promise. */
static void no_memory(struct hv *h, u64 what)
{
	static const u64 at[] = { MMIO_BASE, APIC_BASE, IOAPIC_BASE, 0x8000000000ul, BIT(45) };
	u64 pa, v, i;

	user_setup();
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		pa = at[i];
		hv_begin(h, l2_ports, 0);
		hv_catch(h, C_DEFAULT | C_IO | C_INSNS);
		SYNC(i);
		if (hv_intel) {
			switch (what) {
			case 0:
				TRY("vmptrld %0", ARGS(), ARGS("m"(pa)));
				vmread_try(F_RIP, &v);
				TRY("vmlaunch", ARGS(), ARGS());
				break;
			case 1:
				TRY("vmclear %0", ARGS(), ARGS("m"(pa)));
				break;
			case 2:
				TRY("vmptrst (%0)", ARGS(), ARGS("r"(pa)));
				break;
			case 3:
				vmwrite(F_IO_A, pa);
				break;
			case 4:
				vmwrite(F_MSR_BITMAP, pa);
				break;
			case 5:
				vmwrite(0x200a, pa);
				vmwrite(F_ENTRY_LOAD, 1);
				break;
			case 6:
				vmwrite(0x2006, pa);
				vmwrite(F_EXIT_STORE, 1);
				break;
			case 7:
				vmwrite(F_LINK, pa);
				break;
			case 8:
				hv_set(h, R_CR3, pa);
				break;
			}
			if (what < 3)
				continue;
		} else {
			switch (what) {
			case 0:
				TRY("vmrun %%rax", ARGS(), ARGS("a"(pa)), "rbx", "rcx", "rdx");
				asm volatile("stgi");
				continue;
			case 1:
				TRY("vmload %%rax", ARGS(), ARGS("a"(pa)));
				continue;
			case 2:
				TRY("vmsave %%rax", ARGS(), ARGS("a"(pa)));
				continue;
			case 3:
				VMCB64(h, VMCB_IOPM) = pa;
				break;
			case 4:
				VMCB64(h, VMCB_MSRPM) = pa;
				break;
			case 5:
				wrmsr_safe(MSR_VM_HSAVE, pa);
				break;
			case 6:
				hv_set(h, R_CR3, pa);
				break;
			case 7:
				/* nested paging, of which there is none */
				VMCB64(h, VMCB_NP) = 1;
				VMCB64(h, 0xb0) = pa;
				break;
			case 8:
				hv_seg(h, R_IDTR, 0, pa, 0xfff, 0);
				hv_inject(h, EV_INTR, N_VECTOR, 0, 0);
				break;
			}
		}
		hv_run(h);
	}
}

/* ---- state, and events of user space's ------------------------------------------------------ */

static void l2_state_loop(u64 arg)
{
	u64 i;

	for (i = 1; i <= 5; i++) {
		outl(PIO_BASE, i);
		GUEST_EQ(inl(PIO_BASE), i * 3);
		GUEST_EQ(hypercall(i), i + 100);
		GUEST_EQ(TRY("ud2", ARGS(), ARGS()), UD);
	}
}

static void state(struct hv *h)
{
	int i;

	hv_begin(h, l2_state_loop, 0);
	hv_catch(h, C_DEFAULT | C_INTR);
	SYNC(1);
	for (i = 1; i <= 5; i++) {
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], i);
		h->regs[RAX] += 100;
		hv_skip(h);
		if (hv_intel) {
			u64 pa;

			asm volatile("vmptrst %0" : "=m"(pa));
			GUEST_EQ(pa, h->page);
		} else {
			GUEST_EQ(rdmsr(MSR_VM_HSAVE), h->other);
		}
		outl(PIO_BASE + 4, i);
	}
	RUN_DONE(h);
	SYNC(2);
}

/* says what it has taken, and writes to a page */
static void l2_watch(u64 arg)
{
	for (;;) {
		(*(__volatile__ u64 *)N_DIRTIED)++;
		outl(PIO_BASE, L2_TOOK(0, 2) + L2_TOOK(0, N_VECTOR));
	}
}

/* L2 goes to the host again and again; exits to L1 are told. */
static void watch(struct hv *h, u64 arg)
{
	if (!(arg & N_NO_CHIP))
		intr_setup();
	set_handler(2, on_event);
	set_handler(N_VECTOR, on_event);
	hv_catch(h, arg & N_CATCH ? C_DEFAULT | C_INTR | C_NMI : C_DEFAULT & ~C_SHUTDOWN);
	if (!hv_intel && !(arg & N_CATCH))
		VMCB32(h, VMCB_INT_CTL) = 0;
	hv_begin(h, l2_watch, 0);
	if (arg & N_IF)
		hv_set(h, R_RFLAGS, 2 | RFL_IF);
	for (;;) {
		hv_run(h);
		if (h->class == EX_INTR)
			sti_nop_cli();
		SYNC2(h->class, L1_TOOK(0, 2) + L1_TOOK(0, N_VECTOR),
		      L2_TOOK(0, 2) + L2_TOOK(0, N_VECTOR));
		if (hv_intel && h->class == EX_NMI)
			iret_here();
		if (h->class == EX_SHUTDOWN)
			hv_begin(h, l2_watch, 0);
	}
}

static void l2_mmio(u64 arg)
{
	mmio_write32(MMIO_BASE, 0x12345678);
	GUEST_EQ(mmio_read32(MMIO_BASE + 4), 0x87654321);
	asm volatile("lock orl %1, (%0)" : : "r"(MMIO_BASE + 8), "r"(0x10) : "memory");
	hypercall(arg);
}

/* Memory that is not there is user space's, in L2 as in L1. */
static void mmio(struct hv *h)
{
	int i;

	for (i = 0; i < 2; i++) {
		hv_begin(h, l2_mmio, i);
		RUN(h, EX_HYPERCALL);
		GUEST_EQ(h->regs[RAX], i);
		hv_skip(h);
		RUN_DONE(h);
		mmio_write32(MMIO_BASE, 0x11);
	}
}

/* INIT ends L2; SVM: L1 has it behind STGI */
static void init(struct hv *h)
{
	intr_setup();
	if (!hv_intel)
		VMCB32(h, VMCB_MISC1) |= BIT(3);
	h->keep_gif = 1;
	hv_begin(h, l2_watch, 0);
	hv_run(h);
	SYNC2(h->class, 0, 0);
	if (!hv_intel) {
		asm volatile("stgi; nop");
		SYNC(99);
	}
	hv_run(h);
	SYNC2(h->class, 0, 0);
}

static void l2_halted(u64 arg)
{
	for (;;) {
		sti_hlt_cli();
		hypercall(1);
	}
}

/* L2 sleeps, with interrupts that are L1's or its own */
static void halted(struct hv *h, bool catch)
{
	int i;

	intr_setup();
	hv_catch(h, (C_DEFAULT & ~C_HLT) | (catch ? C_INTR : 0));
	if (!hv_intel && !catch)
		VMCB32(h, VMCB_INT_CTL) = 0;
	hv_begin(h, l2_halted, 0);
	for (i = 1; i <= 5; i++) {
		start_timer(3000000);
		if (catch) {
			RUN(h, EX_INTR);
			sti_nop_cli();
			GUEST_EQ(L1_TOOK(0, N_TIMER), i);
			GUEST_EQ(L2_TOOK(0, N_TIMER), 0);
			/* L2's HLT is over, or begins anew */
			hv_begin(h, l2_halted, 0);
			continue;
		}
		RUN(h, EX_HYPERCALL);
		hv_skip(h);
		GUEST_EQ(L2_TOOK(0, N_TIMER), i);
		GUEST_EQ(L1_TOOK(0, N_TIMER), 0);
	}
}

/* ---- long ones ------------------------------------------------------------------------------ */

static u64 work[4][8];

static void l2_stress(u64 cpu)
{
	u64 i = 0;

	for (;;) {
		u32 a, b, c, d;

		i++;
		sti();
		work[cpu][0] = i;
		if (i % 4 == 0)
			GUEST_EQ(hypercall(i), ~i);
		if (i % 8 == 1) {
			cpuid(i, 0, &a, &b, &c, &d);
			GUEST_EQ(a, (u32)(i + 7));
		}
		if (i % 64 == 3)
			outb(PIO_BASE, i);
		if (i % 16 == 5)
			self_ipi(N_VECTOR);
		cli();
		if (i % 16 == 7)
			self_ipi(N_VECTOR);
	}
}

static void stress(struct hv *h, u64 cpu, bool catch)
{
	u64 n = 0, sent = 0;

	intr_setup();
	hv_catch(h, C_DEFAULT | (catch ? C_INTR : 0));
	if (!hv_intel && !catch)
		VMCB32(h, VMCB_INT_CTL) = 0;
	hv_begin(h, l2_stress, cpu);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0x20000 | N_TIMER);
	apic_write(APIC_TMICT, 1000000);
	while (!READ_ONCE(shared->stop)) {
		hv_run(h);
		n++;
		switch (h->class) {
		case EX_HYPERCALL:
			h->regs[RAX] = ~h->regs[RAX];
			hv_skip(h);
			break;
		case EX_CPUID:
			h->regs[RAX] = (u32)(h->regs[RAX] + 7);
			hv_skip(h);
			break;
		case EX_INTR:
			sti_nop_cli();
			break;
		default:
			GUEST_EQ(h->class | h->reason << 8, EX_HYPERCALL);
		}
		if (catch)
			GUEST_EQ(L2_TOOK(cpu, N_VECTOR) | L2_TOOK(cpu, N_TIMER), 0);
		WRITE_ONCE(shared->rounds[cpu], n);
	}
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, 0x10000);
	sti_nop_cli();
	/* what L2 has sent came, once each */
	n = READ_ONCE(work[cpu][0]);
	sent = (n + 10) / 16 + (n + 8) / 16;
	WRITE_ONCE(shared->irqs[cpu], L1_TOOK(cpu, N_VECTOR) + L2_TOOK(cpu, N_VECTOR));
	WRITE_ONCE(shared->l2_irqs[cpu], L2_TOOK(cpu, N_VECTOR));
	WRITE_ONCE(shared->exits[cpu], sent);
}

static u64 rnd_state;

static u64 rnd(void)
{
	u64 x = rnd_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	rnd_state = x;
	return x * 0x2545f4914f6cdd1d;
}

/* a number of which most bits are as they were, or a special one, or a random one */
static u64 spoiled(u64 v)
{
	switch (rnd() % 5) {
	case 0:
		return v ^ BIT(rnd() % 64);
	case 1:
		return v ^ BIT(rnd() % 64) ^ BIT(rnd() % 32);
	case 2:
		return rnd();
	case 3:
		return 0;
	default:
		return -1ul >> rnd() % 64;
	}
}

static void l2_fuzz(u64 arg)
{
	u32 a, b, c, d;

	cpuid(0, 0, &a, &b, &c, &d);
	sti_nop_cli();
	hypercall(1);
}

static void svm_spoil(struct hv *h)
{
	/* not RIP, CR3, RSP, DR7: L2's own memory is L1's, and the emulator has its limits */
	static const u16 at[] = {
		VMCB_EXC, VMCB_MISC1, VMCB_IOPM, VMCB_MSRPM, VMCB_TSC_OFFSET, VMCB_ASID,
		VMCB_INT_CTL, VMCB_SHADOW, VMCB_EXITINTINFO, VMCB_EVENTINJ,
		VMCB_CR0, VMCB_CR4, VMCB_EFER, VMCB_RFLAGS, VMCB_CR2, VMCB_PAT,
		0x98, 0xa0, 0xb0, 0xc0,
		0x400, 0x410, 0x420, 0x490, 0x470, 0x4c8, VMCB_CR_READ, VMCB_DR_READ,
	};
	int n = 1 + rnd() % 3;

	while (n--) {
		u32 i = rnd() % ARRAY_SIZE(at);

		VMCB64(h, at[i]) = spoiled(VMCB64(h, at[i]));
	}
	/* L2 comes back */
	VMCB32(h, VMCB_MISC1) |= BIT(0) | BIT(24) | BIT(31) | BIT(18);
	VMCB32(h, VMCB_MISC2) |= 2;
	VMCB32(h, VMCB_EXC) |= BIT(UD) | BIT(GP) | BIT(PF);
	VMCB64(h, VMCB_INT_CTL) |= V_INTR_MASKING;
}

static void vmx_spoil(struct hv *h)
{
	static const u16 at[] = {
		F_PIN, F_PROC, F_EXC, F_PF_MASK, F_CR3_COUNT, F_EXIT, F_ENTRY, F_INJECT,
		F_INJECT_ERR, F_INJECT_LEN, F_IO_A, F_MSR_BITMAP, F_TSC_OFFSET, F_LINK,
		F_CR0_MASK, F_CR4_MASK, F_CR0_SHADOW, F_CR0, F_CR4, F_RFLAGS, F_INTERRUPTIBILITY,
		F_ACTIVITY, F_PENDING_DBG, F_ES_AR, F_ES_AR + 2, F_ES_AR + 4, F_ES_AR + 12,
		F_ES_AR + 14, F_ES_SEL + 2, F_ES_LIMIT, F_ES_BASE + 2, F_HOST_ES_SEL,
		F_HOST_ES_SEL + 4, F_HOST_CR4, 0x401e /* secondary controls */, 0x201a,
		F_ENTRY_LOAD, F_EXIT_STORE, F_EXIT_LOAD, 0x2006, 0x2008, 0x200a,
	};
	int n = 1 + rnd() % 3;
	u64 v;

	while (n--) {
		u32 i = rnd() % ARRAY_SIZE(at);

		/* not all of them exist */
		if (!vmread_try(at[i], &v))
			vmwrite_try(at[i], spoiled(v));
	}
	if (!vmread_try(F_PIN, &v))
		vmwrite(F_PIN, v | 1);
	/* HLT, and not into a state of activity from which nothing wakes */
	if (!vmread_try(F_PROC, &v))
		vmwrite(F_PROC, v | BIT(7));
}

static void fuzz(struct hv *h, u64 from)
{
	u64 i, keep_cr4 = hv_intel ? vmread(F_HOST_CR4) : 0;
	u32 j;

	intr_setup();
	for (j = 0; j < 32; j++)
		set_handler(j, on_event);
	for (i = from; !READ_ONCE(shared->stop); i++) {
		rnd_state = (i + 1) * 0x9e3779b97f4a7c15;
		WRITE_ONCE(shared->entered, i);
		if (!hv_intel) {
			memset((void *)h->page, 0, 4096);
			svm_init(h);
			hv_seg(h, R_TR, SEL_TSS, GUEST_TSS, 103, 0x8b);
			hv_catch(h, C_DEFAULT | C_INTR);
		} else {
			VMX_PTR_INSN("vmclear", h->page);
			memset((void *)h->page, 0, 4096);
			asm volatile("vmxoff");
			hv_init(h, h->page, 0);
			h->launched = 0;
			hv_catch(h, C_DEFAULT | C_INTR);
			vmwrite(F_HOST_CR4, keep_cr4);
		}
		hv_begin(h, l2_fuzz, 0);
		if (hv_intel)
			vmx_spoil(h);
		else
			svm_spoil(h);
		/* an L2 that spins is interrupted */
		start_timer(20000000);
		hv_run(h);
		apic_write(APIC_TMICT, 0);
		sti_nop_cli();
		WRITE_ONCE(shared->returned, READ_ONCE(shared->returned) + 1);
		if (h->class == EX_INVALID || h->class == EX_VMFAIL)
			WRITE_ONCE(shared->refused, READ_ONCE(shared->refused) + 1);
	}
}

void guest_main(u64 test, u64 arg0, u64 arg1)
{
	u64 cpu = N_CPU(arg0);
	struct hv *h = &hvs[cpu];

	if (test == N_HAMMER) {
		hammer(cpu);
		return;
	}
	tcg = arg0 & N_TCG;
	hv_init(h, N_MEM + cpu * N_MEM_SIZE, cpu);
	switch (test) {
	case N_EXITS:
		exits(h);
		break;
	case N_PORTS:
		ports(h);
		break;
	case N_MSRS:
		msrs(h);
		break;
	case N_MOVES:
		moves(h);
		break;
	case N_CONTROL:
		control_registers(h);
		break;
	case N_TSC:
		tsc_offset(h);
		break;
	case N_INSNS:
		insns(h);
		break;
	case N_AREAS:
		msr_areas(h);
		break;
	case N_TABLES:
		tables(h);
		break;
	case N_MODES:
		modes(h);
		break;
	case N_REGISTERS:
		registers(h);
		break;
	case N_EXCEPTIONS:
		exceptions(h);
		break;
	case N_OWN_EXCEPTIONS:
		own_exceptions(h);
		break;
	case N_INJECTED:
		injected(h);
		break;
	case N_DOUBLE_FAULT:
		double_fault(h);
		break;
	case N_SHUTDOWN:
		shutdown(h);
		break;
	case N_INTR_EXIT:
		intr_exit(h);
		break;
	case N_TIMER_EXIT:
		timer_exit(h);
		break;
	case N_INTR_OWN:
		intr_own(h);
		break;
	case N_NMI_EXIT:
		nmi_exit(h);
		break;
	case N_WINDOW:
		window(h);
		break;
	case N_MASKED:
		masked(h);
		break;
	case N_MASKED_ON:
		masked_on(h);
		break;
	case N_GIF:
		gif(h);
		break;
	case N_VIRTUAL:
		virtual(h);
		break;
	case N_ACK:
		ack(h);
		break;
	case N_BAD_STATE:
		bad_state(h);
		break;
	case N_BAD_CONTROLS:
		bad_controls(h);
		break;
	case N_BAD_HOST:
		bad_host(h);
		break;
	case N_FIELDS:
		fields(h);
		break;
	case N_POINTERS:
		pointers(h);
		break;
	case N_PRIVILEGES:
		privileges(h);
		break;
	case N_OFF:
		off(h);
		break;
	case N_GIF_OFF:
		gif_off(h);
		break;
	case N_L0_PORTS:
		l0_ports(h);
		break;
	case N_L0_MSRS:
		l0_msrs(h);
		break;
	case N_NO_MEMORY:
		no_memory(h, arg1);
		break;
	case N_HAMMERED:
		hammered(h);
		break;
	case N_STATE:
		state(h);
		break;
	case N_WATCH:
		watch(h, arg0);
		break;
	case N_MMIO:
		mmio(h);
		break;
	case N_INIT:
		init(h);
		break;
	case N_HALTED:
		halted(h, arg0 & N_CATCH);
		break;
	case N_STRESS:
		stress(h, cpu, arg0 & N_CATCH);
		break;
	case N_FUZZ:
		fuzz(h, arg1);
		break;
	}
}
