"""The order of rpm's versions (rpm's docs/manual/dependencies.md), and what a dependency allows."""

from __future__ import annotations

import re

from genoci.package.rpm_tags import Sense

_SEGMENTS = re.compile(r"~|\^|[0-9]+|[A-Za-z]+")


def compare(left: str, right: str) -> int:
    """Negative, 0 or positive: of versions `[epoch:]version[-release]`.

    Releases count only where both have one.
    """
    ours, theirs = _split(left), _split(right)
    if ours[0] != theirs[0]:
        return ours[0] - theirs[0]
    order = _compare(ours[1], theirs[1])
    if order or not (ours[2] and theirs[2]):
        return order
    return _compare(ours[2], theirs[2])


def overlap(have: tuple[int, str], want: tuple[int, str]) -> bool:
    """Whether what is provided (flags of Sense, version) can be what is required."""
    comparison = Sense.LESS | Sense.GREATER | Sense.EQUAL
    (ours, our_version), (theirs, their_version) = have, want
    if not ours & comparison or not theirs & comparison or not our_version or not their_version:
        return True
    order = compare(our_version, their_version)
    if order < 0:
        return bool(ours & Sense.GREATER or theirs & Sense.LESS)
    if order > 0:
        return bool(ours & Sense.LESS or theirs & Sense.GREATER)
    return bool(ours & theirs & comparison)


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", epoch
    number = int(epoch) if epoch.isascii() and epoch.isdigit() and len(epoch) < 12 else 0
    name, _, release = rest.partition("-")
    return number, name, release


def _compare(left: str, right: str) -> int:
    ours, theirs = _SEGMENTS.findall(left), _SEGMENTS.findall(right)
    for at in range(max(len(ours), len(theirs))):
        one = ours[at] if at < len(ours) else ""
        other = theirs[at] if at < len(theirs) else ""
        if one != other and (order := _order(one, other)):
            return order
    return 0


def _order(one: str, other: str) -> int:
    """Of two segments; `~` is before the end, the end before `^`, that before all else."""
    if "~" in (one, other):
        return -1 if one == "~" else 1
    if "^" in (one, other):
        if one == "^":
            return 1 if not other else -1
        return -1 if not one else 1
    if not one or not other:
        return 1 if one else -1
    if one.isdigit() != other.isdigit():
        return 1 if one.isdigit() else -1
    if one.isdigit():  # longer than Python turns into an int, if somebody likes
        one, other = one.lstrip("0"), other.lstrip("0")
        if len(one) != len(other):
            return len(one) - len(other)
    return (one > other) - (one < other)
