# SPDX-License-Identifier: GPL-2.0-only
"""What the host scripts share: the cache outside the checkout, keys, locks, and quiet command running.

Everything that takes longer than a few seconds to make (kernels, modules, images, unpacked packages) is kept in one
cache, under a name derived from all that went into it. Nothing in it is ever edited in place: an entry is made in a
temporary directory next to its final name and renamed when complete, under a lock of its own, so that parallel callers
wait for each other and an interrupted build leaves no half entry behind.
"""
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ROOT = os.environ.get("KVM_OOT_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kvm-oot")


class BuildError(Exception):
    """Something could not be built; the text says what and where its log is."""


def say(text):
    """One line to the person, on stderr: stdout belongs to what the callers print as their result."""
    print(text, file=sys.stderr, flush=True)


def path(*parts):
    """A path inside the cache; its parent directory exists afterwards."""
    p = os.path.join(ROOT, *parts)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def key(*things):
    """A short name for a list of strings and bytes."""
    h = hashlib.sha256()
    for t in things:
        b = t if isinstance(t, bytes) else str(t).encode()
        h.update(str(len(b)).encode() + b":" + b)
    return h.hexdigest()[:16]


def read(p):
    with open(p, "rb") as f:
        return f.read()


def tree_key(paths):
    """Key of the names and contents of files, in the order given."""
    return key(*[x for p in paths for x in (p, read(p))])


@contextlib.contextmanager
def lock(p, waiting=None):
    """Hold an exclusive lock on the file `p`; say `waiting` once when it is not free at once."""
    os.makedirs(os.path.dirname(p), exist_ok=True)
    fd = os.open(p, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                say(waiting)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


# Of emulated hosts.
HOST_LOCK = os.environ.get("KVM_OOT_HOST_LOCK", "/tmp/kvm-oot-host.lock")


def host_locks(in_bochs):
    """One QEMU host at a time, as its guest's clock is the machine's; Bochs' clock is its own, so a host for each CPU."""
    return [f"{HOST_LOCK}.bochs{i}" for i in range(os.cpu_count() or 1)] if in_bochs else [HOST_LOCK]


@contextlib.contextmanager
def one_of(paths, waiting):
    """Hold an exclusive lock on one of the files, whichever is free first."""
    fds = [os.open(p, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666) for p in paths]

    def take():
        for fd in fds:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                pass
        return False

    try:
        if not take():
            say(waiting)
            while not take():
                time.sleep(0.5)
        yield
    finally:
        for fd in fds:
            os.close(fd)


def entry(name, make, announce=None):
    """The cache entry `name` (a directory), made by make(tmpdir) when it does not exist yet.

    Whatever is built inside must not remember its own path, except through the second argument of make: final, the path
    under which it will be found.
    """
    final = path(name)
    if os.path.isdir(final):
        return final
    with lock(final + ".lock", waiting=f"waiting for another build of {name}"):
        if os.path.isdir(final):
            return final
        if announce:
            say(announce)
        tmp = final + ".tmp"
        shutil.rmtree(tmp, ignore_errors=True)
        os.makedirs(tmp)
        make(tmp, final)
        os.rename(tmp, final)
    return final


def run(cmd, log=None, what=None, cwd=None, env=None, stdin=None):
    """Run a command quietly; on failure raise BuildError with the end of its output (all of it is in `log`)."""
    p = subprocess.run(cmd, cwd=cwd, env=env, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    if log:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "wb") as f:
            f.write(p.stdout)
    if p.returncode:
        tail = p.stdout.decode(errors="replace").rstrip().splitlines()[-30:]
        raise BuildError("\n".join(tail + [f"{what or ' '.join(cmd)} failed ({p.returncode})" +
                                           (f"; whole output in {log}" if log else "")]))
    return p.stdout.decode(errors="replace")


def jobs():
    return str(os.cpu_count() or 1)
