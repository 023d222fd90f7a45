// SPDX-License-Identifier: GPL-2.0-only
/*
 * irqfd: an eventfd that raises a GSI when it is signalled; ioeventfd: a guest's
 * write that signals an eventfd (Documentation/virt/kvm/api.rst, KVM_IRQFD and
 * KVM_IOEVENTFD).
 *
 * An irqfd hangs in its eventfd's wait queue. The wake-up runs with interrupts
 * off: an MSI is delivered from there, anything else by a work item. When the
 * eventfd is closed, the wake-up says EPOLLHUP and the irqfd is taken down by a
 * work item of its own queue, which KVM_IRQFD with DEASSIGN awaits.
 *
 * A resampling irqfd is for level-triggered lines: the line is raised and stays
 * up; when the guest ends the interrupt, it is lowered and the resample eventfd
 * is signalled, so that the device may raise it again. All resampling irqfds of a
 * GSI share one resampler, which hears the guest's acknowledgment.
 *
 * Where the producer of an eventfd is a device's interrupt that hardware can bring
 * to a vCPU by itself, irqbypass.ko brings the two together; while a route says just
 * one vCPU, nobody signals the eventfd any more.
 *
 * irqfds.lock: the list of irqfds; each is on it until its shutdown is queued.
 * irqfds.ioctl_lock: one KVM_IRQFD at a time.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "module/compat/bypass.h"
#include "module/kvm_host.h"

static struct workqueue_struct *shutdown_wq;

/* ---- irqfd ---------------------------------------------------------------- */

struct resampler {
	struct kvm *kvm;
	struct list_head irqfds;	/* (i) read under irq_srcu */
	struct kvm_irq_ack_notifier notifier;
	struct list_head link;		/* irqfds.resampler_list */
};

struct irqfd {
	struct kvm *kvm;
	u32 gsi;
	struct eventfd_ctx *ctx;
	wait_queue_entry_t wait;
	poll_table pt;
	int queued;			/* 0, or why it does not wait */

	/* the route when there is just one, for delivery from the wake-up */
	struct kvm_route route;
	bool has_route;
	seqcount_spinlock_t route_sc;

	struct irq_bypass_consumer consumer;
	bool registered;		/* with irqbypass.ko */
	bool has_producer;		/* irqfds.lock, as is @bypass */
	struct kvm_bypass bypass;

	struct work_struct inject;
	struct work_struct shutdown;
	struct list_head link;		/* irqfds.items; empty: shutdown is queued */

	struct eventfd_ctx *resample_ctx;
	struct resampler *resampler;
	struct list_head resampler_link;
};

static void inject_work(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, inject);
	struct kvm *kvm = irqfd->kvm;

	if (irqfd->resampler) {
		kvm_set_irq(kvm, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, irqfd->gsi, 1,
			    false);
		return;
	}
	kvm_pulse_irq(kvm, KVM_USERSPACE_IRQ_SOURCE_ID, irqfd->gsi);
}

/* The guest ended an interrupt of the GSI: lower the line, ask the devices. */
static void resampler_acked(struct kvm_irq_ack_notifier *kian)
{
	struct resampler *r = container_of(kian, struct resampler, notifier);
	struct irqfd *irqfd;
	int idx;

	kvm_set_irq(r->kvm, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, kian->gsi, 0, false);

	idx = srcu_read_lock(&r->kvm->irq_srcu);
	list_for_each_entry_srcu(irqfd, &r->irqfds, resampler_link,
				 srcu_read_lock_held(&r->kvm->irq_srcu))
		eventfd_signal(irqfd->resample_ctx);
	srcu_read_unlock(&r->kvm->irq_srcu, idx);
}

