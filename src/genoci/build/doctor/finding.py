"""What a look at one thing has shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from genoci import errors
from genoci.build.calling import Refused
from genoci.errors import GenociError

State = Literal["ok", "limited", "missing", "unknown", "note"]


class Finding(msgspec.Struct, frozen=True):
    """`state` is one of

    - ok: it works;
    - limited: builds work without it, or with less of it than there could be;
    - missing: builds with a `run` do not work without it;
    - unknown: it could not be tried, and `what` says why;
    - note: a fact that is neither good nor bad.
    """

    group: str
    name: str
    state: State
    what: str
    mend: str = ""


Check = Callable[[], Finding]


def looked_at(group: str, name: str, check: Check, *, failing: State = "missing") -> Finding:
    """What `check` finds. A genoci error of its means `failing`, any other that it can't be done.

    A broken machine must not break who examines it, so nothing is raised.
    """
    try:
        return check()
    except GenociError as error:
        failure = error.failure if isinstance(error, Refused) else None
        if failure is not None and not hasattr(errors, failure.kind):
            return Finding(group, name, "unknown", f"this could not be tried ({error.what})")
        where = f"{error.where}: " if error.where else ""
        return Finding(group, name, failing, f"{where}{error.what}", error.mend)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        return Finding(group, name, "unknown", f"this could not be tried ({reason})")


def not_tried(group: str, name: str, lacking: str) -> Finding:
    return Finding(group, name, "unknown", f"not tried: there is no {lacking} to try it in")
