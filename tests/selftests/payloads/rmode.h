/* SPDX-License-Identifier: GPL-2.0-only */
/* Places in the code of payloads/rmode.S */
#ifndef SELFTEST_RMODE_H
#define SELFTEST_RMODE_H

extern const char rm_start[], rm_end[], rm_flags[], rm_int[], rm_wait[], rm_unreal[], rm_prot[],
	rm_on_int21[], rm_on_de[], rm_on_ud[], rm_on_bp[], rm_on_irq[], rm_on_nmi[];

#endif
