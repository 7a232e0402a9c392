"""`genoci unpack`: an image's root filesystem in a directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.oci.layout import Layout

EXAMPLES = """
genoci unpack app ./rootfs
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("tag", metavar="TAG")
    parser.add_argument("directory", metavar="DIR", type=Path, help="new or empty")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.operations import unpack_image

    layout = Layout.at(session.settings.layout)
    unpack_image(layout, options.tag, options.directory, session.tell)
    session.messages.note(f"{options.tag} is in {options.directory}")
    return 0
