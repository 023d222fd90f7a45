// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between the instruction emulator, which knows nothing of a VM, and the vCPU:
 * registers go in and come out, and the emulator's callbacks reach guest
 * memory, ports, control registers and the rest.
 *
 * An instruction that user space has to answer is carried out again from its
 * start once the answer is there (io.c keeps what it has read). A write is
 * posted: the instruction is finished, then user space is told.
 *
 * Left out: INT n, INT3 and INTO in protected mode are delivered as events of
 * the hardware without a check of the gate's DPL; they get here only when an
 * instruction next to them was to be emulated.
 */
#include <linux/hardirq.h>
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/trapnr.h>

#include "arch/x86/dma.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/pmu.h"
#include "arch/x86/run.h"
#include "arch/x86/emulate/emulate.h"

/* rounds of a REP string instruction before the run loop gets a look */
#define KVM_EMUL_ROUNDS	256

/**
 * struct kvm_emul - emulation of one vCPU
 * @e: the emulator's context
 * @vcpu: the vCPU
 * @gpa: what it faulted at, with KVM_EMUL_FAULT; with @have_gpa the memory operand
 * @unprotected_gfn: table that was let go of, see unprotect()
 * @unprotected_rip: for the instruction there
 * @have_gpa: the nested fault told the address, and it is that of the operand
 * @gpa_is_mmio: and there is no memory
 * @pio_out: a port write waits for user space
 * @halted: HLT was carried out
 * @rflags: with what the debugger set, before the instruction
 * @linear_rip: of the instruction
 */
struct kvm_emul {
	struct x86_emul e;
	struct kvm_vcpu *vcpu;
	gpa_t gpa;
	gfn_t unprotected_gfn;
	unsigned long unprotected_rip;
	bool have_gpa;
	bool gpa_is_mmio;
	bool pio_out;
	bool halted;
	unsigned long rflags;
	unsigned long linear_rip;
};

static struct kvm_vcpu *vcpu_of(struct x86_emul *e)
{
	return container_of(e, struct kvm_emul, e)->vcpu;
}

/* ---- memory ---------------------------------------------------------------------- */

static void to_exception(struct x86_exception *x, const struct kvm_fault *f)
{
	x->vector = f->vector;
	x->error_code_valid = f->has_error_code;
	x->error_code = f->error_code;
	x->nested_page_fault = false;
	x->address = f->address;
}

/* One or two pieces of guest physical memory that an access covers. */
struct kvm_emul_span {
	unsigned int nr;
	bool mmio;		/* a device, known without a look */
	struct {
		gpa_t gpa;
		unsigned int len;
	} part[2];
};

static int translate(struct x86_emul *e, u64 linear, unsigned int bytes,
		     u64 access, bool system, struct kvm_emul_span *span,
		     struct x86_exception *x)
{
	struct kvm_emul *k = container_of(e, struct kvm_emul, e);
	struct kvm_vcpu *vcpu = k->vcpu;
	struct kvm_fault fault;
	unsigned int len;

	if (!system && kvm_be_call(get_cpl)(vcpu) == 3)
		access |= PFERR_USER;

	span->nr = 0;
	span->mmio = false;
	while (bytes) {
		gpa_t gpa;

		if (span->nr == ARRAY_SIZE(span->part))
			return X86_EMUL_UNHANDLEABLE;
		len = min_t(unsigned int, bytes, PAGE_SIZE - offset_in_page(linear));
		if (k->have_gpa && !span->nr && len == bytes &&
		    !(access & PFERR_FETCH) &&
		    offset_in_page(linear) == offset_in_page(k->gpa)) {
			gpa = k->gpa;
			span->mmio = k->gpa_is_mmio;
		} else {
			gpa = kvm_mmu_gva_to_gpa(vcpu, linear, access, &fault);
			if (gpa == KVM_INVALID_GPA) {
				to_exception(x, &fault);
				return X86_EMUL_PROPAGATE_FAULT;
			}
		}
		span->part[span->nr].gpa = gpa;
		span->part[span->nr++].len = len;
		linear += len;
		if (e->mode != X86_MODE_PROT64)
			linear = (u32)linear;
		bytes -= len;
	}
	return X86_EMUL_CONTINUE;
}

static int op_fetch(struct x86_emul *e, u64 linear, void *buf,
		    unsigned int bytes, struct x86_exception *x)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);
	struct kvm_emul_span span;
	unsigned int i;
	int r;

	r = translate(e, linear, bytes, PFERR_FETCH, false, &span, x);
	if (r != X86_EMUL_CONTINUE)
		return r;
	for (i = 0; i < span.nr; i++) {
		if (kvm_vcpu_read_guest(vcpu, span.part[i].gpa, buf, span.part[i].len))
			return X86_EMUL_UNHANDLEABLE;
		buf += span.part[i].len;
	}
	return X86_EMUL_CONTINUE;
}

static int op_read(struct x86_emul *e, u64 linear, void *val,
		   unsigned int bytes, bool system, struct x86_exception *x)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);
	struct kvm_emul_span span;
	unsigned int i;
	int r;

	r = translate(e, linear, bytes, 0, system, &span, x);
	if (r != X86_EMUL_CONTINUE)
		return r;
	for (i = 0; i < span.nr; i++) {
		if (span.mmio || kvm_vcpu_read_guest(vcpu, span.part[i].gpa, val,
						     span.part[i].len)) {
			r = kvm_emul_mmio(vcpu, span.part[i].gpa,
					  span.part[i].len, val, false);
			if (r != X86_EMUL_CONTINUE)
				return r;
		}
		val += span.part[i].len;
	}
	return X86_EMUL_CONTINUE;
}

