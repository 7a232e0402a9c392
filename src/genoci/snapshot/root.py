"""A root being built: made and mounted in a directory of the store, whatever the driver."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from genoci import linux
from genoci.errors import StorageError
from genoci.oci.digest import Digest
from genoci.snapshot.driver import Active, Candidate, Trees
from genoci.snapshot.store import Place, Store

ROOT, PARENT = "root", "parent-root"  # the mount points in the directory


class Snapshots:
    """The Snapshotter of every driver."""

    def __init__(self, store: Store) -> None:
        self.trees = store.trees
        self.folder = store.folder
        self._store = store

    def exists(self, chain_id: Digest) -> bool:
        return self._store.exists(chain_id)

    def making(self, chain_id: Digest) -> AbstractContextManager[None]:
        return self._store.making(chain_id)

    def remove(self, chain_id: Digest) -> None:
        self._store.remove(chain_id)

    def sweep(self, *, failed: bool = False) -> None:
        self._store.sweep(failed=failed)

    def forget(self, name: str) -> None:
        """Remove what was kept as `name`, if anything was."""
        self._store.forget(name)

    @contextlib.contextmanager
    def prepare(self, parent: Digest | None) -> Iterator[Active]:
        with self._store.using(parent) as chain, self._store.place(parent) as place:
            self.trees.make(place.path, chain)
            with MountedRoot(place, chain, self.trees) as active:
                yield active

    def kept(self, name: str) -> AbstractContextManager[Active] | None:
        return self._reopened(name) if self._store.kept_path(name) else None

    @contextlib.contextmanager
    def _reopened(self, name: str) -> Iterator[Active]:
        with self._store.kept(name) as (place, parent), self._store.using(parent) as chain:
            if os.path.ismount(place.path / ROOT):  # by shown.show, for every program
                with MountedRoot(place, chain, self.trees) as active:
                    yield active
                return
            place.clear()  # of what a killed process has left
            try:
                with MountedRoot(place, chain, self.trees) as active:
                    yield active
            finally:
                if place.path.exists():  # it was not committed
                    place.clear()


class MountedRoot:
    """An Active: `place` with its tree mounted at `root`, and the parent's at `parent` if any.

    Leaving the block unmounts both, and leaves the directory to whoever made it.
    """

    def __init__(self, place: Place, chain: list[Path], trees: Trees) -> None:
        self._place = place
        self._chain = chain
        self._trees = trees
        self.root = place.path / ROOT
        self.parent = place.path / PARENT if chain else None

    def __enter__(self) -> MountedRoot:
        try:
            self._trees.mount(self._place.path, self._chain)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever is still mounted, or open, or running in it: it goes out of sight."""
        for path in self._mount_points():
            with contextlib.suppress(FileNotFoundError):
                _unmount_all(path)

    def candidates(self) -> Iterator[Candidate]:
        return self._trees.candidates(self._place.path, self.parent)

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


def make_empty(tree: Path) -> None:
    """A directory to be filled, as the root of the empty image is."""
    tree.mkdir(mode=0o755)
    give_defaults(tree)


def give_defaults(tree: Path) -> None:
    os.chown(tree, -1, os.getegid())  # a directory with S_ISGID above gives its own group
    tree.chmod(0o755)
    os.utime(tree, ns=(0, 0))


def bind_whole(folder: Path, chain: list[Path]) -> None:
    """Mount `folder`/fs and the topmost of `chain`, each a whole root, where a root shows them."""
    if chain:
        bind(chain[0], folder / PARENT, read_only=True)
    bind(folder / "fs", folder / ROOT)


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Mount the directory `source` at `target` (made if missing), without devices."""
    target.mkdir(mode=0o700, exist_ok=True)
    linux.mount(os.fsencode(source), os.fsencode(target), None, linux.MS_BIND)
    attributes = linux.MOUNT_ATTR_NODEV | (linux.MOUNT_ATTR_RDONLY if read_only else 0)
    linux.mount_setattr(linux.AT_FDCWD, os.fsencode(target), 0, set=attributes)
