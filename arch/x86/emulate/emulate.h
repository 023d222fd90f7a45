/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The x86 instruction emulator: one guest instruction, decoded and carried out
 * on a copy of the registers. It knows nothing of struct kvm; memory, ports,
 * segment registers and everything else that is not a general register is
 * reached through struct x86_emul_ops.
 *
 * Models: AMD64 Architecture Programmer's Manual volumes 1 to 3; where the
 * vendors differ, X86_EMUL_FEAT_AMD decides.
 *
 * How the caller uses it:
 *
 *	e->ops, e->priv			once
 *	x86_emul_init(e)		then mode, gpr[], rip, rflags
 *	x86_emul_decode(e, bytes, n)	once per instruction
 *	x86_emul_execute(e)		again and again, see below
 *
 * Results of x86_emul_execute():
 *
 *	CONTINUE	done: commit gpr[] (gpr_dirty), rip, rflags; look at
 *			int_shadow, tf and soft_event
 *	RESTART		one round of a REP string instruction is done: commit as
 *			above (rip is unchanged); call x86_emul_execute() again, or
 *			enter the guest if something else is due
 *	IO_NEEDED	an op needs user space. gpr[], rip and rflags are as they
 *			were. Once the answer is there call x86_emul_execute()
 *			again: the op is asked again and must answer CONTINUE
 *	PROPAGATE_FAULT	e->fault is to be injected; nothing else has changed, unless
 *			gpr_dirty is not 0: then a task switch is done and the fault
 *			is the new task's: commit as above before it is injected
 *	RETRY_INSTR	a locked write lost a race: enter the guest again
 *	INTERCEPTED	the intercept op took over
 *	UNHANDLEABLE	not emulated; nothing has changed
 *
 * An instruction makes all its memory reads before its first write, so it can
 * be repeated from the start for IO_NEEDED. Exceptions to that are listed in
 * far.c (stack frames in MMIO space).
 */
#ifndef KVM_OOT_EMULATE_H
#define KVM_OOT_EMULATE_H

#include "arch/x86/emulate/port.h"

enum {
	X86_EMUL_CONTINUE,
	X86_EMUL_UNHANDLEABLE,
	X86_EMUL_PROPAGATE_FAULT,
	X86_EMUL_RETRY_INSTR,
	X86_EMUL_CMPXCHG_FAILED,	/* of ops->cmpxchg only */
	X86_EMUL_IO_NEEDED,
	X86_EMUL_INTERCEPTED,
	X86_EMUL_RESTART,
};

/* As ModRM.reg encodes them; TR and LDTR come after. Same as enum kvm_seg. */
enum x86_emul_seg {
	X86_SEG_ES, X86_SEG_CS, X86_SEG_SS, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS,
	X86_SEG_TR, X86_SEG_LDTR,
	X86_NR_SEGS
};

enum x86_emul_gpr {
	X86_GPR_RAX, X86_GPR_RCX, X86_GPR_RDX, X86_GPR_RBX,
	X86_GPR_RSP, X86_GPR_RBP, X86_GPR_RSI, X86_GPR_RDI,
	X86_GPR_R8, X86_GPR_R9, X86_GPR_R10, X86_GPR_R11,
	X86_GPR_R12, X86_GPR_R13, X86_GPR_R14, X86_GPR_R15,
};

enum x86_emul_mode {
	X86_MODE_REAL,		/* CR0.PE = 0 */
	X86_MODE_VM86,		/* EFLAGS.VM = 1 */
	X86_MODE_PROT16,	/* protected or compatibility mode, CS.D = 0 */
	X86_MODE_PROT32,	/* ... CS.D = 1 */
	X86_MODE_PROT64,	/* EFER.LMA and CS.L */
};

