"""A terminal: what was said scrolls by, and stays; below it, what is being done now."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from genoci.build.events import AnyEvent, Failed, Finished, Progressed, Skipped, Started, Stepped
from genoci.cli import text
from genoci.cli.messages import Messages
from genoci.cli.progress.lines import Line, Telling, first_line

_PAUSE = 0.05  # seconds between two drawings; a command may print faster than terminals do


_MOST = 8  # targets that are drawn, however many are being built


class Statuses:
    """What is being done now: a status for each target."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._of: dict[str, Status] = {}

    def note(self, event: AnyEvent) -> None:
        if isinstance(event, Finished | Failed | Skipped):
            self._of.pop(event.target, None)
        elif isinstance(event, Started | Stepped | Progressed):
            self._of.setdefault(event.target, Status(self._began)).note(event)

    def drawn(self, width: int) -> Iterator[Text | Table]:
        for status in list(self._of.values())[:_MOST]:
            yield from status.drawn(width)


class Status:
    """What is being done of one target, and how far it is."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._target = ""
        self._number = self._total = 0
        self._step = ""
        self._step_began = self._began
        self._done = self._of = 0

    def note(self, event: AnyEvent) -> None:
        match event:
            case Started():
                self._target, self._number, self._total = event.target, event.number, event.total
                self._begin_step("")
            case Stepped():
                self._begin_step(event.step)
            case Progressed():
                self._done, self._of = event.done, event.total

    def drawn(self, width: int) -> Iterator[Text | Table]:
        """One or two lines, none wider than `width`."""
        head = Text(no_wrap=True, overflow="ellipsis")
        if self._target:
            head.append(f"[{self._number}/{self._total}] ", "bold")
            head.append(f"{text.clock(time.monotonic() - self._began)} ", "cyan")
            head.append(text.harmless(f"{self._target} {first_line(self._step)}"))
        head.truncate(width, overflow="ellipsis")
        if head:
            yield head
        if self._done:
            yield self._bytes(width)

    def _begin_step(self, step: str) -> None:
        self._step, self._step_began = step, time.monotonic()
        self._done = self._of = 0

    def _bytes(self, width: int) -> Text | Table:
        seconds = time.monotonic() - self._step_began
        rate = f"{text.size(self._done / seconds)}/s" if seconds > 0.5 else ""
        if not self._of:
            return Text(f"  {text.size(self._done)}  {rate}"[:width], no_wrap=True)
        words = f"{text.size(self._done)} of {text.size(self._of)}  {rate}"
        room = min(width - len(words) - 4, 40)
        if room < 5:
            return Text(f"  {words}"[:width], no_wrap=True)
        line = Table.grid(padding=(0, 1, 0, 0))
        bar = ProgressBar(total=self._of, completed=min(self._done, self._of), width=room)
        line.add_row(Text(" "), bar, Text(words, no_wrap=True))
        return line


class Tty:
    """The display: lines go above and are never drawn over; a few lines move below."""

    def __init__(self, messages: Messages, *, debug: bool) -> None:
        self._console = Console(
            file=messages.stream,  # type: ignore[arg-type]
            force_terminal=True,
            highlight=False,
            markup=False,
            emoji=False,
            no_color=not messages.colour,
        )
        self._telling = Telling(debug=debug)
        self._status = Statuses()
        self._above: list[Line] = []
        self._drawn = 0.0
        self._live = self._begin()

    def __call__(self, event: AnyEvent) -> None:
        self._above += self._telling.lines(event) if not isinstance(event, Progressed) else ()
        self._status.note(event)
        if time.monotonic() - self._drawn >= _PAUSE:
            self._draw()

    def tick(self) -> None:
        self._draw()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        self._end()
        try:
            yield
        finally:
            self._live = self._begin()

    def close(self) -> None:
        if self._live.is_started:
            self._above += self._telling.rest()
            self._end()

    def _begin(self) -> Live:
        live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        # A killed process could not bring a hidden cursor back.
        self._console.show_cursor(True)
        return live

    def _end(self) -> None:
        self._live.update(Text(""))
        self._show_above()
        self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        width = max(self._console.width - 1, 1)
        # What is printed above brings what is below along; only without it there is a need to.
        self._live.update(Group(*self._below(width)), refresh=not self._above)
        self._show_above()

    def _below(self, width: int) -> Iterator[Text | Table]:
        unfinished = self._telling.unfinished()
        if unfinished:
            line = Text(text.harmless(unfinished).expandtabs(), "dim", no_wrap=True)
            line.truncate(width)
            yield line
        yield from self._status.drawn(width)

    def _show_above(self) -> None:
        lines, self._above = self._above, []
        if lines:
            shown = Text("\n").join(_styled(lines))
            self._console.print(shown, soft_wrap=True)


def _styled(lines: Iterable[Line]) -> Iterator[Text]:
    for line in lines:
        if line.lead:
            yield Text.assemble((line.lead, line.style), text.harmless(line.text))
        else:
            yield Text(text.harmless(line.text), line.style)
