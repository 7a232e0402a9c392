"""The comparer on trees that are only described; on real ones it is tested with the snapshots."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import BuildError
from genoci.layer.compare import same_bytes
from genoci.layer.diff import Changes, changes
from genoci.layer.entry import Entry, Kind, join, split
from genoci.layer.tree import EMPTY_TREE, Node, Tree


class Candidate(NamedTuple):
    path: bytes
    inode: int | None = None


class Described:
    """A tree that is a mapping; `reads` are the paths whose content was asked for."""

    def __init__(self, *entries: Entry, content: Mapping[bytes, bytes] | None = None) -> None:
        self._entries = {entry.path: entry for entry in (directory(b""), *entries)}
        self._content = content or {}
        self.inodes: dict[bytes, Hashable] = {}
        self.reads: list[bytes] = []

    def node(self, path: bytes) -> Node | None:
        entry = self._entries.get(path)
        return None if entry is None else Node(entry, self.inodes.get(path))

    def names(self, path: bytes) -> list[bytes]:
        return [split(p)[1] for p in self._entries if p and split(p)[0] == path]

    def content(self, path: bytes) -> Iterator[bytes]:
        self.reads.append(path)
        yield self._content.get(path, b"")

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        found: dict[Hashable, list[bytes]] = {}
        for path, inode in self.inodes.items():
            found.setdefault(inode, []).append(path)
        return found

    def paths(self) -> list[bytes]:
        return list(self._entries)


def directory(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode, 0, 0, 0)


def file(path: bytes, size: int = 0, mtime: int = 0) -> Entry:
    return Entry(path, Kind.FILE, 0o644, 0, 0, mtime, size=size)


def compare(
    before: Tree, after: Tree, nominated: Iterable[bytes], epoch: int | None = None
) -> Changes:
    candidates = [Candidate(path) for path in nominated]
    return changes(before, after, candidates, epoch=epoch, warn=pytest.fail)


def names(found: Changes) -> list[bytes]:
    return [change.entry.path for change in found]


def test_equal_trees_have_no_changes() -> None:
    tree = Described(directory(b"a"), file(b"a/b"))
    assert len(compare(tree, tree, tree.paths())) == 0


def test_what_is_in_neither_tree_is_no_change() -> None:
    assert names(compare(EMPTY_TREE, Described(), [b"a", b"a/b"])) == []


def test_everything_is_new_on_the_empty_tree() -> None:
    after = Described(directory(b"a"), file(b"a/b"), file(b"c"))
    assert names(compare(EMPTY_TREE, after, after.paths())) == [b"a", b"a/b", b"c"]


def test_only_what_is_nominated_and_its_parents_are_told() -> None:
    before = Described(directory(b"a"), directory(b"a/b"))
    after = Described(directory(b"a", 0o700), directory(b"a/b"), file(b"a/b/c"), file(b"d"))
    assert names(compare(before, after, [b"a/b/c"])) == [b"a", b"a/b", b"a/b/c"]


def test_content_is_compared_only_if_everything_else_is_equal() -> None:
    before = Described(file(b"same", 1), file(b"longer", 1), content={b"same": b"x"})
    after = Described(file(b"same", 1), file(b"longer", 2), content={b"same": b"y"})
    assert names(compare(before, after, [b"same", b"longer"])) == [b"longer", b"same"]
    assert before.reads == after.reads == [b"same"]


def test_content_of_what_is_not_nominated_is_never_read() -> None:
    before = Described(file(b"a", 1), file(b"b", 1), directory(b"d"), file(b"d/c", 1))
    after = Described(file(b"a", 1), file(b"b", 1), directory(b"d", 0o700), file(b"d/c", 1))
    assert names(compare(before, after, [b"a", b"d"])) == [b"d"]
    assert before.reads == after.reads == [b"a"]


def test_comparing_ends_at_the_first_difference() -> None:
    def chunks(first: bytes) -> Iterator[bytes]:
        yield first
        pytest.fail("more was read")

    assert not same_bytes(chunks(b"a" * 10), chunks(b"b" * 5))


def test_the_content_of_a_member_can_be_read_again() -> None:
    after = Described(file(b"a", 3), content={b"a": b"abc"})
    member = next(iter(compare(EMPTY_TREE, after, [b"a"])))
    assert after.reads == []
    assert [b"".join(member.chunks) for _ in range(2)] == [b"abc", b"abc"]


def test_a_candidate_that_comes_twice_keeps_its_inode() -> None:
    after = Described(file(b"a"), file(b"b"))
    for order in (1, -1):
        nominated = [Candidate(b"a", 7), Candidate(b"b", 7), Candidate(b"a"), Candidate(b"b")]
        found = changes(EMPTY_TREE, after, nominated[::order], epoch=None, warn=pytest.fail)
        assert [change.entry.kind for change in found] == [Kind.FILE, Kind.HARDLINK]


def test_a_link_in_the_layer_has_no_content_and_no_attributes() -> None:
    entries = [
        msgspec.structs.replace(file(path, 3), xattrs=((b"user.a", b"1"),)) for path in (b"a", b"b")
    ]
    after = Described(*entries, content={b"a": b"abc", b"b": b"abc"})
    after.inodes = {b"a": 1, b"b": 1}
    _, link = compare(EMPTY_TREE, after, [b"a", b"b"])
    assert (link.entry.link, link.entry.size, link.entry.xattrs) == (b"a", 0, ())
    assert list(link.chunks) == []


def test_all_names_are_looked_for_only_when_one_of_them_is_compared() -> None:
    class Unsearchable(Described):
        def groups(self) -> Mapping[Hashable, list[bytes]]:
            pytest.fail("the whole tree was read")

    before = Unsearchable(file(b"a"), file(b"b"), file(b"c"))
    before.inodes = {b"a": 1, b"b": 1}
    after = Described(file(b"a"), file(b"b"), file(b"c", 1))
    assert names(compare(before, after, [b"c"])) == [b"c"]


def test_names_equal_in_all_but_content_are_files_of_their_own() -> None:
    """Were `a` and `b` one file, and are not any more, though their metadata are the same."""
    before = Described(file(b"a", 1), file(b"b", 1), content={b"a": b"x", b"b": b"x"})
    before.inodes = {b"a": 1, b"b": 1}
    after = Described(file(b"a", 1), file(b"b", 1), content={b"a": b"y", b"b": b"x"})
    found = compare(before, after, [b"a", b"b"])
    assert [(change.entry.path, change.entry.kind) for change in found] == [
        (b"a", Kind.FILE),
        (b"b", Kind.FILE),
    ]
    assert found.joined == ()


def test_two_files_that_shared_names_with_a_third_are_not_taken_for_each_other() -> None:
    """`x` and `b` are both as they were; that `a`, once one with `b`, is now one with `x`
    does not make them equal."""
    before = Described(
        *(file(path, 1) for path in (b"a", b"b", b"x")),
        content={b"a": b"1", b"b": b"1", b"x": b"2"},
    )
    before.inodes = {b"a": 1, b"b": 1}
    after = Described(
        *(file(path, 1) for path in (b"a", b"b", b"x")),
        content={b"a": b"2", b"b": b"1", b"x": b"2"},
    )
    after.inodes = {b"a": 9, b"x": 9}
    found = compare(before, after, [b"a", b"b", b"x"])
    assert {change.entry.path: change.entry.link for change in found} == {
        b"a": b"",
        b"b": b"",
        b"x": b"a",
    }


def test_what_can_have_no_place_in_a_layer_is_told_to_be_left_out() -> None:
    whiteout = Entry(b"null", Kind.CHARACTER, 0o600, 0, 0, 0)
    listening = Entry(b"socket", Kind.SOCKET, 0o600, 0, 0, 0)
    warnings: list[str] = []
    found = changes(
        EMPTY_TREE,
        Described(whiteout, listening),
        [Candidate(b"null"), Candidate(b"socket")],
        epoch=None,
        warn=warnings.append,
    )
    assert names(found) == []
    assert found.left_out == (b"null", b"socket")
    assert warnings == ["socket is a socket and was left out"]


def test_a_whiteout_has_no_time_of_its_own() -> None:
    found = compare(Described(file(b"a", mtime=5)), Described(), [b"a"], epoch=0)
    assert [change.entry for change in found] == [Entry(b".wh.a", Kind.FILE, 0o644, 0, 0, 0)]


def test_an_unchanged_name_that_would_be_a_whiteout_is_an_error_too() -> None:
    after = Described(directory(b".wh.a"), file(b".wh.a/b"))
    with pytest.raises(BuildError, match=r"\.wh\.a"):
        compare(EMPTY_TREE, after, [b".wh.a/b"])


def test_times_before_the_epoch_stay() -> None:
    after = Described(file(b"a", mtime=-1), file(b"b", mtime=10**9 + 1))
    found = compare(EMPTY_TREE, after, after.paths(), epoch=1)
    assert [change.entry.mtime for change in found] == [-1, 10**9]


NAMES = st.sampled_from([b"a", b"a-b", b"a.b", b"b", b"\xff", b"\x01", b"a\n"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)


@settings(database=None)
@given(st.lists(PATHS), st.randoms())
def test_the_order_of_the_candidates_does_not_matter(paths: list[bytes], random: object) -> None:
    entries: dict[bytes, Entry] = {}
    for path in paths:
        entries[path] = file(path)
        while path := split(path)[0]:
            entries[path] = directory(path)
    after = Described(*entries.values())
    shuffled = after.paths()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = names(compare(EMPTY_TREE, after, shuffled))
    assert found == names(compare(EMPTY_TREE, after, after.paths()))
    assert set(found) == set(entries)
    seen = {b""}
    for path in found:
        assert split(path)[0] in seen, "a parent comes before what is in it"
        seen.add(path)


@settings(database=None)
@given(st.binary(max_size=20), st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_contents_are_equal_however_they_are_cut(
    content: bytes, cuts: list[int], others: list[int]
) -> None:
    assert same_bytes(_cut(content, cuts), _cut(content, others))
    assert not same_bytes(_cut(content, cuts), _cut(content + b"x", others))
    if content:
        assert not same_bytes(_cut(content, cuts), _cut(content[:-1], others))
        changed = bytes([content[0] ^ 1]) + content[1:]
        assert not same_bytes(_cut(content, cuts), _cut(changed, others))


def _cut(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield content[:size]
        content = content[size:]
    yield content


def test_deep_paths_take_no_deep_stack() -> None:
    path = b""
    entries = []
    for _ in range(3000):
        path = join(path, b"d")
        entries.append(directory(path))
    assert len(compare(EMPTY_TREE, Described(*entries), [path])) == 3000
