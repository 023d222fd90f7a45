// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small hypervisor, for a guest that has VMX. L2 is a function of it with a stack of its
 * own, in the same memory with the same tables; its reports reach the host as L1's do.
 * Intel SDM vol. 3, chapters 24 to 31. Tests: nvmx.h
 */
#include "guest.h"
#include "nvmx.h"

#define MSR_FEATURE_CONTROL	0x3a
#define MSR_PAT			0x277
#define MSR_VMX(n)		(0x480 + (n))

#define VMXON_REGION	(GUEST_DATA + 0x0000)
#define VMCS		(GUEST_DATA + 0x1000)
#define MSR_MAP		(GUEST_DATA + 0x2000)
#define IO_MAP_A	(GUEST_DATA + 0x3000)
#define IO_MAP_B	(GUEST_DATA + 0x4000)
#define MSR_LIST	(GUEST_DATA + 0x5000)
#define L2_STACK	(GUEST_DATA + 0x8000)	/* its end */
#define SHADOW		(GUEST_DATA + 0x8000)
#define FIELD_MAP	(GUEST_DATA + 0x9000)

/* fields */
#define F_PIN		0x4000
#define F_CPU		0x4002
#define F_EXC		0x4004
#define F_PF_MASK	0x4006
#define F_PF_MATCH	0x4008
#define F_CR3_COUNT	0x400a
#define F_EXIT		0x400c
#define F_STORE_COUNT	0x400e
#define F_LOAD_COUNT	0x4010
#define F_ENTRY		0x4012
#define F_ENTRY_COUNT	0x4014
#define F_INJECT	0x4016
#define F_INJECT_ERR	0x4018
#define F_INJECT_LEN	0x401a
#define F_CPU2		0x401e
#define F_ERROR		0x4400
#define F_REASON	0x4402
#define F_INTR		0x4404
#define F_INTR_ERR	0x4406
#define F_VECTORING	0x4408
#define F_LEN		0x440c
#define F_BLOCKED	0x4824
#define F_ACTIVITY	0x4826
#define F_IO_A		0x2000
#define F_IO_B		0x2002
#define F_MSR_MAP	0x2004
#define F_STORE_ADDR	0x2006
#define F_LOAD_ADDR	0x2008
#define F_ENTRY_ADDR	0x200a
#define F_TSC_OFFSET	0x2010
#define F_READ_MAP	0x2026
#define F_WRITE_MAP	0x2028
#define F_LINK		0x2800
#define F_CR0_MASK	0x6000
#define F_CR4_MASK	0x6002
#define F_CR0_SHADOW	0x6004
#define F_CR4_SHADOW	0x6006
#define F_CR3_TARGET	0x6008
#define F_QUAL		0x6400
#define F_GUEST_CR0	0x6800
#define F_GUEST_CR3	0x6802
#define F_GUEST_CR4	0x6804
#define F_GUEST_DR7	0x681a
#define F_GUEST_RSP	0x681c
#define F_GUEST_RIP	0x681e
#define F_GUEST_RFLAGS	0x6820
#define F_HOST_CR0	0x6c00
#define F_HOST_CR3	0x6c02
#define F_HOST_CR4	0x6c04
#define F_HOST_RSP	"0x6c14"
#define F_HOST_RIP	"0x6c16"

#define PIN_INTR	BIT(0)
#define PIN_NMI		BIT(3)
#define PIN_VNMI	BIT(5)
#define CPU_INTR_WINDOW	BIT(2)
#define CPU_TSC_OFFSET	BIT(3)
#define CPU_HLT		BIT(7)
#define CPU_INVLPG	BIT(9)
#define CPU_RDTSC	BIT(12)
#define CPU_CR3_LOAD	BIT(15)
#define CPU_CR3_STORE	BIT(16)
#define CPU_NMI_WINDOW	BIT(22)
#define CPU_MOV_DR	BIT(23)
#define CPU_IO		BIT(24)
#define CPU_IO_MAPS	BIT(25)
#define CPU_MSR_MAPS	BIT(28)
#define CPU_PAUSE	BIT(30)
#define CPU_SECONDARY	BIT(31)
#define CPU2_RDTSCP	BIT(3)
#define CPU2_WBINVD	BIT(6)
#define CPU2_SHADOW	BIT(14)
#define EXIT_64		BIT(9)
#define EXIT_ACK	BIT(15)
#define EXIT_SAVE_PAT	BIT(18)
#define EXIT_LOAD_PAT	BIT(19)
#define ENTRY_64	BIT(9)
#define ENTRY_LOAD_PAT	BIT(14)

#define INFO_VALID	0x80000000u
#define INFO_NMI	0x200
#define INFO_EXC	0x300
#define INFO_SOFT	0x400
#define INFO_ERR	0x800

#define R_EXC		0
#define R_INTR		1
#define R_TRIPLE	2
#define R_INIT		3
#define R_INTR_WINDOW	7
#define R_NMI_WINDOW	8
#define R_CPUID		10
#define R_HLT		12
#define R_INVLPG	14
#define R_RDTSC		16
#define R_VMCALL	18
#define R_VMREAD	23
#define R_CR		28
#define R_DR		29
#define R_IO		30
#define R_RDMSR		31
#define R_WRMSR		32
#define R_INVALID	(0x80000000ul | 33)
#define R_MSR_LOAD	(0x80000000ul | 34)
#define R_PAUSE		40
#define R_WBINVD	54

#define CR0_TS		BIT(3)
#define CR0_NE		BIT(5)
#define CR0_WP		BIT(16)
#define CR4_VMXE	BIT(13)
#define CR4_TSD		BIT(2)
#define CR4_DE		BIT(3)
#define RFLAGS_IF	BIT(9)

#define VEC		0x41

struct list_entry {
	u32 index, reserved;
	u64 value;
};

/* ---- instructions ------------------------------------------------------------ */

/* 0, or: 1 without a number, else 2 + the number */
#define VMX_INSN(insn, ...) ({						\
	u8 __cf, __zf;							\
	asm volatile(insn "; setc %0; setz %1"				\
		     : "=q"(__cf), "=q"(__zf) : __VA_ARGS__ : "cc", "memory"); \
	__cf ? 1 : __zf ? 2 + vmread(F_ERROR) : 0; })

static u64 vmread(u64 field)
{
	u64 v = 0;

	asm volatile("vmread %1, %0" : "+r"(v) : "r"(field) : "cc", "memory");
	return v;
}

static u64 try_vmread(u64 field)
{
	u64 v;

	return VMX_INSN("vmread %2, %3", "r"(field), "m"(v));
}

static u64 try_vmwrite(u64 field, u64 v)
{
	return VMX_INSN("vmwrite %2, %3", "m"(v), "r"(field));
}

static void vmwrite(u64 field, u64 v)
{
	GUEST_EQ(VMX_INSN("vmwrite %2, %3", "r"(v), "r"(field)) << 32 | field, field);
}

