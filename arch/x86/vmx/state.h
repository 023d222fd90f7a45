/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pure logic of the VMX backend: segments in the form of the VMCS, which guest
 * states a VM entry takes, and which controls follow from a capability MSR. What
 * is here touches no hardware, so tests/kunit can try all of it.
 *
 * Intel SDM vol. 3, 25.4.1 (access rights), 27.3.1.2 (checks of segment
 * registers), appendix A.2 to A.5 (capability MSRs).
 */
#ifndef KVM_OOT_VMX_STATE_H
#define KVM_OOT_VMX_STATE_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <asm/vmx.h>

#include "arch/x86/kvm_x86.h"

#define VMX_AR_AVL		BIT(12)
#define VMX_AR_RESERVED		(~0u << 17 | 0xf00)
/* present, DPL 3, writable data: the only rights that virtual-8086 mode has */
#define VMX_AR_VM86		0xf3u
#define VMX_VM86_LIMIT		0xffffu

/**
 * struct vmx_seg - a segment register as the VMCS has it
 * @selector: selector
 * @ar: access rights
 * @limit: in bytes
 * @base: linear address
 */
struct vmx_seg {
	u16 selector;
	u32 ar;
	u32 limit;
	u64 base;
};

/**
 * vmx_seg_to_abi() - from the form of the VMCS to that of KVM_GET_SREGS
 * @s: the segment
 */
static inline struct kvm_segment vmx_seg_to_abi(const struct vmx_seg *s)
{
	return (struct kvm_segment) {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->ar & VMX_AR_TYPE_MASK,
		.s = !!(s->ar & VMX_AR_S_MASK),
		.dpl = VMX_AR_DPL(s->ar),
		/* what is not usable has no other attribute that counts */
		.present = !(s->ar & VMX_AR_UNUSABLE_MASK),
		.avl = !!(s->ar & VMX_AR_AVL),
		.l = !!(s->ar & VMX_AR_L_MASK),
		.db = !!(s->ar & VMX_AR_DB_MASK),
		.g = !!(s->ar & VMX_AR_G_MASK),
		.unusable = !!(s->ar & VMX_AR_UNUSABLE_MASK),
	};
}

/**
 * vmx_seg_from_abi() - from the form of KVM_SET_SREGS to that of the VMCS
 * @seg: which register it is for
 * @var: the segment
 */
static inline struct vmx_seg vmx_seg_from_abi(enum kvm_seg seg, const struct kvm_segment *var)
{
	struct vmx_seg s = {
		.selector = var->selector,
		.limit = var->limit,
		.base = var->base,
	};

	if (var->unusable || !(var->present & 1)) {
		/* CPL is SS.DPL, usable or not */
		s.ar = VMX_AR_UNUSABLE_MASK | (var->dpl & 3) << VMX_AR_DPL_SHIFT;
		return s;
	}
	s.ar = (var->type & VMX_AR_TYPE_MASK) | (var->s & 1) << 4 |
	       (var->dpl & 3) << VMX_AR_DPL_SHIFT | VMX_AR_P_MASK |
	       (var->avl & 1) << 12 | (var->l & 1) << 13 | (var->db & 1) << 14;
	/* the limit is in bytes and decides, where it can be of one kind only */
	if (var->limit > 0xfffff || ((var->g & 1) && (var->limit & 0xfff) == 0xfff))
		s.ar |= VMX_AR_G_MASK;
	/* what is loaded has been accessed, and a task register is busy */
	if (seg == VCPU_SEG_TR)
		s.ar |= 2;
	else if (seg != VCPU_SEG_LDTR)
		s.ar |= VMX_AR_TYPE_ACCESSES_MASK;
	return s;
}

/**
 * vmx_seg_fits_vm86() - can virtual-8086 mode stand in for real mode here
 * @seg: ES to GS
 * @s: the register in real mode
 *
 * Virtual-8086 mode has 64 KiB segments that begin at 16 times the selector, can be
 * read and written, and are of 16 bits.
 */
static inline bool vmx_seg_fits_vm86(enum kvm_seg seg, const struct vmx_seg *s)
{
	u32 type = s->ar & VMX_AR_TYPE_MASK;

	if (s->base != (u64)s->selector << 4 || s->limit != VMX_VM86_LIMIT)
		return false;
	if ((s->ar & VMX_AR_UNUSABLE_MASK) || !(s->ar & VMX_AR_S_MASK) ||
	    !(s->ar & VMX_AR_P_MASK) || (s->ar & VMX_AR_G_MASK))
		return false;
	/* CS and SS say how wide code and stack are */
	if ((seg == VCPU_SEG_CS || seg == VCPU_SEG_SS) && (s->ar & VMX_AR_DB_MASK))
		return false;
	/* real mode writes through CS, whatever its type was when it was loaded */
	return type == 3 || (seg == VCPU_SEG_CS && (type & VMX_AR_TYPE_CODE_MASK));
}

