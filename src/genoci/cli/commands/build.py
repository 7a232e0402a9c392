"""`genoci build`: the targets of a YAML file, each a line `TAG DIGEST` when it is finished."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from genoci.build.events import AnyEvent, Finished
from genoci.build.outcome import Outcome
from genoci.build.recall import recall
from genoci.build.trace import Asked
from genoci.cli.parser import DRIVERS, Parser, choice, is_a_file, whole_number
from genoci.cli.session import Session
from genoci.cli.text import count
from genoci.errors import UsageError

if TYPE_CHECKING:
    from genoci.build.request import Request

OnEvent = Callable[[AnyEvent], None]

DEFAULT_FILE = "genoci.yaml"
EXAMPLES = """
genoci images.yaml                     all targets of the file
genoci images.yaml app                 one target, and what it stands on
genoci build                           all targets of ./genoci.yaml
genoci build -f images.yaml --keep-going --compression zstd:19
"""


def arguments(parser: Parser) -> None:
    selection(parser)
    add = parser.add_argument
    add(
        "--driver",
        type=choice("--driver", DRIVERS),
        metavar="NAME",
        help=f"what root filesystems stand on while something runs: {', '.join(DRIVERS)}",
    )
    add(
        "--jobs",
        metavar="N",
        type=whole_number("--jobs"),
        help="how many targets may be built at once; else as many as there are processors",
    )
    add("--explain", action="store_true", help="say why a target is built that is not cached")
    add("--expect-cached", action="store_true", help="fail if anything would have to be built")
    add("--keep-going", action="store_true", help="after a failure, build what does not need it")
    add(
        "--no-hooks",
        action="store_true",
        help="refuse a file with pre or post, which act on the host",
    )
    add("--no-dated-tags", action="store_true", help="tag as NAME only, not as NAME-DATE_N too")
    parser.add_json("a line of JSON for each target that is built")


def selection(parser: Parser) -> None:
    """What is to be built, and what decides whether it was; for `plan` as well."""
    add = parser.add_argument
    add("targets", metavar="TARGET", nargs="*", help="what to build; else all of the file")
    add("-f", "--file", metavar="FILE", help=f"the YAML file; else {DEFAULT_FILE}")
    add(
        "--compression",
        metavar="KIND[:LEVEL]",
        default="gzip",
        help="of new layers: gzip or zstd, with a level if you like",
    )
    add(
        "--no-cache",
        action="append",
        default=[],
        metavar="TARGET,…",
        help="build although nothing changed: all targets, or those named behind a '='",
    )


def run(options: argparse.Namespace, session: Session) -> int:
    progress = session.progress()

    def show(event: AnyEvent) -> None:
        progress(event)
        if isinstance(event, Finished):
            shared = session.results.on_a_terminal
            with progress.aside() if shared else contextlib.nullcontext():
                _result(event, session, as_json=options.json)

    try:
        outcome = _recalled(options, session, show) or _build(options, session, show, progress.tick)
    finally:
        progress.close()
    if outcome.failed:
        if outcome.built or outcome.skipped:
            session.messages.note(_summary(outcome))
        return outcome.failed[0].exit_status
    return 0


def _recalled(options: argparse.Namespace, session: Session, show: OnEvent) -> Outcome | None:
    """The outcome of a build with nothing to do; None: there may be something."""
    if options.no_cache:
        return None
    algorithm, _, level = options.compression.partition(":")
    asked = Asked(
        file_of(options),
        session.settings.layoutdir,
        session.settings.statedir,
        tuple(options.targets),
        (algorithm, level),
        session.settings.epoch,
        not options.no_hooks,
    )
    return recall(asked, show, dated_tags=not options.no_dated_tags)


def _build(
    options: argparse.Namespace, session: Session, show: OnEvent, on_tick: Callable[[], None]
) -> Outcome:
    from genoci.build.schedule import build  # the YAML parser, the planner, the workers

    request = request_of(options, session)._replace(
        driver=session.driver(),
        jobs=options.jobs or len(os.sched_getaffinity(0)),
        keep_going=options.keep_going,
        dated_tags=not options.no_dated_tags,
        hooks=not options.no_hooks,
        expect_cached=options.expect_cached,
        explain=options.explain,
    )
    return build(request, show, on_tick=on_tick)


def request_of(options: argparse.Namespace, session: Session) -> Request:
    """What the options of `selection` ask for."""
    from pathlib import Path

    from genoci.build.request import Request
    from genoci.layer.compression import Compression

    return Request(
        file=Path(file_of(options)),
        targets=tuple(options.targets),
        layout=session.settings.layout,
        state=session.settings.state,
        compression=Compression.parse(options.compression),
        epoch=session.settings.epoch,
        use_cache="" not in options.no_cache,
        uncached=tuple(name for names in options.no_cache for name in _names(names)),
    )


def _names(text: str) -> list[str]:
    """The targets that a `--no-cache=TARGET,…` names."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if text and not names:
        raise UsageError("--no-cache= names no target", mend="For all of them: --no-cache")
    return names


def file_of(options: argparse.Namespace) -> str:
    """The YAML file that the options name; UsageError if there is none."""
    if options.file is not None:
        file: str = options.file
        return file
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
    return DEFAULT_FILE


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
