"""Of docs/layer-rules.md, the lines that only a whole build can tell: 45, 47 and 48."""

from __future__ import annotations

import tarfile

import pytest

from genoci.errors import ArchiveError
from genoci.oci.image import Image
from workshop import Workshop, member

LATE = 1_800_000_000
EPOCH = 1_700_000_000


def names(workshop: Workshop, tag: str) -> list[str]:
    """Those of the only layer of `tag`, in the order of the tar, as Python's reader tells them."""
    [layer] = workshop.image(tag).layers
    blob = workshop.layout_path / "blobs" / "sha256" / layer.descriptor.digest.hex
    with tarfile.open(blob) as archive:
        return [info.name for info in archive]


def times(image: Image) -> set[str]:
    """What the config and all of its history say of their creation."""
    return {str(image.created), *(str(entry.created) for entry in image.history)}


def test_45_the_epoch_is_the_time_of_creation_whatever_is_in_the_layer(workshop: Workshop) -> None:
    workshop.tarball("a.tar", member("old"), member("late", mtime=LATE))
    yaml = "a: {base: empty, expand: a.tar}\nb: {base: a, env: {A: b}}\n"
    assert workshop.build(yaml, epoch=EPOCH).ok
    assert times(workshop.image("a")) == {"2023-11-14T22:13:20Z"}
    assert times(workshop.image("b")) == {"2023-11-14T22:13:20Z"}
    late = workshop.tree("a").node(b"late")
    assert late is not None
    assert late.entry.mtime == EPOCH * 10**9


def test_45_else_it_is_the_newest_in_the_layer_else_the_bases(workshop: Workshop) -> None:
    workshop.tarball("a.tar", member("old"), member("late", mtime=LATE))
    yaml = "a: {base: empty, expand: a.tar}\nb: {base: a, env: {A: b}}\nc: {base: empty, cmd: x}\n"
    assert workshop.build(yaml).ok
    assert times(workshop.image("a")) == {"2027-01-15T08:00:00Z"}
    assert times(workshop.image("b")) == {"2027-01-15T08:00:00Z"}
    assert times(workshop.image("c")) == {"1970-01-01T00:00:00Z"}


def test_47_members_keep_the_archives_order_under_clean_names(workshop: Workshop) -> None:
    directory = member("./b/", tarfile.DIRTYPE)
    workshop.tarball("a.tar", member("/z"), directory, member("b//y"), member("b/./x"))
    assert workshop.build("a: {base: empty, expand: a.tar}").ok
    assert names(workshop, "a") == ["z", "b", "b/y", "b/x"]


def test_47_missing_parents_are_added(workshop: Workshop) -> None:
    workshop.tarball("a.tar", member("a/b/c"))
    assert workshop.build("a: {base: empty, expand: a.tar}").ok
    assert names(workshop, "a") == ["a", "a/b", "a/b/c"]


def test_47_a_member_that_goes_through_a_link_gets_the_path_it_leads_to(
    workshop: Workshop,
) -> None:
    workshop.tarball(
        "a.tar",
        member("usr/bin", tarfile.DIRTYPE),
        member("bin", tarfile.SYMTYPE, linkname="usr/bin"),
        member("bin/tool"),
    )
    assert workshop.build("a: {base: empty, expand: a.tar}").ok
    assert sorted(names(workshop, "a")) == ["bin", "usr", "usr/bin", "usr/bin/tool"]


def test_47_of_a_name_that_comes_twice_the_last_one_counts(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("a", "first"), ("b", "between"), ("a", "last"))
    assert workshop.build("a: {base: empty, expand: a.tar}").ok
    assert sorted(names(workshop, "a")) == ["a", "b"]
    assert workshop.text("a", "a") == "last"


@pytest.mark.parametrize("name", [".wh.a", "d/.wh..wh..opq", ".wh."])
def test_48_a_member_that_is_named_as_a_whiteout_is_an_error(workshop: Workshop, name: str) -> None:
    workshop.tarball("a.tar", member("d", tarfile.DIRTYPE), member(name))
    [failed] = workshop.build("a: {base: empty, expand: a.tar}").failed
    assert failed.kind == ArchiveError.__name__
    assert failed.where.endswith(f": {name}")
    assert workshop.layout.tags() == {}


def test_47_the_order_stays_where_the_archive_has_to_be_read_twice(workshop: Workshop) -> None:
    pairs = [("z", "1"), ("b/c", "2"), ("a", "3"), ("z", "4"), ("q", "5")]
    workshop.tarball("a.tar", *pairs)
    workshop.build("t: {base: empty, expand: a.tar}")
    assert names(workshop, "t") == ["b", "b/c", "a", "z", "q"]
