// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vCPU: the object behind the descriptor that KVM_CREATE_VCPU returns, its
 * ioctls, its thread's coming and going on the host's CPUs, requests and kicks,
 * and how it waits (Documentation/virt/kvm/{api,vcpu-requests,halt-polling}.rst).
 *
 * vcpu->mutex is held through every ioctl, KVM_RUN included. What must reach a
 * running vCPU goes through a request bit and a kick: the sender sets the bit
 * and then looks at vcpu->mode; the vCPU sets its mode and then looks at the
 * bits. Full barriers on both sides let at least one see the other.
 *
 * A halted vCPU first polls, for a time that grows when polling would have
 * paid and falls back when it did not, then its thread sleeps.
 */
#include <linux/compat.h>
#include <linux/cpumask.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "module/internal.h"
#include "module/trace.h"

static struct file_operations vcpu_fops;
static struct kmem_cache *vcpu_cache;
static struct preempt_ops preempt_ops;
static DEFINE_PER_CPU(struct kvm_vcpu *, running_vcpu);
static DEFINE_PER_CPU(cpumask_var_t, kick_mask);

/**
 * kvm_vcpu_set_owner() - which module an open vCPU keeps in the kernel
 * @owner: the vendor module
 */
void kvm_vcpu_set_owner(struct module *owner)
{
	vcpu_fops.owner = owner;
}

/* ---- the thread and the host's CPUs ----------------------------------------------- */

/**
 * kvm_get_running_vcpu() - the vCPU whose state is on this CPU
 *
 * Return: the vCPU or NULL. Callable from an NMI.
 */
struct kvm_vcpu *kvm_get_running_vcpu(void)
{
	return this_cpu_read(running_vcpu);
}
EXPORT_SYMBOL_GPL(kvm_get_running_vcpu);

/**
 * kvm_vcpu_load() - put a vCPU on this CPU
 * @vcpu: the vCPU; its mutex is held
 */
void kvm_vcpu_load(struct kvm_vcpu *vcpu)
{
	int cpu = get_cpu();

	__this_cpu_write(running_vcpu, vcpu);
	preempt_notifier_register(&vcpu->preempt_notifier);
	kvm_arch_vcpu_load(vcpu, cpu);
	vcpu->cpu = cpu;
	put_cpu();
}

/**
 * kvm_vcpu_put() - take a vCPU off this CPU
 * @vcpu: the vCPU
 */
void kvm_vcpu_put(struct kvm_vcpu *vcpu)
{
	preempt_disable();
	kvm_arch_vcpu_put(vcpu);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	__this_cpu_write(running_vcpu, NULL);
	preempt_enable();
}

static void sched_in(struct preempt_notifier *pn, int cpu)
{
	struct kvm_vcpu *vcpu = container_of(pn, struct kvm_vcpu, preempt_notifier);

	WRITE_ONCE(vcpu->preempted, false);
	WRITE_ONCE(vcpu->ready, false);
	__this_cpu_write(running_vcpu, vcpu);
	kvm_arch_vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
	vcpu->scheduled_out = false;
}

static void sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct kvm_vcpu *vcpu = container_of(pn, struct kvm_vcpu, preempt_notifier);

	vcpu->scheduled_out = true;
	if (task_is_running(current) && vcpu->wants_to_run) {
		WRITE_ONCE(vcpu->preempted_in_kernel, kvm_arch_vcpu_in_kernel(vcpu));
		WRITE_ONCE(vcpu->preempted, true);
		WRITE_ONCE(vcpu->ready, true);
	}
	kvm_arch_vcpu_put(vcpu);
	__this_cpu_write(running_vcpu, NULL);
}

static struct preempt_ops preempt_ops = {
	.sched_in	= sched_in,
	.sched_out	= sched_out,
};

/* ---- requests and kicks --------------------------------------------------- */

static void kick_ack(void *unused)
{
}

/**
 * kvm_make_all_cpus_request() - ask every vCPU
 * @kvm: the VM
 * @req: what for
 *
 * Returns when each vCPU that was in guest mode has left it.
 *
 * Return: true when an IPI was needed.
 */
