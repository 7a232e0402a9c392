"""What a container sees, as values: a list that can be shown, and then performed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

import msgspec

from genoci import linux

_NO_EXEC = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
_SHUT = (
    linux.MOUNT_ATTR_RDONLY
    | linux.MOUNT_ATTR_NOSUID
    | linux.MOUNT_ATTR_NODEV
    | linux.MOUNT_ATTR_NOEXEC
)

# The runtime specification's defaults for Linux containers.
_MASKED = [
    "proc/acpi",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/asound",
    "proc/interrupts",
    "sys/firmware",
    "sys/devices/virtual/powercap",
]
_READ_ONLY = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"]
_NODES = ["null", "zero", "full", "random", "urandom", "tty"]
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class Action(Protocol):
    def perform(self, root_fd: int) -> None:
        """Do it, beneath the root; raises OSError."""


class Filesystem(msgspec.Struct, frozen=True):
    """A new filesystem at `target`, a path beneath the root."""

    kind: str
    target: str
    flags: int
    options: str = ""

    def perform(self, root_fd: int) -> None:
        kind = self.kind.encode()
        with _Target(root_fd, self.target) as target:
            linux.mount(kind, target, kind, self.flags, self.options.encode())


class HostTree(msgspec.Struct, frozen=True):
    """A tree of the host, with all that is mounted in it, read-only throughout."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        flags = linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC | linux.AT_RECURSIVE
        tree = linux.open_tree(linux.AT_FDCWD, self.source.encode(), flags)
        try:
            recursive = linux.AT_EMPTY_PATH | linux.AT_RECURSIVE
            linux.mount_setattr(tree, b"", recursive, set=_SHUT)
            _attach(tree, root_fd, self.target)
        finally:
            os.close(tree)


class HostNode(msgspec.Struct, frozen=True):
    """A device node of the host, on an empty file made for it."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        _write(root_fd, self.target, b"", 0o666)
        tree = linux.open_tree(
            linux.AT_FDCWD, self.source.encode(), linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC
        )
        try:
            closed = linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_RDONLY
            linux.mount_setattr(tree, b"", linux.AT_EMPTY_PATH, clear=closed)
            _attach(tree, root_fd, self.target)
        finally:
            os.close(tree)


class Content(msgspec.Struct, frozen=True):
    """A small file; its parent directory is made."""

    target: str
    content: bytes
    mode: int

    def perform(self, root_fd: int) -> None:
        _write(root_fd, self.target, self.content, self.mode)


class Link(msgspec.Struct, frozen=True):
    target: str
    text: str

    def perform(self, root_fd: int) -> None:
        os.symlink(self.text, self.target, dir_fd=root_fd)


class Over(msgspec.Struct, frozen=True):
    """What lies at `source` beneath the root, seen at `target` too."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        with _Target(root_fd, self.source) as source, _Target(root_fd, self.target) as target:
            linux.mount(source, target, None, linux.MS_BIND)


class Masked(msgspec.Struct, frozen=True):
    """Nothing is to be seen at `target`; one that does not exist needs no mask."""

    target: str

    def perform(self, root_fd: int) -> None:
        try:
            with _Target(root_fd, self.target) as target:
                if os.path.isdir(target):
                    flags = linux.MS_RDONLY | _NO_EXEC
                    linux.mount(b"tmpfs", target, b"tmpfs", flags, b"size=0,mode=555")
                    return
                with _Target(root_fd, "dev/null") as null:
                    linux.mount(null, target, None, linux.MS_BIND)
        except FileNotFoundError:
            return


class ReadOnly(msgspec.Struct, frozen=True):
    """What is at `target` can't be changed."""

    target: str

    def perform(self, root_fd: int) -> None:
        try:
            with _Target(root_fd, self.target) as target:
                linux.mount(target, target, None, linux.MS_BIND | linux.MS_REC)
            with _Target(root_fd, self.target) as target:
                linux.mount_setattr(linux.AT_FDCWD, target, linux.AT_RECURSIVE, set=_SHUT)
        except FileNotFoundError:
            return


def container(files: Iterable[Content], shown: Iterable[tuple[str, str]]) -> list[Action]:
    """Everything that is mounted into a container's root, in order.

    `files` lie in its own /dev; `shown` are pairs of such a file and the place in the root where
    it is seen, which must exist.
    """
    strict = linux.MS_NOSUID | linux.MS_NOEXEC
    return [
        Filesystem("proc", "proc", _NO_EXEC),
        HostTree("/sys", "sys"),
        Filesystem("tmpfs", "dev", linux.MS_NOSUID, "mode=755,size=65536k"),
        *(HostNode(f"/dev/{name}", f"dev/{name}") for name in _NODES),
        Directory("dev/pts"),
        Directory("dev/shm"),
        Filesystem("devpts", "dev/pts", strict, "newinstance,ptmxmode=0666,mode=0620"),
        Filesystem("tmpfs", "dev/shm", _NO_EXEC, "mode=1777,size=65536k"),
        *(Link(f"dev/{name}", text) for name, text in _LINKS.items()),
        *files,
        *(Over(source, target) for source, target in shown),
        *(Masked(path) for path in _MASKED),
        *(ReadOnly(path) for path in _READ_ONLY),
    ]


class Directory(msgspec.Struct, frozen=True):
    target: str

    def perform(self, root_fd: int) -> None:
        os.mkdir(self.target, 0o755, dir_fd=root_fd)


class _Target:
    """A path beneath the root as one that mount(2) takes; a link on the way is refused."""

    def __init__(self, root_fd: int, path: str) -> None:
        self._root_fd = root_fd
        self._path = path

    def __enter__(self) -> bytes:
        resolve = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS
        self._fd = linux.openat2(self._root_fd, self._path.encode(), os.O_PATH, resolve=resolve)
        return b"/proc/self/fd/%d" % self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _attach(tree: int, root_fd: int, target: str) -> None:
    resolve = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS
    fd = linux.openat2(root_fd, target.encode(), os.O_PATH, resolve=resolve)
    try:
        both = linux.MOVE_MOUNT_F_EMPTY_PATH | linux.MOVE_MOUNT_T_EMPTY_PATH
        linux.move_mount(tree, b"", fd, b"", both)
    finally:
        os.close(fd)


def _write(root_fd: int, target: str, content: bytes, mode: int) -> None:
    parent = os.path.dirname(target)
    if not os.path.isdir(f"/proc/self/fd/{root_fd}/{parent}"):
        os.mkdir(parent, 0o755, dir_fd=root_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(target, flags, mode, dir_fd=root_fd)
    try:
        os.fchmod(fd, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
