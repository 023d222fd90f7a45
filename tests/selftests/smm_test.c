// SPDX-License-Identifier: GPL-2.0-only
/*
 * System management mode: into it and out of it, the memory that is seen there, and what
 * waits until it is over.
 *
 * Address space 0 has no memory at SMM_BASE, 1 has SMRAM there; what both have at SMM_SAME
 * is the same, at SMM_OTHER it is not.
 */
#include <pthread.h>
#include <stddef.h>

#include "smm.h"
#include "st.h"

#define MEM		(8ul << 20)
#define SMRAM_SIZE	0x20000
#define OTHER_SIZE	0x10000
#define SPACE1		0x10000
#define HANDLER		(SMM_BASE + 0x8000)
#define STATE		0xfe00		/* of SMRAM */

enum { SLOT_LOW = 0, SLOT_HIGH, SLOT_SMRAM, SLOT_OTHER, SLOT_END };

static uint8_t *smram, *other;

static void need_smm(void)
{
	int dev = kvm_open();

	if (!kvm_cap(dev, KVM_CAP_X86_SMM))
		st_skip("no KVM_CAP_X86_SMM");
	close(dev);
}

static uint8_t *memory(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void set_slots(struct vm *vm, uint8_t *mem, unsigned int flags)
{
	vm_set_slot(vm, SLOT_LOW, 0, SMM_BASE, mem, flags);
	vm_set_slot(vm, SLOT_HIGH, 0x100000, MEM - 0x100000, mem + 0x100000, flags);
	vm_set_slot(vm, SPACE1 | SLOT_LOW, 0, SMM_BASE, mem, flags);
	vm_set_slot(vm, SPACE1 | SLOT_SMRAM, SMM_BASE, SMRAM_SIZE, smram, flags);
	vm_set_slot(vm, SPACE1 | SLOT_HIGH, 0x100000, SMM_OTHER - 0x100000, mem + 0x100000, flags);
	vm_set_slot(vm, SPACE1 | SLOT_OTHER, SMM_OTHER, OTHER_SIZE, other, flags);
	vm_set_slot(vm, SPACE1 | SLOT_END, SMM_OTHER + OTHER_SIZE, MEM - SMM_OTHER - OTHER_SIZE,
		    mem + SMM_OTHER + OTHER_SIZE, flags);
}

static struct vm *smm_vm(unsigned int flags)
{
	struct vm *vm;

	need_smm();
	vm = vm_new(MEM, flags);
	CHECK_EQ(kvm_cap(vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE), 2);
	OK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul));
	smram = memory(SMRAM_SIZE);
	other = memory(OTHER_SIZE);
	vm_set_slot(vm, 0, 0, 0, NULL, 0);
	set_slots(vm, vm->mem, 0);
	memcpy(smram + 0x8000, sm_handler, sm_handler_end - sm_handler);
	*(uint32_t *)vm_ptr(vm, SMM_OTHER) = 0x11111111;
	*(uint32_t *)vm_ptr(vm, SMM_SAME) = 0x22222222;
	*(uint32_t *)other = 0x33333333;
	PAYLOAD(vm, smm);
	return vm;
}

static struct vcpu *start(struct vm *vm, int id, uint64_t test)
{
	struct vcpu *v = vm_add_vcpu(vm, id);

	vcpu_start(v, test, 0, 0);
	CHECK(vcpu_set_msr(v, 0x9e, SMM_BASE) == 1);
	CHECK_EQ(vcpu_get_msr(v, 0x9e), SMM_BASE);
	return v;
}

static struct kvm_vcpu_events events(struct vcpu *v)
{
	struct kvm_vcpu_events ev;

	OK(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK(ev.flags & KVM_VCPUEVENT_VALID_SMM);
	return ev;
}

static void finish_exit(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	CHECK_EQ(vcpu_run_raw(v), -EINTR);
	v->run->immediate_exit = 0;
}

/* the next thing that the handler says */
static uint32_t said(struct vcpu *v)
{
	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, SMM_SAY);
	CHECK(v->run->flags & KVM_RUN_X86_SMM);
	CHECK_EQ(events(v).smi.smm, 1);
	return *(uint32_t *)((char *)v->run + v->run->io.data_offset);
}