static u64 vmxon(u64 pa) { return VMX_INSN("vmxon %2", "m"(pa)); }
static u64 vmclear(u64 pa) { return VMX_INSN("vmclear %2", "m"(pa)); }
static u64 vmptrld(u64 pa) { return VMX_INSN("vmptrld %2", "m"(pa)); }

static u64 vmptrst(void)
{
	u64 pa = 1;

	asm volatile("vmptrst %0" : "=m"(pa) : : "cc", "memory");
	return pa;
}

#define CR(n) ({ u64 __v; asm volatile("mov %%cr" #n ", %0" : "=r"(__v) : : "memory"); __v; })
#define SET_CR(n, v) ({ asm volatile("mov %0, %%cr" #n : : "r"((u64)(v)) : "memory"); })

static void clear(u64 page)
{
	u64 n = 0x1000;

	asm volatile("rep stosb" : "+D"(page), "+c"(n) : "a"(0) : "memory");
}

/* ---- L2 ---------------------------------------------------------------------- */

u64 l2_rax, l2_rbx, l2_rcx, l2_rdx;
u64 l2_gprs[11];	/* the others, but RSP */

/* 0, 1 or 2 + error as above */
static noinline __attribute__((__naked__)) u64 l2_enter(u64 launch)
{
	asm("push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	    "mov $" F_HOST_RSP ", %eax; vmwrite %rsp, %rax\n"
	    "lea 4f(%rip), %rcx; mov $" F_HOST_RIP ", %eax; vmwrite %rcx, %rax\n"
	    "test %rdi, %rdi\n"
	    "mov l2_rax(%rip), %rax; mov l2_rbx(%rip), %rbx\n"
	    "mov l2_rcx(%rip), %rcx; mov l2_rdx(%rip), %rdx\n"
	    "mov l2_gprs + 0(%rip), %rsi; mov l2_gprs + 8(%rip), %rdi\n"
	    "mov l2_gprs + 16(%rip), %rbp; mov l2_gprs + 24(%rip), %r8\n"
	    "mov l2_gprs + 32(%rip), %r9; mov l2_gprs + 40(%rip), %r10\n"
	    "mov l2_gprs + 48(%rip), %r11; mov l2_gprs + 56(%rip), %r12\n"
	    "mov l2_gprs + 64(%rip), %r13; mov l2_gprs + 72(%rip), %r14\n"
	    "mov l2_gprs + 80(%rip), %r15\n"
	    "jz 1f\n"
	    "vmlaunch\n"
	    "jmp 2f\n"
	    "1: vmresume\n"
	    "2: mov $1, %eax\n"
	    "jc 3f\n"
	    "mov $0x4400, %ecx; vmread %rcx, %rax; add $2, %rax\n"
	    "jmp 3f\n"
	    /* an exit comes here */
	    "4: mov %rax, l2_rax(%rip); mov %rbx, l2_rbx(%rip)\n"
	    "mov %rcx, l2_rcx(%rip); mov %rdx, l2_rdx(%rip)\n"
	    "mov %rsi, l2_gprs + 0(%rip); mov %rdi, l2_gprs + 8(%rip)\n"
	    "mov %rbp, l2_gprs + 16(%rip); mov %r8, l2_gprs + 24(%rip)\n"
	    "mov %r9, l2_gprs + 32(%rip); mov %r10, l2_gprs + 40(%rip)\n"
	    "mov %r11, l2_gprs + 48(%rip); mov %r12, l2_gprs + 56(%rip)\n"
	    "mov %r13, l2_gprs + 64(%rip); mov %r14, l2_gprs + 72(%rip)\n"
	    "mov %r15, l2_gprs + 80(%rip)\n"
	    "xor %eax, %eax\n"
	    "3: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	    "ret\n");
}

static u32 revision(void)
{
	return rdmsr(MSR_VMX(0));
}

static void enable(void)
{
	u64 fc = rdmsr(MSR_FEATURE_CONTROL);

	SET_CR(0, CR(0) | CR0_NE);
	SET_CR(4, CR(4) | CR4_VMXE);
	if (!(fc & 1))
		wrmsr(MSR_FEATURE_CONTROL, fc | 5);
	*(u32 *)VMXON_REGION = revision();
	*(u32 *)VMCS = revision();
}

/* the base of the task register, which has to be a good one */
static u64 tr_base(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed gdtr;
	u16 tr;
	u8 *d;

	asm volatile("sgdt %0" : "=m"(gdtr));
	asm volatile("str %0" : "=r"(tr));
	d = (u8 *)gdtr.base + (tr & ~7);
	if (!tr)
		return 0;
	return d[2] | d[3] << 8 | (u64)d[4] << 16 | (u64)d[7] << 24 | (u64)*(u32 *)(d + 8) << 32;
}

static u64 ones(u32 msr)
{
	return (u32)rdmsr(msr);
}

static void set_segments(void)
{
	static const u16 data[] = { 0, 4, 6, 8, 10 };	/* ES SS DS FS GS */
	struct {
		u16 limit;
		u64 base;
	} __packed dt;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(data); i++) {
		vmwrite(0x800 + data[i], SEL_DATA);
		vmwrite(0xc00 + data[i], SEL_DATA);
		vmwrite(0x4800 + data[i], 0xffffffff);
		vmwrite(0x4814 + data[i], 0xc093);
		vmwrite(0x6806 + data[i], 0);
	}
	vmwrite(0x802, SEL_CODE64);
	vmwrite(0xc02, SEL_CODE64);
	vmwrite(0x4802, 0xffffffff);
	vmwrite(0x4816, 0xa09b);
	vmwrite(0x6808, 0);
	vmwrite(0x80c, 0);
	vmwrite(0x480c, 0);
	vmwrite(0x4820, 0x10000);
	vmwrite(0x6812, 0);
	vmwrite(0x80e, SEL_TSS);
	vmwrite(0xc0c, SEL_TSS);
	vmwrite(0x480e, 0x67);
	vmwrite(0x4822, 0x8b);
	vmwrite(0x6814, tr_base());
	vmwrite(0x6c0a, tr_base());
	vmwrite(0x6c06, 0);
	vmwrite(0x6c08, 0);
	asm volatile("sgdt %0" : "=m"(dt));
	vmwrite(0x4810, dt.limit);
	vmwrite(0x6816, dt.base);
	vmwrite(0x6c0c, dt.base);
	asm volatile("sidt %0" : "=m"(dt));
	vmwrite(0x4812, dt.limit);
	vmwrite(0x6818, dt.base);
	vmwrite(0x6c0e, dt.base);
}

