"""What a container sees, as values: a list that can be shown, and then performed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Protocol

import msgspec

from genoci import linux
from genoci.sandbox.view import HARMLESS_NODES

_RDONLY, _NOSUID = linux.MOUNT_ATTR_RDONLY, linux.MOUNT_ATTR_NOSUID
_NODEV, _NOEXEC = linux.MOUNT_ATTR_NODEV, linux.MOUNT_ATTR_NOEXEC
_DATA = _NOSUID | _NODEV | _NOEXEC
_SHUT = _RDONLY | _DATA

_NO_LINKS = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_MAGICLINKS

# The defaults for Linux containers of the runtime specification and of the engines.
_MASKED = [
    *("proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys"),
    *("proc/latency_stats", "proc/sched_debug", "proc/scsi", "proc/timer_list"),
    *("proc/timer_stats", "sys/devices/virtual/powercap", "sys/firmware"),
]
_READ_ONLY = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"]
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class Action(Protocol):
    """One thing to set up beneath a root. A symbolic link on the way to `target` is an error."""

    @property
    def target(self) -> str:
        """A path relative to the root."""

    def perform(self, root_fd: int) -> None:
        """Do it; raises OSError."""


class Filesystem(msgspec.Struct, frozen=True):
    """A new filesystem; `options` as mount(8) has them, `attributes` MOUNT_ATTR_ bits."""

    kind: str
    target: str
    attributes: int
    options: str = ""

    def perform(self, root_fd: int) -> None:
        made = _new_filesystem(self.kind, self.options, self.attributes)
        _attach(made, root_fd, self.target)


class HostTree(msgspec.Struct, frozen=True):
    """A tree of the host, with all that is mounted in it, read-only throughout."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        # A bind mount that is remounted read-only leaves those below it writable: the cgroups.
        tree = _clone(linux.AT_FDCWD, self.source, linux.AT_RECURSIVE)
        _attach(tree, root_fd, self.target, _SHUT, recursive=True)


class HostFolder(msgspec.Struct, frozen=True):
    """A directory of the host, seen at `target`, where one must be; it can be written to."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        tree = _clone(linux.AT_FDCWD, self.source)
        _attach(tree, root_fd, self.target, _NOSUID | _NODEV)


class HostNode(msgspec.Struct, frozen=True):
    """A device node of the host: none can be made in a user namespace."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        _make_file(root_fd, self.target)
        _attach(_clone(linux.AT_FDCWD, self.source), root_fd, self.target, _NOSUID | _NOEXEC)


class PrivateFile(msgspec.Struct, frozen=True):
    """A file on a filesystem of its own, seen at `target`, where one must be.

    Writing to it changes nothing else, on the host or in the root; `locked`: it can't be written.
    It can be executed if its mode says so.
    """

    target: str
    content: bytes
    mode: int = 0o644
    locked: bool = False

    def __repr__(self) -> str:
        return f"PrivateFile(target={self.target!r}, size={len(self.content)})"

    def perform(self, root_fd: int) -> None:
        folder = _new_filesystem("tmpfs", "mode=0700", _NOSUID | _NODEV)
        try:
            _make_file(folder, "file", self.content, self.mode)
            attributes = _NOSUID | _NODEV | (_RDONLY if self.locked else 0)
            attributes |= 0 if self.mode & 0o111 else _NOEXEC
            _attach(_clone(folder, "file"), root_fd, self.target, attributes)
        finally:
            os.close(folder)


class Directory(msgspec.Struct, frozen=True):
    """A directory, unless there is one."""

    target: str

    def perform(self, root_fd: int) -> None:
        parent, name = _parent(root_fd, self.target)
        try:
            if name not in os.listdir(parent):
                os.mkdir(name, dir_fd=parent)
                os.chmod(name, 0o755, dir_fd=parent)
        finally:
            os.close(parent)


class EmptyFile(msgspec.Struct, frozen=True):
    """A file to mount something on."""

    target: str

    def perform(self, root_fd: int) -> None:
        _make_file(root_fd, self.target)


class Link(msgspec.Struct, frozen=True):
    """A symbolic link."""

    target: str
    text: str

    def perform(self, root_fd: int) -> None:
        parent, name = _parent(root_fd, self.target)
        try:
            os.symlink(self.text, name, dir_fd=parent)
        finally:
            os.close(parent)


class Over(msgspec.Struct, frozen=True):
    """What lies at `source` beneath the root, seen at `target` too."""

    source: str
    target: str

    def perform(self, root_fd: int) -> None:
        _attach(_clone(root_fd, self.source), root_fd, self.target)


