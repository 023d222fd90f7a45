// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder: prefixes, REX, opcode maps, ModRM, SIB, displacement, immediates
 * (AMD64 APM vol. 3, chapter 1 and appendix A). Nothing is accessed but the
 * instruction's own bytes.
 *
 * Maps: one byte, 0F, and of 0F 38 what guests use on device memory (MOVBE, MOVNTDQA,
 * CRC32) or exits on (INVPCID). VEX, EVEX, XOP, vector and x87 arithmetic are not decoded.
 * What is no instruction on any CPU is #UD; what is one, but is not known here, is
 * UNHANDLEABLE.
 */
#include "arch/x86/emulate/internal.h"

#define I(fl, d, s, fn)		{ .flags = (fl), .dst = (d), .src = (s), .exec = (fn) }
#define I3(fl, d, s, s2, fn)						\
	{ .flags = (fl), .dst = (d), .src = (s), .src2 = (s2), .exec = (fn) }
#define G(fl, d, s, g)							\
	{ .flags = (fl) | F_MODRM | F_GROUP, .dst = (d), .src = (s), .group = (g) }
#define N			{ .exec = NULL }
#define UD			I(0, 0, 0, em_ud)

#define ALU6(base, fl, fn)						\
	[(base) + 0] = I(F_MODRM | F_BYTE | F_LOCK | (fl), K_RM, K_REG, fn),	\
	[(base) + 1] = I(F_MODRM | F_LOCK | (fl), K_RM, K_REG, fn),	\
	[(base) + 2] = I(F_MODRM | F_BYTE | (fl), K_REG, K_RM, fn),	\
	[(base) + 3] = I(F_MODRM | (fl), K_REG, K_RM, fn),		\
	[(base) + 4] = I(F_BYTE | (fl), K_ACC, K_IMM, fn),		\
	[(base) + 5] = I((fl), K_ACC, K_IMM, fn)

static const struct x86_opcode group1[8] = {
	I(F_LOCK, 0, 0, em_add), I(F_LOCK, 0, 0, em_or), I(F_LOCK, 0, 0, em_adc),
	I(F_LOCK, 0, 0, em_sbb), I(F_LOCK, 0, 0, em_and), I(F_LOCK, 0, 0, em_sub),
	I(F_LOCK, 0, 0, em_xor), I(F_NOWRITE, 0, 0, em_cmp),
};

static const struct x86_opcode group1a[8] = {
	I(F_D64 | F_NOREAD, 0, 0, em_pop), N, N, N, N, N, N, N,
};

static const struct x86_opcode group2[8] = {
	I(0, 0, 0, em_shift), I(0, 0, 0, em_shift), I(0, 0, 0, em_shift),
	I(0, 0, 0, em_shift), I(0, 0, 0, em_shift), I(0, 0, 0, em_shift),
	I(0, 0, 0, em_shift), I(0, 0, 0, em_shift),
};

static const struct x86_opcode group3[8] = {
	I(F_NOWRITE, K_RM, K_IMM, em_test), I(F_NOWRITE, K_RM, K_IMM, em_test),
	I(F_LOCK, K_RM, 0, em_not), I(F_LOCK, K_RM, 0, em_neg),
	I(F_NOWRITE, K_RM, 0, em_mul), I(F_NOWRITE, K_RM, 0, em_imul1),
	I(F_NOWRITE, K_RM, 0, em_div), I(F_NOWRITE, K_RM, 0, em_idiv),
};

