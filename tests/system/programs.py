# SPDX-License-Identifier: GPL-2.0-only
"""What the system tests run in their hosts: programs of tests/selftests, and helper modules of this folder."""
import os
import shutil

import cache
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


def module(kernel, name):
    """Build a module of this folder for a kernel; returns its path."""
    return oot.helper(kernel, os.path.join(TESTS, "system", name + ".c"))
