"""One 512-byte tar header block, in any of the formats that GNU tar reads.

POSIX.1-2017 pax, 'ustar Interchange Format'; GNU tar manual, 'Basic Tar Format'.
"""

from __future__ import annotations

import functools
import zlib
from typing import NamedTuple

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)
LARGEST = 2**63 - 1
LARGEST_ID = 2**32 - 2  # 2**32 - 1 means "leave it as it is" to chown(2), so no header may say it


class Malformed(Exception):
    """What is wrong with the bytes at hand; `read` adds the entry and the offset."""


class Header(NamedTuple):
    """A block's fields as they stand; `link` and `name` end before their first NUL.

    `name` has ustar's prefix in front. `mode` still has the file type bits that some tools store.
    """

    type: bytes
    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    block: bytes

    def device(self) -> tuple[int, int]:
        return number(self.block[329:337], "device"), number(self.block[337:345], "device")


def parse(block: bytes) -> Header:
    """Raises Malformed for a bad checksum and for numbers that are none."""
    check(block)
    name, _, _ = block[:100].partition(b"\0")
    link, _, _ = block[157:257].partition(b"\0")
    # GNU's magic is "ustar  \0", and it uses the bytes of the prefix for other things.
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    mode, uid, gid = _owner(block[100:124])
    size = number(block[124:136], "size")
    mtime = signed_number(block[136:148], "time")
    return Header(block[156:157], name, mode, uid, gid, size, mtime, link, block)


def checksum(block: bytes) -> int:
    """The sum of all bytes of a block, its checksum field included.

    The low half of Adler-32 is 1 + the sum of the bytes modulo 65521, which 256 bytes cannot
    reach: the same as sum(), in a tenth of the time.
    """
    return (zlib.adler32(block[:256], 0) & 0xFFFF) + (zlib.adler32(block[256:], 0) & 0xFFFF)


def check(block: bytes) -> None:
    """Raise Malformed unless the checksum is right, counted unsigned or (old Suns) signed."""
    stored = _octal(block[148:156])
    fields = checksum(block) - sum(block[148:156]) + 8 * 0x20
    if stored is None or stored != fields:
        above = sum(byte > 127 for byte in block[:148] + block[156:])
        if stored is None or stored != fields - 256 * above:
            raise Malformed("the header's checksum is wrong")


@functools.lru_cache(1024)
def _owner(fields: bytes) -> tuple[int, int, int]:
    mode = number(fields[:8], "mode")
    return mode, user_id(number(fields[8:16], "uid")), user_id(number(fields[16:24], "gid"))


def user_id(value: int) -> int:
    if value > LARGEST_ID:
        raise Malformed(f"no user or group can have the number {value}")
    return value


def number(field: bytes, meaning: str) -> int:
    """A number that may not be negative; a blank field is 0."""
    value = signed_number(field, meaning)
    if value < 0:
        raise Malformed(f"the {meaning} is negative: {value}")
    if value > LARGEST:
        raise Malformed(f"the {meaning} is impossible: {value}")
    return value


def signed_number(field: bytes, meaning: str) -> int:
    """Octal digits, or base 256 (GNU's, and star's) if the first byte is 0x80 or 0xff."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    value = _octal(field)
    if value is None:
        raise Malformed(f"the {meaning} is no number: {field!r}")
    return value


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    if not digits.isdigit():
        digits = digits.split(b"\0", 1)[0].split(b" ", 1)[0]
        if not digits:
            return 0
        if not digits.isdigit():
            return None
    try:
        return int(digits, 8)
    except ValueError:  # an 8 or a 9
        return None
