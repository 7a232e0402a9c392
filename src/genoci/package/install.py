"""Packages into a root that has no package manager: their files, and what registers them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from genoci.errors import BuildError
from genoci.layer.member import Placeable
from genoci.layer.tree import Tree
from genoci.package import deb_install, debian_dependencies, script
from genoci.package.archive import Archive, reopened
from genoci.package.deb import Deb
from genoci.package.rpm import Rpm
from genoci.package.standing import Standing, Warn
from genoci.package.wording import readable


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

    Raises, before the first member, BuildError that shows the script for a package whose scripts
    would have to run, unless it is in `skip_scripts`, and for a package that comes twice;
    ArchiveError for a damaged one.
    """
    _refuse_twice(archives)
    debs = [(one, _deb(one)) for one in archives if one.family == "deb"]
    rpms = [(one, _rpm(one)) for one in archives if one.family == "rpm"]
    scripts = [(archive, one) for archive, deb in debs for one in deb.scripts()]
    scripts += [(archive, one) for archive, rpm in rpms for one in rpm.scripts()]
    script.refuse(one for archive, one in scripts if archive not in skip_scripts)
    standing = Standing(tree)
    if debs:
        _tell(_unmet_of_debs([package for _, package in debs], tree, warn), warn)
        for archive, deb in debs:
            yield from deb_install.members(archive, deb, standing, warn)
    if rpms:
        yield from _members_of_rpms(rpms, tree, standing, epoch, warn)


def _refuse_twice(archives: Sequence[Archive]) -> None:
    known: dict[tuple[str, str, str], Archive] = {}
    for one in archives:
        other = known.setdefault((one.family, one.name, one.architecture), one)
        if other is not one:
            raise BuildError(
                f"{other.named} and {one.named} are the same package, {one.name}"
                f" {other.version} and {one.version}",
                mend="Name one of them.",
            )


def _members_of_rpms(
    batch: Sequence[tuple[Archive, Rpm]],
    tree: Tree,
    standing: Standing,
    epoch: int | None,
    warn: Warn,
) -> Iterator[Placeable]:
    from genoci.package import rpm_install

    there = rpm_install.database(tree)
    _tell(rpm_install.unmet(batch, there, standing), warn)
    for archive, package in batch:
        yield from rpm_install.members(archive, package, tree, standing, warn)
    yield from rpm_install.registered(there, [package for _, package in batch], epoch, warn)


def _deb(archive: Archive) -> Deb:
    from genoci.package import deb

    with reopened(archive) as fd:
        return deb.read(fd, archive.named)


def _rpm(archive: Archive) -> Rpm:
    from genoci.package import rpm, rpm_dependencies

    with reopened(archive) as fd:
        package = rpm.read(fd, archive.named)
    rpm_dependencies.check_features(package.header, archive.named)
    return package


def _unmet_of_debs(batch: Sequence[Deb], tree: Tree, warn: Warn) -> list[str]:
    there = debian_dependencies.registered(tree)
    for package in batch:
        before = there.names.get(package.identity.name)
        if before not in (None, package.identity.version):
            warn(
                f"{package.identity.name} {readable(before or '')} is in this root already, and no"
                f" package manager: what {package.identity.version} no longer has stays"
            )
    return debian_dependencies.unmet([package.fields for package in batch], there)


def _tell(unmet: list[str], warn: Warn) -> None:
    if unmet:
        shown = f"{'; '.join(unmet[:40])}{'; …' if len(unmet) > 40 else ''}"
        warn(
            f"this root has no package manager, and not all that its packages need: {shown}",
            "Install these packages too, unless the image has them by other means.",
        )
