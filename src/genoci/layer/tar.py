"""The tar codec: the members of an archive in, and header blocks out (from `tar_write`).

Reads ustar, PAX, GNU and v7 archives; layer rules 1, 5, 8, 20, 22 and 25 to 31. Decided here:

- Of the types, `7` (contiguous) is a file, `D` (GNU's incremental dumps) a directory, `V` (a
  volume's label) nothing at all. `M`, `N`, `A`, `E` and `I` tell of what is not here and are
  refused; any other unknown type is a file, as POSIX wants. A file named `x/` is a directory.
- A hard link that claims a size has no data, unless what follows is no header: POSIX lets pax
  store a link's content, and old tools put a size without any.
- An archive ends with two blocks of zeros; one is accepted at the very end, as by GNU tar. None
  at all is what an archive looks like that was cut off between two members. It is refused, though
  other readers take it, unless the caller knows, as from a digest, that nothing is missing.
- Whatever headers claim, a PAX header or a long name takes 1 MiB at most, a sparse map 131072
  runs, a chunk 1 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from genoci.errors import ArchiveError
from genoci.layer import pax, sparse, tar_entry, tar_header
from genoci.layer.entry import Entry, Kind
from genoci.layer.tar_entry import clean
from genoci.layer.tar_header import BLOCK, ZERO_BLOCK, Header, Malformed
from genoci.layer.tar_source import CHUNK, Source
from genoci.layer.tar_write import END, padding, write_header

__all__ = ["END", "Member", "clean", "padding", "read", "write_header"]

_FILE, _HARDLINK = Kind.FILE, Kind.HARDLINK
_ZEROS = bytes(CHUNK)
_WITHOUT_DATA = frozenset([b"1", b"2", b"3", b"4", b"5", b"6"])
_NOTHING: dict[bytes, bytes] = {}


def read(stream: BinaryIO, *, name: str, verified: bool = False) -> Iterator[Member]:
    """The members of the tar that begins where `stream` stands, in order.

    `name` is what errors call the archive. With `verified`, the caller answers for the stream
    being whole, so the zeros at the end may be missing. Data that nobody read are skipped, by
    seeking where the stream can. A stream that can't seek has been read to its very end when the
    last member is passed, so that whatever it checks there was checked.

    Raises ArchiveError, naming the entry and the offset.
    """
    archive = _Archive(Source(stream), name, verified)
    while (member := archive.next()) is not None:
        yield member


class Member:
    """An entry of an archive, and the way to its content.

    `offset` is where its first header begins and `data_offset` where its data do, counted from
    the beginning of the tar. `segments` is None, or, for a sparse file, the (offset, length) of
    each run of data, in order; everything else in it is zeros.

    The content is there until the next member is asked for; if the stream can seek, later too.
    Otherwise asking for it raises ValueError.
    """

    __slots__ = ("_archive", "_source", "data_offset", "entry", "offset", "segments")

    def __init__(
        self,
        entry: Entry,
        offset: int,
        data_offset: int,
        segments: tuple[tuple[int, int], ...] | None,
        source: Source,
        archive: str,
    ) -> None:
        self.entry = entry
        self.offset = offset
        self.data_offset = data_offset
        self.segments = segments
        self._source = source
        self._archive = archive

    def chunks(self) -> Iterator[bytes]:
        """The whole content in order, holes as zeros, in chunks of at most 1 MiB."""
        if self.segments is None:
            yield from self._data(self.data_offset, self.entry.size)
            return
        end = 0
        for offset, chunk in self.runs():
            yield from _zeros(offset - end)
            yield chunk
            end = offset + len(chunk)
        yield from _zeros(self.entry.size - end)

    def runs(self) -> Iterator[tuple[int, bytes]]:
        """The content without its holes: (offset in the file, at most 1 MiB of data), in order."""
        at = self.data_offset
        whole = ((0, self.entry.size),)
        for offset, length in whole if self.segments is None else self.segments:
            for chunk in self._data(at, length):
                yield offset, chunk
                offset += len(chunk)
            at += length

    def _data(self, at: int, length: int) -> Iterator[bytes]:
        source, end = self._source, at + length
        while at < end:
            chunk = source.some(end - at) if source.go(at) else b""
            if not chunk:
                raise ArchiveError(
                    f"the archive is cut off: {end - at} bytes of the content are missing",
                    where=_place(self._archive, self.offset, self.entry.path),
                    mend=_FETCH_AGAIN,
                )
            at += len(chunk)
            yield chunk


def _zeros(length: int) -> Iterator[bytes]:
    while length >= CHUNK:
        yield _ZEROS
        length -= CHUNK
    if length:
        yield _ZEROS[:length]


class _Archive:
    """Where the reading of an archive stands."""

    def __init__(self, source: Source, name: str, verified: bool) -> None:
        self._source = source
        self._name = name
        self._verified = verified
        self._at = 0  # the next header
        self._for_all = _NOTHING  # what global headers say
        self._link_data = 0  # bytes after a hard link that may be its data, or the next header
        self._path: bytes | None = None  # the entry that is being read

    def next(self) -> Member | None:
        start = self._at
        before, self._path = self._path, None
        try:
            return self._next(start)
        except Malformed as error:
            place = _place(self._name, start, self._path, before)
            raise ArchiveError(str(error), where=place, mend=_FETCH_AGAIN) from None

    def _next(self, start: int) -> Member | None:
        own = _NOTHING
        while (header := self._header()) is not None:
            match header.type:
                case b"x" | b"X":  # X is the same thing of Solaris
                    own = pax.merged(own, pax.records(self._body(header)))
                case b"g":
                    self._for_all = pax.for_all(self._body(header), self._for_all)
                case b"L":
                    own = {**own, b"path": self._long(header)}
                case b"K":
                    own = {**own, b"linkpath": self._long(header)}
                case b"V":
                    self._at += _padded(header.size)
                case _:
                    found = {**self._for_all, **own} if own or self._for_all else _NOTHING
                    return self._member(start, header, found)
        if own:
            raise Malformed("an extended header belongs to no entry")
        self._source.finish()
        return None

    def _member(self, start: int, header: Header, found: dict[bytes, bytes]) -> Member:
        name = self._path = tar_entry.raw_name(header, found)
        kind = tar_entry.kind(header, name, found)
        length = tar_entry.stored(header, found)
        size, segments = length, None
        if header.type in _WITHOUT_DATA:
            self._link_data = _padded(length) if kind is _HARDLINK else 0
            length = 0
        elif runs := self._sparse(header, kind, length, found):
            size, segments = runs
            length = sum(length for _, length in segments)
        entry = tar_entry.entry(header, name, kind, size, found)
        data = self._at
        self._at = data + _padded(length)
        if self._source.size is not None and data + length > self._source.size:
            missing = data + length - self._source.size
            raise Malformed(f"the archive is cut off: {missing} bytes of the content are missing")
        return Member(entry, start, data, segments, self._source, self._name)

    def _sparse(
        self, header: Header, kind: Kind, length: int, found: dict[bytes, bytes]
    ) -> sparse.Sparse | None:
        if kind is not _FILE:
            return None
        if header.type == b"S":
            return sparse.old_gnu(header.block, length, self._block)
        return sparse.pax(found, length, self._block) if found else None

    def _header(self) -> Header | None:
        """The header at this place; None at the end of the archive."""
        if not self._source.go(self._at):
            raise Malformed("the archive is cut off within the content of an entry")
        block = self._source.exactly(BLOCK)
        if len(block) < BLOCK or block == ZERO_BLOCK:
            self._check_end(block)
            return None
        try:
            header = tar_header.parse(block)
        except Malformed as error:
            if self._link_data:
                self._at += self._link_data
                self._link_data = 0
                return self._header()
            if self._at == 0:
                raise Malformed(f"this is no tar archive ({error})") from None
            raise
        self._link_data = 0
        self._at += BLOCK
        return header

    def _check_end(self, block: bytes) -> None:
        """`block` is zeros, or all that was left."""
        if block == ZERO_BLOCK:
            second = self._source.exactly(BLOCK)
            if second in (b"", ZERO_BLOCK):
                return
            raise Malformed("there is a block of zeros between two entries")
        if block:
            raise Malformed(f"the archive is cut off: it ends with {len(block)} bytes of a block")
        if not self._verified:
            raise Malformed("the archive has no end: the two blocks of zeros are missing")

    def _block(self) -> bytes:
        self._at += BLOCK
        return self._source.whole(BLOCK)

    def _body(self, header: Header) -> bytes:
        """The content of an extended header."""
        if header.size > pax.MOST:
            raise Malformed(f"an extended header of {header.size} bytes; {pax.MOST} are the most")
        body = self._source.whole(header.size)
        self._at += _padded(header.size)
        return body

    def _long(self, header: Header) -> bytes:
        """A name or a link's target, as GNU tar stores one that is longer than its field."""
        name = self._body(header).partition(b"\0")[0]
        if not name:
            raise Malformed("a long name is empty")
        return name


_FETCH_AGAIN = "Make the archive again, or fetch it again, and compare its size and checksum."


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _place(archive: str, offset: int, path: bytes | None, before: bytes | None = None) -> str:
    if path is not None:
        return f"{archive}: entry {shown(path)} at byte {offset}"
    return f"{archive}: byte {offset}" + (f", after {shown(before)}" if before is not None else "")


def shown(path: bytes) -> str:
    """A hostile name as one line of a bounded length."""
    text = path.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:200])
    return text + "…" if len(path) > 200 else text
