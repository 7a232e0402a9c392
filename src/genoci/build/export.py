"""A root filesystem as one tarball: owners and devices right for any user, nothing unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from genoci.errors import UsageError
from genoci.files import new_file
from genoci.layer import tar
from genoci.layer.compress import compressed
from genoci.layer.compression import Compression
from genoci.layer.entry import Entry, Kind, join
from genoci.layer.tree import Tree

_ENDINGS = {".tar": "none", ".tar.gz": "gzip", ".tgz": "gzip", ".tar.zst": "zstd"}


def compression_for(path: Path) -> Compression:
    """What the file's name asks for; raises UsageError for a name that says nothing."""
    for ending, name in _ENDINGS.items():
        if path.name.endswith(ending):
            return Compression.parse(name)
    raise UsageError(
        f"{path.name}: the name does not tell the format",
        mend=f"End it with {', '.join(list(_ENDINGS)[:-1])} or {list(_ENDINGS)[-1]}.",
    )


def check_target(path: Path) -> None:
    """Raise UsageError where no file can be put, as far as that can be known before."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist")
    if path.is_dir():
        raise UsageError(f"{path} is a directory", mend="Name a file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"you may not write to the folder {folder}")


def export_tree(tree: Tree, path: Path, compression: Compression) -> None:
    """Write the whole of `tree` to `path`, which appears only when it is whole."""
    with new_file(path) as stream:
        for chunk in compressed(_tar(tree), compression):
            stream.write(chunk)


def _tar(tree: Tree) -> Iterator[bytes]:
    first: dict[object, bytes] = {}
    for entry, inode in _entries(tree):
        if inode is not None and entry.kind is Kind.FILE:
            if inode in first:
                link = first[inode]
                yield tar.write_header(
                    msgspec.structs.replace(entry, kind=Kind.HARDLINK, link=link, size=0)
                )
                continue
            first[inode] = entry.path
        yield tar.write_header(entry)
        if entry.kind is Kind.FILE:
            yield from tree.content(entry.path)
            yield tar.padding(entry.size)
    yield tar.END


def _entries(tree: Tree) -> Iterator[tuple[Entry, object]]:
    """Every name, depth first, in byte order; a directory before what is in it."""
    pending = [b""]
    while pending:
        path = pending.pop()
        node = tree.node(path)
        if node is None:
            continue
        yield node.entry, node.inode
        if node.entry.kind is Kind.DIRECTORY:
            pending += [join(path, name) for name in sorted(tree.names(path), reverse=True)]
