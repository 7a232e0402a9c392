"""Whose error it is: what goes wrong with one entry is told with its name."""

from __future__ import annotations

import errno

from genoci.errors import ArchiveError, BuildError, StorageError
from genoci.layer.entry import Entry
from genoci.layer.tar import shown


class errors_of:  # written out: as a generator it would cost thrice as much, for each entry
    """Errors say which entry they are about, and the system's become ours."""

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry | None) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, BuildError):
            where = _where(self._entry)
            if not error.where and not error.what.startswith(f"{where} "):
                error.where = where
        elif isinstance(error, OSError):
            raise _translated(error, _where(self._entry)) from error


def _where(entry: Entry | None) -> str:
    return "" if entry is None else shown(entry.path) or "./"


def _translated(error: OSError, where: str) -> BuildError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "Make room, or put the state elsewhere with --state or GENOCI_STATE."
        return StorageError("the disk is full", where=where, mend=mend)
    what = f"can't be made: {error.strerror}"
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EFBIG, errno.EINVAL):
        return ArchiveError(what, where=where)
    mend = "Look at the filesystem that the root is on: mount options, rights, the kernel's log."
    return StorageError(what, where=where, mend=mend)
