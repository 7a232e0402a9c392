"""The shape of a package manager: what it is asked for, and what it has to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from genoci.layer.tree import Tree
from genoci.package.archive import Archive
from genoci.spec.pinned import Pinned


class Batch(NamedTuple):
    """What one `install` step installs together.

    `archives` are package files of the manager's family, checked for integrity and architecture;
    `names` are package names as the user wrote them. `deps_from_repo`: what the archives need
    and nobody has may be fetched. `pins`: fetch these, all of them and no others; None: what is
    newest.
    """

    archives: tuple[Archive, ...]
    names: tuple[str, ...]
    deps_from_repo: bool
    pins: tuple[Pinned, ...] | None


class Ended(NamedTuple):
    """How a program of the root ended: its exit status, and the last lines that it printed.

    `output` is all of it, unless that is more than some megabytes: then the end of it.
    """

    status: int
    tail: tuple[str, ...]
    output: str


class Run(Protocol):
    def __call__(
        self,
        *argv: str,
        network: bool = False,
        shown: Mapping[str, Path] = ...,
        overlaid: Mapping[str, bytes] = ...,
        env: Mapping[str, str] = ...,
        quiet: bool = False,
    ) -> Ended:
        """Run a program of the root in the container of `run`, as its root, in `/`.

        `shown` are directories of the host by the path in the root where they are seen, writable,
        none within another; `overlaid` are programs or files of ours, executable, by path. None
        of it is left in the root. The environment is a clean one with `env` added, LC_ALL=C and
        SOURCE_DATE_EPOCH; with `network` also the host's proxies. What is printed goes to the
        build's output unless `quiet`, and into the tail. Raises BuildError if there is no such
        program.
        """


class Workplace(NamedTuple):
    """What a manager works with.

    `tree` is the root's content as it is when the step begins. `folder` is a directory of the
    host for this step alone, empty at first and gone afterwards; `cache` is one that stays, for
    downloads and lists, shared by builds on the same base and held by this one alone. `where`
    is the target and the step, for errors; `epoch` is SOURCE_DATE_EPOCH in seconds.
    """

    root: Path
    tree: Tree
    run: Run
    folder: Path
    cache: Path
    where: str
    epoch: int | None
    warn: Callable[..., None]


class Manager(Protocol):
    @property
    def family(self) -> str:
        """What it installs: "deb", "rpm" or "apk"."""

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        """Install the batch; what came from repositories, in the order of installation.

        Afterwards the root holds what a layer should: no lists, no caches, no package files, no
        logs, nothing that differs from one build to the next. Raises BuildError with the cause,
        the manager's last words and the mend.
        """
