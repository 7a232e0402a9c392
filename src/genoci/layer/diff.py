"""The only comparer: two trees, and paths that may differ, to the members of a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from genoci.errors import BuildError
from genoci.layer.change import Change, Changes
from genoci.layer.compare import Clamp, Comparison, Nominated
from genoci.layer.entry import WHITEOUT, Entry, Kind, join, split
from genoci.layer.hardlinks import Links, links
from genoci.layer.settle import settle
from genoci.layer.tree import Tree

__all__ = ["Change", "Changes", "changes", "settle"]


def changes(
    before: Tree,
    after: Tree,
    candidates: Iterable[Nominated],
    *,
    epoch: int | None,
    warn: Callable[[str], None],
) -> Changes:
    """What a layer must hold so that `before` with the layer on top is `after`.

    The result depends on the two trees alone, however many candidates there are and in whatever
    order, as long as all that differs is among them; of a removed directory the directory itself
    is enough. Times later than `epoch` (seconds) are told as `epoch`. The trees are read again
    when the members' contents are. Raises BuildError for a name that a layer can't say.
    """
    comparison = Comparison(before, after, candidates)
    clamp = _clamp(epoch)
    linked = links(comparison, clamp)
    brought = _brought(comparison, linked)
    whiteouts = _removed(comparison)
    _complete_with_parents(comparison, brought, whiteouts)
    order = [(_order(path), path, False) for path in brought]
    order += [(_order(path, gone=True), path, True) for path in whiteouts]
    order.sort()
    members: list[Change] = []
    unlike: list[bytes] = []
    for _, path, gone in order:
        if gone:
            members.append(Change(_whiteout(path), ()))
            continue
        member = _member(comparison, path, linked, clamp)
        members.append(member)
        if _is_unlike(comparison, member.entry):
            unlike.append(path)
    for path in sorted(comparison.left_out):
        _warn_of(path, after, warn)
    return Changes(
        members=tuple(members),
        left_out=tuple(sorted(comparison.left_out)),
        joined=linked.joined,
        unlike=tuple(unlike),
    )


def _clamp(epoch: int | None) -> Clamp:
    if epoch is None:
        return lambda entry: entry
    latest = epoch * 10**9
    return lambda entry: (
        msgspec.structs.replace(entry, mtime=latest) if entry.mtime > latest else entry
    )


def _brought(comparison: Comparison, linked: Links) -> set[bytes]:
    brought = {
        path
        for path, pair in comparison.pairs()
        if pair.after is not None and (pair.before is None or comparison.changed(path))
    }
    return brought | linked.carried


def _removed(comparison: Comparison) -> set[bytes]:
    """What must be whited out: of a removed directory the top, of one that is no more nothing."""
    return {
        path
        for path, pair in comparison.pairs()
        if path
        and pair.after is None
        and pair.before is not None
        and comparison.is_directory(split(path)[0])
    }


def _complete_with_parents(
    comparison: Comparison, brought: set[bytes], whiteouts: Iterable[bytes]
) -> None:
    for path in [*brought, *whiteouts]:
        parent = split(path)[0]
        while parent and parent not in brought:
            brought.add(parent)
            parent = split(parent)[0]


def _member(comparison: Comparison, path: bytes, linked: Links, clamp: Clamp) -> Change:
    node = comparison.pair(path).after
    assert node is not None
    entry = clamp(node.entry)
    if split(path)[1].startswith(WHITEOUT):
        raise BuildError(
            f"the name {_shown(path)} means a removed file in a layer, so none can hold it",
            mend=f"Rename it: names that begin with {WHITEOUT.decode()} are reserved.",
        )
    if path in linked.first:
        link = linked.first[path]
        return Change(
            msgspec.structs.replace(
                entry, kind=Kind.HARDLINK, link=link, size=0, device=(0, 0), xattrs=()
            ),
            (),
        )
    if entry.kind is Kind.FILE and entry.size:
        return Change(entry, _Content(comparison.after, path))
    return Change(entry, ())


def _is_unlike(comparison: Comparison, entry: Entry) -> bool:
    """Whether what is on disk is not quite what the layer tells; of one file one name will do."""
    node = comparison.pair(entry.path).after
    assert node is not None
    if entry.kind is Kind.HARDLINK:
        return False
    return node.strange or node.entry.mtime != entry.mtime


def _whiteout(path: bytes) -> Entry:
    parent, name = split(path)
    return Entry(join(parent, WHITEOUT + name), Kind.FILE, 0o644, 0, 0, 0)


class _Content:
    """The content of a file, read when it is asked for, as often as it is."""

    __slots__ = ("_path", "_tree")

    def __init__(self, tree: Tree, path: bytes) -> None:
        self._tree = tree
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        return self._tree.content(self._path)


def _order(path: bytes, *, gone: bool = False) -> bytes:
    """Sorts depth first, in a directory what is gone first, then by the bytes of the names."""
    if not gone:
        return path and b"\1" + path.replace(b"/", b"\0\1")
    parent, name = split(path)
    return (b"\1" + parent.replace(b"/", b"\0\1") + b"\0" if parent else b"") + b"\0" + name


def _warn_of(path: bytes, after: Tree, warn: Callable[[str], None]) -> None:
    node = after.node(path)
    if node is not None and node.entry.kind is Kind.SOCKET:
        warn(f"{_shown(path)} is a socket and was left out")


def _shown(path: bytes) -> str:
    return path.decode(errors="backslashreplace")
