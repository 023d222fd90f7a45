# SPDX-License-Identifier: GPL-2.0-only
"""Which kernels there are: what to build modules against, and what to boot.

6.1    Debian 12's own packages, as installed.
debug  built here from Debian's linux-source-6.1 and kconfig.debug.
small  built here from the same source and kconfig.small: for an emulator that takes long to boot Debian's own.
6.12   Debian 12's newer kernel, from its security updates or backports: its headers, and where it is to boot its image, unpacked
       here.
7.2    likewise from Debian sid, with the compiler that it is built with, see debs.py.
"""
import glob
import gzip
import lzma
import os
import re
import shutil
import struct
import subprocess
import zlib

import cache
import cpio
import debs
from cache import BuildError

NAMES = ("6.1", "6.12", "7.2", "debug", "small")
# Where the kernels come from that are not the machine's.
SUITES = {"6.12": ("bookworm-security", "bookworm-backports"), "7.2": ("sid",)}


class NotHere(BuildError):
    """A kernel that these scripts cannot get."""


class Kernel:
    """A kernel: release, KDIR (build directory), image to boot, directory that holds its modules (or None), ELF file (or None)."""

    def __init__(self, name, release, kdir, image=None, modules=None, elf=None):
        self.name, self.release, self.kdir, self.image, self.modules, self.elf = name, release, kdir, image, modules, elf


def version_sort(names):
    return sorted(names, key=lambda s: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", s)])


def debian_61():
    """Newest installed Debian 6.1 that has both its image and its headers."""
    found = [r for r in version_sort(os.path.basename(d) for d in glob.glob("/lib/modules/6.1.*-amd64"))
             if os.path.exists(f"/boot/vmlinuz-{r}") and os.path.isdir(f"/lib/modules/{r}/build/")
             and os.path.isdir(f"/lib/modules/{r}/kernel")]
    if not found:
        raise BuildError("no Debian 6.1 kernel with headers here: run tests/host/setup")
    r = found[-1]
    return Kernel("6.1", r, f"/lib/modules/{r}/build", f"/boot/vmlinuz-{r}", f"/lib/modules/{r}")


def unpacked(kernel):
    """The ELF file in a kernel's image (Documentation/x86/boot.rst: payload_offset, payload_length), for who loads it himself."""
    image = cache.read(kernel.image)
    start, size = struct.unpack_from("<II", image, 0x248)
    start += (image[0x1f1] + 1) * 512
    packed = image[start:start + size]

    def make(tmp, _final):
        if packed[:6] == b"\xfd7zXZ\0":
            data = lzma.LZMADecompressor().decompress(packed)
        elif packed[:2] == b"\x1f\x8b":
            data = zlib.decompressobj(31).decompress(packed)
        elif packed[:4] == b"\x28\xb5\x2f\xfd":
            # the last word is the kernel's own: the size
            data = subprocess.run(["zstd", "-dcq"], input=packed[:-4], stdout=subprocess.PIPE, check=True).stdout
        else:
            raise BuildError(f"{kernel.image} is compressed in a way that is not known here")
        if data[:4] != b"\x7fELF":
            raise BuildError(f"{kernel.image} has no ELF file in it")
        with open(f"{tmp}/vmlinux", "wb") as f:
            f.write(data)
    return cache.entry("kernel/unpacked-" + cache.key(packed), make) + "/vmlinux"


def package_version(package):
    p = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, check=False)
    return p.stdout.decode().strip()


def source_61():
    """Debian's linux-source-6.1, unpacked; returns (path, package version)."""
    tar = "/usr/src/linux-source-6.1.tar.xz"
    version = package_version("linux-source-6.1")
    if not version or not os.path.exists(tar):
        raise BuildError("linux-source-6.1 is not installed: run tests/host/setup")

    def make(tmp, _final):
        cache.run(["tar", "-xJf", tar, "-C", tmp, "--strip-components=1"], what="unpacking linux-source-6.1")
    return cache.entry(f"src/linux-{version}", make, f"unpacking linux-source-6.1 {version}"), version


# What headers_install and the build of tools/testing/selftests/kvm read.
PART = ("Makefile", "Kbuild", "arch/x86", "include", "scripts", "tools", "usr")


def source(series):
    """Debian's linux-source of a series, as much as the selftests take to build; returns (path, package version)."""
    if series == "6.1":
        return source_61()
    package = f"linux-source-{series}"

    def make(tmp, _final):
        debs.fetch(SUITES[series], f"{tmp}/root", lambda apt: [package])
        os.makedirs(f"{tmp}/linux")
        tar = f"{tmp}/root/usr/src/{package}.tar.xz"
        cache.run(["tar", "-xJf", tar, "-C", f"{tmp}/linux", "--strip-components=1", *[f"{package}/{x}" for x in PART]],
                  what=f"unpacking {package}")
        with gzip.open(f"{tmp}/root/usr/share/doc/{package}/changelog.Debian.gz", "rt", encoding="utf-8") as f:
            version = re.match(r"^\S+ \(([^)]+)\)", f.readline())[1]
        with open(f"{tmp}/version", "w", encoding="utf-8") as f:
            f.write(version)
        shutil.rmtree(f"{tmp}/root")
    d = cache.entry(f"src/{package}", make, f"fetching {package} (once; 150 MiB)")
    return f"{d}/linux", cache.read(f"{d}/version").decode()