#define SAYS(v, value)	CHECK_EQ(said(v), value)

static void whole_handler(struct vcpu *v)
{
	SAYS(v, 1);
	SAYS(v, 0x33333333);
	SAYS(v, *(uint32_t *)vm_ptr(v->vm, SMM_SAME));
	SAYS(v, 2);
	CHECK_EQ(*(uint32_t *)(other + 4), 0x5b5b5b5b);
	CHECK_EQ(*(uint32_t *)vm_ptr(v->vm, SMM_OTHER + 4), 0);
}

/* SMM_WATCH: what it sees outside of SMM; how many NMIs it has had */
static uint64_t watched(struct vcpu *v)
{
	struct report r = vcpu_run_to_report(v);

	CHECK(!(v->run->flags & KVM_RUN_X86_SMM));
	CHECK_EQ(events(v).smi.smm, 0);
	CHECK_EQ(r.a, 1);
	CHECK_EQ(r.c, 0x11111111);
	CHECK_EQ((uint32_t)r.b, *(uint32_t *)vm_ptr(v->vm, SMM_SAME));
	return r.b >> 32;
}

static void by_ioctl(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);
	int i;

	for (i = 0; i < 3; i++) {
		watched(v);
		OK(ioctl(v->fd, KVM_SMI));
		CHECK_EQ(events(v).smi.pending, 1);
		whole_handler(v);
		watched(v);
	}
	CHECK_EQ(vcpu_get_msr(v, 0x34), 3);
}

static void by_ipi(unsigned int flags, uint64_t test)
{
	struct vcpu *v = start(smm_vm(flags), 0, test);

	vcpu_expect_sync(v, 1);
	whole_handler(v);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

static void by_xapic(void)
{
	by_ipi(VM_IRQCHIP, SMM_XAPIC);
}

static void by_x2apic(void)
{
	by_ipi(VM_IRQCHIP, SMM_X2APIC);
}

static void by_x2apic_split(void)
{
	by_ipi(VM_SPLIT, SMM_X2APIC);
}

static void send_msi(struct vm *vm, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = data };

	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 1);
}

static void by_msi(void)
{
	struct vcpu *v = start(smm_vm(VM_IRQCHIP), 0, SMM_WATCH);

	watched(v);
	send_msi(v->vm, 0x200);
	whole_handler(v);
	watched(v);
}

static void *smi_soon(void *vm)
{
	usleep(200000);
	send_msi(vm, 0x200);
	return NULL;
}

/* HLT with interrupts off: the guest goes on behind it. */
static void ends_hlt(void)
{
	struct vcpu *v = start(smm_vm(VM_IRQCHIP), 0, SMM_HLT);
	pthread_t t;

	vcpu_expect_sync(v, 1);
	CHECK(!pthread_create(&t, NULL, smi_soon, v->vm));
	whole_handler(v);
	vcpu_expect_sync(v, 2);
	pthread_join(t, NULL);
}

static void second_waits(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);
	struct kvm_vcpu_events ev;
	int i;

	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	for (i = 0; i < 3; i++)
		OK(ioctl(v->fd, KVM_SMI));
	ev = events(v);
	CHECK_EQ(ev.smi.smm, 1);
	CHECK_EQ(ev.smi.pending, 1);
	SAYS(v, 0x33333333);
	SAYS(v, 0x22222222);
	SAYS(v, 2);
	whole_handler(v);
	CHECK_EQ(events(v).smi.pending, 0);
	watched(v);
	CHECK_EQ(vcpu_get_msr(v, 0x34), 2);
}

