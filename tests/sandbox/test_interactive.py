"""A command at the caller's terminal, or joined to his streams."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genoci.sandbox import process

PIPES = tuple[int, int, int]


def interactive(container: Any, *argv: str) -> int:
    container.be_a_worker()
    return process.interactive(container.command(*argv), warn=lambda what, mend: None)


class AtTerminal:
    """A worker whose standard streams are a terminal that the test holds the other end of."""

    def __init__(self, container: Any, *argv: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            status = 99
            try:
                status = interactive(container, *argv)
            finally:
                os._exit(status)
        self.seen = b""

    def until(self, text: bytes) -> bytes:
        while text not in self.seen:
            data = self._read()
            if not data:
                raise AssertionError(f"ended after {self.seen!r}")
            self.seen += data
        before, _, self.seen = self.seen.partition(text)
        return before

    def _read(self) -> bytes:
        assert select.select([self.fd], [], [], 60)[0], f"silent after {self.seen!r}"
        try:
            return os.read(self.fd, 4096)
        except OSError:
            return b""

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def end(self) -> int:
        while data := self._read():
            self.seen += data
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_a_shell_talks_and_its_status_comes_back(container: Any) -> None:
    shell = AtTerminal(container, "/bin/sh", "-c", "read x; echo got:$x; exit 7")
    shell.type(b"words\n")
    shell.until(b"got:words")
    assert shell.end() == 7


def test_it_has_a_terminal_of_the_containers_own(container: Any) -> None:
    program = (
        "tty; ls -l /dev/console | cut -c1; echo to-console >/dev/console; echo to-tty >/dev/tty"
    )
    shell = AtTerminal(container, "/bin/sh", "-c", program)
    assert shell.until(b"\r\n") == b"/dev/pts/0"
    shell.until(b"c\r\n")
    shell.until(b"to-console")
    shell.until(b"to-tty")
    assert shell.end() == 0


def test_ctrl_c_goes_to_the_command(container: Any) -> None:
    program = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done"
    shell = AtTerminal(container, "/bin/sh", "-c", program)
    shell.until(b"ready")
    shell.type(b"\x03")
    shell.until(b"caught")
    assert shell.end() == 5


def test_ctrl_d_ends_the_input(container: Any) -> None:
    shell = AtTerminal(container, "/bin/sh", "-c", "echo ready; cat; echo done")
    shell.until(b"ready")
    shell.type(b"\x04")
    shell.until(b"done")
    assert shell.end() == 0


def set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def test_the_size_of_the_terminal_is_followed(container: Any) -> None:
    program = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done"
    shell = AtTerminal(container, "/bin/sh", "-c", program)
    shell.until(b"ready")
    set_size(shell.fd, 40, 100)
    shell.until(b"40 100")
    assert shell.end() == 0


def test_the_size_is_right_from_the_start(container: Any) -> None:
    read, write = os.pipe()
    container_pid, fd = pty.fork()
    if container_pid == 0:
        os.read(read, 1)
        status = 99
        try:
            status = interactive(container, "/bin/stty", "size")
        finally:
            os._exit(status)
    set_size(fd, 33, 77)
    os.write(write, b"!")
    seen = b""
    while b"33 77" not in seen:
        seen += os.read(fd, 100)
    os.waitpid(container_pid, 0)
    for end in (read, write, fd):
        os.close(end)


def modes(fd: int) -> list[Any]:
    return termios.tcgetattr(fd)[:4]


@pytest.mark.parametrize("program", ["exit 3", "kill -9 $$", "stty raw -echo"])
def test_the_modes_of_the_callers_terminal_come_back(container: Any, program: str) -> None:
    pid, fd = pty.fork()
    if pid == 0:
        status = 99
        try:
            before = modes(0)
            interactive(container, "/bin/sh", "-c", program)
            status = 0 if modes(0) == before else 1
        finally:
            os._exit(status)
    while True:
        try:
            if not os.read(fd, 4096):
                break
        except OSError:
            break
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    assert os.waitstatus_to_exitcode(status) == 0


def test_nothing_is_left_of_it_in_the_root(container: Any) -> None:
    assert AtTerminal(container, "/bin/true").end() == 0
    assert os.listdir(container.root) == ["bin"]


def test_a_background_process_does_not_keep_the_terminal(container: Any) -> None:
    shell = AtTerminal(container, "/bin/sh", "-c", "setsid sleep 1000 & sleep 1000 & echo bye")
    shell.until(b"bye")
    assert shell.end() == 0


@pytest.fixture
def piped(container: Any) -> Callable[..., tuple[int, bytes, bytes]]:
    """Runs a shell's text with these bytes as input: status, output, errors."""

    def run(shell: str, given: bytes | Path = b"") -> tuple[int, bytes, bytes]:
        (in_read, in_write), outs = os.pipe(), (os.pipe(), os.pipe())
        if isinstance(given, Path):
            os.close(in_read)
            in_read = os.open(given, os.O_RDONLY)
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                for target, fd in enumerate((in_read, outs[0][1], outs[1][1])):
                    os.dup2(fd, target)
                os.closerange(3, 100)
                status = interactive(container, "/bin/sh", "-c", shell)
            finally:
                os._exit(status)
        os.close(in_read)
        for _, write in outs:
            os.close(write)
        writer = os.fork()
        if writer == 0:
            try:
                os.write(in_write, given) if isinstance(given, bytes) else None
            finally:
                os._exit(0)
        os.close(in_write)
        told = []
        for read, _ in outs:
            with open(read, "rb") as stream:
                told.append(stream.read())
        os.waitpid(writer, 0)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), told[0], told[1]

    return run


