"""The job that most builds are: a base that stays, and one line of `run` that is another."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

from bench import docker
from bench.case import Place
from bench.peers import Buildah, Genoci, lacking, run
from bench.timing import Command, Contender


def genoci_changed(
    place: Place, name: str, tarball: Path, step: str, *options: str, progress: str = "quiet"
) -> Contender:
    """`step` holds a `{}`, which is another number each time; the base is built once, before."""
    lines = itertools.count()

    @functools.cache
    def based() -> Genoci:
        genoci = place.genoci()
        change(genoci)
        run(genoci.build(*options))
        return genoci

    def change(genoci: Genoci) -> None:
        genoci.yaml(
            f"base: {{base: empty, expand: {tarball}}}\n"
            f"t:\n  base: base\n  run: |\n    {step.format(next(lines))}\n"
        )

    def turn() -> Command:
        change(based())
        return based().build(*options, "t", progress=progress)

    return Contender(name, turn)


def buildah_changed(place: Place, name: str, tarball: Path, step: str) -> Contender:
    lines = itertools.count()

    @functools.cache
    def based() -> tuple[Buildah, Path]:
        theirs = Buildah(place.new())
        run(theirs.bud(f"FROM scratch\nADD {tarball.name} /\n", "base", place.context(tarball)))
        return theirs, place.new()

    def turn() -> Command:
        theirs, context = based()
        return theirs.bud(_on_base(step, lines, "localhost/base"), "t", context)

    return Contender(name, turn, lacking("buildah"))


def docker_changed(place: Place, name: str, tarball: Path, step: str) -> Contender:
    lines = itertools.count()

    @functools.cache
    def based() -> Path:
        dockerfile = f"FROM scratch\nADD {tarball.name} /\n"
        run(place.docker.build(place.context(tarball), dockerfile, _tag(tarball)))
        return place.new()

    def turn() -> Command:
        return place.docker.build(based(), _on_base(step, lines, _tag(tarball)), "t")

    return Contender(name, turn, docker.lacking())


def _tag(tarball: Path) -> str:
    """Two bases of one case share an engine."""
    return f"base-{tarball.name.partition('.')[0]}"


def _on_base(step: str, lines: itertools.count[int], base: str) -> str:
    return f"FROM {base}\nRUN {step.format(next(lines))}\n"
