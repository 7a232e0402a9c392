"""Versions are ordered as dpkg and rpm order them."""

from __future__ import annotations

import itertools
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.package import debian_version, rpm_version
from genoci.package.rpm_tags import Sense

VERSIONS = [
    *("1.0", "1.0-1", "1.0-1+b1", "1.0~rc1", "1.0~~", "1:0.9", "1.0.0", "1.00", "1.a", "1.+", "0"),
    *("2.36-9+deb12u14", "2.36-9+deb12u4", "1.0-1-1", "1-0", "a1", "1.0+dfsg", "1.0~", "10", "9"),
]


def sign(order: int) -> int:
    return (order > 0) - (order < 0)


@pytest.mark.parametrize("left", VERSIONS)
def test_debian_versions_are_ordered_as_by_dpkg(left: str) -> None:
    for right in VERSIONS:
        wanted = 0
        for operator, order in (("lt", -1), ("gt", 1)):
            argv = ["dpkg", "--compare-versions", left, operator, right]
            if subprocess.run(argv, check=False, capture_output=True).returncode == 0:
                wanted = order
        assert sign(debian_version.compare(left, right)) == wanted, (left, right)


def test_rpm_versions_are_ordered_as_by_rpm() -> None:
    versions = [*VERSIONS, "1.0^git1", "1.0^", "1.0^20~a", "1.0.1", "fc33", "5.5p1", "xyz10"]
    bare = [version for version in versions if "-" not in version and ":" not in version]
    pairs = list(itertools.product(bare, repeat=2))
    calls = "".join(f"print(rpm.vercmp('{a}', '{b}') .. ' ')" for a, b in pairs)
    said = subprocess.check_output(["rpm", "--eval", f"%{{lua:{calls}}}"], text=True).split()
    ours = [sign(rpm_version.compare(a, b)) for a, b in pairs]
    assert ours == list(map(int, said))
    assert len(pairs) > 300


def test_an_epoch_counts_first_and_a_release_only_where_both_have_one() -> None:
    assert rpm_version.compare("1:1.0-1", "2.0-1") > 0
    assert rpm_version.compare("1.0-1", "1.0") == 0
    assert rpm_version.compare("1.0-1", "1.0-2") < 0


@pytest.mark.parametrize(
    ("have", "want", "fits"),
    [
        ((Sense.EQUAL, "1.0-2"), (Sense.GREATER | Sense.EQUAL, "1.0"), True),
        ((Sense.EQUAL, "1.0-2"), (Sense.GREATER, "1.0-2"), False),
        ((Sense.EQUAL, "1.0-2"), (Sense.LESS, "1.1"), True),
        ((Sense.EQUAL, "2"), (Sense.LESS | Sense.EQUAL, "1"), False),
        ((0, ""), (Sense.EQUAL, "7"), True),
        ((Sense.EQUAL, "7"), (0, ""), True),
    ],
)
def test_what_is_provided_fits_what_is_required(
    have: tuple[int, str], want: tuple[int, str], fits: bool
) -> None:
    assert rpm_version.overlap(have, want) is fits


TEXT = st.text("0123456789abcAZ.~^+-:_ é", max_size=40)


@given(TEXT, TEXT)
@settings(deadline=None)
def test_any_two_texts_have_an_order(left: str, right: str) -> None:
    for compare in (debian_version.compare, rpm_version.compare):
        assert sign(compare(left, right)) == -sign(compare(right, left))
        assert compare(left, left) == 0


def test_numbers_may_be_longer_than_python_reads() -> None:
    long = "1" + "0" * 5000
    for compare in (debian_version.compare, rpm_version.compare):
        assert compare(long, long + "0") < 0 < compare(long + "1", long)
