// SPDX-License-Identifier: GPL-2.0-only
/* NMIs, interrupt windows, debugging from inside and outside, control registers, MSRs. */
#include <cpuid.h>

#include "events.h"
#include "st.h"

static struct vcpu *start(unsigned int flags, uint64_t test)
{
	struct vm *vm = vm_new(64 << 20, flags);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, events);
	vcpu_set_cpuid(v);
	vcpu_start(v, test, flags & VM_IRQCHIP, 0);
	return v;
}

static bool nmi_masked(struct vcpu *v)
{
	struct kvm_vcpu_events ev;

	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	return ev.nmi.masked;
}

/* let the instruction that exited finish, and nothing more */
static void finish_exit(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	CHECK_EQ(vcpu_run_raw(v), -EINTR);
	v->run->immediate_exit = 0;
}

/* the reports of one NMI; the second read of a port lies between them */
static void expect_nmi(struct vcpu *v, uint64_t n, bool another)
{
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.a, 10);
	CHECK_EQ(rep.b, n);
	CHECK(nmi_masked(v));
	if (another)
		OK(ioctl(v->fd, KVM_NMI));
	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, PIO_BASE);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 11);
	CHECK_EQ(rep.b, n);
	CHECK_EQ(rep.c, 0);
	CHECK(nmi_masked(v));
}

static void nmi(unsigned int flags)
{
	struct vcpu *v = start(flags, EVENTS_NMI);
	struct report rep;

	vcpu_expect_sync(v, 1);
	CHECK(!nmi_masked(v));
	OK(ioctl(v->fd, KVM_NMI));
	expect_nmi(v, 1, true);		/* the second waits for IRET */
	expect_nmi(v, 2, true);
	expect_nmi(v, 3, false);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	CHECK_EQ(rep.b, 3);
	CHECK(!nmi_masked(v));
	vcpu_expect_done(v);
}

static void nmi_masked_until_iret(void)
{
	nmi(0);
}

static void nmi_with_irqchip(void)
{
	nmi(VM_IRQCHIP);
}

/* An NMI that comes in an interrupt shadow waits for one instruction. */
static void nmi_in_shadow(void)
{
	struct vcpu *v = start(0, EVENTS_NMI_SHADOW);
	struct kvm_vcpu_events ev;
	struct kvm_regs r;
	struct report rep;

	vcpu_expect_sync(v, 1);
	finish_exit(v);
	vcpu_regs(v, &r);
	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW;
	/* not STI, behind which interrupts would have to be on */
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	OK(ioctl(v->fd, KVM_NMI));
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 10);
	CHECK(rep.b > r.rip && rep.b <= r.rip + 15);
	CHECK_EQ(rep.c, 0);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

static void interrupt_window(void)
{
	struct vcpu *v = start(0, EVENTS_WINDOW);
	struct kvm_interrupt irq = { .irq = 0x40 };
	struct report rep;

	vcpu_expect_sync(v, 1);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 0);
	CHECK_EQ(v->run->if_flag, 0);
	v->run->request_interrupt_window = 1;
	vcpu_expect_exit(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 1);
	CHECK_EQ(v->run->if_flag, 1);
	v->run->request_interrupt_window = 0;
	OK(ioctl(v->fd, KVM_INTERRUPT, &irq));
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	CHECK_EQ(rep.b, 1);
	vcpu_expect_done(v);
}

/* An interrupt queued while IF is clear is delivered by itself when it is set. */
static void interrupt_waits(void)
{
	struct vcpu *v = start(0, EVENTS_WINDOW);
	struct kvm_interrupt irq = { .irq = 0x40 };
	struct report rep;

	vcpu_expect_sync(v, 1);
	OK(ioctl(v->fd, KVM_INTERRUPT, &irq));
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	CHECK_EQ(rep.b, 1);
	vcpu_expect_done(v);
}

static void set_debug(struct vcpu *v, uint32_t control, uint64_t addr)
{
	struct kvm_guest_debug d = { .control = control };

	d.arch.debugreg[0] = addr;
	d.arch.debugreg[7] = addr ? 0x402 : 0;
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d));
}

static void debugger_steps(void)
{
	/* lengths of the instructions in step(): the last RDMSR ... NOP */
	static const uint8_t len[] = { 1, 2, 2, 2, 5, 2, 1, 1, 3, 3, 1 };
	struct vcpu *v = start(0, EVENTS_STEP);
	uint64_t pc, first;
	struct report rep;
	struct kvm_regs r;
	unsigned int i;

	vcpu_expect_sync(v, 1);
	finish_exit(v);
	set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0);
	/* the compiler may have put something before the first NOP */
	for (i = 0; i < 16; i++) {
		vcpu_regs(v, &r);
		if (*(uint8_t *)vm_ptr(v->vm, r.rip) == 0x90)
			break;
		vcpu_expect_exit(v, KVM_EXIT_DEBUG);
	}
	CHECK(i < 16);
	first = r.rip;
	pc = r.rip;
	for (i = 0; i < sizeof(len); i++) {
		vcpu_expect_exit(v, KVM_EXIT_DEBUG);
		CHECK_EQ(v->run->debug.arch.exception, 1);
		CHECK_EQ(v->run->debug.arch.dr6 & 0x4000, 0x4000);
		pc += len[i];
		CHECK_EQ(v->run->debug.arch.pc - first, pc - first);
		vcpu_regs(v, &r);
		CHECK_EQ(r.rip, pc);
		CHECK_EQ(r.rflags & 0x100, 0);
	}
	set_debug(v, 0, 0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 2);
	vcpu_expect_done(v);
}

static void guest_breakpoints(void)
{
	struct vcpu *v = start(0, EVENTS_BREAKPOINTS);
	int i;

	for (i = 1; i < 4; i++)
		vcpu_expect_sync(v, i);
	vcpu_expect_done(v);
}

static void general_detect(void)
{
	struct vcpu *v = start(0, EVENTS_GENERAL_DETECT);

	vcpu_expect_sync(v, 1);
	vcpu_expect_done(v);
}

static void guest_steps_itself(void)
{
	struct vcpu *v = start(0, EVENTS_SELF_STEP);

	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, PIO_BASE);
	vcpu_expect_sync(v, 1);
	vcpu_expect_done(v);
}

