/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small hypervisor for payloads that run a guest of their own ("L2"), the same for SVM and
 * VMX: what L2 begins with, what ends it, what comes with its entry, and what an exit tells.
 *
 * L2 shares L1's address space and has no nested paging; its stack is the only memory of its
 * own, and so a frame's address says who took an interrupt. Sources: APM vol. 2, chapter 15 and
 * appendix B; SDM vol. 3, chapters 24 to 27, 30 and appendices A and B.
 */
#ifndef SELFTEST_NESTED_HV_H
#define SELFTEST_NESTED_HV_H

#include "guest.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };

/* why L2 ended */
enum {
	EX_OTHER, EX_HYPERCALL, EX_CPUID, EX_HLT, EX_IO, EX_RDMSR, EX_WRMSR, EX_EXCEPTION, EX_INTR,
	EX_NMI, EX_WINDOW, EX_SHUTDOWN, EX_INVALID, EX_VMFAIL, EX_RDTSC, EX_INVLPG, EX_PAUSE,
	EX_CR_READ, EX_CR_WRITE, EX_DR_READ, EX_DR_WRITE, EX_VMX_SVM, EX_INIT,
};

/* state of L2; segments in the order of VMX's fields */
enum {
	R_ES, R_CS, R_SS, R_DS, R_FS, R_GS, R_LDTR, R_TR, R_GDTR, R_IDTR, R_CR0, R_CR3, R_CR4,
	R_EFER, R_DR7, R_RFLAGS, R_RIP, R_RSP,
};

#define EFER_LONG	(BIT(8) | BIT(10))	/* LME, LMA */

/* what L1 intercepts */
#define C_HLT		BIT(0)
#define C_IO		BIT(1)		/* by bitmap */
#define C_INTR		BIT(2)
#define C_NMI		BIT(3)
#define C_WINDOW	BIT(4)		/* interrupts can be taken */
#define C_CPUID		BIT(5)		/* VMX: always */
#define C_SHUTDOWN	BIT(6)		/* VMX: always */
#define C_ACK		BIT(7)		/* VMX: an exit takes the interrupt from the APIC */
#define C_RDTSC		BIT(8)
#define C_INVLPG	BIT(9)
#define C_PAUSE		BIT(10)
#define C_CR3_WRITE	BIT(11)
#define C_DR		BIT(12)
#define C_CR0		BIT(14)		/* MOV to it that changes TS */
#define C_TSC_OFFSET	BIT(15)		/* SVM: always */
#define C_INSNS		BIT(16)		/* SVM: those of hypervisors; VMX: always */
#define C_MSR		BIT(13)		/* by bitmap; VMX without: all */
#define C_DEFAULT	(C_CPUID | C_SHUTDOWN | C_MSR | C_HLT)

/* kinds of injected events, in both vendors' format */
#define EV_INTR		(0 << 8)
#define EV_NMI		(2 << 8)
#define EV_EXCEPTION	(3 << 8)
#define EV_SOFT_INT	(4 << 8)
#define EV_SOFT_EXC	(6 << 8)	/* VMX */
#define EV_ERROR	BIT(11)
#define EV_VALID	BIT(31)

struct hv {
	u64 regs[16];			/* L2's, but RSP; the asm below knows the offsets */
	u64 page;			/* 128: VMCB or VMCS */
	u64 fail;			/* 136: RFLAGS of a VMLAUNCH or VMRESUME that failed */
	u32 host_if;			/* 144: SVM: L1's RFLAGS.IF at VMRUN */
	u32 launched;			/* 148 */
	u32 keep_gif;			/* 152: SVM: no STGI behind #VMEXIT */

	u64 other;			/* host save area or VMXON region */
	u64 iobm, msrbm, stack;		/* bitmaps, end of L2's stack */
	/* the last exit */
	u32 class, vector, port, size, in, cr;
	u64 reason, error, address, qual, len, event;
	u64 exits;
};

static bool hv_intel;

void hv_svm_go(struct hv *h);
void hv_vmx_go(struct hv *h);

