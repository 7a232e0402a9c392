"""Listings: what they tell, that folding leaves them whole, and how they are kept.

That they tell what extraction leaves is in test_extract_*.py.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import ArchiveError, StorageError
from genoci.layer.entry import Entry, Kind
from genoci.layer.listing import LayerListing, Listing, Placed, fold_all, load, read_listing, save
from genoci.oci.digest import Digest
from tars import directory, file, hardlink, layer, opaque, symlink, whiteout

DIFF_ID = Digest.of(b"the layer")

ENTRIES = st.builds(
    Entry,
    path=st.binary(max_size=20),
    kind=st.sampled_from(Kind),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    mtime=st.integers(-(2**63), 2**63 - 1),
    size=st.integers(0, 2**63 - 1),
    link=st.binary(max_size=20),
    device=st.tuples(st.integers(0, 4095), st.integers(0, 2**20 - 1)),
    xattrs=st.lists(st.tuples(st.binary(), st.binary()), max_size=3).map(tuple),
)
LISTINGS = st.lists(ENTRIES, max_size=5).map(
    lambda entries: LayerListing(DIFF_ID, tuple(map(Placed, entries, range(len(entries)))))
)


def listing(content: bytes, number: int = 0) -> LayerListing:
    diff_id = Digest("sha256", f"{number:064x}")
    return read_listing(io.BytesIO(content), diff_id, name="layer.tar")


def test_a_layers_listing_has_every_entry_in_order() -> None:
    found = listing(layer(file(b"b"), whiteout(b"x"), directory(b"a"), opaque(b"a")))
    paths = [b"b", b".wh.x", b"a", b"a/.wh..wh..opq"]
    assert [placed.entry.path for placed in found.placed] == paths
    assert [placed.number for placed in found.placed] == [0, 1, 2, 3]


def test_a_layers_time_is_that_of_its_newest_entry() -> None:
    assert listing(layer(file(b"a", mtime=-7), file(b".wh.b", mtime=-5))).newest == -5
    assert listing(layer()).newest == 0


def test_an_empty_listing_is_a_root_and_nothing_else() -> None:
    root = Listing.empty().get(b"")
    assert root is not None
    assert root.entry == Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, 0)
    assert list(Listing.empty().paths()) == [b""]
    assert Listing.empty().names(b"") == []


def test_a_listing_tells_what_is_where_and_from_which_layer() -> None:
    lower = listing(layer(directory(b"d"), file(b"d/f", b"123"), symlink(b"l", b"d")), 1)
    upper = listing(layer(file(b"x"), file(b"l/g")), 2)
    found = fold_all([lower, upper])
    kept, new = found.get(b"d/f"), found.get(b"d/g")
    assert kept is not None and new is not None
    assert (kept.layer, kept.number, kept.entry.size) == (lower.diff_id, 1, 3)
    assert (new.layer, new.number, new.entry.path) == (upper.diff_id, 1, b"d/g")
    assert found.get(b"l/g") is None
    assert sorted(found.names(b"d")) == [b"f", b"g"]
    assert found.names(b"d/f") == found.names(b"gone") == []


def test_the_names_of_one_file_are_listed_with_the_first_ones_place() -> None:
    lower = listing(layer(file(b"a", b"1"), hardlink(b"b", b"a")), 1)
    upper = listing(layer(hardlink(b"c", b"b"), whiteout(b"a")), 2)
    found = fold_all([lower, upper])
    assert found.get(b"a") is None
    for path in (b"b", b"c"):
        listed = found.get(path)
        assert listed is not None
        assert (listed.layer, listed.number) == (lower.diff_id, 0)
        assert listed.entry.kind is Kind.FILE
        assert listed.entry.path == path


def test_folding_changes_neither_of_the_two() -> None:
    lower = Listing.empty().fold(listing(layer(file(b"d/f"), file(b"x"))))
    before = {path: lower.get(path) for path in lower.paths()}
    upper = listing(layer(whiteout(b"d"), file(b"x/y"), file(b"new")), 1)
    assert set(lower.fold(upper).paths()) == {b"", b"x", b"x/y", b"new"}
    assert {path: lower.get(path) for path in lower.paths()} == before
    assert lower.names(b"") == [b"d", b"x"]
    assert lower.names(b"d") == [b"f"]


def test_directories_that_no_entry_tells_of_are_bounded() -> None:
    with pytest.raises(ArchiveError, match="too many directories"):
        fold_all([listing(layer(file(b"a/" * 100_000 + b"f")))])


@settings(deadline=None)
@given(LISTINGS)
def test_a_listing_that_was_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, listing: LayerListing
) -> None:
    folder = tmp_path_factory.mktemp("listings")
    save(folder, listing)
    assert load(folder, DIFF_ID) == listing
    assert os.listdir(folder) == [DIFF_ID.hex]


def test_a_listing_that_was_never_saved_is_a_miss(tmp_path: Path) -> None:
    assert load(tmp_path, DIFF_ID) is None
    assert load(tmp_path / "gone", DIFF_ID) is None


def saved(folder: Path) -> Path:
    placed = Placed(Entry(b"path", Kind.FILE, 0o644, 0, 0, 5), 0)
    save(folder, LayerListing(DIFF_ID, (placed,)))
    return folder / DIFF_ID.hex


def test_a_damaged_listing_is_a_miss_wherever_it_is_damaged(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert load(tmp_path, DIFF_ID) is None
        path.write_bytes(whole[:at])
        assert load(tmp_path, DIFF_ID) is None
    path.write_bytes(whole)
    assert load(tmp_path, DIFF_ID) is not None


def test_a_listing_of_another_layer_is_a_miss(tmp_path: Path) -> None:
    path = saved(tmp_path)
    other = Digest.of(b"another layer")
    os.rename(path, tmp_path / other.hex)
    assert load(tmp_path, other) is None


def test_what_is_no_listing_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / DIFF_ID.hex).mkdir()
    assert load(tmp_path, DIFF_ID) is None


def test_a_listing_that_cannot_be_kept_says_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't keep the listing") as caught:
        save(tmp_path / "gone", LayerListing(DIFF_ID, ()))
    assert "--state" in caught.value.mend
