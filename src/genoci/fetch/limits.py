"""How much of a server's time and bytes a download puts up with."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple


class Limits(NamedTuple):
    """`largest` in bytes; `connect` and `stall` in seconds; `slowest` in bytes per second.

    A download stalls when in `stall` seconds less arrives than `slowest` makes of them. `pauses`
    are the seconds before each further attempt, as long as none of them brings anything; there
    are never more than `attempts`.
    """

    largest: int = 8 << 30
    connect: float = 20.0
    stall: float = 30.0
    slowest: int = 1 << 10
    redirects: int = 10
    pauses: tuple[float, ...] = (0.5, 2.0, 5.0, 10.0)
    attempts: int = 30


class Unfinished(Exception):
    """An attempt came to nothing for a reason that may pass; says which."""


class Patience:
    """Raises Unfinished where a server is waited for and too little arrives.

    The timeout of a socket alone lets a server send endless headers, or a byte now and then.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arrived = 0
        self._until = time.monotonic() + limits.stall

    def arrived(self, count: int) -> None:
        self._arrived += count
        if self._arrived >= self._limits.slowest * self._limits.stall:
            self._arrived = 0
            self._until = time.monotonic() + self._limits.stall

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """While the block waits for the server; for the main thread, which SIGALRM gets to."""
        before = signal.signal(signal.SIGALRM, self._ring)
        left = max(self._until - time.monotonic(), 0.001)
        signal.setitimer(signal.ITIMER_REAL, left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        raise Unfinished(f"nearly nothing came for {self._limits.stall:g} seconds")
