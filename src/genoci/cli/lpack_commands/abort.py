"""`lpack abort`: the checkout thrown away."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session

EXAMPLES = """
lpack abort                       what was changed is gone; `lpack status` shows it first
lpack abort -f                    also if a program uses it, or it can't be reached any more
"""


def arguments(parser: Parser) -> None:
    what = "also if a program uses it, or if it can't be reached any more"
    parser.add_argument("-f", "--force", action="store_true", help=what)


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.checkout import abort

    state = session.settings.state
    tag = abort(state, session.driver, force=options.force, on_event=session.tell)
    session.messages.note(
        f"the checkout of {tag} is thrown away" if tag else "nothing is checked out"
    )
    return 0
