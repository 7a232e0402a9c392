"""`lpack checkout`: the root filesystem of an image, to be changed."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session

EXAMPLES = """
lpack checkout app                prints where it is; change it, then: lpack checkin
lpack co empty                    start from nothing
cp new-tool "$(lpack co app)/usr/bin/"
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("tag", metavar="TAG", help="a tag of the layout, or 'empty'")
    parser.add_json("the result as JSON")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.checkout import checkout

    settings = session.settings
    shown = checkout(settings.layout, settings.state, options.tag, session.driver(), session.tell)
    if options.json:
        document = {
            "tag": options.tag,
            "mounted": str(shown.path),
            "visible": shown.for_everybody,
        }
        session.results.document(document)
    else:
        session.results.line(str(shown.path))
    if not shown.for_everybody:
        session.messages.note(ONLY_INSIDE)
    return 0


ONLY_INSIDE = (
    "only what runs in `lpack chroot` and `lpack unshare` sees it: an ordinary user's overlay "
    "can't be mounted for other programs"
)
