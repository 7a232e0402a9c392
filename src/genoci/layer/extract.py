"""A layer, or a plain tarball, into a live root."""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from genoci.errors import ArchiveError, BuildError, StorageError
from genoci.layer import placeholder
from genoci.layer.directories import Directories
from genoci.layer.entry import OPAQUE, WHITEOUT, Entry, Kind, join, split
from genoci.layer.member import Placeable, refuse_whiteout, stripped
from genoci.layer.remove import remove
from genoci.layer.whiteout import hidden_name

Warn = Callable[[str], None]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Owners(enum.Enum):
    """Whose the files become: the archive's owners, or the caller."""

    KEEP = enum.auto()
    MINE = enum.auto()


class Devices(enum.Enum):
    """What becomes of device nodes: made, stood for by an empty file, or left out."""

    MAKE = enum.auto()
    PLACEHOLDER = enum.auto()
    SKIP = enum.auto()


def extract_layer(
    members: Iterable[Placeable], root_fd: int, *, owners: Owners, devices: Devices, warn: Warn
) -> None:
    """Apply one layer to the root of the layers below it (layer.md, 'Applying Changesets').

    Raises ArchiveError for what can't be applied, StorageError when the disk refuses; the root is
    then half done, and the caller's to discard.
    """
    with _Placing(root_fd, owners, devices, warn) as placing:
        for member in members:
            parent, name = split(member.entry.path)
            if name == OPAQUE:
                placing.hide_below(parent)
            elif name.startswith(WHITEOUT):
                placing.hide(parent, hidden_name(name))
            else:
                placing.put(member.entry, member)


def expand(
    members: Iterable[Placeable],
    root_fd: int,
    *,
    dest: bytes,
    strip: int,
    warn: Warn,
    owners: Owners = Owners.KEEP,
    devices: Devices = Devices.PLACEHOLDER,
) -> None:
    """Unpack a plain tarball at `dest`, over what is there.

    A link that leads to a directory stays where the archive has a directory, and what the archive
    has below it goes where the link leads. A whiteout is an error.
    """
    with _Placing(root_fd, owners, devices, warn) as placing:
        for member in members:
            entry = stripped(member.entry, strip)
            if entry is None:
                continue
            refuse_whiteout(entry)
            if dest:
                entry = _below(dest, entry)
            if entry.kind is Kind.DIRECTORY and placing.is_link_to_directory(entry.path):
                continue
            placing.put(entry, member)


def _below(dest: bytes, entry: Entry) -> Entry:
    path = join(dest, entry.path) if entry.path else dest
    link = join(dest, entry.link) if entry.kind is Kind.HARDLINK else entry.link
    return msgspec.structs.replace(entry, path=path, link=link)


class _Late(NamedTuple):
    """What a directory is given when all is in it; mode None: it was only passed through."""

    path: bytes
    mtime: int | None  # None: the layer's time
    mode: int | None


