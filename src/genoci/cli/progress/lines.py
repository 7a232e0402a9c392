"""Output that arrives in pieces, as lines; and events, as lines for people."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from genoci.build.events import (
    AnyEvent,
    Failed,
    Finished,
    Output,
    Skipped,
    Started,
    Stepped,
    Warned,
)
from genoci.cli import text
from genoci.cli.translate import foreign, is_ours, mend_of

# A progress bar's lone CRs end lines as well, so that none of its states is lost.
_END = r"\r*\n|\r+"
_LONGEST = 1 << 22  # characters of an unfinished line that are held; more are shown in pieces
_TAIL = 20
_BAR = "| "  # so that no command's output can pass for a message of ours


class Line(NamedTuple):
    """One line for people, without its newline; a terminal gives `lead`, or else all, a style."""

    text: str
    style: str = ""
    lead: str = ""


class Assembler:
    """Puts pieces of output together to whole lines; nothing is dropped."""

    def __init__(self) -> None:
        self._held = io.StringIO()
        self._after_cr = False

    def feed(self, piece: str) -> list[str]:
        """The lines that `piece` completes."""
        if self._after_cr:
            piece = "\r" + piece
        # Whether a CR at the very end stands alone or before an LF, the next piece will tell.
        whole = piece.rstrip("\r")
        self._after_cr = len(whole) < len(piece)
        lines, start = [], 0
        for end in re.finditer(_END, whole):
            self._held.write(whole[start : end.start()])
            start = end.end()
            line = self._take()
            if line or "\n" in end[0]:
                lines.append(line)
        self._held.write(whole[start:])
        return [*lines, self._take()] if self._held.tell() > _LONGEST else lines

    def rest(self) -> list[str]:
        """The unfinished line, if there is one, taken for finished."""
        self._after_cr = False
        return [self._take()] if self._held.tell() else []

    def unfinished(self) -> str:
        """The beginning of the unfinished line, more than a terminal is wide; "" if none is."""
        return self._held.getvalue()[:1000] if self._held.tell() else ""

    def _take(self) -> str:
        line = self._held.getvalue()
        self._held = io.StringIO()
        return line


class Telling:
    """Turns events into lines for people, in order, and complete.

    As soon as several targets are being built at once, lines say whose they are.
    """

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self._outputs: dict[str, Assembler] = {}
        self._began: dict[str, float] = {}
        self._named = False

    def lines(self, event: AnyEvent) -> Iterator[Line]:
        """What `event` says; before anything else, an unfinished line of output is ended."""
        if isinstance(event, Output):
            output = self._outputs.setdefault(event.target, Assembler())
            yield from self._said(event.target, output.feed(event.text))
            return
        yield from self._rest_of(event.target)
        match event:
            case Started():
                self._began[event.target] = time.monotonic()
                self._named = self._named or len(self._began) > 1
                yield Line(f"[{event.number}/{event.total}] {event.target}", "bold")
                yield from (Line(f"  because {text.one_line(why)}") for why in event.because)
            case Stepped():
                yield Line(f"  {self._whose(event.target)}{first_line(event.step)}")
            case Warned():
                yield Line(f"{_of(event.target)}{event.what}", "yellow", "warning: ")
                yield from _indented(event.mend)
            case Finished():
                began = self._began.get(event.target, time.monotonic())
                took = text.duration(time.monotonic() - began)
                how = "cached" if event.cached else f"done in {took}"
                tags = ", ".join(event.tags)
                yield Line(f"  {self._whose(event.target)}{how}: {tags}", "green")
                self._ended(event.target)
            case Failed():
                yield from failure(event, debug=self._debug)
                self._ended(event.target)
            case Skipped():
                yield Line(f"{event.target}: not built, because of {event.because}", "yellow")

    def rest(self) -> Iterator[Line]:
        """The unfinished lines of output."""
        for target in list(self._outputs):
            yield from self._rest_of(target)

    def unfinished(self) -> str:
        """The beginning of an unfinished line, as it will be told; "" if none is."""
        for target, output in self._outputs.items():
            if line := output.unfinished():
                return f"  {self._whose(target)}{_BAR}{line}"
        return ""

    def _rest_of(self, target: str) -> Iterator[Line]:
        if target in self._outputs:
            yield from self._said(target, self._outputs[target].rest())

    def _said(self, target: str, lines: list[str]) -> Iterator[Line]:
        gutter = f"  {self._whose(target)}{_BAR}"
        yield from (Line(gutter + line, "dim") for line in lines)

    def _whose(self, target: str) -> str:
        return f"{target} " if self._named and target else ""

    def _ended(self, target: str) -> None:
        self._began.pop(target, None)
        self._outputs.pop(target, None)


def failure(event: Failed, *, debug: bool) -> Iterator[Line]:
    """What failed and where, the last lines that were said, and the mend."""
    if not is_ours(event.kind):
        yield from _foreign(event, debug=debug)
        return
    of, place = _of(event.target), f"{event.where}: " if event.where else ""
    place = place if place.startswith(of.rstrip(": ")) else of + place
    yield Line(f"{place}{event.what}", "bold red", "error: ")
    tail = [line for said in event.tail for line in re.split(_END, said)][-_TAIL:]
    if tail:
        yield Line("  the last lines of its output:")
        yield from (Line(f"  {_BAR}{line}", "dim") for line in tail)
    yield from _indented(mend_of(event.mend, event.exit_status))


def _foreign(event: Failed, *, debug: bool) -> Iterator[Line]:
    """An exception that is none of ours: its traceback came along as the tail."""
    if debug:
        yield from (Line(line) for line in event.tail)
    told = foreign(event.kind, event.what)
    yield Line(f"{_of(event.target)}{told.what}", "bold red", "error: ")
    yield from _indented(told.mend)


def first_line(step: str) -> str:
    """A step's description on one line."""
    first, *more = step.strip().splitlines() or [""]
    return f"{first} …" if more else first


def _indented(mend: str) -> Iterator[Line]:
    yield from (Line(f"  {line}") for line in mend.splitlines())


def _of(target: str) -> str:
    return f"target {target}: " if target else ""
