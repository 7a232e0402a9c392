"""How much room on the disk the removal of trees gives back."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from genoci import linux
from genoci.layer.beneath import Beneath
from genoci.layer.entry import join

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Filesystems on which files may share blocks, and that tell which (FIEMAP_EXTENT_SHARED).
_SHARING = (linux.BTRFS_MAGIC, 0x58465342, 0xCA451A4E)  # btrfs, XFS, bcachefs

Range = tuple[int, int]  # of bytes on the device: from, to


class _Measured(NamedTuple):
    """What a tree has alone, in bytes, and which parts of the device it shares with others."""

    own: int
    shared: list[Range]


def usage(path: Path | str, *, dir_fd: int | None = None) -> int:
    """What is at `path` takes so many bytes with all below it, 0 if nothing is there.

    As the filesystem counts its blocks; a file with several names counts once. No link is followed.
    """
    return sum(blocks for _, _, _, blocks in _walk(path, dir_fd))


def freed(going: Sequence[Path], staying: Iterable[Path]) -> list[int]:
    """How many bytes become free as the trees `going` go, one after the other, of a filesystem.

    Blocks that several of them share are counted once, and not at all if a tree that is `staying`
    has them too. That one is looked at only if there are such blocks.
    """
    kind = linux.filesystem_magic(os.fsencode(going[0])) if going else 0
    measured = [_measure(path, kind) for path in going]
    if not any(one.shared for one in measured):
        return [one.own for one in measured]
    stays = (span for path in staying for span in _measure(path, kind).shared)
    shared = _only_there([one.shared for one in measured], stays)
    return [one.own + more for one, more in zip(measured, shared, strict=True)]


def _measure(path: Path, kind: int) -> _Measured:
    own, shared = 0, []
    for directory, name, status, blocks in _walk(path, None):
        if not stat.S_ISREG(status.st_mode):
            # In a btrfs these are metadata, which snapshots share, and nobody can tell how much.
            blocks = 0 if kind == linux.BTRFS_MAGIC else blocks
        elif blocks and kind in _SHARING:
            for start, end, flags in _extents(directory, name):
                if flags & linux.EXTENT_INLINE:
                    blocks = 0  # as above
                elif flags & linux.EXTENT_SHARED:
                    shared.append((start, end))
                    blocks -= end - start
        own += max(0, blocks)
    return _Measured(own, shared)


def _extents(directory: int, name: str) -> list[tuple[int, int, int]]:
    """As `linux.extents`; none where that is not told."""
    try:
        fd = os.open(name, _FILE, dir_fd=directory)
    except OSError:
        return []
    try:
        return linux.extents(fd)
    except OSError:
        return []
    finally:
        os.close(fd)


def _walk(top: Path | str, dir_fd: int | None) -> Iterator[tuple[int, str, os.stat_result, int]]:
    """Everything at and below `top`: where it is, what it is, and the bytes that it takes.

    Where: a descriptor, valid until the next, and a name in it. A file's second name takes none.
    """
    try:
        status = os.stat(top, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        yield -1, "", status, status.st_blocks * 512
        return
    fd = os.open(top, _DIRECTORY, dir_fd=dir_fd)
    directories = Beneath(fd)
    try:
        yield fd, ".", status, status.st_blocks * 512
        yield from _below(directories)
    finally:
        directories.close()
        os.close(fd)


def _below(directories: Beneath) -> Iterator[tuple[int, str, os.stat_result, int]]:
    seen: set[tuple[int, int]] = set()
    pending = [b""]
    while pending:
        above = pending.pop()
        directory = directories.directory(above)
        for name in os.listdir(directory):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            blocks = status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                pending.append(join(above, os.fsencode(name)))
            elif status.st_nlink > 1:
                inode = status.st_dev, status.st_ino
                blocks = 0 if inode in seen else blocks
                seen.add(inode)
            yield directory, name, status, blocks


def _only_there(owners: Sequence[list[Range]], others: Iterable[Range]) -> list[int]:
    """How much of the ranges each owner has before the next ones, and nobody else has."""
    nobody = len(owners)
    edges: list[tuple[int, int, int]] = []  # where, whose, and whether it begins (1) or ends (-1)
    for owner, ranges in [*enumerate(owners), (nobody, others)]:
        for start, end in ranges:
            edges += [(start, owner, 1), (end, owner, -1)]
    edges.sort()
    found = [0] * (nobody + 1)
    having = [0] * (nobody + 1)
    before = 0
    for position, owner, change in edges:
        if not having[nobody]:
            first = next((one for one in range(nobody) if having[one]), nobody)
            found[first] += position - before
        having[owner] += change
        before = position
    return found[:nobody]
