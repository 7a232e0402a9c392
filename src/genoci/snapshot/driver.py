"""The shape of a snapshot driver: what the builder needs of a copy-on-write filesystem."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from genoci.oci.digest import Digest


class Driver(NamedTuple):
    """Which driver is wanted: its name, and for btrfs a directory on such a filesystem."""

    name: str = "auto"
    btrfs: str | None = None

    @property
    def places(self) -> tuple[Path, ...]:
        """Where it keeps snapshots outside of the state."""
        return () if self.btrfs is None else (Path(self.btrfs),)

    def folder(self, state: Path) -> Path:
        """The directory of its snapshots, which has one for each id map."""
        if self.name == "btrfs" and self.btrfs is not None:
            return Path(self.btrfs) / "snapshots"
        return state / "snapshots" / self.name


AUTO = Driver()


class Candidate(NamedTuple):
    """A path that may differ from the parent's.

    `inode` tells names of one file apart from copies (equal numbers: one file), for drivers
    whose mounted view can't; None: ask the tree.
    """

    path: bytes
    inode: int | None = None


class Trees(Protocol):
    """What the drivers differ in: how a root comes to be, is shown, compared, frozen and removed.

    `folder` is a directory of the store that is ours, its tree is `folder`/fs. `chain` are such
    trees of a snapshot and of all below it, the topmost first; of an empty root there are none.
    `whole`: each tree is all of a root, and needs no others to be seen.
    """

    @property
    def whole(self) -> bool: ...

    def make(self, folder: Path, chain: list[Path]) -> None:
        """Make the tree: a writable copy of the snapshot, or an empty root (0755, 0:0, time 0)."""

    def mount(self, folder: Path, chain: list[Path]) -> None:
        """Mount the whole root at `folder`/root, and the snapshot, if any, at `folder`/parent-root.

        Raises OSError. The tree may be new, or one that was kept, or frozen by a killed process.
        """

    def candidates(self, folder: Path, parent: Path | None) -> Iterator[Candidate]:
        """As Active has them, of what is mounted; `parent` is where the snapshot is."""

    def freeze(self, folder: Path) -> None:
        """Make it what a snapshot is; it is unmounted, and will be renamed. May be repeated."""

    def remove(self, tree: Path) -> None:
        """Remove the tree, whatever it holds; FileNotFoundError if it is not there."""


class Active(Protocol):
    """A writable root being built; discarded at the end of its `with` unless committed or kept."""

    @property
    def root(self) -> Path:
        """The writable tree; always a mount point of its own."""

    @property
    def parent(self) -> Path | None:
        """The parent's tree, readable beside it; None: there was nothing before."""

    def candidates(self) -> Iterator[Candidate]:
        """Every path that may differ from the parent, removed ones included, in any order."""

    def commit(self, chain_id: Digest) -> None:
        """Freeze as the snapshot `chain_id`, by rename; if that exists already, discard this."""

    def keep(self, name: str) -> None:
        """Leave it as `name` for somebody to go on with, replacing what was kept so before."""


class Snapshotter(Protocol):
    def exists(self, chain_id: Digest) -> bool: ...

    def making(self, chain_id: Digest) -> AbstractContextManager[None]:
        """Until the block ends, every other process that wants to make this snapshot waits."""

    def prepare(self, parent: Digest | None) -> AbstractContextManager[Active]:
        """A writable copy of the snapshot `parent` (None: an empty root, 0755, 0:0, time 0)."""

    def remove(self, chain_id: Digest) -> None:
        """Drop a snapshot; one that is not there is no error, one in use waits or raises."""

    def kept(self, name: str) -> AbstractContextManager[Active] | None:
        """What was kept as `name` ("failed", "checkout"), writable again; None: nothing.

        It is still there afterwards, unless it was committed.
        """

    def sweep(self, *, failed: bool = False) -> None:
        """Remove what killed processes left behind, and with `failed` the failed root.

        Never what a living process uses, and never a checkout.
        """
