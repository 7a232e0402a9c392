"""Users and groups by the image's own files, which may be malformed, hostile or huge."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from genoci.errors import BuildError
from genoci.layer.entry import Kind
from genoci.layer.resolve import resolve
from genoci.layer.tree import Tree

_BOUND = 1 << 20  # bytes of passwd or group that are read
_HIGHEST = (1 << 32) - 2


class User(msgspec.Struct, frozen=True):
    """Who a process runs as; `groups` are the supplementary ones."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def find_user(tree: Tree, text: str, *, where: str) -> User:
    """The user that `text` names: NAME, UID, NAME:GROUP or UID:GID; "" is root.

    A number needs no line in passwd; a name does. The supplementary groups are those of the
    group file, unless a group is given (as container engines do it).
    """
    name, colon, group = (text or "0").partition(":")
    row = _row(tree, b"etc/passwd", name)
    uid = _number(name) if _number(name) is not None else _field(row, 2)
    if uid is None:
        raise BuildError(
            f"the image has no user {name!r}",
            where=where,
            mend="Create it in an earlier step, or give its number: user: 1000",
        )
    home = row[5].decode(errors="surrogateescape") if row and len(row) > 5 and row[5] else "/"
    if uid == 0 and not row:
        home = "/root"
    if colon:
        return User(uid, find_group(tree, group, where=where), (), home)
    login = row[0] if row else name.encode()
    gid = _field(row, 3) if row else 0
    return User(uid, gid or 0, tuple(_memberships(tree, login)), home)


def find_group(tree: Tree, text: str, *, where: str) -> int:
    number = _number(text)
    gid = number if number is not None else _field(_row(tree, b"etc/group", text), 2)
    if gid is None:
        raise BuildError(
            f"the image has no group {text!r}",
            where=where,
            mend="Create it in an earlier step, or give its number.",
        )
    return gid


def find_owner(tree: Tree, text: str, *, where: str) -> tuple[int, int]:
    """`uid:gid` in numbers or names; a user alone has its own primary group."""
    user = find_user(tree, text, where=where)
    return user.uid, user.gid


def _rows(tree: Tree, path: bytes) -> Iterator[list[bytes]]:
    found = resolve(tree, path)
    node = tree.node(found) if found is not None else None
    if node is None or found is None or node.entry.kind is not Kind.FILE:
        return
    content = b""
    for chunk in tree.content(found):
        content += chunk
        if len(content) >= _BOUND:
            break
    for line in content[:_BOUND].split(b"\n"):
        yield line.split(b":")


def _row(tree: Tree, path: bytes, key: str) -> list[bytes] | None:
    """The first line whose name, or whose number, is `key`."""
    wanted = key.encode(errors="surrogateescape")
    rows = [row for row in _rows(tree, path) if len(row) > 2]
    by_name = (row for row in rows if row[0] == wanted)
    by_number = (row for row in rows if key.isdecimal() and row[2] == wanted)
    return next(by_name, None) or next(by_number, None)


def _field(row: list[bytes] | None, index: int) -> int | None:
    if row is None or len(row) <= index:
        return None
    return _number(row[index].decode(errors="replace"))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= _HIGHEST else None


def _memberships(tree: Tree, login: bytes) -> Iterator[int]:
    for row in _rows(tree, b"etc/group"):
        if len(row) > 3 and login in row[3].split(b","):
            gid = _field(row, 2)
            if gid is not None:
                yield gid
