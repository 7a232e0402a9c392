"""Whiteouts of the image specification (layer.md, 'Whiteouts'): names that hide other names."""

from __future__ import annotations

from genoci.errors import ArchiveError
from genoci.layer.entry import WHITEOUT


def hidden_name(name: bytes) -> bytes:
    """The name that the whiteout `name` hides.

    Raises ArchiveError for one that hides no name: with nothing, `.` or `..` after the prefix.
    """
    hidden = name[len(WHITEOUT) :]
    if hidden in (b"", b".", b".."):
        raise ArchiveError(f"{name!r} is a whiteout of no name")
    return hidden
