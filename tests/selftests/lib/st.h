/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The selftest library: subtests that report KTAP, and small guests.
 *
 * A program is a list of subtests; each runs in a child process of its own, so
 * that one which crashes or hangs costs nothing but itself, and no descriptor or
 * mapping is left behind for the next. A failed CHECK ends the subtest.
 */
#ifndef SELFTEST_ST_H
#define SELFTEST_ST_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm_oot.h>

#include "layout.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ul << (n))
/* memory that the guest or another thread may change */
#define READ_ONCE(x)	(*(const __volatile__ __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(__volatile__ __typeof__(x) *)&(x) = (v))
#define __packed	__attribute__((__packed__))
#define __aligned(n)	__attribute__((__aligned__(n)))
#define __noreturn	__attribute__((__noreturn__))
#define __printf(fmt, first) __attribute__((format(printf, fmt, first)))

struct st_test {
	const char *name;
	void (*fn)(void);
	unsigned int timeout;	/* seconds; 0: 60 */
};

int st_main(const char *program, const struct st_test *tests);
#define ST_MAIN(program, tests) \
	int main(void) { return st_main(program, tests); }

/* end the subtest */
__printf(3, 4) __noreturn void st_fail(const char *file, int line, const char *fmt, ...);
__printf(1, 2) __noreturn void st_skip(const char *fmt, ...);
__printf(1, 2) void st_note(const char *fmt, ...);

/* made by the Makefile of the file KNOWN */
extern const char known_list[];

#define CHECK(cond) do {						\
	if (!(cond))							\
		st_fail(__FILE__, __LINE__, "%s", #cond);		\
} while (0)
#define CHECK_EQ(a, b) do {						\
	unsigned long long __a = (a), __b = (b);			\
	if (__a != __b)							\
		st_fail(__FILE__, __LINE__, "%s is %#llx, not %s = %#llx", \
			#a, __a, #b, __b);				\
} while (0)
/* a system call that must work */
#define OK(call) ({							\
	long __r = (call);						\
	if (__r < 0)							\
		st_fail(__FILE__, __LINE__, "%s: %s", #call, strerror(errno)); \
	__r;								\
})
/* one that must fail with an errno */
#define FAILS(call, err) do {						\
	errno = 0;							\
	long __r = (call);						\
	if (__r >= 0 || errno != (err))					\
		st_fail(__FILE__, __LINE__, "%s: %ld, %s; wanted %s", #call, \
			__r, __r >= 0 ? "no error" : strerror(errno), #err); \
} while (0)

/* ---- the host --------------------------------------------------------------------- */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* a line "name number", or "name: number" of a file in /proc; -1: there is none */
long st_named(const char *path, const char *name);
bool st_bus_error(uint8_t *p);	/* does a write there end with SIGBUS */
bool st_write(const char *path, const char *text);	/* into a file that there is; all of it? */
/* the device of tests/host/MODULE.c, which is loaded if need be, or the subtest passed over */
int st_host_device(const char *module, const char *path);
/* a number in a file of debugfs; without the file the subtest is passed over */
uint64_t st_counter(const char *path);
long st_table_memory(void);	/* the host's SecPageTables, in kB */
double st_now(void);	/* seconds of a clock that goes on */
#define HUGE_PAGE	(2ul << 20)
/* memory of any size at an address that huge pages can have */
uint8_t *st_aligned_memory(size_t size);

/* Wait for something, at most some seconds. */
#define UNTIL(cond, seconds) ({						\
	double __end = st_now() + (seconds);				\
	bool __is;							\
	while (!(__is = (cond)) && st_now() < __end)			\
		usleep(1000);						\
	__is; })

/* ---- VMs --------------------------------------------------------------------- */

#define VM_MAX_VCPUS	16

struct vcpu {
	struct vm *vm;
	int fd, id;
	struct kvm_run *run;
	size_t run_size;
};

struct vm {
	int dev, fd;
	uint8_t *mem;		/* guest memory from address 0 */
	size_t size;
	int nr_vcpus;
	struct vcpu vcpus[VM_MAX_VCPUS];
};

