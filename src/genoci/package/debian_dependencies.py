"""What Debian packages depend on, and what of it nobody has (deb-control(5), Policy 7.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from genoci.errors import ArchiveError
from genoci.layer.entry import join
from genoci.layer.tree import Tree
from genoci.package import control, debian_version
from genoci.package.root_files import content, folder
from genoci.package.wording import readable

STATUS = b"var/lib/dpkg/status"
STATUS_FOLDER = b"var/lib/dpkg/status.d"
_MOST_STATUS = 64 << 20  # bytes; a desktop with everything has 5 MB
_MOST_PARAGRAPH = 1 << 20
_MOST_FILES = 10_000

_RELATION = re.compile(
    r"([^\s(:\[<]+)(?::([\w-]+))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?"
)
_HOLDS: dict[str, Callable[[int], bool]] = {
    "<<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    "<": lambda order: order <= 0,  # which is what it meant once
    "=": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">": lambda order: order >= 0,
    ">>": lambda order: order > 0,
}


class Relation(NamedTuple):
    """A package that is meant; `operator` is "" where any version will do."""

    name: str
    operator: str
    version: str


def relations(text: str) -> Iterator[tuple[str, tuple[Relation, ...]]]:
    """What has to be there, each as it is written and as the alternatives of which one will do."""
    for clause in " ".join(text.split()).split(","):
        clause = clause.strip()
        matches = [_RELATION.match(one.strip()) for one in clause.split("|")]
        found = tuple(Relation(m[1], m[3] or "", m[4] or "") for m in matches if m)
        if found:
            yield clause, found


class Packages:
    """Packages that are there: what they are called, and what they provide, with versions."""

    def __init__(self) -> None:
        self._versions: dict[str, set[str | None]] = {}
        self.names: dict[str, str] = {}

    def add(self, fields: Mapping[str, str]) -> None:
        name, version = fields["Package"], fields["Version"]
        self.names[name] = version
        self._versions.setdefault(name, set()).add(version)
        for _, (provided, *_others) in relations(fields["Provides"]):
            given = provided.version if provided.operator == "=" else None
            self._versions.setdefault(provided.name, set()).add(given)

    def have(self, wanted: Relation) -> bool:
        versions = self._versions.get(wanted.name, ())
        if not wanted.operator:
            return bool(versions)
        holds = _HOLDS[wanted.operator]
        return any(
            version is not None and holds(debian_version.compare(version, wanted.version))
            for version in versions
        )


def registered(tree: Tree) -> Packages:
    """The packages that dpkg's database of the root has as installed, and those of `status.d`."""
    found = Packages()
    for fields in _readable(content(tree, STATUS, _MOST_STATUS)):
        if fields["Status"].split()[-1:] == ["installed"]:
            found.add(fields)
    where, names = folder(tree, STATUS_FOLDER)
    for name in names[:_MOST_FILES]:
        if not name.endswith(b".md5sums"):
            raw = content(tree, join(where, name), _MOST_PARAGRAPH)
            for fields in _readable(raw):
                found.add(fields)
    return found


def _readable(raw: bytes) -> Iterator[control.Paragraph]:
    """Paragraphs up to the first that is none."""
    try:
        yield from control.paragraphs(control.text(raw), "")
    except ArchiveError:
        return


def unmet(batch: Iterable[Mapping[str, str]], there: Packages) -> list[str]:
    """What packages of the batch need and neither `there` nor the batch has, in words."""
    batch = list(batch)
    for fields in batch:
        there.add(fields)
    return [
        f"{fields['Package']} needs {readable(clause)}"
        for fields in batch
        for kind in ("Pre-Depends", "Depends")
        for clause, alternatives in relations(fields[kind])
        if not any(map(there.have, alternatives))
    ]
