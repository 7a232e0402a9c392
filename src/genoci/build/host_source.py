"""What `copy` brings from the host, as members of a tar that was never written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from genoci.build.ownership import Ownership, excluded
from genoci.errors import BuildError
from genoci.layer.entry import Entry, Kind, join
from genoci.layer.member import Sourced
from genoci.layer.resolve import is_directory
from genoci.layer.tree import Tree
from genoci.spec.target import Copy

_CHUNK = 1 << 20
Warn = Callable[[str], None]


def host_members(
    step: Copy, tree: Tree, ownership: Ownership, *, where: str, warn: Warn
) -> Iterator[Sourced]:
    """The files of `step.sources`, at the paths where they go in `tree`.

    A directory's contents go to the destination; a file to it, or into it when it is a directory
    or is written with a slash or several files come. Directories that are there already stay as
    they are. Times and modes are the source's; xattrs and hard links of the host are not kept:
    they differ from one checkout to the next.
    """
    destination = os.fsencode(step.dest).strip(b"/")
    for source in step.sources:
        path = os.fsencode(source)
        status = _stat(path, where)
        if stat.S_ISDIR(status.st_mode):
            yield from _directory(path, destination, step, tree, ownership, where, warn)
            continue
        into = step.dest.endswith("/") or len(step.sources) > 1 or is_directory(tree, destination)
        target = join(destination, os.path.basename(path)) if into else destination
        yield _member(path, target, status, ownership, where)


def _directory(
    top: bytes,
    destination: bytes,
    step: Copy,
    tree: Tree,
    ownership: Ownership,
    where: str,
    warn: Warn,
) -> Iterator[Sourced]:
    pending = [b""]
    while pending:
        relative = pending.pop()
        source = os.path.join(top, relative) if relative else top
        target = join(destination, relative) if relative else destination
        if not is_directory(tree, target):
            yield _member(source, target, _stat(source, where), ownership, where)
        below = []
        for name in sorted(_names(source, where)):
            child = join(relative, name)
            if excluded(child, step.exclude):
                continue
            status = os.lstat(os.path.join(top, child))
            if stat.S_ISDIR(status.st_mode):
                below.append(child)
            elif stat.S_ISSOCK(status.st_mode):
                warn(f"{os.fsdecode(os.path.join(top, child))} is a socket and was left out")
            else:
                path = os.path.join(top, child)
                yield _member(path, join(destination, child), status, ownership, where)
        pending += reversed(below)


def _stat(path: bytes, where: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise BuildError(
            f"cannot read {os.fsdecode(path)}: {error.strerror}",
            where=where,
            mend="It was there when the build began; is something else removing it?",
        ) from error


def _names(path: bytes, where: str) -> list[bytes]:
    try:
        return os.listdir(path)
    except OSError as error:
        raise BuildError(
            f"cannot list {os.fsdecode(path)}: {error.strerror}",
            where=where,
            mend="Make it readable, or leave it out with `exclude`.",
        ) from error


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
}


def _member(
    source: bytes, path: bytes, status: os.stat_result, ownership: Ownership, where: str
) -> Sourced:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise BuildError(
            f"{os.fsdecode(source)} is a device, which `copy` does not take",
            where=where,
            mend="Leave it out with `exclude`; device nodes come with tarballs.",
        )
    mode = stat.S_IMODE(status.st_mode)
    if kind is Kind.FILE and ownership.mode is not None:
        mode = ownership.mode
    entry = Entry(
        path=path,
        kind=kind,
        mode=0o777 if kind is Kind.SYMLINK else mode,
        uid=ownership.uid,
        gid=ownership.gid,
        mtime=status.st_mtime_ns,
        size=status.st_size if kind is Kind.FILE else 0,
        link=os.readlink(source) if kind is Kind.SYMLINK else b"",
    )
    return Sourced(entry, lambda: _read(source, where) if kind is Kind.FILE else iter(()))


def _read(path: bytes, where: str) -> Iterator[bytes]:
    try:
        with open(path, "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise BuildError(
            f"cannot read {os.fsdecode(path)}: {error.strerror}",
            where=where,
            mend="Make it readable, or leave it out with `exclude`.",
        ) from error