static void debugger_int3(void)
{
	struct vcpu *v = start(0, EVENTS_INT3);
	struct kvm_regs r;
	struct report rep;
	uint64_t pc;

	vcpu_expect_sync(v, 1);
	/* INT3 is the guest's */
	vcpu_expect_sync(v, 2);
	/* now the debugger's */
	set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0);
	vcpu_expect_exit(v, KVM_EXIT_DEBUG);
	CHECK_EQ(v->run->debug.arch.exception, 3);
	pc = v->run->debug.arch.pc;
	CHECK_EQ(*(uint8_t *)vm_ptr(v->vm, pc), 0xcc);
	vcpu_regs(v, &r);
	CHECK_EQ(r.rip, pc);

	/* over it */
	r.rip = pc + 1;
	vcpu_set_regs(v, &r);
	set_debug(v, 0, 0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 3);
	CHECK_EQ(rep.b, 1);	/* the second INT3 did not reach the guest */
	vcpu_expect_done(v);
}

static void debugger_breakpoint(void)
{
	struct vcpu *v = start(0, EVENTS_INT3);
	struct kvm_regs r;
	struct report rep;
	uint64_t pc;

	vcpu_expect_sync(v, 1);
	vcpu_expect_sync(v, 2);
	/* INT3 and its NOPs lie ahead */
	vcpu_regs(v, &r);
	for (pc = r.rip; memcmp(vm_ptr(v->vm, pc), "\xcc\x90\x90\x90", 4); pc++)
		CHECK(pc < r.rip + 64);
	set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, pc + 3);
	vcpu_expect_exit(v, KVM_EXIT_DEBUG);
	CHECK_EQ(v->run->debug.arch.exception, 1);
	CHECK_EQ(v->run->debug.arch.pc, pc + 3);
	CHECK_EQ(v->run->debug.arch.dr6 & 0xf, 1);
	set_debug(v, 0, 0);
	rep = vcpu_run_to_report(v);
	CHECK_EQ(rep.a, 3);
	vcpu_expect_done(v);
}

static void debugger_general_detect(void)
{
	struct kvm_guest_debug d = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg[7] = 0x400 | 1 << 13,
	};
	struct vcpu *v = start(0, EVENTS_DR_READ);

	vcpu_expect_sync(v, 1);
	/* the debugger's DR7.GD: the guest's read of DR0 is reported before it happens */
	OK(ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d));
	vcpu_expect_exit(v, KVM_EXIT_DEBUG);
	CHECK_EQ(v->run->debug.arch.exception, 1);
	CHECK_EQ(v->run->debug.arch.dr6, 0xffff2ff0);
	CHECK(v->run->debug.arch.dr7 & 1 << 13);
	CHECK(!memcmp(vm_ptr(v->vm, v->run->debug.arch.pc), "\x0f\x21", 2));
	set_debug(v, 0, 0);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

static void canonical_addresses(void)
{
	vcpu_expect_done(start(0, EVENTS_CANONICAL));
}

static void control_registers(void)
{
	struct vcpu *v = start(0, EVENTS_CONTROL);

	/* CR8 goes down: user space, which has the APIC, is told */
	vcpu_expect_exit(v, KVM_EXIT_SET_TPR);
	CHECK_EQ(v->run->cr8, 0);
	vcpu_expect_sync(v, 1);
	vcpu_expect_done(v);
}

static void control_registers_with_irqchip(void)
{
	struct vcpu *v = start(VM_IRQCHIP, EVENTS_CONTROL);

	vcpu_expect_sync(v, 1);
	vcpu_expect_done(v);
}

static void msrs(void)
{
	static const uint32_t plain[] = {
		0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
		0xc0000101, 0xc0000102, 0x174, 0x175, 0x176,
	};
	struct vcpu *v = start(0, EVENTS_MSRS);
	unsigned int i;

	vcpu_expect_sync(v, 1);
	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		CHECK_EQ(vcpu_get_msr(v, plain[i]), 0x1200 + i);
		CHECK_EQ(vcpu_set_msr(v, plain[i], 0x5600 + i), 1);
	}
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

#define MSR_PLATFORM_INFO	0xce
#define MSR_MISC_FEATURES	0x140
#define MSR_MISC_ENABLE		0x1a0
#define MSR_POWER_CTL		0x1fc
#define PLATFORM_CPUID_FAULT	BIT(31)
#define CR4_UMIP		BIT(11)
#define IN_RING_DATA		(3ull << 20)

/* A vCPU that is to execute something in ring 3 or 0; there is no IDT. */
static struct vcpu *vcpu_in_ring(unsigned int ring, uint64_t cr4, const void *code, size_t len)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rdi = IN_RING_DATA, .rflags = 0x3002 };
	struct vm *vm = vm_new(64 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	struct kvm_sregs s;

	vcpu_set_cpuid(v);
	vcpu_long_mode(v);
	memcpy(vm_ptr(vm, GUEST_CODE), code, len);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cr4 |= cr4;
	s.cs.dpl = ring;
	s.ss.dpl = ring;
	s.cs.selector |= ring;
	s.ss.selector |= ring;
	s.idt.limit = 0;
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	OK(ioctl(v->fd, KVM_SET_REGS, &regs));
	return v;
}

/* CPUID, then OUT */
static int cpuid_in_ring(unsigned int ring, uint64_t features)
{
	static const uint8_t code[] = { 0x0f, 0xa2, 0xe6, 0x10 };
	struct vcpu *v = vcpu_in_ring(ring, 0, code, sizeof(code));
	int reason;

	CHECK_EQ(vcpu_set_msr(v, MSR_MISC_FEATURES, features), 1);
	reason = vcpu_run(v);
	vm_free(v->vm);
	return reason;
}

static void cpuid_faulting(void)
{
	struct vcpu *v = vm_add_vcpu(vm_new(64 << 20, 0), 0);
	uint64_t info;

	CHECK_EQ(cpuid_in_ring(0, 0), KVM_EXIT_IO);
	CHECK_EQ(cpuid_in_ring(3, 0), KVM_EXIT_IO);
	CHECK_EQ(cpuid_in_ring(0, 1), KVM_EXIT_IO);
	CHECK_EQ(cpuid_in_ring(3, 1), KVM_EXIT_SHUTDOWN);

	info = vcpu_get_msr(v, MSR_PLATFORM_INFO);
	CHECK(info & PLATFORM_CPUID_FAULT);
	CHECK_EQ(vcpu_set_msr(v, MSR_MISC_FEATURES, 2), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_MISC_FEATURES, 1), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_PLATFORM_INFO, info & ~PLATFORM_CPUID_FAULT), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_MISC_FEATURES, 0), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_PLATFORM_INFO, info & ~PLATFORM_CPUID_FAULT), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_MISC_FEATURES, 1), 0);
}

