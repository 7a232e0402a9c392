"""Files of a root that tell of its packages and users: malformed, hostile or huge, if they like."""

from __future__ import annotations

from collections.abc import Callable

from genoci.errors import ArchiveError
from genoci.layer.entry import Kind
from genoci.layer.resolve import resolve
from genoci.layer.tree import Tree

_MOST_USERS = 1 << 20  # bytes of passwd or group
_HIGHEST = (1 << 32) - 2


def content(tree: Tree, path: bytes, most: int) -> bytes:
    """The first `most` bytes of the file that `path` leads to; none if there is no such file."""
    try:
        found = resolve(tree, path)
    except ArchiveError:  # links that lead in a circle
        return b""
    node = tree.node(found) if found is not None else None
    if found is None or node is None or node.entry.kind is not Kind.FILE:
        return b""
    parts: list[bytes] = []
    left = most
    for chunk in tree.content(found):
        parts.append(chunk[:left])
        left -= len(parts[-1])
        if left <= 0:
            break
    return b"".join(parts)


def folder(tree: Tree, path: bytes) -> tuple[bytes, list[bytes]]:
    """The directory that `path` leads to, and the names in it; itself and none if there is none."""
    try:
        found = resolve(tree, path)
    except ArchiveError:
        found = None
    return (path, []) if found is None else (found, sorted(tree.names(found)))


Ids = Callable[[str], int | None]
"""The number of a user or a group, by its name; None: the root has none of that name."""


def ids(tree: Tree, path: bytes) -> Ids:
    """By the root's `etc/passwd` or `etc/group`, as it is now. `root` is 0 without any."""
    found: dict[str, int] = {}
    for line in content(tree, path, _MOST_USERS).split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[2].isdigit() and len(fields[2]) < 11:
            number = int(fields[2])
            if number <= _HIGHEST:
                found.setdefault(fields[0].decode(errors="surrogateescape"), number)
    found["root"] = 0
    return found.get
