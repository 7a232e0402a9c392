"""Local .deb files, installed by the root's own dpkg, without network."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from genoci.build.install import dpkg_words as words
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.errors import ArchiveError, StepFailed
from genoci.package.archive import Archive
from genoci.spec.pinned import Pinned

# Where the files of a batch are seen in the root, while it is installed.
FILES = "/run/genoci"

# Nobody answers questions, and a file of the base that was changed there stays. The layer is
# synced when it is whole, not file by file.
OPTIONS = ("--force-confdef", "--force-confold", "--force-unsafe-io", "--abort-after=1000000")
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "UCF_FORCE_CONFFOLD": "1",
}

# What invoke-rc.d and deb-systemd-invoke ask before they start a service: 101 is "forbidden".
NO_SERVICES = {"/usr/sbin/policy-rc.d": b"#!/bin/sh\nexit 101\n"}
_CHUNK = 1 << 20


class Dpkg:
    family = "deb"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        """Nothing comes from anywhere else, so nothing is returned."""
        files = brought(batch.archives, place)
        waiting = [f"{FILES}/{name}" for name in files]
        while True:
            unpacked = run_dpkg(place, "--unpack", *waiting)
            early = words.too_early(unpacked.output)
            configured = run_dpkg(place, "--configure", "--pending")
            said = Ended(
                unpacked.status or configured.status,
                (*unpacked.tail, *configured.tail),
                unpacked.output + configured.output,
            )
            again = 0 < len(early) < len(waiting) and not words.mistakes(said.output)
            if not again:
                break
            waiting = early
        if said.status != 0:
            raise failure(said, batch, files, place)
        return ()


def brought(archives: Sequence[Archive], place: Workplace) -> dict[str, Archive]:
    """Copies of the package files in the step's folder, by name; compared with what was checked.

    Copies, because the root's programs can write to what they see.
    """
    folder = place.folder / "files"
    folder.mkdir()
    found = {}
    for number, archive in enumerate(archives):
        plain = re.sub(r"[^A-Za-z0-9.+-]", "_", archive.name)[:80]
        name = f"{number}_{plain}.deb"
        copy_checked(archive.path.resolve(), folder / name, archive.sha256, archive.named)
        found[name] = archive
    return found


def copy_checked(source: Path, target: Path, sha256: str, named: str) -> None:
    """A copy of a file with this digest; raises ArchiveError if it has another one."""
    # No link is followed: `source` may lie where programs of a root could put anything.
    fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    digest = hashlib.sha256()
    with open(fd, "rb") as stream, target.open("xb") as copy:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != sha256:
        raise ArchiveError("has changed since it was looked at", where=named, mend="Build again.")


def run_dpkg(place: Workplace, *arguments: str) -> Ended:
    return place.run(
        "dpkg",
        *OPTIONS,
        *arguments,
        shown={FILES: place.folder / "files"},
        overlaid=NO_SERVICES,
        env=ENVIRONMENT,
    )


def failure(
    said: Ended, batch: Batch, files: Mapping[str, Archive], place: Workplace
) -> StepFailed:
    """What dpkg's words mean: unmet dependencies all at once, else what it could not do."""
    brought_names = {archive.name for archive in batch.archives}
    unmet = words.unmet(said.output, brought_names)
    if unmet:
        return StepFailed(
            "dependencies are not met: "
            + "; ".join(f"{one.package} needs {one.needs} ({one.why})" for one in unmet),
            status=said.status,
            where=place.where,
            mend="Add the files of the packages that are needed; or write  deps: repo  at a file "
            "for the image's apt-get to fetch them.",
        )
    named = {f"{FILES}/{name}": archive.named for name, archive in files.items()}
    wrong = [
        f"{named.get(one.package, one.package)}: {one.reason}"
        for one in words.mistakes(said.output)
    ]
    return StepFailed(
        "; ".join(wrong) or f"the package manager ended with exit status {said.status}",
        status=said.status,
        tail=said.tail,
        where=place.where,
        mend="To look around in what it left:  genoci shell --failed",
    )
