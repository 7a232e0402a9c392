"""What differs between two trees, in the letters of `docker diff`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genoci.build.difference import TreeDiff


def of_files(found: TreeDiff) -> Iterator[str]:
    """A line for each path, in their order: added, removed, or what of it has changed."""
    marked = [(path, "A", "") for path in found.added]
    marked += [(path, "D", "") for path in found.removed]
    marked += [(it.path, "C", f"  {', '.join(it.what)}") for it in found.changed]
    for path, letter, what in sorted(marked):
        yield f"{letter} {path}{what}"
