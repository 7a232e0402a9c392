"""What is mounted, as the kernel tells it (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """`options` are the filesystem's own; `source` what it was mounted from."""

    point: Path
    kind: str
    source: str
    options: tuple[str, ...]


def mounts() -> list[Mount]:
    """All of this process's mount namespace, in the order in which they were mounted."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            of_mount, _, of_filesystem = line.rstrip("\n").partition(" - ")
            kind, source, options = (of_filesystem.split(" ") + [""] * 3)[:3]
            point = Path(_plain(of_mount.split(" ")[4]))
            found.append(Mount(point, kind, _plain(source), tuple(options.split(","))))
    return found


def mounted_at(point: Path) -> Mount | None:
    """What is seen at the absolute path; None: nothing is mounted just there."""
    here = point.resolve()
    return next((mount for mount in reversed(mounts()) if mount.point == here), None)


def holder_of(path: Path) -> Mount | None:
    """The mount that `path` lies on."""
    here = path.resolve()
    above = [mount for mount in mounts() if here.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point.parts), default=None)


def _plain(text: str) -> str:
    """Blanks and backslashes are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
