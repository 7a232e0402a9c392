"""What the header blocks of one member mean: its Entry, and how much data follow."""

from __future__ import annotations

from collections.abc import Mapping

from genoci.layer import pax
from genoci.layer.entry import Entry, Kind
from genoci.layer.tar_header import Header, Malformed, user_id

_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
    b"D": Kind.DIRECTORY,
}
_FILE, _DIRECTORY, _HARDLINK, _SYMLINK = Kind.FILE, Kind.DIRECTORY, Kind.HARDLINK, Kind.SYMLINK
_CHARACTER, _BLOCK = Kind.CHARACTER, Kind.BLOCK
_REFUSED = {
    b"M": "the rest of a file that began in another volume",
    b"N": "a list of long names as GNU tar wrote it before 1990",
    b"A": "an ACL as Solaris writes it",
    b"E": "an ACL as Solaris writes it",
    b"I": "an inode without its content",
}
_FILE_TYPE, _SOCKET = 0o170000, 0o140000
_LARGEST_MAJOR, _LARGEST_MINOR = (1 << 12) - 1, (1 << 20) - 1  # of Linux


def clean(name: bytes) -> bytes:
    """The path that an archive's `name` means: `./a`, `/a`, `a//b`, `x/../a` mean what a path
    below the root means, and nothing leads out of it; the root itself is b""."""
    if name[:2] == b"./":
        name = name[2:]
    name = name.rstrip(b"/")
    if b"//" not in name and b"/." not in name and name[:1] not in (b"/", b"."):
        return name
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def raw_name(header: Header, found: Mapping[bytes, bytes]) -> bytes:
    """The name as the archive writes it."""
    name = found.get(b"GNU.sparse.name") or found.get(b"path") or header.name
    return pax.text(name, "name")


def stored(header: Header, found: Mapping[bytes, bytes]) -> int:
    """The bytes of data that the header claims, of whatever type."""
    size = found.get(b"size")
    return pax.whole_number(size, "size") if size else header.size


def kind(header: Header, name: bytes, found: Mapping[bytes, bytes]) -> Kind:
    """Raises Malformed for the types that tell of something that is not here."""
    if header.type in _REFUSED:
        raise Malformed(f"the type {header.type.decode()} is {_REFUSED[header.type]}")
    kind = _KINDS.get(header.type, _FILE)
    if kind is not _FILE:
        return kind
    if name[-1:] == b"/":
        return _DIRECTORY  # as before POSIX
    if header.mode & _FILE_TYPE == _SOCKET or found.get(b"SCHILY.filetype") == b"socket":
        return Kind.SOCKET
    return kind


def entry(
    header: Header, name: bytes, kind: Kind, size: int, found: Mapping[bytes, bytes]
) -> Entry:
    """`size` is the file's, holes included; `found` the records that hold for this member."""
    path = clean(name)
    mtime = found.get(b"mtime")
    link, device = b"", (0, 0)
    if kind is _SYMLINK or kind is _HARDLINK:
        link = _link(header, kind, found)
    elif kind is _CHARACTER or kind is _BLOCK:
        device = _device(header, kind, found)
    if not name:
        raise Malformed("an entry has no name")
    return Entry(
        path=path,
        kind=kind,
        mode=0o777 if kind is _SYMLINK else header.mode & 0o7777,  # Linux knows no other
        uid=_identity(found.get(b"uid"), header.uid, "uid"),
        gid=_identity(found.get(b"gid"), header.gid, "gid"),
        mtime=pax.nanoseconds(mtime) if mtime else pax.within(header.mtime * 10**9),
        size=size if kind is _FILE else 0,
        link=link,
        device=device,
        xattrs=pax.xattrs(found) if found else (),
    )


def _identity(value: bytes | None, otherwise: int, meaning: str) -> int:
    return user_id(pax.whole_number(value, meaning)) if value else otherwise


def _link(header: Header, kind: Kind, found: Mapping[bytes, bytes]) -> bytes:
    link = pax.text(found.get(b"linkpath") or header.link, "link's target")
    if not link:
        raise Malformed("a link leads nowhere")
    return link if kind is _SYMLINK else clean(link)


def _device(header: Header, kind: Kind, found: Mapping[bytes, bytes]) -> tuple[int, int]:
    major, minor = header.device()
    if value := found.get(b"SCHILY.devmajor"):
        major = pax.whole_number(value, "device")
    if value := found.get(b"SCHILY.devminor"):
        minor = pax.whole_number(value, "device")
    if major > _LARGEST_MAJOR or minor > _LARGEST_MINOR:
        raise Malformed(f"no device can have the numbers {major}, {minor}")
    if kind is _CHARACTER and (major, minor) == (0, 0):
        raise Malformed("a character device 0, 0 is what overlayfs marks deleted files with")
    return major, minor
