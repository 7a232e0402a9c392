"""The payload of an rpm package: cpio's `newc` format, and the one that rpm made out of it.

cpio(5) for 070701 and 070702. From 4.12 on, rpm writes a package with a file of 4 GiB or more as
07070X: the number of a file in the header's list, and its content, whose size is told there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from genoci.errors import ArchiveError

_CHUNK = 1 << 20
_MOST_NAME = 4096
_TRAILER = b"TRAILER!!!"
_FIELDS = 13
_SIZE, _NAME_SIZE = 6, 11  # of the fields


class Piece(NamedTuple):
    """One member: its name, or where it has none its number in the header; its size in bytes.

    `chunks` gives the content, once, until the next piece is asked for.
    """

    name: bytes | None
    number: int
    size: int
    chunks: Callable[[], Iterator[bytes]]


def pieces(stream: BinaryIO, size_of: Callable[[int], int], named: str) -> Iterator[Piece]:
    """The members in order; the stream has been read to its end when the last is passed.

    `size_of` tells the size of a piece without a name; it raises ArchiveError for a number that
    is none. Raises ArchiveError for what is damaged or cut off.
    """
    source = _Source(stream, named)
    while True:
        source.skip()
        magic = source.exactly(6)
        if magic == b"07070X":
            number = source.hexadecimal(source.exactly(8))
            source.exactly(2)
            yield Piece(None, number, source.follows(size_of(number)), source.chunks)
            continue
        if magic not in (b"070701", b"070702"):
            raise source.error(f"is damaged: {magic!r} is no cpio header")
        fields = source.exactly(8 * _FIELDS)
        length = source.hexadecimal(fields[8 * _NAME_SIZE : 8 * _NAME_SIZE + 8])
        if not 0 < length <= _MOST_NAME:
            raise source.error(f"has a name of {length} bytes")
        name = source.exactly(length + -(110 + length) % 4)[: length - 1]
        size = source.hexadecimal(fields[8 * _SIZE : 8 * _SIZE + 8])
        if name == _TRAILER:
            break
        yield Piece(name, -1, source.follows(size), source.chunks)
    while source.some(_CHUNK):
        pass


class _Source:
    """A stream, and how much of the piece at hand is still to come."""

    def __init__(self, stream: BinaryIO, named: str) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._named = named
        self._left = 0
        self._padding = 0

    def follows(self, size: int) -> int:
        self._left, self._padding = size, -size % 4
        return size

    def chunks(self) -> Iterator[bytes]:
        while self._left:
            data = self._some_of_it()
            yield data

    def skip(self) -> None:
        while self._left:
            self._some_of_it()
        self.exactly(self._padding)
        self._padding = 0

    def _some_of_it(self) -> bytes:
        data = self.some(self._left)
        if not data:
            raise self.error(f"is cut off: {self._left} bytes are missing")
        self._left -= len(data)
        return data

    def some(self, most: int) -> bytes:
        data: bytes = self._read(min(most, _CHUNK))
        return data

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.some(size - len(data))
            if not piece:
                raise self.error("is cut off")
            data += piece
        return data

    def hexadecimal(self, field: bytes) -> int:
        try:
            if field.isalnum():
                return int(field, 16)
        except ValueError:
            pass
        raise self.error(f"is damaged: {field!r} is no number")

    def error(self, what: str) -> ArchiveError:
        return ArchiveError(f"the payload {what}", where=self._named)
