"""What differs between two images: in their files, and in their configs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import zip_longest
from typing import Any

import msgspec

from genoci.build.images import ListedTree
from genoci.layer.compare import same_bytes
from genoci.layer.diff import Changes
from genoci.layer.entry import WHITEOUT, Entry, Kind, join, split
from genoci.layer.tree import Node, Tree
from genoci.oci.image import Image


class Changed(msgspec.Struct, frozen=True):
    """A path that both images have, and what of it differs: `content`, `mode`, `owner`, …"""

    path: str
    what: tuple[str, ...]


class ConfigChanged(msgspec.Struct, frozen=True):
    """A field of the config; None: that image does not have it."""

    field: str
    before: Any
    after: Any


class TreeDiff(msgspec.Struct, frozen=True):
    """Paths are absolute; of a removed or an added directory all that is in it is listed, too."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Changed, ...]
    config: tuple[ConfigChanged, ...]


def difference(
    before: Image, after: Image, before_tree: ListedTree, after_tree: ListedTree
) -> TreeDiff:
    """Everything that differs; content is compared by bytes, and only where it may differ."""
    added, removed, changed = [], [], []
    for path in sorted({*_below(before_tree, b""), *_below(after_tree, b"")}):
        old, new = before_tree.node(path), after_tree.node(path)
        if old is None:
            added.append(_shown(path))
        elif new is None:
            removed.append(_shown(path))
        else:
            what = tuple(_what(old, new, _listed_differ(path, before_tree, after_tree)))
            if what:
                changed.append(Changed(_shown(path), what))
    config = tuple(_config(before, after))
    return TreeDiff(tuple(added), tuple(removed), tuple(changed), config)


def difference_of(found: Changes, before: Tree, after: Tree) -> TreeDiff:
    """What `found`, the changes from one tree to the other, come to; there is no config."""
    added: set[bytes] = set()
    removed: set[bytes] = set()
    changed: dict[bytes, tuple[str, ...]] = {}
    for path in _touched(found):
        old, new = before.node(path), after.node(path)
        if new is None or (old is not None and old.entry.kind is not new.entry.kind):
            removed |= set(_below(before, path))
        if old is None and new is not None:
            added.add(path)
        elif old is not None and new is not None:
            changed[path] = tuple(_what(old, new, partial(_unequal, before, after, path)))
    removed -= {path for path in removed if after.node(path) is not None}
    return TreeDiff(
        tuple(map(_shown, sorted(added))),
        tuple(map(_shown, sorted(removed))),
        tuple(Changed(_shown(path), what) for path, what in sorted(changed.items()) if what),
        (),
    )


def _touched(found: Changes) -> Iterator[bytes]:
    """The paths that a layer speaks of, without what marks a path as removed."""
    for change in found:
        above, name = split(change.entry.path)
        gone = name.startswith(WHITEOUT)
        yield join(above, name.removeprefix(WHITEOUT)) if gone else change.entry.path


def _below(tree: Tree, top: bytes) -> Iterator[bytes]:
    pending = [top]
    while pending:
        path = pending.pop()
        yield path
        pending += [join(path, name) for name in tree.names(path)]


def _unequal(before: Tree, after: Tree, path: bytes) -> bool:
    return not same_bytes(before.content(path), after.content(path))


def _what(old: Node, new: Node, contents_differ: Callable[[], bool]) -> Iterator[str]:
    one, other = old.entry, new.entry
    if one.kind is not other.kind:
        yield f"type: {one.kind.value} became {other.kind.value}"
        return
    yield from _metadata(one, other)
    if one.kind is not Kind.FILE:
        return
    if one.size != other.size:
        yield f"content: {one.size} bytes became {other.size}"
    elif contents_differ():
        yield "content"


def _metadata(one: Entry, other: Entry) -> Iterator[str]:
    if one.mode != other.mode:
        yield f"mode: {one.mode:04o} became {other.mode:04o}"
    if (one.uid, one.gid) != (other.uid, other.gid):
        yield f"owner: {one.uid}:{one.gid} became {other.uid}:{other.gid}"
    if one.mtime != other.mtime:
        yield "time"
    if one.link != other.link:
        yield "link"
    if one.device != other.device:
        yield "device"
    if one.xattrs != other.xattrs:
        yield "xattrs"


def _listed_differ(path: bytes, before: ListedTree, after: ListedTree) -> Callable[[], bool]:
    def differ() -> bool:
        if before.place(path) == after.place(path):
            return False
        return not _equal(before.content(path), after.content(path))

    return differ


def _equal(one: Iterator[bytes], other: Iterator[bytes]) -> bool:
    """Of contents of the same size, which come in chunks of the same size."""
    return all(a == b for a, b in zip_longest(one, other))


def _config(before: Image, after: Image) -> Iterator[ConfigChanged]:
    old, new = _flat(before.config_mapping()), _flat(after.config_mapping())
    for field in sorted(old.keys() | new.keys()):
        if old.get(field) != new.get(field):
            yield ConfigChanged(field, old.get(field), new.get(field))


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say what the image is, without how it came to be (history, layers)."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if name in ("history", "rootfs"):
            continue
        if name == "config" and isinstance(value, dict):
            flat |= value
        else:
            flat[name] = value
    env = flat.pop("Env", None) or []
    flat |= {f"Env {line.partition('=')[0]}": line.partition("=")[2] for line in env}
    labels = flat.pop("Labels", None) or {}
    return flat | {f"Labels {name}": value for name, value in labels.items()}


def _shown(path: bytes) -> str:
    return "/" + path.decode(errors="backslashreplace")
