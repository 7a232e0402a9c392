"""The words of messages: quoting what a file says, and what its writer may have meant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

_SHOWN = 120
_LISTED = 8
_CANDIDATES = 5000
_COMPARED = 100  # difflib's time grows with the square of the length


def quoted(text: str) -> str:
    """`text` in backticks, on one line, clipped, with nothing a terminal would obey."""
    clipped = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
    return f"`{printable(clipped)}`"


def printable(text: str) -> str:
    """`text` with everything escaped that is no visible character."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def listed(words: Iterable[str], *, last: str = "and", at_most: int = _LISTED) -> str:
    """`a`, `b` and `c`; of more than `at_most` only the first ones."""
    shown = [quoted(word) for word in words]
    if len(shown) > at_most:
        return f"{', '.join(shown[:at_most])} and {len(shown) - at_most} more"
    return f" {last} ".join(p for p in (", ".join(shown[:-1]), *shown[-1:]) if p)


def near(word: str, candidates: Iterable[str]) -> list[str]:
    """Those of `candidates` that someone who wrote `word` may have meant, the likeliest first."""
    if len(word) > _COMPARED:
        return []
    import difflib  # costs 10 ms, and only mistakes need it

    by_lower: dict[str, str] = {}
    for candidate in itertools.islice(candidates, _CANDIDATES):
        by_lower.setdefault(candidate.lower(), candidate)
    if word.lower() in by_lower:
        return [by_lower[word.lower()]]
    return [by_lower[m] for m in difflib.get_close_matches(word.lower(), by_lower, 3, 0.65)]


def did_you_mean(word: str, candidates: Sequence[str], *, otherwise: str = "") -> str:
    """`did you mean …?`, or `otherwise` if nothing is like `word`."""
    return suggested(near(word, candidates), otherwise=otherwise)


def suggested(likely: Sequence[str], *, otherwise: str = "") -> str:
    """`did you mean …?` with all of `likely`, or `otherwise` if there are none."""
    return f"did you mean {listed(likely, last='or')}?" if likely else otherwise