def check_config(fragment, config):
    """Every line of the fragment must have survived; returns those that did not."""
    have = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", cache.read(config).decode(), re.M))
    want = re.findall(r"^(CONFIG_\w+)=(.*)$", cache.read(fragment).decode(), re.M)
    return [f"{n}={v}" for n, v in want if have.get(n, "n") != v]


def own_kernel(kind, effort):
    """Build a kernel of our own configuration, once for each fragment, source package and compiler."""
    fragment = os.path.join(cache.HERE, "kconfig." + kind)
    src, version = source_61()
    gcc = cache.run(["gcc", "-dumpfullversion"])
    name = f"kernel/{kind}-" + cache.key(cache.read(fragment), version, gcc)

    def make(tmp, final):
        # kbuild writes the path of its output directory into a few files, so build under the final name: the temporary
        # directory only marks completion.
        out = final + ".build"
        log = cache.path("log", os.path.basename(name) + ".log")
        os.makedirs(out, exist_ok=True)
        mk = ["nice", "-n", "10", "make", "-s", "-C", src, f"O={out}", "KBUILD_BUILD_TIMESTAMP=1970-01-01",
              "KBUILD_BUILD_USER=kvm-oot", "KBUILD_BUILD_HOST=kvm-oot"]
        cache.run(mk + [f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"], what=f"configuring the {kind} kernel")
        lost = check_config(fragment, os.path.join(out, ".config"))
        if lost:
            raise BuildError(f"kconfig.{kind} asks for what this kernel does not take: " + " ".join(lost))
        cache.run(mk + ["-j" + cache.jobs(), "bzImage", "modules"], log=log, what=f"building the {kind} kernel")
        mods = os.path.join(tmp, "lib/modules", cache.read(f"{out}/include/config/kernel.release").decode().strip())
        os.makedirs(os.path.join(mods, "kernel"))
        for ko in glob.glob(out + "/**/*.ko", recursive=True):
            cache.run(["cp", ko, os.path.join(mods, "kernel")])
        for f in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if os.path.exists(f"{out}/{f}"):
                cache.run(["cp", f"{out}/{f}", mods])
        cache.run(["depmod", "-b", tmp, os.path.basename(mods)])
        os.symlink(out, os.path.join(tmp, "build"))

    d = cache.entry(name, make, f"building the {kind} kernel (once; {effort} of CPU)")
    release = cache.read(f"{d}/build/include/config/kernel.release").decode().strip()
    return Kernel(kind, release, f"{d}/build", f"{d}/build/arch/x86/boot/bzImage", f"{d}/lib/modules/{release}",
                  f"{d}/build/vmlinux")


# Of the closure of sid's compiler and kernel headers: what building a module never starts or opens.
WITHOUT = r"lib(asan|tsan|lsan|hwasan|ubsan|itm|quadmath|gomp|atomic)\d.*|debconf|libc-gconv.*|linux-base.*|openssl.*|perl.*"


def at_home(root, final):
    """Debian's headers name each other by absolute paths: let them find each other below `final`."""
    for f in glob.glob(f"{root}/usr/src/linux-headers-*/Makefile") + glob.glob(f"{root}/usr/src/linux-headers-*/.kernelvariables"):
        text = cache.read(f).decode()
        with open(f, "w", encoding="utf-8") as out:
            out.write(re.sub(r"(?<![\w./])/usr/(src|lib)/linux-", rf"{final}/usr/\1/linux-", text))


def headers(name, suites, foreign):
    """Debian's headers of kernel series `name` from the suites, unpacked in the cache; what is there stays as it is."""
    def choose(apt):
        series = re.escape(name)
        found = version_sort(apt.names(rf"linux-headers-{series}\.\d+\+deb\d+-amd64"))
        if not found:
            raise debs.NotThere(f"Debian's archive has no {name} headers in {' or '.join(suites)}")
        if foreign:
            return apt.with_dependencies([found[-1], "binutils"], WITHOUT)
        stem = found[-1][len("linux-headers-"):-len("-amd64")]
        return [found[-1], f"linux-headers-{stem}-common", f"linux-kbuild-{stem}"]

    def make(tmp, final):
        debs.fetch(suites, f"{tmp}/root", choose)
        if foreign:
            tools = f"{tmp}/root/usr/x86_64-linux-gnu/bin"
            os.makedirs(tools, exist_ok=True)
            for t in ("as", "ld"):
                os.symlink(f"../../bin/x86_64-linux-gnu-{t}", f"{tools}/{t}")
            debs.wrap(f"{tmp}/root", f"{final}/root")
            kv = glob.glob(f"{tmp}/root/usr/src/linux-headers-*-amd64/.kernelvariables")[0]
            with open(kv, "a", encoding="utf-8") as f:
                f.write(f"override CROSS_COMPILE = {final}/root/usr/bin/x86_64-linux-gnu-\n"
                        f"override PAHOLE = {final}/root/usr/bin/pahole\n")
        else:
            # The BTF of our modules would need a pahole on this machine; without vmlinux the build leaves it out.
            for f in glob.glob(f"{tmp}/root/usr/src/linux-headers-*-amd64/vmlinux"):
                os.unlink(f)
        at_home(f"{tmp}/root", f"{final}/root")

    try:
        d = cache.entry(f"headers/{name}", make, f"fetching Debian's {name} headers (once)")
    except debs.NotThere as e:
        raise NotHere(str(e)) from None
    kdir = glob.glob(f"{d}/root/usr/src/linux-headers-{name}*-amd64")[0]
    return Kernel(name, os.path.basename(kdir)[len("linux-headers-"):], kdir)


def with_image(kernel):
    """The kernel with its image and its modules, which are fetched where it has its headers only."""
    if kernel.image:
        return kernel
    suites, release = SUITES[kernel.name], kernel.release

    def choose(apt):
        # one package, or since 7.1 several
        found = apt.names(rf"linux-(image|binary|modules)-{re.escape(release)}")
        if not found:
            raise debs.NotThere(f"Debian's archive has no image of {release} (any more), which headers/{kernel.name} in the cache "
                                "are of: without those, the newest is fetched")
        return found

    def make(tmp, _final):
        debs.fetch(suites, f"{tmp}/root", choose)
        root = f"{tmp}/root"
        os.makedirs(f"{tmp}/lib/modules")
        modules = glob.glob(f"{root}/usr/lib/modules/{release}") or glob.glob(f"{root}/lib/modules/{release}")
        images = glob.glob(f"{root}/boot/vmlinuz-{release}") or glob.glob(f"{root}/**/vmlinuz*", recursive=True)
        if not modules or not images:
            raise BuildError(f"Debian's packages of {release} have no image or no modules where they are looked for")
        shutil.move(images[0], f"{tmp}/vmlinuz")
        shutil.move(modules[0], f"{tmp}/lib/modules/{release}")
        cache.run(["depmod", "-b", tmp, release])
        shutil.rmtree(root)
    d = cache.entry(f"kernel/{release}", make, f"fetching Debian's {release} kernel (once; 100 MiB)")
    return Kernel(kernel.name, release, kernel.kdir, f"{d}/vmlinuz", f"{d}/lib/modules/{release}")


def get(name):
    """A kernel; 6.12 and 7.2 without an image, see with_image()."""
    if name == "6.1":
        return debian_61()
    if name == "debug":
        return own_kernel("debug", "10 to 20 minutes")
    if name == "small":
        return own_kernel("small", "5 to 10 minutes")
    if name == "6.12":
        return headers(name, SUITES[name], foreign=False)
    return headers(name, SUITES[name], foreign=True)


def debian_32(pae):
    """Debian's 32-bit kernel, with or without PAE, for a guest; and the path of a static BusyBox of its kind."""
    flavour = "686-pae" if pae else "686"

    def choose(apt):
        images = version_sort(apt.names(rf"linux-image-6\.1\.0-\d+-{flavour}"))
        if not images:
            raise debs.NotThere(f"Debian's archive has no 6.1 kernel for {flavour}")
        return [images[-1], "busybox-static"]

    def make(tmp, _final):
        debs.fetch(("bookworm",), f"{tmp}/root", choose, arch="i386")
        release = os.path.basename(glob.glob(f"{tmp}/root/lib/modules/*")[0])
        cache.run(["depmod", "-b", f"{tmp}/root", release])

    root = os.path.join(cache.entry(f"kernel/{flavour}", make, f"fetching Debian's {flavour} kernel"), "root")
    release = os.path.basename(glob.glob(f"{root}/lib/modules/*")[0])
    return (Kernel(flavour, release, None, f"{root}/boot/vmlinuz-{release}", f"{root}/lib/modules/{release}"),
            f"{root}/bin/busybox")


def with_dependencies(kernel, names):
    """Paths (relative to the module directory) of modules and all that they need; those built in are left out."""
    deps, by_name = {}, {}
    with open(os.path.join(kernel.modules, "modules.dep"), encoding="utf-8") as f:
        for line in f:
            path, _, need = line.partition(":")
            deps[path] = need.split()
            by_name[re.sub(r"\.ko.*$", "", os.path.basename(path)).replace("-", "_")] = path
    todo = [by_name[n.replace("-", "_")] for n in names if n.replace("-", "_") in by_name]
    found = []
    while todo:
        p = todo.pop()
        if p not in found:
            found.append(p)
            todo += deps[p]
    return sorted(found)


def busybox():
    b = shutil.which("busybox")
    if not b or cpio.libraries(os.path.realpath(b)):
        raise BuildError("busybox-static is not installed: run tests/host/setup")
    applets = subprocess.run([b, "--list-full"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    return os.path.realpath(b), applets
