# SPDX-License-Identifier: GPL-2.0-only
#
# make            build kvm.ko, kvm-amd.ko and kvm-intel.ko for the running kernel, or for KDIR=
# make install    to /lib/modules/RELEASE/updates/ of that kernel (as root)
# make demo       boot a guest with QEMU on our modules, in an emulated host
# make check      all tests, in emulated hosts
# make bench      instructions of a round trip, ours beside the kernel's own modules, on both vendors
# make check-upstream   the kernel's own selftests: docs/selftests-6.1.md; CPU=amd or intel: one of the two; KSELFTESTS=6.12 or
#                 7.2: that kernel's, docs/selftests-6.12.md, -7.2.md; PAGING=shadow: without nested paging
# make check-migration  a working guest between two emulated hosts, TIMES (20) in each direction, then savevm and loadvm; CPU=, MODULE=in-tree;
#                 TO=: the second host is of the other vendor (no savevm then)
# make check-libvirt    Debian's libvirt drives a domain: tests/system/libvirt; CPU=amd (default) or intel; MODULE=in-tree, to compare
# make sparse checkpatch kernel-doc   the checkers alone
# make clean

MAKEFLAGS += --no-print-directory

# The running kernel if its headers are here, else the newest kernel that has.
ifeq ($(KDIR),)
KDIR := $(wildcard /lib/modules/$(shell uname -r)/build)
ifeq ($(KDIR),)
KDIR := $(shell ls -d /lib/modules/*/build /usr/src/linux-headers-*[0-9]-amd64 2>/dev/null | \
	awk '{ r = $$0; sub("^/lib/modules/", "", r); sub("^/usr/src/linux-headers-", "", r); sub("/build$$", "", r); print r, $$0 }' | \
	sort -V | tail -1 | cut -d" " -f2)
KDIR_NOTE := yes
endif
endif
PYTHON ?= python3
W ?=
C ?=

all: modules

modules: kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(W),W=$(W)) $(if $(C),C=$(C)) modules

kdir:
ifeq ($(KDIR),)
	@echo "no kernel headers here: run tests/host/setup, or give KDIR=" >&2; exit 1
endif
ifneq ($(KDIR_NOTE),)
	@echo "The running kernel, $(shell uname -r), has no headers here: building for $(KDIR) (KDIR= chooses another)"
endif

install: kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_DIR=updates modules_install

setup:
	@tests/host/setup

demo: setup
	@tests/demo/run

check: setup
	@tests/check

bench: setup
	@tests/bench/run

check-upstream: setup
	@tests/kselftests/run $(if $(KSELFTESTS),--selftests $(KSELFTESTS)) $(if $(CPU),--cpu $(CPU)) $(if $(PAGING),--paging $(PAGING))

MIGRATION = --cpu $(or $(CPU),amd) --module $(or $(MODULE),oot) --times $(or $(TIMES),20)
check-migration: setup
	@tests/system/twohosts $(MIGRATION) $(if $(TO),--to $(TO))
ifeq ($(TO),)
	@tests/system/twohosts --saves $(MIGRATION)
endif

check-libvirt: setup
	@tests/system/libvirt $(if $(CPU),--cpu $(CPU)) $(if $(MODULE),--module $(MODULE))

sparse: setup
	@tests/check --only build-6.1

checkpatch kernel-doc: setup
	@tests/check --only $@

clean:
	@rm -rf build
	@find . -name .git -prune -o \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name '*.o.d' -o -name '*.symvers' -o -name modules.order \) -type f -exec rm -f {} +
	@if [ -d tests/selftests ]; then $(MAKE) -s -C tests/selftests clean; fi

.PHONY: all modules kdir install setup demo check bench check-upstream check-migration check-libvirt sparse checkpatch kernel-doc clean