/* into VMX operation, with a VMCS that has nothing on that need not be */
static void setup(void)
{
	enable();
	GUEST_EQ(vmxon(VMXON_REGION), 0);
	GUEST_EQ(vmclear(VMCS), 0);
	GUEST_EQ(vmptrld(VMCS), 0);

	vmwrite(F_PIN, ones(MSR_VMX(0xd)));
	vmwrite(F_CPU, ones(MSR_VMX(0xe)) | CPU_SECONDARY | CPU_MSR_MAPS);
	vmwrite(F_CPU2, 0);
	vmwrite(F_EXIT, ones(MSR_VMX(0xf)) | EXIT_64);
	vmwrite(F_ENTRY, ones(MSR_VMX(0x10)) | ENTRY_64);
	vmwrite(F_EXC, 0);
	vmwrite(F_PF_MASK, 0);
	vmwrite(F_PF_MATCH, 0);
	vmwrite(F_CR3_COUNT, 0);
	vmwrite(F_STORE_COUNT, 0);
	vmwrite(F_LOAD_COUNT, 0);
	vmwrite(F_ENTRY_COUNT, 0);
	vmwrite(F_INJECT, 0);
	vmwrite(F_MSR_MAP, MSR_MAP);
	vmwrite(F_IO_A, IO_MAP_A);
	vmwrite(F_IO_B, IO_MAP_B);
	vmwrite(F_LINK, ~0ul);
	vmwrite(0x2802, 0);	/* IA32_DEBUGCTL */
	vmwrite(F_CR0_MASK, 0);
	vmwrite(F_CR4_MASK, 0);
	vmwrite(F_CR0_SHADOW, CR(0));
	vmwrite(F_CR4_SHADOW, CR(4));
	vmwrite(F_GUEST_CR0, CR(0));
	vmwrite(F_GUEST_CR3, CR(3));
	vmwrite(F_GUEST_CR4, CR(4));
	vmwrite(F_HOST_CR0, CR(0));
	vmwrite(F_HOST_CR3, CR(3));
	vmwrite(F_HOST_CR4, CR(4));
	vmwrite(F_GUEST_DR7, 0x400);
	vmwrite(F_GUEST_RFLAGS, 2);
	vmwrite(F_GUEST_RSP, L2_STACK - 8);
	vmwrite(0x6822, 0);	/* pending debug exceptions */
	vmwrite(F_BLOCKED, 0);
	vmwrite(F_ACTIVITY, 0);
	vmwrite(0x482a, 0);	/* SYSENTER MSRs */
	vmwrite(0x6824, 0);
	vmwrite(0x6826, 0);
	vmwrite(0x4c00, 0);
	vmwrite(0x6c10, 0);
	vmwrite(0x6c12, 0);
	set_segments();
}

static bool launched;

/* L2 goes on; the exit reason */
static u64 go_on(void)
{
	GUEST_EQ(l2_enter(!launched), 0);
	launched = true;
	return vmread(F_REASON);
}

static u64 start(void (*fn)(void))
{
	vmwrite(F_GUEST_RSP, L2_STACK - 8);
	vmwrite(F_GUEST_RIP, (u64)fn);
	return go_on();
}

static u64 skip(void)
{
	vmwrite(F_GUEST_RIP, vmread(F_GUEST_RIP) + vmread(F_LEN));
	return go_on();
}

static void add(u64 field, u64 bits) { vmwrite(field, vmread(field) | bits); }
static void take(u64 field, u64 bits) { vmwrite(field, vmread(field) & ~bits); }

static noinline void vmcall(u64 a)
{
	asm volatile("vmcall" : : "a"(a) : "memory");
}

/* ---- instructions and their errors ------------------------------------------- */

static void l2_vmcall(void)
{
	for (;;)
		vmcall(0x11);
}

static void errors(void)
{
	u64 pa = VMXON_REGION;

	GUEST_EQ(TRY("vmptrst %0", ARGS("=m"(pa)), ARGS()), 6);
	enable();
	GUEST_EQ(TRY("vmptrst %0", ARGS("=m"(pa)), ARGS()), 6);
	pa = VMXON_REGION;
	SET_CR(4, CR(4) & ~CR4_VMXE);
	GUEST_EQ(TRY("vmxon %0", ARGS(), ARGS("m"(pa))), 6);
	SET_CR(4, CR(4) | CR4_VMXE);
	GUEST_EQ(vmxon(VMXON_REGION + 1), 1);
	*(u32 *)VMXON_REGION = revision() + 1;
	GUEST_EQ(vmxon(VMXON_REGION), 1);
	*(u32 *)VMXON_REGION = revision();
	GUEST_EQ(vmxon(VMXON_REGION), 0);
	/* in VMX operation some bits are fixed */
	GUEST_EQ(TRY("mov %0, %%cr4", ARGS(), ARGS("r"(CR(4) & ~CR4_VMXE))), 13);
	GUEST_EQ(TRY("mov %0, %%cr0", ARGS(), ARGS("r"(CR(0) & ~CR0_NE))), 13);

	GUEST_EQ(vmptrst(), ~0ul);
	GUEST_EQ(vmxon(VMXON_REGION), 1);
	GUEST_EQ(try_vmread(F_PIN), 1);
	GUEST_EQ(l2_enter(1), 1);
	GUEST_EQ(vmclear(VMCS), 0);
	*(u32 *)VMCS = revision() + 1;
	GUEST_EQ(vmptrld(VMCS), 1);
	*(u32 *)VMCS = revision();
	GUEST_EQ(vmptrld(VMCS), 0);
	GUEST_EQ(vmptrst(), VMCS);
	GUEST_EQ(vmxon(VMXON_REGION), 2 + 15);
	GUEST_EQ(vmclear(VMCS + 1), 2 + 2);
	GUEST_EQ(vmclear(1ul << 60), 2 + 2);
	GUEST_EQ(vmclear(VMXON_REGION), 2 + 3);
	GUEST_EQ(vmptrld(VMCS + 8), 2 + 9);
	GUEST_EQ(vmptrld(VMXON_REGION), 2 + 10);
	*(u32 *)SHADOW = revision() + 1;
	GUEST_EQ(vmptrld(SHADOW), 2 + 11);
	GUEST_EQ(try_vmread(0x7ffe), 2 + 12);
	GUEST_EQ(try_vmread(1ul << 32 | F_PIN), 2 + 12);
	GUEST_EQ(try_vmwrite(0x5ffe, 0), 2 + 12);
	if (!(rdmsr(MSR_VMX(5)) & BIT(29)))
		GUEST_EQ(try_vmwrite(F_REASON, 0), 2 + 13);
	/* halves of a 64-bit field */
	vmwrite(F_TSC_OFFSET, 0x1122334455667788);
	GUEST_EQ(vmread(F_TSC_OFFSET + 1), 0x11223344);
	vmwrite(F_TSC_OFFSET + 1, 0x99aabbcc);
	GUEST_EQ(vmread(F_TSC_OFFSET), 0x99aabbcc55667788);
	/* the content survives VMCLEAR and VMPTRLD */
	GUEST_EQ(vmclear(VMCS), 0);
	GUEST_EQ(vmptrst(), ~0ul);
	GUEST_EQ(vmptrld(VMCS), 0);
	GUEST_EQ(vmread(F_TSC_OFFSET), 0x99aabbcc55667788);
	GUEST_EQ(vmclear(VMCS), 0);
	asm volatile("vmxoff" : : : "cc");
	GUEST_EQ(TRY("vmptrst %0", ARGS("=m"(pa)), ARGS()), 6);
	SET_CR(4, CR(4) & ~CR4_VMXE);

	setup();
	vmwrite(F_GUEST_RIP, (u64)l2_vmcall);
	GUEST_EQ(l2_enter(0), 2 + 5);
	GUEST_EQ(l2_enter(1), 0);
	GUEST_EQ(vmread(F_REASON), R_VMCALL);
	GUEST_EQ(vmread(F_LEN), 3);
	GUEST_EQ(l2_rax, 0x11);
	GUEST_EQ(l2_enter(1), 2 + 4);
	launched = true;
	GUEST_EQ(skip(), R_VMCALL);
}

