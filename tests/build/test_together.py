"""Builds at the same time, as users start them: processes of their own, one of which may die."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workshop import Workshop

# The hook's line in `log` proves who built; `go` lets it end.
YAML = """
base: {{base: empty, expand: {rootfs}}}
t:
  base: base
  pre: "echo built >> log; echo begun; cat < go"
  run: head -c 8 /dev/urandom > /random
"""
BEGUN, WAITING = "  | begun\n", "  waiting for a build of the same layer\n"


@pytest.fixture
def project(workshop: Workshop, rootfs: Path) -> Workshop:
    workshop.write("genoci.yaml", YAML.format(rootfs=rootfs))
    os.mkfifo(workshop.folder / "go")
    return workshop


@pytest.fixture(autouse=True)
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """All that `start` started; none of it outlives a test that fails."""
    _started.clear()
    yield _started
    for process in _started:
        process.kill()
        process.wait()


_started: list[subprocess.Popen[str]] = []


def start(workshop: Workshop, *options: str) -> subprocess.Popen[str]:
    where = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    words = ["build", "-f", str(workshop.folder / "genoci.yaml"), "--no-dated-tags", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "genoci", *words, *where, "--progress", "plain"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _started.append(process)
    return process


def says(process: subprocess.Popen[str], *wanted: str) -> str:
    """Read on until it has said all of `wanted`; what it said."""
    assert process.stderr
    missing, said = set(wanted), ""
    while missing and (line := process.stderr.readline()):
        missing.discard(line)
        said += line
    assert not missing, said
    return said


def rest_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    with process.stderr:
        rest = process.stderr.read()
    process.wait()
    return rest


def let_go(workshop: Workshop) -> None:
    (workshop.folder / "go").write_text("")


def test_of_two_one_builds_and_the_other_waits_and_uses_it(project: Workshop) -> None:
    one = start(project)
    says(one, BEGUN)
    other = start(project)
    says(other, WAITING)
    let_go(project)
    rest_of(one)
    assert "  cached: t\n" in rest_of(other)
    assert one.returncode == other.returncode == 0
    assert (project.folder / "log").read_text() == "built\n"


def test_when_the_one_that_builds_is_killed_the_other_goes_on(project: Workshop) -> None:
    one = start(project)
    says(one, BEGUN)
    other = start(project)
    says(other, WAITING)
    one.kill()
    rest_of(one)
    says(other, BEGUN)
    let_go(project)
    assert "cached" not in rest_of(other)
    assert (one.returncode, other.returncode) == (-signal.SIGKILL, 0)
    assert (project.folder / "log").read_text() == "built\nbuilt\n"
    assert not list((project.state / "building").iterdir())


def test_when_the_one_that_builds_fails_the_other_tries_it_too(project: Workshop) -> None:
    file = project.folder / "genoci.yaml"
    file.write_text(file.read_text().replace("cat < go", "cat < go; test ! -e broken"))
    (project.folder / "broken").touch()
    one = start(project)
    says(one, BEGUN)
    other = start(project)
    says(other, WAITING)
    let_go(project)
    rest_of(one)
    says(other, BEGUN)
    (project.folder / "broken").unlink()
    let_go(project)
    rest_of(other)
    assert (one.returncode, other.returncode) == (1, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_that_is_built_at_once_and_leaves_nothing(
    workshop: Workshop, rootfs: Path, number: signal.Signals
) -> None:
    waits = "run: 'echo begun; exec sleep 10000'"
    mounts = "pre: mount -t tmpfs none $GENOCI_ROOTFS/tmp"
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        f"one: {{base: base, {waits}}}\n"
        f"two: {{base: base, {waits}, {mounts}}}\n"
        "three: {base: base, run: 'true'}\n",
    )
    build = start(workshop, "--jobs", "2")
    says(build, "  one | begun\n", "  two | begun\n")
    build.send_signal(number)
    assert rest_of(build).startswith("error: interrupted")
    assert build.returncode == 130
    assert not processes_in(workshop.folder)
    assert not list((workshop.state / "building").iterdir())
    left = [str(path) for path in workshop.folder.rglob("*")]
    assert not [path for path in left if "/active-" in path or ".genoci-" in path]
    assert set(workshop.layout.tags()) == {"base"}


def processes_in(folder: Path) -> list[str]:
    """Those whose command line names it, or whose root or working directory lies in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name, read in itertools.product(("root", "cwd"), (os.readlink,)):
            try:
                if read(process / name).startswith(str(folder)):
                    found.append(process.name)
            except OSError:
                continue
        try:
            if str(folder) in (process / "cmdline").read_text():
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("going_on", [False, True])
def test_a_failure_lets_what_has_begun_end_and_its_status_is_the_builds(
    workshop: Workshop, rootfs: Path, going_on: bool
) -> None:
    """`t` has begun when `bad` fails, and ends afterwards."""
    os.mkfifo(workshop.folder / "go")
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "t: {base: base, pre: 'echo begun; cat < go', run: 'true'}\n"
        "bad: {base: base, run: echo bad; exit 7}\n"
        "top: {base: bad, run: 'true'}\n"
        "last: {base: base, run: 'true'}\n",
    )
    build = start(workshop, "--jobs", "2", *(["--keep-going"] if going_on else []))
    said = says(build, "  t | begun\n", "top: not built, because of bad\n")
    let_go(workshop)
    said += rest_of(build)
    assert build.returncode == 1
    assert set(workshop.layout.tags()) == {"base", "t", *(["last"] if going_on else [])}
    assert ("last: not built, because of bad\n" in said) is not going_on
