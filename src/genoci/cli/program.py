"""What tells our programs apart: a name, and a package with a table of commands and a file each."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

from genoci.cli.parser import Parser
from genoci.cli.session import Session


class Entry(NamedTuple):
    """How a command is called, and what it is for, as the overview shows them."""

    usage: str
    summary: str


class Command(Protocol):
    """A command's file."""

    EXAMPLES: str

    def arguments(self, parser: Parser) -> None:
        """Add the command's own arguments; the shared ones are there."""

    def run(self, options: argparse.Namespace, session: Session) -> int:
        """Do it; the exit status. Raises GenociError."""


class Commands(Protocol):
    """A package of commands.

    `SHORT` are rows of the overview before those of the table. `ALIASES` are other names of
    commands. Those of `FOLLOWED` take a command of another program as it stands, options and all.
    """

    PURPOSE: str
    SHORT: tuple[tuple[str, str], ...]
    TABLE: Mapping[str, Entry]
    ALIASES: Mapping[str, str]
    FOLLOWED: tuple[str, ...]

    def answer(self, word: str) -> str:
        """What there is for a word that is no command; "" if it is nobody's."""

    def otherwise(self, word: str) -> str:
        """What it may be, if it was not meant as a command."""


class Program(NamedTuple):
    name: str
    package: str

    def commands(self) -> Commands:
        return cast(Commands, importlib.import_module(self.package))

    def load(self, command: str) -> Command:
        return cast(Command, importlib.import_module(f"{self.package}.{command}"))


GENOCI = Program("genoci", "genoci.cli.commands")
LPACK = Program("lpack", "genoci.cli.lpack_commands")
