// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state components of XSAVE, each by itself: what a guest loads into its
 * registers is in KVM_GET_XSAVE2 where CPUID leaf 0xd says, what KVM_SET_XSAVE
 * says is in the registers of another VM's guest. SDM vol. 1, 13.4 and 13.5.
 */
#include "st.h"
#include "xsave.h"

#define X87		BIT(0)
#define SSE		BIT(1)
#define AVX		BIT(2)
#define MPX		(BIT(3) | BIT(4))
#define AVX512		(BIT(5) | BIT(6) | BIT(7))
#define PKRU		BIT(9)
/* of these any value can be loaded, but for what component_pattern() knows */
#define TESTED		(X87 | SSE | AVX | AVX512 | PKRU)

#define LEGACY		512
#define MXCSR		24
#define ST0		32
#define XMM0		160
#define XMM_END		416
#define AREA		0x4000

struct area {
	union {
		uint8_t bytes[AREA];
		struct {
			uint8_t legacy[LEGACY];
			uint64_t xstate_bv, xcomp_bv;
		};
		struct kvm_xsave xsave;
	};
} __aligned(64);

struct component {
	uint32_t offset, size;
};

static struct component component[64];
static uint64_t supported;

static void find_components(void)
{
	struct kvm_cpuid2 *c = kvm_supported_cpuid(kvm_open());
	struct kvm_cpuid_entry2 *e;
	unsigned int i;

	supported = 0;
	for (i = 0; i < c->nent; i++) {
		e = &c->entries[i];
		if (e->function != 0xd)
			continue;
		if (!e->index)
			supported = e->eax | (uint64_t)e->edx << 32;
		/* ECX bit 0: a component of IA32_XSS, which has no offset */
		else if (e->index >= 2 && e->index < 64 && !(e->ecx & 1))
			component[e->index] = (struct component){ e->ebx, e->eax };
	}
	free(c);
	if (!supported)
		st_skip("the CPU has no XSAVE");
	for (i = 2; i < 64; i++) {
		if (!(supported & BIT(i)))
			continue;
		CHECK(component[i].size && component[i].offset >= LEGACY + 64);
		CHECK(component[i].offset + component[i].size <= AREA);
	}
}

static uint8_t pattern(unsigned int seed, unsigned int i)
{
	return (i * 37 + seed * 101 + 1) | 1;
}

/* a value that differs from the initial one in every byte that can */
static void component_pattern(struct area *a, unsigned int nr, unsigned int seed)
{
	unsigned int i, j;

	switch (nr) {
	case 0:
		a->bytes[0] = 0x7f - (seed & 1);	/* FCW: an exception that is not masked */
		a->bytes[1] = 2;
		a->bytes[3] = 0x18;			/* FSW: TOP */
		a->bytes[4] = 0xff;			/* no register is empty */
		for (i = 0; i < 8; i++)
			for (j = 0; j < 10; j++)
				a->bytes[ST0 + 16 * i + j] = pattern(seed, 10 * i + j) |
							     (j == 7 ? 0x80 : 0);
		break;
	case 1:
		for (i = XMM0; i < XMM_END; i++)
			a->bytes[i] = pattern(seed, i);
		break;
	case 9:			/* PKRU has 32 bits */
		for (i = 0; i < 4; i++)
			a->bytes[component[nr].offset + i] = pattern(seed, i);
		break;
	default:
		for (i = 0; i < component[nr].size; i++)
			a->bytes[component[nr].offset + i] = pattern(seed, nr + i);
	}
}

static void make_area(struct area *a, uint64_t in_use, unsigned int seed)
{
	unsigned int nr;

	memset(a, 0, sizeof(*a));
	a->bytes[0] = 0x7f;		/* FCW and MXCSR in the initial state */
	a->bytes[1] = 3;
	a->bytes[MXCSR] = 0x80;
	a->bytes[MXCSR + 1] = 0x1f;
	if (in_use & (SSE | AVX))	/* which are loaded with MXCSR */
		a->bytes[MXCSR] = 0x80 | (seed & 0x3f);
	for (nr = 0; nr < 64; nr++)
		if (in_use & BIT(nr))
			component_pattern(a, nr, seed);
	a->xstate_bv = in_use;
}

static void same_bytes(const char *what, unsigned int nr, const struct area *seen,
		       const struct area *want, unsigned int from, unsigned int to)
{
	unsigned int i;

	for (i = from; i < to; i++)
		if (seen->bytes[i] != want->bytes[i])
			st_fail(__FILE__, __LINE__, "%s, component %u: byte %u is %#x, not %#x",
				what, nr, i, seen->bytes[i], want->bytes[i]);
}

/* What is in its initial state need not be said to be in use. */
static void same_components(const char *what, const struct area *seen, const struct area *want)
{
	uint64_t in_use = want->xstate_bv;
	unsigned int nr;

	CHECK_EQ(seen->xcomp_bv, 0);
	CHECK_EQ(seen->xstate_bv & ~supported, 0);
	CHECK_EQ(seen->xstate_bv & in_use, in_use);
	if (in_use & (SSE | AVX))
		same_bytes(what, 1, seen, want, MXCSR, MXCSR + 4);
	for (nr = 0; nr < 64; nr++) {
		if (!(supported & BIT(nr)) || !(seen->xstate_bv & BIT(nr)))
			continue;
		if (nr == 0) {
			same_bytes(what, nr, seen, want, 0, 6);
			same_bytes(what, nr, seen, want, ST0, XMM0);
		} else if (nr == 1) {
			same_bytes(what, nr, seen, want, XMM0, XMM_END);
		} else {
			same_bytes(what, nr, seen, want, component[nr].offset,
				   component[nr].offset + component[nr].size);
		}
	}
}