/* What the guest's CPUID may or may not offer. */
enum x86_emul_feature {
	X86_EMUL_FEAT_AMD,		/* vendor AMD or Hygon: vendor-specific behaviour */
	X86_EMUL_FEAT_LM,
	X86_EMUL_FEAT_MOVBE,
	X86_EMUL_FEAT_POPCNT,
	X86_EMUL_FEAT_LZCNT,		/* ABM */
	X86_EMUL_FEAT_BMI1,		/* TZCNT */
	X86_EMUL_FEAT_CX8,
	X86_EMUL_FEAT_CX16,
	X86_EMUL_FEAT_CLFLUSH,
	X86_EMUL_FEAT_CLFLUSHOPT,
	X86_EMUL_FEAT_CLWB,
	X86_EMUL_FEAT_RDTSCP,
	X86_EMUL_FEAT_RDPID,
	X86_EMUL_FEAT_SYSCALL,
	X86_EMUL_FEAT_SEP,
	X86_EMUL_FEAT_MMX,
	X86_EMUL_FEAT_SSE,
	X86_EMUL_FEAT_SSE2,
	X86_EMUL_FEAT_SSE3,
	X86_EMUL_FEAT_SSE41,
	X86_EMUL_FEAT_SSE42,		/* CRC32 */
	X86_EMUL_FEAT_FSGSBASE,
	X86_EMUL_FEAT_XSAVE,		/* XGETBV, XSETBV; CR4.OSXSAVE is checked here */
	X86_EMUL_FEAT_SMAP,		/* CLAC, STAC */
	X86_EMUL_FEAT_INVPCID,
	X86_EMUL_FEAT_MONITOR,
	X86_EMUL_FEAT_SERIALIZE,
};

/**
 * struct x86_exception - a fault to be injected into the guest
 * @vector: exception number
 * @error_code_valid: an error code is pushed (never in real mode)
 * @error_code: that code
 * @nested_page_fault: the fault belongs to the outer level of a nested guest
 * @address: CR2 of a page fault
 */
struct x86_exception {
	u8 vector;
	bool error_code_valid;
	u16 error_code;
	bool nested_page_fault;
	u64 address;
};

enum x86_emul_stage {
	X86_EMUL_STAGE_DECODED,		/* legal and decoded; privilege not yet checked */
	X86_EMUL_STAGE_CHECKED,		/* about to read its operands */
};

enum x86_emul_x87 {
	X86_EMUL_FNINIT,
	X86_EMUL_FNSTCW,		/* gives *val */
	X86_EMUL_FNSTSW,		/* gives *val */
	X86_EMUL_FWAIT,			/* PROPAGATE_FAULT: #MF is pending */
};

enum x86_emul_soft_event {
	X86_EMUL_SOFT_NONE,
	X86_EMUL_SOFT_INT,		/* INT n: the gate's DPL is checked */
	X86_EMUL_SOFT_INT3,
	X86_EMUL_SOFT_INTO,
	X86_EMUL_SOFT_INT1,		/* privileged software exception */
};

/* largest transfer of one pio_in or pio_out: elements, each of up to 4 bytes */
#define X86_EMUL_PIO_MAX	128

#define X86_EMUL_INSN_MAX	15

struct x86_emul;
struct x86_opcode;

