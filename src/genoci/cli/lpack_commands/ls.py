"""`lpack ls`: the tags of the layout, and whether they are unpacked."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from genoci.cli import text
from genoci.cli.parser import Parser
from genoci.cli.session import Session

if TYPE_CHECKING:
    from genoci.lpack.tags import Listed

EXAMPLES = """
lpack ls
lpack ls --json | jq -r '.[] | select(.unpacked == .layers).tag'
"""


def arguments(parser: Parser) -> None:
    parser.add_json("an array of tags")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.tags import listed

    settings = session.settings
    found = listed(settings.layout, settings.state, session.driver())
    if options.json:
        import msgspec

        session.results.document(msgspec.to_builtins(found))
        return 0
    rows = [(text.one_line(one.tag), _unpacked(one)) for one in found]
    session.results.lines(text.columns([("TAG", "UNPACKED"), *rows]) if rows else [])
    return 0


def _unpacked(one: Listed) -> str:
    if one.layers is None or one.unpacked is None:
        return "?"
    if one.unpacked == one.layers:
        words = "yes"
    else:
        words = f"{one.unpacked} of {one.layers} layers" if one.unpacked else "no"
    return f"{words}, checked out" if one.checked_out else words
