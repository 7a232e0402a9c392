"""What stands on disk for a device node that could not be made: an empty file and its xattr."""

from __future__ import annotations

import re

from genoci.layer.entry import Kind

XATTR = b"user.genoci.node"

_VALUE = re.compile(rb"([cb]) (\d{1,10}):(\d{1,10})")
_KINDS = {b"c": Kind.CHARACTER, b"b": Kind.BLOCK}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


def pack(kind: Kind, device: tuple[int, int]) -> bytes:
    """The value of `XATTR` for a node of `kind` CHARACTER or BLOCK; b"c 1:3" is /dev/null."""
    return b"%b %d:%d" % (_LETTERS[kind], *device)


def unpack(value: bytes) -> tuple[Kind, tuple[int, int]] | None:
    """The kind and (major, minor) that a value tells; None for a value that `pack` never gives."""
    match = _VALUE.fullmatch(value)
    if match is None:
        return None
    return _KINDS[match[1]], (int(match[2]), int(match[3]))
