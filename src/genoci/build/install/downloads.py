"""Package files that a manager of the root has downloaded.

The folder was written by programs of the root: no link in it is followed, and nothing in it is
opened that is no file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


class Download(NamedTuple):
    """A file by its path in the folder."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def downloads(folder: Path, ending: str) -> tuple[Download, ...]:
    """Those below `folder` whose names end so, sorted by path."""
    return tuple(
        sorted(Download(path, hashed) for path, _, _, hashed in _files(folder, ending) if hashed)
    )


def remove_others(folder: Path, ending: str, digests: Collection[str]) -> None:
    """Remove those whose SHA-256 is none of `digests`."""
    for _, directory, name, hashed in _files(folder, ending):
        if hashed not in digests:
            os.unlink(name, dir_fd=directory)


def _files(folder: Path, ending: str) -> Iterator[tuple[str, int, str, str]]:
    """Path, its directory's descriptor, name and SHA-256; without one if it is no plain file."""
    for here, below, names, directory in os.fwalk(folder):
        below.sort()
        for name in sorted(names):
            if name.endswith(ending):
                path = os.path.relpath(os.path.join(here, name), folder)
                yield path, directory, name, _hashed(directory, name)


def _hashed(directory: int, name: str) -> str:
    try:
        fd = os.open(name, _OPEN, dir_fd=directory)
    except OSError:  # a link, a socket
        return ""
    with open(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        digest = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()
