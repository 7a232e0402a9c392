"""Random changes of random trees: the drivers agree, and what was written extracts to the same."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from filesystems import DRIVERS

if TYPE_CHECKING:
    from conftest import Bench, Built

TIME = 1_000_000_000 * 10**9  # what every time is set to that a change has made
NOW = 1_500_000_000 * 10**9  # no earlier than this: a time that a change has made

NAMES = ["a", "b", "c", "é", "d"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
TIMES = st.integers(-(2**31), 2**31).map(lambda s: s * 10**9) | st.integers(0, NOW)
IDS = st.integers(0, 3) | st.sampled_from([1000, 65534])
SIZES = st.integers(0, 6)
MODES = st.sampled_from([0o644, 0o755, 0o000, 0o4711, 0o2755, 0o1777, 0o555])

OPERATIONS = st.one_of(
    st.tuples(st.just("write"), PATHS, SIZES),
    st.tuples(st.just("overwrite"), PATHS, SIZES),
    st.tuples(st.just("sparse"), PATHS, st.integers(0, 300_000)),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("rmtree"), PATHS),
    st.tuples(st.just("again"), PATHS),
    st.tuples(st.just("unlink"), PATHS),
    st.tuples(st.just("symlink"), PATHS, PATHS),
    st.tuples(st.just("fifo"), PATHS),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("chmod"), PATHS, MODES),
    st.tuples(st.just("chown"), PATHS, IDS),
    st.tuples(st.just("xattr"), PATHS, SIZES),
    st.tuples(st.just("time"), PATHS, TIMES),
    st.tuples(st.just("restore"), PATHS),
)
STEPS = st.lists(OPERATIONS, max_size=12)
FEW = hypothesis.settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Mutation:
    """Applies operations; those that are impossible do nothing.

    Left out is what drivers are known to differ in: changing only some names of a hard link that
    a lower layer made, and renaming a directory.
    """

    def __init__(self, operations: list[tuple[object, ...]]) -> None:
        self._operations = operations

    def __call__(self, root: Path) -> None:
        self._root = root
        self._shared = {
            path for path in root.rglob("*") if path.is_file() and path.lstat().st_nlink > 1
        }
        for name, *arguments in self._operations:
            paths = [root / a if isinstance(a, str) else a for a in arguments]
            try:
                getattr(self, name)(*paths)
            except OSError:
                continue
        for path in [*root.rglob("*"), root]:
            if path.lstat().st_mtime_ns > NOW:
                os.utime(path, ns=(TIME, TIME), follow_symlinks=False)

    def _may_be_written(self, path: Path) -> bool:
        """No: a link, which may lead to what is shared, or a FIFO, for which one would wait."""
        if not os.path.lexists(path):
            return True
        return path not in self._shared and stat.S_ISREG(path.lstat().st_mode)

    def write(self, path: Path, size: int) -> None:
        if self._may_be_written(path):
            path.write_bytes(b"x" * size)

    def overwrite(self, path: Path, size: int) -> None:
        """Other content, but the size and the time of `write`."""
        if self._may_be_written(path):
            path.write_bytes(b"y" * size)

    def sparse(self, path: Path, size: int) -> None:
        if self._may_be_written(path):
            with path.open("wb") as stream:
                stream.truncate(size)
                stream.seek(size // 2)
                stream.write(b"data")

    def mkdir(self, path: Path) -> None:
        path.mkdir()

    def rmtree(self, path: Path) -> None:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise NotADirectoryError(path)  # shutil would open a FIFO, and wait
        shutil.rmtree(path)
        self._shared = {p for p in self._shared if not p.is_relative_to(path)}

    def again(self, path: Path) -> None:
        self.rmtree(path)
        path.mkdir()
        (path / "c").touch()

    def unlink(self, path: Path) -> None:
        path.unlink()
        self._shared.discard(path)

    def symlink(self, path: Path, target: Path) -> None:
        path.symlink_to(target.relative_to(self._root))

    def fifo(self, path: Path) -> None:
        os.mkfifo(path)

    def link(self, path: Path, other: Path) -> None:
        os.link(path, other, follow_symlinks=False)
        if path in self._shared:
            self._shared.add(other)

    def rename(self, path: Path, other: Path) -> None:
        if stat.S_ISDIR(path.lstat().st_mode):
            return
        path.rename(other)
        if path in self._shared and not path.exists():
            self._shared.discard(path)
            self._shared.add(other)

    def chmod(self, path: Path, mode: int) -> None:
        if path not in self._shared and not path.is_symlink():
            path.chmod(mode)

    def chown(self, path: Path, owner: int) -> None:
        if path not in self._shared:
            os.chown(path, owner, owner, follow_symlinks=False)

    def xattr(self, path: Path, size: int) -> None:
        if path not in self._shared and not path.is_symlink():
            os.setxattr(path, "user.test", b"x" * size)

    def time(self, path: Path, time: int) -> None:
        if path not in self._shared:
            os.utime(path, ns=(time, time), follow_symlinks=False)

    def restore(self, path: Path) -> None:
        """Touched, but as it was: copied up for nothing."""
        if path.exists() and self._may_be_written(path):
            content, status = path.read_bytes(), path.stat()
            path.write_bytes(content)
            path.chmod(stat.S_IMODE(status.st_mode))
            os.utime(path, ns=(0, status.st_mtime_ns))


def chain(bench: Bench, *layers: list[tuple[object, ...]]) -> list[Built]:
    built: list[Built] = []
    for operations in layers:
        built.append(bench.build(Mutation(operations), on=built[-1] if built else None, calm=False))
    return built


@pytest.mark.filesystem("btrfs", "xfs")
@FEW
@given(first=STEPS, second=STEPS, third=STEPS)
def test_the_drivers_give_the_same_layers(
    bench_of: Callable[[str], Bench],
    first: list[tuple[object, ...]],
    second: list[tuple[object, ...]],
    third: list[tuple[object, ...]],
) -> None:
    expected = chain(bench_of("overlay"), first, second, third)
    for driver in DRIVERS[1:]:
        found = chain(bench_of(driver), first, second, third)
        assert [built.entries for built in found] == [built.entries for built in expected], driver
        assert found[-1].image == expected[-1].image


@FEW
@given(first=STEPS, second=STEPS)
def test_extracting_what_was_written_gives_the_same_tree(
    fresh_bench: Callable[[], Bench],
    first: list[tuple[object, ...]],
    second: list[tuple[object, ...]],
) -> None:
    bench = fresh_bench()
    built = chain(bench, first, second)[-1]
    if built.image.layers:
        assert bench.tree(built) == bench.extracted(built)


@FEW
@given(first=STEPS, second=STEPS, third=STEPS, epoch=st.sampled_from([0, 10**9, 2**31]))
def test_a_child_of_what_was_built_is_a_child_of_what_is_extracted(
    fresh_bench: Callable[[], Bench],
    first: list[tuple[object, ...]],
    second: list[tuple[object, ...]],
    third: list[tuple[object, ...]],
    epoch: int,
) -> None:
    bench = fresh_bench()
    base = bench.build(Mutation(first), calm=False)
    built = bench.build(Mutation(second), on=base, calm=False, epoch=epoch)
    if not built.image.layers:
        return
    bench.extracted(built)
    child = bench.build(Mutation(third), on=built, calm=False)
    other = bench.build(Mutation(third), on=built, calm=False, state=bench.folder / "other")
    assert child.entries == other.entries
    assert child.image == other.image
