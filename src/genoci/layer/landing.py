"""Where a clean path leads in a root that is being filled: on disk and on paper alike.

Links among its parents are followed inside the root, as the kernel does it in a chroot
(path_resolution(7)), whether the tree is a filesystem or a listing: one algorithm, two grounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from genoci.errors import ArchiveError

Spot = TypeVar("Spot")

_MOST_LINKS = 40  # of one path, as in the kernel
# 1000 names of 255 bytes fit. The bound is on what one short header may cost.
LONGEST = 1 << 18

# The bytes of their paths, of all directories that one archive has no entry of, on paper. A name
# of a few bytes in a tar may need a thousand of them.
MOST_IMPLIED = 1 << 28


class Ground(Protocol[Spot]):
    """A tree, whose directories are called spots."""

    @property
    def root(self) -> Spot: ...

    def child(self, spot: Spot, name: bytes) -> Spot | None:
        """The directory of this name; None if there is none, or a link to one."""

    def above(self, spot: Spot) -> Spot:
        """The directory that it is in; of the root the root."""

    def link(self, spot: Spot, name: bytes) -> bytes | None:
        """The text of the symbolic link of this name; None if there is none."""


def find(
    ground: Ground[Spot], path: bytes, make: Callable[[Spot, bytes], Spot] | None = None
) -> Spot | None:
    """The directory that the clean `path` leads to.

    What is missing on the way, or leads to no directory, is made with `make`, in the place of what
    is there; without it the answer is None. Raises ArchiveError for a loop of links.
    """
    if len(path) > LONGEST:
        raise ArchiveError(f"has a name of {len(path)} bytes; {LONGEST} are the most")
    here: Spot = ground.root
    links = 0
    for name in path.split(b"/") if path else ():
        child: Spot | None = ground.child(here, name)
        if child is None:
            behind = _behind(ground, here, name, links)
            if behind is not None:
                child, links = behind
            elif make is not None:
                child = make(here, name)
            else:
                return None
        here = child
    return here


def implied(before: int, path: bytes) -> int:
    """`before` and the length of `path`. Raises ArchiveError if that is more than MOST_IMPLIED."""
    if before + len(path) > MOST_IMPLIED:
        raise ArchiveError("too many directories that it has things in, and no entry of")
    return before + len(path)


def _behind(ground: Ground[Spot], here: Spot, name: bytes, links: int) -> tuple[Spot, int] | None:
    """The directory that the link `name` leads to, and how many links have been followed by then.

    None if there is no such link, or it leads to no directory.
    """
    rest = [name]
    while rest:
        name = rest.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            here = ground.above(here)
            continue
        child = ground.child(here, name)
        if child is not None:
            here = child
            continue
        target = ground.link(here, name)
        if target is None:
            return None
        links += 1
        if links > _MOST_LINKS:
            raise ArchiveError("symbolic links among its parents lead to each other in a loop")
        if target.startswith(b"/"):
            here = ground.root
        rest += reversed(target.split(b"/"))
    return here, links
