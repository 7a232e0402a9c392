"""How a layer's tar is compressed. The way back is in `decompress`.

The bytes that come out depend on the bytes that go in and on the level, not on how they were cut
into chunks: a layer that is built twice has one digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

import msgspec

from genoci.errors import UsageError
from genoci.layer.decompress import open_reader

__all__ = ["Compression", "Compressor", "compressed", "open_reader"]

Algorithm = Literal["gzip", "zstd", "none"]

# isal has a level 3, whose output differs between processors with and without AVX2 and AVX-512.
_LEVELS = {"gzip": range(3), "zstd": range(1, 20), "none": range(0)}
_DEFAULT = {"gzip": 1, "zstd": 3}
_MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}

# isal's output depends on how much it is given at once, so it always gets as much as this.
BLOCK = 1 << 20


class Compressor(Protocol):
    """Made for one stream; may be used from any one thread, which it frees while it works."""

    def compress(self, block: bytes, /) -> bytes:
        """What has become of the data so far; often nothing. All blocks but the last are whole."""

    def flush(self) -> bytes:
        """The rest. Nothing may follow."""


class Compression(msgspec.Struct, frozen=True):
    """An algorithm and its level; None is its default level. Raises UsageError for a wrong one."""

    algorithm: Algorithm
    level: int | None = None

    def __post_init__(self) -> None:
        levels = _LEVELS.get(self.algorithm)
        if levels is None:
            raise UsageError(
                f"'{self.algorithm}' is no compression of layers",
                mend="Write gzip or zstd, or none, with a level if you like: zstd:19.",
            )
        if self.level is not None and self.level not in levels:
            what = f"{self.algorithm} has no level {self.level}"
            raise UsageError(what, mend=f"Write {_choice(self.algorithm)}.")

    @classmethod
    def parse(cls, text: str) -> Compression:
        """From "gzip", "zstd:19", "none". Raises UsageError."""
        algorithm, colon, level = text.partition(":")
        if not colon:
            return cls(algorithm)  # type: ignore[arg-type]
        cls(algorithm)  # type: ignore[arg-type]
        if not (level.isascii() and level.isdigit() and len(level) < 4):
            what = f"'{level}' is no level of {algorithm}"
            raise UsageError(what, mend=f"Write {_choice(algorithm)}.")
        return cls(algorithm, int(level))  # type: ignore[arg-type]

    @property
    def media_type(self) -> str:
        """Of a layer that is compressed so (image specification, 'Image Layer Filesystem')."""
        return _MEDIA_TYPES[self.algorithm]

    def compressor(self) -> Compressor:
        if self.algorithm == "none":
            return _Untouched()
        level = self.effective_level
        return _Gzip(level) if self.algorithm == "gzip" else _zstd(level)

    @property
    def effective_level(self) -> int:
        """The level, or the algorithm's default; 0 for none."""
        return _DEFAULT.get(self.algorithm, 0) if self.level is None else self.level


def _choice(algorithm: str) -> str:
    levels = _LEVELS[algorithm]
    if not levels:
        return f"{algorithm} without a level"
    return f"{algorithm}:{levels[0]} to {algorithm}:{levels[-1]}, or just {algorithm}"


def compressed(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The bytes that unpack to `chunks`, as they come; the same for the same content."""
    compressor = compression.compressor()
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
