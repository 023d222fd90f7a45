# SPDX-License-Identifier: GPL-2.0-only
"""The Intel host's emulator: Bochs, which interprets one instruction after the other, and has a broad VMX.

It is built here, once, from the source of Debian 13's package (3.0) with the patches in bochs/, each of which says what it is
for. Why not Debian 12's own 2.7: a third of the speed, no APIC virtualization and no posted interrupts, and the fault that
1-interrupt-mask.patch cures.

The host is not booted by firmware and boot loader from a file system, which would take longer than Linux itself: the first
sector of a raw disk (bochs/boot.S) loads the parts of the kernel's ELF file and the initramfs to where they belong and jumps to
the kernel's 64-bit entry. So nothing has to be decompressed or moved by emulated instructions. (Not the PVH entry: its code is
not fit for a kernel with KASAN.)
"""
import glob
import os
import random
import shutil
import struct

import cache
import debs
from cache import BuildError

SUITE, SOURCE = "trixie", "bochs_3.0+dfsg.orig.tar.xz"
CONFIGURE = ("--enable-cpu-level=6", "--enable-x86-64", "--enable-smp", "--enable-vmx=2", "--enable-svm", "--enable-avx",
             "--enable-evex", "--enable-all-optimizations", "--enable-pci", "--enable-e1000", "--disable-debugger",
             "--disable-show-ips", "--disable-docbook", "--with-nogui")
HERE = os.path.join(cache.HERE, "bochs")

# CPU models with virtualization that Linux 6.1 boots on, the default first. What each of them lacks is in README.md.
MODELS = {
    "intel": ("corei7_skylake_x", "core2_penryn_t9600", "corei5_lynnfield_750", "corei5_arrandale_m520",
              "corei7_sandy_bridge_2600k", "corei7_ivy_bridge_3770k", "corei7_haswell_4770", "broadwell_ult", "corei3_cnl"),
    "amd": ("ryzen",)}
MAX_CPUS = 8
# Where its disks are, for Bochs and for Linux (SCSI addresses); the host is loaded from the first.
PLACES = ("ata0-master", "ata0-slave", "ata1-master", "ata1-slave")
DISKS = ("0:0:0:0", "0:0:1:0", "1:0:0:0", "1:0:1:0")
MAX_DISKS = len(DISKS) - 1
IO_HOLE = 3072     # MiB: RAM beyond is above 4 GiB
PARAMETERS = 0x10000
FIRMWARE = 0x20000     # at the end of the RAM below the hole: ACPI tables


def installed():
    """The folder that has bochs and its BIOS; built when it is not there."""
    patches = sorted(glob.glob(f"{HERE}/*.patch"))
    name = "bochs/" + cache.key(SUITE, SOURCE, *CONFIGURE, *[cache.read(p) for p in patches],
                                cache.run(["g++", "-dumpfullversion"]))
    log = cache.path("log", os.path.basename(name) + "-bochs.log")

    def make(tmp, _final):
        home, src = f"{tmp}/apt", f"{tmp}/src"
        os.makedirs(src)
        os.makedirs(home)
        apt = debs.Apt(home, (SUITE,), sources=True)
        apt.upstream("bochs", tmp)
        if not os.path.exists(f"{tmp}/{SOURCE}"):
            raise BuildError(f"Debian's {SUITE} has no {SOURCE} any more, but " + " ".join(
                os.path.basename(f) for f in glob.glob(f"{tmp}/*.tar.*")))
        apt.unpack(["bochsbios"], f"{tmp}/bios")
        cache.run(["tar", "-xJf", f"{tmp}/{SOURCE}", "-C", src, "--strip-components=1"], what="unpacking Bochs")
        for p in patches:
            with open(p, "rb") as f:
                cache.run(["patch", "-s", "-p1", "-F0"], cwd=src, stdin=f, what=f"applying {os.path.basename(p)}")
        env = dict(os.environ, CXXFLAGS="-O3 -fomit-frame-pointer -pipe", CFLAGS="-O3 -pipe")
        cache.run(["./configure", *CONFIGURE], cwd=src, env=env, log=log, what="configuring Bochs")
        cache.run(["nice", "-n", "5", "make", "-s", "-j" + cache.jobs(), "bochs"], cwd=src, log=log, what="building Bochs")
        shutil.copy(f"{src}/bochs", f"{tmp}/bochs")
        shutil.copy(f"{tmp}/bios/usr/share/bochs/BIOS-bochs-latest", f"{tmp}/bios.rom")
        # Nobody looks at the screen: a video BIOS that returns at once.
        rom = bytes([0x55, 0xaa, 1, 0xcb]) + bytes(507)
        with open(f"{tmp}/video.rom", "wb") as f:
            f.write(rom + bytes([-sum(rom) & 0xff]))
        for d in ("src", "apt", "bios", SOURCE):
            cache.run(["rm", "-rf", f"{tmp}/{d}"])

    return cache.entry(name, make, "building Bochs (once; about 5 minutes of CPU)")


