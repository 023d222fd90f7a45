// SPDX-License-Identifier: GPL-2.0-only
/* A guest with a device of the host's: it does what it is told, see vfio.h. */
#include "guest.h"
#include "vfio.h"

#define PTE_P		BIT(0)
#define PTE_W		BIT(1)
#define PTE_PWT		BIT(3)
#define PTE_PCD		BIT(4)
#define PTE_PS		BIT(7)
#define PTE_PAT		BIT(7)
#define PTE_PAT_LARGE	BIT(12)
#define MSR_PAT		0x277

static struct vf_order *const o = (struct vf_order *)GUEST_SHARED;
static u64 *const table = (u64 *)GUEST_DATA;

static void invlpg(u64 addr)
{
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

static u64 cache_bits(u64 index, u64 pat)
{
	return (index & 1 ? PTE_PWT : 0) | (index & 2 ? PTE_PCD : 0) | (index & 4 ? pat : 0);
}

static u64 *pd_entry(u64 addr)
{
	return (u64 *)GUEST_PD + (addr >> 21);
}

static void flush_2m(u64 addr)
{
	u64 i;

	for (i = 0; i < 512; i++)
		invlpg(addr + i * 4096);
}

static void map_small(u64 addr, u64 index)
{
	u64 bits = PTE_P | PTE_W | cache_bits(index, PTE_PAT), i;

	for (i = 0; i < 512; i++)
		WRITE_ONCE(table[i], (addr + i * 4096) | bits);
	WRITE_ONCE(*pd_entry(addr), (u64)table | PTE_P | PTE_W);
	flush_2m(addr);
}

static void map_large(u64 addr, u64 index)
{
	u64 bits = PTE_P | PTE_W | PTE_PS | cache_bits(index, PTE_PAT_LARGE);

	WRITE_ONCE(*pd_entry(addr), addr | bits);
	flush_2m(addr);
}

/* Only how it is cached changes: accessed and dirty stay. */
static void change(u64 addr, u64 index)
{
	u64 *pte = &table[addr >> 12 & 511];

	WRITE_ONCE(*pte, (READ_ONCE(*pte) & ~(PTE_PWT | PTE_PCD | PTE_PAT)) |
			 cache_bits(index, PTE_PAT));
	invlpg(addr);
}

static u64 obey(void)
{
	u64 addr = READ_ONCE(o->addr), count = READ_ONCE(o->count), value = READ_ONCE(o->value), i;

	for (i = 0; i < count; i++) {
		u64 *word = (u64 *)(addr + i * 4096);

		switch (READ_ONCE(o->op)) {
		case VF_WRITE:
			WRITE_ONCE(*word, value + i);
			break;
		case VF_CHECK:
			GUEST_EQ(READ_ONCE(*word), value + i);
			break;
		case VF_WBINVD:
			asm volatile("wbinvd" : : : "memory");
			break;
		case VF_WBNOINVD:
			asm volatile("rep; wbinvd" : : : "memory");
			break;
		case VF_INVD:
			asm volatile("invd" : : : "memory");
			break;
		case VF_SMALL:
			map_small(addr, value);
			break;
		case VF_LARGE:
			map_large(addr, value);
			break;
		case VF_CACHED:
			change(addr + i * 4096, value);
			break;
		case VF_PAT:
			wrmsr(MSR_PAT, value);
			break;
		case VF_READ32:
			return mmio_read32(addr);
		case VF_WRITE32:
			mmio_write32(addr, value);
			break;
		}
	}
	return 0;
}

void guest_main(u64 test, u64 arg0, u64 arg1)
{
	u64 n;

	idt_init();
	for (n = 1; ; n++) {
		SYNC(n);
		SYNC2(0, obey(), 0);
	}
}
