# SPDX-License-Identifier: GPL-2.0-only
"""Debian's QEMUs for the demo: the installed one, and 10 from Debian's archive, unpacked privately."""
import glob
import os
import shutil

import cache
from cache import BuildError

ROMS = ("/usr/share/seabios", "/usr/share/qemu/kvmvapic.bin", "/usr/share/qemu/linuxboot_dma.bin",
        "/usr/lib/ipxe/qemu/efi-virtio.rom")


class Qemu:
    """version; files: what --add takes; env: put before the command; ovmf_args: QEMU's arguments for OVMF."""

    def __init__(self, version, files, env="", ovmf_args=""):
        self.version, self.files, self.env, self.ovmf_args = version, files, env, ovmf_args


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
    return Qemu(version, [f"{os.path.realpath(q)}:/usr/bin/qemu-system-x86_64"] + roms + files, "", args)


def get(name):
    if name == "7":
        return installed()
    raise BuildError("QEMU=10: not there yet")
