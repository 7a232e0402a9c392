"""`genoci export`: an image's root filesystem as one tarball."""

from __future__ import annotations

import argparse
from pathlib import Path

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.errors import UsageError
from genoci.oci.layout import Layout

EXAMPLES = """
genoci export app app.tar
genoci export app app.tar.zst
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("tag", metavar="TAG")
    what = "its name tells the format: .tar, .tar.gz or .tgz, .tar.zst"
    parser.add_argument("file", metavar="FILE", type=Path, help=what)


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.operations import export_image

    folder = options.file.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", mend="Make it, or name another file.")
    layout = Layout.at(session.settings.layout)
    export_image(layout, session.settings.state, options.tag, options.file, session.tell)
    session.messages.note(f"{options.tag} is in {options.file}")
    return 0