static void nmi_waits(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);
	struct kvm_vcpu_events ev;

	CHECK_EQ(watched(v), 0);
	CHECK_EQ(events(v).nmi.masked, 0);
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	OK(ioctl(v->fd, KVM_NMI));
	SAYS(v, 0x33333333);
	ev = events(v);
	CHECK_EQ(ev.nmi.masked, 1);
	CHECK_EQ(ev.nmi.pending, 1);
	CHECK_EQ(ev.smi.smm_inside_nmi, 0);
	SAYS(v, 0x22222222);
	SAYS(v, 2);
	watched(v);
	CHECK_EQ(watched(v), 1);
	CHECK_EQ(events(v).nmi.masked, 0);

	/* it stays masked when it was */
	ev = events(v);
	ev.nmi.masked = 1;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	CHECK_EQ(events(v).smi.smm_inside_nmi, 1);
	SAYS(v, 0x33333333);
	SAYS(v, 0x22222222);
	SAYS(v, 2);
	watched(v);
	CHECK_EQ(events(v).nmi.masked, 1);
	CHECK_EQ(events(v).smi.smm_inside_nmi, 0);
}

static void init_waits(void)
{
	struct vcpu *v = start(smm_vm(VM_IRQCHIP), 0, SMM_WATCH);
	struct kvm_sregs s;

	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	send_msi(v->vm, 0x4500);
	CHECK_EQ(events(v).smi.latched_init, 1);
	SAYS(v, 0x33333333);
	SAYS(v, 0x22222222);
	SAYS(v, 2);
	CHECK_EQ(events(v).smi.latched_init, 1);
	/* no memory is where it begins anew */
	vcpu_run(v);
	CHECK_EQ(v->run->flags & KVM_RUN_X86_SMM, 0);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.cs.selector, 0xf000);
	CHECK_EQ(s.cr0 & 0x80000001, 0);
	CHECK_EQ(events(v).smi.latched_init, 0);
	/* INIT leaves it, RESET does not */
	CHECK_EQ(vcpu_get_msr(v, 0x9e), SMM_BASE);
}

/* ---- memory ------------------------------------------------------------------------- */

static void smram_hidden(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_PEEK);

	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.phys_addr, HANDLER);
	memset(v->run->mmio.data, 0x77, 8);
	OK(ioctl(v->fd, KVM_SMI));
	whole_handler(v);
	CHECK_EQ(vcpu_run_to_report(v).b, 0x77777777);
	vcpu_expect_done(v);
}

/* One is in SMM while another is not, and each has its own memory all the time. */
static void two_vcpus(void)
{
	struct vm *vm = smm_vm(0);
	struct vcpu *a = start(vm, 0, SMM_WATCH), *b = start(vm, 1, SMM_WATCH);

	watched(a);
	OK(ioctl(a->fd, KVM_SMI));
	SAYS(a, 1);
	watched(b);
	SAYS(a, 0x33333333);
	watched(b);
	OK(ioctl(b->fd, KVM_SMI));
	SAYS(b, 1);
	SAYS(a, 0x22222222);
	SAYS(b, 0x33333333);
	SAYS(a, 2);
	watched(a);
	SAYS(b, 0x22222222);
	SAYS(b, 2);
	watched(b);
}

static void changes(struct vm *vm, struct vcpu *a, struct vcpu *b, uint32_t same)
{
	watched(a);
	SAYS(b, 1);
	SAYS(b, 0x33333333);
	SAYS(b, same);
	SAYS(b, 2);
	watched(b);
	OK(ioctl(b->fd, KVM_SMI));
}

/* What the host takes away goes from both spaces. */
static void discarded(void)
{
	struct vm *vm = smm_vm(0);
	struct vcpu *a = start(vm, 0, SMM_WATCH), *b = start(vm, 1, SMM_WATCH);
	int i;

	watched(b);
	OK(ioctl(b->fd, KVM_SMI));
	changes(vm, a, b, 0x22222222);
	for (i = 0; i < 3; i++) {
		OK(madvise(vm->mem + SMM_SAME, 4096, MADV_DONTNEED));
		changes(vm, a, b, 0);
		*(uint32_t *)vm_ptr(vm, SMM_SAME) = 0x44444444 + i;
		changes(vm, a, b, 0x44444444 + i);
	}
	/* what space 1 has alone */
	OK(madvise(other, 4096, MADV_DONTNEED));
	SAYS(b, 1);
	SAYS(b, 0);
}

