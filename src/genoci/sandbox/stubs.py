"""Mount points that a container needs and its root does not have: made, and gone afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import NamedTuple

from genoci import linux
from genoci.errors import BuildError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_NO_LINKS = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_MAGICLINKS
_MOST_LINKS = 40  # path_resolution(7)
_MOST_STUBS = 100  # each holds a descriptor to the end


class _Stub(NamedTuple):
    """What was made in the directory `parent` (a descriptor), which had those times before."""

    parent: int
    name: str
    inode: int
    times: tuple[int, int]


class Stubs:
    """Mount points beneath a root. A context manager: its end removes those that were made.

    What the container itself has put in the place of one, or into one, stays. The directory that
    held one has the modification time that it had, unless the container changed it as well.
    """

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._made: list[_Stub] = []

    def __enter__(self) -> Stubs:
        return self

    def __exit__(self, *_: object) -> None:
        for stub in reversed(self._made):
            try:
                _remove(stub)
            finally:
                os.close(stub.parent)
        self._made.clear()

    def directory(self, name: str) -> None:
        """A directory at the top of the root; raises BuildError if there is something else."""
        mode = _mode(self._root_fd, name)
        if not mode:
            self._make(self._root_fd, name, directory=True)
        elif not stat.S_ISDIR(mode):
            raise BuildError(
                f"the image's /{name} is not a directory, and nothing can be run without one",
                mend="Remove it in the tarball that it comes from, or use another base.",
            )

    def folder(self, path: str) -> str | None:
        """Where a directory's `path` leads inside the root; it is made if nothing is there.

        None if something else stands there, or on the way.
        """
        with contextlib.suppress(OSError):
            return self._resolve(path, directory=True)
        return None

    def file(self, path: str, *, through_link: bool = True) -> str | None:
        """The same for a file, on which something is to be shown.

        Not `through_link`: a link in its place is something else, too.
        """
        with contextlib.suppress(OSError):
            return self._resolve(path, directory=False, through_link=through_link)
        return None

    def is_mounted_over(self, path: str) -> bool:
        """Whether something else than the root itself is seen there, or on the way to it."""
        resolve = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_XDEV | linux.RESOLVE_NO_MAGICLINKS
        try:
            os.close(linux.openat2(self._root_fd, os.fsencode(path), os.O_PATH, resolve=resolve))
        except OSError as error:
            return error.errno == errno.EXDEV
        return False

    def _resolve(self, path: str, *, directory: bool, through_link: bool = True) -> str | None:
        """Follow links as the container would, inside the root; make what is missing."""
        here: list[str] = []
        rest = _parts(path)
        links = 0
        while rest:
            name = rest.pop()
            if name == "..":
                here = here[:-1]
                continue
            with self._opened("/".join(here)) as parent:
                mode = _mode(parent, name)
                if stat.S_ISLNK(mode):
                    links += 1
                    if links > _MOST_LINKS or not (rest or through_link):
                        return None
                    target = os.readlink(name, dir_fd=parent)
                    here = [] if target.startswith("/") else here
                    rest += _parts(target)
                    continue
                as_directory = directory or bool(rest)
                if not mode:
                    self._make(parent, name, directory=as_directory)
                elif not (stat.S_ISDIR if as_directory else stat.S_ISREG)(mode):
                    return None
            here.append(name)
        return "/".join(here)

    def _opened(self, path: str) -> _Opened:
        return _Opened(self._root_fd, path)

    def _make(self, parent: int, name: str, *, directory: bool) -> None:
        if len(self._made) == _MOST_STUBS:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
        status = os.fstat(parent)
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
        # Whatever the umask: others must be able to pass through it, and to read what is shown.
        os.chmod(name, 0o755 if directory else 0o644, dir_fd=parent)
        inode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(parent, ns=times)
        self._made.append(_Stub(os.dup(parent), name, inode, times))


class _Opened:
    """A directory beneath the root that no link leads to, open for a while."""

    def __init__(self, root_fd: int, path: str) -> None:
        self._root_fd = root_fd
        self._path = path

    def __enter__(self) -> int:
        path = os.fsencode(self._path or ".")
        self._fd = linux.openat2(self._root_fd, path, _DIRECTORY, resolve=_NO_LINKS)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _parts(path: str) -> list[str]:
    """The names in a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _mode(parent: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _remove(stub: _Stub) -> None:
    """Undo one, if it is still what was made and nothing has come into it."""
    try:
        status = os.stat(stub.name, dir_fd=stub.parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    directory = stat.S_ISDIR(status.st_mode)
    if status.st_ino != stub.inode or (status.st_size and not directory):
        return
    before = os.fstat(stub.parent)
    try:
        if directory:
            os.rmdir(stub.name, dir_fd=stub.parent)
        else:
            os.unlink(stub.name, dir_fd=stub.parent)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return
        raise
    untouched = before.st_mtime_ns == stub.times[1]
    os.utime(stub.parent, ns=stub.times if untouched else (before.st_atime_ns, before.st_mtime_ns))
