/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is true for a VM and a vCPU on any CPU: the objects behind the VM and
 * vCPU file descriptors and the services that module/ offers to arch/.
 *
 * Every shared field names the lock that guards it:
 *	(c)	constant after creation
 *	(v)	vcpu->mutex, that is: whoever runs the vCPU or an ioctl on it
 *	(l)	kvm->lock
 *	(s)	kvm->slots_lock for writing, kvm->srcu for reading
 *	(i)	kvm->irq_lock for writing, kvm->irq_srcu for reading
 *	(m)	kvm->mmu_lock
 *	(a)	atomic, or one word accessed with READ_ONCE()/WRITE_ONCE()
 * docs/locking.md has the order.
 */
#ifndef KVM_OOT_KVM_HOST_H
#define KVM_OOT_KVM_HOST_H

#include <linux/export.h>
#include <linux/types.h>
#include <linux/kvm_types.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/swait.h>
#include <linux/xarray.h>
#include <linux/interval_tree.h>
#include <linux/rbtree.h>
#include <linux/wait.h>

#include "include/uapi/linux/kvm_oot.h"
#include "module/compat/compat.h"
#include "module/stats.h"

/* What only the unit tests (kvm-kunit.ko) need from kvm.ko */
#if IS_ENABLED(CONFIG_KUNIT)
#define EXPORT_SYMBOL_FOR_KUNIT(sym)	EXPORT_SYMBOL_GPL(sym)
#else
#define EXPORT_SYMBOL_FOR_KUNIT(sym)
#endif

#define KVM_OOT_ADDRESS_SPACES	2	/* the second is what vCPUs in SMM see */
#define KVM_OOT_MEM_SLOTS	32764	/* user slots; leaves room for internal ones below 32767 */
#define KVM_OOT_PRIVATE_SLOTS	3	/* TSS, identity map, APIC access page */
#define KVM_OOT_MAX_VCPUS	1024
#define KVM_OOT_MAX_VCPU_IDS	4096
#define KVM_OOT_MAX_IRQ_ROUTES	4096
#define KVM_OOT_IRQCHIP_PINS	24
#define KVM_OOT_NR_IRQCHIPS	3	/* PIC master, PIC slave, IOAPIC */

#define KVM_OOT_MMIO_FRAGMENTS	4

#define KVM_PIO_PAGE_OFFSET		1
#define KVM_COALESCED_MMIO_PAGE_OFFSET	2
#define KVM_VCPU_MMAP_PAGES		3
#define KVM_DIRTY_RING_PAGE_OFFSET	64

#define KVM_HVA_ERR_BAD		((unsigned long)-1)
#define KVM_HVA_ERR_RO_BAD	((unsigned long)-2)

static inline bool kvm_is_error_hva(unsigned long hva)
{
	return hva >= (unsigned long)-2;
}

/* ---- memory slots (module/memslot.c) ------------------------------------ */

/**
 * struct kvm_memory_slot - a range of guest physical memory
 * @gfn_node: (s) in kvm_memslots.gfn_tree, ordered by @base_gfn
 * @hva_node: (s) in kvm_memslots.hva_tree, by the host addresses covered
 * @id_node: (s) in the tree by @id
 * @base_gfn: (c) first guest frame
 * @npages: (c) length in 4 KiB frames
 * @userspace_addr: (c) host address of the first frame
 * @flags: (c) KVM_MEM_* as given by user space
 * @id: (c) slot number, without the address space
 * @as_id: (c) address space
 * @dirty_bitmap: (a) one bit per frame; two copies back to back (the second is
 *	the scratch copy for KVM_GET_DIRTY_LOG); NULL when logging is off
 * @ring_bitmap: (a) frames that are in a dirty ring; NULL unless logged in a VM with rings
 * @gmem: (s) where private pages come from; NULL: nowhere, or the file was closed
 * @gmem_only: (c) all pages come from there, since user space can map that file
 * @gmem_node: (c) which pages of it, in kvm_gmem.slots
 * @arch: owned by arch/x86/mmu
 *
 * A slot is immutable once published; changes replace the slot. There are
 * two nodes each since the inactive copy of the slot set is being changed
 * while the active one is read (see module/memslot.c).
 */
struct kvm_memory_slot {
	struct rb_node gfn_node[2];
	struct interval_tree_node hva_node[2];
	struct rb_node id_node[2];
	gfn_t base_gfn;
	unsigned long npages;
	unsigned long userspace_addr;
	u32 flags;
	u16 id;
	u16 as_id;
	unsigned long *dirty_bitmap;
	unsigned long *ring_bitmap;
	struct kvm_gmem *gmem;
	bool gmem_only;
	struct interval_tree_node gmem_node;
	void *arch;
};

