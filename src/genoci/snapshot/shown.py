"""A kept root where every program sees it, as long as its user wants: mounted, if it must be.

For the process that the user has started, which parses nothing of an image: on the host, and not
in a namespace. What is mounted lasts until it is hidden, or the machine restarts.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from genoci import linux
from genoci.errors import StorageError
from genoci.snapshot.overlay import mount
from genoci.snapshot.root import ROOT
from genoci.snapshot.store import Store


def place_of(store: Store, name: str) -> Path | None:
    """Where the root kept as `name` is seen, by whoever can; None: there is none."""
    folder = store.kept_tree(name)
    if folder is None:
        return None
    return folder / "fs" if store.trees.whole or _stands_alone(folder) else folder / ROOT


def show(store: Store, name: str) -> bool:
    """Have the root kept as `name` seen at its place; whether every program sees it.

    Idempotent. Only root may mount: others see the trees that are whole. Raises StorageError if
    what it stands on is missing, or a process is in it.
    """
    place = place_of(store, name)
    if place is None or place.name != ROOT or os.path.ismount(place):
        return place is not None
    if os.geteuid() != 0:
        return False
    with store.kept(name) as (kept, parent), store.using(parent) as chain:
        kept.clear()
        for tree in (kept.path / "fs", *chain):
            _check(tree)
        try:
            mount(kept.path, chain)
        except PermissionError:  # root of a container that may not mount
            kept.clear()
            return False
    return True


def hide(store: Store, name: str, *, force: bool = False) -> bool:
    """Unmount it; whether it was mounted. Raises StorageError if it is in use, unless `force`."""
    place = place_of(store, name)
    if place is None or place.name != ROOT or not os.path.ismount(place):
        return False
    try:
        linux.umount(os.fsencode(place), linux.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        if not force:
            raise StorageError(
                f"the {name} is in use: a file in it is open, or it is a working directory",
                where=str(place),
                mend=f"See who uses it: fuser -vm {place}",
            ) from error
        linux.umount(os.fsencode(place), linux.MNT_DETACH | linux.UMOUNT_NOFOLLOW)
    return True


def _stands_alone(folder: Path) -> bool:
    return not (folder / "parent").read_text()


def _check(tree: Path) -> None:
    """What is mounted on the host is what genoci made there, and no link to anything else."""
    if tree.is_symlink() or tree.parent.is_symlink():
        raise StorageError("this is a link, and no directory of genoci's", where=str(tree))
