"""`genoci shell`: looking around in an image, or in what a failed build left."""

from __future__ import annotations

import argparse

from genoci.cli.parser import DRIVERS, Parser, choice
from genoci.cli.session import Session
from genoci.errors import UsageError
from genoci.oci.layout import Layout

EXAMPLES = """
genoci shell app                       /bin/sh in a copy that is thrown away
genoci shell app -- /usr/bin/env       another command
genoci shell --failed                  in what the last failed build left
"""


def arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("tag", metavar="TAG", nargs="?", help="the image; what is changed in it is gone after")
    add("--failed", action="store_true", help="what the last failed build left, instead of a TAG")
    what = f"what the copy stands on: {', '.join(DRIVERS)}"
    add("--driver", metavar="NAME", type=choice("--driver", DRIVERS), help=what)
    parser.add_command()


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build import operations

    if bool(options.tag) == options.failed:
        raise UsageError(
            "genoci shell: either a TAG or --failed is needed",
            mend="usage: genoci shell TAG [-- CMD…]   or: genoci shell --failed [-- CMD…]",
        )
    command, state = tuple(options.command), session.settings.state
    if not options.failed:
        layout = Layout.at(session.settings.layout)
        return operations.shell(layout, state, options.tag, command, session.driver(), session.tell)
    if options.driver:
        raise UsageError("--driver: what a failed build left stands on the build's own driver")
    return operations.shell_failed(state, command, session.tell, session.driver_if_there())
