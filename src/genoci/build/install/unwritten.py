"""What a package manager keeps for itself, and a layer is not to have: as it was before."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genoci.build.install.manager import Workplace
from genoci.layer.beneath import Beneath
from genoci.layer.tree import open_alone

_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Copy(NamedTuple):
    path: Path
    status: os.stat_result


@contextlib.contextmanager
def unwritten(place: Workplace, folder: bytes, prefix: bytes) -> Iterator[None]:
    """Undo what the block does to the files in `folder` whose names begin with `prefix`.

    `folder` is a clean path; if a link is in it, nothing is done. A new folder that would be left
    empty is gone as well. After an error nothing is undone.
    """
    copies = place.folder / f"{folder.decode()}-{prefix.decode()}".replace("/", "-")
    copies.mkdir()
    before: dict[bytes, _Copy] = {}
    names: set[bytes] = set()
    with _opened(place, folder) as fd:
        own = None if fd is None else os.fstat(fd)
        if fd is not None:
            names = set(map(os.fsencode, os.listdir(fd)))
            for number, name in enumerate(_files(fd, prefix)):
                before[name] = _copied(fd, name, copies / str(number))
    yield
    with _opened(place, folder) as fd:
        if fd is None:
            return
        for name in _files(fd, prefix):
            if name not in before:
                os.unlink(name, dir_fd=fd)
        for name, copy in before.items():
            _restore(fd, name, copy)
        left = set(map(os.fsencode, os.listdir(fd)))
        if own is not None and left == names:
            os.utime(fd, ns=(own.st_atime_ns, own.st_mtime_ns))
    if own is None and not left:
        _remove_folder(place, folder)


@contextlib.contextmanager
def _beneath(place: Workplace) -> Iterator[Beneath]:
    root = open_alone(place.root)
    beneath = Beneath(root)
    try:
        yield beneath
    finally:
        beneath.close()
        os.close(root)


@contextlib.contextmanager
def _opened(place: Workplace, folder: bytes) -> Iterator[int | None]:
    """The folder's descriptor; None: there is none."""
    with _beneath(place) as beneath:
        try:
            fd = beneath.directory(folder)
        except (FileNotFoundError, NotADirectoryError):
            yield None
        else:
            yield fd


def _files(fd: int, prefix: bytes) -> list[bytes]:
    """The regular files in it that are meant."""
    names = [name for name in map(os.fsencode, os.listdir(fd)) if name.startswith(prefix)]
    return [
        name
        for name in sorted(names)
        if stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    ]


def _copied(fd: int, name: bytes, target: Path) -> _Copy:
    with open(os.open(name, os.O_RDONLY | _FILE, dir_fd=fd), "rb") as source:
        with target.open("wb") as stream:
            shutil.copyfileobj(source, stream)
        return _Copy(target, os.fstat(source.fileno()))


def _restore(fd: int, name: bytes, copy: _Copy) -> None:
    before = copy.status
    with contextlib.suppress(FileNotFoundError):
        now = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if (now.st_mtime_ns, now.st_size) == (before.st_mtime_ns, before.st_size):
            return
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FILE
    with open(os.open(name, flags, 0o600, dir_fd=fd), "wb") as stream:
        with copy.path.open("rb") as source:
            shutil.copyfileobj(source, stream)
        stream.flush()
        os.fchown(stream.fileno(), before.st_uid, before.st_gid)
        os.fchmod(stream.fileno(), stat.S_IMODE(before.st_mode))
        os.utime(stream.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove_folder(place: Workplace, folder: bytes) -> None:
    with _beneath(place) as beneath:
        above, name = beneath.parent(folder)
        os.rmdir(name, dir_fd=above)