static int write_span(struct kvm_vcpu *vcpu, const struct kvm_emul_span *span,
		      const void *val)
{
	unsigned int i;
	int r;

	for (i = 0; i < span->nr; i++) {
		/* a read-only slot answers like a device */
		if (span->mmio || kvm_vcpu_write_guest(vcpu, span->part[i].gpa, val,
						       span->part[i].len)) {
			r = kvm_emul_mmio(vcpu, span->part[i].gpa,
					  span->part[i].len, (void *)val, true);
			if (r != X86_EMUL_CONTINUE)
				return r;
		} else {
			kvm_mmu_guest_wrote(vcpu->kvm, span->part[i].gpa, span->part[i].len);
		}
		val += span->part[i].len;
	}
	return X86_EMUL_CONTINUE;
}

static int op_write(struct x86_emul *e, u64 linear, const void *val,
		    unsigned int bytes, bool system, struct x86_exception *x)
{
	struct kvm_emul_span span;
	int r;

	r = translate(e, linear, bytes, PFERR_WRITE, system, &span, x);
	if (r != X86_EMUL_CONTINUE)
		return r;
	return write_span(vcpu_of(e), &span, val);
}

static int op_cmpxchg(struct x86_emul *e, u64 linear, const void *old,
		      const void *new, unsigned int bytes,
		      struct x86_exception *x)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);
	struct kvm_emul_span span;
	int r;

	r = translate(e, linear, bytes, PFERR_WRITE, false, &span, x);
	if (r != X86_EMUL_CONTINUE)
		return r;
	if (span.nr == 1 && IS_ALIGNED(linear, bytes)) {
		r = kvm_vcpu_cmpxchg_guest(vcpu, span.part[0].gpa, old, new, bytes);
		if (!r)
			kvm_mmu_guest_wrote(vcpu->kvm, span.part[0].gpa, bytes);
		if (r >= 0)
			return r ? X86_EMUL_CMPXCHG_FAILED : X86_EMUL_CONTINUE;
	}
	/* a device, or a split lock: there is no atomic form of it */
	return write_span(vcpu, &span, new);
}

static int op_probe_write(struct x86_emul *e, u64 linear, unsigned int bytes,
			  bool system, struct x86_exception *x)
{
	struct kvm_emul_span span;

	return translate(e, linear, bytes, PFERR_WRITE, system, &span, x);
}

/* ---- ports ---------------------------------------------------------------- */

static int complete_emulated_in(struct kvm_vcpu *vcpu)
{
	return kvm_emulate_insn(vcpu, 0, KVM_EMUL_NO_DECODE, NULL, 0);
}

static int op_pio_in(struct x86_emul *e, unsigned int size, u16 port, void *val,
		     unsigned int *count)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);
	int r = kvm_pio_in(vcpu, size, port, val, *count);

	if (r < 0)
		return X86_EMUL_UNHANDLEABLE;
	if (r) {
		*count = r;
		return X86_EMUL_CONTINUE;
	}
	vcpu->arch.complete_userspace_io = complete_emulated_in;
	return X86_EMUL_IO_NEEDED;
}

static int op_pio_out(struct x86_emul *e, unsigned int size, u16 port,
		      const void *val, unsigned int count)
{
	struct kvm_emul *k = container_of(e, struct kvm_emul, e);

	if (!kvm_pio_out(k->vcpu, size, port, val, count))
		k->pio_out = true;
	return X86_EMUL_CONTINUE;
}

/* ---- registers ------------------------------------------------------------ */

static void op_get_segment(struct x86_emul *e, enum x86_emul_seg seg,
			   struct kvm_segment *s)
{
	kvm_be_call(get_segment)(vcpu_of(e), (enum kvm_seg)seg, s);
}

static void op_set_segment(struct x86_emul *e, enum x86_emul_seg seg,
			   const struct kvm_segment *s)
{
	kvm_be_call(set_segment)(vcpu_of(e), (enum kvm_seg)seg, s);
}

static void op_get_gdt(struct x86_emul *e, struct kvm_dtable *dt)
{
	kvm_get_dtable(vcpu_of(e), VCPU_SEG_GDTR, dt);
}

static void op_get_idt(struct x86_emul *e, struct kvm_dtable *dt)
{
	kvm_get_dtable(vcpu_of(e), VCPU_SEG_IDTR, dt);
}

static void op_set_gdt(struct x86_emul *e, const struct kvm_dtable *dt)
{
	kvm_set_dtable(vcpu_of(e), VCPU_SEG_GDTR, dt);
}

static void op_set_idt(struct x86_emul *e, const struct kvm_dtable *dt)
{
	kvm_set_dtable(vcpu_of(e), VCPU_SEG_IDTR, dt);
}

static u64 op_get_cr(struct x86_emul *e, unsigned int cr)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	switch (cr) {
	case 0:
		return kvm_read_cr0(vcpu);
	case 2:
		return vcpu->arch.cr2;
	case 3:
		return kvm_read_cr3(vcpu);
	case 4:
		return kvm_read_cr4(vcpu);
	case 8:
		return kvm_get_cr8(vcpu);
	}
	return 0;
}

