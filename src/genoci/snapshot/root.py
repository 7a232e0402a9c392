"""A root being built: mounted on a directory of the store, whatever the driver."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from genoci import linux
from genoci.errors import StorageError
from genoci.oci.digest import Digest
from genoci.snapshot.driver import Candidate
from genoci.snapshot.store import Place

ROOT, PARENT = "root", "parent-root"  # the mount points in the directory


class MountedRoot:
    """An Active: `place` with a tree mounted at `root`, and the parent's at `parent` if any.

    Leaving the block unmounts both, and leaves the directory to whoever made it.
    """

    def __init__(
        self,
        place: Place,
        *,
        has_parent: bool,
        nominate: Callable[[Path, Path | None], Iterator[Candidate]],
    ) -> None:
        self._place = place
        self._nominate = nominate
        self.root = place.path / ROOT
        self.parent = place.path / PARENT if has_parent else None

    def __enter__(self) -> MountedRoot:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever is still mounted, or open, or running in it: it goes out of sight."""
        for path in self._mount_points():
            with contextlib.suppress(FileNotFoundError):
                _unmount_all(path)

    def candidates(self) -> Iterator[Candidate]:
        return self._nominate(self._place.path / "fs", self.parent)

    def commit(self, chain_id: Digest) -> None:
        for path in self._mount_points():
            try:
                linux.umount(os.fsencode(path), linux.UMOUNT_NOFOLLOW)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                raise StorageError("something still uses the root that was built") from error
        self._place.commit(chain_id)

    def keep(self, name: str) -> None:
        for path in self._mount_points():
            _unmount_all(path)
        self._place.keep(name)

    def _mount_points(self) -> list[Path]:
        return [self.root] if self.parent is None else [self.root, self.parent]


def _unmount_all(path: Path) -> None:
    """Also what was mounted below, or several times."""
    with contextlib.suppress(OSError):
        while True:
            linux.umount(os.fsencode(path), linux.MNT_DETACH | linux.UMOUNT_NOFOLLOW)


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Mount the directory `source` at `target` (made if missing), without devices."""
    target.mkdir(mode=0o700, exist_ok=True)
    linux.mount(os.fsencode(source), os.fsencode(target), None, linux.MS_BIND)
    attributes = linux.MOUNT_ATTR_NODEV | (linux.MOUNT_ATTR_RDONLY if read_only else 0)
    linux.mount_setattr(linux.AT_FDCWD, os.fsencode(target), 0, set=attributes)