struct kvm_memslots;	/* module/memslot.h */
struct kvm_gmem;	/* module/guest_memfd.c */

/**
 * struct kvm_hva_cache - remembered translation of a guest physical range
 * @generation: slot generation the rest was computed for
 * @gpa: guest physical address
 * @hva: host address, or an error hva when the range spans slots
 * @len: bytes
 * @slot: slot that holds the range, or NULL
 */
struct kvm_hva_cache {
	u64 generation;
	gpa_t gpa;
	unsigned long hva;
	unsigned long len;
	struct kvm_memory_slot *slot;
};

/* ---- I/O buses (module/iobus.c) ------------------------------------------ */

enum kvm_bus_id {
	KVM_BUS_MMIO,
	KVM_BUS_PIO,
	KVM_BUS_VIRTIO_CCW,	/* numbering of the ABI; unused on x86 */
	KVM_BUS_FAST_MMIO,
	KVM_BUS_COUNT
};

struct kvm_io_device;

/**
 * struct kvm_io_device_ops - what a device on an I/O bus answers to
 * @read: 0 when handled, -EOPNOTSUPP when it is not this device's address
 * @write: likewise
 * @destructor: called once, when the device leaves its last bus
 * @is_ioeventfd: does not count against the limit of devices
 *
 * Called with kvm->srcu held for reading. @len is 0 for a fast MMIO event.
 */
struct kvm_io_device_ops {
	int (*read)(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		    gpa_t addr, int len, void *val);
	int (*write)(struct kvm_vcpu *vcpu, struct kvm_io_device *dev,
		     gpa_t addr, int len, const void *val);
	void (*destructor)(struct kvm_io_device *dev);
	bool is_ioeventfd;
};

struct kvm_io_device {
	const struct kvm_io_device_ops *ops;
};

struct kvm_io_range {
	gpa_t addr;
	int len;	/* 0: any length at exactly @addr */
	struct kvm_io_device *dev;	/* (a) NULL: removed */
	gpa_t reach;	/* last address covered by this or any earlier range */
};

struct kvm_io_bus {
	int dev_count;
	int ioeventfd_count;
	struct rcu_head rcu;
	struct kvm_io_range range[];
};

int kvm_io_bus_write(struct kvm_vcpu *vcpu, enum kvm_bus_id bus, gpa_t addr,
		     int len, const void *val);
int kvm_io_bus_read(struct kvm_vcpu *vcpu, enum kvm_bus_id bus, gpa_t addr,
		    int len, void *val);
/* (s) held for both */
int kvm_io_bus_register_dev(struct kvm *kvm, enum kvm_bus_id bus, gpa_t addr,
			    int len, struct kvm_io_device *dev);
int kvm_io_bus_unregister_dev(struct kvm *kvm, enum kvm_bus_id bus,
			      struct kvm_io_device *dev);
void kvm_io_bus_init(struct kvm *kvm);
void kvm_io_bus_destroy(struct kvm *kvm);

/* ---- GSI routing (module/routing.c) -------------------------------------- */

#define KVM_USERSPACE_IRQ_SOURCE_ID		0
#define KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID	1
#define KVM_PIT_IRQ_SOURCE_ID			2
#define KVM_NR_IRQ_SOURCE_IDS			3

/**
 * struct kvm_route - one parsed entry of the GSI routing table
 * @gsi: global system interrupt
 * @type: KVM_IRQ_ROUTING_IRQCHIP or KVM_IRQ_ROUTING_MSI
 * @set: delivers; @source is KVM_*_IRQ_SOURCE_ID, @level the line level;
 *	returns <0 masked/ignored, 0 coalesced, >0 vCPUs it was delivered to
 * @irqchip: chip and pin, for KVM_IRQ_ROUTING_IRQCHIP
 * @msi: message, for KVM_IRQ_ROUTING_MSI
 * @link: next entry of the same GSI
 */
struct kvm_route {
	u32 gsi;
	u32 type;
	int (*set)(struct kvm_route *route, struct kvm *kvm, int source,
		   int level, bool line_status);
	union {
		struct {
			unsigned int irqchip;
			unsigned int pin;
		} irqchip;
		struct {
			u32 address_lo;
			u32 address_hi;
			u32 data;
			u32 flags;
			u32 devid;
		} msi;
	};
	struct hlist_node link;
};