/* Another slot in place of one of space 1, which space 0 does not feel. */
static void slot_replaced(void)
{
	struct vm *vm = smm_vm(0);
	struct vcpu *v = start(vm, 0, SMM_WATCH);
	uint8_t *new = memory(OTHER_SIZE);

	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	SAYS(v, 0x33333333);
	SAYS(v, 0x22222222);
	SAYS(v, 2);
	*(uint32_t *)new = 0x55555555;
	vm_set_slot(vm, SPACE1 | SLOT_OTHER, 0, 0, NULL, 0);
	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	vcpu_expect_exit(v, KVM_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.phys_addr, SMM_OTHER);
	CHECK(v->run->flags & KVM_RUN_X86_SMM);
	memset(v->run->mmio.data, 0x66, 8);
	SAYS(v, 0x66666666);
	vm_set_slot(vm, SPACE1 | SLOT_OTHER, SMM_OTHER, OTHER_SIZE, new, 0);
	SAYS(v, 0x22222222);
	SAYS(v, 2);
	CHECK_EQ(*(uint32_t *)(new + 4), 0x5b5b5b5b);
	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	SAYS(v, 1);
	SAYS(v, 0x55555555);
}

static uint64_t first_pages(struct vm *vm, int slot)
{
	uint64_t bits[MEM / 4096 / 64 + 1] = { 0 };
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bits };

	OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	return bits[0];
}

static void dirty_log(void)
{
	struct vm *vm = smm_vm(0);
	struct vcpu *v = start(vm, 0, SMM_WATCH);
	int i;

	/* it is mapped, and written, before the log begins */
	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	whole_handler(v);
	watched(v);
	set_slots(vm, vm->mem, KVM_MEM_LOG_DIRTY_PAGES);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(first_pages(vm, SPACE1 | SLOT_OTHER), 0);
		CHECK_EQ(first_pages(vm, SPACE1 | SLOT_SMRAM), 0);
		watched(v);
		OK(ioctl(v->fd, KVM_SMI));
		whole_handler(v);
		watched(v);
		CHECK_EQ(first_pages(vm, SPACE1 | SLOT_OTHER), 1);
		CHECK_EQ(first_pages(vm, SPACE1 | SLOT_SMRAM), BIT(STATE >> 12));
		CHECK_EQ(first_pages(vm, SPACE1 | SLOT_END), 0);
	}
	set_slots(vm, vm->mem, 0);
	OK(ioctl(v->fd, KVM_SMI));
	whole_handler(v);
	watched(v);
}

/* ---- state ----------------------------------------------------------------------------- */

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs dr;
};

static void get_state(struct vcpu *v, struct state *s)
{
	memset(s, 0, sizeof(*s));
	vcpu_regs(v, &s->regs);
	OK(ioctl(v->fd, KVM_GET_SREGS, &s->sregs));
	OK(ioctl(v->fd, KVM_GET_DEBUGREGS, &s->dr));
}

static void same_segment(const char *name, const struct kvm_segment *a, const struct kvm_segment *b)
{
	if (memcmp(a, b, sizeof(*a)))
		st_fail(__FILE__, __LINE__,
			"%s: %04x base %llx limit %x type %x present %d dpl %d db %d s %d l %d g %d unusable %d",
			name, b->selector, b->base, b->limit, b->type, b->present, b->dpl, b->db,
			b->s, b->l, b->g, b->unusable);
}

