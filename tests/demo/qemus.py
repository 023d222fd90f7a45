# SPDX-License-Identifier: GPL-2.0-only
"""Debian's QEMUs for the demo: the installed one, and 10 from Debian's archive, unpacked privately."""
import glob
import os
import shutil

import cache
import debs
from cache import BuildError

ROMS = ("/usr/share/seabios", "/usr/share/qemu/kvmvapic.bin", "/usr/share/qemu/linuxboot_dma.bin",
        "/usr/lib/ipxe/qemu/efi-virtio.rom")


class Qemu:
    """version; files: what --add takes; ovmf_args: QEMU's arguments for OVMF; env, env_here: what to put before the command in
    an emulated host and on this machine."""

    def __init__(self, version, files, ovmf_args, env="", env_here=""):
        self.version, self.files, self.ovmf_args, self.env, self.env_here = version, files, ovmf_args, env, env_here


def ovmf():
    code, variables = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
    if not os.path.exists(code):
        raise BuildError("ovmf is not installed: run tests/host/setup")
    args = (f"-drive if=pflash,format=raw,readonly=on,file={code} "
            f"-drive if=pflash,format=raw,snapshot=on,file={variables}")
    return [f"{code}:{code}", f"{variables}:{variables}"], args


def installed():
    q = shutil.which("qemu-system-x86_64")
    if not q:
        raise BuildError("qemu-system-x86 is not installed: run tests/host/setup")
    version = cache.run([q, "--version"]).split()[3].split("(")[0]
    files, args = ovmf()
    roms = [f"{os.path.realpath(r)}:{r}" for r in ROMS if os.path.exists(r)]
    return Qemu(version, [f"{os.path.realpath(q)}:/usr/bin/qemu-system-x86_64"] + roms + files, args)


# Of the closure of QEMU's package: what no guest on KVM without a display needs.
WITHOUT = r"debconf|openssl.*|perl.*|adduser|passwd|login.*|libpam.*|libc-gconv.*|libsemanage.*|ovmf"
RUN = """#!/bin/sh
# $1 is the name of the program, which this script replaces.
shift
cd=$(dirname "$0")
exec $cd/ld.so --library-path $cd/lib $cd/qemu -L $cd/share "$@"
"""


def debian_13():
    """QEMU 10 of Debian 13, with the loader, libraries and firmware that it needs, below /add/q10 in the host."""
    def make(tmp, _final):
        root = f"{tmp}/root"
        debs.fetch(("trixie",), root, lambda apt: apt.with_dependencies(["qemu-system-x86", "seabios", "ipxe-qemu"], WITHOUT))
        for d in ("q10/lib", "q10/share"):
            os.makedirs(f"{tmp}/{d}")
        loader, qemu = f"{root}/{debs.LOADER}", f"{root}/usr/bin/qemu-system-x86_64"
        text = cache.run([loader, "--library-path", f"{root}/{debs.LIBRARIES}", "--list", qemu], what="QEMU 10's libraries")
        for line in text.splitlines():
            where = line.partition(" => ")[2].split(" (")[0].strip()
            if "ld-linux" in line:
                continue
            if where.startswith(root):
                shutil.copy(where, f"{tmp}/q10/lib/{line.split()[0]}")
            elif "linux-vdso" not in line:
                raise BuildError(f"QEMU 10: {line.strip()}")
        shutil.copy(loader, f"{tmp}/q10/ld.so")
        shutil.copy(qemu, f"{tmp}/q10/qemu")
        for name in ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "efi-virtio.rom"):
            found = [f for f in glob.glob(f"{root}/usr/**/{name}", recursive=True) if os.path.isfile(f)]
            if not found:
                raise BuildError(f"QEMU 10: no {name} in its packages")
            shutil.copy(found[0], f"{tmp}/q10/share")
        with open(f"{tmp}/q10/run", "w", encoding="utf-8") as f:
            f.write(RUN)
        version = cache.run([loader, "--library-path", f"{tmp}/q10/lib", qemu, "--version"]).split()[3].split("(")[0]
        with open(f"{tmp}/version", "w", encoding="utf-8") as f:
            f.write(version)
        shutil.rmtree(root)

    d = cache.entry("qemu/10-" + cache.key(cache.read(__file__)), make, "fetching QEMU 10 of Debian 13 (once)")
    files, args = ovmf()
    return Qemu(cache.read(f"{d}/version").decode(), [f"{d}/q10:/add/q10"] + files, args, "sh /add/q10/run", f"sh {d}/q10/run")


def get(name):
    return installed() if name == "7" else debian_13()
