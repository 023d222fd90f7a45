// SPDX-License-Identifier: GPL-2.0-only
/*
 * The x86 face towards module/: capabilities, the birth and death of the x86
 * half of a VM and of a vCPU, and the hand-out of ioctls to the files that
 * implement them. Also the registration of a backend, whose operations are
 * bound to static calls here.
 *
 * Nothing is decided here that belongs to a device, to registers or to
 * memory: an ioctl is tried on one owner after the other until one does not
 * say -ENOTTY.
 */
#include <linux/cpu.h>
#include <linux/hardirq.h>
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/nospec.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched/stat.h>

#include "arch/x86/async_pf.h"
#include "arch/x86/dma.h"
#include "arch/x86/kvm_x86.h"
#include "arch/x86/irq/lapic.h"
#include "arch/x86/nested.h"
#include "arch/x86/pmu.h"
#include "arch/x86/run.h"
#include "arch/x86/switch.h"

/* "ud2; .ascii \"kvm\"" before an instruction asks for its emulation */
bool kvm_force_emulation_prefix;
module_param_named(force_emulation_prefix, kvm_force_emulation_prefix, bool, 0644);

bool kvm_ignore_msrs;
module_param_named(ignore_msrs, kvm_ignore_msrs, bool, 0644);
MODULE_PARM_DESC(ignore_msrs, "Reads of unknown MSRs give 0 and writes are dropped");

bool kvm_report_ignored_msrs = true;
module_param_named(report_ignored_msrs, kvm_report_ignored_msrs, bool, 0644);
MODULE_PARM_DESC(report_ignored_msrs, "Log what ignore_msrs hides");

static bool mitigate_smt_rsb;
module_param(mitigate_smt_rsb, bool, 0444);
MODULE_PARM_DESC(mitigate_smt_rsb, "HLT, MWAIT and C-state exits stay on where threads of a core share return predictions (default: off)");

u64 kvm_supported_xcr0;
EXPORT_SYMBOL_FOR_KUNIT(kvm_supported_xcr0);
u64 kvm_supported_xss;
u64 kvm_host_xcr0;
u64 kvm_host_xss;

struct kvm_backend_ops kvm_be __read_mostly;
EXPORT_SYMBOL_GPL(kvm_be);

#define KVM_BE_CALL(op)		DEFINE_STATIC_CALL_NULL(kvm_be_##op, *kvm_be.op)
#include "arch/x86/backend_calls.h"
#define KVM_BE_CALL(op)		EXPORT_STATIC_CALL_GPL(kvm_be_##op)
#include "arch/x86/backend_calls.h"

/* one backend loads or goes at a time */
static DEFINE_MUTEX(backend_lock);

static bool backend_is_complete(const struct kvm_backend_ops *ops)
{
	bool complete = ops->name;

#define KVM_BE_CALL(op)		(complete &= !!(*ops).op)
#include "arch/x86/backend_calls.h"
	return complete;
}

/**
 * kvm_x86_backend_init() - make a vendor's backend the one that is used
 * @ops: its operations, all of them present; copied
 *
 * Return: 0; -EEXIST when a backend is loaded already, -EINVAL when an
 * operation is missing, or what the set-up of /dev/kvm failed with.
 */
int kvm_x86_backend_init(const struct kvm_backend_ops *ops)
{
	int r;

	if (!backend_is_complete(ops))
		return -EINVAL;

	mutex_lock(&backend_lock);
	if (kvm_be.name) {
		pr_err("kvm: already loaded for %s\n", kvm_be.name);
		r = -EEXIST;
		goto out;
	}

	kvm_switch_backend_init();
	kvm_be = *ops;
#define KVM_BE_CALL(op)		static_call_update(kvm_be_##op, kvm_be.op)
#include "arch/x86/backend_calls.h"
	kvm_pmu_backend_init();

	r = kvm_init(ops->owner);
	if (r)
		memset(&kvm_be, 0, sizeof(kvm_be));
out:
	mutex_unlock(&backend_lock);
	return r;
}
EXPORT_SYMBOL_GPL(kvm_x86_backend_init);

/**
 * kvm_x86_backend_exit() - the backend goes; no VM exists any more
 */
void kvm_x86_backend_exit(void)
{
	mutex_lock(&backend_lock);
	kvm_exit();
	memset(&kvm_be, 0, sizeof(kvm_be));
	mutex_unlock(&backend_lock);
}
EXPORT_SYMBOL_GPL(kvm_x86_backend_exit);

/* A guest that idles by itself, its core's other thread at work: return predictions leak. */
static bool idling_leaks(void)
{
	return boot_cpu_has_bug(X86_BUG_SMT_RSB) && cpu_smt_possible();
}

/**
 * kvm_x86_module_init() - set up what all VMs share
 *
 * Called when kvm.ko is loaded, before any backend.
 * Return: 0 or -errno.
 */