/**
 * struct x86_emul_ops - the world around the instruction
 *
 * None may be NULL. Those that return int return X86_EMUL_* and fill @fault
 * when that is PROPAGATE_FAULT, unless said otherwise. Linear addresses are
 * canonical, or below 4 GiB outside 64-bit mode; accesses may cross pages.
 *
 * @fetch: read instruction bytes
 * @read: read memory; @system marks implicit supervisor accesses (descriptor
 *	tables, TSS) whatever the CPL
 * @write: write memory
 * @cmpxchg: atomically replace @bytes (1, 2, 4, 8, 16) at @linear by @new when
 *	they are equal to @old, else CMPXCHG_FAILED
 * @probe_write: would a write of that range fault? Changes nothing
 * @pio_in: read at most @count elements of @size from @port (permissions are
 *	checked); @count becomes how many, at least one
 * @pio_out: write likewise. When it returns IO_NEEDED the instruction is
 *	repeated later; a glue that exits after the instruction returns CONTINUE
 * @get_segment: cached descriptor; limit in bytes, as in KVM_GET_SREGS
 * @set_segment: set it. Setting CS sets the CPL (from @s->dpl of SS, as the
 *	caller sets SS as well when the CPL changes)
 * @get_gdt: GDTR
 * @get_idt: IDTR
 * @set_gdt: load GDTR
 * @set_idt: load IDTR
 * @get_cr: CR0, CR2, CR3, CR4, CR8
 * @set_cr: returns 0, or nonzero for #GP(0)
 * @get_dr: DR0 to DR7; 4 and 5 have been mapped or refused
 * @set_dr: returns 0, or nonzero for #GP(0)
 * @get_cpl: current privilege level
 * @get_msr: @implicit: part of another instruction, the filter does not apply.
 *	CONTINUE, IO_NEEDED or PROPAGATE_FAULT (the emulator raises #GP(0)). With
 *	X86_EMUL_RESTART the value is ignored and rip stays
 * @set_msr: likewise
 * @read_pmc: likewise; PMU permission (CR4.PCE) has been checked
 * @cpuid: fills the four registers from eax and ecx; PROPAGATE_FAULT gives
 *	#GP(0) (CPUID faulting)
 * @get_xcr: 0, or nonzero for #GP(0)
 * @set_xcr: 0, or nonzero for #GP(0)
 * @halt: HLT was executed (rip moves past it)
 * @wbinvd: WBINVD or WBNOINVD was executed
 * @invlpg: drop the translation of one address
 * @invpcid: @type 0 to 3 and the descriptor, reserved fields checked; nonzero:
 *	#GP(0)
 * @fix_hypercall: VMCALL or VMMCALL. CONTINUE: done, step over. RESTART: it was
 *	patched, run it again
 * @intercept: nested hypervisors; called at each enum x86_emul_stage where e->nested is set.
 *	CONTINUE or INTERCEPTED
 * @get_fpu: the guest's FPU registers are about to be used
 * @put_fpu: they are not any more
 * @read_vec: XMM register @reg (16 bytes), or MMX register (8) when @mmx
 * @write_vec: likewise; bits above 128 stay
 * @x87: control instructions, see enum x86_emul_x87
 * @has_feature: does the guest's CPUID offer it
 * @set_nmi_mask: IRET ends, an NMI handler begins NMI blocking
 * @rsm: leave system management mode; loads e->gpr[], e->rip and e->rflags
 * @vm_bugged: the emulator found itself in an impossible state
 */
