/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the emulator's files share: the opcode table's form, operand access and
 * the functions that carry instructions out.
 */
#ifndef KVM_OOT_EMULATE_INTERNAL_H
#define KVM_OOT_EMULATE_INTERNAL_H

#include "arch/x86/emulate/emulate.h"

/* where an operand comes from */
enum x86_op_kind {
	K_NONE,
	K_RM,		/* ModRM.rm: register or memory */
	K_REG,		/* ModRM.reg */
	K_ACC,		/* rAX */
	K_OREG,		/* register in the opcode */
	K_IMM,		/* immediate of the operand size, at most 32 bits, sign-extended */
	K_IMM64,	/* immediate of the whole operand size */
	K_IMMB,		/* 8 bits, sign-extended */
	K_IMMU8,	/* 8 bits, zero-extended */
	K_IMMU16,	/* 16 bits */
	K_CL,
	K_ONE,
	K_DX,
	K_SREG,		/* ModRM.reg */
	K_CR,
	K_DR,
	K_MOFFS,	/* memory at an address in the instruction */
	K_REL,		/* displacement of the operand size */
	K_RELB,		/* displacement of 8 bits */
	K_FAR,		/* pointer: offset, selector */
	K_VREG,		/* vector register in ModRM.reg */
};

#define F_MODRM		BIT(0)
#define F_BYTE		BIT(1)	/* 8-bit operands */
#define F_D64		BIT(2)	/* operands default to 64 bits in 64-bit mode */
#define F_NO64		BIT(3)
#define F_LOCK		BIT(4)	/* LOCK is allowed with a memory destination */
#define F_STRING	BIT(5)
#define F_PRIV		BIT(6)	/* CPL 0 only */
#define F_NOWRITE	BIT(7)	/* the destination is only read */
#define F_NOREAD	BIT(8)	/* the destination is only written */
#define F_SRC8		BIT(9)	/* source of 8 bits, whatever the destination */
#define F_SRC16		BIT(10)
#define F_IO		BIT(11)
#define F_GROUP		BIT(12)	/* ModRM.reg selects */
#define F_NOACCESS	BIT(13)	/* memory is named, not accessed */
#define F_OP64		BIT(14)	/* operand size is that of the mode: 32 or 64 (CR, DR) */
#define F_MEMONLY	BIT(15)
#define F_REGONLY	BIT(16)	/* the rm field is a register whatever mod says */
#define F_PROT		BIT(17)	/* not in real or virtual-8086 mode */
#define F_VEC		BIT(18)	/* vector move: sizes depend on the prefixes */
#define F_OP16		BIT(19)	/* 16-bit operand */
#define F_NEAR		BIT(20)	/* near branch: Intel has no 16-bit form in 64-bit mode */
#define F_REGFORM	BIT(21)	/* with memory it is another instruction */

#define X86_VEC_DE	0
#define X86_VEC_DB	1
#define X86_VEC_BR	5
#define X86_VEC_UD	6
#define X86_VEC_NM	7
#define X86_VEC_TS	10
#define X86_VEC_NP	11
#define X86_VEC_SS	12
#define X86_VEC_GP	13
#define X86_VEC_MF	16

struct x86_opcode {
	u32 flags;
	u8 dst, src, src2;
	int (*exec)(struct x86_emul *e);
	const struct x86_opcode *group;
};

/* descriptor as it is in memory */
struct x86_descriptor {
	u32 low, high;
};

/* ---- access.c -------------------------------------------------------------------- */

int emul_fault(struct x86_emul *e, u8 vector);
int emul_fault_code(struct x86_emul *e, u8 vector, u16 code);
#define emul_ud(e)	emul_fault((e), X86_VEC_UD)
#define emul_gp(e, code) emul_fault_code((e), X86_VEC_GP, (code))

static inline u64 size_mask(unsigned int bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << (bytes * 8)) - 1;
}

static inline u64 sign_bit(unsigned int bytes)
{
	return 1ull << (bytes * 8 - 1);
}

static inline u64 sign_extend(u64 v, unsigned int bytes)
{
	unsigned int shift = 64 - bytes * 8;

	return (u64)((s64)(v << shift) >> shift);
}

