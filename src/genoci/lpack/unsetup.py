"""`unsetup`: what `setup` has recorded as its own, unmounted and destroyed; nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from genoci import files, linux
from genoci.errors import MachineError, StorageError
from genoci.lpack import loop
from genoci.lpack.loop import Loop
from genoci.lpack.made import (
    Made,
    alone,
    config_text,
    mark_of,
    record_beside,
    recorded,
    unfinished,
)
from genoci.lpack.mounted import mounts
from genoci.lpack.record import MOUNTED

Say = Callable[[str], None]


def take_down(
    lofiles: Iterable[Path], configs: Iterable[Path], *, force: bool, say: Say
) -> list[Path]:
    """Undo every set-up of these files, and those for these config files that are still mounted.

    The directories that were mounted on. Raises StorageError for one that holds a checkout or is
    in use, unless `force`.
    """
    lofiles, configs = list(lofiles), list(configs)
    found = {made.lofile: made for made in _recorded(lofiles, configs)}
    abandoned = [path for path in map(unfinished, lofiles) if os.path.lexists(path)]
    if (found or abandoned) and os.geteuid() != 0:
        raise MachineError(
            "only root may unmount and destroy what `lpack setup` made",
            mend="Run it as root: sudo lpack unsetup",
        )
    if not force:
        for made in found.values():
            _refuse_checkout(Path(made.mount))
    for made in found.values():
        with alone(Path(made.lofile).parent):
            _take_down(made, force=force, say=say)
    for folder in {path.parent for path in (*lofiles, *configs)}:
        files.sweep(folder)
    for path in abandoned:
        if path.lstat().st_uid == os.geteuid():
            path.unlink()
    return [Path(made.mount) for made in found.values()]


def _recorded(lofiles: Iterable[Path], configs: Iterable[Path]) -> Iterator[Made]:
    marks = {mark_of(config) for config in configs}
    behind = [_file_behind(one) for one in loop.loops() if one.mark in marks]
    for lofile in [*lofiles, *filter(None, behind)]:
        made = recorded(lofile)
        if made is not None:
            yield made


def _file_behind(one: Loop) -> Path | None:
    name = Path("/sys/block", one.device.name, "loop/backing_file")
    with contextlib.suppress(OSError):
        return Path(name.read_text().rstrip("\n"))
    return None


def _refuse_checkout(mount: Path) -> None:
    if os.path.lexists(mount / MOUNTED):
        raise StorageError(
            "a checkout that is not checked in would be lost",
            where=str(mount / MOUNTED),
            mend="First lpack checkin, or lpack abort; lpack unsetup -f destroys it.",
        )


def _take_down(made: Made, *, force: bool, say: Say) -> None:
    lofile = Path(made.lofile)
    for one in list(loop.loops()):
        if one.file == made.file:
            _unmount(one.device, force=force)
            say(f"{made.mount} is unmounted")
            loop.detach(one.device)
    if made.exists:
        lofile.unlink()
        say(f"{lofile} is deleted")
    for folder in reversed(made.folders):
        with contextlib.suppress(OSError):  # somebody put something into it, or removed it
            os.rmdir(folder)
    if made.wrote_config:
        _remove_config(made, say)
    record_beside(lofile).unlink()


def _unmount(device: Path, *, force: bool) -> None:
    """Wherever it is mounted."""
    for mount in reversed(mounts()):
        if mount.source == str(device):
            try:
                linux.umount(os.fsencode(mount.point), linux.UMOUNT_NOFOLLOW)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                if not force:
                    raise StorageError(
                        "it is in use: a file in it is open, or a working directory",
                        where=str(mount.point),
                        mend="See who uses it: fuser -vm DIRECTORY; -f unmounts it all the same.",
                    ) from error
                linux.umount(os.fsencode(mount.point), linux.MNT_DETACH | linux.UMOUNT_NOFOLLOW)


def _remove_config(made: Made, say: Say) -> None:
    """The config file that `setup` wrote, if it is still what it wrote."""
    config = Path(made.config)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if config.read_text() == config_text(Path(made.lofile), Path(made.mount)):
            config.unlink()
            say(f"{config} is deleted")