def boot_sector():
    """bochs/boot.S, assembled; returns its path."""
    source = f"{HERE}/boot.S"

    def make(tmp, _final):
        cache.run(["as", "--32", "-o", f"{tmp}/o", source])
        cache.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", f"{tmp}/boot", f"{tmp}/o"])

    return cache.entry("bochs/boot-" + cache.key(cache.read(source)), make) + "/boot"


def refusal(o):
    """What these options ask for that this emulator does not have; None when it has all."""
    if o.cpu_model and o.cpu_model not in MODELS[o.cpu]:
        return f"--cpu-model {o.cpu_model}: with --cpu {o.cpu} there are " + ", ".join(MODELS[o.cpu])
    if o.smp > MAX_CPUS:
        return f"--smp {o.smp}: Bochs' host has {MAX_CPUS} CPUs at most"
    if o.kernel == "debug" and (o.disk or o.net or o.link):
        return "--disk, --net and --link: the debug kernel has no drivers for Bochs' devices"
    if len(o.disk) > MAX_DISKS:
        return f"--disk: Bochs' host has {MAX_DISKS} at most"
    return None


def segments(elf):
    """What of a kernel's ELF file is to be loaded: [(file offset, size there, address, size in memory)], and its entry."""
    with open(elf, "rb") as f:
        head = f.read(64)
        entry, phoff = struct.unpack_from("<QQ", head, 24)
        phentsize, phnum = struct.unpack_from("<HH", head, 54)
        f.seek(phoff)
        table = f.read(phentsize * phnum)
    loads = []
    for i in range(phnum):
        kind, _flags, offset, _virt, phys, size, memory = struct.unpack_from("<IIQQQQQ", table, i * phentsize)
        if kind == 1:
            loads.append((offset, size, phys, memory))
    return loads, entry


def parameters(mem, cmdline, ramdisk, size):
    """struct boot_params, then the command line, then page tables that map the first 4 GiB to themselves."""
    top = min(mem, IO_HOLE) << 20
    ram = [(0, 0x9f000, 1), (0x9f000, 0x1000, 2), (0xe8000, 0x18000, 2), (0x100000, top - FIRMWARE - 0x100000, 1),
           (top - FIRMWARE, FIRMWARE, 3), (0xfffc0000, 0x40000, 2)]
    if mem > IO_HOLE:
        ram.append((1 << 32, mem - IO_HOLE << 20, 1))
    p = bytearray(0x8000)
    p[0x1e8] = len(ram)
    for i, x in enumerate(ram):
        struct.pack_into("<QQI", p, 0x2d0 + 20 * i, *x)
    struct.pack_into("<H", p, 0x206, 0x20c)     # version of the protocol
    p[0x210] = 0xff                             # a loader without a number
    struct.pack_into("<II", p, 0x218, ramdisk, size)
    struct.pack_into("<I", p, 0x228, PARAMETERS + 0x1000)
    text = cmdline.encode()
    if len(text) > 2000:
        raise BuildError("the kernel's command line is too long")
    p[0x1000:0x1000 + len(text)] = text
    at = PARAMETERS + 0x2000
    struct.pack_into("<Q", p, 0x2000, at + 0x1000 | 3)
    for i in range(4):
        struct.pack_into("<Q", p, 0x3000 + 8 * i, at + 0x2000 + 0x1000 * i | 3)
    for i in range(2048):
        struct.pack_into("<Q", p, 0x4000 + 8 * i, i << 21 | 0x83)
    return bytes(p)


