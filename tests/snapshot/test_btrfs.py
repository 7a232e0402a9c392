"""Subvolumes: what of a snapshot has changed, and what somebody made in one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from filesystems import mounted
from genoci import linux
from genoci.errors import MachineError
from genoci.oci.digest import Digest
from genoci.snapshot.driver import Active, Driver
from genoci.snapshot.probe import pick

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.filesystem("btrfs")

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


@pytest.fixture
def base(bench_of: Callable[[str], Bench]) -> Callable[[], Bench]:
    """To be called in the namespace: a bench with a snapshot of one of everything."""

    def made() -> Bench:
        bench = bench_of("btrfs on btrfs")
        with bench.snapshots.prepare(None) as active:
            root = active.root
            (root / "dir" / "sub").mkdir(parents=True)
            (root / "dir" / "sub" / "deep").write_text("deep")
            (root / "dir" / "file").write_text("file")
            (root / "other").mkdir()
            (root / "a").write_text("a")
            (root / "b").hardlink_to(root / "a")
            (root / "link").symlink_to("a")
            os.mkfifo(root / "fifo")
            active.commit(ONE)
        return bench

    return made


def nominated(active: Active) -> set[str]:
    return {os.fsdecode(candidate.path) for candidate in active.candidates()}


def overwrite(path: Path) -> None:
    """Other content of the same size, and the times of before."""
    before = path.stat()
    path.write_text("X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Another file of the same name, content and times."""
    before, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange(one: Path, other: Path) -> None:
    linux.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), linux.RENAME_EXCHANGE)


TOUCHED = {
    "nothing": (lambda root: None, set()),
    "read": (lambda root: (root / "a").read_bytes(), set()),
    "content": (lambda root: overwrite(root / "dir" / "file"), {"dir/file"}),
    "another file": (lambda root: replace(root / "dir" / "file"), {"dir", "dir/file"}),
    "mode": (lambda root: (root / "dir" / "sub").chmod(0o700), {"dir/sub"}),
    "owner": (lambda root: os.chown(root / "fifo", 7, 7), {"fifo"}),
    "attribute": (lambda root: os.setxattr(root / "a", "user.a", b"1"), {"a", "b"}),
    "a new name": (lambda root: os.link(root / "a", root / "c"), {"a", "b", "c"}),
    "a name less": (lambda root: (root / "b").unlink(), {"a", "b"}),
    "new": (lambda root: (root / "other" / "new").touch(), {"other", "other/new"}),
    "gone": (lambda root: (root / "link").unlink(), {"link"}),
    "renamed": (
        lambda root: (root / "dir").rename(root / "new"),
        {"dir", "new", "new/file", "new/sub", "new/sub/deep"},
    ),
    "exchanged": (
        lambda root: exchange(root / "dir", root / "other"),
        {"dir", "dir/sub", "dir/file", "other", "other/sub", "other/sub/deep", "other/file"},
    ),
    "another kind": (
        lambda root: [(root / "other").rmdir(), (root / "other").write_text("")],
        {"other"},
    ),
}


@pytest.mark.parametrize("what", TOUCHED)
def test_what_was_touched_is_nominated_and_nothing_else(
    base: Callable[[], Bench], what: str
) -> None:
    touch, expected = TOUCHED[what]
    with base().snapshots.prepare(ONE) as active:
        touch(active.root)
        assert nominated(active) == expected


def test_no_file_is_read_to_find_out_what_changed(base: Callable[[], Bench]) -> None:
    with base().snapshots.prepare(ONE) as active:
        assert active.parent is not None
        overwrite(active.root / "dir" / "file")
        files = [active.root / "a", *(active.root / "dir").rglob("*e*")]
        for path in files:
            os.utime(path, ns=(1, path.stat().st_mtime_ns))  # before the mtime: any read shows
        found = nominated(active)
        assert {path.lstat().st_atime_ns for path in files} == {1}
        assert "dir/file" in found


def test_a_change_right_after_the_snapshot_is_seen(base: Callable[[], Bench]) -> None:
    """Change times are as coarse as the clock's tick, in which much can happen."""
    bench = base()
    for _ in range(100):
        with bench.snapshots.prepare(ONE) as active:
            (active.root / "a").write_text("1")
            active.commit(TWO)
        with bench.snapshots.prepare(TWO) as active:
            (active.root / "a").write_text("2")
            assert nominated(active) == {"a", "b"}
        bench.snapshots.remove(TWO)


def make_subvolumes(root: Path) -> None:
    """One in another, the inner one read-only."""
    outer = root / "dir" / "outer"
    subvolume(outer)
    (outer / "file").write_text("in a subvolume")
    (outer / "name").hardlink_to(outer / "file")
    subvolume(outer / "inner")
    (outer / "inner" / "deep").write_text("deeper")
    freeze(outer / "inner")
    for path in [*root.rglob("*"), root]:
        if not path.is_relative_to(outer / "inner"):
            os.utime(path, ns=(0, 10**9), follow_symlinks=False)


