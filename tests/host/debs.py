# SPDX-License-Identifier: GPL-2.0-only
"""Packages of other Debian suites, fetched and unpacked privately: nothing is installed.

apt does the work, with lists, state and a package database of its own: it knows where the machine gets Debian from (the
machine's own apt configuration says it, mirrors and proxies included), and it verifies: the lists by the signatures of
Debian's keyring, the packages by the checksums in the lists. Only the suites that are asked for are read.

Programs of a suite that is newer than the machine do not run with the machine's C library. wrap() puts a small script in
the place of each, which starts the program through its own loader with its own libraries. So no chroot is needed, and
nobody needs to be root.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import cache
from cache import BuildError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
LIBRARIES = "usr/lib/x86_64-linux-gnu"


class NotThere(BuildError):
    """The archive cannot be reached, or does not have what is asked for."""


def mirrors():
    """Where this machine gets Debian and Debian's security updates from, as apt is configured."""
    p = subprocess.run(["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    release = cache.read("/etc/os-release").decode()
    mine = re.search(r"^VERSION_CODENAME=(\w+)", release, re.M) if re.search(r"^ID=debian$", release, re.M) else None
    found = {}
    for line in p.stdout.decode().splitlines() if mine else ():
        suite, component, uri = line.split(" ", 2)
        if component == "main" and suite in (mine[1], f"{mine[1]}-security"):
            found.setdefault("security" if suite.endswith("-security") else "main", uri)
    return found


class Apt:
    """apt with a state of its own, in the folder `home`, that knows the given suites."""

    def __init__(self, home, suites, sources=False, arch="amd64"):
        self.home = home
        where = mirrors()
        lines = []
        for s in suites:
            kind = "security" if s.endswith("-security") else "main"
            if kind not in where:
                raise NotThere(f"apt's configuration does not say where to get Debian's {s} from")
            lines.append(f"deb [arch={arch} signed-by={KEYRING}] {where[kind]} {s} main\n")
            if sources:
                lines.append(f"deb-src [signed-by={KEYRING}] {where[kind]} {s} main\n")
        for d in ("lists/partial", "archives/partial", "etc"):
            os.makedirs(os.path.join(home, d))
        self.write("sources.list", "".join(lines))
        self.write("status", "")
        # The machine's own parts of the configuration stay in force (proxies, for one), but what is to be run after an
        # update is about the machine's lists.
        self.write("conf", "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
                   "#clear DPkg::Post-Invoke;\n")
        self.write("first", f'Dir::Etc::main "{home}/conf";\n')
        self.options = [x for k, v in {
            "Dir::State": home, "Dir::State::status": f"{home}/status", "Dir::State::lists": f"{home}/lists",
            "Dir::Cache": home, "Dir::Cache::archives": f"{home}/archives", "Dir::Etc::sourcelist": f"{home}/sources.list",
            "Dir::Etc::sourceparts": f"{home}/etc", "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{home}/etc", "Acquire::Languages": "none", "Acquire::Retries": "3",
            "APT::Architecture": arch, "APT::Architectures": arch, "APT::Sandbox::User": "", "Debug::NoLocking": "true",
            "APT::Install-Recommends": "false"}.items() for x in ("-o", f"{k}={v}")]
        self.run("apt-get", "update", "--error-on=any")

    def write(self, name, text):
        with open(os.path.join(self.home, name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, program, *args, cwd=None):
        env = dict(os.environ, APT_CONFIG=f"{self.home}/first", LC_ALL="C")
        p = subprocess.run([program, *self.options, "-qq", *args], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if p.returncode:
            lines = [x for x in p.stderr.decode(errors="replace").splitlines() if x.startswith("E:")]
            raise NotThere(f"Debian's archive: {lines[0][3:] if lines else f'{program} {args[0]} failed'}")
        return p.stdout.decode()

    def names(self, pattern):
        """Names of the packages that match the whole pattern."""
        return [x for x in self.run("apt-cache", "pkgnames").split() if re.fullmatch(pattern, x)]

    def with_dependencies(self, packages, without=r"(?!)"):
        """The packages and all that they depend on, but for those whose names match `without`."""
        uris = self.run("apt-get", "install", "--print-uris", "-y", *packages)
        names = [x.split()[1].split("_")[0] for x in uris.splitlines() if x.startswith("'")]
        return [n for n in names if not re.fullmatch(without, n)]

    def unpack(self, packages, root):
        """Fetch the packages and unpack them below root; returns the number of bytes that were fetched."""
        to = os.path.join(self.home, "fetched")
        os.makedirs(to)
        self.run("apt-get", "download", *packages, cwd=to)
        debs = glob.glob(f"{to}/*.deb")
        size = sum(os.path.getsize(d) for d in debs)
        os.makedirs(root, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda d: cache.run(["dpkg", "-x", d, root], what=f"unpacking {os.path.basename(d)}"), debs))
        shutil.rmtree(to)
        return size

    def upstream(self, package, to):
        """Fetch the upstream part of a source package (its .orig.tar) into the folder `to`."""
        self.run("apt-get", "source", "--tar-only", "--download-only", package, cwd=to)


def fetch(suites, root, choose, arch="amd64"):
    """Unpack below root what choose(apt) names, from the suites."""
    home = root + ".apt"
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    apt = Apt(home, suites, arch=arch)
    apt.unpack(choose(apt), root)
    shutil.rmtree(home)


def needs_loader(path):
    """Is it a program (not a library, not a script) that a loader has to start?"""
    with open(path, "rb") as f:
        head = f.read(4096)
    return head[:4] == b"\x7fELF" and b"ld-linux-x86-64.so.2\0" in head


def wrap(root, final):
    """Let all programs below root, which will be found under `final`, run on this machine."""
    for d, _dirs, files in os.walk(root):
        for f in files:
            p = os.path.join(d, f)
            if os.path.islink(p) or not os.access(p, os.X_OK) or re.search(r"\.so(\.|$)", f) or not needs_loader(p):
                continue
            os.rename(p, p + ".elf")
            name = os.path.join(final, os.path.relpath(p, root))
            with open(p, "w", encoding="utf-8") as s:
                s.write("#!/bin/sh\nexec " + " ".join(shlex.quote(x) for x in (
                    f"{final}/{LOADER}", "--argv0", name, "--library-path", f"{final}/{LIBRARIES}", name + ".elf"))
                    + ' "$@"\n')
            os.chmod(p, 0o755)