class Masked(msgspec.Struct, frozen=True):
    """Nothing is to be seen at `target`; one that does not exist needs no mask."""

    target: str

    def perform(self, root_fd: int) -> None:
        try:
            fd = _open(root_fd, self.target, os.O_PATH)
        except FileNotFoundError:
            return
        try:
            directory = os.path.isdir(fd)
        finally:
            os.close(fd)
        if directory:
            empty = _new_filesystem("tmpfs", "mode=555,size=4k", _SHUT)
            _attach(empty, root_fd, self.target)
        else:
            _attach(_clone(root_fd, "dev/null"), root_fd, self.target)


class ReadOnly(msgspec.Struct, frozen=True):
    """What is at `target`, and below, can't be changed."""

    target: str

    def perform(self, root_fd: int) -> None:
        try:
            tree = _clone(root_fd, self.target, linux.AT_RECURSIVE)
        except FileNotFoundError:
            return
        _attach(tree, root_fd, self.target, _SHUT, recursive=True)


def container(
    scripts: Iterable[PrivateFile],
    shown: Iterable[PrivateFile | HostFolder],
    *,
    terminal: bool = False,
) -> list[Action]:
    """Everything that is set up in a container's root, in order.

    `scripts` lie in its own /dev, and places are made for them there; those of `shown` exist.
    `terminal`: something will be mounted on /dev/console.
    """
    scripts = list(scripts)
    return [
        Filesystem("proc", "proc", _DATA),
        HostTree("/sys", "sys"),
        Filesystem("tmpfs", "dev", _NOSUID, "mode=755,size=64m"),
        *(HostNode(f"/dev/{name}", f"dev/{name}") for name in HARMLESS_NODES),
        Directory("dev/pts"),
        Filesystem("devpts", "dev/pts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=0620"),
        Directory("dev/shm"),
        Filesystem("tmpfs", "dev/shm", _DATA, "mode=1777,size=64m"),
        *(Link(f"dev/{name}", text) for name, text in _LINKS.items()),
        *([EmptyFile("dev/console")] if terminal else []),
        *_places(scripts),
        *scripts,
        *shown,
        *(Masked(path) for path in _MASKED),
        *(ReadOnly(path) for path in _READ_ONLY),
    ]


def _places(scripts: Iterable[PrivateFile]) -> list[Action]:
    """The files that scripts are mounted on, and the directories that those lie in."""
    actions: list[Action] = []
    for script in scripts:
        folders = PurePosixPath(script.target).parents
        actions += [Directory(str(folder)) for folder in list(folders)[-3::-1]]
        actions.append(EmptyFile(script.target))
    return actions


def _new_filesystem(kind: str, options: str, attributes: int) -> int:
    """A mount of a new filesystem, attached to nothing."""
    context = linux.fsopen(kind.encode())
    try:
        linux.fsconfig_string(context, b"source", kind.encode())
        for option in filter(None, options.split(",")):
            key, equals, value = option.partition("=")
            if equals:
                linux.fsconfig_string(context, key.encode(), value.encode())
            else:
                linux.fsconfig_flag(context, key.encode())
        linux.fsconfig_create(context)
        return linux.fsmount(context, attributes)
    finally:
        os.close(context)


def _clone(root_fd: int, path: str, flags: int = 0) -> int:
    """What is seen at `path`, as a mount that is attached to nothing."""
    flags |= linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC
    if root_fd == linux.AT_FDCWD:
        return linux.open_tree(root_fd, os.fsencode(path), flags)
    fd = _open(root_fd, path, os.O_PATH)
    try:
        return linux.open_tree(fd, b"", flags | linux.AT_EMPTY_PATH)
    finally:
        os.close(fd)


def _attach(
    mount: int, root_fd: int, target: str, attributes: int = 0, *, recursive: bool = False
) -> None:
    """Put a mount in its place, with further attributes; closes the descriptor."""
    try:
        if attributes:
            depth = linux.AT_RECURSIVE if recursive else 0
            linux.mount_setattr(mount, b"", linux.AT_EMPTY_PATH | depth, set=attributes)
        fd = _open(root_fd, target, os.O_PATH)
        try:
            both = linux.MOVE_MOUNT_F_EMPTY_PATH | linux.MOVE_MOUNT_T_EMPTY_PATH
            linux.move_mount(mount, b"", fd, b"", both)
        finally:
            os.close(fd)
    finally:
        os.close(mount)


def _open(root_fd: int, path: str, flags: int) -> int:
    return linux.openat2(root_fd, os.fsencode(path), flags, resolve=_NO_LINKS)


def _parent(root_fd: int, path: str) -> tuple[int, str]:
    folder, name = os.path.split(path)
    return _open(root_fd, folder or ".", os.O_RDONLY | os.O_DIRECTORY), name


def _make_file(root_fd: int, path: str, content: bytes = b"", mode: int = 0o644) -> None:
    parent, name = _parent(root_fd, path)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, mode, dir_fd=parent), "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
    finally:
        os.close(parent)