struct x86_emul_ops {
	int (*fetch)(struct x86_emul *e, u64 linear, void *buf,
		     unsigned int bytes, struct x86_exception *fault);
	int (*read)(struct x86_emul *e, u64 linear, void *val,
		    unsigned int bytes, bool system,
		    struct x86_exception *fault);
	int (*write)(struct x86_emul *e, u64 linear, const void *val,
		     unsigned int bytes, bool system,
		     struct x86_exception *fault);
	int (*cmpxchg)(struct x86_emul *e, u64 linear, const void *old,
		       const void *new, unsigned int bytes,
		       struct x86_exception *fault);
	int (*probe_write)(struct x86_emul *e, u64 linear, unsigned int bytes,
			   bool system, struct x86_exception *fault);
	int (*pio_in)(struct x86_emul *e, unsigned int size, u16 port,
		      void *val, unsigned int *count);
	int (*pio_out)(struct x86_emul *e, unsigned int size, u16 port,
		       const void *val, unsigned int count);
	void (*get_segment)(struct x86_emul *e, enum x86_emul_seg seg,
			    struct kvm_segment *s);
	void (*set_segment)(struct x86_emul *e, enum x86_emul_seg seg,
			    const struct kvm_segment *s);
	void (*get_gdt)(struct x86_emul *e, struct kvm_dtable *dt);
	void (*get_idt)(struct x86_emul *e, struct kvm_dtable *dt);
	void (*set_gdt)(struct x86_emul *e, const struct kvm_dtable *dt);
	void (*set_idt)(struct x86_emul *e, const struct kvm_dtable *dt);
	u64 (*get_cr)(struct x86_emul *e, unsigned int cr);
	int (*set_cr)(struct x86_emul *e, unsigned int cr, u64 val);
	u64 (*get_dr)(struct x86_emul *e, unsigned int dr);
	int (*set_dr)(struct x86_emul *e, unsigned int dr, u64 val);
	unsigned int (*get_cpl)(struct x86_emul *e);
	int (*get_msr)(struct x86_emul *e, u32 index, u64 *val, bool implicit);
	int (*set_msr)(struct x86_emul *e, u32 index, u64 val, bool implicit);
	int (*read_pmc)(struct x86_emul *e, u32 counter, u64 *val);
	int (*cpuid)(struct x86_emul *e, u32 *eax, u32 *ebx, u32 *ecx,
		     u32 *edx);
	int (*get_xcr)(struct x86_emul *e, u32 index, u64 *val);
	int (*set_xcr)(struct x86_emul *e, u32 index, u64 val);
	void (*halt)(struct x86_emul *e);
	void (*wbinvd)(struct x86_emul *e);
	void (*invlpg)(struct x86_emul *e, u64 linear);
	int (*invpcid)(struct x86_emul *e, unsigned int type, u16 pcid,
		       u64 linear);
	int (*fix_hypercall)(struct x86_emul *e);
	int (*intercept)(struct x86_emul *e, enum x86_emul_stage stage);
	void (*get_fpu)(struct x86_emul *e);
	void (*put_fpu)(struct x86_emul *e);
	void (*read_vec)(struct x86_emul *e, bool mmx, unsigned int reg,
			 void *val);
	void (*write_vec)(struct x86_emul *e, bool mmx, unsigned int reg,
			  const void *val);
	int (*x87)(struct x86_emul *e, enum x86_emul_x87 what, u16 *val);
	bool (*has_feature)(struct x86_emul *e, enum x86_emul_feature feature);
	void (*set_nmi_mask)(struct x86_emul *e, bool masked);
	int (*rsm)(struct x86_emul *e);
	void (*vm_bugged)(struct x86_emul *e);
};

enum x86_operand_type {
	X86_OP_NONE,
	X86_OP_GPR,
	X86_OP_MEM,
	X86_OP_IMM,
	X86_OP_SREG,
	X86_OP_CR,
	X86_OP_DR,
	X86_OP_XMM,
	X86_OP_MMX,
};

/**
 * struct x86_operand - one operand of the instruction
 * @type: where it is
 * @bytes: its size
 * @reg: register number
 * @high: AH, CH, DH or BH (with @reg the number of the whole register)
 * @val: value, zero-extended (immediate and displacement: sign-extended)
 * @v: 128-bit value
 * @orig: memory as it was read, for locked instructions
 */
struct x86_operand {
	u8 type;
	u8 bytes;
	u8 reg;
	bool high;
	union {
		u64 val;
		u64 v[2];
	};
	u64 orig;
};

/**
 * struct x86_emul_insn - the decoded instruction
 * @opcode: last opcode byte
 * @map: 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A
 * @len: bytes
 * @has_modrm: there is a ModRM byte
 * @modrm: that byte
 * @mod: its field
 * @reg: its field, with the REX extension
 * @rm: likewise
 * @sib: SIB byte, when there is one
 * @rex: REX prefix or 0
 * @rep: 0xf2, 0xf3 or 0
 * @lock: F0 prefix
 * @opsize: 66 prefix
 * @addrsize: 67 prefix
 * @seg_override: enum x86_emul_seg or -1
 * @op_bytes: operand size 2, 4, 8
 * @ad_bytes: address size 2, 4, 8
 * @is_string: a string instruction; with @is_rep repeated
 * @is_rep: see there
 * @is_io: IN, OUT, INS, OUTS
 * @mem: has a memory operand at @mem_seg:@mem_ea of @mem_bytes (not for strings
 *	and stack accesses)
 * @rip_relative: @mem_ea is relative to the next instruction
 * @mem_read: reads it
 * @mem_write: writes it
 * @mem_seg: segment of the memory operand
 * @mem_bytes: its size; 0 when it is not accessed (LEA, INVLPG)
 * @mem_ea: its offset within the segment
 * @imm: first immediate or displacement, as in the operand
 * @imm2: second immediate (ENTER), selector of a far pointer
 * @op: operands, destination first
 * @desc: entry in the opcode table
 */
