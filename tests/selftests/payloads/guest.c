// SPDX-License-Identifier: GPL-2.0-only
/* Exceptions and interrupts of the C payloads: one IDT, a table of handlers. */
#include "guest.h"

struct gate {
	u16 off0, sel;
	u8 ist, type;
	u16 off1;
	u32 off2, zero;
} __packed;

static struct gate idt[256] __aligned(16);
static void (*handlers[256])(struct frame *f);

u64 fault_resume;
u64 fault_vec, fault_err, fault_cr2;

void set_handler(int vec, void (*fn)(struct frame *f))
{
	handlers[vec] = fn;
}

void guest_vector(struct frame *f);

void guest_vector(struct frame *f)
{
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	if (READ_ONCE(fault_resume) && f->vector < 32) {
		u64 cr2;

		asm volatile("mov %%cr2, %0" : "=r"(cr2));
		WRITE_ONCE(fault_vec, f->vector);
		WRITE_ONCE(fault_err, f->error);
		WRITE_ONCE(fault_cr2, cr2);
		f->rip = READ_ONCE(fault_resume);
		WRITE_ONCE(fault_resume, 0);
		return;
	}
	report(REPORT_FAULT, f->vector, f->error, f->rip);
	for (;;)
		asm volatile("cli; hlt");
}

void idt_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed d = { sizeof(idt) - 1, (u64)idt };
	int i;

	for (i = 0; i < 256; i++) {
		u64 p = (u64)vec_stubs + 16 * i;

		idt[i].off0 = p;
		idt[i].off1 = p >> 16;
		idt[i].off2 = p >> 32;
		idt[i].sel = SEL_CODE64;
		idt[i].type = 0x8e;
		if (i == 3)	/* INT3 from user mode too */
			idt[i].type = 0xee;
	}
	asm volatile("lidt %0" : : "m"(d));
}

void *memset(void *p, int c, unsigned long n);
void *memcpy(void *d, const void *s, unsigned long n);

void *memset(void *p, int c, unsigned long n)
{
	void *r = p;

	asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	return r;
}

void *memcpy(void *d, const void *s, unsigned long n)
{
	void *r = d;

	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return r;
}
