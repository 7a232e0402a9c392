"""Which ids a user namespace of ours has, and what they are outside."""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from genoci import linux
from genoci.errors import MachineError

_CAP_SETGID, _CAP_SETUID = 6, 7
_LAST_ID = 2**32 - 2  # -1 is "no id"


class Extent(msgspec.Struct, frozen=True):
    """`count` ids from `inside` on are those from `outside` on; as in user_namespaces(7)."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


class IdMap(msgspec.Struct, frozen=True):
    """Which ids the namespace has, and where they come from.

    `identity`: every id is what it was, for root; `inherited`: the same inside somebody else's
    user namespace, whose map it is; `subordinate`: the caller is 0, and the ranges that
    /etc/subuid and /etc/subgid give him come after; `single`: the caller is 0, and nobody else.
    """

    kind: Literal["identity", "inherited", "subordinate", "single"]
    uids: tuple[Extent, ...]
    gids: tuple[Extent, ...]

    @property
    def is_alone(self) -> bool:
        """Whether there is only one user."""
        return sum(extent.count for extent in self.uids) == 1

    @property
    def key(self) -> str:
        """Equal for maps under which the owners of files on a disk mean the same."""
        text = ",".join(map(str, self.uids)) + ";" + ",".join(map(str, self.gids))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def written(self) -> tuple[tuple[Extent, ...], tuple[Extent, ...]]:
        """The extents of both maps as the kernel wants them: in the ids of the namespace we are in.

        Its own map, which `uids` and `gids` repeat for a namespace that copies it, leads out.
        """
        if self.kind in ("identity", "inherited"):
            return _onto_itself(self.uids), _onto_itself(self.gids)
        return self.uids, self.gids


def plan(*, subuid: Path = Path("/etc/subuid"), subgid: Path = Path("/etc/subgid")) -> IdMap:
    """The map that `userns.enter` will set up for this caller; changes nothing.

    Raises MachineError for a line of the files that is not what subuid(5) describes.
    """
    own_uid, own_gid = (Extent(0, os.geteuid(), 1),), (Extent(0, os.getegid(), 1),)
    if _may_map_all():
        uids, gids = _current("uid"), _current("gid")
        if _has(uids, 0) and _has(gids, 0):
            whole = uids[0].outside == 0 and uids[0].count > _LAST_ID
            return IdMap("identity" if whole else "inherited", uids, gids)
        return IdMap("single", own_uid, own_gid)
    more_uids, more_gids = _subordinate(subuid), _subordinate(subgid)
    if more_uids and more_gids and _has_helpers():
        return IdMap("subordinate", own_uid + more_uids, own_gid + more_gids)
    return IdMap("single", own_uid, own_gid)


def _has_helpers() -> bool:
    import shutil  # root need not ask

    return all(shutil.which(name) for name in ("newuidmap", "newgidmap"))


def _may_map_all() -> bool:
    needed = 1 << _CAP_SETUID | 1 << _CAP_SETGID
    return linux.get_capabilities() & needed == needed


def _current(kind: str) -> tuple[Extent, ...]:
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    return tuple(Extent(*map(int, line.split())) for line in lines)


def _has(extents: Iterable[Extent], number: int) -> bool:
    return any(one.inside <= number < one.inside + one.count for one in extents)


def _onto_itself(extents: Iterable[Extent]) -> tuple[Extent, ...]:
    return tuple(Extent(one.inside, one.inside, one.count) for one in extents)


def _subordinate(path: Path) -> tuple[Extent, ...]:
    """The caller's ranges, one after the other from id 1 on; lines of others are not looked at."""
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return ()
    mine = caller(), str(os.geteuid())
    ranges: list[range] = []
    for number, line in enumerate(lines, 1):
        owner, _, numbers = line.strip().partition(":")
        if owner not in mine:
            continue
        found = _parsed(numbers, where=f"{path}:{number}", line=line)
        if found not in ranges:  # the same line once by name and once by number is common
            _refuse_overlap(found, ranges, where=f"{path}:{number}", line=line)
            ranges.append(found)
    return _one_after_the_other(ranges)


def _parsed(numbers: str, *, where: str, line: str) -> range:
    first, _, count = numbers.partition(":")
    if not all(text.isascii() and text.isdecimal() for text in (first, count)) or not int(count):
        raise MachineError(
            f"the line {line!r} gives no range of ids",
            where=where,
            mend="It should read NAME:FIRST:COUNT, for instance "
            f"{caller()}:100000:65536 (see subuid(5)).",
        )
    if int(first) + int(count) - 1 > _LAST_ID:
        raise MachineError(
            f"the range of the line {line!r} goes beyond the last id, {_LAST_ID}", where=where
        )
    return range(int(first), int(first) + int(count))


def _refuse_overlap(found: range, ranges: Sequence[range], *, where: str, line: str) -> None:
    for other in (*ranges, range(os.geteuid(), os.geteuid() + 1)):
        if found.start < other.stop and other.start < found.stop:
            taken = "your own id" if len(other) == 1 else f"{other.start}:{len(other)}"
            raise MachineError(
                f"the range of the line {line!r} overlaps with {taken}",
                where=where,
                mend="An id can be mapped only once: make the ranges disjoint.",
            )


def _one_after_the_other(ranges: Iterable[range]) -> tuple[Extent, ...]:
    extents: list[Extent] = []
    inside = 1
    for one in ranges:
        extents.append(Extent(inside, one.start, len(one)))
        inside += len(one)
    return tuple(extents)


def caller() -> str:
    """The name that the caller has in /etc/subuid."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
