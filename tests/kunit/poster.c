// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-poster.ko stands for an assigned device behind an IOMMU that posts interrupts,
 * which no emulator has. Each open file of /dev/kvm-poster is one device with one
 * interrupt: it is offered to irqbypass.ko as VFIO offers one, and irq_set_vcpu_affinity()
 * of it says where it is posted. Raised, it does what the VT-d specification (5.2.3)
 * has the IOMMU do with the descriptor, or signals the eventfd as VFIO would.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/irq.h>
#include <linux/irqbypass.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/apic.h>

#include "module/compat/bypass.h"
#include "module/compat/compat.h"
#include "module/compat/ipi.h"
#include "tests/kunit/poster.h"

struct descriptor {
	unsigned long pir[4];
	unsigned long control;
};

#define CONTROL_ON	BIT(0)
#define CONTROL_SN	BIT(1)

struct poster {
	struct irq_bypass_producer producer;
	struct eventfd_ctx *ctx;
	int irq;
	raw_spinlock_t lock;
	bool posted;			/* lock */
	KVM_INTEL_PI_DATA_T where;	/* lock */
};

/* What Intel's interrupt remapping has in this place. */
static int set_vcpu_affinity(struct irq_data *d, void *info)
{
	struct poster *p = irq_data_get_irq_chip_data(d);

	raw_spin_lock(&p->lock);
	p->posted = info;
	if (info)
		memcpy(&p->where, info, sizeof(p->where));
	raw_spin_unlock(&p->lock);
	return 0;
}

static struct irq_chip chip = {
	.name			= "kvm-poster",
	.irq_set_vcpu_affinity	= set_vcpu_affinity,
};

static void notify(unsigned long control)
{
	u32 ndst = control >> 32;
	int cpu;

	for_each_online_cpu(cpu) {
		u32 id = cpu_physical_id(cpu);

		if (ndst == (x2apic_mode ? id : (id & 0xff) << 8)) {
			kvm_send_ipi(cpu, (control >> 16) & 0xff);
			return;
		}
	}
}

/* lock held, interrupts off */
static void post(struct poster *p)
{
	struct descriptor *d = __va(p->where.pi_desc_addr);
	unsigned long old, new;

	set_bit(p->where.vector, d->pir);
	old = READ_ONCE(d->control);
	do {
		if (old & (CONTROL_ON | CONTROL_SN))
			return;
		new = old | CONTROL_ON;
	} while (!try_cmpxchg(&d->control, &old, new));
	notify(old);
}

static long fire(struct poster *p)
{
	unsigned long flags;
	bool posted;

	if (!p->ctx)
		return -ENXIO;
	raw_spin_lock_irqsave(&p->lock, flags);
	posted = p->posted;
	if (posted)
		post(p);
	raw_spin_unlock_irqrestore(&p->lock, flags);
	if (!posted)
		eventfd_signal(p->ctx);
	return posted;
}

static int connect(struct poster *p, int __user *arg)
{
	struct eventfd_ctx *ctx;
	int fd, r;

	if (p->ctx)
		return -EBUSY;
	if (get_user(fd, arg))
		return -EFAULT;
	ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	r = kvm_bypass_register_producer(&p->producer, ctx, p->irq);
	if (r)
		eventfd_ctx_put(ctx);
	else
		p->ctx = ctx;
	return r;
}

static long poster_ioctl(struct file *filp, unsigned int ioctl, unsigned long arg)
{
	struct poster *p = filp->private_data;
	unsigned long flags;
	long r;

	switch (ioctl) {
	case POSTER_CONNECT:
		return connect(p, (int __user *)arg);
	case POSTER_FIRE:
		return fire(p);
	case POSTER_VECTOR:
		raw_spin_lock_irqsave(&p->lock, flags);
		r = p->posted ? p->where.vector : 0;
		raw_spin_unlock_irqrestore(&p->lock, flags);
		return r;
	default:
		return -ENOTTY;
	}
}

static int poster_open(struct inode *inode, struct file *filp)
{
	struct poster *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	p->irq = irq_alloc_desc(NUMA_NO_NODE);
	if (p->irq < 0) {
		int r = p->irq;

		kfree(p);
		return r;
	}
	raw_spin_lock_init(&p->lock);
	irq_set_chip_and_handler(p->irq, &chip, handle_simple_irq);
	irq_set_chip_data(p->irq, p);
	filp->private_data = p;
	return 0;
}

static int poster_release(struct inode *inode, struct file *filp)
{
	struct poster *p = filp->private_data;

	if (p->ctx) {
		irq_bypass_unregister_producer(&p->producer);
		WARN_ON(p->posted);
		eventfd_ctx_put(p->ctx);
	}
	irq_free_desc(p->irq);
	kfree(p);
	return 0;
}

static const struct file_operations poster_fops = {
	.owner		= THIS_MODULE,
	.open		= poster_open,
	.release	= poster_release,
	.unlocked_ioctl	= poster_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice poster_dev = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "kvm-poster",
	.fops	= &poster_fops,
};
module_misc_device(poster_dev);

MODULE_DESCRIPTION("A device whose interrupts are posted, for tests of kvm-oot");
MODULE_LICENSE("GPL");
