"""Packages into a root that has no package manager: their files, and what registers them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from genoci.layer.member import Placeable
from genoci.layer.tree import Tree
from genoci.package import deb, deb_install, debian_dependencies, script
from genoci.package.archive import Archive, reopened
from genoci.package.standing import Standing, Warn


def install_members(
    archives: Sequence[Archive],
    tree: Tree,
    *,
    skip_scripts: Collection[Archive] = (),
    epoch: int | None = None,
    warn: Warn,
) -> Iterator[Placeable]:
    """What a batch of packages, already checked for architecture, puts into the root `tree`.

    The files of each, in the order given, and what registers them, so that scanners find them:
    `var/lib/dpkg/status.d`, the rpm database. A content is there until the next member is asked
    for. `epoch` is SOURCE_DATE_EPOCH, in seconds; `warn(what, mend)` is told of dependencies that
    neither the batch nor the root has, and of configuration files that were there before.

    Raises BuildError that shows the script for a package whose scripts would have to run, unless
    it is in `skip_scripts`: before the first member; ArchiveError for a damaged package.
    """
    debs = [(archive, _read(archive)) for archive in archives if archive.family == "deb"]
    script.refuse(
        one for archive, package in debs if archive not in skip_scripts for one in package.scripts()
    )
    _tell_unmet([package for _, package in debs], tree, warn)
    standing = Standing(tree)
    for archive, package in debs:
        yield from deb_install.members(archive, package, standing, warn)


def _read(archive: Archive) -> deb.Deb:
    with reopened(archive) as fd:
        return deb.read(fd, archive.named)


def _tell_unmet(batch: Sequence[deb.Deb], tree: Tree, warn: Warn) -> None:
    if not batch:
        return
    there = debian_dependencies.registered(tree)
    for package in batch:
        before = there.names.get(package.identity.name)
        if before not in (None, package.identity.version):
            warn(
                f"{package.identity.name} {before} is in this root already, and no package manager:"
                f" what {package.identity.version} no longer has stays"
            )
    if unmet := debian_dependencies.unmet([package.fields for package in batch], there):
        warn(
            f"this root has no package manager, and not all that its packages need:"
            f" {'; '.join(unmet[:40])}{'; …' if len(unmet) > 40 else ''}",
            "Install these packages too, unless the image has them by other means.",
        )