int kvm_x86_module_init(void)
{
	int r;

	/* what the parameter then says is what is done */
	mitigate_smt_rsb &= idling_leaks();
	kvm_cpuid_module_init();
	kvm_msr_module_init();

	r = kvm_mmu_module_init();
	if (r)
		return r;
	r = kvm_irq_module_init();
	if (r)
		goto out_mmu;
	r = kvm_time_module_init();
	if (r)
		goto out_irq;
	r = kvm_apf_module_init();
	if (r)
		goto out_time;
	kvm_dma_module_init();
	return 0;

out_time:
	kvm_time_module_exit();
out_irq:
	kvm_irq_module_exit();
out_mmu:
	kvm_mmu_module_exit();
	return r;
}

/**
 * kvm_x86_module_exit() - undo kvm_x86_module_init()
 */
void kvm_x86_module_exit(void)
{
	kvm_dma_module_exit();
	kvm_apf_module_exit();
	kvm_time_module_exit();
	kvm_irq_module_exit();
	kvm_mmu_module_exit();
}

/**
 * kvm_arch_check_cpu() - could this CPU's virtualization extension be taken
 *
 * Return: 0, -EBUSY when something else holds it, or -EIO when it is less than
 * what the other CPUs have.
 */
int kvm_arch_check_cpu(void)
{
	return kvm_be_call(check_cpu)();
}

/**
 * kvm_arch_enable_cpu() - take this CPU's virtualization extension
 *
 * Return: 0, or why not as kvm_arch_check_cpu() says it.
 */
int kvm_arch_enable_cpu(void)
{
	int r = kvm_arch_check_cpu();
	u64 aux;

	if (r)
		return r;
	if (kvm_be.has_tsc_aux) {
		rdmsrq(MSR_TSC_AUX, aux);
		this_cpu_write(kvm_host_tsc_aux, aux);
	}
	return kvm_be_call(enable_cpu)();
}

/**
 * kvm_arch_disable_cpu() - give it back
 */
void kvm_arch_disable_cpu(void)
{
	kvm_be_call(disable_cpu)();
}

/* ---- capabilities ------------------------------------------------------------ */

/* SLOT_ZAP_ALL is nothing to disable: a slot that goes takes only its own pages with it */
#define VALID_QUIRKS (KVM_X86_QUIRK_LINT0_REENABLED |		\
		      KVM_X86_QUIRK_CD_NW_CLEARED |		\
		      KVM_X86_QUIRK_LAPIC_MMIO_HOLE |		\
		      KVM_X86_QUIRK_OUT_7E_INC_RIP |		\
		      KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |	\
		      KVM_X86_QUIRK_FIX_HYPERCALL_INSN |	\
		      KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS |	\
		      KVM_X86_QUIRK_SLOT_ZAP_ALL |		\
		      KVM_X86_QUIRK_STUFF_FEATURE_MSRS |	\
		      KVM_X86_QUIRK_IGNORE_GUEST_PAT)

#define VALID_MSR_EXIT_REASONS (KVM_MSR_EXIT_REASON_INVAL |	\
				KVM_MSR_EXIT_REASON_UNKNOWN |	\
				KVM_MSR_EXIT_REASON_FILTER)

#define VALID_BUS_LOCK_MODES (KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT)

#define VALID_NOTIFY_FLAGS (KVM_X86_NOTIFY_VMEXIT_ENABLED | KVM_X86_NOTIFY_VMEXIT_USER)

#define KVM_CLOCK_CAP_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | \
			     KVM_CLOCK_HOST_TSC)

static u64 valid_quirks(void)
{
	return VALID_QUIRKS & ~(kvm_be.ignores_guest_pat ? KVM_X86_QUIRK_IGNORE_GUEST_PAT : 0ull);
}

static void disable_quirks(struct kvm *kvm, u64 quirks)
{
	u64 old = kvm->arch.disabled_quirks;

	WRITE_ONCE(kvm->arch.disabled_quirks, quirks & valid_quirks());
	if ((old ^ kvm->arch.disabled_quirks) & KVM_X86_QUIRK_IGNORE_GUEST_PAT)
		kvm_mmu_memory_types_changed(kvm);
}

/* Only then is a guest's MWAIT harmless to the host: its timers must get through. */
static bool can_mwait_in_guest(void)
{
	return boot_cpu_has(X86_FEATURE_MWAIT) && !boot_cpu_has_bug(X86_BUG_MONITOR) &&
	       boot_cpu_has(X86_FEATURE_ARAT);
}

