"""A tree on disk as a comparable value, for judging what other programs have unpacked."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple


class Seen(NamedTuple):
    kind: int
    mode: int
    owner: tuple[int, int]
    mtime: int
    size: int
    link: bytes
    device: int
    xattrs: tuple[tuple[str, bytes], ...]
    content: str
    first_name: bytes


def look(root: Path, *, times: bool = True, owners: bool = True) -> dict[bytes, Seen]:
    """Everything below `root` by path; `first_name` is the first of all the names of a file."""
    top = os.fsencode(root)
    found: dict[bytes, Seen] = {}
    inodes: dict[int, bytes] = {}
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(folders + names):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, top)
            found[relative] = _seen(path, relative, inodes, times=times, owners=owners)
    return found


def _seen(
    path: bytes, relative: bytes, inodes: dict[int, bytes], *, times: bool, owners: bool
) -> Seen:
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    regular = kind == stat.S_IFREG
    names = os.listxattr(path, follow_symlinks=False)
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    xattrs.pop("security.selinux", None)
    content = ""
    if regular:
        with open(path, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    return Seen(
        kind=kind,
        mode=0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid) if owners else (0, 0),
        mtime=status.st_mtime_ns if times else 0,
        size=status.st_size if regular else 0,
        link=os.readlink(path) if kind == stat.S_IFLNK else b"",
        device=status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        xattrs=tuple(sorted(xattrs.items())),
        content=content,
        first_name=relative if stat.S_ISDIR(kind) else inodes.setdefault(status.st_ino, relative),
    )
