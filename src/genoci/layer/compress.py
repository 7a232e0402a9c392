"""How a layer's tar is compressed. The way back is in `decompress`.

The bytes that come out depend on the bytes that go in and on the level, not on how they were cut
into chunks: a layer that is built twice has one digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from genoci.layer.compression import Compression
from genoci.layer.decompress import open_reader

__all__ = ["Compression", "Compressor", "compressed", "open_reader"]

# isal's output depends on how much it is given at once, so it always gets as much as this.
_BLOCK = 1 << 20


class Compressor(Protocol):
    """Made for one stream; may be used from any one thread, which it frees while it works."""

    def compress(self, data: bytes, /) -> bytes:
        """What has become of the data so far; often nothing."""

    def flush(self) -> bytes:
        """The rest. Nothing may follow."""


def compressed(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The bytes that unpack to `chunks`, as they come; the same for the same content."""
    compressor = _compressor(compression)
    for chunk in chunks:
        if piece := compressor.compress(chunk):
            yield piece
    if piece := compressor.flush():
        yield piece


def _compressor(compression: Compression) -> Compressor:
    if compression.algorithm == "none":
        return _Untouched()
    level = compression.effective_level
    return _Gzip(level) if compression.algorithm == "gzip" else _zstd(level)


class _Untouched:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Gzip:
    """RFC 1952 with no name, no time, and no operating system (255) in the header."""

    def __init__(self, level: int) -> None:
        from isal import isal_zlib

        self._deflate = isal_zlib.compressobj(level, wbits=16 + isal_zlib.MAX_WBITS)
        self._waiting = bytearray()

    def compress(self, data: bytes, /) -> bytes:
        if not self._waiting and len(data) == _BLOCK:
            return bytes(self._deflate.compress(data))
        self._waiting += data
        if len(self._waiting) < _BLOCK:
            return b""
        whole = len(self._waiting) - len(self._waiting) % _BLOCK
        pieces = [
            self._deflate.compress(self._waiting[at : at + _BLOCK])
            for at in range(0, whole, _BLOCK)
        ]
        del self._waiting[:whole]
        return b"".join(pieces)

    def flush(self) -> bytes:
        return bytes(self._deflate.compress(self._waiting) + self._deflate.flush())


def _zstd(level: int) -> Compressor:
    from genoci.layer.decoders import zstd

    module = zstd()
    options = {
        module.CompressionParameter.compression_level: level,
        module.CompressionParameter.checksum_flag: 1,
    }
    compressor: Compressor = module.ZstdCompressor(options=options)
    return compressor
