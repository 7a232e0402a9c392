"""`genoci build`: the targets of a YAML file, each a line `TAG DIGEST` when it is finished."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from genoci.build.events import AnyEvent, Finished
from genoci.cli.parser import DRIVERS, Parser, choice, is_a_file
from genoci.cli.session import Session
from genoci.cli.text import count
from genoci.errors import UsageError

if TYPE_CHECKING:
    from genoci.build.schedule import Outcome

DEFAULT_FILE = "genoci.yaml"
EXAMPLES = """
genoci images.yaml                     all targets of the file
genoci images.yaml app                 one target, and what it stands on
genoci build                           all targets of ./genoci.yaml
genoci build -f images.yaml --keep-going --compression zstd:19
"""


def arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("targets", metavar="TARGET", nargs="*", help="what to build; else all of the file")
    add("-f", "--file", metavar="FILE", help=f"the YAML file; else {DEFAULT_FILE}")
    add(
        "--driver",
        type=choice("--driver", DRIVERS),
        metavar="NAME",
        help=f"what root filesystems stand on while something runs: {', '.join(DRIVERS)}",
    )
    add(
        "--compression",
        metavar="KIND[:LEVEL]",
        default="gzip",
        help="of new layers: gzip or zstd, with a level if you like",
    )
    add("--keep-going", action="store_true", help="after a failure, build what does not need it")
    add("--no-dated-tags", action="store_true", help="tag as NAME only, not as NAME-DATE_N too")
    parser.add_json("a line of JSON for each target that is built")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.schedule import Request, build
    from genoci.layer.compress import Compression

    request = Request(
        file=_file(options),
        targets=tuple(options.targets),
        layout=session.settings.layout,
        state=session.settings.state,
        driver=session.driver(),
        compression=Compression.parse(options.compression),
        keep_going=options.keep_going,
        dated_tags=not options.no_dated_tags,
        epoch=session.settings.epoch,
    )
    progress = session.progress()

    def show(event: AnyEvent) -> None:
        progress(event)
        if isinstance(event, Finished):
            shared = session.results.on_a_terminal
            with progress.aside() if shared else contextlib.nullcontext():
                _result(event, session, as_json=options.json)

    try:
        outcome = build(request, show, on_tick=progress.tick)
    finally:
        progress.close()
    if outcome.failed:
        if outcome.built or outcome.skipped:
            session.messages.note(_summary(outcome))
        return outcome.failed[0].exit_status
    return 0


def _file(options: argparse.Namespace) -> Path:
    if options.file is not None:
        return Path(options.file)
    for word in options.targets:
        if word in (".", ".."):
            raise UsageError(
                f"{word} is a folder and no target",
                mend=f"genoci build reads ./{DEFAULT_FILE}; another file: genoci build -f FILE",
            )
        if is_a_file(word):
            raise UsageError(f"{word} is no target", mend=f"As a file: genoci build -f {word}")
    if not os.path.exists(DEFAULT_FILE):
        raise UsageError(
            f"there is no {DEFAULT_FILE} here", mend="Name the file: genoci build -f FILE"
        )
    return Path(DEFAULT_FILE)


def _result(event: Finished, session: Session, *, as_json: bool) -> None:
    if as_json:
        document = {"target": event.target, "tags": list(event.tags), "digest": event.digest}
        session.results.document(document, one_line=True)
    else:
        session.results.line(f"{event.target} {event.digest}")


def _summary(outcome: Outcome) -> str:
    parts = [
        f"{count(len(outcome.built), 'target')} built",
        f"failed: {', '.join(failure.target for failure in outcome.failed)}",
    ]
    if outcome.skipped:
        parts.append(f"not built: {', '.join(skipped.target for skipped in outcome.skipped)}")
    return "; ".join(parts)
