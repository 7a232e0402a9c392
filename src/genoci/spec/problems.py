"""Mistakes are collected, so that one run shows all that a file has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from genoci.errors import SpecError
from genoci.spec.target import Place

_SHOWN = 20
_ENOUGH = 200  # a file with more is no YAML of ours, and looking at it all would take long


class Mistake(SpecError):
    """A SpecError that knows its place as a value, to be sorted by it."""

    def __init__(self, place: Place, what: str, mend: str = "") -> None:
        super().__init__(what, where=str(place), mend=mend)
        self.place = place


class Problems:
    """The mistakes, and the `warnings`, of one file."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._mistakes: list[Mistake] = []

    def add(self, mistake: Mistake) -> None:
        self._mistakes.append(mistake)
        if len(self._mistakes) >= _ENOUGH:
            self.check()

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """A Mistake raised in the block ends the block, and is kept for later."""
        try:
            yield
        except Mistake as mistake:
            self.add(mistake)

    def check(self) -> None:
        """Raise one SpecError that tells all the mistakes, the first place first, none twice."""
        if not self._mistakes:
            return
        ordered = sorted(self._mistakes, key=lambda m: (m.place.line, m.place.column))
        # An anchor's mistake is found again at each of its aliases.
        once = list({(m.where, m.what): m for m in ordered}.values())
        errors = [SpecError(m.what, where=m.where, mend=m.mend) for m in once]
        hidden = len(errors) - _SHOWN
        if hidden > 0:
            where = errors[_SHOWN].where
            more = SpecError(f"and {hidden} more from here on", where=where)
            errors[_SHOWN:] = [more]
        first = errors[0]
        raise SpecError(first.what, where=first.where, mend=first.mend, others=tuple(errors[1:]))