/**
 * struct kvm_routing_table - the table; replaced whole (i)
 * @chip: GSI of each chip pin, -1 when not routed
 * @nr_gsis: one more than the largest GSI
 * @entries: all parsed entries
 * @nr_entries: how many
 * @map: list head per GSI
 */
struct kvm_routing_table {
	int chip[KVM_OOT_NR_IRQCHIPS][KVM_OOT_IRQCHIP_PINS];
	u32 nr_gsis;
	u32 nr_entries;
	struct kvm_route *entries;
	struct hlist_head map[];
};

/**
 * struct kvm_bypass - interrupt of a device that may come to a vCPU by itself
 * @host_irq: the host's number of it
 * @vcpu: where it comes; NULL: to the host, which signals an eventfd
 * @vector: as which
 */
struct kvm_bypass {
	int host_irq;
	struct kvm_vcpu *vcpu;
	u8 vector;
};

/* Told when the guest ends (EOIs) the interrupt of an irqchip pin's GSI. */
struct kvm_irq_ack_notifier {
	struct hlist_node link;		/* (i) */
	u32 gsi;
	void (*irq_acked)(struct kvm_irq_ack_notifier *kian);
};

int kvm_set_irq(struct kvm *kvm, int source, u32 gsi, int level,
		bool line_status);
int kvm_pulse_irq(struct kvm *kvm, int source, u32 gsi);
int kvm_set_irq_routing(struct kvm *kvm,
			const struct kvm_irq_routing_entry *entries,
			unsigned int nr, unsigned int flags);
void kvm_free_irq_routing(struct kvm *kvm);
/* calls under irq_srcu; both return the number of entries written to @out */
int kvm_irq_map_gsi(struct kvm *kvm, struct kvm_route *out, u32 gsi);
int kvm_irq_map_chip_pin(struct kvm *kvm, unsigned int irqchip,
			 unsigned int pin);
#define KVM_ROUTES_PER_GSI	4
bool kvm_irq_has_notifier(struct kvm *kvm, unsigned int irqchip,
			  unsigned int pin);
void kvm_notify_acked_gsi(struct kvm *kvm, u32 gsi);
void kvm_notify_acked_irq(struct kvm *kvm, unsigned int irqchip,
			  unsigned int pin);
void kvm_register_irq_ack_notifier(struct kvm *kvm,
				   struct kvm_irq_ack_notifier *kian);
void kvm_unregister_irq_ack_notifier(struct kvm *kvm,
				     struct kvm_irq_ack_notifier *kian);
int kvm_send_userspace_msi(struct kvm *kvm, struct kvm_msi *msi);

/* irqfd and ioeventfd (module/eventfd.c) */
void kvm_eventfd_init(struct kvm *kvm);
int kvm_irqfd(struct kvm *kvm, struct kvm_irqfd *args);
void kvm_irqfd_release(struct kvm *kvm);
void kvm_irqfd_routing_update(struct kvm *kvm);	/* irq_lock held */
int kvm_ioeventfd(struct kvm *kvm, struct kvm_ioeventfd *args);
int kvm_eventfd_module_init(void);
void kvm_eventfd_module_exit(void);

/* coalesced I/O (module/coalesced.c) */
int kvm_coalesced_io_init(struct kvm *kvm);
void kvm_coalesced_io_free(struct kvm *kvm);
int kvm_coalesced_io_register(struct kvm *kvm,
			      struct kvm_coalesced_mmio_zone *zone);
int kvm_coalesced_io_unregister(struct kvm *kvm,
				struct kvm_coalesced_mmio_zone *zone);

/* ---- vCPU ---------------------------------------------------------------- */

/* Requests: asked of a vCPU by anyone, carried out by it before it enters. */
enum kvm_request {
	KVM_REQ_TLB_FLUSH,		/* whole TLB of this vCPU */
	KVM_REQ_UNBLOCK,		/* leave the halted wait and look again */
	KVM_REQ_VM_DEAD,		/* end with -EIO */
	KVM_REQ_MMU_RELOAD,		/* drop and rebuild the root */
	KVM_REQ_EVENT,			/* something injectable may be pending */
	KVM_REQ_NMI,			/* arch.nmi_queued changed */
	KVM_REQ_SMI,			/* one was sent */
	KVM_REQ_TRIPLE_FAULT,
	KVM_REQ_CLOCK_UPDATE,		/* rewrite the pvclock page */
	KVM_REQ_MASTERCLOCK_UPDATE,	/* recompute the VM's clock base */
	KVM_REQ_STEAL_UPDATE,
	KVM_REQ_SCAN_IOAPIC,		/* EOI-exit bitmap is stale */
	KVM_REQ_IOAPIC_EOI_EXIT,
	KVM_REQ_REPORT_TPR,		/* arch.tpr_report is to be told to user space */
	KVM_REQ_TLB_FLUSH_GUEST,	/* guest-visible (non-global included) flush */
	KVM_REQ_APF_READY,		/* a page has come, see arch/x86/async_pf.c */
	KVM_REQ_MSR_FILTER_CHANGED,
	KVM_REQ_PMU,			/* counters are stale, or have overflowed: arch/x86/pmu.c */
	KVM_REQ_DIRTY_RING,		/* it is full, or there is something to put into it */
	KVM_REQ_NESTED_PAGES,		/* what a nested guest needs of L1's memory is to be read */
	KVM_REQ_COUNT
};