/* Exits that user space may turn off, given what the CPU has. */
static u64 valid_disable_exits(void)
{
	u64 r = KVM_X86_DISABLE_EXITS_PAUSE;

	if (boot_cpu_has(X86_FEATURE_APERFMPERF))
		r |= KVM_X86_DISABLE_EXITS_APERFMPERF;
	if (mitigate_smt_rsb)
		return r;
	r |= KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_CSTATE;
	if (can_mwait_in_guest())
		r |= KVM_X86_DISABLE_EXITS_MWAIT;
	return r;
}

/**
 * kvm_arch_supports_private_mem() - is there a type of VM that has private memory
 *
 * Return: true with nested paging. Shadow paging reads the guest's page tables through
 * user space's mapping, and private ones are not there.
 */
bool kvm_arch_supports_private_mem(void)
{
	return kvm_be.tdp;
}

/* KVM_X86_*_VM that can be made, a bit each. */
static int supported_vm_types(void)
{
	return BIT(KVM_X86_DEFAULT_VM) |
	       (kvm_arch_supports_private_mem() ? BIT(KVM_X86_SW_PROTECTED_VM) : 0);
}

/**
 * kvm_arch_dev_check_extension() - KVM_CHECK_EXTENSION for what is x86's
 * @kvm: the VM when asked on a VM fd, else NULL
 * @ext: KVM_CAP_*
 *
 * Return: 0 when it is not supported, else the documented positive value.
 */
