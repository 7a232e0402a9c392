"""Removing trees by descriptor: however deep, whatever their modes, and never through a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(parent_fd: int, name: bytes) -> None:
    """Remove `name`, and all below it if it is a directory.

    Raises OSError for what can't be removed; part of it may be gone then.
    """
    if not _unlinked(parent_fd, name):
        fd = _opened(parent_fd, name)
        try:
            remove_below(fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent_fd)


def remove_tree(tree: Path) -> None:
    """The same for a path."""
    parent = os.open(tree.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(parent, os.fsencode(tree.name))
    finally:
        os.close(parent)


def remove_below(top_fd: int) -> None:
    """Empty a directory, with two descriptors at a time.

    It goes up by `..`, which is safe as long as nobody else moves directories there.
    """
    fd = os.dup(top_fd)
    levels = [_directories_left(fd)]  # on each level those to be removed; the last is being so
    try:
        while True:
            if levels[-1]:
                fd = _exchanged(fd, levels[-1][-1])
                levels.append(_directories_left(fd))
                continue
            levels.pop()
            if not levels:
                return
            fd = _exchanged(fd, b"..")
            os.rmdir(levels[-1].pop(), dir_fd=fd)
    finally:
        os.close(fd)


def _directories_left(fd: int) -> list[bytes]:
    """Unlink all that is no directory; the names that are left."""
    if os.fstat(fd).st_mode & 0o700 != 0o700 and os.geteuid() != 0:
        os.fchmod(fd, 0o700)
    names = map(os.fsencode, os.listdir(fd))
    return [name for name in names if not _unlinked(fd, name)]


def _unlinked(fd: int, name: bytes) -> bool:
    """False: it is a directory."""
    try:
        os.unlink(name, dir_fd=fd)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            raise
        return False
    return True


def _exchanged(fd: int, name: bytes) -> int:
    """The directory `name` seen from `fd`, which is closed if there is no error."""
    new = _opened(fd, name)
    os.close(fd)
    return new


def _opened(fd: int, name: bytes) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=fd)
    except PermissionError:  # a directory of our own that forbids us to look
        os.chmod(name, 0o700, dir_fd=fd)
        return os.open(name, _DIRECTORY, dir_fd=fd)
