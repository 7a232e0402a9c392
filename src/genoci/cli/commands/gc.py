"""`genoci gc`: what nothing needs, deleted, in the layout and in the state."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genoci.cli import text
from genoci.cli.parser import Parser, whole_number
from genoci.cli.session import Session
from genoci.oci.layout import Layout

if TYPE_CHECKING:
    from genoci.build.collect import Collected
    from genoci.oci.documents import Descriptor

EXAMPLES = """
genoci gc                         what nothing needs; every tag stays
genoci gc --keep 3                also dated tags, but the newest three of each name
genoci gc --keep-days 30          also dated tags that are older than thirty days
genoci gc --keep 3 --dry-run      only show what would go
genoci gc --unused-days 0         also downloads and caches that were used today
"""
# The kinds of what is dropped, as they are counted, and how JSON calls them.
_NOUNS = {
    "blob": "blobs",
    "snapshot": "snapshots",
    "listing": "listings",
    "input": "inputs",
    "trace": "traces",
    "download": "downloads",
    "cache": "caches",
    "leftover": "leftovers",
}


def arguments(parser: Parser) -> None:
    add = parser.add_argument
    what = "drop dated tags too, but the newest N of each name"
    add("--keep", metavar="N", type=whole_number("--keep"), help=what)
    what = "drop dated tags too, but those of the last D days; with --keep: what neither keeps"
    add("--keep-days", metavar="D", type=whole_number("--keep-days"), help=what)
    what = "of the state, drop downloads and caches that nobody has used for D days (14)"
    add("--unused-days", metavar="D", type=whole_number("--unused-days"), help=what)
    add("--dry-run", action="store_true", help="change nothing, show what would be dropped")
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.collect import UNUSED_DAYS, Limits, collect

    layout = Layout.at(session.settings.layout)
    unused_days = UNUSED_DAYS if options.unused_days is None else options.unused_days
    collected = collect(
        layout,
        session.settings.state,
        Limits(options.keep, options.keep_days, unused_days),
        session.tell,
        driver=session.driver_if_there(),
        in_hand=_checked_out(layout, session),
        dry_run=options.dry_run,
    )
    if options.json:
        session.results.document(_document(collected, dry_run=options.dry_run))
    else:
        session.results.lines(_lines(collected))
        session.messages.note(_summary(collected, dry_run=options.dry_run))
        dropped = collected.layout.tags or _sizes(collected)
        if not dropped and (options.keep, options.keep_days) == (None, None):
            session.messages.note("every tag stays; --keep N would drop old dated ones")
    for what in collected.left:
        session.messages.warning(f"left alone: {what}")
    if collected.spared:
        session.messages.warning(*_spared(collected, unused_days))
    return 0


def _checked_out(layout: Layout, session: Session) -> list[Descriptor]:
    """The image of this layout that is out, which its check-in needs, whatever its tag does."""
    from genoci.lpack.record import recorded

    try:
        out = recorded(session.settings.state)
    except OSError:  # a state of another user's
        return []
    if out is None or Path(out.layout).resolve() != layout.path.resolve():
        return []
    return [out.descriptor] if out.descriptor else []


def _sizes(collected: Collected) -> dict[str, list[int]]:
    """The bytes of all that was dropped, by kind; those of the blobs together."""
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    report = collected.layout
    if report.blobs:
        sizes["blob"] = [report.bytes]
    for thing in collected.dropped:
        sizes[thing.kind].append(thing.bytes)
    for _, size in report.leftovers:
        sizes["leftover"].append(size)
    return sizes


def _lines(collected: Collected) -> list[str]:
    report = collected.layout
    lines = [f"tag {tag}" for tag in report.tags]
    lines += [f"blob {digest}" for digest in report.blobs]
    lines += [f"leftover {name}" for name, _ in report.leftovers]
    lines += [f"{thing.kind} {thing.name}" for thing in collected.dropped]
    return [text.one_line(line) for line in lines]


def _summary(collected: Collected, *, dry_run: bool) -> str:
    sizes = _sizes(collected)
    tags, blobs = len(collected.layout.tags), len(collected.layout.blobs)
    if not tags and not sizes:
        return "nothing to drop"
    verb = "would drop" if dry_run else "dropped"
    total = text.size(sum(map(sum, sizes.values())))
    if set(sizes) <= {"blob"}:
        return f"{verb} {text.count(tags, 'tag')} and {text.count(blobs, 'blob')}, {total}"
    counts = {"blob": blobs} | {kind: len(found) for kind, found in sizes.items() if kind != "blob"}
    parts = [text.count(tags, "tag")]
    parts += [f"{_counted(kind, counts[kind])} ({text.size(sum(sizes[kind]))})" for kind in sizes]
    return f"{verb} {', '.join(parts[:-1])} and {parts[-1]}: {total}"


def _counted(kind: str, number: int) -> str:
    return f"{number} {kind if number == 1 else _NOUNS[kind]}"


def _spared(collected: Collected, unused_days: int) -> tuple[str, str]:
    number = _counted("snapshot", collected.spared)
    absent = ", ".join(collected.absent[:3]) + (", …" if len(collected.absent) > 3 else "")
    return (
        f"left for now: {number} that no image needs here, used within {unused_days} days: "
        f"this state has served layouts that can't be asked: {absent}",
        "If they are gone for good: genoci gc --unused-days 0",
    )


def _document(collected: Collected, *, dry_run: bool) -> dict[str, Any]:
    report, sizes = collected.layout, _sizes(collected)
    by_kind: dict[str, Iterable[Any]] = {
        name: [
            {"name": thing.name, "bytes": thing.bytes}
            | ({"driver": thing.driver} if thing.driver else {})
            for thing in collected.dropped
            if thing.kind == kind
        ]
        for kind, name in _NOUNS.items()
        if kind != "blob"
    }
    by_kind["leftovers"] = [
        *({"name": name, "bytes": size} for name, size in report.leftovers),
        *by_kind["leftovers"],
    ]
    return {
        "dryRun": dry_run,
        "tags": list(report.tags),
        "blobs": [str(digest) for digest in report.blobs],
        **by_kind,
        "bytes": sum(map(sum, sizes.values())),
        "bytesOf": {name: sum(sizes.get(kind, [])) for kind, name in _NOUNS.items()},
        "left": list(collected.left),
        "spared": collected.spared,
    }
