"""Packages by name in a Debian root: its own apt-get fetches them, and what they need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from debs import DebShop, index, make_deb
from genoci.build.relock import lock
from genoci.build.schedule import Outcome, Request, build
from genoci.layer.compression import Compression
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


def test_names_from_debians_own_mirror(deb_shop: DebShop) -> None:
    """The only test that leaves this machine, for the mirror that the root itself names."""
    outcome = deb_shop.install("t: {base: debian, install: curl jq}")
    assert outcome.ok, outcome.failed
    told = deb_shop.says("t", "dpkg --audit; jq -n 6*7; curl --version | cut -c 1-5 | head -n 1")
    assert told == "42\ncurl \n"
    assert "var/lib/apt/extended_states" in deb_shop.layer("t")
    assert not [
        path for path in deb_shop.layer("t") if path.startswith(("var/log", "var/cache/apt"))
    ]


# Locks


@pytest.fixture
def shelf(deb_shop: DebShop, debs: Path, tmp_path: Path) -> Iterator[Path]:
    """A repository that changes; the YAML file in its `home` installs from it."""
    home = tmp_path / "home"
    home.mkdir()
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in ("app_1_all", "lib_1%3a2_all", "plain_1_all"):
        shutil.copy(debs / f"{name}.deb", shelf)
    index(shelf)
    with served(shelf) as address:
        (home / "sources.list").write_text(f"deb [trusted=yes] {address} ./\n")
        yield shelf


def request(shop: DebShop, shelf: Path, names: str = "app plain") -> Request:
    file = shelf.parent / "home" / "genoci.yaml"
    file.write_text(
        "shelf: {base: debian, copy: sources.list /etc/apt/sources.list}\n"
        f"t: {{base: shelf, install: {names}}}\n"
    )
    return Request(
        file=file,
        layout=shop.layout_path,
        state=shop.state,
        compression=Compression.parse("none"),
        dated_tags=False,
        use_cache=False,
        epoch=1_700_000_000,
    )


def built(shop: DebShop, shelf: Path) -> Outcome:
    shop.events = []
    return build(request(shop, shelf), shop.events.append)


def forget_what_was_fetched(shop: DebShop) -> None:
    for cached in shop.state.glob("packages/*/cache/apt-get"):
        shutil.rmtree(cached)


def test_a_lock_file_keeps_the_versions_that_it_found(deb_shop: DebShop, shelf: Path) -> None:
    done = lock(request(deb_shop, shelf), lambda event: None)
    assert done.outcome.ok, done.outcome.failed
    assert [line.split()[1:3] for line in done.changes] == [
        ["app", "(all)"],
        ["lib", "(all)"],
        ["plain", "(all)"],
    ]
    assert built(deb_shop, shelf).ok, deb_shop.events
    before = deb_shop.layers("t")
    make_deb(shelf, "plain", "2")
    make_deb(shelf, "lib", "1:3")
    index(shelf)
    forget_what_was_fetched(deb_shop)
    assert built(deb_shop, shelf).ok, deb_shop.events
    assert deb_shop.layers("t") == before
    assert installed(deb_shop, "t") == "app 1\nlib 1:2\nplain 1\n"


def test_all_that_has_gone_or_differs_from_the_lock_file_is_named(
    deb_shop: DebShop, shelf: Path
) -> None:
    assert lock(request(deb_shop, shelf), lambda event: None).outcome.ok
    (shelf / "lib_1%3a2_all.deb").unlink()
    make_deb(shelf, "lib", "1:3")
    make_deb(shelf, "plain", files={"usr/share/plain/more": "not what it was"})
    index(shelf)
    forget_what_was_fetched(deb_shop)
    (failed,) = built(deb_shop, shelf).failed
    assert "lib 1:2 (all) is gone" in failed.what
    assert "plain 1 (all) has the sha256" in failed.what
    assert "genoci lock" in failed.mend


def test_what_is_needed_besides_the_lock_file_is_named(deb_shop: DebShop, shelf: Path) -> None:
    assert lock(request(deb_shop, shelf), lambda event: None).outcome.ok
    make_deb(shelf, "app", fields="Depends: lib, more\n")
    make_deb(shelf, "more")
    index(shelf)
    forget_what_was_fetched(deb_shop)
    (failed,) = built(deb_shop, shelf).failed
    assert "app 1 (all)" in failed.what


def test_a_file_that_was_changed_in_the_cache_is_fetched_anew(
    deb_shop: DebShop, shelf: Path
) -> None:
    assert built(deb_shop, shelf).ok, deb_shop.events
    before = deb_shop.layers("t")
    archives = "packages/*/cache/apt-get/cache/archives"
    (plain,) = deb_shop.state.glob(f"{archives}/plain_1_all.deb")
    (app,) = deb_shop.state.glob(f"{archives}/app_1_all.deb")
    content = plain.read_bytes()
    plain.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size
    app.unlink()
    app.symlink_to("/etc/passwd")
    assert built(deb_shop, shelf).ok, deb_shop.events
    assert plain.read_bytes() == content
    assert not app.is_symlink()
    assert deb_shop.layers("t") == before
