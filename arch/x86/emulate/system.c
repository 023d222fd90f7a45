// SPDX-License-Identifier: GPL-2.0-only
/*
 * System instructions: control and debug registers, MSRs, descriptor tables, CPUID,
 * HLT, fast system calls and the like (AMD64 APM vol. 3, chapter 4; Intel SDM vol. 2
 * for SYSENTER in long mode).
 *
 * MONITOR and MWAIT do nothing: there is nothing to wait for. Left out of 0F 01 and
 * 0F AE: SVM, VMX, SGX and the like, the saving and loading of FPU state.
 */
#include "arch/x86/emulate/internal.h"

#define DST	(&e->d.op[0])
#define SRC	(&e->d.op[1])

int em_ud(struct x86_emul *e)
{
	return emul_ud(e);
}

/* an op says PROPAGATE_FAULT for #GP(0) */
static int gp_if(struct x86_emul *e, int r)
{
	return r == X86_EMUL_PROPAGATE_FAULT ? emul_gp(e, 0) : r;
}

int em_hlt(struct x86_emul *e)
{
	e->ops->halt(e);
	return X86_EMUL_CONTINUE;
}

static int check_if(struct x86_emul *e)
{
	unsigned int iopl = (e->rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;

	if (emul_real(e))
		return emul_check_vm86(e);
	return e->ops->get_cpl(e) > iopl ? emul_gp(e, 0) : X86_EMUL_CONTINUE;
}

int em_cli(struct x86_emul *e)
{
	int r = check_if(e);

	if (r == X86_EMUL_CONTINUE)
		e->rflags &= ~(u64)X86_EFLAGS_IF;
	return r;
}

int em_sti(struct x86_emul *e)
{
	int r = check_if(e);

	if (r != X86_EMUL_CONTINUE)
		return r;
	if (!(e->rflags & X86_EFLAGS_IF))
		e->int_shadow = KVM_X86_SHADOW_INT_STI;
	e->rflags |= X86_EFLAGS_IF;
	return r;
}

int em_cpuid(struct x86_emul *e)
{
	u32 eax = e->gpr[X86_GPR_RAX], ebx = 0, ecx = e->gpr[X86_GPR_RCX], edx = 0;
	int r = gp_if(e, e->ops->cpuid(e, &eax, &ebx, &ecx, &edx));

	if (r != X86_EMUL_CONTINUE)
		return r;
	emul_set_gpr(e, X86_GPR_RAX, eax, 4);
	emul_set_gpr(e, X86_GPR_RBX, ebx, 4);
	emul_set_gpr(e, X86_GPR_RCX, ecx, 4);
	emul_set_gpr(e, X86_GPR_RDX, edx, 4);
	return r;
}

static void set_edx_eax(struct x86_emul *e, u64 v)
{
	emul_set_gpr(e, X86_GPR_RAX, v, 4);
	emul_set_gpr(e, X86_GPR_RDX, v >> 32, 4);
}

static u64 get_edx_eax(struct x86_emul *e)
{
	return emul_gpr(e, X86_GPR_RAX, 4) | emul_gpr(e, X86_GPR_RDX, 4) << 32;
}

int em_rdmsr(struct x86_emul *e)
{
	u64 v = 0;
	int r = gp_if(e, e->ops->get_msr(e, e->gpr[X86_GPR_RCX], &v, false));

	if (r == X86_EMUL_CONTINUE)
		set_edx_eax(e, v);
	return r;
}

int em_wrmsr(struct x86_emul *e)
{
	return gp_if(e, e->ops->set_msr(e, e->gpr[X86_GPR_RCX], get_edx_eax(e), false));
}

static int check_tsd(struct x86_emul *e)
{
	if ((e->ops->get_cr(e, 4) & X86_CR4_TSD) && e->ops->get_cpl(e))
		return emul_gp(e, 0);
	return X86_EMUL_CONTINUE;
}

int em_rdtsc(struct x86_emul *e)
{
	u64 v = 0;
	int r = check_tsd(e);

	if (r == X86_EMUL_CONTINUE)
		r = e->ops->get_msr(e, MSR_IA32_TSC, &v, true);
	if (r == X86_EMUL_CONTINUE)
		set_edx_eax(e, v);
	return r;
}

int em_rdtscp(struct x86_emul *e)
{
	u64 aux = 0;
	int r;

	if (!e->ops->has_feature(e, X86_EMUL_FEAT_RDTSCP))
		return emul_ud(e);
	r = em_rdtsc(e);
	if (r == X86_EMUL_CONTINUE)
		r = e->ops->get_msr(e, MSR_TSC_AUX, &aux, true);
	if (r == X86_EMUL_CONTINUE)
		emul_set_gpr(e, X86_GPR_RCX, aux, 4);
	return r;
}

int em_rdpmc(struct x86_emul *e)
{
	u64 v = 0;
	int r;

	if (!(e->ops->get_cr(e, 4) & X86_CR4_PCE) && e->ops->get_cpl(e))
		return emul_gp(e, 0);
	r = gp_if(e, e->ops->read_pmc(e, e->gpr[X86_GPR_RCX], &v));
	if (r == X86_EMUL_CONTINUE)
		set_edx_eax(e, v);
	return r;
}

/* ---- control and debug registers ------------------------------------------ */

int em_mov_cr_read(struct x86_emul *e)
{
	DST->val = e->ops->get_cr(e, SRC->reg);
	return X86_EMUL_CONTINUE;
}

int em_mov_cr_write(struct x86_emul *e)
{
	e->no_writeback = true;
	if (e->ops->set_cr(e, DST->reg, SRC->val))
		return emul_gp(e, 0);
	e->mode_changed = true;
	return X86_EMUL_CONTINUE;
}

/* DR4 and DR5 are DR6 and DR7, unless CR4.DE; DR7.GD makes every access a trap. */
static int check_dr(struct x86_emul *e, unsigned int *dr)
{
	if (*dr == 4 || *dr == 5) {
		if (e->ops->get_cr(e, 4) & X86_CR4_DE)
			return emul_ud(e);
		*dr += 2;
	}
	if (e->ops->get_dr(e, 7) & BIT(13)) {
		u64 dr6 = e->ops->get_dr(e, 6);

		e->ops->set_dr(e, 6, (dr6 & ~0xfull) | BIT(13));
		e->ops->set_dr(e, 7, e->ops->get_dr(e, 7) & ~(u64)BIT(13));
		return emul_fault(e, X86_VEC_DB);
	}
	return X86_EMUL_CONTINUE;
}

int em_mov_dr_read(struct x86_emul *e)
{
	unsigned int dr = SRC->reg;
	int r = check_dr(e, &dr);

	if (r == X86_EMUL_CONTINUE)
		DST->val = e->ops->get_dr(e, dr);
	return r;
}

int em_mov_dr_write(struct x86_emul *e)
{
	unsigned int dr = DST->reg;
	int r = check_dr(e, &dr);

	e->no_writeback = true;
	if (r != X86_EMUL_CONTINUE)
		return r;
	return e->ops->set_dr(e, dr, SRC->val) ? emul_gp(e, 0) : X86_EMUL_CONTINUE;
}

int em_clts(struct x86_emul *e)
{
	return e->ops->set_cr(e, 0, e->ops->get_cr(e, 0) & ~(u64)X86_CR0_TS) ?
		emul_gp(e, 0) : X86_EMUL_CONTINUE;
}

int em_wbinvd(struct x86_emul *e)
{
	e->ops->wbinvd(e);
	return X86_EMUL_CONTINUE;
}

/* ---- 0F 01 ---------------------------------------------------------------- */

static int store_dtable(struct x86_emul *e, bool idt)
{
	unsigned int n = e->mode == X86_MODE_PROT64 ? 8 : 4;
	struct kvm_dtable dt;
	u8 buf[10];

	if ((e->ops->get_cr(e, 4) & X86_CR4_UMIP) && e->ops->get_cpl(e))
		return emul_gp(e, 0);
	if (idt)
		e->ops->get_idt(e, &dt);
	else
		e->ops->get_gdt(e, &dt);
	memcpy(buf, &dt.limit, 2);
	memcpy(buf + 2, &dt.base, n);
	return emul_write(e, e->d.mem_seg, e->d.mem_ea, buf, 2 + n);
}

static int load_dtable(struct x86_emul *e, bool idt)
{
	unsigned int n = e->mode == X86_MODE_PROT64 ? 8 : 4;
	struct kvm_dtable dt = {};
	u8 buf[10];
	int r;

	if (e->ops->get_cpl(e))
		return emul_gp(e, 0);
	r = emul_read(e, e->d.mem_seg, e->d.mem_ea, buf, 2 + n);
	if (r != X86_EMUL_CONTINUE)
		return r;
	memcpy(&dt.limit, buf, 2);
	memcpy(&dt.base, buf + 2, n);
	if (n == 8 && !emul_canonical(e, dt.base))
		return emul_gp(e, 0);
	/* with 16-bit operands the base has 24 bits */
	if (e->d.op_bytes == 2 && e->mode != X86_MODE_PROT64)
		dt.base &= 0xffffff;
	if (idt)
		e->ops->set_idt(e, &dt);
	else
		e->ops->set_gdt(e, &dt);
	return X86_EMUL_CONTINUE;
}

static int smsw(struct x86_emul *e)
{
	u64 cr0 = e->ops->get_cr(e, 0);

	if ((e->ops->get_cr(e, 4) & X86_CR4_UMIP) && e->ops->get_cpl(e))
		return emul_gp(e, 0);
	if (e->d.mem)
		return emul_write(e, e->d.mem_seg, e->d.mem_ea, &cr0, 2);
	emul_set_gpr(e, e->d.rm, cr0, e->d.op_bytes);
	return X86_EMUL_CONTINUE;
}

static int lmsw(struct x86_emul *e)
{
	u64 cr0 = e->ops->get_cr(e, 0), v = 0;
	int r = X86_EMUL_CONTINUE;

	if (e->ops->get_cpl(e))
		return emul_gp(e, 0);
	if (e->d.mem)
		r = emul_read(e, e->d.mem_seg, e->d.mem_ea, &v, 2);
	else
		v = e->gpr[e->d.rm];
	if (r != X86_EMUL_CONTINUE)
		return r;
	/* PE can be set by it, not cleared */
	cr0 = (cr0 & ~0xeull) | (v & 0xf);
	e->mode_changed = true;
	return e->ops->set_cr(e, 0, cr0) ? emul_gp(e, 0) : X86_EMUL_CONTINUE;
}

static int xcr(struct x86_emul *e, bool write)
{
	u64 v = 0;

	if (!e->ops->has_feature(e, X86_EMUL_FEAT_XSAVE) ||
	    !(e->ops->get_cr(e, 4) & X86_CR4_OSXSAVE))
		return emul_ud(e);
	if (write) {
		if (e->ops->get_cpl(e) ||
		    e->ops->set_xcr(e, e->gpr[X86_GPR_RCX], get_edx_eax(e)))
			return emul_gp(e, 0);
		return X86_EMUL_CONTINUE;
	}
	if (e->ops->get_xcr(e, e->gpr[X86_GPR_RCX], &v))
		return emul_gp(e, 0);
	set_edx_eax(e, v);
	return X86_EMUL_CONTINUE;
}

static int hypercall(struct x86_emul *e)
{
	int r = e->ops->fix_hypercall(e);

	if (r == X86_EMUL_RESTART) {
		/* patched: the guest runs it again, now with an exit */
		e->next_rip = e->rip;
		e->no_trap = true;
		r = X86_EMUL_CONTINUE;
	}
	return r;
}

static int swapgs(struct x86_emul *e)
{
	struct kvm_segment gs;
	u64 v = 0;
	int r;

	if (e->mode != X86_MODE_PROT64)
		return emul_ud(e);
	if (e->ops->get_cpl(e))
		return emul_gp(e, 0);
	r = e->ops->get_msr(e, MSR_KERNEL_GS_BASE, &v, true);
	if (r != X86_EMUL_CONTINUE)
		return r;
	gs = *emul_seg(e, X86_SEG_GS);
	r = e->ops->set_msr(e, MSR_KERNEL_GS_BASE, gs.base, true);
	if (r != X86_EMUL_CONTINUE)
		return r;
	gs.base = v;
	emul_put_seg(e, X86_SEG_GS, &gs);
	return X86_EMUL_CONTINUE;
}

static int smap_flag(struct x86_emul *e, bool set)
{
	if (!e->ops->has_feature(e, X86_EMUL_FEAT_SMAP) || e->ops->get_cpl(e))
		return emul_ud(e);
	e->rflags = set ? e->rflags | X86_EFLAGS_AC : e->rflags & ~(u64)X86_EFLAGS_AC;
	return X86_EMUL_CONTINUE;
}

/* INVLPG; an address that is not canonical is not an error */
static int invlpg(struct x86_emul *e)
{
	u64 linear;

	if (e->ops->get_cpl(e))
		return emul_gp(e, 0);
	if (emul_address(e, e->d.mem_seg, e->d.mem_ea, 0, false, &linear) == X86_EMUL_CONTINUE)
		e->ops->invlpg(e, linear);
	return X86_EMUL_CONTINUE;
}

/* the register forms that are no SMSW or LMSW */
static int reg_0f01(struct x86_emul *e)
{
	switch (e->d.modrm) {
	case 0xc1:	/* VMCALL, VMMCALL */
	case 0xd9:
		return hypercall(e);
	case 0xc8:	/* MONITOR, MWAIT */
	case 0xc9:
		if (!e->ops->has_feature(e, X86_EMUL_FEAT_MONITOR) || e->ops->get_cpl(e))
			return emul_ud(e);
		return X86_EMUL_CONTINUE;
	case 0xca:
	case 0xcb:
		return smap_flag(e, e->d.modrm == 0xcb);
	case 0xd0:
	case 0xd1:
		return xcr(e, e->d.modrm == 0xd1);
	case 0xe8:
		if (e->d.rep || e->d.opsize)
			return X86_EMUL_UNHANDLEABLE;
		return e->ops->has_feature(e, X86_EMUL_FEAT_SERIALIZE) ?
			X86_EMUL_CONTINUE : emul_ud(e);
	case 0xf8:
		return swapgs(e);
	case 0xf9:
		return em_rdtscp(e);
	}
	return X86_EMUL_UNHANDLEABLE;
}

int em_0f01(struct x86_emul *e)
{
	unsigned int reg = e->d.modrm >> 3 & 7;

	if (reg == 4)
		return smsw(e);
	if (reg == 6)
		return lmsw(e);
	if (!e->d.mem)
		return reg_0f01(e);
	switch (reg) {
	case 0:
	case 1:
		return store_dtable(e, reg & 1);
	case 2:
	case 3:
		return load_dtable(e, reg & 1);
	case 7:
		return invlpg(e);
	}
	return X86_EMUL_UNHANDLEABLE;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE */
static int fsgsbase(struct x86_emul *e, unsigned int reg)
{
	enum x86_emul_seg seg = reg & 1 ? X86_SEG_GS : X86_SEG_FS;
	unsigned int n = e->d.op_bytes == 8 ? 8 : 4;
	struct kvm_segment s;

	if (e->mode != X86_MODE_PROT64 || !e->ops->has_feature(e, X86_EMUL_FEAT_FSGSBASE) ||
	    !(e->ops->get_cr(e, 4) & X86_CR4_FSGSBASE))
		return emul_ud(e);
	s = *emul_seg(e, seg);
	if (reg < 2) {
		emul_set_gpr(e, e->d.rm, s.base, n);
		return X86_EMUL_CONTINUE;
	}
	s.base = emul_gpr(e, e->d.rm, n);
	if (!emul_canonical(e, s.base))
		return emul_gp(e, 0);
	emul_put_seg(e, seg, &s);
	return X86_EMUL_CONTINUE;
}

/*
 * 0F AE: fences, cache line flushes, FS and GS bases. A flush touches no memory: that of
 * a device is not to be read for it.
 */
int em_0fae(struct x86_emul *e)
{
	struct x86_emul_insn *d = &e->d;
	unsigned int reg = d->modrm >> 3 & 7;
	enum x86_emul_feature feature;
	u64 linear;

	if (!d->mem) {
		if (reg < 4 && d->rep == 0xf3 && !d->opsize)
			return fsgsbase(e, reg);
		/* LFENCE, MFENCE, SFENCE */
		return reg >= 5 && !d->rep && !d->opsize ? X86_EMUL_CONTINUE :
							   X86_EMUL_UNHANDLEABLE;
	}
	if (d->rep)
		return X86_EMUL_UNHANDLEABLE;
	if (reg == 7)
		feature = d->opsize ? X86_EMUL_FEAT_CLFLUSHOPT : X86_EMUL_FEAT_CLFLUSH;
	else if (reg == 6 && d->opsize)
		feature = X86_EMUL_FEAT_CLWB;
	else
		return X86_EMUL_UNHANDLEABLE;
	if (!e->ops->has_feature(e, feature))
		return emul_ud(e);
	return emul_address(e, d->mem_seg, d->mem_ea, 1, false, &linear);
}

int em_invpcid(struct x86_emul *e)
{
	u64 desc[2], type = emul_gpr(e, e->d.reg, e->d.op_bytes);
	int r;

	e->no_writeback = true;
	if (!e->ops->has_feature(e, X86_EMUL_FEAT_INVPCID))
		return emul_ud(e);
	r = emul_read(e, e->d.mem_seg, e->d.mem_ea, desc, 16);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (type > 3 || (desc[0] & ~0xfffull))
		return emul_gp(e, 0);
	/* without PCIDs there is only number 0 */
	if (type < 2 && desc[0] && !(e->ops->get_cr(e, 4) & X86_CR4_PCIDE))
		return emul_gp(e, 0);
	if (!type && !emul_canonical(e, desc[1]))
		return emul_gp(e, 0);
	return e->ops->invpcid(e, type, desc[0], desc[1]) ? emul_gp(e, 0) :
							    X86_EMUL_CONTINUE;
}

int em_rdpid(struct x86_emul *e)
{
	/* RDSEED, without the prefix, is the CPU's own business */
	if (e->d.rep != 0xf3)
		return X86_EMUL_UNHANDLEABLE;
	if (!e->ops->has_feature(e, X86_EMUL_FEAT_RDPID))
		return emul_ud(e);
	return e->ops->get_msr(e, MSR_TSC_AUX, &DST->val, true);
}

int em_rsm(struct x86_emul *e)
{
	int r = e->ops->rsm(e);

	if (r != X86_EMUL_CONTINUE)
		return r;
	e->gpr_dirty = 0xffff;
	e->next_rip = e->rip;
	e->keep_rf = true;
	e->no_trap = true;
	e->mode_changed = true;
	return r;
}

/* ---- fast system calls ---------------------------------------------------- */

/* Flat segments at a level; SS first, as it carries the level. */
static void flat_segments(struct x86_emul *e, u16 cs, u16 ss, unsigned int cpl, bool wide)
{
	struct kvm_segment s = {
		.selector = ss,
		.limit = 0xffffffff,
		.type = 3,
		.s = 1,
		.dpl = cpl,
		.present = 1,
		.db = 1,
		.g = 1,
	};

	emul_put_seg(e, X86_SEG_SS, &s);
	s.selector = cs;
	s.type = 0xb;
	s.db = !wide;
	s.l = wide;
	emul_put_seg(e, X86_SEG_CS, &s);
	e->mode_changed = true;
}

static int implicit_msr(struct x86_emul *e, u32 index, u64 *val)
{
	*val = 0;
	return gp_if(e, e->ops->get_msr(e, index, val, true));
}

/* SYSCALL and SYSRET: outside long mode, and from compatibility mode, they are AMD's. */
static int check_syscall(struct x86_emul *e)
{
	u64 efer;
	int r;

	if (emul_real(e) || !e->ops->has_feature(e, X86_EMUL_FEAT_SYSCALL))
		return emul_ud(e);
	r = implicit_msr(e, MSR_EFER, &efer);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (!(efer & EFER_SCE) ||
	    (e->mode != X86_MODE_PROT64 && !e->ops->has_feature(e, X86_EMUL_FEAT_AMD)))
		return emul_ud(e);
	return X86_EMUL_CONTINUE;
}

int em_syscall(struct x86_emul *e)
{
	bool wide = emul_long_mode(e);
	u64 star, target, mask = 0;
	u16 cs;
	int r = check_syscall(e);

	if (r == X86_EMUL_CONTINUE)
		r = implicit_msr(e, MSR_STAR, &star);
	if (r != X86_EMUL_CONTINUE)
		return r;
	cs = star >> 32 & 0xfffc;
	if (wide) {
		r = implicit_msr(e, e->mode == X86_MODE_PROT64 ? MSR_LSTAR : MSR_CSTAR, &target);
		if (r == X86_EMUL_CONTINUE)
			r = implicit_msr(e, MSR_SYSCALL_MASK, &mask);
		if (r != X86_EMUL_CONTINUE)
			return r;
		emul_set_gpr(e, X86_GPR_RCX, e->next_rip, 8);
		emul_set_gpr(e, X86_GPR_R11, e->rflags & ~(u64)X86_EFLAGS_RF, 8);
		e->rflags &= ~((u32)mask | (u64)X86_EFLAGS_RF);
	} else {
		target = (u32)star;
		emul_set_gpr(e, X86_GPR_RCX, e->next_rip, 4);
		e->rflags &= ~(u64)(X86_EFLAGS_VM | X86_EFLAGS_IF | X86_EFLAGS_RF);
	}
	e->rflags |= X86_EFLAGS_FIXED;
	/* what was masked does not trap any more */
	e->no_trap = !(e->rflags & X86_EFLAGS_TF);
	flat_segments(e, cs, cs + 8, 0, wide);
	e->next_rip = target;
	return X86_EMUL_CONTINUE;
}

int em_sysret(struct x86_emul *e)
{
	bool wide = e->d.op_bytes == 8;
	u64 star, rip;
	u16 base;
	int r = check_syscall(e);

	if (r == X86_EMUL_CONTINUE && e->ops->get_cpl(e))
		r = emul_gp(e, 0);
	if (r == X86_EMUL_CONTINUE)
		r = implicit_msr(e, MSR_STAR, &star);
	if (r != X86_EMUL_CONTINUE)
		return r;
	rip = emul_gpr(e, X86_GPR_RCX, wide ? 8 : 4);
	if (wide && !emul_canonical(e, rip))
		return emul_gp(e, 0);
	base = star >> 48;
	flat_segments(e, (base + (wide ? 16 : 0)) | 3, (base + 8) | 3, 3, wide);
	if (e->mode == X86_MODE_PROT64)
		e->rflags = (e->gpr[X86_GPR_R11] & 0x3c7fd7) | X86_EFLAGS_FIXED;
	else
		e->rflags |= X86_EFLAGS_IF;
	e->next_rip = rip;
	return X86_EMUL_CONTINUE;
}

/* SYSENTER and SYSEXIT: AMD has none in long mode. */
static int check_sysenter(struct x86_emul *e, u64 *cs)
{
	int r;

	if (!e->ops->has_feature(e, X86_EMUL_FEAT_SEP) ||
	    (emul_long_mode(e) && e->ops->has_feature(e, X86_EMUL_FEAT_AMD)))
		return emul_ud(e);
	if (e->mode == X86_MODE_REAL)
		return emul_gp(e, 0);
	r = implicit_msr(e, MSR_IA32_SYSENTER_CS, cs);
	if (r != X86_EMUL_CONTINUE)
		return r;
	return *cs & 0xfffc ? X86_EMUL_CONTINUE : emul_gp(e, 0);
}

int em_sysenter(struct x86_emul *e)
{
	bool wide = emul_long_mode(e);
	u64 cs, rip, rsp;
	int r = check_sysenter(e, &cs);

	if (r == X86_EMUL_CONTINUE)
		r = implicit_msr(e, MSR_IA32_SYSENTER_EIP, &rip);
	if (r == X86_EMUL_CONTINUE)
		r = implicit_msr(e, MSR_IA32_SYSENTER_ESP, &rsp);
	if (r != X86_EMUL_CONTINUE)
		return r;
	cs &= 0xfffc;
	e->rflags &= ~(u64)(X86_EFLAGS_VM | X86_EFLAGS_IF | X86_EFLAGS_RF);
	flat_segments(e, cs, cs + 8, 0, wide);
	emul_set_gpr(e, X86_GPR_RSP, rsp, wide ? 8 : 4);
	e->next_rip = wide ? rip : (u32)rip;
	return X86_EMUL_CONTINUE;
}

int em_sysexit(struct x86_emul *e)
{
	bool wide = e->d.op_bytes == 8;
	unsigned int n = wide ? 8 : 4;
	u64 cs, rip, rsp;
	int r = check_sysenter(e, &cs);

	if (r != X86_EMUL_CONTINUE)
		return r;
	if (e->ops->get_cpl(e))
		return emul_gp(e, 0);
	rip = emul_gpr(e, X86_GPR_RDX, n);
	rsp = emul_gpr(e, X86_GPR_RCX, n);
	if (wide && (!emul_canonical(e, rip) || !emul_canonical(e, rsp)))
		return emul_gp(e, 0);
	cs = (cs & 0xfffc) + (wide ? 32 : 16);
	flat_segments(e, cs | 3, (cs + 8) | 3, 3, wide);
	emul_set_gpr(e, X86_GPR_RSP, rsp, n);
	e->next_rip = rip;
	return X86_EMUL_CONTINUE;
}