int kvm_arch_dev_check_extension(struct kvm *kvm, long ext)
{
	switch (ext) {
	case KVM_CAP_PRE_FAULT_MEMORY:
		return kvm_be.tdp;
	case KVM_CAP_PMU_EVENT_FILTER:
	case KVM_CAP_PMU_EVENT_MASKED_EVENTS:
		return kvm_pmu_available();
	case KVM_CAP_PMU_CAPABILITY:
		return kvm_pmu_available() ? KVM_PMU_CAP_DISABLE : 0;
	case KVM_CAP_SMALLER_MAXPHYADDR:
		/* addresses have to be looked at: the CPU does that by its own width */
		return !kvm_be.tdp;
	case KVM_CAP_IRQCHIP:
	case KVM_CAP_HLT:
	case KVM_CAP_MMU_SHADOW_CACHE_CONTROL:
	case KVM_CAP_SET_TSS_ADDR:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_EXT_EMUL_CPUID:
	case KVM_CAP_CLOCKSOURCE:
	case KVM_CAP_PIT:
	case KVM_CAP_NOP_IO_DELAY:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_USER_NMI:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_REINJECT_CONTROL:
	case KVM_CAP_IRQ_INJECT_STATUS:
	case KVM_CAP_PIT2:
	case KVM_CAP_SET_BOOT_CPU_ID:
	case KVM_CAP_PIT_STATE2:
	case KVM_CAP_SET_IDENTITY_MAP_ADDR:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_X86_ROBUST_SINGLESTEP:
	case KVM_CAP_XSAVE:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_TSC_DEADLINE_TIMER:
	case KVM_CAP_KVMCLOCK_CTRL:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_IOAPIC_POLARITY_IGNORED:
	case KVM_CAP_SPLIT_IRQCHIP:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_GET_MSR_FEATURES:
	case KVM_CAP_ONE_REG:
	case KVM_CAP_MSR_PLATFORM_INFO:
	case KVM_CAP_EXCEPTION_PAYLOAD:
	case KVM_CAP_LAST_CPU:
	case KVM_CAP_X86_MSR_FILTER:
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
	case KVM_CAP_ASYNC_PF:
	case KVM_CAP_ASYNC_PF_INT:
	case KVM_CAP_SREGS2:
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
	case KVM_CAP_ENABLE_CAP:
	case KVM_CAP_SYS_ATTRIBUTES:
	case KVM_CAP_VCPU_ATTRIBUTES:
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
	case KVM_CAP_DISABLE_QUIRKS:
	case KVM_CAP_VM_DISABLE_NX_HUGE_PAGES:
		return 1;
	case KVM_CAP_NESTED_STATE:
		return kvm_be.nested ? kvm_be.nested_state_size : 0;
	case KVM_CAP_X86_GUEST_MODE:
		return kvm_be.nested;
	case KVM_CAP_EXIT_HYPERCALL:
		return KVM_OOT_HYPERCALL_EXITS;
	case KVM_CAP_X86_SMM:
		return !kvm || kvm_has_smm(kvm);
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		return kvm ? kvm_address_spaces(kvm) : KVM_OOT_ADDRESS_SPACES;
	case KVM_CAP_SET_GUEST_DEBUG2:
		return KVM_GUESTDBG_VALID_MASK;
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_CAP_FLAGS;
	case KVM_CAP_X86_DISABLE_EXITS:
		return valid_disable_exits();
	case KVM_CAP_X86_BUS_LOCK_EXIT:
		return kvm_be.has_bus_lock_exit ? VALID_BUS_LOCK_MODES : 0;
	case KVM_CAP_X86_NOTIFY_VMEXIT:
		return kvm_be.has_notify_exit;
	case KVM_CAP_NR_VCPUS:
		return min_t(unsigned int, num_online_cpus(), KVM_OOT_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS:
		return KVM_OOT_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return KVM_OOT_MAX_VCPU_IDS;
	case KVM_CAP_MCE:
		return KVM_OOT_MCE_BANKS;
	case KVM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case KVM_CAP_XSAVE2:
		return kvm_xsave2_size(kvm);
	case KVM_CAP_TSC_CONTROL:
	case KVM_CAP_VM_TSC_CONTROL:
		return kvm_be.tsc_scaling_frac_bits != 0;
	case KVM_CAP_X2APIC_API:
		return kvm_x2apic_flags(kvm);
	case KVM_CAP_VAPIC:
		/* where the CPU keeps the TPR by itself there is nothing to patch */
		return !kvm_be.apic_page;
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		/* on /dev/kvm what a VM starts with, on a VM what it has */
		return kvm ? READ_ONCE(kvm->arch.apic_bus_cycle_ns) : KVM_LAPIC_BUS_CYCLE_NS;
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_X86_USER_SPACE_MSR:
		return VALID_MSR_EXIT_REASONS;
	case KVM_CAP_STEAL_TIME:
		return sched_info_on();
	case KVM_CAP_DISABLE_QUIRKS2:
		return valid_quirks();
	case KVM_CAP_VM_TYPES:
		return supported_vm_types();
	default:
		return 0;
	}
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_arch_dev_check_extension);

static int enable_exits_off(struct kvm *kvm, u64 mask)
{
	if (mask & ~valid_disable_exits())
		return -EINVAL;
	if ((mask & (KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_MWAIT |
		     KVM_X86_DISABLE_EXITS_CSTATE)) && idling_leaks())
		pr_warn_once("kvm: a guest idles without exits on a CPU that leaks return predictions between threads; see mitigate_smt_rsb\n");
	kvm->arch.disabled_exits |= mask;
	return 0;
}

static int set_bus_lock_mode(struct kvm *kvm, u64 mode)
{
	if ((mode & ~(u64)VALID_BUS_LOCK_MODES) || mode == VALID_BUS_LOCK_MODES)
		return -EINVAL;
	/* off is what it is anyway */
	if (mode == KVM_BUS_LOCK_DETECTION_EXIT && !kvm_be.has_bus_lock_exit)
		return -EINVAL;
	kvm->arch.bus_lock_exit = mode == KVM_BUS_LOCK_DETECTION_EXIT;
	return 0;
}

static int set_notify_window(struct kvm *kvm, u64 arg)
{
	u32 flags = arg;

	if (!kvm_be.has_notify_exit || kvm->created_vcpus ||
	    (flags & ~(u32)VALID_NOTIFY_FLAGS) || !(flags & KVM_X86_NOTIFY_VMEXIT_ENABLED))
		return -EINVAL;
	kvm->arch.notify_window = arg >> 32;
	kvm->arch.notify_flags = flags;
	return 0;
}

/**
 * kvm_arch_vm_enable_cap() - KVM_ENABLE_CAP on a VM, for what is x86's
 * @kvm: the VM
 * @cap: capability and arguments, a kernel copy
 *
 * Return: 0; -EINVAL for an unknown capability or argument, and as the ABI
 * documentation has it for the single capability.
 */
int kvm_arch_vm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	int r = -EINVAL;

	if (cap->flags)
		return -EINVAL;

	mutex_lock(&kvm->lock);
	switch (cap->cap) {
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~valid_quirks())
			break;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		disable_quirks(kvm, cap->args[0]);
		r = 0;
		break;
	case KVM_CAP_SPLIT_IRQCHIP:
		r = cap->args[0] > KVM_OOT_MAX_IRQ_ROUTES ? -EINVAL :
			kvm_irq_enable_split(kvm, cap->args[0]);
		break;
	case KVM_CAP_X2APIC_API:
		r = kvm_set_x2apic_flags(kvm, cap->args[0]);
		break;
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		r = kvm_set_bus_cycle(kvm, cap->args[0]);
		break;
	case KVM_CAP_X86_DISABLE_EXITS:
		r = kvm->created_vcpus ? -EINVAL :
			enable_exits_off(kvm, cap->args[0]);
		break;
	case KVM_CAP_X86_BUS_LOCK_EXIT:
		r = set_bus_lock_mode(kvm, cap->args[0]);
		break;
	case KVM_CAP_X86_NOTIFY_VMEXIT:
		r = set_notify_window(kvm, cap->args[0]);
		break;
	case KVM_CAP_MSR_PLATFORM_INFO:
		kvm->arch.guest_can_read_platform_info = cap->args[0];
		r = 0;
		break;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		kvm->arch.exception_payload_enabled = cap->args[0];
		r = 0;
		break;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		kvm->arch.triple_fault_event = cap->args[0];
		r = 0;
		break;
	case KVM_CAP_EXIT_HYPERCALL:
		if (cap->args[0] & ~(u64)KVM_OOT_HYPERCALL_EXITS)
			break;
		WRITE_ONCE(kvm->arch.hypercall_exits, cap->args[0]);
		r = 0;
		break;
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (cap->args[0] & ~(u64)VALID_MSR_EXIT_REASONS)
			break;
		WRITE_ONCE(kvm->arch.user_space_msr_mask, cap->args[0]);
		r = 0;
		break;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (cap->args[0] & ~1ull)
			break;
		kvm->arch.exit_on_emulation_error = cap->args[0];
		r = 0;
		break;
	case KVM_CAP_VM_DISABLE_NX_HUGE_PAGES:
		r = kvm_mmu_disable_nx_huge_pages(kvm, cap->args[0]);
		break;
	case KVM_CAP_PMU_CAPABILITY:
		r = kvm_pmu_set_cap(kvm, cap->args[0]);
		break;
	case KVM_CAP_MAX_VCPU_ID:
		/* the newer kernels let the boot CPU's id be the limit itself */
		if (!cap->args[0] || cap->args[0] > KVM_OOT_MAX_VCPU_IDS ||
		    kvm->arch.bsp_vcpu_id > cap->args[0])
			break;
		if (kvm->arch.max_vcpu_ids == cap->args[0]) {
			r = 0;
		} else if (!kvm->arch.max_vcpu_ids) {
			kvm->arch.max_vcpu_ids = cap->args[0];
			r = 0;
		}
		break;
	default:
		break;
	}
	mutex_unlock(&kvm->lock);
	return r;
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_arch_vm_enable_cap);

