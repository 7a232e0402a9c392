"""Removing trees by descriptor: however deep, whatever their modes, and never through a link."""

from __future__ import annotations

import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(parent_fd: int, name: bytes) -> None:
    """Remove `name`, and all below it if it is a directory.

    Raises OSError for what can't be removed; part of it may be gone then.
    """
    try:
        os.unlink(name, dir_fd=parent_fd)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode):
            raise
        fd = _opened(parent_fd, name)
        try:
            remove_below(fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent_fd)


def remove_below(top_fd: int) -> None:
    """Empty a directory, with two descriptors at a time.

    It goes up by `..`, which is safe as long as nobody else moves directories there.
    """
    fd = os.dup(top_fd)
    path: list[bytes] = []
    try:
        while True:
            below = _unlink_files(fd)
            if below is not None:
                path.append(below)
                fd = _exchanged(fd, below)
            elif path:
                fd = _exchanged(fd, b"..")
                os.rmdir(path.pop(), dir_fd=fd)
            else:
                return
    finally:
        os.close(fd)


def _unlink_files(fd: int) -> bytes | None:
    """Unlink all that is no directory; the name of one that is left, or None."""
    if os.fstat(fd).st_mode & 0o700 != 0o700 and os.geteuid() != 0:
        os.fchmod(fd, 0o700)
    left = None
    for name in os.listdir(fd):
        path = os.fsencode(name)
        try:
            os.unlink(path, dir_fd=fd)
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.stat(path, dir_fd=fd, follow_symlinks=False).st_mode):
                raise
            left = path
    return left


def _exchanged(fd: int, name: bytes) -> int:
    try:
        return _opened(fd, name)
    finally:
        os.close(fd)


def _opened(fd: int, name: bytes) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=fd)
    except PermissionError:  # a directory of our own that forbids us to look
        os.chmod(name, 0o700, dir_fd=fd)
        return os.open(name, _DIRECTORY, dir_fd=fd)
