"""What rpm packages require, and what of it nobody has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from genoci.errors import ArchiveError
from genoci.layer.tar import shown
from genoci.package.rpm_header import Header
from genoci.package.rpm_tags import Sense, Tag
from genoci.package.rpm_version import overlap
from genoci.package.wording import readable

Wanted = tuple[int, str]
"""How the version is compared (flags of Sense), and the version."""

# What a package may need of the rpm that unpacks it, as far as we do it.
_FEATURES = frozenset(
    [
        *("CompressedFileNames", "PayloadFilesHavePrefix", "FileDigests", "VersionedDependencies"),
        *("PayloadIsXz", "PayloadIsZstd", "PayloadIsLzma", "PayloadIsBzip2", "LargeFiles"),
        *("FileCaps", "ScriptletInterpreterArgs", "ScriptletExpansion", "BuiltinLuaScripts"),
        *("PartialHardlinkSets", "ConcurrentAccess", "ExplicitPackageProvide"),
        *("HeaderLoadSortsTags", "RichDependencies", "TildeInVersions", "CaretInVersions"),
        *("HeaderTranslatedNames", "TransFileTriggers", "FileTriggers", "VersionedFileTriggers"),
    ]
)


class Provided:
    """What is there, by name. `has_file` knows the files that no header lists."""

    def __init__(self, has_file: Callable[[bytes], bool]) -> None:
        self._names: dict[bytes, list[Wanted]] = {}
        self._has_file = has_file

    def add(self, header: Header, paths: Iterable[bytes]) -> None:
        """A package: what it says it provides, and its files (clean paths)."""
        for name, wanted in _rows(
            header, Tag.PROVIDE_NAMES, Tag.PROVIDE_FLAGS, Tag.PROVIDE_VERSIONS
        ):
            self._names.setdefault(name, []).append(wanted)
        for path in paths:
            self._names.setdefault(b"/" + path, []).append((0, ""))

    def have(self, name: bytes, wanted: Wanted) -> bool:
        if any(overlap(given, wanted) for given in self._names.get(name, ())):
            return True
        return name.startswith(b"/") and self._has_file(name)


def unmet(batch: Iterable[tuple[str, Header]], there: Provided) -> Iterator[str]:
    """What the packages (each with its name) need and is not there, in words.

    What is said in rich dependencies, `(a or b)`, is not looked at, nor what only scripts need:
    none runs.
    """
    told: set[str] = set()
    for package, header in batch:
        for name, wanted in _required(header):
            if wanted[0] & (Sense.RPMLIB | Sense.SCRIPTS) or name.startswith((b"(", b"rpmlib(")):
                continue
            words = f"{package} needs {_in_words(name, wanted)}"
            if words not in told and not there.have(name, wanted):
                told.add(words)
                yield words


def check_features(header: Header, named: str) -> None:
    """Raise ArchiveError if unpacking the package takes more than we know."""
    for name, (_, _version) in _required(header):
        if name.startswith(b"rpmlib(") and name.endswith(b")"):
            feature = name[7:-1].decode("utf-8", "replace")
            if feature not in _FEATURES:
                raise ArchiveError(
                    f"needs an rpm that knows '{readable(feature)}', which this program does not",
                    where=named,
                    mend="Install it where a package manager is.",
                )


def _required(header: Header) -> Iterator[tuple[bytes, Wanted]]:
    return _rows(header, Tag.REQUIRE_NAMES, Tag.REQUIRE_FLAGS, Tag.REQUIRE_VERSIONS)


def _rows(header: Header, names: Tag, flags: Tag, versions: Tag) -> Iterator[tuple[bytes, Wanted]]:
    found = header.strings(names)
    for name, flag, version in zip_longest(
        found, header.numbers(flags)[: len(found)], header.strings(versions)[: len(found)]
    ):
        yield name, (flag or 0, (version or b"").decode("utf-8", "replace"))


def _in_words(name: bytes, wanted: Wanted) -> str:
    flags, version = wanted
    signs = ((Sense.LESS, "<"), (Sense.GREATER, ">"), (Sense.EQUAL, "="))
    sign = "".join(text for flag, text in signs if flags & flag)
    text = shown(name)
    return f"{text} {sign} {readable(version)}" if sign and version else text
