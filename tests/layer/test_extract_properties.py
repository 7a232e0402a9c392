"""Random layers, most of them hostile: disk and paper agree, and nothing beside a root changes."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import tars
from genoci.build.images import ListedTree
from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.diff import Changes, changes
from genoci.layer.draft import Draft
from genoci.layer.entry import Kind, join
from genoci.layer.extract import Devices, expand
from genoci.layer.listing import Listed
from genoci.layer.member import Placeable
from genoci.layer.tree import Tree
from tars import (
    OWNERS,
    Piece,
    Seen,
    a_root,
    device,
    directory,
    fifo,
    file,
    folded,
    hardlink,
    layer,
    opaque,
    seen,
    symlink,
    whiteout,
)

NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
RAW = st.one_of(
    PATHS, PATHS, PATHS, st.sampled_from([b"", b"/a", b"../a", b"a/../../b", b"a//b/."])
)
MODES = st.sampled_from([0o000, 0o555, 0o644, 0o755, 0o1777, 0o2755, 0o4711])
TIMES = st.sampled_from([-5 * tars.SECOND - 1, 0, tars.TIME, tars.TIME + 123_456_789])
OWNER = st.sampled_from([0, 1000, 70_000])
XATTRS = st.sampled_from([(), (), (), ((b"user.a", b"1"),), ((b"user.a", b"2"), (b"user.b", b""))])
# What a link may lead to: inside, outside, to itself, and to nothing.
TARGETS = st.one_of(
    PATHS,
    PATHS.map(lambda path: b"/" + path),
    PATHS.map(lambda path: b"../" + path),
    st.sampled_from([b".", b"/", b"..", b"../beside", b"../../../beside", b"a/.", b"/a/../b/"]),
)


@st.composite
def pieces(draw: st.DrawFn, *, whiteouts: bool) -> Piece:
    kinds = ["file", "file", "directory", "directory", "symlink", "hardlink", "fifo", "device"]
    kind = draw(st.sampled_from(kinds + ["whiteout", "whiteout", "opaque"] * whiteouts))
    path = draw(RAW)
    fields = {"mode": draw(MODES), "mtime": draw(TIMES), "uid": draw(OWNER), "gid": draw(OWNER)}
    match kind:
        case "file":
            return file(path, draw(st.binary(max_size=3)), xattrs=draw(XATTRS), **fields)
        case "directory":
            return directory(path, xattrs=draw(XATTRS), **fields)
        case "symlink":
            return symlink(path, draw(TARGETS), **fields)
        case "hardlink":
            return hardlink(path, draw(PATHS), **fields)
        case "fifo":
            return fifo(path, **fields)
        case "device":
            return device(path, draw(st.sampled_from([Kind.BLOCK, Kind.CHARACTER])), **fields)
        case "whiteout":
            return whiteout(draw(PATHS), **fields)
        case _:
            return opaque(draw(st.one_of(PATHS, st.just(b""))), **fields)


def layers(*, whiteouts: bool = True) -> st.SearchStrategy[list[Piece]]:
    return st.lists(pieces(whiteouts=whiteouts), max_size=8)


EXAMPLES = settings(
    max_examples=int(os.environ.get("GENOCI_TEST_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def refused(error: ArchiveError) -> str:
    event("refused: " + error.what.partition(" to ")[0][:40])
    return error.what


def on_disk(*layers: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder, a_root(Path(folder)) as root:
        try:
            root.extract(*layers)
        except ArchiveError as error:
            return refused(error)
        finally:
            assert root.untouched_beside()
        return root.seen()


def on_paper(*layers: bytes) -> object:
    try:
        return folded(*layers)
    except ArchiveError as error:
        return error.what


@EXAMPLES
@given(st.lists(layers(), min_size=1, max_size=3))
def test_a_listing_is_what_extraction_leaves_on_disk(image: list[list[Piece]]) -> None:
    archives = [layer(*pieces) for pieces in image]
    assert on_disk(*archives) == on_paper(*archives)


class Contents:
    """What a tree of a listing reads its contents from."""

    def __init__(self, *layers: bytes) -> None:
        self._at = tars.contents(*layers)

    def content(self, listed: Listed) -> Iterator[bytes]:
        yield self._at[listed.layer, listed.number]  # type: ignore[index]


def draft_on(base: bytes) -> Draft:
    return Draft(ListedTree(tars.listing(base), Contents(base)))  # type: ignore[arg-type]


def keep(member: Placeable) -> Callable[[], Iterator[bytes]]:
    content = b"".join(member.chunks())
    return lambda: iter([content])


def drafted(base: bytes, archive: bytes, dest: bytes, strip: int) -> object:
    draft = draft_on(base)
    try:
        draft.place(tar.read(io.BytesIO(archive), name="a.tar"), keep, dest=dest, strip=strip)
    except ArchiveError as error:
        return error.what
    seen = seen_in(draft)
    assert {path for path in draft.touched() if draft.node(path)} <= seen.keys()
    return seen


def seen_in(tree: Tree) -> dict[bytes, Seen]:
    """As a Root's; what has several names is what `groups` says, and inodes say the same."""
    found, pending = {}, [b""]
    while pending:
        path = pending.pop()
        node = tree.node(path)
        assert node is not None and node.entry.path == path
        content = b"".join(tree.content(path)) if node.entry.kind is Kind.FILE else b""
        found[path] = (node, content)
        pending += [join(path, name) for name in tree.names(path)]
    groups = tree.groups()
    inodes: dict[Hashable, set[bytes]] = {}
    for path, (node, _) in found.items():
        inodes.setdefault(path if node.inode is None else node.inode, set()).add(path)
    assert {k: v for k, v in inodes.items() if len(v) > 1} == {k: set(groups[k]) for k in groups}
    return {
        path: seen(node.entry, path, content, groups.get(node.inode, (path,)))
        for path, (node, content) in found.items()
    }