static int op_set_cr(struct x86_emul *e, unsigned int cr, u64 val)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	switch (cr) {
	case 0:
		return kvm_set_cr0(vcpu, kvm_nested_cr(vcpu, 0, val));
	case 2:
		vcpu->arch.cr2 = val;
		return 0;
	case 3:
		return kvm_set_cr3(vcpu, val);
	case 4:
		return kvm_set_cr4(vcpu, kvm_nested_cr(vcpu, 1, val));
	case 8:
		return kvm_set_cr8(vcpu, val);
	}
	return 1;
}

static u64 op_get_dr(struct x86_emul *e, unsigned int dr)
{
	return kvm_get_dr(vcpu_of(e), dr);
}

static int op_set_dr(struct x86_emul *e, unsigned int dr, u64 val)
{
	return kvm_set_dr(vcpu_of(e), dr, val);
}

static unsigned int op_get_cpl(struct x86_emul *e)
{
	return kvm_be_call(get_cpl)(vcpu_of(e));
}

static int op_get_msr(struct x86_emul *e, u32 index, u64 *val, bool implicit)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);
	int r = kvm_get_msr(vcpu, index, val, implicit);

	if (!r)
		return X86_EMUL_CONTINUE;
	if (!implicit && kvm_msr_user_space(vcpu, index, KVM_EXIT_X86_RDMSR, 0, r))
		return X86_EMUL_IO_NEEDED;
	return X86_EMUL_PROPAGATE_FAULT;
}

static int op_set_msr(struct x86_emul *e, u32 index, u64 val, bool implicit)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);
	int r = kvm_set_msr(vcpu, index, val, implicit);

	if (!r)
		return X86_EMUL_CONTINUE;
	if (!implicit && kvm_msr_user_space(vcpu, index, KVM_EXIT_X86_WRMSR, val, r))
		return X86_EMUL_IO_NEEDED;
	return X86_EMUL_PROPAGATE_FAULT;
}

static int op_read_pmc(struct x86_emul *e, u32 counter, u64 *val)
{
	return kvm_pmu_rdpmc(vcpu_of(e), counter, val) ? X86_EMUL_PROPAGATE_FAULT :
							 X86_EMUL_CONTINUE;
}

static int op_cpuid(struct x86_emul *e, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	if (kvm_cpuid_faults(vcpu_of(e)))
		return X86_EMUL_PROPAGATE_FAULT;
	kvm_cpuid(vcpu_of(e), eax, ebx, ecx, edx, false);
	return X86_EMUL_CONTINUE;
}

static int op_get_xcr(struct x86_emul *e, u32 index, u64 *val)
{
	if (index)
		return 1;
	*val = vcpu_of(e)->arch.xcr0;
	return 0;
}

static int op_set_xcr(struct x86_emul *e, u32 index, u64 val)
{
	return kvm_set_xcr(vcpu_of(e), index, val);
}

/* ---- the rest ------------------------------------------------------------- */

static void op_halt(struct x86_emul *e)
{
	container_of(e, struct kvm_emul, e)->halted = true;
}

static void op_wbinvd(struct x86_emul *e)
{
	kvm_wbinvd(vcpu_of(e));
}

static void op_invlpg(struct x86_emul *e, u64 linear)
{
	kvm_mmu_invlpg(vcpu_of(e), linear);
}

static int op_invpcid(struct x86_emul *e, unsigned int type, u16 pcid, u64 linear)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	/* the whole of the guest's TLB: more than asked for is allowed */
	kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	return 0;
}

static int op_fix_hypercall(struct x86_emul *e)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	if (!kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN)) {
		e->fault = (struct x86_exception){ .vector = X86_TRAP_UD };
		return X86_EMUL_PROPAGATE_FAULT;
	}
	if (op_write(e, container_of(e, struct kvm_emul, e)->linear_rip,
		     kvm_be.hypercall_insn, 3, false, &e->fault) ==
	    X86_EMUL_PROPAGATE_FAULT)
		return X86_EMUL_PROPAGATE_FAULT;
	return X86_EMUL_RESTART;
}

/* Privilege and the like come first, as on a CPU. */
static int op_intercept(struct x86_emul *e, enum x86_emul_stage stage)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	if (stage != X86_EMUL_STAGE_CHECKED)
		return X86_EMUL_CONTINUE;
	return kvm_be_call(nested_insn)(vcpu, e) ? X86_EMUL_INTERCEPTED : X86_EMUL_CONTINUE;
}

