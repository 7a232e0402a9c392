"""`lpack unshare`: a command of this machine, where the checkout is seen and can be written."""

from __future__ import annotations

import argparse
import os

from genoci.cli.parser import Parser
from genoci.cli.session import Session

EXAMPLES = """
lpack unshare cp new-tool mounted/usr/bin/        in the directory that holds `mounted`
lpack unshare sh -c 'cp new-tool $GENOCI_ROOTFS/usr/bin/'
lpack unshare                                     your shell
"""


def arguments(parser: Parser) -> None:
    """Nothing but the options of every command, and the command."""


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.look import unshare

    command = tuple(options.command)
    return unshare(session.settings.state, command, os.environ, session.tell)
