"""The config file: which is read, what it may say, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from genoci.errors import SpecError
from genoci.settings import Settings, settle


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path


def settled(here: Path, text: str, **environment: str) -> Settings:
    (here / "atom_config.yaml").write_text(text)
    return settle({"HOME": str(here / "home"), **environment})


def test_the_one_in_the_working_directory_wins_as_a_whole(here: Path) -> None:
    folder = here / "home" / ".config" / "atom"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("layoutdir: home-layout\nstatedir: home-state\n")
    environment = {"HOME": str(here / "home")}
    assert settle(environment)[:2] == ("home-layout", "home-state")
    found = settled(here, "layoutdir: here-layout\n")
    assert found.layout == Path("here-layout")
    assert found.state == here / "home" / ".local" / "share" / "genoci"


def test_option_over_environment_over_file(here: Path) -> None:
    text = "layoutdir: f\nstatedir: f\ndriver: copy\n"
    assert settled(here, text)[:2] == ("f", "f")
    assert settled(here, text, GENOCI_LAYOUT="e", GENOCI_STATE="e")[:2] == ("e", "e")
    assert settle({"HOME": "/h", "GENOCI_LAYOUT": "e"}, layout="o").layout == Path("o")
    assert settle({"HOME": "/h"}, driver="overlay").driver == "overlay"


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("", "auto"),
        ("# nothing\n", "auto"),
        ("driver: vfs\n", "copy"),
        ("driver: overlay\nlofile: x\n", "overlay"),
        ("lofile: x\n", "btrfs"),
        ("btrfsmount: x\n", "btrfs"),
        ("driver: btrfs\n", "btrfs"),
    ],
)
def test_the_driver(here: Path, text: str, driver: str) -> None:
    assert settled(here, text).driver == driver


def test_where_the_btrfs_is(here: Path) -> None:
    found = settled(here, "driver: btrfs\n")
    assert (found.lofile, found.btrfs) == (Path("btrfs.img"), Path("btrfs"))
    found = settled(here, "lofile: ~/x\nbtrfsmount: y\n")
    assert (found.lofile, found.btrfs) == (here / "home" / "x", Path("y"))


@pytest.mark.parametrize(
    ("text", "where", "what", "mend"),
    [
        ("drivr: btrfs\n", "1:1", "`drivr`", "did you mean `driver`"),
        ("layout: x\n", "1:1", "`layout`", "`layoutdir`"),
        ("driver: btfs\n", "1:9", "`btfs`", "did you mean `btrfs`"),
        ("driver: [btrfs]\n", "1:9", "must be text", "driver: btrfs"),
        ("# x\nlofile: home\n", "2:9", "is not a file", "lpack setup"),
        ("lofile: no/where/file\n", "1:9", "does not exist", "make it"),
        ("layoutdir: atom_config.yaml\n", "1:12", "not a directory", "name"),
        ("statedir: ~nobody-at-all/x\n", "1:11", "no user", "home directory"),
        ("layoutdir:\n", "1:11", "no value", "layoutdir: ./oci"),
        ("- a\n", "1:1", "must be a mapping", "driver: btrfs"),
        ("driver: copy\ndriver: copy\n", "2:1", "twice", "keep one"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_mend(
    here: Path, text: str, where: str, what: str, mend: str
) -> None:
    with pytest.raises(SpecError) as caught:
        settled(here, text)
    assert caught.value.where == f"atom_config.yaml:{where}"
    assert what in caught.value.what
    assert mend in caught.value.mend
    assert caught.value.exit_status == 2


def test_all_mistakes_are_told_at_once(here: Path) -> None:
    with pytest.raises(SpecError) as caught:
        settled(here, "drivr: x\nlayoutdir: []\n")
    assert len(caught.value.others) == 1
