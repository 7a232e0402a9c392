"""Packages by name with zypper."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from genoci.build.install import rpmdb
from genoci.build.install.by_name import install_batch
from genoci.build.install.downloads import Download, downloads
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.build.install.rpm import ENVIRONMENT, Files
from genoci.build.install.unwritten import unwritten
from genoci.layer.beneath import Beneath
from genoci.layer.remove import remove
from genoci.layer.resolve import resolve
from genoci.layer.tree import Tree
from genoci.spec.pinned import Pinned

_CACHE = "/var/cache/zypp"  # in it: packages/REPOSITORY/PATH
_LOCKS = "/etc/zypp/locks"
_OWN = (
    (b"var/lib/zypp", b"AnonymousUniqueId"),
    (b"var/lib/YaST2", b"cookies"),
    (b"var/log/zypp", b""),
)
_AUTOMATIC = b"var/lib/zypp/AutoInstalled"
_WHEN = re.compile(rb"^(# AutoInstalled generated).*$", re.MULTILINE)
_MOST = 16 << 20  # bytes of a file that is read whole
_MERELY_SAID = (102, 103)  # zypper(8): the machine, or zypper itself, should be started anew
_OPTIONS = ("--non-interactive", "--no-color", "--cache-dir", _CACHE)


class Zypper:
    """`zypper install`, without recommended packages. Signatures are checked as it is set up."""

    family = "rpm"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        with ExitStack() as stack:
            for folder, prefix in _OWN:
                stack.enter_context(unwritten(place, folder, prefix))
            stack.enter_context(rpmdb.settled(place))
            pinned = install_batch(batch, place, _Repositories(batch, place))
            _forget_when(place)
            return pinned


class _Repositories:
    name = "zypper"
    shown = _CACHE
    takes_files = False  # it asks whether one without a signature is really meant

    def __init__(self, batch: Batch, place: Workplace) -> None:
        self._place = place
        self._pins = batch.pins

    def offered(self, pins: Sequence[Pinned]) -> Collection[tuple[str, str, str]]:
        self._refresh()
        names = [pin.name for pin in pins]
        options = ("--details", "--match-exact", "--type", "package")
        said = self._run("--no-refresh", "search", *options, *names, quiet=True)
        # S | Name | Type | Version | Arch | Repository
        rows = [fields for fields in _table(said.output) if len(fields) == 6]
        return {(fields[1], fields[3], fields[4]) for fields in rows}

    def download(self, wanted: Sequence[str], files: Files) -> Ended:
        refreshed = self._refresh()
        if refreshed.status != 0:
            return refreshed
        return self._install("--download-only", *wanted, network=True)

    def install(self, wanted: Sequence[str], files: Files) -> Ended:
        with _kept(self._place):
            return self._install(*wanted)

    def sources(self, found: Sequence[Download]) -> dict[Download, str]:
        said = self._run("--no-refresh", "repos", "--uri", quiet=True)
        addresses = {fields[1]: fields[-1] for fields in _table(said.output) if len(fields) > 2}
        sources = {}
        for one in found:
            _, repository, path = (*one.path.split("/", 2), "", "")[:3]
            if repository in addresses:
                sources[one] = f"{addresses[repository].rstrip('/')}/{path}"
        return sources

    def _refresh(self) -> Ended:
        # What it noted of the root is taken for that of another with as many packages.
        for parent, name in _found(self._place.cache, b"solv/@System"):
            with contextlib.suppress(FileNotFoundError):
                remove(parent, name)
        return self._run("refresh", network=True)

    def _install(self, *arguments: str, network: bool = False) -> Ended:
        options = ["--no-recommends"]
        if self._pins is not None:
            options.append("--oldpackage")
        ended = self._run("--no-refresh", "install", *options, *arguments, network=network)
        return ended._replace(status=0) if ended.status in _MERELY_SAID else ended

    def _run(self, *arguments: str, network: bool = False, quiet: bool = False) -> Ended:
        locks = {}
        if self._pins is not None:
            locks[_LOCKS] = _content(self._place.tree, _LOCKS) + b"".join(map(_lock, self._pins))
        return self._place.run(
            "zypper",
            *_OPTIONS,
            *arguments,
            network=network,
            shown={_CACHE: self._place.cache},
            overlaid=locks,
            env=ENVIRONMENT,
            quiet=quiet,
        )


def _lock(pin: Pinned) -> bytes:
    """No other version of it, in the words of zypper's own locks."""
    return (
        "\ntype: package\nmatch_type: exact\ncase_sensitive: on\n"
        f"solvable_name: {pin.name}\nversion: != {pin.version}\n"
    ).encode()


def _table(output: str) -> Iterator[list[str]]:
    """The rows of what zypper draws with `|`, the heading among them."""
    for line in output.splitlines():
        if "|" in line:
            yield [field.strip() for field in line.split("|")]


@contextmanager
def _kept(place: Workplace) -> Iterator[None]:
    """Have the downloads, which zypper removes once they are installed, in the cache again."""
    kept = place.folder / "kept"
    kept.mkdir()
    found = [one.path for one in downloads(place.cache, ".rpm")]
    for number, path in enumerate(found):
        os.link(place.cache / path, kept / str(number))
    yield
    for number, path in enumerate(found):
        for parent, name in _found(place.cache, os.fsencode(path)):
            with contextlib.suppress(FileExistsError):
                os.link(kept / str(number), name, dst_dir_fd=parent)


def _found(folder: Path, path: bytes) -> Iterator[tuple[int, bytes]]:
    """The directory of `path` beneath the folder, if there is one, and its name there.

    No link is followed: programs of the root have written there.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    beneath = Beneath(fd)
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield beneath.parent(path)
    finally:
        beneath.close()
        os.close(fd)


def _forget_when(place: Workplace) -> None:
    """Take the time out of a comment in the list of what was installed for others."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for parent, name in _found(place.root, _AUTOMATIC):
        try:
            fd = os.open(name, flags, dir_fd=parent)
        except FileNotFoundError:
            return
        with open(fd, "r+b") as stream:
            text = stream.read(_MOST)
            settled = _WHEN.sub(rb"\1", text)
            if settled != text and len(text) < _MOST:
                stream.seek(0)
                stream.write(settled)
                stream.truncate()


def _content(tree: Tree, path: str) -> bytes:
    found = resolve(tree, os.fsencode(path))
    node = tree.node(found) if found is not None else None
    if found is None or node is None or node.entry.size > _MOST:
        return b""
    return b"".join(tree.content(found))