/* ---- /dev/kvm ------------------------------------------------------------------ */

static long dev_get_cpuid(void __user *argp, bool emulated)
{
	struct kvm_cpuid2 __user *user = argp;
	struct kvm_cpuid2 cpuid;
	int r;

	if (copy_from_user(&cpuid, user, sizeof(cpuid)))
		return -EFAULT;
	r = kvm_get_supported_cpuid(&cpuid, user->entries, emulated);
	if (r)
		return r;
	return copy_to_user(user, &cpuid, sizeof(cpuid)) ? -EFAULT : 0;
}

/* KVM_{GET,HAS}_DEVICE_ATTR on /dev/kvm: the XSAVE components a guest may get. */
static long dev_attr(void __user *argp, bool get)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	if (attr.group || attr.attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	if (!get)
		return 0;
	return put_user(kvm_supported_xcr0,
			(u64 __user *)(unsigned long)attr.addr) ? -EFAULT : 0;
}

/**
 * kvm_arch_dev_ioctl() - x86's ioctls on /dev/kvm
 * @filp: the open file
 * @ioctl: request
 * @arg: its argument
 *
 * Return: as documented for the request; -ENOTTY when there is none such.
 */
long kvm_arch_dev_ioctl(struct file *filp, unsigned int ioctl,
			unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (ioctl) {
	case KVM_GET_SUPPORTED_CPUID:
		return dev_get_cpuid(argp, false);
	case KVM_GET_EMULATED_CPUID:
		return dev_get_cpuid(argp, true);
	case KVM_GET_DEVICE_ATTR:
		return dev_attr(argp, true);
	case KVM_HAS_DEVICE_ATTR:
		return dev_attr(argp, false);
	default:
		return kvm_msr_dev_ioctl(ioctl, argp);
	}
}

/* ---- VM ---------------------------------------------------------------------------- */

/**
 * kvm_arch_init_vm() - set up the x86 half of a VM
 * @kvm: zeroed but for what module/vm.c has set up
 * @type: KVM_X86_*_VM
 *
 * Return: 0; -EINVAL for a type that is not supported; -ENOMEM.
 */
int kvm_arch_init_vm(struct kvm *kvm, unsigned long type)
{
	int r;

	if (type > KVM_X86_SW_PROTECTED_VM || !(supported_vm_types() & BIT(type)))
		return -EINVAL;

	kvm->arch.has_private_mem = type == KVM_X86_SW_PROTECTED_VM;
	mutex_init(&kvm->arch.apic_map_lock);
	kvm->arch.guest_can_read_platform_info = true;

	r = kvm_mmu_vm_init(kvm);
	if (r)
		return r;
	kvm_irq_vm_init(kvm);
	kvm_time_vm_init(kvm);
	return 0;
}

/**
 * kvm_arch_pre_destroy_vm() - stop what runs by itself
 * @kvm: a VM without users
 */
