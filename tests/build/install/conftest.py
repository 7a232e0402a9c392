"""A root with rpm, dnf and zypper, packages to install in it, and a repository that serves them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.build.operations import clean
from rpms import SPECS, RpmShop, build_rpms, served


@pytest.fixture(scope="session")
def rpm_root() -> Path:
    """A tarball of the root.

    `scripts/rpm-root FOLDER` makes it; GENOCI_TEST_RPM_ROOT names the folder.
    """
    folder = Path(os.environ.get("GENOCI_TEST_RPM_ROOT", ".cache/rpm-root")).absolute()
    assert (folder / "ready").exists(), f"run scripts/rpm-root {folder} first"
    return folder / "root.tar.zst"


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of each of the SPECS, as NAME-VERSION.rpm."""
    folder = tmp_path_factory.mktemp("rpms")
    build_rpms(folder, *SPECS)
    return folder


@pytest.fixture(scope="session")
def repository(rpms: Path) -> Iterator[str]:
    """The address of a repository with all of them."""
    subprocess.run(["createrepo_c", "-q", rpms], check=True)
    with served(rpms) as address:
        yield address


@pytest.fixture(scope="session")
def session_shop(
    tmp_path_factory: pytest.TempPathFactory, rpm_root: Path, rpms: Path, repository: str
) -> Iterator[RpmShop]:
    shop = RpmShop(tmp_path_factory.mktemp("shop"), rpms)
    shop.set_up(rpm_root, repository)
    yield shop
    clean(shop.state, lambda event: None)


@pytest.fixture
def shop(session_shop: RpmShop) -> Iterator[RpmShop]:
    """A place to build in, shared by all tests, with bases that have rpm."""
    yield session_shop
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(session_shop.folder) not in mounts, "the build left mounts behind"
