// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine checks for the guest: the registers, and what user space injects
 * (Intel SDM vol. 3, chapter 15; KVM_X86_SETUP_MCE in
 * Documentation/virt/kvm/api.rst). And the host's own that come while a guest
 * runs.
 *
 * Errors that need no action at once do not raise an exception. On Intel's CPUs an
 * interrupt tells of them, CMCI (SDM 15.5): of corrected ones when a bank has
 * counted as many as its CTL2 asks for, of uncorrected ones (UCNA, 15.6.3) each
 * time. AMD's CPUs have no CMCI. Intel's can also have machine checks that one CPU
 * alone is told of (15.3.1.5); who has asked for those is between the guest and
 * user space, and the backend has the registers.
 */
#include <linux/uaccess.h>
#include <asm/mce.h>

#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/mce.h"

#define BANK_REGS	4	/* CTL, STATUS, ADDR, MISC */

/* MCi_STATUS: how many corrected errors, where MCG_CAP has CMCI */
#define STATUS_COUNT_SHIFT	38
#define STATUS_COUNT		GENMASK_ULL(52, STATUS_COUNT_SHIFT)

/**
 * kvm_host_machine_check() - a machine check of the host ended the guest
 *
 * Called by a backend right after the exit, interrupts off.
 */
void kvm_host_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	/*
	 * Let it be seen as one of user mode: a guest's bad memory must kill
	 * the process, not the host.
	 */
	struct pt_regs regs = {
		.cs = __USER_CS,
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}
EXPORT_SYMBOL_GPL(kvm_host_machine_check);

/**
 * kvm_mce_cap_supported() - what of MCG_CAP a vCPU can have
 *
 * Return: its bits, without the number of banks.
 */
u64 kvm_mce_cap_supported(void)
{
	return MCG_CTL_P | MCG_SER_P |
	       (boot_cpu_has(X86_FEATURE_VMX) ? MCG_CMCI_P | MCG_LMCE_P : 0);
}

/**
 * kvm_mce_vcpu_create() - a vCPU has no banks until user space says so
 * @vcpu: the vCPU
 *
 * Return: 0.
 */
int kvm_mce_vcpu_create(struct kvm_vcpu *vcpu)
{
	vcpu->arch.mcg_cap = 0;
	return 0;
}

static unsigned int banks(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.mcg_cap & MCG_BANKCNT_MASK;
}

static u64 *bank_reg(struct kvm_vcpu *vcpu, u32 index)
{
	u32 at = index - MSR_IA32_MC0_CTL;

	return index >= MSR_IA32_MC0_CTL && at < banks(vcpu) * BANK_REGS ?
		&vcpu->arch.mce_banks[at] : NULL;
}

/* MCi_CTL2; NULL: no such bank */
static u64 *bank_ctl2(struct kvm_vcpu *vcpu, u32 index)
{
	u32 bank = index - MSR_IA32_MC0_CTL2;

	return bank < banks(vcpu) ? &vcpu->arch.mce_ctl2[bank] : NULL;
}

/**
 * kvm_mce_get_msr() - RDMSR of a machine check register
 * @vcpu: the vCPU
 * @msr: index; value is filled
 *
 * Return: 0, 1 for #GP, KVM_MSR_RET_INVALID when it is none of these.
 */
int kvm_mce_get_msr(struct kvm_vcpu *vcpu, struct kvm_msr_data *msr)
{
	u64 *reg;

	switch (msr->index) {
	case MSR_IA32_P5_MC_ADDR:
	case MSR_IA32_P5_MC_TYPE:
		msr->data = 0;
		return 0;
	case MSR_IA32_MCG_CAP:
		msr->data = vcpu->arch.mcg_cap;
		return 0;
	case MSR_IA32_MCG_STATUS:
		msr->data = vcpu->arch.mcg_status;
		return 0;
	case MSR_IA32_MCG_CTL:
		if (!(vcpu->arch.mcg_cap & MCG_CTL_P) && !msr->host_initiated)
			return 1;
		msr->data = vcpu->arch.mcg_ctl;
		return 0;
	case MSR_IA32_MC0_CTL ... MSR_IA32_MCx_CTL(KVM_OOT_MCE_BANKS) - 1:
		reg = bank_reg(vcpu, msr->index);
		if (!reg)
			return 1;
		msr->data = *reg;
		return 0;
	case MSR_IA32_MC0_CTL2 ... MSR_IA32_MCx_CTL2(KVM_OOT_MCE_BANKS) - 1:
		reg = bank_ctl2(vcpu, msr->index);
		if (!reg || (!(vcpu->arch.mcg_cap & MCG_CMCI_P) && !msr->host_initiated))
			return 1;
		msr->data = *reg;
		return 0;
	default:
		return KVM_MSR_RET_INVALID;
	}
}

