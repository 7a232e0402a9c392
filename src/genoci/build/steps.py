"""What every way of building shares about steps: where they fail, and the tarballs of `expand`."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from genoci.build.events import Progressed, Stepped, Warned
from genoci.build.fork import Send
from genoci.build.job import Job
from genoci.build.words import description, first_line
from genoci.errors import ArchiveError, BuildError
from genoci.layer import tar
from genoci.layer.entry import Entry
from genoci.spec.target import Expand, Step

Warn = Callable[..., None]

_LARGEST_SPARSE = 128 << 30  # bytes
_EVERY = 8 << 20  # bytes between two progress events


class NeedsARoot(Exception):
    """The root has a package manager that is to do it: the target can't be built on paper."""


def begun(job: Job, step: Step) -> Stepped:
    return Stepped(target=job.target.name, step=first_line(description(step, job.folder)))


def place(job: Job, step: Step) -> str:
    """Where a failure of the step is: the target, and the step's first line."""
    return f"target {job.target.name}, {first_line(description(step, job.folder))}"


@contextmanager
def placed(job: Job, step: Step) -> Iterator[None]:
    """Give the errors of a step that do not say it their place: the target and the step."""
    try:
        yield
    except BuildError as error:
        here = place(job, step)
        if not error.where.startswith("target "):
            error.where = f"{here}: {error.where}" if error.where else here
        raise


def clamped(entry: Entry, epoch: int | None) -> Entry:
    """The entry with no later time than SOURCE_DATE_EPOCH."""
    if epoch is None or entry.mtime <= epoch * 10**9:
        return entry
    return msgspec.structs.replace(entry, mtime=epoch * 10**9)


def warner(target: str, send: Send) -> Callable[[str], None]:
    """A function that sends each warning once."""
    told: set[str] = set()

    def warn(what: str, mend: str = "") -> None:
        if what not in told:
            told.add(what)
            send(Warned(target=target, what=what, mend=mend))

    return warn


class Counted(io.RawIOBase):
    """A file that tells how far it has been read. Closing it leaves the file open."""

    def __init__(self, raw: io.FileIO, on_bytes: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_bytes = on_bytes
        self._told = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._raw.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any, /) -> int:
        count = self._raw.readinto(buffer) or 0
        here = self._raw.tell()
        if here - self._told >= _EVERY:
            self._told = here
            self._on_bytes(here)
        return count


@contextmanager
def tarball(step: Expand, source: str, target: str, send: Send) -> Iterator[BinaryIO]:
    """An `expand`'s source, its `sha256` checked before anybody parses a byte of it."""
    path = Path(source)
    with _opened(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        if step.sha256 is not None:
            _check(raw, step.sha256, path)
        with Counted(raw, lambda done: send(_progress(target, done, size))) as counted:
            yield cast(BinaryIO, counted)


def members_of(stream: BinaryIO, name: str) -> Iterator[tar.Member]:
    """The members of a tarball, unless one claims more than a layer can be made of.

    A header of a few bytes may claim a file of exabytes that is all holes. A layer has none.
    """
    for member in tar.read(stream, name=name):
        if member.segments is not None and member.entry.size > _LARGEST_SPARSE:
            raise ArchiveError(
                f"is a sparse file of {member.entry.size} bytes, and layers hold no holes",
                where=tar.shown(member.entry.path),
                mend="Leave it out of the tarball, or make it smaller than 128 GiB.",
            )
        yield member


def _progress(target: str, done: int, total: int) -> Progressed:
    return Progressed(target=target, done=done, total=total)


def _opened(path: Path) -> io.FileIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise BuildError(
            f"cannot read {path}: {error.strerror}", mend="Make it readable, and build again."
        ) from error


def _check(raw: io.FileIO, expected: str, path: Path) -> None:
    found = hashlib.file_digest(raw, "sha256").hexdigest()
    raw.seek(0)
    if found != expected:
        raise ArchiveError(
            f"{path.name} has the sha256 {found}, not {expected}",
            mend="If the new content is the wanted one, put its sha256 into the YAML file.",
        )