void kvm_arch_pre_destroy_vm(struct kvm *kvm)
{
	kvm_irq_vm_pre_destroy(kvm);
	kvm_mmu_vm_pre_destroy(kvm);
	kvm_free_private_slots(kvm);
}

/**
 * kvm_arch_destroy_vm() - free the x86 half of a VM
 * @kvm: its vCPUs are gone
 */
void kvm_arch_destroy_vm(struct kvm *kvm)
{
	kvm_time_vm_destroy(kvm);
	kvm_irq_vm_destroy(kvm);
	kvm_vm_free_msr_filter(kvm);
	kvm_pmu_free_filter(kvm);
	kvm_mmu_vm_destroy(kvm);
}

static long vm_set_identity_map_addr(struct kvm *kvm, void __user *argp)
{
	u64 addr;
	long r = 0;

	if (copy_from_user(&addr, argp, sizeof(addr)))
		return -EFAULT;
	mutex_lock(&kvm->lock);
	if (kvm->created_vcpus)
		r = -EINVAL;
	else
		kvm->arch.identity_map_addr = addr ?: 0xfffbc000;
	mutex_unlock(&kvm->lock);
	return r;
}

static long vm_set_boot_cpu_id(struct kvm *kvm, unsigned long id)
{
	long r = 0;

	mutex_lock(&kvm->lock);
	if (kvm->created_vcpus)
		r = -EBUSY;
	else if (id >= KVM_OOT_MAX_VCPU_IDS ||
		 (kvm->arch.max_vcpu_ids && id >= kvm->arch.max_vcpu_ids))
		r = -EINVAL;
	else
		kvm->arch.bsp_vcpu_id = id;
	mutex_unlock(&kvm->lock);
	return r;
}

/**
 * kvm_arch_vm_ioctl() - x86's ioctls on a VM fd
 * @kvm: the VM
 * @ioctl: request
 * @arg: its argument
 *
 * Return: as documented for the request; -ENOTTY when there is none such.
 */
long kvm_arch_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long r;

	switch (ioctl) {
	case KVM_SET_TSS_ADDR:
		/* three pages below 4 GiB */
		if (arg > (u32)(-3 * PAGE_SIZE))
			return -EINVAL;
		return kvm_set_tss_addr(kvm, arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return vm_set_identity_map_addr(kvm, argp);
	case KVM_SET_BOOT_CPU_ID:
		return vm_set_boot_cpu_id(kvm, arg);
	case KVM_X86_SET_MSR_FILTER:
		return kvm_vm_set_msr_filter(kvm, argp);
	case KVM_SET_PMU_EVENT_FILTER:
		return kvm_pmu_available() ? kvm_pmu_set_filter(kvm, argp) : -ENOTTY;
	}

	r = kvm_irq_vm_ioctl(kvm, ioctl, arg);
	if (r == -ENOTTY)
		r = kvm_time_vm_ioctl(kvm, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_mmu_vm_ioctl(kvm, ioctl, arg);
	return r;
}

/**
 * kvm_arch_irqchip_in_kernel() - does the kernel take interrupts for this VM
 * @kvm: the VM
 */
bool kvm_arch_irqchip_in_kernel(struct kvm *kvm)
{
	return kvm_irqchip_in_kernel(kvm);
}

/* ---- vCPU ----------------------------------------------------------------- */

/**
 * kvm_arch_vcpu_precreate() - may a vCPU with this id be made now
 * @kvm: the VM; kvm->lock is held
 * @id: vCPU id as user space gave it
 *
 * Return: 0, or -EINVAL when the id is at or above KVM_CAP_MAX_VCPU_ID.
 */
int kvm_arch_vcpu_precreate(struct kvm *kvm, unsigned int id)
{
	if (!kvm->arch.max_vcpu_ids)
		kvm->arch.max_vcpu_ids = KVM_OOT_MAX_VCPU_IDS;
	return id >= kvm->arch.max_vcpu_ids ? -EINVAL : 0;
}

/**
 * kvm_arch_vcpu_create() - set up the x86 half of a vCPU, in RESET state
 * @vcpu: zeroed but for what module/vcpu.c has set up
 *
 * Return: 0 or -errno; nothing stays behind on failure.
 */
int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct page *page;
	int r;

	vcpu->arch.regs_avail = ~0u;
	vcpu->arch.regs_dirty = ~0u;
	vcpu->arch.pending_external_vector = -1;
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	if (kvm_irqchip_in_kernel(vcpu->kvm) && !kvm_vcpu_is_bsp(vcpu))
		vcpu->arch.mp_state = KVM_MP_STATE_UNINITIALIZED;

	r = kvm_dma_vcpu_create(vcpu);
	if (r)
		return r;
	r = kvm_mmu_vcpu_create(vcpu);
	if (r)
		goto out_dma;
	if (kvm_irqchip_in_kernel(vcpu->kvm)) {
		r = kvm_lapic_create(vcpu);
		if (r)
			goto out_mmu;
		r = kvm_apf_vcpu_create(vcpu);
		if (r)
			goto out_lapic;
	}

	r = -ENOMEM;
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		goto out_apf;
	vcpu->arch.pio.data = page_address(page);

	r = kvm_run_vcpu_create(vcpu);
	if (r)
		goto out_pio;
	r = kvm_mce_vcpu_create(vcpu);
	if (r)
		goto out_run;
	r = kvm_emul_vcpu_create(vcpu);
	if (r)
		goto out_run;
	r = kvm_fpu_vcpu_create(vcpu);
	if (r)
		goto out_emul;
	kvm_cpuid_vcpu_init(vcpu);
	kvm_time_vcpu_create(vcpu);
	r = kvm_pmu_vcpu_create(vcpu);
	if (r)
		goto out_fpu;
	r = kvm_be_call(vcpu_create)(vcpu);
	if (r)
		goto out_pmu;

	kvm_vcpu_load(vcpu);
	kvm_vcpu_reset(vcpu, false);
	kvm_vcpu_put(vcpu);
	return 0;

out_pmu:
	kvm_pmu_vcpu_free(vcpu);
out_fpu:
	kvm_fpu_vcpu_free(vcpu);
out_emul:
	kvm_emul_vcpu_free(vcpu);
out_run:
	kvm_run_vcpu_free(vcpu);
out_pio:
	free_page((unsigned long)vcpu->arch.pio.data);
out_apf:
	kvm_apf_vcpu_free(vcpu);
out_lapic:
	kvm_lapic_free(vcpu);
out_mmu:
	kvm_mmu_vcpu_destroy(vcpu);
out_dma:
	kvm_dma_vcpu_free(vcpu);
	return r;
}

