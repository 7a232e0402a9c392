"""layer rules 19 to 26: what extracting a hand-made layer leaves besides names and contents."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import msgspec
import pytest

from genoci.layer import placeholder
from genoci.layer.entry import Kind
from genoci.layer.extract import Devices, Owners
from genoci.layer.tree import LiveTree
from tars import (
    SECOND,
    TIME,
    Piece,
    a_root,
    both,
    both_refuse,
    changed,
    device,
    directory,
    fifo,
    file,
    hardlink,
    layer,
    opaque,
    socket,
    symlink,
    whiteout,
)

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw+ep
ACL = struct.pack(
    "<I" + "HHI" * 5,
    *(2, 0x01, 6, 0xFFFFFFFF, 0x02, 4, 1, 0x04, 4, 0xFFFFFFFF),
    *(0x10, 4, 0xFFFFFFFF, 0x20, 0, 0xFFFFFFFF),
)


@pytest.mark.root_only
@pytest.mark.parametrize(
    "make", [file, directory, fifo, lambda path, **f: symlink(path, b"x", **f)]
)
def test_19_owners_are_kept(tmp_path: Path, make: object) -> None:
    brought = layer(make(b"x", uid=70_000, gid=2**32 - 2))  # type: ignore[operator]
    entry = both(tmp_path, brought)[b"x"].entry
    assert (entry.uid, entry.gid) == (70_000, 2**32 - 2)


@pytest.mark.parametrize("mode", [0o7777, 0o4711, 0o2755, 0o1777, 0o000, 0o444])
def test_19_modes_are_kept_whatever_the_umask_and_the_owner(tmp_path: Path, mode: int) -> None:
    members = [
        make(b"%d" % n, mode=mode, uid=7, gid=7) for n, make in enumerate((file, directory, fifo))
    ]
    before = os.umask(0o077)
    try:
        seen = both(tmp_path, layer(*members))
    finally:
        os.umask(before)
    assert [seen[b"%d" % n].entry.mode for n in range(3)] == [mode] * 3


def test_19_nothing_is_inherited_from_a_directory_with_setgid_and_a_default_acl(
    tmp_path: Path,
) -> None:
    xattrs = ((b"system.posix_acl_default", ACL),)
    above = directory(b"d", mode=0o2775, gid=7, xattrs=xattrs)
    below = [file(b"d/f"), directory(b"d/d"), fifo(b"d/p"), device(b"d/n"), symlink(b"d/l", b"x")]
    implied = file(b"d/implied/f")
    seen = both(tmp_path, layer(above, *below, implied), layer(file(b"d/later")))
    assert seen[b"d"].entry.xattrs == xattrs
    for path, one in seen.items():
        if path.startswith(b"d/"):
            assert (one.entry.gid, one.entry.xattrs) == (0, ())
            assert not one.entry.mode & stat.S_ISGID


def test_19_what_belongs_to_the_caller_keeps_its_setuid_bit(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"f", mode=0o6755, uid=7, gid=7)), owners=Owners.MINE)
        status = (root.path / "f").lstat()
        assert stat.S_IMODE(status.st_mode) == 0o6755
        assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.parametrize("time", [1, -1, -5 * SECOND - 1, TIME + 123_456_789, 0])
def test_20_times_are_kept_to_the_nanosecond(tmp_path: Path, time: int) -> None:
    makes = [file, directory, fifo, device]
    members = [make(b"%d" % n, mtime=time) for n, make in enumerate(makes)]
    seen = both(
        tmp_path, layer(*members, symlink(b"l", b"x", mtime=time), directory(b".", mtime=3))
    )
    assert {one.entry.mtime for path, one in seen.items() if path} == {time}


def test_21_a_directory_has_its_entrys_time_however_much_is_written_into_it(tmp_path: Path) -> None:
    members = [directory(b"d", mtime=5), file(b"d/a"), directory(b"d/e", mtime=6), file(b"d/e/f")]
    seen = both(tmp_path, layer(*members, file(b"d/b"), directory(b".", mtime=7)))
    assert [seen[path].entry.mtime for path in (b"d", b"d/e", b"")] == [5, 6, 7]


@pytest.mark.parametrize(
    "above",
    [
        file(b"d/e/f"),
        whiteout(b"d/e/x"),
        opaque(b"d/e"),
        directory(b"d/e/new"),
        symlink(b"l/f", b"x"),
        hardlink(b"d/e/h", b"d/e/x"),
        file(b"d/e/x/below"),
    ],
)
def test_21_directories_that_are_only_passed_through_keep_their_times(
    tmp_path: Path, above: Piece
) -> None:
    base = layer(
        directory(b".", mtime=3),
        directory(b"d", mtime=5),
        directory(b"d/e", mtime=6),
        file(b"d/e/x"),
        symlink(b"l", b"d/e"),
    )
    seen = both(tmp_path, base, layer(above))
    assert [seen[path].entry.mtime for path in (b"", b"d", b"d/e")] == [3, 5, 6]


def test_22_user_attributes_and_acls_are_kept(tmp_path: Path) -> None:
    user = ((b"user.a", b"\0\xff"), (b"user.b=%", b""))
    acl = ((b"system.posix_acl_access", ACL),)
    members = [
        file(b"f", mode=0o440, xattrs=user),
        directory(b"d", mode=0o555, xattrs=user),
        file(b"acl", mode=0o640, xattrs=acl),
    ]
    seen = both(tmp_path, layer(*members))
    assert [seen[path].entry.xattrs for path in (b"f", b"d", b"acl")] == [user, user, acl]


@pytest.mark.root_only
def test_22_a_capability_survives_the_change_of_owner(tmp_path: Path) -> None:
    xattrs = ((b"security.capability", CAPABILITY),)
    seen = both(tmp_path, layer(file(b"ping", b"x", mode=0o755, uid=7, xattrs=xattrs)))
    assert seen[b"ping"].entry.xattrs == xattrs


def test_22_what_describes_this_machine_is_dropped(tmp_path: Path) -> None:
    dropped = [
        b"security.selinux",
        b"trusted.overlay.opaque",
        b"user.overlay.x",
        b"user.genoci.node",
    ]
    xattrs = tuple((name, b"c 1:3") for name in dropped)
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"f", xattrs=xattrs), directory(b"d", xattrs=xattrs)))
        for name in ("f", "d"):
            assert not set(os.listxattr(root.path / name)) & {os.fsdecode(n) for n in dropped}
        assert root.warnings == []


def test_22_a_directorys_old_attributes_do_not_outlive_its_new_entry(tmp_path: Path) -> None:
    base = layer(directory(b"d", xattrs=((b"user.a", b"1"), (b"user.b", b"1"))))
    seen = both(tmp_path, base, layer(directory(b"d", xattrs=((b"user.b", b"2"),))))
    assert seen[b"d"].entry.xattrs == ((b"user.b", b"2"),)


def test_23_attributes_that_the_filesystem_refuses_are_one_warning(tmp_path: Path) -> None:
    xattrs = ((b"nonsense.a", b"1"), (b"nonsense.b", b"2"), (b"user.kept", b"3"))
    with a_root(tmp_path) as root:
        root.extract(layer(*(file(b"%d" % n, xattrs=xattrs) for n in range(3))))
        assert len(root.warnings) == 1
        assert "nonsense.a" in root.warnings[0]
        assert os.getxattr(root.path / "2", "user.kept") == b"3"


def test_23_attributes_of_what_can_have_none_are_one_warning(tmp_path: Path) -> None:
    xattrs = ((b"user.a", b"1"),)
    with a_root(tmp_path) as root:
        root.extract(layer(symlink(b"l", b"x", xattrs=xattrs), fifo(b"p", xattrs=xattrs)))
        assert len(root.warnings) == 1
        assert (root.path / "p").lstat().st_mtime_ns == TIME


def test_23_an_attribute_that_is_too_large_is_a_warning(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"f", b"1", xattrs=((b"user.a", bytes(100_000)),))))
        assert len(root.warnings) == 1
        assert (root.path / "f").read_bytes() == b"1"


@pytest.mark.parametrize("mode", [0o000, 0o555, 0o300])
def test_24_closed_directories_can_be_filled_and_end_with_their_mode(
    tmp_path: Path, mode: int
) -> None:
    closed = [directory(b"c", mode=mode), directory(b"c/d", mode=mode), file(b"c/d/f")]
    seen = both(tmp_path, layer(*closed), layer(file(b"c/d/g"), whiteout(b"c/d/f"), opaque(b"c/x")))
    assert seen.keys() == {b"", b"c", b"c/d", b"c/d/g"}
    assert (seen[b"c"].entry.mode, seen[b"c/d"].entry.mode) == (mode, mode)


@pytest.mark.parametrize("mode", [0o000, 0o555])
@pytest.mark.parametrize("above", [file(b"c"), whiteout(b"c"), symlink(b"c", b"x"), opaque(b"")])
def test_24_closed_directories_can_be_replaced(tmp_path: Path, mode: int, above: Piece) -> None:
    closed = [directory(b"c", mode=mode), directory(b"c/d", mode=mode), file(b"c/d/f", mode=0)]
    seen = both(tmp_path, layer(*closed), layer(above))
    assert b"c/d" not in seen


def test_24_a_closed_root_can_be_filled(tmp_path: Path) -> None:
    seen = both(tmp_path, layer(directory(b".", mode=0o500)), layer(file(b"f")))
    assert seen[b""].entry.mode == 0o500


def test_25_fifos_are_made(tmp_path: Path) -> None:
    assert both(tmp_path, layer(fifo(b"p", mode=0o622)))[b"p"].entry.kind is Kind.FIFO


def test_25_sockets_are_skipped_with_a_warning(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"s")), socket(b"s") + socket(b"d/s") + layer(file(b"f")))
        assert root.seen().keys() == {b"", b"s", b"f"}
        assert root.warnings == [
            "s is a socket and was left out",
            "d/s is a socket and was left out",
        ]


@pytest.mark.parametrize(("kind", "said"), [(Kind.CHARACTER, b"c 1:3"), (Kind.BLOCK, b"b 1:3")])
def test_26_a_placeholder_stands_for_a_device(tmp_path: Path, kind: Kind, said: bytes) -> None:
    node = device(b"n", kind, mode=0o660, gid=6, mtime=9)
    with a_root(tmp_path) as root:
        root.extract(layer(node))
        status = (root.path / "n").lstat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o660, 9)
        assert stat.S_ISREG(status.st_mode)
        assert os.getxattr(root.path / "n", placeholder.XATTR) == said
        with LiveTree(root.fd) as tree:
            found = tree.node(b"n")
        mine = {"uid": status.st_uid, "gid": status.st_gid}
        assert found is not None
        assert found.entry == msgspec.structs.replace(node.entry, **mine)


def test_26_a_device_is_linked_replaced_and_hidden_as_any_file(tmp_path: Path) -> None:
    base = layer(device(b"a"), hardlink(b"b", b"a"), device(b"c"), device(b"d"))
    seen = both(tmp_path, base, layer(file(b"c"), whiteout(b"d"), device(b"e", device=(8, 300))))
    assert seen[b"a"].names == (b"a", b"b")
    assert seen[b"c"].entry.kind is Kind.FILE
    assert seen[b"e"].entry.device == (8, 300)
    assert b"d" not in seen


@pytest.mark.root_only
def test_26_devices_are_made_where_they_may_be(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        node = device(b"n", Kind.BLOCK, device=(7, 70_000), mode=0o640, uid=5)
        root.extract(layer(node), devices=Devices.MAKE)
        status = (root.path / "n").lstat()
        assert stat.S_ISBLK(status.st_mode)
        assert (os.major(status.st_rdev), os.minor(status.st_rdev)) == (7, 70_000)
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o640, 5)


def test_26_devices_are_left_out_with_their_links_and_what_they_replace(tmp_path: Path) -> None:
    again = [device(b"m"), file(b"m"), hardlink(b"k", b"m")]
    brought = layer(device(b"n"), hardlink(b"d/h", b"n"), *again)
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"n")), brought, devices=Devices.SKIP)
        assert root.seen().keys() == {b"", b"d", b"m", b"k"}
        assert set(root.warnings) == {"device nodes were left out: only root may make them"}


def test_26_a_character_device_0_0_is_refused(tmp_path: Path) -> None:
    header = changed(layer(device(b"n"))[:512], 329, b"0000000\00000000\0")
    assert "0, 0" in both_refuse(tmp_path, header + layer())
