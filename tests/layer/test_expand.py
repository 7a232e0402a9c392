"""Plain tarballs over a live root: what `expand` does otherwise than the extraction of a layer."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import pytest

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.entry import Entry, Kind
from genoci.layer.extract import Devices, expand
from tars import (
    OWNERS,
    TIME,
    Piece,
    Root,
    Seen,
    a_root,
    directory,
    file,
    hardlink,
    layer,
    opaque,
    socket,
    symlink,
    whiteout,
)


def unpack(root: Root, *pieces: Piece, dest: bytes = b"", strip: int = 0, raw: bytes = b"") -> None:
    members = tar.read(io.BytesIO(raw + layer(*pieces)), name="a.tar")
    options = {"owners": OWNERS, "devices": Devices.PLACEHOLDER, "warn": root.warnings.append}
    expand(members, root.fd, dest=dest, strip=strip, **options)


def expanded(
    folder: Path, base: list[Piece], *pieces: Piece, dest: bytes = b"", strip: int = 0
) -> dict[bytes, Seen]:
    with a_root(folder) as root:
        root.extract(layer(*base))
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: root.untouched_beside() or pytest.fail("touched"))
            unpack(root, *pieces, dest=dest, strip=strip)
        return root.seen()


MERGED = [
    directory(b"usr", mtime=1),
    directory(b"usr/lib", mode=0o711, mtime=5),
    file(b"usr/lib/old"),
    symlink(b"lib", b"usr/lib", mtime=3),
]


def test_a_link_to_a_directory_stays_where_the_tarball_has_a_directory(tmp_path: Path) -> None:
    seen = expanded(tmp_path, MERGED, directory(b"lib", mode=0o700), file(b"lib/new", b"1"))
    assert seen[b"lib"].entry.link == b"usr/lib"
    assert seen[b"lib"].entry.mtime == 3
    assert seen[b"usr/lib/new"].content == b"1"
    assert (seen[b"usr/lib"].entry.mode, seen[b"usr/lib"].entry.mtime) == (0o711, 5)


@pytest.mark.parametrize("link", [b"nothing", b"usr/lib/old"])
def test_a_link_to_no_directory_is_replaced(tmp_path: Path, link: bytes) -> None:
    seen = expanded(tmp_path, [*MERGED, symlink(b"l", link)], directory(b"l"), file(b"l/f"))
    assert seen[b"l"].entry.kind is Kind.DIRECTORY
    assert b"l/f" in seen


def test_a_link_is_replaced_by_anything_but_a_directory(tmp_path: Path) -> None:
    seen = expanded(tmp_path, MERGED, file(b"lib", b"1"))
    assert seen[b"lib"].content == b"1"
    assert b"usr/lib/old" in seen


def test_links_lead_inside_the_root_only(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside")
    base = [*MERGED, symlink(b"out", outside), symlink(b"abs", b"/usr/lib")]
    pieces = [
        directory(b"out"),
        file(b"out/secret", b"new"),
        file(b"abs/x"),
        hardlink(b"h", b"abs/x"),
    ]
    seen = expanded(tmp_path, base, *pieces)
    assert seen[b"out"].entry.kind is Kind.DIRECTORY
    assert seen[b"h"].names == (b"h", b"usr/lib/x")


@pytest.mark.parametrize(
    "piece", [whiteout(b"f"), opaque(b""), file(b".wh.d/f"), whiteout(b"lib/x")]
)
def test_48_members_named_as_whiteouts_are_errors(tmp_path: Path, piece: Piece) -> None:
    with a_root(tmp_path) as root:
        root.extract(layer(*MERGED, file(b"f")))
        with pytest.raises(ArchiveError, match="is a whiteout, and a plain tarball has none"):
            unpack(root, piece)
        assert b"f" in root.seen()


def test_directories_that_are_only_passed_through_keep_their_times(tmp_path: Path) -> None:
    seen = expanded(tmp_path, MERGED, file(b"lib/new"), dest=b"")
    assert [seen[path].entry.mtime for path in (b"usr", b"usr/lib")] == [1, 5]


def test_missing_parents_have_the_newest_time_of_the_tarball(tmp_path: Path) -> None:
    newest = TIME + 7
    pieces = [file(b"a/b/f", mtime=-9), directory(b"lib", mtime=newest)]
    seen = expanded(tmp_path, MERGED, *pieces, dest=b"")
    for path in (b"a", b"a/b"):
        assert seen[path].entry == Entry(path, Kind.DIRECTORY, 0o755, 0, 0, newest)


@pytest.mark.parametrize("dest", [b"new/place", b"usr/lib", b"lib", b"usr/lib/old"])
def test_dest_is_where_everything_goes(tmp_path: Path, dest: bytes) -> None:
    pieces = [file(b"f", b"1"), hardlink(b"h", b"f"), directory(b"d"), symlink(b"d/l", b"/f")]
    seen = expanded(tmp_path, MERGED, *pieces, dest=dest)
    real = b"usr/lib" if dest == b"lib" else dest
    assert seen[real + b"/f"].names == (real + b"/f", real + b"/h")
    assert seen[real + b"/d/l"].entry.link == b"/f"


def test_the_tarballs_root_gives_dest_its_metadata(tmp_path: Path) -> None:
    seen = expanded(tmp_path, MERGED, directory(b"./", mode=0o700, mtime=9), dest=b"opt/x")
    assert (seen[b"opt/x"].entry.mode, seen[b"opt/x"].entry.mtime) == (0o700, 9)
    assert seen[b""].entry.mode == 0o755


@pytest.mark.parametrize("dest", [b"", b"opt"])
def test_a_tarball_whose_root_is_no_directory_is_an_error(tmp_path: Path, dest: bytes) -> None:
    with pytest.raises(ArchiveError, match="the root of the archive is not a directory"):
        expanded(tmp_path, MERGED, symlink(b".", b"x"), dest=dest)


def test_strip_drops_leading_components_and_what_has_no_others(tmp_path: Path) -> None:
    pieces = [
        directory(b"./"),
        directory(b"top", mode=0o700),
        file(b"top/f", b"1"),
        file(b"top/d/g"),
        hardlink(b"other/h", b"top/f"),
        file(b"alone"),
    ]
    seen = expanded(tmp_path, [], *pieces, strip=1)
    assert seen.keys() == {b"", b"f", b"d", b"d/g", b"h"}
    assert seen[b"f"].names == (b"f", b"h")
    assert seen[b""].entry.mode == 0o755


def test_sockets_are_left_out_with_a_warning(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        unpack(root, file(b"f"), raw=socket(b"run/s"))
        assert root.seen().keys() == {b"", b"f"}
        assert root.warnings == ["run/s is a socket and was left out"]


def test_several_tarballs_lie_one_over_the_other(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        unpack(root, directory(b"d", mode=0o700), file(b"d/f", b"1"), symlink(b"l", b"d"))
        unpack(root, file(b"l/g"), file(b"d/f", b"2"), directory(b"l"))
        seen = root.seen()
    assert seen.keys() == {b"", b"d", b"d/f", b"d/g", b"l"}
    assert seen[b"d/f"].content == b"2"
    assert seen[b"d"].entry.mode == 0o700
