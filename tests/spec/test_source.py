"""Files that are not even text: each is an error with its place, none a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genoci.errors import SpecError
from genoci.spec.read import read


def message(folder: Path, content: bytes) -> str:
    path = folder / "f.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read(path, tags=list)
    return str(caught.value).replace(f"{folder}/", "")


GOOD = b"a: {base: empty, run: x}\n"


def test_a_byte_order_mark_at_the_start_is_no_mistake(folder: Path) -> None:
    (folder / "f.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD)
    (target,) = read(folder / "f.yaml", tags=list).targets
    assert (target.name, target.place.column) == ("a", 1)


def test_windows_line_ends_are_no_mistake(folder: Path) -> None:
    (folder / "f.yaml").write_bytes(b"a:\r\n  base: empty\r\n  run: |\r\n    x\r\n    y\r\n")
    (target,) = read(folder / "f.yaml", tags=list).targets
    assert target.steps[0].shell == "x\ny\n"  # type: ignore[union-attr]


def test_what_is_no_text_is_told_as_such(folder: Path) -> None:
    mend = "name the YAML file; a tarball is named in it: `expand: FILE`"
    told = message(folder, b"\x1f\x8b\x08\0\0\xff")
    assert told == f"f.yaml: this is no text file\n  {mend}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("\ufeff".join(["", GOOD.decode()]).encode("utf-16-le"), "f.yaml:1:1: the file is UTF-16"),
        (b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), "f.yaml:1:1: the file is UTF-16"),
        (b"\xff\xfe\0\0" + GOOD.decode().encode("utf-32-le"), "f.yaml:1:1: the file is UTF-32"),
        (b"a:\n  base: \xe4\n", "f.yaml:2:9: the byte 0xe4 is not UTF-8"),
        ("a:\n  base: ä\n".encode() + b"\xc3", "f.yaml:3:1: the byte 0xc3 is not UTF-8"),
    ],
)
def test_another_encoding_is_an_error(folder: Path, content: bytes, expected: str) -> None:
    assert message(folder, content) == f"{expected}\n  save it as UTF-8"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: \0\n", "f.yaml:1:4: a file can't hold the control character U+0000\n  is this"),
        (b"a:\r\n\x1b", "f.yaml:2:1: a file can't hold the control character U+001B\n  delete it"),
        (b"a\r\x7f", "f.yaml:2:1: a file can't hold the control character U+007F\n  delete it"),
        ("ä: \u2028".encode(), "f.yaml:1:4: a file can't hold the character U+2028 (line separ"),
        ("a: \x85".encode(), "f.yaml:1:4: a file can't hold the control character U+0085\n"),
        ("a: \ufeff".encode(), "f.yaml:1:4: a file can't hold a byte order mark (U+FEFF) but at"),
        ("a: \uffff".encode(), "f.yaml:1:4: a file can't hold the control character U+FFFF\n"),
    ],
)
def test_a_control_character_is_an_error(folder: Path, content: bytes, expected: str) -> None:
    assert message(folder, content).startswith(expected)


def test_the_mend_for_a_control_character_names_its_escape(folder: Path) -> None:
    assert message(folder, b"\x1b").endswith('delete it, or write "\\x1b" in double quotes')


def test_a_file_that_is_not_there_is_an_error_with_a_near_miss(folder: Path) -> None:
    (folder / "genoci.yml").write_bytes(GOOD)
    (folder / "other.yaml").write_bytes(GOOD)
    with pytest.raises(SpecError) as caught:
        read(folder / "genoci.yaml", tags=list)
    assert caught.value.where == str(folder / "genoci.yaml")
    assert caught.value.what == "there is no such file"
    assert caught.value.mend == "did you mean `genoci.yml`?"


def test_a_file_in_a_folder_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file"):
        read(folder / "nowhere" / "f.yaml", tags=list)


def test_a_folder_is_an_error_that_names_the_file_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "etc" / "genoci.yaml").write_bytes(GOOD)
    with pytest.raises(SpecError) as caught:
        read(Path("etc"), tags=list)
    assert caught.value.where == "etc"
    assert caught.value.what == "this is a folder; a YAML file is needed"
    assert caught.value.mend == "did you mean `etc/genoci.yaml`?"


def test_a_link_to_itself_is_an_error(folder: Path) -> None:
    with pytest.raises(SpecError, match="can't be read: Too many levels of symbolic links"):
        read(folder / "loop", tags=list)


def test_a_path_with_a_nul_is_an_error(folder: Path) -> None:
    with pytest.raises(SpecError, match="can't be read: embedded null byte"):
        read(folder / "a\0b", tags=list)


def test_a_path_that_is_not_utf_8_has_places_that_are(folder: Path) -> None:
    path = folder / os.fsdecode(b"\xff.yaml")
    path.write_bytes(GOOD)
    found = read(path, tags=list)
    assert found.path == f"{folder}/\\xff.yaml"
    assert found.targets[0].place.file == found.path


def test_a_huge_file_is_an_error(folder: Path) -> None:
    assert message(folder, b"#" * (4 << 20) + b"\n").startswith("f.yaml: the file is larger than 4")


def test_an_endless_file_is_an_error() -> None:
    with pytest.raises(SpecError, match="larger than 4 MiB"):
        read(Path("/dev/zero"), tags=list)
