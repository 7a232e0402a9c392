"""Dropping what nothing needs, and nothing else."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from genoci.errors import LayoutError, UsageError
from genoci.oci.digest import Digest
from genoci.oci.documents import MANIFEST, Platform
from genoci.oci.gc import Report, collect, outdated
from genoci.oci.layout import Layout
from genoci.oci.publish import publish

TODAY = datetime.date(2026, 11, 23)


def dated(*days: int, name: str = "x") -> list[str]:
    return [f"{name}-2026-11-{day:02}_1" for day in days]


def test_without_a_rule_every_tag_stays() -> None:
    assert outdated(dated(1, 2, 3), today=TODAY) == ()


def test_the_newest_of_each_name_are_kept_by_date_and_number() -> None:
    tags = [
        "x",
        "y",
        *dated(20, 3, 21),
        *dated(1, 2, name="y"),
        "x-2026-11-20_10",
        "x-2026-11-20_9",
    ]
    dropped = outdated(tags, keep=2, today=TODAY)
    assert sorted(dropped) == ["x-2026-11-03_1", "x-2026-11-20_1", "x-2026-11-20_9"]


def test_those_of_the_last_days_are_kept() -> None:
    assert outdated(["x", *dated(1, 16, 23)], keep_days=7, today=TODAY) == ("x-2026-11-01_1",)
    assert outdated(dated(22, 23), keep_days=0, today=TODAY) == ("x-2026-11-22_1",)
    assert outdated(dated(1), keep_days=10**9, today=TODAY) == ()


def test_of_two_rules_each_may_keep() -> None:
    assert outdated(dated(1, 2, 22, 23), keep=3, keep_days=7, today=TODAY) == ("x-2026-11-01_1",)
    assert outdated(dated(20, 21, 22, 23), keep=1, keep_days=7, today=TODAY) == ()


def test_keeping_none_drops_all_dated_tags_and_no_other() -> None:
    assert outdated(["x", "x-2026-11-23_v1", *dated(23)], keep=0, today=TODAY) == tuple(dated(23))


@pytest.mark.parametrize("rule", [{"keep": -1}, {"keep_days": -1}])
def test_less_than_nothing_can_not_be_kept(rule: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        outdated([], **rule, today=TODAY)  # type: ignore[arg-type]


def test_what_a_tag_reaches_stays_and_the_rest_goes(layout: Layout, make: Any) -> None:
    make.tagged("x", "shared", "mine")
    gone = make.tagged("gone", "shared", "theirs")
    layer = layout.resolve("gone").layers[1].descriptor
    layout.untag(["gone"])
    report = collect(layout, today=TODAY)
    assert report.tags == () and len(report.blobs) == 3
    assert {gone.digest, layer.digest} < set(report.blobs)
    assert report.bytes > layer.size
    assert not any(layout.has(digest) for digest in report.blobs)
    assert len(layout.resolve("x").layers) == 2
    assert collect(layout, today=TODAY) == Report((), (), 0)


def test_a_dry_run_says_the_same_and_does_nothing(layout: Layout, make: Any) -> None:
    manifest = make.tagged("y", "1")
    for day in ("2026-11-01", "2026-11-23"):
        publish(layout, {"x": layout.write_image(make.image(day))}, date=day)
    (layout.path / ".genoci-0123456789abcdef").write_text("left")
    before = {p: p.stat().st_ino for p in layout.path.rglob("*") if "lock" not in p.name}
    dry = collect(layout, keep=1, today=TODAY, dry_run=True)
    after = {p: p.stat().st_ino for p in layout.path.rglob("*") if "lock" not in p.name}
    assert before == after and dry.tags == ("x-2026-11-01_1",) and dry.blobs
    assert collect(layout, keep=1, today=TODAY) == dry
    assert sorted(layout.tags()) == ["x", "x-2026-11-23_1", "y"]
    assert layout.has(manifest.digest)
    assert not (layout.path / ".genoci-0123456789abcdef").exists()


def test_publishing_drops_the_old_dated_tags_of_the_same_name_and_no_other(
    layout: Layout, make: Any
) -> None:
    manifest = make.tagged("x", "1")
    for name in ("x", "y"):
        for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
            publish(layout, {name: manifest}, date=day)
    publish(layout, {"x": manifest}, date="2026-11-03", keep=2)
    assert sorted(tag for tag in layout.tags() if tag.startswith("x-")) == [
        "x-2026-11-03_1",
        "x-2026-11-03_2",
    ]
    assert len([tag for tag in layout.tags() if tag.startswith("y-")]) == 3


def test_nothing_is_dropped_while_a_build_holds_the_layout(layout: Layout, make: Any) -> None:
    blob = layout.put([b"being built"], "text/plain")
    with layout.holding(shared=True), pytest.raises(LayoutError, match="in use"):
        collect(layout, today=TODAY)
    assert layout.has(blob.digest)


def test_everything_below_a_nested_index_stays(layout: Layout, make: Any) -> None:
    platforms = [Platform("linux", "386"), Platform("linux", "s390x")]
    manifests = [layout.write_image(make.image(str(p), platform=p)) for p in platforms]
    layout.tag({"x": make.nested(make.nested(*manifests))})
    assert collect(layout, today=TODAY).blobs == ()


def test_an_entry_without_a_tag_keeps_what_it_names(layout: Layout, make: Any) -> None:
    manifest = make.tagged("x", "1")
    artifact = make.manifest({}, artifactType="application/x")
    entries = [d.to_mapping() for d in (manifest, artifact)]
    layout.index_path.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    assert collect(layout, today=TODAY).blobs == ()


def test_an_image_that_was_not_copied_along_is_no_obstacle(layout: Layout, make: Any) -> None:
    here, gone = make.tagged("here", "1"), make.tagged("gone", "2")
    layout.tag({"x": make.nested(here, gone)})
    layout.untag(["here", "gone"])
    layout.blobs.remove(gone.digest)
    dropped = collect(layout, today=TODAY).blobs
    assert layout.has(here.digest) and len(dropped) == 2


def test_what_refers_to_a_living_manifest_lives(layout: Layout, make: Any) -> None:
    subject = make.tagged("x", "1")
    dead = make.tagged("dead", "2")
    signature = make.manifest({"of": "x"}, subject=subject.to_mapping())
    of_signature = make.manifest({"of": "signature"}, subject=signature.to_mapping())
    of_dead = make.manifest({"of": "dead"}, subject=dead.to_mapping())
    layout.untag(["dead"])
    dropped = collect(layout, today=TODAY).blobs
    assert layout.has(signature.digest) and layout.has(of_signature.digest)
    assert {dead.digest, of_dead.digest} < set(dropped)
    assert collect(layout, today=TODAY).blobs == ()


def test_what_a_living_manifest_refers_to_lives(layout: Layout, make: Any) -> None:
    subject = make.tagged("x", "1")
    layout.tag({"signature": make.manifest({}, subject=subject.to_mapping())})
    layout.untag(["x"])
    assert collect(layout, today=TODAY).blobs == ()


@pytest.mark.parametrize("how", ["missing", "damaged", "odd", "empty", "large", "hostile"])
def test_what_can_not_be_read_stops_it_before_anything_is_dropped(
    layout: Layout, make: Any, how: str
) -> None:
    manifest = make.tagged("x", "1")
    garbage = layout.put([b"garbage"], "text/plain")
    path = layout.blobs.path(manifest.digest)
    if how == "missing":
        path.unlink()
    elif how == "damaged":
        make.damage(manifest.digest)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "large":
        path.write_bytes(path.read_bytes() + b" " * (5 << 20))
    elif how == "hostile":
        part = {"mediaType": MANIFEST, "digest": "sha256:../../x", "size": 1}
        layout.tag({"y": make.json({"schemaVersion": 2, "layers": [part]}, "application/x")})
    else:
        layout.index_path.write_text('{"schemaVersion": 2, "manifests": [{"digest": "sha512:x"}]}')
    with pytest.raises(LayoutError) as error:
        collect(layout, today=TODAY)
    assert "Nothing was dropped" in error.value.mend and error.value.where
    assert layout.has(garbage.digest)


def test_a_tag_that_stops_it_can_be_taken_away(layout: Layout, make: Any) -> None:
    make.damage(make.tagged("x", "1").digest)
    layout.untag(["x"])
    assert len(collect(layout, today=TODAY).blobs) == 3


def test_files_that_are_not_blobs_stay(layout: Layout) -> None:
    strange = layout.blobs.folder / "README"
    strange.write_text("mine")
    other = layout.blobs.folder.parent / "sha512"
    other.mkdir()
    (other / ("a" * 128)).write_text("theirs")
    (layout.blobs.folder / ("b" * 64)).symlink_to("/etc/passwd")
    (layout.blobs.folder / ("c" * 64)).mkdir()
    (layout.path / "notes.txt").write_text("mine")
    assert collect(layout, today=TODAY) == Report((), (), 0)
    assert len([path for path in layout.path.rglob("*") if "genoci" not in path.name]) == 10


def test_a_document_of_unknown_type_keeps_what_looks_like_a_reference(
    layout: Layout, make: Any
) -> None:
    part = layout.put([b"part"], "text/plain")
    document = {"deep": [{"er": {"digest": str(part.digest), "size": 4}}]}
    layout.tag({"x": make.json(document, "application/x+json")})
    layout.tag({"y": layout.put([b"\x00\xff no document"], "application/x")})
    assert collect(layout, today=TODAY).blobs == ()


def test_a_damaged_blob_that_nothing_needs_goes(layout: Layout, make: Any) -> None:
    blob = layout.put([b"garbage"], "text/plain")
    make.damage(blob.digest)
    assert collect(layout, today=TODAY).blobs == (Digest.of(b"garbage"),)