enum kvm_vcpu_mode {
	KVM_OUTSIDE_GUEST,
	KVM_IN_GUEST,
	KVM_EXITING_GUEST,
};

/**
 * struct kvm_dirty_ring - the pages that a vCPU dirtied (module/dirty_ring.c)
 * @gfns: (c) shared with user space; NULL: the VM has no rings
 * @size: (c) entries, a power of two
 * @pushed: entries that were ever put in; changed by the vCPU's thread
 * @reset: (s) how many of them user space has given back
 */
struct kvm_dirty_ring {
	struct kvm_dirty_gfn *gfns;
	u32 size;
	u32 pushed;
	u32 reset;
};

struct kvm_vcpu_arch;
struct kvm_arch;

#include "arch/x86/kvm_x86_types.h"

struct kvm_vcpu {
	struct kvm *kvm;		/* (c) */
	struct preempt_notifier preempt_notifier;
	int cpu;			/* (a) host CPU it is loaded on, or -1 */
	int vcpu_id;			/* (c) */
	int vcpu_idx;			/* (c) index in kvm->vcpu_array */
	int mode;			/* (a) enum kvm_vcpu_mode */
	int srcu_idx;			/* (v) from kvm_vcpu_srcu_read_lock() */
	bool srcu_held;			/* (v) */
	u64 requests;			/* (a) bits of enum kvm_request */
	struct mutex mutex;
	struct pid __rcu *pid;		/* (a) thread that runs it */
	struct kvm_run *run;		/* (c) shared page: read once, check, use */
	struct kvm_dirty_ring dirty_ring;
	struct rcuwait wait;
	bool wants_to_run;		/* (v) inside KVM_RUN */
	bool scheduled_out;		/* (v) preempted while loaded */
	bool preempted;			/* (a) */
	bool preempted_in_kernel;		/* valid while @preempted */
	bool ready;			/* (a) woken, wants a CPU (directed yield) */
	bool spinning;			/* (a) in kvm_vcpu_on_spin() */
	bool yield_eligible;		/* (a) as a target although it spins; alternates */
	int sigset_active;		/* (v) */
	sigset_t sigset;		/* (v) */
	unsigned int halt_poll_ns;	/* (v) */

	/* MMIO in flight to user space, in fragments of at most 8 bytes (v) */
	bool mmio_needed;
	bool mmio_read_completed;
	bool mmio_is_write;
	int mmio_cur_fragment;
	int mmio_nr_fragments;
	struct kvm_mmio_fragment {
		gpa_t gpa;
		unsigned int len;
		unsigned int offset;	/* into mmio_data */
	} mmio_fragments[KVM_OOT_MMIO_FRAGMENTS];
	u8 mmio_data[64];

	bool stat_file_ready;
	struct kvm_vcpu_stat stat;
	struct dentry *debugfs;
	char stats_id[48];
	struct kvm_vcpu_arch arch;
};

/* ---- VM -------------------------------------------------------------------- */

/**
 * struct kvm_invalidation - what faults must not map, since it is about to change
 * @in_progress: how many changes there are
 * @start: first address or frame of any of them
 * @end: the one after the last
 */
struct kvm_invalidation {
	long in_progress;
	unsigned long start;
	unsigned long end;
};

struct kvm {
	rwlock_t mmu_lock;			/* (m) */
	struct mutex lock;			/* (l) */
	struct mutex slots_lock;		/* (s) for writing */
	struct mutex irq_lock;			/* (i) for writing */
	struct srcu_struct srcu;
	struct srcu_struct irq_srcu;
	refcount_t users;
	struct mm_struct *mm;			/* (c) owner; ioctls from another mm get -EIO */
	struct list_head vm_list;		/* kvm_lock in module/main.c */

