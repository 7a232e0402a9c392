"""A package file, recognised by its content."""

from __future__ import annotations

from pathlib import Path

import msgspec


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
    raise NotImplementedError