def boot_disk(out, sector, elf, initramfs, mem, cmdline):
    """Write the disk whose first sector loads the kernel and the initramfs into a host that has `mem` MiB of RAM."""
    loads, entry = segments(elf)
    end = max(phys + memory for _o, _s, phys, memory in loads)
    ramdisk = (end + 0x1fffff) & ~0x1fffff
    size = os.path.getsize(initramfs)
    if ramdisk + size > (min(mem, IO_HOLE) - 64 << 20):
        raise BuildError(f"--mem {mem}: kernel and initramfs need more")

    with open(out, "wb") as disk, open(elf, "rb") as kernel, open(initramfs, "rb") as archive:
        lba, rows = 8, []

        def part(address, data):
            nonlocal lba
            disk.seek(lba * 512)
            disk.write(data)
            rows.append((lba, (len(data) + 511) // 512, address))
            lba += rows[-1][1]

        part(PARAMETERS, parameters(mem, cmdline, ramdisk, size))
        for offset, filesz, phys, _memory in loads:
            kernel.seek(offset)
            part(phys, kernel.read(filesz))
        part(ramdisk, archive.read())
        rows.append((PARAMETERS, 0, entry))
        boot = bytearray(cache.read(sector))
        for i, row in enumerate(rows):
            struct.pack_into("<III", boot, 0x140 + 12 * i, *row)
        disk.seek(0)
        disk.write(boot)
        disk.truncate(whole_cylinders(lba * 512))


def whole_cylinders(size):
    return -(-size // (16 * 63 * 512)) * 16 * 63 * 512


def ips(o):
    """Instructions a second, which is also the frequency of the TSC: with --count one takes a nanosecond, if not --tsc-mhz."""
    return o.tsc_mhz * 1000000 if o.tsc_mhz else 1000000000 if o.count else 100000000


def features(flags):
    """What --cpu-flags says, as an option of Bochs' "cpu"."""
    names = [x for x in flags.split(",") if x]
    added, left_out = [x for x in names if x[0] != "-"], [x[1:] for x in names if x[0] == "-"]
    return "".join(f', {option}="{" ".join(x)}"' for option, x in (("add_features", added), ("exclude_features", left_out)) if x)


def command(o, kernel, initramfs, cmdline, files, folder):
    """Prepare a host in `folder`; returns the command that runs it: the guest's second serial line goes to its output."""
    at = installed()
    if o.count:
        seed = 1
    else:
        seed = int(os.environ.get("KVM_OOT_SEED") or random.randrange(1, 1 << 31))
    # CPUID claims 3.5 GHz, which would make all waits 35 times too long. emulator.seed is there to be read in the log.
    cmdline = f"{cmdline} tsc_early_khz={ips(o) // 1000} emulator.seed={seed}"
    boot_disk(f"{folder}/boot.img", boot_sector(), kernel.elf, initramfs, o.mem, cmdline)
    disks = [f"{folder}/boot.img"]
    for i, d in enumerate(o.disk):
        disks.append(f"{folder}/disk{i}.img")
        cache.run(["cp", "--sparse=always", "--reflink=auto", d, disks[-1]])
        os.truncate(disks[-1], whole_cylinders(os.path.getsize(d)))
    guest = o.mem if o.mem <= IO_HOLE else o.mem + 4096 - IO_HOLE
    model, verbose = o.cpu_model or MODELS[o.cpu][0], os.environ.get("KVM_OOT_BOCHS_LOG")
    lines = ["display_library: nogui", f"romimage: file={at}/bios.rom, options=fastboot", f"vgaromimage: file={at}/video.rom",
             "vga: extension=none",
             f"cpu: model={model}, count={o.smp}, ips={ips(o)}, reset_on_triple_fault=0, ignore_bad_msrs=1"
             + features(o.cpu_flags),
             f"memory: guest={guest}, host={min(guest, 2048)}", "clock: sync=none, time0=1700000000", "boot: disk",
             "ata0: enabled=1", f"ata1: enabled={int(len(disks) > 2)}" + ", ioaddr1=0x170, ioaddr2=0x370, irq=15",
             f"com1: enabled=1, mode=file, dev={files['log']}", "com2: enabled=1, mode=file, dev=/dev/fd/3",
             f"com3: enabled=1, mode=file, dev={files['status']}",
             f"log: {verbose or files['reset']}", "panic: action=fatal", "info: action=ignore",
             "debug: action=ignore", f"error: action={'report' if verbose else 'ignore'}"]
    for where, d in zip(PLACES, disks):
        lines.append(f"{where}: type=disk, mode=flat, path={d}")
    if o.net or o.link:
        card = f"mac={o.link[2]}, ethmod=socket, ethdev={o.link[0]}" if o.link else "mac=52:54:00:12:34:56, ethmod=slirp"
        lines += ["pci: enabled=1, chipset=i440fx, slot1=e1000", f"e1000: card=0, enabled=1, {card}"]
    with open(f"{folder}/bochsrc", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    # What Bochs itself prints is not the command's output.
    return ["sh", "-c", 'exec 3>&1 >&2; exec "$@"', "bochs", "env", f"BOCHS_SEED={seed}", f"{at}/bochs", "-q", "-f",
            f"{folder}/bochsrc"]
