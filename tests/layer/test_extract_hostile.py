"""Rules together, and layers made to break them: on disk and on paper alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genoci.errors import ArchiveError
from genoci.layer.entry import Kind
from tars import (
    SECOND,
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

LATER = TIME + 1000 * SECOND


def paths(folder: Path, *layers: bytes) -> list[bytes]:
    """What the layers leave, without the root."""
    return sorted(path for path in both(folder, *layers) if path)


@pytest.mark.parametrize("target", [b"../../beside", b"/../beside", b"../beside/full/.."])
def test_02_a_link_among_the_parents_leads_inside_the_root(tmp_path: Path, target: bytes) -> None:
    tree = layer(directory(b"beside"), directory(b"beside/full"), symlink(b"l", target))
    assert both(tmp_path, tree, layer(file(b"l/f", b"x")))[b"beside/f"].content == b"x"


def test_02_links_are_followed_one_after_the_other(tmp_path: Path) -> None:
    links = [symlink(b"l%d" % n, b"l%d" % (n + 1)) for n in range(39)]
    tree = layer(directory(b"d"), symlink(b"l39", b"d"), *links)
    assert b"d/f" in both(tmp_path, tree, layer(file(b"l0/f")))


def test_02_dots_in_a_link_count_from_where_it_lies(tmp_path: Path) -> None:
    # a/l leads to d/e, and the `..` after it to d, not to a
    tree = layer(directory(b"d/e"), directory(b"a"), symlink(b"a/l", b"../d/e"))
    upper = layer(symlink(b"m", b"a/l/.."), file(b"m/f"))
    assert b"d/f" in both(tmp_path, tree, upper)


@pytest.mark.parametrize(
    "links",
    [
        [(b"l", b"l")],
        [(b"l", b"m"), (b"m", b"l")],
        [(b"l", b"./l/x")],
        [(b"l", b"m/../l"), (b"m", b"/")],
    ],
)
def test_06_a_loop_of_links_among_the_parents_is_an_error(
    tmp_path: Path, links: list[tuple[bytes, bytes]]
) -> None:
    lower = layer(*(symlink(*link) for link in links), file(b"f"))
    for number, upper in enumerate(
        [file(b"l/f"), whiteout(b"l/f"), opaque(b"l"), hardlink(b"h", b"l/f"), directory(b"l/d")]
    ):
        (tmp_path / str(number)).mkdir()
        assert "loop" in both_refuse(tmp_path / str(number), lower, layer(upper))


def test_06_links_that_multiply_are_an_error_and_take_no_time(tmp_path: Path) -> None:
    links = [symlink(b"l%d" % n, b"/".join([b"l%d" % (n - 1)] * 400)) for n in range(1, 40)]
    lower = layer(symlink(b"l0", b"."), *links)
    assert "loop" in both_refuse(tmp_path, lower, layer(file(b"l39/f")))


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_07_the_umask_changes_nothing(tmp_path: Path, umask: int) -> None:
    content = layer(file(b"a/f"), directory(b"d", mode=0o777), fifo(b"p", mode=0o666))
    with a_root(tmp_path) as root:
        before = os.umask(umask)
        try:
            root.extract(content)
        finally:
            os.umask(before)
        assert root.seen() == folded(content)


@pytest.mark.parametrize(
    "piece",
    [file(b"n" * 256), directory(b"n" * 256 + b"/d"), symlink(b"l", b"t" * 4096)],
    ids=["name", "parent", "link"],
)
def test_08_what_no_disk_can_hold_is_an_error_on_paper_too(tmp_path: Path, piece: Piece) -> None:
    assert "File name too long" in both_refuse(tmp_path, layer(piece))


def test_08_a_whiteout_may_be_longer_than_a_name(tmp_path: Path) -> None:
    lower = layer(file(b"n" * 255), symlink(b"l", b"t" * 4095))
    assert paths(tmp_path, lower, layer(whiteout(b"n" * 255))) == [b"l"]
    (tmp_path / "2").mkdir()
    impossible = layer(whiteout(b"n" * 256), whiteout(b"n" * 256 + b"/f"), opaque(b"n" * 256))
    assert paths(tmp_path / "2", lower, impossible) == [b"l", b"n" * 255]
    (tmp_path / "3").mkdir()
    assert "hard link" in both_refuse(tmp_path / "3", layer(hardlink(b"h", b"n" * 256)))


def test_11_a_link_made_between_keeps_the_first_one(tmp_path: Path) -> None:
    seen = both(tmp_path, layer(file(b"f", b"1"), hardlink(b"g", b"f"), file(b"f", b"2")))
    assert (seen[b"f"].content, seen[b"g"].content) == (b"2", b"1")


TREE = layer(
    directory(b"d"),
    file(b"d/f"),
    directory(b"d/e"),
    file(b"d/e/g"),
    symlink(b"l", b"d"),
    file(b"f"),
)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "brought",
    [
        [file(b"f", b"new")],
        [directory(b"d"), file(b"d/new")],
        [file(b"d/e/new")],
        [symlink(b"d", b"x")],
        [file(b"l/e/new"), directory(b"x")],
    ],
)
def test_13_a_whiteout_never_removes_what_the_same_layer_brings(
    tmp_path: Path, first: bool, brought: list[Piece]
) -> None:
    whiteouts = [whiteout(b"f"), whiteout(b"d/e"), whiteout(b"d")]
    pieces = [*whiteouts, *brought] if first else [*brought, *whiteouts]
    seen = both(tmp_path, TREE, layer(*pieces))
    last = brought[0].entry.path.replace(b"l/", b"d/")
    if not (first and brought[0].entry.path.startswith(b"l/")):  # l is dangling by then
        assert seen[last].content == brought[0].content
    assert b"d/f" not in seen
    assert b"d/e/g" not in seen


def test_13_a_hard_link_is_brought_by_the_layer_that_makes_it(tmp_path: Path) -> None:
    upper = layer(hardlink(b"d/h", b"f"), whiteout(b"d/h"), opaque(b"d"), whiteout(b"f"))
    assert paths(tmp_path, TREE, upper) == [b"d", b"d/h", b"l"]


def test_14_a_marker_in_what_is_no_directory_hides_nothing(tmp_path: Path) -> None:
    assert paths(tmp_path, TREE, layer(opaque(b"f"), opaque(b"none"))) == paths_of(TREE)


def paths_of(*layers: bytes) -> list[bytes]:
    return sorted(path for path in folded(*layers) if path)


def test_14_many_directories_can_be_hidden_around_what_is_brought(tmp_path: Path) -> None:
    many = [directory(b"d/%d" % n) for n in range(200)]
    lower = layer(directory(b"d"), *many, *(file(b"d/%d/f" % n) for n in range(200)))
    upper = layer(*(file(b"d/%d/new" % n) for n in range(200)), opaque(b"d"))
    assert len(paths(tmp_path, lower, upper)) == 401


def test_15_a_whiteout_of_nothing_is_no_error(tmp_path: Path) -> None:
    upper = layer(whiteout(b"none"), whiteout(b"no/ne"), whiteout(b"f/x"), whiteout(b"d/none"))
    assert paths(tmp_path, TREE, upper) == paths_of(TREE)
    with a_root(tmp_path) as root:
        root.extract(TREE)
        before = root.path.stat().st_mtime_ns, (root.path / "d").stat().st_mtime_ns
        root.extract(upper)
        assert before == (root.path.stat().st_mtime_ns, (root.path / "d").stat().st_mtime_ns)


@pytest.mark.root_only
def test_19_the_group_of_a_setgid_directory_is_not_inherited(tmp_path: Path) -> None:
    lower = layer(directory(b"d", mode=0o2775, gid=50))
    upper = layer(file(b"d/f"), directory(b"d/e"), file(b"d/implied/f"), fifo(b"d/p"))
    seen = both(tmp_path, lower, upper)
    assert {seen[p].entry.gid for p in seen if p.startswith(b"d/")} == {0}
    assert seen[b"d/implied"].entry.mode == seen[b"d/e"].entry.mode == 0o755
    assert seen[b"d"].entry.mode == 0o2775


ACL = bytes.fromhex(  # user::rw- user:1234:rw- group::r-- mask::rw- other::r--
    "02000000 0100 0600 ffffffff 0200 0600 d2040000 0400 0400 ffffffff"
    "1000 0600 ffffffff 2000 0400 ffffffff"
)


@pytest.mark.parametrize("mode", [0o000, 0o555, 0o300, 0o400])
def test_24_a_closed_directory_can_be_filled_and_replaced(tmp_path: Path, mode: int) -> None:
    lower = layer(
        directory(b"d", mode=mode, mtime=5),
        file(b"d/f", b"x"),
        directory(b"d/e", mode=mode),
        file(b"d/e/g"),
        directory(b"gone", mode=mode),
        directory(b"gone/in", mode=mode),
        file(b"gone/in/f"),
        directory(b"", mode=mode),
    )
    upper = layer(
        file(b"d/e/new"), hardlink(b"d/e/link", b"d/f"), whiteout(b"gone"), whiteout(b"d/none")
    )
    top = layer(whiteout(b"d/e/g"), file(b"d/f"), directory(b"other", mode=mode), opaque(b"d/e"))
    seen = both(tmp_path, lower, upper, top)
    assert seen.keys() == {b"", b"d", b"d/e", b"d/f", b"other"}
    assert {seen[path].entry.mode for path in (b"", b"d", b"d/e", b"other")} == {mode}
    assert seen[b"d"].entry.mtime == 5


OUTSIDE = [b"/../beside", b"../beside", b"../../../../../../beside", b"/proc/self/cwd/..", b"/.."]


@pytest.mark.parametrize("target", OUTSIDE)
def test_33_nothing_beside_the_root_is_touched_through_links(tmp_path: Path, target: bytes) -> None:
    lower = layer(symlink(b"l", target), symlink(b"m", b"l/full"))
    hostile = [
        file(b"l/secret", b"evil"),
        file(b"l/new", b"evil"),
        file(b"m/inner", b"evil"),
        whiteout(b"l/secret"),
        whiteout(b"m"),
        opaque(b"l"),
        directory(b"l", mode=0o777, mtime=1),
        directory(b"m/", mode=0o777),
        hardlink(b"h", b"l/secret"),
        symlink(b"l/secret", b"x"),
        fifo(b"l/full"),
        file(b"../beside/secret", b"evil"),
        file(b"/../../beside/secret", b"evil"),
        hardlink(b"h", b"../beside/secret"),
    ]
    for number, bad in enumerate(hostile):
        (tmp_path / str(number)).mkdir()
        with a_root(tmp_path / str(number)) as root:
            try:
                root.extract(lower, layer(bad))
            except ArchiveError as error:
                assert bad.entry.kind is Kind.HARDLINK, error
            assert root.untouched_beside()


def test_33_a_link_to_the_real_tree_leads_nowhere(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        beside = os.fsencode(root.beside)
        root.extract(layer(symlink(b"l", beside)), layer(file(b"l/secret", b"evil")))
        assert root.untouched_beside()
        assert root.seen()[b"l"].entry.kind is Kind.DIRECTORY


def test_33_hard_links_to_a_lower_layer_can_not_be_written_through(tmp_path: Path) -> None:
    lower = layer(file(b"f", b"lower"))
    upper = layer(hardlink(b"h", b"f"), file(b"h", b"evil", mode=0o777))
    seen = both(tmp_path, lower, upper)
    assert (seen[b"f"].content, seen[b"f"].entry.mode) == (b"lower", 0o644)