/* A field with a bad value: what the entry says; or what the exit says */
static void bad(u32 field, u64 val, u64 error)
{
	u64 old = vmread(field);

	vmwrite(field, val);
	GUEST_EQ(l2_enter(!launched) << 32 | field, error << 32 | field);
	vmwrite(field, old);
}

static void bad_guest(u32 field, u64 val, u64 qual)
{
	bad(field, val, 0);
	GUEST_EQ(vmread(F_REASON) << 32 | field, R_INVALID << 32 | field);
	GUEST_EQ(vmread(F_QUAL) << 32 | field, qual << 32 | field);
}

static void checks(void)
{
	setup();
	vmwrite(F_GUEST_RIP, (u64)l2_vmcall);
	/* controls: what must be one, what does not exist */
	bad(F_PIN, 0, 2 + 7);
	bad(F_PIN, vmread(F_PIN) | BIT(30), 2 + 7);
	bad(F_PIN, vmread(F_PIN) | PIN_VNMI, 2 + 7);
	bad(F_CPU, vmread(F_CPU) | BIT(0), 2 + 7);
	bad(F_CPU, vmread(F_CPU) | CPU_NMI_WINDOW, 2 + 7);
	bad(F_CPU2, BIT(31), 2 + 7);
	bad(F_EXIT, vmread(F_EXIT) | BIT(30), 2 + 7);
	bad(F_ENTRY, vmread(F_ENTRY) | BIT(30), 2 + 7);
	bad(F_CR3_COUNT, 5, 2 + 7);
	bad(F_MSR_MAP, MSR_MAP + 8, 2 + 7);
	bad(F_MSR_MAP, 1ul << 60, 2 + 7);
	bad(F_INJECT, INFO_VALID | INFO_EXC | 32, 2 + 7);
	bad(F_INJECT, INFO_VALID | INFO_EXC | 13, 2 + 7);
	bad(F_INJECT, INFO_VALID | INFO_EXC | INFO_ERR | 6, 2 + 7);
	bad(F_INJECT, INFO_VALID | INFO_NMI | 3, 2 + 7);
	/* host state */
	bad(F_HOST_CR0, CR(0) & ~CR0_NE, 2 + 8);
	bad(F_HOST_CR4, CR(4) & ~CR4_VMXE, 2 + 8);
	bad(F_HOST_CR3, 1ul << 60, 2 + 8);
	bad(F_EXIT, vmread(F_EXIT) & ~EXIT_64, 2 + 8);
	bad(0xc02, 0, 2 + 8);
	bad(0xc0c, 0, 2 + 8);
	bad(0xc02, SEL_CODE64 | 3, 2 + 8);
	bad(0x6c06, 1ul << 60, 2 + 8);
	/* guest state */
	bad_guest(F_GUEST_CR0, CR(0) & ~BIT(31), 0);
	bad_guest(F_GUEST_CR4, CR(4) & ~CR4_VMXE, 0);
	bad_guest(F_GUEST_CR4, CR(4) | BIT(31), 0);
	bad_guest(F_GUEST_RFLAGS, 0, 0);
	bad_guest(F_GUEST_RIP, 1ul << 60, 0);
	bad_guest(0x4816, 0xa093, 0);
	bad_guest(0x4822, 0x10000, 0);
	bad_guest(0x6808, 1ul << 40, 0);
	bad_guest(0x4810, 0x10000, 0);
	bad_guest(F_ACTIVITY, 7, 0);
	bad_guest(F_BLOCKED, 3, 0);
	bad_guest(F_BLOCKED, 1, 0);
	bad_guest(F_LINK, VMXON_REGION + 1, 4);
	/* none of it has counted as a launch */
	GUEST_EQ(l2_enter(0), 2 + 5);
	GUEST_EQ(go_on(), R_VMCALL);
}

/* ---- exits ------------------------------------------------------------------- */

static void l2_insns(void)
{
	u32 a, b, c, d;

	cpuid(1, 0, &a, &b, &c, &d);
	vmcall(1);
	asm volatile("pause");
	vmcall(2);
	asm volatile("wbinvd" : : : "memory");
	vmcall(3);
	asm volatile("invlpg (%0)" : : "r"(0x400000ul) : "memory");
	vmcall(4);
	asm volatile("mov %%dr7, %0" : "=r"(*(u64 *)GUEST_SHARED));
	vmcall(5);
	rdtsc();
	vmcall(6);
	vmcall(TRY("rdtscp", ARGS(), ARGS(), "rax", "rcx", "rdx"));
	vmcall(TRY("rdtscp", ARGS(), ARGS(), "rax", "rcx", "rdx"));
	asm volatile("vmread %0, %0" : : "r"(0ul) : "cc");
}

static void wants(u64 call)
{
	GUEST_EQ(vmread(F_REASON), R_VMCALL);
	GUEST_EQ(l2_rax, call);
}

static void insns(void)
{
	setup();
	GUEST_EQ(start(l2_insns), R_CPUID);
	GUEST_EQ(vmread(F_LEN), 2);
	GUEST_EQ(l2_rax, 1);
	skip();
	wants(1);
	/* without the control it is L2's own business */
	skip();
	wants(2);
	skip();
	wants(3);
	skip();
	wants(4);
	skip();
	wants(5);
	skip();
	wants(6);
	add(F_CPU, CPU_PAUSE | CPU_INVLPG | CPU_MOV_DR | CPU_RDTSC);
	add(F_CPU2, CPU2_WBINVD);
	GUEST_EQ(start(l2_insns), R_CPUID);
	skip();
	wants(1);
	GUEST_EQ(skip(), R_PAUSE);
	skip();
	wants(2);
	GUEST_EQ(skip(), R_WBINVD);
	skip();
	wants(3);
	GUEST_EQ(skip(), R_INVLPG);
	GUEST_EQ(vmread(F_QUAL), 0x400000);
	skip();
	wants(4);
	GUEST_EQ(skip(), R_DR);
	GUEST_EQ(vmread(F_QUAL) & 0x1f, 0x17);
	skip();
	wants(5);
	GUEST_EQ(skip(), R_RDTSC);
	skip();
	wants(6);
	/* an instruction that L1 withholds */
	take(F_CPU, CPU_RDTSC);
	skip();
	wants(6);
	GUEST_EQ(l2_rax, 6);
	add(F_CPU2, CPU2_RDTSCP);
	skip();
	wants(~0ul);
	GUEST_EQ(skip(), R_VMREAD);
}

