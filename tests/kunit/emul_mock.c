// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine in miniature for the emulator's tests: 32 KiB of memory at linear
 * address 0, one word of MMIO, ports, flat segments, control registers. What is not
 * there faults, and whatever an instruction asks for is counted.
 */
#include "tests/kunit/emul_mock.h"

static struct mock *to_mock(struct x86_emul *e)
{
	return container_of(e, struct mock, e);
}

static int page_fault(struct x86_exception *fault, u64 linear, u16 code)
{
	*fault = (struct x86_exception) {
		.vector = 14, .error_code_valid = true, .error_code = code, .address = linear,
	};
	return X86_EMUL_PROPAGATE_FAULT;
}

static bool is_there(u64 linear, unsigned int bytes)
{
	return linear < MOCK_MEM && linear + bytes <= MOCK_MEM;
}

static int fetch(struct x86_emul *e, u64 linear, void *buf, unsigned int bytes,
		 struct x86_exception *fault)
{
	if (!is_there(linear, bytes))
		return page_fault(fault, linear, 0x10);
	memcpy(buf, to_mock(e)->mem + linear, bytes);
	return X86_EMUL_CONTINUE;
}

static int read(struct x86_emul *e, u64 linear, void *val, unsigned int bytes, bool system,
		struct x86_exception *fault)
{
	struct mock *m = to_mock(e);

	if (linear >= MOCK_MMIO && linear + bytes <= MOCK_MMIO + 16) {
		if (!m->mmio_answers)
			return X86_EMUL_IO_NEEDED;
		m->mmio_reads++;
		memset(val, 0, bytes);
		memcpy(val, &m->mmio_val, min(bytes, 8u));
		return X86_EMUL_CONTINUE;
	}
	if (!is_there(linear, bytes))
		return page_fault(fault, linear, 0);
	memcpy(val, m->mem + linear, bytes);
	return X86_EMUL_CONTINUE;
}

static int probe_write(struct x86_emul *e, u64 linear, unsigned int bytes, bool system,
		       struct x86_exception *fault)
{
	struct mock *m = to_mock(e);
	u64 last = linear + bytes - 1;

	m->probes++;
	if (linear >= MOCK_MMIO && last < MOCK_MMIO + 16)
		return X86_EMUL_CONTINUE;
	if (!is_there(linear, bytes))
		return page_fault(fault, linear, 2);
	if (m->readonly && linear < m->readonly + 0x1000 && last >= m->readonly)
		return page_fault(fault, max(linear, m->readonly), 3);
	return X86_EMUL_CONTINUE;
}

static int write(struct x86_emul *e, u64 linear, const void *val, unsigned int bytes,
		 bool system, struct x86_exception *fault)
{
	struct mock *m = to_mock(e);
	int r = probe_write(e, linear, bytes, system, fault);

	m->probes--;
	if (r != X86_EMUL_CONTINUE)
		return r;
	m->writes++;
	if (linear >= MOCK_MMIO)
		memcpy(&m->mmio_val, val, min(bytes, 8u));
	else
		memcpy(m->mem + linear, val, bytes);
	return X86_EMUL_CONTINUE;
}

static int exchange(struct x86_emul *e, u64 linear, const void *old, const void *new,
		    unsigned int bytes, struct x86_exception *fault)
{
	struct mock *m = to_mock(e);
	int r = probe_write(e, linear, bytes, false, fault);

	m->probes--;
	if (r != X86_EMUL_CONTINUE)
		return r;
	m->locked++;
	if (m->lose_races) {
		m->lose_races--;
		return X86_EMUL_CMPXCHG_FAILED;
	}
	if (memcmp(m->mem + linear, old, bytes))
		return X86_EMUL_CMPXCHG_FAILED;
	memcpy(m->mem + linear, new, bytes);
	return X86_EMUL_CONTINUE;
}

