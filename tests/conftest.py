"""What every test may rely on: who runs it, and the Debian root filesystem."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.layer.remove import remove_below


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """As an ordinary user, leave out what only root can do: deselected, not passed."""
    if os.getuid() == 0:
        return
    root_only = [item for item in items if item.get_closest_marker("root_only")]
    if root_only:
        config.hook.pytest_deselected(items=root_only)
        items[:] = [item for item in items if not item.get_closest_marker("root_only")]


@pytest.fixture(scope="session")
def debian() -> Path:
    """A folder with the Debian root filesystem as root.tar, .tar.gz, .tar.xz and .tar.zst.

    `scripts/debian-root FOLDER` makes it; GENOCI_TEST_DEBIAN names the folder.
    """
    folder = Path(os.environ.get("GENOCI_TEST_DEBIAN", ".cache/debian")).absolute()
    assert (folder / "ready").exists(), f"run scripts/debian-root {folder} first"
    return folder


@pytest.fixture(scope="session")
def packages() -> Path:
    """A folder with packages of Debian, as NAME.deb.

    `scripts/test-packages FOLDER` fetches them; GENOCI_TEST_PACKAGES names the folder.
    """
    folder = Path(os.environ.get("GENOCI_TEST_PACKAGES", ".cache/packages")).absolute()
    assert (folder / "ready").exists(), f"run scripts/test-packages {folder} first"
    return folder


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest's own, emptied afterwards: some tests make trees that its cleaning up can't remove."""
    yield tmp_path
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_below(fd)
    finally:
        os.close(fd)
