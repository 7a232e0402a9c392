"""Simple lines, for logs, pipes and terminals that can't do more; and next to nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from genoci.build.events import AnyEvent, Failed
from genoci.cli import text
from genoci.cli.messages import Messages
from genoci.cli.progress.lines import Line, Telling, failure


class Plain:
    """Every event that people care for, as lines; the output of commands complete."""

    def __init__(self, messages: Messages, *, debug: bool) -> None:
        self._messages = messages
        self._telling = Telling(debug=debug)

    def __call__(self, event: AnyEvent) -> None:
        _write(self._messages, self._telling.lines(event))

    def tick(self) -> None:
        """Nothing here changes with time."""

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def close(self) -> None:
        _write(self._messages, self._telling.rest())


class Quiet:
    """Failures only."""

    def __init__(self, messages: Messages, *, debug: bool) -> None:
        self._messages = messages
        self._debug = debug

    def __call__(self, event: AnyEvent) -> None:
        if isinstance(event, Failed):
            _write(self._messages, failure(event, debug=self._debug))

    def tick(self) -> None:
        """Nothing here changes with time."""

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def close(self) -> None:
        """Nothing was held back."""


def _write(messages: Messages, lines: Iterator[Line]) -> None:
    """Lines as they are for a file; harmless, and in their style, for a terminal."""
    shown = [line.lead + line.text for line in lines]
    if messages.stream.isatty():
        shown = [text.harmless(line) for line in shown]
    if shown:
        messages.write("\n".join(shown) + "\n")