static void l2_msrs(void)
{
	wrmsr(0x174, 0x77);
	vmcall(rdmsr(0x174));
	vmcall(rdmsr(0xc0000080));
	wrmsr(0xc0000081, 0x5555);
	vmcall(rdmsr(0x40000000 + 0x100) & 0);
}

static void msrs(void)
{
	u8 *map = (u8 *)MSR_MAP;

	setup();
	GUEST_EQ(start(l2_msrs), R_VMCALL);
	GUEST_EQ(l2_rax, 0x77);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(l2_rax, rdmsr(0xc0000080));
	/* neither range: always */
	GUEST_EQ(skip(), R_RDMSR);
	GUEST_EQ(l2_rcx, 0x40000100);
	map[0x174 / 8] |= 1 << (0x174 & 7);
	map[0x400 + 0x80 / 8] |= 1;
	map[0xc00 + 0x81 / 8] |= 2;
	GUEST_EQ(start(l2_msrs), R_RDMSR);
	GUEST_EQ(l2_rcx, 0x174);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(skip(), R_RDMSR);
	GUEST_EQ(l2_rcx, 0xc0000080);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(skip(), R_WRMSR);
	GUEST_EQ(l2_rcx, 0xc0000081);
	GUEST_EQ(l2_rax, 0x5555);
	map[0x800 + 0x174 / 8] |= 1 << (0x174 & 7);
	GUEST_EQ(start(l2_msrs), R_WRMSR);
	/* without a map: all */
	clear(MSR_MAP);
	take(F_CPU, CPU_MSR_MAPS);
	GUEST_EQ(start(l2_msrs), R_WRMSR);
	/* SYSENTER_CS is what L1 loads, not what L2 wrote */
	GUEST_EQ(rdmsr(0x174), 0);
}

static void l2_ports(void)
{
	inb(0x5100);
	outw(0x7fff, 0x1234);
	inl(0xffff);
	vmcall(1);
}

static void ports(void)
{
	u8 *a = (u8 *)IO_MAP_A, *b = (u8 *)IO_MAP_B;

	setup();
	add(F_CPU, CPU_IO);
	GUEST_EQ(start(l2_ports), R_IO);
	GUEST_EQ(vmread(F_QUAL), 0x5100ul << 16 | 8);
	GUEST_EQ(vmread(F_LEN), 1);
	/* the maps decide when there are some */
	add(F_CPU, CPU_IO_MAPS);
	a[0x5100 / 8] = 1;
	b[0] = 1;
	GUEST_EQ(start(l2_ports), R_IO);
	GUEST_EQ(vmread(F_QUAL) >> 16, 0x5100);
	GUEST_EQ(skip(), R_IO);
	GUEST_EQ(vmread(F_QUAL), 0x7ffful << 16 | 1);
	/* beyond the last port */
	GUEST_EQ(skip(), R_IO);
	GUEST_EQ(vmread(F_QUAL), 0xfffful << 16 | 8 | 3);
	skip();
	wants(1);
}

static void l2_crs(void)
{
	vmcall(CR(0));
	asm volatile("clts");
	vmcall(2);
	SET_CR(0, CR(0) | CR0_TS);
	vmcall(3);
	SET_CR(0, CR(0) ^ CR0_WP);
	vmcall(4);
	SET_CR(4, CR(4) ^ CR4_DE);
	vmcall(5);
	SET_CR(4, CR(4) ^ CR4_TSD);
	vmcall(6);
	SET_CR(3, CR(3));
	vmcall(7);
}

static void crs(void)
{
	u64 cr0 = CR(0) | CR0_NE, cr4 = CR(4) | CR4_VMXE;

	setup();
	/* nothing is kept: nothing exits, and what L2 does is there */
	GUEST_EQ(start(l2_crs), R_VMCALL);
	GUEST_EQ(l2_rax, cr0);
	skip();
	wants(2);
	skip();
	wants(3);
	GUEST_EQ(vmread(F_GUEST_CR0), cr0 | CR0_TS);
	skip();
	wants(4);
	GUEST_EQ(vmread(F_GUEST_CR0), (cr0 | CR0_TS) ^ CR0_WP);
	skip();
	wants(5);
	GUEST_EQ(vmread(F_GUEST_CR4), cr4 ^ CR4_DE);
	skip();
	wants(6);
	GUEST_EQ(vmread(F_GUEST_CR4), cr4 ^ CR4_DE ^ CR4_TSD);
	skip();
	wants(7);

	/* TS and TSD are kept: TS is set, and L2 believes that it is clear */
	vmwrite(F_GUEST_CR0, cr0 | CR0_TS);
	vmwrite(F_GUEST_CR4, cr4);
	vmwrite(F_CR0_MASK, CR0_TS);
	vmwrite(F_CR0_SHADOW, 0);
	vmwrite(F_CR4_MASK, CR4_TSD);
	vmwrite(F_CR4_SHADOW, 0);
	add(F_CPU, CPU_CR3_LOAD | CPU_CR3_STORE);
	GUEST_EQ(start(l2_crs), R_VMCALL);
	GUEST_EQ(l2_rax, cr0 & ~CR0_TS);
	/* it clears what is clear */
	skip();
	wants(2);
	GUEST_EQ(vmread(F_GUEST_CR0), cr0 | CR0_TS);
	GUEST_EQ(skip(), R_CR);
	GUEST_EQ(vmread(F_QUAL) & 0x3f, 0);
	skip();
	wants(3);
	skip();
	wants(4);
	GUEST_EQ(vmread(F_GUEST_CR0), (cr0 | CR0_TS) ^ CR0_WP);
	skip();
	wants(5);
	GUEST_EQ(vmread(F_GUEST_CR4), cr4 ^ CR4_DE);
	GUEST_EQ(skip(), R_CR);
	GUEST_EQ(vmread(F_QUAL) & 0x3f, 4);
	skip();
	wants(6);
	GUEST_EQ(skip(), R_CR);
	GUEST_EQ(vmread(F_QUAL) & 0x3f, 0x13);
	/* a target that needs no exit */
	take(F_CPU, CPU_CR3_STORE);
	if (rdmsr(MSR_VMX(5)) >> 16 & 0x1ff) {
		vmwrite(F_CR3_COUNT, 1);
		vmwrite(F_CR3_TARGET, CR(3));
		go_on();
		wants(7);
		vmwrite(F_CR3_COUNT, 0);
	}
	vmwrite(F_CR0_SHADOW, CR0_TS);
	GUEST_EQ(start(l2_crs), R_VMCALL);
	GUEST_EQ(l2_rax & CR0_TS, CR0_TS);
	GUEST_EQ(skip(), R_CR);
	GUEST_EQ(vmread(F_QUAL) & 0x30, 0x20);
}

