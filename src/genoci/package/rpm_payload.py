"""The payload of an rpm package as members, held against the header's list of files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

import msgspec

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.decoders import FORMATS, LZMA
from genoci.layer.decompress import open_reader
from genoci.layer.entry import Entry, Kind
from genoci.layer.member import Placeable, Sourced, refuse_too_long, refuse_whiteout
from genoci.package import cpio, file_capabilities
from genoci.package.ar import FETCH_AGAIN
from genoci.package.root_files import Ids
from genoci.package.rpm import Rpm
from genoci.package.rpm_files import File, listed
from genoci.package.rpm_tags import DIGESTS, FileFlag, Tag
from genoci.package.standing import Warn
from genoci.package.window import Window
from genoci.package.wording import readable

_FORMATS = {format.name: format for format in (*FORMATS, LZMA)}
_LONGEST_LINK = 4096


class Member(NamedTuple):
    """A file of the header's list, and what is to be placed for it."""

    file: File
    placeable: Placeable


def members(
    fd: int, package: Rpm, named: str, *, users: Ids, groups: Ids, warn: Warn
) -> Iterator[Member]:
    """What the package brings, in its order; contents pass once. What is a ghost is not made.

    A user or a group that the root does not know is root, and its files have no setuid bit, as
    with rpm; `warn` is told. Raises ArchiveError for a payload that is not what the header says.
    """
    header = package.header
    reading = _Reading(listed(header, named), named, _Owners(users, groups, package, warn))
    algorithm = DIGESTS.get(header.number(Tag.FILE_DIGEST_ALGORITHM) or 1, "")
    with _unpacked(fd, package, named) as stream:
        for piece in cpio.pieces(stream, reading.size_of, named):
            yield from reading.members_of(piece, algorithm)
    reading.finish()


class _Owners:
    def __init__(self, users: Ids, groups: Ids, package: Rpm, warn: Warn) -> None:
        self._users = users
        self._groups = groups
        self._name = package.identity.name
        self._warn = warn

    def of(self, file: File) -> tuple[int, int, int]:
        """uid, gid, and the mode that is left of the file's."""
        mode = file.mode & 0o7777
        uid, gid = self._users(file.user or "root"), self._groups(file.group or "root")
        if uid is None:
            self._tell("user", file.user)
            mode &= ~stat.S_ISUID
        if gid is None:
            self._tell("group", file.group)
            mode &= ~stat.S_ISGID
        return uid or 0, gid or 0, mode

    def _tell(self, meaning: str, name: str) -> None:
        self._warn(
            f"this root has no {meaning} '{readable(name)}', so files of {self._name} are root's",
            f"Bring an etc/{'passwd' if meaning == 'user' else 'group'} that has it, before.",
        )


