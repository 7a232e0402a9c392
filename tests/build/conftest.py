"""Where builds are tested, and that they leave nothing behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.build.operations import clean
from workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    place = Workshop(tmp_path)
    yield place
    assert not mounts_below(tmp_path), "the build left mounts behind"
    remove_state(place.state)


def remove_state(state: Path) -> None:
    """The state may hold files of subordinate ids, which pytest can't remove."""
    clean(state, lambda event: None)


def mounts_below(folder: Path) -> list[str]:
    """Those of other tests, which run at the same time, are not ours."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(folder) in line]


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tarball of busybox and a few files: the example's own."""
    path = tmp_path_factory.mktemp("rootfs") / "rootfs.tar.gz"
    script = Path(__file__).parents[2] / "examples" / "busybox" / "make-rootfs"
    subprocess.run(["sh", script, path], check=True)
    return path


@pytest.fixture
def epoch(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return 1_700_000_000
