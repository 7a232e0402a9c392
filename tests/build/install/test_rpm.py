"""Package files, installed by the root's own rpm; rpm -V is the judge of what came of it."""

from __future__ import annotations

import pytest

from genoci.snapshot.driver import Driver
from rpms import RpmShop, layer_of

# What rpm itself writes.
DATABASE = {"rpmdb.sqlite", "rpmdb.sqlite-shm", "rpmdb.sqlite-wal"}


def database(*files: str) -> set[str]:
    return {f"var/lib/rpm/{name}" for name in DATABASE} | set(files)


def test_the_layer_has_the_packages_files_and_the_database_and_nothing_else(shop: RpmShop) -> None:
    outcome = shop.install(f"one: {{base: rpm, install: {shop.file('rights-1')}}}")
    assert outcome.ok, outcome.failed
    layer = layer_of(shop, "one")
    assert set(layer) == database("etc/rights.conf", "usr/bin/rights", "usr/share/rights/file")
    said = shop.says("one", "rpm -Va; rpm -q rights; rpm -q --dump rights")
    assert said.startswith("rights-1-1.noarch\n")
    for line in said.splitlines()[1:]:
        path, size, _, _, mode, owner, group, *_ = line.split()
        if path.strip("/") in layer:
            member = layer[path.strip("/")]
            assert (member.size, member.mode) == (int(size), int(mode, 8) & 0o7777)
            assert (owner, group) == ("root", {0: "root", 8: "mail"}[member.gid])
    assert "SCHILY.xattr.security.capability" in layer["usr/bin/rights"].pax_headers
    assert layer["usr/bin/rights"].mode == 0o4755


def test_rpm_verify_sees_what_was_changed_after_it(shop: RpmShop) -> None:
    """The negative control of the judge."""
    outcome = shop.install(
        f"one: {{base: rpm, install: {shop.file('rights-1')}}}\n"
        "changed: {base: one, run: echo changed >/usr/bin/rights}\n"
    )
    assert outcome.ok, outcome.failed
    assert "/usr/bin/rights" in shop.says("changed", "rpm -Va || true")


def test_a_user_who_is_not_root_may_ask_rpm(shop: RpmShop) -> None:
    yaml = f"one: {{base: rpm, install: {shop.file('plain-1')}}}\n"
    yaml += "ask: {base: one, run: {shell: rpm -q plain, user: nobody}}\n"
    outcome = shop.install(yaml)
    assert outcome.ok, outcome.failed
    assert "plain-1-1.noarch" in shop.output()


def test_two_that_need_each_other_come_in_any_order(shop: RpmShop) -> None:
    first, second = shop.file("first-1"), shop.file("second-1")
    for order in (f"{first} {second}", f"{second} {first}"):
        outcome = shop.install(f"two: {{base: rpm, install: {order}}}")
        assert outcome.ok, outcome.failed
        assert "usr/share/first/file" in layer_of(shop, "two")


def test_scripts_and_triggers_run_without_network_and_without_services(shop: RpmShop) -> None:
    files = " ".join(str(shop.file(name)) for name in ("app-1", "lib-1", "watcher-1", "plain-1"))
    outcome = shop.install(f"scripts: {{base: rpm, install: {files}}}")
    assert outcome.ok, outcome.failed
    assert "watched plain" in shop.output()
    assert "systemd offline: 1" in shop.output()
    assert "interfaces: lo\n" in shop.output()
    assert shop.text("scripts", "var/lib/app") == "configured\n"
    assert shop.text("scripts", "etc/app.conf") == "default\n"


def test_a_newer_file_replaces_what_is_there_and_so_does_an_older_one(shop: RpmShop) -> None:
    outcome = shop.install(
        f"old: {{base: rpm, install: {shop.file('plain-1')}}}\n"
        f"new: {{base: old, install: {shop.file('plain-2')}}}\n"
        f"back: {{base: new, install: {shop.file('plain-1')}}}\n"
    )
    assert outcome.ok, outcome.failed
    assert shop.text("new", "usr/share/plain/file") == "plain 2\n"
    assert shop.text("back", "usr/share/plain/file") == "plain 1\n"
    assert shop.says("back", "rpm -q plain") == "plain-1-1.noarch\n"


def test_all_that_is_needed_is_named_and_nothing_is_installed(shop: RpmShop) -> None:
    outcome = shop.install(f"needy: {{base: rpm, install: {shop.file('needy-1')}}}")
    (failed,) = outcome.failed
    assert "3 dependencies are not met" in failed.what
    for need in ("nonesuch", "/usr/bin/nowhere", "lib >= 7"):
        assert f"needy-1-1.noarch needs {need}" in failed.what
    assert "deps: repo" in failed.mend
    assert failed.where == "target needy, install: needy-1.rpm"


@pytest.mark.parametrize(
    ("name", "script", "status"), [("post-fails", "%post", 3), ("pre-fails", "%pre", 4)]
)
def test_a_script_that_fails_fails_the_target(
    shop: RpmShop, name: str, script: str, status: int
) -> None:
    outcome = shop.install(f"fails: {{base: rpm, install: {shop.file(name + '-1')}}}")
    (failed,) = outcome.failed
    assert script in failed.what
    assert f"{name}-1-1.noarch" in failed.what
    assert f"exit status {status}" in failed.what
    if name == "post-fails":
        assert "last words" in failed.tail


def test_twice_the_same_gives_the_same_layer_whichever_driver_made_it(shop: RpmShop) -> None:
    yaml = f"same: {{base: rpm, cache: never, install: {shop.file('app-1')} {shop.file('lib-1')}}}"
    digests = set()
    for driver in ("copy", "overlay", "overlay"):
        outcome = shop.install(yaml, driver=Driver(driver))
        assert outcome.ok, outcome.failed
        digests.add(str(shop.image("same").layers[-1].descriptor.digest))
    assert len(digests) == 1
    yaml = yaml.replace(str(shop.file("lib-1")), str(shop.file("lib-2")))
    assert shop.install(yaml).ok
    digests.add(str(shop.image("same").layers[-1].descriptor.digest))
    assert len(digests) == 2, "no negative control"
