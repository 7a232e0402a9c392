"""Entries into a root, one after the other: replacement, whiteouts, links and directories."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import stat
import types
from collections.abc import Callable

from genoci.errors import ArchiveError, StorageError
from genoci.layer import placeholder
from genoci.layer.contents import Contents
from genoci.layer.entry import Entry, Kind, split
from genoci.layer.member import Placeable
from genoci.layer.metadata import DEFAULT_ACL, Metadata, Owners, Warn
from genoci.layer.named_errors import errors_of
from genoci.layer.places import Place, Places, lstat
from genoci.layer.remove import remove
from genoci.layer.tar import shown

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Devices(enum.Enum):
    """What becomes of device nodes: made, stood for by an empty file, or left out."""

    MAKE = enum.auto()
    PLACEHOLDER = enum.auto()
    SKIP = enum.auto()


class Placing:
    """Puts entries into a root, one after the other; directories get their times at the end."""

    def __init__(self, root_fd: int, owners: Owners, devices: Devices, warn: Warn) -> None:
        self._devices = devices
        self._warn = warn
        self._plain = os.geteuid() != 0  # closed directories are closed to us
        self._newest: int | None = None
        self._left_out: set[tuple[Place, bytes]] = set()
        self._metadata = Metadata(owners, warn)
        self._places = Places(root_fd, plain=self._plain)
        self._contents = Contents(self._metadata)
        self._stack = contextlib.ExitStack()
        self._stack.callback(self._places.close)
        self._stack.push(self._settle)
        self._stack.enter_context(self._contents)

    def __enter__(self) -> Placing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def see(self, entry: Entry) -> None:
        """The newest of all entries is the time of the directories that have none."""
        if self._newest is None or entry.mtime > self._newest:
            self._newest = entry.mtime

    def put(self, entry: Entry, member: Placeable) -> None:
        """Make what the entry says, in place of what is there."""
        if entry.kind is Kind.SOCKET:
            self._warn(f"{shown(entry.path)} is a socket and was left out")
            return
        if not entry.path:
            self._put_root(entry)
            return
        parent, name = split(entry.path)
        place = self._places.find(parent, self._imply)
        assert place is not None
        self._left_out.discard((place, name))
        match entry.kind:
            case Kind.FILE:
                self._put_file(place, name, entry, member)
            case Kind.DIRECTORY:
                self._put_directory(place, name, entry)
            case Kind.HARDLINK:
                self._put_link(place, name, entry)
            case Kind.SYMLINK:
                self._make(place, name, lambda fd: os.symlink(entry.link, name, dir_fd=fd))
                self._give(place, name, entry)
            case Kind.FIFO:
                self._make(place, name, lambda fd: os.mkfifo(name, 0o600, dir_fd=fd))
                self._give(place, name, entry)
            case Kind.CHARACTER | Kind.BLOCK:
                self._put_device(place, name, entry)
        self._keep(place, name)

    def hide(self, parent: bytes, name: bytes) -> None:
        """A whiteout: what the layers below have at this name goes, what this one brought stays."""
        place = self._places.find(parent)
        if place is not None:
            self._hide([(place, name)])

    def hide_below(self, path: bytes) -> None:
        """An opaque marker: the same for all that is in the directory."""
        place = self._places.find(path)
        if place is not None:
            self._hide(self._lower_in(place))

    def is_link_to_directory(self, path: bytes) -> bool:
        """Whether `path` itself is a link, and leads to a directory inside the root."""
        parent, name = split(path)
        place = self._places.find(parent)
        if place is None or self._places.link(place, name) is None:
            return False
        return self._places.find(path) is not None

    def _hide(self, pending: list[tuple[Place, bytes]]) -> None:
        while pending:
            place, name = pending.pop()
            if name not in place.kept:
                self._remove(place, name)
                continue
            child = self._places.child(place, name)
            if child is None:
                continue
            if not child.own:  # it is a lower layer's, and only what is in it is ours
                self._as_implied(child)
            pending += self._lower_in(child)

    def _lower_in(self, place: Place) -> list[tuple[Place, bytes]]:
        """All that is in it, unless it is known to be this layer's. It is so from now on."""
        if place.bare:
            return []
        place.bare = True
        return [(place, os.fsencode(name)) for name in os.listdir(self._places.fd(place))]

    def _put_root(self, entry: Entry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            raise no_root()
        self._give_directory(self._places.root, entry)

    def _put_file(self, place: Place, name: bytes, entry: Entry, member: Placeable) -> None:
        inherited = self._inherits(place)
        self._contents.fill(self._created(place, name), entry, member, inherited=inherited)

    def _created(self, place: Place, name: bytes) -> int:
        place.changed = True
        try:
            return os.open(name, _CREATE, 0o600, dir_fd=self._places.fd(place))
        except FileExistsError:
            self._remove(place, name)
            return os.open(name, _CREATE, 0o600, dir_fd=self._places.fd(place))

    def _put_directory(self, place: Place, name: bytes, entry: Entry) -> None:
        child = self._places.child(place, name)
        if child is None:
            self._make(place, name, lambda fd: os.mkdir(name, 0o700, dir_fd=fd))
            child = self._places.add(place, name, entry.mtime)
        self._give_directory(child, entry)

    def _give_directory(self, child: Place, entry: Entry) -> None:
        self._metadata.give_directory(self._places.fd(child), entry)
        child.own = True
        child.changed = True
        child.mtime = entry.mtime
        child.mode = entry.mode if self._plain else None
        child.default_acl = None

    def _imply(self, place: Place, name: bytes) -> Place:
        """A directory that the layer has no entry for, in place of what is no directory."""
        self._make(place, name, lambda fd: os.mkdir(name, 0o700, dir_fd=fd))
        child = self._places.add(place, name, None)
        self._as_implied(child)
        self._keep(place, name)
        return child

    def _as_implied(self, child: Place) -> None:
        self._give_directory(child, Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, 0))
        child.own = False
        child.mtime = None

    def _put_link(self, place: Place, name: bytes, entry: Entry) -> None:
        parent, source = split(entry.link)
        there = self._places.find(parent)
        if there is not None and (there, source) in self._left_out:
            self._leave_out(place, name)
            return
        mode = 0 if there is None else _lstat_mode(self._places.fd(there), source)
        if there is None or not mode or stat.S_ISDIR(mode):
            raise _no_target(entry)
        if there is place and source == name:
            return

        def link(fd: int) -> None:
            above = self._places.fd(there)
            os.link(source, name, src_dir_fd=above, dst_dir_fd=fd, follow_symlinks=False)

        try:
            self._make(place, name, link)
        except FileNotFoundError as error:  # it lay in what the link was to replace
            raise _no_target(entry) from error

    def _put_device(self, place: Place, name: bytes, entry: Entry) -> None:
        if entry.kind is Kind.CHARACTER and entry.device == (0, 0):
            raise ArchiveError("is a character device 0, 0: overlayfs would take it for a whiteout")
        if self._devices is Devices.SKIP:
            if not self._left_out:
                self._warn("device nodes were left out: only root may make them")
            self._leave_out(place, name)
        elif self._devices is Devices.PLACEHOLDER:
            self._put_placeholder(place, name, entry)
        else:
            kind = stat.S_IFCHR if entry.kind is Kind.CHARACTER else stat.S_IFBLK
            device = os.makedev(*entry.device)
            self._make(place, name, lambda fd: os.mknod(name, kind | 0o600, device, dir_fd=fd))
            self._give(place, name, entry)

    def _put_placeholder(self, place: Place, name: bytes, entry: Entry) -> None:
        fd = self._created(place, name)
        try:
            os.setxattr(fd, placeholder.XATTR, placeholder.pack(entry.kind, entry.device))
            self._metadata.give_file(fd, entry, inherited=self._inherits(place))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            raise StorageError(
                "is a device node, and the filesystem can hold neither it nor its stand-in, which "
                "needs an extended attribute user.*",
                mend="Put the state on ext4, btrfs or xfs, with --state or GENOCI_STATE.",
            ) from error
        finally:
            os.close(fd)

    def _leave_out(self, place: Place, name: bytes) -> None:
        self._remove(place, name)
        self._left_out.add((place, name))

    def _make(self, place: Place, name: bytes, make: Callable[[int], None]) -> None:
        """Make something that must not be there yet; what is there is removed."""
        place.changed = True
        try:
            make(self._places.fd(place))
        except FileExistsError:
            self._remove(place, name)
            make(self._places.fd(place))

    def _remove(self, place: Place, name: bytes) -> None:
        fd = self._places.fd(place)
        mode = _lstat_mode(fd, name)
        if not mode:
            return
        place.changed = True
        remove(fd, name)
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self._places.forget(place, name)

    def _give(self, place: Place, name: bytes, entry: Entry) -> None:
        inherited = self._inherits(place)
        self._metadata.give_name(self._places.fd(place), name, entry, inherited=inherited)

    def _inherits(self, place: Place) -> bool:
        if place.default_acl is None:
            try:
                os.getxattr(self._places.fd(place), DEFAULT_ACL)
                place.default_acl = True
            except OSError:  # ENODATA, or no ACLs at all
                place.default_acl = False
        return place.default_acl

    def _keep(self, place: Place, name: bytes) -> None:
        """Whiteouts of this layer leave it, and the directories that it is in."""
        here: Place | None = place
        while here is not None and name not in here.kept:
            here.kept.add(name)
            name, here = here.name, here.above

    def _settle(self, failed: object, *_: object) -> None:
        """Give the directories the times that writing into them has changed, the deepest first."""
        if failed is not None:
            return
        with errors_of(None):
            for place in self._places.deepest_first():
                if place.changed:
                    self._settle_one(place)

    def _settle_one(self, place: Place) -> None:
        fd = self._places.fd(place)
        if place.mode is not None:
            os.fchmod(fd, place.mode)
        mtime = self._newest if place.mtime is None else place.mtime
        assert mtime is not None
        os.utime(fd, ns=(mtime, mtime))


def _lstat_mode(fd: int, name: bytes) -> int:
    """0: there is nothing."""
    status = lstat(fd, name)
    return 0 if status is None else status.st_mode


def no_root() -> ArchiveError:
    return ArchiveError("the root of the archive is not a directory")


def _no_target(entry: Entry) -> ArchiveError:
    return ArchiveError(f"is a hard link to {shown(entry.link)}, which is not there")
