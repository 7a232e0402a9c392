"""Trees to compare: what stands at a path, whether on disk, in a listing, or nowhere."""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from genoci import linux
from genoci.layer import pax, placeholder
from genoci.layer.beneath import Beneath
from genoci.layer.entry import Entry, Kind, join

_CHUNK = 1 << 20
_FIRST = 1 << 15  # most files hold less, and memory is taken for as much as is asked for
_NO_XATTRS = (errno.EOPNOTSUPP, errno.EPERM)


class Node(msgspec.Struct, frozen=True, gc=False):
    """What stands at a path; its kind is never HARDLINK.

    `inode` is equal for the names of one file; None: this is its only name. `links` is how many
    names the file has, at most; 0: not known. `strange`: on disk it has attributes `user.*` that
    no layer holds.
    """

    entry: Entry
    inode: Hashable | None = None
    links: int = 0
    strange: bool = False


class Tree(Protocol):
    """Paths are clean; no link in them is ever followed, so nothing stands below a link."""

    def node(self, path: bytes) -> Node | None:
        """What is at `path` itself; None: nothing."""

    def names(self, path: bytes) -> list[bytes]:
        """The names in a directory, in any order; none for anything else."""

    def content(self, path: bytes) -> Iterator[bytes]:
        """The bytes of a FILE, holes as zeros."""

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        """All the names of every file that has several, by inode. Reads the whole tree."""


class EmptyTree:
    """The tree that `empty` is: a root directory, 0755, 0:0, of the time 0."""

    def node(self, path: bytes) -> Node | None:
        return None if path else Node(Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, 0))

    def names(self, path: bytes) -> list[bytes]:
        return []

    def content(self, path: bytes) -> Iterator[bytes]:
        return iter(())

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        return {}


EMPTY_TREE = EmptyTree()

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFSOCK: Kind.SOCKET,
}
_STRIPPED = (Kind.FILE, Kind.DIRECTORY)  # what `settle` takes strange attributes from


class LiveTree:
    """A tree on disk, without what is mounted below its root.

    `root` is a path that may be cloned as a mount, or a descriptor, which is used as it is and
    stays open. A placeholder of a device node is told as the node. A context manager; as long as
    it is open the filesystem is in use.
    """

    def __init__(self, root: Path | int) -> None:
        fd = open_alone(root) if isinstance(root, Path) else root
        self._directories = Beneath(fd)
        own = fd if isinstance(root, Path) else None
        self._finalizer = weakref.finalize(self, _close, self._directories, own)
        self._groups: dict[Hashable, list[bytes]] | None = None

    def __enter__(self) -> LiveTree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._finalizer()

    def node(self, path: bytes) -> Node | None:
        try:
            parent, name = self._directories.parent(path)
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        device, strange = (0, 0), False
        kept: tuple[tuple[bytes, bytes], ...] = ()
        if kind in (Kind.CHARACTER, Kind.BLOCK):
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
        if xattrs := _xattrs(b"/proc/self/fd/%d/%s" % (parent, name)):
            if kind is Kind.FILE and status.st_size == 0 and placeholder.XATTR in xattrs:
                kind, device = placeholder.unpack(xattrs[placeholder.XATTR]) or (kind, device)
            kept = tuple(sorted(item for item in xattrs.items() if pax.keeps(item[0])))
            strange = kind in _STRIPPED and any(map(is_strange, xattrs))
        entry = Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mtime=status.st_mtime_ns,
            size=status.st_size if kind is Kind.FILE else 0,
            link=os.readlink(name, dir_fd=parent) if kind is Kind.SYMLINK else b"",
            device=device,
            xattrs=kept,
        )
        return Node(entry, _inode(status), status.st_nlink, strange)

    def names(self, path: bytes) -> list[bytes]:
        try:
            directory = self._directories.directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [os.fsencode(name) for name in os.listdir(directory)]

    def content(self, path: bytes) -> Iterator[bytes]:
        parent, name = self._directories.parent(path)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        try:
            size = _FIRST
            while chunk := os.read(fd, size):
                yield chunk
                if len(chunk) == size:
                    size = _CHUNK
        finally:
            os.close(fd)

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        if self._groups is None:
            self._groups = {}
            for path, status in self.walk():
                inode = _inode(status)
                if inode is not None:
                    self._groups.setdefault(inode, []).append(path)
        return self._groups

    def paths(self) -> Iterator[bytes]:
        """Every path but the root's, in no order."""
        return (path for path, _ in self.walk())

    def walk(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """The same, each with what stat(2) tells of it."""
        pending = [b""]
        while pending:
            above = pending.pop()
            directory = self._directories.directory(above)
            for name in os.listdir(directory):
                path = join(above, os.fsencode(name))
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                yield path, status


def open_alone(root: Path) -> int:
    """A descriptor of the directory `root` without the mounts below it; the caller closes it."""
    clone = linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC
    mount = linux.open_tree(linux.AT_FDCWD, os.fsencode(root), clone)
    try:
        return os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)
    finally:
        os.close(mount)


def _close(directories: Beneath, root: int | None) -> None:
    directories.close()
    if root is not None:
        os.close(root)


def _inode(status: os.stat_result) -> Hashable | None:
    if status.st_nlink < 2 or stat.S_ISDIR(status.st_mode):
        return None
    return status.st_dev, status.st_ino


def is_strange(xattr: bytes) -> bool:
    """Whether a layer does not hold it, though everybody may set it."""
    return xattr.startswith(b"user.") and not pax.keeps(xattr)


def xattr_names(file: int | bytes) -> list[bytes]:
    """The names of all extended attributes of an open file, or of a path itself.

    None where there are no such.
    """
    try:
        names = os.listxattr(file, follow_symlinks=isinstance(file, int))
        return [os.fsencode(name) for name in names]
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return []
        raise


def _xattrs(path: bytes) -> dict[bytes, bytes]:
    names = xattr_names(path)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
