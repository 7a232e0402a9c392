"""A piece of work in a worker of its own, and its answer, or its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from genoci.build import fork
from genoci.build.events import AnyEvent, Failed
from genoci.build.fork import Send
from genoci.build.job import Answer, Built, NotOnPaper
from genoci.errors import BuildError

OnEvent = Callable[[AnyEvent], None]
T = TypeVar("T")


class Refused(BuildError):
    """An error of a worker, told again here; `failure` is what it said, exit status included."""

    def __init__(self, failure: Failed) -> None:
        super().__init__(failure.what, where=failure.where, mend=failure.mend)
        self.failure = failure
        self.exit_status = failure.exit_status


def call(
    work: Callable[[Send], T],
    kind: Any,
    on_event: OnEvent,
    *,
    terminal: bool = False,
    on_built: Callable[[Built], None] = lambda built: None,
) -> T:
    """Do `work` in a worker; its result, of the type `kind`.

    Raises Refused for an error of the worker's. With `terminal` it stays in the caller's session.
    """

    def answer(send: Send) -> None:
        send(Answer(msgspec.Raw(msgspec.json.encode(work(send)))))

    with fork.worker(answer, target="", terminal=terminal) as worker:
        for message in worker.messages(lambda: None):
            match message:
                case Answer():
                    result: T = msgspec.json.decode(message.document, type=kind)
                    return result
                case Failed():
                    raise Refused(message)
                case Built():
                    on_built(message)
                case NotOnPaper():
                    pass
                case _:
                    on_event(message)
    raise BuildError("the worker ended without an answer")
