"""The `install` step: whose programs install what, or that none are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from genoci.build import words
from genoci.build.downloads import downloaded
from genoci.build.fork import Send
from genoci.build.install.find import Known, find_manager
from genoci.build.job import Job
from genoci.build.steps import NeedsARoot
from genoci.errors import BuildError
from genoci.layer.extract import expand
from genoci.layer.member import Placeable
from genoci.layer.resolve import resolve
from genoci.layer.tree import LiveTree, Tree
from genoci.oci.documents import Platform
from genoci.oci.image import Image
from genoci.package.architecture import check_architecture
from genoci.package.archive import Archive, recognise
from genoci.package.install import install_members
from genoci.spec.pinned import Pinned
from genoci.spec.target import Install, Package

Showing = Callable[[Path], AbstractContextManager[None]]

_LARGEST_LIST = 1 << 16  # bytes of dpkg's list of architectures


def refuse_paper(tree: Tree) -> None:
    """Raise NeedsARoot if the root has a package manager, which is then to do what is done."""
    if find_manager(tree) is not None:
        raise NeedsARoot


def install_on_paper(
    step: Install, job: Job, base: Image, tree: Tree, *, warn: Callable[..., None]
) -> Iterator[Placeable]:
    """What the step's package files bring into a root that has no package manager.

    Raises NeedsARoot if it has one, BuildError and ArchiveError for what can't be installed.
    """
    refuse_paper(tree)
    wanted = _Wanted.of(step, job, base, tree)
    _refuse_names(wanted)
    return _members(wanted, step, job, tree, warn)


class Ground(NamedTuple):
    """A live root, the image that it began with, and who hears what its programs say.

    `showing` shows the root, while the block runs, as its programs are to see it.
    """

    root: Path
    base: Image
    showing: Showing
    send: Send
    warn: Callable[..., None]


def install_in_a_root(
    step: Install, job: Job, ground: Ground, before: tuple[Pinned, ...]
) -> tuple[Pinned, ...]:
    """Install in a live root; what was fetched, in order. `before`: by the target's other steps.

    A root without a package manager gets what `install_on_paper` would give it.
    """
    with LiveTree(ground.root) as tree:
        wanted = _Wanted.of(step, job, ground.base, tree)
        if find_manager(tree) is None:
            _refuse_names(wanted)
            _place(_members(wanted, step, job, tree, ground.warn), ground)
            return ()
        shares = list(_shares(wanted, tree))
    from genoci.build.install.batch import install_shares

    pins = job.pins
    if pins is not None:
        pins = tuple(one for one in pins if one not in before)
    return install_shares(shares, step, job, ground, pins=pins)


def _place(members: Iterator[Placeable], ground: Ground) -> None:
    root_fd = os.open(ground.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        expand(members, root_fd, dest=b"", strip=0, warn=ground.warn)
    finally:
        os.close(root_fd)


class _Wanted(NamedTuple):
    """What a step asks for, its files looked at."""

    archives: tuple[Archive, ...]
    names: tuple[str, ...]
    deps_from_repo: bool

    @classmethod
    def of(cls, step: Install, job: Job, base: Image, tree: Tree) -> _Wanted:
        archives = []
        for package in step.packages:
            if package.name is None:
                archive = recognise(
                    _file(package, job), words.named(job.folder, package), sha256=package.sha256
                )
                if archive.architecture not in _further_architectures(tree):
                    check_architecture(archive, _platform(job, base))
                archives.append(archive)
        names = tuple(one.name for one in step.packages if one.name is not None)
        return cls(tuple(archives), names, any(one.deps_from_repo for one in step.packages))


class Share(NamedTuple):
    """What one of the root's managers is to install."""

    manager: Known
    archives: tuple[Archive, ...]
    names: tuple[str, ...]
    deps_from_repo: bool


def _shares(wanted: _Wanted, tree: Tree) -> Iterator[Share]:
    """Who installs what: names, and the files of that family, are one batch."""
    by_name = find_manager(tree, fetches=True) if wanted.names else None
    if wanted.names and by_name is None:
        raise _no_manager_for_names(wanted.names)
    families = list(dict.fromkeys(archive.family for archive in wanted.archives))
    for family in families:
        archives = tuple(one for one in wanted.archives if one.family == family)
        if by_name is not None and by_name.family == family:
            continue
        manager = find_manager(tree, family=family, fetches=wanted.deps_from_repo)
        if manager is None:
            raise _no_manager_for(archives, tree, wanted.deps_from_repo)
        yield Share(manager, archives, (), wanted.deps_from_repo)
    if by_name is not None:
        archives = tuple(one for one in wanted.archives if one.family == by_name.family)
        yield Share(by_name, archives, wanted.names, wanted.deps_from_repo)


def _file(package: Package, job: Job) -> Path:
    """The package's file: the user's, or what was downloaded before."""
    if package.path is not None:
        return Path(package.path)
    return downloaded(Path(job.state), package)


def _platform(job: Job, base: Image) -> Platform:
    text = job.target.config.platform
    return Platform.parse(text) if isinstance(text, str) else base.platform


def _further_architectures(tree: Tree) -> Sequence[str]:
    """Those that the root's dpkg was told of (`dpkg --add-architecture`)."""
    path = resolve(tree, b"var/lib/dpkg/arch")
    node = tree.node(path) if path is not None else None
    if path is None or node is None or not 0 < node.entry.size < _LARGEST_LIST:
        return ()
    return b"".join(tree.content(path)).decode(errors="replace").split()


def _members(
    wanted: _Wanted, step: Install, job: Job, tree: Tree, warn: Callable[..., None]
) -> Iterator[Placeable]:
    skipping = {words.named(job.folder, one) for one in step.packages if one.skip_scripts}
    return install_members(
        wanted.archives,
        tree,
        skip_scripts=[one for one in wanted.archives if one.named in skipping],
        epoch=job.epoch,
        warn=warn,
    )


def _refuse_names(wanted: _Wanted) -> None:
    """In a root without a package manager, nobody could find them."""
    if wanted.names:
        raise _no_manager_for_names(wanted.names)
    if wanted.deps_from_repo:
        raise BuildError(
            "the image has no package manager that could fetch what the packages need",
            mend="Leave `deps: repo` out and add the files of the packages that are needed, "
            "or use a base with apt-get, dnf, microdnf or zypper.",
        )


def _no_manager_for_names(names: Sequence[str]) -> BuildError:
    return BuildError(
        f"the image has no package manager that finds packages by name: {' '.join(names)}",
        mend="Use a base with apt-get, dnf, microdnf, zypper or apk; or name the package's file, "
        "with a / in its path or .deb or .rpm at its end.",
    )


def _no_manager_for(archives: Sequence[Archive], tree: Tree, fetches: bool) -> BuildError:
    """Why nobody can install them; `tree` has some manager."""
    family = archives[0].family
    names = " ".join(one.named for one in archives)
    plain = find_manager(tree, family=family)
    if fetches and plain is not None:
        return BuildError(
            f"the image has {plain.name}, but nothing that fetches what packages need",
            mend="Leave `deps: repo` out, and add the files of the packages that are needed.",
        )
    other = find_manager(tree)
    assert other is not None
    return BuildError(
        f"{names} can't be installed: the image's package manager is {other.name}, "
        f"and has no hand for .{family} packages",
        mend=f"Take packages of the kind .{other.family}, or a base whose package manager "
        f"installs .{family}.",
    )
