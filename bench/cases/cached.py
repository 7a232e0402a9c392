"""What costs a look-up, or little more."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bench.case import Case, Place, ratio
from bench.cases.changed import buildah_changed, docker_changed, genoci_changed
from bench.peers import Genoci, run, shell
from bench.timing import Command, Contender


def changed_line(place: Place) -> Case:
    """One line of `run` is another, on the base of 500 MB that everybody has unpacked."""
    step = "echo {} > /line"
    map_root = "" if os.geteuid() == 0 else "--map-root-user"
    namespaces = f"unshare {map_root} --mount --pid --ipc --uts --fork --root={place.tree}"
    return Case(
        "one line of `run` changed",
        [
            genoci_changed(place, "genoci", place.tarball, step),
            buildah_changed(place, "buildah --layers", place.tarball, step),
            docker_changed(place, "docker", place.tarball, step),
            Contender(
                "limit: a shell in namespaces",
                lambda: shell(f"{namespaces} /bin/sh -c 'echo 1 > /line'", place.new()),
            ),
            _python(place),
        ],
        [ratio("genoci", "buildah --layers", 0.5), ratio("genoci", "docker", 0.8)],
    )


def nothing_changed(place: Place) -> Case:
    """Two targets that are built already."""
    step = "echo line > /line"
    genoci = place.genoci(
        f"base: {{base: empty, expand: {place.tarball}}}\nt: {{base: base, run: '{step}'}}\n"
    )
    run(genoci.build())
    return Case(
        "nothing changed, 2 targets",
        [
            Contender("genoci", genoci.build),
            buildah_changed(place, "buildah --layers", place.tarball, step),
            docker_changed(place, "docker", place.tarball, step),
            Contender("genoci, dated tags too", lambda: genoci("build")),
            _python(place),
        ],
        [
            ratio("genoci", "buildah --layers", 1.0),
            ratio("genoci, dated tags too", "buildah --layers"),
            ratio("genoci", "docker"),
        ],
    )


def many_unchanged(place: Place) -> Case:
    """Two hundred targets that are built already, in five levels, against two."""
    few, many = _levels(place, 1, 2), _levels(place, 40, 5)
    return Case(
        "nothing changed, 200 targets in 5 levels",
        [
            Contender("200 targets", many.build),
            Contender("2 targets", few.build),
            Contender("200 targets, dated tags too", lambda: many("build")),
            Contender("2 targets, dated tags too", lambda: few("build")),
            _python(place),
        ],
        [
            ratio("200 targets", "2 targets", 3),
            ratio("200 targets, dated tags too", "2 targets, dated tags too", 3),
        ],
    )


def _levels(place: Place, width: int, depth: int) -> Genoci:
    genoci = place.genoci()
    (genoci.folder / "f").write_text("f")
    lines = []
    for level in range(depth):
        for number in range(width):
            base = f"t{level - 1}x{number}" if level else "empty"
            lines.append(f"t{level}x{number}: {{base: {base}, copy: f /{level}x{number}}}\n")
    genoci.yaml("".join(lines))
    run(genoci.build())
    return genoci


def many_tags(place: Place) -> Case:
    """Nothing to do, in a layout with 20,000 dated tags, against one with twenty."""
    many, few = _dated(place, 20_000), _dated(place, 20)
    return Case(
        "nothing changed, 20,000 dated tags",
        [
            Contender("20,000 dated tags", lambda: many("build")),
            Contender("20 dated tags", lambda: few("build")),
            _python(place),
        ],
        [ratio("20,000 dated tags", "20 dated tags", 2)],
    )


def _dated(place: Place, tags: int) -> Genoci:
    """Of two targets, twenty tags a day of each."""
    genoci = _levels(place, 1, 2)
    index = genoci.layout / "index.json"
    document = json.loads(index.read_text())
    name = "org.opencontainers.image.ref.name"
    for entry in list(document["manifests"]):
        tag = entry.get("annotations", {}).get(name)
        if tag is None:
            continue  # a cache entry
        for number in range(tags // 2):
            day = f"{2000 + number // 20 // 336}-{number // 20 % 12 + 1:02}"
            dated = f"{tag}-{day}-{number // 20 // 12 % 28 + 1:02}_{number % 20 + 1}"
            document["manifests"].append({**entry, "annotations": {name: dated}})
    index.write_text(json.dumps(document))
    return genoci


def _python(place: Place) -> Contender:
    """What no program in Python can be below."""
    command = Command((*place.python, "pass"), Path("/"))
    return Contender("limit: python -c pass", lambda: command)
