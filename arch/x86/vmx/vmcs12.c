// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which fields the VMCS of a guest has (Intel SDM vol. 3, appendix B).
 *
 * Those that belong to controls which no guest is offered (nested_caps.c) do not exist:
 * VMREAD and VMWRITE of them fail with error 12.
 */
#include <linux/kernel.h>
#include <asm/vmx.h>

#include "arch/x86/vmx/vmcs12.h"

static const u16 fields[] = {
	GUEST_ES_SELECTOR, GUEST_CS_SELECTOR, GUEST_SS_SELECTOR, GUEST_DS_SELECTOR,
	GUEST_FS_SELECTOR, GUEST_GS_SELECTOR, GUEST_LDTR_SELECTOR, GUEST_TR_SELECTOR,
	HOST_ES_SELECTOR, HOST_CS_SELECTOR, HOST_SS_SELECTOR, HOST_DS_SELECTOR,
	HOST_FS_SELECTOR, HOST_GS_SELECTOR, HOST_TR_SELECTOR,

	IO_BITMAP_A, IO_BITMAP_B, MSR_BITMAP, VM_EXIT_MSR_STORE_ADDR, VM_EXIT_MSR_LOAD_ADDR,
	VM_ENTRY_MSR_LOAD_ADDR, TSC_OFFSET, VMREAD_BITMAP, VMWRITE_BITMAP,
	TSC_MULTIPLIER,
	VMCS_LINK_POINTER, GUEST_IA32_DEBUGCTL, GUEST_IA32_PAT, GUEST_IA32_EFER,
	HOST_IA32_PAT, HOST_IA32_EFER,

	PIN_BASED_VM_EXEC_CONTROL, CPU_BASED_VM_EXEC_CONTROL, EXCEPTION_BITMAP,
	PAGE_FAULT_ERROR_CODE_MASK, PAGE_FAULT_ERROR_CODE_MATCH, CR3_TARGET_COUNT,
	VM_EXIT_CONTROLS, VM_EXIT_MSR_STORE_COUNT, VM_EXIT_MSR_LOAD_COUNT, VM_ENTRY_CONTROLS,
	VM_ENTRY_MSR_LOAD_COUNT, VM_ENTRY_INTR_INFO_FIELD, VM_ENTRY_EXCEPTION_ERROR_CODE,
	VM_ENTRY_INSTRUCTION_LEN, SECONDARY_VM_EXEC_CONTROL,
	VM_INSTRUCTION_ERROR, VM_EXIT_REASON, VM_EXIT_INTR_INFO, VM_EXIT_INTR_ERROR_CODE,
	IDT_VECTORING_INFO_FIELD, IDT_VECTORING_ERROR_CODE, VM_EXIT_INSTRUCTION_LEN,
	VMX_INSTRUCTION_INFO,
	GUEST_ES_LIMIT, GUEST_CS_LIMIT, GUEST_SS_LIMIT, GUEST_DS_LIMIT, GUEST_FS_LIMIT,
	GUEST_GS_LIMIT, GUEST_LDTR_LIMIT, GUEST_TR_LIMIT, GUEST_GDTR_LIMIT, GUEST_IDTR_LIMIT,
	GUEST_ES_AR_BYTES, GUEST_CS_AR_BYTES, GUEST_SS_AR_BYTES, GUEST_DS_AR_BYTES,
	GUEST_FS_AR_BYTES, GUEST_GS_AR_BYTES, GUEST_LDTR_AR_BYTES, GUEST_TR_AR_BYTES,
	GUEST_INTERRUPTIBILITY_INFO, GUEST_ACTIVITY_STATE, GUEST_SYSENTER_CS,
	HOST_IA32_SYSENTER_CS,

	CR0_GUEST_HOST_MASK, CR4_GUEST_HOST_MASK, CR0_READ_SHADOW, CR4_READ_SHADOW,
	CR3_TARGET_VALUE0, CR3_TARGET_VALUE1, CR3_TARGET_VALUE2, CR3_TARGET_VALUE3,
	EXIT_QUALIFICATION, GUEST_LINEAR_ADDRESS,
	GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_ES_BASE, GUEST_CS_BASE, GUEST_SS_BASE,
	GUEST_DS_BASE, GUEST_FS_BASE, GUEST_GS_BASE, GUEST_LDTR_BASE, GUEST_TR_BASE,
	GUEST_GDTR_BASE, GUEST_IDTR_BASE, GUEST_DR7, GUEST_RSP, GUEST_RIP, GUEST_RFLAGS,
	GUEST_PENDING_DBG_EXCEPTIONS, GUEST_SYSENTER_ESP, GUEST_SYSENTER_EIP,
	HOST_CR0, HOST_CR3, HOST_CR4, HOST_FS_BASE, HOST_GS_BASE, HOST_TR_BASE,
	HOST_GDTR_BASE, HOST_IDTR_BASE, HOST_IA32_SYSENTER_ESP, HOST_IA32_SYSENTER_EIP,
	HOST_RSP, HOST_RIP,
};

/**
 * vmcs12_field_exists() - is there such a field
 * @field: encoding, as VMREAD has it
 */
bool vmcs12_field_exists(u32 field)
{
	u32 low = field;
	unsigned int i;

	if (VMCS12_WIDTH(field) == VMCS12_W64)
		low &= ~1u;
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i] == low)
			return true;
	return false;
}

/**
 * vmcs12_field_offset() - where in the page a field is
 * @field: encoding of one that exists
 */
unsigned int vmcs12_field_offset(u32 field)
{
	unsigned int kind = VMCS12_KIND(field), i = VMCS12_INDEX(field) & (VMCS12_MAX_INDEX - 1);

	switch (VMCS12_WIDTH(field)) {
	case VMCS12_W16:
		return offsetof(struct vmcs12, f16) + (kind * VMCS12_MAX_INDEX + i) * 2;
	case VMCS12_W32:
		return offsetof(struct vmcs12, f32) + (kind * VMCS12_MAX_INDEX + i) * 4;
	case VMCS12_W64:
		return offsetof(struct vmcs12, f64) + (kind * VMCS12_MAX_INDEX + i) * 8 +
		       VMCS12_HIGH(field) * 4;
	default:
		return offsetof(struct vmcs12, natural) + (kind * VMCS12_MAX_INDEX + i) * 8;
	}
}

/**
 * vmcs12_field_size() - how many bytes there are of it
 * @field: encoding of one that exists
 */
unsigned int vmcs12_field_size(u32 field)
{
	switch (VMCS12_WIDTH(field)) {
	case VMCS12_W16:
		return 2;
	case VMCS12_W32:
		return 4;
	case VMCS12_W64:
		return VMCS12_HIGH(field) ? 4 : 8;
	default:
		return 8;
	}
}

/**
 * vmcs12_highest_index() - for IA32_VMX_VMCS_ENUM
 */
unsigned int vmcs12_highest_index(void)
{
	unsigned int i, highest = 0;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		highest = max_t(unsigned int, highest, VMCS12_INDEX(fields[i]));
	return highest;
}
