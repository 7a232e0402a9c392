"""File contents that must be read in another order than they arrive: an unnamed temporary file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

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
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, chunks: Iterable[bytes]) -> Extent:
        offset = self._end
        for chunk in chunks:
            self._end += self._write(chunk)
        return Extent(offset, self._end - offset)

    def read(self, extent: Extent) -> Iterator[bytes]:
        offset, left = extent
        while left:
            chunk = os.pread(self._file.fileno(), min(left, _CHUNK), offset)
            if not chunk:
                raise EOFError("the spool is shorter than what was put into it")
            yield chunk
            offset += len(chunk)
            left -= len(chunk)

    def _write(self, chunk: bytes) -> int:
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._file.fileno(), view) :]
        return len(chunk)
