"""Whole processes timed: wall clock, processor time and peak memory, several runs of each."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """One run: seconds of wall clock and of processors, and the largest process in MiB."""

    wall: float
    cpu: float
    peak: float


class Failed(Exception):
    """A command of the benchmark ended with a status other than 0, having said this."""


def timed(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Sample:
    """Run a command to its end. Raises Failed."""
    environment = {**os.environ, **(env or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # programs that are installed are compiled
    began = time.monotonic()
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        shown = " ".join(map(str, argv))[:300]
        raise Failed(f"{shown}: {said.decode(errors='replace')[-2000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Contender(NamedTuple):
    """Who does the job: `prepare` before each run, not timed; `run` is timed."""

    name: str
    run: Callable[[], Sample]
    prepare: Callable[[], object] = lambda: None


class Result(NamedTuple):
    name: str
    samples: tuple[Sample, ...]

    @property
    def median(self) -> float:
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        walls = [sample.wall for sample in self.samples]
        return min(walls), max(walls)

    @property
    def peak(self) -> float:
        return max(sample.peak for sample in self.samples)


def measure(contenders: Sequence[Contender], runs: int) -> list[Result]:
    """All in turn, so that they share the machine's moods; one round before that does not count."""
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for round_ in range(runs + 1):
        for contender in contenders:
            contender.prepare()
            sample = contender.run()
            if round_:
                samples[contender.name].append(sample)
    return [Result(name, tuple(of)) for name, of in samples.items()]
