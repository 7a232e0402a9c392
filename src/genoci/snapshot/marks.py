"""What every path of a copied tree was when the copy was done: what still is that was not touched.

The inode's number, its size and the time of its last change (ctime), which nobody can set. This
knowledge lies beside the tree, and wins only where it is right: in a copy of the directory inodes
have other numbers and times, and everything is compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from genoci.layer.tree import LiveTree

NAME = "marks"

Mark = tuple[int, int, int]  # inode, ctime in ns, size

_NEVER = (0, 0, 0)  # equal to no mark
_SECOND = 10**9
_PATIENCE = 0.05  # seconds that the clock of a filesystem has to move on: its tick is 10 ms at most


def mark(status: os.stat_result) -> Mark:
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return status.st_ino, status.st_ctime_ns, size


def record(tree: Path, folder: Path) -> None:
    """Write down in `folder`, on the same filesystem, what everything in `tree` is now.

    When this returns, the clock has moved on: whatever is touched from now on gets another mark.
    Where it does not move, or change times follow what somebody sets, nothing is written.
    """
    with LiveTree(tree) as live:
        marks = {path: _lasting(mark(status)) for path, status in live.walk()}
    newest = max((ctime for _, ctime, _ in marks.values()), default=0)
    if _has_passed(newest, folder):
        content = msgspec.msgpack.encode(list(marks.items()))
        (folder / NAME).write_bytes(hashlib.sha256(content).digest() + content)


def recorded(folder: Path) -> Mapping[bytes, Mark] | None:
    """What was written down, by path; None: nothing was, or it is damaged."""
    try:
        data = (folder / NAME).read_bytes()
    except OSError:
        return None
    digest, content = data[:32], data[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    try:
        return dict(msgspec.msgpack.decode(content, type=list[tuple[bytes, Mark]]))
    except msgspec.DecodeError:
        return None


def _lasting(found: Mark) -> Mark:
    """A whole second: the filesystem may know no parts of it, and show a later change alike."""
    return _NEVER if found[1] % _SECOND == 0 else found


def _has_passed(moment: int, folder: Path) -> bool:
    """Wait until the filesystem stamps changes with a later time than `moment` (ns).

    Asked by changing a file, and setting its other times back: network filesystems have clocks
    of their own, and some show a change time that is none.
    """
    probe = folder / f"{NAME}.probe"
    end = time.monotonic() + _PATIENCE
    try:
        probe.touch()
        while time.monotonic() < end:
            os.utime(probe, ns=(0, 0))
            if probe.stat().st_ctime_ns > moment:
                return True
            time.sleep(0.0005)
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            probe.unlink()
