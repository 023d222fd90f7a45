# SPDX-License-Identifier: GPL-2.0-only
"""Which lines of an emulated host's kernel log report a fault."""
import re

DIRTY_LINE = re.compile(
    r"WARNING:|BUG:|BUG |Oops|KASAN|UBSAN|KFENCE|KCSAN|INFO: (possible|task|rcu|trying|suspicious|lockdep|NMI)"
    r"|possible (circular|recursive|irq|deadlock)|suspicious RCU|inconsistent lock state|held lock freed"
    r"|kmemleak: [1-9]\d* new suspected|sleeping function called|scheduling while atomic|Bad page|list_(add|del) corruption"
    r"|general protection fault|unable to handle|Kernel panic|DEBUG_LOCKS_WARN|refcount_t:|ODEBUG|stack-protector"
    r"|cut here|slab corruption|soft lockup|lock held when returning|rcu_preempt detected stalls|detected stalls on")
# Said by the kernel itself without anything being wrong.
CLEAN_LINE = re.compile(r"BUG: KASAN is|KASAN is|kmemleak: Kernel memory leak detector|debug: unmapping init"
                        r"|kasan: KernelAddressSanitizer|lockdep is turned on|ODEBUG: selftest"
                        # of the CPU, not of what the kernel does
                        r"|(RETBleed|Spectre V2 ?|SRSO|MDS|TAA|MMIO Stale Data): WARNING: ")


def is_dirty(line):
    """Whether a line of the log says that something went wrong in the kernel."""
    return bool(DIRTY_LINE.search(line) and not CLEAN_LINE.search(line))