static const struct x86_opcode group4[8] = {
	I(F_LOCK, K_RM, 0, em_inc), I(F_LOCK, K_RM, 0, em_dec), UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode group5[8] = {
	I(F_LOCK, K_RM, 0, em_inc), I(F_LOCK, K_RM, 0, em_dec),
	I(F_D64 | F_NEAR | F_NOWRITE, K_RM, 0, em_call_abs),
	I(F_MEMONLY | F_NOACCESS, K_RM, 0, em_call_far),
	I(F_D64 | F_NEAR | F_NOWRITE, K_RM, 0, em_jmp_abs),
	I(F_MEMONLY | F_NOACCESS, K_RM, 0, em_jmp_far),
	I(F_D64 | F_NOWRITE, K_RM, 0, em_push), UD,
};

static const struct x86_opcode group6[8] = {
	I(F_NOREAD | F_PROT, K_RM, 0, em_sldt), I(F_NOREAD | F_PROT, K_RM, 0, em_sldt),
	I(F_NOWRITE | F_PROT | F_OP16 | F_PRIV, K_RM, 0, em_lldt),
	I(F_NOWRITE | F_PROT | F_OP16 | F_PRIV, K_RM, 0, em_ltr),
	I(F_NOWRITE | F_PROT | F_OP16, K_RM, 0, em_verr),
	I(F_NOWRITE | F_PROT | F_OP16, K_RM, 0, em_verr), UD, UD,
};

static const struct x86_opcode group8[8] = {
	UD, UD, UD, UD,
	I(F_NOWRITE, K_RM, K_IMMU8, em_bt), I(F_LOCK, K_RM, K_IMMU8, em_bt),
	I(F_LOCK, K_RM, K_IMMU8, em_bt), I(F_LOCK, K_RM, K_IMMU8, em_bt),
};

static const struct x86_opcode group9[8] = {
	UD, I(F_LOCK | F_MEMONLY | F_NOACCESS, K_RM, 0, em_cmpxchg8b), UD, N, N, N, N,
	I(F_REGFORM | F_OP64 | F_NOREAD, K_RM, 0, em_rdpid),
};

static const struct x86_opcode group11[8] = {
	I(F_NOREAD, K_RM, K_IMM, em_mov), UD, UD, UD, UD, UD, UD, N,
};

static const struct x86_opcode one_byte[256] = {
	ALU6(0x00, 0, em_add),
	[0x06] = I(F_NO64, 0, 0, em_push_sreg), [0x07] = I(F_NO64, 0, 0, em_pop_sreg),
	ALU6(0x08, 0, em_or),
	[0x0e] = I(F_NO64, 0, 0, em_push_sreg),
	ALU6(0x10, 0, em_adc),
	[0x16] = I(F_NO64, 0, 0, em_push_sreg), [0x17] = I(F_NO64, 0, 0, em_pop_sreg),
	ALU6(0x18, 0, em_sbb),
	[0x1e] = I(F_NO64, 0, 0, em_push_sreg), [0x1f] = I(F_NO64, 0, 0, em_pop_sreg),
	ALU6(0x20, 0, em_and),
	[0x27] = I(F_NO64, 0, 0, em_daa),
	ALU6(0x28, 0, em_sub),
	[0x2f] = I(F_NO64, 0, 0, em_daa),
	ALU6(0x30, 0, em_xor),
	[0x37] = I(F_NO64, 0, 0, em_daa),
	ALU6(0x38, F_NOWRITE, em_cmp),
	[0x3f] = I(F_NO64, 0, 0, em_daa),
	[0x40 ... 0x47] = I(F_NO64, K_OREG, 0, em_inc),
	[0x48 ... 0x4f] = I(F_NO64, K_OREG, 0, em_dec),
	[0x50 ... 0x57] = I(F_D64 | F_NOWRITE, K_OREG, 0, em_push),
	[0x58 ... 0x5f] = I(F_D64 | F_NOREAD, K_OREG, 0, em_pop),
	[0x60] = I(F_NO64, 0, 0, em_pusha), [0x61] = I(F_NO64, 0, 0, em_popa),
	[0x62] = I(F_MODRM | F_NO64 | F_MEMONLY | F_NOACCESS | F_NOWRITE, K_REG, K_RM, em_bound),
	[0x63] = I(F_MODRM | F_NOREAD, K_REG, K_RM, em_movsxd),
	[0x68] = I(F_D64 | F_NOWRITE, K_IMM, 0, em_push),
	[0x69] = I3(F_MODRM | F_NOREAD, K_REG, K_RM, K_IMM, em_imul3),
	[0x6a] = I(F_D64 | F_NOWRITE, K_IMMB, 0, em_push),
	[0x6b] = I3(F_MODRM | F_NOREAD, K_REG, K_RM, K_IMMB, em_imul3),
	[0x6c] = I(F_STRING | F_BYTE | F_IO, 0, 0, em_string),
	[0x6d] = I(F_STRING | F_IO, 0, 0, em_string),
	[0x6e] = I(F_STRING | F_BYTE | F_IO, 0, 0, em_string),
	[0x6f] = I(F_STRING | F_IO, 0, 0, em_string),
	[0x70 ... 0x7f] = I(F_D64 | F_NEAR, K_RELB, 0, em_jcc),
	[0x80] = G(F_BYTE, K_RM, K_IMM, group1), [0x81] = G(0, K_RM, K_IMM, group1),
	[0x82] = G(F_BYTE | F_NO64, K_RM, K_IMM, group1), [0x83] = G(0, K_RM, K_IMMB, group1),
	[0x84] = I(F_MODRM | F_BYTE | F_NOWRITE, K_RM, K_REG, em_test),
	[0x85] = I(F_MODRM | F_NOWRITE, K_RM, K_REG, em_test),
	[0x86] = I(F_MODRM | F_BYTE | F_LOCK, K_RM, K_REG, em_xchg),
	[0x87] = I(F_MODRM | F_LOCK, K_RM, K_REG, em_xchg),
	[0x88] = I(F_MODRM | F_BYTE | F_NOREAD, K_RM, K_REG, em_mov),
	[0x89] = I(F_MODRM | F_NOREAD, K_RM, K_REG, em_mov),
	[0x8a] = I(F_MODRM | F_BYTE | F_NOREAD, K_REG, K_RM, em_mov),
	[0x8b] = I(F_MODRM | F_NOREAD, K_REG, K_RM, em_mov),
	[0x8c] = I(F_MODRM | F_NOREAD, K_RM, K_SREG, em_mov_from_sreg),
	[0x8d] = I(F_MODRM | F_NOREAD | F_NOACCESS | F_MEMONLY, K_REG, K_RM, em_lea),
	[0x8e] = I(F_MODRM | F_NOREAD | F_SRC16, K_SREG, K_RM, em_mov_sreg),
	[0x8f] = G(0, K_RM, 0, group1a),
	[0x90 ... 0x97] = I(0, K_OREG, K_ACC, em_xchg),
	[0x98] = I(0, 0, 0, em_cbw), [0x99] = I(0, 0, 0, em_cwd),
	[0x9a] = I(F_NO64, K_FAR, 0, em_call_far),
	[0x9b] = I(0, 0, 0, em_fwait),
	[0x9c] = I(F_D64, 0, 0, em_pushf), [0x9d] = I(F_D64, 0, 0, em_popf),
	[0x9e] = I(0, 0, 0, em_sahf), [0x9f] = I(0, 0, 0, em_lahf),
	[0xa0] = I(F_BYTE | F_NOREAD, K_ACC, K_MOFFS, em_mov),
	[0xa1] = I(F_NOREAD, K_ACC, K_MOFFS, em_mov),
	[0xa2] = I(F_BYTE | F_NOREAD, K_MOFFS, K_ACC, em_mov),
	[0xa3] = I(F_NOREAD, K_MOFFS, K_ACC, em_mov),
	[0xa4] = I(F_STRING | F_BYTE, 0, 0, em_string), [0xa5] = I(F_STRING, 0, 0, em_string),
	[0xa6] = I(F_STRING | F_BYTE, 0, 0, em_string), [0xa7] = I(F_STRING, 0, 0, em_string),
	[0xa8] = I(F_BYTE | F_NOWRITE, K_ACC, K_IMM, em_test),
	[0xa9] = I(F_NOWRITE, K_ACC, K_IMM, em_test),
	[0xaa] = I(F_STRING | F_BYTE, 0, 0, em_string), [0xab] = I(F_STRING, 0, 0, em_string),
	[0xac] = I(F_STRING | F_BYTE, 0, 0, em_string), [0xad] = I(F_STRING, 0, 0, em_string),
	[0xae] = I(F_STRING | F_BYTE, 0, 0, em_string), [0xaf] = I(F_STRING, 0, 0, em_string),
	[0xb0 ... 0xb7] = I(F_BYTE | F_NOREAD, K_OREG, K_IMM, em_mov),
	[0xb8 ... 0xbf] = I(F_NOREAD, K_OREG, K_IMM64, em_mov),
	[0xc0] = G(F_BYTE, K_RM, K_IMMU8, group2), [0xc1] = G(0, K_RM, K_IMMU8, group2),
	[0xc2] = I(F_D64 | F_NEAR, K_IMMU16, 0, em_ret), [0xc3] = I(F_D64 | F_NEAR, 0, 0, em_ret),
	[0xc4] = I(F_MODRM | F_NO64 | F_NOREAD | F_MEMONLY | F_NOACCESS, K_REG, K_RM, em_lseg),
	[0xc5] = I(F_MODRM | F_NO64 | F_NOREAD | F_MEMONLY | F_NOACCESS, K_REG, K_RM, em_lseg),
	[0xc6] = G(F_BYTE, K_RM, K_IMM, group11), [0xc7] = G(0, K_RM, K_IMM, group11),
	[0xc8] = I3(F_D64, K_IMMU16, K_IMMU8, 0, em_enter), [0xc9] = I(F_D64, 0, 0, em_leave),
	[0xca] = I(0, K_IMMU16, 0, em_ret_far), [0xcb] = I(0, 0, 0, em_ret_far),
	[0xcc] = I(0, 0, 0, em_int), [0xcd] = I(0, K_IMMU8, 0, em_int),
	[0xce] = I(F_NO64, 0, 0, em_int), [0xcf] = I(0, 0, 0, em_iret),
	[0xd0] = G(F_BYTE, K_RM, K_ONE, group2), [0xd1] = G(0, K_RM, K_ONE, group2),
	[0xd2] = G(F_BYTE, K_RM, K_CL, group2), [0xd3] = G(0, K_RM, K_CL, group2),
	[0xd4] = I(F_NO64, K_IMMU8, 0, em_aam), [0xd5] = I(F_NO64, K_IMMU8, 0, em_aad),
	[0xd6] = I(F_NO64, 0, 0, em_salc), [0xd7] = I(F_BYTE, 0, 0, em_xlat),
	[0xd8 ... 0xdf] = I(F_MODRM | F_NOACCESS, K_RM, 0, em_x87),
	[0xe0] = I(F_D64 | F_NEAR, K_RELB, 0, em_loop),
	[0xe1] = I(F_D64 | F_NEAR, K_RELB, 0, em_loop),
	[0xe2] = I(F_D64 | F_NEAR, K_RELB, 0, em_loop),
	[0xe3] = I(F_D64 | F_NEAR, K_RELB, 0, em_jcxz),
	[0xe4] = I(F_BYTE | F_NOREAD | F_IO, K_ACC, K_IMMU8, em_in),
	[0xe5] = I(F_NOREAD | F_IO, K_ACC, K_IMMU8, em_in),
	[0xe6] = I(F_BYTE | F_NOWRITE | F_IO, K_ACC, K_IMMU8, em_out),
	[0xe7] = I(F_NOWRITE | F_IO, K_ACC, K_IMMU8, em_out),
	[0xe8] = I(F_D64 | F_NEAR, K_REL, 0, em_call_rel),
	[0xe9] = I(F_D64 | F_NEAR, K_REL, 0, em_jmp_rel),
	[0xea] = I(F_NO64, K_FAR, 0, em_jmp_far), [0xeb] = I(F_D64 | F_NEAR, K_RELB, 0, em_jmp_rel),
	[0xec] = I(F_BYTE | F_NOREAD | F_IO, K_ACC, K_DX, em_in),
	[0xed] = I(F_NOREAD | F_IO, K_ACC, K_DX, em_in),
	[0xee] = I(F_BYTE | F_NOWRITE | F_IO, K_ACC, K_DX, em_out),
	[0xef] = I(F_NOWRITE | F_IO, K_ACC, K_DX, em_out),
	[0xf1] = I(0, 0, 0, em_int),
	[0xf4] = I(F_PRIV, 0, 0, em_hlt), [0xf5] = I(0, 0, 0, em_flag),
	[0xf6] = G(F_BYTE, 0, 0, group3), [0xf7] = G(0, 0, 0, group3),
	[0xf8] = I(0, 0, 0, em_flag), [0xf9] = I(0, 0, 0, em_flag),
	[0xfa] = I(0, 0, 0, em_cli), [0xfb] = I(0, 0, 0, em_sti),
	[0xfc] = I(0, 0, 0, em_flag), [0xfd] = I(0, 0, 0, em_flag),
	[0xfe] = G(F_BYTE, 0, 0, group4), [0xff] = G(0, 0, 0, group5),
};

#define VLOAD	I(F_MODRM | F_VEC | F_NOREAD, K_VREG, K_RM, em_vec)
#define VSTORE	I(F_MODRM | F_VEC | F_NOREAD, K_RM, K_VREG, em_vec)

static const struct x86_opcode two_byte[256] = {
	[0x00] = G(0, 0, 0, group6),
	[0x01] = I(F_MODRM | F_NOACCESS | F_NOWRITE, K_RM, 0, em_0f01),
	[0x02] = I(F_MODRM | F_PROT | F_SRC16, K_REG, K_RM, em_lar),
	[0x03] = I(F_MODRM | F_PROT | F_SRC16, K_REG, K_RM, em_lar),
	[0x05] = I(0, 0, 0, em_syscall), [0x07] = I(0, 0, 0, em_sysret),
	[0x06] = I(F_PRIV, 0, 0, em_clts),
	[0x08] = I(F_PRIV, 0, 0, em_nop), [0x09] = I(F_PRIV, 0, 0, em_wbinvd),
	[0x0b] = UD,
	[0x0d] = I(F_MODRM | F_NOACCESS | F_NOWRITE, K_RM, 0, em_nop),
	[0x10] = VLOAD, [0x11] = VSTORE, [0x12] = VLOAD, [0x13] = VSTORE,
	[0x16] = VLOAD, [0x17] = VSTORE,
	[0x18 ... 0x1f] = I(F_MODRM | F_NOACCESS | F_NOWRITE, K_RM, 0, em_nop),
	[0x20] = I(F_MODRM | F_PRIV | F_OP64 | F_REGONLY | F_NOREAD, K_RM, K_CR, em_mov_cr_read),
	[0x21] = I(F_MODRM | F_PRIV | F_OP64 | F_REGONLY | F_NOREAD, K_RM, K_DR, em_mov_dr_read),
	[0x22] = I(F_MODRM | F_PRIV | F_OP64 | F_REGONLY | F_NOREAD, K_CR, K_RM, em_mov_cr_write),
	[0x23] = I(F_MODRM | F_PRIV | F_OP64 | F_REGONLY | F_NOREAD, K_DR, K_RM, em_mov_dr_write),
	[0x28] = VLOAD, [0x29] = VSTORE, [0x2b] = VSTORE,
	[0x30] = I(F_PRIV, 0, 0, em_wrmsr), [0x31] = I(0, 0, 0, em_rdtsc),
	[0x32] = I(F_PRIV, 0, 0, em_rdmsr), [0x33] = I(0, 0, 0, em_rdpmc),
	[0x34] = I(0, 0, 0, em_sysenter), [0x35] = I(0, 0, 0, em_sysexit),
	[0x40 ... 0x4f] = I(F_MODRM, K_REG, K_RM, em_cmov),
	[0x6e] = VLOAD, [0x6f] = VLOAD, [0x7e] = VSTORE, [0x7f] = VSTORE,
	[0x80 ... 0x8f] = I(F_D64 | F_NEAR, K_REL, 0, em_jcc),
	[0x90 ... 0x9f] = I(F_MODRM | F_BYTE | F_NOREAD, K_RM, 0, em_setcc),
	[0xa0] = I(F_D64, 0, 0, em_push_sreg), [0xa1] = I(F_D64, 0, 0, em_pop_sreg),
	[0xa2] = I(0, 0, 0, em_cpuid),
	[0xa3] = I(F_MODRM | F_NOWRITE, K_RM, K_REG, em_bt),
	[0xa4] = I3(F_MODRM, K_RM, K_REG, K_IMMU8, em_shld),
	[0xa5] = I3(F_MODRM, K_RM, K_REG, K_CL, em_shld),
	[0xa8] = I(F_D64, 0, 0, em_push_sreg), [0xa9] = I(F_D64, 0, 0, em_pop_sreg),
	[0xaa] = I(0, 0, 0, em_rsm),
	[0xab] = I(F_MODRM | F_LOCK, K_RM, K_REG, em_bt),
	[0xac] = I3(F_MODRM, K_RM, K_REG, K_IMMU8, em_shld),
	[0xad] = I3(F_MODRM, K_RM, K_REG, K_CL, em_shld),
	[0xae] = I(F_MODRM | F_NOACCESS | F_NOWRITE, K_RM, 0, em_0fae),
	[0xaf] = I(F_MODRM, K_REG, K_RM, em_imul2),
	[0xb0] = I(F_MODRM | F_BYTE | F_LOCK, K_RM, K_REG, em_cmpxchg),
	[0xb1] = I(F_MODRM | F_LOCK, K_RM, K_REG, em_cmpxchg),
	[0xb2] = I(F_MODRM | F_NOREAD | F_MEMONLY | F_NOACCESS, K_REG, K_RM, em_lseg),
	[0xb3] = I(F_MODRM | F_LOCK, K_RM, K_REG, em_bt),
	[0xb4] = I(F_MODRM | F_NOREAD | F_MEMONLY | F_NOACCESS, K_REG, K_RM, em_lseg),
	[0xb5] = I(F_MODRM | F_NOREAD | F_MEMONLY | F_NOACCESS, K_REG, K_RM, em_lseg),
	[0xb6] = I(F_MODRM | F_NOREAD | F_SRC8, K_REG, K_RM, em_movzx),
	[0xb7] = I(F_MODRM | F_NOREAD | F_SRC16, K_REG, K_RM, em_movzx),
	[0xb8] = I(F_MODRM | F_NOREAD, K_REG, K_RM, em_popcnt),
	[0xb9] = I(F_MODRM, 0, 0, em_ud),
	[0xba] = G(0, 0, 0, group8),
	[0xbb] = I(F_MODRM | F_LOCK, K_RM, K_REG, em_bt),
	[0xbc] = I(F_MODRM, K_REG, K_RM, em_bsf), [0xbd] = I(F_MODRM, K_REG, K_RM, em_bsr),
	[0xbe] = I(F_MODRM | F_NOREAD | F_SRC8, K_REG, K_RM, em_movsx),
	[0xbf] = I(F_MODRM | F_NOREAD | F_SRC16, K_REG, K_RM, em_movsx),
	[0xc0] = I(F_MODRM | F_BYTE | F_LOCK, K_RM, K_REG, em_xadd),
	[0xc1] = I(F_MODRM | F_LOCK, K_RM, K_REG, em_xadd),
	[0xc3] = I(F_MODRM | F_NOREAD | F_MEMONLY, K_RM, K_REG, em_mov),
	[0xc7] = G(0, 0, 0, group9),
	[0xc8 ... 0xcf] = I(0, K_OREG, 0, em_bswap),
	[0xd6] = VSTORE, [0xe7] = VSTORE, [0xf0] = VLOAD,
	[0xff] = I(F_MODRM, 0, 0, em_ud),
};

/* the only ones of 0F 38 */
static const struct x86_opcode movbe_load =
	I(F_MODRM | F_NOREAD | F_MEMONLY, K_REG, K_RM, em_movbe);
static const struct x86_opcode movbe_store =
	I(F_MODRM | F_NOREAD | F_MEMONLY, K_RM, K_REG, em_movbe);
static const struct x86_opcode invpcid_op =
	I(F_MODRM | F_PRIV | F_MEMONLY | F_NOACCESS | F_NOWRITE | F_OP64, K_REG, K_RM, em_invpcid);
static const struct x86_opcode crc32_8 = I(F_MODRM | F_SRC8, K_REG, K_RM, em_crc32);
static const struct x86_opcode crc32_v = I(F_MODRM, K_REG, K_RM, em_crc32);
static const struct x86_opcode movntdqa = VLOAD;
/* F3 0F 7E goes the other way than 0F 7E, ARPL is MOVSXD outside 64-bit mode */
static const struct x86_opcode movq_load = VLOAD;
static const struct x86_opcode arpl = I(F_MODRM | F_PROT | F_OP16, K_RM, K_REG, em_arpl);

/* ---- bytes ------------------------------------------------------------------------- */

static int fetch_more(struct x86_emul *e, unsigned int want)
{
	while (e->fetch_len < want) {
		u64 rip = e->rip + e->fetch_len, linear;
		/* one more than can be used: two words are copied faster than 15 bytes */
		unsigned int n = sizeof(e->fetch) - e->fetch_len, page;
		int r;

		if (want > X86_EMUL_INSN_MAX)
			return emul_gp(e, 0);
		if (e->mode == X86_MODE_PROT64) {
			linear = rip;
			if (!emul_canonical(e, linear))
				return emul_gp(e, 0);
		} else {
			struct kvm_segment *cs = emul_seg(e, X86_SEG_CS);

			rip = (u32)rip;
			/* beyond the limit, only if that byte is needed */
			if (rip > cs->limit)
				return emul_gp(e, 0);
			n = min_t(u64, n, cs->limit - rip + 1);
			linear = (u32)(cs->base + rip);
		}
		/* the next page only when the instruction reaches into it */
		page = 4096 - (linear & 4095);
		n = min(n, page);
		r = e->ops->fetch(e, linear, e->fetch + e->fetch_len, n, &e->fault);
		if (r != X86_EMUL_CONTINUE)
			return r;
		e->fetch_len = min_t(unsigned int, e->fetch_len + n, X86_EMUL_INSN_MAX);
	}
	return X86_EMUL_CONTINUE;
}

static int next_byte(struct x86_emul *e, u8 *b)
{
	if (unlikely(e->fetch_pos == e->fetch_len)) {
		int r = fetch_more(e, e->fetch_pos + 1);

		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	*b = e->fetch[e->fetch_pos++];
	return X86_EMUL_CONTINUE;
}

static int next_imm(struct x86_emul *e, unsigned int bytes, bool sign, u64 *val)
{
	u64 v = 0;
	int r = fetch_more(e, e->fetch_pos + bytes);

	if (r != X86_EMUL_CONTINUE)
		return r;
	memcpy(&v, e->fetch + e->fetch_pos, bytes);
	e->fetch_pos += bytes;
	*val = sign ? sign_extend(v, bytes) : v;
	return r;
}

/* ---- prefixes and sizes --------------------------------------------------- */

static int decode_prefixes(struct x86_emul *e, u8 *opcode)
{
	struct x86_emul_insn *d = &e->d;
	u8 b;
	int r;

	for (;;) {
		r = next_byte(e, &b);
		if (r != X86_EMUL_CONTINUE)
			return r;
		switch (b) {
		case 0x66:
			d->opsize = true;
			break;
		case 0x67:
			d->addrsize = true;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* no meaning in 64-bit mode */
			if (e->mode != X86_MODE_PROT64)
				d->seg_override = (b >> 3) & 3;
			break;
		case 0x64:
		case 0x65:
			d->seg_override = b & 7;
			break;
		case 0xf0:
			d->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			d->rep = b;
			break;
		case 0x40 ... 0x4f:
			if (e->mode == X86_MODE_PROT64) {
				d->rex = b;
				continue;
			}
			fallthrough;
		default:
			*opcode = b;
			return X86_EMUL_CONTINUE;
		}
		/* REX counts only right before the opcode */
		d->rex = 0;
	}
}

static void decode_sizes(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;

	switch (e->mode) {
	case X86_MODE_REAL:
	case X86_MODE_VM86:
	case X86_MODE_PROT16:
		d->op_bytes = d->opsize ? 4 : 2;
		d->ad_bytes = d->addrsize ? 4 : 2;
		break;
	case X86_MODE_PROT32:
		d->op_bytes = d->opsize ? 2 : 4;
		d->ad_bytes = d->addrsize ? 2 : 4;
		break;
	case X86_MODE_PROT64:
		d->op_bytes = d->rex & 8 ? 8 : d->opsize ? 2 : 4;
		d->ad_bytes = d->addrsize ? 4 : 8;
		break;
	}
}

/* ---- ModRM ---------------------------------------------------------------- */

static int decode_mem16(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	static const s8 base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
	static const s8 index[8] = { 6, 7, 6, 7, -1, -1, -1, -1 };
	u8 rm = d->rm & 7;
	u64 disp = 0, ea = 0;
	int r = X86_EMUL_CONTINUE;

	if (d->mod == 0 && rm == 6) {
		r = next_imm(e, 2, false, &disp);
	} else {
		ea = emul_gpr(e, base[rm], 2);
		if (index[rm] >= 0)
			ea += emul_gpr(e, index[rm], 2);
		if (base[rm] == 5)
			d->mem_seg = X86_SEG_SS;
		if (d->mod)
			r = next_imm(e, d->mod, true, &disp);
	}
	d->mem_ea = (u16)(ea + disp);
	return r;
}

static int decode_mem32(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	u64 disp = 0, ea = 0;
	u8 rm = d->rm & 7;
	int r = X86_EMUL_CONTINUE;

	if (rm == 4) {
		unsigned int base, index;

		r = next_byte(e, &d->sib);
		if (r != X86_EMUL_CONTINUE)
			return r;
		base = (d->sib & 7) | (d->rex & 1) << 3;
		index = (d->sib >> 3 & 7) | (d->rex & 2) << 2;
		if ((base & 7) == 5 && d->mod == 0) {
			r = next_imm(e, 4, true, &disp);
		} else {
			ea = e->gpr[base];
			/* POP with RSP as base uses it after the increment */
			if (base == X86_GPR_RSP && d->map == 0 && d->opcode == 0x8f)
				ea += d->op_bytes;
			if (base == X86_GPR_RSP || base == X86_GPR_RBP)
				d->mem_seg = X86_SEG_SS;
		}
		if (index != 4)
			ea += e->gpr[index] << (d->sib >> 6);
	} else if (rm == 5 && d->mod == 0) {
		r = next_imm(e, 4, true, &disp);
		/* the address counts from the next instruction */
		d->rip_relative = e->mode == X86_MODE_PROT64;
	} else {
		ea = e->gpr[d->rm];
		if (d->rm == X86_GPR_RBP)
			d->mem_seg = X86_SEG_SS;
	}
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (d->mod == 1)
		r = next_imm(e, 1, true, &disp);
	else if (d->mod == 2)
		r = next_imm(e, 4, true, &disp);
	d->mem_ea = ea + disp;
	return r;
}

static int decode_modrm(struct x86_emul *e, bool regonly)
{
	struct x86_emul_insn *d = &e->d;
	int r;

	d->mod = d->modrm >> 6;
	d->reg = (d->modrm >> 3 & 7) | (d->rex & 4) << 1;
	d->rm = d->modrm & 7;
	d->mem_seg = X86_SEG_DS;
	if (d->mod == 3 || regonly) {
		d->mod = 3;
		d->rm |= (d->rex & 1) << 3;
		return X86_EMUL_CONTINUE;
	}
	d->mem = true;
	if (d->ad_bytes == 2) {
		r = decode_mem16(e);
	} else {
		if ((d->rm & 7) != 4 && !((d->rm & 7) == 5 && d->mod == 0))
			d->rm |= (d->rex & 1) << 3;
		r = decode_mem32(e);
	}
	if (d->seg_override >= 0)
		d->mem_seg = d->seg_override;
	return r;
}

/* ---- operands ------------------------------------------------------------- */

static void set_reg(struct x86_emul *e, struct x86_operand *op, unsigned int reg,
		    unsigned int bytes)
{
	op->type = X86_OP_GPR;
	op->bytes = bytes;
	op->reg = reg;
	if (bytes == 1 && !e->d.rex && reg >= 4 && reg < 8) {
		op->reg = reg - 4;
		op->high = true;
	}
}

static void set_mem(struct x86_emul *e, struct x86_operand *op, unsigned int bytes)
{
	op->type = X86_OP_MEM;
	op->bytes = bytes;
	e->d.mem_bytes = bytes;
}

static void set_imm(struct x86_operand *op, unsigned int bytes, u64 val)
{
	op->type = X86_OP_IMM;
	op->bytes = bytes;
	op->val = val;
}

static int decode_operand(struct x86_emul *e, struct x86_operand *op, u8 kind,
			  unsigned int bytes)
{
	struct x86_emul_insn *d = &e->d;
	u64 v = 0;
	int r = X86_EMUL_CONTINUE;

	switch (kind) {
	case K_RM:
		if (d->mem)
			set_mem(e, op, bytes);
		else
			set_reg(e, op, d->rm, bytes);
		break;
	case K_REG:
		set_reg(e, op, d->reg, bytes);
		break;
	case K_ACC:
		op->type = X86_OP_GPR;
		op->bytes = bytes;
		op->reg = X86_GPR_RAX;
		break;
	case K_OREG:
		set_reg(e, op, (d->opcode & 7) | (d->rex & 1) << 3, bytes);
		break;
	case K_IMM:
		r = next_imm(e, min(bytes, 4u), true, &v);
		set_imm(op, bytes, v & size_mask(bytes));
		break;
	case K_IMM64:
		r = next_imm(e, bytes, false, &v);
		set_imm(op, bytes, v);
		break;
	case K_IMMB:
		r = next_imm(e, 1, true, &v);
		set_imm(op, bytes, v & size_mask(bytes));
		break;
	case K_IMMU8:
		r = next_imm(e, 1, false, &v);
		set_imm(op, 1, v);
		break;
	case K_IMMU16:
		r = next_imm(e, 2, false, &v);
		set_imm(op, 2, v);
		break;
	case K_CL:
		set_imm(op, 1, e->gpr[X86_GPR_RCX] & 0xff);
		break;
	case K_ONE:
		set_imm(op, 1, 1);
		break;
	case K_DX:
		set_imm(op, 2, e->gpr[X86_GPR_RDX] & 0xffff);
		break;
	case K_SREG:
		/* there are six, and CS is not moved to */
		if ((d->modrm >> 3 & 7) > X86_SEG_GS ||
		    (d->opcode == 0x8e && (d->modrm >> 3 & 7) == X86_SEG_CS))
			return emul_ud(e);
		op->type = X86_OP_SREG;
		op->bytes = 2;
		op->reg = d->modrm >> 3 & 7;
		break;
	case K_CR:
		op->type = X86_OP_CR;
		op->bytes = bytes;
		op->reg = d->reg;
		/* AMD: a LOCK prefix reaches CR8 outside 64-bit mode */
		if (d->lock && !d->reg && e->ops->has_feature(e, X86_EMUL_FEAT_AMD)) {
			op->reg = 8;
			d->lock = false;
		}
		if (op->reg != 0 && op->reg != 2 && op->reg != 3 && op->reg != 4 && op->reg != 8)
			return emul_ud(e);
		break;
	case K_DR:
		if (d->reg > 7)
			return emul_ud(e);
		op->type = X86_OP_DR;
		op->bytes = bytes;
		op->reg = d->reg;
		break;
	case K_MOFFS:
		r = next_imm(e, d->ad_bytes, false, &v);
		d->mem = true;
		d->mem_ea = v;
		d->mem_seg = d->seg_override >= 0 ? d->seg_override : X86_SEG_DS;
		set_mem(e, op, bytes);
		break;
	case K_REL:
		r = next_imm(e, bytes == 2 ? 2 : 4, true, &v);
		set_imm(op, 8, v);
		break;
	case K_RELB:
		r = next_imm(e, 1, true, &v);
		set_imm(op, 8, v);
		break;
	case K_FAR:
		r = next_imm(e, d->op_bytes, false, &d->imm);
		if (r == X86_EMUL_CONTINUE)
			r = next_imm(e, 2, false, &d->imm2);
		break;
	case K_VREG:
		op->bytes = bytes;
		op->reg = d->reg;
		break;
	}
	return r;
}

/* How much a vector move moves, and which registers it means; 0: not known. */
static int vec_bytes(struct x86_emul *e, u8 *type)
{
	const struct x86_emul_insn *d = &e->d;

	*type = X86_OP_XMM;
	if (d->map == 2)
		return 16;
	switch (d->opcode) {
	case 0x10:
	case 0x11:
		return d->rep == 0xf3 ? 4 : d->rep == 0xf2 ? 8 : 16;
	case 0x12:
	case 0x13:
	case 0x16:
	case 0x17:
		return d->rep ? 0 : 8;
	case 0x28:
	case 0x29:
	case 0x2b:
		return d->rep ? 0 : 16;
	case 0x7e:
		if (d->rep == 0xf3)
			return 8;
		fallthrough;
	case 0x6e:
		if (d->rep)
			return 0;
		*type = d->opsize ? X86_OP_XMM : X86_OP_MMX;
		return d->rex & 8 ? 8 : 4;
	case 0x6f:
	case 0x7f:
		if (d->rep == 0xf2)
			return 0;
		if (d->opsize || d->rep == 0xf3)
			return 16;
		*type = X86_OP_MMX;
		return 8;
	case 0xd6:
		return d->opsize && !d->rep ? 8 : 0;
	case 0xe7:
		if (d->rep)
			return 0;
		if (d->opsize)
			return 16;
		*type = X86_OP_MMX;
		return 8;
	case 0xf0:
		return d->rep == 0xf2 ? 16 : 0;
	default:
		return 0;
	}
}

static const struct x86_opcode *map_0f38(const struct x86_emul_insn *d)
{
	switch (d->opcode) {
	case 0x2a:
		return d->opsize && !d->rep ? &movntdqa : NULL;
	case 0x82:
		return d->opsize && !d->rep ? &invpcid_op : NULL;
	case 0xf0:
		return d->rep == 0xf2 ? &crc32_8 : !d->rep ? &movbe_load : NULL;
	case 0xf1:
		return d->rep == 0xf2 ? &crc32_v : !d->rep ? &movbe_store : NULL;
	}
	return NULL;
}

static int decode_opcode(struct x86_emul *e, u8 byte)
{
	struct x86_emul_insn *d = &e->d;
	const struct x86_opcode *desc;
	int r;

	d->opcode = byte;
	if (byte != 0x0f) {
		desc = &one_byte[byte];
		if (byte == 0x63 && e->mode != X86_MODE_PROT64)
			desc = &arpl;
	} else {
		r = next_byte(e, &d->opcode);
		if (r != X86_EMUL_CONTINUE)
			return r;
		d->map = 1;
		desc = &two_byte[d->opcode];
		if (d->opcode == 0x7e && d->rep == 0xf3)
			desc = &movq_load;
		if (d->opcode == 0x38) {
			r = next_byte(e, &d->opcode);
			if (r != X86_EMUL_CONTINUE)
				return r;
			d->map = 2;
			desc = map_0f38(d);
		}
	}
	if (!desc || (!desc->exec && !desc->group))
		return X86_EMUL_UNHANDLEABLE;
	d->desc = desc;
	return X86_EMUL_CONTINUE;
}

/* What was another instruction once is a prefix where that cannot be: VEX, EVEX. */
static bool is_vex(const struct x86_emul *e)
{
	const struct x86_emul_insn *d = &e->d;

	return !d->map && (d->opcode == 0xc4 || d->opcode == 0xc5 || d->opcode == 0x62) &&
	       (e->mode == X86_MODE_PROT64 || d->modrm >= 0xc0);
}

/* The size of the operands, with all that changes it. */
static unsigned int operand_bytes(struct x86_emul *e, u32 flags)
{
	struct x86_emul_insn *d = &e->d;

	if (e->mode == X86_MODE_PROT64) {
		if ((flags & F_D64) && d->op_bytes == 4)
			d->op_bytes = 8;
		if ((flags & F_NEAR) && d->op_bytes == 2 &&
		    !e->ops->has_feature(e, X86_EMUL_FEAT_AMD))
			d->op_bytes = 8;
		if (flags & F_OP64)
			d->op_bytes = 8;
	} else if (flags & F_OP64) {
		d->op_bytes = 4;
	}
	if (flags & F_OP16)
		d->op_bytes = 2;
	return flags & F_BYTE ? 1 : d->op_bytes;
}

/* A bit whose index is in a register may lie anywhere around the operand's address. */
static void move_to_bit(struct x86_emul *e, unsigned int bytes)
{
	struct x86_emul_insn *d = &e->d;
	s64 index = sign_extend(emul_gpr(e, d->reg, bytes), bytes);

	d->mem_ea += (u64)(index >> (bytes == 8 ? 6 : bytes == 4 ? 5 : 4)) * bytes;
}

static int decode(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	const struct x86_opcode *desc;
	unsigned int bytes, src_bytes;
	u8 byte, dst, src, vtype = 0;
	u32 flags;
	int r;

	r = decode_prefixes(e, &byte);
	if (r != X86_EMUL_CONTINUE)
		return r;
	decode_sizes(e);
	r = decode_opcode(e, byte);
	if (r != X86_EMUL_CONTINUE)
		return r;
	desc = d->desc;
	flags = desc->flags;
	dst = desc->dst;
	src = desc->src;

	if (flags & F_MODRM) {
		d->has_modrm = true;
		r = next_byte(e, &d->modrm);
		if (r != X86_EMUL_CONTINUE)
			return r;
	}
	if (flags & F_GROUP) {
		const struct x86_opcode *sub = &desc->group[d->modrm >> 3 & 7];

		if (!sub->exec)
			return X86_EMUL_UNHANDLEABLE;
		flags |= sub->flags;
		if (sub->dst)
			dst = sub->dst;
		if (sub->src)
			src = sub->src;
		d->desc = sub;
	}
	if (is_vex(e))
		return X86_EMUL_UNHANDLEABLE;
	if (((flags & F_NO64) && e->mode == X86_MODE_PROT64) ||
	    ((flags & F_PROT) && emul_real(e)) || d->desc->exec == em_ud)
		return emul_ud(e);

	bytes = operand_bytes(e, flags);
	if (flags & F_VEC) {
		bytes = vec_bytes(e, &vtype);
		if (!bytes)
			return X86_EMUL_UNHANDLEABLE;
	}
	src_bytes = flags & F_SRC8 ? 1 : flags & F_SRC16 ? 2 : bytes;
	/* MOVSXD reads 32 bits, 16 with a 66 prefix */
	if (d->desc->exec == em_movsxd)
		src_bytes = bytes == 2 ? 2 : 4;
	/* the sum has 32 bits, in a register of 32 or 64 */
	if (d->desc->exec == em_crc32)
		bytes = d->rex & 8 ? 8 : 4;
	if (d->has_modrm) {
		r = decode_modrm(e, flags & F_REGONLY);
		if (r != X86_EMUL_CONTINUE)
			return r;
		if ((flags & F_MEMONLY) && !d->mem)
			return emul_ud(e);
		if ((flags & (F_REGFORM | F_VEC)) && d->mem == !!(flags & F_REGFORM))
			return X86_EMUL_UNHANDLEABLE;
		/* a selector goes to memory as 16 bits always */
		if (d->mem && (d->desc->exec == em_mov_from_sreg || d->desc->exec == em_sldt))
			bytes = 2;
	}

	r = dst ? decode_operand(e, &d->op[0], dst, bytes) : X86_EMUL_CONTINUE;
	if (r == X86_EMUL_CONTINUE && src)
		r = decode_operand(e, &d->op[1], src, src_bytes);
	if (r == X86_EMUL_CONTINUE && desc->src2)
		r = decode_operand(e, &d->op[2], desc->src2, bytes);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (flags & F_VEC) {
		struct x86_operand *v = dst == K_VREG ? &d->op[0] : &d->op[1];

		v->type = vtype;
		if (vtype == X86_OP_MMX)
			v->reg &= 7;
	}
	/* LOCK only where it means something; MOVNTI takes no prefix */
	if (d->lock && (!(flags & F_LOCK) || (flags & F_NOWRITE) ||
			d->op[0].type != X86_OP_MEM))
		return emul_ud(e);
	if (d->map == 1 && d->opcode == 0xc3 && (d->opsize || d->rep))
		return emul_ud(e);

	d->len = e->fetch_pos;
	e->insn_len = d->len;
	if (d->rip_relative)
		d->mem_ea += e->rip + d->len;
	if (d->desc->exec == em_bt && src == K_REG && d->mem)
		move_to_bit(e, bytes);
	d->mem_ea &= size_mask(d->ad_bytes);
	d->imm = d->imm ?: d->op[1].type == X86_OP_IMM ? d->op[1].val : d->op[0].val;

	e->flags = flags;
	d->is_string = flags & F_STRING;
	d->is_rep = d->is_string && d->rep;
	d->is_io = flags & F_IO;
	if (flags & F_NOACCESS) {
		d->mem_bytes = 0;
	} else if (d->mem) {
		bool is_dst = d->op[0].type == X86_OP_MEM;

		d->mem_read = !is_dst || !(flags & F_NOREAD);
		d->mem_write = is_dst && !(flags & F_NOWRITE);
	}
	return X86_EMUL_CONTINUE;
}

/**
 * x86_emul_decode() - decode the instruction at e->rip
 * @e: context after x86_emul_init(); mode, registers set
 * @prefetched: bytes that are known already; may be NULL
 * @len: how many
 *
 * Return: CONTINUE; PROPAGATE_FAULT (#UD, #GP for length, a fault of the fetch);
 * UNHANDLEABLE for an instruction that is not known here.
 */
int x86_emul_decode(struct x86_emul *e, const void *prefetched, unsigned int len)
{
	e->d.seg_override = -1;
	e->fetch_pos = 0;
	e->fetch_len = min_t(unsigned int, len, X86_EMUL_INSN_MAX);
	if (e->fetch_len)
		memcpy(e->fetch, prefetched, e->fetch_len);
	return decode(e);
}
EXPORT_SYMBOL_GPL(x86_emul_decode);
