"""Runs the cases, and writes a table: Markdown for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.cases import CASES, Case, Place
from bench.timing import Failed, Result, measure
from bench.tools import versions


def main() -> int:
    options = _options()
    document: dict[str, Any] = {"machine": _machine(), "versions": versions(), "cases": []}
    folder = Path(tempfile.mkdtemp(prefix="genoci-bench-", dir=options.scratch))
    try:
        for number, make in enumerate(CASES):
            if options.case and make.__name__ not in options.case:
                continue
            place = Place(folder / str(number), options.tarball.absolute())
            place.folder.mkdir()
            print(f"{make.__name__} …", file=sys.stderr)
            try:
                case = make(place)
                document["cases"].append(_told(case, measure(case.contenders, options.runs)))
            except Failed as error:
                document["cases"].append({"name": make.__name__, "failed": str(error)})
                print(error, file=sys.stderr)
            finally:
                _removed(place.folder)
    finally:
        _removed(folder)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.out / "bench.md").write_text(_table(document))
    print(_table(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--tarball", type=Path, default=Path(".cache/debian/root.tar.gz"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--scratch", type=Path, help="where layouts, states and trees are made")
    parser.add_argument("case", nargs="*", help="names of cases; else all")
    return parser.parse_args()


def _machine() -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
    }


def _told(case: Case, results: list[Result]) -> dict[str, Any]:
    ours = results[0]
    return {
        "name": case.name,
        "results": [
            {
                "who": result.name,
                "median": round(result.median, 3),
                "spread": [round(second, 3) for second in result.spread],
                "peak_mib": round(result.peak, 1),
                "ratio": round(ours.median / result.median, 3),
                "aim": round(case.aims[result.name], 3) if result.name in case.aims else None,
            }
            for result in results
        ],
    }


def _table(document: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in document["machine"].items()]
    lines += [f"{name}: {value}" for name, value in document["versions"].items()]
    lines = [f"- {line}" for line in lines]
    lines += ["", "| case | who | median s | min to max | peak MiB | ratio | to reach |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for case in document["cases"]:
        if "failed" in case:
            lines.append(f"| {case['name']} | failed | | | | | |")
            continue
        for number, result in enumerate(case["results"]):
            name = case["name"] if number == 0 else ""
            low, high = result["spread"]
            ratio = f"{result['ratio']:.2f}" if number else ""
            aim = f"≤ {result['aim']:.2f}" if result["aim"] is not None else ""
            lines.append(
                f"| {name} | {result['who']} | {result['median']:.3f} | {low:.3f} to {high:.3f} "
                f"| {result['peak_mib']:.0f} | {ratio} | {aim} |"
            )
    return "\n".join(lines) + "\n"


def _removed(folder: Path) -> None:
    """With what may be mounted in it by storage drivers of others."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if str(folder) in line.split()[4]:
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
