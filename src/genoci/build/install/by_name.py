"""What dnf and zypper have in common: packages found by name, downloaded, and then installed.

Two runs: what is downloaded is looked at before anything of it is installed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from genoci.build.install import rpmdb
from genoci.build.install.downloads import Download, downloads, remove_others
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.build.install.rpm import Files, refuse_failure
from genoci.build.install.rpmdb import Row
from genoci.errors import BuildError, StepFailed
from genoci.spec.pinned import Pinned

# One after the other: rpm would tell a list of files without saying which header is whose.
_HEADERS = """\
for file; do
    printf 'genoci\\t%s\\t' "$file"
    rpm -qp --qf '%{SHA1HEADER}\\n' "$file" 2>/dev/null || echo
done
"""
# In the words of dnf, dnf5, zypper, microdnf.
_UNKNOWN = re.compile(
    r"(?:Unable to find a match: |No match for argument: "
    r"|No provider of '|No package matches ')([^'\n]+)"
)
_MOST_FILES = 500  # in one command: their paths are its arguments
AGAIN = "`genoci lock FILE` writes a new lock file, with what there is now."


class Repositories(Protocol):
    """A program of the root that knows repositories, for one step.

    If there are pins, `download` and `install` take no other packages than these.
    """

    @property
    def name(self) -> str: ...

    @property
    def shown(self) -> str:
        """Where in the root the cache of the workplace is seen."""

    @property
    def takes_files(self) -> bool:
        """Whether it installs files of the user's together with what they need."""

    def offered(self, pins: Sequence[Pinned]) -> Collection[tuple[str, str, str]]:
        """Name, version and architecture of those that the repositories have."""

    def download(self, wanted: Sequence[str], files: Files) -> Ended:
        """Fetch them and what they need into the cache; by network."""

    def install(self, wanted: Sequence[str], files: Files) -> Ended:
        """Install the same, from the cache."""

    def sources(self, found: Sequence[Download]) -> dict[Download, str]:
        """The addresses that they were fetched from, as far as they are known."""


def install_batch(batch: Batch, place: Workplace, repositories: Repositories) -> tuple[Pinned, ...]:
    """Install names and files; what came from repositories, in the order of installation."""
    files = Files.laid_out(batch.archives, place)
    if files.paths and batch.deps_from_repo and repositories.takes_files:
        return _install(batch.names, files, batch, place, repositories)
    # What is named may need the files, or they what is named.
    needs = files.unmet() if files.paths else ()
    if files.paths and not needs:
        files.install()
    names = batch.names
    if batch.deps_from_repo:
        names = (*names, *(need.what for need in needs))
    none = Files(place, place.folder, ())
    pinned = _install(names, none, batch, place, repositories) if names else ()
    if needs:
        files.install()
    return pinned


def refuse_unknown(ended: Ended, where: str) -> None:
    """Raise BuildError, with all names, if nobody has a package that was named."""
    if ended.status == 0:
        return
    said = (found[1].split() for found in _UNKNOWN.finditer(ended.output))
    unknown = list(dict.fromkeys(name for names in said for name in names))
    if unknown:
        raise StepFailed(
            f"no repository of the image has {', '.join(unknown)}",
            status=ended.status,
            tail=ended.tail,
            where=where,
            mend="Is it a package's name, and was every repository reached? They are those of the "
            "image: an earlier step can add one.",
        )


def _install(
    names: Sequence[str], files: Files, batch: Batch, place: Workplace, repositories: Repositories
) -> tuple[Pinned, ...]:
    before = set(rpmdb.rows(place))
    wanted = (*names, *files.paths)
    if batch.pins is not None:
        missing = _missing(batch.pins, before)
        _refuse_gone(missing, repositories, place)
        remove_others(place.cache, ".rpm", {pin.sha256 for pin in batch.pins})
    downloaded = repositories.download(wanted, files)
    refuse_unknown(downloaded, place.where)
    if downloaded.status != 0 and batch.pins is not None:
        raise StepFailed(
            f"{repositories.name} can't install exactly what the lock file names",
            status=downloaded.status,
            tail=downloaded.tail,
            where=place.where,
            mend=f"Has the base changed since, or the list of packages? {AGAIN}",
        )
    refuse_failure(downloaded, repositories.name, place.where)
    found = downloads(place.cache, ".rpm")
    if batch.pins is not None:
        _refuse_others(found, batch.pins, place.where)
    headers = _headers(place, repositories.shown, found)
    refuse_failure(repositories.install(wanted, files), repositories.name, place.where)
    new = [row for row in rpmdb.rows(place) if row not in before]
    given = {(one.name, one.version, one.architecture) for one in batch.archives}
    fetched = [row for row in new if _key(row) not in given]
    return _pinned(fetched, headers, batch, place, repositories)


def _key(package: Row | Pinned) -> tuple[str, str, str]:
    return package.name, package.version, package.architecture


def _missing(pins: Iterable[Pinned], rows: Iterable[Row]) -> list[Pinned]:
    """Those that are not installed yet."""
    installed = {_key(row) for row in rows}
    return [pin for pin in pins if _key(pin) not in installed]


def _refuse_gone(missing: Sequence[Pinned], repositories: Repositories, place: Workplace) -> None:
    offered = repositories.offered(missing) if missing else ()
    gone = [pin for pin in missing if _key(pin) not in offered]
    if gone:
        raise BuildError(
            "the repositories no longer have what the lock file names: "
            + ", ".join(f"{pin.name} {pin.version} ({pin.architecture})" for pin in gone),
            where=place.where,
            mend=AGAIN,
        )


def _refuse_others(found: Sequence[Download], pins: Sequence[Pinned], where: str) -> None:
    """What was downloaded is the very files of the lock file, or nothing is installed."""
    digests = {pin.sha256 for pin in pins}
    others = [one for one in found if one.sha256 not in digests]
    if others:
        raise BuildError(
            "not the files that the lock file names: "
            + ", ".join(f"{one.name} (sha256 {one.sha256})" for one in others),
            where=where,
            mend="Were they built again under the same version, or does the file need more "
            f"packages than it did? If that is right: {AGAIN}",
        )


def _headers(place: Workplace, shown: str, found: Sequence[Download]) -> dict[str, Download]:
    """The files by the SHA-1 of their headers, as the database has it."""
    by_path = {f"{shown}/{one.path}": one for one in found}
    paths = list(by_path)
    headers = {}
    for start in range(0, len(paths), _MOST_FILES):
        some = paths[start : start + _MOST_FILES]
        ended = place.run(
            *("sh", "-c", _HEADERS, "sh", *some), shown={shown: place.cache}, quiet=True
        )
        for line in ended.output.splitlines():
            _, path, header = (*line.split("\t"), "", "", "")[:3]
            if path in by_path and header:
                headers[header] = by_path[path]
    return headers


def _pinned(
    rows: Sequence[Row],
    headers: dict[str, Download],
    batch: Batch,
    place: Workplace,
    repositories: Repositories,
) -> tuple[Pinned, ...]:
    unknown = [f"{row.name}-{row.version}" for row in rows if row.header not in headers]
    if unknown:
        place.warn(
            f"what was installed can't be locked: no downloaded file of {', '.join(unknown)}",
            "Is its repository a folder of the image? Serve it by http, or name the file.",
        )
    known = [row for row in rows if row.header in headers]
    sources = repositories.sources([headers[row.header] for row in known])
    return tuple(
        Pinned(
            manager="rpm",
            name=row.name,
            version=row.version,
            architecture=row.architecture,
            sha256=headers[row.header].sha256,
            source=sources.get(headers[row.header], headers[row.header].name),
        )
        for row in known
    )