asm(".text\n"
".macro hv_save\n"
"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
".endm\n"
".macro hv_load\n"
"	mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx; mov 40(%rdi), %rbp\n"
"	mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10\n"
"	mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14\n"
"	mov 120(%rdi), %r15; mov 56(%rdi), %rdi\n"
".endm\n"
".macro hv_store\n"
"	push %rdi; mov 8(%rsp), %rdi; pop 56(%rdi)\n"
"	mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi); mov %rbp, 40(%rdi)\n"
"	mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi)\n"
"	mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi); mov %r14, 112(%rdi)\n"
"	mov %r15, 120(%rdi)\n"
".endm\n"
".macro hv_restore\n"
"	pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
".endm\n"
"hv_svm_go:\n"
"	hv_save\n"
"	clgi\n"
"	mov 128(%rdi), %rax\n"
"	cmpl $0, 144(%rdi)\n"
"	je 1f\n"
"	sti\n"
"1:	hv_load\n"
"	vmrun %rax\n"
"	hv_store\n"
"	cli\n"
"	cmpl $0, 152(%rdi)\n"
"	jne 2f\n"
"	stgi\n"
"2:	hv_restore\n"
"	ret\n"
"hv_vmx_go:\n"
"	hv_save\n"
"	movq $0, 136(%rdi)\n"
"	mov $0x6c14, %eax\n"		/* host RSP and RIP */
"	vmwrite %rsp, %rax\n"
"	mov $0x6c16, %eax\n"
"	lea 2f(%rip), %rcx\n"
"	vmwrite %rcx, %rax\n"
"	cmpl $0, 148(%rdi)\n"
"	mov 0(%rdi), %rax\n"
"	hv_load\n"
"	jne 1f\n"
"	vmlaunch\n"
"	jmp 3f\n"
"1:	vmresume\n"
"3:	mov (%rsp), %rdi\n"
"	pushf; pop 136(%rdi)\n"
"	jmp 4f\n"
"2:	hv_store\n"
"	mov %rax, 0(%rdi)\n"
"4:	hv_restore\n"
"	ret\n");

/* ---- SVM ------------------------------------------------------------------------ */

#define MSR_VM_CR	0xc0010114
#define MSR_VM_HSAVE	0xc0010117
#define EFER_SVME	BIT(12)

static inline void *vmcb_at(struct hv *h, u32 offset)
{
	return (u8 *)h->page + offset;
}

#define VMCB8(h, off)	(*(__volatile__ u8 *)vmcb_at(h, off))
#define VMCB16(h, off)	(*(__volatile__ u16 *)vmcb_at(h, off))
#define VMCB32(h, off)	(*(__volatile__ u32 *)vmcb_at(h, off))
#define VMCB64(h, off)	(*(__volatile__ u64 *)vmcb_at(h, off))

#define VMCB_CR_READ	0x00
#define VMCB_CR_WRITE	0x02
#define VMCB_DR_READ	0x04
#define VMCB_DR_WRITE	0x06
#define VMCB_EXC	0x08
#define VMCB_MISC1	0x0c
#define VMCB_MISC2	0x10
#define VMCB_IOPM	0x40
#define VMCB_MSRPM	0x48
#define VMCB_TSC_OFFSET	0x50
#define VMCB_ASID	0x58
#define VMCB_INT_CTL	0x60
#define VMCB_SHADOW	0x68
#define VMCB_EXITCODE	0x70
#define VMCB_INFO1	0x78
#define VMCB_INFO2	0x80
#define VMCB_EXITINTINFO 0x88
#define VMCB_NP		0x90
#define VMCB_EVENTINJ	0xa8
#define VMCB_CLEAN	0xc0
#define VMCB_NRIP	0xc8
#define VMCB_CPL	0x4cb
#define VMCB_EFER	0x4d0
#define VMCB_CR4	0x548
#define VMCB_CR3	0x550
#define VMCB_CR0	0x558
#define VMCB_DR7	0x560
#define VMCB_DR6	0x568
#define VMCB_RFLAGS	0x570
#define VMCB_RIP	0x578
#define VMCB_RSP	0x5d8
#define VMCB_RAX	0x5f8
#define VMCB_CR2	0x640
#define VMCB_PAT	0x668

#define V_IRQ		BIT(8)
#define V_IGN_TPR	BIT(20)
#define V_INTR_MASKING	BIT(24)

static const u16 svm_seg[] = {
	[R_ES] = 0x400, [R_CS] = 0x410, [R_SS] = 0x420, [R_DS] = 0x430, [R_FS] = 0x440,
	[R_GS] = 0x450, [R_GDTR] = 0x460, [R_LDTR] = 0x470, [R_IDTR] = 0x480, [R_TR] = 0x490,
};

