"""Digests of host files: what counts, and what is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genoci.build import inputs as module
from genoci.build.inputs import Inputs
from genoci.errors import BuildError


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as unchanged although they were made just now."""
    monkeypatch.setattr(module, "_SETTLED", -(10**18))


@pytest.fixture
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> object:
    def refuse(path: str) -> object:
        raise AssertionError(f"{path} is read")

    return lambda: monkeypatch.setattr(module, "_read", refuse)


def everything(path: bytes) -> bool:
    return False


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_read_once(tmp_path: Path, nothing_is_read: object) -> None:
    for name in ("a", "b"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").write_text(name)
    first = Inputs(tmp_path / "state")
    before = first.directory(str(tmp_path / "tree"), everything)
    first.keep()
    assert callable(nothing_is_read)
    nothing_is_read()
    assert Inputs(tmp_path / "state").directory(str(tmp_path / "tree"), everything) == before
    (tmp_path / "tree" / "a" / "file").write_text("c")
    with pytest.raises(AssertionError, match="a/file is read"):
        Inputs(tmp_path / "state").directory(str(tmp_path / "tree"), everything)


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_asked_for_twice_is_read_once(
    tmp_path: Path, nothing_is_read: object
) -> None:
    (tmp_path / "file").write_text("1")
    inputs = Inputs(tmp_path / "state")
    before = inputs.content(str(tmp_path / "file"))
    assert callable(nothing_is_read)
    nothing_is_read()
    assert inputs.content(str(tmp_path / "file")) == before
    (tmp_path / "file").write_text("22")
    with pytest.raises(AssertionError, match="is read"):
        inputs.content(str(tmp_path / "file"))


def test_a_file_that_was_changed_a_moment_ago_is_read_again(
    tmp_path: Path, nothing_is_read: object
) -> None:
    (tmp_path / "file").write_text("1")
    first = Inputs(tmp_path / "state")
    first.content(str(tmp_path / "file"))
    first.keep()
    assert callable(nothing_is_read)
    nothing_is_read()
    with pytest.raises(AssertionError, match="is read"):
        Inputs(tmp_path / "state").content(str(tmp_path / "file"))


@pytest.mark.usefixtures("settled")
def test_a_damaged_memory_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    first = Inputs(tmp_path / "state")
    digest = first.content(str(tmp_path / "file"))
    first.keep()
    (memory,) = (tmp_path / "state" / "inputs").iterdir()
    memory.write_bytes(b"\xff\x00 rubbish")
    assert Inputs(tmp_path / "state").content(str(tmp_path / "file")) == digest


def test_names_that_are_no_text_count_and_are_told_apart(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "tree")
    os.mkdir(folder)
    for name in (b"\xff", b"\\xff", "\u00ff".encode(), b"new\nline"):
        with open(folder + b"/" + name, "wb"):
            pass
    found = Inputs(tmp_path / "state").directory(str(tmp_path / "tree"), everything)
    assert len(found["files"]) == 4


def test_a_long_list_is_told_by_its_digest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST_LIST", 100)
    (tmp_path / "tree").mkdir()
    for number in range(10):
        (tmp_path / "tree" / f"file{number}").touch()
    found = Inputs(tmp_path / "state").directory(str(tmp_path / "tree"), everything)
    assert set(found) == {"mode", "tree"}


def test_what_is_left_out_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "kept").touch()
    inputs = Inputs(tmp_path / "state")
    before = inputs.directory(str(tmp_path / "tree"), lambda path: path == b"left")
    (tmp_path / "tree" / "left").mkdir()
    (tmp_path / "tree" / "left" / "inside").touch()
    assert inputs.directory(str(tmp_path / "tree"), lambda path: path == b"left") == before


def test_what_is_gone_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="gone"):
        Inputs(tmp_path / "state").content(str(tmp_path / "gone"))


@pytest.mark.usefixtures("settled")
def test_an_unchanged_script_is_not_even_opened(tmp_path: Path, nothing_is_read: object) -> None:
    script = tmp_path / "script"
    script.write_text("echo 1\n")
    first = Inputs(tmp_path / "state")
    before = first.script(str(script))
    assert before[1] == "echo 1\n"
    first.keep()
    assert callable(nothing_is_read)
    nothing_is_read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_text", module._read)
        assert Inputs(tmp_path / "state").script(str(script)) == before


def test_a_time_that_is_still_to_come_does_not_mean_just_now(tmp_path: Path) -> None:
    now = 1_700_000_000 * 10**9
    second = 10**9

    def settled(modified: int, changed: int) -> bool:
        return module._is_settled((1, 1, 1, modified, changed), now)

    assert settled(now - 60 * second, now - 3 * second)
    assert settled(now + 60 * second, now - 3 * second)
    assert not settled(now - 60 * second, now - second)
    assert not settled(now - second, now - 60 * second), "a filesystem without change times"
    assert not settled(now + second, now + second), "a server whose clock is ahead"


def test_what_was_written_meanwhile_is_told_though_it_holds_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    inputs = Inputs(tmp_path / "state")
    inputs.content(str(file))
    before = inputs.taken()
    inputs.content(str(file))
    assert inputs.taken() == before
    other = tmp_path / "other"
    other.write_text("1")
    other.rename(file)
    inputs.content(str(file))
    assert inputs.taken() != before
