"""The bytes of a tar by their offset, from a file that can seek or a stream that only runs on."""

from __future__ import annotations

import io
from typing import BinaryIO

from genoci.layer.tar_header import Malformed

CHUNK = 1 << 20


class Source:
    """Offsets count from where `stream` stood at first. `size` is None if it can't seek."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # read1 hands on what is there; read would put together, and copy, what came in pieces
        self._read = getattr(stream, "read1", stream.read)
        self._start = 0
        self.at = 0
        self.size: int | None = None
        if stream.seekable():
            self._start = stream.tell()
            self.size = max(0, stream.seek(0, io.SEEK_END) - self._start)
            stream.seek(self._start)

    def go(self, offset: int) -> bool:
        """Stand at `offset`; False if the stream ends before it.

        Raises ValueError for a way back in a stream that can't seek: the caller asked for the
        content of a member that is past.
        """
        if offset == self.at:
            return True
        if self.size is not None:
            if offset > self.size:
                return False
            self._stream.seek(self._start + offset)
            self.at = offset
            return True
        if offset < self.at:
            raise ValueError("the content of this member is past")
        while self.at < offset:
            if not self.some(offset - self.at):
                return False
        return True

    def some(self, most: int) -> bytes:
        """The next bytes: at least one, except at the end, and at most `most` or 1 MiB."""
        data: bytes = self._read(min(most, CHUNK))
        self.at += len(data)
        return data

    def exactly(self, size: int) -> bytes:
        """Fewer bytes only if the stream ends. `size` must be a bounded one."""
        data = self.some(size)
        if len(data) == size or not data:
            return data
        parts = [data]
        size -= len(data)
        while size and (data := self.some(size)):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def whole(self, size: int) -> bytes:
        """Raises Malformed if the stream ends before `size` bytes, which must be bounded."""
        data = self.exactly(size)
        if len(data) < size:
            raise Malformed(f"the archive is cut off: {size - len(data)} bytes are missing")
        return data

    def finish(self) -> None:
        """Read a stream that can't seek to its end, so that it checks what it checks there."""
        if self.size is None:
            while self.some(CHUNK):
                pass