static const u16 svm_reg[] = {
	[R_CR0] = VMCB_CR0, [R_CR3] = VMCB_CR3, [R_CR4] = VMCB_CR4, [R_EFER] = VMCB_EFER,
	[R_DR7] = VMCB_DR7, [R_RFLAGS] = VMCB_RFLAGS, [R_RIP] = VMCB_RIP, [R_RSP] = VMCB_RSP,
};

static void svm_decode(struct hv *h)
{
	u64 c = VMCB64(h, VMCB_EXITCODE), i1 = VMCB64(h, VMCB_INFO1), i2 = VMCB64(h, VMCB_INFO2);

	h->reason = c;
	h->qual = i1;
	h->event = VMCB64(h, VMCB_EXITINTINFO);
	h->class = EX_OTHER;
	h->len = 0;
	switch (c) {
	case 0x00 ... 0x1f:
		h->class = c < 0x10 ? EX_CR_READ : EX_CR_WRITE;
		h->cr = c & 15;
		h->len = 3;
		break;
	case 0x20 ... 0x3f:
		h->class = c < 0x30 ? EX_DR_READ : EX_DR_WRITE;
		h->cr = c & 15;
		h->len = 3;
		break;
	case 0x40 ... 0x5f:
		h->class = EX_EXCEPTION;
		h->vector = c - 0x40;
		h->error = i1;
		h->address = i2;
		break;
	case 0x60:
		h->class = EX_INTR;
		break;
	case 0x61:
		h->class = EX_NMI;
		break;
	case 0x63:
		h->class = EX_INIT;
		break;
	case 0x64:
		h->class = EX_WINDOW;
		break;
	case 0x6e:
		h->class = EX_RDTSC;
		h->len = 2;
		break;
	case 0x72:
		h->class = EX_CPUID;
		h->len = 2;
		break;
	case 0x77:
		h->class = EX_PAUSE;
		h->len = 2;
		break;
	case 0x78:
		h->class = EX_HLT;
		h->len = 1;
		break;
	case 0x79:
		h->class = EX_INVLPG;
		h->len = 3;
		break;
	case 0x7b:
		h->class = EX_IO;
		h->port = i1 >> 16 & 0xffff;
		h->in = i1 & 1;
		h->size = i1 >> 4 & 7;
		h->len = i2 - VMCB64(h, VMCB_RIP);
		break;
	case 0x7c:
		h->class = i1 & 1 ? EX_WRMSR : EX_RDMSR;
		h->len = 2;
		break;
	case 0x7f:
		h->class = EX_SHUTDOWN;
		break;
	case 0x7a: case 0x80: case 0x82 ... 0x86:
		h->class = EX_VMX_SVM;
		h->len = 3;
		break;
	case 0x81:
		h->class = EX_HYPERCALL;
		h->len = 3;
		break;
	case (u64)-1:
		h->class = EX_INVALID;
		break;
	}
}

static void svm_init(struct hv *h)
{
	int i;

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE, h->other);
	VMCB64(h, VMCB_IOPM) = h->iobm;
	VMCB64(h, VMCB_MSRPM) = h->msrbm;
	VMCB32(h, VMCB_ASID) = 1;
	VMCB32(h, VMCB_MISC2) = 3;	/* VMRUN, VMMCALL */
	/* V_INTR_MASKING: interrupts go by L1's RFLAGS.IF */
	VMCB32(h, VMCB_INT_CTL) = V_INTR_MASKING;
	h->host_if = 1;
	VMCB64(h, VMCB_DR6) = 0xffff0ff0;
	VMCB64(h, VMCB_PAT) = rdmsr(0x277);
	for (i = 0; i < 0x2000; i++)
		*(u8 *)(h->iobm + i) = 0;
}

/* ---- VMX ------------------------------------------------------------------------- */

#define MSR_FEAT_CTL	0x3a
#define MSR_VMX_BASIC	0x480
#define CR4_VMXE	BIT(13)
#define RF_CF		BIT(0)
#define RF_ZF		BIT(6)

