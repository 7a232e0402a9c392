"""What apt-get says, read in the C locale."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from genoci.spec.pinned import Pinned

# --print-uris: the address, the file's name in the cache, its size, and its digest if known.
_PLANNED = re.compile(r"^'([^']+)' ([^ /]+\.deb) (\d+) (?:SHA256:([0-9a-f]{64}))?$")
_UNPACKING = re.compile(r"^Unpacking (\S+) \((\S+)\)")
_UNMET = re.compile(r"^The following packages have unmet dependencies:$")
_HEADS = ("E: ", "W: ", "Err:", "N: ")
_GONE = re.compile(r"\b404\b|File not found|has changed since|Hash Sum mismatch|unexpected size")
_UNREACHED = re.compile(r"^[EW]: (Failed to fetch|Some index files failed)", re.MULTILINE)


class Planned(NamedTuple):
    """A package that apt-get would fetch: from `source`, as `file` in its cache."""

    source: str
    file: str
    size: int
    sha256: str
    name: str
    version: str
    architecture: str

    def pinned(self) -> Pinned:
        return Pinned(
            manager="deb",
            name=self.name,
            version=self.version,
            architecture=self.architecture,
            sha256=self.sha256,
            source=self.source,
        )


def planned(output: str) -> list[Planned]:
    """What `apt-get install --print-uris` would fetch, but for files that are there."""
    found = []
    for line in output.splitlines():
        match = _PLANNED.match(line)
        parts = match[2].removesuffix(".deb").split("_") if match else []
        if match is None or len(parts) != 3 or match[4] is None:
            continue
        name, version, architecture = (unquote(part) for part in parts)
        found.append(
            Planned(match[1], match[2], int(match[3]), match[4], name, version, architecture)
        )
    return found


def in_order(plan: Iterable[Planned], output: str) -> list[Planned]:
    """The plan in the order in which `output` tells of their unpacking."""
    turns: dict[str, int] = {}
    for number, line in enumerate(output.splitlines()):
        match = _UNPACKING.match(line)
        if match is not None:
            turns.setdefault(match[1], number)
            turns.setdefault(match[1].partition(":")[0], number)

    def turn(one: Planned) -> int:
        named = f"{one.name}:{one.architecture}"
        return turns.get(named, turns.get(one.name, len(output)))

    return sorted(plan, key=turn)


def complaints(output: str) -> list[str]:
    """The lines in which apt-get says what is wrong, each once, without its marks."""
    found: dict[str, None] = {}
    unmet = False
    for line in output.splitlines():
        if _UNMET.match(line):
            unmet = True
        elif unmet and line.startswith(" "):
            found[" ".join(line.split())] = None
        elif line.startswith("E: "):
            unmet = False
            found[line.removeprefix("E: ")] = None
        else:
            unmet = False
    return list(found)


def is_outdated(output: str) -> bool:
    """Whether a package was not where the lists say, or not what they say."""
    lines = [line for line in output.splitlines() if line.startswith(_HEADS)]
    return any(_GONE.search(line) for line in lines)


def unreached(output: str) -> bool:
    """Whether some list could not be fetched; older versions end with status 0 then."""
    return _UNREACHED.search(output) is not None


def offered(output: str) -> dict[tuple[str, str, str], str]:
    """The packages of `apt-cache show`: the digest, by name, version and architecture."""
    found = {}
    for stanza in output.split("\n\n"):
        fields = dict(
            (key, value.strip())
            for key, colon, value in (line.partition(":") for line in stanza.splitlines())
            if colon and not key.startswith(" ")
        )
        if {"Package", "Version", "Architecture", "SHA256"} <= fields.keys():
            key = (fields["Package"], fields["Version"], fields["Architecture"])
            found[key] = fields["SHA256"]
    return found
