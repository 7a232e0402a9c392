"""The order of Debian's version numbers (deb-version(7))."""

from __future__ import annotations

import re

_PARTS = re.compile(r"([^0-9]*)([0-9]*)")


def compare(left: str, right: str) -> int:
    """Negative, 0 or positive, as `left` is earlier than, the same as, or later than `right`."""
    ours, theirs = _split(left), _split(right)
    if ours[0] != theirs[0]:
        return ours[0] - theirs[0]
    return _compare(ours[1], theirs[1]) or _compare(ours[2], theirs[2])


def _split(version: str) -> tuple[int, str, str]:
    """Epoch, upstream version, revision."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", epoch
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    number = int(epoch) if epoch.isascii() and epoch.isdigit() and len(epoch) < 12 else 0
    return number, upstream, revision


def _compare(left: str, right: str) -> int:
    """By turns a part without digits and a number, until they differ."""
    while left or right:
        ours, theirs = _PARTS.match(left), _PARTS.match(right)
        assert ours is not None and theirs is not None  # either part may be empty
        words = _weights(ours[1]), _weights(theirs[1])
        if words[0] != words[1]:
            return 1 if words[0] > words[1] else -1
        # Longer than Python turns into an int, if somebody likes.
        numbers = [(len(digits), digits) for digits in (ours[2].lstrip("0"), theirs[2].lstrip("0"))]
        if numbers[0] != numbers[1]:
            return 1 if numbers[0] > numbers[1] else -1
        left, right = left[ours.end() :], right[theirs.end() :]
    return 0


def _weights(text: str) -> list[int]:
    """`~` comes before the end, the end before letters, and those before everything else."""
    return [-1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256 for c in text] + [0]
