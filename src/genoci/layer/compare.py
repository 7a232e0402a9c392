"""Two trees side by side, path by path: what differs, and what may be one file."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Protocol

import msgspec

from genoci.layer.entry import Entry, Kind, join, split
from genoci.layer.tree import Node, Tree


class Nominated(Protocol):
    """A path that may differ. `inode` is equal for the names of one file; None: ask the tree."""

    @property
    def path(self) -> bytes: ...

    @property
    def inode(self) -> int | None: ...


class Pair(msgspec.Struct, frozen=True, gc=False):
    """What a path is before and after. `inode`, of what is there after: Node.inode, or better."""

    before: Node | None
    after: Node | None
    inode: Hashable | None


class Comparison:
    """The nominated paths of two trees, and all that these drag in; each node is read once."""

    def __init__(self, before: Tree, after: Tree, nominated: Iterable[Nominated]) -> None:
        self.before = before
        self.after = after
        self.left_out: list[bytes] = []
        self._pairs: dict[bytes, Pair] = {}
        self._changed: dict[bytes, bool] = {}
        inodes: dict[bytes, int | None] = {b"": None}
        for one in nominated:
            if one.inode is not None:
                inodes[one.path] = one.inode
            else:
                inodes.setdefault(one.path)
        for path, inode in inodes.items():
            self._add(path, inode)
        self._add_what_went_with_directories()

    def paths(self) -> list[bytes]:
        return list(self._pairs)

    def pairs(self) -> list[tuple[bytes, Pair]]:
        return list(self._pairs.items())

    def pair(self, path: bytes) -> Pair:
        return self._pairs.get(path) or self._add(path, None)

    def changed(self, path: bytes) -> bool:
        """Whether the path is new, gone, or different in anything: content comes last."""
        pair = self.pair(path)
        if pair.before is None or pair.after is None:
            return pair.before is not pair.after
        known = self._changed.get(path)
        if known is None:
            known = self._changed[path] = self._differs(path, pair.before, pair.after)
        return known

    def is_directory(self, path: bytes) -> bool:
        return _is_directory(self.pair(path).after)

    def same_file(self, one: bytes, other: bytes, clamped: Clamp) -> bool:
        """Whether two names, in the tree after, are equal in everything but their name."""
        first, second = self.pair(one).after, self.pair(other).after
        if first is None or second is None:
            return False
        if clamped(first.entry) != msgspec.structs.replace(clamped(second.entry), path=one):
            return False
        if self._were_one(one, other) and not self.changed(one) and not self.changed(other):
            return True
        return first.entry.kind is not Kind.FILE or same_bytes(
            self.after.content(one), self.after.content(other)
        )

    def _add(self, path: bytes, inode: int | None) -> Pair:
        before, after = self._node_before(path), self.after.node(path)
        if before is not None and has_no_place(before.entry):
            before = None
        if after is not None and has_no_place(after.entry):
            self.left_out.append(path)
            after = None
        known: Hashable | None = None
        if after is not None and after.entry.kind is not Kind.DIRECTORY:
            known = after.inode if inode is None else ("nominated", inode)
        pair = self._pairs[path] = Pair(before, after, known)
        return pair

    def _node_before(self, path: bytes) -> Node | None:
        above = self._pairs.get(split(path)[0])
        if above is not None and not _is_directory(above.before):
            return None  # all in a new directory is new
        return self.before.node(path)

    def _add_what_went_with_directories(self) -> None:
        """A driver may name only the top of what was removed; other names of files in it matter."""
        for path, pair in list(self._pairs.items()):
            if _is_directory(pair.before) and not _is_directory(pair.after):
                for below, node in _below(self.before, path):
                    if node.inode is not None and below not in self._pairs:
                        self._pairs[below] = Pair(node, None, None)

    def _were_one(self, one: bytes, other: bytes) -> bool:
        first, second = self.pair(one).before, self.pair(other).before
        if first is None or second is None or first.inode is None:
            return False
        return first.inode == second.inode

    def _differs(self, path: bytes, before: Node, after: Node) -> bool:
        if before.entry != after.entry:
            return True
        return after.entry.kind is Kind.FILE and not same_bytes(
            self.before.content(path), self.after.content(path)
        )


class Clamp(Protocol):
    def __call__(self, entry: Entry, /) -> Entry: ...


def has_no_place(entry: Entry) -> bool:
    """Whether no layer can hold it: a socket, or what overlay filesystems take for a whiteout."""
    if entry.kind is Kind.CHARACTER:
        return entry.device == (0, 0)
    return entry.kind is Kind.SOCKET


def same_bytes(one: Iterable[bytes], other: Iterable[bytes]) -> bool:
    """Whether two contents are equal, however they are cut into chunks."""
    left_chunks, right_chunks = filter(None, one), filter(None, other)
    left = right = b""
    while True:
        left = left or next(left_chunks, b"")
        right = right or next(right_chunks, b"")
        size = min(len(left), len(right))
        if not size or left[:size] != right[:size]:
            return not left and not right
        left, right = left[size:], right[size:]


def _is_directory(node: Node | None) -> bool:
    return node is not None and node.entry.kind is Kind.DIRECTORY


def _below(tree: Tree, top: bytes) -> Iterator[tuple[bytes, Node]]:
    pending = [top]
    while pending:
        above = pending.pop()
        for path in [join(above, name) for name in tree.names(above)]:
            node = tree.node(path)
            if node is None:
                continue
            if node.entry.kind is Kind.DIRECTORY:
                pending.append(path)
            else:
                yield path, node
