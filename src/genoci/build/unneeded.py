"""What of a state nobody needs: found, measured, and dropped.

For a worker that has the state alone. Only what is called as genoci calls it is looked at, and
nothing through a link.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from genoci import files, linux
from genoci.build.state import SERVED
from genoci.layer.remove import remove
from genoci.sandbox.idmap import IdMap
from genoci.snapshot.btrfs import remove_snapshots
from genoci.snapshot.driver import Driver
from genoci.snapshot.probe import TREES, store_of
from genoci.snapshot.store import Store
from genoci.snapshot.unneeded import unneeded
from genoci.snapshot.usage import freed, usage

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RESOLVE = linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_MAGICLINKS
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRACE = re.compile(r"[0-9a-f]{16}")
_IDMAP = re.compile(r"[0-9a-f]{12}")
_CACHE = re.compile(r"([0-9a-f]{32})(\.lock)?")
_TEMPORARY = re.compile(rf"{re.escape(files.TEMPORARY)}[0-9a-z_-]+")
_PART = re.compile(r"[0-9a-f]{64}\.part(\.from)?")


class Thing(msgspec.Struct, frozen=True):
    """What was dropped, or would be, and the bytes that it took on the disk.

    Its kind is `snapshot` (of a `driver`), `listing`, `input`, `trace`, `download`, `cache`
    or `leftover`.
    """

    kind: str
    name: str
    bytes: int
    driver: str = ""


class Thinned(msgspec.Struct, frozen=True):
    """`left` tells what could not be looked at, or not be dropped, and why.

    `spared` is how many snapshots stay only because they were used of late.
    """

    dropped: tuple[Thing, ...] = ()
    left: tuple[str, ...] = ()
    spared: int = 0


class Rules(NamedTuple):
    """What is needed, chain IDs and diff IDs in hexadecimal; and what counts as used of late.

    What nobody needs stays if it was used at the time `doubtful` or later: somebody may need it
    who can't be asked (infinity: all were asked). Of what nobody can be asked for, that stays
    which was used at the time `unused` or later. `gone` are the notes of layouts that are no more.
    """

    chains: frozenset[str]
    layers: frozenset[str]
    doubtful: float
    unused: float
    gone: frozenset[Path]


class _Found(NamedTuple):
    thing: Thing
    drop: Callable[[], object]


class Search:
    """A search of one state, with what it has found so far. A context manager."""

    def __init__(self, state: Path, rules: Rules) -> None:
        self._state = state
        self._rules = rules
        self._found: list[_Found] = []
        self._left: list[str] = []
        self._spared = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def end(self, *, dry_run: bool) -> Thinned:
        """Drop what was found, if it is to be dropped."""
        dropped = []
        for found in self._found:
            if dry_run or self._dropped(found):
                dropped.append(found.thing)
        return Thinned(tuple(dropped), tuple(self._left), self._spared)

    def files(self) -> None:
        """Look at what genoci has written itself, as its user."""
        rules = self._rules
        for name, status, drop in self._files("listings"):
            used = status.st_mtime
            if _SHA256.fullmatch(name) and name not in rules.layers and used < rules.doubtful:
                self._note("listing", f"sha256:{name}", status, drop)
        for name, status, drop in self._files("inputs"):
            if _SHA256.fullmatch(name) and status.st_mtime < rules.unused:
                self._note("input", name, status, drop)
        for name, status, drop in self._files("traces"):
            if _TRACE.fullmatch(name) and status.st_mtime < rules.unused:
                self._note("trace", name, status, drop)
        for name, status, drop in self._files("downloads/sha256"):
            if status.st_mtime < rules.unused:
                if _SHA256.fullmatch(name):
                    self._note("download", f"sha256:{name}", status, drop)
                elif _PART.fullmatch(name):
                    self._note("leftover", f"downloads/sha256/{name}", status, drop)
        for name, status, drop in self._files("building"):
            if _SHA256.fullmatch(name):  # a lock, and nobody is here to hold it
                self._note("leftover", f"building/{name}", status, drop)
        self._served(self._state)
        for _ in self._files(""):
            pass

    def trees(self, driver: Driver, idmap: IdMap) -> None:
        """Look at what was written by root of a namespace with this map, which this process is."""
        drivers = [Driver(name) for name in sorted(TREES)]
        for one in [*drivers, *([driver] if driver.places else [])]:
            folder = one.folder(self._state)
            self._served(folder)
            for name in self._directories(folder):
                if not _IDMAP.fullmatch(name):
                    continue
                if may_handle(idmap, name):
                    self._snapshots(store_of(one, self._state, name), one.name)
                else:
                    what = "made by another user, or with other subordinate ids"
                    self._leave(f"{folder / name}: {what}")
        self._caches()
        for name in self._directories(self._state):
            if _TEMPORARY.fullmatch(name):
                drop = partial(_remove_workplace, self._state / name)
                self._found_tree("leftover", name, self._state / name, drop)

    def _served(self, folder: Path) -> None:
        for name, status, drop in self._files(folder / SERVED):
            if folder / SERVED / name in self._rules.gone:
                self._note("leftover", self._shown(folder / SERVED / name), status, drop)

    def _snapshots(self, store: Store, driver: str) -> None:
        try:
            found = unneeded(store, self._rules.chains, before=self._rules.doubtful)
            going = [*found.snapshots, *found.debris]
            sizes = freed(going, found.staying)
        except OSError as error:
            self._leave(f"{error.filename or store.folder}: {error.strerror}")
            return
        self._spared += found.spared
        for path, size in zip(going, sizes, strict=True):
            remove_it: Callable[[Path], object] = (
                store.bury_if_unused if path.is_dir() else os.unlink
            )
            thing = Thing("leftover", self._shown(path), size)
            if path in found.snapshots:
                thing = Thing("snapshot", f"sha256:{path.name}", size, driver)
            self._found.append(_Found(thing, partial(remove_it, path)))

    def _caches(self) -> None:
        """The caches of package managers, each a directory and a lock beside it."""
        above = self._state / "packages"
        fd = self._open(above)
        if fd is None:
            return
        matches = [match for match in map(_CACHE.fullmatch, sorted(os.listdir(fd))) if match]
        for name in dict.fromkeys(match[1] for match in matches):
            if _last_change(fd, f"{name}.lock", name) < self._rules.unused:
                size = usage(f"{name}.lock", dir_fd=fd)
                drop = partial(_remove_all, fd, (name, f"{name}.lock"))
                self._found_tree("cache", name, above / name, drop, more=size)
            elif os.path.lexists(above / name / "step"):  # of an installation that was killed
                drop = partial(_remove_below, above / name, "step")
                step = above / name / "step"
                self._found_tree("leftover", self._shown(step), step, drop)

    def _files(
        self, folder: str | Path
    ) -> Iterator[tuple[str, os.stat_result, Callable[[], object]]]:
        """The plain files of a folder of the state, but for temporary ones, which are noted."""
        fd = self._open(self._state / folder)
        for name in sorted(os.listdir(fd)) if fd is not None else ():
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                drop = partial(os.unlink, name, dir_fd=fd)
                if _TEMPORARY.fullmatch(name):
                    shown = self._shown(self._state / folder / name)
                    self._note("leftover", shown, status, drop)
                else:
                    yield name, status, drop

    def _directories(self, folder: Path) -> list[str]:
        fd = self._open(folder)
        return (
            []
            if fd is None
            else sorted(
                name
                for name in os.listdir(fd)
                if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
            )
        )

    def _open(self, folder: Path) -> int | None:
        """The folder, open until the end; None, and noted, if it can't be."""
        try:
            fd = linux.openat2(linux.AT_FDCWD, os.fsencode(folder), _DIRECTORY, resolve=_RESOLVE)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._leave(f"{folder}: {error.strerror}")
            return None
        self._stack.callback(os.close, fd)
        return fd

    def _note(
        self, kind: str, name: str, status: os.stat_result, drop: Callable[[], object]
    ) -> None:
        self._found.append(_Found(Thing(kind, name, status.st_blocks * 512), drop))

    def _found_tree(
        self,
        kind: str,
        name: str,
        path: Path,
        drop: Callable[[], object],
        *,
        more: int = 0,
    ) -> None:
        try:
            size = usage(path) + more
        except OSError as error:
            self._leave(f"{path}: {error.strerror}")
        else:
            self._found.append(_Found(Thing(kind, name, size), drop))

    def _dropped(self, found: _Found) -> bool:
        thing = found.thing
        try:
            done = found.drop() is not False
        except OSError as error:
            self._leave(f"{thing.kind} {thing.name}: {error.strerror}")
            return False
        if not done:
            self._leave(f"{thing.kind} {thing.name}: in use")
        return done

    def _leave(self, why: str) -> None:
        self._left.append(_printable(why))

    def _shown(self, path: Path) -> str:
        is_in_it = path.is_relative_to(self._state)
        return _printable(str(path.relative_to(self._state) if is_in_it else path))


def _printable(text: str) -> str:
    """Text that JSON can hold, whatever bytes are in the name of a state."""
    return text.encode(errors="backslashreplace").decode()


def may_handle(idmap: IdMap, key: str) -> bool:
    """Whether root of a namespace with `idmap` owns what was made under the map of that key."""
    own = msgspec.structs.replace(idmap, kind="single", uids=idmap.uids[:1], gids=idmap.gids[:1])
    return idmap.kind == "identity" or key in (idmap.key, own.key)


def _last_change(fd: int, *names: str) -> float:
    """Of the first of the names that is there."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime
    return 0.0


def _remove_all(fd: int, names: tuple[str, ...]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            remove(fd, os.fsencode(name))


def _remove_below(directory: Path, name: str) -> None:
    fd = os.open(directory, _DIRECTORY)
    try:
        remove(fd, os.fsencode(name))
    finally:
        os.close(fd)


def _remove_workplace(place: Path) -> None:
    """What a killed `doctor` has left: it tries every driver there is."""
    remove_snapshots(Driver("btrfs").folder(place))
    _remove_below(place.parent, place.name)
