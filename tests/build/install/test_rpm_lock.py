"""A lock file, in a root of the rpm family: exactly what it names is installed, or nothing is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpms import RpmShop, build_rpms, make_lock_file, served, spec

pytestmark = pytest.mark.parametrize("manager", ["dnf", "zypper"])


class Market:
    """A repository whose packages come and go, in a shop."""

    def __init__(self, shop: RpmShop, folder: Path, manager: str) -> None:
        self.shop = shop
        self.folder = folder
        self.yaml = (
            f"base:\n  base: {manager}\n  copy: [m.repo /etc/yum.repos.d/test.repo, "
            "m.repo /etc/zypp/repos.d/test.repo]\n"
            "locked: {base: base, cache: never, install: app}\n"
        )

    def offer(self, *names: str) -> None:
        for path in self.folder.glob("*.rpm"):
            path.unlink()
        for name in names:
            shutil.copy(self.shop.file(name), self.folder)
        subprocess.run(["createrepo_c", "-q", self.folder], check=True)

    def layer(self) -> str:
        outcome = self.shop.install(self.yaml)
        assert outcome.ok, outcome.failed
        return str(self.shop.image("locked").layers[-1].descriptor.digest)


@pytest.fixture
def market(shop: RpmShop, tmp_path: Path, manager: str) -> Iterator[Market]:
    with served(tmp_path) as address:
        shop.write("m.repo", f"[m]\nname=m\nbaseurl={address}\ngpgcheck=0\n")
        market = Market(shop, tmp_path, manager)
        market.offer("app-1", "lib-1")
        make_lock_file(shop, market.yaml)
        yield market
    (shop.folder / "genoci.lock").unlink(missing_ok=True)


def test_what_is_locked_is_installed_though_there_is_something_newer(market: Market) -> None:
    locked = market.layer()
    market.offer("app-1", "lib-1", "lib-2")
    assert market.layer() == locked
    assert market.shop.says("locked", "rpm -q lib; rpm -Va") == "lib-1-1.noarch\n"
    (market.shop.folder / "genoci.lock").unlink()
    assert market.layer() != locked, "no negative control"


def test_everything_that_has_gone_is_named(market: Market) -> None:
    market.offer("lib-2")
    (failed,) = market.shop.install(market.yaml).failed
    assert "lib 1-1 (noarch)" in failed.what
    assert "app 1-1 (noarch)" in failed.what
    assert "genoci lock" in failed.mend


def test_another_file_of_the_same_version_is_not_installed(market: Market, tmp_path: Path) -> None:
    market.layer()
    build_rpms(market.folder, spec("lib", files="/usr/bin/lib"))
    subprocess.run(["createrepo_c", "-q", market.folder], check=True)
    (failed,) = market.shop.install(market.yaml).failed
    assert "not the files that the lock file names: lib-1.rpm" in failed.what
