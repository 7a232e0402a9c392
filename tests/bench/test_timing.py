"""That a sample is the command's own time and memory, and that a failure ends no run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench.memory import Watch
from bench.timing import Command, Contender, Failed, Unmeasured, measure, timed

_MB = 1_000_000


def python(code: str, folder: Path, **fields: bool) -> Command:
    return Command((sys.executable, "-c", code), folder, **fields)  # type: ignore[arg-type]


def sh(script: str, folder: Path) -> Command:
    return Command(("sh", "-c", script), folder)


def test_a_sample_is_the_time_of_the_command(tmp_path: Path) -> None:
    work = "import time\nuntil = time.monotonic() + 0.2\nwhile time.monotonic() < until: pass"
    sample = timed(python(work, tmp_path))
    assert sample.wall >= 0.2
    assert sample.cpu is not None and sample.cpu > timed(sh(":", tmp_path)).cpu  # type: ignore[operator]


def test_time_counts_from_the_stamp_of_the_step_on(tmp_path: Path) -> None:
    """The stamp lies long ago, so nobody can take this for the whole command's time."""
    command = python("print('t: step-ended 1000000000.5')", tmp_path, after_step=True)
    assert timed(command).wall > 10**8


def test_a_step_without_a_stamp_is_a_failure(tmp_path: Path) -> None:
    """What a builder shows of the command line that prints the stamp is none."""
    with pytest.raises(Failed, match="step-ended"):
        timed(python("print('RUN date +step-ended %s.%N')", tmp_path, after_step=True))


def test_memory_is_that_of_the_largest_process_below_the_command(tmp_path: Path) -> None:
    large = f"{sys.executable} -c 'len(b\"x\" * (300 << 20))'"
    sample = timed(sh(f"{large}; true", tmp_path))
    assert 300 * _MB < sample.largest < 400 * _MB


def test_memory_is_not_ours(tmp_path: Path) -> None:
    ours = b"x" * (300 << 20)
    assert timed(sh(":", tmp_path), watch=True).largest < len(ours)
    assert timed(sh(":", tmp_path), watch=True).together < len(ours)


def test_memory_of_all_descendants_is_added() -> None:
    held = "print(len(b := b'x' * (50 << 20)), flush=True); input()"
    two = f'{sys.executable} -c "{held}" & {sys.executable} -c "{held}"; wait'
    with subprocess.Popen(
        ["sh", "-c", f"exec 3<&0; {two.replace('&', '<&3 &')}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        with Watch([process.pid]) as watch:
            pass
        process.stdin.write(b"\n\n")
    assert 100 * _MB < watch.peak < 200 * _MB


def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"status 7 of sh.*no such thing"):
        timed(sh("echo no such thing >&2; exit 7", tmp_path))


def test_who_fails_is_shown_as_failed_and_the_others_go_on(tmp_path: Path) -> None:
    good = Contender("good", lambda: sh(":", tmp_path))
    bad = Contender("bad", lambda: sh("echo why; false", tmp_path))
    results = measure([bad, good], 3, lambda: None)
    assert len(results["good"].samples) == 3
    assert results["bad"].problem.startswith("failed: status 1") and "why" in results["bad"].problem
    with pytest.raises(Unmeasured, match="bad: failed"):
        _ = results["bad"].median


def test_a_program_that_is_not_there_is_a_failure_too(tmp_path: Path) -> None:
    missing = Contender("missing", lambda: Command(("no-such-program-here",), tmp_path))
    assert "no-such-program-here" in measure([missing], 1, lambda: None)["missing"].problem


def test_who_can_not_take_part_is_not_asked_to() -> None:
    def turn() -> Command:
        raise AssertionError

    result = measure([Contender("x", turn, "x not installed")], 2, lambda: None)["x"]
    assert (result.samples, result.problem) == ((), "x not installed")


def test_contenders_take_turns_and_the_first_round_does_not_count(tmp_path: Path) -> None:
    log: list[str] = []

    def contender(name: str) -> Contender:
        def turn() -> Command:
            log.append(name)
            return sh(":", tmp_path)

        return Contender(name, turn)

    results = measure([contender("a"), contender("b")], 2, lambda: log.append("settle"))
    assert log == ["a", "settle", "b", "settle"] * 3
    assert [len(result.samples) for result in results.values()] == [2, 2]


def test_preparing_is_not_timed(tmp_path: Path) -> None:
    def turn() -> Command:
        timed(python("import time\nwhile time.process_time() < 1: pass", tmp_path))
        return sh(":", tmp_path)

    result = measure([Contender("x", turn)], 1, lambda: None)["x"]
    assert result.cpu is not None and result.cpu < 1
