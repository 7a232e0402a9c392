"""A hundred thousand small files: made by `run`, or lying in the base while one is changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.case import Aim, Case, Place, Results, ratio
from bench.cases.changed import buildah_changed, docker_changed, genoci_changed
from bench.data import many, shell_and_files
from bench.peers import lacking, run, shell
from bench.timing import STAMP, Command, Contender

COUNT, FEW = 100_000, 10
_STEP = "echo {} > /many/0/5"


def made_by_run(place: Place) -> Case:
    """What comes after a `run` that made them: from its last act to the exit of the builder.

    The step ends by printing the time, and the clock starts there. Before it everybody has done
    the same: the same interpreter of the base has made the same files.
    """
    step = f"python3 -c '{many(COUNT)}'; : {{}}; {STAMP}"
    tree = place.new()
    run(Command((*place.python, many(COUNT)), tree))
    contenders = [
        _after_step(genoci_changed(place, "genoci", place.tarball, step, progress="plain")),
        Contender(
            "tar | igzip -1",
            lambda: shell(f"tar -c -C {tree} . | igzip -1 > blob", place.new()),
            lacking("igzip"),
        ),
        _after_step(buildah_changed(place, "buildah --layers", place.tarball, step)),
        _after_step(docker_changed(place, "docker", place.tarball, step)),
        Contender("limit: find", lambda: _looked_at(tree)),
    ]
    return Case(
        "after a `run` that made 100,000 files",
        contenders,
        [
            ratio("genoci", "tar | igzip -1", 1.2),
            ratio("genoci", "buildah --layers"),
            ratio("genoci", "docker"),
        ],
    )


def _after_step(one: Contender) -> Contender:
    return one._replace(turn=lambda: one.turn()._replace(after_step=True))


def one_changed_overlay(place: Place) -> Case:
    """A `run` changes one file of the base, which has 100,000 of them, or ten."""
    few, lots = _tarballs(place)
    peers = [
        make(place, f"{name}, {_count(tarball)}", tarball, _STEP)
        for name, make in (("buildah --layers", buildah_changed), ("docker", docker_changed))
        for tarball in (lots, few)
    ]
    return Case(
        "one file of 100,000 changed, overlay",
        [*_on(place, "overlay", few, lots), *peers],
        # "As with ten files" leaves room for the noise of two medians.
        [ratio("100,000 files", "10 files", 1.1), _each_unchanged()],
    )


def one_changed_btrfs(place: Place) -> Case:
    """The limit looks at a snapshot that is new, as genoci's is: its inodes are in no cache."""
    few, lots = _tarballs(place)
    volume = place.new() / "volume"
    run(Command(("btrfs", "subvolume", "create", str(volume)), Path("/")))
    run(shell(f"tar -xf {lots}", volume))

    def find() -> Command:
        snapshot = place.new() / "snapshot"
        run(Command(("btrfs", "subvolume", "snapshot", str(volume), str(snapshot)), Path("/")))
        return _looked_at(snapshot)

    return Case(
        "one file of 100,000 changed, btrfs",
        [*_on(place, "btrfs", few, lots), Contender("limit: find in a new snapshot", find)],
        [
            _each_unchanged(5),
            Aim(
                "find, for each file",
                lambda results: results["limit: find in a new snapshot"].median / COUNT * 1e6,
                unit="µs",
            ),
        ],
    )


def one_changed_copy(place: Place) -> Case:
    few, lots = _tarballs(place)
    tree = _unpacked(place, lots)
    copied = Contender("limit: cp -a", lambda: shell(f"cp -a {tree} copy", place.new()))
    return Case(
        "one file of 100,000 changed, copy",
        [*_on(place, "copy", few, lots), copied],
        [_each_unchanged(), ratio("100,000 files", "limit: cp -a")],
    )


def _on(place: Place, driver: str, few: Path, lots: Path) -> Sequence[Contender]:
    """On a driver by name: one that does not work fails, and is not replaced by another."""
    return [
        genoci_changed(place, _count(tarball), tarball, _STEP, "--driver", driver)
        for tarball in (lots, few)
    ]


def _tarballs(place: Place) -> tuple[Path, Path]:
    folder = place.new()
    return (
        shell_and_files(folder / "few.tar", FEW),
        shell_and_files(folder / "lots.tar", COUNT),
    )


def _count(tarball: Path) -> str:
    return "10 files" if tarball.stem == "few" else "100,000 files"


def _unpacked(place: Place, tarball: Path) -> Path:
    folder = place.new()
    run(shell(f"tar -xf {tarball}", folder))
    return folder


def _looked_at(tree: Path) -> Command:
    """Every inode, and no content."""
    return Command(("find", str(tree), "-size", "+1G"), tree)


def _each_unchanged(at_most: float | None = None) -> Aim:
    def value(results: Results) -> float:
        more = results["100,000 files"].median - results["10 files"].median
        return more / (COUNT - FEW) * 1e6

    return Aim("for each unchanged file", value, at_most, "µs")