	struct kvm_memslots __rcu *memslots[KVM_OOT_ADDRESS_SPACES];	/* (s) */
	struct kvm_memslots *memslot_sets[KVM_OOT_ADDRESS_SPACES][2];	/* (s) both copies */
	unsigned long nr_memslot_pages;		/* (s) */
	struct mmu_notifier mmu_notifier;
	unsigned long mmu_invalidate_seq;	/* (m) of either kind */
	struct kvm_invalidation hva_invalidation;	/* (m) of the host's pages */
	struct kvm_invalidation gfn_invalidation;	/* (m) of attributes and private pages */
	struct maple_tree mem_attributes;	/* (s) for writing, RCU for reading; by frame */
	u64 manual_dirty_log_protect;		/* (l) KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 flags */
	u32 dirty_ring_bytes;			/* (l) of each vCPU's ring; 0: none */
	bool dirty_ring_with_bitmap;		/* (s) user space reads the bitmaps, too */
	bool dirty_untold;			/* (a) there may be bits for a ring in bitmaps */

	struct xarray vcpu_array;		/* (l) for writing; by vcpu_idx */
	atomic_t online_vcpus;			/* (a) */
	unsigned int created_vcpus;		/* (l) */
	unsigned int max_vcpus;			/* (l) */

	struct kvm_io_bus __rcu *buses[KVM_BUS_COUNT];	/* (s) */

	struct {
		spinlock_t lock;			/* guards items */
		struct list_head items;			/* irqfds.lock */
		struct list_head resampler_list;	/* irqfds.resampler_lock */
		struct mutex resampler_lock;
		struct mutex ioctl_lock;		/* one KVM_IRQFD at a time */
		unsigned int nr_producers;		/* irqfds.lock, READ_ONCE elsewhere */
	} irqfds;
	struct list_head devices;		/* (l) made by KVM_CREATE_DEVICE; module/device.c */
	struct list_head ioeventfds;		/* (s) */
	struct kvm_routing_table __rcu *irq_routing;	/* (i) */
	struct hlist_head irq_ack_notifiers;	/* (i) */

	struct kvm_coalesced_mmio_ring *coalesced_ring;	/* (c) shared page */
	spinlock_t ring_lock;			/* guards the ring's indices */
	struct list_head coalesced_zones;	/* (s) */

	unsigned int max_halt_poll_ns;		/* (a) */
	bool override_halt_poll_ns;		/* (a) */
	bool vm_bugged;				/* (a) internal contradiction: every ioctl -EIO */
	bool vm_dead;				/* (a) */

	unsigned int last_boosted_vcpu;	/* (a) where kvm_vcpu_on_spin() stopped */

	struct kvm_vm_stat stat;
	struct dentry *debugfs;
	void *debugfs_totals;		/* module/stats.c */
	char stats_id[48];
	struct kvm_arch arch;
};

#define kvm_for_each_vcpu(idx, vcpup, kvm) \
	xa_for_each_range(&(kvm)->vcpu_array, idx, vcpup, 0, \
			  (atomic_read(&(kvm)->online_vcpus) ? \
			   atomic_read(&(kvm)->online_vcpus) - 1 : 0))

static inline struct kvm_vcpu *kvm_get_vcpu(struct kvm *kvm, int i)
{
	if (i < 0 || i >= atomic_read(&kvm->online_vcpus))
		return NULL;
	smp_rmb();	/* pairs with the publication in KVM_CREATE_VCPU */
	return xa_load(&kvm->vcpu_array, i);
}

struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, int id);

void kvm_get_kvm(struct kvm *kvm);
bool kvm_get_kvm_safe(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);

/**
 * kvm_vm_bugged() - mark a VM dead after an internal contradiction
 * @kvm: the VM; every later ioctl on it returns -EIO, the host goes on
 */
void kvm_vm_bugged(struct kvm *kvm);

/* requests and kicks (module/vcpu.c) */
static inline void kvm_make_request(enum kvm_request req, struct kvm_vcpu *vcpu)
{
	/* what the request is about must be visible before the request is */
	smp_wmb();
	set_bit(req, (unsigned long *)&vcpu->requests);
}

static inline bool kvm_request_pending(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests);
}

static inline bool kvm_test_request(enum kvm_request req, struct kvm_vcpu *vcpu)
{
	return test_bit(req, (unsigned long *)&vcpu->requests);
}

static inline void kvm_clear_request(enum kvm_request req, struct kvm_vcpu *vcpu)
{
	clear_bit(req, (unsigned long *)&vcpu->requests);
}

static inline bool kvm_check_request(enum kvm_request req, struct kvm_vcpu *vcpu)
{
	if (!kvm_test_request(req, vcpu))
		return false;
	kvm_clear_request(req, vcpu);
	smp_mb__after_atomic();	/* pairs with kvm_make_request() */
	return true;
}

