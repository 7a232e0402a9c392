"""A folder with the files that the YAML files of these tests name, and a reader for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.spec.read import read
from genoci.spec.target import Spec, Target

TAGS = ("cirros", "cirros-2026-11-23_1", "debian")


def fill(folder: Path) -> None:
    for name in ("rootfs.tar.gz", "one.tar", "two.tar", "a b.tar", "hello.txt", "setup.sh"):
        (folder / name).write_text("#!/bin/sh\n")
    for name in ("hello.deb", "world.deb", "hello.rpm", "a b.deb"):
        (folder / name).write_text("")
    (folder / "etc").mkdir()
    (folder / "etc" / "motd").write_text("hello\n")
    (folder / "etc" / ".hidden").write_text("")
    (folder / "lost").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


Reader = Callable[[str], Spec]


@pytest.fixture
def spec(folder: Path) -> Reader:
    """Reads a text as `f.yaml` of that folder."""

    def spec(text: str) -> Spec:
        path = folder / "f.yaml"
        path.write_text(text)
        return read(path, tags=lambda: TAGS)

    return spec


@pytest.fixture
def target(spec: Reader) -> Callable[[str], Target]:
    """Reads the keys of a target that stands on `empty`, each line of the text one key."""

    def target(keys: str) -> Target:
        lines = ["a:", "  base: empty", *(f"  {line}" for line in keys.splitlines())]
        (found,) = spec("\n".join(lines) + "\n").targets
        return found

    return target
