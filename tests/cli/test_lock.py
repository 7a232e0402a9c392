"""`genoci lock` at the command line, where nothing has to be built."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Genoci = Callable[..., subprocess.CompletedProcess[str]]
URLS = "a: {base: empty, install: {src: 'https://h/a.deb', sha256: %s}}\n"


@pytest.mark.parametrize(
    "words", [("lock",), ("lock", "-f", "genoci.yaml"), ("lock", "./genoci.yaml")]
)
def test_the_digests_of_addresses_are_pinned(
    genoci: Genoci, place: Path, words: tuple[str, ...]
) -> None:
    (place / "genoci.yaml").write_text(URLS % ("0" * 64))
    done = genoci(*words)
    assert (done.returncode, done.stdout) == (0, "")
    assert "genoci.lock is written: 0 packages pinned" in done.stderr
    assert f'"https://h/a.deb": "{"0" * 64}"' in (place / "genoci.lock").read_text()
    assert "genoci.lock is as it was" in genoci(*words).stderr


def test_nothing_to_pin_makes_no_file(genoci: Genoci, place: Path) -> None:
    (place / "genoci.yaml").write_text("a: {base: empty, env: {A: b}}\n")
    done = genoci("lock", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"file": "genoci.lock", "written": False, "changes": []}
    assert "there is nothing to pin" in done.stderr
    assert not (place / "genoci.lock").exists()


def test_an_address_that_changed_since_is_told_before_anything_is_fetched(
    genoci: Genoci, place: Path
) -> None:
    (place / "genoci.yaml").write_text(URLS % ("0" * 64))
    genoci("lock")
    (place / "genoci.yaml").write_text(URLS % ("1" * 64))
    done = genoci("build")
    assert done.returncode == 2
    assert "error: genoci.yaml:1:27: the `sha256` is 1111" in done.stderr
    assert "`genoci lock -f genoci.yaml` pins" in done.stderr


@pytest.mark.parametrize("word", ["build", "plan", "lock"])
def test_a_lock_file_that_is_wrong_is_told_with_its_place(
    genoci: Genoci, place: Path, word: str
) -> None:
    (place / "genoci.yaml").write_text(URLS % ("0" * 64))
    (place / "genoci.lock").write_text("version: 1\nfiles: {x: {tagets: {}}}\n")
    done = genoci(word)
    assert done.returncode == 2
    assert "error: genoci.lock:2:13: there is no key `tagets` here" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_that_is_none(genoci: Genoci, place: Path) -> None:
    (place / "genoci.yaml").write_text(URLS % ("0" * 64))
    assert "has no target `b`" in genoci("lock", "b").stderr


@pytest.mark.parametrize("name", ["downloads", "packages"])
def test_clean_knows_what_installing_leaves_in_the_state(
    genoci: Genoci, place: Path, name: str
) -> None:
    (place / "state" / name / "x").mkdir(parents=True)
    assert genoci("clean", "--state", "state").returncode == 0
    assert not (place / "state").exists()
