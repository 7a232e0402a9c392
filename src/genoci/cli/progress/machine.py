"""Events for programs: each is one line of JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from genoci.build.events import AnyEvent, as_document
from genoci.cli.streams import Stream


class Machine:
    """Every event with all its fields; `event` is its kind. ASCII only, so any pipe carries it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __call__(self, event: AnyEvent) -> None:
        self._stream.write(json.dumps(as_document(event)) + "\n")
        self._stream.flush()

    def tick(self) -> None:
        """Nothing here changes with time."""

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def close(self) -> None:
        """Nothing was held back."""
