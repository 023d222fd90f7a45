/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trace points of module/. Names and fields follow what perf-kvm, kvm_stat
 * and trace-cmd look for under events/kvm.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(KVM_OOT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KVM_OOT_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(u32 reason, int err),
	TP_ARGS(reason, err),

	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),

	TP_fast_assign(
		__entry->reason = reason;
		__entry->errno = err;
	),

	TP_printk("reason %u (%s) errno %d", __entry->reason,
		  __entry->errno == -EINTR ? "restart" :
		  __entry->errno < 0 ? "error" : "exit",
		  __entry->errno < 0 ? -__entry->errno : 0)
);

TRACE_EVENT(kvm_vcpu_wakeup,
	TP_PROTO(u64 ns, bool waited),
	TP_ARGS(ns, waited),

	TP_STRUCT__entry(
		__field(u64, ns)
		__field(bool, waited)
	),

	TP_fast_assign(
		__entry->ns = ns;
		__entry->waited = waited;
	),

	TP_printk("%s time %llu ns", __entry->waited ? "wait" : "poll",
		  __entry->ns)
);

TRACE_EVENT(kvm_halt_poll_ns,
	TP_PROTO(int vcpu_id, unsigned int new, unsigned int old),
	TP_ARGS(vcpu_id, new, old),

	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(unsigned int, new)
		__field(unsigned int, old)
	),

	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->new = new;
		__entry->old = old;
	),

	TP_printk("vcpu %d: halt_poll_ns %u (%s %u)", __entry->vcpu_id,
		  __entry->new, __entry->new > __entry->old ? "grow" : "shrink",
		  __entry->old)
);

TRACE_EVENT(kvm_set_irq,
	TP_PROTO(u32 gsi, int level, int source),
	TP_ARGS(gsi, level, source),

	TP_STRUCT__entry(
		__field(u32, gsi)
		__field(int, level)
		__field(int, source)
	),

	TP_fast_assign(
		__entry->gsi = gsi;
		__entry->level = level;
		__entry->source = source;
	),

	TP_printk("gsi %u level %d source %d", __entry->gsi, __entry->level,
		  __entry->source)
);

TRACE_EVENT(kvm_ack_irq,
	TP_PROTO(unsigned int irqchip, unsigned int pin),
	TP_ARGS(irqchip, pin),

	TP_STRUCT__entry(
		__field(unsigned int, irqchip)
		__field(unsigned int, pin)
	),

	TP_fast_assign(
		__entry->irqchip = irqchip;
		__entry->pin = pin;
	),

	TP_printk("irqchip %u pin %u", __entry->irqchip, __entry->pin)
);

#endif /* KVM_OOT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH module
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
