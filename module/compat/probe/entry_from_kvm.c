// SPDX-License-Identifier: GPL-2.0-only
/* x86_entry_from_kvm(): hands over what ended a guest, whether by IDT or by FRED */
#include <linux/entry-common.h>
#include <asm/trapnr.h>

void probe(void);
void probe(void)
{
	x86_entry_from_kvm(EVENT_TYPE_EXTINT, 0x20);
}
