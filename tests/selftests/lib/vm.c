// SPDX-License-Identifier: GPL-2.0-only
/* Small guests: memory, vCPUs, page tables, segments, the run loop. */
#include <cpuid.h>
#include <asm/kvm.h>

#include "st.h"

int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		st_fail(__FILE__, __LINE__, "/dev/kvm: %s", strerror(errno));
	return fd;
}

int kvm_cap(int fd, long cap)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, cap);
}

int kvm_enable(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap e = { .cap = cap, .args = { arg } };

	return ioctl(fd, KVM_ENABLE_CAP, &e);
}

bool kvm_is_oot(void)
{
	char line[200];
	bool oot = false;
	FILE *f = fopen("/proc/modules", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "kvm ", 4) && strstr(line, "(O"))
			oot = true;
	if (f)
		fclose(f);
	return oot;
}

bool st_param_is(const char *module, const char *name, char first)
{
	char path[200];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	f = fopen(path, "r");
	if (!f)
		return false;
	c = fgetc(f);
	fclose(f);
	return c == first;
}

bool st_shadow_paging(void)
{
	return st_param_is("kvm_amd", "npt", 'N') || st_param_is("kvm_intel", "ept", 'N');
}

void vm_set_slot(struct vm *vm, int slot, uint64_t gpa, uint64_t size, void *mem,
		 unsigned int flags)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)mem,
	};

	OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r));
}

void *vm_ptr(struct vm *vm, uint64_t gpa)
{
	CHECK(gpa < vm->size);
	return vm->mem + gpa;
}

static uint64_t descriptor(uint32_t limit, uint16_t access)
{
	return (limit & 0xffff) | (uint64_t)(limit >> 16 & 0xf) << 48 |
	       (uint64_t)(access & 0xff) << 40 | (uint64_t)(access >> 12 & 0xf) << 52;
}

static void make_tables(struct vm *vm)
{
	uint64_t *gdt = vm_ptr(vm, GUEST_GDT), *p;
	uint32_t *pd32 = vm_ptr(vm, GUEST_PD32);
	int i, j;

	p = vm_ptr(vm, GUEST_PML4);
	p[0] = GUEST_PDPT | 7;
	p = vm_ptr(vm, GUEST_PDPT);
	for (i = 0; i < 4; i++)
		p[i] = (GUEST_PD + i * 0x1000) | 7;
	for (i = 0; i < 4; i++) {
		p = vm_ptr(vm, GUEST_PD + i * 0x1000);
		for (j = 0; j < 512; j++)
			p[j] = ((uint64_t)i << 30 | (uint64_t)j << 21) | 0x87;
	}
	for (i = 0; i < 1024; i++)
		pd32[i] = (uint32_t)i << 22 | 0x87;

	gdt[SEL_CODE64 / 8] = descriptor(0xfffff, 0xa09b);
	gdt[SEL_DATA / 8] = descriptor(0xfffff, 0xc093);
	gdt[SEL_CODE32 / 8] = descriptor(0xfffff, 0xc09b);
	gdt[SEL_CODE16 / 8] = descriptor(0xffff, 0x009b);
	gdt[SEL_DATA16 / 8] = descriptor(0xffff, 0x0093);
	gdt[SEL_UCODE64 / 8] = descriptor(0xfffff, 0xa0fb);
	gdt[SEL_UDATA / 8] = descriptor(0xfffff, 0xc0f3);
}

struct vm *vm_new(size_t mem_bytes, unsigned int flags)
{
	return vm_new_type(mem_bytes, flags, 0);
}

int vm_create_fd(int dev, unsigned long type)
{
	int fd;

	do {
		fd = ioctl(dev, KVM_CREATE_VM, type);
	} while (fd < 0 && errno == EINTR);
	return OK(fd);
}

