"""Files that are whole or not there: temporary, synced, renamed; and locks that die with us."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

TEMPORARY = ".genoci-"

StrPath = str | os.PathLike[str]


@contextlib.contextmanager
def new_file(path: StrPath, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write, that appears at `path`, synced, when the block ends without an exception.

    Its folder must exist. Until then it lies beside it under a name that begins with `TEMPORARY`
    and holds a lock, so that `sweep` can tell a killed writer's from a living one's.
    """
    with temporary(_folder(path), mode=mode) as (stream, keep):
        yield stream
        keep(path)


@contextlib.contextmanager
def temporary(
    folder: StrPath, *, mode: int = 0o644
) -> Iterator[tuple[BinaryIO, Callable[[StrPath], None]]]:
    """A file to write in `folder`, and what gives it its name: gone at the end unless called.

    For content that decides its own name. `keep(path)` syncs and renames, replacing what is
    there; `path` is on the same filesystem. Nothing may be written after it.
    """
    path, fd = _locked_temporary(folder, mode)
    kept = False

    def keep(final: StrPath) -> None:
        nonlocal kept
        stream.flush()
        os.fsync(fd)
        os.rename(path, final)
        kept = True
        sync_folder(_folder(final))

    try:
        with open(fd, "wb", closefd=False) as stream:
            yield stream, keep
    finally:
        if not kept:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        os.close(fd)


def _locked_temporary(folder: StrPath, mode: int) -> tuple[str, int]:
    while True:
        path = os.path.join(folder, f"{TEMPORARY}{os.urandom(8).hex()}")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)  # a sweep came between open and flock


def write(path: StrPath, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `content`, atomically and durably."""
    with new_file(path, mode=mode) as stream:
        stream.write(content)


def replace(path: StrPath, content: bytes) -> None:
    """Replace `path` by `content`, atomically; a crash of the machine may leave it empty or old.

    For what is only remembered, and judged when it is read.
    """
    temporary, fd = _locked_temporary(_folder(path), 0o644)
    try:
        with open(fd, "wb", closefd=False) as stream:
            stream.write(content)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def touch(path: StrPath) -> None:
    """Let its time tell that it was used now, if it may be told."""
    with contextlib.suppress(OSError):
        os.utime(path, follow_symlinks=False)


def _folder(path: StrPath) -> str:
    return os.path.dirname(path) or "."


def sync_folder(path: StrPath) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep(folder: StrPath) -> None:
    """Remove the temporary files in `folder` that no living process is writing."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name.startswith(TEMPORARY):
                _remove_if_abandoned(os.path.join(folder, name))


def abandoned(folder: StrPath) -> list[str]:
    """The names of what `sweep` would remove, sorted. Changes nothing."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder)):
            if name.startswith(TEMPORARY) and is_free(os.path.join(folder, name)):
                found.append(name)
    return found


def is_free(path: StrPath) -> bool:
    """Whether it is a plain file that no living process holds."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
    finally:
        os.close(fd)


def _remove_if_abandoned(path: StrPath) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:  # a living writer holds it, another sweep was faster, or it is not ours
        pass
    finally:
        os.close(fd)


@contextlib.contextmanager
def lock(path: StrPath, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
    """Hold the lock file `path` (made if missing) until the block ends.

    Raises BlockingIOError if not `wait` and another process holds it. `flock` belongs to the
    open file: a forked child keeps it until the child closes the descriptor that is yielded.
    """
    fd = _open_lock(path)
    try:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(fd, how if wait else how | fcntl.LOCK_NB)
        yield fd
    finally:
        os.close(fd)


def _open_lock(path: StrPath) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        if not os.access(_folder(path), os.W_OK):
            raise
        return os.open(path, flags | os.O_RDONLY)  # another user's, in a folder that is ours too
