"""The directories of a root that is being filled, by descriptor: no name ever leads out of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable

from genoci import linux
from genoci.errors import ArchiveError
from genoci.layer.entry import join, split

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_OPEN = 64  # descriptors that are kept
_MOST_LINKS = 40  # as in the kernel, path_resolution(7)
_LONGEST = 4000  # bytes of a path that the kernel takes at once (PATH_MAX is 4096)


class Directories:
    """The directories below `root_fd`, opened by clean paths, links followed inside the root.

    `on_open` is called with the path and descriptor of every directory that is opened, `on_made`
    with those that had to be made. Descriptors are borrowed, until `tidy` or `close`.
    """

    def __init__(
        self,
        root_fd: int,
        *,
        on_open: Callable[[bytes, int], None],
        on_made: Callable[[bytes, int], None],
    ) -> None:
        self._root_fd = os.open(b".", _DIRECTORY, dir_fd=root_fd)
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._retired: list[int] = []
        self._on_open = on_open
        self._on_made = on_made

    def close(self) -> None:
        self.forget()
        self.tidy()
        os.close(self._root_fd)

    def forget(self) -> None:
        """Look everything up anew: to be called when a directory or a link has gone."""
        self._retired += self._open.values()
        self._open.clear()

    def tidy(self) -> None:
        """Close the descriptors that are not kept any more; nobody may be using one."""
        while self._retired:
            os.close(self._retired.pop())

    def existing(self, path: bytes) -> int | None:
        """The directory that `path` leads to; None if there is none."""
        return self._directory(path, make=False)

    def made(self, path: bytes) -> int:
        """The directory that `path` leads to; what is missing on the way, or none, becomes one."""
        found = self._directory(path, make=True)
        assert found is not None
        return found

    def _directory(self, path: bytes, *, make: bool) -> int | None:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        fd = self._below_an_open_one(path)
        if fd is None:
            fd = self._resolved(path)
        if fd is None:
            found = self._walk(path, make=make, links=0)
            if found is None:
                return None
            fd = found[1]
        self._open[path] = fd
        if len(self._open) > _MOST_OPEN:
            self._retired.append(self._open.popitem(last=False)[1])
        self._on_open(path, fd)
        return fd

    def _below_an_open_one(self, path: bytes) -> int | None:
        parent, name = split(path)
        above = self._open.get(parent)
        if above is None or not path:
            return None
        with contextlib.suppress(OSError):
            return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        return None

    def _resolved(self, path: bytes) -> int | None:
        """By the kernel, which follows links as in a chroot (openat2(2), RESOLVE_IN_ROOT)."""
        if len(path) > _LONGEST:
            return None
        try:
            return linux.openat2(
                self._root_fd, path or b".", _DIRECTORY, resolve=linux.RESOLVE_IN_ROOT
            )
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _loop(path) from error
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            raise

    def _walk(self, path: bytes, *, make: bool, links: int) -> tuple[bytes, int] | None:
        """One component after the other: for what is missing, and for paths of any length.

        Gives the path without links, and a new descriptor.
        """
        here, fd = b"", os.dup(self._root_fd)
        for part in path.split(b"/"):
            if part in (b"", b"."):
                continue
            try:
                if part == b"..":
                    step = self._walk(split(here)[0], make=False, links=links)
                else:
                    step = self._step(here, fd, part, make=make, links=links)
            finally:
                os.close(fd)
            if step is None:
                return None
            here, fd = step
        return here, fd

    def _step(
        self, here: bytes, fd: int, part: bytes, *, make: bool, links: int
    ) -> tuple[bytes, int] | None:
        child = join(here, part)
        try:
            return child, os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            found = self._behind_link(here, fd, part, links)
            if found is not None:
                return found
            if make:
                os.unlink(part, dir_fd=fd)
                self.forget()
        if not make:
            return None
        os.mkdir(part, 0o755, dir_fd=fd)
        new = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        os.fchmod(new, 0o755)
        self._on_made(child, new)
        return child, new

    def _behind_link(
        self, here: bytes, fd: int, name: bytes, links: int
    ) -> tuple[bytes, int] | None:
        if not stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            return None
        if links >= _MOST_LINKS:
            raise _loop(join(here, name))
        target = os.readlink(name, dir_fd=fd)
        path = target if target.startswith(b"/") else join(here, target)
        return self._walk(path, make=False, links=links + 1)


def _loop(path: bytes) -> ArchiveError:
    return ArchiveError(
        f"{path.decode(errors='backslashreplace')}: symbolic links lead to each other in a loop"
    )
