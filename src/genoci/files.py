"""Files that are whole or not there: temporary, synced, renamed; and locks that die with us."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".genoci-"


@contextlib.contextmanager
def new_file(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write, that appears at `path`, synced, when the block ends without an exception.

    Its folder must exist. Until then it lies beside it under a name that begins with `TEMPORARY`
    and holds a lock, so that `sweep` can tell a killed writer's from a living one's.
    """
    with temporary(path.parent, mode=mode) as (stream, keep):
        yield stream
        keep(path)


@contextlib.contextmanager
def temporary(
    folder: Path, *, mode: int = 0o644
) -> Iterator[tuple[BinaryIO, Callable[[Path], None]]]:
    """A file to write in `folder`, and what gives it its name: gone at the end unless called.

    For content that decides its own name. `keep(path)` syncs and renames, replacing what is
    there; `path` is on the same filesystem. Nothing may be written after it.
    """
    path, fd = _locked_temporary(folder, mode)
    kept = False

    def keep(final: Path) -> None:
        nonlocal kept
        stream.flush()
        os.fsync(fd)
        os.rename(path, final)
        kept = True
        sync_folder(final.parent)

    try:
        with open(fd, "wb", closefd=False) as stream:
            yield stream, keep
    finally:
        if not kept:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        os.close(fd)


def _locked_temporary(folder: Path, mode: int) -> tuple[Path, int]:
    while True:
        path = folder / f"{TEMPORARY}{os.urandom(8).hex()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)  # a sweep came between open and flock


def write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `content`, atomically and durably."""
    with new_file(path, mode=mode) as stream:
        stream.write(content)


def replace(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, atomically; a crash of the machine may leave it empty or old.

    For what is only remembered, and judged when it is read.
    """
    temporary, fd = _locked_temporary(path.parent, 0o644)
    try:
        with open(fd, "wb", closefd=False) as stream:
            stream.write(content)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep(folder: Path) -> None:
    """Remove the temporary files in `folder` that no living process is writing."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name.startswith(TEMPORARY):
                _remove_if_abandoned(folder / name)


def _remove_if_abandoned(path: Path) -> None:
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
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
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


def _open_lock(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        if not os.access(path.parent, os.W_OK):
            raise
        return os.open(path, flags | os.O_RDONLY)  # another user's, in a folder that is ours too
