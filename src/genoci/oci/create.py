"""Making a layout, and telling one from what only lies there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from genoci import files
from genoci.errors import LayoutError, NotFound
from genoci.oci.blobs import storing
from genoci.oci.index import EMPTY_INDEX, read_index

_MARK = "oci-layout"
_VERSION = "1.0.0"
_PARTS = ("blobs", "index.json")
_OURS = ".genoci"  # locks, and what is being written


class _Mark(msgspec.Struct, rename={"version": "imageLayoutVersion"}):
    version: str


def check(path: Path) -> None:
    """Raise NotFound unless there is a layout at `path`, LayoutError unless it is a sound one."""
    if not _exists(path / _MARK):
        raise NotFound(
            "there is no OCI layout here",
            where=str(path),
            mend="Build something first, or name another folder: --layout DIR.",
        )
    _check_version(path / _MARK)
    _refuse_links(path)
    if not _exists(path / "index.json"):
        raise LayoutError(
            "the layout has no index.json, so nothing tells what is in it",
            where=str(path),
            mend="Restore that file, or start anew in another folder.",
        )


def create(path: Path, *, lock: Path) -> None:
    """Make a layout at `path`, or complete one; never touches what is already there.

    `oci-layout` comes last, since it says that the rest is there. `lock`, in `path`, is held.
    """
    with storing(path):
        _make_folder(path)
        names = os.listdir(path)
        if _MARK in names:
            _check_version(path / _MARK)
        elif not all(name in _PARTS or name.startswith(_OURS) for name in names):
            raise _something_else(path)
        _refuse_links(path)
        with files.lock(lock):
            _complete(path)
    check(path)


def _complete(path: Path) -> None:
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    files.sync_folder(blobs.parent)
    if _exists(path / "index.json"):
        read_index(path / "index.json")
    elif any(blobs.iterdir()):  # ours are stored when there is an index, and never before
        raise LayoutError(
            "there are blobs but no index.json: copying an image to here was cut off",
            where=str(path),
            mend="Remove the folder, or choose another: --layout DIR.",
        )
    else:
        files.write(path / "index.json", EMPTY_INDEX.encoded())
    if not _exists(path / _MARK):
        files.write(path / _MARK, msgspec.json.encode(_Mark(_VERSION)))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _something_else(path) from error


def _something_else(path: Path) -> LayoutError:
    return LayoutError(
        "this is something else than an OCI layout",
        where=str(path),
        mend="Name a folder that is empty or does not exist yet: --layout DIR.",
    )


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _check_version(mark: Path) -> None:
    try:
        if stat.S_ISREG(os.lstat(mark).st_mode) and os.stat(mark).st_size < 4096:
            version = msgspec.json.decode(mark.read_bytes(), type=_Mark).version
            if version == _VERSION:
                return
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise LayoutError(
        f"this file does not say that it is an OCI layout of version {_VERSION}",
        where=str(mark),
        mend="Name another folder: --layout DIR.",
    )


def _refuse_links(path: Path) -> None:
    """Shared by links, blobs would be lost to the `gc` of a layout that does not know of others."""
    for folder in (path / "blobs", path / "blobs" / "sha256"):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise LayoutError(
                "this has to be a folder, and no link to one",
                where=str(folder),
                mend="Copy the blobs to here, or name another layout: --layout DIR.",
            )
