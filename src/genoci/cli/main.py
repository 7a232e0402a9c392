"""The door: from the command line to an exit status."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from types import FrameType

from genoci.cli import parser
from genoci.cli.messages import Messages
from genoci.cli.results import Results
from genoci.cli.streams import Stream, open_missing
from genoci.cli.translate import origin, translated
from genoci.errors import Interrupted, UsageError


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status. Whatever goes wrong has been said."""
    open_missing()
    words = sys.argv[1:] if words is None else words
    debug, messages = _before_parsing(words)
    try:
        try:
            _end_in_order()
            return _answered(words, messages)
        except SystemExit as ended:  # argparse, after --help
            return int(ended.code or 0)
        except BaseException as error:
            if debug:
                messages.write(origin(error))
            told = translated(error)
            messages.error(told)
            return told.exit_status
    except KeyboardInterrupt:  # a second one, while the first was being told
        return Interrupted.exit_status


def _answered(words: Sequence[str], messages: Messages) -> int:
    shared, first, rest = parser.split(words)
    results = Results(Stream(sys.stdout, essential=True))
    if first in ("--version", "version"):
        results.line(f"genoci {_version()}")
        return 0
    if first in ("--help", "-h", "help") and not rest:
        results.line(_overview())
        return 0
    if first in ("--help", "-h", "help"):
        first, rest = rest[0], ["--help"]
    return _run(shared, first, rest, results, messages)


def _run(
    shared: list[str], first: str, rest: list[str], results: Results, messages: Messages
) -> int:
    from genoci.cli import commands
    from genoci.cli.session import Session
    from genoci.settings import settle

    name, rest = ("build", ["-f", first, *rest]) if parser.is_a_file(first) else (first, rest)
    if name not in commands.TABLE:
        raise _unknown(name, commands.TABLE)
    command = commands.load(name)
    arguments = parser.Parser(name, *commands.TABLE[name], examples=command.EXAMPLES)
    command.arguments(arguments)
    arguments.add_shared()
    options = arguments.understand([*shared, *rest])
    session = Session(
        settings=settle(os.environ, layout=options.layout, state=options.state),
        results=results,
        messages=messages,
        progress_kind=options.progress,
        debug=options.debug,
    )
    return command.run(options, session)


def _unknown(word: str, known: Iterable[str]) -> UsageError:
    from genoci.cli import words

    if not word:
        return UsageError("what is to be done?", mend="genoci FILE.yaml; more: genoci --help")
    answer = words.answer(word)
    if answer:
        return UsageError(f"genoci has no command {word!r}", mend=answer)
    near = parser.nearest(word, known)
    return UsageError(
        f"genoci has no command {word!r}",
        mend=(f"Did you mean: genoci {near}\n" if near else "The commands: genoci --help\n")
        + f"If it is a target: genoci build {word}; if it is a file: genoci ./{word}",
    )


def _before_parsing(words: Sequence[str]) -> tuple[bool, Messages]:
    """--debug, and how --progress wants messages: errors of the command line heed them too."""
    ours = list(words[: words.index("--")] if "--" in words else words)
    kind = ""
    for word, following in itertools.pairwise([*ours, ""]):
        option, _, value = word.partition("=")
        if option == "--progress":
            kind = value or following
    stream = Stream(sys.stderr, essential=False)
    return "--debug" in ours, Messages(stream, machine=kind == "json", quiet=kind == "quiet")


def _end_in_order() -> None:
    """SIGTERM and SIGHUP end as Ctrl-C does, unless they were ignored (nohup)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("genoci")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _overview() -> str:
    from genoci.cli.commands import TABLE
    from genoci.cli.text import columns

    rows = [("  genoci FILE.yaml [TARGET…]", "short for: genoci build -f FILE.yaml [TARGET…]")]
    rows += [(f"  genoci {name} {it.usage}".rstrip(), it.summary) for name, it in TABLE.items()]
    return "\n".join(
        [
            "Builds OCI images from a YAML file: no daemon, no root, no other image tool.",
            "",
            *columns(rows),
            "",
            "Options of every command, before or after its other arguments:",
            "  --layout DIR     the OCI layout (GENOCI_LAYOUT; ./oci)",
            "  --state DIR      snapshots and what else can be made again",
            "                   (GENOCI_STATE; ~/.local/share/genoci)",
            f"  --progress KIND  {', '.join(parser.KINDS)}",
            "  --debug          show where in genoci errors arise",
            "",
            "More about a command, with examples: genoci COMMAND --help",
            "Exit status: 0 done; 1 a build or check failed; 2 the command line, the YAML or",
            "a file that it names is wrong; 3 the machine lacks something; 130 interrupted.",
        ]
    )