static inline bool emul_real(const struct x86_emul *e)
{
	return e->mode == X86_MODE_REAL || e->mode == X86_MODE_VM86;
}

struct kvm_segment *emul_seg(struct x86_emul *e, enum x86_emul_seg seg);
void emul_put_seg(struct x86_emul *e, enum x86_emul_seg seg, const struct kvm_segment *s);
u64 emul_gpr(const struct x86_emul *e, unsigned int reg, unsigned int bytes);
void emul_set_gpr(struct x86_emul *e, unsigned int reg, u64 val, unsigned int bytes);
void emul_set_gpr_high(struct x86_emul *e, unsigned int reg, u8 val);
int emul_address(struct x86_emul *e, enum x86_emul_seg seg, u64 ea,
		 unsigned int bytes, bool write, u64 *linear);
int emul_read(struct x86_emul *e, enum x86_emul_seg seg, u64 ea, void *val,
	      unsigned int bytes);
int emul_write(struct x86_emul *e, enum x86_emul_seg seg, u64 ea, const void *val,
	       unsigned int bytes);
int emul_read_system(struct x86_emul *e, u64 linear, void *val, unsigned int bytes);
int emul_write_system(struct x86_emul *e, u64 linear, const void *val, unsigned int bytes);
int emul_push(struct x86_emul *e, u64 val, unsigned int bytes);
int emul_pop(struct x86_emul *e, u64 *val, unsigned int bytes);
unsigned int emul_stack_bytes(struct x86_emul *e);
int emul_jump(struct x86_emul *e, u64 rip, unsigned int bytes);
bool emul_canonical(struct x86_emul *e, u64 linear);
int emul_check_vm86(struct x86_emul *e);

/* ---- alu.c: arithmetic on e->rflags --------------------------------------- */

int em_add(struct x86_emul *e);
int em_or(struct x86_emul *e);
int em_adc(struct x86_emul *e);
int em_sbb(struct x86_emul *e);
int em_and(struct x86_emul *e);
int em_sub(struct x86_emul *e);
int em_xor(struct x86_emul *e);
int em_cmp(struct x86_emul *e);
int em_test(struct x86_emul *e);
int em_inc(struct x86_emul *e);
int em_dec(struct x86_emul *e);
int em_not(struct x86_emul *e);
int em_neg(struct x86_emul *e);
int em_shift(struct x86_emul *e);
int em_shld(struct x86_emul *e);
int em_mul(struct x86_emul *e);
int em_imul1(struct x86_emul *e);
int em_imul2(struct x86_emul *e);
int em_imul3(struct x86_emul *e);
int em_div(struct x86_emul *e);
int em_idiv(struct x86_emul *e);
int em_bt(struct x86_emul *e);
int em_bsf(struct x86_emul *e);
int em_bsr(struct x86_emul *e);
int em_popcnt(struct x86_emul *e);
int em_xadd(struct x86_emul *e);
int em_cmpxchg(struct x86_emul *e);
int em_cmpxchg8b(struct x86_emul *e);
int em_bswap(struct x86_emul *e);
int em_crc32(struct x86_emul *e);
void emul_sub_flags(struct x86_emul *e, u64 a, u64 b, unsigned int bytes);
bool emul_condition(const struct x86_emul *e, unsigned int cond);

/* ---- exec.c --------------------------------------------------------------- */