def test_without_a_terminal_the_streams_are_joined(piped: Any) -> None:
    assert piped("cat; echo problem >&2; exit 4", b"given") == (4, b"given", b"problem\n")


def test_a_command_that_does_not_read_its_input_ends_all_the_same(piped: Any) -> None:
    assert piped("exit 3", b"x" * 1_000_000)[0] == 3
    assert piped("head -c 3", b"x" * 1_000_000) == (0, b"xxx", b"")


def test_much_goes_through_both_ways_at_once(piped: Any) -> None:
    data = os.urandom(3_000_000)
    assert piped("cat", data) == (0, data, b"")


def test_input_may_be_a_file(piped: Any, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"from a file")
    assert piped("cat", tmp_path / "input") == (0, b"from a file", b"")
    assert piped("cat", Path("/dev/null")) == (0, b"", b"")


def test_a_directory_as_input_does_not_lead_out(piped: Any) -> None:
    """A descriptor of the caller's would: `cd /proc/self/fd/0`."""
    status, output, _ = piped(
        "cd /proc/self/fd/0 && ls; ls -l /proc/self/fd | grep -v pipe:", Path("/")
    )
    assert b"usr" not in output.split()
    assert status in (0, 1)


def test_an_interrupt_ends_it_and_gives_the_terminal_back(container: Any) -> None:
    """SIGTERM is how the scheduler ends a worker."""
    read, write = os.pipe()
    pid, fd = pty.fork()
    if pid == 0:
        status = 99
        try:
            before = modes(0)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                interactive(container, "/bin/sh", "-c", "echo ready; sleep 1000")
            except KeyboardInterrupt:
                status = 5 if modes(0) == before else 6
            os.write(write, b"ended")
        finally:
            os._exit(status)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(fd, 4096)
    os.kill(pid, signal.SIGTERM)
    assert os.read(read, 100) == b"ended"
    _, status = os.waitpid(pid, 0)
    for end in (read, write, fd):
        os.close(end)
    assert os.waitstatus_to_exitcode(status) == 5
    assert os.listdir(container.root) == ["bin"]
