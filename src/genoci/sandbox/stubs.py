"""Mount points that a container needs and its root does not have: made, and gone afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from genoci.errors import BuildError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40


class _Stub(NamedTuple):
    """What was made, and what its parent's times were before."""

    path: str
    inode: int
    parent_times: tuple[int, int]


class Stubs:
    """Mount points beneath a root. A context manager: its end removes those that were made.

    What the container itself has put in the place of one, or into one, stays.
    """

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._made: list[_Stub] = []

    def __enter__(self) -> Stubs:
        return self

    def __exit__(self, *_: object) -> None:
        for stub in reversed(self._made):
            self._remove(stub)

    def directory(self, name: str) -> None:
        """A directory at the top of the root; raises BuildError if there is something else."""
        try:
            status = os.stat(name, dir_fd=self._root_fd, follow_symlinks=False)
        except FileNotFoundError:
            self._make(self._root_fd, name, name, directory=True)
            return
        if not stat.S_ISDIR(status.st_mode):
            raise BuildError(
                f"the image's /{name} is not a directory, and nothing can be run without one",
                mend="Remove it in the tarball that it comes from, or use another base.",
            )

    def file(self, path: str) -> str | None:
        """The place of a file: where `path` leads inside the root, made if nothing is there.

        None if something stands there on which a file can't be shown.
        """
        with contextlib.suppress(OSError):
            return self._file(path)
        return None

    def _file(self, path: str) -> str | None:
        here: list[str] = []
        rest = path.split("/")[::-1]
        links = 0
        while rest:
            part = rest.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here[:-1]
                continue
            child = "/".join([*here, part])
            with self._opened("/".join(here)) as parent:
                mode = _mode(parent, part)
                if stat.S_ISLNK(mode):
                    links += 1
                    if links > _MOST_LINKS:
                        return None
                    target = os.readlink(part, dir_fd=parent)
                    here = [] if target.startswith("/") else here
                    rest += target.split("/")[::-1]
                    continue
                last = not any(piece not in ("", ".") for piece in rest)
                if not mode:
                    self._make(parent, part, child, directory=not last)
                elif last != stat.S_ISREG(mode) or not (last or stat.S_ISDIR(mode)):
                    return None
            here.append(part)
        return "/".join(here)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        fd = os.dup(self._root_fd)
        try:
            for part in path.split("/") if path else ():
                below = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _make(self, parent: int, name: str, path: str, *, directory: bool) -> None:
        status = os.fstat(parent)
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
        inode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(parent, ns=times)
        self._made.append(_Stub(path, inode, times))

    def _remove(self, stub: _Stub) -> None:
        """Undo one, if it is still what was made and nothing has come into it."""
        parent_path, _, name = stub.path.rpartition("/")
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            self._opened(parent_path) as parent,
        ):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if status.st_ino != stub.inode or (status.st_size and stat.S_ISREG(status.st_mode)):
                return
            untouched = os.fstat(parent).st_mtime_ns == stub.parent_times[1]
            now = os.fstat(parent)
            try:
                if stat.S_ISDIR(status.st_mode):
                    os.rmdir(name, dir_fd=parent)
                else:
                    os.unlink(name, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return
            times = stub.parent_times if untouched else (now.st_atime_ns, now.st_mtime_ns)
            os.utime(parent, ns=times)


def _mode(parent: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0
