"""Whole processes timed, from start to exit, several runs of each, in turn."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shlex
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bench.memory import Watch

# What a step prints when it is done, if only what comes after it is to be measured.
STAMP = "date +'step-ended %s.%N'"
_STAMPED = re.compile(rb"step-ended (\d+\.\d+)")


class Command(NamedTuple):
    """What is timed. `after_step`: the clock starts when the command's output has the stamp.

    `engine` is a daemon that does the work for it: its memory counts as well.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = MappingProxyType({})
    engine: int | None = None
    after_step: bool = False

    def __str__(self) -> str:
        return shlex.join(self.argv)


class Sample(NamedTuple):
    """Seconds of wall clock, and of processors; bytes of the largest process, and of all together
    if watched. What processors do for an engine, or in a part of a run, can't be told: None.
    """

    wall: float
    cpu: float | None
    largest: int
    together: int


class Failed(Exception):
    """A command of the benchmark ended with a status other than 0, having said this."""


class Unmeasured(Exception):
    """A contender has no samples, for this reason."""


def timed(command: Command, *, watch: bool = False) -> Sample:
    """Run a command to its end. Raises Failed; however it is left, the command has ended."""
    environment = {**os.environ, **command.env}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # programs that are installed are compiled
    with tempfile.TemporaryFile() as said, contextlib.ExitStack() as watching:
        began = time.monotonic()
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            process_group=0,
        )
        try:
            roots = (process.pid, *([command.engine] if command.engine else []))
            seen = watching.enter_context(Watch(roots)) if watch else None
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _end(process)
            raise
        wall, now = time.monotonic() - began, time.time()
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read()
    if process.returncode != 0:
        tail = output.decode(errors="replace").strip()[-600:]
        raise Failed(f"status {process.returncode} of {str(command)[:200]}: {tail}")
    if command.after_step:
        wall = now - _stamped(command, output)
    cpu = None if command.engine or command.after_step else usage.ru_utime + usage.ru_stime
    return Sample(wall, cpu, _largest(usage), seen.peak if seen else 0)


def _stamped(command: Command, output: bytes) -> float:
    stamps = _STAMPED.findall(output)
    if not stamps:
        raise Failed(f"its step said no 'step-ended': {str(command)[:200]}")
    return float(stamps[-1])


def _largest(usage: resource.struct_rusage) -> int:
    """The peak of the largest process, or 0 where that can't be told.

    Between fork and exec a child counts with its parent's memory, which is ours.
    """
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * 1024 if usage.ru_maxrss > ours else 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """A process and its group: asked first, so that it can clean up after itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait()


class Contender(NamedTuple):
    """Who does the job. `turn` prepares a run, which is not timed, and gives the command that is.

    `lacking` is why it can't take part on this machine, if it can't.
    """

    name: str
    turn: Callable[[], Command]
    lacking: str = ""


class Result(NamedTuple):
    """What was measured of a contender, or the problem that it had."""

    name: str
    samples: tuple[Sample, ...]
    command: str = ""
    together: int = 0
    problem: str = ""

    @property
    def walls(self) -> list[float]:
        """Seconds of each run. Raises Unmeasured."""
        if not self.samples:
            raise Unmeasured(f"{self.name}: {self.problem}")
        return [sample.wall for sample in self.samples]

    @property
    def median(self) -> float:
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float | None:
        """Seconds of all processors, the median; None if it can't be told."""
        seconds = [sample.cpu for sample in self.samples if sample.cpu is not None]
        return statistics.median(seconds) if seconds else None

    @property
    def peak(self) -> int:
        """Bytes: of all processes together, or of the largest if that was more.

        Of short runs with small processes only the first is known, and was perhaps missed.
        """
        return max(self.together, self.largest)

    @property
    def largest(self) -> int:
        """Bytes of the largest process of any run; 0 if none was larger than our own."""
        return max(sample.largest for sample in self.samples)


def measure(
    contenders: Sequence[Contender], runs: int, settle: Callable[[], object]
) -> dict[str, Result]:
    """All in turn, so that they share the machine's moods.

    One round goes before that does not count: caches are warm afterwards, and memory is watched in
    it. `settle` is called before each run. Who fails is out, with the problem; the others go on.
    """
    results = {one.name: Result(one.name, (), problem=one.lacking) for one in contenders}
    for number in range(runs + 1):
        for one in contenders:
            before = results[one.name]
            if not before.problem:
                results[one.name] = _turn(one, before, settle, counts=number > 0)
    return results


def _turn(one: Contender, before: Result, settle: Callable[[], object], *, counts: bool) -> Result:
    try:
        command = one.turn()
        settle()
        sample = timed(command, watch=not counts)
    except (Failed, OSError) as error:
        return Result(one.name, (), problem=f"failed: {error}")
    if counts:
        return before._replace(samples=(*before.samples, sample), command=str(command))
    return before._replace(together=sample.together)
