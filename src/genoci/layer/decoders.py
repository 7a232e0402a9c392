"""The four packed formats: how each is known, and what unpacks one stream of it."""

from __future__ import annotations

import functools
import struct
import types
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol, cast

from genoci.errors import ArchiveError

_READ = 1 << 18
_FEED = 1 << 12

# What a hostile header may make a decoder allocate. `zstd` itself stops at 2**27; `xz -9` needs
# 65 MiB, and no preset more.
_WINDOW_LOG = 27
_XZ_MEMORY = 256 << 20
_GZIPHEADER = 1 << 16


class Decoder(Protocol):
    """What the four libraries have in common; one is made for every stream, member or frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Packed:
    """The packed bytes: some at a time, with what was too much given back."""

    def __init__(self, raw: BinaryIO, head: bytes, name: str) -> None:
        self._raw = raw
        self._name = name
        self._data = head
        self._at = 0
        self.offset = 0

    def some(self, most: int) -> bytes:
        """At most `most` bytes; none only at the end."""
        if self._at >= len(self._data):
            self._data, self._at = self._raw.read(_READ), 0
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        self.offset += len(piece)
        return piece

    def give_back(self, piece: bytes) -> None:
        """The last bytes that were taken, to be taken again."""
        self.offset -= len(piece)
        if len(piece) <= self._at:
            self._at -= len(piece)
        else:
            self._data, self._at = piece + self._data[self._at :], 0

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.some(size - len(data))
            if not piece:
                raise self.cut_off()
            data += piece
        return data

    def skip_zeros(self) -> bool:
        """Whether anything else follows."""
        while piece := self.some(_FEED):
            if rest := piece.lstrip(b"\0"):
                self.give_back(rest)
                return True
        return False

    def rest(self) -> Iterator[bytes]:
        while piece := self.some(_READ):
            yield piece

    def error(self, what: str, mend: str = "") -> ArchiveError:
        return ArchiveError(what, where=f"{self._name}: packed byte {self.offset}", mend=mend)

    def cut_off(self) -> ArchiveError:
        return self.error("it is cut off", "Fetch it again, and compare its size and checksum.")


class Format(NamedTuple):
    """`begins` knows a stream by its first `HEAD` bytes, `decoder` takes what stands before its
    data and gives what unpacks them, and `errors` are what that raises for damaged data."""

    name: str
    begins: Callable[[bytes], bool]
    decoder: Callable[[Packed], Decoder]
    errors: Callable[[], tuple[type[Exception], ...]]


def _gzip(packed: Packed) -> Decoder:
    """Reads the header itself: igzip_lib's own reader of it takes one that comes in two pieces
    for data. What it does well is the rest, the trailer's checksum and length included."""
    from isal import igzip_lib

    _magic, method, flags, _ = struct.unpack("<HBB6s", packed.exactly(10))
    if method != 8 or flags & 0xE0:
        raise packed.error("the gzip data are damaged: this is no header of RFC 1952")
    if flags & 4:
        packed.exactly(int.from_bytes(packed.exactly(2), "little"))
    for flag in (8, 16):
        if flags & flag:
            _skip_text(packed)
    if flags & 2:
        packed.exactly(2)
    decoder: Decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP_NO_HDR_VER)
    return decoder


def _skip_text(packed: Packed) -> None:
    """A name or a comment of the header, which ends with a NUL."""
    length = 0
    while length <= _GZIPHEADER:
        piece = packed.some(_FEED)
        if not piece:
            raise packed.cut_off()
        text, end, rest = piece.partition(b"\0")
        if end:
            packed.give_back(rest)
            return
        length += len(text)
    raise packed.error("the gzip data are damaged: its header has no end")


def _bzip2(_: Packed) -> Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _xz(_: Packed) -> Decoder:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _lzma(_: Packed) -> Decoder:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY)


def _zstd(_: Packed) -> Decoder:
    module = zstd()
    options = {module.DecompressionParameter.window_log_max: _WINDOW_LOG}
    decoder: Decoder = module.ZstdDecompressor(options=options)
    return decoder


@functools.cache
def zstd() -> types.ModuleType:
    """The standard library's module where it has one (from 3.14 on), else its backport."""
    try:
        from compression import zstd as module  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd as module
    return cast(types.ModuleType, module)


def _gzip_errors() -> tuple[type[Exception], ...]:
    from isal import igzip_lib

    return (cast("type[Exception]", igzip_lib.IsalError),)


def _bzip2_errors() -> tuple[type[Exception], ...]:
    return (OSError, ValueError)


def _xz_errors() -> tuple[type[Exception], ...]:
    import lzma

    return (lzma.LZMAError,)


def _zstd_errors() -> tuple[type[Exception], ...]:
    return (cast("type[Exception]", zstd().ZstdError),)


def _begins_zstd(head: bytes) -> bool:
    """A frame, or one of the skippable frames 0x184D2A50 to 0x184D2A5F (RFC 8878)."""
    return head[:4] == b"\x28\xb5\x2f\xfd" or (
        head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
    )


_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # a block's magic, and the end's
HEAD = 10
FORMATS = (
    Format("gzip", lambda head: head[:2] == b"\x1f\x8b", _gzip, _gzip_errors),
    Format(
        "bzip2",
        lambda head: head[:3] == b"BZh" and head[4:10] in _BZIP2_BLOCKS,
        _bzip2,
        _bzip2_errors,
    ),
    Format("xz", lambda head: head[:6] == b"\xfd7zXZ\0", _xz, _xz_errors),
    Format("zstd", _begins_zstd, _zstd, _zstd_errors),
)

# The format of old packages. It begins with no magic, so it is never guessed, only asked for: the
# properties of the encoder, which every tool leaves at their default, and a dictionary's size.
LZMA = Format("lzma", lambda head: head[:1] == b"\x5d" and head[1:3] == b"\0\0", _lzma, _xz_errors)