struct vm *vm_new_type(size_t mem_bytes, unsigned int flags, unsigned long type)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	CHECK(vm);
	vm->dev = kvm_open();
	vm->fd = vm_create_fd(vm->dev, type);
	vm->size = mem_bytes;
	vm->mem = mmap(NULL, mem_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(vm->mem != MAP_FAILED);
	/* newer kernels make a large page of it, for which tests that count those do not look */
	if (mem_bytes <= HUGE_PAGE)
		madvise(vm->mem, mem_bytes, MADV_NOHUGEPAGE);
	vm_set_slot(vm, 0, 0, mem_bytes, vm->mem, 0);
	if (mem_bytes >= GUEST_CODE)
		make_tables(vm);
	if (flags & VM_IRQCHIP)
		OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0UL));
	if (flags & VM_SPLIT)
		OK(kvm_enable(vm->fd, KVM_CAP_SPLIT_IRQCHIP, 24));
	return vm;
}

void vm_close(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpus[i].run, vm->vcpus[i].run_size);
		close(vm->vcpus[i].fd);
	}
	close(vm->fd);
	close(vm->dev);
	free(vm);
}

void vm_free(struct vm *vm)
{
	munmap(vm->mem, vm->size);
	vm_close(vm);
}

struct vcpu *vm_add_vcpu(struct vm *vm, int id)
{
	struct vcpu *v = &vm->vcpus[vm->nr_vcpus];

	CHECK(vm->nr_vcpus < VM_MAX_VCPUS);
	v->vm = vm;
	v->id = id;
	v->fd = OK(ioctl(vm->fd, KVM_CREATE_VCPU, (long)id));
	v->run_size = OK(ioctl(vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0UL));
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	CHECK(v->run != MAP_FAILED);
	vm->nr_vcpus++;
	return v;
}

struct kvm_cpuid2 *kvm_supported_cpuid(int dev)
{
	int n = 256;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));

	CHECK(c);
	c->nent = n;
	OK(ioctl(dev, KVM_GET_SUPPORTED_CPUID, c));
	return c;
}

static struct kvm_cpuid_entry2 *find_entry(struct kvm_cpuid2 *c, uint32_t function)
{
	unsigned int i;

	for (i = 0; i < c->nent; i++)
		if (c->entries[i].function == function && !c->entries[i].index)
			return &c->entries[i];
	return NULL;
}

struct kvm_cpuid_entry2 *cpuid_entry(struct kvm_cpuid2 *c, uint32_t function)
{
	struct kvm_cpuid_entry2 *e = find_entry(c, function);

	CHECK(e);
	return e;
}

bool kvm_cpu_has(int dev, uint32_t function, unsigned int reg, unsigned int bit)
{
	struct kvm_cpuid2 *c = kvm_supported_cpuid(dev);
	struct kvm_cpuid_entry2 *e = find_entry(c, function);
	bool has = false;

	if (e) {
		const uint32_t r[] = { e->eax, e->ebx, e->ecx, e->edx };

		has = r[reg] >> bit & 1;
	}
	free(c);
	return has;
}

void vcpu_set_cpuid(struct vcpu *v)
{
	struct kvm_cpuid2 *c = kvm_supported_cpuid(v->vm->dev);
	unsigned int i;

	for (i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 1) {
			c->entries[i].ebx = (c->entries[i].ebx & 0xffffff) | v->id << 24;
			/* KVM_CAP_TSC_DEADLINE_TIMER tells of it, older kernels' list does not */
			c->entries[i].ecx |= BIT(24);
		}
		if (c->entries[i].function == 0xb)
			c->entries[i].edx = v->id;
	}
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	free(c);
}

void vcpu_regs(struct vcpu *v, struct kvm_regs *regs)
{
	OK(ioctl(v->fd, KVM_GET_REGS, regs));
}

void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs)
{
	OK(ioctl(v->fd, KVM_SET_REGS, regs));
}

void vcpu_make_runnable(struct vcpu *vcpu)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	OK(ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp));
}

