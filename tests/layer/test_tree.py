"""A tree on disk, as it is told to the comparer."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.layer import placeholder
from genoci.layer.entry import Kind
from genoci.layer.tree import EMPTY_TREE, LiveTree

TIME = 1_234_567_890_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def tree(root: Path) -> Iterator[LiveTree]:
    fd = os.open(root, os.O_RDONLY)
    with LiveTree(fd) as tree:
        yield tree
    os.close(fd)


def kind(tree: LiveTree, path: bytes) -> Kind | None:
    node = tree.node(path)
    return None if node is None else node.entry.kind


def test_every_kind_of_file_is_told(root: Path, tree: LiveTree) -> None:
    (root / "directory").mkdir()
    (root / "file").write_text("content")
    (root / "link").symlink_to("anything/../at all")
    os.mkfifo(root / "fifo")
    os.chdir(root)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    os.chdir("/")
    found = {name: kind(tree, name) for name in tree.names(b"")}
    assert found == {
        b"directory": Kind.DIRECTORY,
        b"file": Kind.FILE,
        b"link": Kind.SYMLINK,
        b"fifo": Kind.FIFO,
        b"socket": Kind.SOCKET,
    }


def test_metadata_are_told(root: Path, tree: LiveTree) -> None:
    path = root / "file"
    path.write_text("content")
    path.chmod(0o4751)
    os.setxattr(path, "user.b", b"2")
    os.setxattr(path, "user.a", b"")
    os.utime(path, ns=(0, TIME))
    node = tree.node(b"file")
    assert node is not None
    entry = node.entry
    assert (entry.path, entry.mode, entry.size, entry.mtime) == (b"file", 0o4751, 7, TIME)
    assert (entry.uid, entry.gid) == (os.getuid(), os.getgid())
    assert entry.xattrs == ((b"user.a", b""), (b"user.b", b"2"))
    assert node.inode is None


def test_the_root_is_a_node_with_an_empty_path(root: Path, tree: LiveTree) -> None:
    os.utime(root, ns=(0, TIME))
    node = tree.node(b"")
    assert node is not None
    assert (node.entry.path, node.entry.kind, node.entry.mtime) == (b"", Kind.DIRECTORY, TIME)


def test_nothing_stands_where_nothing_is(root: Path, tree: LiveTree) -> None:
    (root / "file").touch()
    for path in (b"missing", b"missing/below", b"file/below"):
        assert tree.node(path) is None
        assert tree.names(path) == []


def test_nothing_stands_below_a_link(root: Path, tree: LiveTree) -> None:
    (root / "dir").mkdir()
    (root / "dir" / "file").touch()
    (root / "link").symlink_to("dir")
    (root / "absolute").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    for path in (b"link/file", b"absolute/passwd", b"loop/x", b"link/file/deeper"):
        assert tree.node(path) is None
        assert tree.names(path.rpartition(b"/")[0]) == []


def test_attributes_of_this_machine_are_not_told(root: Path, tree: LiveTree) -> None:
    (root / "file").touch()
    for name in ("user.overlay.opaque", "user.genoci.other", "user.kept"):
        os.setxattr(root / "file", name, b"y")
    node = tree.node(b"file")
    assert node is not None
    assert node.entry.xattrs == ((b"user.kept", b"y"),)


def test_a_placeholder_is_told_as_the_device_that_it_stands_for(root: Path, tree: LiveTree) -> None:
    (root / "null").touch(mode=0o666)
    os.setxattr(root / "null", placeholder.XATTR, b"c 1:3")
    os.setxattr(root / "null", "user.kept", b"y")
    node = tree.node(b"null")
    assert node is not None
    assert (node.entry.kind, node.entry.device, node.entry.size) == (Kind.CHARACTER, (1, 3), 0)
    assert node.entry.xattrs == ((b"user.kept", b"y"),)


@pytest.mark.parametrize("value", [b"", b"c", b"c 1", b"d 1:3", b"c 1:3 ", b"c -1:3", b"c 1:3\n"])
def test_what_is_no_placeholder_is_a_file(root: Path, tree: LiveTree, value: bytes) -> None:
    (root / "file").touch()
    os.setxattr(root / "file", placeholder.XATTR, value)
    assert kind(tree, b"file") is Kind.FILE


def test_a_file_with_content_is_no_placeholder(root: Path, tree: LiveTree) -> None:
    (root / "file").write_text("content")
    os.setxattr(root / "file", placeholder.XATTR, b"c 1:3")
    assert kind(tree, b"file") is Kind.FILE


@pytest.mark.root_only
def test_a_device_node_is_told_as_what_it_is(root: Path, tree: LiveTree) -> None:
    os.mknod(root / "disk", 0o60600, os.makedev(259, 70000))
    node = tree.node(b"disk")
    assert node is not None
    assert (node.entry.kind, node.entry.device) == (Kind.BLOCK, (259, 70000))


def test_the_names_of_one_file_have_one_inode(root: Path, tree: LiveTree) -> None:
    (root / "dir").mkdir()
    (root / "a").touch()
    (root / "dir" / "b").hardlink_to(root / "a")
    (root / "alone").touch()
    one, other = tree.node(b"a"), tree.node(b"dir/b")
    assert one is not None
    assert other is not None
    assert one.inode == other.inode is not None
    assert one.links == 2
    assert [sorted(paths) for paths in tree.groups().values()] == [[b"a", b"dir/b"]]


def test_names_are_bytes_of_any_kind(root: Path, tree: LiveTree) -> None:
    names = {b"\xff\xfe", b"new\nline", b"x" * 255, "é".encode(), b"\\", b" "}
    for name in names:
        os.close(os.open(os.fsencode(root) + b"/" + name, os.O_CREAT))
    assert set(tree.names(b"")) == names
    assert all(tree.node(name) is not None for name in names)


def test_holes_are_zeros(root: Path, tree: LiveTree) -> None:
    with (root / "file").open("wb") as stream:
        stream.truncate(3_000_000)
        stream.seek(2_000_000)
        stream.write(b"x")
    content = b"".join(tree.content(b"file"))
    assert content == bytes(2_000_000) + b"x" + bytes(999_999)


def test_a_thousand_directories_in_one_another_of_long_names(root: Path, tree: LiveTree) -> None:
    here = os.open(root, os.O_RDONLY)
    name = "n" * 255
    for _ in range(1000):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    path = b"/".join([name.encode()] * 1000)
    assert tree.names(path) == [b"file"]
    assert kind(tree, path + b"/file") is Kind.FILE
    assert kind(tree, path) is Kind.DIRECTORY
    assert sum(1 for _ in tree.paths()) == 1001


def test_no_more_than_a_few_descriptors_are_open(root: Path, tree: LiveTree) -> None:
    for number in range(300):
        (root / str(number)).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        assert tree.names(b"%d" % number) == []
    assert len(os.listdir("/proc/self/fd")) <= before + 64


def test_a_closed_tree_leaves_no_descriptors(root: Path) -> None:
    (root / "dir").mkdir()
    fd = os.open(root, os.O_RDONLY)
    before = os.listdir("/proc/self/fd")
    with LiveTree(fd) as tree:
        tree.names(b"dir")
    assert os.listdir("/proc/self/fd") == before
    os.close(fd)


def test_the_empty_tree_is_a_root_of_the_time_zero() -> None:
    node = EMPTY_TREE.node(b"")
    assert node is not None
    assert (node.entry.mode, node.entry.uid, node.entry.gid, node.entry.mtime) == (0o755, 0, 0, 0)
    assert EMPTY_TREE.names(b"") == []
    assert EMPTY_TREE.node(b"x") is None
