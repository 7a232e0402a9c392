"""The whole examination, in the order in which it is shown."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from genoci.build.doctor import confinement, machine, places, storage
from genoci.build.doctor.apart import workplace
from genoci.build.doctor.finding import Finding, looked_at
from genoci.snapshot.driver import Driver


class Report(msgspec.Struct, frozen=True):
    """`run`: whether builds work in which something runs."""

    run: bool
    findings: tuple[Finding, ...]


def examine(layout: Path, state: Path, driver: Driver, config: Path | None) -> Report:
    """Look at everything that a build needs, each in a process of its own. Never raises.

    Nothing is left behind, no state either where there was none.
    """
    findings = tuple(_findings(layout, state, driver, config))
    return Report(not any(it.state in ("missing", "unknown") for it in findings), findings)


def _findings(layout: Path, state: Path, driver: Driver, config: Path | None) -> Iterator[Finding]:
    yield from machine.machine()
    with contextlib.ExitStack() as stack:
        place: list[Path] = []

        def kept() -> Finding:
            place.append(stack.enter_context(workplace(state)))
            return Finding(storage.GROUP, "state", "ok", "files can be made in it")

        usable = looked_at(storage.GROUP, "state", kept)
        yield from confinement.namespaces(place[0] if place else None)
        yield from confinement.confinement()
        if place:
            yield from storage.snapshots(place[0], driver)
        else:
            yield usable
    yield from places.places(layout, state, config)
    yield from places.environment(os.environ)