bool lapic_has_vector(const struct kvm_lapic_state *s, unsigned int reg, uint8_t vec)
{
	uint32_t w;

	memcpy(&w, s->regs + reg + (vec >> 5) * 0x10, 4);
	return w >> (vec & 31) & 1;
}

bool host_is_intel(void)
{
	uint32_t a, b, c, d;

	__cpuid(0, a, b, c, d);
	return b == 0x756e6547;		/* "Genu" */
}

unsigned int kvm_msr_listed(int dev, uint32_t index)
{
	static struct {
		struct kvm_msr_list l;
		uint32_t index[1000];
	} list;
	unsigned int i, n = 0;

	list.l.nmsrs = ARRAY_SIZE(list.index);
	OK(ioctl(dev, KVM_GET_MSR_INDEX_LIST, &list));
	for (i = 0; i < list.l.nmsrs; i++)
		n += list.index[i] == index;
	return n;
}

uint64_t vcpu_get_msr(struct vcpu *v, uint32_t index)
{
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e;
	} msr = { .m = { .nmsrs = 1 }, .e = { .index = index } };
	int r = OK(ioctl(v->fd, KVM_GET_MSRS, &msr));

	if (r != 1)
		st_fail(__FILE__, __LINE__, "MSR %#x cannot be read", index);
	return msr.e.data;
}

int vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs m;
		struct kvm_msr_entry e;
	} msr = { .m = { .nmsrs = 1 }, .e = { .index = index, .data = value } };

	return OK(ioctl(v->fd, KVM_SET_MSRS, &msr));
}

static struct kvm_segment segment(uint16_t sel, uint8_t type, bool l, bool db)
{
	return (struct kvm_segment) {
		.selector = sel, .type = type, .present = 1, .s = 1, .g = 1,
		.limit = 0xffffffff, .l = l, .db = db,
	};
}

void vcpu_long_mode(struct vcpu *v)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rflags = 2 };

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cs = segment(SEL_CODE64, 0xb, true, false);
	s.ds = segment(SEL_DATA, 3, false, true);
	s.es = s.ds;
	s.fs = s.ds;
	s.gs = s.ds;
	s.ss = s.ds;
	s.gdt.base = GUEST_GDT;
	s.gdt.limit = 0x7f;
	s.tr = (struct kvm_segment) {
		.base = GUEST_TSS + v->id * 128, .limit = 103, .selector = SEL_TSS,
		.type = 11, .present = 1,
	};
	s.cr3 = GUEST_PML4;
	s.cr4 = 0x620;			/* PAE, OSFXSR, OSXMMEXCPT */
	s.cr0 = 0x80000033;		/* PG, NE, ET, MP, PE */
	s.efer = 0x500;			/* LMA, LME */
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	r.rsp = GUEST_STACK_TOP - v->id * GUEST_STACK_SIZE;
	r.rip = GUEST_CODE;
	vcpu_set_regs(v, &r);
}

void vcpu_real_mode(struct vcpu *v, uint16_t cs)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rflags = 2, .rsp = 0x8000 };

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cs.selector = cs;
	s.cs.base = (uint64_t)cs << 4;
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	vcpu_set_regs(v, &r);
}

void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t len)
{
	CHECK(gpa + len <= vm->size);
	memcpy(vm->mem + gpa, code, len);
}

void vcpu_start(struct vcpu *v, uint64_t test, uint64_t a, uint64_t b)
{
	struct kvm_regs r;

	vcpu_set_cpuid(v);
	vcpu_long_mode(v);
	vcpu_regs(v, &r);
	r.rdi = test;
	r.rsi = a;
	r.rdx = b;
	vcpu_set_regs(v, &r);
}

int vcpu_run_raw(struct vcpu *v)
{
	return ioctl(v->fd, KVM_RUN, 0UL) < 0 ? -errno : 0;
}

