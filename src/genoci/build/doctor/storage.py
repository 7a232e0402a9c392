"""Where roots can be built: the driver, and what the filesystem of the state can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genoci.build.doctor.apart import in_a_namespace, in_a_process, workplace
from genoci.build.doctor.finding import Finding, looked_at, not_tried
from genoci.build.doctor.mounts import mount_of
from genoci.errors import MachineError
from genoci.sandbox import landlock
from genoci.sandbox.idmap import IdMap
from genoci.snapshot import probe
from genoci.snapshot.btrfs import is_btrfs
from genoci.snapshot.driver import Driver

GROUP = "snapshots"


def snapshots(driver: Driver, place: Path | None, lacking: str) -> Iterator[Finding]:
    """The driver that a build would take, and each that could be; tried in `place`, in the state.

    With a directory on a btrfs, that driver is tried there. `lacking` tells what there is not to
    try things in.
    """
    if place is None:
        yield not_tried(GROUP, "driver", lacking)
        return
    if lacking:
        yield not_tried(GROUP, "driver", lacking)
        yield not_tried(GROUP, "overlay", lacking)
    else:
        yield looked_at(GROUP, "driver", lambda: _driver(place, driver))
        yield looked_at(GROUP, "overlay", lambda: _overlay(place), failing="limited")
    yield looked_at(GROUP, "reflink", lambda: _reflink(place), failing="limited")
    if not lacking:
        yield looked_at(GROUP, "btrfs", lambda: _btrfs(place, driver), failing="limited")


def _driver(place: Path, driver: Driver) -> Finding:
    def inside(found: IdMap) -> Finding:
        said: list[str] = []
        chosen = probe.pick(Driver(driver.name, str(there)), place, found.key, warn=said.append)
        with chosen.prepare(None):
            pass
        name = type(chosen.trees).__name__.lower()
        if said:
            less = "overlay does not work in the state (see below), and each build copies its base"
            return Finding(GROUP, "driver", "limited", f"{name}: {less}", probe.MEND)
        asked = "the best that works" if driver.name == "auto" else "as asked for"
        return Finding(GROUP, "driver", "ok", f"{name}: {asked}")

    with _place_of(driver, place) as there:
        return in_a_namespace(inside, place, there)


def _overlay(place: Path) -> Finding:
    def inside(found: IdMap) -> Finding:
        probe.pick(Driver("overlay"), place, found.key, warn=lambda _: None)
        return Finding(GROUP, "overlay", "ok", "mounted in the state, and does what it should")

    return in_a_namespace(inside, place)


def _reflink(place: Path) -> Finding:
    def inside() -> Finding:
        landlock.restrict_writes((place,))
        if probe.shares_blocks(place):
            what = "a copy of a file takes no space: the driver copy is quick"
            return Finding(GROUP, "reflink", "ok", what)
        what = f"{mount_of(place).kind} has none: the driver copy takes time and space"
        return Finding(GROUP, "reflink", "note", what)

    return in_a_process(inside)


def _btrfs(place: Path, driver: Driver) -> Finding:
    """Tried only where it is asked for, or could be: the others do without it."""
    if driver.name != "btrfs" and not is_btrfs(place):
        what = f"not asked for, and the state is on {mount_of(place).kind}"
        return Finding(GROUP, "btrfs", "note", what)

    def inside(found: IdMap) -> Finding:
        tried = probe.pick(Driver("btrfs", str(there)), place, found.key, warn=lambda _: None)
        with tried.prepare(None):
            pass
        return Finding(GROUP, "btrfs", "ok", f"a subvolume was made and deleted in {there.parent}")

    with _place_of(driver, place) as there:
        made = in_a_namespace(inside, place, there)
        if os.geteuid() != 0 and "user_subvol_rm_allowed" not in mount_of(there).options:
            what = f"{made.what}, file by file: only root may delete it in one go"
            mend = f"As root: mount -o remount,user_subvol_rm_allowed {mount_of(there).point}"
            return Finding(GROUP, "btrfs", "limited", what, mend)
        return made


@contextmanager
def _place_of(driver: Driver, place: Path) -> Iterator[Path]:
    """A directory of ours on the btrfs that is asked for; if none is, `place` itself."""
    if driver.name != "btrfs" or driver.btrfs is None:
        yield place
        return
    folder = Path(driver.btrfs)
    if not folder.is_dir() or not is_btrfs(folder):
        raise MachineError(
            f"the driver btrfs is asked for, and {folder} is not on one",
            mend="Make it ready:  lpack setup",
        )
    with workplace(folder) as there:
        yield there