static inline bool vmx_ar_well_formed(const struct vmx_seg *s)
{
	if (s->ar & VMX_AR_RESERVED || !(s->ar & VMX_AR_P_MASK))
		return false;
	if ((s->limit & 0xfff) != 0xfff && (s->ar & VMX_AR_G_MASK))
		return false;
	return !(s->limit >> 20) || (s->ar & VMX_AR_G_MASK);
}

static inline bool vmx_cs_valid(const struct vmx_seg *s, const struct vmx_seg *ss, bool ia32e)
{
	u32 type = s->ar & VMX_AR_TYPE_MASK, dpl = VMX_AR_DPL(s->ar);

	if ((s->ar & VMX_AR_UNUSABLE_MASK) || !(s->ar & VMX_AR_S_MASK) ||
	    !vmx_ar_well_formed(s) || s->base >> 32)
		return false;
	if (ia32e && (s->ar & VMX_AR_L_MASK) && (s->ar & VMX_AR_DB_MASK))
		return false;
	switch (type) {
	case 9:
	case 11:
		return dpl == VMX_AR_DPL(ss->ar);
	case 13:
	case 15:
		return dpl <= VMX_AR_DPL(ss->ar);
	default:
		return false;
	}
}

static inline bool vmx_ss_valid(const struct vmx_seg *s, const struct vmx_seg *cs)
{
	u32 type = s->ar & VMX_AR_TYPE_MASK;

	if ((s->selector & 3) != (cs->selector & 3) || VMX_AR_DPL(s->ar) != (s->selector & 3))
		return false;
	if (s->ar & VMX_AR_UNUSABLE_MASK)
		return true;
	return (type == 3 || type == 7) && (s->ar & VMX_AR_S_MASK) &&
	       vmx_ar_well_formed(s) && !(s->base >> 32);
}

static inline bool vmx_data_valid(enum kvm_seg seg, const struct vmx_seg *s)
{
	u32 type = s->ar & VMX_AR_TYPE_MASK;

	if (s->ar & VMX_AR_UNUSABLE_MASK)
		return true;
	/* accessed, and readable if it is code */
	if (!(type & 1) || ((type & 8) && !(type & 2)))
		return false;
	if (!(s->ar & VMX_AR_S_MASK) || !vmx_ar_well_formed(s))
		return false;
	if (seg < VCPU_SEG_FS && s->base >> 32)
		return false;
	/* conforming code may be loaded by anyone */
	return type > 11 || VMX_AR_DPL(s->ar) >= (s->selector & 3);
}

static inline bool vmx_tr_valid(const struct vmx_seg *s, bool ia32e)
{
	u32 type = s->ar & VMX_AR_TYPE_MASK;

	if ((s->ar & (VMX_AR_UNUSABLE_MASK | VMX_AR_S_MASK)) || (s->selector & 4))
		return false;
	return (type == 11 || (type == 3 && !ia32e)) && vmx_ar_well_formed(s);
}

static inline bool vmx_ldtr_valid(const struct vmx_seg *s)
{
	if (s->ar & VMX_AR_UNUSABLE_MASK)
		return true;
	return (s->ar & VMX_AR_TYPE_MASK) == 2 && !(s->ar & VMX_AR_S_MASK) &&
	       !(s->selector & 4) && vmx_ar_well_formed(s);
}

/**
 * vmx_segs_valid() - does a VM entry without unrestricted guest take these segments
 * @s: all registers, in the order of enum kvm_seg; the guest is in protected mode
 * @vm86: RFLAGS.VM
 * @ia32e: EFER.LMA
 */
static inline bool vmx_segs_valid(const struct vmx_seg *s, bool vm86, bool ia32e)
{
	int i;

	for (i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		if (vm86) {
			if (s[i].base != (u64)s[i].selector << 4 ||
			    s[i].limit != VMX_VM86_LIMIT || s[i].ar != VMX_AR_VM86)
				return false;
			continue;
		}
		if (i != VCPU_SEG_CS && i != VCPU_SEG_SS && !vmx_data_valid(i, &s[i]))
			return false;
	}
	if (!vm86 && (!vmx_cs_valid(&s[VCPU_SEG_CS], &s[VCPU_SEG_SS], ia32e) ||
		      !vmx_ss_valid(&s[VCPU_SEG_SS], &s[VCPU_SEG_CS])))
		return false;
	return vmx_tr_valid(&s[VCPU_SEG_TR], ia32e) && vmx_ldtr_valid(&s[VCPU_SEG_LDTR]);
}

/**
 * vmx_choose() - controls, from what a capability MSR allows
 * @msr: its value: low half what must be one, high half what may be
 * @want: what is wanted; what may not be is dropped
 */
static inline u32 vmx_choose(u64 msr, u32 want)
{
	return (want | (u32)msr) & (u32)(msr >> 32);
}

#endif /* KVM_OOT_VMX_STATE_H */