static struct vcpu *start(bool load)
{
	struct vm *vm = vm_new(0x400000, 0);
	struct vcpu *v = vm_add_vcpu(vm, 0);
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0].value = supported };

	PAYLOAD(vm, xsave);
	vcpu_start(v, supported, load, 0);
	/* QEMU's guests write XCR0 behind the module's back, and lose it at the next exit */
	if (st_on_tcg())
		OK(ioctl(v->fd, KVM_SET_XCRS, &x));
	return v;
}

static struct area from, seen, first;

/* From a guest's registers to user space, and from there to another guest's. */
static void move(uint64_t in_use, unsigned int seed)
{
	struct vcpu *v = start(true), *other = start(true);

	/* the other guest has something to lose in every component */
	make_area(&from, supported & TESTED, seed + 50);
	memcpy(vm_ptr(other->vm, XSAVE_FROM), &from, sizeof(from));
	make_area(&from, in_use, seed);
	memcpy(vm_ptr(v->vm, XSAVE_FROM), &from, sizeof(from));
	vcpu_expect_sync(v, 1);
	memset(&seen, 0, sizeof(seen));
	OK(ioctl(v->fd, KVM_GET_XSAVE2, &seen));
	same_components("KVM_GET_XSAVE2", &seen, &from);
	memset(&first, 0, sizeof(first));
	if (kvm_cap(v->vm->fd, KVM_CAP_XSAVE2) <= sizeof(struct kvm_xsave)) {
		OK(ioctl(v->fd, KVM_GET_XSAVE, &first.xsave));
		CHECK(!memcmp(&first.xsave, &seen.xsave, sizeof(struct kvm_xsave)));
	}
	/* the exit and the ioctls have left the registers as they were */
	vcpu_expect_sync(v, 2);
	same_components("after an exit", vm_ptr(v->vm, XSAVE_TO), &from);

	vcpu_expect_sync(other, 1);
	OK(ioctl(other->fd, KVM_SET_XSAVE, &seen));
	vcpu_expect_sync(other, 2);
	same_components("KVM_SET_XSAVE", vm_ptr(other->vm, XSAVE_TO), &from);
	vm_free(v->vm);
	vm_free(other->vm);
}

static void together(void)
{
	find_components();
	if (supported & ~TESTED)
		st_note("components %#lx are left out", supported & ~TESTED);
	move(supported & TESTED, 5);
	move(supported & TESTED, 10);
}

/* The others are in their initial state, whatever they were before. */
static void alone(void)
{
	unsigned int nr;

	find_components();
	for (nr = 0; nr < 64; nr++) {
		if (!(supported & TESTED & BIT(nr)))
			continue;
		if (nr >= 2)
			st_note("component %u: %u bytes at %u", nr, component[nr].size,
				component[nr].offset);
		move(BIT(nr), nr + 3);
	}
}

static void sizes(void)
{
	struct vcpu *v;
	unsigned int nr, size, end = LEGACY + 64;
	uint8_t *p;

	find_components();
	v = start(false);
	size = kvm_cap(v->vm->fd, KVM_CAP_XSAVE2);
	for (nr = 2; nr < 64; nr++)
		if (supported & BIT(nr) && component[nr].offset + component[nr].size > end)
			end = component[nr].offset + component[nr].size;
	CHECK(size >= end);
	CHECK(size >= sizeof(struct kvm_xsave));
	CHECK(size < AREA);
	/* nothing is written behind it */
	p = (uint8_t *)&seen;
	memset(p, 0xa5, AREA);
	OK(ioctl(v->fd, KVM_GET_XSAVE2, p));
	for (nr = size; nr < AREA; nr++)
		CHECK_EQ(p[nr], 0xa5);

	/* components that are not offered */
	for (nr = 0; nr < 64; nr++) {
		OK(ioctl(v->fd, KVM_GET_XSAVE2, &seen));
		seen.xstate_bv |= BIT(nr);
		if (supported & BIT(nr))
			OK(ioctl(v->fd, KVM_SET_XSAVE, &seen));
		else
			FAILS(ioctl(v->fd, KVM_SET_XSAVE, &seen), EINVAL);
	}
}

/* SDM vol. 1, 13.3 */
static bool xcr0_valid(uint64_t x)
{
	if (x & ~supported || !(x & X87))
		return false;
	if (x & AVX && !(x & SSE))
		return false;
	if (x & MPX && (x & MPX) != MPX)
		return false;
	return !(x & AVX512) || ((x & AVX512) == AVX512 && x & AVX);
}

static void set_xcr0(struct vcpu *v, uint64_t value)
{
	struct kvm_xcrs x = { .nr_xcrs = 1 };

	x.xcrs[0].value = value;
	if (xcr0_valid(value)) {
		OK(ioctl(v->fd, KVM_SET_XCRS, &x));
		OK(ioctl(v->fd, KVM_GET_XCRS, &x));
		CHECK_EQ(x.xcrs[0].value, value);
	} else {
		FAILS(ioctl(v->fd, KVM_SET_XCRS, &x), EINVAL);
	}
}

static void xcr0_rules(void)
{
	struct vcpu *v;
	uint64_t x;

	find_components();
	v = start(false);
	for (x = 0; x < 0x400; x++)
		set_xcr0(v, x);
	for (x = 10; x < 64; x++)
		set_xcr0(v, supported | BIT(x));
	set_xcr0(v, supported | 3 * BIT(17));
}

static const struct st_test tests[] = {
	{ "together", together },
	{ "alone", alone },
	{ "sizes", sizes },
	{ "xcr0_rules", xcr0_rules },
	{}
};

ST_MAIN("xsave", tests)
