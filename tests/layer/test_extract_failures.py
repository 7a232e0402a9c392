"""layer rules 27 to 33: hostile and broken layers, and what is left where they were applied."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.errors import ArchiveError, BuildError
from genoci.layer import tar
from genoci.layer.entry import Entry, Kind
from genoci.layer.extract import Devices, extract_layer
from genoci.layer.member import Sourced
from genoci.layer.remove import remove_below
from tars import (
    OWNERS,
    Piece,
    a_root,
    changed,
    device,
    directory,
    fifo,
    file,
    hardlink,
    layer,
    opaque,
    symlink,
    whiteout,
)


def entry(path: bytes, size: int = 0) -> Entry:
    return Entry(path, Kind.FILE, 0o644, 0, 0, 0, size=size)


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax", "--sparse-version=1.0"]])
def test_27_holes_stay_holes(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "sparse").open("wb") as made:
        made.write(b"begin")
        made.seek(50 << 20)
        made.write(b"middle")
        made.truncate(100 << 20)
    command = ["tar", "-cS", *options, "-C", str(tmp_path / "in"), "sparse"]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(archive) < 1 << 20
    with a_root(tmp_path) as root:
        root.extract(archive)
        status = (root.path / "sparse").stat()
        assert status.st_size == 100 << 20
        assert status.st_blocks * 512 < 1 << 20
        with (root.path / "sparse").open("rb") as found:
            assert found.read(6) == b"begin\0"
            found.seek(50 << 20)
            assert found.read(7) == b"middle\0"


def test_28_a_cut_off_layer_names_the_entry(tmp_path: Path) -> None:
    whole = layer(directory(b"d"), file(b"d/f", bytes(5000)))
    said = r"entry d/f at byte 512: .*cut off"
    with a_root(tmp_path) as root, pytest.raises(ArchiveError, match=said):
        root.extract(whole[:2000])


def test_28_content_that_is_not_as_long_as_its_entry_says_is_an_error(tmp_path: Path) -> None:
    said = "f: changed while it was read"
    for size in (1, 5):
        member = Sourced(entry(b"f", size), lambda: iter([b"abc"]))
        options = {"owners": OWNERS, "devices": Devices.PLACEHOLDER}
        with a_root(tmp_path) as root, pytest.raises(BuildError, match=said):
            extract_layer([member], root.fd, warn=root.warnings.append, **options)


def test_31_a_sparse_file_of_an_impossible_size_is_an_error(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        records = b"".join(
            b"%d %b\n" % (len(text) + 4, text)
            for text in (
                b"GNU.sparse.major=1",
                b"GNU.sparse.minor=0",
                b"GNU.sparse.realsize=9223372036854775807",
            )
        )
        extended = changed(tar.write_header(entry(b"pax", len(records))), 156, b"x")
        archive = extended + records + tar.padding(len(records))
        archive += layer(file(b"f", b"0\n".ljust(512, b"\0")))
        with pytest.raises(ArchiveError, match="f: can't be made: File too large"):
            root.extract(archive)


def test_32_an_error_leaves_no_descriptor_and_no_thread_behind(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        before = os.listdir("/proc/self/fd"), threading.active_count()
        for last in (hardlink(b"x", b"gone"), file(b".wh."), file(b"n" * 256)):
            with pytest.raises(ArchiveError):
                root.extract(layer(file(b"a/b/c/f"), symlink(b"l", b"a/b"), file(b"l/g"), last))
        assert (os.listdir("/proc/self/fd"), threading.active_count()) == before


def test_32_a_full_disk_is_an_error_with_a_mend(tmp_path: Path) -> None:
    script = (
        "import sys, io, os; from genoci.layer import tar; from genoci.layer.extract import *\n"
        "from genoci.errors import StorageError\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "members = tar.read(sys.stdin.buffer, name='t')\n"
        "try:\n"
        "    extract_layer(members, fd, owners=Owners.MINE, devices=Devices.SKIP, warn=print)\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    (tmp_path / "small").mkdir()
    small = str(tmp_path / "small")
    mount = 'mount -t tmpfs -o size=1m,nr_inodes=50 none "$1" && exec "$2" -c "$3" "$1"'
    for big in ([file(b"d/f", bytes(2 << 20))], [file(b"d/%d" % n) for n in range(60)]):
        done = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", mount, "sh", small, sys.executable, script],
            input=layer(*big),
            capture_output=True,
            check=True,
        )
        assert b"the disk is full\n  Make room" in done.stdout
        assert done.stdout.startswith(b"d/")


def attack(outside: bytes) -> Iterator[list[list[Piece]]]:
    """Layers, the upper on top of the lower's links, that want to get out of the root."""
    links = [
        symlink(b"l", outside),
        symlink(b"up", b"../beside"),
        symlink(b"ups", b"../" * 30 + outside.lstrip(b"/")),
        symlink(b"secret", outside + b"/secret"),
        symlink(b"proc", b"/proc/self/root" + outside),
        directory(b"d"),
        symlink(b"d/l", outside),
    ]
    for name in (b"l", b"up", b"ups", b"proc", b"d/l", b"d/../l"):
        yield [links, [file(name + b"/secret", b"new")]]
        yield [
            links,
            [file(name + b"/new"), directory(name + b"/dir"), symlink(name + b"/s", b"x")],
        ]
        yield [links, [whiteout(name + b"/secret"), whiteout(name + b"/full"), opaque(name)]]
        yield [links, [directory(name, mode=0o777), file(name + b"/secret")]]
        yield [links, [file(name + b"/x"), file(name), file(name + b"/secret")]]
        yield [links, [fifo(name + b"/p"), device(name + b"/n"), directory(name + b"/full")]]
        yield [[*links, file(name + b"/secret", b"new")]]
        yield [links, [hardlink(b"h", name + b"/secret"), file(b"h", b"new", mode=0o777)]]
        yield [links, [hardlink(name + b"/h", b"secret")]]
    yield [links, [hardlink(b"h", b"secret"), file(b"h", b"new")]]
    yield [links, [hardlink(b"h", outside + b"/secret")], [file(b"h", b"new", mode=0o777)]]
    yield [links, [file(b"secret", b"new", mode=0o777)]]
    yield [[file(b"../beside/secret", b"new"), file(outside + b"/secret", b"new")]]
    yield [[whiteout(b"../beside/secret"), whiteout(outside + b"/full"), opaque(b"../beside")]]
    yield [[symlink(b"a", b"."), symlink(b"a/b", b".."), file(b"a/b/../beside/secret", b"new")]]
    yield [[symlink(b".", outside)]]
    yield [[symlink(b"a", b".."), directory(b"a"), file(b"a/beside/secret")]]