enum store { SGDT, SIDT, SLDT, STR, SLDT_MEM, STR_MEM, SMSW, NR_STORES };

/* what a store leaves in the 16 bytes at IN_RING_DATA, or in AX */
static uint16_t stored(enum store what, const struct kvm_sregs *s, uint8_t *data)
{
	switch (what) {
	case SGDT:
	case SIDT:
		memcpy(data, what == SGDT ? &s->gdt.limit : &s->idt.limit, 2);
		memcpy(data + 2, what == SGDT ? &s->gdt.base : &s->idt.base, 8);
		return 0;
	case SLDT_MEM:
	case STR_MEM:
		memcpy(data, what == STR_MEM ? &s->tr.selector : &s->ldt.selector, 2);
		return 0;
	case SLDT:
	case STR:
		return what == STR ? s->tr.selector : s->ldt.selector;
	case SMSW:
		return s->cr0;
	default:
		return 0;
	}
}

/* @refused: the set of those that are #GP */
static void stores_in_ring(unsigned int ring, bool umip, unsigned int refused)
{
	/* to memory or to EAX, then OUT */
	static const uint8_t code[NR_STORES][5] = {
		[SGDT] = { 0x0f, 0x01, 0x07, 0xe6, 0x10 },
		[SIDT] = { 0x0f, 0x01, 0x0f, 0xe6, 0x10 },
		[SLDT] = { 0x0f, 0x00, 0xc0, 0xe6, 0x10 },
		[STR] = { 0x0f, 0x00, 0xc8, 0xe6, 0x10 },
		[SLDT_MEM] = { 0x0f, 0x00, 0x07, 0xe6, 0x10 },
		[STR_MEM] = { 0x0f, 0x00, 0x0f, 0xe6, 0x10 },
		[SMSW] = { 0x0f, 0x01, 0xe0, 0xe6, 0x10 },
	};
	struct vcpu *v = vcpu_in_ring(ring, umip ? CR4_UMIP : 0, code, sizeof(code));
	uint8_t *data = vm_ptr(v->vm, IN_RING_DATA), want[16];
	struct kvm_regs start, r;
	struct kvm_sregs s;
	unsigned int i, ax;

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.cr4 & CR4_UMIP, umip ? CR4_UMIP : 0);
	vcpu_regs(v, &start);
	for (i = 0; i < NR_STORES; i++) {
		/* a shutdown before this one has left nothing of it */
		OK(ioctl(v->fd, KVM_SET_SREGS, &s));
		start.rip = GUEST_CODE + i * sizeof(code[0]);
		vcpu_set_regs(v, &start);
		memset(data, 0x5a, 16);
		memset(want, 0x5a, 16);
		CHECK_EQ(vcpu_run(v), refused & 1 << i ? KVM_EXIT_SHUTDOWN : KVM_EXIT_IO);
		ax = refused & 1 << i ? 0 : stored(i, &s, want);
		CHECK(!memcmp(data, want, 16));
		vcpu_regs(v, &r);
		if (refused & 1 << i)
			continue;
		CHECK_EQ(r.rax & 0xffff, ax);
		/* the OUT is done with */
		v->run->immediate_exit = 1;
		CHECK_EQ(-vcpu_run_raw(v), EINTR);
		v->run->immediate_exit = 0;
	}
	vm_free(v->vm);
}

/* SDM vol. 3, 2.5, CR4.UMIP: ring 3 does not learn where the CPU's tables are. */
static void umip(void)
{
	unsigned int a, b, c, d, all = (1 << NR_STORES) - 1;

	if (!kvm_cpu_has(kvm_open(), 7, 2, 2))
		st_skip("no UMIP");
	CHECK(__get_cpuid_count(7, 0, &a, &b, &c, &d));
	stores_in_ring(0, false, 0);
	stores_in_ring(3, false, 0);
	stores_in_ring(0, true, 0);
	/* a CPU without UMIP has no exit for SMSW */
	stores_in_ring(3, true, c & BIT(2) ? all : all & ~(1 << SMSW));
}

/* KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT: whether CPUID follows IA32_MISC_ENABLE */
static void mwait_in_cpuid(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS2, .args = { 1 << 4 } };
	struct vm *vm = vm_new(64 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	struct kvm_cpuid2 *c = kvm_supported_cpuid(vm->dev);
	uint64_t enable;
	unsigned int i, quirk;

	vcpu_set_cpuid(v);
	enable = vcpu_get_msr(v, MSR_MISC_ENABLE);
	CHECK_EQ(enable, 0x1800);	/* neither BTS nor PEBS */
	CHECK_EQ(vcpu_set_msr(v, MSR_POWER_CTL, 0x1234), 1);
	CHECK_EQ(vcpu_get_msr(v, MSR_POWER_CTL), 0x1234);
	for (quirk = 1; quirk != -1u; quirk--) {
		if (!quirk)
			OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
		CHECK_EQ(vcpu_set_msr(v, MSR_MISC_ENABLE, enable), 1);
		CHECK_EQ(vcpu_set_msr(v, MSR_MISC_ENABLE, enable | BIT(18)), 1);
		OK(ioctl(v->fd, KVM_GET_CPUID2, c));
		for (i = 0; c->entries[i].function != 1; i++)
			CHECK(i + 1 < c->nent);
		CHECK_EQ(c->entries[i].ecx >> 3 & 1, !quirk);
	}
}

/*
 * The emulator writes where the guest's page table says neither accessed nor dirty:
 * both bits are set and nothing else of the entry changes. User space takes one
 * element off the guest's count while it has the exit.
 */
static void ins_to_a_clean_page(void)
{
	static const uint8_t code[] = { 0xf3, 0x6c, 0xe6, 0x11 };
	const uint64_t at = 16 << 20, entry = at | 0x87;
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rflags = 2, .rdi = at, .rcx = 3, .rdx = 0x10,
	};
	struct vm *vm = vm_new(64 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	uint64_t *pde = vm_ptr(vm, GUEST_PD + (at >> 21) * 8);

	CHECK_EQ(*pde, entry);
	vcpu_set_cpuid(v);
	vcpu_long_mode(v);
	memcpy(vm_ptr(vm, GUEST_CODE), code, sizeof(code));
	vcpu_set_regs(v, &regs);

	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, 0x10);
	CHECK_EQ(v->run->io.count, 3);
	CHECK_EQ(READ_ONCE(*pde), entry | 0x60);
	memcpy((uint8_t *)v->run + v->run->io.data_offset, "abc", 3);
	vcpu_regs(v, &regs);
	regs.rcx = 2;
	vcpu_set_regs(v, &regs);

	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, 0x11);
	vcpu_regs(v, &regs);
	CHECK_EQ(regs.rcx, 0);
	CHECK_EQ(regs.rdi, at + 2);
	CHECK(!memcmp(vm_ptr(vm, at), "ab", 3));
}

