// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays a firmware that disabled SVM, for tests/system/load: while this module is
 * loaded, the kernel's function that reads an MSR without faulting says that
 * VM_CR.SVMDIS and VM_CR.LOCK are set. The emulated CPU has no such bits.
 *
 * It works where modules call that function (CONFIG_PARAVIRT_XXL), as Debian's
 * kernel makes them do.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

#define VM_CR		0xc0010114
#define VM_CR_LOCK	BIT(3)
#define VM_CR_SVMDIS	BIT(4)

/* Returns nonzero for any other MSR: the return is left alone then. */
static int called(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return (u32)regs->di != VM_CR;
}

static int returns(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	regs->ax |= VM_CR_LOCK | VM_CR_SVMDIS;
	return 0;
}

static struct kretprobe probe = {
	.kp.symbol_name	= "native_read_msr_safe",
	.entry_handler	= called,
	.handler	= returns,
};

static int __init svmdis_init(void)
{
	return register_kretprobe(&probe);
}
module_init(svmdis_init);

static void __exit svmdis_exit(void)
{
	unregister_kretprobe(&probe);
}
module_exit(svmdis_exit);

MODULE_AUTHOR("The kvm-oot authors");
MODULE_DESCRIPTION("Pretends that the firmware disabled SVM");
MODULE_LICENSE("GPL");