static int pio_in(struct x86_emul *e, unsigned int size, u16 port, void *val,
		  unsigned int *count)
{
	struct mock *m = to_mock(e);
	unsigned int i;

	if (m->pio_pending) {
		m->pio_pending = false;
		return X86_EMUL_IO_NEEDED;
	}
	m->port = port;
	m->pio_size = size;
	m->pio_count = *count;
	m->pio_calls++;
	for (i = 0; i < size * *count; i++)
		((u8 *)val)[i] = m->pio_next++;
	return X86_EMUL_CONTINUE;
}

static int pio_out(struct x86_emul *e, unsigned int size, u16 port, const void *val,
		   unsigned int count)
{
	struct mock *m = to_mock(e);

	m->port = port;
	m->pio_size = size;
	m->pio_count = count;
	m->pio_calls++;
	memcpy(m->pio_buf, val, size * count);
	return X86_EMUL_CONTINUE;
}

static void get_segment(struct x86_emul *e, enum x86_emul_seg seg, struct kvm_segment *s)
{
	*s = to_mock(e)->seg[seg];
}

static void set_segment(struct x86_emul *e, enum x86_emul_seg seg, const struct kvm_segment *s)
{
	struct mock *m = to_mock(e);

	m->seg[seg] = *s;
	if (seg == X86_SEG_SS)
		m->cpl = s->dpl;
}

static void get_gdt(struct x86_emul *e, struct kvm_dtable *dt)
{
	*dt = to_mock(e)->gdt;
}

static void get_idt(struct x86_emul *e, struct kvm_dtable *dt)
{
	*dt = to_mock(e)->idt;
}

static void set_gdt(struct x86_emul *e, const struct kvm_dtable *dt)
{
	to_mock(e)->gdt = *dt;
}

static void set_idt(struct x86_emul *e, const struct kvm_dtable *dt)
{
	to_mock(e)->idt = *dt;
}

static u64 get_cr(struct x86_emul *e, unsigned int cr)
{
	return to_mock(e)->cr[cr];
}

static int set_cr(struct x86_emul *e, unsigned int cr, u64 val)
{
	if (val >> 32)
		return 1;
	to_mock(e)->cr[cr] = val;
	return 0;
}

static u64 get_dr(struct x86_emul *e, unsigned int dr)
{
	return to_mock(e)->dr[dr];
}

static int set_dr(struct x86_emul *e, unsigned int dr, u64 val)
{
	if (dr >= 6 && val >> 32)
		return 1;
	to_mock(e)->dr[dr] = val;
	return 0;
}

static unsigned int get_cpl(struct x86_emul *e)
{
	return to_mock(e)->cpl;
}

/* two MSRs: EFER, and one that always faults: 0xbad */
static int get_msr(struct x86_emul *e, u32 index, u64 *val, bool implicit)
{
	if (index == 0xbad)
		return X86_EMUL_PROPAGATE_FAULT;
	*val = index == MSR_EFER ? to_mock(e)->efer : to_mock(e)->msr_val;
	return X86_EMUL_CONTINUE;
}

static int set_msr(struct x86_emul *e, u32 index, u64 val, bool implicit)
{
	struct mock *m = to_mock(e);

	if (index == 0xbad)
		return X86_EMUL_PROPAGATE_FAULT;
	m->msr_index = index;
	m->msr_val = val;
	return X86_EMUL_CONTINUE;
}

static int do_read_pmc(struct x86_emul *e, u32 counter, u64 *val)
{
	return X86_EMUL_PROPAGATE_FAULT;
}

static int do_cpuid(struct x86_emul *e, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	*ebx = *eax + 1;
	*edx = *ecx + 2;
	return X86_EMUL_CONTINUE;
}

static int get_xcr(struct x86_emul *e, u32 index, u64 *val)
{
	*val = 7;
	return index;
}

static int set_xcr(struct x86_emul *e, u32 index, u64 val)
{
	return index || !(val & 1);
}

static void do_halt(struct x86_emul *e)
{
	to_mock(e)->halted = true;
}

static void do_wbinvd(struct x86_emul *e)
{
}

static void invlpg(struct x86_emul *e, u64 linear)
{
	to_mock(e)->invlpg = linear;
}

static int invpcid(struct x86_emul *e, unsigned int type, u16 pcid, u64 linear)
{
	return 0;
}

