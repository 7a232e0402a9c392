"""Large jobs: two heavy targets on two processors, and a tarball of 8 GB."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bench.case import Aim, Case, Place, Results, ratio
from bench.cases.base import BASE, PIPELINE
from bench.peers import Genoci, lacking, run, shell
from bench.timing import Command, Contender

_SOURCE = Path(__file__).parents[2]
_GB = 10**9


def two_heavy_targets(place: Place) -> Case:
    """Two `run`s that need nothing but a processor, at once and one after the other."""
    work = "i=0; while [ $i -lt 30 ]; do head -c 20000000 /dev/zero | sha256sum; i=$((i+1)); done"
    targets = "".join(f"t{n}: {{base: base, run: '{work}; # {n}'}}\n" for n in "12")
    genoci = place.genoci(BASE.format(tarball=place.tarball) + targets)
    run(genoci.build())
    both = ("--no-cache=t1,t2", "t1", "t2")
    return Case(
        "two independent heavy targets",
        [
            Contender("2 jobs", lambda: genoci.build("--jobs", "2", *both)),
            Contender("1 job", lambda: genoci.build("--jobs", "1", *both)),
            Contender(
                "limit: two shells at once",
                lambda: shell(f"({work}) & ({work}); wait", place.new()),
            ),
            Contender(
                "two shells one after the other",
                lambda: shell(f"({work}); ({work})", place.new()),
            ),
        ],
        [
            ratio("2 jobs", "1 job", 1 / 1.7),
            ratio("limit: two shells at once", "two shells one after the other"),
        ],
    )


def eight_gigabytes(place: Place) -> Case:
    """`expand` of tarballs of 8 GB and 1 GB: is time linear, is memory flat?

    The one case that deletes between its runs: the layer of the run before, one file. The disk
    would not hold them all.
    """
    large, small = _tarball(place, 8), _tarball(place, 1)
    scratch = place.new()
    return Case(
        "8 GB tarball",
        [
            _expanding(place, "8 GB", large),
            _expanding(place, "1 GB", small),
            Contender(
                "shell pipeline, 8 GB",
                lambda: shell(PIPELINE.format(tarball=large), scratch),
                lacking("igzip", "openssl"),
            ),
            Contender("limit: cp of the tarball", lambda: shell(f"cp {large} blob", scratch)),
        ],
        [
            Aim("time for a byte, 8 GB / 1 GB", _linear, 1.1),
            Aim("peak memory", lambda results: results["8 GB"].peak / 1e6, 120, "MB"),
            ratio("8 GB", "shell pipeline, 8 GB", 0.6),
        ],
    )


def _linear(results: Results) -> float:
    return results["8 GB"].median / results["1 GB"].median / 8


def _tarball(place: Place, size: int) -> Path:
    folder = place.new()
    program = "igzip -1" if not lacking("igzip") else "gzip -1"
    making = f"cd {_SOURCE} && {sys.executable} -m bench.data {size * _GB}"
    run(shell(f"({making}) | {program} > large.tar.gz", folder))
    return folder / "large.tar.gz"


def _expanding(place: Place, name: str, tarball: Path) -> Contender:
    before: list[Genoci] = []

    def turn() -> Command:
        while before:
            shutil.rmtree(before.pop().layout)
        before.append(place.genoci(BASE.format(tarball=tarball)))
        return before[0].build()

    return Contender(name, turn)
