"""What people are told beside the results, on standard error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from genoci.cli import text
from genoci.cli.streams import Stream
from genoci.cli.translate import mend_of
from genoci.errors import GenociError, SpecError

_RESET = "\x1b[0m"
_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "dim": "\x1b[2m", "bold": "\x1b[1m"}


def may_colour(stream: Stream, environment: Mapping[str, str]) -> bool:
    """A terminal that understands it, and nobody who asked for none (no-color.org)."""
    return (
        stream.isatty()
        and not environment.get("NO_COLOR")
        and environment.get("TERM", "dumb") != "dumb"
    )


class Messages:
    """Standard error, for people; with `machine`, for programs: each message is one JSON line."""

    def __init__(self, stream: Stream, *, machine: bool = False, quiet: bool = False) -> None:
        self.stream = stream
        self.colour = may_colour(stream, os.environ)
        self._machine = machine
        self._quiet = quiet

    def error(self, error: GenociError) -> None:
        """The error as `error: where: what`, its mend below; of a YAML file's, each of them."""
        for one in (error, *(error.others if isinstance(error, SpecError) else ())):
            if self._machine:
                self._json(_document(one))
            else:
                mend = mend_of(one.mend, one.exit_status)
                self.say("error", one.what, where=one.where, mend=mend)

    def warning(self, what: str, mend: str = "") -> None:
        if self._machine:
            self._json({"event": "warned", "target": "", "what": what, "mend": mend})
        elif not self._quiet:
            self.say("warning", what, mend=mend)

    def note(self, what: str) -> None:
        """What was done, for somebody who watches; nothing that a program needs."""
        if not self._machine and not self._quiet:
            self.write(text.harmless(what) + "\n")

    def say(self, head: str, what: str, *, where: str = "", mend: str = "") -> None:
        """`head: where: what`, and the mend indented below it."""
        first = f"{where}: {what}" if where else what
        lines = [f"{self.styled(f'{head}:', head)} {text.harmless(first)}"]
        lines += [f"  {line}" for line in text.harmless(mend).splitlines()]
        self.write("\n".join(lines) + "\n")

    def styled(self, words: str, style: str) -> str:
        return f"{_STYLES[style]}{words}{_RESET}" if self.colour else words

    def write(self, words: str) -> None:
        self.stream.write(words)
        self.stream.flush()

    def _json(self, message: dict[str, Any]) -> None:
        import json

        self.write(json.dumps(message) + "\n")


def _document(error: GenociError) -> dict[str, Any]:
    return {
        "event": "error",
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "mend": error.mend,
        "exit_status": error.exit_status,
    }
