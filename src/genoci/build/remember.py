"""A finished build's trace, for `recall`: of what the planner knows, and the index as it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from genoci.build import trace
from genoci.build.outcome import Outcome
from genoci.build.plan import Planner
from genoci.build.request import Request
from genoci.build.trace import Asked, Looks, Trace, Traced
from genoci.errors import LayoutError
from genoci.oci.cache import Cache
from genoci.oci.digest import Digest
from genoci.oci.index import IndexFile, read_index
from genoci.oci.layout import Layout
from genoci.oci.reference import highest_dated
from genoci.spec.target import Spec, Target


def remember(
    request: Request,
    spec: Spec,
    targets: Sequence[Target],
    planner: Planner,
    looks: Looks,
    outcome: Outcome,
) -> None:
    """Keep the build's trace in place of an older one; none if the next build has to look itself.

    So it is after a failure, of what was changed just before it was read, and of `cache: never`.
    """
    found = None
    asked = as_asked(request)
    if outcome.ok and looks.settled:
        layout = Layout(request.layout)
        with contextlib.suppress(LayoutError, OSError):  # somebody else has changed it since
            found = _trace(spec, targets, layout, planner, looks, outcome)
    if found is None:
        trace.forget(asked)
    else:
        trace.save(asked, found)


def as_asked(request: Request) -> Asked:
    """What a trace is kept for."""
    algorithm, level = request.compression
    return Asked(
        str(request.file),
        str(request.layout),
        str(request.state),
        request.targets,
        (algorithm, "" if level is None else str(level)),
        request.epoch,
        request.hooks,
    )


def _trace(
    spec: Spec,
    targets: Sequence[Target],
    layout: Layout,
    planner: Planner,
    looks: Looks,
    outcome: Outcome,
) -> Trace | None:
    stamp = trace.index_of(
        str(layout.path)
    )  # before it is read, so that a change in between is seen
    index = read_index(layout.index_path)
    cached = _cached(targets, planner, Cache(layout, index))
    tagged = _tagged(planner, index)
    if stamp is None or cached is None or tagged is None:
        return None
    date = time.strftime("%Y-%m-%d")
    numbers = None
    if spec.keep is None and layout.index_path.read_bytes() == index.encoded():
        highest = highest_dated(date, index.names())
        numbers = {it.target: highest.get(it.target, 0) for it in outcome.built}
    blobs = {digest.hex for digest in (*cached.blobs, *_parts(planner))}
    return Trace(
        paths=looks.paths,
        entries=looks.entries,
        patterns=looks.patterns,
        index_file=stamp,
        blobs={name: trace.blob_identity(str(layout.path), name) for name in blobs},
        until=cached.until,
        warnings=list(spec.warnings),
        images=[tagged[it.target] for it in outcome.built],
        date=date,
        numbers=numbers,
    )


class _Cached(NamedTuple):
    blobs: list[Digest]
    until: float | None


def _cached(targets: Sequence[Target], planner: Planner, cache: Cache) -> _Cached | None:
    """What the targets' cache entries consist of, and how long they count; None if one does not."""
    blobs: list[Digest] = []
    until: list[float] = []
    for target in targets:
        key = planner.known_key(target).digest
        result = cache.find(key)
        if result is None or target.max_age == 0:
            return None
        if target.max_age is not None:
            until.append(result.made + target.max_age)
        blobs += cache.parts(key)
    return _Cached(blobs, min(until, default=None))


def _tagged(planner: Planner, index: IndexFile) -> dict[str, Traced] | None:
    """The images by name; None if a name stands for another by now."""
    named = {entry.name: entry for entry in reversed(index.entries) if entry.name}
    tagged: dict[str, Traced] = {}
    for name, _, manifest in planner.stored_images():
        found = named[name].descriptor if name in named else None
        if found is None or found.digest != manifest:
            return None
        tagged[name] = Traced(name, found.media_type, str(manifest), found.size)
    return tagged


def _parts(planner: Planner) -> Iterator[Digest]:
    """The blobs of all images, and of those that they stand on."""
    for _, image, manifest in planner.stored_images():
        yield from (manifest, image.config_digest)
        yield from (it.descriptor.digest for it in image.layers if not it.descriptor.urls)
