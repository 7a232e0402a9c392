"""Debian's binary packages (deb(5)): the control archive as values, the data as members."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple, cast

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.decoders import FORMATS, LZMA
from genoci.layer.decompress import open_reader
from genoci.layer.entry import Kind
from genoci.layer.member import refuse_too_long, refuse_whiteout
from genoci.package import ar, control
from genoci.package.ar import FETCH_AGAIN, Part
from genoci.package.script import Script
from genoci.package.window import Bounded, Window

_MOST_CONTROL = 16 << 20  # bytes of a control archive, unpacked; the largest of Debian has 4
_FORMATS = {format.name: format for format in (*FORMATS, LZMA)}
_CONTROL = {b"control.tar": None, b".gz": "gzip", b".xz": "xz", b".zst": "zstd"}
_DATA = {b"data.tar": None, b".bz2": "bzip2", b".lzma": "lzma"}
_DATA |= {ending: name for ending, name in _CONTROL.items() if ending.startswith(b".")}


class Deb(NamedTuple):
    """What a package says of itself.

    `paragraph` is the control file as it stands, `fields` the same as values. `files` are the
    other files of the control archive by name. `time` is the control file's, in nanoseconds.
    `conffiles` are clean paths. `data` is where the data archive lies.
    """

    identity: control.Identity
    paragraph: bytes
    fields: Mapping[str, str]
    files: Mapping[str, bytes]
    time: int
    data: Part

    @property
    def conffiles(self) -> frozenset[bytes]:
        lines = self.files.get("conffiles", b"").splitlines()
        names = (line.strip().removeprefix(b"remove-on-upgrade ") for line in lines)
        return frozenset(tar.clean(name) for name in names if name)

    def scripts(self) -> Iterator[Script]:
        """Those that an installation runs; the others are for a removal."""
        for name in ("preinst", "postinst"):
            text = self.files.get(name, b"").decode("utf-8", "replace")
            if text:
                first, _, _ = text.partition("\n")
                interpreter = first[2:].strip() if first.startswith("#!") else "/bin/sh"
                yield Script(self.identity.name, name, interpreter, text)


def read(fd: int, named: str) -> Deb:
    """Raises ArchiveError for what is no package, cut off or damaged; data are not unpacked."""
    control_part, data_part = _parts(fd, named)
    _unpacked(fd, data_part, _DATA, named).close()  # what it is packed with
    files: dict[str, bytes] = {}
    time = 0
    with _unpacked(fd, control_part, _CONTROL, named) as stream:
        bounded = cast(BinaryIO, Bounded(stream, _MOST_CONTROL, _too_long(named)))
        for member in tar.read(bounded, name=f"{named}: control archive"):
            entry = member.entry
            if entry.kind is not Kind.FILE:
                continue
            name = entry.path.decode("utf-8", "replace")
            if name in files:
                raise ArchiveError(f"its control archive has {name!r} twice", where=named)
            if entry.size > _MOST_CONTROL:  # one that is all holes
                raise _too_long(named)()
            files[name] = b"".join(member.chunks())
            time = entry.mtime if name == "control" else time
    raw = files.pop("control", None)
    if raw is None:
        raise ArchiveError("its control archive has no control file", where=named)
    found = list(control.paragraphs(control.text(raw), f"{named}: control"))
    if len(found) != 1:
        raise ArchiveError(f"its control file has {len(found)} paragraphs, not one", where=named)
    identity = control.identity(found[0], named)
    return Deb(identity, raw, found[0], files, time, data_part)


def members(fd: int, deb: Deb, named: str) -> Iterator[tar.Member]:
    """What the package brings, in its order; contents pass once.

    Raises ArchiveError, naming the member, for what no package may bring.
    """
    with _unpacked(fd, deb.data, _DATA, named) as stream:
        for member in tar.read(stream, name=named):
            try:
                refuse_whiteout(member.entry)
                refuse_too_long(member.entry)
                if member.segments is not None:
                    raise ArchiveError("is a sparse file, which dpkg does not unpack either")
            except ArchiveError as error:
                error.where = f"{named}: {tar.shown(member.entry.path)}"
                raise
            yield member


def _parts(fd: int, named: str) -> tuple[Part, Part]:
    """Where the control and the data archive lie."""
    found: list[Part] = []
    wanted: list[Callable[[bytes], bool]] = [
        lambda name: name == b"debian-binary",
        lambda name: name.startswith(b"control.tar"),
        lambda name: name.startswith(b"data.tar"),
    ]
    for part in ar.parts(fd, named):  # to the end, since any of it may be cut off
        if len(found) < len(wanted) and not (found and part.name.startswith(b"_")):
            if not wanted[len(found)](part.name):
                what = f"is no Debian package: its member {len(found) + 1} is {part.name!r}"
                raise ArchiveError(what, where=named, mend="Look at where it was made.")
            found.append(part)
    if len(found) < len(wanted):
        names = ("debian-binary", "control.tar", "data.tar")
        what = f"the package is cut off: it has no {names[len(found)]}"
        raise ArchiveError(what, where=named, mend=FETCH_AGAIN)
    version = os.pread(fd, min(found[0].size, 16), found[0].offset)
    if not version.startswith(b"2.") or b"\n" not in version:
        raise ArchiveError(
            f"is a Debian package of the format {version[:8]!r}, and only 2.x is known",
            where=named,
            mend="Build it again with a dpkg-deb of this century.",
        )
    return found[1], found[2]


def _unpacked(fd: int, part: Part, formats: Mapping[bytes, str | None], named: str) -> BinaryIO:
    """The tar in a member of the package; raises ArchiveError for a compression not in deb(5)."""
    ending = part.name[part.name.find(b".tar") + 4 :] or part.name
    if ending not in formats:
        what = f"its member {part.name!r} is compressed in a way that no package is"
        raise ArchiveError(what, where=named, mend="Build it again with dpkg-deb.")
    raw = cast(BinaryIO, Window(fd, part.offset, part.size))
    name = formats[ending]
    if name is None:
        return raw
    return open_reader(raw, name=f"{named}: {part.name.decode()}", format=_FORMATS[name])


def _too_long(named: str) -> Callable[[], ArchiveError]:
    return lambda: ArchiveError(
        f"its control archive unpacks to more than {_MOST_CONTROL >> 20} MiB",
        where=named,
        mend="No package needs that much. Look at where it came from.",
    )
