"""Packages by name with dnf and zypper, from a repository on the loopback; rpm is the judge."""

from __future__ import annotations

import pytest

from rpms import RpmShop, layer_of

pytestmark = pytest.mark.parametrize("manager", ["dnf", "zypper"])

DATABASE = {f"var/lib/rpm/rpmdb.sqlite{end}" for end in ("", "-shm", "-wal")}
# What zypper knows of its own: that `lib` was installed for another package's sake.
STATE = {"dnf": DATABASE, "zypper": {*DATABASE, "var/lib/zypp/AutoInstalled"}}


def test_the_layer_has_the_packages_and_what_they_need_and_nothing_else(
    shop: RpmShop, manager: str
) -> None:
    outcome = shop.install(f"app: {{base: {manager}, install: app}}")
    assert outcome.ok, outcome.failed
    assert "systemd offline: 1" in shop.output()
    assert "interfaces: lo\n" in shop.output(), "its scripts have a network"
    assert set(layer_of(shop, "app")) == STATE[manager] | {
        *("etc/app.conf", "usr/share/app/file"),
        *("usr/share/lib/file", "var/lib/app"),
    }
    assert shop.says("app", "rpm -Va; rpm -q app lib") == "app-1-1.noarch\nlib-2-1.noarch\n"


def test_twice_the_same_gives_the_same_layer(shop: RpmShop, manager: str) -> None:
    yaml = f"same: {{base: {manager}, cache: never, install: app epochal}}"
    digests = set()
    for _ in range(2):
        outcome = shop.install(yaml)
        assert outcome.ok, outcome.failed
        digests.add(str(shop.image("same").layers[-1].descriptor.digest))
    assert len(digests) == 1


def test_files_and_names_are_one_batch_whichever_needs_the_other(
    shop: RpmShop, manager: str
) -> None:
    first, lib = shop.file("first-1"), shop.file("lib-1")
    outcome = shop.install(
        f"one: {{base: {manager}, install: {first} second}}\n"
        f"two: {{base: {manager}, install: app {lib}}}\n"
    )
    assert outcome.ok, outcome.failed
    assert "second-1-1" in shop.says("one", "rpm -q first second")
    assert "lib-1-1" in shop.says("two", "rpm -q app lib")


def test_what_a_file_needs_is_fetched_only_if_the_yaml_allows_it(
    shop: RpmShop, manager: str
) -> None:
    yaml = f"app: {{base: {manager}, install: {{src: {shop.file('app-1')}}}}}"
    (failed,) = shop.install(yaml).failed
    assert "app-1-1.noarch needs lib" in failed.what
    outcome = shop.install(yaml.replace("}}", ", deps: repo}}"))
    assert outcome.ok, outcome.failed
    assert "lib-2-1" in shop.says("app", "rpm -q app lib; rpm -Va")


def test_a_name_that_nobody_has_is_told(shop: RpmShop, manager: str) -> None:
    outcome = shop.install(f"none: {{base: {manager}, install: app nonesuch}}")
    (failed,) = outcome.failed
    assert "nonesuch" in failed.what
    assert failed.mend


def test_a_script_that_fails_fails_the_target(shop: RpmShop, manager: str) -> None:
    (failed,) = shop.install(f"fails: {{base: {manager}, install: post-fails}}").failed
    assert "the script %post of post-fails-1-1.noarch failed: exit status 3" in failed.what


def test_nothing_is_downloaded_twice(shop: RpmShop, manager: str) -> None:
    yaml = f"plain: {{base: {manager}, cache: never, install: plain}}"
    assert shop.install(yaml).ok
    cached = [path for path in shop.state.rglob("plain-2.rpm")]
    times = [path.stat().st_mtime_ns for path in cached]
    assert len(cached) >= 1
    assert shop.install(yaml).ok
    assert [path.stat().st_mtime_ns for path in cached] == times
