"""layer rules 12 to 18: what whiteouts and opaque markers of a hand-made layer hide."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import ArchiveError
from genoci.layer.entry import Entry, Kind
from tars import (
    TIME,
    Piece,
    a_root,
    both,
    both_refuse,
    directory,
    fifo,
    file,
    folded,
    hardlink,
    layer,
    opaque,
    symlink,
    whiteout,
)

BASE = layer(
    directory(b"d", mode=0o700, mtime=5),
    file(b"d/old", b"old"),
    directory(b"d/sub", mode=0o700, mtime=5),
    file(b"d/sub/old", b"old"),
    file(b"f", b"kept"),
    symlink(b"l", b"d"),
)


def whatever_the_order(folder: Path, pieces: list[Piece]) -> set[bytes]:
    """The paths that are left of BASE under a layer of `pieces`, the same in every order."""
    found = []
    for number, order in enumerate(itertools.permutations(pieces)):
        place = folder / str(number)
        place.mkdir()
        found.append(both(place, BASE, layer(*order)))
    assert all(seen == found[0] for seen in found)
    return set(found[0])


@pytest.mark.parametrize("path", [b"d", b"f", b"l", b"d/sub", b"d/sub/old"])
def test_12_a_whiteout_removes_what_lower_layers_have_with_all_below(
    tmp_path: Path, path: bytes
) -> None:
    before = {b"", b"d", b"d/old", b"d/sub", b"d/sub/old", b"f", b"l"}
    gone = {one for one in before if one == path or one.startswith(path + b"/")}
    assert both(tmp_path, BASE, layer(whiteout(path))).keys() == before - gone


def test_12_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside")
    base = layer(directory(b"d"), file(b"d/f"), symlink(b"in", b"d"), symlink(b"out", outside))
    seen = both(tmp_path, base, layer(whiteout(b"in"), whiteout(b"out")))
    assert seen.keys() == {b"", b"d", b"d/f"}


def test_12_only_one_of_the_names_of_a_file_goes(tmp_path: Path) -> None:
    base = layer(file(b"a", b"1"), hardlink(b"b", b"a"))
    seen = both(tmp_path, base, layer(whiteout(b"a")))
    assert (seen[b"b"].content, seen[b"b"].names) == (b"1", (b"b",))


def test_13_a_whiteout_never_removes_what_the_same_layer_brings(tmp_path: Path) -> None:
    left = whatever_the_order(tmp_path, [whiteout(b"f"), file(b"f", b"new"), whiteout(b"d")])
    assert left == {b"", b"f", b"l"}


def test_13_below_a_directory_of_the_same_layer_only_the_old_goes(tmp_path: Path) -> None:
    pieces = [whiteout(b"d"), directory(b"d", mtime=9), file(b"d/new"), file(b"d/sub/new")]
    left = whatever_the_order(tmp_path, pieces)
    assert left == {b"", b"f", b"l", b"d", b"d/new", b"d/sub", b"d/sub/new"}


def test_13_what_leads_to_the_new_is_no_longer_the_old_directory(tmp_path: Path) -> None:
    seen = both(tmp_path, BASE, layer(file(b"d/sub/new", mtime=TIME), whiteout(b"d")))
    for path in (b"d", b"d/sub"):
        assert seen[path].entry == Entry(path, Kind.DIRECTORY, 0o755, 0, 0, TIME)


def test_13_a_deep_directory_of_the_same_layer_is_kept(tmp_path: Path) -> None:
    deep = b"d/" * 1500 + b"new"
    with a_root(tmp_path) as root:
        root.extract(BASE, layer(file(deep), whiteout(b"d")))
        left = os.listdir(root.path / "d")
        assert left == ["d"]


@pytest.mark.parametrize("where", [b"", b"d", b"d/sub"])
def test_14_an_opaque_marker_hides_what_lower_layers_have_in_the_directory(
    tmp_path: Path, where: bytes
) -> None:
    before = {b"", b"d", b"d/old", b"d/sub", b"d/sub/old", b"f", b"l"}
    prefix = where + b"/" if where else b""
    gone = {one for one in before if one != where and one.startswith(prefix)}
    assert both(tmp_path, BASE, layer(opaque(where))).keys() == before - gone


@pytest.mark.parametrize("where", [b"", b"d", b"d/sub"])
def test_14_an_opaque_marker_hides_nothing_of_its_own_layer(tmp_path: Path, where: bytes) -> None:
    pieces = [opaque(where), file(b"d/sub/new"), directory(b"d/own"), hardlink(b"h", b"d/sub/new")]
    if where != b"d/sub":
        pieces.pop()
        pieces.append(file(b"d/new"))
    left = [both(made(tmp_path, n), BASE, layer(*order)) for n, order in enumerate(orders(pieces))]
    assert all(seen == left[0] for seen in left)
    assert {b"d", b"d/own", b"d/sub", b"d/sub/new"} <= left[0].keys()
    assert b"d/sub/old" not in left[0]


def orders(pieces: list[Piece]) -> list[list[Piece]]:
    """With the marker at every place."""
    marker, *others = pieces
    return [[*others[:at], marker, *others[at:]] for at in range(len(others) + 1)]


def made(folder: Path, number: int) -> Path:
    place = folder / str(number)
    place.mkdir()
    return place


def test_14_the_directory_itself_stays_with_its_metadata_and_time(tmp_path: Path) -> None:
    seen = both(tmp_path, BASE, layer(opaque(b"d")))
    assert (seen[b"d"].entry.mode, seen[b"d"].entry.mtime) == (0o700, 5)


@pytest.mark.parametrize("path", [b"gone", b"gone/x", b"f/x", b"d/gone", b"loop"])
def test_15_a_whiteout_of_nothing_is_no_error(tmp_path: Path, path: bytes) -> None:
    seen = both(tmp_path, BASE, layer(whiteout(path), opaque(path)))
    assert seen.keys() == {b"", b"d", b"d/old", b"d/sub", b"d/sub/old", b"f", b"l"}


@pytest.mark.parametrize("name", [b".wh.", b".wh..", b".wh..."])
@pytest.mark.parametrize("parent", [b"", b"d/", b"l/", b"gone/"])
def test_16_a_whiteout_of_no_name_is_an_error_and_removes_nothing(
    tmp_path: Path, parent: bytes, name: bytes
) -> None:
    bad = layer(file(parent + name))
    assert "is a whiteout of no name" in both_refuse(made(tmp_path, 1), BASE, bad)
    with a_root(made(tmp_path, 2)) as root:
        root.extract(BASE)
        with pytest.raises(ArchiveError, match="no name"):
            root.extract(bad)
        assert root.seen() == folded(BASE)


def test_17_a_whiteout_under_a_symlinked_parent_acts_inside_the_root(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside")
    base = layer(symlink(b"out", outside), symlink(b"up", b"../../beside"))
    bad = [whiteout(parent + b"/secret") for parent in (b"out", b"up")]
    bad += [opaque(parent) for parent in (b"out", b"up")]
    seen = both(tmp_path, BASE, base, layer(*bad, whiteout(b"l/old")))
    assert b"d/old" not in seen
    assert b"d/sub/old" in seen


def test_17_what_came_through_a_link_is_kept_by_its_real_name(tmp_path: Path) -> None:
    left = whatever_the_order(tmp_path, [file(b"l/old", b"new"), whiteout(b"d/old"), opaque(b"l")])
    assert left == {b"", b"d", b"d/old", b"f", b"l"}


@pytest.mark.parametrize("make", [directory, fifo, lambda path: symlink(path, b"f")])
def test_18_the_type_and_content_of_a_whiteout_do_not_matter(
    tmp_path: Path, make: Callable[[bytes], Piece]
) -> None:
    seen = both(tmp_path, BASE, layer(make(b"d/.wh.sub"), make(b".wh.f")))
    assert seen.keys() == {b"", b"d", b"d/old", b"l"}
    assert both(made(tmp_path, 1), BASE, layer(file(b".wh.f", b"1"))).keys() >= {b"d"}


def test_what_lies_below_a_whiteout_is_an_error(tmp_path: Path) -> None:
    said = both_refuse(tmp_path, BASE, layer(file(b".wh.d/f")))
    assert said == ".wh.d/f: lies below the whiteout b'.wh.d'"


def test_what_aufs_kept_for_itself_is_left_out(tmp_path: Path) -> None:
    pieces = [directory(b".wh..wh.plnk"), file(b".wh..wh.plnk/1.2"), file(b".wh..wh.aufs")]
    assert both(tmp_path, layer(*pieces)).keys() == {b""}