static int resampler_attach(struct irqfd *irqfd)
{
	struct kvm *kvm = irqfd->kvm;
	struct resampler *r;
	int ret = 0;

	mutex_lock(&kvm->irqfds.resampler_lock);
	list_for_each_entry(r, &kvm->irqfds.resampler_list, link) {
		if (r->notifier.gsi == irqfd->gsi)
			goto found;
	}
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r) {
		ret = -ENOMEM;
		goto out;
	}
	r->kvm = kvm;
	INIT_LIST_HEAD(&r->irqfds);
	r->notifier.gsi = irqfd->gsi;
	r->notifier.irq_acked = resampler_acked;
	list_add(&r->link, &kvm->irqfds.resampler_list);
	kvm_register_irq_ack_notifier(kvm, &r->notifier);
found:
	irqfd->resampler = r;
	list_add_rcu(&irqfd->resampler_link, &r->irqfds);
out:
	mutex_unlock(&kvm->irqfds.resampler_lock);
	return ret;
}

static void resampler_detach(struct irqfd *irqfd)
{
	struct resampler *r = irqfd->resampler;
	struct kvm *kvm = irqfd->kvm;

	mutex_lock(&kvm->irqfds.resampler_lock);
	list_del_rcu(&irqfd->resampler_link);
	synchronize_srcu(&kvm->irq_srcu);
	if (list_empty(&r->irqfds)) {
		list_del(&r->link);
		kvm_unregister_irq_ack_notifier(kvm, &r->notifier);
		/* nobody will lower what is still up */
		kvm_set_irq(kvm, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID,
			    r->notifier.gsi, 0, false);
		kfree(r);
	}
	mutex_unlock(&kvm->irqfds.resampler_lock);
}

static void shutdown_work(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, shutdown);
	struct kvm *kvm = irqfd->kvm;
	u64 cnt;

	/* KVM_IRQFD, in a read section, may still be at work on it */
	synchronize_srcu(&kvm->irq_srcu);

	if (irqfd->registered)
		irq_bypass_unregister_consumer(&irqfd->consumer);

	/* no more wake-ups after this, no more injections after that */
	eventfd_ctx_remove_wait_queue(irqfd->ctx, &irqfd->wait, &cnt);
	flush_work(&irqfd->inject);
	if (irqfd->resampler)
		resampler_detach(irqfd);
	if (irqfd->resample_ctx)
		eventfd_ctx_put(irqfd->resample_ctx);
	eventfd_ctx_put(irqfd->ctx);
	kfree(irqfd);
}

/* irqfds.lock held */
static void deactivate(struct irqfd *irqfd)
{
	if (list_empty(&irqfd->link))
		return;
	list_del_init(&irqfd->link);
	queue_work(shutdown_wq, &irqfd->shutdown);
}

/* Signalled, or closed. The wait queue's lock is held, interrupts are off. */
static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync,
			void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	struct kvm *kvm = irqfd->kvm;
	__poll_t flags = key_to_poll(key);
	int used = 0;

	if (flags & EPOLLIN) {
		struct kvm_route route;
		unsigned int seq;
		bool has_route;
		u64 cnt;
		int idx;

		eventfd_ctx_do_read(irqfd->ctx, &cnt);
		idx = srcu_read_lock(&kvm->irq_srcu);
		do {
			seq = read_seqcount_begin(&irqfd->route_sc);
			route = irqfd->route;
			has_route = irqfd->has_route;
		} while (read_seqcount_retry(&irqfd->route_sc, seq));

		if (irqfd->resampler || !has_route ||
		    kvm_arch_set_irq_inatomic(&route, kvm,
					      KVM_USERSPACE_IRQ_SOURCE_ID, 1,
					      false) == -EWOULDBLOCK)
			schedule_work(&irqfd->inject);
		srcu_read_unlock(&kvm->irq_srcu, idx);
		used = 1;
	}
	if (flags & EPOLLHUP) {
		unsigned long irqflags;

		spin_lock_irqsave(&kvm->irqfds.lock, irqflags);
		deactivate(irqfd);
		spin_unlock_irqrestore(&kvm->irqfds.lock, irqflags);
	}
	return used;
}