void kvm_vcpu_kick(struct kvm_vcpu *vcpu);	/* wake it, and IPI it out of guest mode */
bool kvm_vcpu_wake_up(struct kvm_vcpu *vcpu);
/* ask every vCPU and make each that is in guest mode leave it (waits for that) */
bool kvm_make_all_cpus_request(struct kvm *kvm, enum kvm_request req);
void kvm_flush_remote_tlbs(struct kvm *kvm);
/* arch calls this for a halted vCPU; polls, then sleeps until kvm_arch_vcpu_runnable() or signal */
void kvm_vcpu_halt(struct kvm_vcpu *vcpu);
bool kvm_vcpu_block(struct kvm_vcpu *vcpu);
void kvm_vcpu_on_spin(struct kvm_vcpu *vcpu, bool in_kernel);
/* give this CPU to the thread of @target: >0 when it was */
int kvm_vcpu_yield_to(struct kvm_vcpu *target);
void kvm_sigset_activate(struct kvm_vcpu *vcpu);	/* around KVM_RUN, by module/vcpu.c */
void kvm_sigset_deactivate(struct kvm_vcpu *vcpu);
void kvm_vcpu_load(struct kvm_vcpu *vcpu);
void kvm_vcpu_put(struct kvm_vcpu *vcpu);
struct kvm_vcpu *kvm_get_running_vcpu(void);

static inline void kvm_vcpu_srcu_read_lock(struct kvm_vcpu *vcpu)
{
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	__release(&vcpu->kvm->srcu);	/* sparse: the section outlives the function */
}

static inline void kvm_vcpu_srcu_read_unlock(struct kvm_vcpu *vcpu)
{
	__acquire(&vcpu->kvm->srcu);
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
}

/* ---- guest memory (module/memslot.c, module/guest_mem.c) ------------------- */
/* All of these want kvm->srcu held for reading (or slots_lock). */

/* how many address spaces user space can give memory to */
static inline int kvm_address_spaces(struct kvm *kvm)
{
	/* attributes of private memory are not by address space */
	return kvm->arch.has_private_mem ? 1 : KVM_OOT_ADDRESS_SPACES;
}

/* which of them the vCPU is in; (v) */
static inline int kvm_vcpu_as_id(const struct kvm_vcpu *vcpu)
{
	return vcpu->arch.smm;
}

/* functions that get a VM work on the first address space, those with a vCPU on its own */
struct kvm_memory_slot *kvm_gfn_to_memslot(struct kvm *kvm, gfn_t gfn);
struct kvm_memory_slot *kvm_vcpu_gfn_to_memslot(struct kvm_vcpu *vcpu, gfn_t gfn);
u64 kvm_memslots_generation(struct kvm *kvm, int as_id);
bool kvm_vcpu_is_visible_gfn(struct kvm_vcpu *vcpu, gfn_t gfn);
unsigned long kvm_gfn_to_hva(struct kvm *kvm, int as_id, gfn_t gfn);	/* for reading */
int kvm_read_guest(struct kvm *kvm, gpa_t gpa, void *data, unsigned long len);
int kvm_write_guest(struct kvm *kvm, gpa_t gpa, const void *data,
		    unsigned long len);
int kvm_vcpu_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len);
int kvm_vcpu_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data,
			 unsigned long len);
int kvm_clear_guest(struct kvm *kvm, gpa_t gpa, unsigned long len);
int kvm_hva_cache_init(struct kvm *kvm, struct kvm_hva_cache *c, gpa_t gpa,
		       unsigned long len);
int kvm_read_guest_cached(struct kvm *kvm, struct kvm_hva_cache *c, void *data,
			  unsigned int offset, unsigned long len);
int kvm_write_guest_cached(struct kvm *kvm, struct kvm_hva_cache *c,
			   const void *data, unsigned int offset,
			   unsigned long len);
/* atomic compare and exchange of guest memory, 1,2,4,8 bytes (16 with CX16);
 * naturally aligned. 0: exchanged, 1: memory differed, <0: -EFAULT
 */
int kvm_cmpxchg_guest(struct kvm *kvm, gpa_t gpa, const void *old,
		      const void *new, unsigned int len);
int kvm_vcpu_cmpxchg_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *old,
			   const void *new, unsigned int len);
void kvm_mark_page_dirty_in_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
				 gfn_t gfn);