class _Placing:
    """Puts entries into a root, one after the other; directories get their times at the end."""

    def __init__(self, root_fd: int, owners: Owners, devices: Devices, warn: Warn) -> None:
        self._owners = owners
        self._devices = devices
        self._warn = warn
        self._late: dict[tuple[int, int], _Late] = {}
        self._brought: set[bytes] = set()
        self._above: set[bytes] = set()
        self._newest = 0
        self._plain = os.geteuid() != 0  # closed directories are closed to us
        self._ids = (os.geteuid(), os.getegid())
        self._directories = Directories(root_fd, on_open=self._pass, on_made=self._imply)

    def __enter__(self) -> _Placing:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._settle_directories()
        finally:
            self._directories.close()

    def put(self, entry: Entry, member: Placeable) -> None:
        """Make what the entry says, in place of what is there."""
        self._newest = max(self._newest, entry.mtime)
        try:
            self._put(entry, member)
        except OSError as error:
            raise _translated(error, entry) from error
        self._bring(entry.path)

    def hide(self, parent: bytes, name: bytes) -> None:
        """A whiteout: what the layers below have at this name goes, what this one brought stays."""
        fd = self._directories.existing(parent)
        if fd is None:
            return
        path = join(parent, name)
        mode = _lstat_mode(fd, name)
        if path in self._brought or path in self._above:
            if stat.S_ISDIR(mode):
                self.hide_below(path)
        elif mode:
            self._remove(fd, name)

    def hide_below(self, path: bytes) -> None:
        """An opaque marker: the same for all that is in the directory."""
        directory = self._directories.existing(path)
        if directory is not None:
            for child in os.listdir(directory):
                self.hide(path, os.fsencode(child))

    def is_link_to_directory(self, path: bytes) -> bool:
        """Whether `path` itself is a link, and leads to a directory inside the root."""
        parent, name = split(path)
        fd = self._directories.existing(parent) if path else None
        if fd is None or not stat.S_ISLNK(_lstat_mode(fd, name)):
            return False
        return self._directories.existing(path) is not None

    def _put(self, entry: Entry, member: Placeable) -> None:
        if entry.path == b"":
            self._put_root(entry)
            return
        parent, name = split(entry.path)
        self._directories.tidy()
        fd = self._directories.made(parent)
        match entry.kind:
            case Kind.FILE:
                self._put_file(fd, name, entry, member)
            case Kind.DIRECTORY:
                self._put_directory(fd, name, entry)
            case Kind.HARDLINK:
                self._put_link(fd, name, entry)
            case Kind.SYMLINK:
                self._make(fd, name, lambda: os.symlink(entry.link, name, dir_fd=fd))
                self._give(fd, name, entry, mode=None)
            case Kind.FIFO:
                self._make(fd, name, lambda: os.mkfifo(name, 0o600, dir_fd=fd))
                self._give(fd, name, entry, mode=entry.mode)
            case Kind.CHARACTER | Kind.BLOCK:
                self._put_device(fd, name, entry)
            case Kind.SOCKET:
                self._warn(f"{_shown(entry.path)} is a socket and was left out")

    def _put_root(self, entry: Entry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            raise ArchiveError("the root of the archive is not a directory")
        fd = self._directories.existing(b"")
        assert fd is not None
        self._give_directory(fd, entry)

    def _put_file(self, fd: int, name: bytes, entry: Entry, member: Placeable) -> None:
        new = self._created(fd, name)
        try:
            _write(new, entry, member)
            self._own(entry, lambda: os.fchown(new, entry.uid, entry.gid))
            os.fchmod(new, entry.mode)
            self._give_xattrs(new, entry)
            os.utime(new, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(new)

    def _created(self, fd: int, name: bytes) -> int:
        try:
            return os.open(name, _CREATE, 0o600, dir_fd=fd)
        except FileExistsError:
            self._remove(fd, name)
            return os.open(name, _CREATE, 0o600, dir_fd=fd)

    def _put_directory(self, fd: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except FileExistsError:
            if not stat.S_ISDIR(_lstat_mode(fd, name)):
                self._remove(fd, name)
                os.mkdir(name, 0o700, dir_fd=fd)
        if self._plain:
            os.chmod(name, 0o700, dir_fd=fd)
        new = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            self._give_directory(new, entry)
        finally:
            os.close(new)

    def _give_directory(self, fd: int, entry: Entry) -> None:
        self._own(entry, lambda: os.fchown(fd, entry.uid, entry.gid))
        os.fchmod(fd, entry.mode | 0o700 if self._plain else entry.mode)
        self._give_xattrs(fd, entry)
        self._late[_identity(fd)] = _Late(entry.path, entry.mtime, entry.mode)

    def _put_link(self, fd: int, name: bytes, entry: Entry) -> None:
        parent, source = split(entry.link)
        there = self._directories.existing(parent)
        mode = 0 if there is None else _lstat_mode(there, source)
        if there is None or not mode or stat.S_ISDIR(mode):
            raise ArchiveError(
                f"is a hard link to {_shown(entry.link)}, which is not there",
                where=_shown(entry.path),
            )
        if source == name and _identity(there) == _identity(fd):
            return

        def link() -> None:
            os.link(source, name, src_dir_fd=there, dst_dir_fd=fd, follow_symlinks=False)

        self._make(fd, name, link)

    def _put_device(self, fd: int, name: bytes, entry: Entry) -> None:
        if self._devices is Devices.SKIP:
            self._warn("device nodes were left out: only root may make them")
            return
        if self._devices is Devices.PLACEHOLDER:
            new = self._created(fd, name)
            try:
                os.setxattr(new, placeholder.XATTR, placeholder.pack(entry.kind, entry.device))
            finally:
                os.close(new)
        else:
            kind = stat.S_IFCHR if entry.kind is Kind.CHARACTER else stat.S_IFBLK
            device = os.makedev(*entry.device)
            self._make(fd, name, lambda: os.mknod(name, kind | 0o600, device, dir_fd=fd))
        self._give(fd, name, entry, mode=entry.mode)

    def _make(self, fd: int, name: bytes, make: Callable[[], None]) -> None:
        try:
            make()
        except FileExistsError:
            self._remove(fd, name)
            make()

    def _remove(self, fd: int, name: bytes) -> None:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        remove(fd, name)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            self._directories.forget()

    def _give(self, fd: int, name: bytes, entry: Entry, *, mode: int | None) -> None:
        """Owner, mode, xattrs and times, in this order, of what is no file of content."""
        self._own(
            entry,
            lambda: os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False),
        )
        if mode is not None:
            os.chmod(name, mode, dir_fd=fd)
        if entry.xattrs:
            self._give_xattrs(b"/proc/self/fd/%d/%s" % (fd, name), entry)
        times = (entry.mtime, entry.mtime)
        os.utime(name, ns=times, dir_fd=fd, follow_symlinks=False)

    def _own(self, entry: Entry, chown: Callable[[], None]) -> None:
        if self._owners is Owners.MINE or (entry.uid, entry.gid) == self._ids:
            return
        try:
            chown()
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            raise BuildError(
                f"{_shown(entry.path)} belongs to {entry.uid}:{entry.gid}, an owner that can't "
                "be given here",
                mend="Subordinate ids make it possible: install the package uidmap, and give "
                "yourself a range in /etc/subuid and /etc/subgid.",
            ) from error

    def _give_xattrs(self, target: int | bytes, entry: Entry) -> None:
        for name, value in entry.xattrs:
            try:
                os.setxattr(target, name, value, follow_symlinks=not isinstance(target, bytes))
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                    raise
                self._warn(
                    f"the filesystem does not take the extended attribute {_shown(name)}: left out"
                )

    def _bring(self, path: bytes) -> None:
        self._brought.add(path)
        while path:
            path = split(path)[0]
            if path in self._above:
                break
            self._above.add(path)

    def _pass(self, path: bytes, fd: int) -> None:
        """A directory is about to be changed: remember its time."""
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        if identity not in self._late:
            self._late[identity] = _Late(path, status.st_mtime_ns, None)
            if self._plain and status.st_mode & 0o700 != 0o700:
                mode = stat.S_IMODE(status.st_mode)
                self._late[identity] = _Late(path, status.st_mtime_ns, mode)
                os.fchmod(fd, mode | 0o700)

    def _imply(self, path: bytes, fd: int) -> None:
        self._late[_identity(fd)] = _Late(path, None, None)

    def _settle_directories(self) -> None:
        """Give the directories the times that writing into them has changed, the deepest first."""
        for identity, late in sorted(self._late.items(), key=lambda item: -len(item[1].path)):
            self._directories.tidy()
            fd = self._directories.existing(late.path)
            if fd is None or _identity(fd) != identity:
                continue  # it was replaced later
            if late.mode is not None:
                os.fchmod(fd, late.mode)
            mtime = self._newest if late.mtime is None else late.mtime
            os.utime(fd, ns=(mtime, mtime))


def _write(fd: int, entry: Entry, member: Placeable) -> None:
    if member.segments is None:
        written = 0
        for chunk in member.chunks():
            written += len(chunk)
            _write_all(fd, chunk)
        if written != entry.size:
            raise BuildError(f"{_shown(entry.path)} changed while it was read")
        return
    os.ftruncate(fd, entry.size)
    for offset, chunk in member.runs():
        os.lseek(fd, offset, os.SEEK_SET)
        _write_all(fd, chunk)


def _write_all(fd: int, chunk: bytes) -> None:
    done = os.write(fd, chunk)
    while done < len(chunk):
        done += os.write(fd, memoryview(chunk)[done:])


def _translated(error: OSError, entry: Entry) -> BuildError:
    where = _shown(entry.path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            "the disk is full",
            where=where,
            mend="Make room, or put the state elsewhere with --state or GENOCI_STATE.",
        )
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EFBIG):
        return ArchiveError(f"can't be made: {error.strerror}", where=where)
    return StorageError(f"can't be made: {error.strerror}", where=where)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _lstat_mode(fd: int, name: bytes) -> int:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _shown(path: bytes) -> str:
    return path.decode(errors="backslashreplace") or "./"
