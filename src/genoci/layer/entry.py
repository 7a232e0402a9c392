"""One name in a tree, as a tar header tells it: the noun that all of `layer` speaks of."""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    FIFO = "fifo"
    CHARACTER = "character"
    BLOCK = "block"
    SOCKET = "socket"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A name and its metadata, never its content.

    `path` is clean: relative, no `.`, `..`, empty component or trailing slash; the root is b"".
    `mode` is the permission bits with setuid, setgid and sticky (0o7777 at most).
    `mtime` is nanoseconds since the epoch, negative before 1970.
    `size` is bytes of content, of a FILE; else 0.
    `link` is a SYMLINK's text as it stands, or the clean path that a HARDLINK is another name of.
    `device` is (major, minor) of CHARACTER and BLOCK.
    `xattrs` are sorted by name.
    """

    path: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


FORMAT = 1
"""Raised whenever the same entries become another layer than before."""

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"


def split(path: bytes) -> tuple[bytes, bytes]:
    """The parent's path and the last component: b"a/b/c" gives (b"a/b", b"c")."""
    parent, _, name = path.rpartition(b"/")
    return parent, name


def join(parent: bytes, name: bytes) -> bytes:
    return parent + b"/" + name if parent else name
