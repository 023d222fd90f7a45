// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays firmware and other hypervisors for tests/system/load on an Intel host:
 *
 *   lock=1      the firmware has locked VMX off: the kernel's function that reads an MSR
 *               without faulting says so of IA32_FEATURE_CONTROL
 *   differs=N   CPU N has another VMCS revision than the others (IA32_VMX_BASIC)
 *   vmxe=MASK   CR4.VMXE is set on these CPUs, as by a hypervisor that has VMX there
 *
 * Parameter "has" reads as the mask of CPUs that have CR4.VMXE set now. The first two
 * work where modules call the kernel's functions for MSRs (CONFIG_PARAVIRT_XXL), as
 * Debian's kernel makes them do.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/msr-index.h>
#include <asm/tlbflush.h>

static bool lock;
module_param(lock, bool, 0444);
MODULE_PARM_DESC(lock, "VMX is locked off");

static int differs = -1;
module_param(differs, int, 0444);
MODULE_PARM_DESC(differs, "CPU with another VMCS revision");

static ulong vmxe;
module_param(vmxe, ulong, 0444);
MODULE_PARM_DESC(vmxe, "CPUs whose VMX is taken");

static atomic_long_t has_mask;

static void look(void *unused)
{
	if (__read_cr4() & X86_CR4_VMXE)
		atomic_long_or(BIT(smp_processor_id()), &has_mask);
}

static int has_get(char *buffer, const struct kernel_param *kp)
{
	atomic_long_set(&has_mask, 0);
	on_each_cpu(look, NULL, 1);
	return sprintf(buffer, "%ld\n", atomic_long_read(&has_mask));
}

static const struct kernel_param_ops has_ops = { .get = has_get };
module_param_cb(has, &has_ops, NULL, 0444);

static void take(void *unused)
{
	if (vmxe & BIT(smp_processor_id()))
		cr4_set_bits(X86_CR4_VMXE);
}

static void give_back(void *unused)
{
	if (vmxe & BIT(smp_processor_id()))
		cr4_clear_bits(X86_CR4_VMXE);
}

/* Return nonzero for what is not meant: the return is left alone then. */
static int reads_safe(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return !lock || (u32)regs->di != MSR_IA32_FEAT_CTL;
}

static int locked_off(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	regs->ax = FEAT_CTL_LOCKED;
	return 0;
}

static int reads(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return differs != raw_smp_processor_id() || (u32)regs->di != MSR_IA32_VMX_BASIC;
}

static int next_revision(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	regs->ax++;
	return 0;
}

static struct kretprobe probes[] = {
	{ .kp.symbol_name = "native_read_msr_safe", .entry_handler = reads_safe,
	  .handler = locked_off },
	{ .kp.symbol_name = "native_read_msr", .entry_handler = reads, .handler = next_revision },
};

static struct kretprobe *all[] = { &probes[0], &probes[1] };

static int __init vmxplay_init(void)
{
	int r = register_kretprobes(all, ARRAY_SIZE(all));

	if (!r)
		on_each_cpu(take, NULL, 1);
	return r;
}
module_init(vmxplay_init);

static void __exit vmxplay_exit(void)
{
	on_each_cpu(give_back, NULL, 1);
	unregister_kretprobes(all, ARRAY_SIZE(all));
}
module_exit(vmxplay_exit);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Plays firmware and other hypervisors on an Intel host");
MODULE_LICENSE("GPL");
