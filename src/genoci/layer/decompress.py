"""Tarballs and layers to plain bytes, by what they begin with: gzip, bzip2, xz, zstd, or neither.

A thread decompresses ahead of the reader. Several streams, members or frames in a row are one;
zeros after the last are ignored, and anything else is an error (layer rules 29).
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO, cast

from genoci.errors import ArchiveError
from genoci.layer.decoders import FORMATS, HEAD, Format, Packed

_PIECE = 1 << 20  # the most that one step unpacks to
_FEED = 1 << 18  # the most that one step is given
_FIRST_FEED = 1 << 12
_AHEAD = 6  # pieces that the thread may be ahead of the reader


def open_reader(raw: BinaryIO, *, name: str, format: Format | None = None) -> BinaryIO:
    """What `raw`, from where it stands, unpacks to. `name` is what errors call it.

    A plain file that can seek is given back as it is. Else the result can only be read onward; it
    starts a thread at the first read, and closing it ends the thread and leaves `raw` open, to be
    used by nobody else until then. Its `read` raises ArchiveError for what is damaged, cut off or
    followed by something else, and what `raw` raises. With a `format`, what does not begin so
    raises ArchiveError at once.
    """
    head = _head(raw)
    if format is not None and not format.begins(head):
        mend = "Fetch it again, and compare its size and checksum."
        raise ArchiveError(f"these are no {format.name} data", where=name, mend=mend)
    format = format or next((format for format in FORMATS if format.begins(head)), None)
    if raw.seekable():
        raw.seek(-len(head), io.SEEK_CUR)
        if format is None:
            return raw
        head = b""
    packed = Packed(raw, head, name)
    pieces = packed.rest() if format is None else _unpacked(packed, format)
    return cast(BinaryIO, Reader(_gathered(pieces)))


def _head(raw: BinaryIO) -> bytes:
    head = b""
    while len(head) < HEAD and (piece := raw.read(HEAD - len(head))):
        head += piece
    return head


class Reader(io.BufferedIOBase):
    """Reads what a thread gets out of `pieces`, at most so many of them `ahead`."""

    def __init__(self, pieces: Iterator[bytes], ahead: int = _AHEAD) -> None:
        self._pieces = pieces
        self._ahead: queue.Queue[bytes | BaseException] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None  # threads don't survive a fork before
        self._piece = b""
        self._at = 0
        self._ended: BaseException | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """`size` bytes, or all; fewer only at the end."""
        if size is None or size < 0:
            size = 1 << 62
        end = self._at + size
        if end <= len(self._piece):
            data = self._piece[self._at : end]
            self._at = end
            return data
        parts = []
        while size and (data := self.read1(size)):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """What is there, without putting pieces together: empty only at the end."""
        if self._at >= len(self._piece) and not self._next():
            return b""
        piece, at = self._piece, self._at
        end = len(piece) if size < 0 else min(at + size, len(piece))
        self._at = end
        return piece[at:end]  # all of it: not copied

    def _next(self) -> bool:
        """Whether there is another piece, which is then the current one."""
        if self.closed:
            raise ValueError("read of a closed file")
        if self._ended is None:
            if self._thread is None:
                arguments = (self._pieces, self._ahead, self._stop)
                self._thread = threading.Thread(target=_run, args=arguments, daemon=True)
                self._thread.start()
            got = self._ahead.get()
            if isinstance(got, bytes):
                self._piece, self._at = got, 0
                return True
            self._ended = got
        if isinstance(self._ended, _End):
            return False
        raise self._ended

    def close(self) -> None:
        """Idempotent. When it returns, the thread has ended."""
        if not self.closed and self._thread is not None:
            self._stop.set()
            while not self._ahead.empty():
                self._ahead.get()
            self._thread.join()
        self._piece = b""
        super().close()


class _End(Exception):
    """There are no more pieces."""


def _run(
    pieces: Iterator[bytes],
    ahead: queue.Queue[bytes | BaseException],
    stop: threading.Event,
) -> None:
    """What the thread does. It knows nothing of the Reader, which would never be collected."""
    try:
        for piece in pieces:
            ahead.put(piece)
            if stop.is_set():
                return
        ahead.put(_End())
    except BaseException as error:
        ahead.put(error)


def _unpacked(packed: Packed, format: Format) -> Iterator[bytes]:
    errors = format.errors()
    while True:
        yield from _stream(packed, format, errors)
        if not packed.skip_zeros():
            return
        head = packed.some(HEAD)
        while len(head) < HEAD and (more := packed.some(HEAD - len(head))):
            head += more
        packed.give_back(head)
        if not format.begins(head):
            raise packed.error(
                f"something follows the {format.name} data",
                "Cut it off, or make the file again.",
            )


def _stream(packed: Packed, format: Format, errors: tuple[type[Exception], ...]) -> Iterator[bytes]:
    """One stream, member or frame.

    The first bytes are fed in small bites: each tiny stream makes its decoder copy all that it
    was given and did not need, and a hostile file may be made of nothing else.
    """
    feed = _FIRST_FEED
    try:
        decoder = format.decoder(packed)
        while not decoder.eof:
            piece = packed.some(feed) if decoder.needs_input else b""
            if not piece and decoder.needs_input:
                raise packed.cut_off()
            feed = min(2 * feed, _FEED)
            if data := decoder.decompress(piece, _PIECE):
                yield data
    except errors as error:
        raise packed.error(
            f"the {format.name} data are damaged: {error}",
            "Fetch it again, and compare its size and checksum.",
        ) from error
    packed.give_back(decoder.unused_data)


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces worth the change of threads: small ones put together, large ones as they are."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size >= _PIECE // 2:
            yield b"".join(parts) if len(parts) > 1 else piece
            parts, size = [], 0
    if parts:
        yield b"".join(parts)
