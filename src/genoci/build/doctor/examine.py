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

_ALWAYS = ("libraries", "state")  # what every build needs
_FOR_A_RUN = ("user namespaces", "container", "driver")


class Report(msgspec.Struct, frozen=True):
    """`build`: whether anything can be built; `run`: also what has a `run`."""

    build: bool
    run: bool
    findings: tuple[Finding, ...]


def examine(layout: Path, state: Path, driver: Driver, config: Path | None) -> Report:
    """Look at everything that a build needs, each in a process of its own. Never raises.

    Nothing is left behind, no state either where there was none.
    """
    findings = tuple(_findings(layout, state, driver, config))
    missing = {it.name for it in findings if it.state == "missing"}
    works = {it.name for it in findings if it.state in ("ok", "limited")}
    build = missing.isdisjoint(_ALWAYS)
    return Report(build, build and works.issuperset(_FOR_A_RUN), findings)


def _findings(layout: Path, state: Path, driver: Driver, config: Path | None) -> Iterator[Finding]:
    yield from machine.machine()
    with contextlib.ExitStack() as stack:
        found: list[Path] = []

        def usable() -> Finding:
            found.append(stack.enter_context(workplace(state)))
            return places.space("state", state, "")

        of_the_state = looked_at(places.PLACES, "state", usable)
        place = found[0] if found else None
        entered = looked_at(confinement.NAMESPACES, "user namespaces", confinement.user_namespaces)
        lacking = "user namespace" if entered.state != "ok" else "" if place else "state"
        yield from confinement.namespaces(entered, place, lacking)
        yield from confinement.confinement()
        for one in storage.snapshots(driver, place, lacking):
            what = one.what.replace(str(place), str(state)) if place else one.what
            yield msgspec.structs.replace(one, what=what)
    yield of_the_state
    yield from places.places(layout, config)
    yield from places.environment(os.environ)
