"""A Debian package into a root without dpkg: its files, and its entry in `status.d`.

The entry is what distroless images have and scanners read: `var/lib/dpkg/status.d/NAME`, the
control paragraph, and `NAME.md5sums` beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from genoci.layer import tar
from genoci.layer.entry import Entry, Kind, join
from genoci.layer.member import Placeable, Sourced
from genoci.package import deb
from genoci.package.archive import Archive, reopened
from genoci.package.debian_dependencies import STATUS_FOLDER
from genoci.package.placed import made
from genoci.package.standing import Standing, Warn


class Hashed(NamedTuple):
    """A member whose content tells its md5 as it passes."""

    member: tar.Member
    sums: dict[bytes, str]

    @property
    def entry(self) -> Entry:
        return self.member.entry

    @property
    def segments(self) -> None:
        return None

    def chunks(self) -> Iterator[bytes]:
        found = hashlib.md5(usedforsecurity=False)
        for chunk in self.member.chunks():
            found.update(chunk)
            yield chunk
        self.sums[self.member.entry.path] = found.hexdigest()

    def runs(self) -> Iterator[tuple[int, bytes]]:
        return Sourced(self.entry, self.chunks).runs()


def members(
    archive: Archive, package: deb.Deb, standing: Standing, warn: Warn
) -> Iterator[Placeable]:
    """The files, then the entry. As with dpkg, a directory that is there stays as it is, and so
    does a configuration file that somebody put there before."""
    sums: dict[bytes, str] = {}
    conffiles = package.conffiles
    with reopened(archive) as fd:
        for member in deb.members(fd, package, archive.named):
            entry = member.entry
            if entry.kind is Kind.DIRECTORY and standing.is_directory(entry.path):
                continue
            if entry.path in conffiles and standing.is_foreign(entry.path):
                warn(f"/{tar.shown(entry.path)} was there before {archive.name}, and stays")
                continue
            if entry.kind is Kind.HARDLINK and entry.link in sums:
                sums[entry.path] = sums[entry.link]
            standing.place(entry, archive.name, warn)
            yield Hashed(member, sums)
    yield from _entry(package, sums)


def _entry(package: deb.Deb, sums: dict[bytes, str]) -> Iterator[Placeable]:
    listed = package.files.get("md5sums")
    if listed is None:
        kept = ((path, sum) for path, sum in sums.items() if path not in package.conffiles)
        listed = b"".join(b"%b  %b\n" % (sum.encode(), path) for path, sum in sorted(kept))
    name = package.identity.name.encode()
    yield made(join(STATUS_FOLDER, name), package.paragraph.rstrip(b"\n") + b"\n", package.time)
    yield made(join(STATUS_FOLDER, name + b".md5sums"), listed, package.time)
