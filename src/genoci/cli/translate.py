"""Whatever was raised, as one of our errors."""

from __future__ import annotations

import builtins
import os
import re
from typing import TYPE_CHECKING

from genoci import errors
from genoci.errors import GenociError, Interrupted, MachineError

if TYPE_CHECKING:
    from genoci.build.events import Failed


def translated(error: BaseException) -> GenociError:
    """One of ours as it is; what the machine refused; or else a bug."""
    failed = _met_by_a_worker(error)
    if failed is not None:
        return _of_a_worker(failed)
    match error:
        case GenociError():
            return error
        case KeyboardInterrupt():
            return Interrupted("interrupted")
        case OSError(strerror=str() as reason):
            place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
            return GenociError(reason, where=place)
        case MemoryError():
            return GenociError("out of memory")
    return bug(f"{type(error).__name__}: {error}".rstrip(": "))


def origin(error: BaseException) -> str:
    """The traceback; before it, the one of the worker that met the error, if it was a bug there."""
    import traceback

    failed = _met_by_a_worker(error)
    lines = [f"{line}\n" for line in failed.tail] if failed else []
    return "".join([*lines, *traceback.format_exception(error)])


def mend_of(mend: str, exit_status: int) -> str:
    """The mend; where the machine lacks something, also who can tell what else it lacks."""
    if exit_status != MachineError.exit_status or "genoci doctor" in mend:
        return mend
    return f"{mend}\nWhat else this machine can and cannot do:  genoci doctor".strip()


def bug(what: str) -> GenociError:
    return GenociError(
        f"a bug in genoci: {what}",
        mend="Run it again with --debug to see where it is, and please report it.",
    )


def foreign(kind: str, what: str) -> GenociError:
    """An error that is none of ours, by its class's name and `KIND: TEXT`, as a worker tells it."""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, OSError):
        return GenociError(re.sub(r"^\w+: (\[Errno -?[0-9]+\] )?", "", what))
    return bug(what)


def is_ours(kind: str) -> bool:
    """Whether an error that was told by name is one that genoci raises on purpose."""
    return isinstance(getattr(errors, kind, None), type)


def _met_by_a_worker(error: BaseException) -> Failed | None:
    """What an operation's worker said; `genoci.build` is not loaded to ask for its type."""
    return getattr(error, "failure", None)


def _of_a_worker(failed: Failed) -> GenociError:
    kind = getattr(errors, failed.kind, None)
    if kind is None or kind is errors.StepFailed:
        return foreign(failed.kind, failed.what)
    told: GenociError = kind(failed.what, where=failed.where, mend=failed.mend)
    return told