static void same_state(const struct state *a, const struct state *b)
{
	const uint64_t *x = (const uint64_t *)&a->regs, *y = (const uint64_t *)&b->regs;
	unsigned int i;

	for (i = 0; i < sizeof(a->regs) / 8; i++)
		if (x[i] != y[i])
			st_fail(__FILE__, __LINE__, "word %u of kvm_regs is %#llx, not %#llx",
				i, (unsigned long long)y[i], (unsigned long long)x[i]);
	same_segment("cs", &a->sregs.cs, &b->sregs.cs);
	same_segment("ds", &a->sregs.ds, &b->sregs.ds);
	same_segment("es", &a->sregs.es, &b->sregs.es);
	same_segment("fs", &a->sregs.fs, &b->sregs.fs);
	same_segment("gs", &a->sregs.gs, &b->sregs.gs);
	same_segment("ss", &a->sregs.ss, &b->sregs.ss);
	same_segment("tr", &a->sregs.tr, &b->sregs.tr);
	same_segment("ldt", &a->sregs.ldt, &b->sregs.ldt);
	CHECK_EQ(b->sregs.gdt.base, a->sregs.gdt.base);
	CHECK_EQ(b->sregs.gdt.limit, a->sregs.gdt.limit);
	CHECK_EQ(b->sregs.idt.base, a->sregs.idt.base);
	CHECK_EQ(b->sregs.idt.limit, a->sregs.idt.limit);
	CHECK_EQ(b->sregs.cr0, a->sregs.cr0);
	CHECK_EQ(b->sregs.cr2, a->sregs.cr2);
	CHECK_EQ(b->sregs.cr3, a->sregs.cr3);
	CHECK_EQ(b->sregs.cr4, a->sregs.cr4);
	CHECK_EQ(b->sregs.cr8, a->sregs.cr8);
	CHECK_EQ(b->sregs.efer, a->sregs.efer);
	CHECK_EQ(b->sregs.apic_base, a->sregs.apic_base);
	for (i = 0; i < 4; i++)
		CHECK_EQ(b->dr.db[i], a->dr.db[i]);
	CHECK_EQ(b->dr.dr6, a->dr.dr6);
	CHECK_EQ(b->dr.dr7, a->dr.dr7);
}

/* SDM vol. 3, 34.5.1; APM vol. 2, 10.3.1 */
static void check_entry(struct vcpu *v, const struct state *was)
{
	struct state s;

	get_state(v, &s);
	CHECK_EQ(s.sregs.cs.selector, SMM_BASE >> 4);
	CHECK_EQ(s.sregs.cs.base, SMM_BASE);
	CHECK_EQ(s.sregs.cs.limit, 0xffffffff);
	CHECK_EQ(s.sregs.ds.selector, 0);
	CHECK_EQ(s.sregs.ds.base, 0);
	CHECK_EQ(s.sregs.ds.limit, 0xffffffff);
	CHECK_EQ(s.sregs.ss.limit, 0xffffffff);
	CHECK_EQ(s.sregs.cr0, was->sregs.cr0 & ~0x8000000dull);
	CHECK_EQ(s.sregs.cr4, 0);
	CHECK_EQ(s.sregs.efer, 0);
	CHECK_EQ(s.dr.dr7, 0x400);
	CHECK_EQ(s.dr.db[1], was->dr.db[1]);
	CHECK_EQ(s.regs.rflags, 2);
	CHECK_EQ(s.regs.rbx, was->regs.rbx);
	CHECK_EQ(s.regs.rsp, was->regs.rsp);
	CHECK(s.regs.rip >= 0x8000 && s.regs.rip < 0x8010);
}

/* A guest in sm_loop, whose registers are all different. */
static void begin_loop(struct vcpu *v, uint64_t rflags, bool wide)
{
	struct kvm_debugregs dr = { .db = { 0x1000, 0x2000, 0x3000, 0x4000 },
				    .dr6 = 0xffff4ff1, .dr7 = 0x400 };
	struct kvm_regs r;
	uint64_t *p = (uint64_t *)&r;
	unsigned int i;

	vm_load(v->vm, GUEST_CODE16, sm_loop, sm_loop_end - sm_loop);
	memset(&r, 0, sizeof(r));
	for (i = 0; i < (wide ? 16 : 8); i++)
		p[i] = (wide ? 0x1111111122222222 : 0x11111111) * (i + 1) & (wide ? ~0ull : ~0u);
	r.rip = GUEST_CODE16;
	r.rflags = rflags;
	vcpu_set_regs(v, &r);
	OK(ioctl(v->fd, KVM_SET_DEBUGREGS, &dr));
	vcpu_expect_exit(v, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, SMM_LOOP);
	finish_exit(v);
}

