"""Roots of the rpm family that are set up otherwise than ours."""

from __future__ import annotations

import pytest

from genoci.build.events import Warned
from rpms import RpmShop, layer_of


def test_the_database_may_lie_behind_a_link(shop: RpmShop) -> None:
    moved = "mkdir -p /usr/lib/sysimage; mv /var/lib/rpm /usr/lib/sysimage/rpm"
    outcome = shop.install(
        f"sysimage: {{base: rpm, run: '{moved}; ln -s ../../usr/lib/sysimage/rpm /var/lib/rpm'}}\n"
        f"one: {{base: sysimage, install: {shop.file('plain-1')}}}\n"
    )
    assert outcome.ok, outcome.failed
    layer = layer_of(shop, "one")
    assert {name for name in layer if "rpmdb" in name} == {
        f"usr/lib/sysimage/rpm/rpmdb.sqlite{end}" for end in ("", "-shm", "-wal")
    }
    assert layer["usr/lib/sysimage/rpm/rpmdb.sqlite-shm"].size == 0
    assert "usr/lib/sysimage/rpm/.rpm.lock" not in layer


def test_an_rpm_that_writes_the_time_of_day_is_told_of(shop: RpmShop) -> None:
    """As those before 4.18 do: they know nothing of SOURCE_DATE_EPOCH."""
    wrapper = '#!/bin/sh\\nunset SOURCE_DATE_EPOCH\\nexec /usr/bin/rpm.old "$@"\\n'
    outcome = shop.install(
        f"older:\n  base: rpm\n  run: |\n    mv /usr/bin/rpm /usr/bin/rpm.old\n"
        f"    printf '{wrapper}' >/usr/bin/rpm\n    chmod 755 /usr/bin/rpm\n"
        f"one: {{base: older, install: {shop.file('plain-1')}}}\n"
    )
    assert outcome.ok, outcome.failed
    (warning,) = [event for event in shop.events if isinstance(event, Warned)]
    assert "SOURCE_DATE_EPOCH" in warning.what


def test_the_history_of_dnf_stays_what_it_was(shop: RpmShop) -> None:
    outcome = shop.install(
        "before:\n  base: dnf\n  run: dnf -y install plain\n"
        "after: {base: before, install: epochal}\n"
    )
    assert outcome.ok, outcome.failed
    history = {name for name in layer_of(shop, "before") if "history" in name}
    assert "var/lib/dnf/history.sqlite" in history, "no history to judge by"
    assert not {name for name in layer_of(shop, "after") if "dnf" in name}
    said = shop.says("after", "dnf -q repoquery --userinstalled --qf '%{name}'")
    assert {"plain", "epochal"} <= set(said.split())


@pytest.mark.parametrize("manager", ["dnf", "zypper"])
def test_packages_without_a_signature_are_refused_where_the_root_asks_for_one(
    shop: RpmShop, manager: str
) -> None:
    outcome = shop.install(
        f"strict:\n  base: {manager}\n"
        "  run: sed -i s/gpgcheck=0/gpgcheck=1/ /etc/*/repos.d/test.repo /etc/yum.repos.d/*.repo\n"
        "one: {base: strict, install: plain}\n"
    )
    (failed,) = outcome.failed
    assert failed.target == "one"
    assert failed.tail, "without the manager's own words"


@pytest.mark.parametrize("manager", ["dnf", "zypper"])
def test_a_repository_that_can_t_be_reached_is_told_in_the_manager_s_words(
    shop: RpmShop, manager: str
) -> None:
    outcome = shop.install(
        f"away:\n  base: {manager}\n"
        "  run: sed -i s/:[0-9]*$/:1/ /etc/zypp/repos.d/test.repo /etc/yum.repos.d/test.repo\n"
        "one: {base: away, install: plain}\n"
    )
    (failed,) = outcome.failed
    assert failed.target == "one"
    assert any("127.0.0.1:1" in line for line in failed.tail), failed.tail
