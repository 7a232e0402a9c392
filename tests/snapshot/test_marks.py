"""What the copy driver nominates: whatever was touched since the copy, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filesystems import mounted
from genoci.oci.digest import Digest
from genoci.snapshot import marks
from genoci.snapshot.copy import Copy
from genoci.snapshot.driver import Active
from genoci.snapshot.root import Snapshots
from genoci.snapshot.store import Store

BASE = Digest.of(b"base")
EVERYTHING = {"dir", "dir/sub", "dir/sub/deep", "dir/file", "a", "b", "link", "fifo"}


@pytest.fixture
def based(tmp_path: Path, namespace: None) -> Callable[[], Snapshots]:
    """To be called in the namespace."""
    return lambda: with_a_base(tmp_path / "state")


def with_a_base(folder: Path) -> Snapshots:
    driver = Snapshots(Store(folder, Copy()))
    with driver.prepare(None) as active:
        root = active.root
        (root / "dir" / "sub").mkdir(parents=True)
        (root / "dir" / "sub" / "deep").write_text("deep")
        (root / "dir" / "file").write_text("file")
        (root / "a").write_text("a")
        (root / "b").hardlink_to(root / "a")
        (root / "link").symlink_to("a")
        os.mkfifo(root / "fifo")
        active.commit(BASE)
    return driver


def nominated(active: Active) -> set[str]:
    return {os.fsdecode(candidate.path) for candidate in active.candidates()}


def overwrite(path: Path) -> None:
    """Other content of the same size, and the times of before."""
    before = path.stat()
    path.write_text("X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_nothing_is_nominated_where_nothing_was_touched(based: Callable[[], Snapshots]) -> None:
    copy = based()
    with copy.prepare(BASE) as active:
        (active.root / "dir" / "file").read_text()
        list((active.root / "dir").iterdir())
        assert nominated(active) == set()


TOUCHES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "content": (lambda root: overwrite(root / "dir/file"), {"dir/file"}),
    "mode": (lambda root: (root / "dir/sub").chmod(0o700), {"dir/sub"}),
    "owner": (lambda root: os.chown(root / "fifo", 0, 0), {"fifo"}),
    "owner of a link": (lambda root: os.lchown(root / "link", 0, 0), {"link"}),
    "attribute": (lambda root: os.setxattr(root / "dir/file", "user.a", b""), {"dir/file"}),
    "time": (lambda root: os.utime(root / "dir/file", ns=(0, 0)), {"dir/file"}),
    "content of a linked file": (lambda root: overwrite(root / "a"), {"a", "b"}),
    "a further name": (lambda root: (root / "dir/c").hardlink_to(root / "a"), {"dir/c", "a", "b"}),
    "one name less": (lambda root: (root / "b").unlink(), {"a", "b"}),
    "a new file": (lambda root: (root / "dir/sub/new").touch(), {"dir/sub/new"}),
    "another name": (lambda root: (root / "fifo").rename(root / "fofi"), {"fifo", "fofi"}),
    "a directory moved": (
        lambda root: (root / "dir/sub").rename(root / "bus"),
        {"dir/sub", "dir/sub/deep", "bus", "bus/deep"},
    ),
    "a directory gone": (
        lambda root: shutil.rmtree(root / "dir"),
        {"dir", "dir/sub", "dir/sub/deep", "dir/file"},
    ),
    "replaced by another kind": (
        lambda root: ((root / "link").unlink(), (root / "link").mkdir()),
        {"link"},
    ),
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_what_was_touched_is_nominated(based: Callable[[], Snapshots], touch: str) -> None:
    copy = based()
    change, expected = TOUCHES[touch]
    with copy.prepare(BASE) as active:
        change(active.root)
        parents = {path.rpartition("/")[0] for path in expected} - {""}
        found = nominated(active)
        assert expected <= found <= expected | parents


def test_what_is_touched_at_once_is_nominated(based: Callable[[], Snapshots]) -> None:
    copy = based()
    for _ in range(50):
        with copy.prepare(BASE) as active:
            overwrite(active.root / "dir" / "file")
            assert nominated(active) == {"dir/file"}


@pytest.mark.root_only
@pytest.mark.parametrize("kind", ["ext4", "ext4 with whole seconds", "xfs", "btrfs", "tmpfs"])
def test_on_every_filesystem(
    kind: str, tmp_path: Path, in_a_namespace: Callable[[Callable[[], object]], str]
) -> None:
    def body() -> None:
        driver = with_a_base(place / "state")
        with driver.prepare(BASE) as active:
            overwrite(active.root / "dir" / "file")
            found = nominated(active)
        assert found == (EVERYTHING if "seconds" in kind else {"dir/file"})

    with mounted(kind, tmp_path) as place:
        assert in_a_namespace(body) == ""


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def one_byte_other(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": cut_off,
    "one byte other": one_byte_other,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "no table": lambda path: path.write_bytes(sealed(b"\x01")),
    "a table of something else": lambda path: path.write_bytes(sealed(b"\x91\x92\xc4\x01a\x01")),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


def sealed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_or_damaged_is_not_believed(
    based: Callable[[], Snapshots], damage: str
) -> None:
    copy = based()
    with copy.prepare(BASE) as active:
        (active.root / "a").unlink()
        DAMAGES[damage](active.root.parent / marks.NAME)
        assert nominated(active) == EVERYTHING


def test_a_root_kept_and_opened_again_is_known_still(based: Callable[[], Snapshots]) -> None:
    copy = based()
    with copy.prepare(BASE) as active:
        overwrite(active.root / "dir" / "file")
        active.keep("checkout")
    for name in ("one", "two"):
        kept = copy.kept("checkout")
        assert kept is not None
        with kept as active:
            (active.root / name).touch()
            expected = {"dir/file", "one", "two"} if name == "two" else {"dir/file", "one"}
            assert nominated(active) == expected


def test_a_snapshot_keeps_no_marks(based: Callable[[], Snapshots], tmp_path: Path) -> None:
    copy = based()
    with copy.prepare(BASE) as active:
        active.commit(Digest.of(b"other"))
    assert not list(tmp_path.rglob(marks.NAME))


def test_in_a_copy_that_somebody_made_nothing_is_believed(
    based: Callable[[], Snapshots], tmp_path: Path
) -> None:
    copy = based()
    with copy.prepare(BASE) as active:
        place = active.root.parent
        subprocess.run(["cp", "-a", place / "fs", place / marks.NAME, tmp_path], check=True)
    assert marks.recorded(tmp_path) is not None
    found = Copy().candidates(tmp_path, None)
    assert {os.fsdecode(candidate.path) for candidate in found} == EVERYTHING


def test_a_clock_that_does_not_move_on_is_noticed(tmp_path: Path) -> None:
    an_hour = 3600 * 10**9
    assert marks._has_passed(time.time_ns() - an_hour, tmp_path)
    assert not marks._has_passed(time.time_ns() + an_hour, tmp_path)
    assert os.listdir(tmp_path) == []
