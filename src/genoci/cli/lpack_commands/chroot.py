"""`lpack chroot`: a shell in the checkout, confined as a build's `run` is."""

from __future__ import annotations

import argparse

from genoci.cli.parser import Parser
from genoci.cli.session import Session

EXAMPLES = """
lpack chroot                      /bin/sh; what it changes stays
lpack chroot apt-get install -y curl
"""


def arguments(parser: Parser) -> None:
    """Nothing but the options of every command, and what runs in it."""


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.look import chroot

    return chroot(session.settings.state, tuple(options.command), session.tell)