/**
 * kvm_arch_vcpu_postcreate() - the vCPU is visible now
 * @vcpu: the vCPU
 */
void kvm_arch_vcpu_postcreate(struct kvm_vcpu *vcpu)
{
	kvm_time_vcpu_postcreate(vcpu);
	/* the others may have their APICs elsewhere, or in another mode */
	if (kvm_lapic_in_kernel(vcpu)) {
		atomic_set(&vcpu->kvm->arch.apic_map_dirty, 1);
		kvm_recalculate_apic_map(vcpu->kvm);
	}
}

/**
 * kvm_arch_vcpu_destroy() - free the x86 half of a vCPU
 * @vcpu: not running, no fd left
 */
void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	kvm_pmu_vcpu_free(vcpu);
	kvm_be_call(vcpu_free)(vcpu);
	kvm_fpu_vcpu_free(vcpu);
	kvm_emul_vcpu_free(vcpu);
	kvm_run_vcpu_free(vcpu);
	kvm_cpuid_vcpu_free(vcpu);
	kvm_apf_vcpu_free(vcpu);
	kvm_lapic_free(vcpu);
	kvm_mmu_vcpu_destroy(vcpu);
	kvm_dma_vcpu_free(vcpu);
	free_page((unsigned long)vcpu->arch.pio.data);
}

/**
 * kvm_arch_vcpu_load() - the vCPU's thread is on @cpu now
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption is off
 */
void kvm_arch_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	/* what ran here before may have left secrets in the cache: vmx/l1d.c */
	kvm_set_cpu_l1tf_flush_l1d();
	kvm_be_call(vcpu_load)(vcpu, cpu);
	kvm_dma_vcpu_load(vcpu, cpu);
	vcpu->arch.hw_tsc_aux = this_cpu_read(kvm_host_tsc_aux);
	kvm_time_vcpu_load(vcpu, cpu);
	if (vcpu->arch.apic)
		kvm_lapic_vcpu_load(vcpu);
}

/**
 * kvm_arch_vcpu_put() - the vCPU's thread leaves this CPU
 * @vcpu: the vCPU
 */
void kvm_arch_vcpu_put(struct kvm_vcpu *vcpu)
{
	u32 aux = this_cpu_read(kvm_host_tsc_aux);

	kvm_time_vcpu_put(vcpu);
	kvm_be_call(vcpu_put)(vcpu);
	/* the kernel itself does not use it: time enough */
	if (vcpu->arch.hw_tsc_aux != aux)
		wrmsrq(MSR_TSC_AUX, aux);
}

static int vcpu_get_mp_state(struct kvm_vcpu *vcpu, struct kvm_mp_state *state)
{
	/* not where it could end L2: the rest of the state may have been read already */
	int r = kvm_lapic_in_kernel(vcpu) && !vcpu->arch.guest_mode ?
		kvm_lapic_accept_events(vcpu) : 0;

	if (r < 0)
		return r;
	state->mp_state = READ_ONCE(vcpu->arch.mp_state);
	return 0;
}

