"""The headers of an rpm package: numbered tags, each with a row of values.

rpm's own description is docs/manual/format_header.md; the bounds are those of its lib/header.c.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Iterable
from typing import NamedTuple

from genoci.errors import ArchiveError
from genoci.package.ar import FETCH_AGAIN

MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"
_MOST_ENTRIES = 0xFFFF
_MOST_DATA = 256 << 20  # bytes; only what the file really has is ever read
_MOST_VALUES = 1 << 20  # of one tag: the files of a package, say
_INDEX = struct.Struct(">IIII")

_NULL, _CHAR, _INT8, _INT16, _INT32, _INT64, _STRING, _BIN, _STRINGS, _I18N = range(10)
_WIDTH = {_NULL: 0, _CHAR: 1, _INT8: 1, _INT16: 2, _INT32: 4, _INT64: 8, _BIN: 1}
_NUMBERS = {_CHAR: "B", _INT8: "B", _INT16: "H", _INT32: "I", _INT64: "Q"}
_TEXTS = frozenset([_STRING, _STRINGS, _I18N])


class Slot(NamedTuple):
    """Where the values of a tag are: their type, their offset in the data, how many they are."""

    type: int
    offset: int
    length: int


class Header:
    """What one header says. `raw` is all of it as it stands in the file, from its magic on.

    A tag that is not there has no values. What is there but of another type, or reaches out of
    the header, raises ArchiveError.
    """

    def __init__(self, raw: bytes, named: str) -> None:
        self.raw = raw
        self.named = named
        entries, _ = struct.unpack_from(">II", raw, len(MAGIC))
        self._data = len(MAGIC) + 8 + _INDEX.size * entries
        self._last_end = raw.rfind(b"\0")  # where the last text can end
        self._slots: dict[int, Slot] = {}
        for number in range(entries):
            tag, *slot = _INDEX.unpack_from(raw, len(MAGIC) + 8 + _INDEX.size * number)
            self._slots.setdefault(tag, self._checked(tag, Slot(*slot)))

    def _checked(self, tag: int, slot: Slot) -> Slot:
        begin = self._data + slot.offset
        if slot.type in _WIDTH:
            good = begin + _WIDTH[slot.type] * slot.length <= len(self.raw)
        else:
            good = slot.type in _TEXTS and begin <= self._last_end
        if not good or begin > len(self.raw) or not slot.length:
            raise self._damaged(tag)
        return slot

    def _damaged(self, tag: int) -> ArchiveError:
        what = f"the header of the package is damaged: its tag {tag} makes no sense"
        return ArchiveError(what, where=self.named, mend=FETCH_AGAIN)

    def slots(self) -> Iterable[tuple[int, Slot]]:
        return self._slots.items()

    def index(self) -> bytes:
        """The entries that say where the values are, as they stand."""
        return self.raw[len(MAGIC) + 8 : self._data]

    def data(self) -> bytes:
        return self.raw[self._data :]

    def stored(self, slot: Slot) -> bytes:
        """The values of a tag as they stand, but no more of them than the header holds."""
        begin = end = self._data + slot.offset
        if slot.type in _WIDTH:
            return self.raw[begin : begin + _WIDTH[slot.type] * slot.length]
        for _ in range(min(slot.length, _MOST_VALUES)):
            found = self.raw.find(b"\0", end)
            if found < 0:
                break
            end = found + 1
        return self.raw[begin:end]

    def __contains__(self, tag: int) -> bool:
        return tag in self._slots

    def strings(self, tag: int) -> list[bytes]:
        slot = self._slots.get(tag)
        if slot is None:
            return []
        if slot.type not in _TEXTS or slot.length > _MOST_VALUES:
            raise self._damaged(tag)
        found: list[bytes] = []
        at = self._data + slot.offset
        for _ in range(slot.length):
            end = self.raw.find(b"\0", at)
            if end < 0:
                raise self._damaged(tag)
            found.append(self.raw[at:end])
            at = end + 1
        return found

    def string(self, tag: int) -> str:
        """The first of the strings; "" if there is none."""
        slot = self._slots.get(tag)
        if slot is None:
            return ""
        if slot.type not in _TEXTS:
            raise self._damaged(tag)
        begin = self._data + slot.offset
        return self.raw[begin : self.raw.find(b"\0", begin)].decode("utf-8", "replace")

    def numbers(self, tag: int) -> array[int]:
        slot = self._slots.get(tag)
        if slot is None:
            return array("B")
        if slot.type not in _NUMBERS or slot.length > _MOST_VALUES:
            raise self._damaged(tag)
        begin = self._data + slot.offset
        found = array(_NUMBERS[slot.type])
        found.frombytes(self.raw[begin : begin + _WIDTH[slot.type] * slot.length])
        if sys.byteorder == "little":
            found.byteswap()
        return found

    def number(self, tag: int) -> int | None:
        found = self.numbers(tag)
        return found[0] if found else None

    def blob(self, tag: int) -> bytes:
        """The bytes of a binary tag; none if it is not there."""
        slot = self._slots.get(tag)
        if slot is None:
            return b""
        if slot.type != _BIN:
            raise self._damaged(tag)
        begin = self._data + slot.offset
        return self.raw[begin : begin + slot.length]


def parse(raw: bytes, named: str) -> Header:
    """The header that `raw` is, all of it. Raises ArchiveError for none."""
    if len(raw) < len(MAGIC) + 8 or raw[:3] != MAGIC[:3]:
        raise ArchiveError("is no header of an rpm package", where=named)
    entries, size = struct.unpack_from(">II", raw, len(MAGIC))
    length = len(MAGIC) + 8 + _INDEX.size * entries + size
    if not 0 < entries <= _MOST_ENTRIES or length != len(raw):
        raise ArchiveError("is no header of an rpm package", where=named)
    return Header(raw, named)


def read(fd: int, offset: int, named: str, *, most: int = _MOST_DATA) -> Header:
    """The header that begins at `offset` of the file. Raises ArchiveError for none, or half of one.

    `most` bounds its data, in bytes.
    """
    start = os.pread(fd, len(MAGIC) + 8, offset)
    if len(start) < len(MAGIC) + 8:
        raise _cut_off(named, offset)
    entries, size = struct.unpack_from(">II", start, len(MAGIC))
    if start[:3] != MAGIC[:3]:
        what = f"the package is damaged: there is no header at its byte {offset}"
        raise ArchiveError(what, where=named, mend=FETCH_AGAIN)
    if not 0 < entries <= _MOST_ENTRIES or size > most:
        what = f"its header claims {entries} tags and {size} bytes, more than rpm takes"
        raise ArchiveError(what, where=named, mend=FETCH_AGAIN)
    length = len(start) + _INDEX.size * entries + size
    if os.fstat(fd).st_size - offset < length:
        raise _cut_off(named, offset)
    raw = os.pread(fd, length, offset)
    if len(raw) < length:
        raise _cut_off(named, offset)
    return Header(raw, named)


def _cut_off(named: str, offset: int) -> ArchiveError:
    what = f"the package is cut off in the header at its byte {offset}"
    return ArchiveError(what, where=named, mend=FETCH_AGAIN)
