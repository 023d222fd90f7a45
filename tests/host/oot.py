# SPDX-License-Identifier: GPL-2.0-only
"""Builds our modules for one kernel, and the helpers of tests, in a copy of the sources outside the checkout.

The kernel's build puts its objects beside the sources, so two kernels need two copies. A copy keeps the time of every
file, so a second build after a small change is as quick as in the checkout.
"""
import os
import shutil
import subprocess

import cache
from cache import BuildError

SOURCES = ("Kbuild", "module", "arch", "include", "tests/kunit")
KEEP = (".c", ".h", ".S", ".inc", ".lds")
NAMES = ("Kbuild", "Makefile", "Kbuild.inc")


def wanted(top):
    """Every source file of the modules, relative to the checkout."""
    for s in SOURCES:
        p = os.path.join(top, s)
        if os.path.isfile(p):
            yield s
        for d, dirs, files in os.walk(p):
            dirs.sort()
            for f in sorted(files):
                if (f.endswith(KEEP) and not f.endswith(".mod.c")) or f in NAMES:
                    yield os.path.relpath(os.path.join(d, f), top)


def sync(top, to):
    """Make `to` hold the sources as they are now; returns whether a file went away (old objects must go too)."""
    have = set(wanted(to))
    now = list(wanted(top))
    for f in now:
        src, dst = os.path.join(top, f), os.path.join(to, f)
        s = os.stat(src)
        try:
            d = os.stat(dst)
            if d.st_size == s.st_size and d.st_mtime_ns == s.st_mtime_ns:
                continue
        except FileNotFoundError:
            os.makedirs(os.path.dirname(dst), exist_ok=True)
        shutil.copy2(src, dst)
    for f in have - set(now):
        os.unlink(os.path.join(to, f))


def folder(kernel, kunit=False, what=""):
    kind = "-kunit" if kunit else "-" + what if what else ""
    return cache.path("oot", f"{kernel.name}-{kernel.release}{kind}-{cache.key(cache.TOP)}")


def make(kernel, to, *args):
    """The kernel's build in a folder that has our sources; returns the ended process, its output in stdout."""
    return subprocess.run(["make", "-C", kernel.kdir, f"M={to}", "-j" + cache.jobs(), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def build(kernel, kunit=False, extra=()):
    """Build the modules; returns (folder, {module name: its bytes}). The caller's text on failure is the compiler's."""
    to = folder(kernel, kunit)
    os.makedirs(to, exist_ok=True)
    log = cache.path("log", os.path.basename(to) + ".log")
    with cache.lock(to + ".lock"):
        sync(cache.TOP, to)
        p = make(kernel, to, "modules", *extra, *(["KVM_KUNIT=1"] if kunit else []))
        with open(log, "wb") as f:
            f.write(p.stdout)
        if p.returncode:
            lines = p.stdout.decode(errors="replace").replace(to + "/", "").splitlines()
            bad = [x for x in lines if "error:" in x or "ERROR:" in x or "undefined!" in x or "No rule" in x]
            raise BuildError("\n".join((bad or lines)[-30:] + [f"building the modules for {kernel.name} failed; "
                                                               f"whole output in {log}"]))
        kos = [f for f in os.listdir(to) if f.endswith(".ko")]
        if not kos:
            raise BuildError(f"the build for {kernel.name} made no module; see {log}")
        return to, {f[:-3]: cache.read(os.path.join(to, f)) for f in kos}


def helper(kernel, source):
    """Build a module that is one file, a helper of tests; returns its path, NAME.ko."""
    name = os.path.basename(source)[:-2]

    def compile_in(tmp, _final):
        shutil.copy(source, tmp)
        with open(os.path.join(tmp, "Kbuild"), "w", encoding="utf-8") as f:
            f.write(f"obj-m := {name}.o\n")
        cache.run(["make", "-C", kernel.kdir, f"M={tmp}", "modules"], what=f"building {name}.ko")

    key = cache.key(kernel.kdir, kernel.release, cache.read(source))
    return os.path.join(cache.entry(f"oot/helper-{name}-{key}", compile_in), name + ".ko")
