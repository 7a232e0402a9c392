"""The header of an installed package, as rpm keeps it in its database.

It is the package's own header, byte for byte, followed by what the vouching header said and by
what came with the installation (rpm's lib/header.c, `headerExport`).
"""

from __future__ import annotations

import struct

from genoci.package.rpm import Rpm
from genoci.package.rpm_header import MAGIC, Header, parse
from genoci.package.rpm_tags import Tag

_INDEX = struct.Struct(">IIII")
_ALIGNED = {3: 2, 4: 4, 5: 8}  # by type: to how many bytes
_CHAR, _INT32 = 1, 4

# Tags of the vouching header whose numbers mean something else in a header; 256 to 999 stay.
_RENUMBERED = {1000: 257, 1002: 259, 1004: 261, 1005: 262, 1007: 1046}
_STAY = range(256, 1000)
_INSTALL_TIME, _FILE_STATES, _INSTALL_COLOR, _INSTALL_ID = 1008, 1029, 1127, 1128


def installed(package: Rpm, time: int) -> Header:
    """As of an installation at `time`, in seconds; all its files in their normal state."""
    header = package.header
    count = len(header.strings(Tag.BASENAMES) or header.strings(Tag.OLD_NAMES))
    now = struct.pack(">I", time & 0xFFFFFFFF)
    added = {
        _INSTALL_TIME: (_INT32, 1, now),
        _INSTALL_COLOR: (_INT32, 1, bytes(4)),
        _INSTALL_ID: (_INT32, 1, now),
    }
    if count:
        added[_FILE_STATES] = (_CHAR, count, bytes(count))
    for tag, slot in package.signature.slots():
        number = _RENUMBERED.get(tag, tag if tag in _STAY else 0)
        if number and number not in header:
            added[number] = (slot.type, slot.length, package.signature.stored(slot))
    return _with(header, added)


def _with(header: Header, added: dict[int, tuple[int, int, bytes]]) -> Header:
    index, data = header.index(), bytearray(header.data())
    for tag, (type, count, value) in sorted(added.items()):
        data += bytes(-len(data) % _ALIGNED.get(type, 1))
        index += _INDEX.pack(tag, type, len(data), count)
        data += value
    counts = struct.pack(">II", len(index) // _INDEX.size, len(data))
    return Header(MAGIC + counts + index + data, header.named)


def blob(header: Header) -> bytes:
    """What stands in the database."""
    return header.raw[len(MAGIC) :]


def from_blob(blob: bytes, named: str) -> Header:
    """Raises ArchiveError for what is no header."""
    return parse(MAGIC + blob, named)
