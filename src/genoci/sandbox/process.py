"""A command in a container of its own: started, listened to, and gone to the last process."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from genoci import linux
from genoci.errors import BuildError, MachineError
from genoci.sandbox import init, seccomp, terminal
from genoci.sandbox.mounts import Content, container
from genoci.sandbox.stubs import Stubs

_NAME = "genoci"  # the host name inside: not the machine's, so that no build depends on it
_SHOWN = {"etc/resolv.conf": "/etc/resolv.conf", "etc/hosts": "/etc/hosts"}


class Command(msgspec.Struct, frozen=True):
    """What to run, and as whom; `root` is a mount point.

    `env` is the whole environment. `files` are contents that are seen at paths below /dev/genoci,
    executable, and never in the root itself.
    """

    argv: tuple[str, ...]
    root: Path
    env: Mapping[str, str]
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    network: bool = True
    files: tuple[tuple[str, bytes], ...] = ()


Warn = Callable[[str, str], None]


def run(command: Command, on_output: Callable[[bytes], None], *, warn: Warn) -> int:
    """Run it, hand over all that it prints, and give its exit status (128 + N: signal N).

    When this returns or raises, no process of the container is left. Raises FileNotFoundError if
    the root has no such program, MachineError if the machine does not allow a container.
    """
    with _Container(command, None, warn) as running:
        running.relay(on_output)
        return running.status()


def interactive(command: Command, *, warn: Warn) -> int:
    """Run it on the caller's terminal, or, where there is none, on the caller's own streams."""
    if not (os.isatty(0) and os.isatty(1)):
        with _Container(command, (0, 1, 2), warn) as running:
            return running.status()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, _Container(command, theirs, warn) as running:
        theirs.close()
        received = socket.recv_fds(ours, 1, 1)[1]
        if received:
            terminal.relay(received[0])
        return running.status()


Streams = tuple[int, int, int] | socket.socket | None


class _Container:
    """A running command; leaving the block ends every process of it."""

    def __init__(self, command: Command, streams: Streams, warn: Warn) -> None:
        self._command = command
        self._streams = streams
        self._filter = seccomp.default_filter()
        if self._filter is None:
            warn(
                "libseccomp is missing: commands run without a filter of system calls",
                "Install the package libseccomp2.",
            )

    def __enter__(self) -> _Container:
        self._root_fd = os.open(self._command.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack = contextlib.ExitStack()
        self._stack.callback(os.close, self._root_fd)
        try:
            readable = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._root_fd)
            self._stack.callback(os.close, readable)
            stubs = self._stack.enter_context(Stubs(readable))
            self._start(self._actions(stubs))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._alive.close()
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        # The last process of the container is gone when nobody holds this pipe's other end.
        while os.read(self._output, 1 << 16):
            pass
        os.close(self._output)
        os.close(self._report)
        self._stack.close()

    def _actions(self, stubs: Stubs) -> init.Plan:
        for name in ("proc", "sys", "dev"):
            stubs.directory(name)
        files = [Content(path.lstrip("/"), data, 0o555) for path, data in self._command.files]
        shown = []
        for inside, outside in _SHOWN.items():
            place = stubs.file(inside)
            if place is not None and os.path.exists(outside):
                copy = f"dev/genoci/{os.path.basename(outside)}"
                files.append(Content(copy, Path(outside).read_bytes(), 0o644))
                shown.append((copy, place))
        return init.Plan(container(files, shown), self._filter, _NAME)

    def _start(self, plan: init.Plan) -> None:
        self._output, output = os.pipe()
        self._report, report = os.pipe()
        watched, alive = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(alive)
            _be_the_keeper(self._command, plan, self._streams, output, report, watched)
        self._pid = pid
        for fd in (output, report, watched):
            os.close(fd)
        self._alive = os.fdopen(alive, "wb", buffering=0)

    def relay(self, on_output: Callable[[bytes], None]) -> None:
        """Hand over everything the container prints, until its last process has ended."""
        while data := os.read(self._output, 1 << 16):
            on_output(data)

    def status(self) -> int:
        """How the command ended, once it has."""
        told = b""
        while data := os.read(self._report, 1 << 16):
            told += data
        os.waitpid(self._pid, 0)
        self._pid = 0
        if not told:
            return 128 + signal.SIGKILL
        report = msgspec.json.decode(told, type=init.Report)
        if report.error:
            raise _translated(report, self._command)
        return report.status


def _translated(report: init.Report, command: Command) -> Exception:
    if report.doing == "exec":
        if report.error == errno.ENOENT:
            return FileNotFoundError(report.error, os.strerror(report.error), command.argv[0])
        return BuildError(f"{command.argv[0]} can't be executed: {os.strerror(report.error)}")
    if report.doing == "chdir":
        return BuildError(
            f"the working directory {command.cwd} is not in the image",
            mend="Create it in an earlier step, or change the base's workdir.",
        )
    if report.doing == "identity":
        return BuildError(
            f"the user {command.uid}:{command.gid} does not exist in this user namespace",
            mend="Subordinate ids give more users: see /etc/subuid.",
        )
    if report.doing == "mount proc":
        return MachineError(
            "a container's own /proc may not be mounted here "
            f"({os.strerror(report.error)}), and nothing is run without one",
            mend="In a container, start it with its /proc unmasked "
            "(--security-opt unmask=ALL, or systempaths=unconfined).",
        )
    return MachineError(
        f"a container can't be set up: {report.doing}: {os.strerror(report.error)}",
        mend="--debug shows the steps.",
    )


def _be_the_keeper(
    command: Command, plan: init.Plan, streams: Streams, output: int, report: int, watched: int
) -> NoReturn:
    """Between the worker and PID 1: makes the namespaces, and takes PID 1 with it when killed."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        linux.set_parent_death_signal(signal.SIGKILL)
        flags = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
        flags |= linux.CLONE_NEWCGROUP
        if not command.network:
            flags |= linux.CLONE_NEWNET
        try:
            linux.unshare(flags)
        except OSError as error:
            init.tell(report, init.Report(doing="unshare", error=error.errno or errno.EPERM))
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            init.main(command, plan, streams, output, report, watched)
        os.close(output)
        os.close(report)
        os.waitpid(pid, 0)
    finally:
        os._exit(0)
