"""A target being made: by one worker after the other, as far as the first that fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from genoci.build import downloads, fork
from genoci.build.events import AnyEvent, Failed
from genoci.build.fork import Send
from genoci.build.job import Answer, Built, Job, NotOnPaper
from genoci.build.key import Key
from genoci.build.worker import work
from genoci.errors import BuildError, GenociError, Interrupted


class Making:
    """What its addresses lead to is fetched, then it is built. `close` ends it, at any moment.

    `held` is released when it ends.
    """

    def __init__(self, job: Job, key: Key, held: ExitStack) -> None:
        self.target = job.target
        self.key = key
        self.built: Built | None = None
        self.failed: Failed | None = None
        self.is_done = False
        self._job = job
        self._held = held
        self._works = [_building(job)]
        fetching = downloads.fetching(job.target, Path(job.state))
        if fetching is not None:
            self._works.insert(0, fetching)
        self.worker = self._next()

    def hear(self, on_event: Callable[[AnyEvent], None]) -> None:
        """Take what the worker has sent; if it has ended, start the next, or be done."""
        try:
            messages = self.worker.receive()
            for message in messages or ():
                self._take(message, on_event)
            if messages is None:
                self._go_on()
        except Interrupted:
            raise
        except GenociError as error:
            self.failed = self.failed or fork.failure(error, self.target.name)
            self.is_done = True

    def close(self) -> None:
        """Leave no process of it. Idempotent."""
        self.worker.stop()
        self._held.close()

    def _go_on(self) -> None:
        if self.built or self.failed:
            self.is_done = True
        elif self._works:
            self.worker = self._next()
        else:
            raise BuildError("the worker ended without a result")

    def _take(self, message: fork.Message, on_event: Callable[[AnyEvent], None]) -> None:
        match message:
            case Built():
                self.built = message
            case Failed():
                self.failed = message
            case NotOnPaper():
                self._works.append(_building(msgspec.structs.replace(self._job, on_paper=False)))
            case Answer():
                pass
            case _:
                on_event(message)

    def _next(self) -> fork.Worker:
        return fork.start(self._works.pop(0), target=self.target.name)


def _building(job: Job) -> Callable[[Send], None]:
    return lambda send: work(job, send)
