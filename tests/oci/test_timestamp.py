from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoci.oci.timestamp import nanoseconds, timestamp

SECOND = 10**9


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000 * SECOND, "2023-11-14T22:13:20Z"),
        (1_700_000_000 * SECOND + 500_000_000, "2023-11-14T22:13:20.5Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-62135596800 * SECOND, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_written_as_rfc_3339_in_utc(moment: int, text: str) -> None:
    assert timestamp(moment) == text
    assert nanoseconds(text) == moment


def test_what_no_year_of_four_digits_can_tell_becomes_the_nearest() -> None:
    assert timestamp(10**30) == "9999-12-31T23:59:59Z"
    assert timestamp(-(10**30)) == "0001-01-01T00:00:00Z"


def test_offsets_are_understood() -> None:
    assert nanoseconds("1970-01-01T02:00:00+02:00") == 0
    assert nanoseconds("1969-12-31 23:30:00.25-00:30") == SECOND // 4


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "0000-01"],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert nanoseconds(text) is None


@given(st.integers(-62135596800 * SECOND, 253402300799 * SECOND))
def test_every_moment_comes_back(moment: int) -> None:
    assert nanoseconds(timestamp(moment)) == moment