#define F_ES_SEL	0x0800		/* and the others, 2 apart, to TR 0x080e */
#define F_HOST_ES_SEL	0x0c00
#define F_IO_A		0x2000
#define F_IO_B		0x2002
#define F_MSR_BITMAP	0x2004
#define F_TSC_OFFSET	0x2010
#define F_LINK		0x2800
#define F_EFER		0x2806
#define F_HOST_EFER	0x2c02
#define F_PIN		0x4000
#define F_PROC		0x4002
#define F_EXC		0x4004
#define F_PF_MASK	0x4006
#define F_PF_MATCH	0x4008
#define F_CR3_COUNT	0x400a
#define F_EXIT		0x400c
#define F_EXIT_STORE	0x400e
#define F_EXIT_LOAD	0x4010
#define F_ENTRY		0x4012
#define F_ENTRY_LOAD	0x4014
#define F_INJECT	0x4016
#define F_INJECT_ERR	0x4018
#define F_INJECT_LEN	0x401a
#define F_ERROR		0x4400
#define F_REASON	0x4402
#define F_INTR_INFO	0x4404
#define F_INTR_ERR	0x4406
#define F_IDT_INFO	0x4408
#define F_LEN		0x440c
#define F_ES_LIMIT	0x4800		/* to TR 0x480e, GDTR 0x4810, IDTR 0x4812 */
#define F_ES_AR		0x4814
#define F_INTERRUPTIBILITY 0x4824
#define F_ACTIVITY	0x4826
#define F_SYSENTER_CS	0x482a
#define F_HOST_SYSENTER_CS 0x4c00
#define F_CR0_MASK	0x6000
#define F_CR4_MASK	0x6002
#define F_CR0_SHADOW	0x6004
#define F_CR4_SHADOW	0x6006
#define F_QUAL		0x6400
#define F_CR0		0x6800
#define F_CR3		0x6802
#define F_CR4		0x6804
#define F_ES_BASE	0x6806		/* to TR 0x6814, GDTR 0x6816, IDTR 0x6818 */
#define F_DR7		0x681a
#define F_RSP		0x681c
#define F_RIP		0x681e
#define F_RFLAGS	0x6820
#define F_PENDING_DBG	0x6822
#define F_SYSENTER_ESP	0x6824
#define F_SYSENTER_EIP	0x6826
#define F_HOST_CR0	0x6c00
#define F_HOST_CR3	0x6c02
#define F_HOST_CR4	0x6c04
#define F_HOST_FS_BASE	0x6c06
#define F_HOST_GS_BASE	0x6c08
#define F_HOST_TR_BASE	0x6c0a
#define F_HOST_GDTR	0x6c0c
#define F_HOST_IDTR	0x6c0e
#define F_HOST_SYSENTER_ESP 0x6c10
#define F_HOST_SYSENTER_EIP 0x6c12
#define F_HOST_RSP	0x6c14
#define F_HOST_RIP	0x6c16

/* of exits and entries: the host or L2 is in 64-bit mode; DR7 is saved or loaded */
#define CTL_64		BIT(9)
#define CTL_DEBUG	BIT(2)

#define AR_UNUSABLE	0x10000

/* of the three instructions: RFLAGS' CF and ZF */
static inline u64 vmread_try(u64 field, u64 *v)
{
	u64 fl, x = 0;

	asm volatile("vmread %2, %0; pushf; pop %1" : "+r"(x), "=r"(fl) : "r"(field)
		     : "cc", "memory");
	*v = x;
	return fl & (RF_CF | RF_ZF);
}

static inline u64 vmwrite_try(u64 field, u64 v)
{
	u64 fl;

	asm volatile("vmwrite %1, %2; pushf; pop %0" : "=r"(fl) : "r"(v), "r"(field)
		     : "cc", "memory");
	return fl & (RF_CF | RF_ZF);
}

#define VMX_PTR_INSN(insn, pa) ({					\
	u64 __pa = (pa), __fl;						\
	asm volatile(insn " %1; pushf; pop %0" : "=r"(__fl) : "m"(__pa) : "cc", "memory"); \
	__fl & (RF_CF | RF_ZF); })

static inline u64 vmread(u64 field)
{
	u64 v;

	if (vmread_try(field, &v))
		report(REPORT_FAIL, 990000 + __LINE__, field, 0);
	return v;
}

static inline void vmwrite(u64 field, u64 v)
{
	if (vmwrite_try(field, v))
		report(REPORT_FAIL, 990000 + __LINE__, field, v);
}

