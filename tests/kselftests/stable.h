/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What two tests of the 6.1 stable series lack to compile: a header that one
 * takes for granted, and a macro that came with a newer test library than the
 * one it was put beside. Included before everything else.
 */
#ifndef __ASSEMBLER__
#include <linux/stddef.h>

#define TEST_ASSERT_EQ(a, b) ASSERT_EQ(a, b)
#endif
