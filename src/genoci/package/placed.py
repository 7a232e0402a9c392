"""Files that genoci itself puts into a root."""

from __future__ import annotations

from collections.abc import Iterator

from genoci.layer.entry import Entry, Kind
from genoci.layer.member import Sourced

_CHUNK = 1 << 20


def made(path: bytes, content: bytes, time: int) -> Sourced:
    """A file of root's, of `time` nanoseconds; directories above it are made where they lack."""

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(content), _CHUNK):
            yield content[at : at + _CHUNK]

    return Sourced(Entry(path, Kind.FILE, 0o644, 0, 0, time, size=len(content)), chunks)
