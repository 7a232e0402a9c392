"""Where a path leads inside a root, for any tree: symbolic links followed, the root never left."""

from __future__ import annotations

from genoci.errors import ArchiveError
from genoci.layer.entry import Kind, join, split
from genoci.layer.tree import Tree

_MOST_LINKS = 40  # as the kernel's own limit, path_resolution(7)


def resolve(tree: Tree, path: bytes) -> bytes | None:
    """The clean path of what `path` names, every link in it followed; None: nothing is there.

    `path` may be absolute or relative and may hold `..`, which stops at the root. Raises
    ArchiveError for a loop of links.
    """
    rest = path.split(b"/")[::-1]
    here = b""
    links = 0
    while rest:
        name = rest.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            here = split(here)[0]
            continue
        child = join(here, name)
        node = tree.node(child)
        if node is None:
            return None
        if node.entry.kind is Kind.SYMLINK:
            links += 1
            if links > _MOST_LINKS:
                raise ArchiveError(
                    "too many symbolic links, one leads to the other",
                    where=path.decode(errors="replace"),
                    mend="Look for a link that leads to itself.",
                )
            if node.entry.link.startswith(b"/"):
                here = b""
            rest.extend(node.entry.link.split(b"/")[::-1])
            continue
        goes_on = any(part not in (b"", b".") for part in rest)
        if goes_on and node.entry.kind is not Kind.DIRECTORY:
            return None
        here = child
    return here


def is_directory(tree: Tree, path: bytes) -> bool:
    """Whether `path` leads to a directory, links followed."""
    found = resolve(tree, path)
    node = tree.node(found) if found is not None else None
    return node is not None and node.entry.kind is Kind.DIRECTORY
