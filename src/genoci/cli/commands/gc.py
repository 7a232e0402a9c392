"""`genoci gc`: blobs that nothing in the layout's index reaches, deleted."""

from __future__ import annotations

import argparse
import datetime

from genoci.cli import text
from genoci.cli.parser import Parser, whole_number
from genoci.cli.session import Session
from genoci.oci.gc import Report, collect
from genoci.oci.layout import Layout

EXAMPLES = """
genoci gc                         what nothing needs; every tag stays
genoci gc --keep 3                also dated tags, but the newest three of each name
genoci gc --keep-days 30          also dated tags that are older than thirty days
genoci gc --keep 3 --dry-run      only show what would go
"""


def arguments(parser: Parser) -> None:
    add = parser.add_argument
    what = "drop dated tags too, but the newest N of each name"
    add("--keep", metavar="N", type=whole_number("--keep"), help=what)
    what = "drop dated tags too, but those of the last D days; with --keep: what neither keeps"
    add("--keep-days", metavar="D", type=whole_number("--keep-days"), help=what)
    add("--dry-run", action="store_true", help="change nothing, show what would be dropped")
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    report = collect(
        Layout.at(session.settings.layout),
        keep=options.keep,
        keep_days=options.keep_days,
        today=datetime.date.today(),
        dry_run=options.dry_run,
    )
    if options.json:
        session.results.document(
            {
                "dryRun": options.dry_run,
                "tags": list(report.tags),
                "blobs": [str(digest) for digest in report.blobs],
                "bytes": report.bytes,
            }
        )
    else:
        session.results.lines(_lines(report))
        session.messages.note(_summary(report, dry_run=options.dry_run))
        rules = (options.keep, options.keep_days)
        if not (report.tags or report.blobs) and rules == (None, None):
            session.messages.note("every tag stays; --keep N would drop old dated ones")
    return 0


def _lines(report: Report) -> list[str]:
    tags = [text.one_line(f"tag {tag}") for tag in report.tags]
    return tags + [f"blob {digest}" for digest in report.blobs]


def _summary(report: Report, *, dry_run: bool) -> str:
    if not report.tags and not report.blobs:
        return "nothing to drop"
    tags, blobs = text.count(len(report.tags), "tag"), text.count(len(report.blobs), "blob")
    verb = "would drop" if dry_run else "dropped"
    return f"{verb} {tags} and {blobs}, {text.size(report.bytes)}"
