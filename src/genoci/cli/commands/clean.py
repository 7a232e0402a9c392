"""`genoci clean`: the state deleted, the layout left alone."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.errors import BuildError, UsageError

EXAMPLES = """
genoci clean                      the next build makes again what it needs
genoci clean --state /var/tmp/state
"""
# How the names in a state begin.
_OURS = (
    "snapshots",
    "listings",
    "inputs",
    "traces",
    "layouts",
    "building",
    "downloads",
    "packages",
    "checkout",
    "mounted",
    ".genoci",
)


def arguments(parser: Parser) -> None:
    """Nothing but the options of every command."""


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.operations import clean

    state = session.settings.state
    if not _is_there(state):
        session.messages.note(f"there is no state in {state}")
        return 0
    _refuse_checkout(state)
    clean(state, session.tell, session.driver_if_there())
    session.messages.note(f"the state in {state} is deleted")
    return 0


def _refuse_checkout(state: Path) -> None:
    if (state / "checkout.json").exists():
        raise BuildError(
            "the state holds a checkout, which would be lost",
            where=str(state),
            mend="First lpack checkin, or lpack abort.",
        )


def _is_there(state: Path) -> bool:
    """Raises UsageError for a directory that holds anything else: it was not meant."""
    try:
        names = sorted(os.listdir(state))
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise UsageError(f"{state} is not a directory", where="--state") from None
    foreign = [name for name in names if not name.startswith(_OURS)]
    if foreign:
        raise UsageError(
            f"{state} holds something that is not genoci's: {foreign[0]}",
            where="--state",
            mend="Nothing was deleted. Name the directory of the state alone.",
        )
    return True