bool kvm_make_all_cpus_request(struct kvm *kvm, enum kvm_request req)
{
	struct cpumask *mask;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	bool sent = false;
	int me = get_cpu();

	mask = this_cpu_cpumask_var_ptr(kick_mask);
	cpumask_clear(mask);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		int cpu;

		kvm_make_request(req, vcpu);
		/* everything else can wait until it has something to do */
		if (req == KVM_REQ_VM_DEAD)
			kvm_vcpu_wake_up(vcpu);

		/* the request before the look at the mode: pairs with the vCPU's smp_store_mb() */
		smp_mb();
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu < 0 || cpu == me)
			continue;
		/* also one that somebody else has kicked is awaited */
		if (cmpxchg(&vcpu->mode, KVM_IN_GUEST, KVM_EXITING_GUEST) !=
		    KVM_OUTSIDE_GUEST)
			cpumask_set_cpu(cpu, mask);
	}
	if (!cpumask_empty(mask)) {
		smp_call_function_many(mask, kick_ack, NULL, 1);
		sent = true;
	}
	put_cpu();
	return sent;
}
EXPORT_SYMBOL_GPL(kvm_make_all_cpus_request);

/**
 * kvm_flush_remote_tlbs() - no vCPU uses an old translation after this
 * @kvm: the VM
 *
 * A vCPU in guest mode leaves it before the function returns; each flushes
 * before it enters again.
 */
void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	kvm->stat.remote_tlb_flush_requests++;
	if (kvm_make_all_cpus_request(kvm, KVM_REQ_TLB_FLUSH))
		kvm->stat.remote_tlb_flush++;
}
EXPORT_SYMBOL_GPL(kvm_flush_remote_tlbs);

/**
 * kvm_vcpu_wake_up() - wake the thread of a vCPU that waits
 * @vcpu: the vCPU
 *
 * Return: true when it was waiting.
 */
bool kvm_vcpu_wake_up(struct kvm_vcpu *vcpu)
{
	if (!rcuwait_wake_up(&vcpu->wait))
		return false;
	WRITE_ONCE(vcpu->ready, true);
	vcpu->stat.halt_wakeup++;
	return true;
}
EXPORT_SYMBOL_GPL(kvm_vcpu_wake_up);

/**
 * kvm_vcpu_kick() - make a vCPU look at its requests
 * @vcpu: the vCPU; woken when it waits, interrupted when it is in the guest
 */
void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
	int me, cpu;

	if (kvm_vcpu_wake_up(vcpu))
		return;

	me = get_cpu();
	/* what the kick is about before the look at the mode */
	smp_mb();
	if (cmpxchg(&vcpu->mode, KVM_IN_GUEST, KVM_EXITING_GUEST) == KVM_IN_GUEST) {
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu >= 0 && cpu != me && cpu_online(cpu))
			smp_send_reschedule(cpu);
	}
	put_cpu();
}
EXPORT_SYMBOL_GPL(kvm_vcpu_kick);

/**
 * kvm_get_vcpu_by_id() - the vCPU with an id
 * @kvm: the VM
 * @id: as given to KVM_CREATE_VCPU
 *
 * Return: the vCPU or NULL.
 */
struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, int id)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	/* mostly they are numbered in order */
	vcpu = kvm_get_vcpu(kvm, id);
	if (vcpu && vcpu->vcpu_id == id)
		return vcpu;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->vcpu_id == id)
			return vcpu;
	return NULL;
}

/* ---- waiting -------------------------------------------------------------- */

/* 0 to go on waiting, 1 there is something for the guest, -EINTR for the host */
static int wait_over(struct kvm_vcpu *vcpu)
{
	int idx = srcu_read_lock(&vcpu->kvm->srcu);
	int r = 0;

	if (kvm_arch_vcpu_runnable(vcpu))
		r = 1;
	else if (kvm_test_request(KVM_REQ_UNBLOCK, vcpu) ||
		 kvm_test_request(KVM_REQ_VM_DEAD, vcpu) ||
		 kvm_arch_vcpu_pending_timer(vcpu) || kvm_arch_vcpu_has_work(vcpu) ||
		 signal_pending(current))
		r = -EINTR;
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return r;
}