/* vfs_poll() hands us the eventfd's wait queue */
static void irqfd_queue(struct file *file, wait_queue_head_t *wqh,
			poll_table *pt)
{
	struct irqfd *irqfd = container_of(pt, struct irqfd, pt);

	/* before anybody else: what is read here is not left for user space */
	irqfd->queued = kvm_wait_first(wqh, &irqfd->wait);
}

/* irqfds.lock held, or nobody else knows the irqfd */
static void update_route(struct kvm *kvm, struct irqfd *irqfd)
{
	struct kvm_route routes[KVM_ROUTES_PER_GSI];
	int n = kvm_irq_map_gsi(kvm, routes, irqfd->gsi);

	write_seqcount_begin(&irqfd->route_sc);
	irqfd->has_route = n == 1;
	if (n == 1)
		irqfd->route = routes[0];
	write_seqcount_end(&irqfd->route_sc);
	if (irqfd->has_producer)
		kvm_arch_bypass_update(kvm, &irqfd->bypass, n == 1 ? &irqfd->route : NULL);
}

/* irqbypass.ko has found a device's interrupt for the eventfd; it holds a mutex. */
static int add_producer(struct irq_bypass_consumer *consumer, struct irq_bypass_producer *producer)
{
	struct irqfd *irqfd = container_of(consumer, struct irqfd, consumer);
	struct kvm *kvm = irqfd->kvm;
	int idx = srcu_read_lock(&kvm->irq_srcu);

	spin_lock_irq(&kvm->irqfds.lock);
	irqfd->bypass = (struct kvm_bypass) { .host_irq = producer->irq };
	irqfd->has_producer = true;
	WRITE_ONCE(kvm->irqfds.nr_producers, kvm->irqfds.nr_producers + 1);
	update_route(kvm, irqfd);
	spin_unlock_irq(&kvm->irqfds.lock);
	srcu_read_unlock(&kvm->irq_srcu, idx);
	return 0;
}

static void del_producer(struct irq_bypass_consumer *consumer, struct irq_bypass_producer *producer)
{
	struct irqfd *irqfd = container_of(consumer, struct irqfd, consumer);
	struct kvm *kvm = irqfd->kvm;

	spin_lock_irq(&kvm->irqfds.lock);
	kvm_arch_bypass_update(kvm, &irqfd->bypass, NULL);
	irqfd->has_producer = false;
	WRITE_ONCE(kvm->irqfds.nr_producers, kvm->irqfds.nr_producers - 1);
	spin_unlock_irq(&kvm->irqfds.lock);
}

static void offer_bypass(struct irqfd *irqfd)
{
	/* a line has to be lowered and asked for, which no hardware does */
	if (irqfd->resampler || !kvm_arch_can_bypass())
		return;
	irqfd->consumer.add_producer = add_producer;
	irqfd->consumer.del_producer = del_producer;
	/* another VM may have the eventfd, too: then each interrupt takes the long way */
	irqfd->registered = !kvm_bypass_register(&irqfd->consumer, irqfd->ctx);
}

/**
 * kvm_irqfd_routing_update() - the routing table was replaced, or what its messages mean
 * @kvm: the VM
 */
void kvm_irqfd_routing_update(struct kvm *kvm)
{
	struct irqfd *irqfd;
	int idx;

	idx = srcu_read_lock(&kvm->irq_srcu);
	spin_lock_irq(&kvm->irqfds.lock);
	list_for_each_entry(irqfd, &kvm->irqfds.items, link)
		update_route(kvm, irqfd);
	spin_unlock_irq(&kvm->irqfds.lock);
	srcu_read_unlock(&kvm->irq_srcu, idx);
}

static void free_unused(struct irqfd *irqfd)
{
	if (irqfd->resampler)
		resampler_detach(irqfd);
	if (!IS_ERR_OR_NULL(irqfd->resample_ctx))
		eventfd_ctx_put(irqfd->resample_ctx);
	if (!IS_ERR_OR_NULL(irqfd->ctx))
		eventfd_ctx_put(irqfd->ctx);
	kfree(irqfd);
}

