"""What `copy: {from: …}` brings from another image, as members of a tar that was never written."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator

import msgspec

from genoci.build.ownership import Ownership, excluded
from genoci.errors import BuildError
from genoci.layer.entry import Kind, join, split
from genoci.layer.member import Sourced
from genoci.layer.resolve import is_directory, resolve
from genoci.layer.tree import Node, Tree
from genoci.spec.target import Copy


def image_members(step: Copy, origin: Tree, tree: Tree, ownership: Ownership) -> Iterator[Sourced]:
    """The files of `step.sources` (patterns in `origin`), at the paths where they go in `tree`.

    The rules are those of files from the host.
    """
    destination = os.fsencode(step.dest).strip(b"/")
    matches = [path for pattern in step.sources for path in _matches(origin, pattern)]
    for path in matches:
        found, node = _followed(origin, path)
        if node.entry.kind is Kind.DIRECTORY:
            yield from _directory(origin, found, destination, step, tree, ownership)
            continue
        into = step.dest.endswith("/") or len(matches) > 1 or is_directory(tree, destination)
        target = join(destination, split(path)[1]) if into else destination
        yield _member(origin, found, node, target, ownership)


def _directory(
    origin: Tree, top: bytes, destination: bytes, step: Copy, tree: Tree, ownership: Ownership
) -> Iterator[Sourced]:
    pending = [b""]
    while pending:
        relative = pending.pop()
        source = join(top, relative) if relative else top
        target = join(destination, relative) if relative else destination
        node = origin.node(source)
        if node is not None and not is_directory(tree, target):
            yield _member(origin, source, node, target, ownership)
        below = []
        for name in sorted(origin.names(source)):
            child = join(relative, name)
            path = join(source, name)
            node = origin.node(path)
            if node is None or excluded(child, step.exclude):
                continue
            if node.entry.kind is Kind.DIRECTORY:
                below.append(child)
            else:
                yield _member(origin, path, node, join(destination, child), ownership)
        pending += reversed(below)


def _member(origin: Tree, path: bytes, node: Node, target: bytes, owner: Ownership) -> Sourced:
    entry = msgspec.structs.replace(node.entry, path=target, uid=owner.uid, gid=owner.gid)
    if entry.kind is Kind.FILE and owner.mode is not None:
        entry = msgspec.structs.replace(entry, mode=owner.mode)
    if entry.kind is Kind.FILE:
        return Sourced(entry, lambda: origin.content(path))
    return Sourced(entry, lambda: iter(()))


def _followed(origin: Tree, path: bytes) -> tuple[bytes, Node]:
    found = resolve(origin, path)
    node = origin.node(found) if found is not None else None
    if found is None or node is None:
        raise BuildError(f"{os.fsdecode(path)} leads nowhere in the image that it is copied from")
    return found, node


def _matches(origin: Tree, pattern: str) -> list[bytes]:
    """The paths that `pattern` names, sorted; an error when there are none."""
    found = [b""]
    for part in os.fsencode(pattern).split(b"/"):
        if part in (b"", b"."):
            continue
        found = [path for parent in found for path in _children(origin, parent, part)]
    if not found:
        raise BuildError(
            f"{pattern} matches nothing in the image that it is copied from",
            mend="`genoci diff empty TAG` lists what an image holds.",
        )
    return sorted(found)


def _children(origin: Tree, parent: bytes, part: bytes) -> Iterator[bytes]:
    resolved = resolve(origin, parent)
    if resolved is None:
        return
    if not any(character in part for character in b"*?["):
        if resolve(origin, join(resolved, part)) is not None:
            yield join(resolved, part)
        return
    for name in origin.names(resolved):
        if fnmatch.fnmatchcase(name, part) and not (
            name.startswith(b".") and not part.startswith(b".")
        ):
            yield join(resolved, name)
