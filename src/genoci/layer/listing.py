"""What a layer, or a whole image, holds by path: enough to build on without unpacking it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from genoci import files
from genoci.errors import ArchiveError, StorageError
from genoci.layer import tar
from genoci.layer.entry import OPAQUE, WHITEOUT, Entry, Kind, join, split
from genoci.layer.landing import LONGEST, find, implied
from genoci.layer.member import refuse_too_long
from genoci.layer.whiteout import hidden_name, is_aufs
from genoci.oci.digest import Digest

_VERSION = 2
_SUM = hashlib.sha256().digest_size  # a file begins with that of the rest


class Placed(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    """One layer going onto a view, entry by entry, exactly as `placing` does it on disk.

    Its spots, as `landing` calls them, are the paths of directories. `kept`, `own` and `bare` are
    what they are in a `places.Place`.
    """

    root = b""

    def __init__(
        self,
        at: dict[bytes, Listed],
        below: dict[bytes, dict[bytes, None]],
        layer: LayerListing,
    ) -> None:
        self.at = at
        self.below = below
        self._layer = layer
        self._newest = layer.newest
        self._kept: set[bytes] = set()
        self._own: set[bytes] = set()
        self._bare: set[bytes] = set()
        self._implied = 0

    def run(self) -> None:
        for placed in self._layer.placed:
            entry = placed.entry
            try:
                self._apply(entry, placed.number)
            except ArchiveError as error:
                error.where = error.where or tar.shown(entry.path) or "./"
                raise

    def _apply(self, entry: Entry, number: int) -> None:
        if is_aufs(entry.path):
            return
        parent, name = split(entry.path)
        if name == OPAQUE:
            directory = find(self, parent)
            if directory is not None:
                self._hide(self._lower_in(directory))
        elif name.startswith(WHITEOUT):
            hidden = hidden_name(name)
            directory = find(self, parent)
            if directory is not None:
                self._hide([join(directory, hidden)])
        elif entry.kind is not Kind.SOCKET:
            self._put(parent, name, entry, number)

    # What a Ground does

    def child(self, spot: bytes, name: bytes) -> bytes | None:
        path = join(spot, name)
        return path if path in self.below else None

    def above(self, spot: bytes) -> bytes:
        return split(spot)[0]

    def link(self, spot: bytes, name: bytes) -> bytes | None:
        listed = self.at.get(join(spot, name))
        if listed is None or listed.entry.kind is not Kind.SYMLINK:
            return None
        return listed.entry.link

    # What Placing does

    def _put(self, parent: bytes, name: bytes, entry: Entry, number: int) -> None:
        if not entry.path:
            if entry.kind is not Kind.DIRECTORY:
                raise ArchiveError("the root of the archive is not a directory")
            self._set(b"", Listed(entry, self._layer.diff_id, number))
            return
        refuse_too_long(entry)
        directory = parent
        if parent not in self.below or len(parent) > LONGEST:
            found = find(self, parent, self._imply)
            assert found is not None
            directory = found
        path = join(directory, name)
        if entry.kind is Kind.HARDLINK:
            self._set_link(path, entry)
        else:
            if path != entry.path:
                entry = msgspec.structs.replace(entry, path=path)
            self._set(path, Listed(entry, self._layer.diff_id, number))
        self._keep(path)

    def _set_link(self, path: bytes, entry: Entry) -> None:
        parent, name = split(entry.link)
        directory = find(self, parent)
        source = None if directory is None else join(directory, name)
        if source is None or source not in self.at or source in self.below:
            raise _no_target(entry)
        if source == path:
            return
        found = self.at[source]
        if path in self.at:
            self._drop(path)
        if source not in self.at:  # it lay in what the link was to replace
            raise _no_target(entry)
        self._set(path, found._replace(entry=msgspec.structs.replace(found.entry, path=path)))

    def _set(self, path: bytes, listed: Listed) -> None:
        is_directory = listed.entry.kind is Kind.DIRECTORY
        if path in self.at and not (is_directory and path in self.below):
            self._drop(path)
        self.at[path] = listed
        if is_directory:
            self._own.add(path)
            if path not in self.below:
                self.below[path] = {}
                self._bare.add(path)
        if path:
            parent, name = split(path)
            self.below[parent][name] = None

    def _imply(self, spot: bytes, name: bytes) -> bytes:
        path = join(spot, name)
        self._implied = implied(self._implied, path)
        self._set_implied(path)
        self._keep(path)
        return path

    def _set_implied(self, path: bytes) -> None:
        entry = Entry(path=path, kind=Kind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=self._newest)
        self._set(path, Listed(entry, None, -1))
        self._own.discard(path)

    def _keep(self, path: bytes) -> None:
        while path not in self._kept and path:
            self._kept.add(path)
            path = split(path)[0]

    def _hide(self, pending: list[bytes]) -> None:
        while pending:
            path = pending.pop()
            if path not in self.at:
                continue
            if path not in self._kept:
                self._drop(path)
            elif path in self.below:
                if path not in self._own:
                    self._set_implied(path)
                pending += self._lower_in(path)

    def _lower_in(self, path: bytes) -> list[bytes]:
        if path in self._bare:
            return []
        self._bare.add(path)
        return [join(path, name) for name in self.below[path]]

    def _drop(self, path: bytes) -> None:
        parent, name = split(path)
        self.below[parent].pop(name, None)
        pending = [path]
        while pending:
            gone = pending.pop()
            pending += [join(gone, name) for name in self.below.pop(gone, ())]
            self.at.pop(gone, None)
            for told in (self._kept, self._own, self._bare):
                told.discard(gone)


def _no_target(entry: Entry) -> ArchiveError:
    return ArchiveError(f"is a hard link to {tar.shown(entry.link)}, which is not there")


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
    """Keep a listing in `folder`, under its diff ID; atomic, and replaces what is there."""
    content = msgspec.msgpack.encode(_Stored(_VERSION, listing))
    try:
        files.replace(folder / listing.diff_id.hex, hashlib.sha256(content).digest() + content)
    except OSError as error:
        raise StorageError(
            f"can't keep the listing of a layer: {error.strerror}",
            where=str(folder),
            mend="Make room, or put the state elsewhere with --state or GENOCI_STATE.",
        ) from error


def load(folder: Path, diff_id: Digest) -> LayerListing | None:
    """The listing that was saved; None if there is none, or none that can be believed."""
    with contextlib.suppress(OSError, msgspec.DecodeError, ValueError):
        content = memoryview((folder / diff_id.hex).read_bytes())
        if hashlib.sha256(content[_SUM:]).digest() == content[:_SUM]:
            stored = msgspec.msgpack.decode(content[_SUM:], type=_Stored)
            if stored.version == _VERSION and stored.listing.diff_id == diff_id:
                files.touch(folder / diff_id.hex)
                return stored.listing
    return None