static inline u64 vmx_cap(u32 msr)
{
	/* those that tell the truth about the default settings */
	if (rdmsr(MSR_VMX_BASIC) & BIT(55) && msr >= 0x481 && msr <= 0x484)
		msr += 0x48d - 0x481;
	return rdmsr(msr);
}

static inline u32 vmx_ctl(u32 msr, u32 want)
{
	u64 cap = vmx_cap(msr);

	return (want | (u32)cap) & (cap >> 32);
}

static inline u64 read_cr(int n)
{
	u64 v = 0;

	switch (n) {
	case 0:
		asm volatile("mov %%cr0, %0" : "=r"(v));
		break;
	case 2:
		asm volatile("mov %%cr2, %0" : "=r"(v));
		break;
	case 3:
		asm volatile("mov %%cr3, %0" : "=r"(v));
		break;
	case 4:
		asm volatile("mov %%cr4, %0" : "=r"(v));
		break;
	}
	return v;
}

struct table_reg {
	u16 limit;
	u64 base;
} __packed;

static inline struct table_reg read_gdtr(void)
{
	struct table_reg d;

	asm volatile("sgdt %0" : "=m"(d));
	return d;
}

static inline struct table_reg read_idtr(void)
{
	struct table_reg d;

	asm volatile("sidt %0" : "=m"(d));
	return d;
}

static void vmx_decode(struct hv *h)
{
	u64 r = vmread(F_REASON), info = vmread(F_INTR_INFO), q = vmread(F_QUAL);

	h->reason = r;
	h->qual = q;
	h->len = vmread(F_LEN);
	h->event = vmread(F_IDT_INFO);
	h->class = EX_OTHER;
	if (r & BIT(31)) {
		h->class = EX_INVALID;
		return;
	}
	switch (r) {
	case 0:
		if ((info & 0x700) == EV_NMI) {
			h->class = EX_NMI;
			break;
		}
		h->class = EX_EXCEPTION;
		h->vector = info & 0xff;
		h->error = info & EV_ERROR ? vmread(F_INTR_ERR) : 0;
		h->address = q;
		break;
	case 1:
		h->class = EX_INTR;
		h->vector = info & EV_VALID ? info & 0xff : 0;
		break;
	case 2:
		h->class = EX_SHUTDOWN;
		break;
	case 3:
		h->class = EX_INIT;
		break;
	case 7:
		h->class = EX_WINDOW;
		break;
	case 10:
		h->class = EX_CPUID;
		break;
	case 12:
		h->class = EX_HLT;
		break;
	case 14:
		h->class = EX_INVLPG;
		break;
	case 16:
		h->class = EX_RDTSC;
		break;
	case 18:
		h->class = EX_HYPERCALL;
		break;
	case 19 ... 27:
		h->class = EX_VMX_SVM;
		break;
	case 28:
		h->class = q & 0x30 ? EX_CR_READ : EX_CR_WRITE;
		h->cr = q & 15;
		break;
	case 29:
		h->class = q & 0x10 ? EX_DR_READ : EX_DR_WRITE;
		h->cr = q & 7;
		break;
	case 30:
		h->class = EX_IO;
		h->port = q >> 16 & 0xffff;
		h->in = q >> 3 & 1;
		h->size = (q & 7) + 1;
		break;
	case 31:
		h->class = EX_RDMSR;
		break;
	case 32:
		h->class = EX_WRMSR;
		break;
	case 40:
		h->class = EX_PAUSE;
		break;
	}
}

