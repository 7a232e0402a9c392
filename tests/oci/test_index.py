"""index.json: edited in place of what others wrote, never instead of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from genoci.errors import LayoutError
from genoci.oci.digest import Digest
from genoci.oci.documents import MANIFEST, Descriptor, Platform
from genoci.oci.index import REF_NAME, read_index

ONE = Descriptor(MANIFEST, Digest.of(b"1"), 1)
TWO = Descriptor(MANIFEST, Digest.of(b"2"), 1)


def entry(tag: str | None, digest: str = str(ONE.digest), **more: Any) -> dict[str, Any]:
    named = {"annotations": {REF_NAME: tag}} if tag is not None else {}
    return {"mediaType": MANIFEST, "digest": digest, "size": 1} | named | more


def written(path: Path, *entries: Any, **fields: Any) -> Path:
    path = path / "index.json"
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": list(entries)} | fields, indent=1))
    return path


def test_fields_and_entries_that_others_wrote_stay_to_the_byte(tmp_path: Path) -> None:
    odd = entry("odd", platform={"os": "x", "architecture": "y", "os.features": ["z"]}, data="eA==")
    untagged = entry(None, artifactType="application/x", vendor=[1.50, 10**30, None])
    path = written(
        tmp_path, odd, untagged, annotations={"a": "b"}, vendor={"x": [1]}, artifactType="t"
    )
    after = json.loads(read_index(path).with_tags({"new": TWO}).encoded())
    assert after["manifests"][:2] == [odd, untagged]
    assert (after["annotations"], after["vendor"], after["artifactType"]) == (
        {"a": "b"},
        {"x": [1]},
        "t",
    )
    assert b"1.5, " in read_index(path).encoded() or b"1.5," in read_index(path).encoded()


def test_a_tag_that_moves_leaves_nothing_of_what_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, entry("a", vendor=1), entry("b"), entry("a", str(TWO.digest)))
    index = read_index(path).with_tags({"a": TWO})
    assert [e.name for e in index.entries] == ["b", "a"]
    assert index.tags() == {"b": index.tags()["b"], "a": index.tags()["a"]}
    assert index.tags()["a"].digest == TWO.digest


def test_a_second_name_takes_what_is_said_about_the_content_along_and_no_name(
    tmp_path: Path,
) -> None:
    annotations = {REF_NAME: "a", "io.containerd.image.name": "x/a:1", "built-by": "me"}
    path = written(
        tmp_path,
        entry(None, annotations=annotations, platform={"os": "linux", "architecture": "386"}),
    )
    old = read_index(path).tags()["a"]
    new = json.loads(read_index(path).with_tags({"b": old}).encoded())["manifests"][1]
    assert new["annotations"] == {REF_NAME: "b", "built-by": "me"}
    assert new["platform"] == {"os": "linux", "architecture": "386"}
    assert old.platform == Platform("linux", "386")


@pytest.mark.parametrize(
    "odd",
    [
        7,
        None,
        [],
        {},
        {"annotations": {REF_NAME: "odd"}},
        {"annotations": {REF_NAME: ["odd"]}},
        entry("odd", "sha512:" + "a" * 128),
        entry("odd", "../../x"),
        entry("odd", size="1"),
        entry("a\x1b[2J"),
        entry(""),
    ],
)
def test_an_odd_entry_stays_and_hides_none_of_the_others(tmp_path: Path, odd: Any) -> None:
    path = written(tmp_path, entry("one"), odd, entry("two"))
    index = read_index(path)
    assert list(index.tags()) == ["one", "two"]
    assert json.loads(index.with_tags({"three": TWO}).encoded())["manifests"][1] == odd


def test_an_unsound_entry_is_replaced_and_removed_by_its_name(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, entry("odd", "sha512:" + "a" * 128)))
    assert len(index.named("odd")) == 1
    assert index.without(["odd"]).entries == ()
    assert index.with_tags({"odd": ONE}).tags()["odd"].digest == ONE.digest


def test_of_a_name_that_stands_twice_the_first_counts(tmp_path: Path) -> None:
    index = read_index(written(tmp_path, entry("a"), entry("a", str(TWO.digest))))
    assert index.tags()["a"].digest == ONE.digest
    assert len(index.named("a")) == 2


@pytest.mark.parametrize("fields", [{}, {"manifests": None}, {"manifests": []}])
def test_an_index_of_nothing_is_one(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"schemaVersion": 2} | fields))
    assert read_index(path).tags() == {}
    assert json.loads(read_index(path).encoded()) == {"schemaVersion": 2, "manifests": []}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        b"[]",
        b"null",
        b'{"schemaVersion": 1}',
        b'{"schemaVersion": "2"}',
        b'{"schemaVersion": 2, "manifests": {}}',
        b'{"schemaVersion": 2, "manifests": []',
        b'{"schemaVersion": 2, "manifests": [], "layers": []}',
        b'{"schemaVersion": 2, "manifests": ' + b"[" * 100_000,
        b'{"schemaVersion": 2, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"\xff": 2}',
    ],
)
def test_what_is_no_index_is_an_error_with_a_mend(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "index.json").write_bytes(text)
    with pytest.raises(LayoutError) as error:
        read_index(tmp_path / "index.json")
    assert error.value.where == str(tmp_path / "index.json") and error.value.mend


def test_an_index_that_is_no_plain_file_is_an_error_and_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    real = written(tmp_path)
    real.rename(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    with pytest.raises(LayoutError):
        read_index(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LayoutError):
        read_index(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(LayoutError):
        read_index(path)


def test_an_index_too_large_to_be_one_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "index.json").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(LayoutError):
        read_index(tmp_path / "index.json")
