"""docs/layer-rules.md, 'Making a layer from a directory': lines 34 to 45, with both drivers.

Line 46 is in test_other_readers.py.
"""

from __future__ import annotations

import io
import locale
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genoci import linux
from genoci.errors import BuildError
from genoci.layer import placeholder
from genoci.layer.entry import Kind

if TYPE_CHECKING:
    from conftest import Bench, Built

OLD = 1_000_000_000 * 10**9


def write(path: Path, content: str = "content", *, mtime: int = OLD) -> Path:
    path.write_text(content)
    os.utime(path, ns=(mtime, mtime))
    return path


def furnish(root: Path) -> None:
    """A base with one of everything."""
    (root / "dir" / "sub").mkdir(parents=True)
    write(root / "dir" / "file")
    write(root / "dir" / "sub" / "deep")
    write(root / "file")
    (root / "link").symlink_to("file")
    os.mkfifo(root / "fifo")
    make_device(root / "device", 1, 3)
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(OLD, OLD), follow_symlinks=False)


def make_device(path: Path, major: int, minor: int) -> None:
    """What the extractor leaves where nodes can't be made."""
    path.touch()
    os.setxattr(path, placeholder.XATTR, placeholder.pack(Kind.CHARACTER, (major, minor)))


def keeping_times(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """The change, and then all times as they were, of what is left."""

    def changed(root: Path) -> None:
        before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
        change(root)
        for path, mtime in before.items():
            if os.path.lexists(path):
                os.utime(path, ns=(mtime, mtime), follow_symlinks=False)

    return changed


def replace_link(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("other")


def replace_device(root: Path) -> None:
    (root / "device").unlink()
    make_device(root / "device", 1, 5)


def replace_type(root: Path) -> None:
    (root / "fifo").unlink()
    write(root / "fifo", "")


CHANGES = {
    "type": (replace_type, "fifo"),
    "content": (lambda root: (root / "file").write_text("CONTENT"), "file"),
    "size": (lambda root: os.truncate(root / "file", 3), "file"),
    "mode": (lambda root: (root / "file").chmod(0o4711), "file"),
    "owner": (lambda root: os.chown(root / "file", 7, -1), "file"),
    "group": (lambda root: os.chown(root / "file", -1, 7), "file"),
    "link target": (replace_link, "link"),
    "link owner": (lambda root: os.chown(root / "link", 7, 7, follow_symlinks=False), "link"),
    "device number": (replace_device, "device"),
    "xattr": (lambda root: os.setxattr(root / "file", "user.a", b"1"), "file"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_34_each_kind_of_change_is_in_the_layer(bench: Bench, what: str) -> None:
    change, name = CHANGES[what]
    upper = bench.build(keeping_times(change), on=bench.build(furnish))
    assert upper.names == [name]
    assert bench.tree(upper) == bench.extracted(upper)


def test_34_a_changed_modification_time_is_in_the_layer(bench: Bench) -> None:
    base = bench.build(furnish)
    upper = bench.build(lambda root: os.utime(root / "file", ns=(0, OLD + 1)), on=base)
    assert upper.names == ["file"]
    assert upper["file"].mtime == OLD + 1


def test_34_a_directory_of_which_only_metadata_changed_is_in_the_layer_alone(bench: Bench) -> None:
    base = bench.build(furnish)
    upper = bench.build(lambda root: (root / "dir" / "sub").chmod(0o700), on=base)
    assert upper.names == ["dir/", "dir/sub/"]


def test_34_capabilities_and_acls_are_changes(bench: Bench) -> None:
    base = bench.build(furnish)

    def change(root: Path) -> None:
        subprocess.run(["setcap", "cap_net_raw+ep", root / "file"], check=True)
        subprocess.run(["setfacl", "-m", "u:12:rw", root / "dir" / "file"], check=True)

    upper = bench.build(keeping_times(change), on=base)
    assert upper.names == ["dir/", "dir/file", "file"]
    assert [name for name, _ in upper["file"].xattrs] == [b"security.capability"]
    assert [name for name, _ in upper["dir/file"].xattrs] == [b"system.posix_acl_access"]
    assert bench.tree(upper) == bench.extracted(upper)


def test_35_a_file_that_is_as_it_was_is_not_in_the_layer(bench: Bench) -> None:
    base = bench.build(furnish)

    def touch_and_restore(root: Path) -> None:
        for path in [root / "file", root / "dir" / "file", root / "dir", root / "device"]:
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(0o111)
            path.chmod(mode)
        (root / "file").write_text("changed")
        (root / "file").write_text("content")
        os.chown(root / "link", 1, 1, follow_symlinks=False)
        os.chown(root / "link", 0, 0, follow_symlinks=False)

    upper = bench.build(keeping_times(touch_and_restore), on=base)
    assert upper.names == []
    assert upper.image == base.image


def test_36_parents_are_in_the_layer_with_their_true_metadata(bench: Bench) -> None:
    def base(root: Path) -> None:
        furnish(root)
        os.chown(root / "dir", 3, 4)
        (root / "dir").chmod(0o1751)
        os.setxattr(root / "dir", "user.a", b"1")

    upper = bench.build(lambda root: write(root / "dir" / "sub" / "new"), on=bench.build(base))
    assert upper.names == ["dir/", "dir/sub/", "dir/sub/new"]
    parent = upper["dir/"]
    assert (parent.mode, parent.uid, parent.gid, parent.mtime) == (0o1751, 3, 4, OLD)
    assert parent.xattrs == ((b"user.a", b"1"),)


def test_36_parents_of_what_was_removed_are_in_the_layer(bench: Bench) -> None:
    base = bench.build(furnish)
    upper = bench.build(lambda root: (root / "dir" / "sub" / "deep").unlink(), on=base)
    assert upper.names == ["dir/", "dir/sub/", "dir/sub/.wh.deep"]


def test_37_depth_first_whiteouts_first_then_names_in_byte_order(bench: Bench) -> None:
    names = ["a", "a-b", "a.b", "a/b", "a/b/c", "aa", "B", "z", "é", "~"]

    def base(root: Path) -> None:
        (root / "a" / "b").mkdir(parents=True)
        for name in ["a/b/c", "a/b/0", "a/x", "0", "~~"]:
            write(root / name)

    def change(root: Path) -> None:
        for name in ["a/b/0", "a/x", "0", "~~"]:
            (root / name).unlink()
        for name in reversed(names):
            if name not in ("a", "a/b"):
                write(root / name, "new")

    upper = bench.build(change, on=bench.build(base))
    assert upper.names == [
        ".wh.0",
        ".wh.~~",
        "B",
        "a/",
        "a/.wh.x",
        "a/b/",
        "a/b/.wh.0",
        "a/b/c",
        "a-b",
        "a.b",
        "aa",
        "z",
        "~",
        "é",
    ]


def test_37_the_root_is_there_only_if_its_own_metadata_changed(bench: Bench) -> None:
    base = bench.build(furnish)
    assert bench.build(lambda root: write(root / "new"), on=base).names == ["new"]
    upper = bench.build(lambda root: root.chmod(0o700), on=base)
    assert upper.names == ["./"]
    assert upper["./"].mode == 0o700
    assert bench.tree(upper) == bench.extracted(upper)


def test_37_the_bytes_of_the_tar_have_these_names(bench: Bench) -> None:
    built = bench.build(furnish, calm=False)
    listing = subprocess.run(
        ["tar", "tf", "-"], input=blob(bench, built), capture_output=True, check=True
    )
    assert listing.stdout.decode().splitlines() == built.names
    assert built.names[:4] == ["./", "device", "dir/", "dir/file"]


def test_38_only_the_topmost_deleted_directory_is_whited_out(bench: Bench) -> None:
    base = bench.build(furnish)

    def remove(root: Path) -> None:
        (root / "dir" / "sub" / "deep").unlink()
        (root / "dir" / "sub").rmdir()
        (root / "dir" / "file").unlink()
        (root / "dir").rmdir()

    assert bench.build(remove, on=base).names == [".wh.dir"]


def test_38_a_directory_made_again_has_whiteouts_for_what_is_gone(bench: Bench) -> None:
    base = bench.build(furnish)

    def again(root: Path) -> None:
        subprocess.run(["rm", "-r", root / "dir"], check=True)
        (root / "dir" / "sub").mkdir(parents=True)
        write(root / "dir" / "sub" / "new")

    upper = bench.build(keeping_times(again), on=base)
    assert upper.names == ["dir/", "dir/.wh.file", "dir/sub/", "dir/sub/.wh.deep", "dir/sub/new"]
    assert bench.tree(upper) == bench.extracted(upper)


def test_38_a_directory_made_again_as_it_was_is_no_change(bench: Bench) -> None:
    base = bench.build(furnish)

    def again(root: Path) -> None:
        subprocess.run(["cp", "-a", root / "dir", root / "copy"], check=True)
        subprocess.run(["rm", "-r", root / "dir"], check=True)
        subprocess.run(["mv", root / "copy", root / "dir"], check=True)

    assert bench.build(again, on=base).names == []


@pytest.mark.parametrize("become", ["link", "file"])
def test_38_what_is_no_directory_any_more_has_no_whiteouts_below(bench: Bench, become: str) -> None:
    base = bench.build(furnish)

    def change(root: Path) -> None:
        subprocess.run(["rm", "-r", root / "dir"], check=True)
        if become == "link":
            (root / "elsewhere").mkdir()
            write(root / "elsewhere" / "file")
            (root / "dir").symlink_to("elsewhere")
        else:
            write(root / "dir")

    upper = bench.build(change, on=base)
    assert [name for name in upper.names if name.startswith("dir")] == ["dir"]
    assert not any(".wh." in name for name in upper.names)
    assert bench.tree(upper) == bench.extracted(upper)


@pytest.mark.parametrize("name", [".wh.x", "dir/.wh.", ".wh..wh..opq"])
def test_39_a_name_that_would_be_a_whiteout_is_an_error(bench: Bench, name: str) -> None:
    base = bench.build(furnish)
    with pytest.raises(BuildError, match=r"\.wh\."):
        bench.build(lambda root: write(root / name), on=base)


def test_39_a_directory_of_such_a_name_is_an_error_as_well(bench: Bench) -> None:
    with pytest.raises(BuildError, match=r"\.wh\.d"):
        bench.build(lambda root: (root / ".wh.d" / "below").mkdir(parents=True))


def linked(root: Path) -> None:
    write(root / "b")
    (root / "a").hardlink_to(root / "b")
    (root / "dir").mkdir()
    (root / "dir" / "c").hardlink_to(root / "b")
    write(root / "other")


def kinds(built: Built) -> dict[str, str]:
    return {
        name: f"link to {os.fsdecode(entry.link)}" if entry.kind is Kind.HARDLINK else "file"
        for name, entry in zip(built.names, built.entries, strict=True)
        if entry.kind in (Kind.FILE, Kind.HARDLINK)
    }


def test_40_the_first_path_is_the_file_and_the_others_are_links(bench: Bench) -> None:
    built = bench.build(linked)
    assert kinds(built) == {"a": "file", "b": "link to a", "dir/c": "link to a", "other": "file"}
    assert bench.tree(built) == bench.extracted(built)


def test_40_a_new_name_brings_the_whole_group(bench: Bench) -> None:
    base = bench.build(linked)
    upper = bench.build(lambda root: (root / "new").hardlink_to(root / "b"), on=base)
    assert kinds(upper) == {
        "a": "file",
        "b": "link to a",
        "dir/c": "link to a",
        "new": "link to a",
    }
    assert bench.tree(upper) == bench.extracted(upper)


def test_40_a_name_that_is_gone_brings_the_whole_group(bench: Bench) -> None:
    base = bench.build(linked)
    upper = bench.build(lambda root: (root / "a").unlink(), on=base)
    assert kinds(upper) == {".wh.a": "file", "b": "file", "dir/c": "link to b"}
    assert bench.tree(upper) == bench.extracted(upper)


def test_40_a_name_that_went_with_its_directory_brings_the_whole_group(bench: Bench) -> None:
    base = bench.build(linked)

    def remove(root: Path) -> None:
        (root / "dir" / "c").unlink()
        (root / "dir").rmdir()

    upper = bench.build(remove, on=base)
    assert kinds(upper) == {".wh.dir": "file", "a": "file", "b": "link to a"}


def test_40_a_name_that_became_a_file_of_its_own_brings_the_whole_group(bench: Bench) -> None:
    base = bench.build(linked)

    def replace(root: Path) -> None:
        (root / "a").unlink()
        write(root / "a", "new")

    upper = bench.build(replace, on=base)
    assert kinds(upper) == {"a": "file", "b": "file", "dir/c": "link to b"}
    assert bench.tree(upper) == bench.extracted(upper)


def test_40_all_names_changed_alike_stay_one_file(bench: Bench) -> None:
    base = bench.build(linked)

    def change(root: Path) -> None:
        for name in ("a", "b", "dir/c"):
            (root / name).chmod(0o600)

    upper = bench.build(change, on=base)
    assert kinds(upper) == {"a": "file", "b": "link to a", "dir/c": "link to a"}
    assert bench.tree(upper) == bench.extracted(upper)


def test_40_names_that_were_one_file_and_are_equal_are_one_file(bench: Bench) -> None:
    """Overlay splits a hard link when one of its names is touched; a user did not."""
    base = bench.build(linked)

    def split(root: Path) -> None:
        (root / "a").rename(root / "old")
        subprocess.run(["cp", "-p", root / "old", root / "a"], check=True)
        (root / "old").unlink()

    assert bench.build(split, on=base).names == []

    def split_and_add(root: Path) -> None:
        split(root)
        (root / "new").hardlink_to(root / "a")

    upper = bench.build(split_and_add, on=base)
    assert kinds(upper) == {
        "a": "file",
        "b": "link to a",
        "dir/c": "link to a",
        "new": "link to a",
    }
    assert bench.tree(upper) == bench.extracted(upper)


def test_40_two_files_that_became_one_are_in_the_layer(bench: Bench) -> None:
    base = bench.build(linked)

    def join(root: Path) -> None:
        (root / "other").unlink()
        (root / "other").hardlink_to(root / "a")

    upper = bench.build(join, on=base)
    assert kinds(upper)["other"] == "link to a"
    assert len(kinds(upper)) == 4
    assert bench.tree(upper) == bench.extracted(upper)


def test_40_other_kinds_of_files_are_linked_too(bench: Bench) -> None:
    def base(root: Path) -> None:
        furnish(root)
        for name in ("link", "fifo", "device"):
            os.link(root / name, root / f"second-{name}", follow_symlinks=False)

    built = bench.build(base)
    assert [e.path for e in built.entries if e.kind is Kind.HARDLINK] == [
        b"second-device",
        b"second-fifo",
        b"second-link",
    ]
    assert bench.tree(built) == bench.extracted(built)


def blob(bench: Bench, built: Built) -> bytes:
    with bench.layout.open(built.layer.descriptor) as stream:
        return stream.read()


def members(bench: Bench, built: Built) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(blob(bench, built))) as archive:
        return archive.getmembers()


def test_41_names_of_users_are_empty_and_times_are_as_fine_as_the_source(bench: Bench) -> None:
    def script(root: Path) -> None:
        write(root / "whole", mtime=OLD)
        write(root / "fine", mtime=OLD + 123_456_789)
        write(root / "ancient", mtime=-5 * 10**9 - 1)

    built = bench.build(script)
    found = {member.name: member for member in members(bench, built)}
    assert all(member.uname == member.gname == "" for member in found.values())
    assert "mtime" not in found["whole"].pax_headers
    assert found["fine"].pax_headers["mtime"] == "1000000000.123456789"
    assert built["ancient"].mtime == -5 * 10**9 - 1
    assert bench.tree(built) == bench.extracted(built)


def test_42_sockets_are_left_out_with_a_warning(bench: Bench) -> None:
    base = bench.build(furnish)

    def listen(root: Path) -> None:
        (root / "file").unlink()
        for name in ("dir/socket", "file"):
            with socket.socket(socket.AF_UNIX) as listening:
                os.chdir((root / name).parent)
                listening.bind(Path(name).name)
                os.chdir("/")

    upper = bench.build(listen, on=base)
    assert upper.names == [".wh.file"]
    assert upper.warnings == [
        "dir/socket is a socket and was left out",
        "file is a socket and was left out",
    ]
    assert bench.tree(upper) == bench.extracted(upper)


def test_43_what_is_mounted_in_the_root_does_not_appear(bench: Bench) -> None:
    base = bench.build(furnish)

    def mount(root: Path) -> None:
        target = os.fsencode(root / "dir")
        linux.mount(b"tmpfs", target, b"tmpfs")
        write(root / "dir" / "mounted")
        write(root / "seen")

    with bench.snapshots.prepare(base.image.chain_id) as active:
        mount(active.root)
        assert bench.changed_names(active) == [b"", b"seen"]


def test_43_what_the_driver_needs_for_itself_does_not_appear(bench: Bench) -> None:
    built = bench.build(furnish)
    assert {name.split("/")[0] for name in built.names} == {
        "device",
        "dir",
        "fifo",
        "file",
        "link",
    }
    assert all(entry.xattrs == () for entry in built.entries)


def test_44_the_same_tree_gives_the_same_bytes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(root: Path, names: list[str]) -> None:
        for name in names:
            write(root / name).chmod(0o644)

    names = [f"é{number}" for number in range(50)]
    first = bench.build(lambda root: make(root, names))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    os.umask(0o077)
    locale.setlocale(locale.LC_ALL, "C")
    second = bench.build(lambda root: make(root, names[::-1]), state=bench.folder / "other")
    assert second.image == first.image


def test_44_the_same_tree_gives_the_same_bytes_with_either_driver(
    bench_of: Callable[[str], Bench],
) -> None:
    def base(root: Path) -> None:
        furnish(root)
        linked(root / "dir" / "sub")

    def change(root: Path) -> None:
        replace_link(root)
        (root / "dir" / "sub" / "a").unlink()

    images = []
    for bench in (bench_of("overlay"), bench_of("copy")):
        images.append(bench.build(change, on=bench.build(base, epoch=1), epoch=1).image)
    assert images[0] == images[1]


def test_45_later_times_are_clamped(bench: Bench) -> None:
    epoch = OLD // 10**9
    base = bench.build(furnish)

    def change(root: Path) -> None:
        write(root / "dir" / "late", mtime=OLD + 1)
        write(root / "dir" / "early", mtime=OLD - 1)
        write(root / "file", "now", mtime=OLD * 2)

    upper = bench.build(change, on=base, epoch=epoch)
    times = {os.fsdecode(entry.path): entry.mtime for entry in upper.entries}
    assert times == {"dir": OLD, "dir/early": OLD - 1, "dir/late": OLD, "file": OLD}
    assert bench.tree(upper) == bench.extracted(upper)


def test_45_directories_that_are_only_passed_through_are_clamped_too(bench: Bench) -> None:
    base = bench.build(furnish)
    upper = bench.build(lambda root: write(root / "dir" / "sub" / "new"), on=base, epoch=5)
    assert [entry.mtime for entry in upper.entries] == [5 * 10**9] * 3
    assert bench.tree(upper) == bench.extracted(upper)


def test_45_a_time_is_compared_before_it_is_clamped(bench: Bench) -> None:
    base = bench.build(furnish, epoch=OLD // 10**9)
    upper = bench.build(
        lambda root: os.utime(root / "file", ns=(0, OLD + 1)), on=base, epoch=OLD // 10**9
    )
    assert upper.names == ["file"]
    assert upper["file"].mtime == OLD
