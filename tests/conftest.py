"""What every test may rely on: who runs it, and the Debian root filesystem."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import filesystems
from genoci.layer.remove import remove_below

# How long a machine takes that does other things as well says nothing about what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """As an ordinary user, leave out what only root can do: deselected, not passed."""
    if os.getuid() == 0:
        return
    root_only = [item for item in items if _needs_root(item)]
    if root_only:
        config.hook.pytest_deselected(items=root_only)
        items[:] = [item for item in items if item not in set(root_only)]


def _needs_root(item: pytest.Item) -> bool:
    """To be root, or to have had root make the filesystems that it works on."""
    kinds = [kind for mark in item.iter_markers("filesystem") for kind in mark.args]
    missing = [kind for kind in kinds if filesystems.given(kind) is None]
    return bool(missing) or item.get_closest_marker("root_only") is not None


@pytest.fixture(scope="session")
def filesystem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """A directory of ours on a filesystem of the kind, "btrfs" or "xfs", made when first wanted.

    A test that may want it is marked with `filesystem`.
    """
    made: dict[str, filesystems.Mounted] = {}

    def find(kind: str) -> Path:
        path = filesystems.given(kind)
        if path is not None:
            return path
        if kind not in made:
            made[kind] = filesystems.Mounted(kind, tmp_path_factory.mktemp(kind))
        return made[kind].path

    yield find
    for one in made.values():
        one.close()


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
