"""Root of a user namespace of our own, entered once, before anything hostile is read."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

from genoci import linux
from genoci.errors import MachineError
from genoci.sandbox.idmap import Extent, IdMap, caller, plan
from genoci.sandbox.view import private_view

__all__ = ["Extent", "IdMap", "enter", "plan", "private_view"]

Warn = Callable[[str, str], None]

# Settings that forbid user namespaces: the value that does, and the command that ends it.
_FORBIDDING = {
    "user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=10000"),
    "kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}


def enter(idmap: IdMap, *, warn: Warn) -> None:
    """Become uid 0 of a new user namespace, with a mount namespace of our own.

    For a process without a second thread, once; `idmap` is what `plan` gave. Supplementary groups
    are kept: they are the caller's right to his own files. Raises MachineError where namespaces
    are forbidden, or are granted without the rights that make one.
    """
    if idmap.is_alone:
        warn(*alone(idmap))
    mapper = _Mapper(idmap)
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    except OSError as error:
        mapper.end()
        raise forbidden(error) from error
    mapper.write()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    _prove()


def alone(idmap: IdMap) -> tuple[str, str]:
    """What is lost where a map has one id, and how to get more."""
    what = (
        f"{caller()} has no subordinate ids here: every file in a container belongs to its root, "
        "changing an owner fails there, and so do programs that change their user (apt, su)"
    )
    if idmap.kind == "inherited":
        return what, "The user namespace that genoci was started in has one id: start it with more."
    return what, (
        "Install the package uidmap, and as root give a range:  usermod "
        f"--add-subuids 100000-165535 --add-subgids 100000-165535 {caller()}"
    )


class _Mapper:
    """A process forked before the namespace exists, since its maps are written from outside."""

    def __init__(self, idmap: IdMap) -> None:
        go_read, self._go = os.pipe()
        self._told, told_write = os.pipe()
        target = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._go)
            _map_when_told(idmap, target, go_read, told_write)
        os.close(go_read)
        os.close(told_write)

    def write(self) -> None:
        """Have the maps written, now that the namespace is there."""
        os.write(self._go, b"!")
        told = b""
        while data := os.read(self._told, 4096):
            told += data
        self.end()
        if told:
            raise MachineError(
                f"the ids of a user namespace can't be mapped: {told.decode(errors='replace')}",
                mend="Look at your lines in /etc/subuid and /etc/subgid; newuidmap and newgidmap "
                "must be setuid root or have the capabilities (package uidmap). In a container, "
                "the ranges must be ids that it has.",
            )

    def end(self) -> None:
        os.close(self._go)
        os.close(self._told)
        os.waitpid(self._pid, 0)


def _map_when_told(idmap: IdMap, target: int, go: int, told: int) -> None:
    """Wait for the word, write the maps, and end; what fails is told."""
    try:
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if os.read(go, 1):
            _write_maps(idmap, target)
    except BaseException as error:
        os.write(told, str(error).encode(errors="replace") or b"failed")
    finally:
        os._exit(0)


def _write_maps(idmap: IdMap, target: int) -> None:
    uids, gids = idmap.written
    if idmap.kind == "subordinate":
        import subprocess  # who has another map has no use for it

        for program, extents in (("newuidmap", uids), ("newgidmap", gids)):
            numbers = [number for one in extents for number in str(one).split()]
            done = subprocess.run(
                [program, str(target), *numbers], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise OSError(done.stderr.strip() or f"{program} failed")
        return
    if idmap.kind == "single":
        # user_namespaces(7): without it, an unprivileged process may not write gid_map.
        _write(f"/proc/{target}/setgroups", "deny")
    for kind, extents in (("uid", uids), ("gid", gids)):
        _write(f"/proc/{target}/{kind}_map", "".join(f"{extent}\n" for extent in extents))


def _write(path: str, text: str) -> None:
    # In one write(2), or the kernel refuses; and never made, if it is not there.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _prove() -> None:
    """Some systems grant namespaces in which nothing may be done: mount something, and see."""
    try:
        linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount(b"genoci", b"/proc", b"tmpfs", linux.MS_NOSUID | linux.MS_NODEV)
        linux.umount(b"/proc", linux.MNT_DETACH)
    except OSError as error:
        raise forbidden(error) from error


def forbidden(error: OSError, settings: Path = Path("/proc/sys")) -> MachineError:
    """What to say when the kernel refuses a namespace: the setting that does it, if one does."""
    mends = [
        mend for name, (value, mend) in _FORBIDDING.items() if _content(settings / name) == value
    ]
    reason = os.strerror(error.errno or errno.EPERM)
    if mends:
        mend = "As root:  " + "  and  ".join(mends)
    else:
        mend = (
            "In a container, start it in a way that allows unshare and mount "
            "(its seccomp profile forbids them); a chroot can't have user namespaces at all"
        )
    return MachineError(
        f"this machine does not let you use user namespaces ({reason})",
        mend=f"{mend}. Targets without a `run` are built without one.",
    )


def _content(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""
