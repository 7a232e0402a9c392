"""A case: one job, who does it, and what is to be reached."""

from __future__ import annotations

import contextlib
import functools
import itertools
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench import docker
from bench.peers import Genoci
from bench.timing import Contender, Result

Results = Mapping[str, Result]


class Aim(NamedTuple):
    """A number that follows from the results, and the most that it may be, if that was said.

    `value` raises Unmeasured where somebody that it needs was not measured.
    """

    what: str
    value: Callable[[Results], float]
    at_most: float | None = None
    unit: str = "×"


class Case(NamedTuple):
    title: str
    contenders: list[Contender]
    aims: list[Aim]


def ratio(who: str, to: str, at_most: float | None = None) -> Aim:
    """How long one takes for a second of the other."""
    what = f"{who} / {to}"
    return Aim(what, lambda results: results[who].median / results[to].median, at_most)


class Place:
    """Where a case works; `folder` is empty. Nothing in it is deleted before the case is over."""

    def __init__(
        self, folder: Path, root: Path, program: Path, closing: contextlib.ExitStack
    ) -> None:
        self.program = program
        self._folder = folder
        self._root = root
        self._closing = closing
        self._numbers = itertools.count()

    def new(self) -> Path:
        """A new folder, for a run or for what runs share."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def genoci(self, yaml: str = "") -> Genoci:
        """With nothing in its layout and its state."""
        return Genoci(self.new(), self.program, yaml)

    @functools.cached_property
    def tarball(self) -> Path:
        """The root filesystem of 500 MB, `.tar.gz`, on the filesystem of the case."""
        return Path(shutil.copy(self._root, self.new() / "root.tar.gz"))

    @functools.cached_property
    def tree(self) -> Path:
        """The same, unpacked."""
        folder = self.new()
        # An ordinary user can't make the devices.
        words = ["tar", "-xzf", str(self.tarball), "--exclude=./dev/*", "-C", str(folder)]
        subprocess.run(words, check=True)
        return folder

    @functools.cached_property
    def docker(self) -> docker.Docker:
        """An engine of this case's own. Raises Failed."""
        return self._closing.enter_context(docker.engine(self.new()))

    def context(self, tarball: Path) -> Path:
        """A new folder with nothing but this tarball in it, under the same name."""
        folder = self.new()
        (folder / tarball.name).hardlink_to(tarball)
        return folder

    @property
    def python(self) -> tuple[str, ...]:
        """The interpreter that genoci runs on."""
        return (str(self.program.parent / "python"), "-c")
