"""`lpack status`: what is checked out, and what has changed in it."""

from __future__ import annotations

import argparse

from genoci.cli.changes import of_files
from genoci.cli.lpack_commands.checkout import ONLY_INSIDE
from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.cli.text import one_line

EXAMPLES = """
lpack status                      A: added, D: removed, C: changed
lpack status --json | jq -r .tag
"""


def arguments(parser: Parser) -> None:
    parser.add_json("the result as JSON; null if nothing is checked out")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.look import status

    found = status(session.settings.state, session.tell)
    if options.json:
        import msgspec

        session.results.document(msgspec.to_builtins(found))
        return 0
    note = session.messages.note
    if found is None:
        note("nothing is checked out")
        return 0
    session.results.line(one_line(f"{found.tag} is checked out at {found.mounted}"))
    lines = [one_line(line) for line in of_files(found.changes)]
    session.results.lines(lines)
    if not lines:
        note("nothing has changed")
    if not found.visible:
        note(ONLY_INSIDE)
    if found.note:
        session.messages.warning(found.note)
    return 0
