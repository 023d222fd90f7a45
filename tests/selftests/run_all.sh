#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs every *_test beside this script (or those named as arguments) and ends
# with one line of totals. Exit status: 0 when nothing failed, else 1.
dir=$(dirname "$0")
[ $# -gt 0 ] || set -- "$dir"/*_test
pass=0 fail=0 skip=0
for t in "$@"; do
	case $t in */*) ;; *) t=$dir/$t ;; esac
	echo "# $(basename "$t")"
	"$t"
	case $? in
	0) pass=$((pass + 1)) ;;
	4) skip=$((skip + 1)) ;;
	*) fail=$((fail + 1)); echo "# FAILED $(basename "$t")" ;;
	esac
done
echo "# programs: $pass passed, $fail failed, $skip skipped"
[ $fail -eq 0 ]
