"""`genoci lock`: what is installed by name today, written down for the builds to come."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from genoci.cli.commands.build import DEFAULT_FILE, file_of
from genoci.cli.parser import DRIVERS, Parser, choice, is_a_file
from genoci.cli.session import Session
from genoci.cli.text import count, one_line

if TYPE_CHECKING:
    from genoci.build.relock import Relocked

EXAMPLES = """
genoci lock                            what ./genoci.yaml installs, into ./genoci.lock
genoci lock -f images.yaml             the same for another file; the lock file lies beside it
genoci lock app                        only what app installs, and what it stands on, anew
"""


def arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("targets", metavar="TARGET", nargs="*", help="whose packages to pin anew; else all")
    add("-f", "--file", metavar="FILE", help=f"the YAML file; else {DEFAULT_FILE}")
    add(
        "--driver",
        type=choice("--driver", DRIVERS),
        metavar="NAME",
        help=f"what root filesystems stand on while something runs: {', '.join(DRIVERS)}",
    )
    add("--no-hooks", action="store_true", help="refuse what runs anything on the host")
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.relock import lock
    from genoci.build.request import Request
    from genoci.layer.compression import Compression

    if options.file is None and options.targets and is_a_file(options.targets[0]):
        options.file, *options.targets = options.targets
    request = Request(
        file=Path(file_of(options)),
        targets=tuple(options.targets),
        layout=session.settings.layout,
        state=session.settings.state,
        driver=session.driver(),
        compression=Compression.parse("gzip"),
        epoch=session.settings.epoch,
        hooks=not options.no_hooks,
    )
    progress = session.progress()
    try:
        done = lock(request, progress, on_tick=progress.tick)
    finally:
        progress.close()
    if done.outcome.failed:
        session.messages.note(f"{done.path} stays as it was")
        return done.outcome.failed[0].exit_status
    if options.json:
        session.results.document(
            {"file": str(done.path), "written": done.written, "changes": list(done.changes)}
        )
    else:
        session.results.lines([one_line(change) for change in done.changes])
    session.messages.note(_summary(done))
    return 0


def _summary(done: Relocked) -> str:
    if done.written:
        return f"{done.path} is written: {count(done.packages, 'package')} pinned"
    if not done.path.exists():
        return "nothing is installed by name or from an address: there is nothing to pin"
    return f"{done.path} is as it was: {count(done.packages, 'package')} pinned"
