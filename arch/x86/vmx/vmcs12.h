/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMCS of a guest that is a hypervisor ("vmcs12"): a page of L1's memory whose
 * content is ours, as a CPU's VMCS is the CPU's. See vmcs12.c.
 *
 * Where a field is follows from its encoding (Intel SDM vol. 3, 25.11.2): bits 14:13 are
 * the width, 11:10 the kind (control, exit information, guest state, host state), 9:1 the
 * index, 0 the upper half of a 64-bit field. With an encoding that the compiler knows,
 * vmcs12_get() and vmcs12_set() are one access to memory.
 */
#ifndef KVM_OOT_VMCS12_H
#define KVM_OOT_VMCS12_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/* IA32_VMX_BASIC of guests has it: which layout this is */
#define VMCS12_REVISION		0x4f4f5431u
#define VMCS12_SHADOW		BIT(31)		/* in a region's first word: a shadow VMCS */

enum { VMCS12_W16, VMCS12_W64, VMCS12_W32, VMCS12_NATURAL, VMCS12_NR_WIDTHS };
enum { VMCS12_CONTROL, VMCS12_INFO, VMCS12_GUEST, VMCS12_HOST, VMCS12_NR_KINDS };

#define VMCS12_MAX_INDEX	32

/**
 * struct vmcs12 - as it is in L1's memory and in KVM_GET_NESTED_STATE
 * @revision: VMCS12_REVISION
 * @abort: VMX-abort indicator
 * @launched: VMLAUNCH has entered it since VMCLEAR
 * @reserved: zero
 * @natural: fields of natural width, by kind and index
 * @f64: 64-bit fields
 * @f32: 32-bit fields
 * @f16: 16-bit fields
 * @unused: zero
 */
struct vmcs12 {
	u32 revision;
	u32 abort;
	u32 launched;
	u32 reserved[13];
	u64 natural[VMCS12_NR_KINDS][VMCS12_MAX_INDEX];
	u64 f64[VMCS12_NR_KINDS][VMCS12_MAX_INDEX];
	u32 f32[VMCS12_NR_KINDS][VMCS12_MAX_INDEX];
	u16 f16[VMCS12_NR_KINDS][VMCS12_MAX_INDEX];
	u8 unused[1216];
};

static_assert(sizeof(struct vmcs12) == 4096);

#define VMCS12_HIGH(field)	((field) & 1)
#define VMCS12_INDEX(field)	((field) >> 1 & 0x1ff)
#define VMCS12_KIND(field)	((field) >> 10 & 3)
#define VMCS12_WIDTH(field)	((field) >> 13 & 3)

/* @field exists: vmcs12_field_exists() */
static __always_inline u64 vmcs12_get(const struct vmcs12 *c, u32 field)
{
	u32 kind = VMCS12_KIND(field), i = VMCS12_INDEX(field) & (VMCS12_MAX_INDEX - 1);

	switch (VMCS12_WIDTH(field)) {
	case VMCS12_W16:
		return c->f16[kind][i];
	case VMCS12_W32:
		return c->f32[kind][i];
	case VMCS12_W64:
		return VMCS12_HIGH(field) ? c->f64[kind][i] >> 32 : c->f64[kind][i];
	default:
		return c->natural[kind][i];
	}
}

static __always_inline void vmcs12_set(struct vmcs12 *c, u32 field, u64 val)
{
	u32 kind = VMCS12_KIND(field), i = VMCS12_INDEX(field) & (VMCS12_MAX_INDEX - 1);

	switch (VMCS12_WIDTH(field)) {
	case VMCS12_W16:
		c->f16[kind][i] = val;
		break;
	case VMCS12_W32:
		c->f32[kind][i] = val;
		break;
	case VMCS12_W64:
		if (VMCS12_HIGH(field))
			c->f64[kind][i] = (u32)c->f64[kind][i] | val << 32;
		else
			c->f64[kind][i] = val;
		break;
	default:
		c->natural[kind][i] = val;
		break;
	}
}

bool vmcs12_field_exists(u32 field);
unsigned int vmcs12_field_offset(u32 field);
unsigned int vmcs12_field_size(u32 field);
unsigned int vmcs12_highest_index(void);

#endif /* KVM_OOT_VMCS12_H */
