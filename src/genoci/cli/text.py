"""Text fit for a terminal: hostile characters made harmless, sizes and times made readable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Compiled (and kept by `re`) when they are first needed: most lines have nothing of the kind.

# ECMA-48 control sequences (colours, cursor movements). Bounded: a sequence that never ends
# must not swallow the text behind it.
_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
# What a terminal obeys instead of showing (all but tab and newline), what reorders or splits a
# line, and the surrogates that stand for bytes that are no UTF-8.
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def harmless(text: str) -> str:
    """`text` without escape sequences, other control characters shown as `^X` or `\\x9b`.

    Tabs and newlines stay. No printable character is lost.
    """
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_CONTROL, _visible, re.sub(_SEQUENCE, "", text))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20 or code == 0x7F:
        return f"^{chr(code ^ 0x40)}"
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def one_line(words: str) -> str:
    """`words` on one line, whatever is no printable character as a backslash escape.

    Nothing is dropped, so that names which differ look different.
    """
    if words.isascii() and words.isprintable():
        return words
    return re.sub(_CONTROL, _escaped, words).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x80 else _visible(match)


def size(count: float) -> str:
    """Bytes for people, in powers of a thousand: `0 B`, `999 B`, `1.2 kB`, `3.4 GB`."""
    if count < 1000:
        return f"{int(count)} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} PB"


def clock(seconds: float) -> str:
    """A running time: `0:07`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """A time that is over: `0.3 s`, `59.9 s`, `12:34`."""
    return f"{seconds:.1f} s" if seconds < 59.95 else clock(seconds)


def count(number: int, noun: str) -> str:
    """`1 tag`, `2 tags`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of equally many ASCII cells as lines, columns aligned, two spaces between."""
    rows = list(rows)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
