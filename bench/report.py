"""What was measured as a document, and the document as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from typing import Any

from bench.case import Aim, Case, Results
from bench.timing import Result, Unmeasured


def machine() -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB",
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as stream:
        for line in stream:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def told(name: str, case: Case, results: Results) -> dict[str, Any]:
    """A case as it goes into the document."""
    first = results[case.contenders[0].name]
    return {
        "name": name,
        "title": case.title,
        "results": [_result(result, first) for result in results.values()],
        "aims": [_aim(aim, results) for aim in case.aims],
    }


def _result(result: Result, first: Result) -> dict[str, Any]:
    try:
        walls = result.walls
    except Unmeasured:
        return {"who": result.name, "problem": result.problem}
    return {
        "who": result.name,
        "median": round(result.median, 4),
        "spread": [round(min(walls), 4), round(max(walls), 4)],
        "runs": [round(wall, 4) for wall in walls],
        "cpu": None if result.cpu is None else round(result.cpu, 4),
        "peak_mb": round(result.peak / 1e6, 1),
        "peak_is_sure": result.largest > 0,
        "ratio": round(first.median / result.median, 3) if first.samples else None,
        "command": result.command,
    }


def _aim(aim: Aim, results: Results) -> dict[str, Any]:
    told: dict[str, Any] = {"what": aim.what, "unit": aim.unit, "to_reach": aim.at_most}
    try:
        value = aim.value(results)
    except Unmeasured as error:
        return told | {"problem": str(error)}
    reached = None if aim.at_most is None else value <= aim.at_most
    return told | {"value": round(value, 4), "reached": reached}


def markdown(document: dict[str, Any]) -> str:
    facts = [*document["machine"].items(), *document["versions"].items()]
    lines = [f"- {name}: {value}" for name, value in facts]
    lines.append(f"- {document['runs']} runs of each, in turn, after one that does not count")
    lines += [
        "",
        "| case | what | measured | to reach | reached |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += _rows(document, _aim_rows)
    lines += ["", "| case | who | median s | min to max | CPU s | peak MB | first / this |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |", *_rows(document, _result_rows)]
    return "\n".join(lines) + "\n"


def _rows(document: dict[str, Any], of: Any) -> Iterator[str]:
    for case in document["cases"]:
        for number, row in enumerate(of(case)):
            name = case["title"] if number == 0 else ""
            yield _row([name, *row])


def _aim_rows(case: dict[str, Any]) -> Iterator[list[str]]:
    if "problem" in case:
        yield ["", case["problem"], "", "not measured"]
    for aim in case.get("aims", ()):
        most = "" if aim["to_reach"] is None else f"≤ {_number(aim['to_reach'])} {aim['unit']}"
        if "problem" in aim:
            yield [aim["what"], aim["problem"], most, "not measured"]
            continue
        reached = {True: "yes", False: "**no**", None: ""}[aim["reached"]]
        yield [aim["what"], f"{_number(aim['value'])} {aim['unit']}", most, reached]


def _result_rows(case: dict[str, Any]) -> Iterator[list[str]]:
    for number, one in enumerate(case.get("results", ())):
        if "problem" in one:
            yield [one["who"], one["problem"], "", "", "", ""]
            continue
        low, high = one["spread"]
        ratio = f"{one['ratio']:.2f}" if number and one["ratio"] is not None else ""
        seconds = [f"{one['median']:.3f}", f"{low:.3f} to {high:.3f}"]
        cpu = "" if one["cpu"] is None else f"{one['cpu']:.2f}"
        peak = ("" if one["peak_is_sure"] else "≥ ") + f"{one['peak_mb']:.0f}"
        yield [one["who"], *seconds, cpu, peak, ratio]


def _row(cells: list[str]) -> str:
    """In one line, whatever somebody's error message holds."""
    plain = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
    return "| " + " | ".join(plain) + " |"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"
