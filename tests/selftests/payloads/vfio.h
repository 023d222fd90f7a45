/* SPDX-License-Identifier: GPL-2.0-only */
/* What vfio_test and its payload agree on: one order at a time, in the page GUEST_SHARED. */
#ifndef SELFTEST_VFIO_H
#define SELFTEST_VFIO_H

enum {
	VF_WRITE = 1,	/* @value into each of @count pages from @addr */
	VF_CHECK,	/* it is there */
	VF_WBINVD,	/* @count times */
	VF_WBNOINVD,	/* likewise */
	VF_INVD,	/* likewise */
	VF_SMALL,	/* map 2 MiB from @addr by 4 KiB pages, index @value into the PAT */
	VF_LARGE,	/* ... by one large page */
	VF_CACHED,	/* page @addr, mapped by VF_SMALL, has index @value from now on */
	VF_PAT,		/* @value is the PAT */
	VF_READ32,	/* a device's register @addr: reported */
	VF_WRITE32,	/* write @value there */
};

struct vf_order {
	unsigned long op, addr, count, value;
};

#endif
