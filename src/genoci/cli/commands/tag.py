"""`genoci tag`: one image, one more tag."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.oci.layout import Layout

EXAMPLES = """
genoci tag app app-stable         a second tag; one that exists moves
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("tag", metavar="TAG", help="a tag that exists")
    parser.add_argument("new", metavar="NEW", help="the tag to make, or to move")
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    layout = Layout.at(session.settings.layout)
    # As it stands in the index, so that an image for several platforms stays one.
    descriptor = layout.tags().get(options.tag) or layout.resolve_descriptor(options.tag)
    layout.tag({options.new: descriptor})
    if options.json:
        session.results.document({"tag": options.new, "digest": str(descriptor.digest)})
    else:
        session.results.line(f"{options.new} {descriptor.digest}")
    return 0
