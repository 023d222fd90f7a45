// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's FPU: a state of the host kernel's own kind, swapped with the
 * thread's around KVM_RUN, so that context switches and kernel FPU sections
 * treat it like any task's. XCR0, IA32_XSS and PKRU are switched around each
 * entry, with interrupts off.
 *
 * Features that need permission and a larger state (AMX) are not offered.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/pkru.h>
#include <asm/special_insns.h>

#include "arch/x86/kvm_x86.h"
#include "module/compat/fpu.h"

#define XSAVE_LEGACY_AND_HEADER	576

/**
 * kvm_fpu_vcpu_create() - give a vCPU its FPU state
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_fpu_vcpu_create(struct kvm_vcpu *vcpu)
{
	return fpu_alloc_guest_fpstate(&vcpu->arch.guest_fpu) ? 0 : -ENOMEM;
}

/**
 * kvm_fpu_vcpu_free() - free it
 * @vcpu: the vCPU
 */
void kvm_fpu_vcpu_free(struct kvm_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->arch.guest_fpu);
}

/**
 * kvm_fpu_vcpu_reset() - state after RESET or INIT
 * @vcpu: the vCPU
 * @init: INIT, which leaves the FPU's registers as they are
 */
void kvm_fpu_vcpu_reset(struct kvm_vcpu *vcpu, bool init)
{
	/* a new state is the initial one */
	if (init)
		return;
	vcpu->arch.xcr0 = XFEATURE_MASK_FP;
	vcpu->arch.ia32_xss = 0;
	vcpu->arch.pkru = 0;
}

/**
 * kvm_load_guest_fpu() - KVM_RUN begins
 * @vcpu: the vCPU
 */
void kvm_load_guest_fpu(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.fpu_loaded)
		return;
	fpu_swap_kvm_fpstate(&vcpu->arch.guest_fpu, true);
	vcpu->arch.fpu_loaded = true;
}

/**
 * kvm_put_guest_fpu() - KVM_RUN ends
 * @vcpu: the vCPU
 */
void kvm_put_guest_fpu(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.fpu_loaded)
		return;
	fpu_swap_kvm_fpstate(&vcpu->arch.guest_fpu, false);
	vcpu->arch.fpu_loaded = false;
	vcpu->stat.fpu_reload++;
}

static bool switches_pkru(struct kvm_vcpu *vcpu)
{
	return cpu_feature_enabled(X86_FEATURE_PKU) && cpu_feature_enabled(X86_FEATURE_OSPKE) &&
	       ((vcpu->arch.xcr0 & XFEATURE_MASK_PKRU) || kvm_cr4_bit(vcpu, X86_CR4_PKE));
}

/**
 * kvm_load_guest_xsave_state() - the guest's FPU and what controls it, for entry
 * @vcpu: the vCPU; interrupts off
 */
void kvm_load_guest_xsave_state(struct kvm_vcpu *vcpu)
{
	/* kernel code may have used the registers since they were loaded */
	kvm_compat_fpregs_restore();

	if (kvm_cr4_bit(vcpu, X86_CR4_OSXSAVE)) {
		if (vcpu->arch.xcr0 != kvm_host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->arch.xcr0);
		if (vcpu->arch.ia32_xss != kvm_host_xss &&
		    cpu_feature_enabled(X86_FEATURE_XSAVES))
			wrmsrq(MSR_IA32_XSS, vcpu->arch.ia32_xss);
	}
	if (switches_pkru(vcpu)) {
		vcpu->arch.host_pkru = rdpkru();
		if (vcpu->arch.pkru != vcpu->arch.host_pkru)
			wrpkru(vcpu->arch.pkru);
	}
}

/**
 * kvm_load_host_xsave_state() - back again, after the exit
 * @vcpu: the vCPU; interrupts off
 */
void kvm_load_host_xsave_state(struct kvm_vcpu *vcpu)
{
	if (switches_pkru(vcpu)) {
		vcpu->arch.pkru = rdpkru();
		if (vcpu->arch.pkru != vcpu->arch.host_pkru)
			wrpkru(vcpu->arch.host_pkru);
	}
	if (kvm_cr4_bit(vcpu, X86_CR4_OSXSAVE)) {
		if (vcpu->arch.xcr0 != kvm_host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, kvm_host_xcr0);
		if (vcpu->arch.ia32_xss != kvm_host_xss &&
		    cpu_feature_enabled(X86_FEATURE_XSAVES))
			wrmsrq(MSR_IA32_XSS, kvm_host_xss);
	}
}

/**
 * kvm_xsave2_size() - KVM_CAP_XSAVE2
 * @kvm: not used: no feature depends on the VM
 *
 * Return: bytes of a state in the ABI's form, at least those of struct kvm_xsave.
 */
