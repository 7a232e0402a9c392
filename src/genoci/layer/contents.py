"""What files hold, written into them: of large ones in a thread, some megabytes behind."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

from genoci.errors import BuildError
from genoci.layer.behind import Behind
from genoci.layer.entry import Entry
from genoci.layer.member import Placeable
from genoci.layer.metadata import Metadata
from genoci.layer.named_errors import errors_of

_LARGE = 256 << 10  # bytes whose writing takes longer than to have another thread do it
_BEHIND = 8  # chunks, of a megabyte at most


class Contents:
    """Fills files that were just made, and gives them their metadata.

    At the end of the block all is done, or an error that names its entry was raised, by `fill` or
    there. A file is known by its descriptor alone: its name may be given to another meanwhile.
    """

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._behind = Behind(_BEHIND)
        self._open: set[int] = set()  # the large ones that are not done

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._behind.__exit__(kind, error, trace)
        finally:
            while self._open:
                os.close(self._open.pop())

    def fill(self, fd: int, entry: Entry, member: Placeable, *, inherited: bool) -> None:
        """Closes `fd`, some time. `inherited`: see Metadata.give_file."""
        self._open.add(fd)
        if entry.size < _LARGE or member.segments is not None or entry.xattrs:
            _write(fd, entry, member)
            self._finish(fd, entry, inherited)
            return
        last = b""
        for chunk in _whole(entry, member):
            if last:
                self._behind.do(functools.partial(_write_behind, fd, entry, last))
            last = chunk
        self._behind.do(functools.partial(self._finish_behind, fd, entry, last, inherited))

    def _finish_behind(self, fd: int, entry: Entry, chunk: bytes, inherited: bool) -> None:
        _write_behind(fd, entry, chunk)
        with errors_of(entry):
            self._finish(fd, entry, inherited)

    def _finish(self, fd: int, entry: Entry, inherited: bool) -> None:
        self._metadata.give_file(fd, entry, inherited=inherited)
        self._open.remove(fd)  # before another file can have its number
        os.close(fd)


def _write(fd: int, entry: Entry, member: Placeable) -> None:
    if member.segments is None:
        for chunk in _whole(entry, member):
            _write_all(fd, chunk)
        return
    os.ftruncate(fd, entry.size)
    for offset, chunk in member.runs():
        os.lseek(fd, offset, os.SEEK_SET)
        _write_all(fd, chunk)


def _whole(entry: Entry, member: Placeable) -> Iterator[bytes]:
    """The content, as long as the entry says."""
    size = 0
    for chunk in member.chunks():
        size += len(chunk)
        yield chunk
    if size != entry.size:
        raise BuildError("changed while it was read", mend="Build again when nothing writes to it.")


def _write_behind(fd: int, entry: Entry, chunk: bytes) -> None:
    with errors_of(entry):
        _write_all(fd, chunk)


def _write_all(fd: int, chunk: bytes) -> None:
    done = os.write(fd, chunk)
    while done < len(chunk):
        done += os.write(fd, memoryview(chunk)[done:])
