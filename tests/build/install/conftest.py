"""Roots with package managers, packages to install in them, and repositories that serve them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from debs import DebShop, index, make_deb
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


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is a repository of packages."""
    folder = tmp_path_factory.mktemp("debs")
    make_deb(folder, "plain")
    make_deb(folder, "plain", "2")
    make_deb(
        folder,
        "app",
        fields="Depends: lib (>= 1:2)\nRecommends: extra\n",
        files={"etc/app.conf": "default\n"},
        scripts={"postinst": "echo configured >/var/lib/app\n" + _TELL},
    )
    make_deb(folder, "lib", "1:2")
    make_deb(folder, "extra")
    index(folder)
    return folder


_TELL = """
echo "interfaces: $(sed -n 's/:.*//p' /proc/net/dev | xargs)"
echo "asked: $(/usr/sbin/policy-rc.d || echo $?)"
echo "frontend: $DEBIAN_FRONTEND"
update-alternatives --quiet --install /usr/bin/app-link app-link /usr/share/app/file 5
mkdir -p /var/log/app /run/app /var/cache/app
: >/var/log/app/app.log
date >/var/log/app/when.log
date >>/var/log/kept.log
date >/run/app/pid
date >/tmp/left
mkdir /tmp/folder; date >/tmp/folder/left
date >/var/cache/app/cached
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
"""


@pytest.fixture(scope="session")
def session_deb_shop(
    tmp_path_factory: pytest.TempPathFactory, debian: Path, debs: Path
) -> Iterator[DebShop]:
    shop = DebShop(tmp_path_factory.mktemp("deb-shop"))
    with served(debs) as address:
        shop.set_up(debian / "small.tar.zst", address)
        yield shop
    clean(shop.state, lambda event: None)


@pytest.fixture
def deb_shop(session_deb_shop: DebShop) -> Iterator[DebShop]:
    """A place to build in, shared by all tests, with bases that have dpkg and apt-get."""
    yield session_deb_shop
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(session_deb_shop.folder) not in mounts, "the build left mounts behind"