/**
 * kvm_vcpu_block() - sleep until there is something to do
 * @vcpu: the vCPU, loaded, without kvm->srcu
 *
 * Return: true when the thread slept.
 */
bool kvm_vcpu_block(struct kvm_vcpu *vcpu)
{
	bool slept = false;

	vcpu->stat.blocking = 1;
	preempt_disable();
	kvm_arch_vcpu_blocking(vcpu);
	prepare_to_rcuwait(&vcpu->wait);
	preempt_enable();

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (wait_over(vcpu))
			break;
		slept = true;
		schedule();
	}

	preempt_disable();
	finish_rcuwait(&vcpu->wait);
	kvm_arch_vcpu_unblocking(vcpu);
	preempt_enable();
	vcpu->stat.blocking = 0;
	return slept;
}

static unsigned int poll_limit(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;

	if (READ_ONCE(kvm->override_halt_poll_ns)) {
		smp_rmb();	/* pairs with KVM_CAP_HALT_POLL */
		return READ_ONCE(kvm->max_halt_poll_ns);
	}
	return READ_ONCE(halt_poll_ns);
}

static void poll_time_grow(struct kvm_vcpu *vcpu, unsigned int limit)
{
	unsigned int factor = READ_ONCE(halt_poll_ns_grow);
	unsigned int old = vcpu->halt_poll_ns;
	u64 val;

	if (!factor)
		return;
	val = max_t(u64, (u64)old * factor, READ_ONCE(halt_poll_ns_grow_start));
	vcpu->halt_poll_ns = min_t(u64, val, limit);
	trace_kvm_halt_poll_ns(vcpu->vcpu_id, vcpu->halt_poll_ns, old);
}

static void poll_time_shrink(struct kvm_vcpu *vcpu)
{
	unsigned int divisor = READ_ONCE(halt_poll_ns_shrink);
	unsigned int old = vcpu->halt_poll_ns, val;

	val = divisor ? old / divisor : 0;
	if (val < READ_ONCE(halt_poll_ns_grow_start))
		val = 0;
	vcpu->halt_poll_ns = val;
	trace_kvm_halt_poll_ns(vcpu->vcpu_id, val, old);
}

static bool may_poll(struct kvm_vcpu *vcpu)
{
	return !kvm_arch_no_poll(vcpu) && vcpu->halt_poll_ns;
}

/**
 * kvm_vcpu_halt() - wait as a halted CPU does: poll, then sleep
 * @vcpu: the vCPU, loaded, without kvm->srcu
 */
void kvm_vcpu_halt(struct kvm_vcpu *vcpu)
{
	unsigned int limit = poll_limit(vcpu);
	u64 start = ktime_get_ns(), now = start, end;
	bool slept = false;

	vcpu->halt_poll_ns = min(vcpu->halt_poll_ns, limit);
	if (may_poll(vcpu)) {
		vcpu->stat.halt_attempted_poll++;
		end = start + vcpu->halt_poll_ns;
		do {
			if (wait_over(vcpu) > 0) {
				vcpu->stat.halt_successful_poll++;
				vcpu->stat.halt_poll_success_ns +=
					ktime_get_ns() - start;
				goto out;
			}
			cpu_relax();
			now = ktime_get_ns();
		} while (now < end && single_task_running() && !need_resched() &&
			 !signal_pending(current));
		vcpu->stat.halt_poll_fail_ns += now - start;
	}

	slept = kvm_vcpu_block(vcpu);
	vcpu->stat.halt_wait_ns += ktime_get_ns() - now;
out:
	now = ktime_get_ns();
	trace_kvm_vcpu_wakeup(now - start, slept);
	if (kvm_arch_no_poll(vcpu))
		return;
	if (!limit) {
		vcpu->halt_poll_ns = 0;
	} else if (slept) {
		/* would a longer poll have caught it, was it worth it at all? */
		if (now - start > limit) {
			if (vcpu->halt_poll_ns)
				poll_time_shrink(vcpu);
		} else if (vcpu->halt_poll_ns < limit) {
			poll_time_grow(vcpu, limit);
		}
	}
}

