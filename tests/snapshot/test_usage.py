"""How much room a removal gives back: blocks that are shared count once, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genoci import linux
from genoci.snapshot.usage import freed, usage

MIB = 1 << 20
SLACK = 64 << 10  # for directories


@pytest.fixture(params=["btrfs", "xfs"])
def folder(request: pytest.FixtureRequest, filesystem: Callable[[str], Path]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=filesystem(request.param)) as name:
        yield Path(name)


def write(path: Path, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stream:
        stream.write(os.urandom(size))
        os.fsync(stream.fileno())


def share(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with source.open("rb") as old, target.open("wb") as new:
        linux.ficlone(old.fileno(), new.fileno())
        os.fsync(new.fileno())


def about(size: int) -> object:
    return pytest.approx(size + SLACK // 2, abs=SLACK // 2)


@pytest.mark.filesystem("btrfs", "xfs")
def test_what_a_tree_shares_with_one_that_stays_is_not_freed(folder: Path) -> None:
    one, two = folder / "one", folder / "two"
    write(one / "file", MIB)
    share(one / "file", two / "file")
    write(two / "own", 2 * MIB)
    os.link(two / "own", two / "name")
    assert freed([two], [one]) == [about(2 * MIB)]
    assert freed([one], [two]) == [about(0)]
    assert freed([two], []) == [about(3 * MIB)]
    assert usage(two) == about(3 * MIB)


@pytest.mark.filesystem("btrfs", "xfs")
def test_what_several_that_go_share_is_freed_once(folder: Path) -> None:
    trees = [folder / name for name in ("one", "two", "three")]
    write(trees[0] / "file", MIB)
    for tree in trees[1:]:
        share(trees[0] / "file", tree / "file")
    write(trees[2] / "own", MIB)
    assert sum(freed(trees, [])) == about(2 * MIB)
    assert sum(freed(trees[:2], trees[2:])) == about(0)
    assert sum(freed(trees[1:], trees[:1])) == about(MIB)


@pytest.mark.filesystem("btrfs", "xfs")
def test_a_part_that_was_written_anew_is_freed(folder: Path) -> None:
    one, two = folder / "one", folder / "two"
    write(one / "file", 4 * MIB)
    share(one / "file", two / "file")
    with (two / "file").open("r+b") as stream:
        stream.seek(MIB)
        stream.write(os.urandom(MIB))
        os.fsync(stream.fileno())
    assert freed([two], [one]) == [about(MIB)]
    assert sum(freed([one, two], [])) == about(5 * MIB)


def test_a_file_of_several_names_counts_once_and_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside" / "file", MIB)
    write(tmp_path / "tree" / "file", MIB)
    os.link(tmp_path / "tree" / "file", tmp_path / "tree" / "name")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "hole").touch()
    os.truncate(tmp_path / "tree" / "hole", 100 * MIB)
    assert usage(tmp_path / "tree") == about(MIB)
    assert freed([tmp_path / "tree"], [tmp_path / "outside"]) == [usage(tmp_path / "tree")]
    here = os.open(tmp_path / "tree", os.O_RDONLY | os.O_DIRECTORY)
    assert usage("file", dir_fd=here) == usage(tmp_path / "tree" / "file") > 0
    os.close(here)
    assert usage(tmp_path / "missing") == 0


def test_a_tree_may_be_deeper_than_a_path_may_be_long(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(600):
        os.mkdir("d" * 50, dir_fd=here)
        below = os.open("d" * 50, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    fd = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(fd, os.urandom(MIB))
    os.fsync(fd)
    os.close(fd)
    os.close(here)
    assert usage(tmp_path) >= MIB