/**
 * kvm_mce_set_msr() - WRMSR of a machine check register
 * @vcpu: the vCPU
 * @msr: index and value
 *
 * Return: 0, 1 for #GP, KVM_MSR_RET_INVALID when it is none of these.
 */
int kvm_mce_set_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_data *msr)
{
	u64 data = msr->data, *reg;

	switch (msr->index) {
	case MSR_IA32_MCG_STATUS:
		vcpu->arch.mcg_status = data;
		return 0;
	case MSR_IA32_MCG_CTL:
		if (!(vcpu->arch.mcg_cap & MCG_CTL_P) && (data || !msr->host_initiated))
			return 1;
		/* all on or all off */
		if (data && data != ~0ull)
			return 1;
		vcpu->arch.mcg_ctl = data;
		return 0;
	case MSR_IA32_MC0_CTL ... MSR_IA32_MCx_CTL(KVM_OOT_MCE_BANKS) - 1:
		reg = bank_reg(vcpu, msr->index);
		if (!reg)
			return 1;
		switch ((msr->index - MSR_IA32_MC0_CTL) % BANK_REGS) {
		case 0:
			/* Linux clears bit 10 of bank 4 on some AMD CPUs, else bit 0 */
			if (data && (data | BIT(10) | 1) != ~0ull)
				return 1;
			break;
		case 1:
			/* a guest can only clear it, unless HWCR.McStatusWrEn is set */
			if (!msr->host_initiated && data &&
			    !(vcpu->arch.msr_hwcr & BIT_ULL(18)))
				return 1;
			break;
		}
		*reg = data;
		return 0;
	case MSR_IA32_MC0_CTL2 ... MSR_IA32_MCx_CTL2(KVM_OOT_MCE_BANKS) - 1:
		reg = bank_ctl2(vcpu, msr->index);
		if (!reg || (data & ~(MCI_CTL2_CMCI_EN | MCI_CTL2_CMCI_THRESHOLD_MASK)))
			return 1;
		if (!(vcpu->arch.mcg_cap & MCG_CMCI_P) && (data || !msr->host_initiated))
			return 1;
		*reg = data;
		return 0;
	default:
		return KVM_MSR_RET_INVALID;
	}
}

static int setup_mce(struct kvm_vcpu *vcpu, u64 cap)
{
	unsigned int n = cap & MCG_BANKCNT_MASK, i;

	if (!n || n > KVM_OOT_MCE_BANKS ||
	    (cap & ~(kvm_mce_cap_supported() | MCG_BANKCNT_MASK | 0xff0000ull)))
		return -EINVAL;
	vcpu->arch.mcg_cap = cap;
	if (cap & MCG_CTL_P)
		vcpu->arch.mcg_ctl = ~0ull;
	for (i = 0; i < n; i++)
		vcpu->arch.mce_banks[i * BANK_REGS] = ~0ull;
	memset(vcpu->arch.mce_ctl2, 0, sizeof(vcpu->arch.mce_ctl2));
	kvm_lapic_mcg_cap_changed(vcpu);
	return 0;
}

/* An error that needs no action was stored in a bank: tell, if the guest asks for it. */
static void signal_cmci(struct kvm_vcpu *vcpu, unsigned int bank)
{
	if ((vcpu->arch.mcg_cap & MCG_CMCI_P) && vcpu->arch.apic &&
	    (vcpu->arch.mce_ctl2[bank] & MCI_CTL2_CMCI_EN))
		kvm_lapic_local_deliver(vcpu->arch.apic, APIC_LVTCMCI);
}