static int vcpu_set_mp_state(struct kvm_vcpu *vcpu,
			     const struct kvm_mp_state *state)
{
	switch (state->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
	case KVM_MP_STATE_HALTED:
		/* they need the LAPIC to be left again */
		if (!kvm_lapic_in_kernel(vcpu))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}

	kvm_process_smi(vcpu);
	/* none that waits for its start is in SMM, or about to enter it */
	if ((vcpu->arch.smm || vcpu->arch.smi_pending) &&
	    (state->mp_state == KVM_MP_STATE_INIT_RECEIVED ||
	     state->mp_state == KVM_MP_STATE_SIPI_RECEIVED))
		return -EINVAL;

	if (state->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		WRITE_ONCE(vcpu->arch.mp_state, KVM_MP_STATE_INIT_RECEIVED);
		set_bit(KVM_PENDING_SIPI, &vcpu->arch.pending_sipi);
	} else {
		WRITE_ONCE(vcpu->arch.mp_state, state->mp_state);
	}
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

static int vcpu_enable_cap(struct kvm_vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
		vcpu->arch.pv_cpuid.enforce = cap->args[0];
		kvm_update_cpuid_runtime(vcpu);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Requests about pending events and the state of the processor as a whole. */
static long vcpu_event_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			     void __user *argp)
{
	union {
		struct kvm_interrupt irq;
		struct kvm_vcpu_events events;
		struct kvm_mp_state mp;
		struct kvm_enable_cap cap;
	} u;
	long r;

	memset(&u, 0, sizeof(u));
	switch (ioctl) {
	case KVM_INTERRUPT:
		if (copy_from_user(&u.irq, argp, sizeof(u.irq)))
			return -EFAULT;
		return kvm_vcpu_ioctl_interrupt(vcpu, &u.irq);
	case KVM_NMI:
		kvm_inject_nmi(vcpu);
		return 0;
	case KVM_SMI:
		return kvm_inject_smi(vcpu) ? 0 : -EINVAL;
	case KVM_GET_VCPU_EVENTS:
		kvm_get_vcpu_events(vcpu, &u.events);
		return copy_to_user(argp, &u.events, sizeof(u.events)) ? -EFAULT : 0;
	case KVM_SET_VCPU_EVENTS:
		if (copy_from_user(&u.events, argp, sizeof(u.events)))
			return -EFAULT;
		return kvm_set_vcpu_events(vcpu, &u.events);
	case KVM_GET_MP_STATE:
		r = vcpu_get_mp_state(vcpu, &u.mp);
		if (!r && copy_to_user(argp, &u.mp, sizeof(u.mp)))
			r = -EFAULT;
		return r;
	case KVM_SET_MP_STATE:
		if (copy_from_user(&u.mp, argp, sizeof(u.mp)))
			return -EFAULT;
		return vcpu_set_mp_state(vcpu, &u.mp);
	case KVM_ENABLE_CAP:
		if (copy_from_user(&u.cap, argp, sizeof(u.cap)))
			return -EFAULT;
		return vcpu_enable_cap(vcpu, &u.cap);
	default:
		return -ENOTTY;
	}
}

/**
 * kvm_arch_vcpu_ioctl() - x86's ioctls on a vCPU fd
 * @vcpu: the vCPU; its mutex is held
 * @ioctl: request
 * @arg: its argument
 *
 * Return: as documented for the request; -ENOTTY when there is none such.
 */
long kvm_arch_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long r;

	kvm_vcpu_load(vcpu);
	/* guest memory may be touched on the way */
	kvm_vcpu_srcu_read_lock(vcpu);

	r = vcpu_event_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_regs_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_fpu_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_cpuid_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_msr_vcpu_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_mce_vcpu_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_lapic_vcpu_ioctl(vcpu, ioctl, argp);
	if (r == -ENOTTY)
		r = kvm_time_vcpu_ioctl(vcpu, ioctl, arg);
	if (r == -ENOTTY)
		r = kvm_nested_vcpu_ioctl(vcpu, ioctl, argp);

	kvm_vcpu_srcu_read_unlock(vcpu);
	kvm_vcpu_put(vcpu);
	return r;
}

/**
 * kvm_arch_vcpu_async_ioctl() - ioctls that need not wait for KVM_RUN
 * @vcpu: the vCPU; its mutex is not held
 * @ioctl: request
 * @arg: its argument
 *
 * Return: -ENOIOCTLCMD: x86 has none.
 */
long kvm_arch_vcpu_async_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			       unsigned long arg)
{
	return -ENOIOCTLCMD;
}

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Kernel-based Virtual Machine, built outside the kernel tree");
MODULE_LICENSE("GPL");
