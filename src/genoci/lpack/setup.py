"""`setup`: a btrfs in a file, mounted where every program sees it; made once, mounted again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from genoci import files, linux
from genoci.errors import MachineError, StorageError, UsageError
from genoci.lpack import loop
from genoci.lpack.made import (
    Made,
    alone,
    config_text,
    identity,
    mark_of,
    record,
    record_beside,
    recorded,
    unfinished,
)
from genoci.lpack.mounted import Mount, holder_of, mounted_at

Say = Callable[[str], None]

SMALLEST = 256 << 20  # bytes: below, btrfs has no room for its own trees
_MIB = 1 << 20
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # where users' PATHs may not lead
_FLAGS = linux.MS_NOSUID | linux.MS_NODEV
_OPTIONS = b"user_subvol_rm_allowed"
_WITHOUT = "Or use a driver that needs nothing set up: `driver: overlay` in the config file."


class Site(NamedTuple):
    """What is wanted: absolute paths, and the ids of whom it is for.

    `config` is the config file, which is to be written where there is none (`writes_config`).
    """

    lofile: Path
    mount: Path
    config: Path
    owner: tuple[int, int]
    writes_config: bool = False


def set_up(site: Site, *, size: int | None, say: Say) -> None:
    """Have the site's btrfs mounted; what is there already is left as it is.

    `size` in bytes; None: half of what is free. Raises MachineError, StorageError or UsageError,
    and then nothing has changed.
    """
    seen = mounted_at(site.mount) if site.mount.exists() else None
    if seen is not None:
        _check_mounted(site, seen)
        say(f"{site.lofile} is mounted at {site.mount}")
        return
    if os.geteuid() != 0:
        raise MachineError(
            "only root may make and mount a filesystem",
            mend=f"Run it as root: sudo lpack setup. {_WITHOUT}",
        )
    _check_mount_point(site.mount)
    with alone(site.lofile.parent), contextlib.ExitStack() as undo:
        for folder in {site.lofile.parent, site.config.parent}:
            files.sweep(folder)  # what one has left that was killed
        made = _found(site) or _make(site, size, undo, say)
        _make_folders(made, undo)
        _mount(made, undo)
        say(f"{site.lofile} is mounted at {site.mount}")
        if os.stat(site.mount).st_uid != site.owner[0]:
            os.chown(site.mount, *site.owner)
        if site.writes_config and not os.path.lexists(site.config):
            files.write(site.config, config_text(site.lofile, site.mount).encode())
            os.chown(site.config, *site.owner)
            say(f"{site.config} says so to genoci")
        undo.pop_all()


def use_existing(folder: Path, say: Say, warn: Callable[[str, str], None]) -> None:
    """Make ready the directory `folder`, which lies on a btrfs, or will when it is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} can't be made: {error.strerror}", where="btrfsmount") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"you may not write to {folder}",
            where="btrfsmount",
            mend=f"As root: chown {os.geteuid()} {folder}; or name a directory of your own.",
        )
    mount = holder_of(folder)
    if os.geteuid() != 0 and mount and "user_subvol_rm_allowed" not in mount.options:
        warn(
            f"the btrfs at {mount.point} lets nobody but root delete subvolumes",
            f"As root: mount -o remount,user_subvol_rm_allowed {mount.point}",
        )
    say(f"{folder} is on a btrfs, and ready")


def _check_mounted(site: Site, seen: Mount) -> None:
    """Raise unless what is mounted there is the site's file."""
    try:
        name = Path("/sys/block", Path(seen.source).name, "loop/backing_file")
        behind = Path(name.read_text().rstrip("\n"))
    except OSError:
        behind = Path()
    if identity(behind) is None or identity(behind) != identity(site.lofile):
        raise UsageError(
            f"something else is mounted at {site.mount}: {seen.source} ({seen.kind})",
            where="btrfsmount",
            mend="Unmount it, or name another directory; for a btrfs of your own leave out lofile.",
        )


def _check_mount_point(point: Path) -> None:
    try:
        if os.listdir(point):
            raise UsageError(
                f"{point} is not empty, and what is in it would be hidden",
                where="btrfsmount",
                mend="Empty it, or name another directory.",
            )
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(
            f"nothing can be mounted at {point}: {error.strerror}", where="btrfsmount"
        ) from error


