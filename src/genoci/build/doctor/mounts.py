"""What is mounted where, as the kernel tells it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """`kind` is the filesystem's; `options` are those of the filesystem and of the mount."""

    point: str
    kind: str
    options: tuple[str, ...]


UNKNOWN = Mount("/", "an unknown filesystem", ())


def mount_of(path: Path, table: Path = Path("/proc/self/mountinfo")) -> Mount:
    """What is mounted where the path lies; UNKNOWN if the table can't be read (proc(5))."""
    try:
        lines = table.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return UNKNOWN
    path = path.resolve()
    found = UNKNOWN
    for line in lines:
        mount, _, filesystem = line.partition(" - ")
        *_, point, options = mount.split(" ")[:6]
        kind, _, more = filesystem.split(" ", 2)
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        # Of two on one point the later one covers the other.
        if path.is_relative_to(point) and len(point) >= len(found.point):
            found = Mount(point, kind, (*options.split(","), *more.split(",")))
    return found
