"""Copies of trees, which must be the same in everything that can be told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from filesystems import mounted
from genoci import linux
from genoci.snapshot.copy import copy_tree

if TYPE_CHECKING:
    from conftest import Bench

InANamespace = Callable[[Callable[[], object]], str]


@pytest.fixture
def trees(tmp_path: Path, namespace: None) -> tuple[Path, Path]:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    return tmp_path / "source", tmp_path / "target"


def archived(tree: Path) -> bytes:
    """All that `tar` can tell of a tree."""
    archive = ["tar", "--sort=name", "--xattrs", "--xattrs-include=*", "--format=pax"]
    options = ["--pax-option=delete=atime,delete=ctime", "-cf", "-", "."]
    done = subprocess.run([*archive, *options], cwd=tree, capture_output=True, check=True)
    return done.stdout


def fill(source: Path) -> None:
    """Everything that a tree may hold."""
    (source / "dir" / "sub").mkdir(parents=True)
    (source / "dir" / "file").write_bytes(os.urandom(100_000))
    (source / "a").write_text("a")
    (source / "dir" / "b").hardlink_to(source / "a")
    (source / "link").symlink_to("dir/../file\n")
    os.link(source / "link", source / "second-link", follow_symlinks=False)
    os.mkfifo(source / "fifo")
    os.setxattr(source / "dir", "user.a", b"1")
    os.setxattr(source / "a", "user.genoci.node", b"c 1:3")
    subprocess.run(["setcap", "cap_net_raw+ep", source / "dir" / "file"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:12:rw", source / "dir"], check=True)
    os.chown(source / "dir" / "file", 5, 6)
    os.chown(source / "link", 7, 8, follow_symlinks=False)
    (source / "a").chmod(0o6711)
    (source / "dir" / "sub").chmod(0)
    for number, path in enumerate([*source.rglob("*"), source]):
        os.utime(path, ns=(number, number * 10**9 + 123456789), follow_symlinks=False)


def test_a_copy_is_the_same_in_all_that_tar_can_tell(trees: tuple[Path, Path]) -> None:
    source, target = trees
    fill(source)
    copy_tree(source, target)
    assert archived(target) == archived(source)
    assert (target / "a").samefile(target / "dir" / "b")


def free(place: Path) -> int:
    """Bytes that are free once all is written."""
    fd = os.open(place, os.O_RDONLY)
    try:
        linux.syncfs(fd)
        found = os.fstatvfs(fd)
        return found.f_bfree * found.f_frsize
    finally:
        os.close(fd)


@pytest.mark.root_only
@pytest.mark.parametrize("kind", ["xfs", "btrfs", "ext4", "tmpfs"])
def test_on_every_filesystem(kind: str, tmp_path: Path, in_a_namespace: InANamespace) -> None:
    def body() -> None:
        source, target = place / "source", place / "target"
        source.mkdir()
        target.mkdir()
        fill(source)
        with (source / "holes").open("wb") as stream:
            stream.truncate(30_000_000)
            stream.seek(15_000_000)
            stream.write(b"x" * 100_000)
        (source / "large").write_bytes(os.urandom(50_000_000))
        before = free(place)
        copy_tree(source, target)
        used = before - free(place)
        assert archived(target) == archived(source)
        assert (target / "holes").stat().st_blocks <= (source / "holes").stat().st_blocks + 64
        assert (used < 10_000_000) == (kind in ("xfs", "btrfs"))

    with mounted(kind, tmp_path) as place:
        assert in_a_namespace(body) == ""


@pytest.mark.root_only
def test_a_file_that_can_t_be_shared_is_copied_and_others_are_shared(
    tmp_path: Path, in_a_namespace: InANamespace
) -> None:
    """On btrfs one without checksums can't share its blocks with one that has them."""

    def body() -> None:
        copy_tree(place / "source", place / "target")
        names = ("a", "b", "c", "d")
        assert [(place / "target" / name).read_bytes() for name in names] == content
        assert 10_000_000 < before - free(place) < 25_000_000

    with mounted("btrfs", tmp_path) as place:
        (place / "source").mkdir()
        (place / "target").mkdir()
        content = [os.urandom(15_000_000) for _ in range(4)]
        for name, data in zip(("a", "b", "c", "d"), content, strict=True):
            (place / "source" / name).touch()
            if name == "b":
                subprocess.run(["chattr", "+C", place / "source" / name], check=True)
            (place / "source" / name).write_bytes(data)
        before = free(place)
        assert in_a_namespace(body) == ""


def test_holes_stay_holes(trees: tuple[Path, Path]) -> None:
    source, target = trees
    with (source / "holes").open("wb") as stream:
        stream.truncate(1 << 30)
        for offset in (0, 5 << 20, (1 << 30) - 1):
            stream.seek(offset)
            stream.write(b"x")
    with (source / "empty").open("wb") as stream:
        stream.truncate(1 << 40)
    copy_tree(source, target)
    for name in ("holes", "empty"):
        assert (target / name).stat().st_size == (source / name).stat().st_size
        assert (target / name).stat().st_blocks <= (source / name).stat().st_blocks + 64
    with (target / "holes").open("rb") as stream:
        stream.seek((5 << 20) - 1)
        assert stream.read(3) == b"\0x\0"
        stream.seek((1 << 30) - 1)
        assert stream.read() == b"x"


def test_a_tree_of_a_thousand_directories_in_one_another(bench_of: Callable[[str], Bench]) -> None:
    bench = bench_of("copy")

    def deep(root: Path) -> None:
        here = os.open(root, os.O_RDONLY)
        for _ in range(1000):
            os.mkdir("directory", dir_fd=here)
            below = os.open("directory", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        os.close(here)

    built = bench.build(deep)
    assert len(built.entries) == 1001
    assert bench.tree(built) == bench.extracted(built)
