"""What dpkg says when something is wrong, read in the C locale."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

_NEEDS = re.compile(r"^ (\S+) (pre-depends|depends) on (.+?)(?:; however:)?$")
_ERROR = re.compile(r"^dpkg: error processing (?:package|archive) (\S+) \(--\w[\w-]*\):$")
_TOO_EARLY = re.compile(r"^ pre-dependency problem - not installing ")
_CONSEQUENCES = (" dependency problems - leaving ", " pre-dependency problem - not ")
# Of a dependency that is there, and only waits for its own turn.
_WAITING = ("is not configured yet.", "is unpacked, but has never been configured.")


class Need(NamedTuple):
    """`package` needs what `needs` says, as its control file has it; `why` that is not so."""

    package: str
    needs: str
    why: str


class Mistake(NamedTuple):
    """What dpkg could not do with a package, or with a file of one."""

    package: str
    reason: str


def needs(output: str) -> list[Need]:
    """The dependencies that dpkg found wanting, each once."""
    found: dict[Need, None] = {}
    lines = output.splitlines()
    for number, line in enumerate(lines):
        match = _NEEDS.match(line)
        if match is not None:
            reasons = []
            for reason in lines[number + 1 :]:
                if not reason.startswith("  "):
                    break
                reasons.append(reason.strip())
            found[Need(match[1], match[3], " ".join(reasons))] = None
    return list(found)


def unmet(output: str, brought: Collection[str]) -> list[Need]:
    """Those that nobody will meet: neither by its turn, nor by a package that is `brought`."""
    return [
        need
        for need in needs(output)
        if not need.why.endswith(_WAITING)
        and not any(need.why == f"Package {name} is not installed." for name in brought)
        and not any(need.why == f"{name} is not installed." for name in brought)
    ]


def mistakes(output: str) -> list[Mistake]:
    """What went wrong, but for what only follows from unmet dependencies."""
    lines = output.splitlines()
    found: dict[Mistake, None] = {}
    for line, reason in zip(lines, [*lines[1:], ""], strict=True):
        match = _ERROR.match(line)
        if match is not None and not reason.startswith(_CONSEQUENCES):
            found[Mistake(match[1], reason.strip())] = None
    return list(found)


def too_early(output: str) -> list[str]:
    """The files that were not unpacked because of what must be configured before."""
    lines = output.splitlines()
    found = []
    for line, reason in zip(lines, [*lines[1:], ""], strict=True):
        match = _ERROR.match(line)
        if match is not None and _TOO_EARLY.match(reason):
            found.append(match[1])
    return found
