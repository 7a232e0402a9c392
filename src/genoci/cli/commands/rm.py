"""`genoci rm`: tags removed, all of those named or none."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.cli.text import one_line
from genoci.oci.layout import Layout

EXAMPLES = """
genoci rm app-2026-11-23_1 app-2026-11-23_2
genoci rm app && genoci gc        and what only it needed
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("tags", metavar="TAG", nargs="+", help="the blobs stay until `genoci gc`")
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    layout = Layout.at(session.settings.layout)
    names = list(dict.fromkeys(options.tags))
    before = layout.tags()
    layout.untag(names)
    # The digest, so that a tag removed by mistake can be found again.
    digests = {name: str(before[name].digest) if name in before else "" for name in names}
    if options.json:
        removed = [{"tag": name, "digest": digest or None} for name, digest in digests.items()]
        session.results.document(removed)
    else:
        lines = [one_line(f"{name} {digest}".rstrip()) for name, digest in digests.items()]
        session.results.lines(lines)
    return 0
