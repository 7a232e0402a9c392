"""What a build says while it goes on: the messages from worker to scheduler to whoever shows it.

Every event names the `target` that it belongs to ("" for the build as a whole).
"""

from typing import Any, NamedTuple


class Started(NamedTuple):
    """A target is being built, as number `number` of `total` (from 1).

    `because`: why it is not taken from the cache, for who asked to be told.
    """

    target: str
    number: int
    total: int
    because: tuple[str, ...] = ()


class Stepped(NamedTuple):
    """A step begins: `step` is its one-line description, such as `run: apt-get update`."""

    target: str
    step: str


class Progressed(NamedTuple):
    """`done` of `total` bytes of the current step's input were read; `total` 0: not known."""

    target: str
    done: int
    total: int


class Output(NamedTuple):
    """What a command printed, complete and in order; lines may be split over several events."""

    target: str
    text: str


class Warned(NamedTuple):
    """Something the user should know that is no failure; `mend` may be empty."""

    target: str
    what: str
    mend: str = ""


class Finished(NamedTuple):
    """The target is built and tagged: all its `tags`, the plain name first.

    `cached`: its layer was there already.
    """

    target: str
    tags: tuple[str, ...]
    digest: str
    cached: bool = False


class Failed(NamedTuple):
    """The target could not be built. `kind` is the name of the error's class in genoci.errors.

    `status` and `tail` are a failed command's; `exit_status` is what genoci then ends with.
    """

    target: str
    kind: str
    what: str
    where: str = ""
    mend: str = ""
    status: int = 0
    exit_status: int = 1
    tail: tuple[str, ...] = ()


class Skipped(NamedTuple):
    """The target was not tried, because `because` failed or the build was ended."""

    target: str
    because: str


AnyEvent = Started | Stepped | Progressed | Output | Warned | Finished | Failed | Skipped


def as_document(event: AnyEvent) -> dict[str, Any]:
    """All that an event says, for programs; its kind is `event`."""
    return {"event": type(event).__name__.lower(), **event._asdict()}
