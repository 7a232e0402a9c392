"""`lpack checkin`: the checkout becomes a layer and a tag."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session

EXAMPLES = """
lpack checkin app-patched         a new tag; one that exists moves
lpack ci                          a tag for today: 2026-11-23_v1
lpack ci app --keep               and go on changing it
"""


def arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("tag", metavar="NEWTAG", nargs="?", help="the tag to make or to move; else YYYY-MM-DD_vN")
    add("--keep", action="store_true", help="keep it checked out, standing on the new image")
    add(
        "--compression",
        metavar="KIND[:LEVEL]",
        default="gzip",
        help="of the new layer: gzip or zstd, with a level if you like",
    )
    parser.add_json("the result as JSON")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.layer.compression import Compression
    from genoci.lpack.checkin import checkin

    settings, note = session.settings, session.messages.note
    done = checkin(
        settings.state,
        options.tag,
        keep=options.keep,
        epoch=settings.epoch,
        compression=Compression.parse(options.compression),
        on_event=session.tell,
    )
    if options.json:
        import msgspec

        session.results.document(msgspec.to_builtins(done))
    else:
        session.results.line(f"{done.tag} {done.digest}")
    if done.layer is None:
        note("nothing has changed: no layer was made, the image has one more tag")
    if done.layout != str(settings.layout.absolute()):
        note(f"it is in the layout that it came from: {done.layout}")
    return 0