def expanded(base: bytes, archive: bytes, dest: bytes, strip: int) -> object:
    with tempfile.TemporaryDirectory() as folder, a_root(Path(folder)) as root:
        root.extract(base)
        try:
            expand(
                tar.read(io.BytesIO(archive), name="a.tar"),
                root.fd,
                dest=dest,
                strip=strip,
                warn=root.warnings.append,
                owners=OWNERS,
                devices=Devices.PLACEHOLDER,
            )
        except ArchiveError as error:
            return refused(error)
        finally:
            assert root.untouched_beside()
        return root.seen()


def is_well(pieces: list[Piece]) -> bool:
    return isinstance(on_paper(layer(*pieces)), dict)


@EXAMPLES
@given(
    layers().filter(is_well),
    layers(whiteouts=False),
    st.sampled_from([b"", b"", b"a", b"a/b", b"c/new"]),
    st.sampled_from([0, 0, 0, 1]),
)
def test_a_draft_is_what_expanding_leaves_on_disk(
    before: list[Piece], pieces: list[Piece], dest: bytes, strip: int
) -> None:
    base, archive = layer(*before), layer(*pieces)
    assert expanded(base, archive, dest, strip) == drafted(base, archive, dest, strip)


class Candidate(NamedTuple):
    path: bytes
    inode: int | None = None


@EXAMPLES
@given(layers().filter(is_well), layers(whiteouts=False))
def test_a_draft_nominates_all_that_it_changed(before: list[Piece], pieces: list[Piece]) -> None:
    base = layer(*before)
    draft = draft_on(base)
    try:
        draft.place(tar.read(io.BytesIO(layer(*pieces)), name="a.tar"), keep)
    except ArchiveError:
        return
    upper, rebuilt = (
        [Piece(member.entry, b"".join(member.chunks)) for member in told]
        for told in (told_of(base, draft, paths) for paths in (draft.touched(), every(base, draft)))
    )
    assert upper == rebuilt
    assert on_paper(base, layer(*upper)) == seen_in(draft)


def told_of(base: bytes, draft: Draft, paths: Iterable[bytes]) -> Changes:
    tree = draft_on(base)
    return changes(tree, draft, map(Candidate, paths), epoch=None, warn=lambda what: None)


def every(base: bytes, draft: Draft) -> set[bytes]:
    return {*folded(base), *seen_in(draft)}


@EXAMPLES
@given(layers(whiteouts=False))
def test_what_a_draft_placed_is_a_layer_that_makes_the_same_tree(pieces: list[Piece]) -> None:
    draft = draft_on(layer())
    try:
        draft.place(tar.read(io.BytesIO(layer(*pieces)), name="a.tar"), keep)
    except ArchiveError:
        return
    placed = [Piece(entry, b"".join(chunks)) for entry, chunks in draft.placed()]
    assert on_paper(layer(*placed)) == seen_in(draft)