static int irqfd_assign(struct kvm *kvm, struct kvm_irqfd *args)
{
	struct irqfd *irqfd;
	struct file *file;
	__poll_t events;
	bool mine;
	int r, idx;

	if (!kvm_arch_irqchip_in_kernel(kvm) || !kvm_arch_irqfd_allowed(kvm, args))
		return -EINVAL;

	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return -ENOMEM;
	irqfd->kvm = kvm;
	irqfd->gsi = args->gsi;
	INIT_LIST_HEAD(&irqfd->link);
	INIT_WORK(&irqfd->inject, inject_work);
	INIT_WORK(&irqfd->shutdown, shutdown_work);
	seqcount_spinlock_init(&irqfd->route_sc, &kvm->irqfds.lock);
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wakeup);
	INIT_LIST_HEAD(&irqfd->wait.entry);
	init_poll_funcptr(&irqfd->pt, irqfd_queue);

	file = fget(args->fd);
	if (!file) {
		kfree(irqfd);
		return -EBADF;
	}
	irqfd->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->ctx)) {
		r = PTR_ERR(irqfd->ctx);
		goto out;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resample_ctx = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resample_ctx)) {
			r = PTR_ERR(irqfd->resample_ctx);
			goto out;
		}
		r = resampler_attach(irqfd);
		if (r)
			goto out;
	}

	idx = srcu_read_lock(&kvm->irq_srcu);
	spin_lock_irq(&kvm->irqfds.lock);
	update_route(kvm, irqfd);
	list_add_tail(&irqfd->link, &kvm->irqfds.items);
	spin_unlock_irq(&kvm->irqfds.lock);

	/* from here on it is the wake-up's and the shutdown's */
	events = vfs_poll(file, &irqfd->pt);
	r = irqfd->queued;
	if (r) {
		/* another's; somebody may have taken this one off the list meanwhile */
		spin_lock_irq(&kvm->irqfds.lock);
		mine = !list_empty(&irqfd->link);
		list_del_init(&irqfd->link);
		spin_unlock_irq(&kvm->irqfds.lock);
		srcu_read_unlock(&kvm->irq_srcu, idx);
		if (mine)
			goto out;
		fput(file);
		return r;
	}
	if (events & EPOLLIN)
		schedule_work(&irqfd->inject);
	srcu_read_unlock(&kvm->irq_srcu, idx);
	offer_bypass(irqfd);

	/* with the file alive until now, EPOLLHUP could not come unseen */
	fput(file);
	return 0;
out:
	fput(file);
	free_unused(irqfd);
	return r;
}

static int irqfd_deassign(struct kvm *kvm, struct kvm_irqfd *args)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct irqfd *irqfd, *tmp;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);

	spin_lock_irq(&kvm->irqfds.lock);
	list_for_each_entry_safe(irqfd, tmp, &kvm->irqfds.items, link) {
		if (irqfd->ctx == ctx && irqfd->gsi == args->gsi)
			deactivate(irqfd);
	}
	spin_unlock_irq(&kvm->irqfds.lock);
	eventfd_ctx_put(ctx);

	/* no interrupt of it may come after the call */
	flush_workqueue(shutdown_wq);
	return 0;
}

/**
 * kvm_irqfd() - KVM_IRQFD
 * @kvm: the VM
 * @args: what user space asks for, a kernel copy
 *
 * Return: 0; -EINVAL for unknown flags, a GSI out of range, no irqchip or a
 * descriptor that is no eventfd; -EBADF; -EBUSY for an eventfd in use; -ENOMEM.
 */
int kvm_irqfd(struct kvm *kvm, struct kvm_irqfd *args)
{
	int r;

	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->gsi >= KVM_OOT_MAX_IRQ_ROUTES)
		return -EINVAL;

	mutex_lock(&kvm->irqfds.ioctl_lock);
	r = args->flags & KVM_IRQFD_FLAG_DEASSIGN ? irqfd_deassign(kvm, args) :
						    irqfd_assign(kvm, args);
	mutex_unlock(&kvm->irqfds.ioctl_lock);
	return r;
}