int vcpu_run(struct vcpu *v)
{
	int r;

	do {
		r = vcpu_run_raw(v);
	} while (r == -EINTR || r == -EAGAIN);
	if (r)
		st_fail(__FILE__, __LINE__, "KVM_RUN: %s", strerror(-r));
	return v->run->exit_reason;
}

static const char * const names[] = {
	"UNKNOWN", "EXCEPTION", "IO", "HYPERCALL", "DEBUG", "HLT", "MMIO",
	"IRQ_WINDOW_OPEN", "SHUTDOWN", "FAIL_ENTRY", "INTR", "SET_TPR",
	"TPR_ACCESS", "S390_SIEIC", "S390_RESET", "DCR", "NMI",
	"INTERNAL_ERROR", "OSI", "PAPR_HCALL", "S390_UCONTROL", "WATCHDOG",
	"S390_TSCH", "EPR", "SYSTEM_EVENT", "S390_STSI", "IOAPIC_EOI", "HYPERV",
	"ARM_NISV", "X86_RDMSR", "X86_WRMSR",
};

static const char *exit_name(uint32_t reason)
{
	return reason < ARRAY_SIZE(names) ? names[reason] : "?";
}

static __thread char words[400];

const char *exit_text(const struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	uint32_t i;
	int n;

	n = snprintf(words, sizeof(words), "%s", exit_name(run->exit_reason));
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		snprintf(words + n, sizeof(words) - n, " port %#x", run->io.port);
		break;
	case KVM_EXIT_MMIO:
		snprintf(words + n, sizeof(words) - n, " %s %#llx, %u bytes",
			 run->mmio.is_write ? "write to" : "read from",
			 run->mmio.phys_addr, run->mmio.len);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(words + n, sizeof(words) - n, " %#llx",
			 run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		n += snprintf(words + n, sizeof(words) - n, " suberror %u:",
			      run->internal.suberror);
		for (i = 0; i < run->internal.ndata && i < 8; i++)
			n += snprintf(words + n, sizeof(words) - n, " %llx",
				      run->internal.data[i]);
		break;
	}
	return words;
}

bool vcpu_is_report(struct vcpu *v, struct report *rep)
{
	struct kvm_regs r;

	if (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != REPORT_PORT ||
	    v->run->io.direction != KVM_EXIT_IO_OUT || v->run->io.size != 4)
		return false;
	vcpu_regs(v, &r);
	*rep = (struct report) { (uint32_t)r.rax, r.rdi, r.rsi, r.rdx };
	if (rep->kind == REPORT_FAIL)
		st_fail("guest", rep->a, "seen %#llx, wanted %#llx",
			(unsigned long long)rep->b, (unsigned long long)rep->c);
	if (rep->kind == REPORT_FAULT)
		st_fail(__FILE__, __LINE__, "guest: vector %d, error code %#llx, RIP %#llx",
			(int)rep->a, (unsigned long long)rep->b,
			(unsigned long long)rep->c);
	return true;
}

struct report vcpu_run_to_report(struct vcpu *v)
{
	struct report rep;

	vcpu_run(v);
	if (!vcpu_is_report(v, &rep))
		st_fail(__FILE__, __LINE__, "exit %s instead of a report", exit_text(v));
	return rep;
}

void vcpu_expect_sync(struct vcpu *v, uint64_t stage)
{
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.kind, REPORT_SYNC);
	CHECK_EQ(rep.a, stage);
}

void vcpu_expect_done(struct vcpu *v)
{
	struct report rep = vcpu_run_to_report(v);

	CHECK_EQ(rep.kind, REPORT_DONE);
}

void vcpu_expect_exit(struct vcpu *v, uint32_t reason)
{
	uint32_t seen = vcpu_run(v);
	struct report rep;

	if (seen != reason) {
		vcpu_is_report(v, &rep);
		st_fail(__FILE__, __LINE__, "exit %s, wanted %s", exit_text(v),
			exit_name(reason));
	}
}