static void op_get_fpu(struct x86_emul *e)
{
	/* during KVM_RUN the guest's registers are the task's */
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

static void op_put_fpu(struct x86_emul *e)
{
	fpregs_unlock();
}

struct vec128 {
	u64 q[2];
};

#define STORE_MM(n)	({ asm volatile("movq %%mm" #n ", %0" : "=m"(v->q[0])); })
#define STORE_XMM(n)	({ asm volatile("movdqu %%xmm" #n ", %0" : "=m"(*v)); })
#define LOAD_MM(n)	({ asm volatile("movq %0, %%mm" #n : : "m"(v->q[0])); })
#define LOAD_XMM(n)	({ asm volatile("movdqu %0, %%xmm" #n : : "m"(*v)); })

static void op_read_vec(struct x86_emul *e, bool mmx, unsigned int reg, void *val)
{
	struct vec128 *v = val;

	switch (mmx ? reg & 7 : 8 + (reg & 15)) {
	case 0:
		STORE_MM(0);
		break;
	case 1:
		STORE_MM(1);
		break;
	case 2:
		STORE_MM(2);
		break;
	case 3:
		STORE_MM(3);
		break;
	case 4:
		STORE_MM(4);
		break;
	case 5:
		STORE_MM(5);
		break;
	case 6:
		STORE_MM(6);
		break;
	case 7:
		STORE_MM(7);
		break;
	case 8 + 0:
		STORE_XMM(0);
		break;
	case 8 + 1:
		STORE_XMM(1);
		break;
	case 8 + 2:
		STORE_XMM(2);
		break;
	case 8 + 3:
		STORE_XMM(3);
		break;
	case 8 + 4:
		STORE_XMM(4);
		break;
	case 8 + 5:
		STORE_XMM(5);
		break;
	case 8 + 6:
		STORE_XMM(6);
		break;
	case 8 + 7:
		STORE_XMM(7);
		break;
	case 8 + 8:
		STORE_XMM(8);
		break;
	case 8 + 9:
		STORE_XMM(9);
		break;
	case 8 + 10:
		STORE_XMM(10);
		break;
	case 8 + 11:
		STORE_XMM(11);
		break;
	case 8 + 12:
		STORE_XMM(12);
		break;
	case 8 + 13:
		STORE_XMM(13);
		break;
	case 8 + 14:
		STORE_XMM(14);
		break;
	case 8 + 15:
		STORE_XMM(15);
		break;
	}
}

static void op_write_vec(struct x86_emul *e, bool mmx, unsigned int reg,
			 const void *val)
{
	const struct vec128 *v = val;

	switch (mmx ? reg & 7 : 8 + (reg & 15)) {
	case 0:
		LOAD_MM(0);
		break;
	case 1:
		LOAD_MM(1);
		break;
	case 2:
		LOAD_MM(2);
		break;
	case 3:
		LOAD_MM(3);
		break;
	case 4:
		LOAD_MM(4);
		break;
	case 5:
		LOAD_MM(5);
		break;
	case 6:
		LOAD_MM(6);
		break;
	case 7:
		LOAD_MM(7);
		break;
	case 8 + 0:
		LOAD_XMM(0);
		break;
	case 8 + 1:
		LOAD_XMM(1);
		break;
	case 8 + 2:
		LOAD_XMM(2);
		break;
	case 8 + 3:
		LOAD_XMM(3);
		break;
	case 8 + 4:
		LOAD_XMM(4);
		break;
	case 8 + 5:
		LOAD_XMM(5);
		break;
	case 8 + 6:
		LOAD_XMM(6);
		break;
	case 8 + 7:
		LOAD_XMM(7);
		break;
	case 8 + 8:
		LOAD_XMM(8);
		break;
	case 8 + 9:
		LOAD_XMM(9);
		break;
	case 8 + 10:
		LOAD_XMM(10);
		break;
	case 8 + 11:
		LOAD_XMM(11);
		break;
	case 8 + 12:
		LOAD_XMM(12);
		break;
	case 8 + 13:
		LOAD_XMM(13);
		break;
	case 8 + 14:
		LOAD_XMM(14);
		break;
	case 8 + 15:
		LOAD_XMM(15);
		break;
	}
}

#define X87_STATUS_ES	BIT(7)	/* an unmasked exception is pending */

static int op_x87(struct x86_emul *e, enum x86_emul_x87 what, u16 *val)
{
	u16 v = 0;

	switch (what) {
	case X86_EMUL_FNINIT:
		asm volatile("fninit");
		break;
	case X86_EMUL_FNSTCW:
		asm volatile("fnstcw %0" : "=m"(*val));
		break;
	case X86_EMUL_FNSTSW:
		asm volatile("fnstsw %0" : "=m"(*val));
		break;
	case X86_EMUL_FWAIT:
		asm volatile("fnstsw %0" : "=m"(v));
		if (v & X87_STATUS_ES)
			return X86_EMUL_PROPAGATE_FAULT;
		break;
	}
	return X86_EMUL_CONTINUE;
}

static const u16 feature_of[] = {
	[X86_EMUL_FEAT_LM]	= X86_FEATURE_LM,
	[X86_EMUL_FEAT_MOVBE]	= X86_FEATURE_MOVBE,
	[X86_EMUL_FEAT_POPCNT]	= X86_FEATURE_POPCNT,
	[X86_EMUL_FEAT_LZCNT]	= X86_FEATURE_ABM,
	[X86_EMUL_FEAT_BMI1]	= X86_FEATURE_BMI1,
	[X86_EMUL_FEAT_CX8]	= X86_FEATURE_CX8,
	[X86_EMUL_FEAT_CX16]	= X86_FEATURE_CX16,
	[X86_EMUL_FEAT_CLFLUSH]	= X86_FEATURE_CLFLUSH,
	[X86_EMUL_FEAT_CLFLUSHOPT] = X86_FEATURE_CLFLUSHOPT,
	[X86_EMUL_FEAT_CLWB]	= X86_FEATURE_CLWB,
	[X86_EMUL_FEAT_RDTSCP]	= X86_FEATURE_RDTSCP,
	[X86_EMUL_FEAT_RDPID]	= X86_FEATURE_RDPID,
	[X86_EMUL_FEAT_SYSCALL]	= X86_FEATURE_SYSCALL,
	[X86_EMUL_FEAT_SEP]	= X86_FEATURE_SEP,
	[X86_EMUL_FEAT_MMX]	= X86_FEATURE_MMX,
	[X86_EMUL_FEAT_SSE]	= X86_FEATURE_XMM,
	[X86_EMUL_FEAT_SSE2]	= X86_FEATURE_XMM2,
	[X86_EMUL_FEAT_SSE3]	= X86_FEATURE_XMM3,
	[X86_EMUL_FEAT_SSE41]	= X86_FEATURE_XMM4_1,
	[X86_EMUL_FEAT_SSE42]	= X86_FEATURE_XMM4_2,
	[X86_EMUL_FEAT_FSGSBASE] = X86_FEATURE_FSGSBASE,
	[X86_EMUL_FEAT_XSAVE]	= X86_FEATURE_XSAVE,
	[X86_EMUL_FEAT_SMAP]	= X86_FEATURE_SMAP,
	[X86_EMUL_FEAT_INVPCID]	= X86_FEATURE_INVPCID,
	[X86_EMUL_FEAT_MONITOR]	= X86_FEATURE_MWAIT,
	[X86_EMUL_FEAT_SERIALIZE] = X86_FEATURE_SERIALIZE,
};

static bool op_has_feature(struct x86_emul *e, enum x86_emul_feature feature)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	if (feature == X86_EMUL_FEAT_AMD)
		return kvm_guest_is_amd(vcpu);
	return guest_has(vcpu, feature_of[feature]);
}

