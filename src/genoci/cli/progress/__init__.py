"""What is shown of a build while it goes on; one file for each kind of reader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from genoci.build.events import AnyEvent
from genoci.cli.messages import Messages
from genoci.errors import UsageError


class Progress(Protocol):
    """A display of events on standard error. Nothing here has a thread or a timer."""

    def __call__(self, event: AnyEvent) -> None:
        """Show an event."""

    def tick(self) -> None:
        """Redraw what changes with time; called about ten times a second, or never."""

    def aside(self) -> AbstractContextManager[None]:
        """While the block runs, the terminal is free for somebody else's lines."""

    def close(self) -> None:
        """Show what was held back and leave the terminal as it was. Idempotent."""


def choose(
    kind: str, messages: Messages, *, debug: bool, environment: Mapping[str, str] = os.environ
) -> Progress:
    """The display called `kind`. Raises UsageError for a terminal display without a terminal."""
    if kind == "auto":
        kind = "tty" if _is_for_people(messages, environment) else "plain"
    match kind:
        case "tty":
            if not messages.stream.isatty():
                raise UsageError(
                    "standard error is no terminal",
                    where="--progress tty",
                    mend="Take --progress plain.",
                )
            from genoci.cli.progress.tty import Tty

            return Tty(messages, debug=debug)
        case "json":
            from genoci.cli.progress.machine import Machine

            return Machine(messages.stream)
        case "quiet":
            from genoci.cli.progress.plain import Quiet

            return Quiet(messages, debug=debug)
    from genoci.cli.progress.plain import Plain

    return Plain(messages, debug=debug)


def _is_for_people(messages: Messages, environment: Mapping[str, str]) -> bool:
    """A terminal that can move its cursor, and no CI service that records one."""
    return (
        messages.stream.isatty()
        and environment.get("TERM", "dumb") != "dumb"
        and environment.get("CI", "") in ("", "false", "0")
    )