/* VMXON; the VMCS is current and has L1's own state for exits. */
static void vmx_init(struct hv *h)
{
	u32 rev = rdmsr(MSR_VMX_BASIC) & 0x7fffffff, i;
	u64 cr0 = read_cr(0), cr4 = read_cr(4) | CR4_VMXE, feat = rdmsr(MSR_FEAT_CTL);

	/* as firmware does; the host may have */
	if (!(feat & 1))
		wrmsr(MSR_FEAT_CTL, feat | 5);
	cr0 = (cr0 | rdmsr(0x486)) & rdmsr(0x487);
	cr4 = (cr4 | rdmsr(0x488)) & rdmsr(0x489);
	asm volatile("mov %0, %%cr0" : : "r"(cr0));
	asm volatile("mov %0, %%cr4" : : "r"(cr4));
	*(u32 *)h->other = rev;
	*(u32 *)h->page = rev;
	if (VMX_PTR_INSN("vmxon", h->other))
		report(REPORT_FAIL, 990000 + __LINE__, 0, 0);
	if (VMX_PTR_INSN("vmclear", h->page) || VMX_PTR_INSN("vmptrld", h->page))
		report(REPORT_FAIL, 990000 + __LINE__, 0, 0);

	vmwrite(F_PIN, vmx_ctl(0x481, 0));
	vmwrite(F_PROC, vmx_ctl(0x482, 0));
	vmwrite(F_EXIT, vmx_ctl(0x483, CTL_64 | CTL_DEBUG));
	vmwrite(F_ENTRY, vmx_ctl(0x484, CTL_64 | CTL_DEBUG));
	vmwrite(F_EXC, 0);
	vmwrite(F_PF_MASK, 0);
	vmwrite(F_PF_MATCH, 0);
	vmwrite(F_CR3_COUNT, 0);
	vmwrite(F_EXIT_STORE, 0);
	vmwrite(F_EXIT_LOAD, 0);
	vmwrite(F_ENTRY_LOAD, 0);
	vmwrite(F_INJECT, 0);
	vmwrite(F_IO_A, h->iobm);
	vmwrite(F_IO_B, h->iobm + 0x1000);
	vmwrite(F_MSR_BITMAP, h->msrbm);
	vmwrite(F_LINK, -1ul);
	vmwrite(F_TSC_OFFSET, 0);
	vmwrite(F_CR0_MASK, 0);
	vmwrite(F_CR4_MASK, 0);
	vmwrite(F_CR0_SHADOW, 0);
	vmwrite(F_CR4_SHADOW, 0);
	vmwrite(F_INTERRUPTIBILITY, 0);
	vmwrite(F_ACTIVITY, 0);
	vmwrite(F_PENDING_DBG, 0);
	vmwrite(F_SYSENTER_CS, 0);
	vmwrite(F_SYSENTER_ESP, 0);
	vmwrite(F_SYSENTER_EIP, 0);
	for (i = 0; i < 6; i++)
		vmwrite(F_HOST_ES_SEL + 2 * i, i == 1 ? SEL_CODE64 : SEL_DATA);
	vmwrite(F_HOST_ES_SEL + 12, SEL_TSS);
	vmwrite(F_HOST_CR0, cr0);
	vmwrite(F_HOST_CR3, read_cr(3));
	vmwrite(F_HOST_CR4, cr4);
	vmwrite(F_HOST_FS_BASE, 0);
	vmwrite(F_HOST_GS_BASE, 0);
	vmwrite(F_HOST_GDTR, read_gdtr().base);
	vmwrite(F_HOST_IDTR, read_idtr().base);
	vmwrite(F_HOST_SYSENTER_CS, 0);
	vmwrite(F_HOST_SYSENTER_ESP, 0);
	vmwrite(F_HOST_SYSENTER_EIP, 0);
}

static u64 vmx_field(int r)
{
	static const u16 f[] = {
		[R_CR0] = F_CR0, [R_CR3] = F_CR3, [R_CR4] = F_CR4, [R_EFER] = F_EFER,
		[R_DR7] = F_DR7, [R_RFLAGS] = F_RFLAGS, [R_RIP] = F_RIP, [R_RSP] = F_RSP,
	};

	return f[r];
}

/* ---- both ------------------------------------------------------------------------- */

static void hv_set(struct hv *h, int r, u64 v)
{
	if (hv_intel)
		vmwrite(vmx_field(r), v);
	else
		VMCB64(h, svm_reg[r]) = v;
}

static u64 hv_get(struct hv *h, int r)
{
	return hv_intel ? vmread(vmx_field(r)) : VMCB64(h, svm_reg[r]);
}

/* access rights in VMX's format; GDTR and IDTR have base and limit only */
static void hv_seg(struct hv *h, int r, u16 sel, u64 base, u32 limit, u32 ar)
{
	if (hv_intel) {
		vmwrite(F_ES_BASE + 2 * r, base);
		vmwrite(F_ES_LIMIT + 2 * r, limit);
		if (r <= R_TR) {
			vmwrite(F_ES_SEL + 2 * r, sel);
			vmwrite(F_ES_AR + 2 * r, ar);
		}
		return;
	}
	VMCB16(h, svm_seg[r]) = sel;
	VMCB16(h, svm_seg[r] + 2) = (ar & AR_UNUSABLE) ? 0 : (ar & 0xff) | (ar >> 4 & 0xf00);
	VMCB32(h, svm_seg[r] + 4) = limit;
	VMCB64(h, svm_seg[r] + 8) = base;
}

