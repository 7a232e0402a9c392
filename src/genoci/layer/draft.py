"""A tree on paper: another tree, changed by tar members, without a filesystem.

It gives exactly what `extract.expand` gives on disk; both are held against each other in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from genoci.errors import ArchiveError
from genoci.layer.entry import Entry, Kind, join, split
from genoci.layer.member import Placeable, refuse_whiteout, stripped
from genoci.layer.resolve import resolve
from genoci.layer.tree import Node, Tree

Content = Callable[[], Iterator[bytes]]
Keep = Callable[[Placeable], Content]


class _Slot(NamedTuple):
    """What stands at a path; `inode` is the same for all the names of one file."""

    entry: Entry
    inode: Hashable
    content: Content


def _nothing() -> Iterator[bytes]:
    return iter(())


class Draft:
    """`base` with changes on top; itself a Tree. Nothing is ever written to `base`."""

    def __init__(self, base: Tree) -> None:
        self._base = base
        self._slots: dict[bytes, _Slot | None] = {}
        self._added: dict[bytes, dict[bytes, None]] = {}
        self._emptied: set[bytes] = set()  # directories in which nothing of the base is left
        self._numbers = iter(range(1 << 62))

    # What a Tree does

    def node(self, path: bytes) -> Node | None:
        if path in self._slots:
            slot = self._slots[path]
            return None if slot is None else Node(slot.entry, slot.inode)
        return self._base.node(path) if self._shines_through(path) else None

    def names(self, path: bytes) -> list[bytes]:
        node = self.node(path)
        if node is None or node.entry.kind is not Kind.DIRECTORY:
            return []
        found = dict.fromkeys(self._added.get(path, ()))
        if path not in self._emptied and self._shines_through(path):
            found |= dict.fromkeys(self._base.names(path))
        return [name for name in found if self.node(join(path, name)) is not None]

    def content(self, path: bytes) -> Iterator[bytes]:
        slot = self._slots.get(path)
        return self._base.content(path) if slot is None else slot.content()

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        found: dict[Hashable, list[bytes]] = {}
        for inode, paths in self._base.groups().items():
            left = [p for p in paths if p not in self._slots and self._shines_through(p)]
            found[inode] = left
        for path, slot in self._slots.items():
            if slot is not None and slot.entry.kind is Kind.FILE:
                found.setdefault(slot.inode, []).append(path)
        return {inode: paths for inode, paths in found.items() if len(paths) > 1}

    # What makes it a draft

    def touched(self) -> Iterator[bytes]:
        """Every path that was placed or removed."""
        return iter(tuple(self._slots))

    def placed(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """All that was placed, in that order, as a tar would bring it.

        A parent stands before its children, the first name of a file before its other names.
        """
        first: dict[Hashable, bytes] = {}
        for path, slot in self._slots.items():
            if slot is None:
                continue
            entry = slot.entry
            if entry.kind is Kind.FILE and slot.inode in first:
                link = first[slot.inode]
                entry = msgspec.structs.replace(entry, kind=Kind.HARDLINK, link=link, size=0)
                yield entry, _nothing()
                continue
            first[slot.inode] = path
            yield entry, slot.content()

    def place(
        self, members: Iterable[Placeable], keep: Keep, *, dest: bytes = b"", strip: int = 0
    ) -> None:
        """Put the members of a plain tarball into the tree, below `dest`.

        `keep` is handed every file as it passes, and returns how to read its content again.
        """
        newest = 0
        implied: list[bytes] = []
        for member in members:
            entry = stripped(member.entry, strip)
            if entry is None:
                continue
            newest = max(newest, entry.mtime)
            self._place(entry, member, keep, dest, implied)
        for path in implied:
            slot = self._slots.get(path)
            if slot is not None:
                self._slots[path] = slot._replace(
                    entry=msgspec.structs.replace(slot.entry, mtime=newest)
                )

    def _place(
        self, entry: Entry, member: Placeable, keep: Keep, dest: bytes, implied: list[bytes]
    ) -> None:
        refuse_whiteout(entry)
        path = self._landing(join(dest, entry.path) if entry.path else dest, implied)
        if entry.kind is Kind.DIRECTORY:
            self._place_directory(path, entry, implied)
        elif path == b"":
            raise ArchiveError("the archive's root is not a directory")
        elif entry.kind is Kind.HARDLINK:
            self._place_link(path, join(dest, entry.link), entry)
        elif entry.kind is not Kind.SOCKET:
            content = keep(member) if entry.kind is Kind.FILE else _nothing
            self._put(path, msgspec.structs.replace(entry, path=path), content)
            if path in implied:
                implied.remove(path)

    def _place_directory(self, path: bytes, entry: Entry, implied: list[bytes]) -> None:
        node = self.node(path)
        if node is not None and node.entry.kind is Kind.SYMLINK:
            found = resolve(self, path)
            there = self.node(found) if found is not None else None
            if found is not None and there is not None and there.entry.kind is Kind.DIRECTORY:
                return  # the link stays, and so does what it leads to
        if path in implied:
            implied.remove(path)
        self._put(path, msgspec.structs.replace(entry, path=path), _nothing)

    def _place_link(self, path: bytes, target: bytes, entry: Entry) -> None:
        parent, name = split(target)
        found = resolve(self, parent)
        source = None if found is None else join(found, name)
        node = None if source is None else self.node(source)
        if source is None or node is None or node.entry.kind is Kind.DIRECTORY:
            raise ArchiveError(f"{_shown(entry.path)} is a link to {_shown(target)}: no such file")
        if source == path:
            return
        slot = self._slots.get(source)
        content = slot.content if slot is not None else _from(self._base, source)
        inode = node.inode if node.inode is not None else ("base", source)
        if slot is None:
            self._slots[source] = _Slot(node.entry, inode, content)
        self._put(path, msgspec.structs.replace(node.entry, path=path), content, inode=inode)

    def _landing(self, path: bytes, implied: list[bytes]) -> bytes:
        """Where `path` lies when the links in its parents are followed; missing ones are made."""
        parent, name = split(path)
        if not parent:
            return path
        found = resolve(self, parent)
        node = self.node(found) if found is not None else None
        if found is None or node is None or node.entry.kind is not Kind.DIRECTORY:
            found = self._landing(parent, implied)
            self._put(found, Entry(found, Kind.DIRECTORY, 0o755, 0, 0, 0), _nothing)
            implied.append(found)
        return join(found, name)

    def _put(
        self,
        path: bytes,
        entry: Entry,
        content: Content,
        *,
        inode: Hashable = None,
    ) -> None:
        before = self.node(path)
        both = before is not None and before.entry.kind is entry.kind is Kind.DIRECTORY
        if before is not None and not both:
            self._remove(path)
        if entry.kind is Kind.DIRECTORY and not both:
            self._emptied.add(path)
        self._slots[path] = _Slot(entry, inode or ("draft", next(self._numbers)), content)
        parent, name = split(path)
        if path:
            self._added.setdefault(parent, {})[name] = None

    def _remove(self, path: bytes) -> None:
        pending = [path]
        while pending:
            gone = pending.pop()
            pending += [join(gone, name) for name in self._added.pop(gone, ())]
            self._slots.pop(gone, None)
            self._emptied.discard(gone)
        self._slots[path] = None

    def _shines_through(self, path: bytes) -> bool:
        """Whether the base is still what is seen at `path`, if nothing was placed just there."""
        while path:
            path = split(path)[0]
            if path in self._emptied:
                return False
            slot = self._slots.get(path, _UNTOUCHED)
            if slot is not _UNTOUCHED and (slot is None or slot.entry.kind is not Kind.DIRECTORY):
                return False
        return True


_UNTOUCHED = _Slot(Entry(b"", Kind.DIRECTORY, 0, 0, 0, 0), None, _nothing)


def _from(tree: Tree, path: bytes) -> Content:
    return lambda: tree.content(path)


def _shown(path: bytes) -> str:
    return path.decode(errors="backslashreplace")
