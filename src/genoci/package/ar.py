"""The members of an `ar` archive, as far as a Debian package is one (deb(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from genoci.errors import ArchiveError

MAGIC = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"
FETCH_AGAIN = "Fetch it again, and compare its size and checksum."


class Part(NamedTuple):
    """A member: its name as written, without padding, and where its content lies, in bytes."""

    name: bytes
    offset: int
    size: int


def parts(fd: int, named: str) -> Iterator[Part]:
    """The members in order. Raises ArchiveError for what is cut off or no archive.

    Long names are written in ways that differ between systems; a package has none, and they are
    given as they stand.
    """
    total = os.fstat(fd).st_size
    at = len(MAGIC)
    if os.pread(fd, at, 0) != MAGIC:
        raise ArchiveError("is no ar archive", where=named)
    while at < total:
        header = os.pread(fd, _HEADER, at)
        if len(header) < _HEADER:
            raise _cut_off(named, at)
        size = header[48:58].rstrip(b" ")
        if header[58:] != _END or not size.isdigit():
            what = f"the ar archive is damaged at its byte {at}: there is no header"
            raise ArchiveError(what, where=named, mend=FETCH_AGAIN)
        part = Part(header[:16].rstrip(b" ").removesuffix(b"/"), at + _HEADER, int(size))
        at = part.offset + part.size
        if at > total:
            raise _cut_off(named, part.offset)
        yield part
        at += at % 2  # the padding, which may be missing at the very end


def _cut_off(named: str, at: int) -> ArchiveError:
    what = f"the package is cut off in the member at its byte {at}"
    return ArchiveError(what, where=named, mend=FETCH_AGAIN)
