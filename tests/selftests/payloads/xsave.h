/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTEST_XSAVE_H
#define SELFTEST_XSAVE_H

/* XSAVE areas in the guest's memory: what it loads first, what it saves then */
#define XSAVE_FROM	GUEST_DATA
#define XSAVE_TO	(GUEST_DATA + 0x10000)

#endif
