"""Snapshots as subvolumes of a btrfs, each a snapshot of its parent's."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from genoci import files, linux
from genoci.layer.beneath import Beneath
from genoci.layer.entry import join, split
from genoci.layer.remove import remove, remove_tree
from genoci.snapshot.copy import copy_tree
from genoci.snapshot.driver import Candidate
from genoci.snapshot.root import bind_whole, give_defaults

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TOP = 256  # the inode number of a subvolume's root, and of nothing else
_FLATTENING = "flattening"  # beside the tree: a _Note
_NO_BTRFS = (errno.ENOENT, errno.ENOTDIR, errno.ENOTTY, errno.EOPNOTSUPP)
_CLOCK_REALTIME_COARSE = 5  # what change times are taken from
_TICK = 20_000_000  # nanoseconds; no kernel's is longer than 10 ms


class _Note(NamedTuple):
    """What has to be undone in a tree: a name that must not stay in it, and times of directories.

    The times, (atime, mtime) in ns, are those of the directories before they were written to.
    """

    name: bytes
    times: dict[bytes, tuple[int, int]]


class Btrfs:
    """Trees that are subvolumes. Snapshots are read-only."""

    whole = True

    def make(self, folder: Path, chain: list[Path]) -> None:
        """Returns when a change can't have the time any more that the snapshot's last one had."""
        with _opened(folder) as above:
            if not chain:
                linux.btrfs_create(above, b"fs")
                give_defaults(folder / "fs")
                return
            with _opened(chain[0]) as below:
                linux.btrfs_snapshot(below, above, b"fs")
            _pass(chain[0].parent.stat().st_ctime_ns)

    def mount(self, folder: Path, chain: list[Path]) -> None:
        with _opened(folder / "fs") as top:
            linux.btrfs_set_read_only(top, False)
            _tidy(folder, top)
        bind_whole(folder, chain)

    def candidates(self, folder: Path, parent: Path | None) -> Iterator[Candidate]:
        with contextlib.ExitStack() as stack:
            trees = [
                stack.enter_context(_beneath(stack.enter_context(_opened(path))))
                for path in (folder / "fs", parent)
                if path is not None
            ]
            after, before = trees if parent is not None else (trees[0], None)
            yield from map(Candidate, _touched(after, before))

    def freeze(self, folder: Path) -> None:
        with _opened(folder / "fs") as top:
            if linux.btrfs_has_subvolumes(top):
                _flatten(folder, top)
            linux.btrfs_set_read_only(top, True)

    def remove(self, tree: Path) -> None:
        with _opened(tree.parent) as above:
            name = os.fsencode(tree.name)
            if _is_subvolume(os.stat(name, dir_fd=above, follow_symlinks=False)):
                _remove(above, name)
            else:
                remove(above, name)


def is_btrfs(folder: Path) -> bool:
    """Whether there is such a directory, on a btrfs (of Linux 4.18 or newer)."""
    try:
        with _opened(folder.resolve()) as fd:
            linux.btrfs_has_subvolumes(fd)
    except OSError as error:
        if error.errno in _NO_BTRFS:
            return False
        raise
    return True


def remove_snapshots(folder: Path) -> None:
    """Remove the folder of all id maps: what is read-only in it nothing else could remove."""
    if not folder.exists() or not is_btrfs(folder):
        return
    for tree in folder.glob("*/*/fs"):
        Btrfs().remove(tree)
    remove_tree(folder)


def _touched(after: Beneath, before: Beneath | None) -> Iterator[bytes]:
    """The paths that are new, gone, or another inode or state of it; of a gone directory its top.

    A snapshot has the inode numbers and change times of its source, and nobody can set those. In
    subvolumes that were made below, numbers begin anew; all in them is new.
    """
    device = os.fstat(after.directory(b"")).st_dev
    pending = [(b"", before is not None)]
    while pending:
        above, known = pending.pop()
        here = after.directory(above)
        there = before.directory(above) if known and before is not None else -1
        left = set(os.listdir(there)) if known else set()
        for name in os.listdir(here):
            now = os.stat(name, dir_fd=here, follow_symlinks=False)
            was_directory = same = False
            if name in left:
                left.remove(name)
                was = os.stat(name, dir_fd=there, follow_symlinks=False)
                was_directory = stat.S_ISDIR(was.st_mode)
                same = (
                    now.st_ino == was.st_ino
                    and now.st_ctime_ns == was.st_ctime_ns
                    and now.st_size == was.st_size
                    and now.st_dev == device
                )
            if stat.S_ISDIR(now.st_mode):
                pending.append((join(above, os.fsencode(name)), was_directory))
            if not same:
                yield join(above, os.fsencode(name))
        for name in left:
            yield join(above, os.fsencode(name))


def _pass(moment: int) -> None:
    """Wait until the clock has left the tick of `moment`; not if it was set back since."""
    while 0 <= moment - time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) < _TICK:
        time.sleep(0.0005)


def _remove(above: int, name: bytes) -> None:
    with _opened(name, above) as top:
        linux.btrfs_set_read_only(top, False)
        if linux.btrfs_has_subvolumes(top):
            with _beneath(top) as directories:
                nested = list(_subvolumes(directories))
                for path in nested:
                    linux.btrfs_set_read_only(directories.directory(path), False)
                for path in reversed(nested):
                    _destroy(*directories.parent(path))
    _destroy(above, name)


def _destroy(above: int, name: bytes) -> None:
    """Without `user_subvol_rm_allowed` a user may delete a subvolume once it is empty."""
    try:
        linux.btrfs_destroy(above, name)
    except PermissionError:
        remove(above, name)


def _subvolumes(directories: Beneath, *, inner: bool = True) -> Iterator[bytes]:
    """The subvolumes in a tree, outer ones first; without those in others unless `inner`."""
    pending = [b""]
    while pending:
        above = pending.pop()
        here = directories.directory(above)
        for name in map(os.fsencode, os.listdir(here)):
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if inner or not _is_subvolume(status):
                    pending.append(join(above, name))
                if _is_subvolume(status):
                    yield join(above, name)
                    here = directories.directory(above)


def _flatten(folder: Path, top: int) -> None:
    """Make plain directories of the subvolumes in the tree: a snapshot of it would lack them."""
    with _beneath(top) as directories:
        nested = list(_subvolumes(directories, inner=False))
        written = {b"", *(split(path)[0] for path in nested)}
        times = {path: _times(directories.directory(path)) for path in written}
    copy = os.urandom(8).hex().encode()
    files.write(folder / _FLATTENING, msgspec.msgpack.encode(_Note(copy, times)))
    try:
        for path in nested:
            with _beneath(top) as directories:
                linux.btrfs_set_read_only(directories.directory(path), False)
                above, name = directories.parent(path)
                os.mkdir(copy, 0o700, dir_fd=top)
                copy_tree(_in(above, name), _in(top, copy))
                linux.renameat2(top, copy, above, name, linux.RENAME_EXCHANGE)
                _remove(top, copy)
    finally:
        _tidy(folder, top)


def _tidy(folder: Path, top: int) -> None:
    """Undo what `_flatten` leaves, also when it fails or is killed, but for what it has made."""
    try:
        note = msgspec.msgpack.decode((folder / _FLATTENING).read_bytes(), type=_Note)
    except FileNotFoundError:
        return
    with contextlib.suppress(FileNotFoundError):
        if _is_subvolume(os.stat(note.name, dir_fd=top, follow_symlinks=False)):
            _remove(top, note.name)
        else:
            remove(top, note.name)
    with _beneath(top) as directories:
        for path, times in note.times.items():
            os.utime(directories.directory(path), ns=times)
    (folder / _FLATTENING).unlink()


def _times(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_atime_ns, status.st_mtime_ns


def _is_subvolume(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_ino == _TOP


@contextlib.contextmanager
def _opened(path: Path | bytes, dir_fd: int | None = None) -> Iterator[int]:
    fd = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _beneath(top: int) -> Iterator[Beneath]:
    directories = Beneath(top)
    try:
        yield directories
    finally:
        directories.close()


def _in(fd: int, name: bytes) -> Path:
    return Path(f"/proc/self/fd/{fd}") / os.fsdecode(name)