/* MCi_STATUS, MCi_CTL2 and the LAPIC's registers that a corrected error concerns */
#define MCI_VALID		BIT(63)
#define MCI_UNCORRECTED		BIT(61)
#define MCG_CMCI_P		BIT(10)
#define CTL2_CMCI_EN		BIT(30)
#define MSR_MC0_CTL2		0x280
#define MSR_MC0_STATUS		0x401
#define CMCI_VECTOR		0x55

static bool cmci_came(struct vcpu *v)
{
	struct kvm_lapic_state s;

	OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
	return lapic_has_vector(&s, LAPIC_IRR, CMCI_VECTOR);
}

static void set_lapic_reg(struct vcpu *v, uint32_t reg, uint32_t val)
{
	struct kvm_lapic_state s;

	OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
	memcpy(s.regs + reg, &val, 4);
	OK(ioctl(v->fd, KVM_SET_LAPIC, &s));
}

static void machine_check_interrupts(void)
{
	struct vcpu *v = start(VM_IRQCHIP, EVENTS_NMI);
	struct kvm_x86_mce mce = { .bank = 1, .addr = 0x1000, .status = MCI_VALID };
	struct kvm_lapic_state s;
	uint64_t cap;
	uint32_t reg;

	OK(ioctl(v->vm->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	if (!(cap & MCG_CMCI_P)) {
		cap = MCG_CMCI_P | 2;
		FAILS(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
		st_skip("this CPU has no interrupt for machine checks");
	}

	/* without it in MCG_CAP there is neither CTL2 nor the LVT */
	cap = 2;
	OK(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap));
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_CTL2 + 1, CTL2_CMCI_EN), 0);
	OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
	CHECK_EQ((uint8_t)s.regs[0x32], 5);

	cap = MCG_CMCI_P | 2;
	OK(ioctl(v->fd, KVM_X86_SETUP_MCE, &cap));
	OK(ioctl(v->fd, KVM_GET_LAPIC, &s));
	CHECK_EQ((uint8_t)s.regs[0x32], 6);
	memcpy(&reg, s.regs + 0x2f0, 4);
	CHECK_EQ(reg, 1u << 16);

	set_lapic_reg(v, 0xf0, 0x1ff);
	set_lapic_reg(v, 0x2f0, CMCI_VECTOR);
	/* no such bank, a bit that is reserved */
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_CTL2 + 2, 0), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_CTL2 + 1, 1ull << 29), 0);

	/* corrected errors: the second of two that are waited for */
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_CTL2 + 1, CTL2_CMCI_EN | 2), 1);
	OK(ioctl(v->fd, KVM_X86_SET_MCE, &mce));
	CHECK(!cmci_came(v));
	OK(ioctl(v->fd, KVM_X86_SET_MCE, &mce));
	CHECK(cmci_came(v));

	/* one that is not corrected and needs no action: at once, but for those who want it */
	set_lapic_reg(v, 0x200 + CMCI_VECTOR / 32 * 0x10, 0);
	CHECK(!cmci_came(v));
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_STATUS + 4, 0), 1);
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_CTL2 + 1, 0), 1);
	mce.status |= MCI_UNCORRECTED;
	OK(ioctl(v->fd, KVM_X86_SET_MCE, &mce));
	CHECK(!cmci_came(v));
	CHECK_EQ(vcpu_set_msr(v, MSR_MC0_CTL2 + 1, CTL2_CMCI_EN), 1);
	OK(ioctl(v->fd, KVM_X86_SET_MCE, &mce));
	CHECK(cmci_came(v));
}

/* ---- exits that user space chooses ------------------------------------------------ */

#define DISABLE_EXITS(vm, mask)	kvm_enable((vm)->fd, KVM_CAP_X86_DISABLE_EXITS, mask)

static bool host_has_aperfmperf(void)
{
	uint32_t a, b, c, d;

	__cpuid(0, a, b, c, d);
	if (a < 6)
		return false;
	__cpuid(6, a, b, c, d);
	return c & 1;
}

static void exits_to_disable(void)
{
	struct vm *vm = vm_new(0x200000, 0);
	int valid = kvm_cap(vm->fd, KVM_CAP_X86_DISABLE_EXITS), i;
	bool kept = st_param_is("kvm", "mitigate_smt_rsb", 'Y');

	CHECK(valid > 0);
	CHECK(valid & KVM_X86_DISABLE_EXITS_PAUSE);
	CHECK_EQ(!!(valid & KVM_X86_DISABLE_EXITS_HLT), !kept);
	CHECK_EQ(!!(valid & KVM_X86_DISABLE_EXITS_CSTATE), !kept);
	CHECK_EQ(!!(valid & KVM_X86_DISABLE_EXITS_APERFMPERF), host_has_aperfmperf());
	for (i = 0; i < 64; i++) {
		if (valid & 1ull << i)
			OK(DISABLE_EXITS(vm, 1ull << i));
		else
			FAILS(DISABLE_EXITS(vm, 1ull << i), EINVAL);
	}
	OK(DISABLE_EXITS(vm, valid));
	vm_add_vcpu(vm, 0);
	FAILS(DISABLE_EXITS(vm, KVM_X86_DISABLE_EXITS_PAUSE), EINVAL);
}

static struct vcpu *start_msrs(unsigned int flags, uint64_t exits_off, uint64_t reasons)
{
	struct vm *vm = vm_new(64 << 20, flags);
	struct vcpu *v;

	if (exits_off)
		OK(DISABLE_EXITS(vm, exits_off));
	OK(kvm_enable(vm->fd, KVM_CAP_X86_USER_SPACE_MSR, reasons));
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, events);
	vcpu_start(v, EVENTS_READ_MSRS, 0, 0);
	vcpu_expect_sync(v, 1);
	return v;
}

static void ask(struct vcpu *v, uint32_t index, uint64_t how, uint64_t value)
{
	uint64_t *a = vm_ptr(v->vm, GUEST_SHARED);

	a[0] = index;
	a[1] = how;
	a[2] = value;
}

