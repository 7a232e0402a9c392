"""layer rules 1 to 11: where the entries of a hand-made layer go, and what they replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genoci.errors import ArchiveError
from genoci.layer.beneath import Beneath
from genoci.layer.entry import Entry, Kind
from genoci.layer.landing import LONGEST
from tars import (
    SECOND,
    TIME,
    Piece,
    Root,
    a_root,
    both,
    both_refuse,
    directory,
    fifo,
    file,
    folded,
    hardlink,
    layer,
    symlink,
)


def look(root: Root, path: bytes) -> tuple[bytes, int]:
    """The content of a file, however deep, and how many names it has."""
    beneath = Beneath(root.fd)
    try:
        above, name = beneath.parent(path)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=above)
        with open(fd, "rb") as stream:
            return stream.read(), os.fstat(fd).st_nlink
    finally:
        beneath.close()


@pytest.mark.parametrize(
    "name", [b"./a", b"/a", b"//a", b"x/../a", b"../../a", b"a/.", b"./x/../a"]
)
def test_1_names_are_cleaned_and_cannot_leave_the_root(tmp_path: Path, name: bytes) -> None:
    assert both(tmp_path, layer(file(name, b"1"))).keys() == {b"", b"a"}


def test_1_a_hard_links_target_is_cleaned_as_well(tmp_path: Path) -> None:
    seen = both(tmp_path, layer(file(b"a", b"1"), hardlink(b"b", b"/x/../../a")))
    assert seen[b"a"].names == seen[b"b"].names == (b"a", b"b")


@pytest.mark.parametrize("link", [b"d", b"/d", b"../../d", b"./x/../d", b"/../d/", b"d/../d/."])
def test_2_links_in_the_parents_are_resolved_inside_the_root(tmp_path: Path, link: bytes) -> None:
    base = layer(directory(b"d"), directory(b"x"), symlink(b"l", link))
    seen = both(tmp_path, base, layer(file(b"l/f", b"1")))
    assert seen[b"d/f"].content == b"1"
    assert seen[b"l"].entry.link == link


def test_2_a_chain_of_links_is_resolved(tmp_path: Path) -> None:
    base = layer(directory(b"d/e"), symlink(b"a", b"/b"), symlink(b"b", b"d/up"))
    base_2 = layer(symlink(b"d/up", b"../d/e/.."))
    assert b"d/f" in both(tmp_path, base, base_2, layer(file(b"a/f")))


def test_2_an_absolute_link_begins_at_the_root_wherever_it_stands(tmp_path: Path) -> None:
    base = layer(directory(b"d"), directory(b"x/d"), symlink(b"x/l", b"/d"))
    assert b"d/f" in both(tmp_path, base, layer(file(b"x/l/f")))


def test_2_the_last_component_is_never_followed(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside" / "secret")
    base = layer(file(b"f", b"kept"), symlink(b"l", b"f"), symlink(b"o", outside))
    seen = both(tmp_path, base, layer(file(b"l", b"new"), file(b"o", b"new")))
    assert seen[b"l"].entry.kind is seen[b"o"].entry.kind is Kind.FILE
    assert seen[b"f"].content == b"kept"


def test_3_a_root_entry_gives_the_root_its_metadata(tmp_path: Path) -> None:
    seen = both(tmp_path, layer(directory(b"./", mode=0o1750, mtime=7), file(b"f")))
    assert seen[b""].entry.mode == 0o1750
    assert seen[b""].entry.mtime == 7


@pytest.mark.parametrize(
    "entry", [file(b"a/.."), symlink(b".", b"a"), hardlink(b"a/..", b"a"), fifo(b"/")]
)
def test_3_a_root_entry_of_any_other_type_is_an_error(tmp_path: Path, entry: Piece) -> None:
    said = both_refuse(tmp_path, layer(file(b"a")), layer(entry))
    assert said == "./: the root of the archive is not a directory"


def test_4_hard_link_targets_resolve_inside_the_root(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside")
    base = layer(file(b"d/f", b"1"), symlink(b"in", b"/d"), symlink(b"out", outside))
    seen = both(tmp_path, base, layer(hardlink(b"new", b"in/f")))
    assert seen[b"new"].names == (b"d/f", b"new")


@pytest.mark.parametrize("target", [b"gone", b"gone/f", b"f/x", b"d", b"out/secret", b"."])
def test_4_a_missing_hard_link_target_is_an_error(tmp_path: Path, target: bytes) -> None:
    outside = os.fsencode(tmp_path / "beside")
    base = layer(file(b"f"), directory(b"d"), symlink(b"out", outside))
    said = both_refuse(tmp_path, base, layer(hardlink(b"new", target)))
    assert said.startswith("new: is a hard link to ")
    assert said.endswith(", which is not there")


def test_4_a_hard_link_to_what_it_would_replace_is_an_error(tmp_path: Path) -> None:
    said = both_refuse(tmp_path, layer(file(b"d/f")), layer(hardlink(b"d", b"d/f")))
    assert said == "d: is a hard link to d/f, which is not there"


def test_4_a_hard_link_to_a_symbolic_link_is_the_link_itself(tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "beside" / "secret")
    seen = both(tmp_path, layer(symlink(b"l", outside), hardlink(b"h", b"l")))
    assert seen[b"h"].entry.link == outside
    assert seen[b"h"].names == (b"h", b"l")


def test_4_a_hard_link_to_itself_changes_nothing(tmp_path: Path) -> None:
    assert both(tmp_path, layer(file(b"f", b"1"), hardlink(b"f", b"f")))[b"f"].content == b"1"


@pytest.mark.parametrize("text", [b"/", b"..", b"//x//", b"a b\nc", b"\xff\xfe", b"/../" * 500])
def test_5_a_links_text_is_stored_as_it_is(tmp_path: Path, text: bytes) -> None:
    assert both(tmp_path, layer(symlink(b"l", text)))[b"l"].entry.link == text


@pytest.mark.parametrize(
    "links",
    [
        [symlink(b"l", b"l")],
        [symlink(b"l", b"m"), symlink(b"m", b"l")],
        [symlink(b"l", b"/l/x")],
        [symlink(b"l%d" % n, b"l%d" % (n + 1)) for n in range(41)] + [symlink(b"l", b"l0")],
    ],
)
def test_6_a_loop_of_links_among_the_parents_is_an_error(
    tmp_path: Path, links: list[Piece]
) -> None:
    said = both_refuse(tmp_path, layer(*links), layer(file(b"l/f")))
    assert said == "l/f: symbolic links among its parents lead to each other in a loop"


def test_7_missing_parents_are_made_with_the_layers_time(tmp_path: Path) -> None:
    newest = TIME + 5 * SECOND + 1
    members = [file(b"a/b/f", mtime=-9), symlink(b"z", b"z", mtime=newest)]
    seen = both(tmp_path, layer(*members))
    for path in (b"a", b"a/b"):
        assert seen[path].entry == Entry(path, Kind.DIRECTORY, 0o755, 0, 0, newest)


def test_7_whiteouts_count_for_the_layers_time(tmp_path: Path) -> None:
    seen = both(tmp_path, layer(file(b"a/f", mtime=-9), file(b".wh.x", mtime=-3)))
    assert seen[b"a"].entry.mtime == -3


@pytest.mark.parametrize(
    "parent", [file(b"p"), fifo(b"p"), symlink(b"p", b"gone"), symlink(b"p", b"f")]
)
def test_7_a_parent_that_is_no_directory_is_replaced_by_one(tmp_path: Path, parent: Piece) -> None:
    base = layer(file(b"f"), parent)
    seen = both(tmp_path, base, layer(file(b"p/x", b"1")))
    assert seen[b"p"].entry.kind is Kind.DIRECTORY
    assert seen[b"p/x"].content == b"1"


def test_8_a_path_a_thousand_directories_deep_works(tmp_path: Path) -> None:
    name = b"n" * 255
    deep = b"/".join([name] * 1000)
    brought = layer(
        file(deep + b"/f", b"1"), directory(deep, mtime=7), hardlink(b"h", deep + b"/f")
    )
    with a_root(tmp_path) as root:
        root.extract(brought)
        assert look(root, deep + b"/f") == (b"1", 2)
        assert root.untouched_beside()
    assert folded(brought)[deep + b"/f"].names == (b"h", deep + b"/f")


def test_8_deep_paths_can_be_replaced_and_hidden(tmp_path: Path) -> None:
    deep = b"/".join([b"d" * 200] * 1000)
    with a_root(tmp_path) as root:
        root.extract(layer(file(deep + b"/f")), layer(file(deep + b"/.wh.f"), file(deep + b"/g")))
        assert look(root, deep + b"/g") == (b"", 1)
        root.extract(layer(file(b"d" * 200)))
        assert root.seen().keys() == {b"", b"d" * 200}


def test_8_a_path_beyond_all_reason_is_an_error(tmp_path: Path) -> None:
    said = both_refuse(tmp_path, layer(file(b"a/" * (LONGEST // 2 + 1) + b"f")))
    assert f"{LONGEST} are the most" in said


@pytest.mark.parametrize(
    "name", [b"n" * 255, b"\xff\xfe\x80", b"two\nlines", b" ", b"\\", b"-rf", b"..."]
)
def test_8_odd_names_work(tmp_path: Path, name: bytes) -> None:
    seen = both(tmp_path, layer(file(name + b"/" + name, b"1"), symlink(b"l", name)))
    assert seen[name + b"/" + name].content == b"1"


def test_8_a_name_that_no_filesystem_takes_is_an_error(tmp_path: Path) -> None:
    with (
        a_root(tmp_path) as root,
        pytest.raises(ArchiveError, match="can't be made: File name too long"),
    ):
        root.extract(layer(file(b"n" * 256)))


def test_9_what_is_replaced_leaves_its_other_names_as_they_were(tmp_path: Path) -> None:
    base = layer(file(b"a", b"old"), hardlink(b"b", b"a"))
    seen = both(tmp_path, base, layer(file(b"a", b"new", mode=0o600)))
    assert (seen[b"a"].content, seen[b"a"].names) == (b"new", (b"a",))
    assert (seen[b"b"].content, seen[b"b"].names) == (b"old", (b"b",))
    assert seen[b"b"].entry.mode == 0o644


def test_9_a_directory_over_a_directory_keeps_what_is_in_it(tmp_path: Path) -> None:
    base = layer(directory(b"d", mode=0o700), file(b"d/f"))
    seen = both(tmp_path, base, layer(directory(b"d", mode=0o711)))
    assert seen[b"d"].entry.mode == 0o711
    assert b"d/f" in seen


KINDS = {
    "file": file(b"x", b"1"),
    "directory": directory(b"x"),
    "link to a directory": symlink(b"x", b"d"),
    "link to nothing": symlink(b"x", b"nothing"),
    "hard link": hardlink(b"x", b"other"),
    "fifo": fifo(b"x"),
}


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
def test_10_everything_can_become_everything(tmp_path: Path, old: str, new: str) -> None:
    base = layer(directory(b"d"), file(b"d/kept"), file(b"other", b"2"), KINDS[old])
    above = [file(b"x/below")] if old == "directory" else []
    seen = both(tmp_path, base, layer(*above), layer(KINDS[new]))
    kind = KINDS[new].entry.kind
    assert seen[b"x"].entry.kind is (Kind.FILE if kind is Kind.HARDLINK else kind)
    assert (b"x/below" in seen) == (old == new == "directory")
    assert b"d/kept" in seen


def test_11_a_name_that_appears_twice_is_the_last_one(tmp_path: Path) -> None:
    first = [file(b"f", b"1"), hardlink(b"h", b"f"), directory(b"d", mode=0o700), file(b"d/x")]
    seen = both(tmp_path, layer(*first, file(b"f", b"22", mode=0o600, mtime=5), directory(b"d")))
    assert (seen[b"f"].content, seen[b"f"].entry.mode, seen[b"f"].entry.mtime) == (b"22", 0o600, 5)
    assert (seen[b"h"].content, seen[b"h"].names) == (b"1", (b"h",))
    assert seen[b"d"].entry.mode == 0o755
    assert b"d/x" in seen