static void back_and_forth(struct vcpu *v, uint64_t rflags, bool wide)
{
	struct state was, is;
	int i;

	begin_loop(v, rflags, wide);
	for (i = 0; i < 2; i++) {
		get_state(v, &was);
		OK(ioctl(v->fd, KVM_SMI));
		SAYS(v, 1);
		check_entry(v, &was);
		SAYS(v, 0x33333333);
		SAYS(v, 0x22222222);
		SAYS(v, 2);
		vcpu_expect_exit(v, KVM_EXIT_IO);
		CHECK_EQ(v->run->io.port, SMM_LOOP);
		finish_exit(v);
		get_state(v, &is);
		same_state(&was, &is);
	}
}

static void state_64(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);
	struct kvm_sregs s;

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.fs.base = 0xffff800012345000;
	s.gs.base = 0x7fff12345000;
	s.idt.base = 0xffffffff81000000;
	s.idt.limit = 0xfff;
	s.cr2 = 0x123456789;
	s.efer |= 1;
	s.ldt = (struct kvm_segment) { .base = 0x5000, .limit = 0x27, .selector = 0x50, .type = 2,
				       .present = 1 };
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
	back_and_forth(v, 0x40ad7, true);
	CHECK_EQ(*(uint32_t *)(smram + 0xfefc), 0x20064);
	CHECK_EQ(*(uint32_t *)(smram + 0xff00), SMM_BASE);
	CHECK_EQ(*(uint64_t *)(smram + 0xff50), GUEST_PML4);
	CHECK_EQ(*(uint64_t *)(smram + 0xfff8), 0x1111111122222222);
	/* what the manual says, not what we make of it: attributes of CS, base of GS */
	CHECK_EQ(*(uint16_t *)(smram + 0xfe12), 0xa09b);
	CHECK_EQ(*(uint64_t *)(smram + 0xfe58), 0x7fff12345000);
}

static void protected_mode(struct vcpu *v, bool pae)
{
	uint64_t *pdpt, i;
	struct kvm_sregs s;

	OK(ioctl(v->fd, KVM_GET_SREGS, &s));
	s.cs.selector = SEL_CODE32;
	s.cs.l = 0;
	s.cs.db = 1;
	s.efer = 0;
	s.cr0 = 0x80000033;
	s.cr4 = pae ? 0x20 : 0x10;
	s.cr3 = GUEST_PD32;
	if (pae) {
		/* one that is not in the memory that SMM sees at its address */
		pdpt = vm_ptr(v->vm, SMM_OTHER + 0x1000);
		for (i = 0; i < 4; i++)
			pdpt[i] = (GUEST_PD + i * 4096) | 1;
		s.cr3 = SMM_OTHER + 0x1000;
	}
	OK(ioctl(v->fd, KVM_SET_SREGS, &s));
}

static void state_32(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);

	protected_mode(v, false);
	back_and_forth(v, 0xad7, false);
}

static void state_pae(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);

	protected_mode(v, true);
	back_and_forth(v, 0xad7, false);
}

/* A CPU without long mode has the older form of the state. */
static void state_no_long_mode(void)
{
	struct vcpu *v = vm_add_vcpu(smm_vm(0), 0);
	struct kvm_cpuid2 *c = kvm_supported_cpuid(v->vm->dev);

	cpuid_entry(c, 0x80000001)->edx &= ~(1u << 29);
	OK(ioctl(v->fd, KVM_SET_CPUID2, c));
	vcpu_long_mode(v);
	protected_mode(v, false);
	CHECK(vcpu_set_msr(v, 0x9e, SMM_BASE) == 1);
	back_and_forth(v, 0xad7, false);
	CHECK_EQ(*(uint32_t *)(smram + 0xfefc), 0x20000);
	CHECK_EQ(*(uint32_t *)(smram + 0xfef8), SMM_BASE);
	CHECK_EQ(*(uint32_t *)(smram + 0xffd0), 0x11111111);
	CHECK_EQ(*(uint32_t *)(smram + 0xfff8), GUEST_PD32);
}