/* the guest is through, with what fault (-1: none) and value */
static void told(struct vcpu *v, int64_t fault, uint64_t value)
{
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.a, 100);
	CHECK_EQ(rep.b, fault);
	CHECK_EQ(rep.c, value);
	CHECK_EQ(vcpu_run_to_report(v).kind, REPORT_SYNC);
}

/* an access that user space gets nothing of: a read gives @value, a write has it */
static void accesses(struct vcpu *v, uint32_t index, uint64_t how, int64_t fault, uint64_t value)
{
	ask(v, index, how, how & READ_MSRS_WRITE ? value : 0);
	told(v, fault, value);
}

/* user space gets the access, and answers with an error or a value */
static void answers(struct vcpu *v, uint32_t index, uint64_t how, uint32_t reason, bool error)
{
	bool write = how & READ_MSRS_WRITE;

	ask(v, index, how, 0x11223344556677);
	vcpu_expect_exit(v, write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
	CHECK_EQ(v->run->msr.index, index);
	CHECK_EQ(v->run->msr.reason, reason);
	CHECK_EQ(v->run->msr.error, 0);
	if (write)
		CHECK_EQ(v->run->msr.data, 0x11223344556677);
	v->run->msr.data = 0x8899aabbccddee;
	v->run->msr.error = error;
	told(v, error ? 13 : -1, write ? 0x11223344556677 : error ? 0 : 0x8899aabbccddee);
}

#define MSR_CORE_C3_RES		0x3fc
#define MSR_CORE_C1_RES		0x660
#define MSR_PKG_C3_RES		0x3f8
#define MSR_APERF		0xe8
#define MSR_MPERF		0xe7

/* Reads that no exit is wanted for: of the CPU's own registers, so #GP where it has none. */
static void reads_without_exit(const uint32_t *msrs, unsigned int n, uint64_t off, bool direct)
{
	const uint32_t unknown = KVM_MSR_EXIT_REASON_UNKNOWN;
	struct vcpu *v = start_msrs(0, 0, unknown);
	struct report rep;
	unsigned int i;

	for (i = 0; i < n; i++)
		answers(v, msrs[i], 0, unknown, false);
	v = start_msrs(0, off, unknown);
	for (i = 0; i < n; i++) {
		/* no write is let through */
		answers(v, msrs[i], READ_MSRS_WRITE, unknown, true);
		if (!direct) {
			answers(v, msrs[i], 0, unknown, false);
			continue;
		}
		ask(v, msrs[i], 0, 0);
		rep = vcpu_run_to_report(v);
		CHECK_EQ(rep.a, 100);
		CHECK_EQ(vcpu_run_to_report(v).kind, REPORT_SYNC);
	}
	answers(v, MSR_PKG_C3_RES, 0, unknown, false);
}

#define MSR_FEAT_CTL		0x3a
#define FEAT_LOCKED		BIT(0)
#define FEAT_LMCE		BIT(20)
#define MSR_MCG_EXT_CTL		0x4d0
#define MCG_SER_P		BIT(24)
#define MCG_LMCE_P		BIT(27)

/* Machine checks for one CPU: firmware enables and locks, then the guest may ask for them. */
static void machine_check_local(void)
{
	struct vcpu *v = start_msrs(VM_IRQCHIP, 0, 0);
	uint64_t cap, wanted = MCG_SER_P | MCG_LMCE_P | 2;

	OK(ioctl(v->vm->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	if (!(cap & MCG_LMCE_P)) {
		FAILS(ioctl(v->fd, KVM_X86_SETUP_MCE, &wanted), EINVAL);
		CHECK_EQ(vcpu_set_msr(v, MSR_MCG_EXT_CTL, 0), 0);
		st_skip("this CPU has no machine checks for one CPU alone");
	}
	CHECK_EQ(kvm_msr_listed(v->vm->dev, MSR_FEAT_CTL), 1);
	CHECK_EQ(kvm_msr_listed(v->vm->dev, MSR_MCG_EXT_CTL), 1);

	/* not to be enabled without a machine that has it */
	accesses(v, MSR_FEAT_CTL, 0, -1, 0);
	accesses(v, MSR_MCG_EXT_CTL, 0, 13, 0);
	accesses(v, MSR_MCG_EXT_CTL, READ_MSRS_WRITE, 13, 1);
	accesses(v, MSR_FEAT_CTL, READ_MSRS_WRITE, 13, FEAT_LMCE);
	CHECK_EQ(vcpu_set_msr(v, MSR_FEAT_CTL, FEAT_LMCE), 0);

	OK(ioctl(v->fd, KVM_X86_SETUP_MCE, &wanted));
	accesses(v, MSR_MCG_EXT_CTL, READ_MSRS_WRITE, 13, 1);
	accesses(v, MSR_FEAT_CTL, READ_MSRS_WRITE, 13, FEAT_LMCE | BIT(8));
	accesses(v, MSR_FEAT_CTL, READ_MSRS_WRITE, -1, FEAT_LMCE | FEAT_LOCKED);
	accesses(v, MSR_FEAT_CTL, READ_MSRS_WRITE, 13, FEAT_LOCKED);
	accesses(v, MSR_FEAT_CTL, 0, -1, FEAT_LMCE | FEAT_LOCKED);
	accesses(v, MSR_MCG_EXT_CTL, READ_MSRS_WRITE, 13, 2);
	accesses(v, MSR_MCG_EXT_CTL, READ_MSRS_WRITE, -1, 1);
	accesses(v, MSR_MCG_EXT_CTL, 0, -1, 1);
	CHECK_EQ(vcpu_get_msr(v, MSR_MCG_EXT_CTL), 1);

	/* user space is not held up by the lock */
	CHECK_EQ(vcpu_set_msr(v, MSR_MCG_EXT_CTL, 2), 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_MCG_EXT_CTL, 0), 1);
	accesses(v, MSR_MCG_EXT_CTL, 0, -1, 0);
	CHECK_EQ(vcpu_set_msr(v, MSR_FEAT_CTL, 0), 1);
	accesses(v, MSR_MCG_EXT_CTL, 0, 13, 0);
	accesses(v, MSR_FEAT_CTL, READ_MSRS_WRITE, -1, FEAT_LOCKED);
}

static void cstate_reads(void)
{
	static const uint32_t msrs[] = {
		MSR_CORE_C1_RES, MSR_CORE_C3_RES, MSR_CORE_C3_RES + 1, MSR_CORE_C3_RES + 2,
	};

	/* AMD's CPUs have no such registers, and nothing happens there */
	reads_without_exit(msrs, ARRAY_SIZE(msrs), KVM_X86_DISABLE_EXITS_CSTATE, host_is_intel());
}

static void aperfmperf_reads(void)
{
	static const uint32_t msrs[] = { MSR_APERF, MSR_MPERF };

	if (!host_has_aperfmperf())
		st_skip("the host's CPU has no APERF and MPERF");
	if (!kvm_is_oot())
		st_skip("only the newest of the kernel's own modules let these be read");
	reads_without_exit(msrs, ARRAY_SIZE(msrs), KVM_X86_DISABLE_EXITS_APERFMPERF, true);
}

/* ---- the MSR filter --------------------------------------------------------------- */

#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_NONE		0x12345

static int set_filter(struct vcpu *v, uint32_t flags, uint32_t range_flags, uint32_t base,
		      uint32_t n, uint8_t bits)
{
	static uint8_t bitmap[0x608];
	struct kvm_msr_filter f = { .flags = flags, .ranges[3] = {
		.flags = range_flags, .base = base, .nmsrs = n, .bitmap = bitmap } };

	memset(bitmap, bits, sizeof(bitmap));
	return ioctl(v->vm->fd, KVM_X86_SET_MSR_FILTER, &f);
}

static void filter_refused(void)
{
	struct vcpu *v = vm_add_vcpu(vm_new(0x200000, 0), 0);
	const uint32_t rw = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	unsigned int i;

	for (i = 0; i < 32; i++) {
		if (1u << i == KVM_MSR_FILTER_DEFAULT_DENY)
			OK(set_filter(v, 1u << i, rw, 0, 8, 0xff));
		else
			FAILS(set_filter(v, 1u << i, rw, 0, 8, 0xff), EINVAL);
		if (1u << i & rw)
			OK(set_filter(v, 0, 1u << i, 0, 8, 0xff));
		else
			FAILS(set_filter(v, 0, 1u << i, 0, 8, 0xff), EINVAL);
	}
	FAILS(set_filter(v, KVM_MSR_FILTER_DEFAULT_DENY, 0, 0, 0, 0), EINVAL);
	OK(set_filter(v, 0, rw, 0, 0x600 * 8, 0));
	FAILS(set_filter(v, 0, rw, 0, 0x600 * 8 + 1, 0), EINVAL);
	FAILS(set_filter(v, 0, rw, 0, ~0u, 0), EINVAL);
	OK(set_filter(v, 0, 0, 0, 0, 0));
	for (i = 3; i < 64; i++)
		FAILS(kvm_enable(v->vm->fd, KVM_CAP_X86_USER_SPACE_MSR, 1ull << i), EINVAL);
}

/* A register that the guest reaches by itself, until a filter says no, and again after it. */
static void filter_intercepts(uint64_t forced)
{
	const uint32_t filtered = KVM_MSR_EXIT_REASON_FILTER, rd = KVM_MSR_FILTER_READ;
	struct vcpu *v = start_msrs(VM_IRQCHIP, 0, filtered);
	const uint32_t wr = KVM_MSR_FILTER_WRITE;
	unsigned int round;

	for (round = 0; round < 2; round++) {
		accesses(v, MSR_KERNEL_GS_BASE, READ_MSRS_WRITE | forced, -1, 0x1230);
		accesses(v, MSR_KERNEL_GS_BASE, forced, -1, 0x1230);

		OK(set_filter(v, 0, rd, MSR_KERNEL_GS_BASE, 1, 0));
		answers(v, MSR_KERNEL_GS_BASE, forced, filtered, false);
		answers(v, MSR_KERNEL_GS_BASE, forced, filtered, true);
		accesses(v, MSR_KERNEL_GS_BASE, READ_MSRS_WRITE | forced, -1, 0x4560);

		OK(set_filter(v, 0, wr, MSR_KERNEL_GS_BASE - 5, 6, 0));
		answers(v, MSR_KERNEL_GS_BASE, READ_MSRS_WRITE | forced, filtered, false);
		answers(v, MSR_KERNEL_GS_BASE, READ_MSRS_WRITE | forced, filtered, true);
		accesses(v, MSR_KERNEL_GS_BASE, forced, -1, 0x4560);
		/* user space is never filtered */
		CHECK_EQ(vcpu_set_msr(v, MSR_KERNEL_GS_BASE, 0x7890), 1);

		/* whoever is not named: the APIC's never are */
		OK(set_filter(v, KVM_MSR_FILTER_DEFAULT_DENY, rd | wr, MSR_KERNEL_GS_BASE, 1,
			      0xff));
		accesses(v, MSR_KERNEL_GS_BASE, forced, -1, 0x7890);
		answers(v, 0x174, forced, filtered, false);
		/* not in this mode, and no filter's business */
		accesses(v, 0x803, forced, 13, 0);
		/* no reason that was asked for: the guest's fault */
		OK(kvm_enable(v->vm->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN));
		accesses(v, 0x174, forced, 13, 0);
		OK(kvm_enable(v->vm->fd, KVM_CAP_X86_USER_SPACE_MSR, filtered));
		/* none at all */
		OK(set_filter(v, 0, 0, 0, 0, 0));
	}
	OK(kvm_enable(v->vm->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN |
		      KVM_MSR_EXIT_REASON_INVAL));
	answers(v, MSR_NONE, forced, KVM_MSR_EXIT_REASON_UNKNOWN, false);
	answers(v, MSR_NONE, READ_MSRS_WRITE | forced, KVM_MSR_EXIT_REASON_UNKNOWN, true);
	/* not canonical, and reserved bits of EFER */
	ask(v, 0xc0000080, READ_MSRS_WRITE | forced, 1ull << 62);
	vcpu_expect_exit(v, KVM_EXIT_X86_WRMSR);
	CHECK_EQ(v->run->msr.reason, KVM_MSR_EXIT_REASON_INVAL);
	v->run->msr.error = 1;
	told(v, 13, 1ull << 62);
	ask(v, 0, 0, 0);
	vcpu_expect_done(v);
}

#define MSR_ARCH_CAPABILITIES	0x10a
#define ARCH_CAP_PSCHANGE_MC_NO	BIT(6)

static uint64_t feature_msr(int dev, uint32_t index)
{
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e;
	} m = { .m.nmsrs = 1, .e.index = index };

	CHECK_EQ(OK(ioctl(dev, KVM_GET_MSRS, &m)), 1);
	return m.e.data;
}

/* A guest of its own whose CPUID is @c. */
static struct vcpu *start_told(struct kvm_cpuid2 *c, uint64_t test, uint64_t arg)
{
	struct vm *vm = vm_new(64 << 20, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);

	PAYLOAD(vm, events);
	vcpu_start(v, test, arg, 0);
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	return v;
}

/* IA32_ARCH_CAPABILITIES: what /dev/kvm says, what a vCPU begins with, what its guest reads */
static void arch_capabilities(void)
{
	struct vm *vm = vm_new(64 << 20, 0);
	uint64_t all = feature_msr(vm->dev, MSR_ARCH_CAPABILITIES);
	struct kvm_cpuid2 *c = kvm_supported_cpuid(vm->dev);
	struct kvm_cpuid_entry2 *leaf7 = cpuid_entry(c, 7);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	unsigned int i;

	if (kvm_is_oot())
		CHECK_EQ(leaf7->edx >> 29 & 1, host_is_intel());
	CHECK(all & ARCH_CAP_PSCHANGE_MC_NO);
	CHECK_EQ(vcpu_get_msr(v, MSR_ARCH_CAPABILITIES), all);
	CHECK_EQ(vcpu_set_msr(v, MSR_ARCH_CAPABILITIES, all & ~ARCH_CAP_PSCHANGE_MC_NO), 1);
	CHECK_EQ(vcpu_get_msr(v, MSR_ARCH_CAPABILITIES), all & ~ARCH_CAP_PSCHANGE_MC_NO);

	/* a guest's by its CPUID, whatever the CPU's */
	for (i = 0; i < 2; i++) {
		leaf7->edx = (leaf7->edx & ~BIT(29)) | (i ? BIT(29) : 0);
		v = start_told(c, EVENTS_READ_MSRS, 0);
		vcpu_expect_sync(v, 1);
		accesses(v, MSR_ARCH_CAPABILITIES, 0, i ? -1 : 13, i ? all : 0);
		accesses(v, MSR_ARCH_CAPABILITIES, READ_MSRS_WRITE, 13, all);
	}
	free(c);
}

/*
 * KVM_GET_EMULATED_CPUID: what a guest may be given although the CPU has it not. Its
 * instruction is carried out where its CPUID has it, and is #UD where it has not.
 */
static void emulated_insn(uint32_t function, unsigned int bit, uint64_t payload, uint64_t arg)
{
	int dev = kvm_open();
	bool native = kvm_cpu_has(dev, function, 2, bit), emulated;
	struct kvm_cpuid2 *c = kvm_supported_cpuid(dev), *e = calloc(1, 8192);
	struct kvm_cpuid_entry2 *leaf = cpuid_entry(c, function);
	struct report rep;
	unsigned int on;
	struct vcpu *v;

	e->nent = 100;
	OK(ioctl(dev, KVM_GET_EMULATED_CPUID, e));
	emulated = cpuid_entry(e, function)->ecx >> bit & 1;
	free(e);
	if (!emulated)
		st_skip("not emulated on this CPU");
	for (on = 0; on < 2; on++) {
		leaf->ecx = (leaf->ecx & ~(1u << bit)) | on << bit;
		v = start_told(c, payload, arg);
		CHECK_EQ(vcpu_set_msr(v, 0xc0000103, arg), 1);
		rep = vcpu_run_to_report(v);
		CHECK_EQ(rep.a, 1);
		if (on)
			CHECK_EQ(rep.b, -1);
		else if (!native)
			CHECK_EQ(rep.b, 6);
		vcpu_expect_done(v);
	}
	free(c);
	st_note("the CPU has it%s", native ? "" : " not");
}

static void need_tsc_aux(void)
{
	if (!kvm_cpu_has(kvm_open(), 0x80000001, 3, 27))
		st_skip("the CPU has no RDTSCP, so no TSC_AUX");
}

static void rdpid_emulated(void)
{
	need_tsc_aux();
	emulated_insn(7, 22, EVENTS_RDPID, 0x9abcdef0);
}

static void movbe_emulated(void)
{
	emulated_insn(1, 22, EVENTS_MOVBE, 0);
}

/* TSC_AUX has 32 bits: Intel's CPUs refuse more, AMD's cut off (which one, CPUID tells) */
static void tsc_aux_upper_half(void)
{
	static const char * const names[] = { "GenuntelineI", "AuthcAMDenti" };
	const uint64_t value = 0x1200000034;
	struct kvm_cpuid2 *c = kvm_supported_cpuid(kvm_open());
	unsigned int amd;
	struct vcpu *v;

	need_tsc_aux();
	for (amd = 0; amd < 2; amd++) {
		memcpy(&cpuid_entry(c, 0)->ebx, names[amd], 12);
		v = start_told(c, EVENTS_READ_MSRS, 0);
		vcpu_expect_sync(v, 1);
		accesses(v, 0xc0000103, READ_MSRS_WRITE, -1, 0x12345678);
		accesses(v, 0xc0000103, READ_MSRS_WRITE, amd ? -1 : 13, value);
		accesses(v, 0xc0000103, 0, -1, amd ? 0x34 : 0x12345678);
		CHECK_EQ(vcpu_set_msr(v, 0xc0000103, value), amd);
	}
	free(c);
}

/* KVM_X86_QUIRK_STUFF_FEATURE_MSRS: user space's to set, or as complete as can be */
static void feature_msrs_quirk(void)
{
	static const uint32_t msrs[] = { MSR_ARCH_CAPABILITIES, 0x8b, 0xce };
	struct vm *vm = vm_new(0x200000, 0), *without = vm_new(0x200000, 0);
	struct vcpu *v, *w;
	unsigned int i;

	if (!(kvm_cap(vm->fd, KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_STUFF_FEATURE_MSRS)) {
		CHECK(!kvm_is_oot());
		st_skip("no KVM_X86_QUIRK_STUFF_FEATURE_MSRS");
	}
	OK(kvm_enable(without->fd, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_STUFF_FEATURE_MSRS));
	v = vm_add_vcpu(vm, 0);
	w = vm_add_vcpu(without, 0);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		CHECK(vcpu_get_msr(v, msrs[i]));
		CHECK_EQ(vcpu_get_msr(w, msrs[i]), 0);
		CHECK_EQ(vcpu_set_msr(w, msrs[i], vcpu_get_msr(v, msrs[i])), 1);
		CHECK_EQ(vcpu_get_msr(w, msrs[i]), vcpu_get_msr(v, msrs[i]));
	}
}

static void msr_filter(void)
{
	filter_intercepts(0);
}

static void force_emulation(const char *on)
{
	int fd = open("/sys/module/kvm/parameters/force_emulation_prefix", O_WRONLY);

	if (fd < 0)
		st_skip("no parameter force_emulation_prefix");
	CHECK_EQ(write(fd, on, 1), 1);
	close(fd);
}

static void msr_filter_emulated(void)
{
	force_emulation("1");
	filter_intercepts(READ_MSRS_FORCED);
	force_emulation("0");
}

/* ---- exits that protect the host -------------------------------------------------- */

#define BUS_LOCKS(vm, mode)	kvm_enable((vm)->fd, KVM_CAP_X86_BUS_LOCK_EXIT, mode)
#define NOTIFY(vm, arg)		kvm_enable((vm)->fd, KVM_CAP_X86_NOTIFY_VMEXIT, arg)

static void bus_lock_modes(void)
{
	const uint64_t off = KVM_BUS_LOCK_DETECTION_OFF, on = KVM_BUS_LOCK_DETECTION_EXIT;
	struct vm *vm = vm_new(0x200000, 0);
	int modes = kvm_cap(vm->fd, KVM_CAP_X86_BUS_LOCK_EXIT);

	CHECK(!modes || modes == (off | on));
	FAILS(BUS_LOCKS(vm, off | on), EINVAL);
	FAILS(BUS_LOCKS(vm, 4), EINVAL);
	FAILS(BUS_LOCKS(vm, 1ull << 32 | on), EINVAL);
	OK(BUS_LOCKS(vm, off));
	if (modes)
		OK(BUS_LOCKS(vm, on));
	else
		FAILS(BUS_LOCKS(vm, on), EINVAL);
}

static void bus_lock_exits(void)
{
	struct vm *vm = vm_new(64 << 20, 0);
	bool before = !host_is_intel();
	struct kvm_regs r, again;
	struct vcpu *v;
	int i;

	if (!kvm_cap(vm->fd, KVM_CAP_X86_BUS_LOCK_EXIT))
		st_skip("the host's CPU does not tell of bus locks");
	OK(BUS_LOCKS(vm, KVM_BUS_LOCK_DETECTION_EXIT));
	v = vm_add_vcpu(vm, 0);
	PAYLOAD(vm, events);
	vcpu_start(v, EVENTS_SPLIT_LOCK, 0, 0);
	vcpu_expect_sync(v, 1);
	for (i = 0; i < 3; i++) {
		CHECK(!(v->run->flags & KVM_RUN_X86_BUS_LOCK));
		vcpu_expect_exit(v, KVM_EXIT_X86_BUS_LOCK);
		CHECK(v->run->flags & KVM_RUN_X86_BUS_LOCK);
		vcpu_regs(v, &r);
		finish_exit(v);
		vcpu_regs(v, &again);
		/* AMD: at the instruction, which is to come; Intel: past it */
		CHECK_EQ(again.rip, r.rip);
		CHECK_EQ(*(uint8_t *)vm_ptr(vm, r.rip) == 0xf0, before);
	}
	vcpu_expect_sync(v, 2);
	CHECK(!(v->run->flags & KVM_RUN_X86_BUS_LOCK));
	vcpu_expect_done(v);
}

static void notify_window(void)
{
	const uint64_t on = KVM_X86_NOTIFY_VMEXIT_ENABLED, user = KVM_X86_NOTIFY_VMEXIT_USER;
	struct vm *vm = vm_new(0x200000, 0);
	bool has = kvm_cap(vm->fd, KVM_CAP_X86_NOTIFY_VMEXIT);

	FAILS(NOTIFY(vm, 0), EINVAL);
	FAILS(NOTIFY(vm, user), EINVAL);
	FAILS(NOTIFY(vm, on | 4), EINVAL);
	FAILS(NOTIFY(vm, 1ull << 32 | 1ull << 31 | on), EINVAL);
	if (!has) {
		FAILS(NOTIFY(vm, 0x10000ull << 32 | on), EINVAL);
		st_note("the host's CPU has no notify exits");
		return;
	}
	OK(NOTIFY(vm, 0x10000ull << 32 | on));
	OK(NOTIFY(vm, on | user));
	vm_add_vcpu(vm, 0);
	FAILS(NOTIFY(vm, on), EINVAL);
}

static const struct st_test tests[] = {
	{ "nmi_masked_until_iret", nmi_masked_until_iret },
	{ "nmi_with_irqchip", nmi_with_irqchip },
	{ "nmi_in_shadow", nmi_in_shadow },
	{ "interrupt_window", interrupt_window },
	{ "interrupt_waits", interrupt_waits },
	{ "debugger_steps", debugger_steps },
	{ "guest_breakpoints", guest_breakpoints },
	{ "guest_steps_itself", guest_steps_itself },
	{ "general_detect", general_detect },
	{ "debugger_int3", debugger_int3 },
	{ "debugger_breakpoint", debugger_breakpoint },
	{ "debugger_general_detect", debugger_general_detect },
	{ "machine_check_interrupts", machine_check_interrupts },
	{ "machine_check_local", machine_check_local },
	{ "control_registers", control_registers },
	{ "control_registers_with_irqchip", control_registers_with_irqchip },
	{ "msrs", msrs },
	{ "canonical_addresses", canonical_addresses },
	{ "cpuid_faulting", cpuid_faulting },
	{ "umip", umip },
	{ "mwait_in_cpuid", mwait_in_cpuid },
	{ "ins_to_a_clean_page", ins_to_a_clean_page },
	{ "exits_to_disable", exits_to_disable },
	{ "cstate_reads", cstate_reads },
	{ "aperfmperf_reads", aperfmperf_reads },
	{ "filter_refused", filter_refused },
	{ "arch_capabilities", arch_capabilities },
	{ "feature_msrs_quirk", feature_msrs_quirk },
	{ "tsc_aux_upper_half", tsc_aux_upper_half },
	{ "rdpid_emulated", rdpid_emulated },
	{ "movbe_emulated", movbe_emulated },
	{ "msr_filter", msr_filter },
	{ "msr_filter_emulated", msr_filter_emulated },
	{ "bus_lock_modes", bus_lock_modes },
	{ "bus_lock_exits", bus_lock_exits },
	{ "notify_window", notify_window },
	{}
};

ST_MAIN("events", tests)
