// SPDX-License-Identifier: GPL-2.0-only
/*
 * System instructions: control and debug registers, MSRs, descriptor tables, CPUID,
 * HLT and the like (AMD64 APM vol. 3, chapter 4).
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

	if (e->mode == X86_MODE_REAL)
		return X86_EMUL_CONTINUE;
	if (e->mode == X86_MODE_VM86)
		return X86_EMUL_UNHANDLEABLE;
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
	r = gp_if(e, e->ops->rdpmc(e, e->gpr[X86_GPR_RCX], &v));
	if (r == X86_EMUL_CONTINUE)
		set_edx_eax(e, v);
	return r;
}

/* ---- control and debug registers ------------------------------------------------------- */

static bool cr_exists(struct x86_emul *e, unsigned int cr)
{
	return cr == 0 || cr == 2 || cr == 3 || cr == 4 ||
	       (cr == 8 && e->mode == X86_MODE_PROT64);
}

int em_mov_cr_read(struct x86_emul *e)
{
	if (!cr_exists(e, SRC->reg))
		return emul_ud(e);
	DST->val = e->ops->get_cr(e, SRC->reg);
	return X86_EMUL_CONTINUE;
}

int em_mov_cr_write(struct x86_emul *e)
{
	e->no_writeback = true;
	if (!cr_exists(e, DST->reg))
		return emul_ud(e);
	if (e->ops->set_cr(e, DST->reg, SRC->val))
		return emul_gp(e, 0);
	e->mode_changed = true;
	return X86_EMUL_CONTINUE;
}

/* DR4 and DR5 are DR6 and DR7, unless CR4.DE; DR7.GD makes every access a trap. */
static int check_dr(struct x86_emul *e, unsigned int *dr)
{
	if (*dr > 7)
		return emul_ud(e);
	if (*dr == 4 || *dr == 5) {
		if (e->ops->get_cr(e, 4) & X86_CR4_DE)
			return emul_ud(e);
		*dr += 2;
	}
	if (e->ops->get_dr(e, 7) & BIT(13)) {
		u64 dr6 = e->ops->get_dr(e, 6);

		e->ops->set_dr(e, 6, (dr6 & ~0xful) | BIT(13));
		e->ops->set_dr(e, 7, e->ops->get_dr(e, 7) & ~(u64)BIT(13));
		return emul_fault(e, 1);
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

/* ---- 0F 01 --------------------------------------------------------------------------------- */

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

int em_0f01(struct x86_emul *e)
{
	u64 linear;
	int r;

	if (!e->d.mem) {
		switch (e->d.modrm) {
		case 0xc1:
		case 0xd9:
			return hypercall(e);
		case 0xc8:	/* MONITOR and MWAIT: as if there were nothing to wait for */
		case 0xc9:
			if (!e->ops->has_feature(e, X86_EMUL_FEAT_MONITOR) ||
			    e->ops->get_cpl(e))
				return emul_ud(e);
			return X86_EMUL_CONTINUE;
		case 0xca:
		case 0xcb:
			return smap_flag(e, e->d.modrm == 0xcb);
		case 0xd0:
		case 0xd1:
			return xcr(e, e->d.modrm == 0xd1);
		case 0xf8:
			return swapgs(e);
		case 0xf9:
			return em_rdtscp(e);
		}
	}
	switch (e->d.modrm >> 3 & 7) {
	case 0:
	case 1:
		return e->d.mem ? store_dtable(e, e->d.modrm & 8) : emul_ud(e);
	case 2:
	case 3:
		return e->d.mem ? load_dtable(e, e->d.modrm & 8) : emul_ud(e);
	case 4:
		return smsw(e);
	case 6:
		return lmsw(e);
	case 7:
		if (!e->d.mem)
			return emul_ud(e);
		if (e->ops->get_cpl(e))
			return emul_gp(e, 0);
		r = emul_address(e, e->d.mem_seg, e->d.mem_ea, 0, false, &linear);
		/* an address that is not canonical is not an error here */
		if (r == X86_EMUL_CONTINUE)
			e->ops->invlpg(e, linear);
		return X86_EMUL_CONTINUE;
	default:
		return emul_ud(e);
	}
}

/* 0F AE: fences and cache line flushes; the state instructions are not carried out */
int em_0fae(struct x86_emul *e)
{
	unsigned int reg = e->d.modrm >> 3 & 7;
	u64 linear;
	u8 byte;
	int r;

	if (!e->d.mem)
		return reg >= 5 && !e->d.rep && !e->d.opsize ? X86_EMUL_CONTINUE :
							       X86_EMUL_UNHANDLEABLE;
	if (reg == 7 || (reg == 6 && e->d.opsize)) {
		r = emul_address(e, e->d.mem_seg, e->d.mem_ea, 1, false, &linear);
		if (r == X86_EMUL_CONTINUE)
			r = e->ops->read(e, linear, &byte, 1, false, &e->fault);
		return r;
	}
	return X86_EMUL_UNHANDLEABLE;
}

int em_invpcid(struct x86_emul *e)
{
	u64 desc[2], type = e->gpr[e->d.reg];
	int r;

	e->no_writeback = true;
	if (!e->ops->has_feature(e, X86_EMUL_FEAT_INVPCID))
		return emul_ud(e);
	r = emul_read(e, e->d.mem_seg, e->d.mem_ea, desc, 16);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (type > 3 || (desc[0] & ~0xfffull))
		return emul_gp(e, 0);
	return e->ops->invpcid(e, type, desc[0], desc[1]) ? emul_gp(e, 0) :
							    X86_EMUL_CONTINUE;
}
