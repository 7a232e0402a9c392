"""`lpack unpack`: every layer of the layout expanded, for checkouts and builds that don't wait."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.cli.text import count, one_line

EXAMPLES = """
lpack unpack                      what is expanded already is left alone
"""


def arguments(parser: Parser) -> None:
    parser.add_json("an array of tags, each with the number of layers that were expanded")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.tags import unpack

    settings = session.settings
    done = unpack(settings.layout, settings.state, session.driver(), session.tell)
    if options.json:
        import msgspec

        session.results.document(msgspec.to_builtins(done))
        return 0
    for one in done:
        what = f"{count(one.expanded, 'layer')} expanded" if one.expanded else "is there"
        session.results.line(one_line(f"{one.tag}: {what}"))
    return 0
