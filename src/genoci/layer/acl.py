"""POSIX ACLs: the text that tar stores, and the xattr that the kernel takes.

acl(5), 'ACL TEXT FORMS'; the binary form is linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import struct

from genoci.layer.tar_header import Malformed, user_id

_VERSION = 2
_NO_ID = 0xFFFFFFFF
_ENTRY = struct.Struct("<HHI")
_OWNING = {b"user": 0x01, b"u": 0x01, b"group": 0x04, b"g": 0x04}
_NAMED = {0x01: 0x02, 0x04: 0x08}
_OTHERS = {b"mask": 0x10, b"m": 0x10, b"other": 0x20, b"o": 0x20}
_BITS = {ord("r"): 4, ord("w"): 2, ord("x"): 1, ord("-"): 0}


def binary(text: bytes) -> bytes:
    """The value of system.posix_acl_access or _default that says the same as `text`.

    Entries are separated by commas or newlines. Who is named needs a number: as the name itself,
    or in a fourth field, as star writes it. Raises Malformed.
    """
    lines = [line.partition(b"#")[0].strip() for line in text.replace(b",", b"\n").split(b"\n")]
    entries = sorted(_entry(line) for line in lines if line)
    packed = b"".join(_ENTRY.pack(tag, bits, who) for tag, who, bits in entries)
    return struct.pack("<I", _VERSION) + packed


def _entry(line: bytes) -> tuple[int, int, int]:
    kind, _, rest = line.partition(b":")
    if kind in _OTHERS:
        # "other::r--", and "other:r--" as Solaris and old versions of star have it
        return _OTHERS[kind], _NO_ID, _permissions(rest.lstrip(b":"), line)
    if kind not in _OWNING:
        raise Malformed(f"an ACL has the entry {line!r}")
    name, _, rest = rest.partition(b":")
    bits, _, identity = rest.partition(b":")
    owning = _OWNING[kind]
    if not name:
        return owning, _NO_ID, _permissions(bits, line)
    return _NAMED[owning], _number(name, identity, line), _permissions(bits, line)


def _number(name: bytes, identity: bytes, line: bytes) -> int:
    for candidate in (identity, name):
        if candidate.isdigit() and len(candidate) <= 10:
            return user_id(int(candidate))
    if name == b"root":
        return 0
    raise Malformed(f"an ACL names somebody without a number: {line!r}")


def _permissions(text: bytes, line: bytes) -> int:
    bits = 0
    for letter in text.strip():
        if letter not in _BITS:
            raise Malformed(f"an ACL has the entry {line!r}")
        bits |= _BITS[letter]
    return bits