/* Uncorrected, no action required: processor context fine, not signalled, none asked for. */
static bool is_ucna(const struct kvm_x86_mce *mce)
{
	return (mce->status & MCI_STATUS_UC) && !mce->mcg_status &&
	       !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

/* Count a corrected error in @status, on top of those that the bank has in @old. */
static u64 count_corrected(u64 old, u64 status)
{
	u64 n = max(1ull, (status & STATUS_COUNT) >> STATUS_COUNT_SHIFT);

	if (old & MCI_STATUS_VAL)
		n += (old & STATUS_COUNT) >> STATUS_COUNT_SHIFT;
	n = min(n, STATUS_COUNT >> STATUS_COUNT_SHIFT);
	return (status & ~STATUS_COUNT) | n << STATUS_COUNT_SHIFT;
}

/* Did the count of a bank just reach what the guest waits for? */
static bool threshold_reached(struct kvm_vcpu *vcpu, unsigned int bank, u64 old, u64 status)
{
	u64 want = vcpu->arch.mce_ctl2[bank] & MCI_CTL2_CMCI_THRESHOLD_MASK;
	u64 was = old & MCI_STATUS_VAL ? (old & STATUS_COUNT) >> STATUS_COUNT_SHIFT : 0;

	return want && was < want && (status & STATUS_COUNT) >> STATUS_COUNT_SHIFT >= want;
}

static int set_mce(struct kvm_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	bool uncorrected = mce->status & MCI_STATUS_UC, ucna = is_ucna(mce);
	u64 *bank, status = mce->status, old;

	if (mce->bank >= banks(vcpu) || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = &vcpu->arch.mce_banks[mce->bank * BANK_REGS];

	if (uncorrected && !ucna) {
		/* switched off: nobody is told */
		if (((vcpu->arch.mcg_cap & MCG_CTL_P) && vcpu->arch.mcg_ctl != ~0ull) ||
		    bank[0] != ~0ull)
			return 0;
		if ((vcpu->arch.mcg_status & MCG_STATUS_MCIP) ||
		    !kvm_cr4_bit(vcpu, X86_CR4_MCE)) {
			kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
			return 0;
		}
		vcpu->arch.mcg_status = mce->mcg_status;
	} else if (!ucna && (bank[1] & MCI_STATUS_VAL) && (bank[1] & MCI_STATUS_UC)) {
		/* the worse one stays */
		bank[1] |= MCI_STATUS_OVER;
		return 0;
	}
	bank[2] = mce->addr;
	bank[3] = mce->misc;
	old = bank[1];
	if (!uncorrected && (vcpu->arch.mcg_cap & MCG_CMCI_P))
		status = count_corrected(old, status);
	bank[1] = status | (old & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);

	if (ucna || (!uncorrected && threshold_reached(vcpu, mce->bank, old, status)))
		signal_cmci(vcpu, mce->bank);
	else if (uncorrected)
		kvm_queue_exception(vcpu, 18);
	return 0;
}

/**
 * kvm_mce_vcpu_ioctl() - KVM_X86_SETUP_MCE and KVM_X86_SET_MCE
 * @vcpu: the vCPU, loaded
 * @ioctl: request
 * @argp: its argument
 *
 * Return: 0; -EINVAL for capabilities or a bank that do not exist; -EFAULT; -ENOTTY
 * for any other request.
 */
long kvm_mce_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl, void __user *argp)
{
	struct kvm_x86_mce mce;
	u64 cap;

	switch (ioctl) {
	case KVM_X86_SETUP_MCE:
		if (copy_from_user(&cap, argp, sizeof(cap)))
			return -EFAULT;
		return setup_mce(vcpu, cap);
	case KVM_X86_SET_MCE:
		if (copy_from_user(&mce, argp, sizeof(mce)))
			return -EFAULT;
		return set_mce(vcpu, &mce);
	default:
		return -ENOTTY;
	}
}
