"""Sparse files: GNU tar's four ways to say where the data of a file lies.

GNU tar manual, 'Storing Sparse Files': the old GNU headers, and PAX formats 0.0, 0.1 and 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from genoci.layer.pax import whole_number
from genoci.layer.tar_header import BLOCK, Malformed, number

# A file of more runs is refused: the map is the one thing that grows with what an archive says.
MOST_RUNS = 1 << 17
_DIGITS = 20

Take = Callable[[], bytes]
"""Gives the archive's next block; raises if there is none."""


class Sparse(NamedTuple):
    """A file of `size` bytes whose data are `segments` (offset, length), all else being zeros.

    All blocks of the map have been taken: the data are what comes next.
    """

    size: int
    segments: tuple[tuple[int, int], ...]


def old_gnu(block: bytes, stored: int, take: Take) -> Sparse:
    """The map of a header of type `S`, and of the extension blocks that follow it."""
    numbers = _old_gnu_runs(block[386:482])
    size = number(block[483:495], "sparse file's size")
    more = block[482]
    while more:
        extension = take()
        numbers += _old_gnu_runs(extension[:504])
        if len(numbers) > 2 * MOST_RUNS:
            raise _too_many()
        more = extension[504]
    return Sparse(size, _segments(numbers, size, stored))


def _old_gnu_runs(table: bytes) -> list[int]:
    numbers: list[int] = []
    for at in range(0, len(table), 24):
        offset, length = table[at : at + 12], table[at + 12 : at + 24]
        if not length[0]:
            break
        numbers += [number(offset, "offset in the sparse map"), number(length, "sparse map")]
    return numbers


def pax(found: Mapping[bytes, bytes], stored: int, take: Take) -> Sparse | None:
    """The map that the records of an extended header tell of; None if the file is not sparse."""
    version = (found.get(b"GNU.sparse.major"), found.get(b"GNU.sparse.minor"))
    if version == (b"1", b"0"):
        size = whole_number(found.get(b"GNU.sparse.realsize", b""), "sparse file's size")
        numbers, blocks = _map_in_data(stored, take)
        return Sparse(size, _segments(numbers, size, stored - blocks * BLOCK))
    if version not in {(None, None), (b"0", b"0"), (b"0", b"1")}:
        raise Malformed(f"the sparse format {version[0]!r}.{version[1]!r} is not known")
    if b"GNU.sparse.map" not in found and b"GNU.sparse.numblocks" not in found:
        return None
    text = found.get(b"GNU.sparse.map", b"")
    size = whole_number(found.get(b"GNU.sparse.size", b""), "sparse file's size")
    numbers = [whole_number(part, "sparse map") for part in text.split(b",")] if text else []
    count = found.get(b"GNU.sparse.numblocks")
    if count is not None and 2 * whole_number(count, "sparse map") != len(numbers):
        raise Malformed("the sparse map has not as many runs as it says")
    return Sparse(size, _segments(numbers, size, stored))


def _map_in_data(stored: int, take: Take) -> tuple[list[int], int]:
    """Format 1.0: lines of one number each, first how many runs, filled up to whole blocks."""
    lines: list[bytes] = []
    rest, blocks, wanted = b"", 0, 1
    while len(lines) < wanted:
        if (blocks + 1) * BLOCK > stored:
            raise Malformed("the sparse map is longer than the data")
        *complete, rest = (rest + take()).split(b"\n")
        blocks += 1
        if not lines and complete:
            wanted = 1 + 2 * whole_number(complete[0], "sparse map")
            if wanted > 1 + 2 * MOST_RUNS:
                raise _too_many()
        lines += complete
        if len(rest) > _DIGITS and len(lines) < wanted:
            raise Malformed("the sparse map has a line that is no number")
    return [whole_number(line, "sparse map") for line in lines[1:wanted]], blocks


def _segments(numbers: Sequence[int], size: int, stored: int) -> tuple[tuple[int, int], ...]:
    """The runs that hold data. Raises Malformed unless they are in order, apart, and as stored."""
    if len(numbers) % 2:
        raise Malformed("the sparse map has an offset without a size")
    if len(numbers) > 2 * MOST_RUNS:
        raise _too_many()
    segments = []
    end = total = 0
    for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
        if offset < end:
            raise Malformed("the sparse map is not in order")
        end = offset + length
        total += length
        if length:
            segments.append((offset, length))
    if end > size:
        raise Malformed("the sparse map goes beyond the file's size")
    if total != stored:
        raise Malformed(f"the sparse map tells of {total} bytes, and {stored} are stored")
    return tuple(segments)


def _too_many() -> Malformed:
    return Malformed(f"the sparse map has more than {MOST_RUNS} runs")