/**
 * kvm_irqfd_release() - the VM's descriptor is closed: take all irqfds down
 * @kvm: the VM
 */
void kvm_irqfd_release(struct kvm *kvm)
{
	struct irqfd *irqfd, *tmp;

	spin_lock_irq(&kvm->irqfds.lock);
	list_for_each_entry_safe(irqfd, tmp, &kvm->irqfds.items, link)
		deactivate(irqfd);
	spin_unlock_irq(&kvm->irqfds.lock);
	flush_workqueue(shutdown_wq);
}

/* ---- ioeventfd ------------------------------------------------------------ */

struct ioeventfd {
	struct kvm_io_device dev;
	struct list_head link;		/* kvm->ioeventfds (s) */
	enum kvm_bus_id bus;
	gpa_t addr;
	int len;			/* 0: any */
	bool wildcard;			/* any value */
	u64 datamatch;
	struct eventfd_ctx *ctx;
};

static struct ioeventfd *to_ioeventfd(struct kvm_io_device *dev)
{
	return container_of(dev, struct ioeventfd, dev);
}

static bool ioeventfd_matches(const struct ioeventfd *p, gpa_t addr, int len,
			      const void *val)
{
	u64 data = 0;

	if (addr != p->addr)
		return false;
	if (!p->len)
		return true;
	if (len != p->len)
		return false;
	if (p->wildcard)
		return true;
	memcpy(&data, val, len);
	return data == p->datamatch;
}

static int ioeventfd_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			   gpa_t addr, int len, const void *val)
{
	struct ioeventfd *p = to_ioeventfd(dev);

	if (!ioeventfd_matches(p, addr, len, val))
		return -EOPNOTSUPP;
	eventfd_signal(p->ctx);
	return 0;
}

static int ioeventfd_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
			  gpa_t addr, int len, void *val)
{
	return -EOPNOTSUPP;
}

static void ioeventfd_destructor(struct kvm_io_device *dev)
{
	struct ioeventfd *p = to_ioeventfd(dev);

	list_del(&p->link);
	eventfd_ctx_put(p->ctx);
	kfree(p);
}

static const struct kvm_io_device_ops ioeventfd_ops = {
	.read = ioeventfd_read,
	.write = ioeventfd_write,
	.destructor = ioeventfd_destructor,
	.is_ioeventfd = true,
};

static enum kvm_bus_id ioeventfd_bus(u32 flags)
{
	if (flags & KVM_IOEVENTFD_FLAG_PIO)
		return KVM_BUS_PIO;
	if (flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY)
		return KVM_BUS_VIRTIO_CCW;
	return KVM_BUS_MMIO;
}

/* Would one write reach both? (s) held */
static bool ioeventfd_collides(struct kvm *kvm, const struct ioeventfd *p)
{
	const struct ioeventfd *o;

	list_for_each_entry(o, &kvm->ioeventfds, link) {
		if (o->bus == p->bus && o->addr == p->addr &&
		    (!o->len || !p->len ||
		     (o->len == p->len &&
		      (o->wildcard || p->wildcard ||
		       o->datamatch == p->datamatch))))
			return true;
	}
	return false;
}

static bool wants_fast_mmio(const struct ioeventfd *p)
{
	return p->bus == KVM_BUS_MMIO && !p->len;
}

