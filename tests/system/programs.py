# SPDX-License-Identifier: GPL-2.0-only
"""What the system tests run in their hosts and guests: programs of tests/selftests and of this folder, helper modules."""
import os
import shutil

import cache
import cpio
import oot

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def selftest(name, to):
    """Build one program into a folder."""
    out = cache.path("st", cache.key(cache.TOP), "st")
    with cache.lock(out + ".lock"):
        cache.run(["make", "-C", os.path.join(TESTS, "selftests"), f"OUT={out}", "-j" + cache.jobs(), f"{out}/{name}"],
                  log=cache.path("log", "selftests.log"), what="building the selftests")
        os.makedirs(to, exist_ok=True)
        shutil.copy2(os.path.join(out, name), to)


def static(name, to):
    """Build a program of this folder, for guests, into a folder; returns its path."""
    program = f"{to}/{name}"
    cache.run(["gcc", "-O2", "-Wall", "-static", "-o", program, os.path.join(TESTS, "system", name + ".c")], what=f"building {name}")
    return program


def guest(name, to):
    """The initramfs of a guest in which such a program is all there is; returns its path."""
    a = cpio.Archive()
    a.folder("dev")
    a.device("dev/console", 5, 1)
    a.file(static(name, to), "init")
    a.write(f"{to}/guest.cpio")
    return f"{to}/guest.cpio"


def module(kernel, name):
    """Build a module of this folder for a kernel; returns its path."""
    return oot.helper(kernel, os.path.join(TESTS, "system", name + ".c"))
