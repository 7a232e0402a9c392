"""The directory in which a driver's snapshots lie: what is whole, what is in use, what is dead.

    FOLDER/<chain ID>/        a snapshot
    FOLDER/active-<random>/   one that is being made, or was when its maker died
    FOLDER/kept-<random>/     what was left for somebody to go on with: FOLDER/failed (of a build),
                              FOLDER/checkout (of lpack) name the one that counts
    FOLDER/dead-<random>/     one that is being removed

Each holds `fs` (the tree, or the overlay's upper directory), `parent` (a chain ID, or nothing),
`boot` (when it was made), `lock` (its time tells when somebody last stood on it), and `synced` once
all of it is known to be on the disk; one that is not frozen may hold `marks` (marks.py) or
`flattening` (btrfs.py). Whatever is not yet whole has another name than what is, and renaming is
the last step: a process killed at any moment leaves nothing that could be taken for a snapshot.
Data are not synced when a snapshot is made, so one without `synced` counts only until the machine
restarts; `sweep` syncs and marks those that have been there for a while, when the kernel has
written most of it anyway.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from genoci import files, linux
from genoci.errors import StorageError
from genoci.layer.remove import remove
from genoci.oci.digest import Digest
from genoci.snapshot.directory import (
    boot,
    has_lasted,
    hold,
    is_whole,
    parent_of,
    remove_abandoned,
    renamed,
    touch,
)
from genoci.snapshot.driver import Trees

KEPT = ("failed", "checkout")  # the names that a root may be kept under
ACTIVE, KEPT_AS, DEAD = "active-", "kept-", "dead-"  # how names begin that are no snapshot's
SNAPSHOT = re.compile(r"[0-9a-f]{64}")
_PERMANENT = ("fs", "parent", "boot", "lock", "synced")
_NOTES = ("marks", "flattening")  # of a driver (copy, btrfs), on a root that is not frozen
_MOUNT_POINTS = ("root", "parent-root")


class Store:
    """The snapshots of one driver and one id map. Any number of processes may use it at once."""

    def __init__(self, folder: Path, trees: Trees) -> None:
        self.trees = trees
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, chain_id: Digest) -> Path:
        return self.folder / chain_id.hex

    def exists(self, chain_id: Digest) -> bool:
        """Whether the snapshot and all below it are whole."""
        return self.chain(chain_id) is not None

    @contextlib.contextmanager
    def using(self, chain_id: Digest | None) -> Iterator[list[Path]]:
        """The `fs` directories of a snapshot and of all below it, the topmost first.

        None of them is removed before the block ends. Raises StorageError if one is missing.
        """
        chain = [] if chain_id is None else self.chain(chain_id)
        with contextlib.ExitStack() as stack:
            for path in chain or []:
                held = hold(path, fcntl.LOCK_SH)
                if held is None:
                    chain = None
                    break
                stack.callback(os.close, held)
            if chain is None:
                raise StorageError(
                    f"the snapshot {chain_id} has been removed", mend="Start the build again."
                )
            if chain:
                touch(chain[0])
            yield [path / "fs" for path in chain]

    @contextlib.contextmanager
    def making(self, chain_id: Digest) -> Iterator[None]:
        """Until the block ends no other process is in such a block for the same snapshot."""
        path = self.folder / f"{chain_id.hex}.making"
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.fstat(fd).st_nlink:
                    try:
                        yield
                    finally:
                        os.unlink(path)
                    return
            finally:
                os.close(fd)

    @contextlib.contextmanager
    def place(self, parent: Digest | None) -> Iterator[Place]:
        """A new directory of our own, without `fs` yet; gone at the end unless it was renamed."""
        path, lock = self._new_directory()
        place = Place(self, path, lock)
        try:
            (path / "parent").write_text(str(parent or ""))
            (path / "boot").write_text(boot())
            yield place
        finally:
            try:
                if place.is_unnamed:
                    self.bury(path)
            finally:
                os.close(lock)

    @contextlib.contextmanager
    def kept(self, name: str) -> Iterator[tuple[Place, Digest | None]]:
        """The root kept as `name` and what it stands on, held; it stays there afterwards."""
        path = self.kept_path(name)
        try:
            lock = hold(path, fcntl.LOCK_EX | fcntl.LOCK_NB) if path else None
        except BlockingIOError as error:
            raise StorageError(
                f"the {name} root is in use", mend="Leave the other shell in it first."
            ) from error
        if path is None or lock is None:
            raise StorageError(f"there is no {name} root")
        try:
            yield Place(self, path, lock), parent_of(path)
        finally:
            os.close(lock)

    def kept_path(self, name: str) -> Path | None:
        """The directory of the root kept as `name`, if it and all below it are there."""
        try:
            path = self.folder / (self.folder / name).read_text()
            parent = parent_of(path)
        except (FileNotFoundError, ValueError):
            return None
        if not is_whole(path) or (parent is not None and not self.exists(parent)):
            return None
        return path

    def kept_tree(self, name: str) -> Path | None:
        """The directory of what was kept as `name`, also if what it stands on is gone."""
        path = self.named(name)
        return path if path is not None and (path / "fs").is_dir() else None

    def forget(self, name: str) -> None:
        """Remove what was kept as `name`, if anything was; raises StorageError if it is in use."""
        path = self.named(name)
        if path is not None and not self.bury_if_unused(path):
            raise StorageError(
                f"the {name} root is in use", mend="Leave the other shell in it first."
            )
        (self.folder / name).unlink(missing_ok=True)

    def remove(self, chain_id: Digest) -> None:
        """Idempotent; what stands on the snapshot does not exist any more either."""
        path = self.path(chain_id)
        if path.exists() and path in self._below_checkout():
            raise StorageError(f"the snapshot {chain_id} is in use", mend="End the checkout first.")
        if path.exists() and not self.bury_if_unused(path):
            raise StorageError(
                f"the snapshot {chain_id} is in use", mend="Wait for the build to end."
            )

    def sweep(self, *, failed: bool = False) -> None:
        """Remove what nothing uses and nothing ever will; make durable what has been there long.

        With `failed` the failed root is such a thing, too. A checkout never is.
        """
        files.sweep(self.folder)
        kept = [self.kept_path("failed") if not failed else None, self.named("checkout")]
        lasting: list[Path] = []
        for name in os.listdir(self.folder):
            path = self.folder / name
            if path.is_symlink():
                continue  # we make none but below these
            if name.endswith(".making"):
                remove_abandoned(path)
            elif name.startswith((ACTIVE, DEAD)):
                self.bury_if_unused(path)
            elif name.startswith(KEPT_AS):
                if path not in kept:
                    self.bury_if_unused(path)
            elif SNAPSHOT.fullmatch(name):
                if not self.exists(Digest("sha256", name)):
                    self.bury_if_unused(path)
                elif not (path / "synced").exists() and has_lasted(path):
                    lasting.append(path)
        if lasting:
            self._sync(lasting)

    def rename(self, path: Path, chain_id: Digest) -> None:
        """Give the directory its name; if that snapshot exists, remove the directory instead."""
        target = self.path(chain_id)
        while not renamed(path, target):
            if is_whole(target):
                self.bury(path)
                return
            self.bury(target)

    def rename_kept(self, path: Path, name: str) -> None:
        """Keep the directory as `name`; the one before goes, or will when it is not used."""
        before = self.named(name)
        new = path.with_name(path.name.replace(ACTIVE, KEPT_AS))
        if name == "checkout":  # what is in it can't be made again, and counts as it is
            (path / "synced").touch()
        os.rename(path, new)
        files.write(self.folder / name, new.name.encode())
        if before is not None:
            self.bury_if_unused(before)

    def bury(self, path: Path) -> None:
        """Remove a directory that is ours, or nobody's; it loses its name at once."""
        dead = path
        if not path.name.startswith(DEAD):
            dead = path.with_name(f"{DEAD}{os.urandom(8).hex()}")
            try:
                os.rename(path, dead)
            except FileNotFoundError:
                return
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Never by force: if one of them were still mounted, this fails, instead of removing
            # what is below.
            for name in _MOUNT_POINTS:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.rmdir(dead / name)
            with contextlib.suppress(FileNotFoundError):
                self.trees.remove(dead / "fs")
            # Another process may be removing it as well: a sweep that locks it just before the
            # end makes a new `lock` in it, and then ends this itself.
            with contextlib.suppress(FileNotFoundError), _refilled():
                remove(folder, os.fsencode(dead.name))
        finally:
            os.close(folder)

    def named(self, name: str) -> Path | None:
        """What was kept as `name`, whether or not it can still be used."""
        with contextlib.suppress(FileNotFoundError):
            return self.folder / (self.folder / name).read_text()
        return None

    def _below_checkout(self) -> list[Path]:
        """What a checkout stands on: it may be mounted although no process holds it."""
        path = self.kept_path("checkout")
        parent = parent_of(path) if path is not None else None
        return [] if parent is None else self.chain(parent) or []

    def chain(self, chain_id: Digest) -> list[Path] | None:
        """The directories of a snapshot and those below it; None if one is missing or not whole."""
        chain: list[Path] = []
        at: Digest | None = chain_id
        while at is not None:
            path = self.path(at)
            if not is_whole(path) or path in chain:
                return None
            chain.append(path)
            try:
                at = parent_of(path)
            except (FileNotFoundError, ValueError):
                return None
        return chain

    def _new_directory(self) -> tuple[Path, int]:
        while True:
            path = self.folder / f"{ACTIVE}{os.urandom(8).hex()}"
            path.mkdir(mode=0o700)
            lock = hold(path, fcntl.LOCK_EX)  # None: a sweep came between
            if lock is not None:
                return path, lock

    def bury_if_unused(self, path: Path) -> bool:
        """`bury`; False, and nothing is done, if a process holds it."""
        try:
            lock = hold(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if lock is not None:
            try:
                self.bury(path)
            finally:
                os.close(lock)
        return True

    def _sync(self, paths: list[Path]) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            linux.syncfs(folder)
        finally:
            os.close(folder)
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                (path / "synced").touch()


class Place:
    """A directory of ours in the store, held by a lock that dies with us."""

    def __init__(self, store: Store, path: Path, lock: int) -> None:
        self.path = path
        self.is_unnamed = path.name.startswith(ACTIVE)
        self._store = store
        self._lock = lock

    def commit(self, chain_id: Digest) -> None:
        """It becomes the snapshot `chain_id`, or goes if there is one already. Unmounted first."""
        self.clear()
        self._store.trees.freeze(self.path)
        self._store.rename(self.path, chain_id)
        self.is_unnamed = False
        fcntl.flock(self._lock, fcntl.LOCK_SH)  # from now on others may stand on it

    def keep(self, name: str) -> None:
        """It stays as the root kept as `name`. Unmounted first."""
        self.clear()
        if self.is_unnamed:
            self._store.rename_kept(self.path, name)
            self.is_unnamed = False

    def clear(self) -> None:
        """Remove all that is no part of a snapshot, nor needed to go on with it."""
        for name in _MOUNT_POINTS:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self.path / name)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(folder):
                if name not in (*_PERMANENT, *_NOTES):
                    remove(folder, os.fsencode(name))
        finally:
            os.close(folder)


@contextlib.contextmanager
def _refilled() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