static int ioeventfd_assign(struct kvm *kvm, struct kvm_ioeventfd *args)
{
	struct ioeventfd *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	int r;

	if (!p)
		return -ENOMEM;
	p->ctx = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(p->ctx)) {
		r = PTR_ERR(p->ctx);
		kfree(p);
		return r;
	}
	p->dev.ops = &ioeventfd_ops;
	p->bus = ioeventfd_bus(args->flags);
	p->addr = args->addr;
	p->len = args->len;
	p->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	p->datamatch = args->datamatch;
	INIT_LIST_HEAD(&p->link);

	mutex_lock(&kvm->slots_lock);
	r = -EEXIST;
	if (ioeventfd_collides(kvm, p))
		goto out;
	r = kvm_io_bus_register_dev(kvm, p->bus, p->addr, p->len, &p->dev);
	if (r)
		goto out;
	list_add_tail(&p->link, &kvm->ioeventfds);
	if (wants_fast_mmio(p)) {
		r = kvm_io_bus_register_dev(kvm, KVM_BUS_FAST_MMIO, p->addr, 0,
					    &p->dev);
		if (r) {
			/* destroys it */
			kvm_io_bus_unregister_dev(kvm, p->bus, &p->dev);
			p = NULL;
		}
	}
out:
	mutex_unlock(&kvm->slots_lock);
	if (r && p) {
		eventfd_ctx_put(p->ctx);
		kfree(p);
	}
	return r;
}

static int ioeventfd_deassign(struct kvm *kvm, struct kvm_ioeventfd *args)
{
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	enum kvm_bus_id bus = ioeventfd_bus(args->flags);
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *p;
	int r = -ENOENT;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);

	mutex_lock(&kvm->slots_lock);
	list_for_each_entry(p, &kvm->ioeventfds, link) {
		if (p->bus != bus || p->ctx != ctx || p->addr != args->addr ||
		    p->len != args->len || p->wildcard != wildcard ||
		    (!wildcard && p->datamatch != args->datamatch))
			continue;
		/* leaving the last bus destroys it */
		if (wants_fast_mmio(p))
			kvm_io_bus_unregister_dev(kvm, KVM_BUS_FAST_MMIO, &p->dev);
		kvm_io_bus_unregister_dev(kvm, bus, &p->dev);
		r = 0;
		break;
	}
	mutex_unlock(&kvm->slots_lock);
	eventfd_ctx_put(ctx);
	return r;
}

/**
 * kvm_ioeventfd() - KVM_IOEVENTFD
 * @kvm: the VM
 * @args: what user space asks for, a kernel copy
 *
 * Return: 0; -EINVAL for unknown flags, a length that is not 0, 1, 2, 4 or 8, a
 * range that wraps, or a value to match without a length; -EEXIST when another
 * one would answer to the same write; -ENOENT when there is none to remove;
 * -EBADF; -ENOMEM.
 */
int kvm_ioeventfd(struct kvm *kvm, struct kvm_ioeventfd *args)
{
	switch (args->len) {
	case 0:
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return -EINVAL;
	}
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	if (args->flags & ~KVM_IOEVENTFD_VALID_FLAG_MASK)
		return -EINVAL;
	if (!args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
		return -EINVAL;

	return args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ?
		ioeventfd_deassign(kvm, args) : ioeventfd_assign(kvm, args);
}

/**
 * kvm_eventfd_init() - prepare a new VM for irqfds and ioeventfds
 * @kvm: the VM
 */
void kvm_eventfd_init(struct kvm *kvm)
{
	spin_lock_init(&kvm->irqfds.lock);
	mutex_init(&kvm->irqfds.resampler_lock);
	mutex_init(&kvm->irqfds.ioctl_lock);
	INIT_LIST_HEAD(&kvm->irqfds.items);
	INIT_LIST_HEAD(&kvm->irqfds.resampler_list);
	INIT_LIST_HEAD(&kvm->ioeventfds);
}
EXPORT_SYMBOL_FOR_KUNIT(kvm_eventfd_init);

/**
 * kvm_eventfd_module_init() - the queue on which irqfds are taken down
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_eventfd_module_init(void)
{
	shutdown_wq = alloc_workqueue("kvm-irqfd-cleanup", WQ_PERCPU, 0);
	return shutdown_wq ? 0 : -ENOMEM;
}

/**
 * kvm_eventfd_module_exit() - free it
 */
void kvm_eventfd_module_exit(void)
{
	destroy_workqueue(shutdown_wq);
}
