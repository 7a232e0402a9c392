"""Which driver this machine and this filesystem allow: found out by trying."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from genoci import linux
from genoci.errors import MachineError, UsageError
from genoci.snapshot.btrfs import Btrfs, is_btrfs
from genoci.snapshot.copy import Copy
from genoci.snapshot.driver import Driver, Trees
from genoci.snapshot.overlay import Overlay
from genoci.snapshot.root import MountedRoot, Snapshots, make_empty
from genoci.snapshot.store import Store

DRIVERS = ("auto", "overlay", "btrfs", "copy")
_BTRFS_MEND = "Put the state on one (--state), or have one made: `lpack setup`; or use overlay."
MEND = "Put the state on a local filesystem such as ext4, XFS or btrfs (--state), or use copy."


TREES: dict[str, Callable[[], Trees]] = {"overlay": Overlay, "btrfs": Btrfs, "copy": Copy}


class Unfit(Exception):
    """Overlay filesystems don't do here what they must; says what it was."""


def pick(driver: Driver, state: Path, idmap: str, *, warn: Callable[[str], None]) -> Snapshots:
    """The `driver` for snapshots below `state`; `auto` is overlay where that works.

    `idmap` is the key of the id map in use: snapshots made under another show other owners. Must
    be called where mounting is allowed. Raises MachineError if it is overlay and that doesn't work
    here; for `auto` this is told through `warn`, and copy is taken.
    """
    name = driver.name
    if name not in DRIVERS:
        raise UsageError(f"there is no driver {name!r}", mend=f"One of: {', '.join(DRIVERS)}.")
    folder = state / "snapshots"
    if name == "btrfs":
        return _on_btrfs(driver, state, idmap)
    if name != "copy":
        store = Store(folder / "overlay" / idmap, Overlay())
        try:
            probe(store)
            return Snapshots(store)
        except Unfit as reason:
            if name == "overlay":
                raise MachineError(
                    f"the driver overlay does not work in {state}: {reason}", mend=MEND
                ) from reason
            how = ", sharing blocks" if shares_blocks(state) else ""
            warn(f"the driver overlay does not work in {state} ({reason}): copying instead{how}")
    return Snapshots(Store(folder / "copy" / idmap, Copy()))


def store_of(driver: Driver, state: Path, idmap: str) -> Store:
    """The snapshots of a driver that was picked before: nothing is tried."""
    return Store(driver.folder(state) / idmap, TREES[driver.name]())


def _on_btrfs(driver: Driver, state: Path, idmap: str) -> Snapshots:
    place = state if driver.btrfs is None else Path(driver.btrfs)
    if driver.btrfs is None:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_btrfs(place):
        raise MachineError(
            f"the driver btrfs does not work in {place}: it is not on a btrfs", mend=_BTRFS_MEND
        )
    return Snapshots(Store(driver.folder(state) / idmap, Btrfs()))


def shares_blocks(folder: Path) -> bool:
    """Whether a copy of a file in `folder` takes no space of its own (ioctl_ficlone(2))."""
    from tempfile import TemporaryFile

    with TemporaryFile(dir=folder) as one, TemporaryFile(dir=folder) as other:
        one.write(b"x" * 4096)
        one.flush()
        try:
            linux.ficlone(one.fileno(), other.fileno())
        except OSError:
            return False
    return True


def probe(store: Store) -> None:
    """Mount a tiny overlay, and look whether it does what the driver relies on, or raise Unfit."""
    with store.place(None) as place:
        lower = place.path / "lower"
        (lower / "directory").mkdir(parents=True)
        (lower / "directory" / "below").touch()
        for name in ("gone", "kept"):
            (lower / name).touch()
        try:
            make_empty(place.path / "fs")
            with MountedRoot(place, [lower], store.trees) as active:
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
