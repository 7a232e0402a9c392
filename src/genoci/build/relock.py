"""`lock`: what is installed by name today, found out by installing it, and written down."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from genoci.build import state
from genoci.build.course import Course
from genoci.build.events import AnyEvent, Finished
from genoci.build.hooks import refuse_hooks
from genoci.build.lock import addresses, changes, fetching, locked
from genoci.build.lock import write as write_lock
from genoci.build.outcome import Outcome
from genoci.build.request import Request
from genoci.build.schedule import (
    Interruptible,
    keep,
    planner_for,
    refuse_mixture,
    tags_of,
)
from genoci.build.trace import Looks
from genoci.oci.documents import Descriptor
from genoci.oci.layout import Layout
from genoci.oci.publish import publish
from genoci.spec.lock import Lock, Locked, beside, read_lock
from genoci.spec.order import order
from genoci.spec.pinned import Pinned
from genoci.spec.read import read
from genoci.spec.target import Spec


class Relocked(NamedTuple):
    """What `lock` did: the `changes`, a line each, of the lock file `path`, if it was `written`."""

    path: Path
    changes: tuple[str, ...]
    packages: int
    written: bool
    outcome: Outcome


def lock(
    request: Request,
    on_event: Callable[[AnyEvent], None],
    *,
    on_tick: Callable[[], None] = lambda: None,
) -> Relocked:
    """Find out what the targets install by name today, and write it into the lock file.

    Builds them for that, and what they stand on, without a lock file's help; tags nothing. If a
    target fails, the lock file stays as it was. Raises as `build` does.
    """
    spec = read(request.file, tags=lambda: tags_of(request.layout))
    names = [target.name for target in order(spec, request.targets) if fetching(target)]
    needed = order(spec, names) if names else ()
    if not request.hooks:
        refuse_hooks(needed)
    sections = read_lock(beside(request.file)) or {}
    refuse_mixture(request)
    state.make(request.state)
    layout = Layout.create_or_open(request.layout)
    with layout.holding(shared=True), state.using(request.state), Interruptible():
        # Only a build of its own tells what a target installs, so the cache is not asked.
        anew = request._replace(uncached=tuple(names))
        planner = planner_for(anew, spec, layout, on_event, Looks())
        course = Course(
            anew,
            spec,
            layout,
            planner,
            lambda event: None if isinstance(event, Finished) else on_event(event),
            on_tick,
            publisher=partial(_untagged, layout),
        )
        course.run(needed)
        keep(planner.inputs)
    outcome = Outcome(tuple(course.built), tuple(course.failed), tuple(course.skipped))
    return _relocked(request, spec, sections, course.installed, outcome)


def _untagged(
    layout: Layout, images: Mapping[str, Descriptor], *, cached: Collection[Descriptor]
) -> dict[str, tuple[str, ...]]:
    publish(layout, {}, date=None, cached=cached)
    return dict.fromkeys(images, ())


def _relocked(
    request: Request,
    spec: Spec,
    sections: dict[str, Lock],
    installed: Mapping[str, tuple[Pinned, ...]],
    outcome: Outcome,
) -> Relocked:
    """Replace the file's section; of targets that were not asked for, what was known stays."""
    path, name = beside(request.file), request.file.name
    before = sections.get(name, Lock())
    after: dict[str, Locked] = {}
    for target in spec.targets:
        if not fetching(target):
            continue
        if target.name in installed:
            after[target.name] = locked(target, installed[target.name])
        elif target.name in before.targets:
            after[target.name] = before.targets[target.name]
    count = sum(len(it.packages) for it in after.values())
    written = False
    if outcome.ok:
        section = Lock(after, addresses(spec.targets))
        sections = {n: s for n, s in sections.items() if n != name}
        if section.targets or section.urls:
            sections[name] = section
        written = (sections or path.exists()) and write_lock(path, sections)
    return Relocked(path, tuple(changes(before.targets, after)), count, written, outcome)
