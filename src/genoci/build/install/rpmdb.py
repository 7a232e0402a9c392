"""The root's rpm database: what it holds, and which files of it a layer should have."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from genoci.build.install.manager import Workplace
from genoci.errors import BuildError
from genoci.layer.beneath import Beneath
from genoci.layer.remove import remove
from genoci.layer.resolve import resolve
from genoci.layer.tree import LiveTree, open_alone

VERSION = "%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}"
_MARK = "genoci"  # before what we asked for: rpm's warnings are printed among it
_ROW = ("%{DBINSTANCE}", "%{NAME}", VERSION, "%{ARCH}", "%{SHA1HEADER}", "%{INSTALLTID}")
_KEYS = "gpg-pubkey"  # the keys that were imported are packages, too


class Row(NamedTuple):
    """An installed package. `header` is the SHA-1 of its file's header: what it was made of.

    `number` grows with every package that is installed; `transaction` is the time of its own.
    """

    number: int
    name: str
    version: str
    architecture: str
    header: str
    transaction: int


def rows(place: Workplace) -> tuple[Row, ...]:
    """What is installed, in the order of installation."""
    query = "\\t".join((_MARK, *_ROW)) + "\\n"
    ended = place.run("rpm", "-qa", "--qf", query, quiet=True)
    if ended.status != 0:
        raise BuildError(
            "the image's rpm database can't be read: " + " ".join(ended.tail),
            where=place.where,
            mend="Look at it with `rpm -qa` in a `run` step.",
        )
    found = []
    for line in ended.output.splitlines():
        mark, *fields = line.split("\t")
        if mark != _MARK or len(fields) != len(_ROW) or fields[1] == _KEYS:
            continue
        number, name, version, architecture, header, transaction = fields
        if number.isdecimal() and transaction.isdecimal():
            found.append(Row(int(number), name, version, architecture, header, int(transaction)))
    return tuple(sorted(found))


@contextlib.contextmanager
def settled(place: Workplace) -> Iterator[None]:
    """Have the database's folder as a layer should have it, when the block ends without an error.

    No lock that was not there, no `__db.*` of Berkeley DB. What SQLite shares between processes
    is empty, not gone: without these files only root could ask rpm (sqlite.org/wal.html,
    "Read-Only Databases"). Warns of an rpm that writes when it installed.
    """
    path = _folder(place)
    before = _look(place, path)
    packages = set(rows(place))
    yield
    if place.epoch is not None:
        _warn_of_times(place, set(rows(place)) - packages, place.epoch)
    with _opened(place, path) as folder:
        if folder is not None:
            _settle(folder, before)


def _folder(place: Workplace) -> bytes:
    """Where the root's configuration has it, absolute, links not yet followed."""
    ended = place.run("rpm", "-E", "%{_dbpath}", quiet=True)
    path = ended.output.strip().rpartition("\n")[2]
    if ended.status != 0 or not path.startswith("/"):
        raise BuildError(
            "the image's rpm does not say where its database is: " + " ".join(ended.tail),
            where=place.where,
            mend="Try `rpm -E %_dbpath` in a `run` step.",
        )
    return os.fsencode(path)


@contextlib.contextmanager
def _opened(place: Workplace, path: bytes) -> Iterator[int | None]:
    """The folder beneath the root, or None."""
    with LiveTree(place.root) as tree:
        found = resolve(tree, path)
    root = open_alone(place.root)
    beneath = Beneath(root)
    try:
        yield None if found is None else beneath.directory(found)
    finally:
        beneath.close()
        os.close(root)


def _look(place: Workplace, path: bytes) -> dict[bytes, os.stat_result]:
    """The folder's own status as `.`, and that of all in it."""
    with _opened(place, path) as folder:
        if folder is None:
            return {}
        names = [b".", *map(os.fsencode, os.listdir(folder))]
        return {name: _status(folder, name) for name in names}


def _settle(folder: int, before: dict[bytes, os.stat_result]) -> None:
    for name in map(os.fsencode, os.listdir(folder)):
        if name.startswith(b"__db.") or (name == b".rpm.lock" and name not in before):
            remove(folder, name)
        elif name.endswith(b"-shm") and _is_empty(folder, name[:-4] + b"-wal"):
            _empty(folder, name, before.get(name))
    own = before.get(b".")
    names = set(map(os.fsencode, os.listdir(folder)))
    if own is not None and names == before.keys() - {b"."}:
        os.utime(folder, ns=(own.st_atime_ns, own.st_mtime_ns))


def _is_empty(folder: int, name: bytes) -> bool:
    """Whether nothing is waiting there to be written into the database."""
    try:
        return _status(folder, name).st_size == 0
    except FileNotFoundError:
        return True


def _empty(folder: int, name: bytes, before: os.stat_result | None) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, 0)
            if before is not None and before.st_size == 0:
                os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(fd)


def _status(folder: int, name: bytes) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _warn_of_times(place: Workplace, new: set[Row], epoch: int) -> None:
    if any(row.transaction != epoch for row in new):
        place.warn(
            "the image's rpm notes when it installed something, whatever SOURCE_DATE_EPOCH says: "
            "the layer will be another one each time",
            "rpm 4.18 and later take that time from SOURCE_DATE_EPOCH.",
        )