def subvolume(path: Path) -> None:
    with opened(path.parent) as above:
        linux.btrfs_create(above, os.fsencode(path.name))


def freeze(path: Path) -> None:
    with opened(path) as top:
        linux.btrfs_set_read_only(top, True)


class opened:
    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def test_subvolumes_in_a_root_are_directories_of_its_layer(base: Callable[[], Bench]) -> None:
    bench = base()
    built = bench.build(
        make_subvolumes, calm=False, on=bench.build(lambda root: (root / "dir").mkdir())
    )
    names = ["dir/outer/", "dir/outer/file", "dir/outer/inner/", "dir/outer/inner/deep"]
    assert [name for name in built.names if name in names] == names
    assert bench.tree(built) == bench.extracted(built)
    with bench.snapshots.prepare(built.image.chain_id) as active:
        assert nominated(active) == set()
        assert (active.root / "dir" / "outer" / "inner" / "deep").read_text() == "deeper"
        with opened(active.root) as top:
            assert not linux.btrfs_has_subvolumes(top)


def test_subvolumes_in_a_root_go_with_it(base: Callable[[], Bench]) -> None:
    bench = base()
    with bench.snapshots.prepare(ONE) as active:
        make_subvolumes(active.root)
        with opened(active.root / "dir" / "outer") as source, opened(active.root) as above:
            linux.btrfs_snapshot(source, above, b"copy")  # of the inner one a stump is in it
    folder = bench.state / "snapshots" / "btrfs" / "map"
    assert os.listdir(folder) == [ONE.hex]


def test_a_root_whose_subvolumes_were_being_replaced_is_as_it_was(
    base: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = base()
    with bench.snapshots.prepare(ONE) as active:
        make_subvolumes(active.root)
        before = bench.tree_at(active.root)
        active.keep("failed")
    real = linux.renameat2
    for moment in ("before", "after"):

        def die(*arguments: object, moment: str = moment) -> None:
            if moment == "after":
                real(*arguments)  # type: ignore[arg-type]
            os._exit(9)

        pid = os.fork()
        if pid == 0:
            monkeypatch.setattr(linux, "renameat2", die)
            linux.unshare(linux.CLONE_NEWNS)
            check_in(bench)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        kept = bench.snapshots.kept("failed")
        assert kept is not None
        with kept as active:
            assert bench.tree_at(active.root) == before
    check_in(bench)
    with bench.snapshots.prepare(TWO) as active:
        assert bench.tree_at(active.root) == before


def check_in(bench: Bench) -> None:
    kept = bench.snapshots.kept("failed")
    assert kept is not None
    with kept as active:
        active.commit(TWO)


def test_the_snapshots_may_lie_elsewhere_than_the_state(
    base: Callable[[], Bench], tmp_path: Path
) -> None:
    bench = base()
    driver = Driver("btrfs", btrfs=str(bench.folder))
    with pick(driver, tmp_path / "state", "map", warn=pytest.fail).prepare(None) as active:
        active.commit(ONE)
    assert pick(driver, tmp_path / "other", "map", warn=pytest.fail).exists(ONE)
    assert (bench.folder / "snapshots" / "map" / ONE.hex).is_dir()
    pick(driver, tmp_path / "state", "map", warn=pytest.fail).remove(ONE)


def test_what_is_on_no_btrfs_is_told(base: Callable[[], Bench], tmp_path: Path) -> None:
    for driver in (Driver("btrfs"), Driver("btrfs", btrfs=str(tmp_path / "missing"))):
        with pytest.raises(MachineError, match="not on a btrfs"):
            pick(driver, Path("/proc/self"), "map", warn=pytest.fail)


@pytest.mark.root_only
def test_snapshots_are_removed_where_a_user_may_not_delete_subvolumes(
    tmp_path: Path, in_a_namespace: Callable[[Callable[[], object]], str]
) -> None:
    """Nor may root in a namespace, without the mount's option; an empty one may be removed."""
    with mounted("btrfs as most mount it", tmp_path) as state:

        def work() -> None:
            snapshots = pick(Driver("btrfs"), state, "map", warn=pytest.fail)
            with snapshots.prepare(None) as active:
                (active.root / "dir").mkdir()
                (active.root / "dir" / "file").write_text("")
                active.commit(ONE)
            with snapshots.prepare(ONE) as active:
                make_subvolumes(active.root)
            snapshots.remove(ONE)
            assert os.listdir(state / "snapshots" / "btrfs" / "map") == []

        assert in_a_namespace(work) == ""