static int fix_hypercall(struct x86_emul *e)
{
	return X86_EMUL_CONTINUE;
}

static int intercept(struct x86_emul *e, enum x86_emul_stage stage)
{
	return X86_EMUL_CONTINUE;
}

static void fpu(struct x86_emul *e)
{
}

static void read_vec(struct x86_emul *e, bool mmx, unsigned int reg, void *val)
{
	memset(val, 0x10 + reg, mmx ? 8 : 16);
}

static void write_vec(struct x86_emul *e, bool mmx, unsigned int reg, const void *val)
{
}

static int x87(struct x86_emul *e, enum x86_emul_x87 what, u16 *val)
{
	if (what == X86_EMUL_FNSTCW || what == X86_EMUL_FNSTSW)
		*val = 0x37f;
	return X86_EMUL_CONTINUE;
}

static bool has_feature(struct x86_emul *e, enum x86_emul_feature feature)
{
	return !(to_mock(e)->lacks & BIT_ULL(feature));
}

static void set_nmi_mask(struct x86_emul *e, bool masked)
{
	to_mock(e)->nmi_unmasked = !masked;
}

static int rsm(struct x86_emul *e)
{
	return X86_EMUL_UNHANDLEABLE;
}

static void vm_bugged(struct x86_emul *e)
{
	WARN_ON_ONCE(1);
}

static const struct x86_emul_ops mock_ops = {
	.fetch = fetch, .read = read, .write = write, .cmpxchg = exchange,
	.probe_write = probe_write, .pio_in = pio_in, .pio_out = pio_out,
	.get_segment = get_segment, .set_segment = set_segment,
	.get_gdt = get_gdt, .get_idt = get_idt, .set_gdt = set_gdt, .set_idt = set_idt,
	.get_cr = get_cr, .set_cr = set_cr, .get_dr = get_dr, .set_dr = set_dr,
	.get_cpl = get_cpl, .get_msr = get_msr, .set_msr = set_msr, .read_pmc = do_read_pmc,
	.cpuid = do_cpuid, .get_xcr = get_xcr, .set_xcr = set_xcr, .halt = do_halt,
	.wbinvd = do_wbinvd, .invlpg = invlpg, .invpcid = invpcid,
	.fix_hypercall = fix_hypercall, .intercept = intercept,
	.get_fpu = fpu, .put_fpu = fpu, .read_vec = read_vec, .write_vec = write_vec,
	.x87 = x87, .has_feature = has_feature, .set_nmi_mask = set_nmi_mask, .rsm = rsm,
	.vm_bugged = vm_bugged,
};

/**
 * mock_create() - a machine in a mode, with flat segments and CPL 0
 * @test: the test that it lives as long as
 * @mode: mode
 *
 * Return: the machine; the test ends when there is no memory for it.
 */
struct mock *mock_create(struct kunit *test, enum x86_emul_mode mode)
{
	struct mock *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	bool real = mode == X86_MODE_REAL || mode == X86_MODE_VM86;
	int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, m);
	for (i = 0; i < X86_NR_SEGS; i++)
		m->seg[i] = (struct kvm_segment) {
			.limit = real ? 0xffff : 0xffffffff, .present = 1, .s = 1, .type = 3,
			.db = mode == X86_MODE_PROT32, .g = !real,
			.dpl = mode == X86_MODE_VM86 ? 3 : 0,
		};
	m->seg[X86_SEG_CS].type = 0xb;
	m->seg[X86_SEG_CS].selector = real ? 0 : 8;
	m->seg[X86_SEG_SS].selector = real ? 0 : 0x10;
	if (mode == X86_MODE_PROT64) {
		m->seg[X86_SEG_CS].l = 1;
		m->seg[X86_SEG_CS].db = 0;
	}
	m->seg[X86_SEG_LDTR] = (struct kvm_segment) { .unusable = 1 };
	m->seg[X86_SEG_TR] = (struct kvm_segment) {
		.base = MOCK_TSS, .limit = 0x2fff, .type = 0xb, .present = 1, .selector = 0x40,
	};
	m->cpl = mode == X86_MODE_VM86 ? 3 : 0;
	m->cr[0] = real && mode == X86_MODE_REAL ? 0x10 : 0x80000011;
	m->cr[4] = X86_CR4_OSFXSR | (mode == X86_MODE_PROT64 ? X86_CR4_PAE : 0);
	m->efer = mode == X86_MODE_PROT64 ? EFER_LMA | EFER_LME : 0;
	m->gdt = (struct kvm_dtable) { .base = MOCK_GDT, .limit = 0x7f };
	m->e.ops = &mock_ops;
	m->e.mode = mode;
	m->e.rip = MOCK_CODE;
	m->e.rflags = X86_EFLAGS_FIXED | (mode == X86_MODE_VM86 ? X86_EFLAGS_VM : 0);
	m->e.gpr[X86_GPR_RSP] = MOCK_STACK;
	return m;
}

