"""A package file, recognised by its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from genoci.errors import ArchiveError, BuildError

_RPM = b"\xed\xab\xee\xdb"
_DEB = b"!<arch>\n"


class Archive(msgspec.Struct, frozen=True):
    """A package file of the host that is what it says, as far as can be told without unpacking.

    `family` is "deb" or "rpm"; `version` and `architecture` are written as the family writes them;
    `sha256` (hexadecimal) is that of the file at `path`; `named` is what the user called it.
    """

    path: Path
    named: str
    family: str
    name: str
    version: str
    architecture: str
    sha256: str
    size: int


def recognise(path: Path, named: str, *, sha256: str | None = None) -> Archive:
    """The package that the file at `path` is, whatever its name, and whole.

    Every checksum that the file itself carries is compared. An expected `sha256` is compared
    before anything is parsed. `named` is what errors call it. Raises ArchiveError for what is no
    package, cut off, damaged or not the expected one; BuildError for what can't be read.
    """
    with _opened(path, named) as fd:
        found = _sha256(fd)
        if sha256 is not None and found != sha256:
            raise ArchiveError(
                f"has the sha256 {found}, not {sha256}",
                where=named,
                mend="If the new content is the wanted one, put its sha256 into the YAML file.",
            )
        family, name, version, architecture = _identity(fd, named)
        size = os.fstat(fd).st_size
    return Archive(path, named, family, name, version, architecture, found, size)


@contextmanager
def reopened(archive: Archive) -> Iterator[int]:
    """A descriptor of the package's file, which is still the one that was recognised.

    Raises ArchiveError if it is not.
    """
    with _opened(archive.path, archive.named) as fd:
        if _sha256(fd) != archive.sha256:
            raise ArchiveError(
                "changed while it was used",
                where=archive.named,
                mend="Build again when nothing writes to it.",
            )
        yield fd


def _identity(fd: int, named: str) -> tuple[str, str, str, str]:
    head = os.pread(fd, len(_DEB), 0)
    if head == _DEB:
        from genoci.package import deb

        return "deb", *deb.read(fd, named).identity
    if head.startswith(_RPM):
        from genoci.package import rpm

        package = rpm.read(fd, named)
        rpm.verify(fd, package, named)
        return "rpm", *package.identity
    raise ArchiveError(
        "is neither a .deb nor an .rpm package" if head else "is empty",
        where=named,
        mend="Look at what it is with `file`. A download may be a page that says why it failed.",
    )


@contextmanager
def _opened(path: Path, named: str) -> Iterator[int]:
    mend = "Name a package file that you may read."
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        what = f"can't be read: {error.strerror}"
        raise BuildError(what, where=named, mend=mend) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BuildError("is not a file", where=named, mend=mend)
        yield fd
    finally:
        os.close(fd)


def _sha256(fd: int) -> str:
    with open(fd, "rb", buffering=0, closefd=False) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
