/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The library of the selftests since 6.2 reads kvm.force_emulation_prefix, in each
 * test that makes a VM, as the number that it is in the kernel of the tests. In a 6.1
 * host it is a yes or no. Linked with --wrap=atoi_paranoid, this is what reads
 * numbers. Included before everything else; it is weak as each object has it, and
 * so that a program without that function links.
 */
#ifndef __ASSEMBLER__
int __real_atoi_paranoid(const char *num_str) __attribute__((weak));
int __wrap_atoi_paranoid(const char *num_str) __attribute__((weak));

int __wrap_atoi_paranoid(const char *num_str)
{
	if ((num_str[0] == 'Y' || num_str[0] == 'N') && !num_str[1])
		return num_str[0] == 'Y';
	return __real_atoi_paranoid(num_str);
}
#endif
