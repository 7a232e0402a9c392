"""What has arrived of a file so far: held by one process, and left for the next to go on with."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from genoci import files

_SUFFIX = ".part"
_ABANDONED = 7 * 24 * 3600  # seconds


class Origin(msgspec.Struct, frozen=True):
    """Where the bytes are from; `validator` is the entity tag or date that the server gave."""

    url: str
    validator: str | None


class Partial:
    """The partial file, open and locked. `size` bytes are there; `origin` None: from nowhere."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._notes = path.with_name(f"{path.name}.from")
        self._hash = hashlib.sha256()
        self.size = 0
        self.origin = self._noted()
        if self.origin is None:
            self.empty()
        else:
            self._read_again()

    @property
    def sha256(self) -> str:
        """Of what is there, in hexadecimal."""
        return self._hash.hexdigest()

    def begin(self, origin: Origin) -> None:
        """Throw away what is there, for bytes from `origin`."""
        self.empty()
        files.write(self._notes, msgspec.json.encode(origin))
        self.origin = origin

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = os.write(self._fd, view)
            self._hash.update(view[:done])
            self.size += done
            view = view[done:]

    def empty(self) -> None:
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._notes)
        self._hash = hashlib.sha256()
        self.size, self.origin = 0, None

    def become(self, final: Path) -> None:
        """Be `final` from now on, durably; it has arrived."""
        os.fsync(self._fd)
        os.rename(self._path, final)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._notes)
        files.sync_folder(final.parent)

    def remove(self) -> None:
        self.empty()
        os.unlink(self._path)

    def _noted(self) -> Origin | None:
        try:
            return msgspec.json.decode(self._notes.read_bytes(), type=Origin)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _read_again(self) -> None:
        while data := os.read(self._fd, 1 << 20):
            self._hash.update(data)
            self.size += len(data)


@contextlib.contextmanager
def held(final: Path, on_wait: Callable[[], None]) -> Iterator[Partial]:
    """The partial file of `final`, made if it is missing, and nobody else's until the block ends.

    While another process holds it, `on_wait` is called once and then waited.
    """
    path = final.with_name(final.name + _SUFFIX)
    fd = _locked(path, on_wait)
    try:
        yield Partial(fd, path)
    finally:
        os.close(fd)


def _locked(path: Path, on_wait: Callable[[], None]) -> int:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its holder has renamed or removed it


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def sweep(folder: Path) -> None:
    """Remove the partial files that nobody has gone on with for a week."""
    before = time.time() - _ABANDONED
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # another sweep was faster, or it is not ours
            if path.stat(follow_symlinks=False).st_mtime < before:
                _remove_if_free(path)


def _remove_if_free(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(fd, path):
            Partial(fd, path).remove()
    finally:
        os.close(fd)