class _Reading:
    """The payload held against the list: what has come of it, and what is still to come."""

    def __init__(self, files: list[File], named: str, owners: _Owners) -> None:
        self._files = files
        self._named = named
        self._owners = owners
        self._wanted = {
            file.path: number
            for number, file in enumerate(files)
            if not file.flags & FileFlag.GHOST
        }
        self._seen: set[int] = set()
        names: dict[tuple[int, int], list[int]] = {}
        for number in self._wanted.values():
            if files[number].kind is Kind.FILE and files[number].inode[1]:
                names.setdefault(files[number].inode, []).append(number)
        self._names = {inode: group for inode, group in names.items() if len(group) > 1}
        self._first: dict[tuple[int, int], bytes] = {}  # of a file with several names: the one made
        self._waiting: dict[tuple[int, int], list[int]] = {}  # names that came before the content

    def size_of(self, number: int) -> int:
        """The size of the content that follows a bare number, as the header has it."""
        if number >= len(self._files):
            raise ArchiveError(f"the payload has no file {number}", where=self._named)
        file = self._files[number]
        if file.kind is Kind.FILE:
            group = self._names.get(file.inode)
            return 0 if group and group[-1] != number else file.size
        return file.size if file.kind is Kind.SYMLINK else 0

    def members_of(self, piece: cpio.Piece, algorithm: str) -> Iterator[Member]:
        number = piece.number
        if piece.name is not None:
            number = self._wanted.get(tar.clean(piece.name), -1)
        if number < 0 or self._files[number].flags & FileFlag.GHOST or number in self._seen:
            what = "is in the payload, and not in the header" if number < 0 else "comes twice"
            raise ArchiveError(what, where=self._where(piece.name or b"#%d" % number))
        self._seen.add(number)
        file = self._files[number]
        try:
            yield from self._members(file, number, piece, algorithm)
        except ArchiveError as error:
            error.where = self._where(file.path)
            raise

    def _members(
        self, file: File, number: int, piece: cpio.Piece, algorithm: str
    ) -> Iterator[Member]:
        group = self._names.get(file.inode) if file.kind is Kind.FILE else None
        if group is None:
            yield self._made(file, piece, algorithm)
        elif file.inode in self._first:
            if piece.size:
                raise ArchiveError("is a hard link with a content of its own")
            yield self._linked(file)
        elif piece.size or len(self._waiting.get(file.inode, ())) == len(group) - 1:
            self._first[file.inode] = file.path
            yield self._made(file, piece, algorithm)
            for other in self._waiting.pop(file.inode, ()):
                yield self._linked(self._files[other])
        else:
            self._waiting.setdefault(file.inode, []).append(number)

    def finish(self) -> None:
        """Raise ArchiveError if anything has not come."""
        missing = [path for path, number in self._wanted.items() if number not in self._seen]
        missing += [self._files[one].path for group in self._waiting.values() for one in group]
        if missing:
            what = "is in the header, and its content not in the payload"
            raise ArchiveError(what, where=self._where(missing[0]))

    def _made(self, file: File, piece: cpio.Piece, algorithm: str) -> Member:
        entry = self._entry(file)
        if file.kind is Kind.FILE:
            if piece.size != file.size:
                raise ArchiveError(f"has {piece.size} bytes, and {file.size} in the header")
            where = self._where(file.path)
            return Member(file, Sourced(entry, lambda: _checked(piece, file, algorithm, where)))
        if file.kind is Kind.SYMLINK and not _is_link_to(file.link, piece):
            raise ArchiveError("is a link to something else in the payload than in the header")
        return Member(file, Sourced(entry, lambda: iter(())))

    def _linked(self, file: File) -> Member:
        link = self._first[file.inode]
        entry = msgspec.structs.replace(
            self._entry(file), kind=Kind.HARDLINK, size=0, xattrs=(), link=link
        )
        return Member(file, Sourced(entry, lambda: iter(())))

    def _entry(self, file: File) -> Entry:
        uid, gid, mode = self._owners.of(file)
        kind = file.kind
        xattr = file_capabilities.xattr(file.capabilities) if kind is Kind.FILE else None
        if kind is Kind.SYMLINK and (not file.link or b"\0" in file.link):
            raise ArchiveError("is a link that leads nowhere")
        entry = Entry(
            path=file.path,
            kind=kind,
            mode=0o777 if kind is Kind.SYMLINK else mode,
            uid=uid,
            gid=gid,
            mtime=file.time * 10**9,
            size=file.size if kind is Kind.FILE else 0,
            link=file.link if kind is Kind.SYMLINK else b"",
            device=_device(file, kind),
            xattrs=((file_capabilities.XATTR, xattr),) if xattr else (),
        )
        refuse_whiteout(entry)
        refuse_too_long(entry)
        return entry

    def _where(self, path: bytes) -> str:
        return f"{self._named}: {tar.shown(path)}"


def _is_link_to(link: bytes, piece: cpio.Piece) -> bool:
    """Also if the payload does not say where it leads."""
    if not piece.size:
        return True
    return piece.size <= _LONGEST_LINK and b"".join(piece.chunks()).rstrip(b"\0") == link


def _device(file: File, kind: Kind) -> tuple[int, int]:
    if kind not in (Kind.CHARACTER, Kind.BLOCK):
        return 0, 0
    numbers = os.major(file.device), os.minor(file.device)
    if kind is Kind.CHARACTER and numbers == (0, 0):
        raise ArchiveError("a character device 0, 0 is what overlayfs marks deleted files with")
    return numbers


def _checked(piece: cpio.Piece, file: File, algorithm: str, where: str) -> Iterator[bytes]:
    digest = hashlib.new(algorithm, usedforsecurity=False) if algorithm and file.digest else None
    for chunk in piece.chunks():
        if digest is not None:
            digest.update(chunk)
        yield chunk
    if digest is not None and digest.hexdigest() != file.digest:
        what = (
            f"has the {algorithm} {digest.hexdigest()}, and {readable(file.digest)} in the header"
        )
        raise ArchiveError(what, where=where, mend=FETCH_AGAIN)


def _unpacked(fd: int, package: Rpm, named: str) -> BinaryIO:
    """The cpio archive. What names no compressor is packed with gzip or not at all."""
    size = os.fstat(fd).st_size - package.payload
    raw = cast(BinaryIO, Window(fd, package.payload, size))
    compressor = package.header.string(Tag.PAYLOAD_COMPRESSOR)
    form = package.header.string(Tag.PAYLOAD_FORMAT)
    if form not in ("", "cpio") or compressor not in ("", *_FORMATS):
        packing = f"{readable(form) or 'cpio'} packed with {readable(compressor) or 'nothing'}"
        what = f"its payload is {packing}"
        mend = "Build it again with rpmbuild, and gzip, xz or zstd."
        raise ArchiveError(what, where=named, mend=mend)
    format = _FORMATS.get(compressor)
    return open_reader(raw, name=f"{named}: payload", format=format)
