"""`genoci doctor`: what this machine can and cannot do for a build, and the mend."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genoci.cli.parser import DRIVERS, Parser, choice
from genoci.cli.session import Session
from genoci.cli.text import one_line

if TYPE_CHECKING:
    from genoci.build.doctor.examine import Report
    from genoci.build.doctor.finding import Finding

EXAMPLES = """
genoci doctor
genoci doctor --driver btrfs       as if that were asked for
genoci doctor --json | jq -r '.findings[] | select(.state == "missing") | .mend'
"""
_MARKS = {"ok": "ok", "limited": "limited", "missing": "MISSING", "unknown": "unknown", "note": ""}


def arguments(parser: Parser) -> None:
    what = f"what root filesystems are to stand on: {', '.join(DRIVERS)}"
    parser.add_argument("--driver", metavar="NAME", type=choice("--driver", DRIVERS), help=what)
    parser.add_json("what can be built, and every finding")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.doctor.examine import examine
    from genoci.snapshot.driver import Driver

    settings = session.settings
    btrfs = str(settings.btrfs.absolute()) if settings.btrfs else None
    driver = Driver(settings.driver, btrfs)
    report = examine(settings.layout, settings.state, driver, settings.config)
    if options.json:
        import msgspec

        session.results.document(msgspec.to_builtins(report))
    else:
        session.results.lines([*_lines(report.findings), _verdict(report)])
    return 0 if report.run else 3


def _lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    width = max(len(finding.name) for finding in findings)
    for group, some in itertools.groupby(findings, key=lambda finding: finding.group):
        yield group
        for finding in some:
            head = f"  {_MARKS[finding.state]:<7}  {finding.name:<{width}}  "
            yield head + one_line(finding.what)
            for line in finding.mend.splitlines():
                yield " " * len(head) + one_line(line)


def _verdict(report: Report) -> str:
    if report.run:
        return "Builds work here, those of targets with a `run` too."
    if report.build:
        return (
            "Targets with a `run` can't be built here: see what is marked above. "
            "Others are built all the same."
        )
    return "Nothing can be built here: see what is marked above."
