"""Packages into a root that has no package manager: their files, and what registers them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from genoci.layer.member import Placeable
from genoci.layer.tree import Tree
from genoci.package.archive import Archive

Warn = Callable[..., None]


def install_members(
    archives: Sequence[Archive],
    tree: Tree,
    *,
    skip_scripts: Collection[Archive] = (),
    epoch: int | None = None,
    warn: Warn,
) -> Iterator[Placeable]:
    """What a batch of packages, already checked for architecture, puts into the root `tree`.

    First the files of each, in the order given; then what registers them (`var/lib/dpkg/status.d`,
    the rpm database), so that scanners find them. A content is there until the next member is
    asked for. `epoch` is SOURCE_DATE_EPOCH, in seconds; `warn(what, mend)` is told of
    dependencies that neither the batch nor the root has.

    Raises BuildError that shows the script for a package whose scripts would have to run, unless
    it is in `skip_scripts`: before the first member; ArchiveError for a damaged package.
    """
    raise NotImplementedError
