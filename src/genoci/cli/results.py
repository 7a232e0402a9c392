"""What was asked for, on standard output: lines, or JSON documents."""

from __future__ import annotations

from typing import Any

from genoci.cli.streams import Stream


class Results:
    """Standard output. Raises StorageError if it can't be written, except that nobody reads it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def on_a_terminal(self) -> bool:
        return self._stream.isatty()

    def line(self, text: str) -> None:
        """One line, seen at once; `text` is harmless already."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def lines(self, texts: list[str]) -> None:
        if texts:
            self.line("\n".join(texts))

    def document(self, value: Any, *, one_line: bool = False) -> None:
        """`value` as JSON: indented, or (for one of many) on a line of its own."""
        import json

        # Escaped, so that names that are no UTF-8 and control characters pass any pipe.
        self.line(json.dumps(value, indent=None if one_line else 2, ensure_ascii=True))
