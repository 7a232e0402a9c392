"""`genoci diff`: what differs between two images, in files and config."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from genoci.cli.changes import of_files
from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.cli.text import one_line
from genoci.oci.layout import Layout

if TYPE_CHECKING:
    from genoci.build.operations import TreeDiff

EXAMPLES = """
genoci diff base app              A: only app has it, D: only base has it, C: changed
genoci diff app-2026-11-23_1 app
genoci diff empty app             all that is in app
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("before", metavar="TAG", help="what to compare with; 'empty' is allowed")
    parser.add_argument("after", metavar="TAG", help="the image of which the changes are shown")
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.operations import diff

    layout = Layout.at(session.settings.layout)
    found = diff(layout, session.settings.state, options.before, options.after, session.tell)
    if options.json:
        import msgspec

        session.results.document(msgspec.to_builtins(found))
        return 0
    lines = [*of_files(found), *_config(found)]
    session.results.lines([one_line(line) for line in lines])
    if not lines:
        session.messages.note("no difference")
    return 0


def _config(found: TreeDiff) -> Iterator[str]:
    for change in found.config:
        if change.before is None:
            yield f"A config {change.field}: {_value(change.after)}"
        elif change.after is None:
            yield f"D config {change.field}: {_value(change.before)}"
        else:
            values = f"{_value(change.before)} became {_value(change.after)}"
            yield f"C config {change.field}: {values}"


def _value(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