static void hv_exceptions(struct hv *h, u32 mask)
{
	if (hv_intel)
		vmwrite(F_EXC, mask);
	else
		VMCB32(h, VMCB_EXC) = mask;
}

static void hv_catch(struct hv *h, u64 what)
{
	u32 a = 0;

	if (hv_intel) {
		vmwrite(F_PIN, vmx_ctl(0x481, (what & C_INTR ? 1 : 0) | (what & C_NMI ? 8 : 0)));
		a = (what & C_WINDOW ? BIT(2) : 0) | (what & C_HLT ? BIT(7) : 0) |
		    (what & C_INVLPG ? BIT(9) : 0) | (what & C_RDTSC ? BIT(12) : 0) |
		    (what & C_CR3_WRITE ? BIT(15) : 0) | (what & C_DR ? BIT(23) : 0) |
		    (what & C_IO ? BIT(25) : 0) | (what & C_MSR ? BIT(28) : 0) |
		    (what & C_PAUSE ? BIT(30) : 0) | (what & C_TSC_OFFSET ? BIT(3) : 0);
		vmwrite(F_CR0_MASK, what & C_CR0 ? BIT(3) : 0);
		vmwrite(F_PROC, vmx_ctl(0x482, a));
		vmwrite(F_EXIT, vmx_ctl(0x483, CTL_64 | CTL_DEBUG | (what & C_ACK ? BIT(15) : 0)));
		return;
	}
	a = (what & C_INTR ? 1 : 0) | (what & C_NMI ? 2 : 0) | (what & C_WINDOW ? BIT(4) : 0) |
	    (what & C_RDTSC ? BIT(14) : 0) | (what & C_CPUID ? BIT(18) : 0) |
	    (what & C_PAUSE ? BIT(23) : 0) | (what & C_HLT ? BIT(24) : 0) |
	    (what & C_INVLPG ? BIT(25) : 0) | (what & C_IO ? BIT(27) : 0) |
	    (what & C_MSR ? BIT(28) : 0) | (what & C_SHUTDOWN ? BIT(31) : 0);
	VMCB32(h, VMCB_MISC1) = a | (what & C_INSNS ? BIT(26) : 0);
	VMCB32(h, VMCB_MISC2) = 3 | (what & C_INSNS ? 0x3c : 0);
	VMCB16(h, VMCB_CR_WRITE) = (what & C_CR3_WRITE ? BIT(3) : 0) | (what & C_CR0 ? 1 : 0);
	VMCB16(h, VMCB_DR_READ) = what & C_DR ? 0xff : 0;
	VMCB16(h, VMCB_DR_WRITE) = what & C_DR ? 0xff : 0;
}

static void hv_port(struct hv *h, u16 port, bool catch)
{
	u8 *p = (u8 *)h->iobm + port / 8, bit = 1 << (port & 7);

	*p = catch ? *p | bit : *p & ~bit;
}

/* of the two ranges that both vendors have: from 0 and from 0xc0000000 */
static void hv_msr(struct hv *h, u32 msr, bool rd, bool wr)
{
	u32 n = msr & 0x1fff, high = msr >= 0xc0000000 ? 1 : 0, i;
	u8 *p = (u8 *)h->msrbm;

	for (i = 0; i < 2; i++) {
		bool on = i ? wr : rd;
		u32 bit = hv_intel ? (high ? 0x2000 : 0) + (i ? 0x4000 : 0) + n
				   : (high ? 0x4000 : 0) + 2 * n + i;

		p[bit / 8] = on ? p[bit / 8] | 1 << (bit & 7) : p[bit / 8] & ~(1 << (bit & 7));
	}
}

static void hv_inject(struct hv *h, u32 kind, u32 vector, u32 error, u32 len)
{
	if (hv_intel) {
		vmwrite(F_INJECT, EV_VALID | kind | vector);
		vmwrite(F_INJECT_ERR, error);
		vmwrite(F_INJECT_LEN, len);
	} else {
		VMCB64(h, VMCB_EVENTINJ) = EV_VALID | kind | vector | (u64)error << 32;
	}
}

