from __future__ import annotations

import pytest

from genoci.errors import UsageError
from genoci.oci.reference import Dated, check_tag, is_dated, next_dated, parse_dated


@pytest.mark.parametrize("tag", ["a", "_a", "A.b-c_d", "0", "x" * 128, "cirros-2026-11-23_1"])
def test_what_a_tag_may_be(tag: str) -> None:
    check_tag(tag)


@pytest.mark.parametrize(
    "tag", ["", ".a", "-a", "a/b", "a:b", "a b", "a\n", "ä", "x" * 129, "..", "empty", "a\0"]
)
def test_what_a_tag_may_not_be(tag: str) -> None:
    with pytest.raises(UsageError):
        check_tag(tag)


def test_a_dated_tag_has_a_name_a_date_and_a_number() -> None:
    assert parse_dated("cirros-2026-11-23_12") == Dated("cirros", "2026-11-23", 12)
    assert str(Dated("cirros", "2026-11-23", 12)) == "cirros-2026-11-23_12"


@pytest.mark.parametrize(
    "tag",
    [
        "cirros",
        "2026-11-23_1",
        "-2026-11-23_1",
        "c-2026-11-23",
        "c-2026-11-23_0",
        "c-2026-11-23_01",
        "c-2026-11-23_1x",
        "c-2026-11-23_v1",
        "c-2026-11-23_٣",
        "c-2026-1-23_1",
    ],
)
def test_what_only_looks_like_a_dated_tag(tag: str) -> None:
    assert not is_dated(tag)


def test_the_next_number_is_one_more_than_the_highest_of_that_day() -> None:
    existing = ["a-2026-11-23_2", "a-2026-11-23_10", "a-2026-11-22_50", "b-2026-11-23_70", "a"]
    existing += ["a-2026-11-23_x", "x-a-2026-11-23_80"]
    assert next_dated(["a"], "2026-11-23", existing)["a"] == "a-2026-11-23_11"
    assert next_dated(["a"], "2026-11-24", existing)["a"] == "a-2026-11-24_1"


def test_a_name_that_itself_ends_like_a_dated_tag_counts_for_itself() -> None:
    existing = ["a-2026-11-23_4-2026-11-23_7", "a-2026-11-23_4"]
    assert next_dated(["a"], "2026-11-23", existing)["a"] == "a-2026-11-23_5"


@pytest.mark.parametrize("existing", [[], ["a-2026-11-23_999999999999999999"]])
def test_a_dated_tag_that_would_not_be_one_is_refused(existing: list[str]) -> None:
    with pytest.raises(UsageError):
        next_dated(["a"], "2026-11-23" if existing else "today", existing)


def test_a_dated_tag_that_would_be_too_long_is_refused() -> None:
    with pytest.raises(UsageError):
        next_dated(["x" * 120], "2026-11-23", [])