int em_mov(struct x86_emul *e);
int em_movzx(struct x86_emul *e);
int em_movsx(struct x86_emul *e);
int em_movsxd(struct x86_emul *e);
int em_xchg(struct x86_emul *e);
int em_lea(struct x86_emul *e);
int em_nop(struct x86_emul *e);
int em_push(struct x86_emul *e);
int em_pop(struct x86_emul *e);
int em_pusha(struct x86_emul *e);
int em_popa(struct x86_emul *e);
int em_pushf(struct x86_emul *e);
int em_popf(struct x86_emul *e);
int em_enter(struct x86_emul *e);
int em_leave(struct x86_emul *e);
int em_jmp_rel(struct x86_emul *e);
int em_jmp_abs(struct x86_emul *e);
int em_jcc(struct x86_emul *e);
int em_jcxz(struct x86_emul *e);
int em_loop(struct x86_emul *e);
int em_call_rel(struct x86_emul *e);
int em_call_abs(struct x86_emul *e);
int em_ret(struct x86_emul *e);
int em_setcc(struct x86_emul *e);
int em_cmov(struct x86_emul *e);
int em_cbw(struct x86_emul *e);
int em_cwd(struct x86_emul *e);
int em_lahf(struct x86_emul *e);
int em_sahf(struct x86_emul *e);
int em_salc(struct x86_emul *e);
int em_xlat(struct x86_emul *e);
int em_flag(struct x86_emul *e);
int em_in(struct x86_emul *e);
int em_out(struct x86_emul *e);
int em_string(struct x86_emul *e);
int em_movbe(struct x86_emul *e);
int emul_check_vec(struct x86_emul *e);
int em_vec(struct x86_emul *e);
int em_fwait(struct x86_emul *e);
int em_x87(struct x86_emul *e);
int em_bound(struct x86_emul *e);
int em_daa(struct x86_emul *e);
int em_aam(struct x86_emul *e);
int em_aad(struct x86_emul *e);

/* ---- far.c ---------------------------------------------------------------- */

void emul_unpack(const struct x86_descriptor *desc, u16 selector, struct kvm_segment *s);
bool emul_long_mode(struct x86_emul *e);
int emul_read_descriptor(struct x86_emul *e, u16 selector, u8 vector,
			 struct x86_descriptor *desc, unsigned int bytes, u64 *linear);
int emul_find_data(struct x86_emul *e, u16 selector, enum x86_emul_seg seg,
		   unsigned int cpl, u8 vector, bool null_ss, struct kvm_segment *s);
void emul_load_real(struct x86_emul *e, u16 selector, enum x86_emul_seg seg, bool vm86);
int emul_load_segment(struct x86_emul *e, u16 selector, enum x86_emul_seg seg);
int em_mov_sreg(struct x86_emul *e);
int em_mov_from_sreg(struct x86_emul *e);
int em_push_sreg(struct x86_emul *e);
int em_pop_sreg(struct x86_emul *e);
int em_lseg(struct x86_emul *e);
int em_jmp_far(struct x86_emul *e);
int em_call_far(struct x86_emul *e);
int em_ret_far(struct x86_emul *e);
int em_iret(struct x86_emul *e);
int em_int(struct x86_emul *e);
int em_lldt(struct x86_emul *e);
int em_ltr(struct x86_emul *e);
int em_sldt(struct x86_emul *e);
int em_lar(struct x86_emul *e);
int em_verr(struct x86_emul *e);
int em_arpl(struct x86_emul *e);

/* ---- task.c --------------------------------------------------------------- */

int emul_task_switch(struct x86_emul *e, u16 selector, enum x86_emul_task_reason reason);

/* ---- system.c ------------------------------------------------------------- */

int em_hlt(struct x86_emul *e);
int em_cli(struct x86_emul *e);
int em_sti(struct x86_emul *e);
int em_cpuid(struct x86_emul *e);
int em_rdmsr(struct x86_emul *e);
int em_wrmsr(struct x86_emul *e);
int em_rdtsc(struct x86_emul *e);
int em_rdtscp(struct x86_emul *e);
int em_rdpmc(struct x86_emul *e);
int em_mov_cr_read(struct x86_emul *e);
int em_mov_cr_write(struct x86_emul *e);
int em_mov_dr_read(struct x86_emul *e);
int em_mov_dr_write(struct x86_emul *e);
int em_clts(struct x86_emul *e);
int em_wbinvd(struct x86_emul *e);
int em_0f01(struct x86_emul *e);
int em_0fae(struct x86_emul *e);
int em_invpcid(struct x86_emul *e);
int em_ud(struct x86_emul *e);
int em_rdpid(struct x86_emul *e);
int em_rsm(struct x86_emul *e);
int em_syscall(struct x86_emul *e);
int em_sysret(struct x86_emul *e);
int em_sysenter(struct x86_emul *e);
int em_sysexit(struct x86_emul *e);

#endif /* KVM_OOT_EMULATE_INTERNAL_H */
