"""One directory of a store: held by a lock, renamed as a whole, whole or not."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from genoci import files
from genoci.oci.digest import Digest

_WHILE = 60  # seconds after which the kernel has written most of it: see proc(5), dirty_expire


def hold(directory: Path, how: int) -> int | None:
    """Lock a directory of the store; None if it is no more what has this name.

    Raises BlockingIOError if `how` says not to wait and another process holds it.
    """
    path = directory / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(fd, how)
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def touch(directory: Path) -> None:
    """Remember that somebody stands on it, now."""
    files.touch(directory / "lock")


def last_used(directory: Path) -> float:
    """When somebody last stood on it, or it was made, in seconds since 1970."""
    try:
        return (directory / "lock").lstat().st_mtime
    except OSError:
        return 0.0


def is_in_use(directory: Path) -> bool:
    """Whether a process holds it, at this moment. Changes nothing."""
    try:
        fd = os.open(directory / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def renamed(path: Path, target: Path) -> bool:
    """Whether the directory got its new name; no: there is something of this name."""
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def remove_abandoned(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)


def is_whole(path: Path) -> bool:
    if not (path / "fs").is_dir():
        return False
    if (path / "synced").exists():
        return True
    try:
        return (path / "boot").read_text() == boot()
    except FileNotFoundError:
        return False


def parent_of(path: Path) -> Digest | None:
    text = (path / "parent").read_text()
    return Digest.parse(text) if text else None


def has_lasted(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - (path / "boot").stat().st_mtime > _WHILE
    return False


def boot() -> str:
    """What is different after every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text()
