"""The directories of a root that is being filled: by descriptor, and what is known of each.

Nobody else changes the root meanwhile, so what was seen or made once is known from then on.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator

from genoci import linux
from genoci.layer import landing

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The names in a place are those of directories, never of links; this is the kernel's word for it.
_INSIDE = linux.RESOLVE_BENEATH | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_MAGICLINKS
_MOST_OPEN = 64  # descriptors that are kept
_MOST_FOUND = 4096  # answers that are kept
_PIECE = 2048  # a path may be longer than the kernel takes at once (PATH_MAX is 4096)


def lstat(fd: int, name: bytes) -> os.stat_result | None:
    """What is there; None: nothing, which is so as well of a name that nothing can have."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise


class Place:
    """A directory, and what this extraction has to do with it.

    `kept` are the names in it that the layer brought, or that lead to one: a whiteout leaves them.
    `own`: the layer has an entry for the directory itself. `bare`: nothing in it is a lower
    layer's. `changed`: its time must be set at the end, to `mtime` (None: the layer's time), and
    its mode to `mode` unless that is None.
    `default_acl`: whether what is made in it inherits an ACL; None: not known yet.
    """

    __slots__ = (
        "above",
        "bare",
        "below",
        "changed",
        "default_acl",
        "kept",
        "mode",
        "mtime",
        "name",
        "own",
    )

    def __init__(self, above: Place | None, name: bytes, mtime: int | None) -> None:
        self.above = above
        self.name = name
        self.mtime = mtime
        self.mode: int | None = None
        self.below: dict[bytes, Place] = {}
        self.kept: set[bytes] = set()
        self.own = False
        self.bare = False
        self.changed = False
        self.default_acl: bool | None = None


class Places:
    """The places below `root_fd`. With `plain`, directories that are closed to their owner are
    opened to him, and get their mode back at the end. `close` leaves `root_fd` open."""

    def __init__(self, root_fd: int, *, plain: bool) -> None:
        self._root_fd = root_fd
        self._plain = plain
        self._open: OrderedDict[Place, int] = OrderedDict()
        self._last: tuple[Place | None, int] = (None, -1)  # of `_open`, the last that was asked for
        self._found: dict[bytes, Place] = {}
        self.root = Place(None, b"", os.fstat(root_fd).st_mtime_ns)
        self._open_to_us(self.root, os.fstat(root_fd), lambda mode: os.fchmod(root_fd, mode))

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def fd(self, place: Place) -> int:
        """Its descriptor, borrowed: good until many others have been asked for."""
        last, fd = self._last
        if place is not last:
            fd = self._root_fd if place.above is None else self._used(place)
            self._last = place, fd
        return fd

    def _used(self, place: Place) -> int:
        fd = self._open.get(place)
        if fd is not None:
            self._open.move_to_end(place)
            return fd
        fd = self._opened(place)
        self._open[place] = fd
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def find(
        self, path: bytes, make: Callable[[Place, bytes], Place] | None = None
    ) -> Place | None:
        """As `landing.find`."""
        place = self._found.get(path)
        if place is None:
            place = landing.find(self, path, make)
            if place is not None:
                if len(self._found) >= _MOST_FOUND:
                    self._found.clear()
                self._found[path] = place
        return place

    def add(self, above: Place, name: bytes, mtime: int | None) -> Place:
        """The place of a directory that was just made."""
        place = above.below[name] = Place(above, name, mtime)
        place.bare = place.changed = True
        return place

    def forget(self, above: Place, name: bytes) -> None:
        """To be called when a directory or a link has gone: other paths may lead elsewhere now."""
        above.below.pop(name, None)
        self._found.clear()

    def child(self, spot: Place, name: bytes) -> Place | None:
        known = spot.below.get(name)
        if known is not None:
            return known
        fd = self.fd(spot)
        status = lstat(fd, name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return None
        place = spot.below[name] = Place(spot, name, status.st_mtime_ns)
        self._open_to_us(place, status, lambda mode: os.chmod(name, mode, dir_fd=fd))
        return place

    def above(self, spot: Place) -> Place:
        return spot.above or spot

    def link(self, spot: Place, name: bytes) -> bytes | None:
        try:
            return os.readlink(name, dir_fd=self.fd(spot))
        except OSError:  # EINVAL: it is something else; ENOENT
            return None

    def deepest_first(self) -> Iterator[Place]:
        """Every place, each after all those below it."""
        pending = [(self.root, iter(self.root.below.values()))]
        while pending:
            place, below = pending[-1]
            child = next(below, None)
            if child is None:
                yield place
                pending.pop()
            else:
                pending.append((child, iter(child.below.values())))

    def _open_to_us(
        self, place: Place, status: os.stat_result, chmod: Callable[[int], None]
    ) -> None:
        if self._plain and status.st_mode & 0o700 != 0o700:
            place.mode = stat.S_IMODE(status.st_mode)
            place.changed = True
            chmod(place.mode | 0o700)

    def _opened(self, place: Place) -> int:
        """By the names from the nearest directory that is open, as many at once as may be."""
        names: list[bytes] = []
        here: Place | None = place
        while here is not None and here not in self._open and here.above is not None:
            names.append(here.name)
            here = here.above
        start = self._root_fd if here is None else self._open.get(here, self._root_fd)
        fd = start
        try:
            while names:
                piece = names.pop()
                while names and len(piece) + len(names[-1]) < _PIECE:
                    piece += b"/" + names.pop()
                new = linux.openat2(fd, piece, _DIRECTORY, resolve=_INSIDE)
                if fd != start:
                    os.close(fd)
                fd = new
        except BaseException:
            if fd != start:
                os.close(fd)
            raise
        return fd
