/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/irq.c, and what it asks of the host. */
#ifndef SELFTEST_IRQ_H
#define SELFTEST_IRQ_H

enum {
	/* one vCPU, in both modes of its APIC */
	IRQ_REGISTERS, IRQ_TASK_PRIORITY, IRQ_IN_SERVICE, IRQ_SOFTWARE_DISABLE, IRQ_TRIGGER_MODE,
	IRQ_ERRORS, IRQ_SELF, IRQ_DIVIDE, IRQ_TIMER_MODES, IRQ_TIMER_MASKED, IRQ_EXTINT,
	IRQ_BASE, IRQ_LINT0, IRQ_LINT1, IRQ_NO_CMCI, IRQ_CMCI,
	/* several vCPUs: the first sends, the others take */
	IRQ_DESTINATIONS, IRQ_START_UP, IRQ_SMI, IRQ_HIGH_IDS, IRQ_DEVICES,
	IRQ_MANY_IDS, IRQ_MSI_8_BITS, IRQ_RING,
	/* the chips */
	IRQ_IOAPIC_REGISTERS, IRQ_IOAPIC_PINS, IRQ_IOAPIC_LEVEL, IRQ_IOAPIC_MASK,
	IRQ_IOAPIC_DELIVERY, IRQ_IOAPIC_SHARED, IRQ_IOAPIC_REWRITTEN, IRQ_IOAPIC_OVERRIDE,
	IRQ_IOAPIC_RTC,
	IRQ_PIC_INIT, IRQ_PIC_PRIORITIES, IRQ_PIC_ROTATION, IRQ_PIC_AUTO_EOI,
	IRQ_PIC_SPECIAL_MASK,
	IRQ_PIC_POLL, IRQ_PIC_CASCADE, IRQ_PIC_LEVEL, IRQ_PIC_SLAVE, IRQ_PIC_WITHDRAWN,
	IRQ_PIC_RACE,
	IRQ_PIT_ACCESS, IRQ_PIT_MODES, IRQ_PIT_GATE, IRQ_PIT_INTERRUPTS, IRQ_PIT_ROUTES,
	IRQ_PIT_LOST, IRQ_PIT_STATE,
	/* driven by the host */
	IRQ_SPLIT, IRQ_NO_CHIP, IRQ_COUNTS, IRQ_LEVEL_COUNTS, IRQ_WRITES,
	/* long ones */
	IRQ_PING_PONG, IRQ_TIMER_STORM,
};

/* first argument: bits, and which of the vCPUs this is */
#define IRQ_X2		1
#define IRQ_NO_IOAPIC	2
#define IRQ_CPU_SHIFT	8

/*
 * Stage of a report with which the guest asks the host for something. The answer is in
 * the vCPU's word of the page GUEST_SHARED.
 */
enum {
	CALL_LINE = 0x100,	/* GSI, level: KVM_IRQ_LINE_STATUS; its status */
	CALL_MSI,		/* address, data: KVM_SIGNAL_MSI; what it returned */
	CALL_ROUTES,		/* ROUTE_*, offset */
	CALL_SLEEP,		/* us */
	CALL_REINJECT,		/* on or off */
	CALL_PIT_STATE,		/* GET_PIT2 and SET_PIT2 */
	CALL_HPET,		/* KVM_PIT_FLAGS_HPET_LEGACY on or off */
	CALL_LINT1,		/* KVM_NMI, if LVT LINT1 would have one; whether */
	CALL_NMI,		/* KVM_NMI */
	CALL_MCE,		/* bank, whether it is an uncorrected error: KVM_X86_SET_MCE */
};

enum { ROUTE_IOAPIC, ROUTE_PIC, ROUTE_BOTH, ROUTE_OVERRIDE };

/* a real-mode vCPU counts itself there, by the APIC id of its CPUID: 16 bits each */
#define IRQ_STARTED	(GUEST_SHARED + 0x800)
#define IRQ_SMIS	(GUEST_SHARED + 0xa00)
/* what the host knows of a long run: a struct irq_run for each vCPU */
#define IRQ_RUNS	(GUEST_SHARED + 0x100)

struct irq_run {
	unsigned long long stop, sent, received, shadows, spare[4];
};

#define IRQ_MAX_CPUS	8
#define IRQ_VECTOR	0x60	/* of the tests that the host drives */
#define IRQ_GSI		20
#define IRQ_HIGH_ID	300

/* ids of the vCPUs of IRQ_MANY_IDS: the last and the first of 8 bits, the last of all */
#define IRQ_IDS		{ 0, 255, 256, 1000, 4095 }
#define IRQ_NR_IDS	5

/* a small stack for each vCPU of IRQ_RING; its second argument is the number of them */
#define IRQ_RING_STACKS	0x400000
#define IRQ_RING_STACK	4096
#define IRQ_RING_MAX	1024
#define IRQ_RING_ROUNDS	2

/* id of the one at @i: spread over all ids, the first and the last of them included */
static inline unsigned int irq_ring_id(unsigned int i, unsigned int n, unsigned int max)
{
	return i + 1 == n ? max - 1 : i * (max / n);
}

#endif
