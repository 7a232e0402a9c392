"""`lpack unsetup`: what `lpack setup` made, unmounted and destroyed."""

from __future__ import annotations

import argparse
from pathlib import Path

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.settings import HERE, LOFILE

EXAMPLES = """
sudo lpack unsetup                what is not from `lpack setup` is not touched
sudo lpack unsetup -f             also if a checkout is lost, or a program uses it
"""


def arguments(parser: Parser) -> None:
    what = "destroy also a checkout that is not checked in; unmount also what is in use"
    parser.add_argument("-f", "--force", action="store_true", help=what)


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack import record
    from genoci.lpack.unsetup import take_down

    settings, note = session.settings, session.messages.note
    here = Path(HERE).absolute()
    default = Path(LOFILE).absolute()
    configs = {here, (settings.config or here).absolute()}
    lofiles = {default, (settings.lofile or default).absolute()}
    mounts = take_down(sorted(lofiles), sorted(configs), force=options.force, say=note)
    if not mounts:
        note("there is nothing here that `lpack setup` has made")
    for mount in mounts:
        record.drop_below(settings.state.absolute(), mount)
    return 0