int kvm_xsave2_size(struct kvm *kvm)
{
	u32 size = XSAVE_LEGACY_AND_HEADER, eax, ebx, ecx, edx;
	int i;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return sizeof(struct kvm_xsave);
	for (i = XFEATURE_YMM; i < 63; i++) {
		if (!(kvm_supported_xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		size = max(size, eax + ebx);
	}
	return max_t(u32, size, sizeof(struct kvm_xsave));
}

/* ---- state for user space ------------------------------------------------- */

static struct fxregs_state *fxregs(struct kvm_vcpu *vcpu)
{
	return &vcpu->arch.guest_fpu.fpstate->regs.fxsave;
}

/* Without XSAVE everything is there always. */
static bool in_initial_state(struct kvm_vcpu *vcpu, u64 feature)
{
	return boot_cpu_has(X86_FEATURE_XSAVE) &&
	       !(vcpu->arch.guest_fpu.fpstate->regs.xsave.header.xfeatures & feature);
}

static int get_fpu(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct fxregs_state *fx = fxregs(vcpu);
	struct kvm_fpu fpu = {};

	fpu.fcw = 0x37f;
	if (!in_initial_state(vcpu, XFEATURE_MASK_FP)) {
		memcpy(fpu.fpr, fx->st_space, sizeof(fpu.fpr));
		fpu.fcw = fx->cwd;
		fpu.fsw = fx->swd;
		fpu.ftwx = fx->twd;
		fpu.last_opcode = fx->fop;
		fpu.last_ip = fx->rip;
		fpu.last_dp = fx->rdp;
	}
	if (!in_initial_state(vcpu, XFEATURE_MASK_SSE))
		memcpy(fpu.xmm, fx->xmm_space, sizeof(fpu.xmm));
	fpu.mxcsr = fx->mxcsr;
	return copy_to_user(argp, &fpu, sizeof(fpu)) ? -EFAULT : 0;
}

static int set_fpu(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct fxregs_state *fx = fxregs(vcpu);
	struct kvm_fpu fpu;

	if (copy_from_user(&fpu, argp, sizeof(fpu)))
		return -EFAULT;
	memcpy(fx->st_space, fpu.fpr, sizeof(fpu.fpr));
	fx->cwd = fpu.fcw;
	fx->swd = fpu.fsw;
	fx->twd = fpu.ftwx;
	fx->fop = fpu.last_opcode;
	fx->rip = fpu.last_ip;
	fx->rdp = fpu.last_dp;
	memcpy(fx->xmm_space, fpu.xmm, sizeof(fpu.xmm));
	/* a reserved bit would fault when the host loads it */
	fx->mxcsr = fpu.mxcsr & kvm_compat_mxcsr_mask();
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->arch.guest_fpu.fpstate->regs.xsave.header.xfeatures |=
			XFEATURE_MASK_FPSSE;
	return 0;
}

static int get_xsave(struct kvm_vcpu *vcpu, void __user *argp, unsigned int size)
{
	void *buf;
	int r = 0;

	buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	kvm_compat_copy_to_uabi(&vcpu->arch.guest_fpu, buf, size,
				kvm_supported_xcr0 | XFEATURE_MASK_FPSSE,
				vcpu->arch.pkru);
	if (copy_to_user(argp, buf, size))
		r = -EFAULT;
	kvfree(buf);
	return r;
}

static int set_xsave(struct kvm_vcpu *vcpu, void __user *argp)
{
	unsigned int size = max_t(unsigned int, vcpu->arch.guest_fpu.uabi_size,
				  sizeof(struct kvm_xsave));
	void *buf = vmemdup_user(argp, size);
	int r;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	r = fpu_copy_uabi_to_guest_fpstate(&vcpu->arch.guest_fpu, buf,
					   kvm_supported_xcr0 | XFEATURE_MASK_FPSSE,
					   &vcpu->arch.pkru);
	kvfree(buf);
	return r;
}

static int get_xcrs(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_xcrs xcrs = {};

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	xcrs.nr_xcrs = 1;
	xcrs.xcrs[0].value = vcpu->arch.xcr0;
	return copy_to_user(argp, &xcrs, sizeof(xcrs)) ? -EFAULT : 0;
}

static int set_xcrs(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_xcrs xcrs;
	unsigned int i;

	if (copy_from_user(&xcrs, argp, sizeof(xcrs)))
		return -EFAULT;
	if (!boot_cpu_has(X86_FEATURE_XSAVE) || xcrs.flags ||
	    xcrs.nr_xcrs > KVM_MAX_XCRS)
		return -EINVAL;
	for (i = 0; i < xcrs.nr_xcrs; i++) {
		/* only XCR0 is known */
		if (xcrs.xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		return kvm_set_xcr(vcpu, 0, xcrs.xcrs[i].value) ? -EINVAL : 0;
	}
	return 0;
}

/**
 * kvm_fpu_ioctl() - the vCPU ioctls that read and write FPU state
 * @vcpu: the vCPU, loaded; its FPU is not, outside KVM_RUN
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0; -EINVAL for a state the CPU would not take; -EFAULT; -ENOMEM; -ENOTTY
 * for any other request.
 */
long kvm_fpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	switch (ioctl) {
	case KVM_GET_FPU:
		return get_fpu(vcpu, argp);
	case KVM_SET_FPU:
		return set_fpu(vcpu, argp);
	case KVM_GET_XSAVE:
		if (vcpu->arch.guest_fpu.uabi_size > sizeof(struct kvm_xsave))
			return -EINVAL;
		return get_xsave(vcpu, argp, sizeof(struct kvm_xsave));
	case KVM_GET_XSAVE2:
		return get_xsave(vcpu, argp, kvm_xsave2_size(vcpu->kvm));
	case KVM_SET_XSAVE:
		return set_xsave(vcpu, argp);
	case KVM_GET_XCRS:
		return get_xcrs(vcpu, argp);
	case KVM_SET_XCRS:
		return set_xcrs(vcpu, argp);
	default:
		return -ENOTTY;
	}
}
