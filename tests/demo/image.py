# SPDX-License-Identifier: GPL-2.0-only
"""Makes the demo guest's disk: no mount and no privilege needed.

MBR with syslinux's boot code; a FAT partition with syslinux, systemd-boot (for UEFI), a kernel (Debian's, as it is, where
nothing else is asked for) and a small initramfs; an ext4 partition with a BusyBox user space and a 32 MiB file with its SHA-256.
"""
import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "host"))
import cache  # noqa: E402
import cpio  # noqa: E402

MIB = 1 << 20
FAT_AT, FAT_SIZE = MIB, 64 * MIB
EXT_AT, EXT_SIZE = FAT_AT + FAT_SIZE, 64 * MIB
MBR = "/usr/lib/syslinux/mbr/mbr.bin"
EFI = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
GUEST_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "crc32c_generic", "crc32c_intel")
CMDLINE = "console=ttyS0 panic=-1 net.ifnames=0"


def busybox_into(put_file, put_link, box, applets):
    put_file(box, "bin/busybox")
    for x in applets:
        if x != "bin/busybox":
            put_link(x, "/bin/busybox")


def initramfs(kernel, box, applets, modules, out):
    a = cpio.Archive()
    for d in ("proc", "sys", "dev", "mnt", "tmp"):
        a.folder(d)
    a.device("dev/console", 5, 1)
    busybox_into(a.file, a.link, box, applets)
    a.file(os.path.join(HERE, "guest-init"), "init")
    stage = out + ".modules"
    root = f"{stage}/lib/modules/{kernel.release}"
    os.makedirs(root)
    for m in modules:
        os.makedirs(os.path.dirname(f"{root}/{m}"), exist_ok=True)
        shutil.copy(f"{kernel.modules}/{m}", f"{root}/{m}")
    cache.run(["depmod", "-b", stage, kernel.release])
    a.tree(f"{root}", f"lib/modules/{kernel.release}")
    a.write(out)
    shutil.rmtree(stage)


def root_tree(top, box, applets):
    for d in ("proc", "sys", "dev", "tmp", "data", "etc"):
        os.makedirs(f"{top}/{d}")

    def put_file(src, name):
        os.makedirs(os.path.dirname(f"{top}/{name}"), exist_ok=True)
        shutil.copy(src, f"{top}/{name}")

    def put_link(name, target):
        os.makedirs(os.path.dirname(f"{top}/{name}"), exist_ok=True)
        os.symlink(target, f"{top}/{name}")
    busybox_into(put_file, put_link, box, applets)
    shutil.copy(f"{HERE}/guest-main", f"{top}/init")
    os.chmod(f"{top}/init", stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    # 32 MiB that no compression or page merging makes smaller, the same on every machine
    blob = b"".join(hashlib.sha512(struct.pack("<Q", i)).digest() for i in range(32 * MIB // 64))
    with open(f"{top}/data/blob", "wb") as f:
        f.write(blob)
    with open(f"{top}/data/SHA256SUMS", "w", encoding="ascii") as f:
        f.write(f"{hashlib.sha256(blob).hexdigest()}  blob\n")


def fat(kernel, initrd, cmdline, out):
    with open(out, "wb") as f:
        f.truncate(FAT_SIZE)
    env = dict(os.environ, MTOOLS_SKIP_CHECK="1")
    cache.run(["mkfs.vfat", "-F", "32", "-s", "1", "-h", str(FAT_AT // 512), "-n", "BOOT", out])
    cfg = out + ".cfg"
    files = {"syslinux.cfg": "SERIAL 0 115200\nDEFAULT linux\nPROMPT 0\nLABEL linux\n  SAY The boot loader loads the kernel.\n"
                             f"  LINUX /vmlinuz\n  INITRD /initrd\n  APPEND {cmdline}\n",
             "loader/loader.conf": "default demo.conf\ntimeout 0\n",
             "loader/entries/demo.conf": f"title demo\nlinux /vmlinuz\ninitrd /initrd\noptions {cmdline}\n"}
    cache.run(["mmd", "-i", out, "::/loader", "::/loader/entries", "::/EFI", "::/EFI/BOOT"], env=env)
    for name, text in files.items():
        with open(cfg, "w", encoding="ascii") as f:
            f.write(text)
        cache.run(["mcopy", "-i", out, cfg, "::/" + name], env=env)
    os.unlink(cfg)
    cache.run(["mcopy", "-i", out, kernel.image, "::/vmlinuz"], env=env)
    cache.run(["mcopy", "-i", out, initrd, "::/initrd"], env=env)
    cache.run(["mcopy", "-i", out, EFI, "::/EFI/BOOT/BOOTX64.EFI"], env=env)
    cache.run(["syslinux", "--install", out], env=env)


def partition(active, kind, at, size):
    return struct.pack("<B3sB3sII", 0x80 if active else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", at // 512, size // 512)


def make(kernel, box, applets, modules, more=""):
    """Path of the disk image, made when it is not in the cache. The guest's kernel says only what goes wrong, as Debian has
    it: each character on its serial console is two exits to user space. With VERBOSE=1 in the environment it says all.
    more: what its command line has besides."""
    quiet = not os.environ.get("VERBOSE")
    for f in (MBR, EFI):
        if not os.path.exists(f):
            raise cache.BuildError(f"{f} is missing: run tests/host/setup")
    cmdline = CMDLINE + (" " + more if more else "") + (" quiet" if quiet else "")
    inputs = [os.path.join(HERE, x) for x in ("guest-init", "guest-main", "image.py")] + [box, kernel.image, MBR, EFI]

    def build(tmp, _final):
        initramfs(kernel, box, applets, modules, f"{tmp}/initrd")
        root_tree(f"{tmp}/root", box, applets)
        fat(kernel, f"{tmp}/initrd", cmdline, f"{tmp}/fat")
        cache.run(["mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", "-d", f"{tmp}/root", f"{tmp}/ext4", str(EXT_SIZE // 1024)])
        with open(f"{tmp}/disk", "wb") as d:
            d.write(cache.read(MBR)[:440].ljust(440, b"\0") + b"demo\0\0" + partition(True, 0x0c, FAT_AT, FAT_SIZE)
                    + partition(False, 0x83, EXT_AT, EXT_SIZE) + bytes(32) + b"\x55\xaa")
            for name, at in (("fat", FAT_AT), ("ext4", EXT_AT)):
                d.seek(at)
                d.write(cache.read(f"{tmp}/{name}"))
            d.truncate(EXT_AT + EXT_SIZE + MIB)
        for x in ("fat", "ext4", "initrd"):
            os.unlink(f"{tmp}/{x}")
        shutil.rmtree(f"{tmp}/root")

    return os.path.join(cache.entry("demo/" + cache.tree_key(inputs) + "".join("-" + w.replace("=", "-") for w in more.split()) + ("" if quiet else "-verbose"), build,
                                    "making the demo guest's disk"), "disk")
