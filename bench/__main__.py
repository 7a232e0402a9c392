"""Runs the cases, and writes a table: Markdown for people, JSON for programs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.case import Case, Place
from bench.cases import CASES
from bench.ground import Unable, check_space, end_properly, go_apart, ground
from bench.installed import installed
from bench.peers import versions
from bench.report import machine, markdown, told
from bench.timing import Failed, measure

_SOURCE = Path(__file__).parents[1]


def main() -> int:
    options = _options()
    go_apart()
    end_properly()
    program = installed(_SOURCE, options.out.absolute())
    document: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(program),
        "runs": options.runs,
        "cases": [],
    }
    for make, kind in CASES.items():
        if not options.case or make.__name__ in options.case:
            print(f"{make.__name__} …", file=sys.stderr)
            document["cases"].append(_case(make, kind, program, options))
            _write(document, options.out)
    print(markdown(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--tarball",
        type=Path,
        default=Path(".cache/debian/root.tar.gz"),
        help="a root filesystem with Python (scripts/debian-root makes one)",
    )
    parser.add_argument("--runs", type=int, default=5, help="one more is made, and does not count")
    parser.add_argument("--out", type=Path, default=Path(".cache/bench"))
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where the filesystems of the cases are made",
    )
    parser.add_argument(
        "case", nargs="*", metavar="CASE", help=f"{', '.join(_names())}; without any: all"
    )
    options = parser.parse_args()
    unknown = sorted({*options.case} - {*_names()})
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}. There are {', '.join(_names())}")
    if options.runs < 1:
        parser.error("at least one run is needed")
    return options


def _names() -> list[str]:
    return [make.__name__ for make in CASES]


def _case(
    make: Callable[[Place], Case], kind: str, program: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """One case on a filesystem of its own. What goes wrong with it is told, and ends no other."""
    name = make.__name__
    try:
        check_space(options.scratch, options.runs + 1)
        with ground(kind, options.scratch) as folder, contextlib.ExitStack() as closing:
            temporary = folder / "tmp"
            temporary.mkdir()
            os.environ["TMPDIR"] = str(temporary)  # where some put their layers while making them
            case = make(Place(folder, options.tarball.absolute(), program, closing))
            return told(name, case, measure(case.contenders, options.runs, lambda: _settle(folder)))
    except (Failed, Unable, OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return {"name": name, "title": name, "problem": str(error)}


def _settle(folder: Path) -> None:
    """Nobody pays for what somebody else has left to be written."""
    subprocess.run(["sync", "-f", folder], check=True)


def _write(document: dict[str, Any], out: Path) -> None:
    """After each case: what is measured is not lost when a later one is interrupted."""
    (out / "bench.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (out / "bench.md").write_text(markdown(document))


if __name__ == "__main__":
    sys.exit(main())
