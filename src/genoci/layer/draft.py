"""A tree on paper: another tree, changed by tar members, without a filesystem.

It gives exactly what `extract.expand` gives on disk; both are held against each other in tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from genoci.errors import ArchiveError
from genoci.layer.entry import Entry, Kind, join, split
from genoci.layer.landing import LONGEST, find, implied
from genoci.layer.member import Placeable, below, refuse_too_long, refuse_whiteout, stripped
from genoci.layer.tar import shown
from genoci.layer.tree import Node, Tree

Content = Callable[[], Iterator[bytes]]
Keep = Callable[[Placeable], Content]


class _Slot(NamedTuple):
    """What stands at a path; `inode` is the same for all the names of one file.

    `implied`: a directory that no member told of, which gets its time when all have passed.
    """

    entry: Entry
    inode: Hashable
    content: Content
    implied: bool = False


def _nothing() -> Iterator[bytes]:
    return iter(())


class Draft:
    """`base` with changes on top; itself a Tree. Nothing is ever written to `base`."""

    root = b""

    def __init__(self, base: Tree) -> None:
        self._base = base
        self._slots: dict[bytes, _Slot | None] = {}
        # By directory, the names at or below which there are slots.
        self._changed: dict[bytes, dict[bytes, None]] = {}
        self._emptied: set[bytes] = set()  # directories in which nothing of the base is left
        self._shining: dict[bytes, bool] = {}  # what `_shines_in` has found
        self._numbers = itertools.count()

    # What a Tree does

    def node(self, path: bytes) -> Node | None:
        if path in self._slots:
            slot = self._slots[path]
            return None if slot is None else Node(slot.entry, slot.inode)
        return self._base.node(path) if not path or self._shines_in(split(path)[0]) else None

    def names(self, path: bytes) -> list[bytes]:
        if self._directory(path) is None:
            return []
        found = dict.fromkeys(self._changed.get(path, ()))
        if self._shines_in(path):
            found |= dict.fromkeys(self._base.names(path))
        return [name for name in found if self.node(join(path, name)) is not None]

    def content(self, path: bytes) -> Iterator[bytes]:
        slot = self._slots.get(path)
        return self._base.content(path) if slot is None else slot.content()

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        found: dict[Hashable, list[bytes]] = {}
        for inode, paths in self._base.groups().items():
            left = [p for p in paths if p not in self._slots and self._shines_in(split(p)[0])]
            found[inode] = left
        for path, slot in self._slots.items():
            if slot is not None and slot.entry.kind is not Kind.DIRECTORY:
                found.setdefault(slot.inode, []).append(path)
        return {inode: paths for inode, paths in found.items() if len(paths) > 1}

    # What a landing.Ground does

    def child(self, spot: bytes, name: bytes) -> bytes | None:
        return self._directory(join(spot, name))

    def above(self, spot: bytes) -> bytes:
        return split(spot)[0]

    def link(self, spot: bytes, name: bytes) -> bytes | None:
        node = self.node(join(spot, name))
        return node.entry.link if node is not None and node.entry.kind is Kind.SYMLINK else None

    # What makes it a draft

    def touched(self) -> Iterator[bytes]:
        """Every path that may differ from the base's."""
        yield from tuple(self._slots)
        pending = [path for path in self._emptied if self._base.names(path)]
        while pending:
            path = pending.pop()
            for name in self._base.names(path):
                child = join(path, name)
                if child not in self._slots:
                    yield child
                pending.append(child)

    def placed(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """All that was placed, in that order, as a tar would bring it.

        A parent stands before its children, the first name of a file before its other names.
        """
        first: dict[Hashable, bytes] = {}
        for path, slot in self._slots.items():
            if slot is None:
                continue
            head = first.setdefault(slot.inode, path)
            yield (slot.entry, slot.content()) if head == path else (_link(slot, head), _nothing())

    def place(
        self, members: Iterable[Placeable], keep: Keep, *, dest: bytes = b"", strip: int = 0
    ) -> None:
        """Put the members of a plain tarball into the tree, below `dest`.

        `keep` is handed every file as it passes, and returns how to read its content again.
        Raises ArchiveError for what can't be; the draft is then of no use any more.
        """
        newest: int | None = None
        self._implied = 0
        for member in members:
            entry = stripped(member.entry, strip)
            if entry is None:
                continue
            newest = entry.mtime if newest is None else max(newest, entry.mtime)
            try:
                refuse_whiteout(entry)
                self._place(below(dest, entry), member, keep)
            except ArchiveError as error:
                error.where = error.where or shown(entry.path) or "./"
                raise
        for path, slot in self._slots.items():
            if slot is not None and slot.implied:
                assert newest is not None
                entry = msgspec.structs.replace(slot.entry, mtime=newest)
                self._slots[path] = slot._replace(entry=entry, implied=False)

    def _place(self, entry: Entry, member: Placeable, keep: Keep) -> None:
        if entry.kind is Kind.SOCKET:
            return
        if not entry.path and entry.kind is not Kind.DIRECTORY:
            raise ArchiveError("the root of the archive is not a directory")
        refuse_too_long(entry)
        path = self._landing(entry.path)
        if entry.kind is Kind.HARDLINK:
            self._place_link(path, entry)
            return
        if entry.kind is Kind.DIRECTORY and self._leads_to_directory(entry.path):
            return  # the link stays, and so does what it leads to
        content = keep(member) if entry.kind is Kind.FILE else _nothing
        self._put(msgspec.structs.replace(entry, path=path), content)

    def _place_link(self, path: bytes, entry: Entry) -> None:
        parent, name = split(entry.link)
        found = find(self, parent)
        source = b"" if found is None else join(found, name)
        node = self.node(source) if name else None
        gone = source.startswith(path + b"/")  # it lies in what the link is to replace
        if node is None or node.entry.kind is Kind.DIRECTORY or gone:
            raise ArchiveError(f"is a hard link to {shown(entry.link)}, which is not there")
        if source == path:
            return
        slot = self._slots.get(source)
        if slot is None:
            inode = ("base", source) if node.inode is None else node.inode
            slot = _Slot(node.entry, inode, _content_of(self._base, source))
            self._set(source, slot)
        self._put(msgspec.structs.replace(slot.entry, path=path), slot.content, inode=slot.inode)

    def _leads_to_directory(self, path: bytes) -> bool:
        """Whether `path` is a link, and leads to a directory."""
        parent, name = split(path)
        spot = find(self, parent)
        if not name or spot is None or self.link(spot, name) is None:
            return False
        return find(self, path) is not None

    def _landing(self, path: bytes) -> bytes:
        """Where `path` lies when the links in its parents are followed; missing ones are made."""
        parent, name = split(path)
        # A directory at `parent` itself: none of its parents is a link.
        spot = self._directory(parent) if len(parent) <= LONGEST else None
        if spot is None:
            spot = find(self, parent, self._imply)
        assert spot is not None
        return join(spot, name) if name else b""

    def _imply(self, spot: bytes, name: bytes) -> bytes:
        path = join(spot, name)
        self._implied = implied(self._implied, path)
        self._put(Entry(path, Kind.DIRECTORY, 0o755, 0, 0, 0), _nothing, implied=True)
        return path

    def _directory(self, path: bytes) -> bytes | None:
        node = self.node(path)
        return path if node is not None and node.entry.kind is Kind.DIRECTORY else None

    def _put(
        self, entry: Entry, content: Content, *, inode: Hashable = None, implied: bool = False
    ) -> None:
        before = self.node(entry.path)
        both = before is not None and before.entry.kind is entry.kind is Kind.DIRECTORY
        if before is not None and not both:
            self._remove(entry.path)
            if before.entry.kind is Kind.DIRECTORY:
                self._shining.clear()
        if entry.kind is Kind.DIRECTORY and not both:
            self._emptied.add(entry.path)
            self._shining.pop(entry.path, None)
        inode = ("draft", next(self._numbers)) if inode is None else inode
        self._set(entry.path, _Slot(entry, inode, content, implied))

    def _set(self, path: bytes, slot: _Slot) -> None:
        self._slots[path] = slot
        while path:
            path, name = split(path)
            names = self._changed.setdefault(path, {})
            if name in names:
                break
            names[name] = None

    def _remove(self, path: bytes) -> None:
        pending = [path]
        while pending:
            gone = pending.pop()
            pending += [join(gone, name) for name in self._changed.pop(gone, ())]
            self._slots.pop(gone, None)
            self._emptied.discard(gone)
        if self._base.node(path) is not None:
            self._slots[path] = None

    def _shines_in(self, directory: bytes) -> bool:
        """Whether the base's names in `directory` are seen, where nothing was placed."""
        path = directory
        while (known := self._shining.get(path)) is None:
            slot = self._slots.get(path, _UNTOUCHED)
            if slot is None or slot.entry.kind is not Kind.DIRECTORY or path in self._emptied:
                known = False
                break
            if not path:
                known = True
                break
            path = split(path)[0]
        # Not of those above it: a path may have more of them than memory could hold.
        self._shining[directory] = known
        return known


_UNTOUCHED = _Slot(Entry(b"", Kind.DIRECTORY, 0, 0, 0, 0), None, _nothing)


def _link(slot: _Slot, head: bytes) -> Entry:
    return msgspec.structs.replace(
        slot.entry, kind=Kind.HARDLINK, link=head, size=0, device=(0, 0), xattrs=()
    )


def _content_of(tree: Tree, path: bytes) -> Content:
    return lambda: tree.content(path)
