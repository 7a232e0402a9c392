"""Whiteouts of the image specification (layer.md, 'Whiteouts'): names that hide other names."""

from __future__ import annotations

from genoci.errors import ArchiveError
from genoci.layer.entry import WHITEOUT, split

_AUFS = b".wh..wh."


def hidden_name(name: bytes) -> bytes:
    """The name that the whiteout `name` hides.

    Raises ArchiveError for one that hides no name: with nothing, `.` or `..` after the prefix.
    """
    hidden = name[len(WHITEOUT) :]
    if hidden in (b"", b".", b".."):
        raise ArchiveError(f"{name!r} is a whiteout of no name")
    return hidden


def is_aufs(path: bytes) -> bool:
    """Whether `path` lies in a directory of AUFS's own, such as `.wh..wh.plnk`.

    Layers from its time have them; every reader leaves them out. Raises ArchiveError for what
    lies below any other whiteout: on disk it would be a name that no layer can hold.
    """
    if WHITEOUT not in path:
        return False
    for name in split(path)[0].split(b"/"):
        if name.startswith(_AUFS):
            return True
        if name.startswith(WHITEOUT):
            raise ArchiveError(f"lies below the whiteout {name!r}")
    return False