void kvm_vcpu_mark_page_dirty(struct kvm_vcpu *vcpu, gfn_t gfn);
int kvm_memslots_create(struct kvm *kvm);	/* VM creation; also the MMU notifier */
void kvm_memslots_destroy(struct kvm *kvm);
int kvm_mmu_notifier_init(struct kvm *kvm);
void kvm_mmu_notifier_exit(struct kvm *kvm);
void kvm_invalidate_gfns_begin(struct kvm *kvm, gfn_t start, gfn_t end);
void kvm_invalidate_gfns_end(struct kvm *kvm);

/* is a change of any frame of the range on its way; mmu_lock held */
static inline bool kvm_gfns_are_changing(struct kvm *kvm, gfn_t start, gfn_t end)
{
	const struct kvm_invalidation *inv = &kvm->gfn_invalidation;

	return inv->in_progress && start < inv->end && end > inv->start;
}

int kvm_set_memory_region(struct kvm *kvm,
			  const struct kvm_userspace_memory_region2 *mem);
/* internal slot of @size bytes at @gpa with anonymous memory, in all address spaces; size 0
 * deletes. (s) held
 */
int kvm_set_private_slot(struct kvm *kvm, int id, gpa_t gpa, u64 size);
int kvm_get_dirty_log(struct kvm *kvm, struct kvm_dirty_log *log);
int kvm_clear_dirty_log(struct kvm *kvm, struct kvm_clear_dirty_log *log);

/* private memory (module/mem_attributes.c, module/guest_memfd.c) */
static inline bool kvm_has_private_mem(struct kvm *kvm)
{
	return kvm->arch.has_private_mem;
}

u64 kvm_supported_mem_attributes(struct kvm *kvm);
int kvm_set_mem_attributes(struct kvm *kvm, const struct kvm_memory_attributes *attrs);
bool kvm_gfns_have_attributes(struct kvm *kvm, gfn_t start, gfn_t end, u64 attrs);
bool kvm_gfn_is_private(struct kvm *kvm, gfn_t gfn);
long kvm_gmem_create(struct kvm *kvm, const struct kvm_create_guest_memfd *args);
int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot, unsigned int fd, u64 offset);
void kvm_gmem_unbind(struct kvm_memory_slot *slot);
int kvm_gmem_get_page(const struct kvm_memory_slot *slot, gfn_t gfn, struct page **page);

/* the dirty ring (module/dirty_ring.c) */
u32 kvm_dirty_ring_max_bytes(void);
int kvm_enable_dirty_ring(struct kvm *kvm, const struct kvm_enable_cap *cap);
int kvm_enable_dirty_ring_bitmap(struct kvm *kvm, const struct kvm_enable_cap *cap);
int kvm_dirty_ring_create(struct kvm_vcpu *vcpu);
void kvm_dirty_ring_free(struct kvm_vcpu *vcpu);
struct page *kvm_dirty_ring_page(struct kvm_vcpu *vcpu, unsigned long offset);
void kvm_dirty_ring_mark(struct kvm *kvm, struct kvm_memory_slot *slot, u64 offset);
bool kvm_dirty_ring_has_room(struct kvm_vcpu *vcpu);
int kvm_reset_dirty_rings(struct kvm *kvm);

/* ---- what arch/ provides --------------------------------------------------- */

int kvm_x86_module_init(void);	/* kvm.ko is loaded; before any backend */
void kvm_x86_module_exit(void);
int kvm_arch_check_cpu(void);		/* on the CPU, IRQs off */
int kvm_arch_enable_cpu(void);		/* on the CPU, IRQs off */
void kvm_arch_disable_cpu(void);
int kvm_arch_dev_check_extension(struct kvm *kvm, long ext);	/* kvm may be NULL */
long kvm_arch_dev_ioctl(struct file *filp, unsigned int ioctl,
			unsigned long arg);	/* -ENOTTY when unknown */