/* ---- exceptions -------------------------------------------------------------- */

#define NOWHERE	0x1234567000ul	/* beyond the map */

static void l2_faults(void)
{
	vmcall(TRY("ud2", ARGS(), ARGS()));
	vmcall(TRY("movl $0, (%0)", ARGS(), ARGS("r"(NOWHERE))));
	vmcall(READ_ONCE(fault_cr2));
	asm volatile("int3");
	vmcall(3);
}

static void l2_triple(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed none = {};

	asm volatile("lidt %0; ud2" : : "m"(none));
}

static void exceptions(void)
{
	setup();
	GUEST_EQ(start(l2_faults), R_VMCALL);
	GUEST_EQ(l2_rax, 6);
	skip();
	wants(14);
	skip();
	wants(NOWHERE);
	vmwrite(F_EXC, BIT(6) | BIT(14) | BIT(3));
	GUEST_EQ(start(l2_faults), R_EXC);
	GUEST_EQ(vmread(F_INTR), INFO_VALID | INFO_EXC | 6);
	vmwrite(F_GUEST_RIP, vmread(F_GUEST_RIP) + 2);
	GUEST_EQ(go_on(), R_VMCALL);
	GUEST_EQ(skip(), R_EXC);
	GUEST_EQ(vmread(F_INTR), INFO_VALID | INFO_EXC | INFO_ERR | 14);
	GUEST_EQ(vmread(F_INTR_ERR), 2);
	GUEST_EQ(vmread(F_QUAL), NOWHERE);
	/* by error code: only reads, then only writes */
	vmwrite(F_PF_MASK, 2);
	vmwrite(F_PF_MATCH, 0);
	GUEST_EQ(go_on(), R_VMCALL);
	GUEST_EQ(l2_rax, 14);
	take(F_EXC, BIT(6));
	GUEST_EQ(start(l2_faults), R_VMCALL);
	GUEST_EQ(l2_rax, 6);
	vmwrite(F_PF_MATCH, 2);
	GUEST_EQ(skip(), R_EXC);
	/* the bit clear, and no match: it exits */
	take(F_EXC, BIT(14));
	vmwrite(F_PF_MATCH, 0);
	GUEST_EQ(go_on(), R_EXC);
	vmwrite(F_PF_MATCH, 2);
	GUEST_EQ(go_on(), R_VMCALL);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(skip(), R_EXC);
	GUEST_EQ(vmread(F_INTR), INFO_VALID | 0x600 | 3);
	GUEST_EQ(vmread(F_LEN), 1);
	skip();
	wants(3);
	vmwrite(F_EXC, 0);
	vmwrite(F_PF_MATCH, 0);
	vmwrite(F_PF_MASK, 0);
	GUEST_EQ(start(l2_triple), R_TRIPLE);
	GUEST_EQ(vmread(F_INTR) & INFO_VALID, 0);
}

static u64 taken[256];

static void on_vector(struct frame *f)
{
	taken[f->vector]++;
	taken[0] = f->error;
}

static void on_irq(struct frame *f)
{
	taken[f->vector]++;
	apic_write(APIC_EOI, 0);
}

static void inject(void)
{
	setup();
	set_handler(13, on_vector);
	set_handler(VEC, on_vector);
	set_handler(2, on_vector);
	vmwrite(F_INJECT, INFO_VALID | INFO_EXC | INFO_ERR | 13);
	vmwrite(F_INJECT_ERR, 0x1230);
	GUEST_EQ(start(l2_vmcall), R_VMCALL);
	GUEST_EQ(taken[13], 1);
	GUEST_EQ(taken[0], 0x1230);
	/* once */
	GUEST_EQ(vmread(F_INJECT) & INFO_VALID, 0);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(taken[13], 1);
	/* INT n: behind it */
	vmwrite(F_INJECT, INFO_VALID | INFO_SOFT | VEC);
	vmwrite(F_INJECT_LEN, 3);
	GUEST_EQ(go_on(), R_VMCALL);
	GUEST_EQ(taken[VEC], 1);
	/* an interrupt needs IF */
	bad_guest(F_INJECT, INFO_VALID | VEC, 0);
	add(F_GUEST_RFLAGS, RFLAGS_IF);
	vmwrite(F_INJECT, INFO_VALID | VEC);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(taken[VEC], 2);
	vmwrite(F_INJECT, INFO_VALID | INFO_NMI | 2);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(taken[2], 1);
	/* an event that cannot be delivered comes back */
	vmwrite(0x4812, 0);	/* limit of the IDT */
	vmwrite(F_EXC, BIT(13));
	vmwrite(F_INJECT, INFO_VALID | INFO_EXC | 6);
	GUEST_EQ(go_on(), R_EXC);
	GUEST_EQ(vmread(F_INTR), INFO_VALID | INFO_EXC | INFO_ERR | 13);
	GUEST_EQ(vmread(F_VECTORING), INFO_VALID | INFO_EXC | 6);
	GUEST_EQ(vmread(F_INTR_ERR), 6 * 8 + 3);
}

/* ---- interrupts -------------------------------------------------------------- */

static void self_ipi(u32 icr)
{
	apic_write(APIC_ICR2, apic_read(APIC_ID));
	apic_write(APIC_ICR, icr);
}

static void l2_wait(void)
{
	for (;;) {
		vmcall(1);
		self_ipi(VEC);
		vmcall(2);
		sti();
		cpu_pause();
		cli();
	}
}

static void intr(void)
{
	setup();
	apic_write(APIC_SPIV, 0x1ff);
	set_handler(VEC, on_irq);
	/* L2's own: it comes when L2 opens interrupts */
	GUEST_EQ(start(l2_wait), R_VMCALL);
	skip();
	wants(2);
	GUEST_EQ(taken[VEC], 0);
	skip();
	wants(1);
	GUEST_EQ(taken[VEC], 1);
	/* L1's: at once, whatever L2's IF; it stays pending */
	add(F_PIN, PIN_INTR);
	GUEST_EQ(skip(), R_INTR);
	GUEST_EQ(vmread(F_INTR) & INFO_VALID, 0);
	GUEST_EQ(taken[VEC], 1);
	sti_nop_cli();
	GUEST_EQ(taken[VEC], 2);
	go_on();
	wants(2);
	/* or the exit takes it */
	add(F_EXIT, EXIT_ACK);
	skip();
	wants(1);
	GUEST_EQ(skip(), R_INTR);
	GUEST_EQ(vmread(F_INTR), INFO_VALID | VEC);
	sti_nop_cli();
	GUEST_EQ(taken[VEC], 2);
	apic_write(APIC_EOI, 0);
	/* one that waits for L1 already: right after the entry */
	self_ipi(VEC);
	GUEST_EQ(go_on(), R_INTR);
	apic_write(APIC_EOI, 0);
	go_on();
	wants(2);
	/* it comes after what is injected */
	self_ipi(VEC);
	set_handler(0x42, on_vector);
	add(F_GUEST_RFLAGS, RFLAGS_IF);
	vmwrite(F_INJECT, INFO_VALID | 0x42);
	vmwrite(F_GUEST_RIP, (u64)l2_vmcall);
	GUEST_EQ(go_on(), R_INTR);
	GUEST_EQ(vmread(F_INJECT) & INFO_VALID, 0);
	GUEST_EQ(vmread(F_VECTORING) & INFO_VALID, 0);
	apic_write(APIC_EOI, 0);
	GUEST_EQ(go_on(), R_VMCALL);
	GUEST_EQ(taken[0x42], 1);
}

