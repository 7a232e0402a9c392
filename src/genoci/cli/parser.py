"""The command line: shared options before and after a command, and errors that help."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

from genoci.cli.streams import Stream
from genoci.cli.words import OF_BUILD
from genoci.errors import UsageError
from genoci.spec.wording import near

KINDS = ("auto", "tty", "plain", "json", "quiet")
DRIVERS = ("auto", "overlay", "btrfs", "copy")
_WITH_A_VALUE = ("--layout", "--state", "--progress")
_WITHOUT = ("--debug", "--json")
_ALONE = ("--help", "-h", "--version")


class Parser(argparse.ArgumentParser):
    """argparse, raising UsageError instead of exiting, and never guessing abbreviations."""

    def __init__(
        self, name: str, usage: str, summary: str, *, examples: str, options_last: bool = True
    ) -> None:
        """`name` is the program's and the command's."""
        super().__init__(
            prog=name,
            usage=f"{name} {usage}".rstrip() + " [OPTION…]"
            if options_last
            else f"{name} [OPTION…] {usage}",
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=f"examples:\n{_indented(examples)}",
            # Left to find the width itself, argparse loads half of the compression library.
            formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=_width()),
            allow_abbrev=False,
        )
        self._takes_a_command = False
        self._is_followed_by_one = not options_last

    def add_json(self, what: str = "results as JSON") -> None:
        self.add_argument("--json", action="store_true", help=what)

    def add_command(self) -> None:
        """Everything behind `--` is a command of its own: `options.command`."""
        self._takes_a_command = True

    def add_shared(self) -> None:
        """The options that every command has."""
        add = self.add_argument_group("options of every command").add_argument
        add("--layout", metavar="DIR", help="the OCI layout (GENOCI_LAYOUT; ./oci)")
        add(
            "--state",
            metavar="DIR",
            help="snapshots and what else can be made again (GENOCI_STATE; ~/.local/share/genoci)",
        )
        add(
            "--progress",
            metavar="KIND",
            type=choice("--progress", KINDS),
            default="auto",
            help=f"what to show of the work: {', '.join(KINDS)}",
        )
        add("--debug", action="store_true", help="show where in genoci errors arise")

    def print_help(self, file: Any = None) -> None:
        stream = Stream(file or sys.stdout, essential=True)
        stream.write(self.format_help())
        stream.flush()

    def understand(self, words: Sequence[str]) -> argparse.Namespace:
        """The options and arguments in any order. Raises UsageError."""
        words = list(words)
        command: list[str] = []
        if self._is_followed_by_one:
            words, command = split_command(words)
        if self._takes_a_command and "--" in words:
            end = words.index("--")
            words, command = words[:end], words[end + 1 :]
        # The one option whose value may be left out; the word behind it is never that value.
        words = [f"{word}=" if word == "--no-cache" else word for word in words]
        options, rest = self.parse_known_intermixed_args(words)
        if rest:
            self._refuse(rest[0])
        options.command = command
        return options

    def _refuse(self, word: str) -> NoReturn:
        if not word.startswith("-") or word == "-":
            if self._takes_a_command:
                mend = f"A command stands behind two dashes: {self.prog} TAG -- {word}"
                raise UsageError(f"{self.prog}: {word!r} is one argument too many", mend=mend)
            self._fail(f"{word!r} is one argument too many")
        option = word.partition("=")[0]
        if self.prog == "genoci build" and option in OF_BUILD:
            raise UsageError(f"{self.prog} has no option {option}", mend=OF_BUILD[option])
        meant = nearest(option, self._option_string_actions)
        raise UsageError(
            f"{self.prog} has no option {option}",
            mend=f"Did you mean {meant}?" if meant else f"Its options: {self.prog} --help",
        )

    def error(self, message: str) -> NoReturn:
        missing = "the following arguments are required: "
        if message.startswith(missing):
            self._fail(f"what is missing: {message.removeprefix(missing)}")
        found = re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)
        if not found:
            self._fail(message)
        option, problem = found[1].split("/")[-1], found[2]
        if problem == "expected one argument":
            raise UsageError(
                f"{option} needs a value",
                mend=f"One that begins with '-' is written behind a '=': {option}=-VALUE",
            )
        raise UsageError(f"{option}: {problem}", mend=f"More: {self.prog} --help")

    def _fail(self, what: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {what}", mend=" ".join(self.format_usage().split()))


def choice(name: str, allowed: Sequence[str]) -> Any:
    """A `type` for an argument that has to be one of `allowed`."""

    def check(word: str) -> str:
        if word in allowed:
            return word
        meant = nearest(word, allowed)
        raise UsageError(
            f"{name} can't be {word!r}",
            mend=(f"Did you mean {meant}? " if meant else "") + f"There are: {', '.join(allowed)}.",
        )

    return check


def whole_number(name: str) -> Any:
    """A `type` for a count that is zero or more."""

    def check(word: str) -> int:
        if re.fullmatch("[0-9]{1,9}", word):
            return int(word)
        raise UsageError(f"{name} can't be {word!r}", mend="A whole number is needed, such as 3.")

    return check


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; "" if none is near. Leading dashes are alike."""
    bare = {name.lstrip("-"): name for name in known}
    return next((bare[found] for found in near(word.lstrip("-"), bare)), "")


def split(words: Sequence[str], program: str) -> tuple[list[str], str, list[str]]:
    """The shared options at the front, the first other word, and everything behind it.

    The first word is "" if there is none. --help and --version, where a command would stand,
    count as one. Raises UsageError for any other option there.
    """
    shared: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in _WITH_A_VALUE:
            if not rest:
                raise UsageError(f"{word} needs a value")
            shared += [word, rest.pop(0)]
        elif word in _WITHOUT or word.partition("=")[0] in _WITH_A_VALUE:
            shared.append(word)
        elif word.startswith("-") and word not in _ALONE:
            _refuse_before_the_command(word, program)
        else:
            return shared, word, rest
    return shared, "", []


def split_command(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options of ours, and the command of another program behind them, with or without `--`."""
    rest = iter(range(len(words)))
    for at in rest:
        if words[at] == "--":
            return list(words[:at]), list(words[at + 1 :])
        if words[at] in _WITH_A_VALUE:
            next(rest, None)
        elif not words[at].startswith("-") or words[at] == "-":
            return list(words[:at]), list(words[at:])
    return list(words), []


def is_a_file(word: str) -> bool:
    """The rule of the short form, `genoci FILE.yaml`: it depends on the word, not on the disk."""
    return "/" in word or word.endswith((".yaml", ".yml"))


def _refuse_before_the_command(word: str, program: str) -> NoReturn:
    option = word.partition("=")[0]
    if option in ("-f", "--file") and program == "genoci":
        raise UsageError(
            f"there is no option {option} that stands before the command",
            mend="genoci build -f FILE; or just the file: genoci FILE.yaml",
        )
    meant = nearest(option, [*_WITH_A_VALUE, *_WITHOUT, *_ALONE])
    raise UsageError(
        f"there is no option {option} that stands before the command",
        mend=f"Did you mean {meant}?"
        if meant
        else f"Options of a command stand behind it: {program} COMMAND --help",
    )


def _width() -> int:
    try:
        return max(40, min(os.get_terminal_size(sys.__stdout__.fileno()).columns, 100))  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError):
        return 80


def _indented(lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines.strip().splitlines())