def test_33_nothing_outside_the_root_is_touched(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside")
    done = refused = 0
    for layers in attack(outside):
        with a_root(tmp_path) as root:
            try:
                root.extract(*(layer(*pieces) for pieces in layers))
                done += 1
            except ArchiveError:
                refused += 1
            assert root.untouched_beside(), layers
    assert done > 30
    assert refused > 3


def test_33_what_could_have_been_touched_would_have_been_noticed(tmp_path: Path) -> None:
    """The judge of the test above judges: each of these it would have seen."""
    for harm in (
        lambda beside: (beside / "secret").write_bytes(b"new"),
        lambda beside: (beside / "secret").chmod(0o777),
        lambda beside: (beside / "full" / "inner").unlink(),
        lambda beside: (beside / "new").symlink_to("x"),
        lambda beside: os.link(beside / "secret", beside.parent / "root" / "h"),
    ):
        with a_root(tmp_path) as root:
            harm(root.beside)
            assert not root.untouched_beside()


def test_33_removing_a_tree_follows_no_link(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        outside = os.fsencode(root.beside)
        links = [symlink(b"d/l", outside), symlink(b"d/e/l", b"../../../beside")]
        root.extract(layer(directory(b"d/e", mode=0o555), *links), layer(file(b"d")))
        assert (root.path / "d").is_file()
        assert root.untouched_beside()


def test_a_deep_and_wide_tree_is_removed_with_two_descriptors(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"n" * 200 + b"/d" * 3000 + b"/f"), directory(b"c", mode=0)))
        root.extract(layer(*(file(b"w/%d/f" % number) for number in range(2000))))
        highest = os.dup(root.fd)
        os.close(highest)
        soft, hard = _limit(highest + 4)
        try:
            remove_below(root.fd)
        finally:
            _limit(soft, hard)
        assert os.listdir(root.fd) == []


def _limit(soft: int, hard: int | None = None) -> tuple[int, int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1] if hard is None else hard))
    return before


def test_a_thousand_open_directories_are_not_kept_open(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        highest = os.dup(root.fd)
        os.close(highest)
        soft, hard = _limit(highest + 80)
        try:
            root.extract(
                layer(
                    *(file(b"%d/%d/f" % (n % 500, n)) for n in range(1000)),
                    file(b"x/" * 999 + b"f"),
                )
            )
        finally:
            _limit(soft, hard)
        assert len(os.listdir(root.fd)) == 501


def test_an_owner_that_cannot_be_given_says_what_is_needed(tmp_path: Path) -> None:
    script = (
        "import sys, io, os; from genoci.layer import tar; from genoci.layer.extract import *\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "members = tar.read(sys.stdin.buffer, name='t')\n"
        "extract_layer(members, fd, owners=Owners.KEEP, devices=Devices.SKIP, warn=print)\n"
    )
    with a_root(tmp_path) as root:
        done = subprocess.run(
            ["unshare", "-Ur", sys.executable, "-c", script, str(root.path)],
            input=layer(file(b"f", uid=7)),
            capture_output=True,
            check=False,
        )
        assert b"f belongs to 7:0, an owner that can't be given here" in done.stderr
        assert b"uidmap" in done.stderr
