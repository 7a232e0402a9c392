"""What the comparer finds: the members of a layer, and what the root must still undergo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from genoci.layer.entry import Entry


class Change(NamedTuple):
    """A member of a layer; `chunks` is the content of a FILE, and can be read repeatedly."""

    entry: Entry
    chunks: Iterable[bytes]


class Changes(msgspec.Struct, frozen=True):
    """The members of a layer in their final order, and what `settle` makes of it.

    `left_out` are the paths that no layer can hold. `joined` are pairs of names of what is one
    file in the layer, but not on disk: (name, the name that it shall be another one of). `unlike`
    are the members, by path, that have another time on disk or attributes that no layer holds.
    """

    members: tuple[Change, ...]
    left_out: tuple[bytes, ...] = ()
    joined: tuple[tuple[bytes, bytes], ...] = ()
    unlike: tuple[bytes, ...] = ()

    def __iter__(self) -> Iterator[Change]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)
