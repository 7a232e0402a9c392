"""What a layer, or a whole image, holds by path: enough to build on without unpacking it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from genoci import files
from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.entry import OPAQUE, WHITEOUT, Entry, Kind, join, split
from genoci.layer.whiteout import hidden_name
from genoci.oci.digest import Digest

_VERSION = 1
_MOST_LINKS = 40


class Placed(msgspec.Struct, frozen=True, array_like=True):
    """An entry, and its number in the layer's tar (whiteouts count), from 0."""

    entry: Entry
    number: int


class LayerListing(msgspec.Struct, frozen=True):
    """Every entry of one layer, in the tar's order, whiteouts among them."""

    diff_id: Digest
    placed: tuple[Placed, ...]

    @property
    def newest(self) -> int:
        """The layer's time, in nanoseconds: the newest of its entries."""
        return max((one.entry.mtime for one in self.placed), default=0)


class Listed(NamedTuple):
    """What an image has at a path: `number` is that of the entry in the tar of `layer`.

    The names of one file are listed with equal `layer` and `number`: those of the first.
    """

    entry: Entry
    layer: Digest | None
    number: int


class Listing:
    """An image's merged view; frozen: `fold` makes a new one."""

    def __init__(self, at: dict[bytes, Listed], below: dict[bytes, dict[bytes, None]]) -> None:
        self._at = at
        self._below = below

    @classmethod
    def empty(cls) -> Listing:
        """A root directory, 0755, 0:0, of the time 0, and nothing in it."""
        root = Entry(path=b"", kind=Kind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=0)
        return cls({b"": Listed(root, None, -1)}, {b"": {}})

    def get(self, path: bytes) -> Listed | None:
        """What is at the clean path itself; links are not followed."""
        return self._at.get(path)

    def names(self, path: bytes) -> list[bytes]:
        """The names in a directory; none in anything else."""
        return list(self._below.get(path, ()))

    def paths(self) -> Iterator[bytes]:
        return iter(self._at)

    def fold(self, upper: LayerListing) -> Listing:
        """This view with a layer on top: the tree that extracting the layer would leave."""
        folding = _Folding(dict(self._at), {p: dict(n) for p, n in self._below.items()}, upper)
        folding.run()
        return Listing(folding.at, folding.below)