static void op_set_nmi_mask(struct x86_emul *e, bool masked)
{
	kvm_set_nmi_mask(vcpu_of(e), masked);
}

static int op_rsm(struct x86_emul *e)
{
	struct kvm_vcpu *vcpu = vcpu_of(e);

	if (!vcpu->arch.smm) {
		e->fault = (struct x86_exception){ .vector = X86_TRAP_UD };
		return X86_EMUL_PROPAGATE_FAULT;
	}
	if (kvm_leave_smm(vcpu, e))
		return X86_EMUL_CONTINUE;
	kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
	return X86_EMUL_RETRY_INSTR;
}

static void op_vm_bugged(struct x86_emul *e)
{
	kvm_vm_bugged(vcpu_of(e)->kvm);
}

static const struct x86_emul_ops emul_ops = {
	.fetch = op_fetch,
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.probe_write = op_probe_write,
	.pio_in = op_pio_in,
	.pio_out = op_pio_out,
	.get_segment = op_get_segment,
	.set_segment = op_set_segment,
	.get_gdt = op_get_gdt,
	.get_idt = op_get_idt,
	.set_gdt = op_set_gdt,
	.set_idt = op_set_idt,
	.get_cr = op_get_cr,
	.set_cr = op_set_cr,
	.get_dr = op_get_dr,
	.set_dr = op_set_dr,
	.get_cpl = op_get_cpl,
	.get_msr = op_get_msr,
	.set_msr = op_set_msr,
	.read_pmc = op_read_pmc,
	.cpuid = op_cpuid,
	.get_xcr = op_get_xcr,
	.set_xcr = op_set_xcr,
	.halt = op_halt,
	.wbinvd = op_wbinvd,
	.invlpg = op_invlpg,
	.invpcid = op_invpcid,
	.fix_hypercall = op_fix_hypercall,
	.intercept = op_intercept,
	.get_fpu = op_get_fpu,
	.put_fpu = op_put_fpu,
	.read_vec = op_read_vec,
	.write_vec = op_write_vec,
	.x87 = op_x87,
	.has_feature = op_has_feature,
	.set_nmi_mask = op_set_nmi_mask,
	.rsm = op_rsm,
	.vm_bugged = op_vm_bugged,
};

/* ---- one instruction ------------------------------------------------------ */

static void load_registers(struct kvm_emul *k)
{
	struct kvm_vcpu *vcpu = k->vcpu;
	struct x86_emul *e = &k->e;
	struct kvm_segment cs;

	/* the only one that may not be there yet */
	kvm_gpr_read(vcpu, VCPU_REG_RSP);
	memcpy(e->gpr, vcpu->arch.regs, sizeof(e->gpr));
	e->nested = vcpu->arch.guest_mode;
	e->rip = kvm_rip_read(vcpu);
	e->rflags = kvm_get_rflags(vcpu);
	k->rflags = kvm_rflags_read(vcpu);
	if (is_64_bit_mode(vcpu)) {
		e->mode = X86_MODE_PROT64;
		k->linear_rip = e->rip;
		return;
	}
	kvm_be_call(get_segment)(vcpu, VCPU_SEG_CS, &cs);
	e->mode = x86_emul_mode_of(kvm_read_cr0(vcpu), vcpu->arch.efer,
				   e->rflags, &cs);
	k->linear_rip = (u32)(cs.base + e->rip);
}

static void commit(struct kvm_emul *k)
{
	struct kvm_vcpu *vcpu = k->vcpu;
	struct x86_emul *e = &k->e;
	unsigned int i;

	for (; e->gpr_dirty; e->gpr_dirty &= ~BIT(i)) {
		i = __ffs(e->gpr_dirty);
		kvm_gpr_write(vcpu, i, e->gpr[i]);
	}
	kvm_rip_write(vcpu, e->rip);
	if (e->rflags != kvm_get_rflags(vcpu))
		kvm_set_rflags(vcpu, e->rflags);
	/* the next round of a string instruction reads anew */
	vcpu->arch.nr_mmio_reads = 0;
	vcpu->arch.next_mmio_read = 0;
}

static int propagate_fault(struct kvm_emul *k)
{
	const struct x86_exception *x = &k->e.fault;
	struct kvm_vcpu *vcpu = k->vcpu;

	vcpu->mmio_needed = false;
	if (x->vector == X86_TRAP_PF) {
		struct kvm_fault f = {
			.vector = X86_TRAP_PF,
			.has_error_code = true,
			.error_code = x->error_code,
			.address = x->address,
		};

		kvm_inject_page_fault(vcpu, &f);
	} else if (x->error_code_valid) {
		kvm_queue_exception_e(vcpu, x->vector, x->error_code);
	} else {
		kvm_queue_exception(vcpu, x->vector);
	}
	return 1;
}

