"""What `copy` gives to files, wherever they come from, and which it leaves out."""

from __future__ import annotations

import fnmatch
import os
from typing import NamedTuple


class Ownership(NamedTuple):
    """Whose the copied files are, and their mode where the YAML gives one."""

    uid: int
    gid: int
    mode: int | None


def excluded(path: bytes, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern matches the path below SRC, or one without a slash its last component."""
    text = os.fsdecode(path)
    name = text.rpartition("/")[2]
    return any(
        fnmatch.fnmatchcase(text if "/" in pattern.rstrip("/") else name, pattern.strip("/"))
        for pattern in patterns
    )
