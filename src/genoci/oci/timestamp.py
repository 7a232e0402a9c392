"""RFC 3339 times and nanoseconds since 1970."""

from __future__ import annotations

import datetime
import re

_SECOND = 10**9
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# What four digits can write of a year, and Go can read back.
_EARLIEST = -62135596800
_LATEST = 253402300799

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-]\d\d:\d\d))", re.ASCII
)


def timestamp(nanoseconds: int) -> str:
    """In UTC, with as many decimals as there are; beyond the years 1 to 9999: the nearest."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    if not _EARLIEST <= seconds <= _LATEST:
        seconds, fraction = max(_EARLIEST, min(seconds, _LATEST)), 0
    moment = _EPOCH + datetime.timedelta(seconds=seconds)
    decimals = f".{fraction:09}".rstrip("0") if fraction else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{decimals}Z"


def nanoseconds(text: str) -> int | None:
    """What `text` means; None: it is no RFC 3339 time."""
    match = _RFC_3339.fullmatch(text)
    if not match:
        return None
    date, time, decimals, utc, offset = match.groups()
    try:
        moment = datetime.datetime.fromisoformat(f"{date}T{time}{'+00:00' if utc else offset}")
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // datetime.timedelta(seconds=1)
    return seconds * _SECOND + int((decimals or "").ljust(9, "0")[:9])
