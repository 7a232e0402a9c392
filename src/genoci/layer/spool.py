"""File contents that must be read in another order than they arrive: an unnamed temporary file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from genoci.errors import BuildError

_CHUNK = 1 << 20


class Extent(NamedTuple):
    """Where a content lies in a spool, in bytes."""

    offset: int
    size: int


class Spool:
    """Contents put one after the other, and read in any order.

    The file has no name, so that a killed process leaves nothing behind. A context manager: its
    end frees the space.
    """

    def __init__(self, folder: Path) -> None:
        import tempfile  # few layers need one

        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, runs: Iterable[tuple[int, bytes]], size: int) -> Extent:
        """Keep a content of `size` bytes: its data, each piece with its offset. Holes stay holes.

        Raises BuildError if the data reach beyond the size.
        """
        begin = self._end
        self._end += size
        for offset, data in runs:
            if offset + len(data) > size:
                raise BuildError("a file became larger while it was read", mend="Build again.")
            self._write(data, begin + offset)
        os.ftruncate(self._file.fileno(), self._end)
        return Extent(begin, size)

    def read(self, extent: Extent) -> Iterator[bytes]:
        offset, left = extent
        while left:
            chunk = os.pread(self._file.fileno(), min(left, _CHUNK), offset)
            if not chunk:
                raise EOFError("the spool is shorter than what was put into it")
            yield chunk
            offset += len(chunk)
            left -= len(chunk)

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file.fileno(), view, offset)
            view, offset = view[written:], offset + written