/**
 * kvm_prepare_emulation_failure_exit() - KVM_EXIT_INTERNAL_ERROR for user space
 * @vcpu: the vCPU, loaded, whose instruction cannot be emulated
 */
void kvm_prepare_emulation_failure_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_emul *k = container_of(vcpu->arch.emul, struct kvm_emul, e);
	struct kvm_run *run = vcpu->run;
	unsigned int n = min_t(unsigned int, k->e.fetch_len, X86_EMUL_INSN_MAX);

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.flags = 0;
	run->emulation_failure.ndata = 1;
	if (n) {
		run->emulation_failure.flags |=
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.ndata = 4;
		run->emulation_failure.insn_size = n;
		memset(run->emulation_failure.insn_bytes, 0x90,
		       sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, k->e.fetch, n);
	}
}
EXPORT_SYMBOL_GPL(kvm_prepare_emulation_failure_exit);

/*
 * What cannot be emulated writes to a table of the guest's: as if it were none, let the
 * CPU do it; once, as the instruction may need the table to get there.
 */
static bool unprotect(struct kvm_emul *k)
{
	gfn_t gfn = k->gpa >> PAGE_SHIFT;

	if (k->unprotected_rip == k->linear_rip && k->unprotected_gfn == gfn)
		return false;
	k->unprotected_rip = k->linear_rip;
	k->unprotected_gfn = gfn;
	return kvm_mmu_unprotect(k->vcpu->kvm, gfn);
}

static int failed(struct kvm_emul *k, unsigned int flags)
{
	struct kvm_vcpu *vcpu = k->vcpu;

	vcpu->stat.insn_emulation_fail++;
	vcpu->mmio_needed = false;
	vcpu->arch.pio.count = 0;
	if ((flags & KVM_EMUL_TABLE) && unprotect(k))
		return 1;
	if ((flags & KVM_EMUL_SKIP) || vcpu->kvm->arch.exit_on_emulation_error) {
		kvm_prepare_emulation_failure_exit(vcpu);
		return 0;
	}
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	if (kvm_be_call(get_cpl)(vcpu))
		return 1;	/* a user program may not stop its guest */
	kvm_prepare_emulation_failure_exit(vcpu);
	return 0;
}

/* INT n and its like, met where the hardware is to deliver them. */
static int soft_event(struct kvm_emul *k)
{
	struct kvm_vcpu *vcpu = k->vcpu;
	struct x86_emul *e = &k->e;

	switch (e->soft_event) {
	case X86_EMUL_SOFT_INT:
		/* the backend steps over it when it is delivered */
		kvm_rip_write(vcpu, e->rip - e->insn_len);
		vcpu->arch.interrupt.injected = true;
		vcpu->arch.interrupt.soft = true;
		vcpu->arch.interrupt.at_rip = false;
		vcpu->arch.interrupt.vector = e->soft_vector;
		vcpu->arch.interrupt.insn_len = e->insn_len;
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		break;
	case X86_EMUL_SOFT_INT3:
		kvm_queue_exception(vcpu, X86_TRAP_BP);
		break;
	case X86_EMUL_SOFT_INTO:
		kvm_queue_exception(vcpu, X86_TRAP_OF);
		break;
	case X86_EMUL_SOFT_INT1:
		kvm_queue_exception_p(vcpu, X86_TRAP_DB, 0);
		break;
	}
	return 1;
}

/* RET, JMP, CALL, Jcc, LOOP, JCXZ, IRET: near and far */
static bool is_branch(const struct x86_emul_insn *d)
{
	u8 op = d->opcode, reg = (d->modrm >> 3) & 7;

	if (d->map == 1)
		return op >= 0x80 && op <= 0x8f;
	if (d->map != 0)
		return false;
	switch (op) {
	case 0x70 ... 0x7f:
	case 0x9a:
	case 0xc2:
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcf:
	case 0xe0 ... 0xe3:
	case 0xe8 ... 0xeb:
		return true;
	case 0xff:
		return reg >= 2 && reg <= 5;
	default:
		return false;
	}
}

static int finished(struct kvm_emul *k)
{
	struct kvm_vcpu *vcpu = k->vcpu;
	struct x86_emul *e = &k->e;
	int r = 1;

	if (unlikely(vcpu->arch.pmu_counts_insns))
		kvm_pmu_count_insn(vcpu, is_branch(&e->d));
	commit(k);
	kvm_set_int_shadow(vcpu, e->int_shadow);
	if (e->soft_event)
		r = soft_event(k);
	else if (e->tf || ((k->rflags & X86_EFLAGS_TF) &&
			   (vcpu->arch.guest_debug & KVM_GUESTDBG_SINGLESTEP)))
		r = kvm_after_insn(vcpu, X86_EFLAGS_TF);

	if (k->pio_out)
		return 0;
	if (vcpu->mmio_needed)
		return kvm_mmio_exit(vcpu);
	if (k->halted)
		return kvm_emulate_halt(vcpu) && r;
	return r;
}

static bool must_leave(struct kvm_vcpu *vcpu)
{
	return kvm_request_pending(vcpu) || signal_pending(current) ||
	       need_resched();
}

