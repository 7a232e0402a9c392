"""Root of a user namespace of our own, entered once, before anything hostile is read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from genoci import linux
from genoci.errors import MachineError

Warn = Callable[[str, str], None]

_CAP_SETUID, _CAP_SETGID = 7, 6


class Extent(msgspec.Struct, frozen=True):
    """`count` ids from `inside` on are those of our parent namespace from `outside` on."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


class IdMap(msgspec.Struct, frozen=True):
    """Which ids the namespace has, and where they come from.

    `identity`: those of the namespace we are in; `subordinate`: the caller's own as 0, and his
    ranges of /etc/subuid and /etc/subgid; `single`: the caller's own as 0, and no other.
    """

    kind: Literal["identity", "subordinate", "single"]
    uids: tuple[Extent, ...]
    gids: tuple[Extent, ...]

    @property
    def key(self) -> str:
        """Equal for maps under which files on disk mean the same."""
        text = ",".join(map(str, self.uids)) + ";" + ",".join(map(str, self.gids))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan() -> IdMap:
    """The map that `enter` will set up here, for this caller."""
    if _may_map_all():
        return IdMap("identity", *(_identity(_current(kind)) for kind in ("uid", "gid")))
    uids, gids = _subordinate(Path("/etc/subuid")), _subordinate(Path("/etc/subgid"))
    if uids and gids and shutil.which("newuidmap") and shutil.which("newgidmap"):
        own = (Extent(0, os.getuid(), 1), Extent(0, os.getgid(), 1))
        return IdMap("subordinate", (own[0], *uids), (own[1], *gids))
    return IdMap("single", (Extent(0, os.getuid(), 1),), (Extent(0, os.getgid(), 1),))


def enter(idmap: IdMap, *, warn: Warn) -> None:
    """Become uid 0 of a new user namespace with a mount namespace of its own.

    Called once, by a process without a second thread. Raises MachineError where namespaces are
    forbidden, or are granted without the rights that make one.
    """
    if idmap.kind == "single":
        warn(
            "there are no subordinate ids for you: files can't belong to anybody else",
            "Install the package uidmap and give yourself a range: "
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
            f"{_name()}",
        )
    mapped = _Mapper(idmap)
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    except OSError as error:
        mapped.abandon()
        raise _forbidden(error) from error
    mapped.finish()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    with contextlib.suppress(PermissionError):  # denied in a single map: there is no other group
        os.setgroups([])
    _prove()


class _Mapper:
    """A process forked before the namespace exists, which writes its maps from outside."""

    def __init__(self, idmap: IdMap) -> None:
        self._go_read, self._go_write = os.pipe()
        self._told_read, self._told_write = os.pipe()
        target = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._be(idmap, target)
        os.close(self._go_read)
        os.close(self._told_write)

    def finish(self) -> None:
        """Have the maps written, now that the namespace is there."""
        os.write(self._go_write, b"go")
        told = b""
        while data := os.read(self._told_read, 4096):
            told += data
        self._reap()
        if told:
            raise MachineError(
                f"the ids of a user namespace can't be mapped: {told.decode(errors='replace')}",
                mend="Look at your lines in /etc/subuid and /etc/subgid; newuidmap and newgidmap "
                "must be setuid root or have the capabilities (package uidmap).",
            )

    def abandon(self) -> None:
        self._reap()

    def _reap(self) -> None:
        os.close(self._go_write)
        os.close(self._told_read)
        os.waitpid(self._pid, 0)

    def _be(self, idmap: IdMap, target: int) -> None:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._go_write)
            os.close(self._told_read)
            if os.read(self._go_read, 2) == b"go":
                _write_maps(idmap, target)
        except BaseException as error:
            os.write(self._told_write, str(error).encode() or b"failed")
        finally:
            os._exit(0)


def _write_maps(idmap: IdMap, target: int) -> None:
    if idmap.kind == "subordinate":
        for program, extents in (("newuidmap", idmap.uids), ("newgidmap", idmap.gids)):
            numbers = [str(number) for one in extents for number in str(one).split()]
            done = subprocess.run(
                [program, str(target), *numbers], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise OSError(done.stderr.strip() or f"{program} failed")
        return
    if idmap.kind == "single":
        Path(f"/proc/{target}/setgroups").write_text("deny")
    for kind, extents in (("uid", idmap.uids), ("gid", idmap.gids)):
        text = "".join(f"{extent}\n" for extent in extents)
        Path(f"/proc/{target}/{kind}_map").write_text(text)


def _may_map_all() -> bool:
    needed = 1 << _CAP_SETUID | 1 << _CAP_SETGID
    return os.geteuid() == 0 and linux.get_capabilities() & needed == needed


def _current(kind: str) -> list[Extent]:
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    return [Extent(*map(int, line.split())) for line in lines]


def _identity(extents: list[Extent]) -> tuple[Extent, ...]:
    """The same ids inside as here: a map is written in the ids of the parent namespace."""
    return tuple(Extent(one.inside, one.inside, one.count) for one in extents)


def _subordinate(path: Path) -> tuple[Extent, ...]:
    """The caller's ranges, one after the other from id 1 on."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ()
    mine = (_name(), str(os.getuid()))
    extents: list[Extent] = []
    inside = 1
    for line in lines:
        owner, _, numbers = line.partition(":")
        if owner not in mine:
            continue
        first, _, count = numbers.partition(":")
        if not (first.isdecimal() and count.isdecimal() and int(count)):
            raise MachineError(
                f"{path}: the line {line!r} is none", mend="It should read NAME:FIRST:COUNT."
            )
        extents.append(Extent(inside, int(first), int(count)))
        inside += int(count)
    return tuple(extents)


def _name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _prove() -> None:
    """Some systems grant namespaces in which nothing may be done: mount something, and see."""
    try:
        linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount(b"proof", b"/proc", b"tmpfs", linux.MS_NOSUID | linux.MS_NODEV)
        linux.umount(b"/proc", linux.MNT_DETACH)
    except OSError as error:
        raise _forbidden(error) from error


def _forbidden(error: OSError) -> MachineError:
    mends = {
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
        "/proc/sys/user/max_user_namespaces": ("0", "user.max_user_namespaces=10000"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    advice = [
        f"sysctl -w {setting}"
        for path, (forbidding, setting) in mends.items()
        if _content(path) == forbidding
    ]
    reason = os.strerror(error.errno or errno.EPERM)
    return MachineError(
        f"this machine does not let you use user namespaces ({reason})",
        mend="As root:  " + "  or  ".join(advice)
        if advice
        else "In a container, it must be started so that unshare and mount are allowed. "
        "Targets that only use expand, copy and config keys build without.",
    )


def _content(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def private_view(writable: Sequence[Path]) -> None:
    """Make everything but `writable` read-only, and no device node usable, for this process.

    Root of a namespace with the identity map still owns what root owns on the host: files,
    /proc/sys, block devices. The mounts take from it what the capabilities do not.
    """
    kept = []
    for path in writable:
        target = os.fsencode(path)
        linux.mount(target, target, None, linux.MS_BIND | linux.MS_REC)
        kept.append(target)
    closed = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOSUID
    linux.mount_setattr(linux.AT_FDCWD, b"/", linux.AT_RECURSIVE, set=closed)
    for target in kept:
        linux.mount_setattr(linux.AT_FDCWD, target, 0, clear=linux.MOUNT_ATTR_RDONLY)