/* The handler moves SMBASE: RSM takes it over. */
static void smbase_moves(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);

	watched(v);
	OK(ioctl(v->fd, KVM_SMI));
	whole_handler(v);
	*(uint32_t *)(smram + 0xff00) = SMM_BASE + 0x10000;
	memcpy(smram + 0x18000, sm_handler, sm_handler_end - sm_handler);
	watched(v);
	CHECK_EQ(vcpu_get_msr(v, 0x9e), SMM_BASE + 0x10000);
	memset(smram + 0x8000, 0xf4, 16);
	OK(ioctl(v->fd, KVM_SMI));
	whole_handler(v);
	watched(v);
}

/* States that no CPU can be in: RSM shuts down. */
static void bad_states(void)
{
	static const struct {
		uint16_t offset;
		uint64_t value;
	} bad[] = {
		{ 0xff58, 0x80000000 },		/* CR0: PG without PE */
		{ 0xff58, 0xa0000031 },		/* NW without CD */
		{ 0xff58, 0x180000031 },	/* more than 32 bits */
		{ 0xff48, 1ull << 31 },		/* CR4: a reserved bit */
		{ 0xff48, 0 },			/* long mode without PAE */
		{ 0xff50, 1ull << 60 },		/* CR3: no such address */
		{ 0xfed0, 0x10500 },		/* EFER: a reserved bit */
		{ 0xff60, 1ull << 32 },		/* DR7 */
		{ 0xff68, 1ull << 32 },		/* DR6 */
		{ 0xff78, 1ull << 60 },		/* RIP is not canonical */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vm *vm = smm_vm(0);
		struct vcpu *v = start(vm, 0, SMM_WATCH);

		watched(v);
		OK(ioctl(v->fd, KVM_SMI));
		whole_handler(v);
		*(uint64_t *)(smram + bad[i].offset) = bad[i].value;
		if (vcpu_run(v) != KVM_EXIT_SHUTDOWN)
			st_fail(__FILE__, __LINE__, "case %u: %s", i, exit_text(v));
		vm_free(vm);
	}
}

static void no_smram(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_WATCH);

	watched(v);
	vm_set_slot(v->vm, SPACE1 | SLOT_SMRAM, 0, 0, NULL, 0);
	OK(ioctl(v->fd, KVM_SMI));
	vcpu_expect_exit(v, KVM_EXIT_SHUTDOWN);
}

static void rsm_outside(void)
{
	struct vcpu *v = start(smm_vm(0), 0, SMM_RSM);

	vcpu_expect_sync(v, 1);
	vcpu_expect_sync(v, 3);
	vcpu_expect_sync(v, 2);
	vcpu_expect_done(v);
}

/* In the middle of the handler the vCPU moves to another VM. */
static void moves(void)
{
	struct vcpu *a = start(smm_vm(VM_IRQCHIP), 0, SMM_WATCH), *b;
	uint8_t *mem = a->vm->mem;
	struct kvm_vcpu_events ev;
	struct kvm_debugregs dr;
	struct kvm_sregs s;
	struct kvm_regs r;
	struct vm *vm;

	watched(a);
	OK(ioctl(a->fd, KVM_SMI));
	SAYS(a, 1);
	OK(ioctl(a->fd, KVM_SMI));
	finish_exit(a);
	ev = events(a);
	CHECK_EQ(ev.smi.pending, 1);
	vcpu_regs(a, &r);
	OK(ioctl(a->fd, KVM_GET_SREGS, &s));
	OK(ioctl(a->fd, KVM_GET_DEBUGREGS, &dr));

	vm = vm_new(MEM, VM_IRQCHIP);
	OK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul));
	vm_set_slot(vm, 0, 0, 0, NULL, 0);
	set_slots(vm, mem, 0);
	vm->mem = mem;
	b = vm_add_vcpu(vm, 0);
	vcpu_set_cpuid(b);
	OK(ioctl(b->fd, KVM_SET_SREGS, &s));
	vcpu_set_regs(b, &r);
	OK(ioctl(b->fd, KVM_SET_DEBUGREGS, &dr));
	CHECK(vcpu_set_msr(b, 0x9e, vcpu_get_msr(a, 0x9e)) == 1);
	OK(ioctl(b->fd, KVM_SET_VCPU_EVENTS, &ev));
	SAYS(b, 0x33333333);
	SAYS(b, 0x22222222);
	SAYS(b, 2);
	whole_handler(b);
	watched(b);
	watched(b);
}