static int execute(struct kvm_emul *k, unsigned int flags)
{
	struct kvm_vcpu *vcpu = k->vcpu;
	unsigned int round;
	int r;

	for (round = 0; round < KVM_EMUL_ROUNDS; round++) {
		r = x86_emul_execute(&k->e);
		switch (r) {
		case X86_EMUL_CONTINUE:
			return finished(k);
		case X86_EMUL_RESTART:
			commit(k);
			if (k->pio_out)
				return 0;
			if (vcpu->mmio_needed)
				return kvm_mmio_exit(vcpu);
			if (must_leave(vcpu))
				return 1;
			break;
		case X86_EMUL_IO_NEEDED:
			if (vcpu->mmio_needed)
				return kvm_mmio_exit(vcpu);
			return 0;
		case X86_EMUL_PROPAGATE_FAULT:
			return propagate_fault(k);
		case X86_EMUL_RETRY_INSTR:
		case X86_EMUL_INTERCEPTED:
			vcpu->mmio_needed = false;
			return 1;
		default:
			return failed(k, flags);
		}
	}
	return 1;
}

/* Is the faulting address that of the one memory operand? Only moves are asked. */
static bool gpa_is_operand(const struct x86_emul_insn *d)
{
	if (d->is_string || !d->mem)
		return false;
	if (d->map == 0)
		return (d->opcode >= 0x88 && d->opcode <= 0x8b) ||
		       (d->opcode >= 0xa0 && d->opcode <= 0xa3) ||
		       d->opcode == 0xc6 || d->opcode == 0xc7;
	return d->map == 1 && (d->opcode == 0xb6 || d->opcode == 0xb7 ||
			       d->opcode == 0xbe || d->opcode == 0xbf);
}

/* What a guest may run although its CPU says #UD. */
static bool emulate_on_ud(struct kvm_vcpu *vcpu, const struct x86_emul_insn *d)
{
	/* MOVBE; whether the guest has it is asked when it is carried out */
	if (d->map == 2)
		return (d->opcode == 0xf0 || d->opcode == 0xf1) && d->rep != 0xf2;
	if (d->map != 1)
		return false;
	switch (d->opcode) {
	case 0xc7:		/* RDPID */
		return d->rep == 0xf3 && d->has_modrm && d->modrm >= 0xf8;
	case 0x01:		/* VMCALL, VMMCALL */
		return d->has_modrm && (d->modrm == 0xc1 || d->modrm == 0xd9);
	case 0x05:		/* SYSCALL, SYSENTER, SYSEXIT of the other vendor */
	case 0x34:
	case 0x35:
		return true;
	case 0xaa:		/* RSM: Intel's CPUs do not know that the guest is in SMM */
		return vcpu->arch.smm;
	}
	return false;
}

static const u8 forced_emulation_prefix[5] = { 0x0f, 0x0b, 'k', 'v', 'm' };

static bool step_over_forced_prefix(struct kvm_emul *k)
{
	u8 buf[sizeof(forced_emulation_prefix)];
	struct x86_exception x;

	if (!kvm_force_emulation_prefix ||
	    op_fetch(&k->e, k->linear_rip, buf, sizeof(buf), &x) ||
	    memcmp(buf, forced_emulation_prefix, sizeof(buf)))
		return false;
	kvm_rip_write(k->vcpu, kvm_rip_read(k->vcpu) + sizeof(buf));
	load_registers(k);
	return true;
}

static int skip(struct kvm_emul *k)
{
	struct kvm_vcpu *vcpu = k->vcpu;
	struct x86_emul *e = &k->e;
	unsigned long rip = e->rip + e->insn_len;

	if (e->mode != X86_MODE_PROT64)
		rip = (u32)rip;
	kvm_rip_write(vcpu, rip);
	kvm_set_int_shadow(vcpu, 0);
	if (k->rflags & X86_EFLAGS_RF)
		kvm_rflags_write(vcpu, k->rflags & ~X86_EFLAGS_RF);
	kvm_pmu_insn_done(vcpu);
	return kvm_after_insn(vcpu, k->rflags);
}

/**
 * kvm_emulate_insn() - carry out the instruction at RIP
 * @vcpu: the vCPU, loaded, SRCU held
 * @gpa: where it faulted, with KVM_EMUL_FAULT
 * @flags: KVM_EMUL_*
 * @insn: bytes that the CPU has fetched already, @insn_len of them; may be NULL
 * @insn_len: bytes
 *
 * Return: >0 to enter again, 0 to leave to user space with kvm_run filled.
 */
