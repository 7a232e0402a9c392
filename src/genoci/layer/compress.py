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
BLOCK = 1 << 20


class Compressor(Protocol):
    """Made for one stream; may be used from any one thread, which it frees while it works."""

    def compress(self, block: bytes, /) -> bytes:
        """What has become of the data so far; often nothing. All blocks but the last are whole."""

    def flush(self) -> bytes:
        """The rest. Nothing may follow."""


def compressed(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The bytes that unpack to `chunks`, as they come; the same for the same content."""
    compressor = _compressor(compression)
    for block in blocks(chunks):
        if piece := compressor.compress(block):
            yield piece
    if piece := compressor.flush():
        yield piece


def blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of `BLOCK`, of which only the last may be shorter.

    Each byte is copied once, and none of a chunk that is such a block already.
    """
    parts: list[bytes | memoryview] = []
    missing = BLOCK
    for chunk in chunks:
        rest: bytes | memoryview = chunk
        while len(rest) >= missing:
            if len(rest) > missing:
                rest = memoryview(rest)
            parts.append(rest[:missing])
            yield b"".join(parts)
            rest = rest[missing:]
            parts, missing = [], BLOCK
        if rest:
            parts.append(rest)
            missing -= len(rest)
    if parts:
        yield b"".join(parts)


def _compressor(compression: Compression) -> Compressor:
    if compression.algorithm == "none":
        return _Untouched()
    level = compression.effective_level
    return _Gzip(level) if compression.algorithm == "gzip" else _zstd(level)


class _Untouched:
    def compress(self, block: bytes, /) -> bytes:
        return block

    def flush(self) -> bytes:
        return b""


class _Gzip:
    """RFC 1952 with no name, no time, and no operating system (255) in the header."""

    def __init__(self, level: int) -> None:
        from isal import isal_zlib

        self._deflate = isal_zlib.compressobj(level, wbits=16 + isal_zlib.MAX_WBITS)

    def compress(self, block: bytes, /) -> bytes:
        return bytes(self._deflate.compress(block))

    def flush(self) -> bytes:
        return bytes(self._deflate.flush())


def _zstd(level: int) -> Compressor:
    from genoci.layer.decoders import zstd

    module = zstd()
    options = {
        module.CompressionParameter.compression_level: level,
        module.CompressionParameter.checksum_flag: 1,
    }
    compressor: Compressor = module.ZstdCompressor(options=options)
    return compressor
