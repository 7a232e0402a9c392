"""Where roots can be built: the driver, and what the filesystem of the state can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genoci import linux
from genoci.build.doctor.apart import in_a_namespace, in_a_process
from genoci.build.doctor.finding import Finding, looked_at
from genoci.sandbox import landlock
from genoci.sandbox.idmap import IdMap
from genoci.snapshot import probe
from genoci.snapshot.driver import Driver

GROUP = "snapshots"
_LITTLE = 1 << 30  # bytes: less than the root filesystem of a distribution


def snapshots(place: Path, driver: Driver, state: Path) -> Iterator[Finding]:
    """The driver that a build would take, and each that could be; tried in `place`."""
    yield looked_at(GROUP, "driver", lambda: _driver(place, driver, state))
    yield looked_at(GROUP, "overlay", lambda: _overlay(place), failing="limited")
    yield looked_at(GROUP, "reflink", lambda: _reflink(place), failing="limited")
    yield looked_at(GROUP, "btrfs", lambda: _btrfs(driver, state), failing="limited")


def space(group: str, name: str, folder: Path) -> Finding:
    """How much is free where `folder`, or what is there of its path, lies."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    what = f"{folder}, on {mount_of(there).kind}: {_size(free)} free"
    mend = "`genoci gc` and `genoci clean` free what is not needed; or see --state and --layout."
    if found.f_files and not found.f_favail:
        return Finding(group, name, "missing", f"{what}, but not one inode", mend)
    if free < _LITTLE:
        return Finding(group, name, "limited", what, mend)
    return Finding(group, name, "ok", what)


class Mount(NamedTuple):
    """`kind` is the filesystem's; `options` are those of the filesystem and of the mount."""

    kind: str
    options: tuple[str, ...]


def mount_of(path: Path) -> Mount:
    """What is mounted where `path` lies, as /proc/self/mountinfo tells it; "?" if it doesn't."""
    best, found = -1, Mount("an unknown filesystem", ())
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return found
    for line in lines:
        fields, _, more = line.partition(" - ")
        point = fields.split()[4].encode(errors="surrogateescape").decode("unicode_escape")
        kind, _, super_options = more.split(" ", 2)
        if path.resolve().is_relative_to(point) and len(point) >= best:
            best = len(point)
            options = f"{fields.split()[5]},{super_options}"
            found = Mount(kind, tuple(options.split(",")))
    return found


def _driver(place: Path, driver: Driver, state: Path) -> Finding:
    def inside(found: IdMap) -> Finding:
        said: list[str] = []
        chosen = probe.pick(driver, place, found.key, warn=said.append)
        name = type(chosen.trees).__name__.lower()
        asked = "picked" if driver.name == "auto" else "asked for"
        reason = f": {said[0].replace(str(place), str(state))}" if said else ""
        return Finding(GROUP, "driver", "limited" if said else "ok", f"{name}, {asked}{reason}")

    return in_a_namespace(inside, place)


def _overlay(place: Path) -> Finding:
    def inside(found: IdMap) -> Finding:
        said: list[str] = []
        probe.pick(Driver("overlay"), place, found.key, warn=said.append)
        return Finding(GROUP, "overlay", "ok", "mounted in the state, and does what it should")

    return in_a_namespace(inside, place)


def _reflink(place: Path) -> Finding:
    def inside() -> Finding:
        landlock.restrict_writes((place,))
        if probe.shares_blocks(place):
            what = "files share their blocks with copies: those take no space"
            return Finding(GROUP, "reflink", "ok", what)
        what = f"{mount_of(place).kind} has none: the driver copy takes time and space"
        return Finding(GROUP, "reflink", "note", what)

    return in_a_process(inside)


def _btrfs(driver: Driver, state: Path) -> Finding:
    """Only where it is asked for, or could be: the others do without it."""
    place = state if driver.btrfs is None else Path(driver.btrfs)
    if driver.name != "btrfs" and not (place.exists() and is_btrfs(place)):
        return Finding(GROUP, "btrfs", "note", "not asked for, and the state is not on one")

    def inside(found: IdMap) -> Finding:
        snapshots = probe.pick(Driver("btrfs", driver.btrfs), state, found.key, warn=lambda _: None)
        with snapshots.prepare(None):
            pass
        allowed = os.getuid() == 0 or "user_subvol_rm_allowed" in mount_of(place).options
        what = f"subvolumes are made and deleted in {place}"
        if not allowed:
            return Finding(GROUP, "btrfs", "limited", what, _SLOWLY)
        return Finding(GROUP, "btrfs", "ok", what)

    return in_a_namespace(inside, state, place)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
