"""Telling what is wrong with a layout: every byte of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from genoci.errors import ArchiveError
from genoci.oci.digest import Digest
from genoci.oci.fsck import Problem, check
from genoci.oci.layout import Layout


@pytest.fixture
def problems(layout: Layout, unpacked_digest: Any) -> Any:
    return lambda: check(layout, unpacked_digest)


def test_a_sound_layout_has_no_problem(layout: Layout, make: Any, problems: Any) -> None:
    make.tagged("x", "1", "2")
    make.tagged("y", "1")
    layout.tag({"both": make.nested(layout.tags()["x"], layout.tags()["y"])})
    layout.put([b"that nothing needs"], "text/plain")
    assert problems() == []


def all_blobs(layout: Layout) -> list[Path]:
    return sorted(layout.blobs.folder.iterdir())


def test_one_flipped_bit_in_any_blob_is_found(layout: Layout, make: Any, problems: Any) -> None:
    layout.tag({"n": make.nested(make.tagged("x", "1", "2"))})
    layout.put([b"that nothing needs"], "text/plain")
    for path in all_blobs(layout):
        before = path.read_bytes()
        make.damage(Digest("sha256", path.name))
        found = problems()
        assert [problem.where for problem in found] == [str(path)]
        assert found[0].mend
        path.write_bytes(before)
    assert problems() == []


@pytest.mark.parametrize("change", ["shorter", "longer", "empty", "missing", "link", "folder"])
def test_any_other_damage_of_any_blob_is_found(
    layout: Layout, make: Any, problems: Any, change: str
) -> None:
    make.tagged("x", "1")
    for path in all_blobs(layout):
        before = path.read_bytes()
        path.unlink()
        if change == "shorter":
            path.write_bytes(before[:-1])
        elif change == "longer":
            path.write_bytes(before + b"\0")
        elif change == "empty":
            path.write_bytes(b"")
        elif change == "link":
            path.symlink_to("/etc/passwd")
        elif change == "folder":
            path.mkdir()
        found = problems()
        assert len(found) == 1 and path.name in f"{found[0]}" and "needed by x" in found[0].what
        path.rmdir() if change == "folder" else path.unlink(missing_ok=True)
        path.write_bytes(before)
    assert problems() == []


def test_a_problem_names_the_tags_that_it_spoils(layout: Layout, make: Any, problems: Any) -> None:
    make.tagged("x", "shared", "1")
    make.tagged("y", "shared", "2")
    make.tagged("z", "3")
    make.damage(layout.resolve("x").layers[0].descriptor.digest)
    (found,) = problems()
    assert "(needed by x, y)" in found.what
    unneeded = layout.put([b"garbage"], "text/plain")
    make.damage(unneeded.digest)
    assert any("nothing needs it" in problem.what for problem in problems())


def test_a_wrong_diff_id_is_found(layout: Layout, make: Any, problems: Any) -> None:
    layer, other = make.layer(a="1"), make.layer(a="2")
    rootfs = {"type": "layers", "diff_ids": [str(other.diff_id)]}
    config = {"os": "linux", "architecture": "amd64", "rootfs": rootfs}
    layout.tag({"x": make.manifest(config, layer)})
    (found,) = problems()
    assert "diff ID" in found.what and str(other.diff_id) in found.what
    assert found.where == str(layout.blobs.path(layer.descriptor.digest))


def test_a_wrong_number_of_diff_ids_is_found(layout: Layout, make: Any, problems: Any) -> None:
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}
    layout.tag({"x": make.manifest(config, make.layer(a="1"))})
    (found,) = problems()
    assert "1 layers, but 0 diff IDs" in found.what


def test_a_layer_that_can_not_be_unpacked_is_a_problem(layout: Layout, make: Any) -> None:
    make.tagged("x", "1")

    def refuse(blob: BinaryIO, media_type: str) -> Digest:
        assert media_type == "application/vnd.oci.image.layer.v1.tar+gzip" and blob.read(1)
        raise ArchiveError("the archive is cut off", where="entry a", mend="Copy it again.")

    (found,) = check(layout, refuse)
    assert found == Problem("the archive is cut off (needed by x)", "entry a", "Copy it again.")


def test_the_codec_s_complaint_about_a_damaged_layer_is_told_as_damage(
    layout: Layout, make: Any
) -> None:
    make.tagged("x", "1")
    make.damage(layout.resolve("x").layers[0].descriptor.digest)

    def refuse(blob: BinaryIO, _: str) -> Digest:
        raise ArchiveError("bad checksum")

    (found,) = check(layout, refuse)
    assert "digest" in found.what


def test_each_layer_is_unpacked_once(layout: Layout, make: Any, unpacked_digest: Any) -> None:
    make.tagged("x", "1", "2")
    make.tagged("y", "1")
    seen: list[int] = []

    def counting(blob: BinaryIO, media_type: str) -> Digest:
        seen.append(1)
        digest: Digest = unpacked_digest(blob, media_type)
        return digest

    assert check(layout, counting) == []
    assert len(seen) == 2


@pytest.mark.parametrize("text", ["", "garbage", "[]", '{"schemaVersion": 2, "manifests": 7}'])
def test_a_broken_index_is_a_problem_and_the_blobs_are_checked_all_the_same(
    layout: Layout, make: Any, problems: Any, text: str
) -> None:
    make.tagged("x", "1")
    layout.index_path.write_text(text)
    assert [problem.where for problem in problems()] == [str(layout.index_path)]
    make.damage(next(layout.blobs.digests()))
    assert len(problems()) == 2


def test_odd_entries_of_the_index_are_problems(layout: Layout, make: Any, problems: Any) -> None:
    one, two = make.tagged("x", "1").to_mapping(), make.tagged("y", "2").to_mapping()
    named = {"annotations": {"org.opencontainers.image.ref.name": "same"}}
    unprintable = {"annotations": {"org.opencontainers.image.ref.name": "a\x1b[2J"}}
    wrong_size = two | {"size": 7}
    entries = [one | named, two | named, two | unprintable, {"digest": 1}, wrong_size]
    layout.index_path.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    found = [problem.what for problem in problems()]
    assert len(found) == 4
    for said in ("stands for two images", "is no tag", "not a descriptor", "bytes, not 7"):
        assert any(said in what for what in found), said
    assert not any("\x1b" in what for what in found)


def test_a_document_that_is_whole_but_hostile_is_a_problem(
    layout: Layout, make: Any, problems: Any
) -> None:
    layout.tag({"x": make.nested(make.manifest(b"[" * 100_000))})
    layout.tag({"y": make.manifest({"rootfs": {"diff_ids": ["sha256:../../etc"]}})})
    found = problems()
    assert len(found) == 2 and {"x" in f.what or "y" in f.what for f in found} == {True}


def test_nothing_is_changed(layout: Layout, make: Any, problems: Any) -> None:
    make.damage(make.tagged("x", "1").digest)
    problems()
    before = {path: path.stat().st_mtime_ns for path in layout.path.rglob("*")}
    problems()
    assert {path: path.stat().st_mtime_ns for path in layout.path.rglob("*")} == before