static void l2_nmi(void)
{
	for (;;) {
		vmcall(1);
		self_ipi(0x400);
		/* a CPU without virtual NMIs takes this for the end of the handler */
		sti_nop_cli();
		vmcall(2);
	}
}

static void nmi(void)
{
	setup();
	apic_write(APIC_SPIV, 0x1ff);
	set_handler(2, on_vector);
	GUEST_EQ(start(l2_nmi), R_VMCALL);
	skip();
	wants(2);
	GUEST_EQ(taken[2], 1);
	skip();
	wants(1);
	add(F_PIN, PIN_NMI);
	GUEST_EQ(skip(), R_EXC);
	GUEST_EQ(vmread(F_INTR), INFO_VALID | INFO_NMI | 2);
	GUEST_EQ(taken[2], 1);
	/* they are masked in L1 now, until an IRET */
	self_ipi(0x400);
	cpu_pause();
	GUEST_EQ(taken[2], 1);
	asm volatile("mov %%rsp, %%rax; pushq %0; pushq %%rax; pushf\n\t"
		     "pushq %1; pushq $1f; iretq; 1:"
		     : : "i"(SEL_DATA), "i"(SEL_CODE64) : "rax", "memory", "cc");
	sti_nop_cli();
	GUEST_EQ(taken[2], 2);
	if (!(rdmsr(MSR_VMX(0xd)) >> 32 & PIN_VNMI))
		return;
	/* virtual ones: L2's mask is its own */
	add(F_PIN, PIN_VNMI);
	vmwrite(F_BLOCKED, 8);
	GUEST_EQ(start(l2_nmi), R_VMCALL);
	GUEST_EQ(vmread(F_BLOCKED), 8);
	GUEST_EQ(skip(), R_EXC);
	GUEST_EQ(vmread(F_BLOCKED), 8);
	add(F_CPU, CPU_NMI_WINDOW);
	vmwrite(F_BLOCKED, 0);
	GUEST_EQ(go_on(), R_NMI_WINDOW);
}

static void l2_window(void)
{
	cpu_pause();
	vmcall(1);
	sti();
	cpu_pause();
	vmcall(2);
}

static void window(void)
{
	setup();
	add(F_CPU, CPU_INTR_WINDOW);
	GUEST_EQ(start(l2_window), R_VMCALL);
	GUEST_EQ(l2_rax, 1);
	GUEST_EQ(skip(), R_INTR_WINDOW);
	GUEST_EQ(vmread(F_GUEST_RFLAGS) & RFLAGS_IF, RFLAGS_IF);
	take(F_CPU, CPU_INTR_WINDOW);
	go_on();
	wants(2);
}

static void l2_hlt(void)
{
	for (;;) {
		asm volatile("hlt");
		vmcall(1);
	}
}

static void timer(void)
{
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VEC);
	apic_write(APIC_TMICT, 3000000);
}

static void hlt(void)
{
	setup();
	apic_write(APIC_SPIV, 0x1ff);
	set_handler(VEC, on_irq);
	add(F_CPU, CPU_HLT);
	GUEST_EQ(start(l2_hlt), R_HLT);
	skip();
	wants(1);
	/* it halts by itself; L1's interrupt ends that */
	take(F_CPU, CPU_HLT);
	add(F_PIN, PIN_INTR);
	timer();
	GUEST_EQ(skip(), R_INTR);
	sti_nop_cli();
	GUEST_EQ(taken[VEC], 1);
	/* entered halted */
	vmwrite(F_ACTIVITY, 1);
	timer();
	GUEST_EQ(start(l2_vmcall), R_INTR);
	sti_nop_cli();
	GUEST_EQ(taken[VEC], 2);
	/* an event that is injected ends it */
	vmwrite(F_ACTIVITY, 1);
	add(F_GUEST_RFLAGS, RFLAGS_IF);
	set_handler(0x42, on_vector);
	vmwrite(F_INJECT, INFO_VALID | 0x42);
	GUEST_EQ(start(l2_vmcall), R_VMCALL);
	GUEST_EQ(taken[0x42], 1);
}

static void l2_tsc(void)
{
	for (;;) {
		*(u64 *)GUEST_SHARED = rdtsc();
		*(u64 *)(GUEST_SHARED + 8) = rdmsr(MSR_TSC);
		vmcall(1);
	}
}

static void tsc(void)
{
	const u64 offset = 1ul << 40;
	u64 before, after;
	int i;

	setup();
	clear(MSR_MAP);
	before = rdtsc();
	GUEST_EQ(start(l2_tsc), R_VMCALL);
	after = rdtsc();
	GUEST_ASSERT(READ_ONCE(*(u64 *)GUEST_SHARED) >= before);
	GUEST_ASSERT(READ_ONCE(*(u64 *)GUEST_SHARED) <= after);
	add(F_CPU, CPU_TSC_OFFSET);
	vmwrite(F_TSC_OFFSET, offset);
	for (i = 0; i < 3; i++) {
		before = rdtsc();
		GUEST_EQ(skip(), R_VMCALL);
		after = rdtsc();
		GUEST_ASSERT(READ_ONCE(*(u64 *)GUEST_SHARED) >= before + offset);
		GUEST_ASSERT(READ_ONCE(*(u64 *)GUEST_SHARED) <= after + offset);
		GUEST_ASSERT(READ_ONCE(*(u64 *)(GUEST_SHARED + 8)) >= before + offset);
		GUEST_ASSERT(READ_ONCE(*(u64 *)(GUEST_SHARED + 8)) <= after + offset);
	}
}

static void l2_list(void)
{
	vmcall(rdmsr(0xc0000102));
	wrmsr(0xc0000102, 0x3000);
	vmcall(rdmsr(MSR_PAT));
}

