"""Which driver this machine and this filesystem allow: found out by trying."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from genoci.errors import MachineError, UsageError
from genoci.snapshot import overlay
from genoci.snapshot.copy import Copy
from genoci.snapshot.driver import Driver, Snapshotter
from genoci.snapshot.overlay import Overlay
from genoci.snapshot.root import MountedRoot
from genoci.snapshot.store import Store

DRIVERS = ("auto", "overlay", "copy")
_MEND = "Put the state on a local filesystem such as ext4, XFS or btrfs (--state), or use copy."


class Unfit(Exception):
    """Overlay filesystems don't do here what they must; says what it was."""


def pick(driver: Driver, state: Path, idmap: str, *, warn: Callable[[str], None]) -> Snapshotter:
    """The `driver` for snapshots below `state`; `auto` is overlay where that works.

    `idmap` is the key of the id map in use: snapshots made under another show other owners. Must
    be called where mounting is allowed. Raises MachineError if it is overlay and that doesn't work
    here; for `auto` this is told through `warn`, and copy is taken.
    """
    name = driver.name
    if name not in DRIVERS:
        raise UsageError(f"there is no driver {name!r}", mend=f"One of: {', '.join(DRIVERS)}.")
    folder = state / "snapshots"
    if name != "copy":
        store = Store(folder / "overlay" / idmap)
        try:
            probe(store)
            return Overlay(store)
        except Unfit as reason:
            if name == "overlay":
                raise MachineError(
                    f"the driver overlay does not work in {state}: {reason}", mend=_MEND
                ) from reason
            warn(f"the driver overlay does not work in {state} ({reason}): copying instead")
    return Copy(Store(folder / "copy" / idmap))


def probe(store: Store) -> None:
    """Mount a tiny overlay, and look whether it does what the driver relies on, or raise Unfit."""
    with store.place(None) as place:
        lower = place.path / "lower"
        (lower / "directory").mkdir(parents=True)
        (lower / "directory" / "below").touch()
        for name in ("gone", "kept"):
            (lower / name).touch()
        with MountedRoot(place, has_parent=False, nominate=overlay.candidates) as active:
            try:
                overlay.mount(place.path, [lower])
                _try(active.root, place.path / "fs")
            except OSError as error:
                raise Unfit(error.strerror or str(error)) from error


def _try(root: Path, upper: Path) -> None:
    (root / "gone").unlink()
    status = (upper / "gone").lstat()
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev:
        raise Unfit("a removed file leaves no whiteout")
    os.setxattr(root / "kept", "user.genoci.probe", b"1")
    if os.getxattr(upper / "kept", "user.genoci.probe") != b"1":
        raise Unfit("extended attributes are lost")
    (root / "new").write_text("new")
    (root / "new").rename(root / "gone")
    if (upper / "gone").read_text() != "new":
        raise Unfit("a renamed file is lost")
    (root / "directory" / "below").unlink()
    (root / "directory").rmdir()
    (root / "directory").mkdir()
    if os.getxattr(upper / "directory", "user.overlay.opaque") != b"y":
        raise Unfit("a directory made again is not opaque")
