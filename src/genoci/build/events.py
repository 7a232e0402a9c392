"""What a build says while it goes on: the messages from worker to scheduler to whoever shows it."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=str.lower):
    """Every event names the target that it belongs to ("" for the build as a whole)."""

    target: str


class Started(Event, frozen=True):
    """A target is being built, as number `number` of `total` (from 1).

    `because`: why it is not taken from the cache, for who asked to be told.
    """

    number: int
    total: int
    because: tuple[str, ...] = ()


class Stepped(Event, frozen=True):
    """A step begins: `step` is its one-line description, such as `run: apt-get update`."""

    step: str


class Progressed(Event, frozen=True):
    """`done` of `total` bytes of the current step's input were read; `total` 0: not known."""

    done: int
    total: int


class Output(Event, frozen=True):
    """What a command printed, complete and in order; lines may be split over several events."""

    text: str


class Warned(Event, frozen=True):
    """Something the user should know that is no failure; `mend` may be empty."""

    what: str
    mend: str = ""


class Finished(Event, frozen=True):
    """The target is built and tagged: all its `tags`, the plain name first.

    `cached`: its layer was there already.
    """

    tags: tuple[str, ...]
    digest: str
    cached: bool = False


class Failed(Event, frozen=True):
    """The target could not be built. `kind` is the name of the error's class in genoci.errors.

    `status` and `tail` are a failed command's; `exit_status` is what genoci then ends with.
    """

    kind: str
    what: str
    where: str = ""
    mend: str = ""
    status: int = 0
    exit_status: int = 1
    tail: tuple[str, ...] = ()


class Skipped(Event, frozen=True):
    """The target was not tried, because `because` failed or the build was ended."""

    because: str


AnyEvent = Started | Stepped | Progressed | Output | Warned | Finished | Failed | Skipped
