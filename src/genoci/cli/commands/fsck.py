"""`genoci fsck`: every byte of the layout read and checked."""

from __future__ import annotations

import argparse

from genoci.cli import text
from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.oci.layout import Layout

EXAMPLES = """
genoci fsck
genoci fsck --json | jq -r '.[].where'
"""


def arguments(parser: Parser) -> None:
    parser.add_json("an array of problems")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.operations import fsck

    problems = fsck(Layout.at(session.settings.layout), session.tell)
    if options.json:
        found = [{"what": it.what, "where": it.where, "mend": it.mend} for it in problems]
        session.results.document(found)
    for problem in () if options.json else problems:
        session.results.line(text.one_line(f"{problem.where}: {problem.what}"))
        if problem.mend:
            session.results.line(f"  {text.one_line(problem.mend)}")
    if problems:
        session.messages.note(f"{text.count(len(problems), 'problem')} found")
        return 1
    session.messages.note("the layout is sound, to the last byte")
    return 0
