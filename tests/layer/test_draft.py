"""Drafts in the cases that go wrong easily; the property tests hold them against a disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.diff import changes
from genoci.layer.draft import Draft
from genoci.layer.entry import Kind
from genoci.layer.member import Placeable
from genoci.layer.tree import EMPTY_TREE, Tree
from tars import TIME, Piece, directory, fifo, file, hardlink, layer, symlink, whiteout

LATER = TIME + 10**9


class Candidate(NamedTuple):
    path: bytes
    inode: int | None = None


def keep(member: Placeable) -> Callable[[], Iterator[bytes]]:
    content = b"".join(member.chunks())
    return lambda: iter([content])


def drafted(base: Tree, *pieces: Piece, dest: bytes = b"", strip: int = 0) -> Draft:
    draft = Draft(base)
    draft.place(tar.read(io.BytesIO(layer(*pieces)), name="a"), keep, dest=dest, strip=strip)
    return draft


def told(base: Tree, draft: Draft) -> list[bytes]:
    """The paths of the layer that a draft is."""
    candidates = [Candidate(path) for path in draft.touched()]
    found = changes(base, draft, candidates, epoch=None, warn=pytest.fail)
    return [change.entry.path for change in found]


BASE = drafted(
    EMPTY_TREE,
    directory(b"d"),
    directory(b"d/e"),
    file(b"d/e/f", b"f"),
    file(b"d/g", b"g"),
    symlink(b"l", b"d/e"),
    file(b"h", b"h"),
    hardlink(b"i", b"h"),
)


def test_the_base_stays_as_it_was() -> None:
    before = {path: BASE.node(path) for path in BASE.touched()}
    draft = drafted(BASE, file(b"d"), file(b"l/f"), hardlink(b"x", b"h"), directory(b"", mode=0))
    assert {path: BASE.node(path) for path in before} == before
    assert draft.node(b"d/e/f") is None


def test_below_what_was_replaced_nothing_is_left_of_what_was_placed_there() -> None:
    draft = drafted(BASE, file(b"d/e/new"), hardlink(b"x", b"d/e/f"), file(b"d", mode=0o600))
    for path in (b"d/e/new", b"d/e/f", b"d/e", b"d/g"):
        assert draft.node(path) is None
    assert told(BASE, draft) == [b"d", b"x"]
    assert b"".join(draft.content(b"x")) == b"f"


def test_a_directory_that_was_replaced_and_comes_again_is_empty() -> None:
    draft = drafted(BASE, file(b"d"), directory(b"d"), file(b"d/g", b"new"))
    assert draft.names(b"d") == [b"g"]
    assert told(BASE, draft) == [b"d", b"d/.wh.e", b"d/g"]


def test_names_of_the_base_are_joined_by_new_ones() -> None:
    draft = drafted(BASE, hardlink(b"x", b"h"), hardlink(b"d/y", b"i"))
    (names,) = draft.groups().values()
    assert sorted(names) == [b"d/y", b"h", b"i", b"x"]


def test_a_name_of_the_base_that_is_replaced_leaves_its_group() -> None:
    draft = drafted(BASE, hardlink(b"x", b"h"), file(b"i", b"new"))
    (names,) = draft.groups().values()
    assert sorted(names) == [b"h", b"x"]
    assert b"".join(draft.content(b"h")) == b"h"


def test_a_thousand_missing_parents_are_made() -> None:
    deep = b"/".join([b"d"] * 1500)
    draft = drafted(BASE, file(b"new/" + deep, b"deep"), file(b"l/" + deep))
    assert b"".join(draft.content(b"new/" + deep)) == b"deep"
    assert draft.node(b"d/e/" + deep) is not None


def test_missing_parents_have_the_newest_time_even_before_1970() -> None:
    draft = drafted(EMPTY_TREE, file(b"a/f", mtime=-9), file(b"g", mtime=-7))
    node = draft.node(b"a")
    assert node is not None
    assert (node.entry.mtime, node.entry.mode) == (-7, 0o755)


def test_the_time_of_a_missing_parent_is_given_to_nothing_else() -> None:
    pieces = [file(b"a/f"), file(b"g", mtime=1), file(b"later", mtime=LATER)]
    draft = drafted(EMPTY_TREE, *pieces, hardlink(b"a", b"g"), file(b"b/f"), directory(b"b"))
    times = {path: draft.node(path) for path in (b"a", b"b")}
    assert {path: node.entry.mtime for path, node in times.items() if node} == {b"a": 1, b"b": TIME}


def test_a_second_tarball_leaves_the_times_of_the_first() -> None:
    draft = drafted(EMPTY_TREE, file(b"a/f"))
    draft.place(tar.read(io.BytesIO(layer(file(b"b/f", mtime=LATER))), name="b"), keep)
    found = [draft.node(path) for path in (b"a", b"b")]
    assert [node.entry.mtime for node in found if node] == [TIME, LATER]


@pytest.mark.parametrize(
    "pieces",
    [
        [hardlink(b"d", b"d/g")],
        [hardlink(b"x", b"none")],
        [hardlink(b"x", b"d")],
        [file(b"d/g"), file(b"d"), hardlink(b"x", b"d/g")],
        [symlink(b"s", b"s"), file(b"s/f")],
        [file(b".")],
        [whiteout(b"d/g")],
        [file(b".wh.x/f")],
        [file(b"n" * 256 + b"/f")],
        [symlink(b"s", b"t" * 4096)],
    ],
)
def test_what_can_not_be_is_an_error_that_names_the_entry(pieces: list[Piece]) -> None:
    with pytest.raises(ArchiveError) as error:
        drafted(BASE, *pieces)
    assert error.value.where


def test_directories_that_no_entry_tells_of_are_bounded() -> None:
    with pytest.raises(ArchiveError, match="too many directories"):
        drafted(EMPTY_TREE, file(b"a/" * 100_000 + b"f"))


def test_what_was_placed_can_be_written_as_a_tar() -> None:
    pieces = [file(b"a/f", b"x"), symlink(b"s", b"a"), hardlink(b"t", b"s"), fifo(b"p")]
    draft = drafted(EMPTY_TREE, *pieces, hardlink(b"b", b"s/f"), file(b"a/f", b"y"))
    found = [(e.path, e.kind, e.link, b"".join(chunks)) for e, chunks in draft.placed()]
    assert found == [
        (b"a", Kind.DIRECTORY, b"", b""),
        (b"s", Kind.SYMLINK, b"a", b""),
        (b"t", Kind.HARDLINK, b"s", b""),
        (b"p", Kind.FIFO, b"", b""),
        (b"b", Kind.FILE, b"", b"x"),
        (b"a/f", Kind.FILE, b"", b"y"),
    ]
