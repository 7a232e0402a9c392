"""Packages by name in a Debian root: its own apt-get fetches them, and what they need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from debs import DebShop, index, make_deb
from genoci.spec.pinned import Pinned
from rpms import served

APP = "t: {base: served, install: app}"


def installed(shop: DebShop, tag: str) -> str:
    """Those of the repository's packages that the image has, and that dpkg finds no fault."""
    query = "dpkg-query -W -f '${Package} ${Version}\\n' app lib plain extra 2>&1"
    return shop.says(tag, f"dpkg --audit; {query} | grep '[0-9]$'")


def test_a_name_brings_what_it_needs_and_not_what_is_recommended(deb_shop: DebShop) -> None:
    outcome = deb_shop.install(APP)
    assert outcome.ok, outcome.failed
    assert "interfaces: lo\n" in deb_shop.output(), "a package's script had the network"
    assert "asked: 101\n" in deb_shop.output()
    assert installed(deb_shop, "t") == "app 1\nlib 1:2\n"
    assert deb_shop.says("t", "apt-mark showauto") == "lib\n"


def test_no_list_cache_or_log_is_in_the_layer(deb_shop: DebShop) -> None:
    assert deb_shop.install(APP).ok
    layer = deb_shop.layer("t")
    expected = ("usr/share/", "var/lib/dpkg/", "etc/", "usr/bin/app-link")
    others = {path for path in layer if not path.startswith(expected)}
    assert others == {"var/lib/app", "var/log/app/app.log", "var/lib/apt/extended_states"}


def test_twice_the_same_layer_also_when_all_is_in_the_cache(deb_shop: DebShop) -> None:
    assert deb_shop.install(APP).ok
    before = deb_shop.layers("t")
    assert deb_shop.install(APP).ok
    assert deb_shop.layers("t") == before


@pytest.mark.parametrize(("name", "version"), [("plain", "2"), ("plain=1", "1")])
def test_a_version_may_be_given(deb_shop: DebShop, name: str, version: str) -> None:
    outcome = deb_shop.install(f"t: {{base: served, install: {name}}}")
    assert outcome.ok, outcome.failed
    assert installed(deb_shop, "t") == f"plain {version}\n"


def test_files_and_names_are_one_batch(deb_shop: DebShop, tmp_path: Path) -> None:
    mine = make_deb(tmp_path, "mine", fields="Depends: plain (= 1)\n")
    outcome = deb_shop.install(f"t: {{base: served, install: [plain=1, {mine}]}}")
    assert outcome.ok, outcome.failed
    assert installed(deb_shop, "t") == "plain 1\n"


def test_what_a_file_needs_is_fetched_if_that_was_said(deb_shop: DebShop, debs: Path) -> None:
    app = debs / "app_1_all.deb"
    assert "app needs lib (>= 1:2)" in deb_shop.what(f"t: {{base: served, install: [{app}]}}")
    outcome = deb_shop.install(f"t: {{base: served, install: {{src: {app}, deps: repo}}}}")
    assert outcome.ok, outcome.failed
    assert installed(deb_shop, "t") == "app 1\nlib 1:2\n"


def test_all_names_that_do_not_exist_are_told(deb_shop: DebShop) -> None:
    said = deb_shop.what("t: {base: served, install: nosuch app=9 alsonot}")
    assert "Unable to locate package nosuch" in said
    assert "Version '9' for 'app' was not found" in said
    assert "Unable to locate package alsonot" in said


def test_a_mirror_that_can_not_be_reached_is_told(deb_shop: DebShop) -> None:
    deb_shop.write("nowhere.list", "deb [trusted=yes] http://127.0.0.1:9 ./\n")
    said = deb_shop.what(
        "t: {base: debian, copy: nowhere.list /etc/apt/sources.list, install: app}"
    )
    assert "could not fetch the package lists" in said
    assert "127.0.0.1:9" in said
    assert "http_proxy" in said


def test_what_nobody_can_meet_is_told(deb_shop: DebShop, tmp_path: Path) -> None:
    one = make_deb(tmp_path, "one", fields="Depends: none (>= 2), app (>= 99)\n")
    said = deb_shop.what(f"t: {{base: served, install: {{src: {one}, deps: repo}}}}")
    assert "one : Depends: none (>= 2) but it is not installable" in said
    assert "Depends: app (>= 99)" in said


def test_a_package_that_has_gone_since_the_lists_were_fetched_is_looked_for_anew(
    deb_shop: DebShop, debs: Path, tmp_path: Path
) -> None:
    shutil.copy(debs / "plain_1_all.deb", tmp_path)
    index(tmp_path)
    with served(tmp_path) as address:
        deb_shop.write("moving.list", f"deb [trusted=yes] {address} ./\n")
        yaml = (
            "moving: {base: debian, copy: moving.list /etc/apt/sources.list}\n"
            "t: {base: moving, install: plain}"
        )
        assert deb_shop.install(yaml).ok, deb_shop.events
        (tmp_path / "plain_1_all.deb").unlink()
        for cached in deb_shop.state.glob("packages/*/cache/apt-get/cache/archives/plain_1_*"):
            cached.unlink()
        shutil.copy(debs / "plain_2_all.deb", tmp_path)
        index(tmp_path)
        outcome = deb_shop.install(yaml)
    assert outcome.ok, outcome.failed
    assert installed(deb_shop, "t") == "plain 2\n"


# Locks


def pins_of(shop: DebShop, yaml: str, monkeypatch: pytest.MonkeyPatch) -> list[Pinned]:
    """What a build installs, as its worker reports it."""
    found: list[Pinned] = []
    with monkeypatch.context() as patch:
        from genoci.build import schedule

        finish = schedule._Run._finish  # type: ignore[attr-defined]

        def note(self: object, target: object, built: object) -> None:
            found.extend(built.installed)  # type: ignore[attr-defined]
            finish(self, target, built)

        patch.setattr(schedule._Run, "_finish", note)  # type: ignore[attr-defined]
        assert shop.install(yaml).ok, shop.events
    return found
