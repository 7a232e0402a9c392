"""Tags: how they are spelt, and the dated ones, NAME-DATE_N."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from genoci.errors import UsageError

EMPTY = "empty"
"""The name of the image that has nothing in it: always there, never a tag."""

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Eighteen digits fit every counter; more would only make names that are too long.
_DATED = re.compile(
    r"([A-Za-z0-9_][A-Za-z0-9._-]*)-([0-9]{4}-[0-9]{2}-[0-9]{2})_([1-9][0-9]{0,17})"
)


class Dated(NamedTuple):
    """The parts of a dated tag; `date` is YYYY-MM-DD, so that dates sort as text."""

    name: str
    date: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}-{self.date}_{self.number}"


def check_tag(name: str) -> None:
    """Raise UsageError unless `name` may become a tag (the distribution specification's)."""
    if not _TAG.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a tag",
            mend="A tag has at most 128 characters: letters, digits, '_', and, "
            "but not as the first, '.' and '-'.",
        )
    if name == EMPTY:
        raise UsageError(f"{EMPTY!r} is the image with nothing in it and can't be another's tag")


def parse_dated(tag: str) -> Dated | None:
    """The parts of NAME-DATE_N; None: it is another kind of tag."""
    match = _DATED.fullmatch(tag)
    return Dated(match[1], match[2], int(match[3])) if match else None


def is_dated(tag: str) -> bool:
    return parse_dated(tag) is not None


def highest_dated(date: str, existing: Iterable[str]) -> dict[str, int]:
    """Of each name that has dated tags of `date` among the `existing`, the highest number."""
    highest: dict[str, int] = {}
    for tag in existing:
        if date in tag and (dated := parse_dated(tag)) and dated.date == date:
            highest[dated.name] = max(dated.number, highest.get(dated.name, 0))
    return highest


def next_dated(names: Iterable[str], date: str, existing: Iterable[str]) -> dict[str, str]:
    """The dated tag for each name on `date`: one more than the highest of that day."""
    highest = highest_dated(date, existing)
    return {name: _dated(name, date, highest.get(name, 0) + 1) for name in names}


def _dated(name: str, date: str, number: int) -> str:
    tag = str(Dated(name, date, number))
    if parse_dated(tag) != (name, date, number):
        raise UsageError(f"{tag!r} can't be a dated tag: a name and YYYY-MM-DD are needed")
    check_tag(tag)
    return tag


def next_version(date: str, existing: Iterable[str]) -> str:
    """The tag DATE_vN of a check-in without a name: one more than the highest of that day."""
    start = f"{date}_v"
    numbers = [tag.removeprefix(start) for tag in existing if tag.startswith(start)]
    highest = max(
        (int(text) for text in numbers if re.fullmatch("[1-9][0-9]{0,17}", text)), default=0
    )
    return f"{start}{highest + 1}"
