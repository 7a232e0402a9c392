"""The files of an rpm package, as its header lists them."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.entry import Kind
from genoci.package.ar import FETCH_AGAIN
from genoci.package.rpm_header import Header
from genoci.package.rpm_tags import FileFlag, Tag

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFSOCK: Kind.SOCKET,
}
_FLAGS = FileFlag.CONFIG | FileFlag.NOREPLACE | FileFlag.GHOST
_LATEST = (1 << 32) - 1  # seconds; what rpm has room for
T = TypeVar("T")


class File(NamedTuple):
    """One of the header's list; `path` is clean, `mode` has the type in it, times are seconds.

    `link` is a symbolic link's text, `digest` the content's (hexadecimal, or ""); `inode` is the
    same for the names of one file.
    """

    path: bytes
    mode: int
    size: int
    time: int
    user: str
    group: str
    device: int
    link: bytes
    digest: str
    flags: FileFlag
    capabilities: str
    inode: tuple[int, int]

    @property
    def kind(self) -> Kind:
        return _KINDS.get(stat.S_IFMT(self.mode), Kind.FILE)


def listed(header: Header, named: str) -> list[File]:
    """The header's list, in its order. Raises ArchiveError for one that does not fit together."""
    paths = _paths(header, named)
    count = len(paths)

    def numbers(*tags: Tag) -> Sequence[int]:
        rows = (row for tag in tags if (row := header.numbers(tag)))
        return _of_length(next(rows, array("B", bytes(count))), count, named)

    def texts(tag: Tag) -> Sequence[bytes]:
        return _of_length(header.strings(tag) or [b""] * count, count, named)

    modes, times = numbers(Tag.FILE_MODES), numbers(Tag.FILE_TIMES)
    sizes = numbers(Tag.LONG_FILE_SIZES, Tag.FILE_SIZES)
    users, groups = texts(Tag.FILE_USERS), texts(Tag.FILE_GROUPS)
    devices, flags = numbers(Tag.FILE_DEVICES), numbers(Tag.FILE_FLAGS)
    links, digests = texts(Tag.FILE_LINKS), texts(Tag.FILE_DIGESTS)
    capabilities = texts(Tag.FILE_CAPABILITIES)
    inodes = numbers(Tag.INODE_DEVICES), numbers(Tag.INODES)
    return [
        File(
            path=paths[at],
            mode=modes[at] & 0xFFFF,
            size=sizes[at],
            time=min(times[at], _LATEST),
            user=users[at].decode("utf-8", "surrogateescape"),
            group=groups[at].decode("utf-8", "surrogateescape"),
            device=devices[at] & 0xFFFF,
            link=links[at],
            digest=digests[at].decode("ascii", "replace").lower(),
            flags=FileFlag(flags[at] & _FLAGS),
            capabilities=capabilities[at].decode("ascii", "replace"),
            inode=(inodes[0][at], inodes[1][at]),
        )
        for at in range(count)
    ]


def _paths(header: Header, named: str) -> list[bytes]:
    if Tag.BASENAMES not in header:
        return [tar.clean(path) for path in header.strings(Tag.OLD_NAMES)]
    names, folders = header.strings(Tag.BASENAMES), header.strings(Tag.DIRECTORIES)
    indexes = _of_length(header.numbers(Tag.DIRECTORY_INDEXES), len(names), named)
    if any(index >= len(folders) for index in indexes):
        raise _unfitting(named)
    return [tar.clean(folders[index] + name) for index, name in zip(indexes, names, strict=True)]


def _of_length(row: Sequence[T], count: int, named: str) -> Sequence[T]:
    if len(row) != count:
        raise _unfitting(named)
    return row


def _unfitting(named: str) -> ArchiveError:
    what = "the header of the package is damaged: its list of files does not fit together"
    return ArchiveError(what, where=named, mend=FETCH_AGAIN)
