"""Debian's control files: paragraphs of fields (deb822(5)), and what of them names a package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from genoci.errors import ArchiveError

_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
# What dpkg takes; each becomes a word of a file name, or of a line.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,199}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,254}")
_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class Paragraph(dict[str, str]):
    """Fields by name, whose case does not count; a value's lines are joined by newlines."""

    def __missing__(self, _: str) -> str:
        return ""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


class Identity(NamedTuple):
    name: str
    version: str
    architecture: str


def paragraphs(lines: Iterable[str], named: str) -> Iterator[Paragraph]:
    """The paragraphs of a control file. Raises ArchiveError for a line that belongs to none."""
    fields: dict[str, list[str]] = {}
    last: list[str] | None = None
    for number, line in enumerate(lines, 1):
        line = line.rstrip()
        if line.startswith("#"):
            continue
        if not line:
            if fields:
                yield Paragraph((name, "\n".join(value)) for name, value in fields.items())
            fields, last = {}, None
            continue
        if line[0] in " \t":
            if last is None:
                raise ArchiveError(f"line {number} continues no field", where=named)
            last.append(line.strip())
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            raise ArchiveError(f"line {number} is no field: {line[:60]!r}", where=named)
        name = match[1].lower()
        if name in fields:
            raise ArchiveError(f"line {number} gives the field {match[1]} again", where=named)
        last = fields[name] = [match[2]]
    if fields:
        yield Paragraph((name, "\n".join(value)) for name, value in fields.items())


def text(raw: bytes) -> list[str]:
    """The lines of a control file, whatever bytes are in it."""
    return raw.decode("utf-8", "replace").split("\n")


def identity(fields: Mapping[str, str], named: str) -> Identity:
    """Who the package is. Raises ArchiveError for what dpkg would not take."""
    found = []
    wanted = (("Package", _NAME), ("Version", _VERSION), ("Architecture", _ARCHITECTURE))
    for name, pattern in wanted:
        value = fields[name]
        if not value:
            raise ArchiveError(f"its control file has no {name}", where=named)
        if pattern.fullmatch(value) is None:
            raise ArchiveError(f"its {name} can't be {value[:80]!r}", where=named)
        found.append(value)
    return Identity(*found)
