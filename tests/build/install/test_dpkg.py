"""Files of Debian's packages in a Debian root: its own dpkg installs them, and leaves no traces."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from debs import DebShop, make_deb
from genoci.snapshot.driver import Driver

BATCHES = {
    "each needs the next": ["file", "libmagic1", "libmagic-mgc"],
    "scripts and triggers": ["hello", "install-info"],
    "conffiles": ["bash-completion"],
    "setuid": ["sudo"],
}


def items(packages: Path, *names: str) -> str:
    return "[" + ", ".join(f"{packages}/{name}.deb" for name in names) + "]"


def files_of(package: Path) -> set[str]:
    """What dpkg-deb lists, but for directories, and where it comes to lie in a merged /usr."""
    listed = subprocess.run(["dpkg-deb", "-c", package], check=True, capture_output=True, text=True)
    lines = [line for line in listed.stdout.splitlines() if not line.startswith("d")]
    paths = {line.split(" ./")[1].split(" -> ")[0].split(" link to ")[0] for line in lines}
    return {f"usr/{path}" if path.startswith(("bin/", "lib/")) else path for path in paths}


@pytest.mark.parametrize("case", BATCHES)
def test_real_packages_are_what_dpkg_itself_would_make_of_them(
    deb_shop: DebShop, packages: Path, case: str
) -> None:
    names = BATCHES[case]
    outcome = deb_shop.install(f"t: {{base: debian, install: {items(packages, *names)}}}")
    assert outcome.ok, outcome.failed
    layer = deb_shop.layer("t")
    expected = set().union(*(files_of(packages / f"{name}.deb") for name in names))
    left_out = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/")  # the root's dpkg.cfg.d
    assert {path for path in expected - layer.keys() if not path.startswith(left_out)} == set()
    strange = [
        path
        for path in layer
        if path not in expected
        and not path.startswith(
            ("var/lib/dpkg/", "etc/ld.so.cache", "etc/rc", "usr/share/info/dir")
        )
        and path not in ("var/cache/debconf/config.dat", "var/cache/debconf/templates.dat")
    ]
    assert strange == []
    told = deb_shop.says(
        "t",
        f"dpkg --audit; dpkg -V {' '.join(names)} | grep -v missing || true; "
        f"dpkg-query -W -f '${{db:Status-Status}}\\n' {' '.join(names)}",
    )
    assert told == "installed\n" * len(names)


def test_the_judge_sees_a_file_that_was_changed(deb_shop: DebShop, packages: Path) -> None:
    deb_shop.install(
        f"t: {{base: debian, steps: [install: {items(packages, 'hello')}, "
        "run: echo x >/usr/bin/hello]}"
    )
    assert "/usr/bin/hello" in deb_shop.says("t", "dpkg -V hello || true")


def test_setuid_and_capabilities_are_in_the_layer(deb_shop: DebShop, packages: Path) -> None:
    outcome = deb_shop.install(f"t: {{base: debian, install: {items(packages, 'sudo')}}}")
    assert outcome.ok
    assert deb_shop.layer("t")["usr/bin/sudo"].mode == 0o4755


def test_twice_and_with_either_driver_the_layer_is_the_same(
    deb_shop: DebShop, debs: Path, packages: Path
) -> None:
    yaml = (
        f"t: {{base: debian, install: [{debs}/app_1_all.deb, {debs}/lib_1%3a2_all.deb, "
        f"{packages}/hello.deb, {packages}/install-info.deb, {packages}/sudo.deb]}}"
    )
    assert deb_shop.install(yaml, driver=Driver("overlay")).ok, deb_shop.events
    before, now = deb_shop.layers("t"), int(time.time())
    while int(time.time()) == now:  # the scripts write the time, in seconds
        pass
    assert deb_shop.install(yaml, driver=Driver("copy")).ok
    assert deb_shop.layers("t") == before


def test_scripts_run_without_network_services_and_questions_and_leave_no_traces(
    deb_shop: DebShop, debs: Path
) -> None:
    outcome = deb_shop.install(
        "logged: {base: debian, run: 'echo kept >/var/log/kept.log'}\n"
        f"t: {{base: logged, install: [{debs}/app_1_all.deb, {debs}/lib_1%3a2_all.deb]}}"
    )
    assert outcome.ok, outcome.failed
    assert "interfaces: lo\n" in deb_shop.output()
    assert "asked: 101\n" in deb_shop.output()
    assert "frontend: noninteractive\n" in deb_shop.output()
    layer = deb_shop.layer("t")
    assert {"var/lib/app", "etc/alternatives/app-link", "var/log/app/app.log"} <= layer.keys()
    assert layer["etc/machine-id"].size == 0
    expected = ("usr/share/", "var/lib/dpkg/info/", "etc/", "usr/bin/app-link", "var/lib/dpkg/alt")
    others = {path for path in layer if not path.startswith(expected)}
    assert others == {"var/lib/app", "var/log/app/app.log", "var/lib/dpkg/status"}
    assert deb_shop.says(
        "t", "cat /var/log/kept.log; ls -d /usr/sbin/policy-rc.d 2>&1 || true"
    ) == ("kept\nls: cannot access '/usr/sbin/policy-rc.d': No such file or directory\n")


def test_packages_that_must_be_configured_before_others_come_in_any_order(
    deb_shop: DebShop, tmp_path: Path
) -> None:
    last = make_deb(tmp_path, "last", fields="Pre-Depends: middle\n")
    middle = make_deb(tmp_path, "middle", fields="Pre-Depends: first\n")
    first = make_deb(tmp_path, "first", fields="Depends: beside\n")
    beside = make_deb(tmp_path, "beside", fields="Depends: first\n")
    yaml = f"t: {{base: debian, install: [{last}, {middle}, {first}, {beside}]}}"
    assert deb_shop.install(yaml).ok, deb_shop.events
    assert deb_shop.says("t", "dpkg --audit; cat /usr/share/last/file") == "last 1\n"


def test_unmet_dependencies_are_named_all_at_once(deb_shop: DebShop, tmp_path: Path) -> None:
    one = make_deb(tmp_path, "one", fields="Depends: none (>= 2), dpkg (>= 99) | nobody, two\n")
    two = make_deb(tmp_path, "two", fields="Pre-Depends: never\n")
    said = deb_shop.what(f"t: {{base: debian, install: [{one}, {two}]}}")
    assert "one needs none (>= 2) (" in said
    assert "one needs dpkg (>= 99) | nobody (" in said
    assert "two needs never (" in said
    assert "one needs two" not in said
    assert "deps: repo" in said


def test_a_script_that_fails_shows_its_last_words(deb_shop: DebShop, tmp_path: Path) -> None:
    bad = make_deb(tmp_path, "bad", scripts={"postinst": "echo last words\nexit 7"})
    said = deb_shop.what(f"t: {{base: debian, install: [{bad}]}}")
    assert "target t, install: " in said
    assert "post-installation script subprocess returned error exit status 7" in said
    assert "\nlast words\n" in said
    assert "genoci shell --failed" in said


def test_a_file_of_another_package_is_not_overwritten(deb_shop: DebShop, tmp_path: Path) -> None:
    thief = make_deb(tmp_path, "thief", files={"usr/bin/dpkg": "mine"})
    said = deb_shop.what(f"t: {{base: debian, install: [{thief}]}}")
    assert "thief_1_all.deb: trying to overwrite '/usr/bin/dpkg', which is also in" in said


def test_an_administrators_change_to_a_conffile_stays(deb_shop: DebShop, debs: Path) -> None:
    outcome = deb_shop.install(
        "changed: {base: debian, run: 'echo own >/etc/app.conf'}\n"
        f"t: {{base: changed, install: [{debs}/app_1_all.deb, {debs}/lib_1%3a2_all.deb]}}"
    )
    assert outcome.ok, outcome.failed
    assert deb_shop.says("t", "cat /etc/app.conf") == "own\n"


WRONG = {
    "cut off": (lambda good: good[: len(good) // 2], "broken.deb"),
    "not a package": (lambda good: b"this is text", "broken.deb"),
    "damaged": (lambda good: good[:-40] + b"\xff" * 40, "broken.deb"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_by_its_name(
    deb_shop: DebShop, packages: Path, tmp_path: Path, case: str
) -> None:
    change, name = WRONG[case]
    (tmp_path / name).write_bytes(change((packages / "hello.deb").read_bytes()))
    assert name in deb_shop.what(f"t: {{base: debian, install: [{tmp_path / name}]}}")


def test_a_package_of_another_machine_is_refused(deb_shop: DebShop, tmp_path: Path) -> None:
    alien = make_deb(tmp_path, "alien", architecture="s390x")
    said = deb_shop.what(f"t: {{base: debian, install: [{alien}]}}")
    assert "alien_1_s390x.deb is for s390x" in said


def test_a_digest_that_is_not_the_files_is_refused(deb_shop: DebShop, packages: Path) -> None:
    said = deb_shop.what(
        f"t: {{base: debian, install: {{src: {packages}/hello.deb, sha256: {'0' * 64}}}}}"
    )
    assert "hello.deb" in said and "0" * 64 in said


def test_an_rpm_in_a_debian_root_is_refused_with_the_mend(deb_shop: DebShop, rpms: Path) -> None:
    said = deb_shop.what(f"t: {{base: debian, install: [{rpms}/plain-1.rpm]}}")
    assert "can't be installed: the image's package manager is dpkg" in said
    assert "a base whose package manager installs .rpm" in said


def test_a_hostile_script_reaches_neither_the_package_files_nor_the_host(
    deb_shop: DebShop, tmp_path: Path
) -> None:
    hostile = make_deb(
        tmp_path,
        "hostile",
        scripts={
            "postinst": "for f in /run/genoci/*; do ln -sf /etc/passwd $f; done; "
            "ln -sfn / /var/log/out; ln -sf /etc/shadow /var/log/dpkg.log"
        },
    )
    before = hostile.read_bytes()
    outcome = deb_shop.install(f"t: {{base: debian, install: [{hostile}]}}")
    assert outcome.ok, outcome.failed
    assert hostile.read_bytes() == before
    left = [*deb_shop.state.glob("packages/*/step")]
    assert left == []
