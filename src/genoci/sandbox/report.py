"""What a container tells its worker: how it ended, or what could not be done."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import msgspec


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The command has run; `status` is 128 + N if signal N ended it."""

    status: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Something could not be done: what, and the errno."""

    doing: str
    error: int
    detail: str = ""


class Refusal(Exception):
    """The same on its way to the pipe."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.doing)
        self.refused = refused


def tell(pipe: int, message: Ended | Refused) -> None:
    """Write a message whole: it is shorter than PIPE_BUF (pipe(7))."""
    os.write(pipe, msgspec.json.encode(message) + b"\n")


def heard(told: bytes) -> list[Ended | Refused]:
    """The messages in what came through the pipe."""
    decode = msgspec.json.Decoder(Ended | Refused).decode
    return [decode(line) for line in told.splitlines()]


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Turn an OSError of the block into a Refusal that says what was being done."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        raise Refusal(Refused(what, number, str(error)[:500])) from error


@contextlib.contextmanager
def told(pipe: int) -> Iterator[None]:
    """Tell whatever the block raises, for a process that has nobody else to tell it."""
    try:
        yield
    except Refusal as refusal:
        tell(pipe, refusal.refused)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        tell(pipe, Refused("bug", errno.EIO, text[:500]))