/* User space takes a vCPU out of SMM, and puts it there. */
static void set_by_events(void)
{
	struct vcpu *v = start(smm_vm(VM_IRQCHIP), 0, SMM_WATCH);
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu_events ev;

	watched(v);
	finish_exit(v);
	ev = events(v);
	ev.smi.smm = 1;
	ev.smi.smm_inside_nmi = 1;
	ev.smi.latched_init = 1;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ev = events(v);
	CHECK_EQ(ev.smi.smm, 1);
	CHECK_EQ(ev.smi.smm_inside_nmi, 1);
	CHECK_EQ(ev.smi.latched_init, 1);
	FAILS(ioctl(v->fd, KVM_SET_MP_STATE, &mp), EINVAL);
	/* the same code, with the other memory, and INIT waits */
	CHECK_EQ(vcpu_run_to_report(v).c, 0x33333333);
	CHECK(v->run->flags & KVM_RUN_X86_SMM);
	ev = events(v);
	ev.smi.smm = 0;
	ev.smi.latched_init = 0;
	OK(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	CHECK_EQ(events(v).smi.smm_inside_nmi, 0);
	watched(v);

	OK(ioctl(v->fd, KVM_SET_MP_STATE, &mp));
	ev = events(v);
	ev.flags = KVM_VCPUEVENT_VALID_SMM;
	ev.smi.smm = 1;
	FAILS(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.smi.smm = 0;
	ev.smi.pending = 1;
	FAILS(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
}

/* Slots of the third address space are refused, as is a log of one that is not there. */
static void address_spaces(void)
{
	struct vm *vm = smm_vm(0);
	struct kvm_userspace_memory_region r = {
		.slot = 2 << 16, .guest_phys_addr = 0x1000000, .memory_size = 0x1000,
		.userspace_addr = (uintptr_t)other,
	};
	uint64_t bits[8];
	struct kvm_dirty_log log = { .slot = 2 << 16, .dirty_bitmap = bits };

	FAILS(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r), EINVAL);
	FAILS(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), EINVAL);
	log.slot = SPACE1 | 77;
	FAILS(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), ENOENT);
}

static const struct st_test tests[] = {
	{ "by_ioctl", by_ioctl },
	{ "by_xapic", by_xapic },
	{ "by_x2apic", by_x2apic },
	{ "by_x2apic_split", by_x2apic_split },
	{ "by_msi", by_msi },
	{ "ends_hlt", ends_hlt },
	{ "second_waits", second_waits },
	{ "nmi_waits", nmi_waits },
	{ "init_waits", init_waits },
	{ "smram_hidden", smram_hidden },
	{ "two_vcpus", two_vcpus },
	{ "discarded", discarded },
	{ "slot_replaced", slot_replaced },
	{ "dirty_log", dirty_log },
	{ "state_64", state_64 },
	{ "state_32", state_32 },
	{ "state_pae", state_pae },
	{ "state_no_long_mode", state_no_long_mode },
	{ "smbase_moves", smbase_moves },
	{ "bad_states", bad_states },
	{ "no_smram", no_smram },
	{ "rsm_outside", rsm_outside },
	{ "moves", moves },
	{ "set_by_events", set_by_events },
	{ "address_spaces", address_spaces },
	{}
};

ST_MAIN("smm", tests)
