"""Making a layout, completing half of one, and refusing what is something else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from genoci.errors import GenociError, LayoutError, NotFound, StorageError
from genoci.oci.layout import Layout


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(".genoci"))


def test_a_new_layout_is_one_to_the_specification(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "deep" / "oci")
    assert entries(layout.path) == ["blobs", "index.json", "oci-layout"]
    mark = json.loads((layout.path / "oci-layout").read_bytes())
    assert mark == {"imageLayoutVersion": "1.0.0"}
    assert (layout.path / "blobs" / "sha256").is_dir()
    assert layout.tags() == {}


def test_an_empty_folder_becomes_one(tmp_path: Path) -> None:
    assert Layout.create_or_open(tmp_path).tags() == {}


def test_opening_a_layout_again_changes_nothing(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    layout.tag({"a": layout.put([b"{}"], "text/plain")})
    before = (layout.path / "index.json").stat().st_ino
    assert list(Layout.create_or_open(layout.path).tags()) == ["a"]
    assert list(Layout.at(layout.path).tags()) == ["a"]
    assert (layout.path / "index.json").stat().st_ino == before


def test_a_relative_path_is_meant_where_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layout = Layout.create_or_open(Path("oci"))
    monkeypatch.chdir("/")
    assert layout.tags() == {}


@pytest.mark.parametrize(
    "made", [[], ["blobs"], ["blobs/sha256"], ["blobs/sha256", "index"], ["index"], ["temporary"]]
)
def test_half_a_layout_is_completed(tmp_path: Path, made: list[str]) -> None:
    path = tmp_path / "oci"
    path.mkdir()
    for part in made:
        if part == "index":
            (path / "index.json").write_text('{"schemaVersion": 2, "manifests": [], "mine": 1}')
        elif part == "temporary":
            (path / ".genoci-0123456789abcdef").write_text("half")
        else:
            (path / part).mkdir(parents=True)
    layout = Layout.create_or_open(path)
    assert Layout.at(path).tags() == {}
    assert not list(path.glob(".genoci-*"))
    assert ("mine" in json.loads(layout.index_path.read_bytes())) == ("index" in made)


def test_what_a_killed_writer_left_is_removed_and_a_living_one_s_stays(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    (layout.path / ".genoci-0123456789abcdef").write_text("half a blob")
    os.mkfifo(layout.path / ".genoci-fifo")
    (layout.path / ".genoci-folder").mkdir()

    def chunks() -> list[bytes]:
        Layout.create_or_open(layout.path)
        living = [p.name for p in layout.path.glob(".genoci-*")]
        assert ".genoci-folder" in living and len(living) == 2
        return [b"whole"]

    stored = layout.put((chunk for make in (chunks,) for chunk in make()), "text/plain")
    assert layout.has(stored.digest)


def test_a_folder_that_is_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LayoutError, match="something else") as error:
        Layout.create_or_open(tmp_path)
    assert error.value.mend and error.value.where == str(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]


def test_a_folder_with_somebody_s_index_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"name": "my web page"}  ]')
    with pytest.raises(LayoutError):
        Layout.create_or_open(tmp_path)
    assert not (tmp_path / "oci-layout").exists()


def test_blobs_without_an_index_are_never_given_an_empty_one(tmp_path: Path) -> None:
    for mark in (False, True):
        path = tmp_path / str(mark)
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "blobs" / "sha256" / ("a" * 64)).write_text("precious")
        if mark:
            (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        with pytest.raises(LayoutError, match="index"):
            Layout.create_or_open(path)
        assert not (path / "index.json").exists()


def test_a_file_is_no_layout(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "oci"):
        with pytest.raises(LayoutError):
            Layout.create_or_open(path)
        with pytest.raises(NotFound):
            Layout.at(path)


def test_opening_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as error:
        Layout.at(tmp_path / "oci")
    assert "--layout" in error.value.mend
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "mark", ["", "{}", "garbage", "[]", '{"imageLayoutVersion": "2.0.0"}', "[" * 4000, "x" * 5000]
)
def test_a_layout_of_another_version_is_refused(tmp_path: Path, mark: str) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    (layout.path / "oci-layout").write_text(mark)
    for attempt in (Layout.at, Layout.create_or_open):
        with pytest.raises(LayoutError, match="version"):
            attempt(layout.path)


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_blobs_behind_a_link_are_refused(tmp_path: Path, name: str) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    (layout.path / name).rename(tmp_path / "elsewhere")
    (layout.path / name).symlink_to(tmp_path / "elsewhere")
    for attempt in (Layout.at, Layout.create_or_open):
        with pytest.raises(LayoutError, match="no link"):
            attempt(layout.path)


def test_a_layout_without_its_index_is_refused_for_reading(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    layout.index_path.unlink()
    with pytest.raises(LayoutError, match=r"index\.json"):
        Layout.at(layout.path)
    assert Layout.create_or_open(layout.path).tags() == {}


@pytest.mark.parametrize("lock", [".genoci.lock", ".genoci.index.lock"])
def test_a_lock_that_is_a_link_leads_nowhere(tmp_path: Path, lock: str) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    (layout.path / lock).unlink(missing_ok=True)
    (layout.path / lock).symlink_to(tmp_path / "made")
    with pytest.raises(GenociError), layout.holding(shared=True), layout.editing_index():
        pytest.fail("took a lock elsewhere")
    assert not (tmp_path / "made").exists()


def test_where_nothing_may_be_written_there_is_an_error_and_not_a_traceback(tmp_path: Path) -> None:
    if os.getuid() == 0:  # whom no mode stops, but /proc does
        attempt = Path("/proc/genoci-test-oci")
    else:
        tmp_path.chmod(0o555)
        attempt = tmp_path / "oci"
    with pytest.raises(StorageError) as error:
        Layout.create_or_open(attempt)
    assert error.value.mend
    tmp_path.chmod(0o755)
