"""Packages by name, and what packages need, fetched by the root's apt-get."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from genoci.build.install import apt_words as words
from genoci.build.install import dpkg
from genoci.build.install.apt_words import Planned
from genoci.build.install.lock import check_offered, check_planned, preferences
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.errors import BuildError, StepFailed
from genoci.layer.remove import remove
from genoci.package.archive import Archive
from genoci.spec.pinned import Pinned

_LISTS, _CACHE = "/var/lib/apt/lists", "/var/cache/apt"
_FRESH = 3600  # seconds that lists are used without asking whether there are newer ones
_PREFERENCES = "/etc/apt/preferences.d/genoci-lock.pref"

_SETTINGS = {
    "Dir::State::Lists": _LISTS,
    "Dir::Cache": _CACHE,
    "Dir::Cache::Archives": "archives/",
    "Dir::Cache::pkgcache": "pkgcache.bin",
    "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
    "APT::Install-Recommends": "false",
    "APT::Install-Suggests": "false",
    # Its own user can't be had in a namespace of one id; the container confines it in any case.
    "APT::Sandbox::User": "root",
    "APT::Color": "0",
    "APT::Update::Error-Mode": "any",
    "Acquire::Retries": "2",
    "Acquire::Languages": "none",
    "Acquire::ForceHash": "SHA256",
    "Dpkg::Progress-Fancy": "0",
    "Dpkg::Use-Pty": "0",
}

# What is in the cache is not printed as something to fetch.
_WITHOUT_A_CACHE = ("install", "-o", "Dir::Cache::Archives=nothing/")


class Apt:
    family = "deb"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        """Fetch with the network, then install without: only apt-get itself ever has it.

        What is fetched lies in the cache. The root's programs get copies of it to install from,
        compared with what the lists say, so that no package's script can change the next build's.
        """
        return _Installation(batch, place).perform()


class _Installation:
    """One batch, and what is known of it so far."""

    def __init__(self, batch: Batch, place: Workplace) -> None:
        self._batch = batch
        self._place = place
        self._updated = False
        self._marker = place.cache / "updated"
        self._cache = {
            _LISTS: _made(place.cache / "lists"),
            _CACHE: _made(place.cache / "cache"),
        }
        self._files: dict[str, Archive] = {}
        self._wanted: list[str] = []

    def perform(self) -> tuple[Pinned, ...]:
        self._files = dpkg.brought(self._batch.archives, self._place)
        self._wanted = [*(f"{dpkg.FILES}/{name}" for name in self._files), *self._batch.names]
        if not self._is_fresh():
            self._update()
        plan = self._plan()
        plan = self._download(plan)
        copies = self._copied(plan)
        done = self._apt("install", "--", *self._wanted, shown=copies)
        if done.status != 0:
            raise dpkg.failure(done, self._batch, self._files, self._place)
        return tuple(one.pinned() for one in words.in_order(plan, done.output))

    # The lists

    def _is_fresh(self) -> bool:
        try:
            return time.time() - self._marker.stat().st_mtime < _FRESH
        except FileNotFoundError:
            return False

    def _update(self) -> None:
        """Fetch the lists; where that fails and there are older ones, say so and use those."""
        scratch = _made(self._place.folder / "scratch")  # hooks like to empty the cache meanwhile
        shown = {_LISTS: self._cache[_LISTS], _CACHE: scratch}
        done = self._apt("update", shown=shown, network=True)
        self._updated = True
        if done.status == 0 and not words.unreached(done.output):
            self._marker.touch()
        elif self._marker.exists():
            self._place.warn(
                "the package lists could not be brought up to date; older ones are used",
                "See what apt-get says above: is the network there, and the mirror?",
            )
        else:
            raise self._failed(
                done,
                "apt-get could not fetch the package lists",
                "Is the network there, and the mirror that the image's /etc/apt names? "
                "Behind a proxy, set http_proxy and https_proxy.",
            )

    def _update_once(self) -> bool:
        """Whether there is hope that newer lists change something."""
        if self._updated:
            return False
        self._update()
        return True

    # What is to be fetched

    def _plan(self) -> list[Planned]:
        if self._batch.pins is not None:
            self._check_pins(self._batch.pins)
        done = self._apt(*_WITHOUT_A_CACHE, "--print-uris", "--", *self._wanted, quiet=True)
        if done.status != 0:
            if self._update_once():
                return self._plan()
            raise self._failed(
                done,
                "apt-get can't install what is asked for: "
                + "; ".join(words.complaints(done.output)),
                "See how the packages are called in the release that the image has; its "
                "/etc/apt says where they are looked for.",
            )
        plan = words.planned(done.output)
        if self._batch.pins is not None:
            check_planned(plan, self._batch.pins, where=self._place.where)
        return plan

    def _check_pins(self, pins: Sequence[Pinned]) -> None:
        """All of them must still be there: or there is a list of those that are not."""
        asked = [f"{pin.name}:{pin.architecture}={pin.version}" for pin in pins]
        if not asked:
            return
        done = self._run("apt-cache", "show", "--", *asked, quiet=True)
        offered = words.offered(done.output)
        try:
            check_offered(offered, pins, where=self._place.where)
        except BuildError:
            if not self._update_once():
                raise
            self._check_pins(pins)

    def _download(self, plan: list[Planned]) -> list[Planned]:
        """Have what is planned in the cache; the plan, which changes with the lists."""
        if not plan:
            return plan
        self._forget_damaged(plan)
        done = self._apt("install", "--download-only", "--", *self._wanted, network=True)
        if done.status == 0:
            return plan
        if words.is_outdated(done.output) and self._update_once():
            return self._download(self._plan())
        raise self._failed(
            done,
            "apt-get could not fetch the packages: " + "; ".join(words.complaints(done.output)),
            "Is the network there, and the mirror that the image's /etc/apt names? "
            "Behind a proxy, set http_proxy and https_proxy.",
        )

    def _forget_damaged(self, plan: Sequence[Planned]) -> None:
        """Have those fetched anew that are not what the lists say: apt-get compares their size."""
        folder = os.open(_made(self._cache[_CACHE] / "archives"), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for one in plan:
                if not _is_whole(folder, one):
                    with contextlib.suppress(FileNotFoundError):
                        remove(folder, os.fsencode(one.file))
        finally:
            os.close(folder)

    def _copied(self, plan: Sequence[Planned]) -> dict[str, Path]:
        """Copies of lists and packages, each compared with what the lists say of it."""
        lists = _made(self._place.folder / "lists")
        cache = _made(self._place.folder / "cache")
        archives = _made(cache / "archives")
        _copy_files(self._cache[_LISTS], lists)
        _copy_files(self._cache[_CACHE], cache)
        for one in plan:
            source = self._cache[_CACHE] / "archives" / one.file
            if not source.exists():  # of a repository that is a directory of the root
                continue
            dpkg.copy_checked(source, archives / one.file, one.sha256, one.file)
        return {_LISTS: lists, _CACHE: cache}

    # Programs

    def _apt(
        self,
        *arguments: str,
        shown: dict[str, Path] | None = None,
        network: bool = False,
        quiet: bool = False,
    ) -> Ended:
        return self._run(
            "apt-get", "-q", "-y", *arguments, shown=shown, network=network, quiet=quiet
        )

    def _run(
        self,
        program: str,
        *arguments: str,
        shown: dict[str, Path] | None = None,
        network: bool = False,
        quiet: bool = False,
    ) -> Ended:
        settings = [f"{key}={value}" for key, value in _SETTINGS.items()]
        settings += [f"Dpkg::Options::={option}" for option in dpkg.OPTIONS]
        overlaid = dict(dpkg.NO_SERVICES)
        if self._batch.pins is not None:
            overlaid[_PREFERENCES] = preferences(self._batch.pins)
            settings.append("APT::Get::allow-downgrades=true")
        return self._place.run(
            program,
            *(word for setting in settings for word in ("-o", setting)),
            *arguments,
            network=network,
            shown={**(shown or self._cache), dpkg.FILES: self._place.folder / "files"},
            overlaid=overlaid,
            env=dpkg.ENVIRONMENT,
            quiet=quiet,
        )

    def _failed(self, done: Ended, what: str, mend: str) -> StepFailed:
        return StepFailed(
            what, status=done.status, tail=done.tail, where=self._place.where, mend=mend
        )


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _is_whole(folder: int, one: Planned) -> bool:
    """Whether the file in the cache is the planned one; what lies there may be anything."""
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(one.file, flags, dir_fd=folder), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == one.sha256
    except OSError:
        return False


def _copy_files(source: Path, target: Path) -> None:
    """The plain files of a directory, with their times: what was written into it may be hostile."""
    for path in source.iterdir():
        if stat.S_ISREG(path.lstat().st_mode):
            shutil.copy2(path, target / path.name, follow_symlinks=False)