/* ---- directed yield ------------------------------------------------------- */

/**
 * kvm_vcpu_yield_to() - give this CPU to another vCPU's thread
 * @target: the vCPU
 *
 * Return: >0 when it was; 0 or -errno when not.
 */
int kvm_vcpu_yield_to(struct kvm_vcpu *target)
{
	struct task_struct *task = NULL;
	struct pid *pid;
	int r;

	rcu_read_lock();
	pid = rcu_dereference(target->pid);
	if (pid)
		task = get_pid_task(pid, PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return 0;
	r = yield_to(task, 1);
	put_task_struct(task);
	return r;
}

/*
 * A vCPU that spins itself is a poor target; but when all do, every second time
 * one may be chosen, since one of them holds the lock.
 */
static bool yield_eligible(struct kvm_vcpu *vcpu)
{
	bool eligible = !READ_ONCE(vcpu->spinning) || READ_ONCE(vcpu->yield_eligible);

	if (READ_ONCE(vcpu->spinning))
		WRITE_ONCE(vcpu->yield_eligible, !READ_ONCE(vcpu->yield_eligible));
	return eligible;
}

/**
 * kvm_vcpu_on_spin() - the guest waits for a lock: let a preempted vCPU run
 * @vcpu: the vCPU that spins
 * @in_kernel: only those that were preempted in kernel mode can hold the lock
 */
void kvm_vcpu_on_spin(struct kvm_vcpu *vcpu, bool in_kernel)
{
	struct kvm *kvm = vcpu->kvm;
	int n = atomic_read(&kvm->online_vcpus), tries = 3, i;
	int start = READ_ONCE(kvm->last_boosted_vcpu);

	WRITE_ONCE(vcpu->spinning, true);
	for (i = 1; i <= n && tries; i++) {
		struct kvm_vcpu *v = kvm_get_vcpu(kvm, (start + i) % n);
		int r;

		if (!v || v == vcpu || !READ_ONCE(v->ready) ||
		    rcuwait_active(&v->wait))
			continue;
		if (in_kernel && READ_ONCE(v->preempted) &&
		    !READ_ONCE(v->preempted_in_kernel))
			continue;
		if (!yield_eligible(v))
			continue;
		r = kvm_vcpu_yield_to(v);
		if (r > 0) {
			WRITE_ONCE(kvm->last_boosted_vcpu, v->vcpu_idx);
			break;
		}
		if (r < 0)
			tries--;
	}
	WRITE_ONCE(vcpu->spinning, false);
	WRITE_ONCE(vcpu->yield_eligible, false);
}

/* ---- signal mask ---------------------------------------------------------- */

/**
 * kvm_sigset_activate() - KVM_RUN begins: the mask of KVM_SET_SIGNAL_MASK holds
 * @vcpu: the vCPU
 */
void kvm_sigset_activate(struct kvm_vcpu *vcpu)
{
	if (!vcpu->sigset_active)
		return;
	/* where a caller of sigsuspend() keeps the old mask; nobody else looks there */
	sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
}

/**
 * kvm_sigset_deactivate() - KVM_RUN ends: the thread's own mask holds
 * @vcpu: the vCPU
 */
void kvm_sigset_deactivate(struct kvm_vcpu *vcpu)
{
	if (!vcpu->sigset_active)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

static void set_sigmask(struct kvm_vcpu *vcpu, const sigset_t *mask)
{
	vcpu->sigset_active = !!mask;
	if (!mask)
		return;
	vcpu->sigset = *mask;
	sigdelsetmask(&vcpu->sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
}

static long ioctl_set_sigmask(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_signal_mask __user *user = argp;
	struct kvm_signal_mask head;
	sigset_t mask;

	if (!argp) {
		set_sigmask(vcpu, NULL);
		return 0;
	}
	if (copy_from_user(&head, argp, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(mask))
		return -EINVAL;
	if (copy_from_user(&mask, user->sigset, sizeof(mask)))
		return -EFAULT;
	set_sigmask(vcpu, &mask);
	return 0;
}

/* ---- ioctls --------------------------------------------------------------- */

static int note_runner(struct kvm_vcpu *vcpu)
{
	struct pid *old = rcu_access_pointer(vcpu->pid), *new;

	if (old == task_pid(current))
		return 0;
	new = get_task_pid(current, PIDTYPE_PID);
	rcu_assign_pointer(vcpu->pid, new);
	if (old)
		synchronize_rcu();
	put_pid(old);
	return 0;
}

static long ioctl_run(struct kvm_vcpu *vcpu)
{
	int r;

	note_runner(vcpu);
	vcpu->wants_to_run = true;
	kvm_sigset_activate(vcpu);
	r = kvm_arch_vcpu_run(vcpu);
	kvm_sigset_deactivate(vcpu);
	vcpu->wants_to_run = false;
	trace_kvm_userspace_exit(vcpu->run->exit_reason, r);
	return r;
}

/* What could not be mapped any more is left in the argument; nothing mapped is an error. */
static long ioctl_pre_fault(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_pre_fault_memory range;
	u64 wanted;
	long r;

	if (copy_from_user(&range, argp, sizeof(range)))
		return -EFAULT;
	if (range.flags || !PAGE_ALIGNED(range.gpa) || !PAGE_ALIGNED(range.size) ||
	    range.gpa + range.size <= range.gpa)
		return -EINVAL;
	wanted = range.size;
	kvm_vcpu_load(vcpu);
	do {
		if (signal_pending(current)) {
			r = -EINTR;
			break;
		}
		kvm_vcpu_srcu_read_lock(vcpu);
		r = kvm_arch_vcpu_pre_fault(vcpu, range.gpa, range.size);
		kvm_vcpu_srcu_read_unlock(vcpu);
		if (r < 0)
			break;
		range.gpa += r;
		range.size -= r;
		cond_resched();
	} while (range.size);
	kvm_vcpu_put(vcpu);
	if (range.size != wanted)
		r = 0;
	return copy_to_user(argp, &range, sizeof(range)) ? -EFAULT : r;
}

static long vcpu_ioctl(struct file *filp, unsigned int ioctl, unsigned long arg)
{
	struct kvm_vcpu *vcpu = filp->private_data;
	long r;

	if (vcpu->kvm->mm != current->mm || READ_ONCE(vcpu->kvm->vm_dead))
		return -EIO;
	if (_IOC_TYPE(ioctl) != KVMIO)
		return -EINVAL;

	r = kvm_arch_vcpu_async_ioctl(vcpu, ioctl, arg);
	if (r != -ENOIOCTLCMD)
		return r;

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	switch (ioctl) {
	case KVM_RUN:
		r = arg ? -EINVAL : ioctl_run(vcpu);
		break;
	case KVM_SET_SIGNAL_MASK:
		r = ioctl_set_sigmask(vcpu, (void __user *)arg);
		break;
	case KVM_GET_STATS_FD:
		r = kvm_vcpu_stats_fd(vcpu);
		break;
	case KVM_PRE_FAULT_MEMORY:
		r = ioctl_pre_fault(vcpu, (void __user *)arg);
		break;
	default:
		r = kvm_arch_vcpu_ioctl(vcpu, ioctl, arg);
		if (r == -ENOTTY)
			r = -EINVAL;
		break;
	}
	mutex_unlock(&vcpu->mutex);
	return r;
}

#ifdef CONFIG_COMPAT
static long vcpu_compat_ioctl(struct file *filp, unsigned int ioctl,
			      unsigned long arg)
{
	struct kvm_vcpu *vcpu = filp->private_data;
	void __user *argp = compat_ptr(arg);
	struct kvm_signal_mask __user *user = argp;
	struct kvm_signal_mask head;
	sigset_t mask;

	if (ioctl != KVM_SET_SIGNAL_MASK)
		return vcpu_ioctl(filp, ioctl, (unsigned long)argp);

	if (vcpu->kvm->mm != current->mm || READ_ONCE(vcpu->kvm->vm_dead))
		return -EIO;
	if (argp) {
		if (copy_from_user(&head, argp, sizeof(head)))
			return -EFAULT;
		if (head.len != sizeof(compat_sigset_t))
			return -EINVAL;
		if (get_compat_sigset(&mask, (compat_sigset_t __user *)user->sigset))
			return -EFAULT;
	}
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	set_sigmask(vcpu, argp ? &mask : NULL);
	mutex_unlock(&vcpu->mutex);
	return 0;
}
#endif

/* The pages of the descriptor: kvm_run, port I/O data, the coalesced ring, the dirty ring. */
static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct kvm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	switch (vmf->pgoff) {
	case 0:
		page = virt_to_page(vcpu->run);
		break;
	case KVM_PIO_PAGE_OFFSET:
		page = virt_to_page(vcpu->arch.pio.data);
		break;
	case KVM_COALESCED_MMIO_PAGE_OFFSET:
		page = virt_to_page(vcpu->kvm->coalesced_ring);
		break;
	default:
		page = vmf->pgoff < KVM_DIRTY_RING_PAGE_OFFSET ? NULL :
		       kvm_dirty_ring_page(vcpu, vmf->pgoff - KVM_DIRTY_RING_PAGE_OFFSET);
		if (!page)
			return VM_FAULT_SIGBUS;
		break;
	}
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int vcpu_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct kvm_vcpu *vcpu = filp->private_data;
	unsigned long ring = vcpu->kvm->dirty_ring_bytes >> PAGE_SHIFT;

	/* a copy of the ring would be of no use */
	if (ring && vma->vm_pgoff < KVM_DIRTY_RING_PAGE_OFFSET + ring &&
	    vma->vm_pgoff + vma_pages(vma) > KVM_DIRTY_RING_PAGE_OFFSET &&
	    (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *filp)
{
	struct kvm_vcpu *vcpu = filp->private_data;

	/* NULL: creation failed, the file was never installed */
	if (vcpu)
		kvm_put_kvm(vcpu->kvm);
	return 0;
}

static struct file_operations vcpu_fops = {
	.release	= vcpu_release,
	.unlocked_ioctl	= vcpu_ioctl,
	.mmap		= vcpu_mmap,
	.llseek		= noop_llseek,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= vcpu_compat_ioctl,
#endif
};

/* ---- life cycle ----------------------------------------------------------- */

static void free_vcpu(struct kvm_vcpu *vcpu)
{
	put_pid(rcu_access_pointer(vcpu->pid));
	free_page((unsigned long)vcpu->run);
	kvm_dirty_ring_free(vcpu);
	kmem_cache_free(vcpu_cache, vcpu);
}

static struct kvm_vcpu *alloc_vcpu(struct kvm *kvm, int id)
{
	struct kvm_vcpu *vcpu = kmem_cache_zalloc(vcpu_cache, GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return NULL;
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run) {
		kmem_cache_free(vcpu_cache, vcpu);
		return NULL;
	}
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt_notifier, &preempt_ops);
	vcpu->kvm = kvm;
	vcpu->vcpu_id = id;
	vcpu->cpu = -1;
	vcpu->mode = KVM_OUTSIDE_GUEST;
	if (kvm_dirty_ring_create(vcpu)) {
		free_vcpu(vcpu);
		return NULL;
	}
	return vcpu;
}

/* Make the vCPU visible in the VM. kvm->lock held. */
static int publish_vcpu(struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	int r;

	if (kvm_get_vcpu_by_id(kvm, vcpu->vcpu_id))
		return -EEXIST;
	vcpu->vcpu_idx = atomic_read(&kvm->online_vcpus);
	r = xa_insert(&kvm->vcpu_array, vcpu->vcpu_idx, vcpu, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;
	/* the pointer before the count: pairs with kvm_get_vcpu() */
	smp_wmb();
	atomic_inc(&kvm->online_vcpus);
	return 0;
}

static struct kvm_vcpu *create_vcpu(struct kvm *kvm, int id)
{
	struct kvm_vcpu *vcpu;
	int r;

	mutex_lock(&kvm->lock);
	r = -EINVAL;
	if (kvm->created_vcpus < kvm->max_vcpus)
		r = kvm_arch_vcpu_precreate(kvm, id);
	if (!r)
		kvm->created_vcpus++;
	mutex_unlock(&kvm->lock);
	if (r)
		return ERR_PTR(r);

	r = -ENOMEM;
	vcpu = alloc_vcpu(kvm, id);
	if (!vcpu)
		goto out_count;
	r = kvm_arch_vcpu_create(vcpu);
	if (r)
		goto out_free;

	mutex_lock(&kvm->lock);
	r = publish_vcpu(kvm, vcpu);
	mutex_unlock(&kvm->lock);
	if (r)
		goto out_arch;
	return vcpu;

out_arch:
	kvm_arch_vcpu_destroy(vcpu);
out_free:
	free_vcpu(vcpu);
out_count:
	mutex_lock(&kvm->lock);
	kvm->created_vcpus--;
	mutex_unlock(&kvm->lock);
	return ERR_PTR(r);
}

/**
 * kvm_create_vcpu_fd() - KVM_CREATE_VCPU
 * @kvm: the VM
 * @id: vCPU id
 *
 * Return: a descriptor, or -errno: -EINVAL for an id beyond
 * KVM_CAP_MAX_VCPU_ID or one vCPU too many, -EEXIST, -ENOMEM, -EMFILE.
 */
long kvm_create_vcpu_fd(struct kvm *kvm, unsigned long id)
{
	struct kvm_vcpu *vcpu;
	struct file *file;
	int fd;

	if (id >= KVM_OOT_MAX_VCPU_IDS)
		return -EINVAL;

	/*
	 * All that can fail comes before the vCPU is published: it cannot be
	 * taken back. The file gets its vCPU then; it is not installed yet.
	 */
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	kvm_get_kvm(kvm);
	file = kvm_make_file("kvm-vcpu", &vcpu_fops, NULL, O_RDWR, 0);
	if (IS_ERR(file)) {
		vcpu = ERR_CAST(file);
		goto out;
	}
	vcpu = create_vcpu(kvm, id);
	if (IS_ERR(vcpu)) {
		fput(file);
		goto out;
	}
	file->private_data = vcpu;

	mutex_lock(&vcpu->mutex);
	kvm_arch_vcpu_postcreate(vcpu);
	kvm_stats_create_vcpu(vcpu);
	mutex_unlock(&vcpu->mutex);
	fd_install(fd, file);
	return fd;
out:
	put_unused_fd(fd);
	kvm_put_kvm(kvm);
	return PTR_ERR(vcpu);
}

/**
 * kvm_destroy_vcpus() - free all vCPUs of a VM without users
 * @kvm: the VM
 */
void kvm_destroy_vcpus(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	xa_for_each(&kvm->vcpu_array, i, vcpu) {
		xa_erase(&kvm->vcpu_array, i);
		kvm_arch_vcpu_destroy(vcpu);
		free_vcpu(vcpu);
	}
	atomic_set(&kvm->online_vcpus, 0);
}

/**
 * kvm_vcpu_module_init() - allocate what all vCPUs share
 *
 * Return: 0 or -ENOMEM.
 */
int kvm_vcpu_module_init(void)
{
	int cpu;

	/* registers, the PV clock and MMIO data are copied to and from user memory */
	vcpu_cache = kmem_cache_create_usercopy("kvm_vcpu", sizeof(struct kvm_vcpu),
						__alignof__(struct kvm_vcpu),
						SLAB_ACCOUNT,
						offsetof(struct kvm_vcpu, mmio_data),
						sizeof(struct kvm_vcpu) -
						offsetof(struct kvm_vcpu, mmio_data),
						NULL);
	if (!vcpu_cache)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		if (!zalloc_cpumask_var_node(per_cpu_ptr(&kick_mask, cpu),
					     GFP_KERNEL, cpu_to_node(cpu))) {
			kvm_vcpu_module_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * kvm_vcpu_module_exit() - free it
 */
void kvm_vcpu_module_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_cpumask_var(*per_cpu_ptr(&kick_mask, cpu));
	kmem_cache_destroy(vcpu_cache);
}