class _Folding:
    """One layer going onto a view, entry by entry, as `extract` does it on disk."""

    def __init__(
        self,
        at: dict[bytes, Listed],
        below: dict[bytes, dict[bytes, None]],
        layer: LayerListing,
    ) -> None:
        self.at = at
        self.below = below
        self._layer = layer
        self._brought: set[bytes] = set()
        self._above: set[bytes] = set()  # every directory that something brought lies below
        self._newest = layer.newest

    def run(self) -> None:
        for entry, number in ((one.entry, one.number) for one in self._layer.placed):
            parent, name = split(entry.path)
            if name == OPAQUE:
                self._hide_below(self._real(parent, make=False))
            elif name.startswith(WHITEOUT):
                directory = self._real(parent, make=False)
                if directory is not None:
                    self._hide(join(directory, hidden_name(name)))
            elif entry.kind is not Kind.SOCKET:
                self._put(entry, number)

    def _put(self, entry: Entry, number: int) -> None:
        parent, name = split(entry.path)
        directory = self._real(parent, make=True) if entry.path else b""
        assert directory is not None
        path = join(directory, name) if entry.path else b""
        listed = Listed(msgspec.structs.replace(entry, path=path), self._layer.diff_id, number)
        if entry.kind is Kind.HARDLINK:
            source = self._source(entry)
            if source == path:
                return
            found = self.at[source]
            listed = found._replace(entry=msgspec.structs.replace(found.entry, path=path))
        self._set(path, listed)
        self._bring(path)

    def _bring(self, path: bytes) -> None:
        self._brought.add(path)
        while path:
            path = split(path)[0]
            if path in self._above:
                break
            self._above.add(path)

    def _source(self, entry: Entry) -> bytes:
        parent, name = split(entry.link)
        directory = self._real(parent, make=False)
        path = None if directory is None else join(directory, name)
        if path is None or path not in self.at or path in self.below:
            raise ArchiveError(
                f"{entry.path!r} is a hard link to {entry.link!r}, which is not there"
            )
        return path

    def _set(self, path: bytes, listed: Listed) -> None:
        is_directory = listed.entry.kind is Kind.DIRECTORY
        if path in self.at and not (is_directory and path in self.below):
            self._drop(path)
        self.at[path] = listed
        if is_directory:
            self.below.setdefault(path, {})
        if path:
            parent, name = split(path)
            self.below[parent][name] = None

    def _real(self, path: bytes, *, make: bool) -> bytes | None:
        """The directory that `path` leads to, links followed inside the root.

        What is missing on the way, or is no directory, becomes one with `make`; else None.
        """
        here, links = b"", 0
        rest = [part for part in reversed(path.split(b"/")) if part]
        while rest:
            part = rest.pop()
            if part in (b".", b""):
                continue
            if part == b"..":
                here = split(here)[0]
                continue
            child = join(here, part)
            listed = self.at.get(child)
            if listed is not None and listed.entry.kind is Kind.SYMLINK:
                links += 1
                if links > _MOST_LINKS:
                    raise ArchiveError(f"{path!r}: a loop of symbolic links")
                if self._leads_to_directory(here, listed.entry.link, links):
                    target = listed.entry.link
                    here = b"" if target.startswith(b"/") else here
                    rest += reversed(target.split(b"/"))
                    continue
            if child not in self.below:
                if not make:
                    return None
                self._imply(child)
            here = child
        return here

    def _leads_to_directory(self, here: bytes, target: bytes, links: int) -> bool:
        rest = list(reversed(target.split(b"/")))
        here = b"" if target.startswith(b"/") else here
        while rest:
            part = rest.pop()
            if part in (b".", b""):
                continue
            if part == b"..":
                here = split(here)[0]
                continue
            child = join(here, part)
            listed = self.at.get(child)
            if listed is None:
                return False
            if listed.entry.kind is Kind.SYMLINK:
                links += 1
                if links > _MOST_LINKS:
                    raise ArchiveError(f"{child!r}: a loop of symbolic links")
                here = b"" if listed.entry.link.startswith(b"/") else here
                rest += reversed(listed.entry.link.split(b"/"))
                continue
            if child not in self.below:
                return False
            here = child
        return True

    def _imply(self, path: bytes) -> None:
        entry = Entry(path=path, kind=Kind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=self._newest)
        self._set(path, Listed(entry, None, -1))
        self._bring(path)

    def _hide(self, path: bytes) -> None:
        """A whiteout: the lower layers' `path` goes, and what this layer brought stays."""
        if path not in self.at:
            return
        if path in self._brought or path in self._above:
            self._hide_below(path)
        else:
            self._drop(path)

    def _hide_below(self, path: bytes | None) -> None:
        if path is None:
            return
        for name in list(self.below.get(path, ())):
            self._hide(join(path, name))

    def _drop(self, path: bytes) -> None:
        pending = [path]
        while pending:
            gone = pending.pop()
            pending += [join(gone, name) for name in self.below.pop(gone, ())]
            self.at.pop(gone, None)
            self._brought.discard(gone)
        parent, name = split(path)
        self.below[parent].pop(name, None)


def fold_all(layers: Iterable[LayerListing]) -> Listing:
    """The view of an image, from its layers, the lowest first."""
    listing = Listing.empty()
    for layer in layers:
        listing = listing.fold(layer)
    return listing


def read_listing(stream: BinaryIO, diff_id: Digest, *, name: str) -> LayerListing:
    """The listing of the layer whose tar `stream` is; `name` is for errors."""
    members = enumerate(tar.read(stream, name=name))
    return LayerListing(diff_id, tuple(Placed(member.entry, number) for number, member in members))


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    version: int
    listing: LayerListing


def save(folder: Path, listing: LayerListing) -> None:
    """Keep a listing in `folder`, under its diff ID."""
    content = msgspec.msgpack.encode(_Stored(_VERSION, listing))
    files.write(folder / listing.diff_id.hex, content)


def load(folder: Path, diff_id: Digest) -> LayerListing | None:
    """The listing that was saved; None if there is none, or none that can be believed."""
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError, ValueError):
        stored = msgspec.msgpack.decode((folder / diff_id.hex).read_bytes(), type=_Stored)
        if stored.version == _VERSION and stored.listing.diff_id == diff_id:
            return stored.listing
    return None
