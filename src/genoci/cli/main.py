"""The door: from the command line to an exit status."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from genoci.cli import parser
from genoci.cli.messages import Messages
from genoci.cli.program import GENOCI, LPACK, Program
from genoci.cli.results import Results
from genoci.cli.streams import Stream, open_missing
from genoci.cli.translate import origin, translated
from genoci.errors import Interrupted, UsageError
from genoci.version import VERSION


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line of `genoci` says; the exit status. What goes wrong has been said."""
    return _obey(GENOCI, words)


def lpack(words: Sequence[str] | None = None) -> int:
    """The same for `lpack`."""
    return _obey(LPACK, words)


def _obey(program: Program, words: Sequence[str] | None) -> int:
    open_missing()
    words = sys.argv[1:] if words is None else words
    debug, messages = _before_parsing(_ours(program, words))
    try:
        try:
            _end_in_order()
            return _answered(program, words, messages)
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


def _answered(program: Program, words: Sequence[str], messages: Messages) -> int:
    shared, first, rest = parser.split(words, program.name)
    results = Results(Stream(sys.stdout, essential=True))
    if first in ("--version", "version"):
        results.line(f"{program.name} {VERSION}")
        return 0
    if first in ("--help", "-h", "help") and not rest:
        results.line(_overview(program))
        return 0
    if first in ("--help", "-h", "help"):
        first, rest = rest[0], ["--help"]
    return _run(program, shared, first, rest, results, messages)


def _run(
    program: Program,
    shared: list[str],
    first: str,
    rest: list[str],
    results: Results,
    messages: Messages,
) -> int:
    from genoci.cli.session import Session
    from genoci.settings import settle

    commands = program.commands()
    name = commands.ALIASES.get(first, first)
    if program is GENOCI and parser.is_a_file(first):
        name, rest = "build", ["-f", first, *rest]
    if name not in commands.TABLE:
        raise _unknown(program, first)
    command = program.load(name)
    arguments = parser.Parser(
        f"{program.name} {name}",
        *commands.TABLE[name],
        examples=command.EXAMPLES,
        options_last=name not in commands.FOLLOWED,
    )
    command.arguments(arguments)
    arguments.add_shared()
    options = arguments.understand([*shared, *rest])
    driver = getattr(options, "driver", None)
    session = Session(
        settings=settle(os.environ, layout=options.layout, state=options.state, driver=driver),
        results=results,
        messages=messages,
        progress_kind=options.progress,
        debug=options.debug,
    )
    return command.run(options, session)


def _unknown(program: Program, word: str) -> UsageError:
    commands, name = program.commands(), program.name
    if not word:
        short = "genoci FILE.yaml; more: " if program is GENOCI else ""
        return UsageError("what is to be done?", mend=f"{short}{name} --help")
    answer = commands.answer(word)
    if answer:
        return UsageError(f"{name} has no command {word!r}", mend=answer)
    near = parser.nearest(word, [*commands.TABLE, *commands.ALIASES])
    lines = [f"Did you mean: {name} {near}" if near else f"The commands: {name} --help"]
    lines += filter(None, [commands.otherwise(word)])
    return UsageError(f"{name} has no command {word!r}", mend="\n".join(lines))


def _ours(program: Program, words: Sequence[str]) -> list[str]:
    """The words without those of another program's command line, that may be behind them."""
    words = list(words[: words.index("--")] if "--" in words else words)
    if program is GENOCI:
        return words
    before, behind = parser.split_command(words)
    if behind and behind[0] in program.commands().FOLLOWED:
        more, _ = parser.split_command(behind[1:])
        return [*before, behind[0], *more]
    return words


def _before_parsing(ours: list[str]) -> tuple[bool, Messages]:
    """--debug, and how --progress wants messages: errors of the command line heed them too."""
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


def _overview(program: Program) -> str:
    from genoci.cli.text import columns

    commands = program.commands()
    rows = [(f"  {usage}", summary) for usage, summary in commands.SHORT]
    rows += [
        (f"  {program.name} {name} {it.usage}".rstrip(), it.summary)
        for name, it in commands.TABLE.items()
    ]
    return "\n".join(
        [
            commands.PURPOSE,
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
            f"More about a command, with examples: {program.name} COMMAND --help",
            "Exit status: 0 done; 1 a build or check failed; 2 the command line, the YAML or",
            "a file that it names is wrong; 3 the machine lacks something; 130 interrupted.",
        ]
    )
