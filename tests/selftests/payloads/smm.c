// SPDX-License-Identifier: GPL-2.0-only
/* What runs outside of SMM, in long mode. Test numbers: smm.h */
#include "guest.h"
#include "smm.h"

#define APIC_BASE_MSR	0x1b
#define X2APIC_ENABLE	0x400
#define XAPIC_ICR	0xfee00300ul
#define XAPIC_ICR2	0xfee00310ul
#define X2APIC_ICR	0x830
#define ICR_SMI		0x4200	/* to the APIC that is named, level asserted */

static u64 nmis;

static void on_nmi(struct frame *f)
{
	nmis++;
}

static void on_ud(struct frame *f)
{
	f->rip += 2;	/* RSM */
	SYNC(3);
}

static void watch(void)
{
	for (;;)
		SYNC2(1, READ_ONCE(nmis) << 32 | READ_ONCE(*(u32 *)SMM_SAME),
		      READ_ONCE(*(u32 *)SMM_OTHER));
}

void guest_main(u64 test, u64 arg0, u64 arg1)
{
	idt_init();
	set_handler(2, on_nmi);
	set_handler(6, on_ud);
	switch (test) {
	case SMM_WATCH:
		watch();
		break;
	case SMM_XAPIC:
		SYNC(1);
		mmio_write32(XAPIC_ICR2, 0);
		mmio_write32(XAPIC_ICR, ICR_SMI);
		SYNC(2);
		break;
	case SMM_X2APIC:
		wrmsr(APIC_BASE_MSR, rdmsr(APIC_BASE_MSR) | X2APIC_ENABLE);
		SYNC(1);
		wrmsr(X2APIC_ICR, ICR_SMI);
		SYNC(2);
		break;
	case SMM_PEEK:
		SYNC2(1, READ_ONCE(*(u32 *)(SMM_BASE + 0x8000)), 0);
		break;
	case SMM_RSM:
		SYNC(1);
		asm volatile("rsm");
		SYNC(2);
		break;
	case SMM_HLT:
		cli();
		SYNC(1);
		asm volatile("hlt");
		SYNC(2);
		break;
	}
}
