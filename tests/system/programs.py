# SPDX-License-Identifier: GPL-2.0-only
"""Programs of tests/selftests that the system tests run in their hosts."""
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
