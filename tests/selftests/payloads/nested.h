/* SPDX-License-Identifier: GPL-2.0-only */
/* Tests of payloads/nested.c, and what it and nested_test.c tell each other. */
#ifndef SELFTEST_NESTED_H
#define SELFTEST_NESTED_H

#include "layout.h"

enum {
	/* what ends L2 */
	N_EXITS, N_PORTS, N_MSRS, N_MOVES, N_CONTROL, N_TSC, N_INSNS, N_AREAS,
	/* what it has */
	N_TABLES, N_MODES, N_REGISTERS,
	/* exceptions and injected events */
	N_EXCEPTIONS, N_OWN_EXCEPTIONS, N_INJECTED, N_DOUBLE_FAULT, N_SHUTDOWN,
	/* interrupts */
	N_INTR_EXIT, N_TIMER_EXIT, N_INTR_OWN, N_NMI_EXIT, N_WINDOW,
	N_MASKED, N_MASKED_ON, N_GIF, N_VIRTUAL, N_ACK,
	/* refused */
	N_BAD_STATE, N_BAD_CONTROLS, N_BAD_HOST, N_FIELDS, N_POINTERS, N_PRIVILEGES, N_OFF,
	N_GIF_OFF,
	/* kept apart */
	N_L0_PORTS, N_L0_MSRS, N_HAMMER, N_HAMMERED, N_NO_MEMORY,
	/* state and events of user space's */
	N_STATE, N_WATCH, N_MMIO, N_INIT, N_HALTED,
	/* long ones */
	N_STRESS, N_FUZZ,
};

/* first argument: the vCPU's number, and bits */
#define N_CPU(arg)	((arg) & 0xff)
#define N_TCG		0x100	/* QEMU emulates the host's CPU */
#define N_CATCH		0x200	/* L1 intercepts what it is about */
#define N_IF		0x400	/* N_WATCH: L2 has interrupts on */
#define N_NO_CHIP	0x800	/* N_WATCH: there is no APIC */

#define N_MEM		GUEST_DATA	/* of each vCPU's hypervisor and L2 */
#define N_MEM_SIZE	0x40000
#define N_MEM_END	(N_MEM + 4 * N_MEM_SIZE)

#define N_DIRTIED	(N_MEM + 0x30000)	/* a page that N_WATCH's L2 writes to */

#define N_NOWHERES	9		/* things that N_NO_MEMORY has where no memory is */

#define N_VECTOR	0x61
#define N_TIMER		0x62

/* at GUEST_SHARED */
struct n_shared {
	unsigned long stop;		/* host: end */
	unsigned long rounds[4];	/* guest: of each vCPU */
	unsigned long entered;		/* guest: number of the entry that is being made */
	unsigned long returned;		/* guest: entries that came back */
	unsigned long refused;		/* guest: of them, those that were refused */
	unsigned long irqs[4];		/* guest: interrupts taken by L1 and L2 together */
	unsigned long l2_irqs[4];	/* guest: of them, by L2 */
	unsigned long exits[4];
};

#ifdef SELFTEST_GUEST_H
/* assembler in nested.c */
void l2_registers(u64 arg);
void l2_injected(u64 arg);
void l2_window(u64 arg);
void user_go(u64 ip, u64 rax);
/* called from there */
void l2_hypercall(void);
extern u8 vmcall_or_vmmcall[];
extern const u8 svm_insns[], vmx_insns[], l2_code32[], l2_code16[], l2_window_open[], user_back[];
extern u64 l2_window_count;
#endif

#endif
