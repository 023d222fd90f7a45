// SPDX-License-Identifier: GPL-2.0-only
/* A guest that loads an XSAVE area into its registers and saves them to another. */
#include "xsave.h"
#include "guest.h"

#define CR4_OSXSAVE	BIT(18)

void guest_main(u64 xcr0, u64 load, u64 arg1)
{
	u32 lo = xcr0, hi = xcr0 >> 32;
	u64 cr4;

	idt_init();
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE) : "memory");
	asm volatile("xsetbv" : : "a"(lo), "d"(hi), "c"(0) : "memory");
	if (load)
		asm volatile("xrstor64 (%0)" : : "r"(XSAVE_FROM), "a"(lo), "d"(hi) : "memory");
	SYNC(1);
	asm volatile("xsave64 (%0)" : : "r"(XSAVE_TO), "a"(lo), "d"(hi) : "memory");
	SYNC(2);
}