def _found(site: Site) -> Made | None:
    """What an earlier `setup` made; what one left behind that was killed is removed."""
    made = recorded(site.lofile)
    if made is not None and made.exists:
        if made.mount != str(site.mount) or made.config != str(site.config):
            made = msgspec.structs.replace(made, mount=str(site.mount), config=str(site.config))
            record(made)
        return made
    if os.path.lexists(site.lofile):
        raise UsageError(
            f"{site.lofile} is there already, and `lpack setup` has not made it",
            where="lofile",
            mend="Name another file, or move this one away; it was not touched.",
        )
    _remove_own(unfinished(site.lofile))
    return None


def _make(site: Site, size: int | None, undo: contextlib.ExitStack, say: Say) -> Made:
    program = shutil.which("mkfs.btrfs", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}")
    if program is None:
        raise MachineError(
            "the program mkfs.btrfs is missing",
            mend=f"As root: apt-get install btrfs-progs. {_WITHOUT}",
        )
    size = _checked_size(site.lofile.parent, size)
    new, beside = unfinished(site.lofile), record_beside(site.lofile)
    before = recorded(site.lofile)  # by an `unsetup` that was killed
    if before is None and os.path.lexists(beside):
        raise UsageError(
            f"{beside} is there already, and not from your `lpack setup`",
            where="lofile",
            mend="Name another file, or move this one away; it was not touched.",
        )
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    undo.callback(new.unlink, missing_ok=True)
    with open(fd, "r+b") as stream:
        stream.truncate(size)
        _format(program, new)
        os.fsync(fd)
        status = os.fstat(fd)
    made = Made(
        lofile=str(site.lofile),
        file=(status.st_dev, status.st_ino),
        mount=str(site.mount),
        config=str(site.config),
        wrote_config=site.writes_config or (before is not None and before.wrote_config),
        folders=(*(before.folders if before else ()), *_missing(site.mount)),
    )
    record(made)
    undo.callback(beside.unlink, missing_ok=True)
    linux.renameat2(
        linux.AT_FDCWD,
        os.fsencode(new),
        linux.AT_FDCWD,
        os.fsencode(site.lofile),
        linux.RENAME_NOREPLACE,
    )
    undo.callback(site.lofile.unlink)
    files.sync_folder(site.lofile.parent)
    say(f"{site.lofile} is made, {size // _MIB} MiB at most; it takes what is stored in it")
    return made


def _checked_size(folder: Path, wanted: int | None) -> int:
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    size = wanted if wanted is not None else max(free // 2, SMALLEST)
    if wanted is not None and wanted < SMALLEST:
        raise UsageError(f"a btrfs needs {SMALLEST // _MIB} MiB at least", where="--size")
    if size > free:
        raise StorageError(
            f"there is too little space: {free // _MIB} MiB are free, and {size // _MIB} needed",
            where=str(folder),
            mend="Make room, or name a file on another disk: lofile in the config file.",
        )
    return size // _MIB * _MIB


def _format(program: str, path: Path) -> None:
    done = subprocess.run(
        [program, "-q", "-L", "genoci", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StorageError(f"mkfs.btrfs failed: {told[-1] if told else done.returncode}")


def _missing(folder: Path) -> tuple[str, ...]:
    """The directory and those above it that do not exist, the outermost first."""
    missing: list[str] = []
    while not folder.exists():
        missing.insert(0, str(folder))
        folder = folder.parent
    return tuple(missing)


def _make_folders(made: Made, undo: contextlib.ExitStack) -> None:
    """The mount point; those that are missing now, and were not made before, are recorded."""
    missing = _missing(Path(made.mount))
    if set(missing) - set(made.folders):
        folders = tuple(dict.fromkeys([*made.folders, *missing]))
        record(msgspec.structs.replace(made, folders=folders))
    for name in missing:
        os.mkdir(name)
        undo.callback(os.rmdir, name)


def _mount(made: Made, undo: contextlib.ExitStack) -> None:
    fd = os.open(made.lofile, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        device, held = loop.attach(fd, mark_of(Path(made.config)))
    finally:
        os.close(fd)
    point = os.fsencode(made.mount)
    try:
        linux.mount(os.fsencode(device), point, b"btrfs", _FLAGS, _OPTIONS)
    except OSError as error:
        raise MachineError(
            f"the btrfs can't be mounted: {error.strerror}",
            where=made.mount,
            mend=f"Does the kernel know btrfs? As root: modprobe btrfs. {_WITHOUT}",
        ) from error
    finally:
        os.close(held)
    undo.callback(linux.umount, point)


def _remove_own(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_uid == os.geteuid():
            path.unlink()
