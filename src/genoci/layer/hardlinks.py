"""Which names are one file: in the tree after, and for whoever reads the layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

from genoci.layer.compare import Clamp, Comparison
from genoci.layer.entry import Kind


class Links(NamedTuple):
    """`carried`: names that the layer must hold. `first`: for a later name the first one.

    `joined`: pairs (name, other name) that are one file for the layer, and two on disk.
    """

    carried: frozenset[bytes]
    first: Mapping[bytes, bytes]
    joined: tuple[tuple[bytes, bytes], ...]


def links(comparison: Comparison, clamped: Clamp) -> Links:
    """The hard links of all compared names.

    Names that are or were one file form a family. If one of a family is new, gone or changed, or
    was another file than it is, the layer carries the family whole, so that readers link again
    what is linked here. Names that were one file and are still equal in everything are one file:
    a driver that copies up one name splits what the user has never split.
    """
    carried: set[bytes] = set()
    first: dict[bytes, bytes] = {}
    joined: list[tuple[bytes, bytes]] = []
    for family in _families(comparison):
        living = [path for path in family if _is_file(comparison, path)]
        if any(comparison.changed(path) for path in family) or _was_joined(comparison, living):
            carried.update(living)
        for names in _classes(comparison, living, clamped):
            head = min(names, key=lambda path: path.split(b"/"))
            first.update((path, head) for path in names if path != head)
            if len({comparison.pair(path).inode or path for path in names}) > 1:
                # All of them: linking one may part it from others (overlay copies it up first).
                joined += [(path, head) for path in names if path != head]
    return Links(frozenset(carried), first, tuple(sorted(joined)))


def _is_file(comparison: Comparison, path: bytes) -> bool:
    after = comparison.pair(path).after
    return after is not None and after.entry.kind is not Kind.DIRECTORY


def _families(comparison: Comparison) -> Iterator[list[bytes]]:
    """The sets of names that are connected by being one file before or after, of two or more."""
    before = _complete(comparison)
    after: dict[Hashable, list[bytes]] = defaultdict(list)
    for path, pair in comparison.pairs():
        if pair.inode is not None:
            after[pair.inode].append(path)
    seen: set[bytes] = set()
    for group in (*before.values(), *after.values()):
        if len(group) < 2 or group[0] in seen:
            continue
        family: list[bytes] = []
        pending = list(group)
        while pending:
            path = pending.pop()
            if path in seen:
                continue
            seen.add(path)
            family.append(path)
            pending += before.get(_inode_before(comparison, path), ())
            pending += after.get(comparison.pair(path).inode, ())
        yield sorted(family)


def _complete(comparison: Comparison) -> dict[Hashable, list[bytes]]:
    """All names of each file of the tree before that has a compared name."""
    found: dict[Hashable, list[bytes]] = defaultdict(list)
    expected: dict[Hashable, int] = {}
    for path, pair in comparison.pairs():
        node = pair.before
        if node is not None and node.inode is not None and node.entry.kind is not Kind.DIRECTORY:
            found[node.inode].append(path)
            expected[node.inode] = node.links
    if any(len(paths) != expected[inode] for inode, paths in found.items()):
        groups = comparison.before.groups()
        for inode in found:
            found[inode] = sorted({*found[inode], *groups.get(inode, ())})
    return found


def _inode_before(comparison: Comparison, path: bytes) -> Hashable | None:
    node = comparison.pair(path).before
    return None if node is None else node.inode


def _was_joined(comparison: Comparison, living: Iterable[bytes]) -> bool:
    """Whether names are one file now that were not before."""
    before: dict[Hashable, Hashable | None] = {}
    for path in living:
        inode = comparison.pair(path).inode
        if inode is None:
            continue
        was = _inode_before(comparison, path)
        if inode in before and (was is None or before[inode] != was):
            return True
        before[inode] = was
    return False


def _classes(comparison: Comparison, living: Iterable[bytes], clamped: Clamp) -> list[list[bytes]]:
    """The names, divided into files."""
    files: dict[Hashable, list[bytes]] = {}
    for path in living:
        inode = comparison.pair(path).inode
        files.setdefault(("alone", path) if inode is None else inode, []).append(path)
    classes: list[list[bytes]] = []
    for names in files.values():
        into = next((c for c in classes if _still_one(comparison, c, names, clamped)), None)
        if into is None:
            classes.append(names)
        else:
            into += names
    return classes


def _still_one(
    comparison: Comparison, some: list[bytes], others: list[bytes], clamped: Clamp
) -> bool:
    """Whether two files share a file that they were before, and are equal in everything."""
    was = {_inode_before(comparison, path) for path in some} - {None}
    if was.isdisjoint(_inode_before(comparison, path) for path in others):
        return False
    return comparison.same_file(some[0], others[0], clamped)
