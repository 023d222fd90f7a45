# SPDX-License-Identifier: GPL-2.0-only
"""Writes initramfs archives (cpio, "newc"): no privilege needed, and the same input gives the same bytes."""
import os
import stat
import subprocess


class Archive:
    """Collects files by their name in the archive; a later one replaces an earlier one."""

    def __init__(self):
        self.items = {}

    def _parents(self, name):
        parts = name.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            self.items.setdefault("/".join(parts[:i]), (stat.S_IFDIR | 0o755, b"", (0, 0)))

    def _put(self, name, mode, data=b"", dev=(0, 0)):
        name = os.path.normpath(name).lstrip("/")
        self._parents(name)
        self.items[name] = (mode, data, dev)

    def folder(self, name, mode=0o755):
        self._put(name, stat.S_IFDIR | mode)

    def text(self, name, data, mode=0o644):
        self._put(name, stat.S_IFREG | mode, data if isinstance(data, bytes) else data.encode())

    def link(self, name, target):
        self._put(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor, mode=0o600):
        self._put(name, stat.S_IFCHR | mode, b"", (major, minor))

    def file(self, src, name):
        """A file, followed if it is a link: the data is read only when the archive is written."""
        self._put(name, stat.S_IFREG | stat.S_IMODE(os.stat(src).st_mode), src)

    def tree(self, src, name):
        """A file or a whole folder (links inside are kept), with the shared libraries that its programs need.

        A folder that holds a loader of its own, ld.so, holds its libraries too.
        """
        found = []
        if os.path.isdir(src):
            self.folder(name)
            for d, dirs, files in os.walk(src):
                at = os.path.normpath(os.path.join(name, os.path.relpath(d, src)))
                for f in sorted(dirs + files):
                    p, n = os.path.join(d, f), os.path.join(at, f)
                    if os.path.islink(p):
                        self.link(n, os.readlink(p))
                    elif os.path.isdir(p):
                        self.folder(n)
                    elif os.path.isfile(p):
                        self.file(p, n)
                        found.append(p)
        else:
            self.file(src, name)
            found.append(src)
        if os.path.exists(os.path.join(src, "ld.so")):
            return
        for p in found:
            for lib in libraries(p):
                if lib.lstrip("/") not in self.items:
                    self.file(lib, lib)

    def write(self, path):
        with open(path, "wb") as out:
            for ino, (name, (mode, data, dev)) in enumerate(self.items.items(), 1):
                if isinstance(data, str):
                    with open(data, "rb") as f:
                        data = f.read()
                self._entry(out, name, ino, mode, data, dev)
            self._entry(out, "TRAILER!!!", 0, 0, b"", (0, 0))
            out.write(b"\0" * (-out.tell() % 512))

    @staticmethod
    def _entry(out, name, ino, mode, data, dev):
        n = name.encode() + b"\0"
        head = "070701" + "".join(f"{x:08x}" for x in (ino, mode, 0, 0, 1, 0, len(data), 0, 0, *dev, len(n), 0))
        out.write(head.encode() + n)
        out.write(b"\0" * (-out.tell() % 4))
        out.write(data)
        out.write(b"\0" * (-out.tell() % 4))


def libraries(path):
    """Shared libraries (and the loader) of an ELF file; empty for anything else and for static programs."""
    with open(path, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return []
    if path.endswith((".ko", ".o")):
        return []
    p = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    libs = []
    for line in p.stdout.decode().splitlines():
        words = line.split()
        if "=>" in words and len(words) > 2 and words[2].startswith("/"):
            libs.append(words[2])
        elif words and words[0].startswith("/"):
            libs.append(words[0])
    return libs
