# SPDX-License-Identifier: GPL-2.0-only
"""What the system tests run in their hosts: programs of tests/selftests, and helper modules of this folder."""
import os
import shutil

import cache

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def selftest(name, to):
    """Build one program into a folder."""
    out = cache.path("st", cache.key(cache.TOP), "st")
    with cache.lock(out + ".lock"):
        cache.run(["make", "-C", os.path.join(TESTS, "selftests"), f"OUT={out}", "-j" + cache.jobs(), f"{out}/{name}"],
                  log=cache.path("log", "selftests.log"), what="building the selftests")
        os.makedirs(to, exist_ok=True)
        shutil.copy2(os.path.join(out, name), to)


def module(kernel, name, to):
    """Build a module of this folder for a kernel, in a folder of its own; returns its path."""
    os.makedirs(to)
    shutil.copy(os.path.join(TESTS, "system", name + ".c"), to)
    with open(os.path.join(to, "Kbuild"), "w", encoding="utf-8") as f:
        f.write(f"obj-m := {name}.o\n")
    cache.run(["make", "-C", kernel.kdir, f"M={to}", "modules"], what=f"building {name}.ko")
    return os.path.join(to, name + ".ko")
