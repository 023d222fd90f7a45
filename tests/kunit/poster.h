/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctls of /dev/kvm-poster: poster.c */
#ifndef KVM_OOT_POSTER_H
#define KVM_OOT_POSTER_H

#include <linux/ioctl.h>

#define POSTER_CONNECT	_IOW('p', 1, int)	/* an eventfd: the interrupt is its */
#define POSTER_FIRE	_IO('p', 2)		/* 1: posted, 0: the eventfd was signalled */
#define POSTER_VECTOR	_IO('p', 3)		/* as which it is posted; 0: it is not */

#endif
