"""Every process of a step ends with it, whatever ends it."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def processes_of(marker: str) -> list[int]:
    """The processes on this machine that have `marker` in their environment or command line."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                text = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            except OSError:
                continue
            if marker.encode() in text:
                found.append(int(path.name))
    return found


@pytest.fixture
def marker() -> str:
    return f"genoci-test-{os.urandom(8).hex()}"


BACKGROUND = """
sleep 1000 & (sleep 1000 & sleep 1000 &) & setsid sleep 1000 </dev/null >/dev/null 2>&1 &
setsid sh -c 'setsid sleep 1000 & exit' ; trap '' TERM HUP INT; (while :; do sleep 1000; done) &
"""


def test_what_a_command_leaves_in_the_background_ends_with_it(container: Any, marker: str) -> None:
    ran = container(f"{BACKGROUND} echo end", env={"PATH": "/bin", "MARKER": marker})
    assert (ran.status, ran.text) == (0, "end\n")
    assert processes_of(marker) == []


def test_children_of_a_fork_bomb_end_with_it(container: Any, marker: str) -> None:
    bomb = "bomb() { [ $1 = 0 ] || { bomb $(($1-1)) & bomb $(($1-1)) & }; sleep 1000; }; bomb 5 &"
    ran = container(f"{bomb} sleep 0.1; echo end", env={"PATH": "/bin", "MARKER": marker})
    assert ran.text == "end\n"
    assert processes_of(marker) == []


def test_orphans_are_reaped_while_the_command_runs(container: Any) -> None:
    orphans = "for i in 1 2 3 4 5; do (true &) ; done; (exec true) & wait; "
    wait = "while grep -qs 'State:.Z' /proc/[0-9]*/status; do :; done; echo none"
    assert container(orphans + wait).text == "none\n"


def running(
    container: Any, marker: str, end: Callable[[int], None], *, then: str = "sleep 1000"
) -> int:
    """Start a command, wait until it has spoken, `end` its worker: the worker's wait status."""
    heard_read, heard_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        try:
            container.in_a_worker(
                "/bin/sh",
                "-c",
                f"{BACKGROUND} echo started; {then}",
                env={"PATH": "/bin", "MARKER": marker},
                on_output=lambda data: os.write(heard_write, data) and None,
            )
        except KeyboardInterrupt:
            os._exit(7)
        finally:
            os._exit(9)
    os.close(heard_write)
    assert os.read(heard_read, 100) == b"started\n"
    end(pid)
    _, status = os.waitpid(pid, 0)
    os.close(heard_read)
    return status


def gone(marker: str) -> bool:
    """Whether the kernel has ended them: it was told to, and needs its moment."""
    deadline = time.monotonic() + 60
    while processes_of(marker):
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.01)
    return True


def test_when_the_worker_is_killed_all_of_the_step_dies(container: Any, marker: str) -> None:
    status = running(container, marker, lambda pid: os.kill(pid, signal.SIGKILL))
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert gone(marker)


def test_when_the_worker_is_interrupted_nothing_is_left_when_run_returns(
    container: Any, marker: str
) -> None:
    status = running(container, marker, lambda pid: os.kill(pid, signal.SIGINT))
    assert os.waitstatus_to_exitcode(status) == 7
    assert processes_of(marker) == []
    assert sorted(os.listdir(container.root)) == ["bin"]


def test_a_stopped_command_dies_too(container: Any, marker: str) -> None:
    running(
        container,
        marker,
        lambda pid: os.kill(pid, signal.SIGKILL),
        then="kill -STOP -1; kill -STOP $$",
    )
    assert gone(marker)


def test_the_command_can_neither_kill_nor_stop_pid_1(container: Any) -> None:
    signals = "for s in INT TERM HUP QUIT SEGV ABRT CHLD USR1 STOP KILL; do kill -$s 1; done"
    assert container(f"{signals}; sleep 0.05; echo alive").text.endswith("\nalive\n")


def test_an_exception_while_output_is_taken_ends_the_step(
    container: Any, apart: Any, marker: str
) -> None:
    def body() -> None:
        def complain(data: bytes) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            container.in_a_worker(
                "/bin/sh",
                "-c",
                f"{BACKGROUND} echo x; sleep 1000",
                env={"PATH": "/bin", "MARKER": marker},
                on_output=complain,
            )

    apart(body)
    assert processes_of(marker) == []


def test_no_lock_is_kept_by_the_processes_of_a_step(
    container: Any, tmp_path: Path, marker: str
) -> None:
    """A forked child keeps the flock of its holder until it closes the descriptor."""
    import fcntl

    path = tmp_path / "lock"
    path.touch()
    heard_read, heard_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)

        def unlock(data: bytes) -> None:
            os.close(fd)
            os.write(heard_write, b"closed")

        try:
            container.in_a_worker(
                "/bin/sh", "-c", "echo x; sleep 1000", env={"PATH": "/bin"}, on_output=unlock
            )
        finally:
            os._exit(9)
    os.close(heard_write)
    assert os.read(heard_read, 100) == b"closed"
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(heard_read)
