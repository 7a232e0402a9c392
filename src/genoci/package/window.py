"""A part of a file as a file of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO


class Window(io.RawIOBase):
    """`size` bytes of the open file `fd` from `offset` on; closing it leaves `fd` open.

    Windows of one file have each a position of their own. A file that ends too early just ends.
    """

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._offset = offset
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        most = min(len(buffer), self._size - self._at)
        if most <= 0:
            return 0
        data = os.pread(self._fd, most, self._offset + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Bounded(io.RawIOBase):
    """A stream that raises the error that `too_long` makes as soon as it gives more than `most`."""

    def __init__(self, stream: BinaryIO, most: int, too_long: Callable[[], Exception]) -> None:
        self._stream = stream
        self._left = most
        self._too_long = too_long

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read(min(len(buffer), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise self._too_long()
        buffer[: len(data)] = data
        return len(data)