/**
 * mock_once() - decode, and carry out one round
 * @m: the machine
 * @bytes: the instruction
 * @n: its length
 *
 * Return: X86_EMUL_*.
 */
int mock_once(struct mock *m, const void *bytes, unsigned int n)
{
	int r;

	x86_emul_init(&m->e);
	r = x86_emul_decode(&m->e, bytes, n);
	return r == X86_EMUL_CONTINUE ? x86_emul_execute(&m->e) : r;
}

/**
 * mock_run() - carry out an instruction with all its rounds
 * @m: the machine
 * @bytes: the instruction
 * @n: its length
 *
 * Return: X86_EMUL_*.
 */
int mock_run(struct mock *m, const void *bytes, unsigned int n)
{
	int r = mock_once(m, bytes, n), rounds = 0;

	while (r == X86_EMUL_RESTART && rounds++ < 100000)
		r = x86_emul_execute(&m->e);
	return r;
}

/**
 * mock_descriptor() - write a descriptor of the GDT
 * @m: the machine
 * @index: its place
 * @base: base
 * @limit: limit, in the unit that @access says
 * @access: type, S, DPL and P in bits 7:0; AVL, L, D and G in bits 15:12
 */
void mock_descriptor(struct mock *m, unsigned int index, u32 base, u32 limit, u16 access)
{
	u32 low = (limit & 0xffff) | base << 16;
	u32 high = (base & 0xff000000) | (base >> 16 & 0xff) | (limit & 0xf0000) |
		   (access & 0xff) << 8 | (access & 0xf000) << 8;

	mock_poke(m, MOCK_GDT + index * 8, low, 4);
	mock_poke(m, MOCK_GDT + index * 8 + 4, high, 4);
}

/**
 * mock_expect() - carry out an instruction that must end in a certain way
 * @test: the test
 * @m: the machine
 * @bytes: the instruction
 * @n: its length
 * @want: X86_EMUL_*
 * @vector: of the fault, or -1
 * @code: its error code, or -1
 */
void mock_expect(struct kunit *test, struct mock *m, const void *bytes, unsigned int n,
		 int want, int vector, int code)
{
	KUNIT_EXPECT_EQ_MSG(test, mock_run(m, bytes, n), want, "%*ph", n, bytes);
	if (vector >= 0)
		KUNIT_EXPECT_EQ_MSG(test, m->e.fault.vector, vector, "%*ph", n, bytes);
	if (code < 0)
		return;
	KUNIT_EXPECT_TRUE_MSG(test, m->e.fault.error_code_valid, "%*ph", n, bytes);
	KUNIT_EXPECT_EQ_MSG(test, m->e.fault.error_code, code, "%*ph", n, bytes);
}

/**
 * mock_expect_mem() - memory that must have a value
 * @test: the test
 * @m: the machine
 * @at: its address
 * @bytes: its size
 * @want: the value
 */
void mock_expect_mem(struct kunit *test, struct mock *m, unsigned int at, unsigned int bytes,
		     u64 want)
{
	KUNIT_EXPECT_EQ_MSG(test, mock_peek(m, at, bytes), want, "memory at %x", at);
}
