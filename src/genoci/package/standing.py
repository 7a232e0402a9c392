"""What stands in a root while a batch of packages is placed in it."""

from __future__ import annotations

from collections.abc import Callable

from genoci.errors import ArchiveError
from genoci.layer.entry import Entry, Kind
from genoci.layer.resolve import is_directory, resolve
from genoci.layer.tar import shown
from genoci.layer.tree import Tree

Warn = Callable[..., None]
"""Told what, and the mend if there is one."""


class Standing:
    """`tree`, which may or may not show what the batch has placed so far, with all of that."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._placed: dict[bytes, tuple[Kind, str]] = {}

    def place(self, entry: Entry, package: str, warn: Warn) -> None:
        """Remember what `package` brings; `warn` is told what another has brought before."""
        kind, before = self._placed.get(entry.path, (entry.kind, package))
        if before != package and Kind.DIRECTORY not in (kind, entry.kind):
            warn(
                f"/{shown(entry.path)} is in {before} and in {package}, and that of {package} stays"
            )
        self._placed[entry.path] = (entry.kind, package)

    def is_directory(self, path: bytes) -> bool:
        """Whether a directory is there, or a link to one."""
        if path in self._placed:
            return self._placed[path][0] is Kind.DIRECTORY
        try:
            return is_directory(self._tree, path)
        except ArchiveError:  # links that lead in a circle
            return False

    def is_foreign(self, path: bytes) -> bool:
        """Whether something is there that the batch did not bring."""
        if path in self._placed:
            return False
        try:
            return resolve(self._tree, path) is not None
        except ArchiveError:
            return False
