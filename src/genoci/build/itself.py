"""A target that copies what it is built with: the layout, or the state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from genoci.build.ownership import excluded
from genoci.build.words import path_from
from genoci.spec.target import Copy, Target


def copied_along(
    target: Target, folder: str, layout: Path | None, state: Path
) -> Iterator[tuple[str, str]]:
    """A warning and its mend for each folder that is copied with the layout or the state in it.

    They change with every build, so that such a target is never cached, and grows each time.
    """
    steps = [step for step in target.steps if isinstance(step, Copy) and step.image is None]
    for step in steps:
        for source in filter(os.path.isdir, step.sources):
            for name, place in (("layout", layout), ("state", state)):
                path = os.path.relpath(os.path.realpath(place or ""), os.path.realpath(source))
                if place is None or path.startswith("..") or _is_left_out(path, step.exclude):
                    continue
                yield (
                    f"target {target.name} copies the {name}, which changes with every build",
                    f"Leave it out: {{src: {path_from(folder, source)}, dest: {step.dest}, "
                    f"exclude: {path}}}",
                )


def _is_left_out(path: str, patterns: tuple[str, ...]) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return any(excluded(os.fsencode(one), patterns) for one in above)