int kvm_emulate_insn(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int flags,
		     const void *insn, unsigned int insn_len)
{
	struct kvm_emul *k = container_of(vcpu->arch.emul, struct kvm_emul, e);
	int r;

	/* it reads what the guest chooses: vmx/l1d.c */
	preempt_disable();
	kvm_set_cpu_l1tf_flush_l1d();
	preempt_enable();
	if (flags & KVM_EMUL_NO_DECODE) {
		unsigned long linear_rip = k->linear_rip;

		/* user space may have set registers while it had the exit */
		load_registers(k);
		if (k->linear_rip != linear_rip)
			return 1;
		vcpu->arch.next_mmio_read = 0;
		return execute(k, flags);
	}

	k->have_gpa = false;
	k->gpa = gpa;
	k->pio_out = false;
	k->halted = false;
	vcpu->mmio_needed = false;
	vcpu->arch.pio.count = 0;
	vcpu->arch.nr_mmio_reads = 0;
	vcpu->arch.next_mmio_read = 0;

	x86_emul_init(&k->e);
	load_registers(k);
	if (k->linear_rip != k->unprotected_rip)
		k->unprotected_rip = 0;
	if ((flags & KVM_EMUL_UD) && step_over_forced_prefix(k)) {
		flags &= ~KVM_EMUL_UD;
		insn_len = 0;
	}

	r = x86_emul_decode(&k->e, insn, insn_len);
	if (flags & KVM_EMUL_UD) {
		if (r != X86_EMUL_CONTINUE || !emulate_on_ud(vcpu, &k->e.d)) {
			kvm_queue_exception(vcpu, X86_TRAP_UD);
			return 1;
		}
	}
	if (r == X86_EMUL_PROPAGATE_FAULT)
		return propagate_fault(k);
	if (r != X86_EMUL_CONTINUE)
		return failed(k, flags);
	if (flags & KVM_EMUL_SKIP)
		return skip(k);

	vcpu->stat.insn_emulation++;
	if ((flags & KVM_EMUL_FAULT) && gpa_is_operand(&k->e.d)) {
		k->have_gpa = true;
		k->gpa_is_mmio = flags & KVM_EMUL_MMIO;
	}
	return execute(k, flags);
}
EXPORT_SYMBOL_GPL(kvm_emulate_insn);

/**
 * kvm_deliver_real_mode_event() - deliver an event through the real-mode vector table
 * @vcpu: the vCPU in real mode, loaded, SRCU held
 * @vector: vector
 * @insn_len: bytes of the instruction to return behind, 0 for what is none
 *
 * For a backend whose hardware has no real mode.
 * Return: 0, or -EFAULT when the frame cannot be pushed or the table not be read.
 */
int kvm_deliver_real_mode_event(struct kvm_vcpu *vcpu, u8 vector, unsigned int insn_len)
{
	struct kvm_emul *k = container_of(vcpu->arch.emul, struct kvm_emul, e);

	x86_emul_init(&k->e);
	load_registers(k);
	k->have_gpa = false;
	k->pio_out = false;
	k->halted = false;
	vcpu->mmio_needed = false;
	k->e.rip = (k->e.rip + insn_len) & 0xffff;
	if (x86_emul_int_real(&k->e, vector) != X86_EMUL_CONTINUE || vcpu->mmio_needed) {
		vcpu->mmio_needed = false;
		return -EFAULT;
	}
	commit(k);
	kvm_set_int_shadow(vcpu, 0);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_deliver_real_mode_event);

/**
 * kvm_emulate_task_switch() - carry out a hardware task switch
 * @vcpu: the vCPU, loaded, SRCU held
 * @exit: the exit, KVM_XK_TASK_SWITCH
 *
 * Intel SDM vol. 3, chapter 7; AMD APM vol. 2, 12.3.
 * Return: >0 to enter again, 0 to leave to user space.
 */
int kvm_emulate_task_switch(struct kvm_vcpu *vcpu, struct kvm_exit *exit)
{
	struct kvm_emul *k = container_of(vcpu->arch.emul, struct kvm_emul, e);
	u8 reason = exit->task.reason, type = exit->task.gate_vector_type;
	int idt_index = -1;
	int r;

	if (reason == X86_TASK_GATE) {
		idt_index = exit->vectoring.vector;
		/* delivered by the switch */
		switch (type) {
		case KVM_EVENT_NMI:
			vcpu->arch.nmi_injected = false;
			kvm_set_nmi_mask(vcpu, true);
			break;
		case KVM_EVENT_INTR:
		case KVM_EVENT_SOFT_INTR:
			vcpu->arch.interrupt.injected = false;
			break;
		case KVM_EVENT_EXCEPTION:
		case KVM_EVENT_SOFT_EXC:
			vcpu->arch.exception.pending = false;
			vcpu->arch.exception.injected = false;
			break;
		}
	}

	/* what the old task returns to is the next instruction */
	if (reason != X86_TASK_GATE || type == KVM_EVENT_SOFT_INTR ||
	    type == KVM_EVENT_SOFT_EXC) {
		r = kvm_skip_emulated_insn(vcpu);
		if (r <= 0)
			return r;
	}

	x86_emul_init(&k->e);
	load_registers(k);
	k->have_gpa = false;
	k->pio_out = false;
	k->halted = false;
	r = x86_emul_task_switch(&k->e, exit->task.selector, idt_index, reason,
				 exit->task.has_error_code,
				 exit->task.error_code);
	if (r == X86_EMUL_PROPAGATE_FAULT)
		return propagate_fault(k);
	if (r != X86_EMUL_CONTINUE) {
		kvm_prepare_emulation_failure_exit(vcpu);
		return 0;
	}
	commit(k);
	return 1;
}

/**
 * kvm_emul_vcpu_create() - what a vCPU needs for emulation
 * @vcpu: the vCPU being created
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_emul_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_emul *k = kzalloc(sizeof(*k), GFP_KERNEL_ACCOUNT);

	if (!k)
		return -ENOMEM;
	k->vcpu = vcpu;
	k->e.ops = &emul_ops;
	k->e.priv = k;
	vcpu->arch.emul = &k->e;
	return 0;
}

/**
 * kvm_emul_vcpu_free() - undo kvm_emul_vcpu_create()
 * @vcpu: the vCPU; nothing happens when it was not done
 */
void kvm_emul_vcpu_free(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.emul)
		return;
	kfree(container_of(vcpu->arch.emul, struct kvm_emul, e));
	vcpu->arch.emul = NULL;
}
