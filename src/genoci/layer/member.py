"""A member of a tar, or of what could be one: what `expand` and `copy` put into a tree."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from genoci.errors import ArchiveError
from genoci.layer.entry import WHITEOUT, Entry, Kind, join
from genoci.layer.tar import shown

_LONGEST_NAME, _LONGEST_TEXT = 255, 4095  # bytes


class Placeable(Protocol):
    """An entry and its content; `segments` are the runs of data of a sparse file, else None."""

    @property
    def entry(self) -> Entry: ...

    @property
    def segments(self) -> tuple[tuple[int, int], ...] | None: ...

    def chunks(self) -> Iterator[bytes]:
        """The whole content, holes as zeros."""

    def runs(self) -> Iterator[tuple[int, bytes]]:
        """The content without its holes, each piece with its offset."""


class Sourced(NamedTuple):
    """A member that no tar ever held: a file of the host, or of another image."""

    entry: Entry
    content: Callable[[], Iterator[bytes]]

    @property
    def segments(self) -> None:
        return None

    def chunks(self) -> Iterator[bytes]:
        return self.content()

    def runs(self) -> Iterator[tuple[int, bytes]]:
        offset = 0
        for chunk in self.content():
            yield offset, chunk
            offset += len(chunk)


def stripped(entry: Entry, components: int) -> Entry | None:
    """The entry without the first components of its name; None if nothing is left of it."""
    if not components:
        return entry
    parts = entry.path.split(b"/")
    if len(parts) <= components or not entry.path:
        return None
    link = entry.link
    if entry.kind is Kind.HARDLINK:
        link = b"/".join(link.split(b"/")[components:])
    return msgspec.structs.replace(entry, path=b"/".join(parts[components:]), link=link)


def below(dest: bytes, entry: Entry) -> Entry:
    """The entry as one of the directory `dest`, of which the archive's root tells.

    Raises ArchiveError for a root that is no directory.
    """
    if not dest:
        return entry
    if not entry.path and entry.kind is not Kind.DIRECTORY:
        raise ArchiveError("the root of the archive is not a directory")
    path = join(dest, entry.path) if entry.path else dest
    link = join(dest, entry.link) if entry.kind is Kind.HARDLINK else entry.link
    return msgspec.structs.replace(entry, path=path, link=link)


def refuse_too_long(entry: Entry) -> None:
    """Raise ArchiveError for what no disk can hold: NAME_MAX, and PATH_MAX of a link's text."""
    too_long = entry.kind is Kind.SYMLINK and len(entry.link) > _LONGEST_TEXT
    if len(entry.path) > _LONGEST_NAME:
        too_long |= any(len(name) > _LONGEST_NAME for name in entry.path.split(b"/"))
    if too_long:
        raise ArchiveError(f"can't be made: {os.strerror(errno.ENAMETOOLONG)}")


def refuse_whiteout(entry: Entry) -> None:
    """Raise ArchiveError for a whiteout, and for what lies below one: only layers have them."""
    if WHITEOUT not in entry.path:
        return
    if any(name.startswith(WHITEOUT) for name in entry.path.split(b"/")):
        raise ArchiveError(
            "is a whiteout, and a plain tarball has none",
            where=shown(entry.path),
            mend="If this is a layer of an image, use the image as a base.",
        )