static void hv_run(struct hv *h)
{
	if (hv_intel) {
		hv_vmx_go(h);
		if (h->fail) {
			h->class = EX_VMFAIL;
			h->reason = h->fail & RF_CF ? 0 : h->fail & RF_ZF ? vmread(F_ERROR) : 99;
			return;
		}
		vmx_decode(h);
		if (h->class != EX_INVALID)
			h->launched = 1;
	} else {
		VMCB64(h, VMCB_RAX) = h->regs[RAX];
		hv_svm_go(h);
		h->regs[RAX] = VMCB64(h, VMCB_RAX);
		svm_decode(h);
	}
	h->exits++;
}

static void hv_skip(struct hv *h)
{
	hv_set(h, R_RIP, hv_get(h, R_RIP) + h->len);
}

static inline u64 hypercall(u64 a)
{
	if (hv_intel)
		asm volatile("vmcall" : "+a"(a) : : "memory");
	else
		asm volatile("vmmcall" : "+a"(a) : : "memory");
	return a;
}

#define L2_DONE		0x600dul

static void l2_return(void)
{
	for (;;)
		hypercall(L2_DONE);
}

/* L2 begins in long mode, or in one of 32 bits */
static void hv_long_mode(struct hv *h, bool on)
{
	if (hv_intel)
		vmwrite(F_ENTRY, vmx_ctl(0x484, CTL_DEBUG | (on ? CTL_64 : 0)));
	else
		hv_set(h, R_EFER, on ? rdmsr(MSR_EFER) : rdmsr(MSR_EFER) & ~EFER_LONG);
}

/* nothing of what the TLB has of L2 is to be used; VMX without VPIDs: each entry does that */
static void hv_flush(struct hv *h)
{
	if (!hv_intel)
		VMCB8(h, VMCB_ASID + 4) = 1;
}

/* L2 shall begin with a function, in L1's own surroundings. */
static void hv_begin(struct hv *h, void (*fn)(u64 arg), u64 arg)
{
	struct table_reg gdt = read_gdtr(), idt = read_idtr();
	u64 *sp = (u64 *)h->stack - 1;
	int i;

	for (i = 0; i < 16; i++)
		h->regs[i] = 0;
	for (i = R_ES; i <= R_GS; i++)
		hv_seg(h, i, SEL_DATA, 0, -1u, 0xc093);
	hv_seg(h, R_CS, SEL_CODE64, 0, -1u, 0xa09b);
	hv_seg(h, R_LDTR, 0, 0, 0, AR_UNUSABLE);
	hv_seg(h, R_GDTR, 0, gdt.base, gdt.limit, 0);
	hv_seg(h, R_IDTR, 0, idt.base, idt.limit, 0);
	hv_set(h, R_CR0, read_cr(0));
	hv_set(h, R_CR3, read_cr(3));
	hv_set(h, R_CR4, read_cr(4));
	hv_long_mode(h, true);
	hv_set(h, R_DR7, 0x400);
	hv_set(h, R_RFLAGS, 2);
	*sp = (u64)l2_return;
	hv_set(h, R_RIP, (u64)fn);
	hv_set(h, R_RSP, (u64)sp);
	h->regs[RDI] = arg;
}

/* The hypervisor of a vCPU, in 256 KiB that are zero. */
static void hv_init(struct hv *h, u64 mem, u32 cpu)
{
	u32 a, b, c, d;

	cpuid(0, 0, &a, &b, &c, &d);
	hv_intel = b == 0x756e6547;	/* "Genu" */
	h->page = mem;
	h->other = mem + 0x1000;
	h->iobm = mem + 0x2000;
	h->msrbm = mem + 0x5000;
	h->stack = mem + 0x10000;
	if (hv_intel) {
		vmx_init(h);
		vmwrite(F_HOST_TR_BASE, GUEST_TSS + cpu * 128);
	} else {
		svm_init(h);
	}
	hv_seg(h, R_TR, SEL_TSS, GUEST_TSS + cpu * 128, 103, 0x8b);
	hv_catch(h, C_DEFAULT);
	hv_exceptions(h, 0);
}

#endif
