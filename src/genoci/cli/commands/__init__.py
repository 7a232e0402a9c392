"""The commands: a table that costs nothing to read, and one small file for each of them.

Each file has `EXAMPLES`, lines for its `--help`; `arguments(parser)`, which adds what it
understands; and `run(options, session)`, which gives the exit status.
"""

from __future__ import annotations

import argparse
import importlib
from typing import NamedTuple, Protocol, cast

from genoci.cli.parser import Parser
from genoci.cli.session import Session


class Entry(NamedTuple):
    """How a command is called, and what it is for, as the overview shows them."""

    usage: str
    summary: str


TABLE = {
    "build": Entry("[-f FILE] [TARGET…]", "build the targets of a YAML file"),
    "plan": Entry("[-f FILE] [TARGET…]", "say what a build would do, and why"),
    "lock": Entry("[-f FILE] [TARGET…]", "pin what is installed by name in genoci.lock"),
    "ls": Entry("", "list the tags"),
    "inspect": Entry("TAG", "show manifest, config, layers and history"),
    "diff": Entry("TAG TAG", "show what changed in files and config"),
    "tag": Entry("TAG NEW", "give an image another tag"),
    "rm": Entry("TAG…", "remove tags"),
    "config": Entry("TAG --env K=V …", "change an image's config, as the YAML keys do"),
    "unpack": Entry("TAG DIR", "write the root filesystem into a new directory"),
    "export": Entry("TAG FILE.tar[.gz|.zst]", "write the root filesystem as one tarball"),
    "shell": Entry("TAG [-- CMD…]", "look around in a throw-away copy of an image"),
    "gc": Entry("[--keep N]", "delete what no tag reaches"),
    "fsck": Entry("", "check every byte of the layout"),
    "clean": Entry("", "delete the state; the layout stays"),
}


class Command(Protocol):
    EXAMPLES: str

    def arguments(self, parser: Parser) -> None:
        """Add the command's own arguments; the shared ones are there."""

    def run(self, options: argparse.Namespace, session: Session) -> int:
        """Do it; the exit status. Raises GenociError."""


def load(name: str) -> Command:
    return cast(Command, importlib.import_module(f"genoci.cli.commands.{name}"))
