"""The examples, built as their readers would: copied, made, and built twice."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def examples(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "examples"
    unwanted = shutil.ignore_patterns("oci", "rootfs.tar.gz")
    shutil.copytree(EXAMPLES, folder, symlinks=True, ignore=unwanted)
    subprocess.run(["sh", "make-rootfs", "rootfs.tar.gz"], cwd=folder / "busybox", check=True)
    yield folder
    genoci(folder, "clean")


def genoci(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "genoci", "--state", str(folder / "state"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "targets"), [("busybox", ["base", "hello"]), ("steps", ["base", "app", "app-debug"])]
)
def test_an_example_built_twice_has_the_promised_tags(
    examples: Path, name: str, targets: list[str]
) -> None:
    folder = examples / name
    first = genoci(folder, "genoci.yaml")
    assert [line.split()[0] for line in first.splitlines()] == targets
    genoci(folder, "genoci.yaml")
    today = datetime.date.today().isoformat()
    listed = [line.split()[0] for line in genoci(folder, "ls").splitlines()]
    expected = [
        f"{target}{end}" for target in targets for end in ("", f"-{today}_1", f"-{today}_2")
    ]
    assert sorted(listed) == sorted(expected)
    assert genoci(folder, "fsck") is not None
    genoci(folder, "clean")


def test_the_examples_do_what_they_say(examples: Path) -> None:
    genoci(examples / "busybox", "genoci.yaml")
    greeting = genoci(examples / "busybox", "shell", "hello", "--", "/bin/cat", "/etc/greeting")
    assert greeting == "Hello, world\n"
    genoci(examples / "busybox", "clean")
    genoci(examples / "steps", "genoci.yaml")
    page = genoci(examples / "steps", "shell", "app", "--", "/usr/bin/start")
    assert page == "This is version 1.0 of the page.\n"
    genoci(examples / "steps", "clean")
