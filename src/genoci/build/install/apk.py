"""Packages by name with apk, of Alpine Linux and its kin.

Written from apk's manual pages, and tried with a stand-in only: no real apk was at hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from genoci.build.install.downloads import Download, downloads
from genoci.build.install.dpkg import FILES
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.errors import BuildError, StepFailed
from genoci.layer.resolve import resolve
from genoci.layer.tree import LiveTree
from genoci.spec.pinned import Pinned

_CACHE = "/etc/apk/cache"  # apk-cache(5): if there is such a directory, it holds all downloads
_DATABASES = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_MOST = 256 << 20  # bytes of a database that is read
_LOCKED = ".genoci-locked"  # a package without files, which needs exact versions for a while
_UNKNOWN = re.compile(r"^\s+(\S+) \(no such package\)", re.MULTILINE)
_AGAIN = "`genoci lock FILE` writes a new lock file, with what there is now."


class Installed(NamedTuple):
    name: str
    version: str
    architecture: str

    @property
    def file(self) -> str:
        """Its file in a repository."""
        return f"{self.name}-{self.version}.apk"


class Apk:
    """`apk add`. Signatures are checked as the root is set up."""

    family = "apk"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        before = set(_installed(place))
        if batch.pins is None:
            _refuse_failure(_apk(place, "add", "--update-cache", *batch.names), place.where)
        else:
            _add_locked(batch.names, batch.pins, place)
        new = [package for package in _installed(place) if package not in before]
        fetched = _pinned(new, place)
        if batch.pins is not None:
            _refuse_others(fetched, batch.pins, place.where)
        return fetched


def _apk(place: Workplace, command: str, *arguments: str, quiet: bool = False) -> Ended:
    return place.run(
        *("apk", command, "--no-progress", *arguments),
        network=True,
        shown={_CACHE: place.cache},
        quiet=quiet,
    )


def _add_locked(names: Sequence[str], pins: Sequence[Pinned], place: Workplace) -> None:
    exact = [f"{pin.name}={pin.version}" for pin in pins]
    _apk(place, "update", quiet=True)
    gone = [one for one in exact if not _address(one, place)]
    if gone:
        raise BuildError(
            "the repositories no longer have what the lock file names: " + ", ".join(gone),
            where=place.where,
            mend=_AGAIN,
        )
    if exact:
        _check_files(exact, pins, place)
        added = _apk(place, "add", "--virtual", _LOCKED, *exact)
        _refuse_failure(added, place.where)
    _refuse_failure(_apk(place, "add", *names), place.where)
    if exact:
        _refuse_failure(_apk(place, "del", _LOCKED), place.where)


def _check_files(exact: Sequence[str], pins: Sequence[Pinned], place: Workplace) -> None:
    """Raise BuildError unless what would be installed are the very files of the lock file."""
    folder = place.folder / "fetched"
    folder.mkdir()
    ended = place.run(
        *("apk", "fetch", "--no-progress", "--output", FILES, *exact),
        network=True,
        shown={_CACHE: place.cache, FILES: folder},
        quiet=True,
    )
    _refuse_failure(ended, place.where)
    found = {one.name: one.sha256 for one in downloads(folder, ".apk")}
    files = {f"{pin.name}-{pin.version}.apk": pin.sha256 for pin in pins}
    others = [
        f"{name} (sha256 {found.get(name)})" for name in files if found.get(name) != files[name]
    ]
    if others:
        raise _other(others, place.where)


def _other(what: Sequence[str], where: str) -> BuildError:
    return BuildError(
        "not the files that the lock file names: " + ", ".join(what), where=where, mend=_AGAIN
    )


def _address(package: str, place: Workplace) -> str:
    """Where `NAME=VERSION` would be fetched from; "" if nowhere."""
    ended = _apk(place, "fetch", "--simulate", "--url", package, quiet=True)
    addresses = [line for line in ended.output.split() if "://" in line]
    return addresses[-1] if ended.status == 0 and addresses else ""


def _refuse_failure(ended: Ended, where: str) -> None:
    if ended.status == 0:
        return
    unknown = list(dict.fromkeys(_UNKNOWN.findall(ended.output)))
    raise StepFailed(
        f"no repository of the image has {', '.join(unknown)}"
        if unknown
        else f"apk ended with exit status {ended.status}",
        status=ended.status,
        tail=ended.tail,
        where=where,
        mend="Its last lines say why. To look around in what it left:  genoci shell --failed",
    )


def _refuse_others(fetched: Sequence[Pinned], pins: Sequence[Pinned], where: str) -> None:
    locked = {(pin.name, pin.version, pin.architecture, pin.sha256) for pin in pins}
    others = [
        f"{one.name} {one.version} (sha256 {one.sha256})"
        for one in fetched
        if (one.name, one.version, one.architecture, one.sha256) not in locked
    ]
    if others:
        raise _other(others, where)


def _installed(place: Workplace) -> tuple[Installed, ...]:
    """What the root's database has, in its order: paragraphs of lines as `P:NAME`."""
    with LiveTree(place.root) as tree:
        found = [path for name in _DATABASES if (path := resolve(tree, name)) is not None]
        node = tree.node(found[0]) if found else None
        if node is None or node.entry.size > _MOST:
            return ()
        text = b"".join(tree.content(found[0])).decode(errors="replace")
    packages = []
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if line[1:2] == ":")
        if "P" in fields:
            packages.append(Installed(fields["P"], fields.get("V", ""), fields.get("A", "")))
    return tuple(packages)


def _pinned(new: Sequence[Installed], place: Workplace) -> tuple[Pinned, ...]:
    cached = downloads(place.cache, ".apk")
    pinned = []
    for package in new:
        download = _download(package, cached)
        if download is None:
            place.warn(
                f"{package.name} {package.version} can't be locked: apk has kept no file of it",
                "Is its repository a folder of the image?",
            )
            continue
        pinned.append(
            Pinned(
                manager="apk",
                name=package.name,
                version=package.version,
                architecture=package.architecture,
                sha256=download.sha256,
                source=_address(f"{package.name}={package.version}", place) or download.name,
            )
        )
    return tuple(pinned)


def _download(package: Installed, cached: Sequence[Download]) -> Download | None:
    """apk-cache(5): NAME-VERSION.HASH.apk, the hash being eight digits of the checksum."""
    name = re.escape(os.path.splitext(package.file)[0])
    pattern = re.compile(rf"{name}(\.[0-9a-f]{{8}})?\.apk")
    return next((one for one in cached if pattern.fullmatch(one.name)), None)
