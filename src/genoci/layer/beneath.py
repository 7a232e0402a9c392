"""The directories of a tree, by path, without ever following a link: whatever the tree holds."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import OrderedDict

from genoci import linux
from genoci.layer.entry import split

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_RESOLVE = linux.RESOLVE_BENEATH | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_MAGICLINKS
_PIECE = 2048  # a path may be longer than the kernel takes at once (PATH_MAX is 4096)
_OPEN = 64


class Beneath:
    """Descriptors of the directories beneath `root_fd`, of which it keeps the last used open.

    Paths are clean, as an Entry's. A path in which a component is missing or no directory raises
    FileNotFoundError or NotADirectoryError. `close` leaves `root_fd` open.
    """

    def __init__(self, root_fd: int) -> None:
        self._root = root_fd
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._last: tuple[bytes, int] = (b"", root_fd)

    def directory(self, path: bytes) -> int:
        """The directory `path`, valid until the next call."""
        last, fd = self._last
        if path != last:
            fd = self._used(path) if path else self._root
            self._last = path, fd
        return fd

    def _used(self, path: bytes) -> int:
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        fd = self._descend(path)
        self._open[path] = fd
        if len(self._open) > _OPEN:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """The parent of `path` and the last component; of the root: itself and `.`."""
        if not path:
            return self._root, b"."
        above, name = split(path)
        return self.directory(above), name

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _descend(self, path: bytes) -> int:
        start = split(path)[0]
        if start not in self._open:
            above = (one for one in self._open if path.startswith(one + b"/"))
            start = max(above, key=len, default=b"")
        here = os.dup(self._open[start] if start else self._root)
        rest = path[len(start) :].lstrip(b"/")
        while rest:
            piece, rest = _cut(rest)
            try:
                below = _open_beneath(here, piece)
            finally:
                os.close(here)
            here = below
        return here


def _cut(path: bytes) -> tuple[bytes, bytes]:
    """As many leading components as may be looked up at once, and the others."""
    if len(path) <= _PIECE:
        return path, b""
    end = path.rfind(b"/", 0, _PIECE)
    return path[:end], path[end + 1 :]


def _open_beneath(fd: int, path: bytes) -> int:
    try:
        # To have looked at a directory changes none: on btrfs each of them would be copied.
        with contextlib.suppress(PermissionError):  # a directory of somebody else's
            return linux.openat2(fd, path, _FLAGS | os.O_NOATIME, resolve=_RESOLVE)
        return linux.openat2(fd, path, _FLAGS, resolve=_RESOLVE)
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path) from error
        raise
