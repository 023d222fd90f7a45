/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine in miniature for the emulator's tests; see emul_mock.c.
 */
#ifndef KVM_OOT_KUNIT_EMUL_MOCK_H
#define KVM_OOT_KUNIT_EMUL_MOCK_H

#include <kunit/test.h>

#include "arch/x86/emulate/emulate.h"

#define MOCK_MEM	0x8000
#define MOCK_CODE	0x100		/* where instructions are said to be */
#define MOCK_MMIO	0xfee00000ull	/* 16 bytes that user space answers */
#define MOCK_GDT	0x4000
#define MOCK_TSS	0x5000
#define MOCK_STACK	0x3000

/**
 * struct mock - the machine around an instruction
 * @e: the emulator
 * @mem: memory from linear address 0 on
 * @readonly: page that cannot be written; 0: none
 * @seg: segment registers
 * @cr: control registers
 * @dr: debug registers
 * @gdt: GDTR
 * @idt: IDTR
 * @cpl: privilege level
 * @lacks: bits of enum x86_emul_feature that the CPU has not
 * @efer: EFER
 * @msr_index: last MSR that was written
 * @msr_val: its value
 * @lose_races: so many compare-and-exchanges fail
 * @mmio_answers: user space has answered
 * @mmio_reads: reads of MMIO
 * @mmio_val: what it reads, what was written
 * @pio_pending: a port read needs user space first
 * @port: last port used
 * @pio_size: size of its elements
 * @pio_count: how many in the last transfer
 * @pio_calls: transfers
 * @pio_buf: data written; what is read counts up from @pio_next
 * @pio_next: see there
 * @writes: memory writes
 * @locked: atomic exchanges
 * @probes: probes for writing
 * @halted: HLT was executed
 * @invlpg: address of the last INVLPG
 * @nmi_unmasked: IRET was executed
 */
struct mock {
	struct x86_emul e;
	u8 mem[MOCK_MEM];
	u64 readonly;
	struct kvm_segment seg[X86_NR_SEGS];
	u64 cr[16];
	u64 dr[8];
	struct kvm_dtable gdt, idt;
	unsigned int cpl;
	u64 lacks;
	u64 efer;
	u32 msr_index;
	u64 msr_val;
	unsigned int lose_races;
	bool mmio_answers;
	unsigned int mmio_reads;
	u64 mmio_val;
	bool pio_pending;
	u16 port;
	unsigned int pio_size, pio_count, pio_calls;
	u8 pio_buf[X86_EMUL_PIO_MAX * 4];
	u8 pio_next;
	unsigned int writes, locked, probes;
	bool halted;
	u64 invlpg;
	bool nmi_unmasked;
};

struct mock *mock_create(struct kunit *test, enum x86_emul_mode mode);
int mock_once(struct mock *m, const void *bytes, unsigned int n);
int mock_run(struct mock *m, const void *bytes, unsigned int n);
void mock_descriptor(struct mock *m, unsigned int index, u32 base, u32 limit, u16 access);

static inline u64 mock_peek(struct mock *m, unsigned int at, unsigned int bytes)
{
	u64 v = 0;

	memcpy(&v, m->mem + at, bytes);
	return v;
}

static inline void mock_poke(struct mock *m, unsigned int at, u64 v, unsigned int bytes)
{
	memcpy(m->mem + at, &v, bytes);
}

void mock_expect(struct kunit *test, struct mock *m, const void *bytes, unsigned int n,
		 int want, int vector, int code);
void mock_expect_mem(struct kunit *test, struct mock *m, unsigned int at, unsigned int bytes,
		     u64 want);

/* one instruction, given as a string literal: carried out; done; a fault; one with a code */
#define RUN(m, bytes)	mock_run(m, bytes, sizeof(bytes) - 1)
#define EXPECT_DONE(test, m, bytes) \
	mock_expect(test, m, bytes, sizeof(bytes) - 1, X86_EMUL_CONTINUE, -1, -1)
#define EXPECT_FAULT(test, m, bytes, vector) \
	mock_expect(test, m, bytes, sizeof(bytes) - 1, X86_EMUL_PROPAGATE_FAULT, vector, -1)
#define EXPECT_FAULT_CODE(test, m, bytes, vector, code) \
	mock_expect(test, m, bytes, sizeof(bytes) - 1, X86_EMUL_PROPAGATE_FAULT, vector, code)

#endif /* KVM_OOT_KUNIT_EMUL_MOCK_H */