int kvm_arch_init_vm(struct kvm *kvm, unsigned long type);
void kvm_arch_pre_destroy_vm(struct kvm *kvm);	/* before the slots and buses go */
void kvm_arch_destroy_vm(struct kvm *kvm);	/* after the vCPUs are gone */
long kvm_arch_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg);
int kvm_arch_vm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap);
int kvm_arch_vcpu_precreate(struct kvm *kvm, unsigned int id);	/* kvm->lock held */
int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu);
void kvm_arch_vcpu_postcreate(struct kvm_vcpu *vcpu);
void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu);
void kvm_arch_vcpu_load(struct kvm_vcpu *vcpu, int cpu);	/* preemption off */
void kvm_arch_vcpu_put(struct kvm_vcpu *vcpu);
long kvm_arch_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 unsigned long arg);	/* vcpu->mutex held, loads itself */
/* ioctls that must work while the vCPU runs (no vcpu->mutex); -ENOIOCTLCMD when not one of them */
long kvm_arch_vcpu_async_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			       unsigned long arg);
int kvm_arch_vcpu_run(struct kvm_vcpu *vcpu);	/* KVM_RUN; vCPU mutex held, not loaded */
bool kvm_arch_vcpu_runnable(struct kvm_vcpu *vcpu);
bool kvm_arch_vcpu_has_work(struct kvm_vcpu *vcpu);	/* it need not run for that */
bool kvm_arch_vcpu_in_kernel(struct kvm_vcpu *vcpu);
bool kvm_arch_no_poll(struct kvm_vcpu *vcpu);
int kvm_arch_vcpu_pending_timer(struct kvm_vcpu *vcpu);
void kvm_arch_vcpu_blocking(struct kvm_vcpu *vcpu);
void kvm_arch_vcpu_unblocking(struct kvm_vcpu *vcpu);
void kvm_arch_sync_clocks_suspend(struct kvm *kvm);
void kvm_arch_resume(struct list_head *vms);
bool kvm_arch_irqchip_in_kernel(struct kvm *kvm);	/* full or split */
bool kvm_arch_irqfd_allowed(struct kvm *kvm, struct kvm_irqfd *args);
/* fill @e->set etc. from a user entry; -EINVAL for a bad one */
int kvm_arch_set_routing_entry(struct kvm *kvm, struct kvm_route *e,
			       const struct kvm_irq_routing_entry *ue);
bool kvm_arch_can_set_irq_routing(struct kvm *kvm);
void kvm_arch_post_irq_routing_update(struct kvm *kvm);
/* deliver without sleeping, -EWOULDBLOCK when that may not be done */
int kvm_arch_set_irq_inatomic(struct kvm_route *e, struct kvm *kvm, int source,
			      int level, bool line_status);
bool kvm_arch_can_bypass(void);
void kvm_arch_bypass_update(struct kvm *kvm, struct kvm_bypass *b, const struct kvm_route *route);
int kvm_set_msi(struct kvm_route *e, struct kvm *kvm, int source, int level,
		bool line_status);

/* a device may, or can no longer, write around the CPUs' caches */
void kvm_arch_set_noncoherent_dma(struct kvm *kvm, bool on);

/* map guest memory before it is touched: how many bytes were; -ENOENT: no slot; -EFAULT */
long kvm_arch_vcpu_pre_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 size);

/* memory slots: prepare may fail, commit may not */
enum kvm_slot_change {
	KVM_SLOT_CREATE,
	KVM_SLOT_DELETE,
	KVM_SLOT_MOVE,
	KVM_SLOT_FLAGS,
};

int kvm_arch_prepare_slot(struct kvm *kvm, const struct kvm_memory_slot *old,
			  struct kvm_memory_slot *new, enum kvm_slot_change change);
void kvm_arch_commit_slot(struct kvm *kvm, struct kvm_memory_slot *old,
			  const struct kvm_memory_slot *new,
			  enum kvm_slot_change change);
void kvm_arch_free_slot(struct kvm_memory_slot *slot);
void kvm_arch_memslots_updated(struct kvm *kvm, u64 gen);
void kvm_arch_flush_shadow_slot(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_arch_flush_shadow_all(struct kvm *kvm);
bool kvm_arch_supports_private_mem(void);	/* in VMs of some type */
/* drop the mappings of frames of a VM with private memory, and flush */
void kvm_arch_zap_gfns(struct kvm *kvm, gfn_t start, gfn_t end);
void kvm_arch_sync_dirty_log(struct kvm *kvm);
/* pages that the CPU may have logged and that are marked at once */
u32 kvm_arch_dirty_log_entries(void);
void kvm_arch_dirty_log_split(struct kvm *kvm, struct kvm_memory_slot *slot,
			      gfn_t offset, gfn_t pages);
/* clear write access (or dirty bits) of @mask's pages from @offset; mmu_lock held for write */
void kvm_arch_dirty_log_protect(struct kvm *kvm, struct kvm_memory_slot *slot,
				gfn_t offset, unsigned long mask);

/* MMU notifier, a range of frames of one slot; return whether to flush / was young */
struct kvm_gfn_range {
	struct kvm_memory_slot *slot;
	gfn_t start;
	gfn_t end;
	bool may_block;
};

bool kvm_arch_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_arch_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_arch_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);

/* module life cycle: the vendor module calls these (module/main.c) */
int kvm_init(struct module *owner);
void kvm_exit(void);

#endif /* KVM_OOT_KVM_HOST_H */
