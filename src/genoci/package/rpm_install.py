"""rpm packages into a root without rpm: their files, and a database that knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from genoci.errors import BuildError
from genoci.layer import tar
from genoci.layer.entry import join
from genoci.layer.member import Placeable
from genoci.layer.tree import Tree
from genoci.package import root_files, rpm, rpm_dependencies, rpm_installed, rpm_payload
from genoci.package.archive import Archive, reopened
from genoci.package.placed import made
from genoci.package.root_files import content, ids
from genoci.package.rpm_files import listed
from genoci.package.rpm_header import Header
from genoci.package.rpm_tags import FileFlag, Tag
from genoci.package.standing import Standing, Warn

# Where distributions have it; a root without any gets the last, where every scanner looks.
_FOLDERS = (b"usr/lib/sysimage/rpm", b"usr/share/rpm", b"var/lib/rpm")
_FILE = b"rpmdb.sqlite"
_OTHERS = {b"Packages": "Berkeley DB's", b"Packages.db": "rpm's own, ndb"}
_MOST_DATABASE = 512 << 20  # bytes; thousands of packages take 200 MB


class Database(NamedTuple):
    """A root's database: its folder, and the headers in it by their numbers."""

    folder: bytes
    headers: list[tuple[int, Header]]


def members(
    archive: Archive, package: rpm.Rpm, tree: Tree, standing: Standing, warn: Warn
) -> Iterator[Placeable]:
    """The files. As with rpm, a configuration file that may not be replaced stays."""
    kept = FileFlag.CONFIG | FileFlag.NOREPLACE
    with reopened(archive) as fd:
        users, groups = ids(tree, b"etc/passwd"), ids(tree, b"etc/group")
        for file, placeable in rpm_payload.members(
            fd, package, archive.named, users=users, groups=groups, warn=warn
        ):
            if file.flags & kept == kept and standing.is_foreign(file.path):
                warn(f"/{tar.shown(file.path)} was there before {archive.name}, and stays")
                continue
            standing.place(placeable.entry, archive.name, warn)
            yield placeable


def database(tree: Tree) -> Database:
    """What the root has. Raises BuildError for a database that can't be made anew."""
    for known in _FOLDERS:
        folder, names = root_files.folder(tree, known)
        if other := next((name for name in _OTHERS if name in names), None):
            raise BuildError(
                f"the root's rpm database has a form that is not sqlite's but {_OTHERS[other]}",
                where=f"/{tar.shown(join(folder, other))}",
                mend="Install where rpm is in the root, or run `rpmdb --rebuilddb --define"
                " '_db_backend sqlite'` in an earlier step.",
            )
        if _FILE in names:
            return Database(folder, _read(tree, join(folder, _FILE)))
    there = (folder for folder in _FOLDERS if tree.node(folder) is not None)
    return Database(next(there, _FOLDERS[-1]), [])


def _read(tree: Tree, path: bytes) -> list[tuple[int, Header]]:
    from genoci.package import rpm_database

    where = f"/{tar.shown(path)}"
    log = path + b"-wal"
    raw = content(tree, path, _MOST_DATABASE + 1)
    if len(raw) > _MOST_DATABASE or content(tree, log, 1):
        what = "is larger than 512 MiB" if len(raw) > _MOST_DATABASE else "was left in the middle"
        raise BuildError(
            f"the root's rpm database {what}",
            where=where,
            mend="Run `rpmdb --rebuilddb` in a step of the image that brings it.",
        )
    return rpm_database.packages(raw, where) if raw else []


def registered(
    there: Database, batch: Sequence[rpm.Rpm], epoch: int | None, warn: Warn
) -> Iterator[Placeable]:
    """The database with the batch in it. One of the same name and architecture is replaced.

    The time of the installation is `epoch`, or when the newest of the batch was built.
    """
    from genoci.package import rpm_database

    time = max(package.time for package in batch) if epoch is None else epoch
    new = {_key(package.header) for package in batch}
    headers = [one for one in there.headers if _key(one[1]) not in new]
    for _, header in there.headers:
        if _key(header) in new:
            name = header.string(Tag.NAME)
            warn(
                f"{name} is in this root already, and no package manager:"
                " what the new package no longer has stays"
            )
    last = max((number for number, _ in there.headers), default=0)
    for number, package in enumerate(batch, last + 1):
        headers.append((number, rpm_installed.installed(package, time)))
    raw = rpm_database.made(headers)
    yield made(join(there.folder, _FILE), raw, time * 10**9)


def _key(header: Header) -> tuple[str, str]:
    return header.string(Tag.NAME), header.string(Tag.ARCHITECTURE)


def unmet(
    batch: Sequence[tuple[Archive, rpm.Rpm]], there: Database, standing: Standing
) -> list[str]:
    """What the batch needs and neither it nor the root has, in words."""
    provided = rpm_dependencies.Provided(lambda path: standing.is_foreign(tar.clean(path)))
    for _, header in there.headers:
        provided.add(header, ())  # its files are in the root, or are not
    for archive, package in batch:
        paths = [file.path for file in listed(package.header, archive.named)]
        provided.add(package.header, paths)
    return list(
        rpm_dependencies.unmet(
            ((archive.name, package.header) for archive, package in batch), provided
        )
    )
