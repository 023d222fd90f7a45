// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that counts the interrupts of a device, whatever it does meanwhile. The
 * second argument is the number of its vCPU.
 */
#include "guest.h"
#include "posting.h"

#define MODE_X2		BIT(10)

static u64 id_of[2];

static void count(struct frame *f)
{
	u64 *counts = (u64 *)POSTING_COUNTS;
	u64 *c = &counts[id_of[x2apic_read(APIC_ID) & 1] * 256 + f->vector];

	WRITE_ONCE(*c, READ_ONCE(*c) + 1);
	x2apic_write(APIC_EOI, 0);
}

void guest_main(u64 what, u64 arg, u64 id)
{
	unsigned int i;

	for (i = POSTING_VECTOR; i <= POSTING_LAST; i++)
		set_handler(i, count);
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | MODE_X2);
	x2apic_write(APIC_SPIV, 0x1ff);
	x2apic_write(APIC_TPR, 0);
	id_of[x2apic_read(APIC_ID) & 1] = id;
	SYNC(1);
	while (!READ_ONCE(*(u64 *)POSTING_STOP)) {
		if (arg & POSTING_HALTS) {
			sti_hlt_cli();
			continue;
		}
		sti_nop_cli();
		cpu_pause();
		if (arg & POSTING_LEAVES)
			SYNC(2);
	}
}
