"""An Entry to header blocks: ustar where it fits, else ustar with a PAX header in front.

The same entry gives the same bytes. User and group names are left empty.
"""

from __future__ import annotations

import functools
import struct

from genoci.errors import ArchiveError
from genoci.layer import pax
from genoci.layer.entry import Entry, Kind
from genoci.layer.tar_header import BLOCK, checksum

END = bytes(2 * BLOCK)
"""What an archive ends with."""

_TYPES = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_FILE, _DIRECTORY = Kind.FILE, Kind.DIRECTORY
_DEVICES = (Kind.CHARACTER, Kind.BLOCK)

_LARGEST_ID = 8**7 - 1
_LARGEST = 8**11 - 1
_NAME, _PREFIX = 100, 155
_SECOND = 10**9

# name; mode, uid and gid; size and time; checksum; type; link; magic, names, device; prefix
_FIELDS = struct.Struct("100s24s24s8s1s100s88s155s12x")
_SPACES = b" " * 8
_NO_DEVICE = struct.pack("8s64s8s8s", b"ustar\00000", b"", b"0000000", b"0000000")
_PAX_NAME = b"././@PaxHeader"  # a reader that doesn't know PAX makes one file of it, not many
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]


def padding(size: int) -> bytes:
    """The zeros that fill `size` bytes of content up to whole blocks."""
    return _PADDING[size % BLOCK]


def write_header(entry: Entry) -> bytes:
    """All that stands before the content of `entry`: a multiple of 512 bytes.

    The root is `./`, and every directory ends with a slash. Times are whole seconds unless the
    entry's is finer. Raises ArchiveError if the metadata are more than any reader accepts, and
    ValueError for a socket, which tar can't tell of.
    """
    seconds, fraction = divmod(entry.mtime, _SECOND)
    name = entry.path
    if (
        entry.kind is _FILE
        and len(name) <= _NAME
        and not fraction
        and not entry.xattrs
        and 0 <= seconds <= _LARGEST
        and entry.size <= _LARGEST
        and entry.uid <= _LARGEST_ID
        and entry.gid <= _LARGEST_ID
    ):
        owner = _owner(entry.mode, entry.uid, entry.gid)
        numbers = b"%011o\0%011o\0" % (entry.size, seconds)
        return _block(name, owner, numbers, b"0", b"", _NO_DEVICE, b"")
    return _any(entry)


def _any(entry: Entry) -> bytes:
    if entry.kind not in _TYPES:
        raise ValueError(f"tar has no type for {entry.kind}")
    name = entry.path or b"."
    if entry.kind is _DIRECTORY:
        name += b"/"
    records: list[tuple[bytes, bytes]] = []
    uid, gid = _fitting(entry.uid, b"uid", records), _fitting(entry.gid, b"gid", records)
    size, seconds = entry.size, entry.mtime // _SECOND
    if size > _LARGEST:
        records.append((b"size", b"%d" % size))
        size = 0
    if entry.mtime % _SECOND or not 0 <= seconds <= _LARGEST:
        records.append((b"mtime", pax.seconds(entry.mtime)))
        seconds = min(max(seconds, 0), _LARGEST)
    prefix, short = _split(name)
    if len(short) > _NAME:
        records.append((b"path", name))
        short = short[:_NAME]
    if len(entry.link) > _NAME:
        records.append((b"linkpath", entry.link))
    records += [(pax.xattr_keyword(key), value) for key, value in entry.xattrs]
    owner = _owner(entry.mode, uid, gid)
    numbers = b"%011o\0%011o\0" % (size, seconds)
    tail = _device(*entry.device) if entry.kind in _DEVICES else _NO_DEVICE
    block = _block(short, owner, numbers, _TYPES[entry.kind], entry.link[:_NAME], tail, prefix)
    return _extended(entry, records) + block if records else block


def _extended(entry: Entry, records: list[tuple[bytes, bytes]]) -> bytes:
    body = pax.pack(sorted(records))
    if len(body) > pax.MOST:
        raise ArchiveError(
            f"its name and extended attributes take {len(body)} bytes; "
            f"no reader accepts more than {pax.MOST}",
            where=entry.path[:200].decode("utf-8", "backslashreplace"),
        )
    numbers = b"%011o\0%011o\0" % (len(body), 0)
    block = _block(_PAX_NAME, _owner(0o644, 0, 0), numbers, b"x", b"", _NO_DEVICE, b"")
    return block + body + padding(len(body))


def _block(
    name: bytes, owner: bytes, numbers: bytes, type: bytes, link: bytes, tail: bytes, prefix: bytes
) -> bytes:
    block = _FIELDS.pack(name, owner, numbers, _SPACES, type, link, tail, prefix)
    return b"%b%06o\0 %b" % (block[:148], checksum(block), block[156:])


@functools.lru_cache(1024)
def _owner(mode: int, uid: int, gid: int) -> bytes:
    return b"%07o\0%07o\0%07o\0" % (mode, uid, gid)


def _device(major: int, minor: int) -> bytes:
    return _NO_DEVICE[:72] + b"%07o\0%07o\0" % (major, minor)


def _fitting(value: int, keyword: bytes, records: list[tuple[bytes, bytes]]) -> int:
    if value <= _LARGEST_ID:
        return value
    records.append((keyword, b"%d" % value))
    return 0


def _split(name: bytes) -> tuple[bytes, bytes]:
    """ustar's prefix and name. If they don't fit: no prefix, and the whole name."""
    if len(name) <= _NAME:
        return b"", name
    slash = name.rfind(b"/", 1, min(_PREFIX + 1, len(name) - 1))
    if slash < 0 or len(name) - slash - 1 > _NAME:
        return b"", name
    return name[:slash], name[slash + 1 :]