static void msr_lists(void)
{
	struct list_entry *l = (struct list_entry *)MSR_LIST;
	u64 pat = rdmsr(MSR_PAT);

	setup();
	clear(MSR_MAP);
	l[0] = (struct list_entry) { 0xc0000102, 0, 0x1000 };	/* KERNEL_GS_BASE */
	l[1] = (struct list_entry) { 0xc0000102, 0, 0x2000 };
	l[2] = (struct list_entry) { 0xc0000102, 0, 0 };
	vmwrite(F_ENTRY_ADDR, (u64)&l[0]);
	vmwrite(F_ENTRY_COUNT, 1);
	vmwrite(F_LOAD_ADDR, (u64)&l[1]);
	vmwrite(F_LOAD_COUNT, 1);
	vmwrite(F_STORE_ADDR, (u64)&l[2]);
	vmwrite(F_STORE_COUNT, 1);
	add(F_EXIT, EXIT_SAVE_PAT | EXIT_LOAD_PAT);
	add(F_ENTRY, ENTRY_LOAD_PAT);
	vmwrite(0x2804, 0x0606060606060606);
	vmwrite(0x2c00, pat);
	GUEST_EQ(start(l2_list), R_VMCALL);
	GUEST_EQ(l2_rax, 0x1000);
	GUEST_EQ(l[2].value, 0x1000);
	GUEST_EQ(rdmsr(0xc0000102), 0x2000);
	GUEST_EQ(rdmsr(MSR_PAT), pat);
	vmwrite(F_ENTRY_COUNT, 0);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(l2_rax, 0x0606060606060606);
	GUEST_EQ(l[2].value, 0x3000);
	GUEST_EQ(vmread(0x2804), 0x0606060606060606);
	/* the second entry cannot be loaded */
	l[0].value = 0x4000;
	l[1] = (struct list_entry) { 0xc0000100, 0, 0 };	/* FS_BASE */
	vmwrite(F_LOAD_COUNT, 0);
	vmwrite(F_ENTRY_COUNT, 2);
	GUEST_EQ(skip(), R_MSR_LOAD);
	GUEST_EQ(vmread(F_QUAL), 2);
}

static void l2_x2apic(void)
{
	vmcall(x2apic_read(APIC_ID));
	vmcall(x2apic_read(APIC_LVR));
	x2apic_write(APIC_TPR, 0x20);
	vmcall(x2apic_read(APIC_TPR));
	vmcall(TRY("mov %%cr8, %%rax", ARGS(), ARGS(), "rax"));
}

/* L1's APIC, not the host's */
static void x2apic(void)
{
	u32 lvr;

	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | 0xc00);
	x2apic_write(APIC_TPR, 0x50);
	lvr = x2apic_read(APIC_LVR);
	setup();
	clear(MSR_MAP);
	GUEST_EQ(start(l2_x2apic), R_VMCALL);
	GUEST_EQ(l2_rax, x2apic_read(APIC_ID));
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(l2_rax, lvr);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(l2_rax, 0x20);
	GUEST_EQ(x2apic_read(APIC_TPR), 0x20);
}

static void l2_spin(void)
{
	SYNC(1);
	for (;;)
		cpu_pause();
}

static void init(void)
{
	setup();
	GUEST_EQ(start(l2_spin), R_INIT);
	SYNC(2);
	/* in root operation it waits */
	SYNC(3);
	asm volatile("vmxoff" : : : "cc");
	for (;;)
		cpu_pause();
}

static u64 l2_result;

static void l2_shadow(void)
{
	u64 v = 0;
	u8 cf;

	asm volatile("vmread %2, %0; setc %1" : "+r"(v), "=q"(cf) : "r"((u64)F_TSC_OFFSET) : "cc");
	l2_result = v;
	vmcall(cf);
	asm volatile("vmwrite %1, %2; setc %0"
		     : "=q"(cf) : "r"(0x77ul), "r"((u64)F_GUEST_RIP) : "cc", "memory");
	vmcall(cf);
	asm volatile("vmread %1, %0" : "+r"(v) : "r"((u64)F_PIN) : "cc");
}

static void shadow(void)
{
	if (!(rdmsr(MSR_VMX(0xb)) >> 32 & CPU2_SHADOW)) {
		SYNC(9);
		return;
	}
	setup();
	*(u32 *)SHADOW = revision() | 0x80000000;
	GUEST_EQ(vmclear(SHADOW), 0);
	GUEST_EQ(vmptrld(SHADOW), 0);
	vmwrite(F_TSC_OFFSET, 0x1122334455667788);
	GUEST_EQ(l2_enter(1), 1);
	GUEST_EQ(vmclear(SHADOW), 0);
	GUEST_EQ(vmptrld(VMCS), 0);
	clear(FIELD_MAP);
	((u8 *)FIELD_MAP)[F_PIN / 8] = 1;
	vmwrite(F_READ_MAP, FIELD_MAP);
	vmwrite(F_WRITE_MAP, FIELD_MAP);
	add(F_CPU2, CPU2_SHADOW);
	/* without one that it links to */
	GUEST_EQ(start(l2_shadow), R_VMCALL);
	GUEST_EQ(l2_rax & 0xff, 1);
	/* the VMCS itself is no shadow VMCS */
	bad_guest(F_LINK, VMCS, 4);
	vmwrite(F_LINK, SHADOW);
	GUEST_EQ(start(l2_shadow), R_VMCALL);
	GUEST_EQ(l2_rax & 0xff, 0);
	GUEST_EQ(READ_ONCE(l2_result), 0x1122334455667788);
	GUEST_EQ(skip(), R_VMCALL);
	GUEST_EQ(l2_rax & 0xff, 0);
	GUEST_EQ(skip(), R_VMREAD);
	vmwrite(F_LINK, ~0ul);
	GUEST_EQ(vmclear(SHADOW), 0);
	GUEST_EQ(vmclear(VMCS), 0);
	GUEST_EQ(vmptrld(SHADOW), 0);
	GUEST_EQ(vmread(F_GUEST_RIP), 0x77);
}

static void l2_loop(void)
{
	u64 i;

	for (i = 0; ; i++) {
		SYNC2(1, i, 0);
		vmcall(i);
	}
}

/* for the host to take the state away and bring it back */
static void loop(void)
{
	u64 i = 0;

	setup();
	start(l2_loop);
	for (;;) {
		wants(i++);
		SYNC2(2, i, 0);
		skip();
	}
}

void guest_main(u64 test, u64 arg0, u64 arg1)
{
	static void (*const tests[])(void) = {
		[NVMX_ERRORS] = errors, [NVMX_CHECKS] = checks, [NVMX_INSNS] = insns,
		[NVMX_MSRS] = msrs, [NVMX_PORTS] = ports, [NVMX_CRS] = crs,
		[NVMX_EXCEPTIONS] = exceptions, [NVMX_INJECT] = inject, [NVMX_INTR] = intr,
		[NVMX_NMI] = nmi, [NVMX_WINDOW] = window, [NVMX_HLT] = hlt, [NVMX_TSC] = tsc,
		[NVMX_MSR_LISTS] = msr_lists, [NVMX_X2APIC] = x2apic, [NVMX_INIT] = init,
		[NVMX_SHADOW] = shadow, [NVMX_LOOP] = loop,
	};

	tests[test]();
}
