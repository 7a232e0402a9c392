"""Work that is done a little later, in a thread, while its giver goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Step = Callable[[], None]


class Behind:
    """Takes steps one after the other, at most `most` behind who gives them.

    Worth it for steps that leave Python for a while: a hash of much, a long write. Leaving the
    block waits for the thread; after an exception it takes none of the steps that are left.
    """

    def __init__(self, most: int) -> None:
        self._steps: queue.Queue[Step | None] = queue.Queue(most)
        self._thread: threading.Thread | None = None  # most blocks give none
        self._error: BaseException | None = None

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._error is None:
            self._error = error
        self._end()
        if kind is None:
            self.wait()

    def do(self, step: Step) -> None:
        """Have `step` taken after all that were given before; raises what one of those raised."""
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._steps.put(step)

    def wait(self) -> None:
        """Return when every step was taken; raises what one of them raised."""
        self._end()
        if self._error is not None:
            raise self._error

    def _end(self) -> None:
        if self._thread is not None:
            self._steps.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (step := self._steps.get()) is not None:
            if self._error is None:
                try:
                    step()
                except BaseException as error:
                    self._error = error