int kvm_open(void);
int kvm_cap(int fd, long cap);
int kvm_enable(int fd, uint32_t cap, uint64_t arg);	/* KVM_ENABLE_CAP, with errno */
bool kvm_is_oot(void);	/* ours, not the kernel's own */
/* does a parameter of a loaded module begin with this character */
bool st_param_is(const char *module, const char *name, char first);
/* the CPU walks tables of KVM's making, not the guest's: npt=0, ept=0 */
bool st_shadow_paging(void);
bool st_on_tcg(void);	/* the host's CPU is QEMU's emulation */

#define VM_IRQCHIP	1	/* in-kernel PIC, IOAPIC, LAPIC */
#define VM_SPLIT	2	/* LAPIC in the kernel only */
/* KVM_CREATE_VM, which a host that goes to sleep interrupts, too */
int vm_create_fd(int dev, unsigned long type);
struct vm *vm_new(size_t mem_bytes, unsigned int flags);
struct vm *vm_new_type(size_t mem_bytes, unsigned int flags, unsigned long type);
void vm_free(struct vm *vm);
void vm_close(struct vm *vm);	/* its memory stays */
struct vcpu *vm_add_vcpu(struct vm *vm, int id);
void vm_set_slot(struct vm *vm, int slot, uint64_t gpa, uint64_t size, void *mem,
		 unsigned int flags);
void *vm_ptr(struct vm *vm, uint64_t gpa);

/* give the vCPU the host's CPUID */
void vcpu_set_cpuid(struct vcpu *vcpu);
struct kvm_cpuid2 *kvm_supported_cpuid(int dev);
/* its entry for a leaf (subleaf 0), which must be there */
struct kvm_cpuid_entry2 *cpuid_entry(struct kvm_cpuid2 *c, uint32_t function);
/* does KVM_GET_SUPPORTED_CPUID have bit @bit of EAX, EBX, ECX or EDX (0 to 3) of a leaf */
bool kvm_cpu_has(int dev, uint32_t function, unsigned int reg, unsigned int bit);
void vcpu_regs(struct vcpu *vcpu, struct kvm_regs *regs);
void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
void vcpu_make_runnable(struct vcpu *vcpu);	/* else it waits for INIT and SIPI */
#define LAPIC_ISR	0x100
#define LAPIC_IRR	0x200
bool lapic_has_vector(const struct kvm_lapic_state *s, unsigned int reg, uint8_t vec);
bool host_is_intel(void);	/* else AMD */
/* how often KVM_GET_MSR_INDEX_LIST has it */
unsigned int kvm_msr_listed(int dev, uint32_t index);
uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index);
int vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* modes to start in */
void vcpu_long_mode(struct vcpu *vcpu);
void vcpu_real_mode(struct vcpu *vcpu, uint16_t cs);

/* a C payload, named by its file: loads it and starts guest_main(test, a, b) */
#define PAYLOAD(vm, name) do {						\
	extern const char payload_##name[], payload_##name##_end[];	\
	vm_load(vm, GUEST_CODE, payload_##name,				\
		payload_##name##_end - payload_##name);			\
} while (0)
void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t len);
void vcpu_start(struct vcpu *vcpu, uint64_t test, uint64_t a, uint64_t b);

/* ---- running ------------------------------------------------------------------- */

/* KVM_RUN until something other than a signal's EINTR comes; the exit reason */
int vcpu_run(struct vcpu *vcpu);
int vcpu_run_raw(struct vcpu *vcpu);	/* 0 or -errno */

struct report {
	uint32_t kind;
	uint64_t a, b, c;
};

/* Is the present exit a report of the payload? Failures and faults end the subtest. */
bool vcpu_is_report(struct vcpu *vcpu, struct report *r);
/* run until a report: REPORT_SYNC or REPORT_DONE; any other exit fails */
struct report vcpu_run_to_report(struct vcpu *vcpu);
void vcpu_expect_sync(struct vcpu *vcpu, uint64_t stage);
void vcpu_expect_done(struct vcpu *vcpu);
void vcpu_expect_exit(struct vcpu *vcpu, uint32_t reason);
/* the exit in words, with what tells the cause; valid until the thread asks again */
const char *exit_text(const struct vcpu *vcpu);

#endif
