"""What an installation writes of when, rather than of what: not for a layer, whoever wrote it.

The folders are those of the Filesystem Hierarchy Standard, which says what may be lost in them:

- `var/log`: a log is as it was before, and a new one is gone, unless it is empty (packages make
  such, with an owner, for their services) or came with a package.
- `var/cache`: what was written is gone, since it can be made again; but debconf's answers stay.
- `run`, `tmp`, `var/tmp`: new files are gone; new directories in `run` stay.
- `*-old` of dpkg and debconf, which hold what was there before the last of many changes: they are
  as they were before, and new ones are gone; locks have the times that they had.
- `etc/machine-id` is empty and its twin of D-Bus gone, if they were written: machine-id(5) wants
  it so in images, which become more than one machine.

What a package itself brings has the time that the package gives it, from before the step.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from genoci.layer.beneath import Beneath
from genoci.layer.entry import join
from genoci.layer.remove import remove
from genoci.layer.tree import open_alone

_LOGS, _CACHES, _RUN = b"var/log", b"var/cache", b"run"
_TEMPORARY = (b"tmp", b"var/tmp")
_FOLDERS = (_LOGS, _CACHES, _RUN, *_TEMPORARY)
_ANSWERS = tuple(
    b"var/cache/debconf/" + name for name in (b"config.dat", b"templates.dat", b"passwords.dat")
)
_DPKG, _DEBCONF = b"var/lib/dpkg", b"var/cache/debconf"
_LOCKS = (b"var/lib/dpkg/lock", b"var/lib/dpkg/lock-frontend", b"var/lib/dpkg/triggers/Lock")
_MACHINE_ID, _TWIN = b"etc/machine-id", b"var/lib/dbus/machine-id"
_AS_IT_IS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Seen(NamedTuple):
    """A path as it is: a directory has the names in it, another file its size."""

    mode: int
    times: tuple[int, int]
    size: int = 0
    names: frozenset[bytes] = frozenset()

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    def differs_from(self, before: _Seen | None) -> bool:
        return before is None or (self.times[1], self.size) != (before.times[1], before.size)


class Traces:
    """A context manager around an installation in `root`; `folder`, empty, is for its own use.

    After an error everything is left, for whoever looks at the failed root.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder / "before"

    def __enter__(self) -> Traces:
        self._folder.mkdir()
        self._start = self._folder.stat().st_mtime_ns  # by the clock that files have
        with _beneath(self._root) as beneath:
            self._before = _everything(beneath)
            self._copies = {
                path: self._folder / str(number)
                for number, (path, seen) in enumerate(self._before.items())
                if _is_as_before(path) and seen.is_regular
            }
            for path, copy in self._copies.items():
                with _opened(beneath, path, os.O_RDONLY) as source, copy.open("wb") as target:
                    shutil.copyfileobj(source, target)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            with _beneath(self._root) as beneath:
                self._erase(beneath)

    def _erase(self, beneath: Beneath) -> None:
        for path, now in _everything(beneath).items():
            before = self._before.get(path)
            if path in self._copies and now.is_regular:
                if now.differs_from(before):
                    self._restore(beneath, path)
            elif path in (_MACHINE_ID, _TWIN):
                if self._is_written(now, before):
                    _forget_machine(beneath, path)
            elif self._is_a_trace(path, now, before):
                _remove(beneath, path)
        for path, before in self._before.items():
            if before.is_directory:
                _restore_time(beneath, path, before)

    def _is_a_trace(self, path: bytes, now: _Seen, before: _Seen | None) -> bool:
        if _is_in(path, _TEMPORARY):
            return before is None
        if not self._is_written(now, before) or path in _LOCKS:
            return False
        if _is_in(path, (_LOGS,)):
            return now.size > 0
        if _is_in(path, (_CACHES,)):
            return path not in _ANSWERS
        return before is None

    def _is_written(self, now: _Seen, before: _Seen | None) -> bool:
        """Whether it is a file that was written since the beginning."""
        return now.is_regular and now.differs_from(before) and now.times[1] >= self._start

    def _restore(self, beneath: Beneath, path: bytes) -> None:
        with (
            _opened(beneath, path, os.O_WRONLY | os.O_TRUNC) as target,
            self._copies[path].open("rb") as source,
        ):
            shutil.copyfileobj(source, target)
            target.flush()
            os.utime(target.fileno(), ns=self._before[path].times)


@contextlib.contextmanager
def _beneath(root: Path) -> Iterator[Beneath]:
    fd = open_alone(root)
    beneath = Beneath(fd)
    try:
        yield beneath
    finally:
        beneath.close()
        os.close(fd)


def _everything(beneath: Beneath) -> dict[bytes, _Seen]:
    """All that lies in the folders, and the other files; parents come first."""
    found: dict[bytes, _Seen] = {}
    pending = [*_FOLDERS, *_LOCKS, _MACHINE_ID, _TWIN]
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = map(os.fsencode, os.listdir(beneath.directory(_DPKG)))
        pending += [join(_DPKG, name) for name in names if name.endswith(b"-old")]
    while pending:
        path = pending.pop()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found[path] = _seen(beneath, path)
            pending += [join(path, name) for name in found[path].names]
    return found


def _seen(beneath: Beneath, path: bytes) -> _Seen:
    parent, name = beneath.parent(path)
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    times = (status.st_atime_ns, status.st_mtime_ns)
    if not stat.S_ISDIR(status.st_mode):
        return _Seen(status.st_mode, times, size=status.st_size)
    names = os.listdir(beneath.directory(path))
    return _Seen(status.st_mode, times, names=frozenset(map(os.fsencode, names)))


@contextlib.contextmanager
def _opened(beneath: Beneath, path: bytes, flags: int) -> Iterator[BinaryIO]:
    parent, name = beneath.parent(path)
    fd = os.open(name, flags | _AS_IT_IS, dir_fd=parent)
    with open(fd, "rb" if flags == os.O_RDONLY else "wb") as stream:
        yield stream


def _remove(beneath: Beneath, path: bytes) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # with what it was in
        parent, name = beneath.parent(path)
        remove(parent, name)


def _forget_machine(beneath: Beneath, path: bytes) -> None:
    if path == _TWIN:
        _remove(beneath, path)
        return
    with _opened(beneath, path, os.O_WRONLY | os.O_TRUNC):
        pass


def _restore_time(beneath: Beneath, path: bytes, before: _Seen) -> None:
    """Give a directory in which nothing has come or gone, in the end, the time that it had."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        now = _seen(beneath, path)
        if now.is_directory and now.names == before.names and now.differs_from(before):
            os.utime(beneath.directory(path), ns=before.times)


def _is_as_before(path: bytes) -> bool:
    """Whether a file that the root had stays what it was."""
    backup = path.endswith(b"-old") and _is_in(path, (_DPKG, _DEBCONF))
    return backup or path in _LOCKS or _is_in(path, (_LOGS,))


def _is_in(path: bytes, folders: tuple[bytes, ...]) -> bool:
    return any(path.startswith(folder + b"/") for folder in folders)