struct x86_emul_insn {
	u8 opcode;
	u8 map;
	u8 len;
	u8 modrm;
	u8 mod, reg, rm;
	u8 sib;
	u8 rex;
	u8 rep;
	s8 seg_override;
	u8 op_bytes;
	u8 ad_bytes;
	u8 mem_seg;
	u8 mem_bytes;
	bool has_modrm;
	bool lock;
	bool opsize;
	bool addrsize;
	bool is_string;
	bool is_rep;
	bool is_io;
	bool mem;
	bool mem_read;
	bool mem_write;
	bool rip_relative;
	u64 mem_ea;
	u64 imm;
	u64 imm2;
	struct x86_operand op[3];
	const struct x86_opcode *desc;
};

/**
 * struct x86_emul - context of one vCPU
 * @ops: (in) callbacks
 * @priv: (in) for the callbacks
 * @mode: (in) mode of the CPU, see x86_emul_mode_of()
 * @gpr: (in, out) general registers
 * @nested: (in) ops->intercept is asked
 * @rip: (in, out) instruction pointer
 * @rflags: (in, out) flags
 * @gpr_dirty: (out) bit mask of @gpr that changed
 * @insn_len: (out) length, valid after decoding
 * @fault: (out) with PROPAGATE_FAULT
 * @tf: (out) the instruction was single-stepped (TF): #DB with DR6.BS is due
 * @int_shadow: (out) KVM_X86_SHADOW_INT_STI or _MOV_SS, or 0
 * @soft_event: (out) INT n and friends in protected mode: deliver @soft_vector
 *	through the IDT; @rip is already that of the next instruction and
 *	@insn_len tells how long the INT was
 * @soft_vector: (out) see there
 * @mode_changed: (out) a control register or CS was loaded: mode is stale
 * @d: the instruction
 *
 * The rest is the emulator's own.
 */
struct x86_emul {
	const struct x86_emul_ops *ops;
	void *priv;
	enum x86_emul_mode mode;
	bool nested;
	u64 gpr[16];
	u64 rip;
	u64 rflags;
	u32 gpr_dirty;
	unsigned int insn_len;
	struct x86_exception fault;
	bool tf;
	u8 int_shadow;
	u8 soft_event;
	u8 soft_vector;
	bool mode_changed;
	struct x86_emul_insn d;

	/* private: */
	u64 next_rip;
	u64 saved_gpr[16];
	u64 saved_rip, saved_rflags;
	u32 seg_valid;
	u32 flags;
	bool no_writeback;
	bool no_trap;
	bool keep_rf;
	bool task_switched;
	u8 fetch[X86_EMUL_INSN_MAX + 1];
	u8 fetch_len, fetch_pos;
	struct kvm_segment seg[X86_NR_SEGS];
	u8 buf[X86_EMUL_PIO_MAX * 4];
};

/* why a task switch happens */
enum x86_emul_task_reason {
	X86_TASK_CALL,
	X86_TASK_IRET,
	X86_TASK_JMP,
	X86_TASK_GATE,		/* exception or interrupt through the IDT */
};

void x86_emul_init(struct x86_emul *e);
enum x86_emul_mode x86_emul_mode_of(u64 cr0, u64 efer, u64 rflags,
				    const struct kvm_segment *cs);
int x86_emul_decode(struct x86_emul *e, const void *prefetched,
		    unsigned int len);
int x86_emul_execute(struct x86_emul *e);
int x86_emul_linear(struct x86_emul *e, bool write, u64 *linear);
int x86_emul_int_real(struct x86_emul *e, u8 vector);
int x86_emul_task_switch(struct x86_emul *e, u16 selector, int idt_index,
			 enum x86_emul_task_reason reason,
			 bool has_error_code, u32 error_code);

#endif /* KVM_OOT_EMULATE_H */
