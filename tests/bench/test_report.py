"""That the table says what was measured: its arithmetic, its verdicts, its failures."""

from __future__ import annotations

from typing import Any

import pytest
from bench.case import Aim, Case, ratio
from bench.report import markdown, told
from bench.timing import Command, Contender, Result, Sample


def result(name: str, *walls: float, together: int = 0) -> Result:
    samples = tuple(Sample(wall, 0.5, 10_000_000, 0) for wall in walls)
    return Result(name, samples, "a command", together)


def document(aims: list[Aim], *results: Result) -> dict[str, Any]:
    def never() -> Command:
        raise AssertionError

    case = Case("the title", [Contender(one.name, never) for one in results], aims)
    cases = [told("name", case, {one.name: one for one in results})]
    return {"machine": {}, "versions": {"umoci": "not installed"}, "runs": 3, "cases": cases}


OURS = result("genoci", 2.0, 1.0, 9.0, together=30_000_000)
THEIRS = result("peer", 4.0, 8.0, 4.0)


def test_a_contender_has_median_spread_and_peak() -> None:
    ours, theirs = document([], OURS, THEIRS)["cases"][0]["results"]
    assert (ours["median"], ours["spread"], ours["runs"]) == (2.0, [1.0, 9.0], [2.0, 1.0, 9.0])
    assert (ours["peak_mb"], theirs["peak_mb"]) == (30.0, 10.0)
    assert (ours["ratio"], theirs["ratio"]) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("at_most", "reached", "shown"), [(0.5, True, "yes"), (0.49, False, "**no**"), (None, None, "")]
)
def test_an_aim_is_reached_up_to_its_bound(
    at_most: float | None, reached: bool | None, shown: str
) -> None:
    made = document([ratio("genoci", "peer", at_most)], OURS, THEIRS)
    aim = made["cases"][0]["aims"][0]
    assert (aim["value"], aim["reached"]) == (0.5, reached)
    row = next(line for line in markdown(made).splitlines() if "genoci / peer" in line)
    assert row.split(" | ")[2] == "0.50 ×"
    assert row.endswith(f"| {shown} |")


def test_what_we_lose_is_in_the_same_table_as_what_we_win() -> None:
    text = markdown(document([ratio("peer", "genoci", 1)], OURS, THEIRS))
    assert "| the title | peer / genoci | 2.00 × | ≤ 1.00 × | **no** |" in text


def test_who_was_not_measured_is_shown_with_the_reason_in_one_row() -> None:
    broken = Result("peer", (), problem="failed: status 1: a | b\nand more")
    made = document([ratio("genoci", "peer", 1)], OURS, broken)
    assert made["cases"][0]["aims"][0]["problem"] == "peer: failed: status 1: a | b\nand more"
    text = markdown(made)
    assert "|  | peer | failed: status 1: a \\| b and more |" in text
    assert "not measured" in text


def test_that_genoci_itself_fails_is_shown_too() -> None:
    made = document([ratio("genoci", "peer", 1)], Result("genoci", (), problem="failed: x"), THEIRS)
    text = markdown(made)
    assert "| the title | genoci | failed: x |" in text
    assert made["cases"][0]["results"][1]["ratio"] is None


def test_a_case_that_could_not_be_had_is_in_the_table() -> None:
    made = document([], OURS)
    made["cases"] = [{"name": "n", "title": "n", "problem": "only root can make a btrfs"}]
    text = markdown(made)
    assert text.count("only root can make a btrfs") == 1
    assert "| n | " in text and "not measured" in text


def test_what_is_missing_is_named() -> None:
    assert "- umoci: not installed\n" in markdown(document([], OURS))
